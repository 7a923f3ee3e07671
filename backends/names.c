/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/names.h"

#include "base/err.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_MAX 4000000u /* of one directory; ours has a 256th of a backend's objects */

int names_add(struct names *n, const char *text, bool directory, uint64_t size, int64_t mtime_ns)
{
	size_t len = strlen(text);
	char *copy;

	if (n->count == COUNT_MAX)
		return -ERR_PROTOCOL;
	if (n->count == n->cap) {
		size_t cap = n->cap ? 2 * n->cap : 64;
		struct name *more = reallocarray(n->v, cap, sizeof *more);

		if (!more)
			return -ENOMEM;
		n->v = more;
		n->cap = cap;
	}
	if (!(copy = malloc(len + 2)))
		return -ENOMEM;
	memcpy(copy, text, len);
	memcpy(copy + len, directory ? "/" : "", directory ? 2 : 1);
	n->v[n->count++] = (struct name){ copy, size, mtime_ns };
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

void names_sort(struct names *n)
{
	if (n->count)
		qsort(n->v, n->count, sizeof *n->v, by_text);
}

void names_free(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->v[i].text);
	free(n->v);
	memset(n, 0, sizeof *n);
}

bool names_good_path(const char *path, const char *reserved)
{
	for (const char *p = path;; p++) {
		size_t len = strcspn(p, "/");

		if (!len || len > NAME_MAX || (len <= 2 && !strncmp(p, "..", len)))
			return false;
		if (p == path && len == strlen(reserved) && !strncmp(p, reserved, len))
			return false;
		p += len;
		if (!*p)
			return true;
	}
}
