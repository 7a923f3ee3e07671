/* SPDX-License-Identifier: GPL-3.0-or-later */
/* meter: counts what passes, for backend_status. */
#include "backends/call.h"
#include "backends/wrap.h"
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_BYTES   (64u << 10) /* above it the time of a call tells of the rate, not of the latency */
#define SMOOTH_WEIGHT 8

struct meter {
	struct wrap wrap;
	pthread_mutex_t lock; /* of the rest; a leaf */
	struct backend_status status;
	bool body_refused; /* last_error is what a body was refused with: reads that succeed say nothing of that */
};

struct counting_sink {
	struct sink sink;
	struct sink *to;
	uint64_t bytes;
};

static int counting_write(struct sink *s, const void *data, size_t len)
{
	struct counting_sink *c = container_of(s, struct counting_sink, sink);

	c->bytes += len;
	return c->to->write(c->to, data, len);
}

/* An object that was damaged there (I6) was answered all the same. */
static bool is_answer(int rc)
{
	return rc >= 0 || rc == -ERR_ABSENT || rc == -ERR_EXISTS || rc == -ERR_TAMPERED;
}

/* An answer that says no, and what was decided on this side, are no failures of the backend. */
static bool is_failure(int rc)
{
	return rc < -ERR_FIRST && !is_answer(rc) && rc != -ERR_BORDER && rc != -ERR_REVOKED && rc != -ERR_STOPPED &&
	       rc != -ERR_FROZEN;
}

static bool has_body(const struct op *op)
{
	return op->kind == OP_PUT || op->kind == OP_BEGIN || op->kind == OP_PART || op->kind == OP_COMPLETE;
}

static void note_result(struct meter *m, const struct call *c, const struct op *op, int rc)
{
	struct backend_status *s = &m->status;

	s->requests++;
	if (is_answer(rc)) {
		s->last_ok_ns = clock_real_ns();
		if (!m->body_refused || has_body(op))
			s->last_error = 0;
	} else if (is_failure(rc)) {
		m->body_refused = has_body(op) && (rc == -ERR_DENIED || rc == -ERR_QUOTA || rc == -ERR_TOO_LARGE);
		s->failures++;
		s->last_error = rc;
		s->last_error_ns = clock_real_ns();
		snprintf(s->last_message, sizeof s->last_message, "%s", errmsg_text(c->msg, rc));
	}
}

static void note_latency(struct backend_status *s, int64_t took_ns)
{
	s->latency_ns = s->latency_ns ? s->latency_ns + (took_ns - s->latency_ns) / SMOOTH_WEIGHT : took_ns;
}

static int meter_around(struct wrap *w, struct call *c, struct op *op)
{
	struct meter *m = container_of(w, struct meter, wrap);
	struct counting_sink sink = { .sink = { counting_write }, .to = op->sink };
	struct errmsg own = { 0 }, *outer = c->msg;
	uint64_t sent = c->body_sent;
	int64_t start = clock_mono_ns();
	int rc;

	if (!c->msg)
		c->msg = &own;
	if (op->kind == OP_GET)
		op->sink = &sink.sink;
	rc = op_forward(w->inner, c, op);
	sent = c->body_sent - sent;
	pthread_mutex_lock(&m->lock);
	note_result(m, c, op, rc);
	m->status.bytes_sent += sent;
	m->status.bytes_received += sink.bytes;
	if (is_answer(rc) && op->kind != OP_LIST && op->kind != OP_REMNANTS && sent + sink.bytes <= SMALL_BYTES)
		note_latency(&m->status, clock_mono_ns() - start);
	if (c->peer[0])
		memcpy(m->status.peer, c->peer, sizeof m->status.peer);
	pthread_mutex_unlock(&m->lock);
	c->msg = outer;
	errmsg_free(&own);
	return rc;
}

static void meter_status(struct backend *backend, struct backend_status *out)
{
	struct meter *m = container_of(backend, struct meter, wrap.backend);
	bool up;

	backend_status(m->wrap.inner, out);
	up = out->up;
	pthread_mutex_lock(&m->lock);
	*out = m->status;
	pthread_mutex_unlock(&m->lock);
	out->up = up;
}

static void meter_destroy(struct wrap *w)
{
	struct meter *m = container_of(w, struct meter, wrap);

	pthread_mutex_destroy(&m->lock);
	free(m);
}

int meter_wrap(struct backend **out, struct backend *inner)
{
	struct meter *m = calloc(1, sizeof *m);

	if (!m) {
		backend_free(inner);
		return -ENOMEM;
	}
	pthread_mutex_init(&m->lock, NULL);
	wrap_init(&m->wrap, inner, meter_around, meter_destroy);
	m->wrap.ops.status = meter_status;
	*out = &m->wrap.backend;
	return 0;
}
