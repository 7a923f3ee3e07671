/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A store with metadata and cache, in a directory of its own; backends are a table of objects in memory. */
#ifndef TESTS_UNIT_FS_CACHE_FIXTURE_H
#define TESTS_UNIT_FS_CACHE_FIXTURE_H

#include "base/file.h"
#include "fs/cache/internal.h"
#include "tests/unit/fs-meta/recount.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Objects that were confirmed; shared by a store and what a crash left of it. */
struct object {
	uint8_t id[OBJECT_ID_BYTES];
	uint32_t len;
	uint8_t *data;
};
struct backend {
	pthread_mutex_t lock;
	size_t count;
	struct object *v;
};

struct fix {
	char dir[64];
	struct keyring *keyring;
	struct meta *m;
	struct cache *c, *told;
	struct cache_options options;
	uint64_t block_bytes;
	struct backend *backend;
	int rooms, pressures; /* calls; atomic */
};

/* One keyring serves all: deriving a key takes longer than most tests. */
static struct keyring *fix_keyring(void)
{
	static struct keyring *keyring;
	char dir[] = "/tmp/cache-keys.XXXXXX", path[64], *words = NULL;
	struct unlock secret = { UNLOCK_PASSPHRASE, "test", 4 };
	int fd;

	if (keyring)
		return keyring;
	assert_int_equal(crypt_init(), 0);
	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_true(fd >= 0);
	assert_int_equal(keyring_create(&keyring, fd, &secret, 1, KDF_MINIMUM, &words, NULL), 0);
	secret_free_text(words);
	close(fd);
	snprintf(path, sizeof path, "%s/keys", dir);
	unlink(path);
	rmdir(dir);
	return keyring;
}

static void fix_run(const char *const argv[], int status_max)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		/* a file may go while it is copied, which cp complains of */
		close(STDERR_FILENO);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= status_max);
}

static void fix_remove(const char *dir)
{
	fix_run((const char *const[]){ "rm", "-rf", dir, NULL }, 0);
}

/* Protects every fixture's `told`: the writer of metadata calls while the cache is opened and closed. */
static pthread_mutex_t told_lock = PTHREAD_MUTEX_INITIALIZER;

static void tell(struct fix *f, struct cache *c)
{
	pthread_mutex_lock(&told_lock);
	f->told = c;
	pthread_mutex_unlock(&told_lock);
}

static void on_durable(void *ctx, uint64_t batch)
{
	struct fix *f = ctx;

	pthread_mutex_lock(&told_lock);
	if (f->told)
		cache_durable(f->told, batch);
	pthread_mutex_unlock(&told_lock);
}

static void on_room(void *ctx)
{
	__atomic_add_fetch(&((struct fix *)ctx)->rooms, 1, __ATOMIC_SEQ_CST);
}

static void on_pressure(void *ctx)
{
	__atomic_add_fetch(&((struct fix *)ctx)->pressures, 1, __ATOMIC_SEQ_CST);
}

static void fix_open(struct fix *f)
{
	/* tests say themselves when to commit */
	struct meta_options options = { .commit_interval_ns = 3600 * NS_PER_S, .durable = on_durable, .ctx = f };
	struct errmsg msg = { 0 };
	int rc = meta_open(&f->m, f->dir, f->keyring, &options, &msg);

	f->options.room = on_room;
	f->options.pressure = on_pressure;
	f->options.ctx = f;
	if (rc == 0)
		rc = cache_open(&f->c, f->dir, f->keyring, f->m, &f->options, &msg);
	if (rc < 0)
		print_error("open: %s\n", errmsg_text(&msg, rc));
	assert_int_equal(rc, 0);
	errmsg_free(&msg);
	tell(f, f->c);
}

struct fix_fsync {
	struct cache_fsync op;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	int rc;
};

static inline void fix_fsync_done(struct cache_fsync *op, int rc)
{
	struct fix_fsync *s = (struct fix_fsync *)op;

	pthread_mutex_lock(&s->lock);
	s->done = true;
	s->rc = rc;
	pthread_cond_signal(&s->cond);
	pthread_mutex_unlock(&s->lock);
}

static inline int fix_fsync(struct fix *f, struct inode *ip)
{
	struct fix_fsync s = {
		.op = { .done = fix_fsync_done }, .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER
	};

	cache_fsync(f->c, ip, &s.op);
	pthread_mutex_lock(&s.lock);
	while (!s.done)
		pthread_cond_wait(&s.cond, &s.lock);
	pthread_mutex_unlock(&s.lock);
	return s.rc;
}

static inline void fix_close(struct fix *f)
{
	tell(f, NULL);
	assert_int_equal(cache_close(f->c), 0);
	f->c = NULL;
	assert_int_equal(meta_close(f->m), 0);
	f->m = NULL;
}

static inline void fix_start(struct fix *f, uint64_t block_bytes, uint64_t bytes_max)
{
	memset(f, 0, sizeof *f);
	log_init(LOG_LEVEL_ERROR, 0);
	f->keyring = fix_keyring();
	f->block_bytes = block_bytes;
	f->options.bytes_max = bytes_max;
	f->backend = calloc(1, sizeof *f->backend);
	assert_non_null(f->backend);
	pthread_mutex_init(&f->backend->lock, NULL);
	snprintf(f->dir, sizeof f->dir, "/tmp/cache.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(meta_create(f->dir, f->keyring, block_bytes, 7, 8, NULL), 0);
	fix_open(f);
}

static inline void fix_end(struct fix *f)
{
	if (f->m)
		fix_close(f);
	fix_remove(f->dir);
	for (size_t i = 0; i < f->backend->count; i++)
		free(f->backend->v[i].data);
	free(f->backend->v);
	pthread_mutex_destroy(&f->backend->lock);
	free(f->backend);
}

/* ---- crashes ---- */

static void copy_into(const struct fix *f, const char *what, const char *dir)
{
	char from[128];

	snprintf(from, sizeof from, "%s/%s", f->dir, what);
	if (access(from, F_OK) == 0)
		fix_run((const char *const[]){ "cp", "-r", "--sparse=always", from, dir, NULL }, 1);
}

/* The metadata as it is on disk now, for fix_crash_files later. */
static inline void fix_crash_meta(const struct fix *f, struct fix *copy)
{
	*copy = *f;
	copy->m = NULL;
	copy->c = NULL;
	snprintf(copy->dir, sizeof copy->dir, "/tmp/cache.XXXXXX");
	assert_non_null(mkdtemp(copy->dir));
	copy_into(f, "meta.db", copy->dir);
	copy_into(f, "meta.db-wal", copy->dir);
}

/* The block files as they are now, perhaps of after that moment. */
static inline void fix_crash_files(const struct fix *f, struct fix *copy)
{
	copy_into(f, "cache", copy->dir);
}

static inline void fix_crash_end(struct fix *copy)
{
	if (copy->m)
		fix_close(copy);
	fix_remove(copy->dir);
}

/* ---- files ---- */

static inline struct inode *fix_file(struct fix *f)
{
	struct inode *ip;

	meta_lock(f->m);
	assert_non_null(ip = meta_inode_new(f->m, S_IFREG | 0600, 1, 2, 0));
	ip->nlink = 1;
	meta_inode_changed(f->m, ip);
	meta_unlock(f->m);
	return ip;
}

static inline struct inode *fix_inode(struct fix *f, uint64_t ino)
{
	struct inode *ip;

	assert_int_equal(meta_inode_get(f->m, ino, &ip), 0);
	return ip;
}

static inline struct block *fix_block(struct fix *f, struct inode *ip, uint32_t index)
{
	struct block *b;

	assert_int_equal(meta_block_get(f->m, ip, index, &b), 0);
	return b;
}

/* ---- a backend ---- */

static inline struct object *object_find(struct backend *backend, const uint8_t *id)
{
	for (size_t i = 0; i < backend->count; i++)
		if (!memcmp(backend->v[i].id, id, OBJECT_ID_BYTES))
			return &backend->v[i];
	return NULL;
}

static inline void object_put(struct backend *backend, const uint8_t *id, uint8_t *data, uint32_t len)
{
	pthread_mutex_lock(&backend->lock);
	backend->v = realloc(backend->v, (backend->count + 1) * sizeof *backend->v);
	assert_non_null(backend->v);
	memcpy(backend->v[backend->count].id, id, OBJECT_ID_BYTES);
	backend->v[backend->count].data = data;
	backend->v[backend->count++].len = len;
	pthread_mutex_unlock(&backend->lock);
}

/* What the transfer room does with a block: 0, or what the snapshot said, or -ERR_STALE when it changed meanwhile. */
static inline int fix_upload(struct fix *f, struct inode *ip, uint32_t index)
{
	struct object_ref ref = { .zone = 1, .epoch = 1, .header_bytes = 256 };
	struct cache_snapshot s;
	struct cache_need need;
	struct extent e = { .zone_id = 1 };
	uint32_t backend_id = 1;
	struct block *b;
	uint8_t *data;
	int rc;

	if ((rc = cache_snapshot(f->c, ip, index, &s, &need)) < 0)
		return rc;
	assert_non_null(data = malloc(s.len));
	if ((rc = cache_snapshot_read(f->c, &s, data)) < 0) {
		cache_snapshot_release(f->c, &s);
		free(data);
		return rc;
	}
	randombytes_buf(ref.id, sizeof ref.id);
	memcpy(e.object, ref.id, sizeof e.object);
	ref.plain_bytes = e.len = s.len;
	object_put(f->backend, ref.id, data, s.len);
	assert_int_equal(meta_object_begin(f->m, &ref, 1, &backend_id, 1), 0);
	b = fix_block(f, ip, index);
	meta_lock(f->m);
	if (b->version == s.version) {
		meta_object_stored(f->m, ref.id, 1);
		meta_extent_set(f->m, b, &e, s.version);
	} else {
		meta_object_discard(f->m, ref.id, false);
		rc = -ERR_STALE;
	}
	meta_unlock(f->m);
	meta_block_put(f->m, b);
	cache_snapshot_release(f->c, &s);
	return rc;
}

/* What was said to be needed, from the backend. Returns what the cache says of it. */
static inline int fix_fetch(struct fix *f, struct inode *ip, const struct cache_need *need)
{
	struct block *b = fix_block(f, ip, need->index);
	struct object *o;
	struct extent e;
	uint8_t *data;
	int rc;

	meta_lock(f->m);
	e = b->extent;
	meta_unlock(f->m);
	meta_block_put(f->m, b);
	pthread_mutex_lock(&f->backend->lock);
	o = object_find(f->backend, e.object);
	if (!o || need->off + need->len > e.len || e.len > o->len || !(data = malloc(need->len))) {
		pthread_mutex_unlock(&f->backend->lock);
		return -ERR_STALE;
	}
	memcpy(data, o->data + need->off, need->len);
	pthread_mutex_unlock(&f->backend->lock);
	rc = cache_fill(f->c, ip, need->index, &e, need->off, data, need->len);
	free(data);
	return rc;
}

/* ---- calls as core makes them: locked, repeated after a fetch ---- */

static inline void fix_lock(struct fix *f, struct inode *ip, uint64_t size)
{
	pthread_rwlock_wrlock(&ip->data_lock);
	while (size && cache_is_logged(f->c, ip)) {
		pthread_rwlock_unlock(&ip->data_lock);
		assert_int_equal(cache_sync(f->c, ip), 0);
		pthread_rwlock_wrlock(&ip->data_lock);
	}
}

enum call { CALL_READ, CALL_WRITE, CALL_TRUNCATE, CALL_PUNCH, CALL_ALLOCATE };

static inline int fix_call(struct fix *f, struct inode *ip, enum call call, uint64_t off, void *data, size_t len)
{
	struct cache_need need = { 0 };
	int rc;

	for (;;) {
		if (call >= CALL_TRUNCATE)
			fix_lock(f, ip, call == CALL_TRUNCATE ? off : UINT64_MAX);
		else
			pthread_rwlock_rdlock(&ip->data_lock);
		if (call == CALL_READ)
			rc = cache_read(f->c, ip, off, data, len, &need);
		else if (call == CALL_WRITE)
			rc = cache_write(f->c, ip, off, data, len, &need);
		else if (call == CALL_TRUNCATE)
			rc = cache_truncate(f->c, ip, off, &need);
		else if (call == CALL_PUNCH)
			rc = cache_punch(f->c, ip, off, len, &need);
		else
			rc = cache_allocate(f->c, ip, off, len);
		pthread_rwlock_unlock(&ip->data_lock);
		if (rc != -ERR_NEED_FETCH)
			return rc;
		if ((rc = fix_fetch(f, ip, &need)) < 0 && rc != -ERR_STALE)
			return rc;
	}
}

static inline int fix_write(struct fix *f, struct inode *ip, uint64_t off, const void *data, size_t len)
{
	return fix_call(f, ip, CALL_WRITE, off, (void *)(uintptr_t)data, len);
}

static inline void fix_check(struct fix *f, struct inode *ip, const uint8_t *expected, uint64_t size)
{
	uint8_t *got = malloc(size + 1);

	assert_non_null(got);
	assert_int_equal(ip->size, size);
	assert_int_equal(fix_call(f, ip, CALL_READ, 0, got, size), 0);
	for (uint64_t i = 0; i < size; i++)
		if (got[i] != expected[i])
			fail_msg("byte %llu of %llu (block %llu, unit %llu) is %02x and should be %02x",
				(unsigned long long)i, (unsigned long long)size,
				(unsigned long long)(i / f->block_bytes),
				(unsigned long long)(i % f->block_bytes / UNIT), got[i], expected[i]);
	free(got);
}

static inline void fix_sync(struct fix *f, struct inode *ip)
{
	assert_int_equal(cache_sync(f->c, ip), 0);
	assert_int_equal(meta_sync(f->m), 0);
}

static inline uint64_t fix_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline void fix_fill_random(uint64_t *state, void *out, size_t len)
{
	uint8_t *p = out;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(fix_random(state) >> 32 | 1);
}

#endif
