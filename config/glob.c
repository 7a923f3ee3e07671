/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/glob_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void glob_free(struct glob *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->count; i++) {
		free(g->v[i].literal);
		free(g->v[i].v);
	}
	for (size_t i = 0; i < g->class_count; i++)
		free(g->classes[i].v);
	free(g->v);
	free(g->classes);
	free(g->below);
	free(g->runs);
	free(g);
}

static struct segment *add_segment(struct glob *g, enum segment_kind kind)
{
	struct segment *v = realloc(g->v, (g->count + 1) * sizeof *v);

	if (!v)
		return NULL;
	g->v = v;
	v[g->count] = (struct segment){ .kind = kind };
	return &v[g->count++];
}

static int add_class(struct glob *g, const char *s, size_t len, size_t *used, const char **fault)
{
	struct glob_class *v = realloc(g->classes, (g->class_count + 1) * sizeof *v);

	if (!v)
		return -ENOMEM;
	g->classes = v;
	v[g->class_count] = (struct glob_class){ 0 };
	return glob_class_parse(&v[g->class_count++], s, len, used, fault);
}

/* one token at s; *used may take several stars */
static int take_token(struct glob *g, const char *s, size_t len, struct token *t, size_t *used, const char **fault)
{
	int rc = 0;

	*used = 1;
	*t = (struct token){ .type = TOKEN_BYTE, .byte = *s };
	if (*s == '*') {
		t->type = TOKEN_STAR;
		while (*used < len && s[*used] == '*')
			++*used;
	} else if (*s == '?') {
		t->type = TOKEN_ANY;
	} else if (*s == '[') {
		t->type = TOKEN_CLASS;
		t->class = (uint32_t)g->class_count;
		rc = add_class(g, s, len, used, fault);
	} else if (*s == '\\') {
		if (len < 2) {
			*fault = "a \\ with nothing after it";
			return -EINVAL;
		}
		t->byte = s[1];
		*used = 2;
	}
	return rc;
}

static enum segment_kind kind_of(const struct segment *s)
{
	if (s->literal_len == s->count)
		return SEGMENT_LITERAL;
	if (s->v[0].type != TOKEN_STAR || s->literal_len + 1 != s->count)
		return SEGMENT_TOKENS;
	return s->literal_len ? SEGMENT_TAIL : SEGMENT_ANY;
}

static int classify(struct segment *s)
{
	size_t from = s->count;

	while (from && s->v[from - 1].type == TOKEN_BYTE)
		from--;
	s->literal_len = s->count - from;
	s->literal = malloc(s->literal_len + 1);
	if (!s->literal)
		return -ENOMEM;
	for (size_t i = from; i < s->count; i++)
		s->literal[i - from] = s->v[i].byte;
	s->literal[s->literal_len] = 0;
	s->kind = kind_of(s);
	return 0;
}

static int compile_component(struct glob *g, const char *p, size_t len, const char **fault)
{
	struct segment *s = add_segment(g, SEGMENT_TOKENS);
	size_t used;
	int rc;

	if (!s || !(s->v = malloc(len * sizeof *s->v)))
		return -ENOMEM;
	for (; len; p += used, len -= used) {
		if ((rc = take_token(g, p, len, &s->v[s->count], &used, fault)) < 0)
			return rc;
		s->count++;
	}
	if ((rc = classify(s)) < 0)
		return rc;
	if (s->kind == SEGMENT_LITERAL && (strcmp(s->literal, ".") == 0 || strcmp(s->literal, "..") == 0)) {
		*fault = "a component . or .., which no path has";
		return -EINVAL;
	}
	return 0;
}

/* the length of the component at p: a '/' inside [ ] belongs to no class, so that it ends the component */
static size_t component_len(const char *p)
{
	size_t n = 0;

	while (p[n] && p[n] != '/')
		n += p[n] == '\\' && p[n + 1] && p[n + 1] != '/' ? 2 : 1;
	return n;
}

static int add_deep(struct glob *g)
{
	if (g->count && g->v[g->count - 1].kind == SEGMENT_DEEP)
		return 0;
	return add_segment(g, SEGMENT_DEEP) ? 0 : -ENOMEM;
}

/* what lies below: one component at least */
static int add_below(struct glob *g)
{
	return add_segment(g, SEGMENT_ANY) && add_segment(g, SEGMENT_DEEP) ? 0 : -ENOMEM;
}

static int compile_components(struct glob *g, const char *p, const char **fault)
{
	int rc = 0;

	while (rc == 0 && *p) {
		size_t len = component_len(p);
		bool last = !p[len], inner = !last && p[len + 1];

		if (!len) {
			*fault = "an empty component (//)";
			return -EINVAL;
		}
		if (len >= 2 && strspn(p, "*") >= len)
			rc = inner ? add_deep(g) : add_below(g);
		else
			rc = compile_component(g, p, len, fault);
		p += len;
		if (last)
			break;
		if (!*++p && rc == 0) /* a trailing slash */
			rc = add_below(g);
	}
	return rc;
}

static int compile_path(struct glob *g, const char *p, const char **fault)
{
	const char *slash = strchr(p, '/');

	if (*p == '/')
		return p[1] ? compile_components(g, p + 1, fault) : add_below(g);
	/* no slash but a trailing one: at any depth */
	if ((!slash || !slash[1]) && add_deep(g) < 0)
		return -ENOMEM;
	return compile_components(g, p, fault);
}

/* the leading literal components as one path */
static int find_below(struct glob *g)
{
	size_t len = 0, n = 0;
	char *to;

	for (; n < g->count && g->v[n].kind == SEGMENT_LITERAL; n++)
		len += g->v[n].literal_len + 1;
	if (!n)
		return 0;
	g->below = to = malloc(len + 1);
	if (!to)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		*to++ = '/';
		to = mempcpy(to, g->v[i].literal, g->v[i].literal_len);
	}
	*to = 0;
	g->need = GLOB_NEED_BELOW;
	g->need_text = g->below;
	g->need_len = len;
	return 0;
}

static int find_runs(struct glob *g)
{
	size_t size = 0;

	for (size_t i = 0; i < g->count; i++)
		size += g->v[i].count + 1;
	if (!(g->runs = malloc(size)))
		return -ENOMEM;
	for (size_t i = 0; i < g->count; i++) {
		for (size_t k = 0; k < g->v[i].count; k++)
			g->runs[g->runs_len++] = g->v[i].v[k].type == TOKEN_BYTE ? g->v[i].v[k].byte : 0;
		g->runs[g->runs_len++] = 0;
	}
	return 0;
}

static int find_need(struct glob *g)
{
	const struct segment *last = &g->v[g->count - 1];
	const char *dot;
	int rc = find_below(g);

	if (rc < 0 || g->need)
		return rc;
	for (size_t i = g->count; i > 0; i--) {
		const struct segment *s = &g->v[i - 1];

		if (s->kind != SEGMENT_LITERAL)
			continue;
		g->need = GLOB_NEED_COMPONENT;
		g->need_text = s->literal;
		g->need_len = s->literal_len;
		return 0;
	}
	dot = last->literal ? strrchr(last->literal, '.') : NULL;
	if (dot) {
		g->need = GLOB_NEED_SUFFIX;
		g->need_text = dot + 1;
		g->need_len = strlen(dot + 1);
	}
	return 0;
}

static int compile(struct glob **out, const char *pattern, bool name_only, struct errmsg *msg)
{
	struct glob *g = calloc(1, sizeof *g);
	const char *fault = NULL;
	int rc = -EINVAL;

	*out = NULL;
	if (!g)
		return -ENOMEM;
	g->name_only = name_only;
	if (!*pattern)
		fault = "nothing";
	else if (*pattern == '!')
		fault = "a leading !, which has no meaning here (use a not- key, or \\! for the character)";
	else if (name_only && strchr(pattern, '/'))
		fault = "a /, which no name has (use the key path)";
	else if (name_only)
		rc = compile_component(g, pattern, strlen(pattern), &fault);
	else
		rc = compile_path(g, pattern, &fault);
	if (rc == 0)
		rc = find_need(g);
	if (rc == 0)
		rc = find_runs(g);
	if (rc == -EINVAL)
		errmsg_set(msg, rc, "the pattern \"%s\" holds %s", pattern, fault);
	if (rc < 0)
		glob_free(g);
	else
		*out = g;
	return rc;
}

int glob_compile(struct glob **out, const char *pattern, struct errmsg *msg)
{
	return compile(out, pattern, false, msg);
}

int glob_compile_name(struct glob **out, const char *pattern, struct errmsg *msg)
{
	return compile(out, pattern, true, msg);
}

enum glob_need glob_need(const struct glob *g, const char **text, size_t *len)
{
	*text = g->need_text;
	*len = g->need_len;
	return g->need;
}

const char *glob_gram(const struct glob *g, size_t *at)
{
	for (; *at + GLOB_GRAM <= g->runs_len; ++*at)
		if (!memchr(g->runs + *at, 0, GLOB_GRAM))
			return g->runs + (*at)++;
	return NULL;
}

/* the bytes of s that the token takes, 0 if it does not match; a star is the caller's */
static size_t token_take(const struct glob *g, const struct token *t, const char *s, size_t len)
{
	size_t used;
	uint32_t c;

	if (t->type == TOKEN_BYTE)
		return *s == t->byte;
	c = glob_char(s, len, &used);
	if (t->type == TOKEN_CLASS && !glob_class_has(&g->classes[t->class], c))
		return 0;
	return used;
}

/* the first place from at on where what follows the star can begin, or SIZE_MAX */
static size_t after_star(const struct segment *seg, size_t star, const char *s, size_t len, size_t at)
{
	const char *found;

	if (star + 1 == seg->count)
		return len;
	if (seg->v[star + 1].type != TOKEN_BYTE)
		return at;
	found = at < len ? memchr(s + at, seg->v[star + 1].byte, len - at) : NULL;
	return found ? (size_t)(found - s) : SIZE_MAX;
}

static bool match_tokens(const struct glob *g, const struct segment *seg, const char *s, size_t len)
{
	size_t i = 0, at = 0, star = SIZE_MAX, star_at = 0, used;

	while (at < len) {
		if (i < seg->count && seg->v[i].type == TOKEN_STAR) {
			star = i++;
			star_at = at = after_star(seg, star, s, len, at);
		} else if (i < seg->count && (used = token_take(g, &seg->v[i], s + at, len - at))) {
			i++;
			at += used;
		} else if (star != SIZE_MAX) {
			i = star + 1;
			glob_char(s + star_at, len - star_at, &used);
			star_at = at = after_star(seg, star, s, len, star_at + used);
		} else {
			return false;
		}
	}
	if (at > len)
		return false;
	while (i < seg->count && seg->v[i].type == TOKEN_STAR)
		i++;
	return i == seg->count;
}

static bool match_segment(const struct glob *g, const struct segment *seg, const char *s, size_t len)
{
	switch (seg->kind) {
	case SEGMENT_ANY:
		return true;
	case SEGMENT_LITERAL:
		return len == seg->literal_len && memcmp(s, seg->literal, len) == 0;
	case SEGMENT_TAIL:
		return len >= seg->literal_len &&
		       memcmp(s + len - seg->literal_len, seg->literal, seg->literal_len) == 0;
	default:
		return match_tokens(g, seg, s, len);
	}
}

bool glob_match_name(const struct glob *g, const char *name, size_t len)
{
	return match_segment(g, &g->v[0], name, len);
}

/* past the component at s and the slashes after it */
static const char *next_component(const char *s, size_t len)
{
	s += len;
	return s + strspn(s, "/");
}

bool glob_match(const struct glob *g, const char *path)
{
	const char *s = path + strspn(path, "/"), *deep_at = NULL;
	size_t i = 0, deep = SIZE_MAX;

	while (*s) {
		size_t len = strcspn(s, "/");

		if (i < g->count && g->v[i].kind == SEGMENT_DEEP) {
			deep = i++;
			deep_at = s;
			if (i == g->count)
				return true;
		} else if (i < g->count && match_segment(g, &g->v[i], s, len)) {
			i++;
			s = next_component(s, len);
		} else if (deep != SIZE_MAX) {
			i = deep + 1;
			s = deep_at = next_component(deep_at, strcspn(deep_at, "/"));
		} else {
			return false;
		}
	}
	while (i < g->count && g->v[i].kind == SEGMENT_DEEP)
		i++;
	return i == g->count;
}
