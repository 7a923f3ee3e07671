/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The WebDAV driver against a server that answers what it is told: what is believed, and what is not. Each script
 * begins with the answer to the knock (http_login.h). */
#include "tests/unit/backends/server.h"

#include "base/file.h"

#include <sys/stat.h>

#define EMPTY		   "Content-Length: 0\r\n\r\n"
#define STATUS(status)	   "HTTP/1.1 " status " X\r\n" EMPTY
#define WITH(status, body) "HTTP/1.1 " status " X\r\nConnection: close\r\n\r\n" body
#define KNOCK                                                                                                          \
	{                                                                                                              \
		ANSWER, "HTTP/1.1 401 X\r\nWWW-Authenticate: Basic realm=\"dav\"\r\n" EMPTY                            \
	}
#define DAV(inner) WITH("207", "<d:multistatus xmlns:d='DAV:'>" inner "</d:multistatus>")
#define FOLDER(path)                                                                                                   \
	"<d:response><d:href>" path "</d:href><d:propstat><d:prop><d:resourcetype><d:collection/></d:resourcetype>"    \
	"</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
#define FILE(path, size)                                                                                               \
	"<d:response><d:href>" path "</d:href><d:propstat><d:prop><d:resourcetype/><d:getcontentlength>" size          \
	"</d:getcontentlength></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
#define ROOT                                                                                                           \
	{                                                                                                              \
		ANSWER_CLOSE, DAV(FOLDER("/dav/p/"))                                                                   \
	}
#define LENGTH(len)	"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " len "\r\n\r\n"
#define BODY(len, body) "HTTP/1.1 200 OK\r\nContent-Length: " len "\r\n\r\n" body
#define PARTIAL(range, len, body)                                                                                      \
	"HTTP/1.1 206 Partial\r\nContent-Range: bytes " range "\r\nContent-Length: " len "\r\n\r\n" body

#define STEPS 10

struct cloud {
	struct server server;
	struct setting setting;
	char endpoint[64], password[64];
	struct backend *backend; /* the bare driver */
	struct asked asked;
};

static void write_password(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(file_write_full(fd, text, strlen(text)), 0);
	close(fd);
}

static size_t steps(const struct step *script)
{
	size_t n = 0;

	while (n < STEPS && (script[n].answer || script[n].what))
		n++;
	return n;
}

static void cloud_start(struct cloud *w, const struct step *script)
{
	struct config_backend *config = setting_init(&w->setting, "webdav");

	server_start(&w->server, script, steps(script), 0);
	snprintf(w->endpoint, sizeof w->endpoint, "http://127.0.0.1:%d/dav", w->server.port);
	strcpy(w->password, "/tmp/webdav-test-XXXXXX");
	close(mkstemp(w->password));
	write_password(w->password, "secret\n");
	config->endpoint = w->endpoint;
	config->user = STR("user");
	config->password_file = w->password;
	config->prefix = STR("p/");
	setting_allow(&w->setting, "127.0.0.0/8");
	assert_int_equal(webdav_open(&w->backend, config, NULL), 0);
	w->backend->zone_id = ZONE;
	ask(&w->asked);
}

static void cloud_stop(struct cloud *w)
{
	asked_end(&w->asked);
	backend_free(w->backend);
	unlink(w->password);
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
		{ { KNOCK, { ANSWER, PARTIAL("3-7/100", "5", "hello") } }, 0 },
		{ { KNOCK, { ANSWER, PARTIAL("3-7/*", "5", "hello") } }, 0 },
		{ { KNOCK, { ANSWER, PARTIAL("2-6/100", "5", "hello") } }, -ERR_PROTOCOL },
		{ { KNOCK, { ANSWER, PARTIAL("3-6/7", "4", "hell") } }, -ERR_TAMPERED },
		{ { KNOCK, { ANSWER_CLOSE, PARTIAL("3-7/100", "5", "hel") } }, -ERR_UNREACHABLE },
		{ { KNOCK, { ANSWER_CLOSE, WITH("206", "hello") } }, -ERR_PROTOCOL },
		{ { KNOCK, { ANSWER_CLOSE, BODY("3", "hel") }, { ANSWER, LENGTH("3") } }, -ERR_TAMPERED },
		{ { KNOCK, { ANSWER_CLOSE, BODY("8", "abchello") }, { ANSWER, LENGTH("8") } }, -ERR_PROTOCOL },
		{ { KNOCK, { ANSWER_CLOSE, BODY("6", "<html>") }, { ANSWER, STATUS("403") } }, -ERR_DENIED },
		{ { KNOCK, { ANSWER, STATUS("416") }, { ANSWER, LENGTH("4") } }, -ERR_TAMPERED },
		{ { KNOCK, { ANSWER, STATUS("416") }, { ANSWER, LENGTH("8") } }, -ERR_PROTOCOL },
		{ { KNOCK, { ANSWER, STATUS("416") }, { ANSWER, STATUS("404") }, ROOT }, -ERR_ABSENT },
		{ { KNOCK, { ANSWER, STATUS("404") }, ROOT }, -ERR_ABSENT },
		{ { KNOCK, { ANSWER, STATUS("410") }, ROOT }, -ERR_ABSENT },
		/* I7: a 404 counts only from a server that has our root */
		{ { KNOCK, { ANSWER, STATUS("404") }, { ANSWER, STATUS("404") }, { ANSWER, STATUS("404") } },
			-ERR_NO_BUCKET },
		{ { KNOCK, { ANSWER, STATUS("404") }, { ANSWER_CLOSE, WITH("200", "<html/>") } }, -ERR_PROTOCOL },
		{ { KNOCK, { ANSWER, STATUS("404") }, { ANSWER_CLOSE, WITH("207", "<html/>") } }, -ERR_PROTOCOL },
		{ { KNOCK, { ANSWER, STATUS("404") }, { ANSWER_CLOSE, DAV(FILE("/dav/p", "1")) } }, -ERR_PROTOCOL },
		{ { KNOCK, { ANSWER, STATUS("404") }, { ANSWER, STATUS("503") } }, -ERR_BUSY },
		{ { KNOCK, { ANSWER, "HTTP/1.1 302 X\r\nLocation: http://127.0.0.2/x\r\n" EMPTY } }, -ERR_REDIRECT },
		{ { KNOCK, { ANSWER, STATUS("301") } }, -ERR_REDIRECT },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct sink_memory m;
		struct cloud w;
		char back[6] = "";
		int rc;

		cloud_start(&w, rows[i].script);
		rc = backend_get(w.backend, &w.asked.call, "k", 3, 5, sink_memory(&m, back, 5));
		expect(&w, i, rc, rows[i].rc, (unsigned)steps(rows[i].script));
		assert_string_equal(rc ? "hello" : back, "hello");
		assert_true(m.len == 5 || rc);
		cloud_stop(&w);
	}
}

static void asks_for_sizes(void **state)
{
	static const struct {
		struct step script[STEPS];
		int rc;
		uint64_t size;
	} rows[] = {
		{ { KNOCK, { ANSWER, LENGTH("4194304") } }, 0, 4194304 },
		/* no Content-Length: Apache for an empty file */
		{ { KNOCK, { ANSWER, WITH("200", "") }, { ANSWER_CLOSE, DAV(FILE("/dav/p/k", "0")) } }, 0, 0 },
		{ { KNOCK, { ANSWER, WITH("200", "") }, { ANSWER_CLOSE, DAV(FOLDER("/dav/p/k/")) } }, -ERR_PROTOCOL,
			77 },
		{ { KNOCK, { ANSWER, STATUS("404") }, ROOT }, -ERR_ABSENT, 77 },
		{ { KNOCK, { ANSWER, STATUS("401") } }, -ERR_DENIED, 77 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cloud w;
		uint64_t size = 77;
		int rc;

		cloud_start(&w, rows[i].script);
		rc = backend_head(w.backend, &w.asked.call, "k", &size);
		expect(&w, i, rc, rows[i].rc, (unsigned)steps(rows[i].script));
		assert_int_equal(size, rows[i].size);
		cloud_stop(&w);
	}
}

static void deletes(void **state)
{
	static const struct {
		struct step script[STEPS];
		int rc;
	} rows[] = {
		{ { KNOCK, { ANSWER, "HTTP/1.1 204 No Content\r\n\r\n" } }, 0 },
		{ { KNOCK, { ANSWER, STATUS("404") }, ROOT }, 0 },
		{ { KNOCK, { ANSWER, STATUS("404") }, { ANSWER, STATUS("404") }, { ANSWER, STATUS("404") } },
			-ERR_NO_BUCKET },
		{ { KNOCK, { ANSWER_CLOSE, DAV("") } }, -ERR_SERVER },
		{ { KNOCK, { ANSWER, STATUS("423") } }, -ERR_BUSY },
		{ { KNOCK, { ANSWER, STATUS("403") } }, -ERR_DENIED },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cloud w;

		cloud_start(&w, rows[i].script);
		expect(&w, i, backend_del(w.backend, &w.asked.call, "k"), rows[i].rc, (unsigned)steps(rows[i].script));
		if (i == 0) {
			assert_true(head_holds(&w, "DELETE /dav/p/k HTTP/1.1\r\n"));
			assert_true(head_holds(&w, "\r\nX-NC-Skip-Trashbin: true\r\n"));
		}
		cloud_stop(&w);
	}
}

#define CREATED                                                                                                        \
	{                                                                                                              \
		ANSWER, STATUS("201")                                                                                  \
	}
#define HASH "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" /* of "hello" */
#define HASHED(hash)                                                                                                   \
	{                                                                                                              \
		ANSWER, "HTTP/1.1 201 Created\r\nX-Hash-SHA256: " hash "\r\n" EMPTY                                    \
	}
#define SIZE_5                                                                                                         \
	{                                                                                                              \
		ANSWER, LENGTH("5")                                                                                    \
	}
#define MISSING                                                                                                        \
	{                                                                                                              \
		ANSWER, STATUS("409")                                                                                  \
	}

/* "hello" under 3f/k: the collection 3f is made first, the body is sent, and the size is asked for */
static void stores(void **state)
{
	static const struct {
		struct step script[STEPS];
		int rc;
		uint64_t body;
	} rows[] = {
		{ { KNOCK, CREATED, CREATED, SIZE_5 }, 0, 5 },
		{ { KNOCK, { ANSWER, STATUS("405") }, { ANSWER, STATUS("204") }, SIZE_5 }, 0, 5 },
		{ { KNOCK, CREATED, HASHED(HASH) }, 0, 5 },
		/* MKCOL lacks a parent: the root, and from there down */
		{ { KNOCK, MISSING, { ANSWER, STATUS("404") }, { ANSWER_CLOSE, DAV(FOLDER("/dav/")) }, CREATED, CREATED,
			  CREATED, SIZE_5 },
			0, 5 },
		{ { KNOCK, { ANSWER, STATUS("500") }, ROOT, CREATED, CREATED, SIZE_5 }, 0, 5 },
		{ { KNOCK, MISSING, ROOT, MISSING }, -ERR_PROTOCOL, 0 },
		{ { KNOCK, MISSING, { ANSWER, STATUS("404") }, { ANSWER, STATUS("404") } }, -ERR_NO_BUCKET, 0 },
		/* refused, and not there: refused; refused because another made it meanwhile: there */
		{ { KNOCK, { ANSWER, STATUS("403") }, { ANSWER, STATUS("404") } }, -ERR_DENIED, 0 },
		{ { KNOCK, { ANSWER, STATUS("403") }, { ANSWER_CLOSE, DAV(FOLDER("/dav/p/3f/")) }, CREATED, SIZE_5 }, 0,
			5 },
		/* the collection went between MKCOL and PUT */
		{ { KNOCK, CREATED, MISSING, ROOT, CREATED, CREATED, SIZE_5 }, 0, 10 },
		{ { KNOCK, CREATED, { ANSWER, STATUS("500") }, ROOT, CREATED, { ANSWER, STATUS("500") } }, -ERR_SERVER,
			10 },
		{ { KNOCK, CREATED, { ANSWER, STATUS("404") }, ROOT, CREATED, { ANSWER, STATUS("404") } },
			-ERR_PROTOCOL, 10 },
		/* something else was stored: it is removed */
		{ { KNOCK, CREATED, CREATED, { ANSWER, LENGTH("4") }, { ANSWER, STATUS("204") } }, -ERR_SERVER, 5 },
		{ { KNOCK, CREATED, HASHED("00"), { ANSWER, STATUS("204") } }, -ERR_SERVER, 5 },
		{ { KNOCK, CREATED, HASHED("00"), { ANSWER, STATUS("403") } }, -ERR_DENIED, 5 },
		/* the key is taken: by itself, or by another */
		{ { KNOCK, CREATED, { ANSWER, STATUS("412") }, SIZE_5, { ANSWER, BODY("5", "hello") } }, 0, 5 },
		{ { KNOCK, CREATED, { ANSWER, STATUS("412") }, SIZE_5, { ANSWER_CLOSE, BODY("5", "hallo") } },
			-ERR_EXISTS, 5 },
		{ { KNOCK, CREATED, { ANSWER, STATUS("412") }, { ANSWER, LENGTH("6") } }, -ERR_EXISTS, 5 },
		{ { KNOCK, CREATED, { ANSWER, STATUS("413") } }, -ERR_TOO_LARGE, 5 },
		{ { KNOCK, CREATED, { ANSWER, STATUS("423") } }, -ERR_BUSY, 5 },
		{ { KNOCK, CREATED, { ANSWER, STATUS("429") } }, -ERR_BUSY, 5 },
		{ { KNOCK, CREATED, { ANSWER, STATUS("507") } }, -ERR_QUOTA, 5 },
		{ { KNOCK, CREATED, { ANSWER, STATUS("501") } }, -ERR_PROTOCOL, 5 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct source_memory m;
		struct cloud w;
		int rc;

		cloud_start(&w, rows[i].script);
		rc = guard_put(w.backend, &w.asked.call, "3f/k", source_memory(&m, "hello", 5));
		expect(&w, i, rc, rows[i].rc, (unsigned)steps(rows[i].script));
		assert_int_equal(w.asked.call.body_sent, rows[i].body);
		cloud_stop(&w);
	}
}

static void sends_what_protects_an_object(void **state)
{
	static const struct step script[] = { KNOCK, CREATED, HASHED(HASH), HASHED(HASH), { 0 } };
	struct source_memory m;
	struct cloud w;

	(void)state;
	cloud_start(&w, script);
	assert_int_equal(guard_put(w.backend, &w.asked.call, "3f/k +", source_memory(&m, "hello", 5)), 0);
	assert_true(head_holds(&w, "PUT /dav/p/3f/k%20%2B HTTP/1.1\r\n"));
	assert_true(head_holds(&w, "\r\nIf-None-Match: *\r\n"));
	assert_true(head_holds(&w, "\r\nX-Hash: sha256\r\n"));
	/* the collection is known now */
	assert_int_equal(guard_put(w.backend, &w.asked.call, "3f/l", source_memory(&m, "hello", 5)), 0);
	LOCKED(&w.server, assert_int_equal(w.server.requests, 4));
	cloud_stop(&w);
}

/* A store that has objects there does not make its root anew (I7). */
static void a_root_that_went_is_not_made_again(void **state)
{
	static const struct step script[] = { KNOCK, MISSING, { ANSWER, STATUS("404") }, { 0 } };
	struct source_memory m;
	struct cloud w;

	(void)state;
	cloud_start(&w, script);
	w.backend->known = true;
	assert_int_equal(guard_put(w.backend, &w.asked.call, "3f/k", source_memory(&m, "hello", 5)), -ERR_NO_BUCKET);
	assert_says(&w.asked.msg, "mounted?");
	assert_says(&w.asked.msg, "/dav/p/");
	LOCKED(&w.server, assert_int_equal(w.server.requests, 3));
	LOCKED(&w.server, assert_true(w.server.body_bytes < 300)); /* PROPFIND's */
	cloud_stop(&w);
}

static int join_keys(void *ctx, const struct backend_object *o)
{
	snprintf((char *)ctx + strlen(ctx), 20, "%s=%d ", o->key, (int)o->size);
	return !strcmp(o->key, "stop") ? 17 : 0;
}

#define P "/dav/p/"
#define PAGED(path, inner)                                                                                             \
	"HTTP/1.1 207 X\r\nConnection: close\r\nLink: <http://127.0.0.1/dav/p/" path ">; rel=\"next\"\r\n\r\n"         \
	"<d:multistatus xmlns:d='DAV:'>" FOLDER(P) inner "</d:multistatus>"

static void lists_only_what_was_asked_for(void **state)
{
	static const struct {
		struct step script[STEPS];
		int rc;
		const char *keys;
	} rows[] = {
		{ { KNOCK, { ANSWER_CLOSE, DAV(FOLDER(P) FILE(P "b", "2") FILE(P "a%20%2b", "1")) } }, 0,
			"a +=1 b=2 " },
		{ { KNOCK, { ANSWER_CLOSE, DAV(FOLDER("/dav/p")) } }, 0, "" },
		{ { KNOCK, { ANSWER_CLOSE, DAV(FOLDER(P) FILE("http://elsewhere.example" P "a", "1")) } }, 0, "a=1 " },
		/* "a!" < "a/x" < "aa" */
		{ { KNOCK, { ANSWER_CLOSE, DAV(FOLDER(P) FILE(P "aa", "3") FOLDER(P "a/") FILE(P "a!", "1")) },
			  { ANSWER_CLOSE, DAV(FILE(P "a/x", "2") FOLDER(P "a/")) } },
			0, "a!=1 a/x=2 aa=3 " },
		{ { KNOCK, { ANSWER_CLOSE, DAV(FOLDER(P) FOLDER(P "a") FILE(P "b", "1")) }, { ANSWER, STATUS("404") },
			  ROOT },
			0, "b=1 " },
		{ { KNOCK, { ANSWER_CLOSE, DAV(FOLDER(P) FOLDER(P "a")) }, { ANSWER, STATUS("503") } }, -ERR_BUSY, "" },
		{ { KNOCK, { ANSWER_CLOSE, DAV(FOLDER(P) FILE(P "stop", "1") FILE(P "t", "1")) } }, 17, "stop=1 " },
		{ { KNOCK, { ANSWER_CLOSE, PAGED("?n=2", FILE(P "b", "1")) },
			  { ANSWER_CLOSE, DAV(FOLDER(P) FILE(P "a", "1")) } },
			0, "a=1 b=1 " },
		{ { KNOCK, { ANSWER_CLOSE, PAGED("?n=2", FILE(P "b", "1")) }, { ANSWER_CLOSE, PAGED("?n=2", "") } },
			-ERR_PROTOCOL, "" },
		{ { KNOCK, { ANSWER_CLOSE, PAGED("q/?n=2", FILE(P "b", "1")) } }, -ERR_PROTOCOL, "" },
		{ { KNOCK, { ANSWER, STATUS("404") }, { ANSWER, STATUS("404") },
			  { ANSWER_CLOSE, DAV(FOLDER("/dav/")) } },
			0, "" }, /* nothing was put there yet */
		{ { KNOCK, { ANSWER, STATUS("404") }, { ANSWER, STATUS("404") }, { ANSWER, STATUS("404") } },
			-ERR_NO_BUCKET, "" },
		{ { KNOCK, { ANSWER_CLOSE, DAV(FILE(P "a", "1")) } }, -ERR_PROTOCOL, "" }, /* of which collection? */
		{ { KNOCK, { ANSWER_CLOSE, DAV(FOLDER(P) FILE("/dav/q/a", "1")) } }, -ERR_PROTOCOL, "" },
		{ { KNOCK, { ANSWER_CLOSE, DAV(FOLDER(P) FILE(P "a/b", "1")) } }, -ERR_PROTOCOL, "" },
		{ { KNOCK, { ANSWER_CLOSE, DAV(FOLDER(P) FILE(P "a%2fb", "1")) } }, -ERR_PROTOCOL, "" },
		{ { KNOCK, { ANSWER_CLOSE, DAV(FOLDER(P) FOLDER(P "..")) } }, -ERR_PROTOCOL, "" },
		{ { KNOCK, { ANSWER_CLOSE, DAV(FOLDER(P) FOLDER(P ".")) } }, -ERR_PROTOCOL, "" },
		{ { KNOCK, { ANSWER_CLOSE, DAV(FOLDER(P) "<d:response><d:href>" P "a</d:href></d:response>") } },
			-ERR_PROTOCOL, "" }, /* no size */
		{ { KNOCK, { ANSWER_CLOSE, WITH("200", "<html/>") } }, -ERR_PROTOCOL, "" },
		{ { KNOCK, { ANSWER_CLOSE, WITH("207", "<d:multistatus xmlns:d='DAV:'>" FOLDER(P)) } }, -ERR_PROTOCOL,
			"" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char keys[256] = "";
		struct cloud w;
		int rc;

		cloud_start(&w, rows[i].script);
		rc = backend_list(w.backend, &w.asked.call, join_keys, keys);
		expect(&w, i, rc, rows[i].rc, (unsigned)steps(rows[i].script));
		assert_string_equal(keys, rows[i].keys);
		cloud_stop(&w);
	}
}

/* whatever is asked for, there is one collection more below */
static void a_list_without_a_bottom_ends(void **state)
{
	char chain[20][400], path[100] = P;
	struct step script[20] = { KNOCK };
	char keys[16] = "";
	struct cloud w;

	(void)state;
	for (int i = 1; i < 20; i++) {
		snprintf(chain[i], sizeof chain[i],
			"HTTP/1.1 207 X\r\nConnection: close\r\n\r\n<multistatus xmlns='DAV:'>"
			"<response><href>%s</href></response><response><href>%sd/</href><propstat><prop><resourcetype>"
			"<collection/></resourcetype></prop><status>HTTP/1.1 200 OK</status></propstat></response>"
			"</multistatus>",
			path, path);
		strcat(path, "d/");
		script[i] = (struct step){ ANSWER_CLOSE, chain[i] };
	}
	cloud_start(&w, script);
	w.server.script_len = 20;
	assert_int_equal(backend_list(w.backend, &w.asked.call, join_keys, keys), -ERR_PROTOCOL);
	assert_says(&w.asked.msg, "do not end");
	LOCKED(&w.server, assert_int_equal(w.server.requests, 17));
	cloud_stop(&w);
}

static void probes(void **state)
{
	static const struct {
		struct step script[STEPS];
		int rc;
		const char *says;
	} rows[] = {
		{ { KNOCK, ROOT }, 0, NULL },
		{ { KNOCK, { ANSWER, STATUS("404") }, { ANSWER_CLOSE, DAV(FOLDER("/dav/")) } }, 0, NULL },
		{ { KNOCK, { ANSWER, STATUS("404") }, { ANSWER, STATUS("404") } }, -ERR_NO_BUCKET,
			"no collection /dav/" },
		{ { KNOCK, KNOCK }, -ERR_DENIED, "password-file" },
		{ { KNOCK, { ANSWER, STATUS("401") } }, -ERR_DENIED, "other than Basic" },
		{ { KNOCK, { ANSWER, STATUS("405") } }, -ERR_PROTOCOL, "is the endpoint a WebDAV folder?" },
		{ { KNOCK, { ANSWER_CLOSE, WITH("507", "<e:error xmlns:e='DAV:' xmlns:s='http://sabredav.org/ns'>"
						       "<s:message>Full up</s:message></e:error>") } },
			-ERR_QUOTA, "507: Full up; free space" },
		{ { { ANSWER, STATUS("503") } }, -ERR_BUSY, "503" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cloud w;

		cloud_start(&w, rows[i].script);
		expect(&w, i, backend_probe(w.backend, &w.asked.call), rows[i].rc, (unsigned)steps(rows[i].script));
		if (rows[i].says)
			assert_says(&w.asked.msg, rows[i].says);
		cloud_stop(&w);
	}
}

static void passes_retry_after_on(void **state)
{
	static const struct step script[] = { KNOCK, { ANSWER, "HTTP/1.1 503 X\r\nRetry-After: 3\r\n" EMPTY }, { 0 } };
	struct cloud w;

	(void)state;
	cloud_start(&w, script);
	assert_int_equal(backend_probe(w.backend, &w.asked.call), -ERR_BUSY);
	assert_int_equal(w.asked.call.retry_after_ns, 3 * NS_PER_S);
	cloud_stop(&w);
}

static void reads_the_password_again(void **state)
{
	static const struct step script[] = { KNOCK, ROOT, ROOT, { 0 } };
	struct cloud w;

	(void)state;
	cloud_start(&w, script);
	assert_int_equal(backend_probe(w.backend, &w.asked.call), 0);
	assert_true(head_holds(&w, "Authorization: Basic dXNlcjpzZWNyZXQ=\r\n"));
	write_password(w.password, "another\n");
	assert_int_equal(backend_probe(w.backend, &w.asked.call), 0);
	assert_true(head_holds(&w, "Authorization: Basic dXNlcjphbm90aGVy\r\n"));
	cloud_stop(&w);
}

static void opens_with_complaints(void **state)
{
	static const struct {
		const char *user, *password;
		mode_t mode;
		int rc;
	} rows[] = {
		{ "user", "secret\n", 0600, 0 },
		{ NULL, "secret\n", 0600, -ERR_CONFIG },
		{ "user", NULL, 0600, -ERR_CONFIG },
		{ "user", "secret\n", 0644, -ERR_SECRET_FILE },
		{ "user", "\n", 0600, -ERR_SECRET_FILE },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char path[] = "/tmp/webdav-test-XXXXXX";
		struct errmsg msg = { 0 };
		struct backend *b = NULL;
		struct setting s;

		close(mkstemp(path));
		if (rows[i].password)
			write_password(path, rows[i].password);
		chmod(path, rows[i].mode);
		setting_init(&s, "webdav")->endpoint = STR("https://dav.example.cn/dav");
		s.config.user = STR(rows[i].user);
		s.config.password_file = rows[i].password ? path : NULL;
		assert_int_equal(webdav_open(&b, &s.config, &msg), rows[i].rc);
		if (rows[i].rc)
			assert_says(&msg, "'virginia'");
		else
			backend_free(b);
		errmsg_free(&msg);
		unlink(path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(believes_only_the_exact_range),
		cmocka_unit_test(asks_for_sizes),
		cmocka_unit_test(deletes),
		cmocka_unit_test(stores),
		cmocka_unit_test(sends_what_protects_an_object),
		cmocka_unit_test(a_root_that_went_is_not_made_again),
		cmocka_unit_test(lists_only_what_was_asked_for),
		cmocka_unit_test(a_list_without_a_bottom_ends),
		cmocka_unit_test(probes),
		cmocka_unit_test(passes_retry_after_on),
		cmocka_unit_test(reads_the_password_again),
		cmocka_unit_test(opens_with_complaints),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
