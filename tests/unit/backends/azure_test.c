/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The Azure driver against a server that answers what it is told: what is believed, and what is not. */
#include "tests/unit/backends/server.h"

#include "backends/azure_xml.h"
#include "base/file.h"

#include <sys/stat.h>
#include <time.h>

#define EMPTY		      "Content-Length: 0\r\n\r\n"
#define STATUS(status)	      "HTTP/1.1 " status " X\r\n" EMPTY
#define FAILURE(status, code) "HTTP/1.1 " status " X\r\nx-ms-error-code: " code "\r\n" EMPTY
#define XML(body)	      "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" body
#define BODY(len, body)	      "HTTP/1.1 200 OK\r\nContent-Length: " len "\r\n\r\n" body
#define PARTIAL(range, len, body)                                                                                      \
	"HTTP/1.1 206 Partial\r\nContent-Range: bytes " range "\r\nContent-Length: " len "\r\n\r\n" body
#define NO_BLOB                                                                                                        \
	{                                                                                                              \
		ANSWER, FAILURE("404", "BlobNotFound")                                                                 \
	}

#define STEPS 8

struct cloud {
	struct server server;
	struct setting setting;
	char endpoint[64], secret[64];
	struct backend *backend; /* the bare driver */
	struct asked asked;
};

static void write_secret(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(file_write_full(fd, text, strlen(text)), 0);
	close(fd);
}

static size_t steps(const struct step *script)
{
	size_t n = 0;

	while (n < STEPS && script[n].answer)
		n++;
	return n;
}

/* sas NULL: by the account's key */
static void cloud_start(struct cloud *w, const struct step *script, const char *sas)
{
	struct config_backend *config = setting_init(&w->setting, "azure");

	server_start(&w->server, script, steps(script), 0);
	snprintf(w->endpoint, sizeof w->endpoint, "http://127.0.0.1:%d/acct", w->server.port);
	strcpy(w->secret, "/tmp/azure-test-XXXXXX");
	close(mkstemp(w->secret));
	write_secret(w->secret, sas ? sas : "c2VjcmV0\n");
	config->endpoint = w->endpoint;
	config->user = STR("acct");
	config->key_file = sas ? NULL : w->secret;
	config->sas_file = sas ? w->secret : NULL;
	config->prefix = STR("p/");
	setting_allow(&w->setting, "127.0.0.0/8");
	assert_int_equal(azure_open(&w->backend, config, NULL), 0);
	w->backend->zone_id = ZONE;
	ask(&w->asked);
}

static void cloud_stop(struct cloud *w)
{
	asked_end(&w->asked);
	backend_free(w->backend);
	unlink(w->secret);
	server_stop(&w->server);
}

static void expect(struct cloud *w, size_t row, int rc, int expected, unsigned requests)
{
	unsigned seen;

	if (rc != expected)
		fail_msg("row %zu: %s: %s", row, err_name(rc), errmsg_text(&w->asked.msg, rc));
	if (rc < 0)
		assert_says(&w->asked.msg, "'virginia'");
	else
		assert_null(w->asked.msg.text);
	LOCKED(&w->server, seen = w->server.requests);
	if (seen != requests)
		fail_msg("row %zu: %u requests", row, seen);
}

static bool head_holds(struct cloud *w, const char *part)
{
	bool holds;

	LOCKED(&w->server, holds = strcasestr(w->server.head, part) != NULL);
	return holds;
}

/* five bytes at 3, "hello" */
static void believes_only_the_exact_range(void **state)
{
	static const struct {
		struct step script[STEPS];
		int rc;
	} rows[] = {
		{ { { ANSWER, PARTIAL("3-7/100", "5", "hello") } }, 0 },
		{ { { ANSWER, PARTIAL("2-6/100", "5", "hello") } }, -ERR_PROTOCOL },
		{ { { ANSWER, PARTIAL("3-6/7", "4", "hell") } }, -ERR_TAMPERED },
		{ { { ANSWER_CLOSE, PARTIAL("3-7/100", "5", "hel") } }, -ERR_UNREACHABLE },
		{ { { ANSWER, BODY("8", "abchello") } }, -ERR_PROTOCOL },
		/* the emulator's answer for an empty blob */
		{ { { ANSWER, PARTIAL("0--1/0", "0", "") }, { ANSWER_CLOSE, BODY("0", "") } }, -ERR_TAMPERED },
		{ { { ANSWER, PARTIAL("0--1/0", "0", "") }, { ANSWER_CLOSE, BODY("8", "") } }, -ERR_PROTOCOL },
		{ { { ANSWER, FAILURE("416", "InvalidRange") } }, -ERR_TAMPERED },
		{ { NO_BLOB }, -ERR_ABSENT },
		{ { { ANSWER, FAILURE("404", "ContainerNotFound") } }, -ERR_NO_BUCKET },
		{ { { ANSWER, STATUS("404") } }, -ERR_PROTOCOL }, /* I7 */
		{ { { ANSWER, FAILURE("410", "BlobNotFound") } }, -ERR_PROTOCOL },
		{ { { ANSWER, FAILURE("403", "AuthenticationFailed") } }, -ERR_DENIED },
		{ { { ANSWER, FAILURE("503", "ServerBusy") } }, -ERR_BUSY },
		{ { { ANSWER, "HTTP/1.1 307 X\r\nLocation: http://127.0.0.2/x\r\n" EMPTY } }, -ERR_REDIRECT },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct sink_memory m;
		struct cloud w;
		char back[6] = "";
		int rc;

		cloud_start(&w, rows[i].script, NULL);
		rc = backend_get(w.backend, &w.asked.call, "k", 3, 5, sink_memory(&m, back, 5));
		expect(&w, i, rc, rows[i].rc, (unsigned)steps(rows[i].script));
		assert_string_equal(rc ? "hello" : back, "hello");
		cloud_stop(&w);
	}
}

static void stores(void **state)
{
	static const struct {
		struct step script[STEPS];
		int rc;
	} rows[] = {
		{ { { ANSWER, STATUS("201") } }, 0 },
		{ { { ANSWER, STATUS("200") } }, -ERR_PROTOCOL },
		/* the key is taken: by itself, or by another */
		{ { { ANSWER, FAILURE("409", "BlobAlreadyExists") }, { ANSWER_CLOSE, BODY("5", "") },
			  { ANSWER, BODY("5", "hello") } },
			0 },
		{ { { ANSWER, FAILURE("412", "ConditionNotMet") }, { ANSWER_CLOSE, BODY("5", "") },
			  { ANSWER_CLOSE, BODY("5", "hallo") } },
			-ERR_EXISTS },
		{ { { ANSWER, FAILURE("409", "BlobAlreadyExists") }, { ANSWER_CLOSE, BODY("6", "") } }, -ERR_EXISTS },
		{ { { ANSWER, FAILURE("400", "Md5Mismatch") } }, -ERR_SERVER },
		{ { { ANSWER, FAILURE("413", "RequestBodyTooLarge") } }, -ERR_TOO_LARGE },
		{ { { ANSWER, FAILURE("409", "BlobImmutableDueToPolicy") } }, -ERR_DENIED },
		{ { { ANSWER, FAILURE("500", "OperationTimedOut") } }, -ERR_TIMEOUT },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct source_memory m;
		struct cloud w;
		int rc;

		cloud_start(&w, rows[i].script, NULL);
		rc = guard_put(w.backend, &w.asked.call, "k +", source_memory(&m, "hello", 5));
		expect(&w, i, rc, rows[i].rc, (unsigned)steps(rows[i].script));
		if (i == 0) {
			assert_true(head_holds(&w, "PUT /acct/office/p/k%20%2B HTTP/1.1\r\n"));
			assert_true(head_holds(&w, "\r\nx-ms-blob-type: BlockBlob\r\n"));
			assert_true(head_holds(&w, "\r\nIf-None-Match: *\r\n"));
			assert_true(head_holds(&w, "\r\nContent-MD5: XUFAKrxLKna5cZ2REBfFkg==\r\n"));
			assert_true(head_holds(&w, "\r\nx-ms-version: 2020-10-02\r\n"));
			assert_true(head_holds(&w, "\r\nAuthorization: SharedKey acct:"));
		}
		cloud_stop(&w);
	}
}

#define GONE(headers) "HTTP/1.1 202 Accepted\r\n" headers EMPTY
#define SOFT	      GONE("x-ms-delete-type-permanent: false\r\n")
#define LIST(blobs)   XML("<EnumerationResults><Blobs>" blobs "</Blobs><NextMarker/></EnumerationResults>")
#define VERSION(name, id)                                                                                              \
	"<Blob><Name>" name "</Name><VersionId>" id "</VersionId><Properties><Content-Length>1</Content-Length>"       \
	"</Properties></Blob>"
#define KEPT(name)                                                                                                     \
	"<Blob><Name>" name "</Name><Deleted>true</Deleted><Properties><Content-Length>1</Content-Length>"             \
	"</Properties></Blob>"

/* Deleted is only what is not kept under another name. */
static void deletes(void **state)
{
	static const struct {
		struct step script[STEPS];
		int rc;
		const char *last; /* of the last request */
	} rows[] = {
		{ { { ANSWER, GONE("") } }, 0, "DELETE /acct/office/p/k HTTP" },
		{ { { ANSWER, GONE("x-ms-delete-type-permanent: true\r\n") } }, 0,
			"x-ms-delete-snapshots: include\r\n" },
		{ { NO_BLOB }, 0, "DELETE " },
		{ { { ANSWER, STATUS("404") } }, -ERR_PROTOCOL, "DELETE " },
		{ { { ANSWER, FAILURE("404", "ContainerNotFound") } }, -ERR_NO_BUCKET, "DELETE " },
		{ { { ANSWER, SOFT }, { ANSWER_CLOSE, LIST("") } }, 0,
			"GET "
			"/acct/"
			"office?comp=list&include=snapshots%2Cversions%2Cdeleted&prefix=p%2Fk&restype=container " },
		{ { { ANSWER, SOFT }, { ANSWER_CLOSE, LIST(KEPT("p/k2")) } }, 0, "GET " },
		{ { { ANSWER, SOFT }, { ANSWER_CLOSE, LIST(KEPT("p/k")) } }, -ERR_SERVER, "GET " },
		{ { { ANSWER, SOFT }, { ANSWER_CLOSE, LIST(VERSION("p/k", "v1") VERSION("p/k", "v2")) },
			  { ANSWER, GONE("") }, { ANSWER_CLOSE, LIST(VERSION("p/k", "v2")) }, { ANSWER, GONE("") },
			  { ANSWER_CLOSE, LIST("") } },
			0, "GET " },
		{ { { ANSWER, SOFT }, { ANSWER_CLOSE, LIST(VERSION("p/k", "v1")) },
			  { ANSWER, FAILURE("403", "AuthorizationPermissionMismatch") } },
			-ERR_DENIED, "DELETE /acct/office/p/k?versionid=v1 " },
		{ { { ANSWER, SOFT }, { ANSWER_CLOSE, XML("<html/>") } }, -ERR_PROTOCOL, "GET " },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cloud w;

		cloud_start(&w, rows[i].script, NULL);
		expect(&w, i, backend_del(w.backend, &w.asked.call, "k"), rows[i].rc, (unsigned)steps(rows[i].script));
		if (!head_holds(&w, rows[i].last))
			fail_msg("row %zu: %s", i, w.server.head);
		cloud_stop(&w);
	}
}

/* once the account was seen to keep what is deleted, "no such blob" is looked into as well */
static void remembers_that_versions_are_kept(void **state)
{
	static const struct step script[STEPS] = { { ANSWER, "HTTP/1.1 201 X\r\nx-ms-version-id: v1\r\n" EMPTY },
		NO_BLOB, { ANSWER_CLOSE, LIST(KEPT("p/k")) } };
	struct source_memory m;
	struct cloud w;

	(void)state;
	cloud_start(&w, script, NULL);
	assert_int_equal(guard_put(w.backend, &w.asked.call, "k", source_memory(&m, "hello", 5)), 0);
	assert_int_equal(backend_del(w.backend, &w.asked.call, "k"), -ERR_SERVER);
	assert_says(&w.asked.msg, "soft delete");
	cloud_stop(&w);
}

#define BLOB(name)                                                                                                     \
	"<Blob><Name>" name "</Name><Properties><Last-Modified>Mon, 30 Nov 2026 20:39:34 GMT</Last-Modified>"          \
	"<Content-Length>3</Content-Length></Properties></Blob>"
#define PAGE_1(marker)                                                                                                 \
	XML("<?xml version='1.0' encoding='utf-8'?><EnumerationResults "                                               \
	    "ServiceEndpoint='x'><Prefix>p/</Prefix><Blobs>" BLOB("p/a")                                               \
			BLOB("p/b") "</Blobs><NextMarker>" marker "</NextMarker></EnumerationResults>")

static int join_keys(void *ctx, const struct backend_object *o)
{
	assert_int_equal(o->size, 3);
	assert_int_equal(o->mtime_ns, 1796071174 * NS_PER_S);
	strcat(ctx, o->key);
	return !strcmp(o->key, "stop") ? 17 : 0;
}

static void lists_only_what_was_asked_for(void **state)
{
	static const struct {
		const char *second;
		int rc;
		const char *keys;
	} rows[] = {
		{ LIST(BLOB("p/c") BLOB("p/d/e")), 0, "abcd/e" },
		{ LIST(""), 0, "ab" },
		{ LIST(BLOB("p/stop") BLOB("p/t")), 17, "abstop" },
		{ LIST(BLOB("p/b")), -ERR_PROTOCOL, "ab" }, /* again */
		{ LIST(BLOB("q/c")), -ERR_PROTOCOL, "ab" }, /* not below the prefix */
		{ PAGE_1("m"), -ERR_PROTOCOL, "ab" },	    /* in circles */
		{ LIST("<Blob><Name>p/c</Name></Blob>"), -ERR_PROTOCOL, "ab" },
		{ LIST("<Blob><Properties><Content-Length>3</Content-Length></Properties></Blob>"), -ERR_PROTOCOL,
			"ab" },
		{ LIST("<Blob><Name>p/c</Name><Properties><Content-Length>-3</Content-Length></Properties></Blob>"),
			-ERR_PROTOCOL, "ab" },
		{ XML("<!DOCTYPE x [<!ENTITY e 'p/c'>]><EnumerationResults/>"), -ERR_PROTOCOL, "ab" },
		{ XML("<EnumerationResults>"), -ERR_PROTOCOL, "ab" },
		{ XML("<html/>"), -ERR_PROTOCOL, "ab" },
		{ FAILURE("503", "ServerBusy"), -ERR_BUSY, "ab" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct step script[STEPS] = { { ANSWER_CLOSE, PAGE_1("a/+=") },
			{ ANSWER_CLOSE, rows[i].second } };
		char keys[64] = "";
		struct cloud w;
		int rc;

		cloud_start(&w, script, NULL);
		rc = backend_list(w.backend, &w.asked.call, join_keys, keys);
		expect(&w, i, rc, rows[i].rc, 2);
		assert_string_equal(keys, rows[i].keys);
		assert_true(head_holds(&w, "GET /acct/office?comp=list&marker=a%2F%2B%3D&maxresults=1000&prefix=p%2F&"
					   "restype=container HTTP/1.1\r\n"));
		cloud_stop(&w);
	}
}

/* the code is the same for a wrong key and a wrong clock */
static void tells_a_wrong_clock(void **state)
{
	static const struct {
		int ahead_s, rc;
	} rows[] = { { 0, -ERR_DENIED }, { 800, -ERR_DENIED }, { 1000, -ERR_CLOCK }, { -1000, -ERR_CLOCK } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		time_t theirs = time(NULL) + rows[i].ahead_s;
		char date[64], answer[256];
		const struct step script[STEPS] = { { ANSWER, answer } };
		struct cloud w;
		struct tm tm;

		strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&theirs, &tm));
		snprintf(answer, sizeof answer,
			"HTTP/1.1 403 X\r\nx-ms-error-code: AuthenticationFailed\r\nDate: %s\r\n" EMPTY, date);
		cloud_start(&w, script, NULL);
		expect(&w, i, backend_probe(w.backend, &w.asked.call), rows[i].rc, 1);
		if (rows[i].rc == -ERR_CLOCK)
			assert_says(&w.asked.msg, "set this machine's clock");
		cloud_stop(&w);
	}
}

static void a_signature_goes_into_the_url_and_nowhere_else(void **state)
{
	static const struct step script[STEPS] = { { ANSWER, FAILURE("403", "AuthorizationFailure") },
		{ ANSWER, STATUS("201") } };
	struct source_memory m;
	struct cloud w;

	(void)state;
	cloud_start(&w, script, "?sv=2020&sig=abc%2B\n");
	expect(&w, 0, backend_probe(w.backend, &w.asked.call), -ERR_DENIED, 1);
	assert_true(head_holds(&w, "GET /acct/office?comp=list&maxresults=1&prefix=p%2F&restype=container&sv=2020&"
				   "sig=abc%2B HTTP/1.1\r\n"));
	assert_false(head_holds(&w, "Authorization"));
	assert_null(strstr(w.asked.msg.text, "sig="));
	assert_says(&w.asked.msg, "sas-file");
	assert_int_equal(guard_put(w.backend, &w.asked.call, "k", source_memory(&m, "x", 1)), 0);
	assert_true(head_holds(&w, "PUT /acct/office/p/k?sv=2020&sig=abc%2B HTTP/1.1\r\n"));
	cloud_stop(&w);
}

static void says_what_the_server_says(void **state)
{
	static const struct step script[STEPS] = { { ANSWER_CLOSE,
		"HTTP/1.1 404 X\r\nConnection: close\r\nRetry-After: 3\r\nx-ms-error-code: "
		"ContainerNotFound\r\n\r\n<?xml "
		"version='1.0'?><Error><Code>ContainerNotFound</Code><Message>It is gone.\nRequestId: "
		"7</Message></Error>" } };
	struct cloud w;

	(void)state;
	cloud_start(&w, script, NULL);
	expect(&w, 0, backend_probe(w.backend, &w.asked.call), -ERR_NO_BUCKET, 1);
	assert_says(&w.asked.msg, "(container office): 127.0.0.1 answered 404 ContainerNotFound: It is gone.");
	assert_says(&w.asked.msg, "create the container there");
	assert_int_equal(w.asked.call.retry_after_ns, 3 * NS_PER_S);
	cloud_stop(&w);
}

static void opens_with_complaints(void **state)
{
	static const struct {
		const char *container, *account;
		bool key, sas;
		mode_t mode;
		int rc;
	} rows[] = {
		{ "office", "acct", true, false, 0600, 0 },
		{ "office", NULL, false, true, 0600, 0 },
		{ "", "acct", true, false, 0600, -ERR_CONFIG },
		{ NULL, "acct", true, false, 0600, -ERR_CONFIG },
		{ "office", NULL, true, false, 0600, -ERR_CONFIG },
		{ "office", "acct", false, false, 0600, -ERR_CONFIG },
		{ "office", "acct", true, false, 0640, -ERR_SECRET_FILE },
		{ "office", "acct", false, true, 0640, -ERR_SECRET_FILE },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char path[] = "/tmp/azure-test-XXXXXX";
		struct errmsg msg = { 0 };
		struct backend *b = NULL;
		struct setting s;

		close(mkstemp(path));
		write_secret(path, "c2VjcmV0\n");
		chmod(path, rows[i].mode);
		setting_init(&s, "azure")->bucket = STR(rows[i].container);
		s.config.endpoint = STR("https://acct.blob.core.windows.net");
		s.config.user = STR(rows[i].account);
		s.config.key_file = rows[i].key ? path : NULL;
		s.config.sas_file = rows[i].sas ? path : NULL;
		assert_int_equal(azure_open(&b, &s.config, &msg), rows[i].rc);
		if (rows[i].rc)
			assert_says(&msg, "'virginia'");
		else
			backend_free(b);
		errmsg_free(&msg);
		unlink(path);
	}
}

static void a_key_that_is_none_is_said(void **state)
{
	static const struct step script[STEPS] = { { ANSWER, STATUS("200") } };
	struct cloud w;

	(void)state;
	cloud_start(&w, script, NULL);
	write_secret(w.secret, "no base64!\n");
	assert_int_equal(backend_probe(w.backend, &w.asked.call), -ERR_DENIED);
	assert_says(&w.asked.msg, "no key in base64");
	LOCKED(&w.server, assert_int_equal(w.server.requests, 0));
	cloud_stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(believes_only_the_exact_range),
		cmocka_unit_test(stores),
		cmocka_unit_test(deletes),
		cmocka_unit_test(remembers_that_versions_are_kept),
		cmocka_unit_test(lists_only_what_was_asked_for),
		cmocka_unit_test(tells_a_wrong_clock),
		cmocka_unit_test(a_signature_goes_into_the_url_and_nowhere_else),
		cmocka_unit_test(says_what_the_server_says),
		cmocka_unit_test(opens_with_complaints),
		cmocka_unit_test(a_key_that_is_none_is_said),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
