/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/azure.h"
#include "backends/azure_error.h"
#include "backends/azure_xml.h"
#include "backends/http_range.h"
#include "backends/url.h"

#include <curl/curl.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SKEW_MAX_S 900 /* "Authorize with Shared Key": older requests are refused */

struct azure_request azure_request(struct backend *b, struct call *c, const char *method, const char *key)
{
	return (struct azure_request){ .http = { .method = method,
					       .keep = { [AZURE_CODE] = "x-ms-error-code",
						       [AZURE_DATE] = "Date",
						       [AZURE_PERMANENT] = "x-ms-delete-type-permanent",
						       [AZURE_VERSION_ID] = "x-ms-version-id" } },
		.azure = container_of(b, struct azure, backend),
		.call = c,
		.key = key };
}

static size_t count(const struct azure_pair *pairs)
{
	size_t n = 0;

	while (n < AZURE_PAIRS_MAX && pairs[n].name)
		n++;
	return n;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct azure_pair *)a)->name, ((const struct azure_pair *)b)->name);
}

static int put_authorization(struct azure_request *q, const struct azure_text *text, struct buf *lines)
{
	struct secret *secret = &q->azure->secret;
	const char *key;
	int rc = secret_lock(secret, q->call, &key);

	if (rc < 0)
		return rc;
	buf_str(lines, "Authorization: ");
	rc = azure_authorization(text, key, lines);
	secret_unlock(secret);
	buf_put(lines, "", 1);
	if (rc == -ERR_KEY)
		return errmsg_set(q->call->msg, -ERR_DENIED, "backend '%s': what %s holds is no key in base64",
			q->azure->backend.config->name, secret->name);
	return rc < 0 ? rc : lines->err;
}

static int prepare(struct http_request *http, struct buf *lines)
{
	struct azure_request *q = container_of(http, struct azure_request, http);
	const struct config_backend *config = q->azure->backend.config;
	struct azure_pair headers[AZURE_PAIRS_MAX + 2];
	size_t n = count(q->headers), range_at;
	struct azure_text text = { .method = http->method,
		.length = http->body ? http->body->length : 0,
		.md5 = q->md5 ? q->md5 : "",
		.if_none_match = q->create ? "*" : "",
		.range = "",
		.headers = headers,
		.header_count = n + 2,
		.account = config->user,
		.path = q->path,
		.query = q->query,
		.query_count = count(q->query) };
	char date[AZURE_DATE_BYTES];

	azure_date(time(NULL), date);
	memcpy(headers, q->headers, n * sizeof *headers);
	headers[n] = (struct azure_pair){ "x-ms-date", date };
	headers[n + 1] = (struct azure_pair){ "x-ms-version", AZURE_VERSION };
	qsort(headers, n + 2, sizeof *headers, by_name);
	for (size_t i = 0; i < n + 2; i++)
		buf_printf(lines, "%s: %s%c", headers[i].name, headers[i].value, 0);
	if (q->md5)
		buf_printf(lines, "Content-MD5: %s%c", q->md5, 0);
	if (q->create)
		buf_put(lines, "If-None-Match: *", sizeof "If-None-Match: *");
	range_at = lines->len;
	if (q->range_len)
		http_range_line(lines, q->range_off, q->range_len);
	if (azure_signs_url(config) || lines->err)
		return lines->err;
	if (q->range_len)
		text.range = strdupa((const char *)lines->data + range_at + strlen("Range: "));
	return put_authorization(q, &text, lines);
}

/* what to do about it, by error */
static const struct {
	int rc;
	const char *hint;
} hints[] = {
	{ -ERR_DENIED, "; check account, key-file or sas-file, and what the signature allows" },
	{ -ERR_NO_BUCKET, "; create the container there, or correct container" },
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

/* The code of a refused signature does not tell whether the time is the cause; the server's own does. */
static bool is_skewed(const struct http_response *r)
{
	time_t theirs = r->kept[AZURE_DATE] ? curl_getdate(r->kept[AZURE_DATE], NULL) : -1;
	int64_t ahead = theirs < 0 ? 0 : (int64_t)time(NULL) - theirs;

	return ahead > SKEW_MAX_S || ahead < -SKEW_MAX_S;
}

static int refused(struct azure_request *q)
{
	const struct config_backend *config = q->azure->backend.config;
	const struct http_response *r = &q->response;
	char code[64], message[256];
	int rc;

	snprintf(code, sizeof code, "%s", r->kept[AZURE_CODE] ? r->kept[AZURE_CODE] : "");
	azure_xml_message(r->error.data, r->error.len, message, sizeof message);
	rc = azure_error_from(r->status, code);
	if (rc == -ERR_DENIED && is_skewed(r))
		rc = -ERR_CLOCK;
	return errmsg_set(q->call->msg, rc, "backend '%s' (container %s): %s answered %d%s%s%s%.*s%s", config->name,
		config->bucket, http_host(q->azure->http), r->status, *code ? " " : "", code, *message ? ": " : "",
		(int)strcspn(message, "\r\n"), message, hint_for(rc));
}

static int make_path(struct azure_request *q)
{
	struct buf b = BUF_INIT;

	buf_str(&b, q->azure->base);
	if (q->key) {
		buf_str(&b, "/");
		url_encode(&b, q->azure->backend.config->prefix, 1);
		url_encode(&b, q->key, 1);
	}
	q->path = buf_steal(&b);
	return q->path ? 0 : -ENOMEM;
}

static int put_url(struct azure_request *q, struct buf *url)
{
	const char *separator = "?", *sas;
	int rc = 0;

	buf_printf(url, "%s%s", q->azure->origin, q->path);
	for (size_t i = 0; i < count(q->query); i++, separator = "&") {
		buf_printf(url, "%s%s=", separator, q->query[i].name);
		url_encode(url, q->query[i].value, 0);
	}
	if (azure_signs_url(q->azure->backend.config)) {
		if ((rc = secret_lock(&q->azure->secret, q->call, &sas)) < 0)
			return rc;
		buf_printf(url, "%s%s", separator, sas + (*sas == '?'));
		secret_unlock(&q->azure->secret);
	}
	return url->err;
}

int azure_perform(struct azure_request *q)
{
	struct buf url = BUF_INIT;
	int rc = make_path(q);

	if (rc < 0)
		return rc;
	if ((rc = put_url(q, &url)) < 0)
		goto out;
	q->http.url = (const char *)url.data;
	q->http.backend = &q->azure->backend;
	q->http.prepare = prepare;
	rc = http_perform(q->azure->http, q->call, &q->http, &q->response);
	if (rc == -ERR_REDIRECT)
		errmsg_set(q->call->msg, rc, HTTP_REDIRECT_TEXT, q->azure->backend.config->name,
			http_host(q->azure->http), q->response.status, "a place it does not name");
	if (!rc && q->response.status / 100 != 2)
		rc = refused(q);
	q->call->retry_after_ns = q->response.retry_after_ns;
out:
	if (url.data)
		sodium_memzero(url.data, url.len);
	buf_free(&url);
	return rc;
}

void azure_request_free(struct azure_request *q)
{
	http_response_free(&q->response);
	free(q->path);
	q->path = NULL;
}
