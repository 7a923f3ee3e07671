/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/facts.h"

static const char *state_name(enum move_state state)
{
	static const char *const names[] = { "under-way", "done", "cancelled" };

	return names[state];
}

/* The speed that meets a deadline; null: there is none, or it has passed. */
static json_t *needed(uint64_t bytes, int64_t deadline_s, int64_t now_s)
{
	if (deadline_s <= now_s)
		return json_null();
	return json_integer((json_int_t)(bytes / (uint64_t)(deadline_s - now_s)));
}

static json_t *text(const char *value)
{
	return value && *value ? json_string(value) : json_null();
}

json_t *facts_move_plan(const struct transfer_move_plan *p, int64_t deadline_s, int64_t now_s)
{
	const struct config_zone *to = p->to ? p->to->zone : p->from->zone;

	return json_pack("{s:s, s:o, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "from", p->from->name, "to",
		text(p->to ? p->to->name : NULL), "into", p->others, "from_zone", p->from->zone->name, "to_zone",
		to->name, "from_kind", facts_kind(p->from->zone->kind), "files", (json_int_t)p->there.files, "objects",
		(json_int_t)p->there.objects, "bytes", (json_int_t)p->there.bytes, "limit_bytes_per_s",
		(json_int_t)p->limit_bytes_per_s, "deadline_s", (json_int_t)deadline_s, "needed_bytes_per_s",
		needed(p->there.bytes, deadline_s, now_s));
}

json_t *facts_move(const struct transfer_move *m, int64_t now_s)
{
	const struct move_order *o = &m->order;

	return json_pack(
		"{s:I, s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, "
		"s:b, s:o, s:o}",
		"order", (json_int_t)o->id, "state", state_name(o->state), "from", m->from, "to", text(m->to),
		"asked_s", (json_int_t)o->asked_s, "asked_uid", (json_int_t)o->uid, "deadline_s",
		(json_int_t)o->deadline_s, "ended_s", (json_int_t)o->ended_s, "files", (json_int_t)o->there.files,
		"objects", (json_int_t)o->there.objects, "bytes", (json_int_t)o->there.bytes, "moved",
		(json_int_t)o->moved, "moved_bytes", (json_int_t)o->moved_bytes, "deleted", (json_int_t)o->deleted,
		"left_objects", (json_int_t)m->left.objects, "left_bytes", (json_int_t)m->left.bytes, "bytes_per_s",
		(json_int_t)m->bytes_per_s, "needed_bytes_per_s", needed(m->left.bytes, o->deadline_s, now_s),
		"seconds_left", m->seconds_left < 0 ? json_null() : json_integer(m->seconds_left), "late", m->late,
		"trouble", text(m->trouble), "receipt", text(o->receipt));
}
