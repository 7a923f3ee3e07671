/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Times: their range, who may set them, what moves them. */
#include "tests/posix/posix.h"

#include <dirent.h>
#include <sys/mman.h>

static void values(void)
{
	static const int64_t seconds[] = { -2147483647, -86400, -1, 0, 1, 2147483647, 2147483648, 4294967296,
		7258118400, 15032385534 }; /* 1901-12-13 to 2446-05-10 */
	static const long ns[] = { 0, 1, 999, 500000000, 999999999 };
	static const char kinds[] = "fdlps";
	char name[2] = "";

	for (size_t k = 0; kinds[k]; k++) {
		name[0] = kinds[k];
		make_kind(name, kinds[k]);
		for (size_t i = 0; i < COUNT(seconds) * COUNT(ns); i++) {
			struct timespec at = { seconds[i / COUNT(ns)], ns[i % COUNT(ns)] };
			struct timespec times[2] = { at, { seconds[COUNT(seconds) - 1 - i / COUNT(ns)], 7 } };

			context("%c, %lld.%09ld", kinds[k], (long long)at.tv_sec, at.tv_nsec);
			OK(utimensat(AT_FDCWD, name, times, AT_SYMLINK_NOFOLLOW));
			EQUAL(time_compare(stat_of(name).st_atim, times[0]), 0);
			EQUAL(time_compare(stat_of(name).st_mtim, times[1]), 0);
		}
	}
}

static void special_values(void)
{
	struct timespec set[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000 } }, now;
	struct stat before, after;
	int fd;

	make_file("file", 0644, "");
	OK(utimensat(AT_FDCWD, "file", set, 0));
	before = stat_of("file");
	tick();
	set[0].tv_nsec = set[1].tv_nsec = UTIME_OMIT;
	OK(utimensat(AT_FDCWD, "file", set, 0));
	EQUAL(time_compare(stat_of("file").st_ctim, before.st_ctim), 0);
	EQUAL(stat_of("file").st_atim.tv_sec, 1000);
	set[0].tv_nsec = UTIME_NOW;
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	OK(utimensat(AT_FDCWD, "file", set, 0));
	after = stat_of("file");
	CHECK(time_compare(after.st_atim, now) >= 0);
	EQUAL(after.st_mtim.tv_sec, 2000);
	EQUAL(time_compare(after.st_ctim, before.st_ctim), 1);
	set[0].tv_nsec = 1000000000;
	FAILS(EINVAL, utimensat(AT_FDCWD, "file", set, 0));
	set[0].tv_nsec = -1;
	FAILS(EINVAL, utimensat(AT_FDCWD, "file", set, 0));
	FAILS(EINVAL, utimensat(AT_FDCWD, "file", NULL, 0x40000));
	fd = (int)OK(open("file", O_RDONLY));
	OK(futimens(fd, NULL));
	CHECK(stat_fd(fd).st_mtim.tv_sec > 2000);
	close(fd);
}

static void by_whom(void)
{
	struct timespec set[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000 } };
	struct timespec one[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_OMIT } };

	make_owned("read", 0644, BOB_ID, BOB_ID);
	make_owned("write", 0666, BOB_ID, BOB_ID);
	be(ANN);
	FAILS(EACCES, utimensat(AT_FDCWD, "read", NULL, 0));
	FAILS(EPERM, utimensat(AT_FDCWD, "read", set, 0));
	OK(utimensat(AT_FDCWD, "write", NULL, 0));
	FAILS(EPERM, utimensat(AT_FDCWD, "write", set, 0));
	FAILS(EPERM, utimensat(AT_FDCWD, "write", one, 0));
	be(BOB);
	OK(utimensat(AT_FDCWD, "read", set, 0));
	OK(utimensat(AT_FDCWD, "read", one, 0));
	be(ROOT);
	OK(utimensat(AT_FDCWD, "read", set, 0));
}

/* A time that was set stays when the file is closed, however it was written before. */
static void set_after_write(void)
{
	struct timespec set[2] = { { .tv_sec = 1000, .tv_nsec = 1 }, { .tv_sec = 2000, .tv_nsec = 2 } };
	int fd = (int)OK(open("file", O_CREAT | O_WRONLY, 0644));

	OK(write(fd, "text", 4));
	OK(futimens(fd, set));
	EQUAL(time_compare(stat_fd(fd).st_mtim, set[1]), 0);
	OK(fsync(fd));
	close(fd);
	EQUAL(time_compare(stat_of("file").st_mtim, set[1]), 0);
	EQUAL(time_compare(stat_of("file").st_atim, set[0]), 0);
}

static void writes_move(void)
{
	struct stat before, after;
	int fd = (int)OK(open("file", O_CREAT | O_RDWR, 0644));

	before = stat_fd(fd);
	tick();
	OK(write(fd, "x", 1));
	after = stat_fd(fd);
	EQUAL(time_compare(after.st_mtim, before.st_mtim), 1);
	EQUAL(time_compare(after.st_ctim, before.st_ctim), 1);
	tick();
	OK(fsync(fd));
	close(fd);
	EQUAL(time_compare(stat_of("file").st_mtim, after.st_mtim), 0);
	tick();
	OK(truncate("file", 100));
	EQUAL(time_compare(stat_of("file").st_mtim, after.st_mtim), 1);
}

static void mapping_moves(void)
{
	int fd = (int)OK(open("file", O_CREAT | O_RDWR, 0644));
	struct stat before;
	char *p;

	OK(ftruncate(fd, 4096));
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	before = stat_fd(fd);
	tick();
	p[10] = 'x';
	OK(msync(p, 4096, MS_SYNC));
	EQUAL(time_compare(stat_fd(fd).st_mtim, before.st_mtim), 1);
	munmap(p, 4096);
	close(fd);
}

static void failures_move_nothing(void)
{
	struct stat before, after, dir;

	make_file("file", 0644, "");
	make_dir("dir", 0755);
	make_file("dir/x", 0644, "");
	before = stat_of("file");
	dir = stat_of("dir");
	tick();
	FAILS(ENOTDIR, rmdir("file"));
	FAILS(EEXIST, link("dir/x", "file"));
	FAILS(EEXIST, mkdir("dir/x", 0755));
	FAILS(ENOTEMPTY, rmdir("dir"));
	FAILS(EISDIR, rename("file", "dir"));
	FAILS(EINVAL, truncate("file", -1));
	after = stat_of("file");
	EQUAL(time_compare(after.st_ctim, before.st_ctim), 0);
	EQUAL(time_compare(after.st_mtim, before.st_mtim), 0);
	EQUAL(time_compare(stat_of("dir").st_mtim, dir.st_mtim), 0);
	EQUAL(time_compare(stat_of("dir").st_ctim, dir.st_ctim), 0);
}

/* What make relies on: what is done later has no earlier time, whichever way it is done. */
static void in_order(void)
{
	struct timespec last = { 0 }, at;
	char name[32];
	int fd;

	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "%d", i);
		context("step %d, way %d", i, i % 4);
		if (i % 4 == 0)
			make_dir(name, 0755);
		else if (i % 4 == 1)
			make_file(name, 0644, "written");
		else if (i % 4 == 2)
			OK(symlink("x", name));
		else if ((fd = (int)OK(open("1", O_WRONLY))) >= 0) {
			OK(write(fd, "again", 5));
			close(fd);
			snprintf(name, sizeof(name), "1");
		}
		at = stat_of(name).st_mtim;
		CHECK(time_compare(at, last) >= 0);
		last = at;
	}
}

/* Every time of a new file is the same moment, not before it was asked for. */
static void new_times(void)
{
	static const char kinds[] = "fdlps";
	struct timespec now;
	char name[2] = "";
	struct stat st;

	for (size_t k = 0; kinds[k]; k++) {
		context("%c", kinds[k]);
		name[0] = kinds[k];
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
		make_kind(name, kinds[k]);
		st = stat_of(name);
		CHECK(time_compare(st.st_atim, now) >= 0);
		CHECK(time_compare(st.st_mtim, now) >= 0);
		CHECK(time_compare(st.st_ctim, now) >= 0);
		clock_gettime(CLOCK_REALTIME, &now);
		CHECK(time_compare(st.st_ctim, now) <= 0);
	}
}

/* ---- the time of access ------------------------------------------------------------------------------------------ */

static void read_kind(const char *path, char kind, int flags)
{
	char buf[64];
	DIR *dir;
	int fd;

	if (kind == 'l') {
		OK(readlink(path, buf, sizeof(buf)));
	} else if (kind == 'd') {
		if (!(dir = opendir(path)))
			give_up(path);
		while (readdir(dir))
			;
		closedir(dir);
	} else {
		fd = (int)OK(open(path, O_RDONLY | flags));
		OK(read(fd, buf, sizeof(buf)));
		close(fd);
	}
}

static void change_kind(const char *path, char kind)
{
	int fd;

	if (kind == 'd') {
		OK(mkdirat(AT_FDCWD, "d/new", 0755));
		return;
	}
	fd = (int)OK(open(path, O_WRONLY | O_APPEND));
	OK(write(fd, "more", 4));
	close(fd);
}

/* As relatime: the first read after a change, and no other. */
static void reading_moves(void)
{
	static const char kinds[] = "fdl";
	struct stat before, after;
	char name[2] = "";

	for (size_t k = 0; kinds[k]; k++) {
		context("%c", kinds[k]);
		name[0] = kinds[k];
		make_kind(name, kinds[k]);
		before = stat_of(name);
		tick();
		EQUAL(time_compare(stat_of(name).st_atim, before.st_atim), 0);
		read_kind(name, kinds[k], 0);
		after = stat_of(name);
		EQUAL(time_compare(after.st_atim, before.st_atim), 1);
		EQUAL(time_compare(after.st_mtim, before.st_mtim), 0);
		EQUAL(time_compare(after.st_ctim, before.st_ctim), 0);
		tick();
		read_kind(name, kinds[k], 0);
		EQUAL(time_compare(stat_of(name).st_atim, after.st_atim), 0);
		if (kinds[k] == 'l')
			continue;
		change_kind(name, kinds[k]);
		EQUAL(time_compare(stat_of(name).st_atim, after.st_atim), 0);
		tick();
		read_kind(name, kinds[k], 0);
		EQUAL(time_compare(stat_of(name).st_atim, after.st_atim), 1);
	}
}

static void reading_leaves(void)
{
	struct timespec set[2] = { { .tv_sec = time(NULL) + 1000 }, { .tv_sec = 2000 } };
	struct stat before;
	char *p;
	int fd;

	make_file("file", 0644, "a few bytes");
	before = stat_of("file");
	tick();
	read_kind("file", 'f', O_NOATIME);
	EQUAL(time_compare(stat_of("file").st_atim, before.st_atim), 0);
	fd = (int)OK(open("file", O_WRONLY));
	OK(pwrite(fd, "x", 1, 3));
	OK(fsync(fd));
	close(fd);
	EQUAL(time_compare(stat_of("file").st_atim, before.st_atim), 0);
	OK(utimensat(AT_FDCWD, "file", set, 0));
	read_kind("file", 'f', 0);
	EQUAL(stat_of("file").st_atim.tv_sec, set[0].tv_sec);
	set[0].tv_sec = 1000;
	OK(utimensat(AT_FDCWD, "file", set, 0));
	fd = (int)OK(open("file", O_RDONLY));
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(p[3] == 'x');
	CHECK(stat_fd(fd).st_atim.tv_sec > 1000);
	munmap(p, 4096);
	close(fd);
}

const struct posix_case cases_times[] = {
	{ "times: 1901 to 2446, with nanoseconds", values, 0 },
	{ "times: now, omit, bad", special_values, 0 },
	{ "times: by whom", by_whom, NEEDS_ROOT },
	{ "times: set after writing", set_after_write, 0 },
	{ "times: writing moves them", writes_move, 0 },
	{ "times: a mapping moves them", mapping_moves, 0 },
	{ "times: failures move none", failures_move_nothing, 0 },
	{ "times: in order", in_order, 0 },
	{ "times: of what is new", new_times, 0 },
	{ "times: reading moves the access", reading_moves, NEEDS_RELATIME },
	{ "times: reading that moves nothing", reading_leaves, NEEDS_RELATIME },
	{ 0 },
};
