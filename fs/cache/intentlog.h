/* SPDX-License-Identifier: GPL-3.0-or-later */
/* intentlog: a file of sealed records, each durable with one fdatasync (FORMAT.md): the file is as long as it will be
 * and written in place, so that no filesystem has anything but data to write. What is put in is opaque here.
 *
 * Those that wait share a record: one of them writes and syncs for all, without another thread, while the next record
 * is gathered, and goes on with that one. The others need no thread to wait in: they are called. The file has two
 * halves: one is written while what the other holds goes where it belongs (intentlog_settle); a record says from which
 * one on they are needed, so that what is older never counts, and a hole in what counts is found. A number is never
 * used twice. Thread-safe; its mutex is a leaf, with no I/O under it. */
#ifndef FS_CACHE_INTENTLOG_H
#define FS_CACHE_INTENTLOG_H

#include "base/err.h"
#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INTENTLOG_NAME	    "intent"
#define INTENTLOG_ENTRY_MAX (320u << 10) /* bytes put in at once */

struct intentlog;

/* intentlog_new: the log in the directory, of so many bytes; the key is the store's cache key, from which the log's own
 * is derived; first: number of the first record to be written. No I/O. intentlog_free accepts NULL. */
int intentlog_new(
	struct intentlog **, int dirfd, const uint8_t *key, const uint8_t *store_id, uint64_t first, uint64_t bytes);
void intentlog_free(struct intentlog *);

/* intentlog_read: what an earlier run left, record by record, in order; fn's error stops and is returned. No file:
 * nothing. -ERR_TAMPERED: one is missing or damaged and a later one is there; -ERR_NEWER. Blocks. */
int intentlog_read(
	struct intentlog *, int (*fn)(void *ctx, const uint8_t *data, size_t len), void *ctx, struct errmsg *);

/* intentlog_prepare: makes the file, if it is not there already, and lets things be put in. Blocks. intentlog_remove:
 * nothing in it is needed any more. */
int intentlog_prepare(struct intentlog *);
bool intentlog_ready(struct intentlog *);
void intentlog_remove(struct intentlog *);

/* intentlog_put: takes a copy; *record: which one it will be part of. -EAGAIN: there is no room, or no log (not
 * ready: not prepared, or it failed). *due: half of the log is full, somebody must settle it. Never blocks.
 */
int intentlog_put(struct intentlog *, const void *data, size_t len, uint64_t *record, bool *due);

/* intentlog_when: done is called once, with 0 when the record is durable, or an error, after which nothing is put in
 * any more; under no lock, by whoever writes records: the caller before this returns, where nobody does, who then goes
 * on as long as somebody waits for the next. Blocks. */
struct intentlog_wait {
	void (*done)(struct intentlog_wait *, int rc);
	struct list link; /* the log's, as the next */
	uint64_t record;
};
void intentlog_when(struct intentlog *, uint64_t record, struct intentlog_wait *);
/* intentlog_last: the record that what was put in last is part of. intentlog_settle: all up to that record is durable
 * where it belongs. */
uint64_t intentlog_last(struct intentlog *);
void intentlog_settle(struct intentlog *, uint64_t record);

#endif
