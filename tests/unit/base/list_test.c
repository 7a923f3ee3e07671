/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/list.h"
#include "tests/unit/base/unit.h"

#include <string.h>

struct item {
	char name;
	struct list link;
};

static const char *names(const struct list *head)
{
	static char out[16];
	size_t n = 0;

	list_for_each (it, (struct list *)head)
		out[n++] = list_entry(it, struct item, link)->name;
	out[n] = 0;
	return out;
}

static void test_ring(void **state)
{
	struct item a = { .name = 'a' }, b = { .name = 'b' }, c = { .name = 'c' };
	struct list head = LIST_INIT(head), other = LIST_INIT(other);

	(void)state;
	assert_true(list_empty(&head));
	list_append(&head, &a.link);
	list_append(&head, &b.link);
	list_push(&head, &c.link);
	assert_string_equal(names(&head), "cab");
	assert_ptr_equal(list_first(&head, struct item, link), &c);
	list_remove(&a.link);
	list_remove(&a.link);
	assert_string_equal(names(&head), "cb");
	list_append(&other, &a.link);
	list_splice(&other, &head);
	assert_string_equal(names(&other), "acb");
	assert_true(list_empty(&head));
	list_splice(&other, &head);
	assert_string_equal(names(&other), "acb");
	list_for_each_safe (it, &other)
		list_remove(it);
	assert_true(list_empty(&other));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_ring) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
