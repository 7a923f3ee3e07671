/* SPDX-License-Identifier: GPL-3.0-or-later */
/* moving: what `move` and `drain` share: the plan, the question, and how the order goes. */
#ifndef FS_CLI_MOVING_H
#define FS_CLI_MOVING_H

#include "fs/cli/cli.h"

#define CLI_OPTION_DEADLINE                                                                                            \
	{                                                                                                              \
		'd', "deadline", "T",                                                                                  \
			"when it must be empty: a moment in UTC (2026-12-31, 2026-12-31T18:00), or how long from now " \
			"(36h)",                                                                                       \
			false                                                                                          \
	}
#define CLI_OPTION_YES                                                                                                 \
	{                                                                                                              \
		'y', "yes", NULL, "do not ask", false                                                                  \
	}
#define CLI_OPTION_BACKGROUND                                                                                          \
	{                                                                                                              \
		'b', "background", NULL, "return when it has begun; it goes on by itself in any case", false           \
	}

/* moving_order: shows what would be moved, asks, begins, and shows how it goes until the source is empty and its
 * receipt is printed. to may be NULL. An outcome. */
int moving_order(const struct cli_args *, const struct cli_daemon *, const char *from, const char *to);
/* moving_print: how an order goes, or how it ended, for people. */
void moving_print(const json_t *move);
/* moving_receipt: as text or JSON, to standard output. An outcome. */
int moving_receipt(const json_t *move, bool json);

#endif
