/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The server with operations of its own, and the asking side against it. */
#include "fs/control/server.h"

#include "fs/control/control.h"
#include "fs/control/line.h"
#include "fs/control/sock.h"
#include "tests/unit/base/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LONG_NS (20 * NS_PER_S)

struct fixture {
	char store[512];
	struct server *server;
	/* what the operations saw: written on their threads, looked at under the lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned waiting, ended, parked;
	int last_rc;
};

static void note(struct fixture *f, unsigned *count, int rc)
{
	pthread_mutex_lock(&f->lock);
	(*count)++;
	f->last_rc = rc;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

static void await(struct fixture *f, const unsigned *count, unsigned n)
{
	int64_t deadline = clock_mono_ns() + LONG_NS;

	pthread_mutex_lock(&f->lock);
	while (*count < n)
		assert_int_equal(cond_wait_until(&f->changed, &f->lock, deadline), 0);
	pthread_mutex_unlock(&f->lock);
}

static int op_echo(struct request *r)
{
	json_object_set(r->last, "echo", json_object_get(r->body, "text"));
	request_send(r, json_pack("{s:i}", "line", 1));
	return request_send(r, json_pack("{s:i}", "line", 2));
}

static int op_wait(struct request *r)
{
	struct fixture *f = r->ctx;
	int rc;

	note(f, &f->waiting, 0);
	rc = request_wait(r, -1, INT64_MAX);
	note(f, &f->ended, rc);
	return rc;
}

static int op_park(struct request *r)
{
	struct fixture *f = r->ctx;

	request_send(r, json_object());
	note(f, &f->parked, 0);
	return request_park(r);
}

static int op_held(struct request *r)
{
	return errmsg_set(r->msg, -ERR_HELD, "not while I am here");
}

static const struct server_op ops[] = {
	{ "echo", false, false, op_echo },
	{ "path", true, false, op_echo },
	{ "wait", false, true, op_wait },
	{ "park", false, true, op_park },
	{ "held", false, true, op_held },
	{ 0 },
};

static void start_at(struct fixture *f)
{
	char *path = sock_path(f->store);
	struct errmsg msg = { 0 };

	assert_non_null(path);
	pthread_mutex_init(&f->lock, NULL);
	cond_init_mono(&f->changed);
	assert_int_equal(server_start(&f->server, path, 0600, ops, f, &msg), 0);
	assert_null(msg.text);
	free(path);
}

static void start(struct fixture *f)
{
	*f = (struct fixture){ 0 };
	snprintf(f->store, sizeof f->store, "/tmp/borderfs-server-XXXXXX");
	assert_non_null(mkdtemp(f->store));
	start_at(f);
}

static void end(struct fixture *f)
{
	server_stop(f->server, 0, NULL);
	assert_int_equal(rmdir(f->store), 0); /* nothing is left */
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
}

static int ask(struct fixture *f, const char *op, json_t *args, int fd, json_t **last, struct errmsg *msg)
{
	const struct control_at at = { "x.ini", f->store, NULL };

	return control_ask(&at, op, args, fd, NULL, NULL, last, msg);
}

static int count_line(void *ctx, json_t *line)
{
	int *sum = ctx;

	*sum = *sum * 10 + (int)json_integer_value(json_object_get(line, "line"));
	return *sum == 91 ? -EXDEV : 0;
}

static void test_answer(void **state)
{
	struct control_at here = { "x.ini", NULL, NULL };
	struct fixture f;
	json_t *last;
	int sum = 0;

	(void)state;
	start(&f);
	here.store = f.store;
	assert_int_equal(
		control_ask(&here, "echo", json_pack("{s:s}", "text", "ü"), -1, count_line, &sum, &last, NULL), 0);
	assert_int_equal(sum, 12);
	assert_string_equal(json_string_value(json_object_get(last, "echo")), "ü");
	assert_true(json_is_true(json_object_get(last, "done")));
	assert_int_equal(json_integer_value(json_object_get(last, "status")), 0);
	assert_null(json_object_get(last, "error"));
	json_decref(last);
	/* a line's callback ends it */
	sum = 9;
	assert_int_equal(control_ask(&here, "echo", NULL, -1, count_line, &sum, &last, NULL), -EXDEV);
	assert_null(last);
	assert_int_equal(control_pid(f.store), getpid());
	end(&f);
	assert_int_equal(control_pid(f.store), 0);
}

/* a request as sent, and its last line */
static void test_requests(void **state)
{
	static const struct {
		const char *text;
		int status;
		const char *error;
	} rows[] = {
		{ "{\"op\":\"echo\"}\n", 0, NULL },
		{ "{\"op\":\"held\"}\n", 3, "HELD" },
		{ "{\"op\":\"nothing\"}\n", 1, "EOPNOTSUPP" },
		{ "{\"op\":\"path\"}\n", 1, "EPROTO" },
		{ "{\"op\":7}\n", 1, "EPROTO" },
		{ "{}\n", 1, "EPROTO" },
		{ "[]\n", 1, "EPROTO" },
		{ "nonsense\n", 1, "EPROTO" },
		{ "\n", 1, "EPROTO" },
	};
	struct fixture f;

	(void)state;
	start(&f);
	for (size_t i = 0; i < COUNT(rows); i++) {
		int sock = sock_connect(f.store);
		struct line_reader r;
		json_t *line = NULL;
		const char *error;

		assert_true(sock >= 0);
		assert_int_equal(write(sock, rows[i].text, strlen(rows[i].text)), strlen(rows[i].text));
		line_reader_init(&r, sock, -1, 10000);
		do {
			json_decref(line);
			assert_int_equal(line_receive(&r, clock_mono_ns() + LONG_NS, &line), 0);
		} while (!json_object_get(line, "done"));
		assert_int_equal(json_integer_value(json_object_get(line, "status")), rows[i].status);
		error = json_string_value(json_object_get(line, "error"));
		if (rows[i].error)
			assert_string_equal(error, rows[i].error);
		else
			assert_null(error);
		assert_int_equal(json_object_get(line, "message") != NULL, rows[i].error != NULL);
		json_decref(line);
		assert_int_equal(line_receive(&r, clock_mono_ns() + LONG_NS, &line), -ENODATA);
		line_reader_free(&r);
		close(sock);
	}
	end(&f);
}

static void test_too_long(void **state)
{
	char *text = malloc(SERVER_REQUEST_BYTES + 100);
	struct fixture f;
	struct line_reader r;
	json_t *line;
	int sock;

	(void)state;
	start(&f);
	memset(text, ' ', SERVER_REQUEST_BYTES + 100);
	sock = sock_connect(f.store);
	assert_int_equal(send(sock, text, SERVER_REQUEST_BYTES + 100, MSG_NOSIGNAL), SERVER_REQUEST_BYTES + 100);
	line_reader_init(&r, sock, -1, 10000);
	assert_int_equal(line_receive(&r, clock_mono_ns() + LONG_NS, &line), 0);
	assert_string_equal(json_string_value(json_object_get(line, "error")), "EMSGSIZE");
	json_decref(line);
	line_reader_free(&r);
	close(sock);
	free(text);
	end(&f);
}

static void test_descriptor_unwanted(void **state)
{
	struct errmsg msg = { 0 };
	struct fixture f;
	json_t *last;
	int fd = open("/tmp", O_PATH | O_CLOEXEC);

	(void)state;
	start(&f);
	assert_int_equal(ask(&f, "path", NULL, fd, &last, &msg), 0);
	assert_int_equal(json_integer_value(json_object_get(last, "status")), 0);
	json_decref(last);
	assert_int_equal(ask(&f, "echo", NULL, fd, &last, &msg), 0);
	assert_string_equal(json_string_value(json_object_get(last, "message")), "\"echo\" comes without a descriptor");
	json_decref(last);
	close(fd);
	end(&f);
}

static void test_slow_request(void **state)
{
	struct fixture f;
	struct line_reader r;
	json_t *line;
	int sock;

	(void)state;
	start(&f);
	sock = sock_connect(f.store);
	assert_int_equal(write(sock, "{", 1), 1);
	line_reader_init(&r, sock, -1, 10000);
	assert_int_equal(line_receive(&r, clock_mono_ns() + LONG_NS, &line), 0);
	assert_string_equal(json_string_value(json_object_get(line, "error")), "ETIMEDOUT");
	json_decref(line);
	line_reader_free(&r);
	close(sock);
	end(&f);
}

static int connect_and_wait(struct fixture *f, unsigned n)
{
	int sock = sock_connect(f->store);

	assert_true(sock >= 0);
	assert_int_equal(send(sock, "{\"op\":\"wait\"}\n", 14, MSG_NOSIGNAL), 14);
	await(f, &f->waiting, n);
	return sock;
}

static void test_hangup_ends_wait(void **state)
{
	struct fixture f;
	int sock;

	(void)state;
	start(&f);
	sock = connect_and_wait(&f, 1);
	close(sock);
	await(&f, &f.ended, 1);
	assert_int_equal(f.last_rc, -ECANCELED);
	/* half of it is enough */
	sock = connect_and_wait(&f, 2);
	shutdown(sock, SHUT_WR);
	await(&f, &f.ended, 2);
	assert_int_equal(f.last_rc, -ECANCELED);
	close(sock);
	end(&f);
}

static void test_bounded(void **state)
{
	struct fixture f;
	int socks[SERVER_CONNECTIONS];
	json_t *last;

	(void)state;
	start(&f);
	for (unsigned i = 0; i < SERVER_CONNECTIONS; i++)
		socks[i] = connect_and_wait(&f, i + 1);
	assert_int_equal(ask(&f, "echo", NULL, -1, &last, NULL), 0);
	assert_string_equal(json_string_value(json_object_get(last, "error")), "EAGAIN");
	json_decref(last);
	close(socks[0]);
	await(&f, &f.ended, 1);
	for (;;) { /* until the thread that ended is counted off */
		assert_int_equal(ask(&f, "echo", NULL, -1, &last, NULL), 0);
		if (json_integer_value(json_object_get(last, "status")) == 0)
			break;
		json_decref(last);
	}
	json_decref(last);
	for (unsigned i = 1; i < SERVER_CONNECTIONS; i++)
		close(socks[i]);
	end(&f);
}

struct asker {
	struct fixture *f;
	const char *op;
	int rc;
	json_t *last;
	struct errmsg msg;
	pthread_t thread;
};

static void *asker_run(void *arg)
{
	struct asker *a = arg;

	a->rc = ask(a->f, a->op, NULL, -1, &a->last, &a->msg);
	return NULL;
}

static void asker_start(struct asker *a, struct fixture *f, const char *op)
{
	*a = (struct asker){ .f = f, .op = op };
	assert_int_equal(pthread_create(&a->thread, NULL, asker_run, a), 0);
}

static void test_drain_and_park(void **state)
{
	struct asker waiter, parked;
	struct fixture f;
	json_t *last;
	struct errmsg msg = { 0 };

	(void)state;
	start(&f);
	asker_start(&waiter, &f, "wait");
	await(&f, &f.waiting, 1);
	asker_start(&parked, &f, "park");
	await(&f, &f.parked, 1);
	server_drain(f.server);
	pthread_join(waiter.thread, NULL);
	assert_int_equal(waiter.rc, 0);
	assert_string_equal(json_string_value(json_object_get(waiter.last, "error")), "STOPPED");
	json_decref(waiter.last);
	/* who comes now finds nobody */
	assert_int_equal(ask(&f, "echo", NULL, -1, &last, &msg), -ECONNREFUSED);
	assert_non_null(strstr(msg.text, "is not mounted: mount it with `borderfs mount -c x.ini DIRECTORY`"));
	errmsg_free(&msg);
	server_stop(f.server, -ENOSPC, "the disk is full");
	pthread_join(parked.thread, NULL);
	assert_int_equal(parked.rc, 0);
	assert_string_equal(json_string_value(json_object_get(parked.last, "message")), "the disk is full");
	assert_int_equal(json_integer_value(json_object_get(parked.last, "status")), 1);
	json_decref(parked.last);
	assert_int_equal(rmdir(f.store), 0);
	pthread_cond_destroy(&f.changed);
	pthread_mutex_destroy(&f.lock);
}

static void test_stop_without_drain(void **state)
{
	struct asker parked, waiter;
	struct fixture f;

	(void)state;
	start(&f);
	asker_start(&parked, &f, "park");
	await(&f, &f.parked, 1);
	asker_start(&waiter, &f, "wait");
	await(&f, &f.waiting, 1);
	end(&f);
	pthread_join(parked.thread, NULL);
	pthread_join(waiter.thread, NULL);
	assert_int_equal(json_integer_value(json_object_get(parked.last, "status")), 0);
	assert_string_equal(json_string_value(json_object_get(waiter.last, "error")), "STOPPED");
	json_decref(parked.last);
	json_decref(waiter.last);
	server_stop(NULL, 0, NULL);
}

/* longer than a socket address; mode; what a killed daemon left */
static void test_socket(void **state)
{
	char base[] = "/tmp/borderfs-server-XXXXXX", path[600];
	struct fixture f = { 0 };
	struct stat st;
	json_t *last;
	int left;

	(void)state;
	assert_non_null(mkdtemp(base));
	snprintf(f.store, sizeof f.store, "%s/%0200d", base, 1);
	assert_int_equal(mkdir(f.store, 0700), 0);
	snprintf(path, sizeof path, "%s/control.sock", f.store);
	left = sock_listen_at(path, 0600);
	assert_true(left >= 0);
	close(left);
	assert_int_equal(control_pid(f.store), 0);
	umask(0);
	start_at(&f);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	assert_int_equal(ask(&f, "echo", NULL, -1, &last, NULL), 0);
	json_decref(last);
	end(&f);
	assert_int_equal(rmdir(base), 0);
}

/* that of approvers: anybody may connect, whatever the daemon's mask; what lies there and is no socket stays */
static void test_open_socket(void **state)
{
	char base[] = "/tmp/borderfs-server-XXXXXX", path[600], file[600], text[8] = "";
	struct server *s, *none;
	struct errmsg msg = { 0 };
	struct stat st;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(base));
	snprintf(path, sizeof path, "%s/open.sock", base);
	snprintf(file, sizeof file, "%s/file", base);
	umask(077);
	assert_int_equal(server_start(&s, path, 0666, ops, NULL, &msg), 0);
	umask(022);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0666);
	fd = open(file, O_CREAT | O_RDWR, 0600);
	assert_int_equal(write(fd, "mine", 4), 4);
	assert_int_equal(server_start(&none, file, 0666, ops, NULL, &msg), -EEXIST);
	assert_non_null(strstr(msg.text, "file cannot be made"));
	assert_int_equal(pread(fd, text, 4, 0), 4);
	assert_string_equal(text, "mine");
	close(fd);
	server_stop(s, 0, NULL);
	assert_int_equal(access(path, F_OK), -1);
	errmsg_free(&msg);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(base), 0);
}

static void test_no_store(void **state)
{
	struct server *s;
	struct errmsg msg = { 0 };

	(void)state;
	assert_int_equal(server_start(&s, "/nonexistent/store/control.sock", 0600, ops, NULL, &msg), -ENOENT);
	assert_null(s);
	assert_non_null(strstr(msg.text, "/nonexistent/store/control.sock cannot be made"));
	errmsg_free(&msg);
	assert_int_equal(control_pid("/nonexistent/store"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_descriptor_unwanted),
		cmocka_unit_test(test_slow_request),
		cmocka_unit_test(test_hangup_ends_wait),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_drain_and_park),
		cmocka_unit_test(test_stop_without_drain),
		cmocka_unit_test(test_socket),
		cmocka_unit_test(test_open_socket),
		cmocka_unit_test(test_no_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
