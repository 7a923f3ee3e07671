/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Punching: whole blocks lose their rows at once, as in a truncation; parts of a block become zeros in its live map and
 * are published by the next sync. */
#include "fs/cache/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct punch {
	struct cache *c;
	struct cnode *n;
	struct inode *inode;
	struct cache_need *need;
};

/* ---- whole blocks ---- */

static uint64_t row_drop(struct punch *p, struct block *block, uint32_t allocated)
{
	struct cache *c = p->c;
	uint64_t batch;

	pthread_mutex_lock(&c->lock);
	meta_lock(c->meta);
	batch = meta_batch(c->meta);
	if (block->kind == BLOCK_INLINE)
		c->inline_bytes -= block->local->len < c->inline_bytes ? block->local->len : c->inline_bytes;
	blob_put(block->local);
	block->local = NULL;
	block->kind = BLOCK_NONE;
	block->dirty = false;
	block->version++;
	p->inode->version++;
	meta_extent_trim(c->meta, block, 0);
	meta_block_changed(c->meta, block);
	meta_bytes_add(c->meta, p->inode, -(int64_t)allocated * UNIT);
	meta_inode_changed(c->meta, p->inode);
	meta_unlock(c->meta);
	pthread_mutex_unlock(&c->lock);
	return batch;
}

/* Under its mutex. As cblock_settled. */
static bool drop_locked(struct punch *p, struct cblock *b)
{
	struct extent e;

	cblock_extent(b, &e);
	return cblock_forget(b, row_drop(p, b->block, cblock_allocated(b, &e)));
}

/* ---- parts ---- */

static bool unit_has(struct cblock *b, uint32_t unit)
{
	return pages_find(&b->pages, unit) || map_has_slot(map_get(&b->map, unit).slot);
}

static bool unit_is_remote(struct cblock *b, const struct extent *e, uint32_t unit)
{
	return (uint64_t)unit * UNIT < e->len && map_get(&b->map, unit).slot == MAP_ABSENT &&
	       !pages_find(&b->pages, unit);
}

/* A unit zeroed in part must be here, if anything of it is anywhere. */
static int edge_check(struct punch *p, struct cblock *b, const struct extent *e, uint32_t unit)
{
	if (!unit_is_remote(b, e, unit))
		return 0;
	need_unit(p->need, b->index, unit, e);
	return -ERR_NEED_FETCH;
}

static int edge_zero(struct punch *p, struct cblock *b, uint32_t unit, uint32_t from, uint32_t to)
{
	uint8_t *page;
	int rc;

	if (!unit_has(b, unit))
		return 0;
	if ((rc = write_page(b, p->n, p->inode, unit, p->need, &page)) == 0)
		memset(page + from, 0, to - from);
	return rc;
}

static void units_zero(struct cblock *b, const struct extent *e, uint32_t from, uint32_t to)
{
	uint32_t covered = (e->len + UNIT - 1) / UNIT;

	if (to <= from)
		return;
	cblock_pages_drop(b, from, to - from);
	for (uint32_t u = from; u < to; u++)
		cblock_unit_set(b, u, (struct map_unit){ .slot = u < covered ? MAP_ZERO : MAP_ABSENT });
}

/* Whether the block is all zeros now, and no room is set aside in it. */
static bool nothing_left(struct cblock *b, const struct extent *e)
{
	if (b->pages.count || map_allocates(&b->map))
		return false;
	for (uint32_t u = 0; (uint64_t)u * UNIT < e->len; u++)
		if (map_get(&b->map, u).slot == MAP_ABSENT)
			return false;
	return true;
}

static int zero_range(struct punch *p, struct cblock *b, const struct extent *e, uint32_t off, uint32_t end)
{
	uint32_t first = off / UNIT, last = end / UNIT;
	int rc = 0;

	if (first == last)
		return edge_zero(p, b, first, off % UNIT, end % UNIT);
	if (off % UNIT)
		rc = edge_zero(p, b, first++, off % UNIT, UNIT);
	if (rc == 0 && end % UNIT)
		rc = edge_zero(p, b, last, 0, end % UNIT);
	if (rc == 0)
		units_zero(b, e, first, last);
	return rc;
}

static void changed(struct punch *p, struct cblock *b, uint32_t freed)
{
	meta_lock(p->c->meta);
	b->block->dirty = true;
	b->block->version++;
	p->inode->version++;
	meta_bytes_add(p->c->meta, p->inode, -(int64_t)freed * UNIT);
	meta_unlock(p->c->meta);
}

static int punch_slots(struct punch *p, struct cblock *b, uint32_t off, uint32_t end, bool *put)
{
	uint32_t before;
	struct extent e;
	int rc;

	cblock_extent(b, &e);
	if (off % UNIT && (rc = edge_check(p, b, &e, off / UNIT)) < 0)
		return rc;
	if (end % UNIT && (rc = edge_check(p, b, &e, end / UNIT)) < 0)
		return rc;
	if ((rc = map_reserve(&b->map, (e.len + UNIT - 1) / UNIT)) < 0)
		return rc;
	if ((rc = write_load(b, p->n, p->inode, off, end, p->need)) < 0)
		return rc;
	before = cblock_allocated(b, &e);
	changed(p, b, 0);
	cblock_changed(b, p->n, CHANGE_WRITTEN);
	rc = zero_range(p, b, &e, off, end);
	changed(p, b, before - cblock_allocated(b, &e));
	if (rc == 0 && nothing_left(b, &e))
		*put = drop_locked(p, b);
	return rc;
}

static int punch_inline(struct punch *p, struct cblock *b, uint32_t off, uint32_t end)
{
	static const uint8_t zeros[META_INLINE_MAX];
	uint32_t have = b->block->local->len;

	end = end < have ? end : have;
	return off < end ? inline_write(b, p->inode, off, zeros, end - off) : 0;
}

/* [off, end) of a block; end at the block's end where it reaches the file's. */
static int punch_block(struct punch *p, uint32_t index, uint32_t off, uint32_t end)
{
	struct cblock *b;
	struct block *block;
	bool put = false;
	int rc;

	if ((rc = cblock_enter(p->c, p->inode, index, &b)) < 0)
		return rc;
	block = b->block;
	if (off == 0 && end == p->c->block_bytes)
		put = drop_locked(p, b);
	else if (b->live == LIVE_INLINE)
		rc = punch_inline(p, b, off, end);
	else
		rc = punch_slots(p, b, off, end, &put);
	cblock_leave(b);
	if (put)
		meta_block_put(p->c->meta, block);
	return rc;
}

/* Block by block, over those that hold anything. */
static int punch_range(struct punch *p, uint64_t off, uint64_t end)
{
	uint32_t bytes = p->c->block_bytes, last = (uint32_t)((end - 1) / bytes), index = (uint32_t)(off / bytes);
	bool found = true;
	int rc;

	while ((rc = meta_next_data(p->c->meta, p->inode, index, &index, &found)) == 0 && found && index <= last) {
		uint64_t start = (uint64_t)index * bytes;
		uint32_t from = off > start ? (uint32_t)(off - start) : 0;
		uint32_t to = end < start + bytes ? (uint32_t)(end - start) : bytes;

		if ((rc = punch_block(p, index, from, to)) < 0 || index == UINT32_MAX)
			break;
		index++;
	}
	return rc;
}

int cache_punch(struct cache *c, struct inode *inode, uint64_t off, uint64_t len, struct cache_need *need)
{
	struct punch p = { .c = c, .inode = inode, .need = need };
	uint64_t end = len > UINT64_MAX - off ? UINT64_MAX : off + len;
	int rc;

	if (off >= inode->size || len == 0)
		return 0;
	/* what is beyond the size is zeros: whole units, or the block, to its end */
	if (end >= inode->size)
		end = (inode->size + c->block_bytes - 1) / c->block_bytes * c->block_bytes;
	if ((rc = cnode_get(c, inode->ino, &p.n)) < 0)
		return rc;
	assert(inode->intent_done == inode->intent_last); /* I3 */
	pthread_mutex_lock(&p.n->publish);
	rc = punch_range(&p, off, end);
	pthread_mutex_unlock(&p.n->publish);
	if (rc == 0)
		cnode_settle_size(c, p.n, inode);
	cnode_put(c, p.n);
	return rc;
}
