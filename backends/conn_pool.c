/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/conn_pool.h"

#include <errno.h>

#define RESERVE_FROM 4u

/* a thread in the queue for a slot; link and slot are protected by the pool's lock */
struct conn_waiter {
	struct list link;
	struct call_waiter wait;
	struct conn_slot *slot;
};

void conn_pool_init(struct conn_pool *p, unsigned max)
{
	pthread_mutex_init(&p->lock, NULL);
	list_init(&p->idle);
	list_init(&p->waiters);
	p->made = p->slow = 0;
	p->max = max ? max : 1;
	p->slow_max = p->max >= RESERVE_FROM ? p->max - 1 : p->max;
}

void conn_pool_free(struct conn_pool *p, void (*destroy)(struct conn_slot *))
{
	list_for_each_safe (it, &p->idle)
		destroy(list_entry(it, struct conn_slot, link));
	pthread_mutex_destroy(&p->lock);
}

/* Called with the pool's lock, which it drops while it waits. */
static struct conn_slot *wait_for_slot(struct conn_pool *p, struct call *c, int *rc)
{
	struct conn_waiter w = { .slot = NULL };

	call_waiter_init(&w.wait, c);
	/* who makes a person wait goes before the uploads */
	if (c->retry_quick)
		list_push(&p->waiters, &w.link);
	else
		list_append(&p->waiters, &w.link);
	pthread_mutex_unlock(&p->lock);
	*rc = call_wait(&w.wait, INT64_MAX);
	pthread_mutex_lock(&p->lock);
	list_remove(&w.link);
	call_waiter_destroy(&w.wait);
	return w.slot;
}

/* A slot is kept free for those a person waits for: uploads may hold theirs for minutes. */
static bool may_take(const struct conn_pool *p, const struct call *c)
{
	return c->retry_quick || p->slow < p->slow_max;
}

static void grant(struct conn_pool *p, struct conn_slot *s, const struct call *c)
{
	s->slow = !c->retry_quick;
	p->slow += s->slow;
}

static struct conn_slot *take_or_wait(
	struct conn_pool *p, struct call *c, struct conn_slot *(*make)(void *ctx), void *ctx, int *rc)
{
	struct conn_slot *s = NULL;

	pthread_mutex_lock(&p->lock);
	if (!may_take(p, c)) {
		s = wait_for_slot(p, c, rc);
	} else if (!list_empty(&p->idle)) {
		s = list_first(&p->idle, struct conn_slot, link);
		list_remove(&s->link);
		grant(p, s, c);
	} else if (p->made == p->max) {
		s = wait_for_slot(p, c, rc);
	} else if (!(s = make(ctx))) {
		*rc = -ENOMEM;
	} else {
		list_init(&s->link);
		p->made++;
		grant(p, s, c);
	}
	pthread_mutex_unlock(&p->lock);
	return s;
}

int conn_pool_take(struct conn_pool *p, struct call *c, const struct config_backend *config,
	struct conn_slot *(*make)(void *ctx), void *ctx, struct conn_slot **out)
{
	int rc = 0;

	*out = take_or_wait(p, c, make, ctx, &rc);
	if (rc < 0 && *out) {
		/* granted in the moment in which the call ended */
		conn_pool_give(p, *out);
		*out = NULL;
	}
	if (rc == -ERR_TIMEOUT) {
		c->own_wait = true;
		errmsg_set(c->msg, rc, "backend '%s': all its %u connections were busy until the time was up",
			config->name, p->max);
	}
	return rc;
}

/* the first in the queue who may have it */
static struct conn_waiter *next_waiter(struct conn_pool *p)
{
	list_for_each (it, &p->waiters) {
		struct conn_waiter *w = list_entry(it, struct conn_waiter, link);

		if (may_take(p, w->wait.call))
			return w;
	}
	return NULL;
}

void conn_pool_give(struct conn_pool *p, struct conn_slot *s)
{
	struct conn_waiter *w;

	pthread_mutex_lock(&p->lock);
	p->slow -= s->slow;
	if ((w = next_waiter(p))) {
		list_remove(&w->link);
		w->slot = s;
		grant(p, s, w->wait.call);
		call_wake(&w->wait);
	} else {
		list_push(&p->idle, &s->link);
	}
	pthread_mutex_unlock(&p->lock);
}
