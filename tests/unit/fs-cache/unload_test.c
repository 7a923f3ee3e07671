/* SPDX-License-Identifier: GPL-3.0-or-later */
/* More blocks than maps are kept in memory, and the old maps of all of them wait for a batch. */
#include "fixture.h"

#define BLOCKS 700 /* above LOADED_MAX of cblock.c */
#define BYTES  (3 * UNIT)

static struct inode *inodes[BLOCKS];

static void fill(uint8_t *data, unsigned file, unsigned round)
{
	for (unsigned i = 0; i < BYTES; i++)
		data[i] = (uint8_t)(file * 7 + round * 31 + i / UNIT);
}

static void write_all(struct fix *f, unsigned round)
{
	struct cache_need need;
	uint8_t data[BYTES];

	for (unsigned i = 0; i < BLOCKS; i++) {
		fill(data, i, round);
		pthread_rwlock_rdlock(&inodes[i]->data_lock);
		assert_int_equal(cache_write(f->c, inodes[i], 0, data, BYTES, &need), 0);
		pthread_rwlock_unlock(&inodes[i]->data_lock);
		assert_int_equal(cache_sync(f->c, inodes[i]), 0);
	}
}

static void test_what_left_memory_is_not_trimmed(void **state)
{
	uint8_t want[BYTES], got[BYTES];
	struct cache_need need;
	struct fix f;

	(void)state;
	fix_start(&f, 1 << 20, 1 << 30);
	meta_lock(f.m);
	for (unsigned i = 0; i < BLOCKS; i++) {
		inodes[i] = meta_inode_new(f.m, S_IFREG | 0600, 0, 0, 0);
		inodes[i]->nlink = 1;
		meta_inode_changed(f.m, inodes[i]);
	}
	meta_unlock(f.m);
	write_all(&f, 1);
	write_all(&f, 2);
	assert_int_equal(meta_sync(f.m), 0); /* durable: the maps of the first round let go of their slots */
	for (unsigned i = 0; i < BLOCKS; i++) {
		fill(want, i, 2);
		pthread_rwlock_rdlock(&inodes[i]->data_lock);
		assert_int_equal(cache_read(f.c, inodes[i], 0, got, BYTES, &need), 0);
		pthread_rwlock_unlock(&inodes[i]->data_lock);
		assert_memory_equal(got, want, BYTES);
		meta_inode_put(f.m, inodes[i]);
	}
	fix_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_what_left_memory_is_not_trimmed) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
