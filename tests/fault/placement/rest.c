/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

void rest_see_exports(void)
{
	for (int i = 0; i < FILES; i++)
		if (w.now.files[i].exists && w.now.policy == ALLOW && state_may_leave(&w.now, i) &&
			!(file_flags(&w.now.files[i]) & INODE_HELD))
			w.now.files[i].held = false;
}

static bool are_short(void)
{
	struct transfer_status status;
	bool are = false;

	assert_int_equal(transfer_status(core_transfer(w.f.core), &status), 0);
	for (size_t i = 0; i < status.zone_count; i++)
		are |= status.zones[i].blocks_short > 0;
	transfer_status_free(&status);
	return are;
}

static bool busy(void)
{
	struct transfer *t = core_transfer(w.f.core);

	return cloud_puts() || cloud_late() || t->entries.count || t->uploading || !list_empty(&t->repairs) ||
	       !store_saved() || meta_deletion_count(core_meta(w.f.core), 0) > 0 || are_short();
}

void rest_wait(void)
{
	for (int i = 0; i < 100; i++) {
		for (struct cloud_put *p = cloud_puts(); p; p = p->next)
			cloud_say(p, CLOUD_CONFIRM);
		stage_advance(LONG_NS);
		cloud_come();
		rest_see_exports();
		if (!busy())
			return;
	}
	wrong("it does not come to rest");
}

static bool all_fresh(const struct file *file)
{
	return file->approval.fresh == (1u << APPROVERS) - 1;
}

/* Where it must be; an approval, where more happened since, may have to be asked for again. */
static bool is_right(int i, const struct where *at)
{
	const struct file *file = &w.now.files[i];
	bool wants_home = state_wants_home(&w.now, i), abroad = strcmp(at->zone, "abroad") == 0,
	     kept = !abroad && !wants_home;

	if (abroad != state_may_leave(&w.now, i) && (abroad || w.now.policy != APPROVE || all_fresh(file)))
		return false;
	if (at->objects_short)
		return false;
	/* one that was refused waits no longer */
	if (at->kept_back != kept)
		return false;
	if (kept && at->why && strstr(at->why, "approvers must agree"))
		return at->state == WHERE_AWAITING && w.now.policy == APPROVE;
	return at->state == WHERE_STORED;
}

static void check_zone(int i)
{
	const struct file *file = &w.now.files[i];
	struct inode *inode;
	struct where at;

	assert_int_equal(meta_inode_get(core_meta(w.f.core), file->ino, &inode), 0);
	assert_int_equal(transfer_where(core_transfer(w.f.core), inode, &at), 0);
	if (!is_right(i, &at))
		wrong("%s lies in zone %s, is %s%s, with %zu copies short; its rules want it %s%s", file_name(i),
			at.zone, where_state_name(at.state), at.kept_back ? " and kept back" : "", at.objects_short,
			state_wants_home(&w.now, i) ? "at home" : "abroad", file->held ? ", and it is held" : "");
	for (size_t k = 0; k < at.object_count; k++)
		if (at.object_zone_ids[k] != inode->zone_id)
			wrong("%s: an object lies in another zone", file_name(i));
	where_free(&at);
	meta_inode_put(core_meta(w.f.core), inode);
}

static void check_abroad(void *ctx, const char *backend, const struct cloud_member *m)
{
	(void)ctx;
	if (!member_may_leave(m, stage_now()))
		wrong("I1: bytes of %s stay abroad, on %s", file_name(file_of(m->ino)), backend);
}

static void check_near(void *ctx, const char *backend, const struct cloud_member *m)
{
	int i = file_of(m->ino);

	(void)ctx;
	if (i == NOBODY || !state_may_leave(&w.now, i) || w.now.policy == APPROVE)
		return;
	/* or the other file shares it */
	for (int k = 0; k < FILES; k++)
		if (w.now.files[k].exists && !state_may_leave(&w.now, k) && file_is_content(k, m->plain, m->len))
			return;
	wrong("bytes of %s stay at home, on %s", file_name(i), backend);
}

void rest_check(void)
{
	cloud_each(FAR, check_abroad, NULL);
	cloud_each(NEAR, check_near, NULL);
	for (int i = 0; i < FILES; i++) {
		if (!w.now.files[i].exists)
			continue;
		check_zone(i);
		if (file_version(i) != w.now.files[i].version)
			wrong("I7: %s has version %u, not %u", file_name(i), file_version(i), w.now.files[i].version);
	}
}
