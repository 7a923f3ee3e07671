/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/place/approval.h"

#include "base/clock.h"
#include "config/owner.h"
#include "config/strv.h"
#include "fs/place/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- who -------------------------------------------------------------------------------------------------------- */

static bool in_group(const struct approver *a, gid_t gid)
{
	for (size_t i = 0; i < a->group_count; i++)
		if (a->groups[i] == gid)
			return true;
	return false;
}

static bool is_approver(const char *word, const struct approver *a)
{
	uint32_t id;

	if (strncmp(word, "uid:", 4) == 0)
		return owner_number(word + 4, &id) && a->uid == id;
	if (strncmp(word, "gid:", 4) == 0)
		return owner_number(word + 4, &id) && in_group(a, id);
	if (strncmp(word, "group:", 6) == 0)
		return owner_group(word + 6, &id) && in_group(a, id);
	return owner_user(word, &id) && a->uid == id;
}

const char *approval_entitled(const struct config *config, const struct config_zone *zone, const struct approver *a)
{
	char **words = policy_approving(zone, config->home)->approvers;

	for (size_t i = 0; words && words[i]; i++)
		if (is_approver(words[i], a))
			return words[i];
	return NULL;
}

bool approval_any(struct place *p, const struct approver *a)
{
	struct config *config = place_config(p);
	bool any = false;

	for (size_t i = 0; !any && i < config->zone_count; i++)
		any = config->zones[i]->kind == ZONE_DOMESTIC && approval_entitled(config, config->zones[i], a);
	config_put(config);
	return any;
}

/* ---- one request, as somebody says something about it --------------------------------------------------------------
 */

struct ballot {
	struct place *place;
	struct config *config; /* referenced */
	uint64_t id;
	const struct approver *by;
	const char *entitled; /* NULL: by nothing but owning the store */
	const struct config_zone *approving;
	bool found;
	int64_t state;
	uint32_t from_zone_id;
	uid_t owner, owner_now; /* of the file: when it was asked, and now */
	struct inode *inode;	/* referenced */
	/* of those who agreed before, and still count */
	unsigned votes;
	int64_t expires_ns;
};

static int take_request(void *ctx, struct meta_row *row)
{
	struct ballot *b = ctx;

	b->found = true;
	b->state = meta_row_i64(row, 1);
	b->from_zone_id = (uint32_t)meta_row_i64(row, 2);
	b->owner = (uid_t)meta_row_i64(row, 3);
	return meta_inode_get(b->place->meta, (uint64_t)meta_row_i64(row, 0), &b->inode) == -ENOMEM ? -ENOMEM : 0;
}

static int stale(const struct ballot *b, struct errmsg *msg)
{
	return errmsg_set(msg, -ERR_STALE,
		"request %" PRIu64
		" is over: the file, or what is asked about it, has changed since: see `borderfs export "
		"list`",
		b->id);
}

static int ballot_open(struct ballot *b, struct errmsg *msg)
{
	const struct config_zone *from;
	int rc = meta_select(b->place->meta, "SELECT ino, state, from_zone, owner FROM approval WHERE id = ?1",
		take_request, b, "i", (int64_t)b->id);

	b->config = place_config(b->place);
	if (rc < 0)
		return rc;
	from = b->found ? place_zone(b->place, b->config, b->from_zone_id) : NULL;
	if (!from)
		from = b->config->home;
	b->approving = policy_approving(from, b->config->home);
	b->entitled = approval_entitled(b->config, from, b->by);
	/* whoever may know of none learns nothing of any */
	if (!b->entitled && !b->by->owner)
		return errmsg_set(
			msg, -ERR_HELD, "only the approvers of the zone that a file leaves decide about that");
	if (!b->found)
		return errmsg_set(msg, -ENOENT, "there is no request %" PRIu64, b->id);
	return b->state >= REQUEST_EXPIRED || !b->inode ? stale(b, msg) : 0;
}

static void ballot_close(struct ballot *b)
{
	meta_inode_put(b->place->meta, b->inode);
	config_put(b->config);
}

/* Under the meta lock: what is kept with the inode, if it is this request, and of what is in the file now. */
static int ballot_request(const struct ballot *b, struct export_request *q, struct errmsg *msg)
{
	int rc = request_get(b->inode, q);

	if (rc == 0 && (q->id != b->id || q->version != b->inode->version || b->inode->nlink == 0))
		rc = stale(b, msg);
	return rc;
}

/* ---- votes ---------------------------------------------------------------------------------------------------------
 */

struct vote_record {
	struct meta_record record;
	int64_t id, uid, agree, now_s, expires_s;
	char *approver, *entitled, *reason;
};

static void vote_apply(struct meta_txn *txn, struct meta_record *r)
{
	const struct vote_record *v = container_of(r, struct vote_record, record);

	meta_txn_exec(txn,
		"INSERT OR REPLACE INTO approval_vote (approval, uid, approver, entitled, agree, voted_s, expires_s, "
		"reason) "
		"VALUES (?1, ?2, ?3, ?4, ?5, ?6, CASE ?7 WHEN 0 THEN NULL ELSE ?7 END, ?8)",
		"iittiiit", v->id, v->uid, v->approver, v->entitled, v->agree, v->now_s, v->expires_s, v->reason);
}

static void vote_free(struct meta_record *r)
{
	struct vote_record *v = container_of(r, struct vote_record, record);

	free(v->approver);
	free(v->entitled);
	free(v->reason);
	free(v);
}

static struct vote_record *vote_new(const struct ballot *b, const struct approval_vote *vote)
{
	struct vote_record *v = calloc(1, sizeof *v);

	if (!v)
		return NULL;
	*v = (struct vote_record){ .record = { .apply = vote_apply, .free = vote_free },
		.id = (int64_t)b->id,
		.uid = b->by->uid,
		.agree = vote->agree,
		.now_s = clock_real_ns() / NS_PER_S,
		.expires_s = vote->expires_ns == INT64_MAX ? 0 : vote->expires_ns / NS_PER_S,
		.approver = strdup(b->by->name),
		.entitled = strdup(b->entitled),
		.reason = strdup(vote->reason) };
	if (v->approver && v->entitled && v->reason)
		return v;
	vote_free(&v->record);
	return NULL;
}

/* What somebody said, with their words: a line of its own (I10). */
static void audit_said(const struct ballot *b, const char *what, const char *reason, int64_t expires_ns)
{
	json_t *facts = json_pack("{s:I, s:I, s:s, s:I, s:o, s:o}", "ino", (json_int_t)b->inode->ino, "request",
		(json_int_t)b->id, "what", what, "uid", (json_int_t)b->by->uid, "approver", json_bytes(b->by->name),
		"reason", json_bytes(reason));
	char *text;

	if (facts && b->entitled)
		json_object_set_new(facts, "entitled", json_bytes(b->entitled));
	if (facts && expires_ns != INT64_MAX)
		json_object_set_new(facts, "expires", json_integer(expires_ns / NS_PER_S));
	text = facts ? json_dumps(facts, JSON_COMPACT) : NULL;
	audit_file(b->place, "approval", b->inode->ino, text ? text : "{}");
	free(text);
	json_decref(facts);
}

/* uid, entitled, expires */
static int count_vote(void *ctx, struct meta_row *row)
{
	struct ballot *b = ctx;
	const char *entitled = meta_row_text(row, 1);
	int64_t expires_s = meta_row_i64(row, 2), expires_ns = expires_s ? expires_s * NS_PER_S : INT64_MAX;
	uid_t uid = (uid_t)meta_row_i64(row, 0);

	if (uid == b->by->uid || uid == b->owner_now || uid == b->owner || expires_ns <= clock_real_ns() || !entitled ||
		!strv_has(b->approving->approvers, entitled))
		return 0;
	b->votes++;
	b->expires_ns = expires_ns < b->expires_ns ? expires_ns : b->expires_ns;
	return 0;
}

static int may_vote(struct ballot *b, const struct approval_vote *vote, struct errmsg *msg)
{
	if (!b->entitled)
		return errmsg_set(msg, -ERR_HELD, "you are not among the approvers of zone %s: %s", b->approving->name,
			"whom its `approvers` names decides, the store's owner does not");
	meta_lock(b->place->meta);
	b->owner_now = b->inode->uid;
	meta_unlock(b->place->meta);
	if (vote->agree && (b->owner_now == b->by->uid || b->owner == b->by->uid))
		return errmsg_set(
			msg, -ERR_HELD, "request %" PRIu64 " is about your own file: somebody else must agree", b->id);
	if (vote->agree && b->state == REQUEST_DENIED)
		return errmsg_set(msg, -ERR_HELD,
			"request %" PRIu64 " was denied: `borderfs export withdraw %" PRIu64
			"` ends it, and it is asked anew",
			b->id, b->id);
	return 0;
}

/* Under the meta lock. */
static void settle(
	struct ballot *b, const struct approval_vote *vote, struct export_request *q, struct approval_result *out)
{
	bool was = q->votes >= out->needed && !q->denied, is;

	q->denied |= !vote->agree;
	q->votes = b->votes + vote->agree;
	q->expires_ns = vote->agree && vote->expires_ns < b->expires_ns ? vote->expires_ns : b->expires_ns;
	is = q->votes >= out->needed && !q->denied;
	audit_said(b, vote->agree ? "approved" : "denied", vote->reason, vote->expires_ns);
	if (is && !was)
		request_turn(b->place, b->id, b->inode->ino, q->left ? REQUEST_USED : REQUEST_APPROVED, q->expires_ns,
			"granted");
	else
		request_turn(b->place, b->id, b->inode->ino,
			q->denied ? REQUEST_DENIED
			: is	  ? (q->left ? REQUEST_USED : REQUEST_APPROVED)
				  : REQUEST_OPEN,
			q->expires_ns, NULL);
	out->votes = q->votes;
	out->granted = is;
	out->changed = is || was || q->denied;
	if (out->changed)
		place_changed(b->place, b->inode);
}

static int cast(struct ballot *b, const struct approval_vote *vote, struct approval_result *out, struct errmsg *msg)
{
	struct vote_record *v = vote_new(b, vote);
	struct export_request q = { 0 };
	int rc = v ? 0 : -ENOMEM;

	meta_lock(b->place->meta);
	if (rc == 0)
		rc = ballot_request(b, &q, msg);
	if (rc == 0) {
		meta_queue(b->place->meta, &v->record);
		v = NULL;
		settle(b, vote, &q, out);
		rc = request_set(b->place, b->inode, &q);
	}
	meta_unlock(b->place->meta);
	if (v)
		vote_free(&v->record);
	request_clear(&q);
	return rc;
}

int approval_vote(struct place *p, uint64_t request, const struct approver *by, const struct approval_vote *vote,
	struct approval_result *out, struct errmsg *msg)
{
	struct ballot b = { .place = p, .id = request, .by = by, .expires_ns = INT64_MAX };
	int rc;

	*out = (struct approval_result){ 0 };
	pthread_mutex_lock(&p->votes);
	rc = ballot_open(&b, msg);
	if (rc == 0 && (rc = may_vote(&b, vote, msg)) == 0 && (rc = cache_sync(p->cache, b.inode)) == 0 &&
		(rc = meta_xattrs_load(p->meta, b.inode)) == 0) {
		out->ino = b.inode->ino;
		out->needed = b.approving->approvals;
		rc = meta_select(p->meta,
			"SELECT uid, entitled, ifnull(expires_s, 0) FROM approval_vote WHERE approval = ?1 AND agree = "
			"1",
			count_vote, &b, "i", (int64_t)request);
		if (rc == 0)
			rc = cast(&b, vote, out, msg);
	}
	pthread_mutex_unlock(&p->votes);
	if (rc == 0)
		rc = meta_sync(p->meta);
	ballot_close(&b);
	return rc;
}

static int withdraw(struct ballot *b, const char *reason, struct errmsg *msg)
{
	static const struct export_request none;
	struct export_request q = { 0 };
	int rc;

	meta_lock(b->place->meta);
	/* the content may be another by now: then all the more */
	rc = request_get(b->inode, &q);
	if (rc == 0 && q.id != b->id)
		rc = stale(b, msg);
	if (rc == 0 && (rc = request_set(b->place, b->inode, &none)) == 0) {
		audit_said(b, "withdrawn", reason, INT64_MAX);
		request_turn(b->place, b->id, b->inode->ino, REQUEST_WITHDRAWN, q.expires_ns, NULL);
		place_changed(b->place, b->inode);
	}
	meta_unlock(b->place->meta);
	request_clear(&q);
	return rc;
}

int approval_withdraw(struct place *p, uint64_t request, const struct approver *by, const char *reason,
	struct approval_result *out, struct errmsg *msg)
{
	struct ballot b = { .place = p, .id = request, .by = by };
	int rc;

	*out = (struct approval_result){ 0 };
	pthread_mutex_lock(&p->votes);
	rc = ballot_open(&b, msg);
	if (rc == 0 && !b.entitled && b.state == REQUEST_DENIED)
		rc = errmsg_set(msg, -ERR_HELD,
			"request %" PRIu64 " was denied: only an approver may have it asked anew", request);
	if (rc == 0 && (rc = meta_xattrs_load(p->meta, b.inode)) == 0 && (rc = withdraw(&b, reason, msg)) == 0) {
		out->ino = b.inode->ino;
		out->changed = true;
	}
	pthread_mutex_unlock(&p->votes);
	if (rc == 0)
		rc = meta_sync(p->meta);
	ballot_close(&b);
	return rc;
}
