/* SPDX-License-Identifier: GPL-3.0-or-later */
/* breaker: after a backend could not be reached, answers at once for a while, so that nobody waits for it twice (I8).
 * Open times double from BREAKER_OPEN_NS to BREAKER_OPEN_MAX_NS; then one call is let through, and its result decides.
 */
#include "backends/call.h"
#include "backends/wrap.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BREAKER_FAILURES    3u
#define BREAKER_OPEN_NS	    (1 * NS_PER_S)
#define BREAKER_OPEN_MAX_NS (30 * NS_PER_S)

struct breaker {
	struct wrap wrap;
	pthread_mutex_t lock; /* of all below; a leaf */
	unsigned failures;    /* in a row */
	int64_t open_ns;      /* how long it was opened last; 0: closed */
	int64_t retry_at_ns;  /* monotonic; while open */
	bool testing;	      /* the one call let through is under way */
	int last_rc;
	char *last_text;
};

enum verdict { REACHED, NOT_REACHED, SAYS_NOTHING };

static enum verdict judge(const struct call *c, int rc)
{
	if (rc == -ERR_UNREACHABLE)
		return NOT_REACHED;
	if (rc == -ERR_TIMEOUT)
		return c->own_wait ? SAYS_NOTHING : NOT_REACHED;
	/* what was decided on this side tells nothing of the other */
	if (rc == -ERR_BORDER || rc == -ERR_REVOKED || rc == -ERR_STOPPED || rc == -ERR_FROZEN || rc == -ERR_SECRET ||
		rc > -ERR_FIRST)
		return rc < 0 ? SAYS_NOTHING : REACHED;
	return REACHED;
}

/* A probe is somebody asking on purpose, and is always let through. */
static bool admit(struct breaker *b, const struct op *op, bool *testing)
{
	bool pass;

	pthread_mutex_lock(&b->lock);
	pass = !b->open_ns || op->kind == OP_PROBE;
	if (!pass && !b->testing && clock_mono_ns() >= b->retry_at_ns)
		pass = b->testing = *testing = true;
	pthread_mutex_unlock(&b->lock);
	return pass;
}

static int refuse(struct breaker *b, struct call *c)
{
	char wait[24];
	int rc;

	pthread_mutex_lock(&b->lock);
	rc = b->last_rc;
	text_duration(b->open_ns, wait, sizeof wait);
	errmsg_set(c->msg, rc, "%s (not tried again now: one call every %s until it answers)",
		b->last_text ? b->last_text : err_text(rc), wait);
	pthread_mutex_unlock(&b->lock);
	return rc;
}

static void remember(struct breaker *b, const struct call *c, int rc)
{
	free(b->last_text);
	b->last_text = c->msg && c->msg->text ? strdup(c->msg->text) : NULL;
	b->last_rc = rc;
}

/* A timeout opens at once: the next caller would wait as long. */
static void not_reached(struct breaker *b, struct call *c, int rc)
{
	bool open;

	b->failures++;
	open = b->failures >= BREAKER_FAILURES || rc == -ERR_TIMEOUT;
	if (!open && !b->open_ns)
		return;
	remember(b, c, rc);
	if (!b->open_ns)
		log_warn("backend '%s' is down: %s", b->wrap.backend.config->name, errmsg_text(c->msg, rc));
	/* calls that were under way when it opened fail too, and must not add up */
	if (!b->open_ns || clock_mono_ns() >= b->retry_at_ns) {
		b->open_ns = b->open_ns ? b->open_ns * 2 : BREAKER_OPEN_NS;
		if (b->open_ns > BREAKER_OPEN_MAX_NS)
			b->open_ns = BREAKER_OPEN_MAX_NS;
		b->retry_at_ns = clock_mono_ns() + b->open_ns;
	}
}

static void reached(struct breaker *b)
{
	if (b->open_ns)
		log_info("backend '%s' is up again", b->wrap.backend.config->name);
	b->failures = 0;
	b->open_ns = 0;
}

static int breaker_around(struct wrap *w, struct call *c, struct op *op)
{
	struct breaker *b = container_of(w, struct breaker, wrap);
	bool testing = false;
	enum verdict v;
	int rc;

	if (!admit(b, op, &testing))
		return refuse(b, c);
	rc = op_forward(w->inner, c, op);
	v = judge(c, rc);
	pthread_mutex_lock(&b->lock);
	if (testing)
		b->testing = false;
	if (v == REACHED)
		reached(b);
	else if (v == NOT_REACHED)
		not_reached(b, c, rc);
	pthread_mutex_unlock(&b->lock);
	return rc;
}

static bool breaker_is_down(struct backend *backend, int64_t *retry_at_ns)
{
	struct breaker *b = container_of(backend, struct breaker, wrap.backend);
	bool down;

	pthread_mutex_lock(&b->lock);
	down = b->open_ns && (b->testing || clock_mono_ns() < b->retry_at_ns);
	if (retry_at_ns)
		*retry_at_ns = b->open_ns ? b->retry_at_ns : 0;
	pthread_mutex_unlock(&b->lock);
	return down;
}

static void breaker_status(struct backend *backend, struct backend_status *out)
{
	struct breaker *b = container_of(backend, struct breaker, wrap.backend);

	backend_status(b->wrap.inner, out);
	pthread_mutex_lock(&b->lock);
	out->up = !b->open_ns;
	pthread_mutex_unlock(&b->lock);
}

static void breaker_destroy(struct wrap *w)
{
	struct breaker *b = container_of(w, struct breaker, wrap);

	pthread_mutex_destroy(&b->lock);
	free(b->last_text);
	free(b);
}

int breaker_wrap(struct backend **out, struct backend *inner)
{
	struct breaker *b = calloc(1, sizeof *b);

	if (!b) {
		backend_free(inner);
		return -ENOMEM;
	}
	pthread_mutex_init(&b->lock, NULL);
	wrap_init(&b->wrap, inner, breaker_around, breaker_destroy);
	b->wrap.ops.is_down = breaker_is_down;
	b->wrap.ops.status = breaker_status;
	*out = &b->wrap.backend;
	return 0;
}
