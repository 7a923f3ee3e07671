/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/commands.h"

#include <stdio.h>
#include <string.h>

/* ---- help ----------------------------------------------------------------------------------------------------- */

static json_t *option_json(const struct cli_option *o)
{
	char letter[] = { o->letter, 0 };

	return json_pack("{s:s, s:o, s:s?, s:s}", "name", o->name, "letter",
		o->letter ? json_string(letter) : json_null(), "value", o->value, "help", o->help);
}

/* what manual pages and completions are made from */
static void print_table(void)
{
	for (const struct cli_command *const *c = cli_commands; *c; c++) {
		json_t *options = json_array(), *line;

		for (const struct cli_option *o = (*c)->options; o->name; o++)
			json_array_append_new(options, option_json(o));
		line = json_pack("{s:s, s:s, s:s, s:s?, s:o}", "name", (*c)->name, "operands", (*c)->operands,
			"summary", (*c)->summary, "description", (*c)->description, "options", options);
		print_json(line);
		json_decref(line);
	}
}

static void print_overview(void)
{
	struct table t = TABLE_INIT(2);

	printf("borderfs " BORDERFS_VERSION
	       ": one folder, whose files each live in the country that your rules say.\n\n"
	       "usage: borderfs COMMAND [OPTIONS] [ARGUMENTS]\n\n");
	for (const struct cli_command *const *c = cli_commands; *c; c++) {
		table_cell(&t, "%s%s%s", (*c)->name, *(*c)->operands ? " " : "", (*c)->operands);
		table_cell(&t, "%s", (*c)->summary);
	}
	table_print(&t, "  ");
	printf("\n`borderfs COMMAND --help` tells more. Exit status: 0 done, 1 failed, 2 usage, 3 refused by policy,\n"
	       "4 not (yet) complete.\n");
}

/* "tag" means all that begin with it */
static bool named(const char *command, const char *name, size_t len)
{
	return !strncmp(command, name, len) && (command[len] == 0 || command[len] == ' ');
}

static int print_commands(const char *name)
{
	struct buf out = BUF_INIT;
	int found = 0;

	for (const struct cli_command *const *c = cli_commands; *c; c++) {
		if (!named((*c)->name, name, strlen(name)))
			continue;
		if (found++)
			buf_str(&out, "\n");
		args_help(*c, &out);
	}
	if (found)
		fwrite(out.data, 1, out.len, stdout);
	else
		complain("there is no command \"%s\": see `borderfs help`", name);
	buf_free(&out);
	return found ? 0 : OUTCOME_USAGE;
}

static int help(const struct cli_args *args)
{
	char name[64];

	if (args_flag(args, "json")) {
		print_table();
		return 0;
	}
	if (!args->operand_count) {
		print_overview();
		return 0;
	}
	snprintf(name, sizeof name, "%s%s%s", args->operands[0], args->operand_count > 1 ? " " : "",
		args->operand_count > 1 ? args->operands[1] : "");
	return print_commands(name);
}

static int version(const struct cli_args *args)
{
	(void)args;
	printf("borderfs " BORDERFS_VERSION "\n");
	return 0;
}

static const struct cli_option help_options[] = {
	{ 0, "json", NULL, "every command and option as JSON, one command a line", false },
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

static const struct cli_option version_options[] = {
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_help = {
	.name = "help",
	.operands = "[COMMAND]",
	.operands_max = 2,
	.summary = "Lists the commands, or shows how one is used",
	.options = help_options,
	.run = help,
};

const struct cli_command cmd_version = {
	.name = "version",
	.operands = "",
	.summary = "Prints the version",
	.options = version_options,
	.run = version,
};
