/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Entries of the index and their files in use; what is superseded or doomed and waits for a batch to be durable. */
#include "fs/cache/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* A file in use for the entry; one reference. Under cache.lock. */
static int file_open_locked(struct cache *c, struct entry *e, struct slotfile **out)
{
	int rc;

	if ((*out = e->file)) {
		e->file->refs++;
		return 0;
	}
	if ((rc = slotfile_new(out, &c->fds, e->ino, e->index, e->number)) < 0)
		return rc;
	e->file = *out;
	(*out)->entry = e;
	return 0;
}

int files_get(struct cache *c, uint64_t ino, uint32_t index, uint64_t number, uint32_t slots, struct slotfile **out,
	bool *lost)
{
	struct entry *e;
	bool fresh;
	int rc;

	*out = NULL;
	*lost = false;
	pthread_mutex_lock(&c->lock);
	if (!(e = index_find(&c->index, ino, index)))
		e = index_add(&c->index, ino, index, number, ENTRY_DIRTY);
	if (e && e->number != number) {
		pthread_mutex_unlock(&c->lock);
		return -ERR_CORRUPT;
	}
	fresh = e && !e->file;
	rc = e ? file_open_locked(c, e, out) : -ENOMEM;
	pthread_mutex_unlock(&c->lock);
	/* only one thread loads a block, under its mutex: nobody else uses a fresh file yet */
	if (rc == 0 && fresh && (rc = slotfile_measure(*out)) == 0) {
		*lost = (*out)->end < slots;
		room_account(c, *out);
	}
	if (rc < 0 && *out) {
		files_put(c, *out);
		*out = NULL;
	}
	return rc;
}

int files_new(struct cache *c, uint64_t ino, uint32_t index, enum entry_state state, struct slotfile **out)
{
	uint64_t number = seq_take(c, 1);
	struct entry *e = NULL;
	int rc = -ERR_CORRUPT;

	*out = NULL;
	pthread_mutex_lock(&c->lock);
	if (!index_find(&c->index, ino, index))
		rc = (e = index_add(&c->index, ino, index, number, state)) ? 0 : -ENOMEM;
	if (e && (rc = file_open_locked(c, e, out)) < 0) {
		index_doom(&c->index, e, 0);
		index_remove(&c->index, e);
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

void files_ref(struct cache *c, struct slotfile *f)
{
	pthread_mutex_lock(&c->lock);
	f->refs++;
	pthread_mutex_unlock(&c->lock);
}

void files_put_locked(struct cache *c, struct slotfile *f)
{
	(void)c;
	if (!f || --f->refs)
		return;
	f->entry->file = NULL;
	slotfile_free(f);
}

void files_put(struct cache *c, struct slotfile *f)
{
	pthread_mutex_lock(&c->lock);
	files_put_locked(c, f);
	pthread_mutex_unlock(&c->lock);
}

void files_retire(struct cache *c, struct retired *r)
{
	list_append(&c->retired, &r->link);
}

/* ---- what became durable ---- */

static struct retired *retired_take(struct cache *c, uint64_t durable)
{
	struct retired *r = NULL;

	pthread_mutex_lock(&c->lock);
	if (!list_empty(&c->retired)) {
		r = list_first(&c->retired, struct retired, link);
		if (r->batch <= durable)
			list_remove(&r->link);
		else
			r = NULL;
	}
	pthread_mutex_unlock(&c->lock);
	return r;
}

static void retired_free(struct cache *c, struct retired *r)
{
	struct map map;

	if (r->file && map_from_blob(c, r->map, &map) == 0) {
		slotfile_unref_map(r->file, &map);
		map_free(&map);
		slotfile_trim(r->file);
		room_account(c, r->file);
	}
	files_put(c, r->file);
	blob_put(r->map);
	free(r);
}

/* The doomed entries that can go, out of the cache's list. */
static void doomed_take(struct cache *c, uint64_t durable, struct list *out)
{
	pthread_mutex_lock(&c->lock);
	list_for_each_safe (it, &c->index.lists[ENTRY_DOOMED]) {
		struct entry *e = list_entry(it, struct entry, link);

		if (e->file || e->batch > durable)
			continue;
		list_remove(&e->link);
		list_append(out, &e->link);
	}
	pthread_mutex_unlock(&c->lock);
}

static void doomed_unlink(struct cache *c, struct entry *e)
{
	int rc = fds_unlink(&c->fds, e->ino, e->index, e->number);

	if (rc < 0)
		log_warn("cache: file of block %" PRIu32 " of inode %" PRIu64 " was not removed: %s", e->index, e->ino,
			err_text(rc));
	pthread_mutex_lock(&c->lock);
	index_remove(&c->index, e);
	pthread_mutex_unlock(&c->lock);
}

bool files_reap(struct cache *c)
{
	uint64_t durable = meta_durable(c->meta);
	struct list doomed = LIST_INIT(doomed);
	struct retired *r;
	bool any = false;

	while ((r = retired_take(c, durable))) {
		retired_free(c, r);
		any = true;
	}
	doomed_take(c, durable, &doomed);
	list_for_each_safe (it, &doomed) {
		doomed_unlink(c, list_entry(it, struct entry, link));
		any = true;
	}
	return any;
}
