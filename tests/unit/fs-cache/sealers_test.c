/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The pages of many blocks are sealed by several threads at once, and what one of them cannot seal is not lost: libc's
 * pwrite is taken over, and sync_file_range, by which the disk begins to write. */
#include "tests/unit/fs-cache/one_file.h"

#include <sys/syscall.h>

#define PAGES_EACH 5
#define MEET_NS	   (10 * NS_PER_S)

static struct {
	pthread_mutex_t lock;
	pthread_cond_t met;
	pthread_t syncer;
	bool armed, meets;
	bool helpers_fail, syncer_fails;
	int writing, most; /* threads */
	int started;
} hook = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Waits until another thread writes too. */
static void meet(void)
{
	int64_t end = clock_mono_ns() + MEET_NS;

	hook.writing++;
	hook.most = hook.writing > hook.most ? hook.writing : hook.most;
	pthread_cond_broadcast(&hook.met);
	while (hook.meets && hook.most < 2 && clock_mono_ns() < end)
		cond_wait_until(&hook.met, &hook.lock, end);
	hook.writing--;
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t off)
{
	bool fails;

	pthread_mutex_lock(&hook.lock);
	if (hook.armed)
		meet();
	fails = hook.armed && (pthread_equal(pthread_self(), hook.syncer) ? hook.syncer_fails : hook.helpers_fail);
	pthread_mutex_unlock(&hook.lock);
	if (fails) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, buf, len, off);
}

int sync_file_range(int fd, off64_t off, off64_t len, unsigned flags)
{
	pthread_mutex_lock(&hook.lock);
	hook.started += hook.armed;
	pthread_mutex_unlock(&hook.lock);
	return (int)syscall(SYS_sync_file_range, fd, off, len, flags);
}

static int setup(void **state)
{
	cond_init_mono(&hook.met);
	hook.syncer = pthread_self();
	return one_file_setup(state, 64u << 20, 21);
}

/* Every second unit of the first ones of each block. */
static void write_pages(struct test *t, uint8_t *expected)
{
	memset(expected, 0, 4 * BLOCK);
	for (uint64_t off = 0; off < 4 * BLOCK; off += BLOCK) {
		for (uint64_t at = off; at < off + 2 * PAGES_EACH * UNIT; at += 2 * UNIT) {
			memcpy(expected + at, t->bytes + at, UNIT);
			assert_int_equal(fix_write(&t->f, t->ip, at, t->bytes + at, UNIT), 0);
		}
	}
	assert_int_equal(atomic_load(&t->f.c->pages), 4 * PAGES_EACH);
}

static void expect(struct test *t, const uint8_t *expected)
{
	fix_check(&t->f, t->ip, expected, 3 * BLOCK + (2 * PAGES_EACH - 1) * UNIT);
}

static int sync_armed(struct test *t)
{
	int rc;

	pthread_mutex_lock(&hook.lock);
	hook.armed = true;
	pthread_mutex_unlock(&hook.lock);
	rc = cache_sync(t->f.c, t->ip);
	pthread_mutex_lock(&hook.lock);
	hook.armed = false;
	pthread_mutex_unlock(&hook.lock);
	return rc;
}

static void at_once(void **state)
{
	struct test *t = *state;
	uint8_t *expected = malloc(4 * BLOCK);

	hook.meets = true;
	write_pages(t, expected);
	assert_int_equal(sync_armed(t), 0);
	assert_true(t->f.c->sealers ? hook.most >= 2 : hook.most == 1);
	/* each block as soon as it is sealed, and all of them before the sync waits */
	assert_int_equal(hook.started, t->f.c->sealers ? 8 : 4);
	assert_int_equal(atomic_load(&t->f.c->pages), 0);
	hook.meets = false;
	assert_int_equal(meta_sync(t->f.m), 0);
	expect(t, expected);
	reopen(t);
	expect(t, expected);
	free(expected);
}

static void failures(void **state)
{
	static const struct {
		bool helpers_fail, syncer_fails;
		int rc;
	} rows[] = { { true, false, 0 }, { false, true, -EIO }, { true, true, -EIO } };
	struct test *t = *state;
	uint8_t *expected = malloc(4 * BLOCK);

	log_to(open("/dev/null", O_WRONLY));
	for (size_t i = 0; i < COUNT(rows); i++) {
		write_pages(t, expected);
		hook.meets = true; /* both are there, where there are two */
		hook.most = 0;
		hook.helpers_fail = rows[i].helpers_fail;
		hook.syncer_fails = rows[i].syncer_fails;
		assert_int_equal(sync_armed(t), rows[i].rc);
		hook.meets = false;
		assert_int_equal(cache_is_synced(t->f.c, t->ip), rows[i].rc == 0);
		expect(t, expected);
		fix_sync(&t->f, t->ip);
		reopen(t);
		expect(t, expected);
	}
	log_to(-1);
	free(expected);
}

static int setup_large(void **state)
{
	return one_file_setup(state, 256u << 20, 22);
}

static void put_block(struct test *t, uint64_t index, size_t len)
{
	assert_int_equal(fix_write(&t->f, t->ip, index * BLOCK, t->bytes, len), 0);
}

/* With more than 64 MiB unsynced the disk begins with each block that was written to its end. */
static void much_unsynced(void **state)
{
	struct test *t = *state;

	pthread_mutex_lock(&t->f.c->sync_all); /* the thread syncs nothing meanwhile */
	hook.helpers_fail = hook.syncer_fails = false;
	hook.started = 0;
	hook.armed = true;
	for (uint64_t i = 0; i < 256; i++)
		put_block(t, i, BLOCK);
	assert_int_equal(hook.started, 0);
	put_block(t, 256, BLOCK);
	assert_int_equal(hook.started, 1);
	put_block(t, 257, BLOCK - UNIT);
	assert_int_equal(hook.started, 1);
	hook.armed = false;
	fix_sync(&t->f, t->ip);
	hook.armed = true;
	put_block(t, 258, BLOCK);
	assert_int_equal(hook.started, 1);
	hook.armed = false;
	pthread_mutex_unlock(&t->f.c->sync_all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(failures, setup, teardown),
		cmocka_unit_test_setup_teardown(much_unsynced, setup_large, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
