/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A pass: one look through the blocks of an inode, given out block by block to the upload workers. Passes of a zone
 * take turns, so that a large file neither waits for small ones nor keeps them waiting; zones take turns too, and none
 * may have all workers. */
#include "fs/transfer/internal.h"

#define BLOCKED_MIN_NS (100 * NS_PER_MS)
#define FAR_NS	       (600 * NS_PER_S)

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

static bool due(bool dirty, bool has_extent, uint32_t extent_zone, uint32_t zone)
{
	return dirty || (has_extent && extent_zone != zone);
}

/* Few blocks: from memory, without waiting for a commit. */
static int scan_each(struct transfer *t, struct pass *p)
{
	struct block *b;
	int rc;

	while (p->next < p->count && p->page_len < PAGE_BLOCKS) {
		if ((rc = meta_block_get(t->meta, p->inode, p->next, &b)) < 0)
			return rc;
		meta_lock(t->meta);
		if (due(b->dirty, !extent_none(&b->extent), b->extent.zone_id, p->zone_id))
			p->page[p->page_len++] = p->next;
		meta_unlock(t->meta);
		meta_block_put(t->meta, b);
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
			if (due(rows[i].dirty, rows[i].has_extent, rows[i].extent.zone_id, p->zone_id))
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

void pass_start(struct transfer *t, struct pass *p)
{
	list_append(&p->queue->passes, &p->link);
	pthread_cond_broadcast(&t->upload);
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

/* An inode whose rules look at its age stays in the pending table, so that the next mount judges it too. */
static void pending_end(struct transfer *t, const struct pass *p)
{
	meta_lock(t->meta);
	if (p->inode->place_gen == p->gen && place_epoch(t->place) == p->epoch) {
		if (p->next_due_ns == INT64_MAX)
			meta_pending_done(t->meta, p->inode->ino);
		else
			meta_pending_add(t->meta, p->inode->ino);
	}
	meta_unlock(t->meta);
}

static void wait_for_age(struct transfer *t, struct entry *e, int64_t next_due_real_ns)
{
	int64_t in = next_due_real_ns - clock_real_ns(), due_ns = clock_mono_ns() + (in > 0 ? in : 0);

	entry_settled(t, e, t->ticket);
	if (in > FAR_NS && t->entries.count > t->entries_max / 2) {
		t->rescan_ns = due_ns < t->rescan_ns ? due_ns : t->rescan_ns;
		entry_drop(t, e);
		return;
	}
	e->idle = true;
	e->born = UINT64_MAX;
	entry_wait(t, e, due_ns);
}

static void finish_again(struct transfer *t, struct entry *e, const struct pass *p)
{
	int64_t now = clock_mono_ns();
	int64_t due_ns = p->incomplete ? p->retry_ns : now;

	if (p->incomplete) {
		e->failures += e->failures < 250;
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
	else if (p->next_due_ns != INT64_MAX)
		wait_for_age(t, e, p->next_due_ns);
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
		list_append(&p->queue->passes, &p->link);
	else if (p->working == 0)
		pass_finish(t, p);
}

void pass_done(struct transfer *t, struct pass *p, int rc, int64_t retry_ns)
{
	p->working--;
	if (rc < 0) {
		p->incomplete = true;
		p->rc = rc;
		p->retry_ns = retry_ns < p->retry_ns ? retry_ns : p->retry_ns;
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
		p->incomplete = true;
		p->rc = rc;
		p->retry_ns = retry_after_ns(p->entry->failures);
	}
	if (p->page_len)
		pthread_cond_broadcast(&t->upload);
	pass_rest(t, p);
}

/* Takes the next block of a pass at the head of its queue; false when it had to look for more. */
static bool take_block(struct pass *p, uint32_t *block)
{
	list_remove(&p->link);
	*block = p->page[p->page_at++];
	p->working++;
	if (p->page_at < p->page_len && !p->cancelled)
		list_append(&p->queue->passes, &p->link);
	else if (p->next < p->count && !p->cancelled)
		return false;
	return true;
}

/* Passes whose inode was touched since are judged again now rather than when the zone's backends are back. */
static void block_queue(struct transfer *t, struct zone_queue *q, int64_t until)
{
	int64_t soon = clock_mono_ns() + BLOCKED_MIN_NS;

	q->blocked_until_ns = until > soon ? until : soon;
	list_for_each_safe (it, &q->passes) {
		struct pass *p = list_entry(it, struct pass, link);

		if (p->entry->touched)
			pass_cancel(t, p);
	}
}

static struct pass *take_from(
	struct transfer *t, struct zone_queue *q, uint32_t *block, struct targets *targets, int64_t *until)
{
	struct pass *p;
	int64_t retry = INT64_MAX;

	if (list_empty(&q->passes) || q->uploading >= zone_share(t, t->options.upload_workers))
		return NULL;
	if (q->blocked_until_ns > clock_mono_ns()) {
		*until = q->blocked_until_ns < *until ? q->blocked_until_ns : *until;
		return NULL;
	}
	if (targets_pick(t, q->zone_id, targets, &retry) < 0) {
		block_queue(t, q, retry);
		*until = q->blocked_until_ns < *until ? q->blocked_until_ns : *until;
		return NULL;
	}
	p = list_first(&q->passes, struct pass, link);
	q->uploading++;
	t->uploading++;
	if (!take_block(p, block))
		rescan(t, p);
	return p;
}

struct pass *pass_take(struct transfer *t, uint32_t *block, struct targets *targets, int64_t *until)
{
	struct pass *p = NULL;

	*until = INT64_MAX;
	for (unsigned i = 0; !p && i < t->zone_count; i++) {
		t->zone_turn = t->zone_turn->next;
		if (t->zone_turn == &t->zones)
			t->zone_turn = t->zone_turn->next;
		p = take_from(t, list_entry(t->zone_turn, struct zone_queue, link), block, targets, until);
	}
	return p;
}
