/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/glob_class.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOT_UTF8 0x80000000u /* plus the byte */

uint32_t glob_char(const char *s, size_t len, size_t *used)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint8_t first = (uint8_t)*s;
	size_t n = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
	uint32_t c = n == 1 ? first : first & (0x7fu >> n);

	*used = 1;
	if (n == 1)
		return first;
	if (n == 0 || n > len)
		return NOT_UTF8 + first;
	for (size_t i = 1; i < n; i++) {
		if (((uint8_t)s[i] & 0xc0) != 0x80)
			return NOT_UTF8 + first;
		c = c << 6 | ((uint8_t)s[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff)
		return NOT_UTF8 + first;
	*used = n;
	return c;
}

static int add_range(struct glob_class *c, uint32_t low, uint32_t high)
{
	struct glob_range *v = realloc(c->v, (c->count + 1) * sizeof *v);

	if (!v)
		return -ENOMEM;
	c->v = v;
	v[c->count++] = (struct glob_range){ low, high };
	return 0;
}

/* the POSIX classes as of the C locale: what a rule decides must not hang on the daemon's locale */
static const struct {
	const char *name;
	struct glob_range v[4];
} named[] = {
	{ "alnum", { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } } },
	{ "alpha", { { 'A', 'Z' }, { 'a', 'z' } } },
	{ "blank", { { '\t', '\t' }, { ' ', ' ' } } },
	{ "cntrl", { { 1, 31 }, { 127, 127 } } },
	{ "digit", { { '0', '9' } } },
	{ "graph", { { 33, 126 } } },
	{ "lower", { { 'a', 'z' } } },
	{ "print", { { 32, 126 } } },
	{ "punct", { { 33, 47 }, { 58, 64 }, { 91, 96 }, { 123, 126 } } },
	{ "space", { { 9, 13 }, { ' ', ' ' } } },
	{ "upper", { { 'A', 'Z' } } },
	{ "xdigit", { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } } },
};

static int add_named(struct glob_class *c, const char *name, size_t len, const char **fault)
{
	int rc = 0;

	for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
		if (strlen(named[i].name) != len || memcmp(named[i].name, name, len) != 0)
			continue;
		for (size_t j = 0; rc == 0 && j < 4 && named[i].v[j].high; j++)
			rc = add_range(c, named[i].v[j].low, named[i].v[j].high);
		return rc;
	}
	*fault = "an unknown class name in [: :]";
	return -EINVAL;
}

/* one character of the expression, quoted or not; moves *s on */
static int take_char(const char **s, const char *end, uint32_t *c)
{
	size_t used;

	if (**s == '\\' && *s + 1 < end)
		++*s;
	*c = glob_char(*s, (size_t)(end - *s), &used);
	*s += used;
	return *s < end ? 0 : -EINVAL;
}

static int take_item(struct glob_class *c, const char **s, const char *end, const char **fault)
{
	uint32_t low, high;
	const char *close;

	if (**s == '[' && end - *s > 3 && (*s)[1] == ':') {
		close = memmem(*s + 2, (size_t)(end - *s - 2), ":]", 2);
		if (close) {
			int rc = add_named(c, *s + 2, (size_t)(close - *s - 2), fault);

			*s = close + 2;
			return *s < end ? rc : -EINVAL;
		}
	}
	if (take_char(s, end, &low) < 0)
		return -EINVAL;
	high = low;
	if (**s == '-' && *s + 1 < end && (*s)[1] != ']') {
		++*s;
		if (take_char(s, end, &high) < 0)
			return -EINVAL;
		if (high < low) {
			*fault = "a range in [ ] that runs backwards";
			return -EINVAL;
		}
	}
	return add_range(c, low, high);
}

int glob_class_parse(struct glob_class *c, const char *text, size_t len, size_t *used, const char **fault)
{
	const char *s = text + 1, *end = text + len, *first;
	int rc = 0;

	*fault = "a [ without its ] (write \\[ for the character)";
	c->negated = s < end && (*s == '!' || *s == '^');
	s += c->negated;
	for (first = s; rc == 0 && s < end; rc = take_item(c, &s, end, fault)) {
		if (*s != ']' || s == first)
			continue;
		*used = (size_t)(s + 1 - text);
		return 0;
	}
	return rc < 0 ? rc : -EINVAL;
}

bool glob_class_has(const struct glob_class *c, uint32_t ch)
{
	for (size_t i = 0; i < c->count; i++)
		if (ch >= c->v[i].low && ch <= c->v[i].high)
			return !c->negated;
	return c->negated;
}
