/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The content of a block for an upload: a snapshot of the cache. Where some of it is on a backend only it is fetched:
 * of a clean block (a move) all of it, past the cache; of one written in part what is missing, into the cache or, where
 * that is full of what waits for this very upload, put together here. */
#include "fs/transfer/internal.h"

#define TRIES	  4
#define READS_MAX 64u /* of a pack that is damaged */

/* ---- a pack that is rewritten: its members are neighbours
 * ----------------------------------------------------------------- */

void content_forget(struct worker *w)
{
	free(w->old.data);
	free(w->old.sound);
	memset(&w->old, 0, sizeof w->old);
}

void content_hint(struct worker *w, const uint8_t object[OBJECT_ID_BYTES], uint64_t off, uint64_t end)
{
	content_forget(w);
	memcpy(w->old.object, object, sizeof w->old.object);
	w->old.off = off;
	w->old.len = end - off;
}

static bool in_old(const struct worker *w, const struct extent *e, uint32_t off, uint32_t len)
{
	return memcmp(w->old.object, e->object, sizeof w->old.object) == 0 && e->offset + off >= w->old.off &&
	       e->offset + off + len <= w->old.off + w->old.len;
}

static int read_object(struct worker *w, const uint8_t *id, uint64_t at, uint32_t len, uint8_t *out)
{
	struct object_read read = { .id = id, .off = at, .len = len };
	int rc;

	if (!(read.out = malloc(object_read_room(len))))
		return -ENOMEM;
	rc = replica_read(w->t, &read);
	if (rc == 0)
		memcpy(out, (uint8_t *)read.out + read.skip, len);
	free(read.out);
	return rc;
}

static uint64_t segment_of(const struct worker *w, uint64_t at)
{
	return at / SEGMENT_DATA - w->old.off / SEGMENT_DATA;
}

/* What is wrong with it may be in a part that others do not need: it is read in halves then, but not for ever, since
 * nothing else is done meanwhile. */
static void read_halves(struct worker *w, uint64_t at, uint64_t end, unsigned *reads)
{
	uint64_t middle = (at + (end - at) / 2) / SEGMENT_DATA * SEGMENT_DATA;
	int rc;

	if (*reads == READS_MAX)
		return;
	++*reads;
	rc = read_object(w, w->old.object, at, (uint32_t)(end - at), w->old.data + (at - w->old.off));
	if (rc == 0) {
		memset(w->old.sound + segment_of(w, at), 1, segment_of(w, end - 1) - segment_of(w, at) + 1);
		return;
	}
	w->old.rc = rc;
	if ((rc != -ERR_TAMPERED && rc != -ERR_CORRUPT) || middle <= at)
		return;
	read_halves(w, at, middle, reads);
	read_halves(w, middle, end, reads);
}

static int read_old(struct worker *w)
{
	unsigned reads = 0;

	w->old.sound = calloc(segment_of(w, w->old.off + w->old.len - 1) + 1, 1);
	w->old.data = w->old.sound ? malloc(w->old.len) : NULL;
	if (!w->old.data) {
		free(w->old.sound);
		w->old.sound = NULL;
		return -ENOMEM;
	}
	read_halves(w, w->old.off, w->old.off + w->old.len, &reads);
	return 0;
}

static int fetch_part(struct worker *w, const struct extent *e, uint32_t off, uint32_t len, uint8_t *out)
{
	uint64_t at = e->offset + off;
	int rc;

	if (!in_old(w, e, off, len))
		return read_object(w, e->object, at, len, out);
	if (!w->old.data && (rc = read_old(w)) < 0)
		return rc;
	for (uint64_t i = segment_of(w, at); i <= segment_of(w, at + len - 1); i++)
		if (!w->old.sound[i])
			return w->old.rc;
	memcpy(out, w->old.data + (at - w->old.off), len);
	return 0;
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
	return c->len ? fetch_part(w, &c->extent, 0, c->len, c->plain) : -ENOENT;
}

/* ---- a block written in part
 * ------------------------------------------------------------------------------------------ */

/* What its extent holds from the first part that is missing on: one request again. */
struct rest {
	uint32_t off, len;
	uint8_t *data; /* malloc'd */
};

static int fetch_rest(struct worker *w, const struct content *c, const struct cache_need *need, struct rest *out)
{
	if (need->off >= c->extent.len)
		return -ERR_STALE;
	free(out->data);
	out->off = need->off;
	out->len = c->extent.len - need->off;
	if (!(out->data = malloc(out->len)))
		return -ENOMEM;
	return fetch_part(w, &c->extent, out->off, out->len, out->data);
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

/* What is local from *pos on, up to the first part that is not, and then that part. *pos moves past both. */
static int next_part(struct worker *w, struct inode *inode, uint32_t index, const struct content *c,
	const struct rest *rest, uint32_t *pos)
{
	uint64_t start = (uint64_t)index * w->t->block_bytes;
	uint32_t from = *pos, end;
	struct cache_need need;
	int rc = read_local(w->t, inode, start + from, c->plain + from, c->len - from, &need);

	if (rc != -ERR_NEED_FETCH) {
		*pos = c->len;
		return rc;
	}
	if (need.index != index || need.off < rest->off || need.off + need.len > rest->off + rest->len)
		return -ERR_STALE;
	if (need.off > from &&
		(rc = read_local(w->t, inode, start + from, c->plain + from, need.off - from, &need)) < 0)
		return rc == -ERR_NEED_FETCH ? -ERR_STALE : rc;
	from = need.off > from ? need.off : from;
	end = need.off + need.len < c->len ? need.off + need.len : c->len;
	if (end <= from)
		return -ERR_STALE;
	memcpy(c->plain + from, rest->data + (from - rest->off), end - from);
	*pos = end;
	return 0;
}

/* Where the cache has no room to keep the rest. Versions are raised by every change: the same version before and after
 * means that nothing was mixed. */
static int assemble(struct worker *w, struct inode *inode, struct block *b, const struct rest *rest, struct content *c)
{
	struct content after;
	uint32_t pos = 0;
	bool dirty;
	int rc = 0;

	while (rc == 0 && pos < c->len)
		rc = next_part(w, inode, b->index, c, rest, &pos);
	if (rc < 0)
		return rc;
	look(w->t, inode, b, &after, &dirty);
	return after.version == c->version && after.len == c->len ? 0 : -ERR_STALE;
}

/* ---- the whole
 * --------------------------------------------------------------------------------------------------------- */

static int snapshot(struct worker *w, struct inode *inode, struct block *b, struct content *c, struct cache_need *need)
{
	struct cache_snapshot snap;
	bool dirty;
	int rc;

	look(w->t, inode, b, c, &dirty);
	c->clean = !dirty;
	rc = cache_snapshot(w->t->cache, inode, b->index, &snap, need);
	if (rc < 0)
		return rc;
	c->len = snap.len;
	if (snap.version != c->version)
		rc = -ERR_STALE;
	else
		rc = cache_snapshot_read(w->t->cache, &snap, c->plain);
	cache_snapshot_release(w->t->cache, &snap);
	return rc;
}

/* 0: what was missing is local now. */
static int complete(struct worker *w, struct inode *inode, struct block *b, const struct cache_need *need,
	struct rest *rest, struct content *c)
{
	int rc = fetch_rest(w, c, need, rest);

	if (rc == 0)
		rc = cache_fill(w->t->cache, inode, b->index, &c->extent, rest->off, rest->data, rest->len);
	return rc == -ENOSPC ? -ERR_CACHE_FULL : rc;
}

static int take(struct worker *w, struct inode *inode, struct block *b, struct rest *rest, struct content *c)
{
	struct cache_need need;
	int rc = -ERR_STALE;

	for (int i = 0; i < TRIES; i++) {
		rc = snapshot(w, inode, b, c, &need);
		if (rc == -ERR_NEED_FETCH && c->clean)
			return whole_extent(w, c);
		if (rc == -ERR_NEED_FETCH) {
			rc = complete(w, inode, b, &need, rest, c);
			if (rc == -ERR_CACHE_FULL)
				return assemble(w, inode, b, rest, c);
			if (rc < 0)
				return rc;
		} else if (rc != -ERR_STALE) {
			return rc == 0 && c->len == 0 ? -ENOENT : rc;
		} else if ((rc = cache_sync(w->t->cache, inode)) < 0) {
			return rc;
		}
		rc = -ERR_STALE;
	}
	return rc;
}

int content_take(struct worker *w, struct inode *inode, struct block *b, struct content *c)
{
	struct rest rest = { 0 };
	struct content now;
	bool dirty;
	int rc;

	rc = take(w, inode, b, &rest, c);
	free(rest.data);
	look(w->t, inode, b, &now, &dirty);
	/* truncated meanwhile: what it was to be fetched from is rightly gone */
	if (rc < 0 && rc != -ENOENT && !extent_same(&now.extent, &c->extent))
		rc = -ERR_STALE;
	return rc;
}
