/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fixture.h"

#include <errno.h>
#include <sys/stat.h>

#define ROOT META_ROOT_INO
#define MIB  (1u << 20)

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_make(f, "settle = 200ms\ncache = 64M", "[rule pub]\npath = /pub/**\nzone = foreign\n");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_destroy(*state);
	free(*state);
	return 0;
}

static ssize_t truncate_to(struct fixture *f, uint64_t ino, uint64_t size)
{
	struct core_io io = { .kind = CORE_TRUNCATE, .ino = ino, .off = size };

	return core_io_wait(f->core, &io);
}

static ssize_t allocate(struct fixture *f, uint64_t ino, int mode, uint64_t off, size_t len)
{
	struct core_io io = { .kind = CORE_FALLOCATE, .ino = ino, .off = off, .len = len, .mode = mode };

	return core_io_wait(f->core, &io);
}

static uint64_t size_of(struct fixture *f, uint64_t ino)
{
	struct stat st;

	assert_int_equal(core_getattr(f->core, ino, &st), 0);
	return (uint64_t)st.st_size;
}

/* a model beside the file: random changes, then equal bytes, before and after a new start and a lost cache */
struct model {
	uint8_t data[12 * MIB];
	uint64_t size;
};

static void expect_model(struct fixture *f, uint64_t ino, const struct model *m)
{
	uint8_t *got = malloc(sizeof(m->data));

	assert_int_equal(size_of(f, ino), m->size);
	assert_int_equal(fixture_pread(f, ino, got, sizeof(m->data), 0), (ssize_t)m->size);
	if (memcmp(got, m->data, m->size) != 0)
		fail_msg("the content differs");
	free(got);
}

static void random_change(struct fixture *f, uint64_t ino, struct model *m, unsigned *seed)
{
	uint64_t off = (uint64_t)rand_r(seed) % (9 * MIB);
	size_t len = (size_t)rand_r(seed) % (rand_r(seed) % 4 ? 20000 : 2 * MIB) + 1;
	static uint8_t fresh[2 * MIB + 1];

	switch (rand_r(seed) % 8) {
	case 0:
		assert_int_equal(truncate_to(f, ino, off), 0);
		if (off > m->size)
			memset(m->data + m->size, 0, off - m->size);
		m->size = off;
		return;
	case 1:
		assert_int_equal(allocate(f, ino, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len), 0);
		if (off < m->size)
			memset(m->data + off, 0, off + len < m->size ? len : m->size - off);
		return;
	default:
		memset(fresh, rand_r(seed), len);
		assert_int_equal(fixture_pwrite(f, ino, fresh, len, off), (ssize_t)len);
		if (off > m->size)
			memset(m->data + m->size, 0, off - m->size);
		memcpy(m->data + off, fresh, len);
		if (off + len > m->size)
			m->size = off + len;
	}
}

static void test_random_changes(void **state)
{
	struct fixture *f = *state;
	struct model *m = calloc(1, sizeof(*m));
	uint64_t ino = fixture_write(f, ROOT, "f", "");
	unsigned seed = 20261122;

	for (int round = 0; round < 12; round++) {
		for (int i = 0; i < 25; i++)
			random_change(f, ino, m, &seed);
		expect_model(f, ino, m);
		if (round % 3 == 0)
			assert_int_equal(core_fsync(f->core, ino), 0);
		if (round % 3 == 1) {
			fixture_close(f);
			fixture_open(f);
		}
		if (round % 3 == 2) {
			fixture_sync(f);
			cache_evict(core_cache(f->core), UINT64_MAX);
		}
		expect_model(f, ino, m);
	}
	free(m);
}

static void test_fetch_after_losing_the_cache(void **state)
{
	struct fixture *f = *state;
	uint64_t small = fixture_write(f, ROOT, "small", "a few bytes"), big = fixture_write(f, ROOT, "big", "");
	char *data = malloc(9 * MIB), *got = malloc(9 * MIB), command[256];

	for (size_t i = 0; i < 9 * MIB; i++)
		data[i] = (char)(i * 2654435761u >> 13);
	assert_int_equal(fixture_pwrite(f, big, data, 9 * MIB, 0), 9 * MIB);
	fixture_sync(f);
	assert_int_equal(fixture_objects(f, "near"), 4);
	assert_int_equal(fixture_objects(f, "far"), 0);
	fixture_close(f);
	snprintf(command, sizeof(command), "rm -rf %s/store/cache", f->dir);
	assert_int_equal(system(command), 0);
	fixture_open(f);
	cache_evict(core_cache(f->core), UINT64_MAX);
	fixture_expect(f, small, "a few bytes");
	/* a small read in the middle first, then all of it, then a write over a part that is only on the backend */
	assert_int_equal(fixture_pread(f, big, got, 4096, 5 * MIB), 4096);
	assert_memory_equal(got, data + 5 * MIB, 4096);
	assert_int_equal(fixture_pread(f, big, got, 9 * MIB, 0), 9 * MIB);
	assert_memory_equal(got, data, 9 * MIB);
	cache_evict(core_cache(f->core), UINT64_MAX);
	assert_int_equal(fixture_pwrite(f, big, "xyz", 3, 8 * MIB + 777), 3);
	memcpy(data + 8 * MIB + 777, "xyz", 3);
	assert_int_equal(fixture_pread(f, big, got, 9 * MIB, 0), 9 * MIB);
	assert_memory_equal(got, data, 9 * MIB);
	free(data);
	free(got);
}

/* An interrupt that comes before the operation has begun is not forgotten: it ends what would wait, and only that. */
static void test_cancelled_early(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = fixture_write(f, ROOT, "f", "a few bytes");
	char got[16];
	struct core_io first = { .kind = CORE_READ, .ino = ino, .len = sizeof(got), .buf = got };
	struct core_io second = first;

	core_io_cancel(f->core, &first);
	assert_int_equal(core_io_wait(f->core, &first), 11);
	fixture_sync(f);
	cache_evict(core_cache(f->core), UINT64_MAX);
	core_io_cancel(f->core, &second);
	assert_int_equal(core_io_wait(f->core, &second), -EINTR);
	fixture_expect(f, ino, "a few bytes");
}

static void test_moves_between_zones(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	uint64_t pub, ino;

	assert_int_equal(core_mkdir(f->core, &me, ROOT, "pub", 0755, &st), 0);
	pub = st.st_ino;
	ino = fixture_write(f, pub, "page", "for everyone");
	fixture_sync(f);
	assert_int_equal(fixture_objects(f, "far"), 1);
	assert_int_equal(fixture_objects(f, "near"), 0);
	assert_int_equal(core_rename(f->core, pub, "page", ROOT, "page", 0), 0);
	fixture_sync(f);
	assert_int_equal(fixture_objects(f, "far"), 0);
	assert_int_equal(fixture_objects(f, "near"), 1);
	fixture_expect(f, ino, "for everyone");
	assert_int_equal(core_unlink(f->core, ROOT, "page"), 0);
	core_forget(f->core, ino);
	fixture_sync(f);
	assert_int_equal(fixture_objects(f, "near"), 0);
}

static const struct {
	int mode;
	uint64_t off;
	size_t len;
	int rc;
	uint64_t size;
} allocate_rows[] = {
	{ 0, 0, 100, 0, 100 },
	{ 0, 0, 0, -EINVAL, 100 },
	{ FALLOC_FL_KEEP_SIZE, 0, 5000, 0, 100 },
	{ FALLOC_FL_PUNCH_HOLE, 0, 10, -EINVAL, 100 },
	{ FALLOC_FL_ZERO_RANGE, 50, 100, 0, 150 },
	{ FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 50, 200, 0, 150 },
	{ FALLOC_FL_COLLAPSE_RANGE, 0, 4096, -EOPNOTSUPP, 150 },
	{ 0, INT64_MAX - 10, 100, -EFBIG, 150 },
};

static void test_fallocate_table(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = fixture_write(f, ROOT, "f", "");

	for (size_t i = 0; i < sizeof(allocate_rows) / sizeof(allocate_rows[0]); i++) {
		ssize_t rc = allocate(f, ino, allocate_rows[i].mode, allocate_rows[i].off, allocate_rows[i].len);

		if (rc != allocate_rows[i].rc || size_of(f, ino) != allocate_rows[i].size)
			fail_msg("row %zu: %zd, size %llu", i, rc, (unsigned long long)size_of(f, ino));
	}
}

static void test_errors(void **state)
{
	struct fixture *f = *state;
	uint64_t dir = fixture_ino(f, ROOT, "."), ino = fixture_write(f, ROOT, "f", "x");
	char byte = 'x';

	assert_int_equal(truncate_to(f, dir, 0), -EISDIR);
	assert_int_equal(truncate_to(f, 4711, 0), -ENOENT);
	assert_int_equal(truncate_to(f, ino, (uint64_t)INT64_MAX + 1), -EFBIG);
	assert_int_equal(fixture_pwrite(f, ino, &byte, 1, INT64_MAX), -EFBIG);
	assert_int_equal(fixture_pread(f, ino, &byte, 1, 100), 0);
}

static void test_sparse_and_seek(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = fixture_write(f, ROOT, "f", ""), off;
	struct stat st;

	assert_int_equal(fixture_pwrite(f, ino, "end", 3, 40ull << 30), 3);
	assert_int_equal(core_fsync(f->core, ino), 0);
	assert_int_equal(core_getattr(f->core, ino, &st), 0);
	assert_int_equal(st.st_size, (40ll << 30) + 3);
	assert_true(st.st_blocks * 512 <= 8192);
	assert_int_equal(core_lseek(f->core, ino, 0, SEEK_DATA, &off), 0);
	assert_int_equal(off, 40ull << 30);
	assert_int_equal(core_lseek(f->core, ino, 0, SEEK_HOLE, &off), 0);
	assert_int_equal(off, 0);
	assert_int_equal(core_lseek(f->core, ino, 40ull << 30, SEEK_HOLE, &off), 0);
	assert_int_equal(off, (40ull << 30) + 3);
	assert_int_equal(core_lseek(f->core, ino, 41ull << 30, SEEK_DATA, &off), -ENXIO);
}

/* By units, not synced and synced. Once uploaded, what lies before data in one block is data too: zeros of its object.
 */
static void test_seek_by_units(void **state)
{
	static const struct {
		int whence;
		uint64_t from, wanted;
	} rows[] = { { SEEK_DATA, 0, 20480 }, { SEEK_HOLE, 0, 0 }, { SEEK_HOLE, 20480, 24576 },
		{ SEEK_HOLE, 24000, 24576 }, { SEEK_DATA, 24576, 9437184 }, { SEEK_HOLE, 9437184, 9441280 },
		{ SEEK_HOLE, 9441280, 9441280 } };
	struct fixture *f = *state;
	uint64_t ino = fixture_write(f, ROOT, "f", ""), off;
	struct core_io grow = { .kind = CORE_TRUNCATE, .ino = ino, .off = 10u << 20 };
	char data[4096];

	memset(data, 'x', sizeof(data));
	assert_int_equal(fixture_pwrite(f, ino, data, sizeof(data), 20480), 4096);
	assert_int_equal(fixture_pwrite(f, ino, data, sizeof(data), 9437184), 4096);
	assert_int_equal(core_io_wait(f->core, &grow), 0);
	for (int synced = 0; synced < 2; synced++) {
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			assert_int_equal(core_lseek(f->core, ino, rows[i].from, rows[i].whence, &off), 0);
			assert_int_equal(off, rows[i].wanted);
		}
		assert_int_equal(core_lseek(f->core, ino, 9441280, SEEK_DATA, &off), -ENXIO);
		assert_int_equal(core_lseek(f->core, ino, 10u << 20, SEEK_HOLE, &off), -ENXIO);
		assert_int_equal(core_fsync(f->core, ino), 0);
	}
	fixture_sync(f);
	assert_int_equal(core_lseek(f->core, ino, 0, SEEK_DATA, &off), 0);
	assert_true(off <= 20480);
	assert_int_equal(core_lseek(f->core, ino, 20480, SEEK_HOLE, &off), 0);
	assert_int_equal(off, 24576);
}

/* Rules that are changed while nobody has the store mounted move what is stored, as a reload does. */
static void test_rules_changed_meanwhile(void **state)
{
	struct fixture *f = *state;

	fixture_write(f, fixture_mkdir(f, ROOT, "pub"), "file", "goes abroad");
	fixture_sync(f);
	assert_int_equal(fixture_objects(f, "far"), 1);
	fixture_close(f);
	fixture_config(f, "settle = 200ms\ncache = 64M", "[rule pub]\npath = /pub/**\nzone = domestic\n");
	fixture_open(f);
	fixture_sync(f);
	assert_int_equal(fixture_objects(f, "far"), 0);
	assert_int_equal(fixture_objects(f, "near"), 1);
}

struct forgotten {
	struct fixture *f;
	uint64_t ino;
};

static void *forgotten_main(void *arg)
{
	struct forgotten *who = arg;

	core_forget(who->f->core, who->ino);
	return NULL;
}

/* What an upload, or a rule on media types, reads of a file is there until it has read it. */
static void test_deleted_while_read(void **state)
{
	struct fixture *f = *state;
	struct forgotten who = { f, fixture_write(f, ROOT, "small", "some bytes") };
	struct cache_need need;
	struct inode *inode;
	pthread_t thread;
	char got[16] = "";

	assert_int_equal(core_fsync(f->core, who.ino), 0);
	assert_int_equal(meta_inode_get(core_meta(f->core), who.ino, &inode), 0);
	assert_int_equal(core_unlink(f->core, ROOT, "small"), 0);
	pthread_rwlock_rdlock(&inode->data_lock);
	assert_int_equal(pthread_create(&thread, NULL, forgotten_main, &who), 0);
	nanosleep(&(struct timespec){ 0, 50 * NS_PER_MS }, NULL);
	assert_int_equal(cache_read(core_cache(f->core), inode, 0, got, 10, &need), 0);
	assert_string_equal(got, "some bytes");
	pthread_rwlock_unlock(&inode->data_lock);
	assert_int_equal(pthread_join(thread, NULL), 0);
	meta_inode_put(core_meta(f->core), inode);
	assert_int_equal(meta_inode_get(core_meta(f->core), who.ino, &inode), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fetch_after_losing_the_cache, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancelled_early, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moves_between_zones, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fallocate_table, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sparse_and_seek, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seek_by_units, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rules_changed_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deleted_while_read, setup, teardown),
	};

	if (crypt_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
