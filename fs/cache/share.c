/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A block that becomes what another is, by pointing at the same object. The other must be all on a backend; what
 * becomes of it meanwhile is looked at in the operation itself, so that its lock and the target's are never held
 * together. The local copy is not copied: the target is as after an eviction, and is fetched when it is read. */
#include "fs/cache/internal.h"

#include <errno.h>
#include <string.h>

struct source {
	struct block *block; /* referenced */
	struct extent extent;
	uint64_t version;
	struct holes holes;
	uint32_t units; /* that count for st_blocks */
};

struct share {
	struct cache *c;
	struct cnode *n; /* the target's */
	struct inode *inode;
	struct source source;
	uint64_t end; /* of the target's bytes */
};

/* ---- the source ---- */

/* The extent has all of it, and the row what the extent does not say. Under its mutex. */
static bool source_look(struct cblock *b, struct source *s)
{
	bool clean = cblock_extent(b, &s->extent) && b->changed == CHANGE_NONE && !b->captured && !b->pages.count;

	/* room that is set aside is the file's own */
	clean = clean && !map_unwritten(&b->map);
	meta_lock(b->c->meta);
	clean = clean && !b->block->dirty;
	s->version = b->block->version;
	if (clean) {
		meta_block_ref(b->block);
		s->block = b->block;
	}
	meta_unlock(b->c->meta);
	return clean;
}

/* 1, 0: some of it is on no backend, or nothing is there. */
static int source_take(struct cache *c, struct inode *inode, uint32_t index, struct source *s)
{
	struct cblock *b;
	int rc = cblock_enter(c, inode, index, &b);

	if (rc < 0)
		return rc;
	if (source_look(b, s) && (rc = holes_left(b, &s->holes)) == 0) {
		s->units = (s->extent.len + UNIT - 1) / UNIT;
		for (uint32_t u = 0; u < s->holes.map.len && u < (s->extent.len + UNIT - 1) / UNIT; u++)
			s->units -= s->holes.map.v[u].slot == MAP_ZERO;
		rc = 1;
	}
	cblock_leave(b);
	return rc;
}

/* Under the meta lock. */
static bool source_is_same(const struct source *s)
{
	const struct block *b = s->block;

	return !b->dirty && b->version == s->version && !memcmp(&b->extent, &s->extent, sizeof b->extent);
}

static void source_put(struct cache *c, struct source *s)
{
	holes_free(&s->holes);
	meta_block_put(c->meta, s->block);
}

/* ---- the target ---- */

/* In the operation. */
static void row_set(struct share *s, struct block *block)
{
	struct cache *c = s->c;
	const struct holes *holes = &s->source.holes;

	if (block->kind == BLOCK_INLINE)
		c->inline_bytes -= block->local->len < c->inline_bytes ? block->local->len : c->inline_bytes;
	blob_put(block->local);
	block->local = holes->row ? blob_ref(holes->row) : NULL;
	block->kind = holes->row ? BLOCK_SLOTS : BLOCK_NONE;
	block->version++;
	s->inode->version++;
	if (s->inode->size < s->end)
		s->inode->size = s->end;
	s->inode->disk_size = s->inode->size;
	/* what the log had of it is in rows, as nothing is unsynced */
	s->inode->intent_done = s->inode->intent_last;
	s->inode->flags |= INODE_EVER_STORED;
	meta_extent_set(c->meta, block, &s->source.extent, block->version);
	meta_inode_changed(c->meta, s->inode);
}

/* One operation: extent, reference, row and size. 1, 0: something came between; or no room for it. Nothing of the
 * target may be unsynced: its size on disk would have to wait for that, and the extent would be beyond it (I3). */
static int target_commit(struct share *s, struct block *block, int64_t had, uint64_t *batch)
{
	struct cache *c = s->c;
	int64_t grown = (int64_t)s->source.units * UNIT - had;
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	meta_lock(c->meta);
	*batch = meta_batch(c->meta);
	if (list_empty(&s->n->unsynced) && !s->n->syncing && source_is_same(&s->source)) {
		rc = grown > 0 ? meta_may_grow(c->meta, s->inode, (uint64_t)grown) : 0;
		if (rc == 0) {
			meta_bytes_add(c->meta, s->inode, grown);
			row_set(s, block);
			rc = 1;
		}
	}
	meta_unlock(c->meta);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static uint64_t target_had(struct cblock *b)
{
	struct extent e;

	if (b->live == LIVE_INLINE)
		return inline_allocated(b);
	cblock_extent(b, &e);
	return (uint64_t)cblock_allocated(b, &e) * UNIT;
}

/* Under its mutex. */
static int target_set(struct share *s, struct cblock *b, bool *put)
{
	uint64_t batch;
	int rc = target_commit(s, b->block, (int64_t)target_had(b), &batch);

	if (rc <= 0)
		return rc;
	*put = cblock_forget(b, batch);
	if (s->source.holes.row) {
		b->map = s->source.holes.map;
		s->source.holes.map = (struct map)MAP_INIT;
		b->synced = blob_ref(s->source.holes.row);
	}
	return 1;
}

static int target_enter(struct share *s, uint32_t index)
{
	struct cache *c = s->c;
	struct block *block;
	struct cblock *b;
	bool put = false;
	int rc = cblock_enter(c, s->inode, index, &b);

	if (rc < 0)
		return rc;
	block = b->block;
	rc = target_set(s, b, &put);
	cblock_leave(b);
	if (put)
		meta_block_put(c->meta, block);
	return rc;
}

int cache_share(struct cache *c, struct inode *from, uint32_t from_index, struct inode *to, uint32_t to_index,
	uint32_t len, const uint8_t object[OBJECT_ID_BYTES])
{
	struct share s = { .c = c, .inode = to, .end = (uint64_t)to_index * c->block_bytes + len };
	int rc = source_take(c, from, from_index, &s.source);

	if (rc == 1 && (memcmp(s.source.extent.object, object, OBJECT_ID_BYTES) != 0 || s.source.extent.len > len))
		rc = 0;
	if (rc == 1 && (rc = cnode_get(c, to->ino, &s.n)) == 0) {
		pthread_mutex_lock(&s.n->publish);
		rc = target_enter(&s, to_index);
		pthread_mutex_unlock(&s.n->publish);
		cnode_put(c, s.n);
	}
	source_put(c, &s.source);
	return rc;
}
