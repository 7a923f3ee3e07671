/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

size_t batch_nodes(const struct batch *b)
{
	return b->inode_count + b->dentry_count + b->block_count;
}

static void records_free(struct list *records)
{
	list_for_each_safe (it, records) {
		struct meta_record *r = list_entry(it, struct meta_record, link);

		list_remove(it);
		r->free(r);
	}
}

void batch_free(struct batch *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->inode_count; i++) {
		free(b->inodes[i].at.rule);
		xattrs_free(b->inodes[i].xattrs);
	}
	for (size_t i = 0; i < b->block_count; i++)
		blob_put(b->blocks[i].local);
	records_free(&b->records);
	free(b->inodes);
	free(b->dentries);
	free(b->blocks);
	free(b);
}

/* ---- cut ---- */

/* Units that were written and are not synced are counted beyond the size on disk, where a crash leaves nothing but what
 * was set aside. */
static uint64_t disk_bytes(const struct inode *ip)
{
	uint64_t most = (ip->disk_size + 4095) / 4096 * 4096;

	return S_ISREG(ip->mode) && !(ip->flags & INODE_BEYOND) && ip->bytes > most ? most : ip->bytes;
}

static int image_inode(struct batch *b, struct inode *ip)
{
	struct inode_image *image = &b->inodes[b->inode_count];

	memset(image, 0, sizeof *image);
	image->inode = ip;
	image->at = *ip;
	image->at.rule = NULL;
	image->at.bytes = disk_bytes(ip);
	image->part = (struct inode_part){ .bytes = inode_charge(&image->at), .uid = ip->uid, .gid = ip->gid };
	image->deleted = ip->node.state & NODE_DELETED;
	if (ip->rule && !image->deleted && !(image->at.rule = strdup(ip->rule)))
		return -ENOMEM;
	b->inode_count++;
	if (ip->xattrs && ip->xattrs->changed && !image->deleted && xattrs_copy(&image->xattrs, ip->xattrs) < 0)
		return -ENOMEM;
	return 0;
}

static void image_dentry(struct batch *b, struct dentry *d)
{
	b->dentries[b->dentry_count++] = (struct dentry_image){ d, d->ino, d->id, d->type };
}

static void image_block(struct batch *b, struct block *block)
{
	struct block_image *image = &b->blocks[b->block_count++];

	*image = (struct block_image){ .block = block, .kind = block->kind, .dirty = block->dirty };
	if (block->local)
		image->local = blob_ref(block->local);
}

static int image_node(struct batch *b, struct meta_node *n)
{
	if (n->kind == NODE_INODE)
		return image_inode(b, container_of(n, struct inode, node));
	if (n->kind == NODE_DENTRY)
		image_dentry(b, container_of(n, struct dentry, node));
	else
		image_block(b, container_of(n, struct block, node));
	return 0;
}

static struct batch *batch_alloc(const struct meta *m)
{
	struct batch *b = calloc(1, sizeof *b);

	if (!b)
		return NULL;
	list_init(&b->records);
	b->inodes = malloc((m->changed_count[NODE_INODE] + 1) * sizeof *b->inodes);
	b->dentries = malloc((m->changed_count[NODE_DENTRY] + 1) * sizeof *b->dentries);
	b->blocks = malloc((m->changed_count[NODE_BLOCK] + 1) * sizeof *b->blocks);
	if (b->inodes && b->dentries && b->blocks)
		return b;
	batch_free(b);
	return NULL;
}

/* From here on the node may change again while its image is written. */
static void node_take(struct meta_node *n)
{
	n->state &= ~(uint32_t)NODE_CHANGED;
	n->state |= NODE_COMMITTING;
	list_remove(&n->link);
	if (n->kind == NODE_INODE && container_of(n, struct inode, node)->xattrs)
		container_of(n, struct inode, node)->xattrs->changed = false;
}

/* Numbers are given out of a lease that is durable; half of it used, the next batch asks for more. */
static void leases_renew(struct meta *m, struct batch *b)
{
	for (int i = 0; i < LEASE_KINDS; i++) {
		struct lease *lease = &m->lease[i];

		if (lease->next + m->lease_step / 2 > lease->asked)
			b->lease[i] = lease->asked = lease->next + m->lease_step;
	}
}

int batch_cut(struct meta *m, struct batch **out)
{
	struct batch *b;
	int rc = 0;

	*out = NULL;
	if (list_empty(&m->changed) && list_empty(&m->records))
		return 0;
	if (!(b = batch_alloc(m)))
		return -ENOMEM;
	list_for_each (it, &m->changed)
		if (rc == 0)
			rc = image_node(b, list_entry(it, struct meta_node, link));
	if (rc < 0) {
		batch_free(b);
		return rc;
	}
	list_for_each_safe (it, &m->changed)
		node_take(list_entry(it, struct meta_node, link));
	list_splice(&b->records, &m->records);
	leases_renew(m, b);
	b->intent = m->intent;
	b->no = m->batch++;
	m->committing_count = batch_nodes(b);
	m->committing_bytes = m->changed_bytes;
	m->changed_bytes = m->record_count = 0;
	m->first_change_ns = 0;
	memset(m->changed_count, 0, sizeof m->changed_count);
	*out = b;
	return 0;
}

/* ---- finish ---- */

static void node_finish(struct meta *m, struct meta_node *n, bool on_disk)
{
	n->state &= ~(uint32_t)NODE_COMMITTING;
	n->on_disk = on_disk;
	node_rest(m, n);
}

static void inode_finish(struct meta *m, const struct inode_image *image)
{
	struct inode *ip = image->inode;

	ip->saved = image->part;
	ip->saved_zone = image->at.zone_id;
	if (image->deleted)
		ip->rows = false;
	node_finish(m, &ip->node, !image->deleted);
}

static void dentry_finish(struct meta *m, const struct dentry_image *image)
{
	struct dentry *d = image->dentry;

	if (!(d->node.state & NODE_CHANGED))
		dentry_settle(d);
	node_finish(m, &d->node, image->ino != 0);
}

static void nodes_finish(struct meta *m, struct batch *b)
{
	for (size_t i = 0; i < b->block_count; i++)
		node_finish(m, &b->blocks[i].block->node, b->blocks[i].kind != BLOCK_NONE || b->blocks[i].dirty);
	for (size_t i = 0; i < b->dentry_count; i++)
		dentry_finish(m, &b->dentries[i]);
	for (size_t i = 0; i < b->inode_count; i++)
		inode_finish(m, &b->inodes[i]);
}

void batch_finish(struct meta *m, struct batch *b)
{
	pthread_rwlock_wrlock(&m->merge);
	pthread_mutex_lock(&m->lock);
	assert(b->no > meta_committed(m));
	nodes_finish(m, b);
	list_for_each (it, &b->records)
		tracked_forget(m, list_entry(it, struct meta_record, link));
	for (int i = 0; i < LEASE_KINDS; i++)
		if (b->lease[i])
			m->lease[i].committed = b->lease[i];
	m->committing_count = m->committing_bytes = 0;
	atomic_store(&m->committed, b->no);
	nodes_trim(m);
	checkpoint_hint(m);
	pthread_cond_broadcast(&m->done);
	pthread_mutex_unlock(&m->lock);
	pthread_rwlock_unlock(&m->merge);
	batch_free(b);
	nodes_reap(m);
}
