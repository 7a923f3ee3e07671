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
	const struct report_rows rows = { "office", "today", sections, crossings };
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
	assert_int_equal(count(text, "<section"), 2);
	free(text);
}

/* twelve bars, and one for the rest; as wide as their share of the longest */
static void test_bars(void **state)
{
	json_t *zones = json_array(), *months = json_array();
	char *text;

	(void)state;
	json_array_append_new(zones, json_pack("{s:s, s:s, s:I, s:I}", "name", "z", "kind", "foreign", "files",
					     (json_int_t)1234567, "bytes", (json_int_t)1000));
	for (int i = 0; i < 13; i++)
		json_array_append_new(
			zones, json_pack("{s:n, s:I, s:I}", "name", "files", (json_int_t)1, "bytes", (json_int_t)250));
	for (int i = 0; i < 30; i++)
		json_array_append_new(months, json_pack("{s:s, s:I}", "name", "2026-01", "bytes", (json_int_t)0));
	text = page(json_pack("{s:o, s:o}", "zone", zones, "month", months), 0);
	assert_int_equal(count(text, "class=\"row\""), 13);
	assert_int_equal(count(text, "<rect class=\"foreign\" width=\"100.00%\""), 1);
	assert_int_equal(count(text, "<rect class=\"plain\" width=\"25.00%\""), 11);
	assert_non_null(strstr(text, "1000 B · 1,234,567 files</span>"));
	assert_non_null(strstr(text, ">2 more</span><span class=\"value\">500 B · 2 files</span>"));
	assert_int_equal(count(text, "<title>2026-01: 0 B</title>"), 24);
	free(text);
}

static void test_crossings(void **state)
{
	json_t *rows = json_pack("[{s:s, s:s, s:s, s:s, s:[{s:s, s:s}]}, {s:s, s:s, s:s, s:s, s:[]}]", "time",
		"2026-11-30T12:34:56.5Z", "name", "/a/<b>", "from", "home", "to", "abroad", "approvals", "approver",
		"li & co", "reason", "consent", "time", "-", "from", "home", "to", "abroad", "rule", "r<", "approvals");
	char *text = page(json_pack("{s:o}", "crossing", rows), 700);

	(void)state;
	assert_non_null(strstr(text, "The last 2 of 700"));
	assert_non_null(strstr(text, "<td>2026-11-30 12:34:56</td><td class=\"name\"><bdi>/a/&#60;b&#62;</bdi></td>"));
	assert_non_null(strstr(text, "<bdi>li &#38; co</bdi>: <bdi>consent</bdi></td>"));
	assert_non_null(strstr(text, "deleted since</span></td>"));
	assert_non_null(strstr(text, "rule <bdi>r&#60;</bdi></td>"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_bars),
		cmocka_unit_test(test_crossings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
