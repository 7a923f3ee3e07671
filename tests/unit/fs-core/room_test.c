/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test: timeout=240 */
/* Operations that wait for room in the cache get it in the order in which they came. */
#include "tests/unit/fs-core/fixture.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#define ROOT 1u
#define MIB  (1u << 20)
#define FEW  8

static atomic_int ended; /* operations, so far */

struct op {
	struct core_io io;
	atomic_int place; /* among those that ended, from 1; 0: it has not */
	ssize_t rc;
};

static void on_done(struct core_io *io, ssize_t rc)
{
	struct op *op = io->ctx;

	op->rc = rc;
	op->place = ++ended;
}

static void start(struct fixture *f, struct op *op, uint64_t ino, void *buf, size_t len, uint64_t off)
{
	*op = (struct op){
		.io = { .kind = CORE_WRITE, .ino = ino, .buf = buf, .len = len, .off = off, .done = on_done }
	};
	op->io.ctx = op;
	core_io_start(f->core, &op->io);
}

static bool ends_within(struct op *op, int64_t ms)
{
	int64_t until = clock_mono_ns() + ms * NS_PER_MS;

	while (!op->place && clock_mono_ns() < until)
		nanosleep(&(struct timespec){ .tv_nsec = 5 * NS_PER_MS }, NULL);
	return op->place != 0;
}

/* The cloud gone, and the cache full: the write that found no room first. */
static void fill(struct fixture *f, uint64_t ino, void *data, struct op *first)
{
	char near[192], away[192];

	snprintf(near, sizeof near, "%s/near", f->dir);
	snprintf(away, sizeof away, "%s/away", f->dir);
	assert_true(rename(near, away) == 0 || access(near, F_OK) < 0);
	for (uint64_t off = 0;; off += MIB) {
		assert_true(off < 128ull * MIB);
		start(f, first, ino, data, MIB, off);
		if (!ends_within(first, 1500))
			return;
		assert_int_equal(first->rc, MIB);
	}
}

static void empty(struct fixture *f, uint64_t ino)
{
	struct core_io io = { .kind = CORE_TRUNCATE, .ino = ino, .off = 0 };

	assert_int_equal(core_io_wait(f->core, &io), 0);
}

/* Small writes that would find room do not take it from a large one that came before them; those that are given up let
 * the next ones through. */
static void test_order(void **state)
{
	static char data[MIB];
	struct op first, few[FEW];
	uint64_t big, old, small;
	struct fixture f;
	char read[8];

	(void)state;
	fixture_make(&f, "settle = 100ms\ncache = 64M", "");
	old = fixture_write(&f, ROOT, "old", "");
	big = fixture_write(&f, ROOT, "big", "");
	small = fixture_write(&f, ROOT, "small", "");
	memset(data, 'x', sizeof data);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(fixture_pwrite(&f, old, data, MIB, (uint64_t)i * MIB), MIB);
	fill(&f, big, data, &first);
	for (unsigned i = 0; i < FEW; i++)
		start(&f, &few[i], small, data, 4096, (uint64_t)i * 8192);
	assert_false(ends_within(&few[FEW - 1], 1000));
	for (unsigned i = 0; i < FEW; i++)
		assert_int_equal(few[i].place, 0);
	/* reading, and what makes room, wait for nobody */
	assert_int_equal(fixture_pread(&f, big, read, sizeof read, 0), sizeof read);
	core_io_cancel(f.core, &few[2].io);
	assert_true(ends_within(&few[2], 5000));
	assert_int_equal(few[2].rc, -EINTR);
	empty(&f, old);
	assert_true(ends_within(&first, 20000));
	assert_int_equal(first.rc, MIB);
	for (unsigned i = 0; i < FEW; i++) {
		assert_true(ends_within(&few[i], 20000));
		assert_int_equal(few[i].rc, i == 2 ? -EINTR : 4096);
		if (i != 2)
			assert_int_equal(few[i].place, first.place + 1 + (int)i - (i > 2));
	}
	/* the first one goes: the others need not wait for what it wanted */
	fill(&f, big, data, &first);
	start(&f, &few[0], small, data, 4096, 8192 * FEW);
	assert_false(ends_within(&few[0], 500));
	core_io_cancel(f.core, &first.io);
	assert_true(ends_within(&first, 5000));
	assert_int_equal(first.rc, -EINTR);
	assert_true(ends_within(&few[0], 10000));
	assert_int_equal(few[0].rc, 4096);
	fixture_destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
	};

	if (crypt_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
