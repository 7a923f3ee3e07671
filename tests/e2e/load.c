/* SPDX-License-Identifier: GPL-3.0-or-later */
/* load run DIR SECONDS SEED STATE: four threads, each in a directory of its own, make, change, rename, read and remove
 * files below DIR for so long; STATE then holds what must be there. load verify DIR STATE: compare all of it.
 *
 * A file is whole pages, and a page is known by the number that its bytes are drawn from, so that every read can be
 * checked; 0 is a hole. Status 0; 1 with a line for the first difference of each thread; 2 for another failure. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define THREADS	  4u
#define FILES	  48u
#define NAMES	  8u	/* that each file may have: names that are not there any more are remembered, too */
#define PAGES_MAX 1280u /* 5 MiB: two blocks */
#define PAGE	  4096u

struct file {
	bool there;
	uint32_t name, attr, pages; /* attr: the value of user.load; 0: none */
	uint32_t page[PAGES_MAX];
};

struct worker {
	uint32_t index;
	uint64_t seed, operations;
	struct file *files;
	int dir, status;
	uint8_t buf[PAGES_MAX * PAGE];
};

static time_t end;

/* splitmix64, public domain, Sebastiano Vigna */
static uint64_t mix(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint32_t below(struct worker *w, uint32_t n)
{
	return (uint32_t)(mix(&w->seed) % n);
}

/* A number that no page and no attribute had before, as good as certainly. */
static uint32_t fresh(struct worker *w)
{
	return (uint32_t)mix(&w->seed) | 1;
}

static void page_fill(uint8_t *to, uint32_t from)
{
	uint64_t state = from;

	if (!from) {
		memset(to, 0, PAGE);
		return;
	}
	for (size_t i = 0; i < PAGE; i += 8) {
		uint64_t r = mix(&state);

		memcpy(to + i, &r, 8);
	}
}

/* One of the file's own names, another than it has. */
static uint32_t fresh_name(struct worker *w, const struct file *f)
{
	uint32_t first = (uint32_t)(f - w->files) * NAMES;

	return first + (f->name - first + 1 + below(w, NAMES - 1)) % NAMES;
}

/* The first failure of a thread is said, and ends it. */
static bool check(struct worker *w, bool ok, int status, const char *what, const struct file *f)
{
	if (ok || w->status)
		return ok;
	fprintf(stderr, "thread %u, file %08x: %s: %s\n", w->index, f ? f->name : 0, what,
		status == 2 ? strerror(errno) : "not what was written");
	w->status = status;
	return false;
}

static const char *name_of(char *to, uint32_t name)
{
	sprintf(to, "%08x", name);
	return to;
}

static int file_open(struct worker *w, const struct file *f, int flags)
{
	char name[16];
	int fd = openat(w->dir, name_of(name, f->name), flags, 0644);

	check(w, fd >= 0, 2, "open", f);
	return fd;
}

static void file_close(struct worker *w, const struct file *f, int fd)
{
	if (fd >= 0)
		check(w, close(fd) == 0, 2, "close", f);
}

/* ---- operations ---- */

static void pages_write(struct worker *w, struct file *f, int fd, uint32_t from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		page_fill(w->buf + (size_t)i * PAGE, f->page[from + i] = fresh(w));
	for (uint32_t i = f->pages; i < from; i++)
		f->page[i] = 0;
	f->pages = f->pages < from + n ? from + n : f->pages;
	check(w, pwrite(fd, w->buf, (size_t)n * PAGE, (off_t)from * PAGE) == (ssize_t)((size_t)n * PAGE), 2, "write",
		f);
}

/* Most files are small. */
static uint32_t some_pages(struct worker *w)
{
	return 1 + below(w, below(w, 8) ? 16 : PAGES_MAX);
}

static void rewrite(struct worker *w, struct file *f)
{
	int fd;

	if (!f->there) {
		f->name = fresh_name(w, f);
		f->attr = 0;
	}
	fd = file_open(w, f, O_WRONLY | O_CREAT | O_TRUNC);
	f->there = true;
	f->pages = 0;
	if (fd >= 0)
		pages_write(w, f, fd, 0, some_pages(w));
	file_close(w, f, fd);
}

static void change(struct worker *w, struct file *f)
{
	int fd = file_open(w, f, O_WRONLY);

	for (uint32_t i = below(w, 4); fd >= 0 && i < 4; i++) {
		uint32_t from = below(w, PAGES_MAX - 8);

		if (from < f->pages + 64)
			pages_write(w, f, fd, from, 1 + below(w, 8));
	}
	if (fd >= 0 && !below(w, 4))
		check(w, fsync(fd) == 0, 2, "fsync", f);
	file_close(w, f, fd);
}

static void cut(struct worker *w, struct file *f)
{
	uint32_t pages = below(w, f->pages + 8);
	int fd = file_open(w, f, O_WRONLY);

	pages = pages < PAGES_MAX ? pages : PAGES_MAX;
	for (uint32_t i = f->pages; i < pages; i++)
		f->page[i] = 0;
	f->pages = pages;
	if (fd >= 0)
		check(w, ftruncate(fd, (off_t)pages * PAGE) == 0, 2, "truncate", f);
	file_close(w, f, fd);
}

static void punch(struct worker *w, struct file *f)
{
	uint32_t from = below(w, f->pages + 1), n = 1 + below(w, 32);
	int fd = file_open(w, f, O_WRONLY);

	for (uint32_t i = from; i < f->pages && i < from + n; i++)
		f->page[i] = 0;
	if (fd >= 0)
		check(w,
			fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from * PAGE,
				(off_t)n * PAGE) == 0,
			2, "punch", f);
	file_close(w, f, fd);
}

static void renamed(struct worker *w, const struct file *f, uint32_t name)
{
	char from[16], to[16];

	check(w, renameat(w->dir, name_of(from, f->name), w->dir, name_of(to, name)) == 0, 2, "rename", f);
}

/* To another name, or over another file, whose name it has then. */
static void move(struct worker *w, struct file *f)
{
	struct file *other = &w->files[below(w, FILES)];
	bool over = other->there && other != f;
	uint32_t name = over ? other->name : fresh_name(w, f);

	renamed(w, f, name);
	if (!over) {
		f->name = name;
		return;
	}
	*other = *f;
	other->name = name;
	f->there = false;
}

static void drop(struct worker *w, struct file *f)
{
	char name[16];

	check(w, unlinkat(w->dir, name_of(name, f->name), 0) == 0, 2, "unlink", f);
	f->there = false;
}

static void note(struct worker *w, struct file *f)
{
	int fd = file_open(w, f, O_RDONLY);

	f->attr = fresh(w);
	if (fd >= 0)
		check(w, fsetxattr(fd, "user.load", &f->attr, sizeof f->attr, 0) == 0, 2, "setxattr", f);
	file_close(w, f, fd);
}

static void attr_check(struct worker *w, const struct file *f, int fd)
{
	uint32_t got = 0;
	ssize_t n = fgetxattr(fd, "user.load", &got, sizeof got);

	if (n < 0 && errno != ENODATA)
		check(w, false, 2, "getxattr", f);
	else
		check(w, got == f->attr, 1, "its attribute", f);
}

static void look(struct worker *w, struct file *f)
{
	int fd = file_open(w, f, O_RDONLY);
	uint8_t wanted[PAGE];
	ssize_t n;

	if (fd < 0)
		return;
	n = pread(fd, w->buf, sizeof w->buf, 0);
	if (check(w, n >= 0, 2, "read", f) && check(w, (size_t)n == (size_t)f->pages * PAGE, 1, "its length", f))
		for (uint32_t i = 0; i < f->pages; i++) {
			page_fill(wanted, f->page[i]);
			check(w, !memcmp(wanted, w->buf + (size_t)i * PAGE, PAGE), 1, "its content", f);
		}
	attr_check(w, f, fd);
	file_close(w, f, fd);
}

static void step(struct worker *w)
{
	static void (*const operations[])(struct worker *, struct file *) = { rewrite, rewrite, change, change, cut,
		punch, move, drop, note, look, look, look };
	struct file *f = &w->files[below(w, FILES)];

	if (f->there)
		operations[below(w, sizeof operations / sizeof *operations)](w, f);
	else
		rewrite(w, f);
	w->operations++;
}

/* ---- threads ---- */

static void *run(void *arg)
{
	struct worker *w = arg;

	while (!w->status && time(NULL) < end)
		step(w);
	return NULL;
}

static void *verify(void *arg)
{
	struct worker *w = arg;

	for (uint32_t i = 0; i < FILES; i++)
		if (w->files[i].there)
			look(w, &w->files[i]);
	return NULL;
}

static bool dir_open(struct worker *w, const char *top)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%u", top, w->index);
	return (mkdir(path, 0755) == 0 || errno == EEXIST) && (w->dir = open(path, O_RDONLY | O_DIRECTORY)) >= 0;
}

static int threads_run(struct worker *workers, void *(*body)(void *))
{
	pthread_t thread[THREADS];
	uint64_t operations = 0;
	int status = 0;

	for (uint32_t i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, body, &workers[i]) != 0)
			exit(2);
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		operations += workers[i].operations;
		status = workers[i].status > status ? workers[i].status : status;
	}
	if (operations)
		printf("%llu operations\n", (unsigned long long)operations);
	return status;
}

int main(int argc, char **argv)
{
	bool running = argc == 6 && !strcmp(argv[1], "run");
	struct worker *workers = calloc(THREADS, sizeof *workers);
	struct file *files = calloc((size_t)THREADS * FILES, sizeof *files);
	FILE *state = NULL;
	int status;

	if ((!running && (argc != 4 || strcmp(argv[1], "verify") != 0)) || !workers || !files)
		return 2;
	if (!(state = fopen(argv[argc - 1], running ? "w" : "r")) ||
		(!running && fread(files, sizeof *files, (size_t)THREADS * FILES, state) != (size_t)THREADS * FILES)) {
		perror(argv[argc - 1]);
		return 2;
	}
	for (uint32_t i = 0; i < THREADS; i++) {
		workers[i].index = i;
		workers[i].files = &files[(size_t)i * FILES];
		workers[i].seed = running ? strtoull(argv[4], NULL, 10) * THREADS + i : 0;
		if (!dir_open(&workers[i], argv[2])) {
			perror(argv[2]);
			return 2;
		}
	}
	end = running ? time(NULL) + atol(argv[3]) : 0;
	status = threads_run(workers, running ? run : verify);
	if (running && fwrite(files, sizeof *files, (size_t)THREADS * FILES, state) != (size_t)THREADS * FILES)
		status = 2;
	if (fclose(state) != 0)
		status = 2;
	free(files);
	free(workers);
	return status;
}
