/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trapd [-a ADDRESS] [-p PORT] [-b RCVBUF] [-r BYTES_PER_S] [-l LOG]: an S3-like server that misbehaves as told, and
 * counts.
 *
 * Untold it behaves: it keeps what is PUT in memory and serves GET (with Range), HEAD, DELETE and the list of a bucket.
 * It checks no signature. -b shrinks the sockets' receive buffers, so that little more is sent than has been read; -r
 * limits how fast each connection's request bodies are read; LOG gets a line "METHOD PATH" a request, when its header
 * is whole. Commands on stdin:
 *   rate BPS           as -r, from now on (0: no limit)
 *   do store           behave
 *   do answer STATUS   answer so
 *   do hang            never answer
 *   do reset           reset the connection
 *   do close           close it without an answer
 *   at header|body     when that is done: once the header is whole, or (the default) once the body is too
 *   match TEXT         only to requests whose "METHOD PATH" holds TEXT, from now on (no TEXT: all)
 *   times N            only to the next N of them (0: without limit)
 *   header NAME: VALUE in answers of `do answer` (no NAME: none)
 *   body TEXT          of answers of `do answer`
 *   length N           the Content-Length that every answer claims (-1: the true one)
 *   drop PREFIX        forget the objects whose path starts so
 *   stat               print "stat CONNECTIONS REQUESTS HEADER_BYTES BODY_BYTES RECEIVED_BYTES": the last is what the
 *                      kernel has acknowledged, read by this program or not
 *                      (an orderly end of the stream that is not read yet counts 1)
 *   list               print a line "conn NUMBER STATE HEADER_BYTES BODY_BYTES RECEIVED_BYTES METHOD PATH" for each
 *   zero               count from 0 again
 *   kill               reset the connections there are */
#include "tests/servers/tool.h"

#include <poll.h>
#include <signal.h>
#include <strings.h>

#define HEAD_BYTES_MAX 65536
#define READ_BYTES_MAX 16384

struct bytes {
	char *at;
	size_t len, room;
};

struct object {
	struct object *next;
	char *path;
	struct bytes body;
};

enum action { DO_STORE, DO_ANSWER, DO_HANG, DO_RESET, DO_CLOSE };
enum moment { AT_HEADER, AT_BODY };

/* What is being read or written on a connection. */
enum state { READ_HEAD, READ_BODY, WRITE_ANSWER, HUNG, ENDED };

struct conn {
	struct conn *next;
	unsigned number;
	int fd;
	enum state state;
	enum action action; /* for the current request */
	struct bytes in;    /* its header, then, for a PUT, its body */
	char method[16], path[2048];
	long range_first, range_last; /* -1: none */
	size_t body_left;
	bool answered;	  /* at the header: what remains of the body is read, and no more said */
	int64_t quota_us; /* when the next body byte may be read */
	struct bytes out;
	size_t out_off;
	uint64_t header_bytes, body_bytes, received_base;
};

static const char *const state_names[] = { "head", "body", "answer", "hung", "ended" };

static struct conn *conns;
static struct object *objects;
static int listen_fd;
static FILE *log_file;
static long rate_bps;
static struct {
	enum action action;
	enum moment moment;
	int status;
	long times; /* 0: without limit */
	long length;
	char match[1024], header[2048], body[4096];
} plan = { .length = -1 };
static struct {
	uint64_t conns, requests, header_bytes, body_bytes, received_bytes;
} count; /* received_bytes: of connections that have ended */

static void bytes_add(struct bytes *b, const void *data, size_t len)
{
	if (b->len + len > b->room) {
		b->room = (b->len + len) * 2;
		b->at = must_alloc(b->at, b->room);
	}
	if (len)
		memcpy(b->at + b->len, data, len);
	b->len += len;
}

static void bytes_free(struct bytes *b)
{
	free(b->at);
	*b = (struct bytes){ 0 };
}

static struct object **object_find(const char *path)
{
	struct object **at = &objects;

	while (*at && strcmp((*at)->path, path))
		at = &(*at)->next;
	return at;
}

static void object_free(struct object **at)
{
	struct object *o = *at;

	*at = o->next;
	free(o->path);
	bytes_free(&o->body);
	free(o);
}

/* Takes the body over. */
static void object_put(const char *path, struct bytes *body)
{
	struct object **at = object_find(path), *o;

	if (*at)
		object_free(at);
	o = must_alloc(NULL, sizeof(*o));
	*o = (struct object){ .next = objects, .path = strdup(path), .body = *body };
	objects = o;
	*body = (struct bytes){ 0 };
}

static void objects_drop(const char *prefix)
{
	for (struct object **at = &objects; *at;) {
		if (!strncmp((*at)->path, prefix, strlen(prefix)))
			object_free(at);
		else
			at = &(*at)->next;
	}
}

/* What the kernel has taken in for this connection since the counts began. */
static uint64_t conn_received(const struct conn *c)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return 0;
	return info.tcpi_bytes_received - c->received_base;
}

static void conn_free(struct conn *c, bool reset)
{
	count.received_bytes += conn_received(c);
	if (reset)
		close_reset(c->fd);
	else
		close(c->fd);
	bytes_free(&c->in);
	bytes_free(&c->out);
	free(c);
}

static void conns_kill(void)
{
	while (conns) {
		struct conn *c = conns;

		conns = c->next;
		conn_free(c, true);
	}
}

static void conn_accept(void)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct conn *c;

	if (fd < 0)
		return;
	set_nodelay(fd);
	c = must_alloc(NULL, sizeof(*c));
	*c = (struct conn){ .next = conns, .number = (unsigned)++count.conns, .fd = fd };
	conns = c;
}

/* The value of a header field, up to the end of its line; NULL where there is none. */
static const char *field(const struct conn *c, const char *name)
{
	const char *line = c->in.at;
	size_t len = strlen(name);

	while ((line = strstr(line, "\r\n"))) {
		line += 2;
		if (!strncasecmp(line, name, len) && line[len] == ':')
			return line + len + 1 + strspn(line + len + 1, " ");
	}
	return NULL;
}

static const char *reason(int status)
{
	return status < 300 ? "OK" : status < 400 ? "Elsewhere" : status < 500 ? "Refused" : "Broken";
}

/* head: whole lines, each with its end, put before the length. A body that is not sent still counts for the length. */
static void answer(struct conn *c, int status, const char *head, const char *body, size_t len)
{
	char text[4096];
	int n = snprintf(text, sizeof(text), "HTTP/1.1 %d %s\r\nServer: trapd\r\n%sContent-Length: %ld\r\n\r\n", status,
		reason(status), head, plan.length >= 0 ? plan.length : (long)len);

	bytes_add(&c->out, text, (size_t)n);
	if (strcmp(c->method, "HEAD"))
		bytes_add(&c->out, body, len);
	c->state = WRITE_ANSWER;
}

static void answer_error(struct conn *c, int status, const char *code)
{
	char body[256];
	int n = snprintf(body, sizeof(body), "<Error><Code>%s</Code><Message>trapd</Message></Error>", code);

	answer(c, status, "Content-Type: application/xml\r\n", body, (size_t)n);
}

static void answer_list(struct conn *c)
{
	struct bytes body = { 0 };
	size_t bucket = strcspn(c->path + 1, "/?") + 1;

	bytes_add(&body, "<ListBucketResult><IsTruncated>false</IsTruncated>", 50);
	for (struct object *o = objects; o; o = o->next) {
		char text[4096];
		int n;

		if (strncmp(o->path, c->path, bucket) || o->path[bucket] != '/')
			continue;
		n = snprintf(text, sizeof(text), "<Contents><Key>%s</Key><Size>%zu</Size></Contents>",
			o->path + bucket + 1, o->body.len);
		bytes_add(&body, text, (size_t)n);
	}
	bytes_add(&body, "</ListBucketResult>", 19);
	answer(c, 200, "Content-Type: application/xml\r\n", body.at, body.len);
	bytes_free(&body);
}

static void answer_object(struct conn *c, const struct object *o)
{
	size_t first = 0, last = o->body.len;
	char head[128] = "ETag: \"trapd\"\r\n";

	if (c->range_first < 0) {
		answer(c, 200, head, o->body.at, o->body.len);
		return;
	}
	first = (size_t)c->range_first;
	if (first >= o->body.len) {
		answer_error(c, 416, "InvalidRange");
		return;
	}
	if (c->range_last >= 0 && (size_t)c->range_last + 1 < last)
		last = (size_t)c->range_last + 1;
	snprintf(head, sizeof(head), "ETag: \"trapd\"\r\nContent-Range: bytes %zu-%zu/%zu\r\n", first, last - 1,
		o->body.len);
	answer(c, 206, head, o->body.at + first, last - first);
}

/* A path without an object's name speaks of the bucket itself. */
static bool is_bucket(const char *path)
{
	size_t n = strcspn(path + 1, "/?") + 1;

	return path[n] != '/' || path[n + 1] == '\0' || path[n + 1] == '?';
}

static void answer_store(struct conn *c)
{
	struct object **at = object_find(c->path);
	bool get = !strcmp(c->method, "GET"), head = !strcmp(c->method, "HEAD");

	if (is_bucket(c->path) && get) {
		answer_list(c);
	} else if (is_bucket(c->path)) {
		answer(c, 200, "", NULL, 0);
	} else if (!strcmp(c->method, "PUT")) {
		object_put(c->path, &c->in);
		answer(c, 200, "ETag: \"trapd\"\r\n", NULL, 0);
	} else if (!strcmp(c->method, "DELETE")) {
		if (*at)
			object_free(at);
		answer(c, 204, "", NULL, 0);
	} else if (!get && !head) {
		answer_error(c, 501, "NotImplemented");
	} else if (*at) {
		answer_object(c, *at);
	} else {
		answer_error(c, 404, "NoSuchKey");
	}
}

static void conn_act(struct conn *c)
{
	switch (c->action) {
	case DO_STORE:
		answer_store(c);
		break;
	case DO_ANSWER:
		answer(c, plan.status, plan.header, plan.body, strlen(plan.body));
		break;
	case DO_HANG:
		c->state = HUNG;
		break;
	case DO_RESET:
	case DO_CLOSE:
		c->state = ENDED;
		break;
	}
}

/* What the plan says of this request; it is used up by `times`. */
static enum action plan_take(const struct conn *c)
{
	char line[sizeof(c->method) + sizeof(c->path)];
	enum action action = plan.action;

	snprintf(line, sizeof(line), "%s %s", c->method, c->path);
	if (action == DO_STORE || !strstr(line, plan.match))
		return DO_STORE;
	if (plan.times && !--plan.times)
		plan.action = DO_STORE;
	return action;
}

static void range_parse(struct conn *c)
{
	const char *range = field(c, "Range");

	c->range_first = c->range_last = -1;
	if (range)
		sscanf(range, "bytes=%ld-%ld", &c->range_first, &c->range_last);
}

/* The header is whole and `in` holds nothing else but the start of the body. */
static void conn_begin(struct conn *c)
{
	const char *length = field(c, "Content-Length"), *expect = field(c, "Expect");
	enum moment moment = plan.moment;

	sscanf(c->in.at, "%15s %2047s", c->method, c->path);
	c->body_left = length ? strtoul(length, NULL, 10) : 0;
	range_parse(c);
	count.requests++;
	if (log_file) {
		fprintf(log_file, "%s %s\n", c->method, c->path);
		fflush(log_file);
	}
	c->state = READ_BODY;
	c->quota_us = now_us();
	c->action = plan_take(c);
	c->answered = c->action != DO_STORE && moment == AT_HEADER;
	if (c->answered)
		conn_act(c);
	else if (expect && c->body_left)
		bytes_add(&c->out, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}

/* The end of a request: the next one may follow on the same connection. */
static void conn_again(struct conn *c)
{
	c->in.len = 0;
	c->answered = false;
	c->state = READ_HEAD;
}

static void conn_body(struct conn *c, const char *data, size_t len)
{
	c->body_left -= len;
	c->body_bytes += len;
	count.body_bytes += len;
	if (rate_bps > 0)
		c->quota_us = now_us() + (int64_t)len * 1000000 / rate_bps;
	if (!c->answered)
		bytes_add(&c->in, data, len);
}

static void conn_head(struct conn *c, const char *data, size_t len)
{
	size_t had = c->in.len, head;
	char *end;

	bytes_add(&c->in, data, len);
	bytes_add(&c->in, "", 1);
	c->in.len--;
	end = strstr(c->in.at, "\r\n\r\n");
	head = end ? (size_t)(end + 4 - c->in.at) - had : len;
	c->header_bytes += head;
	count.header_bytes += head;
	if (end) {
		end[2] = '\0';
		conn_begin(c);
		c->in.len = 0;
		len -= head;
		conn_body(c, data + head, len < c->body_left ? len : c->body_left);
	} else if (c->in.len > HEAD_BYTES_MAX) {
		c->state = ENDED;
	}
}

static size_t read_size(const struct conn *c)
{
	size_t slice = rate_bps > 0 ? (size_t)rate_bps / 20 + 1 : READ_BYTES_MAX; /* a twentieth of a second's worth */

	if (c->state == READ_HEAD)
		return READ_BYTES_MAX;
	if (slice > READ_BYTES_MAX)
		slice = READ_BYTES_MAX;
	return slice < c->body_left ? slice : c->body_left;
}

static void conn_read(struct conn *c)
{
	char data[READ_BYTES_MAX];
	ssize_t n = read(c->fd, data, read_size(c));

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		c->received_base += n == 0; /* the kernel counts the end as a byte */
		c->action = DO_CLOSE;
		c->state = ENDED;
	} else if (c->state == READ_HEAD) {
		conn_head(c, data, (size_t)n);
	} else {
		conn_body(c, data, (size_t)n);
	}
	if (c->state == READ_BODY && !c->body_left) {
		if (c->answered)
			conn_again(c);
		else
			conn_act(c);
	}
}

static void conn_write(struct conn *c)
{
	ssize_t n = write(c->fd, c->out.at + c->out_off, c->out.len - c->out_off);

	if (n < 0) {
		c->state = errno == EAGAIN ? c->state : ENDED;
		return;
	}
	c->out_off += (size_t)n;
	if (c->out_off < c->out.len)
		return;
	c->out.len = c->out_off = 0;
	if (c->state != WRITE_ANSWER)
		return;
	if (plan.length >= 0) /* the client waits for more than there is */
		c->state = ENDED;
	else if (c->body_left)
		c->state = READ_BODY;
	else
		conn_again(c);
}

static void conns_reap(void)
{
	for (struct conn **at = &conns; *at;) {
		struct conn *c = *at;

		if (c->state == ENDED) {
			*at = c->next;
			conn_free(c, c->action == DO_RESET);
		} else {
			at = &c->next;
		}
	}
}

static void print_stat(void)
{
	uint64_t received = count.received_bytes;

	for (struct conn *c = conns; c; c = c->next)
		received += conn_received(c);
	printf("stat %lu %lu %lu %lu %lu\n", count.conns, count.requests, count.header_bytes, count.body_bytes,
		received);
}

static void print_conns(void)
{
	for (struct conn *c = conns; c; c = c->next)
		printf("conn %u %s %lu %lu %lu %s %s\n", c->number, state_names[c->state], c->header_bytes,
			c->body_bytes, conn_received(c), c->method[0] ? c->method : "-", c->path[0] ? c->path : "-");
}

static void count_zero(void)
{
	memset(&count, 0, sizeof(count));
	for (struct conn *c = conns; c; c = c->next) {
		c->received_base += conn_received(c);
		c->header_bytes = c->body_bytes = 0;
	}
}

static bool plan_do(const char *arg)
{
	static const char *const names[] = { "store", "answer", "hang", "reset", "close" };
	size_t i = 0;

	while (i < 5 && strncmp(arg, names[i], strlen(names[i])))
		i++;
	if (i == 5)
		return false;
	plan.action = (enum action)i;
	if (plan.action == DO_ANSWER)
		plan.status = atoi(arg + 6);
	return plan.action != DO_ANSWER || (plan.status >= 100 && plan.status < 600);
}

static bool plan_at(const char *arg)
{
	plan.moment = !strcmp(arg, "header") ? AT_HEADER : AT_BODY;
	return plan.moment == AT_HEADER || !strcmp(arg, "body");
}

static bool command_plan(const char *word, const char *arg)
{
	if (!strcmp(word, "do"))
		return plan_do(arg);
	if (!strcmp(word, "at"))
		return plan_at(arg);
	if (!strcmp(word, "match"))
		snprintf(plan.match, sizeof(plan.match), "%s", arg);
	else if (!strcmp(word, "times"))
		plan.times = atol(arg);
	else if (!strcmp(word, "header"))
		snprintf(plan.header, sizeof(plan.header), *arg ? "%s\r\n" : "%s", arg);
	else if (!strcmp(word, "body"))
		snprintf(plan.body, sizeof(plan.body), "%s", arg);
	else if (!strcmp(word, "length"))
		plan.length = atol(arg);
	else
		return false;
	return true;
}

static void command(char *line)
{
	char *arg = strchr(line, ' ');
	bool known = true;

	if (arg)
		*arg++ = '\0';
	else
		arg = line + strlen(line);
	if (!strcmp(line, "rate"))
		rate_bps = atol(arg);
	else if (!strcmp(line, "drop"))
		objects_drop(arg);
	else if (!strcmp(line, "stat"))
		print_stat();
	else if (!strcmp(line, "list"))
		print_conns();
	else if (!strcmp(line, "zero"))
		count_zero();
	else if (!strcmp(line, "kill"))
		conns_kill();
	else
		known = command_plan(line, arg);
	puts(known ? "ok" : "error unknown command");
}

/* A hung connection is not looked at, so that its peer's close is its peer's business. */
static short conn_events(const struct conn *c, int64_t now, int64_t *wake_us)
{
	short events = c->out.len ? POLLOUT : 0;

	if (c->state == READ_HEAD)
		return events | POLLIN;
	if (c->state != READ_BODY)
		return events;
	if (c->quota_us <= now)
		return events | POLLIN;
	if (c->quota_us < *wake_us)
		*wake_us = c->quota_us;
	return events;
}

static size_t polls_fill(struct pollfd **polls, int64_t now, int64_t *wake_us)
{
	static size_t room;
	size_t n = 2;

	for (struct conn *c = conns; c; c = c->next)
		n++;
	if (n > room) {
		room = n * 2;
		*polls = must_alloc(*polls, room * sizeof(**polls));
	}
	(*polls)[0] = (struct pollfd){ .fd = 0, .events = POLLIN };
	(*polls)[1] = (struct pollfd){ .fd = listen_fd, .events = POLLIN };
	n = 2;
	for (struct conn *c = conns; c; c = c->next) {
		short events = conn_events(c, now, wake_us);

		(*polls)[n++] = (struct pollfd){ .fd = events ? c->fd : -1, .events = events };
	}
	return n;
}

static void serve(void)
{
	struct pollfd *polls = NULL;

	for (;;) {
		int64_t now = now_us(), wake_us = now + 60 * 1000000LL;
		size_t n = polls_fill(&polls, now, &wake_us), i = 2;
		struct timespec wait = { (wake_us - now) / 1000000, (wake_us - now) % 1000000 * 1000 };

		if (ppoll(polls, n, &wait, NULL) < 0 && errno != EINTR)
			die("poll");
		for (struct conn *c = conns; c; c = c->next, i++) {
			if (polls[i].revents & POLLOUT)
				conn_write(c);
			else if (polls[i].revents)
				conn_read(c);
		}
		conns_reap();
		if (polls[1].revents & POLLIN)
			conn_accept();
		if (polls[0].revents && !commands_read(command))
			break;
	}
	free(polls);
	conns_kill();
	objects_drop("");
}

int main(int argc, char **argv)
{
	const char *ip = "127.0.0.1";
	int opt, port = 0, rcvbuf = 0;

	while ((opt = getopt(argc, argv, "a:p:b:r:l:")) != -1) {
		if (opt == 'a')
			ip = optarg;
		else if (opt == 'p')
			port = atoi(optarg);
		else if (opt == 'b')
			rcvbuf = atoi(optarg);
		else if (opt == 'r')
			rate_bps = atol(optarg);
		else if (opt != 'l' || !(log_file = fopen(optarg, "a")))
			return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	listen_fd = listen_on(ip, port, rcvbuf);
	printf("port %d\n", port_of(listen_fd));
	fflush(stdout);
	serve();
	return 0;
}
