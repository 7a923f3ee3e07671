/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Waiting until what was written is where it belongs. Tickets order waits and work: a pass that began after a wait's
 * ticket was given has seen everything that was written before the wait began. */
#include "fs/transfer/internal.h"

#include <stdio.h>

struct waiting {
	struct transfer *t;
	int64_t deadline_ns;
	const volatile bool *cancel;
};

/* One step of a wait, with the lock. */
static int wait_more(const struct waiting *w)
{
	if (w->t->stopping)
		return -ERR_STOPPED;
	if (w->cancel && __atomic_load_n(w->cancel, __ATOMIC_SEQ_CST))
		return -ECANCELED;
	if (clock_mono_ns() >= w->deadline_ns)
		return -ETIMEDOUT;
	cond_wait_until(&w->t->changed, &w->t->lock, w->deadline_ns);
	return 0;
}

/* ---- files
 * ------------------------------------------------------------------------------------------------------------ */

static int wait_refill(const struct waiting *w)
{
	struct transfer *t = w->t;
	uint64_t ticket = ++t->ticket;
	int rc = 0;

	sched_refill(t);
	while (rc == 0 && t->refilled < ticket)
		rc = wait_more(w);
	return rc;
}

static void hurry_all(struct transfer *t)
{
	int64_t now = clock_mono_ns();

	hash_for_each (node, &t->entries) {
		struct entry *e = container_of(node, struct entry, node);

		e->urgent = e->early = true;
		if (e->state == ENTRY_PREPARING || e->state == ENTRY_ACTIVE)
			e->touched = true;
		else if (e->heap_at && e->due_ns > now)
			e->due_ns = now;
	}
	heap_fix(t);
}

static int wait_all(const struct waiting *w)
{
	struct transfer *t = w->t;
	struct sync_wait all;
	int rc = wait_refill(w);

	if (rc < 0)
		return rc;
	hurry_all(t);
	all.left = t->entries.count;
	all.ticket = ++t->ticket;
	list_append(&t->syncs, &all.link);
	while (rc == 0 && all.left > 0)
		rc = wait_more(w);
	list_remove(&all.link);
	return rc;
}

static bool stored(struct transfer *t, uint64_t ino, uint64_t ticket)
{
	const struct entry *e = entry_find(t, ino);

	return !e || e->born >= ticket || e->stored >= ticket;
}

static int wait_one(const struct waiting *w, uint64_t ino)
{
	struct transfer *t = w->t;
	uint64_t ticket;
	int rc = 0;

	if (!entry_touch(t, ino, TOUCH_URGENT))
		return -ENOMEM;
	ticket = ++t->ticket;
	while (rc == 0 && !stored(t, ino, ticket))
		rc = wait_more(w);
	return rc;
}

/* ---- deletions
 * ----------------------------------------------------------------------------------------------------------- */

static bool drained(const struct transfer *t, uint64_t ticket)
{
	for (size_t i = 0; i < t->endpoints.count; i++)
		if (t->endpoints.v[i]->deleter.drained < ticket)
			return false;
	return true;
}

/* They come due when their cause is durable, and count when their backend confirmed them. */
static int wait_deletions(const struct waiting *w)
{
	struct transfer *t = w->t;
	uint64_t ticket;
	int rc;

	pthread_mutex_unlock(&t->lock);
	rc = meta_sync(t->meta);
	pthread_mutex_lock(&t->lock);
	ticket = ++t->ticket;
	while (rc == 0 && !drained(t, ticket)) {
		delete_hurry(t);
		rc = wait_more(w);
	}
	return rc;
}

/* ---- packs
 * ------------------------------------------------------------------------------------------------------------------ */

/* Packs with members that went to another zone are rewritten, so that nothing of them stays where it was. */
static int wait_repacks(const struct waiting *w)
{
	struct transfer *t = w->t;
	uint64_t ticket;
	int rc;

	pthread_mutex_unlock(&t->lock);
	rc = meta_sync(t->meta);
	pthread_mutex_lock(&t->lock);
	ticket = ++t->ticket;
	t->repack_waits++;
	repack_hurry(t);
	while (rc == 0 && (t->repack_looked < ticket || atomic_load(&t->doomed_leaving) > 0))
		rc = wait_more(w);
	t->repack_waits--;
	return rc;
}

/* ---- what one file left behind
 * ------------------------------------------------------------------------------------------------------- */

/* Objects that hold bytes of it and that it no longer points at: other files' and their backends are not waited for. */
static int wait_remnants(const struct waiting *w, uint64_t ino)
{
	struct transfer *t = w->t;
	int rc = 0, left = 1;

	t->repack_waits++;
	repack_hurry(t);
	while (rc == 0 && left > 0) {
		uint64_t gone = t->gone;

		delete_hurry(t);
		pthread_mutex_unlock(&t->lock);
		if ((rc = meta_sync(t->meta)) == 0 && (left = meta_remnants(t->meta, ino)) < 0)
			rc = left;
		pthread_mutex_lock(&t->lock);
		while (rc == 0 && left > 0 && t->gone == gone)
			rc = wait_more(w);
	}
	t->repack_waits--;
	return rc;
}

/* ---- what is missing
 * -------------------------------------------------------------------------------------------------------- */

static const struct endpoint *troubled(struct transfer *t, struct backend_status *status)
{
	for (size_t i = 0; i < t->endpoints.count; i++) {
		struct endpoint *s = t->endpoints.v[i];

		backend_status(s->backend, status);
		if (!status->up || s->failures || s->deleter.failures)
			return s;
	}
	return NULL;
}

/* What the last pass over a file that waits ended with; 0 if none failed. */
static int first_error(const struct transfer *t, uint64_t ino)
{
	hash_for_each (node, &t->entries) {
		const struct entry *e = container_of(node, struct entry, node);

		if (e->rc < 0 && (!ino || e->ino == ino))
			return e->rc;
	}
	return 0;
}

static void describe(struct transfer *t, uint64_t ino, struct errmsg *msg)
{
	size_t files = ino ? (entry_find(t, ino) ? 1 : 0) : t->entries.count;
	struct backend_status status;
	const struct endpoint *s = troubled(t, &status);
	int error = first_error(t, ino);
	const char *reason = error ? err_text(error) : "its last answer was an error";
	char what[128], says[512];

	if (files)
		snprintf(what, sizeof what, "%zu file%s not (all) on %s backends yet", files,
			files == 1 ? " is" : "s are", files == 1 ? "its" : "their");
	else
		snprintf(what, sizeof what, "deletions on the backends are not all confirmed yet");
	if (s)
		errmsg_set(msg, -ETIMEDOUT, "%s; %s", what,
			backend_says(s->backend, status.last_error ? status.last_message : reason, says, sizeof says));
	else if (files && error)
		errmsg_set(msg, -ETIMEDOUT, "%s: %s", what, err_text(error));
	else
		errmsg_set(msg, -ETIMEDOUT, "%s", what);
}

static int sync_local(struct transfer *t, uint64_t ino)
{
	struct inode *inode;
	int rc;

	if (!ino)
		return cache_sync_all(t->cache);
	if ((rc = meta_inode_get(t->meta, ino, &inode)) < 0)
		return rc;
	rc = S_ISREG(inode->mode) ? cache_sync(t->cache, inode) : 0;
	meta_inode_put(t->meta, inode);
	return rc;
}

/* Somebody waits: what was put off after failures is tried now, once. Breakers stay as they are. */
static void try_again(struct transfer *t)
{
	for (size_t i = 0; i < t->endpoints.count; i++) {
		t->endpoints.v[i]->avoid_until_ns = 0;
		t->endpoints.v[i]->deleter.wait_until_ns = 0;
	}
	delete_wake(t);
	repair_hurry(t);
	list_for_each (it, &t->zones)
		list_entry(it, struct zone_queue, link)->blocked_until_ns = 0;
	pthread_cond_broadcast(&t->upload);
}

int transfer_sync(
	struct transfer *t, uint64_t ino, int64_t deadline_ns, const volatile bool *cancel, struct errmsg *msg)
{
	struct waiting w = { t, deadline_ns, cancel };
	int rc = sync_local(t, ino);

	if (rc < 0)
		return errmsg_set(msg, rc, "what was written cannot be synced to the local disk: %s", err_text(rc));
	pthread_mutex_lock(&t->lock);
	try_again(t);
	rc = ino ? wait_one(&w, ino) : wait_all(&w);
	if (rc == 0)
		rc = ino ? wait_remnants(&w, ino) : wait_repacks(&w);
	if (rc == 0 && !ino)
		rc = wait_deletions(&w);
	if (rc == -ETIMEDOUT)
		describe(t, ino, msg);
	pthread_mutex_unlock(&t->lock);
	return rc;
}
