/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/err.h"
#include "base/log.h"
#include "fs/crypt/object.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/fs-crypt/fixed_random.h"
#include "tests/unit/fs-crypt/vectors.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static const struct unlock passphrase = { UNLOCK_PASSPHRASE, "correct horse", 13 };

/* two stores, the first with the zones 1 and 2 */
static struct keyring *ring, *stranger;
static uint32_t zone, zone2;

static struct keyring *ring_make(void)
{
	char dir[64], *words = NULL;
	struct keyring *k = NULL;
	int fd;

	snprintf(dir, sizeof(dir), "%s/borderfs-object-XXXXXX", getenv("TEST_TMP") ? getenv("TEST_TMP") : "/tmp");
	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(keyring_create(&k, fd, &passphrase, 1, KDF_MINIMUM, &words, NULL), 0);
	secret_free_text(words);
	assert_int_equal(keyring_zone(k, "home", &zone, NULL), 0);
	assert_int_equal(keyring_zone(k, "abroad", &zone2, NULL), 0);
	unlinkat(fd, "keys", 0);
	close(fd);
	rmdir(dir);
	return k;
}

static int setup(void **state)
{
	(void)state;
	log_to(open("/dev/null", O_WRONLY));
	if (crypt_init() < 0)
		return -1;
	ring = ring_make();
	stranger = ring_make();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	keyring_close(ring);
	keyring_close(stranger);
	return 0;
}

static uint8_t *pattern(size_t len)
{
	uint8_t *p = malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8) * 13);
	return p;
}

static void seal_one(const uint8_t *plain, size_t len, bool padme, struct buf *out, struct object_ref *ref)
{
	const struct object_member m = { 42, 7, 0, len };

	assert_int_equal(object_seal(ring, zone, &m, 1, plain, len, padme, out, ref), 0);
	assert_int_equal(out->len, object_bytes(ref));
}

/* reads [off, off + len) back and compares */
static void range_is(
	const struct buf *body, const struct object_ref *ref, uint64_t off, uint64_t len, const uint8_t *plain)
{
	struct object_range r;
	uint8_t *out;

	assert_int_equal(object_range(ref, off, len, &r), 0);
	assert_true(r.plain_off <= off && r.plain_off + r.plain_len >= off + len);
	assert_true(r.object_off + r.object_len <= body->len);
	out = malloc(r.plain_len);
	assert_int_equal(object_open_range(ring, ref, &r, body->data + r.object_off, out), 0);
	assert_memory_equal(out + (off - r.plain_off), plain + off, len);
	free(out);
}

static void round_trips(void **state)
{
	static const size_t lens[] = { 1, 100, 16383, 16384, 16385, 32768, 100000, 4 << 20 };

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		uint8_t *plain = pattern(lens[i]);
		struct buf body = BUF_INIT;
		struct object_ref ref;

		seal_one(plain, lens[i], false, &body, &ref);
		assert_int_equal(ref.plain_bytes, lens[i]);
		assert_int_equal(ref.header_bytes, OBJECT_HEADER_MIN);
		assert_int_equal(body.len, 256 + lens[i] + (lens[i] + 16383) / 16384 * 40);
		range_is(&body, &ref, 0, lens[i], plain);
		range_is(&body, &ref, lens[i] - 1, 1, plain);
		range_is(&body, &ref, lens[i] / 2, lens[i] - lens[i] / 2, plain);
		range_is(&body, &ref, 0, 1, plain);
		free(plain);
		buf_free(&body);
	}
}

static void ranges(void **state)
{
	static const struct {
		uint64_t off, len, object_off, object_len, plain_off, plain_len, first;
	} rows[] = {
		{ 0, 1, 256, 16424, 0, 16384, 0 },
		{ 16383, 1, 256, 16424, 0, 16384, 0 },
		{ 16383, 2, 256, 32848, 0, 32768, 0 },
		{ 16384, 1, 16680, 16424, 16384, 16384, 1 },
		{ 39999, 1, 33104, 7272, 32768, 7232, 2 },
		{ 0, 40000, 256, 40120, 0, 40000, 0 },
	};
	static const struct {
		uint64_t off, len;
	} bad[] = { { 0, 0 }, { 0, 40001 }, { 40000, 1 }, { 40001, 0 }, { UINT64_MAX, 2 }, { 2, UINT64_MAX } };
	const struct object_ref ref = { .header_bytes = 256, .plain_bytes = 40000 };
	struct object_range r;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(object_range(&ref, rows[i].off, rows[i].len, &r), 0);
		assert_int_equal(r.object_off, rows[i].object_off);
		assert_int_equal(r.object_len, rows[i].object_len);
		assert_int_equal(r.plain_off, rows[i].plain_off);
		assert_int_equal(r.plain_len, rows[i].plain_len);
		assert_int_equal(r.first_segment, rows[i].first);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(object_range(&ref, bad[i].off, bad[i].len, &r), -ERANGE);
}

static int open_whole(struct keyring *k, const struct object_ref *ref, const uint8_t *body, uint8_t *out)
{
	struct object_range r;

	assert_int_equal(object_range(ref, 0, ref->plain_bytes, &r), 0);
	return object_open_range(k, ref, &r, body + r.object_off, out);
}

/* I6: changed, swapped, truncated, of another object, of another key */
static void tampering(void **state)
{
	size_t len = 3 * SEGMENT_DATA + 500;
	uint8_t *plain = pattern(len), *out = malloc(len), segment[SEGMENT_BYTES];
	struct buf body = BUF_INIT, other = BUF_INIT;
	struct object_ref ref, other_ref, bad;

	(void)state;
	seal_one(plain, len, false, &body, &ref);
	seal_one(plain, len, false, &other, &other_ref);
	assert_int_equal(open_whole(ring, &ref, body.data, out), 0);
	for (size_t i = ref.header_bytes; i < body.len; i += i % SEGMENT_BYTES < 300 ? 1 : 97) {
		body.data[i] ^= 0x20;
		memset(out, 1, len);
		assert_int_equal(open_whole(ring, &ref, body.data, out), -ERR_TAMPERED);
		assert_true(sodium_is_zero(out, len));
		body.data[i] ^= 0x20;
	}
	/* segments 1 and 2 exchanged */
	memcpy(segment, body.data + 256 + SEGMENT_BYTES, SEGMENT_BYTES);
	memmove(body.data + 256 + SEGMENT_BYTES, body.data + 256 + 2 * SEGMENT_BYTES, SEGMENT_BYTES);
	memcpy(body.data + 256 + 2 * SEGMENT_BYTES, segment, SEGMENT_BYTES);
	assert_int_equal(open_whole(ring, &ref, body.data, out), -ERR_TAMPERED);
	/* a segment of another object at the same place */
	memcpy(other.data + 256, body.data + 256, SEGMENT_BYTES);
	assert_int_equal(open_whole(ring, &other_ref, other.data, out), -ERR_TAMPERED);
	/* a shorter object made of the same segments: length and last flag are authenticated */
	bad = ref;
	bad.plain_bytes = SEGMENT_DATA;
	assert_int_equal(open_whole(ring, &bad, body.data, out), -ERR_TAMPERED);
	/* a reference with a wrong zone, epoch, id or key */
	bad = ref;
	bad.zone = zone2;
	assert_int_equal(open_whole(ring, &bad, body.data, out), -ERR_TAMPERED);
	bad = ref;
	bad.epoch = 2;
	assert_int_equal(open_whole(ring, &bad, body.data, out), -ERR_KEY);
	bad = ref;
	bad.id[3] ^= 1;
	assert_int_equal(open_whole(ring, &bad, body.data, out), -ERR_TAMPERED);
	assert_int_equal(open_whole(stranger, &ref, body.data, out), -ERR_TAMPERED);
	free(plain);
	free(out);
	buf_free(&body);
	buf_free(&other);
}

static void header(void **state)
{
	uint8_t *plain = pattern(1000);
	struct buf body = BUF_INIT;
	struct object_ref ref, again;
	struct object_member *m = NULL;
	size_t count = 0, need = 0;

	(void)state;
	seal_one(plain, 1000, false, &body, &ref);
	for (size_t len = 0; len < OBJECT_HEADER_MIN; len++) {
		assert_int_equal(object_open_header(ring, body.data, len, &again, &m, &count, &need), -ERANGE);
		assert_int_equal(need, OBJECT_HEADER_MIN);
	}
	assert_int_equal(object_open_header(ring, body.data, 256, &again, &m, &count, &need), 0);
	assert_memory_equal(again.id, ref.id, sizeof(ref.id));
	assert_memory_equal(again.wrapped, ref.wrapped, sizeof(ref.wrapped));
	assert_int_equal(again.zone, zone);
	assert_int_equal(again.epoch, 1);
	assert_int_equal(again.header_bytes, 256);
	assert_int_equal(again.plain_bytes, 1000);
	assert_int_equal(count, 1);
	assert_int_equal(m[0].ino, 42);
	assert_int_equal(m[0].block, 7);
	assert_int_equal(m[0].offset, 0);
	assert_int_equal(m[0].len, 1000);
	free(m);
	assert_int_equal(object_open_header(stranger, body.data, 256, &again, &m, &count, &need), -ERR_TAMPERED);
	for (size_t i = 0; i < OBJECT_HEADER_MIN; i++) {
		int rc;

		body.data[i] ^= 0x41;
		rc = object_open_header(ring, body.data, body.len, &again, &m, &count, &need);
		if (i < 8)
			assert_int_equal(rc, -ERR_FORMAT);
		else if (i < 12)
			assert_int_equal(rc, -ERR_NEWER);
		else if (i < 28 || (i >= 36 && i < 108) || i >= 112)
			assert_int_equal(rc, -ERR_TAMPERED);
		else if (i < 36)
			assert_int_equal(rc, -ERR_KEY);
		else /* another length: none of ours, or more than is there */
			assert_int_equal(rc, i == 109 ? -ERANGE : -ERR_FORMAT);
		body.data[i] ^= 0x41;
	}
	free(plain);
	buf_free(&body);
}

static void packs(void **state)
{
	enum { N = 300, EACH = 333 };
	uint8_t *plain = pattern(N * EACH);
	struct object_member in[N], *m = NULL;
	struct buf body = BUF_INIT;
	struct object_ref ref, again;
	size_t count = 0, need = 0;

	(void)state;
	for (unsigned i = 0; i < N; i++)
		in[i] = (struct object_member){ 1000 + i, i % 3, (uint64_t)i * EACH, EACH };
	assert_int_equal(object_seal(ring, zone2, in, N, plain, N * EACH, false, &body, &ref), 0);
	assert_int_equal(ref.header_bytes, 8704);
	assert_int_equal(object_open_header(ring, body.data, 256, &again, &m, &count, &need), -ERANGE);
	assert_int_equal(need, ref.header_bytes);
	assert_int_equal(object_open_header(ring, body.data, need, &again, &m, &count, &need), 0);
	assert_int_equal(count, N);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(m[i].ino, 1000 + i);
		assert_int_equal(m[i].block, i % 3);
		range_is(&body, &again, m[i].offset, m[i].len, plain);
	}
	free(m);
	free(plain);
	buf_free(&body);
}

static void padding(void **state)
{
	/* lengths and their Padmé sizes, worked out by hand from the paper's algorithm */
	static const struct {
		size_t len;
		uint64_t padded;
	} rows[] = {
		{ 1, 1 },
		{ 2, 2 },
		{ 8, 8 },
		{ 9, 10 },
		{ 100, 104 },
		{ 1000, 1024 },
		{ 1025, 1088 },
		{ 16384, 16384 },
		{ 16385, 17408 },
		{ 65537, 67584 },
		{ 1000000, 1015808 },
		{ 4 << 20, 4 << 20 },
		{ (16 << 20) - 1, 16 << 20 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t *plain = pattern(rows[i].len), *out;
		struct buf body = BUF_INIT;
		struct object_ref ref;

		seal_one(plain, rows[i].len, true, &body, &ref);
		assert_int_equal(ref.plain_bytes, rows[i].padded);
		out = malloc(ref.plain_bytes);
		assert_int_equal(open_whole(ring, &ref, body.data, out), 0);
		assert_memory_equal(out, plain, rows[i].len);
		assert_true(sodium_is_zero(out + rows[i].len, ref.plain_bytes - rows[i].len));
		free(out);
		free(plain);
		buf_free(&body);
	}
}

static void sealed_once(void **state)
{
	uint8_t *plain = pattern(100);
	struct buf a = BUF_INIT, b = BUF_INIT;
	struct object_ref ra, rb;

	(void)state;
	seal_one(plain, 100, false, &a, &ra);
	seal_one(plain, 100, false, &b, &rb);
	assert_memory_not_equal(ra.id, rb.id, sizeof(ra.id));
	assert_memory_not_equal(ra.wrapped, rb.wrapped, sizeof(ra.wrapped));
	assert_memory_not_equal(a.data + 256, b.data + 256, 100);
	free(plain);
	buf_free(&a);
	buf_free(&b);
}

static void refused(void **state)
{
	static const struct object_member ok = { 1, 0, 0, 10 }, beyond = { 1, 0, 1, 10 },
					  wraps = { 1, 0, 2, UINT64_MAX };
	const struct {
		uint32_t zone;
		const struct object_member *m;
		size_t count, len;
		int rc;
	} rows[] = {
		{ zone, &ok, 1, 0, -EINVAL },
		{ zone, &ok, 1, (16 << 20) + 1, -EINVAL },
		{ zone, &ok, 0, 10, -EINVAL },
		{ zone, &ok, 65537, 10, -EINVAL },
		{ zone, &beyond, 1, 10, -EINVAL },
		{ zone, &wraps, 1, 10, -EINVAL },
		{ 77, &ok, 1, 10, -ERR_KEY },
	};
	uint8_t plain[10] = { 0 };
	struct buf out = BUF_INIT;
	struct object_ref ref;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(object_seal(ring, rows[i].zone, rows[i].m, rows[i].count, plain, rows[i].len, false,
					 &out, &ref),
			rows[i].rc);
		assert_int_equal(out.len, 0);
	}
	buf_free(&out);
}

static void names(void **state)
{
	static const char *const bad[] = {
		"",
		"00/000102030405060708090a0b0c0d0e0",
		"00/000102030405060708090a0b0c0d0e0f0",
		"01/000102030405060708090a0b0c0d0e0f",
		"00-000102030405060708090a0b0c0d0e0f",
		"00/000102030405060708090A0B0C0D0E0F",
		"00/000102030405060708090a0b0c0d0e0g",
		"000/00102030405060708090a0b0c0d0e0f",
	};
	uint8_t id[OBJECT_ID_BYTES], again[OBJECT_ID_BYTES];
	char name[OBJECT_NAME_BYTES];

	(void)state;
	for (int i = 0; i < OBJECT_ID_BYTES; i++)
		id[i] = (uint8_t)i;
	object_name(id, name);
	assert_string_equal(name, "00/000102030405060708090a0b0c0d0e0f");
	assert_int_equal(object_name_parse(name, again), 0);
	assert_memory_equal(id, again, sizeof(id));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(object_name_parse(bad[i], again), -EINVAL);
}

/* the documented object, byte for byte: sealed by the documented keyring */
static void vectors(void **state)
{
	static const struct object_member m = { 0x1122334455667788, 3, 0, 27 };
	char dir[64];
	struct buf keys = BUF_INIT, body = BUF_INIT;
	struct object_ref ref, again;
	struct object_member *members;
	struct keyring *k;
	size_t count, need;
	uint8_t out[27];
	int fd;

	(void)state;
	snprintf(dir, sizeof(dir), "%s/borderfs-object-XXXXXX", getenv("TEST_TMP") ? getenv("TEST_TMP") : "/tmp");
	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	vector_load("keys", &keys);
	assert_int_equal(file_replace(fd, "keys", keys.data, keys.len, 0600), 0);
	assert_int_equal(keyring_open(&k, fd, &passphrase, NULL), 0);
	fixed_random_start(0);
	assert_int_equal(object_seal(k, 2, &m, 1, "a line of the file, sealed\n", 27, false, &body, &ref), 0);
	fixed_random_stop();
	vector_equal("object", body.data, body.len);
	assert_int_equal(object_open_header(k, body.data, body.len, &again, &members, &count, &need), 0);
	assert_int_equal(members[0].ino, m.ino);
	free(members);
	assert_int_equal(open_whole(k, &again, body.data, out), 0);
	assert_memory_equal(out, "a line of the file, sealed\n", 27);
	keyring_close(k);
	unlinkat(fd, "keys", 0);
	close(fd);
	rmdir(dir);
	buf_free(&keys);
	buf_free(&body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trips),
		cmocka_unit_test(ranges),
		cmocka_unit_test(tampering),
		cmocka_unit_test(header),
		cmocka_unit_test(packs),
		cmocka_unit_test(padding),
		cmocka_unit_test(sealed_once),
		cmocka_unit_test(refused),
		cmocka_unit_test(names),
		cmocka_unit_test(vectors),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
