/* SPDX-License-Identifier: GPL-3.0-or-later */
/* I9: the policy itself cannot be loosened by a private file. The store keeps the one last accepted (table rule_set, in
 * config_baseline's text) and a configuration that allows more is refused. */
#include "fs/place/internal.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading config_baseline's text ----------------------------------------------------------------------------- */

struct line {
	const char *what; /* "zone", "rule", "home" */
	char *name;
	char *rest;
};

/* Splits one line in place: "what name rest". */
static void line_parse(char *text, struct line *out)
{
	out->what = text;
	out->name = strchr(text, ' ');
	out->rest = NULL;
	if (!out->name)
		return;
	*out->name++ = 0;
	if ((out->rest = strchr(out->name, ' ')))
		*out->rest++ = 0;
}

/* The word after "key=" in a line's rest, malloc'd, or NULL. */
static char *value_of(const char *rest, const char *key)
{
	size_t key_len = strlen(key);

	for (const char *at = rest; at && *at; at += strcspn(at, " "), at += *at == ' ')
		if (strncmp(at, key, key_len) == 0 && at[key_len] == '=')
			return strndup(at + key_len + 1, strcspn(at + key_len + 1, " "));
	return NULL;
}

static int export_of(const char *rest)
{
	char *word = value_of(rest, "export");
	int policy = -1;

	for (int i = EXPORT_DENY; word && i <= EXPORT_ALLOW; i++)
		if (strcmp(word, policy_name((enum export_policy)i)) == 0)
			policy = i;
	free(word);
	return policy;
}

/* 0: there is none. */
static unsigned long long number_of(const char *rest, const char *key)
{
	char *word = value_of(rest, key);
	unsigned long long n = word ? strtoull(word, NULL, 10) : 0;

	free(word);
	return n;
}

/* Calls fn for each line of a text; its non-zero result stops and is returned. */
static int each_line(const char *text, int (*fn)(void *ctx, const struct line *), void *ctx)
{
	char *copy = strdup(text), *save = NULL;
	struct line line;
	int rc = copy ? 0 : -ENOMEM;

	for (char *at = copy ? strtok_r(copy, "\n", &save) : NULL; rc == 0 && at; at = strtok_r(NULL, "\n", &save)) {
		line_parse(at, &line);
		if (line.name)
			rc = fn(ctx, &line);
	}
	free(copy);
	return rc;
}

struct find {
	const char *what, *name;
	char *rest; /* a copy of the line's rest, "" for none */
};

static int find_line(void *ctx, const struct line *line)
{
	struct find *f = ctx;

	if (strcmp(line->what, f->what) != 0 || strcmp(line->name, f->name) != 0)
		return 0;
	f->rest = strdup(line->rest ? line->rest : "");
	return f->rest ? 1 : -ENOMEM;
}

/* ---- what counts as looser --------------------------------------------------------------------------------------- */

struct compare {
	const char *now;
	int (*occupied)(void *ctx, const char *zone);
	void *ctx;
	struct errmsg *msg;
};

static bool new_approver(const char *before, const char *now)
{
	char *old = value_of(before, "approvers"), *new = value_of(now, "approvers"), *save = NULL;
	bool found = false;

	for (char *a = new ? strtok_r(new, ",", &save) : NULL; a; a = strtok_r(NULL, ",", &save)) {
		const char *at = old;
		size_t len = strlen(a);

		while (at && !(strncmp(at, a, len) == 0 && (at[len] == ',' || !at[len])))
			at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL;
		found |= !at;
	}
	free(old);
	free(new);
	return found;
}

/* Also where the zone itself asks for no approval: a rule may. */
static int compare_approvers(struct compare *c, const struct line *before, const char *now)
{
	unsigned long long old = number_of(before->rest, "approvals"), n = number_of(now, "approvals");

	if (n < old)
		return errmsg_set(c->msg, -ERR_HELD,
			"zone %s: approvals = %llu is fewer than %llu, which this store last accepted", before->name, n,
			old);
	if (old && new_approver(before->rest, now))
		return errmsg_set(c->msg, -ERR_HELD,
			"zone %s: approvers names someone whom the policy this store last accepted does not",
			before->name);
	return 0;
}

static int compare_domestic(struct compare *c, const struct line *before, const char *now)
{
	int old = export_of(before->rest), policy = export_of(now);

	if (policy > old)
		return errmsg_set(c->msg, -ERR_HELD,
			"zone %s: export = %s is looser than %s, which this store last accepted: keep export = %s",
			before->name, policy_name((enum export_policy)policy), policy_name((enum export_policy)old),
			policy_name((enum export_policy)old));
	return policy == EXPORT_DENY || old == EXPORT_DENY ? 0 : compare_approvers(c, before, now);
}

static int compare_gone(struct compare *c, const struct line *before, bool foreign)
{
	int rc = c->occupied(c->ctx, before->name);

	if (rc <= 0)
		return rc;
	return errmsg_set(c->msg, -ERR_HELD,
		"zone %s %s while files are placed in it: keep it domestic until they are moved to another domestic "
		"zone",
		before->name, foreign ? "became foreign" : "is gone from the configuration");
}

static int compare_zone(struct compare *c, const struct line *before)
{
	struct find f = { "zone", before->name, NULL };
	int rc;

	if (strncmp(before->rest ? before->rest : "", "domestic", 8) != 0)
		return 0;
	if ((rc = each_line(c->now, find_line, &f)) < 0)
		return rc;
	if (!f.rest || strncmp(f.rest, "domestic", 8) != 0)
		rc = compare_gone(c, before, f.rest);
	else
		rc = compare_domestic(c, before, f.rest);
	free(f.rest);
	return rc;
}

static bool stops_later(const char *before, const char *now, const char *key)
{
	unsigned long long old = number_of(before, key), n = number_of(now, key);

	return old && (!n || n > old);
}

static int compare_rule(struct compare *c, const struct line *before)
{
	struct find f = { "rule", before->name, NULL };
	int old = export_of(before->rest), policy, rc;

	if ((rc = each_line(c->now, find_line, &f)) < 0)
		return rc;
	policy = f.rest && export_of(f.rest) >= 0 ? export_of(f.rest) : EXPORT_ALLOW;
	rc = 0;
	if (old >= 0 && policy > old)
		rc = errmsg_set(c->msg, -ERR_HELD,
			"rule %s: its export = %s is gone or looser, which this store last accepted: keep it",
			before->name, policy_name((enum export_policy)old));
	else if (stops_later(before->rest, f.rest, "stop-files") || stops_later(before->rest, f.rest, "stop-bytes"))
		rc = errmsg_set(c->msg, -ERR_HELD,
			"rule %s: its stop-after is gone or higher than what this store last accepted: keep it",
			before->name);
	free(f.rest);
	return rc;
}

static int compare_line(void *ctx, const struct line *before)
{
	if (strcmp(before->what, "zone") == 0)
		return compare_zone(ctx, before);
	return strcmp(before->what, "rule") == 0 ? compare_rule(ctx, before) : 0;
}

int baseline_looser(const char *before, const char *now, int (*occupied)(void *ctx, const char *zone), void *ctx,
	struct errmsg *msg)
{
	struct compare c = { now, occupied, ctx, msg };

	return each_line(before, compare_line, &c);
}

/* ---- the store's memory ------------------------------------------------------------------------------------------ */

struct accepted {
	bool any;
	uint64_t version;
	struct buf baseline;
};

static int take_accepted(void *ctx, struct meta_row *row)
{
	struct accepted *a = ctx;

	a->any = true;
	a->version = (uint64_t)meta_row_i64(row, 0);
	buf_str(&a->baseline, meta_row_text(row, 1) ? meta_row_text(row, 1) : "");
	return a->baseline.err;
}

static int accepted_load(struct place *p, struct accepted *out)
{
	memset(out, 0, sizeof *out);
	return meta_select(p->meta,
		"SELECT version, baseline FROM rule_set WHERE accepted = 1 ORDER BY id DESC LIMIT 1", take_accepted,
		out, "");
}

static int take_one(void *ctx, struct meta_row *row)
{
	(void)row;
	*(bool *)ctx = true;
	return 0;
}

static int zone_occupied(void *ctx, const char *zone)
{
	bool found = false;
	int rc = meta_select(((struct place *)ctx)->meta,
		"SELECT 1 FROM zone z WHERE z.name = ?1 AND (EXISTS (SELECT 1 FROM object o WHERE o.zone = z.id) OR "
		"EXISTS (SELECT 1 FROM inode i WHERE i.zone = z.id)) LIMIT 1",
		take_one, &found, "t", zone);

	return rc < 0 ? rc : found;
}

int baseline_check(struct place *p, const struct config *config, struct errmsg *msg)
{
	struct buf now = BUF_INIT;
	struct accepted last;
	int rc = accepted_load(p, &last);

	config_baseline(config, &now);
	if (rc == 0)
		rc = now.err;
	if (rc == 0 && last.any)
		rc = baseline_looser((const char *)last.baseline.data, (const char *)now.data, zone_occupied, p, msg);
	buf_free(&now);
	buf_free(&last.baseline);
	return rc;
}

struct rule_set_record {
	struct meta_record record;
	uint64_t version;
	char *baseline, *text;
	int64_t now_s;
};

static void rule_set_apply(struct meta_txn *txn, struct meta_record *r)
{
	struct rule_set_record *s = container_of(r, struct rule_set_record, record);

	meta_txn_exec(txn,
		"INSERT INTO rule_set (version, baseline, text, since_s, accepted) VALUES (?1, ?2, ?3, ?4, 1)", "itti",
		(int64_t)s->version, s->baseline, s->text, s->now_s);
}

static void rule_set_free(struct meta_record *r)
{
	struct rule_set_record *s = container_of(r, struct rule_set_record, record);

	free(s->baseline);
	free(s->text);
	free(s);
}

static void rules_as_text(const struct config *config, struct buf *out)
{
	for (size_t i = 0; i < rules_count(config); i++) {
		const struct rule *r = rules_at(config, i);

		buf_printf(out, "%s -> %s: ", rule_name(r), rule_zone(r)->name);
		rule_text(r, out);
		buf_str(out, "\n");
	}
}

static struct rule_set_record *rule_set_new(const struct config *config, struct buf *baseline)
{
	struct rule_set_record *s = calloc(1, sizeof *s);
	struct buf text = BUF_INIT;

	if (!s)
		return NULL;
	buf_str(&text, "");
	rules_as_text(config, &text);
	s->record = (struct meta_record){ .apply = rule_set_apply, .free = rule_set_free };
	s->version = rules_version(config);
	s->now_s = clock_real_ns() / NS_PER_S;
	s->baseline = buf_steal(baseline);
	s->text = buf_steal(&text);
	if (s->baseline && s->text)
		return s;
	rule_set_free(&s->record);
	return NULL;
}

/* The digest is of the policy and of the rules as the table rule_set keeps both, a NUL between them. */
static void rules_facts(const struct config *config, const struct rule_set_record *s, char *out, size_t len)
{
	char hex[2 * crypto_generichash_BYTES + 1];
	uint8_t digest[crypto_generichash_BYTES];
	crypto_generichash_state h;

	crypto_generichash_init(&h, NULL, 0, sizeof digest);
	crypto_generichash_update(&h, (const uint8_t *)s->baseline, strlen(s->baseline) + 1);
	crypto_generichash_update(&h, (const uint8_t *)s->text, strlen(s->text));
	crypto_generichash_final(&h, digest, sizeof digest);
	snprintf(out, len, "{\"version\":%llu,\"digest\":\"%s\",\"rules\":%zu,\"zones\":%zu}",
		(unsigned long long)s->version, text_hex(digest, sizeof digest, hex), rules_count(config),
		config->zone_count);
}

int baseline_keep(struct place *p, const struct config *config)
{
	struct rule_set_record *s = NULL;
	struct buf now = BUF_INIT;
	struct accepted last;
	char facts[256];
	int rc = accepted_load(p, &last);

	config_baseline(config, &now);
	if (rc == 0)
		rc = now.err;
	if (rc == 0 && !(last.any && last.version == rules_version(config) &&
			       strcmp((const char *)last.baseline.data, (const char *)now.data) == 0)) {
		if ((s = rule_set_new(config, &now)))
			rules_facts(config, s, facts, sizeof facts);
		else
			rc = -ENOMEM;
	}
	if (s) {
		meta_lock(p->meta);
		meta_queue(p->meta, &s->record);
		/* every file is judged by them, also if all stops before that: whoever finds them accepted asks no more
		 */
		if (last.any && last.version != rules_version(config))
			meta_pending_add_subtree(p->meta, META_ROOT_INO);
		audit_append(p, "rules", facts);
		meta_unlock(p->meta);
		rc = meta_sync(p->meta);
	}
	buf_free(&now);
	buf_free(&last.baseline);
	return rc;
}
