/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/backends/support.h"

#include "backends/url.h"

static void encodes(void **state)
{
	static const struct {
		const char *in;
		int in_path;
		const char *out;
	} table[] = {
		{ "", 1, "" },
		{ "3f/3f9a-._~", 1, "3f/3f9a-._~" },
		{ "a/b", 0, "a%2Fb" },
		{ "a b+c", 1, "a%20b%2Bc" },
		{ "\xc3\xbc\x01\xff", 1, "%C3%BC%01%FF" },
		{ "!$&'()*,:;=?@[]%", 1, "%21%24%26%27%28%29%2A%2C%3A%3B%3D%3F%40%5B%5D%25" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct buf out = BUF_INIT;

		buf_str(&out, "");
		url_encode(&out, table[i].in, table[i].in_path);
		assert_string_equal(out.data ? (char *)out.data : "", table[i].out);
		buf_free(&out);
	}
}

static void decodes(void **state)
{
	static const struct {
		const char *in, *out;
	} table[] = {
		{ "", "" },
		{ "/3f/3f9a-._~", "/3f/3f9a-._~" },
		{ "a%2Fb+c%20", "a/b+c " },
		{ "%c3%BC", "\xc3\xbc" },
		{ "%2541", "%41" },
		{ "%", NULL },
		{ "a%4", NULL },
		{ "%4g", NULL },
		{ "%g4", NULL },
		{ "a%00b", NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		char text[32];
		int rc;

		strcpy(text, table[i].in);
		rc = url_decode(text);
		assert_int_equal(rc, table[i].out ? 0 : -ERR_PROTOCOL);
		if (!rc)
			assert_string_equal(text, table[i].out);
	}
}

static void takes_endpoints_apart(void **state)
{
	static const struct {
		const char *in, *origin, *scheme, *authority, *path;
	} table[] = {
		{ "https://dav.example.cn", "https://dav.example.cn", "https", "dav.example.cn", "/" },
		{ "https://dav.example.cn:443/a%20b", "https://dav.example.cn", "https", "dav.example.cn", "/a%20b" },
		{ "http://[::1]:8080/dav/", "http://[::1]:8080", "http", "[::1]:8080", "/dav/" },
		{ "no url", NULL, NULL, NULL, NULL },
		{ "https://", NULL, NULL, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct url url;

		assert_int_equal(url_parse(table[i].in, &url), table[i].origin ? 0 : -ERR_CONFIG);
		if (table[i].origin) {
			assert_string_equal(url.origin, table[i].origin);
			assert_string_equal(url.scheme, table[i].scheme);
			assert_string_equal(url.authority, table[i].authority);
			assert_string_equal(url.path, table[i].path);
		}
		url_free(&url);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodes),
		cmocka_unit_test(decodes),
		cmocka_unit_test(takes_endpoints_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
