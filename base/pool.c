/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/pool.h"

#include "base/err.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct pool {
	pthread_mutex_t lock; /* guards all below but threads; a leaf: nothing is taken under it */
	pthread_cond_t work;  /* a task was queued, or stopped was set */
	pthread_cond_t room;  /* the queue got shorter, or stopped was set */
	struct list queue;
	size_t queued, queue_max;
	bool stopped, joined;
	pthread_t *threads; /* written before the pool is shared */
	unsigned thread_count;
};

static struct pool_task *next_task(struct pool *p)
{
	struct pool_task *t = NULL;

	pthread_mutex_lock(&p->lock);
	while (list_empty(&p->queue) && !p->stopped)
		pthread_cond_wait(&p->work, &p->lock);
	if (!list_empty(&p->queue)) {
		t = list_first(&p->queue, struct pool_task, link);
		list_remove(&t->link);
		p->queued--;
		pthread_cond_signal(&p->room);
	}
	pthread_mutex_unlock(&p->lock);
	return t;
}

static void *worker(void *arg)
{
	struct pool_task *t;

	while ((t = next_task(arg)))
		t->run(t);
	return NULL;
}

/* Signals are the main thread's: a worker in the middle of a write must not be the one that takes them. */
static int start_threads(struct pool *p, const char *name, unsigned threads)
{
	sigset_t all, old;
	int rc = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (rc == 0 && p->thread_count < threads) {
		rc = -pthread_create(&p->threads[p->thread_count], NULL, worker, p);
		if (rc == 0)
			pthread_setname_np(p->threads[p->thread_count++], name);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

int pool_new(struct pool **out, const char *name, unsigned threads, size_t queue_max)
{
	struct pool *p = calloc(1, sizeof *p);
	int rc;

	*out = NULL;
	if (!p)
		return -ENOMEM;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->room, NULL);
	list_init(&p->queue);
	p->queue_max = queue_max;
	p->threads = calloc(threads ? threads : 1, sizeof *p->threads);
	rc = p->threads ? start_threads(p, name, threads ? threads : 1) : -ENOMEM;
	if (rc < 0) {
		pool_free(p);
		return rc;
	}
	*out = p;
	return 0;
}

int pool_submit(struct pool *p, struct pool_task *t)
{
	int rc = 0;

	pthread_mutex_lock(&p->lock);
	while (!p->stopped && p->queue_max && p->queued >= p->queue_max)
		pthread_cond_wait(&p->room, &p->lock);
	if (p->stopped) {
		rc = -ERR_STOPPED;
	} else {
		list_append(&p->queue, &t->link);
		p->queued++;
		pthread_cond_signal(&p->work);
	}
	pthread_mutex_unlock(&p->lock);
	return rc;
}

void pool_stop(struct pool *p)
{
	bool join;

	pthread_mutex_lock(&p->lock);
	join = !p->joined;
	p->stopped = p->joined = true;
	pthread_cond_broadcast(&p->work);
	pthread_cond_broadcast(&p->room);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; join && i < p->thread_count; i++)
		pthread_join(p->threads[i], NULL);
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	pool_stop(p);
	pthread_cond_destroy(&p->room);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p->threads);
	free(p);
}
