/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/http_range.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

/* "bytes FIRST-LAST/TOTAL", or TOTAL "*" */
struct content_range {
	unsigned long long first, last, total;
	bool has_total;
};

static bool range_parse(const char *v, struct content_range *r)
{
	int n = 0;

	if (!v || sscanf(v, "bytes %llu-%llu/%n", &r->first, &r->last, &n) != 2 || !n)
		return false;
	r->has_total = sscanf(v + n, "%llu", &r->total) == 1;
	return true;
}

void http_range_line(struct buf *lines, uint64_t off, uint64_t len)
{
	buf_printf(lines, "Range: bytes=%" PRIu64 "-%" PRIu64 "%c", off, off + len - 1, 0);
}

int http_range_short(const struct config_backend *config, uint64_t total, uint64_t end, struct errmsg *msg)
{
	return errmsg_set(msg, -ERR_TAMPERED,
		"backend '%s': the object is cut short: it has %" PRIu64 " bytes, and was to be read up to %" PRIu64,
		config->name, total, end);
}

int http_range_check(
	const struct http *h, const struct http_response *r, uint64_t off, uint64_t len, struct errmsg *msg)
{
	bool whole = off == 0 && r->length >= 0 && (uint64_t)r->length == len;
	const char *other = "it sent another range than was asked for";
	uint64_t last = off + len - 1;
	struct content_range got;

	if (r->status == 200 && whole)
		return 0;
	if (r->status != 206)
		return http_misanswered(h, "it answered a ranged request with another part of the object", msg);
	if (!range_parse(r->content_range, &got) || got.first != off)
		return http_misanswered(h, other, msg);
	if (got.last < last && got.has_total && got.total == got.last + 1)
		return http_range_short(http_config(h), got.total, off + len, msg);
	if (got.last != last || (r->length >= 0 && (uint64_t)r->length != len))
		return http_misanswered(h, other, msg);
	return 0;
}
