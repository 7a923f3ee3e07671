/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/text.h"
#include "fs/cli/commands.h"
#include "fs/cli/secrets.h"
#include "fs/control/control.h"

#include <stdio.h>
#include <stdlib.h>

static void print_dropped(const struct cli_args *args, const json_t *facts)
{
	uint64_t dropped = (uint64_t)number_at(facts, "bytes_dropped");
	uint64_t dirty = (uint64_t)number_at(facts, "bytes_dirty");
	char a[32], b[32];

	if (args_flag(args, "json")) {
		print_json(facts);
		return;
	}
	printf("%s dropped", text_size(dropped, a, sizeof a));
	if (dirty)
		printf("; %s stay, for they are on no backend yet: see `borderfs sync`", text_size(dirty, b, sizeof b));
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
