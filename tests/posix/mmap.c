/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Mappings, shared and private, beside reads and writes. */
#include "tests/posix/posix.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#define LEN 65536

static char *map(int fd, int prot, int flags)
{
	char *p = mmap(NULL, LEN, prot, flags, fd, 0);

	if (p == MAP_FAILED)
		give_up("mmap");
	return p;
}

static int fresh(void)
{
	uint8_t data[LEN];
	int fd = (int)OK(open("file", O_CREAT | O_RDWR, 0644));

	pattern(data, LEN, 6);
	write_all(fd, data, LEN);
	return fd;
}

static void shared(void)
{
	int fd = fresh();
	char *p = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED), *q = map(fd, PROT_READ, MAP_SHARED), got[16];

	memcpy(p + 5000, "by the mapping", 14);
	EQUAL(pread(fd, got, 14, 5000), 14);
	CHECK(memcmp(got, "by the mapping", 14) == 0);
	CHECK(memcmp(q + 5000, "by the mapping", 14) == 0);
	OK(pwrite(fd, "by a write", 10, 9000));
	CHECK(memcmp(p + 9000, "by a write", 10) == 0);
	OK(msync(p, LEN, MS_SYNC));
	OK(munmap(p, LEN));
	OK(munmap(q, LEN));
	OK(fsync(fd));
	close(fd);
	fd = (int)OK(open("file", O_RDONLY));
	EQUAL(pread(fd, got, 14, 5000), 14);
	CHECK(memcmp(got, "by the mapping", 14) == 0);
	close(fd);
}

static void private(void)
{
	int fd = fresh();
	char *p = map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE), got[8];

	memcpy(p, "mine", 4);
	EQUAL(pread(fd, got, 4, 0), 4);
	CHECK(memcmp(got, "mine", 4) != 0);
	OK(pwrite(fd, "theirs", 6, 8192)); /* a page not copied yet shows what the file holds */
	CHECK(memcmp(p + 8192, "theirs", 6) == 0);
	CHECK(memcmp(p, "mine", 4) == 0);
	munmap(p, LEN);
	close(fd);
}

/* A mapping outlives its descriptor and the name. */
static void outlives(void)
{
	int fd = fresh();
	char *p = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);

	close(fd);
	OK(unlink("file"));
	memcpy(p + 100, "still here", 10);
	OK(msync(p, LEN, MS_SYNC));
	CHECK(memcmp(p + 100, "still here", 10) == 0);
	munmap(p, LEN);
}

static void child_writes(void *p)
{
	memcpy((char *)p + 30000, "from the child", 14);
}

static void between_processes(void)
{
	int fd = fresh();
	char *p = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED), got[16];

	in_child(child_writes, p);
	CHECK(memcmp(p + 30000, "from the child", 14) == 0);
	EQUAL(pread(fd, got, 14, 30000), 14);
	CHECK(memcmp(got, "from the child", 14) == 0);
	munmap(p, LEN);
	close(fd);
}

static sigjmp_buf back;

static void on_bus(int number)
{
	(void)number;
	siglongjmp(back, 1);
}

/* Beyond the last page there is nothing to touch, and what was cut off does not come back. */
static void beyond_the_end(void)
{
	int fd = fresh(), hit = 0;
	volatile char *p = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
	char got[100];

	signal(SIGBUS, on_bus);
	OK(ftruncate(fd, 5000));
	if (sigsetjmp(back, 1) == 0)
		p[20000] = 'x';
	else
		hit = 1;
	EQUAL(hit, 1);
	for (int i = 5000; i < 8192; i++)
		CHECK(p[i] == 0);
	OK(ftruncate(fd, 6000));
	EQUAL(pread(fd, got, 100, 5000), 100);
	CHECK(all_zero(got, 100));
	munmap((void *)(uintptr_t)p, LEN);
	close(fd);
}

static int try_map(int fd, int prot, int flags)
{
	void *p = mmap(NULL, LEN, prot, flags, fd, 0);

	return p == MAP_FAILED ? -1 : munmap(p, LEN);
}

static void rights(void)
{
	int fd = fresh(), ro, wo;

	close(fd);
	ro = (int)OK(open("file", O_RDONLY));
	wo = (int)OK(open("file", O_WRONLY));
	FAILS(EACCES, try_map(ro, PROT_WRITE, MAP_SHARED));
	FAILS(EACCES, try_map(wo, PROT_READ, MAP_PRIVATE));
	OK(try_map(ro, PROT_READ | PROT_WRITE, MAP_PRIVATE));
	close(ro);
	close(wo);
}

/* A page that was punched out under a mapping reads zeros through it. */
static void punched(void)
{
	int fd = fresh();
	char *p = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);

	CHECK(!all_zero(p + 8192, 4096));
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 4096));
	CHECK(all_zero(p + 8192, 4096));
	p[8200] = 'x';
	OK(msync(p, LEN, MS_SYNC));
	munmap(p, LEN);
	close(fd);
}

const struct posix_case cases_mmap[] = {
	{ "mmap: shared", shared, 0 },
	{ "mmap: private", private, 0 },
	{ "mmap: outlives descriptor and name", outlives, 0 },
	{ "mmap: between processes", between_processes, 0 },
	{ "mmap: beyond the end", beyond_the_end, 0 },
	{ "mmap: rights", rights, 0 },
	{ "mmap: punched", punched, 0 },
	{ 0 },
};
