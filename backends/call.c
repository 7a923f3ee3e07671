/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/call.h"

#include "backends/limit.h"
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void call_init(struct call *c)
{
	memset(c, 0, sizeof *c);
	pthread_mutex_init(&c->lock, NULL);
	list_init(&c->conns);
	c->deadline_ns = INT64_MAX;
}

void call_destroy(struct call *c)
{
	pthread_mutex_destroy(&c->lock);
}

void call_cut(struct call *c, int rc)
{
	pthread_mutex_lock(&c->lock);
	if (!c->cut) {
		c->cut = rc;
		list_for_each (it, &c->conns) {
			struct call_hook *hook = list_entry(it, struct call_hook, link);

			hook->cut(hook);
		}
	}
	pthread_mutex_unlock(&c->lock);
}

int call_attach(struct call *c, struct call_hook *hook)
{
	int rc;

	pthread_mutex_lock(&c->lock);
	rc = c->cut;
	if (!rc)
		list_append(&c->conns, &hook->link);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

void call_detach(struct call *c, struct call_hook *hook)
{
	pthread_mutex_lock(&c->lock);
	list_remove(&hook->link);
	pthread_mutex_unlock(&c->lock);
}

int call_state(struct call *c)
{
	int rc;

	pthread_mutex_lock(&c->lock);
	rc = c->cut;
	pthread_mutex_unlock(&c->lock);
	if (!rc && c->deadline_ns != INT64_MAX && clock_mono_ns() >= c->deadline_ns)
		rc = -ERR_TIMEOUT;
	return rc;
}

static void waiter_cut(struct call_hook *hook)
{
	struct call_waiter *w = container_of(hook, struct call_waiter, hook);

	pthread_cond_signal(&w->cond);
}

void call_waiter_init(struct call_waiter *w, struct call *c)
{
	w->call = c;
	w->woken = false;
	w->hook.cut = waiter_cut;
	list_init(&w->hook.link);
	cond_init_mono(&w->cond);
}

void call_waiter_destroy(struct call_waiter *w)
{
	pthread_cond_destroy(&w->cond);
}

int call_wait(struct call_waiter *w, int64_t until_ns)
{
	struct call *c = w->call;
	int64_t end = until_ns < c->deadline_ns ? until_ns : c->deadline_ns;
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	list_append(&c->conns, &w->hook.link);
	while (!c->cut && !w->woken && rc != -ETIMEDOUT)
		rc = cond_wait_until(&w->cond, &c->lock, end);
	list_remove(&w->hook.link);
	if (c->cut)
		rc = c->cut;
	else if (w->woken)
		rc = 0;
	else if (until_ns >= c->deadline_ns)
		rc = -ERR_TIMEOUT;
	pthread_mutex_unlock(&c->lock);
	return rc;
}

void call_wake(struct call_waiter *w)
{
	pthread_mutex_lock(&w->call->lock);
	w->woken = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->call->lock);
}

int call_pause(struct call *c, int64_t until_ns)
{
	struct call_waiter w;
	int rc;

	call_waiter_init(&w, c);
	rc = call_wait(&w, until_ns);
	call_waiter_destroy(&w);
	return rc == -ETIMEDOUT ? 0 : rc;
}

ssize_t call_permit(struct call *c, struct limit *limit, size_t want)
{
	int64_t when = 0;
	int rc;

	if (limit)
		when = limit_reserve(limit, &want);
	if (when > clock_mono_ns()) {
		if ((rc = call_pause(c, when)) == -ERR_TIMEOUT)
			c->own_wait = true;
	} else {
		rc = call_state(c);
	}
	return rc < 0 ? rc : (ssize_t)want;
}

void call_sent(struct call *c, uint64_t bytes)
{
	pthread_mutex_lock(&c->lock);
	c->body_sent += bytes;
	pthread_mutex_unlock(&c->lock);
}

void call_set_peer(struct call *c, const char *address)
{
	pthread_mutex_lock(&c->lock);
	snprintf(c->peer, sizeof c->peer, "%s", address);
	pthread_mutex_unlock(&c->lock);
}
