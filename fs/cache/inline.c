/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Block 0 of small files: its bytes are in its row, and change with it. A row may hold fewer bytes than the file: the
 * rest are zeros. */
#include "fs/cache/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EVICT_ROWS    256
#define RECOUNT_NS    (10 * NS_PER_S)
#define BLOB_ROUND(n) (((uint64_t)(n) + 511) & ~UINT64_C(511))

/* ---- writing ---- */

/* Nothing local, nothing under way, and no older content that the write leaves in place. */
static bool may_become_inline(struct cblock *b, uint32_t off, uint64_t end)
{
	struct extent e;
	bool none;

	if (b->changed || b->captured || b->file || b->pages.count || !map_empty(&b->map))
		return false;
	meta_lock(b->c->meta);
	none = b->block->kind == BLOCK_NONE;
	meta_unlock(b->c->meta);
	return none && (!cblock_extent(b, &e) || (off == 0 && end >= e.len));
}

bool inline_fits(struct cblock *b, struct inode *inode, uint32_t off, uint32_t len)
{
	uint64_t end = (uint64_t)off + len, size;

	if (b->index || end > META_INLINE_MAX)
		return false;
	meta_lock(b->c->meta);
	size = inode->size;
	meta_unlock(b->c->meta);
	return size <= META_INLINE_MAX && (b->live == LIVE_INLINE || may_become_inline(b, off, end));
}

static struct blob *overwritten(const struct blob *old, uint32_t off, const void *data, uint32_t len)
{
	uint32_t had = old ? old->len : 0, end = off + len;
	struct blob *blob = blob_new(NULL, had > end ? had : end);

	if (!blob)
		return NULL;
	if (had)
		memcpy(blob->data, old->data, had);
	if (off > had)
		memset(blob->data + had, 0, off - had);
	memcpy(blob->data + off, data, len);
	return blob;
}

uint64_t inline_allocated(const struct cblock *b)
{
	return BLOB_ROUND(b->block->local->len);
}

/* By how much the file grows when its row becomes this one. Under the meta lock. */
static int64_t growth(const struct cblock *b, const struct blob *blob)
{
	const struct extent *e = &b->block->extent;
	uint64_t had =
		b->block->kind == BLOCK_INLINE ? inline_allocated(b) : ((uint64_t)e->len + UNIT - 1) / UNIT * UNIT;

	return (int64_t)BLOB_ROUND(blob->len) - (int64_t)had;
}

static int inline_set(struct cblock *b, struct inode *inode, struct blob *blob, uint64_t end)
{
	struct block *block = b->block;
	int64_t grown = growth(b, blob);
	int rc = grown > 0 ? meta_may_grow(b->c->meta, inode, (uint64_t)grown) : 0;

	if (rc < 0)
		return rc;
	if (inode->size < end)
		inode->size = end;
	/* all there is of the file is in this row (I3) */
	inode->disk_size = inode->size;
	block->local = blob;
	block->kind = BLOCK_INLINE;
	block->dirty = true;
	block->version++;
	inode->version++;
	meta_bytes_add(b->c->meta, inode, grown);
	meta_block_changed(b->c->meta, block);
	meta_inode_written(b->c->meta, inode);
	return 0;
}

int inline_write(struct cblock *b, struct inode *inode, uint32_t off, const void *data, uint32_t len)
{
	struct cache *c = b->c;
	struct blob *old = b->block->local; /* changes under the block's mutex only */
	struct blob *blob = overwritten(old, off, data, len);
	int64_t delta = blob ? (int64_t)blob->len - (old ? old->len : 0) : 0;
	int rc;

	if (!blob)
		return -ENOMEM;
	meta_lock(c->meta);
	rc = inline_set(b, inode, blob, (uint64_t)off + len);
	meta_unlock(c->meta);
	if (rc < 0) {
		blob_put(blob);
		return rc;
	}
	b->live = LIVE_INLINE;
	blob_put(old);
	room_inline(c, delta);
	return 0;
}

int inline_to_slots(struct cblock *b)
{
	uint32_t len = b->block->local->len;

	for (uint32_t u = 0; u * UNIT < len; u++) {
		uint8_t *page = cblock_page_add(b, u);

		if (!page) {
			cblock_pages_drop(b, 0, UINT32_MAX);
			return -ENOMEM;
		}
		inline_copy(b, u * UNIT, page, UNIT);
	}
	b->live = LIVE_SLOTS;
	return 0;
}

void inline_copy(struct cblock *b, uint32_t off, uint8_t *out, uint32_t len)
{
	const struct blob *blob = b->block->local;
	uint32_t have = off < blob->len ? blob->len - off : 0;

	have = have < len ? have : len;
	memcpy(out, blob->data + off, have);
	memset(out + have, 0, len - have);
}

/* ---- filling ---- */

bool inline_fill_fits(struct cblock *b, struct inode *inode, const struct extent *e, uint32_t off, uint32_t len)
{
	return off == 0 && len >= e->len && e->len <= META_INLINE_MAX && inline_fits(b, inode, 0, e->len);
}

int inline_fill(struct cblock *b, const struct extent *e, const void *data)
{
	struct cache *c = b->c;
	struct blob *blob = blob_new(data, e->len);
	bool same;

	if (!blob)
		return -ENOMEM;
	meta_lock(c->meta);
	if ((same = !memcmp(&b->block->extent, e, sizeof *e) && b->block->kind == BLOCK_NONE)) {
		b->block->local = blob;
		b->block->kind = BLOCK_INLINE;
		meta_block_changed(c->meta, b->block);
	}
	meta_unlock(c->meta);
	if (!same) {
		blob_put(blob);
		return -ERR_STALE;
	}
	b->live = LIVE_INLINE;
	room_inline(c, e->len);
	return 0;
}

/* ---- eviction ---- */

static int sum_row(void *ctx, struct meta_row *row)
{
	*(uint64_t *)ctx = (uint64_t)meta_row_i64(row, 0);
	return 0;
}

/* What inodes took along that were not in memory when they were deleted. */
void inline_recount(struct cache *c)
{
	uint64_t sum = 0;

	if (meta_select(c->meta, "SELECT bytes FROM inline_total", sum_row, &sum, "") < 0)
		return;
	pthread_mutex_lock(&c->lock);
	c->inline_bytes = sum;
	pthread_mutex_unlock(&c->lock);
}

/* Small files are uploaded as large ones are, and wait for it in their rows. */
uint64_t inline_dirty(struct cache *c)
{
	uint64_t sum = 0;

	if (meta_select(c->meta, "SELECT dirty_bytes FROM inline_total", sum_row, &sum, "") < 0)
		return 0;
	return sum;
}

struct rows {
	size_t n;
	uint64_t ino[EVICT_ROWS];
};

static int clean_row(void *ctx, struct meta_row *row)
{
	struct rows *rows = ctx;

	rows->ino[rows->n++] = (uint64_t)meta_row_i64(row, 0);
	return 0;
}

static const char sql_clean[] = "SELECT b.ino FROM block b INDEXED BY block_clean"
				" CROSS JOIN extent e ON e.ino = b.ino AND e.idx = b.idx"
				" WHERE b.kind = 1 AND b.dirty = 0 AND b.idx = 0 AND b.ino > ?1"
				" ORDER BY b.ino LIMIT ?2";

static uint64_t evict_rows(struct cache *c, uint64_t bytes)
{
	struct rows *rows = calloc(1, sizeof *rows);
	uint64_t freed = 0, last = 0;

	if (!rows)
		return 0;
	do {
		rows->n = 0;
		if (meta_select(c->meta, sql_clean, clean_row, rows, "ii", (int64_t)last, (int64_t)EVICT_ROWS) < 0)
			break;
		for (size_t i = 0; i < rows->n && freed < bytes; i++)
			freed += evict_one(c, rows->ino[i], 0, true);
		last = rows->n ? rows->ino[rows->n - 1] : 0;
	} while (rows->n == EVICT_ROWS && freed < bytes);
	free(rows);
	return freed;
}

uint64_t inline_evict(struct cache *c, uint64_t bytes)
{
	int64_t now = clock_mono_ns();
	uint64_t freed;
	bool useless;

	pthread_mutex_lock(&c->lock);
	useless = !c->inline_bytes || now - c->inline_counted_ns < RECOUNT_NS;
	pthread_mutex_unlock(&c->lock);
	if (useless && bytes != UINT64_MAX)
		return 0;
	freed = evict_rows(c, bytes);
	inline_recount(c);
	pthread_mutex_lock(&c->lock);
	if (freed < bytes)
		c->inline_counted_ns = now;
	pthread_mutex_unlock(&c->lock);
	return freed;
}
