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
	{ "fallocate: no room", no_room, 0 },
	{ 0 },
};
