/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What may leave under one rule in a month: "1000 files, 10G". */
#include "base/text.h"
#include "config/rules_impl.h"
#include "config/strv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "1000 files", "1 file" or a size. Each at most once, and not nothing: `export = deny` says that. */
static bool parse_item(const char *item, struct rule_limit *out)
{
	size_t len = strcspn(item, " \t");
	const char *unit = item + len + strspn(item + len, " \t");
	bool files = strcmp(unit, "files") == 0 || strcmp(unit, "file") == 0;
	uint64_t *to = files ? &out->files : &out->bytes;
	char number[32];

	if (*to || len >= sizeof number || (*unit && !files))
		return false;
	snprintf(number, sizeof number, "%.*s", (int)len, item);
	return text_parse_size(number, to) == 0 && *to;
}

bool rule_limit_parse(const char *text, struct rule_limit *out)
{
	char **items = NULL;
	bool ok = strv_split(text, false, &items) == 0;

	*out = (struct rule_limit){ 0 };
	for (size_t i = 0; ok && items[i]; i++)
		ok = parse_item(items[i], out);
	strv_free(items);
	return ok;
}

bool rule_limit_any(const struct rule_limit *l)
{
	return l->files || l->bytes;
}

bool rule_limit_over(const struct rule_limit *l, uint64_t files, uint64_t bytes)
{
	return (l->files && files > l->files) || (l->bytes && bytes > l->bytes);
}

bool rule_limit_reached(const struct rule_limit *l, uint64_t files, uint64_t bytes)
{
	return (l->files && files >= l->files) || (l->bytes && bytes >= l->bytes);
}
