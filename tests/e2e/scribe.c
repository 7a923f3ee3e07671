/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scribe write DIR SHADOW SEED: change files in DIR, each change synced, until DIR fails; SHADOW holds what must be
 * there. scribe verify DIR SHADOW: compare, after a crash of what serves DIR, and let SHADOW be as DIR is.
 *
 * SHADOW/synced holds each file as it was when its last change was synced. A change that is under way is told by
 * SHADOW/pending, a line "KIND NAME", and SHADOW/new, the file as it shall be. So after a crash every file is as in
 * synced, but for the one of pending, which may be partly changed: page by page as before or as it shall be, or zeros
 * where it had nothing before; a file replaced by rename is the one or the other.
 *
 * Status 0; 1 with a line for each difference; 2 for a fault of this program's own directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES	   30u
#define PAGE	   4096u
#define BYTES_MAX  (9u << 20)
#define NAME_BYTES 64

enum kind { REWRITE, REPLACE, CHANGE, DELETE, KINDS };
static const char *const kind_names[] = { "rewrite", "replace", "change", "delete" };

static int dir, shadow, synced;
static uint64_t seed;

struct content {
	uint8_t *data;
	size_t len;
	bool there;
};

/* Our own directory is not what is tested. */
static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(2);
}

/* splitmix64, public domain, Sebastiano Vigna */
static uint64_t next_random(void)
{
	uint64_t z = (seed += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static void fill_random(uint8_t *to, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t r = next_random();

		memcpy(to + i, &r, len - i < 8 ? len - i : 8);
	}
}

/* Most are small, some of a few blocks. */
static size_t some_length(void)
{
	switch (next_random() % 16) {
	case 0:
		return next_random() % BYTES_MAX + 1;
	case 1 ... 5:
		return next_random() % 300000 + 1;
	default:
		return next_random() % 12000 + 1;
	}
}

static int write_all(int fd, const uint8_t *data, size_t len, off_t off)
{
	while (len) {
		ssize_t n = pwrite(fd, data, len, off);

		if (n < 0)
			return -1;
		data += n;
		off += n;
		len -= (size_t)n;
	}
	return 0;
}

/* 0, with there false where there is no such file; -1 */
static int load(int at, const char *name, struct content *c)
{
	int fd = openat(at, name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t n = 1;

	*c = (struct content){ 0 };
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	c->there = true;
	if (fstat(fd, &st) < 0 || !(c->data = malloc((size_t)st.st_size + 1)))
		n = -1;
	while (n > 0 && c->len <= (size_t)st.st_size) {
		n = read(fd, c->data + c->len, (size_t)st.st_size + 1 - c->len);
		c->len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	return n < 0 ? -1 : 0;
}

static void store(int at, const char *name, const struct content *c)
{
	int fd = openat(at, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(fd >= 0 && write_all(fd, c->data, c->len, 0) == 0, name);
	close(fd);
}

/* ---- writing ---- */

static int sync_dir(void)
{
	return fsync(dir);
}

static int put(const char *name, const struct content *c, int flags, size_t off)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600), rc;

	if (fd < 0)
		return -1;
	rc = write_all(fd, c->data + off, c->len - off, (off_t)off);
	if (rc == 0)
		rc = fsync(fd);
	close(fd);
	return rc;
}

/* The change of a part: from off to the end of what was written anew. */
static int put_part(const char *name, const struct content *c, size_t off, size_t end)
{
	struct content part = { c->data, end, true };

	return put(name, &part, 0, off);
}

static void announce(enum kind kind, const char *name, const struct content *c)
{
	char line[NAME_BYTES + 16];
	int fd, n = snprintf(line, sizeof(line), "%s %s\n", kind_names[kind], name);

	store(shadow, "new", c);
	fd = openat(shadow, "pending.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(fd >= 0 && write(fd, line, (size_t)n) == n, "pending");
	close(fd);
	must(renameat(shadow, "pending.tmp", shadow, "pending") == 0, "pending");
}

static void conclude(const char *name, bool there)
{
	if (there)
		must(renameat(shadow, "new", synced, name) == 0, "new");
	else
		must(unlinkat(synced, name, 0) == 0, name);
	must(unlinkat(shadow, "pending", 0) == 0, "pending");
}

static int replace(const char *name, const struct content *c)
{
	if (put("temporary", c, O_TRUNC, 0) < 0 || renameat(dir, "temporary", dir, name) < 0)
		return -1;
	return sync_dir();
}

/* One change. -1: dir failed. */
static int change_one(void)
{
	enum kind kind = (enum kind)(next_random() % KINDS);
	struct content c;
	char name[NAME_BYTES];
	size_t off = 0, end;
	int rc = -1;

	snprintf(name, sizeof(name), "%u", (unsigned)(next_random() % FILES));
	must(load(synced, name, &c) == 0, name);
	if (!c.there)
		kind = next_random() % 2 ? REWRITE : REPLACE;
	if (kind == CHANGE) {
		off = next_random() % (c.len + 1);
		end = off + some_length() / 4 + 1;
	} else {
		end = some_length();
	}
	must((c.data = realloc(c.data, (end > c.len ? end : c.len) + 1)) != NULL, "memory");
	fill_random(c.data + off, end - off);
	c.len = kind == CHANGE && c.len > end ? c.len : end;
	announce(kind, name, &c);
	switch (kind) {
	case REWRITE:
		rc = put(name, &c, O_TRUNC, 0);
		break;
	case REPLACE:
		rc = replace(name, &c);
		break;
	case CHANGE:
		rc = put_part(name, &c, off, end);
		break;
	case DELETE:
		rc = unlinkat(dir, name, 0) < 0 ? -1 : sync_dir();
		break;
	case KINDS:
		break;
	}
	if (rc == 0)
		conclude(name, kind != DELETE);
	free(c.data);
	return rc;
}

static int write_until_failure(void)
{
	unsigned n = 0;

	while (change_one() == 0)
		n++;
	fprintf(stderr, "scribe: %u changes, then: %s\n", n, strerror(errno));
	/* a full disk or a wrong answer is no crash */
	return errno == ENOTCONN || errno == ECONNABORTED || errno == EIO ? 0 : 1;
}

/* ---- verifying ---- */

static bool page_is(const struct content *c, const uint8_t *page, size_t off, size_t len)
{
	return off + len <= c->len && memcmp(c->data + off, page, len) == 0;
}

static bool is_zero(const uint8_t *page, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (page[i])
			return false;
	return true;
}

/* The page that a change ends in may be new up to there, and so a mixture that neither has. */
static bool page_mixed(
	const struct content *old, const struct content *new, const uint8_t *page, size_t off, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bool is_old = off + i < old->len && old->data[off + i] == page[i];
		bool is_new = off + i < new->len &&new->data[off + i] == page[i];

		if (!is_old && !is_new)
			return false;
	}
	return true;
}

static bool partly_changed(const struct content *now, const struct content *old, const struct content *new)
{
	if (now->len > (old->len > new->len ? old->len : new->len))
		return false;
	for (size_t off = 0; off < now->len; off += PAGE) {
		size_t len = now->len - off < PAGE ? now->len - off : PAGE;
		const uint8_t *page = now->data + off;

		if (!page_is(old, page, off, len) && !page_is(new, page, off, len) && !is_zero(page, len) &&
			!page_mixed(old, new, page, off, len))
			return false;
	}
	return true;
}

static bool same(const struct content *a, const struct content *b)
{
	return a->there == b->there && a->len == b->len && (!a->len || memcmp(a->data, b->data, a->len) == 0);
}

static bool pending_ok(const char *kind, const struct content *now, const struct content *old)
{
	struct content new;
	bool ok;

	must(load(shadow, "new", &new) == 0, "new");
	if (!strcmp(kind, "delete"))
		ok = !now->there || same(now, old);
	else if (!strcmp(kind, "replace") || !strcmp(kind, "rewrite") || !now->there)
		ok = same(now, old) || same(now, &new) || (!strcmp(kind, "rewrite") && partly_changed(now, old, &new));
	else
		ok = partly_changed(now, old, &new);
	free(new.data);
	return ok;
}

static int verify_one(const char *name, const char *kind)
{
	struct content now, old;
	bool ok;

	must(load(synced, name, &old) == 0, name);
	if (load(dir, name, &now) < 0) {
		printf("%s: cannot be read: %s\n", name, strerror(errno));
		free(old.data);
		return 1;
	}
	ok = kind ? pending_ok(kind, &now, &old) : same(&now, &old);
	if (!ok)
		printf("%s: %s, %zu bytes, %s; synced: %s, %zu bytes\n", name, kind ? kind : "unchanged", now.len,
			now.there ? "there" : "gone", old.there ? "there" : "gone", old.len);
	if (now.there)
		store(synced, name, &now);
	else if (old.there)
		must(unlinkat(synced, name, 0) == 0, name);
	free(now.data);
	free(old.data);
	return !ok;
}

static bool read_pending(char *kind, char *name)
{
	struct content c;
	bool is;

	must(load(shadow, "pending", &c) == 0, "pending");
	if (c.there)
		c.data[c.len] = '\0';
	is = c.there && sscanf((char *)c.data, "%15s %63s", kind, name) == 2;
	free(c.data);
	return is;
}

/* Nothing but our files is there. */
static int verify_names(void)
{
	DIR *d = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *e;
	int bad = 0;

	if (!d) {
		printf("the directory cannot be read: %s\n", strerror(errno));
		return 1;
	}
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.' || strspn(e->d_name, "0123456789") == strlen(e->d_name))
			continue;
		if (strcmp(e->d_name, "temporary")) {
			printf("%s: nobody made it\n", e->d_name);
			bad = 1;
		}
	}
	closedir(d);
	return bad;
}

static int verify(void)
{
	char kind[16], pending[NAME_BYTES], name[NAME_BYTES];
	bool is_pending = read_pending(kind, pending);
	int bad = verify_names();

	for (unsigned i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "%u", i);
		bad |= verify_one(name, is_pending && !strcmp(name, pending) ? kind : NULL);
	}
	if (unlinkat(dir, "temporary", 0) < 0 && errno != ENOENT) {
		printf("temporary: %s\n", strerror(errno));
		bad = 1;
	}
	if (is_pending)
		must(unlinkat(shadow, "pending", 0) == 0, "pending");
	return bad;
}

int main(int argc, char **argv)
{
	bool writes = argc == 5 && !strcmp(argv[1], "write");

	if (!writes && (argc != 4 || strcmp(argv[1], "verify")))
		return 2;
	dir = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		printf("%s: %s\n", argv[2], strerror(errno));
		return writes ? 0 : 1;
	}
	must(mkdir(argv[3], 0700) == 0 || errno == EEXIST, argv[3]);
	shadow = open(argv[3], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(shadow >= 0, argv[3]);
	must(mkdirat(shadow, "synced", 0700) == 0 || errno == EEXIST, "synced");
	synced = openat(shadow, "synced", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(synced >= 0, "synced");
	seed = writes ? strtoull(argv[4], NULL, 10) : 0;
	return writes ? write_until_failure() : verify();
}
