/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pack: a directory of small files that go abroad, for the tests of packs. */
#ifndef TESTS_UNIT_FS_TRANSFER_PACK_H
#define TESTS_UNIT_FS_TRANSFER_PACK_H

#include "tests/unit/fs-transfer/fault.h"

#define FILES 60
#define QUICK CLOUD_CONFIG("settle = 50ms\n", "", CLOUD_RULES)

struct packed {
	struct cloud c;
	struct fault *far;
	uint64_t public, ino[FILES];
	uint8_t *data; /* that of file i begins at i */
};

static inline size_t len_of(int i)
{
	return 100 + (size_t)i * 97;
}

static inline void set_window(struct packed *p, int64_t ns)
{
	pthread_mutex_lock(&p->c.t->lock);
	p->c.t->pack_window_ns = ns;
	passes_idle(p->c.t);
	pthread_mutex_unlock(&p->c.t->lock);
}

/* How many small blocks wait for others. */
static inline size_t gathered(struct packed *p)
{
	size_t n = 0;

	pthread_mutex_lock(&p->c.t->lock);
	list_for_each (it, &p->c.t->zones)
		list_for_each (small, &list_entry(it, struct zone_queue, link)->small)
			n++;
	pthread_mutex_unlock(&p->c.t->lock);
	return n;
}

/* A sync before that would have them judged again. */
static inline void wait_stored(struct packed *p)
{
	size_t left = 1;

	for (int i = 0; left && i < 4000; i++) {
		fault_sleep(5);
		pthread_mutex_lock(&p->c.t->lock);
		left = p->c.t->entries.count;
		pthread_mutex_unlock(&p->c.t->lock);
	}
	cloud_sync(&p->c, 0);
}

/* What is written between the two goes at once, however slow this machine is. */
static inline void hold_back(struct packed *p)
{
	set_window(p, 3600 * NS_PER_S);
}

static inline void let_go(struct packed *p, size_t count)
{
	for (int i = 0; gathered(p) < count && i < 4000; i++)
		fault_sleep(5);
	assert_int_equal(gathered(p), count);
	set_window(p, 0);
	for (int i = 0; gathered(p) > 0 && i < 4000; i++)
		fault_sleep(1);
	set_window(p, 2 * NS_PER_S);
}

static inline void write_files(struct packed *p)
{
	char name[16];

	hold_back(p);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof name, "%d", i);
		p->ino[i] = cloud_write(&p->c, p->public, name, p->data + i, len_of(i));
	}
	let_go(p, FILES);
}

static inline void begin(struct packed *p, const char *config)
{
	memset(p, 0, sizeof *p);
	store_make(&p->c.s, config);
	store_cloud(&p->c.s, "near");
	store_cloud(&p->c.s, "far");
	cloud_open(&p->c, false);
	p->far = fault_wrap(&p->c, "far");
	assert_int_equal(transfer_start(p->c.t), 0);
	p->public = store_mkdir(&p->c.s, META_ROOT_INO, "public");
	p->data = cloud_noise(64 << 10, 5);
}

static inline void begin_stored(struct packed *p, const char *config)
{
	begin(p, config);
	write_files(p);
	wait_stored(p);
}

static inline void expect_files(struct packed *p, int from)
{
	for (int i = from; i < FILES; i++)
		cloud_expect(&p->c, p->ino[i], p->data + i, len_of(i));
}

static inline void end(struct packed *p)
{
	free(p->data);
	cloud_destroy(&p->c);
}

static inline void unlink_file(struct packed *p, int i)
{
	char name[16];

	snprintf(name, sizeof name, "%d", i);
	store_name(&p->c.s, p->public, name, 0);
}

/* Whether an object of the cloud was sealed with a block of the file. */
static uint64_t sought;
static bool found;

static inline int seek_member(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	struct object_member *members;
	struct buf body = BUF_INIT;
	struct object_ref ref;
	size_t count, need;

	(void)st;
	(void)ftw;
	if (type != FTW_F || strstr(path, "/."))
		return 0;
	assert_int_equal(file_read_all(AT_FDCWD, path, 16u << 20, &body), 0);
	assert_int_equal(object_open_header(cloud_keyring, body.data, body.len, &ref, &members, &count, &need), 0);
	for (size_t i = 0; i < count; i++)
		found |= members[i].ino == sought;
	free(members);
	buf_free(&body);
	return 0;
}

static inline bool is_on(struct packed *p, const char *cloud, uint64_t ino)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", p->c.s.dir, cloud);
	cloud_keyring = p->c.s.keyring;
	sought = ino;
	found = false;
	assert_int_equal(nftw(path, seek_member, 32, FTW_PHYS), 0);
	return found;
}

static inline int due_row(void *ctx, struct meta_row *row)
{
	*(int64_t *)ctx = meta_row_i64(row, 0);
	return 0;
}

static int64_t repack_rows(struct packed *p)
{
	int64_t n = -1;

	assert_int_equal(meta_commit(p->c.s.meta), 0);
	assert_int_equal(meta_select(p->c.s.meta, "SELECT count(*) FROM repack", due_row, &n, ""), 0);
	return n;
}

#endif
