/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cache/map.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define UNITS	 1024

static void set(struct map *m, uint32_t unit, uint32_t slot, uint64_t seq)
{
	assert_int_equal(map_reserve(m, unit + 1), 0);
	map_set(m, unit, (struct map_unit){ .slot = slot, .seq = seq });
}

static void assert_same(const struct map *a, const struct map *b)
{
	assert_int_equal(a->len, b->len);
	assert_int_equal(a->file, b->file);
	for (uint32_t u = 0; u < a->len; u++) {
		assert_int_equal(a->v[u].slot, b->v[u].slot);
		if (map_has_slot(a->v[u].slot))
			assert_int_equal(a->v[u].seq, b->v[u].seq);
	}
}

/* There and back; returns the bytes it took. */
static size_t round_trip(const struct map *m)
{
	struct buf buf = BUF_INIT;
	struct map again;
	size_t len;

	map_encode(m, &buf);
	assert_int_equal(buf.err, 0);
	assert_int_equal(map_decode(&again, buf.data, buf.len, UNITS), 0);
	assert_same(m, &again);
	/* every prefix is refused */
	for (size_t n = 0; n < buf.len; n += 1 + buf.len / 64) {
		struct map none;

		assert_int_equal(map_decode(&none, buf.data, n, UNITS), -ERR_CORRUPT);
		assert_null(none.v);
	}
	len = buf.len;
	map_free(&again);
	buf_free(&buf);
	return len;
}

static void empty(void **state)
{
	struct map m = MAP_INIT;

	(void)state;
	assert_true(map_empty(&m));
	assert_int_equal(map_get(&m, 7).slot, MAP_ABSENT);
	assert_int_equal(round_trip(&m), 16);
	map_free(&m);
}

static void runs(void **state)
{
	struct map m = MAP_INIT;

	(void)state;
	m.file = 99;
	for (uint32_t u = 0; u < UNITS; u++)
		set(&m, u, u, 1000 + u);
	assert_int_equal(round_trip(&m), 16 + 20);
	assert_int_equal(map_run(&m, 0, UNITS), UNITS);
	assert_int_equal(map_run(&m, 1000, UNITS), 24);
	/* consecutive slots of other sequences are one read and two runs */
	for (uint32_t u = 512; u < UNITS; u++)
		set(&m, u, u, 9000 + u);
	assert_int_equal(round_trip(&m), 16 + 2 * 20);
	assert_int_equal(map_run(&m, 0, UNITS), UNITS);
	for (uint32_t u = 100; u < 200; u++)
		set(&m, u, MAP_ZERO, 0);
	set(&m, 150, MAP_ABSENT, 0);
	assert_int_equal(round_trip(&m), 16 + 5 * 20);
	assert_int_equal(map_slots(&m), UNITS - 100);
	assert_int_equal(map_run(&m, 100, UNITS), 50);
	map_cut(&m, 151);
	assert_int_equal(m.len, 150);
	map_cut(&m, 0);
	assert_true(map_empty(&m));
	map_free(&m);
}

/* Nothing in order: still under 10 KiB and a header. */
static void scattered(void **state)
{
	static const struct {
		uint32_t slot_step;
		uint64_t seq_base, seq_step;
		size_t most;
	} rows[] = {
		{ 7, 5, 3, 16 + 14 + UNITS * 4 },
		{ 7, UINT64_C(3) << 40, 1000003, 16 + 14 + UNITS * 6 },
		{ 641, UINT64_C(70000) << 40, (UINT64_C(1) << 40) + 12345, 16 + 14 + UNITS * 10 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct map m = MAP_INIT;

		m.file = 1;
		for (uint32_t u = 0; u < UNITS; u++)
			set(&m, u, u * 387 % 1024 * rows[i].slot_step,
				rows[i].seq_base + u * 77 % 1024 * rows[i].seq_step);
		set(&m, 3, MAP_ZERO, 0);
		set(&m, 5, MAP_ABSENT, 0);
		set(&m, 0, MAP_ABSENT, 0);
		assert_in_range(round_trip(&m), 1, rows[i].most);
		map_free(&m);
	}
}

/* Slots at the edge of each width, so that none is taken for a mark. */
static void widths(void **state)
{
	static const uint32_t slots[] = { 0, 253, 254, 255, 256, 65533, 65534, 65535, 65536, MAP_SLOTS_MAX - 1 };
	static const uint64_t seqs[] = { 1, 255, 256, UINT64_C(1) << 40, UINT64_MAX - 2 };

	(void)state;
	for (size_t i = 0; i < COUNT(slots); i++) {
		for (size_t j = 0; j < COUNT(seqs); j++) {
			struct map m = MAP_INIT;

			m.file = 1;
			for (uint32_t u = 0; u < 40; u += 2)
				set(&m, u, u == 20 ? MAP_ZERO : slots[i] - (slots[i] ? u % 4 / 2 : 0),
					seqs[j] - u % 4 / 2);
			round_trip(&m);
			map_free(&m);
		}
	}
}

static void random_maps(void **state)
{
	(void)state;
	srandom(5);
	for (int i = 0; i < 300; i++) {
		struct map m = MAP_INIT, copy;
		uint32_t n = (uint32_t)random() % 60;

		m.file = 1 + (uint64_t)random();
		for (uint32_t k = 0; k < n; k++) {
			uint32_t at = (uint32_t)random() % UNITS, len = (uint32_t)random() % 40,
				 slot = (uint32_t)random() % 4000;
			uint64_t seq = (uint64_t)random() << 20;

			for (uint32_t u = at; u < at + len && u < UNITS; u++)
				set(&m, u,
					k % 5 == 0	      ? MAP_ZERO
					: k % 7 == 0	      ? MAP_ABSENT
					: i % 2 && k % 3 == 0 ? MAP_UNWRITTEN
							      : slot + u,
					seq + u);
		}
		round_trip(&m);
		assert_int_equal(map_copy(&copy, &m), 0);
		assert_same(&m, &copy);
		map_free(&copy);
		map_free(&m);
	}
}

#define HEAD_OF(version, form, count) version, form, 0, 0, count, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0
#define HEAD(form, count)	      HEAD_OF(1, form, count)
#define RUN(unit, n, slot, seq)                                                                                        \
	(unit) & 255, (unit) >> 8, 0, 0, (n)&255, (n) >> 8, 0, 0, (slot)&255, (slot) >> 8 & 255, (slot) >> 16 & 255,   \
		(slot) >> 24, seq, 0, 0, 0, 0, 0, 0, 0

static void hostile(void **state)
{
	static const struct {
		const char *what;
		int rc;
		size_t len;
		uint8_t bytes[80];
	} rows[] = {
		{ "nothing", -ERR_CORRUPT, 0, { 0 } },
		{ "short header", -ERR_CORRUPT, 15, { HEAD(1, 0) } },
		{ "good", 0, 16, { HEAD(1, 0) } },
		{ "good run", 0, 36, { HEAD(1, 1), RUN(3u, 4u, 5u, 6) } },
		{ "newer", -ERR_NEWER, 16, { 3, 1 } },
		{ "version 0", -ERR_CORRUPT, 16, { 0, 1 } },
		{ "form 0", -ERR_CORRUPT, 16, { HEAD(0, 0) } },
		{ "form 3", -ERR_CORRUPT, 16, { HEAD(3, 0) } },
		{ "reserved", -ERR_CORRUPT, 16, { 1, 1, 1 } },
		{ "trailing byte", -ERR_CORRUPT, 17, { HEAD(1, 0) } },
		{ "fewer runs than said", -ERR_CORRUPT, 36, { HEAD(1, 2), RUN(3u, 4u, 5u, 6) } },
		{ "empty run", -ERR_CORRUPT, 36, { HEAD(1, 1), RUN(3u, 0u, 5u, 6) } },
		{ "last unit", 0, 36, { HEAD(1, 1), RUN(1023u, 1u, 5u, 6) } },
		{ "beyond the block", -ERR_CORRUPT, 36, { HEAD(1, 1), RUN(1024u, 1u, 5u, 6) } },
		{ "into beyond", -ERR_CORRUPT, 36, { HEAD(1, 1), RUN(1023u, 2u, 5u, 6) } },
		{ "overlap", -ERR_CORRUPT, 56, { HEAD(1, 2), RUN(3u, 4u, 5u, 6), RUN(6u, 1u, 50u, 6) } },
		{ "touching", 0, 56, { HEAD(1, 2), RUN(3u, 4u, 5u, 6), RUN(7u, 1u, 50u, 6) } },
		{ "descending", -ERR_CORRUPT, 56, { HEAD(1, 2), RUN(3u, 4u, 5u, 6), RUN(1u, 1u, 50u, 6) } },
		{ "absent run", -ERR_CORRUPT, 36, { HEAD(1, 1), RUN(3u, 4u, 0xffffffffu, 0) } },
		{ "zeros", 0, 36, { HEAD(1, 1), RUN(3u, 4u, 0xfffffffeu, 0) } },
		{ "zeros with a sequence", -ERR_CORRUPT, 36, { HEAD(1, 1), RUN(3u, 4u, 0xfffffffeu, 1) } },
		{ "slot too high", -ERR_CORRUPT, 36, { HEAD(1, 1), RUN(3u, 4u, 0xffffeu, 1) } },
		{ "highest slots", 0, 36, { HEAD(1, 1), RUN(3u, 2u, 0xffffeu, 1) } },
		{ "slot that wraps", -ERR_CORRUPT, 36, { HEAD(1, 1), RUN(3u, 4u, 0xfffffffdu, 1) } },
		{ "unwritten of before there was such", -ERR_CORRUPT, 36, { HEAD(1, 1), RUN(3u, 4u, 0xfffffffdu, 0) } },
		{ "unwritten", 0, 36, { HEAD_OF(2, 1, 1), RUN(3u, 4u, 0xfffffffdu, 0) } },
		{ "unwritten with a sequence", -ERR_CORRUPT, 36, { HEAD_OF(2, 1, 1), RUN(3u, 4u, 0xfffffffdu, 1) } },
		{ "slot below the marks", -ERR_CORRUPT, 36, { HEAD_OF(2, 1, 1), RUN(3u, 4u, 0xfffffffcu, 0) } },
		{ "dense unwritten of before", -ERR_CORRUPT, 35,
			{ HEAD(2, 1), 9, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xfd, 0xff, 0xff, 0xff, 0 } },
		{ "dense unwritten", 0, 32, { HEAD_OF(2, 2, 1), 9, 0, 0, 0, 1, 1, 5, 0, 0, 0, 0, 0, 0, 0, 253, 0 } },
		{ "dense unwritten with a sequence", -ERR_CORRUPT, 32,
			{ HEAD_OF(2, 2, 1), 9, 0, 0, 0, 1, 1, 5, 0, 0, 0, 0, 0, 0, 0, 253, 1 } },
		{ "slots of no file", -ERR_CORRUPT, 36,
			{ 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, RUN(3u, 4u, 5u, 6) } },
		{ "dense", 0, 32, { HEAD(2, 1), 9, 0, 0, 0, 1, 1, 5, 0, 0, 0, 0, 0, 0, 0, 7, 2 } },
		{ "dense beyond", -ERR_CORRUPT, 32, { HEAD(2, 1), 0, 4, 0, 0, 1, 1, 5, 0, 0, 0, 0, 0, 0, 0, 7, 2 } },
		{ "no width", -ERR_CORRUPT, 31, { HEAD(2, 1), 9, 0, 0, 0, 0, 1, 5, 0, 0, 0, 0, 0, 0, 0, 2 } },
		{ "wide slot", -ERR_CORRUPT, 36,
			{ HEAD(2, 1), 9, 0, 0, 0, 5, 1, 5, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2 } },
		{ "dense zeros", 0, 32, { HEAD(2, 1), 9, 0, 0, 0, 1, 1, 5, 0, 0, 0, 0, 0, 0, 0, 254, 0 } },
		{ "dense zeros with a sequence", -ERR_CORRUPT, 32,
			{ HEAD(2, 1), 9, 0, 0, 0, 1, 1, 5, 0, 0, 0, 0, 0, 0, 0, 254, 1 } },
		{ "sequence that wraps", -ERR_CORRUPT, 32,
			{ HEAD(2, 1), 9, 0, 0, 0, 1, 1, 255, 255, 255, 255, 255, 255, 255, 255, 7, 2 } },
		{ "dense slot too high", -ERR_CORRUPT, 35,
			{ HEAD(2, 1), 9, 0, 0, 0, 4, 1, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 2 } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct map m;
		int rc = map_decode(&m, rows[i].bytes, rows[i].len, UNITS);

		if (rc != rows[i].rc)
			fail_msg("%s: %s, not %s", rows[i].what, err_name(rc), err_name(rows[i].rc));
		map_free(&m);
	}
}

/* The bytes that docs/FORMAT.md shows. */
static void vector(void **state)
{
	static const uint8_t expected[] = { 1, 1, 0, 0, 2, 0, 0, 0, 0x34, 0x12, 0, 0, 0, 0, 0, 0,
		/* units 0-2 in slots 4-6 under 0x10000000001 to 3 */
		0, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0,
		/* unit 5: zeros */
		5, 0, 0, 0, 1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0 };
	struct map m = MAP_INIT;
	struct buf buf = BUF_INIT;

	(void)state;
	m.file = 0x1234;
	for (uint32_t u = 0; u < 3; u++)
		set(&m, u, 4 + u, 0x10000000001 + u);
	set(&m, 5, MAP_ZERO, 0);
	map_encode(&m, &buf);
	/* the dense form would be longer: 14 bytes and 6 units of 2 */
	assert_int_equal(buf.len, 16 + 14 + 6 * 2);
	assert_int_equal(buf.data[1], 2);
	set(&m, 900, 7, 9);
	buf_reset(&buf);
	map_cut(&m, 6);
	map_set(&m, 5, (struct map_unit){ .slot = MAP_ABSENT });
	map_encode(&m, &buf);
	assert_int_equal(buf.len, 36);
	assert_memory_equal(buf.data + 8, expected + 8, 28);
	buf_free(&buf);
	map_free(&m);
	assert_int_equal(map_decode(&m, expected, sizeof expected, UNITS), 0);
	assert_int_equal(m.file, 0x1234);
	assert_int_equal(m.len, 6);
	assert_int_equal(m.v[2].slot, 6);
	assert_int_equal(m.v[2].seq, 0x10000000003);
	assert_int_equal(m.v[3].slot, MAP_ABSENT);
	assert_int_equal(m.v[5].slot, MAP_ZERO);
	map_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty),
		cmocka_unit_test(runs),
		cmocka_unit_test(scattered),
		cmocka_unit_test(widths),
		cmocka_unit_test(random_maps),
		cmocka_unit_test(hostile),
		cmocka_unit_test(vector),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
