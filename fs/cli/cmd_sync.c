/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/commands.h"
#include "fs/cli/sync.h"
#include "fs/cli/target.h"

static int sync_path(const struct cli_args *args, const char *timeout)
{
	struct target t = TARGET_INIT;
	int rc = target_open(&t, args, args->operands[0]);

	if (rc == 0)
		rc = sync_wait(&t.daemon, args->operands[0], t.fd, timeout);
	target_close(&t);
	return rc;
}

static int run(const struct cli_args *args)
{
	const char *timeout = args_value(args, "timeout");
	struct cli_daemon daemon;
	int rc;

	if (args->operand_count)
		return sync_path(args, timeout);
	if ((rc = cli_daemon(args, &daemon)))
		return rc;
	rc = sync_wait(&daemon, NULL, -1, timeout);
	cli_daemon_free(&daemon);
	return rc;
}

static const struct cli_option options[] = {
	CLI_OPTION_CONFIG,
	{ 't', "timeout", "SECONDS", "give up waiting after this time (also 500ms, 5m, 2h): exit status 4", false },
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_sync = {
	.name = "sync",
	.operands = "[PATH]",
	.operands_max = 1,
	.summary = "Waits until what was written before is on its backends",
	.description =
		"Of PATH, all that lies below it, or of the whole mount; what that replaced is deleted from its\n"
		"backends by then. If the time is up, exit status 4 and what is missing; it goes on in the background.",
	.options = options,
	.run = run,
};
