/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Seal, sync, publish (cache.h). One sync of an inode at a time (cnode.syncing): maps are published in the order they
 * were captured. Between capture and publication no lock is held, so that writes go on; a truncation in that time takes
 * its units out of what was captured, and lowers the captured size, under cnode.publish: what is published never brings
 * back what was dropped. */
#include "fs/cache/internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One inode's sync. */
struct job {
	struct cnode *n;
	struct inode *inode;
	struct list captures;
	int rc;
};

/* ---- capture ---- */

static void capture_free(struct cache *c, struct capture *cap)
{
	files_put(c, cap->file);
	blob_put(cap->map);
	free(cap->retired);
	meta_block_put(c->meta, cap->block);
	free(cap);
}

static int capture_fill(struct cblock *b, struct capture *cap)
{
	int rc;

	if ((rc = cblock_seal_pages(b)) < 0)
		return rc;
	if (b->changed == CHANGE_WRITTEN)
		holes_publish(b);
	if (!(cap->retired = calloc(1, sizeof *cap->retired)) || !(cap->map = map_to_blob(&b->map)))
		return -ENOMEM;
	cap->slots = map_slots(&b->map);
	cap->empty = map_empty(&b->map);
	cap->how = b->changed;
	if (!b->file)
		return 0;
	if ((rc = slotfile_ref_map(b->file, &b->map)) < 0)
		return rc;
	files_ref(b->c, b->file);
	cap->file = b->file;
	return 0;
}

static int capture_block(struct job *job, struct cblock *b)
{
	struct cache *c = b->c;
	struct capture *cap = calloc(1, sizeof *cap);
	struct block *block = b->block;
	bool put = false;
	int rc = -ENOMEM;

	if (!cap) {
		meta_block_put(c->meta, block);
		return rc;
	}
	cap->b = b;
	cap->block = block;
	pthread_mutex_lock(&b->lock);
	/* evicted since it was looked up */
	rc = b->changed == CHANGE_NONE ? -ENODATA : capture_fill(b, cap);
	if (rc == 0) {
		b->captured = cap;
		list_append(&job->captures, &cap->link);
		put = cblock_settled(b);
	}
	pthread_mutex_unlock(&b->lock);
	if (put)
		meta_block_put(c->meta, block);
	if (rc < 0)
		capture_free(c, cap);
	return rc == -ENODATA ? 0 : rc;
}

/* Under data_lock, alone: no write is half done, so that the size speaks of nothing that is not captured. */
static void job_capture(struct cache *c, struct job *job)
{
	struct cnode *n = job->n;
	struct inode *size_ref = NULL;
	struct cblock *b;

	pthread_rwlock_wrlock(&job->inode->data_lock);
	seal_together(c, n);
	while (job->rc == 0 && (b = cnode_first(c, n)))
		job->rc = capture_block(job, b);
	pthread_mutex_lock(&n->publish);
	pthread_mutex_lock(&c->lock);
	meta_lock(c->meta);
	n->captured_size = job->inode->size;
	n->captured_intent = job->inode->intent_last;
	meta_unlock(c->meta);
	if (job->rc == 0) {
		size_ref = n->inode;
		n->inode = NULL;
		cnode_rest(c, n);
	}
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&n->publish);
	pthread_rwlock_unlock(&job->inode->data_lock);
	meta_inode_put(c->meta, size_ref);
}

/* ---- sync ---- */

static int sync_dirs(struct cache *c, struct job *jobs, size_t count)
{
	bool seen[256] = { false };
	int rc = 0;

	for (size_t i = 0; i < count; i++) {
		list_for_each (it, &jobs[i].captures) {
			struct slotfile *f = list_entry(it, struct capture, link)->file;

			if (f && !slotfile_named(f))
				seen[f->ino & 0xff] = true;
		}
	}
	for (unsigned i = 0; i < 256 && rc == 0; i++)
		if (seen[i])
			rc = fds_sync_dir(&c->fds, i);
	return rc;
}

static void files_named(struct job *job)
{
	list_for_each (it, &job->captures) {
		struct capture *cap = list_entry(it, struct capture, link);

		if (cap->file && cap->slots)
			slotfile_set_named(cap->file);
	}
}

/* What was only fetched is lost without harm: the block keeps the row it had. */
static void sync_files(struct job *job)
{
	list_for_each (it, &job->captures) {
		struct capture *cap = list_entry(it, struct capture, link);
		int rc = cap->slots ? slotfile_sync(cap->file) : 0;

		if (rc < 0 && cap->how == CHANGE_WRITTEN && job->rc == 0)
			job->rc = rc;
		else if (rc < 0)
			cap->failed = rc;
	}
}

/* The disk has all of it before the first is waited for, so that one commit of its journal serves many. */
static void start_files(const struct job *jobs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (jobs[i].rc < 0)
			continue;
		list_for_each (it, &jobs[i].captures) {
			struct capture *cap = list_entry(it, struct capture, link);

			if (cap->slots)
				slotfile_start(cap->file);
		}
	}
}

/* What one fdatasync reported no later sync reports again. */
static void check_files(struct job *job)
{
	list_for_each (it, &job->captures) {
		struct capture *cap = list_entry(it, struct capture, link);

		if (cap->slots && !cap->failed)
			cap->failed = slotfile_failed(cap->file);
		if (cap->failed && cap->how == CHANGE_WRITTEN && job->rc == 0)
			job->rc = cap->failed;
	}
}

static void jobs_sync(struct cache *c, struct job *jobs, size_t count)
{
	int rc;

	/* no syncfs, however many they are: it waits for what other programs write to the disk */
	start_files(jobs, count);
	for (size_t i = 0; i < count; i++)
		if (jobs[i].rc == 0)
			sync_files(&jobs[i]);
	rc = sync_dirs(c, jobs, count);
	for (size_t i = 0; i < count; i++) {
		check_files(&jobs[i]);
		if (jobs[i].rc == 0)
			jobs[i].rc = rc;
		if (rc == 0)
			files_named(&jobs[i]);
	}
}

/* ---- publish ---- */

/* The row's new map. Under publish, cache.lock and the meta lock. */
static void publish_row(struct cache *c, struct capture *cap)
{
	static const struct extent none;
	struct block *block = cap->block;

	if (block->kind == BLOCK_INLINE)
		c->inline_bytes -= block->local->len < c->inline_bytes ? block->local->len : c->inline_bytes;
	blob_put(block->local);
	block->local = cap->empty ? NULL : blob_ref(cap->map);
	block->kind = cap->empty ? BLOCK_NONE : BLOCK_SLOTS;
	if (cap->empty && !memcmp(block->extent.object, none.object, sizeof none.object))
		block->dirty = false;
	meta_block_changed(c->meta, block);
}

/* After it, still under publish: the captured map is the synced one; the one before waits for the batch. */
static void publish_state(struct cache *c, struct capture *cap, uint64_t batch)
{
	struct cblock *b = cap->b;

	pthread_mutex_lock(&b->lock);
	b->captured = NULL;
	if (b->synced) {
		struct retired *r = cap->retired;

		cap->retired = NULL;
		r->map = b->synced;
		r->batch = batch;
		r->file = cap->file;
		cap->file = NULL;
		pthread_mutex_lock(&c->lock);
		files_retire(c, r);
		pthread_mutex_unlock(&c->lock);
	}
	b->synced = NULL;
	if (!cap->empty) {
		b->synced = cap->map;
		cap->map = NULL;
	}
	pthread_mutex_unlock(&b->lock);
}

/* What was captured is unsynced as before. */
static int capture_undo(struct cache *c, struct job *job, struct capture *cap)
{
	struct cblock *b = cap->b;
	struct map map;
	int rc = 0;

	pthread_mutex_lock(&b->lock);
	b->captured = NULL;
	if (cap->file && map_from_blob(c, cap->map, &map) == 0) {
		slotfile_unref_map(cap->file, &map);
		map_free(&map);
	}
	if (!cap->failed || (rc = cblock_damaged(b, job->n, 0, map_get(&b->map, 0), -ENOENT)) < 0)
		cblock_changed(b, job->n, cap->how);
	if (b->changed == CHANGE_WRITTEN)
		cblock_fresh(b, job->n, FRESH_SLOTS);
	pthread_mutex_unlock(&b->lock);
	return rc;
}

static void job_publish(struct cache *c, struct job *job)
{
	struct cnode *n = job->n;
	uint64_t batch;

	pthread_mutex_lock(&n->publish);
	pthread_mutex_lock(&c->lock);
	meta_lock(c->meta);
	batch = meta_batch(c->meta);
	list_for_each (it, &job->captures) {
		struct capture *cap = list_entry(it, struct capture, link);

		if (job->rc == 0 && !cap->dropped && !cap->failed)
			publish_row(c, cap);
	}
	if (job->rc == 0 && job->inode->disk_size < n->captured_size)
		job->inode->disk_size = n->captured_size;
	if (job->rc == 0 && job->inode->intent_done < n->captured_intent)
		job->inode->intent_done = n->captured_intent;
	if (job->rc == 0)
		meta_inode_changed(c->meta, job->inode);
	meta_unlock(c->meta);
	pthread_mutex_unlock(&c->lock);
	list_for_each (it, &job->captures) {
		struct capture *cap = list_entry(it, struct capture, link);
		int rc = 0;

		if (job->rc == 0 && !cap->dropped && !cap->failed)
			publish_state(c, cap, batch);
		else if (!cap->dropped)
			rc = capture_undo(c, job, cap);
		if (job->rc == 0)
			job->rc = rc;
	}
	pthread_mutex_unlock(&n->publish);
}

/* ---- a job ---- */

/* The thread tries again, but not at once. Under cache.lock. */
static void postpone(struct cache *c, struct cnode *n)
{
	if (list_empty(&n->link))
		return;
	n->since_ns = clock_mono_ns();
	list_remove(&n->link);
	list_append(&c->active, &n->link);
}

/* false: nothing to do. Waits for a sync under way, which may have begun before the last write. */
static bool job_begin(struct cache *c, struct job *job)
{
	struct cnode *n = job->n;
	bool any;

	list_init(&job->captures);
	pthread_mutex_lock(&c->lock);
	while (n->syncing)
		pthread_cond_wait(&c->synced, &c->lock);
	any = n->syncing = !list_empty(&n->unsynced) || n->inode;
	pthread_mutex_unlock(&c->lock);
	if (any)
		job_capture(c, job);
	return any;
}

static void job_end(struct cache *c, struct job *job)
{
	struct cnode *n = job->n;

	job_publish(c, job);
	list_for_each_safe (it, &job->captures) {
		capture_free(c, list_entry(it, struct capture, link));
	}
	pthread_mutex_lock(&c->lock);
	n->syncing = false;
	if (job->rc < 0)
		postpone(c, n);
	pthread_cond_broadcast(&c->synced);
	pthread_mutex_unlock(&c->lock);
	if (job->rc < 0)
		cnode_settle_size(c, n, job->inode);
}

int cache_sync(struct cache *c, struct inode *inode)
{
	struct job job = { .inode = inode, .n = cnode_find(c, inode->ino) };

	if (!job.n)
		return 0;
	if (job_begin(c, &job)) {
		if (job.rc == 0)
			jobs_sync(c, &job, 1);
		job_end(c, &job);
	}
	cnode_put(c, job.n);
	return job.rc;
}

static int sync_durably(struct cache *c, struct inode *inode)
{
	int rc = cache_sync(c, inode);

	return rc < 0 ? rc : meta_sync(c->meta);
}

/* A log that fails leaves everything unsynced as it was. */
static void logged(struct intentlog_wait *w, int rc)
{
	struct cache_fsync *f = container_of(w, struct cache_fsync, wait);

	f->done(f, rc < 0 ? sync_durably(f->cache, f->inode) : 0);
}

void cache_fsync(struct cache *c, struct inode *inode, struct cache_fsync *f)
{
	f->cache = c;
	f->inode = inode;
	f->wait.done = logged;
	if (intent_sync(c, inode, &f->wait) < 0)
		f->done(f, sync_durably(c, inode));
}

bool cache_is_synced(struct cache *c, struct inode *inode)
{
	struct cnode *n = cnode_find(c, inode->ino);
	bool synced = true;

	if (!n)
		return true;
	pthread_mutex_lock(&c->lock);
	synced = !n->syncing && !n->written && !n->inode;
	cnode_put_locked(c, n);
	pthread_mutex_unlock(&c->lock);
	return synced;
}

/* ---- all ---- */

/* The nodes that are unsynced since before `limit`, referenced. */
static size_t nodes_take(struct cache *c, int64_t limit_ns, struct job **jobs)
{
	size_t count = 0, n = 0;

	*jobs = NULL;
	pthread_mutex_lock(&c->lock);
	list_for_each (it, &c->active) {
		count++;
	}
	if (count && (*jobs = calloc(count, sizeof **jobs))) {
		list_for_each (it, &c->active) {
			struct cnode *node = list_entry(it, struct cnode, link);

			if (node->since_ns > limit_ns)
				continue;
			node->refs++;
			(*jobs)[n++].n = node;
		}
	}
	pthread_mutex_unlock(&c->lock);
	return n;
}

/* Begins every job; those with nothing to do leave the array. */
static size_t jobs_begin(struct cache *c, struct job *jobs, size_t count)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		struct job job = jobs[i];

		if (meta_inode_get(c->meta, job.n->ino, &job.inode) < 0) {
			/* deleted: cache_inode_gone is about to drop it */
			pthread_mutex_lock(&c->lock);
			postpone(c, job.n);
			cnode_put_locked(c, job.n);
			pthread_mutex_unlock(&c->lock);
			continue;
		}
		jobs[n] = job;
		if (job_begin(c, &jobs[n])) {
			n++;
			continue;
		}
		meta_inode_put(c->meta, job.inode);
		cnode_put(c, job.n);
	}
	return n;
}

int sync_older(struct cache *c, int64_t than_ns)
{
	struct job *jobs;
	size_t count;
	int rc = 0;

	pthread_mutex_lock(&c->sync_all);
	count = nodes_take(c, than_ns, &jobs);
	count = jobs_begin(c, jobs, count);
	jobs_sync(c, jobs, count);
	for (size_t i = 0; i < count; i++) {
		job_end(c, &jobs[i]);
		if (rc == 0)
			rc = jobs[i].rc;
		meta_inode_put(c->meta, jobs[i].inode);
		cnode_put(c, jobs[i].n);
	}
	pthread_mutex_unlock(&c->sync_all);
	free(jobs);
	return rc;
}

int cache_sync_all(struct cache *c)
{
	return sync_older(c, INT64_MAX);
}
