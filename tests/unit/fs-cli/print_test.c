/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/cli.h"

#include "tests/unit/base/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *text, *visible;
} rows[] = {
	{ "", "" }, { "plain \\ text", "plain \\ text" }, { "a\tb\nc\r\033[0m", "a\\x09b\\x0ac\\x0d\\x1b[0m" },
	{ "\x7f", "\\x7f" },
	{ "\xc3\xbc\xe5\xad\x97\xf0\x9f\x98\x80\xc2\xa0", "\xc3\xbc\xe5\xad\x97\xf0\x9f\x98\x80\xc2\xa0" },
	{ "\xc2\x80\xc2\x9b", "\\xc2\\x80\\xc2\\x9b" }, { "caf\xe9", "caf\\xe9" }, { "\xe9x", "\\xe9x" },
	{ "\xe5\xad", "\\xe5\\xad" }, { "\xc3\xc3\xbc", "\\xc3\xc3\xbc" }, { "\x80\xff\xfe", "\\x80\\xff\\xfe" },
	{ "\xc0\x9b", "\\xc0\\x9b" },				 /* overlong */
	{ "\xe0\x82\x9b", "\\xe0\\x82\\x9b" },			 /* overlong */
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },			 /* a surrogate */
	{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },		 /* beyond U+10FFFF */
	{ "\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80" }, /* five bytes */
};

static void test_cell(void **state)
{
	struct table t = TABLE_INIT(1);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		table_cell(&t, "%s", rows[i].text);
		assert_string_equal(t.cells[i], rows[i].visible);
	}
	table_free(&t);
}

/* what is printed meanwhile goes to a file */
static FILE *capture(int *saved)
{
	FILE *f = tmpfile();

	assert_non_null(f);
	fflush(stdout);
	*saved = dup(STDOUT_FILENO);
	dup2(fileno(f), STDOUT_FILENO);
	return f;
}

static void expect_captured(FILE *f, int saved, const char *expected)
{
	char got[256] = "";

	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(f);
	assert_int_equal(fread(got, 1, sizeof got - 1, f), strlen(expected));
	assert_string_equal(got, expected);
	fclose(f);
}

static void test_text(void **state)
{
	int saved;
	FILE *f = capture(&saved);

	(void)state;
	print_text("a\n\x7f\xe9", 4);
	print_text("\xe5\xad\x97", 2); /* the length counts */
	expect_captured(f, saved, "a\n\\x7f\\xe9\\xe5\\xad");
}

static void test_json(void **state)
{
	json_t *object = json_pack("{s:s}", "a\x7f", "\033\x7f\xc2\x9b\xc3\xbc\n\"");
	int saved;
	FILE *f = capture(&saved);

	(void)state;
	print_json(object);
	expect_captured(f, saved, "{\"a\\u007F\":\"\\u001B\\u007F\\u009B\xc3\xbc\\n\\\"\"}\n");
	json_decref(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cell),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
