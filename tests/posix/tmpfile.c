/* SPDX-License-Identifier: GPL-3.0-or-later */
/* O_TMPFILE: files without a name that may get one. */
#include "tests/posix/posix.h"

static int give_name(int fd, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW);
}

static void unnamed(void)
{
	struct stat dir = stat_of(".");
	uint8_t data[50000], got[50000];
	int fd;

	tick();
	fd = (int)OK(open(".", O_TMPFILE | O_RDWR, 0640));
	EQUAL(stat_fd(fd).st_nlink, 0);
	EQUAL(stat_fd(fd).st_mode, S_IFREG | 0640);
	EQUAL(time_compare(stat_of(".").st_mtim, dir.st_mtim), 0);
	pattern(data, sizeof(data), 8);
	write_all(fd, data, sizeof(data));
	OK(fsync(fd));
	EQUAL(stat_fd(fd).st_size, sizeof(data));
	EQUAL(pread(fd, got, sizeof(got), 0), sizeof(got));
	CHECK(memcmp(data, got, sizeof(got)) == 0);
	close(fd);
	EQUAL(stat_of(".").st_nlink, 2);
}

static void named(void)
{
	int fd = (int)OK(open(".", O_TMPFILE | O_RDWR, 0644));

	OK(write(fd, "before", 6));
	OK(give_name(fd, "file"));
	EQUAL(stat_of("file").st_nlink, 1);
	EQUAL(stat_of("file").st_ino, stat_fd(fd).st_ino);
	OK(write(fd, "-after", 6));
	OK(give_name(fd, "second"));
	EQUAL(stat_fd(fd).st_nlink, 2);
	OK(unlink("second"));
	close(fd);
	CHECK(content_is("file", "before-after"));
	fd = (int)OK(open(".", O_TMPFILE | O_RDWR, 0644));
	FAILS(EEXIST, give_name(fd, "file"));
	OK(give_name(fd, "other"));
	OK(unlink("other"));
	FAILS(ENOENT, give_name(fd, "again")); /* it had a name, and lost it */
	close(fd);
}

static void never_named(void)
{
	int fd = (int)OK(open(".", O_TMPFILE | O_EXCL | O_RDWR, 0644));

	FAILS(ENOENT, give_name(fd, "file"));
	CHECK(!there("file"));
	close(fd);
}

static void modes_and_errors(void)
{
	int fd;

	make_file("file", 0644, "");
	umask(027);
	fd = (int)OK(open(".", O_TMPFILE | O_WRONLY, 0777));
	EQUAL(stat_fd(fd).st_mode, S_IFREG | 0750);
	close(fd);
	umask(0);
	FAILS(EINVAL, open(".", O_TMPFILE | O_RDONLY, 0644));
	FAILS(ENOTDIR, open("file", O_TMPFILE | O_RDWR, 0644));
	FAILS(ENOENT, open("none", O_TMPFILE | O_RDWR, 0644));
}

static void rights(void)
{
	int fd;

	make_dir("closed", 0755);
	make_dir("shared", 0777);
	OK(chown("shared", 0, SHARED_GID));
	OK(chmod("shared", 02777));
	be(ANN);
	FAILS(EACCES, open("closed", O_TMPFILE | O_RDWR, 0644));
	fd = (int)OK(open("shared", O_TMPFILE | O_RDWR, 0600));
	EQUAL(stat_fd(fd).st_uid, ANN_ID);
	EQUAL(stat_fd(fd).st_gid, SHARED_GID);
	close(fd);
}

const struct posix_case cases_tmpfile[] = {
	{ "tmpfile: without a name", unnamed, 0 },
	{ "tmpfile: given a name", named, 0 },
	{ "tmpfile: never to be named", never_named, 0 },
	{ "tmpfile: modes and errors", modes_and_errors, 0 },
	{ "tmpfile: rights", rights, NEEDS_ROOT },
	{ 0 },
};
