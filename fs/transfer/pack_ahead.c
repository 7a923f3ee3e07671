/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading ahead in packs: small files that were stored together are read together, one after the other, each for a
 * round trip of its own. Where several members of a pack were fetched in a short time, what comes after the last of
 * them is fetched too, and kept for the files it belongs to. */
#include "fs/transfer/internal.h"

#define SHORT_NS     (5 * NS_PER_S) /* between fetches that belong together */
#define FIRST_BYTES  (128u << 10)
#define WINDOW_BYTES (1u << 20)
#define MEMBERS_PAGE 128u

static struct pack_reads *reads_of(struct transfer *t, const uint8_t id[OBJECT_ID_BYTES])
{
	struct pack_reads *oldest = &t->pack_reads[0];

	for (size_t i = 0; i < PACK_READS; i++) {
		struct pack_reads *p = &t->pack_reads[i];

		if (memcmp(p->object, id, sizeof p->object) == 0)
			return p;
		oldest = p->last_ns < oldest->last_ns ? p : oldest;
	}
	*oldest = (struct pack_reads){ 0 };
	memcpy(oldest->object, id, sizeof oldest->object);
	return oldest;
}

/* The second fetch is a hint, the third a habit. */
static uint32_t window(struct pack_reads *p, int64_t now)
{
	p->count = now - p->last_ns < SHORT_NS ? p->count + 1 : 1;
	p->last_ns = now;
	if (p->count < 2)
		return 0;
	return p->count == 2 ? FIRST_BYTES : WINDOW_BYTES;
}

void pack_ahead(struct transfer *t, const struct range *r)
{
	struct fetch_part part = { .inode = r->inode, .extent = r->extent, .index = r->index };
	uint64_t from = r->extent.offset + r->extent.len;
	struct pack_reads *p;

	if (r->off > 0 || r->len < r->extent.len || r->extent.len >= CONFIG_PACK_MAX)
		return;
	pthread_mutex_lock(&t->lock);
	p = reads_of(t, r->extent.object);
	part.len = window(p, clock_mono_ns());
	/* whoever reads backwards, or here and there, is not helped by it */
	if (part.len && (from < p->from || from >= p->end)) {
		part.extent.offset = p->from = from;
		p->end = from + part.len;
		if (!t->stopping)
			fetch_pack(t, &part);
	}
	pthread_mutex_unlock(&t->lock);
}

/* ---- a window
 * --------------------------------------------------------------------------------------------------------------- */

/* The bytes that came of [from, end) of the object. */
struct came {
	const uint8_t *data;
	uint64_t from, end;
};

static int keep(struct transfer *t, const struct extent_row *row, const struct range *r, const struct came *came)
{
	struct extent e = { .offset = row->offset, .len = row->len, .zone_id = r->extent.zone_id };
	struct inode *inode;
	int rc = meta_inode_get(t->meta, row->ino, &inode);

	if (rc < 0)
		return rc;
	memcpy(e.object, r->extent.object, sizeof e.object);
	rc = cache_fill(t->cache, inode, row->index, &e, 0, came->data + (row->offset - came->from), row->len);
	meta_inode_put(t->meta, inode);
	return rc;
}

/* Only what is there whole. A full cache has better use for its room. */
static void keep_all(struct transfer *t, const struct range *r, const struct came *came)
{
	struct extent_row rows[MEMBERS_PAGE];
	uint64_t from = came->from;
	int n, rc = 0;

	do {
		n = meta_object_extents(t->meta, r->extent.object, from, came->end, rows, MEMBERS_PAGE);
		for (int i = 0; i < n && rc != -ERR_CACHE_FULL && rc != -ENOSPC; i++)
			rc = keep(t, &rows[i], r, came);
		if (n > 0)
			from = rows[n - 1].offset + 1;
	} while (n == (int)MEMBERS_PAGE && rc != -ERR_CACHE_FULL && rc != -ENOSPC);
}

/* Nobody waits for it: what goes wrong with it is told to whoever asks for the same later. */
void pack_window(struct transfer *t, const struct range *r)
{
	struct object_read read = { .id = r->extent.object, .off = r->extent.offset, .len = r->len };
	struct object_info info;
	struct came came;

	if (meta_object_get(t->meta, read.id, &info) < 0)
		return;
	if (read.off < info.ref.plain_bytes) {
		read.len = info.ref.plain_bytes - read.off < read.len ? (uint32_t)(info.ref.plain_bytes - read.off)
								      : read.len;
		read.out = malloc(object_read_room(read.len));
	}
	object_info_free(&info);
	if (read.out && replica_read(t, &read) == 0) {
		came = (struct came){ (uint8_t *)read.out + read.skip, read.off, read.off + read.len };
		keep_all(t, r, &came);
	}
	free(read.out);
}
