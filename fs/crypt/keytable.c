/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/crypt/keytable.h"
#include "base/buf.h"
#include "fs/crypt/secret.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES    (8 + SEAL_KEY_BYTES) /* of one zone key in the table */
#define KEYS_AT_ONCE 32			  /* capacity grows by doubling from here: little more than a page */

int key_table_init(struct key_table *t)
{
	memset(t, 0, sizeof(*t));
	t->next_zone = 1;
	t->fixed = secret_alloc(sizeof(*t->fixed));
	return t->fixed ? 0 : -ENOMEM;
}

void key_table_generate(struct key_table *t)
{
	randombytes_buf(t->fixed, sizeof(*t->fixed));
}

void key_table_free(struct key_table *t)
{
	secret_free(t->fixed);
	secret_free(t->keys);
	for (size_t i = 0; i < t->zone_count; i++)
		free(t->zones[i].name);
	free(t->zones);
	memset(t, 0, sizeof(*t));
}

const struct key_zone *key_table_zone(const struct key_table *t, uint32_t zone_id)
{
	for (size_t i = 0; i < t->zone_count; i++)
		if (t->zones[i].id == zone_id)
			return &t->zones[i];
	return NULL;
}

const struct key_zone *key_table_zone_by_name(const struct key_table *t, const char *name)
{
	for (size_t i = 0; i < t->zone_count; i++)
		if (strcmp(t->zones[i].name, name) == 0)
			return &t->zones[i];
	return NULL;
}

const uint8_t *key_table_key(const struct key_table *t, uint32_t zone_id, uint32_t epoch)
{
	for (size_t i = 0; i < t->key_count; i++)
		if (t->keys[i].zone == zone_id && t->keys[i].epoch == epoch)
			return t->keys[i].key;
	return NULL;
}

static int put_zone(struct key_table *t, uint32_t id, uint32_t epoch, const void *name, size_t name_len)
{
	struct key_zone *zones = reallocarray(t->zones, t->zone_count + 1, sizeof(*zones));
	char *copy;

	if (!zones)
		return -ENOMEM;
	t->zones = zones;
	copy = strndup(name, name_len);
	if (!copy)
		return -ENOMEM;
	zones[t->zone_count++] = (struct key_zone){ id, epoch, copy };
	return 0;
}

/* room for one more key; returns where it goes */
static struct zone_key *key_room(struct key_table *t)
{
	size_t cap = t->key_cap ? t->key_cap * 2 : KEYS_AT_ONCE;
	struct zone_key *keys;

	if (t->key_count < t->key_cap)
		return &t->keys[t->key_count];
	keys = secret_alloc(cap * sizeof(*keys));
	if (!keys)
		return NULL;
	if (t->keys)
		memcpy(keys, t->keys, t->key_count * sizeof(*keys));
	secret_free(t->keys);
	t->keys = keys;
	t->key_cap = cap;
	return &keys[t->key_count];
}

int key_table_add_zone(struct key_table *t, const char *name, uint32_t *zone_id)
{
	struct zone_key *key;
	int rc;

	if (t->next_zone == UINT32_MAX)
		return -ENOSPC;
	key = key_room(t);
	if (!key)
		return -ENOMEM;
	if ((rc = put_zone(t, t->next_zone, 1, name, strlen(name))) < 0)
		return rc;
	key->zone = t->next_zone;
	key->epoch = 1;
	randombytes_buf(key->key, sizeof(key->key));
	t->key_count++;
	*zone_id = t->next_zone++;
	return 0;
}

void key_table_drop_zone(struct key_table *t)
{
	sodium_memzero(&t->keys[--t->key_count], sizeof(*t->keys));
	free(t->zones[--t->zone_count].name);
	t->next_zone--;
}

static size_t encoded_bytes(const struct key_table *t)
{
	size_t len = 4 + sizeof(t->fixed->store) + 12 + t->key_count * KEY_BYTES;

	for (size_t i = 0; i < t->zone_count; i++)
		len += 12 + strlen(t->zones[i].name);
	return len;
}

static uint8_t *put_u32(uint8_t *p, size_t v)
{
	put_le32(p, (uint32_t)v);
	return p + 4;
}

static uint8_t *put_bytes(uint8_t *p, const void *data, size_t len)
{
	memcpy(p, data, len);
	return p + len;
}

int key_table_encode(const struct key_table *t, void **plain, size_t *len)
{
	uint8_t *p;

	*len = encoded_bytes(t);
	*plain = p = secret_alloc(*len);
	if (!p)
		return -ENOMEM;
	p = put_u32(p, STORE_KEY_COUNT);
	p = put_bytes(p, t->fixed->store, sizeof(t->fixed->store));
	p = put_u32(p, t->next_zone);
	p = put_u32(p, t->zone_count);
	for (size_t i = 0; i < t->zone_count; i++) {
		const struct key_zone *z = &t->zones[i];

		p = put_u32(put_u32(p, z->id), z->epoch);
		p = put_bytes(put_u32(p, strlen(z->name)), z->name, strlen(z->name));
	}
	p = put_u32(p, t->key_count);
	for (size_t i = 0; i < t->key_count; i++) {
		p = put_u32(put_u32(p, t->keys[i].zone), t->keys[i].epoch);
		p = put_bytes(p, t->keys[i].key, SEAL_KEY_BYTES);
	}
	return 0;
}

static int decode_zone(struct key_table *t, struct reader *r)
{
	uint32_t id = reader_u32(r), epoch = reader_u32(r), name_len = reader_u32(r), last = 0;
	const uint8_t *name = name_len && name_len <= ZONE_NAME_MAX ? reader_bytes(r, name_len) : NULL;

	if (t->zone_count)
		last = t->zones[t->zone_count - 1].id;
	if (!name || memchr(name, 0, name_len) || id <= last || id >= t->next_zone)
		return -ERR_FORMAT;
	return put_zone(t, id, epoch, name, name_len);
}

static int decode_key(struct key_table *t, struct reader *r)
{
	uint32_t zone = reader_u32(r), epoch = reader_u32(r);
	const uint8_t *bytes = reader_bytes(r, SEAL_KEY_BYTES);
	struct zone_key *key;

	if (!bytes || !key_table_zone(t, zone) || key_table_key(t, zone, epoch))
		return -ERR_FORMAT;
	key = key_room(t);
	if (!key)
		return -ENOMEM;
	key->zone = zone;
	key->epoch = epoch;
	memcpy(key->key, bytes, SEAL_KEY_BYTES);
	t->key_count++;
	return 0;
}

static int decode_parts(struct key_table *t, struct reader *r)
{
	uint32_t n;
	int rc = 0;

	t->next_zone = reader_u32(r);
	for (n = reader_u32(r); rc == 0 && n; n--)
		rc = decode_zone(t, r);
	if (rc < 0)
		return rc;
	for (n = reader_u32(r); rc == 0 && n; n--)
		rc = decode_key(t, r);
	if (rc < 0)
		return rc;
	/* an old epoch may have been destroyed, the present one never */
	for (size_t i = 0; i < t->zone_count; i++)
		if (!key_table_key(t, t->zones[i].id, t->zones[i].epoch))
			return -ERR_FORMAT;
	return r->err || r->p != r->end ? -ERR_FORMAT : 0;
}

int key_table_decode(struct key_table *t, const void *plain, size_t len)
{
	struct reader r = { plain, (const uint8_t *)plain + len, 0 };
	uint32_t store_keys = reader_u32(&r);
	const uint8_t *bytes = reader_bytes(&r, sizeof(t->fixed->store));

	if (!bytes || store_keys != STORE_KEY_COUNT)
		return -ERR_FORMAT;
	memcpy(t->fixed->store, bytes, sizeof(t->fixed->store));
	return decode_parts(t, &r);
}
