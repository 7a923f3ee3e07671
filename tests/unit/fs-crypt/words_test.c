/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/crypt/seal.h"
#include "fs/crypt/words.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <sodium.h>
#include <string.h>

/* 127.0.0.1 is lusab-babad, 63.84.220.193 gutih-tugad, 63.118.7.35 gutuk-bisog, 140.98.193.141 mudof-sakat: the
 * examples of the proposal. */
static const uint8_t entropy[WORDS_ENTROPY] = { 127, 0, 0, 1, 63, 84, 220, 193, 63, 118, 7, 35, 140, 98, 193, 141 };
static const char text[] = "lusab babad gutih tugad gutuk bisog mudof sakat tovuf";

static void proposal(void **state)
{
	char out[WORDS_TEXT];

	(void)state;
	words_format(entropy, out);
	assert_string_equal(out, text);
}

static void random_round_trips(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint8_t in[WORDS_ENTROPY], again[WORDS_ENTROPY];
		char out[WORDS_TEXT];

		randombytes_buf(in, sizeof(in));
		words_format(in, out);
		assert_int_equal(strlen(out), WORDS_TEXT - 1);
		assert_int_equal(words_parse(out, strlen(out), again, NULL), 0);
		assert_memory_equal(in, again, sizeof(in));
	}
}

static void as_people_type(void **state)
{
	static const char *const rows[] = {
		"lusab babad gutih tugad gutuk bisog mudof sakat tovuf\n",
		"  LUSAB-BABAD-GUTIH-TUGAD-GUTUK-BISOG-MUDOF-SAKAT-TOVUF  ",
		"Lusab\tBabad\r\nGutih  tugad\n\ngutuk bisog -- mudof sakat tovuf",
		"lusabbabadgutihtugadgutukbisogmudofsakattovuf",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t out[WORDS_ENTROPY] = { 0 };

		assert_int_equal(words_parse(rows[i], strlen(rows[i]), out, NULL), 0);
		assert_memory_equal(out, entropy, sizeof(out));
	}
}

static void bad(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "", "these have 0" },
		{ "lusab babad", "these have 10" },
		{ "lusab babad gutih tugad gutuk bisog mudof sakat tovuf tovuf", "these have 50" },
		{ "lusab babad gutih tugad gutuk bisog mudof sakat tovud", "does not fit the others" },
		{ "babad lusab gutih tugad gutuk bisog mudof sakat tovuf", "does not fit the others" },
		{ "lusab babad gutih tugad gutuk bisog mudof sakat tavof", "does not fit the others" },
		{ "lusab babed gutih tugad gutuk bisog mudof sakat tovuf", "word 2 is misspelt" },
		{ "lusab babad gutih tugad gutuk bisog mudof sakat tovux", "word 9 is misspelt" },
		{ "ulsab babad gutih tugad gutuk bisog mudof sakat tovuf", "word 1 is misspelt" },
		{ "lusab babad 3utih", "something else follows 10" },
		{ "lusab\xe2\x80\x93"
		  "babad",
			"something else follows 5" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t out[WORDS_ENTROPY];
		struct errmsg msg = { 0 };

		assert_int_equal(words_parse(rows[i].text, strlen(rows[i].text), out, &msg), -ERR_KEY);
		assert_non_null(strstr(msg.text, rows[i].says));
		errmsg_free(&msg);
	}
}

static int setup(void **state)
{
	(void)state;
	return crypt_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(proposal),
		cmocka_unit_test(random_round_trips),
		cmocka_unit_test(as_people_type),
		cmocka_unit_test(bad),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
