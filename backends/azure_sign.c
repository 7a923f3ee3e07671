/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/azure_sign.h"

#include "base/err.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define KEY_BYTES_MAX	256u
#define SIGNATURE_BYTES crypto_auth_hmacsha256_BYTES

/* not strftime: the names would be in the user's language */
void azure_date(time_t t, char out[AZURE_DATE_BYTES])
{
	static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov",
		"Dec" };
	struct tm tm;

	gmtime_r(&t, &tm);
	snprintf(out, AZURE_DATE_BYTES, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[tm.tm_wday % 7],
		(unsigned)tm.tm_mday % 100, months[tm.tm_mon % 12], (unsigned)(tm.tm_year + 1900) % 10000,
		(unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

/* Verb, Content-Encoding, Content-Language, Content-Length, Content-MD5, Content-Type, Date, If-Modified-Since,
 * If-Match, If-None-Match, If-Unmodified-Since, Range, a line each; those that are never sent are empty. */
static void standard_headers(const struct azure_text *q, struct buf *out)
{
	buf_printf(out, "%s\n\n\n", q->method);
	if (q->length)
		buf_printf(out, "%" PRIu64, q->length);
	buf_printf(out, "\n%s\n\n\n\n\n%s\n\n%s\n", q->md5, q->if_none_match, q->range);
}

void azure_string_to_sign(const struct azure_text *q, struct buf *out)
{
	standard_headers(q, out);
	for (size_t i = 0; i < q->header_count; i++)
		buf_printf(out, "%s:%s\n", q->headers[i].name, q->headers[i].value);
	buf_printf(out, "/%s%s", q->account, q->path);
	for (size_t i = 0; i < q->query_count; i++)
		buf_printf(out, "\n%s:%s", q->query[i].name, q->query[i].value);
}

static int sign(const char *key, const struct buf *text, uint8_t out[SIGNATURE_BYTES])
{
	crypto_auth_hmacsha256_state st;
	uint8_t raw[KEY_BYTES_MAX];
	size_t len;

	if (sodium_base642bin(raw, sizeof raw, key, strlen(key), "\r\n ", &len, NULL, sodium_base64_VARIANT_ORIGINAL) ||
		!len)
		return -ERR_KEY;
	crypto_auth_hmacsha256_init(&st, raw, len);
	crypto_auth_hmacsha256_update(&st, text->data, text->len);
	crypto_auth_hmacsha256_final(&st, out);
	sodium_memzero(raw, sizeof raw);
	sodium_memzero(&st, sizeof st);
	return 0;
}

int azure_authorization(const struct azure_text *q, const char *key, struct buf *out)
{
	char encoded[sodium_base64_ENCODED_LEN(SIGNATURE_BYTES, sodium_base64_VARIANT_ORIGINAL)];
	uint8_t signature[SIGNATURE_BYTES];
	struct buf text = BUF_INIT;
	int rc;

	azure_string_to_sign(q, &text);
	rc = text.err ? text.err : sign(key, &text, signature);
	if (!rc) {
		sodium_bin2base64(encoded, sizeof encoded, signature, sizeof signature, sodium_base64_VARIANT_ORIGINAL);
		buf_printf(out, "SharedKey %s:%s", q->account, encoded);
		rc = out->err;
	}
	buf_free(&text);
	return rc;
}
