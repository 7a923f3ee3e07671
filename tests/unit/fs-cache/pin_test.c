/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files whose local copies stay, and how many of them. */
#include "tests/unit/fs-cache/one_file.h"

#define BOUND	    (4u << 20)
#define BLOCK_BYTES ((uint64_t)BLOCK / UNIT * SLOT_BYTES)

static int setup(void **state)
{
	return one_file_setup(state, BOUND, 11);
}

static struct cache_status status(struct test *t)
{
	struct cache_status s;

	cache_status(t->f.c, &s);
	return s;
}

static void pin(struct test *t, struct inode *ip, uint32_t flag, bool on)
{
	meta_lock(t->f.m);
	ip->flags = on ? ip->flags | flag : ip->flags & ~flag;
	meta_inode_changed(t->f.m, ip);
	meta_unlock(t->f.m);
	cache_pinned(t->f.c, ip);
}

static void store(struct test *t, struct inode *ip, uint32_t blocks)
{
	for (uint32_t i = 0; i < blocks; i++)
		assert_int_equal(fix_write(&t->f, ip, (uint64_t)i * BLOCK, t->bytes, BLOCK), 0);
	fix_sync(&t->f, ip);
	for (uint32_t i = 0; i < blocks; i++)
		assert_int_equal(fix_upload(&t->f, ip, i), 0);
	assert_int_equal(meta_sync(t->f.m), 0);
}

/* The maintenance thread may have hold of a file for a moment. */
static void expect_left(struct test *t, uint64_t bytes)
{
	int64_t end = clock_mono_ns() + 20 * NS_PER_S;

	do
		cache_evict(t->f.c, UINT64_MAX);
	while (status(t).bytes != bytes && clock_mono_ns() < end);
	assert_int_equal(status(t).bytes, bytes);
}

static void pinned_files_stay(void **state)
{
	struct test *t = *state;
	struct inode *other = fix_file(&t->f), *small = fix_file(&t->f);
	uint8_t got[UNIT];

	store(t, t->ip, 2);
	store(t, other, 2);
	assert_int_equal(fix_write(&t->f, small, 0, t->bytes, 1000), 0);
	assert_int_equal(fix_upload(&t->f, small, 0), 0);
	assert_int_equal(meta_sync(t->f.m), 0);
	pin(t, t->ip, INODE_PINNED, true);
	pin(t, small, INODE_PINNED_RULE, true);
	assert_int_equal(meta_sync(t->f.m), 0);
	expect_left(t, 2 * BLOCK_BYTES + 1000);
	assert_int_equal(status(t).bytes_pinned, 2 * BLOCK_BYTES);
	assert_int_equal(status(t).pins_max, BOUND / 2);
	/* known again, and what is written since */
	meta_inode_put(t->f.m, other);
	meta_inode_put(t->f.m, small);
	reopen(t);
	assert_int_equal(status(t).bytes_pinned, 2 * BLOCK_BYTES);
	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes + 1, UNIT), 0);
	fix_sync(&t->f, t->ip);
	assert_int_equal(status(t).bytes_pinned, BLOCK_BYTES);
	assert_int_equal(fix_upload(&t->f, t->ip, 0), 0);
	assert_int_equal(meta_sync(t->f.m), 0);
	expect_left(t, 2 * BLOCK_BYTES + SLOT_BYTES + 1000);
	assert_int_equal(status(t).bytes_pinned, 2 * BLOCK_BYTES + SLOT_BYTES);
	/* one of two reasons goes, then the other */
	pin(t, t->ip, INODE_PINNED_RULE, true);
	pin(t, t->ip, INODE_PINNED, false);
	expect_left(t, 2 * BLOCK_BYTES + SLOT_BYTES + 1000);
	pin(t, t->ip, INODE_PINNED_RULE, false);
	assert_int_equal(status(t).bytes_pinned, 0);
	assert_int_equal(meta_sync(t->f.m), 0);
	expect_left(t, 1000);
	/* what is fetched stays from then on */
	pin(t, t->ip, INODE_PINNED, true);
	assert_int_equal(fix_call(&t->f, t->ip, CALL_READ, BLOCK, got, UNIT), 0);
	assert_int_equal(meta_sync(t->f.m), 0);
	assert_true(status(t).bytes_pinned >= SLOT_BYTES);
	cache_evict(t->f.c, UINT64_MAX);
	assert_true(status(t).bytes_pinned >= SLOT_BYTES);
}

/* Pins never take the room that others need: half of the cache is theirs. */
static void pins_are_bounded(void **state)
{
	struct test *t = *state;
	uint64_t most = BOUND / 2 / BLOCK_BYTES * BLOCK_BYTES;
	struct inode *other;

	store(t, t->ip, 12);
	pin(t, t->ip, INODE_PINNED, true);
	assert_int_equal(status(t).bytes_pinned, 12 * BLOCK_BYTES);
	expect_left(t, most);
	assert_int_equal(status(t).bytes_pinned, most);
	other = fix_file(&t->f);
	store(t, other, 6);
	meta_inode_put(t->f.m, other);
	assert_int_equal(meta_sync(t->f.m), 0);
	expect_left(t, most);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(pinned_files_stay),
		TEST(pins_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
