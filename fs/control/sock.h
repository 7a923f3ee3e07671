/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sock: the daemon's sockets, `control.sock` in the store and the approvers', for both ends. A path longer than a
 * socket address holds is reached through the directory's descriptor in /proc. */
#ifndef FS_CONTROL_SOCK_H
#define FS_CONTROL_SOCK_H

#include <sys/types.h>

/* sock_listen_at: a listening, non-blocking socket of that mode; a dead one that lies there is replaced, so the caller
 * holds the store's lock; -EEXIST where something else does. sock_remove_at: the name goes. sock_connect_at: -ENOENT,
 * -ECONNREFUSED, -EACCES, -EAGAIN (too many wait), -errno. Descriptors are close-on-exec and the caller's. Local;
 * connecting may block while the daemon's queue is full. */
int sock_listen_at(const char *path, mode_t mode);
void sock_remove_at(const char *path);
int sock_connect_at(const char *path);
/* sock_path: that of a store's control.sock; malloc'd or NULL. sock_connect: there. */
char *sock_path(const char *store);
int sock_connect(const char *store);
/* sock_peer: whom the kernel vouches for. On the client's side: the process that listens. 0 or -errno. */
int sock_peer(int sock, pid_t *pid, uid_t *uid);
/* sock_peer_groups: all groups that it is in, malloc'd. 0 or a negative error. */
int sock_peer_groups(int sock, gid_t **, size_t *count);

#endif
