/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Truncation is visible to a commit at once, in one operation: size, extents and rows, the map in the last block's row
 * included, lose what is beyond, so that no commit shows old bytes after a later extension. The rest of the last unit
 * is zeroed in a page. Its old slot stays in the row until the next sync; after a crash its bytes beyond the size are
 * never read: a size beyond them is published with the page's slot or later (I3), and in the next run whoever grows the
 * file wipes them first (write_tail_fix, wipe_beyond in write.c). */
#include "fs/cache/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint64_t file_size_max(const struct cache *c)
{
	uint64_t blocks = (uint64_t)UINT32_MAX * c->block_bytes;

	return blocks < INT64_MAX ? blocks : INT64_MAX;
}

/* ---- blocks beyond ---- */

/* Under the meta lock, before the node is emptied. */
static void dropped(struct block *block)
{
	struct cblock *b = block->cache;

	if (!b || !meta_block_peek(b->c->meta, block->ino, block->index))
		return;
	b->dropped_extent = block->extent.len;
	if (block->kind == BLOCK_INLINE)
		b->c->inline_dropped += block->local->len;
	list_append(&b->c->dropped, &b->drop_link);
}

bool cblock_forget(struct cblock *b, uint64_t batch)
{
	if (b->captured)
		b->captured->dropped = true;
	b->captured = NULL;
	return cblock_empty(b, batch);
}

/* Returns the bytes that no longer count. */
static int64_t forget_dropped(struct cache *c, struct list *blocks, uint64_t batch)
{
	int64_t units = 0;

	list_for_each_safe (it, blocks) {
		struct cblock *b = list_entry(it, struct cblock, drop_link);
		struct extent was = { .len = b->dropped_extent };
		struct block *block = b->block;
		bool put;

		list_remove(&b->drop_link);
		pthread_mutex_lock(&b->lock);
		units += cblock_allocated(b, &was);
		put = cblock_forget(b, batch);
		pthread_mutex_unlock(&b->lock);
		if (put)
			meta_block_put(c->meta, block);
		meta_block_put(c->meta, block);
	}
	return units * UNIT;
}

void entries_doom(struct cache *c, uint64_t ino, uint32_t from, uint64_t batch)
{
	struct entry *e;

	pthread_mutex_lock(&c->lock);
	while ((e = index_next(&c->index, ino, from)))
		index_doom(&c->index, e, batch);
	pthread_mutex_unlock(&c->lock);
}

/* ---- the last block ---- */

/* What becomes of it: prepared under publish and its mutex, done in the one critical section. */
struct cut {
	struct cblock *b; /* entered; NULL: the size is on a block's boundary */
	uint32_t bytes;	  /* that stay */
	uint32_t allocated;
	uint8_t *tail;	  /* the page of the unit that the size ends in; NULL: none */
	struct blob *row; /* its new one */
	bool row_changed, row_empty;
	struct retired *retired;
};

static struct blob *blob_cut(struct cache *c, struct slotfile *f, const struct blob *blob, uint32_t units, bool *empty)
{
	struct blob *out = NULL;
	struct map map;

	if (map_from_blob(c, blob, &map) < 0)
		return NULL;
	map_cut(&map, units);
	*empty = map_empty(&map);
	if ((out = map_to_blob(&map)) && f && slotfile_ref_map(f, &map) < 0) {
		blob_put(out);
		out = NULL;
	}
	map_free(&map);
	return out;
}

static int cut_captured(struct cblock *b, uint32_t units)
{
	struct capture *cap = b->captured;
	struct blob *now;
	struct map was;
	bool empty;

	if (!cap)
		return 0;
	if (!(now = blob_cut(b->c, cap->file, cap->map, units, &empty)))
		return -ENOMEM;
	if (cap->file && map_from_blob(b->c, cap->map, &was) == 0) {
		slotfile_unref_map(cap->file, &was);
		map_free(&was);
	}
	blob_put(cap->map);
	cap->map = now;
	cap->empty = empty;
	return 0;
}

static int cut_row(struct cut *cut, uint32_t units)
{
	struct cblock *b = cut->b;

	if (!b->synced)
		return 0;
	if (!(cut->retired = calloc(1, sizeof *cut->retired)))
		return -ENOMEM;
	if (!(cut->row = blob_cut(b->c, b->file, b->synced, units, &cut->row_empty)))
		return -ENOMEM;
	cut->row_changed = true;
	return 0;
}

/* The unit that the size ends in, as a page. */
static int cut_tail(struct cut *cut, struct cnode *n, struct inode *inode)
{
	struct cblock *b = cut->b;
	uint32_t unit = cut->bytes / UNIT, in = cut->bytes % UNIT;
	struct cache_need need;
	bool dirty;
	int rc;

	if (!in || (!pages_find(&b->pages, unit) && !map_has_slot(map_get(&b->map, unit).slot)))
		return 0;
	meta_lock(b->c->meta);
	dirty = b->block->dirty;
	meta_unlock(b->c->meta);
	cblock_changed(b, n, dirty ? CHANGE_WRITTEN : CHANGE_FILLED);
	rc = write_page(b, n, inode, unit, &need, &cut->tail);
	if (rc < 0)
		cut->tail = NULL;
	/* it was damaged and clean: what is left of the extent ends with the size */
	return rc == -ERR_NEED_FETCH ? 0 : rc;
}

static int cut_inline(struct cut *cut)
{
	const struct blob *row = cut->b->block->local;

	if (row->len <= cut->bytes)
		return 0;
	if (!(cut->row = blob_new(row->data, cut->bytes)))
		return -ENOMEM;
	cut->row_changed = true;
	return 0;
}

static int cut_slots(struct cut *cut, struct cnode *n, struct inode *inode)
{
	struct cblock *b = cut->b;
	uint32_t units = (cut->bytes + UNIT - 1) / UNIT;
	int rc;

	if ((rc = cut_tail(cut, n, inode)) < 0 || (rc = cut_row(cut, units)) < 0 || (rc = cut_captured(b, units)) < 0)
		return rc;
	if (cut->tail)
		memset(cut->tail + cut->bytes % UNIT, 0, UNIT - cut->bytes % UNIT);
	cblock_pages_drop(b, units, UINT32_MAX);
	for (uint32_t u = b->map.len; u > units; u--)
		cblock_unit_set(b, u - 1, (struct map_unit){ .slot = MAP_ABSENT });
	/* a row of before its bytes became slots, live only */
	if (b->block->kind == BLOCK_INLINE)
		return cut_inline(cut);
	return 0;
}

static int cut_prepare(struct cache *c, struct cnode *n, struct inode *inode, uint64_t size, struct cut *cut)
{
	struct extent e;
	int rc;

	cut->bytes = (uint32_t)(size % c->block_bytes);
	if (!cut->bytes)
		return 0;
	if ((rc = cblock_enter(c, inode, (uint32_t)(size / c->block_bytes), &cut->b)) < 0)
		return rc;
	cblock_extent(cut->b, &e);
	cut->allocated = cblock_allocated(cut->b, &e);
	return cut->b->live == LIVE_INLINE ? cut_inline(cut) : cut_slots(cut, n, inode);
}

/* Nothing of the block is left: it goes with those beyond. */
static bool cut_to_nothing(const struct cut *cut)
{
	struct extent e;

	return cut->b->live == LIVE_SLOTS && !map_allocates(&cut->b->map) && !cut->b->pages.count &&
	       !cblock_extent(cut->b, &e);
}

/* In the critical section. */
static void cut_commit(struct cache *c, struct cut *cut, uint64_t batch)
{
	struct cblock *b = cut->b;
	struct block *block = b->block;

	if (cut->row_changed) {
		if (block->kind == BLOCK_INLINE)
			c->inline_dropped += block->local->len - cut->row->len;
		blob_put(block->local);
		block->local = cut->row_empty ? NULL : blob_ref(cut->row);
		block->kind = cut->row_empty ? BLOCK_NONE : block->kind;
		if (b->synced) {
			*cut->retired = (struct retired){ .file = b->file, .map = b->synced, .batch = batch };
			list_init(&cut->retired->link);
			b->synced = cut->row_empty ? NULL : blob_ref(cut->row);
			if (b->file)
				b->file->refs++;
			files_retire(c, cut->retired);
			cut->retired = NULL;
		}
	}
	block->version++;
	meta_extent_trim(c->meta, block, cut->bytes);
	meta_block_changed(c->meta, block);
}

static int64_t cut_bytes(const struct cut *cut)
{
	struct extent e;

	if (!cut->b || cut->b->live == LIVE_INLINE)
		return 0;
	cblock_extent(cut->b, &e);
	return ((int64_t)cut->allocated - cblock_allocated(cut->b, &e)) * UNIT;
}

/* ---- shrinking ---- */

static uint64_t shrink_commit(struct cache *c, struct cnode *n, struct inode *inode, uint64_t size, struct cut *cut,
	uint32_t from, struct list *gone)
{
	uint64_t batch;

	pthread_mutex_lock(&c->lock);
	meta_lock(c->meta);
	batch = meta_batch(c->meta);
	inode->size = size;
	inode->flags &= ~(uint32_t)INODE_BEYOND;
	if (inode->disk_size > size)
		inode->disk_size = size;
	if (n->captured_size > size)
		n->captured_size = size;
	inode->version++;
	/* what the log has of the file is gone with the rest */
	assert(size == 0 || inode->intent_done == inode->intent_last); /* I3 */
	inode->intent_done = inode->intent_last;
	if (cut->b)
		cut_commit(c, cut, batch);
	meta_blocks_drop(c->meta, inode, from, dropped);
	list_splice(gone, &c->dropped);
	meta_inode_changed(c->meta, inode);
	c->inline_bytes -= c->inline_dropped < c->inline_bytes ? c->inline_dropped : c->inline_bytes;
	c->inline_dropped = 0;
	meta_unlock(c->meta);
	pthread_mutex_unlock(&c->lock);
	return batch;
}

void bytes_settle(struct cache *c, struct inode *inode, uint64_t size, int64_t freed)
{
	uint64_t most = (size + UNIT - 1) / UNIT * UNIT;

	meta_lock(c->meta);
	meta_bytes_add(c->meta, inode, -freed);
	if (inode->bytes > most && !(inode->flags & INODE_BEYOND))
		meta_bytes_add(c->meta, inode, (int64_t)(most - inode->bytes));
	meta_unlock(c->meta);
}

/* Under publish. */
static int shrink(struct cache *c, struct cnode *n, struct inode *inode, uint64_t size)
{
	uint32_t from = (uint32_t)((size + c->block_bytes - 1) / c->block_bytes);
	struct list gone = LIST_INIT(gone);
	struct cut cut = { 0 };
	int64_t freed = 0;
	uint64_t batch;
	int rc;

	if ((rc = cut_prepare(c, n, inode, size, &cut)) < 0)
		goto out;
	if (cut.b && cut_to_nothing(&cut))
		from--;
	batch = shrink_commit(c, n, inode, size, &cut, from, &gone);
	freed = cut_bytes(&cut);
	/* the block that is cut to nothing is among those dropped, and its mutex is ours */
	if (cut.b)
		cblock_leave(cut.b);
	cut.b = NULL;
	freed += forget_dropped(c, &gone, batch);
	entries_doom(c, inode->ino, from, batch);
	bytes_settle(c, inode, size, freed);
out:
	if (cut.b)
		cblock_leave(cut.b);
	blob_put(cut.row);
	free(cut.retired);
	return rc;
}

static int grow(struct cache *c, struct cnode *n, struct inode *inode, uint64_t size)
{
	int rc = write_tail_fix(c, n, inode, inode->size);

	if (rc < 0)
		return rc;
	meta_lock(c->meta);
	inode->size = size;
	inode->version++;
	meta_unlock(c->meta);
	return 0;
}

int cache_truncate(struct cache *c, struct inode *inode, uint64_t size, struct cache_need *need)
{
	uint64_t now = inode->size;
	struct cnode *n;
	int rc;

	(void)need; /* an extent is trimmed without its bytes */
	if (size > file_size_max(c))
		return -EFBIG;
	if (size == now && !(inode->flags & INODE_BEYOND))
		return 0;
	if ((rc = cnode_get(c, inode->ino, &n)) < 0)
		return rc;
	pthread_mutex_lock(&n->publish);
	rc = size <= now ? shrink(c, n, inode, size) : grow(c, n, inode, size);
	pthread_mutex_unlock(&n->publish);
	if (rc == 0)
		cnode_settle_size(c, n, inode);
	cnode_put(c, n);
	return rc;
}
