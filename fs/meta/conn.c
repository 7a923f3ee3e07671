/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

#include <errno.h>
#include <stdlib.h>

struct stmt {
	struct hash_node hash;
	const char *sql;
	sqlite3_stmt *stmt;
};

int conn_open(struct conn **out, struct vfs *vfs, const char *path, bool readonly, struct errmsg *msg)
{
	struct conn *c = calloc(1, sizeof *c);
	int rc;

	if (!c || hash_init(&c->stmts) < 0) {
		free(c);
		return -ENOMEM;
	}
	if ((rc = vfs_open(vfs, path, readonly, &c->db, msg)) < 0) {
		hash_free(&c->stmts);
		free(c);
		return rc;
	}
	list_init(&c->link);
	*out = c;
	return 0;
}

static void stmt_free(void *ctx, struct hash_node *n)
{
	struct stmt *s = container_of(n, struct stmt, hash);

	(void)ctx;
	sqlite3_finalize(s->stmt);
	free(s);
}

void conn_close(struct conn *c)
{
	if (!c)
		return;
	hash_drain(&c->stmts, stmt_free, NULL);
	hash_free(&c->stmts);
	sqlite3_close_v2(c->db);
	free(c);
}

static bool no_space(int error)
{
	return error == ENOSPC || error == EDQUOT;
}

int conn_error(struct conn *c, int sqlite_rc)
{
	if (sqlite3_extended_errcode(c->db) == SQLITE_IOERR_DATA)
		return -ERR_TAMPERED;
	switch (sqlite_rc & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL: /* a reader stood still for ten seconds where it holds the log's index */
		return -EBUSY;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_CONSTRAINT:
	case SQLITE_ERROR:
	case SQLITE_MISMATCH:
	case SQLITE_DONE:
		return -ERR_CORRUPT;
	default:
		return no_space(sqlite3_system_errno(c->db)) ? -ENOSPC : -EIO;
	}
}

int conn_script(struct conn *c, const char *sql)
{
	int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);

	if (rc == SQLITE_OK)
		return 0;
	log_debug("metadata: %s: %s", sqlite3_errmsg(c->db), sql);
	return conn_error(c, rc);
}

static bool stmt_eq(const struct hash_node *n, const void *sql)
{
	return container_of(n, struct stmt, hash)->sql == sql;
}

static int stmt_get(struct conn *c, const char *sql, sqlite3_stmt **out)
{
	uint64_t h = hash_u64((uintptr_t)sql);
	struct hash_node *n = hash_find(&c->stmts, h, stmt_eq, sql);
	struct stmt *s;
	int rc;

	if (n) {
		*out = container_of(n, struct stmt, hash)->stmt;
		return 0;
	}
	if (!(s = calloc(1, sizeof *s)))
		return -ENOMEM;
	s->sql = sql;
	rc = sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->stmt, NULL);
	if (rc != SQLITE_OK) {
		log_error("metadata: %s: %s", sqlite3_errmsg(c->db), sql);
		free(s);
		return conn_error(c, rc);
	}
	hash_insert(&c->stmts, &s->hash, h);
	*out = s->stmt;
	return 0;
}

/* Bound bytes stay the caller's: a statement is stepped and reset before they go. */
int conn_prepare(struct conn *c, const char *sql, const char *format, va_list ap, sqlite3_stmt **out)
{
	va_list args;
	int rc;

	if ((rc = stmt_get(c, sql, out)) < 0)
		return rc;
	va_copy(args, ap);
	rc = SQLITE_OK;
	for (int i = 0; format[i] && rc == SQLITE_OK; i++) {
		if (format[i] == 'b') {
			const void *bytes = va_arg(args, const void *);
			size_t len = va_arg(args, size_t);

			rc = sqlite3_bind_blob64(*out, i + 1, bytes, len, SQLITE_STATIC);
		} else if (format[i] == 't') {
			rc = sqlite3_bind_text(*out, i + 1, va_arg(args, const char *), -1, SQLITE_STATIC);
		} else {
			rc = sqlite3_bind_int64(*out, i + 1, va_arg(args, int64_t));
		}
	}
	va_end(args);
	return rc == SQLITE_OK ? 0 : conn_error(c, rc);
}
