/* SPDX-License-Identifier: GPL-3.0-or-later */
/* posix: what programs expect of a filesystem on Linux, as cases that run on any directory. The expectation is what
 * ext4 does: the suite runs there first, to show that it is right itself.
 *
 * A case runs in a process and a directory of its own, which is its working directory, with umask 0, and uses relative
 * paths only. A failed expectation is printed and counted, and the case goes on. */
#ifndef TESTS_POSIX_POSIX_H
#define TESTS_POSIX_POSIX_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum needs {
	NEEDS_ROOT = 1, /* other users, devices, trusted attributes */
	NEEDS_DEV = 2,	/* a mount without nodev */
	NEEDS_TIME = 4, /* half a minute: only where TEST_SCALE is set */
	NEEDS_RELATIME = 8,
};

struct posix_case {
	const char *name;
	void (*run)(void);
	unsigned needs;
};

/* The subjects, each ended by an entry without a name. */
extern const struct posix_case cases_seek[], cases_acl[], cases_tmpfile[], cases_content[], cases_dir[], cases_errors[],
	cases_fallocate[], cases_limits[], cases_link[], cases_lock[], cases_mmap[], cases_open[], cases_owner[],
	cases_permission[], cases_rename[], cases_special[], cases_stat[], cases_times[], cases_xattr[];

/* ---- expectations ------------------------------------------------------------------------------------------------ */

long expect_ok(const char *file, int line, const char *what, long rc);
void expect_fails(const char *file, int line, const char *what, long rc, int wanted);
void expect_equal(const char *file, int line, const char *what, long long got, long long wanted);
void expect_text(const char *file, int line, const char *what, const char *got, const char *wanted);

/* OK: the call returns no -1; its value. FAILS: it returns -1 with this errno. */
#define OK(call)	   expect_ok(__FILE__, __LINE__, #call, (errno = 0, (long)(call)))
#define FAILS(error, call) expect_fails(__FILE__, __LINE__, #call, (errno = 0, (long)(call)), error)
#define EQUAL(got, wanted) expect_equal(__FILE__, __LINE__, #got, (long long)(got), (long long)(wanted))
#define TEXT(got, wanted)  expect_text(__FILE__, __LINE__, #got, got, wanted)
#define CHECK(condition)   expect_equal(__FILE__, __LINE__, #condition, (condition) ? 1 : 0, 1)

/* context: said with every failure from here on: which row of a table. NULL: nothing. */
__attribute__((format(printf, 1, 2))) void context(const char *format, ...);
/* give_up: what follows cannot be done at all. */
_Noreturn void give_up(const char *what);

/* ---- users ---------------------------------------------------------------------------------------------------------
 */

/* Numbers that stand in no /etc/passwd. Ann and Bob have a group of their own; Bob and Cleo share SHARED_GID. */
enum who { ROOT, ANN, BOB, CLEO };
#define ANN_ID	   65501
#define BOB_ID	   65502
#define CLEO_ID	   65503
#define SHARED_GID 65510
/* be: whose rights the process has from here on. */
void be(enum who);

/* ---- files ---------------------------------------------------------------------------------------------------------
 */

/* These give up when they fail. */
void make_file(const char *path, mode_t, const char *content);
void make_dir(const char *path, mode_t);
void make_owned(const char *path, mode_t, uid_t, gid_t); /* a file */
/* make_kind: 'f' file, 'd' directory, 'D' one that is not empty, 'l' symlink to nowhere, 'p' FIFO, 's' socket; '-':
 * nothing. remove_kind takes any of them away. */
void make_kind(const char *path, char kind);
void remove_kind(const char *path);
char kind_of(const char *path);

struct stat stat_of(const char *path); /* lstat */
struct stat stat_fd(int fd);
bool there(const char *path);
void write_all(int fd, const void *data, size_t len);
/* content_is: a whole file as text. */
bool content_is(const char *path, const char *wanted);
bool all_zero(const void *data, size_t len);
/* room: zeroed memory. */
void *room(size_t);
/* pattern: bytes that tell their place. */
void pattern(uint8_t *out, size_t len, uint64_t seed);

/* ---- time ----------------------------------------------------------------------------------------------------------
 */

/* tick: until the clock that files are stamped by has moved on. */
void tick(void);
int time_compare(struct timespec, struct timespec);

/* child: runs fn in a process of its own; its failures are counted here. */
void in_child(void (*fn)(void *), void *arg);
/* start_child, join_child: the same beside this process. */
pid_t start_child(void (*fn)(void *), void *arg);
void join_child(pid_t);

#endif
