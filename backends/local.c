/* SPDX-License-Identifier: GPL-3.0-or-later */
/* local: the driver for a directory: an object is a file of the object's name. */
#include "backends/local.h"

#include "backends/call.h"
#include "backends/names.h"
#include "backends/wrap.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES (256u << 10)

static const struct {
	int error, rc;
} errors[] = {
	{ EACCES, -ERR_DENIED },
	{ EPERM, -ERR_DENIED },
	{ EROFS, -ERR_DENIED },
	{ ENOSPC, -ERR_QUOTA },
	{ EDQUOT, -ERR_QUOTA },
	{ ENODEV, -ERR_UNREACHABLE }, /* from here on: a network filesystem, a disk pulled out */
	{ ENXIO, -ERR_UNREACHABLE },
	{ ESTALE, -ERR_UNREACHABLE },
	{ ENOTCONN, -ERR_UNREACHABLE },
	{ EHOSTDOWN, -ERR_UNREACHABLE },
	{ EHOSTUNREACH, -ERR_UNREACHABLE },
	{ ETIMEDOUT, -ERR_TIMEOUT },
	{ ELOOP, -ERR_PROTOCOL }, /* links and directories where objects should be: somebody else's work */
	{ ENOTDIR, -ERR_PROTOCOL },
	{ EISDIR, -ERR_PROTOCOL },
	{ EMFILE, -EMFILE },
	{ ENFILE, -ENFILE },
	{ ENOMEM, -ENOMEM },
};

int local_error(struct local *l, struct call *c, int error, const char *what)
{
	const struct config_backend *config = l->backend.config;
	int rc = -ERR_SERVER;

	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
		if (errors[i].error == error)
			rc = errors[i].rc;
	return errmsg_set(
		c->msg, rc, "backend '%s': %s in %s: %s", config->name, what, config->path, strerrordesc_np(error));
}

int local_root(struct local *l, struct call *c)
{
	const struct config_backend *config = l->backend.config;
	int fd = open(config->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ENOTDIR)
		return errmsg_set(c->msg, -ERR_NO_BUCKET,
			"backend '%s': %s is not a directory; mount its disk, or create it", config->name,
			config->path);
	return local_error(l, c, errno, "cannot open the directory");
}

int local_marked(struct local *l, struct call *c, int root)
{
	const struct config_backend *config = l->backend.config;
	struct stat st;

	if (fstatat(root, LOCAL_STATE_DIR, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		atomic_store(&l->mark_seen, true);
		return 0;
	}
	if (errno != ENOENT)
		return local_error(l, c, errno, "cannot look");
	return errmsg_set(c->msg, -ERR_NO_BUCKET,
		"backend '%s': %s has no " LOCAL_STATE_DIR
		" and so is not (or no longer) the directory of this backend; "
		"is its disk mounted?",
		config->name, config->path);
}

char *local_path(struct local *l, struct call *c, const char *key, int *rc)
{
	char *path;

	if (asprintf(&path, "%s%s", l->backend.config->prefix, key) < 0) {
		*rc = -ENOMEM;
		return NULL;
	}
	if (*key && names_good_path(path, LOCAL_STATE_DIR))
		return path;
	free(path);
	*rc = errmsg_set(c->msg, -EINVAL, "backend '%s': not a key a directory can hold", l->backend.config->name);
	return NULL;
}

static int open_dir(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int make_dir(int dir, const char *name)
{
	if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (fsync(dir) < 0)
		return -errno;
	return open_dir(dir, name);
}

int local_parent(struct local *l, struct call *c, int root, const char *path, bool create, const char **name)
{
	int dir = fcntl(root, F_DUPFD_CLOEXEC, 0), rc = dir < 0 ? -errno : 0;
	const char *slash;

	for (; !rc && (slash = strchr(path, '/')); path = slash + 1) {
		char component[NAME_MAX + 1];
		int next;

		snprintf(component, sizeof component, "%.*s", (int)(slash - path), path);
		next = open_dir(dir, component);
		if (next == -ENOENT && create)
			next = make_dir(dir, component);
		close(dir);
		dir = next;
		rc = next < 0 ? next : 0;
	}
	*name = path;
	if (rc == -ENOENT)
		return rc;
	return rc < 0 ? local_error(l, c, -rc, "cannot open a directory") : dir;
}

static int not_a_file(struct local *l, struct call *c)
{
	return errmsg_set(c->msg, -ERR_TAMPERED, "backend '%s': what has the object's name is not a file",
		l->backend.config->name);
}

static int cut_short(struct local *l, struct call *c, uint64_t size, uint64_t end)
{
	return errmsg_set(c->msg, -ERR_TAMPERED,
		"backend '%s': the object is cut short: it has %" PRIu64 " bytes, and was to be read up to %" PRIu64,
		l->backend.config->name, size, end);
}

/* A link cannot be opened, and neither can a socket; nothing of that is the disk's fault. */
static int not_opened(struct local *l, struct call *c, int parent, const char *name, int error)
{
	struct stat st;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode))
		return not_a_file(l, c);
	return local_error(l, c, error, "cannot open an object");
}

/* Opens an object for reading; -ERR_ABSENT only where the mark says that the right disk is there (I7). */
static int open_object(struct local *l, struct call *c, const char *key)
{
	int rc, root, parent = -1, fd = -1;
	const char *name;
	char *path = local_path(l, c, key, &rc);

	if (!path)
		return rc;
	if ((root = local_root(l, c)) < 0) {
		free(path);
		return root;
	}
	rc = parent = local_parent(l, c, root, path, false, &name);
	if (rc >= 0)
		fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (rc == -ENOENT || (rc >= 0 && fd < 0 && errno == ENOENT))
		rc = (rc = local_marked(l, c, root)) < 0 ? rc : -ERR_ABSENT;
	else if (rc >= 0 && fd < 0)
		rc = not_opened(l, c, parent, name, errno);
	else if (rc == -ERR_PROTOCOL)
		rc = -ERR_TAMPERED; /* the directory it was put into is none any more */
	if (parent >= 0)
		close(parent);
	close(root);
	free(path);
	return fd >= 0 ? fd : rc;
}

static int object_size(struct local *l, struct call *c, int fd, uint64_t *size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return local_error(l, c, errno, "cannot look at an object");
	if (!S_ISREG(st.st_mode))
		return not_a_file(l, c);
	*size = (uint64_t)st.st_size;
	return 0;
}

static int copy_out(struct local *l, struct call *c, int fd, uint64_t off, uint64_t len, struct sink *sink)
{
	uint8_t *chunk = malloc(CHUNK_BYTES);
	int rc = chunk ? 0 : -ENOMEM;

	while (!rc && len) {
		ssize_t n = call_permit(c, c->download, len < CHUNK_BYTES ? (size_t)len : CHUNK_BYTES);

		if (n < 0)
			rc = (int)n;
		else if ((rc = file_pread_full(fd, chunk, (size_t)n, (off_t)off)) == -ERR_CORRUPT)
			rc = cut_short(l, c, off, off + len);
		else if (rc < 0)
			rc = local_error(l, c, -rc, "cannot read an object");
		else
			rc = sink->write(sink, chunk, (size_t)n);
		off += n > 0 ? (uint64_t)n : 0;
		len -= n > 0 ? (uint64_t)n : 0;
	}
	free(chunk);
	return rc;
}

static int local_get(struct backend *b, struct call *c, const char *key, uint64_t off, uint64_t len, struct sink *sink)
{
	struct local *l = container_of(b, struct local, backend);
	int fd = open_object(l, c, key), rc;
	uint64_t size = 0;

	if (fd < 0)
		return fd;
	rc = object_size(l, c, fd, &size);
	if (!rc && (off > size || len > size - off))
		rc = cut_short(l, c, size, off + len);
	if (!rc)
		rc = copy_out(l, c, fd, off, len, sink);
	close(fd);
	return rc;
}

static int local_head(struct backend *b, struct call *c, const char *key, uint64_t *size)
{
	struct local *l = container_of(b, struct local, backend);
	int fd = open_object(l, c, key), rc;

	if (fd < 0)
		return fd;
	rc = object_size(l, c, fd, size);
	close(fd);
	return rc;
}

static int remove_object(struct local *l, struct call *c, int root, const char *path)
{
	const char *name;
	int parent = local_parent(l, c, root, path, false, &name), rc = 0;

	if (parent == -ENOENT)
		return local_marked(l, c, root);
	if (parent < 0)
		return parent;
	if (unlinkat(parent, name, 0) < 0)
		rc = errno == ENOENT ? local_marked(l, c, root) : local_error(l, c, errno, "cannot delete an object");
	else if (fsync(parent) < 0)
		rc = local_error(l, c, errno, "cannot sync a directory");
	close(parent);
	return rc;
}

static int local_del(struct backend *b, struct call *c, const char *key)
{
	struct local *l = container_of(b, struct local, backend);
	int root, rc = call_state(c);
	char *path;

	if (rc < 0 || !(path = local_path(l, c, key, &rc)))
		return rc;
	if ((root = local_root(l, c)) < 0) {
		rc = root;
	} else {
		rc = remove_object(l, c, root, path);
		close(root);
	}
	free(path);
	return rc;
}

static int local_probe(struct backend *b, struct call *c)
{
	struct local *l = container_of(b, struct local, backend);
	int need = b->config->mode == MODE_READONLY ? R_OK | X_OK : R_OK | W_OK | X_OK;
	int root = local_root(l, c), rc = 0;

	if (root < 0)
		return root;
	if (faccessat(root, ".", need, AT_EACCESS) < 0)
		rc = local_error(l, c, errno, "cannot work");
	else if (local_expects_mark(l))
		rc = local_marked(l, c, root);
	close(root);
	return rc;
}

static void local_free(struct backend *b)
{
	free(container_of(b, struct local, backend));
}

static const struct backend_ops local_ops = {
	.type = "local",
	.caps = BACKEND_RANGE | BACKEND_CREATE_ONLY,
	.put = local_put,
	.get = local_get,
	.head = local_head,
	.del = local_del,
	.list = local_list,
	.probe = local_probe,
	.free = local_free,
};

int local_open(struct backend **out, struct config_backend *config, struct errmsg *msg)
{
	struct local *l;

	if (!config->path || config->path[0] != '/' || !config->prefix)
		return errmsg_set(msg, -ERR_CONFIG, "backend '%s': path must be an absolute directory", config->name);
	if (!(l = calloc(1, sizeof *l)))
		return -ENOMEM;
	l->backend.ops = &local_ops;
	l->backend.config = config;
	*out = &l->backend;
	return 0;
}
