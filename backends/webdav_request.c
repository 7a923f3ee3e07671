/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/call.h"
#include "backends/http_range.h"
#include "backends/url.h"
#include "backends/webdav.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* RFC 9110, section 15; RFC 4918, section 11; RFC 6585 */
static const struct {
	int status, rc;
} statuses[] = {
	{ 401, -ERR_DENIED },
	{ 402, -ERR_QUOTA },
	{ 403, -ERR_DENIED },
	{ 404, -ERR_ABSENT },
	{ 407, -ERR_DENIED },
	{ 408, -ERR_TIMEOUT },
	{ 409, -ERR_SERVER },
	{ 410, -ERR_ABSENT },
	{ 412, -ERR_EXISTS },
	{ 413, -ERR_TOO_LARGE },
	{ 416, -ERR_TAMPERED },
	{ 423, -ERR_BUSY },
	{ 425, -ERR_BUSY },
	{ 429, -ERR_BUSY },
	{ 500, -ERR_SERVER },
	{ 502, -ERR_SERVER },
	{ 503, -ERR_BUSY },
	{ 504, -ERR_SERVER },
	{ 507, -ERR_QUOTA },
};

static int from_status(int status)
{
	for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
		if (statuses[i].status == status)
			return statuses[i].rc;
	return -ERR_PROTOCOL;
}

/* what to do about it, by error */
static const struct {
	int rc;
	const char *hint;
} hints[] = {
	{ -ERR_DENIED, "; check user and password-file, and what the user may do there" },
	{ -ERR_QUOTA, "; free space there or raise the quota" },
	{ -ERR_TOO_LARGE, "; raise the server's limit on the size of a body to 20 MB at least" },
	{ -ERR_PROTOCOL, "; is the endpoint a WebDAV folder?" },
};

static const char *hint_for(int rc)
{
	for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
		if (hints[i].rc == rc)
			return hints[i].hint;
	return "";
}

static int refused(struct webdav_request *q)
{
	struct buf *body = &q->response.error;
	int rc = from_status(q->response.status);
	char message[256];

	if (rc == -ERR_ABSENT)
		return rc;
	webdav_xml_message(body->data, body->len, message, sizeof message);
	return errmsg_set(q->call->msg, rc, "backend '%s': %s answered %d%s%s%s", q->dav->backend.config->name,
		http_host(q->dav->http), q->response.status, *message ? ": " : "", message, hint_for(rc));
}

static int prepare(struct http_request *http, struct buf *lines)
{
	struct webdav_request *q = container_of(http, struct webdav_request, http);

	if (q->range_len)
		http_range_line(lines, q->range_off, q->range_len);
	for (const char *line = q->lines; line && *line; line += strlen(line) + 1)
		buf_put(lines, line, strlen(line) + 1);
	return lines->err;
}

int webdav_perform(struct webdav_request *q)
{
	struct buf url = BUF_INIT;
	int rc;

	buf_printf(&url, "%s%s%s%s", q->dav->origin, q->path, q->query ? "?" : "", q->query ? q->query : "");
	if ((rc = url.err) < 0)
		return rc;
	q->http.url = (const char *)url.data;
	q->http.backend = &q->dav->backend;
	q->http.prepare = prepare;
	rc = http_perform(q->dav->http, q->call, &q->http, &q->response);
	if (rc == -ERR_REDIRECT)
		errmsg_set(q->call->msg, rc, HTTP_REDIRECT_TEXT, q->dav->backend.config->name, http_host(q->dav->http),
			q->response.status, "a place it does not name");
	if (!rc && q->response.status / 100 != 2)
		rc = refused(q);
	q->call->retry_after_ns = q->response.retry_after_ns;
	buf_free(&url);
	return rc;
}

void webdav_request_free(struct webdav_request *q)
{
	http_response_free(&q->response);
}

char *webdav_path(const struct webdav *d, const char *key)
{
	struct buf path = BUF_INIT;

	buf_str(&path, d->root);
	url_encode(&path, key, 1);
	return buf_steal(&path);
}
