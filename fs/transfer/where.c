/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/transfer/internal.h"

const char *where_state_name(enum where_state state)
{
	static const char *const names[] = { [WHERE_LOCAL] = "local",
		[WHERE_UPLOADING] = "uploading",
		[WHERE_STORED] = "stored",
		[WHERE_MOVING] = "moving",
		[WHERE_AWAITING] = "awaiting-approval" };

	return names[state];
}

/* What is gathered while walking over the blocks. */
struct walk {
	struct transfer *t;
	struct where *out;
	uint32_t zone_id; /* where the file is placed */
	uint8_t last[OBJECT_ID_BYTES];
	size_t cap;
	bool dirty, elsewhere;
	uint32_t *backend_ids;
	size_t backend_count;
};

static int add_backend(struct walk *w, uint32_t id)
{
	uint32_t *grown;

	for (size_t i = 0; i < w->backend_count; i++)
		if (w->backend_ids[i] == id)
			return 0;
	if (!(grown = realloc(w->backend_ids, (w->backend_count + 1) * sizeof *grown)))
		return -ENOMEM;
	w->backend_ids = grown;
	w->backend_ids[w->backend_count++] = id;
	return 0;
}

/* Copies count on backends that the configuration still has. */
static bool is_short(struct transfer *t, const struct object_info *info)
{
	unsigned stored = 0;
	bool is;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < info->replica_count; i++)
		stored += info->replicas[i].state == REPLICA_STORED &&
			  endpoint_by_id(t, info->replicas[i].backend_id) != NULL;
	is = stored < zone_copies(t, info->ref.zone);
	pthread_mutex_unlock(&t->lock);
	return is;
}

static bool is_lost(const struct object_info *info)
{
	bool bad = false, stored = false;

	for (size_t i = 0; i < info->replica_count; i++) {
		bad |= info->replicas[i].state == REPLICA_BAD;
		stored |= info->replicas[i].state == REPLICA_STORED;
	}
	return bad && !stored;
}

static int add_replicas(struct walk *w, const uint8_t *object)
{
	struct object_info info = { 0 };
	int rc = meta_object_get(w->t->meta, object, &info);

	w->out->objects_short += rc == 0 && is_short(w->t, &info);
	w->out->objects_lost += rc == 0 && is_lost(&info);
	for (size_t i = 0; rc == 0 && i < info.replica_count; i++)
		if (info.replicas[i].state == REPLICA_STORED)
			rc = add_backend(w, info.replicas[i].backend_id);
	object_info_free(&info);
	return rc == -ENOENT ? 0 : rc;
}

static int grow(struct walk *w)
{
	size_t cap = w->cap ? 2 * w->cap : 16;
	char **objects;
	uint32_t *zones;

	if (w->out->object_count < w->cap)
		return 0;
	if ((objects = realloc(w->out->objects, cap * sizeof *objects)))
		w->out->objects = objects;
	if ((zones = realloc(w->out->object_zone_ids, cap * sizeof *zones)))
		w->out->object_zone_ids = zones;
	if (!objects || !zones)
		return -ENOMEM;
	w->cap = cap;
	return 0;
}

static int add_extent(struct walk *w, const struct extent *e)
{
	char name[OBJECT_NAME_BYTES], *copy;
	int rc;

	w->elsewhere |= e->zone_id != w->zone_id;
	if (w->out->object_count && memcmp(w->last, e->object, sizeof w->last) == 0)
		return 0;
	if ((rc = grow(w)) < 0)
		return rc;
	object_name(e->object, name);
	if (!(copy = strdup(name)))
		return -ENOMEM;
	w->out->objects[w->out->object_count] = copy;
	w->out->object_zone_ids[w->out->object_count++] = e->zone_id;
	memcpy(w->last, e->object, sizeof w->last);
	return add_replicas(w, e->object);
}

static int add_block(struct walk *w, bool dirty, const struct extent *e)
{
	w->dirty |= dirty;
	return extent_none(e) ? 0 : add_extent(w, e);
}

static int walk_each(struct walk *w, struct inode *inode, uint32_t count)
{
	struct extent e;
	struct block *b;
	bool dirty;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < count; i++) {
		if ((rc = meta_block_get(w->t->meta, inode, i, &b)) < 0)
			return rc;
		meta_lock(w->t->meta);
		dirty = b->dirty;
		e = b->extent;
		meta_unlock(w->t->meta);
		meta_block_put(w->t->meta, b);
		rc = add_block(w, dirty, &e);
	}
	return rc;
}

static int walk_rows(struct walk *w, struct inode *inode)
{
	struct block_row rows[PAGE_BLOCKS];
	uint32_t from = 0;
	int rc = 0, n = 1;

	while (rc == 0 && (n = meta_blocks(w->t->meta, inode->ino, from, rows, PAGE_BLOCKS)) > 0) {
		for (int i = 0; rc == 0 && i < n; i++)
			rc = rows[i].has_extent ? add_block(w, rows[i].dirty, &rows[i].extent)
						: (w->dirty |= rows[i].dirty, 0);
		from = rows[n - 1].index + 1;
	}
	return rc < 0 ? rc : n;
}

static int name_backends(struct walk *w)
{
	struct where *out = w->out;

	out->backends = calloc(w->backend_count + 1, sizeof *out->backends);
	out->peers = calloc(w->backend_count + 1, sizeof *out->peers);
	if (!out->backends || !out->peers)
		return -ENOMEM;
	for (size_t i = 0; i < w->backend_count; i++) {
		struct backend_status status = { 0 };
		struct endpoint *s;

		pthread_mutex_lock(&w->t->lock);
		if ((s = endpoint_by_id(w->t, w->backend_ids[i])))
			backend_status(s->backend, &status);
		pthread_mutex_unlock(&w->t->lock);
		out->backends[i] = meta_backend_name(w->t->meta, w->backend_ids[i]);
		out->peers[i] = strdup(status.peer);
		out->backend_count++;
		if (!out->backends[i] || !out->peers[i])
			return -ENOMEM;
	}
	return 0;
}

static bool uploading(struct transfer *t, uint64_t ino)
{
	const struct entry *e;
	bool is;

	pthread_mutex_lock(&t->lock);
	e = entry_find(t, ino);
	is = e && e->pass && e->pass->working > 0;
	pthread_mutex_unlock(&t->lock);
	return is;
}

static enum where_state state(const struct walk *w, const struct placement *at, uint64_t ino)
{
	if (at->state == PLACEMENT_AWAITING)
		return WHERE_AWAITING;
	if (w->elsewhere)
		return WHERE_MOVING;
	if (!w->dirty)
		return WHERE_STORED;
	return uploading(w->t, ino) ? WHERE_UPLOADING : WHERE_LOCAL;
}

static int set_why(struct transfer *t, const struct placement *at, struct where *out)
{
	struct buf text = BUF_INIT;

	if (at->approved || (at->reason != POLICY_NONE && !at->ask))
		out->request = at->asked.id;
	if (at->reason == POLICY_NONE)
		return 0;
	place_why(t->place, at, &text);
	out->why = buf_steal(&text);
	return out->why ? 0 : -ENOMEM;
}

/* As the rules say now, not as it was applied last; but where they cannot say, as it was applied. */
static int placed(struct transfer *t, struct inode *inode, struct placement *at)
{
	int rc = place_evaluate(t->place, inode, at);

	if (rc < 0 && rc != -ENOENT)
		return rc;
	meta_lock(t->meta);
	if ((rc == -ENOENT || at->want_content) && inode->zone_id) {
		free(at->rule);
		at->rule = inode->rule ? strdup(inode->rule) : NULL;
		at->zone_id = inode->zone_id;
	}
	meta_unlock(t->meta);
	return 0;
}

int transfer_where(struct transfer *t, struct inode *inode, struct where *out)
{
	struct walk w = { .t = t, .out = out };
	struct placement at = { 0 };
	uint64_t blocks;
	int rc;

	memset(out, 0, sizeof *out);
	if ((rc = placed(t, inode, &at)) < 0)
		goto out;
	w.zone_id = at.zone_id;
	out->zone = place_zone_name(t->place, at.zone_id);
	out->rule = at.rule;
	at.rule = NULL;
	out->kept_back = at.state != PLACEMENT_FREE;
	if ((rc = set_why(t, &at, out)) < 0)
		goto out;
	meta_lock(t->meta);
	out->held = at.mark_held || (inode->flags & INODE_HELD);
	out->size = S_ISREG(inode->mode) ? inode->size : 0;
	meta_unlock(t->meta);
	blocks = (out->size + t->block_bytes - 1) / t->block_bytes;
	rc = blocks <= PAGE_BLOCKS ? walk_each(&w, inode, (uint32_t)blocks) : walk_rows(&w, inode);
	if (rc == 0)
		rc = name_backends(&w);
	if (rc == 0)
		out->state = state(&w, &at, inode->ino);
out:
	free(w.backend_ids);
	placement_free(&at);
	if (rc < 0)
		where_free(out);
	return rc;
}

static void free_all(char **v, size_t count)
{
	for (size_t i = 0; v && i < count; i++)
		free(v[i]);
	free(v);
}

void where_free(struct where *w)
{
	free(w->zone);
	free(w->rule);
	free(w->why);
	free_all(w->backends, w->backend_count);
	free_all(w->peers, w->backend_count);
	free_all(w->objects, w->object_count);
	free(w->object_zone_ids);
	memset(w, 0, sizeof *w);
}
