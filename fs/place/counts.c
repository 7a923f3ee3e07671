/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What left under rules that count, month by month: for laws that count. */
#include "fs/place/internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DAY_S 86400

int64_t month_began(int64_t now_ns)
{
	time_t now = (time_t)(now_ns / NS_PER_S);
	struct tm tm;

	gmtime_r(&now, &tm);
	return now / DAY_S - (tm.tm_mday - 1);
}

int64_t month_ends_ns(int64_t now_ns)
{
	/* no month has more than 31 days, and none fewer than 28 */
	return month_began((month_began(now_ns) + 31) * DAY_S * NS_PER_S) * DAY_S * NS_PER_S;
}

struct counted {
	struct hash_node node;
	struct export_count left;
	char rule[];
};

static bool is_rule(const struct hash_node *n, const void *key)
{
	return strcmp(container_of(n, struct counted, node)->rule, key) == 0;
}

static struct counted *counted_find(struct place *p, const char *rule)
{
	struct hash_node *n = hash_find(&p->counts.table, hash_bytes(rule, strlen(rule), 0), is_rule, rule);

	return n ? container_of(n, struct counted, node) : NULL;
}

static struct counted *counted_get(struct place *p, const char *rule)
{
	struct counted *c = counted_find(p, rule);

	if (c || !(c = calloc(1, sizeof *c + strlen(rule) + 1)))
		return c;
	strcpy(c->rule, rule);
	hash_insert(&p->counts.table, &c->node, hash_bytes(rule, strlen(rule), 0));
	return c;
}

static void forget_one(void *ctx, struct hash_node *n)
{
	(void)ctx;
	free(container_of(n, struct counted, node));
}

/* A new month begins with nothing; a clock that goes back begins none. */
static void turn(struct place *p)
{
	int64_t month = month_began(clock_real_ns());

	if (month <= p->counts.month)
		return;
	hash_drain(&p->counts.table, forget_one, NULL);
	p->counts.month = month;
}

static int take_count(void *ctx, struct meta_row *row)
{
	struct counted *c = counted_get(ctx, meta_row_text(row, 0));

	if (!c)
		return -ENOMEM;
	c->left = (struct export_count){ (uint64_t)meta_row_i64(row, 1), (uint64_t)meta_row_i64(row, 2) };
	return 0;
}

int counts_open(struct place *p, struct errmsg *msg)
{
	int rc = hash_init(&p->counts.table);

	p->counts.month = month_began(clock_real_ns());
	if (rc == 0)
		rc = meta_select(p->meta, "SELECT rule, files, bytes FROM export_count WHERE month = ?1", take_count, p,
			"i", p->counts.month);
	return rc < 0 ? errmsg_set(msg, rc, "what has left in this month cannot be read: %s", err_text(rc)) : 0;
}

void counts_close(struct place *p)
{
	hash_drain(&p->counts.table, forget_one, NULL);
	hash_free(&p->counts.table);
}

struct export_count counts_left(struct place *p, const char *rule)
{
	const struct counted *c;

	turn(p);
	c = rule ? counted_find(p, rule) : NULL;
	return c ? c->left : (struct export_count){ 0 };
}

struct count_record {
	struct meta_record record;
	int64_t month, bytes;
	char rule[];
};

static void count_apply(struct meta_txn *txn, struct meta_record *r)
{
	const struct count_record *c = container_of(r, struct count_record, record);

	meta_txn_exec(txn,
		"INSERT INTO export_count (rule, month, files, bytes) VALUES (?1, ?2, 1, ?3) ON CONFLICT (month, rule) "
		"DO UPDATE SET files = files + 1, bytes = bytes + excluded.bytes",
		"tii", c->rule, c->month, c->bytes);
}

static void count_free(struct meta_record *r)
{
	free(container_of(r, struct count_record, record));
}

static bool reached(const struct rule_limit *l, const struct export_count *left)
{
	return rule_limit_reached(l, left->files, left->bytes);
}

static const struct rule *find_rule(const struct config *config, const char *name)
{
	for (size_t i = 0; i < rules_count(config); i++)
		if (strcmp(rule_name(rules_at(config, i)), name) == 0)
			return rules_at(config, i);
	return NULL;
}

static void audit_limit(struct place *p, const char *rule, const char *what, const struct export_count *left)
{
	json_t *facts = json_pack("{s:o, s:s, s:I, s:I}", "rule", json_bytes(rule), "what", what, "files",
		(json_int_t)left->files, "bytes", (json_int_t)left->bytes);
	char *text = facts ? json_dumps(facts, JSON_COMPACT) : NULL;

	audit_append(p, "limit", text ? text : "{}");
	free(text);
	json_decref(facts);
}

static void tell(struct place *p, const char *name, const struct export_count *before, const struct export_count *now)
{
	struct config *config = place_config(p);
	const struct rule *rule = find_rule(config, name);

	if (rule && reached(rule_warn_after(rule), now) && !reached(rule_warn_after(rule), before)) {
		log_warn("rule %s: %" PRIu64 " files, %" PRIu64
			 " bytes have left under it in this month: its warn-after is "
			 "reached",
			name, now->files, now->bytes);
		audit_limit(p, name, "warn", now);
	}
	if (rule && reached(rule_stop_after(rule), now) && !reached(rule_stop_after(rule), before)) {
		log_warn("rule %s: %" PRIu64 " files, %" PRIu64
			 " bytes have left under it in this month: nothing more will, "
			 "as its stop-after says",
			name, now->files, now->bytes);
		audit_limit(p, name, "stop", now);
	}
	config_put(config);
}

int counts_add(struct place *p, const char *rule, uint64_t bytes)
{
	struct count_record *r = calloc(1, sizeof *r + strlen(rule) + 1);
	struct export_count before;
	struct counted *c;

	turn(p);
	if (!r || !(c = counted_get(p, rule))) {
		free(r);
		return -ENOMEM;
	}
	before = c->left;
	c->left.files++;
	c->left.bytes += bytes;
	r->record = (struct meta_record){ .apply = count_apply, .free = count_free };
	r->month = p->counts.month;
	r->bytes = (int64_t)bytes;
	strcpy(r->rule, rule);
	meta_queue(p->meta, &r->record);
	tell(p, rule, &before, &c->left);
	return 0;
}

int place_limits(struct place *p, int (*fn)(void *ctx, const struct rule *, const struct export_count *left), void *ctx)
{
	struct config *config = place_config(p);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < rules_count(config); i++) {
		const struct rule *rule = rules_at(config, i);
		struct export_count left;

		if (!rule_limit_any(rule_warn_after(rule)) && !rule_limit_any(rule_stop_after(rule)))
			continue;
		meta_lock(p->meta);
		left = counts_left(p, rule_name(rule));
		meta_unlock(p->meta);
		rc = fn(ctx, rule, &left);
	}
	config_put(config);
	return rc;
}
