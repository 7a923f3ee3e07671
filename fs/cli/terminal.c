/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static volatile sig_atomic_t caught;

static void catch (int number)
{
	caught = number;
}

static const int signals[] = { SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGTSTP };
#define SIGNALS (sizeof signals / sizeof *signals)

struct held {
	struct sigaction actions[SIGNALS];
	sigset_t mask; /* as it was */
};

/* Whoever breaks off must find a terminal that shows what is typed: the signal waits until that is so. It comes only
 * while read_line waits, or it might come just before, and the wait would go on. */
static void signals_hold(struct held *old)
{
	struct sigaction act = { .sa_handler = catch };
	sigset_t set;

	caught = 0;
	sigemptyset(&set);
	for (size_t i = 0; i < SIGNALS; i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, &old->mask);
	for (size_t i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &act, &old->actions[i]);
}

static void signals_release(const struct held *old)
{
	for (size_t i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &old->actions[i], NULL);
	sigprocmask(SIG_SETMASK, &old->mask, NULL);
	if (caught)
		raise(caught);
}

static ssize_t read_byte(int fd, char *c, const sigset_t *mask)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	if (ppoll(&p, 1, NULL, mask) < 0)
		return -errno;
	n = read(fd, c, 1);
	return n < 0 ? -errno : n;
}

/* One byte at a time: what follows the line stays for the shell. What is longer than the buffer is refused, not cut. */
static int read_line(int fd, char *buf, size_t size, const sigset_t *mask)
{
	size_t len = 0;

	for (;;) {
		char c;
		ssize_t n = read_byte(fd, &c, mask);

		if (n < 0)
			return (int)n;
		if (n == 0)
			return len ? (int)len : -ENODATA;
		if (c == '\n')
			return len < size ? (int)len : -EMSGSIZE;
		if (len < size)
			buf[len++] = c;
	}
}

static void say(int fd, const char *text)
{
	/* a prompt that cannot be shown shows in the reading that follows */
	if (write(fd, text, strlen(text)) < 0)
		return;
}

int terminal_ask(const char *prompt, char *buf, size_t size)
{
	struct held old;
	struct termios shown, hidden;
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC), rc;

	if (fd < 0)
		return -ENOTTY;
	if (tcgetattr(fd, &shown) < 0) {
		close(fd);
		return -ENOTTY;
	}
	signals_hold(&old);
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	tcsetattr(fd, TCSAFLUSH, &hidden);
	say(fd, prompt);
	rc = read_line(fd, buf, size, &old.mask);
	say(fd, "\n");
	tcsetattr(fd, TCSAFLUSH, &shown);
	close(fd);
	signals_release(&old);
	return rc;
}
