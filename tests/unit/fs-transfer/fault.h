/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fault: a wrapper around an opened backend that fails, hangs and counts as told. */
#ifndef TESTS_UNIT_FS_TRANSFER_FAULT_H
#define TESTS_UNIT_FS_TRANSFER_FAULT_H

#include "backends/call.h"
#include "backends/wrap.h"
#include "fs/transfer/internal.h"
#include "tests/unit/fs-transfer/fixture.h"

#define OPS (OP_ABORT + 1)

struct fault {
	struct wrap wrap;
	pthread_mutex_t lock; /* protects all below; a leaf */
	int fail[OPS];	      /* what the op ends with; 0: it is done */
	int fail_after_put;   /* the object is there, but the answer is this */
	unsigned one_in;      /* only every so many-th fails; 0: each */
	unsigned seed;
	bool down;
	unsigned count[OPS], running[OPS], running_max[OPS];
	struct call *putting; /* the last put under way */
	uint64_t got_bytes;
	int64_t delay_ns;
	bool hangs;	       /* gets: no answer until the call's deadline */
	int64_t slow_ns;       /* gets: before each quarter of the bytes */
	bool starts;	       /* but not before the first */
	unsigned down_answers; /* so many more times it says that it is down */
	/* called once, without locks, before a put or a get is passed on, or after a put was done */
	void (*before_put)(void *ctx), (*after_put)(void *ctx), (*before_get)(void *ctx);
	void *ctx;
	int put_rc; /* of the last put passed on */
};

static inline bool fault_hits(struct fault *f, int rc)
{
	if (!rc)
		return false;
	f->seed = f->seed * 1103515245 + 12345;
	return !f->one_in || f->seed / 65536 % f->one_in == 0;
}

static inline void fault_hook(struct fault *f, void (**hook)(void *))
{
	void (*fn)(void *);

	pthread_mutex_lock(&f->lock);
	fn = *hook;
	*hook = NULL;
	pthread_mutex_unlock(&f->lock);
	if (fn)
		fn(f->ctx);
}

static inline int fault_get(struct fault *f, struct call *c, const struct op *op)
{
	struct op part = *op;
	int rc = 0;

	if (f->hangs)
		return call_pause(c, INT64_MAX);
	if (!f->slow_ns)
		return op_forward(f->wrap.inner, c, op);
	for (unsigned i = 0; rc == 0 && i < 4; i++) {
		part.off = op->off + op->len * i / 4;
		part.len = op->off + op->len * (i + 1) / 4 - part.off;
		if (i > 0 || !f->starts)
			rc = call_pause(c, clock_mono_ns() + f->slow_ns);
		if (rc == 0)
			rc = op_forward(f->wrap.inner, c, &part);
	}
	return rc;
}

static inline int fault_around(struct wrap *w, struct call *c, struct op *op)
{
	struct fault *f = container_of(w, struct fault, wrap);
	bool before, after;
	int64_t delay;
	int rc;

	pthread_mutex_lock(&f->lock);
	f->count[op->kind]++;
	if (++f->running[op->kind] > f->running_max[op->kind])
		f->running_max[op->kind] = f->running[op->kind];
	before = fault_hits(f, f->fail[op->kind]);
	after = op->kind == OP_PUT && fault_hits(f, f->fail_after_put);
	rc = before ? f->fail[op->kind] : f->fail_after_put;
	if (op->kind == OP_PUT)
		f->putting = c;
	if (op->kind == OP_GET)
		f->got_bytes += op->len;
	delay = f->delay_ns;
	pthread_mutex_unlock(&f->lock);
	if (delay)
		nanosleep(&(struct timespec){ delay / NS_PER_S, delay % NS_PER_S }, NULL);
	if (op->kind == OP_PUT)
		fault_hook(f, &f->before_put);
	if (op->kind == OP_GET)
		fault_hook(f, &f->before_get);
	if (!before) {
		int real = op->kind == OP_GET ? fault_get(f, c, op) : op_forward(w->inner, c, op);

		rc = real < 0 || !after ? real : rc;
	}
	if (op->kind == OP_PUT)
		fault_hook(f, &f->after_put);
	pthread_mutex_lock(&f->lock);
	if (op->kind == OP_PUT)
		f->put_rc = rc;
	f->running[op->kind]--;
	if (f->putting == c)
		f->putting = NULL;
	pthread_mutex_unlock(&f->lock);
	return rc;
}

static inline bool fault_is_down(struct backend *b, int64_t *retry_at_ns)
{
	struct fault *f = container_of(container_of(b, struct wrap, backend), struct fault, wrap);
	bool down;

	pthread_mutex_lock(&f->lock);
	down = f->down || f->down_answers > 0;
	f->down_answers -= f->down_answers > 0;
	pthread_mutex_unlock(&f->lock);
	if (retry_at_ns)
		*retry_at_ns = down ? clock_mono_ns() + 200 * NS_PER_MS : 0;
	return down;
}

static inline void fault_destroy(struct wrap *w)
{
	free(container_of(w, struct fault, wrap));
}

/* before transfer_start, or while nothing is under way */
static inline struct fault *fault_wrap(struct cloud *c, const char *backend)
{
	struct fault *f = calloc(1, sizeof *f);

	assert_non_null(f);
	pthread_mutex_init(&f->lock, NULL);
	f->seed = 7;
	for (size_t i = 0; i < c->t->endpoints.count; i++) {
		struct endpoint *e = c->t->endpoints.v[i];

		if (strcmp(e->backend->config->name, backend) != 0)
			continue;
		wrap_init(&f->wrap, e->backend, fault_around, fault_destroy);
		f->wrap.ops.is_down = fault_is_down;
		e->backend = &f->wrap.backend;
		return f;
	}
	fail_msg("no backend %s", backend);
	return NULL;
}

static inline void fault_set(struct fault *f, enum op_kind kind, int rc)
{
	pthread_mutex_lock(&f->lock);
	f->fail[kind] = rc;
	pthread_mutex_unlock(&f->lock);
}

static inline void fault_set_down(struct fault *f, bool down)
{
	pthread_mutex_lock(&f->lock);
	f->down = down;
	pthread_mutex_unlock(&f->lock);
}

static inline unsigned fault_count(struct fault *f, enum op_kind kind)
{
	unsigned n;

	pthread_mutex_lock(&f->lock);
	n = f->count[kind];
	pthread_mutex_unlock(&f->lock);
	return n;
}

/* body bytes of the put under way; UINT64_MAX: there is none */
static inline uint64_t fault_body_sent(struct fault *f)
{
	uint64_t n = UINT64_MAX;

	pthread_mutex_lock(&f->lock);
	if (f->putting) {
		pthread_mutex_lock(&f->putting->lock);
		n = f->putting->body_sent;
		pthread_mutex_unlock(&f->putting->lock);
	}
	pthread_mutex_unlock(&f->lock);
	return n;
}

static inline void fault_sleep(int64_t ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * NS_PER_MS }, NULL);
}

/* waits until a put has sent something */
static inline uint64_t fault_wait_sending(struct fault *f)
{
	for (int i = 0; i < 2000; i++) {
		uint64_t n = fault_body_sent(f);

		if (n != UINT64_MAX && n > 0)
			return n;
		fault_sleep(5);
	}
	fail_msg("no upload began");
	return 0;
}

#endif
