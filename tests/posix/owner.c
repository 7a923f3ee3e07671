/* SPDX-License-Identifier: GPL-3.0-or-later */
/* chmod, chown, and the bits that let a program run as another: who may set them, and what clears them. */
#include "tests/posix/posix.h"

#include <sys/mman.h>
#include <sys/xattr.h>

static void modes(void)
{
	static const mode_t rows[] = { 0, 0777, 0111, 0644, 01644, 02755, 04755, 06711, 07777, 0400 };

	make_file("file", 0644, "");
	make_dir("dir", 0755);
	for (size_t i = 0; i < COUNT(rows); i++) {
		context("%04o", rows[i]);
		OK(chmod("file", rows[i]));
		EQUAL(stat_of("file").st_mode, S_IFREG | rows[i]);
		OK(chmod("dir", rows[i]));
		EQUAL(stat_of("dir").st_mode, S_IFDIR | rows[i]);
	}
	OK(chmod("dir", 0755));
}

static void chmod_times(void)
{
	struct stat before;

	make_file("file", 0644, "");
	before = stat_of("file");
	tick();
	OK(chmod("file", 0600));
	EQUAL(time_compare(stat_of("file").st_ctim, before.st_ctim), 1);
	EQUAL(time_compare(stat_of("file").st_mtim, before.st_mtim), 0);
	before = stat_of("file");
	tick();
	OK(chown("file", (uid_t)-1, getegid()));
	EQUAL(time_compare(stat_of("file").st_ctim, before.st_ctim), 1);
	EQUAL(time_compare(stat_of("file").st_mtim, before.st_mtim), 0);
}

static void chmod_by_whom(void)
{
	make_owned("file", 0666, BOB_ID, BOB_ID);
	be(ANN);
	FAILS(EPERM, chmod("file", 0644));
	be(BOB);
	OK(chmod("file", 01644));
	EQUAL(stat_of("file").st_mode, S_IFREG | 01644);
	OK(chmod("file", 06755));
	EQUAL(stat_of("file").st_mode, S_IFREG | 06755);
	be(ROOT);
	OK(chown("file", BOB_ID, ANN_ID));
	be(BOB); /* not one of that group */
	OK(chmod("file", 02755));
	EQUAL(stat_of("file").st_mode, S_IFREG | 0755);
	be(ROOT);
	OK(chmod("file", 02755));
	EQUAL(stat_of("file").st_mode, S_IFREG | 02755);
}

static void chmod_through_symlink(void)
{
	make_file("file", 0644, "");
	OK(symlink("file", "link"));
	OK(chmod("link", 0600));
	EQUAL(stat_of("file").st_mode, S_IFREG | 0600);
	EQUAL(stat_of("link").st_mode, S_IFLNK | 0777);
	OK(lchown("link", (uid_t)-1, (gid_t)-1));
}

/* ---- chown ---------------------------------------------------------------------------------------------------------
 */

static void chown_by_whom(void)
{
	make_owned("file", 0644, BOB_ID, BOB_ID);
	be(ANN);
	FAILS(EPERM, chown("file", ANN_ID, (gid_t)-1));
	FAILS(EPERM, chown("file", (uid_t)-1, ANN_ID));
	be(BOB);
	FAILS(EPERM, chown("file", ANN_ID, (gid_t)-1));
	FAILS(EPERM, chown("file", (uid_t)-1, ANN_ID));
	OK(chown("file", BOB_ID, SHARED_GID));
	EQUAL(stat_of("file").st_gid, SHARED_GID);
	OK(chown("file", (uid_t)-1, (gid_t)-1));
	be(ROOT);
	OK(chown("file", ANN_ID, (gid_t)-1));
	EQUAL(stat_of("file").st_uid, ANN_ID);
	EQUAL(stat_of("file").st_gid, SHARED_GID);
	OK(chown("file", (uid_t)-1, 4294967294u));
	EQUAL(stat_of("file").st_gid, 4294967294u);
	OK(symlink("file", "link"));
	OK(lchown("link", BOB_ID, BOB_ID));
	EQUAL(stat_of("link").st_uid, BOB_ID);
	EQUAL(stat_of("file").st_uid, ANN_ID);
	OK(chown("link", CLEO_ID, (gid_t)-1));
	EQUAL(stat_of("file").st_uid, CLEO_ID);
}

static void chown_clears(void)
{
	static const struct {
		enum who who;
		mode_t before, after;
	} rows[] = {
		{ BOB, 06755, 0755 }, { BOB, 04755, 0755 }, { BOB, 04644, 0644 }, { BOB, 01755, 01755 },
		{ ROOT, 06755, 0755 }, { ROOT, 04711, 0711 }, { ROOT, 02755, 0755 }, { ROOT, 02745, 02745 },
		{ BOB, 02745, 02745 }, /* no set-group-id but a mark for locking */
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		context("user %d, mode %04o", rows[i].who, rows[i].before);
		make_owned("file", rows[i].before, BOB_ID, BOB_ID);
		be(rows[i].who);
		OK(chown("file", (uid_t)-1, SHARED_GID));
		EQUAL(stat_of("file").st_mode, S_IFREG | rows[i].after);
		be(ROOT);
		OK(unlink("file"));
	}
	context(NULL);
	make_dir("dir", 0755);
	OK(chmod("dir", 07755));
	OK(chown("dir", BOB_ID, BOB_ID));
	EQUAL(stat_of("dir").st_mode, S_IFDIR | 07755);
}

/* ---- what writing clears -------------------------------------------------------------------------------------------
 */

static void way_write(int fd)
{
	OK(write(fd, "x", 1));
}

static void way_pwrite_far(int fd)
{
	OK(pwrite(fd, "x", 1, 100000));
}

static void way_ftruncate(int fd)
{
	OK(ftruncate(fd, 1));
}

static void way_truncate(int fd)
{
	(void)fd;
	OK(truncate("file", 3));
}

static void way_fallocate(int fd)
{
	OK(fallocate(fd, 0, 0, 8192));
}

static void way_mmap(int fd)
{
	char *p;

	OK(ftruncate(fd, 4096));
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	p[0] = 'x';
	OK(munmap(p, 4096));
}

static void way_open_truncating(int fd)
{
	(void)fd;
	close((int)OK(open("file", O_WRONLY | O_TRUNC)));
}

static void way_copy(int fd)
{
	int from = (int)OK(open("other", O_RDONLY));

	OK(copy_file_range(from, NULL, fd, NULL, 4, 0));
	close(from);
}

static void way_direct(int fd)
{
	void *block;
	int direct = (int)OK(open("file", O_WRONLY | O_DIRECT));

	(void)fd;
	if (posix_memalign(&block, 4096, 4096))
		give_up("memory");
	memset(block, 'x', 4096);
	EQUAL(write(direct, block, 4096), 4096);
	close(direct);
	free(block);
}

static const struct {
	const char *name;
	void (*fn)(int fd);
} ways[] = {
	{ "write", way_write },
	{ "pwrite", way_pwrite_far },
	{ "ftruncate", way_ftruncate },
	{ "truncate", way_truncate },
	{ "fallocate", way_fallocate },
	{ "mmap", way_mmap },
	{ "O_TRUNC", way_open_truncating },
	{ "copy_file_range", way_copy },
	{ "O_DIRECT", way_direct },
};

static void way_clears_of(size_t way, enum who who, gid_t gid, mode_t before, mode_t after)
{
	int fd;

	context("%s, user %d, group %u, mode %04o", ways[way].name, who, (unsigned)gid, before);
	make_owned("file", before, BOB_ID, gid);
	be(who);
	fd = (int)OK(open("file", O_RDWR));
	ways[way].fn(fd);
	EQUAL(stat_fd(fd).st_mode, S_IFREG | after);
	close(fd);
	EQUAL(stat_of("file").st_mode, S_IFREG | after);
	be(ROOT);
	OK(unlink("file"));
}

static void way_clears(size_t way, enum who who, mode_t before, mode_t after)
{
	way_clears_of(way, who, BOB_ID, before, after);
}

static void writing_clears(void)
{
	make_file("other", 0644, "other");
	for (size_t i = 0; i < COUNT(ways); i++) {
		way_clears(i, BOB, 06777, 0777);
		way_clears(i, BOB, 04755, 0755);
		way_clears(i, BOB, 01777, 01777);
		way_clears(i, ROOT, 06777, 06777);
	}
}

/* Where the group may not execute, who is in it leaves set-group-id, by whichever of his groups. */
static void writing_clears_group(void)
{
	make_file("other", 0644, "other");
	for (size_t i = 0; i < COUNT(ways); i++) {
		way_clears_of(i, BOB, BOB_ID, 06666, 02666);
		way_clears_of(i, BOB, SHARED_GID, 06666, 02666);
		way_clears_of(i, CLEO, SHARED_GID, 06666, 02666);
		way_clears_of(i, CLEO, BOB_ID, 06666, 0666);
		way_clears_of(i, ANN, SHARED_GID, 06767, 0767);
		way_clears_of(i, ROOT, SHARED_GID, 06666, 06666);
	}
}

/* struct vfs_cap_data, revision 2: cap_chown */
static const unsigned char capability[20] = { 1, 0, 0, 2, 1 };

static void writing_clears_capabilities(void)
{
	int fd;

	make_file("other", 0644, "other");
	for (size_t i = 0; i < COUNT(ways); i++) {
		context("%s", ways[i].name);
		make_owned("file", 0777, BOB_ID, BOB_ID);
		OK(setxattr("file", "security.capability", capability, sizeof(capability), 0));
		be(BOB);
		fd = (int)OK(open("file", O_RDWR));
		ways[i].fn(fd);
		close(fd);
		be(ROOT);
		FAILS(ENODATA, getxattr("file", "security.capability", NULL, 0));
		OK(unlink("file"));
	}
	context("chown");
	make_file("file", 0777, "");
	OK(setxattr("file", "security.capability", capability, sizeof(capability), 0));
	OK(chown("file", BOB_ID, BOB_ID));
	FAILS(ENODATA, getxattr("file", "security.capability", NULL, 0));
}

const struct posix_case cases_owner[] = {
	{ "chmod: modes", modes, NEEDS_ROOT },
	{ "chmod: times", chmod_times, 0 },
	{ "chmod: by whom", chmod_by_whom, NEEDS_ROOT },
	{ "chmod: through a symlink", chmod_through_symlink, 0 },
	{ "chown: by whom", chown_by_whom, NEEDS_ROOT },
	{ "chown: clears set-id bits", chown_clears, NEEDS_ROOT },
	{ "owner: writing clears set-id bits", writing_clears, NEEDS_ROOT },
	{ "owner: writing clears set-group-id of others", writing_clears_group, NEEDS_ROOT },
	{ "owner: writing clears capabilities", writing_clears_capabilities, NEEDS_ROOT },
	{ 0 },
};
