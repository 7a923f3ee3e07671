/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/config.h"
#include "config/rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = { [ZONE_DOMESTIC] = "domestic", [ZONE_FOREIGN] = "foreign" };
static const char *const export_names[] = {
	[EXPORT_DENY] = "deny", [EXPORT_APPROVE] = "approve", [EXPORT_ALLOW] = "allow"
};

/* Whose storage it is: the login service's answer depends on that. An application credential is replaced now and then,
 * within its project. */
static void put_account(const struct config_backend *b, struct buf *out)
{
	const char *region = b->region ? b->region : "-";

	if (b->auth_version == SWIFT_AUTH_1)
		buf_printf(out, " %.*s", b->user ? (int)strcspn(b->user, ":") : 0, b->user ? b->user : "");
	else if (b->application_credential)
		buf_printf(out, " - %s", region);
	else
		buf_printf(out, " %s/%s %s", b->domain, b->project, region);
	if (b->storage_url)
		buf_printf(out, " %s", b->storage_url);
}

char *config_backend_place(const struct config_backend *b)
{
	bool folder = strcmp(b->type, "webdav") == 0;
	struct buf out = BUF_INIT;

	/* of some services the URL is the same for all their users */
	buf_printf(&out, "%s %s%s", b->type, folder ? b->user : "", folder ? " " : "");
	if (b->path) {
		buf_str(&out, b->path);
		return buf_steal(&out);
	}
	buf_str(&out, b->endpoint);
	if (strcmp(b->type, "swift") == 0)
		put_account(b, &out);
	if (b->bucket)
		buf_printf(&out, " %s ", b->bucket);
	if (b->directory)
		buf_printf(&out, " %s", b->directory);
	else
		buf_printf(&out, "/%s", b->prefix);
	return buf_steal(&out);
}

char *config_backend_identity(const struct config_backend *b)
{
	char *place = config_backend_place(b), *out = NULL;

	if (place && asprintf(&out, "%s %s", place, b->zone ? b->zone->name : "") < 0)
		out = NULL;
	free(place);
	return out;
}

static void put_zone(struct buf *out, const struct config_zone *z)
{
	buf_printf(out, "zone %s %s", z->name, kind_names[z->kind]);
	if (z->kind == ZONE_DOMESTIC)
		buf_printf(out, " export=%s", export_names[z->export]);
	/* a rule may ask for them where the zone does not */
	if (z->kind == ZONE_DOMESTIC && z->approvers && z->approvers[0]) {
		buf_printf(out, " approvals=%u approvers=", z->approvals);
		for (size_t i = 0; z->approvers[i]; i++)
			buf_printf(out, "%s%s", i ? "," : "", z->approvers[i]);
	}
	buf_str(out, "\n");
}

static int zone_cmp(const void *a, const void *b)
{
	return strcmp((*(struct config_zone *const *)a)->name, (*(struct config_zone *const *)b)->name);
}

static int rule_cmp(const void *a, const void *b)
{
	return strcmp(rule_name(*(const struct rule *const *)a), rule_name(*(const struct rule *const *)b));
}

/* sorted by name: an order that changes nothing must not look like a change of the policy */
static void put_zones(const struct config *c, struct buf *out)
{
	struct config_zone **sorted = malloc((c->zone_count + 1) * sizeof *sorted);

	if (!sorted) {
		out->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < c->zone_count; i++)
		sorted[i] = c->zones[i];
	qsort(sorted, c->zone_count, sizeof *sorted, zone_cmp);
	for (size_t i = 0; i < c->zone_count; i++)
		put_zone(out, sorted[i]);
	free(sorted);
}

static void put_rule(struct buf *out, const struct rule *r)
{
	const struct rule_limit *stop = rule_stop_after(r);

	buf_printf(out, "rule %s zone=%s", rule_name(r), rule_zone(r)->name);
	if (rule_export(r) >= 0)
		buf_printf(out, " export=%s", export_names[rule_export(r)]);
	if (stop->files)
		buf_printf(out, " stop-files=%llu", (unsigned long long)stop->files);
	if (stop->bytes)
		buf_printf(out, " stop-bytes=%llu", (unsigned long long)stop->bytes);
	buf_str(out, "\n");
}

static void put_rules(const struct config *c, struct buf *out)
{
	const struct rule **sorted = malloc((rules_count(c) + 1) * sizeof *sorted);
	size_t n = 0;

	if (!sorted) {
		out->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < rules_count(c); i++)
		if (rule_export(rules_at(c, i)) >= 0 || rule_limit_any(rule_stop_after(rules_at(c, i))))
			sorted[n++] = rules_at(c, i);
	qsort(sorted, n, sizeof *sorted, rule_cmp);
	for (size_t i = 0; i < n; i++)
		put_rule(out, sorted[i]);
	free(sorted);
}

void config_baseline(const struct config *c, struct buf *out)
{
	buf_printf(out, "home %s\n", c->home->name);
	put_zones(c, out);
	put_rules(c, out);
}
