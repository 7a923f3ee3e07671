/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Conditions on time come due by an index, on a store that is used, that was closed meanwhile, and by any clock. */
#include "tests/unit/fs-transfer/fault.h"

#define AGED(age)                                                                                                      \
	CLOUD_CONFIG("settle = 100ms\n", "", "\n[rule old]\nage = >" age "\npath = /public/**\nzone = abroad\n")
#define HOUR_NS (3600 * NS_PER_S)

/* The real clock goes back to what it was, for who runs after. */
static int64_t shifted_ns;

static void shift(struct cloud *c, int64_t ns)
{
	shifted_ns += ns;
	clock_shift_real(ns);
	/* as the minute does in which it would be noticed */
	pthread_mutex_lock(&c->t->lock);
	pthread_cond_signal(&c->t->sched);
	pthread_mutex_unlock(&c->t->lock);
}

static int unshift(void **state)
{
	(void)state;
	clock_shift_real(-shifted_ns);
	shifted_ns = 0;
	return 0;
}

static size_t entries(struct cloud *c)
{
	size_t n;

	pthread_mutex_lock(&c->t->lock);
	n = c->t->entries.count;
	pthread_mutex_unlock(&c->t->lock);
	return n;
}

static void wait_objects(struct cloud *c, size_t near, size_t far)
{
	int64_t until = clock_mono_ns() + 20 * NS_PER_S;

	while ((cloud_members(c, "near") != near || cloud_members(c, "far") != far) && clock_mono_ns() < until)
		fault_sleep(10);
	assert_int_equal(cloud_members(c, "near"), near);
	assert_int_equal(cloud_members(c, "far"), far);
}

static void write_files(struct cloud *c, uint64_t dir, int count)
{
	char name[16];

	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof name, "%d", i);
		cloud_write(c, dir, name, name, strlen(name));
	}
	cloud_sync(c, 0);
}

/* what is due when, by the index */
static int due_rows(struct cloud *c, int64_t until_ns)
{
	struct meta_due rows[64];
	int64_t next_ns;
	int n;

	assert_int_equal(meta_commit(c->s.meta), 0);
	n = meta_due(c->s.meta, (struct meta_due){ 0, 0 }, until_ns, rows, 64, &next_ns);
	for (int i = 1; i < n; i++)
		assert_true(rows[i - 1].due_ns <= rows[i].due_ns);
	return n;
}

/* Small ages, by the clock as it goes: nothing is kept in memory for those that wait, and nobody is asked. */
static void test_by_themselves(void **state)
{
	struct cloud c;
	uint64_t public;

	(void)state;
	cloud_make(&c, AGED("2s"));
	public = store_mkdir(&c.s, META_ROOT_INO, "public");
	write_files(&c, public, 20);
	cloud_write(&c, META_ROOT_INO, "never", "n", 1);
	cloud_sync(&c, 0);
	assert_int_equal(entries(&c), 0);
	assert_int_equal(cloud_members(&c, "near"), 21);
	assert_int_equal(due_rows(&c, INT64_MAX), 20);
	assert_int_equal(due_rows(&c, clock_real_ns() - 10 * NS_PER_S), 0);
	wait_objects(&c, 1, 20);
	cloud_sync(&c, 0);
	assert_int_equal(due_rows(&c, INT64_MAX), 0);
	cloud_destroy(&c);
}

/* What came due while the store was closed goes when it is open; what is not yet, stays, and is still known. */
static void test_while_closed(void **state)
{
	struct cloud c;
	uint64_t public;

	(void)state;
	cloud_make(&c, AGED("1h"));
	public = store_mkdir(&c.s, META_ROOT_INO, "public");
	write_files(&c, public, 10);
	cloud_close(&c);
	cloud_open(&c, true);
	cloud_sync(&c, 0);
	assert_int_equal(cloud_members(&c, "near"), 10);
	assert_int_equal(due_rows(&c, INT64_MAX), 10);
	cloud_close(&c);
	clock_shift_real(HOUR_NS + NS_PER_S);
	shifted_ns = HOUR_NS + NS_PER_S;
	cloud_open(&c, true);
	wait_objects(&c, 0, 10);
	cloud_destroy(&c);
}

/* set forward: they are due at once; set back: they come home again, since they are not that old any more */
static void test_clock_is_set(void **state)
{
	struct cloud c;
	uint64_t public;

	(void)state;
	cloud_make(&c, AGED("1h"));
	public = store_mkdir(&c.s, META_ROOT_INO, "public");
	write_files(&c, public, 10);
	shift(&c, HOUR_NS / 2);
	cloud_sync(&c, 0);
	assert_int_equal(cloud_members(&c, "near"), 10);
	shift(&c, HOUR_NS);
	wait_objects(&c, 0, 10);
	cloud_sync(&c, 0);
	assert_int_equal(due_rows(&c, INT64_MAX), 0);
	shift(&c, -HOUR_NS);
	wait_objects(&c, 10, 0);
	cloud_sync(&c, 0);
	assert_int_equal(due_rows(&c, INT64_MAX), 10);
	cloud_destroy(&c);
}

/* More at once, of one time, than a page and than there is room for in memory. */
static void test_many_at_once(void **state)
{
	struct cloud c;
	uint64_t public;

	(void)state;
	cloud_make(&c, CLOUD_CONFIG("settle = 100ms\n", "",
			       "\n[rule then]\ndate = >=2100-01-01\npath = /public/**\nzone = abroad\n"));
	public = store_mkdir(&c.s, META_ROOT_INO, "public");
	write_files(&c, public, 300);
	pthread_mutex_lock(&c.t->lock);
	c.t->entries_max = 50;
	pthread_mutex_unlock(&c.t->lock);
	assert_int_equal(cloud_members(&c, "near"), 300);
	shift(&c, 4102444800 * NS_PER_S + 24 * HOUR_NS - clock_real_ns());
	wait_objects(&c, 0, 300);
	cloud_destroy(&c);
}

/* A new time takes the place of the old one; a file that is deleted has none. */
static void test_other_times(void **state)
{
	uint64_t public, ino;
	struct cloud c;

	(void)state;
	cloud_make(&c, AGED("1h"));
	public = store_mkdir(&c.s, META_ROOT_INO, "public");
	ino = cloud_write(&c, public, "a", "a", 1);
	cloud_sync(&c, 0);
	assert_int_equal(due_rows(&c, INT64_MAX), 1);
	cloud_pwrite(&c, ino, "b", 1, 0);
	cloud_sync(&c, 0);
	assert_int_equal(due_rows(&c, INT64_MAX), 1);
	store_name(&c.s, META_ROOT_INO, "a", ino);
	store_name(&c.s, public, "a", 0);
	cloud_touch(&c, ino);
	cloud_sync(&c, 0);
	assert_int_equal(due_rows(&c, INT64_MAX), 0);
	cloud_destroy(&c);
}

/* A file that may no longer be abroad while it is being sent there: no further byte leaves (I1). */
static void test_cut(void **state)
{
	enum { BYTES = 400000 };
	struct fault *far;
	struct cloud c;
	uint8_t *data = cloud_noise(BYTES, 3);
	uint64_t ino;

	(void)state;
	memset(&c, 0, sizeof c);
	store_make(&c.s, CLOUD_CONFIG("settle = 100ms\n", "upload-limit = 50K/s\n",
				 "\n[rule young]\nage = <4s\npath = /public/**\nzone = abroad\n"));
	store_cloud(&c.s, "near");
	store_cloud(&c.s, "far");
	cloud_open(&c, false);
	far = fault_wrap(&c, "far");
	assert_int_equal(transfer_start(c.t), 0);
	ino = cloud_write(&c, store_mkdir(&c.s, META_ROOT_INO, "public"), "f", data, BYTES);
	fault_wait_sending(far);
	for (int i = 0; i < 700 && fault_body_sent(far) != UINT64_MAX; i++)
		fault_sleep(10);
	assert_int_equal(far->put_rc, -ERR_REVOKED);
	cloud_sync(&c, 0);
	cloud_expect_where(&c, ino, WHERE_STORED, "home");
	assert_int_equal(cloud_members(&c, "far"), 0);
	free(data);
	cloud_destroy(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_themselves),
		cmocka_unit_test_teardown(test_while_closed, unshift),
		cmocka_unit_test_teardown(test_clock_is_set, unshift),
		cmocka_unit_test_teardown(test_many_at_once, unshift),
		cmocka_unit_test(test_other_times),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests_name("fs/transfer/due", tests, NULL, NULL);
}
