/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stat, statx and statvfs: sizes that du and df can trust. */
#include "tests/posix/posix.h"

#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#define MIB (1 << 20)

static void write_file(const char *path, size_t len)
{
	uint8_t *data = room(len);
	int fd = (int)OK(open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644));

	pattern(data, len, len);
	write_all(fd, data, len);
	OK(fsync(fd));
	close(fd);
	free(data);
}

static void blocks(void)
{
	static const size_t sizes[] = { 0, 1, 4096, 4097, 100000, MIB, 5 * MIB + 1 };
	blkcnt_t least;

	for (size_t i = 0; i < COUNT(sizes); i++) {
		context("size %zu", sizes[i]);
		write_file("file", sizes[i]);
		least = (blkcnt_t)((sizes[i] + 511) / 512);
		EQUAL(stat_of("file").st_size, sizes[i]);
		CHECK(stat_of("file").st_blocks >= least);
		CHECK(stat_of("file").st_blocks <= least + 64);
	}
	context(NULL);
	OK(truncate("file", MIB));
	CHECK(stat_of("file").st_blocks <= 2 * MIB / 512);
	OK(truncate("file", 0));
	EQUAL(stat_of("file").st_blocks, 0);
	OK(truncate("file", 64 * MIB));
	CHECK(stat_of("file").st_blocks <= 16);
	CHECK(stat_of("file").st_blksize >= 512);
}

static void blocks_of_holes(void)
{
	int fd = (int)OK(open("file", O_CREAT | O_RDWR, 0644));

	OK(pwrite(fd, "x", 1, 64 * MIB));
	OK(fsync(fd));
	close(fd);
	CHECK(stat_of("file").st_blocks >= 1);
	CHECK(stat_of("file").st_blocks <= 128);
	write_file("full", 8 * MIB);
	fd = (int)OK(open("full", O_RDWR));
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MIB, 6 * MIB));
	close(fd);
	CHECK(stat_of("full").st_blocks >= 2 * MIB / 512);
	CHECK(stat_of("full").st_blocks <= 2 * MIB / 512 + 64);
	EQUAL(stat_of("full").st_size, 8 * MIB);
}

static struct statx statx_of(const char *path, unsigned mask)
{
	struct statx stx = { 0 };

	OK(statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, mask, &stx));
	return stx;
}

static bool is_between(struct statx_timestamp t, struct timespec from, struct timespec to)
{
	struct timespec at = { t.tv_sec, t.tv_nsec };

	return time_compare(at, from) >= 0 && time_compare(at, to) <= 0;
}

static void birth(void)
{
	static const char kinds[] = "fdlp";
	struct timespec from, to, old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	struct statx stx, later;
	char name[2] = "";

	for (size_t k = 0; kinds[k]; k++) {
		context("%c", kinds[k]);
		name[0] = kinds[k];
		clock_gettime(CLOCK_REALTIME_COARSE, &from);
		make_kind(name, kinds[k]);
		clock_gettime(CLOCK_REALTIME, &to);
		stx = statx_of(name, STATX_BASIC_STATS | STATX_BTIME);
		CHECK(stx.stx_mask & STATX_BTIME);
		CHECK(is_between(stx.stx_btime, from, to));
		tick();
		OK(utimensat(AT_FDCWD, name, old, AT_SYMLINK_NOFOLLOW));
		OK(rename(name, "moved"));
		later = statx_of("moved", STATX_BTIME);
		EQUAL(later.stx_btime.tv_nsec, stx.stx_btime.tv_nsec);
		EQUAL(later.stx_btime.tv_sec, stx.stx_btime.tv_sec);
		OK(rename("moved", name));
	}
}

static void statx_agrees(void)
{
	struct statx stx;
	struct stat st;

	write_file("file", 12345);
	OK(chmod("file", 0640));
	stx = statx_of("file", STATX_BASIC_STATS | STATX_BTIME);
	st = stat_of("file");
	EQUAL(stx.stx_size, st.st_size);
	EQUAL(stx.stx_ino, st.st_ino);
	EQUAL(stx.stx_mode, st.st_mode);
	EQUAL(stx.stx_nlink, st.st_nlink);
	EQUAL(stx.stx_uid, st.st_uid);
	EQUAL(stx.stx_gid, st.st_gid);
	EQUAL(stx.stx_blocks, st.st_blocks);
	EQUAL(stx.stx_mtime.tv_sec, st.st_mtim.tv_sec);
	EQUAL(stx.stx_mtime.tv_nsec, st.st_mtim.tv_nsec);
	EQUAL(makedev(stx.stx_dev_major, stx.stx_dev_minor), st.st_dev);
}

static void space(void)
{
	struct statvfs fs;
	int fd = (int)OK(open(".", O_RDONLY));

	OK(statvfs(".", &fs));
	EQUAL(fs.f_namemax, 255);
	CHECK(fs.f_bsize >= 512 && fs.f_frsize >= 512);
	CHECK(fs.f_bavail <= fs.f_bfree && fs.f_bfree <= fs.f_blocks);
	CHECK(fs.f_ffree <= fs.f_files && fs.f_favail <= fs.f_ffree);
	CHECK(fs.f_bavail > 0 && fs.f_favail > 0);
	OK(fstatvfs(fd, &fs));
	close(fd);
}

const struct posix_case cases_stat[] = {
	{ "stat: blocks", blocks, 0 },
	{ "stat: blocks of holes", blocks_of_holes, 0 },
	{ "stat: birth time", birth, 0 },
	{ "stat: statx agrees", statx_agrees, 0 },
	{ "stat: statvfs", space, 0 },
	{ 0 },
};
