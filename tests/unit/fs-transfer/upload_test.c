/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/fs-transfer/fixture.h"

#define QUICK CLOUD_CONFIG("settle = 100ms\n", "", CLOUD_RULES)

static void test_two_zones(void **state)
{
	uint8_t *big = cloud_noise(9u << 20, 1);
	uint64_t public, ino[4];
	struct cloud c;

	(void)state;
	cloud_make(&c, QUICK);
	public = store_mkdir(&c.s, META_ROOT_INO, "public");
	ino[0] = cloud_write(&c, META_ROOT_INO, "a", "hello", 5);
	ino[1] = cloud_write(&c, public, "b", "world", 5);
	ino[2] = cloud_write(&c, public, "big", big, 9u << 20);
	ino[3] = store_file(&c.s, public, "empty");
	cloud_touch(&c, ino[3]);
	cloud_sync(&c, 0);
	assert_int_equal(cloud_objects(&c, "near"), 1);
	assert_int_equal(cloud_objects(&c, "far"), 4);
	cloud_expect_where(&c, ino[0], WHERE_STORED, "home");
	cloud_expect_where(&c, ino[1], WHERE_STORED, "abroad");
	cloud_expect_where(&c, ino[2], WHERE_STORED, "abroad");
	cloud_expect_where(&c, ino[3], WHERE_STORED, "abroad");
	cloud_evict(&c);
	cloud_expect(&c, ino[0], "hello", 5);
	cloud_expect(&c, ino[1], "world", 5);
	cloud_expect(&c, ino[2], big, 9u << 20);
	free(big);
	cloud_destroy(&c);
}

static void test_tag_brings_home(void **state)
{
	uint8_t *big = cloud_noise(9u << 20, 2);
	uint64_t public, ino;
	struct cloud c;

	(void)state;
	cloud_make(&c, QUICK);
	public = store_mkdir(&c.s, META_ROOT_INO, "public");
	ino = cloud_write(&c, public, "big", big, 9u << 20);
	cloud_sync(&c, ino);
	assert_int_equal(cloud_objects(&c, "far"), 3);
	cloud_evict(&c);
	cloud_tags(&c, ino, "personal");
	cloud_sync(&c, ino);
	assert_int_equal(cloud_objects(&c, "far"), 0);
	assert_int_equal(cloud_objects(&c, "near"), 3);
	cloud_expect_where(&c, ino, WHERE_STORED, "home");
	cloud_expect(&c, ino, big, 9u << 20);
	free(big);
	cloud_destroy(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_zones),
		cmocka_unit_test(test_tag_brings_home),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
