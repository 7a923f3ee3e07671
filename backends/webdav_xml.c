/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/webdav_xml.h"

#include "backends/url.h"
#include "base/clock.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void webdav_resource_free(struct webdav_resource *r)
{
	free(r->path);
	memset(r, 0, sizeof *r);
}

/* "HTTP/1.1 404 Not Found" */
static int parse_status(const char *value)
{
	int status = 0;

	return sscanf(value, "HTTP/%*s %3d", &status) == 1 && status >= 100 ? status : -ERR_PROTOCOL;
}

/* The path of a URL, or of a path on the same server (RFC 4918, section 8.3), or NULL. Whatever host it names, no other
 * than ours is spoken to. */
static const char *path_of(const char *href)
{
	const char *host = strstr(href, "://");

	if (*href == '/')
		return href;
	return host ? strchr(host + 3, '/') : NULL;
}

static int keep_href(struct webdav_resource *r, const char *value)
{
	const char *path = path_of(value);

	if (!path || r->path)
		return -ERR_PROTOCOL;
	if (!(r->path = strdup(path)))
		return -ENOMEM;
	r->path[strcspn(r->path, "?#")] = 0;
	return url_decode(r->path);
}

static int merge_propstat(struct webdav_multistatus *m)
{
	time_t t = curl_getdate(m->propstat.mtime, NULL);
	int rc = 0;

	if (m->propstat.ok) {
		m->next.collection |= m->propstat.collection;
		if (m->propstat.size[0] && !(rc = xml_size(m->propstat.size, &m->next.size)))
			m->next.has_size = true;
		if (m->propstat.mtime[0] && t > 0 && t < INT64_MAX / NS_PER_S)
			m->next.mtime_ns = (int64_t)t * NS_PER_S;
	}
	memset(&m->propstat, 0, sizeof m->propstat);
	return rc;
}

static int end_response(struct webdav_multistatus *m)
{
	int rc = 0;

	if (!m->next.path)
		rc = -ERR_PROTOCOL;
	else if (m->status / 100 == 2 || !m->status)
		rc = m->resource(m->ctx, &m->next);
	else if (m->status != 404 && m->status != 410)
		rc = -ERR_PROTOCOL;
	webdav_resource_free(&m->next);
	m->status = 0;
	return rc;
}

static int prop_leaf(struct webdav_multistatus *m, const char *name, const char *value)
{
	if (!strcmp(name, "getcontentlength"))
		snprintf(m->propstat.size, sizeof m->propstat.size, "%s", value);
	if (!strcmp(name, "getlastmodified"))
		snprintf(m->propstat.mtime, sizeof m->propstat.mtime, "%s", value);
	return 0;
}

static int response_leaf(struct webdav_multistatus *m, const char *name, const char *value)
{
	if (!strcmp(name, "href"))
		return keep_href(&m->next, value);
	if (!strcmp(name, "propstat"))
		return merge_propstat(m);
	if (!strcmp(name, "status"))
		return (m->status = parse_status(value)) < 0 ? m->status : 0;
	return 0;
}

static int multistatus_leaf(void *ctx, const char *parent, const char *name, const char *value)
{
	struct webdav_multistatus *m = ctx;
	int status;

	if (!strcmp(parent, "multistatus"))
		return strcmp(name, "response") ? 0 : end_response(m);
	if (!strcmp(parent, "response"))
		return response_leaf(m, name, value);
	if (!strcmp(parent, "prop"))
		return prop_leaf(m, name, value);
	if (!strcmp(parent, "resourcetype") && !strcmp(name, "collection"))
		m->propstat.collection = true;
	if (!strcmp(parent, "propstat") && !strcmp(name, "status")) {
		if ((status = parse_status(value)) < 0)
			return status;
		m->propstat.ok = status / 100 == 2;
	}
	return 0;
}

static int multistatus_write(struct sink *s, const void *data, size_t len)
{
	struct webdav_multistatus *m = container_of(s, struct webdav_multistatus, sink);

	return xml_feed(m->xml, data, len);
}

int webdav_multistatus_init(
	struct webdav_multistatus *m, int (*resource)(void *ctx, struct webdav_resource *), void *ctx)
{
	memset(m, 0, sizeof *m);
	m->sink.write = multistatus_write;
	m->resource = resource;
	m->ctx = ctx;
	m->format = (struct xml_format){ .root = "multistatus", .space = "DAV:", .leaf = multistatus_leaf, .ctx = m };
	return xml_new(&m->xml, &m->format);
}

int webdav_multistatus_end(struct webdav_multistatus *m)
{
	return xml_end(m->xml);
}

void webdav_multistatus_free(struct webdav_multistatus *m)
{
	xml_free(m->xml);
	webdav_resource_free(&m->next);
}

struct message {
	char *out;
	size_t len;
};

static int message_leaf(void *ctx, const char *parent, const char *name, const char *value)
{
	struct message *m = ctx;

	if (!strcmp(parent, "error") && !strcmp(name, "message"))
		xml_keep_printable(m->out, m->len, value);
	return 0;
}

void webdav_xml_message(const void *text, size_t len, char *out, size_t out_len)
{
	struct message m = { out, out_len };

	*out = 0;
	if (len && xml_read(&(struct xml_format){ .root = "error", .leaf = message_leaf, .ctx = &m }, text, len) < 0)
		*out = 0;
}

/* splits the URL of a page into its path, decoded, and its query; 1, or an error */
static int split_page(char *url, const char *path, char **query)
{
	char *mark = strchr(url, '?'), *there = (char *)(uintptr_t)path_of(url);

	if (!mark || !there || there > mark)
		return -ERR_PROTOCOL;
	*mark = 0;
	if (url_decode(there) < 0 || strcmp(there, path) != 0)
		return -ERR_PROTOCOL;
	*query = strdup(mark + 1);
	return *query ? 1 : -ENOMEM;
}

/* "<URL>; rel=\"next\"": only the query of the URL is of use, the rest is known */
int webdav_next_page(const char *link, const char *path, char **query)
{
	const char *end = link ? strchr(link, '>') : NULL;
	char *url;
	int rc;

	*query = NULL;
	if (!end || *link != '<' || !(strcasestr(end, "rel=\"next\"") || strcasestr(end, "rel=next")))
		return 0;
	if (!(url = strndup(link + 1, (size_t)(end - link - 1))))
		return -ENOMEM;
	rc = split_page(url, path, query);
	free(url);
	return rc;
}
