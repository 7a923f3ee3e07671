/* SPDX-License-Identifier: GPL-3.0-or-later */
/* keyring: the store's keys, opened (DESIGN §6).
 *
 * passphrase | key file | recovery words -> Argon2id -> slot -> master key -> zone keys by epoch, and the cache,
 * database and audit keys. On disk: the file `keys` in the store (docs/FORMAT.md), replaced atomically, every part of
 * it authenticated under the master key. In memory: sodium_malloc'd (locked, guarded, wiped). Lookups are thread-safe
 * (a read-write lock inside); changes rewrite the file and block on the local disk. */
#ifndef FS_CRYPT_KEYRING_H
#define FS_CRYPT_KEYRING_H

#include "base/err.h"
#include "fs/crypt/seal.h"

#include <stdbool.h>
#include <stdint.h>

#define STORE_ID_BYTES 16

struct keyring;

enum store_key { STORE_KEY_CACHE, STORE_KEY_DATABASE, STORE_KEY_AUDIT, STORE_KEY_COUNT };

/* What opens a slot. Exactly one kind; the bytes stay the caller's, who wipes them. */
enum unlock_kind { UNLOCK_PASSPHRASE, UNLOCK_KEY_FILE, UNLOCK_WORDS };
struct unlock {
	enum unlock_kind kind;
	const void *data; /* passphrase or key file bytes, or the words as text */
	size_t len;
};

/* Argon2id cost: KDF_MODERATE is the default; KDF_MINIMUM (64 MiB, 1 pass) is for tests. */
enum kdf_cost { KDF_MINIMUM, KDF_MODERATE };

/* keyring_create: makes every key and the file `keys` in the directory (-EEXIST where there is one), with a slot for
 * each of the given secrets and one for fresh recovery words, which are returned malloc'd in *words (the caller shows
 * them once, wipes and frees them with secret_free_text). Takes about a second a slot. */
int keyring_create(struct keyring **, int store_dirfd, const struct unlock *secrets, size_t secret_count, enum kdf_cost,
	char **words, struct errmsg *);
bool keyring_exists(int store_dirfd);
/* keyring_discard: removes the file again: of a store whose making did not come to its end. 0, -errno. */
int keyring_discard(int store_dirfd);
/* keyring_open: -ERR_KEY when no slot opens with this secret, -ERR_FORMAT, -ERR_NEWER, -ERR_TAMPERED, -errno. Cost
 * parameters read from the file are bounded (at most 4 GiB and 64 passes, at least 64 MiB) before they are used. */
int keyring_open(struct keyring **, int store_dirfd, const struct unlock *, struct errmsg *);
void keyring_close(struct keyring *); /* wipes; accepts NULL */

/* keyring_store_id: random, made at creation; owned by the keyring. */
const uint8_t *keyring_store_id(const struct keyring *);
/* keyring_store_key: 32 bytes, owned by the keyring, valid until it is closed. */
const uint8_t *keyring_store_key(const struct keyring *, enum store_key);

/* keyring_zone: the number of a zone by its name; makes the zone and its first epoch (and rewrites the file) if it is
 * new. Numbers start at 1 and are never reused. */
int keyring_zone(struct keyring *, const char *zone_name, uint32_t *zone_id, struct errmsg *);
/* keyring_zone_epoch: the epoch new objects are sealed under. -ERR_KEY for an unknown zone. */
int keyring_zone_epoch(struct keyring *, uint32_t zone_id, uint32_t *epoch);

/* keyring_wrap, keyring_unwrap: one object's key under the zone key of an epoch, with the object id as AD.
 * WRAPPED_KEY_BYTES = nonce 24 + key 32 + tag 16. */
#define WRAPPED_KEY_BYTES (SEAL_KEY_BYTES + SEAL_OVERHEAD)
int keyring_wrap(struct keyring *, uint32_t zone_id, uint32_t epoch, const uint8_t object_id[16],
	const uint8_t key[SEAL_KEY_BYTES], uint8_t wrapped[WRAPPED_KEY_BYTES]);
int keyring_unwrap(struct keyring *, uint32_t zone_id, uint32_t epoch, const uint8_t object_id[16],
	const uint8_t wrapped[WRAPPED_KEY_BYTES], uint8_t key[SEAL_KEY_BYTES]);

void secret_free_text(char *text); /* wipes and frees; accepts NULL */

#endif
