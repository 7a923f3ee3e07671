/* SPDX-License-Identifier: GPL-3.0-or-later */
/* seal: boxes under a random 192-bit nonce (aead.h), and the slot format built on them.
 *
 * A sealed box is nonce (24) | ciphertext | tag (16). Nothing here blocks; everything is thread-safe. */
#ifndef FS_CRYPT_SEAL_H
#define FS_CRYPT_SEAL_H

#include "fs/crypt/aead.h"

#define SEAL_KEY_BYTES	 AEAD_KEY_BYTES
#define SEAL_NONCE_BYTES AEAD_NONCE_BYTES
#define SEAL_TAG_BYTES	 AEAD_TAG_BYTES
#define SEAL_OVERHEAD	 (SEAL_NONCE_BYTES + SEAL_TAG_BYTES)

/* crypt_init: once, before anything else in this room: libsodium, no core dumps (PR_SET_DUMPABLE, RLIMIT_CORE).
 * 0 or -ERR_KEY. */
int crypt_init(void);

/* seal: out receives len + SEAL_OVERHEAD bytes; ad may be NULL with ad_len 0. */
void seal(
	uint8_t *out, const void *plain, size_t len, const void *ad, size_t ad_len, const uint8_t key[SEAL_KEY_BYTES]);
/* unseal: len is of the box; out receives len - SEAL_OVERHEAD bytes and may overlap nothing. 0 or -ERR_TAMPERED, when
 * out holds zeros. */
int unseal(void *out, const uint8_t *box, size_t len, const void *ad, size_t ad_len, const uint8_t key[SEAL_KEY_BYTES]);

/* A slot: one 4 KiB unit of a block in the local cache (DESIGN §2), 4,160 bytes on disk: nonce 24, tag 16, length 4,
 * zeros 20, ciphertext 4096. The length and what the slot is for are authenticated, not the place where it lies. */
#define SLOT_DATA  4096
#define SLOT_BYTES 4160

struct slot_ad {
	uint64_t ino;
	uint32_t block; /* index in the file */
	uint32_t unit;	/* index in the block */
	uint64_t seq;	/* never used twice for one unit under one key */
};

/* slots_seal: n slots at once, plain holds n * 4096 bytes. Slot i is sealed for ad with unit + i and seq + i. */
void slots_seal(
	uint8_t *out, const uint8_t *plain, size_t n, const struct slot_ad *ad, const uint8_t key[SEAL_KEY_BYTES]);
/* slots_seal_pages: the same of pages that lie anywhere: slot i is page[i], sealed for ad with unit[i] and seq + i. */
void slots_seal_pages(uint8_t *out, const uint8_t *const page[], const uint32_t unit[], size_t n,
	const struct slot_ad *ad, const uint8_t key[SEAL_KEY_BYTES]);
/* slots_open_pages: n slots in a row, each into a page of its own: slot i is for ad with unit + i and seq[i].
 * -ERR_TAMPERED: *bad is the first that is not authentic; the pages before it are good. */
int slots_open_pages(uint8_t *const page[], const uint8_t *slots, const uint64_t seq[], size_t n,
	const struct slot_ad *ad, const uint8_t key[SEAL_KEY_BYTES], size_t *bad);
/* slot_open: 4096 bytes into out, or -ERR_TAMPERED. */
int slot_open(
	uint8_t *out, const uint8_t slot[SLOT_BYTES], const struct slot_ad *ad, const uint8_t key[SEAL_KEY_BYTES]);

#endif
