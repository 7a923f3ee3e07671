/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/commands.h"
#include "fs/cli/moving.h"

#include <stdio.h>
#include <string.h>

/* ---- move ----------------------------------------------------------------------------------------------------- */

static void drop_protocol(json_t *last)
{
	json_object_del(last, "done");
	json_object_del(last, "status");
}

/* --status, --receipt */
static int show(const struct cli_args *args, const struct cli_daemon *d)
{
	bool json = args_flag(args, "json");
	json_t *last = NULL;
	int rc = cli_ask(d, "move-status", NULL, -1, NULL, NULL, &last);

	if (rc == 0 && args_flag(args, "receipt"))
		rc = moving_receipt(last, json);
	else if (rc == 0 && json) {
		drop_protocol(last);
		print_json(last);
	} else if (rc == 0) {
		moving_print(last);
	}
	json_decref(last);
	return rc;
}

static int cancel(const struct cli_args *args, const struct cli_daemon *d)
{
	const char *from = args->operand_count ? args->operands[0] : NULL;

	return cli_ask(d, "move-cancel", from ? json_pack("{s:s}", "from", from) : NULL, -1, NULL, NULL, NULL);
}

/* Exactly one of the four things that it does. */
static int check_use(const struct cli_args *args)
{
	const char *from = args_value(args, "from"), *to = args_value(args, "to");
	int ways = (from || to) + args_flag(args, "status") + args_flag(args, "receipt") + args_flag(args, "cancel");

	if (ways != 1 || !from != !to || (args->operand_count && !args_flag(args, "cancel"))) {
		complain("expected --from BACKEND --to BACKEND, or --status, --receipt, or --cancel [BACKEND]; "
			 "`borderfs drain BACKEND` empties one into the others of its zone");
		return OUTCOME_USAGE;
	}
	return 0;
}

static int run(const struct cli_args *args)
{
	struct cli_daemon daemon;
	int rc = check_use(args);

	if (rc || (rc = cli_daemon(args, &daemon)))
		return rc;
	if (args_flag(args, "cancel"))
		rc = cancel(args, &daemon);
	else if (args_value(args, "from"))
		rc = moving_order(args, &daemon, args_value(args, "from"), args_value(args, "to"));
	else
		rc = show(args, &daemon);
	cli_daemon_free(&daemon);
	return rc;
}

static const struct cli_option options[] = {
	CLI_OPTION_CONFIG,
	CLI_OPTION_JSON,
	{ 0, "from", "BACKEND", "the backend to empty", false },
	{ 0, "to", "BACKEND", "where its objects go", false },
	CLI_OPTION_DEADLINE,
	CLI_OPTION_YES,
	CLI_OPTION_BACKGROUND,
	{ 0, "status", NULL, "how the newest order goes, or how it ended", false },
	{ 0, "receipt", NULL, "print its receipt", false },
	{ 0, "cancel", NULL, "end the newest order, or that of BACKEND, which takes new objects again", false },
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_move = {
	.name = "move",
	.operands = "[BACKEND]",
	.operands_max = 1,
	.summary = "Empties one backend into another, proves that it is empty, and gives a receipt",
	.description =
		"Shows what would be moved and asks. From then on the backend takes no new objects; its objects are\n"
		"copied, read back, and deleted there with all versions; it is listed until nothing of the store\n"
		"is left, and a signed receipt is printed. It goes on without this command, over unmounts and\n"
		"crashes. Between zones the rules decide: they must have moved the files' place already.",
	.options = options,
	.run = run,
};

/* ---- drain ---------------------------------------------------------------------------------------------------- */

static int run_drain(const struct cli_args *args)
{
	struct cli_daemon daemon;
	int rc = cli_daemon(args, &daemon);

	if (rc)
		return rc;
	rc = moving_order(args, &daemon, args->operands[0], NULL);
	cli_daemon_free(&daemon);
	return rc;
}

static const struct cli_option drain_options[] = {
	CLI_OPTION_CONFIG,
	CLI_OPTION_JSON,
	CLI_OPTION_DEADLINE,
	CLI_OPTION_YES,
	CLI_OPTION_BACKGROUND,
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_drain = {
	.name = "drain",
	.operands = "BACKEND",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "Empties a backend into the others of its zone, as `borderfs move` does",
	.description = "What `borderfs move --status`, --receipt and --cancel say and do holds for it too.",
	.options = drain_options,
	.run = run_drain,
};
