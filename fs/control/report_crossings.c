/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What went from zone to zone, and the log that says so. */
#include "base/text.h"
#include "fs/control/auditor.h"
#include "fs/control/facts.h"
#include "fs/control/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- by month ------------------------------------------------------------------------------------------------- */

static const char *direction(int64_t from_kind, int64_t to_kind)
{
	return from_kind < 0 || to_kind < 0 || from_kind == to_kind ? "within"
	       : to_kind == ZONE_FOREIGN			    ? "abroad"
								    : "home";
}

static int emit_flow(void *ctx, struct meta_row *row)
{
	struct report *r = ctx;
	char month[32];

	return report_emit(
		r, json_pack("{s:s, s:s, s:s?, s:s?, s:s, s:I, s:I}", "section", "flow", "name",
			   report_month(meta_row_i64(row, 0) * 86400, month), "from", meta_row_text(row, 3), "to",
			   meta_row_text(row, 4), "direction", direction(meta_row_i64(row, 5), meta_row_i64(row, 6)),
			   "files", (json_int_t)meta_row_i64(row, 1), "bytes", (json_int_t)meta_row_i64(row, 2)));
}

/* ---- each file ------------------------------------------------------------------------------------------------ */

static int add_approver(void *ctx, struct meta_row *row)
{
	json_t *one = json_pack("{s:s?, s:s?}", "approver", meta_row_text(row, 0), "reason", meta_row_text(row, 1));

	return json_array_append_new(ctx, one) < 0 ? -ENOMEM : 0;
}

/* Of the request by which it went: what came home since, or was asked about again, has others. */
static int add_approvals(struct report *r, const json_t *line, json_t *approvals)
{
	const json_t *facts = json_object_get(line, "facts");

	return meta_select(r->meta,
		"SELECT approver, reason FROM approval_vote WHERE approval = ?1 AND agree = 1 ORDER BY voted_s, uid",
		add_approver, approvals, "i", (int64_t)json_integer_value(json_object_get(facts, "request")));
}

static int take_kind(void *ctx, struct meta_row *row)
{
	*(int64_t *)ctx = meta_row_i64(row, 0);
	return 0;
}

/* of a zone there ever was; -1 for another */
static int64_t kind_of(struct report *r, json_int_t zone_id)
{
	const struct config_zone *zone = place_zone(core_place(r->core), r->config, (uint32_t)zone_id);
	int64_t kind = -1;

	if (zone)
		return zone->kind;
	meta_select(r->meta, "SELECT kind FROM zone WHERE id = ?1", take_kind, &kind, "i", (int64_t)zone_id);
	return kind;
}

static json_t *crossing_row(struct report *r, const json_t *line, json_t *approvals)
{
	const json_t *facts = json_object_get(line, "facts"), *names = json_object_get(line, "names");
	int64_t from = kind_of(r, json_integer_value(json_object_get(facts, "from")));
	int64_t to = kind_of(r, json_integer_value(json_object_get(facts, "to")));
	json_t *row = json_pack("{s:s, s:O, s:O, s:O, s:O?, s:O?, s:O?, s:O?, s:s, s:O}", "section", "crossing", "seq",
		json_object_get(line, "seq"), "time", json_object_get(line, "time"), "kind",
		json_object_get(line, "kind"), "ino", json_object_get(facts, "ino"), "from",
		json_object_get(names, "from"), "to", json_object_get(names, "to"), "rule",
		json_object_get(facts, "rule"), "direction", direction(from, to), "approvals", approvals);

	if (row && json_object_get(line, "path"))
		json_object_set(row, "name", json_object_get(line, "path"));
	if (row && json_object_get(line, "path_base64"))
		json_object_set(row, "name_base64", json_object_get(line, "path_base64"));
	return row;
}

/* A line of the log, as auditor_show gives it, about a file that had a zone before and got another one. */
static int emit_crossing(void *ctx, json_t *line)
{
	struct report *r = ctx;
	const json_t *facts = json_object_get(line, "facts");
	json_int_t from = json_integer_value(json_object_get(facts, "from"));
	json_t *approvals = json_array();
	int rc = approvals ? 0 : -ENOMEM;

	if (rc == 0 && from && from != json_integer_value(json_object_get(facts, "to")) &&
		(rc = add_approvals(r, line, approvals)) == 0)
		rc = report_emit(r, crossing_row(r, line, approvals));
	json_decref(approvals);
	json_decref(line);
	return rc;
}

int report_crossings(struct report *r)
{
	struct audit_log log;
	json_t *query;
	int rc = meta_select(r->meta,
		"SELECT c.month, c.files, c.bytes, f.name, t.name, ifnull(f.kind, -1), ifnull(t.kind, -1) FROM "
		"crossing c "
		"LEFT JOIN zone f ON f.id = c.from_zone LEFT JOIN zone t ON t.id = c.to_zone "
		"ORDER BY c.month, c.from_zone, c.to_zone",
		emit_flow, r, "");

	if (rc < 0 || !(query = json_pack("{s:b}", "moved", 1)))
		return rc < 0 ? rc : -ENOMEM;
	core_audit(r->core, &log);
	rc = auditor_show(&log, query, emit_crossing, r, NULL);
	json_decref(query);
	return rc == -ERR_TAMPERED ? 0 : rc; /* report_evidence tells */
}

/* ---- by what it can be proved --------------------------------------------------------------------------------- */

static int take_no_finding(void *ctx, const struct audit_finding *f)
{
	(void)ctx;
	(void)f;
	return 0;
}

static int emit_rules(void *ctx, struct meta_row *row)
{
	struct report *r = ctx;
	struct timespec since = { .tv_sec = (time_t)meta_row_i64(row, 0) };
	char text[96];

	snprintf(text, sizeof text, "%" PRId64 " set%s of rules so far", meta_row_i64(row, 1),
		meta_row_i64(row, 1) == 1 ? "" : "s");
	return report_emit(r, json_pack("{s:s, s:s, s:o, s:s}", "section", "evidence", "name", "rules in force since",
				      "time", facts_utc(&since), "text", text));
}

int report_evidence(struct report *r)
{
	struct audit_verdict v;
	struct audit_log log;
	char mac[2 * AUDIT_MAC_BYTES + 1], text[160];
	int rc;

	core_audit(r->core, &log);
	if ((rc = audit_verify(&log, take_no_finding, NULL, &v)) < 0)
		return rc;
	text_hex(v.mac, sizeof v.mac, mac);
	if (v.findings)
		snprintf(text, sizeof text,
			"it is not as it was written (findings: %" PRIu64 "): see `borderfs audit verify`", v.findings);
	else
		snprintf(text, sizeof text,
			"%" PRIu64 " lines, none removed, moved or edited; the last has the mac %.16s", v.lines, mac);
	rc = report_emit(r, json_pack("{s:s, s:s, s:o, s:s, s:I, s:I, s:s}", "section", "evidence", "name",
				    "audit log up to", "time", facts_utc(&v.time), "text", text, "lines",
				    (json_int_t)v.lines, "findings", (json_int_t)v.findings, "mac", mac));
	if (rc == 0 && v.findings)
		rc = report_exception(r, "audit log", text, 0, 0);
	if (rc == 0)
		rc = meta_select(r->meta,
			"SELECT since_s, (SELECT count(*) FROM rule_set) FROM rule_set ORDER BY id DESC LIMIT 1",
			emit_rules, r, "");
	return rc;
}
