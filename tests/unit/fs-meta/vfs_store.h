/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One encrypted database in a directory of its own, for the tests of the VFS. A crash is a copy of its files taken
 * while they are in use. */
#ifndef TESTS_VFS_STORE_H
#define TESTS_VFS_STORE_H

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "fs/crypt/seal.h"
#include "fs/meta/vfs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAL_HEAD_REC 72
#define FRAME_REC    4160

static const uint8_t key[32] = { 1, 2, 3 }, store_id[16] = { 7, 7 };

/* One store in a directory of its own. */
struct store {
	char dir[64], path[96], wal[96];
	struct vfs *vfs;
	sqlite3 *db;
};

static inline void store_paths(struct store *s)
{
	memset(s, 0, sizeof(*s));
	snprintf(s->dir, sizeof(s->dir), "%s/borderfs-vfs-XXXXXX", getenv("TEST_TMP") ? getenv("TEST_TMP") : "/tmp");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/meta.db", s->dir);
	snprintf(s->wal, sizeof(s->wal), "%s/meta.db-wal", s->dir);
}

static inline void store_reopen(struct store *s)
{
	struct errmsg msg = { 0 };
	int rc;

	assert_int_equal(vfs_new(&s->vfs, key, store_id), 0);
	rc = vfs_open(s->vfs, s->path, 0, &s->db, &msg);
	if (rc < 0)
		print_error("vfs_open: %s\n", errmsg_text(&msg, rc));
	assert_int_equal(rc, 0);
}

static inline void store_open(struct store *s)
{
	store_paths(s);
	store_reopen(s);
}

static inline void store_close(struct store *s)
{
	assert_int_equal(sqlite3_close(s->db), SQLITE_OK);
	vfs_free(s->vfs);
	s->db = NULL;
	s->vfs = NULL;
}

static inline void store_remove(struct store *s)
{
	unlink(s->path);
	unlink(s->wal);
	assert_int_equal(rmdir(s->dir), 0); /* and nothing else was ever made beside them */
}

static inline void store_end(struct store *s)
{
	store_close(s);
	store_remove(s);
}

static inline void run(sqlite3 *db, const char *sql)
{
	char *error = NULL;
	int rc = sqlite3_exec(db, sql, NULL, NULL, &error);

	if (rc != SQLITE_OK)
		print_error("%s: %s (%d)\n", sql, error, sqlite3_extended_errcode(db));
	sqlite3_free(error);
	assert_int_equal(rc, SQLITE_OK);
}

/* the one value of a query; -1 with *code set where it fails */
static inline int64_t query(sqlite3 *db, const char *sql, int *code)
{
	sqlite3_stmt *st = NULL;
	int64_t v = -1;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		v = sqlite3_column_int64(st, 0);
	if (code)
		*code = rc;
	sqlite3_finalize(st);
	return v;
}

static inline void is_text(sqlite3 *db, const char *sql, const char *want)
{
	sqlite3_stmt *st = NULL;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(st, 0), want);
	sqlite3_finalize(st);
}

static inline void is_sound(sqlite3 *db)
{
	is_text(db, "PRAGMA integrity_check", "ok");
}

static inline void file_load(const char *path, struct buf *out)
{
	buf_reset(out);
	assert_int_equal(file_read_all(AT_FDCWD, path, 1U << 30, out), 0);
}

static inline void file_store(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(file_write_full(fd, data, len), 0);
	close(fd);
}

/* what a crash leaves: the files as they are now, in a new directory */
static inline void store_crash_copy(const struct store *from, struct store *to)
{
	struct buf b = BUF_INIT;

	store_paths(to);
	file_load(from->path, &b);
	file_store(to->path, b.data, b.len);
	if (access(from->wal, F_OK) == 0) {
		file_load(from->wal, &b);
		file_store(to->wal, b.data, b.len);
	}
	buf_free(&b);
}

static inline int open_code(const struct store *s, const uint8_t *k, const uint8_t *id, struct errmsg *msg)
{
	struct vfs *v;
	sqlite3 *db = NULL;
	int rc;

	assert_int_equal(vfs_new(&v, k, id), 0);
	rc = vfs_open(v, s->path, 0, &db, msg);
	sqlite3_close(db);
	vfs_free(v);
	return rc;
}

static const char filler[] = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
			     "INSERT INTO t (name, data) SELECT 'visible-name-' || i, 'visible-value-' || hex(i) || "
			     "hex(zeroblob(i)) FROM n;";

static inline void table_make(sqlite3 *db)
{
	run(db, "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, data ANY) STRICT;"
		"CREATE INDEX t_name ON t (name);"
		"INSERT INTO t (name, data) VALUES ('first-name', x'00');");
}

static inline int quiet_setup(void **state)
{
	(void)state;
	log_to(open("/dev/null", O_WRONLY));
	return crypt_init();
}

#endif
