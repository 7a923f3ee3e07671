/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/http_slot.h"

#include <errno.h>
#include <stdlib.h>

#define RESERVE_FROM 4u

/* a thread in the queue for a slot; link and slot are protected by the pool's lock */
struct pool_waiter {
	struct list link;
	struct call_waiter wait;
	struct http_slot *slot;
};

void http_pool_init(struct http_pool *p, unsigned max)
{
	pthread_mutex_init(&p->lock, NULL);
	list_init(&p->idle);
	list_init(&p->waiters);
	p->made = p->slow = 0;
	p->max = max ? max : 1;
	p->slow_max = p->max >= RESERVE_FROM ? p->max - 1 : p->max;
}

/* closes the connection first, while the slot's close callback can still find its socket */
static void slot_close(struct http_slot *s)
{
	curl_easy_cleanup(s->easy);
	curl_multi_cleanup(s->multi);
	s->easy = NULL;
	s->multi = NULL;
}

void http_pool_free(struct http_pool *p)
{
	list_for_each_safe (it, &p->idle) {
		struct http_slot *s = list_entry(it, struct http_slot, link);

		slot_close(s);
		free(s);
	}
	pthread_mutex_destroy(&p->lock);
}

static int slot_open(struct http_slot *s)
{
	if (s->easy)
		return 0;
	s->multi = curl_multi_init();
	s->easy = curl_easy_init();
	if (!s->multi || !s->easy) {
		slot_close(s);
		return -ENOMEM;
	}
	curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, 1L);
	return 0;
}

static struct http_slot *slot_new(struct http *h)
{
	struct http_slot *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	list_init(&s->link);
	list_init(&s->sockets);
	s->http = h;
	return s;
}

/* Called with the pool's lock, which it drops while it waits. */
static struct http_slot *wait_for_slot(struct http_pool *p, struct call *c, int *rc)
{
	struct pool_waiter w = { .slot = NULL };

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
static bool may_take(const struct http_pool *p, const struct call *c)
{
	return c->retry_quick || p->slow < p->slow_max;
}

static void grant(struct http_pool *p, struct http_slot *s, const struct call *c)
{
	s->slow = !c->retry_quick;
	p->slow += s->slow;
}

static struct http_slot *take_or_wait(struct http *h, struct call *c, int *rc)
{
	struct http_pool *p = &h->pool;
	struct http_slot *s = NULL;

	pthread_mutex_lock(&p->lock);
	if (!may_take(p, c)) {
		s = wait_for_slot(p, c, rc);
	} else if (!list_empty(&p->idle)) {
		s = list_first(&p->idle, struct http_slot, link);
		list_remove(&s->link);
		grant(p, s, c);
	} else if (p->made == p->max) {
		s = wait_for_slot(p, c, rc);
	} else if (!(s = slot_new(h))) {
		*rc = -ENOMEM;
	} else {
		p->made++;
		grant(p, s, c);
	}
	pthread_mutex_unlock(&p->lock);
	return s;
}

int http_pool_take(struct http *h, struct call *c, struct http_slot **out)
{
	int rc = 0;

	*out = take_or_wait(h, c, &rc);
	if (*out && !rc)
		rc = slot_open(*out);
	if (rc < 0 && *out) {
		/* granted in the moment in which the call ended */
		http_pool_give(*out, false);
		*out = NULL;
	}
	if (rc == -ERR_TIMEOUT) {
		c->own_wait = true;
		errmsg_set(c->msg, rc, "backend '%s': all its %u connections were busy until the time was up",
			h->config->name, h->pool.max);
	}
	return rc;
}

/* the first in the queue who may have it */
static struct pool_waiter *next_waiter(struct http_pool *p)
{
	list_for_each (it, &p->waiters) {
		struct pool_waiter *w = list_entry(it, struct pool_waiter, link);

		if (may_take(p, w->wait.call))
			return w;
	}
	return NULL;
}

void http_pool_give(struct http_slot *s, bool discard)
{
	struct http_pool *p = &s->http->pool;
	struct pool_waiter *w;

	if (discard)
		slot_close(s);
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
