/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The holes of a block stay holes when it is on a backend, and when its local copy goes. */
#include "tests/unit/fs-cache/one_file.h"

static int setup(void **state)
{
	return one_file_setup(state, 64u << 20, 11);
}

/* cache_next, in block 0. */
static uint32_t next(struct test *t, uint32_t off, bool data)
{
	uint32_t at = 0;

	pthread_rwlock_rdlock(&t->ip->data_lock);
	assert_int_equal(cache_next(t->f.c, t->ip, 0, off, data, &at), 0);
	pthread_rwlock_unlock(&t->ip->data_lock);
	return at;
}

/* Units 3 and 40 of block 0, and all of block 1. */
static void write_sparse(struct test *t, uint8_t *expected)
{
	memset(expected, 0, BLOCK);
	memcpy(expected + 3 * UNIT, t->bytes, UNIT);
	memcpy(expected + 40 * UNIT, t->bytes, UNIT);
	memcpy(expected + BLOCK, t->bytes, BLOCK);
	assert_int_equal(fix_write(&t->f, t->ip, 3 * UNIT, t->bytes, UNIT), 0);
	assert_int_equal(fix_write(&t->f, t->ip, 40 * UNIT, t->bytes, UNIT), 0);
	assert_int_equal(fix_write(&t->f, t->ip, BLOCK, t->bytes, BLOCK), 0);
}

static void check_sparse(struct test *t)
{
	static const struct {
		uint32_t from, data, hole;
	} rows[] = {
		{ 0, 3 * UNIT, 0 },
		{ 3 * UNIT, 3 * UNIT, 4 * UNIT },
		{ 4 * UNIT, 40 * UNIT, 4 * UNIT },
		{ 40 * UNIT + 1, 40 * UNIT + 1, 41 * UNIT },
		{ 41 * UNIT, BLOCK, 41 * UNIT },
	};

	assert_int_equal(t->ip->bytes, BLOCK + 2 * UNIT);
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(next(t, rows[i].from, true), rows[i].data);
		assert_int_equal(next(t, rows[i].from, false), rows[i].hole);
	}
}

static void evict_all(struct test *t)
{
	int64_t end = clock_mono_ns() + 20 * NS_PER_S;
	uint64_t freed = 0;

	assert_int_equal(meta_sync(t->f.m), 0);
	while ((freed += cache_evict(t->f.c, UINT64_MAX)) < (BLOCK / UNIT + 2) * SLOT_BYTES && clock_mono_ns() < end)
		usleep(1000);
	assert_int_equal(freed, (BLOCK / UNIT + 2) * SLOT_BYTES);
}

static void upload_both(struct test *t)
{
	fix_sync(&t->f, t->ip);
	assert_int_equal(fix_upload(&t->f, t->ip, 0), 0);
	assert_int_equal(fix_upload(&t->f, t->ip, 1), 0);
}

static void holes_stay(void **state)
{
	struct test *t = *state;
	uint8_t *expected = malloc(2 * BLOCK), got[UNIT];
	struct cache_need need;

	write_sparse(t, expected);
	check_sparse(t);
	upload_both(t);
	check_sparse(t);
	reopen(t);
	check_sparse(t);
	evict_all(t);
	check_sparse(t);
	reopen(t);
	check_sparse(t);
	/* a hole is read without being fetched, what is no hole is not zeros */
	assert_int_equal(cache_read(t->f.c, t->ip, 4 * UNIT, got, UNIT, &need), 0);
	assert_memory_equal(got, expected + 4 * UNIT, UNIT);
	assert_int_equal(cache_read(t->f.c, t->ip, 3 * UNIT, got, UNIT, &need), -ERR_NEED_FETCH);
	fix_check(&t->f, t->ip, expected, 2 * BLOCK);
	check_sparse(t);
	/* fetched, published, evicted a second time */
	fix_sync(&t->f, t->ip);
	evict_all(t);
	check_sparse(t);
	fix_check(&t->f, t->ip, expected, 2 * BLOCK);
	free(expected);
}

/* What a punch takes from st_blocks is what writing had brought to it. */
static void punched(void **state)
{
	struct test *t = *state;
	uint8_t *expected = malloc(2 * BLOCK);

	for (int evicted = 0; evicted < 2; evicted++) {
		write_sparse(t, expected);
		upload_both(t);
		if (evicted)
			evict_all(t);
		assert_int_equal(fix_call(&t->f, t->ip, CALL_PUNCH, 0, NULL, 4 * UNIT), 0);
		memset(expected, 0, 4 * UNIT);
		assert_int_equal(t->ip->bytes, BLOCK + UNIT);
		fix_check(&t->f, t->ip, expected, 2 * BLOCK);
		assert_int_equal(fix_call(&t->f, t->ip, CALL_PUNCH, 0, NULL, BLOCK), 0);
		assert_int_equal(t->ip->bytes, BLOCK);
		assert_int_equal(fix_call(&t->f, t->ip, CALL_TRUNCATE, 0, NULL, 0), 0);
		assert_int_equal(t->ip->bytes, 0);
	}
	free(expected);
}

/* A hole that was evicted is written to, and the whole goes to the backend once more. */
static void written(void **state)
{
	struct test *t = *state;
	uint8_t *expected = malloc(2 * BLOCK);

	write_sparse(t, expected);
	upload_both(t);
	evict_all(t);
	memcpy(expected + 20 * UNIT, t->bytes, UNIT + 100);
	assert_int_equal(fix_write(&t->f, t->ip, 20 * UNIT, t->bytes, UNIT + 100), 0);
	assert_int_equal(t->ip->bytes, BLOCK + 4 * UNIT);
	fix_check(&t->f, t->ip, expected, 2 * BLOCK);
	fix_sync(&t->f, t->ip);
	assert_int_equal(fix_upload(&t->f, t->ip, 0), 0);
	assert_int_equal(next(t, 4 * UNIT, true), 20 * UNIT);
	assert_int_equal(next(t, 20 * UNIT, false), 22 * UNIT);
	reopen(t);
	fix_check(&t->f, t->ip, expected, 2 * BLOCK);
	assert_int_equal(t->ip->bytes, BLOCK + 4 * UNIT);
	free(expected);
}

/* Holes alone are nothing: a block that is cut down to them is dropped. */
static void cut_to_holes(void **state)
{
	struct test *t = *state;
	uint8_t *expected = malloc(2 * BLOCK);
	struct block *b;

	write_sparse(t, expected);
	fix_sync(&t->f, t->ip);
	assert_int_equal(fix_call(&t->f, t->ip, CALL_TRUNCATE, 2 * UNIT, NULL, 0), 0);
	b = fix_block(&t->f, t->ip, 0);
	assert_int_equal(b->kind, BLOCK_NONE);
	assert_false(b->dirty);
	meta_block_put(t->f.m, b);
	assert_int_equal(t->ip->bytes, 0);
	fix_check(&t->f, t->ip, expected, 2 * UNIT);
	free(expected);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(holes_stay),
		TEST(punched),
		TEST(written),
		TEST(cut_to_holes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
