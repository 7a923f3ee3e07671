/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sock: `control.sock` in the store, for both ends. A path longer than a socket address holds is reached through the
 * directory's descriptor in /proc. */
#ifndef FS_CONTROL_SOCK_H
#define FS_CONTROL_SOCK_H

#include <sys/types.h>

/* sock_listen: a listening, non-blocking socket of mode 0600; a dead one that lies there is replaced, so the caller
 * holds the store's lock. sock_remove: the name goes. sock_connect: -ENOENT, -ECONNREFUSED, -EACCES, -EAGAIN (too many
 * wait), -errno. Descriptors are close-on-exec and the caller's. Local; sock_connect may block while the daemon's queue
 * is full. */
int sock_listen(const char *store);
void sock_remove(const char *store);
int sock_connect(const char *store);
/* sock_peer: whom the kernel vouches for. On the client's side: the process that listens. 0 or -errno. */
int sock_peer(int sock, pid_t *pid, uid_t *uid);

#endif
