/* SPDX-License-Identifier: GPL-3.0-or-later */
/* imply: what follows from conditions, whatever the file: for the lint. Private to config/. Nothing here blocks. */
#ifndef CONFIG_IMPLY_H
#define CONFIG_IMPLY_H

#include "config/rules_impl.h"

/* Of these false may also mean that it cannot be told. A media type that is unknown, which makes a condition neither
 * true nor false, is the caller's affair. */

/* cond_implies: where a holds, b does. */
bool cond_implies(const struct cond *a, const struct cond *b);
/* cond_always, cond_never: for every file, for none. */
bool cond_always(const struct cond *);
bool cond_never(const struct cond *);
/* conds_exclude: the two never hold together. */
bool conds_exclude(const struct cond *a, const struct cond *b);

/* section_implies: the first condition of `wide` that the conditions of `narrow` do not imply, or NULL: wide holds
 * wherever narrow does. A tag is also implied where a section of setters (there may be none) sets it. */
const struct cond *section_implies(const struct rule *narrow, const struct rule *wide, const struct program *setters);

#endif
