/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A pass: one look through the blocks of an inode, given out block by block to the upload workers. Passes of a zone
 * take turns, so that a large file neither waits for small ones nor keeps them waiting; zones take turns too, and none
 * may have all workers. */
#include "fs/transfer/internal.h"

#define BLOCKED_MIN_NS (100 * NS_PER_MS)

/* ---- queues of the zones
 * --------------------------------------------------------------------------------------------- */

struct zone_queue *zone_queue(struct transfer *t, uint32_t zone_id)
{
	struct zone_queue *q;

	list_for_each (it, &t->zones) {
		q = list_entry(it, struct zone_queue, link);
		if (q->zone_id == zone_id)
			return q;
	}
	if (!(q = calloc(1, sizeof *q)))
		return NULL;
	q->zone_id = zone_id;
	list_init(&q->passes);
	list_init(&q->small);
	list_init(&q->parked);
	list_init(&q->demand);
	list_init(&q->ahead);
	list_append(&t->zones, &q->link);
	t->zone_count++;
	return q;
}

unsigned zone_share(const struct transfer *t, unsigned workers)
{
	size_t zones = t->config->zone_count > t->zone_count ? t->config->zone_count : t->zone_count;

	return workers > zones ? workers - (unsigned)zones + 1 : 1;
}

/* ---- looking for blocks
 * ------------------------------------------------------------------------------------------------ */

bool extent_none(const struct extent *e)
{
	static const uint8_t none[OBJECT_ID_BYTES];

	return memcmp(e->object, none, sizeof none) == 0;
}

bool extent_same(const struct extent *a, const struct extent *b)
{
	return memcmp(a->object, b->object, sizeof a->object) == 0 && a->offset == b->offset && a->len == b->len;
}

static bool due(struct transfer *t, const struct pass *p, bool dirty, const struct extent *e)
{
	return dirty || (!extent_none(e) && (e->zone_id != p->zone_id || repack_doomed(t, e)));
}

/* Few blocks: from memory, without waiting for a commit. */
static int scan_each(struct transfer *t, struct pass *p)
{
	struct block *b;
	struct extent e;
	bool dirty;
	int rc;

	while (p->next < p->count && p->page_len < PAGE_BLOCKS) {
		if ((rc = meta_block_get(t->meta, p->inode, p->next, &b)) < 0)
			return rc;
		meta_lock(t->meta);
		dirty = b->dirty;
		e = b->extent;
		meta_unlock(t->meta);
		meta_block_put(t->meta, b);
		if (due(t, p, dirty, &e))
			p->page[p->page_len++] = p->next;
		p->next++;
	}
	return 0;
}

/* Many, perhaps with holes: the rows there are. */
static int scan_rows(struct transfer *t, struct pass *p)
{
	struct block_row rows[PAGE_BLOCKS];
	int n = 0;

	while (p->next < p->count && p->page_len == 0) {
		if ((n = meta_blocks(t->meta, p->inode->ino, p->next, rows, PAGE_BLOCKS)) < 0)
			return n;
		for (int i = 0; i < n; i++)
			if (due(t, p, rows[i].dirty, &rows[i].extent))
				p->page[p->page_len++] = rows[i].index;
		p->next = n ? rows[n - 1].index + 1 : p->count;
	}
	return 0;
}

int pass_scan(struct transfer *t, struct pass *p)
{
	p->page_at = p->page_len = 0;
	return p->count <= PAGE_BLOCKS ? scan_each(t, p) : scan_rows(t, p);
}

/* ---- life of a pass
 * ----------------------------------------------------------------------------------------------------- */

void pass_free(struct transfer *t, struct pass *p)
{
	meta_inode_put(t->meta, p->inode);
	free(p);
}

/* ---- small blocks: gathered for a while, to share an object
 * -------------------------------------------------------------- */

static uint32_t next_len(const struct transfer *t, const struct pass *p)
{
	uint64_t start = p->page[p->page_at] * t->block_bytes, left = p->size > start ? p->size - start : 0;

	return left < t->block_bytes ? (uint32_t)left : (uint32_t)t->block_bytes;
}

static bool next_is_small(const struct transfer *t, const struct pass *p)
{
	const struct config_zone *zone = place_zone(t->place, t->config, p->zone_id);

	return zone && next_len(t, p) < zone->pack_bytes;
}

/* Into the queue that its next block belongs in. */
static void enqueue(struct transfer *t, struct pass *p)
{
	struct zone_queue *q = p->queue;

	if (!next_is_small(t, p)) {
		list_append(&q->passes, &p->link);
		return;
	}
	if (list_empty(&q->small)) {
		q->small_since_ns = clock_mono_ns();
		q->small_bytes = q->small_count = 0;
		q->small_urgent = false;
	}
	list_append(&q->small, &p->link);
	q->small_bytes += next_len(t, p);
	q->small_count++;
	q->small_urgent |= p->entry->urgent;
}

static bool about_to_judge(const struct transfer *t)
{
	return t->judging || (t->heap.count && t->heap.v[0]->due_ns <= clock_mono_ns());
}

/* Else *until is when, at the latest. */
static bool small_ready(const struct transfer *t, const struct zone_queue *q, int64_t *until)
{
	int64_t ready_ns = q->small_since_ns + t->pack_window_ns;

	if (list_empty(&q->small))
		return false;
	if (q->small_bytes >= PACK_BYTES || q->small_count >= PACK_MEMBERS || ready_ns <= clock_mono_ns() ||
		(q->small_urgent && !about_to_judge(t)))
		return true;
	*until = ready_ns < *until ? ready_ns : *until;
	return false;
}

static bool small_ready_now(const struct transfer *t, const struct zone_queue *q)
{
	int64_t until = 0;

	return small_ready(t, q, &until);
}

void passes_idle(struct transfer *t)
{
	list_for_each (it, &t->zones)
		if (small_ready_now(t, list_entry(it, struct zone_queue, link)))
			pthread_cond_broadcast(&t->upload);
}

/* The first small one needs a worker only to wait for the others. */
void pass_start(struct transfer *t, struct pass *p)
{
	bool first = list_empty(&p->queue->small);

	enqueue(t, p);
	if (!list_empty(&p->queue->passes) || small_ready_now(t, p->queue))
		pthread_cond_broadcast(&t->upload);
	else if (first)
		pthread_cond_signal(&t->upload);
}

static void detach(struct transfer *t, struct pass *p)
{
	list_remove(&p->link);
	p->queue->pass_count--;
	p->entry->pass = NULL;
	if (!list_empty(&p->queue->parked))
		pthread_cond_signal(&t->sched);
}

/* With the lock; drops it, since putting an inode may free it. */
static void let_go(struct transfer *t, struct pass *p)
{
	pthread_mutex_unlock(&t->lock);
	pass_free(t, p);
	pthread_mutex_lock(&t->lock);
}

void pass_cancel(struct transfer *t, struct pass *p)
{
	struct entry *e = p->entry;

	if (p->working) {
		p->cancelled = true;
		list_remove(&p->link);
		return;
	}
	detach(t, p);
	e->early = true;
	entry_wait(t, e, clock_mono_ns());
	/* the caller goes on under the lock: whoever frees takes it from here */
	list_append(&t->dead_passes, &p->link);
	pthread_cond_signal(&t->sched);
}

static void pending_end(struct transfer *t, const struct pass *p)
{
	meta_lock(t->meta);
	if (p->inode->place_gen == p->gen && place_epoch(t->place) == p->epoch)
		meta_pending_done(t->meta, p->inode->ino);
	meta_unlock(t->meta);
}

static void finish_again(struct transfer *t, struct entry *e, const struct pass *p)
{
	int64_t now = clock_mono_ns();
	int64_t due_ns = p->incomplete ? p->retry_ns : now;

	if (p->incomplete) {
		e->failures += p->failed && e->failures < 250;
	} else {
		e->first_ns = e->touched_ns;
		e->failures = 0;
		e->urgent = false;
		entry_settled(t, e, p->ticket);
		due_ns = e->touched_ns + t->config->settle_ns;
	}
	entry_wait(t, e, due_again(t, e, due_ns));
}

void pass_finish(struct transfer *t, struct pass *p)
{
	struct entry *e = p->entry;

	detach(t, p);
	e->rc = p->rc;
	if (p->cancelled && !p->incomplete) {
		p->incomplete = true;
		p->retry_ns = clock_mono_ns();
	}
	if (!p->incomplete && !e->touched)
		pending_end(t, p);
	if (p->incomplete || e->touched)
		finish_again(t, e, p);
	else
		entry_drop(t, e);
	pthread_cond_broadcast(&t->changed);
	let_go(t, p);
}

/* ---- giving out blocks
 * ------------------------------------------------------------------------------------------------- */

static void pass_rest(struct transfer *t, struct pass *p)
{
	if (p->page_at < p->page_len && !p->cancelled)
		enqueue(t, p);
	else if (p->working == 0)
		pass_finish(t, p);
}

void pass_done(struct transfer *t, const struct item *item)
{
	struct pass *p = item->pass;

	p->working--;
	if (item->rc < 0) {
		p->incomplete = true;
		p->failed |= !item->refused;
		p->rc = item->rc;
		p->retry_ns = item->retry_ns < p->retry_ns ? item->retry_ns : p->retry_ns;
	}
	if (p->working == 0 && !p->scanning && list_empty(&p->link))
		pass_finish(t, p);
}

/* The page is used up: the next is looked for without the lock, while others leave the pass alone. */
static void rescan(struct transfer *t, struct pass *p)
{
	int rc;

	p->scanning = true;
	pthread_mutex_unlock(&t->lock);
	rc = pass_scan(t, p);
	pthread_mutex_lock(&t->lock);
	p->scanning = false;
	if (rc < 0) {
		p->page_len = 0;
		p->incomplete = p->failed = true;
		p->rc = rc;
		p->retry_ns = retry_after_ns(p->entry->failures);
	}
	if (p->page_len)
		pthread_cond_broadcast(&t->upload);
	pass_rest(t, p);
}

static int job_grow(struct job *job)
{
	size_t cap = job->cap ? 2 * job->cap : 1;
	struct item *v;

	if (job->count < job->cap)
		return 0;
	if (!(v = realloc(job->v, cap * sizeof *v)))
		return -ENOMEM;
	job->v = v;
	job->cap = cap;
	return 0;
}

/* The pass's next block into the job; false where the page is used up and there may be more: it is in no queue then. */
static bool take_block(struct transfer *t, struct pass *p, struct job *job)
{
	list_remove(&p->link);
	job->v[job->count++] = (struct item){ .pass = p,
		.index = p->page[p->page_at++],
		.gen = p->gen,
		.epoch = p->epoch,
		.failures = p->entry->failures };
	job->foreign |= p->foreign;
	p->working++;
	if (p->page_at < p->page_len && !p->cancelled)
		enqueue(t, p);
	else if (p->next < p->count && !p->cancelled)
		return false;
	return true;
}

/* What failed before goes with fewer others, in the end alone: one that changes all the time keeps nobody back. */
static size_t members_max(const struct pass *p)
{
	size_t n = PACK_MEMBERS >> (p->entry->failures < 10 ? p->entry->failures : 10);

	return n ? n : 1;
}

static void take_small(struct transfer *t, struct zone_queue *q, struct job *job)
{
	uint64_t bytes = 0;
	bool more = true;

	while (more && !list_empty(&q->small) && bytes < PACK_BYTES && job_grow(job) == 0) {
		struct pass *p = list_first(&q->small, struct pass, link);

		if (job->count && job->count >= members_max(p))
			break;

		bytes += next_len(t, p);
		if (!(more = take_block(t, p, job)))
			rescan(t, p);
	}
}

static void cancel_touched(struct transfer *t, struct list *passes)
{
	list_for_each_safe (it, passes) {
		struct pass *p = list_entry(it, struct pass, link);

		if (p->entry->touched)
			pass_cancel(t, p);
	}
}

/* Passes whose inode was touched since are judged again now rather than when the zone's backends are back. */
static void block_queue(struct transfer *t, struct zone_queue *q, int64_t until)
{
	int64_t soon = clock_mono_ns() + BLOCKED_MIN_NS;

	q->blocked_until_ns = until > soon ? until : soon;
	cancel_touched(t, &q->passes);
	cancel_touched(t, &q->small);
}

static bool take_from(
	struct transfer *t, struct zone_queue *q, struct job *job, struct targets *targets, int64_t *until)
{
	bool small = small_ready(t, q, until);
	int64_t retry = clock_mono_ns() + NS_PER_S;

	if ((list_empty(&q->passes) && !small) || q->uploading >= zone_share(t, t->options.upload_workers))
		return false;
	if (q->blocked_until_ns > clock_mono_ns()) {
		*until = q->blocked_until_ns < *until ? q->blocked_until_ns : *until;
		return false;
	}
	if (job_grow(job) < 0 || targets_pick(t, q->zone_id, targets, &retry) < 0) {
		block_queue(t, q, retry);
		*until = q->blocked_until_ns < *until ? q->blocked_until_ns : *until;
		return false;
	}
	job->queue = q;
	q->uploading++;
	t->uploading++;
	/* in turn, so that neither waits for ever */
	q->small_last = small && (list_empty(&q->passes) || !q->small_last);
	if (q->small_last) {
		take_small(t, q, job);
	} else {
		struct pass *p = list_first(&q->passes, struct pass, link);

		if (!take_block(t, p, job))
			rescan(t, p);
	}
	/* somebody has to wait for what is left */
	if (!list_empty(&q->passes) || !list_empty(&q->small))
		pthread_cond_signal(&t->upload);
	return true;
}

bool pass_take(struct transfer *t, struct job *job, struct targets *targets, int64_t *until)
{
	bool taken = false;

	*until = INT64_MAX;
	job->count = 0;
	job->foreign = false;
	for (unsigned i = 0; !taken && i < t->zone_count; i++) {
		t->zone_turn = t->zone_turn->next;
		if (t->zone_turn == &t->zones)
			t->zone_turn = t->zone_turn->next;
		taken = take_from(t, list_entry(t->zone_turn, struct zone_queue, link), job, targets, until);
	}
	return taken;
}
