/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/crypt/seal.h"
#include "base/buf.h"
#include "base/err.h"
#include "fs/crypt/aead.h"

#include <sodium.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define SLOT_TAG    SEAL_NONCE_BYTES
#define SLOT_LENGTH (SLOT_TAG + SEAL_TAG_BYTES)
#define SLOT_ZEROS  (SLOT_LENGTH + 4)
#define SLOT_BODY   (SLOT_BYTES - SLOT_DATA)
#define SLOT_AD	    28

int crypt_init(void)
{
	const struct rlimit none = { 0, 0 };

	if (sodium_init() < 0)
		return -ERR_KEY;
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		return -ERR_KEY;
	return 0;
}

void seal(uint8_t *out, const void *plain, size_t len, const void *ad, size_t ad_len, const uint8_t key[SEAL_KEY_BYTES])
{
	randombytes_buf(out, SEAL_NONCE_BYTES);
	aead_seal(out + SEAL_NONCE_BYTES, out + SEAL_NONCE_BYTES + len, plain, len, ad, ad_len, out, key);
}

int unseal(void *out, const uint8_t *box, size_t len, const void *ad, size_t ad_len, const uint8_t key[SEAL_KEY_BYTES])
{
	size_t plain_len;

	if (len < SEAL_OVERHEAD)
		return -ERR_TAMPERED;
	plain_len = len - SEAL_OVERHEAD;
	return aead_open(
		out, box + SEAL_NONCE_BYTES, plain_len, box + SEAL_NONCE_BYTES + plain_len, ad, ad_len, box, key);
}

static void slot_ad_encode(uint8_t out[SLOT_AD], const struct slot_ad *ad, size_t i)
{
	put_le64(out, ad->ino);
	put_le32(out + 8, ad->block);
	put_le32(out + 12, ad->unit + (uint32_t)i);
	put_le64(out + 16, ad->seq + i);
	put_le32(out + 24, SLOT_DATA);
}

static void slot_seal(uint8_t *slot, const uint8_t *plain, const uint8_t *nonce, const uint8_t *ad, const uint8_t *key)
{
	memcpy(slot, nonce, SEAL_NONCE_BYTES);
	put_le32(slot + SLOT_LENGTH, SLOT_DATA);
	memset(slot + SLOT_ZEROS, 0, SLOT_BODY - SLOT_ZEROS);
	aead_seal(slot + SLOT_BODY, slot + SLOT_TAG, plain, SLOT_DATA, ad, SLOT_AD, nonce, key);
}

void slots_seal(
	uint8_t *out, const uint8_t *plain, size_t n, const struct slot_ad *ad, const uint8_t key[SEAL_KEY_BYTES])
{
	uint8_t nonces[SLOT_PAGES_MAX * SEAL_NONCE_BYTES], ad_bytes[SLOT_AD];

	for (size_t i = 0; i < n; i++) {
		size_t at = i % SLOT_PAGES_MAX, left = n - i < SLOT_PAGES_MAX ? n - i : SLOT_PAGES_MAX;

		if (at == 0)
			randombytes_buf(nonces, left * SEAL_NONCE_BYTES);
		slot_ad_encode(ad_bytes, ad, i);
		slot_seal(out + i * SLOT_BYTES, plain + i * SLOT_DATA, nonces + at * SEAL_NONCE_BYTES, ad_bytes, key);
	}
}

void slots_seal_pages(uint8_t *out, const uint8_t *const page[], const uint32_t unit[], size_t n,
	const struct slot_ad *ad, const uint8_t key[SEAL_KEY_BYTES])
{
	uint8_t nonces[SLOT_PAGES_MAX * SEAL_NONCE_BYTES], ad_bytes[SLOT_AD];
	struct slot_ad at = *ad;

	randombytes_buf(nonces, n * SEAL_NONCE_BYTES);
	for (size_t i = 0; i < n; i++) {
		at.unit = unit[i];
		at.seq = ad->seq + i;
		slot_ad_encode(ad_bytes, &at, 0);
		slot_seal(out + i * SLOT_BYTES, page[i], nonces + i * SEAL_NONCE_BYTES, ad_bytes, key);
	}
}

int slot_open(uint8_t *out, const uint8_t slot[SLOT_BYTES], const struct slot_ad *ad, const uint8_t key[SEAL_KEY_BYTES])
{
	uint8_t ad_bytes[SLOT_AD];

	slot_ad_encode(ad_bytes, ad, 0);
	/* every byte on disk counts: the length is in the associated data, the zeros are checked here */
	if (get_le32(slot + SLOT_LENGTH) == SLOT_DATA && sodium_is_zero(slot + SLOT_ZEROS, SLOT_BODY - SLOT_ZEROS))
		return aead_open(out, slot + SLOT_BODY, SLOT_DATA, slot + SLOT_TAG, ad_bytes, SLOT_AD, slot, key);
	memset(out, 0, SLOT_DATA);
	return -ERR_TAMPERED;
}
