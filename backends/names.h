/* SPDX-License-Identifier: GPL-3.0-or-later */
/* names: what one directory holds, for drivers whose keys are paths: in the order of whole keys. */
#ifndef BACKENDS_NAMES_H
#define BACKENDS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct name {
	char *text; /* a directory's ends in '/': so it sorts as its keys do */
	uint64_t size;
	int64_t mtime_ns;
};

struct names {
	struct name *v;
	size_t count, cap;
};
/* names_add: copies the text. -ENOMEM, -ERR_PROTOCOL where the directory has more than any of ours. */
int names_add(struct names *, const char *text, bool directory, uint64_t size, int64_t mtime_ns);
void names_sort(struct names *);
void names_free(struct names *);

/* names_good_path: no component is empty, too long, "." or "..": nothing of a key may leave the backend's directory.
 * The first is not reserved either. */
bool names_good_path(const char *path, const char *reserved);

#endif
