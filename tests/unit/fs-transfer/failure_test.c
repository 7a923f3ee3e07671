/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/fs-transfer/fault.h"

#define QUICK CLOUD_CONFIG("settle = 20ms\n", "", CLOUD_RULES)
#define COPIES                                                                                                         \
	"[filesystem]\nname = test\nstore = @/store\nhome = home\nsettle = 20ms\n"                                     \
	"[zone home]\nkind = domestic\ncountries = CN\nbackends = near, near2, near3\ncopies = 2\n"                    \
	"[zone abroad]\nkind = foreign\ncountries = US\nbackends = far\n"                                              \
	"[backend near]\ntype = local\npath = @/near\n[backend near2]\ntype = local\npath = @/near2\n"                 \
	"[backend near3]\ntype = local\npath = @/near3\n[backend far]\ntype = local\npath = @/far\n" CLOUD_RULES

static void open_with(struct cloud *c, const char *config, const char *backend, struct fault **f)
{
	memset(c, 0, sizeof *c);
	store_make(&c->s, config);
	store_cloud(&c->s, "near");
	store_cloud(&c->s, "near2");
	store_cloud(&c->s, "near3");
	store_cloud(&c->s, "far");
	cloud_open(c, false);
	*f = fault_wrap(c, backend);
	assert_int_equal(transfer_start(c->t), 0);
}

static int64_t in_ms(int64_t ms)
{
	return clock_mono_ns() + ms * NS_PER_MS;
}

/* Each kind of failure of an upload: a new try under a new id, and nothing of the failed one is left. */
static void test_put_fails(void **state)
{
	static const struct {
		int before, after;
	} rows[] = {
		{ -ERR_UNREACHABLE, 0 },
		{ -ERR_TIMEOUT, 0 },
		{ -ERR_DENIED, 0 },
		{ -ERR_QUOTA, 0 },
		{ -ERR_PROTOCOL, 0 },
		{ 0, -ERR_UNREACHABLE },
		{ 0, -ERR_TIMEOUT },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct errmsg msg = { 0 };
		struct fault *near;
		struct cloud c;
		uint64_t ino;

		open_with(&c, QUICK, "near", &near);
		near->fail[OP_PUT] = rows[i].before;
		near->fail_after_put = rows[i].after;
		ino = cloud_write(&c, META_ROOT_INO, "file", "text", 4);
		assert_int_equal(transfer_sync(c.t, ino, in_ms(200), NULL, &msg), -ETIMEDOUT);
		assert_non_null(strstr(msg.text, "near"));
		errmsg_free(&msg);
		cloud_expect_where(&c, ino, WHERE_LOCAL, "home");
		fault_set(near, OP_PUT, 0);
		pthread_mutex_lock(&near->lock);
		near->fail_after_put = 0;
		pthread_mutex_unlock(&near->lock);
		cloud_sync(&c, ino);
		assert_int_equal(cloud_objects(&c, "near"), 1);
		cloud_expect_where(&c, ino, WHERE_STORED, "home");
		assert_true(fault_count(near, OP_PUT) >= 2);
		cloud_destroy(&c);
	}
}

/* I8: neither uploads nor fetches of one zone wait for another's backends. */
static void test_dead_zone(void **state)
{
	uint64_t public, ino[64];
	struct fault *far;
	struct cloud c;
	char name[16];

	(void)state;
	open_with(&c, QUICK, "far", &far);
	far->delay_ns = 3 * NS_PER_S;
	far->fail[OP_PUT] = -ERR_TIMEOUT;
	public = store_mkdir(&c.s, META_ROOT_INO, "public");
	for (int i = 0; i < 64; i++) {
		snprintf(name, sizeof name, "f%d", i);
		ino[i] = cloud_write(&c, i % 2 ? public : META_ROOT_INO, name, name, strlen(name));
	}
	for (int i = 0; i < 64; i += 2) {
		struct errmsg msg = { 0 };
		int rc = transfer_sync(c.t, ino[i], in_ms(2500), NULL, &msg);

		if (rc < 0)
			fail_msg("%s", errmsg_text(&msg, rc));
	}
	pthread_mutex_lock(&far->lock);
	assert_true(far->running_max[OP_PUT] < c.t->options.upload_workers);
	pthread_mutex_unlock(&far->lock);
	assert_int_equal(cloud_members(&c, "near"), 32);
	cloud_expect_where(&c, ino[1], WHERE_UPLOADING, "abroad");
	cloud_destroy(&c);
}

/* A file whose zone is down is judged again when it is tagged: it comes home. */
static void test_queued_for_dead_zone_comes_home(void **state)
{
	struct fault *far;
	uint64_t public, ino;
	struct cloud c;

	(void)state;
	open_with(&c, QUICK, "far", &far);
	far->down = true;
	public = store_mkdir(&c.s, META_ROOT_INO, "public");
	ino = cloud_write(&c, public, "file", "text", 4);
	fault_sleep(300);
	cloud_tags(&c, ino, "personal");
	fault_sleep(300);
	cloud_expect_where(&c, ino, WHERE_STORED, "home");
	assert_int_equal(fault_count(far, OP_PUT), 0);
	ino = cloud_write(&c, public, "other", "text", 4);
	fault_sleep(300);
	cloud_tags(&c, public, "personal");
	fault_sleep(500);
	cloud_expect_where(&c, ino, WHERE_STORED, "home");
	cloud_destroy(&c);
}

static void test_copies(void **state)
{
	struct errmsg msg = { 0 };
	struct fault *near;
	struct where w;
	struct cloud c;
	uint64_t ino;

	(void)state;
	open_with(&c, COPIES, "near", &near);
	near->down = true;
	ino = cloud_write(&c, META_ROOT_INO, "a", "text", 4);
	cloud_sync(&c, ino);
	w = cloud_where(&c, ino);
	assert_int_equal(w.backend_count, 2);
	assert_string_equal(w.backends[0], "near2");
	assert_string_equal(w.backends[1], "near3");
	where_free(&w);
	near = NULL;
	assert_int_equal(cloud_objects(&c, "near"), 0);
	assert_int_equal(cloud_objects(&c, "near2"), 1);
	assert_int_equal(cloud_objects(&c, "near3"), 1);
	/* two of three are down: the block waits, without a busy loop, until one is back */
	near = fault_wrap(&c, "near2");
	fault_set_down(near, true);
	ino = cloud_write(&c, META_ROOT_INO, "b", "text", 4);
	assert_int_equal(transfer_sync(c.t, ino, in_ms(300), NULL, &msg), -ETIMEDOUT);
	errmsg_free(&msg);
	fault_set_down(near, false);
	cloud_sync(&c, ino);
	assert_int_equal(cloud_objects(&c, "near2"), 2);
	cloud_destroy(&c);
}

/* One replica is damaged, gone or not to be reached: the next is read. */
static void test_next_replica(void **state)
{
	uint8_t *data = cloud_noise(100000, 5);
	static const int errors[] = { -ERR_UNREACHABLE, -ERR_ABSENT, -ERR_TIMEOUT, -ERR_DENIED };
	struct fault *near, *near2;
	struct cloud c;
	uint64_t ino;

	(void)state;
	open_with(&c, COPIES, "near", &near);
	near2 = fault_wrap(&c, "near2");
	ino = cloud_write(&c, META_ROOT_INO, "a", data, 100000);
	cloud_sync(&c, ino);
	for (size_t i = 0; i < COUNT(errors); i++) {
		fault_set(near, OP_GET, errors[i]);
		cloud_evict(&c);
		cloud_expect(&c, ino, data, 100000);
	}
	/* what is certain is reported only when no replica may still come back */
	static const struct {
		int one, two, want;
	} rows[] = {
		{ -ERR_UNREACHABLE, -ERR_ABSENT, -ERR_UNREACHABLE },
		{ -ERR_ABSENT, -ERR_TIMEOUT, -ERR_TIMEOUT },
		{ -ERR_ABSENT, -ERR_ABSENT, -ERR_LOST },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		fault_set(near, OP_GET, rows[i].one);
		fault_set(near2, OP_GET, rows[i].two);
		cloud_evict(&c);
		assert_int_equal(cloud_pread(&c, ino, data, 4096, 0, 0), rows[i].want);
	}
	/* nothing was dropped (I7) */
	fault_set(near, OP_GET, 0);
	cloud_expect_where(&c, ino, WHERE_STORED, "home");
	assert_int_equal(cloud_pread(&c, ino, data, 4096, 0, 0), 0);
	free(data);
	cloud_destroy(&c);
}

static char damaged[512];

static int damage(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	if (type == FTW_F && !strstr(path, "/.") && st->st_size > 1000)
		snprintf(damaged, sizeof damaged, "%s", path);
	return 0;
}

/* A file of 100,000 bytes that is on the cloud `near` only: `damaged` is its object there. */
static uint64_t stored_only(struct cloud *c, const uint8_t *data)
{
	uint64_t ino = cloud_write(c, META_ROOT_INO, "a", data, 100000);
	char path[256];

	cloud_sync(c, ino);
	cloud_evict(c);
	snprintf(path, sizeof path, "%s/near", c->s.dir);
	nftw(path, damage, 16, FTW_PHYS);
	assert_int_equal(chmod(damaged, 0600), 0);
	return ino;
}

static void test_tampered(void **state)
{
	uint8_t *data = cloud_noise(100000, 6);
	struct fault *near;
	struct cloud c;
	uint64_t ino;
	int fd;

	(void)state;
	open_with(&c, QUICK, "near", &near);
	ino = stored_only(&c, data);
	fd = open(damaged, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "x", 1, 60000), 1);
	close(fd);
	assert_int_equal(cloud_pread(&c, ino, data, 4096, 49152, 0), -ERR_TAMPERED);
	/* the rest of it is sound */
	assert_int_equal(cloud_pread(&c, ino, data, 4096, 0, 0), 0);
	free(data);
	cloud_destroy(&c);
}

static void make_short(void)
{
	assert_int_equal(truncate(damaged, 100), 0);
}

static void make_link(void)
{
	assert_int_equal(unlink(damaged), 0);
	assert_int_equal(symlink("/etc/hostname", damaged), 0);
}

static void make_directory(void)
{
	assert_int_equal(unlink(damaged), 0);
	assert_int_equal(mkdir(damaged, 0700), 0);
}

/* I6: an object that was cut short or replaced is as one that was changed: no failure of its backend, and the other
 * copy is read. */
static void test_replaced(void **state)
{
	static void (*const ways[])(void) = { make_short, make_link, make_directory };
	uint8_t *data = cloud_noise(100000, 6), got[4096];

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		struct backend_status status;
		struct fault *near, *near2, *near3;
		struct cloud c;
		uint64_t ino;

		open_with(&c, COPIES, "near", &near);
		near2 = fault_wrap(&c, "near2");
		near3 = fault_wrap(&c, "near3");
		ino = stored_only(&c, data);
		fault_set(near, OP_DEL, -ERR_UNREACHABLE); /* it is not made again */
		fault_set(near, OP_PUT, -ERR_UNREACHABLE);
		fault_set(near3, OP_PUT, -ERR_UNREACHABLE);
		ways[i]();
		cloud_expect(&c, ino, data, 100000);
		assert_true(fault_count(near2, OP_GET) > 0);
		fault_set(near2, OP_GET, -ERR_ABSENT);
		cloud_evict(&c);
		assert_int_equal(cloud_pread(&c, ino, got, sizeof got, 49152, 0), -ERR_TAMPERED);
		backend_status(near->wrap.inner, &status);
		assert_int_equal(status.failures, 0);
		assert_true(status.up);
		cloud_destroy(&c);
	}
	free(data);
}

/* The timeout bounds the silence of the whole read, however many replicas hang; not the time of one that flows. */
static void test_patience(void **state)
{
	static const struct {
		bool hangs, hangs2;
		int64_t slow_ms;
		int want;
		int64_t most_ms;
	} rows[] = {
		{ true, false, 0, 0, 900 }, /* half of it for the first, and then there is another */
		{ true, true, 0, -ERR_TIMEOUT, 1900 },
		{ false, false, 400, 0, 3000 }, /* longer than the timeout, but never silent as long */
	};
	uint8_t *data = cloud_noise(100000, 5), *got = malloc(100000);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct fault *near, *near2;
		struct cloud c;
		int64_t start;
		uint64_t ino;
		int rc;

		open_with(&c, COPIES, "near", &near);
		near2 = fault_wrap(&c, "near2");
		near->wrap.backend.config->timeout_ns = near2->wrap.backend.config->timeout_ns = NS_PER_S / 2;
		ino = cloud_write(&c, META_ROOT_INO, "a", data, 100000);
		cloud_sync(&c, ino);
		cloud_evict(&c);
		near->hangs = rows[i].hangs;
		near2->hangs = rows[i].hangs2;
		near->slow_ns = rows[i].slow_ms * NS_PER_MS;
		start = clock_mono_ns();
		rc = cloud_pread(&c, ino, got, 100000, 0, 0);
		assert_int_equal(rc, rows[i].want);
		if (rc == 0)
			assert_memory_equal(got, data, 100000);
		assert_in_range((clock_mono_ns() - start) / NS_PER_MS, 0, rows[i].most_ms);
		cloud_destroy(&c);
	}
	free(got);
	free(data);
}

/* Deletions are tried until they are confirmed, and sync waits for that. */
static void test_delete_fails(void **state)
{
	struct errmsg msg = { 0 };
	struct fault *far;
	uint64_t public, ino;
	struct cloud c;

	(void)state;
	open_with(&c, QUICK, "far", &far);
	public = store_mkdir(&c.s, META_ROOT_INO, "public");
	ino = cloud_write(&c, public, "a", "text", 4);
	cloud_sync(&c, ino);
	fault_set(far, OP_DEL, -ERR_UNREACHABLE);
	cloud_tags(&c, ino, "personal");
	assert_int_equal(transfer_sync(c.t, ino, in_ms(600), NULL, &msg), -ETIMEDOUT);
	assert_non_null(strstr(msg.text, "deletions"));
	assert_non_null(strstr(msg.text, "far"));
	errmsg_free(&msg);
	cloud_expect_where(&c, ino, WHERE_STORED, "home");
	assert_int_equal(cloud_objects(&c, "far"), 1);
	assert_int_equal(meta_deletion_count(c.s.meta, 0), 1);
	fault_set(far, OP_DEL, 0);
	cloud_sync(&c, ino);
	assert_int_equal(cloud_objects(&c, "far"), 0);
	cloud_destroy(&c);
}

static bool deletions_become(struct cloud *c, int64_t most)
{
	for (int i = 0; meta_deletion_count(c->s.meta, 0) > most && i < 500; i++)
		fault_sleep(10);
	return meta_deletion_count(c->s.meta, 0) <= most;
}

static bool becomes_stored(struct cloud *c, uint64_t ino)
{
	bool stored = false;

	for (int i = 0; !stored && i < 500; i++) {
		struct where w = cloud_where(c, ino);

		stored = w.state == WHERE_STORED;
		where_free(&w);
		fault_sleep(10);
	}
	return stored;
}

/* What is to be deleted later becomes due while a page of younger deletions is worked off: it is not passed over. */
static void test_delete_later(void **state)
{
	uint64_t public, young, ino;
	struct fault *far;
	unsigned count;
	struct cloud c;

	(void)state;
	open_with(&c,
		"[filesystem]\nname = test\nstore = @/store\nhome = home\nsettle = 20ms\n"
		"[zone home]\nkind = domestic\ncountries = CN\nbackends = near\n"
		"[zone abroad]\nkind = foreign\ncountries = US\nbackends = far\npack = 0\n"
		"[backend near]\ntype = local\npath = @/near\n[backend far]\ntype = local\npath = @/far\n" CLOUD_RULES,
		"far", &far);
	public = store_mkdir(&c.s, META_ROOT_INO, "public");
	young = store_mkdir(&c.s, public, "young");
	for (int i = 0; i < 30; i++) {
		char name[16];

		snprintf(name, sizeof name, "%d", i);
		cloud_write(&c, young, name, "text", 4);
	}
	cloud_sync(&c, 0);
	count = fault_count(far, OP_PUT);
	far->fail_after_put = -ERR_TIMEOUT;
	ino = cloud_write(&c, public, "unanswered", "text", 4);
	for (int i = 0; fault_count(far, OP_PUT) == count && i < 500; i++)
		fault_sleep(10);
	far->fail_after_put = 0;
	assert_true(becomes_stored(&c, ino));
	assert_true(deletions_become(&c, 1));
	fault_set(far, OP_DEL, -ERR_UNREACHABLE);
	cloud_tags(&c, young, "personal");
	for (int i = 0; meta_deletion_count(c.s.meta, 0) < 31 && i < 500; i++)
		fault_sleep(10);
	assert_int_equal(meta_deletion_count(c.s.meta, 0), 31);
	far->delay_ns = 200 * NS_PER_MS;
	fault_set(far, OP_DEL, 0);
	for (int i = 0; cloud_objects(&c, "far") > 28 && i < 500; i++)
		fault_sleep(10);
	clock_shift_real((META_UNSURE_S + 1) * NS_PER_S);
	assert_true(deletions_become(&c, 0));
	clock_shift_real(-(META_UNSURE_S + 1) * NS_PER_S);
	assert_int_equal(cloud_objects(&c, "far"), 1);
	cloud_destroy(&c);
}

/* A deletion that was not confirmed is done at the next start. */
static void test_delete_after_restart(void **state)
{
	struct fault *far;
	uint64_t public, ino;
	struct cloud c;

	(void)state;
	open_with(&c, QUICK, "far", &far);
	public = store_mkdir(&c.s, META_ROOT_INO, "public");
	for (int i = 0; i < 150; i++) {
		char name[16];

		snprintf(name, sizeof name, "%d", i);
		ino = cloud_write(&c, public, name, "text", 4);
	}
	cloud_sync(&c, 0);
	assert_int_equal(cloud_members(&c, "far"), 150);
	fault_set(far, OP_DEL, -ERR_UNREACHABLE);
	cloud_tags(&c, public, "personal");
	for (int i = 0; cloud_members(&c, "near") < 150 && i < 1000; i++)
		fault_sleep(10);
	fault_sleep(100);
	cloud_close(&c);
	cloud_open(&c, true);
	cloud_sync(&c, 0);
	assert_int_equal(cloud_objects(&c, "far"), 0);
	assert_int_equal(cloud_members(&c, "near"), 150);
	cloud_expect_where(&c, ino, WHERE_STORED, "home");
	cloud_destroy(&c);
}

/* What keeps a sync waiting is said in a sentence that names the backend once. */
static void test_sync_says_why(void **state)
{
	char near[256], want[512];
	struct errmsg msg = { 0 };
	struct cloud c;
	uint64_t ino;

	(void)state;
	cloud_make(&c, QUICK);
	ino = cloud_write(&c, META_ROOT_INO, "a", "text", 4);
	snprintf(near, sizeof near, "%s/near", c.s.dir);
	cloud_sync(&c, ino);
	snprintf(want, sizeof want, "%s.away", near);
	assert_int_equal(rename(near, want), 0);
	cloud_pwrite(&c, ino, "more", 4, 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(transfer_sync(c.t, i ? ino : 0, in_ms(300), NULL, &msg), -ETIMEDOUT);
		snprintf(want, sizeof want,
			"1 file is not (all) on its backends yet; backend 'near': %s is not a directory; mount its "
			"disk, or create it",
			near);
		assert_string_equal(msg.text, want);
		errmsg_free(&msg);
		msg.text = NULL;
	}
	cloud_destroy(&c);
}

static volatile bool stop_waiting = true;

static void test_sync_cancelled(void **state)
{
	struct errmsg msg = { 0 };
	struct fault *near;
	struct cloud c;
	uint64_t ino;

	(void)state;
	open_with(&c, QUICK, "near", &near);
	near->down = true;
	ino = cloud_write(&c, META_ROOT_INO, "a", "text", 4);
	assert_int_equal(transfer_sync(c.t, ino, in_ms(10000), &stop_waiting, &msg), -ECANCELED);
	assert_int_equal(transfer_sync(c.t, 0, in_ms(10000), &stop_waiting, &msg), -ECANCELED);
	cloud_destroy(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put_fails),
		cmocka_unit_test(test_dead_zone),
		cmocka_unit_test(test_queued_for_dead_zone_comes_home),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_next_replica),
		cmocka_unit_test(test_tampered),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_patience),
		cmocka_unit_test(test_delete_fails),
		cmocka_unit_test(test_delete_later),
		cmocka_unit_test(test_delete_after_restart),
		cmocka_unit_test(test_sync_says_why),
		cmocka_unit_test(test_sync_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
