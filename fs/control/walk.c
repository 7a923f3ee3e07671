/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/ops.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 64

/* A directory on the way down: where its listing goes on and how long its path is. */
struct level {
	uint64_t dir, after;
	size_t path_len;
};

struct walk {
	struct meta *meta;
	struct level *levels;
	size_t depth, cap;
	struct buf path;
	int (*fn)(void *ctx, uint64_t ino, const char *path, size_t len);
	void *ctx;
};

static int descend(struct walk *w, uint64_t dir)
{
	if (w->depth == w->cap) {
		size_t cap = w->cap ? 2 * w->cap : 16;
		struct level *v = realloc(w->levels, cap * sizeof *v);

		if (!v)
			return -ENOMEM;
		w->levels = v;
		w->cap = cap;
	}
	w->levels[w->depth++] = (struct level){ .dir = dir, .path_len = w->path.len };
	return 0;
}

static int visit(struct walk *w, const struct dirent_out *e)
{
	struct level *at = &w->levels[w->depth - 1];

	w->path.len = at->path_len;
	if (at->path_len)
		buf_str(&w->path, "/");
	buf_str(&w->path, e->name);
	at->after = e->id;
	if (w->path.err)
		return w->path.err;
	if (e->type == DT_DIR)
		return descend(w, e->ino);
	return e->type == DT_REG ? w->fn(w->ctx, e->ino, (const char *)w->path.data, w->path.len) : 0;
}

/* One page of the deepest directory; what is below its first subdirectory comes before the rest of it. */
static int walk_page(struct walk *w, struct dirent_out *page)
{
	size_t depth = w->depth;
	int n = meta_readdir(w->meta, w->levels[depth - 1].dir, w->levels[depth - 1].after, page, PAGE), rc = 0;

	if (n < 0 && n != -ENOENT)
		return n;
	if (n <= 0)
		w->depth--;
	for (int i = 0; i < n && rc == 0 && w->depth == depth; i++)
		rc = visit(w, &page[i]);
	return rc;
}

int walk(struct meta *meta, uint64_t dir, int (*fn)(void *ctx, uint64_t ino, const char *path, size_t len), void *ctx)
{
	struct walk w = { .meta = meta, .fn = fn, .ctx = ctx };
	struct dirent_out *page = calloc(PAGE, sizeof *page);
	int rc = page ? descend(&w, dir) : -ENOMEM;

	while (rc == 0 && w.depth)
		rc = walk_page(&w, page);
	buf_free(&w.path);
	free(w.levels);
	free(page);
	return rc;
}
