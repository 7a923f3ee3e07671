/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/place/receipt.h"

#include "base/text.h"
#include "fs/place/internal.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIGNATURE_NAME "\nsignature: "
#define SIGNATURE_TEXT 89 /* 64 bytes in base64, with the NUL */

/* The lines, in their order; part of the format. */
static const char *const names[] = { "store", "filesystem", "order", "source", "source-is", "source-zone", "target",
	"target-zone", "asked", "asked-by", "deadline", "finished", "files", "objects", "bytes", "moved-objects",
	"moved-bytes", "deleted-objects", "erased-leftovers", "listed", "left", "not-of-this-store", "audit-line",
	"public-key", "signature" };
#define NAMES (sizeof names / sizeof *names)

/* ---- writing ---------------------------------------------------------------------------------------------------- */

/* Names of the configuration may hold anything: a control character would end a line. */
void receipt_line(struct buf *out, const char *name, const char *fmt, ...)
{
	char *value;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&value, fmt, ap);
	va_end(ap);
	if (n < 0) {
		out->err = -ENOMEM;
		return;
	}
	for (char *c = value; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	buf_printf(out, "%s: %s\n", name, value);
	free(value);
}

void receipt_begin(struct buf *out, const struct keyring *keyring)
{
	char store[2 * STORE_ID_BYTES + 1];

	text_hex(keyring_store_id(keyring), STORE_ID_BYTES, store);
	buf_str(out, RECEIPT_FIRST_LINE);
	receipt_line(out, "store", "%s", store);
}

static void base64(const uint8_t *data, size_t len, char *out, size_t room)
{
	sodium_bin2base64(out, room, data, len, sodium_base64_VARIANT_ORIGINAL);
}

int receipt_sign(struct buf *out, struct keyring *keyring)
{
	uint8_t public[crypto_sign_PUBLICKEYBYTES], signature[crypto_sign_BYTES], *secret;
	char key_text[RECEIPT_KEY_TEXT], signature_text[SIGNATURE_TEXT];
	int rc = audit_key_pair(keyring, public, &secret);

	if (rc < 0)
		return rc;
	base64(public, sizeof public, key_text, sizeof key_text);
	receipt_line(out, "public-key", "%s", key_text);
	crypto_sign_detached(signature, NULL, out->data, out->len, secret);
	sodium_free(secret);
	base64(signature, sizeof signature, signature_text, sizeof signature_text);
	receipt_line(out, "signature", "%s", signature_text);
	return out->err;
}

int receipt_key(struct keyring *keyring, char out[RECEIPT_KEY_TEXT])
{
	uint8_t public[crypto_sign_PUBLICKEYBYTES], *secret;
	int rc = audit_key_pair(keyring, public, &secret);

	if (rc < 0)
		return rc;
	sodium_free(secret);
	base64(public, sizeof public, out, RECEIPT_KEY_TEXT);
	return 0;
}

static int unbase64(const char *text, size_t len, uint8_t *out, size_t want)
{
	const char *end;
	size_t got;

	if (sodium_base642bin(out, want, text, len, NULL, &got, &end, sodium_base64_VARIANT_ORIGINAL) < 0 ||
		end != text + len || got != want)
		return -EINVAL;
	return 0;
}

int receipt_key_read(const char *text, uint8_t out[RECEIPT_KEY_BYTES])
{
	return unbase64(text, strlen(text), out, RECEIPT_KEY_BYTES);
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

/* The next line, "name: value"; false at the end, or where it is none. */
static bool next_line(const char **at, const char *end, const char *name, const char **value, size_t *len)
{
	size_t name_len = strlen(name);
	const char *line = *at, *stop = memchr(line, '\n', (size_t)(end - line));

	if (!stop || (size_t)(stop - line) < name_len + 2 || memcmp(line, name, name_len) != 0 ||
		memcmp(line + name_len, ": ", 2) != 0)
		return false;
	*value = line + name_len + 2;
	*len = (size_t)(stop - *value);
	*at = stop + 1;
	return true;
}

static int first_line(const char **at, const char *end)
{
	static const char any[] = "borderfs receipt ";

	if ((size_t)(end - *at) < sizeof any || memcmp(*at, any, sizeof any - 1) != 0)
		return -ERR_FORMAT;
	if ((size_t)(end - *at) < strlen(RECEIPT_FIRST_LINE) ||
		memcmp(*at, RECEIPT_FIRST_LINE, strlen(RECEIPT_FIRST_LINE)) != 0)
		return -ERR_NEWER;
	*at += strlen(RECEIPT_FIRST_LINE);
	return 0;
}

json_t *receipt_json(const char *text, size_t len)
{
	const char *at = text, *end = text + len, *value;
	json_t *object = first_line(&at, end) < 0 ? NULL : json_pack("{s:s}", "borderfs-receipt", "1");
	size_t value_len;

	for (size_t i = 0; object && i < NAMES; i++) {
		if (!next_line(&at, end, names[i], &value, &value_len) ||
			json_object_set_new(object, names[i], json_stringn(value, value_len)) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	if (object && at != end) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static int from_json(const json_t *object, struct buf *out)
{
	const char *version = json_string_value(json_object_get(object, "borderfs-receipt"));

	if (!version || json_object_size(object) != NAMES + 1)
		return -ERR_FORMAT;
	if (strcmp(version, "1") != 0)
		return -ERR_NEWER;
	buf_str(out, RECEIPT_FIRST_LINE);
	for (size_t i = 0; i < NAMES; i++) {
		const char *value = json_string_value(json_object_get(object, names[i]));

		if (!value)
			return -ERR_FORMAT;
		receipt_line(out, names[i], "%s", value);
	}
	return out->err;
}

int receipt_text(const char *data, size_t len, struct buf *out)
{
	const char *at = data;
	json_t *object;
	int rc = first_line(&at, data + len);

	if (rc == 0)
		buf_put(out, data, len);
	if (rc != -ERR_FORMAT)
		return rc < 0 ? rc : out->err;
	if (!(object = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL)))
		return -ERR_FORMAT;
	rc = from_json(object, out);
	json_decref(object);
	return rc;
}

/* What is signed ends with the line before the signature's. */
static int split(const char *text, size_t len, uint8_t key[RECEIPT_KEY_BYTES], uint8_t signature[crypto_sign_BYTES],
	size_t *signed_len)
{
	json_t *object = receipt_json(text, len);
	const char *key_text = json_string_value(json_object_get(object, "public-key"));
	const char *signature_text = json_string_value(json_object_get(object, "signature"));
	int rc = -ERR_FORMAT;

	if (key_text && signature_text && receipt_key_read(key_text, key) == 0 &&
		unbase64(signature_text, strlen(signature_text), signature, crypto_sign_BYTES) == 0) {
		*signed_len = len - strlen(signature_text) - strlen(SIGNATURE_NAME);
		rc = 0;
	}
	json_decref(object);
	return rc;
}

int receipt_check(const char *text, size_t len, const uint8_t key[RECEIPT_KEY_BYTES], struct errmsg *msg)
{
	uint8_t named[RECEIPT_KEY_BYTES], signature[crypto_sign_BYTES];
	const char *at = text;
	size_t signed_len;
	int rc = first_line(&at, text + len);

	if (rc < 0)
		return errmsg_set(msg, rc, "it is no receipt of a version that this borderfs knows");
	if ((rc = split(text, len, named, signature, &signed_len)) < 0)
		return errmsg_set(msg, rc, "it is no whole receipt: a line is missing, or stands in another place");
	if (sodium_memcmp(named, key, RECEIPT_KEY_BYTES) != 0)
		return errmsg_set(msg, -ERR_KEY, "it names another store's key than the one it was checked with");
	if (crypto_sign_verify_detached(signature, (const uint8_t *)text, signed_len, key) < 0)
		return errmsg_set(msg, -ERR_TAMPERED, "it was changed since it was signed");
	return 0;
}
