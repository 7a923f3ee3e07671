/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The lists of a bucket's versions and of its unfinished uploads: the same form under other names. */
#include "backends/remnants.h"
#include "backends/s3_xml.h"
#include "backends/url.h"
#include "backends/xml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What of a list is called how; a NULL name occurs in no document. */
struct form {
	const char *root;
	struct {
		const char *element;
		enum remnant_kind kind;
	} entries[2];
	const char *id, *next_key, *next_mark;
};

static const struct form versions_form = { "ListVersionsResult",
	{ { "Version", REMNANT_VERSION }, { "DeleteMarker", REMNANT_MARKER } }, "VersionId", "NextKeyMarker",
	"NextVersionIdMarker" };
static const struct form uploads_form = { "ListMultipartUploadsResult",
	{ { "Upload", REMNANT_UPLOAD }, { "", REMNANT_UPLOAD } }, "UploadId", "NextKeyMarker", "NextUploadIdMarker" };

struct reading {
	const struct form *form;
	struct backend_remnants *page;
	struct backend_remnant next; /* the entry being read */
	bool encoded;
};

static bool is_entry(const struct form *form, const char *element, enum remnant_kind *kind)
{
	for (size_t i = 0; i < 2; i++)
		if (!strcmp(element, form->entries[i].element)) {
			*kind = form->entries[i].kind;
			return true;
		}
	return false;
}

static int entry_end(struct reading *r, enum remnant_kind kind)
{
	struct backend_remnant whole = r->next;

	if (!whole.key)
		return -ERR_PROTOCOL;
	whole.kind = kind;
	if (!whole.id && !(whole.id = strdup("")))
		return -ENOMEM;
	r->next = (struct backend_remnant){ 0 };
	return remnants_add(r->page, &whole);
}

static int leaf(void *ctx, const char *parent, const char *name, const char *value)
{
	struct reading *r = ctx;
	enum remnant_kind kind;

	if (is_entry(r->form, parent, &kind)) {
		if (!strcmp(name, "Key"))
			return xml_keep(&r->next.key, value);
		return strcmp(name, r->form->id) ? 0 : xml_keep(&r->next.id, value);
	}
	if (strcmp(parent, r->form->root))
		return 0;
	if (is_entry(r->form, name, &kind))
		return entry_end(r, kind);
	if (!strcmp(name, r->form->next_key))
		return xml_keep(&r->page->key, value);
	if (!strcmp(name, r->form->next_mark))
		return xml_keep(&r->page->mark, value);
	if (!strcmp(name, "IsTruncated"))
		r->page->more = !strcmp(value, "true");
	if (!strcmp(name, "EncodingType"))
		r->encoded = !strcmp(value, "url");
	return 0;
}

/* encoding-type=url is that of forms */
static int key_decode(char *key)
{
	for (char *c = key; *c; c++)
		if (*c == '+')
			*c = ' ';
	return url_decode(key);
}

static int read_list(const struct form *form, const void *text, size_t len, struct backend_remnants *page)
{
	struct reading r = { .form = form, .page = page };
	int rc;

	free(page->key);
	free(page->mark);
	page->key = page->mark = NULL;
	page->more = false;
	rc = xml_read(&(struct xml_format){ .root = form->root, .leaf = leaf, .ctx = &r }, text, len);
	free(r.next.key);
	free(r.next.id);
	for (size_t i = 0; !rc && r.encoded && i < page->count; i++)
		rc = key_decode(page->v[i].key);
	if (!rc && r.encoded && page->key)
		rc = key_decode(page->key);
	if (!rc && page->more && (!page->key || !*page->key))
		rc = -ERR_PROTOCOL;
	return rc;
}

int s3_xml_versions(const void *text, size_t len, struct backend_remnants *page)
{
	return read_list(&versions_form, text, len, page);
}

int s3_xml_uploads(const void *text, size_t len, struct backend_remnants *page)
{
	return read_list(&uploads_form, text, len, page);
}
