/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/crypt/keyfile.h"
#include "fs/crypt/secret.h"
#include "fs/crypt/words.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define KEYFILE_MAGIC	"bordkeys"
#define KEYFILE_VERSION 1U
#define KEYFILE_FIXED	36 /* magic 8, version 4, store id 16, slot count 4, sealed table's length 4 */
#define KEYFILE_CHECK	32
#define SLOT_AD_BYTES	(STORE_ID_BYTES + KEY_SLOT_BYTES - WRAPPED_KEY_BYTES)
#define KEY_FILE_HASH	32

#define PASSES_MIN	1U
#define PASSES_MAX	64U
#define MEMORY_KIB_MIN	(64U << 10)
#define MEMORY_KIB_MAX	(4U << 20)

static const struct {
	uint32_t passes, memory_kib;
} costs[] = {
	[KDF_MINIMUM] = { PASSES_MIN, MEMORY_KIB_MIN },
	[KDF_MODERATE] = { 3, 256U << 10 },
};

int unlock_check(const struct unlock *u, struct errmsg *msg)
{
	switch (u->kind) {
	case UNLOCK_PASSPHRASE:
		if (u->len == 0 || u->len > KEY_FILE_MAX)
			return errmsg_set(msg, -EINVAL, "the passphrase is empty or longer than 1 MiB");
		return 0;
	case UNLOCK_KEY_FILE:
		if (u->len < KEY_FILE_MIN || u->len > KEY_FILE_MAX)
			return errmsg_set(msg, -EINVAL,
				"a key file holds 32 bytes to 1 MiB, this one %zu: make one with "
				"`head -c 64 /dev/urandom`",
				u->len);
		return 0;
	case UNLOCK_WORDS: {
		uint8_t entropy[WORDS_ENTROPY];
		int rc = words_parse(u->data, u->len, entropy, msg);

		sodium_memzero(entropy, sizeof(entropy));
		return rc;
	}
	}
	return errmsg_set(msg, -EINVAL, "not a kind of secret: %d", (int)u->kind);
}

/* What Argon2id is given: a passphrase as it is, the hash of a key file, the entropy of the words. */
static int slot_input(
	const struct unlock *u, uint8_t scratch[KEY_FILE_HASH], const void **in, size_t *in_len, struct errmsg *msg)
{
	int rc = unlock_check(u, msg);

	if (rc < 0)
		return rc;
	*in = scratch;
	switch (u->kind) {
	case UNLOCK_PASSPHRASE:
		*in = u->data;
		*in_len = u->len;
		return 0;
	case UNLOCK_KEY_FILE:
		*in_len = KEY_FILE_HASH;
		return crypto_generichash(scratch, KEY_FILE_HASH, u->data, u->len, NULL, 0);
	case UNLOCK_WORDS:
		*in_len = WORDS_ENTROPY;
		return words_parse(u->data, u->len, scratch, msg);
	}
	return -EINVAL;
}

static int slot_key(
	const struct key_slot *slot, const struct unlock *u, uint8_t key[SEAL_KEY_BYTES], struct errmsg *msg)
{
	uint8_t *scratch = secret_alloc(KEY_FILE_HASH);
	const void *in = NULL;
	size_t in_len = 0;
	int rc = -ENOMEM;

	if (!scratch)
		goto out;
	if ((rc = slot_input(u, scratch, &in, &in_len, msg)) < 0)
		goto out;
	if (crypto_pwhash(key, SEAL_KEY_BYTES, in, in_len, slot->salt, slot->passes, (size_t)slot->memory_kib << 10,
		    crypto_pwhash_ALG_ARGON2ID13) < 0)
		rc = errmsg_set(msg, -ENOMEM, "deriving the key takes %u MiB of memory, and there is not so much",
			slot->memory_kib >> 10);
out:
	secret_free(scratch);
	return rc;
}

static void slot_head(const struct key_slot *slot, uint8_t out[KEY_SLOT_BYTES - WRAPPED_KEY_BYTES])
{
	put_le32(out, slot->id);
	put_le32(out + 4, slot->kind);
	put_le64(out + 8, slot->created_s);
	put_le32(out + 16, slot->passes);
	put_le32(out + 20, slot->memory_kib);
	put_le32(out + 24, 0);
	memcpy(out + 28, slot->salt, KEY_SLOT_SALT);
}

static void slot_ad(const struct key_slot *slot, const uint8_t store_id[STORE_ID_BYTES], uint8_t ad[SLOT_AD_BYTES])
{
	memcpy(ad, store_id, STORE_ID_BYTES);
	slot_head(slot, ad + STORE_ID_BYTES);
}

int key_slot_seal(struct key_slot *slot, const uint8_t store_id[STORE_ID_BYTES], const struct unlock *u,
	enum kdf_cost cost, const uint8_t master[SEAL_KEY_BYTES], struct errmsg *msg)
{
	uint8_t ad[SLOT_AD_BYTES], *key = secret_alloc(SEAL_KEY_BYTES);
	int rc = -ENOMEM;

	if (!key)
		goto out;
	slot->kind = u->kind;
	slot->passes = costs[cost].passes;
	slot->memory_kib = costs[cost].memory_kib;
	randombytes_buf(slot->salt, sizeof(slot->salt));
	if ((rc = slot_key(slot, u, key, msg)) < 0)
		goto out;
	slot_ad(slot, store_id, ad);
	seal(slot->wrapped, master, SEAL_KEY_BYTES, ad, sizeof(ad), key);
out:
	secret_free(key);
	return rc;
}

int key_slot_open(const struct key_slot *slot, const uint8_t store_id[STORE_ID_BYTES], const struct unlock *u,
	uint8_t master[SEAL_KEY_BYTES], struct errmsg *msg)
{
	uint8_t ad[SLOT_AD_BYTES], *key = secret_alloc(SEAL_KEY_BYTES);
	int rc = -ENOMEM;

	if (!key)
		goto out;
	if ((rc = slot_key(slot, u, key, msg)) < 0)
		goto out;
	slot_ad(slot, store_id, ad);
	if (unseal(master, slot->wrapped, sizeof(slot->wrapped), ad, sizeof(ad), key) < 0)
		rc = -ERR_KEY;
out:
	secret_free(key);
	return rc;
}

static int slot_parse(struct reader *r, struct key_slot *slot)
{
	uint32_t kind, reserved;

	slot->id = reader_u32(r);
	kind = reader_u32(r);
	slot->created_s = reader_u64(r);
	slot->passes = reader_u32(r);
	slot->memory_kib = reader_u32(r);
	reserved = reader_u32(r);
	if (r->err || kind > UNLOCK_WORDS || reserved)
		return -ERR_FORMAT;
	if (slot->passes < PASSES_MIN || slot->passes > PASSES_MAX || slot->memory_kib < MEMORY_KIB_MIN ||
		slot->memory_kib > MEMORY_KIB_MAX)
		return -ERR_FORMAT;
	slot->kind = (enum unlock_kind)kind;
	memcpy(slot->salt, reader_bytes(r, KEY_SLOT_SALT), KEY_SLOT_SALT);
	memcpy(slot->wrapped, reader_bytes(r, WRAPPED_KEY_BYTES), WRAPPED_KEY_BYTES);
	return 0;
}

/* magic, version and checksum; a newer version is named before anything else of it is judged */
static int keyfile_check(const uint8_t *data, size_t len, struct errmsg *msg)
{
	uint8_t hash[KEYFILE_CHECK];

	if (len < 12 || memcmp(data, KEYFILE_MAGIC, 8) != 0)
		return errmsg_set(msg, -ERR_FORMAT, "the store's file keys is not one of borderfs");
	if (get_le32(data + 8) > KEYFILE_VERSION)
		return errmsg_set(msg, -ERR_NEWER,
			"the store's file keys has version %u, this borderfs knows %u: use a newer one",
			get_le32(data + 8), KEYFILE_VERSION);
	if (get_le32(data + 8) < KEYFILE_VERSION || len < KEYFILE_FIXED + KEYFILE_CHECK)
		return errmsg_set(msg, -ERR_FORMAT, "the store's file keys is not one of borderfs, or is cut short");
	crypto_generichash(hash, sizeof(hash), data, len - KEYFILE_CHECK, NULL, 0);
	if (memcmp(hash, data + len - KEYFILE_CHECK, KEYFILE_CHECK) != 0)
		return errmsg_set(msg, -ERR_TAMPERED, "the store's file keys is damaged: bring it back from a copy");
	return 0;
}

int keyfile_parse(struct keyfile *kf, const void *data, size_t len, struct errmsg *msg)
{
	struct reader r = { data, (const uint8_t *)data + len, 0 };
	uint32_t slots, box;
	int rc;

	memset(kf, 0, sizeof(*kf));
	if ((rc = keyfile_check(data, len, msg)) < 0)
		return rc;
	r.end -= KEYFILE_CHECK;
	reader_bytes(&r, 12);
	memcpy(kf->store_id, reader_bytes(&r, STORE_ID_BYTES), STORE_ID_BYTES);
	slots = reader_u32(&r);
	box = reader_u32(&r);
	if (slots == 0 || slots > KEYFILE_SLOTS_MAX || box < SEAL_OVERHEAD ||
		(size_t)(r.end - r.p) != (size_t)slots * KEY_SLOT_BYTES + box)
		return errmsg_set(msg, -ERR_FORMAT, "the store's file keys has parts of the wrong length");
	kf->slots = calloc(slots, sizeof(*kf->slots));
	if (!kf->slots)
		return -ENOMEM;
	kf->slot_count = slots;
	for (size_t i = 0; rc == 0 && i < slots; i++)
		rc = slot_parse(&r, &kf->slots[i]);
	kf->head = data;
	kf->head_len = (size_t)(r.p - kf->head);
	kf->box = r.p;
	kf->box_len = box;
	if (rc < 0) {
		errmsg_set(
			msg, rc, "a slot in the store's file keys is of an unknown kind or has a cost out of bounds");
		keyfile_free(kf);
	}
	return rc;
}

void keyfile_free(struct keyfile *kf)
{
	free(kf->slots);
	memset(kf, 0, sizeof(*kf));
}

int keyfile_build(struct buf *out, const uint8_t store_id[STORE_ID_BYTES], const struct key_slot *slots,
	size_t slot_count, const void *table, size_t table_len, const uint8_t master[SEAL_KEY_BYTES])
{
	uint8_t head[KEY_SLOT_BYTES - WRAPPED_KEY_BYTES], hash[KEYFILE_CHECK], *box;
	size_t box_len = table_len + SEAL_OVERHEAD;

	buf_reset(out);
	buf_put(out, KEYFILE_MAGIC, 8);
	buf_u32(out, KEYFILE_VERSION);
	buf_put(out, store_id, STORE_ID_BYTES);
	buf_u32(out, (uint32_t)slot_count);
	buf_u32(out, (uint32_t)box_len);
	for (size_t i = 0; i < slot_count; i++) {
		slot_head(&slots[i], head);
		buf_put(out, head, sizeof(head));
		buf_put(out, slots[i].wrapped, WRAPPED_KEY_BYTES);
	}
	box = buf_reserve(out, box_len);
	if (!box)
		return -ENOMEM;
	seal(box, table, table_len, out->data, out->len, master);
	out->len += box_len;
	crypto_generichash(hash, sizeof(hash), out->data, out->len, NULL, 0);
	buf_put(out, hash, sizeof(hash));
	return out->err;
}
