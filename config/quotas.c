/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sections [quota NAME]. */
#include "config/load.h"
#include "config/owner.h"

#include <stdlib.h>
#include <string.h>

/* A name first: a user may be called by digits. */
static bool key_owner(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	struct config_quota *q = target;

	(void)k;
	q->group = strcmp(e->key, "group") == 0;
	if (!(q->group ? owner_group : owner_user)(e->value, &q->id) && !owner_number(e->value, &q->id))
		return false;
	free(q->owner);
	q->owner = strdup(e->value);
	l->no_memory |= !q->owner;
	return true;
}

static const struct key quota_keys[] = {
	{ .name = "owner", .parse = key_owner, .expected = "a user that exists here, or a user's number" },
	{ .name = "group", .parse = key_owner, .expected = "a group that exists here, or a group's number" },
	{ .name = "bytes",
		.parse = key_size,
		.offset = offsetof(struct config_quota, bytes_max),
		.min = 1,
		.expected = "a size, such as 10G" },
	{ .name = "inodes",
		.parse = key_size,
		.offset = offsetof(struct config_quota, inodes_max),
		.min = 1,
		.expected = "a number, such as 100K" },
	{ 0 },
};

static void check_keys(struct load *l, const struct doc_section *s)
{
	bool owner = doc_entry_find(s, "owner"), group = doc_entry_find(s, "group");

	if (owner && group)
		load_error(l, section_origin(s, "group"), "[quota %s] has both \"owner\" and \"group\"; expected one",
			s->name);
	if (!owner && !group)
		load_error(
			l, &s->origin, "[quota %s] has neither \"owner\" nor \"group\"; expected one of them", s->name);
	if (!doc_entry_find(s, "bytes") && !doc_entry_find(s, "inodes"))
		load_error(l, &s->origin, "[quota %s] bounds nothing; expected \"bytes\", \"inodes\" or both", s->name);
}

/* Which of two bounds holds nobody should have to guess. */
static void check_owner(struct load *l, const struct doc_section *s, const struct config_quota *q)
{
	for (size_t i = 0; i < l->c->quota_count; i++) {
		const struct config_quota *other = l->c->quotas[i];

		if (other == q || !other->owner || other->group != q->group || other->id != q->id)
			continue;
		load_error(l, section_origin(s, q->group ? "group" : "owner"),
			"%s %s has a quota already, [quota %s] at %s:%d; expected one section for each",
			q->group ? "group" : "user", q->owner, other->name, other->origin.file, other->origin.line);
		return;
	}
}

static void load_quota(struct load *l, const struct doc_section *s, struct config_quota *q)
{
	q->origin = s->origin;
	q->name = strdup(s->name);
	l->no_memory |= !q->name;
	keys_apply(l, s, quota_keys, q, 0, NULL);
	check_keys(l, s);
	if (q->owner)
		check_owner(l, s, q);
}

void load_quotas(struct load *l)
{
	const struct doc_section *s;
	size_t i = 0;

	while ((s = load_next(l, "quota", &i))) {
		struct config_quota *q, **v;

		q = calloc(1, sizeof *q);
		v = q ? realloc(l->c->quotas, (l->c->quota_count + 1) * sizeof *v) : NULL;
		if (!v) {
			free(q);
			l->no_memory = true;
			return;
		}
		l->c->quotas = v;
		v[l->c->quota_count++] = q;
		load_quota(l, s, q);
	}
}
