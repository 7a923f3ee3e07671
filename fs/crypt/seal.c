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
	struct aead a;

	randombytes_buf(out, SEAL_NONCE_BYTES);
	aead_begin(&a, key);
	aead_seal(&a, out + SEAL_NONCE_BYTES, out + SEAL_NONCE_BYTES + len, plain, len, ad, ad_len, out);
	aead_end(&a);
}

int unseal(void *out, const uint8_t *box, size_t len, const void *ad, size_t ad_len, const uint8_t key[SEAL_KEY_BYTES])
{
	size_t plain_len;
	struct aead a;
	int rc;

	if (len < SEAL_OVERHEAD)
		return -ERR_TAMPERED;
	plain_len = len - SEAL_OVERHEAD;
	aead_begin(&a, key);
	rc = aead_open(&a, out, box + SEAL_NONCE_BYTES, plain_len, box + SEAL_NONCE_BYTES + plain_len, ad, ad_len, box);
	aead_end(&a);
	return rc;
}

static void slot_ad_encode(uint8_t out[SLOT_AD], const struct slot_ad *ad, uint32_t unit, uint64_t seq)
{
	put_le64(out, ad->ino);
	put_le32(out + 8, ad->block);
	put_le32(out + 12, unit);
	put_le64(out + 16, seq);
	put_le32(out + 24, SLOT_DATA);
}

static void slot_seal(struct aead *a, uint8_t *slot, const uint8_t *plain, const uint8_t *nonce, const uint8_t *ad)
{
	memcpy(slot, nonce, SEAL_NONCE_BYTES);
	put_le32(slot + SLOT_LENGTH, SLOT_DATA);
	memset(slot + SLOT_ZEROS, 0, SLOT_BODY - SLOT_ZEROS);
	aead_seal(a, slot + SLOT_BODY, slot + SLOT_TAG, plain, SLOT_DATA, ad, SLOT_AD, nonce);
}

/* Slots that are sealed together have nonces that begin alike, so that one key serves all (aead.h). What they end with
 * is counted from a random start. */
static void nonce_next(uint8_t nonce[SEAL_NONCE_BYTES])
{
	put_le64(nonce + AEAD_PREFIX_BYTES, get_le64(nonce + AEAD_PREFIX_BYTES) + 1);
}

void slots_seal(
	uint8_t *out, const uint8_t *plain, size_t n, const struct slot_ad *ad, const uint8_t key[SEAL_KEY_BYTES])
{
	uint8_t nonce[SEAL_NONCE_BYTES], ad_bytes[SLOT_AD];
	struct aead a;

	randombytes_buf(nonce, sizeof nonce);
	aead_begin(&a, key);
	for (size_t i = 0; i < n; i++, nonce_next(nonce)) {
		slot_ad_encode(ad_bytes, ad, ad->unit + (uint32_t)i, ad->seq + i);
		slot_seal(&a, out + i * SLOT_BYTES, plain + i * SLOT_DATA, nonce, ad_bytes);
	}
	aead_end(&a);
}

void slots_seal_pages(uint8_t *out, const uint8_t *const page[], const uint32_t unit[], size_t n,
	const struct slot_ad *ad, const uint8_t key[SEAL_KEY_BYTES])
{
	uint8_t nonce[SEAL_NONCE_BYTES], ad_bytes[SLOT_AD];
	struct aead a;

	randombytes_buf(nonce, sizeof nonce);
	aead_begin(&a, key);
	for (size_t i = 0; i < n; i++, nonce_next(nonce)) {
		slot_ad_encode(ad_bytes, ad, unit[i], ad->seq + i);
		slot_seal(&a, out + i * SLOT_BYTES, page[i], nonce, ad_bytes);
	}
	aead_end(&a);
}

static int one_open(struct aead *a, uint8_t *out, const uint8_t *slot, const uint8_t *ad)
{
	/* every byte on disk counts: the length is in the associated data, the zeros are checked here */
	if (get_le32(slot + SLOT_LENGTH) == SLOT_DATA && sodium_is_zero(slot + SLOT_ZEROS, SLOT_BODY - SLOT_ZEROS))
		return aead_open(a, out, slot + SLOT_BODY, SLOT_DATA, slot + SLOT_TAG, ad, SLOT_AD, slot);
	memset(out, 0, SLOT_DATA);
	return -ERR_TAMPERED;
}

int slots_open_pages(uint8_t *const page[], const uint8_t *slots, const uint64_t seq[], size_t n,
	const struct slot_ad *ad, const uint8_t key[SEAL_KEY_BYTES], size_t *bad)
{
	uint8_t ad_bytes[SLOT_AD];
	struct aead a;
	int rc = 0;

	aead_begin(&a, key);
	for (size_t i = 0; i < n && rc == 0; i++) {
		slot_ad_encode(ad_bytes, ad, ad->unit + (uint32_t)i, seq[i]);
		rc = one_open(&a, page[i], slots + i * SLOT_BYTES, ad_bytes);
		*bad = i;
	}
	aead_end(&a);
	return rc;
}

int slot_open(uint8_t *out, const uint8_t slot[SLOT_BYTES], const struct slot_ad *ad, const uint8_t key[SEAL_KEY_BYTES])
{
	size_t bad;

	return slots_open_pages(&out, slot, &ad->seq, 1, ad, key, &bad);
}
