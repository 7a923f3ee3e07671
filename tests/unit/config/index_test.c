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
	"**", "/c/a/b/**/*.x", "[ab].y", "*abc*", "x-*-abc*/**", "?abcd[ef]*" };
static const char *const names[] = { "*.x", "*.y", "a", "b.x", "?.y", "*", "c*", "*bcd*", "abc?e*", "x-*.y" };
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
	static const char *const components[] = { "a", "b", "c", "a.x", "b.y", "xx", "c.x.y", "abcde", "x-0-abcd.y",
		"0abcdf" };
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
		given[i] = (struct rule_tag){ PICK(tags), TAG_USER, NULL, NULL };
}

static void test_same_as_without(void **state)
{
	static const struct rule_trace every = { 0 };

	(void)state;
	for (int round = 0; round < 60; round++) {
		struct config *c = random_config();

		for (int i = 0; i < 300; i++) {
			struct rule_decision with, without;
			struct rule_tag given[3], *tags_with, *tags_without;
			size_t count_with, count_without;
			struct rule_facts f;
			char path[96];

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

/* Rules as people write them, for ten thousand projects, clients and forms: rule i. */
static void put_rule(struct buf *b, int i)
{
	static const char *const kinds[] = {
		"path = /projects/p%d/**\n",
		"path = /clients/*/case-%d/**\nnot-name = *.tmp\n",
		"path = **/contract-%d/**\nsize = >1M\n",
		"tag = project-%d\nage = >30d\n",
		"name = *invoice-%d*\n",
		"name = report-%d-*.pdf\nage = >365d\n",
		"name = *.%dx\nsize = 1K..10M\n",
		"owner = uid:%d\nname = *.pdf, *.doc\n",
		"path = /archive/20[0-2]?/*-%d-*/**\n",
		"path = /home/*/mail/folder%d/*.eml\nnot-tag = private\n",
	};

	buf_printf(b, "[rule r%d]\nzone = f\n", i);
	buf_printf(b, kinds[i % 10], i);
}

/* Microseconds of processor time for one placement, the least of ten. */
static double placement_us(const struct config *c, const struct rule_facts *f, const char *wanted)
{
	struct rule_decision d;
	double least = 1e9;

	for (int turn = 0; turn < 10; turn++) {
		struct timespec from, to;
		double us;

		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
		for (int i = 0; i < 200; i++)
			assert_int_equal(rules_decide(c, f, &d, NULL, NULL, NULL), 0);
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
		us = ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / 200e3;
		least = us < least ? us : least;
	}
	assert_string_equal(d.rule ? rule_name(d.rule) : "", wanted);
	return least;
}

/* With ten thousand rules a file is placed in under 20 microseconds; it takes one or two. */
static void test_speed(void **state)
{
	static const struct rule_tag project[] = { { "project-9993", TAG_USER, NULL, NULL } };
	static const struct {
		const char *path, *rule;
		size_t tags;
	} files[] = {
		{ "/projects/p9990/src/lib/file.c", "r9990", 0 },
		{ "/clients/somebody/case-9991/letter of today.odt", "r9991", 0 },
		{ "/home/user/contract-9992/scan.tiff", "r9992", 0 },
		{ "/home/user/photos/2019/img_4711.jpg", "r9993", 1 },
		{ "/home/user/an invoice-9994 of last year.pdf", "r9994", 0 },
		{ "/home/user/report-9995-final version.pdf", "r9995", 0 },
		{ "/archive/2019/box-9998-left/a/b/c/d/e/f", "r9998", 0 },
		{ "/home/user/mail/folder9999/1.eml", "r9999", 0 },
		{ "/home/user/documents/an invoice for the report of a contract.pdf", "", 0 },
		{ "/home/user/src/linux/drivers/gpu/drm/amd/display/dc/dcn32/dcn32_resource.c", "", 0 },
	};
	struct buf b = BUF_INIT;
	struct config *c;
	char *text;

	(void)state;
	buf_str(&b, ZONES);
	for (int i = 0; i < 10000; i++)
		put_rule(&b, i);
	scratch_write("test.ini", (char *)b.data);
	buf_free(&b);
	assert_int_equal(scratch_load(&c, &text), 0);
	free(text);
	for (size_t i = 0; i < COUNT(files); i++) {
		struct rule_facts f = { .path = files[i].path,
			.size = 2 << 20,
			.now_ns = 1000000000 * NS_PER_S,
			.uid = 12345,
			.tags = project,
			.tag_count = files[i].tags };
		double us = placement_us(c, &f, files[i].rule);

		print_message("%.2f us: %s\n", us, files[i].path);
		assert_true(us < 20);
	}
	config_put(c);
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
