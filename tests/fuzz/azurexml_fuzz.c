/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzzes the documents that an Azure Blob server may send: whatever comes, no reader crashes, leaks, or accepts a page
 * that breaks what its users rely on. */
#include "backends/azure_xml.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int held)
{
	if (!held)
		abort();
}

static void page(const uint8_t *data, size_t size)
{
	struct page p = { 0 };
	int rc = azure_xml_page(data, size, &p);

	for (size_t i = 0; !rc && i < p.count; i++) {
		must(p.objects[i].key != NULL);
		must(strlen(p.objects[i].key) <= 8192);
		must(p.objects[i].size <= INT64_MAX);
		must(p.objects[i].mtime_ns >= 0);
	}
	must(p.truncated == (p.token && *p.token));
	page_free(&p);
}

static int remnant(void *ctx, const struct azure_remnant *r)
{
	(void)ctx;
	for (const char *c = r->version; *c; c++)
		must((unsigned char)*c >= ' ' && (unsigned char)*c < 127);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char message[64];
	bool more;

	page(data, size);
	azure_xml_remnants(data, size, "p/k", remnant, NULL, &more);
	azure_xml_message(data, size, message, sizeof message);
	for (const char *c = message; *c; c++)
		must((unsigned char)*c >= ' ' && (unsigned char)*c < 127);
	return 0;
}
