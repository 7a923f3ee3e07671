/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Of every pattern the directories that it names literally are remembered, and of one that names none the whole, each
 * under its folded form: two that meet there and are not the same bytes are two spellings of one thing. */
#include "base/hash.h"
#include "base/list.h"
#include "config/lint.h"
#include "config/strv.h"
#include "config/unicode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct spelling {
	struct hash_node node;
	char *folded;
	const char *text; /* as first written: the rules', len bytes */
	size_t len;
	const struct cond *cond;
	const struct cond *told; /* the last that was told to differ */
	bool directory;		 /* something below it is named */
};

struct spellings {
	struct lint *l;
	struct hash table;
};

static struct spelling *spelling_of(const struct hash_node *n)
{
	return container_of((struct hash_node *)n, struct spelling, node);
}

static bool same_folded(const struct hash_node *n, const void *key)
{
	return strcmp(spelling_of(n)->folded, key) == 0;
}

/* what a pattern names: its literal directories, or else the whole of it */
static const char *named_by(const struct cond *c, size_t i, bool *whole)
{
	const char *below = glob_below(c->globs[i], whole);

	return below ? below : c->items[i];
}

/* one of the condition's patterns names just this, or something below it */
static bool names(const struct cond *c, const char *text, size_t len)
{
	bool whole;

	for (size_t i = 0; i < c->count; i++) {
		const char *s = named_by(c, i, &whole);

		if (strncmp(s, text, len) == 0 && (!s[len] || s[len] == '/'))
			return true;
	}
	return false;
}

static bool same_composed(struct lint *l, const char *a, size_t a_len, const char *b, size_t b_len)
{
	char *one = unicode_composed(a, a_len), *two = unicode_composed(b, b_len);
	bool same = one && two && strcmp(one, two) == 0;

	l->no_memory |= !one || !two;
	free(one);
	free(two);
	return same;
}

static void warn_differ(struct lint *l, struct spelling *s, const struct cond *c, const char *text, size_t len)
{
	if (s->told == c || names(c, s->text, s->len) || names(s->cond, text, len))
		return;
	s->told = c;
	message_add(l->msgs, false, c->origin.file, c->origin.line,
		"\"%s\" means %.*s, and \"%s\" (%s:%d) means %.*s: they differ only by %s, which counts; write both "
		"alike, or list both where both are meant",
		c->text, (int)len, text, s->cond->text, s->cond->origin.file, s->cond->origin.line, (int)s->len,
		s->text, same_composed(l, s->text, s->len, text, len) ? "the form of Unicode" : "case");
}

static struct spelling *spelling_new(struct spellings *x, char *folded, const char *text, size_t len)
{
	struct spelling *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->folded = folded;
	s->text = text;
	s->len = len;
	hash_insert(&x->table, &s->node, hash_bytes(folded, strlen(folded), 0));
	return s;
}

/* false where another spelling of it was there first */
static bool note(struct spellings *x, const struct cond *c, const char *text, size_t len, bool directory)
{
	char *folded = unicode_folded(text, len);
	struct hash_node *n =
		folded ? hash_find(&x->table, hash_bytes(folded, strlen(folded), 0), same_folded, folded) : NULL;
	struct spelling *s = n ? spelling_of(n) : folded ? spelling_new(x, folded, text, len) : NULL;
	bool same = s && s->len == len && memcmp(s->text, text, len) == 0;

	if (!s || n)
		free(folded);
	if (!s) {
		x->l->no_memory = true;
		return false;
	}
	if (!n)
		s->cond = c;
	if (same)
		s->directory |= directory;
	else
		warn_differ(x->l, s, c, text, len);
	return same;
}

static void note_pattern(struct spellings *x, const struct cond *c, size_t i)
{
	bool whole, alike = true;
	const char *below = glob_below(c->globs[i], &whole);
	size_t len = 0;

	if (!below)
		note(x, c, c->items[i], strlen(c->items[i]), false);
	while (below && below[len] && alike) {
		len += 1 + strcspn(below + len + 1, "/");
		alike = note(x, c, below, len, below[len] || !whole);
	}
}

/* A pattern without a wildcard where other patterns have a directory of that name. */
static void lint_directory(struct spellings *x, const struct cond *c, size_t i)
{
	bool whole;
	const char *below = glob_below(c->globs[i], &whole);
	char *folded = below && whole ? unicode_folded(below, strlen(below)) : NULL;
	struct hash_node *n;

	if (!folded)
		return;
	n = hash_find(&x->table, hash_bytes(folded, strlen(folded), 0), same_folded, folded);
	if (n && spelling_of(n)->directory && strcmp(spelling_of(n)->text, below) == 0)
		message_add(x->l->msgs, false, c->origin.file, c->origin.line,
			"the pattern %s matches a file of that name only, and other patterns take it for a directory; "
			"write %s/** for what is below it",
			c->items[i], below);
	free(folded);
}

/* ---- the form of one pattern --------------------------------------------------------------------------------------
 */

static void warn_form(struct lint *l, const struct cond *c, const char *item, const char *other, bool composed)
{
	if (strv_has(c->items, other))
		return;
	if (composed)
		message_add(l->msgs, false, c->origin.file, c->origin.line,
			"the pattern %s matches composed names only, and macOS and programs from there decompose them; "
			"list that form too: %s",
			item, other);
	else
		message_add(l->msgs, false, c->origin.file, c->origin.line,
			"the pattern %s is written in decomposed characters, and most systems compose the names of "
			"files; list that form too: %s",
			item, other);
}

/* What keeps at home should keep whatever looks the same. */
static void lint_form(struct lint *l, const struct cond *c, const char *item, bool protects)
{
	char *composed = unicode_composed(item, strlen(item)), *decomposed = unicode_decomposed(item, strlen(item));

	if (!composed || !decomposed)
		l->no_memory = true;
	else if (strcmp(composed, item) != 0)
		warn_form(l, c, item, composed, false);
	else if (protects && strcmp(decomposed, item) != 0)
		warn_form(l, c, item, decomposed, true);
	free(composed);
	free(decomposed);
}

static void lint_section(void *ctx, int phase, const struct rule *r)
{
	struct spellings *x = ctx;

	for (size_t i = 0; i < r->count; i++) {
		const struct cond *c = &r->conds[i];
		bool protects = phase == PHASE_TAGS ? !c->negated : c->negated == (r->zone->kind == ZONE_FOREIGN);

		for (size_t k = 0; c->globs && k < c->count; k++) {
			note_pattern(x, c, k);
			lint_form(x->l, c, c->items[k], protects);
		}
	}
}

static void lint_directories(void *ctx, int phase, const struct rule *r)
{
	(void)phase;
	for (size_t i = 0; i < r->count; i++)
		for (size_t k = 0; r->conds[i].globs && k < r->conds[i].count; k++)
			lint_directory(ctx, &r->conds[i], k);
}

static void spelling_free(void *ctx, struct hash_node *n)
{
	(void)ctx;
	free(spelling_of(n)->folded);
	free(spelling_of(n));
}

static void spellings_free(struct spellings *x)
{
	hash_drain(&x->table, spelling_free, NULL);
	hash_free(&x->table);
}

void lint_spelling(struct lint *l)
{
	struct spellings x = { .l = l };

	if (hash_init(&x.table) < 0) {
		l->no_memory = true;
		return;
	}
	lint_each(l, lint_section, &x);
	lint_each(l, lint_directories, &x);
	spellings_free(&x);
}
