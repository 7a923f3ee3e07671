/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a file holds, when a commit shows it, and what becomes of it when the disk is damaged. */
#include "tests/unit/fs-cache/one_file.h"

#include <signal.h>
#include <sys/resource.h>

static int setup(void **state)
{
	return one_file_setup(state, 1 << 30, 99);
}

static enum block_local kind(struct test *t, uint32_t index)
{
	struct block *b = fix_block(&t->f, t->ip, index);
	enum block_local is = b->kind;

	meta_block_put(t->f.m, b);
	return is;
}

static bool dirty(struct test *t, uint32_t index)
{
	struct block *b = fix_block(&t->f, t->ip, index);
	bool is = b->dirty;

	meta_block_put(t->f.m, b);
	return is;
}

static int truncate_to(struct test *t, uint64_t size)
{
	return fix_call(&t->f, t->ip, CALL_TRUNCATE, size, NULL, 0);
}

static int punch(struct test *t, uint64_t off, uint64_t len)
{
	return fix_call(&t->f, t->ip, CALL_PUNCH, off, NULL, len);
}

/* ---- inline ---- */

static void small_files(void **state)
{
	struct test *t = *state;
	uint8_t expected[META_INLINE_MAX + 1] = { 0 };
	uint64_t version = t->ip->version;

	assert_int_equal(fix_write(&t->f, t->ip, 10, t->bytes, 90), 0);
	memcpy(expected + 10, t->bytes, 90);
	fix_check(&t->f, t->ip, expected, 100);
	assert_int_equal(kind(t, 0), BLOCK_INLINE);
	assert_true(dirty(t, 0));
	assert_true(t->ip->version > version);
	/* visible with the next commit, with nothing to sync */
	assert_int_equal(t->ip->disk_size, 100);
	assert_int_equal(t->ip->bytes, 512);
	assert_true(cache_is_synced(t->f.c, t->ip));
	assert_int_equal(fix_write(&t->f, t->ip, 3000, t->bytes, 1), 0);
	expected[3000] = t->bytes[0];
	fix_check(&t->f, t->ip, expected, 3001);
	assert_int_equal(t->ip->bytes, 3072);
	assert_int_equal(truncate_to(t, 50), 0);
	assert_int_equal(truncate_to(t, META_INLINE_MAX), 0);
	memset(expected + 50, 0, sizeof expected - 50);
	fix_check(&t->f, t->ip, expected, META_INLINE_MAX);
	assert_int_equal(kind(t, 0), BLOCK_INLINE);
	assert_int_equal(punch(t, 20, 10), 0);
	memset(expected + 20, 0, 10);
	fix_check(&t->f, t->ip, expected, META_INLINE_MAX);
	reopen(t);
	fix_check(&t->f, t->ip, expected, META_INLINE_MAX);
	assert_int_equal(truncate_to(t, 0), 0);
	assert_int_equal(kind(t, 0), BLOCK_NONE);
	assert_int_equal(t->ip->bytes, 0);
	assert_false(dirty(t, 0));
}

/* The row keeps the bytes until the slots are published. */
static void small_file_grows(void **state)
{
	struct test *t = *state;
	struct fix crash;
	struct inode *ip;

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 8000), 0);
	assert_int_equal(fix_write(&t->f, t->ip, 8000, t->bytes + 8000, 193), 0);
	assert_int_equal(kind(t, 0), BLOCK_INLINE);
	assert_int_equal(t->ip->disk_size, 8000);
	assert_false(cache_is_synced(t->f.c, t->ip));
	fix_check(&t->f, t->ip, t->bytes, 8193);
	assert_int_equal(meta_sync(t->f.m), 0);
	fix_crash_meta(&t->f, &crash);
	fix_crash_files(&t->f, &crash);
	fix_open(&crash);
	ip = fix_inode(&crash, t->ip->ino);
	fix_check(&crash, ip, t->bytes, 8000);
	meta_inode_put(crash.m, ip);
	fix_crash_end(&crash);
	assert_int_equal(cache_sync(t->f.c, t->ip), 0);
	assert_int_equal(kind(t, 0), BLOCK_SLOTS);
	assert_int_equal(t->ip->disk_size, 8193);
	assert_true(cache_is_synced(t->f.c, t->ip));
	assert_int_equal(t->ip->bytes, 3 * UNIT);
	reopen(t);
	fix_check(&t->f, t->ip, t->bytes, 8193);
	/* from nothing it is small again */
	assert_int_equal(truncate_to(t, 0), 0);
	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 5), 0);
	assert_int_equal(kind(t, 0), BLOCK_INLINE);
}

/* ---- sizes ---- */

static void holes(void **state)
{
	struct test *t = *state;
	uint8_t *expected = calloc(4, BLOCK);

	assert_int_equal(truncate_to(t, 3 * BLOCK + 5), 0);
	assert_int_equal(t->ip->disk_size, 3 * BLOCK + 5);
	assert_int_equal(t->ip->bytes, 0);
	fix_check(&t->f, t->ip, expected, 3 * BLOCK + 5);
	assert_int_equal(fix_write(&t->f, t->ip, BLOCK + 5000, t->bytes, 10), 0);
	memcpy(expected + BLOCK + 5000, t->bytes, 10);
	fix_check(&t->f, t->ip, expected, 3 * BLOCK + 5);
	assert_int_equal(t->ip->bytes, UNIT);
	assert_int_equal(kind(t, 0), BLOCK_NONE);
	assert_int_equal(punch(t, BLOCK, BLOCK), 0);
	memset(expected, 0, 4 * BLOCK);
	fix_check(&t->f, t->ip, expected, 3 * BLOCK + 5);
	assert_int_equal(t->ip->bytes, 0);
	assert_false(dirty(t, 1));
	/* a part of a unit leaves it; all of what is in a block leaves nothing */
	assert_int_equal(fix_write(&t->f, t->ip, 2 * BLOCK, t->bytes, 3 * UNIT), 0);
	assert_int_equal(punch(t, 2 * BLOCK + 1, 3 * UNIT - 1), 0);
	expected[2 * BLOCK] = t->bytes[0];
	fix_check(&t->f, t->ip, expected, 3 * BLOCK + 5);
	assert_int_equal(t->ip->bytes, UNIT);
	assert_true(dirty(t, 2));
	assert_int_equal(punch(t, 2 * BLOCK, UNIT), 0);
	expected[2 * BLOCK] = 0;
	assert_false(dirty(t, 2));
	assert_int_equal(t->ip->bytes, 0);
	reopen(t);
	fix_check(&t->f, t->ip, expected, 3 * BLOCK + 5);
	free(expected);
}

static void bounds(void **state)
{
	struct test *t = *state;
	uint64_t most = (uint64_t)UINT32_MAX * BLOCK;

	assert_int_equal(truncate_to(t, most + 1), -EFBIG);
	assert_int_equal(fix_write(&t->f, t->ip, most - 1, t->bytes, 2), -EFBIG);
	assert_int_equal(fix_write(&t->f, t->ip, UINT64_MAX, t->bytes, 2), -EFBIG);
	assert_int_equal(t->ip->size, 0);
	assert_int_equal(truncate_to(t, most), 0);
	assert_int_equal(fix_write(&t->f, t->ip, most - 1, t->bytes, 1), 0);
	assert_int_equal(punch(t, 0, UINT64_MAX), 0);
	assert_int_equal(t->ip->bytes, 0);
	assert_int_equal(punch(t, most, 1), 0);
	assert_int_equal(punch(t, 0, 0), 0);
	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 0), 0);
}

/* A size is visible on disk with the slots it speaks of (I3), lowered at once. */
static void disk_size(void **state)
{
	struct test *t = *state;

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 2 * BLOCK), 0);
	assert_int_equal(t->ip->disk_size, 0);
	assert_int_equal(truncate_to(t, 3 * BLOCK), 0);
	assert_int_equal(t->ip->disk_size, 0);
	assert_int_equal(truncate_to(t, BLOCK), 0);
	assert_int_equal(t->ip->disk_size, 0);
	assert_int_equal(cache_sync(t->f.c, t->ip), 0);
	assert_int_equal(t->ip->disk_size, BLOCK);
	assert_int_equal(t->ip->bytes, BLOCK);
	assert_int_equal(truncate_to(t, 2 * BLOCK), 0);
	assert_int_equal(t->ip->disk_size, 2 * BLOCK);
	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, UNIT), 0);
	assert_int_equal(truncate_to(t, 3 * BLOCK), 0);
	assert_int_equal(t->ip->disk_size, 2 * BLOCK);
	assert_false(cache_is_synced(t->f.c, t->ip));
	assert_int_equal(truncate_to(t, 5), 0);
	assert_int_equal(t->ip->disk_size, 5);
	assert_int_equal(cache_sync(t->f.c, t->ip), 0);
	fix_check(&t->f, t->ip, t->bytes, 5);
	/* what was unsynced went away, and with it the reason to wait */
	assert_int_equal(fix_write(&t->f, t->ip, 3 * BLOCK, t->bytes, 2 * UNIT), 0);
	assert_int_equal(t->ip->disk_size, 5);
	assert_int_equal(punch(t, 3 * BLOCK, 2 * UNIT), 0);
	assert_int_equal(t->ip->disk_size, 3 * BLOCK + 2 * UNIT);
	assert_true(cache_is_synced(t->f.c, t->ip));
}

/* The maintenance thread syncs what nobody did. */
static void flusher(void **state)
{
	struct test *t = *state;
	int64_t end = clock_mono_ns() + 20 * NS_PER_S;
	bool synced = false;

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 2 * BLOCK), 0);
	assert_false(cache_is_synced(t->f.c, t->ip));
	while (!synced && clock_mono_ns() < end) {
		usleep(10000);
		synced = cache_is_synced(t->f.c, t->ip);
	}
	assert_true(synced);
	assert_int_equal(t->ip->disk_size, 2 * BLOCK);
}

/* ---- truncation and crashes ---- */

struct growth {
	const char *what;
	uint64_t off, size; /* a write of one byte at off, or a truncation to size */
};

/* A truncation into a unit is committed, its page is not; after the crash the file grows again. */
static void cut_tail_after_crash(void **state)
{
	static const struct growth rows[] = {
		{ "truncated longer", 0, 12000 },
		{ "written beyond, a hole between", 11999, 0 },
		{ "written in the same unit", 5010, 0 },
		{ "appended", 5000, 0 },
		{ "a block further", 2 * BLOCK, 0 },
	};
	struct test *t = *state;

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 3 * UNIT), 0);
	fix_sync(&t->f, t->ip);
	assert_int_equal(truncate_to(t, 5000), 0);
	assert_int_equal(meta_sync(t->f.m), 0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint8_t *expected = calloc(4, BLOCK);
		uint64_t size = rows[i].size ? rows[i].size : rows[i].off + 1;
		struct fix crash;
		struct inode *ip;

		fix_crash_meta(&t->f, &crash);
		fix_crash_files(&t->f, &crash);
		fix_open(&crash);
		ip = fix_inode(&crash, t->ip->ino);
		memcpy(expected, t->bytes, 5000);
		fix_check(&crash, ip, expected, 5000);
		if (rows[i].size) {
			assert_int_equal(fix_call(&crash, ip, CALL_TRUNCATE, size, NULL, 0), 0);
		} else {
			assert_int_equal(fix_write(&crash, ip, rows[i].off, "x", 1), 0);
			expected[rows[i].off] = 'x';
		}
		fix_check(&crash, ip, expected, size);
		fix_sync(&crash, ip);
		fix_check(&crash, ip, expected, size);
		meta_inode_put(crash.m, ip);
		fix_crash_end(&crash);
		free(expected);
	}
}

/* ---- slots ---- */

static struct map_unit slot_of(struct test *t, uint32_t index, uint32_t unit)
{
	struct cblock *b;
	struct map_unit u;

	assert_int_equal(cblock_enter(t->f.c, t->ip, index, &b), 0);
	assert_int_equal(b->pages.count, 0);
	u = map_get(&b->map, unit);
	cblock_leave(b);
	return u;
}

/* A slot that the durable metadata names is not written (I3), and is free when that no longer does. */
static void slots_are_reused_when_durable(void **state)
{
	struct test *t = *state;
	uint32_t first, second;

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 16 * UNIT), 0);
	fix_sync(&t->f, t->ip);
	first = slot_of(t, 0, 0).slot;
	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, UNIT), 0);
	assert_int_equal(cache_sync(t->f.c, t->ip), 0);
	second = slot_of(t, 0, 0).slot;
	assert_int_not_equal(first, second);
	/* published, not durable: neither of the two */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, UNIT), 0);
		assert_int_equal(cache_sync(t->f.c, t->ip), 0);
		assert_int_not_equal(slot_of(t, 0, 0).slot, first);
		assert_int_not_equal(slot_of(t, 0, 0).slot, second);
	}
	assert_int_equal(meta_sync(t->f.m), 0);
	files_reap(t->f.c);
	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, UNIT), 0);
	assert_int_equal(cache_sync(t->f.c, t->ip), 0);
	assert_int_equal(slot_of(t, 0, 0).slot, first);
	assert_true(slot_of(t, 0, 0).seq >> SEQ_RUN_SHIFT == meta_open_count(t->f.m));
}

/* Rewriting the same bytes for ever takes room for a few times the block. */
static void disk_use_is_bounded(void **state)
{
	struct test *t = *state;
	struct cache_status s;

	for (int i = 0; i < 60; i++) {
		assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, BLOCK), 0);
		assert_int_equal(fix_write(&t->f, t->ip, (uint64_t)(i % 32) * 2 * UNIT, t->bytes, UNIT), 0);
		fix_sync(&t->f, t->ip);
		files_reap(t->f.c);
		cache_status(t->f.c, &s);
		assert_in_range(s.bytes, BLOCK, 3 * BLOCK);
	}
}

static void long_runs(void **state)
{
	struct test *t = *state;
	struct block *b;

	/* in pieces large and small, in order: one run in the row */
	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 100 << 10), 0);
	for (uint32_t off = 100 << 10; off < BLOCK; off += 12 << 10)
		assert_int_equal(fix_write(&t->f, t->ip, off, t->bytes + off, 12 << 10), 0);
	fix_sync(&t->f, t->ip);
	fix_check(&t->f, t->ip, t->bytes, t->ip->size);
	b = fix_block(&t->f, t->ip, 0);
	assert_in_range(b->local->len, 36, 16 + 2 * 20);
	meta_block_put(t->f.m, b);
}

static void dirty_memory(void **state)
{
	struct test *t = *state;
	struct fix *f = &t->f;
	uint64_t random = 4;

	meta_inode_put(f->m, t->ip);
	fix_close(f);
	f->options.dirty_memory_max = 1 << 20;
	fix_open(f);
	t->ip = fix_file(f);
	for (int i = 0; i < 3000; i++) {
		uint64_t off = fix_random(&random) % (16 * BLOCK);

		assert_int_equal(fix_write(f, t->ip, off, t->bytes, 100), 0);
		assert_in_range(atomic_load(&f->c->pages) * UNIT, 0, (1 << 20) + 4 * UNIT);
	}
}

/* ---- damage ---- */

static void block_path(struct test *t, uint32_t index, char out[192])
{
	struct entry *e;

	pthread_mutex_lock(&t->f.c->lock);
	e = index_find(&t->f.c->index, t->ip->ino, index);
	assert_non_null(e);
	snprintf(out, 192, "%s/cache/%02x/%llx.%x.%llx", t->f.dir, (unsigned)(e->ino & 0xff),
		(unsigned long long)e->ino, index, (unsigned long long)e->number);
	pthread_mutex_unlock(&t->f.c->lock);
}

enum damage { FLIP, SWAP, REPLAY, SHORTEN, REMOVE, DAMAGES };

/* Slot 3 of the file, where unit 3 is. */
static void damage(struct test *t, enum damage how)
{
	uint8_t slot[SLOT_BYTES], other[SLOT_BYTES];
	char path[192];
	int fd;

	block_path(t, 0, path);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(file_pread_full(fd, slot, sizeof slot, 3 * SLOT_BYTES), 0);
	assert_int_equal(file_pread_full(fd, other, sizeof other, 4 * SLOT_BYTES), 0);
	switch (how) {
	case FLIP:
		slot[2000] ^= 1;
		assert_int_equal(file_pwrite_full(fd, slot, sizeof slot, 3 * SLOT_BYTES), 0);
		break;
	case SWAP:
	case REPLAY:
		assert_int_equal(file_pwrite_full(fd, other, sizeof other, 3 * SLOT_BYTES), 0);
		break;
	case SHORTEN:
		assert_int_equal(ftruncate(fd, 3 * SLOT_BYTES + 99), 0);
		break;
	default:
		unlink(path);
	}
	close(fd);
}

/* Of a dirty block: an error, never an older version (I6), and the rest reads. */
static void damage_of_dirty(void **state)
{
	static const int expected[DAMAGES] = { -ERR_TAMPERED, -ERR_TAMPERED, -ERR_TAMPERED, -ERR_CORRUPT,
		-ERR_CORRUPT };
	struct test *t = *state;
	uint8_t got[UNIT];

	log_to(open("/dev/null", O_WRONLY));
	for (int how = 0; how < DAMAGES; how++) {
		assert_int_equal(truncate_to(t, 0), 0);
		assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 20 * UNIT), 0);
		fix_sync(&t->f, t->ip);
		reopen(t);
		damage(t, how);
		assert_int_equal(fix_call(&t->f, t->ip, CALL_READ, 3 * UNIT, got, UNIT), expected[how]);
		assert_int_equal(fix_call(&t->f, t->ip, CALL_READ, 3 * UNIT + 7, got, 9), expected[how]);
		assert_int_equal(fix_upload(&t->f, t->ip, 0), expected[how]);
		/* a write of a part needs the rest; of the whole it does not */
		assert_int_equal(fix_write(&t->f, t->ip, 3 * UNIT + 1, t->bytes, 1), expected[how]);
		if (how < SHORTEN) {
			assert_int_equal(fix_call(&t->f, t->ip, CALL_READ, 4 * UNIT, got, UNIT), 0);
			assert_memory_equal(got, t->bytes + 4 * UNIT, UNIT);
			assert_int_equal(fix_write(&t->f, t->ip, 3 * UNIT, t->bytes + 3 * UNIT, UNIT), 0);
			fix_check(&t->f, t->ip, t->bytes, 20 * UNIT);
		}
	}
	assert_int_equal(truncate_to(t, 0), 0);
	log_to(-1);
}

static void damage_of_clean(void **state)
{
	struct test *t = *state;
	uint8_t got[UNIT];

	log_to(open("/dev/null", O_WRONLY));
	for (int how = 0; how < DAMAGES; how++) {
		struct cache_need need;

		assert_int_equal(truncate_to(t, 0), 0);
		assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 20 * UNIT), 0);
		fix_sync(&t->f, t->ip);
		assert_int_equal(fix_upload(&t->f, t->ip, 0), 0);
		fix_sync(&t->f, t->ip);
		reopen(t);
		damage(t, how);
		assert_int_equal(cache_read(t->f.c, t->ip, 3 * UNIT, got, UNIT, &need), -ERR_NEED_FETCH);
		assert_int_equal(need.index, 0);
		if (how < SHORTEN) {
			assert_int_equal(need.off, 3 * UNIT);
			assert_int_equal(need.len, UNIT);
		}
		fix_check(&t->f, t->ip, t->bytes, 20 * UNIT);
		/* what was fetched again is kept, and published */
		fix_sync(&t->f, t->ip);
		reopen(t);
		assert_int_equal(cache_read(t->f.c, t->ip, 3 * UNIT, got, UNIT, &need), 0);
		assert_memory_equal(got, t->bytes + 3 * UNIT, UNIT);
	}
	log_to(-1);
}

/* The same through a snapshot, as a move takes it, and through a write of a part. */
static void damage_is_healed(void **state)
{
	struct test *t = *state;
	char path[192];

	log_to(open("/dev/null", O_WRONLY));
	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 20 * UNIT), 0);
	fix_sync(&t->f, t->ip);
	assert_int_equal(fix_upload(&t->f, t->ip, 0), 0);
	fix_sync(&t->f, t->ip);
	damage(t, FLIP);
	assert_int_equal(fix_upload(&t->f, t->ip, 0), -ERR_STALE);
	assert_int_equal(fix_upload(&t->f, t->ip, 0), -ERR_NEED_FETCH);
	fix_check(&t->f, t->ip, t->bytes, 20 * UNIT);
	assert_int_equal(fix_upload(&t->f, t->ip, 0), 0);
	fix_sync(&t->f, t->ip);
	reopen(t);
	block_path(t, 0, path);
	unlink(path);
	assert_int_equal(fix_write(&t->f, t->ip, 3 * UNIT + 5, t->bytes + 3 * UNIT + 5, 10), 0);
	fix_check(&t->f, t->ip, t->bytes, 20 * UNIT);
	fix_sync(&t->f, t->ip);
	reopen(t);
	fix_check(&t->f, t->ip, t->bytes, 20 * UNIT);
	log_to(-1);
}

/* The whole cache directory is lost: what is on a backend is fetched. */
static void lost_directory(void **state)
{
	struct test *t = *state;
	char path[192];
	uint64_t ino = t->ip->ino;

	log_to(open("/dev/null", O_WRONLY));
	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 3 * BLOCK + 100), 0);
	fix_sync(&t->f, t->ip);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(fix_upload(&t->f, t->ip, i), 0);
	meta_inode_put(t->f.m, t->ip);
	fix_close(&t->f);
	snprintf(path, sizeof path, "%s/cache", t->f.dir);
	fix_remove(path);
	fix_open(&t->f);
	t->ip = fix_inode(&t->f, ino);
	/* a write before any read: what is left of the block is fetched, not taken for its only copy */
	assert_int_equal(fix_write(&t->f, t->ip, BLOCK + 5 * UNIT, t->bytes + BLOCK + 5 * UNIT, UNIT), 0);
	assert_int_equal(fix_write(&t->f, t->ip, 2 * BLOCK + 5, t->bytes + 2 * BLOCK + 5, 7), 0);
	fix_check(&t->f, t->ip, t->bytes, 3 * BLOCK + 100);
	fix_sync(&t->f, t->ip);
	reopen(t);
	fix_check(&t->f, t->ip, t->bytes, 3 * BLOCK + 100);
	log_to(-1);
}

/* A row whose map is no map: an error, and the file stays for whoever repairs it. */
static void hostile_map(void **state)
{
	struct test *t = *state;
	struct cache_need need;
	struct block *b;
	char path[192];
	uint8_t got[UNIT];

	log_to(open("/dev/null", O_WRONLY));
	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, BLOCK), 0);
	fix_sync(&t->f, t->ip);
	reopen(t);
	block_path(t, 0, path);
	b = fix_block(&t->f, t->ip, 0);
	meta_lock(t->f.m);
	blob_put(b->local);
	b->local = blob_new("\1\1\0\0\377\377\377\377", 8);
	meta_block_changed(t->f.m, b);
	meta_unlock(t->f.m);
	meta_block_put(t->f.m, b);
	reopen(t);
	assert_int_equal(cache_read(t->f.c, t->ip, 0, got, UNIT, &need), -ERR_CORRUPT);
	assert_int_equal(cache_write(t->f.c, t->ip, 0, got, UNIT, &need), -ERR_CORRUPT);
	assert_int_equal(fix_upload(&t->f, t->ip, 0), -ERR_CORRUPT);
	assert_int_equal(access(path, F_OK), 0);
	log_to(-1);
}

/* ---- failures of the disk ---- */

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* What cannot be sealed stays in memory, is readable, and is synced when the disk takes it again. */
static void disk_refuses(void **state)
{
	struct test *t = *state;

	log_to(open("/dev/null", O_WRONLY));
	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, 10 * UNIT), 0);
	fix_sync(&t->f, t->ip);
	assert_int_equal(fix_write(&t->f, t->ip, 10 * UNIT, t->bytes + 10 * UNIT, 3 * UNIT + 5), 0);
	limit_files(10 * SLOT_BYTES);
	assert_int_equal(cache_sync(t->f.c, t->ip), -EFBIG);
	assert_int_equal(cache_sync_all(t->f.c), -EFBIG);
	assert_false(cache_is_synced(t->f.c, t->ip));
	assert_int_equal(t->ip->disk_size, 10 * UNIT);
	fix_check(&t->f, t->ip, t->bytes, 13 * UNIT + 5);
	/* nothing of a large write is taken over that could not be sealed */
	assert_int_equal(fix_write(&t->f, t->ip, 20 * UNIT, t->bytes, 20 * UNIT), -EFBIG);
	assert_int_equal(t->ip->bytes, 14 * UNIT);
	fix_check(&t->f, t->ip, t->bytes, 13 * UNIT + 5);
	limit_files(RLIM_INFINITY);
	fix_sync(&t->f, t->ip);
	assert_int_equal(t->ip->disk_size, 13 * UNIT + 5);
	reopen(t);
	fix_check(&t->f, t->ip, t->bytes, 13 * UNIT + 5);
	log_to(-1);
}

/* ---- opening ---- */

static void orphans(void **state)
{
	static const char *const names[] = { "01/1.0.7", "ff/ffff.2.9", "02/2.0.1", "02/not-ours" };
	struct test *t = *state;
	char path[192], used[192];

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, BLOCK), 0);
	fix_sync(&t->f, t->ip);
	block_path(t, 0, used);
	meta_inode_put(t->f.m, t->ip);
	fix_close(&t->f);
	for (size_t i = 0; i < COUNT(names); i++) {
		snprintf(path, sizeof path, "%s/cache/%s", t->f.dir, names[i]);
		close(open(path, O_CREAT | O_WRONLY, 0600));
		assert_int_equal(access(path, F_OK), 0);
	}
	fix_open(&t->f);
	for (size_t i = 0; i < COUNT(names); i++) {
		snprintf(path, sizeof path, "%s/cache/%s", t->f.dir, names[i]);
		/* a name that is not of this kind is left alone */
		assert_int_equal(access(path, F_OK), i == 3 ? 0 : -1);
	}
	assert_int_equal(access(used, F_OK), 0);
	t->ip = fix_file(&t->f);
}

static void many_files(void **state)
{
	struct test *t = *state;
	struct inode *ip[100];

	meta_inode_put(t->f.m, t->ip);
	fix_close(&t->f);
	t->f.options.files_max = 3;
	fix_open(&t->f);
	for (size_t i = 0; i < COUNT(ip); i++) {
		ip[i] = fix_file(&t->f);
		assert_int_equal(fix_write(&t->f, ip[i], 0, t->bytes + i, 20000), 0);
	}
	assert_int_equal(cache_sync_all(t->f.c), 0);
	for (size_t i = 0; i < COUNT(ip); i++) {
		assert_true(cache_is_synced(t->f.c, ip[i]));
		assert_int_equal(ip[i]->disk_size, 20000);
		fix_check(&t->f, ip[i], t->bytes + i, 20000);
		meta_inode_put(t->f.m, ip[i]);
	}
	assert_in_range(t->f.c->fds.open, 1, 3);
	t->ip = fix_file(&t->f);
}

/* I5: nothing of the content is in the store. */
static void nothing_in_the_clear(void **state)
{
	static const char line[] = "a line that must not be found on the disk";
	struct test *t = *state;
	char command[256];

	for (uint64_t off = 0; off < BLOCK; off += 1000)
		assert_int_equal(fix_write(&t->f, t->ip, off, line, sizeof line), 0);
	fix_sync(&t->f, t->ip);
	snprintf(command, sizeof command, "grep -rqa 'must not be found' %s", t->f.dir);
	assert_int_equal(WEXITSTATUS(system(command)), 1);
}

static void *sync_in_thread(void *arg)
{
	struct test *t = arg;

	return (void *)(intptr_t)cache_sync(t->f.c, t->ip);
}

/* A sync that waits for readers comes before those who come later. */
static void readers_let_a_sync_through(void **state)
{
	int64_t end = clock_mono_ns() + 20 * NS_PER_S;
	struct test *t = *state;
	bool late = false;
	pthread_t thread;
	void *rc;

	assert_int_equal(fix_write(&t->f, t->ip, 0, t->bytes, BLOCK), 0);
	pthread_rwlock_rdlock(&t->ip->data_lock);
	assert_int_equal(pthread_create(&thread, NULL, sync_in_thread, t), 0);
	while (!late && pthread_rwlock_tryrdlock(&t->ip->data_lock) == 0) {
		pthread_rwlock_unlock(&t->ip->data_lock);
		usleep(1000);
		late = clock_mono_ns() > end;
	}
	pthread_rwlock_unlock(&t->ip->data_lock);
	assert_int_equal(pthread_join(thread, &rc), 0);
	assert_false(late);
	assert_int_equal((intptr_t)rc, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(small_files),
		TEST(small_file_grows),
		TEST(holes),
		TEST(bounds),
		TEST(disk_size),
		TEST(flusher),
		TEST(cut_tail_after_crash),
		TEST(slots_are_reused_when_durable),
		TEST(disk_use_is_bounded),
		TEST(long_runs),
		TEST(dirty_memory),
		TEST(damage_of_dirty),
		TEST(damage_of_clean),
		TEST(damage_is_healed),
		TEST(lost_directory),
		TEST(hostile_map),
		TEST(disk_refuses),
		TEST(orphans),
		TEST(many_files),
		TEST(nothing_in_the_clear),
		TEST(readers_let_a_sync_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
