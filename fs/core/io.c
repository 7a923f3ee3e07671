/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Operations on content: one attempt of each, which works on the local disk alone. When it says that a part must be
 * fetched, or that the cache has no room, the operation is parked and attempted again (io_park.c). */
#include "base/log.h"
#include "fs/core/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#ifndef FALLOC_FL_KEEP_SIZE
#define FALLOC_FL_KEEP_SIZE  1
#define FALLOC_FL_PUNCH_HOLE 2
#define FALLOC_FL_ZERO_RANGE 16
#endif

#define COPY_BYTES_MAX (16u << 20) /* of one copy_file_range, which may copy less than asked */
#define ASIDE_BYTES    (1u << 30)  /* set aside at once: 256 blocks of 4 MiB, a few MiB of memory */
#define FILE_BYTES_MAX INT64_MAX

/* The kernel has dropped the bytes and tells whoever syncs or closes the file; the file keeps its size. Said once for a
 * file, as its pages come one after the other. Returns what the kernel is told: close(2) knows no more than ENOSPC and
 * EIO of it, and a quota is nothing that is broken. */
static ssize_t refuse(struct core *core, const struct core_io *io, ssize_t rc)
{
	bool says;

	pthread_mutex_lock(&core->io_lock);
	says = core->refused_ino != io->ino;
	core->refused_ino = io->ino;
	core->refused++;
	pthread_mutex_unlock(&core->io_lock);
	if (says)
		log_error("inode %llu: what was written at %llu is lost: %s; fsync and close of the file say so",
			(unsigned long long)io->ino, (unsigned long long)io->off, err_text((int)rc));
	return rc == -EDQUOT ? -ENOSPC : rc;
}

uint64_t core_refused(struct core *core)
{
	uint64_t n;

	pthread_mutex_lock(&core->io_lock);
	n = core->refused;
	pthread_mutex_unlock(&core->io_lock);
	return n;
}

void io_finish(struct core *core, struct core_io *io, ssize_t rc)
{
	struct inode *inode = io->inode, *target = io->target;

	if (rc < 0 && io->kind == CORE_WRITE && io->cached)
		rc = refuse(core, io, rc);
	io_leave(core, io);
	io->inode = io->target = NULL;
	meta_inode_put(core->meta, inode);
	meta_inode_put(core->meta, target);
	free(io->copy);
	io->copy = NULL;
	io->done(io, rc);
}

/* ---- attempts ---------------------------------------------------------------------------------------------------- */

uint64_t inode_size(struct core *core, struct inode *inode)
{
	uint64_t size;

	meta_lock(core->meta);
	size = inode->size;
	meta_unlock(core->meta);
	return size;
}

/* The size, and that the file is read: what a part of a copy is for has no open file. */
static uint64_t begin_read(struct core *core, const struct core_io *io)
{
	uint64_t size;

	meta_lock(core->meta);
	size = io->inode->size;
	if (!io->file || io->file->reads)
		accessed(core, io->inode);
	meta_unlock(core->meta);
	return size;
}

static ssize_t attempt_read(struct core *core, struct core_io *io, struct cache_need *need)
{
	struct inode *inode = io->inode;
	uint64_t size;
	size_t len = 0;
	int rc = 0;

	pthread_rwlock_rdlock(&inode->data_lock);
	size = begin_read(core, io);
	if (io->off < size)
		len = io->len < size - io->off ? io->len : (size_t)(size - io->off);
	if (len > io->progress)
		rc = cache_read(core->cache, inode, io->off + io->progress, (char *)io->buf + io->progress,
			len - io->progress, need);
	pthread_rwlock_unlock(&inode->data_lock);
	return rc < 0 ? rc : (ssize_t)len;
}

void content_written(struct core *core, struct inode *inode, bool times)
{
	meta_lock(core->meta);
	if (times)
		times_now(core, inode, SET_MTIME | SET_CTIME);
	/* the quiet period starts again: what is under way abroad ends with its present request (I1) */
	inode->place_gen++;
	meta_inode_written(core->meta, inode);
	meta_unlock(core->meta);
}

/* The same, after content was taken away. */
static void content_cut(struct core *core, struct inode *inode)
{
	content_written(core, inode, true);
	meta_lock(core->meta);
	meta_inode_changed(core->meta, inode);
	meta_unlock(core->meta);
}

/* data_lock, exclusive, to take content away: of all that lies beyond size, or (size above all there is) of a part. */
static int content_lock(struct core *core, struct inode *inode, uint64_t size)
{
	int rc;

	for (;;) {
		pthread_rwlock_wrlock(&inode->data_lock);
		if (size == 0 || !cache_is_logged(core->cache, inode))
			return 0;
		pthread_rwlock_unlock(&inode->data_lock);
		if ((rc = cache_sync(core->cache, inode)) < 0)
			return rc;
	}
}

static ssize_t attempt_write(struct core *core, struct core_io *io, struct cache_need *need)
{
	struct inode *inode = io->inode;
	int rc = meta_throttle(core->meta);

	if (rc < 0)
		return rc;
	if (io->off > FILE_BYTES_MAX || io->len > FILE_BYTES_MAX - io->off)
		return -EFBIG;
	pthread_rwlock_rdlock(&inode->data_lock);
	rc = cache_write(core->cache, inode, io->off, io->buf, io->len, need);
	if (rc == 0)
		content_written(core, inode, !io->cached);
	pthread_rwlock_unlock(&inode->data_lock);
	return rc < 0 ? rc : (ssize_t)io->len;
}

static ssize_t attempt_truncate(struct core *core, struct core_io *io, struct cache_need *need)
{
	struct inode *inode = io->inode;
	int rc = meta_throttle_freeing(core->meta);

	if (rc < 0)
		return rc;
	if (S_ISDIR(inode->mode))
		return -EISDIR;
	if (!S_ISREG(inode->mode))
		return -EINVAL;
	if (io->off > FILE_BYTES_MAX)
		return -EFBIG;
	if ((rc = content_lock(core, inode, io->off)) < 0)
		return rc;
	rc = cache_truncate(core->cache, inode, io->off, need);
	if (rc == 0)
		content_cut(core, inode);
	pthread_rwlock_unlock(&inode->data_lock);
	return rc;
}

/* Under data_lock, exclusive, as the next two. */
static int zero_range(struct core *core, struct core_io *io, struct cache_need *need)
{
	uint64_t end = io->off + io->len, size = inode_size(core, io->inode);

	if (io->off >= size)
		return 0;
	return cache_punch(core->cache, io->inode, io->off, (end < size ? end : size) - io->off, need);
}

/* The size grows first, so that what is set aside lies in it; and is as before where nothing can be set aside. */
static int set_aside(struct core *core, struct core_io *io, uint64_t off, uint64_t len, struct cache_need *need)
{
	uint64_t size = inode_size(core, io->inode);
	bool grows = !(io->mode & FALLOC_FL_KEEP_SIZE) && off + len > size;
	int rc = grows ? cache_truncate(core->cache, io->inode, off + len, need) : 0;

	if (rc == 0 && (rc = cache_allocate(core->cache, io->inode, off, len)) < 0 && grows)
		cache_truncate(core->cache, io->inode, size, need);
	return rc;
}

/* What of the range is done at once: all that is to be zeroed, then a part of what is to be set aside. */
static int change_range(struct core *core, struct core_io *io, struct cache_need *need)
{
	size_t n = io->len - io->progress < ASIDE_BYTES ? io->len - io->progress : ASIDE_BYTES;
	int rc = 0;

	if (io->progress == 0 && io->mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		rc = zero_range(core, io, need);
	if (io->mode & FALLOC_FL_PUNCH_HOLE)
		n = io->len;
	else if (rc == 0)
		rc = set_aside(core, io, io->off + io->progress, n, need);
	io->progress += rc == 0 ? n : 0;
	return rc;
}

/* More than there is, or may be used, is refused before a part of it is set aside. */
static int check_room(struct core *core, const struct core_io *io)
{
	struct statvfs fs;
	uint64_t more;
	int rc;

	if (io->mode & FALLOC_FL_PUNCH_HOLE)
		return 0;
	if (statvfs(core->store, &fs) < 0)
		return -errno;
	meta_lock(core->meta);
	more = io->len > io->inode->bytes ? io->len - io->inode->bytes : 0;
	rc = meta_may_grow(core->meta, io->inode, more);
	meta_unlock(core->meta);
	return rc == 0 && more / fs.f_frsize > fs.f_bavail ? -ENOSPC : rc;
}

/* Between two parts the blocks of the first leave memory. */
static int allocate_part(struct core *core, struct core_io *io, struct cache_need *need)
{
	struct inode *inode = io->inode;
	int rc = io->progress ? cache_sync(core->cache, inode) : 0;

	if (rc == 0 && io->cancelled)
		rc = -EINTR;
	if (rc < 0 || (rc = meta_throttle(core->meta)) < 0 || (rc = content_lock(core, inode, UINT64_MAX)) < 0)
		return rc;
	rc = change_range(core, io, need);
	if (rc == 0)
		content_cut(core, inode);
	pthread_rwlock_unlock(&inode->data_lock);
	return rc;
}

static ssize_t attempt_fallocate(struct core *core, struct core_io *io, struct cache_need *need)
{
	int rc;

	if (io->len == 0 || (io->mode & FALLOC_FL_PUNCH_HOLE && !(io->mode & FALLOC_FL_KEEP_SIZE)))
		return -EINVAL;
	if (io->mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	if (io->off > FILE_BYTES_MAX || io->len > FILE_BYTES_MAX - io->off)
		return -EFBIG;
	rc = check_room(core, io);
	while (rc == 0 && io->progress < io->len)
		rc = allocate_part(core, io, need);
	return rc;
}

/* Up to a block's end, so that those after it may be shared. */
static size_t chunk_bytes(struct core *core, const struct core_io *io)
{
	uint64_t bytes = meta_block_bytes(core->meta), in = (io->off + io->progress) % bytes;
	size_t len = io->len - io->progress < COPY_CHUNK ? io->len - io->progress : COPY_CHUNK;

	return len > bytes - in ? (size_t)(bytes - in) : len;
}

/* One chunk of a copy: read under the source's lock, then written under the target's, never both. *from is the inode
 * that need speaks of. */
static ssize_t copy_chunk(struct core *core, struct core_io *io, struct cache_need *need, struct inode **from)
{
	struct core_io part = { .inode = io->inode, .off = io->off + io->progress, .buf = io->copy };
	ssize_t n;

	part.len = chunk_bytes(core, io);
	*from = io->inode;
	if ((n = attempt_read(core, &part, need)) <= 0)
		return n;
	part = (struct core_io){
		.inode = io->target, .off = io->target_off + io->progress, .buf = io->copy, .len = (size_t)n
	};
	*from = io->target;
	return attempt_write(core, &part, need);
}

/* I9: what is copied out of a held file is held. The mark comes before the first byte. */
static void mark_copy(struct core *core, struct core_io *io)
{
	struct held_name held;
	bool marks;

	hold_before(core, io->inode);
	held_from(core, io->inode, &held);
	free(held.tags);
	held.tags = NULL;
	if (!held.held)
		return;
	meta_lock(core->meta);
	marks = !(io->target->flags & INODE_HELD);
	held_give(core, io->target, &held);
	meta_unlock(core->meta);
	if (marks)
		placement_changed(core, io->target);
}

static ssize_t attempt_copy(struct core *core, struct core_io *io, struct cache_need *need, struct inode **from)
{
	ssize_t n;

	if (!S_ISREG(io->inode->mode) || !S_ISREG(io->target->mode))
		return -EINVAL;
	if (io->len > COPY_BYTES_MAX)
		io->len = COPY_BYTES_MAX;
	if (!io->copy && !(io->copy = malloc(COPY_CHUNK)))
		return -ENOMEM;
	if (io->progress == 0)
		mark_copy(core, io);
	while (io->progress < io->len) {
		if ((n = copy_share(core, io)) == 0)
			n = copy_chunk(core, io, need, from);
		if (n < 0)
			return n;
		if (n == 0)
			break;
		io->progress += (size_t)n;
	}
	return (ssize_t)io->progress;
}

ssize_t io_attempt(struct core *core, struct core_io *io, struct cache_need *need, struct inode **from)
{
	*from = io->inode;
	switch (io->kind) {
	case CORE_READ:
		return attempt_read(core, io, need);
	case CORE_WRITE:
		return attempt_write(core, io, need);
	case CORE_TRUNCATE:
		return attempt_truncate(core, io, need);
	case CORE_FALLOCATE:
		return attempt_fallocate(core, io, need);
	case CORE_COPY:
		return attempt_copy(core, io, need, from);
	case CORE_FSYNC:
		break;
	}
	return -EINVAL;
}
