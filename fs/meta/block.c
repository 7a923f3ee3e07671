/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- blobs ---- */

struct blob *blob_new(const void *data, size_t len)
{
	struct blob *b = len <= UINT32_MAX ? malloc(sizeof *b + len) : NULL;

	if (!b)
		return NULL;
	b->refs = 1;
	b->len = (uint32_t)len;
	if (data && len)
		memcpy(b->data, data, len);
	return b;
}

struct blob *blob_ref(struct blob *b)
{
	__atomic_add_fetch(&b->refs, 1, __ATOMIC_RELAXED);
	return b;
}

void blob_put(struct blob *b)
{
	if (b && __atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(b);
}

/* ---- nodes ---- */

struct block_key {
	uint64_t ino;
	uint32_t index;
};

static uint64_t block_hash(uint64_t ino, uint32_t index)
{
	return hash_bytes(&ino, sizeof ino, index);
}

static bool block_eq(const struct hash_node *n, const void *key)
{
	const struct block *b = container_of(n, struct block, node.hash);
	const struct block_key *k = key;

	return b->ino == k->ino && b->index == k->index;
}

static struct block *block_find(struct meta *m, uint64_t ino, uint32_t index)
{
	struct block_key key = { ino, index };
	struct hash_node *n = hash_find(&m->nodes[NODE_BLOCK], block_hash(ino, index), block_eq, &key);

	return n ? container_of(n, struct block, node.hash) : NULL;
}

static struct block *block_alloc(struct meta *m, struct inode *ip, uint32_t index)
{
	struct block *b = calloc(1, sizeof *b);

	if (!b)
		return NULL;
	node_init(&b->node, NODE_BLOCK, sizeof *b);
	b->ino = ip->ino;
	b->index = index;
	b->inode = ip;
	b->version = m->version_floor;
	node_ref(m, &ip->node);
	list_append(&ip->blocks, &b->inode_link);
	hash_insert(&m->nodes[NODE_BLOCK], &b->node.hash, block_hash(b->ino, index));
	return b;
}

void block_detach(struct meta *m, struct block *b)
{
	if (b->version >= m->version_floor)
		m->version_floor = b->version + 1;
	list_remove(&b->inode_link);
	node_unref(m, &b->inode->node);
	b->inode = NULL;
}

void block_free(struct meta *m, struct block *b)
{
	if (b->cache && m->block_cache_free)
		m->block_cache_free(b->cache);
	blob_put(b->local);
	free(b);
}

static void extent_clear(struct extent *e)
{
	memset(e, 0, sizeof *e);
}

static bool extent_is_empty(const struct extent *e)
{
	static const uint8_t none[OBJECT_ID_BYTES];

	return !memcmp(e->object, none, sizeof none);
}

bool block_is_empty(const struct block *b)
{
	return b->kind == BLOCK_NONE && !b->dirty && extent_is_empty(&b->extent);
}

/* ---- loading ---- */

/* One statement, so that both halves are of one moment. */
static const char sql_block[] = "SELECT b.kind, b.dirty, b.local, o.id, e.offset, e.length, o.zone, e.object"
				" FROM (SELECT ?1 AS ino, ?2 AS idx) k"
				" LEFT JOIN block b ON b.ino = k.ino AND b.idx = k.idx"
				" LEFT JOIN extent e ON e.ino = k.ino AND e.idx = k.idx"
				" LEFT JOIN object o ON o.num = e.object";

static void extent_fill(struct query *q, struct extent *e)
{
	query_exact(q, 3, e->object, sizeof e->object);
	e->offset = (uint64_t)meta_row_i64(&q->row, 4);
	e->len = (uint32_t)meta_row_i64(&q->row, 5);
	e->zone_id = (uint32_t)meta_row_i64(&q->row, 6);
}

static void block_fill(struct query *q, struct block *b)
{
	const void *local;
	size_t len;

	b->kind = (enum block_local)meta_row_i64(&q->row, 0);
	b->dirty = meta_row_i64(&q->row, 1) != 0;
	b->node.on_disk = b->kind != BLOCK_NONE || b->dirty;
	if (meta_row_i64(&q->row, 7))
		extent_fill(q, &b->extent);
	if (b->kind == BLOCK_NONE)
		return;
	local = meta_row_blob(&q->row, 2, &len);
	if (!(b->local = blob_new(local, len)))
		q->rc = -ENOMEM;
}

static int block_load(struct meta *m, struct block *b)
{
	struct query q;

	query_open(&q, m, sql_block, "ii", (int64_t)b->ino, (int64_t)b->index);
	if (query_step(&q) > 0)
		block_fill(&q, b);
	return query_close(&q);
}

static void block_reset(struct block *b)
{
	b->kind = BLOCK_NONE;
	blob_put(b->local);
	b->local = NULL;
	b->dirty = false;
	extent_clear(&b->extent);
}

static size_t block_weight(const struct block *b)
{
	return sizeof *b + (b->local ? b->local->len : 0);
}

static int block_add(struct meta *m, struct inode *ip, uint32_t index, struct block **out)
{
	struct block *b = *out = block_alloc(m, ip, index);
	int rc;

	if (!b)
		return -ENOMEM;
	if ((inode_is_new(ip) && !ip->rows) || inode_dropped(m, ip, index))
		return 0;
	b->node.state |= NODE_LOADING;
	pthread_mutex_unlock(&m->lock);
	rc = block_load(m, b);
	pthread_mutex_lock(&m->lock);
	if (b->node.state & NODE_DROPPED)
		block_reset(b);
	b->node.state &= ~(uint32_t)NODE_DROPPED;
	node_weigh(m, &b->node, block_weight(b));
	return node_loaded(m, &b->node, rc);
}

int meta_block_get(struct meta *m, struct inode *ip, uint32_t index, struct block **out)
{
	struct block *b = NULL;
	int rc;

	pthread_mutex_lock(&m->lock);
again:
	if (ip->node.state & NODE_DELETED) {
		rc = -ENOENT;
	} else if ((b = block_find(m, ip->ino, index))) {
		node_ref(m, &b->node);
		if ((rc = node_wait(m, &b->node)) == -EAGAIN) {
			node_unref(m, &b->node);
			b = NULL;
			goto again;
		}
	} else {
		rc = block_add(m, ip, index, &b);
	}
	pthread_mutex_unlock(&m->lock);
	if (rc < 0 && b)
		node_put(m, &b->node);
	*out = rc < 0 ? NULL : b;
	return rc;
}

struct block *meta_block_peek(struct meta *m, uint64_t ino, uint32_t index)
{
	struct block *b = block_find(m, ino, index);

	if (!b || (b->node.state & NODE_LOADING))
		return NULL;
	node_ref(m, &b->node);
	return b;
}

void meta_block_put(struct meta *m, struct block *b)
{
	if (b)
		node_put(m, &b->node);
}

void meta_block_ref(struct block *b)
{
	assert(b->node.refs);
	b->node.refs++;
}

void meta_set_block_free(struct meta *m, void (*fn)(void *cache))
{
	m->block_cache_free = fn;
}

/* ---- changes ---- */

void meta_block_changed(struct meta *m, struct block *b)
{
	b->change_batch = m->batch;
	if (b->inode->node.state & NODE_DELETED)
		return;
	node_weigh(m, &b->node, block_weight(b));
	node_changed(m, &b->node);
}

void block_clear(struct meta *m, struct block *b)
{
	if (b->node.state & NODE_LOADING) {
		b->node.state |= NODE_DROPPED;
		return;
	}
	block_reset(b);
	b->version++;
	b->change_batch = m->batch;
	node_weigh(m, &b->node, block_weight(b));
	/* the record that drops the row goes before what this block may become */
	node_unchanged(m, &b->node);
	node_drop_useless(m, &b->node);
}

void blocks_clear(struct meta *m, struct inode *ip, uint32_t from, void (*dropped)(struct block *))
{
	list_for_each_safe (it, &ip->blocks) {
		struct block *b = list_entry(it, struct block, inode_link);

		if (b->index < from)
			continue;
		if (dropped && !(b->node.state & NODE_LOADING))
			dropped(b);
		block_clear(m, b);
	}
}

void meta_blocks_drop(struct meta *m, struct inode *ip, uint32_t from, void (*dropped)(struct block *))
{
	if (ip->node.state & NODE_DELETED)
		return;
	blocks_clear(m, ip, from, dropped);
	if (inode_is_new(ip) && !ip->rows && !(ip->node.state & NODE_COMMITTING))
		return;
	record_blocks_drop(m, ip, from);
	meta_inode_changed(m, ip);
}

/* ---- lists ---- */

static const char sql_blocks[] = "SELECT k.idx, b.kind, b.dirty, o.id, e.offset, e.length, o.zone, e.object"
				 " FROM (SELECT idx FROM block WHERE ino = ?1 AND idx >= ?2"
				 " UNION SELECT idx FROM extent WHERE ino = ?1 AND idx >= ?2 ORDER BY 1 LIMIT ?3) k"
				 " LEFT JOIN block b ON b.ino = ?1 AND b.idx = k.idx"
				 " LEFT JOIN extent e ON e.ino = ?1 AND e.idx = k.idx"
				 " LEFT JOIN object o ON o.num = e.object ORDER BY k.idx";

int meta_blocks(struct meta *m, uint64_t ino, uint32_t from, struct block_row *out, size_t max)
{
	struct query q;
	size_t count = 0;
	int rc;

	if ((rc = meta_commit(m)) < 0)
		return rc;
	query_open(&q, m, sql_blocks, "iii", (int64_t)ino, (int64_t)from, (int64_t)max);
	for (; count < max && query_step(&q) > 0; count++) {
		struct block_row *row = &out[count];

		memset(row, 0, sizeof *row);
		row->index = (uint32_t)meta_row_i64(&q.row, 0);
		row->kind = (enum block_local)meta_row_i64(&q.row, 1);
		row->dirty = meta_row_i64(&q.row, 2) != 0;
		row->has_extent = meta_row_i64(&q.row, 7) != 0;
		if (row->has_extent)
			extent_fill(&q, &row->extent);
	}
	rc = query_close(&q);
	return rc < 0 ? rc : (int)count;
}

int64_t meta_dirty_bytes(struct meta *m, uint64_t ino)
{
	struct query q;
	int64_t bytes = 0;
	int rc;

	query_open(&q, m,
		"SELECT ifnull(sum(max(0, min(?2, i.size - b.idx * ?2))), 0) FROM block b JOIN inode i ON i.ino = b.ino"
		" WHERE b.ino = ?1 AND b.dirty = 1",
		"ii", (int64_t)ino, (int64_t)m->block_bytes);
	if (query_step(&q) > 0)
		bytes = meta_row_i64(&q.row, 0);
	rc = query_close(&q);
	return rc < 0 ? rc : bytes;
}

/* ---- the next block that holds anything ---- */

/* The first index in SQLite's rows; *found false: none. */
static int next_row(struct meta *m, uint64_t ino, uint32_t from, uint32_t *index, bool *found)
{
	struct query q;

	query_open(&q, m,
		"SELECT idx FROM block WHERE ino = ?1 AND idx >= ?2"
		" UNION SELECT idx FROM extent WHERE ino = ?1 AND idx >= ?2 ORDER BY 1 LIMIT 1",
		"ii", (int64_t)ino, (int64_t)from);
	if ((*found = query_step(&q) > 0))
		*index = (uint32_t)meta_row_i64(&q.row, 0);
	return query_close(&q);
}

static bool next_in_memory(const struct inode *ip, uint32_t from, uint32_t *index)
{
	bool found = false;

	list_for_each (it, &ip->blocks) {
		const struct block *b = list_entry(it, struct block, inode_link);

		if (b->index < from || (b->node.state & NODE_LOADING) || block_is_empty(b))
			continue;
		if (!found || b->index < *index)
			*index = b->index;
		found = true;
	}
	return found;
}

/* Memory overrides the row at *index: whether it does, so that the row says nothing. */
static bool row_is_stale(struct meta *m, const struct inode *ip, uint32_t index)
{
	struct block *b = block_find(m, ip->ino, index);

	if (b && !(b->node.state & NODE_LOADING))
		return block_is_empty(b);
	return inode_dropped(m, ip, index) || (b && (b->node.state & NODE_DROPPED));
}

int meta_next_data(struct meta *m, struct inode *ip, uint32_t from, uint32_t *index, bool *found)
{
	uint32_t row = from, memory = 0;
	bool in_rows = true, in_memory = false, stale = true;
	int rc = 0;

	pthread_rwlock_rdlock(&m->merge);
	while (in_rows && stale) {
		if ((rc = next_row(m, ip->ino, row, &row, &in_rows)) < 0)
			break;
		pthread_mutex_lock(&m->lock);
		in_memory = next_in_memory(ip, from, &memory);
		stale = in_rows && !(in_memory && memory <= row) && row_is_stale(m, ip, row);
		pthread_mutex_unlock(&m->lock);
		if (stale && row == UINT32_MAX)
			in_rows = false;
		else if (stale)
			row++;
	}
	pthread_rwlock_unlock(&m->merge);
	*found = in_rows || in_memory;
	*index = in_memory && (!in_rows || memory < row) ? memory : row;
	return rc;
}
