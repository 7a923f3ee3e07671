/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signed heads of the audit log on the backends of the home zone (I10): audit/N, N counting from 1, each written once
 * and never deleted, so that a log that was cut off, or a store that was set back, is known by a head that it does not
 * lead to. They go through the guard, as bytes of the home zone; no other zone's backend is ever asked about one. */
#include "fs/transfer/internal.h"

#include <inttypes.h>

#define HEADS_NS (3600 * NS_PER_S) /* from one to the next, where lines were added */

static uint32_t home_zone(struct transfer *t)
{
	struct config *config = place_config(t->place);
	uint32_t home = place_zone_id(t->place, config->home);

	config_put(config);
	return home;
}

/* Asked before each request with a body (I1): the zone is still home, and the backend still the configuration's. */
static int check(struct call *call)
{
	struct flight *f = container_of(call, struct flight, call);
	uint32_t home = home_zone(f->t);
	int rc = f->zone_id == home ? 0 : -ERR_REVOKED;

	pthread_mutex_lock(&f->t->lock);
	if (f->t->stopping)
		rc = -ERR_STOPPED;
	else if (f->endpoint->retired || f->endpoint->closed)
		rc = -ERR_REVOKED;
	pthread_mutex_unlock(&f->t->lock);
	return rc;
}

/* the endpoints of the home zone but those that are emptied, referenced; how many */
static size_t home_endpoints(struct transfer *t, uint32_t home, struct endpoint **out, size_t max)
{
	size_t n = 0;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->endpoints.count && n < max; i++)
		if (home && t->endpoints.v[i]->zone_id == home && !t->endpoints.v[i]->closed)
			out[n++] = endpoint_ref(t->endpoints.v[i]);
	pthread_mutex_unlock(&t->lock);
	return n;
}

/* What is published: to which zone, under which number, until when. */
struct head_put {
	uint32_t zone_id;
	uint64_t number;
	int64_t deadline_ns;
	const uint8_t *bytes;
	uint64_t last; /* line of the log */
};

static int put_head(struct transfer *t, struct endpoint *e, const struct head_put *p)
{
	struct source_memory source;
	struct flight f;
	char name[32];
	int rc;

	head_name(p->number, name);
	flight_init(&f, t);
	f.body = true;
	f.zone_id = f.call.zone_id = p->zone_id;
	f.call.check = check;
	f.call.deadline_ns = p->deadline_ns;
	flight_begin(&f, e);
	rc = guard_put(e->backend, &f.call, name, source_memory(&source, p->bytes, AUDIT_HEAD_BYTES));
	flight_end(&f);
	if (rc < 0 && rc != -ERR_STOPPED)
		log_debug("audit: head %" PRIu64 " on backend '%s': %s", p->number, e->backend->config->name,
			errmsg_text(&f.msg, rc));
	flight_free(&f);
	return rc;
}

int transfer_newest_head(struct transfer *t, struct audit_head *head, struct audit_heads *seen)
{
	struct endpoint *v[HEAD_BACKENDS_MAX];
	size_t n = home_endpoints(t, home_zone(t), v, HEAD_BACKENDS_MAX);

	heads_seen_init(t->meta, seen, head);
	for (size_t i = 0; i < n; i++) {
		struct head_look l = {
			.t = t, .e = v[i], .meta = t->meta, .keyring = t->keyring, .backend = v[i]->backend
		};

		head_look_newest(&l, seen, head);
		endpoint_put(t, v[i]);
	}
	return seen->asked ? 0 : -ERR_UNREACHABLE;
}

/* ---- publishing ----------------------------------------------------------------------------------------------- */

static int note(void *ctx, const struct audit_finding *f)
{
	bool *wrong = ctx;

	log_error("audit: %s: see `borderfs audit verify`; no head is published until that is settled", f->text);
	*wrong = true;
	return 0;
}

/* A head that the store does not know it published: its answer was lost, or the store was set back since. Then it is
 * the only one to tell, and none goes beyond it. */
static int check_unknown(struct transfer *t, const struct audit_head *head, uint64_t last)
{
	const struct audit_log log = { t->meta, t->keyring };
	struct audit_verdict verdict = { .last = last };
	bool wrong = false;
	int rc = head->seq ? audit_compare(&log, head, &verdict, note, &wrong) : 0;

	return wrong ? -ERR_TAMPERED : rc;
}

/* A number in whose place this backend has nothing. */
static int free_number(struct transfer *t, struct endpoint *e, struct head_put *p)
{
	struct head_look l = { .t = t,
		.e = e,
		.meta = t->meta,
		.keyring = t->keyring,
		.backend = e->backend,
		.deadline_ns = p->deadline_ns };
	int rc;

	if ((rc = head_try(&l, p->number)) < 0 || (!rc && !l.taken))
		return rc;
	if ((rc = head_look_beyond(&l, p->number)) < 0)
		return rc;
	p->number = (l.newest > l.taken ? l.newest : l.taken) + 1;
	return check_unknown(t, &l.head, p->last);
}

static int publish_to(struct transfer *t, struct endpoint *const *v, size_t n, struct head_put *p)
{
	bool up[HEAD_BACKENDS_MAX];
	int rc = -ERR_UNREACHABLE;

	for (size_t i = 0; i < n; i++) {
		int64_t retry_ns;
		int rc2 = backend_is_down(v[i]->backend, &retry_ns) ? -ERR_UNREACHABLE : free_number(t, v[i], p);

		if (rc2 == -ERR_TAMPERED)
			return rc2;
		up[i] = rc2 == 0;
	}
	for (size_t i = 0; i < n; i++)
		if (up[i] && put_head(t, v[i], p) == 0)
			rc = 0;
	return rc;
}

int transfer_publish_head(struct transfer *t, int64_t deadline_ns)
{
	struct endpoint *v[HEAD_BACKENDS_MAX];
	uint8_t bytes[AUDIT_HEAD_BYTES], kept[16];
	struct head_put put = { .zone_id = home_zone(t), .deadline_ns = deadline_ns, .bytes = bytes };
	struct audit_head end;
	uint64_t seq;
	size_t n;
	int rc;

	if (!t->heads.runs)
		return 0;
	/* the one that is under way may wait for its backends longer than this caller would */
	if (pthread_mutex_trylock(&t->heads.lock) != 0)
		return -ERR_BUSY;
	place_audit_end(t->place, &end);
	end.time_s = clock_real_ns() / NS_PER_S;
	put.number = heads_known(t->meta, &seq) + 1;
	put.last = end.seq;
	/* what a head says must not be lost by a power cut after it */
	if (end.seq == seq || (rc = meta_sync(t->meta)) < 0 || (rc = audit_head_sign(t->keyring, &end, bytes)) < 0) {
		rc = end.seq == seq ? 0 : rc;
		goto out;
	}
	n = home_endpoints(t, put.zone_id, v, HEAD_BACKENDS_MAX);
	rc = publish_to(t, v, n, &put);
	for (size_t i = 0; i < n; i++)
		endpoint_put(t, v[i]);
	put_le64(kept, put.number);
	put_le64(kept + 8, end.seq);
	if (rc == 0)
		rc = meta_setting_set(t->meta, HEADS_SETTING, kept, sizeof kept);
out:
	pthread_mutex_unlock(&t->heads.lock);
	return rc;
}

void *heads_main(void *arg)
{
	struct transfer *t = ((struct worker *)arg)->t;
	int64_t next_ns = clock_mono_ns() + HEADS_NS;

	pthread_mutex_lock(&t->lock);
	while (!t->stopping) {
		if (cond_wait_until(&t->heads.wake, &t->lock, next_ns) != -ETIMEDOUT)
			continue;
		pthread_mutex_unlock(&t->lock);
		transfer_publish_head(t, clock_mono_ns() + HEADS_CALL_NS);
		next_ns = clock_mono_ns() + HEADS_NS;
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

void heads_init(struct heads *h)
{
	pthread_mutex_init(&h->lock, NULL);
	cond_init_mono(&h->wake);
	h->runs = false;
}

void heads_destroy(struct heads *h)
{
	pthread_cond_destroy(&h->wake);
	pthread_mutex_destroy(&h->lock);
}
