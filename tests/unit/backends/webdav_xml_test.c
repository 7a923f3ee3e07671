/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/backends/support.h"

#include "backends/webdav_xml.h"

#define DAV(inner)	   "<d:multistatus xmlns:d='DAV:'>" inner "</d:multistatus>"
#define RESPONSE(inner)	   "<d:response>" inner "</d:response>"
#define HREF(path)	   "<d:href>" path "</d:href>"
#define PROPS(inner, code) "<d:propstat><d:prop>" inner "</d:prop><d:status>HTTP/1.1 " code "</d:status></d:propstat>"
#define SIZE(n)		   "<d:getcontentlength>" n "</d:getcontentlength>"
#define DATE(t)		   "<d:getlastmodified>" t "</d:getlastmodified>"
#define FOLDER		   "<d:resourcetype><d:collection/></d:resourcetype>"
#define FILE(path, n)	   RESPONSE(HREF(path) PROPS("<d:resourcetype/>" SIZE(n), "200 OK"))

static int note(void *ctx, struct webdav_resource *r)
{
	buf_printf(ctx, "%s%s", r->path, r->collection ? " folder" : "");
	if (r->has_size)
		buf_printf(ctx, " %llu", (unsigned long long)r->size);
	if (r->mtime_ns)
		buf_printf(ctx, " @%lld", (long long)(r->mtime_ns / NS_PER_S));
	buf_str(ctx, ";");
	return strcmp(r->path, "/refuse") ? 0 : -ERR_STALE;
}

static int read_resources(const char *text, struct buf *out)
{
	struct webdav_multistatus m;
	int rc = webdav_multistatus_init(&m, note, out);

	buf_str(out, "");
	if (!rc)
		rc = m.sink.write(&m.sink, text, strlen(text));
	if (!rc)
		rc = webdav_multistatus_end(&m);
	webdav_multistatus_free(&m);
	return rc;
}

static void reads_what_servers_say(void **state)
{
	static const struct {
		const char *text, *resources;
		int rc;
	} rows[] = {
		{ DAV(FILE("/dav/p/x", "3") FILE("/dav/p/e", "0")), "/dav/p/x 3;/dav/p/e 0;", 0 },
		{ DAV(RESPONSE(HREF("/dav/p/") PROPS(FOLDER DATE("Mon, 30 Nov 2026 20:39:34 GMT"), "200 OK")
				  PROPS("<d:getcontentlength/>", "404 Not Found"))),
			"/dav/p/ folder @1796071174;", 0 },
		{ "<multistatus xmlns='DAV:' "
		  "xmlns:oc='http://owncloud.org/ns'><response><href>/a</href><propstat><prop>"
		  "<getcontentlength>5</getcontentlength><oc:getcontentlength>9</oc:getcontentlength></prop>"
		  "<status>HTTP/1.1 200 OK</status></propstat></response></multistatus>",
			"/a 5;", 0 },
		{ DAV(FILE("https://other.example:8443/dav/a%20b%2bc?x=y", "1")), "/dav/a b+c 1;", 0 },
		{ DAV(RESPONSE(HREF("/gone") "<d:status>HTTP/1.1 404 Not Found</d:status>") FILE("/b", "1")), "/b 1;",
			0 },
		{ DAV(RESPONSE(HREF("/locked") "<d:status>HTTP/1.1 423 Locked</d:status>")), "", -ERR_PROTOCOL },
		{ DAV(RESPONSE(HREF("/a") PROPS(SIZE("7") FOLDER, "403 Forbidden"))), "/a;", 0 },
		{ DAV(FILE("/a", "-1")), "", -ERR_PROTOCOL },
		{ DAV(FILE("/a", "99999999999999999999")), "", -ERR_PROTOCOL },
		{ DAV(FILE("/a", "12345678901234567890123456789")), "", -ERR_PROTOCOL },
		{ DAV(RESPONSE(HREF("/a") PROPS(SIZE("1"), "x"))), "", -ERR_PROTOCOL },
		{ DAV(RESPONSE(HREF("/a") PROPS(DATE("soon") SIZE("1"), "200"))), "/a 1;", 0 },
		{ DAV(RESPONSE(PROPS(SIZE("1"), "200 OK"))), "", -ERR_PROTOCOL }, /* of what? */
		{ DAV(RESPONSE(HREF("/a") HREF("/b"))), "", -ERR_PROTOCOL },
		{ DAV(FILE("a/b", "1")), "", -ERR_PROTOCOL },
		{ DAV(FILE("https://host.example", "1")), "", -ERR_PROTOCOL },
		{ DAV(FILE("", "1")), "", -ERR_PROTOCOL },
		{ DAV(FILE("/%00", "1")), "", -ERR_PROTOCOL },
		{ DAV(FILE("/%zz", "1")), "", -ERR_PROTOCOL },
		{ DAV(FILE("/refuse", "1") FILE("/b", "1")), "/refuse 1;", -ERR_STALE },
		{ DAV(""), "", 0 },
		{ "<multistatus/>", "", -ERR_PROTOCOL }, /* not DAV's */
		{ "<d:multistatus xmlns:d='DAV:'>" FILE("/a", "1"), "/a 1;", -ERR_PROTOCOL },
		{ "<!DOCTYPE m [<!ENTITY e '/a'>]>" DAV(FILE("&e;", "1")), "", -ERR_PROTOCOL },
		{ "<html><body>log in</body></html>", "", -ERR_PROTOCOL },
		{ "", "", -ERR_PROTOCOL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf out = BUF_INIT;
		int rc = read_resources(rows[i].text, &out);

		if (rc != rows[i].rc || strcmp((char *)out.data, rows[i].resources))
			fail_msg("row %zu: %s, %s", i, err_name(rc), (char *)out.data);
		buf_free(&out);
	}
}

static void reads_messages(void **state)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{ "<?xml version='1.0'?><d:error xmlns:d='DAV:' "
		  "xmlns:s='http://sabredav.org/ns'><s:exception>X</s:exception>"
		  "<s:message>Insufficient space\x07</s:message></d:error>",
			"" }, /* not XML */
		{ "<d:error xmlns:d='DAV:' xmlns:s='http://sabredav.org/ns'><s:message>No\tspace</s:message></d:error>",
			"No?space" },
		{ "<error><message>cut off</message>", "" },
		{ "<html/>", "" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char message[32];

		webdav_xml_message(rows[i].text, strlen(rows[i].text), message, sizeof message);
		assert_string_equal(message, rows[i].message);
	}
}

static void finds_the_next_page(void **state)
{
	static const struct {
		const char *link;
		int rc;
		const char *query;
	} rows[] = {
		{ NULL, 0, NULL },
		{ "<https://dav.example/dav/p%20q/?page=2>; rel=\"next\"", 1, "page=2" },
		{ "</dav/p%20q/?a=b%26c>; rel=next", 1, "a=b%26c" },
		{ "<https://dav.example/dav/p%20q/?page=2>; rel=\"prev\"", 0, NULL },
		{ "<https://dav.example/dav/p%20q/>; rel=\"next\"", -ERR_PROTOCOL, NULL },
		{ "<https://dav.example/dav/p%20q/r/?page=2>; rel=\"next\"", -ERR_PROTOCOL, NULL },
		{ "<https://dav.example?/dav/p q/?page=2>; rel=\"next\"", -ERR_PROTOCOL, NULL },
		{ "<?page=2>; rel=\"next\"", -ERR_PROTOCOL, NULL },
		{ "<%zz/dav/p%20q/?page=2>; rel=\"next\"", -ERR_PROTOCOL, NULL },
		{ "</dav/p%zz?page=2>; rel=\"next\"", -ERR_PROTOCOL, NULL },
		{ "rel=\"next\"", 0, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *query;
		int rc = webdav_next_page(rows[i].link, "/dav/p q/", &query);

		if (rc != rows[i].rc)
			fail_msg("row %zu: %d", i, rc);
		if (rc == 1)
			assert_string_equal(query, rows[i].query);
		else
			assert_null(query);
		free(query);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_servers_say),
		cmocka_unit_test(reads_messages),
		cmocka_unit_test(finds_the_next_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
