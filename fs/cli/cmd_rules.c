/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/rules.h"
#include "fs/cli/commands.h"
#include "fs/control/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char not_tracked[] =
	"note: a held file's bytes stay in its zone, but what a program reads from it and writes to another file is\n"
	"judged as that other file (docs/SECURITY.md)";

static json_t *check_json(const char *file, int rc, const struct config_messages *msgs)
{
	json_t *list = json_array(), *line;

	for (size_t i = 0; i < msgs->count; i++)
		json_array_append_new(list, facts_message(&msgs->v[i]));
	line = json_pack("{s:b, s:o}", "ok", rc == 0, "messages", list);
	if (line)
		facts_set_bytes(line, "file", file, strlen(file));
	return line;
}

/* a count and its noun: "1 rule", "2 rules" */
static void count(size_t n, const char *noun, const char *after)
{
	printf("%zu %s%s%s", n, noun, n == 1 ? "" : "s", after);
}

static void check_text(const char *file, const struct config *c, const struct config_messages *msgs)
{
	struct buf out = BUF_INIT;

	config_messages_print(msgs, &out);
	fwrite(out.data ? out.data : (const uint8_t *)"", 1, out.len, stdout);
	buf_free(&out);
	if (!c) {
		complain("%s cannot be used until its errors are corrected", file);
		return;
	}
	printf("%s: ", file);
	count(c->zone_count, "zone", ", ");
	count(c->backend_count, "backend", ", ");
	count(rules_count(c), "rule", ", ");
	count(msgs->count, "warning", ", no errors\n");
	printf("%s\n", not_tracked);
}

static int check(const struct cli_args *args)
{
	struct config_messages msgs = { 0 };
	struct config *config = NULL;
	char *file = cli_config_name(args);
	int rc;

	if (!file)
		return OUTCOME_FAILED;
	rc = config_load(&config, file, &msgs);
	if (rc == 0)
		rc = config_lint(config, &msgs);
	if (args_flag(args, "json")) {
		json_t *line = check_json(file, rc, &msgs);

		print_json(line);
		json_decref(line);
	} else {
		check_text(file, rc == 0 ? config : NULL, &msgs);
	}
	config_messages_free(&msgs);
	config_put(config);
	free(file);
	return rc < 0 ? OUTCOME_FAILED : 0;
}

/* what the rule sets for its files, or what its zone says */
static const char *export_text(const struct rule *r)
{
	int own = rule_export(r);

	if (rule_zone(r)->kind == ZONE_FOREIGN && own < 0)
		return "-";
	return facts_export(own < 0 ? rule_zone(r)->export : (enum export_policy)own);
}

static void list_json(const struct rule *r, const char *conditions)
{
	const struct config_origin *o = rule_origin(r);
	json_t *line = json_pack("{s:s, s:s, s:s, s:i}", "name", rule_name(r), "zone", rule_zone(r)->name, "export",
		export_text(r), "line", o->line);

	if (line && facts_set_bytes(line, "conditions", conditions, strlen(conditions)) == 0 &&
		facts_set_bytes(line, "file", o->file, strlen(o->file)) == 0)
		print_json(line);
	json_decref(line);
}

static void list_row(struct table *t, size_t number, const struct rule *r, const char *conditions)
{
	const struct config_origin *o = rule_origin(r);

	table_cell(t, "%zu", number);
	table_cell(t, "%s", rule_name(r));
	table_cell(t, "%s", rule_zone(r)->name);
	table_cell(t, "%s", export_text(r));
	table_cell(t, "%s", conditions);
	table_cell(t, "%s:%d", o->file, o->line);
}

static void list_config(const struct config *c, bool json)
{
	static const char *const head[] = { "#", "RULE", "ZONE", "EXPORT", "CONDITIONS", "WRITTEN" };
	struct table t = TABLE_INIT(6);

	for (size_t i = 0; i < 6; i++)
		table_cell(&t, "%s", head[i]);
	for (size_t i = 0; i < rules_count(c); i++) {
		struct buf text = BUF_INIT;

		buf_str(&text, "");
		rule_text(rules_at(c, i), &text);
		if (json)
			list_json(rules_at(c, i), (const char *)text.data);
		else
			list_row(&t, i + 1, rules_at(c, i), (const char *)text.data);
		buf_free(&text);
	}
	if (json) {
		table_free(&t);
		return;
	}
	table_print(&t, "");
	printf("what no rule decides: zone %s\n", c->home->name);
}

static int list(const struct cli_args *args)
{
	char *file = cli_config_name(args);
	struct config *config;
	int rc = file ? cli_config_file(file, false, &config) : OUTCOME_FAILED;

	free(file);
	if (rc)
		return rc;
	list_config(config, args_flag(args, "json"));
	config_put(config);
	return 0;
}

static const struct cli_option options[] = {
	CLI_OPTION_CONFIG,
	CLI_OPTION_JSON,
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_rules_check = {
	.name = "rules check",
	.operands = "",
	.summary = "Checks the configuration and its rules: every error and warning, with file and line",
	.description = "Needs no store and no network. Rules that can never match or decide, that contradict another, "
		       "or that are\n"
		       "hardly meant as written (another spelling, a tag that nothing sets) are warnings: they keep no "
		       "store from\n"
		       "being mounted.",
	.options = options,
	.run = check,
};

const struct cli_command cmd_rules_list = {
	.name = "rules list",
	.operands = "",
	.summary = "Lists the rules as they are judged: the first that matches decides",
	.description = "As the file has them now, which a mounted store takes up with `borderfs reload`.",
	.options = options,
	.run = list,
};
