/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/progress.h"

#include "tests/unit/base/unit.h"

static json_t *status(int files, int bytes, int rate, double left)
{
	return json_pack("{s:{s:i, s:i, s:i, s:o}}", "waiting", "files", files, "bytes", bytes, "upload_bytes_per_s",
		rate, "seconds_left", left < 0 ? json_null() : json_real(left));
}

static void test_text(void **state)
{
	static const struct {
		int64_t total_files, total_bytes;
		int files, bytes, rate;
		double left;
		int width;
		const char *text;
	} rows[] = {
		{ 10, 4 << 20, 5, 1 << 20, 1 << 20, 1, 8,
			"[######  ]  75%  5 files, 1.0 MiB left, 1.0 MiB/s, about 1.0s" },
		{ 10, 4 << 20, 1, 0, 0, -1, 8, "[########] 100%  1 file, 0 B left, 0 B/s" },
		{ 4, 0, 1, 0, 0, -1, 4, "[### ]  75%  1 file, 0 B left, 0 B/s" },
		{ 0, 0, 0, 0, 0, -1, 4, "[    ]   0%  0 files, 0 B left, 0 B/s" },
		{ 1, 100, 1, 100, 0, -1, 0, "1 file, 100 B left, 0 B/s" },
		{ 1, 100, 1, 100, 0, -1, 1000, "[                              ]   0%  1 file, 100 B left, 0 B/s" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct progress p = { .total_files = rows[i].total_files, .total_bytes = rows[i].total_bytes };
		json_t *s = status(rows[i].files, rows[i].bytes, rows[i].rate, rows[i].left);
		char text[160];

		progress_text(&p, s, rows[i].width, text, sizeof text);
		assert_string_equal(text, rows[i].text);
		json_decref(s);
	}
}

/* whatever a daemon sends, nothing is read or written out of bounds */
static void test_foreign(void **state)
{
	static const char *const rows[] = { "{}", "{\"waiting\":7}", "{\"waiting\":{\"files\":\"x\"}}",
		"{\"waiting\":{\"bytes\":-5,\"files\":-1,\"seconds_left\":1e300}}" };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct progress p = { .total_bytes = 3 };
		json_t *s = json_loads(rows[i], 0, NULL);
		char text[160];

		assert_non_null(s);
		progress_text(&p, s, 30, text, sizeof text);
		assert_true(text[0] == '[' && text[31] == ']');
		json_decref(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_foreign),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
