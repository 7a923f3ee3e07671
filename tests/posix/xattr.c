/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Extended attributes. */
#include "tests/posix/posix.h"

#include <sys/xattr.h>

static void basics(void)
{
	char got[64] = "";

	make_file("file", 0644, "");
	FAILS(ENODATA, getxattr("file", "user.a", got, sizeof(got)));
	FAILS(ENODATA, removexattr("file", "user.a"));
	FAILS(ENODATA, setxattr("file", "user.a", "1", 1, XATTR_REPLACE));
	OK(setxattr("file", "user.a", "value", 5, XATTR_CREATE));
	FAILS(EEXIST, setxattr("file", "user.a", "1", 1, XATTR_CREATE));
	EQUAL(getxattr("file", "user.a", got, sizeof(got)), 5);
	TEXT(got, "value");
	EQUAL(getxattr("file", "user.a", NULL, 0), 5);
	FAILS(ERANGE, getxattr("file", "user.a", got, 4));
	OK(setxattr("file", "user.a", "other", 5, XATTR_REPLACE));
	OK(setxattr("file", "user.empty", "", 0, 0));
	EQUAL(getxattr("file", "user.empty", got, sizeof(got)), 0);
	EQUAL(listxattr("file", NULL, 0), 7 + 11);
	EQUAL(listxattr("file", got, sizeof(got)), 18);
	FAILS(ERANGE, listxattr("file", got, 5));
	OK(removexattr("file", "user.a"));
	EQUAL(listxattr("file", got, sizeof(got)), 11);
	FAILS(EINVAL, setxattr("file", "user.b", "", 0, 99));
}

static void names_and_sizes(void)
{
	char name[300] = "user.", big[70000] = "";
	uint8_t value[2000], got[2000];

	make_file("file", 0644, "");
	memset(name + 5, 'n', 250);
	OK(setxattr("file", name, "long", 4, 0));
	EQUAL(getxattr("file", name, got, sizeof(got)), 4);
	name[255] = 'n';
	FAILS(ERANGE, setxattr("file", name, "long", 4, 0));
	FAILS(ERANGE, getxattr("file", name, got, sizeof(got)));
	FAILS(ERANGE, setxattr("file", "", "x", 1, 0));
	FAILS(EINVAL, setxattr("file", "user.", "x", 1, 0));
	FAILS(EINVAL, getxattr("file", "user.", got, sizeof(got)));
	FAILS(EOPNOTSUPP, setxattr("file", "nonsense.a", "x", 1, 0));
	FAILS(EOPNOTSUPP, setxattr("file", "nonsense", "x", 1, 0));
	FAILS(EOPNOTSUPP, getxattr("file", "nonsense.a", got, sizeof(got)));
	FAILS(EOPNOTSUPP, removexattr("file", "nonsense.a"));
	FAILS(EOPNOTSUPP, getxattr("file", "system.nonsense", got, sizeof(got)));
	FAILS(E2BIG, setxattr("file", "user.big", big, 65537, 0));
	pattern(value, sizeof(value), 1);
	OK(setxattr("file", "user.bytes", value, sizeof(value), 0));
	EQUAL(getxattr("file", "user.bytes", got, sizeof(got)), sizeof(got));
	CHECK(memcmp(value, got, sizeof(value)) == 0);
}

static void kinds(void)
{
	make_dir("dir", 0755);
	make_kind("link", 'l');
	make_kind("pipe", 'p');
	OK(setxattr("dir", "user.a", "b", 1, 0));
	FAILS(EPERM, lsetxattr("link", "user.a", "b", 1, 0));
	FAILS(EPERM, lsetxattr("pipe", "user.a", "b", 1, 0));
	EQUAL(llistxattr("link", NULL, 0), 0);
	make_file("file", 0644, "");
	OK(symlink("file", "to-file"));
	OK(setxattr("to-file", "user.a", "b", 1, 0));
	EQUAL(getxattr("file", "user.a", NULL, 0), 1);
}

static void times(void)
{
	struct stat before;

	make_file("file", 0644, "");
	before = stat_of("file");
	tick();
	OK(setxattr("file", "user.a", "b", 1, 0));
	EQUAL(time_compare(stat_of("file").st_ctim, before.st_ctim), 1);
	EQUAL(time_compare(stat_of("file").st_mtim, before.st_mtim), 0);
	before = stat_of("file");
	tick();
	OK(removexattr("file", "user.a"));
	EQUAL(time_compare(stat_of("file").st_ctim, before.st_ctim), 1);
}

static void rights(void)
{
	char got[64];

	make_owned("file", 0604, BOB_ID, BOB_ID);
	make_owned("shut", 0600, BOB_ID, BOB_ID);
	OK(setxattr("file", "user.a", "b", 1, 0));
	OK(setxattr("file", "trusted.a", "secret", 6, 0));
	OK(setxattr("file", "security.a", "b", 1, 0));
	EQUAL(listxattr("file", got, sizeof(got)), 7 + 10 + 11);
	be(ANN);
	EQUAL(getxattr("file", "user.a", got, sizeof(got)), 1);
	FAILS(EACCES, setxattr("file", "user.a", "c", 1, 0));
	FAILS(EACCES, removexattr("file", "user.a"));
	FAILS(EACCES, getxattr("shut", "user.a", got, sizeof(got)));
	FAILS(ENODATA, getxattr("file", "trusted.a", got, sizeof(got)));
	FAILS(EPERM, setxattr("file", "trusted.a", "c", 1, 0));
	FAILS(EPERM, setxattr("file", "security.a", "c", 1, 0));
	EQUAL(getxattr("file", "security.a", got, sizeof(got)), 1);
	EQUAL(listxattr("file", got, sizeof(got)), 7 + 11); /* trusted ones are not even shown */
	be(BOB);
	OK(setxattr("file", "user.a", "c", 1, 0));
	FAILS(EPERM, setxattr("file", "trusted.a", "c", 1, 0));
	be(ROOT);
	EQUAL(getxattr("file", "trusted.a", got, sizeof(got)), 6);
	make_kind("link", 'l');
	OK(lsetxattr("link", "trusted.a", "b", 1, 0));
	EQUAL(lgetxattr("link", "trusted.a", got, sizeof(got)), 1);
}

static void sticky(void)
{
	make_dir("dir", 01777);
	be(ANN);
	FAILS(EPERM, setxattr("dir", "user.a", "b", 1, 0));
	be(ROOT);
	OK(setxattr("dir", "user.a", "b", 1, 0));
}

const struct posix_case cases_xattr[] = {
	{ "xattr: basics", basics, 0 },
	{ "xattr: names and sizes", names_and_sizes, 0 },
	{ "xattr: kinds", kinds, 0 },
	{ "xattr: times", times, 0 },
	{ "xattr: rights", rights, NEEDS_ROOT },
	{ "xattr: sticky directories", sticky, NEEDS_ROOT },
	{ 0 },
};
