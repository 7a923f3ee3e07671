/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int file_pread_full(int fd, void *buf, size_t len, off_t off)
{
	uint8_t *p = buf;

	while (len) {
		ssize_t n = pread(fd, p, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ERR_CORRUPT;
		p += n;
		off += n;
		len -= (size_t)n;
	}
	return 0;
}

int file_pwrite_full(int fd, const void *buf, size_t len, off_t off)
{
	const uint8_t *p = buf;

	while (len) {
		ssize_t n = pwrite(fd, p, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		p += n;
		off += n;
		len -= (size_t)n;
	}
	return 0;
}

int file_write_full(int fd, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* reads to the end of file; size_hint spares a secret the copies that a growing buffer would leave behind */
static int read_to_end(int fd, size_t max, size_t size_hint, struct buf *out)
{
	size_t start = out->len, step = size_hint + 1 > 4096 ? size_hint + 1 : 4096;

	for (;;) {
		uint8_t *to = buf_reserve(out, step);
		ssize_t n;

		if (!to)
			return -ENOMEM;
		n = read(fd, to, step);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		out->len += (size_t)n;
		out->data[out->len] = 0;
		if (out->len - start > max)
			return -EFBIG;
	}
}

int file_read_all(int dirfd, const char *path, size_t max, struct buf *out)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t hint = 0;
	int rc;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && st.st_size > 0)
		hint = (uint64_t)st.st_size < max ? (size_t)st.st_size : max;
	rc = read_to_end(fd, max, hint, out);
	close(fd);
	return rc;
}

int file_sync_dir(int dirfd)
{
	int fd, rc;

	if (dirfd != AT_FDCWD)
		return fsync(dirfd) == 0 ? 0 : -errno;
	fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = fsync(fd) == 0 ? 0 : -errno;
	close(fd);
	return rc;
}

/* syncs the directory that holds path */
static int sync_parent(int dirfd, const char *path)
{
	char *copy = strdup(path);
	int fd, rc = -ENOMEM;

	if (!copy)
		return rc;
	fd = openat(dirfd, dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = fd < 0 ? -errno : file_sync_dir(fd);
	if (fd >= 0)
		close(fd);
	free(copy);
	return rc;
}

/* a new, synced file beside path that holds the data; *tmp is its malloc'd name */
static int write_beside(int dirfd, const char *path, const void *data, size_t len, mode_t mode, char **tmp)
{
	uint64_t id;
	int fd, rc;

	randombytes_buf(&id, sizeof id);
	if (asprintf(tmp, "%s.tmp-%016" PRIx64, path, id) < 0) {
		*tmp = NULL;
		return -ENOMEM;
	}
	fd = openat(dirfd, *tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode & 0600);
	if (fd < 0) {
		rc = -errno;
		free(*tmp);
		*tmp = NULL;
		return rc;
	}
	rc = file_write_full(fd, data, len);
	if (rc == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
		rc = -errno;
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	return rc;
}

static int write_and_name(int dirfd, const char *path, const void *data, size_t len, mode_t mode, int replace)
{
	char *tmp = NULL;
	int rc = write_beside(dirfd, path, data, len, mode, &tmp);

	if (rc == 0 && replace && renameat(dirfd, tmp, dirfd, path) < 0)
		rc = -errno;
	if (rc == 0 && !replace && linkat(dirfd, tmp, dirfd, path, 0) < 0)
		rc = -errno;
	if (tmp && (rc < 0 || !replace))
		unlinkat(dirfd, tmp, 0);
	if (rc == 0)
		rc = sync_parent(dirfd, path);
	free(tmp);
	return rc;
}

int file_replace(int dirfd, const char *path, const void *data, size_t len, mode_t mode)
{
	return write_and_name(dirfd, path, data, len, mode, 1);
}

int file_create_new(int dirfd, const char *path, const void *data, size_t len, mode_t mode)
{
	return write_and_name(dirfd, path, data, len, mode, 0);
}

static int make_one_dir(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return sync_parent(AT_FDCWD, path);
	if (errno != EEXIST)
		return -errno;
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int file_mkdirs(const char *path, mode_t mode)
{
	char *copy = strdup(path);
	int rc = 0;

	if (!copy)
		return -ENOMEM;
	for (char *p = copy + 1; rc == 0 && *copy && *p; p++) {
		if (*p != '/' || p[-1] == '/')
			continue;
		*p = 0;
		rc = make_one_dir(copy, mode);
		*p = '/';
	}
	if (rc == 0)
		rc = make_one_dir(copy, mode);
	free(copy);
	return rc;
}

/* why the open file is not private to its owner, or NULL */
static const char *secret_fault(const struct stat *st, mode_t forbidden)
{
	if (!S_ISREG(st->st_mode))
		return "is not a regular file";
	if (st->st_uid != geteuid() && st->st_uid != 0)
		return "belongs to another user; chown it to the user that runs borderfs";
	if (st->st_mode & forbidden)
		return "can be read by others; chmod it to 0600";
	return NULL;
}

static int open_secret(const char *path, int *fd, struct errmsg *msg)
{
	/* O_NONBLOCK: a FIFO put in the file's place must not hang the start */
	*fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (*fd >= 0)
		return 0;
	if (errno == ELOOP)
		return errmsg_set(msg, -ERR_SECRET_FILE,
			"secret file %s is a symbolic link, which is not followed; name the file itself", path);
	return errmsg_set(msg, -errno, "cannot open secret file %s: %s", path, err_text(-errno));
}

static int read_private(const char *path, mode_t forbidden, size_t max, int strip, struct buf *out, struct errmsg *msg)
{
	const char *fault;
	struct stat st;
	int fd, rc;

	if ((rc = open_secret(path, &fd, msg)) < 0)
		return rc;
	if (fstat(fd, &st) < 0) {
		rc = errmsg_set(msg, -errno, "cannot look at secret file %s: %s", path, err_text(-errno));
		goto out;
	}
	if ((fault = secret_fault(&st, forbidden))) {
		rc = errmsg_set(msg, -ERR_SECRET_FILE, "secret file %s %s", path, fault);
		goto out;
	}
	rc = (uint64_t)st.st_size > max ? -EFBIG : read_to_end(fd, max, (size_t)st.st_size, out);
	if (rc == -EFBIG)
		errmsg_set(msg, rc, "secret file %s is longer than %zu bytes", path, max);
	else if (rc < 0)
		errmsg_set(msg, rc, "cannot read secret file %s: %s", path, err_text(rc));
	else if (strip && out->len && out->data[out->len - 1] == '\n')
		out->data[--out->len] = 0;
out:
	close(fd);
	return rc;
}

int file_read_secret(const char *path, size_t max, int strip, struct buf *out, struct errmsg *msg)
{
	return read_private(path, 077, max, strip, out, msg);
}

int file_read_credential(const char *path, size_t max, int strip, struct buf *out, struct errmsg *msg)
{
	return read_private(path, 037, max, strip, out, msg);
}

bool file_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static char *join(const char *dir, const char *name)
{
	char *path;

	if (asprintf(&path, "%s%s%s", dir, *name && dir[strlen(dir) - 1] != '/' ? "/" : "", name) < 0)
		return NULL;
	return path;
}

static char *expand_home(const char *rest)
{
	const char *home = getenv("HOME");
	struct passwd pw, *found = NULL;
	char text[4096];

	if (!home || *home != '/')
		getpwuid_r(geteuid(), &pw, text, sizeof text, &found);
	if (found)
		home = found->pw_dir;
	return join(home && *home == '/' ? home : "/", rest);
}

char *file_expand(const char *path, const char *base)
{
	char *cwd, *out;

	if (*path == '/')
		return strdup(path);
	if (path[0] == '~' && (path[1] == '/' || !path[1]))
		return expand_home(path[1] ? path + 2 : "");
	if (base && *base)
		return join(base, path);
	cwd = getcwd(NULL, 0);
	out = cwd ? join(cwd, path) : NULL;
	free(cwd);
	return out;
}
