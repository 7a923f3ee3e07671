/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One upload: the content of a block, or of small blocks of one zone, sealed once under a fresh object id, sent to
 * `copies` backends of the zone their files are placed in, and then, in one operation, made the blocks' extents.
 * Whatever does not get there is discarded: its deletion is journalled, and a new try takes a new id. */
#include "fs/transfer/internal.h"

#include <stdio.h>

#define SWITCH_TRIES 3

/* One object: of the items [first, end) of the worker's job those that are not done. */
struct upload {
	struct worker *w;
	struct job *job;
	size_t first, end;
	size_t members;
	uint64_t plain_len;
	struct object_ref ref;
	uint64_t body_sent;
	bool unsure; /* a backend may have all of it without having said so */
};

/* Those that are in the object, or are to be. */
#define for_each_member(item, u)                                                                                       \
	for (struct item *item = (u)->job->v + (u)->first; item < (u)->job->v + (u)->end; item++)                      \
		if (!item->done)

static void item_end(struct item *item, int rc)
{
	item->done = true;
	item->rc = rc;
}

/* ---- the border
 * ------------------------------------------------------------------------------------------------------- */

/* A file touched since it was judged is in its quiet period again. Under transfer's lock. */
static bool touched(const struct job *job, const struct item *item)
{
	return job->foreign && item->pass->entry->touched;
}

/* ---- after the backends confirmed, or not
 * --------------------------------------------------------------------------------- */

static void audit_object(struct upload *u, const struct item *item, const char *kind, uint32_t from)
{
	char hex[2 * OBJECT_ID_BYTES + 1], facts[256];
	uint64_t ino = item->pass->inode->ino;

	for (size_t i = 0; i < OBJECT_ID_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", u->ref.id[i]);
	snprintf(facts, sizeof facts,
		"{\"ino\":%llu,\"block\":%u,\"object\":\"%s\",\"from\":%u,\"to\":%u,\"bytes\":%llu}",
		(unsigned long long)ino, item->index, hex, from, u->job->queue->zone_id,
		(unsigned long long)(u->members > 1 ? item->content.len : u->body_sent));
	audit_file(u->w->t->place, kind, ino, facts);
}

/* An object of which no byte of the body left: no backend has it, and none is asked to delete it. */
struct unsent_record {
	struct meta_record record;
	uint8_t id[OBJECT_ID_BYTES];
};

static void unsent_apply(struct meta_txn *txn, struct meta_record *r)
{
	const struct unsent_record *u = container_of(r, struct unsent_record, record);

	meta_txn_exec(txn,
		"DELETE FROM replica WHERE object = (SELECT num FROM object WHERE id = ?1 AND refs = 0 AND state = 0)",
		"b", u->id, sizeof u->id);
	meta_txn_exec(txn, "DELETE FROM object WHERE id = ?1 AND refs = 0 AND state = 0", "b", u->id, sizeof u->id);
}

static void unsent_free(struct meta_record *r)
{
	free(container_of(r, struct unsent_record, record));
}

static void discard(struct upload *u, int rc)
{
	struct transfer *t = u->w->t;
	struct unsent_record *unsent = u->body_sent ? NULL : calloc(1, sizeof *unsent);

	if (unsent) {
		unsent->record = (struct meta_record){ .apply = unsent_apply, .free = unsent_free };
		memcpy(unsent->id, u->ref.id, sizeof unsent->id);
	}
	meta_lock(t->meta);
	if (u->body_sent && rc == -ERR_REVOKED && u->job->foreign)
		for_each_member(item, u) audit_object(u, item, "revoked", 0);
	if (unsent) {
		meta_queue(t->meta, &unsent->record);
	} else {
		for (size_t i = u->first; i < u->end; i++)
			if (u->job->v[i].sent)
				meta_remnant_note(t->meta, u->ref.id, u->job->v[i].pass->inode->ino);
		meta_object_discard(t->meta, u->ref.id, u->unsure);
	}
	meta_unlock(t->meta);
}

/* Under the meta lock: nothing that the upload relied on has changed. */
static bool unchanged(const struct item *item)
{
	const struct block *b = item->block;

	return item->pass->inode->nlink > 0 && b->version == item->content.version &&
	       extent_same(&b->extent, &item->content.extent);
}

/* Under the meta lock. */
static void adopt(struct upload *u, struct item *item)
{
	struct transfer *t = u->w->t;
	struct inode *inode = item->pass->inode;
	uint32_t from = extent_none(&item->block->extent) ? 0 : item->block->extent.zone_id;
	struct extent e = { .offset = item->offset, .len = item->content.len, .zone_id = u->job->queue->zone_id };

	memcpy(e.object, u->ref.id, sizeof e.object);
	if (from && from != e.zone_id) {
		audit_object(u, item, "transfer", from);
		crossing_add(t->place, from, e.zone_id, 0, item->content.len);
	}
	meta_extent_set(t->meta, item->block, &e, item->content.version);
	if (!(inode->flags & INODE_EVER_STORED)) {
		inode->flags |= INODE_EVER_STORED;
		meta_inode_changed(t->meta, inode);
	}
}

/* Under the meta lock: one operation (I4). What changed meanwhile keeps what it has, and its bytes go when the pack is
 * rewritten; where nothing is left the object is of no use: -ERR_STALE. */
static int adopt_all(struct upload *u)
{
	struct transfer *t = u->w->t;
	size_t adopted = 0;

	for_each_member(item, u)
	{
		if (!unchanged(item))
			item_end(item, -ERR_STALE);
		else
			adopted++;
	}
	if (!adopted)
		return -ERR_STALE;
	for (size_t i = 0; i < u->w->targets.count; i++)
		meta_object_stored(t->meta, u->ref.id, u->w->targets.v[i]->id);
	for_each_member(item, u) adopt(u, item);
	for (size_t i = u->first; i < u->end; i++)
		if (u->job->v[i].sent && u->job->v[i].done)
			meta_repack_note(t->meta, u->ref.id, u->job->v[i].pass->inode->ino);
	return 0;
}

/* Under the meta lock. */
static bool all_current(struct upload *u)
{
	uint64_t epoch = place_epoch(u->w->t->place);

	for_each_member(item, u) if (item->pass->inode->place_gen != item->gen || item->epoch != epoch) return false;
	return true;
}

/* A member that may no longer be there takes the whole object along; one that is gone leaves it. */
static int still_placed(struct upload *u)
{
	uint32_t zone_id = u->job->queue->zone_id;
	struct place *place = u->w->t->place;
	int rc;

	for_each_member(item, u)
	{
		rc = place_still(place, item->pass->inode, zone_id, &item->gen, &item->epoch);
		if (rc == -ERR_REVOKED)
			rc = place_stays(place, item->pass->inode, zone_id, &item->gen, &item->epoch);
		if (rc == -ENOENT)
			item_end(item, rc);
		else if (rc < 0)
			return rc;
	}
	return 0;
}

/* With transfer's lock: of those it was sent to none is being emptied by now. */
static bool all_open(const struct upload *u)
{
	for (size_t i = 0; i < u->w->targets.count; i++)
		if (u->w->targets.v[i]->closed)
			return false;
	return true;
}

static int switch_over(struct upload *u)
{
	struct transfer *t = u->w->t;
	bool done = false;
	int rc = 0;

	for (int i = 0; rc == 0 && !done && i < SWITCH_TRIES; i++) {
		if ((rc = still_placed(u)) < 0)
			break;
		pthread_mutex_lock(&t->lock);
		meta_lock(t->meta);
		/* more copies are asked for since: what looks for those that lack them may have been here already */
		if (u->w->targets.count < zone_copies(t, u->job->queue->zone_id) || !all_open(u))
			rc = -ERR_REVOKED;
		else if ((done = all_current(u)))
			rc = adopt_all(u);
		meta_unlock(t->meta);
		pthread_mutex_unlock(&t->lock);
	}
	if (rc == 0 && done)
		cache_stored(t->cache);
	return rc == 0 && !done ? -ERR_REVOKED : rc;
}

/* ---- one object
 * ------------------------------------------------------------------------------------------------------------ */

static int seal_members(struct upload *u)
{
	struct object_member *members = malloc(u->members * sizeof *members);
	struct transfer *t = u->w->t;
	struct config *config = place_config(t->place);
	const struct config_zone *zone = place_zone(t->place, config, u->job->queue->zone_id);
	bool padme = zone && zone->padme;
	size_t n = 0;
	int rc;

	config_put(config);
	if (!members)
		return -ENOMEM;
	for_each_member(item, u) members[n++] =
		(struct object_member){ item->pass->inode->ino, item->index, item->offset, item->content.len };
	buf_reset(&u->w->sealed);
	rc = object_seal(t->keyring, u->job->queue->zone_id, members, n, u->w->plain, u->plain_len, padme,
		&u->w->sealed, &u->ref);
	free(members);
	return rc;
}

static int begin(struct upload *u)
{
	struct targets *targets = &u->w->targets;
	uint32_t *ids = malloc(targets->count * sizeof *ids);
	int rc;

	if (!ids)
		return -ENOMEM;
	for (size_t i = 0; i < targets->count; i++)
		ids[i] = targets->v[i]->id;
	rc = meta_object_begin(u->w->t->meta, &u->ref, u->members, ids, targets->count);
	free(ids);
	return rc;
}

static int send_copies(struct upload *u)
{
	struct sending s = {
		.items = u->job->v + u->first,
		.item_count = u->end - u->first,
		.queue = u->job->queue,
		.foreign = u->job->foreign,
		.id = u->ref.id,
		.body = &u->w->sealed,
	};
	int rc = send_body(u->w->t, &s, &u->w->targets);

	u->body_sent = s.body_sent;
	u->unsure = s.unsure;
	return rc;
}

static int send_object(struct upload *u)
{
	int rc = seal_members(u);

	if (rc < 0 || (rc = begin(u)) < 0)
		return rc;
	rc = send_copies(u);
	for_each_member(item, u) item->refused = rc < 0 && rc != -ERR_REVOKED;
	if (rc == 0)
		rc = switch_over(u);
	if (rc < 0)
		discard(u, rc);
	return rc;
}

/* ---- one block
 * ------------------------------------------------------------------------------------------------------------ */

/* Whether the block is still to be uploaded; and, abroad, whether the file is still the one that was judged. */
static int still_due(struct upload *u, struct item *item)
{
	struct transfer *t = u->w->t;
	struct block *b = item->block;
	struct extent e;
	bool dirty, as_judged;

	pthread_mutex_lock(&t->lock);
	as_judged = !touched(u->job, item);
	pthread_mutex_unlock(&t->lock);
	if (!as_judged)
		return -ERR_REVOKED;
	meta_lock(t->meta);
	dirty = b->dirty;
	e = b->extent;
	as_judged = !u->job->foreign || item->pass->inode->version == item->pass->version;
	meta_unlock(t->meta);
	if (!dirty && (extent_none(&e) || (e.zone_id == u->job->queue->zone_id && !repack_doomed(t, &e))))
		return 0;
	return as_judged ? 1 : -ERR_STALE;
}

/* Nothing but zeros: no object is needed for that, and one that it had is superseded. */
static int settle_zeros(struct upload *u, struct item *item)
{
	struct meta *meta = u->w->t->meta;
	struct block *b = item->block;
	int rc = 0;

	meta_lock(meta);
	if (b->version != item->content.version || !extent_same(&b->extent, &item->content.extent)) {
		rc = -ERR_STALE;
	} else if (b->dirty || !extent_none(&b->extent)) {
		meta_extent_trim(meta, b, 0);
		b->dirty = false;
		meta_block_changed(meta, b);
	}
	meta_unlock(meta);
	return rc;
}

static bool same_object(const struct item *a, const struct item *b)
{
	return memcmp(a->was.object, b->was.object, sizeof a->was.object) == 0;
}

/* By object, and in it by place; what was never stored stays in its order. */
static int item_order(const void *one, const void *other)
{
	const struct item *a = one, *b = other;
	int by_object = memcmp(a->was.object, b->was.object, sizeof a->was.object);

	if (by_object)
		return by_object;
	if (a->was.offset != b->was.offset)
		return a->was.offset < b->was.offset ? -1 : 1;
	return a->at < b->at ? -1 : a->at > b->at;
}

/* Members of a pack that is rewritten or moved become neighbours, so that one request brings them all. */
static void order(struct upload *u)
{
	struct meta *meta = u->w->t->meta;
	struct job *job = u->job;

	for (size_t i = 0; i < job->count; i++) {
		struct item *item = &job->v[i];

		item->at = (uint32_t)i;
		if ((item->rc = meta_block_get(meta, item->pass->inode, item->index, &item->block)) < 0)
			continue;
		meta_lock(meta);
		item->was = item->block->extent;
		meta_unlock(meta);
	}
	qsort(job->v, job->count, sizeof *job->v, item_order);
}

/* From here to the last that the job has of this object. */
static void hint(struct upload *u, const struct item *first)
{
	const struct item *last = first, *end = u->job->v + u->job->count;

	while (last + 1 < end && same_object(first, last + 1))
		last++;
	if (last > first)
		content_hint(u->w, first->was.object, first->was.offset, last->was.offset + last->was.len);
}

static int content(struct upload *u, struct item *item)
{
	if (!extent_none(&item->was) && memcmp(item->was.object, u->w->old.object, sizeof item->was.object) != 0)
		hint(u, item);
	item->content = (struct content){ .plain = u->w->plain + u->plain_len };
	return content_take(u->w, item->pass->inode, item->block, &item->content);
}

/* One that fits into a segment is in one, so that it is read with one. */
static void lay(struct upload *u, struct item *item)
{
	uint64_t off = u->plain_len, rest = SEGMENT_DATA - off % SEGMENT_DATA;

	if (item->content.len <= UNIT && item->content.len > rest) {
		memmove(u->w->plain + off + rest, u->w->plain + off, item->content.len);
		memset(u->w->plain + off, 0, rest);
		off += rest;
	}
	item->offset = off;
	u->plain_len = off + item->content.len;
	u->members++;
	item->sent = true;
}

/* 1: its content is in the object. */
static int gather(struct upload *u, struct item *item)
{
	struct transfer *t = u->w->t;
	int rc = place_still(t->place, item->pass->inode, u->job->queue->zone_id, &item->gen, &item->epoch);

	if (rc == 0)
		rc = item->rc;
	if (rc < 0 || (rc = still_due(u, item)) <= 0)
		return rc;
	rc = content(u, item);
	if (rc == -ENOENT)
		return settle_zeros(u, item);
	/* again, now that the content is taken: what was written later is not in it */
	if (rc < 0 || (rc = still_due(u, item)) <= 0)
		return rc;
	lay(u, item);
	return 1;
}

/* The next object of the job: as many of its blocks as go in. Room for one more is kept, whatever became of its size.
 */
static void upload_object(struct upload *u)
{
	int rc;

	u->first = u->end;
	u->members = 0;
	u->plain_len = u->body_sent = 0;
	u->unsure = false;
	while (u->end < u->job->count && u->plain_len < PACK_BYTES) {
		struct item *item = &u->job->v[u->end++];

		if ((rc = gather(u, item)) <= 0)
			item_end(item, rc);
	}
	rc = u->members ? send_object(u) : 0;
	for_each_member(item, u) item_end(item, rc);
}

static int64_t retry_at(const struct item *item)
{
	int rc = item->rc;

	if (rc >= 0)
		return 0;
	/* the file was deleted meanwhile: the next look finds that out */
	if (rc == -ERR_REVOKED || rc == -ENOENT)
		return clock_mono_ns();
	/* a backend that refuses is left alone for a while, and then takes what waits for it at once */
	if (rc == -ERR_STALE || item->refused)
		return clock_mono_ns() + NS_PER_S;
	if (rc == -ERR_TAMPERED || rc == -ERR_CORRUPT || rc == -ERR_LOST || rc > -ERR_FIRST) {
		log_error("inode %llu, block %u cannot be uploaded: %s", (unsigned long long)item->pass->inode->ino,
			item->index, err_text(rc));
		return clock_mono_ns() + RETRY_MAX_NS;
	}
	return retry_after_ns(item->failures);
}

static int plain_take(struct worker *w)
{
	if (!w->plain)
		w->plain = malloc(PACK_BYTES + SEGMENT_DATA + w->t->block_bytes);
	return w->plain ? 0 : -ENOMEM;
}

static void upload(struct worker *w)
{
	struct upload u = { .w = w, .job = &w->job };
	struct transfer *t = w->t;
	struct job *job = &w->job;
	int rc;

	pthread_mutex_unlock(&t->lock);
	if ((rc = plain_take(w)) < 0)
		for (; u.end < job->count; u.end++)
			item_end(&job->v[u.end], rc);
	if (rc == 0)
		order(&u);
	while (u.end < job->count)
		upload_object(&u);
	content_forget(w);
	for (size_t i = 0; i < job->count; i++) {
		meta_block_put(t->meta, job->v[i].block);
		job->v[i].retry_ns = retry_at(&job->v[i]);
	}
	targets_drop(t, &w->targets);
	pthread_mutex_lock(&t->lock);
	job->queue->uploading--;
	t->uploading--;
	for (size_t i = 0; i < job->count; i++)
		pass_done(t, &job->v[i]);
	pthread_cond_broadcast(&t->upload);
}

/* A worker without work keeps no memory. */
static void idle(struct worker *w, int64_t until)
{
	free(w->plain);
	w->plain = NULL;
	buf_free(&w->sealed);
	cond_wait_until(&w->t->upload, &w->t->lock, until);
}

void *upload_main(void *arg)
{
	struct worker *w = arg;
	struct transfer *t = w->t;
	int64_t until;

	pthread_mutex_lock(&t->lock);
	while (!t->stopping) {
		if (pass_take(t, &w->job, &w->targets, &until))
			upload(w);
		else
			idle(w, until);
	}
	pthread_mutex_unlock(&t->lock);
	free(w->plain);
	buf_free(&w->sealed);
	free(w->targets.v);
	free(w->job.v);
	return NULL;
}
