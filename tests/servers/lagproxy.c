/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lagproxy LISTEN TARGET [RTT_MS [BYTES_PER_S]]: a TCP proxy between ports of 127.0.0.1 that adds what loopback lacks.
 *
 * LISTEN 0 takes a free port. Half the round trip is added each way; a new connection pays one more, as a handshake
 * would. The rate is that of one link, shared by all connections, each way. Commands on stdin:
 *   rtt MS | rate BPS     from now on (rate 0: no limit)
 *   mode ok               go on
 *   mode hang             nothing passes, nothing ends
 *   mode reset            every connection, now and new, is reset
 *   mode refuse           as reset, and the port is closed
 *   cut N | cut-up N      reset each connection after N more bytes to (from) the client; 0: never
 *   kill                  reset the connections there are
 *   count                 print "count UP DOWN CONNECTIONS": bytes read from clients, bytes written to them
 *   zero                  count from 0 again */
#include "tests/servers/tool.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>

enum mode { MODE_OK, MODE_HANG, MODE_RESET, MODE_REFUSE };

/* Ends of a connection, and directions of flow by the end they start from. */
enum { CLIENT, SERVER };

#define FLOW_BYTES_MAX (4 << 20)
#define CHUNK_BYTES    65536

/* Bytes under way; length 0 is the end of the stream. */
struct chunk {
	struct chunk *next;
	int64_t due_us;
	size_t len, off;
	char data[];
};

struct flow {
	struct chunk *head, **tail;
	size_t queued_bytes;
	bool ended;  /* its source has said so */
	bool passed; /* and its sink has been told */
	long to_cut; /* bytes until the cut */
};

struct conn {
	struct conn *next;
	int fd[2];
	struct flow flow[2];
	int64_t born_us;
	bool dead;
};

static struct conn *conns;
static enum mode mode;
static int listen_fd = -1, listen_port, target_port;
static int64_t rtt_us, rate_bps;
static int64_t link_free_us[2]; /* when the last byte queued each way has left */
static long cut_bytes[2];
static uint64_t count_up, count_down, count_conns;

/* When a chunk that arrives now at one end may leave at the other. */
static int64_t due_us(const struct conn *c, int from, size_t len)
{
	int64_t now = now_us(), due = now + rtt_us / 2;

	if (from == CLIENT && now - c->born_us < rtt_us)
		due = c->born_us + rtt_us + rtt_us / 2;
	if (rate_bps > 0) {
		int64_t start = link_free_us[from] > now ? link_free_us[from] : now;

		link_free_us[from] = start + (int64_t)len * 1000000 / rate_bps;
		if (due < link_free_us[from] + rtt_us / 2)
			due = link_free_us[from] + rtt_us / 2;
	}
	return due;
}

static void flow_push(struct conn *c, int from, const char *data, size_t len)
{
	struct flow *f = &c->flow[from];
	struct chunk *k = must_alloc(NULL, sizeof(*k) + len);

	*k = (struct chunk){ .due_us = due_us(c, from, len), .len = len };
	if (len)
		memcpy(k->data, data, len);
	*f->tail = k;
	f->tail = &k->next;
	f->queued_bytes += len;
}

static void flow_pop(struct flow *f)
{
	struct chunk *k = f->head;

	f->queued_bytes -= k->len;
	f->head = k->next;
	if (!f->head)
		f->tail = &f->head;
	free(k);
}

static void flow_read(struct conn *c, int from)
{
	char data[CHUNK_BYTES];
	ssize_t n = read(c->fd[from], data, sizeof(data));

	if (n < 0) {
		c->dead = errno != EAGAIN;
		return;
	}
	if (from == CLIENT)
		count_up += (uint64_t)n;
	if (n == 0)
		c->flow[from].ended = true;
	flow_push(c, from, data, (size_t)n);
}

static void flow_account(struct conn *c, int from, size_t n)
{
	struct flow *f = &c->flow[from];

	if (from == SERVER)
		count_down += n;
	if (f->to_cut <= 0)
		return;
	f->to_cut -= (long)n;
	c->dead = f->to_cut <= 0;
}

/* Write what is due of the flow that starts at `from` to the other end. */
static void flow_write(struct conn *c, int from, int64_t now)
{
	struct flow *f = &c->flow[from];

	while (!c->dead && f->head && f->head->due_us <= now) {
		struct chunk *k = f->head;
		size_t len = k->len - k->off;
		ssize_t n;

		if (!k->len) {
			shutdown(c->fd[!from], SHUT_WR);
			f->passed = true;
			flow_pop(f);
			continue;
		}
		if (f->to_cut > 0 && len > (size_t)f->to_cut)
			len = (size_t)f->to_cut;
		n = write(c->fd[!from], k->data + k->off, len);
		if (n < 0) {
			c->dead = errno != EAGAIN;
			return;
		}
		flow_account(c, from, (size_t)n);
		k->off += (size_t)n;
		if (k->off < k->len)
			return;
		flow_pop(f);
	}
}

static void conn_free(struct conn *c)
{
	bool clean = c->flow[CLIENT].passed && c->flow[SERVER].passed;

	for (int i = 0; i < 2; i++) {
		if (clean)
			close(c->fd[i]);
		else
			close_reset(c->fd[i]);
		while (c->flow[i].head)
			flow_pop(&c->flow[i]);
	}
	free(c);
}

static void conns_reap(void)
{
	for (struct conn **at = &conns; *at;) {
		struct conn *c = *at;

		if (c->flow[CLIENT].passed && c->flow[SERVER].passed)
			c->dead = true;
		if (!c->dead) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		conn_free(c);
	}
}

static void conns_kill(void)
{
	for (struct conn *c = conns; c; c = c->next)
		c->dead = true;
}

static void conn_accept(void)
{
	struct sockaddr_in target = address_of("127.0.0.1", target_port);
	int client = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), server;
	struct conn *c;

	if (client < 0)
		return;
	server = mode == MODE_RESET ? -1 : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (server < 0 || connect(server, (struct sockaddr *)&target, sizeof(target)) < 0) {
		close_reset(client);
		if (server >= 0)
			close(server);
		return;
	}
	fcntl(server, F_SETFL, O_NONBLOCK);
	set_nodelay(client);
	set_nodelay(server);
	c = must_alloc(NULL, sizeof(*c));
	*c = (struct conn){ .next = conns, .fd = { client, server }, .born_us = now_us() };
	for (int i = 0; i < 2; i++) {
		c->flow[i].tail = &c->flow[i].head;
		c->flow[i].to_cut = cut_bytes[i];
	}
	conns = c;
	count_conns++;
}

static void cut_set(int from, long bytes)
{
	cut_bytes[from] = bytes;
	for (struct conn *c = conns; c; c = c->next)
		c->flow[from].to_cut = bytes;
}

static bool mode_set(const char *name)
{
	static const char *const names[] = { "ok", "hang", "reset", "refuse" };
	size_t i = 0;

	while (i < 4 && strcmp(name, names[i]))
		i++;
	if (i == 4)
		return false;
	mode = (enum mode)i;
	if (mode == MODE_RESET || mode == MODE_REFUSE)
		conns_kill();
	if (mode == MODE_REFUSE && listen_fd >= 0) {
		close(listen_fd);
		listen_fd = -1;
	} else if (mode != MODE_REFUSE && listen_fd < 0) {
		listen_fd = listen_on("127.0.0.1", listen_port, 0);
	}
	return true;
}

static void command(char *line)
{
	char word[16] = "", arg[16] = "";
	bool known = true;

	sscanf(line, "%15s %15s", word, arg);
	if (!strcmp(word, "rtt"))
		rtt_us = atol(arg) * 1000;
	else if (!strcmp(word, "rate"))
		rate_bps = atol(arg);
	else if (!strcmp(word, "cut"))
		cut_set(SERVER, atol(arg));
	else if (!strcmp(word, "cut-up"))
		cut_set(CLIENT, atol(arg));
	else if (!strcmp(word, "kill"))
		conns_kill();
	else if (!strcmp(word, "zero"))
		count_up = count_down = count_conns = 0;
	else if (!strcmp(word, "count"))
		printf("count %lu %lu %lu\n", count_up, count_down, count_conns);
	else
		known = !strcmp(word, "mode") && mode_set(arg);
	puts(known ? "ok" : "error unknown command");
}

/* What to wait for at one end: more to read from it, or something due to be written to it. */
static short conn_events(const struct conn *c, int end, int64_t now, int64_t *wake_us)
{
	const struct flow *in = &c->flow[end], *out = &c->flow[!end];
	short events = 0;

	if (mode == MODE_HANG)
		return 0;
	if (!in->ended && in->queued_bytes < FLOW_BYTES_MAX)
		events |= POLLIN;
	if (out->head && out->head->due_us <= now)
		events |= POLLOUT;
	else if (out->head && out->head->due_us < *wake_us)
		*wake_us = out->head->due_us;
	return events;
}

/* An end without events is left out: its hang-up would wake the loop again and again. */
static size_t polls_fill(struct pollfd **polls, int64_t now, int64_t *wake_us)
{
	static size_t room;
	size_t n = 2;

	for (struct conn *c = conns; c; c = c->next)
		n += 2;
	if (n > room) {
		room = n * 2;
		*polls = must_alloc(*polls, room * sizeof(**polls));
	}
	(*polls)[0] = (struct pollfd){ .fd = 0, .events = POLLIN };
	(*polls)[1] = (struct pollfd){ .fd = listen_fd, .events = POLLIN };
	n = 2;
	for (struct conn *c = conns; c; c = c->next) {
		for (int end = 0; end < 2; end++) {
			short events = conn_events(c, end, now, wake_us);

			(*polls)[n++] = (struct pollfd){ .fd = events ? c->fd[end] : -1, .events = events };
		}
	}
	return n;
}

static void conns_serve(const struct pollfd *polls)
{
	int64_t now = now_us();

	for (struct conn *c = conns; c; c = c->next, polls += 2) {
		for (int end = 0; end < 2 && !c->dead; end++) {
			if (polls[end].revents & (POLLIN | POLLHUP | POLLERR) && !c->flow[end].ended)
				flow_read(c, end);
			if (polls[end].revents & POLLOUT)
				flow_write(c, !end, now);
		}
	}
}

static void serve(void)
{
	struct pollfd *polls = NULL;

	for (;;) {
		int64_t now = now_us(), wake_us = now + 60 * 1000000LL;
		size_t n = polls_fill(&polls, now, &wake_us);
		struct timespec wait = { (wake_us - now) / 1000000, (wake_us - now) % 1000000 * 1000 };

		if (ppoll(polls, n, &wait, NULL) < 0 && errno != EINTR)
			die("poll");
		conns_serve(polls + 2);
		if (polls[1].revents & POLLIN)
			conn_accept();
		if (polls[0].revents && !commands_read(command))
			break;
		conns_reap();
	}
	free(polls);
}

int main(int argc, char **argv)
{
	if (argc < 3 || argc > 5) {
		fprintf(stderr, "usage: lagproxy LISTEN TARGET [RTT_MS [BYTES_PER_S]]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	target_port = atoi(argv[2]);
	rtt_us = argc > 3 ? atol(argv[3]) * 1000 : 0;
	rate_bps = argc > 4 ? atol(argv[4]) : 0;
	listen_fd = listen_on("127.0.0.1", atoi(argv[1]), 0);
	listen_port = port_of(listen_fd);
	printf("port %d\n", listen_port);
	fflush(stdout);
	serve();
	return 0;
}
