/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The facts for the export policy, what it says as a placement, and as a sentence. */
#include "fs/place/internal.h"

#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void facts_take(const struct subject *s, const struct judged *wanted, struct policy_facts *out)
{
	const struct rule *rule = wanted->rule;
	bool asked = s->asked.id || s->asked.left;

	*out = (struct policy_facts){ .home = s->config->home,
		.in = place_zone(s->place, s->config, s->zone_id),
		.wanted = wanted->zone,
		.rule = rule ? rule_name(rule) : NULL,
		.rule_export = rule ? rule_export(rule) : -1,
		.held = s->flags & INODE_HELD,
		.version = s->version,
		.size = s->size,
		.now_ns = s->now_ns,
		.month_end_ns = month_ends_ns(s->now_ns),
		.asked = asked ? &s->asked : NULL };
	if (asked) {
		out->asked_from = place_zone(s->place, s->config, s->asked.from_zone_id);
		out->asked_to = place_zone(s->place, s->config, s->asked.to_zone_id);
	}
	out->counts = rule && (rule_limit_any(rule_warn_after(rule)) || rule_limit_any(rule_stop_after(rule)));
	if (!out->counts)
		return;
	out->stop = *rule_stop_after(rule);
	meta_lock(s->place->meta);
	out->left = counts_left(s->place, out->rule);
	meta_unlock(s->place->meta);
}

static int set_name(char **to, const char *name)
{
	*to = name ? strdup(name) : NULL;
	return name && !*to ? -ENOMEM : 0;
}

int policy_apply(const struct subject *s, const struct judged *wanted, struct placement *out)
{
	struct policy_verdict v;
	struct policy_facts f;
	const char *rule;
	int rc;

	facts_take(s, wanted, &f);
	policy_decide(&f, &v);
	out->zone_id = place_zone_id(s->place, v.zone);
	out->kind = v.zone->kind;
	out->state = v.state;
	out->reason = v.reason;
	out->wanted_zone_id = place_zone_id(s->place, wanted->zone);
	out->stays_zone_id = place_zone_id(s->place, v.stays);
	out->export = v.export;
	out->unmark = v.unmark;
	out->by_rule = v.by_rule;
	out->approved = v.approved;
	out->ask = v.ask;
	out->note = v.note;
	out->counted = v.counted;
	out->needed = policy_approving(v.stays, f.home)->approvals;
	out->asked = s->asked;
	out->asked.rule = NULL;
	out->version = s->version;
	out->size = s->size;
	out->rules_version = rules_version(s->config);
	out->gen = s->gen;
	out->epoch = s->epoch;
	out->next_due_ns = v.due_ns < wanted->due_ns ? v.due_ns : wanted->due_ns;
	/* where it stays where it is, so does the name of the rule that put it there */
	rule = v.state == PLACEMENT_FREE ? f.rule : v.stays == f.in ? s->rule : NULL;
	if ((rc = set_name(&out->rule, rule)) < 0)
		return rc;
	return set_name(&out->wanted_rule, f.rule);
}

void placement_free(struct placement *p)
{
	free(p->rule);
	free(p->wanted_rule);
	p->rule = p->wanted_rule = NULL;
}

/* ---- what keeps it ---------------------------------------------------------------------------------------------- */

static const struct rule *rule_of(const struct config *config, const char *name)
{
	for (size_t i = 0; name && i < rules_count(config); i++)
		if (strcmp(rule_name(rules_at(config, i)), name) == 0)
			return rules_at(config, i);
	return NULL;
}

static void put_keeper(
	const struct config_zone *zone, const struct rule *rule, const struct placement *at, struct buf *out)
{
	const struct config_origin *o = rule ? rule_origin(rule) : &zone->export_origin;

	if (at->reason == POLICY_STOPPED)
		buf_printf(out, "stop-after of rule %s", rule_name(rule));
	else if (rule)
		buf_printf(out, "export = %s of rule %s", policy_name((enum export_policy)rule_export(rule)),
			rule_name(rule));
	else
		buf_printf(out, "export = %s of zone %s", policy_name(zone->export), zone->name);
	buf_printf(out, " (%s:%d)", o->file, o->line);
}

/* Nothing is said where a reload has taken the rule or the zone away meanwhile: it is judged again. */
void place_keeper(struct place *p, const struct placement *at, struct buf *out)
{
	struct config *config = place_config(p);
	const struct config_zone *zone = place_zone(p, config, at->stays_zone_id);
	bool by_rule = at->by_rule || at->reason == POLICY_STOPPED;
	const struct rule *rule = by_rule ? rule_of(config, at->wanted_rule) : NULL;

	if (at->reason != POLICY_NONE && (by_rule ? rule != NULL : zone != NULL))
		put_keeper(zone, rule, at, out);
	config_put(config);
}

/* ---- the sentence ------------------------------------------------------------------------------------------------ */

static void put_stop(struct place *p, const struct placement *at, struct buf *out)
{
	struct export_count left;
	char size[16];

	meta_lock(p->meta);
	left = counts_left(p, at->wanted_rule);
	meta_unlock(p->meta);
	buf_printf(out,
		"%" PRIu64
		" files, %s, have left under rule %s in this month (UTC), and with this one it would be more than its "
		"stop-after allows: it may go in the next one",
		left.files, text_size(left.bytes, size, sizeof size), at->wanted_rule);
}

static void put_awaiting(const struct placement *at, struct buf *out)
{
	if (at->ask)
		buf_printf(out,
			"%u of its zone's approvers must agree, and are asked when it has been quiet for a while",
			at->needed);
	else
		buf_printf(out, "%u of its zone's approvers must agree to request %" PRIu64 ", and %u did", at->needed,
			at->asked.id, at->asked.votes);
}

void place_why(struct place *p, const struct placement *at, struct buf *out)
{
	switch (at->reason) {
	case POLICY_NONE:
		break;
	case POLICY_DENY:
		place_keeper(p, at, out);
		break;
	case POLICY_AWAITING:
		put_awaiting(at, out);
		break;
	case POLICY_DENIED:
		buf_printf(out, "request %" PRIu64 " was denied", at->asked.id);
		break;
	case POLICY_STOPPED:
		put_stop(p, at, out);
		break;
	}
}
