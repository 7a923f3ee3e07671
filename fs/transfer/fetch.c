/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fetches: what is asked for becomes ranges of objects, joined with those under way. A fetch waits for the range that
 * holds its first byte; when that has come its caller asks the cache again, and perhaps for the next. */
#include "fs/transfer/internal.h"

#define AHEAD_MAX 64u /* ranges that wait, of one zone, and nobody waits for */

static uint64_t range_hash(uint64_t ino, uint32_t index)
{
	return hash_u64(ino ^ (uint64_t)index << 40);
}

/* A walk over the ranges of one block: the one that holds `at`, or where the next one after it begins. */
struct search {
	uint64_t ino;
	const struct extent *extent;
	uint32_t index, at, next;
	struct range *holds;
};

static bool look(const struct hash_node *node, const void *key)
{
	struct search *s = (struct search *)(uintptr_t)key;
	struct range *r = container_of((struct hash_node *)(uintptr_t)node, struct range, node);

	if (r->exact || r->inode->ino != s->ino || r->index != s->index || !extent_same(&r->extent, s->extent))
		return false;
	if (r->off <= s->at && s->at - r->off < r->len)
		s->holds = r;
	else if (r->off > s->at && r->off < s->next)
		s->next = r->off;
	return false;
}

static void search(struct transfer *t, struct search *s)
{
	s->holds = NULL;
	s->next = UINT32_MAX;
	(void)hash_find(&t->ranges, range_hash(s->ino, s->index), look, s);
}

static struct range *range_new(struct transfer *t, const struct fetch_part *part, bool demand)
{
	struct zone_queue *queue = zone_queue(t, part->extent.zone_id);
	struct range *r;

	if (!queue || (!demand && queue->ahead_count >= AHEAD_MAX) || !(r = calloc(1, sizeof *r)))
		return NULL;
	list_init(&r->waiters);
	meta_lock(t->meta);
	meta_inode_ref(part->inode);
	meta_unlock(t->meta);
	r->inode = part->inode;
	r->extent = part->extent;
	r->queue = queue;
	r->index = part->index;
	r->off = part->off;
	r->len = part->len;
	r->demand = demand;
	hash_insert(&t->ranges, &r->node, range_hash(part->inode->ino, part->index));
	list_append(demand ? &queue->demand : &queue->ahead, &r->link);
	queue->ahead_count += !demand;
	pthread_cond_broadcast(&t->fetch);
	return r;
}

void range_unlink(struct transfer *t, struct range *r)
{
	hash_remove(&t->ranges, &r->node);
	list_remove(&r->link);
}

void range_free(struct transfer *t, struct range *r)
{
	meta_inode_put(t->meta, r->inode);
	free(r);
}

/* Widened to whole segments of the object, as far as the block's part of it and whole units go: they come anyway. */
static void widen(const struct fetch_part *part, uint32_t *start, uint32_t *end)
{
	uint64_t first = (part->extent.offset + part->off) / SEGMENT_DATA * SEGMENT_DATA;
	uint64_t last = part->extent.offset + part->off + part->len;

	last = (last + SEGMENT_DATA - 1) / SEGMENT_DATA * SEGMENT_DATA - part->extent.offset;
	first = first > part->extent.offset ? first - part->extent.offset : 0;
	*start = (uint32_t)((first + UNIT - 1) / UNIT * UNIT);
	*end = last >= part->extent.len ? part->extent.len : (uint32_t)(last / UNIT * UNIT);
}

struct range *fetch_plan(struct transfer *t, const struct fetch_part *part, bool demand)
{
	struct search s = { .ino = part->inode->ino, .extent = &part->extent, .index = part->index };
	struct range *first = NULL, *r;
	uint32_t start, end;

	widen(part, &start, &end);
	/* what somebody waits for begins where it must, or is under way */
	s.at = part->off;
	search(t, &s);
	if (s.holds && demand)
		first = s.holds;
	for (s.at = s.holds ? s.holds->off + s.holds->len : start; s.at < end; s.at += r->len) {
		struct fetch_part piece = *part;

		search(t, &s);
		if ((r = s.holds)) {
			s.at = r->off;
			continue;
		}
		piece.off = s.at;
		piece.len = (end < s.next ? end : s.next) - s.at;
		if (piece.len > FETCH_CHUNK)
			piece.len =
				(FETCH_CHUNK - (uint32_t)((part->extent.offset + s.at) % SEGMENT_DATA)) / UNIT * UNIT;
		if (!(r = range_new(t, &piece, demand && !first)))
			break;
		if (demand && !first && r->off <= part->off && part->off - r->off < r->len)
			first = r;
	}
	return first;
}

void fetch_pack(struct transfer *t, const struct fetch_part *part)
{
	struct range *r = range_new(t, part, false);

	if (r)
		r->exact = r->pack = true;
}

struct range *fetch_exact(struct transfer *t, const struct fetch_part *part)
{
	struct range *r = range_new(t, part, true);

	if (r)
		r->exact = true;
	return r;
}

/* ---- the interface
 * ----------------------------------------------------------------------------------------------------- */

void fetch_end(struct transfer *t, struct list *waiters, int rc)
{
	(void)t;
	list_for_each_safe (it, waiters) {
		struct fetch *f = list_entry(it, struct fetch, link);

		list_remove(it);
		f->done(f, rc);
	}
}

/* Somebody waits now for what was only read ahead: it overtakes. */
static void promote(struct range *r)
{
	if (r->demand)
		return;
	r->demand = true;
	if (list_empty(&r->link))
		return;
	r->queue->ahead_count--;
	list_remove(&r->link);
	list_append(&r->queue->demand, &r->link);
}

/* At least so much where reading is sequential: requests cost more than bytes. */
static uint32_t first_len(const struct fetch *f, const struct extent *e)
{
	uint32_t len = f->need.len, rest = e->len - f->need.off;

	if (f->ahead && len < FETCH_SEQUENTIAL)
		len = FETCH_SEQUENTIAL;
	return len < rest ? len : rest;
}

static int enqueue(struct transfer *t, struct fetch *f, const struct extent *e)
{
	struct fetch_part part = { .inode = f->inode, .extent = *e, .index = f->need.index, .off = f->need.off };
	uint64_t end = (uint64_t)f->need.off + f->need.len + f->ahead;
	struct range *r;

	if (t->stopping)
		return -ERR_STOPPED;
	if (f->cancelled)
		return -EINTR;
	part.len = first_len(f, e);
	if (!(r = fetch_plan(t, &part, true)))
		return -ENOMEM;
	promote(r);
	end -= end < r->off + r->len ? end : r->off + r->len;
	if (end > r->ahead)
		r->ahead = (uint32_t)end;
	list_append(&r->waiters, &f->link);
	f->waiting = true;
	return 1;
}

void transfer_fetch(struct transfer *t, struct fetch *f)
{
	struct block *b = NULL;
	struct extent e = { 0 };
	int rc = meta_block_get(t->meta, f->inode, f->need.index, &b);

	f->unkept = NULL;
	f->waiting = false;
	list_init(&f->link);
	if (rc == 0) {
		meta_lock(t->meta);
		e = b->extent;
		meta_unlock(t->meta);
		meta_block_put(t->meta, b);
		/* changed meanwhile: the cache has another answer by now */
		if (!extent_none(&e) && f->need.off < e.len) {
			pthread_mutex_lock(&t->lock);
			rc = enqueue(t, f, &e);
			pthread_mutex_unlock(&t->lock);
		}
	}
	if (rc <= 0)
		f->done(f, rc);
}

void transfer_fetch_cancel(struct transfer *t, struct fetch *f)
{
	pthread_mutex_lock(&t->lock);
	f->cancelled = true;
	if (f->waiting) {
		f->waiting = false;
		list_remove(&f->link);
		list_append(&t->finished, &f->link);
		pthread_cond_signal(&t->complete);
	}
	pthread_mutex_unlock(&t->lock);
}

/* Tells those who cancelled: a thread of its own, since every fetch worker may be waiting for a backend. */
void *complete_main(void *arg)
{
	struct transfer *t = arg;

	pthread_mutex_lock(&t->lock);
	while (!t->stopping || !list_empty(&t->finished)) {
		struct list done = LIST_INIT(done);

		if (list_empty(&t->finished)) {
			pthread_cond_wait(&t->complete, &t->lock);
			continue;
		}
		list_splice(&done, &t->finished);
		pthread_mutex_unlock(&t->lock);
		fetch_end(t, &done, -EINTR);
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* ---- the same as a call
 * ------------------------------------------------------------------------------------------------- */

struct fetch_wait {
	struct fetch fetch;
	pthread_mutex_t lock; /* protects done and rc; a leaf */
	pthread_cond_t cond;
	bool done;
	int rc;
};

static void waited(struct fetch *f, int rc)
{
	struct fetch_wait *w = container_of(f, struct fetch_wait, fetch);

	pthread_mutex_lock(&w->lock);
	w->rc = rc == 0 && f->unkept ? -ERR_CACHE_FULL : rc;
	w->done = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

int transfer_fetch_wait(struct transfer *t, struct inode *inode, const struct cache_need *need, uint32_t ahead)
{
	struct fetch_wait w = { .fetch = { .inode = inode, .need = *need, .ahead = ahead, .done = waited } };

	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.cond, NULL);
	transfer_fetch(t, &w.fetch);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.lock);
	return w.rc;
}
