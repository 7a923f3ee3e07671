/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define RESERVE_BYTES (16LL << 20)
/* What is queued when the disk is found to be full must still be committed, and what is in the log copied to the
 * database: the one is bounded by what meta_throttle lets through, the other is as long as the log. */
#define HEADROOM_BYTES (32LL << 20)
#define FRAME_BYTES    (VFS_PAGE + VFS_FRAME_HEADER + VFS_RESERVED)

static int64_t room(const char *store)
{
	struct statvfs st;

	return statvfs(store, &st) == 0 ? (int64_t)st.f_bavail * (int64_t)st.f_frsize : 0;
}

static bool reserve_is_whole(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_size == RESERVE_BYTES && st.st_blocks * 512 >= RESERVE_BYTES;
}

/* Taking the last blocks for the reserve would only make the next commit give it up again. */
static bool reserve_make(struct meta *m)
{
	int fd = open(m->reserve_path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool made;

	if (fd < 0)
		return false;
	made = reserve_is_whole(fd);
	if (!made && room(m->store) >= 2 * RESERVE_BYTES)
		made = posix_fallocate(fd, 0, RESERVE_BYTES) == 0;
	if (!made)
		unlink(m->reserve_path);
	close(fd);
	return made;
}

static void set_full(struct meta *m, bool full)
{
	pthread_mutex_lock(&m->lock);
	if (full != m->full)
		log_warn(full ? "metadata: the disk is full: only what frees space can be done"
			      : "metadata: the disk has room again");
	/* what the log's file holds and does not need is given back */
	if (full && !m->full) {
		m->truncate_wanted = true;
		pthread_cond_signal(&m->checkpoint);
	}
	m->full = full;
	m->space_try_ns = clock_mono_ns() + m->options.commit_interval_ns;
	pthread_mutex_unlock(&m->lock);
	if (full && m->options.full)
		m->options.full(m->options.ctx);
}

void space_look(struct meta *m)
{
	int64_t log_bytes;

	pthread_mutex_lock(&m->lock);
	log_bytes = (int64_t)m->wal_frames * FRAME_BYTES;
	pthread_mutex_unlock(&m->lock);
	if (!m->reserved)
		m->reserved = reserve_make(m);
	set_full(m, !m->reserved || room(m->store) < HEADROOM_BYTES + log_bytes);
}

void reserve_release(struct meta *m)
{
	if (m->reserved)
		log_warn("metadata: the reserve is given up so that deletions can be committed");
	unlink(m->reserve_path);
	m->reserved = false;
	set_full(m, true);
}
