/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What may go and when, the bound on the disk, fetched data, snapshots. */
#include "tests/unit/fs-cache/one_file.h"

#define BOUND (4u << 20)

static int setup(void **state)
{
	return one_file_setup(state, BOUND, 7);
}

static uint64_t used(struct test *t)
{
	struct cache_status s;

	cache_status(t->f.c, &s);
	return s.bytes;
}

static enum block_local kind(struct test *t, uint32_t index)
{
	struct block *b = fix_block(&t->f, t->ip, index);
	enum block_local is = b->kind;

	meta_block_put(t->f.m, b);
	return is;
}

static unsigned files_on_disk(struct test *t)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 256; i++) {
		struct dirent *e;
		char path[128];
		DIR *dir;

		snprintf(path, sizeof path, "%s/cache/%02x", t->f.dir, i);
		assert_non_null(dir = opendir(path));
		while ((e = readdir(dir)))
			n += e->d_name[0] != '.';
		closedir(dir);
	}
	return n;
}

/* The maintenance thread may be the one that removes them. */
static void wait_for_files(struct test *t, unsigned n)
{
	int64_t end = clock_mono_ns() + 20 * NS_PER_S;

	files_reap(t->f.c);
	while (files_on_disk(t) != n && clock_mono_ns() < end)
		usleep(1000);
	assert_int_equal(files_on_disk(t), n);
}

/* Until it is so; what the maintenance thread does. */
static void wait_for(int *counter, int least)
{
	int64_t end = clock_mono_ns() + 20 * NS_PER_S;

	while (__atomic_load_n(counter, __ATOMIC_SEQ_CST) < least && clock_mono_ns() < end)
		usleep(1000);
	assert_in_range(__atomic_load_n(counter, __ATOMIC_SEQ_CST), least, INT32_MAX);
}

/* The maintenance thread may have hold of a file for a moment. */
static uint64_t evict_all(struct test *t)
{
	int64_t end = clock_mono_ns() + 20 * NS_PER_S;
	uint64_t freed = 0;

	while (!(freed = cache_evict(t->f.c, UINT64_MAX)) && clock_mono_ns() < end)
		usleep(1000);
	return freed;
}

static void upload_all(struct test *t, uint32_t blocks)
{
	fix_sync(&t->f, t->ip);
	for (uint32_t i = 0; i < blocks; i++)
		assert_int_equal(fix_upload(&t->f, t->ip, i), 0);
}

/* ---- eviction ---- */

static void what_is_evicted(void **state)
{
	struct test *t = *state;
	struct cache_snapshot s;
	struct cache_need need;
	uint8_t got[UNIT];

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, BLOCK), 0);
	assert_int_equal(cache_evict(t->f.c, UINT64_MAX), 0);
	/* synced, on no backend */
	fix_sync(&t->f, t->ip);
	assert_int_equal(cache_evict(t->f.c, UINT64_MAX), 0);
	/* on a backend, which no durable commit says (I3) */
	assert_int_equal(fix_upload(&t->f, t->ip, 0), 0);
	assert_int_equal(cache_evict(t->f.c, UINT64_MAX), 0);
	assert_int_equal(kind(t, 0), BLOCK_SLOTS);
	assert_int_equal(meta_sync(t->f.m), 0);
	/* pinned */
	assert_int_equal(cache_snapshot(t->f.c, t->ip, 0, &s, &need), 0);
	assert_int_equal(cache_evict(t->f.c, UINT64_MAX), 0);
	cache_snapshot_release(t->f.c, &s);
	assert_int_equal(files_on_disk(t), 1);
	assert_int_equal(used(t), BLOCK / UNIT * SLOT_BYTES);
	assert_int_equal(evict_all(t), BLOCK / UNIT * SLOT_BYTES);
	wait_for_files(t, 0);
	assert_int_equal(used(t), 0);
	assert_int_equal(kind(t, 0), BLOCK_NONE);
	assert_int_equal(t->ip->bytes, BLOCK);
	/* read again: fetched, kept, evicted without having been published */
	assert_int_equal(cache_read(t->f.c, t->ip, 5 * UNIT, got, UNIT, &need), -ERR_NEED_FETCH);
	assert_int_equal(need.off, 5 * UNIT);
	assert_int_equal(need.len, UNIT);
	fix_check(&t->f, t->ip, t->bytes, BLOCK);
	assert_int_equal(used(t), BLOCK / UNIT * SLOT_BYTES);
	/* that the row has nothing must be durable as well */
	assert_int_equal(cache_evict(t->f.c, UINT64_MAX), 0);
	assert_int_equal(meta_sync(t->f.m), 0);
	assert_int_equal(evict_all(t), BLOCK / UNIT * SLOT_BYTES);
	fix_check(&t->f, t->ip, t->bytes, BLOCK);
	/* written again: not */
	assert_int_equal(fix_write(&t->f, t->ip, 7, t->bytes, 1), 0);
	assert_int_equal(cache_evict(t->f.c, UINT64_MAX), 0);
	reopen(t);
	assert_int_equal(cache_evict(t->f.c, UINT64_MAX), 0);
	assert_int_equal(fix_upload(&t->f, t->ip, 0), 0);
	reopen(t);
	assert_true(evict_all(t) > 0);
	wait_for_files(t, 0);
}

/* An eviction that a crash undoes: the row names a file that is gone, and what it held is fetched. */
static void eviction_and_crash(void **state)
{
	struct test *t = *state;
	struct fix crash;
	struct inode *ip;

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 2 * BLOCK), 0);
	upload_all(t, 2);
	assert_int_equal(meta_sync(t->f.m), 0);
	fix_crash_meta(&t->f, &crash);
	assert_true(evict_all(t) > 0);
	fix_crash_files(&t->f, &crash);
	fix_open(&crash);
	ip = fix_inode(&crash, t->ip->ino);
	fix_check(&crash, ip, t->bytes, 2 * BLOCK);
	meta_inode_put(crash.m, ip);
	fix_crash_end(&crash);
}

static void least_recently_used_first(void **state)
{
	struct test *t = *state;
	uint8_t got[UNIT];

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 4 * BLOCK), 0);
	upload_all(t, 4);
	assert_int_equal(meta_sync(t->f.m), 0);
	cache_evict(t->f.c, 0);
	for (uint32_t i = 4; i-- > 0;)
		assert_int_equal(fix_call(&t->f, t->ip, CALL_READ, (uint64_t)i * BLOCK, got, UNIT), 0);
	evict_look_again(t->f.c);
	for (uint32_t i = 4; i-- > 0;)
		assert_int_equal(fix_call(&t->f, t->ip, CALL_READ, (uint64_t)i * BLOCK, got, UNIT), 0);
	cache_evict(t->f.c, BOUND - 2 * (BLOCK / UNIT * SLOT_BYTES));
	assert_int_equal(kind(t, 3), BLOCK_NONE);
	assert_int_equal(kind(t, 2), BLOCK_NONE);
	assert_int_equal(kind(t, 1), BLOCK_SLOTS);
	assert_int_equal(kind(t, 0), BLOCK_SLOTS);
}

static void inline_rows_are_evicted(void **state)
{
	struct test *t = *state;
	struct inode *ip[5];

	for (int i = 0; i < 5; i++) {
		ip[i] = fix_file(&t->f);
		assert_int_equal(fix_write(&t->f, ip[i], 0, t->bytes, 1000), 0);
	}
	assert_int_equal(used(t), 5000);
	for (int i = 0; i < 4; i++)
		assert_int_equal(fix_upload(&t->f, ip[i], 0), 0);
	assert_int_equal(meta_sync(t->f.m), 0);
	assert_int_equal(evict_all(t), 4000);
	assert_int_equal(used(t), 1000);
	/* what comes back is inline again */
	fix_check(&t->f, ip[0], t->bytes, 1000);
	assert_int_equal(used(t), 2000);
	assert_int_equal(files_on_disk(t), 0);
	/* a part needs the rest, the whole does not */
	{
		struct cache_need need;

		assert_int_equal(cache_write(t->f.c, ip[1], 10, "x", 1, &need), -ERR_NEED_FETCH);
		assert_int_equal(need.off, 0);
		assert_int_equal(need.len, 1000);
		assert_int_equal(cache_write(t->f.c, ip[1], 0, t->bytes + 5, 1000, &need), 0);
		fix_check(&t->f, ip[1], t->bytes + 5, 1000);
	}
	for (int i = 0; i < 5; i++)
		meta_inode_put(t->f.m, ip[i]);
}

/* ---- the bound ---- */

static int write_until_full(struct test *t, uint64_t *off)
{
	int rc = 0;

	for (; rc == 0 && *off < 10 * BOUND; *off += rc ? 0 : BLOCK / 2)
		rc = fix_write(&t->f, t->ip, *off, t->bytes + *off % BLOCK, BLOCK / 2);
	return rc;
}

static void full_of_dirty_data(void **state)
{
	struct test *t = *state;
	uint64_t off = 0, before;
	int pressures;

	assert_int_equal(write_until_full(t, &off), -ERR_CACHE_FULL);
	assert_in_range(used(t), BOUND - BLOCK, BOUND);
	assert_int_equal(t->ip->size, off);
	pressures = __atomic_load_n(&t->f.pressures, __ATOMIC_SEQ_CST);
	assert_true(pressures > 0);
	/* a truncation always can */
	assert_int_equal(fix_call(&t->f, t->ip, CALL_TRUNCATE, off - 100, NULL, 0), 0);
	assert_int_equal(fix_call(&t->f, t->ip, CALL_TRUNCATE, off, NULL, 0), 0);
	/* and what was accepted can be synced */
	fix_sync(&t->f, t->ip);
	before = used(t);
	assert_in_range(before, BOUND - BLOCK, BOUND + 2 * SLOT_BYTES);
	assert_int_equal(write_until_full(t, &off), -ERR_CACHE_FULL);
	t->f.rooms = 0;
	/* uploads make room, and say so */
	for (uint32_t i = 0; i < off / BLOCK; i++) {
		int rc;

		while ((rc = fix_upload(&t->f, t->ip, i)) == -ERR_STALE)
			fix_sync(&t->f, t->ip);
		assert_int_equal(rc, 0);
	}
	assert_int_equal(meta_sync(t->f.m), 0);
	wait_for(&t->f.rooms, 1);
	before = off;
	assert_int_equal(write_until_full(t, &off), -ERR_CACHE_FULL);
	assert_true(off > before + BOUND / 2);
	assert_true(used(t) <= BOUND);
}

/* The uploads are the last that happens: nobody else asks for a batch to be durable. */
static void full_until_stored(void **state)
{
	struct test *t = *state;
	uint64_t off = 0;
	int rc;

	assert_int_equal(write_until_full(t, &off), -ERR_CACHE_FULL);
	fix_sync(&t->f, t->ip);
	assert_int_equal(write_until_full(t, &off), -ERR_CACHE_FULL);
	fix_sync(&t->f, t->ip);
	t->f.rooms = 0;
	for (uint32_t i = 0; i < off / BLOCK; i++)
		assert_int_equal(fix_upload(&t->f, t->ip, i), 0);
	cache_stored(t->f.c);
	/* the first call may have been for what the syncs made free */
	for (int rooms = 1; (rc = fix_write(&t->f, t->ip, off, t->bytes, BLOCK / 2)) == -ERR_CACHE_FULL; rooms++)
		wait_for(&t->f.rooms, rooms);
	assert_int_equal(rc, 0);
}

/* What is in use when room is looked for is looked at again: nobody says when its user is done. */
static void full_of_what_is_used(void **state)
{
	enum { BLOCKS = BOUND / BLOCK - 1 };
	struct cache_snapshot pins[BLOCKS];
	struct test *t = *state;
	struct cache_need need;

	for (uint32_t i = 0; i < BLOCKS; i++)
		assert_int_equal(fix_write(&t->f, t->ip, (uint64_t)i * BLOCK, t->bytes, BLOCK), 0);
	upload_all(t, BLOCKS);
	assert_int_equal(meta_sync(t->f.m), 0);
	for (uint32_t i = 0; i < BLOCKS; i++)
		assert_int_equal(cache_snapshot(t->f.c, t->ip, i, &pins[i], &need), 0);
	assert_int_equal(fix_write(&t->f, t->ip, BLOCKS * BLOCK, t->bytes, BLOCK), -ERR_CACHE_FULL);
	/* it has looked by then */
	usleep(300000);
	assert_int_equal(__atomic_load_n(&t->f.rooms, __ATOMIC_SEQ_CST), 0);
	for (uint32_t i = 0; i < BLOCKS; i++)
		cache_snapshot_release(t->f.c, &pins[i]);
	wait_for(&t->f.rooms, 1);
	assert_int_equal(fix_write(&t->f, t->ip, BLOCKS * BLOCK, t->bytes, BLOCK), 0);
}

/* Overwriting what fills the cache: the old slots are free once the new ones are durable. */
static void full_of_one_file(void **state)
{
	struct test *t = *state;

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 4 * BLOCK), 0);
	for (int i = 0; i < 100; i++) {
		int rooms = __atomic_load_n(&t->f.rooms, __ATOMIC_SEQ_CST);
		int rc = fix_write(&t->f, t->ip, (uint64_t)(i % 4) * BLOCK, t->bytes, BLOCK);

		if (rc == -ERR_CACHE_FULL) {
			wait_for(&t->f.rooms, rooms + 1);
			i--;
			continue;
		}
		assert_int_equal(rc, 0);
		assert_true(used(t) <= BOUND);
		if (i % 3 == 0)
			assert_int_equal(cache_sync(t->f.c, t->ip), 0);
	}
	assert_true(__atomic_load_n(&t->f.rooms, __ATOMIC_SEQ_CST) > 0);
}

static void bound_raised_and_lowered(void **state)
{
	struct test *t = *state;
	struct cache_status s;
	uint64_t off = 0;

	assert_int_equal(write_until_full(t, &off), -ERR_CACHE_FULL);
	t->f.rooms = 0;
	cache_set_bytes_max(t->f.c, 2 * BOUND);
	wait_for(&t->f.rooms, 1);
	assert_int_equal(write_until_full(t, &off), -ERR_CACHE_FULL);
	assert_in_range(used(t), 2 * BOUND - BLOCK, 2 * BOUND);
	cache_status(t->f.c, &s);
	assert_int_equal(s.bytes_max, 2 * BOUND);
	assert_int_equal(s.bytes_dirty, s.bytes);
}

/* ---- fills ---- */

static struct extent extent_of(struct test *t, uint32_t index)
{
	struct block *b = fix_block(&t->f, t->ip, index);
	struct extent e = b->extent;

	meta_block_put(t->f.m, b);
	return e;
}

/* Fetched data never pushes out what is on no backend, nor goes over the bound. */
static void fills_and_the_bound(void **state)
{
	struct test *t = *state;
	struct cache_need need = { .len = BLOCK };
	struct inode *clean = t->ip;
	uint64_t off = 0;

	assert_int_equal(fix_write(&t->f, clean, 0, t->bytes, BLOCK), 0);
	upload_all(t, 1);
	assert_int_equal(meta_sync(t->f.m), 0);
	cache_evict(t->f.c, UINT64_MAX);
	t->ip = fix_file(&t->f);
	assert_int_equal(write_until_full(t, &off), -ERR_CACHE_FULL);
	assert_int_equal(fix_fetch(&t->f, clean, &need), -ERR_CACHE_FULL);
	assert_true(used(t) <= BOUND);
	meta_inode_put(t->f.m, clean);
}

static void fills(void **state)
{
	struct test *t = *state;
	struct cache_need need;
	uint8_t got[UNIT], *other = calloc(1, BLOCK);
	uint32_t len = BLOCK - 1000;
	struct extent e, stale;

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, len), 0);
	upload_all(t, 1);
	assert_int_equal(meta_sync(t->f.m), 0);
	assert_true(evict_all(t) > 0);
	e = extent_of(t, 0);
	assert_int_equal(e.len, len);
	/* not whole units, or not inside the extent */
	assert_int_equal(cache_fill(t->f.c, t->ip, 0, &e, 1, t->bytes, UNIT), -EINVAL);
	assert_int_equal(cache_fill(t->f.c, t->ip, 0, &e, 0, t->bytes, UNIT + 1), -EINVAL);
	assert_int_equal(cache_fill(t->f.c, t->ip, 0, &e, 0, t->bytes, len + 1), -EINVAL);
	stale = e;
	stale.object[0] ^= 1;
	assert_int_equal(cache_fill(t->f.c, t->ip, 0, &stale, 0, t->bytes, UNIT), -ERR_STALE);
	/* the last unit ends with the extent */
	assert_int_equal(
		cache_fill(t->f.c, t->ip, 0, &e, len / UNIT * UNIT, t->bytes + len / UNIT * UNIT, len % UNIT), 0);
	assert_int_equal(cache_read(t->f.c, t->ip, len / UNIT * UNIT, got, len % UNIT, &need), 0);
	assert_memory_equal(got, t->bytes + len / UNIT * UNIT, len % UNIT);
	/* what is local already is left alone */
	assert_int_equal(cache_write(t->f.c, t->ip, 2 * UNIT, t->bytes, UNIT, &need), 0);
	assert_int_equal(cache_write(t->f.c, t->ip, 3 * UNIT, t->bytes, 16 * UNIT, &need), 0);
	assert_int_equal(cache_fill(t->f.c, t->ip, 0, &e, 0, other, 40 * UNIT), 0);
	assert_int_equal(cache_read(t->f.c, t->ip, 2 * UNIT, got, UNIT, &need), 0);
	assert_memory_equal(got, t->bytes, UNIT);
	assert_int_equal(cache_read(t->f.c, t->ip, 18 * UNIT, got, UNIT, &need), 0);
	assert_memory_equal(got, t->bytes + 15 * UNIT, UNIT);
	assert_int_equal(cache_read(t->f.c, t->ip, 19 * UNIT, got, UNIT, &need), 0);
	assert_memory_equal(got, other, UNIT);
	/* a hole that was punched stays one */
	assert_int_equal(fix_call(&t->f, t->ip, CALL_PUNCH, 50 * UNIT, NULL, 2 * UNIT), 0);
	assert_int_equal(cache_fill(t->f.c, t->ip, 0, &e, 48 * UNIT, t->bytes, 8 * UNIT), 0);
	assert_int_equal(cache_read(t->f.c, t->ip, 51 * UNIT, got, UNIT, &need), 0);
	assert_memory_equal(got, other, UNIT);
	/* and units that a truncation cut off do not come back */
	assert_int_equal(fix_call(&t->f, t->ip, CALL_TRUNCATE, 50 * UNIT, NULL, 0), 0);
	assert_int_equal(cache_fill(t->f.c, t->ip, 0, &e, 52 * UNIT, t->bytes, UNIT), -ERR_STALE);
	assert_int_equal(fix_call(&t->f, t->ip, CALL_TRUNCATE, BLOCK, NULL, 0), 0);
	assert_int_equal(cache_read(t->f.c, t->ip, 52 * UNIT, got, UNIT, &need), 0);
	assert_memory_equal(got, other, UNIT);
	free(other);
}

/* ---- what a write must have first ---- */

static void writes_that_need_a_fetch(void **state)
{
	static const struct {
		uint32_t off, len;
		int rc;
		uint32_t need_off, need_len;
	} rows[] = {
		/* the extent ends at 10 units and 100 bytes */
		{ 0, UNIT, 0, 0, 0 },
		{ 2 * UNIT, 3 * UNIT, 0, 0, 0 },
		{ 1, UNIT - 1, -ERR_NEED_FETCH, 0, UNIT },
		{ 4 * UNIT, UNIT + 1, -ERR_NEED_FETCH, 5 * UNIT, UNIT },
		{ 4 * UNIT - 1, 2, -ERR_NEED_FETCH, 3 * UNIT, UNIT },
		{ 10 * UNIT, 99, -ERR_NEED_FETCH, 10 * UNIT, 100 },
		{ 10 * UNIT, 100, 0, 0, 0 },
		{ 10 * UNIT + 5, UNIT, -ERR_NEED_FETCH, 10 * UNIT, 100 },
		{ 10 * UNIT + 5, 200, -ERR_NEED_FETCH, 10 * UNIT, 100 },
		{ 11 * UNIT + 5, 200, 0, 0, 0 },
		{ 9 * UNIT + 1, 30 * UNIT, -ERR_NEED_FETCH, 9 * UNIT, UNIT },
	};
	struct test *t = *state;
	uint8_t *expected = calloc(1, BLOCK);

	for (size_t i = 0; i < COUNT(rows); i++) {
		uint32_t size = 10 * UNIT + 100, end = rows[i].off + rows[i].len;
		struct cache_need need = { 0 };
		uint64_t version;

		t->ip = (meta_inode_put(t->f.m, t->ip), fix_file(&t->f));
		assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, size), 0);
		upload_all(t, 1);
		assert_int_equal(meta_sync(t->f.m), 0);
		assert_true(evict_all(t) > 0);
		version = t->ip->version;
		assert_int_equal(
			cache_write(t->f.c, t->ip, rows[i].off, t->bytes + BLOCK, rows[i].len, &need), rows[i].rc);
		assert_int_equal(need.off, rows[i].need_off);
		assert_int_equal(need.len, rows[i].need_len);
		if (rows[i].rc)
			assert_int_equal(t->ip->version, version);
		assert_int_equal(fix_write(&t->f, t->ip, rows[i].off, t->bytes + BLOCK, rows[i].len), 0);
		memset(expected, 0, BLOCK);
		memcpy(expected, t->bytes, size);
		memcpy(expected + rows[i].off, t->bytes + BLOCK, rows[i].len);
		fix_check(&t->f, t->ip, expected, end > size ? end : size);
	}
	free(expected);
}

static void punches_that_need_a_fetch(void **state)
{
	struct test *t = *state;
	struct cache_need need = { 0 };

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 20 * UNIT), 0);
	upload_all(t, 1);
	assert_int_equal(meta_sync(t->f.m), 0);
	assert_true(evict_all(t) > 0);
	assert_int_equal(cache_punch(t->f.c, t->ip, UNIT, 3 * UNIT, &need), 0);
	assert_int_equal(cache_punch(t->f.c, t->ip, 5 * UNIT - 1, UNIT + 1, &need), -ERR_NEED_FETCH);
	assert_int_equal(need.off, 4 * UNIT);
	assert_int_equal(cache_punch(t->f.c, t->ip, 5 * UNIT, UNIT + 1, &need), -ERR_NEED_FETCH);
	assert_int_equal(need.off, 6 * UNIT);
	assert_int_equal(t->ip->bytes, 17 * UNIT);
	memset(t->bytes + UNIT, 0, 3 * UNIT);
	fix_check(&t->f, t->ip, t->bytes, 20 * UNIT);
	/* the row says zeros until an upload does */
	fix_sync(&t->f, t->ip);
	reopen(t);
	fix_check(&t->f, t->ip, t->bytes, 20 * UNIT);
	assert_int_equal(fix_upload(&t->f, t->ip, 0), 0);
	assert_int_equal(meta_sync(t->f.m), 0);
	assert_true(evict_all(t) > 0);
	fix_check(&t->f, t->ip, t->bytes, 20 * UNIT);
}

/* A truncation needs no bytes, though its end is in a unit that is on a backend only. */
static void truncation_of_what_is_remote(void **state)
{
	struct test *t = *state;
	struct cache_need need;

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, BLOCK), 0);
	upload_all(t, 1);
	assert_int_equal(meta_sync(t->f.m), 0);
	assert_true(evict_all(t) > 0);
	assert_int_equal(cache_truncate(t->f.c, t->ip, 5000, &need), 0);
	assert_int_equal(cache_truncate(t->f.c, t->ip, 9000, &need), 0);
	memset(t->bytes + 5000, 0, 4000);
	fix_check(&t->f, t->ip, t->bytes, 9000);
	assert_int_equal(extent_of(t, 0).len, 5000);
	reopen(t);
	fix_check(&t->f, t->ip, t->bytes, 9000);
}

/* ---- snapshots ---- */

static void snapshots(void **state)
{
	struct test *t = *state;
	struct cache_snapshot s;
	struct cache_need need;
	uint8_t *got = malloc(BLOCK);
	uint64_t version;

	assert_int_equal(cache_snapshot(t->f.c, t->ip, 0, &s, &need), -ENOENT);
	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 20000), 0);
	assert_int_equal(cache_snapshot(t->f.c, t->ip, 0, &s, &need), -ERR_STALE);
	fix_sync(&t->f, t->ip);
	assert_int_equal(cache_snapshot(t->f.c, t->ip, 0, &s, &need), 0);
	assert_int_equal(s.len, 20000);
	version = s.version;
	/* what it holds stays, whatever happens to the block */
	for (int i = 0; i < 5; i++) {
		assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes + i, 20000), 0);
		fix_sync(&t->f, t->ip);
		files_reap(t->f.c);
	}
	assert_int_equal(fix_call(&t->f, t->ip, CALL_TRUNCATE, 0, NULL, 0), 0);
	fix_sync(&t->f, t->ip);
	files_reap(t->f.c);
	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes + 77, 20000), 0);
	fix_sync(&t->f, t->ip);
	assert_int_equal(cache_snapshot_read(t->f.c, &s, got), 0);
	assert_memory_equal(got, t->bytes, 20000);
	cache_snapshot_release(t->f.c, &s);
	wait_for_files(t, 1);
	assert_int_equal(cache_snapshot(t->f.c, t->ip, 0, &s, &need), 0);
	assert_true(s.version > version);
	cache_snapshot_release(t->f.c, &s);
	/* zeros at the end are not sent */
	assert_int_equal(fix_call(&t->f, t->ip, CALL_TRUNCATE, BLOCK, NULL, 0), 0);
	fix_sync(&t->f, t->ip);
	assert_int_equal(cache_snapshot(t->f.c, t->ip, 0, &s, &need), 0);
	assert_int_equal(s.len, 5 * UNIT);
	cache_snapshot_release(t->f.c, &s);
	free(got);
}

/* A part is on a backend only: the first of it is asked for. */
static void snapshot_needs_a_fetch(void **state)
{
	struct test *t = *state;
	struct cache_snapshot s;
	struct cache_need need;

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 20 * UNIT), 0);
	upload_all(t, 1);
	assert_int_equal(meta_sync(t->f.m), 0);
	assert_true(evict_all(t) > 0);
	assert_int_equal(cache_snapshot(t->f.c, t->ip, 0, &s, &need), -ERR_NEED_FETCH);
	assert_int_equal(need.off, 0);
	assert_int_equal(need.len, 20 * UNIT);
	assert_int_equal(fix_write(&t->f, t->ip, 4 * UNIT, t->bytes, 3 * UNIT), 0);
	fix_sync(&t->f, t->ip);
	assert_int_equal(cache_snapshot(t->f.c, t->ip, 0, &s, &need), -ERR_NEED_FETCH);
	assert_int_equal(need.len, 4 * UNIT);
	assert_int_equal(fix_fetch(&t->f, t->ip, &need), 0);
	assert_int_equal(cache_snapshot(t->f.c, t->ip, 0, &s, &need), -ERR_NEED_FETCH);
	assert_int_equal(need.off, 7 * UNIT);
	assert_int_equal(need.len, 13 * UNIT);
	assert_int_equal(fix_fetch(&t->f, t->ip, &need), 0);
	assert_int_equal(cache_snapshot(t->f.c, t->ip, 0, &s, &need), 0);
	cache_snapshot_release(t->f.c, &s);
}

static void inline_snapshot(void **state)
{
	struct test *t = *state;
	struct cache_snapshot s;
	struct cache_need need;
	uint8_t got[1000];

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 1000), 0);
	assert_int_equal(cache_snapshot(t->f.c, t->ip, 0, &s, &need), 0);
	assert_int_equal(s.len, 1000);
	assert_int_equal(fix_write(&t->f, t->ip, 0, "other", 5), 0);
	assert_int_equal(cache_snapshot_read(t->f.c, &s, got), 0);
	assert_memory_equal(got, t->bytes, 1000);
	cache_snapshot_release(t->f.c, &s);
}

/* ---- deletion ---- */

static void inode_gone(void **state)
{
	struct test *t = *state;

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 2 * BLOCK), 0);
	fix_sync(&t->f, t->ip);
	/* some more, unsynced, in slots and pages */
	assert_int_equal(fix_write(&t->f, t->ip, BLOCK, t->bytes, 2 * BLOCK), 0);
	assert_int_equal(fix_write(&t->f, t->ip, 3 * BLOCK, t->bytes, 100), 0);
	assert_int_equal(files_on_disk(t), 3);
	meta_lock(t->f.m);
	t->ip->nlink = 0;
	meta_unlock(t->f.m);
	cache_inode_gone(t->f.c, t->ip);
	meta_inode_put(t->f.m, t->ip);
	assert_int_equal(atomic_load(&t->f.c->pages), 0);
	/* a crash now would bring the file back: its slots stay until it cannot */
	files_reap(t->f.c);
	assert_int_equal(files_on_disk(t), 3);
	assert_int_equal(meta_sync(t->f.m), 0);
	wait_for_files(t, 0);
	assert_int_equal(cache_sync_all(t->f.c), 0);
	t->ip = fix_file(&t->f);
}

static void truncated_files_stay_until_durable(void **state)
{
	struct test *t = *state;
	struct fix crash;
	struct inode *ip;

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 3 * BLOCK), 0);
	fix_sync(&t->f, t->ip);
	fix_crash_meta(&t->f, &crash);
	assert_int_equal(fix_call(&t->f, t->ip, CALL_TRUNCATE, 100, NULL, 0), 0);
	assert_int_equal(fix_call(&t->f, t->ip, CALL_TRUNCATE, 0, NULL, 0), 0);
	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes + 5, 3 * BLOCK), 0);
	assert_int_equal(cache_sync(t->f.c, t->ip), 0);
	files_reap(t->f.c);
	fix_crash_files(&t->f, &crash);
	fix_open(&crash);
	ip = fix_inode(&crash, t->ip->ino);
	fix_check(&crash, ip, t->bytes, 3 * BLOCK);
	meta_inode_put(crash.m, ip);
	fix_crash_end(&crash);
	fix_check(&t->f, t->ip, t->bytes + 5, 3 * BLOCK);
	assert_int_equal(meta_sync(t->f.m), 0);
	wait_for_files(t, 3);
}

static void status(void **state)
{
	struct test *t = *state;
	struct cache_status s;

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, BLOCK), 0);
	cache_status(t->f.c, &s);
	assert_int_equal(s.bytes_max, BOUND);
	assert_int_equal(s.bytes, BLOCK / UNIT * SLOT_BYTES);
	assert_int_equal(s.bytes_dirty, s.bytes);
	fix_check(&t->f, t->ip, t->bytes, BLOCK);
	upload_all(t, 1);
	cache_status(t->f.c, &s);
	assert_int_equal(s.bytes_dirty, 0);
	assert_int_equal(s.hits, 1);
	assert_int_equal(s.misses, 0);
	assert_int_equal(meta_sync(t->f.m), 0);
	evict_all(t);
	fix_check(&t->f, t->ip, t->bytes, BLOCK);
	cache_status(t->f.c, &s);
	assert_int_equal(s.misses, 1);
	assert_int_equal(s.hits, 2);
	assert_int_equal(s.evicted, BLOCK / UNIT * SLOT_BYTES);
	/* the same after opening again */
	reopen(t);
	cache_status(t->f.c, &s);
	assert_int_equal(s.bytes, BLOCK / UNIT * SLOT_BYTES);
	assert_int_equal(s.bytes_dirty, 0);
}

/* Small files count, in all they go through. */
static void status_of_small_files(void **state)
{
	static const struct {
		enum call call;
		uint64_t off;
		size_t len;
		uint64_t dirty;
	} rows[] = {
		{ CALL_WRITE, 0, 1000, 1000 }, { CALL_WRITE, 500, 1000, 1500 }, { CALL_TRUNCATE, 700, 0, 700 },
		{ CALL_WRITE, 0, META_INLINE_MAX + 1, 3 * (uint64_t)SLOT_BYTES }, /* slots from here on */
	};
	struct test *t = *state;
	struct inode *other = fix_file(&t->f);
	struct cache_status s;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(fix_call(&t->f, t->ip, rows[i].call, rows[i].off, t->bytes, rows[i].len), 0);
		/* a row that became slots counts until they are synced */
		fix_sync(&t->f, t->ip);
		cache_status(t->f.c, &s);
		assert_int_equal(s.bytes_dirty, rows[i].dirty);
	}
	assert_int_equal(fix_write(&t->f, other, 0, t->bytes, 100), 0);
	cache_status(t->f.c, &s);
	assert_int_equal(s.bytes_dirty, 3 * SLOT_BYTES + 100);
	upload_all(t, 1);
	cache_status(t->f.c, &s);
	assert_int_equal(s.bytes_dirty, 100);
	meta_inode_put(t->f.m, other);
	reopen(t);
	cache_status(t->f.c, &s);
	assert_int_equal(s.bytes_dirty, 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_evicted),
		TEST(eviction_and_crash),
		TEST(least_recently_used_first),
		TEST(inline_rows_are_evicted),
		TEST(full_of_dirty_data),
		TEST(full_until_stored),
		TEST(full_of_what_is_used),
		TEST(full_of_one_file),
		TEST(bound_raised_and_lowered),
		TEST(fills_and_the_bound),
		TEST(fills),
		TEST(writes_that_need_a_fetch),
		TEST(punches_that_need_a_fetch),
		TEST(truncation_of_what_is_remote),
		TEST(snapshots),
		TEST(snapshot_needs_a_fetch),
		TEST(inline_snapshot),
		TEST(inode_gone),
		TEST(truncated_files_stay_until_durable),
		TEST(status),
		TEST(status_of_small_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
