/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "replay.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512

static void die(const char *what)
{
	fprintf(stderr, "replay: %s: %s\n", what, strerror(errno));
	abort();
}

const void *entry_data(const struct log_entry *e)
{
	return e + 1;
}

void replay_load(struct replay *r, const char *path)
{
	struct stat st;
	size_t off = 0, cap = 0;
	FILE *f = fopen(path, "rb");

	memset(r, 0, sizeof(*r));
	if (!f || fstat(fileno(f), &st) < 0 || !(r->bytes = malloc((size_t)st.st_size + 1)) ||
		fread(r->bytes, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
		die(path);
	fclose(f);
	while (off + sizeof(struct log_entry) <= (size_t)st.st_size) {
		struct log_entry *e = (void *)(r->bytes + off);

		if (r->count == cap &&
			!(r->entry = realloc(r->entry, (cap = cap ? cap * 2 : 4096) * sizeof(*r->entry))))
			die("memory");
		r->entry[r->count++] = e;
		if (e->id >= r->ids)
			r->ids = e->id + 1;
		off += sizeof(*e) + e->data_len;
	}
	if (off != (size_t)st.st_size)
		die("a log cut short");
}

void replay_free(struct replay *r)
{
	free(r->bytes);
	free(r->entry);
}

/* One file or directory while a cut is made. */
struct node {
	char *path; /* relative; NULL: has no name on this disk */
	bool exact;
	size_t cover; /* entries before this one are synced */
	size_t keep;  /* directories: changes of names before this one are there */
};

struct cut {
	const struct replay *r;
	size_t upto;
	int dir;
	const char *const *exact;
	unsigned *seed;
	struct node *node;
};

static bool below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return strncmp(path, top, n) == 0 && (path[n] == '/' || path[n] == 0);
}

static bool is_exact(const struct cut *c, const char *path)
{
	for (size_t i = 0; c->exact[i]; i++)
		if (below(path, c->exact[i]))
			return true;
	return false;
}

static char *join(const char *dir, const char *name, size_t len)
{
	char *out = malloc(strlen(dir) + len + 2);

	if (!out)
		die("memory");
	sprintf(out, "%s%s%.*s", strcmp(dir, ".") == 0 ? "" : dir, strcmp(dir, ".") == 0 ? "" : "/", (int)len, name);
	return out;
}

static struct node *by_path(struct cut *c, const char *path)
{
	for (uint64_t i = 0; i < c->r->ids; i++)
		if (c->node[i].path && strcmp(c->node[i].path, path) == 0)
			return &c->node[i];
	return NULL;
}

/* Which entries are promised, and how many of the later changes of its names each directory keeps. */
static void find_covers(struct cut *c)
{
	for (size_t i = 0; i < c->upto; i++) {
		const struct log_entry *e = c->r->entry[i];

		if (e->kind != LOG_SYNC)
			continue;
		for (uint64_t id = 0; id < c->r->ids; id++)
			if ((e->id == 0 || e->id == id) && e->off > c->node[id].cover)
				c->node[id].cover = e->off;
	}
	for (uint64_t id = 0; id < c->r->ids; id++) {
		size_t open = c->upto - c->node[id].cover;

		c->node[id].keep =
			c->node[id].cover + (rand_r(c->seed) % 3 == 0 ? 0 : (size_t)rand_r(c->seed) % (open + 1));
	}
}

static void name_made(struct cut *c, const struct log_entry *e, struct node *dir)
{
	struct node *n = &c->node[e->id];
	int fd;

	free(n->path);
	n->path = join(dir->path, entry_data(e), e->data_len);
	n->exact = is_exact(c, n->path);
	if (e->kind == LOG_MKDIR) {
		if (mkdirat(c->dir, n->path, 0700) < 0 && errno != EEXIST)
			die(n->path);
		return;
	}
	if ((fd = openat(c->dir, n->path, O_WRONLY | O_CREAT, 0600)) < 0)
		die(n->path);
	close(fd);
}

static void name_moved(struct cut *c, const struct log_entry *e, struct node *dir)
{
	const char *old = entry_data(e), *new = old + strlen(old) + 1;
	struct node *to_dir = &c->node[e->off];
	char *from = join(dir->path, old, strlen(old)), *to;
	struct node *moved = by_path(c, from), *over;

	/* a rename is in both directories or in none: what only one of them has synced is not modelled */
	if (dir != to_dir && !dir->exact)
		die("a rename across directories that lose power");
	to = join(to_dir->path, new, e->data_len - strlen(old) - 1);
	over = by_path(c, to);
	if (renameat(c->dir, from, c->dir, to) < 0 && errno != ENOENT)
		die(from);
	if (over && over != moved) {
		free(over->path);
		over->path = NULL;
	}
	if (moved) {
		free(moved->path);
		moved->path = to;
		to = NULL;
	}
	free(from);
	free(to);
}

static void name_lost(struct cut *c, const struct log_entry *e, struct node *dir)
{
	char *path = join(dir->path, entry_data(e), e->data_len);
	struct node *n = by_path(c, path);

	if (unlinkat(c->dir, path, 0) < 0 && unlinkat(c->dir, path, AT_REMOVEDIR) < 0 && errno != ENOENT &&
		errno != ENOTEMPTY)
		die(path);
	if (n) {
		free(n->path);
		n->path = NULL;
	}
	free(path);
}

static void change_name(struct cut *c, size_t i)
{
	const struct log_entry *e = c->r->entry[i];
	struct node *dir = &c->node[e->dir];

	if (e->kind == LOG_FILE) {
		struct node *n = &c->node[e->id];

		n->path = strndup(entry_data(e), e->data_len);
		n->exact = is_exact(c, n->path);
		return;
	}
	if (e->kind < LOG_CREATE || e->kind > LOG_LINK || !dir->path || (i >= dir->keep && !dir->exact))
		return;
	if (e->kind == LOG_UNLINK)
		name_lost(c, e, dir);
	else if (e->kind == LOG_RENAME)
		name_moved(c, e, dir);
	else
		name_made(c, e, dir);
}

static void write_torn(struct cut *c, int fd, const struct log_entry *e)
{
	const char *data = entry_data(e);

	for (uint32_t at = 0; at < e->data_len;) {
		uint32_t n = SECTOR - (uint32_t)((e->off + at) % SECTOR);

		if (n > e->data_len - at)
			n = e->data_len - at;
		if (rand_r(c->seed) % 2 && pwrite(fd, data + at, n, (off_t)(e->off + at)) != (ssize_t)n)
			die("write");
		at += n;
	}
}

static void change_content(struct cut *c, int fd, const struct log_entry *e, bool promised)
{
	unsigned fate = promised ? 1 : (unsigned)rand_r(c->seed) % 3; /* lost, done, torn */
	struct stat st;
	int rc = 0;

	if (fate == 0)
		return;
	if (e->kind == LOG_WRITE && fate == 2)
		write_torn(c, fd, e);
	else if (e->kind == LOG_WRITE)
		rc = pwrite(fd, entry_data(e), e->data_len, (off_t)e->off) == (ssize_t)e->data_len ? 0 : -1;
	else if (e->kind == LOG_SIZE)
		rc = ftruncate(fd, (off_t)e->off);
	else if (e->kind == LOG_PUNCH)
		rc = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)e->off, (off_t)e->len);
	else if (e->kind == LOG_GROW && fstat(fd, &st) == 0 && (uint64_t)st.st_size < e->off)
		rc = ftruncate(fd, (off_t)e->off);
	if (rc < 0)
		die("content");
}

static void change_contents(struct cut *c)
{
	int *fd = malloc(c->r->ids * sizeof(*fd));

	if (!fd)
		die("memory");
	for (uint64_t id = 0; id < c->r->ids; id++)
		fd[id] = -1;
	for (size_t i = 0; i < c->upto; i++) {
		const struct log_entry *e = c->r->entry[i];
		struct node *n = &c->node[e->id];

		if (e->kind < LOG_WRITE || e->kind > LOG_PUNCH || !n->path)
			continue;
		if (fd[e->id] < 0 && (fd[e->id] = openat(c->dir, n->path, O_RDWR)) < 0) {
			if (errno == ENOENT) /* an unnamed file that never got a name */
				continue;
			die(n->path);
		}
		change_content(c, fd[e->id], e, i < n->cover || n->exact);
	}
	for (uint64_t id = 0; id < c->r->ids; id++)
		if (fd[id] >= 0)
			close(fd[id]);
	free(fd);
}

void replay_cut(const struct replay *r, size_t upto, const char *dir, const char *const *exact, unsigned *seed)
{
	struct cut c = { .r = r, .upto = upto, .exact = exact, .seed = seed };

	c.dir = open(dir, O_RDONLY | O_DIRECTORY);
	c.node = calloc(r->ids + 1, sizeof(*c.node));
	if (c.dir < 0 || !c.node)
		die(dir);
	find_covers(&c);
	for (size_t i = 0; i < upto; i++)
		change_name(&c, i);
	change_contents(&c);
	for (uint64_t id = 0; id < r->ids; id++)
		free(c.node[id].path);
	free(c.node);
	close(c.dir);
}
