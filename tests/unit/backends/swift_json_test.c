/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/swift_json.h"
#include "tests/unit/backends/support.h"

static void reads_a_page(void **state)
{
	static const char text[] =
		"[{\"hash\": \"d41d8cd98f00b204e9800998ecf8427e\", \"last_modified\": \"2026-11-30T20:22:50.123456\", "
		"\"bytes\": 17, \"name\": \"a/gr\\u00fc\\u00df\", \"content_type\": \"x\"}, "
		"{\"name\":\"b\",\"bytes\":0}]";
	struct page p = { 0 };

	(void)state;
	assert_int_equal(swift_json_page(text, strlen(text), &p), 0);
	assert_int_equal(p.count, 2);
	assert_string_equal(p.objects[0].key, "a/gr\xc3\xbc\xc3\x9f");
	assert_int_equal(p.objects[0].size, 17);
	assert_int_equal(p.objects[0].mtime_ns, 1796070170 * NS_PER_S);
	assert_int_equal(p.objects[1].mtime_ns, 0);
	assert_true(p.truncated);
	assert_string_equal(p.token, "b");
	page_free(&p);
	assert_int_equal(swift_json_page("[]", 2, &p), 0);
	assert_int_equal(p.count, 0);
	assert_false(p.truncated);
	page_free(&p);
}

static void refuses_what_is_no_page(void **state)
{
	static const char *const rows[] = { "", "{}", "null", "[", "[1]", "[{}]", "[{\"subdir\":\"a/\"}]",
		"[{\"name\":\"a\"}]", "[{\"name\":\"\",\"bytes\":1}]", "[{\"name\":\"a\",\"bytes\":-1}]",
		"[{\"name\":\"a\",\"bytes\":1.5}]", "[{\"name\":\"a\",\"bytes\":9223372036854775808}]",
		"[{\"name\":\"a\\u0000b\",\"bytes\":1}]", "[{\"name\":\"a\",\"name\":\"b\",\"bytes\":1}]",
		"[{\"name\":\"\xff\",\"bytes\":1}]", "[] x" };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct page p = { 0 };

		if (swift_json_page(rows[i], strlen(rows[i]), &p) != -ERR_PROTOCOL)
			fail_msg("row %zu", i);
		page_free(&p);
	}
}

#define ENDPOINT(region, interface, url)                                                                               \
	"{\"region_id\":\"" region "\",\"interface\":\"" interface "\",\"url\":\"" url "\"}"
#define SERVICE(type, endpoints) "{\"type\":\"" type "\",\"endpoints\":[" endpoints "]}"
#define TOKEN_JSON(more)                                                                                               \
	"{\"token\":{" more "\"catalog\":[" SERVICE("identity", ENDPOINT("One", "public", "http://k")) "," SERVICE(    \
		"object-store", ENDPOINT("One", "public", "http://1") "," ENDPOINT("One", "internal",                  \
					"http://2") "," ENDPOINT("Two", "public", "http://3")) "]}}"

static void finds_the_storage(void **state)
{
	static const struct {
		const char *text, *region, *interface, *url, *offered;
		int64_t lifetime_s;
	} rows[] = {
		{ TOKEN_JSON(""), "One", "public", "http://1", "One/public, One/internal, Two/public", -1 },
		{ TOKEN_JSON(""), "One", "internal", "http://2", "One/public, One/internal, Two/public", -1 },
		{ TOKEN_JSON(""), NULL, "internal", "http://2", "One/public, One/internal, Two/public", -1 },
		/* which of two is not ours to guess */
		{ TOKEN_JSON(""), NULL, "public", NULL, "One/public, One/internal, Two/public", -1 },
		{ TOKEN_JSON(""), "Three", "public", NULL, "One/public, One/internal, Two/public", -1 },
		{ TOKEN_JSON("\"issued_at\":\"2026-11-30T20:22:50.000000Z\",\"expires_at\":\"2026-12-01T20:22:50Z\","),
			"Two", "public", "http://3", "One/public, One/internal, Two/public", 86400 },
		{ TOKEN_JSON("\"issued_at\":\"2026-11-30T20:22:50Z\",\"expires_at\":\"2026-11-30T20:22:49Z\","), "Two",
			"public", "http://3", "One/public, One/internal, Two/public", -1 },
		{ "{\"token\":{\"catalog\":[" SERVICE(
			  "object-store", ENDPOINT("\\u001b[31m", "public", "http://1")) "]}}",
			NULL, "public", "http://1", "?[31m/public", -1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct swift_catalogue c = { .region = rows[i].region, .interface = rows[i].interface };

		assert_int_equal(swift_json_catalogue(rows[i].text, strlen(rows[i].text), &c), 0);
		if (rows[i].url)
			assert_string_equal(c.url, rows[i].url);
		else
			assert_null(c.url);
		assert_string_equal(c.offered, rows[i].offered);
		assert_int_equal(c.lifetime_s, rows[i].lifetime_s);
		free(c.url);
	}
}

static void writes_no_login_with_what_is_not_utf8(void **state)
{
	struct setting s;
	char *text;
	size_t len;

	(void)state;
	setting_init(&s, "swift")->application_credential = STR("id");
	assert_int_equal(swift_json_login(&s.config, "\xff", &text, &len), -ERR_SECRET_FILE);
	assert_null(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_page),
		cmocka_unit_test(refuses_what_is_no_page),
		cmocka_unit_test(finds_the_storage),
		cmocka_unit_test(writes_no_login_with_what_is_not_utf8),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
