/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A backend is emptied: what lies there is found by the index of copies, a page at a time, and leaves object by object
 * (repair.c), by a few workers; what files are written to goes elsewhere from the first second. When nothing is known
 * to be there any more, it is listed, and the receipt is written (proof.c). All that has to be remembered is the order:
 * a mount goes on where the last one was.
 *
 * Between zones nothing is copied here: files move by their rules (I1, I9), and this only waits until they have. */
#include "fs/transfer/internal.h"

#include <stdio.h>

#define WAIT_NS	       NS_PER_S /* for what others do: deletions, moves by the rules */
#define BACK_NS	       (5 * NS_PER_S)
#define COUNT_NS       NS_PER_S
#define COUNT_SHARE    20 /* counting takes no more than this part of the time */
#define RATE_WINDOW_NS (30 * NS_PER_S)

/* ---- the order
 * ---------------------------------------------------------------------------------------------------------- */

int drain_mark(struct transfer *t, struct endpoints *endpoints)
{
	for (size_t i = 0; i < endpoints->count; i++) {
		int rc = meta_move_closed(t->meta, endpoints->v[i]->id);

		if (rc < 0)
			return rc;
		pthread_mutex_lock(&t->lock);
		endpoints->v[i]->closed = rc > 0;
		pthread_mutex_unlock(&t->lock);
	}
	return 0;
}

/* The source as it is configured now; one that no longer is waits until it is again. */
static bool from_find(struct transfer *t)
{
	struct drain *d = &t->drain;
	const struct endpoint *from = endpoint_by_id(t, d->order.from);
	const struct endpoint *to = d->order.to ? endpoint_by_id(t, d->order.to) : NULL;

	if (!from) {
		snprintf(d->trouble, TROUBLE_BYTES, "the backend is no longer in the configuration");
		return false;
	}
	d->zone_id = from->zone_id;
	d->across = to && to->zone_id != from->zone_id;
	return true;
}

static void begin(struct transfer *t, const struct move_order *order)
{
	struct drain *d = &t->drain;

	/* the workers may still be at the one before */
	*d = (struct drain){ .order = *order, .left = order->there, .busy = d->busy, .looking = d->looking };
	d->order.receipt = NULL;
}

int drain_load(struct transfer *t)
{
	struct move_order last;
	int rc = drain_mark(t, &t->endpoints);

	if (rc == 0)
		rc = meta_move_last(t->meta, 0, &last);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	pthread_mutex_lock(&t->lock);
	if (last.state == MOVE_UNDER_WAY)
		begin(t, &last);
	pthread_mutex_unlock(&t->lock);
	move_order_free(&last);
	return 0;
}

/* What is being sent there is cut: it is sent elsewhere. */
void drain_begin(struct transfer *t, const struct move_order *order)
{
	struct endpoint *from = endpoint_by_id(t, order->from);

	if (from)
		from->closed = true;
	list_for_each (it, &t->flights) {
		struct flight *f = list_entry(it, struct flight, link);

		if (f->body && f->endpoint == from)
			call_cut(&f->call, -ERR_REVOKED);
	}
	begin(t, order);
	pthread_cond_broadcast(&t->draining);
	pthread_cond_broadcast(&t->upload);
}

void drain_over(struct transfer *t)
{
	t->drain.order.id = 0;
	pthread_cond_broadcast(&t->draining);
	pthread_cond_broadcast(&t->changed);
}

/* ---- what holds it up
 * --------------------------------------------------------------------------------------------------- */

/* What a backend said last, if that was no answer. */
static bool says(struct endpoint *s, char *out)
{
	struct backend_status status;
	char sentence[512];

	backend_status(s->backend, &status);
	if (!status.last_error)
		return false;
	snprintf(out, TROUBLE_BYTES, "%s", backend_says(s->backend, status.last_message, sentence, sizeof sentence));
	return true;
}

/* The source first: without it nothing moves. With the lock. */
static void trouble_note(struct transfer *t, int rc)
{
	struct drain *d = &t->drain;
	struct endpoint *from = endpoint_by_id(t, d->order.from);

	if (from && backend_is_down(from->backend, NULL) && says(from, d->trouble))
		return;
	for (size_t i = 0; i < t->endpoints.count; i++) {
		struct endpoint *s = t->endpoints.v[i];

		if (s != from && s->zone_id == d->zone_id && says(s, d->trouble))
			return;
	}
	snprintf(d->trouble, TROUBLE_BYTES, "%s", err_text(rc));
}

/* ---- one object
 * -------------------------------------------------------------------------------------------------------- */

/* What concerns one object only: the others go on. */
static bool of_one_object(int rc)
{
	return rc == -ERR_REVOKED || rc == -ERR_STALE || rc == -ERR_TAMPERED || rc == -ERR_LOST || rc == -ERR_CORRUPT ||
	       rc == -ERR_EXISTS;
}

static void hold_off(struct drain *d)
{
	int64_t later = retry_after_ns(d->failures), soon = clock_mono_ns() + BACK_NS;

	d->failures += d->failures < 250;
	d->due_ns = later < soon ? later : soon;
	d->at = d->count = 0;
	d->after = 0;
	d->failed = false;
}

/* One that changes right now is nothing to speak of. */
static void note(struct transfer *t, int rc)
{
	struct drain *d = &t->drain;

	if (rc == -ERR_STOPPED)
		return;
	d->failed |= rc < 0;
	if (rc == 0)
		d->failures = 0;
	else if (rc != -ERR_REVOKED && rc != -ERR_STALE)
		trouble_note(t, rc);
	if (rc < 0 && !of_one_object(rc))
		hold_off(d);
}

static void one(struct worker *w)
{
	struct transfer *t = w->t;
	struct drain *d = &t->drain;
	const struct leaving leaving = { d->order.id, d->zone_id, d->order.from, d->order.to };
	struct shortage s = d->page[d->at++];
	int rc;

	d->busy++;
	pthread_mutex_unlock(&t->lock);
	rc = repair_leave(w, &leaving, s.object);
	pthread_mutex_lock(&t->lock);
	d->busy--;
	if (d->order.id == leaving.order)
		note(t, rc);
	pthread_cond_broadcast(&t->draining);
}

/* ---- how much is left, and by when it will be gone
 * ------------------------------------------------------------------------ */

static void rate_note(struct drain *d, int64_t now)
{
	const struct rate_mark mark = { now, d->left.bytes };

	if (!d->old.at_ns) {
		d->old = d->young = mark;
		return;
	}
	d->bytes_per_s = d->old.bytes > d->left.bytes
				 ? (double)(d->old.bytes - d->left.bytes) * NS_PER_S / (double)(now - d->old.at_ns)
				 : 0;
	if (now - d->young.at_ns >= RATE_WINDOW_NS) {
		d->old = d->young;
		d->young = mark;
	}
}

int64_t drain_seconds_left(const struct drain *d)
{
	return d->bytes_per_s >= 1 ? (int64_t)((double)d->left.bytes / d->bytes_per_s) : -1;
}

/* Nothing is said before there is something to go by. */
static void late_note(struct transfer *t, int64_t now)
{
	struct drain *d = &t->drain;
	int64_t seconds = drain_seconds_left(d), until_s = d->order.deadline_s - clock_real_ns() / NS_PER_S;
	bool known = seconds >= 0 || now - d->old.at_ns >= RATE_WINDOW_NS;
	bool late = d->order.deadline_s && (until_s <= 0 || (known && (seconds < 0 || seconds > until_s)));
	const struct endpoint *from = endpoint_by_id(t, d->order.from);

	if (late == d->late || !from)
		return;
	d->late = late;
	if (late)
		log_warn("backend '%s' will not be empty by the deadline: %llu bytes are left, at %.0f bytes/s",
			from->backend->config->name, (unsigned long long)d->left.bytes, d->bytes_per_s);
	else
		log_info("backend '%s' will be empty by the deadline again", from->backend->config->name);
}

/* Without the lock. */
static int count(struct transfer *t, uint32_t from)
{
	struct drain *d = &t->drain;
	int64_t began = clock_mono_ns(), now;
	struct move_count left;
	uint64_t deletions;
	int rc = meta_move_left(t->meta, from, &left, &deletions);

	now = clock_mono_ns();
	pthread_mutex_lock(&t->lock);
	if (rc == 0) {
		d->left = left;
		d->deletions = deletions;
		rate_note(d, now);
		late_note(t, now);
	}
	d->count_again_ns = now + COUNT_NS;
	if (now + COUNT_SHARE * (now - began) > d->count_again_ns)
		d->count_again_ns = now + COUNT_SHARE * (now - began);
	pthread_mutex_unlock(&t->lock);
	return rc;
}

/* ---- what is to be done next
 * --------------------------------------------------------------------------------------------- */

/* Nothing is known to be there: it is looked at. Without the lock. */
static void prove(struct transfer *t, const struct move_order *order)
{
	char trouble[TROUBLE_BYTES] = "";
	struct endpoint *from;
	int rc;

	pthread_mutex_lock(&t->lock);
	from = t->drain.cancelled ? NULL : endpoint_by_id(t, order->from);
	if (from)
		endpoint_ref(from);
	t->drain.proving = from != NULL;
	pthread_mutex_unlock(&t->lock);
	if (!from)
		return;
	rc = drain_prove(t, order, from, trouble);
	endpoint_put(t, from);
	pthread_mutex_lock(&t->lock);
	t->drain.proving = false;
	pthread_cond_broadcast(&t->changed);
	if (rc == 0 && t->drain.order.id == order->id) {
		drain_over(t);
	} else if (rc < 0 && rc != -ERR_STOPPED) {
		memcpy(t->drain.trouble, trouble, sizeof trouble);
		hold_off(&t->drain);
	}
	pthread_mutex_unlock(&t->lock);
}

/* Nothing in use lies there. What is being deleted, or moved by the rules, is waited for. */
static void empty(struct transfer *t, const struct move_order *order)
{
	int rc = count(t, order->from);
	bool gone;

	pthread_mutex_lock(&t->lock);
	gone = rc == 0 && !t->drain.left.objects && !t->drain.deletions;
	t->drain.due_ns = clock_mono_ns() + WAIT_NS;
	if (!gone)
		delete_hurry(t);
	pthread_mutex_unlock(&t->lock);
	if (gone)
		prove(t, order);
}

static int page_load(struct transfer *t, const struct move_order *order, int64_t after, struct shortage *page)
{
	int rc = after ? 0 : meta_commit(t->meta);

	return rc < 0 ? rc : meta_replicas(t->meta, order->from, after, page, DRAIN_PAGE);
}

/* With the lock: the page is there, or there is none. */
static void page_take(struct transfer *t, const struct shortage *page, int n)
{
	struct drain *d = &t->drain;

	if (n > 0) {
		memcpy(d->page, page, (size_t)n * sizeof *page);
		d->at = 0;
		d->count = (unsigned)n;
		d->after = page[n - 1].num;
	} else if (n < 0 || d->failed) {
		if (n < 0)
			trouble_note(t, n);
		hold_off(d);
	} else {
		d->after = 0;
		d->trouble[0] = 0;
	}
}

/* With the lock, which it drops. */
static void look(struct transfer *t)
{
	struct drain *d = &t->drain;
	struct move_order order = d->order;
	bool counting = d->count_again_ns <= clock_mono_ns(),
	     paging = d->at >= d->count && d->due_ns <= clock_mono_ns();
	bool across;
	int64_t after = d->after;
	struct shortage page[DRAIN_PAGE];
	int n = 0;

	if (paging && !from_find(t)) {
		hold_off(d);
		return;
	}
	across = d->across;
	d->looking = true;
	pthread_mutex_unlock(&t->lock);
	if (counting)
		count(t, order.from);
	if (paging && !across)
		n = page_load(t, &order, after, page);
	if (paging && n == 0 && after == 0)
		empty(t, &order);
	pthread_mutex_lock(&t->lock);
	d->looking = false;
	if (paging && d->order.id == order.id && (n != 0 || after != 0))
		page_take(t, page, n);
	pthread_cond_broadcast(&t->draining);
}

/* The end of a pass waits for those that are still at it. */
static bool look_due(const struct drain *d, int64_t now, int64_t *until)
{
	bool paging = d->at >= d->count && d->busy == 0;
	int64_t when = d->count_again_ns;

	if (d->looking)
		return false;
	if (paging && d->due_ns < when)
		when = d->due_ns;
	*until = when < *until ? when : *until;
	return when <= now;
}

void *drain_main(void *arg)
{
	struct worker *w = arg;
	struct transfer *t = w->t;
	struct drain *d = &t->drain;

	pthread_mutex_lock(&t->lock);
	while (!t->stopping) {
		int64_t now = clock_mono_ns(), until = INT64_MAX;

		if (d->order.id && d->at < d->count && d->due_ns <= now)
			one(w);
		else if (d->order.id && look_due(d, now, &until))
			look(t);
		else
			cond_wait_until(&t->draining, &t->lock, until);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}
