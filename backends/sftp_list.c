/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The SFTP driver's list: one directory in memory at a time and level, in the order of whole keys. */
#include "backends/names.h"
#include "backends/sftp.h"
#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX      16u
#define NAME_BYTES_MAX 1024u

struct listing {
	struct sftp_conn *conn;
	int (*fn)(void *ctx, const struct backend_object *);
	void *ctx;
	struct buf path; /* of the directory being listed, ends in a slash */
	size_t skip;	 /* bytes of path before the keys */
};

/* A name that leads elsewhere is no answer to the question what is here. */
static bool is_name(const char *name, size_t len)
{
	return len && !memchr(name, 0, len) && !memchr(name, '/', len) && strcmp(name, LOCAL_STATE_DIR) != 0;
}

static int add_name(struct listing *g, const char *name, const LIBSSH2_SFTP_ATTRIBUTES *a, struct names *n)
{
	bool directory = LIBSSH2_SFTP_S_ISDIR(a->permissions);

	if (!(a->flags & LIBSSH2_SFTP_ATTR_PERMISSIONS))
		return errmsg_set(g->conn->call->msg, -ERR_PROTOCOL,
			"backend '%s': the list of %s does not say what is a file", g->conn->sftp->backend.config->name,
			g->conn->sftp->host);
	if (!directory && !LIBSSH2_SFTP_S_ISREG(a->permissions))
		return 0;
	return names_add(n, name, directory, a->flags & LIBSSH2_SFTP_ATTR_SIZE ? a->filesize : 0,
		a->flags & LIBSSH2_SFTP_ATTR_ACMODTIME ? (int64_t)a->mtime * NS_PER_S : 0);
}

static int read_names(struct listing *g, LIBSSH2_SFTP_HANDLE *h, struct names *n)
{
	char name[NAME_BYTES_MAX];
	LIBSSH2_SFTP_ATTRIBUTES a;
	int rc, added;

	do {
		if ((rc = added = call_state(g->conn->call)) < 0)
			return rc;
		memset(&a, 0, sizeof a);
		AWAIT_SOME(g->conn, rc, libssh2_sftp_readdir_ex(h, name, sizeof name - 1, NULL, 0, &a));
		sftp_conn_moved(g->conn, rc > 0 ? (size_t)rc : 0);
		if (rc <= 0)
			break;
		name[rc] = 0;
		if (strcmp(name, ".") && strcmp(name, "..") && is_name(name, (size_t)rc))
			added = add_name(g, name, &a, n);
	} while (!added);
	if (rc < 0)
		return sftp_conn_error(g->conn, sftp_conn_status(g->conn, rc), "cannot list a directory");
	names_sort(n);
	return added;
}

static int list_dir(struct listing *, unsigned depth);

static int list_name(struct listing *g, const struct name *e, unsigned depth)
{
	size_t parent = g->path.len, len = strlen(e->text);
	int rc = call_state(g->conn->call);

	if (rc < 0)
		return rc;
	buf_put(&g->path, e->text, len);
	if (g->path.err)
		return g->path.err;
	if (e->text[len - 1] == '/')
		rc = list_dir(g, depth + 1);
	else
		rc = g->fn(
			g->ctx, &(struct backend_object){ (const char *)g->path.data + g->skip, e->size, e->mtime_ns });
	g->path.len = parent;
	g->path.data[parent] = 0;
	return rc;
}

/* A directory that vanished meanwhile has no objects. */
static int read_dir(struct listing *g, struct names *n)
{
	LIBSSH2_SFTP_HANDLE *h;
	int status, rc;

	if (!(h = sftp_open_dir(g->conn, (const char *)g->path.data, &status)))
		return sftp_is_absent(status) ? 0 : sftp_conn_error(g->conn, status, "cannot open a directory");
	rc = read_names(g, h, n);
	sftp_close(g->conn, h);
	return rc;
}

static int list_dir(struct listing *g, unsigned depth)
{
	struct names n = { 0 };
	int rc = depth < DEPTH_MAX ? read_dir(g, &n) : -ERR_PROTOCOL;

	for (size_t i = 0; !rc && i < n.count; i++)
		rc = list_name(g, &n.v[i], depth);
	names_free(&n);
	return rc;
}

int sftp_list(struct backend *b, struct call *c, int (*fn)(void *ctx, const struct backend_object *), void *ctx)
{
	struct sftp *s = container_of(b, struct sftp, backend);
	struct listing g = { .fn = fn, .ctx = ctx };
	int rc = sftp_conn_take(s, c, &g.conn);

	if (rc < 0)
		return rc;
	buf_printf(&g.path, "%s/%s", s->root, b->config->prefix);
	g.skip = g.path.len;
	rc = g.path.err;
	if (!rc && sftp_expects_mark(s))
		rc = sftp_marked(g.conn);
	if (!rc)
		rc = list_dir(&g, 0);
	sftp_conn_give(g.conn);
	buf_free(&g.path);
	return rc;
}
