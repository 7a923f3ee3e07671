/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fixture: a real store (keys, metadata, cache, placement) with directories for clouds, and the few operations on files
 * that the tests need, made of the same steps as core's. */
#ifndef TESTS_UNIT_FS_PLACE_FIXTURE_H
#define TESTS_UNIT_FS_PLACE_FIXTURE_H

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "fs/place/place.h"
#include "tests/unit/base/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct store {
	char dir[128], ini[160], path[160];
	struct keyring *keyring;
	struct config *config;
	struct meta *meta;
	struct cache *cache;
	struct place *place;
	uint64_t cache_bytes;
	pthread_mutex_t hooks; /* protects what the callbacks of other threads look at */
	struct cache *durable_cache;
	void (*durable)(void *ctx, uint64_t batch);
	void (*room)(void *ctx);
	void (*pressure)(void *ctx);
	void *ctx;
};

static const struct unlock store_secret = { UNLOCK_PASSPHRASE, "correct horse", 13 };

/* every "@" of the text becomes the store's directory */
static inline void store_write_config(struct store *s, const char *text)
{
	FILE *f = fopen(s->ini, "w");

	assert_non_null(f);
	for (; *text; text++)
		*text == '@' ? fputs(s->dir, f) : fputc(*text, f);
	fclose(f);
}

static inline struct config *store_load(struct store *s)
{
	struct config_messages messages = { 0 };
	struct buf text = BUF_INIT;
	struct config *config = NULL;

	if (config_load(&config, s->ini, &messages) < 0) {
		config_messages_print(&messages, &text);
		fail_msg("%s", (char *)text.data);
	}
	config_messages_free(&messages);
	buf_free(&text);
	return config;
}

static inline void store_durable(void *ctx, uint64_t batch)
{
	struct store *s = ctx;

	pthread_mutex_lock(&s->hooks);
	if (s->durable_cache)
		cache_durable(s->durable_cache, batch);
	if (s->durable)
		s->durable(s->ctx, batch);
	pthread_mutex_unlock(&s->hooks);
}

static inline void store_room(void *ctx)
{
	struct store *s = ctx;

	if (s->room)
		s->room(s->ctx);
}

static inline void store_pressure(void *ctx)
{
	struct store *s = ctx;

	if (s->pressure)
		s->pressure(s->ctx);
}

static inline void store_open(struct store *s)
{
	struct meta_options meta_options = { .durable = store_durable, .ctx = s };
	struct cache_options cache_options = { .bytes_max = s->cache_bytes ? s->cache_bytes : 64u << 20,
		.room = store_room,
		.pressure = store_pressure,
		.ctx = s };
	struct errmsg msg = { 0 };
	int dir = open(s->path, O_RDONLY | O_DIRECTORY), rc;

	s->config = store_load(s);
	if ((rc = keyring_open(&s->keyring, dir, &store_secret, &msg)) < 0 ||
		(rc = meta_open(&s->meta, s->path, s->keyring, &meta_options, &msg)) < 0 ||
		(rc = cache_open(&s->cache, s->path, s->keyring, s->meta, &cache_options, &msg)) < 0 ||
		(rc = place_open(&s->place, s->meta, s->cache, s->keyring, s->config, &msg)) < 0)
		fail_msg("%s", errmsg_text(&msg, rc));
	close(dir);
	pthread_mutex_lock(&s->hooks);
	s->durable_cache = s->cache;
	pthread_mutex_unlock(&s->hooks);
}

static inline void store_close(struct store *s)
{
	struct cache *cache = s->cache;

	pthread_mutex_lock(&s->hooks);
	s->durable_cache = NULL;
	pthread_mutex_unlock(&s->hooks);
	place_close(s->place);
	s->place = NULL;
	assert_int_equal(cache_close(cache), 0);
	s->cache = NULL;
	assert_int_equal(meta_close(s->meta), 0);
	keyring_close(s->keyring);
	config_put(s->config);
	s->keyring = NULL;
	s->meta = NULL;
	s->config = NULL;
}

static inline void store_make(struct store *s, const char *config)
{
	char *words, *base = getenv("TEST_TMP");
	struct errmsg msg = { 0 };
	int dir, rc;

	pthread_mutex_init(&s->hooks, NULL);
	log_init(getenv("VERBOSE") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, 0);
	assert_int_equal(crypt_init(), 0);
	snprintf(s->dir, sizeof s->dir, "%s/borderfs-unit-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->ini, sizeof s->ini, "%s/test.ini", s->dir);
	snprintf(s->path, sizeof s->path, "%s/store", s->dir);
	assert_int_equal(mkdir(s->path, 0700), 0);
	store_write_config(s, config);
	dir = open(s->path, O_RDONLY | O_DIRECTORY);
	if ((rc = keyring_create(&s->keyring, dir, &store_secret, 1, KDF_MINIMUM, &words, &msg)) < 0 ||
		(rc = meta_create(s->path, s->keyring, 4u << 20, 1000, 1000, &msg)) < 0)
		fail_msg("%s", errmsg_text(&msg, rc));
	secret_free_text(words);
	keyring_close(s->keyring);
	s->keyring = NULL;
	close(dir);
}

static inline int store_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void store_destroy(struct store *s)
{
	if (s->meta)
		store_close(s);
	nftw(s->dir, store_remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

/* a directory beside the store, for a cloud */
static inline void store_cloud(struct store *s, const char *name)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", s->dir, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

/* ---- operations ----------------------------------------------------------------------------------------------------
 */

static inline struct inode *store_inode(struct store *s, uint64_t ino)
{
	struct inode *inode;

	assert_int_equal(meta_inode_get(s->meta, ino, &inode), 0);
	return inode;
}

static inline void store_put(struct store *s, struct inode *inode)
{
	meta_inode_put(s->meta, inode);
}

static inline uint64_t store_create(struct store *s, uint64_t parent, const char *name, mode_t mode)
{
	struct dentry *d;
	struct inode *inode;
	uint64_t ino;

	assert_int_equal(meta_dentry_get(s->meta, parent, name, &d), 0);
	meta_lock(s->meta);
	inode = meta_inode_new(s->meta, mode, 1000, 1000, 0);
	assert_non_null(inode);
	inode->nlink = S_ISDIR(mode) ? 2 : 1;
	ino = inode->ino;
	meta_dentry_set(s->meta, d, ino, S_ISDIR(mode) ? DT_DIR : DT_REG);
	meta_inode_changed(s->meta, inode);
	meta_unlock(s->meta);
	meta_dentry_put(s->meta, d);
	store_put(s, inode);
	return ino;
}

static inline uint64_t store_mkdir(struct store *s, uint64_t parent, const char *name)
{
	return store_create(s, parent, name, S_IFDIR | 0755);
}

static inline uint64_t store_file(struct store *s, uint64_t parent, const char *name)
{
	return store_create(s, parent, name, S_IFREG | 0644);
}

/* a name made to point at an inode (0: removed), and what it pointed at before loses a link */
static inline void store_name(struct store *s, uint64_t parent, const char *name, uint64_t ino)
{
	struct inode *inode = ino ? store_inode(s, ino) : NULL, *old = NULL;
	struct dentry *d;

	assert_int_equal(meta_dentry_get(s->meta, parent, name, &d), 0);
	if (d->ino)
		old = store_inode(s, d->ino);
	meta_lock(s->meta);
	meta_dentry_set(s->meta, d, ino, inode && S_ISDIR(inode->mode) ? DT_DIR : DT_REG);
	if (inode && !S_ISDIR(inode->mode))
		inode->nlink++;
	if (inode) {
		place_changed(s->place, inode);
		meta_inode_changed(s->meta, inode);
	}
	if (old && !S_ISDIR(old->mode)) {
		old->nlink--;
		place_changed(s->place, old);
		meta_inode_changed(s->meta, old);
	}
	meta_unlock(s->meta);
	meta_dentry_put(s->meta, d);
	store_put(s, inode);
	store_put(s, old);
}

static inline void store_tags(struct store *s, uint64_t ino, const char *tags)
{
	struct inode *inode = store_inode(s, ino);

	assert_int_equal(meta_xattrs_load(s->meta, inode), 0);
	meta_lock(s->meta);
	meta_xattr_set(s->meta, inode, "user.xdg.tags", tags, tags ? strlen(tags) : 0);
	place_changed(s->place, inode);
	meta_inode_changed(s->meta, inode);
	meta_unlock(s->meta);
	store_put(s, inode);
}

/* 0, or what the cache said when it was no need to fetch */
static inline int store_pwrite(struct store *s, uint64_t ino, const void *data, size_t len, uint64_t off)
{
	struct inode *inode = store_inode(s, ino);
	struct cache_need need;
	int rc;

	pthread_rwlock_rdlock(&inode->data_lock);
	rc = cache_write(s->cache, inode, off, data, len, &need);
	pthread_rwlock_unlock(&inode->data_lock);
	store_put(s, inode);
	return rc;
}

static inline uint64_t store_write(struct store *s, uint64_t parent, const char *name, const char *text)
{
	uint64_t ino = store_file(s, parent, name);

	assert_true(store_pwrite(s, ino, text, strlen(text), 0) >= 0);
	return ino;
}

#endif
