/* SPDX-License-Identifier: GPL-3.0-or-later */
/* taglist: the value of user.xdg.tags, a comma-separated list, edited: order kept, nothing twice. */
#ifndef FS_CLI_TAGLIST_H
#define FS_CLI_TAGLIST_H

#include <stdbool.h>
#include <stddef.h>

struct taglist {
	char **v; /* malloc'd each */
	size_t count;
};

/* taglist_parse: blanks around tags, empty ones and repetitions are dropped. taglist_add: at the end, unless it is
 * there. taglist_remove: if it is there. 0 or -ENOMEM. */
int taglist_parse(struct taglist *, const char *value, size_t len);
int taglist_add(struct taglist *, const char *tag);
void taglist_remove(struct taglist *, const char *tag);
char *taglist_text(const struct taglist *); /* "a,b", malloc'd; NULL: no memory */
void taglist_free(struct taglist *);
/* taglist_valid: NULL for a tag that can be set, else what is wrong with it. */
const char *taglist_valid(const char *tag);

#endif
