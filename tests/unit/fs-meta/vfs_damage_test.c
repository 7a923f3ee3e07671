/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The encrypting VFS over files that were changed, cut, torn or are of another key. */
#include "fs/meta/vfs.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/fs-meta/vfs_store.h"

#include <errno.h>
#include <sodium.h>

static const uint8_t other_key[32] = { 9 };

static void wrong_key(void **state)
{
	static const uint8_t other_id[16] = { 1 };
	struct store s, copy;
	struct errmsg msg = { 0 };

	(void)state;
	store_open(&s);
	table_make(s.db);
	store_crash_copy(&s, &copy); /* with a log */
	store_close(&s);
	for (int i = 0; i < 2; i++) {
		struct store *which = i ? &copy : &s;

		assert_int_equal(open_code(which, other_key, store_id, &msg), -ERR_TAMPERED);
		assert_non_null(strstr(msg.text, "does not open with this store's key"));
		errmsg_free(&msg);
		assert_int_equal(open_code(which, key, other_id, &msg), -ERR_TAMPERED);
		errmsg_free(&msg);
	}
	/* and the refusals changed nothing: the right key still finds what is in the log */
	store_reopen(&copy);
	assert_int_equal(query(copy.db, "SELECT count(*) FROM t", NULL), 1);
	store_end(&copy);
	store_remove(&s);
}

static void missing_and_empty(void **state)
{
	struct store s, copy;
	struct errmsg msg = { 0 };
	struct vfs *v;
	sqlite3 *db = NULL;

	(void)state;
	store_paths(&s);
	assert_int_equal(vfs_new(&v, key, store_id), 0);
	assert_int_equal(vfs_open(v, s.path, 1, &db, &msg), -ENOENT);
	errmsg_free(&msg);
	assert_int_equal(vfs_open(v, "/nonexistent/meta.db", 0, &db, &msg), -ENOENT);
	assert_non_null(strstr(msg.text, "/nonexistent/meta.db"));
	errmsg_free(&msg);
	vfs_free(v);
	store_reopen(&s);
	table_make(s.db);
	store_crash_copy(&s, &copy);
	assert_int_equal(truncate(copy.path, 0), 0);
	assert_int_equal(open_code(&copy, key, store_id, &msg), -ERR_TAMPERED);
	assert_non_null(strstr(msg.text, "its log"));
	errmsg_free(&msg);
	assert_int_equal(access(copy.wal, F_OK), 0);
	store_remove(&copy);
	store_end(&s);
}

static void read_all(sqlite3 *db, int *code)
{
	query(db, "SELECT count(*), sum(length(data)), max(name), sum(length(hex(data))) FROM t", code);
	if (*code == SQLITE_ROW)
		query(db, "SELECT count(name) FROM t INDEXED BY t_name WHERE name > ''", code);
	if (*code == SQLITE_ROW)
		query(db, "SELECT count(*) FROM sqlite_schema WHERE sql > ''", code);
}

/* every page, one byte of it, then its neighbour in its place */
static void changed_pages(void **state)
{
	struct store s;
	struct buf good = BUF_INIT, bad = BUF_INIT;
	int detected = 0, pages;

	(void)state;
	store_open(&s);
	table_make(s.db);
	run(s.db, filler);
	store_close(&s);
	file_load(s.path, &good);
	pages = (int)(good.len / VFS_PAGE);
	assert_true(pages > 20);
	for (int i = 0; i < 2 * pages; i++) {
		int page = i / 2, code = 0, rc;
		struct vfs *v;
		sqlite3 *db = NULL;

		buf_reset(&bad);
		buf_put(&bad, good.data, good.len);
		if (i % 2 == 0)
			bad.data[page * VFS_PAGE + randombytes_uniform(VFS_PAGE)] ^= (uint8_t)(1 << i / 2 % 8);
		else
			memcpy(bad.data + page * VFS_PAGE, good.data + (page + 1) % pages * VFS_PAGE, VFS_PAGE);
		file_store(s.path, bad.data, bad.len);
		assert_int_equal(vfs_new(&v, key, store_id), 0);
		rc = vfs_open(v, s.path, 0, &db, NULL);
		if (rc == 0) {
			read_all(db, &code);
			assert_int_equal(sqlite3_extended_errcode(db), SQLITE_IOERR_DATA);
		} else {
			assert_int_equal(rc, -ERR_TAMPERED);
		}
		assert_true(rc < 0 || code == SQLITE_IOERR);
		detected++;
		sqlite3_close(db);
		vfs_free(v);
	}
	assert_int_equal(detected, 2 * pages);
	buf_free(&good);
	buf_free(&bad);
	unlink(s.wal);
	store_remove(&s);
}

/* Rows 1..n are committed one transaction each; the size of the log after each is noted. */
#define CUT_ROWS 60

static void cut_make(struct store *s, uint64_t wal_after[CUT_ROWS + 1])
{
	char sql[160];

	store_open(s);
	table_make(s->db);
	run(s->db, "DELETE FROM t; PRAGMA wal_checkpoint(TRUNCATE);");
	wal_after[0] = 0;
	for (int i = 1; i <= CUT_ROWS; i++) {
		snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (%d, 'visible-%d', zeroblob(%d))", i, i, i * 300);
		run(s->db, sql);
		wal_after[i] = vfs_wal_bytes(s->vfs);
	}
}

static int64_t rows_found(struct store *s)
{
	int64_t n;

	store_reopen(s);
	is_sound(s->db);
	n = query(s->db, "SELECT count(*) FROM t", NULL);
	assert_int_equal(query(s->db, "SELECT ifnull(max(id), 0) FROM t", NULL), n);
	assert_int_equal(query(s->db, "SELECT ifnull(sum(length(data)), 0) FROM t", NULL), n * (n + 1) / 2 * 300);
	store_close(s);
	return n;
}

static void cut_log(void **state)
{
	uint64_t after[CUT_ROWS + 1];
	struct store s, copy;
	struct buf wal = BUF_INIT;

	(void)state;
	cut_make(&s, after);
	file_load(s.wal, &wal);
	assert_int_equal(wal.len, after[CUT_ROWS]);
	for (int i = 0; i < 60; i++) {
		uint64_t cut = i < 10 ? after[i * 6] : randombytes_uniform((uint32_t)wal.len + 1);
		int64_t want = 0;

		while (want < CUT_ROWS && after[want + 1] <= cut)
			want++;
		store_crash_copy(&s, &copy);
		assert_int_equal(truncate(copy.wal, (off_t)cut), 0);
		assert_int_equal(rows_found(&copy), want);
		store_remove(&copy);
	}
	buf_free(&wal);
	store_end(&s);
}

/* a changed, an exchanged or a torn record ends the log; what was committed before it is there */
static void changed_log(void **state)
{
	uint64_t after[CUT_ROWS + 1];
	struct store s, copy;
	struct buf wal = BUF_INIT;

	(void)state;
	cut_make(&s, after);
	for (int i = 0; i < 40; i++) {
		uint64_t records = (after[CUT_ROWS] - WAL_HEAD_REC) / FRAME_REC;
		uint64_t record = randombytes_uniform((uint32_t)records - 1);
		uint64_t off = WAL_HEAD_REC + record * FRAME_REC;
		int64_t want = 0;

		store_crash_copy(&s, &copy);
		file_load(copy.wal, &wal);
		if (i == 0)
			wal.data[off = 30] ^= 1; /* in the header: the whole log is void */
		else if (i % 3 == 0)
			wal.data[off + randombytes_uniform(FRAME_REC)] ^= 4;
		else if (i % 3 == 1)
			memcpy(wal.data + off, wal.data + off + FRAME_REC, FRAME_REC);
		else
			memset(wal.data + off + 1000, 0, 512);
		while (want < CUT_ROWS && after[want + 1] <= off)
			want++;
		file_store(copy.wal, wal.data, wal.len);
		assert_int_equal(rows_found(&copy), want);
		store_remove(&copy);
	}
	buf_free(&wal);
	store_end(&s);
}

/* What is changed under an open store is an error, never zeros. */
static void changed_log_while_open(void **state)
{
	uint64_t after[CUT_ROWS + 1];
	struct store s;
	struct buf wal = BUF_INIT;
	sqlite3 *reader;
	int code;

	(void)state;
	cut_make(&s, after);
	file_load(s.wal, &wal);
	for (size_t off = WAL_HEAD_REC + 100; off < wal.len; off += FRAME_REC)
		wal.data[off] ^= 1;
	file_store(s.wal, wal.data, wal.len);
	assert_int_equal(vfs_open(s.vfs, s.path, 1, &reader, NULL), -ERR_TAMPERED);
	run(s.db, "PRAGMA shrink_memory");
	query(s.db, "PRAGMA wal_checkpoint(TRUNCATE)", &code);
	assert_int_equal(sqlite3_extended_errcode(s.db), SQLITE_IOERR_DATA);
	buf_free(&wal);
	sqlite3_close(s.db);
	vfs_free(s.vfs);
	store_remove(&s);
}

/* A power loss in the middle of a checkpoint: any page of the database half written, page 1 among them, while the log
 * has them all. */
static void torn_checkpoint(void **state)
{
	struct store s, copy;
	struct buf old = BUF_INIT, new = BUF_INIT;
	struct errmsg msg = { 0 };
	int64_t sum;

	(void)state;
	store_open(&s);
	table_make(s.db);
	run(s.db, filler);
	run(s.db, "PRAGMA wal_checkpoint(TRUNCATE)");
	file_load(s.path, &old);
	run(s.db, "UPDATE t SET data = 'changed-value' || id; CREATE TABLE more (x);");
	sum = query(s.db, "SELECT sum(length(data)) FROM t", NULL);
	run(s.db, "PRAGMA wal_checkpoint(FULL)");
	file_load(s.path, &new);
	for (size_t page = 0; page < old.len / VFS_PAGE; page += page < 3 ? 1 : 17) {
		struct buf torn = BUF_INIT;

		if (memcmp(old.data + page * VFS_PAGE, new.data + page *VFS_PAGE, VFS_PAGE) == 0)
			continue; /* the log has no copy of it */
		store_crash_copy(&s, &copy);
		buf_put(&torn, old.data, old.len);
		memcpy(torn.data + page * VFS_PAGE, new.data + page *VFS_PAGE, 512 * (1 + page % 7));
		file_store(copy.path, torn.data, torn.len - (page == 2 ? 1000 : 0));
		store_reopen(&copy);
		assert_int_equal(query(copy.db, "SELECT sum(length(data)) FROM t", NULL), sum);
		assert_int_equal(query(copy.db, "SELECT count(*) FROM more", NULL), 0);
		is_sound(copy.db);
		run(copy.db, "INSERT INTO more VALUES (1)");
		store_close(&copy);
		store_reopen(&copy);
		is_sound(copy.db);
		store_end(&copy);
		buf_free(&torn);
	}
	/* without the log a torn page 1 is an error */
	store_crash_copy(&s, &copy);
	memcpy(new.data, old.data, 2048);
	file_store(copy.path, new.data, new.len);
	unlink(copy.wal);
	assert_int_equal(open_code(&copy, key, store_id, &msg), -ERR_TAMPERED);
	errmsg_free(&msg);
	unlink(copy.wal);
	store_remove(&copy);
	buf_free(&old);
	buf_free(&new);
	store_end(&s);
}

/* A database cut short is an error: alone, and beside a log that says how long it should be. */
static void cut_database(void **state)
{
	struct store s, copy;

	(void)state;
	store_open(&s);
	table_make(s.db);
	run(s.db, filler);
	run(s.db, "PRAGMA wal_checkpoint(TRUNCATE)");
	for (int with_log = 0; with_log < 2; with_log++) {
		sqlite3 *db = NULL;
		struct vfs *v;
		int code = 0, rc;

		if (with_log)
			run(s.db, "UPDATE t SET name = 'changed-value' WHERE id = 1");
		store_crash_copy(&s, &copy);
		assert_int_equal(truncate(copy.path, 20 * VFS_PAGE), 0);
		assert_int_equal(vfs_new(&v, key, store_id), 0);
		rc = vfs_open(v, copy.path, 0, &db, NULL);
		if (rc == 0) {
			read_all(db, &code);
			assert_int_equal(code, SQLITE_IOERR);
			assert_int_equal(sqlite3_extended_errcode(db), SQLITE_IOERR_DATA);
		} else {
			assert_int_equal(rc, -ERR_TAMPERED);
		}
		assert_int_equal(rc == 0, with_log);
		sqlite3_close(db);
		vfs_free(v);
		store_remove(&copy);
	}
	store_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_key),
		cmocka_unit_test(missing_and_empty),
		cmocka_unit_test(changed_pages),
		cmocka_unit_test(cut_log),
		cmocka_unit_test(changed_log),
		cmocka_unit_test(changed_log_while_open),
		cmocka_unit_test(torn_checkpoint),
		cmocka_unit_test(cut_database),
	};

	return cmocka_run_group_tests(tests, quiet_setup, NULL);
}
