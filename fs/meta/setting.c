/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A record that sets one row of `setting` or adds one to `backend`: key and value, or name and identity. */
struct row_record {
	struct meta_record record;
	uint32_t zone_id;
	size_t key_len, len;
	char bytes[]; /* the key, NUL, the value, NUL */
};

static void row_free(struct meta_record *r)
{
	free(container_of(r, struct row_record, record));
}

static const char *row_value(const struct row_record *r)
{
	return r->bytes + r->key_len + 1;
}

static void setting_apply(struct meta_txn *txn, struct meta_record *record)
{
	const struct row_record *r = container_of(record, struct row_record, record);

	meta_txn_exec(txn,
		"INSERT INTO setting (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = "
		"excluded.value",
		"tb", r->bytes, row_value(r), r->len);
}

static void backend_apply(struct meta_txn *txn, struct meta_record *record)
{
	const struct row_record *r = container_of(record, struct row_record, record);

	meta_txn_exec(txn,
		"INSERT INTO backend (name, identity, zone, first_s) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name) DO "
		"NOTHING",
		"ttii", r->bytes, row_value(r), (int64_t)r->zone_id, (int64_t)(clock_real_ns() / NS_PER_S));
}

/* Queues the row and waits until it is durable. */
static int row_write(struct meta *m, void (*apply)(struct meta_txn *, struct meta_record *), uint32_t zone_id,
	const char *key, const void *value, size_t len)
{
	size_t key_len = strlen(key);
	struct row_record *r = calloc(1, sizeof *r + key_len + len + 2);
	uint64_t batch;

	if (!r)
		return -ENOMEM;
	r->record.apply = apply;
	r->record.free = row_free;
	r->zone_id = zone_id;
	r->key_len = key_len;
	r->len = len;
	memcpy(r->bytes, key, key_len);
	if (len)
		memcpy(r->bytes + key_len + 1, value, len);
	pthread_mutex_lock(&m->lock);
	batch = m->batch;
	meta_queue(m, &r->record);
	pthread_mutex_unlock(&m->lock);
	return wait_durable(m, batch);
}

int meta_setting_get(struct meta *m, const char *key, struct buf *out)
{
	struct query q;
	bool found;
	int rc;

	query_open(&q, m, "SELECT value FROM setting WHERE key = ?1", "t", key);
	if ((found = query_step(&q) > 0)) {
		size_t len;
		const void *value = meta_row_blob(&q.row, 0, &len);

		buf_put(out, value, len);
	}
	rc = query_close(&q);
	if (rc < 0)
		return rc;
	return found ? out->err : -ENOENT;
}

int meta_setting_set(struct meta *m, const char *key, const void *value, size_t len)
{
	return row_write(m, setting_apply, 0, key, value, len);
}

struct backend_row {
	uint32_t id, zone_id;
	char *identity;
};

static int backend_find(struct meta *m, const char *name, struct backend_row *row)
{
	struct query q;
	const char *identity;

	memset(row, 0, sizeof *row);
	query_open(&q, m, "SELECT id, zone, identity FROM backend WHERE name = ?1", "t", name);
	if (query_step(&q) > 0) {
		row->id = (uint32_t)meta_row_i64(&q.row, 0);
		row->zone_id = (uint32_t)meta_row_i64(&q.row, 1);
		identity = meta_row_text(&q.row, 2);
		if (!identity || !(row->identity = strdup(identity)))
			q.rc = -ENOMEM;
	}
	return query_close(&q);
}

int meta_backend_id(struct meta *m, const char *name, const char *identity, uint32_t zone_id, uint32_t *backend_id,
	struct errmsg *msg)
{
	struct backend_row row;
	int rc = backend_find(m, name, &row);

	if (rc == 0 && !row.id && (rc = row_write(m, backend_apply, zone_id, name, identity, strlen(identity))) == 0)
		rc = backend_find(m, name, &row);
	if (rc == 0 && (strcmp(row.identity, identity) != 0 || row.zone_id != zone_id))
		rc = errmsg_set(msg, -ERR_IDENTITY,
			"backend %s is \"%s\" (zone %u) in this store, and the configuration now says \"%s\" (zone "
			"%u): "
			"restore the old lines, or give the new backend a name of its own",
			name, row.identity, row.zone_id, identity, zone_id);
	*backend_id = rc == 0 ? row.id : 0;
	free(row.identity);
	return rc;
}

char *meta_backend_name(struct meta *m, uint32_t backend_id)
{
	struct query q;
	const char *text;
	char *name = NULL;

	query_open(&q, m, "SELECT name FROM backend WHERE id = ?1", "i", (int64_t)backend_id);
	if (query_step(&q) > 0 && (text = meta_row_text(&q.row, 0)))
		name = strdup(text);
	query_close(&q);
	return name;
}
