/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/webdav.h"

#include "backends/call.h"
#include "backends/http_range.h"
#include "backends/same.h"
#include "backends/url.h"
#include "backends/wrap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_BYTES_MAX (256u << 10) /* about one resource */

static struct webdav_request request(struct backend *b, struct call *c, const char *method, const char *path)
{
	return (struct webdav_request){
		.http = { .method = method }, .dav = container_of(b, struct webdav, backend), .call = c, .path = path
	};
}

/* what was said of the one resource asked for, whatever it is called */
static int take_resource(void *ctx, struct webdav_resource *r)
{
	struct webdav_resource *out = ctx;

	if (!out->path) {
		*out = *r;
		memset(r, 0, sizeof *r);
	}
	return 0;
}

int webdav_stat(struct webdav *d, struct call *c, const char *path, struct webdav_resource *out)
{
	struct webdav_request q = request(&d->backend, c, "PROPFIND", path);
	struct webdav_multistatus answer;
	struct source_memory body;
	int rc = webdav_multistatus_init(&answer, take_resource, out);

	memset(out, 0, sizeof *out);
	q.http.body = source_memory(&body, WEBDAV_PROPFIND, sizeof WEBDAV_PROPFIND - 1);
	q.http.sink = &answer.sink;
	q.http.sink_max = ANSWER_BYTES_MAX;
	q.lines = "Depth: 0\0Content-Type: application/xml\0";
	if (!rc && !(rc = webdav_perform(&q)))
		rc = q.response.status == 207 ? webdav_multistatus_end(&answer) : -ERR_PROTOCOL;
	if (!rc && !out->path)
		rc = -ERR_PROTOCOL;
	if (rc == -ERR_PROTOCOL)
		http_misanswered(d->http,
			"its answer to PROPFIND cannot be understood; is the endpoint a WebDAV folder?", c->msg);
	webdav_multistatus_free(&answer);
	webdav_request_free(&q);
	return rc;
}

static int check_collection(struct webdav *d, struct call *c, const char *path)
{
	struct webdav_resource r;
	int rc = webdav_stat(d, c, path, &r);

	if (!rc && !r.collection)
		rc = http_misanswered(d->http, "what the endpoint names is no collection", c->msg);
	webdav_resource_free(&r);
	return rc;
}

static int no_root(struct webdav *d, struct call *c, const char *path, const char *hint)
{
	return errmsg_set(c->msg, -ERR_NO_BUCKET, "backend '%s': %s has no collection %s; %s", d->backend.config->name,
		http_host(d->http), path, hint);
}

int webdav_check_root(struct webdav *d, struct call *c, bool *made)
{
	bool expected = d->backend.known || atomic_load(&d->root_seen);
	int rc = check_collection(d, c, d->root);

	if (made)
		*made = !rc;
	if (!rc)
		atomic_store(&d->root_seen, true);
	if (rc != -ERR_ABSENT)
		return rc;
	if (expected)
		return no_root(d, c, d->root, "this store's objects were there: is the server's disk mounted?");
	rc = strcmp(d->root, d->base) ? check_collection(d, c, d->base) : -ERR_ABSENT;
	return rc == -ERR_ABSENT ? no_root(d, c, d->base, "create it there, or correct endpoint") : rc;
}

int webdav_absent(struct webdav *d, struct call *c)
{
	int rc = webdav_check_root(d, c, NULL);

	if (rc < 0)
		return rc;
	return errmsg_set(c->msg, -ERR_ABSENT, "backend '%s': %s has no such object", d->backend.config->name,
		http_host(d->http));
}

/* An answer without Content-Length: Apache leaves it out for an empty file. */
static int stat_size(struct webdav *d, struct call *c, const char *path, uint64_t *size)
{
	struct webdav_resource r;
	int rc = webdav_stat(d, c, path, &r);

	if (!rc && !r.has_size)
		rc = http_misanswered(d->http, "it did not say how long the object is", c->msg);
	if (!rc)
		*size = r.size;
	webdav_resource_free(&r);
	return rc;
}

int webdav_head(struct backend *b, struct call *c, const char *key, uint64_t *size)
{
	struct webdav *d = container_of(b, struct webdav, backend);
	char *path = webdav_path(d, key);
	struct webdav_request q = request(b, c, "HEAD", path);
	int rc = path ? webdav_perform(&q) : -ENOMEM;

	if (!rc && q.response.length >= 0)
		*size = (uint64_t)q.response.length;
	else if (!rc)
		rc = stat_size(d, c, path, size);
	if (rc == -ERR_ABSENT)
		rc = webdav_absent(d, c);
	webdav_request_free(&q);
	free(path);
	return rc;
}

/* Nothing of the answer reaches the sink unless it is exactly what was asked for. */
static int accept_range(struct http_request *http, const struct http_response *r)
{
	struct webdav_request *q = container_of(http, struct webdav_request, http);

	return http_range_check(q->dav->http, r, q->range_off, q->range_len, q->call->msg);
}

static int get_range(struct webdav_request *q, uint64_t off, uint64_t len, struct sink *sink)
{
	int rc;

	q->range_off = off;
	q->range_len = len;
	q->http.accept = accept_range;
	q->http.sink = sink;
	q->http.sink_max = len;
	rc = webdav_perform(q);
	if (!rc && q->response.received != len)
		rc = http_misanswered(q->dav->http, "it sent less than was asked for", q->call->msg);
	return rc;
}

/* The server does not have the range, or answered with all there is: because the object is shorter? */
static bool is_short(const struct webdav_request *q, int rc)
{
	return q->response.status == 416 || (q->response.status == 200 && rc == -ERR_PROTOCOL);
}

int webdav_get(struct backend *b, struct call *c, const char *key, uint64_t off, uint64_t len, struct sink *sink)
{
	struct webdav *d = container_of(b, struct webdav, backend);
	struct errmsg *outer = c->msg, own = { 0 };
	char *path = webdav_path(d, key);
	struct webdav_request q = request(b, c, "GET", path);
	int rc = path ? 0 : -ENOMEM, reaches;

	if (!len) {
		free(path);
		return rc ? rc : get_reaches(b, c, key, off);
	}
	c->msg = &own;
	if (!rc)
		rc = get_range(&q, off, len, sink);
	c->msg = outer;
	if (rc == -ERR_ABSENT)
		rc = webdav_absent(d, c);
	else if (rc < 0 && is_short(&q, rc) && (reaches = get_reaches(b, c, key, off + len)) < 0)
		rc = reaches;
	else if (rc == -ERR_TAMPERED && q.response.status == 416)
		rc = -ERR_PROTOCOL; /* it is long enough */
	if (rc < 0 && own.text)
		errmsg_set(outer, rc, "%s", own.text);
	errmsg_free(&own);
	webdav_request_free(&q);
	free(path);
	return rc;
}

/* X-NC-Skip-Trashbin: Nextcloud would only move the object into its trash (Nextcloud Developer Manual, "WebDAV"). */
int webdav_del(struct backend *b, struct call *c, const char *key)
{
	struct webdav *d = container_of(b, struct webdav, backend);
	char *path = webdav_path(d, key);
	struct webdav_request q = request(b, c, "DELETE", path);
	int rc = path ? 0 : -ENOMEM;

	q.lines = "X-NC-Skip-Trashbin: true\0";
	if (!rc)
		rc = webdav_perform(&q);
	if (!rc && q.response.status == 207)
		rc = errmsg_set(c->msg, -ERR_SERVER, "backend '%s': %s could not delete the object", b->config->name,
			http_host(d->http));
	if (rc == -ERR_ABSENT && !(rc = webdav_check_root(d, c, NULL)))
		rc = 0;
	webdav_request_free(&q);
	free(path);
	return rc;
}

static int webdav_probe(struct backend *b, struct call *c)
{
	return webdav_check_root(container_of(b, struct webdav, backend), c, NULL);
}

static void webdav_free(struct backend *b)
{
	struct webdav *d = container_of(b, struct webdav, backend);

	http_free(d->http);
	if (d->password.config)
		secret_destroy(&d->password);
	free(d->origin);
	free(d->base);
	free(d->root);
	free(d->root_url);
	free(d);
}

static bool webdav_renew(struct backend *b, struct call *c)
{
	return secret_renew(&container_of(b, struct webdav, backend)->password, c);
}

static const struct backend_ops webdav_ops = {
	.type = "webdav",
	.caps = BACKEND_RANGE,
	.put = webdav_put,
	.get = webdav_get,
	.head = webdav_head,
	.del = webdav_del,
	.list = webdav_list,
	.probe = webdav_probe,
	.renew = webdav_renew,
	.free = webdav_free,
};

static int make_places(struct webdav *d, const struct url *url)
{
	size_t len = strlen(url->path);
	struct buf root = BUF_INIT;

	if (asprintf(&d->base, "%s%s", url->path, len && url->path[len - 1] == '/' ? "" : "/") < 0)
		d->base = NULL;
	if (!d->base)
		return -ENOMEM;
	buf_str(&root, d->base);
	url_encode(&root, d->backend.config->prefix, 1);
	d->root = buf_steal(&root);
	d->origin = strdup(url->origin);
	if (!d->root || !d->origin || asprintf(&d->root_url, "%s%s", d->origin, d->root) < 0)
		return -ENOMEM;
	return 0;
}

static int open_password(struct webdav *d, struct errmsg *msg)
{
	const struct config_backend *config = d->backend.config;

	if (!config->user || !config->prefix)
		return errmsg_set(msg, -ERR_CONFIG, "backend '%s': user and password-file are needed", config->name);
	return secret_init(
		&d->password, config, "password-file", config->password_file, WEBDAV_PASSWORD_BYTES_MAX, msg);
}

int webdav_open(struct backend **out, struct config_backend *config, struct errmsg *msg)
{
	struct webdav *d = calloc(1, sizeof *d);
	struct url url = { 0 };
	int rc;

	if (!d)
		return -ENOMEM;
	d->backend.ops = &webdav_ops;
	d->backend.config = config;
	if ((rc = open_password(d, msg)) < 0 || (rc = http_new(&d->http, config, msg)) < 0 ||
		(rc = url_parse(config->endpoint, &url)) < 0 || (rc = make_places(d, &url)) < 0) {
		webdav_free(&d->backend);
	} else {
		d->login = (struct http_login){ .user = config->user, .password = &d->password, .url = d->root_url };
		http_set_login(d->http, &d->login);
		*out = &d->backend;
	}
	url_free(&url);
	return rc;
}
