/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "base/text.h"
#include "fs/cli/commands.h"
#include "fs/control/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct plan {
	bool json;
	char section[16]; /* whose table is open: "" none */
	struct table table;
};

static const struct {
	const char *section, *title;
} titles[] = { { "move", "Would move" }, { "stay", "Would stay by the export policy, though the rules want it away" },
	{ "unsure", "At home until its content is fetched, since a rule asks for its type" },
	{ "largest", "The largest that would move" }, { "sample", "Some that would move" } };

static void table_end(struct plan *p)
{
	if (p->table.count)
		table_print(&p->table, "  ");
	p->table = (struct table)TABLE_INIT(4);
}

static void section_begin(struct plan *p, const char *section)
{
	if (!strcmp(p->section, section))
		return;
	table_end(p);
	snprintf(p->section, sizeof p->section, "%s", section);
	for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
		if (!strcmp(titles[i].section, section))
			printf("%s\n", titles[i].title);
}

static const char *way(const json_t *row, char *out, size_t len)
{
	if (json_is_true(json_object_get(row, "others")))
		snprintf(out, len, "(others)");
	else
		snprintf(out, len, "%s -> %s%s%s", text_at(row, "from"), text_at(row, "to"),
			*text_at(row, "direction") ? ", " : "", text_at(row, "direction"));
	return out;
}

static void file_cell(struct table *t, const json_t *row)
{
	size_t len;
	char *path = facts_get_bytes(row, "path", &len);

	table_cell(t, "%s", path ? path : "");
	free(path);
}

static void print_row(struct plan *p, const json_t *row)
{
	const char *rule = text_at(row, "rule");
	bool single = *text_at(row, "path");
	char size[32], ways[600];

	section_begin(p, text_at(row, "section"));
	table_cell(&p->table, "%s", way(row, ways, sizeof ways));
	if (single)
		file_cell(&p->table, row);
	else
		table_cell(&p->table, "%lld file%s", number_at(row, "files"), number_at(row, "files") == 1 ? "" : "s");
	table_cell(&p->table, "%s", text_size((uint64_t)number_at(row, "bytes"), size, sizeof size));
	if (*text_at(row, "reason"))
		table_cell(&p->table, "rule %s: %s", *rule ? rule : "(default)", text_at(row, "reason"));
	else
		table_cell(&p->table, "%s%s", *rule ? "rule " : "(default)", rule);
}

/* A finding of the configuration goes where those of a reload go. */
static int take_row(void *ctx, json_t *row)
{
	struct plan *p = ctx;

	if (!json_object_get(row, "section")) {
		print_config_message(row);
		return 0;
	}
	if (p->json)
		print_json(row);
	else
		print_row(p, row);
	return 0;
}

static void print_totals(const json_t *last)
{
	const json_t *seconds = json_object_get(last, "seconds");
	char all[32], moving[32], time[32], speed[32];

	printf("%lld of %lld files would move, %s of %s", number_at(last, "moving_files"), number_at(last, "files"),
		text_size((uint64_t)number_at(last, "moving_bytes"), moving, sizeof moving),
		text_size((uint64_t)number_at(last, "bytes"), all, sizeof all));
	if (json_is_integer(seconds))
		printf(": %s at the %s/s measured now",
			text_duration(json_integer_value(seconds) * NS_PER_S, time, sizeof time),
			text_size((uint64_t)number_at(last, "bytes_per_s"), speed, sizeof speed));
	else if (number_at(last, "moving_bytes"))
		printf("; nothing is being sent now, so that no speed is known");
	printf("\nnothing was changed: `borderfs reload` puts the configuration in force\n");
}

static void print_json_totals(json_t *last)
{
	json_object_del(last, "done");
	json_object_del(last, "status");
	json_object_set_new(last, "section", json_string("total"));
	print_json(last);
}

static int ask(const struct cli_daemon *daemon, struct plan *p)
{
	json_t *last = NULL;
	int rc = cli_ask(daemon, "rules-plan", json_pack("{s:s}", "file", daemon->config_file), -1, take_row, p, &last);

	if (!p->json)
		table_end(p);
	if (rc == 0 && p->json)
		print_json_totals(last);
	else if (rc == 0)
		print_totals(last);
	json_decref(last);
	return rc;
}

static int run(const struct cli_args *args)
{
	struct plan p = { .json = args_flag(args, "json"), .table = TABLE_INIT(4) };
	struct cli_daemon daemon;
	int rc = cli_daemon(args, &daemon);

	if (rc)
		return rc;
	rc = ask(&daemon, &p);
	table_free(&p.table);
	cli_daemon_free(&daemon);
	return rc;
}

static const struct cli_option options[] = {
	CLI_OPTION_CONFIG,
	CLI_OPTION_JSON,
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_rules_plan = {
	.name = "rules plan",
	.operands = "",
	.summary = "Says what a reload would move across which border, by which rule, before anything moves",
	.description =
		"Asks the daemon of the mounted store to judge every file by the configuration as it is written now, "
		"or\n"
		"by another one of the same store that -c names, and changes nothing. What a reload would refuse is\n"
		"refused here.",
	.options = options,
	.run = run,
};
