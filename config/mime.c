/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/mime.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/list.h"
#include "config/strv.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define DATABASE_BYTES_MAX (32 << 20)

/* Keys: "*.png" for an extension, "makefile" for a whole name; in lower case, but for those that case matters to. */
struct mime_entry {
	struct hash_node node;
	char *key;
	size_t len;
	long weight; /* of all types here: a higher one replaces them */
	char **types;
};

struct mime {
	struct hash entries;
};

struct mime_key {
	const char *text;
	size_t len;
};

static struct mime_entry *entry_of(const struct hash_node *n)
{
	return container_of((struct hash_node *)n, struct mime_entry, node);
}

static bool entry_eq(const struct hash_node *n, const void *key)
{
	const struct mime_entry *e = entry_of(n);
	const struct mime_key *k = key;

	return e->len == k->len && memcmp(e->key, k->text, k->len) == 0;
}

static struct mime_entry *find(const struct mime *m, const char *text, size_t len)
{
	struct mime_key key = { text, len };
	struct hash_node *n = hash_find(&m->entries, hash_bytes(text, len, 0), entry_eq, &key);

	return n ? entry_of(n) : NULL;
}

static struct mime_entry *insert(struct mime *m, const char *text, long weight)
{
	struct mime_entry *e = calloc(1, sizeof *e);

	if (!e || !(e->key = strdup(text))) {
		free(e);
		return NULL;
	}
	e->len = strlen(text);
	e->weight = weight;
	hash_insert(&m->entries, &e->node, hash_bytes(text, e->len, 0));
	return e;
}

static int add(struct mime *m, const char *key, const char *type, long weight)
{
	struct mime_entry *e = find(m, key, strlen(key));

	if (!e && !(e = insert(m, key, weight)))
		return -ENOMEM;
	if (weight < e->weight)
		return 0;
	if (weight > e->weight) {
		strv_free(e->types);
		e->types = NULL;
		e->weight = weight;
	}
	return strv_append(&e->types, strdup(type));
}

static void lower(char *s)
{
	for (; *s; s++)
		*s = (char)tolower((unsigned char)*s);
}

/* "50:image/png:*.png", "60:text/x-c++src:*.C:cs" */
static int add_globs2_line(struct mime *m, char *line)
{
	const char *weight = strsep(&line, ":"), *type = strsep(&line, ":");
	char *pattern = strsep(&line, ":");
	size_t plain;

	if (!pattern || *weight == '#' || strcmp(pattern, "__NOGLOBS__") == 0)
		return 0;
	plain = strncmp(pattern, "*.", 2) == 0 ? 2 : 0;
	if (!pattern[plain] || strpbrk(pattern + plain, "*?[\\"))
		return 0;
	if (!line || !strstr(line, "cs"))
		lower(pattern);
	return add(m, pattern, type, strtol(weight, NULL, 10));
}

/* "image/jpeg	jpeg jpg jpe" */
static int add_mime_types_line(struct mime *m, char *line)
{
	const char *type = strsep(&line, " \t");
	char *extension, key[64] = "*.";
	int rc = 0;

	if (*type == '#')
		return 0;
	while (rc == 0 && (extension = strsep(&line, " \t"))) {
		size_t len = strlen(extension);

		if (!len || len + 3 > sizeof key)
			continue;
		memcpy(key + 2, extension, len + 1);
		lower(key);
		rc = add(m, key, type, 50);
	}
	return rc;
}

static int read_lines(struct mime *m, const char *path, int (*add_line)(struct mime *, char *line))
{
	struct buf text = BUF_INIT;
	char *rest, *line;
	int rc = file_read_all(AT_FDCWD, path, DATABASE_BYTES_MAX, &text);

	rest = rc == 0 ? (char *)text.data : NULL;
	while (rc == 0 && (line = strsep(&rest, "\n")))
		if (*line)
			rc = add_line(m, line);
	buf_free(&text);
	return rc;
}

int mime_load(struct mime **out, const char *globs2, const char *mime_types)
{
	struct mime *m = calloc(1, sizeof *m);
	int rc = m ? hash_init(&m->entries) : -ENOMEM;

	*out = NULL;
	if (rc == 0)
		rc = read_lines(m, globs2, add_globs2_line);
	if (rc == -ENOENT)
		rc = read_lines(m, mime_types, add_mime_types_line);
	if (rc < 0)
		mime_free(m);
	else
		*out = m;
	return rc;
}

static void entry_free(void *ctx, struct hash_node *n)
{
	struct mime_entry *e = entry_of(n);

	(void)ctx;
	strv_free(e->types);
	free(e->key);
	free(e);
}

void mime_free(struct mime *m)
{
	if (!m)
		return;
	hash_drain(&m->entries, entry_free, NULL);
	hash_free(&m->entries);
	free(m);
}

/* the key as written, then in lower case */
static char *const *find_either(const struct mime *m, const char *text, size_t len)
{
	const struct mime_entry *e = find(m, text, len);
	char low[NAME_MAX + 2];

	for (size_t i = 0; !e && i < len && i < sizeof low; i++)
		low[i] = (char)tolower((unsigned char)text[i]);
	if (!e && len <= sizeof low)
		e = find(m, low, len);
	return e ? e->types : NULL;
}

char *const *mime_lookup(const struct mime *m, const char *name, size_t len)
{
	char *const *types = find_either(m, name, len);
	char key[NAME_MAX + 2] = "*";

	if (len > NAME_MAX)
		return types;
	for (size_t i = 0; !types && i + 1 < len; i++) {
		if (name[i] != '.')
			continue;
		memcpy(key + 1, name + i, len - i);
		types = find_either(m, key, len - i + 1);
	}
	return types;
}
