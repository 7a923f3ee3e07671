/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small blocks that share an object, and what becomes of it when they go. */
#include "tests/unit/fs-transfer/fault.h"

#define FILES 60
#define QUICK CLOUD_CONFIG("settle = 50ms\n", "", CLOUD_RULES)
#define ALONE                                                                                                          \
	"[filesystem]\nname = test\nstore = @/store\nhome = home\nsettle = 50ms\n"                                     \
	"[zone home]\nkind = domestic\ncountries = CN\nbackends = near\n"                                              \
	"[zone abroad]\nkind = foreign\ncountries = US\nbackends = far\npack = 0\n"                                    \
	"[backend near]\ntype = local\npath = @/near\n[backend far]\ntype = local\npath = @/far\n" CLOUD_RULES

/* A directory of small files that go abroad. */
struct packed {
	struct cloud c;
	struct fault *far;
	uint64_t public, ino[FILES];
	uint8_t *data; /* that of file i begins at i */
};

static size_t len_of(int i)
{
	return 100 + (size_t)i * 97;
}

static void set_window(struct packed *p, int64_t ns)
{
	pthread_mutex_lock(&p->c.t->lock);
	p->c.t->pack_window_ns = ns;
	passes_idle(p->c.t);
	pthread_mutex_unlock(&p->c.t->lock);
}

/* How many small blocks wait for others. */
static size_t gathered(struct packed *p)
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
static void wait_stored(struct packed *p)
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
static void hold_back(struct packed *p)
{
	set_window(p, 3600 * NS_PER_S);
}

static void let_go(struct packed *p, size_t count)
{
	for (int i = 0; gathered(p) < count && i < 4000; i++)
		fault_sleep(5);
	assert_int_equal(gathered(p), count);
	set_window(p, 0);
	for (int i = 0; gathered(p) > 0 && i < 4000; i++)
		fault_sleep(1);
	set_window(p, 2 * NS_PER_S);
}

static void write_files(struct packed *p)
{
	char name[16];

	hold_back(p);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof name, "%d", i);
		p->ino[i] = cloud_write(&p->c, p->public, name, p->data + i, len_of(i));
	}
	let_go(p, FILES);
}

static void begin(struct packed *p, const char *config)
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

static void begin_stored(struct packed *p, const char *config)
{
	begin(p, config);
	write_files(p);
	wait_stored(p);
}

static void expect_files(struct packed *p, int from)
{
	for (int i = from; i < FILES; i++)
		cloud_expect(&p->c, p->ino[i], p->data + i, len_of(i));
}

static void end(struct packed *p)
{
	free(p->data);
	cloud_destroy(&p->c);
}

static void unlink_file(struct packed *p, int i)
{
	char name[16];

	snprintf(name, sizeof name, "%d", i);
	store_name(&p->c.s, p->public, name, 0);
}

/* Whether an object of the cloud was sealed with a block of the file. */
static uint64_t sought;
static bool found;

static int seek_member(const char *path, const struct stat *st, int type, struct FTW *ftw)
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

static bool is_on(struct packed *p, const char *cloud, uint64_t ino)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", p->c.s.dir, cloud);
	cloud_keyring = p->c.s.keyring;
	sought = ino;
	found = false;
	assert_int_equal(nftw(path, seek_member, 32, FTW_PHYS), 0);
	return found;
}

/* ---- sharing */

static void test_share(void **state)
{
	struct packed p;

	(void)state;
	begin_stored(&p, QUICK);
	assert_int_equal(cloud_objects(&p.c, "far"), 1);
	assert_int_equal(cloud_members(&p.c, "far"), FILES);
	assert_int_equal(fault_count(p.far, OP_PUT), 1);
	for (int i = 0; i < FILES; i++)
		cloud_expect_where(&p.c, p.ino[i], WHERE_STORED, "abroad");
	cloud_evict(&p.c);
	expect_files(&p, 0);
	end(&p);
}

static void test_alone(void **state)
{
	struct packed p;

	(void)state;
	begin(&p, ALONE);
	for (int i = 0; i < FILES; i++) {
		char name[16];

		snprintf(name, sizeof name, "%d", i);
		cloud_write(&p.c, p.public, name, p.data, len_of(i));
	}
	cloud_sync(&p.c, 0);
	assert_int_equal(cloud_objects(&p.c, "far"), FILES);
	end(&p);
}

/* One that fits into a segment lies in one: 4 KiB are read with one segment. */
static void test_segments(void **state)
{
	uint64_t ino[9];
	struct packed p;
	char name[16];

	(void)state;
	begin(&p, QUICK);
	hold_back(&p);
	cloud_write(&p.c, p.public, "odd", p.data, 100);
	for (int i = 0; i < 9; i++) {
		snprintf(name, sizeof name, "unit%d", i);
		ino[i] = cloud_write(&p.c, p.public, name, p.data + i, 4096);
	}
	let_go(&p, 10);
	wait_stored(&p);
	assert_int_equal(cloud_objects(&p.c, "far"), 1);
	cloud_evict(&p.c);
	for (int i = 0; i < 9; i++) {
		pthread_mutex_lock(&p.c.t->lock);
		memset(p.c.t->pack_reads, 0, sizeof p.c.t->pack_reads); /* nothing is read ahead */
		pthread_mutex_unlock(&p.c.t->lock);
		pthread_mutex_lock(&p.far->lock);
		p.far->got_bytes = 0;
		pthread_mutex_unlock(&p.far->lock);
		cloud_expect(&p.c, ino[i], p.data + i, 4096);
		pthread_mutex_lock(&p.far->lock);
		assert_in_range(p.far->got_bytes, 1, SEGMENT_BYTES);
		pthread_mutex_unlock(&p.far->lock);
	}
	end(&p);
}

/* Whoever reads one after the other waits for few of them; a single one costs its own bytes only. */
static void test_ahead(void **state)
{
	struct packed p;
	unsigned gets;

	(void)state;
	begin_stored(&p, QUICK);
	cloud_evict(&p.c);
	gets = fault_count(p.far, OP_GET);
	cloud_expect(&p.c, p.ino[20], p.data + 20, len_of(20));
	assert_int_equal(fault_count(p.far, OP_GET) - gets, 1);
	cloud_expect(&p.c, p.ino[21], p.data + 21, len_of(21));
	for (int i = 0; i < 500 && fault_count(p.far, OP_GET) - gets < 3; i++)
		fault_sleep(5);
	pthread_mutex_lock(&p.c.t->lock);
	while (p.c.t->ranges.count)
		cond_wait_until(&p.c.t->changed, &p.c.t->lock, clock_mono_ns() + 5 * NS_PER_MS);
	pthread_mutex_unlock(&p.c.t->lock);
	for (int i = 22; i < 50; i++) /* the first window holds so many */
		cloud_expect(&p.c, p.ino[i], p.data + i, len_of(i));
	assert_int_equal(fault_count(p.far, OP_GET) - gets, 3);
	expect_files(&p, 0);
	end(&p);
}

/* ---- members that go */

/* One comes home: nothing of it stays abroad when a sync returns, and what stays there was read with one request. */
static void test_retag(void **state)
{
	struct packed p;
	unsigned gets;

	(void)state;
	begin_stored(&p, QUICK);
	cloud_evict(&p.c);
	gets = fault_count(p.far, OP_GET);
	cloud_tags(&p.c, p.ino[7], "personal");
	cloud_sync(&p.c, p.ino[7]);
	assert_false(is_on(&p, "far", p.ino[7]));
	assert_true(is_on(&p, "near", p.ino[7]));
	assert_int_equal(cloud_objects(&p.c, "far"), 1);
	assert_int_equal(cloud_members(&p.c, "far"), FILES - 1);
	assert_true(fault_count(p.far, OP_GET) - gets <= 2);
	cloud_expect_where(&p.c, p.ino[7], WHERE_STORED, "home");
	cloud_expect_where(&p.c, p.ino[8], WHERE_STORED, "abroad");
	cloud_evict(&p.c);
	expect_files(&p, 0);
	end(&p);
}

/* Packs of two files, of each of which the first comes home while the cloud abroad takes nothing. */
#define PAIRS (FILES / 2)

static void write_pairs(struct packed *p)
{
	char name[16];

	for (int i = 0; i < FILES; i += 2) {
		hold_back(p);
		for (int k = i; k < i + 2; k++) {
			snprintf(name, sizeof name, "%d", k);
			p->ino[k] = cloud_write(&p->c, p->public, name, p->data + k, len_of(k));
		}
		let_go(p, 2);
	}
	wait_stored(p);
	assert_int_equal(cloud_objects(&p->c, "far"), PAIRS);
}

static void fetch_first_halves(struct packed *p)
{
	pthread_mutex_lock(&p->c.t->lock);
	p->c.t->repack_patience_ns = 3600 * NS_PER_S;
	pthread_mutex_unlock(&p->c.t->lock);
	fault_set(p->far, OP_PUT, -ERR_UNREACHABLE);
	for (int i = 0; i < FILES; i += 2)
		cloud_tags(&p->c, p->ino[i], "personal");
	for (int i = 0; i < FILES; i += 2) {
		struct where w = cloud_where(&p->c, p->ino[i]);

		for (int k = 0; k < 1000 && w.state != WHERE_STORED; k++) {
			where_free(&w);
			fault_sleep(10);
			w = cloud_where(&p->c, p->ino[i]);
		}
		assert_string_equal(w.zone, "home");
		where_free(&w);
	}
	cloud_evict(&p->c);
}

static void damage_pack_of(struct packed *p, uint64_t ino)
{
	struct where w = cloud_where(&p->c, ino);
	struct stat st;
	char path[512];

	assert_int_equal(w.object_count, 1);
	snprintf(path, sizeof path, "%s/far/%s", p->c.s.dir, w.objects[0]);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - 1), 0);
	where_free(&w);
}

/* More packs than are rewritten at once cannot be: they hold up none that can. */
static void test_stuck(void **state)
{
	const int stuck = 20;
	struct errmsg msg = { 0 };
	struct packed p;

	(void)state;
	begin(&p, QUICK);
	write_pairs(&p);
	fetch_first_halves(&p);
	for (int i = 0; i < stuck; i++)
		damage_pack_of(&p, p.ino[2 * i + 1]);
	fault_set(p.far, OP_PUT, 0);
	pthread_mutex_lock(&p.c.t->lock);
	p.c.t->repack_patience_ns = 200 * NS_PER_MS;
	repack_look(p.c.t);
	pthread_mutex_unlock(&p.c.t->lock);
	/* the cloud is tried again */
	assert_int_equal(transfer_sync(p.c.t, 0, clock_mono_ns(), NULL, &msg), -ETIMEDOUT);
	errmsg_free(&msg);
	for (int i = 0; i < 1000 && cloud_members(&p.c, "far") != PAIRS + (size_t)stuck; i++)
		fault_sleep(10);
	assert_int_equal(cloud_members(&p.c, "far"), PAIRS + (size_t)stuck);
	for (int i = stuck; i < PAIRS; i++)
		assert_false(is_on(&p, "far", p.ino[2 * i]));
	assert_true(is_on(&p, "far", p.ino[2 * PAIRS - 1]));
	end(&p);
}

/* One of which the pack holds only what it was before: that comes along. */
static void test_retag_remnant(void **state)
{
	struct packed p;

	(void)state;
	begin_stored(&p, QUICK);
	cloud_pwrite(&p.c, p.ino[7], "changed", 7, 0);
	wait_stored(&p);
	assert_int_equal(cloud_members(&p.c, "far"), FILES + 1);
	cloud_tags(&p.c, p.ino[7], "personal");
	cloud_sync(&p.c, 0);
	assert_false(is_on(&p, "far", p.ino[7]));
	assert_int_equal(cloud_members(&p.c, "far"), FILES - 1);
	end(&p);
}

/* The same, told as the store closes: the next mount does it. */
static void test_retag_restart(void **state)
{
	struct packed p;

	(void)state;
	begin_stored(&p, QUICK);
	fault_set(p.far, OP_PUT, -ERR_UNREACHABLE);
	cloud_tags(&p.c, p.ino[7], "personal");
	for (int i = 0; i < 1000 && !is_on(&p, "near", p.ino[7]); i++)
		fault_sleep(10);
	assert_true(is_on(&p, "far", p.ino[7]));
	cloud_close(&p.c);
	cloud_open(&p.c, true);
	cloud_sync(&p.c, 0);
	assert_false(is_on(&p, "far", p.ino[7]));
	assert_int_equal(cloud_members(&p.c, "far"), FILES - 1);
	expect_files(&p, 0);
	end(&p);
}

/* A file that nobody can name any more but somebody has open holds up no sync. */
static void test_retag_orphan(void **state)
{
	struct inode *orphan;
	struct packed p;

	(void)state;
	begin_stored(&p, QUICK);
	orphan = store_inode(&p.c.s, p.ino[0]);
	for (int i = 0; i < FILES; i++)
		if (i != 7)
			unlink_file(&p, i);
	cloud_tags(&p.c, p.ino[7], "personal");
	cloud_sync(&p.c, 0);
	cloud_expect_where(&p.c, p.ino[7], WHERE_STORED, "home");
	store_put(&p.c.s, orphan);
	end(&p);
}

static int due_row(void *ctx, struct meta_row *row)
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

/* As if so long had passed. */
struct passed {
	struct meta_record record;
	int64_t s;
};

static void passed_apply(struct meta_txn *txn, struct meta_record *r)
{
	meta_txn_exec(txn, "UPDATE repack SET since_s = since_s - ?1, due_s = due_s - ?1", "i",
		container_of(r, struct passed, record)->s);
}

static void passed_free(struct meta_record *r)
{
	free(container_of(r, struct passed, record));
}

static void pass_time(struct packed *p, int64_t s)
{
	struct passed *r = calloc(1, sizeof *r);

	r->record = (struct meta_record){ .apply = passed_apply, .free = passed_free };
	r->s = s;
	meta_lock(p->c.s.meta);
	meta_queue(p->c.s.meta, &r->record);
	meta_unlock(p->c.s.meta);
	assert_int_equal(meta_sync(p->c.s.meta), 0);
	pthread_mutex_lock(&p->c.t->lock);
	repack_look(p->c.t);
	pthread_mutex_unlock(&p->c.t->lock);
}

static bool wait_members(struct packed *p, size_t count)
{
	for (int i = 0; i < 500; i++) {
		meta_sync(p->c.s.meta);
		if (cloud_objects(&p->c, "far") == 1 && cloud_members(&p->c, "far") == count)
			return true;
		fault_sleep(10);
	}
	return false;
}

static void delete_files(struct packed *p, int count)
{
	for (int i = 0; i < count; i++) {
		char name[16];

		snprintf(name, sizeof name, "%d", i);
		cloud_delete(&p->c, p->public, name, p->ino[i]);
	}
	cloud_sync(&p->c, 0);
}

/* Few that were deleted stay in the pack for an hour. */
static void test_few_deleted(void **state)
{
	struct packed p;

	(void)state;
	begin_stored(&p, QUICK);
	delete_files(&p, 5);
	assert_int_equal(cloud_members(&p.c, "far"), FILES);
	assert_int_equal(repack_rows(&p), 1);
	pass_time(&p, META_REPACK_LOOK_S);
	fault_sleep(300);
	assert_int_equal(cloud_members(&p.c, "far"), FILES);
	pass_time(&p, 3600);
	assert_true(wait_members(&p, FILES - 5));
	assert_int_equal(repack_rows(&p), 0);
	expect_files(&p, 5);
	end(&p);
}

/* Where half of it is dead, it goes a minute later. */
static void test_half_deleted(void **state)
{
	struct packed p;

	(void)state;
	begin_stored(&p, QUICK);
	delete_files(&p, 45);
	assert_int_equal(cloud_members(&p.c, "far"), FILES);
	pass_time(&p, META_REPACK_LOOK_S);
	assert_true(wait_members(&p, FILES - 45));
	cloud_evict(&p.c);
	expect_files(&p, 45);
	end(&p);
}

static void test_all_deleted(void **state)
{
	struct packed p;

	(void)state;
	begin_stored(&p, QUICK);
	delete_files(&p, FILES);
	assert_int_equal(cloud_objects(&p.c, "far"), 0);
	assert_int_equal(repack_rows(&p), 0);
	end(&p);
}

/* ---- under the clock (I1) */

static void tag_one(void *ctx)
{
	struct packed *p = ctx;

	store_tags(&p->c.s, p->ino[7], "personal");
}

/* Before the body: it is not sent; the others go without the one. */
static void test_tag_before_body(void **state)
{
	struct packed p;

	(void)state;
	begin(&p, QUICK);
	p.far->before_put = tag_one;
	p.far->ctx = &p;
	write_files(&p);
	for (int i = 0; fault_count(p.far, OP_PUT) == 0 && i < 1000; i++)
		fault_sleep(5);
	transfer_revalidate(p.c.t, p.ino[7]);
	transfer_touch(p.c.t, p.ino[7]);
	cloud_sync(&p.c, 0);
	assert_false(is_on(&p, "far", p.ino[7]));
	cloud_expect_where(&p.c, p.ino[7], WHERE_STORED, "home");
	assert_int_equal(cloud_members(&p.c, "far"), FILES - 1);
	assert_int_equal(fault_count(p.far, OP_DEL), 0); /* nothing had left */
	end(&p);
}

/* After the last byte: what was sent is deleted, and was never theirs. */
static void test_tag_before_switch(void **state)
{
	struct packed p;

	(void)state;
	begin(&p, QUICK);
	p.far->after_put = tag_one;
	p.far->ctx = &p;
	write_files(&p);
	for (int i = 0; fault_count(p.far, OP_PUT) == 0 && i < 1000; i++)
		fault_sleep(5);
	transfer_revalidate(p.c.t, p.ino[7]);
	transfer_touch(p.c.t, p.ino[7]);
	cloud_sync(&p.c, 0);
	assert_false(is_on(&p, "far", p.ino[7]));
	assert_int_equal(cloud_members(&p.c, "far"), FILES - 1);
	end(&p);
}

static void tag_harmlessly(void *ctx)
{
	struct packed *p = ctx;

	store_tags(&p->c.s, p->public, "green");
}

/* A change of the directory that moves nothing costs no second upload. */
static void test_harmless_change(void **state)
{
	struct packed p;

	(void)state;
	begin(&p, QUICK);
	p.far->after_put = tag_harmlessly;
	p.far->ctx = &p;
	write_files(&p);
	wait_stored(&p);
	assert_int_equal(fault_count(p.far, OP_PUT), 1);
	assert_int_equal(cloud_members(&p.c, "far"), FILES);
	end(&p);
}

static void rename_one(void *ctx)
{
	struct packed *p = ctx;

	store_name(&p->c.s, p->public, "renamed", p->ino[7]);
	unlink_file(p, 7);
	transfer_revalidate(p->c.t, p->ino[7]);
}

static void unlink_one(void *ctx)
{
	struct packed *p = ctx;
	struct inode *inode = store_inode(&p->c.s, p->ino[7]);

	unlink_file(p, 7);
	meta_lock(p->c.s.meta);
	inode->nlink = 0;
	meta_unlock(p->c.s.meta);
	store_put(&p->c.s, inode);
	transfer_revalidate(p->c.t, p->ino[7]);
}

/* One that changes its name, or goes, keeps none of the others. */
static void test_others_stay(void **state)
{
	static void (*const hooks[])(void *) = { rename_one, unlink_one };
	struct packed p;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		begin(&p, QUICK);
		p.far->after_put = hooks[i];
		p.far->ctx = &p;
		write_files(&p);
		wait_stored(&p);
		assert_int_equal(fault_count(p.far, OP_PUT), 1);
		assert_int_equal(fault_count(p.far, OP_DEL), 0);
		for (int k = 0; k < FILES; k++)
			if (k != 7)
				cloud_expect_where(&p.c, p.ino[k], WHERE_STORED, "abroad");
		end(&p);
	}
}

static void write_one(void *ctx)
{
	struct packed *p = ctx;
	struct inode *inode = store_inode(&p->c.s, p->ino[7]);
	struct cache_need need;

	pthread_rwlock_rdlock(&inode->data_lock);
	assert_int_equal(cache_write(p->c.s.cache, inode, 0, "changed", 7, &need), 0);
	pthread_rwlock_unlock(&inode->data_lock);
	store_put(&p->c.s, inode);
}

/* What changed while it was sent goes again; the others are stored, and what was sent of the one is noted as dead. */
static void test_changed_while_sent(void **state)
{
	struct packed p;

	(void)state;
	begin(&p, QUICK);
	p.far->after_put = write_one;
	p.far->ctx = &p;
	write_files(&p);
	for (int i = 0; fault_count(p.far, OP_PUT) == 0 && i < 1000; i++)
		fault_sleep(5);
	transfer_touch(p.c.t, p.ino[7]);
	cloud_sync(&p.c, 0);
	assert_int_equal(cloud_objects(&p.c, "far"), 2);
	assert_int_equal(cloud_members(&p.c, "far"), FILES + 1);
	assert_int_equal(repack_rows(&p), 1);
	memcpy(p.data + 7, "changed", 7);
	cloud_evict(&p.c);
	cloud_expect(&p.c, p.ino[7], p.data + 7, len_of(7));
	end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_ahead),
		cmocka_unit_test(test_retag),
		cmocka_unit_test(test_stuck),
		cmocka_unit_test(test_retag_remnant),
		cmocka_unit_test(test_retag_restart),
		cmocka_unit_test(test_retag_orphan),
		cmocka_unit_test(test_few_deleted),
		cmocka_unit_test(test_half_deleted),
		cmocka_unit_test(test_all_deleted),
		cmocka_unit_test(test_tag_before_body),
		cmocka_unit_test(test_tag_before_switch),
		cmocka_unit_test(test_harmless_change),
		cmocka_unit_test(test_others_stay),
		cmocka_unit_test(test_changed_while_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
