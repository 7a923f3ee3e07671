/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files that stay: their clean block files are in a list of their own, which is not looked at for room. They get half
 * of the cache at most: what they have beyond that is clean as any other, the oldest first, so that pins never keep a
 * write or a fetch from its room. */
#include "fs/cache/internal.h"

#include "base/log.h"

#define PINNED (INODE_PINNED | INODE_PINNED_RULE)

static bool is_pinned(struct cache *c, const struct inode *inode)
{
	bool pinned;

	meta_lock(c->meta);
	pinned = inode->flags & PINNED;
	meta_unlock(c->meta);
	return pinned;
}

enum entry_state pin_state(struct cache *c, const struct inode *inode)
{
	return is_pinned(c, inode) ? ENTRY_PINNED : ENTRY_CLEAN;
}

/* Rows of small files are few bytes each, and no list of them is kept. */
bool pin_keeps_inline(struct cache *c, const struct inode *inode)
{
	bool room;

	pthread_mutex_lock(&c->lock);
	room = c->inline_bytes <= c->bytes_max / 4;
	pthread_mutex_unlock(&c->lock);
	return room && is_pinned(c, inode);
}

void pin_trim(struct cache *c)
{
	uint64_t max = c->bytes_max / 2 / SLOT_BYTES;
	bool over = c->index.slots[ENTRY_PINNED] > max;

	if (over && !c->pins_over)
		log_warn("cache: what is pinned fills half of it, and the rest of that is evicted as any other: unpin "
			 "some, or set a larger \"cache\"");
	c->pins_over = over;
	while (c->index.slots[ENTRY_PINNED] > max)
		index_set(&c->index, list_first(&c->index.lists[ENTRY_PINNED], struct entry, link), ENTRY_CLEAN);
}

void cache_pinned(struct cache *c, struct inode *inode)
{
	enum entry_state to, from;
	struct entry *e;

	pthread_mutex_lock(&c->lock);
	to = pin_state(c, inode);
	from = to == ENTRY_PINNED ? ENTRY_CLEAN : ENTRY_PINNED;
	for (uint32_t at = 0; (e = index_next(&c->index, inode->ino, at)); at = e->index + 1) {
		if (e->state == from)
			index_set(&c->index, e, to);
		if (e->index == UINT32_MAX)
			break;
	}
	pthread_mutex_unlock(&c->lock);
}

void cache_pin(struct cache *c, struct inode *inode, bool pin)
{
	meta_lock(c->meta);
	inode->flags = pin ? inode->flags | INODE_PINNED : inode->flags & ~(uint32_t)INODE_PINNED;
	meta_inode_changed(c->meta, inode);
	meta_unlock(c->meta);
	cache_pinned(c, inode);
}

bool cache_is_pinned(struct cache *c, struct inode *inode, uint64_t *bytes)
{
	bool pinned;

	meta_lock(c->meta);
	pinned = inode->flags & INODE_PINNED;
	*bytes = inode->bytes;
	meta_unlock(c->meta);
	return pinned;
}
