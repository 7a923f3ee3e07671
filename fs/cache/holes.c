/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The holes of a block that goes to a backend, and the room that is set aside in them. An extent has no holes: what it
 * covers and no map names is taken to be there, counts for st_blocks, is data for SEEK_DATA and is fetched. So the map
 * that is published says of a hole that it is zeros, and that much of the map stays in the row when the local copy
 * goes. */
#include "fs/cache/internal.h"

#include <errno.h>

void holes_publish(struct cblock *b)
{
	struct map *m = &b->map;
	struct extent e;

	if (!cblock_extent(b, &e) && !map_allocates(m))
		map_cut(m, 0);
	for (uint32_t u = (e.len + UNIT - 1) / UNIT; u < m->len; u++)
		if (m->v[u].slot == MAP_ABSENT)
			m->v[u] = (struct map_unit){ .slot = MAP_ZERO };
}

int holes_left(struct cblock *b, struct holes *left)
{
	struct blob *row;
	int rc;

	*left = (struct holes){ .map = MAP_INIT };
	meta_lock(b->c->meta);
	row = b->block->kind == BLOCK_SLOTS ? blob_ref(b->block->local) : NULL;
	meta_unlock(b->c->meta);
	if (!row)
		return 0;
	rc = map_from_blob(b->c, row, &left->map);
	blob_put(row);
	if (rc < 0)
		return rc;
	left->map.file = 0;
	map_drop_slots(&left->map);
	if (map_empty(&left->map) || (left->row = map_to_blob(&left->map)))
		return 0;
	holes_free(left);
	return -ENOMEM;
}

void holes_free(struct holes *left)
{
	map_free(&left->map);
	blob_put(left->row);
	left->row = NULL;
}
