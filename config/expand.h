/* SPDX-License-Identifier: GPL-3.0-or-later */
/* expand: the files that an include names, by a pattern as glob(3) has it (`*`, `?` and `[a-z]` do not match a '/' nor
 * a leading '.'). Private to config/. Unlike glob it passes over nothing that it cannot look at: a rule in a directory
 * that cannot be read must not be lost in silence (I1). */
#ifndef CONFIG_EXPAND_H
#define CONFIG_EXPAND_H

#include "base/err.h"

/* expand: *out is the matching files' paths in byte order, the caller's to strv_free, NULL where nothing matches. A
 * relative pattern is relative to dir. -errno with a sentence where a directory on the way is missing or cannot be
 * read, or a file that the pattern names without wildcards is not there; -ENOMEM. Blocks on the local disk. */
int expand(const char *pattern, const char *dir, char ***out, struct errmsg *);

#endif
