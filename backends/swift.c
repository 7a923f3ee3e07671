/* SPDX-License-Identifier: GPL-3.0-or-later */
/* swift: the driver for OpenStack Swift's own protocol (Object Storage API v1). */
#include "backends/digest.h"
#include "backends/http_range.h"
#include "backends/swift_json.h"
#include "backends/swift_request.h"
#include "backends/url.h"
#include "backends/wrap.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PAGE_NAMES 1000u
#define HASH_BYTES 16u

static struct swift_request request(struct backend *b, struct call *c, const char *method, const char *key)
{
	return (struct swift_request){
		.http = { .method = method }, .swift = container_of(b, struct swift, backend), .call = c, .key = key
	};
}

/* The server refuses a body whose MD5 is not its ETag: one that was changed on the way is not stored. */
static int hash_body(struct swift_request *q, struct source *body)
{
	uint8_t hash[HASH_BYTES];
	int rc = source_digest(body, q->call, EVP_md5(), hash);

	if (!rc)
		text_hex(hash, sizeof hash, q->hash);
	return rc;
}

/* bare, or in quotes as RFC 9110 has it */
static bool is_etag(const char *etag, const char *hash)
{
	size_t len = strlen(hash);

	if (!etag)
		return false;
	etag += *etag == '"';
	return !strncmp(etag, hash, len) && (!etag[len] || !strcmp(etag + len, "\""));
}

static int swift_put(struct backend *b, struct call *c, const char *key, struct source *source)
{
	struct swift_request q = request(b, c, "PUT", key);
	int rc = hash_body(&q, source);

	q.http.body = source;
	q.http.guarded = true;
	if (!rc)
		rc = swift_perform(&q);
	if (!rc && q.response.status != 201)
		rc = swift_misanswered(&q, "it did not confirm that it stored the object");
	else if (!rc && !is_etag(q.response.etag, q.hash))
		rc = errmsg_set(c->msg, -ERR_SERVER, "backend '%s': %s stored other bytes than were sent",
			b->config->name, http_host(q.swift->auth.storage));
	swift_request_free(&q);
	return rc;
}

/* Nothing of the answer reaches the sink unless it is exactly what was asked for. */
static int accept_range(struct http_request *http, const struct http_response *r)
{
	struct swift_request *q = container_of(http, struct swift_request, http);

	return http_range_check(q->swift->auth.storage, r, q->range_off, q->range_len, q->call->msg);
}

static int swift_head(struct backend *b, struct call *c, const char *key, uint64_t *size)
{
	struct swift_request q = request(b, c, "HEAD", key);
	int rc = swift_perform(&q);

	if (!rc && q.response.length < 0)
		rc = swift_misanswered(&q, "it did not say how long the object is");
	if (!rc)
		*size = (uint64_t)q.response.length;
	swift_request_free(&q);
	return rc;
}

static int get_nothing(struct backend *b, struct call *c, const char *key, uint64_t off)
{
	uint64_t size;
	int rc = swift_head(b, c, key, &size);

	return rc < 0 ? rc : off <= size ? 0 : http_range_short(b->config, size, off, c->msg);
}

static int swift_get(struct backend *b, struct call *c, const char *key, uint64_t off, uint64_t len, struct sink *sink)
{
	struct swift_request q = request(b, c, "GET", key);
	int rc;

	if (!len)
		return get_nothing(b, c, key, off);
	q.range_off = off;
	q.range_len = len;
	q.http.accept = accept_range;
	q.http.sink = sink;
	q.http.sink_max = len;
	rc = swift_perform(&q);
	if (!rc && q.response.received != len)
		rc = swift_misanswered(&q, "it sent less than was asked for");
	swift_request_free(&q);
	return rc;
}

static int swift_del(struct backend *b, struct call *c, const char *key)
{
	struct swift_request q = request(b, c, "DELETE", key);
	int rc = swift_perform(&q);

	swift_request_free(&q);
	return rc == -ERR_ABSENT ? 0 : rc;
}

static int list_query(const struct config_backend *config, const char *marker, struct buf *out)
{
	buf_printf(out, "format=json&limit=%u&prefix=", PAGE_NAMES);
	url_encode(out, config->prefix, 0);
	if (marker) {
		buf_str(out, "&marker=");
		url_encode(out, marker, 0);
	}
	return out->err;
}

static int get_page(struct backend *b, struct call *c, const char *marker, struct page *page)
{
	struct swift_request q = request(b, c, "GET", NULL);
	struct buf query = BUF_INIT;
	struct sink_buf body;
	int rc = list_query(b->config, marker, &query);

	q.query = (const char *)query.data;
	q.http.sink = sink_buf(&body);
	q.http.sink_max = SWIFT_JSON_BYTES_MAX;
	if (!rc)
		rc = swift_perform(&q);
	if (!rc && (rc = swift_json_page(body.buf.data, body.buf.len, page)) == -ERR_PROTOCOL)
		swift_misanswered(&q, "its list of objects cannot be understood");
	swift_request_free(&q);
	buf_free(&body.buf);
	buf_free(&query);
	return rc;
}

static int swift_list(struct backend *b, struct call *c, int (*fn)(void *ctx, const struct backend_object *), void *ctx)
{
	return page_list(b, c, get_page, fn, ctx);
}

/* A container that keeps old versions keeps what was deleted: nothing could be erased from it. */
static int swift_probe(struct backend *b, struct call *c)
{
	struct swift_request q = request(b, c, "HEAD", NULL);
	int rc;

	q.http.keep[1] = "X-Versions-Enabled";
	q.http.keep[2] = "X-Versions-Location";
	q.http.keep[3] = "X-History-Location";
	rc = swift_perform(&q);
	if (!rc && ((q.response.kept[1] && !strcasecmp(q.response.kept[1], "true")) || q.response.kept[2] ||
			   q.response.kept[3]))
		rc = errmsg_set(c->msg, -ERR_CONFIG,
			"backend '%s': the container %s keeps old versions, so that nothing deleted there is gone; "
			"turn "
			"its versioning off",
			b->config->name, b->config->bucket);
	swift_request_free(&q);
	return rc;
}

static void swift_free(struct backend *b)
{
	struct swift *s = container_of(b, struct swift, backend);

	swift_auth_destroy(&s->auth);
	free(s);
}

static bool swift_renew(struct backend *b, struct call *c)
{
	return secret_renew(&container_of(b, struct swift, backend)->auth.secret, c);
}

static const struct backend_ops swift_ops = {
	.type = "swift",
	.caps = BACKEND_RANGE | BACKEND_CREATE_ONLY,
	.put = swift_put,
	.get = swift_get,
	.head = swift_head,
	.del = swift_del,
	.list = swift_list,
	.probe = swift_probe,
	.renew = swift_renew,
	.free = swift_free,
};

int swift_open(struct backend **out, struct config_backend *config, struct errmsg *msg)
{
	struct swift *s = calloc(1, sizeof *s);
	int rc;

	if (!s)
		return -ENOMEM;
	s->backend.ops = &swift_ops;
	s->backend.config = config;
	if ((rc = swift_auth_init(&s->auth, config, msg)) < 0)
		swift_free(&s->backend);
	else
		*out = &s->backend;
	return rc;
}
