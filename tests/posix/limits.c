/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of any bytes, deep trees, many links, large files. */
#include "tests/posix/posix.h"

#include <dirent.h>

#define LINKS_MAX 65000
#define TIB	  (1ll << 40)

static bool listed(const char *name)
{
	DIR *dir = opendir(".");
	struct dirent *e;
	bool found = false;

	while (!found && (e = readdir(dir)))
		found = strcmp(e->d_name, name) == 0;
	closedir(dir);
	return found;
}

static void any_bytes(void)
{
	static const char *const more[] = { " ", "  two ", "\n", "...", "-rf", "*", "\xff\xfe", "caf\xc3\xa9",
		"cafe\xcc\x81", "\xf0\x9f\x98\x80", "NAME", "name", "nul", "a:b", "a\\b" };
	char name[3] = "x";

	for (int c = 1; c < 256; c++) {
		name[1] = (char)c;
		context("byte %d", c);
		if (c == '/')
			continue;
		make_file(name, 0644, name);
		CHECK(content_is(name, name));
	}
	for (size_t i = 0; i < COUNT(more); i++) {
		context("%s", more[i]);
		make_file(more[i], 0644, "");
		CHECK(listed(more[i]));
	}
}

static void longest_names(void)
{
	char name[257] = "";

	for (int i = 0; i < 40; i++) {
		memset(name, 'a' + i % 26, 255);
		name[254] = (char)('0' + i / 26);
		make_file(name, 0644, "");
	}
	CHECK(listed(name));
	for (int i = 0; i < 85; i++)
		memcpy(name + 3 * i, "\xe6\x96\x87", 3);
	OK(mkdir(name, 0755));
	CHECK(listed(name));
	name[255] = 'x';
	FAILS(ENAMETOOLONG, mkdir(name, 0755));
}

/* Paths of 4,095 bytes work; the tree may be deeper than any path. */
static void deep(void)
{
	char name[256] = "", path[5000] = "";
	int top = (int)OK(open(".", O_RDONLY)), depth = 0;

	memset(name, 'd', 254);
	for (; depth < 24; depth++) {
		OK(mkdir(name, 0755));
		OK(chdir(name));
	}
	OK(fchdir(top));
	while (strlen(path) + 255 <= 4080) {
		strcat(path, name);
		strcat(path, "/");
	}
	memset(path + strlen(path), 'f', 4095 - strlen(path));
	path[4095] = 0;
	make_file(path, 0644, "deep");
	CHECK(content_is(path, "deep"));
	EQUAL(strlen(path), 4095);
	OK(unlink(path));
	close(top);
}

static void many_links(void)
{
	char name[32];

	make_file("0", 0644, "");
	for (int i = 1; i < LINKS_MAX; i++) {
		snprintf(name, sizeof(name), "%d", i);
		if (link("0", name) < 0) {
			OK(-1);
			return;
		}
	}
	EQUAL(stat_of("0").st_nlink, LINKS_MAX);
	FAILS(EMLINK, link("0", "more"));
	OK(unlink("1"));
	OK(link("0", "more"));
}

static void large(void)
{
	int fd = (int)OK(open("file", O_CREAT | O_RDWR, 0644));
	char got[4096];

	OK(ftruncate(fd, TIB));
	EQUAL(stat_fd(fd).st_size, TIB);
	EQUAL(pread(fd, got, sizeof(got), TIB / 2), sizeof(got));
	CHECK(all_zero(got, sizeof(got)));
	OK(pwrite(fd, "end", 3, TIB - 3));
	OK(pwrite(fd, "middle", 6, TIB / 2 - 3));
	OK(fsync(fd));
	close(fd);
	fd = (int)OK(open("file", O_RDWR));
	EQUAL(stat_fd(fd).st_size, TIB);
	CHECK(stat_fd(fd).st_blocks < 1024);
	EQUAL(pread(fd, got, 16, TIB - 3), 3);
	CHECK(memcmp(got, "end", 3) == 0);
	EQUAL(pread(fd, got, 6, TIB / 2 - 3), 6);
	CHECK(memcmp(got, "middle", 6) == 0);
	CHECK(lseek(fd, 0, SEEK_DATA) > TIB / 2 - 5000000);
	OK(ftruncate(fd, TIB / 2));
	EQUAL(pread(fd, got, 10, TIB / 2 - 3), 3);
	close(fd);
}

/* Descriptors beyond a few hundred, all of them open and working. */
static void many_open(void)
{
	int fds[600];
	char name[32];

	for (int i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "%d", i);
		fds[i] = (int)OK(open(name, O_CREAT | O_RDWR, 0644));
	}
	for (int i = 0; i < 600; i++)
		EQUAL(write(fds[i], &i, sizeof(i)), sizeof(i));
	for (int i = 0; i < 600; i++) {
		int got = -1;

		EQUAL(pread(fds[i], &got, sizeof(got), 0), sizeof(got));
		EQUAL(got, i);
		close(fds[i]);
	}
}

const struct posix_case cases_limits[] = {
	{ "limits: names of any bytes", any_bytes, 0 },
	{ "limits: names of 255 bytes", longest_names, 0 },
	{ "limits: deep trees", deep, 0 },
	{ "limits: 65,000 links", many_links, NEEDS_TIME },
	{ "limits: 1 TiB", large, 0 },
	{ "limits: many open files", many_open, 0 },
	{ 0 },
};
