/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/lint.h"

#include "config/imply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Rules are compared each with each. */
#define COMPARED_MAX 20000

const char *lint_kind(int phase)
{
	return phase == PHASE_TAGS ? "tag" : "rule";
}

void lint_each(const struct lint *l, void (*fn)(void *ctx, int phase, const struct rule *), void *ctx)
{
	for (int phase = 0; phase < PHASES; phase++)
		for (size_t i = 0; i < l->rules->program[phase].count; i++)
			fn(ctx, phase, l->rules->program[phase].v[i]);
}

static void warn_never(struct lint *l, int phase, const struct rule *r, const struct cond *c)
{
	message_add(l->msgs, false, c->origin.file, c->origin.line,
		"[%s %s] can never match: no file meets \"%s\"; correct it, or delete the section", lint_kind(phase),
		r->name, c->text);
}

static void warn_exclude(struct lint *l, int phase, const struct rule *r, const struct cond *a, const struct cond *b)
{
	const struct cond *last = a->origin.line > b->origin.line ? a : b;

	message_add(l->msgs, false, last->origin.file, last->origin.line,
		"[%s %s] can never match: \"%s\" and \"%s\" exclude each other; take one of them out", lint_kind(phase),
		r->name, last == a ? b->text : a->text, last->text);
}

/* false where a type is in doubt: a rule of a domestic zone takes such a file (rules.c) */
static bool exclude(const struct cond *a, const struct cond *b)
{
	return a->kind != COND_TYPE && conds_exclude(a, b);
}

static bool can_match(struct lint *l, int phase, const struct rule *r, bool tell)
{
	for (size_t i = 0; i < r->count; i++) {
		if (cond_never(&r->conds[i])) {
			if (tell)
				warn_never(l, phase, r, &r->conds[i]);
			return false;
		}
		for (size_t k = 0; k < i; k++) {
			if (!exclude(&r->conds[k], &r->conds[i]))
				continue;
			if (tell)
				warn_exclude(l, phase, r, &r->conds[k], &r->conds[i]);
			return false;
		}
	}
	return true;
}

static void lint_possible(void *l, int phase, const struct rule *r)
{
	can_match(l, phase, r, true);
}

/* ---- sections before which another decides ----------------------------------------------------------------------- */

/* Where a type is unknown a foreign rule passes a file on that a domestic one takes. */
static bool leaves_doubtful(const struct lint *l, const struct rule *wide, const struct rule *narrow)
{
	bool doubt = false;

	if (!l->rules->mime || !wide->zone || wide->zone->kind == ZONE_DOMESTIC || narrow->zone->kind == ZONE_FOREIGN)
		return false;
	for (size_t i = 0; i < wide->count; i++)
		doubt |= wide->conds[i].kind == COND_TYPE || wide->conds[i].kind == COND_TAG;
	return doubt;
}

/* The sections that set what the rule asks for; those that ask for tags themselves are left out. */
static int find_setters(const struct lint *l, const struct rule *r, struct program *out)
{
	const struct program *tags = &l->rules->program[PHASE_TAGS];
	struct rule **v;

	out->count = 0;
	for (size_t i = 0; i < r->count; i++) {
		const struct cond *c = &r->conds[i];

		for (size_t t = 0; c->kind == COND_TAG && !c->negated && t < tags->count; t++) {
			bool asked = false;

			for (size_t k = 0; k < c->count; k++)
				asked |= strcmp(c->words[k], tags->v[t]->name) == 0;
			if (!asked)
				continue;
			if (!(v = realloc(out->v, (out->count + 1) * sizeof *v)))
				return -ENOMEM;
			out->v = v;
			v[out->count++] = tags->v[t];
		}
	}
	return 0;
}

static void warn_shadowed(struct lint *l, const struct rule *first, const struct rule *r)
{
	static const struct program none = { 0 };
	const struct config_origin *o = &r->origin, *at = &first->origin;

	if (r->zone == first->zone)
		message_add(l->msgs, false, o->file, o->line,
			"[rule %s] never decides: whatever matches it matches [rule %s] first (%s:%d), which wants the "
			"same zone; delete one of the two",
			r->name, first->name, at->file, at->line);
	else if (!section_implies(first, r, &none))
		message_add(l->msgs, false, o->file, o->line,
			"[rule %s] contradicts [rule %s] (%s:%d): the same files, zone %s here and %s there, and the "
			"first decides; delete one of the two",
			r->name, first->name, at->file, at->line, r->zone->name, first->zone->name);
	else
		message_add(l->msgs, false, o->file, o->line,
			"[rule %s] never decides: whatever matches it matches [rule %s] first (%s:%d) and is placed in "
			"zone %s, not %s; put it before that rule, or narrow that rule",
			r->name, first->name, at->file, at->line, first->zone->name, r->zone->name);
}

/* by: for each rule the first that always decides before it, or NULL */
static void find_shadows(struct lint *l, const struct program *p, size_t count, const struct rule **by)
{
	struct program setters = { 0 };

	for (size_t i = 0; i < count && !l->no_memory; i++) {
		const struct rule *wide = p->v[i];

		l->no_memory |= find_setters(l, wide, &setters) < 0;
		for (size_t k = i + 1; k < count; k++)
			if (!by[k] && !leaves_doubtful(l, wide, p->v[k]) && !section_implies(p->v[k], wide, &setters))
				by[k] = wide;
	}
	free(setters.v);
}

static void lint_shadows(struct lint *l)
{
	const struct program *p = &l->rules->program[PHASE_RULES];
	size_t count = p->count < COMPARED_MAX ? p->count : COMPARED_MAX;
	const struct rule **by = calloc(count + 1, sizeof *by);

	if (!by) {
		l->no_memory = true;
		return;
	}
	find_shadows(l, p, count, by);
	for (size_t i = 0; i < count; i++)
		if (by[i] && can_match(l, PHASE_RULES, p->v[i], false))
			warn_shadowed(l, by[i], p->v[i]);
	if (count < p->count)
		message_add(l->msgs, false, p->v[count]->origin.file, p->v[count]->origin.line,
			"from here on, behind %zu rules, those that never decide are not looked for", count);
	free(by);
}

/* several sections may set a tag: each should add something */
static void lint_setters(struct lint *l)
{
	static const struct program none = { 0 };
	const struct program *p = &l->rules->program[PHASE_TAGS];
	size_t count = p->count < COMPARED_MAX ? p->count : COMPARED_MAX;

	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < i; k++) {
			if (strcmp(p->v[i]->name, p->v[k]->name) != 0 || section_implies(p->v[i], p->v[k], &none))
				continue;
			message_add(l->msgs, false, p->v[i]->origin.file, p->v[i]->origin.line,
				"[tag %s] adds nothing: whatever matches it has the tag by %s:%d; delete it",
				p->v[i]->name, p->v[k]->origin.file, p->v[k]->origin.line);
			break;
		}
	}
}

void lint_sections(struct lint *l)
{
	lint_each(l, lint_possible, l);
	lint_shadows(l);
	lint_setters(l);
}

int config_lint(const struct config *c, struct config_messages *msgs)
{
	struct lint l = { .rules = c->rules, .msgs = msgs };

	lint_sections(&l);
	lint_tags(&l);
	lint_globs(&l);
	lint_spelling(&l);
	messages_sort(msgs);
	return l.no_memory ? -ENOMEM : 0;
}
