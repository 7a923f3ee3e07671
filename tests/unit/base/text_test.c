/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/text.h"
#include "tests/unit/base/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t bytes;
	} rows[] = {
		{ "0", 0, 0 },
		{ "100", 0, 100 },
		{ "100B", 0, 100 },
		{ "512K", 0, 524288 },
		{ "512k", 0, 524288 },
		{ "20G", 0, 21474836480 },
		{ "20GB", 0, 21474836480 },
		{ "20GiB", 0, 21474836480 },
		{ "3T", 0, 3298534883328 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "16777215T", 0, 16777215ULL << 40 },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "16777216T", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "G", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },
		{ "1.5G", -EINVAL, 0 },
		{ "1iB", -EINVAL, 0 },
		{ "1Ki", -EINVAL, 0 },
		{ "1KBB", -EINVAL, 0 },
		{ "1P", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 },
	};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(text_parse_size(rows[i].text, &v), rows[i].rc);
		if (!rows[i].rc)
			assert_int_equal(v, rows[i].bytes);
	}
}

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		int rc;
		int64_t ns;
	} rows[] = {
		{ "0", 0, 0 },
		{ "7", 0, 7000000000 },
		{ "500ms", 0, 500000000 },
		{ "5s", 0, 5000000000 },
		{ "2m", 0, 120000000000 },
		{ "1h", 0, 3600000000000 },
		{ "30d", 0, 2592000000000000 },
		{ "2w", 0, 1209600000000000 },
		{ "9223372036s", 0, 9223372036000000000 },
		{ "9223372037s", -ERANGE, 0 },
		{ "99999999999999999999s", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "s", -EINVAL, 0 },
		{ "-5s", -EINVAL, 0 },
		{ "5 s", -EINVAL, 0 },
		{ "5S", -EINVAL, 0 },
		{ "1h30m", -EINVAL, 0 },
		{ "5us", -EINVAL, 0 },
	};
	int64_t v;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(text_parse_duration(rows[i].text, &v), rows[i].rc);
		if (!rows[i].rc)
			assert_int_equal(v, rows[i].ns);
	}
}

static void test_rates(void **state)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t rate;
	} rows[] = {
		{ "20M/s", 0, 20971520 },
		{ "20MiB/s", 0, 20971520 },
		{ "0/s", 0, 0 },
		{ "20M", -EINVAL, 0 },
		{ "20M/h", -EINVAL, 0 },
		{ "20M/s ", -EINVAL, 0 },
		{ "/s", -EINVAL, 0 },
		{ "16777216T/s", -ERANGE, 0 },
	};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(text_parse_rate(rows[i].text, &v), rows[i].rc);
		if (!rows[i].rc)
			assert_int_equal(v, rows[i].rate);
	}
}

static void test_size_text(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{ 0, "0 B" },
		{ 1023, "1023 B" },
		{ 1024, "1.0 KiB" },
		{ 3355443, "3.2 MiB" },
		{ 1048575, "1.0 MiB" },
		{ 1048524, "1023.9 KiB" },
		{ UINT64_MAX, "16.0 EiB" },
	};
	char out[16];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_string_equal(text_size(rows[i].bytes, out, sizeof out), rows[i].text);
}

static void test_duration_text(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} rows[] = {
		{ 0, "0ms" },
		{ 999999999, "999ms" },
		{ 3149000000, "3.1s" },
		{ 59999000000, "59.9s" },
		{ 65000000000, "1m05s" },
		{ 7500000000000, "2h05m" },
		{ 90000000000000, "1d01h" },
		{ -65000000000, "-1m05s" },
		{ INT64_MAX, "106751d23h" },
		{ INT64_MIN, "-106751d23h" },
	};
	char out[24];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_string_equal(text_duration(rows[i].ns, out, sizeof out), rows[i].text);
}

static void test_hex(void **state)
{
	static const char *const bad[] = { "", "0", "00f", "00f", "00fg", "00ff00", "0 ff", "00FF " };
	uint8_t raw[2] = { 0x0a, 0xff }, back[2];
	char out[5];

	(void)state;
	assert_string_equal(text_hex(raw, 2, out), "0aff");
	assert_string_equal(text_hex(raw, 0, out), "");
	assert_int_equal(text_unhex("0AfF", back, 2), 0);
	assert_memory_equal(back, raw, 2);
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(text_unhex(bad[i], back, 2), -EINVAL);
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		int rc;
		int64_t s;
	} rows[] = {
		{ "1970-01-01", 0, 0 },
		{ "2026-12-01", 0, 1796083200 },
		{ "2026-12-01 09:30", 0, 1796117400 },
		{ "2024-02-29 23:59", 0, 1709251140 },
		{ "2026-02-29", -EINVAL, 0 },
		{ "2026-12-01 24:00", -EINVAL, 0 },
		{ "2026-12-0109:30", -EINVAL, 0 },
		{ "2026-12-01 09", -EINVAL, 0 },
		{ "2026-12-01 09:30Z", -EINVAL, 0 },
		{ "1969-12-31", -EINVAL, 0 },
		{ "9999-12-31", -EINVAL, 0 },
		{ "tomorrow", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
	};
	int64_t v;

	(void)state;
	setenv("TZ", "UTC", 1);
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(text_parse_time(rows[i].text, &v), rows[i].rc);
		if (!rows[i].rc)
			assert_int_equal(v, rows[i].s * 1000000000);
	}
	setenv("TZ", "Asia/Shanghai", 1);
	assert_int_equal(text_parse_time("2026-12-01", &v), 0);
	assert_int_equal(v, (1796083200 - 8 * 3600) * 1000000000LL);
}

static void test_utc(void **state)
{
	static const struct {
		const char *text;
		int rc;
		int64_t s;
	} rows[] = {
		{ "2026-12-01", 0, 1796083200 },
		{ "2026-12-01T09:30", 0, 1796117400 },
		{ "2026-12-01T09:30Z", 0, 1796117400 },
		{ "2026-12-01T09:30:05", 0, 1796117405 },
		{ "2026-12-01T09:30:05Z", 0, 1796117405 },
		{ "2026-12-01 09:30", -EINVAL, 0 },
		{ "2026-12-01Z", -EINVAL, 0 },
		{ "2026-02-30", -EINVAL, 0 },
		{ "1969-12-31", -EINVAL, 0 },
		{ "30d", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
	};
	int64_t v;

	(void)state;
	setenv("TZ", "Asia/Shanghai", 1);
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(text_parse_utc(rows[i].text, &v), rows[i].rc);
		if (!rows[i].rc)
			assert_int_equal(v, rows[i].s * 1000000000);
	}
}

static void test_hours(void **state)
{
	static const struct {
		const char *text;
		int rc;
		unsigned from, to;
	} rows[] = {
		{ "08:00-18:30", 0, 480, 1110 },
		{ "8:00-9:05", 0, 480, 545 },
		{ "22:30-02:00", 0, 1350, 120 },
		{ "00:00-24:00", 0, 0, 1440 },
		{ "24:00-08:00", -EINVAL, 0, 0 },
		{ "08:00-08:00", -EINVAL, 0, 0 },
		{ "08:00-24:01", -EINVAL, 0, 0 },
		{ "08:60-09:00", -EINVAL, 0, 0 },
		{ "008:00-09:00", -EINVAL, 0, 0 },
		{ "8:5-9:00", -EINVAL, 0, 0 },
		{ "08:00", -EINVAL, 0, 0 },
		{ "8-18", -EINVAL, 0, 0 },
		{ "08:00-18:00x", -EINVAL, 0, 0 },
		{ " 08:00-18:00", -EINVAL, 0, 0 },
		{ "", -EINVAL, 0, 0 },
	};
	unsigned from, to;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(text_parse_hours(rows[i].text, &from, &to), rows[i].rc);
		if (rows[i].rc)
			continue;
		assert_int_equal(from, rows[i].from);
		assert_int_equal(to, rows[i].to);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_utc),
		cmocka_unit_test(test_hours),
		cmocka_unit_test(test_size_text),
		cmocka_unit_test(test_duration_text),
		cmocka_unit_test(test_hex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
