/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One upload: a block's content, sealed once under a fresh object id, sent to `copies` backends of the zone its file is
 * placed in, and then, in one operation, made the block's extent. Whatever does not get there is discarded: its
 * deletion is journalled, and a new try takes a new id. */
#include "fs/transfer/internal.h"

#include "backends/guard.h"

#include <stdio.h>

#define SWITCH_TRIES 3

struct upload {
	struct worker *w;
	struct pass *pass;
	struct block *block;
	struct content content;
	struct object_ref ref;
	uint64_t gen, epoch;
	uint64_t body_sent;
	bool unsure; /* a backend may have all of it without having said so */
};

/* ---- the border
 * ------------------------------------------------------------------------------------------------------- */

/* Asked before each request with a body (I1). A file touched since it was judged is in its quiet period again. */
static int check(struct call *call)
{
	struct flight *f = container_of(call, struct flight, call);
	struct transfer *t = f->t;
	int rc = 0;

	pthread_mutex_lock(&t->lock);
	if (t->stopping)
		rc = -ERR_STOPPED;
	else if (f->endpoint->retired || (f->foreign && f->pass->entry->touched))
		rc = -ERR_REVOKED;
	pthread_mutex_unlock(&t->lock);
	return rc < 0 ? rc : place_still(t->place, f->inode, f->zone_id, &f->gen, &f->epoch);
}

static void flight_done(struct upload *u, struct endpoint *endpoint, struct flight *f, int rc)
{
	struct transfer *t = u->w->t;
	char says[512];

	pthread_mutex_lock(&t->lock);
	if (rc == 0) {
		endpoint_worked(endpoint);
		u->pass->queue->blocked_until_ns = 0;
	} else {
		endpoint_failed(endpoint, rc);
	}
	pthread_mutex_unlock(&t->lock);
	u->epoch = f->epoch;
	u->body_sent += f->call.body_sent;
	u->unsure |= rc < 0 && f->call.body_sent >= u->w->sealed.len;
	if (rc < 0 && rc != -ERR_REVOKED && rc != -ERR_STOPPED)
		log_warn("upload failed: %s", endpoint_says(endpoint, errmsg_text(&f->msg, rc), says, sizeof says));
}

static int put(struct upload *u, struct endpoint *endpoint)
{
	struct buf *body = &u->w->sealed;
	char name[OBJECT_NAME_BYTES];
	struct source_memory source;
	struct flight f;
	int rc;

	object_name(u->ref.id, name);
	flight_init(&f, u->w->t);
	f.body = true;
	f.foreign = u->pass->foreign;
	f.inode = u->pass->inode;
	f.pass = u->pass;
	f.zone_id = f.call.zone_id = u->pass->zone_id;
	f.gen = u->gen;
	f.epoch = u->epoch;
	f.call.check = check;
	flight_begin(&f, endpoint);
	rc = guard_put(endpoint->backend, &f.call, name, source_memory(&source, body->data, body->len));
	flight_end(&f);
	flight_done(u, endpoint, &f, rc);
	flight_free(&f);
	return rc;
}

/* ---- after the backends confirmed, or not
 * --------------------------------------------------------------------------------- */

static void audit_object(struct upload *u, const char *kind, uint32_t from)
{
	char hex[2 * OBJECT_ID_BYTES + 1], facts[256];

	for (size_t i = 0; i < OBJECT_ID_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", u->ref.id[i]);
	snprintf(facts, sizeof facts,
		"{\"ino\":%llu,\"block\":%u,\"object\":\"%s\",\"from\":%u,\"to\":%u,\"bytes\":%llu}",
		(unsigned long long)u->pass->inode->ino, u->block->index, hex, from, u->pass->zone_id,
		(unsigned long long)u->body_sent);
	audit_file(u->w->t->place, kind, u->pass->inode->ino, facts);
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
	if (u->body_sent && rc == -ERR_REVOKED && u->pass->foreign)
		audit_object(u, "revoked", 0);
	if (unsent)
		meta_queue(t->meta, &unsent->record);
	else
		meta_object_discard(t->meta, u->ref.id, u->unsure);
	meta_unlock(t->meta);
}

/* Under the meta lock: nothing that the upload relied on has changed. */
static bool unchanged(struct upload *u)
{
	struct inode *inode = u->pass->inode;
	struct block *b = u->block;

	return inode->nlink > 0 && b->version == u->content.version && extent_same(&b->extent, &u->content.extent);
}

/* Under the meta lock: one operation (I4). */
static void adopt(struct upload *u)
{
	struct transfer *t = u->w->t;
	struct inode *inode = u->pass->inode;
	uint32_t from = extent_none(&u->block->extent) ? 0 : u->block->extent.zone_id;
	struct extent e = { .len = u->content.len, .zone_id = u->pass->zone_id };

	memcpy(e.object, u->ref.id, sizeof e.object);
	if (from && from != e.zone_id) {
		audit_object(u, "transfer", from);
		crossing_add(t->place, from, e.zone_id, 0, u->content.len);
	}
	for (size_t i = 0; i < u->w->targets.count; i++)
		meta_object_stored(t->meta, u->ref.id, u->w->targets.v[i]->id);
	meta_extent_set(t->meta, u->block, &e, u->content.version);
	if (!(inode->flags & INODE_EVER_STORED)) {
		inode->flags |= INODE_EVER_STORED;
		meta_inode_changed(t->meta, inode);
	}
}

static int switch_over(struct upload *u)
{
	struct transfer *t = u->w->t;
	struct inode *inode = u->pass->inode;
	bool done = false;
	int rc = 0;

	for (int i = 0; rc == 0 && !done && i < SWITCH_TRIES; i++) {
		rc = place_still(t->place, inode, u->pass->zone_id, &u->gen, &u->epoch);
		if (rc < 0)
			break;
		meta_lock(t->meta);
		if (!unchanged(u))
			rc = -ERR_STALE;
		done = rc == 0 && inode->place_gen == u->gen && place_epoch(t->place) == u->epoch;
		if (done)
			adopt(u);
		meta_unlock(t->meta);
	}
	if (rc == 0 && done)
		cache_stored(t->cache);
	return rc == 0 && !done ? -ERR_REVOKED : rc;
}

/* ---- one block
 * ------------------------------------------------------------------------------------------------------------ */

static int seal_block(struct upload *u)
{
	struct object_member member = { u->pass->inode->ino, u->block->index, 0, u->content.len };
	struct transfer *t = u->w->t;
	struct config *config = place_config(t->place);
	const struct config_zone *zone = place_zone(t->place, config, u->pass->zone_id);
	bool padme = zone && zone->padme;

	config_put(config);
	buf_reset(&u->w->sealed);
	return object_seal(
		t->keyring, u->pass->zone_id, &member, 1, u->w->plain, u->content.len, padme, &u->w->sealed, &u->ref);
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
	rc = meta_object_begin(u->w->t->meta, &u->ref, ids, targets->count);
	free(ids);
	return rc;
}

static int send_block(struct upload *u)
{
	int rc = begin(u);

	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < u->w->targets.count; i++)
		rc = put(u, u->w->targets.v[i]);
	if (rc == 0)
		rc = switch_over(u);
	if (rc < 0)
		discard(u, rc);
	return rc;
}

/* Whether the block is still to be uploaded; and, abroad, whether the file is still the one that was judged. */
static int still_due(struct upload *u)
{
	struct transfer *t = u->w->t;
	struct block *b = u->block;
	int rc = 1;

	meta_lock(t->meta);
	if (!b->dirty && (extent_none(&b->extent) || b->extent.zone_id == u->pass->zone_id))
		rc = 0;
	else if (u->pass->foreign && u->pass->inode->version != u->pass->version)
		rc = -ERR_STALE;
	meta_unlock(t->meta);
	return rc;
}

/* Nothing but zeros: no object is needed for that, and one that it had is superseded. */
static int settle_zeros(struct upload *u)
{
	struct meta *meta = u->w->t->meta;
	struct block *b = u->block;
	int rc = 0;

	meta_lock(meta);
	if (b->version != u->content.version || !extent_same(&b->extent, &u->content.extent)) {
		rc = -ERR_STALE;
	} else if (b->dirty) {
		meta_extent_trim(meta, b, 0);
		b->dirty = false;
		meta_block_changed(meta, b);
	}
	meta_unlock(meta);
	return rc;
}

static int upload_block(struct upload *u)
{
	struct transfer *t = u->w->t;
	int rc = place_still(t->place, u->pass->inode, u->pass->zone_id, &u->gen, &u->epoch);

	if (rc < 0 || (rc = still_due(u)) <= 0)
		return rc;
	rc = content_take(u->w, u->pass->inode, u->block, &u->content);
	if (rc == -ENOENT)
		return settle_zeros(u);
	/* again, now that the content is taken: what was written later is not in it */
	if (rc < 0 || (rc = still_due(u)) <= 0)
		return rc;
	if ((rc = seal_block(u)) < 0)
		return rc;
	return send_block(u);
}

static int64_t retry_at(struct upload *u, int rc, unsigned failures)
{
	if (rc == -ERR_REVOKED)
		return clock_mono_ns();
	/* the file was deleted meanwhile: the next look finds that out */
	if (rc == -ENOENT)
		return clock_mono_ns();
	if (rc == -ERR_STALE)
		return clock_mono_ns() + NS_PER_S;
	if (rc == -ERR_TAMPERED || rc == -ERR_CORRUPT || rc == -ERR_LOST || rc > -ERR_FIRST) {
		log_error("inode %llu, block %u cannot be uploaded: %s", (unsigned long long)u->pass->inode->ino,
			u->block ? u->block->index : 0, err_text(rc));
		return clock_mono_ns() + RETRY_MAX_NS;
	}
	return retry_after_ns(failures);
}

static void upload(struct worker *w, struct pass *p, uint32_t index)
{
	struct upload u = { .w = w, .pass = p, .gen = p->gen, .epoch = p->epoch };
	struct transfer *t = w->t;
	unsigned failures = p->entry->failures;
	int64_t retry = 0;
	int rc;

	pthread_mutex_unlock(&t->lock);
	if (!w->plain)
		w->plain = malloc(t->block_bytes);
	rc = w->plain ? meta_block_get(t->meta, p->inode, index, &u.block) : -ENOMEM;
	if (rc == 0)
		rc = upload_block(&u);
	if (rc < 0)
		retry = retry_at(&u, rc, failures);
	meta_block_put(t->meta, u.block);
	targets_drop(t, &w->targets);
	pthread_mutex_lock(&t->lock);
	p->queue->uploading--;
	t->uploading--;
	pass_done(t, p, rc, retry);
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
	uint32_t index;
	int64_t until;

	pthread_mutex_lock(&t->lock);
	while (!t->stopping) {
		struct pass *p = pass_take(t, &index, &w->targets, &until);

		if (p)
			upload(w, p, index);
		else
			idle(w, until);
	}
	pthread_mutex_unlock(&t->lock);
	free(w->plain);
	buf_free(&w->sealed);
	free(w->targets.v);
	return NULL;
}
