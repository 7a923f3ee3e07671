/* SPDX-License-Identifier: GPL-3.0-or-later */
/* core: POSIX semantics over metadata, cache and transfers, without FUSE: a test can drive it directly.
 *
 * Operations name inodes by number and return 0 or a negative error; those that never need a backend are plain calls,
 * which block on the local disk at most. Those that may (reading, writing, truncating, punching) are a struct core_io:
 * tried at once, and, where a backend or room in the cache is needed, parked without a thread and finished later.
 *
 * Permission to do a thing is the kernel's to decide (default_permissions); core keeps what POSIX asks of a filesystem
 * itself: link counts, set-id bits on ownership changes, directory loops, sticky results of rename, times.
 *
 * Locks: rename_lock (renames of directories across directories, one at a time), then data_locks of directories in
 * order of inode number (a directory's data_lock keeps its names from changing), then those of files, then the cache's,
 * then the meta lock. */
#ifndef FS_CORE_CORE_H
#define FS_CORE_CORE_H

#include "config/config.h"
#include "fs/cache/cache.h"
#include "fs/meta/meta.h"
#include "fs/place/audit.h"
#include "fs/place/place.h"
#include "fs/transfer/transfer.h"

#include <stdatomic.h>
#include <sys/statvfs.h>

struct core;

/* ---- store ---------------------------------------------------------------------------------------------------- */

/* core_create: makes the store of a configuration: its directory (0700, made if missing, -EEXIST if it holds a store),
 * keys, metadata. words as in keyring_create. root is owned by uid:gid. Blocks on the local disk, seconds. Until
 * core_created, when the words are where their owner finds them, it counts as unfinished: the next core_create removes
 * it. */
int core_create(struct config *, const struct unlock *, size_t unlock_count, enum kdf_cost, uid_t uid, gid_t gid,
	char **words, struct errmsg *);
int core_created(struct config *, struct errmsg *);
/* core_unlock: opens the keyring in the configuration's store. -ENOENT with "run borderfs init". */
int core_unlock(struct config *, const struct unlock *, struct keyring **, struct errmsg *);
/* core_open: locks the store (-ERR_LOCKED: another borderfs has it), opens every room, starts nothing. The keyring is
 * core's from here on, also when it fails. core_start: threads of transfer. core_stop: syncs all that was written,
 * stops transfers, ends parked operations with -ERR_STOPPED. core_close: after stop; accepts NULL. */
int core_open(struct core **, struct config *, struct keyring *, struct errmsg *);
int core_start(struct core *);
int core_stop(struct core *);
/* core_refused: how many writes that programs believed done could not be taken; fsync and close of their files said so.
 */
uint64_t core_refused(struct core *);
void core_close(struct core *);
/* core_look: a store that nobody has mounted, for commands that only read: its lock and its metadata are opened, and no
 * other room. -ERR_LOCKED. The keyring is core's from here on, also when it fails. core_look_close accepts what failed.
 */
struct core_look {
	int lock_fd;
	struct keyring *keyring;
	struct meta *meta;
};
int core_look(struct core_look *, const struct config *, struct keyring *, struct errmsg *);
void core_look_close(struct core_look *);
/* core_reload: a new configuration, whole or not at all. Tightening is in force when it returns. */
int core_reload(struct core *, struct config *, struct errmsg *);
/* core_allows: whether a reload would refuse it for its store or its policy; changes nothing. Blocks on the local disk.
 */
int core_allows(struct core *, const struct config *, struct errmsg *);

struct meta *core_meta(struct core *);
struct cache *core_cache(struct core *);
struct place *core_place(struct core *);
struct transfer *core_transfer(struct core *);
/* core_audit: the log, for who reads it; valid as long as core. */
void core_audit(struct core *, struct audit_log *);
/* core_config: a counted reference. */
struct config *core_config(struct core *);
/* core_set_atime: which reads move the time of access: none; the first after the file changed or after a day, as
 * Linux's relatime, which is how it begins; each. directories: theirs too. Before the first operation. Reads that the
 * kernel answers itself are not seen here: opening a file for reading only counts as one. */
enum core_atime { CORE_ATIME_RELATIVE, CORE_ATIME_NONE, CORE_ATIME_STRICT };
void core_set_atime(struct core *, enum core_atime, bool directories);
/* core_failed: 0, or the error that made the store read-only. */
int core_failed(struct core *);

/* ---- names ---------------------------------------------------------------------------------------------------- */

struct core_caller {
	uid_t uid;
	gid_t gid;
	mode_t umask;
};

/* core_lookup: the inode behind a name; *st is filled. -ENOENT. "." and ".." are served too. */
int core_lookup(struct core *, uint64_t parent, const char *name, struct stat *st);
int core_getattr(struct core *, uint64_t ino, struct stat *st);
int core_getattr_birth(struct core *, uint64_t ino, struct stat *st, struct timespec *birth);
/* core_forget: the kernel no longer knows the inode: an orphan nobody has open is deleted. */
void core_forget(struct core *, uint64_t ino);

int core_mknod(
	struct core *, const struct core_caller *, uint64_t parent, const char *name, mode_t, dev_t, struct stat *st);
int core_mkdir(struct core *, const struct core_caller *, uint64_t parent, const char *name, mode_t, struct stat *st);
int core_symlink(struct core *, const struct core_caller *, uint64_t parent, const char *name, const char *target,
	struct stat *st);
int core_readlink(struct core *, uint64_t ino, struct buf *out); /* NUL-terminated */
int core_link(struct core *, uint64_t ino, uint64_t parent, const char *name, struct stat *st);
int core_unlink(struct core *, uint64_t parent, const char *name);
int core_rmdir(struct core *, uint64_t parent, const char *name);
/* core_rename: flags as renameat2: RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT. -EINVAL for others and for
 * loops. */
int core_rename(
	struct core *, uint64_t parent, const char *name, uint64_t new_parent, const char *new_name, unsigned flags);

enum core_set {
	SET_MODE = 1,
	SET_UID = 2,
	SET_GID = 4,
	SET_ATIME = 8,
	SET_MTIME = 16,
	SET_CTIME = 32,
	SET_ATIME_NOW = 64,
	SET_MTIME_NOW = 128
};
/* core_setattr: everything but the size (see CORE_TRUNCATE). */
int core_setattr(struct core *, uint64_t ino, unsigned set, const struct stat *in, struct stat *st);

/* core_setxattr: flags as setxattr(2), and CORE_XATTR_KILL_SGID: the caller may not keep the set-group-id bit where
 * this is an access list. Access lists and modes change each other. */
#define CORE_XATTR_KILL_SGID 0x10000
/* core_kill_set_ids: clears the bits that a change of content costs a file: set-user-id, and set-group-id where the
 * group may execute it or the caller is not in it. true: there were some. core_setattr of an owner does it as for
 * one in the group. */
bool core_kill_set_ids(struct core *, uint64_t ino, bool in_group);

int core_setxattr(struct core *, uint64_t ino, const char *name, const void *value, size_t len, int flags);
/* core_getxattr: appends the value; includes the virtual user.borderfs.* attributes. -ENODATA. */
int core_getxattr(struct core *, uint64_t ino, const char *name, struct buf *out);
/* core_listxattr: names, each with its NUL; trusted.* for the privileged only. */
int core_listxattr(struct core *, uint64_t ino, bool privileged, struct buf *out);
int core_removexattr(struct core *, uint64_t ino, const char *name);

/* core_readdir: entries with id > after in order of id, "." (id 1) and ".." (id 2) first; fn's non-zero result stops.
 * st has number and type; with plus all of it, but for "." and "..". */
int core_readdir(struct core *, uint64_t dir, uint64_t after, bool plus,
	int (*fn)(void *ctx, const char *name, uint64_t id, const struct stat *st), void *ctx);
int core_statfs(struct core *, struct statvfs *);

/* ---- open files and content -------------------------------------------------------------------------------------- */

struct core_file; /* one open file description */
/* core_file_open: flags as open(2) (O_TRUNC is not handled: see CORE_TRUNCATE). core_file_create: makes the name too,
 * -EEXIST. core_file_tmp: O_TMPFILE in a directory: a file without a name, which core_link may give one unless flags
 * have O_EXCL. core_file_release: the last close. */
int core_file_open(struct core *, uint64_t ino, int flags, struct core_file **);
int core_file_create(struct core *, const struct core_caller *, uint64_t parent, const char *name, mode_t, int flags,
	struct core_file **, struct stat *st);
int core_file_tmp(struct core *, const struct core_caller *, uint64_t parent, mode_t, int flags, struct core_file **,
	struct stat *st);
void core_file_release(struct core *, struct core_file *);
/* core_file_accessed: opening it moved the time of access, which the kernel does not know. */
bool core_file_accessed(const struct core_file *);
uint64_t core_file_ino(const struct core_file *);

/* core_is_written: somebody has it open for writing, so that not all that was written need be here. */
bool core_is_written(struct core *, uint64_t ino);
/* core_lseek: SEEK_DATA or SEEK_HOLE, by units of 4 KiB. -ENXIO. Blocks on the local disk. */
int core_lseek(struct core *, uint64_t ino, uint64_t off, int whence, uint64_t *out);

enum core_io_kind { CORE_READ, CORE_WRITE, CORE_TRUNCATE, CORE_FALLOCATE, CORE_COPY, CORE_FSYNC };

/* CORE_FSYNC: data and the names leading to it survive power loss when it is done with 0 (I3); ino may be a directory.
 */
struct core_io {
	enum core_io_kind kind;
	uint64_t ino;
	struct core_file *file; /* CORE_READ: for read-ahead; may be NULL */
	uint64_t off;		/* CORE_TRUNCATE: the new size */
	size_t len;
	/* CORE_READ: the caller's until done. CORE_WRITE: read before core_io_start returns, copied if parked. */
	void *buf;
	bool cached; /* CORE_WRITE: from the kernel's writeback cache, whose times the kernel sets itself */
	int mode;    /* CORE_FALLOCATE: FALLOC_FL_* */
	uint64_t target_ino, target_off; /* CORE_COPY: from ino, off, len to these */
	/* called exactly once, on any thread, also before core_io_start returns: the count read or written or copied,
	 * 0, or a negative error. The struct is the caller's again. */
	void (*done)(struct core_io *, ssize_t rc);
	void *ctx;

	/* core's; zeros at first */
	struct core *core;
	struct inode *inode, *target;
	struct fetch fetch;
	struct cache_fsync fsync;
	struct list link;
	int state;
	void *copy; /* CORE_READ: not NULL in done: the caller frees it */
	int64_t began_ns;
	bool queued; /* it has a place among those that wait for room */
	atomic_bool cancelled;
	size_t progress;
};
void core_io_start(struct core *, struct core_io *);
/* core_io_cancel: an interrupt: done comes with -EINTR if the operation is parked, or when it would be; else nothing
 * happens. Also before core_io_start. The caller keeps the struct alive across the call. */
void core_io_cancel(struct core *, struct core_io *);
/* core_io_wait: starts and blocks until done (tests, control). core_fsync: CORE_FSYNC of the inode, waited for. */
ssize_t core_io_wait(struct core *, struct core_io *);
int core_fsync(struct core *, uint64_t ino);

#endif
