/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flock and record locks. */
#include "tests/posix/posix.h"

#include <sys/file.h>

static struct flock range(short type, off_t start, off_t len)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
}

static int lock(int fd, int command, short type, off_t start, off_t len)
{
	struct flock l = range(type, start, len);

	return fcntl(fd, command, &l);
}

static void whole_files(void)
{
	int a, b;

	make_file("file", 0644, "");
	a = (int)OK(open("file", O_RDWR));
	b = (int)OK(open("file", O_RDWR));
	OK(flock(a, LOCK_SH));
	OK(flock(b, LOCK_SH | LOCK_NB));
	FAILS(EWOULDBLOCK, flock(a, LOCK_EX | LOCK_NB));
	OK(flock(b, LOCK_UN));
	OK(flock(a, LOCK_EX | LOCK_NB));
	FAILS(EWOULDBLOCK, flock(b, LOCK_SH | LOCK_NB));
	OK(lock(b, F_SETLK, F_WRLCK, 0, 0)); /* the two kinds know nothing of each other */
	close(a);
	OK(flock(b, LOCK_EX | LOCK_NB));
	close(b);
}

struct gate {
	int ready[2], go[2];
};

static void lock_child(void *arg)
{
	struct gate *g = arg;
	int fd = (int)OK(open("file", O_RDWR));
	char byte;

	OK(lock(fd, F_SETLK, F_WRLCK, 100, 50));
	OK(write(g->ready[1], "r", 1));
	OK(read(g->go[0], &byte, 1));
	close(fd);
}

/* Between processes; a waiter is woken by the close of the holder. */
static void records(void)
{
	struct gate g;
	struct flock l;
	char byte;
	pid_t pid;
	int fd;

	make_file("file", 0644, "");
	OK(pipe(g.ready));
	OK(pipe(g.go));
	pid = start_child(lock_child, &g);
	OK(read(g.ready[0], &byte, 1));
	fd = (int)OK(open("file", O_RDWR));
	FAILS(EAGAIN, lock(fd, F_SETLK, F_WRLCK, 120, 1));
	FAILS(EAGAIN, lock(fd, F_SETLK, F_RDLCK, 0, 0));
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 100));
	OK(lock(fd, F_SETLK, F_WRLCK, 150, 0));
	l = range(F_WRLCK, 90, 100);
	OK(fcntl(fd, F_GETLK, &l));
	EQUAL(l.l_type, F_WRLCK);
	EQUAL(l.l_pid, pid);
	EQUAL(l.l_start, 100);
	EQUAL(l.l_len, 50);
	OK(write(g.go[1], "g", 1));
	OK(lock(fd, F_SETLKW, F_WRLCK, 100, 50));
	join_child(pid);
	close(fd);
}

/* Locks of an open file description, which threads and libraries use. */
static void descriptions(void)
{
	int a, b, c;

	make_file("file", 0644, "");
	a = (int)OK(open("file", O_RDWR));
	b = (int)OK(open("file", O_RDWR));
	c = (int)OK(dup(a));
	OK(lock(a, F_OFD_SETLK, F_WRLCK, 0, 10));
	FAILS(EAGAIN, lock(b, F_OFD_SETLK, F_RDLCK, 5, 1));
	close(a); /* its copy keeps the lock */
	FAILS(EAGAIN, lock(b, F_OFD_SETLK, F_RDLCK, 5, 1));
	close(c);
	OK(lock(b, F_OFD_SETLK, F_RDLCK, 5, 1));
	close(b);
}

static void rights(void)
{
	int ro, wo;

	make_file("file", 0644, "");
	ro = (int)OK(open("file", O_RDONLY));
	wo = (int)OK(open("file", O_WRONLY));
	FAILS(EBADF, lock(ro, F_SETLK, F_WRLCK, 0, 1));
	FAILS(EBADF, lock(wo, F_SETLK, F_RDLCK, 0, 1));
	FAILS(EINVAL, lock(ro, F_SETLK, F_RDLCK, -5, 1));
	OK(flock(ro, LOCK_EX));
	FAILS(EINVAL, flock(ro, 77));
	close(ro);
	close(wo);
}

static void leases(void)
{
	int fd;

	make_file("file", 0644, "");
	fd = (int)OK(open("file", O_RDONLY));
	EQUAL(fcntl(fd, F_GETLEASE), F_UNLCK);
	close(fd);
}

const struct posix_case cases_lock[] = {
	{ "lock: whole files", whole_files, 0 },
	{ "lock: records", records, 0 },
	{ "lock: open file descriptions", descriptions, 0 },
	{ "lock: rights", rights, 0 },
	{ "lock: leases", leases, 0 },
	{ 0 },
};
