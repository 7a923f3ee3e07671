/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who may do what: every mode by every relation to the file. */
#include "tests/posix/posix.h"

#include <dirent.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

/* The file belongs to Ann and SHARED_GID: Bob has that group as a supplementary one, Cleo as her own. */
static const struct {
	enum who who;
	int shift;
} relations[] = { { ANN, 6 }, { BOB, 3 }, { CLEO, 3 } };

static void expect(bool may, long rc)
{
	int error = rc < 0 ? errno : 0;

	if (rc >= 0)
		close((int)rc);
	EQUAL(error, may ? 0 : EACCES);
}

static void files(void)
{
	make_owned("file", 0, ANN_ID, SHARED_GID);
	for (size_t r = 0; r < COUNT(relations); r++) {
		for (mode_t mode = 0; mode <= 7; mode++) {
			mode_t others = ~(07u << relations[r].shift) & 0777; /* only the bits that count, count */

			be(ROOT);
			OK(chmod("file", mode << relations[r].shift | (mode & 1 ? others : 0)));
			be(relations[r].who);
			context("user %d, mode %o", relations[r].who, stat_of("file").st_mode & 0777);
			expect(mode & 4, open("file", O_RDONLY));
			expect(mode & 2, open("file", O_WRONLY));
			expect((mode & 6) == 6, open("file", O_RDWR));
			expect(mode & 2, open("file", O_WRONLY | O_TRUNC));
			expect(mode & 4,
				faccessat(AT_FDCWD, "file", R_OK, AT_EACCESS) ? -1 : open("/dev/null", O_RDONLY));
			expect(mode & 2, truncate("file", 0) ? -1 : open("/dev/null", O_RDONLY));
		}
	}
}

static void others(void)
{
	make_owned("file", 0, BOB_ID, BOB_ID);
	for (mode_t mode = 0; mode <= 7; mode++) {
		be(ROOT);
		OK(chmod("file", 0770 | mode));
		be(ANN);
		context("mode %o", mode);
		expect(mode & 4, open("file", O_RDONLY));
		expect(mode & 2, open("file", O_WRONLY));
	}
	be(ROOT);
	OK(chmod("file", 0));
	close((int)OK(open("file", O_RDWR)));
}

static void exec_child(void *path)
{
	char *argv[] = { path, NULL };

	execve(path, argv, environ);
	_exit(errno);
}

static int exec_error(const char *path)
{
	pid_t pid = start_child(exec_child, (void *)(uintptr_t)path);
	int status;

	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static void execution(void)
{
	make_file("script", 0644, "#!/bin/true\n");
	EQUAL(exec_error("./script"), EACCES); /* root too needs one x */
	OK(chown("script", BOB_ID, SHARED_GID));
	OK(chmod("script", 0754));
	be(ANN);
	EQUAL(exec_error("./script"), EACCES);
	be(BOB);
	EQUAL(exec_error("./script"), 0);
	be(CLEO);
	EQUAL(exec_error("./script"), 0);
	be(ROOT);
	EQUAL(exec_error("./script"), 0);
}

static int list(const char *path)
{
	DIR *dir = opendir(path);

	if (!dir)
		return -1;
	closedir(dir);
	return open("/dev/null", O_RDONLY);
}

static int look(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? -1 : open("/dev/null", O_RDONLY);
}

static void reset_dir(void)
{
	be(ROOT);
	OK(chmod("dir", 0777));
	remove_kind("dir/new");
	if (!there("dir/old"))
		make_file("dir/old", 0666, "");
}

static void directories(void)
{
	make_dir("dir", 0);
	OK(chown("dir", ANN_ID, SHARED_GID));
	for (size_t r = 0; r < COUNT(relations); r++) {
		for (mode_t mode = 0; mode <= 7; mode++) {
			bool search = mode & 1, change = (mode & 3) == 3;

			reset_dir();
			OK(chmod("dir", mode << relations[r].shift));
			be(relations[r].who);
			context("user %d, mode %o", relations[r].who, mode);
			expect(mode & 4, list("dir"));
			expect(search, look("dir/old"));
			expect(search, open("dir/old", O_RDWR));
			expect(change, open("dir/new", O_CREAT | O_WRONLY, 0644));
			expect(change, unlink("dir/old") ? -1 : open("/dev/null", O_RDONLY));
		}
	}
	reset_dir();
}

/* A group that is taken away is missed at once. */
static void rights_change(void)
{
	make_owned("file", 0640, 0, SHARED_GID);
	be(BOB);
	close((int)OK(open("file", O_RDONLY)));
	be(ROOT);
	OK(chown("file", 0, ANN_ID));
	be(BOB);
	FAILS(EACCES, open("file", O_RDONLY));
	be(ANN);
	close((int)OK(open("file", O_RDONLY)));
}

const struct posix_case cases_permission[] = {
	{ "permission: files", files, NEEDS_ROOT },
	{ "permission: others and root", others, NEEDS_ROOT },
	{ "permission: execution", execution, NEEDS_ROOT },
	{ "permission: directories", directories, NEEDS_ROOT },
	{ "permission: groups change", rights_change, NEEDS_ROOT },
	{ 0 },
};
