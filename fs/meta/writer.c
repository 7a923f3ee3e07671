/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

#include <errno.h>

/* Nodes are bounded by number and by weight, since some carry blobs of many kilobytes: by default 6 and 12 MB, which
 * the reserve can take. */
#define WEIGHT_EARLY 128
#define WEIGHT_MAX   256

/* ---- what is changed and not committed ---- */

static size_t changed_total(const struct meta *m)
{
	size_t total = m->record_count;

	for (int i = 0; i < NODE_KINDS; i++)
		total += m->changed_count[i];
	return total;
}

static bool much_changed(const struct meta *m)
{
	return changed_total(m) > m->options.dirty_nodes_max / 2 ||
	       m->changed_bytes > m->options.dirty_nodes_max * WEIGHT_EARLY;
}

static bool too_much_changed(const struct meta *m)
{
	return changed_total(m) + m->committing_count > m->options.dirty_nodes_max ||
	       m->changed_bytes + m->committing_bytes > m->options.dirty_nodes_max * WEIGHT_MAX;
}

static bool anything_changed(const struct meta *m)
{
	return !list_empty(&m->changed) || !list_empty(&m->records);
}

void writer_wake(struct meta *m)
{
	if (!m->first_change_ns)
		m->first_change_ns = clock_mono_ns();
	else if (!much_changed(m))
		return;
	pthread_cond_signal(&m->work);
}

void meta_queue(struct meta *m, struct meta_record *r)
{
	list_append(&m->records, &r->link);
	m->record_count++;
	writer_wake(m);
}

void meta_poison(struct meta *m, int rc)
{
	if (m->for_good)
		return;
	m->for_good = true;
	m->error = rc;
	log_error("metadata: read-only from now on: %s", err_text(rc));
	pthread_cond_broadcast(&m->done);
	pthread_cond_signal(&m->work);
}

/* ---- waiting ---- */

uint64_t meta_batch(struct meta *m)
{
	return m->batch;
}

uint64_t meta_committed(const struct meta *m)
{
	return atomic_load(&m->committed);
}

uint64_t meta_durable(const struct meta *m)
{
	return atomic_load(&m->durable);
}

/* An attempt that fails while one waits ends the wait; one that failed before does not, it is tried again now. */
static int wait_locked(struct meta *m, const atomic_uint_least64_t *reached, uint64_t batch)
{
	uint64_t failures = m->failures;

	while (atomic_load(reached) < batch && !m->for_good && m->failures == failures)
		pthread_cond_wait(&m->done, &m->lock);
	return atomic_load(reached) >= batch ? 0 : m->error;
}

static void want(struct meta *m, uint64_t *wanted, uint64_t batch)
{
	if (*wanted < batch)
		*wanted = batch;
	pthread_cond_signal(&m->work);
}

int wait_committed(struct meta *m, uint64_t batch)
{
	int rc = 0;

	pthread_mutex_lock(&m->lock);
	if (meta_committed(m) < batch) {
		want(m, &m->commit_wanted, batch);
		rc = wait_locked(m, &m->committed, batch);
	}
	pthread_mutex_unlock(&m->lock);
	return rc;
}

int wait_durable(struct meta *m, uint64_t batch)
{
	int rc = 0;

	pthread_mutex_lock(&m->lock);
	if (meta_durable(m) < batch) {
		want(m, &m->commit_wanted, batch);
		want(m, &m->sync_wanted, batch);
		rc = wait_locked(m, &m->durable, batch);
	}
	pthread_mutex_unlock(&m->lock);
	return rc;
}

/* The last batch that has anything in it. */
static uint64_t last_batch(struct meta *m)
{
	uint64_t batch;

	pthread_mutex_lock(&m->lock);
	batch = anything_changed(m) ? m->batch : m->batch - 1;
	pthread_mutex_unlock(&m->lock);
	return batch;
}

int meta_commit(struct meta *m)
{
	return wait_committed(m, last_batch(m));
}

int meta_sync(struct meta *m)
{
	return wait_durable(m, last_batch(m));
}

static int throttle(struct meta *m, bool freeing)
{
	int rc;

	pthread_mutex_lock(&m->lock);
	while (too_much_changed(m) && !m->error) {
		pthread_cond_signal(&m->work);
		pthread_cond_wait(&m->done, &m->lock);
	}
	rc = m->error;
	if (freeing && !m->for_good && !too_much_changed(m))
		rc = 0;
	else if (!rc && m->full && !freeing)
		rc = -ENOSPC;
	pthread_mutex_unlock(&m->lock);
	return rc;
}

int meta_throttle(struct meta *m)
{
	return throttle(m, false);
}

bool meta_has_room(const struct meta *m)
{
	return !m->error && !m->full && !much_changed(m);
}

int meta_throttle_freeing(struct meta *m)
{
	return throttle(m, true);
}

/* ---- the writer thread; the lock is held but where it says so ---- */

/* A full disk, memory and a busy file may be better later; what else can fail does not heal. */
static bool is_transient(int rc)
{
	return rc == -ENOSPC || rc == -ENOMEM || rc == -EBUSY;
}

static void attempt_failed(struct meta *m, int rc)
{
	m->failures++;
	m->commit_wanted = m->sync_wanted = 0;
	if (!is_transient(rc)) {
		meta_poison(m, rc);
		return;
	}
	if (!m->error)
		log_error("metadata: cannot commit, trying again: %s", err_text(rc));
	m->error = rc;
	m->retry_ns = clock_mono_ns() + m->options.commit_interval_ns;
	pthread_cond_broadcast(&m->done);
}

static void attempt_succeeded(struct meta *m)
{
	if (m->error && !m->for_good) {
		log_info("metadata: commits go on");
		m->error = 0;
	}
}

/* On a full disk the log cannot grow; copied to the database it can be written from its start again, and the copying
 * takes no more than the reserve. */
static int flight_apply(struct meta *m)
{
	int rc = batch_apply(m, m->writer, m->flight);

	if (rc == -ENOSPC) {
		reserve_release(m);
		checkpoint_now(m);
		rc = batch_apply(m, m->writer, m->flight);
	}
	return rc;
}

static void commit_step(struct meta *m)
{
	int64_t since = m->first_change_ns;
	int rc = 0;

	if (!m->flight && (rc = batch_cut(m, &m->flight)) == 0 && !m->unsynced_since_ns)
		m->unsynced_since_ns = since;
	pthread_mutex_unlock(&m->lock);
	if (m->flight && (rc = flight_apply(m)) == 0) {
		m->journal_committed = m->flight->journal_seq;
		m->intent_committed = m->flight->intent;
		batch_finish(m, m->flight);
		m->flight = NULL;
		if (!m->full)
			space_look(m);
	}
	pthread_mutex_lock(&m->lock);
	if (rc < 0)
		attempt_failed(m, rc);
	else
		attempt_succeeded(m);
}

static void sync_step(struct meta *m)
{
	uint64_t batch = meta_committed(m), end[LEASE_KINDS];
	int64_t journal = m->journal_committed;
	int rc;

	for (int i = 0; i < LEASE_KINDS; i++)
		end[i] = m->lease[i].committed;
	pthread_mutex_unlock(&m->lock);
	rc = vfs_wal_sync(m->vfs);
	pthread_mutex_lock(&m->lock);
	/* what a failed sync left out, no later sync brings: nothing may be said to be durable any more (I3) */
	if (rc < 0) {
		meta_poison(m, rc);
		return;
	}
	for (int i = 0; i < LEASE_KINDS; i++)
		m->lease[i].end = end[i];
	m->journal_durable = journal;
	m->unsynced_since_ns = 0;
	atomic_store(&m->durable, batch);
	pthread_cond_broadcast(&m->done);
	pthread_mutex_unlock(&m->lock);
	if (m->options.durable)
		m->options.durable(m->options.ctx, batch);
	pthread_mutex_lock(&m->lock);
}

static void space_step(struct meta *m)
{
	pthread_mutex_unlock(&m->lock);
	space_look(m);
	pthread_mutex_lock(&m->lock);
}

static int64_t commit_due_ns(const struct meta *m)
{
	if (m->for_good || (!m->flight && !anything_changed(m)))
		return INT64_MAX;
	if (m->commit_wanted > atomic_load(&m->committed) || m->stopping)
		return 0;
	if (m->error)
		return m->retry_ns;
	return much_changed(m) ? 0 : m->first_change_ns + m->options.commit_interval_ns;
}

static int64_t sync_due_ns(const struct meta *m)
{
	uint64_t durable = atomic_load(&m->durable);

	if (m->for_good || atomic_load(&m->committed) == durable)
		return INT64_MAX;
	if (m->sync_wanted > durable || m->stopping)
		return 0;
	return m->unsynced_since_ns + m->options.commit_interval_ns;
}

static int64_t space_due_ns(const struct meta *m)
{
	return m->full && !m->for_good && !m->stopping ? m->space_try_ns : INT64_MAX;
}

static int64_t earliest(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* A commit is tried once when stopping: a disk that stays full does not keep the daemon alive. */
static bool writer_done(const struct meta *m)
{
	if (!m->stopping)
		return false;
	if (m->for_good || m->failures != m->failures_at_stop)
		return true;
	return commit_due_ns(m) == INT64_MAX && sync_due_ns(m) == INT64_MAX;
}

static void tell_failed(struct meta *m)
{
	int rc = m->error;

	if (!m->for_good || m->told)
		return;
	m->told = true;
	pthread_mutex_unlock(&m->lock);
	if (m->options.failed)
		m->options.failed(m->options.ctx, rc);
	pthread_mutex_lock(&m->lock);
}

static void *writer_main(void *arg)
{
	struct meta *m = arg;

	pthread_mutex_lock(&m->lock);
	while (!writer_done(m)) {
		int64_t now = clock_mono_ns();
		int64_t due = earliest(earliest(commit_due_ns(m), sync_due_ns(m)), space_due_ns(m));

		if (commit_due_ns(m) <= now)
			commit_step(m);
		/* after the commit, so that one sync serves all that wait */
		if (sync_due_ns(m) <= now)
			sync_step(m);
		if (space_due_ns(m) <= now)
			space_step(m);
		tell_failed(m);
		if (due > now && !writer_done(m))
			cond_wait_until(&m->work, &m->lock, due);
	}
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

int writer_start(struct meta *m)
{
	int rc = pthread_create(&m->writer_thread, NULL, writer_main, m);

	m->writer_running = rc == 0;
	return -rc;
}

void writer_stop(struct meta *m)
{
	if (!m->writer_running)
		return;
	pthread_mutex_lock(&m->lock);
	m->stopping = true;
	m->failures_at_stop = m->failures;
	pthread_cond_signal(&m->work);
	pthread_mutex_unlock(&m->lock);
	pthread_join(m->writer_thread, NULL);
	m->writer_running = false;
}
