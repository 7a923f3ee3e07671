/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/cli.h"

#include "fs/cli/commands.h"
#include "fs/crypt/seal.h"

#include <errno.h>
#include <libgen.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const struct cli_command *const cli_commands[] = {
	&cmd_init,
	&cmd_mount,
	&cmd_umount,
	&cmd_status,
	&cmd_sync,
	&cmd_where,
	&cmd_explain,
	&cmd_tag_add,
	&cmd_tag_rm,
	&cmd_tag_ls,
	&cmd_rules_check,
	&cmd_rules_list,
	&cmd_rules_test,
	&cmd_rules_plan,
	&cmd_reload,
	&cmd_move,
	&cmd_drain,
	&cmd_report,
	&cmd_audit_show,
	&cmd_audit_verify,
	&cmd_audit_key,
	&cmd_audit_receipt,
	&cmd_cache_show,
	&cmd_cache_pin,
	&cmd_cache_unpin,
	&cmd_cache_drop,
	&cmd_export_list,
	&cmd_export_approve,
	&cmd_export_deny,
	&cmd_export_withdraw,
	&cmd_help,
	&cmd_version,
	NULL,
};

/* how many words of argv name the command: 0 where they name another */
static int words_of(const struct cli_command *c, int argc, char **argv)
{
	const char *space = strchr(c->name, ' ');

	if (!space)
		return argc > 1 && !strcmp(argv[1], c->name) ? 1 : 0;
	if (argc < 3 || strlen(argv[1]) != (size_t)(space - c->name) || strncmp(argv[1], c->name, strlen(argv[1])) != 0)
		return 0;
	return !strcmp(argv[2], space + 1) ? 2 : 0;
}

static const struct cli_command *find_command(int argc, char **argv, int *words)
{
	for (const struct cli_command *const *c = cli_commands; *c; c++)
		if ((*words = words_of(*c, argc, argv)))
			return *c;
	return NULL;
}

static int run_command(const struct cli_command *c, int argc, char **argv)
{
	struct cli_args args;
	struct buf help = BUF_INIT;
	int rc = args_parse(&args, c, argc, argv);

	if (rc == 0 && args_flag(&args, "help")) {
		args_help(c, &help);
		fwrite(help.data, 1, help.len, stdout);
		buf_free(&help);
	} else if (rc == 0) {
		rc = c->run(&args);
	}
	args_free(&args);
	return rc;
}

static bool is_first_word(const char *word)
{
	size_t len = strlen(word);

	for (const struct cli_command *const *c = cli_commands; *c; c++)
		if (!strncmp((*c)->name, word, len) && (*c)->name[len] == ' ')
			return true;
	return false;
}

/* The first word is known, the second is not: `borderfs rules`, `borderfs rules chek`, `borderfs rules -c FILE check`.
 */
static int no_second_word(int argc, char **argv)
{
	char *help[] = { argv[0], argv[1], NULL };

	if (argc > 2 && (!strcmp(argv[2], "--help") || !strcmp(argv[2], "-h")))
		return run_command(&cmd_help, 2, help);
	if (argc > 2 && argv[2][0] == '-')
		complain("%s %s: options stand after both words of a command: see `borderfs %s --help`", argv[1],
			argv[2], argv[1]);
	else if (argc > 2)
		complain("there is no command \"%s %s\": see `borderfs %s --help`", argv[1], argv[2], argv[1]);
	else
		complain("%s: which one? See `borderfs %s --help`", argv[1], argv[1]);
	return OUTCOME_USAGE;
}

/* `borderfs`, `borderfs nonsense`, `borderfs --help` */
static int no_command(int argc, char **argv)
{
	char *help[] = { argv[0], argc > 1 && argv[1][0] != '-' ? argv[1] : NULL, NULL };

	if (argc > 1 && !strcmp(argv[1], "--version"))
		return run_command(&cmd_version, 1, argv);
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return run_command(&cmd_help, 1, argv);
	if (argc > 1 && argv[1][0] == '-') {
		complain("an option stands after its command: see `borderfs help`");
		return OUTCOME_USAGE;
	}
	if (argc > 1 && is_first_word(argv[1]))
		return no_second_word(argc, argv);
	run_command(&cmd_help, help[1] ? 2 : 1, help);
	return OUTCOME_USAGE;
}

/* mount.fuse runs `borderfs SOURCE DIRECTORY -o OPTIONS`: a directory's absolute name stands where no command has it.
 */
static bool as_helper(int argc, char **argv)
{
	struct stat st;

	if (!strncmp(basename(argv[0]), "mount.fuse", 10))
		return true;
	if (argc < 3 || argv[1][0] == '-' || argv[2][0] != '/')
		return false;
	return stat(argv[2], &st) < 0 ? errno == ENOTCONN : S_ISDIR(st.st_mode);
}

int cli_main(int argc, char **argv)
{
	const struct cli_command *command;
	int words, rc;

	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);
	if ((rc = crypt_init()) < 0) {
		complain("libsodium cannot be initialised: %s", err_text(rc));
		return OUTCOME_FAILED;
	}
	command = find_command(argc, argv, &words);
	if (command)
		rc = run_command(command, argc - words, argv + words);
	else if (as_helper(argc, argv))
		rc = mount_helper(argc, argv);
	else
		rc = no_command(argc, argv);
	errno = 0;
	if (fflush(stdout) != 0 || ferror(stdout)) {
		/* an earlier write's error is not kept */
		complain("standard output cannot be written%s%s", errno ? ": " : "", errno ? strerror(errno) : "");
		return rc ? rc : OUTCOME_FAILED;
	}
	return rc;
}
