/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/crypt/aead.h"
#include "base/err.h"

#include <limits.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#define SUBKEY_NONCE 16 /* bytes of the nonce that go into the subkey; the rest is the inner nonce's end */
#define INNER_NONCE  12

static pthread_once_t context_once = PTHREAD_ONCE_INIT;
static pthread_key_t context_key; /* frees a thread's context when the thread ends */
static bool context_kept;
static _Thread_local EVP_CIPHER_CTX *context;
static _Thread_local bool context_tried;

static void context_free(void *ctx)
{
	context = NULL;
	EVP_CIPHER_CTX_free(ctx);
}

static void context_key_make(void)
{
	context_kept = pthread_key_create(&context_key, context_free) == 0;
}

/* This thread's, or NULL. A thread that got none is not held up by trying again. */
static EVP_CIPHER_CTX *context_get(void)
{
	EVP_CIPHER_CTX *ctx;

	if (context_tried)
		return context;
	context_tried = true;
	pthread_once(&context_once, context_key_make);
	ctx = context_kept ? EVP_CIPHER_CTX_new() : NULL;
	if (!ctx)
		return NULL;
	if (EVP_CipherInit_ex(ctx, EVP_chacha20_poly1305(), NULL, NULL, NULL, 1) != 1 ||
		pthread_setspecific(context_key, ctx) != 0) {
		EVP_CIPHER_CTX_free(ctx);
		return NULL;
	}
	return context = ctx;
}

/* Starts a message; its associated data is taken in. */
static bool message_start(
	EVP_CIPHER_CTX *ctx, bool sealing, const void *ad, size_t ad_len, const uint8_t *nonce, const uint8_t *key)
{
	uint8_t subkey[AEAD_KEY_BYTES], inner[INNER_NONCE] = { 0 };
	bool ok;
	int n;

	crypto_core_hchacha20(subkey, nonce, key, NULL);
	memcpy(inner + INNER_NONCE - (AEAD_NONCE_BYTES - SUBKEY_NONCE), nonce + SUBKEY_NONCE,
		AEAD_NONCE_BYTES - SUBKEY_NONCE);
	ok = EVP_CipherInit_ex(ctx, NULL, NULL, subkey, inner, sealing) == 1 &&
	     (ad_len == 0 || EVP_CipherUpdate(ctx, NULL, &n, ad, (int)ad_len) == 1);
	sodium_memzero(subkey, sizeof subkey);
	return ok;
}

/* The message's key is overwritten by one that is none: freeing the context would cost as much as a slot. */
static void message_forget(EVP_CIPHER_CTX *ctx)
{
	static const uint8_t zeros[AEAD_KEY_BYTES];

	EVP_CipherInit_ex(ctx, NULL, NULL, zeros, zeros, 1);
}

static bool crypto_seal(uint8_t *out, uint8_t *tag, const void *plain, size_t len, const void *ad, size_t ad_len,
	const uint8_t *nonce, const uint8_t *key)
{
	EVP_CIPHER_CTX *ctx = context_get();
	uint8_t none[AEAD_TAG_BYTES];
	bool ok;
	int n;

	if (!ctx || len > INT_MAX)
		return false;
	ok = message_start(ctx, true, ad, ad_len, nonce, key) &&
	     (len == 0 || EVP_CipherUpdate(ctx, out, &n, plain, (int)len) == 1) &&
	     EVP_CipherFinal_ex(ctx, none, &n) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, tag) == 1;
	message_forget(ctx);
	return ok;
}

/* False too when the message is not authentic. */
static bool crypto_open(void *out, const uint8_t *sealed, size_t len, const uint8_t *tag, const void *ad, size_t ad_len,
	const uint8_t *nonce, const uint8_t *key)
{
	EVP_CIPHER_CTX *ctx = context_get();
	uint8_t expected[AEAD_TAG_BYTES], none[AEAD_TAG_BYTES];
	bool ok;
	int n;

	if (!ctx || len > INT_MAX)
		return false;
	memcpy(expected, tag, sizeof expected); /* libcrypto does not promise to leave it as it is */
	ok = message_start(ctx, false, ad, ad_len, nonce, key) &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, expected) == 1 &&
	     (len == 0 || EVP_CipherUpdate(ctx, out, &n, sealed, (int)len) == 1) &&
	     EVP_CipherFinal_ex(ctx, none, &n) == 1;
	message_forget(ctx);
	return ok;
}

void aead_seal(uint8_t *out, uint8_t tag[AEAD_TAG_BYTES], const void *plain, size_t len, const void *ad, size_t ad_len,
	const uint8_t nonce[AEAD_NONCE_BYTES], const uint8_t key[AEAD_KEY_BYTES])
{
	if (!crypto_seal(out, tag, plain, len, ad, ad_len, nonce, key))
		crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
			out, tag, NULL, plain, len, ad, ad_len, NULL, nonce, key);
}

int aead_open(void *out, const uint8_t *sealed, size_t len, const uint8_t tag[AEAD_TAG_BYTES], const void *ad,
	size_t ad_len, const uint8_t nonce[AEAD_NONCE_BYTES], const uint8_t key[AEAD_KEY_BYTES])
{
	/* what libcrypto refuses libsodium is asked about: it may only have had no context */
	if (crypto_open(out, sealed, len, tag, ad, ad_len, nonce, key) ||
		crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
			out, NULL, sealed, len, tag, ad, ad_len, nonce, key) == 0)
		return 0;
	memset(out, 0, len);
	return -ERR_TAMPERED;
}
