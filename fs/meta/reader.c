/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* More than this are closed when they are given back: each has a page cache of its own. There is no upper bound on
 * those in use, or a read within a read could wait for itself; threads bound them. */
#define IDLE_MAX 8

static struct conn *reader_get(struct meta *m, int *rc)
{
	struct conn *c = NULL;

	pthread_mutex_lock(&m->pool_lock);
	if (!list_empty(&m->pool)) {
		c = list_first(&m->pool, struct conn, link);
		list_remove(&c->link);
		m->pool_count--;
	}
	pthread_mutex_unlock(&m->pool_lock);
	if (!c)
		*rc = conn_open(&c, m->vfs, m->path, true, NULL);
	return c;
}

static void reader_put(struct meta *m, struct conn *c)
{
	pthread_mutex_lock(&m->pool_lock);
	if (m->pool_count < IDLE_MAX) {
		list_push(&m->pool, &c->link);
		m->pool_count++;
		c = NULL;
	}
	pthread_mutex_unlock(&m->pool_lock);
	conn_close(c);
}

void readers_close(struct meta *m)
{
	list_for_each_safe (it, &m->pool)
		conn_close(list_entry(it, struct conn, link));
	list_init(&m->pool);
	m->pool_count = 0;
}

void query_vopen(struct query *q, struct meta *m, const char *sql, const char *format, va_list ap)
{
	memset(q, 0, sizeof *q);
	q->m = m;
	if ((q->conn = reader_get(m, &q->rc)))
		q->rc = conn_prepare(q->conn, sql, format, ap, &q->row.stmt);
}

void query_open(struct query *q, struct meta *m, const char *sql, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	query_vopen(q, m, sql, format, ap);
	va_end(ap);
}

int query_step(struct query *q)
{
	int rc;

	if (q->rc < 0)
		return q->rc;
	rc = sqlite3_step(q->row.stmt);
	if (rc == SQLITE_ROW)
		return 1;
	if (rc != SQLITE_DONE)
		q->rc = conn_error(q->conn, rc);
	return q->rc;
}

int query_close(struct query *q)
{
	if (q->row.stmt) {
		sqlite3_reset(q->row.stmt); /* ends the snapshot: the next read sees what is committed by then */
		sqlite3_clear_bindings(q->row.stmt);
	}
	if (q->conn)
		reader_put(q->m, q->conn);
	q->conn = NULL;
	return q->rc;
}

int64_t meta_row_i64(struct meta_row *row, int column)
{
	return sqlite3_column_int64(row->stmt, column);
}

const char *meta_row_text(struct meta_row *row, int column)
{
	return (const char *)sqlite3_column_text(row->stmt, column);
}

const void *meta_row_blob(struct meta_row *row, int column, size_t *len)
{
	const void *bytes = sqlite3_column_blob(row->stmt, column);

	*len = (size_t)sqlite3_column_bytes(row->stmt, column);
	return bytes;
}

void query_exact(struct query *q, int column, void *out, size_t len)
{
	size_t have;
	const void *bytes = meta_row_blob(&q->row, column, &have);

	if (bytes && have == len)
		memcpy(out, bytes, len);
	else if (q->rc == 0)
		q->rc = -ERR_CORRUPT;
}

int meta_select(
	struct meta *m, const char *sql, int (*row)(void *ctx, struct meta_row *), void *ctx, const char *format, ...)
{
	struct query q;
	va_list ap;
	int rc, stop = 0;

	if ((rc = meta_commit(m)) < 0)
		return rc;
	va_start(ap, format);
	query_vopen(&q, m, sql, format, ap);
	va_end(ap);
	while (!stop && query_step(&q) > 0)
		stop = row(ctx, &q.row);
	rc = query_close(&q);
	return rc < 0 ? rc : stop;
}
