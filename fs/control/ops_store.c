/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/facts.h"
#include "fs/control/ops.h"
#include "fs/place/approval.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* ---- status --------------------------------------------------------------------------------------------------- */

static int add_usage(struct meta *meta, const struct config *config, json_t *to)
{
	struct meta_usage has, max;
	json_t *quotas = json_array();
	int rc = quotas ? 0 : -ENOMEM;

	meta_totals(meta, &has);
	meta_quota_whole(meta, &max);
	for (size_t i = 0; i < config->quota_count && rc == 0; i++) {
		const struct config_quota *q = config->quotas[i];
		struct meta_usage used;

		meta_usage(meta, q->group ? OWNER_GROUP : OWNER_USER, q->id, &used);
		if (json_array_append_new(quotas, facts_quota(q, &used)) < 0)
			rc = -ENOMEM;
	}
	if (json_object_set_new(to, "usage", facts_usage(&has, &max)) < 0 ||
		json_object_set_new(to, "quotas", quotas) < 0)
		rc = -ENOMEM;
	return rc;
}

static json_t *limit_facts(const struct rule_limit *l)
{
	return json_pack("{s:o, s:o}", "files", l->files ? json_integer((json_int_t)l->files) : json_null(), "bytes",
		l->bytes ? json_integer((json_int_t)l->bytes) : json_null());
}

static int add_limit(void *ctx, const struct rule *rule, const struct export_count *left)
{
	const struct rule_limit *warn = rule_warn_after(rule), *stop = rule_stop_after(rule);
	json_t *one = json_pack("{s:s, s:I, s:I, s:b, s:b, s:o, s:o}", "rule", rule_name(rule), "files",
		(json_int_t)left->files, "bytes", (json_int_t)left->bytes, "warn",
		rule_limit_reached(warn, left->files, left->bytes), "stop",
		rule_limit_reached(stop, left->files, left->bytes), "warn_after", limit_facts(warn), "stop_after",
		limit_facts(stop));

	return json_array_append_new(ctx, one) < 0 ? -ENOMEM : 0;
}

/* What waits for approvers, and what left in this month under rules that count. */
static int add_exports(struct place *place, json_t *to)
{
	int64_t waiting = approval_waiting(place);
	json_t *limits = json_array();
	int rc = limits ? place_limits(place, add_limit, limits) : -ENOMEM;

	if (waiting < 0 || rc < 0) {
		json_decref(limits);
		return rc < 0 ? rc : (int)waiting;
	}
	return json_object_set_new(
		       to, "exports", json_pack("{s:I, s:o}", "waiting", (json_int_t)waiting, "limits", limits)) < 0
		       ? -ENOMEM
		       : 0;
}

/* The order that is under way; null: there is none. */
static int add_move(struct transfer *transfer, json_t *to)
{
	struct transfer_move m;
	int rc = transfer_move_status(transfer, &m);
	json_t *facts = json_null();

	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (rc == 0 && m.order.state == MOVE_UNDER_WAY)
		facts = facts_move(&m, clock_real_ns() / NS_PER_S);
	if (rc == 0)
		transfer_move_free(&m);
	return json_object_set_new(to, "move", facts) < 0 ? -ENOMEM : 0;
}

int add_status(struct request *r, json_t *to)
{
	struct control *c = r->ctx;
	struct config *config = core_config(c->options.core);
	struct transfer_status status = { 0 };
	int rc = transfer_status(core_transfer(c->options.core), &status), failed = core_failed(c->options.core);
	json_t *facts = rc == 0 ? facts_status(config, &status, clock_real_ns()) : NULL;

	if (rc == 0 && (!facts || json_object_update(to, facts) < 0))
		rc = -ENOMEM;
	if (rc == 0)
		rc = add_usage(core_meta(c->options.core), config, to);
	if (rc == 0)
		rc = add_exports(core_place(c->options.core), to);
	if (rc == 0)
		rc = add_move(core_transfer(c->options.core), to);
	json_object_set_new(to, "pid", json_integer(getpid()));
	/* what made the store read-only */
	json_object_set_new(to, "failed", failed ? json_string(err_text(failed)) : json_null());
	json_decref(facts);
	transfer_status_free(&status);
	config_put(config);
	return rc;
}

int op_status(struct request *r)
{
	return add_status(r, r->last);
}

/* ---- reload --------------------------------------------------------------------------------------------------- */

/* An asker that has gone does not end it, but the daemon's end does. */
int op_reload(struct request *r)
{
	struct control *c = r->ctx;
	struct config_messages msgs = { 0 };
	struct control_reload *reload;
	int rc = control_reload_begin(&reload, c->options.core, c->options.mountpoint), rc2 = 0;

	if (rc < 0)
		return rc;
	request_outlast(r, control_reload_fd(reload));
	rc = control_reload_end(reload, &msgs, r->msg);
	for (size_t i = 0; i < msgs.count && rc2 == 0; i++)
		rc2 = request_send(r, facts_message(&msgs.v[i]));
	config_messages_free(&msgs);
	return rc < 0 ? rc : rc2;
}

/* ---- cache ---------------------------------------------------------------------------------------------------- */

int control_cache_drop(struct core *core, json_t *facts)
{
	struct cache_status after;
	uint64_t freed;
	/* only what is durably known to be on a backend may be dropped */
	int rc = meta_sync(core_meta(core));

	if (rc < 0)
		return rc;
	freed = cache_evict(core_cache(core), UINT64_MAX);
	cache_status(core_cache(core), &after);
	json_object_set_new(facts, "bytes_dropped", json_integer((json_int_t)freed));
	json_object_set_new(facts, "bytes_left", json_integer((json_int_t)after.bytes));
	json_object_set_new(facts, "bytes_dirty", json_integer((json_int_t)after.bytes_dirty));
	json_object_set_new(facts, "bytes_pinned", json_integer((json_int_t)after.bytes_pinned));
	return 0;
}

int op_cache_drop(struct request *r)
{
	struct control *c = r->ctx;

	return control_cache_drop(c->options.core, r->last);
}

/* ---- umount --------------------------------------------------------------------------------------------------- */

/* Answers when the daemon has ended its work. The asker unmounts by itself when it has the first line, as any umount
 * does, so that a busy mount is left alone. */
int op_umount(struct request *r)
{
	int rc = request_send(r, json_pack("{s:i}", "pid", (int)getpid()));

	return rc < 0 ? rc : request_park(r);
}
