/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Room that is set aside: units that count for the file as if they were written, so that no quota stands in the way of
 * a later write, and are zeros, and holes to SEEK_DATA, until then. Only the map knows of them: they take no slot,
 * since a file may be larger than the cache, which makes room for a write by uploading. */
#include "fs/cache/internal.h"

#include <errno.h>

struct allocate {
	struct cache *c;
	struct cnode *n;
	struct inode *inode;
};

/* The row has to say so, which is a sync's to do; and an upload under way must not take the block for stored. */
static void changed(struct allocate *a, struct cblock *b)
{
	meta_lock(a->c->meta);
	b->block->dirty = true;
	b->block->version++;
	a->inode->version++;
	meta_unlock(a->c->meta);
	cblock_changed(b, a->n, CHANGE_WRITTEN);
}

static int allocate_units(struct allocate *a, struct cblock *b, uint32_t first, uint32_t last)
{
	struct extent e;
	int64_t grown;
	int rc;

	cblock_extent(b, &e);
	if ((grown = write_growth(b, &e, first, last)) <= 0)
		return 0;
	if ((rc = map_reserve(&b->map, last + 1)) < 0 || (rc = write_charge(a->c, a->inode, grown)) < 0)
		return rc;
	if (b->live == LIVE_INLINE && (rc = inline_to_slots(b)) < 0) {
		meta_lock(a->c->meta);
		meta_bytes_add(a->c->meta, a->inode, -grown);
		meta_unlock(a->c->meta);
		return rc;
	}
	changed(a, b);
	for (uint32_t u = first; u <= last; u++)
		if (unit_is_hole(b, &e, u))
			cblock_unit_set(b, u, (struct map_unit){ .slot = MAP_UNWRITTEN });
	return 0;
}

/* [off, end) of a block. */
static int allocate_block(struct allocate *a, uint32_t index, uint32_t off, uint32_t end)
{
	struct cblock *b;
	int rc = cblock_enter(a->c, a->inode, index, &b);

	if (rc < 0)
		return rc;
	if (b->live != LIVE_INLINE || end > inline_allocated(b))
		rc = allocate_units(a, b, off / UNIT, (end - 1) / UNIT);
	cblock_leave(b);
	return rc;
}

static void note_beyond(struct cache *c, struct inode *inode, uint64_t end)
{
	meta_lock(c->meta);
	if (end > inode->size)
		inode->flags |= INODE_BEYOND;
	meta_unlock(c->meta);
}

int cache_allocate(struct cache *c, struct inode *inode, uint64_t off, uint64_t len)
{
	struct allocate a = { .c = c, .inode = inode };
	uint64_t end = off + len;
	int rc;

	if (off > file_size_max(c) || len > file_size_max(c) - off)
		return -EFBIG;
	if ((rc = cnode_get(c, inode->ino, &a.n)) < 0)
		return rc;
	note_beyond(c, inode, end);
	for (uint64_t n; off < end && rc == 0; off += n) {
		uint32_t in = (uint32_t)(off % c->block_bytes);

		n = c->block_bytes - in < end - off ? c->block_bytes - in : end - off;
		rc = allocate_block(&a, (uint32_t)(off / c->block_bytes), in, in + (uint32_t)n);
	}
	cnode_put(c, a.n);
	return rc;
}
