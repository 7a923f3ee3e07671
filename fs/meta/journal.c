/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

#include <errno.h>
#include <string.h>

/* A deletion is tracked by its sequence, so that one that is done is not given out again before its commit. */
static void deletion_key(int64_t seq, uint8_t key[OBJECT_ID_BYTES])
{
	memset(key, 0xff, OBJECT_ID_BYTES);
	put_le64(key, (uint64_t)seq);
}

static bool deletion_is_done(struct meta *m, int64_t seq)
{
	uint8_t key[OBJECT_ID_BYTES];
	bool done;

	deletion_key(seq, key);
	pthread_mutex_lock(&m->lock);
	done = tracked_find(m, key);
	pthread_mutex_unlock(&m->lock);
	return done;
}

/* ?2: now. A clock that was set back makes nothing wait longer. */
#define SQL_LATER      "(j.due_s > ?2 AND j.due_s <= ?2 + " SQL_UNSURE_S ")"
#define SQL_UNSURE_S   SQL_TEXT(META_UNSURE_S)
#define SQL_TEXT(n)    SQL_TEXT_OF(n)
#define SQL_TEXT_OF(n) #n

int meta_deletions(struct meta *m, uint32_t backend_id, int64_t after, struct deletion *out, size_t max)
{
	struct query q;
	size_t count = 0;
	int64_t durable;
	int rc;

	pthread_rwlock_rdlock(&m->merge);
	pthread_mutex_lock(&m->lock);
	durable = m->journal_durable;
	pthread_mutex_unlock(&m->lock);
	query_open(&q, m,
		"SELECT j.seq, o.id FROM journal j JOIN object o ON o.num = j.object"
		" WHERE j.kind = 1 AND j.backend = ?1 AND j.seq > ?3 AND j.seq <= ?4 AND NOT " SQL_LATER
		" ORDER BY j.seq",
		"iiii", (int64_t)backend_id, clock_real_ns() / NS_PER_S, after, durable);
	while (count < max && query_step(&q) > 0) {
		struct deletion *d = &out[count];

		d->seq = meta_row_i64(&q.row, 0);
		d->backend_id = backend_id;
		query_exact(&q, 1, d->object, sizeof d->object);
		count += !deletion_is_done(m, d->seq);
	}
	rc = query_close(&q);
	pthread_rwlock_unlock(&m->merge);
	return rc < 0 ? rc : (int)count;
}

static void done_apply(struct meta_txn *txn, struct meta_record *record)
{
	const struct tracked *t = container_of(record, struct tracked, record);
	int64_t num = meta_txn_select_i64(txn, 0, "SELECT object FROM journal WHERE seq = ?1", "i", t->seq);

	if (!num)
		return;
	meta_txn_exec(txn, "DELETE FROM journal WHERE seq = ?1", "i", t->seq);
	move_deleted(txn, num, t->backend_id);
	/* one that is to be deleted once more stays known until then */
	meta_txn_exec(txn,
		"DELETE FROM replica WHERE object = ?1 AND backend = ?2"
		" AND NOT EXISTS (SELECT 1 FROM journal WHERE object = ?1 AND backend = ?2)",
		"ii", num, (int64_t)t->backend_id);
	meta_txn_exec(txn,
		"DELETE FROM object WHERE num = ?1 AND state = 2"
		" AND NOT EXISTS (SELECT 1 FROM replica WHERE object = ?1)",
		"i", num);
	if (!txn->rc && txn->changes)
		meta_txn_exec(txn, "DELETE FROM remnant WHERE object = ?1", "i", num);
}

void meta_deletion_done(struct meta *m, const struct deletion *d)
{
	uint8_t key[OBJECT_ID_BYTES];

	deletion_key(d->seq, key);
	tracked_queue(m, key, d->backend_id, d->seq, done_apply);
}

int64_t meta_deletions_due(struct meta *m)
{
	int64_t seq;

	pthread_mutex_lock(&m->lock);
	seq = m->journal_durable;
	pthread_mutex_unlock(&m->lock);
	return seq;
}

int64_t meta_deletion_later(struct meta *m, uint32_t backend_id, int64_t since_ns)
{
	int64_t due_s = 0;
	struct query q;
	int rc;

	pthread_rwlock_rdlock(&m->merge);
	query_open(&q, m,
		"SELECT due_s, seq FROM journal WHERE kind = 1 AND backend = ?1 AND due_s > ?2 ORDER BY due_s", "ii",
		(int64_t)backend_id, since_ns / NS_PER_S);
	while (!due_s && query_step(&q) > 0)
		if (!deletion_is_done(m, meta_row_i64(&q.row, 1)))
			due_s = meta_row_i64(&q.row, 0);
	rc = query_close(&q);
	pthread_rwlock_unlock(&m->merge);
	return rc < 0 ? rc : due_s;
}

int64_t meta_deletion_count(struct meta *m, uint32_t backend_id)
{
	struct query q;
	int64_t count = 0;
	int rc;

	query_open(&q, m, "SELECT count(*) FROM journal WHERE kind = 1 AND (?1 = 0 OR backend = ?1)", "i",
		(int64_t)backend_id);
	if (query_step(&q) > 0)
		count = meta_row_i64(&q.row, 0);
	rc = query_close(&q);
	return rc < 0 ? rc : count;
}
