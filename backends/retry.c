/* SPDX-License-Identifier: GPL-3.0-or-later */
/* retry: tries again what another try may mend, with full jitter between bounds, within the call's deadline. */
#include "backends/call.h"
#include "backends/wrap.h"
#include "base/clock.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define TRIES	       5u
#define TRIES_QUICK    2u
#define BACKOFF_NS     (200 * NS_PER_MS)
#define BACKOFF_MAX_NS (10 * NS_PER_S)

struct retry {
	struct wrap wrap;
};

/* what a try has already delivered of a get: the next one goes on from there, objects being immutable */
struct resumed_sink {
	struct sink sink;
	struct sink *to;
	uint64_t delivered;
	bool refused;
};

static int resumed_write(struct sink *s, const void *data, size_t len)
{
	struct resumed_sink *r = container_of(s, struct resumed_sink, sink);
	int rc = r->to->write(r->to, data, len);

	if (rc < 0)
		r->refused = true;
	else
		r->delivered += len;
	return rc;
}

/* the same of a list, whose keys come in order */
struct resumed_list {
	int (*fn)(void *ctx, const struct backend_object *);
	void *ctx;
	char *last;
	bool refused;
};

static int resumed_object(void *ctx, const struct backend_object *object)
{
	struct resumed_list *r = ctx;
	int rc;

	if (r->last && strcmp(object->key, r->last) <= 0)
		return 0;
	free(r->last);
	if (!(r->last = strdup(object->key)))
		rc = -ENOMEM;
	else
		rc = r->fn(r->ctx, object);
	r->refused = rc != 0;
	return rc;
}

struct progress {
	struct resumed_sink sink;
	struct resumed_list list;
};

static void progress_begin(struct progress *p, const struct op *op)
{
	memset(p, 0, sizeof *p);
	p->sink.sink.write = resumed_write;
	p->sink.to = op->sink;
	p->list.fn = op->fn;
	p->list.ctx = op->ctx;
}

static int try_once(struct wrap *w, struct call *c, const struct op *op, struct progress *p)
{
	struct op next = *op;

	if (op->kind == OP_GET) {
		next.off = op->off + p->sink.delivered;
		next.len = op->len - p->sink.delivered;
		next.sink = &p->sink.sink;
		if (!next.len && op->len)
			return 0; /* the try before failed after the last byte */
	}
	if (op->kind == OP_LIST) {
		next.fn = resumed_object;
		next.ctx = &p->list;
	}
	return op_forward(w->inner, c, &next);
}

static bool may_mend(const struct call *c, const struct progress *p, int rc)
{
	if (p->sink.refused || p->list.refused || c->own_wait)
		return false;
	/* whoever waits for this has waited a whole timeout already */
	if (c->retry_quick && (rc == -ERR_TIMEOUT || c->retry_after_ns))
		return false;
	return rc == -ERR_UNREACHABLE || rc == -ERR_TIMEOUT || rc == -ERR_BUSY || rc == -ERR_SERVER;
}

/* Credentials that changed while they were used, or that only a new run of a command tells: once a call. */
static bool has_new_credentials(struct wrap *w, struct call *c, int rc, bool *renewed)
{
	if (rc != -ERR_DENIED || *renewed || !w->inner->ops->renew)
		return false;
	*renewed = true;
	return w->inner->ops->renew(w->inner, c);
}

static int64_t backoff_ns(const struct call *c, unsigned tried)
{
	int64_t most = BACKOFF_NS << (tried - 1), wait;

	if (c->retry_quick)
		return 0;
	if (most > BACKOFF_MAX_NS)
		most = BACKOFF_MAX_NS;
	wait = (int64_t)randombytes_uniform((uint32_t)(most / NS_PER_MS) + 1) * NS_PER_MS;
	return wait > c->retry_after_ns ? wait : c->retry_after_ns;
}

/* Waits before the next try; false where none is to follow. A cut ends the call with its own error. */
static bool wait_for_next(struct call *c, unsigned tried, int *rc)
{
	int64_t when = clock_mono_ns() + backoff_ns(c, tried);
	int cut;

	if (tried >= (c->retry_quick ? TRIES_QUICK : TRIES) || when >= c->deadline_ns)
		return false;
	cut = call_pause(c, when);
	if (cut < 0 && cut != -ERR_TIMEOUT)
		*rc = cut;
	return !cut;
}

static int retry_around(struct wrap *w, struct call *c, struct op *op)
{
	struct errmsg *outer = c->msg, msg = { 0 };
	struct progress p;
	unsigned tried = 0;
	bool renewed = false;
	int rc;

	progress_begin(&p, op);
	c->msg = &msg;
	do {
		errmsg_free(&msg); /* of the try before */
		c->own_wait = false;
		c->retry_after_ns = 0;
		rc = try_once(w, c, op, &p);
		tried++;
	} while (rc < 0 &&
		 (has_new_credentials(w, c, rc, &renewed) || (may_mend(c, &p, rc) && wait_for_next(c, tried, &rc))));
	c->msg = outer;
	if (rc < 0 && msg.text)
		errmsg_set(outer, rc, "%s", msg.text);
	errmsg_free(&msg);
	free(p.list.last);
	return rc;
}

static void retry_destroy(struct wrap *w)
{
	free(container_of(w, struct retry, wrap));
}

int retry_wrap(struct backend **out, struct backend *inner)
{
	struct retry *r = calloc(1, sizeof *r);

	if (!r) {
		backend_free(inner);
		return -ENOMEM;
	}
	wrap_init(&r->wrap, inner, retry_around, retry_destroy);
	*out = &r->wrap.backend;
	return 0;
}
