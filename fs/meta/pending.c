/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

#include <errno.h>
#include <stdlib.h>

struct pending_record {
	struct meta_record record;
	uint64_t ino;
};

static void pending_free(struct meta_record *r)
{
	free(container_of(r, struct pending_record, record));
}

static void pending_queue(struct meta *m, uint64_t ino, void (*apply)(struct meta_txn *, struct meta_record *))
{
	struct pending_record *r = calloc(1, sizeof *r);

	if (!r) {
		meta_poison(m, -ENOMEM);
		return;
	}
	r->record.apply = apply;
	r->record.free = pending_free;
	r->ino = ino;
	meta_queue(m, &r->record);
}

static int64_t pending_ino(struct meta_record *record)
{
	return (int64_t)container_of(record, struct pending_record, record)->ino;
}

#define SQL_AGAIN " ON CONFLICT (ino) DO UPDATE SET judged = 0"

static void add_apply(struct meta_txn *txn, struct meta_record *record)
{
	meta_txn_exec(txn, "INSERT INTO pending (ino) VALUES (?1)" SQL_AGAIN, "i", pending_ino(record));
}

static void done_apply(struct meta_txn *txn, struct meta_record *record)
{
	meta_txn_exec(txn, "DELETE FROM pending WHERE ino = ?1", "i", pending_ino(record));
}

static void judged_apply(struct meta_txn *txn, struct meta_record *record)
{
	meta_txn_exec(txn, "UPDATE pending SET judged = 1 WHERE ino = ?1", "i", pending_ino(record));
}

void pending_below(struct meta_txn *txn, uint64_t dir)
{
	if (dir == META_ROOT_INO)
		meta_txn_exec(txn,
			"INSERT INTO pending (ino) SELECT ino FROM inode WHERE (mode & 61440) = 32768 AND nlink > "
			"0" SQL_AGAIN,
			"");
	else
		meta_txn_exec(txn,
			"WITH RECURSIVE below (ino, type) AS (SELECT ino, type FROM dentry WHERE parent = ?1"
			" UNION SELECT d.ino, d.type FROM below b JOIN dentry d ON d.parent = b.ino WHERE b.type = 4)"
			" INSERT INTO pending (ino) SELECT ino FROM below WHERE type = 8" SQL_AGAIN,
			"i", (int64_t)dir);
}

/* A file created or renamed in the same batch may be below the directory only when the nodes are written: the tree is
 * walked before and after. */
static void subtree_apply(struct meta_txn *txn, struct meta_record *record)
{
	uint64_t *dirs = realloc(txn->subtrees, (txn->subtree_count + 1) * sizeof *dirs);

	if (!dirs) {
		meta_txn_fail(txn, -ENOMEM);
		return;
	}
	txn->subtrees = dirs;
	dirs[txn->subtree_count++] = (uint64_t)pending_ino(record);
	pending_below(txn, (uint64_t)pending_ino(record));
}

void meta_pending_add(struct meta *m, uint64_t ino)
{
	struct inode *ip = inode_find(m, ino);

	if (ip)
		ip->rows = true;
	pending_queue(m, ino, add_apply);
	atomic_fetch_add(&m->pending_adds, 1);
}

void meta_pending_done(struct meta *m, uint64_t ino)
{
	pending_queue(m, ino, done_apply);
}

void meta_pending_add_subtree(struct meta *m, uint64_t dir)
{
	pending_queue(m, dir, subtree_apply);
	atomic_fetch_add(&m->pending_adds, 1);
}

void meta_pending_judged(struct meta *m, uint64_t ino)
{
	pending_queue(m, ino, judged_apply);
}

uint64_t meta_pending_adds(const struct meta *m)
{
	return atomic_load(&m->pending_adds);
}

int meta_pending_unjudged(struct meta *m, uint64_t after_ino, uint64_t *out, size_t max)
{
	struct query q;
	size_t count = 0;
	int rc;

	query_open(&q, m,
		"SELECT ino FROM pending INDEXED BY pending_unjudged WHERE judged = 0 AND ino > ?1 ORDER BY ino LIMIT "
		"?2",
		"ii", (int64_t)after_ino, (int64_t)max);
	while (count < max && query_step(&q) > 0)
		out[count++] = (uint64_t)meta_row_i64(&q.row, 0);
	rc = query_close(&q);
	return rc < 0 ? rc : (int)count;
}

int meta_pending(struct meta *m, uint64_t after_ino, uint64_t *out, size_t max)
{
	struct query q;
	size_t count = 0;
	int rc;

	query_open(&q, m,
		"SELECT ino FROM block INDEXED BY block_dirty WHERE dirty = 1 AND ino > ?1"
		" UNION SELECT p.ino FROM pending p JOIN inode i ON i.ino = p.ino WHERE p.ino > ?1"
		" UNION SELECT v.ino FROM moving v JOIN inode i ON i.ino = v.ino WHERE v.ino > ?1 AND EXISTS"
		" (SELECT 1 FROM extent e JOIN object o ON o.num = e.object WHERE e.ino = i.ino AND o.zone <> i.zone)"
		" ORDER BY 1 LIMIT ?2",
		"ii", (int64_t)after_ino, (int64_t)max);
	while (count < max && query_step(&q) > 0)
		out[count++] = (uint64_t)meta_row_i64(&q.row, 0);
	rc = query_close(&q);
	return rc < 0 ? rc : (int)count;
}

/* ---- what falls due by the clock ---- */

/* SQLite takes the first bound as where to begin. */
static int next_due(struct meta *m, int64_t after_ns, int64_t *out)
{
	struct query q;

	*out = INT64_MAX;
	query_open(&q, m, "SELECT due_ns FROM inode WHERE due_ns > ?1 AND due_ns > 0 ORDER BY due_ns LIMIT 1", "i",
		after_ns);
	if (query_step(&q) > 0)
		*out = meta_row_i64(&q.row, 0);
	return query_close(&q);
}

/* In two parts, or SQLite would go through all that share the first time: with a date or an hour, every file. The
 * bound that it starts from is the first that is written. */
int meta_due(
	struct meta *m, struct meta_due after, int64_t until_ns, struct meta_due *out, size_t max, int64_t *next_ns)
{
	struct query q;
	size_t count = 0;
	int rc = next_due(m, until_ns, next_ns);

	if (rc < 0)
		return rc;
	query_open(&q, m,
		"SELECT due_ns, ino FROM inode INDEXED BY inode_due WHERE due_ns > 0 AND due_ns = ?1 AND ino > ?2"
		" UNION ALL SELECT due_ns, ino FROM inode INDEXED BY inode_due WHERE due_ns > ?1 AND due_ns <= ?3"
		" AND due_ns > 0 ORDER BY 1, 2 LIMIT ?4",
		"iiii", after.due_ns, (int64_t)after.ino, until_ns, (int64_t)max);
	for (; count < max && query_step(&q) > 0; count++)
		out[count] = (struct meta_due){ meta_row_i64(&q.row, 0), (uint64_t)meta_row_i64(&q.row, 1) };
	rc = query_close(&q);
	return rc < 0 ? rc : (int)count;
}
