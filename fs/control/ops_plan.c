/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/facts.h"
#include "fs/control/ops.h"
#include "fs/control/plan.h"

#include <errno.h>

static int emit(void *ctx, json_t *row)
{
	return request_send(ctx, row);
}

static int alive(void *ctx)
{
	return request_wait(ctx, -1, clock_mono_ns());
}

static int send_messages(struct request *r, struct config_messages *msgs)
{
	int rc = 0;

	for (size_t i = 0; i < msgs->count && rc == 0; i++)
		rc = request_send(r, facts_message(&msgs->v[i]));
	config_messages_free(msgs);
	return rc;
}

/* As a reload reads it, on a thread that nobody waits for once the asker has gone. */
static int read_config(struct request *r, struct core *core, const char *mountpoint, struct config **out)
{
	const char *file = json_string_value(json_object_get(r->body, "file"));
	struct config_messages msgs = { 0 };
	struct control_reload *read;
	int rc, rc2;

	*out = NULL;
	if (file && *file != '/')
		return -EINVAL;
	if ((rc = control_read_begin(&read, core, mountpoint, file)) < 0)
		return rc;
	request_wait(r, control_reload_fd(read), INT64_MAX);
	rc = control_read_end(read, out, &msgs, r->msg);
	rc2 = send_messages(r, &msgs);
	return rc < 0 ? rc : rc2;
}

int op_rules_plan(struct request *r)
{
	struct control *c = r->ctx;
	struct plan_ask ask = { .core = c->options.core, .emit = emit, .alive = alive, .ctx = r };
	int rc = read_config(r, ask.core, c->options.mountpoint, &ask.config);

	if (rc == 0)
		rc = core_allows(ask.core, ask.config, r->msg);
	if (rc == 0)
		rc = plan_make(&ask, r->last);
	if (rc == -EAGAIN)
		errmsg_set(r->msg, rc, "a reload came meanwhile: ask again");
	config_put(ask.config);
	return rc;
}
