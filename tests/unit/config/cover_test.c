/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the comparison of two patterns claims is held against matching, over random patterns and paths. */
#include "config/glob.h"
#include "tests/unit/base/unit.h"

#include <string.h>

static unsigned seed = 7;

static unsigned roll(unsigned n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

static void random_text(char *out, const char *const *parts, unsigned count, unsigned depth, const char *lead)
{
	*out = 0;
	for (unsigned n = 1 + roll(depth); n; n--) {
		strcat(out, *out ? "/" : lead);
		for (unsigned k = 1 + roll(3); k; k--)
			strcat(out, parts[roll(count)]);
	}
}

struct pattern {
	char text[64];
	bool name_only;
	struct glob *g;
};

static void random_pattern(struct pattern *p)
{
	static const char *const parts[] = { "a", "b", "*", "?", "[ab]", "[!a]", "ab", "\xc3\xa9", "**", "." };
	static const char *const leads[] = { "", "/", "**/" };

	for (p->g = NULL; !p->g;) {
		struct errmsg msg = { 0 };

		p->name_only = roll(3) == 0;
		random_text(p->text, parts, COUNT(parts), p->name_only ? 1 : 3, p->name_only ? "" : leads[roll(3)]);
		if (p->name_only)
			glob_compile_name(&p->g, p->text, &msg);
		else
			glob_compile(&p->g, p->text, &msg);
		errmsg_free(&msg);
	}
}

static bool matches(const struct pattern *p, const char *path)
{
	const char *name = strrchr(path, '/') + 1;

	return p->name_only ? glob_match_name(p->g, name, strlen(name)) : glob_match(p->g, path);
}

struct claims {
	bool covers, apart, always;
};

static void check(const struct pattern *a, const struct pattern *b, const struct claims *claims, const char *path)
{
	bool in_a = matches(a, path), in_b = matches(b, path);

	if ((claims->covers && in_b && !in_a) || (claims->apart && in_a && in_b) || (claims->always && !in_a))
		fail_msg("%s, %s, %s", a->text, b->text, path);
}

static void test_claims(void **state)
{
	static const char *const parts[] = { "a", "b", "ab", "\xc3\xa9", "c", "\xa9", "." };
	unsigned covers = 0, apart = 0;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct pattern a, b;
		struct claims claims;
		char path[64];

		random_pattern(&a);
		random_pattern(&b);
		claims = (struct claims){ glob_covers(a.g, b.g), glob_apart(a.g, b.g), glob_always(a.g) };
		covers += claims.covers;
		apart += claims.apart;
		for (int i = 0; i < 40; i++) {
			random_text(path, parts, COUNT(parts), 4, "/");
			check(&a, &b, &claims, path);
		}
		glob_free(a.g);
		glob_free(b.g);
	}
	print_message("%u cover, %u are apart\n", covers, apart);
	assert_true(covers > 500);
	assert_true(apart > 2000);
}

/* what must be told */
static void test_exact(void **state)
{
	static const struct {
		const char *a, *b;
		bool covers, apart;
	} rows[] = {
		{ "/hr/**", "/hr/*.doc", true, false },
		{ "/hr/", "/hr/**", true, false },
		{ "/hr/**", "/hr", false, true },
		{ "/hr/**", "**/x", false, false },
		{ "**/x", "/hr/*/x", true, false },
		{ "*.doc", "/hr/a.doc", true, false },
		{ "/a/**/b", "/a/b", true, false },
		{ "/a/**/b", "/a/**/c/**/b", true, false },
		{ "/a/*/b", "/a/**/b", false, false },
		{ "/a/*/b", "/a/b", false, true },
		{ "a*c", "abbc", true, false },
		{ "a*c", "a*b*c", true, false },
		{ "a?c", "a*c", false, false },
		{ "a?c", "abbc", false, true },
		{ "[ab]", "a", true, false },
		{ "[ab]", "c", false, true },
		{ "[ab]", "[ab]", true, false },
		{ "?", "[xy]", true, false },
		{ "?", "\xc3\xa9", false, false },
		{ "*.a", "*.b", false, true },
		{ "b*", "*.b", false, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct errmsg msg = { 0 };
		struct glob *a, *b;

		assert_int_equal(glob_compile(&a, rows[i].a, &msg), 0);
		assert_int_equal(glob_compile(&b, rows[i].b, &msg), 0);
		if (glob_covers(a, b) != rows[i].covers || glob_apart(a, b) != rows[i].apart)
			fail_msg("%s, %s", rows[i].a, rows[i].b);
		assert_int_equal(glob_apart(b, a), rows[i].apart);
		glob_free(a);
		glob_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
