/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the zones' copies are to be, and the threads that see to it: after a change of the configuration all objects are
 * looked through for what is short, and what is short is repaired, zone by zone. */
#include "fs/transfer/internal.h"

#define MIRRORS_SETTING "mirrors"
#define SHORTAGE_PAGE	64u
#define BACK_NS		(5 * NS_PER_S)
#define LOST_DOUBLINGS	7u
#define LOST_AGAIN_NS	(3600 * NS_PER_S)

static bool stopping(struct transfer *t)
{
	bool is;

	pthread_mutex_lock(&t->lock);
	is = t->stopping;
	pthread_mutex_unlock(&t->lock);
	return is;
}

/* ---- looking through all objects after the configuration changed
 * ---------------------------------------------------------- */

/* What every zone asks for. */
struct wanted {
	struct meta_mirror *v;
	uint32_t *ids; /* of their backends, one after the other */
	size_t count;
	struct buf text; /* the same, to be remembered */
};

static void wanted_free(struct wanted *w)
{
	free(w->v);
	free(w->ids);
	buf_free(&w->text);
}

static void wanted_zone(struct transfer *t, struct wanted *w, uint32_t zone_id, uint32_t *ids)
{
	struct meta_mirror *m = &w->v[w->count++];

	*m = (struct meta_mirror){ zone_id, zone_copies(t, zone_id), ids, 0 };
	buf_printf(&w->text, "%u:%u:", zone_id, m->copies);
	for (size_t i = 0; i < t->endpoints.count; i++) {
		if (t->endpoints.v[i]->zone_id != zone_id)
			continue;
		ids[m->count++] = t->endpoints.v[i]->id;
		buf_printf(&w->text, "%u,", t->endpoints.v[i]->id);
	}
	buf_str(&w->text, ";");
}

/* With the lock. */
static int wanted_load(struct transfer *t, struct wanted *w)
{
	size_t used = 0;

	*w = (struct wanted){ .v = calloc(t->endpoints.count + 1, sizeof *w->v),
		.ids = calloc(t->endpoints.count + 1, sizeof *w->ids),
		.text = BUF_INIT };
	for (size_t i = 0; w->v && w->ids && i < t->endpoints.count; i++) {
		uint32_t zone_id = t->endpoints.v[i]->zone_id;
		bool known = false;

		for (size_t j = 0; j < w->count; j++)
			known |= w->v[j].zone_id == zone_id;
		if (known)
			continue;
		wanted_zone(t, w, zone_id, w->ids + used);
		used += w->v[w->count - 1].count;
	}
	return w->v && w->ids ? w->text.err : -ENOMEM;
}

static bool remembered(struct transfer *t, const struct wanted *w)
{
	struct buf have = BUF_INIT;
	bool same = meta_setting_get(t->meta, MIRRORS_SETTING, &have) == 0 && have.len == w->text.len &&
		    memcmp(have.data, w->text.data, have.len) == 0;

	buf_free(&have);
	return same;
}

static int look_through(struct transfer *t, const struct wanted *w)
{
	int64_t after = 0;
	int rc = 1;

	while (rc > 0 && !stopping(t))
		rc = meta_copies_look(t->meta, w->v, w->count, &after);
	if (rc > 0)
		return -ERR_STOPPED;
	return rc < 0 ? rc : meta_setting_set(t->meta, MIRRORS_SETTING, w->text.data, w->text.len);
}

/* With the lock, which it drops while it looks. */
static void look(struct transfer *t)
{
	struct wanted w;
	int rc = wanted_load(t, &w);

	t->mirrors_changed = false;
	t->mirrors_looking = true;
	pthread_mutex_unlock(&t->lock);
	if (rc == 0 && !remembered(t, &w))
		rc = look_through(t, &w);
	if (rc < 0 && rc != -ERR_STOPPED)
		log_error("transfer: which objects are short of copies cannot be found out: %s", err_text(rc));
	wanted_free(&w);
	pthread_mutex_lock(&t->lock);
	t->mirrors_looking = false;
	if (rc < 0 && rc != -ERR_STOPPED)
		t->mirrors_changed = true;
	t->mirrors_look_ns = clock_mono_ns() + (rc < 0 ? RETRY_MAX_NS : 0);
	repair_hurry(t);
}

/* ---- repairing what is short
 * ------------------------------------------------------------------------------------------------- */

/* What concerns one object only, and not its backends: the others are not kept from being repaired. */
static bool of_one_object(int rc)
{
	return rc == -ERR_REVOKED || rc == -ERR_STALE || rc == -ERR_TAMPERED || rc == -ERR_LOST || rc == -ERR_CORRUPT ||
	       rc == -ERR_EXISTS;
}

/* No copy is sound: only somebody else can mend that. */
static bool is_lost(int rc)
{
	return rc == -ERR_TAMPERED || rc == -ERR_LOST;
}

/* Of several failures the one by which it is looked at again soonest. */
static int soonest(int have, int rc)
{
	return rc < 0 && (have == 0 || is_lost(have) || !of_one_object(rc)) ? rc : have;
}

/* A page of one zone; without the lock. *after moves: 0 at the end. */
static int repair_page(struct worker *w, uint32_t zone_id, int64_t *after, unsigned *made)
{
	struct shortage page[SHORTAGE_PAGE];
	struct transfer *t = w->t;
	int n = *after ? 0 : meta_commit(t->meta), rc = 0;

	if (n == 0)
		n = meta_shortages(t->meta, zone_id, *after, page, SHORTAGE_PAGE);
	if (n < 0)
		return n;
	for (int i = 0; i < n && !stopping(t); i++) {
		int one = repair_object(w, zone_id, &page[i], made);

		*after = page[i].num;
		rc = soonest(rc, one);
		if (one < 0 && !of_one_object(one))
			break;
	}
	if (n < (int)SHORTAGE_PAGE || (rc < 0 && !of_one_object(rc)))
		*after = 0;
	return rc;
}

/* Whether a backend is back is seen without asking it. What is lost may be much, is read whole where it is damaged, and
 * takes connections that others wait for: a minute later, then less and less. */
static int64_t again_ns(unsigned failures, int rc)
{
	int64_t later = retry_after_ns(failures - 1), now = clock_mono_ns();

	if (is_lost(rc))
		return now + (failures < LOST_DOUBLINGS ? RETRY_MAX_NS << (failures - 1) : LOST_AGAIN_NS);
	return of_one_object(rc) || later < now + BACK_NS ? later : now + BACK_NS;
}

static void repair_zone(struct worker *w, struct zone_queue *q)
{
	struct repairer *r = &q->repairer;
	struct transfer *t = w->t;
	int64_t after = r->after;
	unsigned made = 0;
	int rc;

	r->busy = true;
	r->wanted = false;
	if (!r->after)
		r->asked_ns = INT64_MAX;
	pthread_mutex_unlock(&t->lock);
	rc = repair_page(w, q->zone_id, &after, &made);
	pthread_mutex_lock(&t->lock);
	r->busy = false;
	r->after = after;
	r->made += made;
	r->failed = soonest(r->failed, rc);
	if (after) {
		r->wanted = true;
		return;
	}
	r->failures = r->failed ? r->failures + (r->failures < 250) : 0;
	r->due_ns = r->failed ? again_ns(r->failures, r->failed) : 0;
	r->rest_ns = is_lost(r->failed) ? clock_mono_ns() + BACK_NS : 0;
	if (r->asked_ns < r->due_ns)
		r->due_ns = r->asked_ns > r->rest_ns ? r->asked_ns : r->rest_ns;
	r->wanted |= r->failed < 0;
	r->failed = 0;
	if (!r->wanted && r->made) {
		log_info("zone %u has all its copies: %u were made", q->zone_id, r->made);
		r->made = 0;
	}
}

void repair_hurry(struct transfer *t)
{
	for (size_t i = 0; i < t->endpoints.count; i++) {
		struct zone_queue *q = zone_queue(t, t->endpoints.v[i]->zone_id);

		if (!q)
			continue;
		q->repairer.wanted = true;
		q->repairer.asked_ns = 0;
		q->repairer.due_ns = q->repairer.rest_ns;
	}
	pthread_cond_broadcast(&t->repair);
}

void repair_wake(struct transfer *t, uint32_t zone_id, int64_t within_ns)
{
	struct zone_queue *q;

	pthread_mutex_lock(&t->lock);
	if ((q = zone_queue(t, zone_id))) {
		int64_t soon = clock_mono_ns() + within_ns;

		q->repairer.wanted = true;
		if (q->repairer.due_ns > soon)
			q->repairer.due_ns = soon;
		if (q->repairer.asked_ns > soon)
			q->repairer.asked_ns = soon;
	}
	pthread_cond_broadcast(&t->repair);
	pthread_mutex_unlock(&t->lock);
}

void mirrors_changed(struct transfer *t)
{
	t->mirrors_changed = true;
	t->mirrors_look_ns = 0;
	pthread_cond_broadcast(&t->repair);
}

static struct zone_queue *take(struct transfer *t, int64_t *until)
{
	int64_t now = clock_mono_ns();

	list_for_each (it, &t->zones) {
		struct zone_queue *q = list_entry(it, struct zone_queue, link);
		struct repairer *r = &q->repairer;

		if (!r->wanted || r->busy)
			continue;
		if (r->due_ns <= now)
			return q;
		*until = r->due_ns < *until ? r->due_ns : *until;
	}
	return NULL;
}

void *repair_main(void *arg)
{
	struct worker *w = arg;
	struct transfer *t = w->t;

	pthread_mutex_lock(&t->lock);
	while (!t->stopping) {
		bool look_due = t->mirrors_changed && !t->mirrors_looking;
		int64_t until = look_due ? t->mirrors_look_ns : INT64_MAX;
		struct zone_queue *q;

		if (look_due && until <= clock_mono_ns())
			look(t);
		else if ((q = take(t, &until)))
			repair_zone(w, q);
		else
			cond_wait_until(&t->repair, &t->lock, until);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}
