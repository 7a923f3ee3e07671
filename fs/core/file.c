/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/core/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static bool writes(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

/* Of what is open only for writing the kernel reads pages to fill them. */
static bool moves_atime(int flags)
{
	return (flags & O_ACCMODE) != O_WRONLY && !(flags & O_NOATIME);
}

static struct core_file *file_new(struct inode *inode, int flags)
{
	struct core_file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	pthread_mutex_init(&file->lock, NULL);
	file->inode = inode;
	file->writer = writes(flags);
	file->reads = moves_atime(flags);
	return file;
}

int core_file_open(struct core *core, uint64_t ino, int flags, struct core_file **out)
{
	struct inode *inode;
	int rc = meta_inode_get(core->meta, ino, &inode);

	if (rc < 0)
		return rc;
	if (S_ISDIR(inode->mode) && writes(flags))
		rc = -EISDIR;
	else if (!(*out = file_new(inode, flags)))
		rc = -ENOMEM;
	if (rc < 0) {
		meta_inode_put(core->meta, inode);
		return rc;
	}
	meta_lock(core->meta);
	inode->open_count++;
	inode->writer_count += (*out)->writer;
	if (!(*out)->writer && (*out)->reads && S_ISREG(inode->mode))
		(*out)->accessed = accessed(core, inode);
	meta_unlock(core->meta);
	if ((*out)->writer)
		hold_writer(core, *out);
	return 0;
}

/* A file whose inode was made open, or not made. */
static int file_made(struct core *core, struct core_file *file, int rc, struct core_file **out)
{
	if (rc < 0) {
		pthread_mutex_destroy(&file->lock);
		free(file);
		return rc;
	}
	if (file->writer)
		hold_writer(core, file);
	*out = file;
	return 0;
}

int core_file_create(struct core *core, const struct core_caller *caller, uint64_t parent, const char *name,
	mode_t mode, int flags, struct core_file **out, struct stat *st)
{
	struct core_file *file = file_new(NULL, flags);

	if (!file)
		return -ENOMEM;
	return file_made(
		core, file, name_create(core, caller, parent, name, mode, file->writer, st, &file->inode), out);
}

int core_file_tmp(struct core *core, const struct core_caller *caller, uint64_t parent, mode_t mode, int flags,
	struct core_file **out, struct stat *st)
{
	struct core_file *file = file_new(NULL, flags);

	if (!file)
		return -ENOMEM;
	file->writer = true; /* name_none counts it so */
	return file_made(core, file, name_none(core, caller, parent, mode, flags, st, &file->inode), out);
}

void core_file_release(struct core *core, struct core_file *file)
{
	struct inode *inode = file->inode;

	/* judged while it still counts as open: until then whoever takes its directory away judges it */
	if (file->writer) {
		hold_at_once(core, inode);
		hold_writer_gone(core, file);
	}
	meta_lock(core->meta);
	inode->open_count--;
	inode->writer_count -= file->writer;
	meta_unlock(core->meta);
	if (file->writer)
		transfer_touch(core->transfer, inode->ino);
	orphan_settle(core, inode);
	meta_inode_put(core->meta, inode);
	pthread_mutex_destroy(&file->lock);
	free(file);
}

bool core_file_accessed(const struct core_file *file)
{
	return file->accessed;
}

uint64_t core_file_ino(const struct core_file *file)
{
	return file->inode->ino;
}

/* Under the file's lock. */
static void window_grow(struct core_file *file)
{
	file->ahead = file->ahead ? file->ahead * READ_AHEAD_GROWS : READ_AHEAD_MIN;
	if (file->ahead > READ_AHEAD_MAX)
		file->ahead = READ_AHEAD_MAX;
}

static bool in_window(const struct core_file *file, uint64_t off)
{
	return file->window_end > 0 && off + READ_REORDER >= file->last_off && off <= file->window_end;
}

/* A reader that goes on at the end of what was asked for ahead of it is given more each time, one that jumps nothing.
 * The kernel's own read-ahead may come in another order than it was sent. */
uint32_t file_read_ahead(struct core_file *file, uint64_t off, size_t len)
{
	uint64_t end = off + len;
	uint32_t ahead;

	pthread_mutex_lock(&file->lock);
	if (off == 0)
		file->ahead = READ_AHEAD_MIN;
	else if (!in_window(file, off))
		file->ahead = 0;
	else if (end > file->window_end)
		window_grow(file);
	if (off == 0 || !in_window(file, off) || end > file->window_end) {
		file->last_off = off;
		file->window_end = end + file->ahead;
	}
	ahead = (uint32_t)(file->window_end - end);
	pthread_mutex_unlock(&file->lock);
	return ahead;
}

/* With half of the window left there is time to fetch the next: whoever waited until it is used up would leave the link
 * idle for a round trip each time. */
uint32_t file_read_on(struct core_file *file, uint64_t off, size_t len, uint64_t *from)
{
	uint64_t end = off + len;
	uint32_t more = 0;

	pthread_mutex_lock(&file->lock);
	if (file->ahead && end <= file->window_end && file->window_end - end <= file->ahead / 2) {
		window_grow(file);
		*from = file->window_end;
		file->window_end = end + file->ahead;
		file->last_off = off;
		more = (uint32_t)(file->window_end - *from);
	}
	pthread_mutex_unlock(&file->lock);
	return more;
}

bool core_is_written(struct core *core, uint64_t ino)
{
	struct inode *inode;
	bool written = false;

	meta_lock(core->meta);
	if ((inode = meta_inode_peek(core->meta, ino)))
		written = inode->writer_count > 0;
	meta_unlock(core->meta);
	meta_inode_put(core->meta, inode);
	return written;
}

/* The first byte at or after off of a block that has anything, and where in that block it lies. */
static int seek_block(struct core *core, struct inode *inode, uint64_t off, uint32_t *index, uint32_t *in, bool *found)
{
	uint64_t block_bytes = meta_block_bytes(core->meta);
	int rc = meta_next_data(core->meta, inode, (uint32_t)(off / block_bytes), index, found);

	*in = rc == 0 && *found && *index > off / block_bytes ? 0 : (uint32_t)(off % block_bytes);
	return rc;
}

static int seek_data(struct core *core, struct inode *inode, uint64_t off, uint64_t size, uint64_t *out)
{
	uint64_t block_bytes = meta_block_bytes(core->meta);
	uint32_t index, in, at;
	bool found;
	int rc;

	for (; off < size; off = ((uint64_t)index + 1) * block_bytes) {
		if ((rc = seek_block(core, inode, off, &index, &in, &found)) < 0)
			return rc;
		if (!found)
			break;
		if ((rc = cache_next(core->cache, inode, index, in, true, &at)) < 0)
			return rc;
		*out = index * block_bytes + at;
		if (at < block_bytes)
			return *out < size ? 0 : -ENXIO;
	}
	return -ENXIO;
}

static int seek_hole(struct core *core, struct inode *inode, uint64_t off, uint64_t size, uint64_t *out)
{
	uint64_t block_bytes = meta_block_bytes(core->meta);
	uint32_t index, in, at;
	bool found;
	int rc;

	for (*out = off; *out < size; *out = ((uint64_t)index + 1) * block_bytes) {
		if ((rc = seek_block(core, inode, *out, &index, &in, &found)) < 0)
			return rc;
		if (!found || index > *out / block_bytes)
			return 0;
		if ((rc = cache_next(core->cache, inode, index, in, false, &at)) < 0)
			return rc;
		*out = index * block_bytes + at;
		if (at < block_bytes)
			break;
	}
	*out = *out < size ? *out : size;
	return 0;
}

int core_lseek(struct core *core, uint64_t ino, uint64_t off, int whence, uint64_t *out)
{
	struct inode *inode;
	uint64_t size;
	int rc = meta_inode_get(core->meta, ino, &inode);

	if (rc < 0)
		return rc;
	pthread_rwlock_rdlock(&inode->data_lock);
	meta_lock(core->meta);
	size = inode->size;
	meta_unlock(core->meta);
	if (off >= size)
		rc = -ENXIO;
	else if (whence == SEEK_DATA)
		rc = seek_data(core, inode, off, size, out);
	else
		rc = seek_hole(core, inode, off, size, out);
	pthread_rwlock_unlock(&inode->data_lock);
	meta_inode_put(core->meta, inode);
	return rc;
}
