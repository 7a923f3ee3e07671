/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/control.h"

#include "fs/control/ops.h"
#include "fs/control/sock.h"

#include <errno.h>
#include <stdlib.h>

static const struct server_op ops[] = {
	{ "status", false, true, op_status },
	{ "sync", false, true, op_sync },
	{ "sync-path", true, false, op_sync },
	{ "reload", false, true, op_reload },
	{ "rules-plan", false, true, op_rules_plan },
	{ "cache-drop", false, true, op_cache_drop },
	{ "move-plan", false, true, op_move_plan },
	{ "move", false, true, op_move },
	{ "move-cancel", false, true, op_move_cancel },
	{ "move-status", false, true, op_move_status },
	{ "cache-pin", true, true, op_cache_pin },
	{ "cache-show", false, true, op_cache_show },
	{ "umount", false, true, op_umount },
	{ "where", true, false, op_where },
	{ "explain", true, false, op_explain },
	{ "audit-show", false, true, op_audit_show },
	{ "audit-show-path", true, true, op_audit_show },
	{ "audit-verify", false, true, op_audit_verify },
	{ "audit-key", false, true, op_audit_key },
	{ "report", false, true, op_report },
	{ "export-list", false, false, op_export_list },
	{ "export-vote", false, false, op_export_vote },
	{ "export-withdraw", false, false, op_export_withdraw },
	{ 0 },
};

/* What the approvers' socket lets in: whoever connects, for exactly this. */
static const struct server_op approvers_ops[] = {
	{ "export-list", false, false, op_export_list },
	{ "export-vote", false, false, op_export_vote },
	{ "export-withdraw", false, false, op_export_withdraw },
	{ 0 },
};

static int servers_start(struct control *c, const struct config *config, struct errmsg *msg)
{
	char *path = sock_path(config->store);
	int rc = path ? server_start(&c->server, path, 0600, ops, c, msg) : -ENOMEM;

	if (rc == 0 && config->approvers_socket)
		rc = server_start(&c->approvers, config->approvers_socket, 0666, approvers_ops, c, msg);
	if (rc < 0)
		server_stop(c->server, rc, NULL);
	free(path);
	return rc;
}

int control_start(struct control **out, const struct control_options *options, struct errmsg *msg)
{
	struct control *c = calloc(1, sizeof *c);
	struct config *config;
	int rc;

	*out = NULL;
	if (!c)
		return -ENOMEM;
	c->options = *options;
	config = core_config(options->core);
	rc = servers_start(c, config, msg);
	config_put(config);
	if (rc < 0)
		free(c);
	else
		*out = c;
	return rc;
}

void control_drain(struct control *c)
{
	if (c->approvers)
		server_drain(c->approvers);
	server_drain(c->server);
}

void control_stop(struct control *c, int rc, const char *sentence)
{
	if (!c)
		return;
	server_stop(c->approvers, rc, sentence);
	server_stop(c->server, rc, sentence);
	free(c);
}
