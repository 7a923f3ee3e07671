/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache: the bytes of files in the local store (DESIGN §5.2): what is not on a backend yet, and what was fetched.
 *
 * A block's local bytes are inline in its metadata (block 0 of files up to META_INLINE_MAX) or slots of 4 KiB in a
 * block file of its own, `cache/XX/INO.BLOCK.NUMBER` in the store (slotfile.h). A map says for each unit of the block
 * which slot of the file holds it and under which sequence, or that it is zeros, written (a hole) or not (room set
 * aside by cache_allocate, which counts as allocated); a unit that is in no map is fetched from the block's extent, or
 * is zeros where the extent does not reach.
 *
 * There are two maps: the live one, in memory, and the synced one, in the block's row (struct block.local). A write
 * puts units into free slots (or, small, into dirty pages sealed later) and changes the live map only; cache_sync
 * seals, syncs the block files, and publishes the live maps and inode.disk_size in one operation. A slot that the
 * synced map no longer names is free again when the batch that published it is durable, and not before; a pinned slot
 * when it is unpinned. So no write ever lands on what was synced (I3), recovery has nothing to scan, and truncation
 * needs no barrier: what is in no map does not exist.
 *
 * Where the slot of a dirty block is missing or fails authentication the read is -ERR_TAMPERED or -ERR_CORRUPT, never
 * an older version (I6); of a clean block it is fetched again.
 *
 * Locks: inode.data_lock (see each call), then a block's own mutex, then the cache mutex (usage, LRU, descriptors),
 * then the meta lock. Nothing here touches the network. */
#ifndef FS_CACHE_CACHE_H
#define FS_CACHE_CACHE_H

#include "fs/cache/intentlog.h"
#include "fs/meta/meta.h"

struct cache;

struct cache_options {
	uint64_t bytes_max;	   /* block files and inline bytes on disk */
	uint64_t dirty_memory_max; /* pages written and not sealed; 0: 32 MiB */
	unsigned files_max;	   /* block files kept open; 0: 256 */
	uint64_t intent_bytes;	   /* of the intent log; 0: 16 MiB */
	/* called without locks when room was made after a -ERR_CACHE_FULL; and when dirty bytes pile up so that
	 * uploads should start before the quiet period ends (the transfer room decides what may). Must not block. */
	void (*room)(void *ctx);
	void (*pressure)(void *ctx);
	void *ctx;
};

/* cache_open: the directory is made if missing; files that no block names are removed, in the background or before
 * returning, but never those of dirty blocks. cache_close: syncs everything. */
int cache_open(struct cache **, const char *store, struct keyring *, struct meta *, const struct cache_options *,
	struct errmsg *);
int cache_close(struct cache *);

/* A part of a block that must be fetched before the call can be made again. */
struct cache_need {
	uint32_t index;	   /* block */
	uint32_t off, len; /* bytes in the block, whole units, inside the extent */
};

/* cache_read: [off, off+len) of the file into buf; the caller has cut it to the file's size. Holes are zeros.
 * -ERR_NEED_FETCH with the first missing part in need. data_lock shared. Blocks on the local disk. */
int cache_read(struct cache *, struct inode *, uint64_t off, void *buf, size_t len, struct cache_need *need);

/* cache_next: in one block, the first byte at or after off that is data (or is none), by units of 4 KiB; the block's
 * length where there is none such. data_lock shared. Blocks on the local disk. */
int cache_next(struct cache *, struct inode *, uint32_t index, uint32_t off, bool data, uint32_t *at);

/* cache_write: changes content and, where the write ends past it, inode.size (and disk_size for inline files); raises
 * the versions; marks blocks dirty. Times are core's. A unit written in part whose rest is on a backend only is
 * -ERR_NEED_FETCH (nothing changed yet, or a part: the call is repeated whole). -ERR_CACHE_FULL: too much that is on no
 * backend; wait for `room`. -EDQUOT, -ENOSPC where a quota forbids what the file would grow by. -ENOSPC, -EFBIG, -EIO.
 * data_lock shared; writes to different blocks seal in parallel, and large ones outside the block's mutex. */
int cache_write(struct cache *, struct inode *, uint64_t off, const void *data, size_t len, struct cache_need *need);

/* cache_truncate: sets inode.size; shrinking drops blocks beyond and zeroes the tail of the last unit; growing leaves a
 * hole. cache_punch: [off, off+len) becomes zeros, size unchanged (whole blocks are dropped). Both raise versions. May
 * be -ERR_NEED_FETCH as cache_write. data_lock exclusive. */
int cache_truncate(struct cache *, struct inode *, uint64_t size, struct cache_need *need);
int cache_punch(struct cache *, struct inode *, uint64_t off, uint64_t len, struct cache_need *need);

/* cache_allocate: what of the units of [off, off+len) is a hole counts as allocated from now on, also beyond the size,
 * where a truncation takes it away; content and size stay. -EDQUOT, -ENOSPC as cache_write, with a part done; -EFBIG.
 * Every block is in memory until a cache_sync: of a large range a part at a time. data_lock exclusive. */
int cache_allocate(struct cache *, struct inode *, uint64_t off, uint64_t len);

/* cache_share: a block of one file becomes what a block of another is, len bytes, all it will be, by one more reference
 * to the same object, if that is still the one named; nothing is read, sent or kept locally. 1; 0: it cannot be (some
 * of it is on no backend, or in another object; something of the target is unsynced): the bytes are to be copied.
 * -EDQUOT, -ENOSPC as cache_write. data_lock of the source shared, of the target exclusive. Blocks on the local disk.
 */
int cache_share(struct cache *, struct inode *from, uint32_t from_index, struct inode *to, uint32_t to_index,
	uint32_t len, const uint8_t object[OBJECT_ID_BYTES]);

/* cache_sync: everything written to the inode before the call is sealed, synced and published (with disk_size); the
 * caller then waits with meta_sync for the batch. Returns 0 at once where nothing is unsynced. Takes data_lock itself
 * (exclusive while sealing, not while syncing). cache_sync_all: every inode that has something; fdatasync of each file.
 * cache_is_synced: nothing would be done. */
int cache_sync(struct cache *, struct inode *);
int cache_sync_all(struct cache *);
bool cache_is_synced(struct cache *, struct inode *);

/* cache_fsync: cache_sync, and waits with meta_sync; or, where what changed is little, is content with a record of the
 * intent log (intent.c), which costs one sync of the disk, shared by all who wait, and leaves the rest to the
 * background. done is called once, by this thread or another that syncs, under no lock; the inode stays referenced
 * until then. cache_is_logged: the log has units of the inode that no row has yet: whoever takes content away, but all
 * of it, calls cache_sync first. Under data_lock, exclusive. */
struct cache_fsync {
	void (*done)(struct cache_fsync *, int rc);
	struct intentlog_wait wait; /* the cache's, as the next */
	struct cache *cache;
	struct inode *inode;
};
void cache_fsync(struct cache *, struct inode *, struct cache_fsync *);
bool cache_is_logged(struct cache *, struct inode *);

/* cache_inode_gone: the inode, which nobody can reach, is deleted (meta_inode_delete), its block files and dirty pages
 * with it: in one, for who reads it under data_lock. Takes data_lock itself, alone: what fetches and uploads for it may
 * be under way. Under no lock. */
void cache_inode_gone(struct cache *, struct inode *);

/* What a fetch brought: plaintext of [off, off+len) of the block, whole units (the last may end with the extent), as of
 * the extent given. Units that are local already are left alone. -ERR_STALE when the block's extent is another by now
 * (nothing is kept); -ERR_CACHE_FULL is no failure: nothing is kept either, and the caller serves from its own copy.
 * Called without locks. */
int cache_fill(struct cache *, struct inode *, uint32_t index, const struct extent *, uint32_t off, const void *data,
	uint32_t len);

/* A block as it was at one version, for an upload: its slots are pinned against reuse. */
struct cache_snapshot {
	uint64_t ino, version;
	uint32_t index;
	uint32_t len; /* bytes, cut to the file's size */
	void *pins;   /* the cache's */
};
/* cache_snapshot: -ERR_STALE where the block has changes that are not synced (cache_sync first), -ERR_NEED_FETCH where
 * some units are on a backend only, -ENOENT where the block has nothing (a hole, or dropped). Takes data_lock shared.
 * cache_snapshot_read: all len bytes at once; after I/O errors the snapshot still has to be released. */
int cache_snapshot(struct cache *, struct inode *, uint32_t index, struct cache_snapshot *, struct cache_need *need);
int cache_snapshot_read(struct cache *, struct cache_snapshot *, void *out);
void cache_snapshot_release(struct cache *, struct cache_snapshot *);

/* cache_evict: drops local copies that are clean, whose extent is durable and that nobody uses, least recently used
 * first, until `bytes` are free under the bound (UINT64_MAX: all there are). Returns what it freed. Also done by the
 * cache itself as the bound is reached. */
uint64_t cache_evict(struct cache *, uint64_t bytes);
/* cache_pin: sets INODE_PINNED, or takes it away. cache_is_pinned: whether it is set; *bytes is what the file has in
 * all. cache_pinned: that or INODE_PINNED_RULE changed: the file's local copies are not evicted any more, but for what
 * pins have beyond half of the cache, or are again. Never block; under no lock. */
void cache_pin(struct cache *, struct inode *, bool pin);
bool cache_is_pinned(struct cache *, struct inode *, uint64_t *bytes);
void cache_pinned(struct cache *, struct inode *);
/* cache_durable: tells that batches up to this one are durable: frees slots that waited. Must not block; any thread. */
void cache_durable(struct cache *, uint64_t batch);
/* cache_stored: a block was uploaded and its extent set: whoever waits for room need not wait until something else asks
 * for that to be durable. Must not block; any thread. */
void cache_stored(struct cache *);

/* cache_disk_full: the disk is full, whoever filled it: what is clean goes, in the background. Must not block; any
 * thread. */
void cache_disk_full(struct cache *);

struct cache_status {
	uint64_t bytes_max, bytes, bytes_dirty; /* on disk; of which on no backend, small files in rows too */
	uint64_t bytes_bound;			/* what the disk has for it, if that is less than bytes_max */
	uint64_t hits, misses, evicted;
	uint64_t bytes_pinned, pins_max; /* in block files, of what is pinned; how much of that stays */
};
/* cache_status: blocks on the local disk. cache_pressed: half of what it may take are slots on no backend; never
 * blocks. */
void cache_status(struct cache *, struct cache_status *);
bool cache_pressed(struct cache *);
void cache_set_bytes_max(struct cache *, uint64_t);

#endif
