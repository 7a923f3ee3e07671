/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/imply.h"

#include <string.h>

/* One alternative against another: whether a's contains b's, and whether they have nothing in common. */
struct algebra {
	bool (*covers)(const struct cond *a, size_t i, const struct cond *b, size_t j);
	bool (*apart)(const struct cond *a, size_t i, const struct cond *b, size_t j);
};

static bool glob_item_covers(const struct cond *a, size_t i, const struct cond *b, size_t j)
{
	return glob_covers(a->globs[i], b->globs[j]);
}

static bool glob_item_apart(const struct cond *a, size_t i, const struct cond *b, size_t j)
{
	return glob_apart(a->globs[i], b->globs[j]);
}

static bool tag_covers(const struct cond *a, size_t i, const struct cond *b, size_t j)
{
	return strcmp(a->words[i], b->words[j]) == 0;
}

/* a file may have both */
static bool tag_apart(const struct cond *a, size_t i, const struct cond *b, size_t j)
{
	(void)a, (void)i, (void)b, (void)j;
	return false;
}

/* "image/" is all that start so */
static bool type_covers(const struct cond *a, size_t i, const struct cond *b, size_t j)
{
	size_t len = strlen(a->words[i]);

	if (a->words[i][len - 1] == '/')
		return strncmp(a->words[i], b->words[j], len) == 0;
	return strcmp(a->words[i], b->words[j]) == 0;
}

static bool type_apart(const struct cond *a, size_t i, const struct cond *b, size_t j)
{
	return !type_covers(a, i, b, j) && !type_covers(b, j, a, i);
}

static bool owner_covers(const struct cond *a, size_t i, const struct cond *b, size_t j)
{
	return a->owners[i].group == b->owners[j].group && a->owners[i].id == b->owners[j].id;
}

static bool owner_apart(const struct cond *a, size_t i, const struct cond *b, size_t j)
{
	return a->owners[i].group == b->owners[j].group && a->owners[i].id != b->owners[j].id;
}

static bool range_covers(const struct cond *a, size_t i, const struct cond *b, size_t j)
{
	return a->ranges[i].low <= b->ranges[j].low && a->ranges[i].high >= b->ranges[j].high;
}

static bool range_apart(const struct cond *a, size_t i, const struct cond *b, size_t j)
{
	return a->ranges[i].high < b->ranges[j].low || a->ranges[i].low > b->ranges[j].high;
}

static const struct algebra globs = { glob_item_covers, glob_item_apart };
static const struct algebra algebras[] = {
	[COND_PATH] = { glob_item_covers, glob_item_apart },
	[COND_NAME] = { glob_item_covers, glob_item_apart },
	[COND_TAG] = { tag_covers, tag_apart },
	[COND_SIZE] = { range_covers, range_apart },
	[COND_AGE] = { range_covers, range_apart },
	[COND_OWNER] = { owner_covers, owner_apart },
	[COND_TYPE] = { type_covers, type_apart },
	[COND_LINKS] = { range_covers, range_apart },
	[COND_HOURS] = { range_covers, range_apart },
	[COND_DAYS] = { range_covers, range_apart },
	[COND_DATE] = { range_covers, range_apart },
};

/* the algebra in which both can be compared, or NULL */
static const struct algebra *common(const struct cond *a, const struct cond *b)
{
	if (a->globs && b->globs)
		return &globs;
	return a->kind == b->kind ? &algebras[a->kind] : NULL;
}

/* every alternative of b lies in one of a's */
static bool all_covered(const struct algebra *x, const struct cond *a, const struct cond *b)
{
	for (size_t j = 0; j < b->count; j++) {
		bool covered = false;

		for (size_t i = 0; !covered && i < a->count; i++)
			covered = x->covers(a, i, b, j);
		if (!covered)
			return false;
	}
	return true;
}

static bool all_apart(const struct algebra *x, const struct cond *a, const struct cond *b)
{
	for (size_t i = 0; i < a->count; i++)
		for (size_t j = 0; j < b->count; j++)
			if (!x->apart(a, i, b, j))
				return false;
	return true;
}

bool cond_implies(const struct cond *a, const struct cond *b)
{
	const struct algebra *x = common(a, b);

	if (!x || (a->negated && !b->negated))
		return false;
	if (a->negated)
		return all_covered(x, a, b);
	return b->negated ? all_apart(x, a, b) : all_covered(x, b, a);
}

/* the alternatives take everything, or everything that there is */
static bool takes_all(const struct cond *c)
{
	for (size_t i = 0; i < c->count; i++) {
		if (c->globs && glob_always(c->globs[i]))
			return true;
		if (c->ranges && c->ranges[i].high == INT64_MAX &&
			c->ranges[i].low <= (c->kind == COND_SIZE ? 0 : INT64_MIN))
			return true;
	}
	return false;
}

static bool takes_none(const struct cond *c)
{
	for (size_t i = 0; i < c->count; i++)
		if (!c->globs || !glob_never(c->globs[i]))
			return false;
	return true;
}

bool cond_always(const struct cond *c)
{
	return c->negated ? takes_none(c) : takes_all(c);
}

bool cond_never(const struct cond *c)
{
	return c->negated ? takes_all(c) : takes_none(c);
}

bool conds_exclude(const struct cond *a, const struct cond *b)
{
	const struct algebra *x = common(a, b);

	if (!x || (a->negated && b->negated))
		return false;
	if (a->negated)
		return all_covered(x, a, b);
	return b->negated ? all_covered(x, b, a) : all_apart(x, a, b);
}

static bool section_implies_cond(const struct rule *r, const struct cond *c)
{
	for (size_t i = 0; i < r->count; i++)
		if (cond_implies(&r->conds[i], c))
			return true;
	return cond_always(c);
}

/* one of the sections that set a tag of the condition holds too; those that ask for tags themselves are left out */
static bool set_by_section(const struct rule *r, const struct cond *c, const struct program *setters)
{
	if (c->kind != COND_TAG || c->negated)
		return false;
	for (size_t i = 0; i < setters->count; i++) {
		const struct rule *setter = setters->v[i];
		bool sets = false, holds = true;

		for (size_t k = 0; k < c->count; k++)
			sets |= strcmp(c->words[k], setter->name) == 0;
		for (size_t k = 0; sets && holds && k < setter->count; k++)
			holds = section_implies_cond(r, &setter->conds[k]);
		if (sets && holds)
			return true;
	}
	return false;
}

const struct cond *section_implies(const struct rule *narrow, const struct rule *wide, const struct program *setters)
{
	for (size_t i = 0; i < wide->count; i++) {
		const struct cond *c = &wide->conds[i];

		if (!section_implies_cond(narrow, c) && !set_by_section(narrow, c, setters))
			return c;
	}
	return NULL;
}
