/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The vectors are the examples of the Amazon S3 API Reference, "Signature Calculations for the Authorization Header:
 * Transferring Payload in a Single Chunk". */
#include "tests/unit/backends/support.h"

#include "backends/s3_sign.h"

#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define ACCESS "AKIAIOSFODNN7EXAMPLE"
#define STAMP  "20130524T000000Z"
#define HOST   "examplebucket.s3.amazonaws.com"
#define EMPTY  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define BODY   "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"

static const struct {
	struct s3_request_text text;
	struct s3_header headers[5];
	const char *names, *signature;
} rows[] = {
	{ { "GET", "/test.txt", "", NULL, 4, EMPTY },
		{ { "host", HOST }, { "range", "bytes=0-9" }, { "x-amz-content-sha256", EMPTY },
			{ "x-amz-date", STAMP } },
		"host;range;x-amz-content-sha256;x-amz-date",
		"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },
	{ { "PUT", "/test%24file.text", "", NULL, 5, BODY },
		{ { "date", "Fri, 24 May 2013 00:00:00 GMT" }, { "host", HOST }, { "x-amz-content-sha256", BODY },
			{ "x-amz-date", STAMP }, { "x-amz-storage-class", "REDUCED_REDUNDANCY" } },
		"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
		"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },
	{ { "GET", "/", "lifecycle=", NULL, 3, EMPTY },
		{ { "host", HOST }, { "x-amz-content-sha256", EMPTY }, { "x-amz-date", STAMP } },
		"host;x-amz-content-sha256;x-amz-date",
		"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
	{ { "GET", "/", "max-keys=2&prefix=J", NULL, 3, EMPTY },
		{ { "host", HOST }, { "x-amz-content-sha256", EMPTY }, { "x-amz-date", STAMP } },
		"host;x-amz-content-sha256;x-amz-date",
		"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
};

static void signs_the_published_examples(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct s3_request_text text = rows[i].text;
		struct buf out = BUF_INIT, expected = BUF_INIT;
		uint8_t key[S3_HASH_BYTES];

		text.headers = rows[i].headers;
		s3_signing_key(SECRET, STAMP, "us-east-1", key);
		s3_authorization(&text, key, ACCESS, STAMP, "us-east-1", &out);
		buf_printf(&expected,
			"AWS4-HMAC-SHA256 Credential=" ACCESS
			"/20130524/us-east-1/s3/aws4_request,SignedHeaders=%s,Signature=%s",
			rows[i].names, rows[i].signature);
		assert_int_equal(out.err, 0);
		assert_string_equal((char *)out.data, (char *)expected.data);
		buf_free(&out);
		buf_free(&expected);
	}
}

static void makes_stamps(void **state)
{
	char stamp[S3_STAMP_BYTES];

	(void)state;
	s3_stamp(1369353600, stamp);
	assert_string_equal(stamp, STAMP);
	s3_stamp(951827696, stamp); /* a leap day */
	assert_string_equal(stamp, "20000229T123456Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signs_the_published_examples),
		cmocka_unit_test(makes_stamps),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
