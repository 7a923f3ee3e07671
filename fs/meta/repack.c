/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

#include <stdlib.h>
#include <string.h>

static int64_t now_s(void)
{
	return clock_real_ns() / NS_PER_S;
}

/* ---- noting ---- */

/* A file whose placement is to be looked at again may belong elsewhere by now; one that is deleted is nowhere. */
void repack_note(struct meta_txn *txn, uint64_t ino, uint32_t first, uint32_t last, struct repack_why why)
{
	meta_txn_exec(txn,
		"INSERT INTO repack (object, since_s, due_s) SELECT o.num, ?5, CASE WHEN o.zone <> coalesce(nullif(?4, "
		"0),"
		" (SELECT zone FROM inode WHERE ino = ?1 AND zone <> 0), o.zone)"
		" OR (?7 AND EXISTS (SELECT 1 FROM pending WHERE ino = ?1)) THEN 0 ELSE ?6 END"
		" FROM extent e JOIN object o ON o.num = e.object"
		" WHERE e.ino = ?1 AND e.idx BETWEEN ?2 AND ?3 AND o.members > 1"
		" ON CONFLICT (object) DO UPDATE SET due_s = min(due_s, excluded.due_s)",
		"iiiiiii", (int64_t)ino, (int64_t)first, (int64_t)last, (int64_t)why.zone_id, now_s(),
		now_s() + META_REPACK_LOOK_S, (int64_t)(!why.zone_id && !why.deleted));
	if (txn->rc || !txn->changes)
		return;
	txn->repacks = true;
	if (!why.deleted)
		meta_txn_exec(txn,
			"INSERT OR IGNORE INTO remnant SELECT ?1, e.object FROM extent e JOIN object o ON o.num = "
			"e.object"
			" WHERE e.ino = ?1 AND e.idx BETWEEN ?2 AND ?3 AND o.members > 1",
			"iii", (int64_t)ino, (int64_t)first, (int64_t)last);
}

void repack_moved(struct meta_txn *txn, uint64_t ino, uint32_t zone_id)
{
	meta_txn_exec(txn,
		"UPDATE repack SET due_s = 0 WHERE due_s > 0 AND object IN (SELECT r.object FROM remnant r"
		" JOIN object o ON o.num = r.object WHERE r.ino = ?1 AND o.zone <> ?2)",
		"ii", (int64_t)ino, (int64_t)zone_id);
	if (!txn->rc && txn->changes)
		txn->repacks = true;
}

static void remnant_apply(struct meta_txn *txn, struct meta_record *record)
{
	const struct tracked *t = container_of(record, struct tracked, record);

	meta_txn_exec(txn, "INSERT OR IGNORE INTO remnant SELECT ?2, num FROM object WHERE id = ?1", "bi", t->key,
		sizeof t->key, t->seq);
}

static void note_apply(struct meta_txn *txn, struct meta_record *record)
{
	const struct tracked *t = container_of(record, struct tracked, record);

	meta_txn_exec(txn,
		"INSERT INTO repack (object, since_s, due_s) SELECT num, ?2, CASE WHEN zone <>"
		" coalesce((SELECT zone FROM inode WHERE ino = ?4 AND zone <> 0), zone) THEN 0 ELSE ?3 END"
		" FROM object WHERE id = ?1 ON CONFLICT (object) DO UPDATE SET due_s = min(due_s, excluded.due_s)",
		"biii", t->key, sizeof t->key, now_s(), now_s() + META_REPACK_LOOK_S, t->seq);
	remnant_apply(txn, record);
	txn->repacks = true;
}

void meta_remnant_note(struct meta *m, const uint8_t id[OBJECT_ID_BYTES], uint64_t ino)
{
	tracked_queue(m, id, 0, (int64_t)ino, remnant_apply);
}

void meta_repack_note(struct meta *m, const uint8_t id[OBJECT_ID_BYTES], uint64_t ino)
{
	tracked_queue(m, id, 0, (int64_t)ino, note_apply);
}

static void later_apply(struct meta_txn *txn, struct meta_record *record)
{
	const struct tracked *t = container_of(record, struct tracked, record);

	/* one that came to hold what must leave meanwhile stays due */
	meta_txn_exec(txn,
		"UPDATE repack SET due_s = ?2 WHERE due_s > 0 AND object = (SELECT num FROM object WHERE id = ?1)",
		"bi", t->key, sizeof t->key, t->seq);
}

void meta_repack_later(struct meta *m, const uint8_t id[OBJECT_ID_BYTES], int64_t due_s)
{
	tracked_queue(m, id, 0, due_s, later_apply);
}

static void now_apply(struct meta_txn *txn, struct meta_record *record)
{
	const struct tracked *t = container_of(record, struct tracked, record);

	meta_txn_exec(txn,
		"UPDATE repack SET due_s = 0 WHERE due_s > 0 AND object = (SELECT num FROM object WHERE id = ?1)", "b",
		t->key, sizeof t->key);
	txn->repacks |= !txn->rc && txn->changes;
}

void meta_repack_now(struct meta *m, const uint8_t id[OBJECT_ID_BYTES])
{
	tracked_queue(m, id, 0, 0, now_apply);
}

uint64_t meta_repack_changes(const struct meta *m)
{
	return atomic_load(&m->repack_changes);
}

/* ---- what is due ---- */

static int next_due(struct meta *m, int64_t after_s, int64_t *out)
{
	struct query q;

	query_open(&q, m, "SELECT min(due_s) FROM repack WHERE due_s > ?1 AND due_s <= ?2", "ii", after_s,
		after_s + META_REPACK_LATER_S);
	*out = query_step(&q) > 0 ? meta_row_i64(&q.row, 0) : 0;
	return query_close(&q);
}

/* The object r.object has a file that can be asked for what is left in it. */
#define SQL_CAN_GO                                                                                                     \
	"EXISTS (SELECT 1 FROM extent e JOIN inode i ON i.ino = e.ino WHERE e.object = r.object AND i.nlink > 0)"

int meta_remnants(struct meta *m, uint64_t ino)
{
	struct query q;
	int count = 0, rc;

	query_open(&q, m,
		"SELECT count(*) FROM remnant r WHERE r.ino = ?1 AND (EXISTS (SELECT 1 FROM journal j"
		" WHERE j.object = r.object AND j.kind = 1) OR EXISTS (SELECT 1 FROM repack p JOIN object o ON o.num = "
		"p.object WHERE p.object = r.object AND p.due_s = 0 AND o.state = 1 AND " SQL_CAN_GO "))",
		"i", (int64_t)ino);
	if (query_step(&q) > 0)
		count = (int)meta_row_i64(&q.row, 0);
	rc = query_close(&q);
	return rc < 0 ? rc : count;
}

/* What several blocks share counts once. What is due later than any can be was noted before the clock was set back. */
static const char sql_due[] =
	"SELECT o.id, r.since_s, r.due_s, o.plain_bytes,"
	" (SELECT sum(length) FROM (SELECT DISTINCT offset, length FROM extent"
	" WHERE object = r.object)) FROM repack r JOIN object o ON o.num = r.object"
	" WHERE (r.due_s <= ?1 OR r.due_s > ?3) AND o.state = 1 AND " SQL_CAN_GO " ORDER BY r.due_s, r.object LIMIT ?2";

int meta_repacks(struct meta *m, int64_t at_s, struct repack *out, size_t max, int64_t *next_s)
{
	struct query q;
	size_t count = 0;
	int rc = next_due(m, at_s, next_s);

	if (rc < 0)
		return rc;
	query_open(&q, m, sql_due, "iii", at_s, (int64_t)max, at_s + META_REPACK_LATER_S);
	for (; count < max && query_step(&q) > 0; count++) {
		struct repack *r = &out[count];

		query_exact(&q, 0, r->object, sizeof r->object);
		r->since_s = meta_row_i64(&q.row, 1);
		r->leaving = meta_row_i64(&q.row, 2) == 0;
		r->plain_bytes = (uint64_t)meta_row_i64(&q.row, 3);
		r->live = (uint64_t)meta_row_i64(&q.row, 4);
	}
	rc = query_close(&q);
	return rc < 0 ? rc : (int)count;
}

int meta_object_inos(struct meta *m, const uint8_t id[OBJECT_ID_BYTES], uint64_t after_ino, uint64_t *out, size_t max)
{
	struct query q;
	size_t count = 0;
	int rc;

	query_open(&q, m,
		"SELECT DISTINCT e.ino FROM extent e JOIN object o ON o.num = e.object WHERE o.id = ?1 AND e.ino > ?2"
		" ORDER BY e.ino LIMIT ?3",
		"bii", id, (size_t)OBJECT_ID_BYTES, (int64_t)after_ino, (int64_t)max);
	while (count < max && query_step(&q) > 0)
		out[count++] = (uint64_t)meta_row_i64(&q.row, 0);
	rc = query_close(&q);
	return rc < 0 ? rc : (int)count;
}

int meta_is_repack(struct meta *m, const uint8_t id[OBJECT_ID_BYTES])
{
	struct query q;
	int rc, is;

	query_open(&q, m, "SELECT 1 FROM repack WHERE object = (SELECT num FROM object WHERE id = ?1)", "b", id,
		(size_t)OBJECT_ID_BYTES);
	is = query_step(&q) > 0;
	rc = query_close(&q);
	return rc < 0 ? rc : is;
}
