/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/log.h"
#include "fs/cli/background.h"
#include "fs/cli/commands.h"
#include "fs/cli/mount_options.h"
#include "fs/cli/mounts.h"
#include "fs/cli/secrets.h"
#include "fs/cli/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where what is logged goes once the mount is up; what is said before goes to who started it. */
struct logging {
	int fd; /* of --log, or -1 */
	bool background;
	enum log_level level;
	struct background child;
};

static int open_log(const char *file, struct logging *l)
{
	l->fd = file ? open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600) : -1;
	if (!file || l->fd >= 0)
		return 0;
	complain("the log %s cannot be opened: %s", file, strerror(errno));
	return OUTCOME_FAILED;
}

static void start_log(struct logging *l)
{
	log_init(l->level, l->background);
	if (l->fd >= 0)
		log_to(l->fd);
}

static void ready(void *ctx)
{
	struct logging *l = ctx;

	if (l->background)
		background_ready(&l->child);
}

/* In the child, or in the foreground: the daemon itself. Secrets are read here, for memory stays locked in the process
 * that locked it. */
static int run_daemon(const struct cli_args *args, struct serve_options *o, struct logging *l)
{
	struct errmsg msg = { 0 };
	struct secrets secrets;
	int rc = secrets_to_open(&secrets, args, o->config);

	if (rc == 0) {
		umask(077); /* whatever the daemon makes is its owner's */
		start_log(l);
		o->secrets = &secrets;
		rc = serve(o, &msg);
		if (rc < 0 && l->background && l->child.pipe < 0)
			log_error("%s", errmsg_text(&msg, rc)); /* whoever started it has gone */
		else if (rc < 0)
			complain("%s", errmsg_text(&msg, rc));
		rc = outcome_of(rc);
	}
	secrets_free(&secrets);
	errmsg_free(&msg);
	return rc;
}

static int check_directory(const struct config *config, const char *directory)
{
	struct errmsg msg = { 0 };
	int rc = config_check_mountpoint(config, directory, &msg);

	return rc < 0 ? complain_rc(rc, &msg) : 0;
}

static int mount_config(
	const struct cli_args *args, struct config *config, const char *directory, const struct mount_options *m)
{
	struct logging l = {
		.background = !m->foreground, .level = m->debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, .child = { -1 }
	};
	struct serve_options o = { .config = config,
		.front = { .fsname = config->file,
			.allow_other = m->allow_other,
			.read_only = m->read_only,
			.check_permissions = m->check_permissions,
			.extra = m->extra },
		.atime = m->atime,
		.nodiratime = m->nodiratime,
		.ready = ready,
		.ctx = &l };
	char *absolute = path_absolute(directory);
	int rc = absolute ? check_directory(config, absolute) : OUTCOME_FAILED;

	if (rc == 0)
		rc = open_log(m->log, &l);
	o.front.mountpoint = absolute;
	if (rc == 0 && mounts_detach_dead(absolute) < 0)
		complain("%s holds a dead mount that cannot be detached: unmount it with `fusermount3 -uz`", absolute);
	if (rc == 0)
		rc = l.background ? background_fork(&l.child) : -1;
	if (rc < 0)
		rc = run_daemon(args, &o, &l);
	if (l.fd >= 0)
		close(l.fd);
	free(absolute);
	return rc;
}

static char *replaced(char *old, const char *text)
{
	free(old);
	return strdup(text);
}

static int run(const struct cli_args *args)
{
	struct mount_options m = { 0 };
	struct config *config = NULL;
	int rc = cli_config(args, true, &config);

	if (rc == 0 && mount_options_parse(&m, args_value(args, "options")) < 0)
		rc = OUTCOME_FAILED;
	if (rc == 0) {
		m.foreground |= args_flag(args, "foreground");
		m.debug |= args_flag(args, "debug");
		if (args_flag(args, "log"))
			m.log = replaced(m.log, args_value(args, "log"));
		rc = mount_config(args, config, args->operands[0], &m);
	}
	mount_options_free(&m);
	config_put(config);
	return rc;
}

static const struct cli_option options[] = {
	CLI_OPTION_CONFIG,
	{ 'f', "foreground", NULL, "stay in the foreground and log to standard error", false },
	{ 'o', "options", "OPTIONS", "mount options, comma-separated: allow_other, ro, noexec...", true },
	CLI_OPTION_PASSPHRASE,
	CLI_OPTION_WORDS,
	{ 'l', "log", "FILE", "append the log to a file rather than to syslog", false },
	{ 0, "debug", NULL, "log more, file names included", false },
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_mount = {
	.name = "mount",
	.operands = "DIRECTORY",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "Mounts a store on a directory",
	.description =
		"Returns when the mount is there; a daemon serves it until it is unmounted or gets SIGTERM. SIGHUP\n"
		"makes it reload its configuration. The network is not needed. A dead mount on the directory is\n"
		"replaced. Also: mount -t fuse.borderfs FILE|NAME DIRECTORY [-o OPTIONS], and so in fstab; there the\n"
		"options log=FILE, passphrase-file=FILE and debug may stand among the others.",
	.options = options,
	.run = run,
};

/* ---- mount(8) ------------------------------------------------------------------------------------------------- */

static const struct cli_option helper_options[] = {
	{ 'o', "options", "OPTIONS", "mount options", true },
	{ 's', "sloppy", NULL, "ignored", false },
	{ 'f', "fake", NULL, "check, but do not mount", false },
	{ 'n', "no-mtab", NULL, "ignored", false },
	{ 'v', "verbose", NULL, "ignored", false },
	{ 'N', "namespace", "NAMESPACE", "ignored", false },
	{ 't', "types", "TYPE", "ignored", false },
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

/* mount(8) says `dev` and `suid` by saying nothing, libfuse takes nothing for their opposites. A user has no choice. */
static char *helper_options_of(const char *given)
{
	char *text;

	return asprintf(&text, "%s%s", geteuid() == 0 ? "dev,suid," : "", given) < 0 ? NULL : text;
}

/* mount(8) leaves also this to us. It does not concern the daemon. */
static int remount(const char *directory, unsigned long flags)
{
	if (mount("none", directory, NULL, flags, NULL) == 0)
		return 0;
	complain("%s cannot be remounted: %s", directory, strerror(errno));
	return OUTCOME_FAILED;
}

/* The same as `borderfs mount -c SOURCE DIRECTORY -o OPTIONS`. */
static int run_helper(const struct cli_args *helper)
{
	struct mount_options m = { 0 };
	char *argv[8] = { (char *)"borderfs", (char *)"-c", helper->operands[0], helper->operands[1] };
	const char *given = args_value(helper, "options");
	char *text;
	struct cli_args args;
	unsigned long flags;
	int argc = 4, rc;

	if (given && mount_options_remount(given, &flags))
		return remount(helper->operands[1], flags);
	text = helper_options_of(given ? given : "");
	if (!text || mount_options_parse(&m, given) < 0) {
		free(text);
		return OUTCOME_FAILED;
	}
	argv[argc++] = (char *)"-o";
	argv[argc++] = text;
	if (m.passphrase_file) {
		argv[argc++] = (char *)"-p";
		argv[argc++] = m.passphrase_file;
	}
	rc = args_parse(&args, &cmd_mount, argc, argv);
	if (rc == 0 && !args_flag(helper, "fake"))
		rc = run(&args);
	args_free(&args);
	mount_options_free(&m);
	free(text);
	return rc;
}

int mount_helper(int argc, char **argv)
{
	static const struct cli_command helper = {
		.name = "mount.fuse.borderfs",
		.operands = "FILE|NAME DIRECTORY",
		.operands_min = 2,
		.operands_max = 2,
		.summary = "Mounts a store, for mount(8)",
		.options = helper_options,
	};
	struct cli_args args;
	int rc = args_parse(&args, &helper, argc, argv);

	if (rc == 0)
		rc = run_helper(&args);
	args_free(&args);
	return rc;
}
