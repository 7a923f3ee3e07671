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

	randombytes_buf(nonce, sizeof nonce);
	randombytes_buf(key, sizeof key);
	ours[len] = again[len] = 77;
	aead_seal(ours, our_tag, plain, len, ad_len ? ad : NULL, ad_len, nonce, key);
	crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
		theirs, their_tag, NULL, plain, len, ad, ad_len, NULL, nonce, key);
	assert_memory_equal(ours, theirs, len);
	assert_memory_equal(our_tag, their_tag, sizeof our_tag);
	assert_int_equal(aead_open(again, theirs, len, their_tag, ad_len ? ad : NULL, ad_len, nonce, key), 0);
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
	aead_seal(sealed, tag, plain, sizeof sealed, ad, 28, nonce, key);
	for (size_t i = 0; i < sizeof where / sizeof where[0]; i++) {
		sealed[where[i]] ^= 1;
		memset(out, 1, sizeof out);
		assert_int_equal(aead_open(out, sealed, sizeof sealed, tag, ad, 28, nonce, key), -ERR_TAMPERED);
		assert_true(sodium_is_zero(out, sizeof out));
		sealed[where[i]] ^= 1;
	}
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		for (size_t at = 0; at < parts[i].len; at++) {
			parts[i].bytes[at] ^= 0x80;
			memset(out, 1, sizeof out);
			assert_int_equal(aead_open(out, sealed, sizeof sealed, tag, ad, 28, nonce, key), -ERR_TAMPERED);
			assert_true(sodium_is_zero(out, sizeof out));
			parts[i].bytes[at] ^= 0x80;
		}
	}
	assert_int_equal(aead_open(out, sealed, sizeof sealed, tag, ad, 28, nonce, key), 0);
	assert_memory_equal(out, plain, sizeof out);
}

/* a new thread has a context of its own to make, and to free */
static void *agree_in_thread(void *failed)
{
	uint8_t tag[AEAD_TAG_BYTES], expected[AEAD_TAG_BYTES], out[4096], sealed[4096];
	const uint8_t nonce[AEAD_NONCE_BYTES] = { 3 }, key[AEAD_KEY_BYTES] = { 4 };

	for (int i = 0; i < 2; i++) {
		aead_seal(sealed, tag, plain, sizeof sealed, ad, 28, nonce, key);
		crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
			out, expected, NULL, plain, sizeof out, ad, 28, NULL, nonce, key);
		if (memcmp(tag, expected, sizeof tag) != 0 || memcmp(out, sealed, sizeof out) != 0 ||
			aead_open(out, sealed, sizeof sealed, tag, ad, 28, nonce, key) != 0 ||
			memcmp(out, plain, sizeof out) != 0)
			*(bool *)failed = true;
		tag[0] ^= 1;
		if (aead_open(out, sealed, sizeof sealed, tag, ad, 28, nonce, key) != -ERR_TAMPERED ||
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
		cmocka_unit_test(changed),
		cmocka_unit_test(threads),
		cmocka_unit_test(without_libcrypto),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
