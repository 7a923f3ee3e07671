/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 65536 /* deeper is a loop */

/* What memory says of a name that SQLite showed: whether it overrides the row. */
static bool row_overridden(struct meta *m, uint64_t parent, const char *name, size_t len)
{
	struct dentry *d = dentry_find(m, parent, name, len);

	return d && (d->node.state & (NODE_CHANGED | NODE_COMMITTING));
}

/* ---- readdir ---- */

struct dir_read {
	struct dirent_out *rows; /* what SQLite shows */
	size_t count, len, max;
	struct dirent_out *out;
};

static int rows_read(struct meta *m, uint64_t dir, uint64_t after, struct dir_read *r)
{
	struct query q;

	r->count = 0;
	query_open(&q, m, "SELECT id, ino, type, name FROM dentry WHERE parent = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
		"iii", (int64_t)dir, (int64_t)after, (int64_t)r->max);
	while (query_step(&q) > 0) {
		struct dirent_out *e = &r->rows[r->count];
		size_t len;
		const void *name = meta_row_blob(&q.row, 3, &len);

		if (!name || len > META_NAME_MAX) {
			q.rc = -ERR_CORRUPT;
			break;
		}
		e->id = (uint64_t)meta_row_i64(&q.row, 0);
		e->ino = (uint64_t)meta_row_i64(&q.row, 1);
		e->type = (uint8_t)meta_row_i64(&q.row, 2);
		memcpy(e->name, name, len);
		e->name[len] = 0;
		r->count++;
	}
	return query_close(&q);
}

static void emit_dentry(struct dir_read *r, const struct dentry *d)
{
	struct dirent_out *e = &r->out[r->len++];

	e->id = d->id;
	e->ino = d->ino;
	e->type = d->type;
	memcpy(e->name, d->name, (size_t)d->name_len + 1);
}

/* Two sequences in order of id: SQLite's rows, but those that memory overrides, and the directory's changed names.
 * Behind a full read SQLite may have more: the changed names behind it wait for the next round. */
static void rows_merge(struct meta *m, uint64_t dir, uint64_t after, struct dir_read *r)
{
	struct meta_dir *changed = dir_find(m, dir);
	uint64_t end = r->count == r->max ? r->rows[r->count - 1].id : UINT64_MAX;
	size_t row = 0;

	if (changed) {
		list_for_each (it, &changed->changed) {
			const struct dentry *d = list_entry(it, struct dentry, dir_link);

			if (!d->ino || d->id <= after)
				continue;
			if (d->id > end)
				break;
			for (; row < r->count && r->rows[row].id <= d->id && r->len < r->max; row++)
				if (!row_overridden(m, dir, r->rows[row].name, strlen(r->rows[row].name)))
					r->out[r->len++] = r->rows[row];
			if (r->len == r->max)
				return;
			emit_dentry(r, d);
		}
	}
	for (; row < r->count && r->len < r->max; row++)
		if (!row_overridden(m, dir, r->rows[row].name, strlen(r->rows[row].name)))
			r->out[r->len++] = r->rows[row];
}

int meta_readdir(struct meta *m, uint64_t dir, uint64_t after, struct dirent_out *out, size_t max)
{
	struct dir_read r = { .max = max, .out = out };
	int rc;

	if (!max)
		return 0;
	if (!(r.rows = malloc(max * sizeof *r.rows)))
		return -ENOMEM;
	do {
		pthread_rwlock_rdlock(&m->merge);
		if ((rc = rows_read(m, dir, after, &r)) == 0) {
			pthread_mutex_lock(&m->lock);
			rows_merge(m, dir, after, &r);
			pthread_mutex_unlock(&m->lock);
		}
		pthread_rwlock_unlock(&m->merge);
		/* all that SQLite showed may be gone already */
		if (r.count == max)
			after = r.rows[max - 1].id;
	} while (rc == 0 && !r.len && r.count == max);
	free(r.rows);
	return rc < 0 ? rc : (int)r.len;
}

/* ---- emptiness ---- */

static bool any_changed_name(struct meta *m, uint64_t dir)
{
	struct meta_dir *changed = dir_find(m, dir);

	if (changed)
		list_for_each (it, &changed->changed)
			if (list_entry(it, struct dentry, dir_link)->ino)
				return true;
	return false;
}

int meta_dir_empty(struct meta *m, uint64_t dir)
{
	struct query q;
	bool found;
	int rc;

	pthread_rwlock_rdlock(&m->merge);
	pthread_mutex_lock(&m->lock);
	found = any_changed_name(m, dir);
	pthread_mutex_unlock(&m->lock);
	query_open(&q, m, "SELECT name FROM dentry WHERE parent = ?1", "i", (int64_t)dir);
	while (!found && query_step(&q) > 0) {
		size_t len;
		const void *name = meta_row_blob(&q.row, 0, &len);

		pthread_mutex_lock(&m->lock);
		found = !row_overridden(m, dir, name, len);
		pthread_mutex_unlock(&m->lock);
	}
	rc = query_close(&q);
	pthread_rwlock_unlock(&m->merge);
	return rc < 0 ? rc : !found;
}

/* ---- from an inode to its names ---- */

struct name {
	uint64_t parent;
	size_t len;
	char text[META_NAME_MAX + 1];
};
struct names {
	struct name *v;
	size_t count, cap;
	int err;
};

static void names_add(struct names *names, uint64_t parent, const void *text, size_t len)
{
	struct name *v = names->v;

	if (names->count == names->cap) {
		if (!(v = realloc(v, (names->cap * 2 + 4) * sizeof *v))) {
			names->err = -ENOMEM;
			return;
		}
		names->v = v;
		names->cap = names->cap * 2 + 4;
	}
	v[names->count].parent = parent;
	v[names->count].len = len;
	memcpy(v[names->count].text, text, len);
	v[names->count++].text[len] = 0;
}

/* Under the lock: the names in memory; all of them, or those that SQLite does not show as they are. */
static void names_in_memory(struct meta *m, uint64_t ino, uint32_t states, struct names *names)
{
	uint64_t h = hash_u64(ino);
	struct hash_node *n = m->by_ino.bucket[h & (m->by_ino.bucket_count - 1)];

	for (; n; n = n->next) {
		const struct dentry *d = container_of(n, struct dentry, by_ino);

		if (n->hash == h && d->ino == ino && (!states || (d->node.state & states)))
			names_add(names, d->parent, d->name, d->name_len);
	}
}

/* Where memory holds as many names as the inode has there is no need to ask SQLite. */
static bool names_all_in_memory(struct meta *m, uint64_t ino, struct names *names)
{
	struct inode *ip = inode_find(m, ino);
	size_t expected = 0;

	if (ip && !(ip->node.state & NODE_LOADING))
		expected = S_ISDIR(ip->mode) ? ip->nlink > 0 : ip->nlink;
	if (expected)
		names_in_memory(m, ino, 0, names);
	if (expected && names->count == expected && !names->err)
		return true;
	names->count = 0;
	return false;
}

static int names_read(struct meta *m, uint64_t ino, struct names *names)
{
	struct query q;
	size_t kept = 0;
	int rc;

	query_open(&q, m, "SELECT parent, name FROM dentry WHERE ino = ?1", "i", (int64_t)ino);
	while (query_step(&q) > 0) {
		size_t len;
		const void *name = meta_row_blob(&q.row, 1, &len);

		if (name && len <= META_NAME_MAX)
			names_add(names, (uint64_t)meta_row_i64(&q.row, 0), name, len);
	}
	rc = query_close(&q);
	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < names->count; i++)
		if (!row_overridden(m, names->v[i].parent, names->v[i].text, names->v[i].len))
			names->v[kept++] = names->v[i];
	names->count = kept;
	names_in_memory(m, ino, NODE_CHANGED | NODE_COMMITTING, names);
	pthread_mutex_unlock(&m->lock);
	return rc < 0 ? rc : names->err;
}

static int names_get(struct meta *m, uint64_t ino, struct names *names)
{
	bool all;
	int rc = 0;

	pthread_rwlock_rdlock(&m->merge);
	pthread_mutex_lock(&m->lock);
	all = names_all_in_memory(m, ino, names);
	pthread_mutex_unlock(&m->lock);
	if (!all)
		rc = names_read(m, ino, names);
	pthread_rwlock_unlock(&m->merge);
	return rc;
}

int meta_names(struct meta *m, uint64_t ino, int (*fn)(void *ctx, uint64_t parent, const char *name), void *ctx)
{
	struct names names = { 0 };
	int rc = names_get(m, ino, &names);

	for (size_t i = 0; rc == 0 && i < names.count; i++)
		rc = fn(ctx, names.v[i].parent, names.v[i].text);
	free(names.v);
	return rc;
}

static int first_name(struct meta *m, uint64_t ino, struct name *out)
{
	struct names names = { 0 };
	int rc = names_get(m, ino, &names);

	if (rc == 0 && !names.count)
		rc = -ENOENT;
	if (rc == 0)
		*out = names.v[0];
	free(names.v);
	return rc;
}

int meta_parent(struct meta *m, uint64_t dir, uint64_t *parent)
{
	struct name name;
	int rc;

	*parent = 0;
	if (dir == META_ROOT_INO)
		return 0;
	if ((rc = first_name(m, dir, &name)) == 0)
		*parent = name.parent;
	return rc;
}

int meta_path(struct meta *m, uint64_t ino, struct buf *out)
{
	struct name *way = NULL;
	size_t depth = 0, cap = 0;
	int rc = 0;

	for (; ino != META_ROOT_INO && rc == 0; depth += rc == 0) {
		struct name *grown = way;

		if (depth == cap && (grown = realloc(way, (cap = cap * 2 + 8) * sizeof *way)))
			way = grown;
		if (!grown)
			rc = -ENOMEM;
		else if (depth == DEPTH_MAX)
			rc = -ERR_CORRUPT;
		else if ((rc = first_name(m, ino, &way[depth])) == 0)
			ino = way[depth].parent;
	}
	if (rc == 0 && !depth)
		buf_str(out, "/");
	while (rc == 0 && depth--)
		buf_printf(out, "/%s", way[depth].text);
	free(way);
	return rc < 0 ? rc : out->err;
}
