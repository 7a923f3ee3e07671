/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ruletest: an administrator's own table of files and where they belong, held against the rules without a store.
 *
 * The table is INI like the rules, so that one syntax, its comments and its messages serve both, and a path may hold
 * blanks, commas and '=' as it is. Each [test NAME] says what is known of one or more files and where they are to be
 * placed; docs/OPERATIONS.md has the keys. */
#ifndef CONFIG_RULETEST_H
#define CONFIG_RULETEST_H

#include "config/config.h"

struct ruletest {
	size_t files, failed;
};

/* ruletest_run: judges each file of the table by the compiled rules (I11). What is placed otherwise than expected is
 * appended to msgs with the line of its path, and counted; what is wrong with the table as well. 0, also where
 * expectations failed; -ERR_CONFIG where the table is wrong, -errno where it cannot be read. Blocks on the local disk.
 */
int ruletest_run(struct config *, const char *file, struct ruletest *, struct config_messages *msgs);

#endif
