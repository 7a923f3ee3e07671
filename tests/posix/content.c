/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading and writing: sizes, appending, O_DIRECT, copying, limits. */
#include "tests/posix/posix.h"

#include <linux/aio_abi.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define MIB	  (1 << 20)
#define APPENDERS 4
#define RECORDS	  400
#define RECORD	  97

static uint8_t data[5 * MIB], got[5 * MIB]; /* a case is a process: each has its own */

/* ---- sizes ---------------------------------------------------------------------------------------------------------
 */

static void truncation(void)
{
	static const off_t sizes[] = { 1, 4095, 4096, 4097, 8192, 8193, 100000, 4194303, 4194304, 4194305, 5000000 };
	int fd = (int)OK(open("file", O_CREAT | O_RDWR, 0644));

	pattern(data, 5 * MIB, 3);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		context("to %lld", (long long)sizes[i]);
		OK(pwrite(fd, data, 5 * MIB, 0));
		if (i % 2)
			OK(fsync(fd));
		OK(ftruncate(fd, sizes[i]));
		EQUAL(stat_fd(fd).st_size, sizes[i]);
		OK(ftruncate(fd, 5 * MIB));
		EQUAL(pread(fd, got, 5 * MIB, 0), 5 * MIB);
		CHECK(memcmp(data, got, (size_t)sizes[i]) == 0);
		CHECK(all_zero(got + sizes[i], (size_t)(5 * MIB - sizes[i])));
	}
	close(fd);
}

static void truncation_errors(void)
{
	make_file("file", 0644, "text");
	make_dir("dir", 0755);
	make_kind("pipe", 'p');
	FAILS(EINVAL, truncate("file", -1));
	FAILS(EISDIR, truncate("dir", 0));
	FAILS(EINVAL, truncate("pipe", 0));
	CHECK(content_is("file", "text"));
}

static void gaps(void)
{
	int fd = (int)OK(open("file", O_CREAT | O_RDWR, 0644));

	OK(pwrite(fd, "a", 1, 0));
	OK(pwrite(fd, "b", 1, 15000));
	EQUAL(pread(fd, got, 20000, 0), 15001);
	CHECK(got[0] == 'a' && got[15000] == 'b' && all_zero(got + 1, 14999));
	EQUAL(pread(fd, got, 10, 15001), 0);
	EQUAL(pread(fd, got, 10, 1 << 30), 0);
	OK(write(fd, "", 0));
	EQUAL(lseek(fd, 0, SEEK_END), 15001);
	EQUAL(lseek(fd, 5, SEEK_END), 15006);
	EQUAL(stat_fd(fd).st_size, 15001);
	close(fd);
}

static void vectors(void)
{
	struct iovec out[3] = { { (void *)(uintptr_t) "one", 3 }, { NULL, 0 }, { (void *)(uintptr_t) "two", 3 } };
	char a[2], b[10] = "";
	struct iovec in[2] = { { a, 2 }, { b, 9 } };
	int fd = (int)OK(open("file", O_CREAT | O_RDWR, 0644));

	EQUAL(writev(fd, out, 3), 6);
	EQUAL(preadv(fd, in, 2, 0), 6);
	TEXT(b, "etwo");
	close(fd);
}

/* ---- appending -----------------------------------------------------------------------------------------------------
 */

static void append_child(void *arg)
{
	int fd = (int)OK(open("file", O_WRONLY | O_APPEND));
	char record[RECORD];

	memset(record, *(char *)arg, RECORD - 1);
	record[RECORD - 1] = '\n';
	for (int i = 0; i < RECORDS; i++)
		EQUAL(write(fd, record, RECORD), RECORD);
	close(fd);
}

static void check_records(const char *all)
{
	int counts[APPENDERS] = { 0 };

	for (size_t i = 0; i < (size_t)APPENDERS * RECORDS; i++) {
		const char *record = all + i * RECORD;

		context("record %zu", i);
		CHECK(record[RECORD - 1] == '\n' && memcmp(record, record + 1, RECORD - 2) == 0);
		if (record[0] >= 'a' && record[0] < 'a' + APPENDERS)
			counts[record[0] - 'a']++;
	}
	for (int i = 0; i < APPENDERS; i++)
		EQUAL(counts[i], RECORDS);
}

static void appending(void)
{
	static char names[] = "abcd";
	char *all = room(APPENDERS * RECORDS * RECORD + 1);
	pid_t pids[APPENDERS];
	int fd;

	make_file("file", 0644, "");
	for (int i = 0; i < APPENDERS; i++)
		pids[i] = start_child(append_child, &names[i]);
	for (int i = 0; i < APPENDERS; i++)
		join_child(pids[i]);
	fd = (int)OK(open("file", O_RDONLY));
	EQUAL(read(fd, all, APPENDERS * RECORDS * RECORD + 1), APPENDERS * RECORDS * RECORD);
	check_records(all);
	close(fd);
	free(all);
}

/* O_APPEND wins over a seek and over pwrite's place. */
static void append_wins(void)
{
	int fd;

	make_file("file", 0644, "start");
	fd = (int)OK(open("file", O_RDWR | O_APPEND));
	EQUAL(lseek(fd, 0, SEEK_SET), 0);
	OK(write(fd, "-a", 2));
	EQUAL(lseek(fd, 0, SEEK_CUR), 7);
	OK(pwrite(fd, "-b", 2, 0));
	close(fd);
	CHECK(content_is("file", "start-a-b"));
}

/* ---- O_DIRECT ------------------------------------------------------------------------------------------------------
 */

static void direct(void)
{
	int buffered = (int)OK(open("file", O_CREAT | O_RDWR, 0644)), fd = (int)OK(open("file", O_RDWR | O_DIRECT));
	uint8_t *a, *b;

	if (posix_memalign((void **)&a, 4096, MIB) || posix_memalign((void **)&b, 4096, MIB))
		give_up("memory");
	pattern(a, MIB, 1);
	EQUAL(write(fd, a, MIB), MIB);
	EQUAL(pread(buffered, b, MIB, 0), MIB);
	CHECK(memcmp(a, b, MIB) == 0);
	pattern(a, 8192, 2);
	EQUAL(pwrite(buffered, a, 8192, 4096), 8192);
	EQUAL(pread(fd, b, 8192, 4096), 8192);
	CHECK(memcmp(a, b, 8192) == 0);
	pattern(a, 4096, 3);
	EQUAL(pwrite(fd, a, 4096, 4096), 4096);
	EQUAL(pread(buffered, b, 4096, 4096), 4096);
	CHECK(memcmp(a, b, 4096) == 0);
	EQUAL(pread(fd, b, MIB, MIB - 4096), 4096);
	EQUAL(pread(fd, b, 4096, MIB), 0);
	close(fd);
	close(buffered);
	free(a);
	free(b);
}

/* ---- copying -------------------------------------------------------------------------------------------------------
 */

static void copying(void)
{
	int in = (int)OK(open("in", O_CREAT | O_RDWR, 0644)), out = (int)OK(open("out", O_CREAT | O_RDWR, 0644));
	off_t from = 0, to = 0;
	ssize_t n;

	pattern(data, 3 * MIB, 9);
	write_all(in, data, 3 * MIB);
	while ((n = OK(copy_file_range(in, &from, out, &to, 3 * MIB, 0))) > 0)
		;
	EQUAL(from, 3 * MIB);
	EQUAL(to, 3 * MIB);
	EQUAL(pread(out, got, 3 * MIB, 0), 3 * MIB);
	CHECK(memcmp(data, got, 3 * MIB) == 0);
	from = 100, to = 7777;
	EQUAL(copy_file_range(in, &from, out, &to, 5000, 0), 5000);
	EQUAL(pread(out, got, 5000, 7777), 5000);
	CHECK(memcmp(data + 100, got, 5000) == 0);
	EQUAL(lseek(in, 0, SEEK_SET), 0);
	EQUAL(lseek(out, 0, SEEK_SET), 0);
	EQUAL(sendfile(out, in, NULL, 4000), 4000);
	EQUAL(lseek(in, 0, SEEK_CUR), 4000);
	from = 3 * MIB;
	EQUAL(copy_file_range(in, &from, out, NULL, 10, 0), 0);
	close(in);
	close(out);
}

static void copying_inside(void)
{
	int fd = (int)OK(open("file", O_CREAT | O_RDWR, 0644));
	off_t from = 0, to = 20000;

	pattern(data, 40000, 4);
	write_all(fd, data, 40000);
	EQUAL(copy_file_range(fd, &from, fd, &to, 20000, 0), 20000);
	EQUAL(pread(fd, got, 20000, 20000), 20000);
	CHECK(memcmp(data, got, 20000) == 0);
	from = 0, to = 10;
	FAILS(EINVAL, copy_file_range(fd, &from, fd, &to, 100, 0));
	close(fd);
}

static void copying_errors(void)
{
	int in, out, dir, append;

	make_file("in", 0644, "text");
	make_file("out", 0644, "");
	in = (int)OK(open("in", O_RDONLY));
	out = (int)OK(open("out", O_WRONLY));
	append = (int)OK(open("out", O_WRONLY | O_APPEND));
	dir = (int)OK(open(".", O_RDONLY));
	FAILS(EBADF, copy_file_range(out, NULL, out, NULL, 4, 0));
	FAILS(EBADF, copy_file_range(in, NULL, in, NULL, 4, 0));
	FAILS(EBADF, copy_file_range(in, NULL, append, NULL, 4, 0));
	FAILS(EISDIR, copy_file_range(dir, NULL, out, NULL, 4, 0));
	FAILS(EINVAL, copy_file_range(in, NULL, out, NULL, 4, 1));
	close(in);
	close(out);
	close(append);
	close(dir);
}

/* ---- limits --------------------------------------------------------------------------------------------------------
 */

static void size_limit(void)
{
	struct rlimit limit = { 10000, RLIM_INFINITY };
	int fd = (int)OK(open("file", O_CREAT | O_RDWR, 0644));

	signal(SIGXFSZ, SIG_IGN);
	OK(setrlimit(RLIMIT_FSIZE, &limit));
	EQUAL(pwrite(fd, data, 100, 9950), 50);
	FAILS(EFBIG, pwrite(fd, data, 100, 10000));
	FAILS(EFBIG, ftruncate(fd, 10001));
	OK(ftruncate(fd, 10000));
	close(fd);
}

static void too_large(void)
{
	int fd = (int)OK(open("file", O_CREAT | O_RDWR, 0644));

	FAILS(EFBIG, ftruncate(fd, INT64_MAX - 4096));
	FAILS(EFBIG, fallocate(fd, 0, INT64_MAX - 4096, 4096));
	EQUAL(stat_fd(fd).st_size, 0);
	close(fd);
}

/* ---- direct writes that end later, beside readers of the page cache -----------------------------------------------
 */

#define ROUNDS 60

static void read_on(void *arg)
{
	int fd = (int)OK(open("file", O_RDONLY));

	(void)arg;
	for (size_t i = 0; !there("stop"); i = (i + 1) % 16)
		OK(pread(fd, got, MIB / 16, (off_t)(i * MIB / 16)));
	close(fd);
}

static void write_later(aio_context_t io, int fd, uint8_t *buf)
{
	struct iocb request = { .aio_fildes = (uint32_t)fd,
		.aio_lio_opcode = IOCB_CMD_PWRITE,
		.aio_buf = (uintptr_t)buf,
		.aio_nbytes = MIB };
	struct iocb *list[1] = { &request };
	struct io_event event = { 0 };

	EQUAL(OK(syscall(SYS_io_submit, io, 1L, list)), 1);
	EQUAL(OK(syscall(SYS_io_getevents, io, 1L, 1L, &event, NULL)), 1);
	EQUAL(event.res, MIB);
}

static void later(void)
{
	int fd = (int)OK(open("file", O_CREAT | O_RDWR | O_DIRECT, 0644)), buffered = (int)OK(open("file", O_RDONLY));
	aio_context_t io = 0;
	uint8_t *buf;
	pid_t readers[2];

	if (posix_memalign((void **)&buf, 4096, MIB) != 0)
		give_up("memory");
	OK(ftruncate(fd, MIB));
	OK(syscall(SYS_io_setup, 4L, &io));
	for (size_t i = 0; i < COUNT(readers); i++)
		readers[i] = start_child(read_on, NULL);
	for (int round = 1; round <= ROUNDS; round++) {
		context("round %d", round);
		memset(buf, round, MIB);
		write_later(io, fd, buf);
		EQUAL(OK(pread(buffered, got, MIB, 0)), MIB);
		CHECK(memcmp(got, buf, MIB) == 0);
	}
	make_file("stop", 0644, "");
	for (size_t i = 0; i < COUNT(readers); i++)
		join_child(readers[i]);
	OK(syscall(SYS_io_destroy, io));
	free(buf);
	close(buffered);
	close(fd);
}

const struct posix_case cases_content[] = {
	{ "content: truncation", truncation, 0 },
	{ "content: truncation that cannot be", truncation_errors, 0 },
	{ "content: gaps", gaps, 0 },
	{ "content: vectors", vectors, 0 },
	{ "content: many appenders", appending, 0 },
	{ "content: appending wins", append_wins, 0 },
	{ "content: O_DIRECT", direct, 0 },
	{ "content: O_DIRECT that ends later", later, 0 },
	{ "content: copy_file_range", copying, 0 },
	{ "content: copy_file_range in one file", copying_inside, 0 },
	{ "content: copy_file_range that cannot be", copying_errors, 0 },
	{ "content: limit of the process", size_limit, 0 },
	{ "content: too large", too_large, 0 },
	{ 0 },
};
