/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rename: kinds over kinds, flags, loops, sticky directories. */
#include "tests/posix/posix.h"

#define NOREPLACE 1
#define EXCHANGE  2
#define WHITEOUT  4

static int renamed(const char *from, const char *to, unsigned flags)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

static int plain_error(char from, char to)
{
	bool from_dir = strchr("dD", from), to_dir = strchr("dD", to);

	if (from == '-')
		return ENOENT;
	if (to == '-')
		return 0;
	if (from_dir != to_dir)
		return to_dir ? EISDIR : ENOTDIR;
	return to == 'D' ? ENOTEMPTY : 0;
}

static int wanted(char from, char to, unsigned flags)
{
	if (flags == EXCHANGE)
		return from == '-' || to == '-' ? ENOENT : 0;
	if (flags == NOREPLACE)
		return from == '-' ? ENOENT : to == '-' ? 0 : EEXIST;
	return plain_error(from, to);
}

static void pair(char from, char to, unsigned flags)
{
	int error = wanted(from, to, flags);
	ino_t ino = 0;

	context("%c over %c, flags %u", from, to, flags);
	make_kind("from", from);
	make_kind("to", to);
	if (from != '-')
		ino = stat_of("from").st_ino;
	if (error) {
		FAILS(error, renamed("from", "to", flags));
		EQUAL(kind_of("from"), from);
		EQUAL(kind_of("to"), to);
	} else {
		OK(renamed("from", "to", flags));
		EQUAL(kind_of("from"), flags == EXCHANGE ? to : '-');
		EQUAL(kind_of("to"), from);
		EQUAL(stat_of("to").st_ino, ino);
	}
	remove_kind("from");
	remove_kind("to");
}

static void by_kind(void)
{
	static const char kinds[] = "-fdDlps";

	for (unsigned flags = 0; flags <= EXCHANGE; flags++)
		for (size_t i = 0; kinds[i]; i++)
			for (size_t j = 0; kinds[j]; j++)
				pair(kinds[i], kinds[j], flags);
}

static void bad_flags(void)
{
	make_file("a", 0644, "a");
	make_file("b", 0644, "b");
	FAILS(EINVAL, renamed("a", "b", NOREPLACE | EXCHANGE));
	FAILS(EINVAL, renamed("a", "b", WHITEOUT | EXCHANGE));
	FAILS(EINVAL, renamed("a", "b", 8));
	CHECK(content_is("a", "a") && content_is("b", "b"));
}

static void loops(void)
{
	make_dir("d", 0755);
	make_dir("d/e", 0755);
	make_dir("d/e/f", 0755);
	FAILS(EINVAL, rename("d", "d/x"));
	FAILS(EINVAL, rename("d", "d/e/x"));
	FAILS(EINVAL, rename("d", "d/e/f"));
	FAILS(EINVAL, rename("d", "d/e/f/x"));
	FAILS(ENOTEMPTY, rename("d/e/f", "d"));
	FAILS(ENOTEMPTY, rename("d/e", "d"));
	FAILS(EINVAL, renamed("d", "d/e/f", EXCHANGE));
	FAILS(EINVAL, renamed("d/e/f", "d", EXCHANGE));
	FAILS(EINVAL, renamed("d", "d/e/x", NOREPLACE));
	FAILS(EBUSY, rename(".", "x"));
	FAILS(EBUSY, rename("d/e", "d/."));
	FAILS(EBUSY, rename("d/..", "x"));
	FAILS(EBUSY, rename("d/e", "d/e/.."));
	OK(rename("d", "d"));
	CHECK(there("d/e/f"));
}

static void same_file(void)
{
	make_file("a", 0644, "text");
	OK(link("a", "b"));
	make_dir("d", 0755);
	OK(link("a", "d/c"));
	OK(rename("a", "b"));
	OK(rename("a", "d/c"));
	OK(rename("a", "a"));
	CHECK(there("a") && there("b") && there("d/c"));
	EQUAL(stat_of("a").st_nlink, 3);
	FAILS(EEXIST, renamed("a", "b", NOREPLACE));
	OK(renamed("a", "b", EXCHANGE));
	CHECK(there("a") && there("b"));
}

static void replaced_counts(void)
{
	make_file("a", 0644, "a");
	make_file("b", 0644, "b");
	OK(link("b", "other"));
	OK(rename("a", "b"));
	EQUAL(stat_of("other").st_nlink, 1);
	EQUAL(stat_of("b").st_nlink, 1);
	CHECK(content_is("other", "b") && content_is("b", "a"));
}

static void whiteout(void)
{
	make_file("a", 0644, "a");
	make_file("b", 0644, "b");
	OK(renamed("a", "b", WHITEOUT));
	CHECK(content_is("b", "a"));
	EQUAL(stat_of("a").st_mode & S_IFMT, S_IFCHR);
	EQUAL(stat_of("a").st_rdev, 0);
	make_dir("d", 0755);
	OK(renamed("b", "d/b", WHITEOUT | NOREPLACE));
	EQUAL(stat_of("b").st_mode & S_IFMT, S_IFCHR);
	CHECK(content_is("d/b", "a"));
	OK(renamed("d", "e", WHITEOUT));
	EQUAL(stat_of("d").st_mode & S_IFMT, S_IFCHR);
	CHECK(there("e/b"));
}

static void times(void)
{
	struct stat file, from, to;

	make_dir("from", 0755);
	make_dir("to", 0755);
	make_file("from/a", 0644, "");
	file = stat_of("from/a");
	from = stat_of("from");
	to = stat_of("to");
	tick();
	OK(rename("from/a", "to/a"));
	EQUAL(time_compare(stat_of("from").st_mtim, from.st_mtim), 1);
	EQUAL(time_compare(stat_of("from").st_ctim, from.st_ctim), 1);
	EQUAL(time_compare(stat_of("to").st_mtim, to.st_mtim), 1);
	EQUAL(time_compare(stat_of("to/a").st_ctim, file.st_ctim), 1);
	EQUAL(time_compare(stat_of("to/a").st_mtim, file.st_mtim), 0);
}

/* ---- sticky directories --------------------------------------------------------------------------------------------
 */

static const struct sticky_row {
	uid_t dir, file;
	mode_t mode;
	bool may;
} sticky_rows[] = {
	{ 0, BOB_ID, 01777, false },
	{ 0, ANN_ID, 01777, true },
	{ ANN_ID, BOB_ID, 01777, true },
	{ BOB_ID, BOB_ID, 01777, false },
	{ BOB_ID, ANN_ID, 01777, true },
	{ 0, BOB_ID, 0777, true },
};

static void reset(const struct sticky_row *row, char kind)
{
	be(ROOT);
	remove_kind("dir/x");
	remove_kind("dir/mine");
	remove_kind("y");
	make_kind("dir/x", kind);
	make_kind("dir/mine", kind);
	OK(lchown("dir/x", row->file, 0));
	OK(lchown("dir/mine", ANN_ID, 0));
	be(ANN);
}

static void expect(bool may, long rc, const char *what)
{
	int error = rc < 0 ? errno : 0;

	context("%s", what);
	EQUAL(error, may ? 0 : EPERM);
}

static void sticky_row(const struct sticky_row *row, char kind)
{
	char what[96];

	for (int i = 0; i < 5; i++) {
		reset(row, kind);
		snprintf(what, sizeof(what), "dir of %u mode %o, %c of %u, way %d", row->dir, row->mode, kind,
			row->file, i);
		errno = 0;
		if (i == 0)
			expect(row->may, kind == 'd' ? rmdir("dir/x") : unlink("dir/x"), what);
		else if (i == 1)
			expect(row->may, rename("dir/x", "dir/z"), what);
		else if (i == 2)
			expect(row->may, rename("dir/mine", "dir/x"), what);
		else if (i == 3)
			expect(row->may, renamed("dir/mine", "dir/x", EXCHANGE), what);
		else if (kind !=
			 'd') /* a directory of another's is not moved to another place: .. in it would change */
			expect(row->may, rename("dir/x", "y"), what);
		be(ROOT);
		remove_kind("dir/z");
	}
}

static void sticky(void)
{
	static const char kinds[] = "fdlp";

	OK(chmod(".", 0777));
	for (size_t i = 0; i < COUNT(sticky_rows); i++) {
		make_dir("dir", sticky_rows[i].mode);
		OK(chown("dir", sticky_rows[i].dir, 0));
		for (size_t k = 0; kinds[k]; k++)
			sticky_row(&sticky_rows[i], kinds[k]);
		be(ROOT);
		remove_kind("dir/x");
		remove_kind("dir/mine");
		OK(rmdir("dir"));
	}
}

/* Moving a directory elsewhere writes its "..". */
static void moved_directory_rights(void)
{
	make_dir("a", 0777);
	make_dir("b", 0777);
	make_dir("a/theirs", 0755);
	OK(chown("a/theirs", BOB_ID, BOB_ID));
	be(ANN);
	FAILS(EACCES, rename("a/theirs", "b/theirs"));
	OK(rename("a/theirs", "a/other"));
	be(ROOT);
	OK(chmod("a/other", 0757));
	be(ANN);
	OK(rename("a/other", "b/theirs"));
}

const struct posix_case cases_rename[] = {
	{ "rename: kinds and flags", by_kind, 0 },
	{ "rename: bad flags", bad_flags, 0 },
	{ "rename: loops", loops, 0 },
	{ "rename: one file with two names", same_file, 0 },
	{ "rename: links of what is replaced", replaced_counts, 0 },
	{ "rename: whiteout", whiteout, NEEDS_ROOT },
	{ "rename: times", times, 0 },
	{ "rename: sticky directories", sticky, NEEDS_ROOT },
	{ "rename: another's directory", moved_directory_rights, NEEDS_ROOT },
	{ 0 },
};
