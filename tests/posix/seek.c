/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SEEK_DATA and SEEK_HOLE, to the page. */
#include "tests/posix/posix.h"

#define KIB 1024
#define MIB (1024 * KIB)

static void expect(int fd, int whence, off_t from, off_t wanted)
{
	context("%s from %lld", whence == SEEK_DATA ? "data" : "hole", (long long)from);
	if (wanted < 0)
		FAILS(ENXIO, lseek(fd, from, whence));
	else
		EQUAL(lseek(fd, from, whence), wanted);
	context(NULL);
}

static int sparse(void)
{
	uint8_t data[4 * KIB];
	int fd = (int)OK(open("file", O_CREAT | O_RDWR, 0644));

	pattern(data, sizeof(data), 1);
	OK(pwrite(fd, data, sizeof(data), 0));
	OK(pwrite(fd, data, sizeof(data), 1 * MIB));
	OK(pwrite(fd, data, sizeof(data), 9 * MIB));
	OK(ftruncate(fd, 10 * MIB));
	return fd;
}

static void look(int fd)
{
	static const struct {
		int whence;
		off_t from, wanted;
	} rows[] = {
		{ SEEK_DATA, 0, 0 },
		{ SEEK_DATA, 100, 100 },
		{ SEEK_HOLE, 0, 4 * KIB },
		{ SEEK_HOLE, 100, 4 * KIB },
		{ SEEK_DATA, 4 * KIB, 1 * MIB },
		{ SEEK_DATA, 1 * MIB + 1, 1 * MIB + 1 },
		{ SEEK_HOLE, 1 * MIB, 1 * MIB + 4 * KIB },
		{ SEEK_HOLE, 5 * MIB, 5 * MIB },
		{ SEEK_DATA, 5 * MIB, 9 * MIB },
		{ SEEK_DATA, 9 * MIB + 4 * KIB, -1 },
		{ SEEK_HOLE, 9 * MIB, 9 * MIB + 4 * KIB },
		{ SEEK_HOLE, 9 * MIB + 4 * KIB, 9 * MIB + 4 * KIB },
		{ SEEK_DATA, 10 * MIB, -1 },
		{ SEEK_HOLE, 10 * MIB, -1 },
		{ SEEK_HOLE, 11 * MIB, -1 },
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		expect(fd, rows[i].whence, rows[i].from, rows[i].wanted);
}

static void written(void)
{
	int fd = sparse();

	look(fd);
	OK(fsync(fd));
	look(fd);
	close(fd);
	fd = (int)OK(open("file", O_RDONLY));
	look(fd);
	close(fd);
}

static void punched(void)
{
	uint8_t *data = room(1 * MIB);
	int fd = (int)OK(open("file", O_CREAT | O_RDWR, 0644));

	pattern(data, 1 * MIB, 2);
	write_all(fd, data, 1 * MIB);
	expect(fd, SEEK_HOLE, 0, 1 * MIB);
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 64 * KIB, 64 * KIB));
	expect(fd, SEEK_HOLE, 0, 64 * KIB);
	expect(fd, SEEK_DATA, 64 * KIB, 128 * KIB);
	expect(fd, SEEK_HOLE, 128 * KIB, 1 * MIB);
	OK(fsync(fd));
	expect(fd, SEEK_HOLE, 0, 64 * KIB);
	expect(fd, SEEK_DATA, 64 * KIB, 128 * KIB);
	close(fd);
	free(data);
}

static void edges(void)
{
	int fd = (int)OK(open("file", O_CREAT | O_RDWR, 0644));

	expect(fd, SEEK_DATA, 0, -1);
	expect(fd, SEEK_HOLE, 0, -1);
	OK(write(fd, "text", 4));
	expect(fd, SEEK_DATA, 0, 0);
	expect(fd, SEEK_HOLE, 0, 4);
	expect(fd, SEEK_HOLE, 3, 4);
	expect(fd, SEEK_DATA, 4, -1);
	OK(ftruncate(fd, 3 * MIB));
	expect(fd, SEEK_HOLE, 0, 4 * KIB);
	expect(fd, SEEK_DATA, 4 * KIB, -1);
	FAILS(ENXIO, lseek(fd, -1, SEEK_DATA));
	close(fd);
}

const struct posix_case cases_seek[] = {
	{ "seek: data and holes", written, 0 },
	{ "seek: punched holes", punched, 0 },
	{ "seek: edges", edges, 0 },
	{ 0 },
};
