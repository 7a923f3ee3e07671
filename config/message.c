/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/message.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUGGEST_WORD_MAX 64

/* the text goes to a terminal: what a file holds must not steer it */
static void make_printable(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 127)
			*s = '?';
}

void message_add(struct config_messages *msgs, bool error, const char *file, int line, const char *fmt, ...)
{
	struct config_message m = { .error = error, .line = line };
	struct config_message *v;
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = vasprintf(&m.text, fmt, ap);
	va_end(ap);
	if (rc < 0)
		return;
	make_printable(m.text);
	m.file = strdup(file);
	v = m.file ? realloc(msgs->v, (msgs->count + 1) * sizeof *v) : NULL;
	if (!v) {
		free(m.file);
		free(m.text);
		return;
	}
	v[msgs->count++] = m;
	msgs->v = v;
}

static int message_cmp(const struct config_message *a, const struct config_message *b)
{
	int c = strcmp(a->file, b->file);

	return c ? c : (a->line > b->line) - (a->line < b->line);
}

void messages_sort(struct config_messages *msgs)
{
	/* by insertion: stable, and nearly sorted already */
	for (size_t i = 1; i < msgs->count; i++) {
		struct config_message m = msgs->v[i];
		size_t j = i;

		for (; j > 0 && message_cmp(&msgs->v[j - 1], &m) > 0; j--)
			msgs->v[j] = msgs->v[j - 1];
		msgs->v[j] = m;
	}
}

size_t messages_errors(const struct config_messages *msgs)
{
	size_t n = 0;

	for (size_t i = 0; i < msgs->count; i++)
		n += msgs->v[i].error;
	return n;
}

void config_messages_print(const struct config_messages *msgs, struct buf *out)
{
	for (size_t i = 0; i < msgs->count; i++) {
		const struct config_message *m = &msgs->v[i];

		buf_str(out, m->file);
		if (m->line)
			buf_printf(out, ":%d", m->line);
		buf_printf(out, ": %s: %s\n", m->error ? "error" : "warning", m->text);
	}
}

void config_messages_free(struct config_messages *msgs)
{
	if (!msgs)
		return;
	for (size_t i = 0; i < msgs->count; i++) {
		free(msgs->v[i].file);
		free(msgs->v[i].text);
	}
	free(msgs->v);
	memset(msgs, 0, sizeof *msgs);
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/* the number of letters put in, left out, changed or swapped with their neighbour (Damerau, Levenshtein) */
static size_t distance(const char *a, const char *b)
{
	uint8_t d[SUGGEST_WORD_MAX + 1][SUGGEST_WORD_MAX + 1];
	size_t rows = strlen(a), columns = strlen(b);

	if (rows > SUGGEST_WORD_MAX || columns > SUGGEST_WORD_MAX)
		return SIZE_MAX;
	for (size_t i = 0; i <= rows; i++)
		d[i][0] = (uint8_t)i;
	for (size_t j = 0; j <= columns; j++)
		d[0][j] = (uint8_t)j;
	for (size_t i = 1; i <= rows; i++) {
		for (size_t j = 1; j <= columns; j++) {
			d[i][j] = (uint8_t)min3(
				d[i - 1][j] + 1U, d[i][j - 1] + 1U, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = (uint8_t)(d[i - 2][j - 2] + 1);
		}
	}
	return d[rows][columns];
}

void suggest_offer(struct suggest *s, const char *word)
{
	size_t d = distance(s->given, word), near = strlen(word) < 5 ? 1 : 2;

	if (d > near || (s->best && d >= s->distance))
		return;
	s->best = word;
	s->distance = d;
}

char *suggest_text(const struct suggest *s, char *out, size_t len)
{
	if (s->best)
		snprintf(out, len, "; did you mean \"%s\"?", s->best);
	else
		*out = 0;
	return out;
}
