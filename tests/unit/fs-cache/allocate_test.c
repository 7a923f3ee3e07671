/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Room that is set aside stays so: after a crash, on a backend, without the local copy. */
#include "tests/unit/fs-cache/one_file.h"

static int setup(void **state)
{
	return one_file_setup(state, 64u << 20, 17);
}

static void allocate(struct test *t, uint64_t off, size_t len)
{
	assert_int_equal(fix_call(&t->f, t->ip, CALL_ALLOCATE, off, NULL, len), 0);
}

static enum block_local kind_of(struct test *t, uint32_t index, bool *dirty)
{
	struct block *b = fix_block(&t->f, t->ip, index);
	enum block_local kind = b->kind;

	*dirty = b->dirty;
	meta_block_put(t->f.m, b);
	return kind;
}

/* What a crash now would leave. */
static void expect_left(struct test *t, uint64_t size, uint64_t bytes)
{
	uint64_t ino = t->ip->ino;
	struct fix copy;
	struct inode *ip;

	fix_crash_meta(&t->f, &copy);
	fix_crash_files(&t->f, &copy);
	fix_open(&copy);
	ip = fix_inode(&copy, ino);
	assert_int_equal(ip->size, size);
	assert_int_equal(ip->bytes, bytes);
	/* the map says so too: writing there takes no more */
	assert_int_equal(fix_write(&copy, ip, BLOCK + UNIT, t->bytes, UNIT), 0);
	assert_int_equal(ip->bytes, bytes);
	meta_inode_put(copy.m, ip);
	fix_crash_end(&copy);
}

static void survives_a_crash(void **state)
{
	struct test *t = *state;

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, BLOCK), 0);
	fix_sync(&t->f, t->ip);
	allocate(t, BLOCK, BLOCK);
	assert_int_equal(t->ip->size, BLOCK);
	assert_int_equal(t->ip->bytes, 2 * BLOCK);
	assert_int_equal(fix_fsync(&t->f, t->ip), 0);
	expect_left(t, BLOCK, 2 * BLOCK);
	/* and a small sync after it, of which only the log knows */
	assert_int_equal(fix_write(&t->f, t->ip, UNIT, t->bytes, UNIT), 0);
	assert_int_equal(fix_fsync(&t->f, t->ip), 0);
	expect_left(t, BLOCK, 2 * BLOCK);
	reopen(t);
	assert_int_equal(t->ip->bytes, 2 * BLOCK);
	assert_int_equal(fix_call(&t->f, t->ip, CALL_TRUNCATE, BLOCK, NULL, 0), 0);
	assert_int_equal(t->ip->bytes, BLOCK);
	assert_int_equal(meta_sync(t->f.m), 0);
	reopen(t);
	assert_int_equal(t->ip->bytes, BLOCK);
}

static void stays_when_stored(void **state)
{
	struct test *t = *state;
	uint8_t *expected = calloc(1, BLOCK);

	memcpy(expected + 2 * UNIT, t->bytes, UNIT);
	allocate(t, 0, 10 * UNIT);
	assert_int_equal(fix_write(&t->f, t->ip, 2 * UNIT, t->bytes, UNIT), 0);
	assert_int_equal(fix_call(&t->f, t->ip, CALL_TRUNCATE, BLOCK, NULL, 0), 0);
	fix_sync(&t->f, t->ip);
	assert_int_equal(fix_upload(&t->f, t->ip, 0), 0);
	assert_int_equal(meta_sync(t->f.m), 0);
	for (int64_t end = clock_mono_ns() + 20 * NS_PER_S; !cache_evict(t->f.c, UINT64_MAX) && clock_mono_ns() < end;)
		usleep(1000);
	reopen(t);
	assert_int_equal(t->ip->bytes, 10 * UNIT);
	fix_check(&t->f, t->ip, expected, BLOCK);
	/* one of them, and one beyond */
	assert_int_equal(fix_write(&t->f, t->ip, 9 * UNIT, t->bytes, 2 * UNIT), 0);
	assert_int_equal(t->ip->bytes, 11 * UNIT);
	memcpy(expected + 9 * UNIT, t->bytes, 2 * UNIT);
	fix_check(&t->f, t->ip, expected, BLOCK);
	assert_int_equal(fix_call(&t->f, t->ip, CALL_PUNCH, 3 * UNIT, NULL, 2 * UNIT), 0);
	assert_int_equal(t->ip->bytes, 9 * UNIT);
	free(expected);
}

/* A block in which nothing was written has nothing to upload, and is not lost for that. */
static void nothing_to_upload(void **state)
{
	struct cache_snapshot s;
	struct cache_need need;
	struct test *t = *state;
	bool dirty;

	allocate(t, 0, BLOCK);
	fix_sync(&t->f, t->ip);
	assert_int_equal(cache_snapshot(t->f.c, t->ip, 0, &s, &need), -ENOENT);
	assert_int_equal(kind_of(t, 0, &dirty), BLOCK_SLOTS);
	assert_true(dirty);
	assert_int_equal(fix_call(&t->f, t->ip, CALL_TRUNCATE, 0, NULL, 0), 0);
	assert_int_equal(kind_of(t, 0, &dirty), BLOCK_NONE);
	assert_false(dirty);
	assert_int_equal(t->ip->bytes, 0);
}

/* The bytes of a row become slots where more is set aside than the row counts for. */
static void of_a_small_file(void **state)
{
	struct test *t = *state;
	bool dirty;

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 1000), 0);
	allocate(t, 0, 1024);
	assert_int_equal(kind_of(t, 0, &dirty), BLOCK_INLINE);
	assert_int_equal(t->ip->bytes, 1024);
	allocate(t, 0, 1025);
	assert_int_equal(t->ip->bytes, UNIT);
	allocate(t, UNIT, 1);
	assert_int_equal(t->ip->bytes, 2 * UNIT);
	fix_sync(&t->f, t->ip);
	assert_int_equal(kind_of(t, 0, &dirty), BLOCK_SLOTS);
	fix_check(&t->f, t->ip, t->bytes, 1000);
	reopen(t);
	assert_int_equal(t->ip->bytes, 2 * UNIT);
	fix_check(&t->f, t->ip, t->bytes, 1000);
}

static void too_far(void **state)
{
	struct test *t = *state;

	assert_int_equal(fix_call(&t->f, t->ip, CALL_ALLOCATE, INT64_MAX, NULL, 4096), -EFBIG);
	assert_int_equal(fix_call(&t->f, t->ip, CALL_ALLOCATE, 1, NULL, INT64_MAX), -EFBIG);
	assert_int_equal(t->ip->bytes, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(survives_a_crash),
		TEST(stays_when_stored),
		TEST(nothing_to_upload),
		TEST(of_a_small_file),
		TEST(too_far),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
