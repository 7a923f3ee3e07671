/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is asked of approvers, for those who decide and those who ask later. */
#include "fs/place/approval.h"
#include "fs/place/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct listing {
	struct place *place;
	struct config *config;
	const struct approver *by;
	int (*fn)(void *ctx, const struct approval_row *);
	void *ctx;
};

struct said {
	struct approval_said *v; /* strings malloc'd */
	size_t count;
};

static int take_said(void *ctx, struct meta_row *row)
{
	struct said *s = ctx;
	struct approval_said *v = realloc(s->v, (s->count + 1) * sizeof *v), *one;

	if (!v)
		return -ENOMEM;
	s->v = v;
	one = &v[s->count++];
	*one = (struct approval_said){ .uid = (uid_t)meta_row_i64(row, 0),
		.approver = strdup(meta_row_text(row, 1)),
		.agree = meta_row_i64(row, 2),
		.voted_s = meta_row_i64(row, 3),
		.expires_s = meta_row_i64(row, 4),
		.reason = strdup(meta_row_text(row, 5)) };
	return one->approver && one->reason ? 0 : -ENOMEM;
}

static void said_free(struct said *s)
{
	for (size_t i = 0; i < s->count; i++) {
		free((char *)s->v[i].approver);
		free((char *)s->v[i].reason);
	}
	free(s->v);
}

static const char *state_name(int64_t state)
{
	static const char *const names[] = { [REQUEST_OPEN] = "open",
		[REQUEST_APPROVED] = "approved",
		[REQUEST_DENIED] = "denied",
		[REQUEST_USED] = "used",
		[REQUEST_EXPIRED] = "expired",
		[REQUEST_SUPERSEDED] = "superseded",
		[REQUEST_WITHDRAWN] = "withdrawn" };

	return state >= 0 && state <= REQUEST_WITHDRAWN ? names[state] : "unknown";
}

/* By the name it has now: that is the file they decide about. */
static void row_path(struct listing *l, struct approval_row *r, struct buf *now)
{
	if (r->over || meta_path(l->place->meta, r->ino, now) < 0 || now->err)
		return;
	r->path = (const char *)now->data;
	r->path_len = now->len;
}

static int take_row(void *ctx, struct meta_row *row)
{
	struct listing *l = ctx;
	struct approval_row r = { .id = (uint64_t)meta_row_i64(row, 0),
		.ino = (uint64_t)meta_row_i64(row, 1),
		.version = (uint64_t)meta_row_i64(row, 2),
		.size = (uint64_t)meta_row_i64(row, 4),
		.owner = (uid_t)meta_row_i64(row, 5),
		.from_zone_id = (uint32_t)meta_row_i64(row, 6),
		.to_zone_id = (uint32_t)meta_row_i64(row, 7),
		.rule = meta_row_text(row, 8),
		.asked_s = meta_row_i64(row, 9),
		.state = state_name(meta_row_i64(row, 10)),
		.over = meta_row_i64(row, 10) >= REQUEST_EXPIRED,
		.turned_s = meta_row_i64(row, 11),
		.expires_s = meta_row_i64(row, 12) };
	const struct config_zone *from = place_zone(l->place, l->config, r.from_zone_id);
	struct buf path = BUF_INIT;
	struct said said = { 0 };
	int rc;

	from = from ? from : l->config->home;
	if (!l->by->owner && !approval_entitled(l->config, from, l->by))
		return 0;
	r.path = meta_row_blob(row, 3, &r.path_len);
	r.needed = policy_approving(from, l->config->home)->approvals;
	row_path(l, &r, &path);
	rc = meta_select(l->place->meta,
		"SELECT uid, approver, agree, voted_s, ifnull(expires_s, 0), reason FROM approval_vote WHERE approval "
		"= ?1 "
		"ORDER BY voted_s, uid",
		take_said, &said, "i", (int64_t)r.id);
	r.said = said.v;
	r.said_count = said.count;
	if (rc == 0)
		rc = l->fn(l->ctx, &r);
	said_free(&said);
	buf_free(&path);
	return rc;
}

#define SELECT_ROWS                                                                                                    \
	"SELECT id, ino, version, path, size, owner, from_zone, to_zone, rule, asked_s, state, turned_s, "             \
	"ifnull(expires_s, 0) FROM approval "

int approval_list(struct place *p, const struct approver *by, bool over,
	int (*fn)(void *ctx, const struct approval_row *), void *ctx)
{
	struct listing l = { p, place_config(p), by, fn, ctx };
	int rc = meta_select(p->meta,
		over ? SELECT_ROWS "ORDER BY id" : SELECT_ROWS "INDEXED BY approval_now WHERE state < 4 ORDER BY id",
		take_row, &l, "");

	config_put(l.config);
	return rc;
}

static int take_number(void *ctx, struct meta_row *row)
{
	*(int64_t *)ctx = meta_row_i64(row, 0);
	return 0;
}

int64_t approval_waiting(struct place *p)
{
	int64_t count = 0;
	int rc = meta_select(p->meta,
		"SELECT count(*) FROM approval INDEXED BY approval_now WHERE state < 4 AND state = 0", take_number,
		&count, "");

	return rc < 0 ? rc : count;
}
