/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cache/pages.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static struct page *find(const struct pages *p, uint32_t unit)
{
	return unit < p->cap ? p->v[unit] : NULL;
}

uint8_t *pages_find(const struct pages *p, uint32_t unit)
{
	struct page *page = find(p, unit);

	return page ? page->data : NULL;
}

uint8_t *pages_change(struct pages *p, uint32_t unit)
{
	struct page *page = find(p, unit);

	if (!page)
		return NULL;
	page->logged = false;
	return page->data;
}

static int grow(struct pages *p, uint32_t unit)
{
	uint32_t cap = p->cap ? p->cap : 4;
	struct page **v;

	while (cap <= unit)
		cap *= 2;
	if (!(v = realloc(p->v, cap * sizeof *v)))
		return -1;
	memset(v + p->cap, 0, (cap - p->cap) * sizeof *v);
	p->v = v;
	p->cap = cap;
	return 0;
}

uint8_t *pages_add(struct pages *p, struct spare *spare, uint32_t unit)
{
	struct page *page;

	if ((unit >= p->cap && grow(p, unit) < 0) || !(page = spare_get(spare)))
		return NULL;
	page->logged = false;
	p->v[unit] = page;
	p->count++;
	return page->data;
}

static void release_if_empty(struct pages *p)
{
	if (p->count)
		return;
	free(p->v);
	memset(p, 0, sizeof *p);
}

uint32_t pages_drop(struct pages *p, struct spare *spare, uint32_t unit)
{
	struct page *page = find(p, unit);

	if (!page)
		return 0;
	sodium_memzero(page->data, SLOT_DATA);
	spare_put(spare, page);
	p->v[unit] = NULL;
	p->count--;
	release_if_empty(p);
	return 1;
}

uint32_t pages_next(const struct pages *p, uint32_t from)
{
	for (uint32_t unit = from; unit < p->cap; unit++)
		if (p->v[unit])
			return unit;
	return UINT32_MAX;
}

uint32_t pages_next_fresh(const struct pages *p, uint32_t from)
{
	for (uint32_t unit = from; unit < p->cap; unit++)
		if (p->v[unit] && !p->v[unit]->logged)
			return unit;
	return UINT32_MAX;
}

void pages_logged(struct pages *p, uint32_t unit)
{
	struct page *page = find(p, unit);

	if (page)
		page->logged = true;
}
