/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cache/internal.h"

#include <errno.h>
#include <string.h>

#define LOOK_MAX 256 /* entries looked at again at a time */

struct entry_key {
	uint64_t ino;
	uint32_t index;
};

static bool has_extent(const struct block *block)
{
	static const uint8_t none[OBJECT_ID_BYTES];

	return memcmp(block->extent.object, none, sizeof none) != 0;
}

/* Under the meta lock: what is on no durable backend never goes (I3). */
static bool row_evictable(struct cache *c, const struct block *block)
{
	return !block->dirty && has_extent(block) && block->change_batch <= meta_durable(c->meta);
}

/* The block's row forgets its local copy but for its holes, if nobody uses it. Under the block's mutex. */
static bool row_evict(struct cblock *b, bool inline_too, const struct holes *left, uint64_t *freed)
{
	struct cache *c = b->c;
	struct block *block = b->block;
	struct entry *e;
	bool ok;

	if (b->changed == CHANGE_WRITTEN || b->captured || b->inflight)
		return false;
	pthread_mutex_lock(&c->lock);
	e = index_find(&c->index, b->ino, b->index);
	/* pinned by a snapshot, read, or with slots that wait for a batch */
	ok = !e || !e->file || (e->file == b->file && e->file->refs == 1);
	meta_lock(c->meta);
	ok = ok && row_evictable(c, block) && (block->kind != BLOCK_INLINE || inline_too);
	if (ok && block->kind != BLOCK_NONE) {
		*freed += block->kind == BLOCK_INLINE ? block->local->len : 0;
		blob_put(block->local);
		block->local = left->row ? blob_ref(left->row) : NULL;
		block->kind = left->row ? BLOCK_SLOTS : BLOCK_NONE;
		meta_block_changed(c->meta, block);
	}
	meta_unlock(c->meta);
	*freed += ok && e ? (uint64_t)e->slots * SLOT_BYTES : 0;
	if (ok && e && !b->loaded)
		index_doom(&c->index, e, 0);
	pthread_mutex_unlock(&c->lock);
	return ok;
}

/* The loaded block is as its row now. A clean block's file may go before the row says so: what is missing then is
 * fetched again. As cblock_settled. */
static bool live_evict(struct cblock *b, struct holes *left)
{
	bool put = cblock_empty(b, 0);

	if (left->row) {
		b->map = left->map;
		left->map = (struct map)MAP_INIT;
		b->synced = blob_ref(left->row);
	}
	return put;
}

static uint64_t block_evict(struct cache *c, struct block *block, bool inline_too)
{
	struct cblock *b = cblock_attach(c, block);
	struct holes left;
	uint64_t freed = 0;
	bool put = false;

	if (!b || pthread_mutex_trylock(&b->lock) != 0)
		return 0;
	if (holes_left(b, &left) == 0 && row_evict(b, inline_too, &left, &freed) && b->loaded)
		put = live_evict(b, &left);
	holes_free(&left);
	pthread_mutex_unlock(&b->lock);
	if (put)
		meta_block_put(c->meta, block);
	return freed;
}

uint64_t evict_one(struct cache *c, uint64_t ino, uint32_t index, bool inline_too)
{
	struct inode *inode;
	struct block *block;
	uint64_t freed = 0;

	if (meta_inode_get(c->meta, ino, &inode) < 0)
		return 0;
	if (!(inline_too && pin_keeps_inline(c, inode)) && meta_block_get(c->meta, inode, index, &block) == 0) {
		freed = block_evict(c, block, inline_too);
		meta_block_put(c->meta, block);
	}
	meta_inode_put(c->meta, inode);
	return freed;
}

/* The clean entry used least recently; it goes to the end of the list, so that one in use does not stand in the way. */
static bool oldest(struct cache *c, struct entry_key *key)
{
	struct list *clean = &c->index.lists[ENTRY_CLEAN];
	struct entry *e = NULL;

	pthread_mutex_lock(&c->lock);
	if (!list_empty(clean)) {
		e = list_first(clean, struct entry, link);
		*key = (struct entry_key){ e->ino, e->index };
		index_set(&c->index, e, ENTRY_CLEAN);
	}
	pthread_mutex_unlock(&c->lock);
	return e != NULL;
}

static uint64_t evict_files(struct cache *c, uint64_t bytes)
{
	struct entry_key key = { 0 };
	uint64_t freed = 0, tries;

	pthread_mutex_lock(&c->lock);
	pin_trim(c);
	tries = c->index.count[ENTRY_CLEAN];
	pthread_mutex_unlock(&c->lock);
	for (; tries && room_lacks(c, bytes) && oldest(c, &key); tries--) {
		uint64_t got = evict_one(c, key.ino, key.index, false);

		freed += got;
		/* what was evicted counts until it is unlinked */
		if (got)
			files_reap(c);
	}
	return freed;
}

uint64_t cache_evict(struct cache *c, uint64_t bytes)
{
	uint64_t freed;

	files_reap(c);
	freed = evict_files(c, bytes);
	if (room_lacks(c, bytes) && evict_look_again(c))
		freed += evict_files(c, bytes);
	if (room_lacks(c, bytes))
		freed += inline_evict(c, bytes);
	pthread_mutex_lock(&c->lock);
	c->evicted += freed;
	pthread_mutex_unlock(&c->lock);
	return freed;
}

/* ---- uploads that may have ended ---- */

static bool block_is_clean(struct cache *c, uint64_t ino, uint32_t index, struct inode **inode, struct block **block)
{
	bool clean;

	*block = NULL;
	if (meta_inode_get(c->meta, ino, inode) < 0) {
		*inode = NULL;
		return false;
	}
	if (meta_block_get(c->meta, *inode, index, block) < 0)
		return false;
	meta_lock(c->meta);
	clean = !(*block)->dirty && has_extent(*block);
	meta_unlock(c->meta);
	return clean;
}

/* The state of one entry after the check: dirty again counts, since a write may have come between. */
static bool look_at(struct cache *c, uint64_t ino, uint32_t index)
{
	struct inode *inode;
	struct block *block;
	bool clean = block_is_clean(c, ino, index, &inode, &block);
	struct entry *e;

	pthread_mutex_lock(&c->lock);
	e = index_find(&c->index, ino, index);
	if (clean && e && e->state == ENTRY_UPLOADING) {
		meta_lock(c->meta);
		clean = !block->dirty;
		meta_unlock(c->meta);
		if (clean)
			index_set(&c->index, e, pin_state(c, inode));
	}
	pthread_mutex_unlock(&c->lock);
	meta_block_put(c->meta, block);
	meta_inode_put(c->meta, inode);
	return clean;
}

bool evict_look_again(struct cache *c)
{
	struct list *uploading = &c->index.lists[ENTRY_UPLOADING];
	struct entry_key keys[LOOK_MAX];
	uint32_t n = 0;
	bool any = false;

	pthread_mutex_lock(&c->lock);
	for (; n < LOOK_MAX && n < c->index.count[ENTRY_UPLOADING]; n++) {
		struct entry *e = list_first(uploading, struct entry, link);

		keys[n] = (struct entry_key){ e->ino, e->index };
		index_set(&c->index, e, ENTRY_UPLOADING);
	}
	pthread_mutex_unlock(&c->lock);
	for (uint32_t i = 0; i < n; i++)
		any |= look_at(c, keys[i].ino, keys[i].index);
	return any;
}
