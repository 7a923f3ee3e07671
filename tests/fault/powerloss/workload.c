/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "workload.h"

#include "base/clock.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB 1024u
#define MIB (1024u * KIB)

static const struct core_caller me = { .uid = 0, .gid = 0 };
static uint32_t next_version = 1, next_ticket = 1; /* atomic */

static void expect(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "workload: %s failed\n", what);
	abort();
}

static void mark(enum mark_kind kind, uint32_t file, uint32_t version, uint64_t off, uint64_t len, uint32_t ticket)
{
	static void (*record)(const void *, size_t);
	struct mark m = { kind, file, version, ticket, off, len };

	if (!record)
		*(void **)&record = dlsym(RTLD_DEFAULT, "recorder_mark");
	if (record)
		record(&m, sizeof(m));
}

void workload_file_name(uint32_t file, char *out)
{
	snprintf(out, 16, "f%u", file);
}

static uint32_t fill(uint8_t *data, uint32_t file, uint64_t off, size_t len)
{
	uint32_t version = __atomic_fetch_add(&next_version, 1, __ATOMIC_RELAXED);

	for (size_t at = 0; at < len; at += CHUNK) {
		struct chunk c = { CHUNK_MAGIC, file, (uint32_t)((off + at) / CHUNK), version, { 0 } };

		memset(c.rest, (int)(version & 0xff), sizeof(c.rest));
		memcpy(data + at, &c, sizeof(c));
	}
	return version;
}

static uint64_t make(struct core *core, const char *name)
{
	struct core_file *file;
	struct stat st;

	expect(core_file_create(core, &me, META_ROOT_INO, name, 0644, O_RDWR, &file, &st) == 0, "create");
	core_file_release(core, file);
	return st.st_ino;
}

static uint64_t make_file(struct core *core, uint32_t file)
{
	char name[16];

	workload_file_name(file, name);
	return make(core, name);
}

static void io(struct core *core, enum core_io_kind kind, uint64_t ino, uint64_t off, void *buf, size_t len, int mode)
{
	struct core_io op = { .kind = kind, .ino = ino, .off = off, .len = len, .buf = buf, .mode = mode };

	expect(core_io_wait(core, &op) == (kind == CORE_WRITE ? (ssize_t)len : 0), "io");
}

static void put(struct core *core, uint64_t ino, uint32_t file, uint64_t off, size_t len)
{
	uint8_t *data = malloc(len);

	mark(MARK_WRITE, file, fill(data, file, off, len), off, len, 0);
	io(core, CORE_WRITE, ino, off, data, len, 0);
	free(data);
}

static void resize(struct core *core, uint64_t ino, uint32_t file, uint64_t size)
{
	mark(MARK_SIZE, file, 0, size, 0, 0);
	io(core, CORE_TRUNCATE, ino, size, NULL, 0, 0);
}

static void punch(struct core *core, uint64_t ino, uint32_t file, uint64_t off, size_t len)
{
	mark(MARK_PUNCH, file, 0, off, len, 0);
	io(core, CORE_FALLOCATE, ino, off, NULL, len, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
}

static void sync_ino(struct core *core, uint64_t ino, uint32_t file)
{
	uint32_t ticket = __atomic_fetch_add(&next_ticket, 1, __ATOMIC_RELAXED);

	mark(MARK_SYNC_BEGIN, file, 0, 0, 0, ticket);
	expect(core_fsync(core, ino) == 0, "fsync");
	mark(MARK_SYNCED, file, 0, 0, 0, ticket);
}

/* ---- the ten --------------------------------------------------------------------------------------------------------
 */

static void append(struct core *core, unsigned seed)
{
	uint64_t ino = make_file(core, 0);

	for (uint64_t off = 0; off < 600 * KIB; off += 4 * KIB) {
		put(core, ino, 0, off, 4 * KIB);
		if (rand_r(&seed) % 3 == 0)
			sync_ino(core, ino, 0);
	}
}

static void overwrite(struct core *core, unsigned seed)
{
	uint64_t ino = make_file(core, 0);

	put(core, ino, 0, 0, 5 * MIB);
	sync_ino(core, ino, 0);
	for (int i = 0; i < 150; i++) {
		put(core, ino, 0, (uint64_t)((unsigned)rand_r(&seed) % 1200) * 4 * KIB, 4 * KIB);
		if (i % 4 == 3)
			sync_ino(core, ino, 0);
	}
}

static void small_files(struct core *core, unsigned seed)
{
	for (uint32_t i = 0; i < 80; i++) {
		uint64_t ino = make_file(core, i);

		put(core, ino, i, 0, CHUNK * (1 + (size_t)rand_r(&seed) % 14));
		if (rand_r(&seed) % 2)
			sync_ino(core, ino, i);
	}
}

static void replace(struct core *core, uint32_t file, size_t size, bool sync)
{
	uint8_t *data = malloc(size);
	uint32_t version = fill(data, file, 0, size);
	uint64_t ino = make(core, "tmp");
	char name[16];

	io(core, CORE_WRITE, ino, 0, data, size, 0);
	free(data);
	if (sync)
		expect(core_fsync(core, ino) == 0, "fsync");
	workload_file_name(file, name);
	mark(MARK_REPLACE, file, version, 0, size, 0);
	expect(core_rename(core, META_ROOT_INO, "tmp", META_ROOT_INO, name, 0) == 0, "rename");
}

static void save_synced(struct core *core, unsigned seed)
{
	for (int i = 0; i < 50; i++) {
		replace(core, (uint32_t)i % 3, CHUNK * (1 + (size_t)rand_r(&seed) % 100), true);
		if (rand_r(&seed) % 2)
			sync_ino(core, META_ROOT_INO, (uint32_t)i % 3);
	}
}

/* as programs do that never heard of fsync: whole, old or new, but never torn or empty */
static void save_careless(struct core *core, unsigned seed)
{
	for (int i = 0; i < 60; i++) {
		replace(core, (uint32_t)i % 2, CHUNK * (20 + (size_t)rand_r(&seed) % 100), false);
		if (i % 10 == 9)
			sync_ino(core, META_ROOT_INO, (uint32_t)i % 2);
	}
}

static void truncate_and_grow(struct core *core, unsigned seed)
{
	uint64_t ino = make_file(core, 0), size;

	for (int i = 0; i < 80; i++) {
		size = (uint64_t)((unsigned)rand_r(&seed) % 1000) * CHUNK;
		resize(core, ino, 0, size);
		if (i % 2)
			put(core, ino, 0, (uint64_t)((unsigned)rand_r(&seed) % 1000) * CHUNK,
				CHUNK * (1 + (size_t)rand_r(&seed) % 60));
		if (i % 3 == 2)
			sync_ino(core, ino, 0);
	}
}

static void punches(struct core *core, unsigned seed)
{
	uint64_t ino = make_file(core, 0);

	put(core, ino, 0, 0, 5 * MIB);
	for (int i = 0; i < 80; i++) {
		punch(core, ino, 0, (uint64_t)((unsigned)rand_r(&seed) % 10000) * CHUNK,
			CHUNK * (1 + (size_t)rand_r(&seed) % 200));
		put(core, ino, 0, (uint64_t)((unsigned)rand_r(&seed) % 10000) * CHUNK,
			CHUNK * (1 + (size_t)rand_r(&seed) % 40));
		if (i % 4 == 3)
			sync_ino(core, ino, 0);
	}
}

/* a rollback journal: the old pages into one file, synced; the new ones into the other, synced; the first emptied */
static void database(struct core *core, unsigned seed)
{
	uint64_t db = make_file(core, 0), journal = make_file(core, 1);

	put(core, db, 0, 0, 400 * KIB);
	sync_ino(core, db, 0);
	for (int i = 0; i < 30; i++) {
		int pages = 1 + rand_r(&seed) % 5;

		put(core, journal, 1, 0, (size_t)pages * 4 * KIB + CHUNK);
		sync_ino(core, journal, 1);
		for (int p = 0; p < pages; p++)
			put(core, db, 0, (uint64_t)((unsigned)rand_r(&seed) % 100) * 4 * KIB, 4 * KIB);
		sync_ino(core, db, 0);
		resize(core, journal, 1, 0);
		sync_ino(core, journal, 1);
	}
}

struct writer {
	pthread_t thread;
	struct core *core;
	uint32_t file;
	unsigned seed;
};

static void *writer_main(void *arg)
{
	struct writer *w = arg;
	uint64_t ino = make_file(w->core, w->file);

	for (int i = 0; i < 40; i++) {
		put(w->core, ino, w->file, (uint64_t)((unsigned)rand_r(&w->seed) % 300) * CHUNK,
			CHUNK * (1 + (size_t)rand_r(&w->seed) % 50));
		sync_ino(w->core, ino, w->file);
	}
	return NULL;
}

static void four_writers(struct core *core, unsigned seed)
{
	struct writer w[4];

	for (uint32_t i = 0; i < 4; i++) {
		w[i] = (struct writer){ .core = core, .file = i, .seed = seed + i };
		expect(pthread_create(&w[i].thread, NULL, writer_main, &w[i]) == 0, "thread");
	}
	for (int i = 0; i < 4; i++)
		pthread_join(w[i].thread, NULL);
}

/* many small syncs of a few files, which the intent log takes, with everything between them that it has to make way for
 */
static void small_syncs(struct core *core, unsigned seed)
{
	uint64_t ino[4];

	for (uint32_t i = 0; i < 4; i++) {
		ino[i] = make_file(core, i);
		put(core, ino[i], i, 0, i % 2 ? 40 * CHUNK * 8 : CHUNK * 5);
		sync_ino(core, ino[i], i);
	}
	for (int i = 0; i < 400; i++) {
		uint32_t file = (uint32_t)rand_r(&seed) % 4;
		uint64_t at = (uint64_t)((unsigned)rand_r(&seed) % (file % 2 ? 600 : 20)) * CHUNK;

		switch (rand_r(&seed) % 20) {
		case 0:
			resize(core, ino[file], file, at);
			break;
		case 1:
			resize(core, ino[file], file, 0);
			break;
		case 2:
			punch(core, ino[file], file, at, CHUNK * (1 + (size_t)rand_r(&seed) % 30));
			break;
		case 3:
			replace(core, 4 + file % 2, CHUNK * (1 + (size_t)rand_r(&seed) % 40), rand_r(&seed) % 2);
			break;
		default:
			put(core, ino[file], file, at, CHUNK * (1 + (size_t)rand_r(&seed) % 12));
		}
		if (rand_r(&seed) % 4)
			sync_ino(core, ino[file], file);
	}
}

/* everything also goes to the clouds, leaves the cache, comes back, is overwritten, deleted there */
static void through_the_clouds(struct core *core, unsigned seed)
{
	uint64_t ino[4];

	for (uint32_t i = 0; i < 4; i++)
		ino[i] = make_file(core, i);
	for (int round = 0; round < 12; round++) {
		uint32_t file = (uint32_t)rand_r(&seed) % 4;
		struct errmsg msg = { 0 };

		put(core, ino[file], file, (uint64_t)((unsigned)rand_r(&seed) % 1000) * 8 * CHUNK,
			CHUNK * (8 + (size_t)rand_r(&seed) % 900));
		sync_ino(core, ino[file], file);
		if (round % 3 == 1)
			resize(core, ino[file], file, (uint64_t)((unsigned)rand_r(&seed) % 4000) * CHUNK);
		if (round % 2)
			(void)transfer_sync(core_transfer(core), 0, clock_mono_ns() + 20 * NS_PER_S, NULL, &msg);
		errmsg_free(&msg);
		if (round % 4 == 3)
			cache_evict(core_cache(core), UINT64_MAX);
	}
}

/* a log so long that its oldest lines go to sealed files again and again */
static void audit_log(struct core *core, unsigned seed)
{
	struct meta *meta = core_meta(core);
	struct audit_head end;

	for (int i = 0; i < 60; i++) {
		int lines = 50 + rand_r(&seed) % 150;

		meta_lock(meta);
		while (lines-- > 0)
			audit_append(core_place(core), "transfer", "{}");
		meta_unlock(meta);
		expect(meta_sync(meta) == 0, "sync");
		place_audit_end(core_place(core), &end);
		mark(MARK_LINES, 0, (uint32_t)end.seq, 0, 0, 0);
	}
}

const struct workload workloads[] = {
	{ "append", false, append },
	{ "overwrite", false, overwrite },
	{ "small-files", false, small_files },
	{ "save-synced", false, save_synced },
	{ "save-careless", false, save_careless },
	{ "truncate-and-grow", false, truncate_and_grow },
	{ "punches", false, punches },
	{ "database", false, database },
	{ "four-writers", false, four_writers },
	{ "small-syncs", false, small_syncs },
	{ "through-the-clouds", true, through_the_clouds },
	{ "audit-log", false, audit_log },
};
const size_t workload_count = sizeof(workloads) / sizeof(workloads[0]);
