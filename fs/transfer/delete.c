/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Deletions: only those whose cause is durable (I4), each confirmed before it leaves the journal. */
#include "fs/transfer/internal.h"

#include <stdio.h>

#define IDLE_NS (100 * NS_PER_MS) /* between looks into the journal that find nothing */

void delete_wake(struct transfer *t)
{
	for (size_t i = 0; i < t->endpoints.count; i++)
		t->endpoints.v[i]->deleter.wanted = true;
	pthread_cond_broadcast(&t->del);
}

void delete_hurry(struct transfer *t)
{
	for (size_t i = 0; i < t->endpoints.count; i++) {
		struct deleter *d = &t->endpoints.v[i]->deleter;

		if (d->failures == 0)
			d->wait_until_ns = 0;
	}
	delete_wake(t);
}

void transfer_durable(struct transfer *t, uint64_t batch)
{
	int64_t due = meta_deletions_due(t->meta);

	(void)batch;
	pthread_mutex_lock(&t->lock);
	if (t->doomed.count || t->repack_changes != meta_repack_changes(t->meta))
		repack_look(t);
	if (t->deletions_due != due) {
		t->deletions_due = due;
		delete_wake(t);
	}
	pthread_mutex_unlock(&t->lock);
}

/* ---- pages of the journal
 * ------------------------------------------------------------------------------------------------ */

/* A clock that was set back makes nothing wait longer. */
static int64_t later_ns(int64_t due_s)
{
	int64_t left = due_s * NS_PER_S - clock_real_ns(), most = META_UNSURE_S * NS_PER_S;

	return clock_mono_ns() + (left < IDLE_NS ? IDLE_NS : left > most ? most : left);
}

/* Nothing more is due: what was journalled before the page was asked for is confirmed, if nothing is under way. */
static void page_empty(struct transfer *t, struct deleter *d, uint64_t ticket, int64_t due_s)
{
	d->pass_ns = 0;
	d->load_ticket = ticket;
	d->later_ns = 0;
	if (d->failed) {
		/* from the beginning, after a while */
		d->failed = false;
		d->after = 0;
		d->wanted = true;
		d->failures += d->failures < 250;
		d->wait_until_ns = retry_after_ns(d->failures - 1);
		return;
	}
	d->wait_until_ns = clock_mono_ns() + IDLE_NS;
	if (due_s) {
		/* its sequence may lie before the cursor; who waits is told when it is done */
		d->after = 0;
		d->later_ns = later_ns(due_s);
		return;
	}
	if (d->busy == 0)
		d->drained = ticket;
	else
		d->wanted = true;
	pthread_cond_broadcast(&t->changed);
}

static void page_load(struct transfer *t, struct endpoint *s)
{
	struct deletion page[PAGE_BLOCKS];
	struct deleter *d = &s->deleter;
	uint64_t ticket = t->ticket;
	int64_t after = d->after, pass_ns, due_s = 0;
	int n;

	if (!d->pass_ns)
		d->pass_ns = clock_real_ns();
	pass_ns = d->pass_ns;
	d->loading = true;
	d->wanted = false;
	endpoint_ref(s);
	pthread_mutex_unlock(&t->lock);
	n = meta_deletions(t->meta, s->id, after, page, PAGE_BLOCKS);
	if (n == 0 && (due_s = meta_deletion_later(t->meta, s->id, pass_ns)) < 0)
		n = (int)due_s;
	pthread_mutex_lock(&t->lock);
	d->loading = false;
	if (n > 0) {
		memcpy(d->page, page, (size_t)n * sizeof *page);
		d->at = 0;
		d->count = (unsigned)n;
		d->after = page[n - 1].seq;
		d->wanted = true;
		pthread_cond_broadcast(&t->del);
	} else if (n == 0) {
		page_empty(t, d, ticket, due_s);
	} else {
		log_error("transfer: the deletions that are due cannot be read: %s", err_text(n));
		d->wanted = true;
		d->wait_until_ns = clock_mono_ns() + RETRY_MAX_NS;
	}
	pthread_mutex_unlock(&t->lock);
	endpoint_put(t, s);
	pthread_mutex_lock(&t->lock);
}

/* ---- one deletion
 * ----------------------------------------------------------------------------------------------------------- */

static void confirmed(struct transfer *t, const struct endpoint *s, const struct deletion *one)
{
	char name[OBJECT_NAME_BYTES], facts[128];

	object_name(one->object, name);
	snprintf(facts, sizeof facts, "{\"object\":\"%s\",\"backend\":%u,\"zone\":%u}", name + 3, s->id, s->zone_id);
	meta_lock(t->meta);
	meta_deletion_done(t->meta, one);
	audit_append(t->place, "deleted", facts);
	meta_unlock(t->meta);
}

static int delete_one(struct transfer *t, struct endpoint *s, const struct deletion *one)
{
	char name[OBJECT_NAME_BYTES];
	struct flight f;
	int rc;

	pthread_mutex_lock(&t->lock);
	repair_yield(t, one->object);
	pthread_mutex_unlock(&t->lock);
	object_name(one->object, name);
	flight_init(&f, t);
	flight_begin(&f, s);
	rc = backend_del(s->backend, &f.call, name);
	flight_end(&f);
	if (rc == 0)
		confirmed(t, s, one);
	else if (rc != -ERR_STOPPED)
		log_debug("deletion of %s from backend '%s': %s", name, s->backend->config->name,
			errmsg_text(&f.msg, rc));
	flight_free(&f);
	return rc;
}

/* The rest of a page waits with the one that failed: they would fail alike. */
static void delete_done(struct transfer *t, struct endpoint *s, int rc)
{
	struct deleter *d = &s->deleter;

	d->busy--;
	if (rc == 0) {
		t->gone++;
		d->failures = 0;
	} else {
		d->failed = true;
		d->at = d->count = 0;
		d->after = INT64_MAX;
		d->wanted = true;
	}
	if (d->busy == 0)
		pthread_cond_broadcast(&t->del);
	pthread_cond_broadcast(&t->changed);
}

/* ---- the threads
 * --------------------------------------------------------------------------------------------------------------- */

static unsigned share(const struct transfer *t)
{
	size_t n = t->endpoints.count, workers = t->options.delete_workers;

	return workers > n ? (unsigned)(workers - n + 1) : 1;
}

/* Looking into the journal needs no backend; deleting does. */
static bool has_work(const struct transfer *t, struct endpoint *s, int64_t now, int64_t *until)
{
	const struct deleter *d = &s->deleter;
	int64_t when = d->wait_until_ns, retry;

	/* a pass that began while some are under way would find them again */
	if (d->loading || ((d->failed || !d->after) && d->busy))
		return false;
	if (d->at < d->count) {
		if (d->busy >= share(t) || s->backend->config->mode == MODE_READONLY)
			return false;
		when = 0;
		if (backend_is_down(s->backend, &retry))
			when = retry > now ? retry : now + IDLE_NS;
	} else if (!d->wanted) {
		if (!d->later_ns)
			return false;
		when = d->later_ns;
	}
	*until = when > now && when < *until ? when : *until;
	return when <= now;
}

static struct endpoint *take(struct transfer *t, int64_t *until)
{
	int64_t now = clock_mono_ns();

	*until = INT64_MAX;
	for (size_t i = 0; i < t->endpoints.count; i++) {
		struct endpoint *s = t->endpoints.v[(t->delete_turn + i) % t->endpoints.count];

		if (has_work(t, s, now, until)) {
			t->delete_turn += i + 1;
			return s;
		}
	}
	return NULL;
}

static void work(struct transfer *t, struct endpoint *s)
{
	struct deleter *d = &s->deleter;
	struct deletion one;
	int rc;

	if (d->at >= d->count) {
		page_load(t, s);
		return;
	}
	one = d->page[d->at++];
	d->busy++;
	endpoint_ref(s);
	pthread_mutex_unlock(&t->lock);
	rc = delete_one(t, s, &one);
	pthread_mutex_lock(&t->lock);
	delete_done(t, s, rc);
	pthread_mutex_unlock(&t->lock);
	endpoint_put(t, s);
	pthread_mutex_lock(&t->lock);
}

void *delete_main(void *arg)
{
	struct transfer *t = ((struct worker *)arg)->t;
	int64_t until;

	pthread_mutex_lock(&t->lock);
	while (!t->stopping) {
		struct endpoint *s = take(t, &until);

		if (s)
			work(t, s);
		else
			cond_wait_until(&t->del, &t->lock, until);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}
