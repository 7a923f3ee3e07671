/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/server.h"

#include "base/log.h"
#include "fs/control/line.h"
#include "fs/control/outcome.h"
#include "fs/control/sock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct server {
	char *path;
	const struct server_op *ops;
	void *ctx;
	uid_t uid;
	int sock;
	/* become readable, and stay so, when the server drains and when it stops */
	int drain_fd, stop_fd;
	pthread_t listener;
	bool listening; /* the thread runs */

	/* protects all below; a leaf: nothing is called under it */
	pthread_mutex_t lock;
	pthread_cond_t fewer; /* a connection ended, or parked itself */
	unsigned connections, parked;
	int result; /* what the parked are told; written before stop_fd is raised */
	char *sentence;
};

struct connection {
	struct server *server;
	int sock;
};

static void raise_event(int fd)
{
	uint64_t one = 1;

	/* a counter that is full is readable already */
	if (write(fd, &one, sizeof one) < 0)
		return;
}

/* ---- one request ---------------------------------------------------------------------------------------------- */

static const struct server_op *find_op(const struct server *s, const char *name)
{
	for (const struct server_op *op = s->ops; op->name; op++)
		if (!strcmp(op->name, name))
			return op;
	return NULL;
}

/* whether this peer may ask this, with what it sent */
static int check_request(const struct request *r, const struct server_op *op, const char *name)
{
	if (!op)
		return errmsg_set(r->msg, -EOPNOTSUPP, "this daemon knows no operation \"%.40s\"", name);
	if (op->by_owner && !r->owner)
		return errmsg_set(
			r->msg, -EACCES, "only the user who mounted the store, or root, may ask for \"%s\"", op->name);
	if (op->wants_fd != (r->fd >= 0))
		return errmsg_set(
			r->msg, -EPROTO, "\"%s\" comes %s a descriptor", op->name, op->wants_fd ? "with" : "without");
	return 0;
}

static int run_request(struct request *r)
{
	const char *name = json_string_value(json_object_get(r->body, "op"));
	const struct server_op *op;
	int rc;

	if (!name)
		return errmsg_set(r->msg, -EPROTO, "the request names no operation");
	op = find_op(r->server, name);
	if ((rc = check_request(r, op, name)) < 0)
		return rc;
	return op->run(r);
}

/* Which line ends the answer. Returns what became of it: a peer that has gone is no one to tell. */
static int send_last(struct request *r, int rc)
{
	bool built = r->last && json_object_set_new(r->last, "done", json_true()) == 0 &&
		     json_object_set_new(r->last, "status", json_integer(outcome_of(rc))) == 0;

	if (!built)
		return -ENOMEM;
	if (rc < 0) {
		json_object_set_new(r->last, "error", json_string(err_name(rc)));
		json_object_set_new(r->last, "message", json_string(errmsg_text(r->msg, rc)));
	}
	return line_send(r->sock, r->last, -1, r->server->drain_fd, clock_mono_ns() + SERVER_SEND_NS);
}

static int receive_request(struct request *r)
{
	struct line_reader reader;
	uid_t uid = (uid_t)-1;
	int rc = sock_peer(r->sock, NULL, &uid);

	if (rc < 0)
		return rc;
	r->uid = uid;
	r->owner = uid == 0 || uid == r->server->uid;
	line_reader_init(&reader, r->sock, r->server->drain_fd, SERVER_REQUEST_BYTES);
	rc = line_receive(&reader, clock_mono_ns() + SERVER_REQUEST_NS, &r->body);
	r->fd = reader.fd;
	reader.fd = -1;
	line_reader_free(&reader);
	return rc;
}

void server_answer(struct server *s, int sock)
{
	struct errmsg msg = { 0 };
	struct request r = { .server = s, .sock = sock, .fd = -1, .msg = &msg, .ctx = s->ctx };
	int rc = receive_request(&r);

	if (rc == -ENODATA) /* asked nothing: somebody looked whether we are here */
		goto out;
	r.last = json_object();
	if (rc == 0)
		rc = run_request(&r);
	if ((rc = send_last(&r, rc)) < 0)
		log_debug("control: a client did not take its answer: %s", err_text(rc));
out:
	if (r.fd >= 0)
		close(r.fd);
	json_decref(r.body);
	json_decref(r.last);
	errmsg_free(&msg);
	close(sock);
}

int request_send(struct request *r, json_t *line)
{
	int rc = line ? line_send(r->sock, line, -1, r->server->drain_fd, clock_mono_ns() + SERVER_SEND_NS) : -ENOMEM;

	json_decref(line);
	return rc;
}

/* A client sends one request and then only waits: whatever else its socket reports is that it has gone, or is no
 * client of ours. */
int request_wait(struct request *r, int fd, int64_t deadline_ns)
{
	for (;;) {
		struct pollfd p[3] = { { .fd = r->sock, .events = POLLIN | POLLRDHUP },
			{ .fd = r->server->drain_fd, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
		int n = poll(p, 3, clock_poll_ms(deadline_ns));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			return p[1].revents ? -ERR_STOPPED : p[0].revents ? -ECANCELED : 0;
		if (clock_mono_ns() >= deadline_ns)
			return 0;
	}
}

int request_outlast(struct request *r, int fd)
{
	return line_wait(fd, POLLIN, r->server->drain_fd, INT64_MAX);
}

int request_park(struct request *r)
{
	struct server *s = r->server;
	int rc;

	pthread_mutex_lock(&s->lock);
	s->parked++;
	pthread_cond_broadcast(&s->fewer);
	pthread_mutex_unlock(&s->lock);
	rc = line_wait(r->sock, POLLIN | POLLRDHUP, s->stop_fd, INT64_MAX);
	pthread_mutex_lock(&s->lock);
	s->parked--;
	if (rc == -ERR_STOPPED) {
		rc = s->result;
		if (rc < 0 && s->sentence)
			errmsg_set(r->msg, rc, "%s", s->sentence);
	} else {
		rc = -ECANCELED;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/* ---- the listener --------------------------------------------------------------------------------------------- */

static void connection_end(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	s->connections--;
	pthread_cond_broadcast(&s->fewer);
	pthread_mutex_unlock(&s->lock);
}

static void *connection_run(void *arg)
{
	struct connection c = *(struct connection *)arg;

	free(arg);
	server_answer(c.server, c.sock);
	connection_end(c.server);
	return NULL;
}

static bool connection_admit(struct server *s)
{
	bool room;

	pthread_mutex_lock(&s->lock);
	room = s->connections < SERVER_CONNECTIONS;
	if (room)
		s->connections++;
	pthread_mutex_unlock(&s->lock);
	return room;
}

/* says why in the form of a last line, without waiting for a peer that does not read */
static void send_away(struct server *s, int sock, int rc, const char *sentence)
{
	struct errmsg msg = { 0 };
	struct request r = { .server = s, .sock = sock, .msg = &msg, .last = json_object() };

	errmsg_set(&msg, rc, "%s", sentence);
	send_last(&r, rc);
	json_decref(r.last);
	errmsg_free(&msg);
	close(sock);
}

static int thread_detached(void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t t;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = -pthread_create(&t, &attr, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return rc;
}

static void connection_start(struct server *s, int sock)
{
	struct connection *c;

	if (!connection_admit(s)) {
		send_away(s, sock, -EAGAIN, "too many commands are asking at once: try again");
		return;
	}
	c = malloc(sizeof *c);
	if (c) {
		*c = (struct connection){ s, sock };
		if (thread_detached(connection_run, c) == 0)
			return;
	}
	free(c);
	connection_end(s);
	send_away(s, sock, -ENOMEM, "the daemon has no memory for another request: try again");
}

static void *listener_run(void *arg)
{
	struct server *s = arg;

	for (;;) {
		int rc = line_wait(s->sock, POLLIN, s->drain_fd, INT64_MAX), sock;

		if (rc < 0) {
			if (rc != -ERR_STOPPED)
				log_error("control: the socket is lost: %s", err_text(rc));
			return NULL;
		}
		sock = accept4(s->sock, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (sock >= 0) {
			connection_start(s, sock);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
			/* the connection stays in the queue and the socket readable: let others end meanwhile */
			log_warn("control: a command waits: %s", err_text(-errno));
			line_wait(-1, 0, s->drain_fd, clock_mono_ns() + NS_PER_S);
		}
	}
}

/* ---- life ----------------------------------------------------------------------------------------------------- */

static void server_free(struct server *s)
{
	int fds[] = { s->sock, s->drain_fd, s->stop_fd };

	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	pthread_cond_destroy(&s->fewer);
	pthread_mutex_destroy(&s->lock);
	free(s->sentence);
	free(s->path);
	free(s);
}

static int listener_start(struct server *s)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = -pthread_create(&s->listener, NULL, listener_run, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	s->listening = rc == 0;
	return rc;
}

static struct server *server_new(const char *path, const struct server_op *ops, void *ctx)
{
	struct server *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->path = strdup(path);
	s->ops = ops;
	s->ctx = ctx;
	s->uid = geteuid();
	s->sock = -1;
	s->drain_fd = eventfd(0, EFD_CLOEXEC);
	s->stop_fd = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->fewer, NULL);
	if (s->path && s->drain_fd >= 0 && s->stop_fd >= 0)
		return s;
	server_free(s);
	return NULL;
}

int server_start(
	struct server **out, const char *path, mode_t mode, const struct server_op *ops, void *ctx, struct errmsg *msg)
{
	struct server *s = server_new(path, ops, ctx);
	int rc;

	*out = NULL;
	if (!s)
		return -ENOMEM;
	rc = s->sock = sock_listen_at(path, mode);
	if (rc >= 0)
		rc = listener_start(s);
	if (rc >= 0) {
		*out = s;
		return 0;
	}
	server_free(s);
	return errmsg_set(msg, rc, "the socket %s cannot be made: %s", path, err_text(rc));
}

void server_drain(struct server *s)
{
	if (!s->listening)
		return;
	raise_event(s->drain_fd);
	pthread_join(s->listener, NULL);
	s->listening = false;
	/* who connects from here on finds nobody, rather than a queue nobody serves */
	close(s->sock);
	s->sock = -1;
	pthread_mutex_lock(&s->lock);
	while (s->connections > s->parked)
		pthread_cond_wait(&s->fewer, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

void server_stop(struct server *s, int rc, const char *sentence)
{
	if (!s)
		return;
	server_drain(s);
	sock_remove_at(s->path);
	pthread_mutex_lock(&s->lock);
	s->result = rc;
	s->sentence = sentence ? strdup(sentence) : NULL;
	raise_event(s->stop_fd);
	while (s->connections)
		pthread_cond_wait(&s->fewer, &s->lock);
	pthread_mutex_unlock(&s->lock);
	server_free(s);
}
