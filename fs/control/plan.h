/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plan: what a reload would move, as rows for `borderfs rules plan`. One pass over the files, each judged by the
 * program that places (place_forecast); memory grows with the groups, of which there are PLAN_GROUPS_MAX at most. */
#ifndef FS_CONTROL_PLAN_H
#define FS_CONTROL_PLAN_H

#include "fs/core/core.h"

#include <jansson.h>

#define PLAN_GROUPS_MAX 20000 /* what comes beyond is counted as "others" */
#define PLAN_FILES	10    /* the largest, and as many of all that move */

/* Rows are emitted (stolen; a negative result ends it), {"section","from","to","rule","files","bytes",...}: move, with
 * "direction" (abroad, home or within), as report has it; stay: what its rules want elsewhere and the export policy
 * keeps, with "reason", from where it would stay to where it is wanted; unsure: at home until its content was fetched
 * and its type is known; then largest and sample: single files that move, with "path", "bytes". rule null: the default.
 * totals: "files", "bytes" looked at, and of what moves "moving_files", "moving_bytes", "bytes_per_s" and "seconds" of
 * it at the speed measured now, null where nothing is being sent. alive is asked now and then: its negative result ends
 * it. -EAGAIN where a reload came meanwhile. Changes nothing. Blocks on the local disk. */
struct plan_ask {
	struct core *core;
	struct config *config; /* that core_allows */
	int (*emit)(void *ctx, json_t *row);
	int (*alive)(void *ctx);
	void *ctx;
};
int plan_make(const struct plan_ask *, json_t *totals);

#endif
