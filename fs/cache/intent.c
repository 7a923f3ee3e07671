/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a small sync needs to be durable, in one entry of the intent log instead of block files and a transaction: the
 * units of one file that no earlier entry has, the bytes of a small one, its times. Everything stays in memory as it
 * was, unsynced, and goes where it belongs as if there were no log. What else a sync promises (names, attributes, what
 * was truncated) has to be durable already; where it is not, or where there is too much, the sync goes the long way.
 *
 * A crash leaves entries that rows are behind of. They are written again when the store is opened, in order: units, if
 * the inode's row does not say that it has those of the entry; times and inline bytes, if no batch after the entry was
 * committed. An entry's size comes with its units (I3). */
#include "fs/cache/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define UNITS_MAX    64 /* of an entry */
#define BLOCKS_MAX   16
#define HEADER_BYTES 68
#define RETRY_NS     (60 * NS_PER_S)
#define AT_NO	     4

enum piece { PIECE_UNIT = 1, PIECE_INLINE = 2 };

/* An entry being made. */
struct entry_draft {
	struct cache *c;
	struct inode *inode;
	struct cnode *n;
	struct buf buf;
	struct cblock *block[BLOCKS_MAX]; /* referenced */
	size_t block_count;
	uint32_t units, pieces;
	struct {
		struct cblock *b;
		uint32_t unit;
	} unit[UNITS_MAX];
};

/* ---- making one; under data_lock, exclusive ---- */

static void put_piece(
	struct entry_draft *d, enum piece kind, uint32_t block, uint32_t unit, const void *data, uint32_t len)
{
	buf_u32(&d->buf, kind);
	buf_u32(&d->buf, block);
	buf_u32(&d->buf, unit);
	buf_u32(&d->buf, len);
	buf_put(&d->buf, data, len);
	d->pieces++;
}

/* While a sync is under way what it captured is neither in the log nor in rows; nor is a size that grew alone. */
static int blocks_take(struct entry_draft *d)
{
	struct cache *c = d->c;
	int rc = 0;

	if (!(d->n = cnode_find(c, d->inode->ino)))
		return 0;
	pthread_mutex_lock(&c->lock);
	if (d->n->syncing || d->n->inode)
		rc = -EAGAIN;
	list_for_each (it, &d->n->fresh) {
		struct cblock *b = list_entry(it, struct cblock, fresh_link);

		if (rc < 0 || d->block_count == BLOCKS_MAX) {
			rc = -EAGAIN;
			break;
		}
		meta_lock(c->meta);
		meta_block_ref(b->block);
		meta_unlock(c->meta);
		d->block[d->block_count++] = b;
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

/* Under its mutex. */
static int block_units(struct entry_draft *d, struct cblock *b)
{
	uint32_t u;

	if (b->fresh == FRESH_SLOTS)
		return -EAGAIN;
	for (u = pages_next_fresh(&b->pages, 0); u != UINT32_MAX; u = pages_next_fresh(&b->pages, u + 1)) {
		if (d->units == UNITS_MAX)
			return -EAGAIN;
		d->unit[d->units].b = b;
		d->unit[d->units++].unit = u;
		put_piece(d, PIECE_UNIT, b->index, u, pages_find(&b->pages, u), UNIT);
	}
	return 0;
}

static int units_put(struct entry_draft *d)
{
	int rc = 0;

	for (size_t i = 0; i < d->block_count && rc == 0; i++) {
		struct cblock *b = d->block[i];

		pthread_mutex_lock(&b->lock);
		rc = block_units(d, b);
		pthread_mutex_unlock(&b->lock);
	}
	return rc;
}

/* The row's bytes change with the row: they are durable when the batch is. */
static int inline_put(struct entry_draft *d)
{
	struct cache *c = d->c;
	struct cblock *b;
	bool durable;
	int rc;

	if (d->inode->size > META_INLINE_MAX)
		return 0;
	if ((rc = cblock_enter(c, d->inode, 0, &b)) < 0)
		return rc;
	if (b->live == LIVE_INLINE) {
		meta_lock(c->meta);
		durable = b->block->change_batch <= meta_durable(c->meta) &&
			  meta_committed(c->meta) == meta_durable(c->meta);
		meta_unlock(c->meta);
		if (!durable)
			put_piece(d, PIECE_INLINE, 0, 0, b->block->local->data, b->block->local->len);
	}
	cblock_leave(b);
	return 0;
}

static uint8_t *put_time(uint8_t *p, const struct timespec *t)
{
	put_le64(p, (uint64_t)t->tv_sec);
	put_le32(p + 8, (uint32_t)t->tv_nsec);
	return p + 12;
}

/* Under the meta lock: the times are those of the entry's number, and no batch is cut in between. */
static void header_put(struct entry_draft *d, uint64_t no)
{
	const struct inode *inode = d->inode;
	uint8_t *p = d->buf.data;

	put_le32(p, (uint32_t)d->buf.len - 4);
	put_le64(p + AT_NO, no);
	put_le64(p + 12, inode->ino);
	put_le64(p + 20, inode->size);
	p = put_time(p + 28, &inode->atime);
	p = put_time(p, &inode->mtime);
	p = put_time(p, &inode->ctime);
	put_le32(p, d->pieces);
}

/* 1: nothing is to be made durable. */
static int draft_number(struct entry_draft *d)
{
	struct meta *m = d->c->meta;
	int rc = 0;

	meta_lock(m);
	if (!meta_intent_fits(m, d->inode))
		rc = -EAGAIN;
	else if (!d->pieces && meta_inode_settled(m, d->inode))
		rc = 1;
	if (rc == 0) {
		uint64_t no = meta_intent_next(m);

		header_put(d, no);
		if (d->units)
			d->inode->intent_last = no;
	}
	meta_unlock(m);
	return rc;
}

static bool draft_fits(struct entry_draft *d)
{
	bool fits;

	meta_lock(d->c->meta);
	fits = meta_intent_fits(d->c->meta, d->inode);
	meta_unlock(d->c->meta);
	return fits;
}

static int draft_make(struct entry_draft *d)
{
	static const uint8_t header[HEADER_BYTES];
	int rc;

	if (!draft_fits(d))
		return -EAGAIN;
	buf_put(&d->buf, header, sizeof header);
	if ((rc = blocks_take(d)) < 0 || (rc = inline_put(d)) < 0 || (rc = units_put(d)) < 0)
		return rc;
	return d->buf.err ? d->buf.err : draft_number(d);
}

/* Nobody writes meanwhile, but pages may have been sealed for want of room. */
static void draft_logged(struct entry_draft *d)
{
	for (uint32_t i = 0; i < d->units; i++) {
		struct cblock *b = d->unit[i].b;

		pthread_mutex_lock(&b->lock);
		pages_logged(&b->pages, d->unit[i].unit);
		pthread_mutex_unlock(&b->lock);
	}
	for (size_t i = 0; i < d->block_count; i++) {
		struct cblock *b = d->block[i];

		pthread_mutex_lock(&b->lock);
		if (b->fresh == FRESH_PAGES)
			cblock_logged(b);
		pthread_mutex_unlock(&b->lock);
	}
}

static void draft_free(struct entry_draft *d)
{
	for (size_t i = 0; i < d->block_count; i++)
		meta_block_put(d->c->meta, d->block[i]->block);
	cnode_put(d->c, d->n);
	if (d->buf.data)
		sodium_memzero(d->buf.data, d->buf.len);
	buf_free(&d->buf);
}

/* ---- a sync ---- */

/* What only the thread can do. */
static void ask_thread(struct cache *c, bool settle)
{
	pthread_mutex_lock(&c->lock);
	if (settle)
		c->hurry = true;
	else if (!c->log_asked_ns || clock_mono_ns() - c->log_asked_ns > RETRY_NS) {
		c->log_wanted = true;
		c->log_asked_ns = clock_mono_ns();
	}
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
}

static int draft_log(struct entry_draft *d, uint64_t *record)
{
	struct cache *c = d->c;
	bool due = false;
	int rc = draft_make(d);

	if (rc == 1) {
		*record = intentlog_last(c->log);
		return 0;
	}
	if (rc == 0)
		rc = intentlog_put(c->log, d->buf.data, d->buf.len, record, &due);
	if (rc == 0)
		draft_logged(d);
	if (due)
		ask_thread(c, true);
	return rc;
}

int intent_sync(struct cache *c, struct inode *inode, struct intentlog_wait *wait)
{
	struct entry_draft d = { .c = c, .inode = inode, .buf = BUF_INIT };
	uint64_t record;
	int rc;

	if (!intentlog_ready(c->log)) {
		ask_thread(c, false);
		return -EAGAIN;
	}
	pthread_rwlock_wrlock(&inode->data_lock);
	rc = draft_log(&d, &record);
	pthread_rwlock_unlock(&inode->data_lock);
	draft_free(&d);
	if (rc == 0)
		intentlog_when(c->log, record, wait);
	return rc;
}

bool cache_is_logged(struct cache *c, struct inode *inode)
{
	struct cnode *n = cnode_find(c, inode->ino);
	bool logged, unsynced = false;

	pthread_mutex_lock(&c->lock);
	if (n)
		unsynced = n->syncing || !list_empty(&n->unsynced);
	meta_lock(c->meta);
	/* what was dropped since needs no sync */
	if (!unsynced)
		inode->intent_done = inode->intent_last;
	logged = inode->intent_done < inode->intent_last;
	meta_unlock(c->meta);
	pthread_mutex_unlock(&c->lock);
	cnode_put(c, n);
	return logged;
}

/* ---- after a crash ---- */

struct replay {
	struct cache *c;
	uint64_t committed;
	size_t entries;
	struct errmsg *msg;
};

/* An entry that was read. */
struct logged {
	uint64_t no, ino, size;
	struct timespec atime, mtime, ctime;
	uint32_t pieces;
	struct reader rest;
	bool units; /* some were applied */
};

static struct timespec reader_time(struct reader *r)
{
	int64_t s = (int64_t)reader_u64(r);

	return (struct timespec){ .tv_sec = s, .tv_nsec = (long)reader_u32(r) };
}

static int piece_apply(struct replay *r, struct inode *inode, struct logged *e)
{
	uint32_t kind = reader_u32(&e->rest), block = reader_u32(&e->rest), unit = reader_u32(&e->rest);
	uint32_t len = reader_u32(&e->rest);
	const uint8_t *data = reader_bytes(&e->rest, len);
	uint64_t off = (uint64_t)block * r->c->block_bytes + (uint64_t)unit * UNIT;
	struct cache_need need;

	if (e->rest.err || len > META_INLINE_MAX || (kind != PIECE_UNIT && kind != PIECE_INLINE))
		return -ERR_FORMAT;
	if (e->no <= inode->intent_done || (kind == PIECE_INLINE && e->no <= r->committed))
		return 0;
	/* a page is whole, what it has beyond the size is zeros */
	if (off >= e->size)
		return 0;
	e->units |= kind == PIECE_UNIT;
	return write_anyway(r->c, inode, off, data, len < e->size - off ? len : (size_t)(e->size - off), &need);
}

static void times_apply(struct replay *r, struct inode *inode, const struct logged *e)
{
	meta_lock(r->c->meta);
	if (e->no > r->committed) {
		inode->atime = e->atime;
		inode->mtime = e->mtime;
		inode->ctime = e->ctime;
		/* rules may ask for its age; what was queued with the change is lost */
		if (inode->flags & INODE_EVER_STORED)
			meta_pending_add(r->c->meta, inode->ino);
		meta_inode_changed(r->c->meta, inode);
	}
	/* whoever publishes what was applied says so of the entry */
	if (e->units)
		inode->intent_last = e->no;
	meta_unlock(r->c->meta);
	/* a row may count units that were in the log only: they were counted once more */
	if (e->units)
		bytes_settle(r->c, inode, inode->size, 0);
}

static int entry_apply(struct replay *r, struct logged *e)
{
	struct inode *inode;
	int rc = meta_inode_get(r->c->meta, e->ino, &inode);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	pthread_rwlock_rdlock(&inode->data_lock);
	for (uint32_t i = 0; i < e->pieces && rc == 0; i++)
		rc = piece_apply(r, inode, e);
	if (rc == 0)
		times_apply(r, inode, e);
	pthread_rwlock_unlock(&inode->data_lock);
	meta_inode_put(r->c->meta, inode);
	return rc;
}

static int record_apply(void *ctx, const uint8_t *data, size_t len)
{
	struct replay *r = ctx;
	struct reader in = { .p = data, .end = data + len };
	int rc = 0;

	while (rc == 0 && in.p < in.end) {
		uint32_t bytes = reader_u32(&in);
		const uint8_t *p = reader_bytes(&in, bytes);
		struct logged e = { .rest = { .p = p, .end = p + bytes } };

		if (in.err)
			return -ERR_FORMAT;
		e.no = reader_u64(&e.rest);
		e.ino = reader_u64(&e.rest);
		e.size = reader_u64(&e.rest);
		e.atime = reader_time(&e.rest);
		e.mtime = reader_time(&e.rest);
		e.ctime = reader_time(&e.rest);
		e.pieces = reader_u32(&e.rest);
		rc = e.rest.err ? -ERR_FORMAT : entry_apply(r, &e);
		r->entries++;
	}
	return rc;
}

int intent_replay(struct cache *c, struct errmsg *msg)
{
	struct replay r = { .c = c, .committed = meta_intent_committed(c->meta), .msg = msg };
	int rc = intentlog_read(c->log, record_apply, &r, msg);

	if (rc == 0 && r.entries && (rc = cache_sync_all(c)) == 0)
		rc = meta_sync(c->meta);
	if (rc < 0)
		return errmsg_set(
			msg, rc, "what was synced before a crash cannot be brought where it belongs: %s", err_text(rc));
	if (r.entries)
		log_info("cache: %zu syncs of before a crash were brought where they belong", r.entries);
	meta_lock(c->meta);
	meta_intent_begin(c->meta);
	meta_unlock(c->meta);
	return 0;
}
