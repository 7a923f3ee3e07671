/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bound on what the cache takes of the disk: slots of block files, pages and units promised to operations under way
 * (which will be slots), and bytes in rows. */
#include "fs/cache/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

/* What the cache leaves of the disk: with less, the metadata calls it full (fs/meta/space.c), and nothing goes on that
 * needs room, be it in a cache whose every byte could go. */
#define DISK_HEADROOM (64LL << 20)

uint64_t room_used(struct cache *c)
{
	uint64_t units = index_slots(&c->index) + atomic_load(&c->pages) + c->reserved;

	return units * SLOT_BYTES + c->inline_bytes;
}

/* Bytes the disk has for the cache beyond what is in it; less than none where it has to give some back. */
static int64_t disk_left(struct cache *c)
{
	struct statvfs st;

	return fstatvfs(c->dirfd, &st) == 0 ? (int64_t)st.f_bavail * (int64_t)st.f_frsize - DISK_HEADROOM : INT64_MAX;
}

/* Under the lock: the bound as the disk has it. */
static uint64_t bound(struct cache *c, int64_t left)
{
	int64_t held = (int64_t)(index_slots(&c->index) * SLOT_BYTES);

	if (left >= 0 && (uint64_t)left >= c->bytes_max)
		return c->bytes_max;
	if (held + left <= 0)
		return 0;
	return (uint64_t)(held + left) < c->bytes_max ? (uint64_t)(held + left) : c->bytes_max;
}

uint64_t room_max(struct cache *c)
{
	int64_t left = disk_left(c);
	uint64_t max;

	pthread_mutex_lock(&c->lock);
	max = bound(c, left);
	pthread_mutex_unlock(&c->lock);
	return max;
}

/* Under the lock. */
static bool fits(struct cache *c, uint64_t bytes, uint64_t max)
{
	return bytes <= max && room_used(c) <= max - bytes;
}

bool room_lacks(struct cache *c, uint64_t bytes)
{
	int64_t left = disk_left(c);
	bool lacks;

	pthread_mutex_lock(&c->lock);
	lacks = !fits(c, bytes, bound(c, left));
	pthread_mutex_unlock(&c->lock);
	return lacks;
}

static bool reserve(struct cache *c, uint32_t units)
{
	int64_t left = disk_left(c);
	bool ok;

	pthread_mutex_lock(&c->lock);
	if ((ok = fits(c, (uint64_t)units * SLOT_BYTES, bound(c, left))))
		c->reserved += units;
	pthread_mutex_unlock(&c->lock);
	return ok;
}

/* At most once a second: half of the bound is dirty, or (now) there is no room at all. */
static void pressure(struct cache *c, bool now)
{
	int64_t clock = clock_mono_ns(), left = disk_left(c);
	uint64_t dirty;
	bool call;

	pthread_mutex_lock(&c->lock);
	dirty = (c->index.slots[ENTRY_DIRTY] + atomic_load(&c->pages)) * SLOT_BYTES;
	call = now || (dirty > bound(c, left) / 2 && clock - c->pressure_ns > NS_PER_S);
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

void cache_disk_full(struct cache *c)
{
	pthread_mutex_lock(&c->lock);
	c->shrink = c->hurry = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
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
	if (fill)
		return -ERR_CACHE_FULL;
	/* others have the disk: nothing that could still be uploaded would make this room */
	if ((uint64_t)units * SLOT_BYTES > room_max(c))
		return -ENOSPC;
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
