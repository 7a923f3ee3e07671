/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The content of a block for an upload: a snapshot of the cache, or, where some of it is on a backend only (a move, a
 * block written in part), put together here, without passing through the cache, which may be full. */
#include "fs/transfer/internal.h"

#define SYNC_TRIES 3

static int fetch_part(struct worker *w, const struct extent *e, uint32_t off, uint32_t len, uint8_t *out)
{
	struct object_read read = { .id = e->object, .off = e->offset + off, .len = len };
	int rc;

	if (!(read.out = malloc(object_read_room(len))))
		return -ENOMEM;
	rc = replica_read(w->t, &read);
	if (rc == 0)
		memcpy(out, (uint8_t *)read.out + read.skip, len);
	free(read.out);
	return rc;
}

static void look(struct transfer *t, struct inode *inode, struct block *b, struct content *out, bool *dirty)
{
	uint64_t start = (uint64_t)b->index * t->block_bytes;

	meta_lock(t->meta);
	out->version = b->version;
	out->extent = b->extent;
	*dirty = b->dirty;
	out->len = 0;
	if (inode->size > start)
		out->len = (uint32_t)(inode->size - start < t->block_bytes ? inode->size - start : t->block_bytes);
	meta_unlock(t->meta);
}

/* A clean block is what its extent says: one request. */
static int whole_extent(struct worker *w, struct content *c)
{
	c->len = c->extent.len < c->len ? c->extent.len : c->len;
	c->clean = true;
	return c->len ? fetch_part(w, &c->extent, 0, c->len, w->plain) : -ENOENT;
}

static int read_local(
	struct transfer *t, struct inode *inode, uint64_t at, uint8_t *out, uint32_t len, struct cache_need *need)
{
	int rc;

	pthread_rwlock_rdlock(&inode->data_lock);
	rc = cache_read(t->cache, inode, at, out, len, need);
	pthread_rwlock_unlock(&inode->data_lock);
	return rc;
}

/* What is local from there, up to the first part that is not, and then that part. *pos moves past both. */
static int next_part(struct worker *w, struct inode *inode, uint32_t index, struct content *c, uint32_t *pos)
{
	uint64_t start = (uint64_t)index * w->t->block_bytes;
	uint32_t from = *pos, len = c->len - from;
	struct cache_need need;
	int rc = read_local(w->t, inode, start + from, w->plain + from, len, &need);

	if (rc != -ERR_NEED_FETCH) {
		*pos = c->len;
		return rc;
	}
	if (need.index != index || need.off >= c->len)
		return -ERR_STALE;
	if (need.off > from &&
		(rc = read_local(w->t, inode, start + from, w->plain + from, need.off - from, &need)) < 0)
		return rc == -ERR_NEED_FETCH ? -ERR_STALE : rc;
	if (need.off < from) {
		need.len = need.len > from - need.off ? need.len - (from - need.off) : 0;
		need.off = from;
	}
	if (need.len > c->len - need.off)
		need.len = c->len - need.off;
	if (need.off + need.len > c->extent.len || need.len == 0)
		return -ERR_STALE;
	*pos = need.off + need.len;
	return fetch_part(w, &c->extent, need.off, need.len, w->plain + need.off);
}

/* Versions are raised by every change: the same version before and after means that nothing was mixed. */
static int assemble(struct worker *w, struct inode *inode, struct block *b, struct content *c)
{
	struct content after;
	uint32_t pos = 0;
	bool dirty;
	int rc;

	look(w->t, inode, b, c, &dirty);
	if (!dirty)
		return whole_extent(w, c);
	if ((rc = cache_sync(w->t->cache, inode)) < 0)
		return rc;
	while (rc == 0 && pos < c->len)
		rc = next_part(w, inode, b->index, c, &pos);
	if (rc < 0)
		return rc;
	look(w->t, inode, b, &after, &dirty);
	return after.version == c->version && after.len == c->len ? 0 : -ERR_STALE;
}

static int snapshot(struct worker *w, struct inode *inode, struct block *b, struct content *c)
{
	struct cache_snapshot snap;
	struct cache_need need;
	bool dirty;
	int rc;

	look(w->t, inode, b, c, &dirty);
	c->clean = !dirty;
	rc = cache_snapshot(w->t->cache, inode, b->index, &snap, &need);
	if (rc < 0)
		return rc;
	c->len = snap.len;
	if (snap.version != c->version)
		rc = -ERR_STALE;
	else
		rc = cache_snapshot_read(w->t->cache, &snap, w->plain);
	cache_snapshot_release(w->t->cache, &snap);
	return rc;
}

int content_take(struct worker *w, struct inode *inode, struct block *b, struct content *c)
{
	int rc = -ERR_STALE;

	memset(c, 0, sizeof *c);
	for (int i = 0; i < SYNC_TRIES; i++) {
		rc = snapshot(w, inode, b, c);
		if (rc == -ERR_NEED_FETCH)
			return assemble(w, inode, b, c);
		if (rc != -ERR_STALE)
			return rc == 0 && c->len == 0 ? -ENOENT : rc;
		if ((rc = cache_sync(w->t->cache, inode)) < 0)
			return rc;
		rc = -ERR_STALE;
	}
	return rc;
}
