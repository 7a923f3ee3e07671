/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The index may leave out only what cannot match: every decision with it is compared with the same program run over
 * every section. Then it is measured, which decides nothing here. */
#include "base/clock.h"
#include "tests/unit/config/scratch.h"

#define ZONES                                                                                                          \
	"[filesystem]\nstore = s\nhome = d\n[zone d]\nkind = domestic\nbackends = b\n[zone f]\nkind = foreign\n"       \
	"backends = v\n[backend b]\ntype = local\npath = /b\n[backend v]\ntype = local\npath = /v\n"

static unsigned seed = 1;

static unsigned roll(unsigned n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

static const char *const globs[] = { "/a/**", "/a/b/**", "a/", "*.x", "/b/*.y", "**/c/**", "b", "/a/b", "*x*", "?",
	"**", "/c/a/b/**/*.x", "[ab].y" };
static const char *const names[] = { "*.x", "*.y", "a", "b.x", "?.y", "*", "c*" };
static const char *const tags[] = { "t0", "t1", "t2", "t3", "t4" };
static const char *const ages[] = { ">1s", "<10s", "5s..20s" };
static const char *const sizes[] = { ">10", "<=5", "3..20" };
static const char *const owners[] = { "uid:1", "gid:1", "uid:2" };
static const char *const types[] = { "image/*", "text/plain" };

#define PICK(array) array[roll(COUNT(array))]

static const char *value(unsigned key)
{
	switch (key) {
	case 0:
		return PICK(globs);
	case 1:
		return PICK(names);
	case 2:
		return PICK(tags);
	case 3:
		return PICK(ages);
	case 4:
		return PICK(sizes);
	case 5:
		return PICK(owners);
	default:
		return PICK(types);
	}
}

static void put_section(struct buf *b, const char *kind, const char *name, unsigned n, const char *zone)
{
	static const char *const keys[] = { "path", "name", "tag", "age", "size", "owner", "type" };
	unsigned used = 0;

	buf_printf(b, "[%s %s", kind, name);
	if (zone)
		buf_printf(b, "%u]\nzone = %s\n", n, zone);
	else
		buf_str(b, "]\n");
	for (unsigned conds = 1 + roll(3); conds; conds--) {
		unsigned key = roll(COUNT(keys));

		if (used & 1U << key)
			continue;
		used |= 1U << key;
		buf_printf(b, "%s%s = %s", roll(4) ? "" : "not-", keys[key], value(key));
		if (roll(2))
			buf_printf(b, ", %s", value(key));
		buf_str(b, "\n");
	}
}

static struct config *random_config(void)
{
	struct buf b = BUF_INIT;
	struct config *c;
	char *text;

	buf_str(&b, ZONES);
	for (unsigned i = 0; i < 12; i++)
		put_section(&b, "tag", PICK(tags), i, NULL);
	for (unsigned i = 0; i < 25; i++)
		put_section(&b, "rule", "r", i, roll(2) ? "d" : "f");
	scratch_write("test.ini", (char *)b.data);
	buf_free(&b);
	scratch_load(&c, &text);
	assert_string_equal(text, "");
	free(text);
	return c;
}

static const char *content(void *ctx)
{
	return ctx;
}

static void random_facts(struct rule_facts *f, struct rule_tag *given, char *path)
{
	static const char *const components[] = { "a", "b", "c", "a.x", "b.y", "xx", "c.x.y" };
	static const char *const contents[] = { NULL, "image/png", "text/plain" };

	*path = 0;
	for (unsigned n = 1 + roll(4); n; n--)
		sprintf(path + strlen(path), "/%s", PICK(components));
	*f = (struct rule_facts){ .path = path,
		.size = roll(30),
		.now_ns = 1000 * NS_PER_S,
		.mtime_ns = (1000 - roll(30)) * NS_PER_S,
		.uid = roll(3),
		.gid = roll(3),
		.tags = given,
		.tag_count = roll(3),
		.media_type = content,
		.ctx = (void *)PICK(contents) };
	for (size_t i = 0; i < f->tag_count; i++)
		given[i] = (struct rule_tag){ PICK(tags), TAG_USER, NULL };
}

static void test_same_as_without(void **state)
{
	static const struct rule_trace every = { NULL, NULL, NULL };

	(void)state;
	for (int round = 0; round < 60; round++) {
		struct config *c = random_config();

		for (int i = 0; i < 300; i++) {
			struct rule_decision with, without;
			struct rule_tag given[3], *tags_with, *tags_without;
			size_t count_with, count_without;
			struct rule_facts f;
			char path[64];

			random_facts(&f, given, path);
			assert_int_equal(rules_decide(c, &f, &with, NULL, &tags_with, &count_with), 0);
			assert_int_equal(rules_decide(c, &f, &without, &every, &tags_without, &count_without), 0);
			assert_ptr_equal(with.rule, without.rule);
			assert_ptr_equal(with.zone, without.zone);
			assert_int_equal(with.next_due_ns, without.next_due_ns);
			assert_int_equal(count_with, count_without);
			for (size_t j = 0; j < count_with; j++)
				assert_string_equal(tags_with[j].name, tags_without[j].name);
			free(tags_with);
			free(tags_without);
		}
		config_put(c);
	}
}

/* more hits than the query has room for at first */
static void test_many_hits(void **state)
{
	struct buf b = BUF_INIT, path = BUF_INIT;
	struct rule_facts f = { 0 };
	struct rule_decision d;
	struct config *c;
	char *text;

	(void)state;
	buf_str(&b, ZONES);
	for (int i = 0; i < 100; i++) {
		buf_printf(&path, "/c%d", i);
		buf_printf(&b, "[rule r%d]\npath = c%d/\nname = no%d\nzone = f\n", i, i, i);
		buf_printf(&b, "[rule s%d]\npath = c%d/\nsize = >10\nzone = f\n", i, i);
	}
	scratch_write("test.ini", (char *)b.data);
	assert_int_equal(scratch_load(&c, &text), 0);
	free(text);
	f.path = (char *)path.data;
	assert_int_equal(rules_decide(c, &f, &d, NULL, NULL, NULL), 0);
	assert_null(d.rule);
	f.size = 11;
	assert_int_equal(rules_decide(c, &f, &d, NULL, NULL, NULL), 0);
	assert_string_equal(rule_name(d.rule), "s0");
	/* written in another way than the index knows */
	f.path = "/c7//x";
	assert_int_equal(rules_decide(c, &f, &d, NULL, NULL, NULL), 0);
	assert_string_equal(rule_name(d.rule), "s7");
	config_put(c);
	buf_free(&b);
	buf_free(&path);
}

static void measure(const char *what, const char *rule, const char *path)
{
	struct rule_facts f = { .path = path, .size = 100, .now_ns = NS_PER_S };
	struct rule_decision d;
	struct buf b = BUF_INIT;
	struct config *c;
	int64_t start;
	char *text;

	buf_str(&b, ZONES);
	for (int i = 0; i < 10000; i++) {
		buf_printf(&b, "[rule r%d]\nzone = f\n", i);
		buf_printf(&b, rule, i);
	}
	scratch_write("test.ini", (char *)b.data);
	buf_free(&b);
	start = clock_mono_ns();
	assert_int_equal(scratch_load(&c, &text), 0);
	print_message("10000 rules, %s: loaded in %lld ms, ", what, (long long)((clock_mono_ns() - start) / NS_PER_MS));
	free(text);
	start = clock_mono_ns();
	for (int i = 0; i < 2000; i++)
		assert_int_equal(rules_decide(c, &f, &d, NULL, NULL, NULL), 0);
	print_message("%s placed in %lld ns\n", d.rule ? rule_name(d.rule) : "by default",
		(long long)(clock_mono_ns() - start) / 2000);
	config_put(c);
}

static void test_speed(void **state)
{
	(void)state;
	measure("a directory each", "path = /projects/p%d/**\n", "/projects/p9999/src/lib/file.c");
	measure("a directory each, none", "path = /projects/p%d/**\n", "/home/user/src/lib/file.c");
	measure("two conditions", "path = /projects/**\nname = *.e%d\n", "/projects/p77/src/lib/file.e9999");
	measure("a tag each", "tag = t%d\nsize = >1M\n", "/projects/p77/src/lib/file.c");
	measure("a type each", "name = *.e%d\nage = >30d\n", "/projects/p77/src/lib/file.c");
	measure("without any help", "path = *x%d*\n", "/projects/p77/src/lib/file.c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_as_without),
		cmocka_unit_test(test_many_hits),
		cmocka_unit_test(test_speed),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
