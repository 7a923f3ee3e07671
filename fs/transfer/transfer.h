/* SPDX-License-Identifier: GPL-3.0-or-later */
/* transfer: bytes between the cache and the backends: uploads, fetches, deletions, moves.
 *
 * A block must be uploaded when it is dirty, or when the object it points at lies in another zone than its file is
 * placed in; so a move is an upload of a clean block (fetched first where it must be) and the deletion of what it
 * replaces. The scheduler keeps the inodes that have something to do in a heap by due time (last touch + settle; open
 * for writing: not before close, or max-delay), evaluates and applies the placement, and gives blocks to the upload
 * workers, a bounded number at a time. What is due is durable by itself: dirty blocks and the pending table.
 *
 * One upload: snapshot, seal in memory under a fresh object id, meta_object_begin, guard_put to each of the zone's
 * `copies` backends, then meta_object_stored and meta_extent_set in one operation. Whatever fails or was cut is
 * discarded: its deletion is journalled.
 *
 * Fetches are asynchronous: no thread of FUSE waits. Requests for one range of an object are joined. Of several copies
 * the one that is expected to answer first is asked, and the next one beside it where that takes unusually long.
 *
 * Copies that are missing or damaged are made again in the background, from the table of shortages (meta.h): an object
 * is stored as long as its extent points at it, however many copies are left; transfer_sync does not wait for more.
 *
 * I1: every transfer of a body is entered in the list of those under way before its placement is checked; a change
 * that may tighten is made first and then calls transfer_revalidate, which cuts (call_cut) what no longer may go before
 * it returns. So either the transfer sees the change or the change sees the transfer.
 *
 * Locks: the transfer mutex (heap, queues, list of transfers under way), then a call's lock; the meta lock is never
 * held while taking it, and no lock is held across the network. */
#ifndef FS_TRANSFER_TRANSFER_H
#define FS_TRANSFER_TRANSFER_H

#include "backends/backend.h"
#include "fs/cache/cache.h"
#include "fs/place/audit.h"
#include "fs/place/place.h"

struct transfer;

struct transfer_options {
	unsigned upload_workers, fetch_workers, delete_workers; /* 0: 6, 8, 4 */
};

/* transfer_open: opens the drivers of every backend of the configuration and checks their identity (meta_backend_id);
 * does not touch the network, so a mount comes up offline. transfer_start: the threads; enters what is pending.
 * transfer_stop: cuts what is under way (it is journalled), joins the threads, ends waiting fetches with -ERR_STOPPED.
 */
int transfer_open(struct transfer **, struct meta *, struct cache *, struct place *, struct keyring *,
	const struct transfer_options *, struct errmsg *);
int transfer_start(struct transfer *);
void transfer_stop(struct transfer *);
void transfer_close(struct transfer *); /* after stop; accepts NULL */
/* transfer_probe: asks every backend once, in parallel; for `init --check` and the start of a mount in the foreground.
 * Returns the first failure with a sentence that names the backend and what to do. Blocks on the network. */
int transfer_probe(struct transfer *, struct errmsg *);
/* A reload is whole or not at all: what can fail comes first. transfer_prepare: after place_check: opens the backends
 * that are new or changed; nothing is in force yet. Then, after place_reload, transfer_reload: unchanged backends are
 * kept, removed ones retired when their requests end; what is under way is revalidated; every file is entered into the
 * pending table for re-placement. Consumes the change; transfer_change_free gives one up (accepts NULL). One at a time.
 */
struct transfer_change;
int transfer_prepare(struct transfer *, struct config *, struct transfer_change **, struct errmsg *);
void transfer_reload(struct transfer *, struct transfer_change *);
void transfer_change_free(struct transfer_change *);

/* transfer_touch: the inode's content, tags, names or open state changed: its quiet period starts again. Cheap (no
 * I/O); without the meta lock. */
void transfer_touch(struct transfer *, uint64_t ino);
/* transfer_durable: batches up to this one are durable: deletions may have become due. Never blocks. */
void transfer_durable(struct transfer *, uint64_t batch);
/* transfer_subtree: a directory's tags or place changed: everything below is looked at again, in the background;
 * durable (meta_pending_add_subtree was called in the operation). Wakes the scheduler. */
void transfer_subtree(struct transfer *);
/* transfer_pressure: the cache fills with dirty data: files placed at home need not wait for the quiet period. */
void transfer_pressure(struct transfer *);
/* transfer_revalidate: cuts every transfer of a body to a foreign zone that the present facts forbid: of one inode (its
 * place_gen was raised), or, ino 0, of any (the epoch was). When it returns no byte of a body that may not leave
 * leaves. Blocks on the local disk, never on the network. */
void transfer_revalidate(struct transfer *, uint64_t ino);

/* transfer_share_begin, transfer_share_end: around the operation by which one more file points at an object. What makes
 * a copy of it knows the files whose bytes it sends as of its beginning (I1): it is cut here, and none begins until the
 * end. Several may share one object at a time. Never blocks. */
struct transfer_share {
	struct list link; /* transfer's */
	uint8_t object[OBJECT_ID_BYTES];
};
void transfer_share_begin(struct transfer *, struct transfer_share *, const uint8_t object[OBJECT_ID_BYTES]);
void transfer_share_end(struct transfer *, struct transfer_share *);

/* A fetch of a part of a block that cache_read or cache_write needs. The struct is the caller's until done is called,
 * exactly once, on a worker, without locks (also before transfer_fetch returns, for instant failures). */
struct fetch {
	struct list link; /* transfer's, like the two bools, which begin as false */
	bool waiting, cancelled;
	struct inode *inode; /* referenced by the caller until done */
	struct cache_need need;
	uint32_t ahead; /* bytes after the need that are likely to be wanted next (read-ahead), across blocks */
	/* When not NULL in done: the cache had no room to keep what was fetched; the plaintext of exactly `need`, the
	 * fetcher's, valid during done. */
	const void *unkept;
	void (*done)(
		struct fetch *, int rc); /* 0: ask the cache again. -ERR_UNREACHABLE, -ERR_TIMEOUT, -ERR_TAMPERED... */
};
void transfer_fetch(struct transfer *, struct fetch *);
/* transfer_fetch_cancel: done comes with -EINTR unless it was called or is about to be. Never blocks. */
void transfer_fetch_cancel(struct transfer *, struct fetch *);
/* transfer_ahead: what is missing of [from, from+len) of a file is fetched in the background, as far as there is room
 * in the queue. Blocks on the local disk only. */
void transfer_ahead(struct transfer *, struct inode *, uint64_t from, uint64_t len);
/* transfer_fetch_wait: the same as a call that blocks, for the control room and tests. -ERR_CACHE_FULL: what came was
 * not kept; the cache, asked again, says whether to wait for room. */
int transfer_fetch_wait(struct transfer *, struct inode *, const struct cache_need *, uint32_t ahead);

/* transfer_sync: waits until everything written before the call (of one inode; ino 0: of all) is on its backends and
 * what it superseded is confirmed deleted (of one inode: its own bytes, whatever else waits); until deadline_ns
 * (monotonic) or *cancel becomes true (set atomically, then transfer_wake). 0; -ETIMEDOUT with what is missing in msg;
 * -ECANCELED. Blocks. */
int transfer_sync(struct transfer *, uint64_t ino, int64_t deadline_ns, const volatile bool *cancel, struct errmsg *);
void transfer_wake(struct transfer *);

/* transfer_publish_head: a signed head of the audit log to the backends of the home zone that are up, if lines were
 * added since the last one; they also go by themselves, once an hour. Until deadline_ns (monotonic). 0 also where
 * nothing was to be done, or transfers were not started; -ERR_BUSY while one goes already. Blocks on the network. */
int transfer_publish_head(struct transfer *, int64_t deadline_ns);
/* transfer_newest_head: the newest that a backend of the home zone has; seq 0: none. -ERR_UNREACHABLE where none of
 * them could be asked. Blocks on the network. */
struct audit_heads {
	unsigned asked, bad; /* backends that answered; objects in the place of a head that are none */
	uint64_t newest;     /* the number of the newest */
	uint64_t published;  /* the line of the last one that the store remembers; 0: it remembers none */
	char why[256];	     /* what the last one that could not be asked said */
};
int transfer_newest_head(struct transfer *, struct audit_head *, struct audit_heads *);
/* transfer_look_head: the same for a store that nobody has mounted: of the backends that the configuration gives the
 * home zone and that are those the store knows. Connections are judged as ever (I2), and are in no log. */
int transfer_look_head(
	struct meta *, struct keyring *, const struct config *, struct audit_head *, struct audit_heads *);

/* transfer_judge: the inode's placement may be another now: it is judged at once, and not after a quiet period. */
void transfer_judge(struct transfer *, uint64_t ino);

/* ---- a backend is emptied: into the others of its zone, or into one; or, where the rules move all of its zone's files
 * away, into a zone's backend: then the files move by their rules, and this watches that and proves the end. One order
 * at a time; it is durable, and goes on at the next mount. From its first second on the backend takes no new objects,
 * and so it stays when it is empty, until the order is cancelled.
 *
 * transfer_move_plan: what an order would do, or why it cannot be: -ENOENT (no such backend), -EINVAL, -ENOSPC (too few
 * others), -EBUSY (another order), -ERR_FROZEN, -ERR_HELD (the rules, or the export policy, keep files there), with a
 * sentence that says what to do. to NULL: the others of the zone. The plan's strings are the configuration's, and
 * referenced: transfer_move_plan_free. transfer_move_begin: the same checks, and the order. transfer_move_cancel: the
 * newest order, or the newest of that backend: it may take new objects again; what was moved stays where it is.
 * They block on the local disk. */
struct transfer_move_plan {
	struct config *config;
	const struct config_backend *from, *to; /* to NULL: the others */
	uint32_t from_id, to_id;
	struct move_count there;
	uint64_t limit_bytes_per_s; /* what the configured limits allow; 0: there are none */
	char *others;		    /* where it goes, by name: "a, b" */
};
int transfer_move_plan(
	struct transfer *, const char *from, const char *to, struct transfer_move_plan *, struct errmsg *);
void transfer_move_plan_free(struct transfer_move_plan *);
int transfer_move_begin(
	struct transfer *, const char *from, const char *to, uint32_t uid, int64_t deadline_s, struct errmsg *);
int transfer_move_cancel(struct transfer *, const char *from, struct errmsg *);
/* transfer_move_status: the newest order; -ENOENT: there never was one. */
struct transfer_move {
	struct move_order order;
	char *from, *to; /* names, malloc'd; to NULL: the others of its zone */
	/* while it is under way */
	struct move_count left;
	uint64_t deletions;
	double bytes_per_s;
	int64_t seconds_left; /* -1: not known yet */
	bool late;
	char trouble[256];
};
int transfer_move_status(struct transfer *, struct transfer_move *);
void transfer_move_free(struct transfer_move *);

enum where_state { WHERE_LOCAL, WHERE_UPLOADING, WHERE_STORED, WHERE_MOVING, WHERE_AWAITING };
const char *where_state_name(enum where_state);
struct where {
	enum where_state state;
	char *zone, *rule; /* malloc'd; rule NULL: the default */
	bool held;	   /* the mark (DESIGN §2) */
	bool kept_back;	   /* its rules want it elsewhere, and the export policy keeps it where it is */
	char *why;	   /* malloc'd sentence: why it is not where its rules want it; or NULL */
	uint64_t request;  /* that approvers are asked, or let it go by; 0: none */
	char **backends;   /* malloc'd names, those that hold confirmed objects of it */
	size_t backend_count;
	char **objects; /* backend object names, in block order */
	uint32_t *object_zone_ids;
	size_t object_count;
	char **peers;	      /* per backend: address last spoken to */
	size_t objects_short; /* of them have fewer sound copies than their zone asks for */
	size_t objects_lost;  /* of them have no sound copy: they were found missing or damaged */
	uint64_t size;
};
int transfer_where(struct transfer *, struct inode *, struct where *);
void where_free(struct where *);

struct transfer_backend_status {
	char *name, *zone, *type;
	enum zone_kind kind;
	enum backend_mode mode;
	bool closed; /* it is being emptied, or was: it takes no new objects */
	struct backend_status status;
	uint64_t deletions_waiting;
};
/* A zone: on how many of its backends new objects can be stored now; how many of its blocks have fewer sound copies
 * than they are to have, and how many of them none since it was found missing or damaged, counted up to
 * TRANSFER_SHORT_MAX. */
#define TRANSFER_SHORT_MAX 100000
struct transfer_zone_status {
	char *name;
	unsigned backends_taking;
	uint64_t blocks_short, blocks_lost;
};
struct transfer_status {
	struct transfer_backend_status *backends; /* malloc'd */
	size_t backend_count;
	struct transfer_zone_status *zones; /* malloc'd: those that have backends */
	size_t zone_count;
	uint64_t files_waiting, bytes_waiting, uploads, fetches;
	int64_t oldest_ns; /* real clock: since when the oldest data not yet on its cloud waits; 0: nothing waits */
	uint64_t upload_bytes_per_s, download_bytes_per_s;
	struct cache_status cache;
};
int transfer_status(struct transfer *, struct transfer_status *);
void transfer_status_free(struct transfer_status *);

#endif
