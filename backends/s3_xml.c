/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/s3_xml.h"

#include "base/clock.h"
#include "base/err.h"

#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEPTH_MAX	8u
#define NAME_MAX_BYTES	63u
#define VALUE_MAX_BYTES 8192u /* a key of 1,024 bytes, each encoded in three; a token */
#define OBJECTS_MAX	100000u

/* One document being read. leaf is called at the end of each element that the root's children, or theirs, are. */
struct reading {
	XML_Parser parser;
	const char *root; /* the name the root must have */
	int (*leaf)(void *ctx, const char *parent, const char *name, const char *value);
	void *ctx;
	char names[DEPTH_MAX][NAME_MAX_BYTES + 1];
	unsigned depth;
	struct buf value;
	int rc;
};

static void stop(struct reading *r, int rc)
{
	if (!r->rc)
		r->rc = rc;
	XML_StopParser(r->parser, XML_FALSE);
}

static void XMLCALL on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct reading *r = arg;

	(void)attributes;
	if (r->depth >= DEPTH_MAX || strlen(name) > NAME_MAX_BYTES || (!r->depth && strcmp(name, r->root))) {
		stop(r, -ERR_PROTOCOL);
		return;
	}
	strcpy(r->names[r->depth++], name);
	buf_reset(&r->value);
}

static void XMLCALL on_text(void *arg, const XML_Char *text, int len)
{
	struct reading *r = arg;

	if (r->rc)
		return;
	if (r->value.len + (size_t)len > VALUE_MAX_BYTES)
		stop(r, -ERR_PROTOCOL);
	else
		buf_put(&r->value, text, (size_t)len);
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
	struct reading *r = arg;
	const char *value = r->value.data ? (const char *)r->value.data : "";
	int rc = r->value.err;

	if (r->rc)
		return;
	r->depth--;
	if (!rc && r->depth && r->leaf)
		rc = r->leaf(r->ctx, r->names[r->depth - 1], name, value);
	if (rc < 0)
		stop(r, rc);
	buf_reset(&r->value);
}

/* S3 has no document types; whoever sends one wants entities expanded. */
static void XMLCALL on_doctype(
	void *arg, const XML_Char *name, const XML_Char *system, const XML_Char *public, int internal)
{
	(void)name;
	(void)system;
	(void)public;
	(void)internal;
	stop(arg, -ERR_PROTOCOL);
}

static int read_document(const char *root, const void *text, size_t len,
	int (*leaf)(void *ctx, const char *parent, const char *name, const char *value), void *ctx)
{
	struct reading r = { .root = root, .leaf = leaf, .ctx = ctx };

	if (len > S3_XML_BYTES_MAX)
		return -ERR_PROTOCOL;
	if (!(r.parser = XML_ParserCreate("UTF-8")))
		return -ENOMEM;
	XML_SetUserData(r.parser, &r);
	XML_SetElementHandler(r.parser, on_start, on_end);
	XML_SetCharacterDataHandler(r.parser, on_text);
	XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
	if (XML_Parse(r.parser, text, (int)len, 1) != XML_STATUS_OK && !r.rc)
		r.rc = XML_GetErrorCode(r.parser) == XML_ERROR_NO_MEMORY ? -ENOMEM : -ERR_PROTOCOL;
	XML_ParserFree(r.parser);
	buf_free(&r.value);
	return r.rc;
}

/* it will be shown on a terminal */
static void put_printable(char *to, size_t len, const char *value)
{
	snprintf(to, len, "%s", value);
	for (; *to; to++)
		if ((unsigned char)*to < ' ' || (unsigned char)*to >= 127)
			*to = '?';
}

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
			put_printable(fields[i].to, fields[i].len, value);
	return 0;
}

int s3_xml_error(const void *text, size_t len, struct s3_error *e)
{
	int rc;

	memset(e, 0, sizeof *e);
	rc = read_document("Error", text, len, error_leaf, e);
	if (!rc && !e->code[0])
		rc = -ERR_PROTOCOL;
	if (rc < 0)
		memset(e, 0, sizeof *e);
	return rc;
}

/* What of a page is not known before all of it is read. */
struct page_reading {
	struct s3_page *page;
	struct s3_object next; /* the <Contents> being read */
	bool has_size, encoded;
	size_t cap;
};

static int from_hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* in place; a NUL cannot be part of a key of ours */
static int url_decode(char *s)
{
	char *to = s;

	for (; *s; s++, to++) {
		int high, low;

		*to = *s == '+' ? ' ' : *s;
		if (*s != '%')
			continue;
		if ((high = from_hex(s[1])) < 0 || (low = from_hex(s[2])) < 0 || !(high | low))
			return -ERR_PROTOCOL;
		*to = (char)(high << 4 | low);
		s += 2;
	}
	*to = 0;
	return 0;
}

/* digits only, and no more than fit */
static int parse_size(const char *s, uint64_t *out)
{
	char *end;

	if (!*s || strspn(s, "0123456789") != strlen(s))
		return -ERR_PROTOCOL;
	errno = 0;
	*out = strtoull(s, &end, 10);
	return errno || *out > INT64_MAX ? -ERR_PROTOCOL : 0;
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

static int keep_string(char **to, const char *value)
{
	free(*to);
	return (*to = strdup(value)) ? 0 : -ENOMEM;
}

static int object_leaf(struct page_reading *p, const char *name, const char *value)
{
	if (!strcmp(name, "Key"))
		return keep_string(&p->next.key, value);
	if (!strcmp(name, "Size")) {
		p->has_size = true;
		return parse_size(value, &p->next.size);
	}
	if (!strcmp(name, "LastModified"))
		p->next.mtime_ns = parse_time(value);
	return 0;
}

static int object_end(struct page_reading *p)
{
	struct s3_page *page = p->page;

	if (!p->next.key || !p->has_size || page->count >= OBJECTS_MAX)
		return -ERR_PROTOCOL;
	if (page->count == p->cap) {
		size_t cap = p->cap ? 2 * p->cap : 64;
		struct s3_object *more = realloc(page->objects, cap * sizeof *more);

		if (!more)
			return -ENOMEM;
		page->objects = more;
		p->cap = cap;
	}
	page->objects[page->count++] = p->next;
	p->next = (struct s3_object){ 0 };
	p->has_size = false;
	return 0;
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
		return keep_string(&p->page->token, value);
	if (!strcmp(name, "IsTruncated"))
		p->page->truncated = !strcmp(value, "true");
	if (!strcmp(name, "EncodingType"))
		p->encoded = !strcmp(value, "url");
	return 0;
}

int s3_xml_page(const void *text, size_t len, struct s3_page *page)
{
	struct page_reading p = { .page = page };
	int rc;

	memset(page, 0, sizeof *page);
	rc = read_document("ListBucketResult", text, len, page_leaf, &p);
	free(p.next.key);
	for (size_t i = 0; !rc && p.encoded && i < page->count; i++)
		rc = url_decode(page->objects[i].key);
	if (!rc && page->truncated && (!page->token || !*page->token))
		rc = -ERR_PROTOCOL;
	return rc;
}

void s3_page_free(struct s3_page *page)
{
	for (size_t i = 0; i < page->count; i++)
		free(page->objects[i].key);
	free(page->objects);
	free(page->token);
	memset(page, 0, sizeof *page);
}

static int upload_id_leaf(void *ctx, const char *parent, const char *name, const char *value)
{
	if (strcmp(parent, "InitiateMultipartUploadResult") || strcmp(name, "UploadId"))
		return 0;
	return keep_string(ctx, value);
}

int s3_xml_upload_id(const void *text, size_t len, char **id)
{
	int rc;

	*id = NULL;
	rc = read_document("InitiateMultipartUploadResult", text, len, upload_id_leaf, id);
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
	return read_document("CompleteMultipartUploadResult", text, len, NULL, NULL);
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
