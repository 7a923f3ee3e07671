/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sftp: what the files of the SFTP driver share. An object is a file of the object's name, as in the driver for local
 * directories (local.h), and the state directory is the same mark. */
#ifndef BACKENDS_SFTP_H
#define BACKENDS_SFTP_H

#include "backends/local.h"
#include "backends/sftp_conn.h"

/* sftp_expects_mark: a root without the mark is not the one this backend had. */
static inline bool sftp_expects_mark(struct sftp *s)
{
	return s->backend.known || atomic_load(&s->mark_seen);
}
/* sftp_marked: 0 where the root has its mark, -ERR_NO_BUCKET with a sentence where not, or another error. */
int sftp_marked(struct sftp_conn *);
/* sftp_no_root: -ERR_NO_BUCKET with the sentence that there is no such directory. */
int sftp_no_root(struct sftp_conn *);
/* sftp_is_absent: the status says that there is no such file, or nothing on the way to it. */
bool sftp_is_absent(int status);
/* sftp_path: the root, a slash, and the parts joined; malloc'd; NULL: no memory. sftp_key_path: of an object; NULL with
 * -EINVAL or -ENOMEM in rc. */
char *sftp_path(const struct sftp *, const char *first, const char *second);
char *sftp_key_path(struct sftp *, struct call *, const char *key, int *rc);
/* sftp_stat: of the name itself, links not followed: its status (sftp_conn_status). */
int sftp_stat(struct sftp_conn *, const char *path, LIBSSH2_SFTP_ATTRIBUTES *);
/* sftp_open_file, sftp_open_dir: NULL with the status. sftp_close: also on a broken connection; its status. */
LIBSSH2_SFTP_HANDLE *sftp_open_file(struct sftp_conn *, const char *path, unsigned long flags, int *status);
LIBSSH2_SFTP_HANDLE *sftp_open_dir(struct sftp_conn *, const char *path, int *status);
int sftp_close(struct sftp_conn *, LIBSSH2_SFTP_HANDLE *);

/* sftp_put.c, sftp_list.c */
int sftp_put(struct backend *, struct call *, const char *key, struct source *);
int sftp_list(struct backend *, struct call *, int (*fn)(void *ctx, const struct backend_object *), void *ctx);

#endif
