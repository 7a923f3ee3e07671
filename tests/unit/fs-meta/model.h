/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A filesystem in a few arrays, and operations chosen at random that fit its present state: the same seed gives the
 * same operations, so that another process can be followed step by step. */
#ifndef TESTS_UNIT_FS_META_MODEL_H
#define TESTS_UNIT_FS_META_MODEL_H

#include "tests/unit/fs-meta/fixture.h"

#define INODES	40
#define NAMES	90
#define BLOCKS	5
#define XATTRS	3
#define ORPHANS 4

struct m_block {
	uint32_t text; /* 0: nothing local */
	uint32_t object, len;
	bool dirty;
};
struct m_inode {
	bool used, dir;
	uint32_t id; /* the store's uid: who is who, whatever the number */
	uint32_t nlink, size, zone, gid;
	uint32_t xattr[XATTRS];
	struct m_block block[BLOCKS];
};
struct m_name {
	int parent, child; /* child -1: free */
	char name[4];
};
struct model {
	struct m_inode inode[INODES];
	struct m_name name[NAMES];
	uint64_t random;
	uint32_t serial; /* texts, objects and ids are numbered */
};

enum op_kind {
	OP_CREATE,
	OP_MKDIR,
	OP_UNLINK,
	OP_RMDIR,
	OP_RENAME,
	OP_EXCHANGE,
	OP_LINK,
	OP_WRITE,
	OP_TRUNCATE,
	OP_XATTR,
	OP_UPLOAD,
	OP_SHARE,
	OP_EVICT,
	OP_PLACE,
	OP_CHOWN,
	OP_TRIM,
	OP_ORPHAN, /* unlinked, but held open */
	OP_RELEASE,
	OP_KINDS
};
struct op {
	enum op_kind kind;
	int name, name2;	  /* indexes into model.name; name2 may be a free one */
	int inode, inode2;	  /* into model.inode */
	int parent;		  /* of the new name */
	char text[4];		  /* the new name */
	int index, index2, value; /* blocks; the attribute */
	uint32_t serial;
};

static inline uint32_t m_random(struct model *m, uint32_t below)
{
	m->random = m->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(m->random >> 33) % below;
}

static inline void model_init(struct model *m, uint64_t seed)
{
	memset(m, 0, sizeof *m);
	for (int i = 0; i < NAMES; i++)
		m->name[i].child = -1;
	m->inode[0] = (struct m_inode){ .used = true, .dir = true, .id = 7, .gid = 8, .nlink = 2 };
	m->random = seed;
	m->serial = 100;
}

/* ---- choosing; -1: there is none ---- */

static inline int m_pick_inode(struct model *m, bool dir)
{
	int at = (int)m_random(m, INODES);

	for (int i = 0; i < INODES; i++, at = (at + 1) % INODES)
		if (m->inode[at].used && m->inode[at].dir == dir && m->inode[at].nlink)
			return at;
	return -1;
}

static inline int m_free_inode(const struct model *m)
{
	for (int i = 0; i < INODES; i++)
		if (!m->inode[i].used)
			return i;
	return -1;
}

static inline int m_pick_name(struct model *m, bool dir)
{
	int at = (int)m_random(m, NAMES);

	for (int i = 0; i < NAMES; i++, at = (at + 1) % NAMES)
		if (m->name[at].child >= 0 && m->inode[m->name[at].child].dir == dir)
			return at;
	return -1;
}

static inline int m_free_name(const struct model *m)
{
	for (int i = 0; i < NAMES; i++)
		if (m->name[i].child < 0)
			return i;
	return -1;
}

static inline int m_find_name(const struct model *m, int parent, const char *name)
{
	for (int i = 0; i < NAMES; i++)
		if (m->name[i].child >= 0 && m->name[i].parent == parent && !strcmp(m->name[i].name, name))
			return i;
	return -1;
}

static inline bool m_dir_is_empty(const struct model *m, int dir)
{
	for (int i = 0; i < NAMES; i++)
		if (m->name[i].child >= 0 && m->name[i].parent == dir)
			return false;
	return true;
}

static inline int m_parent_of(const struct model *m, int dir)
{
	for (int i = 0; i < NAMES; i++)
		if (m->name[i].child == dir)
			return m->name[i].parent;
	return -1;
}

static inline bool m_is_below(const struct model *m, int dir, int top)
{
	for (; dir > 0 && dir != top; dir = m_parent_of(m, dir))
		;
	return dir == top;
}

static inline int m_orphans(const struct model *m)
{
	int count = 0;

	for (int i = 0; i < INODES; i++)
		count += m->inode[i].used && !m->inode[i].nlink;
	return count;
}

/* Where a new name goes: a directory and a name; its slot in name2 if it is taken. */
static inline void m_pick_target(struct model *m, struct op *op)
{
	op->parent = m_pick_inode(m, true);
	snprintf(op->text, sizeof op->text, "%c", 'a' + (int)m_random(m, 9));
	op->name2 = m_find_name(m, op->parent, op->text);
}

/* Whether the chosen operation fits: one that does not is simply not done. */
static inline bool op_fits(const struct model *m, const struct op *op)
{
	const struct m_inode *ip = op->inode >= 0 ? &m->inode[op->inode] : NULL;
	const struct m_block *b = ip ? &ip->block[op->index] : NULL;

	switch (op->kind) {
	case OP_CREATE:
	case OP_MKDIR:
		return op->name2 < 0 && m_free_inode(m) >= 0 && m_free_name(m) >= 0;
	case OP_UNLINK:
		return op->name >= 0;
	case OP_ORPHAN:
		return op->name >= 0 && m->inode[m->name[op->name].child].nlink == 1 && m_orphans(m) < ORPHANS;
	case OP_RMDIR:
		return op->name >= 0 && m_dir_is_empty(m, m->name[op->name].child);
	case OP_RENAME:
		if (op->name < 0 || op->name2 == op->name)
			return false;
		if (op->name2 >= 0)
			return !m->inode[m->name[op->name].child].dir && !m->inode[m->name[op->name2].child].dir &&
			       m->name[op->name].child != m->name[op->name2].child;
		return !m_is_below(m, op->parent, m->name[op->name].child);
	case OP_EXCHANGE:
		return op->name >= 0 && op->name2 >= 0 && op->name != op->name2 && op->parent >= 0 &&
		       !m->inode[m->name[op->name2].child].dir;
	case OP_LINK:
		return ip && op->name2 < 0 && m_free_name(m) >= 0;
	case OP_UPLOAD:
		return ip && b->text && b->dirty;
	case OP_SHARE:
		return ip && op->inode2 >= 0 && b->object && !b->dirty &&
		       (op->inode != op->inode2 || op->index != op->index2);
	case OP_EVICT:
		return ip && b->text && !b->dirty && b->object;
	case OP_TRIM:
		return ip && b->object && b->len > 1;
	case OP_RELEASE:
		return m_orphans(m) > 0;
	default:
		return ip != NULL;
	}
}

static inline struct op op_choose(struct model *m)
{
	struct op op;

	do {
		memset(&op, 0, sizeof op);
		op.kind = (enum op_kind)m_random(m, OP_KINDS);
		op.name = m_pick_name(m, op.kind == OP_RMDIR || (op.kind == OP_RENAME && m_random(m, 4) == 0));
		m_pick_target(m, &op);
		op.inode = m_pick_inode(m, op.kind == OP_XATTR && m_random(m, 4) == 0);
		op.inode2 = m_pick_inode(m, false);
		op.index = (int)m_random(m, BLOCKS);
		op.index2 = (int)m_random(m, BLOCKS);
		op.value = (int)m_random(m, 3);
		op.serial = ++m->serial;
	} while (!op_fits(m, &op));
	return op;
}

/* ---- what an operation does to the arrays ---- */

static inline void m_unlink(struct model *m, int name)
{
	struct m_inode *ip = &m->inode[m->name[name].child];

	m->name[name].child = -1;
	ip->nlink = ip->dir ? 0 : ip->nlink - 1;
	if (!ip->nlink)
		ip->used = false;
}

static inline void m_name_set(struct model *m, int parent, const char *text, int child)
{
	struct m_name *n = &m->name[m_free_name(m)];

	n->parent = parent;
	n->child = child;
	memcpy(n->name, text, sizeof n->name);
}

static inline void m_make(struct model *m, const struct op *op)
{
	int at = m_free_inode(m);
	bool dir = op->kind == OP_MKDIR;

	m->inode[at] = (struct m_inode){ .used = true, .dir = dir, .id = op->serial, .gid = 8, .nlink = dir ? 2 : 1 };
	m_name_set(m, op->parent, op->text, at);
}

static inline void m_truncate(struct m_inode *ip, int from)
{
	for (int i = from; i < BLOCKS; i++)
		memset(&ip->block[i], 0, sizeof ip->block[i]);
	ip->size = (uint32_t)from * 1000;
}

static inline void m_release(struct model *m)
{
	for (int i = 0; i < INODES; i++)
		if (m->inode[i].used && !m->inode[i].nlink)
			m->inode[i].used = false;
}

static inline void op_model(struct model *m, const struct op *op)
{
	struct m_inode *ip = op->inode >= 0 ? &m->inode[op->inode] : NULL;
	struct m_block *b = ip ? &ip->block[op->index] : NULL;
	int child;

	switch (op->kind) {
	case OP_CREATE:
	case OP_MKDIR:
		m_make(m, op);
		break;
	case OP_UNLINK:
	case OP_RMDIR:
		m_unlink(m, op->name);
		break;
	case OP_ORPHAN:
		m->inode[m->name[op->name].child].nlink = 0;
		m->name[op->name].child = -1;
		break;
	case OP_RELEASE:
		m_release(m);
		break;
	case OP_RENAME:
		if (op->name2 >= 0)
			m_unlink(m, op->name2);
		m->name[op->name].parent = op->parent;
		memcpy(m->name[op->name].name, op->text, sizeof op->text);
		break;
	case OP_EXCHANGE:
		child = m->name[op->name].child;
		m->name[op->name].child = m->name[op->name2].child;
		m->name[op->name2].child = child;
		break;
	case OP_LINK:
		ip->nlink++;
		m_name_set(m, op->parent, op->text, op->inode);
		break;
	case OP_WRITE:
		b->text = op->serial;
		b->dirty = true;
		ip->size = (uint32_t)(op->index + 1) * 1000;
		break;
	case OP_TRUNCATE:
		m_truncate(ip, op->index);
		break;
	case OP_XATTR:
		ip->xattr[op->value] = op->serial % 3 ? op->serial : 0;
		break;
	case OP_UPLOAD:
		b->object = op->serial;
		b->len = 50;
		b->dirty = false;
		break;
	case OP_SHARE:
		m->inode[op->inode2].block[op->index2] = (struct m_block){ .object = b->object, .len = b->len };
		break;
	case OP_EVICT:
		b->text = 0;
		break;
	case OP_PLACE:
		ip->zone = op->serial % 3;
		break;
	case OP_CHOWN:
		ip->gid = op->serial % 4;
		break;
	default:
		b->len--;
		break;
	}
}

/* ---- as a text ---- */

static inline void m_dump_inode(const struct m_inode *ip, struct buf *out)
{
	buf_printf(out, " %u:%u %c nlink %u size %u zone %u", ip->id, ip->gid, ip->dir ? 'd' : 'f', ip->nlink, ip->size,
		ip->zone);
	for (int i = 0; i < XATTRS; i++)
		if (ip->xattr[i])
			buf_printf(out, " x%d=%u", i, ip->xattr[i]);
	for (int i = 0; i < BLOCKS; i++) {
		const struct m_block *b = &ip->block[i];

		if (b->text || b->object)
			buf_printf(out, " [%d: %u%s %u+%u]", i, b->text, b->dirty ? "*" : "", b->object,
				b->object ? b->len : 0);
	}
	buf_str(out, "\n");
}

static inline void m_dump_dir(const struct model *m, int dir, const char *path, struct buf *out)
{
	for (char c = 'a'; c <= 'z'; c++) {
		char name[4] = { c }, below[256];
		int at = m_find_name(m, dir, name);

		if (at < 0)
			continue;
		snprintf(below, sizeof below, "%s/%s", path, name);
		buf_str(out, below);
		m_dump_inode(&m->inode[m->name[at].child], out);
		if (m->inode[m->name[at].child].dir)
			m_dump_dir(m, m->name[at].child, below, out);
	}
}

static inline char *model_dump(const struct model *m)
{
	struct buf out = BUF_INIT;

	m_dump_inode(&m->inode[0], &out);
	m_dump_dir(m, 0, "", &out);
	return buf_steal(&out);
}

#endif
