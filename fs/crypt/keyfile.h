/* SPDX-License-Identifier: GPL-3.0-or-later */
/* keyfile: the bytes of the file `keys` (docs/FORMAT.md): slots, each of which holds the master key for one secret, and
 * the table of all other keys, sealed under the master key with everything before it as associated data. This module
 * knows the format and the derivation; keyring knows when. Nothing here touches the disk. */
#ifndef FS_CRYPT_KEYFILE_H
#define FS_CRYPT_KEYFILE_H

#include "base/buf.h"
#include "fs/crypt/keyring.h"

#define KEYFILE_MAX	  (4U << 20) /* bytes of a file that is read at all */
#define KEYFILE_SLOTS_MAX 32U
#define KEY_SLOT_BYTES	  116
#define KEY_SLOT_SALT	  16
#define KEY_FILE_MIN	  32 /* bytes of a key file that opens a slot */
#define KEY_FILE_MAX	  (1U << 20)

/* One slot; nothing in it is secret. */
struct key_slot {
	uint32_t id; /* from 1, never used again */
	enum unlock_kind kind;
	uint64_t created_s; /* since 1970 */
	uint32_t passes, memory_kib;
	uint8_t salt[KEY_SLOT_SALT];
	uint8_t wrapped[WRAPPED_KEY_BYTES];
};

/* key_slot_seal: derives the slot's key from the secret and wraps the master key with it; id, created_s are the
 * caller's and set before. key_slot_open: the reverse; -ERR_KEY if the secret is not the slot's. Both take as long as
 * the cost says, and -ENOMEM where there is not the memory it asks for. master is of secret_alloc. */
int key_slot_seal(struct key_slot *, const uint8_t store_id[STORE_ID_BYTES], const struct unlock *, enum kdf_cost,
	const uint8_t master[SEAL_KEY_BYTES], struct errmsg *);
int key_slot_open(const struct key_slot *, const uint8_t store_id[STORE_ID_BYTES], const struct unlock *,
	uint8_t master[SEAL_KEY_BYTES], struct errmsg *);
/* unlock_check: whether these bytes can be a secret of that kind (length, spelling): 0, -EINVAL, -ERR_KEY. */
int unlock_check(const struct unlock *, struct errmsg *);

/* A file taken apart. head, box and check point into the bytes that were parsed. */
struct keyfile {
	uint8_t store_id[STORE_ID_BYTES];
	struct key_slot *slots; /* malloc'd */
	size_t slot_count;
	const uint8_t *head, *box; /* what is authenticated beside the table, and the sealed table */
	size_t head_len, box_len;
};

/* keyfile_parse: -ERR_FORMAT, -ERR_NEWER, -ERR_TAMPERED (the plain checksum at its end does not fit), -ENOMEM. Slot
 * costs are within their bounds afterwards. Nothing is authenticated yet. */
int keyfile_parse(struct keyfile *, const void *data, size_t len, struct errmsg *);
void keyfile_free(struct keyfile *);
/* keyfile_build: the file's bytes for these slots and this plain table. -ENOMEM. */
int keyfile_build(struct buf *out, const uint8_t store_id[STORE_ID_BYTES], const struct key_slot *, size_t slot_count,
	const void *table, size_t table_len, const uint8_t master[SEAL_KEY_BYTES]);

#endif
