/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/s3_sign.h"

#include "base/text.h"

#include <sodium.h>
#include <string.h>

void s3_stamp(time_t t, char out[S3_STAMP_BYTES])
{
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, S3_STAMP_BYTES, "%Y%m%dT%H%M%SZ", &tm);
}

static void hmac(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[S3_HASH_BYTES])
{
	crypto_auth_hmacsha256_state st;

	crypto_auth_hmacsha256_init(&st, key, key_len);
	crypto_auth_hmacsha256_update(&st, data, len);
	crypto_auth_hmacsha256_final(&st, out);
	sodium_memzero(&st, sizeof st);
}

void s3_signing_key(const char *secret, const char *stamp, const char *region, uint8_t out[S3_HASH_BYTES])
{
	char first[4 + S3_SECRET_BYTES_MAX];
	size_t len = strnlen(secret, S3_SECRET_BYTES_MAX);

	memcpy(first, "AWS4", 4);
	memcpy(first + 4, secret, len);
	hmac(first, 4 + len, stamp, 8, out);
	sodium_memzero(first, sizeof first);
	hmac(out, S3_HASH_BYTES, region, strlen(region), out);
	hmac(out, S3_HASH_BYTES, "s3", 2, out);
	hmac(out, S3_HASH_BYTES, "aws4_request", 12, out);
}

static void signed_names(const struct s3_request_text *q, struct buf *out)
{
	for (size_t i = 0; i < q->header_count; i++)
		buf_printf(out, "%s%s", i ? ";" : "", q->headers[i].name);
}

static void canonical_request(const struct s3_request_text *q, struct buf *out)
{
	buf_printf(out, "%s\n%s\n%s\n", q->method, q->path, q->query);
	for (size_t i = 0; i < q->header_count; i++)
		buf_printf(out, "%s:%s\n", q->headers[i].name, q->headers[i].value);
	buf_str(out, "\n");
	signed_names(q, out);
	buf_printf(out, "\n%s", q->body_hash);
}

static void string_to_sign(const struct s3_request_text *q, const char *stamp, const char *region, struct buf *out)
{
	struct buf canonical = BUF_INIT;
	uint8_t hash[S3_HASH_BYTES];
	char hex[S3_HASH_HEX];

	canonical_request(q, &canonical);
	crypto_hash_sha256(hash, canonical.data, canonical.len);
	text_hex(hash, sizeof hash, hex);
	buf_printf(out, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/s3/aws4_request\n%s", stamp, stamp, region, hex);
	if (canonical.err)
		out->err = canonical.err;
	buf_free(&canonical);
}

void s3_authorization(const struct s3_request_text *q, const uint8_t key[S3_HASH_BYTES], const char *access_key,
	const char *stamp, const char *region, struct buf *out)
{
	uint8_t signature[S3_HASH_BYTES];
	struct buf text = BUF_INIT;
	char hex[S3_HASH_HEX];

	string_to_sign(q, stamp, region, &text);
	hmac(key, S3_HASH_BYTES, text.data, text.len, signature);
	buf_printf(out, "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/s3/aws4_request,SignedHeaders=", access_key, stamp,
		region);
	signed_names(q, out);
	buf_printf(out, ",Signature=%s", text_hex(signature, sizeof signature, hex));
	if (text.err)
		out->err = text.err;
	buf_free(&text);
}
