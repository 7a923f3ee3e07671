/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/cli.h"

#include "base/file.h"
#include "fs/cli/mounts.h"
#include "fs/control/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void print_messages(const struct config_messages *msgs, bool warnings)
{
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < msgs->count; i++) {
		struct config_messages one = { &msgs->v[i], 1 };

		if (msgs->v[i].error || warnings)
			config_messages_print(&one, &out);
	}
	fwrite(out.data ? out.data : (const uint8_t *)"", 1, out.len, stderr);
	buf_free(&out);
}

int cli_config_file(const char *file, bool warnings, struct config **out)
{
	struct config_messages msgs = { 0 };
	int rc = config_load(out, file, &msgs);

	print_messages(&msgs, warnings);
	config_messages_free(&msgs);
	if (rc < 0)
		complain("%s is not a configuration that can be used: %s", file, err_text(rc));
	return rc < 0 ? OUTCOME_FAILED : 0;
}

int cli_config(const struct cli_args *args, bool warnings, struct config **out)
{
	struct errmsg msg = { 0 };
	char *file = config_find(args_value(args, "config"), &msg);
	int rc;

	if (!file)
		return complain_rc(-ENOENT, &msg);
	rc = cli_config_file(file, warnings, out);
	free(file);
	return rc;
}

char *cli_config_name(const struct cli_args *args)
{
	bool given = args_flag(args, "config");
	struct errmsg msg = { 0 };
	struct mount_at at;
	int mounted = given ? -ENOENT : mounts_only(&at);
	char *file;

	if (mounted == 0) {
		file = at.config_file;
		at.config_file = NULL;
		mount_at_free(&at);
		return file;
	}
	file = config_find(args_value(args, "config"), &msg);
	if (!file && mounted == -EEXIST)
		complain("more than one store is mounted: name its configuration with -c FILE");
	else if (!file)
		complain_rc(-ENOENT, &msg);
	errmsg_free(&msg);
	return file;
}

int cli_daemon_file(const char *config_file, struct cli_daemon *d)
{
	int rc;

	/* as a configuration names itself, and so a mount its source */
	d->config_file = file_expand(config_file, NULL);
	rc = d->config_file ? config_locate(d->config_file, &d->store) : -ENOMEM;
	if (rc == 0)
		return 0;
	if (rc == -ENOENT && access(config_file, F_OK) == 0)
		complain("%s names no store: `store` in [filesystem] is missing", config_file);
	else if (rc == -ENOTSUP)
		complain("%s is not a regular file: name the configuration with -c FILE", config_file);
	else
		complain("%s: %s", config_file, err_text(rc));
	return OUTCOME_FAILED;
}

int cli_daemon(const struct cli_args *args, struct cli_daemon *d)
{
	char *file = cli_config_name(args);
	int rc;

	*d = (struct cli_daemon){ 0 };
	if (!file)
		return OUTCOME_FAILED;
	rc = cli_daemon_file(file, d);
	free(file);
	if (rc)
		cli_daemon_free(d);
	return rc;
}

void cli_daemon_free(struct cli_daemon *d)
{
	free(d->config_file);
	free(d->store);
	free(d->approvers_socket);
	*d = (struct cli_daemon){ 0 };
}

int cli_verdict(int rc, const json_t *last, struct errmsg *msg)
{
	const char *message = json_string_value(json_object_get(last, "message"));
	json_int_t status = json_integer_value(json_object_get(last, "status"));

	if (rc < 0)
		return complain_rc(rc, msg);
	errmsg_free(msg);
	if (status != OUTCOME_DONE)
		complain("%s", message ? message : "the daemon failed and did not say why");
	return status >= 0 && status <= OUTCOME_INCOMPLETE ? (int)status : OUTCOME_FAILED;
}

int cli_ask(const struct cli_daemon *d, const char *op, json_t *args, int fd, int (*line)(void *ctx, json_t *),
	void *ctx, json_t **last)
{
	const struct control_at at = { d->config_file, d->store, d->approvers_socket };
	struct errmsg msg = { 0 };
	json_t *end = NULL;
	int rc = control_ask(&at, op, args, fd, line, ctx, &end, &msg);

	rc = cli_verdict(rc, end, &msg);
	if (last)
		*last = end;
	else
		json_decref(end);
	return rc;
}
