/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/ruletest.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "config/load.h"
#include "config/message.h"
#include "config/owner.h"
#include "config/rules.h"
#include "config/strv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct test_path {
	const char *path; /* the doc's */
	const struct config_origin *origin;
};

/* A [test NAME] read. */
struct test {
	struct test_path *paths;
	size_t path_count;
	char **tags;
	uint64_t size;
	int64_t age_ns, at_ns; /* at: real clock */
	uint32_t uid, gid;
	unsigned link_count;
	char *type; /* of the content; NULL: it cannot be told */
	char *zone, *rule;
};

static bool key_test_path(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	struct test *t = target;
	struct test_path *v;
	size_t len = strlen(e->value);

	(void)k;
	if (*e->value != '/' || len < 2 || e->value[len - 1] == '/' || strstr(e->value, "//"))
		return false;
	v = realloc(t->paths, (t->path_count + 1) * sizeof *v);
	if (!v) {
		l->no_memory = true;
		return true;
	}
	t->paths = v;
	v[t->path_count++] = (struct test_path){ e->value, &e->origin };
	return true;
}

static bool key_owner(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	bool group = strcmp(k->name, "group") == 0;
	const char *prefix = group ? "gid:" : "uid:";

	(void)l;
	if (strncmp(e->value, prefix, 4) == 0)
		return owner_number(e->value + 4, target);
	return group ? owner_group(e->value, target) : owner_user(e->value, target);
}

static bool key_time(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	(void)l, (void)k;
	return text_parse_time(e->value, target) == 0;
}

static const struct key test_keys[] = {
	{ .name = "path",
		.parse = key_test_path,
		.flags = KEY_REQUIRED | KEY_REPEATS,
		.expected = "a file's path from the mount's root, such as /hr/pay.ods" },
	{ .name = "tag",
		.parse = key_list,
		.offset = offsetof(struct test, tags),
		.expected = "tags with a comma between them" },
	{ .name = "size", .parse = key_size, .offset = offsetof(struct test, size), .expected = "a size, such as 2M" },
	{ .name = "age",
		.parse = key_duration,
		.offset = offsetof(struct test, age_ns),
		.expected = "a duration, such as 40d" },
	{ .name = "at",
		.parse = key_time,
		.offset = offsetof(struct test, at_ns),
		.expected = "a day, and a time of day if need be, such as 2026-12-01 09:30" },
	{ .name = "owner",
		.parse = key_owner,
		.offset = offsetof(struct test, uid),
		.expected = "a user that exists here, or uid:NUMBER" },
	{ .name = "group",
		.parse = key_owner,
		.offset = offsetof(struct test, gid),
		.expected = "a group that exists here, or gid:NUMBER" },
	{ .name = "type", .parse = key_text, .offset = offsetof(struct test, type) },
	{ .name = "link-count",
		.parse = key_count,
		.offset = offsetof(struct test, link_count),
		.min = 1,
		.expected = "a number of names, such as 2" },
	{ .name = "zone",
		.parse = key_text,
		.offset = offsetof(struct test, zone),
		.flags = KEY_REQUIRED,
		.expected = "the zone in which the files belong" },
	{ .name = "rule", .parse = key_text, .offset = offsetof(struct test, rule) },
	{ 0 },
};

static void test_free(struct test *t)
{
	free(t->paths);
	strv_free(t->tags);
	free(t->type);
	free(t->zone);
	free(t->rule);
}

static void check_rule(struct load *l, const struct doc_section *s, const char *name)
{
	struct suggest near = { .given = name };
	char hint[96];

	if (strcmp(name, "none") == 0)
		return;
	for (size_t i = 0; i < rules_count(l->c); i++) {
		if (strcmp(rule_name(rules_at(l->c, i)), name) == 0)
			return;
		suggest_offer(&near, rule_name(rules_at(l->c, i)));
	}
	load_error(l, section_origin(s, "rule"), "unknown rule \"%s\"%s", name,
		near.best ? suggest_text(&near, hint, sizeof hint) : "; expected the name of a [rule NAME], or none");
}

/* false where the section is wrong, which is told */
static bool read_test(struct load *l, const struct doc_section *s, struct test *t)
{
	bool failed = l->failed;

	*t = (struct test){ .at_ns = clock_real_ns(), .link_count = 1 };
	l->failed = false;
	if (strcmp(s->kind, "test") != 0 || !s->name)
		load_error(l, &s->origin, "unknown section [%s]; expected [test NAME]", s->kind);
	else
		keys_apply(l, s, test_keys, t, 0, NULL);
	if (t->zone)
		zone_find(l, section_origin(s, "zone"), t->zone);
	if (t->rule)
		check_rule(l, s, t->rule);
	if (l->failed)
		return false;
	l->failed = failed;
	return true;
}

/* ---- judging ------------------------------------------------------------------------------------------------------
 */

static const char *give_type(void *ctx)
{
	return ((const struct test *)ctx)->type;
}

/* Why the rule that was expected did not decide. */
struct missed {
	const char *name, *failed;
};

static void trace_rule(void *ctx, const struct rule *r, bool matched, const char *failed)
{
	struct missed *m = ctx;

	if (m->name && !matched && strcmp(rule_name(r), m->name) == 0)
		m->failed = failed;
}

static void tell(struct load *l, const struct test *t, const struct test_path *p, const struct rule_decision *d,
	const struct missed *m)
{
	struct buf text = BUF_INIT;

	buf_printf(&text, "%s: zone %s", p->path, d->zone->name);
	if (d->rule)
		buf_printf(&text, " by [rule %s] (%s:%d)", rule_name(d->rule), rule_origin(d->rule)->file,
			rule_origin(d->rule)->line);
	else
		buf_str(&text, " since no rule matches");
	buf_printf(&text, "; expected zone %s", t->zone);
	if (t->rule && strcmp(t->rule, "none") == 0)
		buf_str(&text, " since no rule matches");
	else if (t->rule)
		buf_printf(&text, " by [rule %s]", t->rule);
	if (m->failed)
		buf_printf(&text, ", of which %s does not hold", m->failed);
	l->no_memory |= text.err != 0;
	if (!text.err)
		message_add(l->msgs, true, p->origin->file, p->origin->line, "%s", (const char *)text.data);
	buf_free(&text);
}

static bool as_expected(const struct test *t, const struct rule_decision *d)
{
	if (strcmp(d->zone->name, t->zone) != 0)
		return false;
	return !t->rule || strcmp(t->rule, d->rule ? rule_name(d->rule) : "none") == 0;
}

static void judge(struct load *l, const struct test *t, const struct test_path *p, struct ruletest *out)
{
	struct rule_facts facts = { .path = p->path,
		.kind = FILE_REGULAR,
		.size = t->size,
		.now_ns = t->at_ns,
		.mtime_ns = t->at_ns - t->age_ns,
		.uid = t->uid,
		.gid = t->gid,
		.link_count = t->link_count,
		.tag_count = strv_count(t->tags),
		.media_type = give_type,
		.ctx = (void *)t };
	struct rule_tag *tags = calloc(facts.tag_count + 1, sizeof *tags);
	struct missed missed = { .name = t->rule };
	struct rule_trace trace = { .rule = trace_rule, .ctx = &missed };
	struct rule_decision d;

	for (size_t i = 0; tags && i < facts.tag_count; i++)
		tags[i] = (struct rule_tag){ t->tags[i], TAG_USER, NULL, NULL };
	facts.tags = tags;
	if (!tags || rules_decide(l->c, &facts, &d, &trace, NULL, NULL) < 0) {
		l->no_memory = true;
	} else if (!as_expected(t, &d)) {
		out->failed++;
		tell(l, t, p, &d, &missed);
	}
	out->files++;
	free(tags);
}

static void run_all(struct load *l, struct ruletest *out)
{
	for (size_t i = 0; i < l->doc.count; i++) {
		struct test t;

		if (read_test(l, &l->doc.v[i], &t))
			for (size_t k = 0; k < t.path_count; k++)
				judge(l, &t, &t.paths[k], out);
		test_free(&t);
	}
	if (!l->failed && !l->doc.count)
		load_error(l, &(struct config_origin){ l->dir, 0 }, "holds no section; expected [test NAME]");
}

int ruletest_run(struct config *c, const char *file, struct ruletest *out, struct config_messages *msgs)
{
	struct load l = { .c = c, .msgs = msgs };
	int rc;

	*out = (struct ruletest){ 0 };
	if (!(l.dir = file_expand(file, NULL)))
		return -ENOMEM;
	rc = doc_read(&l.doc, l.dir, NULL, msgs);
	l.failed = rc == -ERR_CONFIG;
	if (rc == 0 || rc == -ERR_CONFIG)
		run_all(&l, out);
	if (rc == 0)
		rc = l.no_memory ? -ENOMEM : l.failed ? -ERR_CONFIG : 0;
	messages_sort(msgs);
	doc_free(&l.doc);
	free(l.dir);
	return rc;
}
