/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Both ends of the daemon's socket from a stranger: the first byte chooses whether the rest is a request (with a
 * descriptor, or two, or none) or the answer to one. */
#include "fs/cli/progress.h"
#include "fs/control/facts.h"
#include "fs/control/line.h"
#include "fs/control/server.h"
#include "fs/control/sock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LEN_MAX 65000 /* what a socket takes at once */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int op_plain(struct request *r)
{
	size_t len;
	char *path = facts_get_bytes(r->body, "path", &len);

	if (path && strlen(path) > len)
		abort();
	free(path);
	if (r->fd >= 0)
		abort();
	return request_send(r, json_deep_copy(r->body));
}

static int op_path(struct request *r)
{
	if (r->fd < 0)
		abort();
	return request_wait(r, -1, 0);
}

static const struct server_op ops[] = {
	{ "s", false, true, op_plain },
	{ "p", true, false, op_path },
	{ 0 },
};

static char store[] = "/tmp/borderfs-fuzz-XXXXXX";
static struct server *server;

static void stop(void)
{
	server_stop(server, 0, NULL);
	rmdir(store);
}

static void send_with(int sock, const uint8_t *data, size_t len, int fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)data, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fds) {
		int both[2] = { sock, sock };
		struct cmsghdr *c;

		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE((size_t)fds * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((size_t)fds * sizeof(int));
		memcpy(CMSG_DATA(c), both, (size_t)fds * sizeof(int));
	}
	if (len && sendmsg(sock, &m, MSG_NOSIGNAL) < 0)
		abort();
	shutdown(sock, SHUT_WR);
}

/* exactly one last line, which says how it ended, unless nothing was asked */
static void check_answer(int sock, size_t len)
{
	struct line_reader r;
	json_t *line;
	int last = 0;

	line_reader_init(&r, sock, -1, 1 << 22);
	while (line_receive(&r, INT64_MAX, &line) == 0) {
		if (last)
			abort();
		last = json_is_true(json_object_get(line, "done")) && json_is_integer(json_object_get(line, "status"));
		json_decref(line);
	}
	if (len && !last)
		abort();
	line_reader_free(&r);
}

static void request(const uint8_t *data, size_t len, int fds)
{
	int socks[2];

	if (!server) {
		char *path = mkdtemp(store) ? sock_path(store) : NULL;

		if (!path || server_start(&server, path, 0600, ops, NULL, NULL) < 0)
			abort();
		free(path);
		atexit(stop);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks) < 0)
		abort();
	send_with(socks[0], data, len, fds);
	server_answer(server, socks[1]);
	check_answer(socks[0], len);
	close(socks[0]);
}

static void answer(const uint8_t *data, size_t len)
{
	struct progress progress = { .total_bytes = 1000 };
	struct line_reader r;
	char text[160];
	int socks[2];
	json_t *line;
	size_t n;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks) < 0)
		abort();
	send_with(socks[0], data, len, 0);
	line_reader_init(&r, socks[1], -1, 1000);
	while (line_receive(&r, INT64_MAX, &line) == 0) {
		progress_text(&progress, line, 30, text, sizeof text);
		free(facts_get_bytes(line, "path", &n));
		json_decref(line);
	}
	line_reader_free(&r);
	close(socks[0]);
	close(socks[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len < 1 || len > LEN_MAX)
		return -1;
	if (data[0] % 4 == 3)
		answer(data + 1, len - 1);
	else
		request(data + 1, len - 1, data[0] % 4);
	return 0;
}
