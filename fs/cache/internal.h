/* SPDX-License-Identifier: GPL-3.0-or-later */
/* internal: what the files of this room share.
 *
 * Locks, in order:
 *   data_lock      of the inode (meta.h): shared for reading, writing and filling, alone for truncating, punching and
 * for the first part of a sync. cnode.publish  of an inode: between a sync that publishes maps and a truncation that
 * takes units out of them. I/O only of single units. cblock.lock    of a block: its live map, pages and file. Local I/O
 * under it only for small writes. Two at once only by trylock (eviction), or of a block nobody else can reach.
 *   cache.lock     index, lists of what is unsynced, counters. No I/O under it.
 *   leaves         a slotfile's and the descriptors' mutexes; the meta lock.
 * meta_*_get and meta_*_put may free blocks (cblock_release): they are called without cache.lock. */
#ifndef FS_CACHE_INTERNAL_H
#define FS_CACHE_INTERNAL_H

#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/spare.h"
#include "fs/cache/cache.h"
#include "fs/cache/index.h"
#include "fs/cache/map.h"
#include "fs/cache/pages.h"
#include "fs/cache/slotfile.h"

#include <stdatomic.h>

#define UNIT	    SLOT_DATA
#define BATCH_UNITS 64	 /* sealed or opened at once: 256 KiB */
#define BATCH_SPARE 16	 /* buffers of so many slots that are kept: 4 MiB */
#define PAGES_SPARE 2048 /* pages that are kept: 8 MiB */

/* A slot's sequence: how often the store was opened, and a counter: none is used twice. */
#define SEQ_RUN_SHIFT 40

struct cache {
	struct meta *meta;
	const uint8_t *key;
	int dirfd;
	uint32_t block_bytes, units; /* of a block */
	struct cache_options options;
	struct fds fds;
	struct intentlog *log;
	atomic_uint_fast64_t seq;
	atomic_uint_fast64_t pages; /* units in dirty pages, of all blocks */
	atomic_uint_fast64_t hits, misses;
	atomic_int_fast64_t disk_left, disk_asked_ns; /* room.c */
	struct spare sealed, clear;		      /* buffers of BATCH_UNITS slots; of one page */

	pthread_mutex_t lock;
	pthread_cond_t wake;   /* the maintenance thread: work, or stop */
	pthread_cond_t synced; /* an inode's sync ended */
	struct index index;
	struct hash nodes;
	struct list active;  /* nodes with something unsynced, oldest first */
	struct list paged;   /* blocks with pages, oldest first */
	struct list loaded;  /* blocks whose map is in memory, least recently used first */
	struct list retired; /* maps that were superseded, by batch */
	struct list
		dropped; /* under the meta lock: blocks that a truncation is dropping; inline_dropped: their bytes */
	uint64_t inline_dropped;
	size_t loaded_count, shells;
	uint64_t bytes_max;
	uint64_t reserved;     /* units promised to operations under way */
	uint64_t inline_bytes; /* in rows, counted anew from them at times */
	int64_t inline_counted_ns, pressure_ns, recount_ns;
	uint64_t evicted;
	int64_t looked_ns; /* when room was looked for last */
	bool gone;	   /* inodes were deleted since the last count of inline bytes */
	bool full;	   /* somebody got -ERR_CACHE_FULL and waits for room() */
	bool pins_over;	   /* pinned files had more than their share at the last look */
	bool shrink;	   /* for the thread: the disk is full */
	bool stop, closed;
	bool durable, hurry;  /* for the thread: a batch became durable; sync everything now */
	bool log_wanted;      /* for the thread: somebody would use the intent log, which is not there */
	int64_t log_asked_ns; /* when it was told so last */
	int sync_error;	      /* last one logged by the thread */
	struct pool *sealers; /* NULL: one processor */
	unsigned sealers_idle;
	pthread_mutex_t sync_all; /* one cache_sync_all at a time; before any data_lock */
	pthread_t thread;
};

/* How a block's live state differs from its row. */
enum change { CHANGE_NONE, CHANGE_FILLED, CHANGE_WRITTEN };

/* What of a block's changes is in no entry of the intent log: pages only, or more than one can hold. */
enum fresh { FRESH_NONE, FRESH_PAGES, FRESH_SLOTS };

/* What the live content of a block is made of. */
enum live { LIVE_SLOTS, LIVE_INLINE };

/* The cache's part of a block: hangs on struct block while that is in memory. */
struct cblock {
	struct cache *c;
	struct block *block;
	uint64_t ino;
	uint32_t index;

	pthread_mutex_t lock;
	bool loaded;	/* the rest is valid; else it is as the row says */
	enum live live; /* LIVE_INLINE: the bytes in the row */
	struct map map; /* the live map; units in pages may have an older slot in it */
	struct slotfile *file;
	struct pages pages;
	struct blob *synced;	  /* the map in the row; changes under cnode.publish too */
	struct capture *captured; /* being published; set here, taken away under cnode.publish */
	uint32_t inflight;	  /* writes and fills between their reservation and their end */
	enum change changed;
	enum fresh fresh; /* of one with CHANGE_WRITTEN */
	bool warned;

	/* under cache.lock */
	struct list unsynced_link, fresh_link, paged_link, loaded_link;
	struct cnode *node; /* while unsynced */
	/* under the meta lock, while a truncation drops it */
	struct list drop_link;
	uint32_t dropped_extent;
};

/* The cache's part of an inode, while something of it is unsynced or an operation needs it. */
struct cnode {
	struct hash_node hash;
	uint64_t ino;
	pthread_mutex_t publish;
	uint64_t captured_size, captured_intent; /* under publish */

	/* under cache.lock */
	uint32_t refs, written; /* written: blocks among the unsynced with CHANGE_WRITTEN */
	struct list unsynced;	/* blocks; each is referenced, and references this */
	struct list fresh;	/* those of them that are not FRESH_NONE */
	struct list link;	/* active: something is unsynced */
	struct inode *inode;	/* referenced while only its size is known to be ahead of disk_size */
	int64_t since_ns;
	bool syncing;
};

/* A block's map on its way to its row. */
struct capture {
	struct list link;
	struct cblock *b;
	struct block *block;   /* referenced */
	struct slotfile *file; /* referenced; the captured map holds its slots */
	struct blob *map;
	struct retired *retired; /* for the one it takes the place of */
	uint32_t slots;
	enum change how;
	bool empty;
	bool dropped; /* the block was, meanwhile; under cnode.publish, as map and empty */
	int failed;   /* to sync what was only fetched */
};

/* A map that a newer one took the place of: its slots are free when the batch is durable. */
struct retired {
	struct list link;
	struct slotfile *file;
	struct blob *map;
	uint64_t batch;
};

/* ---- cnode.c ---- */

/* cnode_get: -ENOMEM. cnode_find: NULL where nothing is unsynced. Both give a reference; cnode_put accepts NULL. */
int cnode_get(struct cache *, uint64_t ino, struct cnode **);
struct cnode *cnode_find(struct cache *, uint64_t ino);
/* cnode_first: the first of its unsynced blocks, the block referenced; NULL: none. */
struct cblock *cnode_first(struct cache *, struct cnode *);
void cnode_put(struct cache *, struct cnode *);
void cnode_put_locked(struct cache *, struct cnode *); /* under cache.lock */
/* cnode_activate, cnode_rest: under cache.lock, when something became unsynced; when that may have ended. */
void cnode_activate(struct cache *, struct cnode *);
void cnode_rest(struct cache *, struct cnode *);
/* cnode_settle_size: after a change of size without data: disk_size follows at once, or with the next sync where
 * something is unsynced (I3). Under no lock but data_lock. */
void cnode_settle_size(struct cache *, struct cnode *, struct inode *);

/* ---- cblock.c ---- */

/* cblock_enter: the block's state, loaded, its mutex taken. cblock_leave. */
int cblock_enter(struct cache *, struct inode *, uint32_t index, struct cblock **);
void cblock_leave(struct cblock *);
struct cblock *cblock_attach(struct cache *, struct block *); /* NULL: out of memory */
void cblock_release(void *cblock);			      /* for meta_set_block_free */
void cblock_unload(struct cblock *);			      /* under its mutex and cache.lock; quiet ones only */
bool cblock_quiet(const struct cblock *);
/* cblock_changed: its live state differs from the row. Under its mutex. cblock_settled: no longer. True: the caller
 * puts the block once more, when it holds no lock. */
void cblock_changed(struct cblock *, struct cnode *, enum change);
/* cblock_fresh: so much of it, or more, is in no entry of the intent log. cblock_logged: all of it is. Under its mutex.
 */
void cblock_fresh(struct cblock *, struct cnode *, enum fresh);
void cblock_logged(struct cblock *);
bool cblock_settled(struct cblock *);
int cblock_attach_file(struct cblock *); /* makes sure that it has one */
/* cblock_unit_set: the unit's slot, if it has one, is no longer the live map's: the unit becomes `to`. */
void cblock_unit_set(struct cblock *, uint32_t unit, struct map_unit to);
uint8_t *cblock_page_add(struct cblock *, uint32_t unit);
void cblock_pages_drop(struct cblock *, uint32_t from, uint32_t n);
/* cblock_empty: forgets all live content; the file is doomed until the batch. Under cnode.publish where there can be a
 * captured map. As cblock_settled. */
bool cblock_empty(struct cblock *, uint64_t batch);
/* cblock_extent: a copy of the block's extent, and whether there is one. */
bool cblock_extent(struct cblock *, struct extent *);
/* cblock_allocated: units that count for st_blocks. */
uint32_t cblock_allocated(const struct cblock *, const struct extent *);
/* cblock_damaged: a read of slots failed with rc. 0: the block is clean, what was bad is dropped: look again. Else what
 * to answer. */
int cblock_damaged(struct cblock *, struct cnode *, uint32_t unit, struct map_unit was, int rc);

/* ---- seal.c: between units and slots ---- */

uint64_t seq_take(struct cache *, uint32_t n);
/* cblock_seal_pages: all pages into slots. Under the block's mutex; blocks on the disk. */
int cblock_seal_pages(struct cblock *);
/* slots_write: plain into slots of the file that were allocated: `n` from `start`. Without the mutex as well. */
int slots_write(
	struct cache *, struct slotfile *, uint32_t start, uint32_t n, const uint8_t *plain, const struct slot_ad *);
/* unit_read: one unit's 4,096 bytes. */
int unit_read(struct cblock *, uint32_t unit, struct map_unit, uint8_t *out);

/* ---- holes.c ---- */

/* What stays of a block whose local copy goes: its zeros. */
struct holes {
	struct map map;
	struct blob *row; /* NULL: there are none */
};

/* holes_publish: before the live map is published: holes become zeros. holes_left: of the row's map; an error for a row
 * that is damaged or too much for the memory. Both under the block's mutex. */
void holes_publish(struct cblock *);
int holes_left(struct cblock *, struct holes *);
void holes_free(struct holes *);

/* ---- room.c ---- */

/* The bound is the configured one, or less where the disk has less. room_reserve: units that are about to take slots or
 * pages; may evict. -ERR_CACHE_FULL: uploads may make room; -ENOSPC (not for a fill): nothing of the cache's would. */
int room_reserve(struct cache *, uint32_t units, bool fill);
uint64_t room_max(struct cache *);		 /* the bound now, bytes */
bool room_lacks(struct cache *, uint64_t bytes); /* so many more do not fit under it */
void room_release(struct cache *, uint32_t units);
uint64_t room_used(struct cache *);		      /* bytes, under cache.lock */
void room_account(struct cache *, struct slotfile *); /* the file's size on disk may have changed */
void room_inline(struct cache *, int64_t delta);

/* ---- files.c: entries, files, what waits for a batch ---- */

/* files_get: *lost is set where the file on the disk has fewer slots than `slots`. */
int files_get(
	struct cache *, uint64_t ino, uint32_t index, uint64_t number, uint32_t slots, struct slotfile **, bool *lost);
int files_new(struct cache *, uint64_t ino, uint32_t index, enum entry_state, struct slotfile **);
void files_put(struct cache *, struct slotfile *); /* accepts NULL */
void files_put_locked(struct cache *, struct slotfile *);
void files_ref(struct cache *, struct slotfile *);
void files_retire(struct cache *, struct retired *); /* under cache.lock; batches in order */
/* files_reap: frees slots and unlinks files whose batch is durable. True: there were any. Blocks. */
bool files_reap(struct cache *);

/* ---- the rest ---- */

void cache_destroy(struct cache *); /* the memory of a closed one, when its last block left memory */

struct blob *map_to_blob(const struct map *);
int map_from_blob(struct cache *, const struct blob *, struct map *);

/* inline.c */
bool inline_fits(struct cblock *, struct inode *, uint32_t off, uint32_t len);
int inline_write(struct cblock *, struct inode *, uint32_t off, const void *data, uint32_t len);
uint64_t inline_allocated(const struct cblock *); /* what its row counts for */
/* inline_to_slots: the row's bytes into pages; live only. */
int inline_to_slots(struct cblock *);
/* inline_copy: the row's bytes, zeros beyond them. Under the block's mutex. */
void inline_copy(struct cblock *, uint32_t off, uint8_t *out, uint32_t len);
bool inline_fill_fits(struct cblock *, struct inode *, const struct extent *, uint32_t off, uint32_t len);
int inline_fill(struct cblock *, const struct extent *, const void *data);
uint64_t inline_evict(struct cache *, uint64_t bytes);
void inline_recount(struct cache *);
/* inline_dirty: bytes in rows that are on no backend; 0 where the metadata cannot say. Blocks. */
uint64_t inline_dirty(struct cache *);

/* write.c */
/* write_tail_fix: before the size grows from `size`: zeroes what a crash may have left in the last unit beyond it. */
int write_tail_fix(struct cache *, struct cnode *, struct inode *, uint64_t size);
/* write_page: a page of the unit, filled with what the unit holds. -ERR_NEED_FETCH: it was damaged, and is dropped. */
int write_page(struct cblock *, struct cnode *, struct inode *, uint32_t unit, struct cache_need *, uint8_t **page);
/* write_load: pages of the units that [off, end) covers in part, before anything is marked as changed. */
int write_load(struct cblock *, struct cnode *, struct inode *, uint32_t off, uint32_t end, struct cache_need *);
void need_unit(struct cache_need *, uint32_t index, uint32_t unit, const struct extent *);

/* read.c */
/* block_missing: the first part of units [from, to) that only the extent has. */
bool block_missing(const struct cblock *, const struct extent *, uint32_t from, uint32_t to, struct cache_need *);

/* truncate.c */
uint64_t file_size_max(const struct cache *);
/* cblock_forget: drops what is live, captured and synced of a block whose row was emptied in the batch. Under publish
 * and its mutex. As cblock_settled. */
bool cblock_forget(struct cblock *, uint64_t batch);
/* entries_doom: the files of blocks from `from` on. */
void entries_doom(struct cache *, uint64_t ino, uint32_t from, uint64_t batch);
/* bytes_settle: the file counts for so many bytes less, and for no more than its size allows, unless room is set aside
 * beyond it. */
void bytes_settle(struct cache *, struct inode *, uint64_t size, int64_t freed);

/* unit_is_hole: it counts for nothing yet. write_growth: by how many bytes the file grows when units [first, last] are
 * allocated. write_charge: they count from now on; -EDQUOT, -ENOSPC where a quota forbids it. */
bool unit_is_hole(const struct cblock *, const struct extent *, uint32_t unit);
int64_t write_growth(struct cblock *, const struct extent *, uint32_t first, uint32_t last);
int write_charge(struct cache *, struct inode *, int64_t bytes);
/* write_anyway: cache_write without asking for room. */
int write_anyway(struct cache *, struct inode *, uint64_t off, const void *data, size_t len, struct cache_need *);

/* intent.c */
/* intent_sync: makes what was written durable by an entry of the intent log; 0: and tells the waiter. -EAGAIN or
 * another error: it does not, and has to be synced and published. */
int intent_sync(struct cache *, struct inode *, struct intentlog_wait *);
/* intent_replay: what an earlier run left in the log goes where it belongs, durably. Before the thread starts. */
int intent_replay(struct cache *, struct errmsg *);

/* sync.c: what is unsynced since before */
int sync_older(struct cache *, int64_t than_ns);

/* pin.c */
/* pin_state: of what is clean of the file. Under the cache's lock or none; takes the meta lock. pin_keeps_inline:
 * whether its row stays. Under no lock. pin_trim: takes from pinned files what they have beyond their share. Under the
 * lock. */
enum entry_state pin_state(struct cache *, const struct inode *);
bool pin_keeps_inline(struct cache *, const struct inode *);
void pin_trim(struct cache *);

/* evict.c */
/* evict_one: what it freed. evict_look_again: whether an upload turned out to have made something clean. */
uint64_t evict_one(struct cache *, uint64_t ino, uint32_t index, bool inline_too);
bool evict_look_again(struct cache *);

/* sealers.c */
/* seal_together: the pages of all of the inode's unsynced blocks, on several processors, where they are in several
 * blocks. What fails is left for who captures the block. Under data_lock alone, as a sync's first part. */
void seal_together(struct cache *, struct cnode *);
int sealers_start(struct cache *);
void sealers_stop(struct cache *); /* nobody syncs any more */

/* thread.c */
int thread_start(struct cache *);
void thread_stop(struct cache *);

#endif
