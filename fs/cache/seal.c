/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between units and slots. */
#include "fs/cache/internal.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

uint64_t seq_take(struct cache *c, uint32_t n)
{
	return atomic_fetch_add(&c->seq, n);
}

int slots_write(
	struct cache *c, struct slotfile *f, uint32_t start, uint32_t n, const uint8_t *plain, const struct slot_ad *ad)
{
	uint8_t *sealed = spare_get(&c->sealed);
	int rc = sealed ? 0 : -ENOMEM;

	for (uint32_t done = 0, m; done < n && rc == 0; done += m) {
		struct slot_ad at = *ad;

		m = n - done < BATCH_UNITS ? n - done : BATCH_UNITS;
		at.unit += done;
		at.seq += done;
		slots_seal(sealed, plain + (size_t)done * UNIT, m, &at, c->key);
		rc = slotfile_write(f, start + done, m, sealed);
	}
	spare_put(&c->sealed, sealed);
	return rc;
}

int unit_read(struct cblock *b, uint32_t unit, struct map_unit from, uint8_t *out)
{
	struct slot_ad ad = { .ino = b->ino, .block = b->index, .unit = unit, .seq = from.seq };
	uint8_t slot[SLOT_BYTES];
	int rc;

	if ((rc = slotfile_read(b->file, from.slot, 1, slot)) < 0)
		return rc;
	return slot_open(out, slot, &ad, b->c->key);
}

/* Pages of a block that go into slots beside each other, wherever in the block they are. */
struct gathered {
	uint32_t n, unit[BATCH_UNITS];
	const uint8_t *page[BATCH_UNITS];
};

static void gather(const struct pages *p, struct gathered *g)
{
	uint32_t u = 0;

	for (g->n = 0; g->n < BATCH_UNITS && (u = pages_next(p, u)) != UINT32_MAX; g->n++, u++) {
		g->unit[g->n] = u;
		g->page[g->n] = pages_find(p, u);
	}
}

/* As many as there are free slots beside each other. */
static int part_write(struct cblock *b, const struct gathered *g, uint32_t from, const uint8_t *sealed, uint64_t seq)
{
	uint32_t start, got;
	int rc = slotfile_alloc(b->file, g->n - from, &start);

	if (rc < 0)
		return rc;
	got = (uint32_t)rc;
	if ((rc = slotfile_write(b->file, start, got, sealed + (size_t)from * SLOT_BYTES)) < 0) {
		slotfile_unref(b->file, start, got);
		return rc;
	}
	for (uint32_t i = 0; i < got; i++) {
		cblock_unit_set(b, g->unit[from + i], (struct map_unit){ .slot = start + i, .seq = seq + from + i });
		cblock_pages_drop(b, g->unit[from + i], 1);
	}
	return (int)got;
}

static int pages_seal(struct cblock *b, const struct gathered *g)
{
	struct slot_ad ad = { .ino = b->ino, .block = b->index, .seq = seq_take(b->c, g->n) };
	uint8_t *sealed = spare_get(&b->c->sealed);
	int rc = sealed ? 0 : -ENOMEM;

	if (sealed)
		slots_seal_pages(sealed, g->page, g->unit, g->n, &ad, b->c->key);
	for (uint32_t done = 0; done < g->n && rc >= 0; done += rc > 0 ? (uint32_t)rc : 0)
		rc = part_write(b, g, done, sealed, ad.seq);
	spare_put(&b->c->sealed, sealed);
	return rc < 0 ? rc : 0;
}

int cblock_seal_pages(struct cblock *b)
{
	struct gathered g;
	int rc;

	if (!b->pages.count)
		return 0;
	if ((rc = map_reserve(&b->map, b->pages.cap)) < 0 || (rc = cblock_attach_file(b)) < 0)
		return rc;
	for (gather(&b->pages, &g); rc == 0 && g.n; gather(&b->pages, &g)) {
		slotfile_ahead(b->file, g.n);
		rc = pages_seal(b, &g);
	}
	room_account(b->c, b->file);
	return rc;
}
