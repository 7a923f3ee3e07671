/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_NAME "control.sock"
#define BACKLOG	    64

/* Where a socket is: its directory, kept open as long as the address is used, and its name there. */
struct spot {
	int dirfd;
	const char *name; /* points into the path */
	struct sockaddr_un address;
};

static int spot_open(struct spot *at, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	int len;

	if (!dir)
		return -ENOMEM;
	at->name = slash ? slash + 1 : path;
	at->address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	at->dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	if (at->dirfd < 0)
		return -errno;
	len = snprintf(at->address.sun_path, sizeof at->address.sun_path, "%s", path);
	if ((size_t)len >= sizeof at->address.sun_path)
		len = snprintf(
			at->address.sun_path, sizeof at->address.sun_path, "/proc/self/fd/%d/%s", at->dirfd, at->name);
	if ((size_t)len < sizeof at->address.sun_path)
		return 0;
	close(at->dirfd);
	return -ENAMETOOLONG;
}

static int new_socket(int flags)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	return fd < 0 ? -errno : fd;
}

/* What lies there and is no socket is somebody's file. */
static int clear(const struct spot *at)
{
	struct stat st;

	if (fstatat(at->dirfd, at->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	return unlinkat(at->dirfd, at->name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int bind_listen(int fd, const struct spot *at, mode_t mode)
{
	mode_t mask;
	int rc = clear(at);

	if (rc < 0)
		return rc;
	/* the name is born with the mode of the socket's inode: there is no moment at which others may connect */
	if (fchmod(fd, mode) < 0 || bind(fd, (const struct sockaddr *)&at->address, sizeof at->address) < 0)
		return -errno;
	/* of which the process's mask took its part */
	mask = mode & ~(mode_t)0600;
	if (mask && fchmodat(at->dirfd, at->name, mode, 0) < 0)
		return -errno;
	return listen(fd, BACKLOG) < 0 ? -errno : 0;
}

int sock_listen_at(const char *path, mode_t mode)
{
	struct spot at;
	int fd, rc = spot_open(&at, path);

	if (rc < 0)
		return rc;
	fd = new_socket(SOCK_NONBLOCK);
	rc = fd < 0 ? fd : bind_listen(fd, &at, mode);
	close(at.dirfd);
	if (rc == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return rc;
}

void sock_remove_at(const char *path)
{
	struct spot at;

	if (spot_open(&at, path) < 0)
		return;
	clear(&at);
	close(at.dirfd);
}

int sock_connect_at(const char *path)
{
	struct spot at;
	int fd, rc = spot_open(&at, path);

	if (rc < 0)
		return rc;
	fd = new_socket(0);
	rc = fd < 0 ? fd : 0;
	if (rc == 0 && connect(fd, (struct sockaddr *)&at.address, sizeof at.address) < 0)
		rc = -errno;
	close(at.dirfd);
	if (rc == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return rc;
}

char *sock_path(const char *store)
{
	char *path;

	return asprintf(&path, "%s/" SOCKET_NAME, store) < 0 ? NULL : path;
}

int sock_connect(const char *store)
{
	char *path = sock_path(store);
	int fd = path ? sock_connect_at(path) : -ENOMEM;

	free(path);
	return fd;
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

int sock_peer_groups(int sock, gid_t **out, size_t *count)
{
	socklen_t len = 64 * sizeof(gid_t);
	struct ucred c;
	socklen_t size = sizeof c;
	gid_t *v = NULL;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &c, &size) < 0)
		return -errno;
	/* one place more, for the one that the list may lack */
	for (;;) {
		gid_t *grown = realloc(v, len + sizeof *v);

		if (!grown) {
			free(v);
			return -ENOMEM;
		}
		v = grown;
		if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, v, &len) == 0)
			break;
		if (errno != ERANGE) {
			free(v);
			return -errno;
		}
	}
	*count = len / sizeof *v;
	v[(*count)++] = c.gid;
	*out = v;
	return 0;
}
