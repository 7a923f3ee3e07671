/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a reload would do to a file: the same steps, of the same program, as it takes, but nothing of it is kept. */
#include "fs/place/internal.h"

#include <errno.h>
#include <string.h>

/* A reload first marks what is at home by a rule in force. */
static int hold_first(struct subject *s, const struct buf *names)
{
	struct placement now;
	struct judged wanted;
	int rc;

	if (s->flags & INODE_HELD)
		return 0;
	rc = subject_place(s, names, &wanted, &now);
	if (rc == 0 && now.kind == ZONE_DOMESTIC && now.mark_held && !now.want_content) {
		s->flags |= INODE_HELD;
		s->zone_id = now.zone_id;
	}
	placement_free(&now);
	return rc;
}

/* Where it is now. What was never placed, or whose zone nobody knows any more, counts as being at home. */
static const struct config_zone *zone_of(const struct subject *s, struct config *now)
{
	const struct config_zone *zone = place_zone(s->place, s->config, s->zone_id);

	if (!zone)
		zone = place_zone(s->place, now, s->zone_id);
	return zone ? zone : s->config->home;
}

/* Zones that only the new configuration has are not numbered yet. */
static void fill(const struct subject *s, const struct judged *wanted, const struct placement *at, struct forecast *out)
{
	out->wanted = wanted->zone;
	out->rule = wanted->rule;
	out->reason = at->reason;
	out->size = s->size;
	out->unsure = s->content_missing;
	out->to = at->state == PLACEMENT_FREE ? wanted->zone : place_zone(s->place, s->config, at->zone_id);
	if (!out->to)
		out->to = s->config->home;
}

static int judge_by(struct subject *s, struct config *config, const struct buf *names, struct forecast *out)
{
	struct config *now = s->config;
	struct placement at;
	struct judged wanted;
	int rc = hold_first(s, names);

	if (rc < 0)
		return rc;
	s->config = config;
	out->from = zone_of(s, now);
	rc = subject_place(s, names, &wanted, &at);
	if (rc == 0)
		fill(s, &wanted, &at, out);
	placement_free(&at);
	s->config = now;
	return rc;
}

int place_forecast(struct place *p, struct config *config, struct inode *inode, struct forecast *out)
{
	struct buf names = BUF_INIT;
	struct subject s;
	int rc = subject_init(&s, p, inode);

	*out = (struct forecast){ 0 };
	if (rc == 0)
		rc = names_collect(p->meta, inode->ino, &names);
	if (rc == 0)
		rc = judge_by(&s, config, &names, out);
	subject_free(&s);
	buf_free(&names);
	return rc;
}
