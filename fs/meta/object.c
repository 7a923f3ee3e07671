/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void object_info_free(struct object_info *info)
{
	if (!info)
		return;
	free(info->replicas);
	memset(info, 0, sizeof *info);
}

/* ---- records that reads must know of while they are queued ---- */

static bool tracked_eq(const struct hash_node *n, const void *key)
{
	return !memcmp(container_of(n, struct tracked, hash)->key, key, OBJECT_ID_BYTES);
}

static uint64_t tracked_hash(const uint8_t key[OBJECT_ID_BYTES])
{
	return hash_bytes(key, OBJECT_ID_BYTES, 0);
}

bool tracked_find(struct meta *m, const uint8_t key[OBJECT_ID_BYTES])
{
	return hash_find(&m->tracked, tracked_hash(key), tracked_eq, key) != NULL;
}

static void tracked_free(struct meta_record *r)
{
	free(container_of(r, struct tracked, record));
}

void tracked_forget(struct meta *m, struct meta_record *r)
{
	if (r->free == tracked_free)
		hash_remove(&m->tracked, &container_of(r, struct tracked, record)->hash);
}

void tracked_queue(struct meta *m, const uint8_t key[OBJECT_ID_BYTES], uint32_t backend_id, int64_t seq,
	void (*apply)(struct meta_txn *, struct meta_record *))
{
	struct tracked *t = calloc(1, sizeof *t);

	if (!t) {
		meta_poison(m, -ENOMEM);
		return;
	}
	t->record.apply = apply;
	t->record.free = tracked_free;
	t->backend_id = backend_id;
	t->seq = seq;
	memcpy(t->key, key, sizeof t->key);
	hash_insert(&m->tracked, &t->hash, tracked_hash(key));
	meta_queue(m, &t->record);
}

/* ---- begin ---- */

struct begin_record {
	struct meta_record record;
	struct object_ref ref;
	size_t members, count;
	uint32_t backends[];
};

static void begin_free(struct meta_record *r)
{
	free(container_of(r, struct begin_record, record));
}

static void begin_apply(struct meta_txn *txn, struct meta_record *record)
{
	const struct begin_record *r = container_of(record, struct begin_record, record);
	const struct object_ref *ref = &r->ref;

	meta_txn_exec(txn,
		"INSERT INTO object (id, zone, epoch, wrapped, header_bytes, plain_bytes, refs, state, begun_s, "
		"members)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, ?7, ?8)",
		"biibiiii", ref->id, sizeof ref->id, (int64_t)ref->zone, (int64_t)ref->epoch, ref->wrapped,
		sizeof ref->wrapped, (int64_t)ref->header_bytes, (int64_t)ref->plain_bytes,
		(int64_t)(clock_real_ns() / NS_PER_S), (int64_t)r->members);
	for (size_t i = 0; i < r->count; i++)
		meta_txn_exec(txn,
			"INSERT INTO replica (object, backend, state) SELECT num, ?2, 0 FROM object WHERE id = ?1",
			"bi", ref->id, sizeof ref->id, (int64_t)r->backends[i]);
}

int meta_object_begin(
	struct meta *m, const struct object_ref *ref, size_t members, const uint32_t *backend_ids, size_t count)
{
	struct begin_record *r = calloc(1, sizeof *r + count * sizeof *backend_ids);
	uint64_t batch;

	if (!r)
		return -ENOMEM;
	r->record.apply = begin_apply;
	r->record.free = begin_free;
	r->ref = *ref;
	r->members = members;
	r->count = count;
	memcpy(r->backends, backend_ids, count * sizeof *backend_ids);
	pthread_mutex_lock(&m->lock);
	batch = m->batch;
	meta_queue(m, &r->record);
	pthread_mutex_unlock(&m->lock);
	return wait_committed(m, batch);
}

/* ---- stored, discard ---- */

static void stored_apply(struct meta_txn *txn, struct meta_record *record)
{
	const struct tracked *t = container_of(record, struct tracked, record);

	meta_txn_exec(txn,
		"UPDATE replica SET state = 1, stored_s = ?3, fault = NULL, fault_s = NULL WHERE object = (SELECT num "
		"FROM object WHERE id = ?1)"
		" AND backend = ?2 AND state IN (0, 3)",
		"bii", t->key, sizeof t->key, (int64_t)t->backend_id, (int64_t)(clock_real_ns() / NS_PER_S));
}

void meta_object_stored(struct meta *m, const uint8_t id[OBJECT_ID_BYTES], uint32_t backend_id)
{
	tracked_queue(m, id, backend_id, 0, stored_apply);
}

static void discard_apply(struct meta_txn *txn, struct meta_record *record)
{
	const struct tracked *t = container_of(record, struct tracked, record);

	/* from begun to used and unreferenced: released as one that lost its last extent */
	meta_txn_exec(txn, "UPDATE object SET state = 1 WHERE id = ?1 AND refs = 0 AND state = 0", "b", t->key,
		sizeof t->key);
	txn->unreferenced = true;
}

/* What is pending is unsure. */
static void discard_sure_apply(struct meta_txn *txn, struct meta_record *record)
{
	const struct tracked *t = container_of(record, struct tracked, record);

	meta_txn_exec(txn,
		"UPDATE replica SET state = 2 WHERE object ="
		" (SELECT num FROM object WHERE id = ?1 AND refs = 0 AND state = 0)",
		"b", t->key, sizeof t->key);
	discard_apply(txn, record);
}

void meta_object_discard(struct meta *m, const uint8_t id[OBJECT_ID_BYTES], bool unsure)
{
	tracked_queue(m, id, 0, 0, unsure ? discard_apply : discard_sure_apply);
}

/* ---- release ---- */

#define SQL_UNUSED    "(SELECT num FROM object WHERE refs = 0 AND state = 1)"
#define SQL_NO_COPY   "NOT EXISTS (SELECT 1 FROM replica WHERE object = num)"
#define SQL_NEVER_WAS "(SELECT num FROM object WHERE refs = 0 AND state = 1 AND " SQL_NO_COPY ")"

void object_release(struct meta_txn *txn)
{
	int64_t now_s = clock_real_ns() / NS_PER_S;

	meta_txn_exec(txn,
		"INSERT INTO journal (kind, object, backend, due_s) SELECT 1, object, backend, ?1 FROM replica"
		" WHERE object IN " SQL_UNUSED " ORDER BY object, backend",
		"i", now_s);
	meta_txn_exec(txn,
		"INSERT INTO journal (kind, object, backend, due_s) SELECT 1, object, backend, ?1 FROM replica"
		" WHERE state IN (0, 3) AND object IN " SQL_UNUSED " ORDER BY object, backend",
		"i", now_s + META_UNSURE_S);
	meta_txn_exec(txn, "DELETE FROM repack WHERE object IN " SQL_UNUSED, "");
	meta_txn_exec(txn, "DELETE FROM remnant WHERE object IN " SQL_NEVER_WAS, "");
	meta_txn_exec(txn, "DELETE FROM shortage WHERE object IN " SQL_UNUSED, "");
	meta_txn_exec(txn, "UPDATE replica SET state = 2 WHERE object IN " SQL_UNUSED, "");
	meta_txn_exec(txn, "DELETE FROM object WHERE refs = 0 AND state = 1 AND " SQL_NO_COPY, "");
	meta_txn_exec(txn, "UPDATE object SET state = 2 WHERE refs = 0 AND state = 1", "");
}

/* ---- get ---- */

static const char sql_object[] =
	"SELECT o.id, o.zone, o.epoch, o.wrapped, o.header_bytes, o.plain_bytes,"
	" r.backend, r.state, o.state = 2, r.fault FROM object o LEFT JOIN replica r ON r.object = o.num"
	" WHERE o.id = ?1 ORDER BY r.backend";

static void object_fill(struct query *q, struct object_ref *ref)
{
	query_exact(q, 0, ref->id, sizeof ref->id);
	ref->zone = (uint32_t)meta_row_i64(&q->row, 1);
	ref->epoch = (uint32_t)meta_row_i64(&q->row, 2);
	query_exact(q, 3, ref->wrapped, sizeof ref->wrapped);
	ref->header_bytes = (uint32_t)meta_row_i64(&q->row, 4);
	ref->plain_bytes = (uint64_t)meta_row_i64(&q->row, 5);
}

static int replica_add(struct object_info *info, struct meta_row *row)
{
	struct replica *v;

	if (!meta_row_i64(row, 6))
		return 0;
	if (!(v = realloc(info->replicas, (info->replica_count + 1) * sizeof *v)))
		return -ENOMEM;
	info->replicas = v;
	v[info->replica_count++] = (struct replica){ (uint32_t)meta_row_i64(row, 6),
		(enum replica_state)meta_row_i64(row, 7), (enum replica_fault)meta_row_i64(row, 9) };
	return 0;
}

int meta_object_extents(struct meta *m, const uint8_t id[OBJECT_ID_BYTES], uint64_t from, uint64_t end,
	struct extent_row *out, size_t max)
{
	struct query q;
	size_t count = 0;
	int rc;

	query_open(&q, m,
		"SELECT e.ino, e.idx, e.offset, e.length FROM extent e JOIN object o ON o.num = e.object"
		" WHERE o.id = ?1 AND e.offset >= ?2 AND e.offset + e.length <= ?3 ORDER BY e.offset LIMIT ?4",
		"biii", id, (size_t)OBJECT_ID_BYTES, (int64_t)from, (int64_t)end, (int64_t)max);
	for (; count < max && query_step(&q) > 0; count++)
		out[count] = (struct extent_row){ .ino = (uint64_t)meta_row_i64(&q.row, 0),
			.index = (uint32_t)meta_row_i64(&q.row, 1),
			.offset = (uint64_t)meta_row_i64(&q.row, 2),
			.len = (uint32_t)meta_row_i64(&q.row, 3) };
	rc = query_close(&q);
	return rc < 0 ? rc : (int)count;
}

int meta_object_get(struct meta *m, const uint8_t id[OBJECT_ID_BYTES], struct object_info *info)
{
	bool queued, found = false;
	struct query q;
	int rc;

	memset(info, 0, sizeof *info);
	pthread_mutex_lock(&m->lock);
	queued = tracked_find(m, id);
	pthread_mutex_unlock(&m->lock);
	if (queued && (rc = meta_commit(m)) < 0)
		return rc;
	query_open(&q, m, sql_object, "b", id, (size_t)OBJECT_ID_BYTES);
	while (query_step(&q) > 0) {
		if (!found)
			object_fill(&q, &info->ref);
		info->deleting = meta_row_i64(&q.row, 8);
		found = true;
		if (!q.rc)
			q.rc = replica_add(info, &q.row);
	}
	rc = query_close(&q);
	if (rc == 0 && !found)
		rc = -ENOENT;
	if (rc < 0)
		object_info_free(info);
	return rc;
}
