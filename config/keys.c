/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/file.h"
#include "base/text.h"
#include "config/load.h"
#include "config/message.h"
#include "config/strv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_text(struct load *l, char **to, char *text)
{
	if (!text)
		l->no_memory = true;
	free(*to);
	*to = text;
}

bool key_text(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	(void)k;
	set_text(l, target, strdup(e->value));
	return true;
}

bool key_path(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	char *path = file_expand(e->value, l->dir);

	(void)k;
	for (size_t len = path ? strlen(path) : 0; len > 1 && path[len - 1] == '/'; len--)
		path[len - 1] = 0;
	set_text(l, target, path);
	return true;
}

/* adds to a list: a key that may repeat goes on where it stopped */
bool key_list(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	char ***to = target, **items;
	int rc = strv_split(e->value, 0, &items);

	(void)k;
	for (size_t i = 0; rc == 0 && items[i]; i++)
		if (strv_append(to, strdup(items[i])) < 0)
			l->no_memory = true;
	strv_free(items);
	if (rc == -ENOMEM)
		l->no_memory = true;
	return rc != -EINVAL;
}

static bool in_bounds(const struct key *k, uint64_t v)
{
	return v >= k->min && (!k->max || v <= k->max);
}

bool key_size(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	uint64_t v;

	(void)l;
	if (text_parse_size(e->value, &v) < 0 || !in_bounds(k, v))
		return false;
	*(uint64_t *)target = v;
	return true;
}

bool key_duration(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	int64_t v;

	(void)l;
	if (text_parse_duration(e->value, &v) < 0 || !in_bounds(k, (uint64_t)v))
		return false;
	*(int64_t *)target = v;
	return true;
}

bool key_rate(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	uint64_t v;

	(void)l;
	if (text_parse_rate(e->value, &v) < 0 || !in_bounds(k, v))
		return false;
	*(uint64_t *)target = v;
	return true;
}

bool key_count(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	uint64_t v;

	(void)l;
	if (e->value[strspn(e->value, "0123456789")] || text_parse_size(e->value, &v) < 0 || !in_bounds(k, v))
		return false;
	*(unsigned *)target = (unsigned)v;
	return true;
}

bool key_word(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	(void)l;
	for (int i = 0; k->words[i]; i++) {
		if (strcmp(k->words[i], e->value) != 0)
			continue;
		*(int *)target = i;
		return true;
	}
	return false;
}

/* "[zone a]" */
static const char *title(const struct doc_section *s, char *out, size_t len)
{
	snprintf(out, len, "[%s%s%s]", s->kind, s->name ? " " : "", s->name ? s->name : "");
	return out;
}

static void report_unknown(
	struct load *l, const struct doc_section *s, const struct key *keys, const struct doc_entry *e, unsigned type)
{
	struct suggest near = { .given = e->key };
	char where[80], hint[96];
	struct buf all = BUF_INIT;

	for (const struct key *k = keys; k->name; k++) {
		if (k->types && !(k->types & type))
			continue;
		suggest_offer(&near, k->name);
		buf_printf(&all, "%s%s", all.len ? ", " : "", k->name);
	}
	buf_put(&all, "", 0);
	if (near.best)
		load_error(l, &e->origin, "unknown key \"%s\" in %s%s", e->key, title(s, where, sizeof where),
			suggest_text(&near, hint, sizeof hint));
	else if (!all.err)
		load_error(l, &e->origin, "unknown key \"%s\" in %s; expected one of %s", e->key,
			title(s, where, sizeof where), (char *)all.data);
	l->no_memory |= all.err != 0;
	buf_free(&all);
}

/* A name may stand in the table more than once, for different types. */
static const struct key *find_key(const struct key *keys, const char *name, unsigned type)
{
	const struct key *other = NULL;

	for (const struct key *k = keys; k->name; k++) {
		if (strcmp(k->name, name) != 0)
			continue;
		if (!k->types || (k->types & type))
			return k;
		other = k;
	}
	return other;
}

static void apply_entry(struct load *l, const struct key *k, const struct doc_entry *e, void *object)
{
	if (k->parse && !k->parse(l, k, e, (char *)object + k->offset))
		load_error(l, &e->origin, "bad value \"%s\" for \"%s\"; expected %s", e->value, e->key, k->expected);
}

/* true where the entry may be read */
static bool entry_stands(struct load *l, const struct doc_section *s, const struct key *k, const struct doc_entry *e,
	unsigned type, const char *type_name)
{
	const struct doc_entry *first = doc_entry_find(s, e->key);
	char where[80];

	if (k->types && !(k->types & type)) {
		if (type)
			load_error(l, &e->origin, "\"%s\" has no meaning for a backend of type %s", e->key, type_name);
		return false;
	}
	if (first == e || (k->flags & KEY_REPEATS))
		return true;
	load_error(l, &e->origin, "\"%s\" stands twice in %s, first in line %d; expected it once", e->key,
		title(s, where, sizeof where), first->origin.line);
	return false;
}

void keys_apply(struct load *l, const struct doc_section *s, const struct key *keys, void *object, unsigned type,
	const char *type_name)
{
	char where[80];

	for (size_t i = 0; i < s->count; i++) {
		const struct key *k = find_key(keys, s->v[i].key, type);

		if (!k)
			report_unknown(l, s, keys, &s->v[i], type);
		else if (entry_stands(l, s, k, &s->v[i], type, type_name))
			apply_entry(l, k, &s->v[i], object);
	}
	for (const struct key *k = keys; k->name; k++) {
		if (!(k->flags & KEY_REQUIRED) || (k->types && !(k->types & type)) || doc_entry_find(s, k->name))
			continue;
		load_error(l, &s->origin, "%s has no \"%s\"; expected %s", title(s, where, sizeof where), k->name,
			k->expected);
	}
}
