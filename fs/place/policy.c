/* SPDX-License-Identifier: GPL-3.0-or-later */
/* I9: what leaves a domestic zone, and whether. */
#include "fs/place/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *policy_name(enum export_policy policy)
{
	static const char *const names[] = {
		[EXPORT_DENY] = "deny", [EXPORT_APPROVE] = "approve", [EXPORT_ALLOW] = "allow"
	};

	return names[policy];
}

static enum export_policy tighter(enum export_policy a, enum export_policy b)
{
	return a < b ? a : b;
}

/* A held file that is in no domestic zone we know (new, or its zone is gone from the configuration) counts as being at
 * home. A file that is home by default only is bound by nothing but the deciding rule's own word. */
static enum export_policy leaving(const struct subject *s, const struct config_zone *in, const struct rule *rule)
{
	int own = rule ? rule_export(rule) : -1;
	enum export_policy policy = EXPORT_ALLOW;

	if (s->flags & INODE_HELD)
		policy = in ? in->export : s->config->home->export;
	else if (!in)
		return EXPORT_ALLOW;
	return own < 0 ? policy : tighter(policy, (enum export_policy)own);
}

static void set_zone(const struct subject *s, struct placement *out, const struct config_zone *zone)
{
	out->zone_id = place_zone_id(s->place, zone);
	out->kind = zone->kind;
}

static int set_rule(struct placement *out, const char *name)
{
	out->rule = name ? strdup(name) : NULL;
	return name && !out->rule ? -ENOMEM : 0;
}

int policy_apply(const struct subject *s, const struct judged *wanted, struct placement *out)
{
	const struct config_zone *in = place_zone(s->place, s->config, s->zone_id);
	enum export_policy policy = EXPORT_ALLOW;

	out->rules_version = rules_version(s->config);
	out->gen = s->gen;
	out->epoch = s->epoch;
	out->next_due_ns = wanted->due_ns;
	out->wanted_zone_id = place_zone_id(s->place, wanted->zone);
	set_zone(s, out, wanted->zone);
	if (in && in->kind == ZONE_FOREIGN)
		in = NULL;
	if (wanted->zone->kind == ZONE_FOREIGN)
		policy = leaving(s, in, wanted->rule);
	if (policy == EXPORT_ALLOW) {
		out->export = wanted->zone->kind == ZONE_FOREIGN && (s->flags & INODE_HELD);
		return set_rule(out, wanted->rule ? rule_name(wanted->rule) : NULL);
	}
	/* it stays where it is, and so does the name of the rule that put it there */
	out->state = policy == EXPORT_APPROVE ? PLACEMENT_AWAITING : PLACEMENT_HELD;
	set_zone(s, out, in ? in : s->config->home);
	return set_rule(out, in ? s->rule : NULL);
}

void placement_free(struct placement *p)
{
	free(p->rule);
	p->rule = NULL;
}
