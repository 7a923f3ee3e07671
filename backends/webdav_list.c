/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The WebDAV driver's list: one collection in memory at a time and level, in the order of whole keys. */
#include "backends/call.h"
#include "backends/url.h"
#include "backends/webdav.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX	 16u
#define ENTRIES_MAX	 1000000u      /* of one collection */
#define ANSWER_BYTES_MAX (1024u << 20) /* of one page; read as it comes */

struct entry {
	char *name; /* a collection's ends in '/': so it sorts as its keys do */
	uint64_t size;
	int64_t mtime_ns;
};

/* the members of one collection */
struct members {
	const char *path; /* of the collection, decoded, with a trailing slash */
	struct entry *v;
	size_t count, cap;
	bool self; /* the answer names the collection itself: it is about the right one */
};

struct listing {
	struct webdav *dav;
	struct call *call;
	int (*fn)(void *ctx, const struct backend_object *);
	void *ctx;
	struct buf key; /* of the collection being listed, without the backend's prefix */
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static void members_free(struct members *m)
{
	for (size_t i = 0; i < m->count; i++)
		free(m->v[i].name);
	free(m->v);
}

static int members_add(struct members *m, const char *name, size_t len, const struct webdav_resource *r)
{
	char *copy;

	if (m->count >= ENTRIES_MAX)
		return -ERR_PROTOCOL;
	if (m->count == m->cap) {
		size_t cap = m->cap ? 2 * m->cap : 64;
		struct entry *more = reallocarray(m->v, cap, sizeof *more);

		if (!more)
			return -ENOMEM;
		m->v = more;
		m->cap = cap;
	}
	if (!(copy = malloc(len + 2)))
		return -ENOMEM;
	memcpy(copy, name, len);
	memcpy(copy + len, r->collection ? "/" : "", r->collection ? 2 : 1);
	m->v[m->count++] = (struct entry){ copy, r->size, r->mtime_ns };
	return 0;
}

/* "PATH" or "PATH/" is the collection; "PATH/NAME" a member, with a slash after it or not. */
static int take_member(void *ctx, struct webdav_resource *r)
{
	struct members *m = ctx;
	size_t skip = strlen(m->path), len = strlen(r->path);

	while (len && r->path[len - 1] == '/')
		len--;
	if (len + 1 == skip && !memcmp(r->path, m->path, len)) {
		m->self = true;
		return 0;
	}
	if (len <= skip || memcmp(r->path, m->path, skip) != 0 || memchr(r->path + skip, '/', len - skip))
		return -ERR_PROTOCOL;
	if (r->path[skip] == '.' && (len - skip == 1 || (len - skip == 2 && r->path[skip + 1] == '.')))
		return -ERR_PROTOCOL;
	if (!r->collection && !r->has_size)
		return -ERR_PROTOCOL;
	return members_add(m, r->path + skip, len - skip, r);
}

/* One page; *query is the page's, and then the next one's, or NULL. */
static int read_page(struct listing *g, const char *path, char **query, struct members *m)
{
	struct webdav_request q = { .http = { .method = "PROPFIND", .keep = { "Link" } },
		.dav = g->dav,
		.call = g->call,
		.path = path,
		.query = *query,
		.lines = "Depth: 1\0Content-Type: application/xml\0" };
	struct webdav_multistatus answer;
	struct source_memory body;
	char *next = NULL;
	int rc = webdav_multistatus_init(&answer, take_member, m);

	q.http.body = source_memory(&body, WEBDAV_PROPFIND, sizeof WEBDAV_PROPFIND - 1);
	q.http.sink = &answer.sink;
	q.http.sink_max = ANSWER_BYTES_MAX;
	if (!rc && !(rc = webdav_perform(&q)))
		rc = q.response.status == 207 ? webdav_multistatus_end(&answer) : -ERR_PROTOCOL;
	if (!rc && (rc = webdav_next_page(q.response.kept[0], m->path, &next)) > 0)
		rc = 0;
	if (rc == -ERR_PROTOCOL)
		http_misanswered(g->dav->http, "its list of a collection cannot be understood", g->call->msg);
	webdav_multistatus_free(&answer);
	webdav_request_free(&q);
	free(*query);
	*query = next;
	return rc;
}

/* A collection that went meanwhile has no members, if the root is there. */
static int read_members(struct listing *g, struct members *m)
{
	char *path = webdav_path(g->dav, g->key.data ? (const char *)g->key.data : ""), *query = NULL;
	int rc = path ? 0 : -ENOMEM;
	size_t before;

	do {
		before = m->count;
		if (!rc)
			rc = read_page(g, path, &query, m);
		if (!rc && query && m->count == before)
			rc = http_misanswered(g->dav->http, "its list of a collection does not end", g->call->msg);
	} while (!rc && query);
	if (!rc && !m->self)
		rc = http_misanswered(g->dav->http, "its list is not of the collection asked for", g->call->msg);
	if (rc == -ERR_ABSENT)
		rc = webdav_check_root(g->dav, g->call, NULL);
	if (!rc && m->count)
		qsort(m->v, m->count, sizeof *m->v, by_name);
	free(query);
	free(path);
	return rc;
}

static int list_collection(struct listing *, unsigned depth);

static int list_entry_of(struct listing *g, const struct entry *e, unsigned depth)
{
	size_t parent = g->key.len, len = strlen(e->name);
	int rc = call_state(g->call);

	if (rc < 0)
		return rc;
	buf_put(&g->key, e->name, len);
	if (g->key.err)
		return g->key.err;
	if (e->name[len - 1] == '/')
		rc = list_collection(g, depth + 1);
	else
		rc = g->fn(g->ctx, &(struct backend_object){ (const char *)g->key.data, e->size, e->mtime_ns });
	g->key.len = parent;
	g->key.data[parent] = 0;
	return rc;
}

static int list_collection(struct listing *g, unsigned depth)
{
	struct members m = { 0 };
	char *path;
	int rc;

	if (depth >= DEPTH_MAX)
		return http_misanswered(g->dav->http, "its collections do not end", g->call->msg);
	if (!(path = webdav_path(g->dav, g->key.data ? (const char *)g->key.data : "")))
		return -ENOMEM;
	url_decode(path);
	m.path = path;
	rc = read_members(g, &m);
	for (size_t i = 0; !rc && i < m.count; i++)
		rc = list_entry_of(g, &m.v[i], depth);
	members_free(&m);
	free(path);
	return rc;
}

int webdav_list(struct backend *b, struct call *c, int (*fn)(void *ctx, const struct backend_object *), void *ctx)
{
	struct listing g = { .dav = container_of(b, struct webdav, backend), .call = c, .fn = fn, .ctx = ctx };
	int rc = list_collection(&g, 0);

	buf_free(&g.key);
	return rc;
}
