/* SPDX-License-Identifier: GPL-3.0-or-later */
/* guard_pass: the inner side of the guard, for the wrappers and drivers of this room. Every hop of a body, from
 * guard_put down to the driver, is made by one of these; nothing else calls ops->put or ops->multipart_part. */
#ifndef BACKENDS_GUARD_PASS_H
#define BACKENDS_GUARD_PASS_H

#include "backends/backend.h"

/* guard_ask: I1 for one request that carries a body: -ERR_BORDER unless the call's zone is the backend's, what the
 * call was cut with, or the answer of call->check, which is asked with no lock held. */
int guard_ask(const struct backend *, struct call *);
/* guard_pass_put, guard_pass_part: hand the body on; before a driver (not a wrapper) guard_ask is asked, so that every
 * try of the retry wrapper is judged anew. */
int guard_pass_put(struct backend *, struct call *, const char *key, struct source *);
int guard_pass_part(struct backend *, struct call *, struct multipart *, unsigned number, struct source *);

#endif
