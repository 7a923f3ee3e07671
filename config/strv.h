/* SPDX-License-Identifier: GPL-3.0-or-later */
/* strv: NULL-terminated vectors of malloc'd strings, as lists in the INI become. Private to config/. */
#ifndef CONFIG_STRV_H
#define CONFIG_STRV_H

#include <stdbool.h>
#include <stddef.h>

/* strv_split: the items of a comma list, blanks around them removed. With quoted set a comma after a backslash does not
 * split (both stay in the item: globs understand them). -EINVAL for an empty item, -ENOMEM; *out is NULL then. The
 * caller frees with strv_free. */
int strv_split(const char *text, int quoted, char ***out);
/* strv_append: takes over s, which may be NULL (out of memory). On -ENOMEM s is freed and the vector unchanged. */
int strv_append(char ***v, char *s);
bool strv_has(char *const *v, const char *s); /* false for NULL */
size_t strv_count(char *const *v);	      /* 0 for NULL */
void strv_free(char **v);		      /* accepts NULL */

#endif
