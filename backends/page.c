/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OBJECTS_MAX	100000u
#define EMPTY_PAGES_MAX 100u /* a bucket full of deletion marks may have some */

int page_add(struct page *page, const struct page_object *o)
{
	int rc = page->count < OBJECTS_MAX ? 0 : -ERR_PROTOCOL;

	if (!rc && page->count == page->cap) {
		size_t cap = page->cap ? 2 * page->cap : 64;
		struct page_object *more = reallocarray(page->objects, cap, sizeof *more);

		if (more) {
			page->objects = more;
			page->cap = cap;
		} else {
			rc = -ENOMEM;
		}
	}
	if (rc < 0)
		free(o->key);
	else
		page->objects[page->count++] = *o;
	return rc;
}

void page_free(struct page *page)
{
	for (size_t i = 0; i < page->count; i++)
		free(page->objects[i].key);
	free(page->objects);
	free(page->token);
	memset(page, 0, sizeof *page);
}

/* Keys out of order or outside the prefix are refused: that ends a list that runs in circles, too. */
static int give(struct backend *b, struct call *c, const struct page *page, char **last,
	int (*fn)(void *ctx, const struct backend_object *), void *ctx)
{
	size_t skip = strlen(b->config->prefix);
	int rc = 0;

	for (size_t i = 0; !rc && i < page->count; i++) {
		const struct page_object *o = &page->objects[i];

		if (strncmp(o->key, b->config->prefix, skip) || (*last && strcmp(o->key, *last) <= 0))
			return errmsg_set(c->msg, -ERR_PROTOCOL,
				"backend '%s': its list of objects is out of order or not of what was asked for",
				b->config->name);
		free(*last);
		if (!(*last = strdup(o->key)))
			return -ENOMEM;
		rc = fn(ctx, &(struct backend_object){ o->key + skip, o->size, o->mtime_ns });
	}
	return rc;
}

int page_list(struct backend *b, struct call *c,
	int (*get)(struct backend *, struct call *, const char *token, struct page *),
	int (*fn)(void *ctx, const struct backend_object *), void *ctx)
{
	char *token = NULL, *last = NULL;
	unsigned empty = 0;
	bool more;
	int rc;

	do {
		struct page page = { 0 };

		rc = get(b, c, token, &page);
		empty = page.count ? 0 : empty + 1;
		if (!rc && empty > EMPTY_PAGES_MAX)
			rc = errmsg_set(c->msg, -ERR_PROTOCOL, "backend '%s': its list of objects does not end",
				b->config->name);
		if (!rc)
			rc = give(b, c, &page, &last, fn, ctx);
		more = page.truncated;
		free(token);
		token = page.token;
		page.token = NULL;
		page_free(&page);
	} while (!rc && more);
	free(token);
	free(last);
	return rc;
}
