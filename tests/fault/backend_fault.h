/* SPDX-License-Identifier: GPL-3.0-or-later */
/* backend_fault: a wrapper that fails chosen calls of a backend, before they are made or after (the answer is lost, the
 * deed is done). For tests: all of it is here. */
#ifndef TESTS_FAULT_BACKEND_FAULT_H
#define TESTS_FAULT_BACKEND_FAULT_H

#include "backends/wrap.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

enum fault_when { FAULT_BEFORE, FAULT_AFTER };

struct fault {
	struct wrap wrap;
	atomic_uint seen;    /* calls of the kinds chosen */
	atomic_uint fail_at; /* the number of the call that fails, from 1; 0: none */
	atomic_uint count;   /* how many fail from there on; 0: one */
	unsigned kinds;	     /* bits 1 << enum op_kind; 0: all */
	enum fault_when when;
	int rc;
};

static inline int fault_around(struct wrap *w, struct call *c, struct op *op)
{
	struct fault *f = container_of(w, struct fault, wrap);
	unsigned n, first = atomic_load(&f->fail_at), count = atomic_load(&f->count);
	bool fails;
	int rc;

	if (f->kinds && !(f->kinds & 1u << op->kind))
		return op_forward(w->inner, c, op);
	n = atomic_fetch_add(&f->seen, 1) + 1;
	fails = first && n >= first && n < first + (count ? count : 1);
	/* an abort frees the upload, and says nothing */
	if (fails && f->when == FAULT_BEFORE && op->kind != OP_ABORT)
		return errmsg_set(c->msg, f->rc, "a fault of the test: %s number %u", op_name(op->kind), n);
	rc = op_forward(w->inner, c, op);
	/* A completion that was done has freed the upload, so its answer cannot be lost here; and what was begun
	 * without the caller's knowing nobody could end: as if it had not been. */
	if (!rc && fails && op->kind == OP_BEGIN)
		w->inner->ops->multipart_abort(w->inner, c, *op->begun);
	return fails && !rc && op->kind != OP_COMPLETE && op->kind != OP_ABORT ? f->rc : rc;
}

static inline void fault_destroy(struct wrap *w)
{
	free(container_of(w, struct fault, wrap));
}

/* fault_wrap: takes inner; without faults at first. Freed with the backend, f->wrap.backend. */
static inline int fault_wrap(struct fault **out, struct backend *inner)
{
	struct fault *f = calloc(1, sizeof *f);

	if (!f) {
		backend_free(inner);
		return -ENOMEM;
	}
	wrap_init(&f->wrap, inner, fault_around, fault_destroy);
	f->rc = -ERR_SERVER;
	*out = f;
	return 0;
}

/* fault_set: the count-th calls from the fail_at-th on fail with rc; counting starts anew. */
static inline void fault_set(
	struct fault *f, unsigned kinds, unsigned fail_at, unsigned count, enum fault_when when, int rc)
{
	f->kinds = kinds;
	f->when = when;
	f->rc = rc;
	atomic_store(&f->seen, 0);
	atomic_store(&f->count, count);
	atomic_store(&f->fail_at, fail_at);
}

#endif
