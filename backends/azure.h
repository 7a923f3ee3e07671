/* SPDX-License-Identifier: GPL-3.0-or-later */
/* azure: what the files of the driver for Azure Blob Storage share (Microsoft's "Blob Service REST API"). */
#ifndef BACKENDS_AZURE_H
#define BACKENDS_AZURE_H

#include "backends/azure_sign.h"
#include "backends/http.h"
#include "backends/secret.h"

#include <stdatomic.h>

#define AZURE_VERSION	"2020-10-02" /* x-ms-version: older than what stores an unencoded name otherwise in XML */
#define AZURE_PAIRS_MAX 8u

struct azure {
	struct backend backend;
	struct http *http;
	struct secret secret; /* the account's key, or a shared access signature */
	char *origin;	      /* "https://host:port" */
	char *base;	      /* path of the container, encoded, without a trailing slash */
	atomic_bool keeps;    /* the account was seen to keep what is deleted */
};

/* azure_signs_url: the secret is a shared access signature, not the key of an account. */
static inline bool azure_signs_url(const struct config_backend *config)
{
	return config->sas_file || !config->user;
}

struct azure_request {
	struct http_request http; /* method, body, guarded, accept, sink and sink_max are the caller's */
	struct azure *azure;
	struct call *call;
	const char *key; /* NULL: the container */
	/* values not encoded; both in the order of their names; ended by a NULL name */
	struct azure_pair query[AZURE_PAIRS_MAX], headers[AZURE_PAIRS_MAX]; /* headers: x-ms- ones */
	const char *md5;						    /* of the body, or NULL */
	bool create;							    /* only where there is no such blob */
	uint64_t range_off, range_len;					    /* len 0: no Range header */
	/* azure_perform's */
	char *path;
	struct http_response response;
};
/* of the response's kept headers */
enum { AZURE_CODE, AZURE_DATE, AZURE_PERMANENT, AZURE_VERSION_ID };

/* azure_perform: signs, sends, and turns every answer that is not 2xx into an error with a sentence in call->msg. The
 * response is valid until azure_request_free, also after an error. Blocks. */
int azure_perform(struct azure_request *);
void azure_request_free(struct azure_request *);
/* azure_request: of a method on a key, NULL for the container. */
struct azure_request azure_request(struct backend *, struct call *, const char *method, const char *key);

/* azure_del: as of backend_ops (azure_delete.c). */
int azure_del(struct backend *, struct call *, const char *key);

#endif
