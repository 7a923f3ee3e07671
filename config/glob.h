/* SPDX-License-Identifier: GPL-3.0-or-later */
/* glob: what else the rules ask of a compiled pattern (the contract of matching is in config/rules.h). Private to
 * config/. Nothing here blocks.
 *
 * A pattern is a list of segments, one a path component, or `**` for any number of them; a segment is a list of tokens.
 * In both lists a mismatch goes back to the last star only, which suffices (what an earlier star could swallow, the
 * later one can too), so that the work is bounded by the product of the lengths. `?` and classes take one UTF-8
 * character, or one byte where the name is not UTF-8. */
#ifndef CONFIG_GLOB_H
#define CONFIG_GLOB_H

#include "config/rules.h"

/* What a path must have to match at all: the rules' index looks up candidates by it. */
enum glob_need {
	GLOB_NEED_NOTHING,
	GLOB_NEED_BELOW,     /* text is a literal "/a/b": the path is it or lies below it */
	GLOB_NEED_COMPONENT, /* one component of the path is text */
	GLOB_NEED_SUFFIX,    /* the last component's text after its last '.' is text */
};

/* glob_compile_name: a pattern for one component (a file's name); a '/' in it is -EINVAL. */
int glob_compile_name(struct glob **, const char *pattern, struct errmsg *);
/* glob_match_name: matches one component of len bytes against a glob of glob_compile_name. */
bool glob_match_name(const struct glob *, const char *name, size_t len);
/* glob_need: text (the glob's) and its length are set unless NOTHING is returned. */
enum glob_need glob_need(const struct glob *, const char **text, size_t *len);
/* glob_gram: GLOB_GRAM bytes (the glob's) that some component of a path has in a row if it matches: those at or after
 * *at (0 at first), which goes on behind them. NULL: no more. */
#define GLOB_GRAM 3
const char *glob_gram(const struct glob *, size_t *at);

/* Two patterns compared, a pattern for names standing for files of such a name in any directory. What cannot be told is
 * false. glob_covers: a matches whatever b matches. glob_apart: nothing is matched by both. */
bool glob_covers(const struct glob *a, const struct glob *b);
bool glob_apart(const struct glob *a, const struct glob *b);
/* glob_always: it matches whatever has a name. glob_never: a name so long as it needs cannot be. */
bool glob_always(const struct glob *);
bool glob_never(const struct glob *);
/* glob_below: the literal directories that it begins with, "/a/b" (the glob's), or NULL. *whole: that is all of it. */
const char *glob_below(const struct glob *, bool *whole);

#endif
