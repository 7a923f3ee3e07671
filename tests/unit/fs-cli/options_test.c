/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/cli.h"
#include "tests/unit/base/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGS_MAX 8

static const struct cli_option table[] = {
	CLI_OPTION_CONFIG,
	{ 'r', "recursive", NULL, "flag", false },
	{ 'o', "options", "OPTS", "joined", true },
	{ 0, "timeout", "S", "long only", false },
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

static const struct cli_command command = {
	.name = "try",
	.operands = "PATH...",
	.operands_min = 1,
	.operands_max = 2,
	.summary = "Tries things",
	.description = "A description.",
	.options = table,
};

static int stderr_saved = -1;

static FILE *catch_stderr(void)
{
	FILE *f = tmpfile();

	fflush(stderr);
	stderr_saved = dup(STDERR_FILENO);
	dup2(fileno(f), STDERR_FILENO);
	return f;
}

static void release_stderr(FILE *f, char *text, size_t size)
{
	size_t n;

	fflush(stderr);
	dup2(stderr_saved, STDERR_FILENO);
	close(stderr_saved);
	rewind(f);
	n = fread(text, 1, size - 1, f);
	text[n] = 0;
	fclose(f);
}

static int parse(const char *const *words, struct cli_args *a, char **argv, char *said, size_t size)
{
	int argc = 0, rc;
	FILE *f;

	for (; words[argc]; argc++)
		argv[argc] = strdup(words[argc]);
	argv[argc] = NULL;
	f = catch_stderr();
	rc = args_parse(a, &command, argc, argv);
	release_stderr(f, said, size);
	return rc;
}

static void free_words(char **argv)
{
	for (; *argv; argv++)
		free(*argv);
}

static void test_accepted(void **state)
{
	static const struct {
		const char *words[ARGS_MAX];
		const char *config, *options, *timeout;
		bool recursive;
		int operands;
		const char *first;
	} rows[] = {
		{ { "x", "p" }, NULL, NULL, NULL, false, 1, "p" },
		{ { "x", "-c", "f", "p" }, "f", NULL, NULL, false, 1, "p" },
		{ { "x", "p", "--config=f", "-r", "q" }, "f", NULL, NULL, true, 2, "p" },
		{ { "x", "-rcf", "p" }, "f", NULL, NULL, true, 1, "p" },
		{ { "x", "-o", "a", "p", "-o", "b,c" }, NULL, "a,b,c", NULL, false, 1, "p" },
		{ { "x", "-c", "a", "-c", "b", "p" }, "b", NULL, NULL, false, 1, "p" },
		{ { "x", "--timeout", "5", "p" }, NULL, NULL, "5", false, 1, "p" },
		{ { "x", "--time=5", "p" }, NULL, NULL, "5", false, 1, "p" },
		{ { "x", "--", "-r", "p" }, NULL, NULL, NULL, false, 2, "-r" },
		{ { "x", "-" }, NULL, NULL, NULL, false, 1, "-" },
		{ { "x", "-o", "", "p" }, NULL, "", NULL, false, 1, "p" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *argv[ARGS_MAX + 1], said[256];
		struct cli_args a;

		assert_int_equal(parse(rows[i].words, &a, argv, said, sizeof said), 0);
		assert_string_equal(said, "");
		assert_string_equal(args_value(&a, "config") ? args_value(&a, "config") : "-",
			rows[i].config ? rows[i].config : "-");
		assert_string_equal(args_value(&a, "options") ? args_value(&a, "options") : "-",
			rows[i].options ? rows[i].options : "-");
		assert_string_equal(args_value(&a, "timeout") ? args_value(&a, "timeout") : "-",
			rows[i].timeout ? rows[i].timeout : "-");
		assert_int_equal(args_flag(&a, "recursive"), rows[i].recursive);
		assert_false(args_flag(&a, "json")); /* not in this table */
		assert_int_equal(a.operand_count, rows[i].operands);
		assert_string_equal(a.operands[0], rows[i].first);
		args_free(&a);
		free_words(argv);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *words[ARGS_MAX];
		const char *said;
	} rows[] = {
		{ { "x" }, "borderfs: try: it needs PATH...: see `borderfs try --help`\n" },
		{ { "x", "a", "b", "c" }, "borderfs: try: one argument too many: c: see `borderfs try --help`\n" },
		{ { "x", "-z", "p" }, "borderfs: try: unknown option -z: see `borderfs try --help`\n" },
		{ { "x", "-rz", "p" }, "borderfs: try: unknown option -z: see `borderfs try --help`\n" },
		{ { "x", "--zoo", "p" }, "borderfs: try: unknown option --zoo: see `borderfs try --help`\n" },
		{ { "x", "p", "-c" }, "borderfs: try: a value is missing after -c: see `borderfs try --help`\n" },
		{ { "x", "p", "--timeout" },
			"borderfs: try: a value is missing after --timeout: see `borderfs try --help`\n" },
		{ { "x", "--recursive=yes", "p" },
			"borderfs: try: unknown option --recursive=yes: see `borderfs try --help`\n" },
		{ { "x", "--z\033[1m", "p" },
			"borderfs: try: unknown option --z\\x1b[1m: see `borderfs try --help`\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *argv[ARGS_MAX + 1], said[256];
		struct cli_args a;

		assert_int_equal(parse(rows[i].words, &a, argv, said, sizeof said), OUTCOME_USAGE);
		assert_string_equal(said, rows[i].said);
		args_free(&a);
		free_words(argv);
	}
}

/* --help is answered whatever else is missing */
static void test_help(void **state)
{
	static const char *const words[] = { "x", "--help", NULL };
	char *argv[ARGS_MAX + 1], said[256];
	struct buf text = BUF_INIT;
	struct cli_args a;

	(void)state;
	assert_int_equal(parse(words, &a, argv, said, sizeof said), 0);
	assert_true(args_flag(&a, "help"));
	args_help(&command, &text);
	assert_string_equal((char *)text.data,
		"usage: borderfs try [OPTIONS] PATH...\n\nTries things.\n\nA description.\n\n"
		"  -c, --config FILE|NAME      the configuration: a file, or the NAME of one in ~/.config/borderfs or "
		"/etc/borderfs\n"
		"  -r, --recursive             flag\n"
		"  -o, --options OPTS          joined\n"
		"      --timeout S             long only\n"
		"  -h, --help                  print this help\n");
	buf_free(&text);
	args_free(&a);
	free_words(argv);
}

/* what every command's table must be, for the parser and for the manual made from it */
static void test_tables(void **state)
{
	(void)state;
	for (const struct cli_command *const *c = cli_commands; *c; c++) {
		const struct cli_option *o = (*c)->options;
		bool help = false;
		int n = 0;

		assert_non_null((*c)->run);
		assert_true((*c)->operands_max < 0 || (*c)->operands_min <= (*c)->operands_max);
		assert_int_equal((*c)->summary[strlen((*c)->summary) - 1] == '.', 0);
		for (; o[n].name; n++) {
			help |= !strcmp(o[n].name, "help");
			for (int i = 0; i < n; i++) {
				assert_string_not_equal(o[i].name, o[n].name);
				assert_true(!o[i].letter || o[i].letter != o[n].letter);
			}
		}
		assert_true(help);
		assert_true(n <= CLI_OPTIONS_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
