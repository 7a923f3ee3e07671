/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/transfer/internal.h"

#include <errno.h>
#include <stdlib.h>

static bool kept(const struct endpoints *endpoints, const struct endpoint *s)
{
	for (size_t i = 0; i < endpoints->count; i++)
		if (endpoints->v[i] == s)
			return true;
	return false;
}

/* What is being sent to a backend that is no longer configured so would be stored where nobody looks for it. */
static void retire(struct transfer *t, const struct endpoints *old)
{
	for (size_t i = 0; i < old->count; i++)
		old->v[i]->retired = !kept(&t->endpoints, old->v[i]);
	list_for_each (it, &t->flights) {
		struct flight *f = list_entry(it, struct flight, link);

		if (f->body && f->endpoint->retired)
			call_cut(&f->call, -ERR_REVOKED);
	}
}

/* Every queue starts anew: what it waited for may be there now, and what it holds may have to go elsewhere. */
static void requeue(struct transfer *t)
{
	list_for_each (it, &t->zones) {
		struct zone_queue *q = list_entry(it, struct zone_queue, link);

		q->blocked_until_ns = 0;
		list_for_each_safe (at, &q->passes)
			pass_cancel(t, list_entry(at, struct pass, link));
		list_for_each_safe (at, &q->small)
			pass_cancel(t, list_entry(at, struct pass, link));
	}
}

static void replace_all(struct transfer *t)
{
	meta_lock(t->meta);
	meta_pending_add_subtree(t->meta, META_ROOT_INO);
	meta_unlock(t->meta);
	transfer_subtree(t);
}

struct transfer_change {
	struct transfer *t;
	struct config *config;
	struct endpoints endpoints;
};

void transfer_change_free(struct transfer_change *change)
{
	if (!change)
		return;
	endpoints_close(change->t, &change->endpoints);
	config_put(change->config);
	free(change);
}

int transfer_prepare(struct transfer *t, struct config *config, struct transfer_change **out, struct errmsg *msg)
{
	struct transfer_change *change = calloc(1, sizeof *change);
	int rc;

	*out = NULL;
	if (!change)
		return -ENOMEM;
	change->t = t;
	change->config = config_get(config);
	if ((rc = endpoints_open(t, config, &t->endpoints, &change->endpoints, msg)) < 0 ||
		(rc = drain_mark(t, &change->endpoints)) < 0) {
		transfer_change_free(change);
		return rc;
	}
	*out = change;
	return 0;
}

/* The change goes with what was in force before. */
static void exchange(struct transfer *t, struct transfer_change *change)
{
	struct endpoints endpoints = t->endpoints;
	struct config *config = t->config;

	/* an order may have begun or ended since they were opened */
	for (size_t i = 0; i < endpoints.count; i++)
		for (size_t j = 0; j < change->endpoints.count; j++)
			if (change->endpoints.v[j]->id == endpoints.v[i]->id)
				change->endpoints.v[j]->closed = endpoints.v[i]->closed;
	t->endpoints = change->endpoints;
	t->config = change->config;
	change->endpoints = endpoints;
	change->config = config;
}

void transfer_reload(struct transfer *t, struct transfer_change *change)
{
	bool other_rules = rules_version(change->config) != rules_version(t->config);

	pthread_mutex_lock(&t->lock);
	exchange(t, change);
	retire(t, &change->endpoints);
	requeue(t);
	delete_wake(t);
	mirrors_changed(t);
	pthread_cond_broadcast(&t->upload);
	pthread_cond_signal(&t->sched);
	pthread_mutex_unlock(&t->lock);
	transfer_revalidate(t, 0);
	if (other_rules)
		replace_all(t);
	transfer_change_free(change);
}
