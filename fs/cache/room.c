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
#define DISK_ASK_NS   (10 * NS_PER_MS)

uint64_t room_used(struct cache *c)
{
	uint64_t units = index_slots(&c->index) + atomic_load(&c->pages) + c->reserved;

	return units * SLOT_BYTES + c->inline_bytes;
}

/* Bytes the disk has for the cache beyond what is in it; less than none where it has to give some back. */
static int64_t disk_left(struct cache *c)
{
	int64_t left = INT64_MAX;
	struct statvfs st;

	if (fstatvfs(c->dirfd, &st) == 0)
		left = (int64_t)st.f_bavail * (int64_t)st.f_frsize - DISK_HEADROOM;
	atomic_store(&c->disk_left, left);
	atomic_store(&c->disk_asked_ns, clock_mono_ns());
	return left;
}

/* As it was a moment ago: more by no more than what was written since, which is less than the headroom. */
static int64_t disk_left_lately(struct cache *c)
{
	if (clock_mono_ns() - atomic_load(&c->disk_asked_ns) < DISK_ASK_NS)
		return atomic_load(&c->disk_left);
	return disk_left(c);
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

/* Under the lock: half of the bound is dirty, which is said at most once a second. */
static bool presses(struct cache *c, uint64_t max)
{
	uint64_t dirty = (c->index.slots[ENTRY_DIRTY] + atomic_load(&c->pages)) * SLOT_BYTES;
	int64_t now;

	if (dirty <= max / 2 || (now = clock_mono_ns()) - c->pressure_ns <= NS_PER_S)
		return false;
	c->pressure_ns = now;
	return true;
}

static bool reserve(struct cache *c, uint32_t units, bool fill, int64_t left)
{
	bool ok, press;
	uint64_t max;

	pthread_mutex_lock(&c->lock);
	max = bound(c, left);
	if ((ok = fits(c, (uint64_t)units * SLOT_BYTES, max)))
		c->reserved += units;
	press = ok && !fill && presses(c, max);
	pthread_mutex_unlock(&c->lock);
	if (press && c->options.pressure)
		c->options.pressure(c->options.ctx);
	return ok;
}

/* There is no room at all. */
static void no_room(struct cache *c)
{
	pthread_mutex_lock(&c->lock);
	c->pressure_ns = clock_mono_ns();
	c->full = c->hurry = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	if (c->options.pressure)
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
	if (reserve(c, units, fill, disk_left_lately(c)) || reserve(c, units, fill, disk_left(c)))
		return 0;
	while (cache_evict(c, (uint64_t)units * SLOT_BYTES))
		if (reserve(c, units, true, disk_left(c)))
			return 0;
	if (fill)
		return -ERR_CACHE_FULL;
	/* others have the disk: nothing that could still be uploaded would make this room */
	if ((uint64_t)units * SLOT_BYTES > room_max(c))
		return -ENOSPC;
	no_room(c);
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
