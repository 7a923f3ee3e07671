/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/place/internal.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool same_rule(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static uint32_t flags_after(const struct inode *inode, const struct placement *p)
{
	uint32_t flags = inode->flags & ~INODE_AWAITING;

	if (p->unmark)
		flags &= ~(uint32_t)INODE_HELD;
	if (p->mark_held)
		flags |= INODE_HELD;
	flags &= ~(uint32_t)INODE_PINNED_RULE;
	if (p->pin)
		flags |= INODE_PINNED_RULE;
	return p->state == PLACEMENT_FREE ? flags : flags | INODE_AWAITING;
}

static int64_t due_after(const struct placement *p)
{
	return p->next_due_ns == INT64_MAX ? 0 : p->next_due_ns;
}

static void audit_placement(struct place *p, const struct inode *inode, const struct placement *at)
{
	static const char *const states[] = {
		[PLACEMENT_FREE] = "free", [PLACEMENT_HELD] = "held", [PLACEMENT_AWAITING] = "awaiting"
	};
	json_t *facts = json_pack("{s:I, s:I, s:I, s:I, s:s?, s:I, s:s}", "ino", (json_int_t)inode->ino, "from",
		(json_int_t)inode->zone_id, "to", (json_int_t)at->zone_id, "wanted", (json_int_t)at->wanted_zone_id,
		"rule", at->rule, "rules", (json_int_t)at->rules_version, "state", states[at->state]);
	char *text;

	if (facts && at->approved)
		json_object_set_new(facts, "request", json_integer((json_int_t)at->asked.id));
	text = facts ? json_dumps(facts, JSON_COMPACT) : NULL;
	audit_file(p, at->export ? "export" : "placement", inode->ino, text ? text : "{}");
	free(text);
	json_decref(facts);
}

/* Under the meta lock. */
static void adopt(struct place *p, struct inode *inode, const struct placement *at, char *rule)
{
	/* a pin places nothing */
	if (inode->zone_id != at->zone_id || !same_rule(inode->rule, at->rule) ||
		((flags_after(inode, at) ^ inode->flags) & ~(uint32_t)INODE_PINNED_RULE))
		audit_placement(p, inode, at);
	if (inode->zone_id && inode->zone_id != at->zone_id)
		crossing_add(p, inode->zone_id, at->zone_id, 1, 0);
	inode->flags = flags_after(inode, at);
	inode->zone_id = at->zone_id;
	inode->rules_version = at->rules_version;
	inode->due_ns = due_after(at);
	free(inode->rule);
	inode->rule = rule;
	meta_inode_changed(p->meta, inode);
}

/* Under the meta lock. */
static int apply(struct place *p, struct inode *inode, const struct placement *at, const struct buf *path, char **rule)
{
	int rc;

	if (inode->place_gen != at->gen || atomic_load(&p->epoch) != at->epoch || inode->nlink == 0)
		return -ERR_STALE;
	if ((rc = request_apply(p, inode, at, path)) < 0)
		return rc;
	if (inode->zone_id == at->zone_id && inode->rules_version == at->rules_version &&
		inode->due_ns == due_after(at) && inode->flags == flags_after(inode, at) &&
		same_rule(inode->rule, at->rule))
		return 0;
	adopt(p, inode, at, *rule);
	*rule = NULL;
	return 0;
}

int place_apply(struct place *p, struct inode *inode, const struct placement *at)
{
	char *rule = at->rule ? strdup(at->rule) : NULL;
	struct buf path = BUF_INIT;
	int rc = at->rule && !rule ? -ENOMEM : 0;
	uint32_t flags;
	bool pin = false;

	if (rc == 0 && at->ask)
		rc = meta_path(p->meta, inode->ino, &path);
	if (rc == 0) {
		meta_lock(p->meta);
		flags = inode->flags;
		rc = apply(p, inode, at, &path, &rule);
		pin = (inode->flags ^ flags) & INODE_PINNED_RULE;
		meta_unlock(p->meta);
	}
	if (pin)
		cache_pinned(p->cache, inode);
	buf_free(&path);
	free(rule);
	return rc == -ENOENT ? -ERR_STALE : rc;
}

int place_still(struct place *p, struct inode *inode, uint32_t zone_id, uint64_t *gen, uint64_t *epoch)
{
	struct placement now;
	bool same_gen, sure;
	int rc;

	meta_lock(p->meta);
	same_gen = inode->place_gen == *gen && inode->nlink > 0;
	/* an approval may expire, and is of one content */
	sure = atomic_load(&p->epoch) == *epoch && !(inode->flags & INODE_ASKED);
	meta_unlock(p->meta);
	if (!same_gen)
		return -ERR_REVOKED;
	if (sure)
		return 0;
	rc = place_evaluate(p, inode, &now);
	if (rc < 0 || now.zone_id != zone_id || now.gen != *gen)
		rc = -ERR_REVOKED;
	*epoch = rc == 0 ? now.epoch : *epoch;
	placement_free(&now);
	return rc;
}

int place_stays(struct place *p, struct inode *inode, uint32_t zone_id, uint64_t *gen, uint64_t *epoch)
{
	struct placement now;
	int rc = place_evaluate(p, inode, &now);

	if (rc == 0 && (now.zone_id != zone_id || now.want_content))
		rc = -ERR_REVOKED;
	if (rc == 0) {
		*gen = now.gen;
		*epoch = now.epoch;
	}
	placement_free(&now);
	return rc;
}
