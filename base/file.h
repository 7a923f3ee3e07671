/* SPDX-License-Identifier: GPL-3.0-or-later */
/* file: whole reads and writes, durable replacement, private files. All block on the local disk only and return 0 or
 * a negative error. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

/* file_pread_full: reads exactly len bytes; -ERR_CORRUPT at a premature end of file. */
int file_pread_full(int fd, void *buf, size_t len, off_t off);
int file_pwrite_full(int fd, const void *buf, size_t len, off_t off);
int file_write_full(int fd, const void *buf, size_t len);
/* file_read_all: the whole file into out, at most max bytes (-EFBIG beyond). */
int file_read_all(int dirfd, const char *path, size_t max, struct buf *out);
/* file_replace: writes a temporary file beside path, syncs it, renames it over path, syncs the directory: after a
 * crash path holds the old bytes or the new ones, whole. */
int file_replace(int dirfd, const char *path, const void *data, size_t len, mode_t mode);
/* file_create_new: as file_replace, but -EEXIST where path exists. */
int file_create_new(int dirfd, const char *path, const void *data, size_t len, mode_t mode);
int file_sync_dir(int dirfd);
/* file_mkdirs: path and its missing parents with this mode. */
int file_mkdirs(const char *path, mode_t mode);
/* file_read_secret: reads a passphrase, key or credential file into locked memory-to-be (the caller wipes). Opened
 * with O_NOFOLLOW; a regular file owned by the caller or root, with no permission for group and others, checked on the
 * descriptor; else -ERR_SECRET_FILE with a sentence in msg. One trailing newline is dropped when strip is set. */
int file_read_secret(const char *path, size_t max, int strip, struct buf *out, struct errmsg *msg);
/* file_read_credential: the same of a file that systemd handed over: its group may read it, which is how the ACL shows
 * by which it lets the service's user read. */
int file_read_credential(const char *path, size_t max, int strip, struct buf *out, struct errmsg *msg);
/* file_same: two looks at a name found the same file, not written to in between. */
bool file_same(const struct stat *, const struct stat *);
/* file_expand: "~/" and relative names (against base, a directory, or the current one when NULL) to an absolute
 * path; malloc'd, NULL when out of memory. */
char *file_expand(const char *path, const char *base);

#endif
