/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/lint.h"
#include "config/strv.h"

#include <string.h>

/* the number of the first section that sets the tag, or SIZE_MAX */
static size_t set_at(const struct lint *l, const char *tag)
{
	const struct program *p = &l->rules->program[PHASE_TAGS];

	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->v[i]->name, tag) == 0)
			return i;
	return SIZE_MAX;
}

static bool left_to_users(const struct lint *l, const char *tag)
{
	return strv_has(l->rules->users_tags, tag);
}

static const char *nearest(const struct lint *l, const char *tag, struct suggest *near)
{
	const struct program *p = &l->rules->program[PHASE_TAGS];

	near->given = tag;
	for (size_t i = 0; i < p->count; i++) {
		if (strcasecmp(p->v[i]->name, tag) == 0)
			return p->v[i]->name;
		suggest_offer(near, p->v[i]->name);
	}
	for (char *const *t = l->rules->users_tags; t && *t; t++) {
		if (strcasecmp(*t, tag) == 0)
			return *t;
		suggest_offer(near, *t);
	}
	return near->best;
}

static void lint_asked(struct lint *l, const struct cond *c, const char *tag)
{
	struct suggest near = { 0 };
	const char *best;

	if (left_to_users(l, tag))
		return;
	best = nearest(l, tag, &near);
	if (best)
		message_add(l->msgs, false, c->origin.file, c->origin.line,
			"nothing sets the tag \"%s\"; did you mean \"%s\"? (capitals matter)", tag, best);
	else
		message_add(l->msgs, false, c->origin.file, c->origin.line,
			"nothing sets the tag \"%s\"; write a section [tag %s], with set-by = users if users set it",
			tag, tag);
}

static void lint_conds(void *ctx, int phase, const struct rule *r)
{
	struct lint *l = ctx;

	(void)phase;
	for (size_t i = 0; i < r->count; i++) {
		const struct cond *c = &r->conds[i];

		for (size_t k = 0; c->kind == COND_TAG && k < c->count; k++)
			if (set_at(l, c->words[k]) == SIZE_MAX)
				lint_asked(l, c, c->words[k]);
	}
}

/* [tag] sections run once, in their order. */
static void lint_order(struct lint *l)
{
	const struct program *p = &l->rules->program[PHASE_TAGS];

	for (size_t i = 0; i < p->count; i++) {
		for (size_t k = 0; k < p->v[i]->count; k++) {
			const struct cond *c = &p->v[i]->conds[k];

			for (size_t w = 0; c->kind == COND_TAG && w < c->count; w++) {
				size_t at = set_at(l, c->words[w]);

				if (at == SIZE_MAX || at < i)
					continue;
				message_add(l->msgs, false, c->origin.file, c->origin.line,
					"[tag %s] asks for the tag \"%s\", which only %s:%d sets, further down; put "
					"that section before this one",
					p->v[i]->name, c->words[w], p->v[at]->origin.file, p->v[at]->origin.line);
			}
		}
	}
}

static bool is_asked(const struct lint *l, const char *tag)
{
	for (int phase = 0; phase < PHASES; phase++) {
		for (size_t i = 0; i < l->rules->program[phase].count; i++) {
			const struct rule *r = l->rules->program[phase].v[i];

			for (size_t k = 0; k < r->count; k++)
				if (r->conds[k].kind == COND_TAG && strv_has(r->conds[k].words, tag))
					return true;
		}
	}
	return false;
}

static void lint_unused(struct lint *l)
{
	const struct program *p = &l->rules->program[PHASE_TAGS];

	for (size_t i = 0; i < p->count; i++)
		if (set_at(l, p->v[i]->name) == i && !is_asked(l, p->v[i]->name))
			message_add(l->msgs, false, p->v[i]->origin.file, p->v[i]->origin.line,
				"no rule asks for the tag \"%s\"; write one with tag = %s, or delete the section",
				p->v[i]->name, p->v[i]->name);
}

void lint_tags(struct lint *l)
{
	lint_each(l, lint_conds, l);
	lint_order(l);
	lint_unused(l);
}
