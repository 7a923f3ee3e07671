/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The scheduler: one thread that judges what is due and hands it to the upload workers. It never waits for a backend.
 */
#include "fs/transfer/internal.h"

#define REFILL_PAGE	  256
#define PRESSURE_EVERY_NS (200 * NS_PER_MS)
#define PRESSURE_FOR_NS	  (30 * NS_PER_S)

int64_t retry_after_ns(unsigned failures)
{
	int64_t wait = NS_PER_S << (failures < 6 ? failures : 6);

	return clock_mono_ns() + (wait < RETRY_MAX_NS ? wait : RETRY_MAX_NS);
}

/* ---- what is durably due -------------------------------------------------------------------------------------------
 */

void sched_refill(struct transfer *t)
{
	t->refill_again = true;
	pthread_cond_signal(&t->sched);
}

static void refill_begin(struct transfer *t)
{
	t->refill = true;
	t->refill_again = false;
	t->refill_after = 0;
	t->refill_ticket = t->ticket;
}

static void refill_end(struct transfer *t)
{
	t->refill = false;
	t->refilled = t->refill_ticket;
	pthread_cond_broadcast(&t->changed);
}

/* One page; the lock is dropped meanwhile. */
static void refill_page(struct transfer *t)
{
	uint64_t after = t->refill_after, inos[REFILL_PAGE];
	size_t room = t->entries_max - t->entries.count;
	int n = 0;

	pthread_mutex_unlock(&t->lock);
	if (after == 0)
		n = meta_commit(t->meta);
	if (n >= 0)
		n = meta_pending(t->meta, after, inos, room < REFILL_PAGE ? room : REFILL_PAGE);
	pthread_mutex_lock(&t->lock);
	if (n < 0)
		log_error("transfer: what is to be uploaded cannot be read: %s", err_text(n));
	if (n <= 0) {
		refill_end(t);
		return;
	}
	/* what found no room after all is the first of the next page */
	for (int i = 0; i < n && !t->stopping && entry_touch(t, inos[i], TOUCH_PENDING); i++)
		t->refill_after = inos[i];
}

static bool refill_step(struct transfer *t)
{
	if (!t->refill && t->refill_again)
		refill_begin(t);
	if (!t->refill || t->entries.count >= t->entries_max)
		return false;
	refill_page(t);
	return true;
}

/* ---- judging one inode ----------------------------------------------------------------------------------------------
 */

struct facts {
	mode_t mode;
	uint64_t size, version;
	uint32_t zone_id;
	bool writing, orphan;
};

static void facts_take(struct transfer *t, struct inode *inode, struct facts *out)
{
	meta_lock(t->meta);
	*out = (struct facts){ inode->mode, inode->size, inode->version, inode->zone_id, inode->writer_count > 0,
		inode->nlink == 0 };
	meta_unlock(t->meta);
}

static bool pressed(struct transfer *t)
{
	if (t->pressed_ns && clock_mono_ns() - t->pressed_ns < PRESSURE_FOR_NS)
		return true;
	return cache_pressed(t->cache);
}

/* When it may go, as judged now. A file comes home, or goes from one domestic zone to another, at once; what is merely
 * new there waits to be closed; nothing goes abroad before its quiet period ended. */
static int64_t due_ns(const struct entry *e, const struct facts *f, const struct placement *at, bool pressure,
	int64_t settle_ns, int64_t max_delay_ns)
{
	int64_t quiet = e->seen.touched_ns + settle_ns, latest = e->seen.first_ns + max_delay_ns;

	if (at->kind == ZONE_FOREIGN) {
		if (f->writing && !e->seen.urgent && !pressure && latest > quiet)
			return latest;
		return quiet;
	}
	if (e->seen.urgent || pressure || (f->zone_id && f->zone_id != at->zone_id))
		return 0;
	if (f->writing)
		return latest;
	return quiet < latest ? quiet : latest;
}

/* The media type is asked for and the content is on a backend only: its beginning is fetched, and then the inode is
 * judged again. */
struct peek {
	struct fetch fetch;
	struct transfer *t;
	uint64_t ino;
};

static void peeked(struct fetch *f, int rc)
{
	struct peek *peek = container_of(f, struct peek, fetch);
	struct transfer *t = peek->t;
	struct entry *e;

	pthread_mutex_lock(&t->lock);
	e = entry_find(t, peek->ino);
	if (e && rc == 0 && !f->unkept && !t->stopping && e->state == ENTRY_WAITING) {
		e->early = true;
		entry_wait(t, e, clock_mono_ns());
	}
	pthread_mutex_unlock(&t->lock);
	meta_inode_put(t->meta, f->inode);
	free(peek);
}

static int peek_need(struct transfer *t, struct inode *inode, struct cache_need *need)
{
	struct cache_snapshot snap;
	int rc = cache_snapshot(t->cache, inode, 0, &snap, need);

	if (rc == 0)
		cache_snapshot_release(t->cache, &snap);
	if (need->len > 64u << 10)
		need->len = 64u << 10;
	return rc == -ERR_NEED_FETCH;
}

static void peek_start(struct transfer *t, struct inode *inode)
{
	struct cache_need need = { 0 };
	struct peek *peek;

	if (!peek_need(t, inode, &need) || !(peek = calloc(1, sizeof *peek)))
		return;
	peek->t = t;
	peek->ino = inode->ino;
	meta_lock(t->meta);
	meta_inode_ref(inode);
	meta_unlock(t->meta);
	peek->fetch = (struct fetch){ .inode = inode, .need = need, .done = peeked };
	transfer_fetch(t, &peek->fetch);
}

static struct pass *pass_new(
	struct transfer *t, struct entry *e, struct inode *inode, const struct facts *f, const struct placement *at)
{
	struct pass *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	list_init(&p->link);
	p->entry = e;
	meta_lock(t->meta);
	meta_inode_ref(inode);
	meta_unlock(t->meta);
	p->inode = inode;
	p->zone_id = at->zone_id;
	p->foreign = at->kind == ZONE_FOREIGN;
	p->next_due_ns = at->next_due_ns;
	p->gen = at->gen;
	p->epoch = at->epoch;
	p->version = f->version;
	p->size = f->size;
	p->count = (uint32_t)((f->size + t->block_bytes - 1) / t->block_bytes);
	p->retry_ns = INT64_MAX;
	return p;
}

/* What the scheduler does with an inode once it is judged. */
enum verdict { GONE, LATER, NOTHING, START };
struct judged {
	enum verdict verdict;
	int64_t due_ns;
	bool abroad, failed;
	struct pass *pass; /* NOTHING, START */
};

static void retry(struct judged *out, int64_t wait_ns)
{
	out->verdict = LATER;
	out->due_ns = clock_mono_ns() + wait_ns;
	out->failed = wait_ns > 0;
}

static int start_pass(struct transfer *t, struct entry *e, struct inode *inode, const struct facts *f,
	const struct placement *at, struct judged *out)
{
	int rc;

	if (!(out->pass = pass_new(t, e, inode, f, at)))
		return -ENOMEM;
	if ((rc = pass_scan(t, out->pass)) < 0)
		return rc;
	out->verdict = out->pass->page_len ? START : NOTHING;
	return 0;
}

/* Evaluated, applied, and looked through for blocks to upload. */
static int judge_placed(struct transfer *t, struct entry *e, struct inode *inode, const struct facts *f,
	const struct placement *at, bool pressure, struct judged *out)
{
	struct config *config = place_config(t->place);
	int64_t due = due_ns(e, f, at, pressure, config->settle_ns, config->max_delay_ns);
	int rc = start_pass(t, e, inode, f, at, out);

	config_put(config);
	if (rc < 0)
		return rc;
	if (due <= clock_mono_ns() || (out->verdict == NOTHING && f->zone_id == at->zone_id))
		return place_apply(t->place, inode, at);
	pass_free(t, out->pass);
	*out = (struct judged){ .verdict = LATER, .due_ns = due, .abroad = at->kind == ZONE_FOREIGN };
	return 0;
}

static int judge_inode(struct transfer *t, struct entry *e, struct inode *inode, bool pressure, struct judged *out)
{
	struct placement at;
	struct facts f;
	int rc;

	facts_take(t, inode, &f);
	if (!S_ISREG(f.mode) || f.orphan)
		return -ENOENT;
	rc = place_evaluate(t->place, inode, &at);
	if (rc == 0 && at.want_content) {
		/* not applied: what is not known must not mark it for good, and moves nothing */
		retry(out, 5 * NS_PER_S << (e->failures < 4 ? e->failures : 4));
		peek_start(t, inode);
	} else if (rc == 0) {
		rc = judge_placed(t, e, inode, &f, &at, pressure, out);
	}
	placement_free(&at);
	return rc;
}

static void judge(struct transfer *t, struct entry *e, struct judged *out)
{
	struct inode *inode = NULL;
	bool pressure = pressed(t);
	int rc = meta_inode_get(t->meta, e->ino, &inode);

	*out = (struct judged){ .due_ns = INT64_MAX };
	if (rc == 0)
		rc = judge_inode(t, e, inode, pressure, out);
	meta_inode_put(t->meta, inode);
	if (rc == 0)
		return;
	if (out->pass)
		pass_free(t, out->pass);
	out->pass = NULL;
	if (rc == -ENOENT) {
		out->verdict = GONE;
	} else if (rc == -ERR_STALE) {
		retry(out, 0);
	} else {
		log_error("transfer: inode %llu cannot be looked at: %s", (unsigned long long)e->ino, err_text(rc));
		retry(out, RETRY_MAX_NS);
	}
}

/* A file that is gone, or has no name, has nothing to send. */
static void forget(struct transfer *t, struct entry *e)
{
	meta_lock(t->meta);
	meta_pending_done(t->meta, e->ino);
	meta_unlock(t->meta);
	if (e->touched)
		entry_wait(t, e, clock_mono_ns() + NS_PER_S);
	else
		entry_drop(t, e);
}

static void park(struct entry *e, struct zone_queue *queue)
{
	e->state = ENTRY_PARKED;
	list_append(&queue->parked, &e->link);
}

int64_t due_again(const struct transfer *t, const struct entry *e, int64_t due_ns)
{
	int64_t sooner = e->early ? clock_mono_ns() : e->touched_ns + t->config->settle_ns;

	return e->touched && sooner < due_ns ? sooner : due_ns;
}

static void carry_out(struct transfer *t, struct entry *e, struct judged *j)
{
	struct zone_queue *queue = j->pass ? zone_queue(t, j->pass->zone_id) : NULL;

	if (j->pass)
		due_note(t, j->pass->next_due_ns);
	e->quiet_needed = j->abroad && j->verdict == LATER;
	if (j->verdict == GONE) {
		forget(t, e);
	} else if (j->verdict == LATER || !queue) {
		e->failures += j->failed && e->failures < 250;
		entry_wait(t, e, queue || !j->pass ? due_again(t, e, j->due_ns) : clock_mono_ns() + NS_PER_S);
	} else if (j->verdict == START && queue->pass_count >= PASSES_MAX) {
		park(e, queue);
	} else {
		j->pass->queue = queue;
		e->pass = j->pass;
		e->state = ENTRY_ACTIVE;
		queue->pass_count++;
		j->pass = NULL;
		if (j->verdict == START)
			pass_start(t, e->pass);
		else
			pass_finish(t, e->pass);
	}
}

/* Still in its quiet period, as far as can be said without looking: due again at its end. */
static bool put_off(struct transfer *t, struct entry *e, int64_t now)
{
	int64_t quiet = e->touched_ns + t->config->settle_ns, latest = e->first_ns + t->config->max_delay_ns;

	if (e->early || e->urgent || quiet <= now || latest <= now)
		return false;
	entry_wait(t, e, quiet < latest ? quiet : latest);
	return true;
}

static void prepare(struct transfer *t, struct entry *e)
{
	uint64_t ticket = t->ticket;
	struct judged j;

	entry_take(t, e);
	e->state = ENTRY_PREPARING;
	e->seen.touched_ns = e->touched_ns;
	e->seen.first_ns = e->first_ns;
	e->seen.urgent = e->urgent;
	e->early = e->touched = false;
	t->judging = true;
	pthread_mutex_unlock(&t->lock);
	judge(t, e, &j);
	pthread_mutex_lock(&t->lock);
	t->judging = false;
	if (j.pass)
		j.pass->ticket = ticket;
	carry_out(t, e, &j);
	if (j.pass) {
		pthread_mutex_unlock(&t->lock);
		pass_free(t, j.pass);
		pthread_mutex_lock(&t->lock);
	}
}

/* ---- the thread
 * ------------------------------------------------------------------------------------------------------- */

/* Home files need not wait for the quiet period while the cache is full of what is on no backend. */
static void press(struct transfer *t)
{
	int64_t now = clock_mono_ns();

	t->pressed = false;
	t->pressed_ns = now;
	for (size_t i = 0; i < t->heap.count; i++) {
		struct entry *e = t->heap.v[i];

		if (e->quiet_needed || e->failures)
			continue;
		e->early = true;
		e->due_ns = now < e->due_ns ? now : e->due_ns;
	}
	heap_fix(t);
}

static void unpark(struct transfer *t)
{
	int64_t now = clock_mono_ns();

	list_for_each (it, &t->zones) {
		struct zone_queue *q = list_entry(it, struct zone_queue, link);

		for (unsigned room = q->pass_count; room < PASSES_MAX && !list_empty(&q->parked); room++) {
			struct entry *e = list_first(&q->parked, struct entry, link);

			e->early = true;
			entry_wait(t, e, now);
		}
	}
}

/* true: the lock was dropped, and what was seen before may be otherwise. */
static bool bury(struct transfer *t)
{
	struct pass *p;

	if (list_empty(&t->dead_passes))
		return false;
	p = list_first(&t->dead_passes, struct pass, link);
	list_remove(&p->link);
	pthread_mutex_unlock(&t->lock);
	pass_free(t, p);
	pthread_mutex_lock(&t->lock);
	return true;
}

static int64_t wait_until(const struct transfer *t)
{
	int64_t until = due_until(t);

	if (t->heap.count && t->heap.v[0]->due_ns < until)
		until = t->heap.v[0]->due_ns;
	if (repack_due_ns(t) < until)
		until = repack_due_ns(t);
	if (t->pressed && t->pressed_ns + PRESSURE_EVERY_NS < until)
		until = t->pressed_ns + PRESSURE_EVERY_NS;
	return until;
}

void *sched_main(void *arg)
{
	struct transfer *t = arg;

	pthread_mutex_lock(&t->lock);
	while (!t->stopping) {
		int64_t now = clock_mono_ns();
		struct entry *e;

		if (bury(t))
			continue;
		if (t->pressed && now - t->pressed_ns >= PRESSURE_EVERY_NS)
			press(t);
		unpark(t);
		e = t->heap.count ? t->heap.v[0] : NULL;
		if (e && e->due_ns <= now) {
			if (!put_off(t, e, now))
				prepare(t, e);
			continue;
		}
		due_clock(t);
		if (refill_step(t) || due_step(t) || repack_step(t))
			continue;
		passes_idle(t);
		cond_wait_until(&t->sched, &t->lock, wait_until(t));
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

void transfer_touch(struct transfer *t, uint64_t ino)
{
	pthread_mutex_lock(&t->lock);
	if (!t->stopping)
		entry_touch(t, ino, TOUCH_CHANGE);
	pthread_mutex_unlock(&t->lock);
}

void transfer_judge(struct transfer *t, uint64_t ino)
{
	pthread_mutex_lock(&t->lock);
	if (!t->stopping)
		entry_touch(t, ino, TOUCH_PENDING);
	pthread_mutex_unlock(&t->lock);
}

void transfer_subtree(struct transfer *t)
{
	pthread_mutex_lock(&t->lock);
	t->subtree_ns = clock_mono_ns();
	sched_refill(t);
	pthread_mutex_unlock(&t->lock);
}

void transfer_pressure(struct transfer *t)
{
	pthread_mutex_lock(&t->lock);
	t->pressed = true;
	pthread_cond_signal(&t->sched);
	pthread_mutex_unlock(&t->lock);
}

void transfer_wake(struct transfer *t)
{
	pthread_mutex_lock(&t->lock);
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
}
