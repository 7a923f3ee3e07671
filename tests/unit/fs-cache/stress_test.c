/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Many threads at once: writers, readers, syncs, uploads, evictions, fills and truncations of the same files. */
#include "tests/unit/fs-cache/fixture.h"

#define BLOCK (256u << 10)

struct stress {
	struct fix f;
	struct inode *ip;
	atomic_bool stop;
	atomic_uint seed;
	pthread_rwlock_t gate; /* held alone: the background rests */
	uint32_t blocks;
	/* stamped: of each unit the stamp of the last write that ended, and of the last that began */
	uint32_t units;
	atomic_uint_fast64_t *ended, *begun;
};

static uint64_t thread_seed(struct stress *s)
{
	return (atomic_fetch_add(&s->seed, 1) + 1) * 0x9e3779b97f4a7c15;
}

static int duration_s(void)
{
	const char *scale = getenv("TEST_SCALE");

	return scale ? 2 * atoi(scale) : 2;
}

/* ---- the background: nothing in it changes what the file holds ---- */

static void *syncer(void *arg)
{
	struct stress *s = arg;
	uint64_t random = thread_seed(s);

	while (!atomic_load(&s->stop)) {
		pthread_rwlock_rdlock(&s->gate);
		assert_int_equal(fix_random(&random) % 2 ? cache_sync(s->f.c, s->ip) : cache_sync_all(s->f.c), 0);
		if (fix_random(&random) % 2)
			assert_int_equal(meta_sync(s->f.m), 0);
		pthread_rwlock_unlock(&s->gate);
	}
	return NULL;
}

static void *uploader(void *arg)
{
	struct stress *s = arg;
	uint64_t random = thread_seed(s);

	while (!atomic_load(&s->stop)) {
		int rc;

		pthread_rwlock_rdlock(&s->gate);
		rc = fix_upload(&s->f, s->ip, (uint32_t)(fix_random(&random) % s->blocks));
		assert_true(rc == 0 || rc == -ENOENT || rc == -ERR_STALE || rc == -ERR_NEED_FETCH);
		if (rc == -ERR_STALE)
			assert_int_equal(cache_sync(s->f.c, s->ip), 0);
		pthread_rwlock_unlock(&s->gate);
	}
	return NULL;
}

static void *evicter(void *arg)
{
	struct stress *s = arg;
	uint64_t random = thread_seed(s);

	while (!atomic_load(&s->stop)) {
		struct cache_need need = { .index = (uint32_t)(fix_random(&random) % s->blocks) };

		pthread_rwlock_rdlock(&s->gate);
		cache_evict(s->f.c, UINT64_MAX);
		need.off = (uint32_t)(fix_random(&random) % (BLOCK / UNIT)) * UNIT;
		need.len = UNIT;
		/* outside the extent: nothing */
		fix_fetch(&s->f, s->ip, &need);
		pthread_rwlock_unlock(&s->gate);
		usleep(2000);
	}
	return NULL;
}

static void stress_start(struct stress *s, uint32_t blocks)
{
	pthread_rwlockattr_t fair;

	memset(s, 0, sizeof *s);
	fix_start(&s->f, BLOCK, 1 << 30);
	pthread_rwlockattr_init(&fair);
	pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&s->gate, &fair);
	pthread_rwlockattr_destroy(&fair);
	s->blocks = blocks;
	s->ip = fix_file(&s->f);
}

static void stress_end(struct stress *s)
{
	meta_inode_put(s->f.m, s->ip);
	pthread_rwlock_destroy(&s->gate);
	fix_end(&s->f);
}

/* ---- stamped units: a read shows whole units, none older than the last write that had returned ---- */

static void stamp(uint64_t *to, uint64_t value)
{
	for (size_t i = 0; i < UNIT / sizeof *to; i++)
		to[i] = value;
}

struct writer {
	struct stress *s;
	uint32_t first, units; /* its own */
};

static void write_stamps(struct writer *w, uint64_t *random, uint64_t *buf, uint64_t value)
{
	uint32_t n = 1 + (uint32_t)(fix_random(random) % (fix_random(random) % 3 ? 4 : w->units));
	uint32_t at = w->first + (uint32_t)(fix_random(random) % (w->units - n + 1));
	/* also the second half of a unit alone, which reads what is there */
	bool part = n == 1 && fix_random(random) % 4 == 0;

	for (uint32_t i = 0; i < n; i++) {
		if (part)
			value = atomic_load(&w->s->ended[at]);
		atomic_store(&w->s->begun[at + i], value);
		stamp(buf + (size_t)i * UNIT / sizeof *buf, value);
	}
	assert_int_equal(fix_write(&w->s->f, w->s->ip, (uint64_t)at * UNIT + (part ? UNIT / 2 : 0), buf,
				 part ? UNIT / 2 : (size_t)n * UNIT),
		0);
	for (uint32_t i = 0; i < n; i++)
		atomic_store(&w->s->ended[at + i], value);
}

static void *stamper(void *arg)
{
	struct writer *w = arg;
	uint64_t random = thread_seed(w->s), *buf = malloc((size_t)w->units * UNIT);

	assert_non_null(buf);
	for (uint64_t value = 1; !atomic_load(&w->s->stop); value++)
		write_stamps(w, &random, buf, value);
	free(buf);
	return NULL;
}

static void *stamp_reader(void *arg)
{
	struct stress *s = arg;
	uint64_t random = thread_seed(s), *buf = malloc(64 * UNIT), *low = malloc(64 * sizeof *low);

	assert_true(buf && low);
	while (!atomic_load(&s->stop)) {
		uint32_t n = 1 + (uint32_t)(fix_random(&random) % 64);
		uint32_t at = (uint32_t)(fix_random(&random) % (s->units - n + 1));

		for (uint32_t i = 0; i < n; i++)
			low[i] = atomic_load(&s->ended[at + i]);
		assert_int_equal(fix_call(&s->f, s->ip, CALL_READ, (uint64_t)at * UNIT, buf, (size_t)n * UNIT), 0);
		for (uint32_t i = 0; i < n; i++) {
			uint64_t *unit = buf + (size_t)i * UNIT / sizeof *buf;

			assert_in_range(unit[0], low[i], atomic_load(&s->begun[at + i]));
			for (size_t j = 1; j < UNIT / sizeof *unit; j++)
				assert_int_equal(unit[j], unit[0]);
		}
	}
	free(buf);
	free(low);
	return NULL;
}

static void stamps_check(struct stress *s)
{
	uint64_t *buf = malloc((size_t)s->units * UNIT);

	assert_non_null(buf);
	assert_int_equal(fix_call(&s->f, s->ip, CALL_READ, 0, buf, (size_t)s->units * UNIT), 0);
	for (uint32_t u = 0; u < s->units; u++)
		for (size_t j = 0; j < UNIT / sizeof *buf; j++)
			assert_int_equal(buf[u * (UNIT / sizeof *buf) + j], atomic_load(&s->ended[u]));
	free(buf);
}

static void reopen(struct stress *s)
{
	uint64_t ino = s->ip->ino;

	assert_int_equal(cache_sync(s->f.c, s->ip), 0);
	meta_inode_put(s->f.m, s->ip);
	fix_close(&s->f);
	fix_open(&s->f);
	s->ip = fix_inode(&s->f, ino);
}

static void writers_and_everything(void **state)
{
	struct stress s;
	struct writer w[3];
	pthread_t t[8];
	int n = 0;

	(void)state;
	stress_start(&s, 3);
	s.units = 3 * BLOCK / UNIT;
	s.ended = calloc(s.units, sizeof *s.ended);
	s.begun = calloc(s.units, sizeof *s.begun);
	assert_int_equal(fix_call(&s.f, s.ip, CALL_TRUNCATE, (uint64_t)s.units * UNIT, NULL, 0), 0);
	/* two of them share the middle block */
	for (uint32_t i = 0; i < 3; i++) {
		w[i] = (struct writer){ &s, i * (s.units / 3) + (i == 1 ? 9 : 0), s.units / 3 - (i == 1 ? 9 : 0) };
		if (i == 0)
			w[0].units += 9;
		assert_int_equal(pthread_create(&t[n++], NULL, stamper, &w[i]), 0);
	}
	assert_int_equal(pthread_create(&t[n++], NULL, stamp_reader, &s), 0);
	assert_int_equal(pthread_create(&t[n++], NULL, stamp_reader, &s), 0);
	assert_int_equal(pthread_create(&t[n++], NULL, syncer, &s), 0);
	assert_int_equal(pthread_create(&t[n++], NULL, uploader, &s), 0);
	assert_int_equal(pthread_create(&t[n++], NULL, evicter, &s), 0);
	sleep((unsigned)duration_s());
	atomic_store(&s.stop, true);
	while (n)
		pthread_join(t[--n], NULL);
	stamps_check(&s);
	reopen(&s);
	stamps_check(&s);
	free(s.ended);
	free(s.begun);
	stress_end(&s);
}

/* ---- truncation against syncs under way ---- */

#define SIZE_MOST (4 * BLOCK)

struct content {
	uint64_t size;
	uint8_t bytes[SIZE_MOST];
};

/* What a commit shows now: not more than the truncation left, and zeros where the file grows again. */
static void check_commit(struct stress *s, const struct content *m)
{
	static uint8_t bytes[SIZE_MOST];
	struct inode *ip;
	struct fix copy;
	uint64_t size;

	pthread_rwlock_wrlock(&s->gate);
	assert_int_equal(meta_sync(s->f.m), 0);
	fix_crash_meta(&s->f, &copy);
	fix_crash_files(&s->f, &copy);
	pthread_rwlock_unlock(&s->gate);
	fix_open(&copy);
	ip = fix_inode(&copy, s->ip->ino);
	size = ip->size;
	assert_in_range(size, 0, m->size);
	assert_int_equal(fix_call(&copy, ip, CALL_TRUNCATE, SIZE_MOST, NULL, 0), 0);
	assert_int_equal(fix_call(&copy, ip, CALL_READ, 0, bytes, SIZE_MOST), 0);
	for (uint64_t i = size; i < SIZE_MOST; i++)
		assert_int_equal(bytes[i], 0);
	meta_inode_put(copy.m, ip);
	fix_crash_end(&copy);
}

static void change(struct stress *s, struct content *m, uint64_t *random)
{
	uint64_t off = fix_random(random) % SIZE_MOST,
		 len = 1 + fix_random(random) % (fix_random(random) % 2 ? 5000 : BLOCK);

	len = off + len > SIZE_MOST ? SIZE_MOST - off : len;
	switch (fix_random(random) % 4) {
	case 0:
		if (off < m->size)
			memset(m->bytes + off, 0, m->size - off);
		m->size = off;
		assert_int_equal(fix_call(&s->f, s->ip, CALL_TRUNCATE, off, NULL, 0), 0);
		break;
	case 1:
		if (off < m->size)
			memset(m->bytes + off, 0, off + len < m->size ? len : m->size - off);
		assert_int_equal(fix_call(&s->f, s->ip, CALL_PUNCH, off, NULL, len), 0);
		break;
	default:
		fix_fill_random(random, m->bytes + off, len);
		m->size = off + len > m->size ? off + len : m->size;
		assert_int_equal(fix_write(&s->f, s->ip, off, m->bytes + off, len), 0);
	}
}

static void truncations_and_syncs(void **state)
{
	static struct content m;
	int64_t end = clock_mono_ns() + duration_s() * NS_PER_S;
	struct stress s;
	uint64_t random = 88172645463325252;
	pthread_t t[4];
	int n = 0;

	(void)state;
	memset(&m, 0, sizeof m);
	stress_start(&s, SIZE_MOST / BLOCK);
	assert_int_equal(pthread_create(&t[n++], NULL, syncer, &s), 0);
	assert_int_equal(pthread_create(&t[n++], NULL, syncer, &s), 0);
	assert_int_equal(pthread_create(&t[n++], NULL, uploader, &s), 0);
	assert_int_equal(pthread_create(&t[n++], NULL, evicter, &s), 0);
	for (int i = 1; clock_mono_ns() < end; i++) {
		change(&s, &m, &random);
		if (i % 16 == 0)
			fix_check(&s.f, s.ip, m.bytes, m.size);
		if (i % 64)
			continue;
		if (i % 128)
			check_commit(&s, &m);
		pthread_rwlock_wrlock(&s.gate);
		reopen(&s);
		fix_check(&s.f, s.ip, m.bytes, m.size);
		pthread_rwlock_unlock(&s.gate);
	}
	atomic_store(&s.stop, true);
	while (n)
		pthread_join(t[--n], NULL);
	fix_check(&s.f, s.ip, m.bytes, m.size);
	stress_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writers_and_everything),
		cmocka_unit_test(truncations_and_syncs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
