/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/config.h"
#include "tests/unit/base/unit.h"

#include <arpa/inet.h>
#include <errno.h>

/* an address, IPv4 as the mapped IPv6 that it is compared as */
static struct in6_addr address(const char *text)
{
	struct cidr c;

	assert_int_equal(cidr_parse(text, &c), 0);
	assert_int_equal(c.bits, 128);
	return c.addr;
}

static void test_parse(void **state)
{
	static const struct {
		const char *text, *addr;
		unsigned bits;
	} rows[] = {
		{ "10.20.0.0/16", "::ffff:10.20.0.0", 112 },
		{ "10.20.30.40/16", "::ffff:10.20.0.0", 112 },
		{ "10.20.30.40", "::ffff:10.20.30.40", 128 },
		{ "0.0.0.0/0", "::ffff:0.0.0.0", 96 },
		{ "2001:db8::/32", "2001:db8::", 32 },
		{ "2001:db8:ffff::/33", "2001:db8:8000::", 33 },
		{ "::1", "::1", 128 },
		{ "::/0", "::", 0 },
		{ "::ffff:10.0.0.0/104", "::ffff:10.0.0.0", 104 },
	};
	static const char *const bad[] = { "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8",
		"10.0.0.0/ 8", "10.0.0.0/8 ", "10.0.0.0/08x", "10.0.0.0/0008", "10.0.0/8", "10.0.0.256",
		"2001:db8::/129", "2001:db8::/32/1", "2001:db8:::/32", "[::1]", "localhost", "::1%lo",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd" };
	struct cidr c;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct in6_addr expected;

		assert_int_equal(inet_pton(AF_INET6, rows[i].addr, &expected), 1);
		assert_int_equal(cidr_parse(rows[i].text, &c), 0);
		assert_int_equal(c.bits, rows[i].bits);
		assert_memory_equal(&c.addr, &expected, sizeof expected);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(cidr_parse(bad[i], &c), -EINVAL);
}

static void test_text(void **state)
{
	static const char *const rows[] = { "10.20.0.0/16", "0.0.0.0/0", "127.0.0.1/32", "::/0", "::1/128",
		"2001:db8::/33", "1111:2222:3333:4444:5555:6666:7777:8888/128" };
	char text[CIDR_TEXT_BYTES];
	struct cidr c;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(cidr_parse(rows[i], &c), 0);
		cidr_text(&c, text);
		assert_string_equal(text, rows[i]);
	}
}

static void test_match(void **state)
{
	static const struct {
		const char *block, *addr;
		bool expected;
	} rows[] = {
		{ "10.20.0.0/16", "10.20.255.255", true },
		{ "10.20.0.0/16", "10.21.0.0", false },
		{ "10.20.0.0/15", "10.21.0.0", true },
		{ "10.20.0.0/17", "10.20.127.9", true },
		{ "10.20.0.0/17", "10.20.128.0", false },
		{ "10.20.30.40", "10.20.30.40", true },
		{ "10.20.30.40", "10.20.30.41", false },
		{ "0.0.0.0/0", "255.255.255.255", true },
		{ "0.0.0.0/0", "::1", false },
		{ "::/0", "2001:db8::1", true },
		{ "::/0", "10.0.0.1", false },
		{ "::/64", "10.0.0.1", false },
		{ "::ffff:10.0.0.0/104", "10.1.2.3", true },
		{ "2001:db8::/32", "2001:db8:ffff::1", true },
		{ "2001:db8::/32", "2001:db9::1", false },
		{ "2001:db8::/33", "2001:db8:8000::", false },
		{ "::1", "::1", true },
	};
	struct in6_addr addr;
	struct cidr c;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		addr = address(rows[i].addr);
		assert_int_equal(cidr_parse(rows[i].block, &c), 0);
		assert_int_equal(cidr_match(&c, &addr), rows[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_parse), cmocka_unit_test(test_text),
		cmocka_unit_test(test_match) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
