/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cache/internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LOADED_MAX 512 /* maps in memory, at most 16 KiB each */

/* ---- extents ---- */

bool cblock_extent(struct cblock *b, struct extent *e)
{
	static const uint8_t none[OBJECT_ID_BYTES];

	meta_lock(b->c->meta);
	*e = b->block->extent;
	meta_unlock(b->c->meta);
	if (!memcmp(e->object, none, sizeof none))
		e->len = 0;
	return e->len != 0;
}

/* Whether the extent has all that the block holds, so that local copies may be dropped. */
static bool refetchable(struct cblock *b)
{
	struct extent e;
	bool clean;

	if (b->changed == CHANGE_WRITTEN || !cblock_extent(b, &e))
		return false;
	meta_lock(b->c->meta);
	clean = !b->block->dirty;
	meta_unlock(b->c->meta);
	return clean;
}

static void damage_log(struct cblock *b, bool clean, int rc)
{
	if (!b->warned)
		log_line(clean ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
			"cache: block %" PRIu32 " of inode %" PRIu64 " is damaged on the local disk (%s)%s", b->index,
			b->ino, err_text(rc), clean ? ": it is fetched again" : "");
	b->warned = true;
}

/* ---- maps and rows ---- */

struct blob *map_to_blob(const struct map *m)
{
	struct buf buf = BUF_INIT;
	struct blob *blob = NULL;

	map_encode(m, &buf);
	if (!buf.err)
		blob = blob_new(buf.data, buf.len);
	buf_free(&buf);
	return blob;
}

int map_from_blob(struct cache *c, const struct blob *blob, struct map *m)
{
	return map_decode(m, blob->data, blob->len, c->units);
}

/* The synced map and the live one each hold the slots. */
static int load_file(struct cblock *b)
{
	bool lost;
	int rc;

	if ((rc = files_get(b->c, b->ino, b->index, b->map.file, map_slots_end(&b->map), &b->file, &lost)) < 0)
		return rc;
	if ((rc = slotfile_ref_map(b->file, &b->map)) < 0)
		return rc;
	/* a clean block is as if it had no copy, before a write makes what is left of it the only one */
	if (lost && refetchable(b)) {
		damage_log(b, true, -ENOENT);
		map_drop_slots(&b->map);
	} else if ((rc = slotfile_ref_map(b->file, &b->map)) < 0) {
		slotfile_unref_map(b->file, &b->map);
		return rc;
	}
	slotfile_set_counted(b->file, true);
	room_account(b->c, b->file);
	return 0;
}

static int load_slots(struct cblock *b, struct blob *row)
{
	int rc;

	if ((rc = map_from_blob(b->c, row, &b->map)) < 0)
		return rc;
	if (b->map.file && (rc = load_file(b)) < 0) {
		if (b->file)
			files_put(b->c, b->file);
		b->file = NULL;
		map_free(&b->map);
		return rc;
	}
	b->synced = blob_ref(row);
	return 0;
}

static int load(struct cblock *b)
{
	struct cache *c = b->c;
	enum block_local kind;
	struct blob *row;
	int rc = 0;

	meta_lock(c->meta);
	kind = b->block->kind;
	row = b->block->local ? blob_ref(b->block->local) : NULL;
	meta_unlock(c->meta);
	b->live = kind == BLOCK_INLINE ? LIVE_INLINE : LIVE_SLOTS;
	if (kind == BLOCK_SLOTS)
		rc = row ? load_slots(b, row) : -ERR_CORRUPT;
	blob_put(row);
	if (rc < 0)
		return rc;
	b->loaded = true;
	pthread_mutex_lock(&c->lock);
	c->loaded_count++;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

/* ---- attach, enter, leave ---- */

static struct cblock *shell_new(struct cache *c, struct block *block)
{
	struct cblock *b = calloc(1, sizeof *b);

	if (!b)
		return NULL;
	b->c = c;
	b->block = block;
	b->ino = block->ino;
	b->index = block->index;
	pthread_mutex_init(&b->lock, NULL);
	list_init(&b->unsynced_link);
	list_init(&b->fresh_link);
	list_init(&b->paged_link);
	list_init(&b->loaded_link);
	list_init(&b->drop_link);
	pthread_mutex_lock(&c->lock);
	c->shells++;
	pthread_mutex_unlock(&c->lock);
	return b;
}

static void shell_free(struct cblock *b)
{
	struct cache *c = b->c;
	bool last;

	pthread_mutex_destroy(&b->lock);
	free(b);
	pthread_mutex_lock(&c->lock);
	last = --c->shells == 0 && c->closed;
	pthread_mutex_unlock(&c->lock);
	if (last)
		cache_destroy(c);
}

struct cblock *cblock_attach(struct cache *c, struct block *block)
{
	struct cblock *b, *mine;

	meta_lock(c->meta);
	b = block->cache;
	meta_unlock(c->meta);
	if (b || !(mine = shell_new(c, block)))
		return b;
	meta_lock(c->meta);
	if (!block->cache)
		block->cache = mine;
	b = block->cache;
	meta_unlock(c->meta);
	if (b != mine)
		shell_free(mine);
	return b;
}

/* Over the bound the map used least recently goes, if its block is quiet. */
static void unload_one(struct cache *c)
{
	struct cblock *b;

	if (c->loaded_count <= LOADED_MAX || list_empty(&c->loaded))
		return;
	b = list_first(&c->loaded, struct cblock, loaded_link);
	list_remove(&b->loaded_link);
	list_append(&c->loaded, &b->loaded_link);
	if (pthread_mutex_trylock(&b->lock) != 0)
		return;
	if (cblock_quiet(b))
		cblock_unload(b);
	pthread_mutex_unlock(&b->lock);
}

/* Most recently used: its map and, of a clean file, its entry. */
static void touch(struct cblock *b)
{
	struct cache *c = b->c;

	pthread_mutex_lock(&c->lock);
	unload_one(c);
	list_remove(&b->loaded_link);
	list_append(&c->loaded, &b->loaded_link);
	if (b->file && b->file->entry->state == ENTRY_CLEAN)
		index_set(&c->index, b->file->entry, ENTRY_CLEAN);
	pthread_mutex_unlock(&c->lock);
}

int cblock_enter(struct cache *c, struct inode *inode, uint32_t index, struct cblock **out)
{
	struct block *block;
	struct cblock *b;
	int rc;

	*out = NULL;
	if ((rc = meta_block_get(c->meta, inode, index, &block)) < 0)
		return rc;
	if (!(b = cblock_attach(c, block))) {
		meta_block_put(c->meta, block);
		return -ENOMEM;
	}
	pthread_mutex_lock(&b->lock);
	if (!b->loaded && (rc = load(b)) < 0) {
		pthread_mutex_unlock(&b->lock);
		meta_block_put(c->meta, block);
		return rc;
	}
	touch(b);
	*out = b;
	return 0;
}

void cblock_leave(struct cblock *b)
{
	struct block *block = b->block;
	struct cache *c = b->c;

	pthread_mutex_unlock(&b->lock);
	meta_block_put(c->meta, block);
}

bool cblock_quiet(const struct cblock *b)
{
	return b->changed == CHANGE_NONE && !b->captured && !b->inflight && !b->pages.count;
}

void cblock_unload(struct cblock *b)
{
	struct cache *c = b->c;
	struct map synced;

	assert(cblock_quiet(b));
	if (!b->loaded)
		return;
	if (b->file) {
		/* others may hold the file, and trim it when they let go */
		slotfile_set_counted(b->file, false);
		slotfile_unref_map(b->file, &b->map);
		if (b->synced && map_from_blob(c, b->synced, &synced) == 0) {
			slotfile_unref_map(b->file, &synced);
			map_free(&synced);
		}
		/* a file that no row names */
		if (!b->synced && b->file->entry->state != ENTRY_DOOMED)
			index_doom(&c->index, b->file->entry, 0);
		files_put_locked(c, b->file);
	}
	b->file = NULL;
	map_free(&b->map);
	blob_put(b->synced);
	b->synced = NULL;
	b->loaded = false;
	list_remove(&b->loaded_link);
	c->loaded_count--;
}

void cblock_release(void *cblock)
{
	struct cblock *b = cblock;
	struct cache *c = b->c;

	pthread_mutex_lock(&b->lock);
	pthread_mutex_lock(&c->lock);
	cblock_unload(b);
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&b->lock);
	shell_free(b);
}

/* ---- changes ---- */

void cblock_fresh(struct cblock *b, struct cnode *n, enum fresh fresh)
{
	struct cache *c = b->c;

	if (b->fresh >= fresh)
		return;
	pthread_mutex_lock(&c->lock);
	if (b->fresh == FRESH_NONE)
		list_append(&n->fresh, &b->fresh_link);
	b->fresh = fresh;
	pthread_mutex_unlock(&c->lock);
}

void cblock_logged(struct cblock *b)
{
	pthread_mutex_lock(&b->c->lock);
	list_remove(&b->fresh_link);
	b->fresh = FRESH_NONE;
	pthread_mutex_unlock(&b->c->lock);
}

void cblock_changed(struct cblock *b, struct cnode *n, enum change how)
{
	struct cache *c = b->c;

	if (how == CHANGE_WRITTEN)
		cblock_fresh(b, n, FRESH_PAGES);
	if (b->changed >= how)
		return;
	pthread_mutex_lock(&c->lock);
	if (b->changed == CHANGE_NONE) {
		meta_lock(c->meta);
		meta_block_ref(b->block);
		meta_unlock(c->meta);
		list_append(&n->unsynced, &b->unsynced_link);
		b->node = n;
		n->refs++;
		cnode_activate(c, n);
	}
	n->written += how == CHANGE_WRITTEN;
	b->changed = how;
	if (how == CHANGE_WRITTEN && b->file)
		index_set(&c->index, b->file->entry, ENTRY_DIRTY);
	pthread_mutex_unlock(&c->lock);
}

bool cblock_settled(struct cblock *b)
{
	struct cache *c = b->c;
	struct cnode *n = b->node;

	if (b->changed == CHANGE_NONE)
		return false;
	pthread_mutex_lock(&c->lock);
	n->written -= b->changed == CHANGE_WRITTEN;
	b->changed = CHANGE_NONE;
	b->fresh = FRESH_NONE;
	b->node = NULL;
	list_remove(&b->unsynced_link);
	list_remove(&b->fresh_link);
	cnode_rest(c, n);
	cnode_put_locked(c, n);
	pthread_mutex_unlock(&c->lock);
	return true;
}

int cblock_attach_file(struct cblock *b)
{
	enum entry_state state = ENTRY_CLEAN;
	int rc;

	if (b->file)
		return 0;
	meta_lock(b->c->meta);
	if (b->block->dirty)
		state = ENTRY_DIRTY;
	else if (b->block->inode->flags & (INODE_PINNED | INODE_PINNED_RULE))
		state = ENTRY_PINNED;
	meta_unlock(b->c->meta);
	if ((rc = files_new(b->c, b->ino, b->index, state, &b->file)) == 0) {
		slotfile_set_counted(b->file, true);
		b->map.file = b->file->number;
	}
	return rc;
}

void cblock_unit_set(struct cblock *b, uint32_t unit, struct map_unit to)
{
	struct map_unit was = map_get(&b->map, unit);

	if (b->changed == CHANGE_WRITTEN)
		cblock_fresh(b, b->node, FRESH_SLOTS);
	map_set(&b->map, unit, to);
	if (map_has_slot(was.slot))
		slotfile_unref(b->file, was.slot, 1);
}

uint8_t *cblock_page_add(struct cblock *b, uint32_t unit)
{
	struct cache *c = b->c;
	uint8_t *page = pages_add(&b->pages, &c->clear, unit);

	if (!page)
		return NULL;
	atomic_fetch_add(&c->pages, 1);
	if (b->pages.count == 1) {
		pthread_mutex_lock(&c->lock);
		list_append(&c->paged, &b->paged_link);
		pthread_mutex_unlock(&c->lock);
	}
	return page;
}

void cblock_pages_drop(struct cblock *b, uint32_t from, uint32_t n)
{
	struct cache *c = b->c;
	uint32_t dropped = 0;

	if (!b->pages.count)
		return;
	for (uint32_t u = pages_next(&b->pages, from); u != UINT32_MAX && u - from < n;
		u = pages_next(&b->pages, u + 1))
		dropped += pages_drop(&b->pages, &c->clear, u);
	atomic_fetch_sub(&c->pages, dropped);
	if (b->pages.count)
		return;
	pthread_mutex_lock(&c->lock);
	list_remove(&b->paged_link);
	pthread_mutex_unlock(&c->lock);
}

bool cblock_empty(struct cblock *b, uint64_t batch)
{
	struct cache *c = b->c;

	cblock_pages_drop(b, 0, UINT32_MAX);
	pthread_mutex_lock(&c->lock);
	if (b->file && b->file->entry->state != ENTRY_DOOMED)
		index_doom(&c->index, b->file->entry, batch);
	files_put_locked(c, b->file);
	pthread_mutex_unlock(&c->lock);
	b->file = NULL;
	map_free(&b->map);
	blob_put(b->synced);
	b->synced = NULL;
	b->live = LIVE_SLOTS;
	return cblock_settled(b);
}

/* ---- what it holds ---- */

uint32_t cblock_allocated(const struct cblock *b, const struct extent *e)
{
	uint32_t covered = (e->len + UNIT - 1) / UNIT, end = covered > b->map.len ? covered : b->map.len, n = 0;

	end = b->pages.cap > end ? b->pages.cap : end;
	for (uint32_t u = 0; u < end; u++) {
		uint32_t slot = map_get(&b->map, u).slot;

		n += pages_find(&b->pages, u) || map_has_slot(slot) || slot == MAP_UNWRITTEN ||
		     (slot == MAP_ABSENT && u < covered);
	}
	return n;
}

/* ---- damage ---- */

int cblock_damaged(struct cblock *b, struct cnode *n, uint32_t unit, struct map_unit was, int rc)
{
	struct map_unit now = map_get(&b->map, unit), absent = { .slot = MAP_ABSENT };
	bool all = rc == -ENOENT, clean;

	if (rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE)
		return rc;
	clean = refetchable(b);
	damage_log(b, clean, rc);
	if (!clean)
		return all ? -ERR_CORRUPT : rc;
	if (now.slot != was.slot || now.seq != was.seq)
		return 0;
	cblock_changed(b, n, CHANGE_FILLED);
	for (uint32_t u = all ? 0 : unit; u < (all ? b->map.len : unit + 1); u++)
		if (map_has_slot(map_get(&b->map, u).slot))
			cblock_unit_set(b, u, absent);
	return 0;
}
