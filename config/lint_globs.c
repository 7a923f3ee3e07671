/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/lint.h"

#include <string.h>

static bool in_quotes(const char *s)
{
	size_t len = strlen(s);

	return len > 1 && (*s == '"' || *s == '\'') && s[len - 1] == *s;
}

/* two stars that stand beside other characters of a component, where directories come into play */
static bool stars_glued(const char *s)
{
	const char *slash = strchr(s, '/');

	if (!slash || !slash[1])
		return false;
	for (const char *p = s; (p = strstr(p, "**")); p += strspn(p, "*")) {
		char after = p[strspn(p, "*")];

		if (p > s && p[-1] == '\\')
			continue;
		if ((p > s && p[-1] != '/') || (after && after != '/'))
			return true;
	}
	return false;
}

static const char *fault_of(const struct cond *c, size_t i)
{
	const char *s = c->items[i];

	if (glob_never(c->globs[i]))
		return "needs a name of more than 255 bytes, which no file has: delete it";
	if (in_quotes(s))
		return "matches only with its quotation marks, which are part of it: leave them out";
	if (c->kind == COND_PATH && s[0] == '~' && (s[1] == '/' || !s[1]))
		return "begins with ~, which stands for itself here: paths begin at the mount, as /hr/** does";
	if (c->kind == COND_PATH && stars_glued(s))
		return "has ** beside other characters, where it stops at a / as * does: write ** between slashes, as "
		       "in /hr/**/*.doc";
	return NULL;
}

static void lint_section(void *ctx, int phase, const struct rule *r)
{
	struct lint *l = ctx;

	(void)phase;
	for (size_t i = 0; i < r->count; i++) {
		const struct cond *c = &r->conds[i];

		for (size_t k = 0; c->globs && k < c->count; k++) {
			const char *fault = fault_of(c, k);

			if (fault)
				message_add(l->msgs, false, c->origin.file, c->origin.line, "the pattern %s %s",
					c->items[k], fault);
		}
	}
}

void lint_globs(struct lint *l)
{
	lint_each(l, lint_section, l);
}
