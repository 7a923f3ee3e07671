/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

void inode_rows_remove(struct meta_txn *txn, int64_t ino)
{
	meta_txn_exec(txn, "DELETE FROM inode WHERE ino = ?1", "i", ino);
	meta_txn_exec(txn, "DELETE FROM xattr WHERE ino = ?1", "i", ino);
	meta_txn_exec(txn, "DELETE FROM pending WHERE ino = ?1", "i", ino);
	meta_txn_exec(txn, "DELETE FROM moving WHERE ino = ?1", "i", ino);
	meta_txn_exec(txn, "DELETE FROM remnant WHERE ino = ?1", "i", ino);
}

static const char sql_inode_write[] =
	"INSERT INTO inode (ino, mode, uid, gid, nlink, rdev, size, bytes, atime_s, atime_ns, mtime_s, mtime_ns,"
	" ctime_s, ctime_ns, btime_s, btime_ns, flags, zone, rules_version, rule, intent, due_ns, version)"
	" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, "
	"?23)"
	" ON CONFLICT (ino) DO UPDATE SET mode = ?2, uid = ?3, gid = ?4, nlink = ?5, rdev = ?6, size = ?7, bytes = ?8,"
	" atime_s = ?9, atime_ns = ?10, mtime_s = ?11, mtime_ns = ?12, ctime_s = ?13, ctime_ns = ?14,"
	" flags = ?17, zone = ?18, rules_version = ?19, rule = ?20, intent = ?21, due_ns = ?22, version = ?23";

static void inode_write(struct meta_txn *txn, const struct inode_image *image)
{
	const struct inode *at = &image->at;

	meta_txn_exec(txn, sql_inode_write, "iiiiiiiiiiiiiiiiiiitiii", (int64_t)at->ino, (int64_t)at->mode,
		(int64_t)at->uid, (int64_t)at->gid, (int64_t)at->nlink, (int64_t)at->rdev, (int64_t)at->disk_size,
		(int64_t)at->bytes, (int64_t)at->atime.tv_sec, (int64_t)at->atime.tv_nsec, (int64_t)at->mtime.tv_sec,
		(int64_t)at->mtime.tv_nsec, (int64_t)at->ctime.tv_sec, (int64_t)at->ctime.tv_nsec,
		(int64_t)at->btime.tv_sec, (int64_t)at->btime.tv_nsec, (int64_t)at->flags, (int64_t)at->zone_id,
		(int64_t)at->rules_version, at->rule, (int64_t)at->intent_done, at->due_ns, (int64_t)at->version);
	/* a new placement: what it has elsewhere is to be moved */
	if (at->zone_id && at->zone_id != at->saved_zone && (at->node.on_disk || at->rows)) {
		meta_txn_exec(txn, "INSERT OR IGNORE INTO moving SELECT ?1 WHERE " SQL_MISPLACED, "ii",
			(int64_t)at->ino, (int64_t)at->zone_id);
		repack_moved(txn, at->ino, at->zone_id);
	}
}

static void xattrs_write(struct meta_txn *txn, const struct inode_image *image)
{
	const struct xattrs *x = image->xattrs;

	if (!x)
		return;
	if (image->at.node.on_disk)
		meta_txn_exec(txn, "DELETE FROM xattr WHERE ino = ?1", "i", (int64_t)image->at.ino);
	for (size_t i = 0; i < x->count; i++) {
		const struct blob *data = x->v[i].data;
		size_t name_len = x->v[i].name_len;

		meta_txn_exec(txn, "INSERT INTO xattr (ino, name, value) VALUES (?1, ?2, ?3)", "ibb",
			(int64_t)image->at.ino, data->data, name_len, data->data + name_len + 1,
			data->len - name_len - 1);
	}
}

static void dentry_write(struct meta_txn *txn, const struct dentry_image *image)
{
	const struct dentry *d = image->dentry;

	if (image->ino)
		meta_txn_exec(txn,
			"INSERT INTO dentry (parent, name, ino, id, type) VALUES (?1, ?2, ?3, ?4, ?5)"
			" ON CONFLICT (parent, name) DO UPDATE SET ino = ?3, id = ?4, type = ?5",
			"ibiii", (int64_t)d->parent, d->name, (size_t)d->name_len, (int64_t)image->ino,
			(int64_t)image->id, (int64_t)image->type);
	else if (d->node.on_disk)
		meta_txn_exec(txn, "DELETE FROM dentry WHERE parent = ?1 AND name = ?2", "ib", (int64_t)d->parent,
			d->name, (size_t)d->name_len);
}

static void block_write(struct meta_txn *txn, const struct block_image *image)
{
	const struct block *b = image->block;

	if (image->kind != BLOCK_NONE || image->dirty)
		meta_txn_exec(txn,
			"INSERT INTO block (ino, idx, kind, dirty, local) VALUES (?1, ?2, ?3, ?4, ?5)"
			" ON CONFLICT (ino, idx) DO UPDATE SET kind = ?3, dirty = ?4, local = ?5",
			"iiiib", (int64_t)b->ino, (int64_t)b->index, (int64_t)image->kind, (int64_t)image->dirty,
			image->local ? image->local->data : NULL, (size_t)(image->local ? image->local->len : 0));
	else if (b->node.on_disk)
		meta_txn_exec(
			txn, "DELETE FROM block WHERE ino = ?1 AND idx = ?2", "ii", (int64_t)b->ino, (int64_t)b->index);
}

/* Rows go before rows come. */
static void nodes_write(struct meta_txn *txn, const struct batch *b)
{
	for (size_t i = 0; i < b->inode_count; i++)
		if (b->inodes[i].deleted)
			inode_rows_remove(txn, (int64_t)b->inodes[i].at.ino);
	for (size_t i = 0; i < b->dentry_count; i++)
		if (!b->dentries[i].ino)
			dentry_write(txn, &b->dentries[i]);
	for (size_t i = 0; i < b->inode_count; i++) {
		if (b->inodes[i].deleted)
			continue;
		inode_write(txn, &b->inodes[i]);
		xattrs_write(txn, &b->inodes[i]);
	}
	for (size_t i = 0; i < b->dentry_count; i++)
		if (b->dentries[i].ino)
			dentry_write(txn, &b->dentries[i]);
	for (size_t i = 0; i < b->block_count; i++)
		block_write(txn, &b->blocks[i]);
}

static void counters_write(struct meta_txn *txn, const struct batch *b)
{
	static const char set[] = "UPDATE counter SET value = ?2 WHERE name = ?1";
	static const char *const lease_name[LEASE_KINDS] = { "ino_lease", "dentry_lease" };

	for (int i = 0; i < LEASE_KINDS; i++)
		if (b->lease[i])
			meta_txn_exec(txn, set, "ti", lease_name[i], (int64_t)b->lease[i]);
	if (b->intent != txn->m->intent_committed)
		meta_txn_exec(txn, set, "ti", "intent", (int64_t)b->intent);
}

int batch_apply(struct meta *m, struct conn *c, struct batch *b)
{
	struct meta_txn txn;

	txn_begin(&txn, m, c);
	list_for_each (it, &b->records) {
		struct meta_record *r = list_entry(it, struct meta_record, link);

		if (!txn.rc)
			r->apply(&txn, r);
	}
	nodes_write(&txn, b);
	for (size_t i = 0; i < txn.subtree_count; i++)
		pending_below(&txn, txn.subtrees[i]);
	if (txn.unreferenced)
		object_release(&txn);
	usage_write(&txn, b);
	counters_write(&txn, b);
	b->journal_seq = meta_txn_select_i64(&txn, 0, "SELECT seq FROM sqlite_sequence WHERE name = 'journal'", "");
	return txn_commit(&txn);
}
