/* SPDX-License-Identifier: GPL-3.0-or-later */
/* aead: XChaCha20-Poly1305-IETF (draft-irtf-cfrg-xchacha), the one cipher of every format.
 *
 * libsodium makes the key of a nonce (HChaCha20 of its first 16 bytes), libcrypto does the bytes under it, several
 * times as fast. Where libcrypto has no ChaCha20-Poly1305 (a machine configured for FIPS) libsodium does all: the
 * results are the same bit for bit. Each thread keeps one context of libcrypto, in which no key is left after a run.
 *
 * A run is messages under one key, by one thread, one run of a thread at a time. Messages whose nonces begin alike,
 * next to each other, share the key that is made of the beginning.
 *
 * Nothing here blocks or fails for want of anything; everything is thread-safe. */
#ifndef FS_CRYPT_AEAD_H
#define FS_CRYPT_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AEAD_KEY_BYTES	  32
#define AEAD_NONCE_BYTES  24
#define AEAD_PREFIX_BYTES 16 /* of the nonce */
#define AEAD_TAG_BYTES	  16

struct aead {
	const uint8_t *key;
	void *context; /* libcrypto's, or NULL */
	bool keyed;    /* the context has the key of: */
	uint8_t prefix[AEAD_PREFIX_BYTES];
};

/* aead_begin: the key stays the caller's until aead_end, which forgets what was made of it. */
void aead_begin(struct aead *, const uint8_t key[AEAD_KEY_BYTES]);
void aead_end(struct aead *);
/* aead_seal: len bytes of out and the tag; they overlap nothing. ad may be NULL with ad_len 0. */
void aead_seal(struct aead *, uint8_t *out, uint8_t tag[AEAD_TAG_BYTES], const void *plain, size_t len, const void *ad,
	size_t ad_len, const uint8_t nonce[AEAD_NONCE_BYTES]);
/* aead_open: len bytes of out, which overlap nothing, or -ERR_TAMPERED, when they are zeros. */
int aead_open(struct aead *, void *out, const uint8_t *sealed, size_t len, const uint8_t tag[AEAD_TAG_BYTES],
	const void *ad, size_t ad_len, const uint8_t nonce[AEAD_NONCE_BYTES]);

#endif
