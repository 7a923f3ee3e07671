/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "state.h"

#include "stage.h"

bool state_has_name(const struct state *s, int i)
{
	for (int k = 0; k < SLOTS; k++)
		if (s->slots[k] == i)
			return true;
	return false;
}

bool state_wants_home(const struct state *s, int i)
{
	if (s->files[i].tag || s->slots[HR_A] == i)
		return true;
	return (s->slots[PUB_A] == i || s->slots[PUB_B] == i) && (s->dir_tag || s->closed);
}

bool state_approved(const struct file *file, int content, unsigned version, int64_t at_ns)
{
	const struct approval *a = &file->approval;

	if (a->content != content || a->version != version)
		return false;
	for (int k = 0; k < APPROVERS; k++)
		if (!a->yes[k] || a->until_ns[k] <= at_ns)
			return false;
	return true;
}

bool state_may_leave(const struct state *s, int i)
{
	const struct file *file = &s->files[i];

	if (state_wants_home(s, i))
		return false;
	return !file->held || s->policy == ALLOW ||
	       (s->policy == APPROVE && state_approved(file, file->content, file->version, stage_now()));
}

void state_hold(struct state *s)
{
	for (int i = 0; i < FILES; i++)
		if (s->files[i].exists && state_wants_home(s, i))
			s->files[i].held = true;
}

void state_give(struct file *file, bool held, bool tag)
{
	if (!held)
		return;
	file->held = true;
	file->tag |= tag;
}

void state_lose(struct state *s, int slot, int64_t now_ns, int64_t quiet_ns)
{
	const struct file *file = &s->files[s->slots[slot]];

	if (file->held)
		s->lost[slot] = (struct lost){ true, file->tag, now_ns + quiet_ns };
	s->slots[slot] = NOBODY;
}

void state_inherit(struct state *s, int slot, int64_t now_ns)
{
	const struct lost *lost = &s->lost[slot];

	if (lost->held && lost->until_ns > now_ns)
		state_give(&s->files[s->slots[slot]], true, lost->tag);
	s->lost[slot].held = false;
}

void state_gone(struct state *s, int i)
{
	if (!state_has_name(s, i))
		s->files[i].exists = false;
}
