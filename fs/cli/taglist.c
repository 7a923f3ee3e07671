/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/taglist.h"

#include "base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TAG_BYTES_MAX 255

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0;
}

static size_t find(const struct taglist *l, const char *tag, size_t len)
{
	size_t i = 0;

	while (i < l->count && (strlen(l->v[i]) != len || memcmp(l->v[i], tag, len) != 0))
		i++;
	return i;
}

static int add(struct taglist *l, const char *tag, size_t len)
{
	char **v;

	if (find(l, tag, len) < l->count)
		return 0;
	v = realloc(l->v, (l->count + 1) * sizeof *v);
	if (!v)
		return -ENOMEM;
	l->v = v;
	l->v[l->count] = strndup(tag, len);
	return l->v[l->count] ? (l->count++, 0) : -ENOMEM;
}

int taglist_add(struct taglist *l, const char *tag)
{
	return add(l, tag, strlen(tag));
}

int taglist_parse(struct taglist *l, const char *value, size_t len)
{
	const char *end = value + len;
	int rc = 0;

	while (rc == 0 && value < end) {
		const char *comma = memchr(value, ',', (size_t)(end - value)), *stop = comma ? comma : end;
		const char *first = value;

		value = stop + 1;
		while (first < stop && blank(*first))
			first++;
		while (stop > first && blank(stop[-1]))
			stop--;
		if (stop > first)
			rc = add(l, first, (size_t)(stop - first));
	}
	return rc;
}

void taglist_remove(struct taglist *l, const char *tag)
{
	size_t i = find(l, tag, strlen(tag));

	if (i == l->count)
		return;
	free(l->v[i]);
	memmove(&l->v[i], &l->v[i + 1], (l->count - i - 1) * sizeof *l->v);
	l->count--;
}

char *taglist_text(const struct taglist *l)
{
	struct buf out = BUF_INIT;

	buf_str(&out, "");
	for (size_t i = 0; i < l->count; i++) {
		buf_str(&out, i ? "," : "");
		buf_str(&out, l->v[i]);
	}
	return buf_steal(&out);
}

void taglist_free(struct taglist *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct taglist){ 0 };
}

const char *taglist_valid(const char *tag)
{
	size_t len = strlen(tag);

	if (!len)
		return "it is empty";
	if (len > TAG_BYTES_MAX)
		return "it is longer than 255 bytes";
	if (blank(tag[0]) || blank(tag[len - 1]))
		return "it begins or ends with a blank";
	for (const char *c = tag; *c; c++) {
		if (*c == ',')
			return "a comma separates tags and cannot be part of one";
		if ((unsigned char)*c < ' ' || *c == 127)
			return "it holds a control character";
	}
	return NULL;
}
