/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "tests/unit/config/scratch.h"

/* seventeen lines: the sections under test begin in the eighteenth */
#define ZONES                                                                                                          \
	"[filesystem]\nstore = s\nhome = d\n[zone d]\nkind = domestic\nbackends = b\n[zone f]\nkind = foreign\n"       \
	"backends = v\n[backend b]\ntype = local\npath = /b\n[backend v]\ntype = local\npath = /v\n[tag t]\n"          \
	"set-by = users\n"

/* what is said of the sections, without "test.ini:" in front of the lines and ": warning" behind them */
static char *lint(const char *sections)
{
	struct config_messages msgs = { 0 };
	struct buf text = BUF_INIT, out = BUF_INIT;
	struct config *c;

	buf_str(&text, ZONES);
	buf_str(&text, sections);
	scratch_write("test.ini", (char *)text.data);
	buf_free(&text);
	config_load(&c, "test.ini", &msgs);
	buf_str(&out, "");
	if (c)
		assert_int_equal(config_lint(c, &msgs), 0);
	for (size_t i = 0; i < msgs.count; i++) {
		char *p;

		assert_int_equal(msgs.v[i].error, c == NULL);
		while ((p = strstr(msgs.v[i].text, scratch)))
			memmove(p, p + strlen(scratch) + 1, strlen(p + strlen(scratch) + 1) + 1);
		buf_printf(&out, "%d: %s\n", msgs.v[i].line, msgs.v[i].text);
	}
	config_messages_free(&msgs);
	config_put(c);
	return buf_steal(&out);
}

struct row {
	const char *sections, *expected;
};

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char *said = lint(rows[i].sections);

		if (strcmp(said, rows[i].expected) != 0)
			print_error("row %zu\n", i);
		assert_string_equal(said, rows[i].expected);
		free(said);
	}
}

#define NEVER(what)   "can never match: no file meets \"" what "\"; correct it, or delete the section\n"
#define EXCLUDE(a, b) "can never match: \"" a "\" and \"" b "\" exclude each other; take one of them out\n"

static void test_never(void **state)
{
	static const struct row rows[] = {
		{ "[rule r]\nzone = d\nnot-path = **\nsize = >1\n", "20: [rule r] " NEVER("not-path=**") },
		{ "[rule r]\nzone = d\nnot-name = *\n", "20: [rule r] " NEVER("not-name=*") },
		{ "[rule r]\nzone = d\nnot-size = >=0\n", "20: [rule r] " NEVER("not-size>=0") },
		{ "[rule r]\nzone = d\nnot-size = >0\n", "" },
		{ "[rule r]\nzone = d\npath = /a/**\nnot-path = /a/\n",
			"21: [rule r] " EXCLUDE("path=/a/**", "not-path=/a/") },
		{ "[rule r]\nzone = d\npath = /a/**\nnot-path = /a/*\n", "" },
		{ "[rule r]\nzone = d\npath = /a/*.doc\nname = *.pdf\n",
			"21: [rule r] " EXCLUDE("path=/a/*.doc", "name=*.pdf") },
		{ "[rule r]\nzone = d\nname = *.pdf\npath = /a/**\n", "" },
		{ "[rule r]\nzone = d\nname = a?.pdf\nnot-name = *.pdf, *.doc\n",
			"21: [rule r] " EXCLUDE("name=a?.pdf", "not-name=*.pdf,*.doc") },
		{ "[rule r]\nzone = d\ntag = t\nnot-tag = t\n", "21: [rule r] " EXCLUDE("tag=t", "not-tag=t") },
		{ "[rule r]\nzone = d\nsize = >1M\nnot-size = >=1K\n",
			"21: [rule r] " EXCLUDE("size>1M", "not-size>=1K") },
		{ "[rule r]\nzone = d\nage = >1d\nnot-age = >2d\n", "" },
		{ "[rule r]\nzone = d\nowner = uid:1\nnot-owner = uid:1, gid:1\n",
			"21: [rule r] " EXCLUDE("owner=uid:1", "not-owner=uid:1,gid:1") },
		{ "[rule r]\nzone = d\nowner = gid:1\nnot-owner = uid:1\n", "" },
		{ "[rule r]\nzone = d\ntype = image/png\nnot-type = image/*\n", "" },
		{ "[rule u]\nzone = d\ntag = q\n[tag q]\nnot-path = /x/**\npath = /x/y\n",
			"23: [tag q] " EXCLUDE("not-path=/x/**", "path=/x/y") },
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

#define SAME(r, first, at)                                                                                             \
	"[rule " r "] never decides: whatever matches it matches [rule " first "] first (test.ini:" at                 \
	"), which wants the same zone; delete one of the two\n"
#define OTHER(r, first, at, there, here)                                                                               \
	"[rule " r "] never decides: whatever matches it matches [rule " first "] first (test.ini:" at                 \
	") and is placed in zone " there ", not " here "; put it before that rule, or narrow that rule\n"
#define CONTRADICTS(r, first, at, here, there)                                                                         \
	"[rule " r "] contradicts [rule " first "] (test.ini:" at "): the same files, zone " here " here and " there   \
	" there, and the first decides; delete one of the two\n"

static void test_shadows(void **state)
{
	static const struct row rows[] = {
		{ "[rule a]\nzone = f\npath = /pub/**\n[rule b]\nzone = f\npath = /pub/x/*.iso\n",
			"21: " SAME("b", "a", "18") },
		{ "[rule a]\nzone = f\npath = /pub/**\n[rule b]\nzone = d\npath = /pub/hr/**\n",
			"21: " OTHER("b", "a", "18", "f", "d") },
		{ "[rule a]\nzone = f\npath = /pub/**\n[rule b]\nzone = d\npath = /pub/\n",
			"21: " CONTRADICTS("b", "a", "18", "d", "f") },
		{ "[rule a]\nzone = f\npath = /pub/**\nsize = >1M\n[rule b]\nzone = d\npath = /pub/hr/**\n", "" },
		{ "[rule a]\nzone = f\npath = /pub/**\nsize = >1M\n[rule b]\nzone = d\nsize = 2M..3M\npath = "
		  "/pub/hr/**\n",
			"22: " OTHER("b", "a", "18", "f", "d") },
		{ "[rule a]\nzone = f\nnot-path = /hr/**\n[rule b]\nzone = d\npath = /pub/**\n",
			"21: " OTHER("b", "a", "18", "f", "d") },
		{ "[rule a]\nzone = f\nnot-path = /hr/**\n[rule b]\nzone = d\npath = /h*/x\n", "" },
		{ "[rule a]\nzone = f\nnot-tag = t\n[rule b]\nzone = d\nnot-tag = t, u\n[tag u]\nset-by = users\n",
			"21: " OTHER("b", "a", "18", "f", "d") },
		{ "[rule a]\nzone = f\npath = **\n[rule b]\nzone = d\nsize = >1\n",
			"21: " OTHER("b", "a", "18", "f", "d") },
		{ "[rule a]\nzone = d\nname = *.iso\n[rule b]\nzone = f\npath = /x/**/*.iso\n",
			"21: " OTHER("b", "a", "18", "d", "f") },
		{ "[rule a]\nzone = d\nname = *.i?o\n[rule b]\nzone = f\nname = *.[i]so\n", "" },
		{ "[rule a]\nzone = d\nname = *.?so\n[rule b]\nzone = f\nname = *.[ij]so\n",
			"21: " OTHER("b", "a", "18", "d", "f") },
		{ "[rule a]\nzone = d\nname = ?.so\n[rule b]\nzone = f\nname = \xc3\xa9.so\n", "" },
		{ "[rule a]\nzone = d\nowner = uid:1, gid:2\n[rule b]\nzone = f\nowner = gid:2\nage = >1d\n",
			"21: " OTHER("b", "a", "18", "d", "f") },
		{ "[rule a]\nzone = d\ntype = image/*\n[rule b]\nzone = f\ntype = image/png\n",
			"21: " OTHER("b", "a", "18", "d", "f") },
		/* of a file whose type is unknown b decides */
		{ "[rule a]\nzone = f\ntype = image/*\n[rule b]\nzone = d\ntype = image/png\n", "" },
		/* by way of a tag */
		{ "[tag hr]\npath = /hr/**\n[rule a]\nzone = d\ntag = hr\n[rule b]\nzone = f\npath = /hr/pub/**\n",
			"23: " OTHER("b", "a", "20", "d", "f") },
		{ "[tag hr]\npath = /hr/**\nsize = >1\n[rule a]\nzone = d\ntag = hr\n[rule b]\nzone = f\npath = "
		  "/hr/pub/**\n",
			"" },
		/* what can never match is told as that */
		{ "[rule a]\nzone = f\npath = /a/**\n[rule b]\nzone = d\npath = /a/b\nnot-path = /a/b\n",
			"24: [rule b] " EXCLUDE("path=/a/b", "not-path=/a/b") },
		{ "[rule a]\nzone = f\ntag = u\n[tag u]\npath = /a/**\n[tag u]\npath = /a/b/**\n",
			"23: [tag u] adds nothing: whatever matches it has the tag by test.ini:21; delete it\n" },
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void test_tags(void **state)
{
	static const struct row rows[] = {
		{ "[rule r]\nzone = d\ntag = t\n", "" },
		{ "[rule r]\nzone = d\ntag = personal\n",
			"20: nothing sets the tag \"personal\"; write a section [tag personal], with set-by = users if "
			"users set it\n" },
		{ "[tag personal]\nset-by = users\n[rule r]\nzone = d\nnot-tag = personnal, t\n",
			"22: nothing sets the tag \"personnal\"; did you mean \"personal\"? (capitals matter)\n" },
		{ "[tag PERSONAL]\npath = /a/**\n[rule r]\nzone = d\ntag = personal\n",
			"18: no rule asks for the tag \"PERSONAL\"; write one with tag = PERSONAL, or delete the "
			"section\n"
			"22: nothing sets the tag \"personal\"; did you mean \"PERSONAL\"? (capitals matter)\n" },
		{ "[tag a]\ntag = b\n[tag b]\npath = /b/**\n[rule r]\nzone = d\ntag = a\n",
			"19: [tag a] asks for the tag \"b\", which only test.ini:20 sets, further down; put that "
			"section "
			"before this one\n" },
		{ "[tag b]\npath = /b/**\n[tag a]\ntag = b\n[rule r]\nzone = d\ntag = a\n", "" },
		{ "[tag x]\nset-by = rules\n", "19: bad value \"rules\" for \"set-by\"; expected users\n" },
		{ "[tag x]\nset-by = users\npath = /a/**\n",
			"19: \"set-by\" stands beside other keys in [tag x]; expected it alone\n" },
		{ "[rule x]\nset-by = users\npath = /a/**\nzone = d\n",
			"19: unknown key \"set-by\" in [rule x]; expected zone, export, pin, warn-after, stop-after, "
			"path, "
			"name, tag, size, age, "
			"owner, type, link-count, hours, days, date or not- before one of these\n" },
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void test_globs(void **state)
{
	static char long_name[400], long_said[400];
	const struct row rows[] = {
		{ "[rule r]\nzone = d\npath = \"/hr/**\"\n",
			"20: the pattern \"/hr/**\" matches only with its quotation marks, which are part of it: leave "
			"them out\n" },
		{ "[rule r]\nzone = d\npath = ~/hr/**\n", "20: the pattern ~/hr/** begins with ~, which stands for "
							  "itself here: paths begin at the mount, "
							  "as /hr/** does\n" },
		{ "[rule r]\nzone = d\nname = ~*\n", "" },
		{ "[rule r]\nzone = d\npath = /hr**\n", "20: the pattern /hr** has ** beside other characters, where "
							"it stops at a / as * does: write ** "
							"between slashes, as in /hr/**/*.doc\n" },
		{ "[rule r]\nzone = d\npath = /hr/**.doc\n",
			"20: the pattern /hr/**.doc has ** beside other characters, where it stops at a / as * does: "
			"write ** between slashes, as in /hr/**/*.doc\n" },
		{ "[rule r]\nzone = d\npath = **.doc, /a/**/b, **/c, a\\**/b\n", "" },
		{ "[rule r]\nzone = d\npath = /hr\n[rule s]\nzone = d\npath = /hr/old/**\n",
			"20: the pattern /hr matches a file of that name only, and other patterns take it for a "
			"directory; write /hr/** for what is below it\n" },
		{ "[rule r]\nzone = d\npath = /hr, /hr/**\n",
			"20: the pattern /hr matches a file of that name only, and other patterns take it for a "
			"directory; write /hr/** for what is below it\n" },
		{ "[rule r]\nzone = d\npath = /hr\n[rule s]\nzone = d\npath = /HR/*\nsize = >1\n",
			"23: \"path=/HR/*\" means /HR, and \"path=/hr\" (test.ini:20) means /hr: they differ only by "
			"case, which counts; write both alike, or list both where both are meant\n" },
		{ long_name, long_said },
	};

	(void)state;
	strcpy(long_name, "[rule r]\nzone = d\nname = b, ");
	memset(long_name + strlen(long_name), 'a', 256);
	strcpy(long_said, "20: the pattern ");
	memset(long_said + strlen(long_said), 'a', 256);
	strcat(long_said, " needs a name of more than 255 bytes, which no file has: delete it\n");
	check_rows(rows, COUNT(rows));
}

#define COMPOSED   "Vertr\xc3\xa4ge"
#define DECOMPOSED "Vertra\xcc\x88ge"

static void test_spelling(void **state)
{
	static const struct row rows[] = {
		{ "[rule r]\nzone = d\npath = /hr/a/**\n[rule s]\nzone = f\npath = /HR/b/**, /HR/c\n",
			"23: \"path=/HR/b/**,/HR/c\" means /HR, and \"path=/hr/a/**\" (test.ini:20) means /hr: they "
			"differ only by case, which counts; write both alike, or list both where both are meant\n" },
		{ "[rule r]\nzone = d\npath = /hr/**, /HR/**\n[rule s]\nzone = f\npath = /HR/b/*\nsize = >1\n",
			"21: [rule s] never decides: whatever matches it matches [rule r] first (test.ini:18) and is "
			"placed in zone d, not f; put it before that rule, or narrow that rule\n" },
		{ "[rule r]\nzone = d\nname = *.JPG\n[rule s]\nzone = f\nname = *.jpg\n",
			"23: \"name=*.jpg\" means *.jpg, and \"name=*.JPG\" (test.ini:20) means *.JPG: they differ "
			"only "
			"by case, which counts; write both alike, or list both where both are meant\n" },
		{ "[rule r]\nzone = d\nname = *.JPG, *.jpg\n", "" },
		/* a protecting pattern lists both forms; another need not */
		{ "[rule r]\nzone = d\npath = /" COMPOSED "/**\n",
			"20: the pattern /" COMPOSED
			"/** matches composed names only, and macOS and programs from there "
			"decompose them; list that form too: /" DECOMPOSED "/**\n" },
		{ "[rule r]\nzone = f\nnot-path = /" COMPOSED "/**\n",
			"20: the pattern /" COMPOSED
			"/** matches composed names only, and macOS and programs from there "
			"decompose them; list that form too: /" DECOMPOSED "/**\n" },
		{ "[rule r]\nzone = f\npath = /" COMPOSED "/**\n", "" },
		{ "[rule r]\nzone = d\nnot-path = /" COMPOSED "/**\n", "" },
		{ "[rule r]\nzone = d\npath = /" COMPOSED "/**, /" DECOMPOSED "/**\n", "" },
		{ "[rule r]\nzone = f\npath = /" DECOMPOSED "/**\n",
			"20: the pattern /" DECOMPOSED
			"/** is written in decomposed characters, and most systems compose "
			"the names of files; list that form too: /" COMPOSED "/**\n" },
		{ "[rule r]\nzone = d\npath = /" COMPOSED "/**, /" DECOMPOSED
		  "/**\n[rule s]\nzone = f\npath = /x/**, /" COMPOSED "/a\nsize = >1\n",
			"" },
		{ "[rule r]\nzone = f\npath = /" COMPOSED "/a\n[rule s]\nzone = f\npath = /" DECOMPOSED "/b, /" COMPOSED
		  "/b\n",
			"" },
		/* no UTF-8, and characters that have one form only */
		{ "[rule r]\nzone = d\nname = \xff*, \xe4\xba\xba\xe4\xba\x8b*\n", "" },
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void test_many(void **state)
{
	struct buf text = BUF_INIT;
	int64_t start;
	char *said;

	(void)state;
	for (int i = 0; i < 5000; i++)
		buf_printf(&text, "[rule r%d]\nzone = d\npath = /x/%d/**\nsize = >%d\n", i, i, i);
	start = clock_mono_ns();
	said = lint((char *)text.data);
	print_message("5000 rules compared in %lld ms\n", (long long)((clock_mono_ns() - start) / 1000000));
	assert_string_equal(said, "");
	free(said);
	buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_shadows),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_globs),
		cmocka_unit_test(test_spelling),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
