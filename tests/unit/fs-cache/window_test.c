/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What happens between two steps of one call: libc's fdatasync and pwrite are taken over, and act in between. */
#include "tests/unit/fs-cache/fixture.h"

#include <sys/syscall.h>

#define BLOCK (256u << 10)
#define SIZE  (3 * BLOCK)

struct test;
static struct {
	struct test *t;
	void (*on_fdatasync)(struct test *);
	void (*on_pwrite)(struct test *);
	int fdatasync_errno;
} hook;

/* Only in the calling thread, and once. */
static _Thread_local bool armed;

int fdatasync(int fd)
{
	if (armed && hook.fdatasync_errno) {
		errno = hook.fdatasync_errno;
		return -1;
	}
	if (armed && hook.on_fdatasync) {
		armed = false;
		hook.on_fdatasync(hook.t);
	}
	return (int)syscall(SYS_fdatasync, fd);
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t off)
{
	if (armed && hook.on_pwrite) {
		armed = false;
		hook.on_pwrite(hook.t);
	}
	return syscall(SYS_pwrite64, fd, buf, len, off);
}

struct test {
	struct fix f;
	struct inode *ip;
	uint8_t *bytes; /* the model */
	uint64_t size;
	uint8_t *fresh; /* other bytes */
};

static int setup(void **state)
{
	struct test *t = calloc(1, sizeof *t);
	uint64_t random = 3;

	fix_start(&t->f, BLOCK, 1 << 30);
	t->ip = fix_file(&t->f);
	t->bytes = malloc(2 * SIZE);
	t->fresh = malloc(SIZE);
	fix_fill_random(&random, t->bytes, 2 * SIZE);
	fix_fill_random(&random, t->fresh, SIZE);
	*state = t;
	hook.t = t;
	return 0;
}

static int teardown(void **state)
{
	struct test *t = *state;

	memset(&hook, 0, sizeof hook);
	armed = false;
	meta_inode_put(t->f.m, t->ip);
	fix_end(&t->f);
	free(t->bytes);
	free(t->fresh);
	free(t);
	return 0;
}

/* ---- changes of file and model together ---- */

static void cut(struct test *t, uint64_t size)
{
	assert_int_equal(fix_call(&t->f, t->ip, CALL_TRUNCATE, size, NULL, 0), 0);
	if (size < t->size)
		memset(t->bytes + size, 0, t->size - size);
	else
		memset(t->bytes + t->size, 0, size - t->size);
	t->size = size;
}

static void punch(struct test *t, uint64_t off, uint64_t len)
{
	assert_int_equal(fix_call(&t->f, t->ip, CALL_PUNCH, off, NULL, len), 0);
	memset(t->bytes + off, 0, len);
}

static void put(struct test *t, uint64_t off, uint64_t len)
{
	assert_int_equal(fix_write(&t->f, t->ip, off, t->fresh + off % UNIT, len), 0);
	memcpy(t->bytes + off, t->fresh + off % UNIT, len);
	t->size = off + len > t->size ? off + len : t->size;
}

/* ---- while a sync is under way ---- */

static void cut_on_a_unit(struct test *t)
{
	cut(t, BLOCK + 5 * UNIT);
}
static void cut_in_a_unit(struct test *t)
{
	cut(t, BLOCK + 5 * UNIT + 77);
}
static void cut_on_a_block(struct test *t)
{
	cut(t, BLOCK);
}
static void cut_to_nothing(struct test *t)
{
	cut(t, 0);
}
static void cut_and_grow(struct test *t)
{
	cut(t, BLOCK + 5 * UNIT);
	cut(t, SIZE);
}
static void cut_and_write(struct test *t)
{
	cut(t, 5 * UNIT);
	put(t, 2 * BLOCK + 9 * UNIT, 30 * UNIT);
}
static void cut_to_small_and_write(struct test *t)
{
	cut(t, 0);
	put(t, 0, 100);
}
static void grow(struct test *t)
{
	cut(t, SIZE + 10000);
}
static void punch_a_block(struct test *t)
{
	punch(t, BLOCK, BLOCK);
}
static void punch_a_part(struct test *t)
{
	punch(t, BLOCK + 3 * UNIT + 5, 9 * UNIT);
}
static void punch_a_block_and_write(struct test *t)
{
	punch(t, BLOCK, BLOCK);
	put(t, BLOCK + 4 * UNIT, 20 * UNIT);
}
static void overwrite(struct test *t)
{
	put(t, BLOCK / 2, BLOCK);
	put(t, 5, 7);
}
static void evict(struct test *t)
{
	cache_evict(t->f.c, UINT64_MAX);
}

static const struct {
	const char *what;
	void (*act)(struct test *);
	bool open; /* something is unsynced after it, or may be */
} windows[] = {
	{ "cut on a unit", cut_on_a_unit, false },
	{ "cut in a unit", cut_in_a_unit, true },
	{ "cut on a block", cut_on_a_block, false },
	{ "cut to nothing", cut_to_nothing, false },
	{ "cut and grow", cut_and_grow, true },
	{ "cut and write", cut_and_write, true },
	{ "cut to small and write", cut_to_small_and_write, false },
	{ "grow", grow, true },
	{ "punch a block", punch_a_block, false },
	{ "punch a part", punch_a_part, true },
	{ "punch a block and write", punch_a_block_and_write, true },
	{ "overwrite", overwrite, true },
	{ "evict", evict, false },
};

/* What a commit shows now, grown: nothing that the file does not have, beyond the size it shows. */
static void check_commit(struct test *t, bool exact)
{
	uint8_t *got = malloc(2 * SIZE);
	struct inode *ip;
	struct fix copy;
	uint64_t size;

	assert_int_equal(meta_sync(t->f.m), 0);
	fix_crash_meta(&t->f, &copy);
	fix_crash_files(&t->f, &copy);
	fix_open(&copy);
	ip = fix_inode(&copy, t->ip->ino);
	size = ip->size;
	assert_in_range(size, 0, t->size);
	if (exact)
		fix_check(&copy, ip, t->bytes, t->size);
	assert_int_equal(fix_call(&copy, ip, CALL_TRUNCATE, 2 * SIZE, NULL, 0), 0);
	assert_int_equal(fix_call(&copy, ip, CALL_READ, 0, got, 2 * SIZE), 0);
	for (uint64_t i = size; i < 2 * SIZE; i++)
		assert_int_equal(got[i], 0);
	meta_inode_put(copy.m, ip);
	fix_crash_end(&copy);
	free(got);
}

static void one_window(struct test *t, size_t i, bool synced_before)
{
	uint64_t ino;
	bool synced;

	print_message("%s%s\n", windows[i].what, synced_before ? ", synced before" : "");
	cut(t, 0);
	put(t, 0, SIZE - UNIT);
	put(t, SIZE - UNIT, UNIT);
	if (synced_before) {
		fix_sync(&t->f, t->ip);
		put(t, BLOCK / 2, BLOCK);
		put(t, 2 * BLOCK, 3 * UNIT + 5);
		put(t, 11, 13);
	}
	hook.on_fdatasync = windows[i].act;
	armed = true;
	assert_int_equal(cache_sync(t->f.c, t->ip), 0);
	assert_false(armed);
	hook.on_fdatasync = NULL;
	fix_check(&t->f, t->ip, t->bytes, t->size);
	/* a size cut below one that was not published yet waits for the next sync */
	synced = cache_is_synced(t->f.c, t->ip);
	if (synced_before && !windows[i].open)
		assert_true(synced);
	check_commit(t, synced);
	fix_check(&t->f, t->ip, t->bytes, t->size);
	fix_sync(&t->f, t->ip);
	check_commit(t, true);
	ino = t->ip->ino;
	meta_inode_put(t->f.m, t->ip);
	fix_close(&t->f);
	fix_open(&t->f);
	t->ip = fix_inode(&t->f, ino);
	fix_check(&t->f, t->ip, t->bytes, t->size);
}

static void during_a_sync(void **state)
{
	for (size_t i = 0; i < COUNT(windows); i++) {
		one_window(*state, i, false);
		one_window(*state, i, true);
	}
}

static void deleted(struct test *t)
{
	meta_lock(t->f.m);
	t->ip->nlink = 0;
	meta_unlock(t->f.m);
	cache_inode_gone(t->f.c, t->ip);
}

static void nothing_is_left(struct test *t)
{
	int64_t end = clock_mono_ns() + 20 * NS_PER_S;
	struct cache_status s;

	meta_inode_put(t->f.m, t->ip);
	t->ip = NULL;
	assert_int_equal(meta_sync(t->f.m), 0);
	do {
		files_reap(t->f.c);
		cache_status(t->f.c, &s);
	} while (s.bytes && clock_mono_ns() < end);
	assert_int_equal(s.bytes, 0);
	assert_int_equal(cache_sync_all(t->f.c), 0);
}

static void deletion_during_a_sync(void **state)
{
	struct test *t = *state;

	put(t, 0, SIZE);
	put(t, 9, 9);
	hook.on_fdatasync = deleted;
	armed = true;
	assert_int_equal(cache_sync(t->f.c, t->ip), 0);
	nothing_is_left(t);
}

/* After a failed fdatasync the kernel may have dropped what it could not write: nothing of the file is published, now
 * or by a sync that succeeds later. */
static void sync_that_fails(void **state)
{
	struct test *t = *state;

	log_to(open("/dev/null", O_WRONLY));
	put(t, 0, BLOCK);
	fix_sync(&t->f, t->ip);
	put(t, 0, 3 * BLOCK);
	hook.fdatasync_errno = EIO;
	armed = true;
	assert_int_equal(cache_sync(t->f.c, t->ip), -EIO);
	hook.fdatasync_errno = 0;
	assert_int_equal(t->ip->disk_size, BLOCK);
	assert_false(cache_is_synced(t->f.c, t->ip));
	fix_check(&t->f, t->ip, t->bytes, t->size);
	assert_int_equal(cache_sync(t->f.c, t->ip), -EIO);
	assert_int_equal(t->ip->disk_size, BLOCK);
	/* another file is not concerned; this one is whole again when it is written anew */
	cut(t, 0);
	put(t, 0, 2 * BLOCK);
	fix_sync(&t->f, t->ip);
	check_commit(t, true);
	log_to(-1);
}

/* ---- while slots are written without the block's mutex ---- */

static void extent_replaced(struct test *t)
{
	struct object_ref ref = { .zone = 1, .epoch = 1, .header_bytes = 256, .plain_bytes = BLOCK };
	struct extent e = { .len = BLOCK, .zone_id = 1 };
	struct block *b = fix_block(&t->f, t->ip, 0);
	uint32_t backend_id = 1;

	randombytes_buf(ref.id, sizeof ref.id);
	memcpy(e.object, ref.id, sizeof e.object);
	assert_int_equal(meta_object_begin(t->f.m, &ref, 1, &backend_id, 1), 0);
	meta_lock(t->f.m);
	meta_object_stored(t->f.m, ref.id, 1);
	meta_extent_set(t->f.m, b, &e, b->version);
	meta_unlock(t->f.m);
	meta_block_put(t->f.m, b);
}

static void written_over(struct test *t)
{
	put(t, 3 * UNIT, 2 * UNIT);
	put(t, 9 * UNIT, 20 * UNIT);
}

static void uploaded_and_evicted(struct test *t)
{
	put(t, 0, BLOCK);
	fix_sync(&t->f, t->ip);
	assert_int_equal(fix_upload(&t->f, t->ip, 0), 0);
	assert_int_equal(meta_sync(t->f.m), 0);
	while (!cache_evict(t->f.c, UINT64_MAX))
		;
}

static int fill_all(struct test *t)
{
	struct cache_need need = { .len = BLOCK };
	int rc;

	armed = true;
	rc = fix_fetch(&t->f, t->ip, &need);
	assert_false(armed);
	return rc;
}

static void during_a_fill(void **state)
{
	struct test *t = *state;
	struct cache_need need;
	uint8_t got[UNIT];

	/* what was fetched of one object is not kept as another's */
	uploaded_and_evicted(t);
	hook.on_pwrite = extent_replaced;
	assert_int_equal(fill_all(t), -ERR_STALE);
	assert_int_equal(cache_read(t->f.c, t->ip, 0, got, UNIT, &need), -ERR_NEED_FETCH);
	assert_int_equal(need.len, UNIT);
	/* nor does it cover what was written meanwhile */
	cut(t, 0);
	uploaded_and_evicted(t);
	hook.on_pwrite = written_over;
	assert_int_equal(fill_all(t), 0);
	fix_check(&t->f, t->ip, t->bytes, t->size);
	/* and an eviction in between leaves it alone */
	cut(t, 0);
	uploaded_and_evicted(t);
	hook.on_pwrite = evict;
	assert_int_equal(fill_all(t), 0);
	fix_check(&t->f, t->ip, t->bytes, t->size);
}

static pthread_t deleter;
static atomic_bool deleter_done;

static void *deleter_run(void *t)
{
	deleted(t);
	atomic_store(&deleter_done, true);
	return NULL;
}

/* By another thread, which gets as far as it can meanwhile. */
static void deleted_beside(struct test *t)
{
	int64_t end = clock_mono_ns() + NS_PER_S / 5;

	assert_int_equal(pthread_create(&deleter, NULL, deleter_run, t), 0);
	while (!atomic_load(&deleter_done) && clock_mono_ns() < end)
		usleep(1000);
}

/* A block written in part is fetched for its upload when the last name of its file goes. */
static void deletion_during_a_fill(void **state)
{
	struct test *t = *state;

	uploaded_and_evicted(t);
	put(t, 0, UNIT);
	hook.on_pwrite = deleted_beside;
	assert_int_equal(fill_all(t), 0);
	assert_int_equal(pthread_join(deleter, NULL), 0);
	nothing_is_left(t);
}

static void page_beside(struct test *t)
{
	/* a part of a unit that the large write covers: this call returns first, so the large one's bytes stay */
	assert_int_equal(fix_write(&t->f, t->ip, 7 * UNIT + 100, t->fresh, 200), 0);
}

static void during_a_large_write(void **state)
{
	struct test *t = *state;

	put(t, 0, BLOCK);
	hook.on_pwrite = page_beside;
	armed = true;
	put(t, 4 * UNIT, 30 * UNIT);
	assert_false(armed);
	fix_check(&t->f, t->ip, t->bytes, t->size);
	hook.on_pwrite = evict;
	armed = true;
	put(t, 2 * UNIT, 40 * UNIT);
	fix_check(&t->f, t->ip, t->bytes, t->size);
	fix_sync(&t->f, t->ip);
	check_commit(t, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(during_a_sync),
		TEST(deletion_during_a_sync),
		TEST(sync_that_fails),
		TEST(during_a_fill),
		TEST(deletion_during_a_fill),
		TEST(during_a_large_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
