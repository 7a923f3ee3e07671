/* SPDX-License-Identifier: GPL-3.0-or-later */
/* control: the daemon's socket, and what the commands ask of it.
 *
 * `control.sock` in the store, mode 0600, one request a connection: a line of JSON, with an O_PATH descriptor as
 * SCM_RIGHTS where it speaks of a path (the kernel's permissions decided when the command opened it), answered by lines
 * of JSON, the last one {"done":true,"status":N,...}. Peer credentials are checked: the store's owner and root may ask
 * anything; others only what they hold a descriptor for. Bounded: size of a request, connections at once, time to
 * send it. Each request has a thread of its own from a bounded number. */
#ifndef FS_CONTROL_CONTROL_H
#define FS_CONTROL_CONTROL_H

#include "fs/core/core.h"
#include "fs/front/front.h"

#include <jansson.h>

struct control;

struct control_options {
	struct core *core;
	struct front *front;
	void (*umount)(void *ctx); /* asks the daemon to stop; must not block */
	void *ctx;
};
int control_start(struct control **, const struct control_options *, struct errmsg *);
void control_stop(struct control *); /* waits for requests under way, cutting their waits; accepts NULL */

/* The client side. control_ask: connects to the daemon of the configuration's store, sends {"op":op, ...args}, with fd
 * if not -1, and calls line for each answer but the last; *last receives the last one (json_decref). args may be NULL
 * (stolen). -ECONNREFUSED where no daemon runs, with a sentence; -EACCES; -EPROTO. Blocks until the answer ends. */
int control_ask(const struct config *, const char *op, json_t *args, int fd, int (*line)(void *ctx, json_t *),
	void *ctx, json_t **last, struct errmsg *);

#endif
