/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/commands.h"

#include <stdio.h>

static int print_message(void *ctx, json_t *line)
{
	(void)ctx;
	fprintf(stderr, "%s", text_at(line, "file"));
	if (number_at(line, "line"))
		fprintf(stderr, ":%lld", number_at(line, "line"));
	fprintf(stderr, ": %s: %s\n", text_at(line, "level"), text_at(line, "text"));
	return 0;
}

static int run(const struct cli_args *args)
{
	struct cli_daemon daemon;
	int rc = cli_daemon(args, &daemon);

	if (rc)
		return rc;
	rc = cli_ask(&daemon, "reload", NULL, -1, print_message, NULL, NULL);
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
