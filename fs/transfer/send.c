/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One body to all the backends that are to have it, at the same time: as many copies take as long as the slowest of
 * them. Where one fails the object is of no use, and the others are cut. */
#include "fs/transfer/internal.h"

#include "backends/guard.h"

struct copy_send {
	struct sending *all;
	struct flight flight;
	struct endpoint *endpoint;
	pthread_t thread;
	bool apart; /* in a thread of its own */
	int rc;
};

/* Asked before each request with a body (I1): of everything that is in it. Others ask the same beside it: what an item
 * was judged by stays as it is. */
static int check(struct call *call)
{
	struct flight *f = container_of(call, struct flight, call);
	struct transfer *t = f->t;
	int rc = 0;

	pthread_mutex_lock(&t->lock);
	if (t->stopping)
		rc = -ERR_STOPPED;
	else if (f->endpoint->retired || f->endpoint->closed)
		rc = -ERR_REVOKED;
	for (size_t i = 0; rc == 0 && i < f->item_count; i++)
		if (!f->items[i].done && f->foreign && f->items[i].pass->entry->touched)
			rc = -ERR_REVOKED;
	pthread_mutex_unlock(&t->lock);
	for (size_t i = 0; rc == 0 && i < f->item_count; i++) {
		const struct item *item = &f->items[i];
		uint64_t gen = item->gen, epoch = item->epoch;

		if (!item->done)
			rc = place_still(t->place, item->pass->inode, f->zone_id, &gen, &epoch);
	}
	return rc;
}

static void init(struct copy_send *c, struct transfer *t, struct sending *all, struct endpoint *endpoint)
{
	struct flight *f = &c->flight;

	c->all = all;
	c->endpoint = endpoint;
	flight_init(f, t);
	f->body = true;
	f->foreign = all->foreign;
	f->items = all->items;
	f->item_count = all->item_count;
	f->zone_id = f->call.zone_id = all->queue->zone_id;
	f->call.check = check;
}

static void note(struct copy_send *c)
{
	struct transfer *t = c->flight.t;
	char says[512];

	pthread_mutex_lock(&t->lock);
	if (c->rc == 0) {
		endpoint_worked(c->endpoint);
		c->all->queue->blocked_until_ns = 0;
	} else {
		endpoint_failed(c->endpoint, c->rc);
	}
	pthread_mutex_unlock(&t->lock);
	if (c->rc < 0 && c->rc != -ERR_REVOKED && c->rc != -ERR_STOPPED)
		log_warn("upload failed: %s",
			backend_says(c->endpoint->backend, errmsg_text(&c->flight.msg, c->rc), says, sizeof says));
}

static void *put(void *arg)
{
	struct copy_send *c = arg;
	struct sending *all = c->all;
	char name[OBJECT_NAME_BYTES];
	struct source_memory source;

	object_name(all->id, name);
	flight_begin(&c->flight, c->endpoint);
	c->rc = guard_put(
		c->endpoint->backend, &c->flight.call, name, source_memory(&source, all->body->data, all->body->len));
	flight_end(&c->flight);
	note(c);
	if (c->rc < 0)
		for (size_t i = 0; i < all->copy_count; i++)
			call_cut(&all->copies[i].flight.call, -ERR_REVOKED);
	return NULL;
}

/* The last one in the caller's thread; where there can be none for another, before it. */
static void put_all(struct sending *all)
{
	for (size_t i = 0; i + 1 < all->copy_count; i++) {
		struct copy_send *c = &all->copies[i];

		c->apart = pthread_create(&c->thread, NULL, put, c) == 0;
		if (!c->apart)
			put(c);
	}
	put(&all->copies[all->copy_count - 1]);
	for (size_t i = 0; i < all->copy_count; i++)
		if (all->copies[i].apart)
			pthread_join(all->copies[i].thread, NULL);
}

/* What one ended with by itself counts, before what the others were cut with. */
static int result(struct sending *all)
{
	int rc = 0;

	for (size_t i = 0; i < all->copy_count; i++) {
		const struct copy_send *c = &all->copies[i];
		uint64_t sent = c->flight.call.body_sent;

		all->body_sent += sent;
		all->unsure |= c->rc < 0 && sent >= all->body->len;
		if (c->rc < 0 && (rc == 0 || rc == -ERR_REVOKED))
			rc = c->rc;
	}
	return rc;
}

int send_body(struct transfer *t, struct sending *all, const struct targets *targets)
{
	int rc;

	if (!(all->copies = calloc(targets->count, sizeof *all->copies)))
		return -ENOMEM;
	all->copy_count = targets->count;
	for (size_t i = 0; i < targets->count; i++)
		init(&all->copies[i], t, all, targets->v[i]);
	put_all(all);
	rc = result(all);
	for (size_t i = 0; i < targets->count; i++)
		flight_free(&all->copies[i].flight);
	free(all->copies);
	return rc;
}
