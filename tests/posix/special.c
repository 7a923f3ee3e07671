/* SPDX-License-Identifier: GPL-3.0-or-later */
/* FIFOs, sockets and devices. */
#include "tests/posix/posix.h"

#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

static void fifo_child(void *arg)
{
	int fd = (int)OK(open("pipe", O_WRONLY));

	(void)arg;
	OK(write(fd, "through", 7));
	close(fd);
}

static void fifo(void)
{
	char got[16] = "";
	pid_t pid;
	int fd;

	OK(mkfifo("pipe", 0600));
	pid = start_child(fifo_child, NULL);
	fd = (int)OK(open("pipe", O_RDONLY));
	EQUAL(read(fd, got, sizeof(got)), 7);
	TEXT(got, "through");
	EQUAL(read(fd, got, sizeof(got)), 0);
	close(fd);
	join_child(pid);
	EQUAL(stat_of("pipe").st_size, 0);
}

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	strncpy(a.sun_path, path, sizeof(a.sun_path) - 1);
	return a;
}

static void connect_child(void *arg)
{
	struct sockaddr_un a = address("socket");
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)arg;
	OK(connect(s, (struct sockaddr *)&a, sizeof(a)));
	OK(write(s, "hello", 5));
	close(s);
}

static void sockets(void)
{
	struct sockaddr_un a = address("socket");
	int s = socket(AF_UNIX, SOCK_STREAM, 0), c;
	char got[8] = "";
	pid_t pid;

	OK(bind(s, (struct sockaddr *)&a, sizeof(a)));
	OK(listen(s, 1));
	FAILS(EADDRINUSE, bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof(a)));
	pid = start_child(connect_child, NULL);
	c = (int)OK(accept(s, NULL, NULL));
	EQUAL(read(c, got, sizeof(got)), 5);
	TEXT(got, "hello");
	join_child(pid);
	close(c);
	close(s);
	EQUAL(kind_of("socket"), 's');
	FAILS(ECONNREFUSED, connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof(a)));
}

static void device_numbers(void)
{
	static const struct {
		mode_t type;
		unsigned major, minor;
	} rows[] = { { S_IFCHR, 1, 3 }, { S_IFCHR, 0, 0 }, { S_IFCHR, 4095, 1048575 }, { S_IFBLK, 7, 1 },
		{ S_IFBLK, 259, 65536 } };

	for (size_t i = 0; i < COUNT(rows); i++) {
		context("%u:%u", rows[i].major, rows[i].minor);
		OK(mknod("dev", rows[i].type | 0640, makedev(rows[i].major, rows[i].minor)));
		EQUAL(stat_of("dev").st_mode, rows[i].type | 0640);
		EQUAL(stat_of("dev").st_rdev, makedev(rows[i].major, rows[i].minor));
		OK(unlink("dev"));
	}
	context(NULL);
	OK(chmod(".", 0777));
	be(ANN);
	FAILS(EPERM, mknod("dev", S_IFCHR | 0666, makedev(1, 3)));
	OK(mknod("pipe", S_IFIFO | 0666, 0));
	OK(mknod("file", S_IFREG | 0666, 0));
	be(ROOT);
	FAILS(EPERM, mknod("dir", S_IFDIR | 0777, 0));
	EQUAL(kind_of("pipe"), 'p');
	EQUAL(kind_of("file"), 'f');
	EQUAL(stat_of("file").st_uid, ANN_ID);
}

static void devices_work(void)
{
	char byte = 1;
	int fd;

	OK(mknod("zero", S_IFCHR | 0666, makedev(1, 5)));
	fd = (int)OK(open("zero", O_RDWR));
	EQUAL(read(fd, &byte, 1), 1);
	EQUAL(byte, 0);
	close(fd);
}

const struct posix_case cases_special[] = {
	{ "special: FIFO", fifo, 0 },
	{ "special: sockets", sockets, 0 },
	{ "special: device numbers", device_numbers, NEEDS_ROOT },
	{ "special: devices work", devices_work, NEEDS_ROOT | NEEDS_DEV },
	{ 0 },
};
