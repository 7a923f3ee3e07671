/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool inode_eq(const struct hash_node *n, const void *key)
{
	return container_of(n, struct inode, node.hash)->ino == *(const uint64_t *)key;
}

struct inode *inode_find(struct meta *m, uint64_t ino)
{
	struct hash_node *n = hash_find(&m->nodes[NODE_INODE], hash_u64(ino), inode_eq, &ino);

	return n ? container_of(n, struct inode, node.hash) : NULL;
}

bool inode_is_new(const struct inode *ip)
{
	return !ip->node.on_disk && !(ip->node.state & (NODE_LOADING | NODE_FAILED));
}

bool inode_dropped(const struct meta *m, const struct inode *ip, uint32_t index)
{
	uint64_t committed = meta_committed(m);

	for (int i = 0; i < 2; i++)
		if (ip->drop[i].batch > committed && index >= ip->drop[i].from)
			return true;
	return false;
}

/* Readers and writers of a file, one after the other without a pause, must not keep a sync or a truncation waiting for
 * ever. Nobody takes it shared twice. */
static void data_lock_init(struct inode *ip)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&ip->data_lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

static struct inode *inode_alloc(struct meta *m, uint64_t ino)
{
	struct inode *ip = calloc(1, sizeof *ip);

	if (!ip)
		return NULL;
	node_init(&ip->node, NODE_INODE, sizeof *ip);
	list_init(&ip->blocks);
	data_lock_init(ip);
	ip->ino = ino;
	ip->place_gen = m->version_floor;
	/* what changed of it while it was not in memory nobody knows */
	ip->whole_batch = m->batch;
	hash_insert(&m->nodes[NODE_INODE], &ip->node.hash, hash_u64(ino));
	return ip;
}

void inode_detach(struct meta *m, struct inode *ip)
{
	usage_leave(m, ip);
	if (ip->place_gen >= m->version_floor)
		m->version_floor = ip->place_gen + 1;
}

void inode_free(struct meta *m, struct inode *ip)
{
	if (ip->core && m->inode_core_free)
		m->inode_core_free(ip->core);
	xattrs_free(ip->xattrs);
	free(ip->rule);
	pthread_rwlock_destroy(&ip->data_lock);
	free(ip);
}

static const char sql_inode[] = "SELECT mode, uid, gid, nlink, rdev, size, bytes, atime_s, atime_ns, mtime_s, mtime_ns,"
				" ctime_s, ctime_ns, btime_s, btime_ns, flags, zone, rules_version, rule, intent,"
				" due_ns, version"
				" FROM inode WHERE ino = ?1";

static struct timespec row_time(struct meta_row *row, int column)
{
	return (struct timespec){ .tv_sec = meta_row_i64(row, column), .tv_nsec = (long)meta_row_i64(row, column + 1) };
}

static int inode_fill(struct inode *ip, struct meta_row *row)
{
	const char *rule = meta_row_text(row, 18);

	ip->mode = (mode_t)meta_row_i64(row, 0);
	ip->uid = (uid_t)meta_row_i64(row, 1);
	ip->gid = (gid_t)meta_row_i64(row, 2);
	ip->nlink = (uint32_t)meta_row_i64(row, 3);
	ip->rdev = (dev_t)meta_row_i64(row, 4);
	ip->size = ip->disk_size = (uint64_t)meta_row_i64(row, 5);
	ip->bytes = (uint64_t)meta_row_i64(row, 6);
	ip->atime = row_time(row, 7);
	ip->mtime = row_time(row, 9);
	ip->ctime = row_time(row, 11);
	ip->btime = row_time(row, 13);
	ip->flags = (uint32_t)meta_row_i64(row, 15);
	ip->zone_id = ip->saved_zone = (uint32_t)meta_row_i64(row, 16);
	ip->rules_version = (uint64_t)meta_row_i64(row, 17);
	ip->intent_last = ip->intent_done = (uint64_t)meta_row_i64(row, 19);
	ip->due_ns = meta_row_i64(row, 20);
	ip->version = (uint64_t)meta_row_i64(row, 21);
	ip->counted = ip->node.on_disk = true;
	ip->part = ip->saved = (struct inode_part){ .bytes = inode_charge(ip), .uid = ip->uid, .gid = ip->gid };
	if (rule && !(ip->rule = strdup(rule)))
		return -ENOMEM;
	return 0;
}

static int inode_load(struct meta *m, struct inode *ip)
{
	struct query q;
	int rc;

	query_open(&q, m, sql_inode, "i", (int64_t)ip->ino);
	rc = query_step(&q);
	if (rc == 0)
		rc = -ENOENT;
	else if (rc > 0)
		rc = inode_fill(ip, &q.row);
	query_close(&q);
	return rc;
}

int meta_inode_get(struct meta *m, uint64_t ino, struct inode **out)
{
	struct inode *ip;
	int rc;

	pthread_mutex_lock(&m->lock);
again:
	if ((ip = inode_find(m, ino))) {
		node_ref(m, &ip->node);
		if ((rc = node_wait(m, &ip->node)) == -EAGAIN) {
			node_unref(m, &ip->node);
			goto again;
		}
	} else if (!(ip = inode_alloc(m, ino))) {
		rc = -ENOMEM;
	} else {
		ip->node.state |= NODE_LOADING;
		pthread_mutex_unlock(&m->lock);
		rc = inode_load(m, ip);
		pthread_mutex_lock(&m->lock);
		rc = node_loaded(m, &ip->node, rc);
	}
	if (rc == 0 && (ip->node.state & NODE_DELETED))
		rc = -ENOENT;
	pthread_mutex_unlock(&m->lock);
	if (rc < 0 && ip)
		node_put(m, &ip->node);
	*out = rc < 0 ? NULL : ip;
	return rc;
}

struct inode *meta_inode_peek(struct meta *m, uint64_t ino)
{
	struct inode *ip = inode_find(m, ino);

	if (!ip || (ip->node.state & (NODE_LOADING | NODE_DELETED)))
		return NULL;
	node_ref(m, &ip->node);
	return ip;
}

void meta_inode_put(struct meta *m, struct inode *ip)
{
	if (ip)
		node_put(m, &ip->node);
}

void meta_inode_ref(struct inode *ip)
{
	assert(ip->node.refs);
	ip->node.refs++;
}

struct inode *meta_inode_new(struct meta *m, mode_t mode, uid_t uid, gid_t gid, dev_t rdev)
{
	struct lease *lease = &m->lease[LEASE_INODE];
	int64_t now = clock_real_ns();
	struct xattrs *xattrs = calloc(1, sizeof *xattrs);
	struct inode *ip;

	if (!xattrs || lease->next >= lease->end || !(ip = inode_alloc(m, lease->next))) {
		free(xattrs);
		return NULL;
	}
	lease->next++;
	ip->xattrs = xattrs;
	ip->mode = mode;
	ip->uid = uid;
	ip->gid = gid;
	ip->rdev = rdev;
	ip->atime = (struct timespec){ .tv_sec = now / NS_PER_S, .tv_nsec = now % NS_PER_S };
	ip->mtime = ip->ctime = ip->btime = ip->atime;
	return ip;
}

void meta_inode_changed(struct meta *m, struct inode *ip)
{
	ip->whole_batch = m->batch;
	meta_inode_written(m, ip);
}

void meta_inode_written(struct meta *m, struct inode *ip)
{
	if (ip->node.state & NODE_DELETED)
		return;
	usage_count(m, ip);
	node_changed(m, &ip->node);
}

void meta_inode_delete(struct meta *m, struct inode *ip)
{
	if (ip->node.state & NODE_DELETED)
		return;
	assert(ip->nlink == 0);
	ip->node.state |= NODE_DELETED;
	blocks_clear(m, ip, 0, NULL);
	usage_uncount(m, ip);
	if (ip->node.on_disk || ip->rows || (ip->node.state & NODE_COMMITTING)) {
		record_blocks_drop(m, ip, 0);
		node_changed(m, &ip->node);
	} else {
		node_unchanged(m, &ip->node);
	}
}

/* ---- the intent log ---- */

bool meta_intent_fits(const struct meta *m, const struct inode *ip)
{
	uint64_t durable = meta_durable(m);

	return !m->error && ip->whole_batch <= durable && m->dir_batch <= durable;
}

uint64_t meta_intent_next(struct meta *m)
{
	return ++m->intent;
}

uint64_t meta_intent_committed(const struct meta *m)
{
	return m->intent_committed;
}

void meta_intent_begin(struct meta *m)
{
	m->intent = m->open_count << INTENT_RUN_SHIFT;
}

bool meta_inode_settled(const struct meta *m, const struct inode *ip)
{
	return !(ip->node.state & (NODE_CHANGED | NODE_COMMITTING)) && meta_committed(m) == meta_durable(m);
}

void meta_set_inode_free(struct meta *m, void (*fn)(void *core))
{
	m->inode_core_free = fn;
}
