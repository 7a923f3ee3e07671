/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/secret_command.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <spawn.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAID_BYTES_MAX 400u /* of standard error, in a sentence */

struct running {
	struct call_hook hook;
	pid_t pid;
	int out, err; /* what it prints; -1: at its end */
	int process;  /* readable when it has ended; -1: it has */
	int wake;     /* readable when the call is cut */
	struct buf said;
	size_t max;
	int64_t until_ns;
};

/* Only who reaps the process signals it: its number may be another's afterwards. */
static void running_cut(struct call_hook *hook)
{
	eventfd_write(container_of(hook, struct running, hook)->wake, 1);
}

static void end(struct running *r)
{
	kill(-r->pid, SIGKILL);
	waitpid(r->pid, NULL, 0);
}

static int spawn(struct running *r, char *const argv[], int out, int err)
{
	static char path[] = "PATH=" SECRET_COMMAND_PATH;
	char *const environment[] = { path, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	posix_spawn_file_actions_init(&actions);
	rc = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	rc = rc ? rc : posix_spawn_file_actions_adddup2(&actions, out, 1);
	rc = rc ? rc : posix_spawn_file_actions_adddup2(&actions, err, 2);
	rc = rc ? rc : posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	rc = rc ? rc : posix_spawn(&r->pid, argv[0], &actions, &attr, argv, environment);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return -rc;
}

static int start(struct running *r, char *const argv[])
{
	int out[2], err[2], rc;

	if ((r->wake = eventfd(0, EFD_CLOEXEC)) < 0 || pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(err, O_CLOEXEC) < 0) {
		rc = -errno;
		close(out[0]);
		close(out[1]);
		return rc;
	}
	rc = spawn(r, argv, out[1], err[1]);
	close(out[1]);
	close(err[1]);
	r->out = out[0];
	r->err = err[0];
	if (rc == 0 && (r->process = (int)syscall(SYS_pidfd_open, r->pid, 0)) < 0) {
		rc = -errno;
		end(r);
	}
	return rc;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Of what it prints at most one byte too much is kept; of what it says, the beginning. */
static void take(int *fd, struct buf *b, size_t max)
{
	char piece[4096];
	ssize_t n = read(*fd, piece, sizeof piece);

	if (n > 0) {
		buf_put(b, piece, (size_t)n < max - b->len ? (size_t)n : max - b->len);
		sodium_memzero(piece, (size_t)n);
	} else if (n == 0 || errno != EINTR) {
		close_fd(fd);
	}
}

/* Until something happens, or it is time. */
static int wait_some(struct running *r, struct call *c, struct buf *out)
{
	int64_t until_ns = r->until_ns < c->deadline_ns ? r->until_ns : c->deadline_ns;
	struct pollfd p[] = { { .fd = r->out, .events = POLLIN }, { .fd = r->err, .events = POLLIN },
		{ .fd = r->process, .events = POLLIN }, { .fd = r->wake, .events = POLLIN } };

	if (poll(p, sizeof p / sizeof p[0], clock_poll_ms(until_ns)) < 0)
		return errno == EINTR ? 0 : -errno;
	if (p[0].revents)
		take(&r->out, out, r->max + 1);
	if (p[1].revents)
		take(&r->err, &r->said, SAID_BYTES_MAX);
	if (p[2].revents)
		close_fd(&r->process);
	return 0;
}

/* 0 when it has ended, and nobody is left who could print more */
static int watch(struct running *r, struct call *c, struct buf *out)
{
	int rc = 0;

	while (!rc && (r->out >= 0 || r->err >= 0 || r->process >= 0)) {
		if (!(rc = wait_some(r, c, out)))
			rc = out->len > r->max ? -EFBIG : out->err ? out->err : call_state(c);
		if (!rc && clock_mono_ns() >= r->until_ns)
			rc = -ETIMEDOUT;
	}
	return rc;
}

/* on one line, and nothing that a terminal would act upon */
static const char *said(struct running *r)
{
	char *text = r->said.len && !r->said.err ? (char *)r->said.data : NULL;

	for (size_t i = 0; text && i < r->said.len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = ' ';
	for (size_t len = r->said.len; text && len && text[len - 1] == ' '; len--)
		text[len - 1] = 0;
	return text && *text ? text : "nothing";
}

static int explain(struct running *r, const char *program, int rc, int status, int64_t limit_ns, struct errmsg *msg)
{
	if (rc == -EFBIG)
		return errmsg_set(msg, -ERR_SECRET, "secret-command %s printed more than %zu bytes", program, r->max);
	if (rc == -ETIMEDOUT)
		return errmsg_set(msg, -ERR_SECRET,
			"secret-command %s was not done in %lld s and was ended; it said: %s", program,
			(long long)(limit_ns / NS_PER_S), said(r));
	if (rc < 0)
		return rc;
	if (WIFSIGNALED(status))
		return errmsg_set(msg, -ERR_SECRET, "secret-command %s was ended by signal %d; it said: %s", program,
			WTERMSIG(status), said(r));
	if (WEXITSTATUS(status))
		return errmsg_set(msg, -ERR_SECRET, "secret-command %s failed with status %d; it said: %s", program,
			WEXITSTATUS(status), said(r));
	return 0;
}

int secret_command(
	char *const argv[], size_t max, int64_t limit_ns, struct call *c, struct buf *out, struct errmsg *msg)
{
	struct running r = {
		.max = max, .until_ns = clock_mono_ns() + limit_ns, .out = -1, .err = -1, .process = -1, .wake = -1
	};
	int status = 0, rc = start(&r, argv);

	list_init(&r.hook.link);
	r.hook.cut = running_cut;
	if (rc < 0) {
		rc = errmsg_set(msg, -ERR_SECRET, "secret-command %s cannot be started: %s", argv[0], err_text(rc));
		goto out;
	}
	if (!(rc = call_attach(c, &r.hook)))
		rc = watch(&r, c, out);
	call_detach(c, &r.hook);
	if (rc < 0)
		end(&r);
	else
		waitpid(r.pid, &status, 0);
	rc = explain(&r, argv[0], rc, status, limit_ns, msg);
	if (!rc && out->len && out->data[out->len - 1] == '\n')
		out->data[--out->len] = 0;
out:
	close_fd(&r.out);
	close_fd(&r.err);
	close_fd(&r.process);
	close_fd(&r.wake);
	buf_free(&r.said);
	return rc;
}
