/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

#include <stdlib.h>
#include <string.h>

void txn_begin(struct meta_txn *txn, struct meta *m, struct conn *c)
{
	memset(txn, 0, sizeof *txn);
	txn->m = m;
	txn->conn = c;
	txn->rc = conn_script(c, "BEGIN IMMEDIATE");
}

int txn_commit(struct meta_txn *txn)
{
	if (!txn->rc)
		txn->rc = conn_script(txn->conn, "COMMIT");
	/* SQLite rolls some failures back by itself */
	if (txn->rc && !sqlite3_get_autocommit(txn->conn->db))
		sqlite3_exec(txn->conn->db, "ROLLBACK", NULL, NULL, NULL);
	if (!txn->rc && txn->repacks)
		atomic_fetch_add(&txn->m->repack_changes, 1);
	free(txn->subtrees);
	txn->subtrees = NULL;
	return txn->rc;
}

void meta_txn_fail(struct meta_txn *txn, int rc)
{
	if (!txn->rc)
		txn->rc = rc;
}

/* The statement is reset at once: what was bound belongs to the caller. */
static int64_t step(struct meta_txn *txn, sqlite3_stmt *stmt, int64_t dflt)
{
	int rc = sqlite3_step(stmt);

	if (rc == SQLITE_ROW)
		dflt = sqlite3_column_int64(stmt, 0);
	else if (rc != SQLITE_DONE)
		log_error("metadata: %s", sqlite3_errstr(sqlite3_extended_errcode(txn->conn->db)));
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		meta_txn_fail(txn, conn_error(txn->conn, rc));
	txn->changes = sqlite3_changes64(txn->conn->db);
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return dflt;
}

void meta_txn_exec(struct meta_txn *txn, const char *sql, const char *format, ...)
{
	sqlite3_stmt *stmt;
	va_list ap;

	if (txn->rc)
		return;
	va_start(ap, format);
	txn->rc = conn_prepare(txn->conn, sql, format, ap, &stmt);
	va_end(ap);
	if (!txn->rc)
		step(txn, stmt, 0);
}

int64_t meta_txn_select_i64(struct meta_txn *txn, int64_t dflt, const char *sql, const char *format, ...)
{
	sqlite3_stmt *stmt;
	va_list ap;

	if (txn->rc)
		return dflt;
	va_start(ap, format);
	txn->rc = conn_prepare(txn->conn, sql, format, ap, &stmt);
	va_end(ap);
	return txn->rc ? dflt : step(txn, stmt, dflt);
}
