/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* A name may hold what a terminal would obey, and a line break that would forge a line of ours. */
static void put_visible(struct buf *out, const char *data, size_t len, bool lines)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)data[i];

		if ((c < ' ' && !(lines && c == '\n')) || c == 127)
			buf_printf(out, "\\x%02x", c);
		else
			buf_put(out, &c, 1);
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

void print_json(const json_t *object)
{
	json_dumpf(object, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
	putchar('\n');
	fflush(stdout);
}

void print_text(const char *data, size_t len)
{
	struct buf out = BUF_INIT;

	put_visible(&out, data, len, true);
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
