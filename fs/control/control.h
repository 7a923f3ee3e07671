/* SPDX-License-Identifier: GPL-3.0-or-later */
/* control: the daemon's socket, and what the commands ask of it.
 *
 * `control.sock` in the store, mode 0600, one request a connection: a line of JSON, with an O_PATH descriptor as
 * SCM_RIGHTS where it speaks of a path (the kernel's permissions decided when the command opened it), answered by lines
 * of JSON, the last one {"done":true,"status":N,...}. Peer credentials are checked: the store's owner and root may ask
 * anything; others only what they hold a descriptor for, and what approvers may (approval.h), who need not
 * reach the store: for them there is a second socket, where the configuration's `approvers-socket` says, which lets
 * anybody in and knows nothing else. Bounded: size of a request, connections at once, time to
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
	const char *mountpoint; /* absolute */
};
int control_start(struct control **, const struct control_options *, struct errmsg *);
void control_drain(struct control *); /* ends what runs, refuses what comes; who waits for the end goes on waiting */
/* control_stop: drains where that was not done, and tells who waits for the end how it came: rc of core_stop, and a
 * sentence or NULL. Accepts NULL. */
void control_stop(struct control *, int rc, const char *sentence);
/* A reload: the file of the configuration in force is read again, on a thread that nobody waits for, since it may be on
 * a disk that does not answer; and what was read is put in force, whole or not at all.
 *
 * control_reload_begin: starts the reading. control_reload_fd: readable when it has been read; -1 for NULL.
 * control_reload_end: puts it in force unless a reload that began later did so already, and frees. msgs receives the
 * findings. 0, -ERR_CONFIG, also for a configuration that cannot be mounted there, as core_reload; -ERR_STOPPED where
 * it has not been read yet: then it is given up. Blocks on the local disk. */
struct control_reload;
int control_reload_begin(struct control_reload **, struct core *, const char *mountpoint);
int control_reload_fd(const struct control_reload *);
int control_reload_end(struct control_reload *, struct config_messages *msgs, struct errmsg *);
/* Reading alone: of a file (NULL: that of the one in force), for who wants to know what it would do. control_read_end:
 * *out is the caller's; errors as above. */
int control_read_begin(struct control_reload **, struct core *, const char *mountpoint, const char *file);
int control_read_end(struct control_reload *, struct config **out, struct config_messages *msgs, struct errmsg *);

/* control_cache_drop: drops every local copy that is durably known to be on a backend, and adds to facts what became of
 * it: "bytes_dropped", "bytes_left", "bytes_dirty", "bytes_pinned". Blocks on the local disk. */
int control_cache_drop(struct core *, json_t *facts);

/* The client side. Which daemon is asked. */
struct control_at {
	const char *config_file; /* for messages */
	const char *store;
	const char *approvers_socket; /* asked where the store's own lets one not in; or NULL */
};
/* control_ask: connects to the daemon of the store, sends {"op":op, ...args}, with fd
 * if not -1, and calls line for each answer but the last; *last receives the last one (json_decref). line's negative
 * result ends it and is returned. args may be NULL (stolen). -ECONNREFUSED where no daemon runs, with a sentence;
 * -EACCES; -EPROTO. Blocks until the answer ends. */
int control_ask(const struct control_at *, const char *op, json_t *args, int fd, int (*line)(void *ctx, json_t *),
	void *ctx, json_t **last, struct errmsg *);
/* control_pid: the process that serves the store, 0 if nobody does, -1 where its number is not known here. */
pid_t control_pid(const char *store);

#endif
