/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ops: the table of handlers. */
#ifndef FS_FRONT_OPS_H
#define FS_FRONT_OPS_H

#include "base/spare.h"
#include "fs/core/core.h"

#include <fuse_lowlevel.h>

extern const struct fuse_lowlevel_ops front_ops;

/* What a session serves: its user data. */
struct serving {
	struct core *core;
	struct fuse_session *session;
	bool roots_own;	      /* nobody but root gets in, and root may everything: the kernel checks nothing */
	struct pool *flusher; /* seek.c: one thread, that calls in what the kernel has not written */
	uint64_t init_unique; /* raw.c: the number of the request INIT, and what the kernel offered in it */
	uint32_t init_flags;
	struct spare answers; /* io.c: of REQUEST_BYTES, for what is read */
};

#define REQUEST_BYTES (1u << 20) /* that the kernel sends or asks for at once, at most */
#define ANSWERS_SPARE 8

/* reply_rc: 0 or a negative error as the reply. */
void reply_rc(fuse_req_t, int rc);
void reply_entry(fuse_req_t, int rc, const struct stat *);
void entry_fill(struct fuse_entry_param *, const struct stat *);
struct core_caller request_caller(fuse_req_t);
struct core *request_core(fuse_req_t);

/* list_was_set: after the attribute was set. Where access lists are attributes like others to the kernel, it does not
 * know that the mode follows them. */
void list_was_set(const struct serving *, fuse_ino_t, const char *name);

/* Every change of names and attributes comes through the kernel, so what it caches stays right for as long as it
 * likes. */
#define CACHE_SECONDS (365.0 * 86400)

/* raw_attach: requests that libfuse does not know are answered by raw.c from here on. After the mount, before it
 * serves. */
int raw_attach(struct serving *);

/* seek.c */
void front_lseek(fuse_req_t, fuse_ino_t, off_t, int whence, struct fuse_file_info *);

/* io.c: handlers of content, which may be answered later */
void front_read(fuse_req_t, fuse_ino_t, size_t, off_t, struct fuse_file_info *);
void front_write(fuse_req_t, fuse_ino_t, const char *, size_t, off_t, struct fuse_file_info *);
void front_setattr(fuse_req_t, fuse_ino_t, struct stat *, int to_set, struct fuse_file_info *);
void front_fsync(fuse_req_t, fuse_ino_t, int datasync, struct fuse_file_info *);
void front_fallocate(fuse_req_t, fuse_ino_t, int mode, off_t, off_t, struct fuse_file_info *);
void front_copy_file_range(fuse_req_t, fuse_ino_t in, off_t, struct fuse_file_info *, fuse_ino_t out, off_t,
	struct fuse_file_info *, size_t, int flags);

#endif
