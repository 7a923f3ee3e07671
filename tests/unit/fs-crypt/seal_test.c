/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "base/err.h"
#include "fs/crypt/seal.h"
#include "fs/crypt/secret.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/fs-crypt/fixed_random.h"
#include "tests/unit/fs-crypt/vectors.h"

#include <sodium.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static const uint8_t key[SEAL_KEY_BYTES] = { 5, 4, 3 };

static void round_trips(void **state)
{
	static const size_t lens[] = { 0, 1, 15, 16, 17, 4096, 16384, 100000 };

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		size_t len = lens[i];
		uint8_t *plain = malloc(len + 1), *box = malloc(len + SEAL_OVERHEAD), *again = malloc(len + 1);

		randombytes_buf(plain, len);
		seal(box, plain, len, "ad", 2, key);
		assert_int_equal(unseal(again, box, len + SEAL_OVERHEAD, "ad", 2, key), 0);
		assert_memory_equal(again, plain, len);
		seal(box, plain, len, NULL, 0, key);
		assert_int_equal(unseal(again, box, len + SEAL_OVERHEAD, NULL, 0, key), 0);
		free(plain);
		free(box);
		free(again);
	}
}

static void every_bit_counts(void **state)
{
	uint8_t box[20 + SEAL_OVERHEAD], out[20], other[SEAL_KEY_BYTES] = { 5, 4, 2 };

	(void)state;
	seal(box, "twenty bytes of text", 20, "where", 5, key);
	for (size_t bit = 0; bit < 8 * sizeof(box); bit++) {
		box[bit / 8] ^= (uint8_t)(1 << bit % 8);
		memset(out, 1, sizeof(out));
		assert_int_equal(unseal(out, box, sizeof(box), "where", 5, key), -ERR_TAMPERED);
		assert_true(sodium_is_zero(out, sizeof(out)));
		box[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t len = 0; len < sizeof(box); len++)
		assert_int_equal(unseal(out, box, len, "where", 5, key), -ERR_TAMPERED);
	assert_int_equal(unseal(out, box, sizeof(box), "wherE", 5, key), -ERR_TAMPERED);
	assert_int_equal(unseal(out, box, sizeof(box), "wher", 4, key), -ERR_TAMPERED);
	assert_int_equal(unseal(out, box, sizeof(box), "where", 5, other), -ERR_TAMPERED);
	assert_int_equal(unseal(out, box, sizeof(box), "where", 5, key), 0);
}

static void slots(void **state)
{
	enum { N = 130 };
	const struct slot_ad ad = { 77, 3, 900, 1234567890123ULL };
	uint8_t *plain = malloc(N * SLOT_DATA), *slots = malloc(N * SLOT_BYTES), out[SLOT_DATA];

	(void)state;
	randombytes_buf(plain, N * SLOT_DATA);
	slots_seal(slots, plain, N, &ad, key);
	for (unsigned i = 0; i < N; i++) {
		struct slot_ad at = { ad.ino, ad.block, ad.unit + i, ad.seq + i };

		assert_int_equal(slot_open(out, slots + i * SLOT_BYTES, &at, key), 0);
		assert_memory_equal(out, plain + i * SLOT_DATA, SLOT_DATA);
		assert_int_equal(get_le32(slots + i * SLOT_BYTES + 40), SLOT_DATA);
		for (unsigned j = 0; j < i; j++)
			assert_memory_not_equal(slots + i * SLOT_BYTES, slots + j * SLOT_BYTES, SEAL_NONCE_BYTES);
	}
	free(plain);
	free(slots);
}

/* pages from anywhere, each for a place of its own */
static void pages(void **state)
{
	static const uint32_t unit[] = { 5, 1000, 7, 0 };
	static const struct slot_ad ad = { 77, 3, 900, 1234567890123ULL };
	uint8_t plain[4][SLOT_DATA], slots[4 * SLOT_BYTES], out[SLOT_DATA];
	const uint8_t *const page[] = { plain[2], plain[0], plain[3], plain[1] };

	(void)state;
	randombytes_buf(plain, sizeof plain);
	slots_seal_pages(slots, page, unit, 4, &ad, key);
	for (unsigned i = 0; i < 4; i++) {
		struct slot_ad at = { ad.ino, ad.block, unit[i], ad.seq + i };

		assert_int_equal(slot_open(out, slots + i * SLOT_BYTES, &at, key), 0);
		assert_memory_equal(out, page[i], SLOT_DATA);
		at.unit++;
		assert_int_equal(slot_open(out, slots + i * SLOT_BYTES, &at, key), -ERR_TAMPERED);
		for (unsigned j = 0; j < i; j++)
			assert_memory_not_equal(slots + i * SLOT_BYTES, slots + j * SLOT_BYTES, SEAL_NONCE_BYTES);
	}
}

static void slot_elsewhere(void **state)
{
	static const struct slot_ad ad = { 10, 20, 30, 40 };
	static const struct slot_ad others[] = {
		{ 11, 20, 30, 40 },
		{ 10, 21, 30, 40 },
		{ 10, 20, 31, 40 },
		{ 10, 20, 30, 41 },
		{ 10, 20, 30, 39 },
		{ 10ULL << 32, 20, 30, 40 },
	};
	uint8_t plain[SLOT_DATA] = { 1 }, slot[SLOT_BYTES], out[SLOT_DATA];

	(void)state;
	slots_seal(slot, plain, 1, &ad, key);
	assert_int_equal(slot_open(out, slot, &ad, key), 0);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		memset(out, 1, sizeof(out));
		assert_int_equal(slot_open(out, slot, &others[i], key), -ERR_TAMPERED);
		assert_true(sodium_is_zero(out, sizeof(out)));
	}
	for (size_t i = 0; i < SLOT_BYTES; i++) {
		slot[i] ^= 0x10;
		assert_int_equal(slot_open(out, slot, &ad, key), -ERR_TAMPERED);
		slot[i] ^= 0x10;
	}
}

static void vectors(void **state)
{
	static const struct slot_ad ad = { 0x1122334455667788, 0x99aabbcc, 0x0a0b0c0d, 0x0102030405060708 };
	uint8_t k[32], plain[SLOT_DATA], slot[SLOT_BYTES], hash[32], out[SLOT_DATA];

	(void)state;
	for (int i = 0; i < 32; i++)
		k[i] = (uint8_t)(0x80 + i);
	for (int i = 0; i < SLOT_DATA; i++)
		plain[i] = (uint8_t)(i % 251);
	fixed_random_start(0x40);
	slots_seal(slot, plain, 1, &ad, k);
	fixed_random_stop();
	vector_equal("slot-start", slot, 128);
	crypto_generichash(hash, sizeof(hash), slot, sizeof(slot), NULL, 0);
	vector_equal("slot-hash", hash, sizeof(hash));
	assert_int_equal(slot_open(out, slot, &ad, k), 0);
	assert_memory_equal(out, plain, SLOT_DATA);
}

static void no_core_dumps(void **state)
{
	struct rlimit core;

	(void)state;
	assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
	assert_int_equal(getrlimit(RLIMIT_CORE, &core), 0);
	assert_int_equal(core.rlim_max, 0);
}

static void secret_memory(void **state)
{
	uint8_t *p = secret_alloc(100);

	(void)state;
	assert_non_null(p);
	assert_true(sodium_is_zero(p, 100));
	memset(p, 1, 100);
	secret_free(p);
	secret_free(NULL);
}

static void speed(void **state)
{
	enum { LEN = 4 << 20, ROUNDS = 32 };
	const struct slot_ad ad = { 1, 2, 3, 4 };
	uint8_t *plain = calloc(1, LEN), *out = malloc(LEN / SLOT_DATA * SLOT_BYTES);
	int64_t start = clock_mono_ns();

	(void)state;
	for (int i = 0; i < ROUNDS; i++)
		slots_seal(out, plain, LEN / SLOT_DATA, &ad, key);
	print_message("slots sealed: %.0f MB/s\n", (double)LEN * ROUNDS * 1e3 / (double)(clock_mono_ns() - start));
	start = clock_mono_ns();
	for (int i = 0; i < ROUNDS; i++)
		for (int s = 0; s < LEN / 16384; s++)
			seal(out + s * (16384 + SEAL_OVERHEAD), plain + s * 16384, 16384, "ad", 2, key);
	print_message("segments sealed: %.0f MB/s\n", (double)LEN * ROUNDS * 1e3 / (double)(clock_mono_ns() - start));
	free(plain);
	free(out);
}

static int setup(void **state)
{
	(void)state;
	return crypt_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trips),
		cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(slots),
		cmocka_unit_test(pages),
		cmocka_unit_test(slot_elsewhere),
		cmocka_unit_test(vectors),
		cmocka_unit_test(no_core_dumps),
		cmocka_unit_test(secret_memory),
		cmocka_unit_test(speed),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
