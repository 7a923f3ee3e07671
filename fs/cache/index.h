/* SPDX-License-Identifier: GPL-3.0-or-later */
/* index: one entry for each block file, in memory: a treap ordered by (inode, block), so that a range of blocks of an
 * inode is found at once, and five lists, one a state, least recently used first. Nothing here blocks or does I/O; the
 * caller holds the cache lock. */
#ifndef FS_CACHE_INDEX_H
#define FS_CACHE_INDEX_H

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

enum entry_state {
	ENTRY_CLEAN,	 /* may be evicted, as far as is known */
	ENTRY_PINNED,	 /* clean, of a file whose local copies are to stay */
	ENTRY_DIRTY,	 /* holds what is on no backend */
	ENTRY_UPLOADING, /* dirty, but a snapshot was taken since: may be clean by now */
	ENTRY_DOOMED,	 /* no block's any more: unlinked when `batch` is durable */
	ENTRY_STATES
};

struct slotfile;

struct entry {
	union {
		struct {
			struct entry *left, *right;
		};
		uint64_t batch; /* doomed */
	};
	struct list link; /* among its state's */
	uint64_t ino, number;
	uint32_t index, priority;
	uint32_t slots; /* on disk */
	uint8_t state;
	struct slotfile *file; /* while in use */
};

struct index {
	struct entry *root;
	struct list lists[ENTRY_STATES];
	uint64_t slots[ENTRY_STATES]; /* on disk, of the entries in each state */
	uint64_t count[ENTRY_STATES];
};

void index_init(struct index *);
void index_free(struct index *); /* and all entries */
/* index_add: an entry with no slots; the caller saw that there is none for the block. NULL: out of memory. */
struct entry *index_add(struct index *, uint64_t ino, uint32_t index, uint64_t number, enum entry_state);
struct entry *index_find(struct index *, uint64_t ino, uint32_t index);
/* index_next: the first entry of the inode with block >= from, or NULL. */
struct entry *index_next(struct index *, uint64_t ino, uint32_t from);
/* index_set: to the tail of a state's list; not for doomed ones. */
void index_set(struct index *, struct entry *, enum entry_state);
void index_account(struct index *, struct entry *, int64_t slots);
/* index_doom: out of the tree. index_remove: frees a doomed entry. */
void index_doom(struct index *, struct entry *, uint64_t batch);
void index_remove(struct index *, struct entry *);
uint64_t index_slots(const struct index *); /* of all states */

#endif
