/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An HTTP server in a thread of the test: it answers each request as the script says and counts every byte it got. */
#ifndef TESTS_UNIT_BACKENDS_SERVER_H
#define TESTS_UNIT_BACKENDS_SERVER_H

#include "tests/unit/backends/support.h"

#include <arpa/inet.h>
#include <linux/tcp.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>

enum what {
	ANSWER,	      /* when the whole request is there */
	ANSWER_EARLY, /* when its head is there */
	ANSWER_CLOSE, /* and close the connection */
	ANSWER_TWICE, /* the second time unasked, a little later, and close */
	ANSWER_LATER, /* after server_go */
	CLOSE,	      /* without an answer */
	RESET,	      /* the same, rudely */
	HANG,	      /* read the request and say nothing */
	TRICKLE,      /* the answer byte by byte, one every 5 ms */
	STOP_READING, /* after the head, until server_go */
};

struct step {
	enum what what;
	const char *answer;
};

#define SERVER_HEAD_BYTES 8192

struct server {
	pthread_t thread;
	int listener, port, stop[2], go[2];
	const struct step *script;
	size_t script_len;
	/* what was seen; the lock protects it */
	pthread_mutex_t lock;
	unsigned connections, requests;
	uint64_t bytes, body_bytes;
	unsigned expects;
	int fd;			      /* the connection open now, or -1 */
	char head[SERVER_HEAD_BYTES]; /* of the last request */
	char body[SERVER_HEAD_BYTES]; /* of the last one that had one, as much as fits */
	size_t body_kept;
};

#define LOCKED(s, statement)                                                                                           \
	do {                                                                                                           \
		pthread_mutex_lock(&(s)->lock);                                                                        \
		statement;                                                                                             \
		pthread_mutex_unlock(&(s)->lock);                                                                      \
	} while (0)

/* false when the test is over */
static UNUSED bool server_wait(struct server *s, int fd)
{
	struct pollfd p[2] = { { fd, POLLIN, 0 }, { s->stop[0], POLLIN, 0 } };

	return poll(p, 2, -1) > 0 && !p[1].revents;
}

static UNUSED ssize_t server_read(struct server *s, int fd, char *to, size_t len)
{
	ssize_t n = server_wait(s, fd) ? read(fd, to, len) : 0;

	LOCKED(s, s->bytes += n > 0 ? (uint64_t)n : 0);
	return n;
}

static UNUSED void server_send(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		return; /* the client left */
}

static UNUSED void server_trickle(int fd, const char *text)
{
	for (; *text && send(fd, text, 1, MSG_NOSIGNAL) == 1; text++)
		poll(NULL, 0, 5);
}

static UNUSED uint64_t server_length(const char *head)
{
	const char *v = strcasestr(head, "\r\nContent-Length:");

	return v ? strtoull(v + 17, NULL, 10) : 0;
}

/* with the lock */
static UNUSED void server_keep_body(struct server *s, const char *piece, size_t len, bool first)
{
	if (first)
		s->body_kept = 0;
	if (len > sizeof s->body - 1 - s->body_kept)
		len = sizeof s->body - 1 - s->body_kept;
	memcpy(s->body + s->body_kept, piece, len);
	s->body_kept += len;
	s->body[s->body_kept] = 0;
}

/* reads to the end of the head; what came after it is kept at *rest */
static UNUSED bool server_head(struct server *s, int fd, char *head, size_t *rest)
{
	size_t len = 0;
	char *end = NULL;

	head[0] = 0;
	while (!(end = strstr(head, "\r\n\r\n"))) {
		ssize_t n = server_read(s, fd, head + len, SERVER_HEAD_BYTES - 1 - len);

		if (n <= 0)
			return false;
		len += (size_t)n;
		head[len] = 0;
	}
	*rest = len - (size_t)(end + 4 - head);
	if (server_length(head))
		LOCKED(s, server_keep_body(s, end + 4, *rest, true));
	end[4] = 0;
	LOCKED(s, s->requests++; s->body_bytes += *rest; memcpy(s->head, head, SERVER_HEAD_BYTES));
	return true;
}

static UNUSED bool server_body(struct server *s, int fd, uint64_t left)
{
	char piece[65536];

	while (left) {
		ssize_t n = server_read(s, fd, piece, left < sizeof piece ? (size_t)left : sizeof piece);

		if (n <= 0)
			return false;
		LOCKED(s, s->body_bytes += (uint64_t)n; server_keep_body(s, piece, (size_t)n, false));
		left -= (uint64_t)n;
	}
	return true;
}

/* until the other side closes */
static UNUSED void server_drain(struct server *s, int fd)
{
	char piece[65536];
	ssize_t n;

	while ((n = server_read(s, fd, piece, sizeof piece)) > 0)
		LOCKED(s, s->body_bytes += (uint64_t)n);
}

static UNUSED void server_reset(int fd)
{
	struct linger hard = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

/* one request; whether the connection goes on */
static UNUSED bool server_request(struct server *s, int fd)
{
	char head[SERVER_HEAD_BYTES];
	const struct step *step;
	size_t rest;
	unsigned n;

	if (!server_head(s, fd, head, &rest))
		return false;
	LOCKED(s, n = s->requests - 1);
	step = &s->script[n < s->script_len ? n : s->script_len - 1];
	if (step->what == ANSWER_EARLY || step->what == STOP_READING) {
		if (step->what == ANSWER_EARLY)
			server_send(fd, step->answer);
		else
			server_wait(s, s->go[0]);
		server_drain(s, fd);
		return false;
	}
	if (strcasestr(head, "\r\nExpect: 100-continue")) {
		LOCKED(s, s->expects++);
		server_send(fd, "HTTP/1.1 100 Continue\r\n\r\n");
	}
	if (!server_body(s, fd, server_length(head) - rest))
		return false;
	if (step->what == HANG)
		server_drain(s, fd);
	if (step->what == RESET)
		server_reset(fd);
	if (step->what == ANSWER_LATER)
		server_wait(s, s->go[0]);
	if (step->what == TRICKLE)
		server_trickle(fd, step->answer);
	else if (step->answer)
		server_send(fd, step->answer);
	if (step->what == ANSWER_TWICE) {
		poll(NULL, 0, 50);
		server_send(fd, step->answer);
	}
	return step->what == ANSWER || step->what == ANSWER_LATER;
}

static UNUSED void *server_run(void *arg)
{
	struct server *s = arg;

	while (server_wait(s, s->listener)) {
		int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);

		LOCKED(s, s->connections++; s->fd = fd);
		while (server_request(s, fd))
			;
		LOCKED(s, s->fd = -1);
		close(fd);
	}
	return NULL;
}

static UNUSED void server_listen(struct server *s, bool v6, int rcvbuf)
{
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *a = v6 ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4;
	socklen_t len = v6 ? sizeof a6 : sizeof a4;

	s->listener = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (rcvbuf)
		setsockopt(s->listener, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
	assert_int_equal(bind(s->listener, a, len), 0);
	assert_int_equal(listen(s->listener, 16), 0);
	assert_int_equal(getsockname(s->listener, a, &len), 0);
	s->port = ntohs(v6 ? a6.sin6_port : a4.sin_port);
}

/* on 127.0.0.1, or on ::1; rcvbuf 0: the kernel's own */
static UNUSED void server_start_at(struct server *s, bool v6, const struct step *script, size_t script_len, int rcvbuf)
{
	memset(s, 0, sizeof *s);
	pthread_mutex_init(&s->lock, NULL);
	s->script = script;
	s->script_len = script_len;
	s->fd = -1;
	server_listen(s, v6, rcvbuf);
	assert_int_equal(pipe(s->stop), 0);
	assert_int_equal(pipe(s->go), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, server_run, s), 0);
}

static UNUSED void server_start(struct server *s, const struct step *script, size_t script_len, int rcvbuf)
{
	server_start_at(s, false, script, script_len, rcvbuf);
}

static UNUSED void server_go(struct server *s)
{
	assert_int_equal(write(s->go[1], "", 1), 1);
}

static UNUSED void server_stop(struct server *s)
{
	close(s->stop[1]);
	pthread_join(s->thread, NULL);
	close(s->stop[0]);
	close(s->go[0]);
	close(s->go[1]);
	close(s->listener);
	pthread_mutex_destroy(&s->lock);
}

/* bytes the kernel has received on the connection open now, read by the server or not */
static UNUSED uint64_t server_kernel_bytes(struct server *s)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof info;

	LOCKED(s, getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	return info.tcpi_bytes_received;
}

#endif
