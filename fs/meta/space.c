/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define RESERVE_BYTES (16LL << 20)

static void set_full(struct meta *m, bool full)
{
	pthread_mutex_lock(&m->lock);
	m->full = full;
	m->reserve_try_ns = clock_mono_ns() + m->options.commit_interval_ns;
	pthread_mutex_unlock(&m->lock);
}

/* Taking the last blocks for the reserve would only make the next commit give it up again. */
static bool room_enough(const char *store)
{
	struct statvfs st;

	return statvfs(store, &st) == 0 && (uint64_t)st.f_bavail * st.f_frsize >= 2 * RESERVE_BYTES;
}

static bool reserve_is_whole(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_size == RESERVE_BYTES && st.st_blocks * 512 >= RESERVE_BYTES;
}

int reserve_make(struct meta *m)
{
	int fd = open(m->reserve_path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc = fd < 0 ? -errno : 0;

	if (rc == 0 && !reserve_is_whole(fd)) {
		rc = room_enough(m->reserve_path) ? -posix_fallocate(fd, 0, RESERVE_BYTES) : -ENOSPC;
		if (rc < 0)
			unlink(m->reserve_path);
	}
	if (fd >= 0)
		close(fd);
	set_full(m, rc < 0);
	return rc;
}

void reserve_release(struct meta *m)
{
	log_warn("metadata: the disk is full: the reserve is given up so that deletions can be committed");
	unlink(m->reserve_path);
	set_full(m, true);
}
