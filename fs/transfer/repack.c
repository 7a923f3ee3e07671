/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packs that lost members. Where what is dead in one belongs to another zone, is half of it or more, or has been dead
 * for long, the pack is doomed: what still points at it is due for an upload, and with the last reference it goes. */
#include "fs/transfer/internal.h"

#define DOOMED_MAX    16u   /* rewritten at once */
#define ASIDE_MAX     1024u /* that stepped aside */
#define PATIENCE_NS   (10 * NS_PER_S)
#define STUCK_TIMES   6u /* that the time is doubled, at most */
#define INOS_PAGE     256u
#define DEAD_LONG_S   3600
#define LOOK_AGAIN_NS (10 * NS_PER_S) /* after something went wrong */
#define LOOK_EVERY_NS (200 * NS_PER_MS)

int repacks_init(struct transfer *t)
{
	t->repack_wanted = true;
	t->repack_patience_ns = PATIENCE_NS;
	return hash_init(&t->doomed);
}

static void doomed_free(struct transfer *t, struct doomed *d)
{
	hash_remove(&t->doomed, &d->node);
	free(d);
}

static void drop(void *ctx, struct hash_node *n)
{
	(void)ctx;
	free(container_of(n, struct doomed, node));
}

void repacks_free(struct transfer *t)
{
	hash_drain(&t->doomed, drop, NULL);
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
	const struct doomed *d;
	bool doomed;

	if (atomic_load(&t->doomed_count) == 0)
		return false;
	pthread_mutex_lock(&t->lock);
	d = doomed_find(t, e->object);
	doomed = d && !d->aside;
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
	t->repack_hurries++;
	hash_for_each (node, &t->doomed) {
		struct doomed *d = container_of(node, struct doomed, node);

		d->told &= !d->leaving;
		d->until_ns = d->leaving ? 0 : d->until_ns;
	}
	repack_look(t);
}

int64_t repack_due_ns(const struct transfer *t)
{
	return t->repack_wanted ? t->repack_looked_ns + LOOK_EVERY_NS : t->repack_next_ns;
}

/* ---- judging
 * -------------------------------------------------------------------------------------------------------------- */

/* 0: it is to go; else when it is to be looked at again. Dead since a time to come, by a clock that was set back: for
 * as long as may be. */
static int64_t judge(const struct repack *r, int64_t now_s)
{
	int64_t long_s = r->since_s + DEAD_LONG_S, later_s = now_s + META_REPACK_LATER_S;

	if (r->leaving || r->live <= r->plain_bytes / 2 || long_s <= now_s || r->since_s > now_s)
		return 0;
	return long_s < later_s ? long_s : later_s;
}

static int doom(struct transfer *t, const struct repack *r, int64_t now)
{
	struct doomed *d = doomed_find(t, r->object);

	if (!d) {
		if (!(d = calloc(1, sizeof *d)))
			return -ENOMEM;
		memcpy(d->id, r->object, sizeof d->id);
		d->since_ns = now;
		hash_insert(&t->doomed, &d->node, hash_bytes(d->id, sizeof d->id, 0));
	}
	if (d->aside || d->live != r->live)
		d->since_ns = now;
	d->live = r->live;
	d->told &= !d->aside && (d->leaving || !r->leaving);
	d->aside = false;
	d->leaving |= r->leaving;
	d->seen = true;
	return 0;
}

/* What is no longer due was rewritten. */
static void sweep(struct transfer *t)
{
	struct doomed *gone;
	unsigned active;

	do {
		gone = NULL;
		active = 0;
		hash_for_each (node, &t->doomed) {
			struct doomed *d = container_of(node, struct doomed, node);

			if (!d->seen)
				gone = d;
			active += !d->aside;
		}
		if (gone)
			doomed_free(t, gone);
	} while (gone);
	hash_for_each (node, &t->doomed)
		container_of(node, struct doomed, node)->seen = false;
	atomic_store(&t->doomed_count, active);
}

/* ---- stepping aside: one that cannot be rewritten, because its backend is down or it was damaged, must not hold up
 * those that can (I8) -----------------------------------------------------------------------------------------------
 */

static int64_t patience_ns(const struct transfer *t, const struct doomed *d)
{
	return t->repack_patience_ns << (d->tries < STUCK_TIMES ? d->tries : STUCK_TIMES);
}

/* Those that never stepped aside first. Returns whether there are more than may be rewritten at once. */
static int choose(struct transfer *t, const struct repack *due, int n, int64_t now)
{
	unsigned chosen = 0;
	bool more = false;

	for (int i = 0; i < 2 * n; i++) {
		const struct repack *r = &due[i % n];
		struct doomed *d = doomed_find(t, r->object);

		if ((d && d->seen) || (d && d->tries > 0) != (i >= n))
			continue;
		if (d && d->aside)
			d->seen = true; /* it stays what it is, unless it is tried now */
		if (d && d->aside && d->until_ns > now)
			continue;
		if (chosen == DOOMED_MAX)
			more = true;
		else if (doom(t, r, now) < 0)
			return -ENOMEM;
		else
			chosen++;
	}
	return more;
}

/* Returns when the next one has to, if nothing moves. */
static int64_t step_aside(struct transfer *t, int64_t now)
{
	size_t room = ASIDE_MAX + DOOMED_MAX > t->doomed.count ? ASIDE_MAX + DOOMED_MAX - t->doomed.count : 0;
	int64_t next = INT64_MAX;

	hash_for_each (node, &t->doomed) {
		struct doomed *d = container_of(node, struct doomed, node);
		int64_t stuck = d->since_ns + patience_ns(t, d);

		if (d->aside)
			continue;
		if (stuck <= now && room > 0) {
			d->aside = true;
			d->until_ns = now + 2 * patience_ns(t, d);
			d->tries++;
			stuck = now;
			room--;
		}
		next = stuck < next ? stuck : next;
	}
	return next;
}

static int64_t next_again(const struct transfer *t)
{
	int64_t next = INT64_MAX;

	hash_for_each (node, &t->doomed) {
		const struct doomed *d = container_of(node, struct doomed, node);

		if (d->aside && d->until_ns < next)
			next = d->until_ns;
	}
	return next;
}

static size_t count_aside(const struct transfer *t)
{
	size_t n = 0;

	hash_for_each (node, &t->doomed)
		n += container_of(node, struct doomed, node)->aside;
	return n;
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

/* With the lock, which it drops while it reads. Who is in a hurry meanwhile has them told once more. */
static int tell(struct transfer *t, const uint8_t id[OBJECT_ID_BYTES])
{
	uint64_t inos[INOS_PAGE], after = 0, hurries = t->repack_hurries;
	struct doomed *d;
	bool all = true;
	int n;

	do {
		pthread_mutex_unlock(&t->lock);
		n = meta_object_inos(t->meta, id, after, inos, INOS_PAGE);
		pthread_mutex_lock(&t->lock);
		if (n > 0) {
			after = inos[n - 1];
			all = !t->stopping && tell_page(t, inos, n);
		}
	} while (n == INOS_PAGE && all);
	if ((d = doomed_find(t, id)))
		d->told = n >= 0 && all && (!d->leaving || t->repack_hurries == hurries);
	return n < 0 ? n : all;
}

static bool tell_all(struct transfer *t, const struct repack *due, int n)
{
	bool all = true;

	for (int i = 0; i < n; i++) {
		const struct doomed *d = doomed_find(t, due[i].object);

		if (d && !d->told && !d->aside)
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

static int read_due(struct transfer *t, int64_t now_s, struct repack *due, size_t max, int64_t *next_s)
{
	int n = meta_repacks(t->meta, now_s, due, max, next_s);
	bool full = n == (int)max;

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

static unsigned count_leaving(const struct repack *due, int n)
{
	unsigned leaving = 0;

	for (int i = 0; i < n; i++)
		leaving += due[i].leaving;
	return leaving;
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* What was read becomes what is doomed, and its files are told. Returns when to look again. */
static int64_t renew(struct transfer *t, const struct repack *due, int n, int64_t next_ns)
{
	int64_t now = clock_mono_ns();
	int more = choose(t, due, n, now);

	if (more < 0)
		return now + LOOK_AGAIN_NS;
	sweep(t);
	atomic_store(&t->doomed_leaving, count_leaving(due, n));
	if (more)
		next_ns = sooner(next_ns, step_aside(t, now));
	next_ns = sooner(next_ns, next_again(t));
	return tell_all(t, due, n) ? next_ns : sooner(next_ns, clock_mono_ns() + LOOK_AGAIN_NS);
}

static void look(struct transfer *t)
{
	size_t max = DOOMED_MAX + count_aside(t) + 1; /* one more tells whether others wait */
	int64_t now_s = clock_real_ns() / NS_PER_S, next_s = 0;
	struct repack *due = calloc(max, sizeof *due);
	uint64_t ticket = t->ticket;
	int n = -ENOMEM;

	t->repack_wanted = false;
	t->repack_looked_ns = clock_mono_ns();
	t->repack_changes = meta_repack_changes(t->meta);
	pthread_mutex_unlock(&t->lock);
	if (due)
		n = read_due(t, now_s, due, max, &next_s);
	pthread_mutex_lock(&t->lock);
	t->repack_next_ns = n < 0 ? clock_mono_ns() + LOOK_AGAIN_NS : renew(t, due, n, mono_of(next_s, now_s));
	t->repack_looked = n < 0 ? t->repack_looked : ticket;
	t->gone++;
	free(due);
	pthread_cond_broadcast(&t->changed);
}

bool repack_step(struct transfer *t)
{
	if (repack_due_ns(t) > clock_mono_ns())
		return false;
	look(t);
	return true;
}
