/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The fetch workers: one request each at a time. */
#include "fs/transfer/internal.h"

/* Whether the block still points where the range was read from. */
static bool current(struct transfer *t, const struct range *r)
{
	struct block *b;
	bool same;

	if (meta_block_get(t->meta, r->inode, r->index, &b) < 0)
		return true;
	meta_lock(t->meta);
	same = extent_same(&b->extent, &r->extent);
	meta_unlock(t->meta);
	meta_block_put(t->meta, b);
	return same;
}

/* ---- reading ahead
 * -------------------------------------------------------------------------------------------------------- */

static void plan_part(struct transfer *t, const struct fetch_part *part)
{
	pthread_mutex_lock(&t->lock);
	if (!t->stopping)
		fetch_plan(t, part, false);
	pthread_mutex_unlock(&t->lock);
}

/* What of a later block is on a backend only: asks the cache, which answers without reading. */
static bool missing_part(struct transfer *t, struct inode *inode, uint32_t index, struct fetch_part *part)
{
	struct cache_snapshot snap;
	struct cache_need need;
	struct block *b;
	int rc = cache_snapshot(t->cache, inode, index, &snap, &need);

	if (rc == 0)
		cache_snapshot_release(t->cache, &snap);
	if (rc != -ERR_NEED_FETCH || meta_block_get(t->meta, inode, index, &b) < 0)
		return false;
	*part = (struct fetch_part){ .inode = inode, .index = index, .off = need.off };
	meta_lock(t->meta);
	part->extent = b->extent;
	meta_unlock(t->meta);
	meta_block_put(t->meta, b);
	if (extent_none(&part->extent) || need.off >= part->extent.len)
		return false;
	part->len = part->extent.len - need.off;
	return true;
}

void transfer_ahead(struct transfer *t, struct inode *inode, uint64_t from, uint64_t len)
{
	struct fetch_part part;
	uint64_t blocks;

	meta_lock(t->meta);
	blocks = (inode->size + t->block_bytes - 1) / t->block_bytes;
	meta_unlock(t->meta);
	for (uint64_t i = from / t->block_bytes; len && i < blocks; i++) {
		uint32_t in = (uint32_t)(from % t->block_bytes), rest = (uint32_t)t->block_bytes - in;
		uint32_t most = len < rest ? (uint32_t)len : rest, end;

		if (missing_part(t, inode, (uint32_t)i, &part)) {
			end = part.off + part.len < in + most ? part.off + part.len : in + most;
			part.off = part.off > in ? part.off : in;
			part.len = end > part.off ? end - part.off : 0;
			if (part.len)
				plan_part(t, &part);
		}
		from += most;
		len -= most;
	}
}

/* ---- one range
 * -------------------------------------------------------------------------------------------------------------- */

/* Every waiter whose need lies within what came gets it from there; the others get a range of their own. A need beyond
 * the extent is of another one: the cache has another answer by now. Returns what the failed end with. */
static int hand_out(struct transfer *t, struct range *r, struct list *waiters, const uint8_t *data, struct list *failed)
{
	int rc = 0;

	list_for_each_safe (it, waiters) {
		struct fetch *f = list_entry(it, struct fetch, link);
		struct fetch_part part = { r->inode, r->extent, r->index, f->need.off, f->need.len };
		struct range *own = NULL;

		if (f->need.off >= r->off && f->need.off + f->need.len <= r->off + r->len) {
			f->unkept = data + (f->need.off - r->off);
			continue;
		}
		if (f->need.off + f->need.len > r->extent.len)
			continue;
		list_remove(it);
		pthread_mutex_lock(&t->lock);
		if (!t->stopping)
			own = fetch_exact(t, &part);
		else
			rc = -ERR_STOPPED;
		if (own) {
			list_append(&own->waiters, it);
			f->waiting = true;
		}
		pthread_mutex_unlock(&t->lock);
		if (!own)
			list_append(failed, it);
	}
	return rc < 0 ? rc : -ENOMEM;
}

static int read_range(struct transfer *t, struct range *r, struct object_read *read)
{
	int rc;

	read->id = r->extent.object;
	read->off = r->extent.offset + r->off;
	read->len = r->len;
	read->quick = true;
	if (!(read->out = malloc(object_read_room(r->len))))
		return -ENOMEM;
	rc = replica_read(t, read);
	/* superseded, and so rightly deleted or about to be: whatever is wrong with it is no loss */
	if (rc < 0 && !current(t, r))
		return -ERR_STALE;
	return rc == -ENOENT ? -ERR_CORRUPT : rc;
}

static int fill(struct transfer *t, struct range *r, const uint8_t *data)
{
	int rc = cache_fill(t->cache, r->inode, r->index, &r->extent, r->off, data, r->len);

	return rc == -ENOSPC ? -ERR_CACHE_FULL : rc;
}

static uint32_t begin(struct range *r)
{
	uint32_t ahead = r->ahead;

	r->ahead = 0;
	return ahead;
}

/* The waiters leave the range under the lock, so that a cancel finds them either there or told. */
static void take_waiters(struct transfer *t, struct range *r, struct list *out)
{
	pthread_mutex_lock(&t->lock);
	range_unlink(t, r);
	list_splice(out, &r->waiters);
	list_for_each (it, out)
		list_entry(it, struct fetch, link)->waiting = false;
	pthread_mutex_unlock(&t->lock);
}

static void run_window(struct transfer *t, struct range *r)
{
	pack_window(t, r);
	pthread_mutex_lock(&t->lock);
	range_unlink(t, r);
	pthread_mutex_unlock(&t->lock);
	range_free(t, r);
}

static void run(struct transfer *t, struct range *r, uint32_t ahead)
{
	struct list waiters = LIST_INIT(waiters), failed = LIST_INIT(failed);
	struct object_read read = { 0 };
	int rc, failed_rc = 0;

	if (ahead)
		transfer_ahead(t, r->inode, r->index * t->block_bytes + r->off + r->len, ahead);
	pack_ahead(t, r);
	rc = read_range(t, r, &read);
	if (rc == 0)
		rc = fill(t, r, (uint8_t *)read.out + read.skip);
	take_waiters(t, r, &waiters);
	if (rc == -ERR_CACHE_FULL)
		failed_rc = hand_out(t, r, &waiters, (uint8_t *)read.out + read.skip, &failed);
	if (rc == -ERR_CACHE_FULL || rc == -ERR_STALE)
		rc = 0;
	fetch_end(t, &waiters, rc);
	fetch_end(t, &failed, failed_rc);
	free(read.out);
	range_free(t, r);
}

/* ---- the thread
 * --------------------------------------------------------------------------------------------------------------- */

static struct range *take_from(struct transfer *t, struct zone_queue *q)
{
	unsigned share = zone_share(t, t->options.fetch_workers);
	struct range *r;

	if (q->fetching >= share)
		return NULL;
	if (!list_empty(&q->demand)) {
		r = list_first(&q->demand, struct range, link);
	} else if (!list_empty(&q->ahead) && (q->fetching + 1 < share || share == 1)) {
		/* one worker is kept for what somebody waits for */
		r = list_first(&q->ahead, struct range, link);
		q->ahead_count--;
	} else {
		return NULL;
	}
	list_remove(&r->link);
	q->fetching++;
	t->fetching++;
	return r;
}

static struct range *take(struct transfer *t)
{
	struct range *r = NULL;

	for (unsigned i = 0; !r && i < t->zone_count; i++) {
		t->fetch_turn = t->fetch_turn->next;
		if (t->fetch_turn == &t->zones)
			t->fetch_turn = t->fetch_turn->next;
		r = take_from(t, list_entry(t->fetch_turn, struct zone_queue, link));
	}
	return r;
}

void *fetch_main(void *arg)
{
	struct transfer *t = ((struct worker *)arg)->t;

	pthread_mutex_lock(&t->lock);
	while (!t->stopping) {
		struct range *r = take(t);
		struct zone_queue *queue;
		uint32_t ahead;

		if (!r) {
			pthread_cond_wait(&t->fetch, &t->lock);
			continue;
		}
		queue = r->queue;
		ahead = begin(r);
		pthread_mutex_unlock(&t->lock);
		if (r->pack)
			run_window(t, r);
		else
			run(t, r, ahead);
		pthread_mutex_lock(&t->lock);
		queue->fetching--;
		t->fetching--;
		pthread_cond_broadcast(&t->fetch);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}
