/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fixture: a store with transfers, two zones and their clouds. */
#ifndef TESTS_UNIT_FS_TRANSFER_FIXTURE_H
#define TESTS_UNIT_FS_TRANSFER_FIXTURE_H

#include "base/file.h"
#include "fs/transfer/transfer.h"
#include "tests/unit/fs-place/fixture.h"

struct cloud {
	struct store s;
	struct transfer *t;
};

#define CLOUD_CONFIG(fs, far, rules)                                                                                   \
	"[filesystem]\nname = test\nstore = @/store\nhome = home\n" fs                                                 \
	"\n[zone home]\nkind = domestic\ncountries = CN\nbackends = near\n"                                            \
	"[zone abroad]\nkind = foreign\ncountries = US\nbackends = far\n"                                              \
	"[backend near]\ntype = local\npath = @/near\n"                                                                \
	"[backend far]\ntype = local\npath = @/far\n" far "\n" rules

#define CLOUD_RULES                                                                                                    \
	"\n[rule stays]\ntag = personal\nzone = home\n[rule hr]\npath = /hr/**\nzone = home\n"                         \
	"[rule out]\npath = /public/**\nzone = abroad\n"

static inline void cloud_durable(void *ctx, uint64_t batch)
{
	struct cloud *c = ctx;

	if (c->t)
		transfer_durable(c->t, batch);
}

static inline void cloud_pressure(void *ctx)
{
	struct cloud *c = ctx;

	if (c->t)
		transfer_pressure(c->t);
}

static inline void cloud_hook(struct cloud *c, struct transfer *t)
{
	pthread_mutex_lock(&c->s.hooks);
	c->s.durable = t ? cloud_durable : NULL;
	c->s.pressure = cloud_pressure;
	c->s.ctx = c;
	c->t = t;
	pthread_mutex_unlock(&c->s.hooks);
}

static inline void cloud_open(struct cloud *c, bool start)
{
	struct errmsg msg = { 0 };
	struct transfer *t;
	int rc;

	store_open(&c->s);
	if ((rc = transfer_open(&t, c->s.meta, c->s.cache, c->s.place, c->s.keyring, NULL, &msg)) < 0)
		fail_msg("%s", errmsg_text(&msg, rc));
	cloud_hook(c, t);
	if (start)
		assert_int_equal(transfer_start(c->t), 0);
}

static inline void cloud_close(struct cloud *c)
{
	struct transfer *t = c->t;

	transfer_stop(t);
	cloud_hook(c, NULL);
	transfer_close(t);
	store_close(&c->s);
}

static inline void cloud_make(struct cloud *c, const char *config)
{
	memset(c, 0, sizeof *c);
	store_make(&c->s, config);
	store_cloud(&c->s, "near");
	store_cloud(&c->s, "far");
	cloud_open(c, true);
}

static inline void cloud_destroy(struct cloud *c)
{
	if (c->t)
		cloud_close(c);
	store_destroy(&c->s);
}

static inline void cloud_touch(struct cloud *c, uint64_t ino)
{
	transfer_touch(c->t, ino);
}

/* writes whatever must be fetched for it first */
static inline void cloud_pwrite(struct cloud *c, uint64_t ino, const void *data, size_t len, uint64_t off)
{
	struct inode *inode = store_inode(&c->s, ino);
	struct cache_need need;
	int rc;

	for (;;) {
		pthread_rwlock_rdlock(&inode->data_lock);
		rc = cache_write(c->s.cache, inode, off, data, len, &need);
		pthread_rwlock_unlock(&inode->data_lock);
		if (rc != -ERR_NEED_FETCH)
			break;
		assert_int_equal(transfer_fetch_wait(c->t, inode, &need, 0), 0);
	}
	if (rc < 0)
		fail_msg("write: %s", err_text(rc));
	store_put(&c->s, inode);
	cloud_touch(c, ino);
}

static inline uint64_t cloud_write(struct cloud *c, uint64_t parent, const char *name, const void *data, size_t len)
{
	uint64_t ino = store_file(&c->s, parent, name);

	cloud_pwrite(c, ino, data, len, 0);
	return ino;
}

/* the only name of a file that nobody has open goes, and the file with it */
static inline void cloud_delete(struct cloud *c, uint64_t parent, const char *name, uint64_t ino)
{
	struct inode *inode = store_inode(&c->s, ino);

	store_name(&c->s, parent, name, 0);
	cache_inode_gone(c->s.cache, inode);
	store_put(&c->s, inode);
}

static inline int cloud_pread(struct cloud *c, uint64_t ino, void *out, size_t len, uint64_t off, uint32_t ahead)
{
	struct inode *inode = store_inode(&c->s, ino);
	struct cache_need need;
	int rc;

	do {
		pthread_rwlock_rdlock(&inode->data_lock);
		rc = cache_read(c->s.cache, inode, off, out, len, &need);
		pthread_rwlock_unlock(&inode->data_lock);
		/* a full cache keeps nothing: core would take what was fetched as it is */
	} while (rc == -ERR_NEED_FETCH &&
		 ((rc = transfer_fetch_wait(c->t, inode, &need, ahead)) == 0 || rc == -ERR_CACHE_FULL));
	store_put(&c->s, inode);
	return rc < 0 ? rc : 0;
}

static inline void cloud_expect(struct cloud *c, uint64_t ino, const void *data, size_t len)
{
	uint8_t *got = malloc(len + 1);
	struct inode *inode = store_inode(&c->s, ino);

	assert_int_equal(inode->size, len);
	store_put(&c->s, inode);
	assert_int_equal(cloud_pread(c, ino, got, len, 0, 0), 0);
	assert_memory_equal(got, data, len);
	free(got);
}

static inline void cloud_tags(struct cloud *c, uint64_t ino, const char *tags)
{
	struct inode *inode = store_inode(&c->s, ino);
	bool dir = S_ISDIR(inode->mode);

	store_put(&c->s, inode);
	store_tags(&c->s, ino, tags);
	transfer_revalidate(c->t, dir ? 0 : ino);
	dir ? transfer_subtree(c->t) : transfer_touch(c->t, ino);
}

static inline void cloud_sync(struct cloud *c, uint64_t ino)
{
	struct errmsg msg = { 0 };
	int rc = transfer_sync(c->t, ino, clock_mono_ns() + 60 * NS_PER_S, NULL, &msg);

	if (rc < 0)
		fail_msg("sync: %s: %s", err_name(rc), errmsg_text(&msg, rc));
}

/* The store's configuration is `text` from now on. */
static inline void cloud_reload(struct cloud *c, const char *text)
{
	struct transfer_change *change;
	struct errmsg msg = { 0 };
	struct config *config;

	store_write_config(&c->s, text);
	config = store_load(&c->s);
	assert_int_equal(place_check(c->s.place, config, &msg), 0);
	assert_int_equal(transfer_prepare(c->t, config, &change, &msg), 0);
	assert_int_equal(place_reload(c->s.place, config, &msg), 0);
	transfer_reload(c->t, change);
	config_put(config);
}

/* ---- what is on a cloud
 * ---------------------------------------------------------------------------------------------- */

/* everything that is on a backend leaves the cache; fails if something stays */
static inline void cloud_evict(struct cloud *c)
{
	struct cache_status status;

	for (int i = 0; i < 200; i++) {
		cache_sync_all(c->s.cache);
		meta_sync(c->s.meta);
		cache_evict(c->s.cache, UINT64_MAX);
		cache_status(c->s.cache, &status);
		if (status.bytes == 0)
			return;
		nanosleep(&(struct timespec){ 0, 10 * NS_PER_MS }, NULL);
	}
	fail_msg("%llu bytes stay in the cache", (unsigned long long)status.bytes);
}

static size_t cloud_counted;

static inline int cloud_count_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	cloud_counted += type == FTW_F && !strstr(path, "/.");
	return 0;
}

static inline size_t cloud_objects(struct cloud *c, const char *name)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", c->s.dir, name);
	cloud_counted = 0;
	assert_int_equal(nftw(path, cloud_count_one, 32, FTW_PHYS), 0);
	return cloud_counted;
}

static struct keyring *cloud_keyring;

static inline int cloud_count_members(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	struct object_member *members;
	struct buf body = BUF_INIT;
	struct object_ref ref;
	size_t count, need;

	(void)st;
	(void)ftw;
	if (type != FTW_F || strstr(path, "/."))
		return 0;
	assert_int_equal(file_read_all(AT_FDCWD, path, 16u << 20, &body), 0);
	assert_int_equal(object_open_header(cloud_keyring, body.data, body.len, &ref, &members, &count, &need), 0);
	cloud_counted += count;
	free(members);
	buf_free(&body);
	return 0;
}

/* How many blocks the objects of a cloud were sealed of. */
static inline size_t cloud_members(struct cloud *c, const char *name)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", c->s.dir, name);
	cloud_counted = 0;
	cloud_keyring = c->s.keyring;
	assert_int_equal(nftw(path, cloud_count_members, 32, FTW_PHYS), 0);
	return cloud_counted;
}

static inline struct where cloud_where(struct cloud *c, uint64_t ino)
{
	struct inode *inode = store_inode(&c->s, ino);
	struct where w;

	assert_int_equal(transfer_where(c->t, inode, &w), 0);
	store_put(&c->s, inode);
	return w;
}

static inline void cloud_expect_where(struct cloud *c, uint64_t ino, enum where_state state, const char *zone)
{
	struct where w = cloud_where(c, ino);

	assert_string_equal(where_state_name(w.state), where_state_name(state));
	assert_string_equal(w.zone, zone);
	where_free(&w);
}

static inline uint8_t *cloud_noise(size_t len, uint32_t seed)
{
	uint8_t *data = malloc(len + 4);

	for (size_t i = 0; i < len; i += 4) {
		seed = seed * 1664525 + 1013904223;
		memcpy(data + i, &(uint32_t){ seed ^ seed >> 15 }, 4);
	}
	return data;
}

#endif
