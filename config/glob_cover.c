/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether one pattern covers another, or has nothing in common with it. Paths are sequences of components and
 * components are sequences of tokens, both with stars that take any number of elements, so that one alignment serves
 * both levels. It is exact but for classes and for bytes of characters outside ASCII facing a wildcard: there the
 * answer is the careful one. */
#include "config/glob_impl.h"

#include <limits.h>
#include <string.h>

#define ALIGN_MAX 512

enum question { COVERS, MEETS };

/* Two sequences; ctx knows their elements. */
struct align {
	size_t a_len, b_len;
	bool (*star)(const void *side, size_t i);
	bool (*pair)(const struct align *, size_t i, size_t j);
	const void *a, *b;
	enum question question;
};

/* One cell: what is left of a from i on against what is left of b from j on. below is the row of i + 1. */
static bool align_cell(const struct align *x, size_t i, size_t j, const bool *row, const bool *below)
{
	bool a_star = i < x->a_len && x->star(x->a, i), b_star = j < x->b_len && x->star(x->b, j);

	if (a_star && (below[j] || (j < x->b_len && row[j + 1])))
		return true;
	if (b_star && x->question == MEETS && (row[j + 1] || (i < x->a_len && below[j])))
		return true;
	if (i == x->a_len || j == x->b_len)
		return i == x->a_len && j == x->b_len;
	return !a_star && !b_star && x->pair(x, i, j) && below[j + 1];
}

static bool align(const struct align *x)
{
	bool rows[2][ALIGN_MAX + 1];

	if (x->a_len > ALIGN_MAX || x->b_len > ALIGN_MAX)
		return x->question == MEETS;
	memset(rows[~x->a_len & 1], 0, x->b_len + 1);
	for (size_t i = x->a_len + 1; i-- > 0;)
		for (size_t j = x->b_len + 1; j-- > 0;)
			rows[i & 1][j] = align_cell(x, i, j, rows[i & 1], rows[~i & 1]);
	return rows[0][0];
}

/* ---- tokens of a component -------------------------------------------------------------------------------------- */

struct tokens {
	const struct glob *g;
	const struct segment *s;
};

static bool token_star(const void *side, size_t i)
{
	return ((const struct tokens *)side)->s->v[i].type == TOKEN_STAR;
}

static bool is_ascii(const struct token *t)
{
	return t->type == TOKEN_BYTE && (unsigned char)t->byte < 0x80;
}

static const struct glob_class *class_of(const struct tokens *t, size_t i)
{
	return &t->g->classes[t->s->v[i].class];
}

static bool same_class(const struct glob_class *a, const struct glob_class *b)
{
	return a->negated == b->negated && a->count == b->count && memcmp(a->v, b->v, a->count * sizeof *a->v) == 0;
}

static bool token_covers(const struct tokens *a, size_t i, const struct tokens *b, size_t j)
{
	const struct token *s = &a->s->v[i], *t = &b->s->v[j];

	if (s->type == TOKEN_BYTE)
		return t->type == TOKEN_BYTE && s->byte == t->byte;
	if (s->type == TOKEN_ANY)
		return t->type != TOKEN_BYTE || is_ascii(t);
	if (t->type == TOKEN_BYTE)
		return is_ascii(t) && glob_class_has(class_of(a, i), (unsigned char)t->byte);
	return t->type == TOKEN_CLASS && same_class(class_of(a, i), class_of(b, j));
}

static bool token_pair(const struct align *x, size_t i, size_t j)
{
	const struct tokens *a = x->a, *b = x->b;
	bool bytes = a->s->v[i].type == TOKEN_BYTE || b->s->v[j].type == TOKEN_BYTE;

	if (x->question == COVERS)
		return token_covers(a, i, b, j);
	return !bytes || token_covers(a, i, b, j) || token_covers(b, j, a, i);
}

/* One wildcard takes several bytes of a character outside ASCII. */
static bool may_misalign(const struct segment *a, const struct segment *b)
{
	bool wide = false, wild = false;

	for (size_t i = 0; i < a->count; i++)
		wide |= a->v[i].type == TOKEN_BYTE && !is_ascii(&a->v[i]);
	for (size_t i = 0; i < b->count; i++)
		wild |= b->v[i].type == TOKEN_ANY || b->v[i].type == TOKEN_CLASS;
	return wide && wild;
}

/* ---- components of a path --------------------------------------------------------------------------------------- */

/* A pattern for names has any directories before its one component. */
static size_t path_len(const struct glob *g)
{
	return g->count + g->name_only;
}

static const struct segment *segment_at(const struct glob *g, size_t i)
{
	static const struct segment deep = { .kind = SEGMENT_DEEP };

	if (!g->name_only)
		return &g->v[i];
	return i ? &g->v[0] : &deep;
}

static bool segment_star(const void *side, size_t i)
{
	return segment_at(side, i)->kind == SEGMENT_DEEP;
}

static bool segment_pair(const struct align *x, size_t i, size_t j)
{
	struct tokens a = { x->a, segment_at(x->a, i) }, b = { x->b, segment_at(x->b, j) };
	struct align tokens = { a.s->count, b.s->count, token_star, token_pair, &a, &b, x->question };

	if (a.s->kind == SEGMENT_ANY || (x->question == MEETS && b.s->kind == SEGMENT_ANY))
		return true;
	if (b.s->kind == SEGMENT_ANY)
		return false;
	if (a.s->kind == SEGMENT_LITERAL && b.s->kind == SEGMENT_LITERAL)
		return strcmp(a.s->literal, b.s->literal) == 0;
	if (x->question == MEETS && (may_misalign(a.s, b.s) || may_misalign(b.s, a.s)))
		return true;
	return align(&tokens);
}

/* tells most pairs apart at once */
static bool begin_apart(const struct glob *a, const struct glob *b)
{
	for (size_t i = 0; i < path_len(a) && i < path_len(b); i++) {
		const struct segment *s = segment_at(a, i), *t = segment_at(b, i);

		if (s->kind != SEGMENT_LITERAL || t->kind != SEGMENT_LITERAL)
			return false;
		if (strcmp(s->literal, t->literal) != 0)
			return true;
	}
	return false;
}

bool glob_covers(const struct glob *a, const struct glob *b)
{
	struct align x = { path_len(a), path_len(b), segment_star, segment_pair, a, b, COVERS };

	return !begin_apart(a, b) && align(&x);
}

bool glob_apart(const struct glob *a, const struct glob *b)
{
	struct align x = { path_len(a), path_len(b), segment_star, segment_pair, a, b, MEETS };

	return begin_apart(a, b) || !align(&x);
}

bool glob_always(const struct glob *g)
{
	size_t any = 0, deep = 0;

	for (size_t i = 0; i < path_len(g); i++) {
		any += segment_at(g, i)->kind == SEGMENT_ANY;
		deep += segment_at(g, i)->kind == SEGMENT_DEEP;
	}
	return any <= 1 && deep && any + deep == path_len(g);
}

bool glob_never(const struct glob *g)
{
	for (size_t i = 0; i < g->count; i++) {
		size_t bytes = 0;

		for (size_t k = 0; k < g->v[i].count; k++)
			bytes += g->v[i].v[k].type != TOKEN_STAR;
		if (bytes > NAME_MAX)
			return true;
	}
	return false;
}

const char *glob_below(const struct glob *g, bool *whole)
{
	*whole = g->count && g->v[g->count - 1].kind == SEGMENT_LITERAL;
	for (size_t i = 0; i < g->count; i++)
		*whole &= g->v[i].kind == SEGMENT_LITERAL;
	return g->name_only ? NULL : g->below;
}
