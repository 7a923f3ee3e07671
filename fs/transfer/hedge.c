/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hedged reads: a copy that does not answer within what is usual for its backend is not waited for alone; the next one
 * is asked for the same range, by a thread of a few that are kept for it, and who answers first has answered. */
#include "fs/transfer/internal.h"

#define UNKNOWN_NS    (500 * NS_PER_MS) /* nothing is known of the backend yet */
#define LEAST_NS      (20 * NS_PER_MS)
#define MOST_NS	      (2 * NS_PER_S)
#define TRICKLE_BYTES (32u << 10) /* a second: less is no answer */

/* ---- what is usual
 * ------------------------------------------------------------------------------------------------------- */

/* In this time half of what was measured is forgotten: what was slow is tried again. */
#define FORGET_NS (60 * NS_PER_S)

void pace_note(struct pace *p, int64_t took_ns, int64_t now)
{
	int64_t off = took_ns > p->mean_ns ? took_ns - p->mean_ns : p->mean_ns - took_ns;

	if (p->noted_ns) {
		p->mean_ns += (took_ns - p->mean_ns) / 8;
		p->spread_ns += (off - p->spread_ns) / 4;
	} else {
		p->mean_ns = took_ns;
		p->spread_ns = took_ns / 2;
	}
	p->noted_ns = now;
	p->failing_until_ns = 0;
}

void pace_slow(struct pace *p, int64_t waited_ns, int64_t now)
{
	if (waited_ns > p->mean_ns)
		p->mean_ns = waited_ns;
	p->noted_ns = now;
}

int64_t pace_expected_ns(const struct pace *p, int64_t now)
{
	int64_t halvings = (now - p->noted_ns) / FORGET_NS;

	return halvings < 40 ? p->mean_ns >> halvings : 0;
}

/* Of answers that scatter evenly fewer than one in twenty comes later. */
static int64_t patience_ns(const struct endpoint *s)
{
	int64_t timeout = s->backend->config->timeout_ns / 4;
	int64_t most = timeout > 0 && timeout < MOST_NS ? timeout : MOST_NS;
	int64_t bound = s->pace.noted_ns ? s->pace.mean_ns + 4 * s->pace.spread_ns : UNKNOWN_NS;

	bound = bound > LEAST_NS ? bound : LEAST_NS;
	return bound < most ? bound : most;
}

/* ---- who is waited for
 * --------------------------------------------------------------------------------------------------- */

void hedge_arm(struct reading *r, const struct attempt *a)
{
	list_remove(&r->link);
	if (a != &r->own || !r->quick || r->hedging || r->copies.next == r->copies.count || r->t->stopping)
		return;
	r->due_ns = a->start_ns + patience_ns(a->copy->endpoint);
	r->seen = 0;
	list_append(&r->t->readings, &r->link);
	pthread_cond_signal(&r->t->hedge);
}

/* What comes steadily is left alone; looked at again in a second. */
static bool flows(struct reading *r)
{
	uint64_t got = atomic_load(&r->own.got), before = r->seen;

	if (got < r->range.object_len && got < before + (before ? TRICKLE_BYTES : 1))
		return false;
	r->seen = got;
	r->due_ns = clock_mono_ns() + NS_PER_S;
	return true;
}

static struct reading *due(struct transfer *t, int64_t *until)
{
	int64_t now = clock_mono_ns();

	*until = INT64_MAX;
	list_for_each (it, &t->readings) {
		struct reading *r = list_entry(it, struct reading, link);

		if (r->due_ns <= now && !flows(r))
			return r;
		*until = r->due_ns < *until ? r->due_ns : *until;
	}
	return NULL;
}

/* With the lock, which it drops while it asks. */
static void hedge(struct reading *r)
{
	int rc = -ENOMEM;

	list_remove(&r->link);
	r->hedging = true;
	r->refs++;
	if (!r->hedge_out)
		r->hedge_out = malloc(object_read_room((uint32_t)r->range.plain_len));
	while (r->hedge_out && !r->over && (rc = reading_ask(r, &r->beside, r->hedge_out)) < 0)
		;
	r->hedging = false;
	r->won |= rc == 0;
	if (rc == 0 && r->own.running) {
		r->own.overtaken = true;
		call_cut(&r->own.flight.call, -ERR_STOPPED);
	}
	pthread_cond_broadcast(&r->t->raced);
}

void *hedge_main(void *arg)
{
	struct transfer *t = ((struct worker *)arg)->t;
	int64_t until;

	pthread_mutex_lock(&t->lock);
	while (!t->stopping) {
		struct reading *r = due(t, &until);

		if (!r) {
			cond_wait_until(&t->hedge, &t->lock, until);
			continue;
		}
		hedge(r);
		pthread_mutex_unlock(&t->lock);
		reading_put(r);
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

int hedge_end(struct reading *r, int rc, void *out)
{
	list_remove(&r->link);
	while (rc != 0 && r->hedging)
		pthread_cond_wait(&r->t->raced, &r->t->lock);
	r->over = true;
	if (r->beside.running)
		call_cut(&r->beside.flight.call, -ERR_STOPPED);
	if (rc != 0 && r->won) {
		memcpy(out, r->hedge_out, r->range.plain_len);
		rc = 0;
	}
	return rc;
}
