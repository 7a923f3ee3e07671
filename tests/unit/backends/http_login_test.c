/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Logins: what is sent before it is known how the server asks, and what then. */
#include "tests/unit/backends/server.h"

#include "backends/http_login.h"
#include "base/file.h"

#define EMPTY	      "Content-Length: 0\r\n\r\n"
#define ASKS(schemes) "HTTP/1.1 401 No\r\n" schemes EMPTY
#define BASIC	      "WWW-Authenticate: Basic realm=\"dav\"\r\n"
#define DIGEST(nonce) "WWW-Authenticate: Digest realm=\"dav\", nonce=\"" nonce "\", algorithm=MD5, qop=\"auth\"\r\n"
#define STALE(nonce)                                                                                                   \
	"WWW-Authenticate: Digest realm=\"dav\", nonce=\"" nonce "\", algorithm=MD5, qop=\"auth\", stale=true\r\n"
#define OK_200	"HTTP/1.1 200 OK\r\n" EMPTY
#define CREATED "HTTP/1.1 201 Created\r\n" EMPTY

struct desk {
	struct server server;
	struct setting setting;
	char endpoint[64], knock[80], file[64];
	struct secret password;
	struct http_login login;
	struct http *http;
	struct backend backend;
	struct asked asked;
};

static void desk_open(struct desk *d, const char *host, const struct step *script, size_t script_len)
{
	struct config_backend *config = setting_init(&d->setting, "webdav");
	int fd;

	server_start(&d->server, script, script_len, 0);
	snprintf(d->endpoint, sizeof d->endpoint, "http://%s:%d", host, d->server.port);
	snprintf(d->knock, sizeof d->knock, "%s/dav/", d->endpoint);
	strcpy(d->file, "/tmp/login-test-XXXXXX");
	fd = mkstemp(d->file);
	assert_int_equal(file_write_full(fd, "pass\n", 5), 0);
	close(fd);
	config->endpoint = d->endpoint;
	setting_allow(&d->setting, "127.0.0.0/8");
	setting_allow(&d->setting, "0.0.0.0/32");
	assert_int_equal(secret_init(&d->password, config, "password-file", d->file, 64, NULL), 0);
	assert_int_equal(http_new(&d->http, config, NULL), 0);
	d->login = (struct http_login){ .user = "user", .password = &d->password, .url = d->knock };
	http_set_login(d->http, &d->login);
	d->backend = (struct backend){ .config = config, .zone_id = ZONE };
	ask(&d->asked);
}

static void desk_close(struct desk *d)
{
	asked_end(&d->asked);
	http_free(d->http);
	secret_destroy(&d->password);
	unlink(d->file);
	server_stop(&d->server);
}

/* the status of the answer, or the error */
static int perform(struct desk *d, const char *method, const char *body)
{
	struct http_request q = { .method = method, .backend = &d->backend, .guarded = body != NULL };
	struct http_response r;
	struct source_memory m;
	char url[80];
	int rc;

	snprintf(url, sizeof url, "%s/dav/k", d->endpoint);
	q.url = url;
	if (body)
		q.body = source_memory(&m, body, strlen(body));
	rc = http_perform(d->http, &d->asked.call, &q, &r);
	if (!rc)
		rc = r.status;
	http_response_free(&r);
	return rc;
}

static bool head_holds(struct desk *d, const char *part)
{
	bool holds;

	LOCKED(&d->server, holds = strcasestr(d->server.head, part) != NULL);
	return holds;
}

#define SEEN(d, field, value) LOCKED(&(d)->server, assert_int_equal((d)->server.field, value))

static void basic_goes_out_once_it_was_asked_for(void **state)
{
	static const struct step script[] = { { ANSWER, ASKS(BASIC) }, { ANSWER, CREATED }, { ANSWER, OK_200 } };
	struct desk d;

	(void)state;
	desk_open(&d, "127.0.0.1", script, 3);
	assert_int_equal(perform(&d, "PUT", "body"), 201);
	SEEN(&d, requests, 2);
	SEEN(&d, body_bytes, 4);
	assert_true(head_holds(&d, "\r\nAuthorization: Basic dXNlcjpwYXNz\r\n"));
	assert_int_equal(perform(&d, "GET", NULL), 200);
	SEEN(&d, requests, 3);
	SEEN(&d, connections, 1);
	assert_true(head_holds(&d, "\r\nAuthorization: Basic dXNlcjpwYXNz\r\n"));
	desk_close(&d);
}

static void digest_is_preferred_and_goes_on_with_its_nonce(void **state)
{
	static const struct step script[] = { { ANSWER, ASKS(BASIC DIGEST("n0")) },
		{ ANSWER, ASKS(BASIC DIGEST("n1")) }, { ANSWER, OK_200 }, { ANSWER, CREATED }, { ANSWER, OK_200 } };
	struct desk d;

	(void)state;
	desk_open(&d, "127.0.0.1", script, COUNT(script));
	assert_int_equal(perform(&d, "PUT", "body"), 201);
	SEEN(&d, requests, 4);
	SEEN(&d, body_bytes, 4);
	assert_true(head_holds(&d, "\r\nAuthorization: Digest username=\"user\", realm=\"dav\", nonce=\"n1\""));
	assert_true(head_holds(&d, "nc=00000002"));
	assert_int_equal(perform(&d, "GET", NULL), 200);
	SEEN(&d, requests, 5);
	assert_true(head_holds(&d, "nc=00000003"));
	assert_false(head_holds(&d, "Basic"));
	desk_close(&d);
}

/* The answer to the first try is read like any other, and must leave nothing behind. */
static void an_expired_nonce_is_replaced(void **state)
{
	static const struct step script[] = { { ANSWER, ASKS(DIGEST("n0")) }, { ANSWER, ASKS(DIGEST("n1")) },
		{ ANSWER, OK_200 }, { ANSWER, OK_200 }, { ANSWER, ASKS(STALE("n2")) }, { ANSWER, CREATED },
		{ ANSWER, ASKS(STALE("n3")) }, { ANSWER, OK_200 } };
	struct desk d;

	(void)state;
	desk_open(&d, "127.0.0.1", script, COUNT(script));
	assert_int_equal(perform(&d, "GET", NULL), 200);
	assert_int_equal(perform(&d, "PUT", "body"), 201);
	SEEN(&d, requests, 6);
	assert_true(head_holds(&d, "nonce=\"n2\""));
	SEEN(&d, body_bytes, 8);
	assert_true(atomic_load(&d.asked.checks) >= 2); /* I1: for each of both */
	assert_int_equal(perform(&d, "GET", NULL), 200);
	SEEN(&d, requests, 8);
	assert_true(head_holds(&d, "nonce=\"n3\""));
	desk_close(&d);
}

/* Whatever the first answer is, no byte of a body and nothing of the password went out before. */
static void nothing_is_sent_to_who_does_not_ask_for_it_well(void **state)
{
	static const struct {
		const char *host, *answer;
		int rc;
		const char *says;
	} rows[] = {
		{ "127.0.0.1", ASKS("WWW-Authenticate: Bearer\r\n"), -ERR_DENIED, "other than Basic and Digest" },
		{ "127.0.0.1", ASKS(""), -ERR_DENIED, "other than Basic and Digest" },
		{ "0.0.0.0", ASKS(BASIC), -ERR_DENIED, "password in the clear" },
		{ "127.0.0.1", "HTTP/1.1 302 X\r\nLocation: http://127.0.0.2/\r\n" EMPTY, -ERR_REDIRECT, "127.0.0.2" },
		{ "127.0.0.1", "HTTP/1.1 503 X\r\n" EMPTY, 503, NULL },
		{ "127.0.0.1", "HTTP/1.1 429 X\r\n" EMPTY, 429, NULL },
		{ "127.0.0.1", "no HTTP\r\n\r\n", -ERR_PROTOCOL, "127.0.0.1" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct step script[] = { { ANSWER_CLOSE, rows[i].answer } };
		struct desk d;

		desk_open(&d, rows[i].host, script, 1);
		assert_int_equal(perform(&d, "PUT", "body"), rows[i].rc);
		if (rows[i].says)
			assert_says(&d.asked.msg, rows[i].says);
		SEEN(&d, requests, 1);
		SEEN(&d, body_bytes, 0);
		assert_true(head_holds(&d, "PROPFIND /dav/ HTTP/1.1\r\n"));
		assert_true(head_holds(&d, "\r\nDepth: 0\r\n"));
		assert_false(head_holds(&d, "Authorization"));
		desk_close(&d);
	}
}

static void digest_needs_no_tls(void **state)
{
	static const struct step script[] = { { ANSWER, ASKS(BASIC DIGEST("n0")) },
		{ ANSWER, ASKS(BASIC DIGEST("n1")) }, { ANSWER, OK_200 } };
	struct desk d;

	(void)state;
	desk_open(&d, "0.0.0.0", script, 3);
	assert_int_equal(perform(&d, "GET", NULL), 200);
	assert_true(head_holds(&d, "Authorization: Digest"));
	desk_close(&d);
}

/* looking is free, writing is not */
static void a_server_that_asks_for_nothing_may_ask_later(void **state)
{
	static const struct step script[] = { { ANSWER, OK_200 }, { ANSWER, ASKS(DIGEST("n1")) }, { ANSWER, OK_200 },
		{ ANSWER, ASKS(DIGEST("n2")) }, { ANSWER, CREATED } };
	struct desk d;

	(void)state;
	desk_open(&d, "127.0.0.1", script, COUNT(script));
	assert_int_equal(perform(&d, "PUT", "body"), 401);
	assert_true(head_holds(&d, "Authorization: Basic"));
	assert_int_equal(perform(&d, "PUT", "body"), 201);
	assert_true(head_holds(&d, "Authorization: Digest"));
	SEEN(&d, requests, 5);
	SEEN(&d, body_bytes, 8); /* and the fourth was empty */
	desk_close(&d);
}

static void nothing_in_the_clear_to_a_server_that_asks_for_nothing(void **state)
{
	static const struct step script[] = { { ANSWER, OK_200 }, { ANSWER, OK_200 } };
	struct desk d;

	(void)state;
	desk_open(&d, "0.0.0.0", script, 2);
	assert_int_equal(perform(&d, "GET", NULL), 200);
	SEEN(&d, requests, 2);
	assert_false(head_holds(&d, "Authorization"));
	desk_close(&d);
}

static void a_wrong_password_is_found_before_a_body_is_sent(void **state)
{
	static const struct step script[] = { { ANSWER, ASKS(DIGEST("n1")) }, { ANSWER, ASKS(DIGEST("n2")) },
		{ ANSWER, ASKS(DIGEST("n3")) }, { ANSWER, ASKS(DIGEST("n4")) }, { ANSWER, ASKS(DIGEST("n5")) },
		{ ANSWER, OK_200 }, { ANSWER, OK_200 } };
	struct desk d;

	(void)state;
	desk_open(&d, "127.0.0.1", script, COUNT(script));
	assert_int_equal(perform(&d, "PUT", "body"), 401);
	SEEN(&d, requests, 3);
	SEEN(&d, body_bytes, 0);
	assert_int_equal(perform(&d, "GET", NULL), 200); /* how it asks is found out again */
	SEEN(&d, requests, 7);
	assert_true(head_holds(&d, "nonce=\"n5\""));
	desk_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(basic_goes_out_once_it_was_asked_for),
		cmocka_unit_test(digest_is_preferred_and_goes_on_with_its_nonce),
		cmocka_unit_test(an_expired_nonce_is_replaced),
		cmocka_unit_test(nothing_is_sent_to_who_does_not_ask_for_it_well),
		cmocka_unit_test(digest_needs_no_tls),
		cmocka_unit_test(a_server_that_asks_for_nothing_may_ask_later),
		cmocka_unit_test(nothing_in_the_clear_to_a_server_that_asks_for_nothing),
		cmocka_unit_test(a_wrong_password_is_found_before_a_body_is_sent),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
