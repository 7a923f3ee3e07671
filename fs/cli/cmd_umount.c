/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/file.h"
#include "fs/cli/commands.h"
#include "fs/cli/mounts.h"
#include "fs/cli/sync.h"
#include "fs/control/control.h"

#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LAZY_MS 1000 /* how long a daemon that nobody holds up may take to end */

/* ---- the daemon ----------------------------------------------------------------------------------------------- */

struct ending {
	const char *directory;
	struct errmsg *msg;
};

/* The daemon has noted that somebody waits for its end: now the mount may go. */
static int on_noted(void *ctx, json_t *line)
{
	struct ending *e = ctx;
	int rc = mounts_unmount(e->directory, false);

	(void)line;
	if (rc == -EBUSY)
		return errmsg_set(e->msg, rc,
			"%s is in use: `fuser -vm %s` shows by whom; close it, or detach it with `borderfs umount "
			"--lazy %s`",
			e->directory, e->directory, e->directory);
	return rc < 0 ? errmsg_set(e->msg, rc, "%s cannot be unmounted: %s", e->directory, err_text(rc)) : 0;
}

static bool wait_for_process(int pidfd, int timeout_ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int n;

	while ((n = poll(&p, 1, timeout_ms)) < 0 && errno == EINTR)
		;
	return n > 0;
}

/* Returns when the process is gone: the store can be mounted again, and its disk taken away. */
static int end_daemon(const struct cli_daemon *d, const char *directory, int pidfd)
{
	const struct control_at at = { .config_file = d->config_file, .store = d->store };
	struct errmsg msg = { 0 };
	struct ending e = { directory, &msg };
	json_t *last = NULL;
	int rc = control_ask(&at, "umount", NULL, -1, on_noted, &e, &last, &msg);

	rc = cli_verdict(rc, last, &msg);
	json_decref(last);
	if (pidfd >= 0 && rc == 0)
		wait_for_process(pidfd, -1);
	return rc;
}

static int detach(const char *directory, bool lazy)
{
	int rc = mounts_unmount(directory, lazy);

	if (rc == 0)
		return 0;
	complain("%s cannot be unmounted: %s", directory, err_text(rc));
	return OUTCOME_FAILED;
}

/* Who has it open goes on, and the daemon with them. */
static int end_lazily(const char *directory, pid_t pid, int pidfd)
{
	int rc = detach(directory, true);

	if (rc == 0 && pidfd >= 0 && !wait_for_process(pidfd, LAZY_MS))
		complain("%s is detached; its daemon, process %ld, ends when the last file is closed", directory,
			(long)pid);
	return rc;
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

/* fusermount3 would refuse it too, but not say why. */
static int check_user(const struct mount_at *at)
{
	const struct passwd *pw;

	if (geteuid() == 0 || at->user == getuid())
		return 0;
	pw = getpwuid(at->user);
	complain("%s was mounted by another user, %s (%u): only they and root can unmount it", at->directory,
		pw ? pw->pw_name : "without a name here", at->user);
	return OUTCOME_FAILED;
}

static int end_served(const struct cli_args *args, const struct cli_daemon *d, const char *directory, pid_t pid)
{
	int pidfd, rc = 0;

	if (args_flag(args, "wait") && (rc = sync_wait(d, NULL, -1, args_value(args, "timeout"))))
		return rc;
	pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	if (args_flag(args, "lazy"))
		rc = end_lazily(directory, pid, pidfd);
	else
		rc = end_daemon(d, directory, pidfd);
	if (pidfd >= 0)
		close(pidfd);
	return rc;
}

static int end(const struct cli_args *args, const struct cli_daemon *d, const char *directory)
{
	pid_t pid = control_pid(d->store);
	int rc;

	if (pid)
		return end_served(args, d, directory, pid);
	if (args_flag(args, "wait"))
		complain("%s: its daemon is gone: what is not on its backends yet goes there after the next mount",
			directory);
	rc = detach(directory, true);
	return rc ? rc : mounts_detach_dead(directory) < 0 ? OUTCOME_FAILED : 0;
}

static int run(const struct cli_args *args)
{
	struct cli_daemon daemon = { 0 };
	struct mount_at at = { 0 };
	int rc = args->operand_count ? find_directory(args->operands[0], &at) : find_config(args, &at);

	if (rc == 0)
		rc = check_user(&at);
	if (rc == 0 && cli_daemon_file(at.config_file, &daemon) == 0)
		rc = end(args, &daemon, at.directory);
	else if (rc == 0)
		rc = detach(at.directory, args_flag(args, "lazy")); /* its configuration is gone */
	cli_daemon_free(&daemon);
	mount_at_free(&at);
	return rc;
}

static const struct cli_option options[] = {
	CLI_OPTION_CONFIG,
	{ 'w', "wait", NULL, "first wait until everything is on its backends", false },
	{ 't', "timeout", "SECONDS", "with --wait: stay mounted, exit status 4, if it takes longer", false },
	{ 'l', "lazy", NULL, "detach it though it is in use; its daemon ends when the last file is closed", false },
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
