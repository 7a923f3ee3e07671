/* SPDX-License-Identifier: GPL-3.0-or-later */
/* internal: what the files of this room share. */
#ifndef FS_CORE_INTERNAL_H
#define FS_CORE_INTERNAL_H

#include "base/clock.h"
#include "fs/core/core.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>

#define LINK_MAX_NAMES 65000
#define TAGS_XATTR     "user.xdg.tags"
/* a symlink's target, kept as an attribute that no program can name: targets are names, and stay in metadata (I5) */
#define OWN_PREFIX   "borderfs."
#define TARGET_XATTR OWN_PREFIX "target"

struct core {
	int lock_fd;
	struct keyring *keyring;
	struct meta *meta;
	struct cache *cache;
	struct place *place;
	struct transfer *transfer;
	int failed;	   /* atomic */
	int64_t settle_ns; /* atomic; of the configuration in force */
	enum core_atime atime;
	bool atime_of_files_only;
	int64_t stamp_ns; /* under the meta lock: the latest time the kernel gave a file it had written */
	char *store;

	/* Protects the rooms that callbacks from below are passed on to: set when a room is open, cleared before it is
	 * closed. Shared while a callback runs in it; taken with no other lock held. */
	pthread_rwlock_t told_lock;
	struct cache *told_cache;
	struct transfer *told_transfer;

	/* Held by whoever takes the data_lock of more than one directory; the first lock of all. */
	pthread_mutex_t rename_lock;

	/* Protects the held names that were lost a moment ago (held.c). A leaf. */
	pthread_mutex_t held_lock;
	struct hash held, held_siblings;
	struct list held_order; /* oldest first */

	/* Protects the list of files open for writing. A leaf. */
	pthread_mutex_t writers_lock;
	struct list writers;
	/* meta_pending_adds when all that was pending had been judged, + 1; 0: never. Atomic. */
	uint64_t judged;

	/* Protects the state of parked operations and the lists they are in (io_park.c). Taken with no other lock held;
	 * under it only transfer's, to cancel a fetch. */
	pthread_mutex_t io_lock;
	pthread_cond_t io_wake;
	struct list io_fetching, io_room; /* room: in the order of their turns */
	size_t io_queue;		  /* those that have a place among them, the one whose turn it is too */
	bool io_next;			  /* one of them is through: the next one's turn */
	uint64_t room_count;		  /* raised whenever the cache says that there is room */
	uint64_t refused;     /* writes of cached pages that failed: the kernel had taken them from programs already */
	uint64_t refused_ino; /* of the last */
	int64_t starved_ns;   /* since when operations find no room, and none was made; 0: none waited since */
	int64_t starved_told_ns; /* when the log last said so */
	bool io_stop, io_cancels;
	pthread_t io_thread;
	bool io_thread_runs;
};

/* lock.c: who has the store. lock_take: -ERR_LOCKED, and *out a descriptor to be closed by whoever has it.
 * lock_take_after: the same, but waits for one who is making all durable after lock_ends. */
int lock_take(const char *store, int *out, struct errmsg *);
int lock_take_after(const char *store, int *out, struct errmsg *);
void lock_ends(int fd);

/* attr.c */
void stat_fill(const struct inode *, struct stat *); /* under the meta lock */
void times_now(
	struct core *, struct inode *, unsigned set); /* SET_ATIME | SET_MTIME | SET_CTIME; under the meta lock */
int inode_get_dir(struct core *, uint64_t ino, struct inode **); /* -ENOTDIR */
bool accessed(struct core *, struct inode *); /* it is read: whether that moved its time; under the meta lock */

/* name.c */
/* of an inode without a name, in lookups: the kernel no longer knows it; it was made without one and may get one */
enum orphan { ORPHAN_FORGOTTEN = 1, ORPHAN_MAY_LINK = 2 };
void orphan_begin(struct inode *); /* under the meta lock */
void orphan_settle(struct core *, struct inode *);
int name_create(struct core *, const struct core_caller *, uint64_t parent, const char *name, mode_t, bool writer,
	struct stat *st, struct inode **);
int name_none(struct core *, const struct core_caller *, uint64_t parent, mode_t, int flags, struct stat *st,
	struct inode **);
/* hold_at_once: marks a file held, if its rules and tags say so now, without waiting for its quiet period: after what
 * may tighten. hold_before: before what may loosen one file, for what may not have been judged yet: one that is open
 * for writing, or pending. hold_all_before: before what may loosen many, a directory's name or tags, or the rules;
 * takes as long as there are such files. Without the meta lock. */
void hold_at_once(struct core *, struct inode *);
void hold_named(
	struct core *, struct inode *, uint64_t parent, const char *name); /* the same, after it got this name */
void hold_before(struct core *, struct inode *);
/* hold_before_losing: the same where all that the file loses is this name: its other names mark it as they did. */
void hold_before_losing(struct core *, struct inode *, uint64_t parent, const char *name);
int hold_all_before(struct core *);
void hold_writer(struct core *, struct core_file *); /* a file is open for writing; until: */
void hold_writer_gone(struct core *, struct core_file *);
/* what the caller must do, without locks, after a change that concerns the placement of an inode */
void placement_changed(struct core *, struct inode *);
/* the epoch was raised in the operation itself, beside meta_pending_add_subtree: a placement judged by what was before
 * must not be applied in between */
void subtree_changed(struct core *);

/* held.c: I9 across programs that save by a new file */
struct held_name {
	bool held;
	char *tags; /* malloc'd or NULL */
	size_t tags_len;
};
int held_init(struct core *);
void held_free(struct core *);
/* held_lost: an inode loses the name; remembered if it is held. Under no lock. */
void held_lost(struct core *, uint64_t parent, const char *name, struct inode *);
/* held_take: what a new file under this name inherits; out->held false where nothing. The caller frees out->tags. */
void held_take(struct core *, uint64_t parent, const char *name, struct held_name *out);
/* held_dir_lost: a directory that is empty goes: if names were lost in it, its own is remembered with them.
 * held_dir_made: one is made, before anybody can use it: what was lost in the one that had this name counts as lost in
 * it. Without the meta lock. */
void held_dir_lost(struct core *, uint64_t parent, const char *name, uint64_t dir);
void held_dir_made(struct core *, uint64_t parent, const char *name, uint64_t dir);
/* held_from: the same of an inode that is being replaced. */
void held_from(struct core *, struct inode *, struct held_name *out);
/* held_give: marks the inode and gives it the tags if it has none. Under the meta lock; attributes loaded. */
void held_give(struct core *, struct inode *, const struct held_name *);

/* copy.c */
/* copy_share: what a copy has next that can be shared, in bytes; 0: it must be copied. */
ssize_t copy_share(struct core *, struct core_io *);

/* io.c */
/* content_written: after content was written or shared, under data_lock alone; times: those of the file too. */
void content_written(struct core *, struct inode *, bool times);
/* io.c: io_attempt: the count, 0, or an error; -ERR_NEED_FETCH: what of whose, in need and from; -ERR_CACHE_FULL.
 * Blocks on the local disk. io_finish: tells the caller. io_park.c: io_leave: the operation waits for room no longer.
 * Without io_lock. */
#define COPY_CHUNK (1u << 20) /* of a copy, read and written at a time */
uint64_t inode_size(struct core *, struct inode *);
ssize_t io_attempt(struct core *, struct core_io *, struct cache_need *need, struct inode **from);
void io_finish(struct core *, struct core_io *, ssize_t rc);
void io_leave(struct core *, struct core_io *);
int io_init(struct core *);
void io_stop(struct core *);
void io_free(struct core *);
void io_room(void *core);

#endif
