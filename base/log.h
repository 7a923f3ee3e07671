/* SPDX-License-Identifier: GPL-3.0-or-later */
/* log: one line an event, to standard error or syslog. At the default level (info) no line holds a path, a file
 * name, a tag or content (I5): objects and inodes are named by number. Debug lines may. Thread-safe; never blocks on
 * the network. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* log_init: to_syslog chooses syslog(3) over standard error. May be called again (after daemonising). */
void log_init(enum log_level max, int to_syslog);
/* log_to: appends to an open descriptor instead (owned by the caller); -1 goes back. */
void log_to(int fd);
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int log_enabled(enum log_level level);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                                                 \
	do {                                                                                                           \
		if (log_enabled(LOG_LEVEL_DEBUG))                                                                      \
			log_line(LOG_LEVEL_DEBUG, __VA_ARGS__);                                                        \
	} while (0)

#endif
