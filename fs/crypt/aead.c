/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/crypt/aead.h"
#include "base/err.h"

#include <limits.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#define INNER_NONCE 12 /* zeros, and the rest of the nonce */
#define NONCE_REST  (AEAD_NONCE_BYTES - AEAD_PREFIX_BYTES)

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

void aead_begin(struct aead *a, const uint8_t key[AEAD_KEY_BYTES])
{
	a->key = key;
	a->context = context_get();
	a->keyed = false;
}

/* The key is overwritten by one that is none: freeing the context would cost as much as a slot. */
void aead_end(struct aead *a)
{
	static const uint8_t zeros[AEAD_KEY_BYTES];

	if (a->keyed)
		EVP_CipherInit_ex(a->context, NULL, NULL, zeros, zeros, 1);
	a->keyed = false;
}

static bool key_set(struct aead *a, bool sealing, const uint8_t *nonce, const uint8_t *inner)
{
	uint8_t subkey[AEAD_KEY_BYTES];
	bool ok;

	crypto_core_hchacha20(subkey, nonce, a->key, NULL);
	memcpy(a->prefix, nonce, AEAD_PREFIX_BYTES);
	a->keyed = ok = EVP_CipherInit_ex(a->context, NULL, NULL, subkey, inner, sealing) == 1;
	sodium_memzero(subkey, sizeof subkey);
	return ok;
}

/* Starts a message; its associated data is taken in. */
static bool message_start(struct aead *a, bool sealing, const void *ad, size_t ad_len, const uint8_t *nonce)
{
	uint8_t inner[INNER_NONCE] = { 0 };
	bool ok;
	int n;

	memcpy(inner + INNER_NONCE - NONCE_REST, nonce + AEAD_PREFIX_BYTES, NONCE_REST);
	if (a->keyed && memcmp(a->prefix, nonce, AEAD_PREFIX_BYTES) == 0)
		ok = EVP_CipherInit_ex(a->context, NULL, NULL, NULL, inner, sealing) == 1;
	else
		ok = key_set(a, sealing, nonce, inner);
	return ok && (ad_len == 0 || EVP_CipherUpdate(a->context, NULL, &n, ad, (int)ad_len) == 1);
}

static bool crypto_seal(struct aead *a, uint8_t *out, uint8_t *tag, const void *plain, size_t len, const void *ad,
	size_t ad_len, const uint8_t *nonce)
{
	EVP_CIPHER_CTX *ctx = a->context;
	uint8_t none[AEAD_TAG_BYTES];
	int n;

	return ctx && len <= INT_MAX && message_start(a, true, ad, ad_len, nonce) &&
	       (len == 0 || EVP_CipherUpdate(ctx, out, &n, plain, (int)len) == 1) &&
	       EVP_CipherFinal_ex(ctx, none, &n) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, tag) == 1;
}

/* False too when the message is not authentic. */
static bool crypto_open(struct aead *a, void *out, const uint8_t *sealed, size_t len, const uint8_t *tag,
	const void *ad, size_t ad_len, const uint8_t *nonce)
{
	EVP_CIPHER_CTX *ctx = a->context;
	uint8_t expected[AEAD_TAG_BYTES], none[AEAD_TAG_BYTES];
	int n;

	memcpy(expected, tag, sizeof expected); /* libcrypto does not promise to leave it as it is */
	return ctx && len <= INT_MAX && message_start(a, false, ad, ad_len, nonce) &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, expected) == 1 &&
	       (len == 0 || EVP_CipherUpdate(ctx, out, &n, sealed, (int)len) == 1) &&
	       EVP_CipherFinal_ex(ctx, none, &n) == 1;
}

void aead_seal(struct aead *a, uint8_t *out, uint8_t tag[AEAD_TAG_BYTES], const void *plain, size_t len, const void *ad,
	size_t ad_len, const uint8_t nonce[AEAD_NONCE_BYTES])
{
	if (!crypto_seal(a, out, tag, plain, len, ad, ad_len, nonce))
		crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
			out, tag, NULL, plain, len, ad, ad_len, NULL, nonce, a->key);
}

int aead_open(struct aead *a, void *out, const uint8_t *sealed, size_t len, const uint8_t tag[AEAD_TAG_BYTES],
	const void *ad, size_t ad_len, const uint8_t nonce[AEAD_NONCE_BYTES])
{
	/* what libcrypto refuses libsodium is asked about: it may only have had no context */
	if (crypto_open(a, out, sealed, len, tag, ad, ad_len, nonce) ||
		crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
			out, NULL, sealed, len, tag, ad, ad_len, nonce, a->key) == 0)
		return 0;
	memset(out, 0, len);
	return -ERR_TAMPERED;
}
