/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cache/index.h"

#include "base/hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void index_init(struct index *x)
{
	memset(x, 0, sizeof *x);
	for (int i = 0; i < ENTRY_STATES; i++)
		list_init(&x->lists[i]);
}

void index_free(struct index *x)
{
	for (int i = 0; i < ENTRY_STATES; i++) {
		list_for_each_safe (it, &x->lists[i]) {
			free(list_entry(it, struct entry, link));
		}
	}
	index_init(x);
}

static int compare(const struct entry *e, uint64_t ino, uint32_t index)
{
	if (e->ino != ino)
		return e->ino < ino ? -1 : 1;
	return e->index < index ? -1 : e->index > index;
}

/* ---- the treap: a search tree by key, a heap by random priority, so that its depth is logarithmic ---- */

/* Those before the key to the left, the rest to the right. */
static void split(struct entry *t, uint64_t ino, uint32_t index, struct entry **left, struct entry **right)
{
	while (t) {
		if (compare(t, ino, index) < 0) {
			*left = t;
			left = &t->right;
			t = t->right;
		} else {
			*right = t;
			right = &t->left;
			t = t->left;
		}
	}
	*left = *right = NULL;
}

static struct entry *merge(struct entry *a, struct entry *b)
{
	struct entry *root, **to = &root;

	while (a && b) {
		if (a->priority > b->priority) {
			*to = a;
			to = &a->right;
			a = a->right;
		} else {
			*to = b;
			to = &b->left;
			b = b->left;
		}
	}
	*to = a ? a : b;
	return root;
}

static struct entry **find(struct index *x, uint64_t ino, uint32_t index)
{
	struct entry **at = &x->root;

	for (int order; *at && (order = compare(*at, ino, index));)
		at = order < 0 ? &(*at)->right : &(*at)->left;
	return at;
}

static void insert(struct index *x, struct entry *e)
{
	struct entry **at = &x->root;

	while (*at && (*at)->priority >= e->priority)
		at = compare(*at, e->ino, e->index) < 0 ? &(*at)->right : &(*at)->left;
	split(*at, e->ino, e->index, &e->left, &e->right);
	*at = e;
}

struct entry *index_find(struct index *x, uint64_t ino, uint32_t index)
{
	return *find(x, ino, index);
}

struct entry *index_next(struct index *x, uint64_t ino, uint32_t from)
{
	struct entry *best = NULL;

	for (struct entry *e = x->root; e;) {
		if (compare(e, ino, from) < 0) {
			e = e->right;
		} else {
			best = e;
			e = e->left;
		}
	}
	return best && best->ino == ino ? best : NULL;
}

/* ---- entries ---- */

struct entry *index_add(struct index *x, uint64_t ino, uint32_t index, uint64_t number, enum entry_state state)
{
	struct entry *e = calloc(1, sizeof *e);

	if (!e)
		return NULL;
	assert(!index_find(x, ino, index));
	e->ino = ino;
	e->index = index;
	e->number = number;
	e->priority = (uint32_t)hash_bytes(&number, sizeof number, index);
	e->state = (uint8_t)state;
	insert(x, e);
	list_append(&x->lists[state], &e->link);
	x->count[state]++;
	return e;
}

static void leave(struct index *x, struct entry *e)
{
	list_remove(&e->link);
	x->count[e->state]--;
	x->slots[e->state] -= e->slots;
}

static void enter(struct index *x, struct entry *e, enum entry_state state)
{
	e->state = (uint8_t)state;
	list_append(&x->lists[state], &e->link);
	x->count[state]++;
	x->slots[state] += e->slots;
}

void index_set(struct index *x, struct entry *e, enum entry_state state)
{
	assert(e->state != ENTRY_DOOMED && state != ENTRY_DOOMED);
	leave(x, e);
	enter(x, e, state);
}

void index_account(struct index *x, struct entry *e, int64_t slots)
{
	e->slots += (uint32_t)slots;
	x->slots[e->state] += (uint64_t)slots;
}

void index_doom(struct index *x, struct entry *e, uint64_t batch)
{
	struct entry **at = find(x, e->ino, e->index);

	assert(*at == e);
	*at = merge(e->left, e->right);
	leave(x, e);
	e->batch = batch;
	enter(x, e, ENTRY_DOOMED);
}

void index_remove(struct index *x, struct entry *e)
{
	assert(e->state == ENTRY_DOOMED && !e->file);
	leave(x, e);
	free(e);
}

uint64_t index_slots(const struct index *x)
{
	uint64_t n = 0;

	for (int i = 0; i < ENTRY_STATES; i++)
		n += x->slots[i];
	return n;
}
