/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/s3_request.h"

#include "backends/digest.h"
#include "backends/http_range.h"
#include "backends/s3_error.h"
#include "backends/url.h"
#include "base/text.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* The hash of the body is part of what is signed: the server refuses a body that was changed on the way. */
static int hash_body(struct s3_request *q)
{
	struct source_memory empty;
	struct source *body = q->http.body ? q->http.body : source_memory(&empty, "", 0);
	uint8_t hash[S3_HASH_BYTES];
	int rc = source_digest(body, q->call, EVP_sha256(), hash);

	if (!rc)
		text_hex(hash, sizeof hash, q->body_hash);
	return rc;
}

static int make_path(struct s3_request *q)
{
	struct buf b = BUF_INIT;

	buf_str(&b, q->s3->base);
	if (q->key || !b.len)
		buf_str(&b, "/");
	if (q->key) {
		url_encode(&b, q->s3->backend.config->prefix, 1);
		url_encode(&b, q->key, 1);
	}
	q->path = buf_steal(&b);
	return q->path ? 0 : -ENOMEM;
}

static int sign(struct http_request *http, struct buf *lines)
{
	struct s3_request *q = container_of(http, struct s3_request, http);
	const struct config_backend *config = q->s3->backend.config;
	uint8_t key[S3_HASH_BYTES];
	char stamp[S3_STAMP_BYTES];
	int rc;
	const struct s3_header headers[] = {
		{ "host", q->s3->authority },
		{ "x-amz-content-sha256", q->body_hash },
		{ "x-amz-date", stamp },
	};
	const struct s3_request_text text = {
		.method = http->method,
		.path = q->path,
		.query = q->query ? q->query : "",
		.headers = headers,
		.header_count = sizeof headers / sizeof headers[0],
		.body_hash = q->body_hash,
	};

	s3_stamp(time(NULL), stamp);
	if ((rc = s3_secret_key(&q->s3->secret, q->call, stamp, key)) < 0)
		return rc;
	for (size_t i = 0; i < text.header_count; i++)
		buf_printf(lines, "%s: %s%c", headers[i].name, headers[i].value, 0);
	if (q->range_len)
		http_range_line(lines, q->range_off, q->range_len);
	buf_str(lines, "Authorization: ");
	s3_authorization(&text, key, config->access_key, stamp, config->region, lines);
	buf_put(lines, "", 1);
	sodium_memzero(key, sizeof key);
	return lines->err;
}

/* what to do about it, by error */
static const struct {
	int rc;
	const char *hint;
} hints[] = {
	{ -ERR_DENIED, "; check access-key and secret-key-file, and what the key may do there" },
	{ -ERR_NO_BUCKET, "; create the bucket there, or correct bucket" },
	{ -ERR_CLOCK, "; set this machine's clock" },
	{ -ERR_QUOTA, "; free space there or raise the quota" },
	{ -ERR_TAMPERED, "; the object is cut short" },
};

static const char *hint_for(int rc)
{
	for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
		if (hints[i].rc == rc)
			return hints[i].hint;
	return "";
}

int s3_refused(struct s3_request *q, int status, const void *text, size_t len)
{
	const struct config_backend *config = q->s3->backend.config;
	const char *host = http_host(q->s3->http);
	struct s3_error e;
	int rc;

	s3_xml_error(text, len, &e);
	rc = s3_error_from(status, e.code);
	if (rc == -ERR_REDIRECT || status / 100 == 3)
		return errmsg_set(q->call->msg, -ERR_REDIRECT, HTTP_REDIRECT_TEXT, config->name, host, status,
			e.endpoint[0] ? e.endpoint : "a place it does not name");
	return errmsg_set(q->call->msg, rc, "backend '%s' (bucket %s): %s answered %d%s%s%s%s%s", config->name,
		config->bucket, host, status, e.code[0] ? " " : "", e.code, e.message[0] ? ": " : "", e.message,
		hint_for(rc));
}

int s3_misanswered(struct s3_request *q, const char *what)
{
	return http_misanswered(q->s3->http, what, q->call->msg);
}

int s3_perform(struct s3_request *q)
{
	struct buf url = BUF_INIT;
	int rc = hash_body(q);

	if (rc < 0 || (rc = make_path(q)) < 0)
		return rc;
	buf_printf(&url, "%s%s%s%s", q->s3->origin, q->path, q->query ? "?" : "", q->query ? q->query : "");
	if ((rc = url.err) < 0)
		goto out;
	q->http.url = (const char *)url.data;
	q->http.backend = &q->s3->backend;
	q->http.prepare = sign;
	rc = http_perform(q->s3->http, q->call, &q->http, &q->response);
	if (rc == -ERR_REDIRECT || (!rc && q->response.status / 100 != 2))
		rc = s3_refused(q, q->response.status, q->response.error.data, q->response.error.len);
	q->call->retry_after_ns = q->response.retry_after_ns;
out:
	buf_free(&url);
	return rc;
}

void s3_request_free(struct s3_request *q)
{
	http_response_free(&q->response);
	free(q->path);
	q->path = NULL;
}
