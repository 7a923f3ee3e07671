/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static atomic_int level_max = LOG_LEVEL_INFO;
static atomic_int use_syslog;
static atomic_int target_fd = -1;

static const struct {
	const char *name;
	int priority;
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", LOG_ERR },
	[LOG_LEVEL_WARN] = { "warning", LOG_WARNING },
	[LOG_LEVEL_INFO] = { "info", LOG_INFO },
	[LOG_LEVEL_DEBUG] = { "debug", LOG_DEBUG },
};

void log_init(enum log_level max, int to_syslog)
{
	if (to_syslog)
		openlog("borderfs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	atomic_store(&use_syslog, to_syslog);
	atomic_store(&level_max, (int)max);
}

void log_to(int fd)
{
	atomic_store(&target_fd, fd);
}

int log_enabled(enum log_level level)
{
	return (int)level <= atomic_load(&level_max);
}

/* One event is one line, whatever a server or a file name put into it. */
static void make_one_line(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 127)
			*s = '?';
}

static void write_line(int fd, const char *level, const char *text)
{
	char line[LINE_MAX_BYTES + 64], stamp[32];
	int64_t now = clock_real_ns();
	time_t seconds = now / NS_PER_S;
	struct tm tm;
	int len;

	gmtime_r(&seconds, &tm);
	strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
	len = snprintf(line, sizeof line, "%s.%03dZ %s: %s\n", stamp, (int)(now % NS_PER_S / NS_PER_MS), level, text);
	/* a log that cannot be written has nowhere to say so */
	if (write(fd, line, (size_t)len) < 0)
		return;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	int fd = atomic_load(&target_fd), saved = errno;
	char text[LINE_MAX_BYTES];
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	make_one_line(text);
	if (fd < 0 && atomic_load(&use_syslog))
		syslog(levels[level].priority, "%s", text);
	else
		write_line(fd < 0 ? STDERR_FILENO : fd, levels[level].name, text);
	errno = saved;
}
