/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The SFTP driver against what is no SSH server, or a silent one: every call ends, in time and with a reason. A real
 * server's part is in tests/contract. */
#include "backends/sftp.h"
#include "base/file.h"
#include "tests/unit/backends/support.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* Says its line to whoever connects, then reads until the other side leaves, or leaves itself. */
struct stranger {
	pthread_t thread;
	int listener, port, stop[2];
	const char *line;
	bool leaves;
	atomic_uint connections, bytes;
};

static bool stranger_wait(struct stranger *s, int fd)
{
	struct pollfd p[2] = { { fd, POLLIN, 0 }, { s->stop[0], POLLIN, 0 } };

	return poll(p, 2, -1) > 0 && !p[1].revents;
}

static void *stranger_run(void *arg)
{
	struct stranger *s = arg;
	char piece[4096];
	ssize_t n;

	while (stranger_wait(s, s->listener)) {
		int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);

		atomic_fetch_add(&s->connections, 1);
		if (s->line)
			send(fd, s->line, strlen(s->line), MSG_NOSIGNAL);
		while (!s->leaves && stranger_wait(s, fd) && (n = read(fd, piece, sizeof piece)) > 0)
			atomic_fetch_add(&s->bytes, (unsigned)n);
		close(fd);
	}
	return NULL;
}

static void stranger_start(struct stranger *s, const char *line, bool leaves)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;

	memset(s, 0, sizeof *s);
	s->line = line;
	s->leaves = leaves;
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(s->listener, 16), 0);
	assert_int_equal(getsockname(s->listener, (struct sockaddr *)&a, &len), 0);
	s->port = ntohs(a.sin_port);
	assert_int_equal(pipe(s->stop), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, stranger_run, s), 0);
}

static void stranger_stop(struct stranger *s)
{
	close(s->stop[1]);
	pthread_join(s->thread, NULL);
	close(s->stop[0]);
	close(s->listener);
}

/* How many have connected: it serves one after the other, so that when it has read a byte of ours it has met everybody
 * who came before. */
static unsigned stranger_visitors(struct stranger *s)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)s->port)
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(write(fd, "", 1), 1);
	while (!atomic_load(&s->bytes))
		usleep(1000);
	close(fd);
	return atomic_load(&s->connections) - 1;
}

struct cloud {
	struct stranger server;
	struct setting setting;
	char endpoint[64], key[64];
	char *pins[2];
	struct backend *backend; /* the bare driver */
};

static void write_key(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(file_write_full(fd, "no key\n", 7), 0);
	close(fd);
}

/* of a backend whose calls are to end before */
#define PATIENCE_NS (20 * NS_PER_S)

static struct config_backend *cloud_prepare(struct cloud *w)
{
	struct config_backend *config = setting_init(&w->setting, "sftp");

	strcpy(w->key, "/tmp/sftp-test-XXXXXX");
	close(mkstemp(w->key));
	write_key(w->key);
	w->pins[0] = STR("SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
	w->pins[1] = NULL;
	config->endpoint = w->endpoint;
	config->bucket = NULL;
	config->user = STR("u");
	config->directory = STR("/srv");
	config->key_file = w->key;
	config->host_keys = w->pins;
	config->timeout_ns = NS_PER_S;
	return config;
}

static void cloud_start(struct cloud *w, const char *line, bool leaves)
{
	cloud_prepare(w);
	stranger_start(&w->server, line, leaves);
	snprintf(w->endpoint, sizeof w->endpoint, "sftp://127.0.0.1:%d", w->server.port);
	setting_allow(&w->setting, "127.0.0.0/8");
	assert_int_equal(sftp_open(&w->backend, &w->setting.config, NULL), 0);
	w->backend->zone_id = ZONE;
}

static void cloud_stop(struct cloud *w)
{
	backend_free(w->backend);
	unlink(w->key);
	stranger_stop(&w->server);
}

static void gives_up_on_what_is_no_server(void **state)
{
	static const struct {
		const char *line;
		bool leaves;
		int rc;
		const char *says;
	} rows[] = {
		{ "HTTP/1.1 400 Bad Request\r\n\r\n", true, -ERR_UNREACHABLE, "the SSH handshake failed" },
		{ NULL, true, -ERR_UNREACHABLE, "the SSH handshake failed" },
		{ NULL, false, -ERR_TIMEOUT, "let 1 s pass with hardly a byte" },
		{ "SSH-2.0-OpenSSH_9.2\r\n", false, -ERR_TIMEOUT, "let 1 s pass with hardly a byte" },
		{ "SSH-2.0-x\r\n\x7f\xff\xff\xff\x04\x14 this is no key exchange, and is said to be two gigabytes",
			true, -ERR_PROTOCOL, "the SSH handshake failed" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int64_t start = clock_mono_ns();
		struct cloud w;
		struct asked a;
		int rc;

		cloud_start(&w, rows[i].line, rows[i].leaves);
		rc = backend_probe(w.backend, ask(&a));
		if (rc != rows[i].rc)
			fail_msg("row %zu: %s: %s", i, err_name(rc), errmsg_text(&a.msg, rc));
		assert_says(&a.msg, rows[i].says);
		assert_true(clock_mono_ns() - start < 5 * NS_PER_S);
		asked_end(&a);
		cloud_stop(&w);
	}
}

static void keeps_the_deadline(void **state)
{
	int64_t start = clock_mono_ns();
	struct cloud w;
	struct asked a;

	(void)state;
	cloud_start(&w, NULL, false);
	w.setting.config.timeout_ns = PATIENCE_NS;
	ask(&a)->deadline_ns = start + 200 * NS_PER_MS;
	assert_int_equal(backend_probe(w.backend, &a.call), -ERR_TIMEOUT);
	assert_says(&a.msg, "did not answer in the time given");
	assert_true(clock_mono_ns() - start < PATIENCE_NS / 2);
	asked_end(&a);
	cloud_stop(&w);
}

static void *cut_soon(void *arg)
{
	usleep(100000);
	call_cut(arg, -ERR_REVOKED);
	return NULL;
}

static void can_be_cut(void **state)
{
	int64_t start = clock_mono_ns();
	pthread_t thread;
	struct cloud w;
	struct asked a;

	(void)state;
	cloud_start(&w, "SSH-2.0-OpenSSH_9.2\r\n", false);
	w.setting.config.timeout_ns = PATIENCE_NS;
	ask(&a);
	assert_int_equal(pthread_create(&thread, NULL, cut_soon, &a.call), 0);
	assert_int_equal(backend_probe(w.backend, &a.call), -ERR_REVOKED);
	assert_true(clock_mono_ns() - start < PATIENCE_NS / 2);
	pthread_join(thread, NULL);
	asked_end(&a);
	cloud_stop(&w);
}

/* I2: not even a connection to an address outside the zone, whatever name led there. */
static void stays_in_the_zone(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "localhost" };

	(void)state;
	for (size_t i = 0; i < COUNT(hosts); i++) {
		struct cloud w;
		struct asked a;

		cloud_start(&w, "SSH-2.0-OpenSSH_9.2\r\n", false);
		backend_free(w.backend);
		w.setting.zone.network_count = 0;
		setting_allow(&w.setting, "127.0.9.0/24");
		snprintf(w.endpoint, sizeof w.endpoint, "sftp://%s:%d", hosts[i], w.server.port);
		assert_int_equal(sftp_open(&w.backend, &w.setting.config, NULL), 0);
		assert_int_equal(backend_probe(w.backend, ask(&a)), -ERR_PEER_ABROAD);
		assert_says(&a.msg, "lies outside the networks of zone 'foreign'; nothing was sent");
		assert_int_equal(stranger_visitors(&w.server), 0);
		asked_end(&a);
		cloud_stop(&w);
	}
}

static void says_when_nobody_is_there(void **state)
{
	struct cloud w;
	struct asked a;

	(void)state;
	cloud_start(&w, NULL, true);
	stranger_stop(&w.server);
	assert_int_equal(backend_probe(w.backend, ask(&a)), -ERR_UNREACHABLE);
	assert_says(&a.msg, "127.0.0.1");
	asked_end(&a);
	backend_free(w.backend);
	unlink(w.key);
}

static void opens_with_complaints(void **state)
{
	static const struct {
		const char *endpoint, *user, *directory;
		bool key, pin;
		int rc;
	} rows[] = {
		{ "sftp://h", "u", "/srv", true, true, 0 },
		{ "sftp://[::1]:2022", "u", "/srv", true, true, 0 },
		{ "https://h", "u", "/srv", true, true, -ERR_CONFIG },
		{ NULL, "u", "/srv", true, true, -ERR_CONFIG },
		{ "sftp://h", NULL, "/srv", true, true, -ERR_CONFIG },
		{ "sftp://h", "u", NULL, true, true, -ERR_CONFIG },
		{ "sftp://h", "u", "/srv", false, true, -ERR_SECRET_FILE },
		{ "sftp://h", "u", "/srv", true, false, -ERR_CONFIG },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct errmsg msg = { 0 };
		struct config_backend *config;
		struct backend *b = NULL;
		struct cloud w;

		config = cloud_prepare(&w);
		config->endpoint = STR(rows[i].endpoint);
		config->user = STR(rows[i].user);
		config->directory = STR(rows[i].directory);
		if (!rows[i].key)
			chmod(w.key, 0644);
		if (!rows[i].pin)
			w.pins[0] = NULL;
		if (sftp_open(&b, config, &msg) != rows[i].rc)
			fail_msg("row %zu: %s", i, errmsg_text(&msg, 0));
		if (rows[i].rc)
			assert_says(&msg, "'virginia'");
		backend_free(b);
		errmsg_free(&msg);
		unlink(w.key);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_up_on_what_is_no_server),
		cmocka_unit_test(keeps_the_deadline),
		cmocka_unit_test(can_be_cut),
		cmocka_unit_test(stays_in_the_zone),
		cmocka_unit_test(says_when_nobody_is_there),
		cmocka_unit_test(opens_with_complaints),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
