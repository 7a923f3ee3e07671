/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fixture.h"

#include <errno.h>
#include <sys/xattr.h>

#define ROOT META_ROOT_INO

#define RULES                                                                                                          \
	"[rule personal]\ntag = personal\nzone = domestic\n"                                                           \
	"[rule hr]\npath = /hr/**\nzone = domestic\n"                                                                  \
	"[rule pub]\npath = /pub/**\nzone = foreign\n"

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_make(f, "settle = 1s", RULES);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_destroy(*state);
	free(*state);
	return 0;
}

static struct stat stat_of(struct fixture *f, uint64_t ino)
{
	struct stat st = { 0 };

	assert_int_equal(core_getattr(f->core, ino, &st), 0);
	return st;
}

static void test_create(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	uint64_t dir = fixture_mkdir(f, ROOT, "d"), ino;
	char long_name[258];

	assert_int_equal(stat_of(f, ROOT).st_nlink, 3);
	assert_int_equal(stat_of(f, dir).st_mode, S_IFDIR | 0755);
	assert_int_equal(core_mkdir(f->core, &me, ROOT, "d", 0755, &st), -EEXIST);
	assert_int_equal(core_mkdir(f->core, &me, ROOT, ".", 0755, &st), -EEXIST);
	assert_int_equal(core_mkdir(f->core, &me, 999999, "x", 0755, &st), -ENOENT);
	ino = fixture_write(f, dir, "f", "hello");
	assert_int_equal(core_mkdir(f->core, &me, ino, "x", 0755, &st), -ENOTDIR);
	st = stat_of(f, ino);
	assert_int_equal(st.st_mode, S_IFREG | 0644);
	assert_int_equal(st.st_uid, 1000);
	assert_int_equal(st.st_size, 5);
	assert_int_equal(st.st_nlink, 1);
	memset(long_name, 'n', sizeof(long_name));
	long_name[256] = '\0';
	assert_int_equal(core_mkdir(f->core, &me, ROOT, long_name, 0755, &st), -ENAMETOOLONG);
	long_name[255] = '\0';
	assert_int_equal(core_mkdir(f->core, &me, ROOT, long_name, 0755, &st), 0);
	assert_int_equal(core_lookup(f->core, ROOT, long_name, &st), 0);
	assert_int_equal(core_lookup(f->core, dir, "..", &st), 0);
	assert_int_equal(st.st_ino, ROOT);
	assert_int_equal(core_lookup(f->core, dir, "nothing", &st), -ENOENT);
}

static void test_setgid_directory(void **state)
{
	struct fixture *f = *state;
	struct stat in = { .st_mode = 02775, .st_gid = 77 }, st;
	uint64_t dir = fixture_mkdir(f, ROOT, "shared"), sub, ino;

	assert_int_equal(core_setattr(f->core, dir, SET_MODE | SET_GID, &in, &st), 0);
	sub = fixture_mkdir(f, dir, "sub");
	assert_int_equal(stat_of(f, sub).st_gid, 77);
	assert_int_equal(stat_of(f, sub).st_mode, S_IFDIR | 02755);
	ino = fixture_write(f, sub, "file", "x");
	assert_int_equal(stat_of(f, ino).st_gid, 77);
}

static void test_symlink(void **state)
{
	struct fixture *f = *state;
	struct buf target = BUF_INIT, names = BUF_INIT;
	struct stat st;

	assert_int_equal(core_symlink(f->core, &me, ROOT, "link", "../some/where", &st), 0);
	assert_int_equal(st.st_size, 13);
	fixture_close(f);
	fixture_open(f);
	assert_int_equal(core_readlink(f->core, st.st_ino, &target), 0);
	assert_string_equal((char *)target.data, "../some/where");
	assert_int_equal(core_listxattr(f->core, st.st_ino, true, &names), 0);
	assert_int_equal(names.len, 0);
	assert_int_equal(core_getxattr(f->core, st.st_ino, "borderfs.target", &names), -EOPNOTSUPP);
	buf_free(&target);
	buf_free(&names);
}

static void test_links_and_orphans(void **state)
{
	struct fixture *f = *state;
	uint64_t a = fixture_write(f, ROOT, "a", "text"), dir = fixture_mkdir(f, ROOT, "d");
	struct core_file *file;
	struct stat st;

	assert_int_equal(core_link(f->core, a, ROOT, "b", &st), 0);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(core_link(f->core, a, ROOT, "b", &st), -EEXIST);
	assert_int_equal(core_link(f->core, dir, ROOT, "c", &st), -EPERM);
	assert_int_equal(core_unlink(f->core, ROOT, "a"), 0);
	assert_int_equal(core_unlink(f->core, ROOT, "a"), -ENOENT);
	assert_int_equal(core_unlink(f->core, ROOT, "d"), -EISDIR);
	fixture_expect(f, fixture_ino(f, ROOT, "b"), "text");

	/* open and without a name: alive until the last close and the kernel's forgetting, in either order */
	assert_int_equal(core_file_open(f->core, a, O_RDONLY, &file), 0);
	assert_int_equal(core_unlink(f->core, ROOT, "b"), 0);
	fixture_expect(f, a, "text");
	assert_int_equal(stat_of(f, a).st_nlink, 0);
	core_forget(f->core, a);
	fixture_expect(f, a, "text");
	core_file_release(f->core, file);
	assert_int_equal(core_getattr(f->core, a, &st), -ENOENT);
	assert_int_equal(core_link(f->core, a, ROOT, "again", &st), -ENOENT);
}

static void test_orphan_ends_with_the_store(void **state)
{
	struct fixture *f = *state;
	uint64_t a = fixture_write(f, ROOT, "a", "text");
	struct core_file *file;
	struct stat st;

	assert_int_equal(core_file_open(f->core, a, O_RDONLY, &file), 0);
	assert_int_equal(core_unlink(f->core, ROOT, "a"), 0);
	core_file_release(f->core, file); /* the kernel never forgets it: the mount ends */
	fixture_close(f);
	fixture_open(f);
	assert_int_equal(core_getattr(f->core, a, &st), -ENOENT);
}

/* A file without a name gets one by core_link, unless it must not; else it ends as every orphan does. */
static void test_unnamed(void **state)
{
	struct fixture *f = *state;
	uint64_t inos[3];

	for (int i = 0; i < 3; i++) {
		struct core_file *file;
		struct stat st;

		assert_int_equal(core_file_tmp(f->core, &me, ROOT, 0666, i == 1 ? O_EXCL : 0, &file, &st), 0);
		inos[i] = st.st_ino;
		assert_int_equal(st.st_nlink, 0);
		assert_int_equal(st.st_mode, S_IFREG | 0644);
		assert_int_equal(fixture_pwrite(f, inos[i], "text", 4, 0), 4);
		if (i < 2)
			assert_int_equal(core_link(f->core, inos[i], ROOT, "named", &st), i == 1 ? -ENOENT : 0);
		core_forget(f->core, inos[i]);
		core_file_release(f->core, file);
	}
	for (int again = 0; again < 2; again++) {
		struct stat st;

		fixture_expect(f, inos[0], "text");
		assert_int_equal(stat_of(f, inos[0]).st_nlink, 1);
		assert_int_equal(fixture_ino(f, ROOT, "named"), inos[0]);
		assert_int_equal(core_getattr(f->core, inos[1], &st), -ENOENT);
		assert_int_equal(core_getattr(f->core, inos[2], &st), -ENOENT);
		fixture_close(f);
		fixture_open(f);
	}
}

static void test_rmdir(void **state)
{
	struct fixture *f = *state;
	uint64_t d = fixture_mkdir(f, ROOT, "d");
	struct stat st;

	fixture_write(f, d, "f", "x");
	assert_int_equal(core_rmdir(f->core, ROOT, "d"), -ENOTEMPTY);
	assert_int_equal(core_rmdir(f->core, d, "f"), -ENOTDIR);
	assert_int_equal(core_rmdir(f->core, d, "."), -EINVAL);
	assert_int_equal(core_unlink(f->core, d, "f"), 0);
	assert_int_equal(core_rmdir(f->core, ROOT, "d"), 0);
	assert_int_equal(core_mkdir(f->core, &me, d, "x", 0755, &st), -ENOENT);
	assert_int_equal(stat_of(f, ROOT).st_nlink, 2);
	core_forget(f->core, d);
	assert_int_equal(core_getattr(f->core, d, &st), -ENOENT);
}

/* names under the root before, one rename, what it answers, and what is there afterwards: letters for what a name holds
 * ("a=F" is the file written as "F", "a=D" a directory holding "in", "a=E" an empty one) */
static const struct {
	const char *before, *from, *to;
	unsigned flags;
	int rc;
	const char *after;
} renames[] = {
	{ "a=F", "a", "b", 0, 0, "b=F" },
	{ "a=F b=G", "a", "b", 0, 0, "b=F" },
	{ "a=F b=G", "a", "b", RENAME_NOREPLACE, -EEXIST, "a=F b=G" },
	{ "a=F", "a", "b", RENAME_NOREPLACE, 0, "b=F" },
	{ "a=F b=G", "a", "b", RENAME_EXCHANGE, 0, "a=G b=F" },
	{ "a=F", "a", "b", RENAME_EXCHANGE, -ENOENT, "a=F" },
	{ "a=F b=D", "a", "b", RENAME_EXCHANGE, 0, "a=D b=F" },
	{ "a=F b=E", "a", "b", 0, -EISDIR, "a=F b=E" },
	{ "a=E b=F", "a", "b", 0, -ENOTDIR, "a=E b=F" },
	{ "a=D b=E", "a", "b", 0, 0, "b=D" },
	{ "a=E b=D", "a", "b", 0, -ENOTEMPTY, "a=E b=D" },
	{ "a=F", "z", "b", 0, -ENOENT, "a=F" },
	{ "a=F", "a", "a", 0, 0, "a=F" },
	{ "a=F b=G", "a", "b", RENAME_NOREPLACE | RENAME_EXCHANGE, -EINVAL, "a=F b=G" },
	{ "a=F", "a", "b", 8, -EINVAL, "a=F" },
};

static void make_names(struct fixture *f, uint64_t dir, const char *spec)
{
	for (const char *p = spec; *p; p += p[3] ? 4 : 3) {
		char name[2] = { p[0], 0 }, text[2] = { p[2], 0 };

		if (p[2] == 'D')
			fixture_write(f, fixture_mkdir(f, dir, name), "in", "x");
		else if (p[2] == 'E')
			fixture_mkdir(f, dir, name);
		else
			fixture_write(f, dir, name, text);
	}
}

static int put_name(void *ctx, const char *name, uint64_t id, const struct stat *st)
{
	(void)id;
	(void)st;
	if (name[0] != '.')
		((bool *)ctx)[(unsigned char)name[0]] = true;
	return 0;
}

static void expect_names(struct fixture *f, uint64_t dir, const char *spec, size_t row)
{
	bool there[256] = { 0 };
	char got[64] = "";

	assert_int_equal(core_readdir(f->core, dir, 0, false, put_name, there), 0);
	for (int c = 0; c < 256; c++) {
		char name[2] = { (char)c, 0 }, text[2] = "?";
		struct stat st;

		if (!there[c])
			continue;
		assert_int_equal(core_lookup(f->core, dir, name, &st), 0);
		if (S_ISDIR(st.st_mode))
			text[0] = fixture_ino(f, st.st_ino, "in") ? 'D' : 'E';
		else
			fixture_pread(f, st.st_ino, text, 1, 0);
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s=%s", got[0] ? " " : "", name, text);
	}
	if (strcmp(got, spec) != 0)
		fail_msg("row %zu: %s, not %s", row, got, spec);
}

static void test_rename_table(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(renames) / sizeof(renames[0]); i++) {
		char name[16];
		uint64_t dir;
		int rc;

		snprintf(name, sizeof(name), "row%zu", i);
		dir = fixture_mkdir(f, ROOT, name);
		make_names(f, dir, renames[i].before);
		rc = core_rename(f->core, dir, renames[i].from, dir, renames[i].to, renames[i].flags);
		if (rc != renames[i].rc)
			fail_msg("row %zu: %d, not %d", i, rc, renames[i].rc);
		expect_names(f, dir, renames[i].after, i);
		meta_commit(core_meta(f->core));
		expect_names(f, dir, renames[i].after, i);
	}
}

static void test_rename_across_directories(void **state)
{
	struct fixture *f = *state;
	uint64_t a = fixture_mkdir(f, ROOT, "a"), b = fixture_mkdir(f, a, "b"), c = fixture_mkdir(f, b, "c");

	assert_int_equal(core_rename(f->core, ROOT, "a", c, "x", 0), -EINVAL);
	assert_int_equal(core_rename(f->core, a, "b", b, "x", 0), -EINVAL);
	assert_int_equal(core_rename(f->core, b, "c", ROOT, "a", 0), -ENOTEMPTY);
	assert_int_equal(core_rename(f->core, b, "c", ROOT, "a", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(core_rename(f->core, b, "c", ROOT, "a", RENAME_EXCHANGE), -EINVAL);
	assert_int_equal(core_rename(f->core, b, "c", a, "b", 0), -ENOTEMPTY);
	assert_int_equal(core_rename(f->core, b, "c", ROOT, "c", 0), 0);
	assert_int_equal(stat_of(f, b).st_nlink, 2);
	assert_int_equal(stat_of(f, ROOT).st_nlink, 4);
	assert_int_equal(core_rename(f->core, ROOT, "c", a, "b", 0), 0);
	assert_int_equal(fixture_ino(f, a, "b"), c);
	assert_int_equal(stat_of(f, a).st_nlink, 3);
	assert_int_equal(stat_of(f, ROOT).st_nlink, 3);
	assert_int_equal(stat_of(f, b).st_nlink, 0);
}

static int count_entry(void *ctx, const char *name, uint64_t id, const struct stat *st)
{
	uint64_t *last = ctx;

	(void)name;
	(void)st;
	assert_true(id > last[0]);
	last[0] = id;
	return ++last[1] % 7 == 0 ? 1 : 0;
}

static void test_readdir_goes_on_where_it_stopped(void **state)
{
	struct fixture *f = *state;
	uint64_t dir = fixture_mkdir(f, ROOT, "many"), last[2] = { 0, 0 };
	char name[32];

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "file-%03d", i);
		fixture_write(f, dir, name, "x");
	}
	while (core_readdir(f->core, dir, last[0], true, count_entry, last) == 1)
		continue;
	assert_int_equal(last[1], 302);
}

static const struct {
	const char *name;
	int flags, rc;
} xattr_rows[] = {
	{ "user.one", 0, 0 },
	{ "user.one", XATTR_CREATE, -EEXIST },
	{ "user.one", XATTR_REPLACE, 0 },
	{ "user.two", XATTR_REPLACE, -ENODATA },
	{ "security.selinux", 0, 0 },
	{ "trusted.x", 0, 0 },
	{ "user.", 0, -EINVAL },
	{ "system.posix_acl_access", 0, -EINVAL },
	{ "system.other", 0, -EOPNOTSUPP },
	{ "borderfs.target", 0, -EOPNOTSUPP },
	{ "user.borderfs.zone", 0, -EPERM },
};

static void test_xattrs(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = fixture_write(f, ROOT, "f", "x");
	struct buf names = BUF_INIT, value = BUF_INIT;

	for (size_t i = 0; i < sizeof(xattr_rows) / sizeof(xattr_rows[0]); i++) {
		int rc = core_setxattr(f->core, ino, xattr_rows[i].name, "value", 5, xattr_rows[i].flags);

		if (rc != xattr_rows[i].rc)
			fail_msg("row %zu: %d", i, rc);
	}
	assert_int_equal(core_setxattr(f->core, ino, "user.empty", NULL, 0, 0), 0);
	fixture_close(f);
	fixture_open(f);
	assert_int_equal(core_getxattr(f->core, ino, "user.one", &value), 0);
	assert_string_equal((char *)value.data, "value");
	assert_int_equal(core_getxattr(f->core, ino, "user.none", &value), -ENODATA);
	assert_int_equal(core_listxattr(f->core, ino, true, &names), 0);
	assert_int_equal(names.len,
		sizeof("user.one") + sizeof("security.selinux") + sizeof("trusted.x") + sizeof("user.empty"));
	names.len = 0;
	assert_int_equal(core_listxattr(f->core, ino, false, &names), 0);
	assert_int_equal(names.len, sizeof("user.one") + sizeof("security.selinux") + sizeof("user.empty"));
	assert_int_equal(core_removexattr(f->core, ino, "user.one"), 0);
	assert_int_equal(core_removexattr(f->core, ino, "user.one"), -ENODATA);
	buf_free(&names);
	buf_free(&value);
}

static bool is_held(struct fixture *f, uint64_t ino)
{
	struct inode *inode;
	bool held;

	assert_int_equal(meta_inode_get(core_meta(f->core), ino, &inode), 0);
	meta_lock(core_meta(f->core));
	held = inode->flags & INODE_HELD;
	meta_unlock(core_meta(f->core));
	meta_inode_put(core_meta(f->core), inode);
	return held;
}

static void expect_tags(struct fixture *f, uint64_t ino, const char *tags)
{
	struct buf value = BUF_INIT;
	int rc = core_getxattr(f->core, ino, "user.xdg.tags", &value);

	if (!tags)
		assert_int_equal(rc, -ENODATA);
	else
		assert_string_equal((char *)value.data, tags);
	buf_free(&value);
}

/* I9: the ways in which programs save */
static void test_held_follows_a_save(void **state)
{
	struct fixture *f = *state;
	uint64_t hr = fixture_mkdir(f, ROOT, "hr"), old = fixture_write(f, hr, "doc", "1"), ino;

	assert_int_equal(core_setxattr(f->core, old, "user.xdg.tags", "secret,mine", 11, 0), 0);
	assert_true(is_held(f, old));

	/* a new file renamed over the old */
	ino = fixture_write(f, ROOT, "tmp", "2");
	assert_false(is_held(f, ino));
	assert_int_equal(core_rename(f->core, ROOT, "tmp", hr, "doc", 0), 0);
	assert_true(is_held(f, ino));
	expect_tags(f, ino, "secret,mine");

	/* moved away and made again */
	assert_int_equal(core_rename(f->core, hr, "doc", hr, "doc~", 0), 0);
	ino = fixture_write(f, hr, "doc", "3");
	assert_true(is_held(f, ino));
	expect_tags(f, ino, "secret,mine");

	/* unlinked, and a file with tags of its own renamed there */
	assert_int_equal(core_unlink(f->core, hr, "doc"), 0);
	ino = fixture_write(f, ROOT, "tmp", "4");
	assert_int_equal(core_setxattr(f->core, ino, "user.xdg.tags", "own", 3, 0), 0);
	assert_int_equal(core_rename(f->core, ROOT, "tmp", hr, "doc", 0), 0);
	assert_true(is_held(f, ino));
	expect_tags(f, ino, "own");
}

/* The same where the directory went with the file, and the one above it. */
static void test_held_dir_made_anew(void **state)
{
	struct fixture *f = *state;
	uint64_t pub = fixture_mkdir(f, ROOT, "pub"), a = fixture_mkdir(f, pub, "a"), b = fixture_mkdir(f, a, "b"), ino;

	for (int i = 0; i < 2; i++) {
		char name[] = { (char)('x' + i), 0 };

		ino = fixture_write(f, b, name, "1");
		assert_int_equal(core_setxattr(f->core, ino, "user.xdg.tags", "personal", 8, 0), 0);
		assert_true(is_held(f, ino));
		assert_int_equal(core_unlink(f->core, b, name), 0);
	}
	assert_int_equal(core_rmdir(f->core, a, "b"), 0);
	assert_int_equal(core_rmdir(f->core, pub, "a"), 0);
	/* a file in the place of a directory is another matter */
	ino = fixture_write(f, pub, "a", "2");
	assert_false(is_held(f, ino));
	assert_int_equal(core_unlink(f->core, pub, "a"), 0);
	a = fixture_mkdir(f, pub, "a");
	b = fixture_mkdir(f, a, "b");
	ino = fixture_write(f, b, "x", "2");
	assert_true(is_held(f, ino));
	expect_tags(f, ino, "personal");
	assert_true(is_held(f, fixture_write(f, b, "y", "2")));
	assert_false(is_held(f, fixture_write(f, b, "z", "2")));
	/* another directory has nothing to do with it */
	b = fixture_mkdir(f, a, "c");
	assert_false(is_held(f, fixture_write(f, b, "x", "2")));
}

static void test_held_copy(void **state)
{
	struct fixture *f = *state;
	uint64_t hr = fixture_mkdir(f, ROOT, "hr"), pub = fixture_mkdir(f, ROOT, "pub");
	uint64_t from = fixture_write(f, hr, "doc", "text of a person"), to = fixture_write(f, pub, "copy", "");
	struct core_io io = { .kind = CORE_COPY, .ino = from, .target_ino = to, .len = 100 };

	fixture_sync(f); /* placed, so marked */
	assert_true(is_held(f, from));
	assert_int_equal(core_io_wait(f->core, &io), 16);
	assert_true(is_held(f, to));
	fixture_expect(f, to, "text of a person");
}

/* the mark does not wait for the quiet period: whatever closes or leaves before it keeps it */
static void test_held_before_the_quiet_period(void **state)
{
	struct fixture *f = *state;
	uint64_t hr = fixture_mkdir(f, ROOT, "hr"), pub = fixture_mkdir(f, ROOT, "pub"), ino;
	uint64_t plain = fixture_write(f, ROOT, "plain", "x");
	struct core_file *file;
	struct stat st;

	assert_false(is_held(f, plain)); /* home by default only */
	ino = fixture_write(f, hr, "closed", "text");
	assert_true(is_held(f, ino));

	/* still open for writing: judged as it leaves */
	assert_int_equal(core_file_create(f->core, &me, hr, "open", 0644, O_WRONLY, &file, &st), 0);
	assert_false(is_held(f, st.st_ino));
	assert_int_equal(core_rename(f->core, hr, "open", pub, "open", 0), 0);
	assert_true(is_held(f, st.st_ino));
	core_file_release(f->core, file);

	assert_int_equal(core_file_create(f->core, &me, hr, "linked", 0644, O_WRONLY, &file, &st), 0);
	ino = st.st_ino;
	assert_int_equal(core_link(f->core, ino, pub, "linked", &st), 0);
	assert_int_equal(core_unlink(f->core, hr, "linked"), 0);
	assert_true(is_held(f, ino));
	core_file_release(f->core, file);

	assert_int_equal(core_file_create(f->core, &me, pub, "free", 0644, O_WRONLY, &file, &st), 0);
	core_file_release(f->core, file);
	assert_false(is_held(f, st.st_ino));
}

/* What a directory's tags or name, or a reload, made held stays so, though nothing has had the time to mark it. */
static void test_held_below_a_directory(void **state)
{
	struct fixture *f = *state;
	uint64_t hr = fixture_mkdir(f, ROOT, "hr"), pub = fixture_mkdir(f, ROOT, "pub"), dir, ino[20];
	struct core_file *file;
	struct stat st;
	char name[16];

	/* a tag comes and goes */
	dir = fixture_mkdir(f, pub, "tagged");
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "%d", i);
		ino[i] = fixture_write(f, dir, name, "x");
		assert_false(is_held(f, ino[i]));
	}
	assert_int_equal(core_setxattr(f->core, pub, "user.xdg.tags", "personal", 8, 0), 0);
	assert_int_equal(core_removexattr(f->core, pub, "user.xdg.tags"), 0);
	for (int i = 0; i < 20; i++)
		assert_true(is_held(f, ino[i]));

	/* there and back again, and one file out of it */
	dir = fixture_mkdir(f, pub, "moved");
	ino[0] = fixture_write(f, dir, "a", "x");
	ino[1] = fixture_write(f, dir, "b", "x");
	assert_int_equal(core_rename(f->core, pub, "moved", hr, "moved", 0), 0);
	assert_int_equal(core_rename(f->core, dir, "b", pub, "b", 0), 0);
	assert_int_equal(core_rename(f->core, hr, "moved", pub, "moved", 0), 0);
	assert_true(is_held(f, ino[0]));
	assert_true(is_held(f, ino[1]));

	/* one more name, or another: judged at once, so that it need not be when it leaves with its directory */
	ino[0] = fixture_write(f, pub, "linked", "x");
	ino[1] = fixture_write(f, pub, "renamed", "x");
	dir = fixture_mkdir(f, hr, "names");
	assert_int_equal(core_link(f->core, ino[0], dir, "linked", &st), 0);
	assert_int_equal(core_rename(f->core, pub, "renamed", dir, "renamed", 0), 0);
	assert_true(is_held(f, ino[0]));
	assert_true(is_held(f, ino[1]));

	/* open for writing while its directory leaves */
	dir = fixture_mkdir(f, hr, "left");
	assert_int_equal(core_file_create(f->core, &me, dir, "open", 0644, O_WRONLY, &file, &st), 0);
	assert_int_equal(core_rename(f->core, hr, "left", pub, "left", 0), 0);
	assert_true(is_held(f, st.st_ino));
	core_file_release(f->core, file);
}

static void test_held_over_a_reload(void **state)
{
	struct fixture *f = *state;
	uint64_t pub = fixture_mkdir(f, ROOT, "pub"), ino = fixture_write(f, pub, "a", "x");
	struct errmsg msg = { 0 };
	struct config *config;

	assert_false(is_held(f, ino));
	fixture_config(f, "", "[rule tight]\npath = /pub/**\nzone = domestic\n");
	config = fixture_load(f);
	assert_int_equal(core_reload(f->core, config, &msg), 0);
	config_put(config);
	fixture_config(f, "", RULES);
	config = fixture_load(f);
	assert_int_equal(core_reload(f->core, config, &msg), 0);
	config_put(config);
	assert_true(is_held(f, ino));
}

/* The rules may be others after the next mount: what a tag of a directory made held is marked before the store closes.
 */
static void test_held_over_a_mount(void **state)
{
	struct fixture *f = *state;
	uint64_t pub = fixture_mkdir(f, ROOT, "pub"), ino = fixture_write(f, pub, "a", "x");

	assert_int_equal(core_setxattr(f->core, pub, "user.xdg.tags", "personal", 8, 0), 0);
	assert_false(is_held(f, ino));
	fixture_close(f);
	fixture_config(f, "", "[rule pub]\npath = /pub/**\nzone = foreign\n");
	fixture_open(f);
	assert_true(is_held(f, ino));
}

/* each of the two has a name that was a held file's */
static void test_held_exchange(void **state)
{
	struct fixture *f = *state;
	uint64_t pub = fixture_mkdir(f, ROOT, "pub"), a = fixture_write(f, pub, "a", "1"),
		 b = fixture_write(f, pub, "b", "2");

	assert_int_equal(core_setxattr(f->core, a, "user.xdg.tags", "personal", 8, 0), 0);
	assert_int_equal(core_rename(f->core, pub, "a", pub, "b", RENAME_EXCHANGE), 0);
	assert_true(is_held(f, a));
	assert_true(is_held(f, b));
	expect_tags(f, b, "personal");
	a = fixture_write(f, pub, "c", "3");
	assert_int_equal(core_rename(f->core, pub, "c", pub, "a", RENAME_EXCHANGE), 0);
	assert_true(is_held(f, a));
}

enum change { TAG, UNTAG, RENAME, LINK, UNLINK, CHOWN, TAG_DIRECTORY, RENAME_DIRECTORY, CHANGES };

static int change(struct fixture *f, enum change what, uint64_t ino, uint64_t dir)
{
	struct stat st = { .st_uid = 7 };

	switch (what) {
	case TAG:
		return core_setxattr(f->core, ino, "user.xdg.tags", "personal", 8, 0);
	case UNTAG:
		return core_removexattr(f->core, ino, "user.xdg.tags");
	case RENAME:
		return core_rename(f->core, dir, "a", dir, "b", 0);
	case LINK:
		return core_link(f->core, ino, dir, "c", &st);
	case UNLINK:
		return core_unlink(f->core, dir, "c");
	case CHOWN:
		return core_setattr(f->core, ino, SET_UID, &st, &st);
	case TAG_DIRECTORY:
		return core_setxattr(f->core, dir, "user.xdg.tags", "personal", 8, 0);
	case RENAME_DIRECTORY:
		return core_rename(f->core, ROOT, "dir", ROOT, "other", 0);
	case CHANGES:
		break;
	}
	return -EINVAL;
}

/* With the change itself: were it an operation of its own, a power cut between the two would leave a file abroad that
 * nobody looks at again. */
static void test_changes_are_pending(void **state)
{
	struct fixture *f = *state;
	struct meta *meta = core_meta(f->core);
	uint64_t dir = fixture_mkdir(f, ROOT, "dir"), ino = fixture_write(f, dir, "a", ""), pending[4];
	struct inode *inode;

	assert_int_equal(meta_inode_get(meta, ino, &inode), 0);
	transfer_stop(core_transfer(f->core)); /* nobody takes what is pending */
	for (enum change what = 0; what < CHANGES; what++) {
		meta_lock(meta);
		inode->flags |= INODE_EVER_STORED;
		meta_pending_done(meta, ino);
		meta_unlock(meta);
		assert_int_equal(meta_sync(meta), 0);
		assert_int_equal(meta_pending(meta, 0, pending, 4), 0);
		assert_int_equal(change(f, what, ino, dir), 0);
		assert_int_equal(meta_sync(meta), 0);
		if (meta_pending(meta, 0, pending, 4) != 1 || pending[0] != ino)
			fail_msg("change %d is not pending", what);
	}
	meta_inode_put(meta, inode);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_create, setup, teardown),
		cmocka_unit_test_setup_teardown(test_setgid_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_symlink, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links_and_orphans, setup, teardown),
		cmocka_unit_test_setup_teardown(test_orphan_ends_with_the_store, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unnamed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rmdir, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rename_table, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rename_across_directories, setup, teardown),
		cmocka_unit_test_setup_teardown(test_readdir_goes_on_where_it_stopped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_xattrs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held_follows_a_save, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held_before_the_quiet_period, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held_dir_made_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held_below_a_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held_over_a_reload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held_over_a_mount, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held_exchange, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changes_are_pending, setup, teardown),
	};

	if (crypt_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
