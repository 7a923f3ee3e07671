/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct dentry_key {
	uint64_t parent;
	const char *name;
	size_t len;
};

static bool dentry_eq(const struct hash_node *n, const void *key)
{
	const struct dentry *d = container_of(n, struct dentry, node.hash);
	const struct dentry_key *k = key;

	return d->parent == k->parent && d->name_len == k->len && !memcmp(d->name, k->name, k->len);
}

struct dentry *dentry_find(struct meta *m, uint64_t parent, const char *name, size_t len)
{
	struct dentry_key key = { parent, name, len };
	struct hash_node *n = hash_find(&m->nodes[NODE_DENTRY], hash_bytes(name, len, parent), dentry_eq, &key);

	return n ? container_of(n, struct dentry, node.hash) : NULL;
}

/* ---- the directory's list of changed names ---- */

static bool dir_eq(const struct hash_node *n, const void *key)
{
	return container_of(n, struct meta_dir, hash)->ino == *(const uint64_t *)key;
}

struct meta_dir *dir_find(struct meta *m, uint64_t ino)
{
	struct hash_node *n = hash_find(&m->dirs, hash_u64(ino), dir_eq, &ino);

	return n ? container_of(n, struct meta_dir, hash) : NULL;
}

static struct meta_dir *dir_get(struct meta *m, uint64_t ino)
{
	struct meta_dir *dir = dir_find(m, ino);

	if (!dir) {
		if (!(dir = calloc(1, sizeof *dir)))
			return NULL;
		dir->ino = ino;
		list_init(&dir->changed);
		hash_insert(&m->dirs, &dir->hash, hash_u64(ino));
	}
	dir->refs++;
	return dir;
}

static void dir_put(struct meta *m, struct meta_dir *dir)
{
	if (--dir->refs)
		return;
	hash_remove(&m->dirs, &dir->hash);
	free(dir);
}

/* ---- nodes ---- */

static struct dentry *dentry_alloc(struct meta *m, uint64_t parent, const char *name, size_t len)
{
	struct dentry *d = calloc(1, sizeof *d + len + 1);

	if (!d || !(d->dir = dir_get(m, parent))) {
		free(d);
		return NULL;
	}
	node_init(&d->node, NODE_DENTRY, sizeof *d + len);
	list_init(&d->dir_link);
	d->parent = parent;
	d->name_len = (uint16_t)len;
	memcpy(d->name, name, len);
	hash_insert(&m->nodes[NODE_DENTRY], &d->node.hash, hash_bytes(name, len, parent));
	return d;
}

static void by_ino_insert(struct meta *m, struct dentry *d)
{
	if (d->ino)
		hash_insert(&m->by_ino, &d->by_ino, hash_u64(d->ino));
}

static void by_ino_remove(struct meta *m, struct dentry *d)
{
	if (d->ino)
		hash_remove(&m->by_ino, &d->by_ino);
}

void dentry_detach(struct meta *m, struct dentry *d)
{
	if (!(d->node.state & NODE_FAILED))
		by_ino_remove(m, d);
	list_remove(&d->dir_link);
	dir_put(m, d->dir);
}

void dentry_free(struct dentry *d)
{
	free(d);
}

void dentry_settle(struct dentry *d)
{
	list_remove(&d->dir_link);
}

static int dentry_load(struct meta *m, struct dentry *d)
{
	struct query q;
	int rc;

	query_open(&q, m, "SELECT ino, id, type FROM dentry WHERE parent = ?1 AND name = ?2", "ib", (int64_t)d->parent,
		d->name, (size_t)d->name_len);
	if ((rc = query_step(&q)) > 0) {
		d->ino = (uint64_t)meta_row_i64(&q.row, 0);
		d->id = (uint64_t)meta_row_i64(&q.row, 1);
		d->type = (uint8_t)meta_row_i64(&q.row, 2);
		d->node.on_disk = true;
	}
	return query_close(&q);
}

/* A directory that SQLite does not know has all its names in memory. */
static bool known_absent(struct meta *m, uint64_t parent)
{
	struct inode *dir = inode_find(m, parent);

	return dir && inode_is_new(dir);
}

static int dentry_add(struct meta *m, uint64_t parent, const char *name, size_t len, struct dentry **out)
{
	struct dentry *d = *out = dentry_alloc(m, parent, name, len);
	int rc;

	if (!d)
		return -ENOMEM;
	if (known_absent(m, parent))
		return 0;
	d->node.state |= NODE_LOADING;
	pthread_mutex_unlock(&m->lock);
	rc = dentry_load(m, d);
	pthread_mutex_lock(&m->lock);
	if (rc == 0)
		by_ino_insert(m, d);
	return node_loaded(m, &d->node, rc);
}

int meta_dentry_get(struct meta *m, uint64_t parent, const char *name, struct dentry **out)
{
	size_t len = strlen(name);
	struct dentry *d;
	int rc;

	*out = NULL;
	if (len > META_NAME_MAX)
		return -ENAMETOOLONG;
	pthread_mutex_lock(&m->lock);
again:
	if ((d = dentry_find(m, parent, name, len))) {
		node_ref(m, &d->node);
		if ((rc = node_wait(m, &d->node)) == -EAGAIN) {
			node_unref(m, &d->node);
			goto again;
		}
	} else {
		rc = dentry_add(m, parent, name, len, &d);
	}
	pthread_mutex_unlock(&m->lock);
	if (rc < 0 && d)
		node_put(m, &d->node);
	*out = rc < 0 ? NULL : d;
	return rc;
}

void meta_dentry_put(struct meta *m, struct dentry *d)
{
	if (d)
		node_put(m, &d->node);
}

/* A name is durable when a sync of what it leads to returns: of a directory, of all below it. */
static void name_changes(struct meta *m, uint64_t ino, uint8_t type)
{
	struct inode *ip;

	if (ino && type == DT_DIR)
		m->dir_batch = m->batch;
	else if (ino && (ip = inode_find(m, ino)))
		ip->whole_batch = m->batch;
}

void meta_dentry_set(struct meta *m, struct dentry *d, uint64_t ino, uint8_t type)
{
	struct lease *lease = &m->lease[LEASE_DENTRY];

	name_changes(m, d->ino, d->type);
	name_changes(m, ino, type);
	by_ino_remove(m, d);
	d->ino = ino;
	d->type = ino ? type : 0;
	d->id = 0;
	if (ino) {
		if (lease->next >= lease->end)
			meta_poison(m, -EOVERFLOW);
		d->id = lease->next++;
	}
	by_ino_insert(m, d);
	/* always at the tail: the list stays in the order of the ids */
	list_remove(&d->dir_link);
	list_append(&d->dir->changed, &d->dir_link);
	node_changed(m, &d->node);
}
