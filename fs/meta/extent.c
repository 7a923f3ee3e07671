/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Extents and the reference counts of objects change by records only, in the order of the operations, so that the
 * counts are exact; what is left without a reference is journalled for deletion at the end of the same transaction. */
#include "fs/meta/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct extent_record {
	struct meta_record record;
	uint64_t ino;
	uint32_t index;
	struct extent extent;
};

static void extent_record_free(struct meta_record *r)
{
	free(container_of(r, struct extent_record, record));
}

/* Objects that these extents were the last of: what a sync of the file waits for. Packs are noted by repack_note. */
static void remnants_note(struct meta_txn *txn, uint64_t ino, uint32_t first, uint32_t last)
{
	meta_txn_exec(txn,
		"INSERT OR IGNORE INTO remnant SELECT ?1, o.num FROM extent e JOIN object o ON o.num = e.object"
		" WHERE e.ino = ?1 AND e.idx BETWEEN ?2 AND ?3 AND o.members = 1 AND o.refs = 0",
		"iii", (int64_t)ino, (int64_t)first, (int64_t)last);
}

static void extent_unref(struct meta_txn *txn, uint64_t ino, uint32_t index, uint32_t zone_id)
{
	repack_note(txn, ino, index, index, (struct repack_why){ .zone_id = zone_id });
	meta_txn_exec(txn,
		"UPDATE object SET refs = refs - 1 WHERE num = (SELECT object FROM extent WHERE ino = ?1 AND idx = ?2)",
		"ii", (int64_t)ino, (int64_t)index);
	if (txn->rc || !txn->changes)
		return;
	txn->unreferenced = true;
	remnants_note(txn, ino, index, index);
}

/* ---- set ---- */

/* An object that is being deleted, or unknown, must never get an extent: its data may be gone (I4). */
static void extent_write(struct meta_txn *txn, const struct extent_record *r)
{
	const struct extent *e = &r->extent;

	meta_txn_exec(txn,
		"INSERT INTO extent (ino, idx, object, offset, length)"
		" SELECT ?1, ?2, num, ?3, ?4 FROM object WHERE id = ?5 AND state < 2"
		" ON CONFLICT (ino, idx) DO UPDATE"
		" SET object = excluded.object, offset = excluded.offset, length = excluded.length",
		"iiiib", (int64_t)r->ino, (int64_t)r->index, (int64_t)e->offset, (int64_t)e->len, e->object,
		sizeof e->object);
	if (!txn->rc && txn->changes != 1) {
		log_error("metadata: inode %llu block %u was pointed at an object that is not there",
			(unsigned long long)r->ino, r->index);
		meta_txn_fail(txn, -ERR_CORRUPT);
	}
	meta_txn_exec(
		txn, "UPDATE object SET refs = refs + 1, state = 1 WHERE id = ?1", "b", e->object, sizeof e->object);
}

static void moving_update(struct meta_txn *txn, uint64_t ino, uint32_t zone_id)
{
	meta_txn_exec(txn,
		"INSERT OR IGNORE INTO moving SELECT ino FROM inode WHERE ino = ?1 AND zone <> 0 AND zone <> ?2", "ii",
		(int64_t)ino, (int64_t)zone_id);
	meta_txn_exec(txn,
		"DELETE FROM moving WHERE ino = ?1 AND NOT EXISTS (SELECT 1 FROM inode i JOIN extent e ON e.ino = i.ino"
		" JOIN object o ON o.num = e.object WHERE i.ino = ?1 AND o.zone <> i.zone)",
		"i", (int64_t)ino);
}

static void extent_set_apply(struct meta_txn *txn, struct meta_record *record)
{
	const struct extent_record *r = container_of(record, struct extent_record, record);

	extent_unref(txn, r->ino, r->index, r->extent.zone_id);
	extent_write(txn, r);
	moving_update(txn, r->ino, r->extent.zone_id);
}

static void extent_queue(struct meta *m, struct block *b, void (*apply)(struct meta_txn *, struct meta_record *))
{
	struct extent_record *r = calloc(1, sizeof *r);

	if (!r) {
		meta_poison(m, -ENOMEM);
		return;
	}
	r->record.apply = apply;
	r->record.free = extent_record_free;
	r->ino = b->ino;
	r->index = b->index;
	r->extent = b->extent;
	b->inode->rows = true;
	meta_queue(m, &r->record);
}

void meta_extent_set(struct meta *m, struct block *b, const struct extent *e, uint64_t version)
{
	/* what was cut off since would come back (I6) */
	if (b->version != version || b->inode->node.state & NODE_DELETED) {
		meta_object_discard(m, e->object, false);
		return;
	}
	b->extent = *e;
	b->dirty = false;
	extent_queue(m, b, extent_set_apply);
	meta_block_changed(m, b);
}

/* ---- trim ---- */

static void extent_trim_apply(struct meta_txn *txn, struct meta_record *record)
{
	const struct extent_record *r = container_of(record, struct extent_record, record);

	if (!r->extent.len)
		extent_unref(txn, r->ino, r->index, 0);
	meta_txn_exec(txn,
		r->extent.len ? "UPDATE extent SET length = min(length, ?3) WHERE ino = ?1 AND idx = ?2"
			      : "DELETE FROM extent WHERE ino = ?1 AND idx = ?2 AND ?3 = 0",
		"iii", (int64_t)r->ino, (int64_t)r->index, (int64_t)r->extent.len);
}

void meta_extent_trim(struct meta *m, struct block *b, uint32_t len)
{
	static const uint8_t none[OBJECT_ID_BYTES];

	if (!memcmp(b->extent.object, none, sizeof none) || len >= b->extent.len)
		return;
	b->extent.len = len;
	extent_queue(m, b, extent_trim_apply);
	if (!len)
		memset(&b->extent, 0, sizeof b->extent);
	meta_block_changed(m, b);
}

/* ---- drop ---- */

struct drop_record {
	struct meta_record record;
	uint64_t ino;
	uint32_t from;
	bool deleted;
};

static void drop_record_free(struct meta_record *r)
{
	free(container_of(r, struct drop_record, record));
}

void blocks_drop_rows(struct meta_txn *txn, uint64_t ino, uint32_t from, bool deleted)
{
	repack_note(txn, ino, from, UINT32_MAX, (struct repack_why){ .deleted = deleted });
	meta_txn_exec(txn,
		"UPDATE object SET refs = refs - (SELECT count(*) FROM extent e"
		" WHERE e.object = object.num AND e.ino = ?1 AND e.idx >= ?2)"
		" WHERE num IN (SELECT object FROM extent WHERE ino = ?1 AND idx >= ?2)",
		"ii", (int64_t)ino, (int64_t)from);
	if (!txn->rc && txn->changes) {
		txn->unreferenced = true;
		if (!deleted)
			remnants_note(txn, ino, from, UINT32_MAX);
	}
	meta_txn_exec(txn, "DELETE FROM extent WHERE ino = ?1 AND idx >= ?2", "ii", (int64_t)ino, (int64_t)from);
	meta_txn_exec(txn, "DELETE FROM block WHERE ino = ?1 AND idx >= ?2", "ii", (int64_t)ino, (int64_t)from);
}

static void drop_apply(struct meta_txn *txn, struct meta_record *record)
{
	const struct drop_record *r = container_of(record, struct drop_record, record);

	blocks_drop_rows(txn, r->ino, r->from, r->deleted);
}

/* Until the record is committed SQLite shows what is gone: of the present batch and of the one being committed. */
static void drop_note(struct meta *m, struct inode *ip, uint32_t from)
{
	if (ip->drop[0].batch != m->batch) {
		ip->drop[1] = ip->drop[0];
		ip->drop[0].batch = m->batch;
		ip->drop[0].from = from;
	} else if (from < ip->drop[0].from) {
		ip->drop[0].from = from;
	}
}

void record_blocks_drop(struct meta *m, struct inode *ip, uint32_t from)
{
	struct drop_record *r = calloc(1, sizeof *r);

	if (!r) {
		meta_poison(m, -ENOMEM);
		return;
	}
	r->record.apply = drop_apply;
	r->record.free = drop_record_free;
	r->ino = ip->ino;
	r->from = from;
	r->deleted = ip->nlink == 0;
	drop_note(m, ip, from);
	meta_queue(m, &r->record);
}
