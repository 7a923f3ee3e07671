/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The Swift driver against a login service and a storage server that answer what they are told: what is believed, what
 * is not, and when a token is asked for. */
#include "tests/unit/backends/server.h"

#include "backends/swift_request.h"
#include "base/file.h"

#include <sys/stat.h>

#define ID		"X-Trans-Id: tx1\r\n"
#define PLAIN(status)	"HTTP/1.1 " status " X\r\n" ID "Content-Length: 0\r\n\r\n"
#define BARE_404	"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
#define CONTAINER	"HTTP/1.1 204 No Content\r\n" ID "X-Container-Object-Count: 3\r\n\r\n"
#define HELLO_206	"HTTP/1.1 206 Partial\r\n" ID "Content-Range: bytes 3-7/100\r\nContent-Length: 5\r\n\r\nhello"
#define CREATED(etag)	"HTTP/1.1 201 Created\r\n" ID "ETag: " etag "\r\nContent-Length: 0\r\n\r\n"
#define BODY_MD5	"841a2d689ad86bd1611447453c22c6fc" /* of "body" */
#define LIST(len, text) "HTTP/1.1 200 OK\r\n" ID "Content-Length: " len "\r\n\r\n" text
#define LOGINS_MAX	4

/* What a login is answered: a token and the storage server's URL, unless answer says otherwise ("%d": its port). */
struct login {
	enum what what;
	const char *answer;
};
#define TOKEN_OF(n, more)                                                                                              \
	"HTTP/1.1 200 OK\r\nX-Auth-Token: AUTH_tk" n "\r\nX-Storage-Url: http://127.0.0.1:%d/v1/AUTH_a\r\n" more       \
	"Content-Length: 0\r\n\r\n"
#define TOKEN TOKEN_OF("1", "")
static const struct login one_login = { ANSWER, TOKEN };

struct cloud {
	struct server login, storage;
	struct step logins[LOGINS_MAX];
	char answers[LOGINS_MAX][1024];
	struct setting setting;
	char endpoint[64], secret[64];
	struct backend *backend; /* the bare driver */
};

static void write_secret(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(file_write_full(fd, text, strlen(text)), 0);
	close(fd);
}

static void put_port(char out[1024], const char *answer, int port)
{
	const char *at = strstr(answer, "%d");

	if (at)
		snprintf(out, 1024, "%.*s%d%s", (int)(at - answer), answer, port, at + 2);
	else
		snprintf(out, 1024, "%s", answer);
}

/* servers and configuration, without the driver */
static struct config_backend *cloud_prepare(
	struct cloud *w, const struct login *logins, size_t login_count, const struct step *script, size_t script_len)
{
	struct config_backend *config = setting_init(&w->setting, "swift");

	server_start(&w->storage, script, script_len, 0);
	for (size_t i = 0; i < login_count; i++) {
		put_port(w->answers[i], logins[i].answer, w->storage.port);
		w->logins[i] = (struct step){ logins[i].what, w->answers[i] };
	}
	server_start(&w->login, w->logins, login_count, 0);
	snprintf(w->endpoint, sizeof w->endpoint, "http://127.0.0.1:%d/auth/v1.0", w->login.port);
	strcpy(w->secret, "/tmp/swift-test-XXXXXX");
	close(mkstemp(w->secret));
	write_secret(w->secret, "secret\n");
	config->endpoint = w->endpoint;
	config->region = NULL;
	config->user = STR("a:u");
	config->password_file = w->secret;
	config->prefix = STR("p/");
	setting_allow(&w->setting, "127.0.0.0/8");
	return config;
}

static void cloud_open(struct cloud *w)
{
	assert_int_equal(swift_open(&w->backend, &w->setting.config, NULL), 0);
	w->backend->zone_id = ZONE;
}

static void cloud_start(
	struct cloud *w, const struct login *logins, size_t login_count, const struct step *script, size_t script_len)
{
	cloud_prepare(w, logins, login_count, script, script_len);
	cloud_open(w);
}

static void cloud_stop(struct cloud *w)
{
	backend_free(w->backend);
	unlink(w->secret);
	server_stop(&w->login);
	server_stop(&w->storage);
}

static unsigned requests(struct server *s)
{
	unsigned n;

	LOCKED(s, n = s->requests);
	return n;
}

static void assert_head(struct server *s, const char *part)
{
	LOCKED(s, {
		if (!strcasestr(s->head, part))
			fail_msg("\"%s\" does not say \"%s\"", s->head, part);
	});
}

static int put(struct cloud *w, struct asked *a)
{
	struct source_memory m;

	return guard_put(w->backend, &a->call, "k", source_memory(&m, "body", 4));
}

/* "hello", at 3 */
static int get(struct cloud *w, struct asked *a)
{
	struct sink_memory m;
	char back[5];
	int rc = backend_get(w->backend, &a->call, "k", 3, 5, sink_memory(&m, back, 5));

	if (!rc)
		assert_memory_equal(back, "hello", 5);
	return rc;
}

static int head(struct cloud *w, struct asked *a)
{
	uint64_t size;

	return backend_head(w->backend, &a->call, "k", &size);
}

static int del(struct cloud *w, struct asked *a)
{
	return backend_del(w->backend, &a->call, "k");
}

static int none(void *ctx, const struct backend_object *o)
{
	(void)ctx;
	(void)o;
	return 0;
}

static int list(struct cloud *w, struct asked *a)
{
	return backend_list(w->backend, &a->call, none, NULL);
}

static int probe(struct cloud *w, struct asked *a)
{
	return backend_probe(w->backend, &a->call);
}

typedef int operation(struct cloud *, struct asked *);

static void judges_answers(void **state)
{
	static const struct {
		operation *run;
		struct step script[3];
		int rc;
		const char *says;
	} rows[] = {
		{ get, { { ANSWER, HELLO_206 } }, 0, NULL },
		{ get, { { ANSWER, "HTTP/1.1 206 P\r\nContent-Range: bytes 2-6/9\r\nContent-Length: 5\r\n\r\nhello" } },
			-ERR_PROTOCOL, "another range" },
		{ get, { { ANSWER, PLAIN("416") } }, -ERR_TAMPERED, "cut short" },
		{ get, { { ANSWER, PLAIN("403") } }, -ERR_DENIED, "check user and password-file" },
		{ get, { { ANSWER, PLAIN("408") } }, -ERR_TIMEOUT, "408" },
		{ get, { { ANSWER, PLAIN("412") } }, -ERR_PROTOCOL, "412" },
		{ get, { { ANSWER, PLAIN("429") } }, -ERR_BUSY, "429" },
		{ get, { { ANSWER, PLAIN("498") } }, -ERR_BUSY, "498" },
		{ get, { { ANSWER, PLAIN("503") } }, -ERR_BUSY, "503" },
		{ get, { { ANSWER, PLAIN("500") } }, -ERR_SERVER, "500" },
		{ get, { { ANSWER, PLAIN("418") } }, -ERR_PROTOCOL, "418" },
		{ head, { { ANSWER, "HTTP/1.1 200 OK\r\n" ID "Content-Length: 7\r\n\r\n" } }, 0, NULL },
		{ head, { { ANSWER_CLOSE, "HTTP/1.1 200 OK\r\n" ID "\r\n" } }, -ERR_PROTOCOL, "how long" },
		{ put, { { ANSWER, CREATED(BODY_MD5) } }, 0, NULL },
		{ put, { { ANSWER, CREATED("\"" BODY_MD5 "\"") } }, 0, NULL },
		{ put, { { ANSWER, CREATED("00000000000000000000000000000000") } }, -ERR_SERVER, "other bytes" },
		{ put, { { ANSWER, CREATED(BODY_MD5 "0") } }, -ERR_SERVER, "other bytes" },
		{ put, { { ANSWER, PLAIN("201") } }, -ERR_SERVER, "other bytes" },
		{ put, { { ANSWER, PLAIN("202") } }, -ERR_PROTOCOL, "did not confirm" },
		{ put, { { ANSWER, PLAIN("404") } }, -ERR_NO_BUCKET, "create the container" },
		{ put, { { ANSWER, BARE_404 } }, -ERR_PROTOCOL, "X-Trans-Id" },
		{ put, { { ANSWER, PLAIN("411") } }, -ERR_PROTOCOL, "411" },
		{ put, { { ANSWER, PLAIN("412") } }, -ERR_EXISTS, "there already" },
		{ put, { { ANSWER, PLAIN("413") } }, -ERR_QUOTA, "raise the quota" },
		{ put, { { ANSWER, PLAIN("422") } }, -ERR_SERVER, "422" },
		{ put, { { ANSWER, PLAIN("507") } }, -ERR_QUOTA, "raise the quota" },
		{ del, { { ANSWER, PLAIN("204") } }, 0, NULL },
		{ del, { { ANSWER, PLAIN("404") }, { ANSWER, CONTAINER } }, 0, NULL },
		{ del, { { ANSWER, BARE_404 } }, -ERR_PROTOCOL, "X-Trans-Id" },
		{ del, { { ANSWER, PLAIN("404") }, { ANSWER, PLAIN("404") } }, -ERR_NO_BUCKET, "container office" },
		{ del, { { ANSWER, PLAIN("409") } }, -ERR_PROTOCOL, "409" },
		/* I7 */
		{ get, { { ANSWER, PLAIN("404") }, { ANSWER, CONTAINER } }, -ERR_ABSENT, NULL },
		{ head, { { ANSWER, PLAIN("404") }, { ANSWER, CONTAINER } }, -ERR_ABSENT, NULL },
		{ get, { { ANSWER, BARE_404 } }, -ERR_PROTOCOL, "X-Trans-Id" },
		{ get, { { ANSWER, PLAIN("404") }, { ANSWER, PLAIN("404") } }, -ERR_NO_BUCKET, "create the container" },
		{ get, { { ANSWER, PLAIN("404") }, { ANSWER, PLAIN("204") } }, -ERR_PROTOCOL, "as no Swift does" },
		{ get, { { ANSWER, PLAIN("404") }, { ANSWER, PLAIN("503") } }, -ERR_BUSY, "503" },
		{ probe, { { ANSWER, CONTAINER } }, 0, NULL },
		{ probe, { { ANSWER, PLAIN("404") } }, -ERR_NO_BUCKET, "office" },
		{ probe, { { ANSWER, "HTTP/1.1 204 X\r\n" ID "X-Versions-Enabled: False\r\n\r\n" } }, 0, NULL },
		{ probe, { { ANSWER, "HTTP/1.1 204 X\r\n" ID "X-Versions-Enabled: True\r\n\r\n" } }, -ERR_CONFIG,
			"turn its versioning off" },
		{ probe, { { ANSWER, "HTTP/1.1 204 X\r\n" ID "X-Versions-Location: old\r\n\r\n" } }, -ERR_CONFIG,
			"turn its versioning off" },
		{ probe, { { ANSWER, "HTTP/1.1 204 X\r\n" ID "X-History-Location: old\r\n\r\n" } }, -ERR_CONFIG,
			"turn its versioning off" },
		{ probe, { { ANSWER_CLOSE, "HTTP/1.1 302 X\r\nLocation: http://192.0.2.1/v1/AUTH_a\r\n\r\n" } },
			-ERR_REDIRECT, "127.0.0.1 answered with a redirect (302) to 192.0.2.1" },
		{ list, { { ANSWER, LIST("2", "[]") } }, 0, NULL },
		{ list, { { ANSWER, PLAIN("204") } }, -ERR_PROTOCOL, "cannot be understood" },
		{ list, { { ANSWER, LIST("32", "[{\"name\":\"other/a\",\"bytes\":123}]") } }, -ERR_PROTOCOL,
			"not of what was asked for" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cloud w;
		struct asked a;
		int rc;

		cloud_start(&w, &one_login, 1, rows[i].script, COUNT(rows[i].script));
		rc = rows[i].run(&w, (ask(&a), &a));
		if (rc != rows[i].rc)
			fail_msg("row %zu: %s, not %s: %s", i, err_name(rc), err_name(rows[i].rc),
				errmsg_text(&a.msg, rc));
		if (rows[i].says)
			assert_says(&a.msg, rows[i].says);
		asked_end(&a);
		cloud_stop(&w);
	}
}

static void asks_as_the_protocol_has_it(void **state)
{
	static const struct step script[] = { { ANSWER, CREATED(BODY_MD5) }, { ANSWER, HELLO_206 },
		{ ANSWER, LIST("65", "[{\"name\":\"p/a\",\"bytes\":1},\n{\"name\":\"p/b "
				     "c\",\"bytes\":2,\"hash\":\"\"}]\n") },
		{ ANSWER, LIST("2", "[]") } };
	struct cloud w;
	struct asked a;

	(void)state;
	cloud_start(&w, &one_login, 1, script, COUNT(script));
	assert_int_equal(put(&w, (ask(&a), &a)), 0);
	assert_head(&w.login, "GET /auth/v1.0 HTTP/1.1\r\n");
	assert_head(&w.login, "X-Auth-User: a:u\r\n");
	assert_head(&w.login, "X-Auth-Key: secret\r\n");
	assert_head(&w.storage, "PUT /v1/AUTH_a/office/p/k HTTP/1.1\r\n");
	assert_head(&w.storage, "If-None-Match: *\r\n");
	assert_head(&w.storage, "ETag: " BODY_MD5 "\r\n");
	assert_head(&w.storage, "X-Auth-Token: AUTH_tk1\r\n");
	assert_int_equal(get(&w, &a), 0);
	assert_head(&w.storage, "Range: bytes=3-7\r\n");
	assert_int_equal(list(&w, &a), 0);
	assert_head(
		&w.storage, "GET /v1/AUTH_a/office?format=json&limit=1000&prefix=p%2F&marker=p%2Fb%20c HTTP/1.1\r\n");
	assert_int_equal(requests(&w.login), 1);
	asked_end(&a);
	cloud_stop(&w);
}

static void judges_logins(void **state)
{
	static const struct {
		struct login login;
		int rc;
		const char *says[2];
	} rows[] = {
		{ { ANSWER, "HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n" }, -ERR_DENIED,
			{ "answered 401 to the login", "check user and password-file" } },
		{ { ANSWER, "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n" }, -ERR_PROTOCOL,
			{ "answered 404 to the login", "check auth-url" } },
		{ { ANSWER, "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n" }, -ERR_BUSY, { "503", "127.0.0.1" } },
		{ { ANSWER_CLOSE, "HTTP/1.1 301 X\r\nLocation: http://192.0.2.1/\r\n\r\n" }, -ERR_REDIRECT,
			{ "127.0.0.1 answered with a redirect (301)", "192.0.2.1" } },
		{ { ANSWER, "HTTP/1.1 200 X\r\nX-Storage-Url: http://127.0.0.1:%d/v1/a\r\nContent-Length: 0\r\n\r\n" },
			-ERR_PROTOCOL, { "gave no token", "'virginia'" } },
		{ { ANSWER, "HTTP/1.1 200 X\r\nX-Auth-Token: t\r\nContent-Length: 0\r\n\r\n" }, -ERR_PROTOCOL,
			{ "no storage URL", "'virginia'" } },
		{ { ANSWER, "HTTP/1.1 200 X\r\nX-Auth-Token: t\r\nX-Storage-Url: file:///etc\r\nContent-Length: "
			    "0\r\n\r\n" },
			-ERR_PROTOCOL, { "no http or https URL", "127.0.0.1" } },
		{ { ANSWER, "HTTP/1.1 200 X\r\nX-Auth-Token: t\r\nX-Storage-Url: http://localhost:%d/v1/a\r\n"
			    "Content-Length: 0\r\n\r\n" },
			-ERR_REDIRECT, { "127.0.0.1 points to storage on another host, localhost", "storage-url" } },
	};
	static const struct step script[] = { { ANSWER, CONTAINER } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cloud w;
		struct asked a;
		int rc;

		cloud_start(&w, &rows[i].login, 1, script, 1);
		rc = probe(&w, (ask(&a), &a));
		if (rc != rows[i].rc)
			fail_msg("row %zu: %s: %s", i, err_name(rc), errmsg_text(&a.msg, rc));
		assert_says(&a.msg, rows[i].says[0]);
		assert_says(&a.msg, rows[i].says[1]);
		LOCKED(&w.storage, assert_int_equal(w.storage.connections, 0));
		asked_end(&a);
		cloud_stop(&w);
	}
}

static void goes_where_the_configuration_says(void **state)
{
	static const struct login login = {
		ANSWER,
		"HTTP/1.1 200 X\r\nX-Auth-Token: t\r\nX-Storage-Url: http://192.0.2.1/v1/b\r\nContent-Length: 0\r\n\r\n"
	};
	static const struct step script[] = { { ANSWER, CONTAINER } };
	char url[64];
	struct cloud w;
	struct asked a;

	(void)state;
	cloud_prepare(&w, &login, 1, script, 1)->storage_url = url;
	snprintf(url, sizeof url, "http://localhost:%d/v1/AUTH_b", w.storage.port);
	cloud_open(&w);
	assert_int_equal(probe(&w, (ask(&a), &a)), 0);
	assert_head(&w.storage, "HEAD /v1/AUTH_b/office HTTP/1.1\r\n");
	asked_end(&a);
	cloud_stop(&w);
}

static void renews_a_token_that_is_refused(void **state)
{
	static const struct login logins[] = { { ANSWER, TOKEN_OF("1", "") }, { ANSWER, TOKEN_OF("2", "") } };
	static const struct step script[] = { { ANSWER, PLAIN("401") }, { ANSWER, CREATED(BODY_MD5) } };
	static const struct step never[] = { { ANSWER, PLAIN("401") } };
	struct cloud w;
	struct asked a;

	(void)state;
	cloud_start(&w, logins, 2, script, 2);
	assert_int_equal(put(&w, (ask(&a), &a)), 0);
	assert_int_equal(requests(&w.login), 2);
	assert_int_equal(requests(&w.storage), 2);
	assert_head(&w.storage, "X-Auth-Token: AUTH_tk2\r\n");
	assert_true(atomic_load(&a.checks) >= 3); /* guard_put, and each of the two requests (I1) */
	asked_end(&a);
	cloud_stop(&w);

	cloud_start(&w, logins, 2, never, 1);
	assert_int_equal(put(&w, (ask(&a), &a)), -ERR_DENIED);
	assert_int_equal(requests(&w.login), 2);
	assert_int_equal(requests(&w.storage), 2);
	asked_end(&a);
	cloud_stop(&w);
}

static void renews_a_token_before_it_expires(void **state)
{
	static const struct login logins[] = { { ANSWER, TOKEN_OF("1", "X-Auth-Token-Expires: 0\r\n") },
		{ ANSWER, "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n" } };
	static const struct login renewals[] = { { ANSWER, TOKEN_OF("1", "X-Auth-Token-Expires: 0\r\n") },
		{ ANSWER, TOKEN_OF("2", "X-Auth-Token-Expires: 86400\r\n") } };
	static const struct step script[] = { { ANSWER, CONTAINER } };
	struct cloud w;
	struct asked a;

	(void)state;
	cloud_start(&w, renewals, 2, script, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(probe(&w, (ask(&a), &a)), 0);
	assert_int_equal(requests(&w.login), 2);
	assert_head(&w.storage, "X-Auth-Token: AUTH_tk2\r\n");
	asked_end(&a);
	cloud_stop(&w);

	/* one that cannot be renewed serves until it is refused */
	cloud_start(&w, logins, 2, script, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(probe(&w, (ask(&a), &a)), 0);
	assert_int_equal(requests(&w.login), 2);
	assert_head(&w.storage, "X-Auth-Token: AUTH_tk1\r\n");
	asked_end(&a);
	cloud_stop(&w);
}

static void stays_where_it_was(void **state)
{
	static const struct login logins[] = { { ANSWER, TOKEN_OF("1", "") },
		{ ANSWER, "HTTP/1.1 200 X\r\nX-Auth-Token: t\r\nX-Storage-Url: http://127.0.0.1:%d/v1/AUTH_other\r\n"
			  "Content-Length: 0\r\n\r\n" } };
	static const struct step script[] = { { ANSWER, CONTAINER }, { ANSWER, PLAIN("401") } };
	struct cloud w;
	struct asked a;

	(void)state;
	cloud_start(&w, logins, 2, script, 2);
	assert_int_equal(probe(&w, (ask(&a), &a)), 0);
	assert_int_equal(probe(&w, &a), -ERR_REDIRECT);
	assert_says(&a.msg, "AUTH_other");
	assert_says(&a.msg, "AUTH_a before");
	assert_int_equal(requests(&w.storage), 2);
	asked_end(&a);
	cloud_stop(&w);
}

struct prober {
	struct cloud *cloud;
	struct asked asked;
	pthread_t thread;
	int rc;
};

static void *prober_run(void *arg)
{
	struct prober *p = arg;

	p->rc = probe(p->cloud, &p->asked);
	return NULL;
}

static void prober_start(struct prober *p, struct cloud *w)
{
	p->cloud = w;
	ask(&p->asked);
	assert_int_equal(pthread_create(&p->thread, NULL, prober_run, p), 0);
}

static int prober_end(struct prober *p)
{
	pthread_join(p->thread, NULL);
	return p->rc;
}

static void await_waiters(struct cloud *w, unsigned count)
{
	struct swift *s = container_of(w->backend, struct swift, backend);
	unsigned n = 0;

	while (n != count) {
		n = 0;
		usleep(1000);
		pthread_mutex_lock(&s->auth.lock);
		list_for_each (it, &s->auth.waiters)
			n++;
		pthread_mutex_unlock(&s->auth.lock);
	}
}

static void one_login_serves_all(void **state)
{
	static const struct {
		struct login login;
		int rc;
	} rows[] = {
		{ { ANSWER_LATER, TOKEN }, 0 },
		{ { ANSWER_LATER, "HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n" }, -ERR_DENIED },
	};
	static const struct step script[] = { { ANSWER_CLOSE, "HTTP/1.1 204 X\r\n" ID "Connection: close\r\n\r\n" } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct prober probers[6];
		struct cloud w;

		cloud_start(&w, &rows[i].login, 1, script, 1);
		for (size_t n = 0; n < COUNT(probers); n++)
			prober_start(&probers[n], &w);
		await_waiters(&w, COUNT(probers) - 1);
		server_go(&w.login);
		for (size_t n = 0; n < COUNT(probers); n++) {
			assert_int_equal(prober_end(&probers[n]), rows[i].rc);
			if (rows[i].rc)
				assert_says(&probers[n].asked.msg, "answered 401 to the login");
			asked_end(&probers[n].asked);
		}
		assert_int_equal(requests(&w.login), 1);
		cloud_stop(&w);
	}
}

/* The call of the one who asks ends: that says nothing of the others. */
static void another_asks_when_a_login_is_cut(void **state)
{
	static const struct login logins[] = { { HANG, "" }, { ANSWER, TOKEN } };
	static const struct step script[] = { { ANSWER, CONTAINER } };
	struct prober first, second;
	struct cloud w;

	(void)state;
	cloud_start(&w, logins, 2, script, 1);
	prober_start(&first, &w);
	while (!requests(&w.login))
		usleep(1000);
	prober_start(&second, &w);
	await_waiters(&w, 1);
	call_cut(&first.asked.call, -ERR_STOPPED);
	assert_int_equal(prober_end(&first), -ERR_STOPPED);
	assert_int_equal(prober_end(&second), 0);
	assert_int_equal(requests(&w.login), 2);
	asked_end(&first.asked);
	asked_end(&second.asked);
	cloud_stop(&w);
}

static void a_wait_for_a_login_can_be_cut(void **state)
{
	static const struct login login = { ANSWER_LATER, TOKEN };
	static const struct step script[] = { { ANSWER, CONTAINER } };
	struct prober first, second;
	struct cloud w;

	(void)state;
	cloud_start(&w, &login, 1, script, 1);
	prober_start(&first, &w);
	while (!requests(&w.login))
		usleep(1000);
	prober_start(&second, &w);
	await_waiters(&w, 1);
	call_cut(&second.asked.call, -ERR_STOPPED);
	assert_int_equal(prober_end(&second), -ERR_STOPPED);
	server_go(&w.login);
	assert_int_equal(prober_end(&first), 0);
	asked_end(&first.asked);
	asked_end(&second.asked);
	cloud_stop(&w);
}

#define KEYSTONE(len, body) "HTTP/1.1 201 Created\r\nX-Subject-Token: gAAA\r\nContent-Length: " len "\r\n\r\n" body

static struct config_backend *keystone_prepare(struct cloud *w, const struct login *login)
{
	static const struct step script[] = { { ANSWER, CONTAINER } };
	struct config_backend *config = cloud_prepare(w, login, 1, script, 1);

	snprintf(w->endpoint, sizeof w->endpoint, "http://127.0.0.1:%d/v3", w->login.port);
	config->auth_version = SWIFT_AUTH_3;
	config->user = STR("u");
	config->project = STR("pr");
	config->domain = STR("Default");
	config->interface = STR("public");
	return config;
}

#define CATALOGUE                                                                                                      \
	"{\"token\":{\"catalog\":[{\"type\":\"object-store\",\"endpoints\":[{\"interface\":\"public\",\"region_id\":"  \
	"\"One\",\"url\":\"http://127.0.0.1:%d/v1/AUTH_k\"}]}]}}"

static void logs_in_to_keystone(void **state)
{
	static const struct {
		const char *user, *credential, *body;
	} rows[] = {
		{ "u", NULL,
			"{\"auth\":{\"identity\":{\"methods\":[\"password\"],\"password\":{\"user\":{\"name\":\"u\","
			"\"domain\":{\"name\":\"Default\"},\"password\":\"sec\\\"ret\"}}},\"scope\":{\"project\":{"
			"\"name\":\"pr\",\"domain\":{\"name\":\"Default\"}}}}}" },
		{ NULL, "21dced",
			"{\"auth\":{\"identity\":{\"methods\":[\"application_credential\"],\"application_credential\":"
			"{\"id\":\"21dced\",\"secret\":\"sec\\\"ret\"}}}}" },
	};
	static const struct login login = { ANSWER_CLOSE,
		"HTTP/1.1 201 Created\r\nX-Subject-Token: gAAA\r\nConnection: close\r\n\r\n" CATALOGUE };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct config_backend *config;
		struct cloud w;
		struct asked a;
		int rc;

		config = keystone_prepare(&w, &login);
		config->user = STR(rows[i].user);
		config->application_credential = STR(rows[i].credential);
		write_secret(w.secret, "sec\"ret\n");
		cloud_open(&w);
		rc = probe(&w, (ask(&a), &a));
		if (rc)
			fail_msg("%s", errmsg_text(&a.msg, rc));
		assert_head(&w.login, "POST /v3/auth/tokens HTTP/1.1\r\n");
		assert_head(&w.login, "Content-Type: application/json\r\n");
		LOCKED(&w.login, assert_string_equal(w.login.body, rows[i].body));
		assert_head(&w.storage, "HEAD /v1/AUTH_k/office HTTP/1.1\r\n");
		assert_head(&w.storage, "X-Auth-Token: gAAA\r\n");
		asked_end(&a);
		cloud_stop(&w);
	}
}

static void judges_keystone(void **state)
{
	static const struct {
		struct login login;
		const char *region;
		int rc;
		const char *says;
	} rows[] = {
		{ { ANSWER, "HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n" }, NULL, -ERR_DENIED, "401 to the login" },
		{ { ANSWER_CLOSE, "HTTP/1.1 201 X\r\nX-Subject-Token: t\r\nConnection: close\r\n\r\n" CATALOGUE },
			"Two", -ERR_CONFIG, "for region Two, interface public; it offers One/public" },
		{ { ANSWER, KEYSTONE("2", "[]") }, NULL, -ERR_PROTOCOL, "cannot be understood" },
		{ { ANSWER, KEYSTONE("12", "{\"token\":{}}") }, NULL, -ERR_CONFIG, "it offers none" },
		{ { ANSWER, "HTTP/1.1 201 X\r\nContent-Length: 12\r\n\r\n{\"token\":{}}" }, NULL, -ERR_PROTOCOL,
			"gave no token" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cloud w;
		struct asked a;

		keystone_prepare(&w, &rows[i].login)->region = STR(rows[i].region);
		cloud_open(&w);
		assert_int_equal(probe(&w, (ask(&a), &a)), rows[i].rc);
		assert_says(&a.msg, rows[i].says);
		LOCKED(&w.storage, assert_int_equal(w.storage.connections, 0));
		asked_end(&a);
		cloud_stop(&w);
	}
}

/* I2: neither a proxy nor credentials come from what lies about. */
static void ignores_the_environment(void **state)
{
	static const struct step script[] = { { ANSWER, CONTAINER } };
	char home[] = "/tmp/swift-home-XXXXXX", path[64];
	struct cloud w;
	struct asked a;

	(void)state;
	assert_non_null(mkdtemp(home));
	snprintf(path, sizeof path, "%s/.netrc", home);
	write_secret(path, "machine 127.0.0.1 login intruder password open\n");
	setenv("HOME", home, 1);
	setenv("http_proxy", "http://192.0.2.1:1", 1);
	setenv("all_proxy", "http://192.0.2.1:1", 1);
	cloud_start(&w, &one_login, 1, script, 1);
	assert_int_equal(probe(&w, (ask(&a), &a)), 0);
	LOCKED(&w.login, assert_null(strcasestr(w.login.head, "Authorization")));
	LOCKED(&w.storage, assert_null(strcasestr(w.storage.head, "Authorization")));
	asked_end(&a);
	cloud_stop(&w);
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	unlink(path);
	rmdir(home);
}

static void opens_with_complaints(void **state)
{
	static const struct {
		const char *user, *container, *secret;
		enum swift_auth_version version;
		int rc;
		const char *says;
	} rows[] = {
		{ "a:u", "office", "secret\n", SWIFT_AUTH_1, 0, NULL },
		{ "u", "office", "secret\n", SWIFT_AUTH_1, -ERR_CONFIG, "ACCOUNT:USER" },
		{ ":u", "office", "secret\n", SWIFT_AUTH_1, -ERR_CONFIG, "ACCOUNT:USER" },
		{ NULL, "office", "secret\n", SWIFT_AUTH_1, -ERR_CONFIG, "ACCOUNT:USER" },
		{ "a:u", "", "secret\n", SWIFT_AUTH_1, -ERR_CONFIG, "container" },
		{ "a:u", "office", "\n", SWIFT_AUTH_1, -ERR_SECRET_FILE, "password-file" },
		{ "u", "office", "secret\n", SWIFT_AUTH_3, -ERR_CONFIG, "project" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char path[] = "/tmp/swift-test-XXXXXX";
		struct errmsg msg = { 0 };
		struct backend *b = NULL;
		struct setting s;

		close(mkstemp(path));
		write_secret(path, rows[i].secret);
		setting_init(&s, "swift")->bucket = STR(rows[i].container);
		s.config.endpoint = STR("https://swift.example.cn/auth/v1.0");
		s.config.user = STR(rows[i].user);
		s.config.auth_version = rows[i].version;
		s.config.password_file = path;
		assert_int_equal(swift_open(&b, &s.config, &msg), rows[i].rc);
		if (rows[i].rc)
			assert_says(&msg, rows[i].says);
		else
			backend_free(b);
		errmsg_free(&msg);
		unlink(path);
	}
}

/* A key of two lines would write headers of its own. */
static void keeps_to_one_line(void **state)
{
	static const struct step script[] = { { ANSWER, CONTAINER } };
	struct cloud w;
	struct asked a;

	(void)state;
	cloud_prepare(&w, &one_login, 1, script, 1);
	write_secret(w.secret, "a\r\nX-Evil: b\n");
	cloud_open(&w);
	assert_int_equal(probe(&w, (ask(&a), &a)), -ERR_SECRET_FILE);
	assert_says(&a.msg, "more than one line");
	assert_int_equal(requests(&w.login), 0);
	asked_end(&a);
	cloud_stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judges_answers),
		cmocka_unit_test(asks_as_the_protocol_has_it),
		cmocka_unit_test(judges_logins),
		cmocka_unit_test(goes_where_the_configuration_says),
		cmocka_unit_test(renews_a_token_that_is_refused),
		cmocka_unit_test(renews_a_token_before_it_expires),
		cmocka_unit_test(stays_where_it_was),
		cmocka_unit_test(one_login_serves_all),
		cmocka_unit_test(another_asks_when_a_login_is_cut),
		cmocka_unit_test(a_wait_for_a_login_can_be_cut),
		cmocka_unit_test(logs_in_to_keystone),
		cmocka_unit_test(judges_keystone),
		cmocka_unit_test(ignores_the_environment),
		cmocka_unit_test(opens_with_complaints),
		cmocka_unit_test(keeps_to_one_line),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
