/* SPDX-License-Identifier: GPL-3.0-or-later */
/* meta: the namespace and everything a file is, but its bytes (DESIGN §5.1).
 *
 * The truth is in memory: three kinds of node (inode, dentry, block), found by hash, loaded from SQLite when asked
 * for, evicted when clean and unreferenced. An operation loads and references the nodes it needs (may block on the
 * local disk), takes the meta lock, looks at what they hold now, changes them, marks them changed, queues records,
 * and drops the lock. What one critical section changed is one operation.
 *
 * The writer thread cuts a batch under the same lock, so a batch never splits an operation; applies the queued
 * records in order, then the state of every changed node, in one SQLite transaction; and syncs the WAL when somebody
 * waits for durability, once for all that wait, or a second has passed. What is changed or being committed is never
 * evicted, so whoever misses in memory finds the truth in SQLite.
 *
 * Batches are numbered: meta_batch (under the lock) is the one that what was just changed will be part of; waiting on
 * that number is how fsync, the cache (slots freed by an overwrite) and the transfer room (deletions) order
 * themselves behind a commit.
 *
 * Lock order: an inode's data lock, then a lock of the cache, then the meta lock, which is a leaf: no I/O, no wait, no
 * callback under it. */
#ifndef FS_META_META_H
#define FS_META_META_H

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/list.h"
#include "fs/crypt/keyring.h"
#include "fs/crypt/object.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

struct meta;

#define META_ROOT_INO	1
#define META_NAME_MAX	255
#define META_INLINE_MAX 8192 /* larger files live in block files */

/* ---- life ---------------------------------------------------------------------------------------------------- */

struct meta_options {
	size_t nodes_max;	    /* nodes kept in memory when clean and unreferenced; 0: 200,000 */
	size_t dirty_nodes_max;	    /* operations wait (meta_throttle) above this; 0: 50,000 */
	int64_t commit_interval_ns; /* 0: one second */
	/* called on the writer thread, without locks, after a batch became durable; may be NULL. Must not block. */
	void (*durable)(void *ctx, uint64_t batch);
	/* called once, without locks, when a commit failed for good (I/O error, tampering): the store is read-only
	 * from then on and every later wait returns rc. A full disk is not for good: waits return -ENOSPC, the commit
	 * is tried again every interval, and nothing in memory is lost. */
	void (*failed)(void *ctx, int rc);
	/* called on the writer thread, without locks, whenever it looks and the disk is full; may be NULL. Must not
	 * block. */
	void (*full)(void *ctx);
	void *ctx;
};

/* meta_create: makes the database `meta.db` in the store with schema, root directory (owner uid:gid, mode 0755) and
 * the block size. -EEXIST. */
int meta_create(const char *store, struct keyring *, uint64_t block_bytes, uid_t uid, gid_t gid, struct errmsg *);
bool meta_exists(const char *store);
/* meta_discard: removes it again: of a store whose making did not come to its end. 0, -errno. */
int meta_discard(const char *store);
/* meta_open: opens, migrates an older schema (a newer one is -ERR_NEWER), deletes what was orphaned by a crash, starts
 * the writer. keyring is borrowed until meta_close. options may be NULL. */
int meta_open(struct meta **, const char *store, struct keyring *, const struct meta_options *, struct errmsg *);
/* meta_close: commits, syncs, checkpoints; every reference must have been put. Returns the error that kept a commit
 * from being made; accepts NULL. */
int meta_close(struct meta *);
uint64_t meta_block_bytes(const struct meta *);
/* meta_store: the directory it was opened in. */
const char *meta_store(const struct meta *);
/* meta_open_count: how often this store was opened, counted durably before meta_open returns: the high bits of slot
 * sequences come from it, so that none is used twice. */
uint64_t meta_open_count(const struct meta *);

void meta_lock(struct meta *);
void meta_unlock(struct meta *);

/* What the three kinds of node have in common. This room's; do not touch. */
struct meta_node {
	struct hash_node hash;
	struct list link; /* among the changed, or among the clean and unreferenced */
	uint32_t refs, state, weight;
	uint8_t kind;
	bool on_disk; /* SQLite has a row of it, as of the last finished batch */
};

/* ---- inodes -------------------------------------------------------------------------------------------------- */

enum inode_flags {
	INODE_HELD = 1,		 /* DESIGN §2, I9 */
	INODE_AWAITING = 2,	 /* its rules want it abroad, the export policy keeps it */
	INODE_EVER_STORED = 4,	 /* some object of it was ever confirmed */
	INODE_BEYOND = 8,	 /* room may be set aside beyond its size */
	INODE_ASKED = 16,	 /* it has an export request (place/policy.h) */
	INODE_PINNED = 64,	 /* a user wants its local copies to stay */
	INODE_PINNED_RULE = 128, /* the rule that placed it does */
};

/* An inode's part of what its owners hold. */
struct inode_part {
	uint64_t bytes;
	uint32_t uid, gid;
};

struct inode {
	/* this room's; do not touch */
	struct meta_node node;
	struct list blocks; /* its blocks in memory; each holds a reference to the inode */
	/* blocks >= from are gone though SQLite may still show them, until batch is committed: of the last two batches
	 */
	struct {
		uint64_t batch;
		uint32_t from;
	} drop[2];
	uint64_t whole_batch; /* the last batch with a change that no entry of the intent log holds */
	bool counted, rows;   /* part is counted; SQLite may hold rows of it though the inode itself is not on disk */
	uint32_t saved_zone;  /* as in SQLite */
	struct inode_part part, saved; /* in memory; in SQLite */
	struct xattrs *xattrs;

	/* under the meta lock, by whoever changes the file; ino and the type in mode never change */
	uint64_t ino;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	uint32_t nlink; /* 0: an orphan, deleted when meta_inode_delete says so or at the next mount */
	dev_t rdev;
	uint64_t size;	    /* of a directory: unused; of a symlink: of its target */
	uint64_t disk_size; /* the size that commits write: never ahead of the slots that are synced (I3) */
	uint64_t bytes;	    /* allocated, for st_blocks: changed by meta_bytes_add */
	struct timespec atime, mtime, ctime, btime;
	uint32_t flags;		/* inode_flags */
	uint32_t zone_id;	/* placement: the zone it was last placed in; 0: not placed yet */
	char *rule;		/* placement: name of the deciding rule, malloc'd, NULL: the default. meta frees it */
	uint64_t rules_version; /* placement: of the rule set that decided */
	int64_t due_ns;		/* placement: real clock: when conditions on time may decide otherwise; 0: never */
	uint64_t place_gen;	/* raised by whatever may change the placement (I1); not persistent */
	uint64_t version;	/* raised by every change of content, before any of it can be on disk */
	/* intent log: the last entry that has units of the file, and up to which its rows hold what entries have */
	uint64_t intent_last, intent_done;

	/* not persistent. data_lock orders changes of content: shared for reading and writing a range, exclusive for
	 * truncation, punching and sealing; taken before any lock of the cache and before the meta lock. meta only
	 * initialises and destroys it. The counts are core's, under the meta lock. */
	pthread_rwlock_t data_lock;
	uint32_t open_count, writer_count;
	uint64_t lookups;
	void *core; /* core's per-inode state, freed through meta_set_inode_free */
};

/* meta_inode_get: a reference to the inode, loaded. -ENOENT (no such inode, or deleted), -ERR_CORRUPT, -ERR_TAMPERED.
 * Blocks on the local disk on a miss. Call without the meta lock. */
int meta_inode_get(struct meta *, uint64_t ino, struct inode **);
/* meta_inode_peek: the same from memory only, under the meta lock: NULL on a miss. Takes a reference. */
struct inode *meta_inode_peek(struct meta *, uint64_t ino);
void meta_inode_put(struct meta *, struct inode *); /* accepts NULL; without the meta lock */
void meta_inode_ref(struct inode *);		    /* one more; under the meta lock */
/* meta_inode_new: a new inode with a number never used before, nlink 0, times now, referenced, its attributes (none)
 * loaded, so that they can be set in the operation that makes it; not changed until
 * meta_inode_changed. Under the meta lock: NULL when out of memory (or of leased numbers, after a million without a
 * commit). */
struct inode *meta_inode_new(struct meta *, mode_t, uid_t, gid_t, dev_t);
/* meta_inode_changed: the node goes into the present batch. Under the meta lock. meta_inode_written: the same, where
 * nothing changed but times, and content by being written: what an entry of the intent log can hold. */
void meta_inode_changed(struct meta *, struct inode *);
void meta_inode_written(struct meta *, struct inode *);
/* meta_inode_delete: an inode with nlink 0 that nobody can reach: its row, xattrs, blocks and extents go, objects lose
 * a reference (and their deletion is journalled when it was the last). Under the meta lock; the caller still puts its
 * reference. */
void meta_inode_delete(struct meta *, struct inode *);
/* meta_set_inode_free: called, without locks, when a node with a core pointer leaves memory. Once, before use. */
void meta_set_inode_free(struct meta *, void (*fn)(void *core));

/* The intent log (cache/intent.h) holds, until rows do, what was written to a file and synced. Its entries have
 * numbers; a batch stores the last one given when it was cut, so that times and inline bytes of entries up to there are
 * in its rows; units are in the rows up to intent_done. All under the meta lock.
 *
 * meta_intent_fits: an entry is all that a sync of the inode needs: its names and attributes are durable.
 * meta_intent_next: the number of an entry made now. meta_intent_committed: as of when the store was opened, with what
 * a crash left. meta_intent_begin: that is in rows, durably: numbers of this run from now on. meta_inode_settled:
 * nothing of the inode waits to be durable. */
bool meta_intent_fits(const struct meta *, const struct inode *);
uint64_t meta_intent_next(struct meta *);
uint64_t meta_intent_committed(const struct meta *);
void meta_intent_begin(struct meta *);
bool meta_inode_settled(const struct meta *, const struct inode *);

/* ---- dentries ------------------------------------------------------------------------------------------------ */

struct dentry {
	struct meta_node node;
	struct hash_node by_ino;
	struct list dir_link; /* among the changed names of its directory, by id */
	struct meta_dir *dir;

	uint64_t parent;
	uint64_t ino; /* 0: there is no such name (a negative entry) */
	uint64_t id;  /* position in the directory: never reused, larger for later names: readdir's cookie */
	uint8_t type; /* DT_* */
	uint16_t name_len;
	char name[];
};

/* meta_dentry_get: the node for a name, positive or negative, referenced and loaded. Errors and blocking as
 * meta_inode_get; -ENAMETOOLONG. The pointer stays the same node: after taking the lock, look at ino again. */
int meta_dentry_get(struct meta *, uint64_t parent, const char *name, struct dentry **);
void meta_dentry_put(struct meta *, struct dentry *); /* accepts NULL; without the meta lock */
/* meta_dentry_set: makes the name point at ino (0: removes it), with a fresh id. Under the meta lock; marks changed. */
void meta_dentry_set(struct meta *, struct dentry *, uint64_t ino, uint8_t type);

struct dirent_out {
	uint64_t id, ino;
	uint8_t type;
	char name[META_NAME_MAX + 1];
};
/* meta_readdir: up to max entries of a directory with id > after, by id, into out; returns how many (0: the end) or an
 * error. Sees every name that was there all the time, committed or queued. Blocks on the local disk. "." and ".." are
 * the caller's. */
int meta_readdir(struct meta *, uint64_t dir, uint64_t after, struct dirent_out *out, size_t max);
/* meta_dir_empty: 1, 0 or an error; may block. Answer holds only while the caller keeps the directory from changing
 * (core serialises changes of one directory). */
int meta_dir_empty(struct meta *, uint64_t dir);
/* meta_names: every (parent, name) of an inode, committed or queued; fn's non-zero result stops and is returned.
 * Blocks on the local disk. fn is called without locks. */
int meta_names(struct meta *, uint64_t ino, int (*fn)(void *ctx, uint64_t parent, const char *name), void *ctx);
/* meta_path: one path of a directory or file from the root ("/a/b"), through parents, appended to out. For an inode
 * with several names the first found; -ENOENT for an orphan. Blocks on the local disk. */
int meta_path(struct meta *, uint64_t ino, struct buf *out);
/* meta_parent: the directory that holds a directory; 0 for the root, -ENOENT for a removed one. */
int meta_parent(struct meta *, uint64_t dir, uint64_t *parent);

/* ---- extended attributes ---------------------------------------------------------------------------------------- */

/* meta_xattrs_load: reads the inode's attributes into memory, once; needed before the others, which work on memory
 * under the meta lock. Blocks on the local disk. */
int meta_xattrs_load(struct meta *, struct inode *);
/* meta_xattr_find: the value, owned by meta, valid under the lock; NULL if there is none. */
const void *meta_xattr_find(struct inode *, const char *name, size_t *len);
/* meta_xattr_set: copies the value; NULL value removes. Marks changed. 0, -ENOMEM, -ENODATA (removing none),
 * -ENOSPC (more than 1 MiB of attributes on one inode). */
int meta_xattr_set(struct meta *, struct inode *, const char *name, const void *value, size_t len);
/* meta_xattr_list: names, each with its NUL, appended to out. */
void meta_xattr_list(struct inode *, struct buf *out);

/* ---- blocks and extents -------------------------------------------------------------------------------------- */

/* Bytes shared between a node and the batch that commits it: never changed once made, counted. */
struct blob {
	uint32_t refs; /* atomic */
	uint32_t len;
	uint8_t data[];
};
struct blob *blob_new(const void *data, size_t len); /* data may be NULL: to be filled before it is shared */
struct blob *blob_ref(struct blob *);
void blob_put(struct blob *); /* accepts NULL */

/* Where the bytes of a block are on backends: a part of an object's plaintext. What a block has beyond len is zeros.
 * An all-zero object id: on no backend. */
struct extent {
	uint8_t object[OBJECT_ID_BYTES];
	uint64_t offset;
	uint32_t len;
	uint32_t zone_id;
};

enum block_local {
	BLOCK_NONE,   /* nothing of it is in the local store */
	BLOCK_INLINE, /* all of it, in local: the bytes themselves (blocks 0 of files up to META_INLINE_MAX) */
	BLOCK_SLOTS,  /* some or all of it, in a block file; local: the map of slots (cache/map.h), as synced */
};

struct block {
	struct meta_node node;
	struct inode *inode; /* referenced */
	struct list inode_link;

	/* under the meta lock */
	uint64_t ino;
	uint32_t index;
	enum block_local kind;
	struct blob *local; /* what a commit writes; NULL with BLOCK_NONE */
	bool dirty;	    /* local holds what its extent does not: to be uploaded; never evicted (I3) */
	struct extent extent;
	uint64_t version;      /* raised by every change of its content; an upload is for one version */
	uint64_t change_batch; /* the batch in which kind, local, dirty or extent last changed */

	void *cache; /* the cache's in-memory state of this block, freed through meta_set_block_free */
};

/* meta_block_get: the node, loaded; a block that is in no table comes back empty (BLOCK_NONE, no extent). Errors and
 * blocking as meta_inode_get. The inode must be referenced by the caller. */
int meta_block_get(struct meta *, struct inode *, uint32_t index, struct block **);
struct block *meta_block_peek(struct meta *, uint64_t ino, uint32_t index); /* memory only; under the lock */
void meta_block_put(struct meta *, struct block *);			    /* accepts NULL; without the lock */
void meta_block_ref(struct block *);					    /* under the lock */
/* meta_block_changed: after kind, local or dirty were set (the old blob is put, the new one's reference handed over).
 * An empty block (BLOCK_NONE, no extent) loses its row. Under the meta lock. */
void meta_block_changed(struct meta *, struct block *);
/* meta_set_block_free: called, without locks, when a node with a cache pointer leaves memory. Once, before use. */
void meta_set_block_free(struct meta *, void (*fn)(void *cache));
/* meta_blocks_drop: blocks with index >= from are gone: nodes in memory become empty, rows and extents are deleted,
 * objects lose a reference. Under the meta lock. dropped, if not NULL, is called under the lock for each node in
 * memory before it is emptied, for the cache to let go of its files. */
void meta_blocks_drop(struct meta *, struct inode *, uint32_t from, void (*dropped)(struct block *));
/* meta_extent_trim: the extent's len becomes at most len (0: it is dropped and its object loses a reference). Under the
 * meta lock. */
void meta_extent_trim(struct meta *, struct block *, uint32_t len);
/* meta_blocks: indexes of an inode's blocks that have a row, in order from `from`, up to max, with what SQLite knows
 * after everything queued at the call is committed. Returns how many, or an error. Blocks. */
struct block_row {
	uint32_t index;
	enum block_local kind;
	bool dirty;
	bool has_extent;
	struct extent extent;
};
int meta_blocks(struct meta *, uint64_t ino, uint32_t from, struct block_row *out, size_t max);
/* meta_dirty_bytes: how many bytes of a file are in blocks that are not on a backend, as of the last commit. Blocks. */
int64_t meta_dirty_bytes(struct meta *, uint64_t ino);
/* meta_next_data: the first block index >= from that holds anything, committed or queued; *found false: none. For
 * SEEK_DATA and SEEK_HOLE. Blocks. */
int meta_next_data(struct meta *, struct inode *, uint32_t from, uint32_t *index, bool *found);

/* ---- batches ------------------------------------------------------------------------------------------------- */

/* meta_batch: the number of the batch that changes made now will be in. Under the meta lock. */
uint64_t meta_batch(struct meta *);
/* meta_committed, meta_durable: the last batch of which everything is in SQLite; is synced. Atomic; no lock needed. */
uint64_t meta_committed(const struct meta *);
uint64_t meta_durable(const struct meta *);
/* meta_commit: asks for a commit now and waits until everything changed before the call is in SQLite (survives
 * kill -9). meta_sync: and the WAL synced (survives power loss, I3). 0, or the error that made the store read-only.
 * Block on the local disk. */
int meta_commit(struct meta *);
int meta_sync(struct meta *);
/* meta_throttle: waits while too much is changed and not committed. At the start of an operation, without locks.
 * 0 or the store's error (-EIO, -ENOSPC, -EROFS). -ENOSPC already while the disk has just room for what is queued. */
int meta_throttle(struct meta *);
/* meta_has_room: whether a change that may as well be left out can be made now: it would make nobody wait. Under the
 * meta lock. */
bool meta_has_room(const struct meta *);
/* meta_throttle_freeing: the same at the start of an operation that frees space (unlink, rmdir, truncate): it may use
 * the last of the disk and the reserve, so that deletions commit on a full disk. */
int meta_throttle_freeing(struct meta *);

/* ---- records: changes that are not a node's state, applied in the order they were queued ---------------------- */

/* The writer's transaction, with a sticky error: each step is a no-op once one failed. */
struct meta_txn;
struct meta_record {
	struct list link;
	/* writer thread, no locks; called again when the transaction had to be repeated, so it changes nothing in
	 * memory */
	void (*apply)(struct meta_txn *, struct meta_record *);
	void (*free)(struct meta_record *);
};
/* meta_queue: the record becomes meta's until free is called. Under the meta lock. */
void meta_queue(struct meta *, struct meta_record *);
/* meta_txn_exec: one prepared statement (kept by its address: pass literals) with parameters: format letters i
 * (int64_t: cast what is shorter), t (const char *, NULL allowed), b (const void *, NULL allowed, and size_t). */
void meta_txn_exec(struct meta_txn *, const char *sql, const char *format, ...);
/* meta_txn_select_i64: the first column of the first row, dflt if there is none. */
int64_t meta_txn_select_i64(struct meta_txn *, int64_t dflt, const char *sql, const char *format, ...);
void meta_txn_fail(struct meta_txn *, int rc);

/* meta_select: runs a read on a reader connection, after everything queued at the call is committed; row is called for
 * each with a cursor, and its non-zero result stops and is returned. Blocks. The SQL is a literal. */
struct meta_row;
int64_t meta_row_i64(struct meta_row *, int column);
const char *meta_row_text(struct meta_row *, int column); /* NULL for NULL; valid in the callback */
const void *meta_row_blob(struct meta_row *, int column, size_t *len);
int meta_select(
	struct meta *, const char *sql, int (*row)(void *ctx, struct meta_row *), void *ctx, const char *format, ...);

/* ---- objects, replicas, journal ------------------------------------------------------------------------------- */

/* BAD: it was confirmed, and was then found missing or damaged. */
enum replica_state { REPLICA_PENDING, REPLICA_STORED, REPLICA_DELETING, REPLICA_BAD };

/* What is wrong with a bad one; 0: an older version did not write it down. */
enum replica_fault { REPLICA_MISSING = 1, REPLICA_DAMAGED };

struct replica {
	uint32_t backend_id;
	enum replica_state state;
	enum replica_fault fault;
};
struct object_info {
	struct object_ref ref;
	bool deleting;		  /* nothing points at it: all its copies go */
	struct replica *replicas; /* malloc'd; object_info_free */
	size_t replica_count;
};
void object_info_free(struct object_info *);

/* meta_object_begin: records an object about to be sent to these backends and waits until it is committed, so that a
 * crash leaves nothing on a backend that the store does not know (it is deleted at the next mount). members: how many
 * blocks it holds; more than one: a pack. Blocks. */
int meta_object_begin(
	struct meta *, const struct object_ref *, size_t members, const uint32_t *backend_ids, size_t count);
/* meta_object_stored: one replica is confirmed. Under the meta lock. */
void meta_object_stored(struct meta *, const uint8_t id[OBJECT_ID_BYTES], uint32_t backend_id);
/* meta_extent_set: points the block at a confirmed object in place of what it had (which loses a reference); it is no
 * longer dirty. `version` is the block's of which the object is: where the block has another by now, or its inode was
 * deleted, it keeps what it has and the object is discarded (callers look first, since they have more to undo). Under
 * the meta lock, in one operation with meta_object_stored. */
void meta_extent_set(struct meta *, struct block *, const struct extent *, uint64_t version);
/* meta_object_discard: an object that no extent points at is to be deleted from all its backends. unsure: a backend may
 * have all of it and not have answered yet, so that it could appear after its deletion: it is deleted once more,
 * META_UNSURE_S later. What a crash left is as unsure. Under the lock. */
#define META_UNSURE_S 10
void meta_object_discard(struct meta *, const uint8_t id[OBJECT_ID_BYTES], bool unsure);
/* meta_object_get: -ENOENT when unknown. Blocks. */
int meta_object_get(struct meta *, const uint8_t id[OBJECT_ID_BYTES], struct object_info *);

/* meta_object_extents: the blocks that have all of theirs in [from, end) of an object, by offset, as of the last
 * commit. The number, or an error. Blocks. */
struct extent_row {
	uint64_t ino, offset;
	uint32_t index, len;
};
int meta_object_extents(struct meta *, const uint8_t id[OBJECT_ID_BYTES], uint64_t from, uint64_t end,
	struct extent_row *out, size_t max);

/* meta_object_inos: the files with blocks in an object: numbers above after_ino, in order, as of the last commit. The
 * number, or an error. Blocks. */
int meta_object_inos(struct meta *, const uint8_t id[OBJECT_ID_BYTES], uint64_t after_ino, uint64_t *out, size_t max);

/* Copies that are to be made again, or for the first time: objects with fewer sound copies than their zone asks for, or
 * with a bad one. meta_replica_bad: a confirmed copy is missing or damaged (under the meta lock).
 * meta_replica_begin: a copy is about to be sent to one more backend: known, and so deleted with the object, before its
 * first byte leaves; waits until that is committed. -ERR_STALE: the object is being deleted, and nothing is to be sent.
 * meta_object_stored confirms it, as it does one that was bad. */
void meta_replica_bad(struct meta *, const uint8_t id[OBJECT_ID_BYTES], uint32_t backend_id, enum replica_fault);
int meta_replica_begin(struct meta *, const uint8_t id[OBJECT_ID_BYTES], uint32_t backend_id);
/* What a zone asks for, and on which backends copies count: those that the configuration gives it. */
struct meta_mirror {
	uint32_t zone_id;
	unsigned copies;
	const uint32_t *backends;
	size_t count;
};
/* meta_copies_look: a page of objects after number *after is looked through, for every mirror, and *after moves: 1
 * while there may be more, 0 at the end. meta_copies_settle: the same for one object, which leaves the table if it has
 * what it needs. They block until that is committed. meta_shortages: up to max of a zone, numbers above `after`, as of
 * the last commit. meta_shortage_blocks: how many blocks they have, counted up to max; meta_lost_blocks: how many of a
 * zone lie in objects that have a bad copy and no sound one. */
struct shortage {
	int64_t num;
	uint8_t object[OBJECT_ID_BYTES];
};
int meta_copies_look(struct meta *, const struct meta_mirror *, size_t count, int64_t *after);
int meta_copies_settle(struct meta *, const struct meta_mirror *, int64_t num);
int meta_shortages(struct meta *, uint32_t zone_id, int64_t after, struct shortage *out, size_t max);
int64_t meta_shortage_blocks(struct meta *, uint32_t zone_id, int64_t max);
int64_t meta_lost_blocks(struct meta *, uint32_t zone_id, int64_t max);

/* Orders to empty a backend (fs/transfer/move.c); one at a time is under way.
 * meta_move_begin: durable on return; the number is filled in. meta_move_end: so is that it ended, with a receipt or
 * NULL. meta_move_last: the newest order, or the newest with this source; -ENOENT. meta_move_closed: 1 where the newest
 * order with this source is under way or done: it takes no new objects; 0. They block. */
enum move_state { MOVE_UNDER_WAY, MOVE_DONE, MOVE_CANCELLED };
struct move_count {
	uint64_t files, objects, bytes;
};
struct move_order {
	int64_t id;
	uint32_t from, to; /* backends; to 0: the others of the zone */
	enum move_state state;
	uint32_t uid; /* who asked */
	int64_t asked_s, deadline_s, ended_s;
	struct move_count there;     /* when it was asked */
	uint64_t moved, moved_bytes; /* objects with verified copies elsewhere */
	uint64_t deleted;	     /* deletions confirmed on the source */
	char *receipt;		     /* malloc'd, or NULL */
};
int meta_move_begin(struct meta *, struct move_order *);
int meta_move_end(struct meta *, int64_t id, enum move_state, const char *receipt);
int meta_move_last(struct meta *, uint32_t from, struct move_order *);
int meta_move_closed(struct meta *, uint32_t backend_id);
void move_order_free(struct move_order *);
/* meta_move_there: what a backend holds. meta_move_left: the objects and bytes it holds, and the deletions waiting
 * there; nothing at all is known of it where both are 0. They block. */
int meta_move_there(struct meta *, uint32_t backend_id, struct move_count *);
int meta_move_left(struct meta *, uint32_t backend_id, struct move_count *, uint64_t *deletions);
/* meta_replicas: up to max objects in use with a copy on a backend, numbers above `after`, as of the last commit.
 * meta_replica_release: that copy goes, if the others that count suffice: its deletion is journalled. Under the meta
 * lock. */
int meta_replicas(struct meta *, uint32_t backend_id, int64_t after, struct shortage *out, size_t max);
void meta_replica_release(
	struct meta *, const uint8_t id[OBJECT_ID_BYTES], uint32_t backend_id, const struct meta_mirror *);

/* The bytes of a pack's member that goes stay where they are until the pack is rewritten: until every block that points
 * at it was uploaded anew, which takes its last reference. A pack that lost a member is due META_REPACK_LOOK_S later,
 * and at once where those bytes belong to another zone by now.
 * meta_repacks: up to max packs that are due at now_s and can be rewritten (a file with a name points at them), as of
 * the last commit, earliest first; *next_s: when the next is due that is not yet, 0: there is none. meta_repack_later:
 * it is looked at again then, META_REPACK_LATER_S from now at most: what is due later than that is due, since the clock
 * was set back. meta_repack_note: its member of this file never got its extent. meta_is_repack: whether an object is
 * among the packs, due or not: 1, 0, or an error. meta_repack_changes: grows with every member that goes; cheap.
 *
 * meta_remnants: of how many objects that hold bytes of this file, but none that it points at, these are to go now, as
 * of the last commit: of those that are being deleted, and of packs of which something belongs to another zone.
 * meta_remnant_note: an object that never got an extent may hold bytes of it. */
#define META_REPACK_LOOK_S  60
#define META_REPACK_LATER_S 600
struct repack {
	uint8_t object[OBJECT_ID_BYTES];
	int64_t since_s; /* real clock: when its first member went */
	uint64_t live, plain_bytes;
	bool leaving; /* it holds what belongs to another zone */
};
int meta_repacks(struct meta *, int64_t now_s, struct repack *out, size_t max, int64_t *next_s);
/* meta_repack_now: at once, if it lost a member. */
void meta_repack_now(struct meta *, const uint8_t id[OBJECT_ID_BYTES]);			 /* under the meta lock */
void meta_repack_later(struct meta *, const uint8_t id[OBJECT_ID_BYTES], int64_t due_s); /* under the meta lock */
void meta_repack_note(struct meta *, const uint8_t id[OBJECT_ID_BYTES], uint64_t ino);	 /* under the meta lock */
int meta_is_repack(struct meta *, const uint8_t id[OBJECT_ID_BYTES]);
uint64_t meta_repack_changes(const struct meta *);
int meta_remnants(struct meta *, uint64_t ino);
void meta_remnant_note(struct meta *, const uint8_t id[OBJECT_ID_BYTES], uint64_t ino); /* under the meta lock */

/* The deletions that are due: only those whose cause is durable (I4: nothing on disk points at the object any more),
 * and whose time has come.
 * meta_deletions: up to max of them for a backend, oldest first, with sequence > after. meta_deletion_done: confirmed;
 * the replica's row goes, and the object's with its last. Under the meta lock. */
struct deletion {
	int64_t seq;
	uint8_t object[OBJECT_ID_BYTES];
	uint32_t backend_id;
};
int meta_deletions(struct meta *, uint32_t backend_id, int64_t after, struct deletion *out, size_t max);
void meta_deletion_done(struct meta *, const struct deletion *);
/* meta_deletions_due: grows with every deletion that has a durable cause; cheap. */
int64_t meta_deletions_due(struct meta *);
/* meta_deletion_later: when, in seconds of the real clock, the first of those is due that were not yet at since_ns
 * (from before the first meta_deletions of a pass, so that one that came due behind it is not missed); 0: there are
 * none. It may have become due meanwhile. Blocks. */
int64_t meta_deletion_later(struct meta *, uint32_t backend_id, int64_t since_ns);
/* meta_deletion_count: waiting on a backend (0: on any). Blocks. */
int64_t meta_deletion_count(struct meta *, uint32_t backend_id);

/* The inodes that have something to upload or to move, as of the last commit: for the scheduler when a store opens. A
 * file whose placement must be looked at again (after a directory's change or a reload) is entered by
 * meta_pending_add, which is durable with its batch, and leaves by meta_pending_done. */
int meta_pending(struct meta *, uint64_t after_ino, uint64_t *out, size_t max);
void meta_pending_add(struct meta *, uint64_t ino);  /* under the meta lock */
void meta_pending_done(struct meta *, uint64_t ino); /* under the meta lock */
/* meta_due: the files whose placement falls due by the clock (inode.due_ns) up to until_ns, in order, behind `after`,
 * as of the last commit: up to max of them, the number, or an error. *next_ns: when the first after until_ns does;
 * INT64_MAX: none. By an index. Blocks. */
struct meta_due {
	int64_t due_ns; /* real clock */
	uint64_t ino;
};
int meta_due(
	struct meta *, struct meta_due after, int64_t until_ns, struct meta_due *out, size_t max, int64_t *next_ns);
/* meta_pending_add_subtree: every file below a directory (as of the moment the record is applied), in one statement by
 * the writer. dir = META_ROOT_INO: every file. Under the meta lock. */
void meta_pending_add_subtree(struct meta *, uint64_t dir);
/* Whoever loosens something has to see first to it that what was placed at home until then is marked (I9): a pending
 * file is unjudged from when it is entered until meta_pending_judged (under the meta lock). meta_pending_unjudged: up
 * to max committed ones above after_ino, in order; the number, or an error. Blocks. meta_pending_adds: how many
 * additions there were since the mount, so that nobody asks in vain; unjudged ones may be there from before the first.
 */
void meta_pending_judged(struct meta *, uint64_t ino);
int meta_pending_unjudged(struct meta *, uint64_t after_ino, uint64_t *out, size_t max);
uint64_t meta_pending_adds(const struct meta *);

/* ---- zones, backends, settings --------------------------------------------------------------------------------- */

/* meta_backend_id: the number of a backend by name; a new name is entered with its identity and zone, a known one whose
 * identity (config_backend_identity) or zone differs is -ERR_IDENTITY with a sentence that names both (I1). Blocks. */
int meta_backend_id(
	struct meta *, const char *name, const char *identity, uint32_t zone_id, uint32_t *backend_id, struct errmsg *);
/* meta_backend_name: malloc'd, NULL for an unknown number. Blocks. */
char *meta_backend_name(struct meta *, uint32_t backend_id);
int meta_setting_get(struct meta *, const char *key, struct buf *out);		     /* -ENOENT. Blocks */
int meta_setting_set(struct meta *, const char *key, const void *value, size_t len); /* durable on return */

/* ---- what owners hold, and may hold -------------------------------------------------------------------------------
 */

/* Inodes, orphans too until they are deleted, and the bytes that st_blocks shows of them. As of everything committed or
 * queued; kept in memory, one small record for each owner that has a file. Blocks that files share count for each. */
#define META_DIR_BYTES 4096 /* of a directory */
enum owner_kind { OWNER_USER, OWNER_GROUP };
struct meta_usage {
	uint64_t inodes, bytes;
};
void meta_totals(struct meta *, struct meta_usage *);
void meta_usage(struct meta *, enum owner_kind, uint32_t id, struct meta_usage *);

/* meta_quotas_set: what the whole store, and what these owners may hold at most (0: no bound), from now on and instead
 * of what was set before. Whoever holds more keeps it, and gets nothing new. -ENOMEM: all is as before.
 * meta_quota_whole: what the whole store may hold. */
struct meta_quota {
	enum owner_kind kind;
	uint32_t id;
	struct meta_usage max;
};
int meta_quotas_set(struct meta *, const struct meta_usage *whole, const struct meta_quota *, size_t count);
void meta_quota_whole(struct meta *, struct meta_usage *max);
/* Whether there may be one inode more; may this one hold so many bytes more; may it go over to these owners. -EDQUOT
 * where a quota of an owner forbids it, -ENOSPC where the store's bound does. Under the meta lock, in the operation
 * that then does it. Nothing else asks: what commits, frees or moves data is never refused. */
int meta_may_create(struct meta *, mode_t, uid_t, gid_t);
int meta_may_grow(struct meta *, const struct inode *, uint64_t bytes);
int meta_may_chown(struct meta *, const struct inode *, uid_t, gid_t);
/* meta_bytes_add: changes what the file holds; it never falls below nothing. Under the meta lock. */
void meta_bytes_add(struct meta *, struct inode *, int64_t bytes);

#endif
