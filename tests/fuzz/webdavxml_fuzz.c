/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzzes the documents and headers that a WebDAV server may send, in pieces as they may come: whatever comes, no reader
 * crashes, leaks, or gives a resource that breaks what its users rely on. */
#include "backends/webdav_xml.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int held)
{
	if (!held)
		abort();
}

static int resource(void *ctx, struct webdav_resource *r)
{
	(void)ctx;
	must(r->path && *r->path == '/');
	must(strlen(r->path) <= 8192);
	must(r->size <= INT64_MAX && (r->has_size || !r->size));
	must(r->mtime_ns >= 0);
	return 0;
}

/* the same outcome whether it comes whole or in two */
static int multistatus(const uint8_t *data, size_t size, size_t cut)
{
	struct webdav_multistatus m;
	int rc = webdav_multistatus_init(&m, resource, NULL);

	if (!rc)
		rc = m.sink.write(&m.sink, data, cut);
	if (!rc)
		rc = m.sink.write(&m.sink, data + cut, size - cut);
	if (!rc)
		rc = webdav_multistatus_end(&m);
	webdav_multistatus_free(&m);
	return rc;
}

static void next_page(const uint8_t *data, size_t size)
{
	char *link = strndup((const char *)data, size), *query;
	int rc = webdav_next_page(link, "/p/", &query);

	must((rc == 1) == (query != NULL));
	must(rc == 1 || rc == 0 || rc == -ERR_PROTOCOL);
	free(query);
	free(link);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char message[64];
	size_t cut = size ? data[0] % size : 0;

	must(!multistatus(data, size, cut) == !multistatus(data, size, size));
	webdav_xml_message(data, size, message, sizeof message);
	for (const char *c = message; *c; c++)
		must((unsigned char)*c >= ' ' && (unsigned char)*c < 127);
	next_page(data, size);
	return 0;
}
