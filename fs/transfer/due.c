/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files whose placement may be another one by the clock alone: conditions on age and on hours, days and dates. When
 * that is stands in the file's row, in the transaction of its placement, with an index: what is due is read from there,
 * in order, and nothing is kept in memory but how far it was read and when the next one is due. What is on its way
 * abroad then and may be there no longer is cut (I1). */
#include "fs/transfer/internal.h"

#define DUE_PAGE       256
#define CLOCK_BACK_NS  (60 * NS_PER_S) /* so far it may be set back without a consequence */
#define CLOCK_EVERY_NS (60 * NS_PER_S) /* the real clock may be set: it is looked at again so soon */

void due_note(struct transfer *t, int64_t due_real_ns)
{
	if (due_real_ns == INT64_MAX)
		return;
	/* the clock was set back meanwhile */
	if (due_real_ns <= t->due_given.due_ns)
		t->due_given = (struct meta_due){ due_real_ns - 1, 0 };
	if (due_real_ns >= t->due_next_ns)
		return;
	t->due_next_ns = due_real_ns;
	/* who says so may be an upload's end, while the scheduler sleeps until the one before */
	pthread_cond_signal(&t->sched);
}

bool due_is_now(const struct transfer *t)
{
	return t->due_next_ns <= clock_real_ns();
}

/* With the lock, which it drops; the number of rows, or an error. */
static int read_page(struct transfer *t, struct meta_due after, struct meta_due *rows, size_t max, int64_t *next_ns)
{
	int n;

	t->due_next_ns = INT64_MAX;
	pthread_mutex_unlock(&t->lock);
	n = meta_commit(t->meta);
	if (n == 0)
		n = meta_due(t->meta, after, clock_real_ns(), rows, max, next_ns);
	pthread_mutex_lock(&t->lock);
	return n;
}

bool due_step(struct transfer *t)
{
	struct meta_due rows[DUE_PAGE], after = t->due_given;
	size_t room = t->entries.count < t->entries_max ? t->entries_max - t->entries.count : 0;
	int64_t next_ns = 0;
	int n, i = 0;

	if (!room || !due_is_now(t))
		return false;
	room = room < DUE_PAGE ? room : DUE_PAGE;
	n = read_page(t, after, rows, room, &next_ns);
	if (n < 0) {
		log_error("transfer: which placements fall due cannot be read: %s", err_text(n));
		next_ns = clock_real_ns() + RETRY_MAX_NS;
	}
	/* else due_note has set it back, and this page is read again */
	if (memcmp(&after, &t->due_given, sizeof after) != 0)
		return true;
	for (; i < n && !t->stopping && entry_touch(t, rows[i].ino, TOUCH_PENDING); i++)
		t->due_given = rows[i];
	if (n == (int)room || i < n)
		next_ns = 0;
	t->due_next_ns = next_ns < t->due_next_ns ? next_ns : t->due_next_ns;
	pthread_mutex_unlock(&t->lock);
	while (i > 0)
		transfer_revalidate(t, rows[--i].ino);
	pthread_mutex_lock(&t->lock);
	return true;
}

int64_t due_until(const struct transfer *t)
{
	int64_t in;

	if ((t->due_next_ns == INT64_MAX && !rules_need_time(t->config)) || t->entries.count >= t->entries_max)
		return INT64_MAX;
	in = t->due_next_ns == INT64_MAX ? CLOCK_EVERY_NS : t->due_next_ns - clock_real_ns();
	return clock_mono_ns() + (in < 0 ? 0 : in < CLOCK_EVERY_NS ? in : CLOCK_EVERY_NS);
}

/* What was judged by a time that has yet to come stands in no row. */
void due_clock(struct transfer *t)
{
	int64_t ahead_ns = clock_real_ns() - clock_mono_ns();
	bool back = ahead_ns < t->clock_ahead_ns - CLOCK_BACK_NS;

	t->clock_ahead_ns = ahead_ns;
	if (!back || !rules_need_time(t->config))
		return;
	log_warn("transfer: the clock was set back: every file is judged again");
	meta_lock(t->meta);
	meta_pending_add_subtree(t->meta, META_ROOT_INO);
	meta_unlock(t->meta);
	sched_refill(t);
}

void due_afresh(struct transfer *t)
{
	t->due_given = (struct meta_due){ 0, 0 };
	t->due_next_ns = 0;
}
