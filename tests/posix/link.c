/* SPDX-License-Identifier: GPL-3.0-or-later */
/* link, symlink, and the counts of links. */
#include "tests/posix/posix.h"

static void counts(void)
{
	struct stat before;

	make_file("a", 0644, "text");
	before = stat_of("a");
	EQUAL(before.st_nlink, 1);
	tick();
	OK(link("a", "b"));
	EQUAL(stat_of("a").st_nlink, 2);
	EQUAL(stat_of("b").st_ino, before.st_ino);
	EQUAL(time_compare(stat_of("b").st_ctim, before.st_ctim), 1);
	EQUAL(time_compare(stat_of("b").st_mtim, before.st_mtim), 0);
	OK(chmod("b", 0600));
	EQUAL(stat_of("a").st_mode, S_IFREG | 0600);
	OK(truncate("b", 2));
	CHECK(content_is("a", "te"));
	before = stat_of("b");
	tick();
	OK(unlink("a"));
	EQUAL(stat_of("b").st_nlink, 1);
	EQUAL(time_compare(stat_of("b").st_ctim, before.st_ctim), 1);
	CHECK(content_is("b", "te"));
}

static void kinds(void)
{
	static const char kind[] = "flps";

	for (size_t i = 0; kind[i]; i++) {
		context("%c", kind[i]);
		make_kind("x", kind[i]);
		OK(link("x", "y"));
		EQUAL(kind_of("y"), kind[i]);
		EQUAL(stat_of("y").st_nlink, 2);
		EQUAL(stat_of("y").st_ino, stat_of("x").st_ino);
		remove_kind("x");
		EQUAL(stat_of("y").st_nlink, 1);
		remove_kind("y");
	}
	context(NULL);
	make_dir("dir", 0755);
	FAILS(EPERM, link("dir", "y"));
	FAILS(EPERM, link(".", "y"));
	make_file("file", 0644, "");
	OK(symlink("file", "to-file"));
	OK(linkat(AT_FDCWD, "to-file", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW));
	EQUAL(kind_of("followed"), 'f');
	FAILS(ENOENT, linkat(AT_FDCWD, "none", AT_FDCWD, "y", AT_SYMLINK_FOLLOW));
	FAILS(EINVAL, linkat(AT_FDCWD, "file", AT_FDCWD, "y", 0x800000));
}

static void symlinks(void)
{
	char target[4096], got[4096];

	OK(symlink("some/where", "s"));
	EQUAL(stat_of("s").st_size, 10);
	EQUAL(readlink("s", got, sizeof(got)), 10);
	EQUAL(readlink("s", got, 4), 4);
	make_file("file", 0644, "");
	FAILS(EINVAL, readlink("file", got, sizeof(got)));
	FAILS(EINVAL, readlink(".", got, sizeof(got)));
	FAILS(ENOENT, symlink("", "empty"));
	memset(target, 't', sizeof(target));
	target[4095] = 0;
	OK(symlink(target, "long"));
	EQUAL(readlink("long", got, sizeof(got)), 4095);
	CHECK(memcmp(target, got, 4095) == 0);
	OK(symlink("/", "root"));
	CHECK(there("root/proc"));
	OK(symlink("../.", "up"));
	OK(chdir("up"));
}

/* 40 symlinks are followed and not one more. */
static void chain(void)
{
	char from[16], to[16];

	make_file("0", 0644, "end");
	for (int i = 1; i <= 41; i++) {
		snprintf(from, sizeof(from), "%d", i);
		snprintf(to, sizeof(to), "%d", i - 1);
		OK(symlink(to, from));
	}
	CHECK(content_is("40", "end"));
	FAILS(ELOOP, open("41", O_RDONLY));
}

static void directories(void)
{
	EQUAL(stat_of(".").st_nlink, 2);
	make_dir("a", 0755);
	make_dir("b", 0755);
	make_file("f", 0644, "");
	EQUAL(stat_of(".").st_nlink, 4);
	OK(rename("a", "b/a"));
	EQUAL(stat_of(".").st_nlink, 3);
	EQUAL(stat_of("b").st_nlink, 3);
	EQUAL(stat_of("b/a/..").st_ino, stat_of("b").st_ino);
	make_dir("c", 0755);
	OK(rename("c", "b/a"));
	EQUAL(stat_of(".").st_nlink, 3);
	EQUAL(stat_of("b").st_nlink, 3);
	OK(renameat2(AT_FDCWD, "b/a", AT_FDCWD, "f", 2));
	EQUAL(stat_of(".").st_nlink, 4);
	EQUAL(stat_of("b").st_nlink, 2);
	EQUAL(stat_of("f/..").st_ino, stat_of(".").st_ino);
	OK(rmdir("f"));
	EQUAL(stat_of(".").st_nlink, 3);
}

const struct posix_case cases_link[] = {
	{ "link: counts", counts, 0 },
	{ "link: kinds", kinds, 0 },
	{ "link: symlinks", symlinks, 0 },
	{ "link: a chain of symlinks", chain, 0 },
	{ "link: counts of directories", directories, 0 },
	{ 0 },
};
