/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/file.h"
#include "tests/unit/base/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/file_test.XXXXXX";
static int dirfd_;

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY);
	return dirfd_ < 0 || chdir(dir) < 0;
}

static int teardown(void **state)
{
	char command[64];

	(void)state;
	close(dirfd_);
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return chdir("/") < 0 || system(command) != 0;
}

static size_t count_names(void)
{
	DIR *d = opendir(dir);
	size_t n = 0;

	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void expect_file(const char *path, const char *text, mode_t mode)
{
	struct buf b = BUF_INIT;
	struct stat st;

	assert_int_equal(file_read_all(dirfd_, path, 100, &b), 0);
	assert_string_equal((char *)b.data, text);
	assert_int_equal(fstatat(dirfd_, path, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, mode);
	buf_free(&b);
}

static void test_whole(void **state)
{
	int fd = openat(dirfd_, "whole", O_RDWR | O_CREAT, 0600);
	char got[8] = "";

	(void)state;
	assert_int_equal(file_write_full(fd, "abcdef", 6), 0);
	assert_int_equal(file_pwrite_full(fd, "XY", 2, 2), 0);
	assert_int_equal(file_pread_full(fd, got, 6, 0), 0);
	assert_string_equal(got, "abXYef");
	assert_int_equal(file_pread_full(fd, got, 3, 4), -ERR_CORRUPT);
	assert_int_equal(file_pread_full(fd, got, 0, 100), 0);
	close(fd);
	assert_int_equal(file_pread_full(fd, got, 1, 0), -EBADF);
	assert_int_equal(file_pwrite_full(fd, got, 1, 0), -EBADF);
	assert_int_equal(file_write_full(fd, got, 1), -EBADF);
	fd = open("/dev/full", O_WRONLY);
	assert_int_equal(file_write_full(fd, "x", 1), -ENOSPC);
	close(fd);
	unlinkat(dirfd_, "whole", 0);
}

static void test_read_all(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	assert_int_equal(file_create_new(dirfd_, "six", "abcdef", 6, 0644), 0);
	assert_int_equal(file_read_all(dirfd_, "six", 6, &b), 0);
	assert_int_equal(file_read_all(dirfd_, "six", 6, &b), 0);
	assert_string_equal((char *)b.data, "abcdefabcdef");
	buf_reset(&b);
	assert_int_equal(file_read_all(dirfd_, "six", 5, &b), -EFBIG);
	assert_int_equal(file_read_all(dirfd_, "none", 5, &b), -ENOENT);
	assert_int_equal(file_read_all(dirfd_, ".", 5, &b), -EISDIR);
	assert_int_equal(file_read_all(AT_FDCWD, "/dev/zero", 100000, &b), -EFBIG);
	buf_free(&b);
	unlinkat(dirfd_, "six", 0);
}

static void test_replace(void **state)
{
	(void)state;
	umask(0077); /* the mode is what was asked for */
	assert_int_equal(file_replace(dirfd_, "r", "one", 3, 0644), 0);
	expect_file("r", "one", 0644);
	assert_int_equal(file_replace(dirfd_, "r", "two", 3, 0600), 0);
	expect_file("r", "two", 0600);
	assert_int_equal(file_create_new(dirfd_, "r", "three", 5, 0600), -EEXIST);
	expect_file("r", "two", 0600);
	assert_int_equal(file_create_new(dirfd_, "n", "", 0, 0400), 0);
	expect_file("n", "", 0400);
	assert_int_equal(file_replace(dirfd_, "no/r", "x", 1, 0600), -ENOENT);
	assert_int_equal(mkdirat(dirfd_, "d", 0700), 0);
	assert_int_equal(file_replace(dirfd_, "d", "x", 1, 0600), -EISDIR);
	assert_int_equal(file_replace(AT_FDCWD, "d/in", "x", 1, 0600), 0);
	expect_file("d/in", "x", 0600);
	/* no temporary file is left behind */
	assert_int_equal(count_names(), 3);
	unlinkat(dirfd_, "d/in", 0);
	unlinkat(dirfd_, "d", AT_REMOVEDIR);
	unlinkat(dirfd_, "n", 0);
	unlinkat(dirfd_, "r", 0);
	umask(0022);
}

static void test_mkdirs(void **state)
{
	struct stat st;
	char path[64];

	(void)state;
	snprintf(path, sizeof path, "%s//a/b/", dir);
	assert_int_equal(file_mkdirs(path, 0700), 0);
	assert_int_equal(file_mkdirs(path, 0700), 0);
	assert_int_equal(stat("a/b", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(file_mkdirs("a/c", 0755), 0);
	assert_int_equal(file_replace(dirfd_, "a/f", "", 0, 0600), 0);
	assert_int_equal(file_mkdirs("a/f", 0700), -ENOTDIR);
	assert_int_equal(file_mkdirs("a/f/g", 0700), -ENOTDIR);
	assert_int_equal(file_mkdirs("/", 0700), 0);
	assert_int_equal(file_mkdirs("", 0700), -ENOENT);
	assert_int_equal(file_sync_dir(dirfd_), 0);
	assert_int_equal(file_sync_dir(AT_FDCWD), 0);
	assert_int_equal(file_sync_dir(-1), -EBADF);
}

/* each row makes the file "s", or not, and says what reading it gives */
static void test_secret(void **state)
{
	static const struct {
		const char *text;
		mode_t mode;
		uid_t owner;
		size_t max;
		int strip, rc;
		const char *expected;
	} rows[] = {
		{ "secret\n", 0600, 0, 100, 1, 0, "secret" },
		{ "secret\n", 0400, 0, 100, 0, 0, "secret\n" },
		{ "secret\n\n", 0600, 0, 100, 1, 0, "secret\n" },
		{ "secret", 0600, 0, 6, 1, 0, "secret" },
		{ "", 0600, 0, 6, 1, 0, "" },
		{ "secret", 0600, 0, 5, 0, -EFBIG, "secret file s is longer than 5 bytes" },
		{ "secret", 0640, 0, 100, 0, -ERR_SECRET_FILE,
			"secret file s can be read by others; chmod it to 0600" },
		{ "secret", 0604, 0, 100, 0, -ERR_SECRET_FILE,
			"secret file s can be read by others; chmod it to 0600" },
		{ "secret", 0620, 0, 100, 0, -ERR_SECRET_FILE,
			"secret file s can be read by others; chmod it to 0600" },
		{ "secret", 0600, 1, 100, 0, -ERR_SECRET_FILE,
			"secret file s belongs to another user; chown it to the user that runs borderfs" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf b = BUF_INIT;
		struct errmsg msg = { 0 };

		if (rows[i].owner && geteuid() != 0)
			continue;
		assert_int_equal(file_replace(dirfd_, "s", rows[i].text, strlen(rows[i].text), rows[i].mode), 0);
		assert_true(!rows[i].owner || fchownat(dirfd_, "s", rows[i].owner, (gid_t)-1, 0) == 0);
		assert_int_equal(file_read_secret("s", rows[i].max, rows[i].strip, &b, &msg), rows[i].rc);
		if (rows[i].rc)
			assert_string_equal(msg.text, rows[i].expected);
		else
			assert_string_equal(b.data ? (char *)b.data : "", rows[i].expected);
		buf_free(&b);
		errmsg_free(&msg);
	}
	unlinkat(dirfd_, "s", 0);
}

static void test_secret_kinds(void **state)
{
	static const struct {
		const char *path;
		int rc;
		const char *expected;
	} rows[] = {
		{ "link", -ERR_SECRET_FILE,
			"secret file link is a symbolic link, which is not followed; name the file itself" },
		{ "fifo", -ERR_SECRET_FILE, "secret file fifo is not a regular file" },
		{ "directory", -ERR_SECRET_FILE, "secret file directory is not a regular file" },
		{ "none", -ENOENT, "cannot open secret file none: No such file or directory" },
	};

	(void)state;
	assert_int_equal(file_replace(dirfd_, "target", "x", 1, 0600), 0);
	assert_int_equal(symlinkat("target", dirfd_, "link"), 0);
	assert_int_equal(mkfifoat(dirfd_, "fifo", 0600), 0);
	assert_int_equal(mkdirat(dirfd_, "directory", 0700), 0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf b = BUF_INIT;
		struct errmsg msg = { 0 };

		assert_int_equal(file_read_secret(rows[i].path, 10, 1, &b, &msg), rows[i].rc);
		assert_string_equal(msg.text, rows[i].expected);
		buf_free(&b);
		errmsg_free(&msg);
	}
}

static void test_expand(void **state)
{
	static const struct {
		const char *path, *base, *expected;
	} rows[] = {
		{ "/a", "/b", "/a" },
		{ "a/c", "/b", "/b/a/c" },
		{ "a", "/b/", "/b/a" },
		{ "~", "/b", "/home/u" },
		{ "~/x", "/b", "/home/u/x" },
		{ "~x", "/b", "/b/~x" },
		{ "x~", "/b", "/b/x~" },
	};
	char expected[64], *got;

	(void)state;
	setenv("HOME", "/home/u", 1);
	for (size_t i = 0; i < COUNT(rows); i++) {
		got = file_expand(rows[i].path, rows[i].base);
		assert_string_equal(got, rows[i].expected);
		free(got);
	}
	snprintf(expected, sizeof expected, "%s/a", dir);
	got = file_expand("a", NULL);
	assert_string_equal(got, expected);
	free(got);
	unsetenv("HOME");
	got = file_expand("~/x", NULL);
	assert_int_equal(got[0], '/');
	assert_string_equal(got + strlen(got) - 2, "/x");
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_read_all),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_mkdirs),
		cmocka_unit_test(test_secret),
		cmocka_unit_test(test_secret_kinds),
		cmocka_unit_test(test_expand),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
