/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cache/internal.h"

#include <errno.h>
#include <stdlib.h>

static bool cnode_eq(const struct hash_node *h, const void *ino)
{
	return container_of(h, struct cnode, hash)->ino == *(const uint64_t *)ino;
}

static struct cnode *find_locked(struct cache *c, uint64_t ino)
{
	struct hash_node *h = hash_find(&c->nodes, hash_u64(ino), cnode_eq, &ino);

	return h ? container_of(h, struct cnode, hash) : NULL;
}

static struct cnode *make_locked(struct cache *c, uint64_t ino)
{
	struct cnode *n = calloc(1, sizeof *n);

	if (!n)
		return NULL;
	n->ino = ino;
	pthread_mutex_init(&n->publish, NULL);
	list_init(&n->unsynced);
	list_init(&n->fresh);
	list_init(&n->link);
	hash_insert(&c->nodes, &n->hash, hash_u64(ino));
	return n;
}

int cnode_get(struct cache *c, uint64_t ino, struct cnode **out)
{
	struct cnode *n;

	pthread_mutex_lock(&c->lock);
	if (!(n = find_locked(c, ino)))
		n = make_locked(c, ino);
	if (n)
		n->refs++;
	pthread_mutex_unlock(&c->lock);
	*out = n;
	return n ? 0 : -ENOMEM;
}

struct cnode *cnode_find(struct cache *c, uint64_t ino)
{
	struct cnode *n;

	pthread_mutex_lock(&c->lock);
	if ((n = find_locked(c, ino)))
		n->refs++;
	pthread_mutex_unlock(&c->lock);
	return n;
}

void cnode_put_locked(struct cache *c, struct cnode *n)
{
	if (--n->refs)
		return;
	hash_remove(&c->nodes, &n->hash);
	pthread_mutex_destroy(&n->publish);
	free(n);
}

void cnode_put(struct cache *c, struct cnode *n)
{
	if (!n)
		return;
	pthread_mutex_lock(&c->lock);
	cnode_put_locked(c, n);
	pthread_mutex_unlock(&c->lock);
}

void cnode_activate(struct cache *c, struct cnode *n)
{
	if (!list_empty(&n->link))
		return;
	n->refs++;
	n->since_ns = clock_mono_ns();
	if (list_empty(&c->active))
		pthread_cond_signal(&c->wake);
	list_append(&c->active, &n->link);
}

void cnode_rest(struct cache *c, struct cnode *n)
{
	if (!list_empty(&n->unsynced) || n->inode || list_empty(&n->link))
		return;
	list_remove(&n->link);
	cnode_put_locked(c, n);
}

void cnode_settle_size(struct cache *c, struct cnode *n, struct inode *inode)
{
	pthread_mutex_lock(&c->lock);
	meta_lock(c->meta);
	if (inode->disk_size != inode->size) {
		if (list_empty(&n->unsynced) && !n->syncing) {
			inode->disk_size = inode->size;
			meta_inode_changed(c->meta, inode);
		} else if (!n->inode) {
			meta_inode_ref(inode);
			n->inode = inode;
			cnode_activate(c, n);
		}
	}
	meta_unlock(c->meta);
	pthread_mutex_unlock(&c->lock);
}

struct cblock *cnode_first(struct cache *c, struct cnode *n)
{
	struct cblock *b = NULL;

	pthread_mutex_lock(&c->lock);
	if (!list_empty(&n->unsynced)) {
		b = list_first(&n->unsynced, struct cblock, unsynced_link);
		meta_lock(c->meta);
		meta_block_ref(b->block);
		meta_unlock(c->meta);
	}
	pthread_mutex_unlock(&c->lock);
	return b;
}
