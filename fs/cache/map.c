/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cache/map.h"

#include "base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAP_VERSION  2
#define HEADER_BYTES 16
#define RUN_BYTES    20
#define DENSE_BYTES  14 /* before the units */

enum map_form { FORM_RUNS = 1, FORM_DENSE = 2 };

static const struct map_unit absent = { .slot = MAP_ABSENT };

void map_free(struct map *m)
{
	free(m->v);
	memset(m, 0, sizeof *m);
}

struct map_unit map_get(const struct map *m, uint32_t unit)
{
	return unit < m->len ? m->v[unit] : absent;
}

int map_reserve(struct map *m, uint32_t n)
{
	uint32_t cap = m->cap ? m->cap : 4;
	struct map_unit *v;

	if (n <= m->cap)
		return 0;
	while (cap < n)
		cap *= 2;
	if (!(v = realloc(m->v, cap * sizeof *v)))
		return -ENOMEM;
	m->v = v;
	m->cap = cap;
	return 0;
}

static void shrink(struct map *m)
{
	while (m->len && m->v[m->len - 1].slot == MAP_ABSENT)
		m->len--;
}

void map_set(struct map *m, uint32_t unit, struct map_unit to)
{
	if (to.slot == MAP_ABSENT && unit >= m->len)
		return;
	while (m->len <= unit)
		m->v[m->len++] = absent;
	m->v[unit] = to;
	shrink(m);
}

void map_cut(struct map *m, uint32_t from)
{
	if (m->len > from)
		m->len = from;
	shrink(m);
}

void map_drop_slots(struct map *m)
{
	for (uint32_t u = 0; u < m->len; u++)
		if (map_has_slot(m->v[u].slot))
			m->v[u] = absent;
	shrink(m);
}

int map_copy(struct map *to, const struct map *from)
{
	int rc;

	memset(to, 0, sizeof *to);
	if ((rc = map_reserve(to, from->len)) < 0)
		return rc;
	if (from->len)
		memcpy(to->v, from->v, from->len * sizeof *to->v);
	to->len = from->len;
	to->file = from->file;
	return 0;
}

bool map_empty(const struct map *m)
{
	return m->len == 0;
}

uint32_t map_slots(const struct map *m)
{
	uint32_t n = 0;

	for (uint32_t u = 0; u < m->len; u++)
		n += map_has_slot(m->v[u].slot);
	return n;
}

uint32_t map_unwritten(const struct map *m)
{
	uint32_t n = 0;

	for (uint32_t u = 0; u < m->len; u++)
		n += m->v[u].slot == MAP_UNWRITTEN;
	return n;
}

bool map_allocates(const struct map *m)
{
	for (uint32_t u = 0; u < m->len; u++)
		if (map_has_slot(m->v[u].slot) || m->v[u].slot == MAP_UNWRITTEN)
			return true;
	return false;
}

uint32_t map_slots_end(const struct map *m)
{
	uint32_t end = 0;

	for (uint32_t u = 0; u < m->len; u++)
		if (map_has_slot(m->v[u].slot) && m->v[u].slot >= end)
			end = m->v[u].slot + 1;
	return end;
}

uint32_t map_run(const struct map *m, uint32_t unit, uint32_t max)
{
	struct map_unit first = map_get(m, unit);
	uint32_t n = 1;

	while (n < max && map_get(m, unit + n).slot == first.slot + (map_has_slot(first.slot) ? n : 0))
		n++;
	return n;
}

/* ---- encoding ---- */

/* How many of the largest slot numbers are no slots. */
static unsigned marks_of(unsigned version)
{
	return version == 1 ? 2 : 3;
}

/* A run also needs consecutive sequences, which a read does not. */
static uint32_t encoded_run(const struct map *m, uint32_t unit)
{
	uint32_t max = map_run(m, unit, m->len - unit), n = 1;

	if (!map_has_slot(m->v[unit].slot))
		return max;
	while (n < max && m->v[unit + n].seq == m->v[unit].seq + n)
		n++;
	return n;
}

static uint32_t runs_count(const struct map *m)
{
	uint32_t n = 0;

	for (uint32_t u = 0; u < m->len; u += encoded_run(m, u))
		n += m->v[u].slot != MAP_ABSENT;
	return n;
}

struct dense {
	uint32_t first, count;
	uint64_t base;
	unsigned slot_bytes, seq_bytes, marks;
};

static unsigned bytes_for(uint64_t v)
{
	unsigned n = 1;

	while (n < 8 && v >> (8 * n))
		n++;
	return n;
}

static uint64_t all_ones(unsigned bytes)
{
	return bytes == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * bytes)) - 1;
}

static void dense_measure(const struct map *m, unsigned version, struct dense *d)
{
	uint32_t slot_max = 0;
	uint64_t seq_max = 0;

	*d = (struct dense){ .marks = marks_of(version) };
	while (d->first < m->len && m->v[d->first].slot == MAP_ABSENT)
		d->first++;
	d->count = m->len - d->first;
	d->base = UINT64_MAX;
	for (uint32_t u = d->first; u < m->len; u++) {
		if (!map_has_slot(m->v[u].slot))
			continue;
		slot_max = m->v[u].slot > slot_max ? m->v[u].slot : slot_max;
		seq_max = m->v[u].seq > seq_max ? m->v[u].seq : seq_max;
		d->base = m->v[u].seq < d->base ? m->v[u].seq : d->base;
	}
	d->base = d->base == UINT64_MAX ? 0 : d->base;
	d->slot_bytes = bytes_for((uint64_t)slot_max + d->marks);
	d->seq_bytes = bytes_for(seq_max - d->base);
}

static void put_le(struct buf *out, uint64_t v, unsigned bytes)
{
	uint8_t le[8];

	put_le64(le, v);
	buf_put(out, le, bytes);
}

static void encode_runs(const struct map *m, struct buf *out)
{
	for (uint32_t u = 0, n; u < m->len; u += n) {
		n = encoded_run(m, u);
		if (m->v[u].slot == MAP_ABSENT)
			continue;
		buf_u32(out, u);
		buf_u32(out, n);
		buf_u32(out, m->v[u].slot);
		buf_u64(out, map_has_slot(m->v[u].slot) ? m->v[u].seq : 0);
	}
}

static void encode_dense(const struct map *m, const struct dense *d, struct buf *out)
{
	buf_u32(out, d->first);
	buf_u8(out, (uint8_t)d->slot_bytes);
	buf_u8(out, (uint8_t)d->seq_bytes);
	buf_u64(out, d->base);
	for (uint32_t u = d->first; u < m->len; u++) {
		const struct map_unit *unit = &m->v[u];

		/* the marks are the largest values, so that their low bytes are all ones, and less one, and less two */
		put_le(out, unit->slot, d->slot_bytes);
		put_le(out, map_has_slot(unit->slot) ? unit->seq - d->base : 0, d->seq_bytes);
	}
}

void map_encode(const struct map *m, struct buf *out)
{
	unsigned version = map_unwritten(m) ? MAP_VERSION : 1;
	uint32_t runs = runs_count(m);
	struct dense d;
	bool dense;

	dense_measure(m, version, &d);
	dense = DENSE_BYTES + (uint64_t)d.count * (d.slot_bytes + d.seq_bytes) < (uint64_t)runs * RUN_BYTES;
	buf_u8(out, (uint8_t)version);
	buf_u8(out, dense ? FORM_DENSE : FORM_RUNS);
	buf_u16(out, 0);
	buf_u32(out, dense ? d.count : runs);
	buf_u64(out, m->file);
	if (dense)
		encode_dense(m, &d, out);
	else
		encode_runs(m, out);
}

/* ---- decoding ---- */

static int fill(struct map *m, uint32_t unit, uint32_t n, uint32_t slot, uint64_t seq)
{
	bool has_slot = map_has_slot(slot);
	int rc;

	if (has_slot ? (uint64_t)slot + n > MAP_SLOTS_MAX || seq > UINT64_MAX - n : seq != 0)
		return -ERR_CORRUPT;
	if ((rc = map_reserve(m, unit + n)) < 0)
		return rc;
	for (uint32_t i = 0; i < n; i++)
		map_set(m, unit + i,
			(struct map_unit){ .slot = has_slot ? slot + i : slot, .seq = seq + (has_slot ? i : 0) });
	return 0;
}

static int decode_runs(struct map *m, struct reader *r, unsigned version, uint32_t count, uint32_t units)
{
	uint32_t next = 0, marks = marks_of(version);
	int rc;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t unit = reader_u32(r), n = reader_u32(r), slot = reader_u32(r);
		uint64_t seq = reader_u64(r);

		if (r->err || unit < next || n == 0 || unit >= units || n > units - unit || slot == MAP_ABSENT ||
			(!map_has_slot(slot) && slot <= MAP_ABSENT - marks))
			return -ERR_CORRUPT;
		if ((rc = fill(m, unit, n, slot, seq)) < 0)
			return rc;
		next = unit + n;
	}
	return 0;
}

static uint64_t get_le(struct reader *r, unsigned bytes)
{
	const uint8_t *p = reader_bytes(r, bytes);
	uint8_t le[8] = { 0 };

	if (p)
		memcpy(le, p, bytes);
	return get_le64(le);
}

static int decode_unit(struct map *m, struct reader *r, const struct dense *d, uint32_t unit)
{
	uint64_t slot = get_le(r, d->slot_bytes), delta = get_le(r, d->seq_bytes), ones = all_ones(d->slot_bytes);

	if (r->err || delta > UINT64_MAX - d->base)
		return -ERR_CORRUPT;
	if (slot > ones - d->marks) {
		if (delta)
			return -ERR_CORRUPT;
		return slot == ones ? 0 : fill(m, unit, 1, MAP_ABSENT - (uint32_t)(ones - slot), 0);
	}
	return map_has_slot((uint32_t)slot) ? fill(m, unit, 1, (uint32_t)slot, d->base + delta) : -ERR_CORRUPT;
}

static int decode_dense(struct map *m, struct reader *r, unsigned version, uint32_t count, uint32_t units)
{
	struct dense d = { .first = reader_u32(r), .count = count, .marks = marks_of(version) };
	int rc = 0;

	d.slot_bytes = reader_u8(r);
	d.seq_bytes = reader_u8(r);
	d.base = reader_u64(r);
	if (r->err || d.first > units || count > units - d.first || d.slot_bytes < 1 || d.slot_bytes > 4 ||
		d.seq_bytes < 1 || d.seq_bytes > 8)
		return -ERR_CORRUPT;
	for (uint32_t i = 0; i < count && rc == 0; i++)
		rc = decode_unit(m, r, &d, d.first + i);
	return rc;
}

int map_decode(struct map *m, const void *data, size_t len, uint32_t units)
{
	struct reader r = { .p = data, .end = (const uint8_t *)data + len };
	uint8_t version = reader_u8(&r), form = reader_u8(&r);
	uint16_t reserved = reader_u16(&r);
	uint32_t count = reader_u32(&r);
	int rc = -ERR_CORRUPT;

	memset(m, 0, sizeof *m);
	m->file = reader_u64(&r);
	if (!r.err && version > MAP_VERSION)
		rc = -ERR_NEWER;
	else if (!r.err && version >= 1 && reserved == 0 && form == FORM_RUNS)
		rc = decode_runs(m, &r, version, count, units);
	else if (!r.err && version >= 1 && reserved == 0 && form == FORM_DENSE)
		rc = decode_dense(m, &r, version, count, units);
	if (rc == 0 && (r.p != r.end || (m->file == 0 && map_slots(m))))
		rc = -ERR_CORRUPT;
	if (rc < 0)
		map_free(m);
	return rc;
}
