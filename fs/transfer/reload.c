/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/transfer/internal.h"

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
	}
}

static void replace_all(struct transfer *t)
{
	meta_lock(t->meta);
	meta_pending_add_subtree(t->meta, META_ROOT_INO);
	meta_unlock(t->meta);
	transfer_subtree(t);
}

int transfer_reload(struct transfer *t, struct errmsg *msg)
{
	struct config *config = place_config(t->place), *old_config = NULL;
	bool other_rules = rules_version(config) != rules_version(t->config);
	struct endpoints old = { 0 }, new;
	int rc = endpoints_open(t, config, &t->endpoints, &new, msg);

	if (rc == 0) {
		pthread_mutex_lock(&t->lock);
		old = t->endpoints;
		t->endpoints = new;
		old_config = t->config;
		t->config = config_get(config);
		retire(t, &old);
		requeue(t);
		delete_wake(t);
		pthread_cond_broadcast(&t->upload);
		pthread_cond_signal(&t->sched);
		pthread_mutex_unlock(&t->lock);
	}
	/* also when a driver cannot be opened: the rules are in force already */
	transfer_revalidate(t, 0);
	if (other_rules)
		replace_all(t);
	endpoints_close(t, &old);
	config_put(old_config);
	config_put(config);
	return rc;
}
