/* SPDX-License-Identifier: GPL-3.0-or-later */
/* internal: what the files of this room share.
 *
 * Locks, in order:
 *   merge      readers of SQLite and memory together hold it shared, from before their read until they have merged; the
 *              writer holds it alone while it marks a batch's nodes clean: so what a snapshot lacks is marked in
 * memory. lock       the meta lock (meta.h): every node, list and number below it. pool_lock  the idle reader
 * connections; a leaf, never taken with the meta lock held. */
#ifndef FS_META_INTERNAL_H
#define FS_META_INTERNAL_H

#include "base/clock.h"
#include "base/log.h"
#include "fs/meta/meta.h"
#include "fs/meta/vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>

/* Numbers in the intent log: how often the store was opened, and a counter. */
#define INTENT_RUN_SHIFT 40

/* ---- a connection: conn.c ---- */

struct conn {
	sqlite3 *db;
	struct hash stmts; /* by the address of their text */
	struct list link;  /* in the pool, while idle */
};
int conn_open(struct conn **, struct vfs *, const char *path, bool readonly, struct errmsg *);
void conn_close(struct conn *); /* accepts NULL */
/* conn_prepare: a statement ready to be stepped, parameters bound; reset it before the next use. */
int conn_prepare(struct conn *, const char *sql, const char *format, va_list ap, sqlite3_stmt **);
/* conn_error: the error class of what the connection last answered. */
int conn_error(struct conn *, int sqlite_rc);
int conn_script(struct conn *, const char *sql); /* several statements, without parameters */

/* One read on a pooled connection: open, step (1: a row, 0: the end, or an error), close. */
struct meta_row {
	sqlite3_stmt *stmt;
};
struct query {
	struct meta *m;
	struct conn *conn;
	struct meta_row row;
	int rc;
};
void query_open(struct query *, struct meta *, const char *sql, const char *format, ...);
void query_vopen(struct query *, struct meta *, const char *sql, const char *format, va_list ap);
int query_step(struct query *);
int query_close(struct query *); /* the first error, or 0 */
/* query_exact: a blob column of exactly len bytes into out; else the query fails with -ERR_CORRUPT. */
void query_exact(struct query *, int column, void *out, size_t len);
void readers_close(struct meta *);

/* ---- a transaction: txn.c ---- */

struct meta_txn {
	struct meta *m;
	struct conn *conn;
	int rc;
	int64_t changes;      /* rows changed by the last statement */
	bool unreferenced;    /* some object may have lost its last reference */
	bool repacks;	      /* some pack lost a member */
	uint64_t *subtrees;   /* directories to look below once more when the nodes are written */
	size_t subtree_count; /* of them */
};
void txn_begin(struct meta_txn *, struct meta *, struct conn *);
int txn_commit(struct meta_txn *); /* or rolls back; the first error */

/* ---- schema.c ---- */

int schema_migrate(struct conn *, struct errmsg *); /* -ERR_NEWER */

/* ---- nodes: node.c ---- */

enum node_kind { NODE_INODE, NODE_DENTRY, NODE_BLOCK, NODE_KINDS };
enum node_state {
	NODE_LOADING = 1,    /* a placeholder: one thread reads it from SQLite, others wait */
	NODE_FAILED = 2,     /* that read failed; out of the hash */
	NODE_CHANGED = 4,    /* part of the present batch */
	NODE_COMMITTING = 8, /* part of the batch being committed */
	NODE_IDLE = 16,	     /* clean and unreferenced: may be evicted */
	NODE_DELETED = 32,   /* an inode that meta_inode_delete took */
	NODE_DROPPED = 64,   /* a block dropped while it was loading */
	NODE_XATTRS = 128,   /* an inode whose attributes are being read */
};
#define NODE_PINNED (NODE_LOADING | NODE_CHANGED | NODE_COMMITTING)

/* Under the meta lock, all of them. */
void node_init(struct meta_node *, enum node_kind, size_t weight);
void node_ref(struct meta *, struct meta_node *);
void node_unref(struct meta *, struct meta_node *);
void node_changed(struct meta *, struct meta_node *);
void node_unchanged(struct meta *, struct meta_node *);	   /* takes it out of the present batch */
void node_rest(struct meta *, struct meta_node *);	   /* unreferenced and unpinned: to the idle ones, or away */
void node_drop_useless(struct meta *, struct meta_node *); /* idle, and its inode is deleted: away */
void node_weigh(struct meta *, struct meta_node *, size_t weight);
void nodes_trim(struct meta *);
void nodes_free(struct meta *); /* all of them, at close; no lock */
/* node_wait: waits for a referenced placeholder. -EAGAIN when its loading failed: put it and look again. */
int node_wait(struct meta *, struct meta_node *);
/* node_loaded: the placeholder is filled, or failed with rc; wakes those who wait. */
int node_loaded(struct meta *, struct meta_node *, int rc);
/* node_put, nodes_reap: without the meta lock. reap frees what left memory. */
void node_put(struct meta *, struct meta_node *);
void nodes_reap(struct meta *);

/* what node.c asks of the kinds, when a node leaves memory: under the lock, and then without */
void inode_detach(struct meta *, struct inode *);
void inode_free(struct meta *, struct inode *);
void dentry_detach(struct meta *, struct dentry *);
void dentry_free(struct dentry *);
void block_detach(struct meta *, struct block *);
void block_free(struct meta *, struct block *);

/* inode_find: any state but failed; NULL on a miss. */
struct inode *inode_find(struct meta *, uint64_t ino);
/* inode_is_new: nothing that belongs to it can be in SQLite without being in memory too. */
bool inode_is_new(const struct inode *);
struct dentry *dentry_find(struct meta *, uint64_t parent, const char *name, size_t len);
/* dentry_settle: after a commit: a name no longer changed leaves its directory's list. */
void dentry_settle(struct dentry *);
void block_clear(struct meta *, struct block *); /* empties it in memory, takes it out of the present batch */
void blocks_clear(struct meta *, struct inode *, uint32_t from, void (*dropped)(struct block *));
bool block_is_empty(const struct block *);
bool inode_dropped(const struct meta *, const struct inode *, uint32_t index);

/* The changed names of one directory, by id; lives as long as any dentry of it is in memory. */
struct meta_dir {
	struct hash_node hash;
	uint64_t ino;
	size_t refs;
	struct list changed;
};
struct meta_dir *dir_find(struct meta *, uint64_t ino); /* NULL: no name of it is in memory */

/* ---- xattr.c ---- */

struct xattr {
	struct blob *data; /* name, NUL, value */
	size_t name_len;
};
struct xattrs {
	size_t count, cap, bytes;
	bool changed; /* since the last cut */
	struct xattr *v;
};
void xattrs_free(struct xattrs *); /* accepts NULL */
int xattrs_copy(struct xattrs **out, const struct xattrs *);

/* ---- batches: batch.c, apply.c, writer.c ---- */

struct inode_image {
	struct inode *inode;
	struct inode at;	/* its fields when the batch was cut; rule is a copy */
	struct inode_part part; /* what it is counted for in SQLite from this batch on */
	struct xattrs *xattrs;
	bool deleted;
};
struct dentry_image {
	struct dentry *dentry;
	uint64_t ino, id;
	uint8_t type;
};
struct block_image {
	struct block *block;
	struct blob *local;
	enum block_local kind;
	bool dirty;
};
enum lease_kind { LEASE_INODE, LEASE_DENTRY, LEASE_KINDS };

struct batch {
	uint64_t no;
	struct list records;
	struct inode_image *inodes;
	struct dentry_image *dentries;
	struct block_image *blocks;
	size_t inode_count, dentry_count, block_count, weight;
	uint64_t lease[LEASE_KINDS]; /* numbers below it are taken from the day it is durable; 0: as before */
	int64_t journal_seq;	     /* the last one given, once applied */
	uint64_t intent;	     /* the last entry of the intent log before it was cut */
};
/* batch_cut: under the meta lock. Everything changed moves into a new batch: NULL in *out if there is nothing; -ENOMEM,
 * when nothing moved. */
int batch_cut(struct meta *, struct batch **out);
size_t batch_nodes(const struct batch *);
void batch_finish(struct meta *, struct batch *);	/* committed: nodes are marked clean, the batch is freed */
void batch_free(struct batch *);			/* accepts NULL; its nodes are left alone */
void inode_rows_remove(struct meta_txn *, int64_t ino); /* all but blocks and extents */
int batch_apply(struct meta *, struct conn *, struct batch *); /* one transaction */

int writer_start(struct meta *);
void writer_stop(struct meta *); /* commits and syncs what there is, unless it fails */
void writer_wake(struct meta *); /* under the meta lock */
/* meta_poison: nothing is committed any more: a change could not be recorded. Under the meta lock. */
void meta_poison(struct meta *, int rc);
/* A batch that has something in it: until it is in SQLite; until it is durable. */
int wait_committed(struct meta *, uint64_t batch);
int wait_durable(struct meta *, uint64_t batch);

int checkpoint_start(struct meta *);
void checkpoint_stop(struct meta *);
void checkpoint_hint(struct meta *); /* after a commit; under the meta lock */

/* space.c; the writer's thread. The reserve is disk space that is given up so that deletions commit on a full disk.
 * space_look: makes it if there is none, and says in m->full whether there is room for what may be queued. */
void space_look(struct meta *);
void reserve_release(struct meta *);
/* checkpoint_now: so that the log can be written from its start again; what fails is for the next commit to say. */
void checkpoint_now(struct meta *);

/* ---- records of this room: object.c, extent.c ---- */

/* A record that reads must know of while it is queued. */
struct tracked {
	struct meta_record record;
	struct hash_node hash;
	uint8_t key[OBJECT_ID_BYTES];
	uint32_t backend_id;
	int64_t seq;
};
/* tracked_queue, tracked_find: under the meta lock. */
void tracked_queue(struct meta *, const uint8_t key[OBJECT_ID_BYTES], uint32_t backend_id, int64_t seq,
	void (*apply)(struct meta_txn *, struct meta_record *));
bool tracked_find(struct meta *, const uint8_t key[OBJECT_ID_BYTES]);
void tracked_forget(struct meta *, struct meta_record *); /* committed; under the meta lock; ignores other records */
/* mirror_json: the numbers of its backends, as a JSON array; out has mirror_room bytes. */
size_t mirror_room(const struct meta_mirror *);
void mirror_json(const struct meta_mirror *, char *out);
/* move_deleted: a deletion on a backend was confirmed. */
void move_deleted(struct meta_txn *, int64_t object, uint32_t backend_id);
void record_blocks_drop(struct meta *, struct inode *, uint32_t from);
/* object_release: journals the deletion of every object that lost its last reference. */
void object_release(struct meta_txn *);
void blocks_drop_rows(struct meta_txn *, uint64_t ino, uint32_t from, bool deleted);
void pending_below(struct meta_txn *, uint64_t dir);

/* repack_note: before the extents [first, last] of a file go: packs keep their bytes. repack.c */
struct repack_why {
	uint32_t zone_id; /* they were uploaded anew, to there; 0: they are gone */
	bool deleted;	  /* the whole file is */
};
void repack_note(struct meta_txn *, uint64_t ino, uint32_t first, uint32_t last, struct repack_why);
/* repack_moved: the file is placed in another zone: what packs elsewhere still hold of it leaves at once. */
void repack_moved(struct meta_txn *, uint64_t ino, uint32_t zone_id);

/* The SQL that says whether a file has data of another zone than its own: ?1 its number, ?2 its zone. */
#define SQL_MISPLACED                                                                                                  \
	"EXISTS (SELECT 1 FROM extent e JOIN object o ON o.num = e.object WHERE e.ino = ?1 AND o.zone <> ?2)"

/* ---- usage.c ---- */

/* The bytes that a row of inode is counted for. */
#define SQL_INODE_CHARGE "CASE WHEN (mode & 61440) = 16384 THEN 4096 ELSE bytes END"

uint64_t inode_charge(const struct inode *); /* the same in memory */
/* Under the meta lock. usage_count: it is counted as it is now. usage_uncount: it is gone. usage_leave: it leaves
 * memory. */
void usage_count(struct meta *, struct inode *);
void usage_uncount(struct meta *, struct inode *);
void usage_leave(struct meta *, struct inode *);
void usage_write(struct meta_txn *, const struct batch *);
void usage_orphan_gone(struct meta_txn *, int64_t ino); /* while its row is there */
int usage_load(struct meta *);
void accounts_free(struct hash *);

/* ---- the whole ---- */

struct lease {
	uint64_t next, asked; /* the next number; the end that was asked for */
	uint64_t committed;   /* the end that is in SQLite */
	uint64_t end;	      /* the end that is durable: numbers from here on are not given */
};

struct meta {
	struct vfs *vfs;
	char *store, *path, *reserve_path;
	struct meta_options options;
	uint64_t block_bytes, open_count, lease_step;
	void (*inode_core_free)(void *core);
	void (*block_cache_free)(void *cache);

	pthread_rwlock_t merge;
	pthread_mutex_t lock;
	pthread_cond_t loaded;	   /* a placeholder was filled */
	pthread_cond_t work;	   /* the writer should look */
	pthread_cond_t done;	   /* something was committed, synced, or failed */
	pthread_cond_t checkpoint; /* the checkpointer should look */

	/* under lock */
	struct hash nodes[NODE_KINDS], by_ino, dirs, tracked;
	struct list idle, dead; /* dead: out of memory's tables, to be freed without the lock */
	struct list changed;	/* the nodes of the present batch */
	struct list records;	/* its records */
	size_t changed_count[NODE_KINDS];
	size_t record_count, changed_bytes, committing_count, committing_bytes;
	size_t idle_count, idle_bytes;
	uint64_t batch;		   /* the present one */
	int64_t first_change_ns;   /* when it got its first change; 0: it has none */
	int64_t unsynced_since_ns; /* the first change of what is cut and not durable */
	int64_t retry_ns, space_try_ns;
	uint64_t commit_wanted, sync_wanted;
	uint64_t failures, failures_at_stop; /* attempts to commit */
	int error;			     /* of the last attempt, or for good */
	bool for_good, told, stopping;
	bool full; /* only what frees space may go on */
	uint64_t version_floor;
	uint64_t intent;    /* the last number given to an entry of the intent log */
	uint64_t dir_batch; /* the last batch in which a directory's name changed */
	struct lease lease[LEASE_KINDS];
	struct hash usage, quotas;     /* by owner: what it has, what it may have */
	struct meta_usage totals, max; /* of the whole store */
	int64_t journal_durable;       /* deletions up to here have a durable cause */
	uint64_t wal_frames, checkpoint_frames;
	bool checkpoint_busy, checkpoint_stopping, truncate_wanted;

	atomic_uint_least64_t pending_adds, repack_changes;
	atomic_uint_least64_t committed, durable;

	/* the writer thread's */
	struct conn *writer;
	struct batch *flight; /* cut, not yet committed */
	bool reserved;
	int64_t journal_committed;
	uint64_t intent_committed; /* changes before the writer starts, too */
	pthread_t writer_thread, checkpoint_thread;
	bool writer_running, checkpoint_running;

	pthread_mutex_t pool_lock;
	struct list pool;
	size_t pool_count;
};

#endif
