/* SPDX-License-Identifier: GPL-3.0-or-later */
/* realdir: a directory, which need not be there yet, as the kernel knows it, so that two of them can be compared though
 * links, bind mounts or another spelling lead there. */
#ifndef CONFIG_REALDIR_H
#define CONFIG_REALDIR_H

#include <stddef.h>
#include <sys/types.h>

struct realdir_id {
	dev_t dev;
	ino_t ino;
};
struct realdir {
	struct realdir_id *ids; /* of what is there: from the deepest directory up to the root */
	size_t count;
	char *rest; /* below the deepest: "" or "a/b" */
};

/* realdir_init: path is absolute. What cannot be looked at counts as not there. -ENOMEM. Blocks on the disk that the
 * path leads to. */
int realdir_init(struct realdir *, const char *path);
void realdir_free(struct realdir *);
/* realdir_relation: how a lies to b, as a verb: "is", "lies in" or "holds"; NULL where they are apart. */
const char *realdir_relation(const struct realdir *a, const struct realdir *b);

#endif
