/* SPDX-License-Identifier: GPL-3.0-or-later */
/* aead: XChaCha20-Poly1305-IETF (draft-irtf-cfrg-xchacha), the one cipher of every format.
 *
 * libsodium makes the key of a nonce (HChaCha20), libcrypto does the bytes under it, several times as fast. Where
 * libcrypto has no ChaCha20-Poly1305 (a machine configured for FIPS) libsodium does all: the results are the same bit
 * for bit. Each thread keeps one context of libcrypto, in which no key is left between two calls.
 *
 * Nothing here blocks or fails for want of anything; everything is thread-safe. */
#ifndef FS_CRYPT_AEAD_H
#define FS_CRYPT_AEAD_H

#include <stddef.h>
#include <stdint.h>

#define AEAD_KEY_BYTES	 32
#define AEAD_NONCE_BYTES 24
#define AEAD_TAG_BYTES	 16

/* aead_seal: len bytes of out and the tag; they overlap nothing. ad may be NULL with ad_len 0. */
void aead_seal(uint8_t *out, uint8_t tag[AEAD_TAG_BYTES], const void *plain, size_t len, const void *ad, size_t ad_len,
	const uint8_t nonce[AEAD_NONCE_BYTES], const uint8_t key[AEAD_KEY_BYTES]);
/* aead_open: len bytes of out, which overlap nothing, or -ERR_TAMPERED, when they are zeros. */
int aead_open(void *out, const uint8_t *sealed, size_t len, const uint8_t tag[AEAD_TAG_BYTES], const void *ad,
	size_t ad_len, const uint8_t nonce[AEAD_NONCE_BYTES], const uint8_t key[AEAD_KEY_BYTES]);

#endif
