/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Syncs that a record of the intent log makes durable: what a crash leaves of them, and which go the long way. */
#include "tests/unit/fs-cache/fixture.h"

#define BLOCK (256u << 10)
#define BYTES (2 * BLOCK)

struct world {
	struct fix f;
	struct inode *ip;
	uint8_t bytes[BYTES]; /* what the file is to hold */
	uint64_t size;
	uint64_t random;
};

/* ---- steps ---- */

static void put(struct world *w, uint64_t off, size_t len)
{
	fix_fill_random(&w->random, w->bytes + off, len);
	assert_int_equal(fix_write(&w->f, w->ip, off, w->bytes + off, len), 0);
	if (w->size < off + len)
		w->size = off + len;
}

static void cut(struct world *w, uint64_t size)
{
	assert_int_equal(fix_call(&w->f, w->ip, CALL_TRUNCATE, size, NULL, 0), 0);
	if (size < w->size)
		memset(w->bytes + size, 0, w->size - size);
	w->size = size;
}

static void punch(struct world *w, uint64_t off, size_t len)
{
	assert_int_equal(fix_call(&w->f, w->ip, CALL_PUNCH, off, NULL, len), 0);
	memset(w->bytes + off, 0, len);
}

/* Whether it went by the log. */
static bool fsync_logs(struct world *w)
{
	uint64_t durable = meta_durable(w->f.m), last = intentlog_last(w->f.c->log);

	assert_int_equal(fix_fsync(&w->f, w->ip), 0);
	assert_true(meta_durable(w->f.m) == durable || intentlog_last(w->f.c->log) == last);
	return meta_durable(w->f.m) == durable;
}

static void logged(struct world *w)
{
	assert_true(fsync_logs(w));
}

static void in_full(struct world *w)
{
	assert_false(fsync_logs(w));
}

/* The thread does nothing meanwhile: what it brings where it belongs needs no log. */
static void hold_thread(struct world *w)
{
	pthread_mutex_lock(&w->f.c->sync_all);
}

static void let_thread(struct world *w)
{
	pthread_mutex_unlock(&w->f.c->sync_all);
}

static void start(struct world *w, uint64_t intent_bytes)
{
	memset(w, 0, sizeof *w);
	w->random = 88172645463325252;
	fix_start(&w->f, BLOCK, 1 << 30);
	fix_close(&w->f);
	w->f.options.intent_bytes = intent_bytes;
	fix_open(&w->f);
	hold_thread(w);
	assert_int_equal(intentlog_prepare(w->f.c->log), 0);
}

static void file(struct world *w, uint64_t size)
{
	w->ip = fix_file(&w->f);
	w->size = 0;
	memset(w->bytes, 0, sizeof w->bytes);
	put(w, 0, size);
	in_full(w);
}

static void end(struct world *w)
{
	let_thread(w);
	fix_end(&w->f);
}

/* What a crash now would leave, opened again. */
static void crash(struct world *w, struct fix *copy)
{
	fix_crash_meta(&w->f, copy);
	fix_crash_files(&w->f, copy);
	fix_open(copy);
}

static void survives(struct world *w)
{
	struct inode *ip;
	struct fix copy;

	crash(w, &copy);
	ip = fix_inode(&copy, w->ip->ino);
	fix_check(&copy, ip, w->bytes, w->size);
	recount_usage(copy.m);
	meta_inode_put(copy.m, ip);
	fix_crash_end(&copy);
}

/* ---- what survives ---- */

static void step_overwrite(struct world *w)
{
	put(w, 3 * UNIT, UNIT);
	logged(w);
	put(w, 3 * UNIT + 5, 100);
	put(w, 7 * UNIT + 1, 2 * UNIT);
	logged(w);
	survives(w);
}

/* The log that was read is read again, after a crash and after a close, when the file has changed since. */
static void step_read_twice(struct world *w)
{
	struct inode *ip;
	struct fix copy, second;

	put(w, UNIT, UNIT);
	logged(w);
	crash(w, &copy);
	ip = fix_inode(&copy, w->ip->ino);
	fix_crash_meta(&copy, &second);
	fix_crash_files(&copy, &second);
	fix_open(&second);
	meta_inode_put(copy.m, ip);
	ip = fix_inode(&second, w->ip->ino);
	fix_check(&second, ip, w->bytes, w->size);
	fix_crash_end(&copy);
	/* newer now than what is still in the log */
	put(w, UNIT, 10);
	assert_int_equal(fix_write(&second, ip, UNIT, w->bytes + UNIT, 10), 0);
	fix_sync(&second, ip);
	crash(&(struct world){ .f = second }, &copy);
	meta_inode_put(second.m, ip);
	fix_crash_end(&second);
	ip = fix_inode(&copy, w->ip->ino);
	fix_check(&copy, ip, w->bytes, w->size);
	meta_inode_put(copy.m, ip);
	fix_crash_end(&copy);
}

static void step_append(struct world *w)
{
	for (int i = 0; i < 5; i++) {
		put(w, w->size, 1000 + (size_t)i * 3000);
		logged(w);
	}
	survives(w);
}

static void step_last_wins(struct world *w)
{
	for (int i = 0; i < 20; i++) {
		put(w, UNIT, UNIT);
		logged(w);
	}
	survives(w);
}

static void step_two_blocks(struct world *w)
{
	put(w, BLOCK - 2000, 4000);
	put(w, BLOCK + 9 * UNIT, 7);
	logged(w);
	survives(w);
}

static void step_unsynced_is_lost(struct world *w)
{
	static uint8_t junk[UNIT] = { 1 };

	put(w, 2 * UNIT, UNIT);
	logged(w);
	assert_int_equal(fix_write(&w->f, w->ip, 2 * UNIT, junk, sizeof junk), 0);
	assert_int_equal(fix_write(&w->f, w->ip, w->size, junk, sizeof junk), 0);
	survives(w);
}

/* What went where it belongs since is not brought back by an older entry. */
static void step_published_later(struct world *w)
{
	put(w, UNIT, UNIT);
	logged(w);
	put(w, UNIT, UNIT);
	fix_sync(&w->f, w->ip);
	put(w, 2 * UNIT, UNIT);
	logged(w);
	survives(w);
}

static void step_emptied(struct world *w)
{
	put(w, UNIT, UNIT);
	logged(w);
	cut(w, 0);
	in_full(w);
	put(w, 0, 3 * UNIT);
	logged(w);
	survives(w);
}

static void step_cut(struct world *w)
{
	put(w, UNIT, 4 * UNIT);
	logged(w);
	cut(w, 2 * UNIT + 77);
	in_full(w);
	cut(w, 10 * UNIT);
	in_full(w);
	put(w, 4 * UNIT, UNIT);
	logged(w);
	survives(w);
}

/* Cut and never synced: the whole of before, or the whole of after. */
static void step_emptied_unsynced(struct world *w)
{
	static uint8_t before[BYTES];
	uint64_t size;

	put(w, UNIT, UNIT);
	logged(w);
	size = w->size;
	memcpy(before, w->bytes, size);
	cut(w, 0);
	memcpy(w->bytes, before, size);
	w->size = size;
	survives(w);
	assert_int_equal(meta_sync(w->f.m), 0);
	memset(w->bytes, 0, size);
	w->size = 0;
	survives(w);
}

static void step_punched(struct world *w)
{
	put(w, UNIT, 4 * UNIT);
	logged(w);
	punch(w, 2 * UNIT, UNIT + 100);
	in_full(w);
	put(w, 2 * UNIT, 10);
	logged(w);
	survives(w);
}

static void step_times(struct world *w)
{
	struct timespec then = { 1234567890, 987654321 };
	struct inode *ip;
	struct fix copy;

	meta_lock(w->f.m);
	w->ip->mtime = w->ip->atime = w->ip->ctime = then;
	meta_inode_written(w->f.m, w->ip);
	meta_unlock(w->f.m);
	logged(w);
	crash(w, &copy);
	ip = fix_inode(&copy, w->ip->ino);
	assert_int_equal(ip->mtime.tv_sec, then.tv_sec);
	assert_int_equal(ip->ctime.tv_nsec, then.tv_nsec);
	assert_int_equal(ip->atime.tv_nsec, then.tv_nsec);
	meta_inode_put(copy.m, ip);
	fix_crash_end(&copy);
	/* a batch after it has newer ones */
	meta_lock(w->f.m);
	w->ip->mtime.tv_sec++;
	meta_inode_written(w->f.m, w->ip);
	meta_unlock(w->f.m);
	assert_int_equal(meta_sync(w->f.m), 0);
	crash(w, &copy);
	ip = fix_inode(&copy, w->ip->ino);
	assert_int_equal(ip->mtime.tv_sec, then.tv_sec + 1);
	meta_inode_put(copy.m, ip);
	fix_crash_end(&copy);
}

/* What the file counts for is what it did, with a batch between the entry and the crash and without. */
static void step_counted(struct world *w)
{
	uint64_t bytes;
	struct inode *ip;
	struct fix copy;

	put(w, w->size, 2 * UNIT);
	logged(w);
	survives(w);
	meta_lock(w->f.m);
	meta_inode_written(w->f.m, w->ip);
	bytes = w->ip->bytes;
	meta_unlock(w->f.m);
	assert_int_equal(bytes, (w->size + UNIT - 1) / UNIT * UNIT);
	assert_int_equal(meta_sync(w->f.m), 0);
	crash(w, &copy);
	ip = fix_inode(&copy, w->ip->ino);
	assert_int_equal(ip->bytes, bytes);
	recount_usage(copy.m);
	meta_inode_put(copy.m, ip);
	fix_crash_end(&copy);
}

/* Of an inode that is gone nothing is written. */
static void step_deleted(struct world *w)
{
	struct inode *ip;
	struct fix copy;

	put(w, 0, UNIT);
	logged(w);
	meta_lock(w->f.m);
	w->ip->nlink = 0;
	meta_inode_changed(w->f.m, w->ip);
	meta_unlock(w->f.m);
	cache_inode_gone(w->f.c, w->ip);
	assert_int_equal(meta_sync(w->f.m), 0);
	crash(w, &copy);
	assert_int_equal(meta_inode_get(copy.m, w->ip->ino, &ip), -ENOENT);
	fix_crash_end(&copy);
}

static void step_nothing_to_do(struct world *w)
{
	uint64_t last = intentlog_last(w->f.c->log);

	logged(w);
	assert_int_equal(intentlog_last(w->f.c->log), last);
	put(w, 0, 1);
	logged(w);
	assert_int_equal(intentlog_last(w->f.c->log), last + 1);
	survives(w);
}

/* ---- what takes the long way ---- */

static void step_large(struct world *w)
{
	put(w, 0, 32 * UNIT); /* sealed at once */
	in_full(w);
	for (int i = 0; i < 65; i++)
		put(w, (uint64_t)i * UNIT, 1);
	in_full(w);
	for (int i = 0; i < 64; i++)
		put(w, (uint64_t)i * UNIT, 1);
	logged(w);
	survives(w);
}

static void step_attributes(struct world *w)
{
	put(w, 0, 1);
	meta_lock(w->f.m);
	w->ip->mode = S_IFREG | 0444;
	meta_inode_changed(w->f.m, w->ip);
	meta_unlock(w->f.m);
	in_full(w);
	put(w, 0, 1);
	logged(w);
}

static void named(struct world *w, uint64_t parent, const char *name, uint64_t ino, uint8_t type)
{
	struct dentry *d;

	assert_int_equal(meta_dentry_get(w->f.m, parent, name, &d), 0);
	meta_lock(w->f.m);
	meta_dentry_set(w->f.m, d, ino, type);
	meta_unlock(w->f.m);
	meta_dentry_put(w->f.m, d);
}

/* Its own name, taken or given, and any directory's; but not another file's. */
static void step_names(struct world *w)
{
	struct inode *other = fix_file(&w->f), *dir;

	put(w, 0, 1);
	named(w, META_ROOT_INO, "other", other->ino, DT_REG);
	logged(w);
	named(w, META_ROOT_INO, "name", w->ip->ino, DT_REG);
	in_full(w);
	put(w, 0, 1);
	logged(w);
	named(w, META_ROOT_INO, "name", 0, 0);
	in_full(w);
	put(w, 0, 1);
	logged(w);
	meta_lock(w->f.m);
	assert_non_null(dir = meta_inode_new(w->f.m, S_IFDIR | 0700, 1, 2, 0));
	dir->nlink = 2;
	meta_inode_changed(w->f.m, dir);
	meta_unlock(w->f.m);
	logged(w);
	named(w, META_ROOT_INO, "dir", dir->ino, DT_DIR);
	put(w, 0, 1);
	in_full(w);
	named(w, META_ROOT_INO, "dir", 0, 0);
	put(w, 0, 1);
	in_full(w);
	put(w, 0, 1);
	logged(w);
	meta_inode_put(w->f.m, dir);
	meta_inode_put(w->f.m, other);
}

static int shares(struct world *w, struct inode *from)
{
	struct block *block;
	int rc;

	assert_int_equal(meta_block_get(w->f.m, from, 0, &block), 0);
	pthread_rwlock_rdlock(&from->data_lock);
	pthread_rwlock_wrlock(&w->ip->data_lock);
	rc = cache_share(w->f.c, from, 0, w->ip, 0, BLOCK, block->extent.object);
	pthread_rwlock_unlock(&w->ip->data_lock);
	pthread_rwlock_unlock(&from->data_lock);
	meta_block_put(w->f.m, block);
	return rc;
}

/* A block that becomes another file's: not while the log has units of it; and it is in no entry itself. */
static void step_shared(struct world *w)
{
	struct inode *from = fix_file(&w->f);
	static uint8_t bytes[BLOCK];

	fix_fill_random(&w->random, bytes, sizeof bytes);
	assert_int_equal(fix_write(&w->f, from, 0, bytes, sizeof bytes), 0);
	fix_sync(&w->f, from);
	assert_int_equal(fix_upload(&w->f, from, 0), 0);
	assert_int_equal(meta_sync(w->f.m), 0);
	put(w, 10, 1000);
	logged(w);
	if (w->size > META_INLINE_MAX) {
		assert_int_equal(shares(w, from), 0);
		assert_int_equal(cache_sync(w->f.c, w->ip), 0);
	}
	assert_int_equal(shares(w, from), 1);
	survives(w);
	memcpy(w->bytes, bytes, sizeof bytes);
	if (w->size < sizeof bytes)
		w->size = sizeof bytes;
	in_full(w);
	survives(w);
	put(w, 3 * UNIT, UNIT);
	logged(w);
	survives(w);
	/* and with a write on top of what is not durable */
	put(w, 0, sizeof bytes / 2);
	in_full(w);
	assert_int_equal(shares(w, from), 1);
	memcpy(w->bytes, bytes, sizeof bytes);
	put(w, 5 * UNIT, UNIT);
	in_full(w);
	survives(w);
	meta_inode_put(w->f.m, from);
}

/* While another sync is between what it captured and its rows, what it captured is nowhere. */
static void step_beside_a_sync(struct world *w)
{
	struct cnode *n;

	put(w, 0, UNIT);
	assert_int_equal(cnode_get(w->f.c, w->ip->ino, &n), 0);
	pthread_mutex_lock(&w->f.c->lock);
	n->syncing = true;
	pthread_mutex_unlock(&w->f.c->lock);
	assert_int_equal(intent_sync(w->f.c, w->ip, NULL), -EAGAIN);
	pthread_mutex_lock(&w->f.c->lock);
	n->syncing = false;
	pthread_mutex_unlock(&w->f.c->lock);
	cnode_put(w->f.c, n);
	logged(w);
	/* and when its rows are not durable */
	put(w, 0, UNIT);
	assert_int_equal(cache_sync(w->f.c, w->ip), 0);
	put(w, UNIT, UNIT);
	assert_int_equal(intent_sync(w->f.c, w->ip, NULL), -EAGAIN);
	in_full(w);
}

static void step_grown(struct world *w)
{
	put(w, 0, 1);
	cut(w, w->size + 100);
	in_full(w);
	put(w, 0, 1);
	logged(w);
	survives(w);
}

/* Both halves are full and nobody settles them. */
static void step_full(struct world *w)
{
	bool logs = true;

	for (int i = 0; i < 2000 && logs; i++) {
		put(w, (uint64_t)(i % 100) * UNIT, UNIT);
		logs = fsync_logs(w);
	}
	assert_false(logs);
	survives(w);
	let_thread(w);
	/* it does when it can, whenever that is, and there is room again */
	for (int i = 0; i < 5000 && !logs; i++) {
		uint64_t last = intentlog_last(w->f.c->log);

		put(w, 0, UNIT);
		assert_int_equal(fix_fsync(&w->f, w->ip), 0);
		logs = intentlog_last(w->f.c->log) > last;
		usleep(1000);
	}
	hold_thread(w);
	assert_true(logs);
	survives(w);
}

static const struct {
	const char *name;
	void (*run)(struct world *);
	bool small; /* also with bytes in the row */
} steps[] = {
	{ "overwrite", step_overwrite, false },
	{ "read twice", step_read_twice, true },
	{ "append", step_append, true },
	{ "last wins", step_last_wins, false },
	{ "two blocks", step_two_blocks, true },
	{ "what was not synced is lost", step_unsynced_is_lost, false },
	{ "published later", step_published_later, false },
	{ "emptied", step_emptied, true },
	{ "cut", step_cut, true },
	{ "emptied and not synced", step_emptied_unsynced, true },
	{ "punched", step_punched, true },
	{ "times", step_times, true },
	{ "counted", step_counted, true },
	{ "deleted", step_deleted, true },
	{ "nothing to do", step_nothing_to_do, true },
	{ "large", step_large, false },
	{ "attributes", step_attributes, true },
	{ "names", step_names, true },
	{ "beside a sync", step_beside_a_sync, false },
	{ "grown", step_grown, true },
	{ "shared", step_shared, true },
};

static void each_step(void **state)
{
	struct world w;

	(void)state;
	start(&w, 0);
	for (size_t i = 0; i < 2 * COUNT(steps); i++) {
		if (i % 2 && !steps[i / 2].small)
			continue;
		print_message("%s%s\n", steps[i / 2].name, i % 2 ? ", small" : "");
		file(&w, i % 2 ? 100 : 100 * UNIT + 9);
		steps[i / 2].run(&w);
		meta_inode_put(w.f.m, w.ip);
	}
	end(&w);
}

static void full(void **state)
{
	struct world w;

	(void)state;
	start(&w, 256 << 10);
	file(&w, 100 * UNIT);
	step_full(&w);
	meta_inode_put(w.f.m, w.ip);
	end(&w);
}

/* A record that was synced and is damaged is not passed over: the store says so and does not open. */
static void damaged(void **state)
{
	struct errmsg msg = { 0 };
	struct world w;
	struct fix copy;
	char path[128];
	uint8_t byte;
	int fd;

	(void)state;
	start(&w, 0);
	file(&w, 100 * UNIT);
	put(&w, 0, UNIT);
	logged(&w);
	put(&w, UNIT, UNIT);
	logged(&w);
	fix_crash_meta(&w.f, &copy);
	fix_crash_files(&w.f, &copy);
	snprintf(path, sizeof path, "%s/cache/" INTENTLOG_NAME, copy.dir);
	assert_true((fd = open(path, O_RDWR)) >= 0);
	assert_int_equal(pread(fd, &byte, 1, 1000), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, 1000), 1);
	close(fd);
	assert_int_equal(meta_open(&copy.m, copy.dir, copy.keyring, NULL, NULL), 0);
	assert_int_equal(cache_open(&copy.c, copy.dir, copy.keyring, copy.m, &copy.options, &msg), -ERR_TAMPERED);
	assert_null(copy.c);
	assert_non_null(strstr(msg.text, "remove that file"));
	errmsg_free(&msg);
	assert_int_equal(meta_close(copy.m), 0);
	/* it is as it was, and without the file it opens as of before */
	assert_int_equal(meta_open(&copy.m, copy.dir, copy.keyring, NULL, NULL), 0);
	assert_int_equal(cache_open(&copy.c, copy.dir, copy.keyring, copy.m, &copy.options, NULL), -ERR_TAMPERED);
	assert_int_equal(meta_close(copy.m), 0);
	assert_int_equal(unlink(path), 0);
	fix_open(&copy);
	fix_crash_end(&copy);
	meta_inode_put(w.f.m, w.ip);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_step),
		cmocka_unit_test(full),
		cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
