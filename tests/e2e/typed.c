/* SPDX-License-Identifier: GPL-3.0-or-later */
/* typed LINE... -- COMMAND...: runs the command on a terminal of its own and types the next line whenever it has asked
 * for one, that is, whenever what it wrote last ends with ": ". What the terminal shows goes to standard output. The
 * word ^C is typed as the interrupt key, which the command heeds even where this was started in the background. Ends
 * with the command's status. */
#include <errno.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int type(int fd, const char *line)
{
	size_t len = strlen(line);

	if (!strcmp(line, "^C"))
		return write(fd, "\003", 1) == 1 ? 0 : -1;
	return write(fd, line, len) == (ssize_t)len && write(fd, "\n", 1) == 1 ? 0 : -1;
}

static int status_of(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return 125;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	int next = 1, dashes = 1, fd;
	char tail[2] = "", bytes[4096];
	pid_t child;
	ssize_t n;

	while (dashes < argc && strcmp(argv[dashes], "--") != 0)
		dashes++;
	if (dashes + 1 >= argc)
		return 2;
	child = forkpty(&fd, NULL, NULL, NULL);
	if (child < 0)
		return 125;
	if (child == 0) {
		signal(SIGINT, SIG_DFL);
		execvp(argv[dashes + 1], argv + dashes + 1);
		_exit(127);
	}
	/* the end of a terminal that nobody holds open any more is an error */
	while ((n = read(fd, bytes, sizeof bytes)) > 0) {
		fwrite(bytes, 1, (size_t)n, stdout);
		for (ssize_t i = n > 2 ? n - 2 : 0; i < n; i++) {
			tail[0] = tail[1];
			tail[1] = bytes[i];
		}
		if (tail[0] == ':' && tail[1] == ' ' && next < dashes && type(fd, argv[next++]) < 0)
			return 125;
	}
	fflush(stdout);
	return status_of(child);
}
