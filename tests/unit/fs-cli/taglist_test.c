/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/taglist.h"

#include "tests/unit/base/unit.h"

#include <stdlib.h>
#include <string.h>

static void assert_text(struct taglist *l, const char *expected)
{
	char *text = taglist_text(l);

	assert_string_equal(text, expected);
	free(text);
	taglist_free(l);
	assert_int_equal(l->count, 0);
}

static void test_parse(void **state)
{
	static const struct {
		const char *value;
		size_t len;
		const char *text;
	} rows[] = {
		{ "", 0, "" },
		{ "a", 1, "a" },
		{ "b,a", 3, "b,a" },
		{ "a,b,a", 5, "a,b" },
		{ " a , b c ,\t", 11, "a,b c" },
		{ ",,a,,", 5, "a" },
		{ "a\0", 2, "a" }, /* as some programs write it */
		{ "a,b", 2, "a" }, /* the length counts */
		{ "gr\xc3\xbcn", 5, "gr\xc3\xbcn" },
		{ "A,a", 3, "A,a" },
		{ "ab,a", 4, "ab,a" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct taglist l = { 0 };

		assert_int_equal(taglist_parse(&l, rows[i].value, rows[i].len), 0);
		assert_text(&l, rows[i].text);
	}
}

static void test_edit(void **state)
{
	static const struct {
		const char *value, *add, *remove, *text;
	} rows[] = {
		{ "", "a", "x", "a" },
		{ "a,b", "c", "x", "a,b,c" },
		{ "a,b", "a", "x", "a,b" },
		{ "a,b,c", "d", "b", "a,c,d" },
		{ "a", "a", "a", "" },
		{ "ab", "a", "ab", "a" },
		{ "a,b,c", "c", "c", "a,b" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct taglist l = { 0 };

		assert_int_equal(taglist_parse(&l, rows[i].value, strlen(rows[i].value)), 0);
		assert_int_equal(taglist_add(&l, rows[i].add), 0);
		taglist_remove(&l, rows[i].remove);
		assert_text(&l, rows[i].text);
	}
}

static void test_valid(void **state)
{
	static const struct {
		const char *tag;
		bool valid;
	} rows[] = { { "personal", true }, { "two words", true }, { "gr\xc3\xbcn", true }, { "x\xff", true },
		{ "", false }, { "a,b", false }, { ",", false }, { " a", false }, { "a ", false }, { "a\nb", false },
		{ "a\tb", false }, { "\033[1m", false }, { "\177", false } };
	char longest[257];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(taglist_valid(rows[i].tag) == NULL, rows[i].valid);
	memset(longest, 'x', sizeof longest);
	longest[255] = 0;
	assert_null(taglist_valid(longest));
	longest[255] = 'x';
	longest[256] = 0;
	assert_non_null(taglist_valid(longest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_edit),
		cmocka_unit_test(test_valid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
