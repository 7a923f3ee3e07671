/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What owners hold is counted, and what they may hold is judged by it. */
#include "tests/unit/fs-meta/fixture.h"

static void expect(struct fix *f, enum owner_kind kind, uint32_t id, uint64_t inodes, uint64_t bytes)
{
	struct meta_usage has;

	meta_usage(f->m, kind, id, &has);
	assert_int_equal(has.inodes, inodes);
	assert_int_equal(has.bytes, bytes);
}

static void expect_totals(struct fix *f, uint64_t inodes, uint64_t bytes)
{
	struct meta_usage has;

	meta_totals(f->m, &has);
	assert_int_equal(has.inodes, inodes);
	assert_int_equal(has.bytes, bytes);
}

static void grow(struct fix *f, struct inode *ip, int64_t bytes, bool synced)
{
	meta_lock(f->m);
	meta_bytes_add(f->m, ip, bytes);
	ip->size += (uint64_t)bytes;
	if (synced)
		ip->disk_size = ip->size;
	meta_inode_changed(f->m, ip);
	meta_unlock(f->m);
}

static void chown_to(struct fix *f, struct inode *ip, uid_t uid, gid_t gid)
{
	meta_lock(f->m);
	ip->uid = uid;
	ip->gid = gid;
	meta_inode_changed(f->m, ip);
	meta_unlock(f->m);
}

static void every_change_is_counted(void **state)
{
	struct inode *ip;
	struct fix f;

	(void)state;
	fix_start(&f);
	expect_totals(&f, 1, 4096);
	ip = fix_inode(&f, fix_make(&f, META_ROOT_INO, "a", S_IFREG | 0600));
	fix_make(&f, META_ROOT_INO, "d", S_IFDIR | 0700);
	expect(&f, OWNER_USER, 1, 2, 4096);
	expect(&f, OWNER_GROUP, 2, 2, 4096);
	grow(&f, ip, 8192, true);
	expect(&f, OWNER_USER, 1, 2, 12288);
	fix_audit(&f);
	chown_to(&f, ip, 5, 2);
	expect(&f, OWNER_USER, 1, 1, 4096);
	expect(&f, OWNER_USER, 5, 1, 8192);
	expect(&f, OWNER_GROUP, 2, 2, 12288);
	fix_audit(&f);
	chown_to(&f, ip, 5, 6);
	grow(&f, ip, -4096, true);
	expect(&f, OWNER_GROUP, 2, 1, 4096);
	expect(&f, OWNER_GROUP, 6, 1, 4096);
	expect_totals(&f, 3, 12288);
	meta_inode_put(f.m, ip);
	fix_audit(&f);
	fix_reopen(&f);
	expect(&f, OWNER_USER, 5, 1, 4096);
	expect_totals(&f, 3, 12288);
	fix_audit(&f);
	fix_unlink(&f, META_ROOT_INO, "a");
	expect(&f, OWNER_USER, 5, 0, 0);
	expect(&f, OWNER_GROUP, 6, 0, 0);
	expect_totals(&f, 2, 8192);
	fix_audit(&f);
	fix_end(&f);
}

/* A file never made up its mind: counted from when it is changed, not from when it is new. */
static void what_is_not_made_is_not_counted(void **state)
{
	struct inode *ip;
	struct fix f;

	(void)state;
	fix_start(&f);
	meta_lock(f.m);
	assert_non_null(ip = meta_inode_new(f.m, S_IFREG | 0600, 1, 2, 0));
	meta_bytes_add(f.m, ip, 4096);
	meta_unlock(f.m);
	expect(&f, OWNER_USER, 1, 0, 0);
	meta_inode_put(f.m, ip);
	expect_totals(&f, 1, 4096);
	fix_audit(&f);
	fix_end(&f);
}

/* Bytes that were written and not synced are gone after a crash, and so is their count. */
static void a_crash_leaves_counts_right(void **state)
{
	struct fix f, crashed;
	struct inode *ip;

	(void)state;
	fix_start(&f);
	ip = fix_inode(&f, fix_make(&f, META_ROOT_INO, "a", S_IFREG | 0600));
	grow(&f, ip, 8192, true);
	grow(&f, ip, 40960, false);
	expect(&f, OWNER_USER, 1, 1, 49152);
	assert_int_equal(meta_commit(f.m), 0);
	fix_crash(&f, &crashed);
	fix_open(&crashed);
	expect(&crashed, OWNER_USER, 1, 1, 8192);
	expect_totals(&crashed, 2, 12288);
	fix_audit(&crashed);
	fix_end(&crashed);
	meta_lock(f.m);
	ip->disk_size = ip->size;
	meta_inode_changed(f.m, ip);
	meta_unlock(f.m);
	meta_inode_put(f.m, ip);
	fix_audit(&f);
	fix_end(&f);
}

static void expect_create(struct fix *f, mode_t mode, uid_t uid, gid_t gid, int rc)
{
	meta_lock(f->m);
	assert_int_equal(meta_may_create(f->m, mode, uid, gid), rc);
	meta_unlock(f->m);
}

static void expect_grow(struct fix *f, struct inode *ip, uint64_t bytes, int rc)
{
	meta_lock(f->m);
	assert_int_equal(meta_may_grow(f->m, ip, bytes), rc);
	meta_unlock(f->m);
}

static void expect_chown(struct fix *f, struct inode *ip, uid_t uid, gid_t gid, int rc)
{
	meta_lock(f->m);
	assert_int_equal(meta_may_chown(f->m, ip, uid, gid), rc);
	meta_unlock(f->m);
}

static void set(struct fix *f, struct meta_usage whole, const struct meta_quota *v, size_t n)
{
	assert_int_equal(meta_quotas_set(f->m, &whole, v, n), 0);
}

static void quotas_bound(void **state)
{
	static const struct meta_quota quotas[] = {
		{ OWNER_USER, 1, { 3, 20480 } },
		{ OWNER_USER, 5, { 1, 0 } },
		{ OWNER_GROUP, 9, { 0, 8192 } },
	};
	const struct meta_usage none = { 0, 0 };
	struct inode *ip;
	struct fix f;

	(void)state;
	fix_start(&f);
	ip = fix_inode(&f, fix_make(&f, META_ROOT_INO, "a", S_IFREG | 0600)); /* 1:2 */
	fix_make(&f, META_ROOT_INO, "b", S_IFREG | 0600);
	grow(&f, ip, 12288, true);
	expect_create(&f, S_IFREG, 1, 2, 0);
	set(&f, none, quotas, COUNT(quotas));
	expect_create(&f, S_IFREG, 1, 2, 0);
	expect_create(&f, S_IFREG, 4, 9, 0);
	expect_grow(&f, ip, 8192, 0);
	expect_grow(&f, ip, 8193, -EDQUOT);
	expect_grow(&f, ip, UINT64_MAX, -EDQUOT);
	expect_chown(&f, ip, 5, 2, 0);
	expect_chown(&f, ip, 1, 9, -EDQUOT);
	expect_chown(&f, ip, 5, 9, -EDQUOT);
	/* a directory takes bytes as well */
	grow(&f, ip, 4097, true);
	expect_create(&f, S_IFDIR, 1, 2, -EDQUOT);
	expect_create(&f, S_IFREG, 1, 2, 0);
	fix_make(&f, META_ROOT_INO, "c", S_IFREG | 0600);
	expect_create(&f, S_IFREG, 1, 2, -EDQUOT);
	chown_to(&f, ip, 5, 2);
	expect_create(&f, S_IFREG, 5, 2, -EDQUOT);
	expect_grow(&f, ip, 1U << 30, 0);
	/* who stays the owner is not asked */
	expect_chown(&f, ip, 5, 2, 0);
	expect_chown(&f, ip, 1, 2, 0);
	meta_inode_put(f.m, ip);
	fix_audit(&f);
	fix_end(&f);
}

static void the_store_is_bounded(void **state)
{
	const struct meta_quota user = { OWNER_USER, 1, { 0, 16384 } };
	struct meta_usage max;
	struct inode *ip;
	struct fix f;

	(void)state;
	fix_start(&f);
	ip = fix_inode(&f, fix_make(&f, META_ROOT_INO, "a", S_IFREG | 0600));
	grow(&f, ip, 8192, true);
	set(&f, (struct meta_usage){ 3, 20480 }, &user, 1);
	meta_quota_whole(f.m, &max);
	assert_int_equal(max.inodes, 3);
	assert_int_equal(max.bytes, 20480);
	expect_grow(&f, ip, 8192, 0);
	expect_grow(&f, ip, 8193, -EDQUOT);
	chown_to(&f, ip, 4, 4);
	expect_grow(&f, ip, 8192, 0);
	expect_grow(&f, ip, 8193, -ENOSPC);
	expect_create(&f, S_IFREG, 1, 2, 0);
	fix_make(&f, META_ROOT_INO, "b", S_IFREG | 0600);
	expect_create(&f, S_IFREG, 1, 2, -ENOSPC);
	/* lower than what is held: nothing new, and nothing else changes */
	set(&f, (struct meta_usage){ 1, 1 }, NULL, 0);
	expect_grow(&f, ip, 1, -ENOSPC);
	expect_grow(&f, ip, 0, 0);
	expect_create(&f, S_IFREG, 1, 2, -ENOSPC);
	expect_chown(&f, ip, 1, 2, 0);
	grow(&f, ip, -4096, true);
	meta_inode_put(f.m, ip);
	fix_unlink(&f, META_ROOT_INO, "a");
	expect_totals(&f, 2, 4096);
	set(&f, (struct meta_usage){ 0, 0 }, NULL, 0);
	expect_create(&f, S_IFREG, 1, 2, 0);
	fix_audit(&f);
	fix_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_change_is_counted),
		cmocka_unit_test(what_is_not_made_is_not_counted),
		cmocka_unit_test(a_crash_leaves_counts_right),
		cmocka_unit_test(quotas_bound),
		cmocka_unit_test(the_store_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
