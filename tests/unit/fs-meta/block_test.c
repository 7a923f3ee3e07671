/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Blocks: kept, dropped, made again, and the next one that holds anything; what is queued hides what SQLite shows. */
#include "tests/unit/fs-meta/fixture.h"

static void holds(struct fix *f, struct inode *ip, uint32_t index, const char *text)
{
	struct block *b = fix_block(f, ip, index);

	if (text) {
		assert_int_equal(b->kind, BLOCK_INLINE);
		assert_true(b->dirty);
		assert_int_equal(b->local->len, strlen(text));
		assert_memory_equal(b->local->data, text, strlen(text));
	} else {
		assert_int_equal(b->kind, BLOCK_NONE);
		assert_null(b->local);
		assert_false(b->dirty);
	}
	meta_block_put(f->m, b);
}

static void drop(struct fix *f, struct inode *ip, uint32_t from)
{
	meta_lock(f->m);
	meta_blocks_drop(f->m, ip, from, NULL);
	meta_unlock(f->m);
}

static void clear(struct fix *f, struct inode *ip, uint32_t index)
{
	struct block *b = fix_block(f, ip, index);

	meta_lock(f->m);
	blob_put(b->local);
	b->local = NULL;
	b->kind = BLOCK_NONE;
	b->dirty = false;
	meta_block_changed(f->m, b);
	meta_unlock(f->m);
	meta_block_put(f->m, b);
}

static void next_is(struct fix *f, struct inode *ip, uint32_t from, int64_t want)
{
	uint32_t index = 0;
	bool found = false;

	assert_int_equal(meta_next_data(f->m, ip, from, &index, &found), 0);
	assert_int_equal(found ? (int64_t)index : -1, want);
}

/* Everything idle leaves memory. */
static void forget(struct fix *f)
{
	size_t max = f->m->options.nodes_max;

	meta_lock(f->m);
	f->m->options.nodes_max = 0;
	nodes_trim(f->m);
	f->m->options.nodes_max = max;
	meta_unlock(f->m);
	nodes_reap(f->m);
}

static struct inode *file(struct fix *f)
{
	return fix_inode(f, fix_make(f, META_ROOT_INO, "f", S_IFREG | 0600));
}

static void life(void **state)
{
	struct fix f;
	struct inode *ip;
	uint64_t ino;

	(void)state;
	fix_start(&f);
	ip = file(&f);
	ino = ip->ino;
	holds(&f, ip, 0, NULL);
	fix_write(&f, ip, 0, "zero");
	fix_write(&f, ip, UINT32_MAX, "last");
	holds(&f, ip, 0, "zero");
	meta_inode_put(f.m, ip);
	fix_reopen(&f);
	ip = fix_inode(&f, ino);
	holds(&f, ip, 0, "zero");
	holds(&f, ip, 1, NULL);
	holds(&f, ip, UINT32_MAX, "last");
	clear(&f, ip, 0);
	assert_int_equal(fix_sql(&f, "SELECT count(*) FROM block"), 1);
	meta_inode_put(f.m, ip);
	fix_reopen(&f);
	ip = fix_inode(&f, ino);
	holds(&f, ip, 0, NULL);
	meta_inode_put(f.m, ip);
	fix_audit(&f);
	fix_end(&f);
}

/* The state while the drop is queued, while nothing of it is in memory, and after. */
static void drop_hides_rows(void **state)
{
	struct fix f;
	struct inode *ip;

	(void)state;
	fix_start(&f);
	ip = file(&f);
	for (uint32_t i = 0; i < 4; i++)
		fix_write(&f, ip, i, "old");
	assert_int_equal(meta_commit(f.m), 0);
	forget(&f);
	drop(&f, ip, 2);
	holds(&f, ip, 1, "old");
	holds(&f, ip, 2, NULL);
	next_is(&f, ip, 2, -1);
	fix_write(&f, ip, 3, "new"); /* made again in the batch of the drop */
	next_is(&f, ip, 2, 3);
	assert_int_equal(meta_commit(f.m), 0);
	forget(&f);
	holds(&f, ip, 1, "old");
	holds(&f, ip, 2, NULL);
	holds(&f, ip, 3, "new");
	assert_int_equal(fix_sql(&f, "SELECT count(*) FROM block"), 3);
	meta_inode_put(f.m, ip);
	fix_audit(&f);
	fix_end(&f);
}

/* Two drops in two batches: what was made between them is not hidden by the first. */
static void drops_of_two_batches(void **state)
{
	struct fix f;
	struct inode *ip;
	struct batch *b;

	(void)state;
	fix_start(&f);
	ip = file(&f);
	for (uint32_t i = 0; i < 6; i++)
		fix_write(&f, ip, i, "old");
	assert_int_equal(meta_commit(f.m), 0);
	drop(&f, ip, 1);
	fix_write(&f, ip, 2, "two");
	fix_write(&f, ip, 5, "five");
	/* the writer, step by step: it is asleep for an hour */
	meta_lock(f.m);
	assert_int_equal(batch_cut(f.m, &b), 0);
	meta_unlock(f.m);
	drop(&f, ip, 4);
	forget(&f);
	holds(&f, ip, 1, NULL);
	holds(&f, ip, 2, "two");
	holds(&f, ip, 5, NULL);
	assert_int_equal(batch_apply(f.m, f.m->writer, b), 0);
	forget(&f);
	holds(&f, ip, 1, NULL);
	holds(&f, ip, 5, NULL);
	batch_finish(f.m, b);
	forget(&f);
	holds(&f, ip, 0, "old");
	holds(&f, ip, 1, NULL);
	holds(&f, ip, 2, "two");
	holds(&f, ip, 5, NULL); /* the second drop is still queued */
	assert_int_equal(meta_commit(f.m), 0);
	forget(&f);
	holds(&f, ip, 2, "two");
	holds(&f, ip, 5, NULL);
	assert_int_equal(fix_sql(&f, "SELECT count(*) FROM block"), 2);
	meta_inode_put(f.m, ip);
	fix_end(&f);
}

/* A change during the commit is not lost with it. */
static void change_while_committing(void **state)
{
	struct fix f;
	struct inode *ip;
	struct batch *b;
	uint64_t ino;

	(void)state;
	fix_start(&f);
	ip = file(&f);
	ino = ip->ino;
	fix_write(&f, ip, 0, "first");
	meta_lock(f.m);
	assert_int_equal(batch_cut(f.m, &b), 0);
	meta_unlock(f.m);
	fix_write(&f, ip, 0, "second");
	fix_make(&f, META_ROOT_INO, "g", S_IFREG);
	fix_unlink(&f, META_ROOT_INO, "f");
	assert_int_equal(batch_apply(f.m, f.m->writer, b), 0);
	batch_finish(f.m, b);
	assert_int_equal(fix_lookup(&f, META_ROOT_INO, "f"), 0);
	assert_true(fix_lookup(&f, META_ROOT_INO, "g") > ino);
	meta_inode_put(f.m, ip);
	fix_reopen(&f);
	assert_int_equal(fix_lookup(&f, META_ROOT_INO, "f"), 0);
	assert_int_equal(meta_inode_get(f.m, ino, &ip), -ENOENT);
	fix_audit(&f);
	fix_end(&f);
}

static int dropped_count;

static void count_dropped(struct block *b)
{
	assert_true(b->index >= 1);
	assert_non_null(b->local);
	dropped_count++;
}

static int cache_freed;

static void cache_free(void *cache)
{
	free(cache);
	cache_freed++;
}

static void callbacks(void **state)
{
	struct fix f;
	struct inode *ip;
	struct block *b;
	uint64_t version;

	(void)state;
	fix_start(&f);
	cache_freed = dropped_count = 0;
	meta_set_block_free(f.m, cache_free);
	ip = file(&f);
	for (uint32_t i = 0; i < 3; i++) {
		fix_write(&f, ip, i, "x");
		b = fix_block(&f, ip, i);
		b->cache = malloc(1);
		meta_block_put(f.m, b);
	}
	b = fix_block(&f, ip, 2);
	version = b->version;
	meta_lock(f.m);
	assert_ptr_equal(meta_block_peek(f.m, ip->ino, 2), b);
	assert_null(meta_block_peek(f.m, ip->ino, 7));
	meta_block_ref(b);
	node_unref(f.m, &b->node);
	node_unref(f.m, &b->node);
	meta_blocks_drop(f.m, ip, 1, count_dropped);
	meta_unlock(f.m);
	assert_int_equal(dropped_count, 2);
	assert_int_equal(b->kind, BLOCK_NONE); /* the same node, empty */
	assert_true(b->version > version);     /* an upload of what it held is too late */
	meta_block_put(f.m, b);
	meta_block_put(f.m, NULL);
	/* an inode that is deleted takes its idle blocks along at once */
	assert_int_equal(meta_commit(f.m), 0);
	fix_unlink(&f, META_ROOT_INO, "f");
	meta_inode_put(f.m, ip);
	assert_int_equal(meta_commit(f.m), 0);
	nodes_reap(f.m);
	assert_int_equal(cache_freed, 3);
	fix_end(&f);
}

static void next_data(void **state)
{
	struct fix f;
	struct inode *ip;

	(void)state;
	fix_start(&f);
	ip = file(&f);
	next_is(&f, ip, 0, -1);
	fix_write(&f, ip, 3, "x");
	fix_write(&f, ip, 9, "x");
	for (int round = 0; round < 3; round++) {
		next_is(&f, ip, 0, 3);
		next_is(&f, ip, 3, 3);
		next_is(&f, ip, 4, 9);
		next_is(&f, ip, 10, -1);
		if (round == 0)
			assert_int_equal(meta_commit(f.m), 0);
		else
			forget(&f);
	}
	fix_write(&f, ip, 5, "x");
	clear(&f, ip, 3);
	next_is(&f, ip, 0, 5);
	clear(&f, ip, 5);
	next_is(&f, ip, 0, 9);
	drop(&f, ip, 6);
	next_is(&f, ip, 0, -1);
	fix_write(&f, ip, UINT32_MAX, "x");
	next_is(&f, ip, 0, UINT32_MAX);
	clear(&f, ip, UINT32_MAX);
	assert_int_equal(meta_commit(f.m), 0);
	forget(&f);
	next_is(&f, ip, 0, -1);
	meta_inode_put(f.m, ip);
	fix_end(&f);
}

static void rows_in_order(void **state)
{
	static const uint32_t index[] = { 7, 0, 4000000000U, 3 };
	struct block_row rows[8];
	struct inode *ip;
	struct fix f;

	(void)state;
	fix_start(&f);
	ip = file(&f);
	for (size_t i = 0; i < COUNT(index); i++)
		fix_write(&f, ip, index[i], "x");
	assert_int_equal(meta_blocks(f.m, ip->ino, 0, rows, 8), 4);
	assert_int_equal(rows[0].index, 0);
	assert_int_equal(rows[1].index, 3);
	assert_int_equal(rows[2].index, 7);
	assert_int_equal(rows[3].index, 4000000000U);
	assert_true(rows[3].dirty && !rows[3].has_extent && rows[3].kind == BLOCK_INLINE);
	assert_int_equal(meta_blocks(f.m, ip->ino, 1, rows, 2), 2);
	assert_int_equal(rows[1].index, 7);
	assert_int_equal(meta_blocks(f.m, ip->ino + 1, 0, rows, 8), 0);
	meta_inode_put(f.m, ip);
	fix_end(&f);
}

/* A blob is bounded by its weight, not only by its number. */
static void idle_blobs_are_bounded(void **state)
{
	struct fix f;
	struct inode *ip;
	char text[8001];

	(void)state;
	memset(text, 'x', 8000);
	text[8000] = 0;
	fix_new(&f);
	f.options.nodes_max = 1000;
	fix_open(&f);
	ip = file(&f);
	for (uint32_t i = 0; i < 200; i++)
		fix_write(&f, ip, i, text);
	assert_int_equal(meta_commit(f.m), 0);
	meta_lock(f.m);
	assert_true(f.m->idle_bytes <= 1000 * 256);
	assert_true(f.m->nodes[NODE_BLOCK].count < 40);
	meta_unlock(f.m);
	meta_inode_put(f.m, ip);
	fix_end(&f);
}

/* ---- threads: a block that is being loaded while it is dropped ---- */

struct racer {
	pthread_t thread;
	struct fix *f;
	struct inode *ip;
	unsigned seed;
};

static void *get_blocks(void *arg)
{
	struct racer *r = arg;

	for (int i = 0; i < 3000; i++) {
		struct block *b;

		r->seed = r->seed * 1103515245 + 12345;
		assert_int_equal(meta_block_get(r->f->m, r->ip, r->seed >> 16 & 7, &b), 0);
		meta_lock(r->f->m);
		assert_int_equal(b->kind == BLOCK_NONE, b->local == NULL);
		meta_unlock(r->f->m);
		meta_block_put(r->f->m, b);
	}
	return NULL;
}

static void drop_while_loading(void **state)
{
	struct racer r[2];
	struct fix f;
	struct inode *ip;

	(void)state;
	fix_new(&f);
	f.options.nodes_max = 1;
	fix_open(&f);
	ip = file(&f);
	for (size_t i = 0; i < COUNT(r); i++) {
		r[i] = (struct racer){ .f = &f, .ip = ip, .seed = (unsigned)i };
		assert_int_equal(pthread_create(&r[i].thread, NULL, get_blocks, &r[i]), 0);
	}
	for (int i = 0; i < 300; i++) {
		for (uint32_t k = 0; k < 8; k++)
			fix_write(&f, ip, k, "x");
		if (i % 2)
			assert_int_equal(meta_commit(f.m), 0);
		drop(&f, ip, (uint32_t)i % 5);
		for (uint32_t k = (uint32_t)i % 5; k < 8; k++)
			holds(&f, ip, k, NULL);
		if (i % 3)
			assert_int_equal(meta_commit(f.m), 0);
	}
	for (size_t i = 0; i < COUNT(r); i++)
		pthread_join(r[i].thread, NULL);
	meta_inode_put(f.m, ip);
	fix_audit(&f);
	fix_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(life),
		cmocka_unit_test(drop_hides_rows),
		cmocka_unit_test(drops_of_two_batches),
		cmocka_unit_test(change_while_committing),
		cmocka_unit_test(callbacks),
		cmocka_unit_test(next_data),
		cmocka_unit_test(rows_in_order),
		cmocka_unit_test(idle_blobs_are_bounded),
		cmocka_unit_test(drop_while_loading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
