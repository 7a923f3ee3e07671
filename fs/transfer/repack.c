/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packs that lost members. Where what is dead in one belongs to another zone, is half of it or more, or has been dead
 * for long, the pack is doomed: what still points at it is due for an upload, and with the last reference it goes. */
#include "fs/transfer/internal.h"

#define DOOMED_MAX    16u
#define INOS_PAGE     256u
#define DEAD_LONG_S   3600
#define LOOK_AGAIN_NS (10 * NS_PER_S) /* after something went wrong */
#define LOOK_EVERY_NS (200 * NS_PER_MS)
#define LOOK_AGAIN_S  600

int repacks_init(struct transfer *t)
{
	t->repack_wanted = true;
	return hash_init(&t->doomed);
}

static void doomed_free(struct transfer *t, struct doomed *d)
{
	hash_remove(&t->doomed, &d->node);
	free(d);
}

void repacks_free(struct transfer *t)
{
	for (size_t i = 0; i < t->doomed.bucket_count; i++)
		while (t->doomed.bucket[i])
			doomed_free(t, container_of(t->doomed.bucket[i], struct doomed, node));
	hash_free(&t->doomed);
}

static bool same_id(const struct hash_node *node, const void *key)
{
	return memcmp(container_of(node, struct doomed, node)->id, key, OBJECT_ID_BYTES) == 0;
}

static struct doomed *doomed_find(struct transfer *t, const uint8_t id[OBJECT_ID_BYTES])
{
	struct hash_node *node = hash_find(&t->doomed, hash_bytes(id, OBJECT_ID_BYTES, 0), same_id, id);

	return node ? container_of(node, struct doomed, node) : NULL;
}

bool repack_doomed(struct transfer *t, const struct extent *e)
{
	bool doomed;

	if (atomic_load(&t->doomed_count) == 0)
		return false;
	pthread_mutex_lock(&t->lock);
	doomed = doomed_find(t, e->object) != NULL;
	pthread_mutex_unlock(&t->lock);
	return doomed;
}

void repack_look(struct transfer *t)
{
	t->repack_wanted = true;
	pthread_cond_signal(&t->sched);
}

void repack_hurry(struct transfer *t)
{
	hash_for_each (node, &t->doomed) {
		struct doomed *d = container_of(node, struct doomed, node);

		d->told &= !d->leaving;
	}
	repack_look(t);
}

int64_t repack_due_ns(const struct transfer *t)
{
	return t->repack_wanted ? t->repack_looked_ns + LOOK_EVERY_NS : t->repack_next_ns;
}

/* ---- judging
 * -------------------------------------------------------------------------------------------------------------- */

/* 0: it is to go; else when it is to be looked at again. */
static int64_t judge(const struct repack *r, int64_t now_s)
{
	if (r->leaving || r->live <= r->plain_bytes / 2 || now_s - r->since_s >= DEAD_LONG_S)
		return 0;
	return r->since_s + DEAD_LONG_S < now_s + LOOK_AGAIN_S ? r->since_s + DEAD_LONG_S : now_s + LOOK_AGAIN_S;
}

static struct doomed *doom(struct transfer *t, const struct repack *r)
{
	struct doomed *d = doomed_find(t, r->object);

	if (!d) {
		if (!(d = calloc(1, sizeof *d)))
			return NULL;
		memcpy(d->id, r->object, sizeof d->id);
		hash_insert(&t->doomed, &d->node, hash_bytes(d->id, sizeof d->id, 0));
	}
	d->told &= d->leaving || !r->leaving;
	d->leaving |= r->leaving;
	d->seen = true;
	return d;
}

/* What is no longer due was rewritten. */
static void sweep(struct transfer *t)
{
	struct doomed *gone;
	unsigned leaving;

	do {
		gone = NULL;
		leaving = 0;
		hash_for_each (node, &t->doomed) {
			struct doomed *d = container_of(node, struct doomed, node);

			if (!d->seen)
				gone = d;
			leaving += d->leaving;
		}
		if (gone)
			doomed_free(t, gone);
	} while (gone);
	hash_for_each (node, &t->doomed)
		container_of(node, struct doomed, node)->seen = false;
	atomic_store(&t->doomed_count, (unsigned)t->doomed.count);
	atomic_store(&t->doomed_leaving, leaving);
}

/* ---- telling the files
 * ---------------------------------------------------------------------------------------------------- */

/* Whatever finds no room is told at the next look. A file that has no entry was left alone for its quiet period. */
static bool tell_page(struct transfer *t, const uint64_t *inos, int n)
{
	enum touch how = t->repack_waits ? TOUCH_URGENT : TOUCH_PENDING;

	for (int i = 0; i < n; i++) {
		bool quiet = !entry_find(t, inos[i]);
		struct entry *e = entry_touch(t, inos[i], how);

		if (!e)
			return false;
		if (quiet)
			e->touched_ns -= t->config->settle_ns;
	}
	return true;
}

/* With the lock, which it drops while it reads. */
static int tell(struct transfer *t, const uint8_t id[OBJECT_ID_BYTES])
{
	uint64_t inos[INOS_PAGE], after = 0;
	struct doomed *d;
	bool all = true;
	int n;

	do {
		pthread_mutex_unlock(&t->lock);
		n = meta_repack_inos(t->meta, id, after, inos, INOS_PAGE);
		pthread_mutex_lock(&t->lock);
		if (n > 0) {
			after = inos[n - 1];
			all = !t->stopping && tell_page(t, inos, n);
		}
	} while (n == INOS_PAGE && all);
	if ((d = doomed_find(t, id)))
		d->told = n >= 0 && all;
	return n < 0 ? n : all;
}

static bool tell_all(struct transfer *t, const struct repack *due, int n)
{
	bool all = true;

	for (int i = 0; i < n; i++) {
		const struct doomed *d = doomed_find(t, due[i].object);

		if (d && !d->told)
			all &= tell(t, due[i].object) > 0;
	}
	return all;
}

/* ---- the look
 * ------------------------------------------------------------------------------------------------------------- */

static void later(struct transfer *t, const struct repack *r, int64_t due_s)
{
	meta_lock(t->meta);
	meta_repack_later(t->meta, r->object, due_s);
	meta_unlock(t->meta);
}

static int64_t mono_of(int64_t due_s, int64_t now_s)
{
	return due_s ? clock_mono_ns() + (due_s > now_s ? due_s - now_s : 0) * NS_PER_S : INT64_MAX;
}

static int read_due(struct transfer *t, int64_t now_s, struct repack *due, int64_t *next_s)
{
	int n = meta_repacks(t->meta, now_s, due, DOOMED_MAX, next_s);
	bool full = n == (int)DOOMED_MAX;

	if (n < 0)
		log_error("transfer: which packs are to be rewritten cannot be read: %s", err_text(n));
	for (int i = 0; i < n; i++) {
		int64_t due_s = judge(&due[i], now_s);

		if (!due_s)
			continue;
		later(t, &due[i], due_s);
		due_s = full ? now_s + 1 : due_s; /* there may be more */
		*next_s = !*next_s || due_s < *next_s ? due_s : *next_s;
		due[i--] = due[--n];
	}
	return n;
}

static void look(struct transfer *t)
{
	struct repack due[DOOMED_MAX];
	int64_t now_s = clock_real_ns() / NS_PER_S, next_s = 0;
	uint64_t ticket = t->ticket;
	bool all;
	int n;

	t->repack_wanted = false;
	t->repack_looked_ns = clock_mono_ns();
	t->repack_changes = meta_repack_changes(t->meta);
	pthread_mutex_unlock(&t->lock);
	n = read_due(t, now_s, due, &next_s);
	pthread_mutex_lock(&t->lock);
	for (int i = 0; i < n; i++)
		if (!doom(t, &due[i]))
			n = -ENOMEM;
	if (n >= 0)
		sweep(t);
	all = tell_all(t, due, n);
	t->repack_next_ns = n < 0 || !all ? clock_mono_ns() + LOOK_AGAIN_NS : mono_of(next_s, now_s);
	t->repack_looked = n < 0 ? t->repack_looked : ticket;
	pthread_cond_broadcast(&t->changed);
}

bool repack_step(struct transfer *t)
{
	if (repack_due_ns(t) > clock_mono_ns())
		return false;
	look(t);
	return true;
}
