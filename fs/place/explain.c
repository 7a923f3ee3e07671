/* SPDX-License-Identifier: GPL-3.0-or-later */
/* I11: the program that places, with a tracer. */
#include "fs/place/internal.h"

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

static void step(json_t *list, const char *name, const struct config_origin *o, bool matched, const char *failed)
{
	json_t *one = json_pack("{s:o, s:b, s:o}", "name", json_bytes(name), "matched", matched, "origin", origin(o));

	if (one && failed)
		json_object_set_new(one, "failed", json_bytes(failed));
	json_array_append_new(list, one);
}

struct trace {
	json_t *tags, *rules;
};

static void trace_tag(void *ctx, const char *section, const struct config_origin *o, bool set, const char *failed)
{
	step(((struct trace *)ctx)->tags, section, o, set, failed);
}

static void trace_rule(void *ctx, const struct rule *rule, bool matched, const char *failed)
{
	step(((struct trace *)ctx)->rules, rule_name(rule), rule_origin(rule), matched, failed);
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
	struct trace trace = { json_array(), json_array() };
	struct judge_detail detail = { .trace = { .tag = trace_tag, .rule = trace_rule, .ctx = &trace } };
	json_t *one;

	judge_name(s, parent, name, judged, &detail);
	one = json_pack("{s:o, s:s, s:o, s:o, s:o, s:b}", "path", json_bytes(detail.path ? detail.path : name), "zone",
		judged->zone->name, "tags", tag_list(detail.tags, detail.tag_count), "tag_sections", trace.tags,
		"rules", trace.rules, "doubt", judged->doubt);
	if (one && judged->rule)
		json_object_set_new(one, "rule", json_bytes(rule_name(judged->rule)));
	judge_detail_free(&detail);
	return one;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static const char *state_text(const struct placement *at)
{
	if (at->state == PLACEMENT_HELD)
		return "held";
	return at->state == PLACEMENT_AWAITING ? "awaiting-approval" : "free";
}

static void set_zone_name(struct place *p, json_t *all, const char *key, uint32_t zone_id)
{
	char *name = place_zone_name(p, zone_id);

	json_object_set_new(all, key, name ? json_bytes(name) : json_null());
	free(name);
}

static int explain(struct place *p, struct inode *inode, struct subject *s, json_t *all)
{
	struct judgement judgement = { .due_ns = INT64_MAX };
	json_t *list = json_array();
	struct buf names = BUF_INIT;
	struct judged judged;
	struct placement at = { 0 };
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
	if (rc == 0 && (rc = policy_apply(s, &judged, &at)) == 0) {
		set_zone_name(p, all, "zone", at.zone_id);
		set_zone_name(p, all, "wanted", at.wanted_zone_id);
		json_object_set_new(all, "rule", at.rule ? json_bytes(at.rule) : json_null());
		json_object_set_new(all, "state", json_string(state_text(&at)));
		json_object_set_new(all, "held", json_boolean((s->flags & INODE_HELD) || judgement.mark));
		json_object_set_new(all, "content_unknown", json_boolean(s->type_unknown));
	}
	placement_free(&at);
	buf_free(&names);
	return rc;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

static void print_steps(const json_t *list, const char *what, const char *yes, struct buf *out)
{
	size_t i;
	json_t *one;

	json_array_foreach(list, i, one)
	{
		const json_t *o = json_object_get(one, "origin");
		bool matched = json_is_true(json_object_get(one, "matched"));

		buf_printf(out, "    [%s %s] %s:%lld: %s", what, text_of(one, "name"), text_of(o, "file"),
			(long long)json_integer_value(json_object_get(o, "line")), matched ? yes : "no");
		if (!matched && json_object_get(one, "failed"))
			buf_printf(out, ": %s does not hold", text_of(one, "failed"));
		buf_str(out, "\n");
	}
}

static void print_name(const json_t *one, struct buf *out)
{
	const json_t *tags = json_object_get(one, "tags");
	size_t i;
	json_t *tag;

	buf_printf(out, "  %s: zone %s", text_of(one, "path"), text_of(one, "zone"));
	if (json_object_get(one, "rule"))
		buf_printf(out, " by rule %s\n", text_of(one, "rule"));
	else
		buf_str(out, json_is_true(json_object_get(one, "doubt")) ? " (could not be judged)\n"
									 : " (no rule matches)\n");
	json_array_foreach(tags, i, tag)
	{
		const json_t *section = json_object_get(tag, "section");

		buf_printf(out, "    tag %s: ", text_of(tag, "tag"));
		if (section)
			buf_printf(out, "rule from %s:%lld\n", text_of(section, "file"),
				(long long)json_integer_value(json_object_get(section, "line")));
		else if (json_object_get(tag, "from"))
			buf_printf(out, "%s from %s\n", text_of(tag, "origin"), text_of(tag, "from"));
		else
			buf_printf(out, "%s\n", text_of(tag, "origin"));
	}
	print_steps(json_object_get(one, "tag_sections"), "tag", "set", out);
	print_steps(json_object_get(one, "rules"), "rule", "decides", out);
}

static void print(const json_t *all, struct buf *out)
{
	const char *state = text_of(all, "state");
	size_t i;
	json_t *one;

	buf_printf(out, "zone %s", text_of(all, "zone"));
	if (json_is_string(json_object_get(all, "rule")))
		buf_printf(out, " by rule %s", text_of(all, "rule"));
	else
		buf_str(out, " by default");
	if (strcmp(state, "free") != 0)
		buf_printf(out, "; its rules want zone %s, the export policy keeps it (%s)", text_of(all, "wanted"),
			state);
	else if (json_is_true(json_object_get(all, "held")))
		buf_str(out, "; held: leaving needs what the zone's export policy says");
	if (json_is_true(json_object_get(all, "content_unknown")))
		buf_str(out, "; the content's type is not known here yet: home until it is");
	buf_str(out, "\n");
	json_array_foreach(json_object_get(all, "names"), i, one) print_name(one, out);
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
		print(all, out);
	}
	free(text);
	subject_free(&s);
	json_decref(all);
	return rc == 0 ? out->err : rc;
}
