/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small blocks that share an object. */
#include "tests/unit/fs-transfer/pack.h"

#define ALONE                                                                                                          \
	"[filesystem]\nname = test\nstore = @/store\nhome = home\nsettle = 50ms\n"                                     \
	"[zone home]\nkind = domestic\ncountries = CN\nbackends = near\n"                                              \
	"[zone abroad]\nkind = foreign\ncountries = US\nbackends = far\npack = 0\n"                                    \
	"[backend near]\ntype = local\npath = @/near\n[backend far]\ntype = local\npath = @/far\n" CLOUD_RULES

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
		cmocka_unit_test(test_tag_before_body),
		cmocka_unit_test(test_tag_before_switch),
		cmocka_unit_test(test_harmless_change),
		cmocka_unit_test(test_others_stay),
		cmocka_unit_test(test_changed_while_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
