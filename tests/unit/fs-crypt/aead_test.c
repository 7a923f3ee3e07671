/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libcrypto and libsodium make the same of the same, in both directions. */
#include "base/err.h"
#include "fs/crypt/aead.h"
#include "fs/crypt/seal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#define LEN_MAX 16384
#define AD_MAX	300

static const size_t lens[] = { 0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 191, 192, 193, 255, 256, 257,
	511, 512, 513, 1000, 1023, 1024, 1025, 4056, 4095, 4096, 4097, 8191, 8192, 8193, 16383, 16384 };
static const size_t ad_lens[] = { 0, 1, 15, 16, 17, 28, 33, AD_MAX };

static uint8_t plain[LEN_MAX], ad[AD_MAX];

static void agree(size_t len, size_t ad_len)
{
	uint8_t ours[LEN_MAX + 1], theirs[LEN_MAX], again[LEN_MAX + 1], our_tag[AEAD_TAG_BYTES],
		their_tag[AEAD_TAG_BYTES], nonce[AEAD_NONCE_BYTES], key[AEAD_KEY_BYTES];
	struct aead a;

	randombytes_buf(nonce, sizeof nonce);
	randombytes_buf(key, sizeof key);
	ours[len] = again[len] = 77;
	aead_begin(&a, key);
	aead_seal(&a, ours, our_tag, plain, len, ad_len ? ad : NULL, ad_len, nonce);
	crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
		theirs, their_tag, NULL, plain, len, ad, ad_len, NULL, nonce, key);
	assert_memory_equal(ours, theirs, len);
	assert_memory_equal(our_tag, their_tag, sizeof our_tag);
	assert_int_equal(aead_open(&a, again, theirs, len, their_tag, ad_len ? ad : NULL, ad_len, nonce), 0);
	aead_end(&a);
	assert_memory_equal(again, plain, len);
	assert_int_equal(crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
				 again, NULL, ours, len, our_tag, ad, ad_len, nonce, key),
		0);
	assert_memory_equal(again, plain, len);
	assert_int_equal(ours[len], 77);
	assert_int_equal(again[len], 77);
}

static void same_as_libsodium(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++)
		for (size_t j = 0; j < sizeof ad_lens / sizeof ad_lens[0]; j++)
			agree(lens[i], ad_lens[j]);
}

/* a run of one message */
static void seal_one(uint8_t *out, uint8_t *tag, size_t len, const uint8_t *nonce, const uint8_t *key)
{
	struct aead a;

	aead_begin(&a, key);
	aead_seal(&a, out, tag, plain, len, ad, 28, nonce);
	aead_end(&a);
}

static int open_one(
	uint8_t *out, const uint8_t *sealed, size_t len, const uint8_t *tag, const uint8_t *nonce, const uint8_t *key)
{
	struct aead a;
	int rc;

	aead_begin(&a, key);
	rc = aead_open(&a, out, sealed, len, tag, ad, 28, nonce);
	aead_end(&a);
	return rc;
}

/* Nonces that begin alike and others, sealing and opening, in one run: each message is as if it were alone. */
static void runs(void **state)
{
	static const struct {
		bool opens;
		uint8_t first, last; /* bytes of the nonce */
		size_t len;
	} rows[] = {
		{ false, 1, 1, 4096 },
		{ false, 1, 2, 4096 },
		{ true, 1, 3, 4096 },
		{ true, 1, 4, 17 },
		{ false, 1, 5, 0 },
		{ false, 2, 5, 4096 },
		{ true, 1, 5, 4096 },
		{ false, 1, 1, 16384 },
		{ true, 2, 1, 100 },
		{ true, 2, 2, 0 },
	};
	uint8_t sealed[LEN_MAX], expected[LEN_MAX], tag[AEAD_TAG_BYTES], expected_tag[AEAD_TAG_BYTES], bad;
	const uint8_t key[AEAD_KEY_BYTES] = { 6 };
	struct aead a;

	(void)state;
	aead_begin(&a, key);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint8_t nonce[AEAD_NONCE_BYTES] = { rows[i].first };
		size_t len = rows[i].len;

		nonce[AEAD_NONCE_BYTES - 1] = rows[i].last;
		crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
			expected, expected_tag, NULL, plain, len, ad, 28, NULL, nonce, key);
		if (rows[i].opens) {
			assert_int_equal(aead_open(&a, sealed, expected, len, expected_tag, ad, 28, nonce), 0);
			assert_memory_equal(sealed, plain, len);
			bad = expected_tag[0] ^= 4;
			assert_int_equal(
				aead_open(&a, sealed, expected, len, expected_tag, ad, 28, nonce), -ERR_TAMPERED);
			assert_int_equal(expected_tag[0], bad);
		} else {
			aead_seal(&a, sealed, tag, plain, len, ad, 28, nonce);
			assert_memory_equal(sealed, expected, len);
			assert_memory_equal(tag, expected_tag, sizeof tag);
		}
	}
	aead_end(&a);
}

/* What a run leaves in the context is no key that any message was sealed under. */
static void forgotten(void **state)
{
	static const uint8_t zeros[AEAD_KEY_BYTES];
	uint8_t sealed[64], tag[AEAD_TAG_BYTES], left[64], expected[64], none[16];
	const uint8_t nonce[AEAD_NONCE_BYTES] = { 9 }, key[AEAD_KEY_BYTES] = { 8 };
	uint8_t inner[12] = { 0 };
	struct aead a;
	int n;

	(void)state;
	aead_begin(&a, key);
	aead_seal(&a, sealed, tag, plain, sizeof sealed, ad, 28, nonce);
	aead_end(&a);
	assert_int_equal(EVP_CipherInit_ex(a.context, NULL, NULL, NULL, inner, 1), 1);
	assert_int_equal(EVP_CipherUpdate(a.context, left, &n, plain, sizeof left), 1);
	assert_int_equal(EVP_CipherFinal_ex(a.context, none, &n), 1);
	crypto_aead_chacha20poly1305_ietf_encrypt_detached(
		expected, tag, NULL, plain, sizeof expected, NULL, 0, NULL, inner, zeros);
	assert_memory_equal(left, expected, sizeof left);
}

/* Whatever is changed: nothing but zeros, and the next message is as good as any. */
static void changed(void **state)
{
	static const size_t where[] = { 0, 1, 64, 4095 };
	uint8_t sealed[4096], tag[AEAD_TAG_BYTES], out[4096];
	uint8_t nonce[AEAD_NONCE_BYTES] = { 1 }, key[AEAD_KEY_BYTES] = { 2 };
	struct {
		uint8_t *bytes;
		size_t len;
	} parts[] = { { tag, sizeof tag }, { nonce, sizeof nonce }, { key, sizeof key }, { ad, 28 } };

	(void)state;
	seal_one(sealed, tag, sizeof sealed, nonce, key);
	for (size_t i = 0; i < sizeof where / sizeof where[0]; i++) {
		sealed[where[i]] ^= 1;
		memset(out, 1, sizeof out);
		assert_int_equal(open_one(out, sealed, sizeof sealed, tag, nonce, key), -ERR_TAMPERED);
		assert_true(sodium_is_zero(out, sizeof out));
		sealed[where[i]] ^= 1;
	}
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		for (size_t at = 0; at < parts[i].len; at++) {
			parts[i].bytes[at] ^= 0x80;
			memset(out, 1, sizeof out);
			assert_int_equal(open_one(out, sealed, sizeof sealed, tag, nonce, key), -ERR_TAMPERED);
			assert_true(sodium_is_zero(out, sizeof out));
			parts[i].bytes[at] ^= 0x80;
		}
	}
	assert_int_equal(open_one(out, sealed, sizeof sealed, tag, nonce, key), 0);
	assert_memory_equal(out, plain, sizeof out);
}

/* a new thread has a context of its own to make, and to free */
static void *agree_in_thread(void *failed)
{
	uint8_t tag[AEAD_TAG_BYTES], expected[AEAD_TAG_BYTES], out[4096], sealed[4096];
	const uint8_t nonce[AEAD_NONCE_BYTES] = { 3 }, key[AEAD_KEY_BYTES] = { 4 };

	for (int i = 0; i < 2; i++) {
		seal_one(sealed, tag, sizeof sealed, nonce, key);
		crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
			out, expected, NULL, plain, sizeof out, ad, 28, NULL, nonce, key);
		if (memcmp(tag, expected, sizeof tag) != 0 || memcmp(out, sealed, sizeof out) != 0 ||
			open_one(out, sealed, sizeof sealed, tag, nonce, key) != 0 ||
			memcmp(out, plain, sizeof out) != 0)
			*(bool *)failed = true;
		tag[0] ^= 1;
		if (open_one(out, sealed, sizeof sealed, tag, nonce, key) != -ERR_TAMPERED ||
			!sodium_is_zero(out, sizeof out))
			*(bool *)failed = true;
	}
	return NULL;
}

static void threads(void **state)
{
	bool failed[8] = { false };
	pthread_t t[8];

	(void)state;
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&t[i], NULL, agree_in_thread, &failed[i]), 0);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(pthread_join(t[i], NULL), 0);
		assert_false(failed[i]);
	}
}

/* as on a machine whose libcrypto is configured for FIPS */
static void without_libcrypto(void **state)
{
	bool failed = false;
	EVP_CIPHER *cipher;
	pthread_t t;

	(void)state;
	assert_int_equal(EVP_set_default_properties(NULL, "provider=absent"), 1);
	cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
	assert_null(cipher);
	assert_int_equal(pthread_create(&t, NULL, agree_in_thread, &failed), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_false(failed);
	assert_int_equal(EVP_set_default_properties(NULL, ""), 1);
}

static int setup(void **state)
{
	(void)state;
	if (crypt_init() < 0)
		return -1;
	randombytes_buf(plain, sizeof plain);
	randombytes_buf(ad, sizeof ad);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_as_libsodium),
		cmocka_unit_test(runs),
		cmocka_unit_test(forgotten),
		cmocka_unit_test(changed),
		cmocka_unit_test(threads),
		cmocka_unit_test(without_libcrypto),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
