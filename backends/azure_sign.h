/* SPDX-License-Identifier: GPL-3.0-or-later */
/* azure_sign: Shared Key authorization (learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key), with
 * libsodium's HMAC-SHA256. No function blocks. */
#ifndef BACKENDS_AZURE_SIGN_H
#define BACKENDS_AZURE_SIGN_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define AZURE_SECRET_BYTES_MAX 4096u
#define AZURE_DATE_BYTES       30u /* "Fri, 26 Jun 2015 23:39:12 GMT" and NUL */

struct azure_pair {
	const char *name, *value;
};

/* A request as it is signed; absent texts are "". */
struct azure_text {
	const char *method;
	uint64_t length;
	const char *md5, *if_none_match, *range; /* the headers' values */
	const struct azure_pair *headers;	 /* those that begin with x-ms-, in lower case, sorted by name */
	size_t header_count;
	const char *account;
	const char *path;		/* as it goes on the wire */
	const struct azure_pair *query; /* sorted by name, values not encoded */
	size_t query_count;
};

/* azure_date: the time as RFC 9110 writes it. */
void azure_date(time_t, char out[AZURE_DATE_BYTES]);
/* azure_string_to_sign: appends it. */
void azure_string_to_sign(const struct azure_text *, struct buf *out);
/* azure_authorization: appends the value of the Authorization header. key is in base64, as the portal gives it.
 * -ERR_KEY where it is not. */
int azure_authorization(const struct azure_text *, const char *key, struct buf *out);

#endif
