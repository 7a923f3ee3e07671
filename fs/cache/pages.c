/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cache/pages.h"

#include "fs/crypt/seal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

uint8_t *pages_find(const struct pages *p, uint32_t unit)
{
	return unit < p->cap ? p->v[unit] : NULL;
}

static int grow(struct pages *p, uint32_t unit)
{
	uint32_t cap = p->cap ? p->cap : 4;
	uint8_t **v;

	while (cap <= unit)
		cap *= 2;
	if (!(v = realloc(p->v, cap * sizeof *v)))
		return -1;
	memset(v + p->cap, 0, (cap - p->cap) * sizeof *v);
	p->v = v;
	p->cap = cap;
	return 0;
}

uint8_t *pages_add(struct pages *p, uint32_t unit)
{
	uint8_t *page;

	if ((unit >= p->cap && grow(p, unit) < 0) || !(page = malloc(SLOT_DATA)))
		return NULL;
	p->v[unit] = page;
	p->count++;
	return page;
}

static void release_if_empty(struct pages *p)
{
	if (p->count)
		return;
	free(p->v);
	memset(p, 0, sizeof *p);
}

uint32_t pages_drop(struct pages *p, uint32_t unit)
{
	uint8_t *page = pages_find(p, unit);

	if (!page)
		return 0;
	sodium_memzero(page, SLOT_DATA);
	free(page);
	p->v[unit] = NULL;
	p->count--;
	release_if_empty(p);
	return 1;
}

uint32_t pages_cut(struct pages *p, uint32_t from)
{
	uint32_t dropped = 0;

	for (uint32_t unit; (unit = pages_next(p, from)) != UINT32_MAX;)
		dropped += pages_drop(p, unit);
	return dropped;
}

uint32_t pages_next(const struct pages *p, uint32_t from)
{
	for (uint32_t unit = from; unit < p->cap; unit++)
		if (p->v[unit])
			return unit;
	return UINT32_MAX;
}
