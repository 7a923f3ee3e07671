/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/load.h"

#include "base/file.h"
#include "base/list.h"
#include "config/expand.h"
#include "config/message.h"
#include "config/policy.h"
#include "config/rules.h"
#include "config/strv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void load_message(struct load *l, bool error, const struct config_origin *o, const char *fmt, va_list ap)
{
	char *text;

	if (vasprintf(&text, fmt, ap) < 0) {
		l->no_memory = true;
		return;
	}
	message_add(l->msgs, error, o->file, o->line, "%s", text);
	free(text);
}

void load_error(struct load *l, const struct config_origin *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	load_message(l, true, o, fmt, ap);
	va_end(ap);
	l->failed = true;
}

void load_warn(struct load *l, const struct config_origin *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	load_message(l, false, o, fmt, ap);
	va_end(ap);
}

const struct doc_section *load_next(const struct load *l, const char *kind, size_t *i)
{
	while (*i < l->doc.count) {
		const struct doc_section *s = &l->doc.v[(*i)++];

		if (!s->refused && strcmp(s->kind, kind) == 0)
			return s;
	}
	return NULL;
}

const struct doc_section *load_section(const struct load *l, const char *kind, const char *name)
{
	const struct doc_section *s;
	size_t i = 0;

	while ((s = load_next(l, kind, &i)))
		if (!name || strcmp(s->name, name) == 0)
			return s;
	return NULL;
}

const struct config_origin *section_origin(const struct doc_section *s, const char *key)
{
	const struct doc_entry *e = doc_entry_find(s, key);

	return e ? &e->origin : &s->origin;
}

/* Where sections stand. */
enum standing { STANDS_MAIN = 1, STANDS_INCLUDED = 2, STANDS_POLICY = 4 };

/* The kinds of sections there are, and where else than in the main file they may stand. A tag may be set by several
 * sections: each is one way to get it. */
static const struct kind {
	const char *name;
	bool named, repeats;
	unsigned stands;
} kinds[] = {
	{ .name = "filesystem", .stands = STANDS_MAIN },
	{ .name = "keys", .stands = STANDS_MAIN },
	{ .name = "zone", .named = true, .stands = STANDS_MAIN },
	{ .name = "backend", .named = true, .stands = STANDS_MAIN },
	{ .name = "quota", .named = true, .stands = STANDS_MAIN },
	{ .name = "tag", .named = true, .repeats = true, .stands = STANDS_MAIN | STANDS_INCLUDED | STANDS_POLICY },
	{ .name = "rule", .named = true, .stands = STANDS_MAIN | STANDS_INCLUDED | STANDS_POLICY },
	{ .name = "policy", .stands = STANDS_POLICY },
};

static const struct kind *find_kind(const char *name)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

static void report_kind(struct load *l, const struct doc_section *s)
{
	struct suggest near = { .given = s->kind };
	char hint[96];

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (kinds[i].stands != STANDS_POLICY)
			suggest_offer(&near, kinds[i].name);
	if (near.best)
		load_error(l, &s->origin, "unknown section [%s%s%s]%s", s->kind, s->name ? " " : "",
			s->name ? s->name : "", suggest_text(&near, hint, sizeof hint));
	else
		load_error(l, &s->origin,
			"unknown section [%s%s%s]; expected filesystem, keys, zone NAME, backend NAME, quota NAME, "
			"tag NAME or rule NAME",
			s->kind, s->name ? " " : "", s->name ? s->name : "");
}

/* Tags and rules may be named in any language; zones and backends are part of identities and logs. */
static const char *section_name_fault(const struct kind *k, const char *name)
{
	if (!(k->stands & STANDS_INCLUDED))
		return name_fault(name);
	return name[strcspn(name, ", \t\"")] ? "expected one word without blanks, commas and quotes" : NULL;
}

struct seen {
	struct hash_node node;
	const char *kind, *name; /* the doc's */
	struct config_origin origin;
};

static bool seen_eq(const struct hash_node *n, const void *key)
{
	const struct seen *a = container_of((struct hash_node *)n, struct seen, node);
	const struct doc_section *s = key;

	return strcmp(a->kind, s->kind) == 0 && (!s->name || strcmp(a->name, s->name) == 0);
}

/* where the section stood already; NULL, and it is remembered, where it did not */
static const struct config_origin *seen_before(struct load *l, const struct doc_section *s)
{
	const char *word = s->name ? s->name : s->kind;
	uint64_t h = hash_bytes(word, strlen(word), 0);
	struct hash_node *n = hash_find(&l->seen, h, seen_eq, s);
	struct seen *new;

	if (n)
		return &container_of(n, struct seen, node)->origin;
	new = malloc(sizeof *new);
	if (!new) {
		l->no_memory = true;
		return NULL;
	}
	*new = (struct seen){ .kind = s->kind, .name = s->name, .origin = s->origin };
	hash_insert(&l->seen, &new->node, h);
	return NULL;
}

static void seen_free(void *ctx, struct hash_node *n)
{
	(void)ctx;
	free(container_of(n, struct seen, node));
}

static void report_place(struct load *l, const struct doc_section *s, enum standing place)
{
	static const char *const expected[] = {
		[STANDS_MAIN] = "only stand in a file in " POLICY_DIRECTORY,
		[STANDS_INCLUDED] = "not stand in an included file; expected [tag NAME] or [rule NAME]",
		[STANDS_POLICY] = "not stand in a policy; expected [policy], [tag NAME] or [rule NAME]",
	};

	load_error(
		l, &s->origin, "[%s%s%s] may %s", s->kind, s->name ? " " : "", s->name ? s->name : "", expected[place]);
}

/* true where the section itself is in order */
static bool section_stands(struct load *l, const struct doc_section *s, enum standing place)
{
	const struct kind *k = find_kind(s->kind);
	const struct config_origin *first;
	const char *fault;

	if (!k) {
		report_kind(l, s);
	} else if (!(k->stands & place)) {
		report_place(l, s, place);
	} else if (k->named != (s->name != NULL)) {
		load_error(l, &s->origin, "[%s%s%s]: expected [%s%s]", s->kind, s->name ? " " : "",
			s->name ? s->name : "", s->kind, k->named ? " NAME" : "");
	} else if (s->name && (fault = section_name_fault(k, s->name))) {
		load_error(l, &s->origin, "bad name \"%s\" of a %s; %s", s->name, s->kind, fault);
	} else if (!k->repeats && (first = seen_before(l, s))) {
		load_error(l, &s->origin, "[%s%s%s] stands twice, first at %s:%d; expected it once", s->kind,
			s->name ? " " : "", s->name ? s->name : "", first->file, first->line);
	} else {
		return true;
	}
	return false;
}

static void check_sections(struct load *l, size_t from, enum standing place)
{
	for (size_t i = from; i < l->doc.count; i++) {
		l->doc.v[i].policy = place == STANDS_POLICY;
		l->doc.v[i].refused = !section_stands(l, &l->doc.v[i], place);
	}
}

/* reads one file's sections; the name is kept for the origins. included: by what, or NULL. */
static void read_file(struct load *l, const char *path, const struct config_origin *included, enum standing place)
{
	struct config_whole *whole = (struct config_whole *)l->c;
	size_t from = l->doc.count;
	char *name = strdup(path);
	int rc;

	if (strv_append(&whole->files, name) < 0) {
		l->no_memory = true;
		return;
	}
	rc = doc_read(&l->doc, name, included, l->msgs);
	if (rc < 0 && rc != -ENOTSUP && place == STANDS_MAIN)
		l->unreadable = rc;
	l->no_memory |= rc == -ENOMEM;
	l->failed |= rc < 0;
	check_sections(l, from, place);
}

static void read_policy(struct load *l)
{
	char **files;

	l->no_memory |= policy_files(l, &files) < 0;
	for (size_t i = 0; files && files[i]; i++)
		read_file(l, files[i], NULL, STANDS_POLICY);
	strv_free(files);
}

/* a directory stands for the *.ini in it; malloc'd */
static char *include_pattern(const struct load *l, const char *item)
{
	char *path = file_expand(item, l->dir), *pattern = NULL;
	struct stat st;
	bool directory = path && stat(path, &st) == 0 && S_ISDIR(st.st_mode);

	if (path && asprintf(&pattern, "%s%s", item, directory ? "/*.ini" : "") < 0)
		pattern = NULL;
	free(path);
	return pattern;
}

static void read_includes(struct load *l, const struct config_origin *o, const char *item)
{
	struct errmsg msg = { 0 };
	char **files = NULL, *pattern = include_pattern(l, item);
	int rc = pattern ? expand(pattern, l->dir, &files, &msg) : -ENOMEM;

	free(pattern);
	if (rc == -ENOMEM)
		l->no_memory = true;
	else if (rc < 0)
		load_error(l, o, "\"include\": %s", errmsg_text(&msg, rc));
	else if (!files)
		load_warn(l, o, "\"include\": nothing matches %s: no tag and no rule comes from there", item);
	for (size_t i = 0; files && files[i]; i++)
		read_file(l, files[i], o, STANDS_INCLUDED);
	strv_free(files);
	errmsg_free(&msg);
}

static void load_includes(struct load *l)
{
	const struct doc_section *s = load_section(l, "filesystem", NULL);
	const struct doc_entry *e = s ? doc_entry_find(s, "include") : NULL;
	struct config_origin origin;
	char **items = NULL;

	if (!e)
		return;
	origin = e->origin; /* the doc grows below */
	if (strv_split(e->value, 0, &items) == -EINVAL)
		load_error(l, &origin, "bad value \"%s\" for \"include\"; expected files, such as rules.d/*.ini",
			e->value);
	for (size_t i = 0; items && items[i]; i++)
		read_includes(l, &origin, items[i]);
	strv_free(items);
}

/* "office" for /etc/borderfs/office.ini */
static void default_name(struct load *l)
{
	const char *base = strrchr(l->c->file, '/') + 1, *dot = strrchr(base, '.');
	const char *fault;

	if (l->c->name || l->failed)
		return;
	l->c->name = strndup(base, dot && dot > base ? (size_t)(dot - base) : strlen(base));
	if (!l->c->name)
		l->no_memory = true;
	else if ((fault = name_fault(l->c->name)))
		load_error(l, &(struct config_origin){ l->c->file, 1 },
			"the file's name gives the filesystem's, \"%s\"; %s: set \"name\" in [filesystem]", l->c->name,
			fault);
}

static int load_paths(struct load *l, const char *file)
{
	l->c->file = file_expand(file, NULL);
	if (!l->c->file)
		return -ENOMEM;
	l->dir = strndup(l->c->file, (size_t)(strrchr(l->c->file, '/') + 1 - l->c->file));
	return l->dir ? 0 : -ENOMEM;
}

static int load_all(struct load *l)
{
	size_t before;
	bool empty;

	read_policy(l);
	before = l->doc.count;
	read_file(l, l->c->file, NULL, STANDS_MAIN);
	empty = l->doc.count == before;
	if (l->no_memory || empty)
		goto out;
	load_includes(l);
	load_filesystem(l);
	default_name(l);
	load_zones(l);
	load_backends(l);
	load_quotas(l);
	if (l->no_memory)
		goto out;
	load_links(l);
	policy_bind(l);
	load_rules(l);
	load_check(l);
out:
	if (!l->failed && !l->no_memory && empty)
		load_error(l, &(struct config_origin){ l->c->file, 0 }, "holds no section; expected [filesystem]");
	if (l->no_memory)
		return -ENOMEM;
	return l->unreadable ? l->unreadable : l->failed ? -ERR_CONFIG : 0;
}

int config_load(struct config **out, const char *file, struct config_messages *msgs)
{
	struct config_whole *whole = calloc(1, sizeof *whole);
	struct load l = { .msgs = msgs, .policy = { .domestic = { .export = EXPORT_ALLOW } } };
	int rc = -ENOMEM;

	*out = NULL;
	if (!whole)
		return rc;
	atomic_init(&whole->references, 1);
	l.c = &whole->c;
	l.c->rules = rules_new();
	if (l.c->rules && hash_init(&l.seen) == 0 && load_paths(&l, file) == 0)
		rc = load_all(&l);
	messages_sort(msgs);
	hash_drain(&l.seen, seen_free, NULL);
	hash_free(&l.seen);
	policy_free(&l.policy);
	doc_free(&l.doc);
	free(l.dir);
	if (rc < 0)
		config_put(l.c);
	else
		*out = l.c;
	return rc;
}
