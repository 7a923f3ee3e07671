/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Orders to empty a backend: which may be given, and what became of the newest. */
#include "fs/transfer/internal.h"

#include "config/rules.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- what may be ordered
 * ------------------------------------------------------------------------------------------------ */

static int check_free(struct transfer *t, struct errmsg *msg)
{
	const struct endpoint *s;
	int rc = 0;

	pthread_mutex_lock(&t->lock);
	if (t->drain.order.id) {
		s = endpoint_by_id(t, t->drain.order.from);
		rc = errmsg_set(msg, -EBUSY,
			"backend '%s' is being emptied: wait for its end (`borderfs move --status`), or stop it with "
			"`borderfs move --cancel`",
			s ? s->backend->config->name : "?");
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

static int unknown(const struct config *config, const char *name, struct errmsg *msg)
{
	struct buf known = BUF_INIT;
	int rc;

	for (size_t i = 0; i < config->backend_count; i++)
		buf_printf(&known, "%s%s", i ? ", " : "", config->backends[i]->name);
	buf_put(&known, "", 1);
	rc = errmsg_set(msg, -ENOENT, "there is no backend '%s' in the configuration; there are: %s", name,
		known.err ? "?" : (const char *)known.data);
	buf_free(&known);
	return rc;
}

static int find(struct transfer *t, struct transfer_move_plan *p, const char *name, const struct config_backend **out,
	uint32_t *id, struct errmsg *msg)
{
	*id = 0;
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->endpoints.count; i++) {
		const struct endpoint *s = t->endpoints.v[i];

		if (strcmp(s->backend->config->name, name) == 0)
			*id = s->id;
	}
	pthread_mutex_unlock(&t->lock);
	for (size_t i = 0; *id && i < p->config->backend_count; i++)
		if (strcmp(p->config->backends[i]->name, name) == 0)
			*out = p->config->backends[i];
	return *id && *out ? 0 : unknown(p->config, name, msg);
}

static int check_modes(struct transfer *t, const struct transfer_move_plan *p, struct errmsg *msg)
{
	int closed = p->to ? meta_move_closed(t->meta, p->to_id) : 0;

	if (p->from == p->to)
		return errmsg_set(msg, -EINVAL, "backend '%s' cannot be moved into itself", p->from->name);
	if (p->from->mode == MODE_READONLY)
		return errmsg_set(msg, -ERR_FROZEN,
			"backend '%s' has mode = readonly, so nothing could be deleted there: set mode = frozen, and "
			"reload",
			p->from->name);
	if (p->to && p->to->mode != MODE_READWRITE)
		return errmsg_set(msg, -ERR_FROZEN,
			"backend '%s' takes no new objects: set mode = readwrite there, and reload", p->to->name);
	if (closed > 0)
		return errmsg_set(msg, -ERR_FROZEN,
			"backend '%s' was emptied and takes no new objects: `borderfs move --cancel %s` opens it again",
			p->to->name, p->to->name);
	return closed;
}

/* The others of the zone, by name. */
static int check_others(struct transfer *t, struct transfer_move_plan *p, struct errmsg *msg)
{
	const struct config_zone *zone = p->from->zone;
	struct buf names = BUF_INIT;
	unsigned open = 0;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->endpoints.count; i++) {
		const struct endpoint *s = t->endpoints.v[i];
		const struct config_backend *b = s->backend->config;

		if (s->id == p->from_id || strcmp(b->zone->name, zone->name) != 0 || b->mode != MODE_READWRITE ||
			s->closed)
			continue;
		buf_printf(&names, "%s%s", open++ ? ", " : "", b->name);
	}
	pthread_mutex_unlock(&t->lock);
	buf_put(&names, "", 1);
	if (names.err)
		return names.err;
	p->others = buf_steal(&names);
	if (!open)
		return errmsg_set(msg, -ENOSPC,
			"zone '%s' has no other backend than '%s' that takes new objects: add one to its backends, and "
			"reload",
			zone->name, p->from->name);
	if (open < zone->copies)
		return errmsg_set(msg, -ENOSPC,
			"zone '%s' keeps %u copies, and without '%s' only %u of its backends would take any: add one, "
			"or lower copies, and reload",
			zone->name, zone->copies, p->from->name, open);
	return 0;
}

/* ---- between zones: the rules decide, not this
 * ------------------------------------------------------------------------------ */

static int check_rules(const struct transfer_move_plan *p, struct errmsg *msg)
{
	const struct config_zone *from = p->from->zone, *to = p->to->zone;

	for (size_t i = 0; i < rules_count(p->config); i++) {
		const struct rule *rule = rules_at(p->config, i);
		const struct config_origin *at = rule_origin(rule);

		if (rule_zone(rule) == from)
			return errmsg_set(msg, -ERR_HELD,
				"rule '%s' (%s:%u) places files in zone '%s', and '%s' lies in zone '%s': change it to "
				"zone = %s and reload, then move",
				rule_name(rule), at->file, at->line, from->name, p->to->name, to->name, to->name);
	}
	if (p->config->home == from)
		return errmsg_set(msg, -ERR_HELD,
			"'%s' lies in zone '%s', the home of whatever no rule decides, and '%s' in zone '%s': its "
			"files would come back. Move it into another backend of zone '%s'",
			p->from->name, from->name, p->to->name, to->name, from->name);
	return 0;
}

static int count_row(void *ctx, struct meta_row *row)
{
	*(uint64_t *)ctx = (uint64_t)meta_row_i64(row, 0);
	return 0;
}

/* No rule wants them there, and nothing is about to be judged: only the export policy keeps them (I9). */
static int check_held(struct transfer *t, const struct transfer_move_plan *p, uint32_t zone_id, struct errmsg *msg)
{
	uint64_t kept = 0;
	int rc = meta_select(t->meta,
		"SELECT count(*) FROM inode i WHERE i.zone = ?1 AND (i.mode & 61440) = 32768 AND i.nlink > 0"
		" AND NOT EXISTS (SELECT 1 FROM pending p WHERE p.ino = i.ino)",
		count_row, &kept, "i", (int64_t)zone_id);

	if (rc < 0 || !kept)
		return rc;
	return errmsg_set(msg, -ERR_HELD,
		"%" PRIu64
		" files stay in zone '%s' by its export policy: `borderfs report` lists them, and only their "
		"approval, or another policy, lets them leave",
		kept, p->from->zone->name);
}

static int check_across(struct transfer *t, struct transfer_move_plan *p, struct errmsg *msg)
{
	int rc = check_rules(p, msg);

	if (rc == 0)
		rc = check_held(t, p, place_zone_id(t->place, p->from->zone), msg);
	p->others = rc == 0 ? strdup(p->to->name) : NULL;
	return rc < 0 ? rc : p->others ? 0 : -ENOMEM;
}

/* ---- the plan
 * ----------------------------------------------------------------------------------------------------------- */

void transfer_move_plan_free(struct transfer_move_plan *p)
{
	config_put(p->config);
	free(p->others);
	*p = (struct transfer_move_plan){ 0 };
}

static int check_swapped(struct transfer *t, const struct transfer_move_plan *p, struct errmsg *msg)
{
	struct move_count other = { 0 };
	int rc = 0;

	if (p->to && !p->there.objects)
		rc = meta_move_there(t->meta, p->to_id, &other);
	if (rc < 0 || !other.objects)
		return rc;
	return errmsg_set(msg, -EINVAL,
		"there is nothing on '%s', but %" PRIu64 " objects are on '%s': are they swapped? An empty backend is "
		"closed with `borderfs drain %s`",
		p->from->name, other.objects, p->to->name, p->from->name);
}

static void limits(struct transfer_move_plan *p)
{
	uint64_t down = p->from->download_limit, up = p->to ? p->to->upload_limit : 0;

	p->limit_bytes_per_s = down && up ? (down < up ? down : up) : down ? down : up;
}

static int plan(struct transfer *t, const char *from, const char *to, struct transfer_move_plan *p, struct errmsg *msg)
{
	int rc;

	if ((rc = check_free(t, msg)) < 0 || (rc = find(t, p, from, &p->from, &p->from_id, msg)) < 0 ||
		(to && (rc = find(t, p, to, &p->to, &p->to_id, msg)) < 0) || (rc = check_modes(t, p, msg)) < 0)
		return rc;
	rc = !p->to || p->to->zone == p->from->zone ? check_others(t, p, msg) : check_across(t, p, msg);
	if (rc == 0)
		rc = meta_commit(t->meta);
	if (rc == 0)
		rc = meta_move_there(t->meta, p->from_id, &p->there);
	if (rc == 0)
		rc = check_swapped(t, p, msg);
	limits(p);
	return rc;
}

int transfer_move_plan(
	struct transfer *t, const char *from, const char *to, struct transfer_move_plan *p, struct errmsg *msg)
{
	int rc;

	*p = (struct transfer_move_plan){ .config = place_config(t->place) };
	if ((rc = plan(t, from, to, p, msg)) < 0)
		transfer_move_plan_free(p);
	return rc;
}

/* ---- an order is given, or taken back
 * ----------------------------------------------------------------------------------- */

static void audit_order(struct transfer *t, const struct move_order *o, const char *step)
{
	char facts[256];

	snprintf(facts, sizeof facts,
		"{\"order\":%" PRId64 ",\"step\":\"%s\",\"backend\":%u,\"into\":%u,\"uid\":%u,\"files\":%" PRIu64
		",\"objects\":%" PRIu64 ",\"bytes\":%" PRIu64 "}",
		o->id, step, o->from, o->to, o->uid, o->there.files, o->there.objects, o->there.bytes);
	meta_lock(t->meta);
	audit_append(t->place, "move", facts);
	meta_unlock(t->meta);
}

/* The source is closed before its objects are counted a last time, by whoever moves them. */
static int begin(struct transfer *t, const struct transfer_move_plan *p, uint32_t uid, int64_t deadline_s)
{
	struct move_order order = {
		.from = p->from_id, .to = p->to_id, .uid = uid, .deadline_s = deadline_s, .there = p->there
	};
	int rc = meta_move_begin(t->meta, &order);

	if (rc < 0)
		return rc;
	audit_order(t, &order, "ordered");
	pthread_mutex_lock(&t->lock);
	drain_begin(t, &order);
	pthread_mutex_unlock(&t->lock);
	log_info("backend '%s' is being emptied into %s: %" PRIu64 " objects, %" PRIu64 " bytes", p->from->name,
		p->others, p->there.objects, p->there.bytes);
	return 0;
}

int transfer_move_begin(
	struct transfer *t, const char *from, const char *to, uint32_t uid, int64_t deadline_s, struct errmsg *msg)
{
	struct transfer_move_plan p;
	int rc;

	pthread_mutex_lock(&t->moves);
	if ((rc = transfer_move_plan(t, from, to, &p, msg)) == 0) {
		rc = begin(t, &p, uid, deadline_s);
		transfer_move_plan_free(&p);
	}
	pthread_mutex_unlock(&t->moves);
	return rc;
}

/* The order that is meant, and its source. */
static int order_of(struct transfer *t, const char *from, struct move_order *order, struct errmsg *msg)
{
	struct transfer_move_plan p = { .config = place_config(t->place) };
	int rc = from ? find(t, &p, from, &p.from, &p.from_id, msg) : 0;

	if (rc == 0 && ((rc = meta_move_last(t->meta, p.from_id, order)) == -ENOENT ||
			       (rc == 0 && order->state == MOVE_CANCELLED)))
		rc = errmsg_set(msg, -ENOENT, "there is no order to cancel");
	transfer_move_plan_free(&p);
	return rc;
}

/* Nothing that comes there from now on may be taken for what is left: what proves that it is empty ends first. */
static void end_proof(struct transfer *t, const struct move_order *order)
{
	struct drain *d = &t->drain;

	pthread_mutex_lock(&t->lock);
	if (d->order.id == order->id)
		d->cancelled = true;
	while (d->order.id == order->id && d->proving && !t->stopping)
		pthread_cond_wait(&t->changed, &t->lock);
	pthread_mutex_unlock(&t->lock);
}

int transfer_move_cancel(struct transfer *t, const char *from, struct errmsg *msg)
{
	struct move_order order = { 0 };
	struct endpoint *s;
	int rc;

	pthread_mutex_lock(&t->moves);
	if ((rc = order_of(t, from, &order, msg)) == 0) {
		end_proof(t, &order);
		rc = meta_move_end(t->meta, order.id, MOVE_CANCELLED, NULL);
	}
	if (rc == 0) {
		audit_order(t, &order, "cancelled");
		pthread_mutex_lock(&t->lock);
		if ((s = endpoint_by_id(t, order.from)))
			s->closed = false;
		if (t->drain.order.id == order.id)
			drain_over(t);
		pthread_cond_broadcast(&t->upload);
		pthread_mutex_unlock(&t->lock);
	}
	pthread_mutex_unlock(&t->moves);
	move_order_free(&order);
	return rc;
}

/* ---- how it goes
 * -------------------------------------------------------------------------------------------------------- */

int transfer_move_status(struct transfer *t, struct transfer_move *out)
{
	const struct drain *d = &t->drain;
	int rc;

	*out = (struct transfer_move){ .seconds_left = -1 };
	if ((rc = meta_move_last(t->meta, 0, &out->order)) < 0)
		return rc;
	pthread_mutex_lock(&t->lock);
	if (d->order.id == out->order.id) {
		out->left = d->left;
		out->deletions = d->deletions;
		out->bytes_per_s = d->bytes_per_s;
		out->seconds_left = drain_seconds_left(d);
		out->late = d->late;
		memcpy(out->trouble, d->trouble, sizeof out->trouble);
	}
	pthread_mutex_unlock(&t->lock);
	out->from = meta_backend_name(t->meta, out->order.from);
	out->to = out->order.to ? meta_backend_name(t->meta, out->order.to) : NULL;
	if (out->from && (out->to || !out->order.to))
		return 0;
	transfer_move_free(out);
	return -ENOMEM;
}

void transfer_move_free(struct transfer_move *m)
{
	move_order_free(&m->order);
	free(m->from);
	free(m->to);
	*m = (struct transfer_move){ 0 };
}
