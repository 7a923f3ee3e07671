/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/sync.h"

#include "base/text.h"
#include "fs/cli/mounts.h"
#include "fs/cli/progress.h"
#include "fs/control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Written pages that the kernel has not handed to the daemon yet are not its to sync. A file that may not be opened was
 * not written by us. */
static int write_back(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC), rc;
	struct stat st;

	if (fd < 0)
		return 0;
	rc = fstat(fd, &st) < 0 ? -errno : 0;
	if (rc == 0 && (S_ISREG(st.st_mode) ? fsync(fd) : syncfs(fd)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int write_back_mount(const struct cli_daemon *d)
{
	struct mount_at at;
	int rc;

	if (mounts_by_config(d->config_file, &at) < 0)
		return 0;
	rc = write_back(at.directory);
	mount_at_free(&at);
	return rc;
}

static int show(void *progress, json_t *status)
{
	progress_update(progress, status);
	return 0;
}

static int ask(const struct cli_daemon *d, int fd, json_t *args)
{
	const struct control_at at = { .config_file = d->config_file, .store = d->store };
	struct errmsg msg = { 0 };
	struct progress progress;
	json_t *last = NULL;
	int rc;

	progress_init(&progress);
	rc = control_ask(&at, fd < 0 ? "sync" : "sync-path", args, fd, show, &progress, &last, &msg);
	progress_end(&progress); /* before anything else is said */
	rc = cli_verdict(rc, last, &msg);
	json_decref(last);
	return rc;
}

int sync_wait(const struct cli_daemon *d, const char *path, int fd, const char *timeout)
{
	json_t *args = json_pack("{s:b}", "progress", 1);
	int64_t ns = 0;
	int rc;

	if (timeout && text_parse_duration(timeout, &ns) < 0) {
		complain("\"%s\" is no time to wait: expected seconds, or a number with ms, s, m or h", timeout);
		json_decref(args);
		return OUTCOME_USAGE;
	}
	if (timeout)
		json_object_set_new(args, "timeout_ns", json_integer(ns));
	if ((rc = path ? write_back(path) : write_back_mount(d)) < 0) {
		complain("%s: not everything could be written to the store: %s", path ? path : d->store, err_text(rc));
		json_decref(args);
		return OUTCOME_FAILED;
	}
	return ask(d, fd, args);
}
