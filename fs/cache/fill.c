/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a fetch brought, into slots, where the block has nothing newer. */
#include "fs/cache/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct fill {
	struct cblock *b;
	struct cnode *n;
	const struct extent *extent;
	const uint8_t *data; /* of the unit `first` on */
	uint32_t first, units, len;
};

static bool same_extent(struct cblock *b, const struct extent *e)
{
	const struct extent *now = &b->block->extent;
	bool same;

	meta_lock(b->c->meta);
	same = !memcmp(now->object, e->object, sizeof e->object) && now->offset == e->offset && now->len == e->len;
	meta_unlock(b->c->meta);
	return same;
}

static bool wanted(const struct cblock *b, uint32_t unit)
{
	return map_get(&b->map, unit).slot == MAP_ABSENT && !pages_find(&b->pages, unit);
}

/* Sealed without the block's mutex; what became local or stale meanwhile is left alone. */
static int fill_seal(struct fill *f, uint32_t unit, uint32_t n, uint32_t start)
{
	struct cblock *b = f->b;
	struct slot_ad ad = { .ino = b->ino, .block = b->index, .unit = unit, .seq = seq_take(b->c, n) };
	int rc;

	b->inflight++;
	pthread_mutex_unlock(&b->lock);
	rc = slots_write(b->c, b->file, start, n, f->data + (size_t)(unit - f->first) * UNIT, &ad);
	pthread_mutex_lock(&b->lock);
	b->inflight--;
	if (rc == 0 && !same_extent(b, f->extent))
		rc = -ERR_STALE;
	for (uint32_t i = 0; i < n; i++) {
		if (rc == 0 && wanted(b, unit + i))
			cblock_unit_set(b, unit + i, (struct map_unit){ .slot = start + i, .seq = ad.seq + i });
		else
			slotfile_unref(b->file, start + i, 1);
	}
	if (rc == 0)
		cblock_changed(b, f->n, CHANGE_FILLED);
	return rc;
}

static int fill_units(struct fill *f)
{
	struct cblock *b = f->b;
	uint32_t start, n, end = f->first + f->units;
	int rc;

	if ((rc = map_reserve(&b->map, end)) < 0 || (rc = cblock_attach_file(b)) < 0)
		return rc;
	for (uint32_t u = f->first; u < end && rc >= 0; u += n) {
		n = 1;
		if (!wanted(b, u))
			continue;
		while (u + n < end && wanted(b, u + n))
			n++;
		if ((rc = slotfile_alloc(b->file, n, &start)) > 0)
			rc = fill_seal(f, u, n = (uint32_t)rc, start);
	}
	room_account(b->c, b->file);
	return rc < 0 ? rc : 0;
}

static int fill_block(struct fill *f, struct inode *inode, uint32_t off, uint32_t len)
{
	struct cblock *b = f->b;

	if (!same_extent(b, f->extent))
		return -ERR_STALE;
	if (inline_fill_fits(b, inode, f->extent, off, len))
		return inline_fill(b, f->extent, f->data);
	return b->live == LIVE_INLINE ? 0 : fill_units(f);
}

/* The last unit may end with the extent: a padded copy of everything then. */
static int pad(struct fill *f, const void *data, uint8_t **copy)
{
	*copy = NULL;
	f->data = data;
	if (f->len % UNIT == 0)
		return 0;
	if (!(*copy = malloc((size_t)f->units * UNIT)))
		return -ENOMEM;
	memcpy(*copy, data, f->len);
	memset(*copy + f->len, 0, (size_t)f->units * UNIT - f->len);
	f->data = *copy;
	return 0;
}

int cache_fill(struct cache *c, struct inode *inode, uint32_t index, const struct extent *extent, uint32_t off,
	const void *data, uint32_t len)
{
	struct fill f = { .extent = extent, .first = off / UNIT, .units = (len + UNIT - 1) / UNIT, .len = len };
	uint8_t *copy = NULL;
	int rc;

	if (off % UNIT || (uint64_t)off + len > extent->len || (len % UNIT && off + len != extent->len))
		return -EINVAL;
	if (f.first + f.units > c->units)
		return -EINVAL;
	if ((rc = room_reserve(c, f.units, true)) < 0)
		return rc;
	pthread_rwlock_rdlock(&inode->data_lock);
	if ((rc = cnode_get(c, inode->ino, &f.n)) == 0 && (rc = pad(&f, data, &copy)) == 0 &&
		(rc = cblock_enter(c, inode, index, &f.b)) == 0) {
		rc = fill_block(&f, inode, off, len);
		cblock_leave(f.b);
	}
	pthread_rwlock_unlock(&inode->data_lock);
	cnode_put(c, f.n);
	free(copy);
	room_release(c, f.units);
	return rc;
}
