/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/hash.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST 16

static uint64_t seed[2];
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void seed_make(void)
{
	randombytes_buf(seed, sizeof seed);
}

int hash_init(struct hash *h)
{
	h->bucket = calloc(BUCKETS_FIRST, sizeof *h->bucket);
	h->bucket_count = h->bucket ? BUCKETS_FIRST : 0;
	h->count = 0;
	return h->bucket ? 0 : -ENOMEM;
}

void hash_free(struct hash *h)
{
	free(h->bucket);
	memset(h, 0, sizeof *h);
}

void hash_drain(struct hash *h, void (*fn)(void *ctx, struct hash_node *), void *ctx)
{
	struct hash_node *n;

	for (size_t i = 0; i < h->bucket_count; i++) {
		while ((n = h->bucket[i])) {
			h->bucket[i] = n->next;
			n->next = NULL;
			h->count--;
			fn(ctx, n);
		}
	}
}

static struct hash_node **slot(const struct hash *h, uint64_t hash)
{
	return &h->bucket[hash & (h->bucket_count - 1)];
}

struct hash_node *hash_find(
	const struct hash *h, uint64_t hash, bool (*eq)(const struct hash_node *, const void *key), const void *key)
{
	if (!h->bucket_count)
		return NULL;
	for (struct hash_node *n = *slot(h, hash); n; n = n->next)
		if (n->hash == hash && eq(n, key))
			return n;
	return NULL;
}

static void grow(struct hash *h)
{
	struct hash bigger = { .bucket_count = h->bucket_count * 2, .count = h->count };

	bigger.bucket = calloc(bigger.bucket_count, sizeof *bigger.bucket);
	if (!bigger.bucket)
		return;
	for (size_t i = 0; i < h->bucket_count; i++) {
		for (struct hash_node *n = h->bucket[i], *next; n; n = next) {
			struct hash_node **to = slot(&bigger, n->hash);

			next = n->next;
			n->next = *to;
			*to = n;
		}
	}
	free(h->bucket);
	*h = bigger;
}

void hash_insert(struct hash *h, struct hash_node *n, uint64_t hash)
{
	struct hash_node **to;

	if (h->count >= h->bucket_count)
		grow(h);
	to = slot(h, hash);
	n->hash = hash;
	n->next = *to;
	*to = n;
	h->count++;
}

void hash_remove(struct hash *h, struct hash_node *n)
{
	for (struct hash_node **p = slot(h, n->hash); *p; p = &(*p)->next) {
		if (*p != n)
			continue;
		*p = n->next;
		n->next = NULL;
		h->count--;
		return;
	}
}

uint64_t hash_u64(uint64_t v)
{
	return hash_bytes(&v, sizeof v, 0);
}

uint64_t hash_bytes(const void *data, size_t len, uint64_t salt)
{
	unsigned char key[crypto_shorthash_KEYBYTES];
	uint64_t salted[2], out;

	static_assert(sizeof key == sizeof salted && sizeof out == crypto_shorthash_BYTES, "SipHash-2-4");
	pthread_once(&seed_once, seed_make);
	salted[0] = seed[0] ^ salt;
	salted[1] = seed[1];
	memcpy(key, salted, sizeof key);
	crypto_shorthash((unsigned char *)&out, data, len, key);
	return out;
}
