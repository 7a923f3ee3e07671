/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/hash.h"
#include "base/list.h"
#include "tests/unit/base/unit.h"

#include <stdlib.h>

#define ITEMS 5000

struct item {
	uint64_t value;
	struct hash_node node;
};

static bool item_eq(const struct hash_node *n, const void *key)
{
	return container_of((struct hash_node *)n, struct item, node)->value == *(const uint64_t *)key;
}

static struct hash_node *find(const struct hash *h, uint64_t value)
{
	return hash_find(h, hash_u64(value), item_eq, &value);
}

static void test_insert_find_remove(void **state)
{
	struct item *items = calloc(ITEMS, sizeof *items);
	uint64_t sum = 0;
	struct hash h;

	(void)state;
	assert_int_equal(hash_init(&h), 0);
	for (uint64_t i = 0; i < ITEMS; i++) {
		items[i].value = i;
		hash_insert(&h, &items[i].node, hash_u64(i));
	}
	assert_int_equal(h.count, ITEMS);
	assert_true(h.bucket_count >= ITEMS);
	assert_int_equal(h.bucket_count & (h.bucket_count - 1), 0);
	for (uint64_t i = 0; i < ITEMS; i++)
		assert_ptr_equal(find(&h, i), &items[i].node);
	assert_null(find(&h, ITEMS));
	for (uint64_t i = 0; i < ITEMS; i += 2)
		hash_remove(&h, &items[i].node);
	hash_remove(&h, &items[0].node);
	assert_int_equal(h.count, ITEMS / 2);
	for (uint64_t i = 0; i < ITEMS; i++)
		assert_int_equal(find(&h, i) != NULL, i % 2);
	hash_for_each (n, &h)
		sum += container_of(n, struct item, node)->value;
	assert_int_equal(sum, (uint64_t)ITEMS * ITEMS / 4);
	hash_free(&h);
	assert_null(find(&h, 1));
	free(items);
}

/* equal hashes are told apart by eq, and the newest comes first */
static void test_one_chain(void **state)
{
	struct item a = { .value = 1 }, b = { .value = 2 }, again = { .value = 1 };
	struct hash h;
	uint64_t key = 1;

	(void)state;
	assert_int_equal(hash_init(&h), 0);
	hash_insert(&h, &a.node, 99);
	hash_insert(&h, &b.node, 99);
	assert_ptr_equal(hash_find(&h, 99, item_eq, &key), &a.node);
	hash_insert(&h, &again.node, 99);
	assert_ptr_equal(hash_find(&h, 99, item_eq, &key), &again.node);
	hash_remove(&h, &again.node);
	assert_ptr_equal(hash_find(&h, 99, item_eq, &key), &a.node);
	hash_free(&h);
}

static void take(void *ctx, struct hash_node *n)
{
	struct item *i = container_of(n, struct item, node);

	assert_null(n->next);
	*(uint64_t *)ctx += i->value;
	free(i);
}

static void test_drain(void **state)
{
	uint64_t sum = 0;
	struct hash h;

	(void)state;
	assert_int_equal(hash_init(&h), 0);
	for (uint64_t i = 0; i < ITEMS; i++) {
		struct item *item = calloc(1, sizeof *item);

		item->value = i;
		hash_insert(&h, &item->node, hash_u64(i / 2)); /* two in each chain at least */
	}
	hash_drain(&h, take, &sum);
	assert_int_equal(sum, (uint64_t)ITEMS * (ITEMS - 1) / 2);
	assert_int_equal(h.count, 0);
	assert_null(find(&h, 0));
	hash_drain(&h, take, &sum);
	assert_int_equal(sum, (uint64_t)ITEMS * (ITEMS - 1) / 2);
	hash_free(&h);
	hash_drain(&h, take, &sum);
}

static void test_functions(void **state)
{
	(void)state;
	assert_int_equal(hash_u64(7), hash_u64(7));
	assert_int_not_equal(hash_u64(7), hash_u64(8));
	assert_int_equal(hash_bytes("name", 4, 1), hash_bytes("name", 4, 1));
	assert_int_not_equal(hash_bytes("name", 4, 1), hash_bytes("name", 4, 2));
	assert_int_not_equal(hash_bytes("name", 4, 1), hash_bytes("name", 3, 1));
	assert_int_equal(hash_bytes("", 0, 0), hash_bytes(NULL, 0, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_insert_find_remove),
		cmocka_unit_test(test_one_chain),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_functions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
