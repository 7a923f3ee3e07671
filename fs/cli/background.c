/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/background.h"

#include "base/log.h"
#include "fs/cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* One byte: ready. The end of the pipe without it: the child ended, and has said why. */
static int wait_for(pid_t child, int pipe)
{
	int status;
	char ready;
	ssize_t n;

	do
		n = read(pipe, &ready, 1);
	while (n < 0 && errno == EINTR);
	close(pipe);
	if (n == 1)
		return OUTCOME_DONE;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return OUTCOME_FAILED;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	complain("the daemon was ended by signal %d before it had mounted", WTERMSIG(status));
	return OUTCOME_FAILED;
}

static int failed(const char *what)
{
	complain("the daemon cannot be started: %s: %s", what, strerror(errno));
	return OUTCOME_FAILED;
}

int background_fork(struct background *b)
{
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return failed("pipe");
	child = fork();
	if (child < 0) {
		close(fds[0]);
		close(fds[1]);
		return failed("fork");
	}
	if (child > 0) {
		close(fds[1]);
		return wait_for(child, fds[0]);
	}
	close(fds[0]);
	b->pipe = fds[1];
	return -1;
}

void background_ready(struct background *b)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	if (null < 0 || chdir("/") < 0)
		log_warn("the directory the daemon was started in stays in use: %s", strerror(errno));
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	if (write(b->pipe, "", 1) != 1) /* the parent was killed: nobody waits */
		log_debug("background: nobody waits");
	close(b->pipe);
	b->pipe = -1;
}
