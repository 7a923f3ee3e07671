/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/control.h"
#include "fs/control/line.h"
#include "fs/control/sock.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define LINE_BYTES_MAX (256u << 20) /* a file of many objects is one line */

static int connect_failed(const struct control_at *at, int rc, struct errmsg *msg)
{
	switch (rc) {
	case -ENOENT:
	case -ECONNREFUSED:
		return errmsg_set(msg, -ECONNREFUSED,
			"the store %s is not mounted: mount it with `borderfs mount -c %s DIRECTORY`", at->store,
			at->config_file);
	case -EACCES:
	case -EPERM:
		return errmsg_set(
			msg, -EACCES, "the store %s belongs to another user: ask as that user or as root", at->store);
	default:
		return errmsg_set(msg, rc, "the daemon of the store %s cannot be asked: %s", at->store, err_text(rc));
	}
}

static int protocol_error(const struct control_at *at, int rc, struct errmsg *msg)
{
	if (rc == -ENODATA || rc == -EPIPE || rc == -ECONNRESET)
		return errmsg_set(msg, -ECONNRESET,
			"the daemon of the store %s ended before it answered: its log says why", at->store);
	return errmsg_set(msg, rc == -ENOMEM ? rc : -EPROTO,
		"the daemon of the store %s answered what this version does not understand (%s)", at->store,
		err_text(rc));
}

/* lines until the last; a line's callback may end it early */
static int read_answer(struct line_reader *reader, const struct control_at *at, int (*line)(void *ctx, json_t *),
	void *ctx, json_t **last, struct errmsg *msg)
{
	for (;;) {
		json_t *object;
		int rc = line_receive(reader, INT64_MAX, &object);

		if (rc < 0)
			return protocol_error(at, rc, msg);
		if (json_is_true(json_object_get(object, "done"))) {
			*last = object;
			return 0;
		}
		rc = line ? line(ctx, object) : 0;
		json_decref(object);
		if (rc < 0)
			return rc;
	}
}

static int ask(int sock, const struct control_at *at, const json_t *request, int fd, int (*line)(void *ctx, json_t *),
	void *ctx, json_t **last, struct errmsg *msg)
{
	struct line_reader reader;
	int rc = line_send(sock, request, fd, -1, INT64_MAX);

	/* one that was sent away before it was read finds the reason in the answer */
	if (rc < 0 && rc != -EPIPE)
		return protocol_error(at, rc, msg);
	line_reader_init(&reader, sock, -1, LINE_BYTES_MAX);
	rc = read_answer(&reader, at, line, ctx, last, msg);
	line_reader_free(&reader);
	return rc;
}

int control_ask(const struct control_at *at, const char *op, json_t *args, int fd, int (*line)(void *ctx, json_t *),
	void *ctx, json_t **last, struct errmsg *msg)
{
	json_t *request = args ? args : json_object();
	int rc = -ENOMEM, sock;

	*last = NULL;
	if (!request || json_object_set_new(request, "op", json_string(op)) < 0)
		goto out;
	sock = sock_connect(at->store);
	if ((sock == -EACCES || sock == -EPERM || sock == -ENOENT) && at->approvers_socket)
		sock = sock_connect_at(at->approvers_socket);
	if (sock < 0) {
		rc = connect_failed(at, sock, msg);
		goto out;
	}
	rc = ask(sock, at, request, fd, line, ctx, last, msg);
	close(sock);
out:
	json_decref(request);
	return rc;
}

pid_t control_pid(const char *store)
{
	int sock = sock_connect(store);
	pid_t pid = 0;

	if (sock < 0)
		return 0;
	if (sock_peer(sock, &pid, NULL) < 0 || pid <= 0)
		pid = -1;
	close(sock);
	return pid;
}
