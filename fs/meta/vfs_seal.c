/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/buf.h"
#include "base/err.h"
#include "fs/meta/vfs.h"

#include <sodium.h>
#include <string.h>

#define BODY	 (VFS_PAGE - VFS_RESERVED)
#define NONCE_AT BODY
#define TAG_AT	 (BODY + 24)
#define AD_BYTES 32

static void make_ad(uint8_t ad[AD_BYTES], const uint8_t store_id[16], const char kind[8], uint64_t number)
{
	memcpy(ad, store_id, 16);
	memcpy(ad + 16, kind, 8);
	put_le64(ad + 24, number);
}

void vfs_page_seal(uint8_t out[VFS_PAGE], const uint8_t page[VFS_PAGE], uint32_t page_no, const uint8_t store_id[16],
	const uint8_t nonce[24], const uint8_t key[32])
{
	uint8_t ad[AD_BYTES];

	make_ad(ad, store_id, "database", page_no);
	memcpy(out + NONCE_AT, nonce, 24);
	crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
		out, out + TAG_AT, NULL, page, BODY, ad, sizeof(ad), NULL, nonce, key);
}

int vfs_page_open(uint8_t out[VFS_PAGE], const uint8_t sealed[VFS_PAGE], uint32_t page_no, const uint8_t store_id[16],
	const uint8_t key[32])
{
	uint8_t ad[AD_BYTES];
	int rc;

	make_ad(ad, store_id, "database", page_no);
	rc = crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
		out, NULL, sealed, BODY, sealed + TAG_AT, ad, sizeof(ad), sealed + NONCE_AT, key);
	memset(rc < 0 ? out : out + BODY, 0, rc < 0 ? VFS_PAGE : VFS_RESERVED);
	return rc < 0 ? -ERR_TAMPERED : 0;
}

void vfs_record_seal(uint8_t *out, const void *plain, size_t len, uint64_t record_no, const uint8_t store_id[16],
	const uint8_t nonce[24], const uint8_t key[32])
{
	uint8_t ad[AD_BYTES];

	make_ad(ad, store_id, "wal\0\0\0\0", record_no);
	memcpy(out, nonce, 24);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + 24, NULL, plain, len, ad, sizeof(ad), NULL, nonce, key);
}

int vfs_record_open(void *out, const uint8_t *record, size_t len, uint64_t record_no, const uint8_t store_id[16],
	const uint8_t key[32])
{
	uint8_t ad[AD_BYTES];

	make_ad(ad, store_id, "wal\0\0\0\0", record_no);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(
		    out, NULL, NULL, record + 24, len - 24, ad, sizeof(ad), record, key) == 0)
		return 0;
	memset(out, 0, len - VFS_RESERVED);
	return -ERR_TAMPERED;
}
