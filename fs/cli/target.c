/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/target.h"

#include "fs/cli/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int no_mount(const char *path)
{
	complain("%s: not in a borderfs mount: name a path below the directory it is mounted on", path);
	return OUTCOME_FAILED;
}

/* The daemon that -c names is asked about its own files only. */
static int check_mount(const struct target *t, const char *path, dev_t device)
{
	struct mount_at at;
	int rc = 0;

	if (mounts_by_config(t->daemon.config_file, &at) < 0)
		return 0; /* asking it will tell */
	if (at.device != device) {
		complain("%s does not lie in the mount of %s, which is at %s: name a path below that, or leave out -c",
			path, t->daemon.config_file, at.directory);
		rc = OUTCOME_FAILED;
	}
	mount_at_free(&at);
	return rc;
}

static int find_configured(struct target *t, const struct cli_args *args, const char *path, dev_t device)
{
	int rc = t->daemon.store ? 0 : cli_daemon(args, &t->daemon);

	if (rc == 0 && (rc = check_mount(t, path, device)) == 0)
		t->device = device;
	return rc;
}

static int find_daemon(struct target *t, const struct cli_args *args, const char *path, dev_t device)
{
	struct mount_at at;
	int rc;

	if (t->daemon.store && t->device == device)
		return 0;
	if (args_flag(args, "config"))
		return find_configured(t, args, path, device);
	cli_daemon_free(&t->daemon);
	t->device = device;
	if (mounts_by_device(device, &at) < 0)
		return no_mount(path);
	rc = cli_daemon_file(at.config_file, &t->daemon);
	mount_at_free(&at);
	return rc;
}

int target_open(struct target *t, const struct cli_args *args, const char *path)
{
	dev_t device;
	int rc;

	if (t->fd >= 0)
		close(t->fd);
	t->fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	rc = t->fd < 0 ? -errno : path_device(t->fd, &device, &t->directory);
	if (rc < 0) {
		complain("%s: %s", path, err_text(rc));
		return OUTCOME_FAILED;
	}
	return find_daemon(t, args, path, device);
}

void target_close(struct target *t)
{
	if (t->fd >= 0)
		close(t->fd);
	cli_daemon_free(&t->daemon);
	*t = (struct target)TARGET_INIT;
}

int target_ask(const struct cli_args *args, const char *op,
	json_t *(*args_of)(const struct cli_args *, const struct target *), int (*line)(void *target_answer, json_t *),
	void *ctx)
{
	struct target t = TARGET_INIT;
	int worst = 0;

	for (int i = 0; i < args->operand_count; i++) {
		struct target_answer answer = { args->operands[i], ctx };
		int rc = target_open(&t, args, answer.path);

		if (rc == 0)
			rc = cli_ask(&t.daemon, op, args_of ? args_of(args, &t) : NULL, t.fd, line, &answer, NULL);
		if (rc > worst)
			worst = rc;
	}
	target_close(&t);
	return worst;
}
