/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What becomes of a pack whose members go, and who waits for that. */
#include "fs/meta/internal.h"
#include "tests/unit/fs-transfer/pack.h"

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

/* Files of two packs that go by turns: of each all are read with one request. */
static void test_by_turns(void **state)
{
	struct packed p;
	char name[16];
	unsigned gets;

	(void)state;
	begin(&p, QUICK);
	for (int half = 0; half < 2; half++) {
		hold_back(&p);
		for (int i = half; i < FILES; i += 2) {
			snprintf(name, sizeof name, "%d", i);
			p.ino[i] = cloud_write(&p.c, p.public, name, p.data + i, len_of(i));
		}
		let_go(&p, FILES / 2);
	}
	wait_stored(&p);
	assert_int_equal(cloud_objects(&p.c, "far"), 2);
	cloud_evict(&p.c);
	gets = fault_count(p.far, OP_GET);
	hold_back(&p);
	for (int i = 0; i < FILES; i++)
		cloud_tags(&p.c, p.ino[i], "personal");
	let_go(&p, FILES);
	cloud_sync(&p.c, 0);
	assert_int_equal(fault_count(p.far, OP_GET) - gets, 2);
	assert_int_equal(cloud_objects(&p.c, "far"), 0);
	assert_int_equal(cloud_members(&p.c, "near"), FILES);
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

static void pack_of(struct packed *p, uint64_t ino, char path[512])
{
	struct where w = cloud_where(&p->c, ino);

	assert_int_equal(w.object_count, 1);
	snprintf(path, 512, "%s/far/%s", p->c.s.dir, w.objects[0]);
	where_free(&w);
}

static bool is_in(struct packed *p, uint64_t ino, const char *path)
{
	char at[512];

	pack_of(p, ino, at);
	return strcmp(at, path) == 0;
}

static void damage_pack_of(struct packed *p, uint64_t ino)
{
	struct stat st;
	char path[512];

	pack_of(p, ino, path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - 1), 0);
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

static void overwrite(const char *path, uint64_t off, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len, (off_t)off), len);
	close(fd);
}

/* A damaged part costs who has bytes in it, and few requests: nobody else waits for one of each file. */
static void test_damaged_part(void **state)
{
	const int each = 4000, segment = SEGMENT_DATA / 4096;
	struct packed p;
	char path[512];
	unsigned gets;

	(void)state;
	begin(&p, QUICK);
	hold_back(&p);
	for (int i = 0; i < FILES; i++) {
		snprintf(path, sizeof path, "%d", i);
		p.ino[i] = cloud_write(&p.c, p.public, path, p.data + i, (size_t)each);
	}
	let_go(&p, FILES);
	wait_stored(&p);
	pack_of(&p, p.ino[0], path);
	overwrite(path, 5 * SEGMENT_BYTES + 8000, "damage", 6);
	cloud_evict(&p.c);
	gets = fault_count(p.far, OP_GET);
	cloud_tags(&p.c, p.ino[0], "personal");
	for (int i = 0; i < 1000 && is_in(&p, p.ino[FILES - 1], path); i++)
		fault_sleep(10);
	assert_false(is_in(&p, p.ino[FILES - 1], path));
	/* the first, all, and what its damaged segment is found with */
	assert_in_range(fault_count(p.far, OP_GET) - gets, 5, 20);
	assert_in_range(cloud_members(&p.c, "far") - FILES, FILES - 1 - 2 * segment, FILES - 2);
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

/* What was noted by a clock that was ahead waits no longer for that. */
static void test_clock_set_back(void **state)
{
	struct packed p;

	(void)state;
	begin_stored(&p, QUICK);
	delete_files(&p, 5);
	assert_int_equal(cloud_members(&p.c, "far"), FILES);
	pass_time(&p, -86400);
	assert_true(wait_members(&p, FILES - 5));
	expect_files(&p, 5);
	end(&p);
}

/* ---- who waits for whom */

/* A sync of one file waits for what that one left, and for nothing else. */
static void test_sync_one(void **state)
{
	struct errmsg msg = { 0 };
	uint8_t *data = cloud_noise(2 << 20, 7);
	struct packed p;
	uint64_t alone;

	(void)state;
	begin_stored(&p, QUICK);
	alone = cloud_write(&p.c, p.public, "alone", data, 2 << 20);
	cloud_sync(&p.c, alone);
	set_window(&p, 0);
	fault_set(p.far, OP_DEL, -ERR_SERVER);
	cloud_tags(&p.c, alone, "personal");
	cloud_tags(&p.c, p.ino[7], "personal");
	for (int i = 0; i < 2; i++) {
		uint64_t ino = i ? p.ino[7] : alone;

		assert_int_equal(transfer_sync(p.c.t, ino, clock_mono_ns() + NS_PER_S, NULL, &msg), -ETIMEDOUT);
		assert_non_null(strstr(errmsg_text(&msg, 0), "deletions on the backends are not all confirmed"));
		errmsg_free(&msg);
	}
	cloud_sync(&p.c, cloud_write(&p.c, META_ROOT_INO, "new", p.data, 100));
	fault_set(p.far, OP_DEL, 0);
	cloud_sync(&p.c, alone);
	assert_false(is_on(&p, "far", alone));
	cloud_sync(&p.c, p.ino[7]);
	assert_false(is_on(&p, "far", p.ino[7]));
	free(data);
	end(&p);
}

/* A pack that cannot be rewritten holds up no other file's sync. */
static void test_sync_beside_a_pack(void **state)
{
	struct packed p;

	(void)state;
	begin_stored(&p, QUICK);
	fault_set(p.far, OP_PUT, -ERR_UNREACHABLE);
	cloud_tags(&p.c, p.ino[7], "personal");
	for (int i = 0; i < 1000 && !is_on(&p, "near", p.ino[7]); i++)
		fault_sleep(10);
	cloud_sync(&p.c, cloud_write(&p.c, META_ROOT_INO, "new", p.data, 100));
	assert_true(is_on(&p, "far", p.ino[7]));
	fault_set(p.far, OP_PUT, 0);
	cloud_sync(&p.c, p.ino[7]);
	assert_false(is_on(&p, "far", p.ino[7]));
	end(&p);
}

static void wait_until_told(void *ctx)
{
	atomic_bool *go_on = ctx;

	for (int i = 0; i < 4000 && !atomic_load(go_on); i++)
		fault_sleep(5);
}

/* As many files as share a pack are being sent: the next one does not wait for them. */
static void test_beside_a_full_pack(void **state)
{
	static atomic_bool go_on;
	struct packed p;
	char name[16];

	(void)state;
	begin(&p, QUICK);
	hold_back(&p);
	p.far->before_put = wait_until_told;
	p.far->ctx = &go_on;
	for (unsigned i = 0; i < PACK_MEMBERS; i++) {
		snprintf(name, sizeof name, "%u", i);
		cloud_write(&p.c, p.public, name, p.data + i, 64);
	}
	for (int i = 0; fault_count(p.far, OP_PUT) == 0 && i < 2000; i++)
		fault_sleep(5);
	set_window(&p, 0);
	cloud_sync(&p.c, cloud_write(&p.c, p.public, "next", p.data, 64));
	assert_int_equal(cloud_members(&p.c, "far"), 1);
	atomic_store(&go_on, true);
	cloud_sync(&p.c, 0);
	assert_int_equal(cloud_members(&p.c, "far"), PACK_MEMBERS + 1);
	end(&p);
}

/* Whether the scheduler reads which files to tell, and some were told. */
static bool told_in_part(struct packed *p, size_t files)
{
	struct transfer *t = p->c.t;
	bool is = false;

	hash_for_each (node, &t->doomed)
		is |= !container_of(node, struct doomed, node)->told;
	return is && !t->repack_wanted && t->entries.count >= files;
}

static size_t not_urgent(struct packed *p)
{
	size_t n = 0;

	pthread_mutex_lock(&p->c.t->lock);
	hash_for_each (node, &p->c.t->entries)
		n += !container_of(node, struct entry, node)->urgent;
	pthread_mutex_unlock(&p->c.t->lock);
	return n;
}

/* Somebody comes to be in a hurry while the files of a pack are being told, some of them already: they hear of it. */
static void test_hurry_while_told(void **state)
{
	enum { MANY = 600, SOME = 200 };
	bool hurried = false;
	struct packed p;
	char name[16];
	uint64_t ino = 0;

	(void)state;
	begin(&p, QUICK);
	hold_back(&p);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "%d", i);
		ino = cloud_write(&p.c, p.public, name, p.data + i, 64);
	}
	let_go(&p, MANY);
	wait_stored(&p);
	fault_set(p.far, OP_PUT, -ERR_UNREACHABLE);
	cloud_tags(&p.c, ino, "personal");
	/* readers are kept waiting now and then, so that the telling takes a while */
	for (int i = 0; i < 4000 && !hurried; i++) {
		pthread_mutex_lock(&p.c.s.meta->pool_lock);
		fault_sleep(2);
		pthread_mutex_lock(&p.c.t->lock);
		if ((hurried = told_in_part(&p, SOME)))
			p.c.t->repack_waits++;
		if (hurried || i % 150 == 149)
			repack_hurry(p.c.t);
		pthread_mutex_unlock(&p.c.t->lock);
		pthread_mutex_unlock(&p.c.s.meta->pool_lock);
		nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
	}
	assert_true(hurried);
	for (int i = 0; i < 400 && not_urgent(&p) > 0; i++)
		fault_sleep(10);
	assert_int_equal(not_urgent(&p), 0);
	end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_retag),
		cmocka_unit_test(test_by_turns),
		cmocka_unit_test(test_damaged_part),
		cmocka_unit_test(test_stuck),
		cmocka_unit_test(test_retag_remnant),
		cmocka_unit_test(test_retag_restart),
		cmocka_unit_test(test_retag_orphan),
		cmocka_unit_test(test_few_deleted),
		cmocka_unit_test(test_half_deleted),
		cmocka_unit_test(test_all_deleted),
		cmocka_unit_test(test_clock_set_back),
		cmocka_unit_test(test_sync_one),
		cmocka_unit_test(test_sync_beside_a_pack),
		cmocka_unit_test(test_beside_a_full_pack),
		cmocka_unit_test(test_hurry_while_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
