/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/line.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_BYTES 16384
#define FDS_TAKEN     8 /* room for more descriptors than are allowed, so that a surplus is seen and closed */

int line_wait(int sock, short events, int wake_fd, int64_t deadline_ns)
{
	struct pollfd p[2] = { { .fd = sock, .events = events }, { .fd = wake_fd, .events = POLLIN } };

	for (;;) {
		int n = poll(p, 2, clock_poll_ms(deadline_ns));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			return p[1].revents ? -ERR_STOPPED : 0;
		if (clock_mono_ns() >= deadline_ns)
			return -ETIMEDOUT;
	}
}

static ssize_t send_some(int sock, const char *data, size_t len, int fd)
{
	struct iovec iov = { (void *)data, len };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof fd)];
	} control = { 0 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *c;

		m.msg_control = control.bytes;
		m.msg_controllen = sizeof control.bytes;
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(c), &fd, sizeof fd);
	}
	return sendmsg(sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int send_all(int sock, const char *data, size_t len, int fd, int wake_fd, int64_t deadline_ns)
{
	int rc = 0;

	while (rc == 0 && len) {
		ssize_t n = send_some(sock, data, len, fd);

		if (n > 0) {
			data += n;
			len -= (size_t)n;
			fd = -1;
		} else if (errno == EAGAIN) {
			rc = line_wait(sock, POLLOUT, wake_fd, deadline_ns);
		} else if (errno != EINTR) {
			rc = -errno;
		}
	}
	return rc == -ECONNRESET ? -EPIPE : rc;
}

int line_send(int sock, const json_t *object, int fd, int wake_fd, int64_t deadline_ns)
{
	struct buf text = BUF_INIT;
	char *json = json_dumps(object, JSON_COMPACT);
	int rc = -ENOMEM;

	if (!json)
		return -ENOMEM;
	buf_str(&text, json);
	buf_str(&text, "\n");
	if (!text.err)
		rc = send_all(sock, (const char *)text.data, text.len, fd, wake_fd, deadline_ns);
	buf_free(&text);
	free(json);
	return rc;
}

void line_reader_init(struct line_reader *r, int sock, int wake_fd, size_t max)
{
	*r = (struct line_reader){ .sock = sock, .wake_fd = wake_fd, .max = max, .fd = -1 };
}

void line_reader_free(struct line_reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	buf_free(&r->buf);
}

/* Keeps the first descriptor; any other is closed and makes the request a bad one. */
static int take_fds(struct line_reader *r, struct msghdr *m)
{
	int rc = m->msg_flags & MSG_CTRUNC ? -EPROTO : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (r->fd < 0) {
				r->fd = fd;
				continue;
			}
			close(fd);
			rc = -EPROTO;
		}
	}
	return rc;
}

/* one recvmsg: the count of bytes (0: the end), or an error */
static ssize_t receive_some(struct line_reader *r)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_TAKEN * sizeof(int))];
	} control;
	struct iovec iov = { buf_reserve(&r->buf, RECEIVE_BYTES), RECEIVE_BYTES };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
	};
	ssize_t n;
	int rc;

	if (!iov.iov_base)
		return -ENOMEM;
	n = recvmsg(r->sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	if ((rc = take_fds(r, &m)) < 0)
		return rc;
	r->buf.len += (size_t)n;
	return n;
}

static int receive_more(struct line_reader *r, int64_t deadline_ns)
{
	for (;;) {
		ssize_t n = receive_some(r);
		int rc;

		if (n > 0)
			return 0;
		if (n == 0 || n == -ECONNRESET)
			return r->buf.len > r->taken ? -EPROTO : -ENODATA;
		if (n != -EAGAIN && n != -EINTR)
			return (int)n;
		if ((rc = line_wait(r->sock, POLLIN, r->wake_fd, deadline_ns)) < 0)
			return rc;
	}
}

/* the whole line at taken if its end has come, its length in *len */
static const char *whole_line(struct line_reader *r, size_t *len)
{
	const uint8_t *end = NULL;

	if (r->scanned < r->buf.len)
		end = memchr(r->buf.data + r->scanned, '\n', r->buf.len - r->scanned);
	if (!end) {
		r->scanned = r->buf.len;
		return NULL;
	}
	*len = (size_t)(end - r->buf.data) - r->taken;
	return (const char *)r->buf.data + r->taken;
}

/* what was given out makes room for what comes */
static void compact(struct line_reader *r)
{
	if (!r->taken)
		return;
	memmove(r->buf.data, r->buf.data + r->taken, r->buf.len - r->taken);
	r->buf.len -= r->taken;
	r->scanned -= r->taken;
	r->taken = 0;
}

int line_receive(struct line_reader *r, int64_t deadline_ns, json_t **out)
{
	const char *line;
	size_t len;
	int rc;

	*out = NULL;
	while (!(line = whole_line(r, &len))) {
		compact(r);
		if (r->buf.len > r->max)
			return -EMSGSIZE;
		if ((rc = receive_more(r, deadline_ns)) < 0)
			return rc;
	}
	r->taken += len + 1;
	r->scanned = r->taken;
	if (len > r->max)
		return -EMSGSIZE;
	*out = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(*out))
		return 0;
	json_decref(*out);
	*out = NULL;
	return -EPROTO;
}
