/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Conditions on time and on the number of names, and when time will change the answer. */
#include "base/clock.h"
#include "base/text.h"
#include "tests/unit/config/scratch.h"

#include <errno.h>
#include <time.h>

#define ZONES                                                                                                          \
	"[filesystem]\nstore = s\nhome = d\n[zone d]\nkind = domestic\nbackends = b\n[zone f]\nkind = foreign\n"       \
	"backends = v\n[backend b]\ntype = local\npath = /b\n[backend v]\ntype = local\npath = /v\n"

static void set_zone(const char *tz)
{
	setenv("TZ", tz, 1);
	tzset();
}

static int load(struct config **c, const char *cond, char **text)
{
	struct buf b = BUF_INIT;
	int rc;

	buf_printf(&b, ZONES "[rule r]\nzone = f\n%s\n", cond);
	scratch_write("test.ini", (char *)b.data);
	buf_free(&b);
	rc = scratch_load(c, text);
	return rc;
}

/* whether the condition holds at that time, and at what time that may change ("" for never) */
static void check(const char *cond, const char *at, bool holds, const char *due)
{
	struct rule_facts f = { .path = "/a", .link_count = 1 };
	struct rule_decision d;
	struct config *c;
	int64_t due_ns = INT64_MAX;
	char *text;

	assert_int_equal(load(&c, cond, &text), 0);
	assert_int_equal(text_parse_time(at, &f.now_ns), 0);
	assert_int_equal(rules_decide(c, &f, &d, NULL, NULL, NULL), 0);
	if ((d.rule != NULL) != holds)
		fail_msg("%s at %s", cond, at);
	if (*due)
		assert_int_equal(text_parse_time(due, &due_ns), 0);
	if (d.next_due_ns != due_ns)
		fail_msg("%s at %s: %lld instead of %lld", cond, at, (long long)d.next_due_ns, (long long)due_ns);
	free(text);
	config_put(c);
}

static void test_hours(void **state)
{
	(void)state;
	set_zone("Europe/Berlin");
	check("hours = 08:00-18:00", "2026-12-01 07:59", false, "2026-12-01 08:00");
	check("hours = 08:00-18:00", "2026-12-01 08:00", true, "2026-12-01 18:00");
	check("hours = 08:00-18:00", "2026-12-01 17:59", true, "2026-12-01 18:00");
	check("hours = 08:00-18:00", "2026-12-01 18:00", false, "2026-12-02 08:00");
	check("not-hours = 08:00-18:00", "2026-12-01 18:00", true, "2026-12-02 08:00");
	check("hours = 22:00-06:00", "2026-12-01 23:00", true, "2026-12-02");
	check("hours = 22:00-06:00", "2026-12-01 05:59", true, "2026-12-01 06:00");
	check("hours = 22:00-06:00", "2026-12-01 06:00", false, "2026-12-01 22:00");
	check("hours = 12:00-24:00, 00:00-01:00", "2026-12-01 23:59", true, "2026-12-02");
	check("hours = 12:00-24:00", "2026-12-01 00:00", false, "2026-12-01 12:00");
	/* the clocks go forward at two: three comes an hour earlier */
	check("hours = 01:00-03:00", "2026-03-29 01:30", true, "2026-03-29 03:00");
}

static void test_days(void **state)
{
	(void)state;
	set_zone("Asia/Shanghai");
	check("days = mon-fri", "2026-12-01 10:00", true, "2026-12-02");
	check("days = mon-fri", "2026-12-05", false, "2026-12-06");
	check("days = sat-mon", "2026-12-06 23:59", true, "2026-12-07");
	check("days = Sat-Mon", "2026-12-07", true, "2026-12-08");
	check("days = sat-mon", "2026-12-08", false, "2026-12-09");
	check("days = sun, tue", "2026-12-01", true, "2026-12-02");
	check("days = mon-sun", "2026-12-03", true, "2026-12-04");
	check("not-days = wed", "2026-12-02", false, "2026-12-03");
}

static void test_dates(void **state)
{
	(void)state;
	set_zone("Asia/Shanghai");
	check("date = >=2026-12-01", "2026-11-30 23:59", false, "2026-12-01");
	check("date = >=2026-12-01", "2026-12-01", true, "");
	check("date = >2026-12-01", "2026-12-01 23:59", false, "2026-12-02");
	check("date = <2026-12-01", "2026-11-30 23:59", true, "2026-12-01");
	check("date = <=2026-12-01", "2026-12-01 23:59", true, "2026-12-02");
	check("date = <=2026-12-01", "2026-12-02", false, "");
	check("date = 2026-12-24", "2026-12-24 12:00", true, "2026-12-25");
	check("date = 2026-12-01..2026-12-31", "2026-12-31 23:00", true, "2027-01-01");
	check("date = 2026-12-01..2026-12-31", "2026-01-01", false, "2026-12-01");
	check("date = >= 2026-12-01 09:30", "2026-12-01 09:29", false, "2026-12-01 09:30");
	check("not-date = 2026-12-01..2026-12-31", "2027-01-01", true, "");
}

static void check_links(const char *cond, uint32_t links, bool holds)
{
	struct rule_facts f = { .path = "/a", .link_count = links };
	struct rule_decision d;
	struct config *c;
	char *text;

	assert_int_equal(load(&c, cond, &text), 0);
	assert_int_equal(rules_decide(c, &f, &d, NULL, NULL, NULL), 0);
	assert_int_equal(d.rule != NULL, holds);
	free(text);
	config_put(c);
}

static void test_links(void **state)
{
	(void)state;
	check_links("link-count = 1", 1, true);
	check_links("link-count = 1", 2, false);
	check_links("link-count = >1", 2, true);
	check_links("link-count = 2..3, 5", 4, false);
	check_links("link-count = 2..3, 5", 5, true);
	check_links("not-link-count = 1", 1, false);
}

static void test_bad(void **state)
{
	static const char *const rows[][2] = {
		{ "hours = 8", "a time of the day, such as 08:00-18:00" },
		{ "hours = 08:00-08:00", "a time of the day, such as 08:00-18:00" },
		{ "hours = 24:00-08:00", "a time of the day, such as 08:00-18:00" },
		{ "hours = 08:00-25:00", "a time of the day, such as 08:00-18:00" },
		{ "hours = 08:00-18:00h", "a time of the day, such as 08:00-18:00" },
		{ "days = monday", "days of the week, such as mon-fri or sun" },
		{ "days = mon-", "days of the week, such as mon-fri or sun" },
		{ "days = mon-fri-sun", "days of the week, such as mon-fri or sun" },
		{ "date = tomorrow", "a date, such as >=2026-12-01, 2026-12-24 or 2026-12-01..2026-12-31 18:00" },
		{ "date = >", "a date, such as >=2026-12-01, 2026-12-24 or 2026-12-01..2026-12-31 18:00" },
		{ "date = 2026-12-31..2026-12-01",
			"a date, such as >=2026-12-01, 2026-12-24 or 2026-12-01..2026-12-31 18:00" },
		{ "date = 2026-12-01 09:30",
			"a date, such as >=2026-12-01, 2026-12-24 or 2026-12-01..2026-12-31 18:00" },
		{ "link-count = two", "a number of names, such as 1, >1 or 2..5" },
		{ "link-count = 2..1", "a number of names, such as 1, >1 or 2..5" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t key = strcspn(rows[i][0], " ");
		struct config *c;
		char *text, expected[256];

		assert_int_equal(load(&c, rows[i][0], &text), -ERR_CONFIG);
		snprintf(expected, sizeof expected, "test.ini:18: error: bad value \"%s\" for \"%.*s\"; expected %s\n",
			rows[i][0] + key + 3, (int)key, rows[i][0], rows[i][1]);
		assert_string_equal(text, expected);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hours),
		cmocka_unit_test(test_days),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
