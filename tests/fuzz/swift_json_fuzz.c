/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzzes the JSON that a Swift or a Keystone may send: whatever comes, no reader crashes, leaks, or accepts a page or a
 * catalogue that breaks what its users rely on. */
#include "backends/swift_json.h"

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
	int rc = swift_json_page(data, size, &p);

	for (size_t i = 0; !rc && i < p.count; i++) {
		must(p.objects[i].key != NULL && *p.objects[i].key);
		must(p.objects[i].size <= INT64_MAX);
		must(p.objects[i].mtime_ns >= 0);
	}
	must(rc || p.truncated == (p.count > 0));
	must(rc || !p.truncated || !strcmp(p.token, p.objects[p.count - 1].key));
	page_free(&p);
}

static void catalogue(const uint8_t *data, size_t size, const char *region)
{
	struct swift_catalogue c = { .region = region, .interface = "public" };
	int rc = swift_json_catalogue(data, size, &c);

	must(rc == 0 || rc == -ERR_PROTOCOL);
	must(c.lifetime_s >= -1);
	must(memchr(c.offered, 0, sizeof c.offered) != NULL);
	for (const char *p = c.offered; *p; p++)
		must(*p >= ' ' && *p <= '~');
	must(!c.url || strstr(c.offered, "public") || strlen(c.offered) + 1 == sizeof c.offered);
	free(c.url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	page(data, size);
	catalogue(data, size, NULL);
	catalogue(data, size, "RegionOne");
	return 0;
}
