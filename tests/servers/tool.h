/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the test servers lagproxy and trapd share: sockets on loopback, and commands read from stdin.
 *
 * Both print "port N" first, answer every command with one or more lines of which the last is "ok" or "error TEXT",
 * and end when stdin does, so that no test leaves one behind. */
#ifndef TESTS_SERVERS_TOOL_H
#define TESTS_SERVERS_TOOL_H

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h> /* glibc's tcp_info lacks bytes_received */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

/* For callers that cannot go on without: a test tool has nothing to save. */
static inline void *must_alloc(void *old, size_t len)
{
	void *p = realloc(old, len);

	if (!p)
		die("memory");
	return p;
}

static inline struct sockaddr_in address_of(const char *ip, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	if (inet_pton(AF_INET, ip, &a.sin_addr) != 1) {
		fprintf(stderr, "%s: not an IPv4 address\n", ip);
		exit(2);
	}
	return a;
}

/* Port 0: one the kernel chooses. rcvbuf 0: the kernel's own; connections inherit it. */
static inline int listen_on(const char *ip, int port, int rcvbuf)
{
	struct sockaddr_in a = address_of(ip, port);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (rcvbuf)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 128) < 0)
		die("listen");
	return fd;
}

static inline int port_of(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		die("getsockname");
	return ntohs(a.sin_port);
}

static inline void set_nodelay(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* Close with RST instead of FIN. */
static inline void close_reset(int fd)
{
	struct linger now = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

/* commands_read: call run for each whole line on stdin. False at its end. */
static inline bool commands_read(void (*run)(char *line))
{
	static char in[8192];
	static size_t have;
	char *end;
	ssize_t n = read(0, in + have, sizeof(in) - have - 1);

	if (n <= 0)
		return n < 0 && errno == EINTR;
	have += (size_t)n;
	in[have] = '\0';
	while ((end = strchr(in, '\n'))) {
		*end = '\0';
		run(in);
		have -= (size_t)(end + 1 - in);
		memmove(in, end + 1, have + 1);
	}
	if (have == sizeof(in) - 1)
		have = 0;
	fflush(stdout);
	return true;
}

#endif
