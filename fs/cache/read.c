/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cache/internal.h"

#include <errno.h>
#include <string.h>

#define PLAN_UNITS 256 /* looked up at once */

/* One look at the map: where the units of a range are. Slots in it are held, so that they may be read without the
 * block's mutex. */
struct plan {
	struct cblock *b;
	struct slotfile *file; /* referenced while any unit has a slot */
	uint32_t first, n, held;
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

/* Units in slots beside each other, as many as are opened at once. */
static uint32_t slot_run(const struct map_unit *v, uint32_t max)
{
	uint32_t n = 1;

	while (n < max && n < BATCH_UNITS && v[n].slot == v->slot + n)
		n++;
	return n;
}

static int plan_hold(struct plan *p)
{
	int rc = 0;

	for (uint32_t n; p->held < p->n && rc == 0; p->held += rc == 0 ? n : 0) {
		struct map_unit *v = &p->unit[p->held];

		n = 1;
		if (!map_has_slot(v->slot))
			continue;
		n = slot_run(v, p->n - p->held);
		if (!p->file)
			files_ref(p->b->c, p->file = p->b->file);
		rc = slotfile_ref(p->file, v->slot, n);
	}
	return rc;
}

static void plan_drop(struct plan *p)
{
	for (uint32_t i = 0, n; p->file && i < p->held; i += n) {
		n = 1;
		if (!map_has_slot(p->unit[i].slot))
			continue;
		n = slot_run(&p->unit[i], p->held - i);
		slotfile_unref(p->file, p->unit[i].slot, n);
	}
	if (p->file)
		files_put(p->b->c, p->file);
}

/* Pages and zeros are copied at once; slots are noted. */
static int plan_make(struct plan *p, uint32_t off, uint8_t *buf, uint32_t len)
{
	struct cblock *b = p->b;

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
	}
	return plan_hold(p);
}

/* ---- without it ---- */

/* Units of a run, straight to where they are wanted; the first and the last may be wanted in part. */
static int run_open(struct plan *p, uint32_t i, uint32_t n, const uint8_t *sealed, uint32_t off, uint8_t *buf,
	uint32_t len, uint32_t *bad)
{
	struct slot_ad ad = { .ino = p->b->ino, .block = p->b->index, .unit = p->first + i };
	uint8_t edge[2][UNIT], *page[BATCH_UNITS];
	uint64_t seq[BATCH_UNITS];
	size_t at;
	int rc;

	for (uint32_t j = 0; j < n; j++) {
		struct part part = part_of(ad.unit + j, off, buf, len);

		/* only its address is taken here */
		/* cppcheck-suppress legacyUninitvar */
		page[j] = part.len == UNIT ? part.to : edge[j > 0];
		seq[j] = p->unit[i + j].seq;
	}
	rc = slots_open_pages(page, sealed, seq, n, &ad, p->b->c->key, &at);
	for (uint32_t j = 0; j < n && rc == 0; j += n > 1 ? n - 1 : 1) {
		struct part part = part_of(ad.unit + j, off, buf, len);

		if (part.len < UNIT)
			memcpy(part.to, page[j] + part.in, part.len);
	}
	*bad = i + (uint32_t)at;
	return rc;
}

/* *bad: the index in the plan of the unit that could not be read. */
static int plan_read(struct plan *p, uint32_t off, uint8_t *buf, uint32_t len, uint32_t *bad)
{
	struct spare *spare = &p->b->c->sealed;
	uint8_t *sealed = spare_get(spare);
	int rc = sealed ? 0 : -ENOMEM;

	for (uint32_t i = 0, n; i < p->n && rc == 0; i += n) {
		n = 1;
		if (!map_has_slot(p->unit[i].slot))
			continue;
		n = slot_run(&p->unit[i], p->n - i);
		*bad = i;
		rc = slotfile_read(p->file, p->unit[i].slot, n, sealed);
		/* a run that ends beyond the file: which of them is missing shows one by one */
		if (rc == -ERR_CORRUPT && n > 1)
			rc = slotfile_read(p->file, p->unit[i].slot, n = 1, sealed);
		if (rc == 0)
			rc = run_open(p, i, n, sealed, off, buf, len, bad);
	}
	spare_put(spare, sealed);
	return rc;
}

/* ---- a block's part ---- */

/* 0: dropped, as the block is clean. */
static int damaged(struct cblock *b, uint32_t unit, struct map_unit was, int rc)
{
	struct cnode *n;

	if (cnode_get(b->c, b->ino, &n) < 0)
		return -ENOMEM;
	rc = cblock_damaged(b, n, unit, was, rc);
	cnode_put(b->c, n);
	return rc;
}

/* -EAGAIN: a damaged unit of a clean block was dropped: again. */
static int read_range(struct cblock *b, uint32_t off, uint8_t *buf, uint32_t len)
{
	struct plan p = { .b = b, .first = off / UNIT };
	uint32_t bad = 0;
	int rc;

	p.n = (off + len - 1) / UNIT - p.first + 1;
	rc = plan_make(&p, off, buf, len);
	if (rc < 0 || !p.file) {
		plan_drop(&p);
		return rc;
	}
	pthread_mutex_unlock(&b->lock);
	rc = plan_read(&p, off, buf, len, &bad);
	pthread_mutex_lock(&b->lock);
	plan_drop(&p);
	if (rc < 0 && (rc = damaged(b, p.first + bad, p.unit[bad], rc)) == 0)
		rc = -EAGAIN;
	return rc;
}

static int read_slots(struct cblock *b, uint32_t off, uint8_t *buf, uint32_t len, struct cache_need *need)
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
		rc = read_range(b, off + done, buf + done, part);
	}
	if (rc == -EAGAIN) {
		rc = 0;
		goto again;
	}
	return rc;
}

static int block_read(struct cblock *b, uint32_t off, void *buf, uint32_t len, struct cache_need *need)
{
	if (b->live == LIVE_SLOTS)
		return read_slots(b, off, buf, len, need);
	inline_copy(b, off, buf, len);
	return 0;
}

int cache_read(struct cache *c, struct inode *inode, uint64_t off, void *buf, size_t len, struct cache_need *need)
{
	uint8_t *to = buf;
	int rc = 0;

	for (size_t n; len && rc == 0; off += n, to += n, len -= n) {
		uint32_t in = (uint32_t)(off % c->block_bytes);
		struct cblock *b;

		n = c->block_bytes - in < len ? c->block_bytes - in : len;
		if ((rc = cblock_enter(c, inode, (uint32_t)(off / c->block_bytes), &b)) < 0)
			break;
		rc = block_read(b, in, to, (uint32_t)n, need);
		cblock_leave(b);
	}
	if (rc == 0)
		atomic_fetch_add(&c->hits, 1);
	else if (rc == -ERR_NEED_FETCH)
		atomic_fetch_add(&c->misses, 1);
	return rc;
}
