/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is not as it should be: what waits, what failed, what cannot be reached. */
#include "fs/control/report.h"

#include <inttypes.h>
#include <stdio.h>

int report_exception(struct report *r, const char *name, const char *text, int64_t files, int64_t bytes)
{
	return report_emit(r, json_pack("{s:s, s:s, s:s, s:I, s:I}", "section", "exception", "name", name, "text", text,
				      "files", (json_int_t)files, "bytes", (json_int_t)bytes));
}

static int emit_backend(struct report *r, const struct transfer_backend_status *b)
{
	char text[400];
	int rc = 0;

	if (!b->status.up || b->status.last_error) {
		snprintf(text, sizeof text, "backend %.100s: %.256s", b->name,
			*b->status.last_message ? b->status.last_message : err_text(b->status.last_error));
		rc = report_exception(r, b->status.up ? "failing" : "unreachable", text, 0, 0);
	}
	if (rc == 0 && b->deletions_waiting) {
		snprintf(text, sizeof text, "backend %.100s: %" PRIu64 " objects are to be deleted and are not yet",
			b->name, b->deletions_waiting);
		rc = report_exception(r, "to delete", text, 0, 0);
	}
	return rc;
}

static int emit_zone(struct report *r, const struct transfer_zone_status *z)
{
	const struct config_zone *zone = config_zone_find(r->config, z->name);
	unsigned copies = zone ? zone->copies : 1;
	char text[400];
	int rc = 0;

	if (z->blocks_short > z->blocks_lost) {
		snprintf(text, sizeof text, "zone %.100s: %" PRIu64 "%s blocks have fewer sound copies than %u",
			z->name, z->blocks_short - z->blocks_lost,
			z->blocks_short == TRANSFER_SHORT_MAX ? " or more" : "", copies);
		rc = report_exception(r, "short of copies", text, 0, 0);
	}
	if (rc == 0 && zone && zone->backend_count && z->backends_taking < copies) {
		snprintf(text, sizeof text, "zone %.100s: %u of its backends can store data now, and %u must", z->name,
			z->backends_taking, copies);
		rc = report_exception(r, "cannot store", text, 0, 0);
	}
	return rc;
}

static int take_number(void *ctx, struct meta_row *row)
{
	*(int64_t *)ctx = meta_row_i64(row, 0);
	return 0;
}

static int emit_transfers(struct report *r)
{
	struct transfer_status status;
	int rc = transfer_status(core_transfer(r->core), &status);

	if (rc < 0)
		return rc;
	if (status.files_waiting || status.bytes_waiting)
		rc = report_exception(r, "waiting", "not yet on the backends of their zone",
			(int64_t)status.files_waiting, (int64_t)status.bytes_waiting);
	for (size_t i = 0; i < status.backend_count && rc == 0; i++)
		rc = emit_backend(r, &status.backends[i]);
	for (size_t i = 0; i < status.zone_count && rc == 0; i++)
		rc = emit_zone(r, &status.zones[i]);
	transfer_status_free(&status);
	return rc;
}

int report_exceptions(struct report *r)
{
	int64_t pending = 0;
	int failed = core_failed(r->core), rc = emit_transfers(r);

	if (rc == 0 && failed)
		rc = report_exception(r, "read-only", err_text(failed), 0, 0);
	if (rc == 0)
		rc = report_damage(r);
	if (rc == 0)
		rc = meta_select(r->meta, "SELECT count(*) FROM pending", take_number, &pending, "");
	if (rc == 0 && pending)
		rc = report_exception(r, "unsettled", "to be judged by their rules again", pending, 0);
	return rc;
}
