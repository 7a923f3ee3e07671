/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fallocate in every mode, and where data and holes are. */
#include "tests/posix/posix.h"

#include <sys/statvfs.h>

#define KEEP	 1
#define PUNCH	 2
#define COLLAPSE 8
#define ZERO	 16
#define INSERT	 32
#define SIZE	 100000

static int fresh(uint8_t *data, size_t len)
{
	int fd = (int)OK(open("file", O_CREAT | O_RDWR | O_TRUNC, 0644));

	pattern(data, len, 11);
	write_all(fd, data, len);
	return fd;
}

static const struct row {
	int mode;
	off_t off, len;
	off_t size; /* afterwards */
	bool zeroes;
} rows[] = {
	{ 0, 0, 1000, SIZE, false },
	{ 0, SIZE - 10, 10, SIZE, false },
	{ 0, SIZE - 10, 5000, SIZE + 4990, false },
	{ 0, SIZE + 100000, 1, SIZE + 100001, false },
	{ KEEP, 0, 2 * SIZE, SIZE, false },
	{ KEEP, SIZE + 5, 10, SIZE, false },
	{ PUNCH | KEEP, 0, SIZE, SIZE, true },
	{ PUNCH | KEEP, 0, 1, SIZE, true },
	{ PUNCH | KEEP, 100, 50, SIZE, true },
	{ PUNCH | KEEP, 4096, 4096, SIZE, true },
	{ PUNCH | KEEP, 4000, 9000, SIZE, true },
	{ PUNCH | KEEP, SIZE - 1, 1, SIZE, true },
	{ PUNCH | KEEP, SIZE - 1, 100000, SIZE, true },
	{ PUNCH | KEEP, SIZE + 10, 100000, SIZE, true },
	{ ZERO, 0, 5000, SIZE, true },
	{ ZERO, 4096, 8192, SIZE, true },
	{ ZERO, SIZE - 1000, 3000, SIZE + 2000, true },
	{ ZERO | KEEP, SIZE - 1000, 3000, SIZE, true },
	{ ZERO | KEEP, 10, 30, SIZE, true },
};

static void check_row(const struct row *r, bool synced)
{
	uint8_t *data = room(3 * SIZE), *got = room(3 * SIZE);
	int fd = fresh(data, SIZE);

	context("mode %d, %lld for %lld%s", r->mode, (long long)r->off, (long long)r->len, synced ? ", synced" : "");
	if (synced)
		OK(fsync(fd));
	memset(data + SIZE, 0, 2 * SIZE);
	if (r->zeroes && r->off < r->size)
		memset(data + r->off, 0, (size_t)(r->off + r->len < r->size ? r->len : r->size - r->off));
	OK(fallocate(fd, r->mode, r->off, r->len));
	EQUAL(stat_fd(fd).st_size, r->size);
	EQUAL(pread(fd, got, 3 * SIZE, 0), r->size);
	CHECK(memcmp(data, got, (size_t)r->size) == 0);
	OK(fsync(fd));
	close(fd);
	EQUAL(stat_of("file").st_size, r->size);
	free(data);
	free(got);
}

static void modes(void)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		check_row(&rows[i], false);
		check_row(&rows[i], true);
	}
}

static void errors(void)
{
	uint8_t data[100];
	int fd = fresh(data, 100), dir = (int)OK(open(".", O_RDONLY)), pipe;

	FAILS(EINVAL, fallocate(fd, 0, 0, 0));
	FAILS(EINVAL, fallocate(fd, 0, 0, -1));
	FAILS(EINVAL, fallocate(fd, 0, -1, 10));
	FAILS(EOPNOTSUPP, fallocate(fd, PUNCH, 0, 10));
	FAILS(EOPNOTSUPP, fallocate(fd, 1 << 20, 0, 10));
	FAILS(EFBIG, fallocate(fd, 0, INT64_MAX - 10, 100));
	make_kind("pipe", 'p');
	pipe = (int)OK(open("pipe", O_RDWR));
	FAILS(ESPIPE, fallocate(pipe, 0, 0, 10));
	EQUAL(posix_fallocate(fd, 0, 5000), 0);
	EQUAL(stat_fd(fd).st_size, 5000);
	EQUAL(posix_fallocate(fd, 0, 0), EINVAL);
	EQUAL(posix_fallocate(fd, -1, 10), EINVAL);
	close(fd);
	close(dir);
	close(pipe);
}

/* Done rightly, or refused so that programs do it themselves. */
static void moving_modes(void)
{
	uint8_t data[65536], got[65536 * 2];
	int fd = fresh(data, sizeof(data));

	if (fallocate(fd, COLLAPSE, 8192, 16384) == 0) {
		EQUAL(pread(fd, got, sizeof(got), 0), sizeof(data) - 16384);
		CHECK(memcmp(got, data, 8192) == 0);
		CHECK(memcmp(got + 8192, data + 24576, sizeof(data) - 24576) == 0);
	} else {
		EQUAL(errno, EOPNOTSUPP);
	}
	close(fd);
	fd = fresh(data, sizeof(data));
	if (fallocate(fd, INSERT, 8192, 16384) == 0) {
		EQUAL(pread(fd, got, sizeof(got), 0), sizeof(data) + 16384);
		CHECK(all_zero(got + 8192, 16384));
		CHECK(memcmp(got + 24576, data + 8192, sizeof(data) - 8192) == 0);
	} else {
		EQUAL(errno, EOPNOTSUPP);
	}
	close(fd);
}

/* What is set aside counts at once; it is zeros, and a hole to SEEK_DATA. */
static const struct aside {
	off_t written;
	int mode;
	off_t off, len;
	off_t size, bytes; /* afterwards; allocated */
} asides[] = {
	{ 0, 0, 0, 65536, 65536, 65536 },
	{ 0, 0, 4095, 2, 4097, 8192 },
	{ 0, 0, 4096, 4097, 8193, 8192 },
	{ 0, KEEP, 0, 65536, 0, 65536 },
	{ 0, KEEP, 1 << 20, 1, 0, 4096 },
	{ 0, 0, 10 << 20, 9 << 20, 19 << 20, 9 << 20 },
	{ 100, 0, 0, 4096, 4096, 4096 },
	{ 100, KEEP, 4096, 4096, 100, 8192 },
	{ 65536, 0, 4096, 16384, 65536, 65536 },
	{ 65536, 0, 0, 131072, 131072, 131072 },
	{ 65536, KEEP, 0, 131072, 65536, 131072 },
	{ 65536, ZERO, 4096, 8192, 65536, 65536 },
	{ 65536, ZERO, 0, 131072, 131072, 131072 },
	{ 65536, ZERO | KEEP, 0, 131072, 65536, 131072 },
};

static void check_aside(const struct aside *r)
{
	uint8_t *data = room(65536), got[4096];
	int fd = fresh(data, (size_t)r->written);
	off_t from = r->written > r->off && !(r->mode & ZERO) ? r->written : r->off;

	context("%lld written, mode %d, %lld for %lld", (long long)r->written, r->mode, (long long)r->off,
		(long long)r->len);
	OK(fsync(fd));
	OK(fallocate(fd, r->mode, r->off, r->len));
	EQUAL(stat_fd(fd).st_size, r->size);
	EQUAL(stat_fd(fd).st_blocks * 512, r->bytes);
	OK(fsync(fd));
	EQUAL(stat_fd(fd).st_blocks * 512, r->bytes);
	if (from % 4096 == 0 && from < r->size && r->off + r->len == r->size) {
		FAILS(ENXIO, lseek(fd, from, SEEK_DATA));
		EQUAL(lseek(fd, from, SEEK_HOLE), from);
		CHECK(pread(fd, got, sizeof(got), from) > 0 && all_zero(got, 1));
	}
	close(fd);
	EQUAL(stat_of("file").st_blocks * 512, r->bytes);
	free(data);
}

static void set_aside(void)
{
	for (size_t i = 0; i < COUNT(asides); i++)
		check_aside(&asides[i]);
}

/* Writing into it takes no more; punching and truncating, to the same size too, give it back. */
static void aside_used(void)
{
	uint8_t data[8192];
	int fd = fresh(data, 0);

	pattern(data, sizeof(data), 3);
	OK(fallocate(fd, 0, 0, 65536));
	EQUAL(pwrite(fd, data, 8192, 16384), 8192);
	OK(fsync(fd));
	EQUAL(stat_fd(fd).st_blocks * 512, 65536);
	EQUAL(lseek(fd, 0, SEEK_DATA), 16384);
	EQUAL(lseek(fd, 16384, SEEK_HOLE), 24576);
	OK(fallocate(fd, PUNCH | KEEP, 0, 16384));
	EQUAL(stat_fd(fd).st_blocks * 512, 49152);
	OK(ftruncate(fd, 32768));
	EQUAL(stat_fd(fd).st_blocks * 512, 16384);
	OK(fallocate(fd, KEEP, 32768, 32768));
	OK(fsync(fd));
	EQUAL(stat_fd(fd).st_blocks * 512, 49152);
	EQUAL(pwrite(fd, data, 4096, 32768), 4096);
	OK(fsync(fd));
	EQUAL(stat_fd(fd).st_size, 36864);
	EQUAL(stat_fd(fd).st_blocks * 512, 49152);
	OK(ftruncate(fd, 36864));
	EQUAL(stat_fd(fd).st_blocks * 512, 20480);
	OK(ftruncate(fd, 0));
	EQUAL(stat_fd(fd).st_blocks, 0);
	close(fd);
}

/* Room that is not there is not promised. */
static void no_room(void)
{
	uint8_t data[1];
	int fd = fresh(data, 1);
	struct statvfs fs;
	uint64_t room;

	OK(statvfs(".", &fs));
	room = (uint64_t)fs.f_bfree * fs.f_frsize;
	FAILS(ENOSPC, fallocate(fd, 0, 0, (off_t)(room + room / 2)));
	FAILS(ENOSPC, fallocate(fd, KEEP, 0, (off_t)(room + room / 2)));
	EQUAL(posix_fallocate(fd, 0, (off_t)(room + room / 2)), ENOSPC);
	CHECK(stat_fd(fd).st_size <= (off_t)(room + room / 2));
	OK(ftruncate(fd, 1));
	close(fd);
}

const struct posix_case cases_fallocate[] = {
	{ "fallocate: modes", modes, 0 },
	{ "fallocate: errors", errors, 0 },
	{ "fallocate: collapse and insert", moving_modes, 0 },
	{ "fallocate: set aside", set_aside, 0 },
	{ "fallocate: set aside and used", aside_used, 0 },
	{ "fallocate: no room", no_room, 0 },
	{ 0 },
};
