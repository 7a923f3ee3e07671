/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/crypt/keyring.h"
#include "base/clock.h"
#include "base/file.h"
#include "fs/crypt/keyfile.h"
#include "fs/crypt/keytable.h"
#include "fs/crypt/secret.h"
#include "fs/crypt/words.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEYS_FILE "keys"
#define KEYS_MODE 0600

struct keyring {
	int dirfd;
	uint8_t store_id[STORE_ID_BYTES];
	struct key_slot *slots; /* as in the file; never changed while the keyring is open */
	size_t slot_count;
	/* Protects table: readers wrap and unwrap, a writer adds a zone and rewrites the file. Taken last; nothing is
	 * called under it but libsodium and the local disk. store_id and the store's own keys never change. */
	pthread_rwlock_t lock;
	struct key_table table;
};

static int keyring_new(struct keyring **out, int store_dirfd)
{
	struct keyring *k = calloc(1, sizeof(*k));
	int rc = -ENOMEM;

	if (!k)
		return -ENOMEM;
	pthread_rwlock_init(&k->lock, NULL);
	k->dirfd = fcntl(store_dirfd, F_DUPFD_CLOEXEC, 0);
	if (k->dirfd < 0) {
		rc = -errno;
		goto fail;
	}
	if ((rc = key_table_init(&k->table)) < 0)
		goto fail;
	*out = k;
	return 0;
fail:
	keyring_close(k);
	return rc;
}

void keyring_close(struct keyring *k)
{
	if (!k)
		return;
	key_table_free(&k->table);
	free(k->slots);
	if (k->dirfd >= 0)
		close(k->dirfd);
	pthread_rwlock_destroy(&k->lock);
	free(k);
}

/* the whole file; the lock is held, or nobody else knows the keyring yet */
static int keyring_encode(const struct keyring *k, struct buf *out)
{
	void *plain = NULL;
	size_t len = 0;
	int rc = key_table_encode(&k->table, &plain, &len);

	if (rc == 0)
		rc = keyfile_build(out, k->store_id, k->slots, k->slot_count, plain, len, k->table.fixed->master);
	secret_free(plain);
	return rc;
}

static int keyring_add_slot(struct keyring *k, const struct unlock *u, enum kdf_cost cost, struct errmsg *msg)
{
	struct key_slot *slot = &k->slots[k->slot_count];
	int rc;

	slot->id = (uint32_t)k->slot_count + 1;
	slot->created_s = (uint64_t)(clock_real_ns() / NS_PER_S);
	rc = key_slot_seal(slot, k->store_id, u, cost, k->table.fixed->master, msg);
	if (rc == 0)
		k->slot_count++;
	return rc;
}

static int keyring_add_words(struct keyring *k, enum kdf_cost cost, char **words, struct errmsg *msg)
{
	uint8_t *entropy = secret_alloc(WORDS_ENTROPY);
	char *text = malloc(WORDS_TEXT);
	struct unlock u = { UNLOCK_WORDS, text, WORDS_TEXT - 1 };
	int rc = -ENOMEM;

	if (!entropy || !text)
		goto out;
	randombytes_buf(entropy, WORDS_ENTROPY);
	words_format(entropy, text);
	if ((rc = keyring_add_slot(k, &u, cost, msg)) < 0)
		goto out;
	*words = text;
	text = NULL;
out:
	secret_free_text(text);
	secret_free(entropy);
	return rc;
}

bool keyring_exists(int store_dirfd)
{
	return faccessat(store_dirfd, KEYS_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* what can be refused before the seconds that the derivations take */
static int create_check(int dirfd, const struct unlock *secrets, size_t secret_count, struct errmsg *msg)
{
	int rc;

	if (keyring_exists(dirfd))
		return errmsg_set(msg, -EEXIST, "the store has its keys already: it was initialised before");
	if (secret_count >= KEYFILE_SLOTS_MAX)
		return errmsg_set(msg, -EINVAL, "more secrets than a store has slots (%u)", KEYFILE_SLOTS_MAX - 1);
	for (size_t i = 0; i < secret_count; i++)
		if ((rc = unlock_check(&secrets[i], msg)) < 0)
			return rc;
	return 0;
}

int keyring_create(struct keyring **out, int store_dirfd, const struct unlock *secrets, size_t secret_count,
	enum kdf_cost cost, char **words, struct errmsg *msg)
{
	struct keyring *k = NULL;
	struct buf file = BUF_INIT;
	char *text = NULL;
	int rc = create_check(store_dirfd, secrets, secret_count, msg);

	if (rc < 0 || (rc = keyring_new(&k, store_dirfd)) < 0)
		goto out;
	key_table_generate(&k->table);
	randombytes_buf(k->store_id, sizeof(k->store_id));
	k->slots = calloc(secret_count + 1, sizeof(*k->slots));
	rc = k->slots ? 0 : -ENOMEM;
	for (size_t i = 0; rc == 0 && i < secret_count; i++)
		rc = keyring_add_slot(k, &secrets[i], cost, msg);
	if (rc < 0 || (rc = keyring_add_words(k, cost, &text, msg)) < 0 || (rc = keyring_encode(k, &file)) < 0)
		goto out;
	rc = file_create_new(k->dirfd, KEYS_FILE, file.data, file.len, KEYS_MODE);
	if (rc < 0) {
		errmsg_set(msg, rc, "the store's file keys cannot be written: %s", err_text(rc));
		goto out;
	}
	*words = text;
	*out = k;
	text = NULL;
	k = NULL;
out:
	secret_free_text(text);
	buf_free(&file);
	keyring_close(k);
	return rc;
}

int keyring_discard(int store_dirfd)
{
	return unlinkat(store_dirfd, KEYS_FILE, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static const char *const kind_names[] = {
	[UNLOCK_PASSPHRASE] = "passphrase",
	[UNLOCK_KEY_FILE] = "key file",
	[UNLOCK_WORDS] = "recovery words",
};

/* the master key by the first slot that this secret opens */
static int keyring_unlock(struct keyring *k, const struct unlock *u, struct errmsg *msg)
{
	int rc = -ERR_KEY, tried = 0;

	for (size_t i = 0; rc == -ERR_KEY && i < k->slot_count; i++) {
		if (k->slots[i].kind != u->kind)
			continue;
		tried = 1;
		rc = key_slot_open(&k->slots[i], k->store_id, u, k->table.fixed->master, msg);
	}
	if (rc == -ERR_KEY && !tried)
		errmsg_set(
			msg, rc, "this store has no slot for a %s: open it with another secret", kind_names[u->kind]);
	if (rc == -ERR_KEY)
		errmsg_set(msg, rc, "the %s given does not open this store", kind_names[u->kind]);
	return rc;
}

static int keyring_load_table(struct keyring *k, const struct keyfile *kf, struct errmsg *msg)
{
	size_t len = kf->box_len - SEAL_OVERHEAD;
	uint8_t *plain = secret_alloc(len + 1);
	int rc = -ENOMEM;

	if (!plain)
		return rc;
	rc = unseal(plain, kf->box, kf->box_len, kf->head, kf->head_len, k->table.fixed->master);
	if (rc < 0)
		errmsg_set(msg, rc,
			"the store's file keys was changed by somebody without its keys: bring it back from "
			"a copy");
	else if ((rc = key_table_decode(&k->table, plain, len)) == -ERR_FORMAT)
		errmsg_set(msg, rc, "the table in the store's file keys is not one this borderfs understands");
	secret_free(plain);
	return rc;
}

int keyring_open(struct keyring **out, int store_dirfd, const struct unlock *u, struct errmsg *msg)
{
	struct keyring *k = NULL;
	struct keyfile kf = { 0 };
	struct buf file = BUF_INIT;
	int rc = file_read_all(store_dirfd, KEYS_FILE, KEYFILE_MAX, &file);

	if (rc < 0) {
		errmsg_set(msg, rc, "the store's file keys cannot be read: %s%s", err_text(rc),
			rc == -ENOENT ? "; is this a store? `borderfs init` makes one" : "");
		goto out;
	}
	if ((rc = unlock_check(u, msg)) < 0 || (rc = keyfile_parse(&kf, file.data, file.len, msg)) < 0)
		goto out;
	if ((rc = keyring_new(&k, store_dirfd)) < 0)
		goto out;
	memcpy(k->store_id, kf.store_id, sizeof(k->store_id));
	k->slots = kf.slots;
	k->slot_count = kf.slot_count;
	kf.slots = NULL;
	if ((rc = keyring_unlock(k, u, msg)) < 0 || (rc = keyring_load_table(k, &kf, msg)) < 0)
		goto out;
	*out = k;
	k = NULL;
out:
	keyring_close(k);
	keyfile_free(&kf);
	buf_free(&file);
	return rc;
}

const uint8_t *keyring_store_id(const struct keyring *k)
{
	return k->store_id;
}

const uint8_t *keyring_store_key(const struct keyring *k, enum store_key which)
{
	return k->table.fixed->store[which];
}

/* the write lock is held */
static int keyring_make_zone(struct keyring *k, const char *name, uint32_t *zone_id, struct errmsg *msg)
{
	struct buf file = BUF_INIT;
	int rc = key_table_add_zone(&k->table, name, zone_id);

	if (rc < 0)
		return rc;
	if ((rc = keyring_encode(k, &file)) == 0)
		rc = file_replace(k->dirfd, KEYS_FILE, file.data, file.len, KEYS_MODE);
	if (rc < 0) {
		key_table_drop_zone(&k->table);
		errmsg_set(msg, rc, "the key of zone %s cannot be written to the store's file keys: %s", name,
			err_text(rc));
	}
	buf_free(&file);
	return rc;
}

int keyring_zone(struct keyring *k, const char *zone_name, uint32_t *zone_id, struct errmsg *msg)
{
	const struct key_zone *zone;
	int rc = 0;

	if (!*zone_name || strlen(zone_name) > ZONE_NAME_MAX)
		return errmsg_set(msg, -EINVAL, "a zone's name has 1 to %d bytes", ZONE_NAME_MAX);
	pthread_rwlock_wrlock(&k->lock);
	zone = key_table_zone_by_name(&k->table, zone_name);
	if (zone)
		*zone_id = zone->id;
	else
		rc = keyring_make_zone(k, zone_name, zone_id, msg);
	pthread_rwlock_unlock(&k->lock);
	return rc;
}

int keyring_zone_epoch(struct keyring *k, uint32_t zone_id, uint32_t *epoch)
{
	const struct key_zone *zone;

	pthread_rwlock_rdlock(&k->lock);
	zone = key_table_zone(&k->table, zone_id);
	if (zone)
		*epoch = zone->epoch;
	pthread_rwlock_unlock(&k->lock);
	return zone ? 0 : -ERR_KEY;
}

int keyring_wrap(struct keyring *k, uint32_t zone_id, uint32_t epoch, const uint8_t object_id[16],
	const uint8_t key[SEAL_KEY_BYTES], uint8_t wrapped[WRAPPED_KEY_BYTES])
{
	const uint8_t *zone_key;

	pthread_rwlock_rdlock(&k->lock);
	zone_key = key_table_key(&k->table, zone_id, epoch);
	if (zone_key)
		seal(wrapped, key, SEAL_KEY_BYTES, object_id, 16, zone_key);
	pthread_rwlock_unlock(&k->lock);
	return zone_key ? 0 : -ERR_KEY;
}

int keyring_unwrap(struct keyring *k, uint32_t zone_id, uint32_t epoch, const uint8_t object_id[16],
	const uint8_t wrapped[WRAPPED_KEY_BYTES], uint8_t key[SEAL_KEY_BYTES])
{
	const uint8_t *zone_key;
	int rc = -ERR_KEY;

	pthread_rwlock_rdlock(&k->lock);
	zone_key = key_table_key(&k->table, zone_id, epoch);
	if (zone_key)
		rc = unseal(key, wrapped, WRAPPED_KEY_BYTES, object_id, 16, zone_key);
	pthread_rwlock_unlock(&k->lock);
	return rc;
}

void secret_free_text(char *text)
{
	if (!text)
		return;
	sodium_memzero(text, strlen(text));
	free(text);
}
