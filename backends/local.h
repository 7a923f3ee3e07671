/* SPDX-License-Identifier: GPL-3.0-or-later */
/* local: what the two files of the directory driver share. */
#ifndef BACKENDS_LOCAL_H
#define BACKENDS_LOCAL_H

#include "backends/backend.h"

#include <stdatomic.h>

/* Lies in the root of every directory that is a backend. It holds bodies that are being written, and it is the mark
 * that this is the directory meant: a disk that is not mounted leaves an empty one, in which nothing was deleted (I7).
 */
#define LOCAL_STATE_DIR ".borderfs"

struct local {
	struct backend backend;
	atomic_bool mark_seen; /* in this process: a root without it is another one from then on */
	atomic_bool cleaned;   /* what an earlier process left behind was removed */
};

/* local_root: opens the directory. -ERR_NO_BUCKET and others with a sentence. */
int local_root(struct local *, struct call *);
/* local_expects_mark: a root without the mark is not the one this backend had. */
static inline bool local_expects_mark(struct local *l)
{
	return l->backend.known || atomic_load(&l->mark_seen);
}
/* local_marked: 0 where the root has its mark, -ERR_NO_BUCKET with a sentence where not, or another error. */
int local_marked(struct local *, struct call *, int root);
/* local_parent: opens the directory that key (prefix included) lies in, without following links, and says where its
 * last name starts. With create missing directories are made, durably. -ENOENT, or an error with a sentence. */
int local_parent(struct local *, struct call *, int root, const char *path, bool create, const char **name);
/* local_path: prefix and key; malloc'd; NULL with -EINVAL or -ENOMEM in rc. */
char *local_path(struct local *, struct call *, const char *key, int *rc);
/* local_error: an errno of the directory as an error of a backend, with a sentence. */
int local_error(struct local *, struct call *, int error, const char *what);

/* local_put.c, local_list.c */
int local_put(struct backend *, struct call *, const char *key, struct source *);
int local_list(struct backend *, struct call *, int (*fn)(void *ctx, const struct backend_object *), void *ctx);

#endif
