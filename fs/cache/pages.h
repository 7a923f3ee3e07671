/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pages: units of one block that were written and are not sealed yet, in memory. The caller locks; nothing blocks. */
#ifndef FS_CACHE_PAGES_H
#define FS_CACHE_PAGES_H

#include <stdbool.h>
#include <stdint.h>

struct page;

struct pages {
	struct page **v;
	uint32_t cap, count; /* count: units that are here */
};

/* pages_find: 4,096 bytes, or NULL. pages_change: the same, about to be changed. */
uint8_t *pages_find(const struct pages *, uint32_t unit);
uint8_t *pages_change(struct pages *, uint32_t unit);
/* pages_add: a page of unknown bytes for a unit that has none; NULL: out of memory. */
uint8_t *pages_add(struct pages *, uint32_t unit);
/* pages_drop: 1 if there was one. pages_cut: all from `from` on; how many there were. Wiped before they are freed (I5).
 */
uint32_t pages_drop(struct pages *, uint32_t unit);
uint32_t pages_cut(struct pages *, uint32_t from);
/* pages_next: the first unit >= from that is here; UINT32_MAX: none. */
uint32_t pages_next(const struct pages *, uint32_t from);

/* pages_next_fresh: as pages_next, of those that changed since pages_logged was said of them. */
uint32_t pages_next_fresh(const struct pages *, uint32_t from);
void pages_logged(struct pages *, uint32_t unit);

#endif
