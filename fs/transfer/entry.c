/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The inodes that have something to do, by number and in a heap by due time. */
#include "fs/transfer/internal.h"

int entries_init(struct transfer *t)
{
	return hash_init(&t->entries);
}

static void entry_free(void *ctx, struct hash_node *node)
{
	struct entry *e = container_of(node, struct entry, node);

	if (e->pass)
		pass_free(ctx, e->pass);
	free(e);
}

void entries_free(struct transfer *t)
{
	hash_drain(&t->entries, entry_free, t);
	hash_free(&t->entries);
	free(t->heap.v);
}

static bool same_ino(const struct hash_node *node, const void *key)
{
	return container_of(node, struct entry, node)->ino == *(const uint64_t *)key;
}

struct entry *entry_find(struct transfer *t, uint64_t ino)
{
	struct hash_node *node = hash_find(&t->entries, hash_u64(ino), same_ino, &ino);

	return node ? container_of(node, struct entry, node) : NULL;
}

/* ---- the heap ---------------------------------------------------------------------------------------------------- */

static void heap_set(struct heap *h, size_t i, struct entry *e)
{
	h->v[i] = e;
	e->heap_at = i + 1;
}

static size_t heap_up(struct heap *h, size_t i)
{
	struct entry *e = h->v[i];

	for (; i > 0 && h->v[(i - 1) / 2]->due_ns > e->due_ns; i = (i - 1) / 2)
		heap_set(h, i, h->v[(i - 1) / 2]);
	heap_set(h, i, e);
	return i;
}

static void heap_down(struct heap *h, size_t i)
{
	struct entry *e = h->v[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < h->count && h->v[child + 1]->due_ns < h->v[child]->due_ns)
			child++;
		if (child >= h->count || h->v[child]->due_ns >= e->due_ns)
			break;
		heap_set(h, i, h->v[child]);
		i = child;
	}
	heap_set(h, i, e);
}

static int heap_add(struct heap *h, struct entry *e)
{
	if (h->count == h->cap) {
		size_t cap = h->cap ? 2 * h->cap : 64;
		struct entry **v = realloc(h->v, cap * sizeof *v);

		if (!v)
			return -ENOMEM;
		h->v = v;
		h->cap = cap;
	}
	heap_set(h, h->count++, e);
	heap_up(h, h->count - 1);
	return 0;
}

static void heap_remove(struct heap *h, struct entry *e)
{
	size_t i = e->heap_at - 1;
	struct entry *last = h->v[--h->count];

	e->heap_at = 0;
	if (last == e)
		return;
	heap_set(h, i, last);
	heap_down(h, heap_up(h, i));
}

void heap_fix(struct transfer *t)
{
	for (size_t i = t->heap.count / 2; i-- > 0;)
		heap_down(&t->heap, i);
	pthread_cond_signal(&t->sched);
}

/* ---- entries ------------------------------------------------------------------------------------------------------
 */

void entry_take(struct transfer *t, struct entry *e)
{
	if (e->heap_at)
		heap_remove(&t->heap, e);
	list_remove(&e->link);
}

void entry_wait(struct transfer *t, struct entry *e, int64_t due_ns)
{
	bool first = t->heap.count == 0 || due_ns < t->heap.v[0]->due_ns;

	entry_take(t, e);
	e->due_ns = due_ns;
	e->state = ENTRY_WAITING;
	if (heap_add(&t->heap, e) < 0) {
		/* what is due is durable: it is found again */
		entry_drop(t, e);
		t->refill_again = true;
		due_afresh(t);
		return;
	}
	if (first)
		pthread_cond_signal(&t->sched);
}

void entry_settled(struct transfer *t, struct entry *e, uint64_t ticket)
{
	uint64_t before = e->stored;

	if (ticket <= before)
		return;
	e->stored = ticket;
	list_for_each (it, &t->syncs) {
		struct sync_wait *w = list_entry(it, struct sync_wait, link);

		if (e->born < w->ticket && before < w->ticket && ticket >= w->ticket && w->left > 0)
			w->left--;
	}
	pthread_cond_broadcast(&t->changed);
}

void entry_drop(struct transfer *t, struct entry *e)
{
	entry_take(t, e);
	entry_settled(t, e, t->ticket);
	hash_remove(&t->entries, &e->node);
	free(e);
	/* there is room for the next page of what is durably due */
	if (t->refill || t->refill_again || due_is_now(t))
		pthread_cond_signal(&t->sched);
}

static struct entry *entry_new(struct transfer *t, uint64_t ino, int64_t now)
{
	struct entry *e = calloc(1, sizeof *e);

	if (!e)
		return NULL;
	e->ino = ino;
	e->touched_ns = e->first_ns = now;
	e->born = t->ticket;
	e->state = ENTRY_WAITING;
	list_init(&e->link);
	hash_insert(&t->entries, &e->node, hash_u64(ino));
	return e;
}

static void change(struct transfer *t, struct entry *e, int64_t now)
{
	int64_t due = now + t->config->settle_ns;

	e->touched_ns = now;
	e->quiet_needed = false;
	if (e->state == ENTRY_PARKED || (e->state == ENTRY_WAITING && (!e->heap_at || e->due_ns > due)))
		entry_wait(t, e, due);
}

static void hasten(struct transfer *t, struct entry *e, enum touch how, int64_t now)
{
	e->early = true;
	e->urgent |= how == TOUCH_URGENT;
	if (how == TOUCH_PENDING && e->touched_ns < t->subtree_ns)
		e->touched_ns = t->subtree_ns;
	if (e->state == ENTRY_PARKED || e->state == ENTRY_WAITING)
		entry_wait(t, e, now);
}

/* A pass that waits for a backend must not keep the inode from being judged again: it may have to go elsewhere now. */
static void touch_pass(struct transfer *t, struct entry *e)
{
	e->touched = true;
	if (e->state == ENTRY_ACTIVE && e->pass->queue->blocked_until_ns > clock_mono_ns())
		pass_cancel(t, e->pass);
}

static bool has_room(const struct transfer *t, enum touch how)
{
	static const size_t times[] = { [TOUCH_PENDING] = 1, [TOUCH_CHANGE] = 2 };

	return how == TOUCH_URGENT || t->entries.count < times[how] * t->entries_max;
}

struct entry *entry_touch(struct transfer *t, uint64_t ino, enum touch how)
{
	struct entry *e = entry_find(t, ino);
	int64_t now = clock_mono_ns();

	if (!e) {
		if (!has_room(t, how) || !(e = entry_new(t, ino, now))) {
			t->refill_again |= how == TOUCH_CHANGE;
			return NULL;
		}
	} else if (e->state == ENTRY_PREPARING || e->state == ENTRY_ACTIVE) {
		touch_pass(t, e);
	}
	if (how == TOUCH_CHANGE)
		change(t, e, now);
	else
		hasten(t, e, how, now);
	return e;
}
