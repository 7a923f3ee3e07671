/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An object of the directory driver appears whole or not at all: it is written under a temporary name, synced, and then
 * given its own name, which must not exist. A lock on the temporary file tells whether its writer still lives. */
#include "backends/call.h"
#include "backends/local.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES (256u << 10)
#define TEMP_PREFIX "new-"
#define TEMP_TRIES  8

struct temp {
	char name[sizeof TEMP_PREFIX + 32];
	int dir, fd; /* -1: none */
};

static void remove_orphan(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		unlinkat(dir, name, 0);
	close(fd);
}

/* once a process: what one that was killed left behind */
static void clean(struct local *l, int dir)
{
	struct dirent *e;
	DIR *d;
	int fd;

	if (atomic_exchange(&l->cleaned, true))
		return;
	if ((fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return;
	if (!(d = fdopendir(fd))) {
		close(fd);
		return;
	}
	while ((e = readdir(d)))
		if (!strncmp(e->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)))
			remove_orphan(dir, e->d_name);
	closedir(d);
}

/* The state directory, made with the first object; not where it was before, because then this is not the same directory
 * any more. */
static int open_state(struct local *l, struct call *c, int root)
{
	int fd;

	if (!local_expects_mark(l) && mkdirat(root, LOCAL_STATE_DIR, 0700) == 0 && fsync(root) < 0)
		return local_error(l, c, errno, "cannot sync the directory");
	fd = openat(root, LOCAL_STATE_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && local_expects_mark(l))
		return local_marked(l, c, root);
	if (fd < 0)
		return local_error(l, c, errno, "cannot make or open " LOCAL_STATE_DIR);
	atomic_store(&l->mark_seen, true);
	clean(l, fd);
	return fd;
}

/* Whoever looks for orphans may have the lock before its maker: he keeps it for a moment, and removes the file. */
static int temp_make(struct temp *t, bool *lost)
{
	struct stat st = { 0 };
	uint8_t random[16];

	randombytes_buf(random, sizeof random);
	memcpy(t->name, TEMP_PREFIX, sizeof TEMP_PREFIX);
	text_hex(random, sizeof random, t->name + strlen(TEMP_PREFIX));
	t->fd = openat(t->dir, t->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (t->fd < 0 || flock(t->fd, LOCK_EX) < 0 || fstat(t->fd, &st) < 0)
		return -errno;
	*lost = !st.st_nlink;
	return 0;
}

static int temp_open(struct local *l, struct call *c, int root, struct temp *t)
{
	bool lost = true;
	int rc = 0;

	t->fd = -1;
	if ((t->dir = open_state(l, c, root)) < 0)
		return t->dir;
	for (int i = 0; lost && !rc && i < TEMP_TRIES; i++) {
		if (t->fd >= 0)
			close(t->fd);
		rc = temp_make(t, &lost);
	}
	if (!rc && lost)
		rc = -ENOENT;
	return rc ? local_error(l, c, -rc, "cannot make a file") : 0;
}

static void temp_close(struct temp *t, bool remove)
{
	if (t->fd >= 0 && remove)
		unlinkat(t->dir, t->name, 0);
	if (t->fd >= 0)
		close(t->fd);
	if (t->dir >= 0)
		close(t->dir);
}

/* The cut is looked at and the chunk written under one lock: after call_cut returned no byte follows. */
static int write_chunk(struct call *c, int fd, const void *chunk, size_t len, uint64_t off)
{
	int rc;

	pthread_mutex_lock(&c->lock);
	rc = c->cut;
	if (!rc && !(rc = file_pwrite_full(fd, chunk, len, (off_t)off)))
		c->body_sent += len;
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static int copy_in(struct local *l, struct call *c, int fd, struct source *source)
{
	uint8_t *chunk = malloc(CHUNK_BYTES);
	uint64_t off = 0, left = source->length;
	int rc = chunk ? 0 : -ENOMEM;

	while (!rc && left) {
		ssize_t n = call_permit(c, c->upload, left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES);

		if (n < 0) {
			rc = (int)n;
		} else if (!(rc = source->read(source, off, chunk, (size_t)n))) {
			rc = write_chunk(c, fd, chunk, (size_t)n, off);
			if (rc < 0 && rc > -ERR_FIRST)
				rc = local_error(l, c, -rc, "cannot write an object");
			off += (uint64_t)n;
			left -= (uint64_t)n;
		}
	}
	free(chunk);
	if (!rc && fsync(fd) < 0)
		rc = local_error(l, c, errno, "cannot sync an object");
	return rc;
}

/* Gives the file its name; never over another. Filesystems without RENAME_NOREPLACE have links. */
static int give_name(struct temp *t, int parent, const char *name)
{
	if (renameat2(t->dir, t->name, parent, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
		return -errno;
	if (linkat(t->dir, t->name, parent, name, 0) < 0)
		return -errno;
	unlinkat(t->dir, t->name, 0);
	return 0;
}

static int publish(struct local *l, struct call *c, int root, struct temp *t, const char *path)
{
	const char *name;
	int rc = call_state(c), parent;

	if (rc < 0)
		return rc;
	parent = local_parent(l, c, root, path, true, &name);
	if (parent < 0)
		return parent == -ENOENT ? local_error(l, c, ENOENT, "a directory vanished") : parent;
	rc = give_name(t, parent, name);
	if (rc == -EEXIST)
		rc = -ERR_EXISTS;
	else if (rc < 0)
		rc = local_error(l, c, -rc, "cannot name an object");
	else if (fsync(parent) < 0)
		rc = local_error(l, c, errno, "cannot sync a directory");
	close(parent);
	return rc;
}

int local_put(struct backend *b, struct call *c, const char *key, struct source *source)
{
	struct local *l = container_of(b, struct local, backend);
	struct temp t = { .dir = -1, .fd = -1 };
	int root = -1, rc = 0;
	char *path = local_path(l, c, key, &rc);

	if (!path)
		return rc;
	if ((rc = root = local_root(l, c)) < 0 || (rc = temp_open(l, c, root, &t)) < 0 ||
		(rc = copy_in(l, c, t.fd, source)) < 0)
		goto out;
	rc = publish(l, c, root, &t, path);
out:
	temp_close(&t, rc < 0);
	if (root >= 0)
		close(root);
	free(path);
	return rc;
}
