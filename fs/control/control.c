/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/control.h"

#include "fs/control/ops.h"

#include <errno.h>
#include <stdlib.h>

static const struct server_op ops[] = {
	{ "status", false, true, op_status },
	{ "sync", false, true, op_sync },
	{ "sync-path", true, false, op_sync },
	{ "reload", false, true, op_reload },
	{ "cache-drop", false, true, op_cache_drop },
	{ "umount", false, true, op_umount },
	{ "where", true, false, op_where },
	{ "explain", true, false, op_explain },
	{ "audit-show", false, true, op_audit_show },
	{ "audit-show-path", true, true, op_audit_show },
	{ "audit-verify", false, true, op_audit_verify },
	{ "report", false, true, op_report },
	{ 0 },
};

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
	rc = server_start(&c->server, config->store, ops, c, msg);
	config_put(config);
	if (rc < 0)
		free(c);
	else
		*out = c;
	return rc;
}

void control_drain(struct control *c)
{
	server_drain(c->server);
}

void control_stop(struct control *c, int rc, const char *sentence)
{
	if (!c)
		return;
	server_stop(c->server, rc, sentence);
	free(c);
}
