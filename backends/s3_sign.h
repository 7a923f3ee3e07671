/* SPDX-License-Identifier: GPL-3.0-or-later */
/* s3_sign: AWS Signature Version 4 (Amazon S3 API Reference, "Authenticating Requests: Using the Authorization
 * Header"), with libsodium's HMAC-SHA256 and SHA-256. No function blocks. */
#ifndef BACKENDS_S3_SIGN_H
#define BACKENDS_S3_SIGN_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define S3_HASH_BYTES	    32u
#define S3_HASH_HEX	    65u
#define S3_SECRET_BYTES_MAX 1024u
#define S3_STAMP_BYTES	    17u /* "20130524T000000Z" and NUL; the first 8 are the day */

struct s3_header {
	const char *name; /* lower case */
	const char *value;
};

struct s3_request_text {
	const char *method;
	const char *path;		 /* percent-encoded once, as it goes on the wire */
	const char *query;		 /* canonical: sorted, encoded; "" for none */
	const struct s3_header *headers; /* to be signed, sorted by name */
	size_t header_count;
	const char *body_hash; /* hexadecimal */
};

/* s3_stamp: the time as SigV4 writes it. */
void s3_stamp(time_t, char out[S3_STAMP_BYTES]);
/* s3_signing_key: the key for one day and region, from at most S3_SECRET_BYTES_MAX bytes of secret. The caller wipes
 * it.
 */
void s3_signing_key(const char *secret, const char *stamp, const char *region, uint8_t out[S3_HASH_BYTES]);
/* s3_authorization: appends the value of the Authorization header. */
void s3_authorization(const struct s3_request_text *, const uint8_t key[S3_HASH_BYTES], const char *access_key,
	const char *stamp, const char *region, struct buf *out);

#endif
