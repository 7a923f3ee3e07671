/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What approvers ask and say (I9). Who they are is the kernel's word about the socket, as of when they connected. */
#include "fs/control/facts.h"
#include "fs/control/ops.h"
#include "fs/control/sock.h"
#include "fs/place/approval.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct asker {
	struct control *control;
	struct request *request;
	struct config *config; /* referenced */
	struct approver who;
	gid_t *groups; /* malloc'd */
	char name[256];
};

static void user_name(uid_t uid, char *out, size_t len)
{
	struct passwd pw, *found = NULL;
	char text[16384];

	getpwuid_r(uid, &pw, text, sizeof text, &found);
	if (found)
		snprintf(out, len, "%s", pw.pw_name);
	else
		snprintf(out, len, "uid:%u", uid);
}

static int asker_open(struct asker *a, struct request *r)
{
	size_t count = 0;
	int rc = sock_peer_groups(r->sock, &a->groups, &count);

	a->control = r->ctx;
	a->request = r;
	a->config = core_config(a->control->options.core);
	user_name(r->uid, a->name, sizeof a->name);
	a->who = (struct approver){ r->uid, a->groups, count, r->owner, a->name };
	if (rc == 0 && !r->owner && !approval_any(core_place(a->control->options.core), &a->who))
		rc = errmsg_set(r->msg, -EACCES, "you are not among the approvers of any zone of this store");
	return rc;
}

static void asker_close(struct asker *a)
{
	config_put(a->config);
	free(a->groups);
}

/* ---- list ----------------------------------------------------------------------------------------------------- */

static json_t *said_facts(const struct approval_row *row)
{
	json_t *list = json_array();

	for (size_t i = 0; i < row->said_count; i++) {
		const struct approval_said *s = &row->said[i];

		json_array_append_new(list,
			json_pack("{s:s, s:I, s:b, s:s, s:I, s:o}", "approver", s->approver, "uid", (json_int_t)s->uid,
				"agrees", s->agree, "reason", s->reason, "time", (json_int_t)s->voted_s, "expires",
				s->expires_s ? json_integer(s->expires_s) : json_null()));
	}
	return list;
}

static int zone_set(struct asker *a, json_t *line, const char *key, uint32_t zone_id)
{
	char *name = place_zone_name(core_place(a->control->options.core), zone_id);
	int rc = json_object_set_new(line, key, name ? json_string(name) : json_null());

	free(name);
	return rc;
}

static json_t *countries(struct asker *a, uint32_t zone_id)
{
	const struct config_zone *zone = place_zone(core_place(a->control->options.core), a->config, zone_id);
	json_t *list = json_array();

	for (size_t i = 0; zone && zone->countries && zone->countries[i]; i++)
		json_array_append_new(list, json_string(zone->countries[i]));
	return list;
}

static int send_row(void *ctx, const struct approval_row *row)
{
	struct asker *a = ctx;
	char owner[256];
	json_t *line;

	user_name(row->owner, owner, sizeof owner);
	line = json_pack("{s:I, s:s, s:I, s:I, s:s?, s:o, s:s, s:I, s:I, s:o, s:I, s:o}", "request",
		(json_int_t)row->id, "state", row->state, "size", (json_int_t)row->size, "content",
		(json_int_t)row->version, "rule", row->rule, "countries", countries(a, row->to_zone_id), "owner", owner,
		"asked", (json_int_t)row->asked_s, "since", (json_int_t)row->turned_s, "expires",
		row->expires_s ? json_integer(row->expires_s) : json_null(), "needed", (json_int_t)row->needed, "votes",
		said_facts(row));
	if (line && (facts_set_bytes(line, "path", row->path, row->path_len) < 0 ||
			    zone_set(a, line, "from", row->from_zone_id) < 0 ||
			    zone_set(a, line, "to", row->to_zone_id) < 0)) {
		json_decref(line);
		line = NULL;
	}
	return request_send(a->request, line);
}

int op_export_list(struct request *r)
{
	struct asker a = { 0 };
	int rc = asker_open(&a, r);

	json_object_set_new(r->last, "mountpoint", json_string(a.control->options.mountpoint));
	if (rc == 0)
		rc = approval_list(core_place(a.control->options.core), &a.who,
			json_is_true(json_object_get(r->body, "all")), send_row, &a);
	asker_close(&a);
	return rc;
}

/* ---- votes ---------------------------------------------------------------------------------------------------- */

/* What is said about each of the requests: 0, or how it was refused. */
struct saying {
	bool withdraw;
	struct approval_vote vote;
};

static int saying_read(const struct request *r, struct saying *s)
{
	const json_t *expires = json_object_get(r->body, "expires");
	const char *reason = json_string_value(json_object_get(r->body, "reason"));
	json_int_t at = json_integer_value(expires);

	s->vote = (struct approval_vote){ json_is_true(json_object_get(r->body, "agree")), reason, INT64_MAX };
	if (!reason || !*reason || strlen(reason) > APPROVAL_REASON_MAX)
		return errmsg_set(r->msg, -EINVAL, "a legal basis, or a reason, of 1 to %d bytes is to be stated",
			APPROVAL_REASON_MAX);
	if (!expires || json_is_null(expires))
		return 0;
	if (!json_is_integer(expires) || at <= 0 || at > INT64_MAX / NS_PER_S)
		return errmsg_set(r->msg, -EINVAL, "the time at which the approval expires is none");
	s->vote.expires_ns = at * NS_PER_S;
	if (s->vote.expires_ns <= clock_real_ns())
		return errmsg_set(r->msg, -EINVAL, "the time at which the approval expires has passed");
	return 0;
}

static int say_one(
	struct asker *a, const struct saying *s, uint64_t id, struct approval_result *out, struct errmsg *msg)
{
	struct core *core = a->control->options.core;
	int rc = s->withdraw ? approval_withdraw(core_place(core), id, &a->who, s->vote.reason, out, msg)
			     : approval_vote(core_place(core), id, &a->who, &s->vote, out, msg);

	if (rc == 0 && out->changed) {
		/* what may no longer go is cut before anybody hears that it may not */
		transfer_revalidate(core_transfer(core), out->ino);
		transfer_judge(core_transfer(core), out->ino);
	}
	return rc;
}

/* 0 or an error of the connection; *refused: that of the request. */
static int say(struct asker *a, const struct saying *s, const json_t *request, int *refused)
{
	struct approval_result result = { 0 };
	struct errmsg msg = { 0 };
	json_t *line;

	*refused = json_is_integer(request) ? say_one(a, s, (uint64_t)json_integer_value(request), &result, &msg)
					    : errmsg_set(&msg, -EINVAL, "a request is a number");
	line = json_pack("{s:O, s:s, s:I, s:I}", "request", request, "outcome",
		*refused < 0	 ? err_name(*refused)
		: s->withdraw	 ? "withdrawn"
		: !s->vote.agree ? "denied"
		: result.granted ? "granted"
				 : "counted",
		"votes", (json_int_t)result.votes, "needed", (json_int_t)result.needed);
	if (line && *refused < 0)
		json_object_set_new(line, "message", json_string(errmsg_text(&msg, *refused)));
	errmsg_free(&msg);
	return request_send(a->request, line);
}

static int say_all(struct asker *a, const struct saying *s)
{
	const json_t *list = json_object_get(a->request->body, "requests");
	size_t count = json_array_size(list), failed = 0;
	int worst = 0, rc = 0, refused;

	if (!count)
		return errmsg_set(a->request->msg, -EINVAL, "no request is named");
	for (size_t i = 0; i < count && rc == 0; i++) {
		rc = say(a, s, json_array_get(list, i), &refused);
		failed += refused < 0;
		worst = worst == 0 || refused == -ERR_HELD ? (refused < 0 ? refused : worst) : worst;
	}
	if (rc == 0 && worst < 0)
		rc = errmsg_set(a->request->msg, worst, "%zu of %zu requests stay as they were", failed, count);
	return rc;
}

static int op_say(struct request *r, bool withdraw)
{
	struct saying s = { .withdraw = withdraw };
	struct asker a = { 0 };
	int rc = asker_open(&a, r);

	if (rc == 0 && (rc = saying_read(r, &s)) == 0)
		rc = say_all(&a, &s);
	asker_close(&a);
	return rc;
}

int op_export_vote(struct request *r)
{
	return op_say(r, false);
}

int op_export_withdraw(struct request *r)
{
	return op_say(r, true);
}
