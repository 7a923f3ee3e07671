/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "state.h"

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

bool state_may_leave(const struct state *s, int i)
{
	return !state_wants_home(s, i) && (!s->files[i].held || s->allow);
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
