/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/report_html.h"

#include "tests/unit/base/unit.h"

#include <string.h>

static void test_text(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "", "" },
		{ "report.pdf", "report.pdf" },
		{ "<script>alert('x')</script>", "&#60;script&#62;alert(&#39;x&#39;)&#60;/script&#62;" },
		{ "a&amp;\"", "a&#38;amp;&#34;" },
		{ "a\nb\x1b[31m\x7f", "a\\x0ab\\x1b[31m\\x7f" },
		{ "gpj.\xe2\x80\xae"
		  "exe",
			"gpj.\\u202eexe" },
		{ "\xe2\x81\xa6\xe2\x81\xa9\xd8\x9c\xe2\x80\x8f", "\\u2066\\u2069\\u061c\\u200f" },
		{ "\xe4\xb8\xad \xe2\x80\x93 \xc3\xa9", "\xe4\xb8\xad \xe2\x80\x93 \xc3\xa9" },
		{ "\xe2\x80", "\xe2\x80" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf out = BUF_INIT;

		buf_str(&out, "");
		html_text(&out, rows[i].in);
		assert_string_equal((char *)out.data, rows[i].out);
		buf_free(&out);
	}
}

static char *page(json_t *sections, size_t crossings)
{
	const struct report_rows rows = { "office", "2026-12-01 09:30 UTC", sections, crossings };
	struct buf out = BUF_INIT;

	report_html(&out, &rows);
	json_decref(sections);
	return buf_steal(&out);
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	while ((text = strstr(text, what))) {
		n++;
		text += strlen(what);
	}
	return n;
}

static void test_empty(void **state)
{
	char *text = page(json_object(), 0);

	(void)state;
	assert_non_null(strstr(text, "<b>0</b><span>files</span>"));
	assert_non_null(strstr(text, "<b>0.0 %</b><span>of it abroad</span>"));
	assert_non_null(strstr(text, "<p class=\"soft\">None: all data is on the backends"));
	assert_int_equal(count(text, "<section"), 3);
	assert_non_null(strstr(text, "Nothing went from one zone to another."));
	free(text);
}

/* twelve bars, and one for the rest; as wide as their share of the longest */
static void test_bars(void **state)
{
	json_t *zones = json_array();
	char *text;

	(void)state;
	json_array_append_new(zones, json_pack("{s:s, s:s, s:I, s:I}", "name", "z", "kind", "foreign", "files",
					     (json_int_t)1234567, "bytes", (json_int_t)1000));
	for (int i = 0; i < 13; i++)
		json_array_append_new(
			zones, json_pack("{s:n, s:I, s:I}", "name", "files", (json_int_t)1, "bytes", (json_int_t)250));
	text = page(json_pack("{s:o}", "zone", zones), 0);
	assert_int_equal(count(text, "class=\"row\""), 13);
	assert_int_equal(count(text, "<rect class=\"foreign\" width=\"100.00%\""), 1);
	assert_int_equal(count(text, "<rect class=\"plain\" width=\"25.00%\""), 11);
	assert_non_null(strstr(text, "1000 B · 1,234,567 files</span>"));
	assert_non_null(strstr(text, ">2 more</span><span class=\"value\">500 B · 2 files</span>"));
	free(text);
}

static void add_month(json_t *rows, const char *name, const char *direction, long bytes)
{
	json_array_append_new(rows, json_pack("{s:s, s:s, s:I, s:I}", "name", name, "direction", direction, "files",
					    (json_int_t)(bytes / 100), "bytes", (json_int_t)bytes));
}

/* The last month is the present one, and none is left out between; what is beyond two years, or not yet, is told. */
static void test_months(void **state)
{
	json_t *months = json_array();
	char *text;

	(void)state;
	add_month(months, "2019-05", "", 100);
	add_month(months, "2024-12", "", 200);
	add_month(months, "2025-01", "", 1000);
	add_month(months, "2026-10", "", 4000);
	add_month(months, "2026-12", "", 300);
	add_month(months, "2099-01", "", 500);
	add_month(months, "-", "", 1);
	text = page(json_pack("{s:o}", "month", months), 0);
	assert_int_equal(count(text, "<title>"), 4); /* the page's too */
	assert_non_null(strstr(text, "<rect class=\"plain\" x=\"4.00%\" y=\"98.2\" width=\"2.68%\" height=\"26.8\" "
				     "rx=\"2\"><title>2025-01: 1000 B, 10 files</title></rect>"));
	assert_non_null(strstr(text, "x=\"92.17%\" y=\"117.0\" width=\"2.68%\" height=\"8.0\" "
				     "rx=\"2\"><title>2026-12: 300 B, 3 files</title></rect>"));
	assert_non_null(strstr(text, "y=\"10\">3.9 KiB</text>"));
	assert_int_equal(count(text, "text-anchor=\"middle\">"), 5);
	assert_non_null(strstr(text, ">2026-07</text>"));
	assert_non_null(strstr(text, "Not in the chart: 301 B of before, 500 B with a date in the future</p>"));
	assert_non_null(strstr(text, "paper\">2025-01: 1000 B; 2026-10: 3.9 KiB; 2026-12: 300 B</p>"));
	free(text);
}

static void test_border(void **state)
{
	json_t *flows = json_array();
	char *text;

	(void)state;
	add_month(flows, "2026-12", "abroad", 4000);
	add_month(flows, "2026-12", "abroad", 1000);
	add_month(flows, "2026-12", "home", 2500);
	add_month(flows, "2026-11", "within", 9000);
	text = page(json_pack("{s:o}", "flow", flows), 0);
	assert_non_null(strstr(text, "<b>50</b><span>moved abroad</span>"));
	assert_non_null(strstr(text, "<rect class=\"foreign\" x=\"88.33%\" y=\"18.0\" width=\"2.68%\" "
				     "height=\"107.0\" rx=\"2\"><title>2026-12 abroad: 4.9 KiB, 50 files</title>"));
	assert_non_null(strstr(text, "<rect class=\"domestic\" x=\"91.02%\" y=\"71.5\" width=\"2.68%\" "
				     "height=\"53.5\" rx=\"2\"><title>2026-12 home: 2.4 KiB, 25 files</title>"));
	assert_int_equal(count(text, "<title>"), 3);
	assert_int_equal(count(text, "data-label=\"to\"><span class=\"key foreign\"></span>"), 2);
	assert_int_equal(count(text, "data-label=\"to\"><span class=\"key domestic\"></span>"), 1);
	free(text);
}

static void test_evidence(void **state)
{
	json_t *rows = json_pack("[{s:s, s:s, s:s}, {s:s, s:s, s:s, s:I}]", "name", "rules in force since", "time",
		"2026-11-30T12:34:56.5Z", "text", "3 sets <of> rules", "name", "audit log up to", "time", "-", "text",
		"it is not", "findings", (json_int_t)2);
	char *text = page(json_pack("{s:o}", "evidence", rows), 0);

	(void)state;
	assert_non_null(strstr(text, "<td>rules in force since</td><td>2026-11-30 12:34:56</td><td>3 sets &#60;of&#62; "
				     "rules</td>"));
	assert_non_null(strstr(text, "<td class=\"bad\">it is not</td>"));
	free(text);
}

static void test_crossings(void **state)
{
	json_t *rows = json_pack("[{s:s, s:s, s:s, s:s, s:s, s:[{s:s, s:s}]}, {s:s, s:s, s:s, s:s, s:I, s:[]}]", "time",
		"2026-11-30T12:34:56.5Z", "name", "/a/<b>", "from", "home", "to", "abroad", "rule", "", "approvals",
		"approver", "li & co", "reason", "consent", "time", "-", "from", "home", "to", "abroad", "rule", "r<",
		"ino", (json_int_t)77, "approvals");
	char *text = page(json_pack("{s:o}", "crossing", rows), 700);

	(void)state;
	assert_non_null(strstr(text, "The last 2 of 700"));
	assert_non_null(strstr(text, "<td>2026-11-30 12:34:56</td><td class=\"name\"><bdi>/a/&#60;b&#62;</bdi></td>"));
	assert_non_null(strstr(text, "no rule matched<bdi></bdi><br>approved by <bdi>li &#38; co</bdi>: "
				     "<bdi>consent</bdi></td>"));
	assert_non_null(strstr(text, ">inode 77, deleted since</span></td>"));
	assert_non_null(strstr(text, "rule <bdi>r&#60;</bdi></td>"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_bars),
		cmocka_unit_test(test_months),
		cmocka_unit_test(test_border),
		cmocka_unit_test(test_crossings),
		cmocka_unit_test(test_evidence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
