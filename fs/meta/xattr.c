/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XATTRS_BYTES_MAX (1U << 20) /* of one inode */

void xattrs_free(struct xattrs *x)
{
	if (!x)
		return;
	for (size_t i = 0; i < x->count; i++)
		blob_put(x->v[i].data);
	free(x->v);
	free(x);
}

int xattrs_copy(struct xattrs **out, const struct xattrs *from)
{
	struct xattrs *x = calloc(1, sizeof *x);

	if (!x || !(x->v = calloc(from->count + 1, sizeof *x->v))) {
		free(x);
		return -ENOMEM;
	}
	for (; x->count < from->count; x->count++) {
		x->v[x->count] = from->v[x->count];
		blob_ref(x->v[x->count].data);
	}
	*out = x;
	return 0;
}

static struct xattr *xattr_find(const struct xattrs *x, const char *name, size_t len)
{
	for (size_t i = 0; i < x->count; i++)
		if (x->v[i].name_len == len && !memcmp(x->v[i].data->data, name, len))
			return &x->v[i];
	return NULL;
}

static struct blob *xattr_make(const void *name, size_t name_len, const void *value, size_t len)
{
	struct blob *b = blob_new(NULL, name_len + 1 + len);

	if (!b)
		return NULL;
	memcpy(b->data, name, name_len);
	b->data[name_len] = 0;
	if (len)
		memcpy(b->data + name_len + 1, value, len);
	return b;
}

/* Takes the blob over, also when it fails. */
static int xattrs_append(struct xattrs *x, struct blob *data, size_t name_len)
{
	struct xattr *v = x->v;

	if (data && x->count == x->cap && (v = realloc(v, (x->cap * 2 + 4) * sizeof *v))) {
		x->v = v;
		x->cap = x->cap * 2 + 4;
	}
	if (!data || !v) {
		blob_put(data);
		return -ENOMEM;
	}
	x->bytes += data->len;
	x->v[x->count++] = (struct xattr){ data, name_len };
	return 0;
}

static int xattrs_read(struct meta *m, uint64_t ino, struct xattrs *x)
{
	struct query q;

	query_open(&q, m, "SELECT name, value FROM xattr WHERE ino = ?1", "i", (int64_t)ino);
	while (query_step(&q) > 0) {
		size_t name_len, len;
		const void *name = meta_row_blob(&q.row, 0, &name_len);
		const void *value = meta_row_blob(&q.row, 1, &len);

		q.rc = name ? xattrs_append(x, xattr_make(name, name_len, value, len), name_len) : -ERR_CORRUPT;
	}
	return query_close(&q);
}

int meta_xattrs_load(struct meta *m, struct inode *ip)
{
	struct xattrs *x = NULL;
	int rc = 0;

	pthread_mutex_lock(&m->lock);
	while (ip->node.state & NODE_XATTRS)
		pthread_cond_wait(&m->loaded, &m->lock);
	if (ip->xattrs)
		goto out;
	if (!(x = calloc(1, sizeof *x))) {
		rc = -ENOMEM;
		goto out;
	}
	if (!inode_is_new(ip)) {
		ip->node.state |= NODE_XATTRS;
		pthread_mutex_unlock(&m->lock);
		rc = xattrs_read(m, ip->ino, x);
		pthread_mutex_lock(&m->lock);
		ip->node.state &= ~(uint32_t)NODE_XATTRS;
		pthread_cond_broadcast(&m->loaded);
	}
	if (rc == 0) {
		ip->xattrs = x;
		node_weigh(m, &ip->node, sizeof *ip + x->bytes);
		x = NULL;
	}
out:
	pthread_mutex_unlock(&m->lock);
	xattrs_free(x);
	return rc;
}

const void *meta_xattr_find(struct inode *ip, const char *name, size_t *len)
{
	struct xattr *x = xattr_find(ip->xattrs, name, strlen(name));

	if (!x)
		return NULL;
	*len = x->data->len - x->name_len - 1;
	return x->data->data + x->name_len + 1;
}

static void xattr_remove(struct xattrs *x, struct xattr *at)
{
	x->bytes -= at->data->len;
	blob_put(at->data);
	*at = x->v[--x->count];
}

/* A value that is replaced keeps its place, so that listings are stable. */
static int xattr_replace(struct xattrs *x, struct xattr *at, const char *name, const void *value, size_t len)
{
	struct blob *data = xattr_make(name, strlen(name), value, len);

	if (!data)
		return -ENOMEM;
	if (!at)
		return xattrs_append(x, data, strlen(name));
	x->bytes = x->bytes - at->data->len + data->len;
	blob_put(at->data);
	at->data = data;
	return 0;
}

int meta_xattr_set(struct meta *m, struct inode *ip, const char *name, const void *value, size_t len)
{
	struct xattrs *x = ip->xattrs;
	struct xattr *at = xattr_find(x, name, strlen(name));
	size_t others = x->bytes - (at ? at->data->len : 0);
	int rc = 0;

	if (!value && !at)
		return -ENODATA;
	if (value && (len > XATTRS_BYTES_MAX || others + strlen(name) + 1 + len > XATTRS_BYTES_MAX))
		return -ENOSPC;
	if (!value)
		xattr_remove(x, at);
	else
		rc = xattr_replace(x, at, name, value, len);
	if (rc < 0)
		return rc;
	x->changed = true;
	node_weigh(m, &ip->node, sizeof *ip + x->bytes);
	meta_inode_changed(m, ip);
	return 0;
}

void meta_xattr_list(struct inode *ip, struct buf *out)
{
	for (size_t i = 0; i < ip->xattrs->count; i++)
		buf_put(out, ip->xattrs->v[i].data->data, ip->xattrs->v[i].name_len + 1);
}
