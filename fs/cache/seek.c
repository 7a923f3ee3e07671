/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cache/internal.h"

/* Bytes of an inline block; the rest of it is a hole. */
static uint32_t inline_len(struct cblock *b)
{
	uint32_t len;

	meta_lock(b->c->meta);
	len = b->block->local ? b->block->local->len : 0;
	meta_unlock(b->c->meta);
	return len;
}

static bool unit_is_data(const struct cblock *b, uint32_t covered, uint32_t unit)
{
	uint32_t slot = map_get(&b->map, unit).slot;

	return pages_find(&b->pages, unit) || map_has_slot(slot) || (slot == MAP_ABSENT && unit < covered);
}

/* Under the block's mutex. */
static uint32_t next_unit(struct cblock *b, uint32_t unit, bool data)
{
	uint32_t end = (uint32_t)(b->c->block_bytes / UNIT), covered;
	struct extent e;

	cblock_extent(b, &e);
	covered = (e.len + UNIT - 1) / UNIT;
	while (unit < end && unit_is_data(b, covered, unit) != data)
		unit++;
	return unit;
}

static uint32_t next_inline(struct cblock *b, uint32_t unit, bool data)
{
	uint32_t covered = (inline_len(b) + UNIT - 1) / UNIT;

	if ((unit < covered) == data)
		return unit;
	return data ? (uint32_t)(b->c->block_bytes / UNIT) : covered;
}

int cache_next(struct cache *c, struct inode *inode, uint32_t index, uint32_t off, bool data, uint32_t *at)
{
	struct cblock *b;
	uint32_t unit;
	int rc = cblock_enter(c, inode, index, &b);

	if (rc < 0)
		return rc;
	unit = b->live == LIVE_INLINE ? next_inline(b, off / UNIT, data) : next_unit(b, off / UNIT, data);
	cblock_leave(b);
	*at = unit * UNIT > off ? unit * UNIT : off;
	return 0;
}
