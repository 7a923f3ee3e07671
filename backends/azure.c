/* SPDX-License-Identifier: GPL-3.0-or-later */
/* azure: the driver for Azure Blob Storage. A body is one block blob (Put Blob takes up to 5,000 MiB). */
#include "backends/azure.h"

#include "backends/azure_xml.h"
#include "backends/call.h"
#include "backends/digest.h"
#include "backends/http_range.h"
#include "backends/page.h"
#include "backends/same.h"
#include "backends/url.h"
#include "backends/wrap.h"
#include "backends/xml.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BLOBS "1000"
#define MD5_BYTES  16u

/* The server refuses a body that was changed on the way. */
static int put_blob(struct azure_request *q, struct source *source)
{
	char encoded[sodium_base64_ENCODED_LEN(MD5_BYTES, sodium_base64_VARIANT_ORIGINAL)];
	uint8_t md5[MD5_BYTES];
	int rc = source_digest(source, q->call, EVP_md5(), md5);

	if (rc < 0)
		return rc;
	q->md5 = sodium_bin2base64(encoded, sizeof encoded, md5, sizeof md5, sodium_base64_VARIANT_ORIGINAL);
	q->headers[0] = (struct azure_pair){ "x-ms-blob-type", "BlockBlob" };
	q->create = true;
	q->http.body = source;
	q->http.guarded = true;
	rc = azure_perform(q);
	q->md5 = NULL;
	if (!rc && q->response.status != 201)
		rc = http_misanswered(q->azure->http, "it did not confirm that it stored the object", q->call->msg);
	if (!rc && q->response.kept[AZURE_VERSION_ID])
		atomic_store(&q->azure->keeps, true);
	return rc;
}

static int azure_put(struct backend *b, struct call *c, const char *key, struct source *source)
{
	struct azure_request q = azure_request(b, c, "PUT", key);
	struct errmsg *outer = c->msg, own = { 0 };
	int rc;

	c->msg = &own;
	rc = put_blob(&q, source);
	c->msg = outer;
	if (rc == -ERR_EXISTS)
		rc = put_same(b, c, key, source);
	if (rc < 0 && own.text)
		errmsg_set(outer, rc, "%s", own.text);
	errmsg_free(&own);
	azure_request_free(&q);
	return rc;
}

/* Nothing of the answer reaches the sink unless it is exactly what was asked for. */
static int accept_range(struct http_request *http, const struct http_response *r)
{
	struct azure_request *q = container_of(http, struct azure_request, http);

	return http_range_check(q->azure->http, r, q->range_off, q->range_len, q->call->msg);
}

static int azure_head(struct backend *b, struct call *c, const char *key, uint64_t *size)
{
	struct azure_request q = azure_request(b, c, "HEAD", key);
	int rc = azure_perform(&q);

	if (!rc && q.response.length < 0)
		rc = http_misanswered(q.azure->http, "it did not say how long the object is", c->msg);
	if (!rc)
		*size = (uint64_t)q.response.length;
	azure_request_free(&q);
	return rc;
}

static int get_range(struct azure_request *q, uint64_t off, uint64_t len, struct sink *sink)
{
	int rc;

	q->range_off = off;
	q->range_len = len;
	q->http.accept = accept_range;
	q->http.sink = sink;
	q->http.sink_max = len;
	rc = azure_perform(q);
	if (!rc && q->response.received != len)
		rc = http_misanswered(q->azure->http, "it sent less than was asked for", q->call->msg);
	return rc;
}

static int azure_get(struct backend *b, struct call *c, const char *key, uint64_t off, uint64_t len, struct sink *sink)
{
	struct azure_request q = azure_request(b, c, "GET", key);
	struct errmsg *outer = c->msg, own = { 0 };
	int rc, reaches = 0;

	if (!len)
		return get_reaches(b, c, key, off);
	c->msg = &own;
	rc = get_range(&q, off, len, sink);
	c->msg = outer;
	/* the emulator answers so for an empty blob */
	if (rc == -ERR_PROTOCOL && q.response.status == 206 && q.response.length == 0)
		reaches = get_reaches(b, c, key, off + len);
	if (reaches < 0)
		rc = reaches;
	if (rc < 0 && own.text)
		errmsg_set(outer, rc, "%s", own.text);
	errmsg_free(&own);
	azure_request_free(&q);
	return rc;
}

static int get_page(struct backend *b, struct call *c, const char *max, const char *marker, struct page *page)
{
	struct azure_request q = azure_request(b, c, "GET", NULL);
	struct azure_pair query[AZURE_PAIRS_MAX] = { { "comp", "list" }, { "marker", marker }, { "maxresults", max },
		{ "prefix", b->config->prefix }, { "restype", "container" } };
	struct sink_buf body;
	size_t n = 0;
	int rc;

	for (size_t i = 0; query[i].name; i++)
		if (query[i].value && *query[i].value)
			q.query[n++] = query[i];
	q.http.sink = sink_buf(&body);
	q.http.sink_max = XML_BYTES_MAX;
	rc = azure_perform(&q);
	if (!rc && (rc = azure_xml_page(body.buf.data, body.buf.len, page)) == -ERR_PROTOCOL)
		http_misanswered(q.azure->http, "its list of objects cannot be understood", c->msg);
	azure_request_free(&q);
	buf_free(&body.buf);
	return rc;
}

static int next_page(struct backend *b, struct call *c, const char *token, struct page *page)
{
	return get_page(b, c, PAGE_BLOBS, token, page);
}

static int azure_list(struct backend *b, struct call *c, int (*fn)(void *ctx, const struct backend_object *), void *ctx)
{
	return page_list(b, c, next_page, fn, ctx);
}

static int azure_probe(struct backend *b, struct call *c)
{
	struct page page = { 0 };
	int rc = get_page(b, c, "1", NULL, &page);

	page_free(&page);
	return rc;
}

static void azure_free(struct backend *b)
{
	struct azure *a = container_of(b, struct azure, backend);

	http_free(a->http);
	if (a->secret.config)
		secret_destroy(&a->secret);
	free(a->origin);
	free(a->base);
	free(a);
}

static bool azure_renew(struct backend *b, struct call *c)
{
	return secret_renew(&container_of(b, struct azure, backend)->secret, c);
}

static const struct backend_ops azure_ops = {
	.type = "azure",
	.caps = BACKEND_RANGE | BACKEND_CREATE_ONLY,
	.put = azure_put,
	.get = azure_get,
	.head = azure_head,
	.del = azure_del,
	.list = azure_list,
	.probe = azure_probe,
	.renew = azure_renew,
	.free = azure_free,
};

static int open_secret(struct azure *a, struct errmsg *msg)
{
	const struct config_backend *config = a->backend.config;

	if (!config->bucket || !*config->bucket || !config->prefix)
		return errmsg_set(msg, -ERR_CONFIG, "backend '%s': container is needed", config->name);
	if (config->key_file && !config->user)
		return errmsg_set(msg, -ERR_CONFIG, "backend '%s': account is needed", config->name);
	return secret_init(&a->secret, config, config->sas_file ? "sas-file" : "key-file",
		config->sas_file ? config->sas_file : config->key_file, AZURE_SECRET_BYTES_MAX, msg);
}

static int make_places(struct azure *a, const struct url *url)
{
	struct buf base = BUF_INIT;

	buf_str(&base, url->path);
	if (!base.len || base.data[base.len - 1] != '/')
		buf_str(&base, "/");
	url_encode(&base, a->backend.config->bucket, 1);
	a->base = buf_steal(&base);
	a->origin = strdup(url->origin);
	return a->base && a->origin ? 0 : -ENOMEM;
}

int azure_open(struct backend **out, struct config_backend *config, struct errmsg *msg)
{
	struct azure *a = calloc(1, sizeof *a);
	struct url url = { 0 };
	int rc;

	if (!a)
		return -ENOMEM;
	a->backend.ops = &azure_ops;
	a->backend.config = config;
	if ((rc = open_secret(a, msg)) < 0 || (rc = http_new(&a->http, config, msg)) < 0 ||
		(rc = url_parse(config->endpoint, &url)) < 0 || (rc = make_places(a, &url)) < 0)
		azure_free(&a->backend);
	else
		*out = &a->backend;
	url_free(&url);
	return rc;
}
