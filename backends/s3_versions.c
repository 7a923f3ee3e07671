/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a bucket keeps beside its objects: older versions, marks of deletions, uploads that were begun. A deletion
 * counts only when nothing of the object is kept. */
#include "backends/remnants.h"
#include "backends/s3_request.h"
#include "backends/s3_xml.h"
#include "backends/url.h"
#include "backends/xml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_KEYS    1000u
#define PURGE_ROUNDS 1000u /* pages of versions of one object that do not get fewer */

static struct s3_request request(struct backend *b, struct call *c, const char *method, const char *key)
{
	return (struct s3_request){
		.http = { .method = method }, .s3 = container_of(b, struct s3, backend), .call = c, .key = key
	};
}

/* Parameters in the order of their names, as they are signed. */
static void add(struct buf *query, const char *name, const char *value)
{
	if (!value)
		return;
	buf_printf(query, "%s%s=", query->len ? "&" : "", name);
	url_encode(query, value, 0);
}

static int page_query(const struct backend_remnants *page, const char *prefix, struct buf *query)
{
	char max[16];

	snprintf(max, sizeof max, "%u", PAGE_KEYS);
	add(query, "encoding-type", "url");
	add(query, "key-marker", page->key);
	add(query, page->uploads ? "max-uploads" : "max-keys", max);
	add(query, "prefix", prefix);
	if (page->uploads) {
		add(query, "upload-id-marker", page->mark);
		add(query, "uploads", "");
	} else {
		add(query, "version-id-marker", page->mark);
		add(query, "versions", "");
	}
	return query->err;
}

/* A server that knows nothing of what is asked for has none of it. */
static bool unknown_there(const struct s3_request *q, int rc)
{
	return rc < 0 && (q->response.status == 501 || q->response.status == 405);
}

static int get_list(struct backend *b, struct call *c, const char *prefix, struct backend_remnants *page)
{
	struct s3_request q = request(b, c, "GET", NULL);
	struct buf query = BUF_INIT;
	struct sink_buf body;
	int rc = page_query(page, prefix, &query);

	q.query = (const char *)query.data;
	q.http.sink = sink_buf(&body);
	q.http.sink_max = XML_BYTES_MAX;
	if (!rc)
		rc = s3_perform(&q);
	if (!rc && page->uploads)
		rc = s3_xml_uploads(body.buf.data, body.buf.len, page);
	else if (!rc)
		rc = s3_xml_versions(body.buf.data, body.buf.len, page);
	else if (page->uploads && unknown_there(&q, rc))
		rc = page->more = 0;
	if (rc == -ERR_PROTOCOL)
		s3_misanswered(&q, "its list of versions or of uploads cannot be understood");
	s3_request_free(&q);
	buf_free(&body.buf);
	buf_free(&query);
	return rc;
}

/* Keys without the prefix; any other is of no list that was asked for. */
static int strip(struct backend *b, struct call *c, struct backend_remnants *page)
{
	size_t skip = strlen(b->config->prefix);

	for (size_t i = 0; i < page->count; i++) {
		char *key = page->v[i].key;

		if (strncmp(key, b->config->prefix, skip) != 0)
			return errmsg_set(c->msg, -ERR_PROTOCOL,
				"backend '%s': its list of versions is not of what was asked for", b->config->name);
		memmove(key, key + skip, strlen(key + skip) + 1);
	}
	return 0;
}

int s3_remnants(struct backend *b, struct call *c, struct backend_remnants *page)
{
	bool uploads = page->uploads;
	int rc;

	remnants_clear(page);
	rc = get_list(b, c, b->config->prefix, page);
	if (!rc)
		rc = strip(b, c, page);
	if (rc || uploads || page->more)
		return rc;
	free(page->key);
	free(page->mark);
	page->key = page->mark = NULL;
	page->uploads = page->more = true;
	return 0;
}

int s3_erase(struct backend *b, struct call *c, const struct backend_remnant *r)
{
	struct s3_request q = request(b, c, "DELETE", r->key);
	struct buf query = BUF_INIT;
	int rc;

	if (r->id && *r->id)
		add(&query, r->kind == REMNANT_UPLOAD ? "uploadId" : "versionId", r->id);
	if (!(rc = query.err)) {
		q.query = (const char *)query.data;
		rc = s3_perform(&q);
	}
	s3_request_free(&q);
	buf_free(&query);
	return rc == -ERR_ABSENT ? 0 : rc;
}

/* One page of what begins with the key: *found how many of it were there. */
static int purge_page(struct backend *b, struct call *c, const char *name, size_t *found)
{
	struct backend_remnants page = { 0 };
	int rc = get_list(b, c, name, &page);

	*found = 0;
	if (!rc)
		rc = strip(b, c, &page);
	for (size_t i = 0; !rc && i < page.count; i++) {
		if (strcmp(page.v[i].key, name + strlen(b->config->prefix)) != 0)
			continue;
		(*found)++;
		rc = s3_erase(b, c, &page.v[i]);
	}
	remnants_free(&page);
	return rc;
}

int s3_purge(struct backend *b, struct call *c, const char *key)
{
	struct buf name = BUF_INIT;
	unsigned rounds = 0;
	size_t found = 1;
	int rc;

	buf_printf(&name, "%s%s", b->config->prefix, key);
	rc = name.err;
	while (!rc && found && rounds++ < PURGE_ROUNDS)
		rc = purge_page(b, c, (const char *)name.data, &found);
	if (!rc && found)
		rc = errmsg_set(c->msg, -ERR_SERVER,
			"backend '%s': the bucket %s keeps versions of what is deleted; object lock or a retention "
			"rule may hold them",
			b->config->name, b->config->bucket);
	buf_free(&name);
	return rc;
}
