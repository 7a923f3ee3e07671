/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/secrets.h"

#include <errno.h>
#include <fcntl.h>
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

/* Whoever breaks off must find a terminal that shows what is typed: the signal waits until that is so. */
static void signals_hold(struct sigaction old[SIGNALS])
{
	struct sigaction act = { .sa_handler = catch };

	caught = 0;
	for (size_t i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &act, &old[i]);
}

static void signals_release(const struct sigaction old[SIGNALS])
{
	for (size_t i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &old[i], NULL);
	if (caught)
		raise(caught);
}

/* One byte at a time: what follows the line stays for the shell. What is longer than the buffer is refused, not cut. */
static int read_line(int fd, char *buf, size_t size)
{
	size_t len = 0;

	for (;;) {
		char c;
		ssize_t n = read(fd, &c, 1);

		if (n < 0)
			return -errno;
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
	struct sigaction old[SIGNALS];
	struct termios shown, hidden;
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC), rc;

	if (fd < 0)
		return -ENOTTY;
	if (tcgetattr(fd, &shown) < 0) {
		close(fd);
		return -ENOTTY;
	}
	signals_hold(old);
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	tcsetattr(fd, TCSAFLUSH, &hidden);
	say(fd, prompt);
	rc = read_line(fd, buf, size);
	say(fd, "\n");
	tcsetattr(fd, TCSAFLUSH, &shown);
	close(fd);
	signals_release(old);
	return rc;
}
