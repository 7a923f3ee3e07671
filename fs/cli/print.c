/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* The length of the UTF-8 character at s, of len bytes there, 0 where there is none (RFC 3629: no surrogates, nothing
 * overlong). */
static size_t character(const unsigned char *s, size_t len, uint32_t *value)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = *s < 0x80 ? 1 : *s < 0xc2 ? 0 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : *s < 0xf5 ? 4 : 0;
	uint32_t c = n > 1 ? *s & (0x7fU >> n) : *s;

	if (n > len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	*value = c;
	return n && c >= least[n] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? n : 0;
}

/* what a terminal would obey: also U+0080 to U+009F, of which U+009B is another ESC [ */
static bool is_control(uint32_t c)
{
	return c < ' ' || (c >= 0x7f && c < 0xa0);
}

/* A name may hold what a terminal would obey, a line break that would forge a line of ours, or bytes that are no text.
 */
static void put_visible(struct buf *out, const char *data, size_t len, bool lines)
{
	const unsigned char *s = (const unsigned char *)data;
	uint32_t value;

	for (size_t i = 0, n; i < len; i += n) {
		n = character(s + i, len - i, &value);
		if (n && (!is_control(value) || (lines && value == '\n'))) {
			buf_put(out, s + i, n);
			continue;
		}
		n = n ? n : 1;
		for (size_t j = 0; j < n; j++)
			buf_printf(out, "\\x%02x", s[i + j]);
	}
}

void complain(const char *fmt, ...)
{
	struct buf out = BUF_INIT;
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text)
		put_visible(&out, text, strlen(text), false);
	fflush(stdout);
	fprintf(stderr, "borderfs: %s\n", out.data ? (char *)out.data : "out of memory");
	buf_free(&out);
	free(text);
}

int complain_rc(int rc, struct errmsg *msg)
{
	complain("%s", errmsg_text(msg, rc));
	errmsg_free(msg);
	return outcome_of(rc);
}

const char *text_at(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

long long number_at(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

/* JSON lets U+007F and above stand as they are; these are inside its strings only. */
static void put_json(struct buf *out, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t len = strlen(text);
	uint32_t value;

	for (size_t i = 0, n; i < len; i += n) {
		n = character(s + i, len - i, &value);
		if (n && is_control(value))
			buf_printf(out, "\\u%04X", (unsigned)value);
		else
			buf_put(out, s + i, n ? n : 1);
		n = n ? n : 1;
	}
}

void print_json(const json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT | JSON_ENCODE_ANY);
	struct buf out = BUF_INIT;

	if (text)
		put_json(&out, text);
	buf_str(&out, "\n");
	fwrite(out.data ? out.data : (const uint8_t *)"", 1, out.len, stdout);
	fflush(stdout);
	buf_free(&out);
	free(text);
}

void print_text(const char *data, size_t len)
{
	struct buf out = BUF_INIT;

	put_visible(&out, data, len, true);
	fwrite(out.data ? out.data : (const uint8_t *)"", 1, out.len, stdout);
	buf_free(&out);
}

void print_text_line(const char *data, size_t len)
{
	struct buf out = BUF_INIT;

	put_visible(&out, data, len, false);
	buf_str(&out, "\n");
	fwrite(out.data ? out.data : (const uint8_t *)"", 1, out.len, stdout);
	buf_free(&out);
}

/* ---- table ---------------------------------------------------------------------------------------------------- */

/* columns on a terminal; bytes where the text is not of the locale */
static size_t width(const char *text)
{
	size_t len = strlen(text), n;
	wchar_t *wide = calloc(len + 1, sizeof *wide);
	int columns = -1;

	n = wide ? mbstowcs(wide, text, len + 1) : (size_t)-1;
	if (n != (size_t)-1)
		columns = wcswidth(wide, n);
	free(wide);
	return columns < 0 ? len : (size_t)columns;
}

static int grow(struct table *t)
{
	size_t cap = t->cap ? 2 * t->cap : 64;
	char **cells;

	if (t->count < t->cap)
		return 0;
	cells = realloc(t->cells, cap * sizeof *cells);
	if (!cells)
		return -1;
	t->cells = cells;
	t->cap = cap;
	return 0;
}

void table_cell(struct table *t, const char *fmt, ...)
{
	struct buf out = BUF_INIT;
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	buf_str(&out, "");
	if (text)
		put_visible(&out, text, strlen(text), false);
	free(text);
	if (!text || out.err || grow(t) < 0) {
		t->failed = true;
		buf_free(&out);
		return;
	}
	t->cells[t->count++] = buf_steal(&out);
}

static void print_rows(const struct table *t, const char *indent, const size_t *widths)
{
	for (size_t i = 0; i < t->count; i++) {
		size_t column = i % t->columns;
		bool last = column == t->columns - 1;
		int pad = last ? 0 : (int)(widths[column] - width(t->cells[i]) + 2);

		printf("%s%s%*s%s", column ? "" : indent, t->cells[i], pad, "", last ? "\n" : "");
	}
}

void table_print(struct table *t, const char *indent)
{
	size_t *widths = calloc(t->columns, sizeof *widths);

	for (size_t i = 0; widths && i < t->count; i++) {
		size_t w = width(t->cells[i]), column = i % t->columns;

		if (w > widths[column])
			widths[column] = w;
	}
	if (widths && !t->failed)
		print_rows(t, indent, widths);
	else
		complain("out of memory");
	free(widths);
	table_free(t);
}

void table_free(struct table *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->cells[i]);
	free(t->cells);
	t->cells = NULL;
	t->count = t->cap = 0;
}

void print_config_message(const json_t *finding)
{
	fprintf(stderr, "%s", text_at(finding, "file"));
	if (number_at(finding, "line"))
		fprintf(stderr, ":%lld", number_at(finding, "line"));
	fprintf(stderr, ": %s: %s\n", text_at(finding, "level"), text_at(finding, "text"));
}
