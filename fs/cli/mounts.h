/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mounts: which borderfs is mounted where, from /proc/self/mounts. The source of a mount is the absolute name of its
 * configuration file. Never asks a daemon: a dead one would not answer. */
#ifndef FS_CLI_MOUNTS_H
#define FS_CLI_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct mount_at {
	char *config_file, *directory; /* malloc'd */
	dev_t device;
	uid_t user; /* who mounted it */
};
void mount_at_free(struct mount_at *);

/* Each finds the topmost fitting mount: 0, -ENOENT, -errno. mounts_only: the one there is whose configuration can be
 * read; -EEXIST if there are more.
 */
int mounts_by_directory(const char *directory, struct mount_at *);
int mounts_by_device(dev_t, struct mount_at *);
int mounts_by_config(const char *config_file, struct mount_at *);
int mounts_only(struct mount_at *);

/* mounts_unmount: the topmost mount on a directory, by fusermount3 where the system call is root's. -EBUSY: in use.
 * mounts_detach_dead: those of ours there whose daemon is gone, until one is not. 0 or -errno. */
int mounts_unmount(const char *directory, bool lazy);
int mounts_detach_dead(const char *directory);

/* path_absolute: symbolic links resolved where they can be; works on a dead mount. malloc'd, NULL: no memory. */
char *path_absolute(const char *path);
/* path_device: of the mount a descriptor lies in. 0 or -errno. */
int path_device(int fd, dev_t *, bool *directory);

#endif
