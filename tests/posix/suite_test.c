/* SPDX-License-Identifier: GPL-3.0-or-later
 * test: timeout=180
 *
 * suite_test [-d DIRECTORY] [NAME...]: the cases of posix.h in a directory (TEST_TMP, where ext4 is what is expected of
 * a filesystem), or those whose name holds one of NAME. What needs root, a device or much time is left out where that
 * is not to be had. */
#include "tests/posix/posix.h"

#include <spawn.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#define CASE_SECONDS_MAX 60
#define EXT4_MAGIC	 0xEF53

extern char **environ;

static const struct posix_case *const subjects[] = { cases_errors, cases_open, cases_link, cases_rename, cases_dir,
	cases_permission, cases_owner, cases_times, cases_stat, cases_content, cases_fallocate, cases_seek, cases_mmap,
	cases_lock, cases_special, cases_tmpfile, cases_acl, cases_xattr, cases_limits };

static int passed, failed, left_out;

static void remove_tree(const char *name)
{
	const char *argv[] = { "rm", "-rf", "--", name, NULL };
	pid_t pid;
	int status;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ) == 0)
		waitpid(pid, &status, 0);
}

static void run_here(void *arg)
{
	const struct posix_case *c = arg;

	alarm(CASE_SECONDS_MAX);
	c->run();
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void directory_name(char *out, size_t len, const char *name)
{
	snprintf(out, len, "%s", name);
	for (; *out; out++)
		if (*out == '/' || *out == ' ')
			*out = '-';
}

static void run_case(const struct posix_case *c)
{
	char dir[128];
	double start = now();
	int status;
	pid_t pid;

	directory_name(dir, sizeof(dir), c->name);
	make_dir(dir, 0777);
	if (chdir(dir) < 0)
		give_up(dir);
	pid = start_child(run_here, (void *)(uintptr_t)c);
	waitpid(pid, &status, 0);
	if (chdir("..") < 0)
		give_up("..");
	remove_tree(dir);
	if (there(dir))
		status = -1;
	printf("%-4s %5.2f s  %s%s\n", status == 0 ? "ok" : "FAIL", now() - start, c->name,
		status < 0 ? ": its directory cannot be removed" : "");
	fflush(stdout);
	passed += status == 0;
	failed += status != 0;
}

static bool wanted(const struct posix_case *c, char **names)
{
	for (char **name = names; *name; name++)
		if (strstr(c->name, *name))
			return true;
	return !*names;
}

static unsigned has(void)
{
	struct statvfs fs;
	unsigned has = geteuid() == 0 ? NEEDS_ROOT : 0;

	if (statvfs(".", &fs) == 0 && !(fs.f_flag & ST_NODEV))
		has |= NEEDS_DEV;
	if (statvfs(".", &fs) == 0 && fs.f_flag & ST_RELATIME)
		has |= NEEDS_RELATIME;
	if (getenv("TEST_SCALE"))
		has |= NEEDS_TIME;
	return has;
}

/* Elsewhere the expectation would be another. */
static void check_reference(void)
{
	struct statfs fs;

	if (statfs(".", &fs) == 0 && fs.f_type == EXT4_MAGIC)
		return;
	printf("the temporary directory is not on ext4, which is what the mount is compared with\n");
	exit(77);
}

static void enter(const char *dir)
{
	const char *tmp = getenv("TEST_TMP");

	if (!dir)
		dir = tmp ? tmp : "/tmp";
	if (chdir(dir) < 0)
		give_up(dir);
	if (tmp && dir == tmp)
		check_reference();
	umask(0);
}

int main(int argc, char **argv)
{
	const char *dir = NULL;

	for (int option; (option = getopt(argc, argv, "d:")) != -1;) {
		if (option != 'd')
			return 2;
		dir = optarg;
	}
	enter(dir);
	for (size_t s = 0; s < COUNT(subjects); s++) {
		for (const struct posix_case *c = subjects[s]; c->name; c++) {
			if (c->needs & ~has())
				left_out++;
			else if (wanted(c, argv + optind))
				run_case(c);
		}
	}
	printf("%d cases passed, %d failed, %d left out\n", passed, failed, left_out);
	return failed > 0 || passed == 0;
}
