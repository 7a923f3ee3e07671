/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/buf.h"
#include "base/err.h"
#include "tests/unit/base/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void test_grow(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	for (int i = 0; i < 1000; i++)
		buf_put(&b, "0123456789", 10);
	assert_int_equal(b.err, 0);
	assert_int_equal(b.len, 10000);
	assert_int_equal(b.data[10000], 0);
	assert_memory_equal(b.data + 9990, "0123456789", 10);
	buf_reset(&b);
	assert_int_equal(b.len, 0);
	assert_string_equal((char *)b.data, "");
	buf_free(&b);
	assert_null(b.data);
	buf_free(NULL);
}

/* lengths at which the terminating NUL needs the next size */
static void test_edges(void **state)
{
	char bytes[300];

	(void)state;
	memset(bytes, 'x', sizeof bytes);
	for (size_t len = 0; len < sizeof bytes; len++) {
		struct buf b = BUF_INIT;

		buf_put(&b, bytes, len);
		assert_int_equal(b.len, len);
		assert_true(b.cap > len);
		assert_int_equal(b.data[len], 0);
		buf_free(&b);
	}
}

static void test_print_and_steal(void **state)
{
	char long_text[300], *s;
	struct buf b = BUF_INIT;

	(void)state;
	memset(long_text, 'x', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = 0;
	buf_printf(&b, "%s|%d", long_text, 42);
	buf_str(&b, "|end");
	assert_int_equal(b.len, 299 + 3 + 4);
	assert_string_equal((char *)b.data + 299, "|42|end");
	s = buf_steal(&b);
	assert_int_equal(strlen(s), 306);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	free(s);
	s = buf_steal(&b);
	assert_string_equal(s, "");
	free(s);
}

static void test_sticky(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	buf_str(&b, "kept");
	assert_null(buf_reserve(&b, SIZE_MAX - 8));
	assert_int_equal(b.err, -ENOMEM);
	buf_str(&b, "ignored");
	buf_printf(&b, "ignored");
	assert_int_equal(b.len, 4);
	assert_null(buf_steal(&b));
	assert_int_equal(b.err, 0);
	assert_null(b.data);
}

static void test_little_endian(void **state)
{
	static const uint8_t expected[] = { 0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f, 0x0e, 0x0d, 0x0c, 0x0b,
		0x0a, 0x09, 0x08 };
	struct buf b = BUF_INIT;
	struct reader r;
	uint8_t raw[8];

	(void)state;
	buf_u8(&b, 0x01);
	buf_u16(&b, 0x0203);
	buf_u32(&b, 0x04050607);
	buf_u64(&b, 0x08090a0b0c0d0e0f);
	assert_int_equal(b.len, sizeof expected);
	assert_memory_equal(b.data, expected, sizeof expected);
	r = (struct reader){ b.data, b.data + b.len, 0 };
	assert_int_equal(reader_u8(&r), 0x01);
	assert_int_equal(reader_u16(&r), 0x0203);
	assert_int_equal(reader_u32(&r), 0x04050607);
	assert_int_equal(reader_u64(&r), 0x08090a0b0c0d0e0f);
	assert_int_equal(r.err, 0);
	assert_ptr_equal(r.p, r.end);
	put_le32(raw, 0xf1e2d3c4);
	assert_memory_equal(raw, "\xc4\xd3\xe2\xf1", 4);
	assert_int_equal(get_le32(raw), 0xf1e2d3c4);
	put_le64(raw, 0xf1e2d3c4b5a69788);
	assert_memory_equal(raw, "\x88\x97\xa6\xb5\xc4\xd3\xe2\xf1", 8);
	assert_true(get_le64(raw) == 0xf1e2d3c4b5a69788);
	buf_free(&b);
}

static void test_short_read(void **state)
{
	static const uint8_t bytes[] = { 1, 2, 3 };
	struct reader r = { bytes, bytes + 3, 0 };

	(void)state;
	assert_int_equal(reader_u8(&r), 1);
	assert_int_equal(reader_u32(&r), 0);
	assert_int_equal(r.err, -ERR_FORMAT);
	assert_int_equal(reader_u8(&r), 0);
	assert_null(reader_bytes(&r, 0));
	r = (struct reader){ bytes, bytes + 3, 0 };
	assert_ptr_equal(reader_bytes(&r, 3), bytes);
	assert_ptr_equal(reader_bytes(&r, 0), bytes + 3);
	assert_int_equal(r.err, 0);
	assert_null(reader_bytes(&r, SIZE_MAX));
	assert_int_equal(r.err, -ERR_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grow),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_print_and_steal),
		cmocka_unit_test(test_sticky),
		cmocka_unit_test(test_little_endian),
		cmocka_unit_test(test_short_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
