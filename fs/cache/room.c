/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bound on what the cache takes of the disk: slots of block files, pages and units promised to operations under way
 * (which will be slots), and bytes in rows. */
#include "fs/cache/internal.h"

#include <string.h>

uint64_t room_used(struct cache *c)
{
	uint64_t units = index_slots(&c->index) + atomic_load(&c->pages) + c->reserved;

	return units * SLOT_BYTES + c->inline_bytes;
}

static bool reserve(struct cache *c, uint32_t units)
{
	bool ok;

	pthread_mutex_lock(&c->lock);
	if ((ok = room_used(c) + (uint64_t)units * SLOT_BYTES <= c->bytes_max))
		c->reserved += units;
	pthread_mutex_unlock(&c->lock);
	return ok;
}

/* At most once a second: half of the bound is dirty, or (now) there is no room at all. */
static void pressure(struct cache *c, bool now)
{
	int64_t clock = clock_mono_ns();
	uint64_t dirty;
	bool call;

	pthread_mutex_lock(&c->lock);
	dirty = (c->index.slots[ENTRY_DIRTY] + atomic_load(&c->pages)) * SLOT_BYTES;
	call = now || (dirty > c->bytes_max / 2 && clock - c->pressure_ns > NS_PER_S);
	if (call)
		c->pressure_ns = clock;
	if (now) {
		c->full = c->hurry = true;
		pthread_cond_signal(&c->wake);
	}
	pthread_mutex_unlock(&c->lock);
	if (call && c->options.pressure)
		c->options.pressure(c->options.ctx);
}

int room_reserve(struct cache *c, uint32_t units, bool fill)
{
	if (reserve(c, units)) {
		if (!fill)
			pressure(c, false);
		return 0;
	}
	while (cache_evict(c, (uint64_t)units * SLOT_BYTES))
		if (reserve(c, units))
			return 0;
	if (!fill)
		pressure(c, true);
	return -ERR_CACHE_FULL;
}

void room_release(struct cache *c, uint32_t units)
{
	pthread_mutex_lock(&c->lock);
	c->reserved -= units;
	pthread_mutex_unlock(&c->lock);
}

void room_account(struct cache *c, struct slotfile *f)
{
	if (!f)
		return;
	pthread_mutex_lock(&c->lock);
	index_account(&c->index, f->entry, (int64_t)slotfile_disk_slots(f) - f->entry->slots);
	pthread_mutex_unlock(&c->lock);
}

void room_inline(struct cache *c, int64_t delta)
{
	pthread_mutex_lock(&c->lock);
	/* deletions of inodes that were not in memory went uncounted: never below nothing */
	if (delta < 0 && (uint64_t)-delta > c->inline_bytes)
		c->inline_bytes = 0;
	else
		c->inline_bytes += (uint64_t)delta;
	pthread_mutex_unlock(&c->lock);
}
