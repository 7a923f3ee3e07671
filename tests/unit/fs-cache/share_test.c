/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Blocks that are one object with several references. */
#include "tests/unit/fs-cache/one_file.h"

static int setup(void **state)
{
	return one_file_setup(state, 64u << 20, 12);
}

/* object: NULL for the one that it has */
static int share(struct test *t, uint32_t from, struct inode *to, uint32_t index, uint32_t len, const uint8_t *object)
{
	struct block *block;
	int rc;

	assert_int_equal(meta_block_get(t->f.m, t->ip, from, &block), 0);
	if (to != t->ip)
		pthread_rwlock_rdlock(&t->ip->data_lock);
	pthread_rwlock_wrlock(&to->data_lock);
	rc = cache_share(t->f.c, t->ip, from, to, index, len, object ? object : block->extent.object);
	pthread_rwlock_unlock(&to->data_lock);
	if (to != t->ip)
		pthread_rwlock_unlock(&t->ip->data_lock);
	meta_block_put(t->f.m, block);
	return rc;
}

static void stored(struct test *t, uint64_t len)
{
	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, len), 0);
	fix_sync(&t->f, t->ip);
	for (uint32_t i = 0; i * (uint64_t)BLOCK < len; i++)
		assert_int_equal(fix_upload(&t->f, t->ip, i), 0);
}

static int one_row(void *ctx, struct meta_row *row)
{
	*(int64_t *)ctx = meta_row_i64(row, 0);
	return 0;
}

static int64_t sql(struct test *t, const char *text)
{
	int64_t value = -1;

	assert_int_equal(meta_select(t->f.m, text, one_row, &value, ""), 0);
	return value;
}

static void references(struct test *t, int64_t objects, int64_t refs)
{
	assert_int_equal(sql(t, "SELECT count(*) FROM object WHERE state = 1"), objects);
	assert_int_equal(sql(t, "SELECT coalesce(sum(refs), 0) FROM object"), refs);
	assert_int_equal(sql(t, "SELECT count(*) FROM object o WHERE refs <> (SELECT count(*) FROM extent WHERE object "
				"= o.num)"),
		0);
}

static void becomes_the_same(void **state)
{
	struct test *t = *state;
	struct inode *to = fix_file(&t->f);
	uint64_t len = 2 * BLOCK + 5000;

	stored(t, len);
	references(t, 3, 3);
	assert_int_equal(share(t, 0, to, 0, BLOCK, NULL), 1);
	assert_int_equal(share(t, 1, to, 1, BLOCK, NULL), 1);
	assert_int_equal(share(t, 2, to, 2, 5000, NULL), 1);
	assert_int_equal(to->size, len);
	assert_int_equal(to->disk_size, len);
	assert_int_equal(to->bytes, 2 * BLOCK + 2 * UNIT);
	assert_int_equal(t->ip->bytes, to->bytes);
	assert_true(cache_is_synced(t->f.c, to));
	references(t, 3, 6);
	fix_check(&t->f, to, t->bytes, len);
	fix_check(&t->f, t->ip, t->bytes, len);
	fix_sync(&t->f, to);
	meta_inode_put(t->f.m, to);
}

/* A write to either side ends it for the block it writes to, and the object goes with the last one. */
static void a_write_ends_it(void **state)
{
	struct test *t = *state;
	struct inode *to = fix_file(&t->f);
	uint8_t *expected = malloc(2 * BLOCK);

	stored(t, 2 * BLOCK);
	assert_int_equal(share(t, 0, to, 0, BLOCK, NULL), 1);
	assert_int_equal(share(t, 1, to, 1, BLOCK, NULL), 1);
	memcpy(expected, t->bytes, 2 * BLOCK);
	memcpy(expected + 100, t->bytes + BLOCK, 10000);
	assert_int_equal(fix_write(&t->f, to, 100, t->bytes + BLOCK, 10000), 0);
	fix_check(&t->f, to, expected, 2 * BLOCK);
	fix_check(&t->f, t->ip, t->bytes, 2 * BLOCK);
	references(t, 2, 4);
	fix_sync(&t->f, to);
	assert_int_equal(fix_upload(&t->f, to, 0), 0);
	references(t, 3, 4);
	/* the source's turn: its block 1 is what the target's was */
	assert_int_equal(fix_write(&t->f, t->ip, BLOCK, t->bytes, UNIT), 0);
	fix_sync(&t->f, t->ip);
	assert_int_equal(fix_upload(&t->f, t->ip, 1), 0);
	references(t, 4, 4);
	fix_check(&t->f, to, expected, 2 * BLOCK);
	assert_int_equal(fix_call(&t->f, t->ip, CALL_TRUNCATE, 0, NULL, 0), 0);
	references(t, 2, 2);
	fix_check(&t->f, to, expected, 2 * BLOCK);
	meta_inode_put(t->f.m, to);
	free(expected);
}

/* What the target had goes: local copies, a row, an object of its own. */
static void takes_the_place_of_what_was(void **state)
{
	struct test *t = *state;
	struct inode *to = fix_file(&t->f);

	stored(t, BLOCK);
	for (int how = 0; how < 3; how++) {
		assert_int_equal(fix_call(&t->f, to, CALL_TRUNCATE, 0, NULL, 0), 0);
		assert_int_equal(fix_write(&t->f, to, 0, t->bytes + BLOCK, how == 0 ? 1000 : BLOCK / 2), 0);
		fix_sync(&t->f, to);
		if (how == 2)
			assert_int_equal(fix_upload(&t->f, to, 0), 0);
		assert_int_equal(share(t, 0, to, 0, BLOCK, NULL), 1);
		assert_int_equal(to->bytes, BLOCK);
		fix_check(&t->f, to, t->bytes, BLOCK);
		references(t, 1, 2);
	}
	meta_inode_put(t->f.m, to);
}

static void what_is_not_shared(void **state)
{
	struct test *t = *state;
	static const uint8_t other[OBJECT_ID_BYTES] = { 1 };
	struct inode *to = fix_file(&t->f);

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, BLOCK), 0);
	assert_int_equal(share(t, 0, to, 0, BLOCK, NULL), 0);
	fix_sync(&t->f, t->ip);
	assert_int_equal(share(t, 0, to, 0, BLOCK, NULL), 0);
	assert_int_equal(fix_upload(&t->f, t->ip, 0), 0);
	/* another object than was asked for; a part; a hole */
	assert_int_equal(share(t, 0, to, 0, BLOCK, other), 0);
	assert_int_equal(share(t, 0, to, 0, BLOCK - 1, NULL), 0);
	assert_int_equal(share(t, 1, to, 0, BLOCK, NULL), 0);
	/* changed since it was stored */
	assert_int_equal(fix_write(&t->f, t->ip, 7, t->bytes, 1), 0);
	assert_int_equal(share(t, 0, to, 0, BLOCK, NULL), 0);
	fix_sync(&t->f, t->ip);
	assert_int_equal(fix_upload(&t->f, t->ip, 0), 0);
	/* a target whose size on disk waits for a sync */
	assert_int_equal(fix_write(&t->f, to, 0, t->bytes, 20000), 0);
	assert_int_equal(share(t, 0, to, 0, BLOCK, NULL), 0);
	references(t, 1, 1);
	fix_sync(&t->f, to);
	assert_int_equal(share(t, 0, to, 0, BLOCK, NULL), 1);
	meta_inode_put(t->f.m, to);
}

static void a_quota_counts_for_each(void **state)
{
	const struct meta_usage none = { 0, 0 };
	const struct meta_quota quota = { OWNER_USER, 1, { 0, 2 * BLOCK - 1 } };
	struct test *t = *state;
	struct inode *to = fix_file(&t->f);

	stored(t, BLOCK);
	assert_int_equal(meta_quotas_set(t->f.m, &none, &quota, 1), 0);
	assert_int_equal(share(t, 0, to, 0, BLOCK, NULL), -EDQUOT);
	assert_int_equal(to->size, 0);
	assert_int_equal(to->bytes, 0);
	references(t, 1, 1);
	meta_inode_put(t->f.m, to);
}

static void holes_stay(void **state)
{
	struct test *t = *state;
	struct inode *to = fix_file(&t->f);
	uint8_t *expected = calloc(1, BLOCK), got[UNIT];
	struct cache_need need;

	memcpy(expected + 40 * UNIT, t->bytes, UNIT);
	assert_int_equal(fix_write(&t->f, t->ip, 40 * UNIT, t->bytes, UNIT), 0);
	assert_int_equal(fix_call(&t->f, t->ip, CALL_TRUNCATE, BLOCK, NULL, 0), 0);
	fix_sync(&t->f, t->ip);
	assert_int_equal(fix_upload(&t->f, t->ip, 0), 0);
	assert_int_equal(share(t, 0, to, 0, BLOCK, NULL), 1);
	assert_int_equal(to->bytes, UNIT);
	assert_int_equal(cache_read(t->f.c, to, 4 * UNIT, got, UNIT, &need), 0);
	assert_memory_equal(got, expected, UNIT);
	fix_check(&t->f, to, expected, BLOCK);
	assert_int_equal(fix_call(&t->f, to, CALL_PUNCH, 0, NULL, BLOCK), 0);
	assert_int_equal(to->bytes, 0);
	references(t, 1, 1);
	meta_inode_put(t->f.m, to);
	free(expected);
}

static void inside_one_file(void **state)
{
	struct test *t = *state;
	uint8_t *expected = malloc(2 * BLOCK);

	stored(t, 2 * BLOCK);
	memcpy(expected, t->bytes + BLOCK, BLOCK);
	memcpy(expected + BLOCK, t->bytes + BLOCK, BLOCK);
	assert_int_equal(share(t, 1, t->ip, 0, BLOCK, NULL), 1);
	references(t, 1, 2);
	fix_check(&t->f, t->ip, expected, 2 * BLOCK);
	assert_int_equal(t->ip->bytes, 2 * BLOCK);
	free(expected);
}

/* All of an operation is there after a crash, or none of it. */
static void a_crash_keeps_all_or_nothing(void **state)
{
	struct test *t = *state;
	struct inode *to = fix_file(&t->f), *ip;
	struct fix crash;

	stored(t, BLOCK);
	assert_int_equal(meta_sync(t->f.m), 0);
	for (int done = 0; done < 2; done++) {
		if (done)
			assert_int_equal(share(t, 0, to, 0, BLOCK, NULL), 1);
		assert_int_equal(meta_commit(t->f.m), 0);
		fix_crash_meta(&t->f, &crash);
		fix_crash_files(&t->f, &crash);
		fix_open(&crash);
		ip = fix_inode(&crash, to->ino);
		assert_int_equal(ip->bytes, done ? BLOCK : 0);
		fix_check(&crash, ip, t->bytes, done ? BLOCK : 0);
		meta_inode_put(crash.m, ip);
		fix_crash_end(&crash);
	}
	meta_inode_put(t->f.m, to);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(becomes_the_same),
		TEST(a_write_ends_it),
		TEST(takes_the_place_of_what_was),
		TEST(what_is_not_shared),
		TEST(a_quota_counts_for_each),
		TEST(holes_stay),
		TEST(inside_one_file),
		TEST(a_crash_keeps_all_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
