/* SPDX-License-Identifier: GPL-3.0-or-later */
/* copy_file_range: what is shared and what is copied, and that nothing can tell but the number of objects. */
#include "fixture.h"

#include <errno.h>
#include <sys/stat.h>

#define ROOT   META_ROOT_INO
#define BLOCK  65536u
#define BLOCKS 6

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_make(
		f, "settle = 200ms\ncache = 64M\nblock-size = 64K", "[rule pub]\npath = /pub/**\nzone = foreign\n");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_destroy(*state);
	free(*state);
	return 0;
}

static uint64_t make(struct fixture *f, uint64_t dir, const char *name)
{
	struct stat st;

	assert_int_equal(core_mknod(f->core, &me, dir, name, S_IFREG | 0644, 0, &st), 0);
	return st.st_ino;
}

static ssize_t copy(struct fixture *f, uint64_t from, uint64_t off, uint64_t to, uint64_t target_off, size_t len)
{
	struct core_io io = {
		.kind = CORE_COPY, .ino = from, .off = off, .len = len, .target_ino = to, .target_off = target_off
	};

	return core_io_wait(f->core, &io);
}

static void fill(uint8_t *out, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(rand_r(&seed) | 1);
}

static void same(struct fixture *f, uint64_t ino, const uint8_t *expected, size_t len)
{
	uint8_t *got = malloc(len + 1);

	assert_int_equal(fixture_pread(f, ino, got, len + 1, 0), (ssize_t)len);
	if (memcmp(got, expected, len) != 0)
		fail_msg("the content differs");
	free(got);
}

static int one_row(void *ctx, struct meta_row *row)
{
	*(int64_t *)ctx = meta_row_i64(row, 0);
	return 0;
}

/* Stretches of objects in a zone that blocks point at: several blocks in one object are as many, shared ones one. */
enum { NEAR = 1, FAR = 2 };
static int stretches(struct fixture *f, int zone)
{
	static const char sql[] = "SELECT count(*) FROM (SELECT DISTINCT e.object, e.offset FROM extent e"
				  " JOIN object o ON o.num = e.object WHERE o.zone = ?1)";
	int64_t count = -1;

	assert_int_equal(meta_select(core_meta(f->core), sql, one_row, &count, "i", (int64_t)zone), 0);
	return (int)count;
}

/* A file of so many bytes, in the cloud. */
static uint64_t stored(struct fixture *f, const char *name, const uint8_t *data, size_t len)
{
	uint64_t ino = make(f, ROOT, name);

	assert_int_equal(fixture_pwrite(f, ino, data, len, 0), (ssize_t)len);
	fixture_sync(f);
	return ino;
}

static void test_one_object_for_both(void **state)
{
	struct fixture *f = *state;
	size_t len = 2 * BLOCK + 30000;
	uint8_t *data = malloc(len);
	uint64_t a, b;

	fill(data, len, 1);
	a = stored(f, "a", data, len);
	b = make(f, ROOT, "b");
	assert_int_equal(copy(f, a, 0, b, 0, 1 << 24), (ssize_t)len);
	fixture_sync(f);
	assert_int_equal(stretches(f, NEAR), 3);
	same(f, b, data, len);
	/* what one of them loses the other keeps; the last one takes the objects along */
	assert_int_equal(core_unlink(f->core, ROOT, "a"), 0);
	core_forget(f->core, a);
	fixture_sync(f);
	assert_int_equal(stretches(f, NEAR), 3);
	fixture_close(f);
	fixture_open(f);
	cache_evict(core_cache(f->core), UINT64_MAX);
	same(f, b, data, len);
	memset(data + BLOCK + 10, 'x', 20);
	assert_int_equal(fixture_pwrite(f, b, data + BLOCK + 10, 20, BLOCK + 10), 20);
	fixture_sync(f);
	assert_int_equal(stretches(f, NEAR), 3);
	same(f, b, data, len);
	assert_int_equal(core_unlink(f->core, ROOT, "b"), 0);
	core_forget(f->core, b);
	for (int i = 0; i < 100 && fixture_objects(f, "near"); i++)
		usleep(100000);
	assert_int_equal(fixture_objects(f, "near"), 0);
	free(data);
}

static void test_another_zone_is_copied(void **state)
{
	struct fixture *f = *state;
	uint64_t pub = fixture_mkdir(f, ROOT, "pub"), a, b, c;
	uint8_t data[2 * BLOCK];

	fill(data, sizeof(data), 2);
	a = stored(f, "a", data, sizeof(data));
	b = make(f, pub, "b");
	assert_int_equal(copy(f, a, 0, b, 0, sizeof(data)), sizeof(data));
	fixture_sync(f);
	assert_int_equal(stretches(f, NEAR), 2);
	assert_int_equal(stretches(f, FAR), 2);
	/* shared at home, and then one of the two moves */
	c = make(f, ROOT, "c");
	assert_int_equal(copy(f, a, 0, c, 0, sizeof(data)), sizeof(data));
	fixture_sync(f);
	assert_int_equal(stretches(f, NEAR), 2);
	assert_int_equal(core_rename(f->core, ROOT, "c", pub, "c", 0), 0);
	fixture_sync(f);
	assert_int_equal(stretches(f, NEAR), 2);
	assert_int_equal(stretches(f, FAR), 4);
	same(f, a, data, sizeof(data));
	same(f, b, data, sizeof(data));
	same(f, c, data, sizeof(data));
}

/* Parts and what is on no cloud yet are copied as ever; objects tell which it was. */
static void test_what_is_copied(void **state)
{
	static const struct {
		uint64_t off, to;
		size_t len;
		int stretches;
	} rows[] = {
		{ 0, 0, 3 * BLOCK, 0 },		  /* all blocks */
		{ 1, 1, 3 * BLOCK - 1, 1 },	  /* the first in part */
		{ BLOCK, 0, BLOCK, 0 },		  /* to another place */
		{ BLOCK, 5, BLOCK, 2 },		  /* which is no block's */
		{ 2 * BLOCK, 0, BLOCK + 100, 0 }, /* the last, to a file's end */
		{ 2 * BLOCK, 0, BLOCK + 50, 1 },  /* not all of the last */
		{ 3 * BLOCK, BLOCK, 100, 1 },	  /* beyond the target's end */
	};
	struct fixture *f = *state;
	uint8_t data[3 * BLOCK + 100], expected[5 * BLOCK];
	uint64_t a;

	fill(data, sizeof(data), 3);
	a = stored(f, "a", data, sizeof(data));
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint64_t b = make(f, ROOT, "b");
		int before = stretches(f, NEAR);

		memset(expected, 0, sizeof(expected));
		memcpy(expected + rows[i].to, data + rows[i].off, rows[i].len);
		assert_int_equal(copy(f, a, rows[i].off, b, rows[i].to, rows[i].len), rows[i].len);
		same(f, b, expected, rows[i].to + rows[i].len);
		fixture_sync(f);
		if (stretches(f, NEAR) - before != rows[i].stretches)
			fail_msg("row %zu: %d stretches", i, stretches(f, NEAR) - before);
		assert_int_equal(core_unlink(f->core, ROOT, "b"), 0);
		core_forget(f->core, b);
	}
	/* not the last of a target that goes on */
	assert_int_equal(copy(f, a, 3 * BLOCK, a, 0, 100), 100);
	memcpy(expected, data, sizeof(data));
	memcpy(expected, data + 3 * BLOCK, 100);
	same(f, a, expected, sizeof(data));
	/* a block that was changed since it was stored, beside one that was not */
	uint64_t c = make(f, ROOT, "c");

	assert_int_equal(copy(f, a, 0, c, 0, 2 * BLOCK), 2 * BLOCK);
	same(f, c, expected, 2 * BLOCK);
}

static void test_held_marks_the_copy(void **state)
{
	struct fixture *f = *state;
	uint8_t data[BLOCK];
	struct inode *inode;
	uint64_t a, b;

	fill(data, sizeof(data), 4);
	a = stored(f, "a", data, sizeof(data));
	assert_int_equal(meta_inode_get(core_meta(f->core), a, &inode), 0);
	meta_lock(core_meta(f->core));
	inode->flags |= INODE_HELD;
	meta_inode_changed(core_meta(f->core), inode);
	meta_unlock(core_meta(f->core));
	meta_inode_put(core_meta(f->core), inode);
	b = make(f, ROOT, "b");
	assert_int_equal(copy(f, a, 0, b, 0, BLOCK), BLOCK);
	assert_int_equal(meta_inode_get(core_meta(f->core), b, &inode), 0);
	assert_true(inode->flags & INODE_HELD);
	assert_true(inode->flags & INODE_EVER_STORED);
	meta_inode_put(core_meta(f->core), inode);
	fixture_sync(f);
	assert_int_equal(stretches(f, NEAR), 1);
}

/* ---- two files and their models ---- */

struct model {
	uint8_t data[BLOCKS * BLOCK];
	size_t size;
};

static void model_put(struct model *m, uint64_t off, const uint8_t *data, size_t len)
{
	memcpy(m->data + off, data, len);
	m->size = m->size > off + len ? m->size : off + len;
}

static void random_step(struct fixture *f, const uint64_t *ino, struct model *m, unsigned *seed)
{
	static uint8_t bytes[2 * BLOCK];
	int from = rand_r(seed) % 2, to = rand_r(seed) % 2;
	uint64_t off = (uint64_t)(rand_r(seed) % BLOCKS) * BLOCK, target = (uint64_t)(rand_r(seed) % BLOCKS) * BLOCK;
	size_t len = (size_t)(rand_r(seed) % 2 + 1) * BLOCK;

	if (rand_r(seed) % 4 == 0)
		off += (uint64_t)rand_r(seed) % BLOCK;
	if (rand_r(seed) % 4 == 0)
		len -= (size_t)rand_r(seed) % BLOCK;
	len = len < sizeof(m->data) - off ? len : sizeof(m->data) - off;
	len = len < sizeof(m->data) - target ? len : sizeof(m->data) - target;
	switch (rand_r(seed) % 8) {
	case 0:
		assert_int_equal(copy(f, ino[from], 0, ino[to], 0, 0), 0);
		fixture_sync(f);
		break;
	case 1:
		for (size_t i = off; i < m[to].size; i++)
			m[to].data[i] = 0;
		m[to].size = off;
		assert_int_equal(
			core_io_wait(f->core, &(struct core_io){ .kind = CORE_TRUNCATE, .ino = ino[to], .off = off }),
			0);
		break;
	case 2:
	case 3:
		fill(bytes, len, *seed);
		assert_int_equal(fixture_pwrite(f, ino[to], bytes, len, off), (ssize_t)len);
		model_put(&m[to], off, bytes, len);
		break;
	case 4:
		cache_evict(core_cache(f->core), UINT64_MAX);
		break;
	default:
		if (from == to && off < target + len && target < off + len)
			break;
		if (off >= m[from].size)
			len = 0;
		else if (len > m[from].size - off)
			len = m[from].size - off;
		memcpy(bytes, m[from].data + off, len);
		assert_int_equal(copy(f, ino[from], off, ino[to], target, len), (ssize_t)len);
		if (len)
			model_put(&m[to], target, bytes, len);
	}
}

static void test_random_copies(void **state)
{
	struct fixture *f = *state;
	struct model *m = calloc(2, sizeof(*m));
	uint64_t ino[2] = { make(f, ROOT, "a"), make(f, ROOT, "b") };
	unsigned seed = 5;

	for (int i = 0; i < 400; i++) {
		random_step(f, ino, m, &seed);
		if (i % 10 == 9) {
			same(f, ino[0], m[0].data, m[0].size);
			same(f, ino[1], m[1].data, m[1].size);
		}
		if (i % 150 == 149) {
			fixture_close(f);
			fixture_open(f);
		}
	}
	fixture_sync(f);
	cache_evict(core_cache(f->core), UINT64_MAX);
	same(f, ino[0], m[0].data, m[0].size);
	same(f, ino[1], m[1].data, m[1].size);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_object_for_both, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_zone_is_copied, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_copied, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held_marks_the_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_copies, setup, teardown),
	};

	if (crypt_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
