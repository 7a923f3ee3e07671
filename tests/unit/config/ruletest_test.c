/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/ruletest.h"
#include "tests/unit/config/scratch.h"

#include <errno.h>

/* the rules begin in line 16 */
static const char config_text[] =
	"[filesystem]\nstore = s\nhome = d\n[zone d]\nkind = domestic\nbackends = b\n[zone f]\nkind = foreign\n"
	"backends = v\n[backend b]\ntype = local\npath = /b\n[backend v]\ntype = local\npath = /v\n"
	"[rule hr]\ntag = personal\nzone = d\n"
	"[rule scans]\ntype = image/*\nname = scan-*\nzone = d\n"
	"[rule out]\npath = /pub/**\nsize = >1M\nage = >30d\nzone = f\n"
	"[rule root]\nowner = root\npath = /pub/**\nzone = f\n"
	"[rule group]\nowner = gid:7\nzone = f\n";

static struct ruletest result;

/* what is said of the table, without the directory in front of the file's name */
static char *run(const char *table, int expected)
{
	struct config_messages msgs = { 0 };
	struct buf out = BUF_INIT;
	struct config *c;
	char *text;

	scratch_write("test.ini", config_text);
	assert_int_equal(scratch_load(&c, &text), 0);
	free(text);
	scratch_write("table.ini", table);
	assert_int_equal(ruletest_run(c, "table.ini", &result, &msgs), expected);
	buf_str(&out, "");
	config_messages_print(&msgs, &out);
	text = buf_steal(&out);
	for (char *p; (p = strstr(text, scratch));)
		memmove(p, p + strlen(scratch) + 1, strlen(p + strlen(scratch) + 1) + 1);
	config_messages_free(&msgs);
	config_put(c);
	return text;
}

static void check(const char *table, int rc, const char *expected, size_t files, size_t failed)
{
	char *said = run(table, rc);

	assert_string_equal(said, expected);
	assert_int_equal(result.files, files);
	assert_int_equal(result.failed, failed);
	free(said);
}

static void test_expected(void **state)
{
	(void)state;
	check("[test pay]\npath = /hr/a, b = c.ods ; a comment\npath = /pub/x\ntag = new, personal\nsize = 2M\nage = "
	      "31d\n"
	      "zone = d\nrule = hr\n"
	      "[test old]\npath = /pub/x\nsize = 2M\nage = 31d\nowner = uid:9\nzone = f\nrule = out\n"
	      "[test young]\npath = /pub/x\nsize = 2M\nage = 29d\nowner = uid:9\nzone = d\nrule = none\n"
	      "[test root]\npath = /pub/x\nowner = root\nat = 2026-12-01 09:30\nzone = f\n"
	      "[test group]\npath = /x\ngroup = gid:7\nzone = f\n"
	      "[test scan]\npath = /x/scan-1\ntype = image/png\nzone = d\nrule = scans\n"
	      "[test no-scan]\npath = /x/scan-1\ntype = text/plain\nzone = d\nrule = none\n"
	      "[test unknown]\npath = /x/scan-1\nzone = d\nrule = scans\n",
		0, "", 9, 0);
}

static void test_failed(void **state)
{
	(void)state;
	check("[test a]\npath = /pub/y\npath = /pub/x\nsize = 2M\nage = 29d\nowner = uid:9\nzone = f\nrule = out\n"
	      "[test b]\npath = /pub/x\nzone = d\nrule = none\n[test c]\npath = /x\nzone = f\n",
		0,
		"table.ini:2: error: /pub/y: zone d since no rule matches; expected zone f by [rule out], of which "
		"age>30d "
		"does not hold\n"
		"table.ini:3: error: /pub/x: zone d since no rule matches; expected zone f by [rule out], of which "
		"age>30d "
		"does not hold\n"
		"table.ini:10: error: /pub/x: zone f by [rule root] (test.ini:28); expected zone d since no rule "
		"matches\n"
		"table.ini:14: error: /x: zone d since no rule matches; expected zone f\n",
		4, 4);
	/* the zone is right, the rule is not */
	check("[test a]\npath = /x\ntag = personal\nzone = d\nrule = scans\n", 0,
		"table.ini:2: error: /x: zone d by [rule hr] (test.ini:16); expected zone d by [rule scans]\n", 1, 1);
}

static void test_wrong_table(void **state)
{
	(void)state;
	check("[test a]\npath = x\nzone = d\n[test b]\npath = /x\nzone = d\n", -ERR_CONFIG,
		"table.ini:2: error: bad value \"x\" for \"path\"; expected a file's path from the mount's root, such "
		"as "
		"/hr/pay.ods\n",
		1, 0);
	check("[test a]\nzone = dd\nrule = hrr\nage = old\nat = noon\nowner = gid:1\ncolour = red\n", -ERR_CONFIG,
		"table.ini:1: error: [test a] has no \"path\"; expected a file's path from the mount's root, such as "
		"/hr/pay.ods\n"
		"table.ini:2: error: unknown zone \"dd\"; did you mean \"d\"?\n"
		"table.ini:3: error: unknown rule \"hrr\"; did you mean \"hr\"?\n"
		"table.ini:4: error: bad value \"old\" for \"age\"; expected a duration, such as 40d\n"
		"table.ini:5: error: bad value \"noon\" for \"at\"; expected a day, and a time of day if need be, such "
		"as "
		"2026-12-01 09:30\n"
		"table.ini:6: error: bad value \"gid:1\" for \"owner\"; expected a user that exists here, or "
		"uid:NUMBER\n"
		"table.ini:7: error: unknown key \"colour\" in [test a]; expected one of path, tag, size, age, at, "
		"owner, "
		"group, type, link-count, zone, rule\n",
		0, 0);
	check("[rule a]\npath = /x\n", -ERR_CONFIG,
		"table.ini:1: error: unknown section [rule]; expected [test NAME]\n", 0, 0);
	check("", -ERR_CONFIG, "table.ini: error: holds no section; expected [test NAME]\n", 0, 0);
	check("hello\n[test a]\npath = /x\nzone = d\n", -ERR_CONFIG,
		"table.ini:1: error: expected [section] or key = value\n", 1, 0);
}

static void test_missing(void **state)
{
	struct config_messages msgs = { 0 };
	struct config *c;
	char *text;

	(void)state;
	scratch_write("test.ini", config_text);
	assert_int_equal(scratch_load(&c, &text), 0);
	free(text);
	assert_int_equal(ruletest_run(c, "missing.ini", &result, &msgs), -ENOENT);
	assert_int_equal(msgs.count, 1);
	config_messages_free(&msgs);
	config_put(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expected),
		cmocka_unit_test(test_failed),
		cmocka_unit_test(test_wrong_table),
		cmocka_unit_test(test_missing),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
