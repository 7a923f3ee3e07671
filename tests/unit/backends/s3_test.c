/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The S3 driver against a server that answers what it is told: what is believed, and what is not. */
#include "tests/unit/backends/server.h"

#include "base/file.h"

#include <sys/stat.h>

#define ANSWER_200(body_len, body) "HTTP/1.1 200 OK\r\nContent-Length: " body_len "\r\n\r\n" body
#define S3_ERROR(status, code)                                                                                         \
	"HTTP/1.1 " status " X\r\nConnection: close\r\n\r\n<Error><Code>" code "</Code><Message>so</Message></Error>"
#define NO_KEY	   S3_ERROR("404", "NoSuchKey")
#define NO_CONTENT "HTTP/1.1 204 No Content\r\n\r\n"
#define EMPTY_404  "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
#define HTML_404   "HTTP/1.1 404 Not Found\r\nContent-Length: 22\r\n\r\n<html>not here</html>\n"
#define RANGE_206(range, len, body)                                                                                    \
	"HTTP/1.1 206 Partial\r\nContent-Range: bytes " range "\r\nContent-Length: " len "\r\n\r\n" body

struct cloud {
	struct server server;
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

static void cloud_start(struct cloud *w, const struct step *script, size_t script_len)
{
	struct config_backend *config = setting_init(&w->setting, "s3");

	server_start(&w->server, script, script_len, 0);
	snprintf(w->endpoint, sizeof w->endpoint, "http://127.0.0.1:%d", w->server.port);
	strcpy(w->secret, "/tmp/s3-test-XXXXXX");
	close(mkstemp(w->secret));
	write_secret(w->secret, "secret\n");
	config->endpoint = w->endpoint;
	config->secret_key_file = w->secret;
	config->prefix = STR("p/");
	setting_allow(&w->setting, "127.0.0.0/8");
	assert_int_equal(s3_open(&w->backend, config, NULL), 0);
	w->backend->zone_id = ZONE;
}

static void cloud_stop(struct cloud *w)
{
	backend_free(w->backend);
	unlink(w->secret);
	server_stop(&w->server);
}

/* the arguments of get are those of "hello", at 3 */
static int run_get(struct cloud *w, struct asked *a, char back[8])
{
	struct sink_memory m;

	memset(back, 0, 8);
	return backend_get(w->backend, &a->call, "k", 3, 5, sink_memory(&m, back, 5));
}

static void believes_only_the_exact_range(void **state)
{
	static const struct {
		struct step step;
		int rc;
	} rows[] = {
		{ { ANSWER, RANGE_206("3-7/100", "5", "hello") }, 0 },
		{ { ANSWER, RANGE_206("3-7/*", "5", "hello") }, 0 },
		{ { ANSWER_CLOSE, "HTTP/1.1 206 P\r\nContent-Range: bytes 3-7/100\r\n\r\nhello" }, 0 },
		{ { ANSWER_CLOSE, "HTTP/1.1 206 P\r\nContent-Range: bytes 3-7/100\r\n\r\nhell" }, -ERR_PROTOCOL },
		{ { ANSWER_CLOSE, "HTTP/1.1 206 P\r\nContent-Range: bytes 3-7/100\r\n\r\nhello!" }, -ERR_PROTOCOL },
		{ { ANSWER, RANGE_206("2-6/100", "5", "hello") }, -ERR_PROTOCOL }, /* another range */
		{ { ANSWER, RANGE_206("3-6/7", "4", "hell") }, -ERR_TAMPERED },	   /* the object is shorter */
		{ { ANSWER, RANGE_206("3-6/8", "4", "hell") }, -ERR_PROTOCOL },
		{ { ANSWER, RANGE_206("3-6/*", "4", "hell") }, -ERR_PROTOCOL },
		{ { ANSWER, RANGE_206("3-7/100", "6", "hello!") }, -ERR_PROTOCOL },
		{ { ANSWER, RANGE_206("hello", "5", "hello") }, -ERR_PROTOCOL },
		{ { ANSWER, "HTTP/1.1 206 P\r\nContent-Length: 5\r\n\r\nhello" }, -ERR_PROTOCOL },
		{ { ANSWER, ANSWER_200("5", "hello") }, -ERR_PROTOCOL }, /* the whole object: but from 3 was asked */
		{ { ANSWER, ANSWER_200("0", "") }, -ERR_PROTOCOL },
		{ { ANSWER_CLOSE, RANGE_206("3-7/100", "5", "hel") }, -ERR_UNREACHABLE }, /* broke */
		{ { ANSWER_CLOSE, S3_ERROR("416", "InvalidRange") }, -ERR_TAMPERED },
		{ { ANSWER_CLOSE, NO_KEY }, -ERR_ABSENT },
		{ { ANSWER_CLOSE, S3_ERROR("404", "NoSuchBucket") }, -ERR_NO_BUCKET },
		{ { ANSWER, EMPTY_404 }, -ERR_PROTOCOL }, /* I7 */
		{ { ANSWER, HTML_404 }, -ERR_PROTOCOL },
		{ { ANSWER_CLOSE, S3_ERROR("403", "SignatureDoesNotMatch") }, -ERR_DENIED },
		{ { ANSWER_CLOSE, S3_ERROR("503", "SlowDown") }, -ERR_BUSY },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cloud w;
		struct asked a;
		char back[8];
		int rc;

		cloud_start(&w, &rows[i].step, 1);
		rc = run_get(&w, (ask(&a), &a), back);
		if (rc != rows[i].rc)
			fail_msg("row %zu: %s %s", i, err_name(rc), errmsg_text(&a.msg, rc));
		if (!rc)
			assert_string_equal(back, "hello");
		else
			assert_says(&a.msg, "'virginia'");
		if (rc == -ERR_TAMPERED)
			assert_says(&a.msg, "the object is cut short");
		asked_end(&a);
		cloud_stop(&w);
	}
}

static void takes_a_whole_object_for_all_of_it(void **state)
{
	static const struct step script[] = { { ANSWER, ANSWER_200("5", "hello") },
		{ ANSWER, ANSWER_200("6", "hello!") } };
	struct sink_memory m;
	struct cloud w;
	struct asked a;
	char back[5];

	(void)state;
	cloud_start(&w, script, 2);
	assert_int_equal(backend_get(w.backend, ask(&a), "k", 0, 5, sink_memory(&m, back, 5)), 0);
	assert_memory_equal(back, "hello", 5);
	assert_int_equal(backend_get(w.backend, &a.call, "k", 0, 5, sink_memory(&m, back, 5)), -ERR_PROTOCOL);
	asked_end(&a);
	cloud_stop(&w);
}

/* An answer to HEAD has no body, and so proves nothing (I7). */
static void confirms_what_head_denies(void **state)
{
	static const struct {
		struct step steps[2];
		int rc;
		unsigned requests;
		uint64_t size;
	} rows[] = {
		{ { { ANSWER_CLOSE, "HTTP/1.1 200 OK\r\nContent-Length: 4194304\r\n\r\n" } }, 0, 1, 4194304 },
		{ { { ANSWER_CLOSE, "HTTP/1.1 200 OK\r\n\r\n" } }, -ERR_PROTOCOL, 1, 0 },
		{ { { ANSWER, EMPTY_404 }, { ANSWER_CLOSE, NO_KEY } }, -ERR_ABSENT, 2, 0 },
		{ { { ANSWER, EMPTY_404 }, { ANSWER, EMPTY_404 } }, -ERR_PROTOCOL, 2, 0 },
		{ { { ANSWER, EMPTY_404 }, { ANSWER_CLOSE, S3_ERROR("404", "NoSuchBucket") } }, -ERR_NO_BUCKET, 2, 0 },
		{ { { ANSWER, EMPTY_404 }, { ANSWER_CLOSE, S3_ERROR("503", "SlowDown") } }, -ERR_BUSY, 2, 0 },
		{ { { ANSWER, EMPTY_404 }, { ANSWER, RANGE_206("0-0/5", "1", "h") } }, -ERR_SERVER, 2, 0 },
		{ { { ANSWER, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n" } }, -ERR_DENIED, 1, 0 },
		{ { { CLOSE, NULL } }, -ERR_UNREACHABLE, 1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cloud w;
		struct asked a;
		uint64_t size = 0;
		int rc;

		cloud_start(&w, rows[i].steps, rows[i].steps[1].what || rows[i].steps[1].answer ? 2 : 1);
		rc = backend_head(w.backend, ask(&a), "k", &size);
		if (rc != rows[i].rc)
			fail_msg("row %zu: %s", i, err_name(rc));
		assert_int_equal(size, rows[i].size);
		LOCKED(&w.server, assert_int_equal(w.server.requests, rows[i].requests));
		if (rc < 0)
			assert_says(&a.msg, "'virginia'");
		asked_end(&a);
		cloud_stop(&w);
	}
}

static void deletes(void **state)
{
	static const struct {
		struct step step;
		int rc;
	} rows[] = {
		{ { ANSWER, NO_CONTENT }, 0 },
		{ { ANSWER, ANSWER_200("0", "") }, 0 },
		{ { ANSWER_CLOSE, NO_KEY }, 0 },
		{ { ANSWER, EMPTY_404 }, -ERR_PROTOCOL }, /* deleted is only what was confirmed */
		{ { ANSWER_CLOSE, S3_ERROR("404", "NoSuchBucket") }, -ERR_NO_BUCKET },
		{ { ANSWER_CLOSE, S3_ERROR("403", "AccessDenied") }, -ERR_DENIED },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cloud w;
		struct asked a;

		cloud_start(&w, &rows[i].step, 1);
		assert_int_equal(backend_del(w.backend, ask(&a), "k"), rows[i].rc);
		if (rows[i].rc)
			assert_says(&a.msg, "'virginia'");
		else
			assert_null(a.msg.text);
		asked_end(&a);
		cloud_stop(&w);
	}
}

#define HIDDEN	       "HTTP/1.1 204 No Content\r\nx-amz-delete-marker: true\r\nx-amz-version-id: m2\r\n\r\n"
#define LIST(name, in) "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<" name ">" in "</" name ">"
#define VERSIONS(in)   LIST("ListVersionsResult", in)
#define UPLOADS(in)    LIST("ListMultipartUploadsResult", in)
#define VERSION(k, id) "<Version><Key>" k "</Key><VersionId>" id "</VersionId><Size>3</Size></Version>"
#define MARKER(k, id)  "<DeleteMarker><Key>" k "</Key><VersionId>" id "</VersionId></DeleteMarker>"
#define UPLOAD(k, id)  "<Upload><Key>" k "</Key><UploadId>" id "</UploadId></Upload>"

/* What a versioned bucket hides is deleted version by version, and looked for again. */
static void deletes_every_version(void **state)
{
	static const struct {
		struct step steps[6];
		size_t count;
		int rc;
	} rows[] = {
		{ { { ANSWER, HIDDEN },
			  { ANSWER_CLOSE, VERSIONS(MARKER("p/k", "m2") VERSION("p/k", "v1") VERSION("p/key", "v9")) },
			  { ANSWER, NO_CONTENT }, { ANSWER, NO_CONTENT }, { ANSWER_CLOSE, VERSIONS("") } },
			5, 0 },
		{ { { ANSWER, HIDDEN }, { ANSWER_CLOSE, S3_ERROR("403", "AccessDenied") } }, 2, -ERR_DENIED },
		{ { { ANSWER, HIDDEN }, { ANSWER_CLOSE, VERSIONS(VERSION("p/k", "v1")) },
			  { ANSWER_CLOSE, S3_ERROR("403", "AccessDenied") } },
			3, -ERR_DENIED },
		{ { { ANSWER, HIDDEN }, { ANSWER_CLOSE, VERSIONS(VERSION("q/k", "v1")) } }, 2, -ERR_PROTOCOL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cloud w;
		struct asked a;
		int rc;

		cloud_start(&w, rows[i].steps, rows[i].count);
		rc = backend_del(w.backend, ask(&a), "k");
		if (rc != rows[i].rc)
			fail_msg("row %zu: %s: %s", i, err_name(rc), errmsg_text(&a.msg, rc));
		LOCKED(&w.server, assert_int_equal(w.server.requests, rows[i].count));
		asked_end(&a);
		cloud_stop(&w);
	}
}

static int join_remnants(void *ctx, const struct backend_remnant *r)
{
	static const char kinds[] = "OVMU";
	char *to = ctx;

	sprintf(to + strlen(to), "%c%s=%s ", kinds[r->kind], r->key, r->id);
	return 0;
}

static void lists_what_a_bucket_keeps(void **state)
{
	static const struct {
		const char *versions, *uploads;
		int rc;
		const char *text;
	} rows[] = {
		{ VERSIONS(VERSION("p/b", "null") MARKER("p/c", "m")), UPLOADS(UPLOAD("p/d", "u1")), 0,
			"Va=v Vb=null Mc=m Ud=u1 " },
		{ VERSIONS(""), S3_ERROR("501", "NotImplemented"), 0, "Va=v " },
		{ VERSIONS(""), S3_ERROR("403", "AccessDenied"), -ERR_DENIED, "Va=v " },
		{ S3_ERROR("501", "NotImplemented"), UPLOADS(""), -ERR_PROTOCOL, "Va=v " },
		{ VERSIONS("<Version><VersionId>v</VersionId></Version>"), UPLOADS(""), -ERR_PROTOCOL, "Va=v " },
		{ VERSIONS("<IsTruncated>true</IsTruncated>"), UPLOADS(""), -ERR_PROTOCOL, "Va=v " },
		{ UPLOADS(""), UPLOADS(""), -ERR_PROTOCOL, "Va=v " },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct step script[] = {
			{ ANSWER_CLOSE, VERSIONS("<IsTruncated>true</IsTruncated><NextKeyMarker>p/a</NextKeyMarker>"
						 "<NextVersionIdMarker>v</NextVersionIdMarker>" VERSION("p/a", "v")) },
			{ ANSWER_CLOSE, rows[i].versions }, { ANSWER_CLOSE, rows[i].uploads }
		};
		char text[256] = "";
		struct cloud w;
		struct asked a;
		int rc;

		cloud_start(&w, script, 3);
		rc = backend_remnants(w.backend, ask(&a), join_remnants, text);
		if (rc != rows[i].rc || strcmp(text, rows[i].text) != 0)
			fail_msg("row %zu: %s: %s", i, err_name(rc), text);
		asked_end(&a);
		cloud_stop(&w);
	}
}

#define PAGE_1(token)                                                                                                  \
	"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<ListBucketResult><IsTruncated>true</IsTruncated>"                \
	"<NextContinuationToken>" token "</NextContinuationToken>" OBJECT("p/a") OBJECT("p/b") "</ListBucketResult>"
#define PAGE_2(objects) "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<ListBucketResult>" objects "</ListBucketResult>"
#define OBJECT(key)	"<Contents><Key>" key "</Key><Size>3</Size></Contents>"

static int join_keys(void *ctx, const struct backend_object *o)
{
	assert_int_equal(o->size, 3);
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
		{ PAGE_2(OBJECT("p/c") OBJECT("p/d/e")), 0, "abcd/e" },
		{ PAGE_2(""), 0, "ab" },
		{ PAGE_2(OBJECT("p/c") OBJECT("p/stop") OBJECT("p/t")), 17, "abcstop" },
		{ PAGE_2(OBJECT("p/b")), -ERR_PROTOCOL, "ab" }, /* again */
		{ PAGE_2(OBJECT("p/d") OBJECT("p/c")), -ERR_PROTOCOL, "abd" },
		{ PAGE_2(OBJECT("q/c")), -ERR_PROTOCOL, "ab" }, /* not below the prefix */
		{ PAGE_1("t"), -ERR_PROTOCOL, "ab" },		/* in circles */
		{ ANSWER_200("3", "<a>"), -ERR_PROTOCOL, "ab" },
		{ S3_ERROR("503", "SlowDown"), -ERR_BUSY, "ab" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct step script[] = { { ANSWER_CLOSE, PAGE_1("a/+=") }, { ANSWER_CLOSE, rows[i].second } };
		char keys[64] = "";
		struct cloud w;
		struct asked a;

		cloud_start(&w, script, 2);
		assert_int_equal(backend_list(w.backend, ask(&a), join_keys, keys), rows[i].rc);
		assert_string_equal(keys, rows[i].keys);
		if (rows[i].rc < 0)
			assert_says(&a.msg, "'virginia'");
		LOCKED(&w.server,
			assert_non_null(strstr(w.server.head, "GET "
							      "/office?continuation-token=a%2F%2B%3D&encoding-type=url&"
							      "list-type=2&max-keys=1000&prefix=p%2F "
							      "HTTP/1.1\r\n")));
		asked_end(&a);
		cloud_stop(&w);
	}
}

static void a_list_of_empty_pages_ends(void **state)
{
	static const struct step script[] = { { ANSWER_CLOSE,
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<ListBucketResult><IsTruncated>true</IsTruncated>"
		"<NextContinuationToken>t</NextContinuationToken></ListBucketResult>" } };
	char keys[64] = "";
	struct cloud w;
	struct asked a;

	(void)state;
	cloud_start(&w, script, 1);
	assert_int_equal(backend_list(w.backend, ask(&a), join_keys, keys), -ERR_PROTOCOL);
	assert_says(&a.msg, "does not end");
	LOCKED(&w.server, assert_in_range(w.server.requests, 2, 200));
	asked_end(&a);
	cloud_stop(&w);
}

#define BEGUN                                                                                                          \
	"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<InitiateMultipartUploadResult><UploadId>u/1</UploadId>"          \
	"</InitiateMultipartUploadResult>"
#define PART  "HTTP/1.1 200 OK\r\nETag: \"e1\"\r\nContent-Length: 0\r\n\r\n"
#define ENDED "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<CompleteMultipartUploadResult/>"

static int zeros(struct source *s, uint64_t off, void *buf, size_t len)
{
	(void)s;
	(void)off;
	memset(buf, 0, len);
	return 0;
}

/* five parts; the requests are numbered from 0: begin, parts, completion, abort */
static void uploads_in_parts(void **state)
{
	static const struct {
		unsigned at; /* the request that is answered otherwise */
		struct step step;
		int rc;
		unsigned requests;
		const char *last; /* of the last request */
	} rows[] = {
		{ 99, { ANSWER, NULL }, 0, 7, "POST /office/p/k?uploadId=u%2F1 " },
		{ 0, { ANSWER_CLOSE, ENDED }, -ERR_PROTOCOL, 1, "POST /office/p/k?uploads= " },
		{ 0, { ANSWER_CLOSE, S3_ERROR("403", "AccessDenied") }, -ERR_DENIED, 1, "POST /office/p/k?uploads= " },
		{ 3, { ANSWER_CLOSE, S3_ERROR("403", "QuotaExceeded") }, -ERR_QUOTA, 5,
			"DELETE /office/p/k?uploadId=u%2F1 " },
		{ 2, { ANSWER, ANSWER_200("0", "") }, -ERR_PROTOCOL, 4,
			"DELETE /office/p/k?uploadId=u%2F1 " }, /* no ETag */
		/* 200, and an error all the same */
		{ 6, { ANSWER_CLOSE, S3_ERROR("200", "InternalError") }, -ERR_SERVER, 8, "DELETE " },
		{ 6, { ANSWER, ANSWER_200("1", " ") }, -ERR_PROTOCOL, 8, "DELETE " },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct source source = { .length = MULTIPART_BYTES + 1, .read = zeros };
		struct step script[9] = { { ANSWER_CLOSE, BEGUN } };
		struct cloud w;
		struct asked a;

		for (int n = 1; n < 6; n++)
			script[n] = (struct step){ ANSWER, PART };
		script[6] = (struct step){ ANSWER_CLOSE, ENDED };
		script[7] = (struct step){ ANSWER, NO_CONTENT };
		if (rows[i].at < 7)
			script[rows[i].at] = rows[i].step;
		if (rows[i].at && rows[i].at < 6)
			script[rows[i].at + 1] = (struct step){ ANSWER, NO_CONTENT };
		cloud_start(&w, script, 8);
		assert_int_equal(guard_put(w.backend, ask(&a), "k", &source), rows[i].rc);
		LOCKED(&w.server, {
			assert_int_equal(w.server.requests, rows[i].requests);
			if (strncmp(w.server.head, rows[i].last, strlen(rows[i].last)))
				fail_msg("%s", w.server.head);
		});
		asked_end(&a);
		cloud_stop(&w);
	}
}

static void says_where_a_redirect_without_location_points(void **state)
{
	static const struct step script[] = { { ANSWER_EARLY,
		"HTTP/1.1 301 Moved\r\nConnection: close\r\nContent-Length: 92\r\n\r\n"
		"<Error><Code>PermanentRedirect</Code><Endpoint>s3.eu-west-3.amazonaws.com</Endpoint></Error>\n" } };
	struct source_memory m;
	struct cloud w;
	struct asked a;

	(void)state;
	cloud_start(&w, script, 1);
	assert_int_equal(guard_put(w.backend, ask(&a), "k", source_memory(&m, "body", 4)), -ERR_REDIRECT);
	assert_says(&a.msg, "127.0.0.1");
	assert_says(&a.msg, "s3.eu-west-3.amazonaws.com");
	LOCKED(&w.server, assert_int_equal(w.server.body_bytes, 0));
	asked_end(&a);
	cloud_stop(&w);
}

static void explains(void **state)
{
	static const struct {
		struct step step;
		int rc;
		const char *says[3];
	} rows[] = {
		{ { ANSWER_CLOSE, S3_ERROR("403", "SignatureDoesNotMatch") }, -ERR_DENIED,
			{ "SignatureDoesNotMatch", "secret-key-file", "127.0.0.1" } },
		{ { ANSWER_CLOSE, S3_ERROR("404", "NoSuchBucket") }, -ERR_NO_BUCKET,
			{ "NoSuchBucket", "bucket office", "create the bucket" } },
		{ { ANSWER_CLOSE, S3_ERROR("403", "RequestTimeTooSkewed") }, -ERR_CLOCK,
			{ "RequestTimeTooSkewed", "clock", "virginia" } },
		{ { ANSWER_CLOSE, S3_ERROR("403", "QuotaExceeded") }, -ERR_QUOTA,
			{ "QuotaExceeded", "quota", "virginia" } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cloud w;
		struct asked a;

		cloud_start(&w, &rows[i].step, 1);
		assert_int_equal(backend_probe(w.backend, ask(&a)), rows[i].rc);
		for (int n = 0; n < 3; n++)
			assert_says(&a.msg, rows[i].says[n]);
		asked_end(&a);
		cloud_stop(&w);
	}
}

static void passes_retry_after_on(void **state)
{
	static const struct step script[] = { { ANSWER,
		"HTTP/1.1 503 X\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n" } };
	struct cloud w;
	struct asked a;

	(void)state;
	cloud_start(&w, script, 1);
	assert_int_equal(backend_probe(w.backend, ask(&a)), -ERR_BUSY);
	assert_int_equal(a.call.retry_after_ns, 3 * NS_PER_S);
	asked_end(&a);
	cloud_stop(&w);
}

static void probe_once(struct cloud *w, char signature[65])
{
	struct asked a;

	assert_int_equal(backend_probe(w->backend, ask(&a)), 0);
	asked_end(&a);
	LOCKED(&w->server, {
		const char *s = strstr(w->server.head, "Signature=");

		assert_non_null(s);
		memcpy(signature, s + 10, 64);
	});
	signature[64] = 0;
}

/* What the server sees of the credentials changes with the file, and only with a file that is private. */
static void reads_the_secret_again(void **state)
{
	static const struct step script[] = { { ANSWER, ANSWER_200("19", "<ListBucketResult/>") } };
	char one[65], two[65], three[65];
	struct cloud w;

	(void)state;
	cloud_start(&w, script, 1);
	probe_once(&w, one);
	write_secret(w.secret, "another\n");
	probe_once(&w, two);
	assert_string_not_equal(one, two);
	assert_int_equal(unlink(w.secret), 0);
	probe_once(&w, three); /* handed over and removed: goes on */
	write_secret(w.secret, "a third\n");
	assert_int_equal(chmod(w.secret, 0644), 0);
	probe_once(&w, three); /* not private: not used, the log says so */
	LOCKED(&w.server, assert_int_equal(w.server.connections, 1));
	cloud_stop(&w);
}

static void opens_with_complaints(void **state)
{
	static const struct {
		const char *bucket, *access_key, *secret;
		mode_t mode;
		int rc;
	} rows[] = {
		{ "office", "AK", "secret\n", 0600, 0 },
		{ "", "AK", "secret\n", 0600, -ERR_CONFIG },
		{ NULL, "AK", "secret\n", 0600, -ERR_CONFIG },
		{ "office", NULL, "secret\n", 0600, -ERR_CONFIG },
		{ "office", "AK", NULL, 0600, -ERR_CONFIG },
		{ "office", "AK", "secret\n", 0644, -ERR_SECRET_FILE },
		{ "office", "AK", "\n", 0600, -ERR_SECRET_FILE },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char path[] = "/tmp/s3-test-XXXXXX";
		struct errmsg msg = { 0 };
		struct backend *b = NULL;
		struct setting s;

		close(mkstemp(path));
		if (rows[i].secret)
			write_secret(path, rows[i].secret);
		chmod(path, rows[i].mode);
		setting_init(&s, "s3")->bucket = STR(rows[i].bucket);
		s.config.endpoint = STR("https://oss.example.cn");
		s.config.access_key = STR(rows[i].access_key);
		s.config.secret_key_file = rows[i].secret ? path : NULL;
		assert_int_equal(s3_open(&b, &s.config, &msg), rows[i].rc);
		if (rows[i].rc)
			assert_says(&msg, "'virginia'");
		else
			backend_free(b);
		errmsg_free(&msg);
		unlink(path);
	}
}

static void addresses_buckets(void **state)
{
	static const struct {
		enum s3_addressing how;
		const char *path; /* after the port */
		const char *request, *host;
	} rows[] = {
		{ ADDRESSING_PATH, "", "DELETE /office/p/k%20%2B HTTP/1.1\r\n", "host: localhost:%d\r\n" },
		{ ADDRESSING_VIRTUAL_HOST, "", "DELETE /p/k%20%2B HTTP/1.1\r\n", "host: office.localhost:%d\r\n" },
		{ ADDRESSING_PATH, "/s3", "DELETE /s3/office/p/k%20%2B HTTP/1.1\r\n", "host: localhost:%d\r\n" },
	};
	static const struct step script[] = { { ANSWER, NO_CONTENT } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct backend *b;
		struct cloud w;
		struct asked a;
		char host[64];

		cloud_start(&w, script, 1);
		snprintf(w.endpoint, sizeof w.endpoint, "http://localhost:%d%s", w.server.port, rows[i].path);
		w.setting.config.addressing = rows[i].how;
		assert_int_equal(s3_open(&b, &w.setting.config, NULL), 0);
		assert_int_equal(backend_del(b, ask(&a), "k +"), 0);
		snprintf(host, sizeof host, rows[i].host, w.server.port);
		LOCKED(&w.server, {
			assert_memory_equal(w.server.head, rows[i].request, strlen(rows[i].request));
			assert_non_null(strcasestr(w.server.head, host));
			assert_null(strcasestr(w.server.head, "secret"));
		});
		asked_end(&a);
		backend_free(b);
		cloud_stop(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(believes_only_the_exact_range),
		cmocka_unit_test(takes_a_whole_object_for_all_of_it),
		cmocka_unit_test(confirms_what_head_denies),
		cmocka_unit_test(deletes),
		cmocka_unit_test(deletes_every_version),
		cmocka_unit_test(lists_what_a_bucket_keeps),
		cmocka_unit_test(lists_only_what_was_asked_for),
		cmocka_unit_test(a_list_of_empty_pages_ends),
		cmocka_unit_test(uploads_in_parts),
		cmocka_unit_test(says_where_a_redirect_without_location_points),
		cmocka_unit_test(explains),
		cmocka_unit_test(passes_retry_after_on),
		cmocka_unit_test(reads_the_secret_again),
		cmocka_unit_test(opens_with_complaints),
		cmocka_unit_test(addresses_buckets),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
