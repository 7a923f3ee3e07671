/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/mime.h"
#include "tests/unit/config/scratch.h"

#include <errno.h>

/* the types with a blank between them, "-" where there are none */
static const char *types_of(const struct mime *m, const char *name)
{
	char *const *types = mime_lookup(m, name, strlen(name));
	static char out[256];

	snprintf(out, sizeof out, "%s", types ? "" : "-");
	for (size_t i = 0; types && types[i]; i++)
		snprintf(out + strlen(out), sizeof out - strlen(out), "%s%s", i ? " " : "", types[i]);
	return out;
}

static void check_rows(const struct mime *m, const char *const (*rows)[2], size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_string_equal(types_of(m, rows[i][0]), rows[i][1]);
}

static void test_globs2(void **state)
{
	static const char *const rows[][2] = {
		{ "a.png", "image/png" },
		{ "a.PNG", "image/png" },
		{ "a.b.png", "image/png" },
		{ ".png", "image/png" },
		{ "png", "-" },
		{ "a.png.", "-" },
		{ "a.", "-" },
		{ ".", "-" },
		{ "", "-" },
		{ "a.tar.gz", "application/x-compressed-tar" },
		{ "a.gz", "application/gzip" },
		{ "a.c", "text/x-csrc" },
		{ "a.C", "text/x-c++src" },
		{ "Makefile", "text/x-makefile" },
		{ "makefile", "text/x-makefile" },
		{ "a.makefile", "-" },
		{ "a.ts", "video/mp2t text/vnd.trolltech.linguist" },
		{ "a.low", "type/high" },
		{ "a.x1", "-" },
		{ "a.none", "-" },
	};
	char name[300];
	struct mime *m;

	(void)state;
	scratch_write("globs2",
		"# a comment:x:*.comment\n80:type/high:*.low\n60:text/x-c++src:*.C:cs\n"
		"50:image/png:*.png\n50:application/gzip:*.gz\n50:application/x-compressed-tar:*.tar.gz\n"
		"50:text/x-csrc:*.c\n50:text/x-makefile:makefile\n50:video/mp2t:*.ts\n"
		"50:text/vnd.trolltech.linguist:*.ts\n10:type/low:*.low\n50:x/y:*.x[0-9]\n"
		"50:x/z:__NOGLOBS__\nnonsense\n50:half\n\n50:x/empty:\n50:x/dot:*.\n");
	assert_int_equal(mime_load(&m, "globs2", "absent"), 0);
	check_rows(m, rows, COUNT(rows));
	memset(name, 'a', sizeof name);
	assert_null(mime_lookup(m, name, sizeof name));
	mime_free(m);
}

static void test_mime_types(void **state)
{
	static const char *const rows[][2] = {
		{ "a.jpg", "image/jpeg" },
		{ "a.JPE", "image/jpeg" },
		{ "a.odd", "-" },
		{ "a.ts", "video/mp2t text/x-ts" },
	};
	struct mime *m;

	(void)state;
	scratch_write(
		"types", "# odd odd\nimage/jpeg\t\t\tjpeg jpg  jpe\napplication/none\nvideo/mp2t ts\ntext/x-ts ts\n");
	assert_int_equal(mime_load(&m, "absent", "types"), 0);
	check_rows(m, rows, COUNT(rows));
	mime_free(m);
	assert_int_equal(mime_load(&m, "absent", "absent"), -ENOENT);
	assert_null(m);
	assert_int_equal(mime_load(&m, ".", "types"), -EISDIR);
	mime_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_globs2), cmocka_unit_test(test_mime_types) };

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
