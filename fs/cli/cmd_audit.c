/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "base/text.h"
#include "fs/cli/commands.h"
#include "fs/cli/secrets.h"
#include "fs/cli/target.h"
#include "fs/control/auditor.h"
#include "fs/control/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct printer {
	bool json;
};

/* ---- where the log is ----------------------------------------------------------------------------------------- */

/* What to ask of a store that nobody has mounted. */
struct offline {
	int (*run)(const struct audit_log *, const struct offline *, json_t *last, struct errmsg *);
	const json_t *query;
	const struct config *config; /* set when it is run */
	int (*print)(void *ctx, json_t *);
	struct printer *printer;
};

static int print_own(void *ctx, json_t *line)
{
	const struct offline *o = ctx;
	int rc = o->print(o->printer, line);

	json_decref(line);
	return rc;
}

static int show_offline(const struct audit_log *log, const struct offline *o, json_t *last, struct errmsg *msg)
{
	(void)last;
	return auditor_show(log, o->query, print_own, (void *)o, msg);
}

static int verify_offline(const struct audit_log *log, const struct offline *o, json_t *last, struct errmsg *msg)
{
	struct audit_heads seen;
	struct audit_head head;
	int rc = transfer_look_head(log->meta, log->keyring, o->config, &head, &seen);

	if (rc < 0 && rc != -ERR_UNREACHABLE)
		return rc;
	return auditor_verify(log, &head, &seen, print_own, (void *)o, last, msg);
}

static int look(const struct cli_args *args, struct config *config, struct offline *o, json_t *last)
{
	struct core_look store = { .lock_fd = -1 };
	struct keyring *keyring = NULL;
	struct errmsg msg = { 0 };
	struct secrets secrets;
	int rc = secrets_to_open(&secrets, args, config);

	if (rc)
		return rc;
	o->config = config;
	if ((rc = secrets_unlock(&secrets, config, &keyring, &msg)) == 0 &&
		(rc = core_look(&store, config, keyring, &msg)) == 0) {
		struct audit_log log = { store.meta, store.keyring };

		rc = o->run(&log, o, last, &msg);
	}
	core_look_close(&store);
	secrets_free(&secrets);
	if (rc < 0)
		return complain_rc(rc, &msg);
	errmsg_free(&msg);
	return 0;
}

/* Asks the daemon where the store is mounted, and opens it where it is not. last receives what ends the answer. */
static int ask(const struct cli_args *args, const char *op, struct offline *o, json_t **last)
{
	struct cli_daemon daemon;
	struct config *config;
	int rc = cli_daemon(args, &daemon);

	if (rc)
		return rc;
	if (control_pid(daemon.store)) {
		rc = cli_ask(&daemon, op, json_deep_copy(o->query), -1, o->print, o->printer, last);
	} else if ((rc = cli_config_file(daemon.config_file, false, &config)) == 0) {
		*last = json_object();
		rc = *last ? look(args, config, o, *last) : OUTCOME_FAILED;
		config_put(config);
	}
	cli_daemon_free(&daemon);
	return rc;
}

/* ---- show ----------------------------------------------------------------------------------------------------- */

static void print_fact(const char *key, const json_t *value, const json_t *names)
{
	const json_t *name = json_object_get(names, key);
	char *text = json_dumps(name ? name : value, JSON_COMPACT | JSON_ENCODE_ANY);
	const char *string = json_string_value(name ? name : value);

	printf(" %s=", key);
	if (string)
		print_text(string, strlen(string));
	else
		print_text(text ? text : "?", text ? strlen(text) : 1);
	free(text);
}

static int print_line(void *ctx, json_t *line)
{
	const struct printer *p = ctx;
	const char *time = json_string_value(json_object_get(line, "time")), *key;
	const char *kind = json_string_value(json_object_get(line, "kind"));
	const char *path = json_string_value(json_object_get(line, "path"));
	json_t *value;

	if (p->json) {
		print_json(line);
		return 0;
	}
	printf("%8lld  %.19sZ  %-9s ", number_at(line, "seq"), time ? time : "-", kind ? kind : "?");
	if (path) {
		printf(" ");
		print_text(path, strlen(path));
	}
	if (json_is_null(json_object_get(line, "facts")))
		printf(" (not as it was written: see `borderfs audit verify`)");
	json_object_foreach(json_object_get(line, "facts"), key, value)
		print_fact(key, value, json_object_get(line, "names"));
	printf("\n");
	return 0;
}

/* A moment in UTC, or how long ago. */
static int parse_when(const char *text, int64_t *ns)
{
	int64_t ago;

	if (text_parse_utc(text, ns) == 0)
		return 0;
	if (text_parse_duration(text, &ago) < 0)
		return -1;
	*ns = clock_real_ns() - ago;
	return 0;
}

static int add_when(const struct cli_args *args, const char *option, const char *key, json_t *query)
{
	const char *text = args_value(args, option);
	int64_t ns;

	if (!text)
		return 0;
	if (parse_when(text, &ns) < 0) {
		complain("--%s is a moment in UTC, 2026-11-30 or 2026-11-30T12:00, or how long ago, 30d, not \"%s\"",
			option, text);
		return OUTCOME_USAGE;
	}
	return json_object_set_new(query, key, json_integer(ns)) < 0 ? OUTCOME_FAILED : 0;
}

static int add_inode(const struct cli_args *args, json_t *query)
{
	const char *text = args_value(args, "inode");
	char *end;
	long long ino;

	if (!text)
		return 0;
	errno = 0;
	ino = strtoll(text, &end, 10);
	if (errno || *end || ino <= 0 || args->operand_count) {
		complain(
			"--inode is the number of a file, as `stat -c %%i` has it, in place of PATH, not \"%s\"", text);
		return OUTCOME_USAGE;
	}
	return json_object_set_new(query, "ino", json_integer(ino)) < 0 ? OUTCOME_FAILED : 0;
}

static int make_query(const struct cli_args *args, json_t *query)
{
	const char *kind = args_value(args, "kind");
	int rc;

	if (kind && !audit_kind(kind)) {
		complain("there are no lines of kind \"%s\": see `borderfs audit show --help`", kind);
		return OUTCOME_USAGE;
	}
	if (kind && json_object_set_new(query, "kind", json_string(kind)) < 0)
		return OUTCOME_FAILED;
	if ((rc = add_inode(args, query)))
		return rc;
	rc = add_when(args, "since", "since_ns", query);
	return rc ? rc : add_when(args, "until", "until_ns", query);
}

static int show_path(const struct cli_args *args, const json_t *query, struct printer *printer)
{
	struct target t = TARGET_INIT;
	int rc = target_open(&t, args, args->operands[0]);

	if (rc == 0)
		rc = cli_ask(&t.daemon, "audit-show-path", json_deep_copy(query), t.fd, print_line, printer, NULL);
	target_close(&t);
	return rc;
}

static int show(const struct cli_args *args)
{
	struct printer printer = { args_flag(args, "json") };
	json_t *query = json_object(), *last = NULL;
	struct offline offline = { show_offline, query, NULL, print_line, &printer };
	int rc = query ? make_query(args, query) : OUTCOME_FAILED;

	if (rc == 0 && args->operand_count)
		rc = show_path(args, query, &printer);
	else if (rc == 0)
		rc = ask(args, "audit-show", &offline, &last);
	json_decref(last);
	json_decref(query);
	return rc;
}

/* ---- verify --------------------------------------------------------------------------------------------------- */

static int print_finding(void *ctx, json_t *line)
{
	const struct printer *p = ctx;
	const char *text = json_string_value(json_object_get(line, "text"));

	if (p->json)
		print_json(line);
	else
		printf("%s\n", text ? text : "?");
	return 0;
}

static void print_head(const json_t *last)
{
	const json_t *head = json_object_get(last, "head");
	const char *unasked = text_at(last, "unasked");
	const char *time = json_string_value(json_object_get(head, "time"));
	long long bad = number_at(last, "bad_heads"), published = number_at(last, "published");

	if (bad)
		printf("in the place of published heads there are objects that are none of this store: %lld\n", bad);
	if (time)
		printf("it leads to the newest head that was published: line %lld, %.19sZ\n", number_at(head, "line"),
			time);
	else if (!number_at(last, "asked"))
		printf("not compared with published heads: no backend of the home zone answered\n");
	else if (!published)
		printf("no head was published yet: that happens once an hour, and at the end of each mount\n");
	if (number_at(last, "asked") && published > number_at(head, "line"))
		printf("HEAD GONE: the store published a head of line %lld, and no backend of the home zone that "
		       "answered "
		       "has it: it was removed there, or the backend that had it is no longer configured\n",
			published);
	if (*unasked) {
		printf("not asked: ");
		print_text_line(unasked, strlen(unasked));
	}
}

static void print_verdict(const struct printer *p, json_t *last)
{
	static const char *const own[] = { "done", "status", "message", "error" };
	const char *time = json_string_value(json_object_get(last, "time"));
	const char *mac = json_string_value(json_object_get(last, "mac"));

	if (!json_object_get(last, "lines"))
		return;
	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		json_object_del(last, own[i]);
	if (p->json)
		print_json(last);
	if (p->json || number_at(last, "findings"))
		return;
	printf("the audit log holds: %lld lines, the last of %.19sZ, mac %.16s\n", number_at(last, "lines"),
		time ? time : "-", mac ? mac : "-");
	print_head(last);
}

static int verify(const struct cli_args *args)
{
	struct printer printer = { args_flag(args, "json") };
	struct offline offline = { verify_offline, NULL, NULL, print_finding, &printer };
	json_t *last = NULL;
	int rc = ask(args, "audit-verify", &offline, &last);

	print_verdict(&printer, last);
	json_decref(last);
	return rc;
}

/* ---- the commands --------------------------------------------------------------------------------------------- */

static const struct cli_option show_options[] = {
	CLI_OPTION_CONFIG,
	CLI_OPTION_JSON,
	{ 's', "since", "T", "lines from T on: a moment in UTC (2026-11-30, 2026-11-30T12:00), or how long ago (30d)",
		false },
	{ 'u', "until", "T", "lines up to T", false },
	{ 'k', "kind", "KIND", "lines of one kind", false },
	{ 'i', "inode", "N", "lines of the file with this number, which may be deleted", false },
	CLI_OPTION_PASSPHRASE,
	CLI_OPTION_WORDS,
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_audit_show = {
	.name = "audit show",
	.operands = "[PATH]",
	.operands_max = 1,
	.summary = "Shows the audit log, or the lines of one file",
	.description =
		"KIND is placement, export, transfer, revoked, deleted, rules, lost, tampered, restored, connection,\n"
		"key, tags, approval, limit or move. A line names its file by number; the path shown is what it\n"
		"is called now. Numbers are never used again: --inode finds what became of a deleted file.\n"
		"Works through the daemon where the store is mounted, and opens it where it is not; PATH needs\n"
		"the mount.",
	.options = show_options,
	.run = show,
};

static const struct cli_option verify_options[] = {
	CLI_OPTION_CONFIG,
	CLI_OPTION_JSON,
	CLI_OPTION_PASSPHRASE,
	CLI_OPTION_WORDS,
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_audit_verify = {
	.name = "audit verify",
	.operands = "",
	.summary = "Checks that no line of the audit log was removed, moved or edited, and that its end is there",
	.description = "Says of each line that does not hold where it is, and exits with status 1. Works through the\n"
		       "daemon where the store is mounted, and opens it where it is not. Compares the log with the\n"
		       "newest signed head that a backend of the home zone has, where one answers.",
	.options = verify_options,
	.run = verify,
};
