/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls under way, and the cutting of those that may no longer be (I1). A body's call enters the list before its
 * placement is checked; a change is made before the list is looked through. So either the call's check sees the change,
 * or the change sees the call. */
#include "fs/transfer/internal.h"

void flight_init(struct flight *f, struct transfer *t)
{
	memset(f, 0, sizeof *f);
	call_init(&f->call);
	f->call.msg = &f->msg;
	f->call.connected = peers_connected;
	f->call.connected_ctx = t;
	f->t = t;
	list_init(&f->link);
}

void flight_begin(struct flight *f, struct endpoint *endpoint)
{
	bool cut;

	pthread_mutex_lock(&f->t->lock);
	f->endpoint = endpoint;
	list_append(&f->t->flights, &f->link);
	cut = f->t->stopping;
	pthread_mutex_unlock(&f->t->lock);
	if (cut)
		call_cut(&f->call, -ERR_STOPPED);
}

void flight_end(struct flight *f)
{
	struct transfer *t = f->t;

	pthread_mutex_lock(&t->lock);
	list_remove(&f->link);
	while (f->watchers)
		pthread_cond_wait(&t->changed, &t->lock);
	f->endpoint = NULL;
	pthread_mutex_unlock(&t->lock);
}

void flight_free(struct flight *f)
{
	call_destroy(&f->call);
	errmsg_free(&f->msg);
}

/* ---- revalidation ---------------------------------------------------------------------------------------------------
 */

static void release(struct transfer *t, struct flight *f)
{
	pthread_mutex_lock(&t->lock);
	f->watchers--;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

static bool flight_has(const struct flight *f, uint64_t ino)
{
	for (size_t i = 0; i < f->item_count; i++)
		if (!f->items[i].done && f->items[i].pass->inode->ino == ino)
			return true;
	for (size_t i = 0; i < f->member_count; i++)
		if (f->members[i].inode->ino == ino)
			return true;
	return false;
}

/* Whatever changed, its rules want it where it is going. The others do not stop for a member that was deleted. */
static bool stays(struct transfer *t, const struct flight *f, struct inode *inode)
{
	uint64_t gen, epoch;
	int rc = place_stays(t->place, inode, f->zone_id, &gen, &epoch);

	return rc == 0 || (rc == -ENOENT && f->item_count > 1);
}

static bool member_may_go(struct transfer *t, const struct flight *f, struct inode *inode, uint64_t gen)
{
	uint64_t epoch = 0; /* no epoch is 0: judged anew */

	return place_still(t->place, inode, f->zone_id, &gen, &epoch) == 0 || stays(t, f, inode);
}

/* Whether all of what it carries may still go; of one inode, or, ino 0, of each. */
static bool may_go(struct transfer *t, const struct flight *f, uint64_t ino)
{
	for (size_t i = 0; i < f->item_count; i++) {
		const struct item *item = &f->items[i];

		if (item->done || (ino && item->pass->inode->ino != ino))
			continue;
		if (!member_may_go(t, f, item->pass->inode, item->gen))
			return false;
	}
	for (size_t i = 0; i < f->member_count; i++) {
		const struct flight_member *m = &f->members[i];

		if ((!ino || m->inode->ino == ino) && !member_may_go(t, f, m->inode, m->gen))
			return false;
	}
	return true;
}

/* The flights to judge, held by a watcher each; NULL when there are none. *all: no memory, they are to be cut unjudged.
 */
static struct flight **watch(struct transfer *t, uint64_t ino, size_t *count, bool *all)
{
	struct flight **v = NULL;
	size_t n = 0;

	*count = 0;
	*all = false;
	pthread_mutex_lock(&t->lock);
	list_for_each (it, &t->flights)
		n++;
	if (n && !(v = malloc(n * sizeof *v)))
		*all = true;
	list_for_each (it, &t->flights) {
		struct flight *f = list_entry(it, struct flight, link);

		if (!f->body || !f->foreign || (ino && !flight_has(f, ino)))
			continue;
		if (v) {
			f->watchers++;
			v[(*count)++] = f;
		} else {
			call_cut(&f->call, -ERR_REVOKED);
		}
	}
	pthread_mutex_unlock(&t->lock);
	return v;
}

void transfer_revalidate(struct transfer *t, uint64_t ino)
{
	size_t count;
	bool all;
	struct flight **v = watch(t, ino, &count, &all);

	for (size_t i = 0; i < count; i++) {
		if (!may_go(t, v[i], ino))
			call_cut(&v[i]->call, -ERR_REVOKED);
		release(t, v[i]);
	}
	free(v);
}
