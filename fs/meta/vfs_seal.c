/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/buf.h"
#include "fs/crypt/aead.h"
#include "fs/meta/vfs.h"

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
	struct aead a;

	make_ad(ad, store_id, "database", page_no);
	memcpy(out + NONCE_AT, nonce, 24);
	aead_begin(&a, key);
	aead_seal(&a, out, out + TAG_AT, page, BODY, ad, sizeof(ad), nonce);
	aead_end(&a);
}

int vfs_page_open(uint8_t out[VFS_PAGE], const uint8_t sealed[VFS_PAGE], uint32_t page_no, const uint8_t store_id[16],
	const uint8_t key[32])
{
	uint8_t ad[AD_BYTES];
	struct aead a;
	int rc;

	make_ad(ad, store_id, "database", page_no);
	aead_begin(&a, key);
	rc = aead_open(&a, out, sealed, BODY, sealed + TAG_AT, ad, sizeof(ad), sealed + NONCE_AT);
	aead_end(&a);
	memset(out + BODY, 0, VFS_RESERVED);
	return rc;
}

void vfs_record_seal(uint8_t *out, const void *plain, size_t len, uint64_t record_no, const uint8_t store_id[16],
	const uint8_t nonce[24], const uint8_t key[32])
{
	uint8_t ad[AD_BYTES];
	struct aead a;

	make_ad(ad, store_id, "wal\0\0\0\0", record_no);
	memcpy(out, nonce, 24);
	aead_begin(&a, key);
	aead_seal(&a, out + 24, out + 24 + len, plain, len, ad, sizeof(ad), nonce);
	aead_end(&a);
}

int vfs_record_open(void *out, const uint8_t *record, size_t len, uint64_t record_no, const uint8_t store_id[16],
	const uint8_t key[32])
{
	uint8_t ad[AD_BYTES];
	struct aead a;
	int rc;

	make_ad(ad, store_id, "wal\0\0\0\0", record_no);
	aead_begin(&a, key);
	rc = aead_open(&a, out, record + 24, len - VFS_RESERVED, record + len - AEAD_TAG_BYTES, ad, sizeof(ad), record);
	aead_end(&a);
	return rc;
}
