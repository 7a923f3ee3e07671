/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/backends/support.h"

#include "backends/azure_sign.h"

/* The first is the example of "Authorize with Shared Key"; signatures by Python's hmac with this key. */
#define KEY "ZG9tZXN0aWMgc3RvcmFnZSBhY2NvdW50IGtleQ=="

static const struct azure_pair date_and_version[] = { { "x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT" },
	{ "x-ms-version", "2015-02-21" } };
static const struct azure_pair metadata_query[] = { { "comp", "metadata" }, { "restype", "container" },
	{ "timeout", "20" } };

static const struct azure_text example = { .method = "GET",
	.md5 = "",
	.if_none_match = "",
	.range = "",
	.headers = date_and_version,
	.header_count = 2,
	.account = "myaccount",
	.path = "/mycontainer",
	.query = metadata_query,
	.query_count = 3 };

static void builds_the_published_example(void **state)
{
	struct buf out = BUF_INIT;

	(void)state;
	azure_string_to_sign(&example, &out);
	assert_string_equal((char *)out.data,
		"GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n"
		"/myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20");
	buf_free(&out);
}

static void puts_each_header_in_its_place(void **state)
{
	static const struct azure_text put = { .method = "PUT",
		.length = 11,
		.md5 = "bWQ1",
		.if_none_match = "*",
		.range = "bytes=0-10",
		.account = "a",
		.path = "/a/c/k%20k" };
	struct buf out = BUF_INIT;

	(void)state;
	azure_string_to_sign(&put, &out);
	assert_string_equal((char *)out.data, "PUT\n\n\n11\nbWQ1\n\n\n\n\n*\n\nbytes=0-10\n/a/a/c/k%20k");
	buf_free(&out);
}

static void signs(void **state)
{
	static const struct {
		const char *key;
		int rc;
	} rows[] = {
		{ KEY, 0 },
		{ "ZG9tZXN0aWMgc3RvcmFn\nZSBhY2NvdW50IGtleQ==\n", 0 }, /* as some tools wrap it */
		{ "wrong", -ERR_KEY },
		{ "", -ERR_KEY },
		{ "bm90!", -ERR_KEY },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf out = BUF_INIT;

		assert_int_equal(azure_authorization(&example, rows[i].key, &out), rows[i].rc);
		if (!rows[i].rc)
			assert_string_equal(
				(char *)out.data, "SharedKey myaccount:fOnJInif4XMKPEqbKebWSmR1gTceXy/thEympKNSw9k=");
		buf_free(&out);
	}
}

static void writes_dates_in_no_language(void **state)
{
	char date[AZURE_DATE_BYTES];

	(void)state;
	azure_date(1435361952, date);
	assert_string_equal(date, "Fri, 26 Jun 2015 23:39:12 GMT");
	azure_date(0, date);
	assert_string_equal(date, "Thu, 01 Jan 1970 00:00:00 GMT");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(builds_the_published_example),
		cmocka_unit_test(puts_each_header_in_its_place),
		cmocka_unit_test(signs),
		cmocka_unit_test(writes_dates_in_no_language),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
