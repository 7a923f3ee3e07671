/* SPDX-License-Identifier: GPL-3.0-or-later */
/* recorder: preloaded into a process, writes down what it does to the files below RECORD_ROOT, into RECORD_LOG.
 *
 * A lock around each call and its entry keeps the order of the log that of the disk. A sync is entered when it
 * returned, with the number of entries there were when it began: it promises those and no later ones. */
#include "log.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) (resolved ? 0 : resolve(), real_##name)
#define FUNCTIONS(X)                                                                                                   \
	X(int, open64, (const char *, int, ...))                                                                       \
	X(int, openat64, (int, const char *, int, ...))                                                                \
	X(ssize_t, pwrite64, (int, const void *, size_t, off_t))                                                       \
	X(ssize_t, write, (int, const void *, size_t))                                                                 \
	X(int, ftruncate64, (int, off_t))                                                                              \
	X(int, fallocate64, (int, int, off_t, off_t))                                                                  \
	X(int, fsync, (int))                                                                                           \
	X(int, fdatasync, (int))                                                                                       \
	X(int, syncfs, (int))                                                                                          \
	X(int, unlinkat, (int, const char *, int))                                                                     \
	X(int, renameat2, (int, const char *, int, const char *, unsigned))                                            \
	X(int, linkat, (int, const char *, int, const char *, int))                                                    \
	X(int, mkdirat, (int, const char *, mode_t))

#define X(ret, name, args) static ret(*real_##name) args;
FUNCTIONS(X)
#undef X
static int resolved;

static int resolve(void)
{
#define X(ret, name, args) *(void **)&real_##name = dlsym(RTLD_NEXT, #name);
	FUNCTIONS(X)
#undef X
	return resolved = 1;
}

/* Protects everything below, and the order of calls. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct known {
	ino_t ino;
	uint64_t id;
} * known;
static size_t known_count, known_cap;
static uint64_t next_id = 1, entries;
static int log_fd = -1;
static char root[PATH_MAX];
static size_t root_len;
static dev_t root_dev;

static void die(const char *what)
{
	fprintf(stderr, "recorder: %s: %s\n", what, strerror(errno));
	abort();
}

static void put(const void *data, size_t len)
{
	for (const char *p = data; len > 0;) {
		ssize_t n = REAL(write)(log_fd, p, len);

		if (n <= 0)
			die("log");
		p += n;
		len -= (size_t)n;
	}
}

static void enter(
	enum log_kind kind, uint64_t id, uint64_t dir, uint64_t off, uint64_t len, const void *data, size_t data_len)
{
	struct log_entry e = { kind, (uint32_t)data_len, id, dir, off, len };

	put(&e, sizeof(e));
	put(data, data_len);
	entries++;
}

static bool active(void)
{
	const char *log = getenv("RECORD_LOG"), *dir = getenv("RECORD_ROOT");
	struct stat st;

	if (log_fd >= 0)
		return true;
	if (!log || !dir || !realpath(dir, root) || stat(root, &st) < 0)
		return false;
	root_len = strlen(root);
	root_dev = st.st_dev;
	log_fd = REAL(open64)(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (log_fd < 0)
		die("log");
	return true;
}

static struct known *find(ino_t ino)
{
	for (size_t i = known_count; i > 0; i--)
		if (known[i - 1].ino == ino)
			return &known[i - 1];
	return NULL;
}

static uint64_t learn(ino_t ino)
{
	if (known_count == known_cap) {
		known_cap = known_cap ? known_cap * 2 : 256;
		if (!(known = realloc(known, known_cap * sizeof(*known))))
			die("memory");
	}
	known[known_count++] = (struct known){ ino, next_id };
	return next_id++;
}

/* The path of a descriptor below the root, relative; false for others. */
static bool fd_path(int fd, char *out, size_t len)
{
	char link[64], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if ((n = readlink(link, path, sizeof(path) - 1)) <= 0)
		return false;
	path[n] = 0;
	if (strncmp(path, root, root_len) != 0 || (path[root_len] != '/' && path[root_len] != 0))
		return false;
	snprintf(out, len, "%s", path[root_len] ? path + root_len + 1 : ".");
	return true;
}

/* The id of an open file or directory below the root; 0 for others. */
static uint64_t fd_id(int fd)
{
	char path[PATH_MAX];
	struct known *k;
	struct stat st;
	uint64_t id;

	if (!active() || fstat(fd, &st) < 0 || st.st_dev != root_dev || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		return 0;
	if ((k = find(st.st_ino)))
		return k->id;
	if (!fd_path(fd, path, sizeof(path)))
		return 0;
	id = learn(st.st_ino);
	enter(LOG_FILE, id, 0, S_ISDIR(st.st_mode), 0, path, strlen(path));
	return id;
}

/* The directory a path lies in, and its last component. */
static uint64_t dir_id(int at, const char *path, const char **name)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	uint64_t id;
	int fd;

	*name = slash ? slash + 1 : path;
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	if (slash == path)
		strcpy(dir, "/");
	if ((fd = REAL(openat64)(at, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return 0;
	id = fd_id(fd);
	close(fd);
	return id;
}

void recorder_mark(const void *data, size_t len);
void recorder_mark(const void *data, size_t len)
{
	pthread_mutex_lock(&lock);
	if (active())
		enter(LOG_MARK, 0, 0, 0, 0, data, len);
	pthread_mutex_unlock(&lock);
}

/* ---- names ---------------------------------------------------------------------------------------------------------
 */

static void entered_new(int fd, int at, const char *path)
{
	const char *name;
	uint64_t dir = dir_id(at, path, &name), id;
	struct stat st;

	if (!dir || fstat(fd, &st) < 0)
		return;
	id = learn(st.st_ino);
	enter(S_ISDIR(st.st_mode) ? LOG_MKDIR : LOG_CREATE, id, dir, 0, 0, name, strlen(name));
}

static int open_common(int at, const char *path, int flags, mode_t mode)
{
	bool there = !(flags & O_CREAT);
	int fd;

	pthread_mutex_lock(&lock);
	if (!there)
		there = faccessat(at, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	fd = REAL(openat64)(at, path, flags, mode);
	if (fd >= 0 && active()) {
		if (!there)
			entered_new(fd, at, path);
		else if (flags & O_TRUNC && fd_id(fd))
			enter(LOG_SIZE, fd_id(fd), 0, 0, 0, NULL, 0);
	}
	pthread_mutex_unlock(&lock);
	return fd;
}

#define OPEN_MODE(last)                                                                                                \
	mode_t mode = 0;                                                                                               \
	va_list ap;                                                                                                    \
	va_start(ap, last);                                                                                            \
	if (flags & (O_CREAT | __O_TMPFILE))                                                                           \
		mode = va_arg(ap, mode_t);                                                                             \
	va_end(ap)

int open64(const char *path, int flags, ...)
{
	OPEN_MODE(flags);
	return open_common(AT_FDCWD, path, flags, mode);
}

int openat64(int at, const char *path, int flags, ...)
{
	OPEN_MODE(flags);
	return open_common(at, path, flags, mode);
}

int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
	return open_common(AT_FDCWD, path, flags, 0);
}

int __openat64_2(int at, const char *path, int flags);
int __openat64_2(int at, const char *path, int flags)
{
	return open_common(at, path, flags, 0);
}

static int unlink_common(int at, const char *path, int flags)
{
	const char *name;
	uint64_t dir;
	int rc;

	pthread_mutex_lock(&lock);
	dir = dir_id(at, path, &name);
	rc = REAL(unlinkat)(at, path, flags);
	if (rc == 0 && dir)
		enter(LOG_UNLINK, 0, dir, 0, 0, name, strlen(name));
	pthread_mutex_unlock(&lock);
	return rc;
}

int unlink(const char *path)
{
	return unlink_common(AT_FDCWD, path, 0);
}

int unlinkat(int at, const char *path, int flags)
{
	return unlink_common(at, path, flags);
}

int rmdir(const char *path)
{
	return unlink_common(AT_FDCWD, path, AT_REMOVEDIR);
}

static int rename_common(int at, const char *path, int to_at, const char *to, unsigned flags)
{
	const char *name, *to_name;
	char both[2 * NAME_MAX + 2];
	uint64_t dir, to_dir;
	int rc;

	pthread_mutex_lock(&lock);
	dir = dir_id(at, path, &name);
	to_dir = dir_id(to_at, to, &to_name);
	rc = REAL(renameat2)(at, path, to_at, to, flags);
	if (rc == 0 && dir && to_dir) {
		int n = snprintf(both, sizeof(both), "%s%c%s", name, 0, to_name);

		enter(LOG_RENAME, 0, dir, to_dir, 0, both, (size_t)n);
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

int rename(const char *from, const char *to)
{
	return rename_common(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int at, const char *from, int to_at, const char *to)
{
	return rename_common(at, from, to_at, to, 0);
}

int renameat2(int at, const char *from, int to_at, const char *to, unsigned flags)
{
	return rename_common(at, from, to_at, to, flags);
}

/* Also from /proc/self/fd/N, as an unnamed file gets its name. */
int linkat(int at, const char *from, int to_at, const char *to, int flags)
{
	const char *name;
	uint64_t dir, id;
	int rc, fd;

	pthread_mutex_lock(&lock);
	dir = dir_id(to_at, to, &name);
	rc = REAL(linkat)(at, from, to_at, to, flags);
	if (rc == 0 && dir && (fd = REAL(openat64)(to_at, to, O_RDONLY | O_CLOEXEC)) >= 0) {
		id = fd_id(fd);
		close(fd);
		enter(LOG_LINK, id, dir, 0, 0, name, strlen(name));
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

int link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int mkdir_common(int at, const char *path, mode_t mode)
{
	int rc, fd;

	pthread_mutex_lock(&lock);
	rc = REAL(mkdirat)(at, path, mode);
	if (rc == 0 && active() && (fd = REAL(openat64)(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0) {
		entered_new(fd, at, path);
		close(fd);
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

int mkdir(const char *path, mode_t mode)
{
	return mkdir_common(AT_FDCWD, path, mode);
}

int mkdirat(int at, const char *path, mode_t mode)
{
	return mkdir_common(at, path, mode);
}

/* ---- content -------------------------------------------------------------------------------------------------------
 */

ssize_t pwrite64(int fd, const void *data, size_t len, off_t off)
{
	uint64_t id;
	ssize_t n;

	pthread_mutex_lock(&lock);
	id = fd_id(fd);
	n = REAL(pwrite64)(fd, data, len, off);
	if (n > 0 && id)
		enter(LOG_WRITE, id, 0, (uint64_t)off, 0, data, (size_t)n);
	pthread_mutex_unlock(&lock);
	return n;
}

ssize_t pwritev64(int fd, const struct iovec *v, int count, off_t off)
{
	ssize_t total = 0;

	for (int i = 0; i < count; i++) {
		ssize_t n = pwrite64(fd, v[i].iov_base, v[i].iov_len, off + total);

		if (n < 0)
			return total ? total : n;
		total += n;
		if ((size_t)n < v[i].iov_len)
			break;
	}
	return total;
}

ssize_t write(int fd, const void *data, size_t len)
{
	uint64_t id;
	off_t off;
	ssize_t n;

	pthread_mutex_lock(&lock);
	id = fd_id(fd);
	n = REAL(write)(fd, data, len);
	if (n > 0 && id && (off = lseek(fd, 0, SEEK_CUR)) >= n)
		enter(LOG_WRITE, id, 0, (uint64_t)(off - n), 0, data, (size_t)n);
	pthread_mutex_unlock(&lock);
	return n;
}

int ftruncate64(int fd, off_t size)
{
	uint64_t id;
	int rc;

	pthread_mutex_lock(&lock);
	id = fd_id(fd);
	rc = REAL(ftruncate64)(fd, size);
	if (rc == 0 && id)
		enter(LOG_SIZE, id, 0, (uint64_t)size, 0, NULL, 0);
	pthread_mutex_unlock(&lock);
	return rc;
}

int fallocate64(int fd, int mode, off_t off, off_t len)
{
	uint64_t id;
	int rc;

	pthread_mutex_lock(&lock);
	id = fd_id(fd);
	rc = REAL(fallocate64)(fd, mode, off, len);
	if (rc == 0 && id && mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		enter(LOG_PUNCH, id, 0, (uint64_t)off, (uint64_t)len, NULL, 0);
	else if (rc == 0 && id && !(mode & FALLOC_FL_KEEP_SIZE))
		enter(LOG_GROW, id, 0, (uint64_t)(off + len), 0, NULL, 0);
	pthread_mutex_unlock(&lock);
	return rc;
}

static int sync_common(int (*real)(int), int fd, bool all)
{
	uint64_t id, upto;
	int rc;

	pthread_mutex_lock(&lock);
	id = fd_id(fd);
	upto = entries;
	pthread_mutex_unlock(&lock);
	rc = real(fd);
	if (rc == 0 && id) {
		pthread_mutex_lock(&lock);
		enter(LOG_SYNC, all ? 0 : id, 0, upto, 0, NULL, 0);
		pthread_mutex_unlock(&lock);
	}
	return rc;
}

int fsync(int fd)
{
	return sync_common(REAL(fsync), fd, false);
}

int fdatasync(int fd)
{
	return sync_common(REAL(fdatasync), fd, false);
}

int syncfs(int fd)
{
	return sync_common(REAL(syncfs), fd, true);
}
