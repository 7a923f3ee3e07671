/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/crypt/object.h"
#include "base/text.h"
#include "fs/crypt/secret.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define OBJECT_MAGIC   "bordobj\0"
#define OBJECT_VERSION 1U
#define PLAIN_MAX      (16U << 20) /* bytes before padding */
#define MEMBERS_MAX    65536U	   /* of a pack: 16 MiB in pieces of 256 bytes on the average */

/* header: magic 8, version 4, id 16, zone 4, epoch 4, wrapped key 72, length of the sealed inner header 4 */
#define AT_VERSION 8
#define AT_ID	   12
#define AT_ZONE	   28
#define AT_EPOCH   32
#define AT_WRAPPED 36
#define AT_INNER   (AT_WRAPPED + WRAPPED_KEY_BYTES)
#define HEAD_BYTES (AT_INNER + 4)
#define HEAD_ROUND 256 /* the whole header is a multiple: the members of a pack are not counted from outside */

/* inner header: store id 16, zone 4, plain_bytes 8, member count 4, members, zeros */
#define INNER_FIXED  (STORE_ID_BYTES + 16)
#define MEMBER_BYTES 28
#define INNER_MAX    (MEMBERS_MAX * MEMBER_BYTES + INNER_FIXED + HEAD_ROUND)

#define SEGMENT_AD   (OBJECT_ID_BYTES + 17)

static_assert(HEAD_BYTES + SEAL_OVERHEAD + INNER_FIXED + MEMBER_BYTES <= OBJECT_HEADER_MIN, "a plain object's header");
static_assert(OBJECT_HEADER_MIN == HEAD_ROUND, "the least header is the first step of the rounding");

/* Padmé: lengths keep only as many significant bits as it takes to write their exponent, which leaks O(log log n)
 * bits and costs at most 12 %. */
static uint64_t padme_bytes(uint64_t len)
{
	unsigned e, s;
	uint64_t mask;

	if (len < 2)
		return len;
	e = 63 - (unsigned)__builtin_clzll(len);
	s = e ? 32 - (unsigned)__builtin_clz(e) : 0;
	mask = ((uint64_t)1 << (e - s)) - 1;
	return (len + mask) & ~mask;
}

static uint64_t segment_count(uint64_t plain_bytes)
{
	return plain_bytes / SEGMENT_DATA + (plain_bytes % SEGMENT_DATA != 0);
}

uint64_t object_bytes(const struct object_ref *ref)
{
	return ref->header_bytes + ref->plain_bytes + segment_count(ref->plain_bytes) * SEGMENT_OVERHEAD;
}

static void segment_ad(uint8_t ad[SEGMENT_AD], const struct object_ref *ref, uint64_t segment)
{
	memcpy(ad, ref->id, OBJECT_ID_BYTES);
	put_le64(ad + OBJECT_ID_BYTES, segment);
	put_le64(ad + OBJECT_ID_BYTES + 8, ref->plain_bytes);
	ad[OBJECT_ID_BYTES + 16] = segment + 1 == segment_count(ref->plain_bytes);
}

/* plain bytes of a segment */
static size_t segment_len(const struct object_ref *ref, uint64_t segment)
{
	uint64_t left = ref->plain_bytes - segment * SEGMENT_DATA;

	return left < SEGMENT_DATA ? (size_t)left : SEGMENT_DATA;
}

static int members_check(const struct object_member *m, size_t count, uint64_t plain_len)
{
	if (count == 0 || count > MEMBERS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < count; i++)
		if (m[i].offset > plain_len || m[i].len > plain_len - m[i].offset)
			return -EINVAL;
	return 0;
}

static size_t header_bytes(size_t member_count)
{
	size_t len = HEAD_BYTES + SEAL_OVERHEAD + INNER_FIXED + member_count * MEMBER_BYTES;

	return (len + HEAD_ROUND - 1) / HEAD_ROUND * HEAD_ROUND;
}

static void inner_encode(uint8_t *inner, struct keyring *k, const struct object_ref *ref, const struct object_member *m,
	size_t member_count)
{
	uint8_t *p = inner + INNER_FIXED;

	memcpy(inner, keyring_store_id(k), STORE_ID_BYTES);
	put_le32(inner + STORE_ID_BYTES, ref->zone);
	put_le64(inner + STORE_ID_BYTES + 4, ref->plain_bytes);
	put_le32(inner + STORE_ID_BYTES + 12, (uint32_t)member_count);
	for (size_t i = 0; i < member_count; i++, p += MEMBER_BYTES) {
		put_le64(p, m[i].ino);
		put_le32(p + 8, m[i].block);
		put_le64(p + 12, m[i].offset);
		put_le64(p + 20, m[i].len);
	}
}

static int header_seal(uint8_t *out, struct keyring *k, const struct object_ref *ref, const struct object_member *m,
	size_t member_count, const uint8_t *key)
{
	size_t inner_len = ref->header_bytes - HEAD_BYTES - SEAL_OVERHEAD;
	uint8_t *inner = calloc(1, inner_len);

	if (!inner)
		return -ENOMEM;
	memcpy(out, OBJECT_MAGIC, AT_VERSION);
	put_le32(out + AT_VERSION, OBJECT_VERSION);
	memcpy(out + AT_ID, ref->id, OBJECT_ID_BYTES);
	put_le32(out + AT_ZONE, ref->zone);
	put_le32(out + AT_EPOCH, ref->epoch);
	memcpy(out + AT_WRAPPED, ref->wrapped, WRAPPED_KEY_BYTES);
	put_le32(out + AT_INNER, (uint32_t)(inner_len + SEAL_OVERHEAD));
	inner_encode(inner, k, ref, m, member_count);
	seal(out + HEAD_BYTES, inner, inner_len, out, HEAD_BYTES, key);
	sodium_memzero(inner, inner_len);
	free(inner);
	return 0;
}

/* One segment; where the padding begins inside it, the plaintext is put together in a buffer first. */
static void segment_seal(uint8_t *out, const struct object_ref *ref, uint64_t segment, const uint8_t *plain,
	size_t plain_len, const uint8_t *key)
{
	uint64_t off = segment * SEGMENT_DATA;
	size_t len = segment_len(ref, segment), have = off < plain_len ? plain_len - (size_t)off : 0;
	uint8_t ad[SEGMENT_AD], padded[SEGMENT_DATA];

	segment_ad(ad, ref, segment);
	if (have >= len) {
		seal(out, plain + off, len, ad, sizeof(ad), key);
		return;
	}
	memset(padded, 0, sizeof(padded));
	if (have)
		memcpy(padded, plain + off, have);
	seal(out, padded, len, ad, sizeof(ad), key);
	sodium_memzero(padded, sizeof(padded));
}

static int body_seal(struct keyring *k, const struct object_ref *ref, const struct object_member *members,
	size_t member_count, const void *plain, size_t plain_len, const uint8_t *key, struct buf *out)
{
	uint64_t len = object_bytes(ref), n = segment_count(ref->plain_bytes);
	uint8_t *to = buf_reserve(out, len);
	int rc;

	if (!to)
		return -ENOMEM;
	if ((rc = header_seal(to, k, ref, members, member_count, key)) < 0)
		return rc;
	for (uint64_t i = 0; i < n; i++)
		segment_seal(to + ref->header_bytes + i * SEGMENT_BYTES, ref, i, plain, plain_len, key);
	out->len += len;
	return 0;
}

int object_seal(struct keyring *k, uint32_t zone_id, const struct object_member *members, size_t member_count,
	const void *plain, size_t plain_len, bool padme, struct buf *out, struct object_ref *ref)
{
	uint8_t *key = NULL;
	int rc;

	if (plain_len == 0 || plain_len > PLAIN_MAX)
		return -EINVAL;
	if ((rc = members_check(members, member_count, plain_len)) < 0)
		return rc;
	key = secret_alloc(SEAL_KEY_BYTES);
	if (!key)
		return -ENOMEM;
	memset(ref, 0, sizeof(*ref));
	ref->zone = zone_id;
	ref->header_bytes = (uint32_t)header_bytes(member_count);
	ref->plain_bytes = padme ? padme_bytes(plain_len) : plain_len;
	randombytes_buf(ref->id, sizeof(ref->id));
	randombytes_buf(key, SEAL_KEY_BYTES);
	if ((rc = keyring_zone_epoch(k, zone_id, &ref->epoch)) < 0)
		goto out;
	if ((rc = keyring_wrap(k, zone_id, ref->epoch, ref->id, key, ref->wrapped)) < 0)
		goto out;
	rc = body_seal(k, ref, members, member_count, plain, plain_len, key, out);
out:
	secret_free(key);
	return rc;
}

int object_range(const struct object_ref *ref, uint64_t off, uint64_t len, struct object_range *range)
{
	uint64_t first, last, end;

	if (len == 0 || off > ref->plain_bytes || len > ref->plain_bytes - off)
		return -ERANGE;
	first = off / SEGMENT_DATA;
	last = (off + len - 1) / SEGMENT_DATA;
	end = last * SEGMENT_DATA + segment_len(ref, last);
	range->first_segment = first;
	range->plain_off = first * SEGMENT_DATA;
	range->plain_len = end - range->plain_off;
	range->object_off = ref->header_bytes + first * SEGMENT_BYTES;
	range->object_len = range->plain_len + (last - first + 1) * SEGMENT_OVERHEAD;
	return 0;
}

int object_open_range(
	struct keyring *k, const struct object_ref *ref, const struct object_range *range, const void *body, void *out)
{
	uint8_t ad[SEGMENT_AD], *to = out, *key = secret_alloc(SEAL_KEY_BYTES);
	const uint8_t *box = body;
	uint64_t left = range->plain_len;
	int rc = -ENOMEM;

	if (!key)
		goto out;
	rc = keyring_unwrap(k, ref->zone, ref->epoch, ref->id, ref->wrapped, key);
	for (uint64_t i = range->first_segment; rc == 0 && left; i++) {
		size_t len = segment_len(ref, i);

		segment_ad(ad, ref, i);
		rc = unseal(to, box, len + SEGMENT_OVERHEAD, ad, sizeof(ad), key);
		box += len + SEGMENT_OVERHEAD;
		to += len;
		left -= len;
	}
out:
	if (rc < 0)
		sodium_memzero(out, range->plain_len);
	secret_free(key);
	return rc;
}

static int inner_decode(const uint8_t *inner, size_t inner_len, struct keyring *k, struct object_ref *ref,
	struct object_member **members, size_t *member_count)
{
	struct reader r = { inner, inner + inner_len, 0 };
	const uint8_t *store_id = reader_bytes(&r, STORE_ID_BYTES);
	uint32_t zone = reader_u32(&r), count;
	struct object_member *m;

	ref->plain_bytes = reader_u64(&r);
	count = reader_u32(&r);
	if (r.err || memcmp(store_id, keyring_store_id(k), STORE_ID_BYTES) != 0 || zone != ref->zone)
		return -ERR_TAMPERED;
	if (ref->plain_bytes == 0 || ref->plain_bytes > 2 * PLAIN_MAX || count > MEMBERS_MAX ||
		header_bytes(count) != ref->header_bytes)
		return -ERR_FORMAT;
	m = calloc(count + 1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		m[i].ino = reader_u64(&r);
		m[i].block = reader_u32(&r);
		m[i].offset = reader_u64(&r);
		m[i].len = reader_u64(&r);
	}
	if (members_check(m, count, ref->plain_bytes) < 0 || !sodium_is_zero(r.p, (size_t)(r.end - r.p))) {
		free(m);
		return -ERR_FORMAT;
	}
	*members = m;
	*member_count = count;
	return 0;
}

/* magic, version and lengths of the outer header */
static int header_decode(const uint8_t *head, size_t len, struct object_ref *ref, size_t *need)
{
	uint32_t inner;

	memset(ref, 0, sizeof(*ref));
	*need = OBJECT_HEADER_MIN;
	if (len < OBJECT_HEADER_MIN)
		return -ERANGE;
	if (memcmp(head, OBJECT_MAGIC, AT_VERSION) != 0 || get_le32(head + AT_VERSION) == 0)
		return -ERR_FORMAT;
	if (get_le32(head + AT_VERSION) > OBJECT_VERSION)
		return -ERR_NEWER;
	inner = get_le32(head + AT_INNER);
	if (inner < SEAL_OVERHEAD + INNER_FIXED || inner > INNER_MAX || (inner + HEAD_BYTES) % HEAD_ROUND != 0)
		return -ERR_FORMAT;
	memcpy(ref->id, head + AT_ID, OBJECT_ID_BYTES);
	ref->zone = get_le32(head + AT_ZONE);
	ref->epoch = get_le32(head + AT_EPOCH);
	memcpy(ref->wrapped, head + AT_WRAPPED, WRAPPED_KEY_BYTES);
	ref->header_bytes = HEAD_BYTES + inner;
	*need = ref->header_bytes;
	return len < ref->header_bytes ? -ERANGE : 0;
}

int object_open_header(struct keyring *k, const void *head, size_t len, struct object_ref *ref,
	struct object_member **members, size_t *member_count, size_t *need)
{
	const uint8_t *h = head;
	uint8_t *inner = NULL, *key = NULL;
	size_t box_len;
	int rc = header_decode(h, len, ref, need);

	if (rc < 0)
		return rc;
	box_len = ref->header_bytes - HEAD_BYTES;
	key = secret_alloc(SEAL_KEY_BYTES);
	inner = malloc(box_len);
	rc = -ENOMEM;
	if (!key || !inner)
		goto out;
	if ((rc = keyring_unwrap(k, ref->zone, ref->epoch, ref->id, ref->wrapped, key)) < 0)
		goto out;
	if ((rc = unseal(inner, h + HEAD_BYTES, box_len, h, HEAD_BYTES, key)) < 0)
		goto out;
	rc = inner_decode(inner, box_len - SEAL_OVERHEAD, k, ref, members, member_count);
	sodium_memzero(inner, box_len);
out:
	free(inner);
	secret_free(key);
	return rc;
}

void object_name(const uint8_t id[OBJECT_ID_BYTES], char out[OBJECT_NAME_BYTES])
{
	text_hex(id, OBJECT_ID_BYTES, out + 3);
	out[0] = out[3];
	out[1] = out[4];
	out[2] = '/';
}

int object_name_parse(const char *name, uint8_t id[OBJECT_ID_BYTES])
{
	char again[OBJECT_NAME_BYTES];

	if (strlen(name) != OBJECT_NAME_BYTES - 1 || text_unhex(name + 3, id, OBJECT_ID_BYTES) < 0)
		return -EINVAL;
	/* one name an object: upper case and a directory that is not the name's own are no names of ours */
	object_name(id, again);
	return strcmp(name, again) == 0 ? 0 : -EINVAL;
}
