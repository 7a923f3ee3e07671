/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cache/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLAN_UNITS 256 /* looked up at once */

/* One look at the map: where the units of a range are. Slots in it are referenced, so that they may be read without the
 * block's mutex. */
struct plan {
	struct cblock *b;
	struct slotfile *file; /* referenced while any unit has a slot */
	uint32_t first, n;
	struct map_unit unit[PLAN_UNITS];
};

/* ---- under the block's mutex ---- */

/* Units that only the extent has: [*first, +n) of the first such run, false where there is none. */
static bool missing(const struct cblock *b, const struct extent *e, uint32_t from, uint32_t to, struct cache_need *need)
{
	uint32_t covered = (e->len + UNIT - 1) / UNIT, n = 0;

	to = to < covered ? to : covered;
	for (; from < to; from++) {
		if (map_get(&b->map, from).slot == MAP_ABSENT && !pages_find(&b->pages, from))
			n++;
		else if (n)
			break;
	}
	if (!n)
		return false;
	need->index = b->index;
	need->off = (from - n) * UNIT;
	need->len = (from == covered ? e->len : from * UNIT) - need->off;
	return true;
}

bool block_missing(const struct cblock *b, const struct extent *e, uint32_t from, uint32_t to, struct cache_need *need)
{
	return b->live == LIVE_SLOTS && e->len && missing(b, e, from, to, need);
}

/* The part of a unit that [off, off+len) of the block wants, in buf, which is for off. */
struct part {
	uint8_t *to;
	uint32_t in, len;
};

static struct part part_of(uint32_t unit, uint32_t off, uint8_t *buf, uint32_t len)
{
	uint32_t start = unit * UNIT, from = start > off ? start : off;
	uint32_t end = start + UNIT < off + len ? start + UNIT : off + len;

	return (struct part){ .to = buf + (from - off), .in = from - start, .len = end - from };
}

/* Pages and zeros are copied at once; slots are noted. */
static int plan_make(struct plan *p, uint32_t off, uint8_t *buf, uint32_t len)
{
	struct cblock *b = p->b;
	bool slots = false;
	int rc;

	for (uint32_t i = 0; i < p->n; i++) {
		struct part part = part_of(p->first + i, off, buf, len);
		const uint8_t *page = pages_find(&b->pages, p->first + i);

		p->unit[i] = (struct map_unit){ .slot = MAP_ZERO };
		if (!page)
			p->unit[i] = map_get(&b->map, p->first + i);
		if (page)
			memcpy(part.to, page + part.in, part.len);
		else if (!map_has_slot(p->unit[i].slot))
			memset(part.to, 0, part.len);
		else if ((rc = slotfile_ref(b->file, p->unit[i].slot, 1)) == 0)
			slots = true;
		else
			return rc;
	}
	if (slots) {
		p->file = b->file;
		files_ref(b->c, p->file);
	}
	return 0;
}

static void plan_drop(struct plan *p)
{
	for (uint32_t i = 0; p->file && i < p->n; i++)
		if (map_has_slot(p->unit[i].slot))
			slotfile_unref(p->file, p->unit[i].slot, 1);
	files_put(p->b->c, p->file);
}

/* ---- without it ---- */

static uint32_t slot_run(const struct map_unit *v, uint32_t max)
{
	uint32_t n = 1;

	while (n < max && n < BATCH_UNITS && v[n].slot == v->slot + n)
		n++;
	return n;
}

static int open_slot(struct cblock *b, uint32_t unit, uint64_t seq, const uint8_t *slot, const struct part *part)
{
	struct slot_ad ad = { .ino = b->ino, .block = b->index, .unit = unit, .seq = seq };
	uint8_t whole[UNIT];
	int rc;

	if (part->len == UNIT)
		return slot_open(part->to, slot, &ad, b->c->key);
	if ((rc = slot_open(whole, slot, &ad, b->c->key)) == 0)
		memcpy(part->to, whole + part->in, part->len);
	return rc;
}

/* *bad: the index in the plan of the unit that could not be read. */
static int plan_read(struct plan *p, uint32_t off, uint8_t *buf, uint32_t len, uint32_t *bad)
{
	uint8_t *sealed = p->file ? malloc(BATCH_UNITS * SLOT_BYTES) : NULL;
	int rc = 0;

	if (p->file && !sealed)
		return -ENOMEM;
	for (uint32_t i = 0, n = 1; p->file && i < p->n && rc == 0; i += n) {
		n = 1;
		if (!map_has_slot(p->unit[i].slot))
			continue;
		n = slot_run(&p->unit[i], p->n - i);
		*bad = i;
		rc = slotfile_read(p->file, p->unit[i].slot, n, sealed);
		/* a run that ends beyond the file: which of them is missing shows one by one */
		if (rc == -ERR_CORRUPT && n > 1)
			rc = slotfile_read(p->file, p->unit[i].slot, n = 1, sealed);
		for (uint32_t j = 0; j < n && rc == 0; j++) {
			struct part part = part_of(p->first + i + j, off, buf, len);

			*bad = i + j;
			rc = open_slot(
				p->b, p->first + i + j, p->unit[i + j].seq, sealed + (size_t)j * SLOT_BYTES, &part);
		}
	}
	free(sealed);
	return rc;
}

/* ---- a block's part ---- */

/* -EAGAIN: a damaged unit of a clean block was dropped: again. */
static int read_range(struct cblock *b, struct cnode *n, uint32_t off, uint8_t *buf, uint32_t len)
{
	struct plan p = { .b = b, .first = off / UNIT };
	uint32_t bad = 0;
	int rc;

	p.n = (off + len - 1) / UNIT - p.first + 1;
	if ((rc = plan_make(&p, off, buf, len)) < 0)
		return rc;
	if (!p.file)
		return 0;
	pthread_mutex_unlock(&b->lock);
	rc = plan_read(&p, off, buf, len, &bad);
	pthread_mutex_lock(&b->lock);
	plan_drop(&p);
	if (rc < 0 && (rc = cblock_damaged(b, n, p.first + bad, p.unit[bad], rc)) == 0)
		rc = -EAGAIN;
	return rc;
}

static int read_slots(
	struct cblock *b, struct cnode *n, uint32_t off, uint8_t *buf, uint32_t len, struct cache_need *need)
{
	struct extent e;
	int rc = 0;

again:
	cblock_extent(b, &e);
	if (block_missing(b, &e, off / UNIT, (off + len - 1) / UNIT + 1, need))
		return -ERR_NEED_FETCH;
	for (uint32_t done = 0, part; done < len && rc == 0; done += part) {
		part = PLAN_UNITS * UNIT - (off + done) % UNIT;
		part = part < len - done ? part : len - done;
		rc = read_range(b, n, off + done, buf + done, part);
	}
	if (rc == -EAGAIN) {
		rc = 0;
		goto again;
	}
	return rc;
}

static int block_read(struct cblock *b, struct cnode *n, uint32_t off, void *buf, uint32_t len, struct cache_need *need)
{
	if (b->live == LIVE_SLOTS)
		return read_slots(b, n, off, buf, len, need);
	inline_copy(b, off, buf, len);
	return 0;
}

static void count(struct cache *c, bool hit)
{
	pthread_mutex_lock(&c->lock);
	c->hits += hit;
	c->misses += !hit;
	pthread_mutex_unlock(&c->lock);
}

int cache_read(struct cache *c, struct inode *inode, uint64_t off, void *buf, size_t len, struct cache_need *need)
{
	struct cnode *node;
	uint8_t *to = buf;
	int rc;

	if ((rc = cnode_get(c, inode->ino, &node)) < 0)
		return rc;
	for (size_t n; len && rc == 0; off += n, to += n, len -= n) {
		uint32_t in = (uint32_t)(off % c->block_bytes);
		struct cblock *b;

		n = c->block_bytes - in < len ? c->block_bytes - in : len;
		if ((rc = cblock_enter(c, inode, (uint32_t)(off / c->block_bytes), &b)) < 0)
			break;
		rc = block_read(b, node, in, to, (uint32_t)n, need);
		cblock_leave(b);
	}
	cnode_put(c, node);
	if (rc == 0 || rc == -ERR_NEED_FETCH)
		count(c, rc == 0);
	return rc;
}
