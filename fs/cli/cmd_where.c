/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/text.h"
#include "fs/cli/commands.h"
#include "fs/cli/target.h"
#include "fs/control/facts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct where_out {
	bool json;
	struct table table;
	struct buf whys; /* lines after the table */
};

/* the path as given, and what lies below it, as bytes */
static char *full_path(const char *given, const json_t *line, size_t *len)
{
	struct buf out = BUF_INIT;
	char *below = facts_get_bytes(line, "path", len);

	buf_str(&out, given);
	if (below && *len) {
		if (out.len && out.data[out.len - 1] != '/')
			buf_str(&out, "/");
		buf_put(&out, below, *len);
	}
	free(below);
	*len = out.len;
	return buf_steal(&out);
}

static char *backends_text(const json_t *line)
{
	const json_t *peers = json_object_get(line, "peers");
	struct buf out = BUF_INIT;
	json_t *name;
	size_t i;

	buf_str(&out, "");
	json_array_foreach(json_object_get(line, "backends"), i, name)
	{
		const char *peer = json_string_value(json_object_get(peers, json_string_value(name)));

		buf_printf(&out, "%s%s%s%s%s", i ? ", " : "", json_string_value(name), peer ? " (" : "",
			peer ? peer : "", peer ? ")" : "");
	}
	return buf_steal(&out);
}

static const char *text_or(const json_t *line, const char *key, const char *none)
{
	const char *text = json_string_value(json_object_get(line, key));

	return text ? text : none;
}

/* What waits for approvers has a state of its own. */
static bool is_kept_back(const json_t *line)
{
	return json_is_true(json_object_get(line, "kept_back")) &&
	       strcmp(text_or(line, "state", ""), where_state_name(WHERE_AWAITING)) != 0;
}

static void add_row(struct table *t, const char *path, const json_t *line)
{
	char size[32], *backends = backends_text(line);

	table_cell(t, "%s", path);
	table_cell(t, "%s", text_or(line, "zone", "-"));
	table_cell(t, "%s%s%s", text_or(line, "state", "-"), is_kept_back(line) ? ", kept back" : "",
		number_at(line, "objects_lost")	   ? ", LOST in part"
		: number_at(line, "objects_short") ? ", short of copies"
						   : "");
	table_cell(t, "%s", text_size((uint64_t)number_at(line, "size"), size, sizeof size));
	table_cell(t, "%lld", number_at(line, "objects"));
	table_cell(t, "%s", text_or(line, "rule", "(default)"));
	table_cell(t, "%s", backends && *backends ? backends : "-");
	free(backends);
}

static void add_why(struct buf *out, const char *path, const json_t *line)
{
	const char *why = json_string_value(json_object_get(line, "why"));

	if (why)
		buf_printf(out, "%s: %s\n", path, why);
}

static int print_line(void *ctx, json_t *line)
{
	struct target_answer *answer = ctx;
	struct where_out *out = answer->ctx;
	size_t len;
	char *path = full_path(answer->path, line, &len);

	if (!path)
		return -ENOMEM;
	json_object_del(line, "path_base64");
	if (!out->json) {
		add_row(&out->table, path, line);
		add_why(&out->whys, path, line);
	} else if (facts_set_bytes(line, "path", path, len) == 0)
		print_json(line);
	free(path);
	return 0;
}

static json_t *request(const struct cli_args *args, const struct target *t)
{
	return json_pack("{s:b}", "recursive", args_flag(args, "recursive") && t->directory);
}

static int run(const struct cli_args *args)
{
	static const char *const head[] = { "PATH", "ZONE", "STATE", "SIZE", "OBJECTS", "RULE", "BACKENDS" };
	struct where_out out = { args_flag(args, "json"), TABLE_INIT(7), BUF_INIT };
	int rc;

	for (size_t i = 0; i < sizeof head / sizeof *head; i++)
		table_cell(&out.table, "%s", head[i]);
	rc = target_ask(args, "where", request, print_line, &out);
	if (out.table.count == out.table.columns || out.json)
		table_free(&out.table);
	else
		table_print(&out.table, "");
	if (out.whys.len)
		print_text((const char *)out.whys.data, out.whys.len);
	buf_free(&out.whys);
	return rc;
}

static const struct cli_option options[] = {
	CLI_OPTION_CONFIG,
	CLI_OPTION_JSON,
	{ 'r', "recursive", NULL, "every file below a directory", false },
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_where = {
	.name = "where",
	.operands = "PATH...",
	.operands_min = 1,
	.operands_max = -1,
	.summary = "Shows where the data of files is: zone, state, backends, objects, peers last seen",
	.description =
		"STATE is local (not uploaded yet), uploading, stored, moving or awaiting-approval. \"kept back\": "
		"its rules\n"
		"want it elsewhere and the export policy keeps it. \"short of copies\": some of it has fewer sound "
		"ones than\n"
		"its zone asks for; \"LOST in part\": none. With --json a path that is not UTF-8 has its other "
		"bytes as\n"
		"\\xNN in \"path\" and stands whole in \"path_base64\".",
	.options = options,
	.run = run,
};
