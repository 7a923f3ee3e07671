/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/posix/posix.h"

#include <grp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define FAILURES_SHOWN 30

static int failures;
static char said[256];

/* ---- expectations ------------------------------------------------------------------------------------------------ */

__attribute__((format(printf, 3, 4))) static void failure(const char *file, int line, const char *format, ...)
{
	const char *base = strrchr(file, '/');
	va_list ap;

	if (++failures > FAILURES_SHOWN)
		return;
	printf("  %s:%d: %s%s", base ? base + 1 : file, line, said, said[0] ? ": " : "");
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

static const char *error_name(int error)
{
	const char *name = error ? strerrorname_np(error) : "success";

	return name ? name : "unknown";
}

long expect_ok(const char *file, int line, const char *what, long rc)
{
	if (rc == -1)
		failure(file, line, "%s: %s", what, error_name(errno));
	return rc;
}

void expect_fails(const char *file, int line, const char *what, long rc, int wanted)
{
	int got = rc == -1 ? errno : 0;

	if (got != wanted)
		failure(file, line, "%s: %s, wanted %s", what, error_name(got), error_name(wanted));
}

void expect_equal(const char *file, int line, const char *what, long long got, long long wanted)
{
	if (got != wanted)
		failure(file, line, "%s: %lld (%#llx), wanted %lld (%#llx)", what, got, (unsigned long long)got, wanted,
			(unsigned long long)wanted);
}

void expect_text(const char *file, int line, const char *what, const char *got, const char *wanted)
{
	if (strcmp(got, wanted) != 0)
		failure(file, line, "%s: '%s', wanted '%s'", what, got, wanted);
}

void context(const char *format, ...)
{
	va_list ap;

	said[0] = 0;
	if (!format)
		return;
	va_start(ap, format);
	vsnprintf(said, sizeof(said), format, ap);
	va_end(ap);
}

void give_up(const char *what)
{
	printf("  %s%scannot go on: %s: %s\n", said, said[0] ? ": " : "", what, strerror(errno));
	fflush(stdout);
	exit(1);
}

/* ---- users ---------------------------------------------------------------------------------------------------------
 */

static const struct {
	uid_t uid;
	gid_t gid;
	size_t group_count;
	gid_t groups[2];
} users[] = {
	[ROOT] = { 0, 0, 1, { 0 } },
	[ANN] = { ANN_ID, ANN_ID, 1, { ANN_ID } },
	[BOB] = { BOB_ID, BOB_ID, 2, { BOB_ID, SHARED_GID } },
	[CLEO] = { CLEO_ID, SHARED_GID, 1, { SHARED_GID } },
};

void be(enum who who)
{
	if (seteuid(0) < 0 || setegid(users[who].gid) < 0 || setgroups(users[who].group_count, users[who].groups) < 0 ||
		seteuid(users[who].uid) < 0)
		give_up("to be another user");
}

/* ---- files ---------------------------------------------------------------------------------------------------------
 */

void write_all(int fd, const void *data, size_t len)
{
	if (write(fd, data, len) != (ssize_t)len)
		give_up("write");
}

void make_file(const char *path, mode_t mode, const char *content)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	if (fd < 0)
		give_up(path);
	write_all(fd, content, strlen(content));
	if (fchmod(fd, mode) < 0)
		give_up(path);
	close(fd);
}

void make_owned(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	make_file(path, 0600, "");
	if (chown(path, uid, gid) < 0 || chmod(path, mode) < 0)
		give_up(path);
}

void make_dir(const char *path, mode_t mode)
{
	if (mkdir(path, 0700) < 0 || chmod(path, mode) < 0)
		give_up(path);
}

static void make_socket(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(addr.sun_path, path, sizeof(addr.sun_path) - 1);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		give_up(path);
	close(fd);
}

void make_kind(const char *path, char kind)
{
	char inner[PATH_MAX];

	switch (kind) {
	case 'f':
		make_file(path, 0644, path);
		break;
	case 'D':
	case 'd':
		make_dir(path, 0755);
		snprintf(inner, sizeof(inner), "%s/inner", path);
		if (kind == 'D')
			make_file(inner, 0644, "");
		break;
	case 'l':
		if (symlink("nowhere", path) < 0)
			give_up(path);
		break;
	case 'p':
		if (mkfifo(path, 0644) < 0)
			give_up(path);
		break;
	case 's':
		make_socket(path);
		break;
	default:
		break;
	}
}

void remove_kind(const char *path)
{
	char inner[PATH_MAX];

	snprintf(inner, sizeof(inner), "%s/inner", path);
	unlink(inner);
	if (remove(path) < 0 && errno != ENOENT)
		give_up(path);
}

char kind_of(const char *path)
{
	char inner[PATH_MAX];
	struct stat st;

	if (lstat(path, &st) < 0)
		return '-';
	snprintf(inner, sizeof(inner), "%s/inner", path);
	switch (st.st_mode & S_IFMT) {
	case S_IFDIR:
		return there(inner) ? 'D' : 'd';
	case S_IFREG:
		return 'f';
	case S_IFLNK:
		return 'l';
	case S_IFIFO:
		return 'p';
	case S_IFSOCK:
		return 's';
	default:
		return 'c';
	}
}

struct stat stat_of(const char *path)
{
	struct stat st = { 0 };

	if (lstat(path, &st) < 0)
		give_up(path);
	return st;
}

struct stat stat_fd(int fd)
{
	struct stat st = { 0 };

	if (fstat(fd, &st) < 0)
		give_up("fstat");
	return st;
}

bool there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

bool content_is(const char *path, const char *wanted)
{
	char got[4096];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, got, sizeof(got));

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(wanted) && memcmp(got, wanted, (size_t)n) == 0;
}

void *room(size_t len)
{
	void *p = calloc(1, len);

	if (!p)
		give_up("memory");
	return p;
}

bool all_zero(const void *data, size_t len)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++)
		if (bytes[i])
			return false;
	return true;
}

void pattern(uint8_t *out, size_t len, uint64_t seed)
{
	uint64_t x = seed * 0x9E3779B97F4A7C15ull + 1;

	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		out[i] = (uint8_t)(x | 1); /* never zero, so that holes are told apart */
	}
}

/* ---- time ----------------------------------------------------------------------------------------------------------
 */

int time_compare(struct timespec a, struct timespec b)
{
	if (a.tv_sec != b.tv_sec)
		return a.tv_sec < b.tv_sec ? -1 : 1;
	return (a.tv_nsec > b.tv_nsec) - (a.tv_nsec < b.tv_nsec);
}

void tick(void)
{
	struct timespec from, now, step = { .tv_nsec = 1000000 };

	clock_gettime(CLOCK_REALTIME, &from); /* a stamp may come from either clock */
	do {
		nanosleep(&step, NULL);
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
	} while (time_compare(now, from) <= 0);
}

/* ---- processes -----------------------------------------------------------------------------------------------------
 */

pid_t start_child(void (*fn)(void *), void *arg)
{
	pid_t pid;

	fflush(stdout);
	if ((pid = fork()) < 0)
		give_up("fork");
	if (pid > 0)
		return pid;
	failures = 0;
	fn(arg);
	if (failures > FAILURES_SHOWN)
		printf("  and %d more\n", failures - FAILURES_SHOWN);
	fflush(stdout);
	_exit(failures > 0 ? 1 : 0);
}

void join_child(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) < 0 || status != 0)
		failures++;
}

void in_child(void (*fn)(void *), void *arg)
{
	join_child(start_child(fn, arg));
}
