/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/realdir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* the last component of path goes before rest */
static int shift(char *path, char **rest)
{
	char *slash = strrchr(path, '/'), *longer;

	if (slash[1] && strcmp(slash + 1, ".") != 0) {
		if (asprintf(&longer, "%s%s%s", slash + 1, **rest ? "/" : "", *rest) < 0)
			return -ENOMEM;
		free(*rest);
		*rest = longer;
	}
	*slash = 0;
	return 0;
}

/* the real path of the deepest directory that is there, malloc'd; what is left of path is in *rest */
static char *deepest(const char *path, char **rest)
{
	char *left = strdup(path), *real = NULL;

	while (left && *left && !(real = realpath(left, NULL)))
		if (errno == ENOMEM || shift(left, rest) < 0)
			break;
	if (left && !*left)
		real = strdup("/");
	free(left);
	return real;
}

static int add(struct realdir *d, const char *path)
{
	struct statx st;
	struct realdir_id *ids;

	/* with what the kernel knows: one that does not answer is asked nothing more */
	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &st) < 0)
		return 0;
	ids = realloc(d->ids, (d->count + 1) * sizeof *ids);
	if (!ids)
		return -ENOMEM;
	d->ids = ids;
	ids[d->count++] =
		(struct realdir_id){ .dev = makedev(st.stx_dev_major, st.stx_dev_minor), .ino = (ino_t)st.stx_ino };
	return 0;
}

static int add_all(struct realdir *d, char *real)
{
	int rc = 0;

	while (rc == 0 && real[1]) {
		char *slash = strrchr(real, '/');

		rc = add(d, real);
		slash[slash == real] = 0;
	}
	return rc < 0 ? rc : add(d, real);
}

int realdir_init(struct realdir *d, const char *path)
{
	char *real;
	int rc = -ENOMEM;

	*d = (struct realdir){ .rest = strdup("") };
	real = d->rest ? deepest(path, &d->rest) : NULL;
	if (real)
		rc = add_all(d, real);
	free(real);
	if (rc < 0)
		realdir_free(d);
	return rc;
}

void realdir_free(struct realdir *d)
{
	free(d->ids);
	free(d->rest);
	*d = (struct realdir){ 0 };
}

static bool same(const struct realdir_id *a, const struct realdir_id *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

static bool below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (!path[len] || path[len] == '/');
}

/* a is b, or lies in it */
static bool within(const struct realdir *a, const struct realdir *b)
{
	if (!a->count || !b->count)
		return false;
	if (*b->rest)
		return same(&a->ids[0], &b->ids[0]) && below(a->rest, b->rest);
	for (size_t i = 0; i < a->count; i++)
		if (same(&a->ids[i], &b->ids[0]))
			return true;
	return false;
}

const char *realdir_relation(const struct realdir *a, const struct realdir *b)
{
	bool inner = within(a, b), outer = within(b, a);

	return inner && outer ? "is" : inner ? "lies in" : outer ? "holds" : NULL;
}
