/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report: where every byte is and has been, as rows for `borderfs report`. One pass over the files, one over their
 * extents, read from SQLite, and one in which each file is judged for its tags, all counted by group: memory grows with
 * the groups, of which there are REPORT_GROUPS_MAX at most, and not with the files. */
#ifndef FS_CONTROL_REPORT_H
#define FS_CONTROL_REPORT_H

#include "fs/core/core.h"

#include <jansson.h>

#define REPORT_GROUPS_MAX  20000 /* what comes beyond is counted as "others" */
#define REPORT_DAMAGED_MAX 1000	 /* files that are named; all are counted */

/* report_make: emits rows (stolen; a negative result ends it), by section: {"section","name","files","bytes",...}.
 * total, and zone, country, backend, rule, tag, owner, month, the largest first, months in order; flow: what left a
 * zone in a month, with "from", "to" and "direction" (abroad, home or within); crossing: each file that changed its
 * zone, as the audit log has it, with "approvals": who agreed, and on what basis; exception: what is not as it should
 * be, with a "path" where it is one file; evidence: what the audit log and the rules of this are, with "time". name
 * null: others. Blocks on the local disk.
 */
int report_make(struct core *, int (*emit)(void *ctx, json_t *), void *ctx);

/* ---- between the files of report */

enum report_section {
	REPORT_TOTAL,
	REPORT_ZONE,
	REPORT_COUNTRY,
	REPORT_BACKEND,
	REPORT_RULE,
	REPORT_TAG,
	REPORT_OWNER,
	REPORT_MONTH,
	REPORT_KEPT,
	REPORT_SECTIONS
};
struct report_group {
	struct hash_node node;
	enum report_section section;
	uint64_t files, bytes, last_ino;
	char key[];
};
struct report_groups {
	struct hash hash;
	struct report_group *others[REPORT_SECTIONS];
};
struct report {
	struct core *core;
	struct meta *meta;
	struct config *config;
	struct report_groups groups;
	int (*emit)(void *ctx, json_t *);
	void *ctx;
};
int report_emit(struct report *, json_t *row); /* NULL: -ENOMEM */
/* report_month: "2026-12"; returns out. */
const char *report_month(int64_t seconds, char out[32]);
/* Sections of their own files. report_exception: one row. */
int report_exceptions(struct report *);
int report_exception(struct report *, const char *name, const char *text, int64_t files, int64_t bytes);
int report_damage(struct report *);
int report_crossings(struct report *);
int report_evidence(struct report *);
/* report_count: the group of a key; NULL without memory. */
struct report_group *report_group(struct report_groups *, enum report_section, const char *key);
int report_count(struct report_groups *, enum report_section, const char *key, uint64_t bytes);
/* report_kept: counts those that their rules want elsewhere and the export policy keeps, by what keeps them;
 * report_name_kept: as a row. */
int report_kept(struct report *);
void report_name_kept(struct report *, const struct report_group *, json_t *row);
/* report_tags: counts each file for every tag that it has: given to it or a directory above it by a user, or set by a
 * [tag] section. */
int report_tags(struct report *);
/* report_files: calls fn for each file that has all these marks, a page at a time, without a cursor or lock. */
int report_files(struct report *, uint32_t flags, int (*fn)(struct report *, struct inode *, uint64_t bytes));

#endif
