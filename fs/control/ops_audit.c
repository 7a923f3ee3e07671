/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/auditor.h"
#include "fs/control/ops.h"
#include "fs/control/report.h"

static int emit(void *ctx, json_t *line)
{
	return request_send(ctx, line);
}

int op_audit_show(struct request *r)
{
	struct control *c = r->ctx;
	struct audit_log log;
	uint64_t ino;
	int rc;

	if (r->fd >= 0) {
		if ((rc = path_ino(r, &ino)) < 0)
			return rc;
		json_object_set_new(r->body, "ino", json_integer((json_int_t)ino));
	}
	core_audit(c->options.core, &log);
	return auditor_show(&log, r->body, emit, r, r->msg);
}

int op_audit_verify(struct request *r)
{
	struct control *c = r->ctx;
	struct audit_heads seen = { 0 };
	struct audit_head head;
	struct audit_log log;
	int rc = transfer_newest_head(core_transfer(c->options.core), &head, &seen);

	if (rc < 0 && rc != -ERR_UNREACHABLE)
		return rc;
	core_audit(c->options.core, &log);
	return auditor_verify(&log, &head, &seen, emit, r, r->last, r->msg);
}

int op_report(struct request *r)
{
	struct control *c = r->ctx;
	struct config *config = core_config(c->options.core);

	json_object_set_new(r->last, "store", json_string(config->name));
	config_put(config);
	return report_make(c->options.core, emit, r);
}
