/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The part of copy_file_range that moves no bytes: whole blocks that are on a backend of the zone in which the target
 * is placed become one object with two references. */
#include "fs/core/internal.h"

/* By number, so that two copies the other way round do not wait for each other. */
static void lock_both(struct inode *from, struct inode *to)
{
	if (from->ino < to->ino)
		pthread_rwlock_rdlock(&from->data_lock);
	pthread_rwlock_wrlock(&to->data_lock);
	if (from->ino > to->ino)
		pthread_rwlock_rdlock(&from->data_lock);
}

static void unlock_both(struct inode *from, struct inode *to)
{
	if (from != to)
		pthread_rwlock_unlock(&from->data_lock);
	pthread_rwlock_unlock(&to->data_lock);
}

/* How much of one block is asked for that is all the target's block will be: a whole one, or the source's last onto the
 * target's end; 0: a part. Under both locks. */
static uint32_t whole(struct core *core, const struct core_io *io, uint64_t off, uint64_t to)
{
	uint64_t bytes = meta_block_bytes(core->meta), left = io->len - io->progress;
	uint64_t size = inode_size(core, io->inode), target = inode_size(core, io->target);

	/* what lies between the target's end and a block beyond is a write's to make zeros */
	if (off >= size || to > target || to / bytes >= UINT32_MAX)
		return 0;
	if (left >= bytes && size - off >= bytes)
		return (uint32_t)bytes;
	return left >= size - off && target <= to + (size - off) ? (uint32_t)(size - off) : 0;
}

/* The zone in which the target is placed now; 0: it cannot be said. */
static uint32_t zone_of(struct core *core, struct inode *inode)
{
	struct placement at = { 0 };
	uint32_t zone_id = 0;

	if (place_evaluate(core->place, inode, &at) == 0 && !at.want_content)
		zone_id = at.zone_id;
	placement_free(&at);
	return zone_id;
}

/* What the block of the source points at; false: nothing that lies in the zone. */
static bool extent_in(struct core *core, struct inode *inode, uint32_t index, uint32_t zone_id, struct extent *out)
{
	struct block *block;

	if (meta_block_get(core->meta, inode, index, &block) < 0)
		return false;
	meta_lock(core->meta);
	*out = block->extent;
	meta_unlock(core->meta);
	meta_block_put(core->meta, block);
	return out->len && out->zone_id == zone_id;
}

/* Under both locks. */
static int share_block(struct core *core, struct core_io *io, uint64_t off, uint64_t to, uint32_t len, uint32_t zone_id)
{
	uint64_t bytes = meta_block_bytes(core->meta);
	struct transfer_share share;
	struct extent extent;
	int rc;

	if (!extent_in(core, io->inode, (uint32_t)(off / bytes), zone_id, &extent))
		return 0;
	transfer_share_begin(core->transfer, &share, extent.object);
	rc = cache_share(core->cache, io->inode, (uint32_t)(off / bytes), io->target, (uint32_t)(to / bytes), len,
		extent.object);
	transfer_share_end(core->transfer, &share);
	return rc;
}

ssize_t copy_share(struct core *core, struct core_io *io)
{
	uint64_t bytes = meta_block_bytes(core->meta), off = io->off + io->progress, to = io->target_off + io->progress;
	uint32_t len, zone_id;
	int rc;

	if (off % bytes || to % bytes || (io->inode == io->target && off == to))
		return 0;
	if ((rc = meta_throttle(core->meta)) < 0)
		return rc;
	/* the data of a file that is moving may lie elsewhere, and what the target's sync cannot do, writing tells */
	if (!(zone_id = zone_of(core, io->target)) || cache_sync(core->cache, io->target) < 0)
		return 0;
	lock_both(io->inode, io->target);
	len = whole(core, io, off, to);
	rc = len ? share_block(core, io, off, to, len, zone_id) : 0;
	if (rc == 1)
		content_written(core, io->target, true);
	unlock_both(io->inode, io->target);
	return rc == 1 ? (ssize_t)len : rc;
}
