/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The transport against real sockets: what is refused, how much was sent until then, and what a cut stops. */
#include "tests/unit/backends/server.h"

#include "backends/http.h"
#include "backends/limit.h"

#include <sys/inotify.h>

#define OK_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define OK_FIVE	 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static void nap(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * NS_PER_MS };

	nanosleep(&t, NULL);
}

struct web {
	struct server server;
	struct setting setting;
	struct backend backend;
	char endpoint[64], url[80];
	struct http *http;
};

static void web_start(struct web *w, const struct step *script, size_t script_len)
{
	struct config_backend *config = setting_init(&w->setting, "s3");

	server_start(&w->server, script, script_len, 4096);
	snprintf(w->endpoint, sizeof w->endpoint, "http://127.0.0.1:%d", w->server.port);
	snprintf(w->url, sizeof w->url, "%s/o/k", w->endpoint);
	config->endpoint = w->endpoint;
	config->connections = 1;
	setting_allow(&w->setting, "127.0.0.0/8");
	w->backend = (struct backend){ .config = config, .zone_id = ZONE };
	assert_int_equal(http_new(&w->http, config, NULL), 0);
}

static void web_stop(struct web *w)
{
	http_free(w->http);
	server_stop(&w->server);
}

/* one request; the sentence, if any, stays in a->msg */
static int web_ask(struct web *w, struct asked *a, struct http_request *q, struct http_response *r)
{
	q->url = q->url ? q->url : w->url;
	q->backend = &w->backend;
	q->guarded = q->body != NULL;
	return http_perform(w->http, &a->call, q, r);
}

static int web_put(struct web *w, struct asked *a, size_t len)
{
	static uint8_t data[1 << 20];
	struct http_response r;
	struct source_memory m;
	struct http_request q = { .method = "PUT", .body = source_memory(&m, data, len) };
	int rc = web_ask(w, a, &q, &r);

	if (!rc)
		rc = r.status;
	http_response_free(&r);
	return rc;
}

static int web_get(struct web *w, struct asked *a, void *to, size_t max)
{
	struct http_response r;
	struct sink_memory m;
	struct http_request q = { .method = "GET", .sink = sink_memory(&m, to, max), .sink_max = max };
	int rc = web_ask(w, a, &q, &r);

	if (!rc)
		rc = r.status;
	http_response_free(&r);
	return rc;
}

/* Every refusal, and the body bytes the server had seen by then. */
static void refuses_before_a_body_byte_is_sent(void **state)
{
	static const struct {
		const char *network;
		struct step step;
		int rc;
		const char *says[2];
		unsigned connections;
	} rows[] = {
		{ "127.0.0.0/8", { ANSWER, OK_EMPTY }, 200, { NULL }, 1 },
		{ "127.0.0.0/8",
			{ ANSWER_EARLY, "HTTP/1.1 307 Moved\r\nLocation: http://domestic.example/o\r\n"
					"Content-Length: 0\r\n\r\n" },
			-ERR_REDIRECT, { "127.0.0.1", "domestic.example" }, 1 },
		{ "127.0.0.0/8",
			{ ANSWER_EARLY, "HTTP/1.1 301 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n" },
			-ERR_REDIRECT, { "127.0.0.1", "itself" }, 1 },
		{ "127.0.0.0/8", { ANSWER_EARLY, "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n" }, -ERR_REDIRECT,
			{ NULL }, 1 },
		{ "127.0.0.0/8", { ANSWER_EARLY, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n" }, 403, { NULL },
			1 },
		{ "10.0.0.0/8", { ANSWER, OK_EMPTY }, -ERR_PEER_ABROAD, { "127.0.0.1", "'foreign'" }, 0 },
		{ "127.0.0.2", { ANSWER, OK_EMPTY }, -ERR_PEER_ABROAD, { "127.0.0.1", "'virginia'" }, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct asked a;
		struct web w;

		web_start(&w, &rows[i].step, 1);
		w.setting.zone.network_count = 0;
		setting_allow(&w.setting, rows[i].network);
		ask(&a);
		assert_int_equal(web_put(&w, &a, 300000), rows[i].rc);
		if (!rows[i].connections)
			nap(50); /* for the server to notice one all the same */
		for (int n = 0; n < 2 && rows[i].says[n]; n++)
			assert_says(&a.msg, rows[i].says[n]);
		LOCKED(&w.server, {
			assert_int_equal(w.server.connections, rows[i].connections);
			assert_int_equal(w.server.body_bytes, rows[i].rc == 200 ? 300000 : 0);
			if (!rows[i].connections)
				assert_int_equal(w.server.bytes, 0);
		});
		assert_int_equal(a.call.body_sent, rows[i].rc == 200 ? 300000 : 0);
		asked_end(&a);
		web_stop(&w);
	}
}

/* Also on a connection that has answered before, if what it answered was a redirect. */
static void asks_first_again_after_a_redirect(void **state)
{
	static const char moved[] = "HTTP/1.1 307 Moved\r\nLocation: http://domestic.example/o\r\n"
				    "Content-Length: 0\r\n\r\n";
	static const struct step script[] = { { ANSWER, moved }, { ANSWER_EARLY, moved } };
	struct asked a;
	struct web w;
	char back[5];

	(void)state;
	web_start(&w, script, 2);
	assert_int_equal(web_get(&w, (ask(&a), &a), back, 5), -ERR_REDIRECT);
	asked_end(&a);
	assert_int_equal(web_put(&w, (ask(&a), &a), 300000), -ERR_REDIRECT);
	assert_int_equal(a.call.body_sent, 0);
	asked_end(&a);
	LOCKED(&w.server, {
		assert_int_equal(w.server.connections, 2);
		assert_int_equal(w.server.body_bytes, 0);
	});
	web_stop(&w);
}

static void uses_no_proxy(void **state)
{
	static const struct step script[] = { { ANSWER, OK_FIVE } };
	static const char *const names[] = { "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" };
	struct server proxy;
	char url[64], back[5];
	struct asked a;
	struct web w;

	(void)state;
	server_start(&proxy, script, 1, 0);
	snprintf(url, sizeof url, "http://127.0.0.1:%d", proxy.port);
	for (size_t i = 0; i < COUNT(names); i++)
		setenv(names[i], url, 1);
	web_start(&w, script, 1);
	assert_int_equal(web_get(&w, (ask(&a), &a), back, 5), 200);
	assert_memory_equal(back, "hello", 5);
	asked_end(&a);
	for (size_t i = 0; i < COUNT(names); i++)
		unsetenv(names[i]);
	LOCKED(&proxy, assert_int_equal(proxy.connections, 0));
	LOCKED(&w.server, assert_int_equal(w.server.requests, 1));
	web_stop(&w);
	server_stop(&proxy);
}

static void write_home(const char *home, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", home, name);
	assert_non_null(f = fopen(path, "w"));
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/* Neither a login nor a proxy comes from the files of curl(1) and its kin. */
static void reads_no_files_of_the_user(void **state)
{
	static const struct step script[] = { { ANSWER, OK_FIVE } };
	char home[] = "/tmp/borderfs-home.XXXXXX", text[128], back[5], *before = getenv("HOME");
	char opened[512];
	struct server proxy;
	struct asked a;
	struct web w;
	int watch;

	(void)state;
	before = before ? strdup(before) : NULL;
	assert_non_null(mkdtemp(home));
	setenv("HOME", home, 1);
	server_start(&proxy, script, 1, 0);
	snprintf(text, sizeof text, "proxy = http://127.0.0.1:%d\nuser = us:secret\n", proxy.port);
	write_home(home, ".curlrc", text);
	write_home(home, ".netrc", "machine 127.0.0.1 login us password secret\ndefault login us password secret\n");
	assert_true((watch = inotify_init1(IN_NONBLOCK)) >= 0);
	assert_true(inotify_add_watch(watch, home, IN_OPEN) >= 0);
	web_start(&w, script, 1);
	assert_int_equal(web_get(&w, (ask(&a), &a), back, 5), 200);
	asked_end(&a);
	/* not even opened: what would be made of them is no matter of the library's version */
	assert_int_equal(read(watch, &opened, sizeof opened), -1);
	assert_int_equal(errno, EAGAIN);
	close(watch);
	LOCKED(&proxy, assert_int_equal(proxy.connections, 0));
	LOCKED(&w.server, assert_null(strcasestr(w.server.head, "Authorization")));
	web_stop(&w);
	server_stop(&proxy);
	snprintf(text, sizeof text, "rm -r %s", home);
	assert_int_equal(system(text), 0);
	if (before)
		setenv("HOME", before, 1);
	else
		unsetenv("HOME");
	free(before);
}

static void count_told(void *ctx, const struct connection *made)
{
	++*(unsigned *)ctx;
	assert_memory_equal(made->address, "127.0.0.1:", 10);
	assert_string_equal(made->network, "127.0.0.0/8");
	assert_null(made->country);
	assert_null(made->key); /* no TLS here */
	assert_false(made->pinned);
}

static void reuses_its_connection_and_asks_first_once(void **state)
{
	static const struct step script[] = { { ANSWER, OK_EMPTY } };
	unsigned told = 0;
	struct asked a;
	struct web w;

	(void)state;
	web_start(&w, script, 1);
	for (int i = 0; i < 5; i++) {
		ask(&a)->connected = count_told;
		a.call.connected_ctx = &told;
		assert_int_equal(web_put(&w, &a, 100000), 200);
		assert_int_equal(told, 1);		     /* a connection, not a request */
		assert_int_equal(atomic_load(&a.checks), 1); /* before the request, also of a reused connection */
		assert_memory_equal(a.call.peer, "127.0.0.1:", 10);
		asked_end(&a);
	}
	LOCKED(&w.server, {
		assert_int_equal(w.server.connections, 1);
		assert_int_equal(w.server.requests, 5);
		assert_int_equal(w.server.expects, 1);
		assert_null(strcasestr(w.server.head, "Expect"));
	});
	web_stop(&w);
}

/* The server closed the connection in the pool: its successor is asked before it gets a byte. */
static void asks_first_again_after_a_dead_connection(void **state)
{
	static const struct step script[] = { { ANSWER_CLOSE, OK_EMPTY }, { ANSWER, OK_EMPTY } };
	struct asked a;
	struct web w;

	(void)state;
	web_start(&w, script, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(web_put(&w, (ask(&a), &a), 1000), 200);
		asked_end(&a);
		nap(50);
	}
	LOCKED(&w.server, {
		assert_int_equal(w.server.connections, 2);
		assert_int_equal(w.server.expects, 2);
		assert_int_equal(w.server.body_bytes, 2000);
	});
	web_stop(&w);
}

/* The same where that shows only when the request is on its way, and curl connects anew by itself. */
static void asks_first_when_curl_connects_anew(void **state)
{
	static const struct step script[] = { { ANSWER, OK_EMPTY }, { CLOSE, NULL }, { ANSWER, OK_EMPTY } };
	struct asked a;
	struct web w;

	(void)state;
	web_start(&w, script, 3);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(web_put(&w, (ask(&a), &a), 1000), 200);
		asked_end(&a);
	}
	LOCKED(&w.server, {
		assert_int_equal(w.server.requests, 3);
		assert_int_equal(w.server.expects, 2);
		assert_int_equal(w.server.connections, 3); /* the second was given up when it turned out to be new */
	});
	web_stop(&w);
}

/* An answer that nobody asked for ("408 Request Timeout", or worse) is not that to the next request. */
static void takes_no_unasked_answer(void **state)
{
	static const struct step script[] = { { ANSWER_TWICE, OK_EMPTY },
		{ ANSWER, "HTTP/1.1 507 Full\r\nContent-Length: 0\r\n\r\n" } };
	struct asked a;
	struct web w;

	(void)state;
	web_start(&w, script, 2);
	assert_int_equal(web_put(&w, (ask(&a), &a), 1000), 200);
	asked_end(&a);
	nap(100);
	assert_int_equal(web_put(&w, (ask(&a), &a), 1000), 507);
	asked_end(&a);
	LOCKED(&w.server, {
		assert_int_equal(w.server.connections, 2);
		assert_int_equal(w.server.expects, 2);
	});
	web_stop(&w);
}

static void asks_the_guard_before_each_request(void **state)
{
	static const struct step script[] = { { ANSWER, OK_EMPTY } };
	struct asked a;
	struct web w;

	(void)state;
	web_start(&w, script, 1);
	ask(&a);
	a.refuse_at = 1;
	assert_int_equal(web_put(&w, &a, 1000), -ERR_REVOKED);
	asked_end(&a);
	ask(&a)->zone_id = ZONE + 1;
	assert_int_equal(web_put(&w, &a, 1000), -ERR_BORDER);
	asked_end(&a);
	LOCKED(&w.server, assert_int_equal(w.server.bytes, 0));
	web_stop(&w);
}

/* A peer that was inside when it connected is judged again on the reused connection. */
static void judges_reused_connections(void **state)
{
	static const struct step script[] = { { ANSWER, OK_EMPTY } };
	struct asked a;
	struct web w;
	uint64_t before;

	(void)state;
	web_start(&w, script, 1);
	assert_int_equal(web_put(&w, (ask(&a), &a), 1000), 200);
	asked_end(&a);
	w.setting.zone.network_count = 0;
	setting_allow(&w.setting, "10.0.0.0/8");
	LOCKED(&w.server, before = w.server.bytes);
	assert_int_equal(web_put(&w, (ask(&a), &a), 1000), -ERR_PEER_ABROAD);
	assert_says(&a.msg, "127.0.0.1");
	asked_end(&a);
	LOCKED(&w.server, assert_int_equal(w.server.bytes, before));
	web_stop(&w);
}

#define BYTES_10  "0123456789"
#define BYTES_100 BYTES_10 BYTES_10 BYTES_10 BYTES_10 BYTES_10 BYTES_10 BYTES_10 BYTES_10 BYTES_10 BYTES_10
#define LINES_20  "A: 123456\r\nB: 123456\r\n"
#define LINES_100 LINES_20 LINES_20 LINES_20 LINES_20 LINES_20

static void names_what_went_wrong(void **state)
{
	static const struct {
		struct step step;
		size_t max;
		int rc;
	} rows[] = {
		{ { ANSWER, OK_FIVE }, 5, 200 },
		{ { ANSWER, OK_FIVE }, 4, -ERR_PROTOCOL }, /* more than asked for */
		{ { CLOSE, NULL }, 5, -ERR_UNREACHABLE },
		{ { RESET, NULL }, 5, -ERR_UNREACHABLE },
		{ { ANSWER_CLOSE, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel" }, 5, -ERR_UNREACHABLE },
		{ { ANSWER_CLOSE, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel" }, 5,
			-ERR_UNREACHABLE },
		{ { ANSWER, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" }, 5, 200 },
		{ { ANSWER_CLOSE, "SSH-2.0-OpenSSH_9.2\r\n" }, 5, -ERR_PROTOCOL },
		{ { ANSWER_CLOSE, "hello" }, 5, -ERR_PROTOCOL },
		{ { ANSWER, "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno" }, 5, 404 },
		{ { ANSWER, "HTTP/1.1 503 Busy\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n" }, 5, 503 },
		{ { HANG, NULL }, 5, -ERR_TIMEOUT },
		{ { TRICKLE, OK_FIVE }, 5, 200 },
		{ { TRICKLE, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" BYTES_100 }, 100, -ERR_TIMEOUT },
		{ { TRICKLE, "HTTP/1.1 200 OK\r\n" LINES_100 "\r\n" }, 5, -ERR_TIMEOUT },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char back[100];
		struct asked a;
		struct web w;
		int rc;

		web_start(&w, &rows[i].step, 1);
		w.setting.config.timeout_ns = rows[i].rc == -ERR_TIMEOUT ? 300 * NS_PER_MS : 10 * NS_PER_S;
		rc = web_get(&w, (ask(&a), &a), back, rows[i].max);
		if (rc != rows[i].rc)
			fail_msg("row %zu: %d %s", i, rc, err_name(rc));
		if (rc < 0)
			assert_says(&a.msg, "'virginia'");
		asked_end(&a);
		web_stop(&w);
	}
}

static void bounds_the_head(void **state)
{
	struct buf answer = BUF_INIT;
	struct step step = { ANSWER_CLOSE, NULL };
	struct asked a;
	struct web w;
	char back[1];

	(void)state;
	buf_str(&answer, "HTTP/1.1 200 OK\r\n");
	while (answer.len < HTTP_HEADER_BYTES_MAX + 1000)
		buf_str(&answer,
			"X-Filler: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n");
	buf_str(&answer, "\r\n");
	step.answer = (char *)answer.data;
	web_start(&w, &step, 1);
	assert_int_equal(web_get(&w, (ask(&a), &a), back, 1), -ERR_PROTOCOL);
	assert_says(&a.msg, "too long");
	asked_end(&a);
	web_stop(&w);
	buf_free(&answer);
}

static void reads_the_head_of_an_answer(void **state)
{
	static const struct step script[] = { { ANSWER, "HTTP/1.1 503 Slow\r\netag:  \"e\" \r\nCONTENT-RANGE: bytes "
							"0-1/2\r\nRetry-After: 7\r\nContent-Length: 4"
							"\r\nx-kept:  a: b\r\nX-Kept: c\r\nX-Kept-Not: d"
							"\r\n\r\nslow" },
		{ ANSWER, "HTTP/1.1 503 Slow\r\nRetry-After: 86400\r\nContent-Length: 0\r\n\r\n" },
		{ ANSWER, "HTTP/1.1 503 Slow\r\nRetry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\nContent-Length: "
			  "x\r\n\r\n" } };
	struct http_request q = { .method = "GET", .keep = { "X-Other", "X-Kept" } };
	struct http_response r;
	struct asked a;
	struct web w;

	(void)state;
	web_start(&w, script, 3);
	assert_int_equal(web_ask(&w, (ask(&a), &a), &q, &r), 0);
	assert_null(r.kept[0]);
	assert_string_equal(r.kept[1], "a: b"); /* the first of its name */
	assert_int_equal(r.status, 503);
	assert_string_equal(r.etag, "\"e\"");
	assert_string_equal(r.content_range, "bytes 0-1/2");
	assert_int_equal(r.retry_after_ns, 7 * NS_PER_S);
	assert_int_equal(r.length, 4);
	assert_string_equal((char *)r.error.data, "slow");
	http_response_free(&r);
	assert_int_equal(web_ask(&w, &a, &q, &r), 0);
	assert_int_equal(r.retry_after_ns, 30 * NS_PER_S); /* bounded */
	http_response_free(&r);
	web_ask(&w, &a, &q, &r);
	assert_int_equal(r.retry_after_ns, 0); /* past */
	http_response_free(&r);
	asked_end(&a);
	web_stop(&w);
}

static void says_when_nobody_is_there(void **state)
{
	static const struct step script[] = { { ANSWER, OK_EMPTY } };
	struct asked a;
	struct web w;
	char back[1];

	(void)state;
	web_start(&w, script, 1);
	server_stop(&w.server);
	assert_int_equal(web_get(&w, (ask(&a), &a), back, 1), -ERR_UNREACHABLE);
	assert_says(&a.msg, "127.0.0.1");
	asked_end(&a);
	http_free(w.http);
}

static void checks_its_configuration(void **state)
{
	static const struct {
		const char *endpoint, *ca_file, *says;
	} rows[] = {
		{ NULL, NULL, "endpoint" },
		{ "ftp://x", NULL, "endpoint" },
		{ "oss.example.cn", NULL, "endpoint" },
		{ "https://", NULL, "endpoint" },
		{ "https://oss.example.cn", "/nowhere/ca.pem", "ca-file /nowhere/ca.pem" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct errmsg msg = { 0 };
		struct setting s;
		struct http *h;

		setting_init(&s, "s3")->endpoint = STR(rows[i].endpoint);
		s.config.ca_file = STR(rows[i].ca_file);
		assert_int_equal(http_new(&h, &s.config, &msg), -ERR_CONFIG);
		assert_says(&msg, rows[i].says);
		assert_null(h);
		errmsg_free(&msg);
	}
}

struct job {
	struct web *web;
	struct asked asked;
	size_t len;
	int rc;
};

static void *put_job(void *arg)
{
	struct job *j = arg;

	j->rc = web_put(j->web, &j->asked, j->len);
	return NULL;
}

static void *get_job(void *arg)
{
	struct job *j = arg;
	char back[1];

	j->rc = web_get(j->web, &j->asked, back, 1);
	return NULL;
}

/* A request that waits for an answer, and one that waits for a connection, end at once. */
static void a_cut_ends_every_wait(void **state)
{
	static const struct step script[] = { { HANG, NULL } };
	struct job waiting = { .rc = 1 }, queued = { .rc = 1 };
	pthread_t first, second;
	struct web w;
	int64_t start;

	(void)state;
	web_start(&w, script, 1);
	w.setting.config.timeout_ns = 60 * NS_PER_S;
	waiting.web = queued.web = &w;
	ask(&waiting.asked);
	ask(&queued.asked);
	pthread_create(&first, NULL, get_job, &waiting);
	nap(100);
	pthread_create(&second, NULL, get_job, &queued);
	nap(100);
	start = clock_mono_ns();
	call_cut(&queued.asked.call, -ERR_STOPPED);
	pthread_join(second, NULL);
	call_cut(&waiting.asked.call, -ERR_REVOKED);
	pthread_join(first, NULL);
	assert_true(clock_mono_ns() - start < 2 * NS_PER_S);
	assert_int_equal(queued.rc, -ERR_STOPPED);
	assert_int_equal(waiting.rc, -ERR_REVOKED);
	LOCKED(&w.server, assert_int_equal(w.server.requests, 1));
	asked_end(&waiting.asked);
	asked_end(&queued.asked);
	web_stop(&w);
}

static void the_queue_ends_at_the_deadline(void **state)
{
	static const struct step script[] = { { HANG, NULL } };
	struct job busy = { .rc = 1 };
	struct asked a;
	pthread_t thread;
	struct web w;
	char back[1];

	(void)state;
	web_start(&w, script, 1);
	w.setting.config.timeout_ns = 60 * NS_PER_S;
	busy.web = &w;
	ask(&busy.asked);
	pthread_create(&thread, NULL, get_job, &busy);
	nap(100);
	ask(&a)->deadline_ns = clock_mono_ns() + 100 * NS_PER_MS;
	assert_int_equal(web_get(&w, &a, back, 1), -ERR_TIMEOUT);
	assert_true(a.call.own_wait);
	assert_says(&a.msg, "busy");
	asked_end(&a);
	call_cut(&busy.asked.call, -ERR_STOPPED);
	pthread_join(thread, NULL);
	asked_end(&busy.asked);
	web_stop(&w);
}

/* Whose fault a deadline is: not the server's that was asked in the last moment; but its own where it had the time. */
static void a_deadline_blames_who_was_asked_in_time(void **state)
{
	static const struct step script[] = { { HANG, NULL } };
	static const struct {
		int64_t timeout_ms;
		bool own_wait;
	} rows[] = { { 60000, true }, { 400, false } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct asked a;
		struct web w;
		char back[1];

		web_start(&w, script, 1);
		w.setting.config.timeout_ns = rows[i].timeout_ms * NS_PER_MS;
		ask(&a)->deadline_ns = clock_mono_ns() + 300 * NS_PER_MS;
		assert_int_equal(web_get(&w, &a, back, 1), -ERR_TIMEOUT);
		assert_int_equal(a.call.own_wait, rows[i].own_wait);
		asked_end(&a);
		web_stop(&w);
	}
}

/* One connection is kept for those a person waits for. */
static void uploads_leave_one_connection(void **state)
{
	static const struct step script[] = { { HANG, NULL } };
	struct job jobs[3] = { { .rc = 1 }, { .rc = 1 }, { .rc = 1 } };
	pthread_t threads[3];
	struct asked a;
	struct web w;
	char back[1];

	(void)state;
	web_start(&w, script, 1);
	http_free(w.http);
	w.setting.config.connections = 4;
	w.setting.config.timeout_ns = 60 * NS_PER_S;
	assert_int_equal(http_new(&w.http, &w.setting.config, NULL), 0);
	for (int i = 0; i < 3; i++) {
		jobs[i].web = &w;
		ask(&jobs[i].asked);
		pthread_create(&threads[i], NULL, get_job, &jobs[i]);
	}
	nap(200);
	ask(&a)->deadline_ns = clock_mono_ns() + 100 * NS_PER_MS;
	assert_int_equal(web_get(&w, &a, back, 1), -ERR_TIMEOUT);
	assert_says(&a.msg, "connections were busy");
	asked_end(&a);
	ask(&a)->deadline_ns = clock_mono_ns() + 100 * NS_PER_MS;
	a.call.retry_quick = true;
	assert_int_equal(web_get(&w, &a, back, 1), -ERR_TIMEOUT);
	assert_says(&a.msg, "did not answer in the time given"); /* it was asked */
	asked_end(&a);
	for (int i = 0; i < 3; i++) {
		call_cut(&jobs[i].asked.call, -ERR_STOPPED);
		pthread_join(threads[i], NULL);
		assert_int_equal(jobs[i].rc, -ERR_STOPPED);
		asked_end(&jobs[i].asked);
	}
	web_stop(&w);
}

/* I1: the receiver reads nothing, its kernel has taken what fits, and the sender's holds the rest. When call_cut has
 * returned not one byte more arrives, though the receiver starts to read. */
static void sends_nothing_after_a_cut(void **state)
{
	static const struct step script[] = { { ANSWER, OK_EMPTY }, { STOP_READING, NULL } };
	struct job job = { .len = 1 << 20, .rc = 1 };
	uint64_t at_cut, later, earlier = 0;
	pthread_t thread;
	struct web w;

	(void)state;
	web_start(&w, script, 2);
	w.setting.config.timeout_ns = 60 * NS_PER_S;
	job.web = &w;
	assert_int_equal(
		web_put(&w, (ask(&job.asked), &job.asked), 10), 200); /* so that the next one does not ask first */
	asked_end(&job.asked);
	ask(&job.asked);
	pthread_create(&thread, NULL, put_job, &job);
	while ((at_cut = server_kernel_bytes(&w.server)) < 2000 || at_cut != earlier) {
		earlier = at_cut;
		nap(50);
	}
	/* the sender had handed its kernel more than arrived: that is what must not leave any more */
	call_cut(&job.asked.call, -ERR_REVOKED);
	at_cut = server_kernel_bytes(&w.server);
	pthread_join(thread, NULL);
	assert_int_equal(job.rc, -ERR_REVOKED);
	assert_true(job.asked.call.body_sent > at_cut);
	server_go(&w.server);
	nap(300);
	LOCKED(&w.server, later = w.server.bytes);
	assert_in_range(later, 1, at_cut);
	asked_end(&job.asked);
	web_stop(&w);
}

/* The same in the middle of an upload that is limited, and read as fast as it comes: every hundredth of a second is a
 * chance to be too late. */
static void stops_a_limited_upload_at_once(void **state)
{
	static const struct step script[] = { { ANSWER, OK_EMPTY } };

	(void)state;
	for (int delay_ms = 20; delay_ms < 220; delay_ms += 10) {
		struct job job = { .len = 1 << 20, .rc = 1 };
		uint64_t at_cut, later;
		struct limit limit;
		pthread_t thread;
		struct web w;

		web_start(&w, script, 1);
		limit_init(&limit, 1 << 20, NULL);
		job.web = &w;
		ask(&job.asked)->upload = &limit;
		pthread_create(&thread, NULL, put_job, &job);
		nap(delay_ms);
		call_cut(&job.asked.call, -ERR_REVOKED);
		at_cut = server_kernel_bytes(&w.server);
		pthread_join(thread, NULL);
		assert_int_equal(job.rc, -ERR_REVOKED);
		nap(30);
		LOCKED(&w.server, later = w.server.bytes);
		if (at_cut) /* else the server has noticed the reset already */
			assert_true(later <= at_cut);
		assert_in_range(later, 1, (uint64_t)(1 << 20) * (uint64_t)(delay_ms + 100) / 1000);
		asked_end(&job.asked);
		web_stop(&w);
		limit_destroy(&limit);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_before_a_body_byte_is_sent),
		cmocka_unit_test(asks_first_again_after_a_redirect),
		cmocka_unit_test(uses_no_proxy),
		cmocka_unit_test(reads_no_files_of_the_user),
		cmocka_unit_test(reuses_its_connection_and_asks_first_once),
		cmocka_unit_test(asks_first_again_after_a_dead_connection),
		cmocka_unit_test(asks_first_when_curl_connects_anew),
		cmocka_unit_test(takes_no_unasked_answer),
		cmocka_unit_test(asks_the_guard_before_each_request),
		cmocka_unit_test(judges_reused_connections),
		cmocka_unit_test(names_what_went_wrong),
		cmocka_unit_test(bounds_the_head),
		cmocka_unit_test(reads_the_head_of_an_answer),
		cmocka_unit_test(says_when_nobody_is_there),
		cmocka_unit_test(checks_its_configuration),
		cmocka_unit_test(a_cut_ends_every_wait),
		cmocka_unit_test(the_queue_ends_at_the_deadline),
		cmocka_unit_test(a_deadline_blames_who_was_asked_in_time),
		cmocka_unit_test(uploads_leave_one_connection),
		cmocka_unit_test(sends_nothing_after_a_cut),
		cmocka_unit_test(stops_a_limited_upload_at_once),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
