/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzzes every document that an S3 server may send: whatever comes, no reader crashes, leaks, or accepts a page that
 * breaks what its users rely on. */
#include "backends/s3_xml.h"
#include "base/err.h"

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
	int rc = s3_xml_page(data, size, &p);

	for (size_t i = 0; !rc && i < p.count; i++) {
		must(p.objects[i].key != NULL);
		must(strlen(p.objects[i].key) <= 8192);
		must(p.objects[i].size <= INT64_MAX);
	}
	must(rc || !p.truncated || (p.token && *p.token));
	page_free(&p);
}

static void error(const uint8_t *data, size_t size)
{
	struct s3_error e;
	int rc = s3_xml_error(data, size, &e);

	must(!rc == !!e.code[0]);
	for (const char *c = e.message; *c; c++)
		must((unsigned char)*c >= ' ' && (unsigned char)*c < 127);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *id;

	page(data, size);
	error(data, size);
	if (!s3_xml_upload_id(data, size, &id))
		must(*id != 0);
	free(id);
	s3_xml_completed(data, size);
	return 0;
}
