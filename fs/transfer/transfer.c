/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/transfer/internal.h"

#include <signal.h>

#define UPLOAD_WORKERS 6
#define FETCH_WORKERS  8
#define DELETE_WORKERS 4
#define REPAIR_WORKERS 2
#define OTHER_WORKERS  (HEDGE_WORKERS + REPAIR_WORKERS + DRAIN_WORKERS + 1)
#define HEDGE_WORKERS  4 /* reads that ask a second copy at the same time */

/* A zone must never wait for another's: there is a worker for each at least. */
static void options_fill(struct transfer *t, const struct transfer_options *options)
{
	unsigned zones = (unsigned)t->config->zone_count;
	struct transfer_options *o = &t->options;

	if (options)
		*o = *options;
	o->upload_workers = o->upload_workers ? o->upload_workers : UPLOAD_WORKERS;
	o->fetch_workers = o->fetch_workers ? o->fetch_workers : FETCH_WORKERS;
	o->delete_workers = o->delete_workers ? o->delete_workers : DELETE_WORKERS;
	o->upload_workers = o->upload_workers > zones ? o->upload_workers : zones;
	o->fetch_workers = o->fetch_workers > zones ? o->fetch_workers : zones;
}

static void init_lists(struct transfer *t)
{
	list_init(&t->flights);
	list_init(&t->zones);
	list_init(&t->syncs);
	list_init(&t->dead_passes);
	list_init(&t->finished);
	list_init(&t->readings);
	list_init(&t->repairs);
	list_init(&t->shares);
	list_init(&t->verdicts);
	t->zone_turn = t->fetch_turn = &t->zones;
	t->ticket = 1;
	t->entries_max = ENTRIES_MAX;
	t->clock_ahead_ns = clock_real_ns() - clock_mono_ns();
	t->pack_window_ns = PACK_WINDOW_NS;
}

static void init_locks(struct transfer *t)
{
	pthread_mutex_init(&t->lock, NULL);
	cond_init_mono(&t->sched);
	cond_init_mono(&t->upload);
	cond_init_mono(&t->del);
	cond_init_mono(&t->changed);
	cond_init_mono(&t->hedge);
	cond_init_mono(&t->repair);
	cond_init_mono(&t->draining);
	pthread_mutex_init(&t->moves, NULL);
	pthread_cond_init(&t->fetch, NULL);
	pthread_cond_init(&t->complete, NULL);
	pthread_cond_init(&t->raced, NULL);
}

int transfer_open(struct transfer **out, struct meta *meta, struct cache *cache, struct place *place,
	struct keyring *keyring, const struct transfer_options *options, struct errmsg *msg)
{
	struct transfer *t = calloc(1, sizeof *t);
	int rc;

	*out = NULL;
	if (!t)
		return -ENOMEM;
	t->meta = meta;
	t->cache = cache;
	t->place = place;
	t->keyring = keyring;
	t->block_bytes = meta_block_bytes(meta);
	init_lists(t);
	init_locks(t);
	peers_init(&t->peers);
	heads_init(&t->heads);
	t->config = place_config(place);
	options_fill(t, options);
	if ((rc = entries_init(t)) < 0 || (rc = hash_init(&t->ranges)) < 0 || (rc = repacks_init(t)) < 0 ||
		(rc = endpoints_open(t, t->config, NULL, &t->endpoints, msg)) < 0 || (rc = drain_load(t)) < 0) {
		transfer_close(t);
		return rc;
	}
	*out = t;
	return 0;
}

/* ---- threads
 * ------------------------------------------------------------------------------------------------------------ */

static int thread_start(pthread_t *thread, void *(*main)(void *), void *arg, const char *name)
{
	int rc = -pthread_create(thread, NULL, main, arg);

	if (rc == 0)
		pthread_setname_np(*thread, name);
	return rc;
}

static int workers_start(struct transfer *t, void *(*main)(void *), unsigned count, const char *name)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < count; i++) {
		struct worker *w = &t->workers[t->worker_count];

		w->t = t;
		rc = thread_start(&w->thread, main, w, name);
		t->worker_count += rc == 0;
	}
	return rc;
}

static int threads_start(struct transfer *t)
{
	const struct transfer_options *o = &t->options;
	int rc;

	t->workers =
		calloc(o->upload_workers + o->fetch_workers + o->delete_workers + OTHER_WORKERS, sizeof *t->workers);
	if (!t->workers)
		return -ENOMEM;
	if ((rc = thread_start(&t->sched_thread, sched_main, t, "bfs-sched")) < 0)
		return rc;
	t->sched_runs = true;
	if ((rc = thread_start(&t->complete_thread, complete_main, t, "bfs-complete")) < 0)
		return rc;
	t->complete_runs = true;
	if ((rc = workers_start(t, upload_main, o->upload_workers, "bfs-upload")) < 0 ||
		(rc = workers_start(t, fetch_main, o->fetch_workers, "bfs-fetch")) < 0 ||
		(rc = workers_start(t, hedge_main, HEDGE_WORKERS, "bfs-hedge")) < 0 ||
		(rc = workers_start(t, repair_main, REPAIR_WORKERS, "bfs-repair")) < 0 ||
		(rc = workers_start(t, drain_main, DRAIN_WORKERS, "bfs-drain")) < 0 ||
		(rc = workers_start(t, heads_main, 1, "bfs-heads")) < 0)
		return rc;
	return workers_start(t, delete_main, o->delete_workers, "bfs-delete");
}

/* Signals are the main thread's. */
int transfer_start(struct transfer *t)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_mutex_lock(&t->lock);
	sched_refill(t);
	t->heads.runs = true;
	mirrors_changed(t);
	pthread_mutex_unlock(&t->lock);
	rc = threads_start(t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc < 0)
		transfer_stop(t);
	return rc;
}

static void stop_all(struct transfer *t)
{
	pthread_mutex_lock(&t->lock);
	t->stopping = true;
	list_for_each (it, &t->flights)
		call_cut(&list_entry(it, struct flight, link)->call, -ERR_STOPPED);
	pthread_cond_broadcast(&t->sched);
	pthread_cond_broadcast(&t->upload);
	pthread_cond_broadcast(&t->fetch);
	pthread_cond_broadcast(&t->del);
	pthread_cond_broadcast(&t->complete);
	pthread_cond_broadcast(&t->changed);
	pthread_cond_broadcast(&t->hedge);
	pthread_cond_broadcast(&t->repair);
	pthread_cond_broadcast(&t->draining);
	pthread_cond_broadcast(&t->heads.wake);
	pthread_mutex_unlock(&t->lock);
}

/* Ranges that no worker took. */
static void ranges_end(struct transfer *t, struct list *ranges)
{
	for (;;) {
		struct list waiters = LIST_INIT(waiters);
		struct range *r = NULL;

		pthread_mutex_lock(&t->lock);
		if (!list_empty(ranges)) {
			r = list_first(ranges, struct range, link);
			range_unlink(t, r);
			list_splice(&waiters, &r->waiters);
			list_for_each (it, &waiters)
				list_entry(it, struct fetch, link)->waiting = false;
		}
		pthread_mutex_unlock(&t->lock);
		if (!r)
			return;
		fetch_end(t, &waiters, -ERR_STOPPED);
		range_free(t, r);
	}
}

void transfer_stop(struct transfer *t)
{
	stop_all(t);
	for (size_t i = 0; i < t->worker_count; i++)
		pthread_join(t->workers[i].thread, NULL);
	t->worker_count = 0;
	t->heads.runs = false;
	if (t->sched_runs)
		pthread_join(t->sched_thread, NULL);
	if (t->complete_runs)
		pthread_join(t->complete_thread, NULL);
	t->sched_runs = t->complete_runs = false;
	list_for_each (it, &t->zones) {
		struct zone_queue *q = list_entry(it, struct zone_queue, link);

		ranges_end(t, &q->demand);
		ranges_end(t, &q->ahead);
	}
	peers_flush(t);
}

void transfer_close(struct transfer *t)
{
	if (!t)
		return;
	list_for_each_safe (it, &t->dead_passes)
		pass_free(t, list_entry(it, struct pass, link));
	entries_free(t);
	list_for_each_safe (it, &t->zones)
		free(list_entry(it, struct zone_queue, link));
	endpoints_close(t, &t->endpoints);
	hash_free(&t->ranges);
	repacks_free(t);
	config_put(t->config);
	free(t->workers);
	pthread_cond_destroy(&t->sched);
	pthread_cond_destroy(&t->upload);
	pthread_cond_destroy(&t->fetch);
	pthread_cond_destroy(&t->complete);
	pthread_cond_destroy(&t->del);
	pthread_cond_destroy(&t->changed);
	heads_destroy(&t->heads);
	peers_destroy(&t->peers);
	pthread_cond_destroy(&t->hedge);
	pthread_cond_destroy(&t->repair);
	pthread_cond_destroy(&t->draining);
	pthread_mutex_destroy(&t->moves);
	move_order_free(&t->drain.order);
	pthread_cond_destroy(&t->raced);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
