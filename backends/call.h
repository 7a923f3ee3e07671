/* SPDX-License-Identifier: GPL-3.0-or-later */
/* call: what drivers and wrappers do with the struct call of backend.h: hooks that a cut runs, waits that a cut ends,
 * and the gate that every chunk passes. For this room only. */
#ifndef BACKENDS_CALL_H
#define BACKENDS_CALL_H

#include "backends/backend.h"

#include <sys/types.h>

/* Something that must happen at once when the call is cut. cut runs in the cutting thread with the call's lock held:
 * it must not block, and must take no lock. */
struct call_hook {
	struct list link; /* in call->conns */
	void (*cut)(struct call_hook *);
};
/* call_attach: from now on until call_detach the hook runs when the call is cut. The call's error if it is cut
 * already: then the hook is not attached. */
int call_attach(struct call *, struct call_hook *);
/* call_detach: when it returns the hook neither runs nor will run. Harmless for a hook that is not attached. */
void call_detach(struct call *, struct call_hook *);

/* call_state: 0, what the call was cut with, or -ERR_TIMEOUT past its deadline. */
int call_state(struct call *);

/* A wait for an event that another thread reports with call_wake. */
struct call_waiter {
	struct call *call;
	struct call_hook hook;
	pthread_cond_t cond;
	bool woken;
};
void call_waiter_init(struct call_waiter *, struct call *);
void call_waiter_destroy(struct call_waiter *);
/* call_wait: until call_wake (0), until_ns (monotonic; -ETIMEDOUT), the call's deadline (-ERR_TIMEOUT) or its cut. */
int call_wait(struct call_waiter *, int64_t until_ns);
/* call_wake: from any thread, while the waiter is known to exist. Takes the call's lock. */
void call_wake(struct call_waiter *);
/* call_pause: waits until until_ns: 0, -ERR_TIMEOUT at the call's deadline, or its cut. */
int call_pause(struct call *, int64_t until_ns);

/* call_permit: may up to want bytes (> 0) of a body be moved now? Returns how many, at least one, after the wait that
 * limit (or NULL) asks for; or what the call was cut with, or -ERR_TIMEOUT. */
ssize_t call_permit(struct call *, struct limit *, size_t want);
/* call_sent: adds to body_sent. call_peer: sets peer. */
void call_sent(struct call *, uint64_t bytes);
void call_set_peer(struct call *, const char *address);

#endif
