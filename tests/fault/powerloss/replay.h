/* SPDX-License-Identifier: GPL-3.0-or-later */
/* replay: what a disk may hold after a power cut. */
#ifndef TESTS_FAULT_POWERLOSS_REPLAY_H
#define TESTS_FAULT_POWERLOSS_REPLAY_H

#include "log.h"

#include <stddef.h>

struct replay {
	uint8_t *bytes;
	struct log_entry **entry; /* in order; what follows each is its data */
	size_t count;
	uint64_t ids; /* one above the largest */
};

/* replay_load: reads a log whole; aborts on a broken one. */
void replay_load(struct replay *, const char *path);
void replay_free(struct replay *);
const void *entry_data(const struct log_entry *);

/* replay_cut: turns dir, which holds a copy of what was there before recording began, into what may be left when the
 * power goes after `upto` entries. What was synced is there; of what was not, each write is lost, done or torn by
 * sectors of 512 bytes, each directory keeps a part of its later changes, in order. Files below the names in `exact`
 * (NULL-terminated: clouds, which have a power line of their own) are as of the cut. */
void replay_cut(const struct replay *, size_t upto, const char *dir, const char *const *exact, unsigned *seed);

#endif
