/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/s3_xml.h"

#include "backends/url.h"
#include "backends/xml.h"
#include "base/clock.h"
#include "base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int error_leaf(void *ctx, const char *parent, const char *name, const char *value)
{
	struct s3_error *e = ctx;
	const struct {
		const char *name;
		char *to;
		size_t len;
	} fields[] = {
		{ "Code", e->code, sizeof e->code },
		{ "Message", e->message, sizeof e->message },
		{ "Endpoint", e->endpoint, sizeof e->endpoint },
	};

	for (size_t i = 0; !strcmp(parent, "Error") && i < sizeof fields / sizeof fields[0]; i++)
		if (!strcmp(name, fields[i].name))
			xml_keep_printable(fields[i].to, fields[i].len, value);
	return 0;
}

int s3_xml_error(const void *text, size_t len, struct s3_error *e)
{
	int rc;

	memset(e, 0, sizeof *e);
	rc = xml_read(&(struct xml_format){ .root = "Error", .leaf = error_leaf, .ctx = e }, text, len);
	if (!rc && !e->code[0])
		rc = -ERR_PROTOCOL;
	if (rc < 0)
		memset(e, 0, sizeof *e);
	return rc;
}

/* What of a page is not known before all of it is read. */
struct page_reading {
	struct page *page;
	struct page_object next; /* the <Contents> being read */
	bool has_size, encoded;
};

/* encoding-type=url is that of forms */
static int key_decode(char *key)
{
	for (char *c = key; *c; c++)
		if (*c == '+')
			*c = ' ';
	return url_decode(key);
}

/* "2009-10-12T17:50:30.000Z" */
static int64_t parse_time(const char *s)
{
	struct tm tm = { 0 };
	const char *rest = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t t;

	if (!rest)
		return 0;
	t = timegm(&tm);
	if (t < 0 || t >= INT64_MAX / NS_PER_S)
		return 0;
	return t * NS_PER_S + (*rest == '.' ? (int64_t)(strtod(rest, NULL) * 1e3) * NS_PER_MS : 0);
}

static int object_leaf(struct page_reading *p, const char *name, const char *value)
{
	if (!strcmp(name, "Key"))
		return xml_keep(&p->next.key, value);
	if (!strcmp(name, "Size")) {
		p->has_size = true;
		return xml_size(value, &p->next.size);
	}
	if (!strcmp(name, "LastModified"))
		p->next.mtime_ns = parse_time(value);
	return 0;
}

static int object_end(struct page_reading *p)
{
	struct page_object whole = p->next;

	if (!whole.key || !p->has_size)
		return -ERR_PROTOCOL;
	p->next = (struct page_object){ 0 };
	p->has_size = false;
	return page_add(p->page, &whole);
}

static int page_leaf(void *ctx, const char *parent, const char *name, const char *value)
{
	struct page_reading *p = ctx;

	if (!strcmp(parent, "Contents"))
		return object_leaf(p, name, value);
	if (strcmp(parent, "ListBucketResult"))
		return 0;
	if (!strcmp(name, "Contents"))
		return object_end(p);
	if (!strcmp(name, "NextContinuationToken"))
		return xml_keep(&p->page->token, value);
	if (!strcmp(name, "IsTruncated"))
		p->page->truncated = !strcmp(value, "true");
	if (!strcmp(name, "EncodingType"))
		p->encoded = !strcmp(value, "url");
	return 0;
}

int s3_xml_page(const void *text, size_t len, struct page *page)
{
	struct page_reading p = { .page = page };
	int rc;

	memset(page, 0, sizeof *page);
	rc = xml_read(&(struct xml_format){ .root = "ListBucketResult", .leaf = page_leaf, .ctx = &p }, text, len);
	free(p.next.key);
	for (size_t i = 0; !rc && p.encoded && i < page->count; i++)
		rc = key_decode(page->objects[i].key);
	if (!rc && page->truncated && (!page->token || !*page->token))
		rc = -ERR_PROTOCOL;
	return rc;
}

static int upload_id_leaf(void *ctx, const char *parent, const char *name, const char *value)
{
	if (strcmp(parent, "InitiateMultipartUploadResult") || strcmp(name, "UploadId"))
		return 0;
	return xml_keep(ctx, value);
}

int s3_xml_upload_id(const void *text, size_t len, char **id)
{
	int rc;

	*id = NULL;
	rc = xml_read(
		&(struct xml_format){ .root = "InitiateMultipartUploadResult", .leaf = upload_id_leaf, .ctx = id },
		text, len);
	if (!rc && (!*id || !**id))
		rc = -ERR_PROTOCOL;
	if (rc < 0) {
		free(*id);
		*id = NULL;
	}
	return rc;
}

int s3_xml_completed(const void *text, size_t len)
{
	return xml_read(&(struct xml_format){ .root = "CompleteMultipartUploadResult" }, text, len);
}

static void put_escaped(struct buf *out, const char *s)
{
	for (; *s; s++) {
		switch (*s) {
		case '&':
			buf_str(out, "&amp;");
			break;
		case '<':
			buf_str(out, "&lt;");
			break;
		case '>':
			buf_str(out, "&gt;");
			break;
		case '"':
			buf_str(out, "&quot;");
			break;
		default:
			buf_put(out, s, 1);
		}
	}
}

void s3_xml_part(struct buf *out, unsigned number, const char *etag)
{
	buf_printf(out, "<Part><PartNumber>%u</PartNumber><ETag>", number);
	put_escaped(out, etag);
	buf_str(out, "</ETag></Part>");
}
