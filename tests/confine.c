/* SPDX-License-Identifier: GPL-3.0-or-later */
/* confine SECONDS DIR LOG COMMAND...: run a test so that nothing of it is left.
 *
 * Output goes to LOG. When the command has ended, when SECONDS are over, or when confine is told to end, every process
 * that came of it is killed, whatever session or parent it gave itself, and every mount below DIR is detached.
 * Exit status: the command's; 124 when its time was over, 125 when confine was told to end or failed itself. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TIMED_OUT = 124, NOT_RUN = 125 };

#define KILL_SECONDS_MAX 20

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run(char **argv, const char *log)
{
	int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600), in = open("/dev/null", O_RDONLY);
	sigset_t none;

	if (out < 0 || in < 0)
		_exit(NOT_RUN);
	dup2(in, 0);
	dup2(out, 1);
	dup2(out, 2);
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(argv[0], argv);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(NOT_RUN);
}

static int status_of(int wait_status)
{
	return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

/* Reap what has ended. True when there is no child left. */
static bool reap(pid_t main_pid, int *status)
{
	for (;;) {
		int w;
		pid_t pid = waitpid(-1, &w, WNOHANG);

		if (pid == main_pid)
			*status = status_of(w);
		if (pid <= 0)
			return pid < 0 && errno == ECHILD;
	}
}

/* Wait for one of our signals until the deadline; 0 when it has passed. */
static int next_signal(const sigset_t *set, double deadline)
{
	double left = deadline - now();
	struct timespec t = { (time_t)left, (long)((left - (double)(time_t)left) * 1e9) };
	int sig;

	if (left <= 0)
		return 0;
	sig = sigtimedwait(set, NULL, &t);
	return sig > 0 ? sig : errno == EINTR ? SIGCHLD : 0;
}

static int wait_main(pid_t pid, const sigset_t *set, double deadline)
{
	int status = -1;

	while (status < 0) {
		int sig = next_signal(set, deadline);

		if (sig == 0)
			return TIMED_OUT;
		if (sig != SIGCHLD)
			return NOT_RUN;
		reap(pid, &status);
	}
	return status;
}

/* The children of a killed process become ours, as we are their subreaper. */
static void kill_children(void)
{
	char path[64];
	FILE *f;
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	f = fopen(path, "re");
	while (f && fscanf(f, "%d", &pid) == 1)
		kill(pid, SIGKILL);
	if (f)
		fclose(f);
}

static void kill_all(const sigset_t *set)
{
	double deadline = now() + KILL_SECONDS_MAX;
	int status;

	while (!reap(0, &status) && now() < deadline) {
		kill_children();
		next_signal(set, now() + 0.1);
	}
}

static void unmount(const char *dir)
{
	pid_t pid;

	if (umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || errno != EPERM)
		return;
	pid = fork();
	if (pid == 0) {
		execlp("fusermount3", "fusermount3", "-u", "-z", "--", dir, (char *)NULL);
		_exit(NOT_RUN);
	}
	waitpid(pid, NULL, 0);
}

/* A mount point as mountinfo writes it, with \040 for a space. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (*s == '\\' && s[1] && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* Detach the last mount below dir; later ones may lie on earlier ones. False when there is none. */
static bool unmount_last(const char *dir)
{
	char line[8192], point[4096], last[4096] = "";
	size_t len = strlen(dir);
	FILE *f = fopen("/proc/self/mountinfo", "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %*s %*s %*s %4095s", point) != 1)
			continue;
		unescape(point);
		if (!strncmp(point, dir, len) && point[len] == '/')
			strcpy(last, point);
	}
	if (f)
		fclose(f);
	if (last[0])
		unmount(last);
	return last[0] != '\0';
}

int main(int argc, char **argv)
{
	sigset_t set;
	pid_t pid, parent = getppid();
	int status;

	if (argc < 5) {
		fprintf(stderr, "usage: confine SECONDS DIR LOG COMMAND...\n");
		return NOT_RUN;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		return NOT_RUN;
	pid = fork();
	if (pid == 0)
		run(argv + 4, argv[3]);
	status = pid < 0 ? NOT_RUN : wait_main(pid, &set, now() + atof(argv[1]));
	kill_all(&set);
	for (int i = 0; i < 100 && unmount_last(argv[2]); i++)
		;
	return status;
}
