/* SPDX-License-Identifier: GPL-3.0-or-later */
/* auditor: what is asked of the audit log, as JSON objects: by the daemon, and by a command on a store that nobody has
 * mounted. All block on the local disk; emit takes the object (stolen), and its negative result ends the call. */
#ifndef FS_CONTROL_AUDITOR_H
#define FS_CONTROL_AUDITOR_H

#include "fs/place/audit.h"
#include "fs/transfer/transfer.h"

#include <jansson.h>

/* auditor_show: the lines that match, in order: {"seq","time","kind","path","facts","names"}: time is RFC 3339 in UTC,
 * path what the file of the line is called now, without it where it has no name; facts an object, or null and "text"
 * where the line is no JSON any more; names what the numbers of zones and backends in the facts stand for, by key.
 * query: {"ino","since_ns","until_ns","kind","moved"}, each may be missing; moved: placements and
 * exports of what had a zone before; -EINVAL, with a sentence, for a kind that there is
 * not; -ERR_TAMPERED, with one, after the lines, where a sealed file of the log cannot be read. */
int auditor_show(
	const struct audit_log *, const json_t *query, int (*emit)(void *ctx, json_t *), void *ctx, struct errmsg *);
/* auditor_verify: compares with head, which was read before, where there is one: what was found,
 * {"finding","first","last","text"}; and to verdict "lines", "last", "time", "mac", "findings"; "head":
 * {"line","time"}, null where there was none; and what was seen: "asked", "bad_heads", and "unasked": why a backend
 * could not be asked. -ERR_TAMPERED, with a sentence, where there are findings. */
int auditor_verify(const struct audit_log *, const struct audit_head *head, const struct audit_heads *seen,
	int (*emit)(void *ctx, json_t *), void *ctx, json_t *verdict, struct errmsg *);

#endif
