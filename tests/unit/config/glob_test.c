/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "config/glob.h"
#include "tests/unit/base/unit.h"

#include <errno.h>
#include <string.h>

/* The rows follow gitignore(5), but for what config/rules.h says otherwise: a path is one name and not a directory with
 * all below it, and a character is one of UTF-8. */
static void test_match(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool expected;
	} rows[] = {
		/* no slash: the last component, at any depth */
		{ "a", "/a", true },
		{ "a", "/x/a", true },
		{ "a", "/x/y/a", true },
		{ "a", "/a/x", false },
		{ "a", "/ab", false },
		{ "a", "/A", false },
		{ "a", "/", false },
		{ "*.doc", "/a.doc", true },
		{ "*.doc", "/x/y.z/a.doc", true },
		{ "*.doc", "/.doc", true },
		{ "*.doc", "/a.doc/b", false },
		{ "*.doc", "/a.docx", false },
		{ "*.doc", "/a.DOC", false },
		{ "a*", "/a", true },
		{ "a*", "/abc", true },
		{ "a*", "/ba", false },
		{ "a*", "/a/b", false },
		{ "*", "/a", true },
		{ "*", "/x/.hidden", true },
		{ "*", "/", false },
		{ "a*c", "/ac", true },
		{ "a*c", "/abbbc", true },
		{ "a*c", "/abcd", false },
		{ "*a*", "/bab", true },
		{ "*a*", "/bbb", false },
		{ "a*b*c", "/axxbyyc", true },
		{ "a*b*c", "/axxcyyb", false },
		{ "**", "/a", true },
		{ "**", "/x/y/z", true },
		{ "**", "/", false },
		{ "a**", "/abc", true },
		{ "a**", "/abc/d", false },
		{ "**a", "/x/bba", true },
		{ "a**b", "/axxb", true },
		{ "a**b", "/a/b", false },
		{ "***", "/x/y", true },
		/* ? is one character, a / never */
		{ "?", "/a", true },
		{ "?", "/ab", false },
		{ "a?c", "/abc", true },
		{ "a?c", "/ac", false },
		{ "/a?c", "/a/c", false },
		{ "??", "/ab", true },
		{ "??.txt", "/ab.txt", true },
		{ "*?", "/a", true },
		{ "?*?", "/a", false },
		{ "?*?", "/ab", true },
		{ "?", "/\xc3\xa9", true },
		{ "??", "/\xc3\xa9", false },
		{ "?.txt", "/\xe8\xa1\xa8.txt", true },
		{ "?", "/\xf0\x9f\x98\x80", true },
		{ "?", "/\xff", true },
		{ "??", "/\xff\xfe", true },
		{ "?", "/\xc3", true },
		{ "??", "/\xc3\x28", true },
		{ "?", "/\xc0\xaf", false },
		{ "??", "/\xc0\xaf", true },
		/* a leading or an inner slash anchors at the root */
		{ "/a", "/a", true },
		{ "/a", "/x/a", false },
		{ "/a", "/a/b", false },
		{ "/a/b", "/a/b", true },
		{ "a/b", "/a/b", true },
		{ "a/b", "/x/a/b", false },
		{ "/a/b", "/a/b/c", false },
		{ "/a/b", "/a", false },
		{ "/a/*", "/a/b", true },
		{ "/a/*", "/a/b/c", false },
		{ "/a/*", "/a", false },
		{ "/*/b", "/a/b", true },
		{ "/*/b", "/b", false },
		{ "/*/b", "/x/a/b", false },
		{ "a/*.txt", "/a/x.txt", true },
		{ "a/*.txt", "/a/b/x.txt", false },
		{ "/*", "/a", true },
		{ "/*", "/a/b", false },
		{ "/*.c", "/x.c", true },
		{ "/*.c", "/d/x.c", false },
		/* a trailing slash: what lies below */
		{ "a/", "/a", false },
		{ "a/", "/a/b", true },
		{ "a/", "/a/b/c", true },
		{ "a/", "/x/a/b", true },
		{ "a/", "/x/a", false },
		{ "/a/", "/a/b", true },
		{ "/a/", "/a/b/c", true },
		{ "/a/", "/a", false },
		{ "/a/", "/x/a/b", false },
		{ "a/b/", "/a/b/c", true },
		{ "a/b/", "/a/b", false },
		{ "a/b/", "/x/a/b/c", false },
		{ "node_modules/", "/p/q/node_modules/r/s.js", true },
		{ "node_modules/", "/p/node_modules.js", false },
		{ "*.d/", "/x.d/y", true },
		{ "*.d/", "/x.d", false },
		{ "/", "/a", true },
		{ "/", "/a/b", true },
		{ "/", "/", false },
		/* ** as a component: any number of them */
		{ "/**", "/a", true },
		{ "/**", "/a/b", true },
		{ "/**", "/", false },
		{ "/a/**", "/a/b", true },
		{ "/a/**", "/a/b/c/d", true },
		{ "/a/**", "/a", false },
		{ "/a/**", "/ab/c", false },
		{ "/a/**", "/x/a/b", false },
		{ "a/**", "/a/b", true },
		{ "a/**", "/x/a/b", false },
		{ "**/a", "/a", true },
		{ "**/a", "/x/a", true },
		{ "**/a", "/x/y/a", true },
		{ "**/a", "/x/ya", false },
		{ "**/a", "/a/x", false },
		{ "**/a/b", "/a/b", true },
		{ "**/a/b", "/x/y/a/b", true },
		{ "**/a/b", "/x/a/y/b", false },
		{ "a/**/b", "/a/b", true },
		{ "a/**/b", "/a/x/b", true },
		{ "a/**/b", "/a/x/y/b", true },
		{ "a/**/b", "/a/x/b/c", false },
		{ "a/**/b", "/ab", false },
		{ "a/**/b", "/x/a/b", false },
		{ "/a/**/b/**/c", "/a/b/c", true },
		{ "/a/**/b/**/c", "/a/x/b/y/z/c", true },
		{ "/a/**/b/**/c", "/a/x/c/y/b", false },
		{ "/a/**/*.txt", "/a/x.txt", true },
		{ "/a/**/*.txt", "/a/b/c/x.txt", true },
		{ "/a/**/*.txt", "/a/b/c/x.tx", false },
		{ "**/x/**", "/x/a", true },
		{ "**/x/**", "/p/x/a/b", true },
		{ "**/x/**", "/p/x", false },
		{ "**/", "/a", false },
		{ "**/", "/a/b", true },
		{ "/a/**/", "/a/b", false },
		{ "/a/**/", "/a/b/c", true },
		{ "**/**/a", "/a", true },
		{ "/**/**", "/a", true },
		{ "/**/**", "/a/b", true },
		{ "/a/**/**/b", "/a/b", true },
		{ "/a/***", "/a/b/c", true },
		{ "**/a/**/a", "/a/b/a", true },
		{ "**/a/**/a", "/a", false },
		{ "**/a/b/a/c", "/a/b/a/b/a/c", true },
		/* classes */
		{ "[ab]", "/a", true },
		{ "[ab]", "/b", true },
		{ "[ab]", "/c", false },
		{ "[ab]", "/ab", false },
		{ "[a-c]x", "/bx", true },
		{ "[a-c]x", "/dx", false },
		{ "[!a]", "/b", true },
		{ "[!a]", "/a", false },
		{ "[^a]", "/b", true },
		{ "[^a]", "/a", false },
		{ "[!a-c]", "/b", false },
		{ "[!a-c]", "/d", true },
		{ "[]a]", "/]", true },
		{ "[]a]", "/a", true },
		{ "[]a]", "/b", false },
		{ "[!]a]", "/]", false },
		{ "[!]a]", "/b", true },
		{ "[a-]", "/-", true },
		{ "[a-]", "/b", false },
		{ "[-a]", "/-", true },
		{ "[+--]", "/,", true },
		{ "[\\]]", "/]", true },
		{ "[\\]]", "/\\", false },
		{ "[\\\\]", "/\\", true },
		{ "[a\\-c]", "/b", false },
		{ "[a\\-c]", "/-", true },
		{ "[[]", "/[", true },
		{ "[a!]", "/!", true },
		{ "[[:digit:]]", "/5", true },
		{ "[[:digit:]]", "/x", false },
		{ "[![:digit:]]", "/x", true },
		{ "[[:alpha:]_]*", "/_x", true },
		{ "[[:alpha:]_]*", "/5x", false },
		{ "[[:upper:][:digit:]]", "/Q", true },
		{ "[[:upper:][:digit:]]", "/q", false },
		{ "[[:space:]]x", "/ x", true },
		{ "[[:punct:]]", "/~", true },
		{ "[[:xdigit:]]", "/g", false },
		{ "x[0-9]*", "/x7y", true },
		{ "/[!x]/b", "/a/b", true },
		{ "a[!x]b", "/a/b", false },
		{ "[\xc3\xa0-\xc3\xbf]", "/\xc3\xa9", true },
		{ "[\xc3\xa0-\xc3\xbf]", "/\xc3\x80", false },
		{ "[!a]", "/\xe8\xa1\xa8", true },
		{ "[!a]", "/\xff", true },
		{ "*.[ch]", "/d/x.c", true },
		{ "*.[ch]", "/d/x.o", false },
		/* a backslash quotes */
		{ "\\*", "/*", true },
		{ "\\*", "/a", false },
		{ "\\?", "/?", true },
		{ "\\[a]", "/[a]", true },
		{ "\\!a", "/!a", true },
		{ "a\\b", "/ab", true },
		{ "\\\\", "/\\", true },
		{ "a\\,b", "/a,b", true },
		{ "a\\ b", "/a b", true },
		{ "\\**", "/*x", true },
		{ "\\**", "/xx", false },
		/* characters without a meaning */
		{ "#a", "/#a", true },
		{ "{a,b}", "/{a,b}", true },
		{ "{a,b}", "/a", false },
		{ "a.b", "/axb", false },
		{ "a+", "/aa", false },
		{ "$x", "/$x", true },
		{ "a b", "/a b", true },
		{ "~", "/~", true },
		{ "..a", "/..a", true },
		{ "...", "/...", true },
	};
	size_t wrong = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct glob *g;

		assert_int_equal(glob_compile(&g, rows[i].pattern, NULL), 0);
		if (glob_match(g, rows[i].path) != rows[i].expected) {
			print_error(
				"\"%s\" and \"%s\": expected %d\n", rows[i].pattern, rows[i].path, rows[i].expected);
			wrong++;
		}
		glob_free(g);
	}
	assert_int_equal(wrong, 0);
}

static void test_name(void **state)
{
	static const struct {
		const char *pattern, *name;
		bool expected;
	} rows[] = {
		{ "*.vcf", "a.vcf", true },
		{ "*.vcf", "a.vcff", false },
		{ "Thumbs.db", "Thumbs.db", true },
		{ "Thumbs.db", "thumbs.db", false },
		{ "**", "a", true },
		{ "[ab]?", "bx", true },
		{ "..", "..", false },
	};
	struct glob *g;

	(void)state;
	for (size_t i = 0; i + 1 < COUNT(rows); i++) {
		assert_int_equal(glob_compile_name(&g, rows[i].pattern, NULL), 0);
		assert_int_equal(glob_match_name(g, rows[i].name, strlen(rows[i].name)), rows[i].expected);
		glob_free(g);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *pattern, *expected;
		bool name_only;
	} rows[] = {
		{ "", "the pattern \"\" holds nothing", false },
		{ "!a",
			"the pattern \"!a\" holds a leading !, which has no meaning here (use a not- key, or \\! for "
			"the "
			"character)",
			false },
		{ "//", "the pattern \"//\" holds an empty component (//)", false },
		{ "//a", "the pattern \"//a\" holds an empty component (//)", false },
		{ "a//b", "the pattern \"a//b\" holds an empty component (//)", false },
		{ "a//", "the pattern \"a//\" holds an empty component (//)", false },
		{ "/a/./b", "the pattern \"/a/./b\" holds a component . or .., which no path has", false },
		{ "..", "the pattern \"..\" holds a component . or .., which no path has", false },
		{ "..", "the pattern \"..\" holds a component . or .., which no path has", true },
		{ "a\\", "the pattern \"a\\\" holds a \\ with nothing after it", false },
		{ "a\\/b", "the pattern \"a\\/b\" holds a \\ with nothing after it", false },
		{ "[a", "the pattern \"[a\" holds a [ without its ] (write \\[ for the character)", false },
		{ "[", "the pattern \"[\" holds a [ without its ] (write \\[ for the character)", false },
		{ "[!", "the pattern \"[!\" holds a [ without its ] (write \\[ for the character)", false },
		{ "[]", "the pattern \"[]\" holds a [ without its ] (write \\[ for the character)", false },
		{ "[a-", "the pattern \"[a-\" holds a [ without its ] (write \\[ for the character)", false },
		{ "[a\\", "the pattern \"[a\\\" holds a [ without its ] (write \\[ for the character)", false },
		{ "[a/b]", "the pattern \"[a/b]\" holds a [ without its ] (write \\[ for the character)", false },
		{ "[[:alpha:]", "the pattern \"[[:alpha:]\" holds a [ without its ] (write \\[ for the character)",
			false },
		{ "[b-a]", "the pattern \"[b-a]\" holds a range in [ ] that runs backwards", false },
		{ "[[:nonsense:]]", "the pattern \"[[:nonsense:]]\" holds an unknown class name in [: :]", false },
		{ "a/b", "the pattern \"a/b\" holds a /, which no name has (use the key path)", true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct errmsg msg = { 0 };
		struct glob *g = (struct glob *)&msg;
		int rc = rows[i].name_only ? glob_compile_name(&g, rows[i].pattern, &msg)
					   : glob_compile(&g, rows[i].pattern, &msg);

		assert_int_equal(rc, -EINVAL);
		assert_null(g);
		assert_string_equal(errmsg_text(&msg, rc), rows[i].expected);
		errmsg_free(&msg);
	}
	glob_free(NULL);
}

/* patterns that take a naive matcher exponential time */
static void test_hostile(void **state)
{
	static const struct {
		const char *unit, *tail, *path_unit;
	} rows[] = {
		{ "a*", "b", "a" },
		{ "*a", "b", "a" },
		{ "?*", "b", "a" },
		{ "[a]*", "b", "a" },
		{ "**/a/", "b", "a/" },
		{ "a/**/", "b", "a/" },
		{ "**/*/a*/", "b", "a/" },
		{ "**/[!b]*/", "b", "aa/" },
	};
	int64_t start = clock_mono_ns();

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char pattern[1024] = "", path[4096] = "/";
		struct glob *g;

		for (int n = 0; n < 60; n++)
			strcat(pattern, rows[i].unit);
		strcat(pattern, rows[i].tail);
		for (int n = 0; n < 1000; n++)
			strcat(path, rows[i].path_unit);
		strcat(path, "c");
		assert_int_equal(glob_compile(&g, pattern, NULL), 0);
		assert_false(glob_match(g, path));
		glob_free(g);
	}
	assert_true(clock_mono_ns() - start < 2 * NS_PER_S);
}

static void test_need(void **state)
{
	static const struct {
		const char *pattern;
		enum glob_need need;
		const char *text;
	} rows[] = {
		{ "/a/b/**", GLOB_NEED_BELOW, "/a/b" },
		{ "/a/b", GLOB_NEED_BELOW, "/a/b" },
		{ "a\\*/b*", GLOB_NEED_BELOW, "/a*" },
		{ "a", GLOB_NEED_COMPONENT, "a" },
		{ "a/", GLOB_NEED_COMPONENT, "a" },
		{ "**/a/*/bb/*.c", GLOB_NEED_COMPONENT, "bb" },
		{ "*.tar.gz", GLOB_NEED_SUFFIX, "gz" },
		{ "/*/x?.doc", GLOB_NEED_SUFFIX, "doc" },
		{ "*.", GLOB_NEED_SUFFIX, "" },
		{ "*.d/", GLOB_NEED_NOTHING, NULL },
		{ "*doc", GLOB_NEED_NOTHING, NULL },
		{ "*.do?", GLOB_NEED_NOTHING, NULL },
		{ "**", GLOB_NEED_NOTHING, NULL },
		{ "/", GLOB_NEED_NOTHING, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *text;
		struct glob *g;
		size_t len;

		assert_int_equal(glob_compile(&g, rows[i].pattern, NULL), 0);
		assert_int_equal(glob_need(g, &text, &len), rows[i].need);
		if (rows[i].text) {
			assert_int_equal(len, strlen(rows[i].text));
			assert_memory_equal(text, rows[i].text, len);
		}
		glob_free(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_need),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
