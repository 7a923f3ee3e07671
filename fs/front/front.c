/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/front/front.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "fs/front/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAKE_SIGNAL SIGUSR1

struct front {
	struct fuse_session *session;
	struct serving serving;
	char *mountpoint;
	bool mounted;
	dev_t device;
	/* Protects the two below: who runs the loop, and whether it has ended. A leaf. */
	pthread_mutex_t lock;
	pthread_cond_t ended;
	pthread_t runner;
	bool running;
};

extern char **environ;

/* ---- unmounting ---------------------------------------------------------------------------------------------------
 */

/* What fusermount3 says goes to our standard error. */
static int run_fusermount(const char *mountpoint, bool lazy)
{
	const char *argv[] = { "fusermount3", lazy ? "-uzq" : "-uq", "--", mountpoint, NULL };
	int status, rc;
	pid_t pid;

	if ((rc = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ)) != 0)
		return -rc;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

static int unmount(const char *mountpoint, bool lazy)
{
	if (umount2(mountpoint, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
		return 0;
	if (errno != EPERM)
		return -errno;
	return run_fusermount(mountpoint, lazy);
}

/* ---- mounting -----------------------------------------------------------------------------------------------------
 */

static int check_mountpoint(const char *mountpoint, struct errmsg *msg)
{
	struct statfs fs;
	struct stat st;

	/* the kernel may still know the attributes: only statfs asks the daemon */
	if (statfs(mountpoint, &fs) < 0 && (errno == ENOTCONN || errno == EIO)) {
		log_info("front: the mount point holds a mount whose daemon died: detaching it");
		if (unmount(mountpoint, true) < 0)
			return errmsg_set(msg, -EBUSY,
				"%s holds a dead mount that cannot be detached: run `fusermount3 -uz %s`", mountpoint,
				mountpoint);
		if (stat(mountpoint, &st) < 0)
			return errmsg_set(msg, -errno, "%s: %s", mountpoint, strerror(errno));
	} else if (stat(mountpoint, &st) < 0) {
		return errmsg_set(
			msg, -errno, "the mount point %s: %s; make the directory first", mountpoint, strerror(errno));
	}
	if (!S_ISDIR(st.st_mode))
		return errmsg_set(msg, -ENOTDIR, "the mount point %s is not a directory", mountpoint);
	if (access("/dev/fuse", R_OK | W_OK) < 0)
		return errmsg_set(msg, -errno,
			"/dev/fuse cannot be opened: %s; load the fuse module, or allow this user to use it",
			strerror(errno));
	return 0;
}

/* A comma in a value would start another option. */
static void put_option_value(struct buf *out, const char *value)
{
	for (; *value; value++) {
		if (*value == ',' || *value == '\\')
			buf_str(out, "\\");
		buf_put(out, value, 1);
	}
}

/* What is root's alone is not asked who may do what: to answer, the kernel would fetch the attributes of a directory
 * anew after every change in it. */
static bool is_roots_own(const struct front_options *options)
{
	return geteuid() == 0 && !options->allow_other && !options->check_permissions;
}

static int make_args(const struct front_options *options, struct fuse_args *args)
{
	struct buf text = BUF_INIT;
	int rc;

	buf_printf(&text, "%ssubtype=borderfs,fsname=", is_roots_own(options) ? "" : "default_permissions,");
	put_option_value(&text, options->fsname);
	if (options->allow_other)
		buf_str(&text, ",allow_other");
	if (options->read_only)
		buf_str(&text, ",ro");
	if (options->extra && options->extra[0])
		buf_printf(&text, ",%s", options->extra);
	rc = text.err < 0 || fuse_opt_add_arg(args, "borderfs") < 0 || fuse_opt_add_arg(args, "-o") < 0 ||
	     fuse_opt_add_arg(args, (char *)text.data) < 0;
	buf_free(&text);
	return rc ? -ENOMEM : 0;
}

static int open_session(struct front *front, struct core *core, const struct front_options *options, struct errmsg *msg)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int rc = make_args(options, &args);

	front->serving.core = core;
	front->serving.roots_own = is_roots_own(options);
	if (rc == 0 && !(front->session = fuse_session_new(&args, &front_ops, sizeof(front_ops), &front->serving)))
		rc = errmsg_set(
			msg, -EINVAL, "an option given with -o is not known: %s", options->extra ? options->extra : "");
	fuse_opt_free_args(&args);
	front->serving.session = front->session;
	return rc;
}

/* The device number without a request to ourselves: nobody serves yet. */
static dev_t mounted_device(const char *mountpoint)
{
	struct statx stx;

	if (statx(AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &stx) < 0)
		return 0;
	return makedev(stx.stx_dev_major, stx.stx_dev_minor);
}

int front_mount(struct front **out, struct core *core, const struct front_options *options, struct errmsg *msg)
{
	struct front *front = calloc(1, sizeof(*front));
	int rc;

	*out = NULL;
	if (!front)
		return -ENOMEM;
	pthread_mutex_init(&front->lock, NULL);
	cond_init_mono(&front->ended);
	spare_init(&front->serving.answers, REQUEST_BYTES, ANSWERS_SPARE);
	if ((rc = check_mountpoint(options->mountpoint, msg)) < 0)
		goto out;
	if (!(front->mountpoint = strdup(options->mountpoint))) {
		rc = -ENOMEM;
		goto out;
	}
	if ((rc = open_session(front, core, options, msg)) < 0)
		goto out;
	if (fuse_session_mount(front->session, front->mountpoint) < 0) {
		rc = errmsg_set(msg, -EPERM,
			"%s could not be mounted: is fusermount3 installed, and, with allow_other, user_allow_other "
			"set in "
			"/etc/fuse.conf?",
			front->mountpoint);
		goto out;
	}
	front->mounted = true;
	front->device = mounted_device(front->mountpoint);
	if ((rc = raw_attach(&front->serving)) < 0 || (rc = pool_new(&front->serving.flusher, "bfs-flush", 1, 0)) < 0)
		goto out;
out:
	if (rc < 0) {
		front_free(front);
		front = NULL;
	}
	*out = front;
	return rc;
}

static void wake(int number)
{
	(void)number;
}

static void runner_set(struct front *front, bool running)
{
	struct sigaction act = { .sa_handler = wake }; /* no SA_RESTART: it ends the wait of libfuse's loop */

	sigaction(WAKE_SIGNAL, &act, NULL);
	pthread_mutex_lock(&front->lock);
	front->runner = pthread_self();
	front->running = running;
	pthread_cond_broadcast(&front->ended);
	pthread_mutex_unlock(&front->lock);
}

/* libfuse's loop looks whether the session has ended only when a worker comes back from a request or a signal breaks
 * its wait. A request of ours could find all workers gone, and would wait for an answer for ever, not even to be
 * killed. So a signal, again until it has come between no look and its wait. */
static void end_loop(struct front *front)
{
	fuse_session_exit(front->session);
	pthread_mutex_lock(&front->lock);
	while (front->running) {
		pthread_kill(front->runner, WAKE_SIGNAL);
		cond_wait_until(&front->ended, &front->lock, clock_mono_ns() + 10 * NS_PER_MS);
	}
	pthread_mutex_unlock(&front->lock);
}

int front_run(struct front *front)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int rc;

	if (!config)
		return -ENOMEM;
	fuse_loop_cfg_set_max_threads(config, 16);
	fuse_loop_cfg_set_idle_threads(config, 16);
	fuse_loop_cfg_set_clone_fd(config, 0);
	runner_set(front, true);
	rc = fuse_session_loop_mt(front->session, config);
	runner_set(front, false);
	fuse_loop_cfg_destroy(config);
	return rc < 0 ? rc : 0;
}

/* While the session serves: first as umount(8) does, so that the kernel writes back what it holds. Busy: it writes back
 * all the same, then the mount goes from sight, and the session ends. */
void front_stop(struct front *front)
{
	int fd;

	if (unmount(front->mountpoint, false) == 0)
		return;
	if ((fd = open(front->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0) {
		if (syncfs(fd) < 0)
			log_warn("front: not everything could be written back before unmounting: %s", strerror(errno));
		close(fd);
	}
	pool_stop(front->serving.flusher); /* while there is somebody to take what it calls in */
	end_loop(front);
}

dev_t front_device(struct front *front)
{
	return front->device;
}

void front_free(struct front *front)
{
	if (!front)
		return;
	pool_free(front->serving.flusher);
	if (front->session) {
		if (front->mounted)
			fuse_session_unmount(front->session);
		fuse_session_destroy(front->session);
	}
	spare_destroy(&front->serving.answers);
	pthread_cond_destroy(&front->ended);
	pthread_mutex_destroy(&front->lock);
	free(front->mountpoint);
	free(front);
}
