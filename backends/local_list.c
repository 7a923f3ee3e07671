/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The directory driver's list: one directory in memory at a time and level, in the order of whole keys. */
#include "backends/call.h"
#include "backends/local.h"
#include "backends/names.h"
#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 16u

struct listing {
	struct local *local;
	struct call *call;
	int (*fn)(void *ctx, const struct backend_object *);
	void *ctx;
	struct buf key; /* of the directory being listed, without the backend's prefix */
};

static bool is_ours(const char *name)
{
	return strcmp(name, ".") && strcmp(name, "..") && strcmp(name, LOCAL_STATE_DIR);
}

static int read_names(struct listing *g, DIR *d, struct names *n)
{
	struct dirent *e;
	int rc = 0;

	while (!rc && (errno = 0, e = readdir(d))) {
		struct stat st;

		if (!is_ours(e->d_name))
			continue;
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			rc = errno == ENOENT ? 0 : local_error(g->local, g->call, errno, "cannot look at an object");
		else if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
			rc = names_add(n, e->d_name, S_ISDIR(st.st_mode), (uint64_t)st.st_size,
				st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec);
	}
	if (!rc && errno)
		rc = local_error(g->local, g->call, errno, "cannot list a directory");
	names_sort(n);
	return rc;
}

static int list_dir(struct listing *, int fd, unsigned depth);

static int list_entry_of(struct listing *g, int dir, const struct name *e, unsigned depth)
{
	size_t parent = g->key.len, len = strlen(e->text);
	int rc, fd;

	if ((rc = call_state(g->call)) < 0)
		return rc;
	buf_put(&g->key, e->text, len);
	if (g->key.err)
		return g->key.err;
	if (e->text[len - 1] != '/') {
		rc = g->fn(g->ctx, &(struct backend_object){ (const char *)g->key.data, e->size, e->mtime_ns });
	} else {
		fd = openat(dir, e->text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		rc = fd >= 0	       ? list_dir(g, fd, depth + 1)
		     : errno == ENOENT ? 0
				       : local_error(g->local, g->call, errno, "cannot open a directory");
	}
	g->key.len = parent;
	g->key.data[parent] = 0;
	return rc;
}

/* takes fd */
static int list_dir(struct listing *g, int fd, unsigned depth)
{
	struct names n = { 0 };
	DIR *d = depth < DEPTH_MAX ? fdopendir(fd) : NULL;
	int rc;

	if (!d) {
		close(fd);
		return depth < DEPTH_MAX ? -ENOMEM : -ERR_PROTOCOL;
	}
	rc = read_names(g, d, &n);
	for (size_t i = 0; !rc && i < n.count; i++)
		rc = list_entry_of(g, dirfd(d), &n.v[i], depth);
	names_free(&n);
	closedir(d);
	return rc;
}

int local_list(struct backend *b, struct call *c, int (*fn)(void *ctx, const struct backend_object *), void *ctx)
{
	struct local *l = container_of(b, struct local, backend);
	struct listing g = { .local = l, .call = c, .fn = fn, .ctx = ctx };
	int root = local_root(l, c), rc;
	const char *rest;

	if (root < 0)
		return root;
	rc = local_expects_mark(l) ? local_marked(l, c, root) : 0;
	if (!rc)
		rc = local_parent(l, c, root, b->config->prefix, false, &rest);
	if (rc >= 0)
		rc = list_dir(&g, rc, 0);
	else if (rc == -ENOENT)
		rc = 0;
	close(root);
	buf_free(&g.key);
	return rc;
}
