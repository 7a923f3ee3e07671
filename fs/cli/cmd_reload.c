/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/commands.h"

static int take_message(void *ctx, json_t *line)
{
	(void)ctx;
	print_config_message(line);
	return 0;
}

static int run(const struct cli_args *args)
{
	struct cli_daemon daemon;
	int rc = cli_daemon(args, &daemon);

	if (rc)
		return rc;
	rc = cli_ask(&daemon, "reload", NULL, -1, take_message, NULL, NULL);
	cli_daemon_free(&daemon);
	return rc;
}

static const struct cli_option options[] = {
	CLI_OPTION_CONFIG,
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_reload = {
	.name = "reload",
	.operands = "",
	.summary = "Puts the changed configuration in force, whole or not at all",
	.description =
		"When it returns, nothing that the new rules forbid is being sent any more; what has to move moves\n"
		"in the background. A configuration with an error, or one that loosens what the store has accepted,\n"
		"is refused and changes nothing.",
	.options = options,
	.run = run,
};
