/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between units and slots. */
#include "fs/cache/internal.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

uint64_t seq_take(struct cache *c, uint32_t n)
{
	return atomic_fetch_add(&c->seq, n);
}

int slots_write(
	struct cache *c, struct slotfile *f, uint32_t start, uint32_t n, const uint8_t *plain, const struct slot_ad *ad)
{
	uint32_t batch = n < BATCH_UNITS ? n : BATCH_UNITS;
	uint8_t *sealed = malloc((size_t)batch * SLOT_BYTES);
	int rc = sealed ? 0 : -ENOMEM;

	for (uint32_t done = 0, m; done < n && rc == 0; done += m) {
		struct slot_ad at = *ad;

		m = n - done < batch ? n - done : batch;
		at.unit += done;
		at.seq += done;
		slots_seal(sealed, plain + (size_t)done * UNIT, m, &at, c->key);
		rc = slotfile_write(f, start + done, m, sealed);
	}
	free(sealed);
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

/* `n` pages from `unit` on into slots wherever they are free. */
static int seal_run(struct cblock *b, uint32_t unit, uint32_t n, const uint8_t *plain)
{
	uint32_t start;
	int rc = slotfile_alloc(b->file, n, &start);
	struct slot_ad ad = { .ino = b->ino, .block = b->index, .unit = unit };
	uint32_t got = (uint32_t)rc;

	if (rc < 0)
		return rc;
	ad.seq = seq_take(b->c, got);
	if ((rc = slots_write(b->c, b->file, start, got, plain, &ad)) < 0) {
		slotfile_unref(b->file, start, got);
		return rc;
	}
	for (uint32_t i = 0; i < got; i++)
		cblock_unit_set(b, unit + i, (struct map_unit){ .slot = start + i, .seq = ad.seq + i });
	cblock_pages_drop(b, unit, got);
	return (int)got;
}

static uint32_t gather(const struct pages *p, uint32_t unit, uint8_t *plain)
{
	const uint8_t *page;
	uint32_t n = 0;

	for (; n < BATCH_UNITS && (page = pages_find(p, unit + n)); n++)
		memcpy(plain + (size_t)n * UNIT, page, UNIT);
	return n;
}

int cblock_seal_pages(struct cblock *b)
{
	uint8_t *plain;
	int rc;

	if (!b->pages.count)
		return 0;
	if ((rc = map_reserve(&b->map, b->pages.cap)) < 0 || (rc = cblock_attach_file(b)) < 0)
		return rc;
	if (!(plain = malloc(BATCH_UNITS * UNIT)))
		return -ENOMEM;
	for (uint32_t u = 0; rc >= 0 && (u = pages_next(&b->pages, u)) != UINT32_MAX;)
		rc = seal_run(b, u, gather(&b->pages, u, plain), plain);
	sodium_memzero(plain, BATCH_UNITS * UNIT);
	free(plain);
	room_account(b->c, b->file);
	return rc < 0 ? rc : 0;
}
