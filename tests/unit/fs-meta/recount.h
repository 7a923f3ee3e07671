/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What owners hold, counted anew. */
#ifndef TESTS_UNIT_FS_META_RECOUNT_H
#define TESTS_UNIT_FS_META_RECOUNT_H

#include "fs/meta/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* In SQLite what the rows of inodes give. */
#define SQL_PART(kind, id)                                                                                             \
	"SELECT " #kind " AS kind, " #id " AS id, count(*) AS inodes,"                                                 \
	" sum(CASE WHEN (mode & 61440) = 16384 THEN 4096 ELSE bytes END) AS bytes FROM inode GROUP BY " #id
#define SQL_RECOUNT "(" SQL_PART(0, uid) " UNION ALL " SQL_PART(1, gid) ")"

struct recount {
	struct meta *m;
	size_t owners;
	struct meta_usage all;
};

static inline int recount_row(void *ctx, struct meta_row *row)
{
	struct recount *r = ctx;
	struct meta_usage has;

	meta_usage(r->m, (enum owner_kind)meta_row_i64(row, 0), (uint32_t)meta_row_i64(row, 1), &has);
	assert_int_equal(has.inodes, meta_row_i64(row, 2));
	assert_int_equal(has.bytes, meta_row_i64(row, 3));
	r->owners++;
	r->all.inodes += meta_row_i64(row, 0) ? 0 : has.inodes;
	r->all.bytes += meta_row_i64(row, 0) ? 0 : has.bytes;
	return 0;
}

/* Where all sizes are synced, memory counts what SQLite does: each owner, all of them, and no other. */
static inline void recount_usage(struct meta *m)
{
	struct recount r = { .m = m };
	struct meta_usage totals;

	assert_int_equal(meta_select(m, "SELECT * FROM " SQL_RECOUNT, recount_row, &r, ""), 0);
	meta_totals(m, &totals);
	assert_int_equal(totals.inodes, r.all.inodes);
	assert_int_equal(totals.bytes, r.all.bytes);
	meta_lock(m);
	assert_int_equal(m->usage.count, r.owners);
	meta_unlock(m);
}

#endif
