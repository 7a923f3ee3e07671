/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/commands.h"
#include "fs/cli/target.h"
#include "fs/control/facts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int print_line(void *ctx, json_t *line)
{
	struct target_answer *answer = ctx;
	const struct cli_args *args = answer->ctx;
	json_t *explain = json_object_get(line, "explain");
	size_t len;
	char *text;

	if (args_flag(args, "json")) {
		if (!json_is_object(explain) ||
			facts_set_bytes(explain, "path", answer->path, strlen(answer->path)) < 0)
			return -EPROTO;
		print_json(explain);
		return 0;
	}
	text = facts_get_bytes(line, "text", &len);
	if (!text)
		return -EPROTO;
	print_text(answer->path, strlen(answer->path));
	printf(": ");
	print_text(text, len);
	free(text);
	fflush(stdout);
	return 0;
}

static json_t *request(const struct cli_args *args, const struct target *t)
{
	(void)t;
	return json_pack("{s:b}", "json", args_flag(args, "json"));
}

static int run(const struct cli_args *args)
{
	return target_ask(args, "explain", request, print_line, (void *)args);
}

static const struct cli_option options[] = {
	CLI_OPTION_CONFIG,
	CLI_OPTION_JSON,
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_explain = {
	.name = "explain",
	.operands = "PATH...",
	.operands_min = 1,
	.operands_max = -1,
	.summary = "Shows why files are placed where they are",
	.description =
		"The deciding rule and those before it, each condition with whether it holds and what was looked at,\n"
		"and every tag with its origin, for each name the file has: what the placement itself runs, with a\n"
		"tracer. What the export policy says of it, and when time may change the placement.",
	.options = options,
	.run = run,
};
