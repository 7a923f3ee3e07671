/* SPDX-License-Identifier: GPL-3.0-or-later */
/* front: FUSE requests -> core calls -> replies, by libfuse's low-level interface; nothing else. */
#ifndef FS_FRONT_FRONT_H
#define FS_FRONT_FRONT_H

#include "fs/core/core.h"

struct front;

struct front_options {
	const char *mountpoint; /* absolute */
	const char *fsname;	/* shown by mount(8) */
	bool allow_other, read_only;
	bool check_permissions; /* of root too, on a mount that is root's alone */
	const char *extra;	/* further -o options for the kernel mount, comma-separated; NULL */
};

/* front_mount: mounts; a dead mount of ours on the same directory (ENOTCONN) is detached first. Sentences for: not a
 * directory, not empty is allowed, no /dev/fuse, fusermount3 missing or refusing, user_allow_other missing. */
int front_mount(struct front **, struct core *, const struct front_options *, struct errmsg *);
/* front_run: serves until unmounted or front_stop; blocks. Returns 0 or a negative error. */
int front_run(struct front *);
/* front_stop: makes front_run return and unmounts (lazily if busy: the kernel detaches at once). Safe from another
 * thread; not from a signal handler. */
void front_stop(struct front *);
void front_free(struct front *); /* unmounts if still mounted */
/* front_device: st_dev of the mount: with it a descriptor passed in is known to lie inside. */
dev_t front_device(struct front *);

#endif
