/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A store in a directory of its own, opened, crashed and opened again. */
#ifndef TESTS_UNIT_FS_META_FIXTURE_H
#define TESTS_UNIT_FS_META_FIXTURE_H

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "fs/crypt/keyring.h"
#include "fs/meta/internal.h"
#include "tests/unit/fs-meta/recount.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define BLOCK	 (4U << 20)

#define FIX_PATH 256

struct fix {
	char dir[FIX_PATH];
	struct keyring *keyring;
	struct meta *m;
	struct meta_options options;
};

static inline const char *fix_tmp(void)
{
	return getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
}

/* One keyring serves all: deriving a key takes longer than most tests. */
static inline struct keyring *fix_keyring(void)
{
	static struct keyring *keyring;
	char dir[FIX_PATH], path[FIX_PATH + 16], *words = NULL;
	struct unlock secret = { UNLOCK_PASSPHRASE, "test", 4 };
	int fd;

	if (keyring)
		return keyring;
	assert_int_equal(crypt_init(), 0);
	snprintf(dir, sizeof dir, "%s/meta-keys.XXXXXX", fix_tmp());
	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_true(fd >= 0);
	assert_int_equal(keyring_create(&keyring, fd, &secret, 1, KDF_MINIMUM, &words, NULL), 0);
	secret_free_text(words);
	close(fd);
	snprintf(path, sizeof path, "%s/keys", dir);
	unlink(path);
	rmdir(dir);
	return keyring;
}

static inline void fix_remove(const char *dir)
{
	static const char *const names[] = { "meta.db", "meta.db-wal", "reserve" };
	char path[FIX_PATH + 16];

	for (size_t i = 0; i < COUNT(names); i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}

static inline void fix_open(struct fix *f)
{
	struct errmsg msg = { 0 };
	int rc = meta_open(&f->m, f->dir, f->keyring, &f->options, &msg);

	if (rc < 0)
		print_error("meta_open: %s\n", errmsg_text(&msg, rc));
	assert_int_equal(rc, 0);
	errmsg_free(&msg);
}

static inline void fix_close(struct fix *f)
{
	assert_int_equal(meta_close(f->m), 0);
	f->m = NULL;
}

static inline void fix_reopen(struct fix *f)
{
	fix_close(f);
	fix_open(f);
}

/* A store of its own, not opened yet. */
static inline void fix_new(struct fix *f)
{
	memset(f, 0, sizeof *f);
	log_init(LOG_LEVEL_ERROR, 0);
	f->keyring = fix_keyring();
	snprintf(f->dir, sizeof f->dir, "%s/meta.XXXXXX", fix_tmp());
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(meta_create(f->dir, f->keyring, BLOCK, 7, 8, NULL), 0);
	/* tests say themselves when to commit */
	f->options.commit_interval_ns = 3600 * NS_PER_S;
}

static inline void fix_start(struct fix *f)
{
	fix_new(f);
	fix_open(f);
}

static inline void fix_end(struct fix *f)
{
	if (f->m)
		fix_close(f);
	fix_remove(f->dir);
}

/* What a crash right now leaves: the store's files are copied to a new directory. The caller ends both. */
static inline void fix_crash(const struct fix *f, struct fix *copy)
{
	static const char *const names[] = { "meta.db", "meta.db-wal" };
	char path[FIX_PATH + 16];

	*copy = *f;
	copy->m = NULL;
	snprintf(copy->dir, sizeof copy->dir, "%s/meta.XXXXXX", fix_tmp());
	assert_non_null(mkdtemp(copy->dir));
	for (size_t i = 0; i < COUNT(names); i++) {
		struct buf data = BUF_INIT;
		int rc;

		snprintf(path, sizeof path, "%s/%s", f->dir, names[i]);
		rc = file_read_all(AT_FDCWD, path, 1U << 30, &data);
		if (rc == -ENOENT)
			continue;
		assert_int_equal(rc, 0);
		snprintf(path, sizeof path, "%s/%s", copy->dir, names[i]);
		assert_int_equal(file_replace(AT_FDCWD, path, data.data, data.len, 0600), 0);
		buf_free(&data);
	}
}

/* ---- what tests do with a store ---- */

/* One operation: a new file or directory under a name; returns its number. */
static inline uint64_t fix_make(struct fix *f, uint64_t parent, const char *name, mode_t mode)
{
	struct dentry *d;
	struct inode *ip;
	uint64_t ino;

	assert_int_equal(meta_dentry_get(f->m, parent, name, &d), 0);
	meta_lock(f->m);
	assert_int_equal(d->ino, 0);
	assert_non_null(ip = meta_inode_new(f->m, mode, 1, 2, 0));
	ip->nlink = S_ISDIR(mode) ? 2 : 1;
	ino = ip->ino;
	meta_inode_changed(f->m, ip);
	meta_dentry_set(f->m, d, ino, S_ISDIR(mode) ? DT_DIR : DT_REG);
	meta_unlock(f->m);
	meta_dentry_put(f->m, d);
	meta_inode_put(f->m, ip);
	return ino;
}

static inline uint64_t fix_lookup(struct fix *f, uint64_t parent, const char *name)
{
	struct dentry *d;
	uint64_t ino;

	assert_int_equal(meta_dentry_get(f->m, parent, name, &d), 0);
	meta_lock(f->m);
	ino = d->ino;
	meta_unlock(f->m);
	meta_dentry_put(f->m, d);
	return ino;
}

/* One operation: the name goes, and with the last one the inode. */
static inline void fix_unlink(struct fix *f, uint64_t parent, const char *name)
{
	struct dentry *d;
	struct inode *ip;

	assert_int_equal(meta_dentry_get(f->m, parent, name, &d), 0);
	assert_int_equal(meta_inode_get(f->m, d->ino, &ip), 0);
	meta_lock(f->m);
	meta_dentry_set(f->m, d, 0, 0);
	ip->nlink = S_ISDIR(ip->mode) ? 0 : ip->nlink - 1;
	meta_inode_changed(f->m, ip);
	if (!ip->nlink)
		meta_inode_delete(f->m, ip);
	meta_unlock(f->m);
	meta_dentry_put(f->m, d);
	meta_inode_put(f->m, ip);
}

static inline struct inode *fix_inode(struct fix *f, uint64_t ino)
{
	struct inode *ip;

	assert_int_equal(meta_inode_get(f->m, ino, &ip), 0);
	return ip;
}

static inline struct block *fix_block(struct fix *f, struct inode *ip, uint32_t index)
{
	struct block *b;

	assert_int_equal(meta_block_get(f->m, ip, index, &b), 0);
	return b;
}

/* One operation: the block holds these bytes, not yet on a backend. */
static inline void fix_write(struct fix *f, struct inode *ip, uint32_t index, const char *text)
{
	struct block *b = fix_block(f, ip, index);

	meta_lock(f->m);
	blob_put(b->local);
	b->local = blob_new(text, strlen(text));
	b->kind = BLOCK_INLINE;
	b->dirty = true;
	b->version++;
	meta_block_changed(f->m, b);
	ip->size = ip->disk_size = (uint64_t)index * BLOCK + strlen(text);
	meta_bytes_add(f->m, ip, (int64_t)strlen(text));
	meta_inode_changed(f->m, ip);
	meta_unlock(f->m);
	meta_block_put(f->m, b);
}

static inline int fix_i64_row(void *ctx, struct meta_row *row)
{
	*(int64_t *)ctx = meta_row_i64(row, 0);
	return 0;
}

/* One number out of the database, after a commit. */
static inline int64_t fix_sql(struct fix *f, const char *sql)
{
	int64_t value = -1;

	assert_int_equal(meta_select(f->m, sql, fix_i64_row, &value, ""), 0);
	return value;
}

/* Every count that is kept is what a recount gives, and no row belongs to nothing. */
static inline void fix_audit(struct fix *f)
{
	static const char *const zero[] = {
		"SELECT count(*) FROM object o WHERE refs <> (SELECT count(*) FROM extent WHERE object = o.num)",
		"SELECT count(*) FROM extent WHERE object NOT IN (SELECT num FROM object)",
		"SELECT count(*) FROM extent WHERE ino NOT IN (SELECT ino FROM inode)",
		"SELECT count(*) FROM block WHERE ino NOT IN (SELECT ino FROM inode)",
		"SELECT count(*) FROM xattr WHERE ino NOT IN (SELECT ino FROM inode)",
		"SELECT count(*) FROM pending WHERE ino NOT IN (SELECT ino FROM inode)",
		"SELECT count(*) FROM moving WHERE ino NOT IN (SELECT ino FROM inode)",
		"SELECT count(*) FROM dentry WHERE ino NOT IN (SELECT ino FROM inode)",
		"SELECT count(*) FROM object WHERE refs = 0 AND state = 1",
		"SELECT count(*) FROM object WHERE refs > 0 AND state <> 1",
		"SELECT count(*) FROM remnant WHERE object NOT IN (SELECT num FROM object)",
		"SELECT count(*) FROM shortage WHERE object NOT IN (SELECT num FROM object WHERE state = 1)",
		"SELECT count(*) FROM replica r JOIN object o ON o.num = r.object WHERE (r.state = 2) <> (o.state = 2)",
		"SELECT count(*) FROM replica r WHERE (r.state = 2) <>"
		" EXISTS (SELECT 1 FROM journal j WHERE j.object = r.object AND j.backend = r.backend)",
		/* at once, and once more where a backend may not have been through with it */
		"SELECT count(*) FROM (SELECT count(*) AS n FROM journal GROUP BY object, backend, due_s) WHERE n > 1",
		"SELECT count(*) FROM (SELECT count(*) AS n FROM journal GROUP BY object, backend) WHERE n > 2",
		"SELECT bytes - (SELECT coalesce(sum(length(local)), 0) FROM block WHERE kind = 1) FROM inline_total",
		"SELECT dirty_bytes - (SELECT coalesce(sum(length(local)), 0) FROM block WHERE kind = 1 AND dirty = 1)"
		" FROM inline_total",
		"SELECT count(*) FROM (SELECT * FROM usage EXCEPT SELECT * FROM" SQL_RECOUNT ")",
		"SELECT count(*) FROM (SELECT * FROM" SQL_RECOUNT " EXCEPT SELECT * FROM usage)",
	};
	struct meta_usage totals;

	for (size_t i = 0; i < COUNT(zero); i++) {
		int64_t wrong = fix_sql(f, zero[i]);

		if (wrong)
			print_error("%s: %lld\n", zero[i], (long long)wrong);
		assert_int_equal(wrong, 0);
	}
	meta_totals(f->m, &totals);
	assert_int_equal(totals.inodes, fix_sql(f, "SELECT count(*) FROM inode"));
	recount_usage(f->m);
}

#endif
