/* SPDX-License-Identifier: GPL-3.0-or-later */
/* I1 under the clock: a change that tightens is made while an upload abroad is under way. */
#include "tests/unit/fs-transfer/fault.h"

#define SLOW  CLOUD_CONFIG("settle = 50ms\n", "upload-limit = 1M/s\n", CLOUD_RULES)
#define BYTES (4u << 20)

struct border {
	struct cloud c;
	struct fault *far;
	uint64_t public, hr, ino;
	uint8_t *data;
};

static void begin(struct border *b)
{
	memset(b, 0, sizeof *b);
	store_make(&b->c.s, SLOW);
	store_cloud(&b->c.s, "near");
	store_cloud(&b->c.s, "far");
	cloud_open(&b->c, false);
	b->far = fault_wrap(&b->c, "far");
	assert_int_equal(transfer_start(b->c.t), 0);
	b->public = store_mkdir(&b->c.s, META_ROOT_INO, "public");
	b->hr = store_mkdir(&b->c.s, META_ROOT_INO, "hr");
	b->data = cloud_noise(BYTES, 3);
	b->ino = cloud_write(&b->c, b->public, "file", b->data, BYTES);
	fault_wait_sending(b->far);
}

/* after the change returned no byte of a body leaves; in the end the file is at home, and nothing of it abroad */
static void end(struct border *b)
{
	uint64_t at_return = fault_body_sent(b->far), later;

	fault_sleep(400);
	later = fault_body_sent(b->far);
	assert_true(later == UINT64_MAX || later == at_return);
	cloud_sync(&b->c, b->ino);
	assert_int_equal(cloud_objects(&b->c, "far"), 0);
	assert_int_equal(cloud_objects(&b->c, "near"), 1);
	cloud_expect_where(&b->c, b->ino, WHERE_STORED, "home");
	cloud_expect(&b->c, b->ino, b->data, BYTES);
	free(b->data);
	cloud_destroy(&b->c);
}

static void test_tag(void **state)
{
	struct border b;

	(void)state;
	begin(&b);
	cloud_tags(&b.c, b.ino, "personal");
	end(&b);
}

static void test_directory_tag(void **state)
{
	struct border b;

	(void)state;
	begin(&b);
	cloud_tags(&b.c, b.public, "personal");
	end(&b);
}

static void test_rename(void **state)
{
	struct border b;

	(void)state;
	begin(&b);
	store_name(&b.c.s, b.hr, "file", b.ino);
	store_name(&b.c.s, b.public, "file", 0);
	transfer_revalidate(b.c.t, b.ino);
	transfer_touch(b.c.t, b.ino);
	end(&b);
}

static void test_directory_rename(void **state)
{
	struct border b;

	(void)state;
	begin(&b);
	store_name(&b.c.s, META_ROOT_INO, "public", 0);
	store_name(&b.c.s, b.hr, "public", b.public);
	transfer_revalidate(b.c.t, 0);
	transfer_subtree(b.c.t);
	end(&b);
}

static void test_reload(void **state)
{
	struct border b;
	char name[16];

	(void)state;
	begin(&b);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "f%d", i);
		cloud_write(&b.c, b.public, name, name, strlen(name));
	}
	cloud_reload(&b.c, CLOUD_CONFIG("settle = 50ms\n", "upload-limit = 1M/s\n", ""));
	cloud_sync(&b.c, 0);
	assert_int_equal(cloud_members(&b.c, "near"), 201);
	for (int i = 200; i-- > 0;) {
		snprintf(name, sizeof name, "f%d", i);
		store_name(&b.c.s, b.public, name, 0);
	}
	cloud_sync(&b.c, 0);
	assert_int_equal(cloud_objects(&b.c, "far"), 0);
	cloud_expect_where(&b.c, b.ino, WHERE_STORED, "home");
	free(b.data);
	cloud_destroy(&b.c);
}

/* a tag that changes nothing cuts nothing for good: the file gets abroad in the end */
static void test_loose_tag(void **state)
{
	struct border b;

	(void)state;
	begin(&b);
	cloud_tags(&b.c, b.ino, "holiday");
	cloud_sync(&b.c, b.ino);
	assert_int_equal(cloud_objects(&b.c, "far"), 1);
	cloud_expect_where(&b.c, b.ino, WHERE_STORED, "abroad");
	free(b.data);
	cloud_destroy(&b.c);
}

static void test_unlinked(void **state)
{
	struct inode *inode;
	struct border b;

	(void)state;
	begin(&b);
	inode = store_inode(&b.c.s, b.ino);
	store_name(&b.c.s, b.public, "file", 0);
	transfer_revalidate(b.c.t, b.ino);
	transfer_touch(b.c.t, b.ino);
	cache_inode_gone(b.c.s.cache, inode);
	store_put(&b.c.s, inode);
	cloud_sync(&b.c, 0);
	assert_int_equal(cloud_objects(&b.c, "far"), 0);
	assert_int_equal(cloud_objects(&b.c, "near"), 0);
	free(b.data);
	cloud_destroy(&b.c);
}

/* stopping cuts what is under way; the next start finishes it, under another object */
static void test_stop(void **state)
{
	struct border b;

	(void)state;
	begin(&b);
	cloud_close(&b.c);
	store_write_config(&b.c.s, CLOUD_CONFIG("settle = 50ms\n", "", CLOUD_RULES));
	cloud_open(&b.c, true);
	cloud_sync(&b.c, 0);
	assert_int_equal(cloud_objects(&b.c, "far"), 1);
	cloud_expect_where(&b.c, b.ino, WHERE_STORED, "abroad");
	cloud_expect(&b.c, b.ino, b.data, BYTES);
	free(b.data);
	cloud_destroy(&b.c);
}

/* ---- a change at one exact moment ----------------------------------------------------------------------------------
 */

struct moment {
	struct cloud c;
	struct fault *far;
	uint64_t public, ino;
	bool directory;
};

/* only the change: what it calls afterwards has not come yet */
static void tag_now(void *ctx)
{
	struct moment *m = ctx;

	store_tags(&m->c.s, m->directory ? m->public : m->ino, "personal");
}

/* emptied, and made as long again: zeros now */
static void empty_now(void *ctx)
{
	struct moment *m = ctx;
	struct inode *inode = store_inode(&m->c.s, m->ino);
	struct cache_need need;

	pthread_rwlock_wrlock(&inode->data_lock);
	assert_int_equal(cache_truncate(m->c.s.cache, inode, 0, &need), 0);
	assert_int_equal(cache_truncate(m->c.s.cache, inode, BYTES, &need), 0);
	pthread_rwlock_unlock(&inode->data_lock);
	store_put(&m->c.s, inode);
}

static void moment_begin(struct moment *m, void (*before)(void *), void (*after)(void *), bool directory)
{
	uint8_t *data = cloud_noise(BYTES, 4);

	memset(m, 0, sizeof *m);
	m->directory = directory;
	store_make(&m->c.s, CLOUD_CONFIG("settle = 50ms\n", "", CLOUD_RULES));
	store_cloud(&m->c.s, "near");
	store_cloud(&m->c.s, "far");
	cloud_open(&m->c, false);
	m->far = fault_wrap(&m->c, "far");
	m->far->before_put = before;
	m->far->after_put = after;
	m->far->ctx = m;
	assert_int_equal(transfer_start(m->c.t), 0);
	m->public = store_mkdir(&m->c.s, META_ROOT_INO, "public");
	m->ino = store_file(&m->c.s, m->public, "file");
	cloud_pwrite(&m->c, m->ino, data, BYTES, 0);
	free(data);
	for (int i = 0; fault_count(m->far, OP_PUT) == 0 && i < 1000; i++)
		fault_sleep(5);
	fault_sleep(300);
}

static int count_row(void *ctx, struct meta_row *row)
{
	*(int64_t *)ctx = meta_row_i64(row, 0);
	return 0;
}

static int64_t moved_blocks(struct moment *m)
{
	int64_t n = -1;

	assert_int_equal(meta_select(m->c.s.meta, "SELECT count(*) FROM audit WHERE kind = 3", count_row, &n, ""), 0);
	return n;
}

/* between the entry in the list and the request with the body: it is not sent */
static void test_before_body(void **state)
{
	struct moment m;

	(void)state;
	for (int directory = 0; directory < 2; directory++) {
		moment_begin(&m, tag_now, NULL, directory);
		pthread_mutex_lock(&m.far->lock);
		assert_int_equal(m.far->put_rc, -ERR_REVOKED);
		pthread_mutex_unlock(&m.far->lock);
		transfer_revalidate(m.c.t, directory ? 0 : m.ino);
		transfer_touch(m.c.t, m.ino);
		cloud_sync(&m.c, m.ino);
		cloud_expect_where(&m.c, m.ino, WHERE_STORED, "home");
		assert_int_equal(moved_blocks(&m), 0);
		assert_int_equal(fault_count(m.far, OP_DEL), 0);
		cloud_destroy(&m.c);
	}
}

/* between the last byte and the switch: what was sent is deleted, and was never the file's */
static void test_before_switch(void **state)
{
	struct moment m;

	(void)state;
	for (int directory = 0; directory < 2; directory++) {
		moment_begin(&m, NULL, tag_now, directory);
		transfer_revalidate(m.c.t, directory ? 0 : m.ino);
		transfer_touch(m.c.t, m.ino);
		cloud_sync(&m.c, m.ino);
		cloud_expect_where(&m.c, m.ino, WHERE_STORED, "home");
		assert_int_equal(cloud_objects(&m.c, "far"), 0);
		assert_int_equal(moved_blocks(&m), 0);
		cloud_destroy(&m.c);
	}
}

/* content that changed while it was sent does not come back */
static void test_changed_while_sent(void **state)
{
	uint8_t *zeros = calloc(1, BYTES);
	struct moment m;

	(void)state;
	moment_begin(&m, NULL, empty_now, false);
	transfer_touch(m.c.t, m.ino);
	cloud_sync(&m.c, m.ino);
	cloud_expect(&m.c, m.ino, zeros, BYTES);
	assert_int_equal(cloud_objects(&m.c, "far"), 0);
	free(zeros);
	cloud_destroy(&m.c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tag),
		cmocka_unit_test(test_directory_tag),
		cmocka_unit_test(test_rename),
		cmocka_unit_test(test_directory_rename),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_loose_tag),
		cmocka_unit_test(test_unlinked),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_before_body),
		cmocka_unit_test(test_before_switch),
		cmocka_unit_test(test_changed_while_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
