/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mime: media types by a file's name, from the distribution's database. Private to config/.
 *
 * Formats: /usr/share/mime/globs2 of shared-mime-info ("weight:type:pattern[:flags]", the freedesktop Shared MIME-info
 * Database specification), else /etc/mime.types ("type extension..."). Only patterns "*.EXTENSION" and plain names are
 * used; of a name's types those of the highest weight count. */
#ifndef CONFIG_MIME_H
#define CONFIG_MIME_H

#include <stddef.h>

#define MIME_GLOBS2 "/usr/share/mime/globs2"
#define MIME_TYPES  "/etc/mime.types"

struct mime;

/* mime_load: reads globs2, or mime_types where that does not exist. Blocks on the local disk. -ENOENT where neither
 * does, -errno, -ENOMEM. */
int mime_load(struct mime **, const char *globs2, const char *mime_types);
void mime_free(struct mime *); /* accepts NULL */
/* mime_lookup: the types of a file's name (len bytes, no '/'), NULL-terminated, the mime's; NULL where the database
 * does not know it. The longest known extension decides; upper case is tried as written, then as lower case. */
char *const *mime_lookup(const struct mime *, const char *name, size_t len);

#endif
