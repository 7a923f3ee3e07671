/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/swift_request.h"

#include "backends/http_range.h"
#include "backends/swift_error.h"
#include "backends/url.h"

#include <string.h>

static int prepare(struct http_request *http, struct buf *lines)
{
	struct swift_request *q = container_of(http, struct swift_request, http);

	swift_auth_line(&q->swift->auth, lines, &q->generation);
	if (q->range_len)
		http_range_line(lines, q->range_off, q->range_len);
	if (http->body)
		buf_printf(lines, "If-None-Match: *%cContent-Type: application/octet-stream%c", 0, 0);
	if (q->hash[0])
		buf_printf(lines, "ETag: %s%c", q->hash, 0);
	return 0;
}

static int make_url(const struct swift_request *q, struct buf *url)
{
	buf_printf(url, "%s%s", q->swift->auth.origin, q->swift->auth.base);
	if (q->key) {
		buf_str(url, "/");
		url_encode(url, q->swift->backend.config->prefix, 1);
		url_encode(url, q->key, 1);
	}
	if (q->query)
		buf_printf(url, "?%s", q->query);
	return url->err;
}

static int send_once(struct swift_request *q)
{
	struct buf url = BUF_INIT;
	int rc = swift_auth_need(&q->swift->auth, q->call);

	if (!rc && !(rc = make_url(q, &url))) {
		q->http.url = (const char *)url.data;
		q->http.backend = &q->swift->backend;
		q->http.prepare = prepare;
		q->http.keep[0] = "X-Trans-Id";
		rc = http_perform(q->swift->auth.storage, q->call, &q->http, &q->response);
		q->call->retry_after_ns = q->response.retry_after_ns;
	}
	buf_free(&url);
	return rc;
}

/* what to do about it, by error */
static const struct {
	int rc;
	const char *hint;
} hints[] = {
	{ -ERR_DENIED, "; check user and password-file, and what the user may do there" },
	{ -ERR_NO_BUCKET, "; create the container there, or correct container" },
	{ -ERR_QUOTA, "; free space there or raise the quota" },
	{ -ERR_EXISTS, "; an object of that name is there already" },
	{ -ERR_TAMPERED, "; the object is cut short" },
};

static int refused(struct swift_request *q, int rc)
{
	const struct config_backend *config = q->swift->backend.config;
	const char *hint = "";

	for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
		if (hints[i].rc == rc)
			hint = hints[i].hint;
	return errmsg_set(q->call->msg, rc, "backend '%s' (container %s): %s answered %d%s", config->name,
		config->bucket, http_host(q->swift->auth.storage), q->response.status, hint);
}

int swift_misanswered(struct swift_request *q, const char *what)
{
	return http_misanswered(q->swift->auth.storage, what, q->call->msg);
}

/* Anybody on the way can answer 404; Swift marks its answers, and knows the container (I7). */
static int not_found(struct swift_request *q)
{
	struct swift_request container = {
		.http = { .method = "HEAD", .keep = { NULL, "X-Container-Object-Count" } },
		.swift = q->swift,
		.call = q->call,
	};
	int rc;

	if (!q->response.kept[0])
		return swift_misanswered(
			q, "it answered 404 without the mark of Swift (X-Trans-Id), which means nothing");
	if (!q->key || q->http.body)
		return refused(q, -ERR_NO_BUCKET);
	rc = swift_perform(&container);
	if (!rc && !container.response.kept[1])
		rc = swift_misanswered(&container, "it speaks of a container as no Swift does");
	swift_request_free(&container);
	return rc < 0 ? rc : -ERR_ABSENT;
}

int swift_perform(struct swift_request *q)
{
	int rc = send_once(q);

	if (!rc && q->response.status == 401) {
		swift_auth_refused(&q->swift->auth, q->generation);
		http_response_free(&q->response);
		rc = send_once(q);
	}
	if (rc < 0 || q->response.status / 100 == 2)
		return rc;
	if (q->response.status == 404)
		return not_found(q);
	rc = swift_error_from(q->response.status);
	/* the condition of another request, or a list longer than it likes */
	return refused(q, rc == -ERR_EXISTS && !q->http.body ? -ERR_PROTOCOL : rc);
}

void swift_request_free(struct swift_request *q)
{
	http_response_free(&q->response);
}
