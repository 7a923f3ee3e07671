/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cache/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a snapshot holds: the row's bytes, or slots. */
struct pins {
	struct blob *inline_bytes;
	struct slotfile *file;
	struct map map;
};

static void pins_free(struct cache *c, struct pins *p)
{
	if (!p)
		return;
	if (p->file) {
		slotfile_unref_map(p->file, &p->map);
		slotfile_trim(p->file);
		room_account(c, p->file);
	}
	files_put(c, p->file);
	map_free(&p->map);
	blob_put(p->inline_bytes);
	free(p);
}

static int pins_slots(struct cblock *b, struct pins *p)
{
	int rc;

	if ((rc = map_copy(&p->map, &b->map)) < 0 || !b->file)
		return rc;
	if ((rc = slotfile_ref_map(b->file, &p->map)) < 0)
		return rc;
	files_ref(b->c, b->file);
	p->file = b->file;
	return 0;
}

/* How far the block has anything but zeros: what is beyond need not be sent. */
static uint32_t content_end(const struct map *m)
{
	uint32_t u = m->len;

	while (u && !map_has_slot(m->v[u - 1].slot))
		u--;
	return u * UNIT;
}

static int take(struct cblock *b, struct inode *inode, struct cache_snapshot *s, struct cache_need *need)
{
	struct cache *c = b->c;
	struct pins *p = s->pins;
	struct extent e;
	uint64_t size, start = (uint64_t)b->index * c->block_bytes;
	uint32_t end;

	cblock_extent(b, &e);
	/* pages of a clean block: a tail that a truncation zeroed */
	if (b->changed == CHANGE_WRITTEN || b->pages.count || (b->captured && b->captured->how == CHANGE_WRITTEN))
		return -ERR_STALE;
	if (block_missing(b, &e, 0, c->units, need))
		return -ERR_NEED_FETCH;
	meta_lock(c->meta);
	size = inode->size;
	s->version = b->block->version;
	p->inline_bytes = b->live == LIVE_INLINE ? blob_ref(b->block->local) : NULL;
	meta_unlock(c->meta);
	end = p->inline_bytes ? p->inline_bytes->len : content_end(&b->map);
	size = size > start ? size - start : 0;
	s->len = end < size ? end : (uint32_t)size;
	if (!s->len)
		return -ENOENT;
	return p->inline_bytes ? 0 : pins_slots(b, p);
}

/* It may be clean soon. */
static void entry_uploading(struct cblock *b)
{
	struct cache *c = b->c;

	pthread_mutex_lock(&c->lock);
	if (b->file && b->file->entry->state == ENTRY_DIRTY)
		index_set(&c->index, b->file->entry, ENTRY_UPLOADING);
	pthread_mutex_unlock(&c->lock);
}

int cache_snapshot(
	struct cache *c, struct inode *inode, uint32_t index, struct cache_snapshot *s, struct cache_need *need)
{
	struct cblock *b;
	int rc;

	memset(s, 0, sizeof *s);
	s->ino = inode->ino;
	s->index = index;
	if (!(s->pins = calloc(1, sizeof(struct pins))))
		return -ENOMEM;
	pthread_rwlock_rdlock(&inode->data_lock);
	if ((rc = cblock_enter(c, inode, index, &b)) == 0) {
		rc = take(b, inode, s, need);
		/* an upload puts together what is here and what it fetches, where a full cache cannot keep that */
		if (rc == 0 || rc == -ERR_NEED_FETCH)
			entry_uploading(b);
		cblock_leave(b);
	}
	pthread_rwlock_unlock(&inode->data_lock);
	if (rc < 0)
		cache_snapshot_release(c, s);
	return rc;
}

/* ---- reading ---- */

static int read_run(struct cache *c, struct cache_snapshot *s, uint32_t unit, uint32_t n, uint8_t *out, uint8_t *sealed,
	uint32_t *bad)
{
	struct pins *p = s->pins;
	struct slot_ad ad = { .ino = s->ino, .block = s->index };
	int rc;

	*bad = unit;
	rc = slotfile_read(p->file, p->map.v[unit].slot, n, sealed);
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		uint64_t at = (uint64_t)(unit + i) * UNIT;
		uint8_t whole[UNIT];

		*bad = unit + i;
		ad.unit = unit + i;
		ad.seq = p->map.v[unit + i].seq;
		if (at + UNIT <= s->len)
			rc = slot_open(out + at, sealed + (size_t)i * SLOT_BYTES, &ad, c->key);
		else if ((rc = slot_open(whole, sealed + (size_t)i * SLOT_BYTES, &ad, c->key)) == 0)
			memcpy(out + at, whole, s->len - at);
	}
	return rc;
}

static int read_pins(struct cache *c, struct cache_snapshot *s, uint8_t *out, uint32_t *bad)
{
	struct pins *p = s->pins;
	uint32_t units = (s->len + UNIT - 1) / UNIT;
	uint8_t *sealed = spare_get(&c->sealed);
	int rc = sealed ? 0 : -ENOMEM;

	for (uint32_t u = 0, n; u < units && rc == 0; u += n) {
		n = map_run(&p->map, u, units - u < BATCH_UNITS ? units - u : BATCH_UNITS);
		if (map_has_slot(map_get(&p->map, u).slot))
			rc = read_run(c, s, u, n, out, sealed, bad);
	}
	spare_put(&c->sealed, sealed);
	return rc;
}

/* A bad slot of a clean block is dropped, so that the next snapshot asks for a fetch. */
static int heal(struct cache *c, struct cache_snapshot *s, uint32_t unit, int rc)
{
	struct pins *p = s->pins;
	struct inode *inode = NULL;
	struct cnode *n = NULL;
	struct cblock *b;

	if (meta_inode_get(c->meta, s->ino, &inode) < 0)
		return rc;
	pthread_rwlock_rdlock(&inode->data_lock);
	if (cnode_get(c, s->ino, &n) == 0 && cblock_enter(c, inode, s->index, &b) == 0) {
		if (b->live == LIVE_SLOTS && (rc = cblock_damaged(b, n, unit, p->map.v[unit], rc)) == 0)
			rc = -ERR_STALE;
		cblock_leave(b);
	}
	pthread_rwlock_unlock(&inode->data_lock);
	cnode_put(c, n);
	meta_inode_put(c->meta, inode);
	return rc;
}

int cache_snapshot_read(struct cache *c, struct cache_snapshot *s, void *out)
{
	struct pins *p = s->pins;
	uint32_t bad = 0;
	int rc;

	if (p->inline_bytes) {
		memcpy(out, p->inline_bytes->data, s->len);
		return 0;
	}
	memset(out, 0, s->len);
	rc = read_pins(c, s, out, &bad);
	return rc < 0 && rc != -ENOMEM ? heal(c, s, bad, rc) : rc;
}

void cache_snapshot_release(struct cache *c, struct cache_snapshot *s)
{
	pins_free(c, s->pins);
	s->pins = NULL;
}
