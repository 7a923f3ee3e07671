/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/spare.h"
#include "tests/unit/base/unit.h"

#include <string.h>

#define BYTES 300000

/* The last one given back is the next one out, so that it is warm; never one that is still out. */
static void test_kept(void **state)
{
	struct spare s;
	char *a, *b, *c;

	(void)state;
	spare_init(&s, BYTES, 2);
	a = spare_get(&s);
	b = spare_get(&s);
	c = spare_get(&s);
	assert_true(a && b && c && a != b && b != c && a != c);
	memset(a, 1, BYTES);
	memset(b, 2, BYTES);
	memset(c, 3, BYTES);
	spare_put(&s, a);
	spare_put(&s, b);
	assert_ptr_equal(spare_get(&s), b);
	assert_ptr_equal(spare_get(&s), a);
	assert_int_equal(c[0], 3);
	assert_int_equal(c[BYTES - 1], 3);
	spare_put(&s, c);
	spare_put(&s, b);
	spare_put(&s, a); /* one too many */
	assert_int_equal(s.room, 0);
	assert_ptr_equal(spare_get(&s), b);
	assert_ptr_equal(spare_get(&s), c);
	assert_null(s.first);
	assert_int_equal(s.room, 2);
	spare_put(&s, b);
	spare_put(&s, c);
	spare_put(&s, NULL);
	spare_destroy(&s);
}

struct user {
	pthread_t thread;
	struct spare *s;
	char mark;
	int failed;
};

static void *use(void *arg)
{
	struct user *u = arg;

	for (int i = 0; i < 2000; i++) {
		char *p = spare_get(u->s);

		memset(p, u->mark, 64);
		for (int j = 0; j < 64; j++)
			u->failed |= p[j] != u->mark;
		spare_put(u->s, p);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct user users[4] = { 0 };
	struct spare s;

	(void)state;
	spare_init(&s, 64, 2);
	for (size_t i = 0; i < COUNT(users); i++) {
		users[i].s = &s;
		users[i].mark = (char)('a' + i);
		assert_int_equal(pthread_create(&users[i].thread, NULL, use, &users[i]), 0);
	}
	for (size_t i = 0; i < COUNT(users); i++) {
		pthread_join(users[i].thread, NULL);
		assert_int_equal(users[i].failed, 0);
	}
	spare_destroy(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
