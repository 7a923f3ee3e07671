/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When things are sent, and what is left alone. */
#include "tests/unit/fs-transfer/fault.h"

#define SETTLE CLOUD_CONFIG("settle = 600ms\nmax-delay = 2s\n", "", CLOUD_RULES)

static void begin(struct cloud *c, const char *config)
{
	cloud_make(c, config);
}

static bool wait_objects(struct cloud *c, const char *cloud, size_t count, int64_t ms)
{
	int64_t until = clock_mono_ns() + ms * NS_PER_MS;

	while (cloud_members(c, cloud) != count && clock_mono_ns() < until)
		fault_sleep(10);
	return cloud_members(c, cloud) == count;
}

/* nothing goes abroad before the quiet period ends, which every change begins anew; not even when somebody waits */
static void test_quiet(void **state)
{
	struct cloud c;
	uint64_t public, ino;
	int64_t began;

	(void)state;
	begin(&c, SETTLE);
	public = store_mkdir(&c.s, META_ROOT_INO, "public");
	ino = cloud_write(&c, public, "a", "text", 4);
	for (int i = 0; i < 5; i++) {
		fault_sleep(200);
		cloud_pwrite(&c, ino, "next", 4, 0);
		assert_int_equal(cloud_objects(&c, "far"), 0);
	}
	transfer_pressure(c.t);
	began = clock_mono_ns();
	cloud_sync(&c, ino);
	assert_true(clock_mono_ns() - began > 500 * NS_PER_MS);
	assert_int_equal(cloud_objects(&c, "far"), 1);
	cloud_destroy(&c);
}

/* at home there is no hurry, but no need to wait either */
static void test_home_early(void **state)
{
	struct cloud c;
	uint64_t ino;

	(void)state;
	begin(&c, CLOUD_CONFIG("settle = 30s\n", "", CLOUD_RULES));
	ino = cloud_write(&c, META_ROOT_INO, "a", "text", 4);
	fault_sleep(200);
	assert_int_equal(cloud_objects(&c, "near"), 0);
	cloud_sync(&c, ino);
	assert_int_equal(cloud_objects(&c, "near"), 1);
	cloud_write(&c, META_ROOT_INO, "b", "text", 4);
	transfer_pressure(c.t);
	assert_true(wait_objects(&c, "near", 2, 3000));
	cloud_destroy(&c);
}

static void set_writers(struct cloud *c, uint64_t ino, uint32_t count)
{
	struct inode *inode = store_inode(&c->s, ino);

	meta_lock(c->s.meta);
	inode->writer_count = count;
	meta_unlock(c->s.meta);
	cloud_touch(c, ino);
	/* what is open is referenced */
	if (!count) {
		store_put(&c->s, inode);
		store_put(&c->s, inode);
	}
}

/* a file that stays open is sent after max-delay; one that is closed after settle */
static void test_open(void **state)
{
	uint64_t public, ino, log;
	struct cloud c;

	(void)state;
	begin(&c, SETTLE);
	public = store_mkdir(&c.s, META_ROOT_INO, "public");
	ino = store_file(&c.s, public, "a");
	log = store_file(&c.s, META_ROOT_INO, "log");
	set_writers(&c, ino, 1);
	set_writers(&c, log, 1);
	cloud_pwrite(&c, ino, "text", 4, 0);
	cloud_pwrite(&c, log, "text", 4, 0);
	fault_sleep(1300);
	assert_int_equal(cloud_objects(&c, "far"), 0);
	assert_int_equal(cloud_objects(&c, "near"), 0);
	set_writers(&c, ino, 0);
	assert_true(wait_objects(&c, "far", 1, 1500));
	assert_true(wait_objects(&c, "near", 1, 2500));
	set_writers(&c, log, 0);
	cloud_destroy(&c);
}

/* files that are gone, or were never named, cost no transfer */
static void test_orphans(void **state)
{
	struct inode *inode;
	struct cloud c;
	uint64_t ino;

	(void)state;
	begin(&c, SETTLE);
	ino = cloud_write(&c, META_ROOT_INO, "temporary", "text", 4);
	inode = store_inode(&c.s, ino);
	store_name(&c.s, META_ROOT_INO, "temporary", 0);
	cloud_touch(&c, ino);
	fault_sleep(1000);
	assert_int_equal(cloud_objects(&c, "near"), 0);
	pthread_mutex_lock(&c.t->lock);
	assert_int_equal(c.t->entries.count, 0);
	pthread_mutex_unlock(&c.t->lock);
	store_put(&c.s, inode);
	cloud_destroy(&c);
}

/* what was not sent when the store was closed is sent when it is opened, all of it */
static void test_restart(void **state)
{
	uint64_t ino[20], public;
	struct cloud c;
	char name[16];

	(void)state;
	begin(&c, CLOUD_CONFIG("settle = 10s\n", "", CLOUD_RULES));
	public = store_mkdir(&c.s, META_ROOT_INO, "public");
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "%d", i);
		ino[i] = cloud_write(&c, i % 2 ? public : META_ROOT_INO, name, name, strlen(name));
	}
	cloud_close(&c);
	assert_int_equal(cloud_objects(&c, "near") + cloud_objects(&c, "far"), 0);
	store_write_config(&c.s, CLOUD_CONFIG("settle = 100ms\n", "", CLOUD_RULES));
	cloud_open(&c, true);
	assert_true(wait_objects(&c, "near", 10, 5000));
	assert_true(wait_objects(&c, "far", 10, 5000));
	/* an object is there a moment before the store knows */
	cloud_sync(&c, 0);
	for (int i = 0; i < 20; i++)
		cloud_expect_where(&c, ino[i], WHERE_STORED, i % 2 ? "abroad" : "home");
	cloud_destroy(&c);
}

/* a tag set and not acted on when the store was closed is acted on when it is opened */
static void test_restart_tagged(void **state)
{
	uint64_t public, sub, ino[3];
	struct cloud c;

	(void)state;
	begin(&c, CLOUD_CONFIG("settle = 50ms\n", "", CLOUD_RULES));
	public = store_mkdir(&c.s, META_ROOT_INO, "public");
	sub = store_mkdir(&c.s, public, "sub");
	ino[0] = cloud_write(&c, public, "a", "text", 4);
	ino[1] = cloud_write(&c, sub, "b", "text", 4);
	ino[2] = cloud_write(&c, public, "c", "text", 4);
	cloud_sync(&c, 0);
	assert_int_equal(cloud_members(&c, "far"), 3);
	transfer_stop(c.t);
	cloud_tags(&c, ino[0], "personal");
	cloud_tags(&c, sub, "personal");
	cloud_close(&c);
	cloud_open(&c, true);
	cloud_sync(&c, 0);
	cloud_expect_where(&c, ino[0], WHERE_STORED, "home");
	cloud_expect_where(&c, ino[1], WHERE_STORED, "home");
	cloud_expect_where(&c, ino[2], WHERE_STORED, "abroad");
	assert_int_equal(cloud_objects(&c, "far"), 1);
	cloud_destroy(&c);
}

/* a sparse file of 1 TiB with one byte at its end is one small object */
static void test_sparse(void **state)
{
	struct where w;
	struct cloud c;
	uint64_t ino;
	char got;

	(void)state;
	begin(&c, CLOUD_CONFIG("settle = 50ms\n", "", CLOUD_RULES));
	ino = store_file(&c.s, META_ROOT_INO, "sparse");
	cloud_pwrite(&c, ino, "x", 1, (1ull << 40) - 1);
	cloud_pwrite(&c, ino, "y", 1, 1ull << 39);
	cloud_sync(&c, ino);
	w = cloud_where(&c, ino);
	assert_int_equal(w.state, WHERE_STORED);
	assert_int_equal(w.object_count, 2);
	where_free(&w);
	cloud_evict(&c);
	assert_int_equal(cloud_pread(&c, ino, &got, 1, (1ull << 40) - 1, 0), 0);
	assert_int_equal(got, 'x');
	cloud_destroy(&c);
}

/* blocks of zeros are no objects, and supersede what was there */
static void test_zeros(void **state)
{
	uint8_t *zeros = calloc(1, 100000);
	struct cloud c;
	uint64_t ino;

	(void)state;
	begin(&c, CLOUD_CONFIG("settle = 50ms\n", "", CLOUD_RULES));
	ino = cloud_write(&c, META_ROOT_INO, "a", "text", 4);
	cloud_pwrite(&c, ino, zeros, 100000, 0);
	cloud_sync(&c, ino);
	cloud_expect_where(&c, ino, WHERE_STORED, "home");
	cloud_expect(&c, ino, zeros, 100000);
	free(zeros);
	cloud_destroy(&c);
}

/* a file that gets old goes where old files go, also if the store was closed meanwhile */
static void test_age(void **state)
{
	uint64_t public, ino, ino2;
	struct cloud c;

	(void)state;
	begin(&c, CLOUD_CONFIG("settle = 50ms\n", "", "[rule old]\npath = /public/**\nage = >3s\nzone = abroad\n"));
	public = store_mkdir(&c.s, META_ROOT_INO, "public");
	ino = cloud_write(&c, public, "a", "text", 4);
	cloud_sync(&c, 0);
	cloud_expect_where(&c, ino, WHERE_STORED, "home");
	assert_true(wait_objects(&c, "far", 1, 6000));
	cloud_sync(&c, 0);
	cloud_expect_where(&c, ino, WHERE_STORED, "abroad");
	ino2 = cloud_write(&c, public, "b", "text", 4);
	cloud_sync(&c, 0);
	cloud_expect_where(&c, ino2, WHERE_STORED, "home");
	cloud_close(&c);
	cloud_open(&c, true);
	assert_true(wait_objects(&c, "far", 2, 6000));
	cloud_destroy(&c);
}

static int64_t next_due(struct cloud *c)
{
	int64_t next;

	pthread_mutex_lock(&c->t->lock);
	next = c->t->due_next_ns;
	pthread_mutex_unlock(&c->t->lock);
	return next;
}

/* More than a page, and more than there is room for at a time; and one whose time is before what was read, as the clock
 * was set back. */
static void test_due(void **state)
{
	enum { FILES = 600 };
	uint64_t public;
	char name[16];
	struct cloud c;

	(void)state;
	begin(&c, CLOUD_CONFIG("settle = 50ms\n", "", "[rule old]\npath = /public/**\nage = >4s\nzone = abroad\n"));
	pthread_mutex_lock(&c.t->lock);
	c.t->entries_max = 100;
	pthread_mutex_unlock(&c.t->lock);
	public = store_mkdir(&c.s, META_ROOT_INO, "public");
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof name, "%d", i);
		cloud_write(&c, public, name, name, strlen(name));
	}
	cloud_sync(&c, 0);
	for (int i = 0; i < 2000 && cloud_members(&c, "far") < FILES; i++)
		usleep(10000);
	cloud_sync(&c, 0);
	assert_int_equal(cloud_members(&c, "far"), FILES);
	assert_int_equal(cloud_members(&c, "near"), 0);
	pthread_mutex_lock(&c.t->lock);
	assert_true(c.t->due_given.due_ns > 0);
	assert_true(c.t->due_next_ns == INT64_MAX);
	due_note(c.t, c.t->due_given.due_ns - 5);
	assert_true(due_is_now(c.t));
	pthread_cond_signal(&c.t->sched);
	pthread_mutex_unlock(&c.t->lock);
	for (int i = 0; i < 500 && next_due(&c) != INT64_MAX; i++)
		usleep(10000);
	assert_true(next_due(&c) == INT64_MAX);
	cloud_destroy(&c);
}

#define TYPES "[rule pictures]\ntype = image/*\nzone = abroad\n"

/* a type that the name does not say is looked for in the content, fetched if need be; until then nothing moves */
static void test_type(void **state)
{
	static const uint8_t png[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0, 0, 13, 'I', 'H', 'D', 'R', 0,
		0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0, 0x90, 0x77, 0x53, 0xde };
	struct cloud c;
	uint64_t ino;

	(void)state;
	begin(&c, CLOUD_CONFIG("settle = 50ms\n", "", TYPES));
	ino = cloud_write(&c, META_ROOT_INO, "picture", png, sizeof png);
	cloud_sync(&c, ino);
	cloud_expect_where(&c, ino, WHERE_STORED, "abroad");
	cloud_evict(&c);
	/* other rules, the same answer: it is looked at again, and stays */
	cloud_reload(&c, CLOUD_CONFIG("settle = 50ms\n", "", TYPES "[rule more]\nname = *.x\nzone = home\n"));
	cloud_sync(&c, 0);
	cloud_expect_where(&c, ino, WHERE_STORED, "abroad");
	assert_int_equal(cloud_objects(&c, "far"), 1);
	assert_int_equal(cloud_objects(&c, "near"), 0);
	cloud_expect(&c, ino, png, sizeof png);
	cloud_destroy(&c);
}

/* held: what a rule or a tag put at home needs the export policy to leave */
static void test_held(void **state)
{
	static const struct {
		const char *policy, *zone;
		enum where_state state;
	} rows[] = { { "export = deny\n", "home", WHERE_STORED },
		{ "export = approve\napprovers = root\n", "home", WHERE_AWAITING },
		{ "export = allow\n", "abroad", WHERE_STORED } };
	char config[1024];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t public, hr, ino;
		struct cloud c;

		snprintf(config, sizeof config,
			"[filesystem]\nname = test\nstore = @/store\nhome = home\nsettle = 50ms\n"
			"[zone home]\nkind = domestic\ncountries = CN\nbackends = near\n%s"
			"[zone abroad]\nkind = foreign\ncountries = US\nbackends = far\n"
			"[backend near]\ntype = local\npath = @/near\n[backend far]\ntype = local\npath = @/far\n%s",
			rows[i].policy, CLOUD_RULES);
		begin(&c, config);
		public = store_mkdir(&c.s, META_ROOT_INO, "public");
		hr = store_mkdir(&c.s, META_ROOT_INO, "hr");
		ino = cloud_write(&c, hr, "a", "text", 4);
		cloud_sync(&c, 0);
		store_name(&c.s, public, "a", ino);
		store_name(&c.s, hr, "a", 0);
		transfer_revalidate(c.t, ino);
		transfer_touch(c.t, ino);
		cloud_sync(&c, 0);
		cloud_expect_where(&c, ino, rows[i].state, rows[i].zone);
		assert_int_equal(cloud_objects(&c, "far"), i == 2);
		cloud_destroy(&c);
	}
}

static void test_status(void **state)
{
	struct transfer_status s;
	struct errmsg msg = { 0 };
	struct cloud c;

	(void)state;
	begin(&c, CLOUD_CONFIG("settle = 30s\n", "", CLOUD_RULES));
	assert_int_equal(transfer_probe(c.t, &msg), 0);
	cloud_write(&c, META_ROOT_INO, "a", "text", 4);
	assert_int_equal(transfer_status(c.t, &s), 0);
	assert_int_equal(s.backend_count, 2);
	assert_string_equal(s.backends[0].name, "near");
	assert_string_equal(s.backends[1].zone, "abroad");
	assert_int_equal(s.backends[1].kind, ZONE_FOREIGN);
	assert_true(s.backends[0].status.up);
	assert_int_equal(s.files_waiting, 1);
	assert_int_equal(s.bytes_waiting, 4);
	assert_true(s.oldest_ns > clock_real_ns() - 5 * NS_PER_S && s.oldest_ns <= clock_real_ns());
	transfer_status_free(&s);
	cloud_sync(&c, 0);
	assert_int_equal(transfer_status(c.t, &s), 0);
	assert_int_equal(s.files_waiting, 0);
	assert_int_equal(s.bytes_waiting, 0);
	assert_int_equal(s.oldest_ns, 0);
	transfer_status_free(&s);
	cloud_destroy(&c);
}

/* ten thousand small files */
static void test_many(void **state)
{
	int64_t began, written;
	struct cloud c;
	char name[16];
	uint64_t public;

	(void)state;
	begin(&c, CLOUD_CONFIG("settle = 100ms\n", "", CLOUD_RULES));
	public = store_mkdir(&c.s, META_ROOT_INO, "public");
	began = clock_mono_ns();
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof name, "%d", i);
		cloud_write(&c, i % 2 ? public : META_ROOT_INO, name, name, strlen(name));
	}
	written = clock_mono_ns();
	cloud_sync(&c, 0);
	print_message("3000 files: written in %.1f s, stored after %.1f s\n", (double)(written - began) / 1e9,
		(double)(clock_mono_ns() - written) / 1e9);
	assert_int_equal(cloud_members(&c, "near"), 1500);
	assert_int_equal(cloud_members(&c, "far"), 1500);
	pthread_mutex_lock(&c.t->lock);
	assert_int_equal(c.t->entries.count, 0);
	pthread_mutex_unlock(&c.t->lock);
	cloud_destroy(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quiet),
		cmocka_unit_test(test_home_early),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_orphans),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_restart_tagged),
		cmocka_unit_test(test_sparse),
		cmocka_unit_test(test_zeros),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_due),
		cmocka_unit_test(test_type),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
