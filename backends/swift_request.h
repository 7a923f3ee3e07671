/* SPDX-License-Identifier: GPL-3.0-or-later */
/* swift_request: one request to a container or an object of Swift, with a token, and what its answer means. */
#ifndef BACKENDS_SWIFT_REQUEST_H
#define BACKENDS_SWIFT_REQUEST_H

#include "backends/swift_auth.h"

#define SWIFT_HASH_HEX 33u

struct swift {
	struct backend backend;
	struct swift_auth auth;
};

struct swift_request {
	/* method, body, guarded, accept, sink, sink_max and keep from the second on are the caller's; the first kept
	 * header is X-Trans-Id */
	struct http_request http;
	struct swift *swift;
	struct call *call;
	const char *key;	       /* NULL: the container */
	const char *query;	       /* encoded, or NULL */
	uint64_t range_off, range_len; /* len 0: no Range header */
	char hash[SWIFT_HASH_HEX];     /* of the body, hexadecimal, sent as its ETag; "": none */
	/* swift_perform's */
	unsigned generation; /* of the token sent */
	struct http_response response;
};

/* swift_perform: sends, once more with a new token where the one it had is refused, and turns every answer that is not
 * 2xx into an error with a sentence in call->msg. -ERR_ABSENT and -ERR_NO_BUCKET only where Swift itself said so. The
 * response is valid until swift_request_free, also after an error. Blocks. */
int swift_perform(struct swift_request *);
void swift_request_free(struct swift_request *);
/* swift_misanswered: -ERR_PROTOCOL with the sentence "…: what". */
int swift_misanswered(struct swift_request *, const char *what);

#endif
