/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mkdir, rmdir, and reading directories. */
#include "tests/posix/posix.h"

#include <dirent.h>

#define MANY 1500

static void removal(void)
{
	int here;

	make_dir("d", 0755);
	make_dir("d/e", 0755);
	make_file("d/f", 0644, "");
	FAILS(ENOTEMPTY, rmdir("d"));
	FAILS(EINVAL, rmdir("d/."));
	FAILS(ENOTEMPTY, rmdir("d/e/.."));
	FAILS(EISDIR, unlink("d/e"));
	OK(unlink("d/f"));
	FAILS(ENOTEMPTY, rmdir("d"));
	OK(rmdir("d/e"));
	here = (int)OK(open(".", O_RDONLY));
	OK(chdir("d"));
	OK(rmdir("../d"));
	FAILS(ENOENT, mkdir("x", 0755));
	FAILS(ENOENT, open("x", O_CREAT | O_WRONLY, 0644));
	OK(fchdir(here));
	close(here);
	CHECK(!there("d"));
}

static void group_of_new(void)
{
	make_dir("plain", 0777);
	make_dir("setgid", 02777);
	OK(chown("setgid", 0, SHARED_GID));
	OK(chmod("setgid", 02777));
	be(ANN);
	make_file("plain/f", 0644, "");
	make_file("setgid/f", 0644, "");
	OK(mkdir("setgid/d", 0755));
	OK(mkdir("setgid/d/e", 0755));
	OK(mkfifo("setgid/p", 0644));
	OK(symlink("x", "setgid/l"));
	be(ROOT);
	EQUAL(stat_of("plain/f").st_gid, ANN_ID);
	EQUAL(stat_of("setgid/f").st_gid, SHARED_GID);
	EQUAL(stat_of("setgid/f").st_uid, ANN_ID);
	EQUAL(stat_of("setgid/f").st_mode, S_IFREG | 0644);
	EQUAL(stat_of("setgid/p").st_gid, SHARED_GID);
	EQUAL(stat_of("setgid/l").st_gid, SHARED_GID);
	EQUAL(stat_of("setgid/d").st_gid, SHARED_GID);
	EQUAL(stat_of("setgid/d").st_mode, S_IFDIR | 02755);
	EQUAL(stat_of("setgid/d/e").st_mode, S_IFDIR | 02755);
	EQUAL(stat_of("setgid/d/e").st_gid, SHARED_GID);
}

/* A file that is to run as a group its maker is not in is made without the bit. */
static void setgid_of_new(void)
{
	int fd;

	make_dir("dir", 0777);
	OK(chown("dir", 0, SHARED_GID));
	OK(chmod("dir", 02777));
	be(ANN);
	fd = (int)OK(open("dir/ann", O_CREAT | O_WRONLY, 02775));
	close(fd);
	be(BOB);
	fd = (int)OK(open("dir/bob", O_CREAT | O_WRONLY, 02775));
	close(fd);
	be(ROOT);
	EQUAL(stat_of("dir/ann").st_mode, S_IFREG | 0775);
	EQUAL(stat_of("dir/bob").st_mode, S_IFREG | 02775);
}

static void times(void)
{
	static const char kinds[] = "fdlps";
	struct stat before;

	for (size_t i = 0; kinds[i]; i++) {
		context("%c", kinds[i]);
		before = stat_of(".");
		tick();
		make_kind("x", kinds[i]);
		EQUAL(time_compare(stat_of(".").st_mtim, before.st_mtim), 1);
		EQUAL(time_compare(stat_of(".").st_ctim, before.st_ctim), 1);
		before = stat_of(".");
		tick();
		remove_kind("x");
		EQUAL(time_compare(stat_of(".").st_mtim, before.st_mtim), 1);
		EQUAL(time_compare(stat_of(".").st_ctim, before.st_ctim), 1);
	}
}

/* ---- reading --------------------------------------------------------------------------------------------------------
 */

static void fill(int count)
{
	char name[32];

	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "name-%d", i);
		close((int)OK(open(name, O_CREAT | O_WRONLY, 0644)));
	}
}

static void types(void)
{
	static const char kinds[] = "fdlps";
	static const unsigned char wanted[] = { DT_REG, DT_DIR, DT_LNK, DT_FIFO, DT_SOCK };
	char name[2] = "";
	struct dirent *e;
	DIR *dir;
	int seen = 0, dots = 0;

	for (size_t i = 0; kinds[i]; i++) {
		name[0] = kinds[i];
		make_kind(name, kinds[i]);
	}
	dir = opendir(".");
	while ((e = readdir(dir))) {
		const char *at = strchr(kinds, e->d_name[0]);

		EQUAL(e->d_ino, strcmp(e->d_name, "..") == 0 ? e->d_ino : stat_of(e->d_name).st_ino);
		if (e->d_name[0] == '.') {
			dots++;
			EQUAL(e->d_type, DT_DIR);
		} else if (at) {
			seen++;
			EQUAL(e->d_type, wanted[at - kinds]);
		}
	}
	EQUAL(dots, 2);
	EQUAL(seen, 5);
	closedir(dir);
}

/* Every position told is found again, also when names came and went. */
static void positions(void)
{
	long *at = room((MANY + 2) * sizeof(*at));
	char(*names)[32] = room((MANY + 2) * sizeof(*names));
	DIR *dir = opendir(".");
	struct dirent *e;
	int n = 0;

	fill(MANY);
	rewinddir(dir);
	for (at[0] = telldir(dir); n < MANY + 2 && (e = readdir(dir)); at[n] = telldir(dir)) {
		snprintf(names[n++], sizeof(names[0]), "%.31s", e->d_name);
		if (n == MANY + 2)
			break;
	}
	EQUAL(n, MANY + 2);
	close((int)OK(open("later", O_CREAT | O_WRONLY, 0644)));
	for (int i = n - 1; i >= 0; i -= 7) {
		context("position %d", i);
		seekdir(dir, at[i]);
		e = readdir(dir);
		TEXT(e ? e->d_name : "", names[i]);
	}
	closedir(dir);
	free(at);
	free(names);
}

static int index_of(const char *name)
{
	return strncmp(name, "name-", 5) == 0 ? atoi(name + 5) : -1;
}

/* What is there all the time is listed once, whatever is made and removed meanwhile. */
static void changing(void)
{
	int *seen = room(MANY * sizeof(*seen)), n = 0, i;
	DIR *dir = opendir(".");
	struct dirent *e;
	char name[32];

	fill(MANY);
	rewinddir(dir);
	while ((e = readdir(dir))) {
		i = index_of(e->d_name);
		if (i >= 0)
			seen[i]++;
		if (++n % 3 != 0)
			continue;
		snprintf(name, sizeof(name), "extra-%d", n);
		close((int)OK(open(name, O_CREAT | O_WRONLY, 0644)));
		if (n % 6 == 0 && i >= 0 && i % 2 == 0)
			OK(unlink(e->d_name));
		if (n > 3 * MANY)
			break;
	}
	for (i = 0; i < MANY; i++) {
		context("name-%d", i);
		EQUAL(seen[i], 1);
	}
	closedir(dir);
	free(seen);
}

/* rm -r: every name is removed as it is read. */
static void removed_while_read(void)
{
	DIR *dir = opendir(".");
	struct dirent *e;
	int n = 0;

	fill(MANY);
	rewinddir(dir);
	while ((e = readdir(dir)))
		if (e->d_name[0] == 'n' && OK(unlink(e->d_name)) == 0)
			n++;
	closedir(dir);
	EQUAL(n, MANY);
	dir = opendir(".");
	for (n = 0; readdir(dir);)
		n++;
	EQUAL(n, 2);
	closedir(dir);
}

static void rewound(void)
{
	DIR *dir = opendir(".");
	int n = 0;

	make_file("a", 0644, "");
	while (readdir(dir))
		n++;
	make_file("b", 0644, "");
	rewinddir(dir);
	for (n = 0; readdir(dir);)
		n++;
	EQUAL(n, 4);
	closedir(dir);
}

const struct posix_case cases_dir[] = {
	{ "dir: removal", removal, 0 },
	{ "dir: group of what is made", group_of_new, NEEDS_ROOT },
	{ "dir: set-group-id of what is made", setgid_of_new, NEEDS_ROOT },
	{ "dir: times", times, 0 },
	{ "dir: types and numbers", types, 0 },
	{ "dir: telldir and seekdir", positions, 0 },
	{ "dir: read while it changes", changing, 0 },
	{ "dir: removed while it is read", removed_while_read, 0 },
	{ "dir: rewinddir", rewound, 0 },
	{ 0 },
};
