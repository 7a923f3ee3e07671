/* SPDX-License-Identifier: GPL-3.0-or-later */
/* http_slot: one place in a backend's pool: a curl handle with at most one open connection. */
#ifndef BACKENDS_HTTP_SLOT_H
#define BACKENDS_HTTP_SLOT_H

#include "backends/conn_pool.h"
#include "backends/http.h"
#include "backends/secret.h"

#include <curl/curl.h>

struct http_slot {
	struct conn_slot place; /* in the pool */
	struct http *http;
	CURL *easy;
	CURLM *multi;
	bool challenged;     /* the handle knows the server's nonce (Digest) */
	struct list sockets; /* open ones; only the thread that holds the slot walks it */

	/* of the request under way */
	struct call *call;
	struct http_request *request;
	struct http_response *response;
	struct call_hook wake; /* ends curl's wait when the call is cut */
	int rc;		       /* the first error one of our callbacks found */
	int refused;	       /* guard_peer's error for an address; decides only if no other address answered */
	struct errmsg refused_msg;
	bool reuse;	/* the connection in the slot serves this request too */
	bool fresh;	/* a socket was opened for this request */
	bool untold;	/* a connection was opened of which nobody was told yet */
	bool expect;	/* Expect: 100-continue was sent with it */
	bool ask_first; /* the connection turned out to be new: to be done again with expect */
	bool accepted;
	bool anonymous;	     /* this is a request without a login, to see how the server asks for one */
	int64_t progress_ns; /* monotonic: when bytes moved last, enough of them */
	size_t moved;	     /* bytes of an answer since then */
	uint64_t body_off, header_bytes, sink_bytes;
	char error[CURL_ERROR_SIZE];
};

void http_pool_free(struct http *);
/* http_pool_take: a slot for the caller's thread; waits its turn. -ERR_TIMEOUT (with call->own_wait), the call's cut,
 * -ENOMEM. */
int http_pool_take(struct http *, struct call *, struct http_slot **);
/* http_pool_give: back to the pool; discard closes its connection, in case it can no longer be trusted. */
void http_pool_give(struct http_slot *, bool discard);

struct http {
	const struct config_backend *config;
	struct conn_pool pool;
	char *pins; /* as CURLOPT_PINNEDPUBLICKEY takes them, or NULL */
	struct secret client_key;
	char *host; /* host of the endpoint, for messages */
	bool tls;
	struct http_login *login; /* or NULL */
};
bool http_is_loopback(const char *host);

/* http_slot_transfer: makes the slot's request on its handle: 0 with an answer, or the error nearest to the cause. */
int http_slot_transfer(struct http_slot *);

/* http_slot_arm: sets every option and callback on the slot's handle for its request. */
int http_slot_arm(struct http_slot *, struct curl_slist *headers);
/* http_slot_attach: from now on a cut of the call resets the slot's sockets. The call's error if it is cut. */
int http_slot_attach(struct http_slot *);
void http_slot_detach(struct http_slot *);
/* http_slot_connected: the slot has a connection that its server has not closed meanwhile, and on which nothing lies
 * that nobody asked for: curl would take it for the answer to the next request. Never blocks. */
bool http_slot_connected(const struct http_slot *);

/* http_login_prepare: finds out what must be known before the slot's request is made, if anything. 0: it may be made;
 * 1: an answer that says that it would fail is at hand, and stands for its own; or an error. */
int http_login_prepare(struct http_slot *);
/* http_login_learn: takes from the answer at hand how the server asks for a login. -ERR_DENIED with a sentence where it
 * asks in no way that can be. */
int http_login_learn(struct http_slot *);

#endif
