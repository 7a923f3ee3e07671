/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Objects that have fewer sound copies than their zone asks for: the table `shortage`, a superset until each of them
 * was looked at. */
#include "fs/meta/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SQL_LOOK_PAGE "1000"

/* ---- a copy is found to be bad; one more is made ---- */

static void bad_apply(struct meta_txn *txn, struct meta_record *record)
{
	const struct tracked *t = container_of(record, struct tracked, record);

	meta_txn_exec(txn,
		"UPDATE replica SET state = 3, fault = ?3, fault_s = ?4"
		" WHERE object = (SELECT num FROM object WHERE id = ?1 AND state = 1) AND backend = ?2 AND state = 1",
		"biii", t->key, sizeof t->key, (int64_t)t->backend_id, t->seq, (int64_t)(clock_real_ns() / NS_PER_S));
	if (!txn->rc && txn->changes)
		meta_txn_exec(txn, "INSERT OR IGNORE INTO shortage SELECT num, zone FROM object WHERE id = ?1", "b",
			t->key, sizeof t->key);
}

void meta_replica_bad(struct meta *m, const uint8_t id[OBJECT_ID_BYTES], uint32_t backend_id, enum replica_fault fault)
{
	tracked_queue(m, id, backend_id, fault, bad_apply);
}

static void more_apply(struct meta_txn *txn, struct meta_record *record)
{
	const struct tracked *t = container_of(record, struct tracked, record);

	meta_txn_exec(txn,
		"INSERT OR IGNORE INTO replica (object, backend, state)"
		" SELECT num, ?2, 0 FROM object WHERE id = ?1 AND state = 1",
		"bi", t->key, sizeof t->key, (int64_t)t->backend_id);
}

static int any_row(void *ctx, struct meta_row *row)
{
	(void)ctx;
	(void)row;
	return 1;
}

int meta_replica_begin(struct meta *m, const uint8_t id[OBJECT_ID_BYTES], uint32_t backend_id)
{
	uint64_t batch;
	int rc;

	pthread_mutex_lock(&m->lock);
	batch = m->batch;
	tracked_queue(m, id, backend_id, 0, more_apply);
	pthread_mutex_unlock(&m->lock);
	if ((rc = wait_committed(m, batch)) < 0)
		return rc;
	rc = meta_select(m,
		"SELECT 1 FROM replica r JOIN object o ON o.num = r.object"
		" WHERE o.id = ?1 AND o.state = 1 AND r.backend = ?2",
		any_row, NULL, "bi", id, (size_t)OBJECT_ID_BYTES, (int64_t)backend_id);
	return rc == 0 ? -ERR_STALE : rc < 0 ? rc : 0;
}

/* ---- looking for what is short ---- */

/* Of the zone ?3, whose backends are the JSON array ?4, and that asks for ?5 copies. */
#define SQL_SHORT                                                                                                      \
	"SELECT o.num FROM object o WHERE o.num BETWEEN ?1 AND ?2 AND o.zone = ?3 AND o.state = 1 AND ("               \
	"(SELECT count(*) FROM replica r WHERE r.object = o.num AND r.state = 1"                                       \
	" AND r.backend IN (SELECT value FROM json_each(?4))) < ?5"                                                    \
	" OR EXISTS (SELECT 1 FROM replica r WHERE r.object = o.num AND r.state = 3"                                   \
	" AND r.backend IN (SELECT value FROM json_each(?4))))"

struct look_record {
	struct meta_record record;
	int64_t first, last;
	uint32_t zone_id;
	unsigned copies;
	char backends[]; /* a JSON array */
};

static void look_free(struct meta_record *r)
{
	free(container_of(r, struct look_record, record));
}

static void look_apply(struct meta_txn *txn, struct meta_record *record)
{
	const struct look_record *l = container_of(record, struct look_record, record);

	meta_txn_exec(txn, "INSERT OR IGNORE INTO shortage SELECT o.num, ?3 FROM (" SQL_SHORT ") o", "iiiti", l->first,
		l->last, (int64_t)l->zone_id, l->backends, (int64_t)l->copies);
	meta_txn_exec(txn,
		"DELETE FROM shortage WHERE object BETWEEN ?1 AND ?2 AND zone = ?3 AND object NOT IN (" SQL_SHORT ")",
		"iiiti", l->first, l->last, (int64_t)l->zone_id, l->backends, (int64_t)l->copies);
}

size_t mirror_room(const struct meta_mirror *mirror)
{
	static const size_t id_text = 11;

	return mirror->count * id_text + 3;
}

void mirror_json(const struct meta_mirror *mirror, char *out)
{
	size_t room = mirror_room(mirror), at = 0;

	out[at++] = '[';
	for (size_t i = 0; i < mirror->count; i++)
		at += (size_t)snprintf(out + at, room - at, "%s%u", i ? "," : "", mirror->backends[i]);
	out[at++] = ']';
	out[at] = 0;
}

static struct look_record *look_new(const struct meta_mirror *mirror, int64_t first, int64_t last)
{
	struct look_record *l = calloc(1, sizeof *l + mirror_room(mirror));

	if (!l)
		return NULL;
	l->record.apply = look_apply;
	l->record.free = look_free;
	l->first = first;
	l->last = last;
	l->zone_id = mirror->zone_id;
	l->copies = mirror->copies;
	mirror_json(mirror, l->backends);
	return l;
}

static int look(struct meta *m, const struct meta_mirror *mirrors, size_t count, int64_t first, int64_t last)
{
	struct look_record *l;
	uint64_t batch;
	int rc = 0;

	pthread_mutex_lock(&m->lock);
	batch = m->batch;
	for (size_t i = 0; rc == 0 && i < count; i++) {
		if ((l = look_new(&mirrors[i], first, last)))
			meta_queue(m, &l->record);
		else
			rc = -ENOMEM;
	}
	pthread_mutex_unlock(&m->lock);
	return rc < 0 || !count ? rc : wait_committed(m, batch);
}

int meta_copies_look(struct meta *m, const struct meta_mirror *mirrors, size_t count, int64_t *after)
{
	struct query q;
	int64_t last = 0;
	int rc;

	query_open(&q, m,
		"SELECT max(num) FROM (SELECT num FROM object WHERE num > ?1 ORDER BY num LIMIT " SQL_LOOK_PAGE ")",
		"i", *after);
	if (query_step(&q) > 0)
		last = meta_row_i64(&q.row, 0);
	if ((rc = query_close(&q)) < 0 || !last)
		return rc;
	if ((rc = look(m, mirrors, count, *after + 1, last)) < 0)
		return rc;
	*after = last;
	return 1;
}

int meta_copies_settle(struct meta *m, const struct meta_mirror *mirror, int64_t num)
{
	return look(m, mirror, 1, num, num);
}

/* ---- what is short ---- */

int meta_shortages(struct meta *m, uint32_t zone_id, int64_t after, struct shortage *out, size_t max)
{
	struct query q;
	size_t count = 0;
	int rc;

	query_open(&q, m,
		"SELECT s.object, o.id FROM shortage s JOIN object o ON o.num = s.object"
		" WHERE s.zone = ?1 AND s.object > ?2 ORDER BY s.object LIMIT ?3",
		"iii", (int64_t)zone_id, after, (int64_t)max);
	for (; count < max && query_step(&q) > 0; count++) {
		out[count].num = meta_row_i64(&q.row, 0);
		query_exact(&q, 1, out[count].object, sizeof out[count].object);
	}
	rc = query_close(&q);
	return rc < 0 ? rc : (int)count;
}

static int64_t count_blocks(struct meta *m, const char *sql, uint32_t zone_id, int64_t max)
{
	struct query q;
	int64_t count = 0;
	int rc;

	query_open(&q, m, sql, "ii", (int64_t)zone_id, max);
	if (query_step(&q) > 0)
		count = meta_row_i64(&q.row, 0);
	rc = query_close(&q);
	return rc < 0 ? rc : count;
}

int64_t meta_shortage_blocks(struct meta *m, uint32_t zone_id, int64_t max)
{
	return count_blocks(m,
		"SELECT count(*) FROM (SELECT 1 FROM shortage s JOIN extent e ON e.object = s.object"
		" WHERE s.zone = ?1 LIMIT ?2)",
		zone_id, max);
}

int64_t meta_lost_blocks(struct meta *m, uint32_t zone_id, int64_t max)
{
	return count_blocks(m,
		"SELECT count(*) FROM (SELECT 1 FROM (SELECT DISTINCT object FROM replica WHERE state = 3) b"
		" JOIN object o ON o.num = b.object JOIN extent e ON e.object = b.object WHERE o.zone = ?1"
		" AND NOT EXISTS (SELECT 1 FROM replica r WHERE r.object = b.object AND r.state = 1) LIMIT ?2)",
		zone_id, max);
}
