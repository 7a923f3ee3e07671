/* SPDX-License-Identifier: GPL-3.0-or-later */
/* More data than the cache holds, and more files than the scheduler keeps in memory. */
#include "tests/unit/fs-transfer/fault.h"

#include <sys/resource.h>

#define QUICK CLOUD_CONFIG("settle = 100ms\n", "", CLOUD_RULES)
#define CHUNK (1u << 20)

struct full {
	struct cloud c;
	pthread_mutex_t lock; /* protects rooms */
	pthread_cond_t cond;
	unsigned rooms;
};

static struct full *waiting;

static void on_room(void *ctx)
{
	(void)ctx;
	pthread_mutex_lock(&waiting->lock);
	waiting->rooms++;
	pthread_cond_broadcast(&waiting->cond);
	pthread_mutex_unlock(&waiting->lock);
}

static void begin(struct full *f, uint64_t cache_bytes, const char *config)
{
	memset(f, 0, sizeof *f);
	pthread_mutex_init(&f->lock, NULL);
	cond_init_mono(&f->cond);
	waiting = f;
	f->c.s.cache_bytes = cache_bytes;
	f->c.s.room = on_room;
	store_make(&f->c.s, config);
	store_cloud(&f->c.s, "near");
	store_cloud(&f->c.s, "far");
	cloud_open(&f->c, true);
}

static int write_once(struct full *f, struct inode *inode, const void *data, size_t len, uint64_t off)
{
	struct cache_need need;
	int rc;

	pthread_rwlock_rdlock(&inode->data_lock);
	rc = cache_write(f->c.s.cache, inode, off, data, len, &need);
	pthread_rwlock_unlock(&inode->data_lock);
	if (rc != -ERR_NEED_FETCH)
		return rc;
	/* not kept: others took the room that there was; the cache says whether to wait for more */
	if ((rc = transfer_fetch_wait(f->c.t, inode, &need, 0)) < 0 && rc != -ERR_CACHE_FULL)
		fail_msg("fetch: %s", err_text(rc));
	return 1;
}

/* as core does: waits for room, but not for ever */
static void write_waiting(struct full *f, struct inode *inode, const void *data, size_t len, uint64_t off)
{
	int64_t until = clock_mono_ns() + 10 * NS_PER_S;
	unsigned seen;
	int rc;

	for (;;) {
		pthread_mutex_lock(&f->lock);
		seen = f->rooms;
		pthread_mutex_unlock(&f->lock);
		rc = write_once(f, inode, data, len, off);
		if (rc == 0)
			break;
		if (rc == 1)
			continue;
		if (rc != -ERR_CACHE_FULL)
			fail_msg("write: %s", err_text(rc));
		pthread_mutex_lock(&f->lock);
		while (f->rooms == seen)
			if (cond_wait_until(&f->cond, &f->lock, until) == -ETIMEDOUT)
				fail_msg("no room was made in 10 s");
		pthread_mutex_unlock(&f->lock);
	}
	transfer_touch(f->c.t, inode->ino);
}

/* a file several times the cache, kept open, home and abroad */
static void test_stream(void **state)
{
	static const char *const dirs[] = { "home", "public" };
	uint8_t *data = cloud_noise(CHUNK, 5), *got = malloc(CHUNK);
	struct rusage usage;

	(void)state;
	for (size_t d = 0; d < COUNT(dirs); d++) {
		struct inode *inode;
		struct full f;
		int64_t began;

		begin(&f, 32u << 20, QUICK);
		inode = store_inode(&f.c.s, store_file(&f.c.s, store_mkdir(&f.c.s, META_ROOT_INO, dirs[d]), "big"));
		meta_lock(f.c.s.meta);
		inode->writer_count = 1;
		meta_unlock(f.c.s.meta);
		began = clock_mono_ns();
		for (unsigned i = 0; i < 160; i++) {
			memcpy(data, &i, sizeof i);
			write_waiting(&f, inode, data, CHUNK, (uint64_t)i * CHUNK);
		}
		meta_lock(f.c.s.meta);
		inode->writer_count = 0;
		meta_unlock(f.c.s.meta);
		transfer_touch(f.c.t, inode->ino);
		cloud_sync(&f.c, inode->ino);
		print_message("%s: 160 MiB through a cache of 32 MiB in %.1f s\n", dirs[d],
			(double)(clock_mono_ns() - began) / 1e9);
		for (unsigned i = 0; i < 160; i++) {
			memcpy(data, &i, sizeof i);
			assert_int_equal(cloud_pread(&f.c, inode->ino, got, CHUNK, (uint64_t)i * CHUNK, 4u << 20), 0);
			assert_memory_equal(got, data, CHUNK);
		}
		store_put(&f.c.s, inode);
		cloud_destroy(&f.c);
	}
	getrusage(RUSAGE_SELF, &usage);
	print_message("resident at most %ld MiB\n", usage.ru_maxrss / 1024);
	free(data);
	free(got);
}

/* Small changes all over a file that is on a backend only: blocks are dirty in part, and what fills the cache cannot
 * leave before the rest of each was fetched. */
static void test_scattered(void **state)
{
	enum { BYTES = 48u << 20 };
	uint8_t *data = cloud_noise(BYTES, 6), *got = malloc(BYTES);
	struct inode *inode;
	struct full f;
	uint32_t seed = 1;

	(void)state;
	begin(&f, 16u << 20, QUICK);
	inode = store_inode(&f.c.s, store_file(&f.c.s, META_ROOT_INO, "big"));
	for (unsigned i = 0; i < BYTES / CHUNK; i++)
		write_waiting(&f, inode, data + (size_t)i * CHUNK, CHUNK, (uint64_t)i * CHUNK);
	cloud_sync(&f.c, inode->ino);
	for (int i = 0; i < 2000; i++) {
		uint32_t at;

		seed = seed * 1664525 + 1013904223;
		at = (seed >> 4) % (BYTES - 20000);
		memset(data + at, i, 8000);
		write_waiting(&f, inode, data + at, 8000, at);
	}
	cloud_sync(&f.c, inode->ino);
	for (uint64_t at = 0; at < BYTES; at += CHUNK)
		assert_int_equal(cloud_pread(&f.c, inode->ino, got + at, CHUNK, at, 0), 0);
	assert_memory_equal(got, data, BYTES);
	assert_int_equal(cloud_objects(&f.c, "near"), BYTES / (4u << 20));
	store_put(&f.c.s, inode);
	free(data);
	free(got);
	cloud_destroy(&f.c);
}

/* what finds no room in memory is found in the store */
static void test_paging(void **state)
{
	struct full f;
	char name[16];
	uint64_t public;

	(void)state;
	begin(&f, 0, CLOUD_CONFIG("settle = 300ms\n", "", CLOUD_RULES));
	pthread_mutex_lock(&f.c.t->lock);
	f.c.t->entries_max = 40;
	pthread_mutex_unlock(&f.c.t->lock);
	public = store_mkdir(&f.c.s, META_ROOT_INO, "public");
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "%d", i);
		cloud_write(&f.c, i % 2 ? public : META_ROOT_INO, name, name, strlen(name));
	}
	cloud_sync(&f.c, 0);
	assert_int_equal(cloud_members(&f.c, "near"), 500);
	assert_int_equal(cloud_members(&f.c, "far"), 500);
	cloud_tags(&f.c, public, "personal");
	cloud_sync(&f.c, 0);
	assert_int_equal(cloud_members(&f.c, "near"), 1000);
	assert_int_equal(cloud_objects(&f.c, "far"), 0);
	cloud_destroy(&f.c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_scattered),
		cmocka_unit_test(test_paging),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
