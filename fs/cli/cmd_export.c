/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "base/text.h"
#include "config/rules.h"
#include "fs/cli/commands.h"
#include "fs/cli/mounts.h"
#include "fs/control/facts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 1000 /* requests in one question to the daemon, of which a line is bounded */

/* ---- asking the daemon ---------------------------------------------------------------------------------------------
 */

static int find_daemon(const struct cli_args *args, struct cli_daemon *d)
{
	int rc = cli_daemon(args, d);

	if (rc == 0 && config_locate_path(d->config_file, "approvers-socket", &d->approvers_socket) == -ENOMEM) {
		cli_daemon_free(d);
		return complain_rc(-ENOMEM, &(struct errmsg){ 0 });
	}
	return rc;
}

static int keep_row(void *ctx, json_t *row)
{
	return json_array_append(ctx, row) < 0 ? -ENOMEM : 0;
}

/* All that may be decided about; *mountpoint: where the daemon's files are, malloc'd or NULL. */
static int load(const struct cli_daemon *d, bool all, json_t *rows, char **mountpoint)
{
	json_t *last = NULL;
	int rc = cli_ask(d, "export-list", json_pack("{s:b}", "all", all), -1, keep_row, rows, &last);

	*mountpoint = json_object_get(last, "mountpoint") ? strdup(text_at(last, "mountpoint")) : NULL;
	json_decref(last);
	return rc;
}

/* ---- showing --------------------------------------------------------------------------------------------------------
 */

static void cell_votes(struct table *t, const json_t *row)
{
	struct buf text = BUF_INIT;
	unsigned agree = 0;
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(row, "votes"), i, one)
	{
		agree += json_is_true(json_object_get(one, "agrees"));
		buf_printf(&text, "%s%s%s (%s)", i ? ", " : " ",
			json_is_true(json_object_get(one, "agrees")) ? "" : "not ", text_at(one, "approver"),
			text_at(one, "reason"));
	}
	buf_u8(&text, 0);
	table_cell(t, "%u of %lld%s", agree, number_at(row, "needed"), text.err ? "" : (char *)text.data);
	buf_free(&text);
}

static void add_row(struct table *t, const json_t *row)
{
	char size[32];
	size_t len;
	char *path = facts_get_bytes(row, "path", &len);

	table_cell(t, "%lld", number_at(row, "request"));
	table_cell(t, "%s", path ? path : "");
	table_cell(t, "%s", text_size((uint64_t)number_at(row, "size"), size, sizeof size));
	table_cell(t, "%s", text_at(row, "owner"));
	table_cell(t, "%s", text_at(row, "from"));
	table_cell(t, "%s", text_at(row, "to"));
	table_cell(t, "%s", json_is_string(json_object_get(row, "rule")) ? text_at(row, "rule") : "(default)");
	table_cell(t, "%s", text_at(row, "state"));
	cell_votes(t, row);
	free(path);
}

static void show(const json_t *rows)
{
	static const char *const head[] = { "REQUEST", "FILE", "SIZE", "OWNER", "FROM", "TO", "RULE", "STATE",
		"AGREE" };
	struct table t = TABLE_INIT(sizeof head / sizeof *head);
	json_t *row;
	size_t i;

	for (i = 0; i < t.columns; i++)
		table_cell(&t, "%s", head[i]);
	json_array_foreach(rows, i, row) add_row(&t, row);
	table_print(&t, "");
	fflush(stdout);
}

static int list(const struct cli_args *args)
{
	json_t *rows = json_array(), *row;
	struct cli_daemon d;
	char *mountpoint = NULL;
	size_t i;
	int rc = find_daemon(args, &d);

	if (rc == 0) {
		rc = load(&d, args_flag(args, "all"), rows, &mountpoint);
		cli_daemon_free(&d);
	}
	if (rc == 0 && args_flag(args, "json"))
		json_array_foreach(rows, i, row) print_json(row);
	else if (rc == 0 && json_array_size(rows))
		show(rows);
	else if (rc == 0)
		printf("nothing waits for approvers\n");
	json_decref(rows);
	free(mountpoint);
	return rc;
}

/* ---- which requests are meant ---------------------------------------------------------------------------------------
 */

/* An operand: the number of a request, the path of a file, or a pattern as in a rule, from the mount's root. */
struct meant {
	long long number; /* 0: none */
	char *path;	  /* malloc'd */
	struct glob *glob;
	size_t found;
};

static bool is_number(const char *text)
{
	return *text && strlen(text) < 19 && !text[strspn(text, "0123456789")];
}

/* A path that is there is meant as it is seen through the mount. */
static char *from_root(const char *operand, const char *mountpoint)
{
	char *path = access(operand, F_OK) == 0 ? path_absolute(operand) : strdup(operand);
	size_t len = mountpoint ? strlen(mountpoint) : 0;

	if (path && len && strncmp(path, mountpoint, len) == 0 && path[len] == '/')
		memmove(path, path + len, strlen(path + len) + 1);
	return path;
}

static int meant_open(struct meant *m, const char *operand, const char *mountpoint)
{
	struct errmsg msg = { 0 };
	int rc;

	*m = (struct meant){ 0 };
	if (is_number(operand)) {
		m->number = strtoll(operand, NULL, 10);
		return 0;
	}
	if (!(m->path = from_root(operand, mountpoint)))
		return complain_rc(-ENOMEM, &msg);
	if ((rc = glob_compile(&m->glob, m->path, &msg)) == 0)
		return 0;
	complain("%s: %s", operand, errmsg_text(&msg, rc));
	errmsg_free(&msg);
	return OUTCOME_USAGE;
}

static void meant_close(struct meant *m)
{
	free(m->path);
	glob_free(m->glob);
}

static bool is_meant(const struct meant *m, const json_t *row)
{
	size_t len;
	char *path;
	bool is;

	if (m->number)
		return number_at(row, "request") == m->number;
	path = facts_get_bytes(row, "path", &len);
	is = path && m->path && (strcmp(path, m->path) == 0 || glob_match(m->glob, path));
	free(path);
	return is;
}

/* What is said, and about requests of which states. */
struct saying {
	const char *verb, *op, *reason_option;
	const char *const *states;
	bool agree;
};

static bool may_be_said(const struct saying *s, const json_t *row)
{
	for (size_t i = 0; s->states[i]; i++)
		if (!strcmp(s->states[i], text_at(row, "state")))
			return true;
	return false;
}

/* The newest request that an operand means, in whatever state; NULL: there is none. */
static const json_t *newest_meant(const struct meant *m, const json_t *rows)
{
	const json_t *newest = NULL;
	json_t *row;
	size_t i;

	json_array_foreach(rows, i,
		row) if (is_meant(m, row) && (!newest || number_at(row, "request") > number_at(newest, "request")))
		newest = row;
	return newest;
}

/* How a request came to its state, as the end of "it WHAT". */
static const char *ended_text(const char *state)
{
	static const struct {
		const char *state, *text;
	} texts[] = {
		{ "expired", "expired: its time was over" },
		{ "superseded", "is over: the file, or what is asked about it, was changed or deleted" },
		{ "withdrawn", "was withdrawn" },
		{ "denied", "was denied: an approver can withdraw that" },
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (!strcmp(texts[i].state, state))
			return texts[i].text;
	return "cannot be decided about any more";
}

static void complain_ended(const char *operand, const json_t *row)
{
	time_t since = (time_t)number_at(row, "since");
	struct buf text = BUF_INIT;
	char when[32] = "?";
	struct tm tm;
	size_t len;
	char *path = facts_get_bytes(row, "path", &len);

	if (gmtime_r(&since, &tm))
		strftime(when, sizeof when, "%Y-%m-%d %H:%M", &tm);
	buf_printf(&text, "%s: request %lld", operand, number_at(row, "request"));
	if (path && strcmp(path, operand) != 0)
		buf_printf(&text, " (%s)", path);
	buf_printf(&text, " %s, on %s UTC: see `borderfs export list --all`", ended_text(text_at(row, "state")), when);
	if (!text.err)
		complain("%s", (char *)text.data);
	buf_free(&text);
	free(path);
}

/* Why nothing can be said about an operand: there never was such a request, or it is over. */
static int complain_missing(
	const struct saying *s, const struct cli_daemon *d, const char *operand, const struct meant *m)
{
	json_t *all = json_array();
	const json_t *row = NULL;
	char *unused = NULL;
	int rc = load(d, true, all, &unused);

	if (rc == 0 && (row = newest_meant(m, all)))
		complain_ended(operand, row);
	else if (rc == 0)
		complain("%s: there is no such request to %s: see `borderfs export list`", operand, s->verb);
	json_decref(all);
	free(unused);
	return rc ? rc : OUTCOME_FAILED;
}

/* Adds to chosen, in the order of the requests, those that any operand means. */
static int choose(const struct cli_args *args, const struct saying *s, const struct cli_daemon *d,
	const char *mountpoint, const json_t *rows, json_t *chosen)
{
	struct meant *meant = calloc((size_t)args->operand_count + 1, sizeof *meant);
	int rc = meant ? 0 : OUTCOME_FAILED;
	json_t *row;
	size_t i;

	for (int k = 0; rc == 0 && k < args->operand_count; k++)
		rc = meant_open(&meant[k], args->operands[k], mountpoint);
	json_array_foreach(rows, i, row)
	{
		bool any = false;

		for (int k = 0; rc == 0 && k < args->operand_count; k++) {
			if (!may_be_said(s, row) || !is_meant(&meant[k], row))
				continue;
			meant[k].found++;
			any = true;
		}
		if (any)
			json_array_append(chosen, row);
	}
	for (int k = 0; rc == 0 && k < args->operand_count; k++)
		if (!meant[k].found)
			rc = complain_missing(s, d, args->operands[k], &meant[k]);
	for (int k = 0; meant && k < args->operand_count; k++)
		meant_close(&meant[k]);
	free(meant);
	return rc;
}

/* ---- saying it ------------------------------------------------------------------------------------------------------
 */

struct answer {
	const json_t *chosen;
	const char *verb;
	bool json;
};

static const json_t *row_of(const json_t *rows, long long number)
{
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) if (number_at(row, "request") == number) return row;
	return NULL;
}

static int print_outcome(void *ctx, json_t *line)
{
	const struct answer *a = ctx;
	long long number = number_at(line, "request");
	const json_t *row = row_of(a->chosen, number), *path = json_object_get(row, "path");

	if (a->json) {
		json_object_set(line, "path", json_object_get(row, "path"));
		if (json_object_get(row, "path_base64"))
			json_object_set(line, "path_base64", json_object_get(row, "path_base64"));
		print_json(line);
	} else if (json_object_get(line, "message")) {
		complain("request %lld (%s): %s", number, json_string_value(path) ? json_string_value(path) : "",
			text_at(line, "message"));
	} else if (!strcmp(text_at(line, "outcome"), "counted")) {
		printf("request %lld: %lld of %lld approvers agree\n", number, number_at(line, "votes"),
			number_at(line, "needed"));
	} else {
		printf("request %lld: %s\n", number, text_at(line, "outcome"));
	}
	fflush(stdout);
	return 0;
}

static json_t *numbers(const json_t *chosen, size_t from)
{
	json_t *list = json_array();

	for (size_t i = from; i < json_array_size(chosen) && i < from + CHUNK; i++)
		json_array_append(list, json_object_get(json_array_get(chosen, i), "request"));
	return list;
}

/* Exactly what was listed: a request whose file changed since is another one. */
static int say(const struct cli_args *args, const struct cli_daemon *d, const struct saying *s, json_t *chosen,
	int64_t expires_ns)
{
	struct answer a = { chosen, s->verb, args_flag(args, "json") };
	int worst = 0;

	for (size_t from = 0; from < json_array_size(chosen); from += CHUNK) {
		json_t *expires = expires_ns == INT64_MAX ? json_null() : json_integer(expires_ns / NS_PER_S);
		json_t *body = json_pack("{s:o, s:b, s:s, s:o}", "requests", numbers(chosen, from), "agree", s->agree,
			"reason", args_value(args, s->reason_option), "expires", expires);
		int rc = cli_ask(d, s->op, body, -1, print_outcome, &a, NULL);

		worst = rc > worst ? rc : worst;
	}
	return worst;
}

static bool confirmed(const struct cli_args *args, const struct saying *s, const json_t *chosen)
{
	char line[16];

	if (args_flag(args, "yes"))
		return true;
	fprintf(stderr, "%s %zu request%s? [y/N] ", s->verb, json_array_size(chosen),
		json_array_size(chosen) == 1 ? "" : "s");
	if (fgets(line, sizeof line, stdin) && (!strcmp(line, "y\n") || !strcmp(line, "yes\n")))
		return true;
	complain("nothing was said to any of them");
	return false;
}

/* "2027-01-01", "2027-01-01 09:30", or from now on: "30d". */
static int expires_at(const struct cli_args *args, bool has, int64_t *ns)
{
	const char *text = has ? args_value(args, "expires") : NULL;
	int64_t in;

	*ns = INT64_MAX;
	if (!text || text_parse_time(text, ns) == 0)
		return 0;
	if (text_parse_duration(text, &in) < 0 || in > INT64_MAX - clock_real_ns()) {
		complain("\"%s\" is no time at which an approval could expire; expected one such as 2027-01-31, "
			 "\"2027-01-31 "
			 "18:00\" or 30d",
			text);
		return OUTCOME_USAGE;
	}
	*ns = clock_real_ns() + in;
	return 0;
}

static int check(const struct cli_args *args, const struct saying *s)
{
	const char *reason = args_value(args, s->reason_option);

	if (!reason || !*reason) {
		complain("say why with --%s: it is kept in the audit log", s->reason_option);
		return OUTCOME_USAGE;
	}
	if (!args_flag(args, "yes") && (args_flag(args, "json") || !isatty(STDIN_FILENO))) {
		complain("nobody is there to be asked: look at `borderfs export list`, then give --yes");
		return OUTCOME_USAGE;
	}
	return 0;
}

static int decide(const struct cli_args *args, const struct saying *s)
{
	json_t *rows = json_array(), *chosen = json_array();
	char *mountpoint = NULL;
	struct cli_daemon d;
	int64_t expires_ns;
	int rc = check(args, s);

	if (rc == 0)
		rc = expires_at(args, s->agree, &expires_ns);
	if (rc == 0 && (rc = find_daemon(args, &d)) == 0) {
		rc = load(&d, false, rows, &mountpoint);
		if (rc == 0)
			rc = choose(args, s, &d, mountpoint, rows, chosen);
		if (rc == 0 && !args_flag(args, "json"))
			show(chosen);
		if (rc == 0)
			rc = confirmed(args, s, chosen) ? say(args, &d, s, chosen, expires_ns) : OUTCOME_FAILED;
		cli_daemon_free(&d);
	}
	free(mountpoint);
	json_decref(rows);
	json_decref(chosen);
	return rc;
}

static int approve(const struct cli_args *args)
{
	static const char *const states[] = { "open", "approved", "used", NULL };

	return decide(args, &(struct saying){ "approve", "export-vote", "basis", states, true });
}

static int deny(const struct cli_args *args)
{
	static const char *const states[] = { "open", "approved", "used", NULL };

	return decide(args, &(struct saying){ "deny", "export-vote", "reason", states, false });
}

static int withdraw(const struct cli_args *args)
{
	static const char *const states[] = { "open", "approved", "used", "denied", NULL };

	return decide(args, &(struct saying){ "withdraw", "export-withdraw", "reason", states, false });
}

/* ---- the commands ---------------------------------------------------------------------------------------------------
 */

#define OPTION_YES                                                                                                     \
	{                                                                                                              \
		'y', "yes", NULL, "do not ask whether what is listed is meant", false                                  \
	}
#define OPTION_REASON                                                                                                  \
	{                                                                                                              \
		'r', "reason", "TEXT", "why; kept in the audit log", false                                             \
	}

static const struct cli_option list_options[] = {
	CLI_OPTION_CONFIG,
	{ 'a', "all", NULL, "also those that are over: expired, withdrawn, or superseded by a change", false },
	CLI_OPTION_JSON,
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

static const struct cli_option approve_options[] = {
	CLI_OPTION_CONFIG,
	{ 'b', "basis", "BASIS", "the legal basis: consent, contract, assessment, or any text", false },
	{ 'e', "expires", "TIME", "when the approval ends, and the data comes home: 2027-01-31 or 30d", false },
	OPTION_YES,
	CLI_OPTION_JSON,
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

static const struct cli_option reason_options[] = {
	CLI_OPTION_CONFIG,
	OPTION_REASON,
	OPTION_YES,
	CLI_OPTION_JSON,
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_export_list = {
	.name = "export list",
	.operands = "",
	.summary = "Lists what waits for approvers, and what is abroad by their leave",
	.description = "Approvers see the requests of the zones that name them; the store's owner and root see all.",
	.options = list_options,
	.run = list,
};

const struct cli_command cmd_export_approve = {
	.name = "export approve",
	.operands = "REQUEST|PATH|PATTERN...",
	.operands_min = 1,
	.operands_max = -1,
	.summary = "Agrees that files leave their zone",
	.description = "A request is a number of `export list`, a path, or a pattern as in a rule, from the root of "
		       "the mount.\n"
		       "What is covered is listed first; exactly that is agreed to, and not what came, or was changed, "
		       "since.\n"
		       "As many approvers as the zone's `approvals` must agree; nobody agrees to their own file.",
	.options = approve_options,
	.run = approve,
};

const struct cli_command cmd_export_deny = {
	.name = "export deny",
	.operands = "REQUEST|PATH|PATTERN...",
	.operands_min = 1,
	.operands_max = -1,
	.summary = "Refuses that files leave their zone; what is abroad comes home",
	.description = "One approver is enough. It is asked anew when the file is changed, or the denial withdrawn.",
	.options = reason_options,
	.run = deny,
};

const struct cli_command cmd_export_withdraw = {
	.name = "export withdraw",
	.operands = "REQUEST|PATH|PATTERN...",
	.operands_min = 1,
	.operands_max = -1,
	.summary = "Ends requests and approvals: the data comes home, and is asked about anew",
	.description = "By an approver, or the store's owner; a denial by an approver only.",
	.options = reason_options,
	.run = withdraw,
};
