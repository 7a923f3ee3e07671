/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ten thousand rules, and a file that few of them can concern. Of every section one condition is chosen whose every
 * alternative needs something that can be looked up (a directory above, a name, an extension, three bytes in a row, a
 * tag, an owner), and the section is listed under each of these; sections without such a condition are always
 * candidates. A query merges the lists that the file's facts lead to, in the order of the file. */
#include "base/hash.h"
#include "base/list.h"
#include "config/rules_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum index_kind {
	INDEX_ALWAYS,
	INDEX_BELOW,
	INDEX_COMPONENT,
	INDEX_SUFFIX,
	INDEX_GRAM,
	INDEX_TAG,
	INDEX_USER,
	INDEX_GROUP,
	KINDS
};

struct index_list {
	uint32_t *v;
	size_t count;
};

struct index_bucket {
	struct hash_node node;
	enum index_kind kind;
	const char *text; /* the rules' */
	size_t len;
	size_t wanted; /* how many conditions could be listed here: the fewer, the better it tells files apart */
	struct index_list list[PHASES];
};

struct rules_index {
	struct hash buckets;
	struct index_bucket always;
	bool used[KINDS];   /* whether there is a bucket of the kind */
	bool listed[KINDS]; /* whether one has a list */
};

struct index_key {
	enum index_kind kind;
	const char *text;
	size_t len;
};

static struct index_bucket *bucket_of(const struct hash_node *n)
{
	return container_of((struct hash_node *)n, struct index_bucket, node);
}

static bool bucket_eq(const struct hash_node *n, const void *key)
{
	const struct index_bucket *b = bucket_of(n);
	const struct index_key *k = key;

	return b->kind == k->kind && b->len == k->len && memcmp(b->text, k->text, k->len) == 0;
}

static struct index_bucket *bucket_find(const struct rules_index *x, const struct index_key *k)
{
	struct hash_node *n;

	if (!x->used[k->kind])
		return NULL;
	n = hash_find(&x->buckets, hash_bytes(k->text, k->len, k->kind), bucket_eq, k);
	return n ? bucket_of(n) : NULL;
}

static struct index_bucket *bucket_get(struct rules_index *x, const struct index_key *k)
{
	struct index_bucket *b = bucket_find(x, k);

	if (b)
		return b;
	b = calloc(1, sizeof *b);
	if (!b)
		return NULL;
	b->kind = k->kind;
	b->text = k->text;
	b->len = k->len;
	x->used[k->kind] = true;
	hash_insert(&x->buckets, &b->node, hash_bytes(k->text, k->len, k->kind));
	return b;
}

static int list_add(struct index_list *l, size_t section)
{
	uint32_t *v;

	if (l->count && l->v[l->count - 1] == section)
		return 0;
	/* doubled whenever the count is a power of two */
	v = l->count & (l->count - 1) ? l->v : realloc(l->v, (l->count ? 2 * l->count : 1) * sizeof *v);
	if (!v)
		return -ENOMEM;
	l->v = v;
	v[l->count++] = (uint32_t)section;
	return 0;
}

/* what the alternative needs; false: nothing that can be looked up, but perhaps grams */
static bool plain_key(const struct cond *c, size_t i, struct index_key *k)
{
	static const enum index_kind kinds[] = { [GLOB_NEED_BELOW] = INDEX_BELOW,
		[GLOB_NEED_COMPONENT] = INDEX_COMPONENT,
		[GLOB_NEED_SUFFIX] = INDEX_SUFFIX };
	enum glob_need need;

	switch (c->kind) {
	case COND_PATH:
	case COND_NAME:
		need = glob_need(c->globs[i], &k->text, &k->len);
		k->kind = kinds[need];
		if (c->kind == COND_NAME && need == GLOB_NEED_BELOW) {
			/* "/NAME": the one component of a name's pattern */
			k->kind = INDEX_COMPONENT;
			k->text++;
			k->len--;
		}
		return need != GLOB_NEED_NOTHING;
	case COND_TAG:
		*k = (struct index_key){ INDEX_TAG, c->words[i], strlen(c->words[i]) };
		return true;
	case COND_OWNER:
		*k = (struct index_key){ c->owners[i].group ? INDEX_GROUP : INDEX_USER, (const char *)&c->owners[i].id,
			sizeof c->owners[i].id };
		return true;
	default:
		return false;
	}
}

static bool gram_key(const struct cond *c, size_t i, size_t *at, struct index_key *k)
{
	const char *gram;

	if ((c->kind != COND_PATH && c->kind != COND_NAME) || !(gram = glob_gram(c->globs[i], at)))
		return false;
	*k = (struct index_key){ INDEX_GRAM, gram, GLOB_GRAM };
	return true;
}

static bool can_index(const struct cond *c)
{
	struct index_key k;

	for (size_t i = 0; i < c->count; i++) {
		size_t at = 0;

		if (c->negated || (!plain_key(c, i, &k) && !gram_key(c, i, &at, &k)))
			return false;
	}
	return true;
}

static int want(struct rules_index *x, const struct index_key *k)
{
	struct index_bucket *b = bucket_get(x, k);

	if (!b)
		return -ENOMEM;
	b->wanted++;
	return 0;
}

static int count_wanted(struct rules_index *x, const struct cond *c)
{
	struct index_key k;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < c->count; i++) {
		size_t at = 0;

		if (plain_key(c, i, &k))
			rc = want(x, &k);
		while (rc == 0 && gram_key(c, i, &at, &k))
			rc = want(x, &k);
	}
	return rc;
}

/* Of all that the alternative needs the bucket that is the least wanted. */
static struct index_bucket *alternative_bucket(const struct rules_index *x, const struct cond *c, size_t i)
{
	struct index_key k;
	struct index_bucket *best = plain_key(c, i, &k) ? bucket_find(x, &k) : NULL;
	size_t at = 0;

	while (gram_key(c, i, &at, &k)) {
		struct index_bucket *b = bucket_find(x, &k);

		if (!best || b->wanted < best->wanted)
			best = b;
	}
	return best;
}

static int count_section(struct rules_index *x, const struct rule *r)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < r->count; i++)
		if (can_index(&r->conds[i]))
			rc = count_wanted(x, &r->conds[i]);
	return rc;
}

/* the condition whose buckets are the least wanted, or NULL */
static const struct cond *choose(const struct rules_index *x, const struct rule *r)
{
	const struct cond *best = NULL;
	size_t least = SIZE_MAX;

	for (size_t i = 0; i < r->count; i++) {
		const struct cond *c = &r->conds[i];
		size_t sum = 0;

		if (!can_index(c))
			continue;
		for (size_t j = 0; j < c->count; j++)
			sum += alternative_bucket(x, c, j)->wanted;
		if (sum >= least)
			continue;
		least = sum;
		best = c;
	}
	return best;
}

static int add_section(struct rules_index *x, enum phase phase, size_t section, const struct rule *r)
{
	const struct cond *c = choose(x, r);
	int rc = 0;

	if (!c)
		return list_add(&x->always.list[phase], section);
	for (size_t i = 0; rc == 0 && i < c->count; i++) {
		struct index_bucket *b = alternative_bucket(x, c, i);

		x->listed[b->kind] = true;
		rc = list_add(&b->list[phase], section);
	}
	return rc;
}

int rules_index_build(struct rules_index **out, const struct rules *r)
{
	struct rules_index *x = calloc(1, sizeof *x);
	int rc = x ? hash_init(&x->buckets) : -ENOMEM;

	for (int phase = 0; rc == 0 && phase < PHASES; phase++)
		for (size_t i = 0; rc == 0 && i < r->program[phase].count; i++)
			rc = count_section(x, r->program[phase].v[i]);
	for (int phase = 0; rc == 0 && phase < PHASES; phase++)
		for (size_t i = 0; rc == 0 && i < r->program[phase].count; i++)
			rc = add_section(x, phase, i, r->program[phase].v[i]);
	if (rc < 0) {
		rules_index_free(x);
		return rc;
	}
	*out = x;
	return 0;
}

static void bucket_free(void *ctx, struct hash_node *n)
{
	(void)ctx;
	for (int phase = 0; phase < PHASES; phase++)
		free(bucket_of(n)->list[phase].v);
	free(bucket_of(n));
}

void rules_index_free(struct rules_index *x)
{
	if (!x)
		return;
	hash_drain(&x->buckets, bucket_free, NULL);
	for (int phase = 0; phase < PHASES; phase++)
		free(x->always.list[phase].v);
	hash_free(&x->buckets);
	free(x);
}

static int add_cursor(struct rules_query *q, const struct index_bucket *b)
{
	struct query_cursor *v = q->v;

	if (!b || (!b->list[PHASE_TAGS].count && !b->list[PHASE_RULES].count))
		return 0;
	if (q->count == q->cap) {
		v = malloc(2 * q->cap * sizeof *v);
		if (!v)
			return -ENOMEM;
		memcpy(v, q->v, q->count * sizeof *v);
		if (q->v != q->first)
			free(q->v);
		q->v = v;
		q->cap *= 2;
	}
	v[q->count++] = (struct query_cursor){ b, 0 };
	return 0;
}

static int look_up(struct rules_query *q, enum index_kind kind, const void *text, size_t len)
{
	if (!q->index->listed[kind])
		return 0;
	return add_cursor(q, bucket_find(q->index, &(struct index_key){ kind, text, len }));
}

static int look_up_grams(struct rules_query *q, const char *s, size_t len)
{
	int rc = 0;

	for (; rc == 0 && q->index->listed[INDEX_GRAM] && len >= GLOB_GRAM; s++, len--)
		rc = look_up(q, INDEX_GRAM, s, GLOB_GRAM);
	return rc;
}

/* the directories above, the components and what is in them, the extension */
static int look_up_path(struct rules_query *q, const char *path)
{
	const char *s = path, *dot;
	int rc = 0;

	while (rc == 0 && *s == '/' && s[1]) {
		size_t len = strcspn(s + 1, "/");

		rc = look_up(q, INDEX_COMPONENT, s + 1, len);
		if (rc == 0)
			rc = look_up_grams(q, s + 1, len);
		if (rc == 0 && !s[1 + len] && (dot = memrchr(s + 1, '.', len)))
			rc = look_up(q, INDEX_SUFFIX, dot + 1, strlen(dot + 1));
		s += 1 + len;
		if (rc == 0)
			rc = look_up(q, INDEX_BELOW, path, (size_t)(s - path));
	}
	return rc;
}

int query_start(struct rules_query *q, const struct rules_index *x, const struct rule_facts *f)
{
	uint32_t uid = f->uid, gid = f->gid;
	int rc;

	q->index = x;
	q->v = q->first;
	q->count = 0;
	q->cap = sizeof q->first / sizeof *q->first;
	q->phase = PHASE_TAGS;
	rc = add_cursor(q, &x->always);
	if (rc == 0)
		rc = look_up_path(q, f->path);
	if (rc == 0)
		rc = look_up(q, INDEX_USER, &uid, sizeof uid);
	if (rc == 0)
		rc = look_up(q, INDEX_GROUP, &gid, sizeof gid);
	for (size_t i = 0; rc == 0 && i < f->tag_count; i++)
		rc = query_add_tag(q, f->tags[i].name);
	return rc;
}

int query_add_tag(struct rules_query *q, const char *tag)
{
	return look_up(q, INDEX_TAG, tag, strlen(tag));
}

void query_phase(struct rules_query *q, enum phase phase)
{
	q->phase = phase;
	for (size_t i = 0; i < q->count; i++)
		q->v[i].at = 0;
}

size_t query_next(struct rules_query *q, size_t from)
{
	size_t next = SIZE_MAX;

	for (size_t i = 0; i < q->count; i++) {
		struct query_cursor *c = &q->v[i];
		const struct index_list *l = &c->bucket->list[q->phase];

		while (c->at < l->count && l->v[c->at] < from)
			c->at++;
		if (c->at < l->count && l->v[c->at] < next)
			next = l->v[c->at];
	}
	return next;
}

void query_end(struct rules_query *q)
{
	if (q->v != q->first)
		free(q->v);
	q->v = q->first;
	q->count = 0;
}
