/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The window of a reader, without a file behind it. */
#include "fs/core/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define KIB  1024u
#define MIB  (1024u * KIB)
#define READ (128 * KIB)

static struct core_file reader = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int setup(void **state)
{
	(void)state;
	reader.last_off = reader.window_end = 0;
	reader.ahead = 0;
	return 0;
}

/* however often the reader has to wait: everything is asked for once, in order, and when half of a window is left */
static void test_in_order(void **state)
{
	uint64_t asked = READ + READ_AHEAD_MIN, from = 0;

	(void)state;
	assert_int_equal(file_read_ahead(&reader, 0, READ), READ_AHEAD_MIN);
	for (uint64_t off = 0; off < 512 * MIB; off += READ) {
		uint64_t left = asked - (off + READ), ahead = reader.ahead;
		uint32_t more;

		if (off)
			assert_int_equal(file_read_ahead(&reader, off, READ), left);
		if ((more = file_read_on(&reader, off, READ, &from))) {
			assert_int_equal(from, asked);
			asked += more;
		} else {
			assert_true(left > ahead / 2);
		}
	}
	assert_int_equal(reader.ahead, READ_AHEAD_MAX);
}

static void test_grows(void **state)
{
	static const uint32_t windows[] = { 256 * KIB, 2 * MIB, 16 * MIB, 32 * MIB, 32 * MIB };
	uint64_t from, end;

	(void)state;
	assert_int_equal(file_read_ahead(&reader, 0, READ), windows[0]);
	for (size_t i = 1; i < sizeof windows / sizeof windows[0]; i++) {
		end = reader.window_end - windows[i - 1] / 2;
		assert_int_equal(file_read_on(&reader, end - READ - 4 * KIB, READ, &from), 0);
		assert_true(file_read_on(&reader, end - READ, READ, &from) > 0);
		assert_int_equal(reader.window_end, end + windows[i]);
	}
}

/* who jumps gets what he asks for */
static void test_jumps(void **state)
{
	uint64_t from;

	(void)state;
	assert_int_equal(file_read_ahead(&reader, 100 * MIB, 4 * KIB), 0);
	assert_int_equal(file_read_on(&reader, 100 * MIB, 4 * KIB, &from), 0);
	assert_int_equal(file_read_ahead(&reader, 50 * MIB, 4 * KIB), 0);
	assert_int_equal(file_read_on(&reader, 50 * MIB, 4 * KIB, &from), 0);
	assert_int_equal(file_read_ahead(&reader, 0, 4 * KIB), READ_AHEAD_MIN);
	assert_int_equal(file_read_ahead(&reader, 7 * MIB, 4 * KIB), 0);
	/* from there on in order */
	assert_int_equal(file_read_ahead(&reader, 7 * MIB + 4 * KIB, 4 * KIB), READ_AHEAD_MIN);
}

/* the kernel's own read-ahead, in another order than it was sent, is no jump */
static void test_reordered(void **state)
{
	uint64_t from;

	(void)state;
	assert_int_equal(file_read_ahead(&reader, 0, READ), READ_AHEAD_MIN);
	assert_int_equal(file_read_on(&reader, 2 * READ, READ, &from), 2 * MIB);
	assert_int_equal(file_read_ahead(&reader, READ, READ), 2 * MIB + READ);
	assert_int_equal(reader.ahead, 2 * MIB);
}

/* what is all here is never asked for */
static void test_never_missed(void **state)
{
	uint64_t from;

	(void)state;
	for (uint64_t off = 0; off < 8 * MIB; off += READ)
		assert_int_equal(file_read_on(&reader, off, READ, &from), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_in_order, setup),
		cmocka_unit_test_setup(test_grows, setup),
		cmocka_unit_test_setup(test_jumps, setup),
		cmocka_unit_test_setup(test_reordered, setup),
		cmocka_unit_test_setup(test_never_missed, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
