/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The lock of a store is the flock of its file "lock". What stands in the file is for whoever finds it taken: the
 * process, and whether that one is ending. umount(8) returns when the mount is gone, while its daemon still makes
 * durable what was written: a mount after it waits for that. */
#include "base/log.h"
#include "fs/core/internal.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <unistd.h>

#define ENDS	  "ending"
#define NOTICE_NS (3 * NS_PER_S)   /* until a daemon knows that its mount is gone, and says that it is ending */
#define ENDING_NS (300 * NS_PER_S) /* longer than any end takes that is not stuck */

static void write_holder(int fd, const char *state)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "%ld%s%s\n", (long)getpid(), *state ? " " : "", state);

	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)len, 0) != len)
		log_warn("store: the lock file does not take the process id: %s", strerror(errno));
}

static long read_holder(int fd, bool *ends)
{
	char text[64] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return 0;
	*ends = strstr(text, ENDS) != NULL;
	return strtol(text, NULL, 10);
}

static int open_lock(const char *store, int *out, struct errmsg *msg)
{
	int dir = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

	if (dir < 0 && errno == ENOENT)
		return errmsg_set(msg, -ENOENT, "there is no store at %s: make it with `borderfs init`", store);
	if (dir < 0)
		return errmsg_set(msg, -errno, "the store %s cannot be opened: %s", store, strerror(errno));
	if ((*out = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
		rc = errmsg_set(msg, -errno, "the store %s is not writable: %s; check its owner and mode", store,
			strerror(errno));
	close(dir);
	return rc;
}

/* What tells that the file was written or closed; -1 where the system has no more of that. */
static int watch_open(int fd)
{
	int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (watch >= 0 && inotify_add_watch(watch, path, IN_MODIFY | IN_CLOSE_WRITE) < 0) {
		close(watch);
		watch = -1;
	}
	return watch;
}

/* Until something is told, or until_ns. A close is told a moment before the lock of who closed is let go, and, where
 * there is no watch, nothing is: then it is looked at again soon, and less and less often. */
static void watch_wait(int watch, int64_t until_ns, int *again_ms)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	int64_t left_ms = (until_ns - clock_mono_ns()) / NS_PER_MS + 1;
	int timeout_ms = *again_ms && *again_ms < left_ms ? *again_ms : (int)left_ms;
	struct pollfd p = { .fd = watch, .events = POLLIN };

	*again_ms *= 2;
	if (poll(&p, 1, timeout_ms > 0 ? timeout_ms : 0) <= 0)
		return;
	for (ssize_t n; (n = read(watch, events, sizeof(events))) > 0;) {
		const struct inotify_event *e;

		for (const char *at = events; at < events + n; at += sizeof(*e) + e->len) {
			e = (const struct inotify_event *)(const void *)at;
			if (e->mask & IN_CLOSE_WRITE)
				*again_ms = 1;
		}
	}
}

/* Whether the lock was had before it made no sense to wait any more. */
static bool wait_for(int fd)
{
	int watch = watch_open(fd), again_ms = watch < 0 ? 1 : 0;
	int64_t start = clock_mono_ns(), until;
	bool ends = false, said = false, had;
	long holder;

	while (!(had = flock(fd, LOCK_EX | LOCK_NB) == 0)) {
		holder = read_holder(fd, &ends);
		until = start + (ends ? ENDING_NS : NOTICE_NS);
		if (clock_mono_ns() > until)
			break;
		if (ends && !said)
			log_info("store: process %ld, which was unmounted, still makes it durable: waiting", holder);
		said = ends;
		watch_wait(watch, until, &again_ms);
	}
	if (watch >= 0)
		close(watch);
	return had;
}

static int take(const char *store, bool waits, int *out, struct errmsg *msg)
{
	bool ends;
	int fd = -1, rc = open_lock(store, &fd, msg);

	if (rc < 0)
		return rc;
	if (waits ? !wait_for(fd) : flock(fd, LOCK_EX | LOCK_NB) < 0) {
		rc = errmsg_set(msg, -ERR_LOCKED,
			"the store %s is in use by process %ld: unmount it there first, or use another store", store,
			read_holder(fd, &ends));
		close(fd);
		return rc;
	}
	write_holder(fd, "");
	*out = fd;
	return 0;
}

int lock_take(const char *store, int *out, struct errmsg *msg)
{
	return take(store, false, out, msg);
}

int lock_take_after(const char *store, int *out, struct errmsg *msg)
{
	return take(store, true, out, msg);
}

void lock_ends(int fd)
{
	write_holder(fd, ENDS);
}
