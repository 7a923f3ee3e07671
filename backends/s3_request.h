/* SPDX-License-Identifier: GPL-3.0-or-later */
/* s3_request: one signed request to an S3 endpoint and what its answer means. */
#ifndef BACKENDS_S3_REQUEST_H
#define BACKENDS_S3_REQUEST_H

#include "backends/http.h"
#include "backends/s3_secret.h"

struct s3 {
	struct backend backend;
	struct http *http;
	struct s3_secret secret;
	char *origin;	 /* "https://host:port" */
	char *authority; /* the Host header: "host:port" */
	char *base;	 /* path below which the bucket's keys are, encoded, without a trailing slash: "/bucket", "" */
};

struct s3_request {
	struct http_request http; /* method, body, guarded, accept, sink and sink_max are the caller's */
	struct s3 *s3;
	struct call *call;
	const char *key;	       /* NULL: the bucket */
	const char *query;	       /* canonical, or NULL */
	uint64_t range_off, range_len; /* len 0: no Range header */
	/* s3_perform's */
	char body_hash[S3_HASH_HEX];
	char *path;
	struct http_response response;
};

/* s3_perform: signs, sends, and turns every answer that is not 2xx into an error with a sentence in call->msg. The
 * response is valid until s3_request_free, also after an error. Blocks. */
int s3_perform(struct s3_request *);
void s3_request_free(struct s3_request *);
/* s3_refused: the error for status and the error document (or what stands in its place), with its sentence. */
int s3_refused(struct s3_request *, int status, const void *text, size_t len);
/* s3_misanswered: -ERR_PROTOCOL with the sentence "…: what". */
int s3_misanswered(struct s3_request *, const char *what);

/* s3_versions.c. s3_purge: every version of an object, and every mark of its deletion. */
int s3_remnants(struct backend *, struct call *, struct backend_remnants *);
int s3_erase(struct backend *, struct call *, const struct backend_remnant *);
int s3_purge(struct backend *, struct call *, const char *key);

/* s3_multipart.c */
int s3_multipart_begin(struct backend *, struct call *, const char *key, struct multipart **);
int s3_multipart_part(struct backend *, struct call *, struct multipart *, unsigned number, struct source *);
int s3_multipart_complete(struct backend *, struct call *, struct multipart *);
void s3_multipart_abort(struct backend *, struct call *, struct multipart *);

#endif
