/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/expand.h"

#include "base/file.h"
#include "config/strv.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct expansion {
	char **files; /* found so far */
	struct errmsg *msg;
};

/* How a path was come by. */
struct step {
	const char *path;
	const char *rest; /* of the pattern, without a leading slash; "" after the last component */
	bool matched;	  /* the last component of path, by a wildcard */
	bool below;	  /* one before it */
};

static int expand_rest(struct expansion *, const char *path, const char *rest, bool below);

static int unreadable(struct expansion *x, const char *path, int err)
{
	return errmsg_set(x->msg, -err, "%s cannot be read: %s", path, err_text(-err));
}

static int missing(struct expansion *x, const char *what, const char *path)
{
	return errmsg_set(x->msg, -ENOENT, "there is no %s %s", what, path);
}

static int add_file(struct expansion *x, const struct step *s)
{
	struct stat st;

	/* one that a wildcard matched is there: if it cannot be opened its reader says so */
	if (s->matched || stat(s->path, &st) == 0)
		return strv_append(&x->files, strdup(s->path));
	if (errno != ENOENT)
		return unreadable(x, s->path, errno);
	return s->below ? 0 : missing(x, "file", s->path);
}

static int enter(struct expansion *x, const struct step *s)
{
	struct stat st;

	if (stat(s->path, &st) < 0)
		return errno == ENOENT && !s->matched ? missing(x, "directory", s->path)
						      : unreadable(x, s->path, errno);
	if (S_ISDIR(st.st_mode))
		return expand_rest(x, s->path, s->rest, s->below || s->matched);
	return s->matched ? 0 : unreadable(x, s->path, ENOTDIR);
}

static int take(struct expansion *x, const char *parent, const char *name, struct step s)
{
	const char *slash = *parent && parent[strlen(parent) - 1] == '/' ? "" : "/";
	char *path;
	int rc;

	if (asprintf(&path, "%s%s%s", parent, slash, name) < 0)
		return -ENOMEM;
	s.path = path;
	rc = *s.rest ? enter(x, &s) : add_file(x, &s);
	free(path);
	return rc;
}

static int list(struct expansion *x, const char *path, DIR *dir, const char *pattern, char ***names)
{
	struct dirent *e;

	while (errno = 0, (e = readdir(dir))) {
		int rc = fnmatch(pattern, e->d_name, FNM_PERIOD);

		if (rc == FNM_NOMATCH || strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (rc != 0)
			return errmsg_set(x->msg, -EILSEQ, "%s holds a name that cannot be matched", path);
		if (strv_append(names, strdup(e->d_name)) < 0)
			return -ENOMEM;
	}
	return errno ? unreadable(x, path, errno) : 0;
}

static int take_matches(struct expansion *x, const char *path, const char *pattern, struct step s)
{
	DIR *dir = opendir(*path ? path : "/");
	char **names = NULL;
	int rc;

	if (!dir)
		return errno == ENOENT ? missing(x, "directory", path) : unreadable(x, path, errno);
	rc = list(x, path, dir, pattern, &names);
	closedir(dir);
	for (size_t i = 0; rc == 0 && names && names[i]; i++)
		rc = take(x, path, names[i], s);
	strv_free(names);
	return rc;
}

/* rest is not empty */
static int expand_rest(struct expansion *x, const char *path, const char *rest, bool below)
{
	size_t len = strcspn(rest, "/");
	char *component = strndup(rest, len);
	struct step s = { .rest = rest + len + strspn(rest + len, "/"), .below = below };
	int rc;

	if (!component)
		return -ENOMEM;
	s.matched = strpbrk(component, "*?[\\") != NULL;
	rc = s.matched ? take_matches(x, path, component, s) : take(x, path, component, s);
	free(component);
	return rc;
}

static int path_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int expand(const char *pattern, const char *dir, char ***out, struct errmsg *msg)
{
	bool home = pattern[0] == '~' && pattern[1] == '/';
	const char *rest = home ? pattern + 2 : pattern;
	/* what the pattern is relative to is no part of it: there a '[' is a '[' */
	char *base = home ? file_expand("~", NULL) : strdup(*pattern == '/' ? "/" : dir);
	struct expansion x = { .msg = msg };
	int rc;

	*out = NULL;
	rest += strspn(rest, "/");
	if (!base)
		return -ENOMEM;
	rc = *rest ? expand_rest(&x, base, rest, false) : unreadable(&x, base, EISDIR);
	free(base);
	if (rc < 0) {
		strv_free(x.files);
		return rc;
	}
	/* byte order: the order of rules must not hang on the locale */
	if (x.files)
		qsort(x.files, strv_count(x.files), sizeof *x.files, path_cmp);
	*out = x.files;
	return 0;
}
