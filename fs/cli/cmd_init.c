/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/file.h"
#include "fs/cli/commands.h"
#include "fs/cli/secrets.h"
#include "fs/core/core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- the recovery words --------------------------------------------------------------------------------------- */

/* They must have a place to go before there is a store. *fd -1: the terminal. */
static int words_prepare(const char *file, int *fd)
{
	*fd = -1;
	if (!file && isatty(STDOUT_FILENO))
		return 0;
	if (!file) {
		complain("the recovery words are shown once, on a terminal: standard output is none; give --words-file "
			 "FILE to have them written to a new file that only you can read");
		return OUTCOME_USAGE;
	}
	*fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (*fd >= 0)
		return 0;
	complain("the recovery words cannot be written to %s: %s; name a file that does not exist yet", file,
		strerror(errno));
	return OUTCOME_FAILED;
}

static int words_write(int fd, const char *words)
{
	int rc = file_write_full(fd, words, strlen(words));

	if (rc == 0)
		rc = file_write_full(fd, "\n", 1);
	return rc == 0 && fsync(fd) < 0 ? -errno : rc;
}

static int words_give(int fd, const char *file, const char *words)
{
	int rc;

	if (fd < 0) {
		printf("The recovery words open the store as the passphrase does. They are shown this once: write "
		       "them\n"
		       "down and keep them apart from this machine.\n\n  %s\n\n",
			words);
		return fflush(stdout) == 0 ? 0 : OUTCOME_FAILED;
	}
	if ((rc = words_write(fd, words)) < 0) {
		complain("no store was made, since its recovery words could not be written to %s: %s; make room there, "
			 "and run init again",
			file, err_text(rc));
		unlink(file);
		return OUTCOME_FAILED;
	}
	printf("the recovery words are in %s: keep them apart from this machine\n", file);
	return 0;
}

/* ---- the backends --------------------------------------------------------------------------------------------- */

static void warn(const struct transfer_backend_status *b)
{
	const char *message = *b->status.last_message ? b->status.last_message : err_text(b->status.last_error);

	/* most sentences name their backend */
	if (strstr(message, b->name))
		complain("warning: %s", message);
	else
		complain("warning: backend '%s': %s", b->name, message);
}

/* Warnings only: the store is made, and what is wrong can be put right before or after it is mounted. */
static void report(struct core *core)
{
	struct transfer_status status;
	struct errmsg msg = { 0 };
	int rc = transfer_probe(core_transfer(core), &msg), named = 0;

	if (rc == 0 || transfer_status(core_transfer(core), &status) < 0) {
		errmsg_free(&msg);
		return;
	}
	for (size_t i = 0; i < status.backend_count; i++) {
		if (!status.backends[i].status.last_error)
			continue;
		warn(&status.backends[i]);
		named++;
	}
	if (!named)
		complain("warning: %s", errmsg_text(&msg, rc));
	transfer_status_free(&status);
	errmsg_free(&msg);
}

static int probe(struct config *config, const struct secrets *secrets)
{
	struct errmsg msg = { 0 };
	struct keyring *keyring = NULL;
	struct core *core = NULL;
	int rc = secrets_unlock(secrets, config, &keyring, &msg);

	if (rc == 0)
		rc = core_open(&core, config, keyring, &msg);
	if (rc == 0) {
		report(core);
		core_stop(core);
	}
	core_close(core);
	return rc < 0 ? complain_rc(rc, &msg) : 0;
}

/* ---- the command ---------------------------------------------------------------------------------------------- */

static int kdf_cost(const struct cli_args *args, enum kdf_cost *cost)
{
	const char *given = args_value(args, "kdf");

	*cost = given && !strcmp(given, "minimum") ? KDF_MINIMUM : KDF_MODERATE;
	if (!given || !strcmp(given, "minimum") || !strcmp(given, "moderate"))
		return 0;
	complain("--kdf is minimum or moderate, not \"%s\"", given);
	return OUTCOME_USAGE;
}

static int create(struct config *config, const struct secrets *secrets, enum kdf_cost cost, int fd, const char *file)
{
	struct errmsg msg = { 0 };
	char *words = NULL;
	int rc = core_create(config, secrets->v, secrets->count, cost, geteuid(), getegid(), &words, &msg);

	if (rc < 0) {
		if (fd >= 0)
			unlink(file);
		return complain_rc(rc, &msg);
	}
	errmsg_free(&msg);
	rc = words_give(fd, file, words);
	secret_free_text(words);
	if (rc == 0 && (rc = core_created(config, &msg)) < 0)
		return complain_rc(rc, &msg);
	return rc;
}

static int init_config(const struct cli_args *args, struct config *config)
{
	const char *file = args_value(args, "words-file");
	struct secrets secrets = { 0 };
	enum kdf_cost cost;
	int fd = -1, rc = kdf_cost(args, &cost);

	if (rc || (rc = secrets_to_create(&secrets, args, config)) || (rc = words_prepare(file, &fd)))
		goto out;
	if ((rc = create(config, &secrets, cost, fd, file)))
		goto out;
	printf("the store of \"%s\" is made at %s: mount it with `borderfs mount -c %s DIRECTORY`\n", config->name,
		config->store, config->file);
	fflush(stdout);
	if (!args_flag(args, "offline"))
		rc = probe(config, &secrets);
out:
	if (fd >= 0)
		close(fd);
	secrets_free(&secrets);
	return rc;
}

static int run(const struct cli_args *args)
{
	struct config *config = NULL;
	int rc = cli_config(args, true, &config);

	if (rc == 0)
		rc = init_config(args, config);
	config_put(config);
	return rc;
}

static const struct cli_option options[] = {
	CLI_OPTION_CONFIG,
	CLI_OPTION_PASSPHRASE,
	{ 'w', "words-file", "FILE", "write the recovery words to this new file, not to the terminal", false },
	{ 0, "kdf", "minimum|moderate", "what a guess at the passphrase costs: 64 or 256 MiB of memory", false },
	{ 0, "offline", NULL, "do not ask the backends whether they are there", false },
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_init = {
	.name = "init",
	.operands = "",
	.summary = "Makes the store and its keys, and shows the recovery words once",
	.description =
		"The passphrase is asked twice on the terminal, unless passphrase-file or key-file is set in [keys];\n"
		"where both are set, either opens the store. Afterwards each backend is asked whether it is there and\n"
		"accepts its credentials; what is wrong with one is a warning.",
	.options = options,
	.run = run,
};
