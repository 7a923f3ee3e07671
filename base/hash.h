/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hash: an intrusive chained hash table that grows; keys are compared by the caller's function. The caller locks. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hash_node {
	struct hash_node *next;
	uint64_t hash;
};

struct hash {
	struct hash_node **bucket;
	size_t bucket_count; /* a power of two */
	size_t count;
};

/* hash_init: -ENOMEM or 0. hash_free: frees the buckets, not the nodes. hash_drain: takes every node out and hands it
 * to fn, which may free it; the table is empty after it. */
int hash_init(struct hash *);
void hash_free(struct hash *);
void hash_drain(struct hash *, void (*fn)(void *ctx, struct hash_node *), void *ctx);
/* hash_find: the first node with this hash for which eq(node, key) holds, or NULL. */
struct hash_node *hash_find(
	const struct hash *, uint64_t hash, bool (*eq)(const struct hash_node *, const void *key), const void *key);
/* hash_insert: adds the node; grows when full (failing to grow is harmless: chains get longer). */
void hash_insert(struct hash *, struct hash_node *, uint64_t hash);
void hash_remove(struct hash *, struct hash_node *);
/* hash_for_each: visits all nodes; no insertion or removal in the body. */
#define hash_for_each(it, h)                                                                                           \
	for (size_t it##_i = 0; it##_i < (h)->bucket_count; it##_i++)                                                  \
		for (struct hash_node *it = (h)->bucket[it##_i]; it; it = it->next)

/* hash_u64, hash_bytes: well-mixed, seeded once a process from getrandom, so that names chosen by a stranger cannot
 * make chains long (SipHash-2-4 by libsodium for bytes). */
uint64_t hash_u64(uint64_t v);
uint64_t hash_bytes(const void *data, size_t len, uint64_t salt);

#endif
