/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cache/internal.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRTY_MEMORY_DEFAULT (32u << 20)
#define DIRTY_MEMORY_MIN     (1u << 20)
#define FILES_DEFAULT	     256
#define INTENT_DEFAULT	     (16u << 20)

/* ---- the directory ---- */

static int dirs_make(int dirfd)
{
	char name[8];

	for (unsigned i = 0; i < 256; i++) {
		snprintf(name, sizeof name, "%02x", i);
		if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
			return -errno;
	}
	return file_sync_dir(dirfd);
}

static int dir_open(struct cache *c, const char *store, struct errmsg *msg)
{
	int fd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	if (fd < 0)
		return errmsg_set(msg, -errno, "%s: %s", store, strerror(errno));
	rc = mkdirat(fd, "cache", 0700) < 0 && errno != EEXIST ? -errno : 0;
	if (rc == 0 && (c->dirfd = openat(fd, "cache", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) < 0)
		rc = -errno;
	if (rc == 0 && (rc = dirs_make(c->dirfd)) == 0)
		rc = file_sync_dir(fd);
	close(fd);
	return rc < 0 ? errmsg_set(msg, rc, "%s/cache: %s: it must be a directory that can be written", store,
				err_text(rc))
		      : 0;
}

/* ---- the index ---- */

struct scan {
	struct cache *c;
	uint64_t damaged;
	int rc;
};

static int index_row(void *ctx, struct meta_row *row)
{
	struct scan *s = ctx;
	struct cache *c = s->c;
	bool pinned = meta_row_i64(row, 4) & (INODE_PINNED | INODE_PINNED_RULE);
	enum entry_state state = meta_row_i64(row, 2) ? ENTRY_DIRTY : pinned ? ENTRY_PINNED : ENTRY_CLEAN;
	struct entry *e;
	struct map map;
	size_t len;
	const void *local = meta_row_blob(row, 3, &len);

	if (map_decode(&map, local, local ? len : 0, c->units) < 0) {
		s->damaged++;
		return 0;
	}
	if (map.file) {
		e = index_add(
			&c->index, (uint64_t)meta_row_i64(row, 0), (uint32_t)meta_row_i64(row, 1), map.file, state);
		if (e)
			index_account(&c->index, e, map_slots(&map));
		s->rc = e ? 0 : -ENOMEM;
	}
	map_free(&map);
	return s->rc;
}

static int index_read(struct cache *c, uint64_t *damaged)
{
	struct scan s = { .c = c };
	int rc = meta_select(c->meta,
		"SELECT b.ino, b.idx, b.dirty, b.local, i.flags FROM block b INDEXED BY block_slots"
		" CROSS JOIN inode i ON i.ino = b.ino WHERE b.kind = 2",
		index_row, &s, "");

	*damaged = s.damaged;
	if (s.damaged)
		log_error("cache: %" PRIu64 " blocks have no readable map", s.damaged);
	return rc;
}

/* A file that no block names holds what was never synced, or was dropped before a crash. */
static void orphan_remove(struct cache *c, int dirfd, const char *name)
{
	uint64_t ino, number;
	uint32_t index;
	struct entry *e;
	struct stat st;

	if (!slotfile_parse(name, &ino, &index, &number))
		return;
	e = index_find(&c->index, ino, index);
	if (!e || e->number != number) {
		if (unlinkat(dirfd, name, 0) < 0)
			log_warn("cache: a file that no block names was not removed: %s", strerror(errno));
		return;
	}
	/* one being written when the store was closed last may have free slots as well */
	if (e->state == ENTRY_DIRTY && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		index_account(&c->index, e, st.st_size / SLOT_BYTES - (int64_t)e->slots);
}

static int orphans_remove(struct cache *c)
{
	char name[8];

	for (unsigned i = 0; i < 256; i++) {
		struct dirent *entry;
		DIR *dir;
		int fd;

		snprintf(name, sizeof name, "%02x", i);
		if ((fd = openat(c->dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) < 0)
			return -errno;
		if (!(dir = fdopendir(fd))) {
			close(fd);
			return -ENOMEM;
		}
		while ((entry = readdir(dir)))
			if (entry->d_name[0] != '.')
				orphan_remove(c, fd, entry->d_name);
		closedir(dir);
	}
	return 0;
}

/* ---- open ---- */

static int init(struct cache *c)
{
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->sync_all, NULL);
	cond_init_mono(&c->wake);
	pthread_cond_init(&c->synced, NULL);
	index_init(&c->index);
	spare_init(&c->sealed, BATCH_UNITS * SLOT_BYTES, BATCH_SPARE);
	spare_init(&c->clear, sizeof(struct page), PAGES_SPARE);
	list_init(&c->active);
	list_init(&c->paged);
	list_init(&c->loaded);
	list_init(&c->retired);
	list_init(&c->dropped);
	return hash_init(&c->nodes);
}

static void options_set(struct cache *c, const struct cache_options *options)
{
	c->options = *options;
	if (!c->options.dirty_memory_max)
		c->options.dirty_memory_max = DIRTY_MEMORY_DEFAULT;
	if (c->options.dirty_memory_max < DIRTY_MEMORY_MIN)
		c->options.dirty_memory_max = DIRTY_MEMORY_MIN;
	if (!c->options.files_max)
		c->options.files_max = FILES_DEFAULT;
	if (!c->options.intent_bytes)
		c->options.intent_bytes = INTENT_DEFAULT;
	c->bytes_max = c->options.bytes_max;
}

static int contents_read(struct cache *c, struct errmsg *msg)
{
	uint64_t damaged;
	int rc;

	if ((rc = index_read(c, &damaged)) < 0)
		return errmsg_set(msg, rc, "the store's table of blocks cannot be read: %s", err_text(rc));
	/* a file whose map cannot be read is named by nobody, but may be the only copy */
	if (!damaged && (rc = orphans_remove(c)) < 0)
		return errmsg_set(msg, rc, "the cache directory cannot be read: %s", err_text(rc));
	inline_recount(c);
	return 0;
}

static void discard(struct cache *);

int cache_open(struct cache **out, const char *store, struct keyring *keyring, struct meta *meta,
	const struct cache_options *options, struct errmsg *msg)
{
	struct cache *c = calloc(1, sizeof *c);
	int rc;

	*out = NULL;
	if (!c)
		return -ENOMEM;
	c->dirfd = -1;
	c->meta = meta;
	c->key = keyring_store_key(keyring, STORE_KEY_CACHE);
	c->block_bytes = (uint32_t)meta_block_bytes(meta);
	c->units = c->block_bytes / UNIT;
	atomic_init(&c->disk_asked_ns, INT64_MIN / 2);
	atomic_init(&c->seq, (meta_open_count(meta) << SEQ_RUN_SHIFT) + 1);
	options_set(c, options);
	if ((rc = init(c)) == 0 && (rc = dir_open(c, store, msg)) == 0)
		rc = fds_init(&c->fds, c->dirfd, c->options.files_max);
	if (rc == 0)
		rc = intentlog_new(&c->log, c->dirfd, c->key, keyring_store_id(keyring),
			(meta_open_count(meta) << SEQ_RUN_SHIFT) + 1, c->options.intent_bytes);
	if (rc == 0 && (rc = contents_read(c, msg)) == 0) {
		meta_set_block_free(meta, cblock_release);
		if ((rc = intent_replay(c, msg)) == 0)
			rc = sealers_start(c);
		if (rc == 0)
			rc = thread_start(c);
	}
	if (rc < 0)
		discard(c);
	else
		*out = c;
	return rc;
}

/* ---- close ---- */

void cache_destroy(struct cache *c)
{
	while (!list_empty(&c->retired)) {
		struct retired *r = list_first(&c->retired, struct retired, link);

		list_remove(&r->link);
		files_put(c, r->file);
		blob_put(r->map);
		free(r);
	}
	intentlog_free(c->log);
	index_free(&c->index);
	spare_destroy(&c->sealed);
	spare_destroy(&c->clear);
	hash_free(&c->nodes);
	if (c->dirfd >= 0)
		close(c->dirfd);
	pthread_cond_destroy(&c->wake);
	pthread_cond_destroy(&c->synced);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->sync_all);
	free(c);
}

/* What could not be synced is lost with the process. */
static void unsynced_forget(struct cache *c, struct cnode *n)
{
	struct cblock *b;

	while ((b = cnode_first(c, n))) {
		struct block *block = b->block;
		bool put;

		pthread_mutex_lock(&b->lock);
		cblock_pages_drop(b, 0, UINT32_MAX);
		put = cblock_settled(b);
		pthread_mutex_unlock(&b->lock);
		if (put)
			meta_block_put(c->meta, block);
		meta_block_put(c->meta, block);
	}
}

static void all_forget(struct cache *c)
{
	for (;;) {
		struct inode *inode = NULL;
		struct cnode *n = NULL;

		pthread_mutex_lock(&c->lock);
		if (!list_empty(&c->active)) {
			n = list_first(&c->active, struct cnode, link);
			n->refs++;
			inode = n->inode;
			n->inode = NULL;
		}
		pthread_mutex_unlock(&c->lock);
		if (!n)
			return;
		unsynced_forget(c, n);
		pthread_mutex_lock(&c->lock);
		cnode_rest(c, n);
		cnode_put_locked(c, n);
		pthread_mutex_unlock(&c->lock);
		meta_inode_put(c->meta, inode);
	}
}

static void all_unload(struct cache *c)
{
	pthread_mutex_lock(&c->lock);
	while (!list_empty(&c->loaded)) {
		struct cblock *b = list_first(&c->loaded, struct cblock, loaded_link);

		/* the file's other users are gone: nobody holds a block's mutex any more */
		cblock_unload(b);
	}
	pthread_mutex_unlock(&c->lock);
}

static void discard(struct cache *c)
{
	bool last;

	sealers_stop(c);
	all_forget(c);
	all_unload(c);
	pthread_mutex_lock(&c->lock);
	c->closed = true;
	last = c->shells == 0;
	pthread_mutex_unlock(&c->lock);
	/* else the last block to leave meta's memory takes it along */
	if (last)
		cache_destroy(c);
}

int cache_close(struct cache *c)
{
	int rc, synced;

	if (!c)
		return 0;
	thread_stop(c);
	rc = cache_sync_all(c);
	synced = meta_sync(c->meta);
	if (synced == 0)
		files_reap(c);
	if (synced == 0 && rc == 0)
		intentlog_remove(c->log);
	discard(c);
	return rc < 0 ? rc : synced;
}

/* ---- the rest ---- */

static void gone_size(struct cache *c, struct cnode *n)
{
	struct inode *inode;

	pthread_mutex_lock(&c->lock);
	inode = n->inode;
	n->inode = NULL;
	cnode_rest(c, n);
	pthread_mutex_unlock(&c->lock);
	meta_inode_put(c->meta, inode);
}

static void nothing_apply(struct meta_txn *txn, struct meta_record *r)
{
	(void)txn;
	(void)r;
}

static void nothing_free(struct meta_record *r)
{
	free(r);
}

/* The present batch. An inode made and deleted within it leaves nothing to commit: where files wait for it to be
 * durable it must not stay empty. */
static uint64_t gone_batch(struct cache *c, uint64_t ino)
{
	struct meta_record *r = NULL;
	uint64_t batch;
	bool files;

	pthread_mutex_lock(&c->lock);
	files = index_next(&c->index, ino, 0) != NULL;
	pthread_mutex_unlock(&c->lock);
	if (files && (r = calloc(1, sizeof *r))) {
		r->apply = nothing_apply;
		r->free = nothing_free;
	}
	meta_lock(c->meta);
	batch = meta_batch(c->meta);
	if (r)
		meta_queue(c->meta, r);
	meta_unlock(c->meta);
	return batch;
}

static void gone_blocks(struct cache *c, struct cnode *n, uint64_t batch)
{
	struct cblock *b;

	pthread_mutex_lock(&n->publish);
	while ((b = cnode_first(c, n))) {
		struct block *block = b->block;
		bool put;

		pthread_mutex_lock(&b->lock);
		put = cblock_forget(b, batch);
		pthread_mutex_unlock(&b->lock);
		if (put)
			meta_block_put(c->meta, block);
		meta_block_put(c->meta, block);
	}
	pthread_mutex_unlock(&n->publish);
}

void cache_inode_gone(struct cache *c, struct inode *inode)
{
	struct cnode *n;
	uint64_t batch;

	/* a fill seals without the block's mutex, into the file that goes here; and what blocks have in their rows is
	 * read without the meta lock */
	pthread_rwlock_wrlock(&inode->data_lock);
	meta_lock(c->meta);
	meta_inode_delete(c->meta, inode);
	meta_unlock(c->meta);
	batch = gone_batch(c, inode->ino);
	if ((n = cnode_find(c, inode->ino))) {
		gone_blocks(c, n, batch);
		gone_size(c, n);
		cnode_put(c, n);
	}
	pthread_rwlock_unlock(&inode->data_lock);
	entries_doom(c, inode->ino, 0, batch);
	pthread_mutex_lock(&c->lock);
	c->gone = true;
	pthread_mutex_unlock(&c->lock);
}

/* Bytes of slots and pages that are on no backend, under the lock. */
static uint64_t dirty_slots(struct cache *c)
{
	return (c->index.slots[ENTRY_DIRTY] + c->index.slots[ENTRY_UPLOADING] + atomic_load(&c->pages)) *
	       (uint64_t)SLOT_BYTES;
}

bool cache_pressed(struct cache *c)
{
	bool pressed;

	pthread_mutex_lock(&c->lock);
	pressed = dirty_slots(c) > c->bytes_max / 2;
	pthread_mutex_unlock(&c->lock);
	return pressed;
}

void cache_status(struct cache *c, struct cache_status *s)
{
	uint64_t bound = room_max(c), rows = inline_dirty(c);

	while (evict_look_again(c))
		;
	pthread_mutex_lock(&c->lock);
	*s = (struct cache_status){ .bytes_max = c->bytes_max, .bytes = room_used(c), .bytes_bound = bound };
	s->bytes_dirty = dirty_slots(c) + rows;
	s->bytes_pinned = c->index.slots[ENTRY_PINNED] * (uint64_t)SLOT_BYTES;
	s->pins_max = c->bytes_max / 2;
	s->hits = atomic_load(&c->hits);
	s->misses = atomic_load(&c->misses);
	s->evicted = c->evicted;
	pthread_mutex_unlock(&c->lock);
}

void cache_set_bytes_max(struct cache *c, uint64_t bytes_max)
{
	pthread_mutex_lock(&c->lock);
	c->bytes_max = bytes_max;
	c->hurry |= c->full;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
}
