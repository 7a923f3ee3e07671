/* SPDX-License-Identifier: GPL-3.0-or-later */
/* open, creat, unlink, and what is open without a name. */
#include "tests/posix/posix.h"

#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sys/xattr.h>

extern char **environ;

static void flags(void)
{
	static const struct {
		char kind;
		int flags, error;
	} rows[] = {
		{ '-', O_RDONLY, ENOENT },
		{ '-', O_RDWR | O_CREAT, 0 },
		{ '-', O_CREAT | O_EXCL | O_RDWR, 0 },
		{ '-', O_CREAT | O_DIRECTORY, EINVAL },
		{ 'f', O_RDWR, 0 },
		{ 'f', O_RDWR | O_CREAT, 0 },
		{ 'f', O_RDWR | O_CREAT | O_EXCL, EEXIST },
		{ 'f', O_RDONLY | O_DIRECTORY, ENOTDIR },
		{ 'f', O_RDONLY | O_NOFOLLOW, 0 },
		{ 'd', O_RDONLY, 0 },
		{ 'd', O_WRONLY, EISDIR },
		{ 'd', O_RDWR, EISDIR },
		{ 'd', O_RDONLY | O_CREAT, EISDIR },
		{ 'd', O_RDONLY | O_TRUNC, EISDIR },
		{ 'd', O_CREAT | O_EXCL | O_RDWR, EEXIST },
		{ 'l', O_RDONLY, ENOENT },
		{ 'l', O_RDONLY | O_NOFOLLOW, ELOOP },
		{ 'l', O_RDWR | O_CREAT | O_EXCL, EEXIST },
		{ 'l', O_PATH | O_NOFOLLOW, 0 },
		{ 'l', O_RDWR | O_CREAT, 0 },
		{ 'p', O_RDONLY | O_NONBLOCK, 0 },
		{ 'p', O_WRONLY | O_NONBLOCK, ENXIO },
		{ 'p', O_RDWR, 0 },
		{ 's', O_RDONLY, ENXIO },
		{ 's', O_RDWR, ENXIO },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		context("%c, flags %#o", rows[i].kind, (unsigned)rows[i].flags);
		make_kind("x", rows[i].kind);
		if (rows[i].error)
			FAILS(rows[i].error, open("x", rows[i].flags, 0644));
		else
			close((int)OK(open("x", rows[i].flags, 0644)));
		remove_kind("x");
	}
	context(NULL);
	CHECK(there("nowhere")); /* made through the symlink */
}

static void slashes(void)
{
	make_file("file", 0644, "");
	make_dir("dir", 0755);
	OK(symlink("dir", "to-dir"));
	OK(symlink("file", "to-file"));
	FAILS(EISDIR, open("new/", O_CREAT | O_WRONLY, 0644));
	FAILS(ENOTDIR, open("file/", O_RDONLY));
	FAILS(ENOTDIR, open("to-file/", O_RDONLY));
	close((int)OK(open("to-dir/", O_RDONLY)));
	OK(mkdir("made/", 0755));
	FAILS(ENOENT, symlink("x", "new/"));
	FAILS(ENOENT, mkfifo("new/", 0644));
	FAILS(ENOENT, link("file", "new/"));
	FAILS(ENOTDIR, rename("file", "new/"));
	OK(rename("made/", "moved/"));
	FAILS(ENOTDIR, unlink("file/"));
	FAILS(EISDIR, unlink("moved/"));
	FAILS(ENOTDIR, rmdir("to-dir"));
	FAILS(ENOTDIR, unlink("to-dir/"));
	FAILS(ENOTDIR, rmdir("to-dir/"));
	OK(unlink("to-dir"));
	OK(rmdir("moved/"));
}

static void mode_of_new(void)
{
	static const struct {
		mode_t umask, asked, wanted;
	} rows[] = {
		{ 0, 0777, 0777 },
		{ 022, 0777, 0755 },
		{ 022, 0666, 0644 },
		{ 077, 0777, 0700 },
		{ 0777, 0777, 0 },
		{ 0, 04755, 04755 },
		{ 0, 01777, 01777 },
		{ 0, 0, 0 },
		{ 070, 0151, 0101 },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		context("umask %03o, mode %04o", rows[i].umask, rows[i].asked);
		umask(rows[i].umask);
		close((int)OK(open("file", O_CREAT | O_WRONLY, rows[i].asked)));
		OK(mkdir("dir", rows[i].asked));
		OK(mkfifo("fifo", rows[i].asked));
		OK(symlink("x", "link"));
		EQUAL(stat_of("file").st_mode, S_IFREG | rows[i].wanted);
		EQUAL(stat_of("dir").st_mode, S_IFDIR | (rows[i].wanted & 01777)); /* mkdir takes no set-id bits */
		EQUAL(stat_of("fifo").st_mode & 0777, rows[i].wanted & 0777);
		EQUAL(stat_of("link").st_mode, S_IFLNK | 0777);
		remove_kind("file");
		remove_kind("dir");
		remove_kind("fifo");
		remove_kind("link");
	}
	umask(0);
}

/* A descriptor that was opened for writing by the call that made the file writes, whatever the mode. */
static void made_unwritable(void)
{
	int fd = (int)OK(open("file", O_CREAT | O_RDWR, 0));
	char got[4];

	OK(write(fd, "abcd", 4));
	EQUAL(pread(fd, got, 4, 0), 4);
	close(fd);
	EQUAL(stat_of("file").st_size, 4);
}

static void truncates(void)
{
	struct stat before, after;

	make_file("file", 0644, "content");
	before = stat_of("file");
	tick();
	close((int)OK(open("file", O_RDONLY)));
	EQUAL(time_compare(stat_of("file").st_mtim, before.st_mtim), 0);
	close((int)OK(open("file", O_WRONLY | O_TRUNC)));
	after = stat_of("file");
	EQUAL(after.st_size, 0);
	EQUAL(time_compare(after.st_mtim, before.st_mtim), 1);
	EQUAL(time_compare(after.st_ctim, before.st_ctim), 1);
	CHECK(content_is("file", ""));
}

static void unlinked(void)
{
	int fd = (int)OK(open("file", O_CREAT | O_RDWR, 0644));
	struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 2 } };
	ino_t ino = stat_fd(fd).st_ino;
	uint8_t data[20000], got[20000];

	pattern(data, sizeof(data), 1);
	write_all(fd, data, sizeof(data));
	OK(unlink("file"));
	CHECK(!there("file"));
	EQUAL(stat_fd(fd).st_nlink, 0);
	EQUAL(stat_fd(fd).st_size, sizeof(data));
	EQUAL(pread(fd, got, sizeof(got), 0), sizeof(got));
	CHECK(memcmp(data, got, sizeof(data)) == 0);
	OK(pwrite(fd, "more", 4, 300000));
	OK(fsync(fd));
	EQUAL(stat_fd(fd).st_size, 300004);
	OK(ftruncate(fd, 10));
	OK(fchmod(fd, 0600));
	OK(futimens(fd, times));
	OK(fsetxattr(fd, "user.a", "b", 1, 0));
	EQUAL(stat_fd(fd).st_mode, S_IFREG | 0600);
	EQUAL(stat_fd(fd).st_mtim.tv_sec, 2);
	make_file("file", 0644, "another");
	CHECK(stat_of("file").st_ino != ino);
	EQUAL(stat_fd(fd).st_size, 10);
	close(fd);
	CHECK(content_is("file", "another"));
}

static void replaced_while_open(void)
{
	char got[8] = "";
	int fd;

	make_file("old", 0644, "old");
	make_file("new", 0644, "new");
	fd = (int)OK(open("old", O_RDONLY));
	OK(rename("new", "old"));
	EQUAL(stat_fd(fd).st_nlink, 0);
	EQUAL(read(fd, got, sizeof(got)), 3);
	TEXT(got, "old");
	CHECK(content_is("old", "new"));
	close(fd);
}

static void no_link_of_unlinked(void)
{
	char path[64];
	int fd = (int)OK(open("file", O_CREAT | O_RDWR, 0644));

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	OK(unlink("file"));
	FAILS(ENOENT, linkat(AT_FDCWD, path, AT_FDCWD, "again", AT_SYMLINK_FOLLOW));
	close(fd);
}

static void removed_directory(void)
{
	int fd;

	make_dir("dir", 0755);
	fd = (int)OK(open("dir", O_RDONLY | O_DIRECTORY));
	OK(rmdir("dir"));
	EQUAL(stat_fd(fd).st_nlink, 0);
	FAILS(ENOENT, openat(fd, "x", O_CREAT | O_WRONLY, 0644));
	FAILS(ENOENT, mkdirat(fd, "x", 0755));
	FAILS(ENOENT, symlinkat("x", fd, "x"));
	FAILS(ENOENT, openat(fd, "x", O_RDONLY));
	OK(fchmod(fd, 0700));
	close(fd);
}

static void text_busy(void)
{
	char *argv[] = { (char *)"sleeper", (char *)"60", NULL };
	int in, out, status;
	char buf[65536];
	ssize_t n;
	pid_t pid;

	in = (int)OK(open("/bin/sleep", O_RDONLY));
	out = (int)OK(open("sleeper", O_CREAT | O_WRONLY, 0755));
	while ((n = read(in, buf, sizeof(buf))) > 0)
		write_all(out, buf, (size_t)n);
	FAILS(ETXTBSY, execve("./sleeper", argv, environ));
	close(in);
	close(out);
	EQUAL(posix_spawn(&pid, "./sleeper", NULL, NULL, argv, environ), 0);
	FAILS(ETXTBSY, open("sleeper", O_WRONLY));
	FAILS(ETXTBSY, truncate("sleeper", 0));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close((int)OK(open("sleeper", O_WRONLY)));
}

static void open_at(void)
{
	int dir;

	make_dir("dir", 0755);
	dir = (int)OK(open("dir", O_PATH | O_DIRECTORY));
	close((int)OK(openat(dir, "file", O_CREAT | O_WRONLY, 0644)));
	OK(rename("dir", "moved"));
	CHECK(there("moved/file"));
	OK(unlinkat(dir, "file", 0));
	FAILS(EISDIR, unlinkat(AT_FDCWD, "moved", 0));
	FAILS(ENOENT, unlinkat(dir, "file", 0));
	OK(unlinkat(AT_FDCWD, "moved", AT_REMOVEDIR));
	close(dir);
}

/* ---- handles, which NFS servers and indexers keep -----------------------------------------------------------------
 */

static void handle_of(const char *path, struct file_handle *out)
{
	int mount;

	out->handle_bytes = MAX_HANDLE_SZ;
	OK(name_to_handle_at(AT_FDCWD, path, out, &mount, 0));
}

/* What the kernel holds of names and inodes goes, as it does when memory is short. */
static void forget_all(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	sync();
	if (fd < 0 || write(fd, "2", 1) != 1)
		printf("  the kernel's caches cannot be dropped here\n");
	if (fd >= 0)
		close(fd);
}

static void handles(void)
{
	struct file_handle *of[4];
	static const char *const paths[] = { "dir", "dir/file", "dir/sub", "gone" };
	int here = (int)OK(open(".", O_RDONLY | O_DIRECTORY)), fd;
	char text[8] = "";

	make_dir("dir", 0755);
	make_dir("dir/sub", 0755);
	make_file("dir/file", 0644, "text");
	make_file("gone", 0644, "");
	for (size_t i = 0; i < COUNT(of); i++)
		handle_of(paths[i], of[i] = room(sizeof(**of) + MAX_HANDLE_SZ));
	OK(unlink("gone"));
	OK(rename("dir", "moved"));
	forget_all();
	fd = (int)OK(open_by_handle_at(here, of[1], O_RDONLY));
	EQUAL(OK(read(fd, text, sizeof(text))), 4);
	TEXT(text, "text");
	close(fd);
	fd = (int)OK(open_by_handle_at(here, of[2], O_RDONLY | O_DIRECTORY));
	EQUAL(stat_fd(fd).st_ino, stat_of("moved/sub").st_ino);
	OK(faccessat(fd, "../file", F_OK, 0));
	close(fd);
	fd = (int)OK(open_by_handle_at(here, of[0], O_RDONLY | O_DIRECTORY));
	OK(faccessat(fd, "sub", F_OK, 0));
	close(fd);
	FAILS(ESTALE, open_by_handle_at(here, of[3], O_RDONLY));
	close(here);
}

const struct posix_case cases_open[] = {
	{ "open: flags by kind", flags, 0 },
	{ "open: slashes at the end", slashes, 0 },
	{ "open: mode and umask", mode_of_new, 0 },
	{ "open: made without rights", made_unwritable, 0 },
	{ "open: O_TRUNC", truncates, 0 },
	{ "open: openat, unlinkat", open_at, 0 },
	{ "unlink: open files live on", unlinked, 0 },
	{ "unlink: replaced by rename", replaced_while_open, 0 },
	{ "unlink: no way back", no_link_of_unlinked, 0 },
	{ "unlink: a removed directory", removed_directory, 0 },
	{ "open: text busy", text_busy, 0 },
	{ "open: by handle", handles, NEEDS_ROOT },
	{ 0 },
};
