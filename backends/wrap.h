/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wrap: a backend around another. Every call of the interface becomes one struct op, so that retry, breaker, meter,
 * limit and the faults of the tests are one function each. */
#ifndef BACKENDS_WRAP_H
#define BACKENDS_WRAP_H

#include "backends/backend.h"

enum op_kind {
	OP_PUT,
	OP_GET,
	OP_HEAD,
	OP_DEL,
	OP_LIST,
	OP_REMNANTS,
	OP_ERASE,
	OP_PROBE,
	OP_BEGIN,
	OP_PART,
	OP_COMPLETE,
	OP_ABORT
};

/* The arguments of a call; those its kind does not use are zero. */
struct op {
	enum op_kind kind;
	const char *key;
	struct source *source;
	uint64_t off, len;
	struct sink *sink;
	uint64_t *size;
	int (*fn)(void *ctx, const struct backend_object *);
	void *ctx;
	struct backend_remnants *page;
	const struct backend_remnant *remnant;
	struct multipart **begun, *upload;
	unsigned number;
};

struct wrap {
	struct backend backend; /* first: this is what callers hold */
	struct backend_ops ops;
	struct backend *inner; /* owned */
	/* around: does the call, usually by op_forward(w->inner, ...) once or more; the op may be changed. */
	int (*around)(struct wrap *, struct call *, struct op *);
	void (*destroy)(struct wrap *); /* frees the wrapper's own; the inner one is freed already */
};

/* wrap_init: fills backend, ops and inner; w->ops may be changed afterwards (status, is_down). Takes inner. */
void wrap_init(struct wrap *, struct backend *inner, int (*around)(struct wrap *, struct call *, struct op *),
	void (*destroy)(struct wrap *));
/* op_forward: makes the call on a backend; puts and parts go through the guard. */
int op_forward(struct backend *, struct call *, const struct op *);
/* op_name: "put", for messages. */
const char *op_name(enum op_kind);

/* The wrappers of backend_open. Each takes inner, also when it fails (-ENOMEM). */
int limit_wrap(struct backend **, struct backend *inner);
int retry_wrap(struct backend **, struct backend *inner);
int breaker_wrap(struct backend **, struct backend *inner);
int meter_wrap(struct backend **, struct backend *inner);

/* The drivers. */
int s3_open(struct backend **, struct config_backend *, struct errmsg *);
int swift_open(struct backend **, struct config_backend *, struct errmsg *);
int sftp_open(struct backend **, struct config_backend *, struct errmsg *);
int webdav_open(struct backend **, struct config_backend *, struct errmsg *);
int azure_open(struct backend **, struct config_backend *, struct errmsg *);
int local_open(struct backend **, struct config_backend *, struct errmsg *);

#endif
