/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cache/internal.h"

#include <errno.h>
#include <string.h>

#define DIRECT_UNITS 16		 /* whole units in a row that are sealed from the caller's buffer: 64 KiB */
#define START_BYTES  (64u << 20) /* a file that has more unsynced does not leave all of it to the sync */

struct write {
	struct cache *c;
	struct cnode *n;
	struct inode *inode;
	struct cache_need *need;
};

/* ---- units that must be fetched ---- */

/* A unit written in part, of which the extent has bytes that the write leaves in place. [off, end) in the unit. */
static bool needs_fetch(struct cblock *b, const struct extent *e, uint32_t unit, uint32_t off, uint32_t end)
{
	uint64_t start = (uint64_t)unit * UNIT;

	if (start >= e->len || pages_find(&b->pages, unit) || map_get(&b->map, unit).slot != MAP_ABSENT)
		return false;
	return off > 0 || (end < UNIT && start + end < e->len);
}

void need_unit(struct cache_need *need, uint32_t index, uint32_t unit, const struct extent *e)
{
	uint32_t off = unit * UNIT;

	*need = (struct cache_need){ .index = index, .off = off, .len = e->len - off < UNIT ? e->len - off : UNIT };
}

static int check_fetch(struct write *w, struct cblock *b, const struct extent *e, uint32_t off, uint32_t len)
{
	uint32_t first = off / UNIT, last = (off + len - 1) / UNIT, end = off + len - last * UNIT;

	if (b->live == LIVE_INLINE)
		return 0;
	if (needs_fetch(b, e, first, off % UNIT, first == last ? end : UNIT)) {
		need_unit(w->need, b->index, first, e);
		return -ERR_NEED_FETCH;
	}
	if (first != last && needs_fetch(b, e, last, 0, end)) {
		need_unit(w->need, b->index, last, e);
		return -ERR_NEED_FETCH;
	}
	return 0;
}

/* ---- pages ---- */

/* Bytes beyond the file's size in a slot of an earlier run may be what a truncation cut off before a crash: in this run
 * truncations zero the page, and the slot sealed from it carries a sequence of this run. */
static void wipe_beyond(struct cblock *b, struct inode *inode, uint32_t unit, uint64_t seq, uint8_t *page)
{
	uint64_t start = (uint64_t)b->index * b->c->block_bytes + (uint64_t)unit * UNIT, size;

	if (seq >> SEQ_RUN_SHIFT == meta_open_count(b->c->meta))
		return;
	meta_lock(b->c->meta);
	size = inode->size;
	meta_unlock(b->c->meta);
	if (size < start + UNIT)
		memset(page + (size > start ? size - start : 0), 0, size > start ? start + UNIT - size : UNIT);
}

static int page_fill(struct write *w, struct cblock *b, uint32_t unit, uint8_t *page)
{
	struct map_unit from = map_get(&b->map, unit);
	struct extent e;
	int rc;

	if (!map_has_slot(from.slot)) {
		memset(page, 0, UNIT);
		return 0;
	}
	if ((rc = unit_read(b, unit, from, page)) < 0) {
		cblock_pages_drop(b, unit, 1);
		if ((rc = cblock_damaged(b, w->n, unit, from, rc)) < 0)
			return rc;
		if (!cblock_extent(b, &e) || unit * UNIT >= e.len)
			return -ERR_CORRUPT;
		need_unit(w->need, b->index, unit, &e);
		return -ERR_NEED_FETCH;
	}
	wipe_beyond(b, w->inode, unit, from.seq, page);
	return 0;
}

static int page_get(struct write *w, struct cblock *b, uint32_t unit, bool whole, uint8_t **page)
{
	if ((*page = pages_change(&b->pages, unit)))
		return 0;
	if (!(*page = cblock_page_add(b, unit)))
		return -ENOMEM;
	return whole ? 0 : page_fill(w, b, unit, *page);
}

int write_page(
	struct cblock *b, struct cnode *n, struct inode *inode, uint32_t unit, struct cache_need *need, uint8_t **page)
{
	struct write w = { .c = b->c, .n = n, .inode = inode, .need = need };

	return page_get(&w, b, unit, false, page);
}

/* A unit written in part is read before anything is marked as changed: of a clean block it can still be fetched if its
 * slot is damaged. */
static int edge_load(struct write *w, struct cblock *b, uint32_t unit)
{
	uint8_t *page;

	if (pages_find(&b->pages, unit) || !map_has_slot(map_get(&b->map, unit).slot))
		return 0;
	cblock_changed(b, w->n, CHANGE_FILLED);
	return page_get(w, b, unit, false, &page);
}

static int edges_load(struct write *w, struct cblock *b, uint32_t off, uint32_t end)
{
	int rc = 0;

	if (off % UNIT)
		rc = edge_load(w, b, off / UNIT);
	if (rc == 0 && end % UNIT)
		rc = edge_load(w, b, end / UNIT);
	return rc;
}

int write_load(
	struct cblock *b, struct cnode *n, struct inode *inode, uint32_t off, uint32_t end, struct cache_need *need)
{
	struct write w = { .c = b->c, .n = n, .inode = inode, .need = need };

	return edges_load(&w, b, off, end);
}

/* *done counts what was taken over. */
static int write_pages(
	struct write *w, struct cblock *b, uint32_t off, const uint8_t *data, uint32_t len, uint32_t *done)
{
	for (uint32_t n; len; off += n, data += n, len -= n, *done += n) {
		uint32_t in = off % UNIT;
		uint8_t *page;
		int rc;

		n = UNIT - in < len ? UNIT - in : len;
		if ((rc = page_get(w, b, off / UNIT, n == UNIT, &page)) < 0)
			return rc;
		memcpy(page + in, data, n);
	}
	return 0;
}

/* Over the bound the oldest pages are sealed, a block at a time, by who writes. */
static int seal_oldest(struct cache *c)
{
	struct cblock *b = NULL;
	int rc;

	pthread_mutex_lock(&c->lock);
	if (!list_empty(&c->paged)) {
		b = list_first(&c->paged, struct cblock, paged_link);
		list_remove(&b->paged_link);
		list_append(&c->paged, &b->paged_link);
		meta_lock(c->meta);
		meta_block_ref(b->block);
		meta_unlock(c->meta);
	}
	pthread_mutex_unlock(&c->lock);
	if (!b)
		return 0;
	pthread_mutex_lock(&b->lock);
	rc = cblock_seal_pages(b);
	cblock_leave(b);
	return rc;
}

static int relieve(struct cache *c)
{
	int rc = 0;

	while (rc == 0 && atomic_load(&c->pages) * UNIT > c->options.dirty_memory_max)
		rc = seal_oldest(c);
	return rc;
}

/* ---- direct ---- */

/* A run of slots, sealed without the block's mutex: two writers of one block seal on two cores. What is published last
 * wins, over pages too: a page of the unit was written before, or beside, this write. */
static int direct_run(struct cblock *b, uint32_t unit, const uint8_t *data, uint32_t n)
{
	struct slot_ad ad = { .ino = b->ino, .block = b->index, .unit = unit };
	uint32_t start, got;
	int rc = slotfile_alloc(b->file, n, &start);

	if (rc < 0)
		return rc;
	got = (uint32_t)rc;
	ad.seq = seq_take(b->c, got);
	b->inflight++;
	pthread_mutex_unlock(&b->lock);
	rc = slots_write(b->c, b->file, start, got, data, &ad);
	pthread_mutex_lock(&b->lock);
	b->inflight--;
	if (rc < 0) {
		slotfile_unref(b->file, start, got);
		return rc;
	}
	for (uint32_t i = 0; i < got; i++)
		cblock_unit_set(b, unit + i, (struct map_unit){ .slot = start + i, .seq = ad.seq + i });
	cblock_pages_drop(b, unit, got);
	return (int)got;
}

static int write_direct(struct cblock *b, uint32_t unit, const uint8_t *data, uint32_t n, uint32_t *done)
{
	int rc = cblock_attach_file(b);

	while (n && rc >= 0 && (rc = direct_run(b, unit, data, n)) > 0) {
		unit += (uint32_t)rc;
		data += (size_t)rc * UNIT;
		n -= (uint32_t)rc;
		*done += (uint32_t)rc * UNIT;
	}
	room_account(b->c, b->file);
	return rc < 0 ? rc : 0;
}

/* ---- a block's part ---- */

bool unit_is_hole(const struct cblock *b, const struct extent *e, uint32_t unit)
{
	uint32_t slot = map_get(&b->map, unit).slot;

	return !pages_find(&b->pages, unit) &&
	       (slot == MAP_ZERO || (slot == MAP_ABSENT && (uint64_t)unit * UNIT >= e->len));
}

static uint32_t unallocated(struct cblock *b, const struct extent *e, uint32_t first, uint32_t last)
{
	uint32_t n = 0;

	for (uint32_t u = first; u <= last; u++)
		n += unit_is_hole(b, e, u);
	return n;
}

/* Raised before the change and after it: no upload that began earlier, or in between, ends as one of all there is. */
static void raise_versions(struct write *w, struct cblock *b, uint64_t end)
{
	meta_lock(w->c->meta);
	b->block->dirty = true;
	b->block->version++;
	w->inode->version++;
	if (w->inode->size < end)
		w->inode->size = end;
	meta_unlock(w->c->meta);
}

int64_t write_growth(struct cblock *b, const struct extent *e, uint32_t first, uint32_t last)
{
	uint32_t units;

	if (b->live != LIVE_INLINE)
		return (int64_t)unallocated(b, e, first, last) * UNIT;
	units = (b->block->local->len + UNIT - 1) / UNIT;
	if (last >= units)
		units += last + 1 - (first > units ? first : units);
	return (int64_t)units * UNIT - (int64_t)inline_allocated(b);
}

/* Before anything is changed: beside other writers there is no moment in which two take the same room. */
int write_charge(struct cache *c, struct inode *inode, int64_t bytes)
{
	int rc;

	if (bytes <= 0)
		return 0;
	meta_lock(c->meta);
	if ((rc = meta_may_grow(c->meta, inode, (uint64_t)bytes)) == 0)
		meta_bytes_add(c->meta, inode, bytes);
	meta_unlock(c->meta);
	return rc;
}

static void give_back(struct write *w, int64_t bytes)
{
	meta_lock(w->c->meta);
	meta_bytes_add(w->c->meta, w->inode, -bytes);
	meta_unlock(w->c->meta);
}

/* In order of the bytes, so that what was taken over when an error comes is a write that ended early. */
static int write_parts(
	struct write *w, struct cblock *b, uint32_t off, const uint8_t *data, uint32_t len, uint32_t *done)
{
	uint32_t from = (off + UNIT - 1) / UNIT, to = (off + len) / UNIT, head = from * UNIT - off;
	int rc;

	if (to < from || to - from < DIRECT_UNITS)
		return write_pages(w, b, off, data, len, done);
	if ((rc = write_pages(w, b, off, data, head, done)) < 0)
		return rc;
	if ((rc = write_direct(b, from, data + head, to - from, done)) < 0)
		return rc;
	return write_pages(w, b, to * UNIT, data + *done, len - *done, done);
}

static int write_slots(struct write *w, struct cblock *b, uint32_t off, const uint8_t *data, uint32_t len)
{
	uint32_t done = 0, first = off / UNIT, last = (off + len - 1) / UNIT;
	struct extent e;
	int64_t grown;
	int rc;

	cblock_extent(b, &e);
	if ((rc = check_fetch(w, b, &e, off, len)) < 0 || (rc = map_reserve(&b->map, last + 1)) < 0)
		return rc;
	if ((rc = edges_load(w, b, off, off + len)) < 0)
		return rc;
	grown = write_growth(b, &e, first, last);
	if ((rc = write_charge(w->c, w->inode, grown)) < 0)
		return rc;
	if (b->live == LIVE_INLINE && (rc = inline_to_slots(b)) < 0) {
		give_back(w, grown);
		return rc;
	}
	raise_versions(w, b, 0);
	cblock_changed(b, w->n, CHANGE_WRITTEN);
	rc = write_parts(w, b, off, data, len, &done);
	if (rc < 0)
		give_back(w, (int64_t)unallocated(b, &e, first, last) * UNIT);
	if (done)
		raise_versions(w, b, (uint64_t)b->index * w->c->block_bytes + off + done);
	return rc;
}

/* The file of a block that was written to its end, referenced; NULL: none, or the disk need not begin with it yet. */
static struct slotfile *full_file(struct write *w, struct cblock *b, uint32_t end)
{
	struct cache *c = w->c;
	bool much;

	if (end < c->block_bytes || !b->file)
		return NULL;
	pthread_mutex_lock(&c->lock);
	much = (uint64_t)w->n->written * c->block_bytes > START_BYTES;
	pthread_mutex_unlock(&c->lock);
	if (!much)
		return NULL;
	files_ref(c, b->file);
	return b->file;
}

static int write_block(struct write *w, uint32_t index, uint32_t off, const uint8_t *data, uint32_t len)
{
	struct slotfile *full = NULL;
	struct cblock *b;
	int rc;

	if ((rc = cblock_enter(w->c, w->inode, index, &b)) < 0)
		return rc;
	if (inline_fits(b, w->inode, off, len))
		rc = inline_write(b, w->inode, off, data, len);
	else
		rc = write_slots(w, b, off, data, len);
	if (rc == 0)
		full = full_file(w, b, off + len);
	cblock_leave(b);
	if (full) {
		slotfile_start(full);
		files_put(w->c, full);
	}
	return rc;
}

/* ---- the call ---- */

int write_tail_fix(struct cache *c, struct cnode *n, struct inode *inode, uint64_t size)
{
	struct cache_need need;
	uint32_t unit = (uint32_t)(size % c->block_bytes / UNIT);
	struct map_unit at;
	struct cblock *b;
	uint8_t *page;
	int rc;

	if (size % UNIT == 0)
		return 0;
	if ((rc = cblock_enter(c, inode, (uint32_t)(size / c->block_bytes), &b)) < 0)
		return rc;
	at = map_get(&b->map, unit);
	if (map_has_slot(at.slot) && !pages_find(&b->pages, unit) &&
		at.seq >> SEQ_RUN_SHIFT != meta_open_count(c->meta)) {
		cblock_changed(b, n, CHANGE_FILLED);
		rc = write_page(b, n, inode, unit, &need, &page);
		/* dropped because it was damaged: the extent ends with the size */
		if (rc == -ERR_NEED_FETCH)
			rc = 0;
	}
	cblock_leave(b);
	return rc;
}

static int write_all(struct write *w, uint64_t off, const uint8_t *data, size_t len)
{
	uint64_t size;
	int rc = 0;

	meta_lock(w->c->meta);
	size = w->inode->size;
	meta_unlock(w->c->meta);
	if (off > size && (rc = write_tail_fix(w->c, w->n, w->inode, size)) < 0)
		return rc;
	for (size_t n; len && rc == 0; off += n, data += n, len -= n) {
		uint32_t in = (uint32_t)(off % w->c->block_bytes);

		n = w->c->block_bytes - in < len ? w->c->block_bytes - in : len;
		rc = write_block(w, (uint32_t)(off / w->c->block_bytes), in, data, (uint32_t)n);
	}
	return rc;
}

int write_anyway(
	struct cache *c, struct inode *inode, uint64_t off, const void *data, size_t len, struct cache_need *need)
{
	struct write w = { .c = c, .inode = inode, .need = need };
	int rc;

	if ((rc = cnode_get(c, inode->ino, &w.n)) == 0)
		rc = write_all(&w, off, data, len);
	cnode_put(c, w.n);
	return rc;
}

int cache_write(
	struct cache *c, struct inode *inode, uint64_t off, const void *data, size_t len, struct cache_need *need)
{
	uint32_t units = (uint32_t)(len / UNIT) + 4; /* two in part, two of a row that becomes slots */
	int rc;

	if (len == 0)
		return 0;
	if (off > file_size_max(c) || len > file_size_max(c) - off)
		return -EFBIG;
	if ((rc = relieve(c)) < 0 || (rc = room_reserve(c, units, false)) < 0)
		return rc;
	rc = write_anyway(c, inode, off, data, len, need);
	room_release(c, units);
	return rc;
}
