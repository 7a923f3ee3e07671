/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading a part of an object from one of the backends that hold it: the one that is expected to answer first, then the
 * next, at once where one fails, and beside it where it is slow (hedge.c). */
#include "fs/transfer/internal.h"

#include <stdio.h>

#define SLACK_NS (500 * NS_PER_MS) /* that a person waits beyond the configured timeout, at most */

size_t object_read_room(uint32_t len)
{
	return ((size_t)len + SEGMENT_DATA - 1) / SEGMENT_DATA * SEGMENT_DATA + SEGMENT_DATA;
}

/* ---- which copy first
 * -------------------------------------------------------------------------------------------------- */

static int64_t copy_rank(const struct endpoint *s, const struct replica *replica, int64_t now)
{
	enum { FAILING = 1, DOWN, BAD };
	int64_t group = 0;

	if (replica->state == REPLICA_BAD)
		group = BAD;
	else if (backend_is_down(s->backend, NULL))
		group = DOWN;
	else if (s->pace.failing_until_ns > now)
		group = FAILING;
	return group * NS_PER_S * 1000 + pace_expected_ns(&s->pace, now);
}

static void copy_insert(struct copies *c, const struct copy *copy)
{
	size_t at = c->count++;

	for (; at > 0 && c->v[at - 1].rank > copy->rank; at--)
		c->v[at] = c->v[at - 1];
	c->v[at] = *copy;
}

int copies_order(struct transfer *t, const struct object_info *info, struct copies *out)
{
	int64_t now = clock_mono_ns();

	*out = (struct copies){ .v = calloc(info->replica_count + 1, sizeof *out->v) };
	if (!out->v)
		return -ENOMEM;
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < info->replica_count; i++) {
		const struct replica *replica = &info->replicas[i];
		struct copy copy = { .bad = replica->state == REPLICA_BAD,
			.missing = replica->fault == REPLICA_MISSING };

		if ((replica->state != REPLICA_STORED && !copy.bad) ||
			!(copy.endpoint = endpoint_by_id(t, replica->backend_id)))
			continue;
		endpoint_ref(copy.endpoint);
		copy.rank = copy_rank(copy.endpoint, replica, now);
		copy_insert(out, &copy);
	}
	pthread_mutex_unlock(&t->lock);
	return 0;
}

void copies_free(struct transfer *t, struct copies *c)
{
	for (size_t i = 0; i < c->count; i++)
		endpoint_put(t, c->v[i].endpoint);
	free(c->v);
}

/* ---- one copy is asked
 * ------------------------------------------------------------------------------------------------- */

/* Damage that the driver saw comes with its sentence; what only the seal tells has none. */
void copy_log(
	const struct endpoint *s, const char *name, const struct object_range *range, const struct errmsg *msg, int rc)
{
	const char *backend = s->backend->config->name;
	char says[512];

	if (rc == -ERR_TAMPERED && msg->text)
		log_error("object %s is damaged: %s", name, backend_says(s->backend, msg->text, says, sizeof says));
	else if (rc == -ERR_TAMPERED)
		log_error("object %s on backend '%s' failed authentication: it was changed there (segments from %llu)",
			name, backend, (unsigned long long)range->first_segment);
	else if (rc == -ERR_ABSENT)
		log_error("object %s is not on backend '%s', which had confirmed it", name, backend);
	else if (rc == -ERR_PROTOCOL)
		log_warn("object %s: %s", name, backend_says(s->backend, errmsg_text(msg, rc), says, sizeof says));
	else
		log_debug("object %s from backend '%s': %s", name, backend, errmsg_text(msg, rc));
}

/* The timeout bounds the silence over queues, tries and copies together: who waits does not wait it once for each.
 * Bytes that come, from whichever, buy more time, up to end_ns. */
static int64_t give_up_ns(const struct attempt *a)
{
	const struct reading *r = a->reading;
	int64_t timeout = a->copy->endpoint->backend->config->timeout_ns, now = clock_mono_ns(), left;

	if (!r->quick || timeout <= 0)
		return r->end_ns;
	left = atomic_load(&r->heard_ns) + timeout - now;
	left = (left > 0 ? left / a->hopes : 0) + SLACK_NS;
	return left < r->end_ns - now ? now + left : r->end_ns;
}

static int attempt_write(struct sink *sink, const void *data, size_t len)
{
	struct attempt *a = container_of(sink, struct attempt, sink);
	int64_t now = clock_mono_ns();

	if (!a->first_ns)
		a->first_ns = now;
	atomic_store(&a->reading->heard_ns, now);
	atomic_fetch_add(&a->got, len);
	a->flight.call.deadline_ns = give_up_ns(a);
	return a->body.sink.write(&a->body.sink, data, len);
}

static int get_range(struct attempt *a)
{
	struct reading *r = a->reading;
	struct endpoint *s = a->copy->endpoint;
	char name[OBJECT_NAME_BYTES];
	uint8_t *body = malloc(r->range.object_len);
	int rc;

	if (!body)
		return -ENOMEM;
	object_name(r->info.ref.id, name);
	sink_memory(&a->body, body, r->range.object_len);
	a->flight.call.deadline_ns = give_up_ns(a);
	a->flight.call.retry_quick = r->quick;
	flight_begin(&a->flight, s);
	rc = backend_get(s->backend, &a->flight.call, name, r->range.object_off, r->range.object_len, &a->sink);
	flight_end(&a->flight);
	if (rc == 0 && a->body.len != r->range.object_len)
		rc = -ERR_PROTOCOL;
	if (rc == 0)
		rc = object_open_range(r->t->keyring, &r->info.ref, &r->range, body, a->out);
	free(body);
	return rc;
}

/* With the lock: the next copy that nobody has asked; NULL: there is none. */
static struct copy *copy_next(struct reading *r, unsigned *hopes)
{
	struct copies *c = &r->copies;

	if (c->next == c->count)
		return NULL;
	*hopes = 1;
	for (size_t i = c->next + 1; i < c->count; i++)
		*hopes += !c->v[i].bad && !backend_is_down(c->v[i].endpoint->backend, NULL);
	return &c->v[c->next++];
}

/* With the lock. */
static void attempt_ended(struct attempt *a, int rc)
{
	struct pace *pace = &a->copy->endpoint->pace;
	int64_t now = clock_mono_ns();

	a->copy->rc = rc;
	a->copy->gave = rc == 0;
	if (a->first_ns)
		pace_note(pace, a->first_ns - a->start_ns, now);
	if (a->overtaken && rc < 0)
		pace_slow(pace, now - a->start_ns, now);
	else if (rc < 0 && rc != -ERR_ABSENT && rc != -ERR_TAMPERED && rc != -ERR_STOPPED)
		pace->failing_until_ns = now + PACE_FAILING_NS;
}

int reading_ask(struct reading *r, struct attempt *a, void *out)
{
	char name[OBJECT_NAME_BYTES];
	struct copy *copy = copy_next(r, &a->hopes);
	int rc;

	if (!copy)
		return 1;
	a->reading = r;
	a->copy = copy;
	a->out = out;
	a->sink.write = attempt_write;
	a->first_ns = 0;
	a->overtaken = false;
	atomic_store(&a->got, 0);
	a->start_ns = clock_mono_ns();
	flight_init(&a->flight, r->t);
	a->running = true;
	hedge_arm(r, a);
	pthread_mutex_unlock(&r->t->lock);
	rc = get_range(a);
	pthread_mutex_lock(&r->t->lock);
	a->running = false;
	attempt_ended(a, rc);
	pthread_mutex_unlock(&r->t->lock);
	object_name(r->info.ref.id, name);
	if (rc < 0)
		copy_log(copy->endpoint, name, &r->range, &a->flight.msg, rc);
	flight_free(&a->flight);
	pthread_mutex_lock(&r->t->lock);
	return rc;
}

/* ---- what came of it
 * ------------------------------------------------------------------------------------------------------- */

int copy_worse(int have, int rc)
{
	bool have_final = have == -ERR_TAMPERED || have == -ERR_ABSENT || have == 0;

	if (rc == -ERR_TAMPERED)
		return have_final ? rc : have;
	if (rc == -ERR_ABSENT)
		return have == 0 ? rc : have;
	return have_final ? rc : have;
}

static int worst(const struct reading *r)
{
	int rc = 0;

	for (size_t i = 0; i < r->copies.count; i++)
		if (r->copies.v[i].rc < 0)
			rc = copy_worse(rc, r->copies.v[i].rc);
	return rc ? rc : -ERR_UNREACHABLE;
}

/* One at a time on each copy, so that it is one line of the audit log. */
struct verdict {
	struct list link; /* transfer.verdicts */
	const uint8_t *id;
	uint32_t backend_id;
};

static bool verdict_begin(struct transfer *t, struct verdict *v)
{
	bool mine = true;

	pthread_mutex_lock(&t->lock);
	list_for_each (it, &t->verdicts) {
		const struct verdict *other = list_entry(it, struct verdict, link);

		mine &= other->backend_id != v->backend_id || memcmp(other->id, v->id, OBJECT_ID_BYTES) != 0;
	}
	if (mine)
		list_append(&t->verdicts, &v->link);
	pthread_mutex_unlock(&t->lock);
	return mine;
}

static void verdict_end(struct transfer *t, struct verdict *v)
{
	pthread_mutex_lock(&t->lock);
	list_remove(&v->link);
	pthread_mutex_unlock(&t->lock);
}

/* An object that is being deleted is rightly gone from one backend before the other. */
static bool copy_is(struct transfer *t, const struct verdict *v, enum replica_state state)
{
	struct object_info info = { 0 };
	bool is = false;

	if (meta_object_get(t->meta, v->id, &info) < 0)
		return false;
	for (size_t i = 0; i < info.replica_count; i++)
		is |= info.replicas[i].backend_id == v->backend_id && info.replicas[i].state == state;
	object_info_free(&info);
	return is;
}

/* fault 0: it is sound after all */
static void verdict_write(struct transfer *t, const struct verdict *v, uint32_t zone_id, enum replica_fault fault)
{
	static const char *const kinds[] = { "restored", [REPLICA_MISSING] = "lost", [REPLICA_DAMAGED] = "tampered" };
	char name[OBJECT_NAME_BYTES], facts[128];

	object_name(v->id, name);
	snprintf(facts, sizeof facts, "{\"object\":\"%s\",\"backend\":%u,\"zone\":%u}", name + 3, v->backend_id,
		zone_id);
	meta_lock(t->meta);
	if (fault)
		meta_replica_bad(t->meta, v->id, v->backend_id, fault);
	else
		meta_object_stored(t->meta, v->id, v->backend_id);
	audit_append(t->place, kinds[fault], facts);
	meta_unlock(t->meta);
	/* where one is there again, others may be */
	repair_wake(t, zone_id, fault ? RETRY_MAX_NS : NS_PER_S);
}

static void copy_judge(struct transfer *t, const uint8_t *id, const struct endpoint *s, enum replica_fault fault)
{
	struct verdict v = { .id = id, .backend_id = s->id };

	if (!verdict_begin(t, &v))
		return;
	if (copy_is(t, &v, fault ? REPLICA_STORED : REPLICA_BAD))
		verdict_write(t, &v, s->zone_id, fault);
	verdict_end(t, &v);
}

void copy_bad(struct transfer *t, const uint8_t id[OBJECT_ID_BYTES], const struct endpoint *s, int rc)
{
	copy_judge(t, id, s, rc == -ERR_ABSENT ? REPLICA_MISSING : REPLICA_DAMAGED);
}

void copy_sound(struct transfer *t, const uint8_t id[OBJECT_ID_BYTES], const struct endpoint *s)
{
	copy_judge(t, id, s, 0);
}

/* A part that is sound says nothing of what was damaged elsewhere in the object: that is for the repair, which reads
 * all of it. */
static bool refutes(const struct reading *r, const struct copy *c)
{
	bool whole = r->range.plain_off == 0 && r->range.plain_len == r->info.ref.plain_bytes;

	return c->bad && c->gave && (c->missing || whole);
}

static void judge_copies(struct reading *r)
{
	for (size_t i = 0; i < r->copies.count; i++) {
		struct copy c;

		pthread_mutex_lock(&r->t->lock);
		c = r->copies.v[i];
		pthread_mutex_unlock(&r->t->lock);
		if (!c.bad && (c.rc == -ERR_ABSENT || c.rc == -ERR_TAMPERED))
			copy_bad(r->t, r->info.ref.id, c.endpoint, c.rc);
		else if (refutes(r, &c))
			copy_sound(r->t, r->info.ref.id, c.endpoint);
		else if (c.bad && c.gave)
			repair_wake(r->t, c.endpoint->zone_id, RETRY_MAX_NS);
	}
}

static struct reading *reading_new(struct transfer *t, struct object_read *read, int *rc)
{
	struct reading *r = calloc(1, sizeof *r);
	int64_t now = clock_mono_ns();

	if (!r) {
		*rc = -ENOMEM;
		return NULL;
	}
	r->t = t;
	r->quick = read->quick;
	r->refs = 1;
	list_init(&r->link);
	atomic_store(&r->heard_ns, now);
	r->end_ns = now + FETCH_DEADLINE_NS;
	*rc = meta_object_get(t->meta, read->id, &r->info);
	if (*rc == 0)
		*rc = object_range(&r->info.ref, read->off, read->len, &r->range);
	if (*rc == 0)
		*rc = copies_order(t, &r->info, &r->copies);
	return r;
}

void reading_put(struct reading *r)
{
	bool last;

	if (!r)
		return;
	pthread_mutex_lock(&r->t->lock);
	last = --r->refs == 0;
	pthread_mutex_unlock(&r->t->lock);
	if (!last)
		return;
	copies_free(r->t, &r->copies);
	object_info_free(&r->info);
	free(r->hedge_out);
	free(r);
}

static int read_copies(struct reading *r, struct object_read *read)
{
	int rc = 1;

	pthread_mutex_lock(&r->t->lock);
	while (!r->won && (rc = reading_ask(r, &r->own, read->out)) < 0)
		;
	if ((rc = hedge_end(r, rc, read->out)) != 0)
		rc = worst(r);
	pthread_mutex_unlock(&r->t->lock);
	return rc;
}

int replica_read(struct transfer *t, struct object_read *read)
{
	int rc;
	struct reading *r = reading_new(t, read, &rc);

	if (rc == 0) {
		read->skip = (uint32_t)(read->off - r->range.plain_off);
		rc = read_copies(r, read);
	}
	if (r)
		judge_copies(r);
	reading_put(r);
	return rc == -ERR_ABSENT ? -ERR_LOST : rc;
}
