/* SPDX-License-Identifier: GPL-3.0-or-later */
/* s3: the driver for S3 endpoints (Amazon S3 API Reference, REST). */
#include "backends/call.h"
#include "backends/http_range.h"
#include "backends/s3_request.h"
#include "backends/s3_xml.h"
#include "backends/url.h"
#include "backends/wrap.h"
#include "backends/xml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_KEYS 1000u

static struct s3_request request(struct backend *b, struct call *c, const char *method, const char *key)
{
	return (struct s3_request){
		.http = { .method = method }, .s3 = container_of(b, struct s3, backend), .call = c, .key = key
	};
}

static int s3_put(struct backend *b, struct call *c, const char *key, struct source *source)
{
	struct s3_request q = request(b, c, "PUT", key);
	int rc;

	q.http.body = source;
	q.http.guarded = true;
	rc = s3_perform(&q);
	if (!rc && q.response.status != 200)
		rc = s3_misanswered(&q, "it did not confirm that it stored the object");
	s3_request_free(&q);
	return rc;
}

/* Nothing of the answer reaches the sink unless it is exactly what was asked for. */
static int accept_range(struct http_request *http, const struct http_response *r)
{
	struct s3_request *q = container_of(http, struct s3_request, http);

	return http_range_check(q->s3->http, r, q->range_off, q->range_len, q->call->msg);
}

static int s3_head(struct backend *b, struct call *c, const char *key, uint64_t *size);

static int get_nothing(struct backend *b, struct call *c, const char *key, uint64_t off)
{
	uint64_t size;
	int rc = s3_head(b, c, key, &size);

	return rc < 0 ? rc : off <= size ? 0 : http_range_short(b->config, size, off, c->msg);
}

static int s3_get(struct backend *b, struct call *c, const char *key, uint64_t off, uint64_t len, struct sink *sink)
{
	struct s3_request q = request(b, c, "GET", key);
	int rc;

	if (!len)
		return get_nothing(b, c, key, off);
	q.range_off = off;
	q.range_len = len;
	q.http.accept = accept_range;
	q.http.sink = sink;
	q.http.sink_max = len;
	rc = s3_perform(&q);
	if (!rc && q.response.received != len)
		rc = s3_misanswered(&q, "it sent less than was asked for");
	s3_request_free(&q);
	return rc;
}

/* An answer to HEAD has no body, so its 404 may come from anybody on the way; the same question as GET is answered
 * with a document (I7). */
static int confirm_absent(struct backend *b, struct call *c, const char *key)
{
	struct s3_request q = request(b, c, "GET", key);
	int rc;

	q.range_len = 1;
	rc = s3_perform(&q);
	if (!rc || rc == -ERR_TAMPERED)
		rc = errmsg_set(
			c->msg, -ERR_SERVER, "backend '%s': it denies and confirms the same object", b->config->name);
	s3_request_free(&q);
	return rc;
}

/* Performs, but keeps the sentence only of an error that is one in the end. */
static int perform_unless(struct s3_request *q, int (*harmless)(const struct s3_request *, int rc))
{
	struct errmsg *msg = q->call->msg, own = { 0 };
	int rc;

	q->call->msg = &own;
	rc = s3_perform(q);
	q->call->msg = msg;
	if (rc < 0 && own.text && !harmless(q, rc))
		errmsg_set(msg, rc, "%s", own.text);
	errmsg_free(&own);
	return rc;
}

static int is_404(const struct s3_request *q, int rc)
{
	return rc < 0 && q->response.status == 404;
}

static int is_absent(const struct s3_request *q, int rc)
{
	(void)q;
	return rc == -ERR_ABSENT;
}

static int s3_head(struct backend *b, struct call *c, const char *key, uint64_t *size)
{
	struct s3_request q = request(b, c, "HEAD", key);
	int rc = perform_unless(&q, is_404), unsure = is_404(&q, rc);

	if (!rc && q.response.length < 0)
		rc = s3_misanswered(&q, "it did not say how long the object is");
	if (!rc)
		*size = (uint64_t)q.response.length;
	s3_request_free(&q);
	return unsure ? confirm_absent(b, c, key) : rc;
}

static int s3_del(struct backend *b, struct call *c, const char *key)
{
	struct s3_request q = request(b, c, "DELETE", key);
	bool versioned;
	int rc;

	q.http.keep[0] = "x-amz-version-id";
	q.http.keep[1] = "x-amz-delete-marker";
	rc = perform_unless(&q, is_absent);
	/* a bucket that keeps versions, or did, answers so: what it deleted it has only hidden */
	versioned = q.response.kept[0] || q.response.kept[1];
	s3_request_free(&q);
	rc = rc == -ERR_ABSENT ? 0 : rc;
	return !rc && versioned ? s3_purge(b, c, key) : rc;
}

static int list_query(const struct config_backend *config, const char *token, unsigned max, struct buf *out)
{
	if (token) {
		buf_str(out, "continuation-token=");
		url_encode(out, token, 0);
		buf_str(out, "&");
	}
	buf_printf(out, "encoding-type=url&list-type=2&max-keys=%u&prefix=", max);
	url_encode(out, config->prefix, 0);
	return out->err;
}

static int get_page(struct backend *b, struct call *c, const char *token, unsigned max, struct page *page)
{
	struct s3_request q = request(b, c, "GET", NULL);
	struct buf query = BUF_INIT;
	struct sink_buf body;
	int rc = list_query(b->config, token, max, &query);

	q.query = (const char *)query.data;
	q.http.sink = sink_buf(&body);
	q.http.sink_max = XML_BYTES_MAX;
	if (!rc)
		rc = s3_perform(&q);
	if (!rc && (rc = s3_xml_page(body.buf.data, body.buf.len, page)) == -ERR_PROTOCOL)
		s3_misanswered(&q, "its list of objects cannot be understood");
	s3_request_free(&q);
	buf_free(&body.buf);
	buf_free(&query);
	return rc;
}

static int next_page(struct backend *b, struct call *c, const char *token, struct page *page)
{
	return get_page(b, c, token, PAGE_KEYS, page);
}

static int s3_list(struct backend *b, struct call *c, int (*fn)(void *ctx, const struct backend_object *), void *ctx)
{
	return page_list(b, c, next_page, fn, ctx);
}

static int s3_probe(struct backend *b, struct call *c)
{
	struct page page = { 0 };
	int rc = get_page(b, c, NULL, 1, &page);

	page_free(&page);
	return rc;
}

static void s3_free(struct backend *b)
{
	struct s3 *s = container_of(b, struct s3, backend);

	http_free(s->http);
	s3_secret_destroy(&s->secret);
	free(s->origin);
	free(s->authority);
	free(s->base);
	free(s);
}

static bool s3_renew(struct backend *b, struct call *c)
{
	return secret_renew(&container_of(b, struct s3, backend)->secret.secret, c);
}

static const struct backend_ops s3_ops = {
	.type = "s3",
	.caps = BACKEND_RANGE | BACKEND_MULTIPART,
	.put = s3_put,
	.get = s3_get,
	.head = s3_head,
	.del = s3_del,
	.list = s3_list,
	.remnants = s3_remnants,
	.erase = s3_erase,
	.probe = s3_probe,
	.multipart_begin = s3_multipart_begin,
	.multipart_part = s3_multipart_part,
	.multipart_complete = s3_multipart_complete,
	.multipart_abort = s3_multipart_abort,
	.renew = s3_renew,
	.free = s3_free,
};

static int make_places(struct s3 *s, const struct url *e)
{
	const struct config_backend *config = s->backend.config;
	bool virtual = config->addressing == ADDRESSING_VIRTUAL_HOST;
	struct buf base = BUF_INIT;

	if (asprintf(&s->authority, "%s%s%s", virtual ? config->bucket : "", virtual ? "." : "", e->authority) < 0)
		s->authority = NULL;
	if (!s->authority || asprintf(&s->origin, "%s://%s", e->scheme, s->authority) < 0)
		s->origin = NULL;
	buf_str(&base, strcmp(e->path, "/") ? e->path : "");
	if (!virtual) {
		buf_str(&base, "/");
		url_encode(&base, config->bucket, 1);
	}
	buf_put(&base, "", 0);
	s->base = buf_steal(&base);
	return s->origin && s->base ? 0 : -ENOMEM;
}

static int check_config(const struct config_backend *config, struct errmsg *msg)
{
	if (!config->bucket || !*config->bucket || !config->region || !config->prefix)
		return errmsg_set(msg, -ERR_CONFIG, "backend '%s': bucket and region are needed", config->name);
	return 0;
}

int s3_open(struct backend **out, struct config_backend *config, struct errmsg *msg)
{
	struct url e = { 0 };
	struct s3 *s = calloc(1, sizeof *s);
	int rc;

	if (!s)
		return -ENOMEM;
	s->backend.ops = &s3_ops;
	s->backend.config = config;
	if ((rc = s3_secret_init(&s->secret, config, msg)) < 0 || (rc = check_config(config, msg)) < 0 ||
		(rc = http_new(&s->http, config, msg)) < 0 || (rc = url_parse(config->endpoint, &e)) < 0 ||
		(rc = make_places(s, &e)) < 0)
		s3_free(&s->backend);
	else
		*out = &s->backend;
	url_free(&e);
	return rc;
}
