/* SPDX-License-Identifier: GPL-3.0-or-later */
/* map: where the units of one block are: in a slot of its file under a sequence, zeros, zeros for which room is set
 * aside (unwritten), or nowhere (absent).
 *
 * In memory a dense array that ends with the highest unit present. In the block's row one of two encodings, whichever
 * is shorter, little-endian (docs/FORMAT.md):
 *
 *   version u8, form u8, reserved u16 = 0, count u32, file u64
 *   form 1, runs:  count times: unit u32, length u32, slot u32, seq u64; ascending, not overlapping; unit i of a run is
 *                  in slot + i under seq + i; slot MAP_ZERO, MAP_UNWRITTEN: zeros, seq 0
 *   form 2, dense: first unit u32, slot bytes u8 (1-4), seq bytes u8 (1-8), base seq u64, then count times slot and
 *                  seq - base; a slot of all ones: absent, of all ones less one: zeros, less two: unwritten, all with
 * seq 0
 *
 * Version 2 where any unit is unwritten, else 1, which has no such mark.
 *
 * file is the number in the name of the block's file, 0 only where no unit has a slot. 1,024 units of which no two are
 * in order take under 10 KiB. Nothing here blocks; the caller locks. */
#ifndef FS_CACHE_MAP_H
#define FS_CACHE_MAP_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

#define MAP_ABSENT    UINT32_MAX
#define MAP_ZERO      (UINT32_MAX - 1)
#define MAP_UNWRITTEN (UINT32_MAX - 2)
#define MAP_SLOTS_MAX (1u << 20) /* slots a block file may have: bounds what a damaged map can ask for */

struct map_unit {
	uint64_t seq;
	uint32_t slot; /* or MAP_ABSENT, MAP_ZERO, MAP_UNWRITTEN */
};

struct map {
	struct map_unit *v;
	uint32_t len, cap; /* units; beyond len all are absent */
	uint64_t file;
};

#define MAP_INIT                                                                                                       \
	{                                                                                                              \
		0                                                                                                      \
	}

static inline bool map_has_slot(uint32_t slot)
{
	return slot < MAP_UNWRITTEN;
}

void map_free(struct map *); /* leaves it empty */
/* map_get: absent beyond the end. */
struct map_unit map_get(const struct map *, uint32_t unit);
/* map_reserve: room for units below n, so that map_set of them cannot fail. 0 or -ENOMEM. */
int map_reserve(struct map *, uint32_t n);
void map_set(struct map *, uint32_t unit, struct map_unit);
/* map_cut: units from `from` on become absent. */
void map_cut(struct map *, uint32_t from);
/* map_drop_slots: units that are in slots become absent. */
void map_drop_slots(struct map *);
int map_copy(struct map *to, const struct map *from); /* to is overwritten, not freed before. -ENOMEM */
bool map_empty(const struct map *);		      /* every unit is absent */
uint32_t map_slots(const struct map *);		      /* units that are in slots */
uint32_t map_unwritten(const struct map *);	      /* units that are unwritten */
bool map_allocates(const struct map *);		      /* any unit is in a slot, or unwritten */
uint32_t map_slots_end(const struct map *);	      /* one more than the highest of them */
/* map_run: how many units from `unit` on (at most max, at least 1) are in consecutive slots, or all zeros, all
 * unwritten, or all absent. */
uint32_t map_run(const struct map *, uint32_t unit, uint32_t max);

/* map_encode: appends to out; out->err tells of -ENOMEM. */
void map_encode(const struct map *, struct buf *out);
/* map_decode: into an uninitialised map. Units lie below `units`. -ERR_CORRUPT for bytes that are no map, -ERR_NEWER
 * for a later version, -ENOMEM; the map is empty then. */
int map_decode(struct map *, const void *data, size_t len, uint32_t units);

#endif
