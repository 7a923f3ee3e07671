/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Threads that help whoever syncs an inode to seal its pages: a block each, until none is left. They have no say in
 * what becomes of it: what could not be sealed is sealed again when its block is captured, and fails there. */
#include "fs/cache/internal.h"

#include <stdlib.h>
#include <unistd.h>

#define SEALERS_MAX   3
#define BLOCKS_SHARED 4 /* with fewer it takes longer to wake somebody */

struct sealing {
	struct cache *c;
	struct cblock **blocks; /* each referenced */
	size_t count;
	atomic_size_t next;
	unsigned at_work; /* helpers; under cache.lock */
};

struct helper {
	struct pool_task task;
	struct sealing *sealing;
};

int sealers_start(struct cache *c)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (cores < 2)
		return 0;
	c->sealers_idle = cores - 1 < SEALERS_MAX ? (unsigned)cores - 1 : SEALERS_MAX;
	return pool_new(&c->sealers, "bfs-seal", c->sealers_idle, 0);
}

void sealers_stop(struct cache *c)
{
	pool_free(c->sealers);
	c->sealers = NULL;
}

/* The disk writes it while the next one is sealed. */
static void seal_one(struct cache *c, struct cblock *b)
{
	struct slotfile *f = NULL;

	pthread_mutex_lock(&b->lock);
	if (cblock_seal_pages(b) == 0 && (f = b->file))
		files_ref(c, f);
	pthread_mutex_unlock(&b->lock);
	if (!f)
		return;
	slotfile_start(f);
	files_put(c, f);
}

static void seal_some(struct sealing *s)
{
	for (size_t i; (i = atomic_fetch_add(&s->next, 1)) < s->count;)
		seal_one(s->c, s->blocks[i]);
}

/* The sealing is its starter's, gone when the last helper has said that it is done. */
static void help(struct pool_task *task)
{
	struct sealing *s = container_of(task, struct helper, task)->sealing;
	struct cache *c = s->c;

	seal_some(s);
	pthread_mutex_lock(&c->lock);
	c->sealers_idle++;
	s->at_work--;
	pthread_cond_broadcast(&c->synced);
	pthread_mutex_unlock(&c->lock);
}

/* Those of the inode's blocks that have pages. */
static bool collect(struct cache *c, struct cnode *n, struct sealing *s)
{
	size_t count = 0;

	pthread_mutex_lock(&c->lock);
	list_for_each (it, &n->unsynced)
		count += !list_empty(&list_entry(it, struct cblock, unsynced_link)->paged_link);
	if (count >= BLOCKS_SHARED && (s->blocks = malloc(count * sizeof *s->blocks))) {
		meta_lock(c->meta);
		list_for_each (it, &n->unsynced) {
			struct cblock *b = list_entry(it, struct cblock, unsynced_link);

			if (list_empty(&b->paged_link))
				continue;
			meta_block_ref(b->block);
			s->blocks[s->count++] = b;
		}
		meta_unlock(c->meta);
	}
	pthread_mutex_unlock(&c->lock);
	return s->count > 0;
}

static unsigned helpers_take(struct cache *c, struct sealing *s)
{
	unsigned n;

	pthread_mutex_lock(&c->lock);
	n = s->at_work = c->sealers_idle;
	c->sealers_idle = 0;
	pthread_mutex_unlock(&c->lock);
	return n;
}

void seal_together(struct cache *c, struct cnode *n)
{
	struct helper helpers[SEALERS_MAX];
	struct sealing s = { .c = c };
	unsigned count;

	if (!c->sealers || !collect(c, n, &s))
		return;
	count = helpers_take(c, &s);
	for (unsigned i = 0; i < count; i++) {
		helpers[i] = (struct helper){ .task = { .run = help }, .sealing = &s };
		list_init(&helpers[i].task.link);
		pool_submit(c->sealers, &helpers[i].task);
	}
	seal_some(&s);
	pthread_mutex_lock(&c->lock);
	while (s.at_work)
		pthread_cond_wait(&c->synced, &c->lock);
	pthread_mutex_unlock(&c->lock);
	for (size_t i = 0; i < s.count; i++)
		meta_block_put(c->meta, s.blocks[i]->block);
	free(s.blocks);
}
