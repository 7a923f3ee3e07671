/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "fs/control/line.h"
#include "tests/unit/base/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOON (clock_mono_ns() + 50 * NS_PER_MS)

struct pair {
	int a, b;
};

static struct pair pair_new(void)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	return (struct pair){ fds[0], fds[1] };
}

static void pair_close(struct pair *p)
{
	if (p->a >= 0)
		close(p->a);
	close(p->b);
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void test_lines_in_order(void **state)
{
	struct pair p = pair_new();
	struct line_reader r;
	json_t *one = json_pack("{s:s}", "k", "first\nline"), *two = json_pack("{s:s}", "k", "second"), *got;

	(void)state;
	assert_int_equal(line_send(p.a, one, -1, -1, SOON), 0);
	assert_int_equal(line_send(p.a, two, -1, -1, SOON), 0);
	close(p.a);
	p.a = -1;
	line_reader_init(&r, p.b, -1, 1000);
	assert_int_equal(line_receive(&r, SOON, &got), 0);
	assert_string_equal(text_of(got, "k"), "first\nline");
	json_decref(got);
	assert_int_equal(line_receive(&r, SOON, &got), 0);
	assert_string_equal(text_of(got, "k"), "second");
	json_decref(got);
	assert_int_equal(line_receive(&r, SOON, &got), -ENODATA);
	assert_null(got);
	assert_int_equal(r.fd, -1);
	line_reader_free(&r);
	json_decref(one);
	json_decref(two);
	pair_close(&p);
}

static ino_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static void test_descriptor(void **state)
{
	struct pair p = pair_new();
	json_t *line = json_object(), *got;
	int dir = open("/tmp", O_PATH | O_CLOEXEC);
	struct line_reader r;

	(void)state;
	assert_int_equal(line_send(p.a, line, dir, -1, SOON), 0);
	line_reader_init(&r, p.b, -1, 1000);
	assert_int_equal(line_receive(&r, SOON, &got), 0);
	assert_true(r.fd >= 0);
	assert_int_equal(inode_of(r.fd), inode_of(dir));
	assert_int_equal(fcntl(r.fd, F_GETFD), FD_CLOEXEC);
	json_decref(got);
	line_reader_free(&r);
	/* the reader closes what nobody took */
	assert_int_equal(r.fd, -1);
	json_decref(line);
	close(dir);
	pair_close(&p);
}

static int open_count(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void send_fds(int sock, size_t count)
{
	char control[CMSG_SPACE(16 * sizeof(int))] = { 0 };
	struct iovec iov = { (void *)"{}\n", 3 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control };
	struct cmsghdr *c;
	int fds[16];

	m.msg_controllen = CMSG_SPACE(count * sizeof(int));
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	for (size_t i = 0; i < count; i++)
		fds[i] = sock;
	memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	assert_int_equal(sendmsg(sock, &m, 0), 3);
}

static void test_many_descriptors(void **state)
{
	static const size_t counts[] = { 2, 8, 9, 16 };

	(void)state;
	for (size_t i = 0; i < COUNT(counts); i++) {
		struct pair p = pair_new();
		int before = open_count();
		struct line_reader r;
		json_t *got;

		send_fds(p.a, counts[i]);
		line_reader_init(&r, p.b, -1, 1000);
		assert_int_equal(line_receive(&r, SOON, &got), -EPROTO);
		assert_null(got);
		line_reader_free(&r);
		assert_int_equal(open_count(), before);
		pair_close(&p);
	}
}

/* what a stranger sends, and how it ends: the peer closes after it */
static void test_refused(void **state)
{
	static const struct {
		const char *text;
		int rc;
	} rows[] = {
		{ "", -ENODATA },
		{ "{}", -EPROTO }, /* cut short */
		{ "\n", -EPROTO },
		{ "{\n", -EPROTO },
		{ "[]\n", -EPROTO },
		{ "\"text\"\n", -EPROTO },
		{ "{\"a\":1,\"a\":2}\n", -EPROTO },
		{ "{\"a\":\"\\u0000\"}\n", -EPROTO },
		{ "{} {}\n", -EPROTO },
		{ "{\"a\":\"\xff\"}\n", -EPROTO },
		{ "{\"a\":\"0123456789012345678901234567890123456789\"}\n", -EMSGSIZE },
		{ "012345678901234567890123456789012345678901234567890123456789", -EMSGSIZE },
		{ "{\"op\":\"x\"}\n", 0 },
		{ "  {\"op\":\"x\"}  \r\n", 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct pair p = pair_new();
		struct line_reader r;
		json_t *got;

		assert_int_equal(write(p.a, rows[i].text, strlen(rows[i].text)), strlen(rows[i].text));
		close(p.a);
		p.a = -1;
		line_reader_init(&r, p.b, -1, 40);
		assert_int_equal(line_receive(&r, SOON, &got), rows[i].rc);
		assert_int_equal(got != NULL, rows[i].rc == 0);
		json_decref(got);
		line_reader_free(&r);
		pair_close(&p);
	}
}

static void test_deadline_and_wake(void **state)
{
	struct pair p = pair_new();
	int wake = eventfd(0, EFD_CLOEXEC);
	int64_t began = clock_mono_ns();
	uint64_t n = 1;
	struct line_reader r;
	json_t *got;

	(void)state;
	assert_int_equal(write(p.a, "{", 1), 1);
	line_reader_init(&r, p.b, wake, 1000);
	assert_int_equal(line_receive(&r, began + 50 * NS_PER_MS, &got), -ETIMEDOUT);
	assert_in_range(clock_mono_ns() - began, 50 * NS_PER_MS, 1000 * NS_PER_MS);
	assert_int_equal(write(wake, &n, sizeof n), sizeof n);
	assert_int_equal(line_receive(&r, INT64_MAX, &got), -ERR_STOPPED);
	/* what is there already is taken all the same */
	assert_int_equal(write(p.a, "}\n", 2), 2);
	assert_int_equal(line_receive(&r, INT64_MAX, &got), 0);
	json_decref(got);
	line_reader_free(&r);
	close(wake);
	pair_close(&p);
}

static json_t *large(size_t len)
{
	char *text = malloc(len + 1);
	json_t *line;

	memset(text, 'x', len);
	text[len] = 0;
	line = json_pack("{s:s}", "k", text);
	free(text);
	return line;
}

struct taker {
	int sock;
	size_t len;
};

static void *take(void *arg)
{
	struct taker *t = arg;
	struct line_reader r;
	json_t *got;

	line_reader_init(&r, t->sock, -1, 1 << 24);
	if (line_receive(&r, clock_mono_ns() + 10 * NS_PER_S, &got) == 0)
		t->len = json_string_length(json_object_get(got, "k"));
	json_decref(got);
	line_reader_free(&r);
	return NULL;
}

static void test_slow_reader(void **state)
{
	struct pair p = pair_new();
	json_t *line = large(4 << 20);
	struct taker t = { p.b, 0 };
	pthread_t thread;

	(void)state;
	/* nobody takes it: the time ends */
	assert_int_equal(line_send(p.a, line, -1, -1, SOON), -ETIMEDOUT);
	pair_close(&p);
	/* somebody takes it in pieces: all of it arrives */
	p = pair_new();
	t.sock = p.b;
	assert_int_equal(pthread_create(&thread, NULL, take, &t), 0);
	assert_int_equal(line_send(p.a, line, -1, -1, clock_mono_ns() + 10 * NS_PER_S), 0);
	pthread_join(thread, NULL);
	assert_int_equal(t.len, 4 << 20);
	/* the other end is gone */
	close(p.b);
	assert_int_equal(line_send(p.a, line, -1, -1, SOON), -EPIPE);
	close(p.a);
	json_decref(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_in_order),
		cmocka_unit_test(test_descriptor),
		cmocka_unit_test(test_many_descriptors),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_deadline_and_wake),
		cmocka_unit_test(test_slow_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
