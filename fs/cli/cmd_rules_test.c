/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/ruletest.h"
#include "fs/cli/commands.h"
#include "fs/control/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_result(const char *file, int rc, const struct ruletest *t, const struct config_messages *msgs)
{
	struct buf out = BUF_INIT;

	config_messages_print(msgs, &out);
	print_text(out.data ? (const char *)out.data : "", out.len);
	buf_free(&out);
	printf("%s: %zu file%s, %zu not as expected%s\n", file, t->files, t->files == 1 ? "" : "s", t->failed,
		rc < 0 ? ", and errors in the table" : "");
}

static void print_result_json(const char *file, int rc, const struct ruletest *t, const struct config_messages *msgs)
{
	json_t *list = json_array();
	json_t *line = json_pack("{s:b, s:I, s:I, s:o}", "ok", rc == 0 && t->failed == 0, "files", (json_int_t)t->files,
		"failed", (json_int_t)t->failed, "messages", list);

	for (size_t i = 0; line && i < msgs->count; i++)
		json_array_append_new(list, facts_message(&msgs->v[i]));
	if (line && facts_set_bytes(line, "file", file, strlen(file)) == 0)
		print_json(line);
	json_decref(line);
}

static int run(const struct cli_args *args)
{
	char *config_file = cli_config_name(args);
	const char *file = args->operands[0];
	struct config_messages msgs = { 0 };
	struct ruletest result;
	struct config *config;
	int rc = config_file ? cli_config_file(config_file, false, &config) : OUTCOME_FAILED;

	free(config_file);
	if (rc)
		return rc;
	rc = ruletest_run(config, file, &result, &msgs);
	(args_flag(args, "json") ? print_result_json : print_result)(file, rc, &result, &msgs);
	config_messages_free(&msgs);
	config_put(config);
	return rc < 0 || result.failed ? OUTCOME_FAILED : 0;
}

static const struct cli_option options[] = {
	CLI_OPTION_CONFIG,
	CLI_OPTION_JSON,
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_rules_test = {
	.name = "rules test",
	.operands = "FILE",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "Holds a table of files and the zones they belong in against the rules",
	.description =
		"FILE has sections [test NAME] with path, what is known of the files (tag, size, age, at, owner,\n"
		"group, type) and what is expected (zone, and rule if it matters). Needs no store and no daemon:\n"
		"run it wherever rules are reviewed. Every path placed otherwise is printed with its line.",
	.options = options,
	.run = run,
};
