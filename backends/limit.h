/* SPDX-License-Identifier: GPL-3.0-or-later */
/* limit: a rate shared by all requests of a backend in one direction, handed out in small pieces so that a limited
 * transfer flows instead of coming in bursts. */
#ifndef BACKENDS_LIMIT_H
#define BACKENDS_LIMIT_H

#include "config/config.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct limit {
	pthread_mutex_t lock;		     /* of free_at_ns; a leaf */
	uint64_t rate;			     /* bytes a second; 0: no limit */
	int64_t free_at_ns;		     /* monotonic: when all that was reserved is paid for */
	const struct config_backend *config; /* whose limit-hours say when it holds; NULL: always */
};
/* limit_init: config is borrowed, or NULL. */
void limit_init(struct limit *, uint64_t rate, const struct config_backend *config);
void limit_destroy(struct limit *);
/* limit_reserve: reduces *want (> 0) to one piece and returns the monotonic time from which that piece may be moved;
 * a time past means now. Outside the hours in which it holds all of it may. Pieces are served in the order of the
 * calls. Never blocks. */
int64_t limit_reserve(struct limit *, size_t *want);

#endif
