/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/file.h"
#include "fs/cli/commands.h"
#include "fs/cli/mounts.h"
#include "fs/cli/sync.h"
#include "fs/control/control.h"

#include <errno.h>
#include <poll.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- the mount ------------------------------------------------------------------------------------------------ */

static int run_fusermount(const char *directory, bool lazy)
{
	const char *argv[] = { "fusermount3", lazy ? "-uzq" : "-uq", "--", directory, NULL };
	int status, rc;
	pid_t pid;

	if ((rc = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ)) != 0)
		return -rc;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

static int unmount(const char *directory, bool lazy)
{
	if (umount2(directory, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
		return 0;
	return errno == EPERM ? run_fusermount(directory, lazy) : -errno;
}

/* ---- the daemon ----------------------------------------------------------------------------------------------- */

struct ending {
	const char *directory;
	bool lazy;
	struct errmsg *msg;
};

/* The daemon has noted that somebody waits for its end: now the mount may go. Lazily, the daemon does that itself. */
static int on_noted(void *ctx, json_t *line)
{
	struct ending *e = ctx;
	int rc = e->lazy ? 0 : unmount(e->directory, false);

	(void)line;
	if (rc == -EBUSY)
		return errmsg_set(e->msg, rc,
			"%s is in use: `fuser -vm %s` shows by whom; close it, or detach it with `borderfs umount "
			"--lazy %s`",
			e->directory, e->directory, e->directory);
	return rc < 0 ? errmsg_set(e->msg, rc, "%s cannot be unmounted: %s", e->directory, err_text(rc)) : 0;
}

static void wait_for_process(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
}

/* Returns when the process is gone: the store can be mounted again, and its disk taken away. */
static int end_daemon(const struct cli_daemon *d, pid_t pid, const char *directory, bool lazy)
{
	const struct control_at at = { d->config_file, d->store };
	struct errmsg msg = { 0 };
	struct ending e = { directory, lazy, &msg };
	int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	json_t *last = NULL;
	int rc = control_ask(&at, "umount", json_pack("{s:b}", "lazy", lazy), -1, on_noted, &e, &last, &msg);

	rc = cli_verdict(rc, last, &msg);
	json_decref(last);
	if (pidfd >= 0 && rc == 0)
		wait_for_process(pidfd);
	if (pidfd >= 0)
		close(pidfd);
	return rc;
}

/* Nobody answers: what is mounted is dead, or its configuration is gone. */
static int end_dead(const char *directory, bool lazy)
{
	int rc = unmount(directory, lazy);

	if (rc == 0)
		return 0;
	complain("%s cannot be unmounted: %s", directory, err_text(rc));
	return OUTCOME_FAILED;
}

/* ---- the command ---------------------------------------------------------------------------------------------- */

static int find_directory(const char *directory, struct mount_at *at)
{
	char *absolute = path_absolute(directory);
	int rc = absolute ? mounts_by_directory(absolute, at) : -ENOMEM;

	free(absolute);
	if (rc < 0)
		complain("%s: no borderfs is mounted there", directory);
	return rc < 0 ? OUTCOME_FAILED : 0;
}

static int find_config(const struct cli_args *args, struct mount_at *at)
{
	char *name = cli_config_name(args), *file = name ? file_expand(name, NULL) : NULL;
	int rc = file ? mounts_by_config(file, at) : -ENOENT;

	if (name && rc < 0)
		complain("%s is not mounted here", name);
	free(file);
	free(name);
	return rc < 0 ? OUTCOME_FAILED : 0;
}

static int end(const struct cli_args *args, const struct cli_daemon *d, const char *directory)
{
	bool lazy = args_flag(args, "lazy");
	pid_t pid = control_pid(d->store);
	int rc = 0;

	if (!pid) {
		if (args_flag(args, "wait"))
			complain("%s: its daemon is gone: what is not on its backends yet goes there after the next "
				 "mount",
				directory);
		return end_dead(directory, true);
	}
	if (args_flag(args, "wait"))
		rc = sync_wait(d, NULL, -1, args_value(args, "timeout"));
	return rc ? rc : end_daemon(d, pid, directory, lazy);
}

static int run(const struct cli_args *args)
{
	struct cli_daemon daemon = { 0 };
	struct mount_at at = { 0 };
	int rc = args->operand_count ? find_directory(args->operands[0], &at) : find_config(args, &at);

	if (rc == 0 && cli_daemon_file(at.config_file, &daemon) == 0)
		rc = end(args, &daemon, at.directory);
	else if (rc == 0)
		rc = end_dead(at.directory, args_flag(args, "lazy"));
	cli_daemon_free(&daemon);
	mount_at_free(&at);
	return rc;
}

static const struct cli_option options[] = {
	CLI_OPTION_CONFIG,
	{ 'w', "wait", NULL, "first wait until everything is on its backends", false },
	{ 't', "timeout", "SECONDS", "with --wait: stay mounted, exit status 4, if it takes longer", false },
	{ 'l', "lazy", NULL, "though it is in use: open files end with errors", false },
	CLI_OPTION_HELP,
	CLI_OPTION_END,
};

const struct cli_command cmd_umount = {
	.name = "umount",
	.operands = "[DIRECTORY]",
	.operands_max = 1,
	.summary = "Unmounts, and returns when the daemon has ended",
	.description =
		"Everything is durable in the store then; what is not on its backends yet goes there after the next\n"
		"mount, unless --wait is given. Also detaches a mount whose daemon died.",
	.options = options,
	.run = run,
};
