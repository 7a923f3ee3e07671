/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random operations on a few files, compared with the same ones on arrays; with uploads, evictions, reopening, and
 * crashes that keep the metadata of the last moment it was durable and the block files of any later one. */
#include "tests/unit/fs-cache/fixture.h"

#define BLOCK	  (256u << 10)
#define SIZE_MAX_ (5 * BLOCK + 12345)
#define FILES	  3

struct model {
	uint64_t size;
	uint8_t *bytes; /* SIZE_MAX_; zeros beyond size */
};

struct world {
	struct fix f;
	uint64_t random;
	uint64_t ino[FILES];
	struct model live[FILES], durable[FILES];
	struct fix copy; /* metadata of that moment */
	bool has_copy;
	uint64_t copy_batch; /* durable then */
	unsigned crashes, logged;
};

static uint64_t pick(struct world *w, uint64_t below)
{
	return fix_random(&w->random) % below;
}

static void model_copy(struct model *to, const struct model *from)
{
	to->size = from->size;
	memcpy(to->bytes, from->bytes, SIZE_MAX_);
}

/* Lengths and offsets of every kind: within a unit, at its edges, whole units, more than a block. */
static uint64_t pick_len(struct world *w)
{
	static const uint64_t most[] = { 10, 5000, UNIT, 4 * UNIT, 100 << 10, 2 * BLOCK };
	uint64_t len = 1 + pick(w, most[pick(w, COUNT(most))]);

	return pick(w, 3) ? len : (len + UNIT - 1) / UNIT * UNIT;
}

static uint64_t pick_off(struct world *w, const struct model *m, uint64_t len)
{
	uint64_t off;

	switch (pick(w, 5)) {
	case 0:
		off = m->size;
		break;
	case 1:
		off = pick(w, 8192);
		break;
	default:
		off = pick(w, SIZE_MAX_);
	}
	if (pick(w, 2))
		off = off / UNIT * UNIT;
	return off + len > SIZE_MAX_ ? SIZE_MAX_ - len : off;
}

static void op_write(struct world *w, struct inode *ip, struct model *m)
{
	uint64_t len = pick_len(w), off = pick_off(w, m, len);

	fix_fill_random(&w->random, m->bytes + off, len);
	if (m->size < off + len)
		m->size = off + len;
	assert_int_equal(fix_write(&w->f, ip, off, m->bytes + off, len), 0);
}

static void op_truncate(struct world *w, struct inode *ip, struct model *m)
{
	uint64_t to = pick(w, 4) ? pick(w, SIZE_MAX_) : pick(w, 9000);

	if (pick(w, 4) == 0)
		to = to / UNIT * UNIT;
	if (pick(w, 8) == 0)
		to = to / BLOCK * BLOCK;
	if (to < m->size)
		memset(m->bytes + to, 0, m->size - to);
	m->size = to;
	assert_int_equal(fix_call(&w->f, ip, CALL_TRUNCATE, to, NULL, 0), 0);
}

static void op_punch(struct world *w, struct inode *ip, struct model *m)
{
	uint64_t len = pick_len(w), off = pick_off(w, m, len);

	if (off < m->size)
		memset(m->bytes + off, 0, off + len < m->size ? len : m->size - off);
	assert_int_equal(fix_call(&w->f, ip, CALL_PUNCH, off, NULL, len), 0);
}

static void op_read(struct world *w, struct inode *ip, struct model *m)
{
	uint64_t len = pick_len(w), off;
	uint8_t *got;

	if (!m->size)
		return;
	off = pick(w, m->size);
	len = off + len > m->size ? m->size - off : len;
	assert_non_null(got = malloc(len));
	assert_int_equal(fix_call(&w->f, ip, CALL_READ, off, got, len), 0);
	assert_memory_equal(got, m->bytes + off, len);
	free(got);
}

static void op_upload(struct world *w, struct inode *ip)
{
	uint32_t index = (uint32_t)pick(w, SIZE_MAX_ / BLOCK + 1);
	int rc;

	assert_int_equal(cache_sync(w->f.c, ip), 0);
	rc = fix_upload(&w->f, ip, index);
	/* the thread may be syncing what was fetched */
	assert_true(rc == 0 || rc == -ENOENT || rc == -ERR_NEED_FETCH || rc == -ERR_STALE);
}

static void open_files(struct world *w, struct inode **ip)
{
	for (int i = 0; i < FILES; i++)
		ip[i] = fix_inode(&w->f, w->ino[i]);
}

static void put_files(struct world *w, struct inode **ip)
{
	for (int i = 0; i < FILES; i++)
		meta_inode_put(w->f.m, ip[i]);
}

static void drop_copy(struct world *w)
{
	if (w->has_copy)
		fix_crash_end(&w->copy);
	w->has_copy = false;
}

static void op_reopen(struct world *w, struct inode **ip)
{
	drop_copy(w);
	put_files(w, ip);
	fix_close(&w->f);
	fix_open(&w->f);
	open_files(w, ip);
}

static void op_durable(struct world *w)
{
	drop_copy(w);
	assert_int_equal(cache_sync_all(w->f.c), 0);
	assert_int_equal(meta_sync(w->f.m), 0);
	for (int i = 0; i < FILES; i++)
		model_copy(&w->durable[i], &w->live[i]);
	fix_crash_meta(&w->f, &w->copy);
	w->copy_batch = meta_durable(w->f.m);
	w->has_copy = true;
}

/* By the log, if it can be: then the metadata is as it was. */
static void op_fsync(struct world *w, struct inode *ip, int i)
{
	uint64_t last = intentlog_last(w->f.c->log);

	assert_int_equal(fix_fsync(&w->f, ip), 0);
	w->logged += intentlog_last(w->f.c->log) > last;
	if (w->has_copy && meta_durable(w->f.m) != w->copy_batch)
		drop_copy(w);
	model_copy(&w->durable[i], &w->live[i]);
}

/* Only the slots that rows name were synced: the others may hold anything. */
static void tear(struct world *w)
{
	struct entry *e;
	uint8_t junk[SLOT_BYTES];

	memset(junk, 0x5a, sizeof junk);
	for (int i = 0; i < FILES; i++) {
		struct inode *ip = fix_inode(&w->copy, w->ino[i]);

		for (uint32_t from = 0; (e = index_next(&w->copy.c->index, w->ino[i], from)); from = e->index + 1) {
			struct cblock *b;
			uint32_t end;

			assert_int_equal(cblock_enter(w->copy.c, ip, e->index, &b), 0);
			end = b->file ? b->file->end : 0;
			for (uint32_t s = 0; s < end; s++)
				if (!(b->file->slot[s] & 0x7fff))
					assert_int_equal(slotfile_write(b->file, s, 1, junk), 0);
			cblock_leave(b);
		}
		meta_inode_put(w->copy.m, ip);
	}
}

/* Grown after the crash, nothing that was cut off before it may show. */
static void check_growth(struct fix *f, struct inode *ip, const struct model *m)
{
	uint8_t *bytes = calloc(1, SIZE_MAX_ + 10000);
	uint64_t size = m->size + 6000;

	assert_non_null(bytes);
	memcpy(bytes, m->bytes, m->size);
	if (size % 2) {
		assert_int_equal(fix_call(f, ip, CALL_TRUNCATE, size, NULL, 0), 0);
	} else {
		bytes[size - 1] = 'x';
		assert_int_equal(fix_write(f, ip, size - 1, "x", 1), 0);
	}
	fix_check(f, ip, bytes, size);
	free(bytes);
}

static void op_crash(struct world *w)
{
	/* what was durable is no longer that */
	if (w->has_copy && meta_durable(w->f.m) != w->copy_batch)
		drop_copy(w);
	if (!w->has_copy)
		return;
	w->crashes++;
	fix_crash_files(&w->f, &w->copy);
	fix_open(&w->copy);
	recount_usage(w->copy.m);
	tear(w);
	for (int i = 0; i < FILES; i++) {
		struct inode *ip = fix_inode(&w->copy, w->ino[i]);

		fix_check(&w->copy, ip, w->durable[i].bytes, w->durable[i].size);
		check_growth(&w->copy, ip, &w->durable[i]);
		meta_inode_put(w->copy.m, ip);
	}
	drop_copy(w);
}

static void op_small_syncs(struct world *w, struct inode *ip, int i)
{
	struct model *m = &w->live[i];

	for (uint64_t n = pick(w, 12); n; n--) {
		uint64_t len = 1 + pick(w, 3 * UNIT), off = pick_off(w, m, len);

		fix_fill_random(&w->random, m->bytes + off, len);
		if (m->size < off + len)
			m->size = off + len;
		assert_int_equal(fix_write(&w->f, ip, off, m->bytes + off, len), 0);
		op_fsync(w, ip, i);
	}
}

static void step(struct world *w, struct inode **ip)
{
	int i = (int)pick(w, FILES);
	uint64_t what = pick(w, 100);

	if (what < 40)
		op_write(w, ip[i], &w->live[i]);
	else if (what < 52)
		op_read(w, ip[i], &w->live[i]);
	else if (what < 60)
		op_truncate(w, ip[i], &w->live[i]);
	else if (what < 67)
		op_punch(w, ip[i], &w->live[i]);
	else if (what < 80)
		op_upload(w, ip[i]);
	else if (what < 84)
		assert_int_equal(meta_sync(w->f.m), 0);
	else if (what < 86)
		assert_int_equal(cache_sync(w->f.c, ip[i]), 0);
	else if (what < 90)
		op_fsync(w, ip[i], i);
	else if (what < 91)
		op_small_syncs(w, ip[i], i);
	else if (what < 92)
		cache_evict(w->f.c, UINT64_MAX);
	else if (what < 94)
		fix_check(&w->f, ip[i], w->live[i].bytes, w->live[i].size);
	else if (what < 95)
		op_reopen(w, ip);
	else if (what < 98)
		op_durable(w);
	else
		op_crash(w);
}

static void run(uint64_t seed, int steps, uint64_t bytes_max)
{
	struct world w = { .random = seed * 0x9e3779b97f4a7c15 + 1 };
	struct inode *ip[FILES];

	fix_start(&w.f, BLOCK, bytes_max);
	fix_close(&w.f);
	w.f.options.intent_bytes = 1 << 20;
	fix_open(&w.f);
	assert_int_equal(intentlog_prepare(w.f.c->log), 0);
	for (int i = 0; i < FILES; i++) {
		w.live[i].bytes = calloc(1, SIZE_MAX_);
		w.durable[i].bytes = calloc(1, SIZE_MAX_);
		assert_true(w.live[i].bytes && w.durable[i].bytes);
		ip[i] = fix_file(&w.f);
		w.ino[i] = ip[i]->ino;
	}
	for (int s = 0; s < steps; s++)
		step(&w, ip);
	op_durable(&w);
	op_crash(&w);
	for (int i = 0; i < FILES; i++) {
		fix_check(&w.f, ip[i], w.live[i].bytes, w.live[i].size);
		free(w.live[i].bytes);
		free(w.durable[i].bytes);
	}
	print_message("%u crashes, %u syncs by the log\n", w.crashes, w.logged);
	put_files(&w, ip);
	fix_end(&w.f);
}

static void random_operations(void **state)
{
	const char *scale = getenv("TEST_SCALE"), *seed = getenv("TEST_SEED");
	uint64_t first = seed ? strtoull(seed, NULL, 0) : 1,
		 runs = seed ? 1 : 6 * (scale ? strtoull(scale, NULL, 0) : 1);

	(void)state;
	for (uint64_t i = first; i < first + runs; i++) {
		print_message("seed %llu\n", (unsigned long long)i);
		run(i, 400, 1 << 30);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
