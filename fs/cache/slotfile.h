/* SPDX-License-Identifier: GPL-3.0-or-later */
/* slotfile: one block file: slots of SLOT_BYTES, counted references to them, descriptors kept in an LRU.
 *
 * cache/XX/INO.BLOCK.NUMBER under the store, in hexadecimal; XX: the low byte of INO. NUMBER is never used twice, so
 * that a block dropped and written again has another file, and the old one can wait for its deletion.
 *
 * Every holder of a slot (the live map, the synced one, one being published or superseded, a snapshot, a read or a
 * write under way) has a reference to it: a slot without any is free (I3). All calls are thread-safe: a mutex in each
 * file guards its references, a leaf; another the descriptors, a leaf too. */
#ifndef FS_CACHE_SLOTFILE_H
#define FS_CACHE_SLOTFILE_H

#include "base/list.h"
#include "fs/cache/map.h"
#include "fs/crypt/seal.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#define SLOTFILE_NAME_BYTES 64

struct fds {
	pthread_mutex_t lock; /* everything below, and fd and users of every file */
	struct list lru;      /* open files that nobody uses at the moment */
	unsigned open, max;
	int dirfd; /* of cache/ */
};
int fds_init(struct fds *, int dirfd, unsigned max); /* dirfd stays the caller's */
void fds_destroy(struct fds *);			     /* every file was freed */
/* fds_sync_dir: the directory that holds an inode's block files. Blocks. */
int fds_sync_dir(struct fds *, uint64_t ino);
int fds_unlink(struct fds *, uint64_t ino, uint32_t index, uint64_t number);
/* slotfile_parse: the three numbers of a file's name (without its directory). false: not such a name. */
bool slotfile_parse(const char *name, uint64_t *ino, uint32_t *index, uint64_t *number);

struct slotfile {
	struct fds *fds;
	uint64_t ino, number;
	uint32_t index;
	uint32_t refs;	     /* the cache's, under its lock */
	struct entry *entry; /* the cache's */

	/* under fds->lock */
	int fd;
	uint32_t users;
	struct list link;

	pthread_mutex_t lock; /* all below */
	uint16_t *slot;	      /* references, and SLOT_PUNCHED */
	uint32_t cap, end;    /* end: slots the file has, allocated or free */
	uint32_t used, punched;
	bool named;   /* its directory was synced since it was made */
	bool counted; /* the references speak for every slot that the block's row names: its maps are in memory */
	int sync_err; /* a failed fdatasync may have lost pages: nothing of the file is published any more */
};

/* slotfile_new: no I/O; the file itself is made by the first write. slotfile_free accepts NULL. */
int slotfile_new(struct slotfile **, struct fds *, uint64_t ino, uint32_t index, uint64_t number);
void slotfile_free(struct slotfile *);
/* slotfile_measure: of a file of an earlier use: how many slots it has. A missing one: none. */
int slotfile_measure(struct slotfile *);
/* slotfile_named: whether its directory was synced since the file was made. */
bool slotfile_named(struct slotfile *);
void slotfile_set_named(struct slotfile *);
/* slotfile_disk_slots: those that take room on the disk. */
uint32_t slotfile_disk_slots(struct slotfile *);

/* slotfile_alloc: up to `want` consecutive free slots, each with one reference: free ones inside the file first where
 * they are in one run or too many, else at the end. Returns how many, or -ENOMEM, -EFBIG. */
int slotfile_alloc(struct slotfile *, uint32_t want, uint32_t *start);
/* slotfile_ref: -ENOMEM (only for slots beyond the end). */
int slotfile_ref(struct slotfile *, uint32_t start, uint32_t n);
void slotfile_unref(struct slotfile *, uint32_t start, uint32_t n);
int slotfile_ref_map(struct slotfile *, const struct map *);
void slotfile_unref_map(struct slotfile *, const struct map *);

/* slotfile_ahead: n slots are about to be allocated and written: what they share pages with is read from the disk in
 * the background. A hint. slotfile_read, slotfile_write: n consecutive slots, sealed. Errors of a read: -ENOENT,
 * -ERR_CORRUPT (too short), -errno. slotfile_sync: fdatasync; once it failed, always (slotfile_failed). slotfile_start:
 * begins to write what that waits for. slotfile_trim: gives the room of free slots back where that is much. All block.
 */
void slotfile_ahead(struct slotfile *, uint32_t n);
int slotfile_read(struct slotfile *, uint32_t start, uint32_t n, uint8_t *out);
int slotfile_write(struct slotfile *, uint32_t start, uint32_t n, const uint8_t *data);
void slotfile_start(struct slotfile *);
int slotfile_sync(struct slotfile *);
int slotfile_failed(struct slotfile *);
void slotfile_trim(struct slotfile *);
/* slotfile_set_counted: whether a slot without a reference is free. Not so while the block's maps are out of memory but
 * the file is held by others (a snapshot, a map that waits for its batch): then nothing is trimmed. */
void slotfile_set_counted(struct slotfile *, bool counted);

#endif
