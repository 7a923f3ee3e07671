/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/fs-transfer/fault.h"

#include <stdatomic.h>

#define QUICK CLOUD_CONFIG("settle = 20ms\n", "", CLOUD_RULES)
#define BYTES (12u << 20)

struct stored {
	struct cloud c;
	struct fault *near;
	uint8_t *data;
	uint64_t ino;
	struct inode *inode;
};

static void begin(struct stored *s, uint64_t cache_bytes)
{
	memset(s, 0, sizeof *s);
	s->c.s.cache_bytes = cache_bytes;
	store_make(&s->c.s, QUICK);
	store_cloud(&s->c.s, "near");
	store_cloud(&s->c.s, "far");
	cloud_open(&s->c, false);
	s->near = fault_wrap(&s->c, "near");
	assert_int_equal(transfer_start(s->c.t), 0);
	s->data = cloud_noise(BYTES, 11);
	s->ino = cloud_write(&s->c, META_ROOT_INO, "file", s->data, BYTES);
	cloud_sync(&s->c, s->ino);
	cloud_evict(&s->c);
	s->inode = store_inode(&s->c.s, s->ino);
}

static void end(struct stored *s)
{
	store_put(&s->c.s, s->inode);
	free(s->data);
	cloud_destroy(&s->c);
}

static uint64_t got_bytes(struct stored *s)
{
	uint64_t n;

	pthread_mutex_lock(&s->near->lock);
	n = s->near->got_bytes;
	pthread_mutex_unlock(&s->near->lock);
	return n;
}

/* a random read of 4 KiB moves less than 64 KiB, in one request */
static void test_random(void **state)
{
	static const uint64_t offsets[] = { 0, 4096, 3u << 20, (4u << 20) - 4096, 4u << 20, BYTES - 4096, 8195 };
	struct stored s;
	uint8_t got[4096];

	(void)state;
	begin(&s, 0);
	for (size_t i = 0; i < COUNT(offsets); i++) {
		uint64_t before = got_bytes(&s);
		unsigned gets = fault_count(s.near, OP_GET);

		assert_int_equal(cloud_pread(&s.c, s.ino, got, sizeof got, offsets[i], 0), 0);
		assert_memory_equal(got, s.data + offsets[i], sizeof got);
		assert_true(got_bytes(&s) - before < 64u << 10);
		assert_true(fault_count(s.near, OP_GET) - gets <= 1);
	}
	end(&s);
}

/* read-ahead fetches across blocks, at least 128 KiB, in parallel; every byte once */
static void test_ahead(void **state)
{
	struct stored s;
	uint8_t *got = malloc(BYTES);

	(void)state;
	begin(&s, 0);
	assert_int_equal(cloud_pread(&s.c, s.ino, got, 4096, 0, 4096), 0);
	assert_int_equal(got_bytes(&s), (128u << 10) / SEGMENT_DATA * SEGMENT_BYTES);
	s.near->delay_ns = 20 * NS_PER_MS;
	assert_int_equal(cloud_pread(&s.c, s.ino, got, 4096, 1u << 20, BYTES), 0);
	for (int i = 0; i < 500 && got_bytes(&s) < BYTES - (1u << 20); i++)
		fault_sleep(10);
	fault_sleep(100);
	assert_true(got_bytes(&s) >= BYTES - (7u << 17) && got_bytes(&s) < BYTES);
	assert_true(s.near->running_max[OP_GET] >= 4);
	fault_set(s.near, OP_GET, -ERR_UNREACHABLE);
	assert_int_equal(cloud_pread(&s.c, s.ino, got, BYTES - (1u << 20), 1u << 20, 0), 0);
	assert_memory_equal(got, s.data + (1u << 20), BYTES - (1u << 20));
	free(got);
	end(&s);
}

/* what is asked for without a reader that waits: just that, from within a block into the next */
static void test_ahead_only(void **state)
{
	uint8_t *got = malloc(BYTES);
	struct stored s;

	(void)state;
	begin(&s, 0);
	transfer_ahead(s.c.t, s.inode, (3u << 20) + 4096, 2u << 20);
	for (int i = 0; i < 500 && got_bytes(&s) < 2u << 20; i++)
		fault_sleep(10);
	fault_sleep(100);
	assert_true(got_bytes(&s) >= 2u << 20 && got_bytes(&s) < (2u << 20) + 4 * SEGMENT_BYTES);
	fault_set(s.near, OP_GET, -ERR_UNREACHABLE);
	assert_int_equal(cloud_pread(&s.c, s.ino, got, 2u << 20, (3u << 20) + 4096, 0), 0);
	assert_memory_equal(got, s.data + (3u << 20) + 4096, 2u << 20);
	free(got);
	end(&s);
}

struct waiter {
	struct fetch fetch;
	atomic_int *left;
	int rc;
};

static void waited(struct fetch *f, int rc)
{
	struct waiter *w = container_of(f, struct waiter, fetch);

	w->rc = rc;
	atomic_fetch_sub(w->left, 1);
}

/* many who want the same wait for one request */
static void test_join(void **state)
{
	struct waiter w[50];
	struct stored s;
	atomic_int left = COUNT(w);

	(void)state;
	begin(&s, 0);
	s.near->delay_ns = 100 * NS_PER_MS;
	for (size_t i = 0; i < COUNT(w); i++) {
		w[i] = (struct waiter){
			.fetch = { .inode = s.inode, .need = { 1, (uint32_t)(i % 4 * UNIT), UNIT }, .done = waited },
			.left = &left
		};
		transfer_fetch(s.c.t, &w[i].fetch);
	}
	while (atomic_load(&left))
		fault_sleep(5);
	for (size_t i = 0; i < COUNT(w); i++)
		assert_int_equal(w[i].rc, 0);
	assert_int_equal(fault_count(s.near, OP_GET), 1);
	end(&s);
}

/* an interrupted fetch is told so at once, though every worker waits for the backend; the others get theirs */
static void test_cancel(void **state)
{
	struct waiter w[20];
	struct stored s;
	int64_t began;
	atomic_int left = COUNT(w);

	(void)state;
	begin(&s, 0);
	s.near->delay_ns = 500 * NS_PER_MS;
	for (size_t i = 0; i < COUNT(w); i++) {
		w[i] = (struct waiter){ .fetch = { .inode = s.inode,
						.need = { (uint32_t)(i % 3), (uint32_t)(i * 4 * UNIT), UNIT },
						.done = waited },
			.left = &left };
		transfer_fetch(s.c.t, &w[i].fetch);
	}
	began = clock_mono_ns();
	for (size_t i = 0; i < COUNT(w); i += 2)
		transfer_fetch_cancel(s.c.t, &w[i].fetch);
	while (atomic_load(&left) > (int)COUNT(w) / 2)
		fault_sleep(1);
	assert_true(clock_mono_ns() - began < 300 * NS_PER_MS);
	while (atomic_load(&left))
		fault_sleep(5);
	for (size_t i = 0; i < COUNT(w); i++)
		assert_int_equal(w[i].rc, i % 2 ? 0 : -EINTR);
	/* before it is asked for: the same */
	left = 1;
	w[0] = (struct waiter){ .fetch = { .inode = s.inode, .need = { 0, 0, UNIT }, .done = waited }, .left = &left };
	transfer_fetch_cancel(s.c.t, &w[0].fetch);
	transfer_fetch(s.c.t, &w[0].fetch);
	assert_int_equal(left, 0);
	assert_int_equal(w[0].rc, -EINTR);
	end(&s);
}

/* whoever waits when the transfers are stopped is told */
static void test_stopped(void **state)
{
	struct waiter w[40];
	struct stored s;
	atomic_int left = COUNT(w);

	(void)state;
	begin(&s, 0);
	s.near->delay_ns = 300 * NS_PER_MS;
	for (size_t i = 0; i < COUNT(w); i++) {
		w[i] = (struct waiter){ .fetch = { .inode = s.inode,
						.need = { (uint32_t)(i % 3), (uint32_t)(i * 4 * UNIT), UNIT },
						.done = waited },
			.left = &left };
		transfer_fetch(s.c.t, &w[i].fetch);
	}
	transfer_stop(s.c.t);
	assert_int_equal(left, 0);
	for (size_t i = COUNT(w) / 2; i < COUNT(w); i++)
		assert_int_equal(w[i].rc, -ERR_STOPPED);
	assert_int_equal(transfer_fetch_wait(s.c.t, s.inode, &(struct cache_need){ 0, 0, UNIT }, 0), -ERR_STOPPED);
	end(&s);
}

static uint8_t kept_copy[1 << 20];

static void unkept(struct fetch *f, int rc)
{
	if (f->unkept)
		memcpy(kept_copy, f->unkept, sizeof kept_copy);
	waited(f, f->unkept ? 1 : rc);
}

/* A cache full of what is on no backend cannot keep what is fetched: it is handed over. */
static void test_full_cache(void **state)
{
	struct waiter w;
	struct stored s;
	atomic_int left = 1;
	uint64_t other, off = 0;

	(void)state;
	begin(&s, 16u << 20);
	fault_set_down(s.near, true);
	other = store_file(&s.c.s, META_ROOT_INO, "other");
	while (store_pwrite(&s.c.s, other, s.data, 1u << 20, off) >= 0)
		off += 1u << 20;
	while (store_pwrite(&s.c.s, other, s.data, 4096, off) >= 0)
		off += 4096;
	w = (struct waiter){ .fetch = { .inode = s.inode, .need = { 1, 4 * UNIT, sizeof kept_copy }, .done = unkept },
		.left = &left };
	transfer_fetch(s.c.t, &w.fetch);
	while (left)
		fault_sleep(2);
	assert_int_equal(w.rc, 1);
	assert_memory_equal(kept_copy, s.data + (4u << 20) + 4 * UNIT, sizeof kept_copy);
	/* what is asked for as of a longer extent is asked for again */
	left = 1;
	w.fetch = (struct fetch){ .inode = s.inode, .need = { 1, 3u << 20, (1u << 20) + UNIT }, .done = waited };
	transfer_fetch(s.c.t, &w.fetch);
	while (left)
		fault_sleep(2);
	assert_int_equal(w.rc, 0);
	assert_null(w.fetch.unkept);
	fault_set_down(s.near, false);
	end(&s);
}

/* an unreachable backend ends a read with its error, and nothing is lost */
static void test_unreachable(void **state)
{
	struct stored s;
	uint8_t got[16];

	(void)state;
	begin(&s, 0);
	fault_set(s.near, OP_GET, -ERR_UNREACHABLE);
	assert_int_equal(cloud_pread(&s.c, s.ino, got, 16, 0, 0), -ERR_UNREACHABLE);
	fault_set(s.near, OP_GET, 0);
	cloud_expect(&s.c, s.ino, s.data, BYTES);
	end(&s);
}

/* a backend that comes back while it is looked for the others is asked too */
static void test_comes_back(void **state)
{
	struct stored s;

	(void)state;
	begin(&s, 0);
	s.near->down_answers = 1;
	cloud_expect(&s.c, s.ino, s.data, BYTES);
	end(&s);
}

static void truncate_it(void *ctx)
{
	struct stored *s = ctx;
	struct cache_need need;

	pthread_rwlock_wrlock(&s->inode->data_lock);
	assert_int_equal(cache_truncate(s->c.s.cache, s->inode, 0, &need), 0);
	pthread_rwlock_unlock(&s->inode->data_lock);
}

/* Whatever becomes of an object that the block no longer points at is nobody's error: it was rightly deleted. */
static void test_superseded(void **state)
{
	static const int errors[] = { -ERR_UNREACHABLE, -ERR_ABSENT, -ERR_NO_BUCKET };

	(void)state;
	for (size_t i = 0; i < COUNT(errors); i++) {
		struct stored s;

		begin(&s, 0);
		fault_set(s.near, OP_GET, errors[i]);
		s.near->ctx = &s;
		s.near->before_get = truncate_it;
		assert_int_equal(transfer_fetch_wait(s.c.t, s.inode, &(struct cache_need){ 1, 0, UNIT }, 0), 0);
		assert_int_equal(fault_count(s.near, OP_GET), 1);
		end(&s);
	}
}

/* a write into the middle of a block that is on a backend only: the next upload holds both */
static void test_partial_write(void **state)
{
	struct stored s;

	(void)state;
	begin(&s, 0);
	memcpy(s.data + 4097, "changed", 7);
	cloud_pwrite(&s.c, s.ino, "changed", 7, 4097);
	memcpy(s.data + (9u << 20), s.data, 200000);
	cloud_pwrite(&s.c, s.ino, s.data, 200000, 9u << 20);
	cloud_sync(&s.c, s.ino);
	assert_int_equal(cloud_objects(&s.c, "near"), 3);
	cloud_evict(&s.c);
	cloud_expect(&s.c, s.ino, s.data, BYTES);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_ahead),
		cmocka_unit_test(test_ahead_only),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_full_cache),
		cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_comes_back),
		cmocka_unit_test(test_superseded),
		cmocka_unit_test(test_partial_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
