/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Idle nodes are bounded by count and, since blobs are long, by what so many nodes usually weigh. */
#define NODE_WEIGHT_USUAL 256

static struct meta_node *node_of(struct list *link)
{
	return list_entry(link, struct meta_node, link);
}

void node_init(struct meta_node *n, enum node_kind kind, size_t weight)
{
	list_init(&n->link);
	n->kind = (uint8_t)kind;
	n->weight = (uint32_t)weight;
	n->refs = 1;
}

/* ---- idle nodes ---- */

static void idle_add(struct meta *m, struct meta_node *n)
{
	n->state |= NODE_IDLE;
	list_append(&m->idle, &n->link);
	m->idle_count++;
	m->idle_bytes += n->weight;
}

static void idle_remove(struct meta *m, struct meta_node *n)
{
	n->state &= ~(uint32_t)NODE_IDLE;
	list_remove(&n->link);
	m->idle_count--;
	m->idle_bytes -= n->weight;
}

/* Out of every table; freed later, when no lock is held. */
static void node_kill(struct meta *m, struct meta_node *n)
{
	if (n->state & NODE_IDLE)
		idle_remove(m, n);
	if (!(n->state & NODE_FAILED))
		hash_remove(&m->nodes[n->kind], &n->hash);
	list_append(&m->dead, &n->link);
	if (n->kind == NODE_INODE)
		inode_detach(m, container_of(n, struct inode, node));
	else if (n->kind == NODE_DENTRY)
		dentry_detach(m, container_of(n, struct dentry, node));
	else
		block_detach(m, container_of(n, struct block, node));
}

static bool is_useless(const struct meta_node *n)
{
	const struct inode *ip = NULL;

	if (n->state & NODE_FAILED)
		return true;
	if (n->kind == NODE_DENTRY)
		return false;
	ip = n->kind == NODE_INODE ? container_of(n, struct inode, node) : container_of(n, struct block, node)->inode;
	if (ip->node.state & NODE_DELETED)
		return true;
	/* made, but never changed: SQLite does not know it, nor does anybody else */
	return n->kind == NODE_INODE && !n->on_disk;
}

void node_rest(struct meta *m, struct meta_node *n)
{
	if (n->refs || (n->state & (NODE_PINNED | NODE_IDLE)))
		return;
	if (is_useless(n))
		node_kill(m, n);
	else
		idle_add(m, n);
}

void node_drop_useless(struct meta *m, struct meta_node *n)
{
	if ((n->state & NODE_IDLE) && is_useless(n))
		node_kill(m, n);
}

void nodes_trim(struct meta *m)
{
	while (m->idle_count > m->options.nodes_max ||
		(m->idle_count && m->idle_bytes > m->options.nodes_max * NODE_WEIGHT_USUAL)) {
		struct meta_node *n = node_of(m->idle.next);

		assert(!n->refs && !(n->state & NODE_PINNED)); /* I3: what is not committed stays */
		node_kill(m, n);
	}
}

void node_ref(struct meta *m, struct meta_node *n)
{
	if (n->state & NODE_IDLE)
		idle_remove(m, n);
	n->refs++;
}

void node_unref(struct meta *m, struct meta_node *n)
{
	assert(n->refs);
	if (!--n->refs)
		node_rest(m, n);
}

void node_put(struct meta *m, struct meta_node *n)
{
	bool dead;

	pthread_mutex_lock(&m->lock);
	node_unref(m, n);
	nodes_trim(m);
	dead = !list_empty(&m->dead);
	pthread_mutex_unlock(&m->lock);
	if (dead)
		nodes_reap(m);
}

void nodes_reap(struct meta *m)
{
	struct list dead = LIST_INIT(dead);

	pthread_mutex_lock(&m->lock);
	list_splice(&dead, &m->dead);
	pthread_mutex_unlock(&m->lock);
	list_for_each_safe (it, &dead) {
		struct meta_node *n = node_of(it);

		if (n->kind == NODE_INODE)
			inode_free(m, container_of(n, struct inode, node));
		else if (n->kind == NODE_DENTRY)
			dentry_free(container_of(n, struct dentry, node));
		else
			block_free(m, container_of(n, struct block, node));
	}
}

/* ---- changed nodes ---- */

void node_changed(struct meta *m, struct meta_node *n)
{
	if (n->state & NODE_CHANGED)
		return;
	if (n->state & NODE_IDLE)
		idle_remove(m, n);
	n->state |= NODE_CHANGED;
	list_append(&m->changed, &n->link);
	m->changed_count[n->kind]++;
	m->changed_bytes += n->weight;
	writer_wake(m);
}

void node_unchanged(struct meta *m, struct meta_node *n)
{
	if (!(n->state & NODE_CHANGED))
		return;
	n->state &= ~(uint32_t)NODE_CHANGED;
	list_remove(&n->link);
	m->changed_count[n->kind]--;
	m->changed_bytes -= n->weight;
	node_rest(m, n);
}

void node_weigh(struct meta *m, struct meta_node *n, size_t weight)
{
	if (n->state & NODE_CHANGED)
		m->changed_bytes += weight - n->weight;
	if (n->state & NODE_IDLE)
		m->idle_bytes += weight - n->weight;
	n->weight = (uint32_t)weight;
}

/* ---- placeholders ---- */

int node_wait(struct meta *m, struct meta_node *n)
{
	while (n->state & NODE_LOADING)
		pthread_cond_wait(&m->loaded, &m->lock);
	return n->state & NODE_FAILED ? -EAGAIN : 0;
}

int node_loaded(struct meta *m, struct meta_node *n, int rc)
{
	n->state &= ~(uint32_t)NODE_LOADING;
	if (rc < 0) {
		n->state |= NODE_FAILED;
		hash_remove(&m->nodes[n->kind], &n->hash);
	}
	pthread_cond_broadcast(&m->loaded);
	return rc;
}

static void take_out(void *ctx, struct hash_node *node)
{
	struct meta_node *n = container_of(node, struct meta_node, hash);

	if (!(n->state & NODE_IDLE))
		list_remove(&n->link);
	node_kill(ctx, n);
}

/* Blocks first: they hold their inodes. */
void nodes_free(struct meta *m)
{
	hash_drain(&m->nodes[NODE_BLOCK], take_out, m);
	hash_drain(&m->nodes[NODE_DENTRY], take_out, m);
	hash_drain(&m->nodes[NODE_INODE], take_out, m);
	nodes_reap(m);
}
