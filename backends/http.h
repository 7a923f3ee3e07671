/* SPDX-License-Identifier: GPL-3.0-or-later */
/* http: one request and its answer over HTTP/1.1 (RFC 9112), by libcurl, for the drivers of this room.
 *
 * A pool of connections per backend; each belongs to one request at a time. I2 lives here: the peer's address is judged
 * before connect and again before the first byte of every request, TLS is verified and pinned, no proxy comes from
 * the environment, and a redirect is an error. I1 too: the guard is asked again in the instant before a request with a
 * body is sent, and a cut call has its sockets reset under the call's lock. */
#ifndef BACKENDS_HTTP_H
#define BACKENDS_HTTP_H

#include "backends/backend.h"
#include "base/buf.h"

#define HTTP_HEADER_BYTES_MAX	  (64u << 10)
#define HTTP_ERROR_BYTES_MAX	  (64u << 10) /* of the body of an answer that is not 2xx */
#define HTTP_KEEP_MAX		  4u
#define HTTP_CLIENT_KEY_BYTES_MAX (64u << 10)

/* backend, host asked, status, host it pointed to */
#define HTTP_REDIRECT_TEXT                                                                                             \
	"backend '%s': %s answered with a redirect (%d) to %s, which is never followed; check endpoint and region"

struct http;

struct http_response {
	int status;
	int64_t length;	     /* Content-Length; -1: none */
	char *content_range; /* these as received, or NULL */
	char *etag;
	char *location;
	char *kept[HTTP_KEEP_MAX]; /* the headers that the request names in keep, or NULL; wiped when freed */
	int64_t retry_after_ns;	   /* bounded; 0: none */
	uint64_t received;	   /* bytes of the body */
	struct buf error;	   /* the body of an answer that is not 2xx, cut at HTTP_ERROR_BYTES_MAX */
};
void http_response_free(struct http_response *);

struct http_request {
	const char *method; /* "PUT", "POST": with an empty body where body is NULL; others: without one then */
	const char *url;    /* absolute, percent-encoded; of the backend's endpoint */
	const struct backend *backend;
	struct source *body;
	bool guarded; /* the body is an object's: guard_ask */
	/* prepare: called when a connection is at hand, before the request is sent: adds header lines ("Name: value",
	 * NUL-terminated, one after the other, ended by an empty one) to headers. Once for each try. May be NULL. */
	int (*prepare)(struct http_request *, struct buf *headers);
	/* accept: called once, when the head of a 2xx answer is complete and before its body: 0, or the error the
	 * request ends with. May be NULL. */
	int (*accept)(struct http_request *, const struct http_response *);
	struct sink *sink;		 /* of the body of a 2xx answer; NULL: dropped */
	uint64_t sink_max;		 /* -ERR_PROTOCOL past it */
	const char *keep[HTTP_KEEP_MAX]; /* names of further headers to keep of the answer; ended by NULL where fewer */
};

/* http_start: makes libcurl ready and warns of proxies in the environment; http_new does it, too. */
void http_start(void);
/* http_new: config is borrowed. Checks the endpoint's form and that ca-file can be read; touches no network.
 * -ERR_CONFIG with a sentence, -ENOMEM. */
int http_new(struct http **, const struct config_backend *, struct errmsg *);
/* http_new_at: the same for another URL than the endpoint: a protocol may have a second server. */
int http_new_at(struct http **, const struct config_backend *, const char *url, struct errmsg *);
/* http_free: closes all connections; no request may be under way. Accepts NULL. */
void http_free(struct http *);
/* http_host: of the endpoint, for messages. Borrowed. */
const char *http_host(const struct http *);
const struct config_backend *http_config(const struct http *);
/* http_misanswered: -ERR_PROTOCOL with the sentence "backend: host: what". */
int http_misanswered(const struct http *, const char *what, struct errmsg *);

/* http_perform: makes the request and waits for the whole answer. 0 with the answer in the response (of any status but
 * 3xx), which the caller frees in every case; -ERR_UNREACHABLE (also for a connection that broke), -ERR_TIMEOUT,
 * -ERR_PEER_ABROAD, -ERR_PEER_TLS, -ERR_REDIRECT, -ERR_PROTOCOL, what the call was cut with, or what guard, source,
 * sink, prepare or accept returned; with a sentence in call->msg (-ERR_REDIRECT without a Location: without). Blocks.
 */
int http_perform(struct http *, struct call *, struct http_request *, struct http_response *);

#endif
