/* SPDX-License-Identifier: GPL-3.0-or-later */
/* file: an open file description, and the read-ahead that follows its reader. */
#ifndef FS_CORE_FILE_H
#define FS_CORE_FILE_H

#include "fs/core/internal.h"

#define READ_AHEAD_MIN	 (256u << 10)
#define READ_AHEAD_MAX	 (32u << 20)
#define READ_AHEAD_GROWS 8
#define READ_REORDER	 (256u << 10) /* a read may come so far before the last */

struct core_file {
	struct inode *inode; /* referenced */
	bool writer;
	bool reads;	  /* reading through it moves the time of access */
	bool accessed;	  /* opening it did */
	struct list link; /* of a writer; core's writers_lock */
	/* Protects the window: where the last read that asked for more began, and how far what was asked for reaches. A
	 * leaf.
	 */
	pthread_mutex_t lock;
	uint64_t last_off, window_end;
	uint32_t ahead;
};

/* file_read_ahead: how many bytes after this read are likely to be wanted next; 0 for a reader that jumps. Called for
 * reads that miss the cache. Never blocks. */
uint32_t file_read_ahead(struct core_file *, uint64_t off, size_t len);
/* file_read_on: called for every read that was answered: how many bytes, from *from on, are to be asked for now, so
 * that a reader in order finds them there; 0: none. Never blocks. */
uint32_t file_read_on(struct core_file *, uint64_t off, size_t len, uint64_t *from);

#endif
