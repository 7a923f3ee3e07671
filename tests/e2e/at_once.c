/* SPDX-License-Identifier: GPL-3.0-or-later */
/* at_once PORT CALL ARGUMENT...: make one system call, and look, before anything else can happen, at what the kernel
 * still holds to send to that TCP port of this machine, or has on the way there.
 *
 *   at_once PORT setxattr PATH NAME VALUE
 *   at_once PORT rename|link FROM TO
 *   at_once PORT run COMMAND...	a program to its end instead of a call
 *
 * Prints "queued BYTES took MICROSECONDS". Status 1 if the call failed. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

/* proc(5), /proc/net/tcp: "sl: local:port remote:port state tx_queue:rx_queue ...", in hexadecimal. tx_queue is what
 * is not acknowledged yet. */
static uint64_t queued_to(unsigned port)
{
	FILE *f = fopen("/proc/net/tcp", "re");
	unsigned remote, state, tx;
	uint64_t sum = 0;
	char line[512];

	if (!f) {
		perror("/proc/net/tcp");
		exit(2);
	}
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " %*d: %*8x:%*4x %*8x:%4x %2x %8x:", &remote, &state, &tx) == 3 && remote == port)
			sum += tx;
	fclose(f);
	return sum;
}

static int run(char **argv)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	errno = ECHILD;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static int call(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[0], "setxattr"))
		return setxattr(argv[1], argv[2], argv[3], strlen(argv[3]), 0);
	if (argc == 3 && !strcmp(argv[0], "rename"))
		return rename(argv[1], argv[2]);
	if (argc == 3 && !strcmp(argv[0], "link"))
		return link(argv[1], argv[2]);
	if (argc >= 2 && !strcmp(argv[0], "run"))
		return run(argv + 1);
	errno = EINVAL;
	return -1;
}

int main(int argc, char **argv)
{
	unsigned port = argc > 2 ? (unsigned)atoi(argv[1]) : 0;
	uint64_t queued;
	int64_t start;

	if (!port)
		return 2;
	start = now_us();
	if (call(argc - 2, argv + 2) < 0) {
		fprintf(stderr, "at_once: %s: %s\n", argv[2], strerror(errno));
		return 1;
	}
	queued = queued_to(port);
	printf("queued %lu took %ld\n", queued, now_us() - start);
	return 0;
}
