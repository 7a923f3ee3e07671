/* SPDX-License-Identifier: GPL-3.0-or-later */
/* keytable: every key of a store but those of its slots, in memory and as the plain table that the file `keys` holds
 * sealed (docs/FORMAT.md). The keyring locks; nothing here touches the disk. */
#ifndef FS_CRYPT_KEYTABLE_H
#define FS_CRYPT_KEYTABLE_H

#include "fs/crypt/keyring.h"

#define ZONE_NAME_MAX 255

struct key_zone {
	uint32_t id, epoch; /* the epoch that new objects are sealed under */
	char *name;
};

struct zone_key {
	uint32_t zone, epoch;
	uint8_t key[SEAL_KEY_BYTES];
};

struct key_table {
	struct key_fixed {
		uint8_t master[SEAL_KEY_BYTES];
		uint8_t store[STORE_KEY_COUNT][SEAL_KEY_BYTES];
	} * fixed;	       /* of secret_alloc */
	struct zone_key *keys; /* of secret_alloc */
	size_t key_count, key_cap;
	struct key_zone *zones; /* ordered by id */
	size_t zone_count;
	uint32_t next_zone; /* number of the next zone made */
};

/* key_table_init: memory only, all keys zero. key_table_generate: fresh random keys, no zones. -ENOMEM. */
int key_table_init(struct key_table *);
void key_table_generate(struct key_table *);
void key_table_free(struct key_table *);

/* key_table_encode: the plain table into *plain (secret_alloc'd, the caller's to secret_free). -ENOMEM. The master key
 * is not in it. key_table_decode: fills an initialised table; -ERR_FORMAT, -ENOMEM. */
int key_table_encode(const struct key_table *, void **plain, size_t *len);
int key_table_decode(struct key_table *, const void *plain, size_t len);

/* NULL where there is none. */
const struct key_zone *key_table_zone(const struct key_table *, uint32_t zone_id);
const struct key_zone *key_table_zone_by_name(const struct key_table *, const char *name);
const uint8_t *key_table_key(const struct key_table *, uint32_t zone_id, uint32_t epoch);

/* key_table_add_zone: a new zone with a fresh key of epoch 1. key_table_drop_zone takes the newest away again, when
 * the file that should hold it could not be written. -ENOMEM, -ENOSPC (numbers used up). */
int key_table_add_zone(struct key_table *, const char *name, uint32_t *zone_id);
void key_table_drop_zone(struct key_table *);

#endif
