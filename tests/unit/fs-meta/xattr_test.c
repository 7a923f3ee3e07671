/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Extended attributes: set, replaced, removed, listed, kept, bounded. */
#include "tests/unit/fs-meta/fixture.h"

static struct inode *loaded(struct fix *f, uint64_t ino)
{
	struct inode *ip = fix_inode(f, ino);

	assert_int_equal(meta_xattrs_load(f->m, ip), 0);
	return ip;
}

static int set(struct fix *f, struct inode *ip, const char *name, const void *value, size_t len)
{
	int rc;

	meta_lock(f->m);
	rc = meta_xattr_set(f->m, ip, name, value, len);
	meta_unlock(f->m);
	return rc;
}

static void has(struct fix *f, struct inode *ip, const char *name, const char *value, size_t len)
{
	const void *got;
	size_t got_len = 0;

	meta_lock(f->m);
	got = meta_xattr_find(ip, name, &got_len);
	assert_int_equal(got != NULL, value != NULL);
	if (value) {
		assert_int_equal(got_len, len);
		if (len)
			assert_memory_equal(got, value, len);
	}
	meta_unlock(f->m);
}

static void life(void **state)
{
	struct fix f;
	struct inode *ip;
	struct buf list = BUF_INIT;
	uint64_t ino;

	(void)state;
	fix_start(&f);
	ino = fix_make(&f, META_ROOT_INO, "f", S_IFREG | 0600);
	ip = loaded(&f, ino);
	has(&f, ip, "user.a", NULL, 0);
	assert_int_equal(set(&f, ip, "user.a", NULL, 0), -ENODATA);
	assert_int_equal(set(&f, ip, "user.a", "one", 3), 0);
	assert_int_equal(set(&f, ip, "user.empty", "", 0), 0);
	assert_int_equal(set(&f, ip, "user.bytes", "\0\xff\0", 3), 0);
	assert_int_equal(set(&f, ip, "user.a", "two", 3), 0);
	meta_inode_put(f.m, ip);
	for (int round = 0; round < 3; round++) {
		ip = loaded(&f, ino);
		has(&f, ip, "user.a", "two", 3);
		has(&f, ip, "user.empty", "", 0);
		has(&f, ip, "user.bytes", "\0\xff\0", 3);
		has(&f, ip, "user.", NULL, 0);
		meta_inode_put(f.m, ip);
		fix_reopen(&f);
	}
	ip = loaded(&f, ino);
	assert_int_equal(set(&f, ip, "user.bytes", NULL, 0), 0);
	assert_int_equal(set(&f, ip, "user.bytes", NULL, 0), -ENODATA);
	meta_lock(f.m);
	meta_xattr_list(ip, &list);
	meta_unlock(f.m);
	assert_int_equal(list.len, sizeof "user.a" + sizeof "user.empty");
	meta_inode_put(f.m, ip);
	fix_reopen(&f);
	ip = loaded(&f, ino);
	has(&f, ip, "user.bytes", NULL, 0);
	has(&f, ip, "user.a", "two", 3);
	assert_int_equal(set(&f, ip, "user.a", "three", 5), 0);
	assert_int_equal(meta_commit(f.m), 0);
	assert_false(ip->xattrs->changed); /* they are not written again with every later change */
	meta_inode_put(f.m, ip);
	fix_unlink(&f, META_ROOT_INO, "f");
	fix_audit(&f);
	buf_free(&list);
	fix_end(&f);
}

/* A change of the inode alone leaves attributes that were never loaded where they are. */
static void unloaded_stay(void **state)
{
	struct fix f;
	struct inode *ip;
	uint64_t ino;

	(void)state;
	fix_start(&f);
	ino = fix_make(&f, META_ROOT_INO, "f", S_IFREG | 0600);
	ip = loaded(&f, ino);
	assert_int_equal(set(&f, ip, "user.a", "one", 3), 0);
	meta_inode_put(f.m, ip);
	fix_reopen(&f);
	ip = fix_inode(&f, ino);
	meta_lock(f.m);
	ip->mode = S_IFREG | 0400;
	meta_inode_changed(f.m, ip);
	meta_unlock(f.m);
	meta_inode_put(f.m, ip);
	fix_reopen(&f);
	ip = loaded(&f, ino);
	assert_int_equal(ip->mode, S_IFREG | 0400);
	has(&f, ip, "user.a", "one", 3);
	meta_inode_put(f.m, ip);
	fix_end(&f);
}

static void bounded(void **state)
{
	static const struct {
		size_t len;
		int rc;
	} rows[] = {
		{ 1 << 19, 0 },
		{ (1 << 20) - sizeof "user.big" + 1, -ENOSPC },
		{ (1 << 20) - sizeof "user.big", 0 },
		{ 1 << 20, -ENOSPC },
		{ SIZE_MAX, -ENOSPC },
	};
	char *value = calloc(1, 1 << 20);
	struct inode *ip;
	struct fix f;

	(void)state;
	fix_start(&f);
	ip = loaded(&f, fix_make(&f, META_ROOT_INO, "f", S_IFREG | 0600));
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(set(&f, ip, "user.big", value, rows[i].len), rows[i].rc);
	assert_int_equal(set(&f, ip, "user.more", "", 0), -ENOSPC);
	assert_int_equal(set(&f, ip, "user.big", NULL, 0), 0);
	assert_int_equal(set(&f, ip, "user.more", "", 0), 0);
	meta_inode_put(f.m, ip);
	free(value);
	fix_end(&f);
}

/* The bytes in use follow a value that becomes shorter, or there is no room for the next one. */
static void shorter_value(void **state)
{
	struct inode *ip;
	struct fix f;

	(void)state;
	fix_start(&f);
	ip = loaded(&f, fix_make(&f, META_ROOT_INO, "f", S_IFREG | 0600));
	assert_int_equal(set(&f, ip, "user.a", "longer value", 12), 0);
	assert_int_equal(set(&f, ip, "user.a", "short", 5), 0);
	assert_int_equal(set(&f, ip, "user.b", "next", 4), 0);
	has(&f, ip, "user.a", "short", 5);
	meta_inode_put(f.m, ip);
	fix_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(life),
		cmocka_unit_test(unloaded_stay),
		cmocka_unit_test(bounded),
		cmocka_unit_test(shorter_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
