/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pages: units of one block that were written and are not sealed yet, in memory. The caller locks; nothing blocks. */
#ifndef FS_CACHE_PAGES_H
#define FS_CACHE_PAGES_H

#include "base/spare.h"
#include "fs/crypt/seal.h"

#include <stdbool.h>
#include <stdint.h>

struct page {
	uint8_t data[SLOT_DATA];
	bool logged; /* an entry of the intent log has it as it is */
};

struct pages {
	struct page **v;
	uint32_t cap, count; /* count: units that are here */
};

/* pages_find: 4,096 bytes, or NULL. pages_change: the same, about to be changed. */
uint8_t *pages_find(const struct pages *, uint32_t unit);
uint8_t *pages_change(struct pages *, uint32_t unit);
/* pages_add: a page of unknown bytes, from the spare ones, for a unit that has none; NULL: out of memory. */
uint8_t *pages_add(struct pages *, struct spare *, uint32_t unit);
/* pages_drop: 1 if there was one. Wiped before it is given back (I5). */
uint32_t pages_drop(struct pages *, struct spare *, uint32_t unit);
/* pages_next: the first unit >= from that is here; UINT32_MAX: none. */
uint32_t pages_next(const struct pages *, uint32_t from);

/* pages_next_fresh: as pages_next, of those that changed since pages_logged was said of them. */
uint32_t pages_next_fresh(const struct pages *, uint32_t from);
void pages_logged(struct pages *, uint32_t unit);

#endif
