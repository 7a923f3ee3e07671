/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pool: worker threads over one bounded queue. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/list.h"

#include <stddef.h>

struct pool;
struct pool_task {
	struct list link;		 /* the pool's, while queued */
	void (*run)(struct pool_task *); /* on a worker; may free the task */
};

/* pool_new: threads workers named name (at most 15 bytes); queue_max bounds the tasks waiting, 0 for no bound
 * (for callers that bound their own). 0, -ENOMEM, -EAGAIN. */
int pool_new(struct pool **, const char *name, unsigned threads, size_t queue_max);
/* pool_submit: queues the task, in order; waits while the queue is full. -ERR_STOPPED after pool_stop. The task stays
 * the caller's memory until run is called. */
int pool_submit(struct pool *, struct pool_task *);
/* pool_stop: no new tasks; waits until all queued ones have run. pool_free: stops and frees; accepts NULL. */
void pool_stop(struct pool *);
void pool_free(struct pool *);

#endif
