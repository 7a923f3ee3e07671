/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/log.h"
#include "fs/crypt/keyfile.h"
#include "fs/crypt/keyring.h"
#include "fs/crypt/keytable.h"
#include "fs/crypt/secret.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/fs-crypt/vectors.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t key_file[40] = "forty bytes that are the key file's own";
static const struct unlock passphrase = { UNLOCK_PASSPHRASE, "correct horse", 13 };
static const struct unlock file_secret = { UNLOCK_KEY_FILE, key_file, sizeof(key_file) };

static char dir[64];
static int dirfd_;

static int dir_make(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "%s/borderfs-keys-XXXXXX", getenv("TEST_TMP") ? getenv("TEST_TMP") : "/tmp");
	if (!mkdtemp(dir))
		return -1;
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY);
	return dirfd_ < 0;
}

static int dir_remove(void **state)
{
	(void)state;
	unlinkat(dirfd_, "keys", 0);
	close(dirfd_);
	return rmdir(dir);
}

/* passphrase and key file, at the least cost */
static struct keyring *make(char **words)
{
	const struct unlock both[] = { passphrase, file_secret };
	struct keyring *k = NULL;

	assert_int_equal(keyring_create(&k, dirfd_, both, 2, KDF_MINIMUM, words, NULL), 0);
	return k;
}

static int open_rc(const struct unlock *u, const char *says)
{
	struct keyring *k = NULL;
	struct errmsg msg = { 0 };
	int rc = keyring_open(&k, dirfd_, u, &msg);

	if (says) {
		assert_non_null(msg.text);
		if (!strstr(msg.text, says))
			print_error("message: %s\n", msg.text);
		assert_non_null(strstr(msg.text, says));
	}
	keyring_close(k);
	errmsg_free(&msg);
	return rc;
}

static void same_keys(struct keyring *a, struct keyring *b)
{
	assert_memory_equal(keyring_store_id(a), keyring_store_id(b), STORE_ID_BYTES);
	for (int i = 0; i < STORE_KEY_COUNT; i++) {
		assert_memory_equal(keyring_store_key(a, (enum store_key)i), keyring_store_key(b, (enum store_key)i),
			SEAL_KEY_BYTES);
		assert_false(sodium_is_zero(keyring_store_key(a, (enum store_key)i), SEAL_KEY_BYTES));
		for (int j = 0; j < i; j++)
			assert_memory_not_equal(keyring_store_key(a, (enum store_key)i),
				keyring_store_key(a, (enum store_key)j), SEAL_KEY_BYTES);
	}
}

static void every_secret_opens(void **state)
{
	char *words = NULL;
	struct keyring *k = make(&words), *again;
	struct stat st;
	uint32_t zone, zone_again, epoch;
	uint8_t id[16] = { 3 }, key[32] = { 1, 2 }, wrapped[WRAPPED_KEY_BYTES], out[32];

	(void)state;
	assert_int_equal(fstatat(dirfd_, "keys", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(keyring_zone(k, "domestic", &zone, NULL), 0);
	assert_int_equal(keyring_wrap(k, zone, 1, id, key, wrapped), 0);
	{
		const struct unlock all[] = { passphrase, file_secret, { UNLOCK_WORDS, words, strlen(words) } };

		for (int i = 0; i < 3; i++) {
			assert_int_equal(keyring_open(&again, dirfd_, &all[i], NULL), 0);
			same_keys(k, again);
			assert_int_equal(keyring_zone(again, "domestic", &zone_again, NULL), 0);
			assert_int_equal(zone_again, zone);
			assert_int_equal(keyring_zone_epoch(again, zone, &epoch), 0);
			assert_int_equal(epoch, 1);
			assert_int_equal(keyring_unwrap(again, zone, epoch, id, wrapped, out), 0);
			assert_memory_equal(out, key, sizeof(key));
			keyring_close(again);
		}
	}
	secret_free_text(words);
	secret_free_text(NULL);
	keyring_close(k);
	keyring_close(NULL);
}

static void refused(void **state)
{
	static const uint8_t other_file[40] = "forty bytes that are another file's own";
	static const char no_words[] = "lusab babad gutih tugad gutuk bisog mudof sakat tovuf";
	static const struct {
		struct unlock u;
		int rc;
		const char *says;
	} rows[] = {
		{ { UNLOCK_PASSPHRASE, "correct hors", 12 }, -ERR_KEY, "passphrase given does not open" },
		{ { UNLOCK_PASSPHRASE, "correct horse ", 14 }, -ERR_KEY, "passphrase given does not open" },
		{ { UNLOCK_PASSPHRASE, key_file, 40 }, -ERR_KEY, "passphrase given does not open" },
		{ { UNLOCK_PASSPHRASE, "", 0 }, -EINVAL, "empty" },
		{ { UNLOCK_KEY_FILE, other_file, 40 }, -ERR_KEY, "key file given does not open" },
		{ { UNLOCK_KEY_FILE, key_file, 39 }, -ERR_KEY, "key file given does not open" },
		{ { UNLOCK_KEY_FILE, key_file, 31 }, -EINVAL, "32 bytes" },
		{ { UNLOCK_WORDS, no_words, 53 }, -ERR_KEY, "recovery words given" },
		{ { UNLOCK_WORDS, "lusab", 5 }, -ERR_KEY, "9 recovery words" },
		{ { (enum unlock_kind)7, "x", 1 }, -EINVAL, "kind" },
	};
	char *words = NULL;
	struct keyring *k;

	(void)state;
	assert_int_equal(open_rc(&passphrase, "borderfs init"), -ENOENT);
	k = make(&words);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(open_rc(&rows[i].u, rows[i].says), rows[i].rc);
	assert_int_equal(open_rc(&passphrase, NULL), 0);
	secret_free_text(words);
	keyring_close(k);
}

static void created_once(void **state)
{
	static const struct unlock empty = { UNLOCK_PASSPHRASE, "", 0 };
	char *words = NULL, *more = NULL;
	struct keyring *k, *again = NULL;
	struct errmsg msg = { 0 };

	(void)state;
	assert_int_equal(keyring_create(&again, dirfd_, &empty, 1, KDF_MINIMUM, &more, &msg), -EINVAL);
	errmsg_free(&msg);
	/* the words alone will do */
	assert_int_equal(keyring_create(&k, dirfd_, NULL, 0, KDF_MINIMUM, &words, NULL), 0);
	assert_int_equal(keyring_create(&again, dirfd_, &passphrase, 1, KDF_MINIMUM, &more, &msg), -EEXIST);
	assert_null(more);
	assert_non_null(strstr(msg.text, "already"));
	assert_int_equal(open_rc(&passphrase, "no slot for a passphrase"), -ERR_KEY);
	errmsg_free(&msg);
	secret_free_text(words);
	keyring_close(k);
}

static void zones(void **state)
{
	char *words = NULL, name[300];
	struct keyring *k = make(&words), *again;
	uint32_t id, first, epoch;
	struct errmsg msg = { 0 };

	(void)state;
	assert_int_equal(keyring_zone(k, "domestic", &first, NULL), 0);
	assert_int_equal(first, 1);
	assert_int_equal(keyring_zone(k, "", &id, &msg), -EINVAL);
	errmsg_free(&msg);
	memset(name, 'x', sizeof(name));
	name[256] = 0;
	assert_int_equal(keyring_zone(k, name, &id, &msg), -EINVAL);
	errmsg_free(&msg);
	for (uint32_t i = 2; i <= 100; i++) {
		snprintf(name, sizeof(name), "zone-%u", i);
		assert_int_equal(keyring_zone(k, name, &id, NULL), 0);
		assert_int_equal(id, i);
	}
	assert_int_equal(keyring_zone_epoch(k, 101, &epoch), -ERR_KEY);
	assert_int_equal(keyring_zone_epoch(k, 0, &epoch), -ERR_KEY);
	assert_int_equal(keyring_open(&again, dirfd_, &file_secret, NULL), 0);
	for (uint32_t i = 100; i >= 2; i--) {
		snprintf(name, sizeof(name), "zone-%u", i);
		assert_int_equal(keyring_zone(again, name, &id, NULL), 0);
		assert_int_equal(id, i);
	}
	keyring_close(again);
	secret_free_text(words);
	keyring_close(k);
}

/* a zone whose key is not on disk does not exist */
static void zone_not_written(void **state)
{
	char *words = NULL, gone[80];
	struct keyring *k = make(&words);
	struct errmsg msg = { 0 };
	uint32_t id = 0;

	(void)state;
	snprintf(gone, sizeof(gone), "%s-away", dir);
	unlinkat(dirfd_, "keys", 0);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(keyring_zone(k, "domestic", &id, &msg), -ENOENT);
	assert_non_null(strstr(msg.text, "zone domestic"));
	errmsg_free(&msg);
	assert_int_equal(keyring_zone_epoch(k, 1, &id), -ERR_KEY);
	assert_int_equal(mkdir(dir, 0700), 0);
	secret_free_text(words);
	keyring_close(k);
	close(dirfd_);
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY);
}

static void wrapping(void **state)
{
	char *words = NULL;
	struct keyring *k = make(&words);
	uint8_t id[16] = { 1 }, other[16] = { 2 }, key[32] = { 9 }, wrapped[WRAPPED_KEY_BYTES], out[32];
	uint32_t a, b;

	(void)state;
	assert_int_equal(keyring_zone(k, "a", &a, NULL), 0);
	assert_int_equal(keyring_zone(k, "b", &b, NULL), 0);
	assert_int_equal(keyring_wrap(k, a, 1, id, key, wrapped), 0);
	assert_int_equal(keyring_unwrap(k, a, 1, id, wrapped, out), 0);
	assert_memory_equal(key, out, sizeof(out));
	assert_int_equal(keyring_unwrap(k, a, 1, other, wrapped, out), -ERR_TAMPERED);
	assert_true(sodium_is_zero(out, sizeof(out)));
	assert_int_equal(
		keyring_unwrap(k, b, 1, id, wrapped, out), -ERR_TAMPERED); /* I5: one zone's keys open only its own */
	assert_int_equal(keyring_unwrap(k, a, 2, id, wrapped, out), -ERR_KEY);
	assert_int_equal(keyring_wrap(k, 9, 1, id, key, wrapped), -ERR_KEY);
	for (size_t i = 0; i < sizeof(wrapped); i++) {
		wrapped[i] ^= 1;
		assert_int_equal(keyring_unwrap(k, a, 1, id, wrapped, out), -ERR_TAMPERED);
		wrapped[i] ^= 1;
	}
	secret_free_text(words);
	keyring_close(k);
}

static void checksum_fix(struct buf *file)
{
	crypto_generichash(file->data + file->len - 32, 32, file->data, file->len - 32, NULL, 0);
}

static void rewrite(const struct buf *file)
{
	assert_int_equal(file_replace(dirfd_, "keys", file->data, file->len, 0600), 0);
}

/* what a flip of any byte leads to when the plain checksum is not, and when it is made to fit again */
static void every_byte_counts(void **state)
{
	char *words = NULL;
	struct keyring *k = make(&words);
	struct buf file = BUF_INIT;
	uint32_t zone;
	size_t slot = 36 + KEY_SLOT_BYTES, full = 0;

	(void)state;
	assert_int_equal(keyring_zone(k, "domestic", &zone, NULL), 0);
	assert_int_equal(file_read_all(dirfd_, "keys", 1 << 20, &file), 0);
	assert_int_equal(file.len, 36 + 3 * KEY_SLOT_BYTES + SEAL_OVERHEAD + 100 + 8 + 20 + 4 + 40 + 32);
	for (size_t i = 0; i < file.len; i++) {
		int rc;

		file.data[i] ^= (uint8_t)(1 << i % 8);
		rewrite(&file);
		rc = open_rc(&file_secret, "file keys");
		assert_true(rc == -ERR_TAMPERED || (i < 12 && (rc == -ERR_FORMAT || rc == -ERR_NEWER)));
		file.data[i] ^= (uint8_t)(1 << i % 8);
	}
	/* the key file's slot is the second: each other byte, at the price of one derivation every few */
	for (size_t i = 0; i < file.len - 32; i += i < 36 ? 1 : 7) {
		int rc;

		file.data[i] ^= (uint8_t)(1 << i % 8);
		/* more passes and memory are within bounds, only slow */
		if (i >= slot + 16 && i < slot + 24) {
			file.data[i] ^= (uint8_t)(1 << i % 8);
			continue;
		}
		checksum_fix(&file);
		rewrite(&file);
		rc = open_rc(&file_secret, "");
		assert_true(rc == -ERR_TAMPERED || rc == -ERR_FORMAT || rc == -ERR_NEWER || rc == -ERR_KEY);
		full++;
		file.data[i] ^= (uint8_t)(1 << i % 8);
	}
	assert_true(full > 80);
	checksum_fix(&file);
	rewrite(&file);
	assert_int_equal(open_rc(&file_secret, NULL), 0);
	for (size_t len = 0; len < file.len; len += 13) {
		assert_int_equal(file_replace(dirfd_, "keys", file.data, len, 0600), 0);
		assert_int_not_equal(open_rc(&file_secret, "file keys"), 0);
	}
	buf_free(&file);
	secret_free_text(words);
	keyring_close(k);
}

/* fields out of their bounds are refused before anything is derived */
static void bounds(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
		int rc;
	} rows[] = {
		{ 8, 2, -ERR_NEWER },								  /* version */
		{ 8, 0, -ERR_FORMAT }, { 28, 0, -ERR_FORMAT },					  /* slots */
		{ 28, 33, -ERR_FORMAT }, { 28, 0xffffffff, -ERR_FORMAT }, { 32, 0, -ERR_FORMAT }, /* table */
		{ 32, 0xffffffff, -ERR_FORMAT }, { 36 + 4, 3, -ERR_FORMAT },			  /* kind */
		{ 36 + 16, 0, -ERR_FORMAT },							  /* passes */
		{ 36 + 16, 65, -ERR_FORMAT }, { 36 + 20, 65535, -ERR_FORMAT },			  /* memory */
		{ 36 + 20, (4 << 20) + 1, -ERR_FORMAT }, { 36 + 24, 1, -ERR_FORMAT },		  /* reserved */
	};
	char *words = NULL;
	struct keyring *k = make(&words);
	struct buf file = BUF_INIT;

	(void)state;
	assert_int_equal(file_read_all(dirfd_, "keys", 1 << 20, &file), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t was = get_le32(file.data + rows[i].at);

		put_le32(file.data + rows[i].at, rows[i].value);
		checksum_fix(&file);
		rewrite(&file);
		assert_int_equal(open_rc(&file_secret, "file keys"), rows[i].rc);
		put_le32(file.data + rows[i].at, was);
	}
	/* a table too short to be a box, in a file that is of the right length for it */
	put_le32(file.data + 32, SEAL_OVERHEAD - 1);
	file.len = 36 + 3 * KEY_SLOT_BYTES + SEAL_OVERHEAD - 1 + 32;
	checksum_fix(&file);
	rewrite(&file);
	assert_int_equal(open_rc(&file_secret, "wrong length"), -ERR_FORMAT);
	buf_free(&file);
	secret_free_text(words);
	keyring_close(k);
}

/* tables that only a holder of the master key could have written */
static void bad_tables(void **state)
{
	struct key_table t, again;
	uint8_t longer[200] = { 0 };
	void *plain;
	size_t len;
	uint32_t zone;
	/* offsets into the table of one zone "a": store keys 100, next 4, count 4, zone 13, count 4, key 40 */
	static const struct {
		size_t at;
		uint32_t value;
	} rows[] = {
		{ 0, 4 },
		{ 100, 1 },
		{ 104, 2 },
		{ 108, 0 },
		{ 108, 2 },
		{ 112, 2 },
		{ 116, 0 },
		{ 116, 256 },
		{ 116, 0x10000001 },
		{ 121, 0 },
		{ 121, 2 },
		{ 125, 2 },
		{ 129, 5 },
	};

	(void)state;
	assert_int_equal(key_table_init(&t), 0);
	key_table_generate(&t);
	assert_int_equal(key_table_add_zone(&t, "a", &zone), 0);
	assert_int_equal(key_table_encode(&t, &plain, &len), 0);
	assert_int_equal(len, 165);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t *at = (uint8_t *)plain + rows[i].at;
		uint32_t was = get_le32(at);

		put_le32(at, rows[i].value);
		assert_int_equal(key_table_init(&again), 0);
		assert_int_equal(key_table_decode(&again, plain, len), -ERR_FORMAT);
		key_table_free(&again);
		put_le32(at, was);
	}
	for (size_t i = 0; i < len; i++) {
		assert_int_equal(key_table_init(&again), 0);
		assert_int_equal(key_table_decode(&again, plain, i), -ERR_FORMAT);
		key_table_free(&again);
	}
	/* a byte too many, then the zone twice */
	assert_int_equal(key_table_init(&again), 0);
	memcpy(longer, plain, len);
	assert_int_equal(key_table_decode(&again, longer, len + 1), -ERR_FORMAT);
	key_table_free(&again);
	put_le32(longer + 104, 2);
	memcpy(longer + 121, (uint8_t *)plain + 108, len - 108);
	assert_int_equal(key_table_init(&again), 0);
	assert_int_equal(key_table_decode(&again, longer, len + 13), -ERR_FORMAT);
	key_table_free(&again);
	assert_int_equal(key_table_init(&again), 0);
	assert_int_equal(key_table_decode(&again, plain, len), 0);
	assert_memory_equal(key_table_key(&again, 1, 1), key_table_key(&t, 1, 1), SEAL_KEY_BYTES);
	key_table_drop_zone(&again);
	assert_null(key_table_zone(&again, 1));
	key_table_free(&again);
	secret_free(plain);
	key_table_free(&t);
}

static void *use(void *arg)
{
	struct keyring *k = arg;
	uint8_t id[16] = { 1 }, key[32] = { 9 }, wrapped[WRAPPED_KEY_BYTES], out[32];

	for (int i = 0; i < 2000; i++)
		if (keyring_wrap(k, 1, 1, id, key, wrapped) < 0 || keyring_unwrap(k, 1, 1, id, wrapped, out) < 0)
			return (void *)"wrap";
	return NULL;
}

static void threads(void **state)
{
	char *words = NULL, name[16];
	struct keyring *k = make(&words);
	pthread_t t[3];
	uint32_t zone;
	void *failed;

	(void)state;
	assert_int_equal(keyring_zone(k, "domestic", &zone, NULL), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&t[i], NULL, use, k), 0);
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "zone%d", i);
		assert_int_equal(keyring_zone(k, name, &zone, NULL), 0);
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], &failed);
		assert_null(failed);
	}
	secret_free_text(words);
	keyring_close(k);
}

static void vectors(void **state)
{
	static const char words[] = "vagod varog vigoj virol vogon voror vugot vuroz sibok";
	const struct unlock all[] = { passphrase, file_secret, { UNLOCK_WORDS, words, sizeof(words) - 1 } };
	struct buf file = BUF_INIT, want = BUF_INIT;
	struct keyring *k;
	uint32_t zone, epoch;

	(void)state;
	vector_load("keys", &file);
	rewrite(&file);
	vector_load("keys-store-id", &want);
	vector_load("keys-store-keys", &want);
	assert_int_equal(want.len, STORE_ID_BYTES + 3 * SEAL_KEY_BYTES);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(keyring_open(&k, dirfd_, &all[i], NULL), 0);
		assert_memory_equal(keyring_store_id(k), want.data, STORE_ID_BYTES);
		for (int j = 0; j < STORE_KEY_COUNT; j++)
			assert_memory_equal(keyring_store_key(k, (enum store_key)j),
				want.data + STORE_ID_BYTES + j * SEAL_KEY_BYTES, SEAL_KEY_BYTES);
		assert_int_equal(keyring_zone(k, "home", &zone, NULL), 0);
		assert_int_equal(zone, 1);
		assert_int_equal(keyring_zone(k, "abroad", &zone, NULL), 0);
		assert_int_equal(zone, 2);
		assert_int_equal(keyring_zone_epoch(k, 2, &epoch), 0);
		assert_int_equal(epoch, 1);
		keyring_close(k);
	}
	buf_free(&file);
	buf_free(&want);
}

static int setup(void **state)
{
	(void)state;
	log_to(open("/dev/null", O_WRONLY));
	return crypt_init();
}

#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, dir_make, dir_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(every_secret_opens),
		IN_DIR(refused),
		IN_DIR(created_once),
		IN_DIR(zones),
		IN_DIR(zone_not_written),
		IN_DIR(wrapping),
		IN_DIR(every_byte_counts),
		IN_DIR(bounds),
		cmocka_unit_test(bad_tables),
		IN_DIR(threads),
		IN_DIR(vectors),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
