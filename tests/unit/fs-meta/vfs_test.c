/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The encrypting VFS: what SQLite does over it, what is on disk beneath it, and how fast. */
#include "base/clock.h"
#include "fs/meta/vfs.h"
#include "fs/meta/vfs_private.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/fs-crypt/vectors.h"
#include "tests/unit/fs-meta/vfs_store.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void settings(void **state)
{
	static const struct {
		const char *sql, *want;
	} rows[] = {
		{ "PRAGMA page_size", "4096" },
		{ "PRAGMA journal_mode", "wal" },
		{ "PRAGMA synchronous", "1" },
		{ "PRAGMA foreign_keys", "1" },
		{ "PRAGMA temp_store", "2" },
		{ "PRAGMA wal_autocheckpoint", "0" },
	};
	struct store s;
	sqlite3 *reader;
	int reserve = -1, code;

	(void)state;
	store_open(&s);
	table_make(s.db);
	assert_int_equal(vfs_open(s.vfs, s.path, 1, &reader, NULL), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		is_text(s.db, rows[i].sql, rows[i].want);
		is_text(reader, rows[i].sql, rows[i].want);
	}
	assert_int_equal(sqlite3_file_control(s.db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve), SQLITE_OK);
	assert_int_equal(reserve, VFS_RESERVED);
	assert_int_equal(query(reader, "SELECT count(*) FROM t", NULL), 1);
	query(reader, "DELETE FROM t", &code);
	assert_int_equal(code, SQLITE_READONLY);
	sqlite3_close(reader);
	store_end(&s);
}

static void secret_on_disk(struct store *s)
{
	struct buf b = BUF_INIT;
	const char *paths[] = { s->path, s->wal };
	static const char *const words[] = { "visible", "first-name", "SQLite format", "CREATE TABLE",
		"changed-value" };

	for (size_t i = 0; i < 2; i++) {
		if (access(paths[i], F_OK) != 0)
			continue;
		file_load(paths[i], &b);
		assert_true(b.len > 0);
		for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++)
			assert_null(memmem(b.data, b.len, words[w], strlen(words[w])));
	}
	buf_free(&b);
}

static void work(void **state)
{
	struct store s;
	int64_t count;

	(void)state;
	store_open(&s);
	run(s.db, "PRAGMA cache_size = 20"); /* transactions spill into the log and overwrite their own frames */
	table_make(s.db);
	for (int i = 0; i < 5; i++)
		run(s.db, filler);
	secret_on_disk(&s);
	run(s.db, "BEGIN; UPDATE t SET data = 'changed-value' || id || hex(zeroblob(300)); DELETE FROM t; ROLLBACK;");
	is_sound(s.db);
	count = query(s.db, "SELECT count(*) FROM t", NULL);
	assert_int_equal(count, 2501);
	run(s.db, "BEGIN; SAVEPOINT a; UPDATE t SET data = hex(zeroblob(id)); DELETE FROM t WHERE id % 2;"
		  "INSERT INTO t (name) VALUES ('visible-x'); ROLLBACK TO a; UPDATE t SET name = name || 'x'; COMMIT;");
	assert_int_equal(query(s.db, "SELECT count(*) FROM t WHERE name LIKE '%x'", NULL), 2501);
	run(s.db, "INSERT INTO t (id, data) VALUES (100000, randomblob(5000000))");
	assert_int_equal(query(s.db, "SELECT length(data) FROM t WHERE id = 100000", NULL), 5000000);
	run(s.db, "PRAGMA wal_checkpoint(PASSIVE); UPDATE t SET data = 'changed-value' WHERE id % 3 = 0;");
	secret_on_disk(&s);
	run(s.db, "PRAGMA wal_checkpoint(RESTART); DELETE FROM t WHERE id % 5 = 0; PRAGMA wal_checkpoint(TRUNCATE);");
	assert_int_equal(vfs_wal_bytes(s.vfs), 0);
	is_sound(s.db);
	run(s.db, "VACUUM");
	is_sound(s.db);
	secret_on_disk(&s);
	count = query(s.db, "SELECT count(*) FROM t", NULL);
	store_close(&s);
	assert_int_equal(access(s.wal, F_OK), -1);
	secret_on_disk(&s);
	store_reopen(&s);
	assert_int_equal(query(s.db, "SELECT count(*) FROM t", NULL), count);
	is_sound(s.db);
	store_end(&s);
}

/* A transaction that spilled has its frames patched in place and their checksums recomputed: recovery checks both. */
static void spilled_transaction_recovers(void **state)
{
	struct store s, copy;

	(void)state;
	store_open(&s);
	table_make(s.db);
	run(s.db, filler);
	run(s.db, "PRAGMA cache_size = 10; BEGIN;");
	for (int i = 0; i < 6; i++)
		run(s.db, "UPDATE t SET data = 'changed-value' || hex(randomblob(200)), name = name || 'y'");
	run(s.db, "COMMIT");
	store_crash_copy(&s, &copy);
	store_reopen(&copy);
	assert_int_equal(query(copy.db, "SELECT count(*) FROM t WHERE name LIKE '%yyyyyy'", NULL), 501);
	is_sound(copy.db);
	store_end(&copy);
	store_end(&s);
}

/* only the store's own two files */
static void other_files_refused(void **state)
{
	struct store s;
	char sql[200];

	(void)state;
	store_open(&s);
	table_make(s.db);
	snprintf(sql, sizeof(sql), "ATTACH '%s/other.db' AS other", s.dir);
	assert_int_equal(sqlite3_exec(s.db, sql, NULL, NULL, NULL), SQLITE_CANTOPEN);
	run(s.db, "PRAGMA temp_store = FILE");
	run(s.db, "CREATE TEMP TABLE visible (x)");
	assert_int_equal(
		sqlite3_exec(s.db, "PRAGMA temp.cache_size = 10; INSERT INTO visible VALUES (randomblob(1000000))",
			NULL, NULL, NULL),
		SQLITE_CANTOPEN);
	store_end(&s);
}

/* who makes a database without vfs_open, and so without the reserved bytes, gets none */
static void reserved_bytes_needed(void **state)
{
	struct store s;
	struct stat st;

	(void)state;
	store_paths(&s);
	assert_int_equal(vfs_new(&s.vfs, key, store_id), 0);
	assert_int_equal(
		sqlite3_open_v2(s.path, &s.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs_name(s.vfs)), SQLITE_OK);
	run(s.db, "PRAGMA journal_mode = OFF");
	assert_int_equal(sqlite3_exec(s.db, "CREATE TABLE visible (x)", NULL, NULL, NULL), SQLITE_IOERR);
	assert_int_equal(stat(s.path, &st), 0);
	assert_int_equal(st.st_size, 0);
	run(s.db, "PRAGMA journal_mode = DELETE");
	assert_int_equal(sqlite3_exec(s.db, "CREATE TABLE visible (x)", NULL, NULL, NULL), SQLITE_CANTOPEN);
	store_end(&s);
}

/* A disk that takes no more: every point at which a write of this transaction can fail. */
static void failing_writes(void **state)
{
	struct rlimit was, now;
	struct store s;
	int rc = SQLITE_ERROR, failures = 0;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	store_open(&s);
	table_make(s.db);
	run(s.db, filler);
	run(s.db, "PRAGMA cache_size = 10");
	for (rlim_t limit = vfs_wal_bytes(s.vfs); rc != SQLITE_OK; limit += 3001) {
		now = (struct rlimit){ limit, was.rlim_max };
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
		rc = sqlite3_exec(s.db, "UPDATE t SET data = 'changed-value' || hex(randomblob(100)) WHERE id < 200",
			NULL, NULL, NULL);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
		if (rc == SQLITE_OK)
			break;
		failures++;
		assert_int_equal(query(s.db, "SELECT count(*) FROM t WHERE data LIKE 'changed%'", NULL), 0);
		is_sound(s.db);
	}
	assert_true(failures > 5);
	run(s.db, "INSERT INTO t (name) VALUES ('visible-last')");
	is_sound(s.db);
	assert_int_equal(query(s.db, "SELECT count(*) FROM t WHERE data LIKE 'changed%'", NULL), 199);
	store_close(&s);
	store_reopen(&s);
	is_sound(s.db);
	store_end(&s);
}

/* One writer moves amounts between accounts, a checkpointer runs, readers find the sum unchanged. */
#define ACCOUNTS     200
#define READERS	     4
#define TRANSACTIONS 300

struct torture {
	struct store *s;
	atomic_bool done;
	atomic_int reads;
};

static void *torture_reader(void *arg)
{
	struct torture *t = arg;
	sqlite3 *db;
	int64_t last = 0;

	if (vfs_open(t->s->vfs, t->s->path, 1, &db, NULL) < 0)
		return (void *)"open";
	sqlite3_exec(db, "PRAGMA cache_size = 10", NULL, NULL, NULL);
	while (!atomic_load(&t->done)) {
		int64_t sum, seq;

		sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
		sum = query(db, "SELECT sum(amount) FROM account", NULL);
		seq = query(db, "SELECT max(seq) FROM history", NULL);
		if (sum != ACCOUNTS * 100 || seq < last ||
			query(db, "SELECT count(*) FROM history WHERE length(proof) <> 500 + seq % 5000", NULL) != 0)
			return (void *)"wrong";
		last = seq;
		sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
		atomic_fetch_add(&t->reads, 1);
	}
	return sqlite3_close(db) == SQLITE_OK ? NULL : (void *)"close";
}

static void *torture_checkpointer(void *arg)
{
	static const int modes[] = { SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_FULL, SQLITE_CHECKPOINT_RESTART,
		SQLITE_CHECKPOINT_TRUNCATE };
	struct torture *t = arg;
	sqlite3 *db;
	int rc;

	if (vfs_open(t->s->vfs, t->s->path, 0, &db, NULL) < 0)
		return (void *)"open";
	for (unsigned i = 0; !atomic_load(&t->done); i++) {
		rc = sqlite3_wal_checkpoint_v2(db, NULL, modes[i % 4], NULL, NULL);
		if (rc != SQLITE_OK && rc != SQLITE_BUSY)
			return (void *)"checkpoint";
		if (vfs_wal_sync(t->s->vfs) < 0)
			return (void *)"sync";
		usleep(2000);
	}
	return sqlite3_close(db) == SQLITE_OK ? NULL : (void *)"close";
}

static void torture_write(struct store *s, int seq)
{
	char sql[512];

	snprintf(sql, sizeof(sql),
		"BEGIN IMMEDIATE; UPDATE account SET amount = amount - %d WHERE id = %d;"
		"UPDATE account SET amount = amount + %d WHERE id = %d;"
		"INSERT INTO history VALUES (%d, zeroblob(%d)); DELETE FROM history WHERE seq = %d;",
		seq % 7, seq % ACCOUNTS + 1, seq % 7, seq * 13 % ACCOUNTS + 1, seq, 500 + seq % 5000, seq - 100);
	run(s->db, sql);
	if (seq % 10 == 3) {
		run(s->db, "UPDATE account SET amount = amount + 1; ROLLBACK");
		snprintf(sql, sizeof(sql), "INSERT INTO history VALUES (%d, zeroblob(%d))", seq, 500 + seq % 5000);
		run(s->db, sql);
	} else {
		run(s->db, "COMMIT");
	}
}

static void threads(void **state)
{
	struct store s;
	struct torture t = { &s, false, 0 };
	pthread_t thread[READERS + 1];
	void *failed;

	(void)state;
	store_open(&s);
	run(s.db, "CREATE TABLE account (id INTEGER PRIMARY KEY, amount INTEGER) STRICT;"
		  "CREATE TABLE history (seq INTEGER PRIMARY KEY, proof BLOB) STRICT;"
		  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)"
		  "INSERT INTO account SELECT i, 100 FROM n; INSERT INTO history VALUES (0, zeroblob(500));");
	for (int i = 0; i <= READERS; i++)
		assert_int_equal(
			pthread_create(&thread[i], NULL, i < READERS ? torture_reader : torture_checkpointer, &t), 0);
	for (int seq = 1; seq <= TRANSACTIONS; seq++)
		torture_write(&s, seq);
	while (atomic_load(&t.reads) < READERS)
		usleep(1000);
	atomic_store(&t.done, true);
	for (int i = 0; i <= READERS; i++) {
		pthread_join(thread[i], &failed);
		if (failed)
			print_error("thread %d: %s\n", i, (const char *)failed);
		assert_null(failed);
	}
	is_sound(s.db);
	assert_int_equal(query(s.db, "SELECT max(seq) FROM history", NULL), TRANSACTIONS);
	store_close(&s);
	store_reopen(&s);
	is_sound(s.db);
	store_end(&s);
}

static void *sync_many(void *arg)
{
	struct vfs *v = arg;

	for (int i = 0; i < 50; i++)
		if (vfs_wal_sync(v) < 0)
			return (void *)"sync";
	return NULL;
}

/* syncs beside a writer whose last connection comes and goes, so that the log is removed under them */
static void sync_beside_close(void **state)
{
	struct store s;
	pthread_t thread[3];
	void *failed;
	sqlite3 *db;

	(void)state;
	store_open(&s);
	table_make(s.db);
	sqlite3_close(s.db);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, sync_many, s.vfs), 0);
	for (int i = 0; i < 30; i++) {
		assert_int_equal(vfs_open(s.vfs, s.path, 0, &db, NULL), 0);
		run(db, "INSERT INTO t (name) VALUES ('visible-sync')");
		assert_int_equal(vfs_wal_sync(s.vfs), 0);
		sqlite3_close(db);
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(thread[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(vfs_open(s.vfs, s.path, 0, &s.db, NULL), 0);
	assert_int_equal(query(s.db, "SELECT count(*) FROM t", NULL), 31);
	store_end(&s);
}

/* a sync that still holds the removed log does not hand it to the next connection */
static void log_replaced_under_sync(void **state)
{
	struct store s;
	struct vfs_disk *held;
	struct stat st;

	(void)state;
	store_open(&s);
	table_make(s.db);
	held = s.vfs->wal;
	held->refs++; /* as a sync under way does */
	sqlite3_close(s.db);
	assert_int_equal(access(s.wal, F_OK), -1);
	assert_int_equal(vfs_open(s.vfs, s.path, 0, &s.db, NULL), 0);
	run(s.db, "INSERT INTO t (name) VALUES ('visible-next')");
	assert_int_equal(stat(s.wal, &st), 0);
	assert_true(st.st_size > 0);
	assert_int_equal(vfs_wal_bytes(s.vfs), st.st_size);
	vfs_disk_release(s.vfs, held);
	assert_int_equal(vfs_wal_bytes(s.vfs), st.st_size);
	store_end(&s);
}

/* the writer that closes beside a reader leaves it the log */
static void writer_closes_first(void **state)
{
	struct store s;
	sqlite3 *reader;

	(void)state;
	store_open(&s);
	table_make(s.db);
	assert_int_equal(vfs_open(s.vfs, s.path, 1, &reader, NULL), 0);
	run(reader, "BEGIN");
	assert_int_equal(query(reader, "SELECT count(*) FROM t", NULL), 1);
	run(s.db, filler);
	sqlite3_close(s.db);
	assert_int_equal(access(s.wal, F_OK), 0);
	assert_int_equal(query(reader, "SELECT count(*) FROM t", NULL), 1);
	run(reader, "COMMIT");
	assert_int_equal(query(reader, "SELECT count(*) FROM t", NULL), 501);
	assert_int_equal(vfs_open(s.vfs, s.path, 0, &s.db, NULL), 0);
	run(s.db, "DELETE FROM t WHERE id > 300");
	assert_int_equal(query(reader, "SELECT count(*) FROM t", NULL), 300);
	sqlite3_close(reader);
	is_sound(s.db);
	store_end(&s);
}

static void page_pattern(uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(i % 251);
}

static void vectors(void **state)
{
	uint8_t k[32], id[16], nonce[24], page[VFS_PAGE], sealed[VFS_PAGE], again[VFS_PAGE], record[FRAME_REC],
		hash[32];
	uint8_t head[WAL_HEAD_REC];

	(void)state;
	for (int i = 0; i < 32; i++)
		k[i] = (uint8_t)(0x80 + i);
	for (int i = 0; i < 24; i++)
		nonce[i] = (uint8_t)(0x40 + i);
	for (int i = 0; i < 16; i++)
		id[i] = (uint8_t)(0xa0 + i);
	page_pattern(page, sizeof(page));
	vfs_page_seal(sealed, page, 3, id, nonce, k);
	vector_equal("page-start", sealed, 64);
	vector_equal("page-end", sealed + VFS_PAGE - VFS_RESERVED, VFS_RESERVED);
	crypto_generichash(hash, sizeof(hash), sealed, sizeof(sealed), NULL, 0);
	vector_equal("page-hash", hash, sizeof(hash));
	assert_int_equal(vfs_page_open(again, sealed, 3, id, k), 0);
	assert_memory_equal(again, page, VFS_PAGE - VFS_RESERVED);
	assert_true(sodium_is_zero(again + VFS_PAGE - VFS_RESERVED, VFS_RESERVED));
	assert_int_equal(vfs_page_open(again, sealed, 4, id, k), -ERR_TAMPERED);
	assert_true(sodium_is_zero(again, sizeof(again)));

	vfs_record_seal(head, page, 32, 0, id, nonce, k);
	vector_equal("wal-header", head, sizeof(head));
	page_pattern(record, FRAME_REC - VFS_RESERVED);
	{
		uint8_t plain[FRAME_REC - VFS_RESERVED];

		memcpy(plain, record, sizeof(plain));
		vfs_record_seal(record, plain, sizeof(plain), 1, id, nonce, k);
		vector_equal("wal-record-start", record, 64);
		vector_equal("wal-record-end", record + sizeof(record) - 16, 16);
		crypto_generichash(hash, sizeof(hash), record, sizeof(record), NULL, 0);
		vector_equal("wal-record-hash", hash, sizeof(hash));
		assert_int_equal(vfs_record_open(plain, record, sizeof(record), 2, id, k), -ERR_TAMPERED);
		assert_true(sodium_is_zero(plain, sizeof(plain)));
		assert_int_equal(vfs_record_open(plain, record, sizeof(record), 1, id, k), 0);
		assert_int_equal(plain[4119], 4119 % 251);
	}
}

/* --- speed: printed, not judged --- */

static double since_s(int64_t start)
{
	return (double)(clock_mono_ns() - start) / NS_PER_S;
}

static double insert_rate(sqlite3 *db, int n, int batch, struct vfs *sync, int wal_fd)
{
	sqlite3_stmt *st;
	int64_t start = clock_mono_ns();

	assert_int_equal(
		sqlite3_prepare_v2(db, "INSERT INTO t (name, data) VALUES (?1, zeroblob(100))", -1, &st, NULL), 0);
	for (int i = 0; i < n; i++) {
		char name[64];

		if (i % batch == 0)
			run(db, "BEGIN");
		snprintf(name, sizeof(name), "name-%08x-%d", (unsigned)i * 2654435761U, i);
		sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
		assert_int_equal(sqlite3_step(st), SQLITE_DONE);
		sqlite3_reset(st);
		if (i % batch == batch - 1)
			run(db, "COMMIT");
		if (i % batch == batch - 1 && sync)
			assert_int_equal(vfs_wal_sync(sync), 0);
		if (i % batch == batch - 1 && wal_fd >= 0)
			assert_int_equal(fdatasync(wal_fd), 0);
	}
	sqlite3_finalize(st);
	return n / since_s(start);
}

static double checkpoint_seconds(sqlite3 *db)
{
	int64_t start = clock_mono_ns();

	run(db, "PRAGMA wal_checkpoint(TRUNCATE)");
	return since_s(start);
}

static void speed(void **state)
{
	struct store s, stock;
	int fd;

	(void)state;
	store_open(&s);
	table_make(s.db);
	store_paths(&stock);
	assert_int_equal(sqlite3_open(stock.path, &stock.db), SQLITE_OK);
	run(stock.db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0");
	table_make(stock.db);
	fd = open(stock.wal, O_RDWR);
	assert_true(fd >= 0);
	print_message("inserts/s, batches of 1000: stock %.0f", insert_rate(stock.db, 100000, 1000, NULL, -1));
	print_message(", shim %.0f\n", insert_rate(s.db, 100000, 1000, NULL, -1));
	print_message("checkpoint of that, s: stock %.3f", checkpoint_seconds(stock.db));
	print_message(", shim %.3f\n", checkpoint_seconds(s.db));
	print_message("transactions/s, one insert and one sync: stock %.0f", insert_rate(stock.db, 1000, 1, NULL, fd));
	print_message(", shim %.0f\n", insert_rate(s.db, 1000, 1, s.vfs, -1));
	print_message("transactions/s, no sync: stock %.0f", insert_rate(stock.db, 5000, 1, NULL, -1));
	print_message(", shim %.0f\n", insert_rate(s.db, 5000, 1, NULL, -1));
	close(fd);
	sqlite3_close(stock.db);
	store_remove(&stock);
	store_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(settings),
		cmocka_unit_test(work),
		cmocka_unit_test(spilled_transaction_recovers),
		cmocka_unit_test(other_files_refused),
		cmocka_unit_test(reserved_bytes_needed),
		cmocka_unit_test(failing_writes),
		cmocka_unit_test(threads),
		cmocka_unit_test(sync_beside_close),
		cmocka_unit_test(log_replaced_under_sync),
		cmocka_unit_test(writer_closes_first),
		cmocka_unit_test(speed),
	};

	return cmocka_run_group_tests(tests, quiet_setup, NULL);
}
