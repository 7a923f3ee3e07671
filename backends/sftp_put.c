/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An object of the SFTP driver appears whole or not at all: it is written under a temporary name, synced where the
 * server can, and then given its own name by a rename that fails where there is one already (SFTP version 3: "it is an
 * error if there already exists a file with the name"; OpenSSH keeps to that, and its posix-rename extension, which
 * does not, is never used). */
#include "backends/guard_pass.h"
#include "backends/sftp.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_BYTES	(1u << 20) /* of a body on its way at once */
#define TEMP_PREFIX	"/new-"
#define TEMP_BYTES	(sizeof TEMP_PREFIX + 32)
#define TEMP_AGE_S	86400u /* by the server's clock: no upload takes that long, and its writer is gone */
#define TEMP_NAME_BYTES 256u

static int make_directory(struct sftp_conn *conn, const char *path)
{
	int rc;

	AWAIT(conn, rc, libssh2_sftp_mkdir_ex(conn->channel, path, (unsigned)strlen(path), 0700));
	return sftp_conn_status(conn, rc);
}

static int remove_file(struct sftp_conn *conn, const char *path)
{
	int rc;

	AWAIT(conn, rc, libssh2_sftp_unlink_ex(conn->channel, path, (unsigned)strlen(path)));
	return sftp_conn_status(conn, rc);
}

static char *temp_path(struct sftp *s)
{
	char name[TEMP_BYTES];
	uint8_t random[16];

	randombytes_buf(random, sizeof random);
	memcpy(name, TEMP_PREFIX, sizeof TEMP_PREFIX);
	text_hex(random, sizeof random, name + strlen(TEMP_PREFIX));
	return sftp_path(s, LOCAL_STATE_DIR, name);
}

/* The state directory is made with the first object; not where it was before, because then this is not the same
 * directory any more. */
static int make_state(struct sftp_conn *conn)
{
	int status;
	char *path;

	if (sftp_expects_mark(conn->sftp))
		return sftp_marked(conn);
	if (!(path = sftp_path(conn->sftp, LOCAL_STATE_DIR, "")))
		return -ENOMEM;
	status = make_directory(conn, path);
	free(path);
	if (sftp_is_absent(status))
		return sftp_no_root(conn);
	/* another connection may have been quicker, which a server calls a failure: the next open shows it */
	if (status != LIBSSH2_FX_OK && status != LIBSSH2_FX_FAILURE && status != LIBSSH2_FX_FILE_ALREADY_EXISTS)
		return sftp_conn_error(conn, status, "cannot make " LOCAL_STATE_DIR);
	return 0;
}

static int temp_open(struct sftp_conn *conn, const char *path, LIBSSH2_SFTP_HANDLE **h)
{
	unsigned long flags = LIBSSH2_FXF_WRITE | LIBSSH2_FXF_CREAT | LIBSSH2_FXF_EXCL;
	int status, rc;

	*h = sftp_open_file(conn, path, flags, &status);
	if (!*h && sftp_is_absent(status)) {
		if ((rc = make_state(conn)) < 0)
			return rc;
		*h = sftp_open_file(conn, path, flags, &status);
	}
	if (!*h)
		return sftp_conn_error(conn, status, "cannot make a file");
	atomic_store(&conn->sftp->mark_seen, true);
	return 0;
}

/* Whether a write failed for want of room: SFTP version 3 has no status for that. */
static bool is_full(struct sftp_conn *conn, LIBSSH2_SFTP_HANDLE *h, size_t wanted)
{
	LIBSSH2_SFTP_STATVFS v = { 0 };
	int rc;

	AWAIT(conn, rc, libssh2_sftp_fstatvfs(h, &v));
	return sftp_conn_status(conn, rc) == LIBSSH2_FX_OK && v.f_frsize && v.f_bavail < wanted / v.f_frsize + 1;
}

static int write_failed(struct sftp_conn *conn, LIBSSH2_SFTP_HANDLE *h, int status, size_t wanted)
{
	if (status == LIBSSH2_FX_FAILURE && is_full(conn, h, wanted))
		return errmsg_set(conn->call->msg, -ERR_QUOTA,
			"backend '%s': the disk of %s on %s is full; free space there",
			conn->sftp->backend.config->name, conn->sftp->root, conn->sftp->host);
	return sftp_conn_error(conn, status, "cannot write an object");
}

/* What of a body is on its way: libssh2 is given all of it in each call, says how much the server confirmed from its
 * start, and sends what is new. */
struct window {
	uint8_t *data;
	size_t len;
};

static int refill(struct sftp_conn *conn, struct window *w, struct source *source, uint64_t *off)
{
	uint64_t left = source->length - *off;
	size_t room = WINDOW_BYTES - w->len, want = left < room ? (size_t)left : room;
	ssize_t n;
	int rc;

	/* in pieces worth their copying */
	if (!want || (w->len && room < WINDOW_BYTES / 2 && left > room))
		return 0;
	if ((n = call_permit(conn->call, conn->call->upload, want)) < 0)
		return (int)n;
	if ((rc = source->read(source, *off, w->data + w->len, (size_t)n)) < 0)
		return rc;
	call_sent(conn->call, (uint64_t)n);
	sftp_conn_answered(conn); /* the wait for the limit is ours, not the server's */
	w->len += (size_t)n;
	*off += (uint64_t)n;
	return 0;
}

static int send_window(struct sftp_conn *conn, LIBSSH2_SFTP_HANDLE *h, struct window *w)
{
	ssize_t n;

	AWAIT(conn, n, libssh2_sftp_write(h, (const char *)w->data, w->len));
	if (n < 0)
		return write_failed(conn, h, sftp_conn_status(conn, (int)n), w->len);
	memmove(w->data, w->data + n, w->len - (size_t)n);
	w->len -= (size_t)n;
	return 0;
}

static int copy_in(struct sftp_conn *conn, LIBSSH2_SFTP_HANDLE *h, struct source *source)
{
	struct window w = { .data = malloc(WINDOW_BYTES) };
	uint64_t off = 0;
	int rc = w.data ? 0 : -ENOMEM;

	while (!rc && (off < source->length || w.len))
		if (!(rc = refill(conn, &w, source, &off)))
			rc = send_window(conn, h, &w);
	free(w.data);
	return rc;
}

static int sync_file(struct sftp_conn *conn, LIBSSH2_SFTP_HANDLE *h)
{
	int rc, status;

	AWAIT(conn, rc, libssh2_sftp_fsync(h));
	status = sftp_conn_status(conn, rc);
	/* a server without fsync@openssh.com promises no more than that it took the bytes */
	return status == LIBSSH2_FX_OK || status == LIBSSH2_FX_OP_UNSUPPORTED
		       ? 0
		       : sftp_conn_error(conn, status, "cannot sync an object");
}

/* an orphan's age by the server's own clock: that of the file just made */
static int64_t mtime_of(struct sftp_conn *conn, LIBSSH2_SFTP_HANDLE *h)
{
	LIBSSH2_SFTP_ATTRIBUTES a = { 0 };
	int rc;

	AWAIT(conn, rc, libssh2_sftp_fstat_ex(h, &a, 0));
	return sftp_conn_status(conn, rc) == LIBSSH2_FX_OK && a.flags & LIBSSH2_SFTP_ATTR_ACMODTIME ? (int64_t)a.mtime
												    : -1;
}

static bool is_orphan(const char *name, const LIBSSH2_SFTP_ATTRIBUTES *a, int64_t now_s)
{
	return !strncmp(name, TEMP_PREFIX + 1, strlen(TEMP_PREFIX + 1)) && a->flags & LIBSSH2_SFTP_ATTR_ACMODTIME &&
	       (int64_t)a->mtime + TEMP_AGE_S < now_s;
}

static void remove_orphan(struct sftp_conn *conn, const char *name)
{
	char path[TEMP_NAME_BYTES + 1];
	char *whole;

	path[0] = '/';
	memcpy(path + 1, name, strlen(name) + 1);
	if ((whole = sftp_path(conn->sftp, LOCAL_STATE_DIR, path)))
		remove_file(conn, whole);
	free(whole);
}

/* once a process: what uploads that were cut left behind */
static void clean(struct sftp_conn *conn, LIBSSH2_SFTP_HANDLE *made)
{
	char name[TEMP_NAME_BYTES], *path;
	LIBSSH2_SFTP_ATTRIBUTES a = { 0 };
	LIBSSH2_SFTP_HANDLE *h = NULL;
	int64_t now_s;
	int rc = 0, status;

	if (atomic_exchange(&conn->sftp->cleaned, true) || (now_s = mtime_of(conn, made)) < 0)
		return;
	if ((path = sftp_path(conn->sftp, LOCAL_STATE_DIR, "")))
		h = sftp_open_dir(conn, path, &status);
	free(path);
	while (h && !conn->broken) {
		AWAIT_SOME(conn, rc, libssh2_sftp_readdir_ex(h, name, sizeof name - 1, NULL, 0, &a));
		sftp_conn_moved(conn, rc > 0 ? (size_t)rc : 0);
		if (rc <= 0)
			break;
		name[rc] = 0;
		if (is_orphan(name, &a, now_s))
			remove_orphan(conn, name);
	}
	if (rc < 0)
		sftp_conn_status(conn, rc);
	if (h)
		sftp_close(conn, h);
}

static int rename_file(struct sftp_conn *conn, const char *from, const char *to)
{
	int rc;

	AWAIT(conn, rc,
		libssh2_sftp_rename_ex(conn->channel, from, (unsigned)strlen(from), to, (unsigned)strlen(to), 0));
	return sftp_conn_status(conn, rc);
}

/* the missing directories between the root and the object */
static int make_parents(struct sftp_conn *conn, char *path)
{
	int status = LIBSSH2_FX_OK;

	for (char *slash = path + strlen(conn->sftp->root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = 0;
		status = make_directory(conn, path);
		/* a failure is what servers call one that is there */
		if (status != LIBSSH2_FX_OK && status != LIBSSH2_FX_FAILURE && status != LIBSSH2_FX_FILE_ALREADY_EXISTS)
			return sftp_conn_error(conn, status, "cannot make a directory");
	}
	return 0;
}

/* A failed rename has no status of its own for a name that is taken. */
static int not_named(struct sftp_conn *conn, const char *path, int status)
{
	LIBSSH2_SFTP_ATTRIBUTES a;

	if (status == LIBSSH2_FX_FILE_ALREADY_EXISTS ||
		(status == LIBSSH2_FX_FAILURE && sftp_stat(conn, path, &a) == LIBSSH2_FX_OK))
		return -ERR_EXISTS;
	return sftp_conn_error(conn, status, "cannot name an object");
}

static int publish(struct sftp_conn *conn, const char *temp, char *path)
{
	int rc = guard_ask(&conn->sftp->backend, conn->call), status;

	if (rc < 0)
		return rc;
	status = rename_file(conn, temp, path);
	if (sftp_is_absent(status)) {
		if ((rc = make_parents(conn, path)) < 0)
			return rc;
		status = rename_file(conn, temp, path);
	}
	return status == LIBSSH2_FX_OK ? 0 : not_named(conn, path, status);
}

static int put_file(struct sftp_conn *conn, const char *temp, char *path, struct source *source)
{
	LIBSSH2_SFTP_HANDLE *h;
	int rc, status;

	/* connecting may have taken seconds (I1) */
	if ((rc = guard_ask(&conn->sftp->backend, conn->call)) < 0 || (rc = temp_open(conn, temp, &h)) < 0)
		return rc;
	clean(conn, h);
	if (!(rc = copy_in(conn, h, source)))
		rc = sync_file(conn, h);
	status = sftp_close(conn, h);
	if (!rc && status != LIBSSH2_FX_OK)
		rc = sftp_conn_error(conn, status, "cannot close an object");
	if (!rc)
		rc = publish(conn, temp, path);
	if (rc < 0 && !conn->broken)
		remove_file(conn, temp);
	return rc;
}

int sftp_put(struct backend *b, struct call *c, const char *key, struct source *source)
{
	struct sftp *s = container_of(b, struct sftp, backend);
	struct sftp_conn *conn;
	int rc = 0;
	char *temp = temp_path(s), *path = sftp_key_path(s, c, key, &rc);

	if (!temp)
		rc = -ENOMEM;
	if (!rc && !(rc = sftp_conn_take(s, c, &conn))) {
		rc = put_file(conn, temp, path, source);
		sftp_conn_give(conn);
	}
	free(temp);
	free(path);
	return rc;
}
