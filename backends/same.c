/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/same.h"

#include "backends/http_range.h"

#include <string.h>

#define CHUNK_BYTES (16u << 10)

struct comparison {
	struct sink sink;
	struct source *source;
	uint64_t at;
};

static int compare(struct sink *s, const void *data, size_t len)
{
	struct comparison *c = container_of(s, struct comparison, sink);
	const uint8_t *p = data;
	uint8_t own[CHUNK_BYTES];
	int rc = 0;

	while (!rc && len) {
		size_t n = len < sizeof own ? len : sizeof own;

		rc = c->source->read(c->source, c->at, own, n);
		if (!rc && memcmp(own, p, n) != 0)
			rc = -ERR_EXISTS;
		c->at += n;
		p += n;
		len -= n;
	}
	return rc;
}

int put_same(struct backend *b, struct call *c, const char *key, struct source *source)
{
	struct comparison comparison = { .sink = { compare }, .source = source };
	uint64_t size;
	int rc = b->ops->head(b, c, key, &size);

	if (!rc && size != source->length)
		rc = -ERR_EXISTS;
	if (!rc && size)
		rc = b->ops->get(b, c, key, 0, size, &comparison.sink);
	if (rc == -ERR_EXISTS)
		errmsg_set(c->msg, rc, "backend '%s': the key %s is taken by another object", b->config->name, key);
	return rc;
}

int get_reaches(struct backend *b, struct call *c, const char *key, uint64_t end)
{
	uint64_t size;
	int rc = b->ops->head(b, c, key, &size);

	return rc < 0 ? rc : size < end ? http_range_short(b->config, size, end, c->msg) : 0;
}
