/* SPDX-License-Identifier: GPL-3.0-or-later */
/* page: lists of objects that a server gives page by page, in the order of their keys. */
#ifndef BACKENDS_PAGE_H
#define BACKENDS_PAGE_H

#include "backends/backend.h"

struct page_object {
	char *key; /* decoded, the backend's prefix included */
	uint64_t size;
	int64_t mtime_ns; /* 0: none, or not understood */
};

struct page {
	struct page_object *objects;
	size_t count, cap;
	bool truncated; /* there is another page, */
	char *token;	/* which is asked for with this; or NULL */
};
/* page_add: takes the key, also after an error. -ERR_PROTOCOL where the page has more than any server may send. */
int page_add(struct page *, const struct page_object *);
void page_free(struct page *);

/* page_list: a driver's list (backend.h). get fetches the page for a token, NULL for the first, into an empty struct
 * page, which is freed also after an error. Keys out of order or outside the prefix, and a list without end, are
 * -ERR_PROTOCOL. */
int page_list(struct backend *, struct call *,
	int (*get)(struct backend *, struct call *, const char *token, struct page *),
	int (*fn)(void *ctx, const struct backend_object *), void *ctx);

#endif
