/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sftp: the driver for a directory on an SSH server. */
#include "backends/sftp.h"

#include "backends/http.h"
#include "backends/names.h"
#include "backends/wrap.h"
#include "base/clock.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (256u << 10)
/* libssh2 asks ahead for four times as much as it is called for: called for a quarter of what is left it asks for
 * exactly that, in one round trip, and for nothing that nobody wants. Below this it does not matter. */
#define AHEAD	    4u
#define SMALL_BYTES 1024u

char *sftp_path(const struct sftp *s, const char *first, const char *second)
{
	char *path;

	return asprintf(&path, "%s/%s%s", s->root, first, second) < 0 ? NULL : path;
}

char *sftp_key_path(struct sftp *s, struct call *c, const char *key, int *rc)
{
	char *path = sftp_path(s, s->backend.config->prefix, key);

	if (path && *key && names_good_path(path + strlen(s->root) + 1, LOCAL_STATE_DIR))
		return path;
	*rc = path ? errmsg_set(
			     c->msg, -EINVAL, "backend '%s': not a key a directory can hold", s->backend.config->name)
		   : -ENOMEM;
	free(path);
	return NULL;
}

bool sftp_is_absent(int status)
{
	return status == LIBSSH2_FX_NO_SUCH_FILE || status == LIBSSH2_FX_NO_SUCH_PATH;
}

int sftp_stat(struct sftp_conn *conn, const char *path, LIBSSH2_SFTP_ATTRIBUTES *a)
{
	int rc;

	memset(a, 0, sizeof *a);
	AWAIT(conn, rc, libssh2_sftp_stat_ex(conn->channel, path, (unsigned)strlen(path), LIBSSH2_SFTP_LSTAT, a));
	return sftp_conn_status(conn, rc);
}

static LIBSSH2_SFTP_HANDLE *open_any(
	struct sftp_conn *conn, const char *path, unsigned long flags, int type, int *status)
{
	LIBSSH2_SFTP_HANDLE *h;
	int rc;

	do {
		h = libssh2_sftp_open_ex(conn->channel, path, (unsigned)strlen(path), flags, 0600, type);
		rc = h ? 0 : libssh2_session_last_errno(conn->session);
	} while (rc == LIBSSH2_ERROR_EAGAIN && sftp_conn_wait(conn));
	sftp_conn_answered(conn);
	*status = sftp_conn_status(conn, rc);
	return h;
}

LIBSSH2_SFTP_HANDLE *sftp_open_file(struct sftp_conn *conn, const char *path, unsigned long flags, int *status)
{
	return open_any(conn, path, flags, LIBSSH2_SFTP_OPENFILE, status);
}

LIBSSH2_SFTP_HANDLE *sftp_open_dir(struct sftp_conn *conn, const char *path, int *status)
{
	return open_any(conn, path, 0, LIBSSH2_SFTP_OPENDIR, status);
}

/* On a broken connection the socket is shut first, so that libssh2 gives up at once and frees the handle. */
int sftp_close(struct sftp_conn *conn, LIBSSH2_SFTP_HANDLE *h)
{
	int rc;

	if (conn->broken)
		shutdown(conn->fd, SHUT_RDWR);
	AWAIT(conn, rc, libssh2_sftp_close_handle(h));
	return sftp_conn_status(conn, rc);
}

int sftp_no_root(struct sftp_conn *conn)
{
	return errmsg_set(conn->call->msg, -ERR_NO_BUCKET,
		"backend '%s': %s on %s is not a directory; mount its disk there, or create it",
		conn->sftp->backend.config->name, conn->sftp->root, conn->sftp->host);
}

int sftp_marked(struct sftp_conn *conn)
{
	struct sftp *s = conn->sftp;
	char *path = sftp_path(s, LOCAL_STATE_DIR, "");
	LIBSSH2_SFTP_ATTRIBUTES a;
	int status;

	if (!path)
		return -ENOMEM;
	status = sftp_stat(conn, path, &a);
	free(path);
	if (status == LIBSSH2_FX_OK) {
		atomic_store(&s->mark_seen, true);
		return 0;
	}
	if (!sftp_is_absent(status))
		return sftp_conn_error(conn, status, "cannot look");
	return errmsg_set(conn->call->msg, -ERR_NO_BUCKET,
		"backend '%s': %s on %s has no " LOCAL_STATE_DIR
		" and so is not (or no longer) the directory of this backend; is its disk mounted there?",
		s->backend.config->name, s->root, s->host);
}

/* -ERR_ABSENT only where the mark says that the right disk is there (I7). */
static int absent_or(struct sftp_conn *conn, int status, const char *what)
{
	int rc;

	if (!sftp_is_absent(status))
		return sftp_conn_error(conn, status, what);
	return (rc = sftp_marked(conn)) < 0 ? rc : -ERR_ABSENT;
}

static int object_size(struct sftp_conn *conn, const char *path, uint64_t *size)
{
	LIBSSH2_SFTP_ATTRIBUTES a;
	int status = sftp_stat(conn, path, &a);

	if (status != LIBSSH2_FX_OK)
		return absent_or(conn, status, "cannot look at an object");
	if (!(a.flags & LIBSSH2_SFTP_ATTR_PERMISSIONS) || !LIBSSH2_SFTP_S_ISREG(a.permissions) ||
		!(a.flags & LIBSSH2_SFTP_ATTR_SIZE))
		return errmsg_set(conn->call->msg, -ERR_TAMPERED,
			"backend '%s': what has the object's name is not a file", conn->sftp->backend.config->name);
	*size = a.filesize;
	return 0;
}

static int cut_short(struct sftp_conn *conn, uint64_t size, uint64_t end)
{
	return errmsg_set(conn->call->msg, -ERR_TAMPERED,
		"backend '%s': the object is cut short: it has %" PRIu64 " bytes, and was to be read up to %" PRIu64,
		conn->sftp->backend.config->name, size, end);
}

static int to_sink(struct sftp_conn *conn, struct sink *sink, const uint8_t *data, size_t len)
{
	struct call *c = conn->call;
	int rc = 0;

	while (!rc && len) {
		int64_t asked_ns = clock_mono_ns();
		ssize_t n = call_permit(c, c->download, len);

		conn->progress_ns += clock_mono_ns() - asked_ns; /* the wait for the limit is ours, not the server's */
		if (n < 0)
			return (int)n;
		rc = sink->write(sink, data, (size_t)n);
		data += n;
		len -= (size_t)n;
	}
	return rc;
}

static size_t read_size(uint64_t left)
{
	uint64_t part = left <= SMALL_BYTES ? left : (left + AHEAD - 1) / AHEAD;

	return part < CHUNK_BYTES ? (size_t)part : CHUNK_BYTES;
}

static int copy_out(struct sftp_conn *conn, LIBSSH2_SFTP_HANDLE *h, uint64_t off, uint64_t len, struct sink *sink)
{
	uint8_t *chunk = malloc(CHUNK_BYTES);
	uint64_t end = off + len;
	int rc = chunk ? 0 : -ENOMEM;
	ssize_t n;

	libssh2_sftp_seek64(h, off);
	while (!rc && off < end) {
		AWAIT_SOME(conn, n, libssh2_sftp_read(h, (char *)chunk, read_size(end - off)));
		sftp_conn_moved(conn, n > 0 ? (size_t)n : 0);
		if (n < 0)
			rc = sftp_conn_error(conn, sftp_conn_status(conn, (int)n), "cannot read an object");
		else if (!n)
			rc = cut_short(conn, off, end);
		else
			rc = to_sink(conn, sink, chunk, (size_t)n);
		off += n > 0 ? (uint64_t)n : 0;
	}
	free(chunk);
	return rc;
}

static int get_range(struct sftp_conn *conn, const char *path, uint64_t off, uint64_t len, struct sink *sink)
{
	LIBSSH2_SFTP_HANDLE *h;
	uint64_t size = 0;
	int status, rc;

	if (!len)
		return (rc = object_size(conn, path, &size)) < 0 ? rc : off <= size ? 0 : cut_short(conn, size, off);
	if (!(h = sftp_open_file(conn, path, LIBSSH2_FXF_READ, &status)))
		return absent_or(conn, status, "cannot open an object");
	rc = copy_out(conn, h, off, len, sink);
	sftp_close(conn, h);
	return rc;
}

static int sftp_get(struct backend *b, struct call *c, const char *key, uint64_t off, uint64_t len, struct sink *sink)
{
	struct sftp *s = container_of(b, struct sftp, backend);
	struct sftp_conn *conn;
	int rc = 0;
	char *path = sftp_key_path(s, c, key, &rc);

	if (path && !(rc = sftp_conn_take(s, c, &conn))) {
		rc = get_range(conn, path, off, len, sink);
		sftp_conn_give(conn);
	}
	free(path);
	return rc;
}

static int sftp_head(struct backend *b, struct call *c, const char *key, uint64_t *size)
{
	struct sftp *s = container_of(b, struct sftp, backend);
	struct sftp_conn *conn;
	int rc = 0;
	char *path = sftp_key_path(s, c, key, &rc);

	if (path && !(rc = sftp_conn_take(s, c, &conn))) {
		rc = object_size(conn, path, size);
		sftp_conn_give(conn);
	}
	free(path);
	return rc;
}

static int sftp_del(struct backend *b, struct call *c, const char *key)
{
	struct sftp *s = container_of(b, struct sftp, backend);
	struct sftp_conn *conn;
	int rc = 0, status;
	char *path = sftp_key_path(s, c, key, &rc);

	if (path && !(rc = sftp_conn_take(s, c, &conn))) {
		AWAIT(conn, rc, libssh2_sftp_unlink_ex(conn->channel, path, (unsigned)strlen(path)));
		status = sftp_conn_status(conn, rc);
		rc = status == LIBSSH2_FX_OK ? 0 : absent_or(conn, status, "cannot delete an object");
		sftp_conn_give(conn);
	}
	free(path);
	return rc == -ERR_ABSENT ? 0 : rc;
}

static int probe_root(struct sftp_conn *conn)
{
	LIBSSH2_SFTP_HANDLE *h;
	int status;

	if (!(h = sftp_open_dir(conn, conn->sftp->root, &status)))
		return sftp_is_absent(status) || status == LIBSSH2_FX_FAILURE
			       ? sftp_no_root(conn)
			       : sftp_conn_error(conn, status, "cannot open the directory");
	if (sftp_close(conn, h) < 0)
		return sftp_conn_error(conn, -1, "cannot work");
	return sftp_expects_mark(conn->sftp) ? sftp_marked(conn) : 0;
}

static int sftp_probe(struct backend *b, struct call *c)
{
	struct sftp_conn *conn;
	int rc = sftp_conn_take(container_of(b, struct sftp, backend), c, &conn);

	if (!rc) {
		rc = probe_root(conn);
		sftp_conn_give(conn);
	}
	return rc;
}

static void sftp_free(struct backend *b)
{
	struct sftp *s = container_of(b, struct sftp, backend);

	conn_pool_free(&s->pool, sftp_conn_destroy);
	if (s->key.config)
		secret_destroy(&s->key);
	free(s->host);
	free(s->root);
	free(s);
}

static bool sftp_renew(struct backend *b, struct call *c)
{
	return secret_renew(&container_of(b, struct sftp, backend)->key, c);
}

static const struct backend_ops sftp_ops = {
	.type = "sftp",
	.caps = BACKEND_RANGE | BACKEND_CREATE_ONLY,
	.put = sftp_put,
	.get = sftp_get,
	.head = sftp_head,
	.del = sftp_del,
	.list = sftp_list,
	.probe = sftp_probe,
	.renew = sftp_renew,
	.free = sftp_free,
};

static void start_library(void)
{
	http_start();
	libssh2_init(0);
}

/* the parts of "sftp://host:port", the host without brackets */
static int parse_endpoint(struct sftp *s, const char *endpoint)
{
	char *scheme = NULL, *host = NULL, *port = NULL;
	CURLU *u = curl_url();
	int rc = -ERR_CONFIG;

	if (u && !curl_url_set(u, CURLUPART_URL, endpoint, CURLU_NON_SUPPORT_SCHEME) &&
		!curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) && !strcmp(scheme, "sftp") &&
		!curl_url_get(u, CURLUPART_HOST, &host, 0)) {
		s->port = curl_url_get(u, CURLUPART_PORT, &port, 0) ? 22 : atoi(port);
		s->host = *host == '[' ? strndup(host + 1, strcspn(host + 1, "]%")) : strdup(host);
		rc = s->host ? 0 : -ENOMEM;
	}
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	return rc;
}

static int check_config(struct sftp *s, const struct config_backend *c, struct errmsg *msg)
{
	bool pinned = (c->host_keys && c->host_keys[0]) || c->known_hosts_file;

	if (!c->endpoint || !c->directory || !*c->directory || !c->user || !*c->user || !c->prefix || !pinned)
		return errmsg_set(msg, -ERR_CONFIG,
			"backend '%s': endpoint, directory, user and host-key-sha256 or known-hosts-file are "
			"needed",
			c->name);
	if (parse_endpoint(s, c->endpoint) < 0)
		return errmsg_set(msg, -ERR_CONFIG, "backend '%s': endpoint must be sftp://HOST[:PORT]", c->name);
	return 0;
}

int sftp_open(struct backend **out, struct config_backend *config, struct errmsg *msg)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct sftp *s = calloc(1, sizeof *s);
	int rc;

	if (!s)
		return -ENOMEM;
	pthread_once(&once, start_library);
	s->backend.ops = &sftp_ops;
	s->backend.config = config;
	conn_pool_init(&s->pool, config->connections);
	if (!(rc = check_config(s, config, msg)) && !(s->root = strdup(config->directory)))
		rc = -ENOMEM;
	if (!rc)
		rc = secret_init(&s->key, config, "key-file", config->key_file, SFTP_KEY_BYTES_MAX, msg);
	if (rc < 0)
		sftp_free(&s->backend);
	else
		*out = &s->backend;
	return rc;
}
