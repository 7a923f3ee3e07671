/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Orders to empty a backend. What is left to do is not written down: it is what the index replica_backend finds. */
#include "fs/meta/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int64_t now_s(void)
{
	return clock_real_ns() / NS_PER_S;
}

void move_order_free(struct move_order *o)
{
	free(o->receipt);
	*o = (struct move_order){ 0 };
}

/* ---- an order begins and ends ---- */

struct order_record {
	struct meta_record record;
	struct move_order order;
	char *receipt;
};

static void order_free(struct meta_record *r)
{
	struct order_record *o = container_of(r, struct order_record, record);

	free(o->receipt);
	free(o);
}

static void begin_apply(struct meta_txn *txn, struct meta_record *r)
{
	const struct move_order *o = &container_of(r, struct order_record, record)->order;

	meta_txn_exec(txn,
		"INSERT INTO move (source, target, state, uid, asked_s, deadline_s, ended_s, files, objects, bytes,"
		" moved, moved_bytes, deleted) VALUES (?1, ?2, 0, ?3, ?4, ?5, 0, ?6, ?7, ?8, 0, 0, 0)",
		"iiiiiiii", (int64_t)o->from, (int64_t)o->to, (int64_t)o->uid, o->asked_s, o->deadline_s,
		(int64_t)o->there.files, (int64_t)o->there.objects, (int64_t)o->there.bytes);
}

static void end_apply(struct meta_txn *txn, struct meta_record *r)
{
	const struct order_record *o = container_of(r, struct order_record, record);

	meta_txn_exec(txn, "UPDATE move SET state = ?2, ended_s = ?3, receipt = coalesce(?4, receipt) WHERE id = ?1",
		"iiit", o->order.id, (int64_t)o->order.state, o->order.ended_s, o->receipt);
}

static int order_write(struct meta *m, const struct move_order *order, const char *receipt,
	void (*apply)(struct meta_txn *, struct meta_record *))
{
	struct order_record *r = calloc(1, sizeof *r);
	uint64_t batch;

	if (!r || (receipt && !(r->receipt = strdup(receipt)))) {
		free(r);
		return -ENOMEM;
	}
	r->record = (struct meta_record){ .apply = apply, .free = order_free };
	r->order = *order;
	pthread_mutex_lock(&m->lock);
	batch = m->batch;
	meta_queue(m, &r->record);
	pthread_mutex_unlock(&m->lock);
	return wait_durable(m, batch);
}

int meta_move_begin(struct meta *m, struct move_order *order)
{
	struct move_order last;
	int rc;

	order->asked_s = now_s();
	if ((rc = order_write(m, order, NULL, begin_apply)) < 0 || (rc = meta_move_last(m, 0, &last)) < 0)
		return rc;
	order->id = last.id;
	move_order_free(&last);
	return 0;
}

int meta_move_end(struct meta *m, int64_t id, enum move_state state, const char *receipt)
{
	return order_write(m, &(struct move_order){ .id = id, .state = state, .ended_s = now_s() }, receipt, end_apply);
}

/* ---- what is known of orders ---- */

static int order_fill(struct meta_row *row, struct move_order *o)
{
	const char *receipt = meta_row_text(row, 14);

	*o = (struct move_order){
		.id = meta_row_i64(row, 0),
		.from = (uint32_t)meta_row_i64(row, 1),
		.to = (uint32_t)meta_row_i64(row, 2),
		.state = (enum move_state)meta_row_i64(row, 3),
		.uid = (uint32_t)meta_row_i64(row, 4),
		.asked_s = meta_row_i64(row, 5),
		.deadline_s = meta_row_i64(row, 6),
		.ended_s = meta_row_i64(row, 7),
		.there = { (uint64_t)meta_row_i64(row, 8), (uint64_t)meta_row_i64(row, 9),
			(uint64_t)meta_row_i64(row, 10) },
		.moved = (uint64_t)meta_row_i64(row, 11),
		.moved_bytes = (uint64_t)meta_row_i64(row, 12),
		.deleted = (uint64_t)meta_row_i64(row, 13),
	};
	return receipt && !(o->receipt = strdup(receipt)) ? -ENOMEM : 0;
}

int meta_move_last(struct meta *m, uint32_t from, struct move_order *out)
{
	struct query q;
	bool found;
	int rc, rc2 = 0;

	query_open(&q, m,
		"SELECT id, source, target, state, uid, asked_s, deadline_s, ended_s, files, objects, bytes, moved,"
		" moved_bytes, deleted, receipt FROM move WHERE ?1 = 0 OR source = ?1 ORDER BY id DESC LIMIT 1",
		"i", (int64_t)from);
	if ((found = query_step(&q) > 0))
		rc2 = order_fill(&q.row, out);
	rc = query_close(&q);
	return rc < 0 ? rc : found ? rc2 : -ENOENT;
}

int meta_move_closed(struct meta *m, uint32_t backend_id)
{
	struct query q;
	bool closed = false;
	int rc;

	query_open(
		&q, m, "SELECT state FROM move WHERE source = ?1 ORDER BY id DESC LIMIT 1", "i", (int64_t)backend_id);
	if (query_step(&q) > 0)
		closed = meta_row_i64(&q.row, 0) != MOVE_CANCELLED;
	rc = query_close(&q);
	return rc < 0 ? rc : closed;
}

/* ---- what a backend holds ---- */

/* Files in the order of their extents' primary key: nothing is sorted. */
static int count_files(struct meta *m, uint32_t backend_id, uint64_t *files)
{
	struct query q;

	query_open(&q, m,
		"SELECT count(*) FROM (SELECT 1 FROM extent e WHERE EXISTS (SELECT 1 FROM replica r"
		" WHERE r.object = e.object AND r.backend = ?1) GROUP BY e.ino)",
		"i", (int64_t)backend_id);
	if (query_step(&q) > 0)
		*files = (uint64_t)meta_row_i64(&q.row, 0);
	return query_close(&q);
}

int meta_move_left(struct meta *m, uint32_t backend_id, struct move_count *out, uint64_t *deletions)
{
	int64_t waiting = meta_deletion_count(m, backend_id);
	struct query q;

	*out = (struct move_count){ 0 };
	*deletions = waiting > 0 ? (uint64_t)waiting : 0;
	if (waiting < 0)
		return (int)waiting;
	query_open(&q, m,
		"SELECT count(*), ifnull(sum(o.plain_bytes), 0) FROM replica r JOIN object o ON o.num = r.object"
		" WHERE r.backend = ?1 AND r.state <> 2",
		"i", (int64_t)backend_id);
	if (query_step(&q) > 0) {
		out->objects = (uint64_t)meta_row_i64(&q.row, 0);
		out->bytes = (uint64_t)meta_row_i64(&q.row, 1);
	}
	return query_close(&q);
}

int meta_move_there(struct meta *m, uint32_t backend_id, struct move_count *out)
{
	uint64_t deletions;
	int rc = meta_move_left(m, backend_id, out, &deletions);

	return rc < 0 ? rc : count_files(m, backend_id, &out->files);
}

int meta_replicas(struct meta *m, uint32_t backend_id, int64_t after, struct shortage *out, size_t max)
{
	struct query q;
	size_t count = 0;
	int rc;

	query_open(&q, m,
		"SELECT r.object, o.id FROM replica r JOIN object o ON o.num = r.object WHERE r.backend = ?1"
		" AND r.object > ?2 AND r.state <> 2 AND o.state = 1 ORDER BY r.object LIMIT ?3",
		"iii", (int64_t)backend_id, after, (int64_t)max);
	for (; count < max && query_step(&q) > 0; count++) {
		out[count].num = meta_row_i64(&q.row, 0);
		query_exact(&q, 1, out[count].object, sizeof out[count].object);
	}
	rc = query_close(&q);
	return rc < 0 ? rc : (int)count;
}

/* ---- a copy goes, and its object stays ---- */

struct release_record {
	struct meta_record record;
	uint8_t id[OBJECT_ID_BYTES];
	uint32_t backend_id;
	unsigned copies;
	char backends[]; /* that count; a JSON array */
};

/* A copy that was not confirmed, or was damaged, is deleted twice, as one whose upload was not answered. */
static void release_apply(struct meta_txn *txn, struct meta_record *record)
{
	const struct release_record *r = container_of(record, struct release_record, record);
	int64_t backend = r->backend_id;
	int64_t num = meta_txn_select_i64(
		txn, 0, "SELECT num FROM object WHERE id = ?1 AND state = 1", "b", r->id, sizeof r->id);
	int64_t was = meta_txn_select_i64(txn, REPLICA_DELETING,
		"SELECT state FROM replica WHERE object = ?1 AND backend = ?2 AND (SELECT count(*) FROM replica x"
		" WHERE x.object = ?1 AND x.state = 1 AND x.backend IN (SELECT value FROM json_each(?3))) >= ?4",
		"iiti", num, backend, r->backends, (int64_t)r->copies);

	if (was == REPLICA_DELETING)
		return;
	meta_txn_exec(txn, "UPDATE replica SET state = 2 WHERE object = ?1 AND backend = ?2", "ii", num, backend);
	for (int i = 0; i < (was == REPLICA_STORED ? 1 : 2); i++)
		meta_txn_exec(txn, "INSERT INTO journal (kind, object, backend, due_s) VALUES (1, ?1, ?2, ?3)", "iii",
			num, backend, now_s() + (i ? META_UNSURE_S : 0));
	meta_txn_exec(txn,
		"UPDATE move SET moved = moved + 1, moved_bytes = moved_bytes + (SELECT plain_bytes FROM object"
		" WHERE num = ?1) WHERE source = ?2 AND state = 0",
		"ii", num, backend);
}

static void release_free(struct meta_record *r)
{
	free(container_of(r, struct release_record, record));
}

void meta_replica_release(
	struct meta *m, const uint8_t id[OBJECT_ID_BYTES], uint32_t backend_id, const struct meta_mirror *mirror)
{
	struct release_record *r = calloc(1, sizeof *r + mirror_room(mirror));

	if (!r)
		return; /* it is found again */
	r->record = (struct meta_record){ .apply = release_apply, .free = release_free };
	memcpy(r->id, id, sizeof r->id);
	r->backend_id = backend_id;
	r->copies = mirror->copies;
	mirror_json(mirror, r->backends);
	meta_queue(m, &r->record);
}

/* One deletion of an object counts, also where it was deleted twice. */
void move_deleted(struct meta_txn *txn, int64_t object, uint32_t backend_id)
{
	meta_txn_exec(txn,
		"UPDATE move SET deleted = deleted + 1 WHERE source = ?2 AND state = 0"
		" AND NOT EXISTS (SELECT 1 FROM journal WHERE object = ?1 AND backend = ?2)",
		"ii", object, (int64_t)backend_id);
}
