/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/control.h"
#include "fs/control/line.h"
#include "fs/control/sock.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define LINE_BYTES_MAX (256u << 20) /* a file of many objects is one line */

static int connect_failed(const struct config *config, int rc, struct errmsg *msg)
{
	switch (rc) {
	case -ENOENT:
	case -ECONNREFUSED:
		return errmsg_set(msg, -ECONNREFUSED,
			"\"%s\" is not mounted (nobody answers at its store %s): mount it with `borderfs mount -c %s "
			"DIRECTORY`",
			config->name, config->store, config->file);
	case -EACCES:
	case -EPERM:
		return errmsg_set(msg, -EACCES,
			"the store %s of \"%s\" belongs to another user: ask as that user or as root", config->store,
			config->name);
	default:
		return errmsg_set(msg, rc, "the daemon of \"%s\" cannot be asked: %s", config->name, err_text(rc));
	}
}

static int protocol_error(const struct config *config, int rc, struct errmsg *msg)
{
	if (rc == -ENODATA || rc == -EPIPE || rc == -ECONNRESET)
		return errmsg_set(msg, -ECONNRESET, "the daemon of \"%s\" ended before it answered: its log says why",
			config->name);
	return errmsg_set(msg, rc == -ENOMEM ? rc : -EPROTO,
		"the daemon of \"%s\" gave no answer that this version understands (%s)", config->name, err_text(rc));
}

/* lines until the last; a line's callback may end it early */
static int read_answer(struct line_reader *reader, const struct config *config, int (*line)(void *ctx, json_t *),
	void *ctx, json_t **last, struct errmsg *msg)
{
	for (;;) {
		json_t *object;
		int rc = line_receive(reader, INT64_MAX, &object);

		if (rc < 0)
			return protocol_error(config, rc, msg);
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

static int ask(int sock, const struct config *config, const json_t *request, int fd, int (*line)(void *ctx, json_t *),
	void *ctx, json_t **last, struct errmsg *msg)
{
	struct line_reader reader;
	int rc = line_send(sock, request, fd, -1, INT64_MAX);

	/* one that was sent away before it was read finds the reason in the answer */
	if (rc < 0 && rc != -EPIPE)
		return protocol_error(config, rc, msg);
	line_reader_init(&reader, sock, -1, LINE_BYTES_MAX);
	rc = read_answer(&reader, config, line, ctx, last, msg);
	line_reader_free(&reader);
	return rc;
}

int control_ask(const struct config *config, const char *op, json_t *args, int fd, int (*line)(void *ctx, json_t *),
	void *ctx, json_t **last, struct errmsg *msg)
{
	json_t *request = args ? args : json_object();
	int rc = -ENOMEM, sock;

	*last = NULL;
	if (!request || json_object_set_new(request, "op", json_string(op)) < 0)
		goto out;
	sock = sock_connect(config->store);
	if (sock < 0) {
		rc = connect_failed(config, sock, msg);
		goto out;
	}
	rc = ask(sock, config, request, fd, line, ctx, last, msg);
	close(sock);
out:
	json_decref(request);
	return rc;
}

pid_t control_pid(const struct config *config)
{
	int sock = sock_connect(config->store);
	pid_t pid = 0;

	if (sock < 0)
		return 0;
	if (sock_peer(sock, &pid, NULL) < 0)
		pid = 0;
	close(sock);
	return pid;
}
