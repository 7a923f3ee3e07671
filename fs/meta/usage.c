/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What owners hold. Two counts of it: in memory of all that was done, under the meta lock, by which quotas are judged;
 * and in SQLite of all that is committed, changed in the transactions that write the inodes. An inode remembers its
 * part of each, so that both stay exact whatever becomes of it. */
#include "fs/meta/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct owner {
	enum owner_kind kind;
	uint32_t id;
};

/* One owner's: what it has, in memory; what it may have at most; or by what a batch changes what it has in SQLite. */
struct account {
	struct hash_node hash;
	struct owner owner;
	struct meta_usage has;
};

uint64_t inode_charge(const struct inode *ip)
{
	return S_ISDIR(ip->mode) ? META_DIR_BYTES : ip->bytes;
}

static uint64_t owner_hash(struct owner o)
{
	return hash_u64((uint64_t)o.kind << 32 | o.id);
}

static bool account_eq(const struct hash_node *n, const void *key)
{
	const struct account *a = container_of(n, struct account, hash);
	const struct owner *o = key;

	return a->owner.kind == o->kind && a->owner.id == o->id;
}

static struct account *account_find(const struct hash *accounts, struct owner o)
{
	struct hash_node *n = hash_find(accounts, owner_hash(o), account_eq, &o);

	return n ? container_of(n, struct account, hash) : NULL;
}

static struct account *account_make(struct hash *accounts, struct owner o)
{
	struct account *a = account_find(accounts, o);

	if (a || !(a = calloc(1, sizeof *a)))
		return a;
	a->owner = o;
	hash_insert(accounts, &a->hash, owner_hash(o));
	return a;
}

static void account_free(void *ctx, struct hash_node *n)
{
	(void)ctx;
	free(container_of(n, struct account, hash));
}

void accounts_free(struct hash *accounts)
{
	hash_drain(accounts, account_free, NULL);
	hash_free(accounts);
}

/* ---- in memory ---- */

static void usage_add(struct meta *m, struct owner o, int64_t inodes, int64_t bytes)
{
	struct account *a = account_make(&m->usage, o);

	if (!a) {
		meta_poison(m, -ENOMEM);
		return;
	}
	a->has.inodes += (uint64_t)inodes;
	a->has.bytes += (uint64_t)bytes;
	if (a->has.inodes)
		return;
	hash_remove(&m->usage, &a->hash);
	free(a);
}

static void count(struct meta *m, const struct inode_part *p, int64_t inodes, int64_t bytes)
{
	m->totals.inodes += (uint64_t)inodes;
	m->totals.bytes += (uint64_t)bytes;
	usage_add(m, (struct owner){ OWNER_USER, p->uid }, inodes, bytes);
	usage_add(m, (struct owner){ OWNER_GROUP, p->gid }, inodes, bytes);
}

static void recount(struct meta *m, struct inode *ip, struct inode_part now)
{
	struct inode_part was = ip->part;
	bool same = ip->counted && now.uid == was.uid && now.gid == was.gid;

	ip->part = now;
	if (same && now.bytes != was.bytes)
		count(m, &now, 0, (int64_t)(now.bytes - was.bytes));
	if (same)
		return;
	count(m, &now, 1, (int64_t)now.bytes);
	if (ip->counted)
		count(m, &was, -1, -(int64_t)was.bytes);
	ip->counted = true;
}

void usage_count(struct meta *m, struct inode *ip)
{
	recount(m, ip, (struct inode_part){ .bytes = inode_charge(ip), .uid = ip->uid, .gid = ip->gid });
}

void usage_uncount(struct meta *m, struct inode *ip)
{
	if (ip->counted)
		count(m, &ip->part, -1, -(int64_t)ip->part.bytes);
	ip->counted = false;
}

void usage_leave(struct meta *m, struct inode *ip)
{
	if (ip->counted && ip->node.on_disk)
		recount(m, ip, ip->saved);
	else
		usage_uncount(m, ip);
}

void meta_bytes_add(struct meta *m, struct inode *ip, int64_t delta)
{
	if (delta < 0 && (uint64_t)-delta > ip->bytes)
		ip->bytes = 0;
	else
		ip->bytes += (uint64_t)delta;
	if (ip->counted)
		usage_count(m, ip);
}

void meta_totals(struct meta *m, struct meta_usage *out)
{
	pthread_mutex_lock(&m->lock);
	*out = m->totals;
	pthread_mutex_unlock(&m->lock);
}

void meta_usage(struct meta *m, enum owner_kind kind, uint32_t id, struct meta_usage *out)
{
	const struct account *a;

	pthread_mutex_lock(&m->lock);
	a = account_find(&m->usage, (struct owner){ kind, id });
	*out = a ? a->has : (struct meta_usage){ 0 };
	pthread_mutex_unlock(&m->lock);
}

/* ---- quotas ---- */

int meta_quotas_set(struct meta *m, const struct meta_usage *max, const struct meta_quota *owners, size_t n)
{
	struct hash quotas, before;
	int rc = hash_init(&quotas);

	for (size_t i = 0; i < n && rc == 0; i++) {
		struct account *a = account_make(&quotas, (struct owner){ owners[i].kind, owners[i].id });

		if (a)
			a->has = owners[i].max;
		else
			rc = -ENOMEM;
	}
	if (rc < 0) {
		accounts_free(&quotas);
		return rc;
	}
	pthread_mutex_lock(&m->lock);
	before = m->quotas;
	m->quotas = quotas;
	m->max = *max;
	pthread_mutex_unlock(&m->lock);
	accounts_free(&before);
	return 0;
}

void meta_quota_whole(struct meta *m, struct meta_usage *max)
{
	pthread_mutex_lock(&m->lock);
	*max = m->max;
	pthread_mutex_unlock(&m->lock);
}

static bool exceeds(uint64_t has, uint64_t more, uint64_t max)
{
	return max && more && (has >= max || more > max - has);
}

static bool fits(const struct meta_usage *has, const struct meta_usage *more, const struct meta_usage *max)
{
	return !exceeds(has->inodes, more->inodes, max->inodes) && !exceeds(has->bytes, more->bytes, max->bytes);
}

static int check_owner(struct meta *m, struct owner o, const struct meta_usage *more)
{
	static const struct meta_usage none;
	const struct account *max = m->quotas.count ? account_find(&m->quotas, o) : NULL, *a;

	if (!max)
		return 0;
	a = account_find(&m->usage, o);
	return fits(a ? &a->has : &none, more, &max->has) ? 0 : -EDQUOT;
}

static int check_all(struct meta *m, uid_t uid, gid_t gid, struct meta_usage more)
{
	int rc;

	if ((rc = check_owner(m, (struct owner){ OWNER_USER, uid }, &more)) < 0 ||
		(rc = check_owner(m, (struct owner){ OWNER_GROUP, gid }, &more)) < 0)
		return rc;
	return fits(&m->totals, &more, &m->max) ? 0 : -ENOSPC;
}

int meta_may_create(struct meta *m, mode_t mode, uid_t uid, gid_t gid)
{
	return check_all(m, uid, gid, (struct meta_usage){ 1, S_ISDIR(mode) ? META_DIR_BYTES : 0 });
}

int meta_may_grow(struct meta *m, const struct inode *ip, uint64_t bytes)
{
	return check_all(m, ip->uid, ip->gid, (struct meta_usage){ 0, bytes });
}

int meta_may_chown(struct meta *m, const struct inode *ip, uid_t uid, gid_t gid)
{
	const struct meta_usage more = { 1, inode_charge(ip) };
	int rc = uid == ip->uid ? 0 : check_owner(m, (struct owner){ OWNER_USER, uid }, &more);

	return rc < 0 || gid == ip->gid ? rc : check_owner(m, (struct owner){ OWNER_GROUP, gid }, &more);
}

/* ---- in SQLite ---- */

static int delta_add(struct hash *deltas, struct owner o, int64_t inodes, int64_t bytes)
{
	struct account *a = account_make(deltas, o);

	if (!a)
		return -ENOMEM;
	a->has.inodes += (uint64_t)inodes;
	a->has.bytes += (uint64_t)bytes;
	return 0;
}

static int delta_part(struct hash *deltas, const struct inode_part *p, int sign)
{
	int64_t bytes = sign * (int64_t)p->bytes;
	int rc = delta_add(deltas, (struct owner){ OWNER_USER, p->uid }, sign, bytes);

	return rc < 0 ? rc : delta_add(deltas, (struct owner){ OWNER_GROUP, p->gid }, sign, bytes);
}

static int delta_image(struct hash *deltas, const struct inode_image *image)
{
	const struct inode *at = &image->at;
	bool was = at->node.on_disk, is = !image->deleted;
	int rc = 0;

	if (was && is && !memcmp(&at->saved, &image->part, sizeof at->saved))
		return 0;
	if (is)
		rc = delta_part(deltas, &image->part, 1);
	if (was && rc == 0)
		rc = delta_part(deltas, &at->saved, -1);
	return rc;
}

static void delta_write(struct meta_txn *txn, const struct account *a)
{
	int64_t kind = a->owner.kind, id = a->owner.id;

	if (!a->has.inodes && !a->has.bytes)
		return;
	meta_txn_exec(txn,
		"INSERT INTO usage (kind, id, inodes, bytes) VALUES (?1, ?2, ?3, ?4)"
		" ON CONFLICT (kind, id) DO UPDATE SET inodes = inodes + ?3, bytes = bytes + ?4",
		"iiii", kind, id, (int64_t)a->has.inodes, (int64_t)a->has.bytes);
	if ((int64_t)a->has.inodes < 0)
		meta_txn_exec(txn, "DELETE FROM usage WHERE kind = ?1 AND id = ?2 AND inodes = 0", "ii", kind, id);
}

void usage_write(struct meta_txn *txn, const struct batch *b)
{
	struct hash deltas;
	int rc = hash_init(&deltas);

	for (size_t i = 0; i < b->inode_count && rc == 0; i++)
		rc = delta_image(&deltas, &b->inodes[i]);
	if (rc < 0)
		meta_txn_fail(txn, rc);
	else
		hash_for_each (n, &deltas)
			delta_write(txn, container_of(n, struct account, hash));
	accounts_free(&deltas);
}

void usage_orphan_gone(struct meta_txn *txn, int64_t ino)
{
	meta_txn_exec(txn,
		"UPDATE usage SET inodes = inodes - 1,"
		" bytes = bytes - (SELECT " SQL_INODE_CHARGE " FROM inode WHERE ino = ?1)"
		" WHERE kind = 0 AND id = (SELECT uid FROM inode WHERE ino = ?1)"
		" OR kind = 1 AND id = (SELECT gid FROM inode WHERE ino = ?1)",
		"i", ino);
	meta_txn_exec(txn, "DELETE FROM usage WHERE inodes = 0", "");
}

int usage_load(struct meta *m)
{
	struct query q;

	query_open(&q, m, "SELECT kind, id, inodes, bytes FROM usage", "");
	while (query_step(&q) > 0) {
		struct owner o = { (enum owner_kind)meta_row_i64(&q.row, 0), (uint32_t)meta_row_i64(&q.row, 1) };
		struct account *a = account_make(&m->usage, o);

		if (!a) {
			q.rc = -ENOMEM;
			continue;
		}
		a->has = (struct meta_usage){ (uint64_t)meta_row_i64(&q.row, 2), (uint64_t)meta_row_i64(&q.row, 3) };
		if (o.kind != OWNER_USER)
			continue;
		m->totals.inodes += a->has.inodes;
		m->totals.bytes += a->has.bytes;
	}
	return query_close(&q);
}
