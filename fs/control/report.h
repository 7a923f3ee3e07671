/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report: where every byte is and has been, as rows for `borderfs report`. One pass over the files, one over their
 * extents, read from SQLite and counted by group: memory grows with the groups, of which there are REPORT_GROUPS_MAX at
 * most, and not with the files. */
#ifndef FS_CONTROL_REPORT_H
#define FS_CONTROL_REPORT_H

#include "fs/core/core.h"

#include <jansson.h>

#define REPORT_GROUPS_MAX 20000 /* what comes beyond is counted as "others" */

/* report_make: emits rows (stolen; a negative result ends it), by section: {"section","name","files","bytes",...}.
 * total, and zone, country, backend, rule, tag, owner, month, the largest first, months in order; flow: what left a
 * zone in a month, with "from" and "to"; crossing: each file that changed its zone, as the audit log has it; exception:
 * what is not as it should be. name null: others. Blocks on the local disk. */
int report_make(struct core *, int (*emit)(void *ctx, json_t *), void *ctx);

/* ---- between the files of report: groups that are counted */

enum report_section {
	REPORT_TOTAL,
	REPORT_ZONE,
	REPORT_COUNTRY,
	REPORT_BACKEND,
	REPORT_RULE,
	REPORT_TAG,
	REPORT_OWNER,
	REPORT_MONTH,
	REPORT_HELD,
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
/* report_count: the group of a key; NULL without memory. */
struct report_group *report_group(struct report_groups *, enum report_section, const char *key);
int report_count(struct report_groups *, enum report_section, const char *key, uint64_t bytes);
/* report_tags: counts each file for every tag that it or a directory above it was given by a user. */
int report_tags(struct meta *, struct report_groups *);

#endif
