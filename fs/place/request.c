/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What approvers are asked of a file: kept with its inode, so that what decides is at hand and changes in one operation
 * with it, and in the table `approval`, for those who vote and those who ask later. */
#include "fs/place/internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* that no program can name, as a symlink's target */
#define ASKED_XATTR    "borderfs.asked"
#define REQUEST_FORMAT 1

enum { REQUEST_IS_DENIED = 1, REQUEST_HAS_LEFT = 2, REQUEST_HAS_RULE = 4 };

/* ---- with the inode (docs/FORMAT.md) ------------------------------------------------------------------------------
 */

static void put_request(struct buf *out, const struct export_request *q)
{
	buf_u8(out, REQUEST_FORMAT);
	buf_u8(out, (uint8_t)((q->denied ? REQUEST_IS_DENIED : 0) | (q->left ? REQUEST_HAS_LEFT : 0) |
			      (q->rule ? REQUEST_HAS_RULE : 0)));
	buf_u64(out, q->id);
	buf_u64(out, q->version);
	buf_u32(out, q->from_zone_id);
	buf_u32(out, q->to_zone_id);
	buf_u32(out, q->votes);
	buf_u64(out, (uint64_t)q->expires_ns);
	if (q->rule)
		buf_str(out, q->rule);
}

static int get_request(struct reader *r, struct export_request *q)
{
	uint8_t format = reader_u8(r), flags = reader_u8(r);
	size_t len;

	q->id = reader_u64(r);
	q->version = reader_u64(r);
	q->from_zone_id = reader_u32(r);
	q->to_zone_id = reader_u32(r);
	q->votes = reader_u32(r);
	q->expires_ns = (int64_t)reader_u64(r);
	q->denied = flags & REQUEST_IS_DENIED;
	q->left = flags & REQUEST_HAS_LEFT;
	len = (size_t)(r->end - r->p);
	if (r->err || format != REQUEST_FORMAT)
		return -ERR_FORMAT;
	if (flags & REQUEST_HAS_RULE && !(q->rule = strndup((const char *)reader_bytes(r, len), len)))
		return -ENOMEM;
	return 0;
}

void request_clear(struct export_request *q)
{
	free(q->rule);
	*q = (struct export_request){ 0 };
}

int request_get(struct inode *inode, struct export_request *q)
{
	struct reader r;
	size_t len;
	int rc;

	*q = (struct export_request){ 0 };
	if (!(inode->flags & INODE_ASKED) || !(r.p = meta_xattr_find(inode, ASKED_XATTR, &len)))
		return 0;
	r.end = r.p + len;
	r.err = 0;
	rc = get_request(&r, q);
	if (rc < 0)
		request_clear(q);
	return rc == -ENOMEM ? rc : 0;
}

int request_set(struct place *p, struct inode *inode, const struct export_request *q)
{
	struct buf out = BUF_INIT;
	size_t len;
	int rc = 0;

	if (q->id || q->left) {
		put_request(&out, q);
		rc = out.err ? out.err : meta_xattr_set(p->meta, inode, ASKED_XATTR, out.data, out.len);
		if (rc == 0)
			inode->flags |= INODE_ASKED;
	} else {
		if (meta_xattr_find(inode, ASKED_XATTR, &len))
			rc = meta_xattr_set(p->meta, inode, ASKED_XATTR, NULL, 0);
		inode->flags &= ~(uint32_t)INODE_ASKED;
	}
	buf_free(&out);
	meta_inode_changed(p->meta, inode);
	return rc;
}

/* ---- in the table --------------------------------------------------------------------------------------------------
 */

struct asked_record {
	struct meta_record record;
	int64_t id, ino, version, size, owner, from, to, rules_version, now_s;
	char *rule;
	struct buf path;
};

static void asked_apply(struct meta_txn *txn, struct meta_record *r)
{
	const struct asked_record *a = container_of(r, struct asked_record, record);

	meta_txn_exec(txn,
		"INSERT INTO approval (id, ino, version, path, size, owner, from_zone, to_zone, rule, rules_version, "
		"asked_s, "
		"state, turned_s) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0, ?11)",
		"iiibiiiitii", a->id, a->ino, a->version, a->path.data ? (const void *)a->path.data : "", a->path.len,
		a->size, a->owner, a->from, a->to, a->rule, a->rules_version, a->now_s);
}

static void asked_free(struct meta_record *r)
{
	struct asked_record *a = container_of(r, struct asked_record, record);

	free(a->rule);
	buf_free(&a->path);
	free(a);
}

struct turn_record {
	struct meta_record record;
	int64_t id, state, now_s, expires_s;
};

/* One that is over without a vote is nobody's evidence. */
static void turn_apply(struct meta_txn *txn, struct meta_record *r)
{
	const struct turn_record *t = container_of(r, struct turn_record, record);

	if (t->state == REQUEST_SUPERSEDED)
		meta_txn_exec(txn,
			"DELETE FROM approval WHERE id = ?1 AND state = 0 AND NOT EXISTS (SELECT 1 FROM approval_vote "
			"WHERE "
			"approval = ?1)",
			"i", t->id);
	meta_txn_exec(txn,
		"UPDATE approval SET state = ?2, turned_s = ?3, expires_s = CASE ?4 WHEN 0 THEN NULL ELSE ?4 END WHERE "
		"id = "
		"?1",
		"iiii", t->id, t->state, t->now_s, t->expires_s);
}

static void turn_free(struct meta_record *r)
{
	free(container_of(r, struct turn_record, record));
}

void request_turn(
	struct place *p, uint64_t id, uint64_t ino, enum request_state state, int64_t expires_ns, const char *what)
{
	struct turn_record *t = calloc(1, sizeof *t);
	char facts[128];

	if (t) {
		t->record = (struct meta_record){ .apply = turn_apply, .free = turn_free };
		t->id = (int64_t)id;
		t->state = state;
		t->now_s = clock_real_ns() / NS_PER_S;
		t->expires_s = expires_ns == INT64_MAX ? 0 : expires_ns / NS_PER_S;
		meta_queue(p->meta, &t->record);
	} else {
		log_error("export: out of memory: request %" PRIu64 " is listed as it was before", id);
	}
	if (!what)
		return;
	snprintf(facts, sizeof facts, "{\"ino\":%" PRIu64 ",\"request\":%" PRIu64 ",\"what\":\"%s\"}", ino, id, what);
	audit_file(p, "approval", ino, facts);
}

static void audit_asked(struct place *p, const struct inode *inode, const struct export_request *q)
{
	json_t *facts = json_pack("{s:I, s:I, s:s, s:I, s:I, s:I, s:o}", "ino", (json_int_t)inode->ino, "request",
		(json_int_t)q->id, "what", "asked", "content", (json_int_t)q->version, "from",
		(json_int_t)q->from_zone_id, "to", (json_int_t)q->to_zone_id, "rule",
		q->rule ? json_bytes(q->rule) : json_null());
	char *text = facts ? json_dumps(facts, JSON_COMPACT) : NULL;

	audit_file(p, "approval", inode->ino, text ? text : "{}");
	free(text);
	json_decref(facts);
}

/* ---- asking ---------------------------------------------------------------------------------------------------------
 */

static int take_number(void *ctx, struct meta_row *row)
{
	((struct place *)ctx)->request_last = (uint64_t)meta_row_i64(row, 0);
	return 0;
}

int requests_open(struct place *p)
{
	return meta_select(p->meta, "SELECT seq FROM sqlite_sequence WHERE name = 'approval'", take_number, p, "");
}

static int set_rule(struct export_request *q, const char *rule)
{
	free(q->rule);
	q->rule = rule ? strdup(rule) : NULL;
	return rule && !q->rule ? -ENOMEM : 0;
}

static int ask(struct place *p, struct inode *inode, const struct placement *at, const struct buf *path,
	struct export_request *q)
{
	struct asked_record *a = calloc(1, sizeof *a);

	if (!a || set_rule(q, at->wanted_rule) < 0) {
		free(a);
		return -ENOMEM;
	}
	q->id = p->request_last + 1;
	q->version = at->version;
	q->from_zone_id = at->stays_zone_id;
	q->to_zone_id = at->wanted_zone_id;
	q->expires_ns = INT64_MAX;
	*a = (struct asked_record){ .record = { .apply = asked_apply, .free = asked_free },
		.id = (int64_t)q->id,
		.ino = (int64_t)inode->ino,
		.version = (int64_t)q->version,
		.size = (int64_t)at->size,
		.owner = inode->uid,
		.from = q->from_zone_id,
		.to = q->to_zone_id,
		.rules_version = (int64_t)at->rules_version,
		.now_s = clock_real_ns() / NS_PER_S,
		.rule = q->rule ? strdup(q->rule) : NULL };
	buf_put(&a->path, path->data, path->len);
	if (a->path.err || (q->rule && !a->rule)) {
		asked_free(&a->record);
		return -ENOMEM;
	}
	p->request_last++;
	meta_queue(p->meta, &a->record);
	audit_asked(p, inode, q);
	return 0;
}

/* Whether the policy still speaks of that request. */
static bool stands(const struct placement *at)
{
	return !at->ask && (at->approved || at->reason == POLICY_AWAITING || at->reason == POLICY_DENIED ||
				   at->reason == POLICY_STOPPED);
}

static void end(struct place *p, const struct inode *inode, struct export_request *q)
{
	bool expired = clock_real_ns() >= q->expires_ns && !q->denied;

	request_turn(p, q->id, inode->ino, expired ? REQUEST_EXPIRED : REQUEST_SUPERSEDED, q->expires_ns,
		expired ? "expired" : "superseded");
	request_clear(q);
}

/* That it leaves, by a request or uncounted by nobody, is kept with it. */
static int note(struct place *p, const struct inode *inode, const struct placement *at, struct export_request *q)
{
	q->left = true;
	if (at->approved) {
		request_turn(p, q->id, inode->ino, REQUEST_USED, q->expires_ns, NULL);
		return 0;
	}
	q->version = at->version;
	q->from_zone_id = at->stays_zone_id;
	q->to_zone_id = at->wanted_zone_id;
	q->expires_ns = INT64_MAX;
	return set_rule(q, at->wanted_rule);
}

static bool as_it_was(const struct export_request *a, const struct export_request *b)
{
	return a->id == b->id && a->version == b->version && a->votes == b->votes && a->denied == b->denied &&
	       a->left == b->left && a->expires_ns == b->expires_ns;
}

static bool too_many(struct place *p, const struct placement *at)
{
	struct config *config = place_config(p);
	struct export_count left = counts_left(p, at->wanted_rule);
	bool over = false;

	for (size_t i = 0; i < rules_count(config); i++)
		if (strcmp(rule_name(rules_at(config, i)), at->wanted_rule) == 0)
			over = rule_limit_over(
				rule_stop_after(rules_at(config, i)), left.files + 1, left.bytes + at->size);
	config_put(config);
	return over;
}

static int turn(struct place *p, struct inode *inode, const struct placement *at, const struct buf *path,
	struct export_request *q)
{
	int rc = at->counted ? counts_add(p, at->wanted_rule, at->size) : 0;

	if (rc < 0)
		return rc;
	if (q->id && !stands(at))
		end(p, inode, q);
	if (at->ask)
		rc = ask(p, inode, at, path, q);
	else if (at->note)
		rc = note(p, inode, at, q);
	else if (at->kind == ZONE_DOMESTIC)
		q->left = false;
	return rc < 0 ? rc : request_set(p, inode, q);
}

int request_apply(struct place *p, struct inode *inode, const struct placement *at, const struct buf *path)
{
	struct export_request q;
	int rc = request_get(inode, &q);
	bool leaves = at->ask || at->note || at->approved;

	if (rc < 0)
		return rc;
	if (!as_it_was(&q, &at->asked) || (leaves && inode->version != at->version) || (at->counted && too_many(p, at)))
		rc = -ERR_STALE;
	else if (leaves || (q.id && !stands(at)) || (q.left && at->kind == ZONE_DOMESTIC))
		rc = turn(p, inode, at, path, &q);
	request_clear(&q);
	return rc;
}
