/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bytes as a block's map: refused, or a map within its bounds that encodes and decodes to itself. For libFuzzer. */
#include "fs/cache/map.h"

#include <stdlib.h>

#define UNITS 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const struct map *m)
{
	uint32_t slots = 0;

	if (m->len > UNITS || (m->len && m->v[m->len - 1].slot == MAP_ABSENT))
		abort();
	for (uint32_t u = 0; u < m->len; u++) {
		if (map_has_slot(m->v[u].slot) && m->v[u].slot >= MAP_SLOTS_MAX)
			abort();
		slots += map_has_slot(m->v[u].slot);
	}
	if (slots != map_slots(m) || (slots && !m->file))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf buf = BUF_INIT;
	struct map m, again;

	if (map_decode(&m, data, len, UNITS) < 0)
		return 0;
	check(&m);
	map_encode(&m, &buf);
	if (buf.err || buf.len > 16 + 14 + UNITS * 12 || map_decode(&again, buf.data, buf.len, UNITS) < 0)
		abort();
	if (again.len != m.len || again.file != m.file)
		abort();
	for (uint32_t u = 0; u < m.len; u++)
		if (again.v[u].slot != m.v[u].slot || (map_has_slot(m.v[u].slot) && again.v[u].seq != m.v[u].seq))
			abort();
	map_free(&m);
	map_free(&again);
	buf_free(&buf);
	return 0;
}
