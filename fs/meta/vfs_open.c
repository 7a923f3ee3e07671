/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/err.h"
#include "fs/meta/vfs_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define BUSY_MS	   10000
#define PATH_BYTES 4096

/* What a person is told when SQLite refuses. */
static int open_error(sqlite3 *db, const char *path, int code, struct errmsg *msg)
{
	int os_errno = db ? sqlite3_system_errno(db) : 0, extended = db ? sqlite3_extended_errcode(db) : code;

	if (extended == SQLITE_IOERR_DATA || code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
		return errmsg_set(msg, -ERR_TAMPERED,
			"the metadata %s does not open with this store's key: it is another store's, or was changed or "
			"damaged",
			path);
	if (code == SQLITE_NOMEM)
		return -ENOMEM;
	if (code == SQLITE_FULL)
		return errmsg_set(msg, -ENOSPC, "the disk of the metadata %s is full", path);
	if (code == SQLITE_BUSY)
		return errmsg_set(msg, -EBUSY, "the metadata %s is in use", path);
	if (os_errno)
		return errmsg_set(msg, -os_errno, "the metadata %s cannot be opened: %s", path, err_text(-os_errno));
	return errmsg_set(msg, -EIO, "the metadata %s cannot be opened: %s", path,
		db ? sqlite3_errmsg(db) : sqlite3_errstr(code));
}

static int exec(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* whether the only row of this statement is this text; an SQLite code, SQLITE_NOTADB where it is another */
static int expect(sqlite3 *db, const char *sql, const char *text)
{
	sqlite3_stmt *st = NULL;
	const char *got;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
		got = (const char *)sqlite3_column_text(st, 0);
		if (!got || strcmp(got, text) != 0)
			rc = SQLITE_NOTADB;
	} else if (rc == SQLITE_OK) {
		rc = sqlite3_errcode(db);
	}
	sqlite3_finalize(st);
	return rc;
}

/* A log without its database would be thrown away by SQLite. fresh: there is no database yet. */
static int files_check(const char *path, int readonly, int *fresh, struct errmsg *msg)
{
	char wal[PATH_BYTES];
	struct stat db_st = { 0 }, wal_st = { 0 };

	if ((size_t)snprintf(wal, sizeof(wal), "%s-wal", path) >= sizeof(wal))
		return -ENAMETOOLONG;
	if (stat(path, &db_st) < 0 && errno != ENOENT)
		return errmsg_set(msg, -errno, "the metadata %s cannot be opened: %s", path, err_text(-errno));
	*fresh = db_st.st_size == 0;
	if (*fresh && stat(wal, &wal_st) == 0 && wal_st.st_size > 0)
		return errmsg_set(msg, -ERR_TAMPERED,
			"the metadata %s is missing or empty, but its log %s is there: bring the database back", path,
			wal);
	if (*fresh && readonly)
		return errmsg_set(msg, -ENOENT, "there is no metadata at %s", path);
	return 0;
}

/* The first page is written once and synced before there is a log: without a rollback journal, which would be a file
 * in the clear. */
static int create(sqlite3 *db)
{
	int reserve = VFS_RESERVED, rc;

	rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve);
	return rc == SQLITE_OK ? exec(db, "PRAGMA page_size = 4096; PRAGMA journal_mode = OFF;") : rc;
}

static int configure(sqlite3 *db, int readonly, int fresh)
{
	int reserve = -1, rc;

	sqlite3_busy_timeout(db, BUSY_MS);
	rc = exec(db, "PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; PRAGMA synchronous = NORMAL;"
		      "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA secure_delete = FAST;"
		      "PRAGMA wal_autocheckpoint = 0;");
	if (rc == SQLITE_OK && fresh)
		rc = create(db);
	/* the first to read a page, and so to find out about the key */
	if (rc == SQLITE_OK)
		rc = expect(db, readonly ? "PRAGMA journal_mode" : "PRAGMA journal_mode = WAL", "wal");
	if (rc == SQLITE_OK)
		rc = exec(db, "SELECT count(*) FROM sqlite_schema");
	if (rc == SQLITE_OK)
		rc = expect(db, "PRAGMA page_size", "4096");
	if (rc == SQLITE_OK)
		rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve);
	return rc == SQLITE_OK && reserve != VFS_RESERVED ? SQLITE_NOTADB : rc;
}

int vfs_open(struct vfs *v, const char *path, int readonly, sqlite3 **out, struct errmsg *msg)
{
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
	int fresh = 0, rc = files_check(path, readonly, &fresh, msg);
	sqlite3 *db = NULL;

	if (rc < 0)
		return rc;
	flags |= readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	rc = sqlite3_open_v2(path, &db, flags, v->name);
	/* to a wrong key the log is empty, and whoever closes last removes an empty log: not before the key is proven
	 */
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if (rc == SQLITE_OK)
		rc = configure(db, readonly, fresh);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
	if (rc != SQLITE_OK) {
		rc = open_error(db, path, rc & 0xff, msg);
		sqlite3_close(db);
		return rc;
	}
	*out = db;
	return 0;
}
