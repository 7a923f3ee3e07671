/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/err.h"
#include "tests/unit/base/unit.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static void test_codes(void **state)
{
	static const struct {
		int rc, posix;
		const char *name, *text;
	} rows[] = {
		{ -ERR_TAMPERED, EIO, "TAMPERED", "data failed authentication" },
		{ -ERR_NO_BUCKET, EHOSTUNREACH, "NO_BUCKET", "the bucket or directory does not exist" },
		{ -ERR_PEER_ABROAD, EACCES, "PEER_ABROAD", "the peer's address does not lie in the zone" },
		{ -ERR_STOPPED, ESHUTDOWN, "STOPPED", "the filesystem is being unmounted" },
		{ -ENOENT, ENOENT, "ENOENT", "No such file or directory" },
		{ -EIO, EIO, "EIO", "Input/output error" },
		{ -ERR_FIRST, EIO, "UNKNOWN", "unknown error" },
		{ -ERR_END, EIO, "UNKNOWN", "unknown error" },
		{ -ERR_FIRST + 1, ERR_FIRST - 1, "UNKNOWN", "unknown error" },
		{ INT_MIN, EIO, "UNKNOWN", "unknown error" },
		{ 0, 0, "0", "Success" },
		{ 7, 0, "UNKNOWN", "unknown error" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(err_errno(rows[i].rc), rows[i].posix);
		assert_string_equal(err_name(rows[i].rc), rows[i].name);
		assert_string_equal(err_text(rows[i].rc), rows[i].text);
	}
}

static void test_every_row(void **state)
{
	(void)state;
	for (int e = ERR_FIRST + 1; e < ERR_END; e++) {
		assert_in_range(err_errno(-e), 1, 200);
		assert_true(strlen(err_text(-e)) > 5);
		assert_string_not_equal(err_name(-e), "UNKNOWN");
	}
}

static void test_message(void **state)
{
	struct errmsg m = { 0 };

	(void)state;
	assert_string_equal(errmsg_text(&m, -ENOENT), "No such file or directory");
	errmsg_prefix(&m, "nothing there");
	assert_null(m.text);
	assert_int_equal(errmsg_set(&m, -ERR_LOST, "object %d is gone", 7), -ERR_LOST);
	assert_int_equal(errmsg_set(&m, -EIO, "a later cause"), -EIO);
	assert_string_equal(errmsg_text(&m, -EIO), "object 7 is gone");
	errmsg_prefix(&m, "backend %s", "nas");
	assert_string_equal(errmsg_text(&m, -EIO), "backend nas: object 7 is gone");
	errmsg_free(&m);
	assert_null(m.text);
	errmsg_free(&m);
	errmsg_free(NULL);
	assert_int_equal(errmsg_set(NULL, -EIO, "nobody listens"), -EIO);
	assert_string_equal(errmsg_text(NULL, -EIO), "Input/output error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codes),
		cmocka_unit_test(test_every_row),
		cmocka_unit_test(test_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
