/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/unicode.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>

static bool is_utf8(const char *s, size_t len)
{
	return u8_check((const uint8_t *)s, len) == NULL;
}

/* the library's result as a string: it has no NUL */
static char *finish(uint8_t *result, size_t len)
{
	char *out = result ? strndup((const char *)result, len) : NULL;

	free(result);
	return out;
}

static char *normalize(uninorm_t form, const char *s, size_t len)
{
	size_t out_len = 0;
	uint8_t *out;

	if (!is_utf8(s, len))
		return strndup(s, len);
	out = u8_normalize(form, (const uint8_t *)s, len, NULL, &out_len);
	return finish(out, out_len);
}

char *unicode_composed(const char *s, size_t len)
{
	return normalize(UNINORM_NFC, s, len);
}

char *unicode_decomposed(const char *s, size_t len)
{
	return normalize(UNINORM_NFD, s, len);
}

char *unicode_folded(const char *s, size_t len)
{
	size_t out_len = 0;
	uint8_t *out;

	if (!is_utf8(s, len))
		return strndup(s, len);
	out = u8_casefold((const uint8_t *)s, len, NULL, UNINORM_NFC, NULL, &out_len);
	return finish(out, out_len);
}
