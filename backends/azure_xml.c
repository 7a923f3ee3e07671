/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/azure_xml.h"

#include "backends/xml.h"
#include "base/clock.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

/* What is known of the <Blob> being read. */
struct blob {
	struct page_object object;
	bool has_size;
	struct azure_remnant remnant;
};

struct reading {
	struct blob next;
	int (*blob)(struct reading *);
	char *marker; /* of the next page, or NULL */
	/* of a page; of remnants */
	struct page *page;
	const char *name;
	int (*fn)(void *ctx, const struct azure_remnant *);
	void *ctx;
};

static int blob_leaf(struct blob *b, const char *name, const char *value)
{
	if (!strcmp(name, "Name"))
		return xml_keep(&b->object.key, value);
	if (!strcmp(name, "VersionId"))
		xml_keep_printable(b->remnant.version, sizeof b->remnant.version, value);
	if (!strcmp(name, "Snapshot"))
		xml_keep_printable(b->remnant.snapshot, sizeof b->remnant.snapshot, value);
	if (!strcmp(name, "Deleted"))
		b->remnant.deleted = !strcmp(value, "true");
	return 0;
}

static int property_leaf(struct blob *b, const char *name, const char *value)
{
	time_t t;

	if (!strcmp(name, "Content-Length")) {
		b->has_size = true;
		return xml_size(value, &b->object.size);
	}
	if (!strcmp(name, "Last-Modified") && (t = curl_getdate(value, NULL)) > 0 && t < INT64_MAX / NS_PER_S)
		b->object.mtime_ns = (int64_t)t * NS_PER_S;
	return 0;
}

static int end_blob(struct reading *r)
{
	int rc = r->next.object.key ? r->blob(r) : -ERR_PROTOCOL;

	free(r->next.object.key);
	memset(&r->next, 0, sizeof r->next);
	return rc;
}

static int results_leaf(void *ctx, const char *parent, const char *name, const char *value)
{
	struct reading *r = ctx;

	if (!strcmp(parent, "Blob"))
		return blob_leaf(&r->next, name, value);
	if (!strcmp(parent, "Properties"))
		return property_leaf(&r->next, name, value);
	if (!strcmp(parent, "Blobs") && !strcmp(name, "Blob"))
		return end_blob(r);
	if (!strcmp(parent, "EnumerationResults") && !strcmp(name, "NextMarker") && *value)
		return xml_keep(&r->marker, value);
	return 0;
}

static int read_results(struct reading *r, const void *text, size_t len)
{
	const struct xml_format format = { .root = "EnumerationResults", .leaf = results_leaf, .ctx = r };
	int rc = xml_read(&format, text, len);

	free(r->next.object.key);
	return rc;
}

static int add_object(struct reading *r)
{
	struct page_object whole = r->next.object;

	if (!r->next.has_size)
		return -ERR_PROTOCOL;
	r->next.object.key = NULL;
	return page_add(r->page, &whole);
}

int azure_xml_page(const void *text, size_t len, struct page *page)
{
	struct reading r = { .blob = add_object, .page = page };
	int rc;

	memset(page, 0, sizeof *page);
	rc = read_results(&r, text, len);
	page->token = r.marker;
	page->truncated = r.marker != NULL;
	return rc;
}

static int see_remnant(struct reading *r)
{
	return strcmp(r->next.object.key, r->name) ? 0 : r->fn(r->ctx, &r->next.remnant);
}

int azure_xml_remnants(const void *text, size_t len, const char *name,
	int (*fn)(void *ctx, const struct azure_remnant *), void *ctx, bool *more)
{
	struct reading r = { .blob = see_remnant, .name = name, .fn = fn, .ctx = ctx };
	int rc = read_results(&r, text, len);

	*more = r.marker != NULL;
	free(r.marker);
	return rc;
}

struct message {
	char *out;
	size_t len;
};

static int message_leaf(void *ctx, const char *parent, const char *name, const char *value)
{
	struct message *m = ctx;

	if (!strcmp(parent, "Error") && !strcmp(name, "Message"))
		xml_keep_printable(m->out, m->len, value);
	return 0;
}

void azure_xml_message(const void *text, size_t len, char *out, size_t out_len)
{
	struct message m = { out, out_len };

	*out = 0;
	if (len && xml_read(&(struct xml_format){ .root = "Error", .leaf = message_leaf, .ctx = &m }, text, len) < 0)
		*out = 0;
}
