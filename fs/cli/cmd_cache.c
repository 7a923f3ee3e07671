/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/text.h"
#include "fs/cli/commands.h"
#include "fs/cli/secrets.h"
#include "fs/cli/target.h"
#include "fs/control/control.h"
#include "fs/control/facts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_dropped(const struct cli_args *args, const json_t *facts)
{
	uint64_t dropped = (uint64_t)number_at(facts, "bytes_dropped");
	uint64_t dirty = (uint64_t)number_at(facts, "bytes_dirty");
	uint64_t pinned = (uint64_t)number_at(facts, "bytes_pinned");
	char a[32], b[32];

	if (args_flag(args, "json")) {
		print_json(facts);
		return;
	}
	printf("%s dropped", text_size(dropped, a, sizeof a));
	if (dirty)
		printf("; %s stay, for they are on no backend yet: see `borderfs sync`", text_size(dirty, b, sizeof b));
	if (pinned)
		printf("; %s stay, for they are pinned", text_size(pinned, b, sizeof b));
	printf("\n");
}

static int drop_mounted(const struct cli_args *args, const struct cli_daemon *d)
{
	json_t *facts = NULL;
	int rc = cli_ask(d, "cache-drop", NULL, -1, NULL, NULL, &facts);

	if (rc == 0) {
		json_object_del(facts, "done");
		json_object_del(facts, "status");
		print_dropped(args, facts);
	}
	json_decref(facts);
	return rc;
}

/* The store is opened as a mount opens it, without one, and without asking any backend. */
static int drop_unmounted(const struct cli_args *args, struct config *config)
{
	struct errmsg msg = { 0 };
	struct keyring *keyring = NULL;
	struct core *core = NULL;
	struct secrets secrets;
	json_t *facts = json_object();
	int rc = secrets_to_open(&secrets, args, config);

	if (rc)
		goto out;
	if ((rc = secrets_unlock(&secrets, config, &keyring, &msg)) == 0 &&
		(rc = core_open(&core, config, keyring, &msg)) == 0)
		rc = control_cache_drop(core, facts);
	if (core)
		core_stop(core);
	core_close(core);
	if (rc < 0)
		rc = complain_rc(rc, &msg);
	else
		print_dropped(args, facts);
out:
	json_decref(facts);
	secrets_free(&secrets);
	return rc;
}

static int run(const struct cli_args *args)
{
	struct cli_daemon daemon;
	struct config *config;
	int rc = cli_daemon(args, &daemon);

	if (rc)
		return rc;
	if (control_pid(daemon.store)) {
		rc = drop_mounted(args, &daemon);
	} else if ((rc = cli_config_file(daemon.config_file, false, &config)) == 0) {
		rc = drop_unmounted(args, config);
		config_put(config);
	}
	cli_daemon_free(&daemon);
	return rc;
}

static const struct cli_option options[] = {
	CLI_OPTION_CONFIG,
	CLI_OPTION_JSON,
	CLI_OPTION_PASSPHRASE,
	CLI_OPTION_WORDS,
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_cache_drop = {
	.name = "cache drop",
	.operands = "",
	.summary = "Deletes the local copies of everything that is on its backends",
	.description = "Works through the daemon where the store is mounted, and opens it where it is not.",
	.options = options,
	.run = run,
};

/* ---- pins ----------------------------------------------------------------------------------------------------------
 */

static json_t *pin_request(const struct cli_args *args, const struct target *t)
{
	(void)t;
	return json_pack("{s:b}", "pin", args->command == &cmd_cache_pin);
}

static int print_pinned(void *ctx, json_t *line)
{
	const struct target_answer *answer = ctx;
	const struct cli_args *args = answer->ctx;
	uint64_t files = (uint64_t)number_at(line, "files");
	char size[32];

	if (args_flag(args, "json")) {
		if (facts_set_bytes(line, "path", answer->path, strlen(answer->path)) < 0)
			return -ENOMEM;
		print_json(line);
		return 0;
	}
	print_text(answer->path, strlen(answer->path));
	printf(": %llu file%s %s, %s\n", (unsigned long long)files, files == 1 ? "" : "s",
		args->command == &cmd_cache_pin ? "pinned" : "unpinned",
		text_size((uint64_t)number_at(line, "bytes"), size, sizeof size));
	return 0;
}

static int run_pin(const struct cli_args *args)
{
	return target_ask(args, "cache-pin", pin_request, print_pinned, (void *)args);
}

static int print_cache(void *ctx, json_t *line)
{
	static const struct {
		const char *name, *key;
	} rows[] = {
		{ "bound", "bytes_max" },
		{ "used", "bytes" },
		{ "on no backend yet", "bytes_dirty" },
		{ "pinned", "bytes_pinned" },
		{ "pinned at most", "pins_max" },
	};
	const struct cli_args *args = ctx;
	struct table t = TABLE_INIT(2);
	char size[32];

	if (args_flag(args, "json")) {
		print_json(line);
		return 0;
	}
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		table_cell(&t, "%s", rows[i].name);
		table_cell(&t, "%s", text_size((uint64_t)number_at(line, rows[i].key), size, sizeof size));
	}
	table_print(&t, "");
	return 0;
}

static int run_show(const struct cli_args *args)
{
	struct cli_daemon daemon;
	int rc = cli_daemon(args, &daemon);

	if (rc)
		return rc;
	rc = cli_ask(&daemon, "cache-show", NULL, -1, print_cache, (void *)args, NULL);
	cli_daemon_free(&daemon);
	return rc;
}

static const struct cli_option asking_options[] = {
	CLI_OPTION_CONFIG,
	CLI_OPTION_JSON,
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_cache_show = {
	.name = "cache show",
	.operands = "",
	.summary = "Shows what the cache holds, and how much of it is pinned",
	.options = asking_options,
	.run = run_show,
};

const struct cli_command cmd_cache_pin = {
	.name = "cache pin",
	.operands = "PATH...",
	.operands_min = 1,
	.operands_max = -1,
	.summary = "Keeps the local copies of files in the cache",
	.description = "What is here of the files, or comes here when they are read or written, is not evicted any "
		       "more. Of a\n"
		       "directory these are the files below it now. Pinned files get half of the cache at most.",
	.options = asking_options,
	.run = run_pin,
};

const struct cli_command cmd_cache_unpin = {
	.name = "cache unpin",
	.operands = "PATH...",
	.operands_min = 1,
	.operands_max = -1,
	.summary = "Lets the local copies of files go again",
	.description = "Undoes `cache pin`. What a rule pins (pin = yes) stays as long as the rule places it.",
	.options = asking_options,
	.run = run_pin,
};
