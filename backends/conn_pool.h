/* SPDX-License-Identifier: GPL-3.0-or-later */
/* conn_pool: the places for connections to one backend: at most max of them, handed out in the order of asking, the
 * warmest first. What a place holds is its driver's. */
#ifndef BACKENDS_CONN_POOL_H
#define BACKENDS_CONN_POOL_H

#include "backends/call.h"

struct conn_slot {
	struct list link; /* in the pool's idle list; the pool's lock */
	bool slow;	  /* counted in the pool's slow; the pool's lock */
};

struct conn_pool {
	pthread_mutex_t lock; /* of the rest; before a call's lock */
	struct list idle;     /* of conn_slot */
	struct list waiters;
	unsigned made, max;
	unsigned slow, slow_max; /* slots of calls nobody waits for (not retry_quick), now and at most */
};
void conn_pool_init(struct conn_pool *, unsigned max);
/* conn_pool_free: destroy is called for every slot; none may be taken. */
void conn_pool_free(struct conn_pool *, void (*destroy)(struct conn_slot *));
/* conn_pool_take: a slot for the caller's thread, made by make(ctx) where all are taken and there may be more; waits
 * its turn. -ERR_TIMEOUT (with call->own_wait), the call's cut, -ENOMEM. */
int conn_pool_take(struct conn_pool *, struct call *, const struct config_backend *,
	struct conn_slot *(*make)(void *ctx), void *ctx, struct conn_slot **);
void conn_pool_give(struct conn_pool *, struct conn_slot *);

#endif
