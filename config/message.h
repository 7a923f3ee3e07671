/* SPDX-License-Identifier: GPL-3.0-or-later */
/* message: collecting what is wrong with a configuration. Private to config/. Nothing here blocks. */
#ifndef CONFIG_MESSAGE_H
#define CONFIG_MESSAGE_H

#include "config/config.h"

/* message_add: appends one finding (text formatted, control characters replaced); lost when out of memory, which the
 * caller notices by its own allocations. */
void message_add(struct config_messages *, bool error, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* messages_sort: by file, then line, then in the order of discovery. */
void messages_sort(struct config_messages *);
/* messages_errors: how many of them are errors. */
size_t messages_errors(const struct config_messages *);

/* suggest: the word nearest to given, or NULL where none is near enough to be a slip of the pen. */
struct suggest {
	const char *given, *best;
	size_t distance; /* of best */
};
void suggest_offer(struct suggest *, const char *word);
/* suggest_text: `; did you mean "word"?` or "" into out; returns out. */
char *suggest_text(const struct suggest *, char *out, size_t len);

#endif
