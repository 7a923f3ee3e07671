/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cache/index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

static void ordered(void **state)
{
	struct index x;
	struct entry *e;
	uint32_t at = 0;

	(void)state;
	index_init(&x);
	assert_null(index_next(&x, 1, 0));
	for (uint32_t i = 0; i < 5000; i++)
		assert_non_null(index_add(&x, 7 + i % 3, i * 7919 % 5003, i, ENTRY_CLEAN));
	for (uint32_t i = 0; i < 5000; i++)
		assert_int_equal(index_find(&x, 7 + i % 3, i * 7919 % 5003)->number, i);
	assert_null(index_find(&x, 6, 0));
	assert_null(index_find(&x, 10, 0));
	for (uint64_t ino = 7; ino < 10; ino++) {
		uint32_t n = 0;

		for (at = 0; (e = index_next(&x, ino, at)); at = e->index + 1) {
			assert_int_equal(e->ino, ino);
			assert_true(e->index >= at);
			n++;
		}
		assert_in_range(n, 1666, 1667);
	}
	while ((e = index_next(&x, 8, 100)))
		index_doom(&x, e, 1);
	assert_null(index_next(&x, 8, 100));
	assert_non_null(index_next(&x, 8, 0));
	assert_non_null(index_next(&x, 9, 5000));
	index_free(&x);
}

static void accounts(void **state)
{
	struct index x;
	struct entry *a, *b;

	(void)state;
	index_init(&x);
	a = index_add(&x, 1, 0, 1, ENTRY_CLEAN);
	b = index_add(&x, 1, 1, 2, ENTRY_DIRTY);
	index_account(&x, a, 10);
	index_account(&x, b, 5);
	index_account(&x, a, -3);
	assert_int_equal(x.slots[ENTRY_CLEAN], 7);
	assert_int_equal(x.slots[ENTRY_DIRTY], 5);
	index_set(&x, b, ENTRY_UPLOADING);
	assert_int_equal(x.slots[ENTRY_DIRTY], 0);
	assert_int_equal(x.count[ENTRY_UPLOADING], 1);
	index_set(&x, b, ENTRY_CLEAN);
	/* least recently used first */
	assert_ptr_equal(list_first(&x.lists[ENTRY_CLEAN], struct entry, link), a);
	index_set(&x, a, ENTRY_CLEAN);
	assert_ptr_equal(list_first(&x.lists[ENTRY_CLEAN], struct entry, link), b);
	index_doom(&x, a, 44);
	assert_int_equal(a->batch, 44);
	assert_int_equal(x.slots[ENTRY_DOOMED], 7);
	assert_int_equal(index_slots(&x), 12);
	index_remove(&x, a);
	assert_int_equal(index_slots(&x), 5);
	assert_null(index_find(&x, 1, 0));
	index_free(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordered),
		cmocka_unit_test(accounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
