/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/file.h"
#include "base/log.h"
#include "fs/core/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAD_NS (3 * NS_PER_S) /* what the end waits for the head of the audit log */

static int no_store(const char *store, struct errmsg *msg)
{
	return errmsg_set(msg, -ENOENT, "there is no store at %s: make it with `borderfs init`", store);
}

static int open_store_dir(const char *store, struct errmsg *msg)
{
	int fd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return no_store(store, msg);
	if (fd < 0)
		return errmsg_set(msg, -errno, "the store %s cannot be opened: %s", store, strerror(errno));
	return fd;
}

/* A store being made holds this file until all of it is on disk, so that what an interrupted init left is known for
 * that: it holds nothing yet, and nobody has seen its recovery words. */
#define UNFINISHED "init-unfinished"

static bool is_unfinished(int dir)
{
	return faccessat(dir, UNFINISHED, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int discard(const char *store, int dir)
{
	int rc = keyring_discard(dir);

	if (rc == 0)
		rc = meta_discard(store);
	if (rc == 0 && unlinkat(dir, UNFINISHED, 0) < 0 && errno != ENOENT)
		rc = -errno;
	return rc == 0 ? file_sync_dir(dir) : rc;
}

static int number_zones(struct config *config, struct keyring *keyring, struct errmsg *msg)
{
	uint32_t id;
	int rc = 0;

	for (size_t i = 0; i < config->zone_count && rc == 0; i++)
		rc = keyring_zone(keyring, config->zones[i]->name, &id, msg);
	return rc;
}

static int make(struct config *config, int dir, const struct unlock *unlock, size_t unlock_count, enum kdf_cost cost,
	uid_t uid, gid_t gid, char **words, struct errmsg *msg)
{
	struct keyring *keyring = NULL;
	int rc = keyring_create(&keyring, dir, unlock, unlock_count, cost, words, msg);

	if (rc == 0 && (rc = number_zones(config, keyring, msg)) == 0)
		rc = meta_create(config->store, keyring, config->block_bytes, uid, gid, msg);
	keyring_close(keyring);
	return rc;
}

/* The directory is ours, and empty but for what an interrupted init left. */
static int make_room(const char *store, int dir, struct errmsg *msg)
{
	int rc = is_unfinished(dir) ? discard(store, dir) : 0;

	if (rc < 0)
		return errmsg_set(
			msg, rc, "what an interrupted init left in %s cannot be removed: %s", store, err_text(rc));
	if (keyring_exists(dir))
		return errmsg_set(msg, -EEXIST,
			"%s holds a store already: mount it, or choose another `store` in [filesystem]", store);
	if (meta_exists(store))
		return errmsg_set(msg, -EEXIST,
			"%s holds metadata whose file keys is gone: restore keys from a backup, or choose another "
			"`store` in [filesystem]",
			store);
	rc = file_create_new(dir, UNFINISHED, "", 0, 0600);
	return rc < 0 ? errmsg_set(msg, rc, "the store %s is not writable: %s", store, err_text(rc)) : 0;
}

int core_create(struct config *config, const struct unlock *unlock, size_t unlock_count, enum kdf_cost cost, uid_t uid,
	gid_t gid, char **words, struct errmsg *msg)
{
	int dir = -1, lock = -1, rc = file_mkdirs(config->store, 0700);

	*words = NULL;
	if (rc < 0)
		return errmsg_set(msg, rc,
			"the store directory %s cannot be made: %s; check the directory above it, or set "
			"`store` in [filesystem]",
			config->store, err_text(rc));
	if ((rc = lock_take(config->store, &lock, msg)) < 0 || (rc = dir = open_store_dir(config->store, msg)) < 0 ||
		(rc = make_room(config->store, dir, msg)) < 0)
		goto out;
	rc = make(config, dir, unlock, unlock_count, cost, uid, gid, words, msg);
	if (rc < 0) {
		discard(config->store, dir);
		secret_free_text(*words);
		*words = NULL;
	}
out:
	if (dir >= 0)
		close(dir);
	if (lock >= 0)
		close(lock);
	return rc;
}

int core_created(struct config *config, struct errmsg *msg)
{
	int dir = open_store_dir(config->store, msg), rc;

	if (dir < 0)
		return dir;
	rc = unlinkat(dir, UNFINISHED, 0) < 0 ? -errno : file_sync_dir(dir);
	close(dir);
	return rc < 0 ? errmsg_set(msg, rc, "the store %s is not writable: %s", config->store, err_text(rc)) : 0;
}

int core_unlock(struct config *config, const struct unlock *unlock, struct keyring **out, struct errmsg *msg)
{
	int dir = open_store_dir(config->store, msg), rc;

	if (dir < 0)
		return dir;
	if (is_unfinished(dir))
		rc = errmsg_set(msg, -ENOENT,
			"the store at %s was not finished: `borderfs init` was interrupted; run it again, nothing is "
			"lost",
			config->store);
	else if (!keyring_exists(dir) && !meta_exists(config->store))
		rc = no_store(config->store, msg); /* a directory only, perhaps of an init that was killed at once */
	else
		rc = keyring_open(out, dir, unlock, msg);
	close(dir);
	return rc;
}

/* ---- callbacks of the rooms below -------------------------------------------------------------------------------- */

static void tell(struct core *core, struct cache *cache, struct transfer *transfer)
{
	pthread_rwlock_wrlock(&core->told_lock);
	core->told_cache = cache;
	core->told_transfer = transfer;
	pthread_rwlock_unlock(&core->told_lock);
}

static void on_durable(void *ctx, uint64_t batch)
{
	struct core *core = ctx;

	pthread_rwlock_rdlock(&core->told_lock);
	if (core->told_cache)
		cache_durable(core->told_cache, batch);
	if (core->told_transfer)
		transfer_durable(core->told_transfer, batch);
	pthread_rwlock_unlock(&core->told_lock);
}

static void on_failed(void *ctx, int rc)
{
	struct core *core = ctx;

	log_error(
		"store: metadata can no longer be written (%s): the filesystem is read-only until it is mounted again",
		err_text(rc));
	__atomic_store_n(&core->failed, rc, __ATOMIC_RELEASE);
}

static void on_full(void *ctx)
{
	struct core *core = ctx;

	pthread_rwlock_rdlock(&core->told_lock);
	if (core->told_cache)
		cache_disk_full(core->told_cache);
	pthread_rwlock_unlock(&core->told_lock);
}

static void on_pressure(void *ctx)
{
	struct core *core = ctx;

	pthread_rwlock_rdlock(&core->told_lock);
	if (core->told_transfer)
		transfer_pressure(core->told_transfer);
	pthread_rwlock_unlock(&core->told_lock);
}

static int set_quotas(struct core *core, const struct config *config)
{
	struct meta_usage whole = { .inodes = config->inodes_max, .bytes = config->bytes_max };
	struct meta_quota *v = calloc(config->quota_count + 1, sizeof(*v));
	int rc;

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < config->quota_count; i++) {
		const struct config_quota *q = config->quotas[i];

		v[i] = (struct meta_quota){ .kind = q->group ? OWNER_GROUP : OWNER_USER,
			.id = q->id,
			.max = { .inodes = q->inodes_max, .bytes = q->bytes_max } };
	}
	rc = meta_quotas_set(core->meta, &whole, v, config->quota_count);
	free(v);
	return rc;
}

static int open_rooms(struct core *core, struct config *config, struct errmsg *msg)
{
	struct meta_options meta_options = { .durable = on_durable, .failed = on_failed, .full = on_full, .ctx = core };
	struct cache_options cache_options = {
		.bytes_max = config->cache_bytes, .room = io_room, .pressure = on_pressure, .ctx = core
	};
	int rc;

	if ((rc = meta_open(&core->meta, config->store, core->keyring, &meta_options, msg)) < 0 ||
		(rc = cache_open(&core->cache, config->store, core->keyring, core->meta, &cache_options, msg)) < 0)
		return rc;
	/* what was synced before a crash is written again whatever they say now */
	if ((rc = set_quotas(core, config)) < 0)
		return rc;
	tell(core, core->cache, NULL);
	if ((rc = place_open(&core->place, core->meta, core->cache, core->keyring, config, msg)) < 0 ||
		(rc = transfer_open(&core->transfer, core->meta, core->cache, core->place, core->keyring, NULL, msg)) <
			0)
		return rc;
	tell(core, core->cache, core->transfer);
	return 0;
}

int core_open(struct core **out, struct config *config, struct keyring *keyring, struct errmsg *msg)
{
	struct core *core = calloc(1, sizeof(*core));
	int rc;

	*out = NULL;
	if (!core) {
		keyring_close(keyring);
		return -ENOMEM;
	}
	core->lock_fd = -1;
	core->keyring = keyring;
	core->settle_ns = config->settle_ns;
	pthread_rwlock_init(&core->told_lock, NULL);
	pthread_mutex_init(&core->rename_lock, NULL);
	if (!(core->store = strdup(config->store)) || (rc = held_init(core)) < 0 || (rc = io_init(core)) < 0)
		rc = -ENOMEM;
	else if ((rc = lock_take_after(config->store, &core->lock_fd, msg)) == 0)
		rc = open_rooms(core, config, msg);
	if (rc < 0) {
		core_close(core);
		return rc;
	}
	*out = core;
	return 0;
}

int core_start(struct core *core)
{
	uint64_t ino;
	int rc;

	if (meta_pending_unjudged(core->meta, 0, &ino, 1) == 0)
		core->judged = meta_pending_adds(core->meta) + 1;
	rc = place_start(core->place);
	return rc < 0 ? rc : transfer_start(core->transfer);
}

/* So that what was done until now cannot be cut off the log any more; a cloud that is not there keeps nobody waiting.
 */
static void publish_head(struct core *core)
{
	int rc = transfer_publish_head(core->transfer, clock_mono_ns() + HEAD_NS);

	if (rc < 0)
		log_info("store: the end of the audit log was not published: %s", err_text(rc));
}

int core_stop(struct core *core)
{
	int rc, rc2;

	lock_ends(core->lock_fd);
	/* the next mount may have other rules */
	if ((rc = hold_all_before(core)) < 0)
		log_warn("store: what is at home by a rule could not all be marked: %s", err_text(rc));
	rc = cache_sync_all(core->cache);
	rc2 = meta_sync(core->meta);
	if (rc2 == 0)
		publish_head(core);
	transfer_stop(core->transfer);
	io_stop(core);
	return rc < 0 ? rc : rc2;
}

void core_close(struct core *core)
{
	int rc;

	if (!core)
		return;
	tell(core, core->cache, NULL);
	transfer_close(core->transfer);
	held_free(core);
	place_close(core->place);
	tell(core, NULL, NULL);
	if (core->cache && (rc = cache_close(core->cache)) < 0)
		log_error("store: the cache did not close cleanly: %s", err_text(rc));
	if (core->meta && (rc = meta_close(core->meta)) < 0)
		log_error("store: the metadata did not close cleanly: %s", err_text(rc));
	keyring_close(core->keyring);
	io_free(core);
	if (core->lock_fd >= 0)
		close(core->lock_fd);
	pthread_mutex_destroy(&core->rename_lock);
	pthread_rwlock_destroy(&core->told_lock);
	free(core->store);
	free(core);
}

static int hold_all(struct core *core, struct errmsg *msg)
{
	int rc = hold_all_before(core);

	return rc < 0 ? errmsg_set(msg, rc, "what is at home by the rules in force cannot be marked: %s", err_text(rc))
		      : 0;
}

/* With the rules or not at all. */
static int change_quotas(struct core *core, struct config *config, struct errmsg *msg)
{
	struct config *before = place_config(core->place);
	int rc = set_quotas(core, config);

	if (rc == 0 && (rc = place_reload(core->place, config, msg)) < 0 && set_quotas(core, before) < 0)
		log_error(
			"store: no memory to bring the quotas of before back: those of %s are in force", config->file);
	config_put(before);
	return rc;
}

static int same_store(struct core *core, const struct config *config, struct errmsg *msg)
{
	if (strcmp(config->store, core->store) == 0)
		return 0;
	return errmsg_set(msg, -ERR_CONFIG, "`store` changed from %s to %s: unmount and mount again for that",
		core->store, config->store);
}

int core_allows(struct core *core, const struct config *config, struct errmsg *msg)
{
	int rc = same_store(core, config, msg);

	return rc < 0 ? rc : place_allows(core->place, config, msg);
}

int core_reload(struct core *core, struct config *config, struct errmsg *msg)
{
	struct transfer_change *change = NULL;
	int rc;

	if ((rc = same_store(core, config, msg)) < 0 || (rc = place_check(core->place, config, msg)) < 0 ||
		(rc = transfer_prepare(core->transfer, config, &change, msg)) < 0 || (rc = hold_all(core, msg)) < 0 ||
		(rc = change_quotas(core, config, msg)) < 0) {
		transfer_change_free(change);
		return rc;
	}
	transfer_reload(core->transfer, change);
	__atomic_store_n(&core->settle_ns, config->settle_ns, __ATOMIC_RELAXED);
	cache_set_bytes_max(core->cache, config->cache_bytes);
	return 0;
}

struct meta *core_meta(struct core *core)
{
	return core->meta;
}

struct cache *core_cache(struct core *core)
{
	return core->cache;
}

struct place *core_place(struct core *core)
{
	return core->place;
}

struct transfer *core_transfer(struct core *core)
{
	return core->transfer;
}

void core_audit(struct core *core, struct audit_log *log)
{
	*log = (struct audit_log){ core->meta, core->keyring };
}

struct config *core_config(struct core *core)
{
	return place_config(core->place);
}

int core_failed(struct core *core)
{
	return __atomic_load_n(&core->failed, __ATOMIC_ACQUIRE);
}
