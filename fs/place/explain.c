/* SPDX-License-Identifier: GPL-3.0-or-later */
/* I11: the program that places, with a tracer. What it saw is kept as JSON; explain_print makes the text of that. */
#include "fs/place/internal.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The length of the UTF-8 sequence at s, 0 where there is none (RFC 3629: no surrogates, nothing overlong). */
static size_t utf8_len(const unsigned char *s)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
	} forms[] = { { 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 } };

	for (size_t n = 0; n < 4; n++) {
		uint32_t c = s[0] & (unsigned char)~forms[n].mask;

		if ((s[0] & forms[n].mask) != forms[n].lead)
			continue;
		for (size_t i = 1; i <= n; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (s[i] & 0x3f);
		}
		return c >= forms[n].least && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? n + 1 : 0;
	}
	return 0;
}

json_t *json_bytes(const char *text)
{
	struct buf out = BUF_INIT;
	json_t *value;
	size_t n;

	buf_str(&out, "");
	for (const unsigned char *s = (const unsigned char *)text; *s; s += n ? n : 1) {
		n = utf8_len(s);
		buf_put(&out, n ? (const char *)s : "\xef\xbf\xbd", n ? n : 3);
	}
	value = out.err ? NULL : json_stringn((const char *)out.data, out.len);
	buf_free(&out);
	return value;
}

/* ---- one name ---------------------------------------------------------------------------------------------------- */

static json_t *origin(const struct config_origin *o)
{
	return json_pack("{s:o, s:i}", "file", json_bytes(o->file ? o->file : ""), "line", o->line);
}

struct trace {
	json_t *tags, *rules;
	json_t *conditions; /* of the section that comes next */
};

static void trace_cond(void *ctx, const char *text, enum rule_verdict v, const char *value)
{
	static const char *const words[] = {
		[RULE_NO] = "no", [RULE_MAYBE] = "unknown", [RULE_YES] = "yes", [RULE_UNSEEN] = "unseen"
	};
	json_t *one = json_pack("{s:o, s:s}", "text", json_bytes(text), "holds", words[v]);

	if (one && *value)
		json_object_set_new(one, "value", json_bytes(value));
	json_array_append_new(((struct trace *)ctx)->conditions, one);
}

static json_t *section(
	struct trace *t, const char *name, const struct config_origin *o, bool matched, const char *failed)
{
	json_t *one = json_pack("{s:o, s:b, s:o, s:o}", "name", json_bytes(name), "matched", matched, "origin",
		origin(o), "conditions", t->conditions);

	t->conditions = json_array();
	if (one && failed)
		json_object_set_new(one, "failed", json_bytes(failed));
	return one;
}

static void trace_tag(void *ctx, const char *name, const struct config_origin *o, bool set, const char *failed)
{
	struct trace *t = ctx;

	json_array_append_new(t->tags, section(t, name, o, set, failed));
}

static void trace_rule(void *ctx, const struct rule *rule, bool matched, const char *failed)
{
	struct trace *t = ctx;
	json_t *one = section(t, rule_name(rule), rule_origin(rule), matched, failed);

	if (one)
		json_object_set_new(one, "zone", json_string(rule_zone(rule)->name));
	if (one && rule_export(rule) >= 0)
		json_object_set_new(one, "export", json_string(policy_name((enum export_policy)rule_export(rule))));
	json_array_append_new(t->rules, one);
}

static json_t *tag_list(const struct rule_tag *tags, size_t count)
{
	static const char *const origins[] = {
		[TAG_USER] = "user", [TAG_INHERITED] = "inherited", [TAG_RULE] = "rule"
	};
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		json_t *one =
			json_pack("{s:o, s:s}", "tag", json_bytes(tags[i].name), "origin", origins[tags[i].origin]);
		const char *from = tags[i].from;

		if (one && from)
			json_object_set_new(one, "from", json_bytes(*from ? from : "/"));
		if (one && tags[i].section)
			json_object_set_new(one, "section", origin(tags[i].section));
		json_array_append_new(list, one);
	}
	return list;
}

static json_t *explain_name(struct subject *s, uint64_t parent, const char *name, struct judged *judged)
{
	struct trace trace = { json_array(), json_array(), json_array() };
	struct judge_detail detail = {
		.trace = { .tag = trace_tag, .rule = trace_rule, .cond = trace_cond, .ctx = &trace }
	};
	json_t *one;

	judge_name(s, parent, name, judged, &detail);
	one = json_pack("{s:o, s:s, s:o, s:o, s:o, s:b}", "path", json_bytes(detail.path ? detail.path : name), "zone",
		judged->zone->name, "tags", tag_list(detail.tags, detail.tag_count), "tag_sections", trace.tags,
		"rules", trace.rules, "doubt", judged->doubt);
	if (one && judged->rule)
		json_object_set_new(one, "rule", json_bytes(rule_name(judged->rule)));
	json_decref(trace.conditions);
	judge_detail_free(&detail);
	return one;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static const char *state_text(const struct placement *at)
{
	if (at->state == PLACEMENT_HELD)
		return "kept-back";
	return at->state == PLACEMENT_AWAITING ? "awaiting-approval" : "free";
}

static void set_zone_name(struct place *p, json_t *all, const char *key, uint32_t zone_id)
{
	char *name = place_zone_name(p, zone_id);

	json_object_set_new(all, key, name ? json_bytes(name) : json_null());
	free(name);
}

static void set_why(struct place *p, json_t *all, const struct placement *at)
{
	struct buf why = BUF_INIT, keeper = BUF_INIT;

	place_why(p, at, &why);
	place_keeper(p, at, &keeper);
	json_object_set_new(all, "why", why.len ? json_bytes((const char *)why.data) : json_null());
	json_object_set_new(all, "kept_by", keeper.len ? json_bytes((const char *)keeper.data) : json_null());
	json_object_set_new(all, "request",
		at->approved || (at->reason != POLICY_NONE && at->asked.id) ? json_integer((json_int_t)at->asked.id)
									    : json_null());
	buf_free(&keeper);
	buf_free(&why);
}

/* What several names come to: see judgement_result. */
static const char *combination(const struct judgement *j, size_t names)
{
	enum judged_side first = JUDGED_HOME;

	while (first < JUDGED_FOREIGN && !j->of[first].zone)
		first++;
	if (names == 1)
		return "one name";
	if (j->conflict[first])
		return "they differ";
	for (enum judged_side other = first + 1; other < JUDGED_SIDES; other++)
		if (j->of[other].zone)
			return first == JUDGED_HOME ? "home first" : "domestic first";
	return "they agree";
}

/* What the policy's verdict was made of. */
static json_t *export_facts(const struct subject *s, const struct judged *wanted)
{
	const struct config_zone *in = place_zone(s->place, s->config, s->zone_id);
	json_t *facts;

	if (!in || in->kind == ZONE_FOREIGN)
		in = s->config->home;
	facts = json_pack("{s:s, s:s}", "zone", in->name, "policy", policy_name(in->export));
	if (facts && wanted->rule && rule_export(wanted->rule) >= 0)
		json_object_set_new(
			facts, "rule", json_string(policy_name((enum export_policy)rule_export(wanted->rule))));
	return facts;
}

static int set_verdict(struct place *p, const struct subject *s, const struct judged *wanted, bool held, json_t *all)
{
	struct placement at = { 0 };
	int rc = policy_apply(s, wanted, &at);

	if (rc == 0) {
		set_zone_name(p, all, "zone", at.zone_id);
		set_zone_name(p, all, "wanted", at.wanted_zone_id);
		json_object_set_new(all, "rule", at.rule ? json_bytes(at.rule) : json_null());
		json_object_set_new(all, "state", json_string(state_text(&at)));
		json_object_set_new(all, "held", json_boolean(held));
		set_why(p, all, &at);
		json_object_set_new(all, "export", export_facts(s, wanted));
		json_object_set_new(all, "content_unknown", json_boolean(s->type_unknown));
		json_object_set_new(all, "next_due_s",
			at.next_due_ns == INT64_MAX ? json_null() : json_real((double)at.next_due_ns / NS_PER_S));
	}
	placement_free(&at);
	return rc;
}

static int explain(struct place *p, struct inode *inode, struct subject *s, json_t *all)
{
	struct judgement judgement = { .due_ns = INT64_MAX };
	json_t *list = json_array();
	struct buf names = BUF_INIT;
	struct judged judged;
	const char *name;
	uint64_t parent;
	size_t pos = 0;
	int rc = names_collect(p->meta, inode->ino, &names);

	json_object_set_new(all, "names", list);
	while (rc == 0 && names_next(&names, &pos, &parent, &name)) {
		json_array_append_new(list, explain_name(s, parent, name, &judged));
		judgement_add(&judgement, s, &judged);
	}
	judgement_result(&judgement, s, &judged);
	json_object_set_new(all, "combination", json_string(combination(&judgement, json_array_size(list))));
	if (rc == 0)
		rc = set_verdict(p, s, &judged, (s->flags & INODE_HELD) || judgement.mark, all);
	buf_free(&names);
	return rc;
}

int place_explain(struct place *p, struct inode *inode, bool json, struct buf *out)
{
	json_t *all = json_object();
	char *text = NULL;
	struct subject s;
	int rc = subject_init(&s, p, inode);

	if (rc == 0)
		rc = explain(p, inode, &s, all);
	if (rc == 0 && json) {
		text = json_dumps(all, JSON_COMPACT);
		buf_str(out, text ? text : "");
		rc = text ? 0 : -ENOMEM;
	} else if (rc == 0) {
		explain_print(all, s.now_ns, out);
	}
	free(text);
	subject_free(&s);
	json_decref(all);
	return rc == 0 ? out->err : rc;
}
