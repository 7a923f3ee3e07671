/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/place/policy.h"

#include <string.h>

const char *policy_name(enum export_policy policy)
{
	static const char *const names[] = {
		[EXPORT_DENY] = "deny", [EXPORT_APPROVE] = "approve", [EXPORT_ALLOW] = "allow"
	};

	return names[policy];
}

const struct config_zone *policy_approving(const struct config_zone *zone, const struct config_zone *home)
{
	return zone->approvers && zone->approvers[0] ? zone : home;
}

static bool domestic(const struct config_zone *zone)
{
	return zone && zone->kind == ZONE_DOMESTIC;
}

/* It is where the request let it go. */
static bool abroad_by_request(const struct policy_facts *f)
{
	return f->asked && f->asked->id && f->asked->left && f->in && f->in == f->asked_to;
}

/* A file that is in no domestic zone we know (new, or its zone is gone from the configuration) counts as being at
 * home. */
static const struct config_zone *stays_in(const struct policy_facts *f)
{
	if (domestic(f->in))
		return f->in;
	return abroad_by_request(f) && domestic(f->asked_from) ? f->asked_from : f->home;
}

/* *by_rule: the rule's own is what binds it. */
static enum export_policy leaving(const struct policy_facts *f, const struct config_zone *from, bool *by_rule)
{
	enum export_policy policy = f->held ? from->export : EXPORT_ALLOW;

	*by_rule = false;
	if (!f->held && f->in && f->in->kind == ZONE_FOREIGN && !abroad_by_request(f))
		return EXPORT_ALLOW;
	if (f->rule_export < 0 || f->rule_export >= (int)policy)
		return policy;
	*by_rule = true;
	return (enum export_policy)f->rule_export;
}

static bool same_name(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* What was kept with the file speaks of this content, and of the way that it is to go. */
static bool is_of_this(const struct policy_facts *f)
{
	return f->asked && f->asked->version == f->version && f->asked_to == f->wanted &&
	       same_name(f->asked->rule, f->rule);
}

static void keep(struct policy_verdict *out, enum placement_state state, enum policy_reason reason)
{
	out->zone = out->stays;
	out->state = state;
	out->reason = reason;
}

static void decide_request(const struct policy_facts *f, struct policy_verdict *out)
{
	bool asked = is_of_this(f) && f->asked->id && f->asked_from == out->stays;

	if (asked && f->asked->denied) {
		keep(out, PLACEMENT_HELD, POLICY_DENIED);
		return;
	}
	out->approved = asked && f->asked->votes >= policy_approving(out->stays, f->home)->approvals &&
			f->now_ns < f->asked->expires_ns;
	if (out->approved) {
		out->due_ns = f->asked->expires_ns;
		return;
	}
	keep(out, PLACEMENT_AWAITING, POLICY_AWAITING);
	out->ask = !asked || f->now_ns >= f->asked->expires_ns;
}

/* What was abroad before its rule began to count has left uncounted; its next content has not. */
static void decide_count(const struct policy_facts *f, struct policy_verdict *out)
{
	bool abroad = f->in && f->in->kind == ZONE_FOREIGN;
	bool left = is_of_this(f) && f->asked->left;
	struct export_count with = { f->left.files + 1, f->left.bytes + f->size };

	out->note = !left && (f->counts || out->approved);
	out->counted = f->counts && !left && (!abroad || f->asked);
	if (!out->counted || !rule_limit_over(&f->stop, with.files, with.bytes))
		return;
	keep(out, PLACEMENT_HELD, POLICY_STOPPED);
	out->note = out->counted = out->approved = false;
	out->due_ns = f->month_end_ns;
}

void policy_decide(const struct policy_facts *f, struct policy_verdict *out)
{
	bool abroad = f->in && f->in->kind == ZONE_FOREIGN;
	enum export_policy policy;

	*out = (struct policy_verdict){ .zone = f->wanted, .stays = stays_in(f), .due_ns = INT64_MAX };
	if (f->wanted->kind == ZONE_DOMESTIC)
		return;
	policy = leaving(f, out->stays, &out->by_rule);
	if (policy == EXPORT_DENY)
		keep(out, PLACEMENT_HELD, POLICY_DENY);
	else if (policy == EXPORT_APPROVE)
		decide_request(f, out);
	if (out->state != PLACEMENT_FREE)
		return;
	decide_count(f, out);
	if (out->state != PLACEMENT_FREE)
		return;
	out->unmark = f->held && policy == EXPORT_ALLOW;
	out->export = !abroad && (f->held || out->approved);
}
