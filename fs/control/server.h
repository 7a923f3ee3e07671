/* SPDX-License-Identifier: GPL-3.0-or-later */
/* server: the daemon's end of the socket: accepts, reads one request a connection, checks who asks, runs the operation
 * on a thread of its own, writes the last line. Knows nothing of files or stores: the operations are a table.
 *
 * Bounded: SERVER_CONNECTIONS at once (one more is told so and sent away), SERVER_REQUEST_BYTES and
 * SERVER_REQUEST_NS for a request, SERVER_SEND_NS for the other end to take a line.
 *
 * Ends in two steps. server_drain: no new requests, those that wait are cut, and it returns when only parked ones are
 * left, which wait for the end itself. server_stop: those are told how it ended. */
#ifndef FS_CONTROL_SERVER_H
#define FS_CONTROL_SERVER_H

#include "base/clock.h"
#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SERVER_CONNECTIONS   64
#define SERVER_REQUEST_BYTES 65536
#define SERVER_REQUEST_NS    (5 * NS_PER_S)
#define SERVER_SEND_NS	     (30 * NS_PER_S)

struct server;

struct request {
	struct server *server;
	int sock;
	json_t *body;
	int fd;		    /* the descriptor that came with it, or -1; closed after the operation */
	uid_t uid;	    /* of the peer */
	bool owner;	    /* it is the daemon's user or root */
	json_t *last;	    /* the last line: an operation may add facts */
	struct errmsg *msg; /* the sentence that goes with an error */
	void *ctx;	    /* the table's */
};

struct server_op {
	const char *name;
	bool wants_fd; /* refused without a descriptor; one that does not want it is refused with one */
	bool by_owner; /* only the daemon's user and root may ask */
	/* 0 or a negative error, which becomes the last line's status; on the request's thread */
	int (*run)(struct request *);
};

/* server_start: listens on a socket of that path and mode. ops ends with a NULL name and stays the caller's, as ctx
 * does, until server_stop. 0, -errno. */
int server_start(
	struct server **, const char *path, mode_t mode, const struct server_op *ops, void *ctx, struct errmsg *);
void server_drain(struct server *);
/* server_stop: drains first where that was not done; rc and sentence (NULL: err_text's) are what the parked are told.
 * Frees; accepts NULL. */
void server_stop(struct server *, int rc, const char *sentence);

/* server_answer: one connected socket from its first byte to its last line, on this thread; closes it. What the
 * listener does for each; here for the fuzzer. */
void server_answer(struct server *, int sock);

/* For operations. request_send: one line of the answer (stolen). request_wait: until fd (-1: none) is readable or the
 * deadline (0 both), -ECANCELED when the asker has hung up, -ERR_STOPPED when the daemon stops. request_outlast: until
 * fd is readable, whether the asker is still there or not; -ERR_STOPPED. request_park: until the daemon has stopped:
 * what it ended with; -ECANCELED. */
int request_send(struct request *, json_t *);
int request_wait(struct request *, int fd, int64_t deadline_ns);
int request_outlast(struct request *, int fd);
int request_park(struct request *);

#endif
