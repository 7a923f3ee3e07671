/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The maintenance thread: syncs what has been unsynced for a second, so that a power loss costs about two; frees what a
 * durable batch made free; makes room. It sleeps on a condition while there is nothing of that. */
#include "fs/cache/internal.h"

#define SYNC_AFTER_NS NS_PER_S
#define RECOUNT_NS    (60 * NS_PER_S)
#define LOOK_AGAIN_NS (100 * NS_PER_MS)

struct work {
	bool stop, durable, hurry, full, shrink, recount, log;
};

/* What somebody uses just now is not evicted, and nobody says when they are done: where room is waited for it is looked
 * at again. */
static int64_t deadline(struct cache *c)
{
	int64_t until = c->full ? c->looked_ns + LOOK_AGAIN_NS : INT64_MAX, sync;

	if (list_empty(&c->active))
		return until;
	sync = list_first(&c->active, struct cnode, link)->since_ns + SYNC_AFTER_NS;
	return sync < until ? sync : until;
}

static struct work wait_for_work(struct cache *c)
{
	struct work w;

	pthread_mutex_lock(&c->lock);
	while (!c->stop && !c->durable && !c->hurry && !c->log_wanted && clock_mono_ns() < deadline(c))
		cond_wait_until(&c->wake, &c->lock, deadline(c));
	w = (struct work){ .stop = c->stop,
		.durable = c->durable,
		.hurry = c->hurry,
		.full = c->full,
		.shrink = c->shrink,
		.log = c->log_wanted };
	c->durable = c->hurry = c->shrink = c->log_wanted = false;
	w.recount = c->gone && clock_mono_ns() - c->recount_ns > RECOUNT_NS;
	if (w.recount) {
		c->gone = false;
		c->recount_ns = clock_mono_ns();
	}
	pthread_mutex_unlock(&c->lock);
	return w;
}

static void sync_some(struct cache *c, bool all)
{
	uint64_t logged = intentlog_last(c->log);
	int rc = sync_older(c, all ? INT64_MAX : clock_mono_ns() - SYNC_AFTER_NS);

	if (rc < 0 && rc != c->sync_error)
		log_error("cache: written data cannot be brought to the local disk: %s", err_text(rc));
	c->sync_error = rc;
	/* what was superseded is free when the batch is durable */
	if (all && meta_sync(c->meta) == 0 && rc == 0)
		intentlog_settle(c->log, logged);
}

/* In the background: whoever would have used it goes the long way meanwhile. */
static void log_prepare(struct cache *c)
{
	int rc = intentlog_prepare(c->log);

	if (rc < 0)
		log_warn("cache: the intent log cannot be made, syncs go without it: %s", err_text(rc));
}

/* Somebody waits for room: is there any now? */
static void make_room(struct cache *c, bool progress)
{
	uint64_t headroom = room_max(c) / 16;
	bool call;

	progress |= cache_evict(c, headroom) > 0 || !room_lacks(c, headroom);
	pthread_mutex_lock(&c->lock);
	call = c->full && progress;
	c->looked_ns = clock_mono_ns();
	if (call)
		c->full = false;
	pthread_mutex_unlock(&c->lock);
	if (call && c->options.room)
		c->options.room(c->options.ctx);
}

static void *run(void *arg)
{
	struct cache *c = arg;

	for (struct work w; !(w = wait_for_work(c)).stop;) {
		bool progress;

		if (w.log)
			log_prepare(c);
		sync_some(c, w.hurry);
		progress = files_reap(c);
		if (w.durable || w.hurry || w.full)
			progress |= evict_look_again(c);
		if (w.shrink)
			progress |= cache_evict(c, 0) > 0;
		if (w.full)
			make_room(c, progress);
		if (w.recount)
			inline_recount(c);
	}
	return NULL;
}

int thread_start(struct cache *c)
{
	return -pthread_create(&c->thread, NULL, run, c);
}

void thread_stop(struct cache *c)
{
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
}

void cache_stored(struct cache *c)
{
	pthread_mutex_lock(&c->lock);
	if (c->full) {
		c->hurry = true;
		pthread_cond_signal(&c->wake);
	}
	pthread_mutex_unlock(&c->lock);
}

void cache_durable(struct cache *c, uint64_t batch)
{
	(void)batch; /* meta_durable says how far */
	pthread_mutex_lock(&c->lock);
	c->durable = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
}
