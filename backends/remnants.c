/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/remnants.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REMNANTS_MAX 100000u
#define PAGES_MAX    1000000u /* a list that runs in circles ends, too */

int remnants_add(struct backend_remnants *page, const struct backend_remnant *r)
{
	int rc = page->count < REMNANTS_MAX ? 0 : -ERR_PROTOCOL;

	if (!rc && page->count == page->cap) {
		size_t cap = page->cap ? 2 * page->cap : 64;
		struct backend_remnant *more = reallocarray(page->v, cap, sizeof *more);

		if (more) {
			page->v = more;
			page->cap = cap;
		} else {
			rc = -ENOMEM;
		}
	}
	if (rc < 0) {
		free(r->key);
		free(r->id);
		return rc;
	}
	page->v[page->count++] = *r;
	return 0;
}

void remnants_clear(struct backend_remnants *page)
{
	for (size_t i = 0; i < page->count; i++) {
		free(page->v[i].key);
		free(page->v[i].id);
	}
	page->count = 0;
}

void remnants_free(struct backend_remnants *page)
{
	remnants_clear(page);
	free(page->v);
	free(page->key);
	free(page->mark);
	memset(page, 0, sizeof *page);
}

struct listing {
	int (*fn)(void *ctx, const struct backend_remnant *);
	void *ctx;
};

static int give_object(void *ctx, const struct backend_object *o)
{
	const struct listing *l = ctx;
	char no_id[] = "";

	return l->fn(l->ctx, &(struct backend_remnant){ REMNANT_OBJECT, (char *)o->key, no_id });
}

int backend_remnants(struct backend *b, struct call *c, int (*fn)(void *ctx, const struct backend_remnant *), void *ctx)
{
	struct backend_remnants page = { 0 };
	unsigned pages = 0;
	int rc;

	if (!b->ops->remnants)
		return b->ops->list(b, c, give_object, &(struct listing){ fn, ctx });
	do {
		rc = b->ops->remnants(b, c, &page);
		for (size_t i = 0; !rc && i < page.count; i++)
			rc = fn(ctx, &page.v[i]);
		if (!rc && ++pages == PAGES_MAX)
			rc = errmsg_set(c->msg, -ERR_PROTOCOL, "backend '%s': its list of versions does not end",
				b->config->name);
	} while (!rc && page.more);
	remnants_free(&page);
	return rc;
}

int backend_erase(struct backend *b, struct call *c, const struct backend_remnant *r)
{
	if (!b->ops->erase || b->config->mode == MODE_READONLY)
		return backend_del(b, c, r->key);
	return b->ops->erase(b, c, r);
}
