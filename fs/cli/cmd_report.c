/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/file.h"
#include "base/text.h"
#include "fs/cli/commands.h"
#include "fs/cli/report_html.h"
#include "fs/control/facts.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum form { FORM_TEXT, FORM_JSON, FORM_CSV, FORM_HTML };

struct report {
	enum form form;
	const char *section; /* whose table is open: "" none */
	char section_text[32];
	struct table table;
	struct report_rows rows;
};

/* The daemon gives numbers: the names of users are this machine's. */
static void name_owner(json_t *row)
{
	const char *uid = text_at(row, "name");
	struct passwd *pw;
	char text[300];

	if (strcmp(text_at(row, "section"), "owner") != 0 || !*uid)
		return;
	json_object_set_new(row, "uid", json_integer((json_int_t)strtoul(uid, NULL, 10)));
	pw = getpwuid((uid_t)strtoul(uid, NULL, 10));
	snprintf(text, sizeof text, "%s", pw ? pw->pw_name : uid);
	json_object_set_new(row, "name", json_string(text));
}

/* ---- text ----------------------------------------------------------------------------------------------------- */

static const struct {
	const char *section, *title;
} titles[] = { { "total", "In all" }, { "zone", "By zone" }, { "country", "By country" }, { "backend", "By backend" },
	{ "rule", "By rule" }, { "tag", "By tag" }, { "owner", "By owner" }, { "month", "By month of the last change" },
	{ "exception", "Exceptions" }, { "flow", "Between zones, by month" },
	{ "crossing", "Files that changed their zone" }, { "evidence", "Evidence" } };

static void text_end(struct report *r)
{
	if (r->table.count)
		table_print(&r->table, "  ");
	r->table = (struct table)TABLE_INIT(4);
}

static void text_begin(struct report *r, const char *section)
{
	if (!strcmp(r->section_text, section))
		return;
	text_end(r);
	printf("%s", *r->section_text ? "\n" : "");
	snprintf(r->section_text, sizeof r->section_text, "%s", section);
	for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
		if (!strcmp(titles[i].section, section))
			printf("%s\n", titles[i].title);
}

static void print_crossing(const json_t *row)
{
	const json_t *approvals = json_object_get(row, "approvals");
	struct buf out = BUF_INIT;
	json_t *one;
	size_t i;

	buf_printf(&out, "  %.19sZ  %s -> %s  ", text_at(row, "time"), text_at(row, "from"), text_at(row, "to"));
	if (json_object_get(row, "name"))
		buf_str(&out, text_at(row, "name"));
	else
		buf_printf(&out, "(inode %lld, deleted since)", number_at(row, "ino"));
	buf_printf(&out, "  %s%s", *text_at(row, "rule") ? "rule " : "no rule matched", text_at(row, "rule"));
	json_array_foreach(approvals, i, one)
		buf_printf(&out, "; approved by %s: %s", text_at(one, "approver"), text_at(one, "reason"));
	print_text_line((const char *)out.data, out.len);
	buf_free(&out);
}

static void print_evidence(const json_t *row)
{
	printf("  %s %.19sZ: %s\n", text_at(row, "name"), text_at(row, "time"), text_at(row, "text"));
}

static void print_row(struct report *r, const json_t *row)
{
	const char *section = text_at(row, "section");
	char size[32];

	text_begin(r, section);
	if (!strcmp(section, "crossing")) {
		print_crossing(row);
		return;
	}
	if (!strcmp(section, "evidence")) {
		print_evidence(row);
		return;
	}
	if (!strcmp(section, "flow"))
		table_cell(&r->table, "%s  %s -> %s", text_at(row, "name"), text_at(row, "from"), text_at(row, "to"));
	else if (!strcmp(section, "total"))
		table_cell(&r->table, "files");
	else
		table_cell(&r->table, "%s",
			json_is_null(json_object_get(row, "name")) ? "(others)" : text_at(row, "name"));
	table_cell(&r->table, "%lld", number_at(row, "files"));
	table_cell(&r->table, "%s", text_size((uint64_t)number_at(row, "bytes"), size, sizeof size));
	table_cell(&r->table, "%s%s%s", text_at(row, "path"), *text_at(row, "path") ? ": " : "",
		*text_at(row, "text")	? text_at(row, "text")
		: *text_at(row, "kind") ? text_at(row, "kind")
					: text_at(row, "zone"));
}

/* ---- CSV (RFC 4180) ------------------------------------------------------------------------------------------- */

/* What a spreadsheet would take for a formula gets a quote before it; what a terminal would obey is made visible. */
static void csv_text(struct buf *out, const char *text)
{
	buf_str(out, *text && strchr("=+-@", *text) ? "\"'" : "\"");
	for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
		if (*s < ' ' || *s == 0x7f)
			buf_printf(out, "\\x%02x", *s);
		else
			buf_printf(out, *s == '"' ? "\"\"" : "%c", *s);
	}
	buf_str(out, "\"");
}

static void csv_field(struct buf *out, const json_t *value)
{
	if (out->len)
		buf_str(out, ",");
	if (json_is_string(value))
		csv_text(out, json_string_value(value));
	else if (json_is_integer(value))
		buf_printf(out, "%lld", (long long)json_integer_value(value));
}

static void csv_approvals(struct buf *out, const json_t *approvals, const char *key)
{
	struct buf list = BUF_INIT;
	json_t *one;
	size_t i;

	buf_str(&list, "");
	json_array_foreach(approvals, i, one) buf_printf(&list, "%s%s", i ? "; " : "", text_at(one, key));
	buf_str(out, ",");
	if (list.len)
		csv_text(out, (const char *)list.data);
	buf_free(&list);
}

static const char *const columns[] = { "section", "name", "files", "bytes", "kind", "zone", "from", "to", "rule",
	"time", "text", "ino", "direction", "path" };

static void csv_row(const json_t *row)
{
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
		csv_field(&out, json_object_get(row, columns[i]));
	csv_approvals(&out, json_object_get(row, "approvals"), "approver");
	csv_approvals(&out, json_object_get(row, "approvals"), "reason");
	buf_str(&out, "\r\n");
	fwrite(out.data, 1, out.len, stdout);
	buf_free(&out);
}

static void csv_head(void)
{
	for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
		printf("%s,", columns[i]);
	printf("approver,reason\r\n");
}

/* ---- the page ------------------------------------------------------------------------------------------------- */

static int keep_row(struct report *r, json_t *row)
{
	const char *section = text_at(row, "section");
	json_t *list = json_object_get(r->rows.sections, section);

	if (!list && json_object_set_new(r->rows.sections, section, list = json_array()) < 0)
		return -ENOMEM;
	if (!strcmp(section, "crossing") && ++r->rows.crossings > REPORT_CROSSINGS_MAX)
		json_array_remove(list, 0);
	return json_array_append(list, row) < 0 ? -ENOMEM : 0;
}

static int write_page(struct report *r, const char *file, const char *store)
{
	struct buf page = BUF_INIT;
	char made[64];
	time_t now = time(NULL);
	struct tm tm;
	int rc;

	strftime(made, sizeof made, "%Y-%m-%d %H:%M UTC", gmtime_r(&now, &tm));
	r->rows.made = made;
	r->rows.store = store;
	report_html(&page, &r->rows);
	rc = page.err ? page.err : file_replace(AT_FDCWD, file, page.data, page.len, 0600);
	buf_free(&page);
	if (rc == 0)
		return 0;
	complain("%s cannot be written: %s", file, err_text(rc));
	return OUTCOME_FAILED;
}

/* ---- the command ---------------------------------------------------------------------------------------------- */

static int take_row(void *ctx, json_t *row)
{
	struct report *r = ctx;

	name_owner(row);
	switch (r->form) {
	case FORM_JSON:
		print_json(row);
		return 0;
	case FORM_CSV:
		csv_row(row);
		return 0;
	case FORM_HTML:
		return keep_row(r, row);
	default:
		print_row(r, row);
		return 0;
	}
}

static int make(const struct cli_args *args, struct report *r, const struct cli_daemon *daemon)
{
	const char *file = args_value(args, "html");
	json_t *last = NULL;
	int rc;

	if (r->form == FORM_CSV)
		csv_head();
	rc = cli_ask(daemon, "report", NULL, -1, take_row, r, &last);
	if (r->form == FORM_TEXT)
		text_end(r);
	if (rc == 0 && file)
		rc = write_page(r, file, text_at(last, "store"));
	json_decref(last);
	return rc;
}

static int run(const struct cli_args *args)
{
	struct report r = { .table = TABLE_INIT(4), .rows.sections = json_object() };
	struct cli_daemon daemon;
	int rc;

	r.form = args_flag(args, "html")   ? FORM_HTML
		 : args_flag(args, "csv")  ? FORM_CSV
		 : args_flag(args, "json") ? FORM_JSON
					   : FORM_TEXT;
	if (args_flag(args, "html") + args_flag(args, "csv") + args_flag(args, "json") > 1) {
		complain("one of --html, --csv and --json, not more");
		rc = OUTCOME_USAGE;
	} else if ((rc = cli_daemon(args, &daemon)) == 0) {
		rc = make(args, &r, &daemon);
		cli_daemon_free(&daemon);
	}
	table_free(&r.table);
	json_decref(r.rows.sections);
	return rc;
}

static const struct cli_option options[] = {
	CLI_OPTION_CONFIG,
	CLI_OPTION_JSON,
	{ 0, "csv", NULL, "print the report for a spreadsheet", false },
	{ 'o', "html", "FILE", "write it as a page to this file", false },
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_report = {
	.name = "report",
	.operands = "",
	.summary = "Reports where all data is, what crossed a border and why, and what is not as it should be",
	.description =
		"Files and bytes by zone, country, backend, rule, tag, owner and month of the last change; every file\n"
		"that changed its zone, and on what ground; exceptions; what the audit log holds. The page needs "
		"nothing beside its file: no script, no network.",
	.options = options,
	.run = run,
};
