/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_NAME "control.sock"
#define BACKLOG	    64

/* *dirfd must stay open as long as the address is used */
static int address(const char *store, struct sockaddr_un *a, int *dirfd)
{
	int len;

	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	*dirfd = open(store, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dirfd < 0)
		return -errno;
	len = snprintf(a->sun_path, sizeof a->sun_path, "%s/" SOCKET_NAME, store);
	if ((size_t)len >= sizeof a->sun_path)
		snprintf(a->sun_path, sizeof a->sun_path, "/proc/self/fd/%d/" SOCKET_NAME, *dirfd);
	return 0;
}

static int new_socket(int flags)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	return fd < 0 ? -errno : fd;
}

static int bind_listen(int fd, const struct sockaddr_un *a, int dirfd)
{
	if (unlinkat(dirfd, SOCKET_NAME, 0) < 0 && errno != ENOENT)
		return -errno;
	/* the name is born with the mode of the socket's inode: there is no moment at which others may connect */
	if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)a, sizeof *a) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return 0;
}

int sock_listen(const char *store)
{
	struct sockaddr_un a;
	int dirfd, fd, rc;

	if ((rc = address(store, &a, &dirfd)) < 0)
		return rc;
	fd = new_socket(SOCK_NONBLOCK);
	rc = fd < 0 ? fd : bind_listen(fd, &a, dirfd);
	close(dirfd);
	if (rc == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return rc;
}

void sock_remove(const char *store)
{
	int dirfd = open(store, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dirfd < 0)
		return;
	unlinkat(dirfd, SOCKET_NAME, 0);
	close(dirfd);
}

int sock_connect(const char *store)
{
	struct sockaddr_un a;
	int dirfd, fd, rc;

	if ((rc = address(store, &a, &dirfd)) < 0)
		return rc;
	fd = new_socket(0);
	rc = fd < 0 ? fd : 0;
	if (rc == 0 && connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
		rc = -errno;
	close(dirfd);
	if (rc == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return rc;
}

int sock_peer(int sock, pid_t *pid, uid_t *uid)
{
	struct ucred c;
	socklen_t len = sizeof c;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &c, &len) < 0)
		return -errno;
	if (pid)
		*pid = c.pid;
	if (uid)
		*uid = c.uid;
	return 0;
}
