/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The writer: whole operations, one sync for all that wait, a disk that is full or fails, bounds, the checkpointer.
 * The disk is this program's own pwrite64 and fdatasync, which fail or wait when told. */
#include "tests/unit/fs-meta/fixture.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

static struct {
	atomic_int write_errno;	    /* 0: no fault */
	atomic_bool while_reserved; /* the fault ends when the reserve is gone */
	atomic_int sync_errno, sync_count;
	atomic_bool hold; /* writes wait */
	atomic_bool hold_reads, reading;
	atomic_uint free_mb;
	char reserve[FIX_PATH + 16];
} disk;

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t off);
ssize_t pread64(int fd, void *data, size_t len, off64_t off);
int fdatasync(int fd);
int statvfs64(const char *path, struct statvfs64 *st);

int statvfs64(const char *path, struct statvfs64 *st)
{
	(void)path;
	memset(st, 0, sizeof *st);
	st->f_frsize = 1 << 20;
	st->f_bavail = atomic_load(&disk.free_mb);
	return 0;
}

ssize_t pread64(int fd, void *data, size_t len, off64_t off)
{
	if (atomic_load(&disk.hold_reads))
		atomic_store(&disk.reading, true);
	while (atomic_load(&disk.hold_reads))
		usleep(1000);
	return syscall(SYS_pread64, fd, data, len, off);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t off)
{
	struct stat st;

	while (atomic_load(&disk.hold))
		usleep(1000);
	if (atomic_load(&disk.write_errno) && !(atomic_load(&disk.while_reserved) && stat(disk.reserve, &st) < 0)) {
		errno = atomic_load(&disk.write_errno);
		return -1;
	}
	return syscall(SYS_pwrite64, fd, data, len, off);
}

int fdatasync(int fd)
{
	atomic_fetch_add(&disk.sync_count, 1);
	if (atomic_load(&disk.sync_errno)) {
		errno = atomic_load(&disk.sync_errno);
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

static struct {
	atomic_ullong durable;
	atomic_int failed, failures;
} told;

static void on_durable(void *ctx, uint64_t batch)
{
	(void)ctx;
	assert_true(batch > atomic_load(&told.durable));
	atomic_store(&told.durable, batch);
}

static void on_failed(void *ctx, int rc)
{
	(void)ctx;
	atomic_store(&told.failed, rc);
	atomic_fetch_add(&told.failures, 1);
}

static void start(struct fix *f, int64_t interval_ns)
{
	memset(&disk, 0, sizeof disk);
	memset(&told, 0, sizeof told);
	atomic_store(&disk.free_mb, 1000);
	fix_new(f);
	if (interval_ns)
		f->options.commit_interval_ns = interval_ns;
	f->options.durable = on_durable;
	f->options.failed = on_failed;
	fix_open(f);
	snprintf(disk.reserve, sizeof disk.reserve, "%s/reserve", f->dir);
}

static void quiet(bool on)
{
	static int null = -1;

	if (null < 0)
		null = open("/dev/null", O_WRONLY);
	log_to(on ? null : -1);
}

/* Waits for what another thread will bring about; a test that fails here hung for ten seconds. */
#define EVENTUALLY(condition)                                                                                          \
	do {                                                                                                           \
		int64_t end_ = clock_mono_ns() + 10 * NS_PER_S;                                                        \
		while (!(condition) && clock_mono_ns() < end_)                                                         \
			usleep(1000);                                                                                  \
		assert_true(condition);                                                                                \
	} while (0)

static void batches_are_numbered(void **state)
{
	struct fix f;
	uint64_t batch;

	(void)state;
	start(&f, 0);
	meta_lock(f.m);
	batch = meta_batch(f.m);
	meta_unlock(f.m);
	fix_make(&f, META_ROOT_INO, "a", S_IFREG);
	assert_true(meta_committed(f.m) < batch);
	assert_int_equal(meta_commit(f.m), 0);
	assert_int_equal(meta_committed(f.m), batch);
	assert_true(meta_durable(f.m) < batch);
	assert_int_equal(meta_sync(f.m), 0);
	assert_int_equal(meta_durable(f.m), batch);
	EVENTUALLY(atomic_load(&told.durable) == batch);
	/* nothing is changed: nothing to wait for */
	assert_int_equal(meta_sync(f.m), 0);
	meta_lock(f.m);
	assert_int_equal(meta_batch(f.m), batch + 1);
	meta_unlock(f.m);
	fix_end(&f);
}

static void commits_by_itself(void **state)
{
	struct fix f, crashed;

	(void)state;
	start(&f, 20 * NS_PER_MS);
	fix_make(&f, META_ROOT_INO, "a", S_IFREG);
	EVENTUALLY(meta_durable(f.m) == 1);
	fix_crash(&f, &crashed);
	fix_open(&crashed);
	assert_true(fix_lookup(&crashed, META_ROOT_INO, "a") > 0);
	fix_end(&crashed);
	fix_end(&f);
}

/* Many changes do not wait for the interval. */
static void commits_early(void **state)
{
	struct fix f;
	char name[16];

	(void)state;
	start(&f, 0);
	f.m->options.dirty_nodes_max = 100;
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof name, "%d", i);
		fix_make(&f, META_ROOT_INO, name, S_IFREG);
	}
	EVENTUALLY(meta_committed(f.m) >= 1);
	fix_end(&f);
}

struct syncer {
	pthread_t thread;
	struct fix *f;
	int n;
};

static void *make_and_sync(void *arg)
{
	struct syncer *s = arg;
	char name[32];

	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof name, "%d.%d", s->n, i);
		fix_make(s->f, META_ROOT_INO, name, S_IFREG);
		assert_int_equal(meta_sync(s->f->m), 0);
	}
	return NULL;
}

/* Eight threads that sync after each file share the syncs, and each finds its file after a crash. */
static void syncs_are_shared(void **state)
{
	struct syncer s[8];
	struct fix f, crashed;
	char name[32];
	int before;

	(void)state;
	start(&f, 0);
	before = atomic_load(&disk.sync_count);
	for (int i = 0; i < 8; i++) {
		s[i] = (struct syncer){ .f = &f, .n = i };
		assert_int_equal(pthread_create(&s[i].thread, NULL, make_and_sync, &s[i]), 0);
	}
	for (int i = 0; i < 8; i++)
		pthread_join(s[i].thread, NULL);
	assert_true(atomic_load(&disk.sync_count) - before < 300);
	fix_crash(&f, &crashed);
	fix_open(&crashed);
	for (int i = 0; i < 400; i++) {
		snprintf(name, sizeof name, "%d.%d", i / 50, i % 50);
		assert_true(fix_lookup(&crashed, META_ROOT_INO, name) > 0);
	}
	fix_end(&crashed);
	fix_end(&f);
}

struct twins {
	struct fix *f;
	struct inode *a, *b;
	atomic_bool stop;
};

static void *change_twins(void *arg)
{
	struct twins *t = arg;

	for (uint64_t i = 1; !atomic_load(&t->stop); i++) {
		meta_lock(t->f->m);
		t->a->size = t->a->disk_size = i;
		meta_inode_changed(t->f->m, t->a);
		t->b->size = t->b->disk_size = i;
		meta_inode_changed(t->f->m, t->b);
		meta_unlock(t->f->m);
	}
	return NULL;
}

/* A transaction never holds half an operation. */
static void operations_are_whole(void **state)
{
	struct twins t = { 0 };
	pthread_t thread;
	struct fix f;

	(void)state;
	start(&f, 0);
	t.f = &f;
	t.a = fix_inode(&f, fix_make(&f, META_ROOT_INO, "a", S_IFREG));
	t.b = fix_inode(&f, fix_make(&f, META_ROOT_INO, "b", S_IFREG));
	assert_int_equal(pthread_create(&thread, NULL, change_twins, &t), 0);
	for (int i = 0; i < 300; i++)
		assert_int_equal(fix_sql(&f, "SELECT count(DISTINCT size) FROM inode WHERE ino > 1"), 1);
	atomic_store(&t.stop, true);
	pthread_join(thread, NULL);
	meta_inode_put(f.m, t.a);
	meta_inode_put(f.m, t.b);
	fix_end(&f);
}

/* ---- faults ---- */

/* The disk is full: said at once, nothing is lost, and it goes on when there is room. */
static void full_disk(void **state)
{
	struct fix f;

	(void)state;
	start(&f, 20 * NS_PER_MS);
	quiet(true);
	fix_make(&f, META_ROOT_INO, "before", S_IFREG);
	assert_int_equal(meta_sync(f.m), 0);
	atomic_store(&disk.write_errno, ENOSPC);
	fix_make(&f, META_ROOT_INO, "during", S_IFREG);
	assert_int_equal(meta_sync(f.m), -ENOSPC);
	assert_int_equal(meta_commit(f.m), -ENOSPC);
	assert_int_equal(meta_throttle(f.m), -ENOSPC);
	assert_int_equal(meta_throttle_freeing(f.m), 0);
	assert_true(fix_lookup(&f, META_ROOT_INO, "during") > 0);
	assert_true(access(disk.reserve, F_OK) < 0);
	fix_make(&f, META_ROOT_INO, "more", S_IFREG);
	atomic_store(&disk.write_errno, 0);
	/* by itself, with nobody asking */
	EVENTUALLY(meta_throttle(f.m) == 0);
	assert_int_equal(access(disk.reserve, F_OK), 0);
	assert_int_equal(meta_sync(f.m), 0);
	assert_int_equal(atomic_load(&told.failures), 0);
	fix_reopen(&f);
	assert_true(fix_lookup(&f, META_ROOT_INO, "during") > 0);
	assert_true(fix_lookup(&f, META_ROOT_INO, "more") > 0);
	fix_audit(&f);
	quiet(false);
	fix_end(&f);
}

/* With the reserve given up a deletion commits, while what needs space is refused. */
static void reserve_lets_deletions_through(void **state)
{
	struct fix f;

	(void)state;
	start(&f, 0);
	quiet(true);
	fix_make(&f, META_ROOT_INO, "a", S_IFREG);
	assert_int_equal(meta_sync(f.m), 0);
	atomic_store(&disk.while_reserved, true);
	atomic_store(&disk.write_errno, ENOSPC);
	assert_int_equal(meta_throttle_freeing(f.m), 0);
	fix_unlink(&f, META_ROOT_INO, "a");
	assert_int_equal(meta_sync(f.m), 0);
	assert_true(access(disk.reserve, F_OK) < 0);
	assert_int_equal(meta_throttle(f.m), -ENOSPC);
	assert_int_equal(meta_throttle_freeing(f.m), 0);
	atomic_store(&disk.write_errno, 0);
	meta_lock(f.m);
	f.m->space_try_ns = 0;
	pthread_cond_signal(&f.m->work);
	meta_unlock(f.m);
	EVENTUALLY(meta_throttle(f.m) == 0);
	quiet(false);
	fix_end(&f);
}

/* What needs space is refused before the disk is full: what is queued must still find room. */
static void refused_while_there_is_room(void **state)
{
	static const struct {
		unsigned free_mb;
		int rc;
	} rows[] = { { 1000, 0 }, { 31, -ENOSPC }, { 0, -ENOSPC }, { 33, 0 }, { 20, -ENOSPC }, { 1000, 0 } };
	struct fix f;
	char name[16];

	(void)state;
	start(&f, 20 * NS_PER_MS);
	quiet(true);
	for (size_t i = 0; i < COUNT(rows); i++) {
		atomic_store(&disk.free_mb, rows[i].free_mb);
		snprintf(name, sizeof name, "%zu", i);
		fix_make(&f, META_ROOT_INO, name, S_IFREG);
		assert_int_equal(meta_sync(f.m), 0);
		EVENTUALLY(meta_throttle(f.m) == rows[i].rc);
		assert_int_equal(meta_throttle_freeing(f.m), 0);
		assert_int_equal(access(disk.reserve, F_OK), 0);
	}
	/* a long log needs as much room again in the database */
	meta_lock(f.m);
	f.m->wal_frames = 100000;
	meta_unlock(f.m);
	space_look(f.m);
	assert_int_equal(meta_throttle(f.m), 0);
	atomic_store(&disk.free_mb, 400);
	space_look(f.m);
	assert_int_equal(meta_throttle(f.m), -ENOSPC);
	quiet(false);
	fix_end(&f);
}

/* A full disk at unmount ends the daemon with an error, and the store opens with what was committed. */
static void full_disk_at_close(void **state)
{
	struct fix f;

	(void)state;
	start(&f, 0);
	quiet(true);
	fix_make(&f, META_ROOT_INO, "a", S_IFREG);
	assert_int_equal(meta_sync(f.m), 0);
	fix_make(&f, META_ROOT_INO, "b", S_IFREG);
	atomic_store(&disk.write_errno, ENOSPC);
	assert_int_equal(meta_close(f.m), -ENOSPC);
	atomic_store(&disk.write_errno, 0);
	fix_open(&f);
	assert_true(fix_lookup(&f, META_ROOT_INO, "a") > 0);
	assert_int_equal(fix_lookup(&f, META_ROOT_INO, "b"), 0);
	quiet(false);
	fix_end(&f);
}

static void fails_for_good(void **state)
{
	static const struct {
		int write_errno, sync_errno, rc;
		bool committed;
	} rows[] = { { EIO, 0, -EIO, false }, { EFBIG, 0, -EIO, false }, { 0, EIO, -EIO, true },
		{ 0, ENOSPC, -ENOSPC, true } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct fix f;

		start(&f, 0);
		quiet(true);
		fix_make(&f, META_ROOT_INO, "a", S_IFREG);
		assert_int_equal(meta_sync(f.m), 0);
		fix_make(&f, META_ROOT_INO, "b", S_IFREG);
		atomic_store(&disk.write_errno, rows[i].write_errno);
		atomic_store(&disk.sync_errno, rows[i].sync_errno);
		assert_int_equal(meta_sync(f.m), rows[i].rc);
		assert_int_equal(meta_durable(f.m), 1);
		atomic_store(&disk.write_errno, 0);
		atomic_store(&disk.sync_errno, 0);
		/* a later sync that succeeds says nothing about what the first left out (I3) */
		assert_int_equal(meta_sync(f.m), rows[i].rc);
		assert_int_equal(meta_throttle(f.m), rows[i].rc);
		assert_int_equal(meta_throttle_freeing(f.m), rows[i].rc);
		EVENTUALLY(atomic_load(&told.failures) == 1);
		assert_int_equal(atomic_load(&told.failed), rows[i].rc);
		assert_true(fix_lookup(&f, META_ROOT_INO, "b") > 0); /* still to be read */
		assert_int_equal(meta_close(f.m), rows[i].rc);
		fix_open(&f);
		assert_true(fix_lookup(&f, META_ROOT_INO, "a") > 0);
		assert_int_equal(fix_lookup(&f, META_ROOT_INO, "b") > 0, rows[i].committed);
		quiet(false);
		fix_end(&f);
	}
}

struct note {
	struct meta_record record;
	char letter;
	int times;
};
static char applied[16];
static atomic_int freed;

static void note_apply(struct meta_txn *txn, struct meta_record *r)
{
	struct note *n = container_of(r, struct note, record);

	n->times++;
	strncat(applied, &n->letter, 1);
	meta_txn_exec(txn, "INSERT INTO setting (key, value) VALUES (?1, x'')", "b", &n->letter, (size_t)1);
	meta_txn_exec(txn, "INSERT INTO setting (key, value) VALUES ('after', x'')", "");
}

static void note_free(struct meta_record *r)
{
	(void)r;
	atomic_fetch_add(&freed, 1);
}

static void note_count(struct meta_txn *txn, struct meta_record *r)
{
	struct note *n = container_of(r, struct note, record);

	n->times = (int)meta_txn_select_i64(txn, -1, "SELECT count(*) FROM setting WHERE key > ?1", "t", "0");
	assert_int_equal(meta_txn_select_i64(txn, -7, "SELECT 1 FROM setting WHERE key = ?1", "t", "none"), -7);
}

/* Records see each other in order; one that fails takes the whole batch with it, and says why. */
static void records_in_order(void **state)
{
	struct note n[3] = { { .letter = 'a' }, { .letter = 'b' }, { .letter = 'c' } };
	struct note count = { .record = { .apply = note_count, .free = note_free } };
	struct fix f;

	(void)state;
	start(&f, 0);
	quiet(true);
	atomic_store(&freed, 0);
	memset(applied, 0, sizeof applied);
	meta_lock(f.m);
	meta_queue(f.m, &count.record);
	meta_unlock(f.m);
	assert_int_equal(meta_commit(f.m), 0);
	assert_int_equal(count.times, 2);
	EVENTUALLY(atomic_load(&freed) == 1); /* after who waited for the commit goes on */
	meta_lock(f.m);
	for (size_t i = 0; i < COUNT(n); i++) {
		n[i].record.apply = note_apply;
		n[i].record.free = note_free;
		meta_queue(f.m, &n[i].record);
	}
	meta_unlock(f.m);
	/* the key of a row must be text: STRICT refuses the blob, and what comes after is not tried */
	assert_int_equal(meta_commit(f.m), -ERR_CORRUPT);
	assert_string_equal(applied, "a");
	assert_int_equal(meta_close(f.m), -ERR_CORRUPT);
	assert_int_equal(atomic_load(&freed), 4);
	quiet(false);
	fix_open(&f);
	fix_end(&f);
}

/* A record is applied again when its transaction is. */
static void again_apply(struct meta_txn *txn, struct meta_record *r)
{
	struct note *n = container_of(r, struct note, record);

	meta_txn_exec(txn, "UPDATE counter SET value = value + 1 WHERE name = ?1", "t", "open_count");
	if (!n->times++)
		meta_txn_fail(txn, -ENOMEM);
}

static void records_are_repeated(void **state)
{
	struct note n = { .record = { .apply = again_apply, .free = note_free } };
	struct fix f;

	(void)state;
	start(&f, 0);
	quiet(true);
	meta_lock(f.m);
	meta_queue(f.m, &n.record);
	meta_unlock(f.m);
	assert_int_equal(meta_commit(f.m), -ENOMEM);
	atomic_store(&disk.write_errno, ENOSPC);
	assert_int_equal(meta_commit(f.m), -ENOSPC);
	atomic_store(&disk.write_errno, 0);
	atomic_store(&freed, 0);
	assert_int_equal(meta_commit(f.m), 0);
	EVENTUALLY(atomic_load(&freed) == 1);
	assert_true(n.times >= 4);
	assert_int_equal(fix_sql(&f, "SELECT value FROM counter WHERE name = 'open_count'"), 2);
	quiet(false);
	fix_end(&f);
}

/* ---- bounds ---- */

static atomic_bool passed;

static void *throttled(void *arg)
{
	assert_int_equal(meta_throttle(arg), 0);
	atomic_store(&passed, true);
	return NULL;
}

static void throttle_waits(void **state)
{
	struct fix f;
	pthread_t thread;
	char name[16];

	(void)state;
	start(&f, 0);
	f.m->options.dirty_nodes_max = 20;
	atomic_store(&disk.hold, true);
	atomic_store(&passed, false);
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "%d", i);
		fix_make(&f, META_ROOT_INO, name, S_IFREG);
	}
	assert_int_equal(pthread_create(&thread, NULL, throttled, f.m), 0);
	usleep(50000);
	assert_false(atomic_load(&passed));
	atomic_store(&disk.hold, false);
	pthread_join(thread, NULL);
	assert_true(atomic_load(&passed));
	fix_end(&f);
}

/* Blobs count by what they weigh. */
static void throttle_weighs(void **state)
{
	struct fix f;
	struct inode *ip;
	pthread_t thread;
	char text[8001];

	(void)state;
	memset(text, 'x', 8000);
	text[8000] = 0;
	start(&f, 0);
	f.m->options.dirty_nodes_max = 100;
	ip = fix_inode(&f, fix_make(&f, META_ROOT_INO, "f", S_IFREG));
	atomic_store(&disk.hold, true);
	atomic_store(&passed, false);
	for (uint32_t i = 0; i < 20; i++)
		fix_write(&f, ip, i, text);
	assert_int_equal(pthread_create(&thread, NULL, throttled, f.m), 0);
	usleep(50000);
	assert_false(atomic_load(&passed));
	atomic_store(&disk.hold, false);
	pthread_join(thread, NULL);
	meta_inode_put(f.m, ip);
	fix_end(&f);
}

static bool checkpointer_rests(struct meta *m)
{
	bool rests;

	pthread_mutex_lock(&m->lock);
	rests = !m->checkpoint_busy && m->checkpoint_frames > m->wal_frames;
	pthread_mutex_unlock(&m->lock);
	return rests;
}

/* The log is used again from its start: it does not grow with what was ever written. */
static void log_is_bounded(void **state)
{
	struct fix f;
	struct inode *ip;
	char text[8001];

	(void)state;
	start(&f, 0);
	text[8000] = 0;
	ip = fix_inode(&f, fix_make(&f, META_ROOT_INO, "f", S_IFREG));
	for (uint32_t i = 0; i < 60; i++) {
		memset(text, 'a' + (int)i % 26, 8000); /* SQLite writes no page that stays the same */
		for (uint32_t k = 0; k < 200; k++)
			fix_write(&f, ip, k, text);
		assert_int_equal(meta_commit(f.m), 0);
		/* the checkpointer's turn, as with any load that is not a burst */
		EVENTUALLY(checkpointer_rests(f.m));
	}
	/* 60 * 200 * 8000 is 96 MB */
	assert_true(vfs_wal_bytes(f.m->vfs) < 20U << 20);
	meta_inode_put(f.m, ip);
	fix_reopen(&f);
	fix_audit(&f);
	fix_end(&f);
}

/* ---- what waits for what ---- */

static void *commit(void *arg)
{
	assert_int_equal(meta_commit(arg), 0);
	return NULL;
}

/* While a reader of SQLite and memory is between the two, nothing that it needs from memory becomes clean. */
static void finish_waits_for_readers(void **state)
{
	struct fix f;
	pthread_t thread;

	(void)state;
	start(&f, 0);
	fix_make(&f, META_ROOT_INO, "a", S_IFREG);
	pthread_rwlock_rdlock(&f.m->merge);
	assert_int_equal(pthread_create(&thread, NULL, commit, f.m), 0);
	usleep(50000);
	assert_int_equal(meta_committed(f.m), 0);
	pthread_rwlock_unlock(&f.m->merge);
	pthread_join(thread, NULL);
	assert_int_equal(meta_committed(f.m), 1);
	fix_end(&f);
}

struct getter {
	struct fix *f;
	struct inode *ip;
	struct block *b;
	int rc;
};

static void *get_block(void *arg)
{
	struct getter *g = arg;

	g->rc = meta_block_get(g->f->m, g->ip, 3, &g->b);
	return NULL;
}

/* A block dropped while one thread reads it from SQLite and another waits for that: both get it empty. */
static void dropped_while_loading(void **state)
{
	struct getter g[2];
	pthread_t thread[2];
	struct inode *ip;
	struct fix f;
	uint64_t ino;

	(void)state;
	start(&f, 0);
	ino = fix_make(&f, META_ROOT_INO, "f", S_IFREG);
	ip = fix_inode(&f, ino);
	fix_write(&f, ip, 3, "text");
	meta_inode_put(f.m, ip);
	fix_close(&f);
	memset(&told, 0, sizeof told);
	fix_open(&f);
	ip = fix_inode(&f, ino);
	readers_close(f.m); /* so that the load must read from the disk */
	atomic_store(&disk.hold_reads, true);
	for (int i = 0; i < 2; i++) {
		g[i] = (struct getter){ .f = &f, .ip = ip };
		assert_int_equal(pthread_create(&thread[i], NULL, get_block, &g[i]), 0);
	}
	EVENTUALLY(atomic_load(&disk.reading));
	meta_lock(f.m);
	assert_null(meta_block_peek(f.m, ino, 3));
	meta_blocks_drop(f.m, ip, 2, NULL);
	meta_unlock(f.m);
	atomic_store(&disk.hold_reads, false);
	for (int i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
		assert_int_equal(g[i].rc, 0);
		assert_ptr_equal(g[i].b, g[0].b);
		assert_int_equal(g[i].b->kind, BLOCK_NONE);
		assert_null(g[i].b->local);
		assert_false(g[i].b->dirty);
	}
	meta_block_put(f.m, g[0].b);
	meta_block_put(f.m, g[1].b);
	meta_inode_put(f.m, ip);
	fix_end(&f);
}

/* ---- kill -9 ---- */

/* The child says after each sync how far it is; whatever it said is there afterwards. */
static void child_runs(struct fix *f, int fd)
{
	char name[16];

	fix_open(f);
	for (uint32_t i = 0;; i++) {
		snprintf(name, sizeof name, "%u", i);
		fix_make(f, META_ROOT_INO, name, S_IFREG);
		if (i % 7 == 3) {
			snprintf(name, sizeof name, "%u", i - 2);
			fix_unlink(f, META_ROOT_INO, name);
		}
		if (i % 3 == 0 && (meta_sync(f->m) < 0 || write(fd, &i, sizeof i) != sizeof i))
			_exit(1);
	}
}

static void kill_anywhere(void **state)
{
	struct fix f;

	(void)state;
	memset(&disk, 0, sizeof disk);
	for (int round = 0; round < 10; round++) {
		uint32_t said = 0;
		char name[16];
		int fd[2];
		pid_t child;

		fix_new(&f);
		f.options.commit_interval_ns = NS_PER_MS;
		assert_int_equal(pipe(fd), 0);
		if (!(child = fork()))
			child_runs(&f, fd[1]);
		close(fd[1]);
		for (int i = 0; i < 20 + round * 17; i++)
			assert_int_equal(read(fd[0], &said, sizeof said), sizeof said);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		while (read(fd[0], &said, sizeof said) == sizeof said)
			;
		close(fd[0]);
		fix_open(&f);
		for (uint32_t i = 0; i <= said; i++) {
			bool gone = (i + 2) % 7 == 3;

			snprintf(name, sizeof name, "%u", i);
			if (i + 2 <= said)
				assert_int_equal(fix_lookup(&f, META_ROOT_INO, name) == 0, gone);
			else if (!gone)
				assert_true(fix_lookup(&f, META_ROOT_INO, name) > 0);
		}
		fix_audit(&f);
		fix_end(&f);
	}
}

/* What SQLite answers that may be otherwise the next time does not end the store. */
static void errors_have_classes(void **state)
{
	static const struct {
		int sqlite, rc;
	} rows[] = {
		{ SQLITE_FULL, -ENOSPC },
		{ SQLITE_NOMEM, -ENOMEM },
		{ SQLITE_BUSY, -EBUSY },
		{ SQLITE_BUSY_SNAPSHOT, -EBUSY },
		{ SQLITE_LOCKED, -EBUSY },
		{ SQLITE_PROTOCOL, -EBUSY },
		{ SQLITE_READONLY, -EROFS },
		{ SQLITE_CORRUPT, -ERR_CORRUPT },
		{ SQLITE_CANTOPEN, -EIO },
	};
	struct fix f;

	(void)state;
	fix_start(&f);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_int_equal(conn_error(f.m->writer, rows[i].sqlite), rows[i].rc);
	fix_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_are_numbered),
		cmocka_unit_test(commits_by_itself),
		cmocka_unit_test(commits_early),
		cmocka_unit_test(syncs_are_shared),
		cmocka_unit_test(operations_are_whole),
		cmocka_unit_test(full_disk),
		cmocka_unit_test(reserve_lets_deletions_through),
		cmocka_unit_test(refused_while_there_is_room),
		cmocka_unit_test(full_disk_at_close),
		cmocka_unit_test(fails_for_good),
		cmocka_unit_test(records_in_order),
		cmocka_unit_test(records_are_repeated),
		cmocka_unit_test(throttle_waits),
		cmocka_unit_test(throttle_weighs),
		cmocka_unit_test(log_is_bounded),
		cmocka_unit_test(finish_waits_for_readers),
		cmocka_unit_test(dropped_while_loading),
		cmocka_unit_test(kill_anywhere),
		cmocka_unit_test(errors_have_classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
