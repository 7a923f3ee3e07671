/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fsbench [-t SECONDS] [-m MIB] [-c PID] [-p PHASE,...] DIR
 * fsbench -n FILES DIR
 * fsbench -d
 *
 * Times what programs do to files, in DIR, which it leaves as it was. A line "PHASE RATE UNIT CPU" a phase: the higher
 * the RATE the better; CPU is the microseconds of processor time that each operation (MiB) took, here and in PID. A
 * phase lasts at least SECONDS (2); but first_stat and unlink end when the files that they need took three times that
 * to make. What a phase needs and -p does not name is done and not printed. "cold": the kernel's caches are dropped
 * first, which root may; the time that takes does not count. -m   the size of the streamed file (256) -c   the daemon
 * that serves DIR -n   leave FILES files of 4 KiB in DIR, a hundred a directory: the tree that lies beside the work -d
 * drop the kernel's caches, for scripts */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DIRS	      100
#define FILES_MAX     10000
#define FILE_BYTES    4096
#define CHUNK_BYTES   (1 << 20)
#define BURST_OPS     4000
#define SYNC_PAGES    4096 /* a writer goes round a file of 16 MiB */
#define WRITERS_MAX   8
#define CREATE_TIMES  3
#define DROP_PAUSE_NS 200000000L

struct timer {
	double start, spent, cpu_start, cpu;
	uint64_t count;
};

static double seconds = 2;
static uint32_t big_mib = 256;
static const char *chosen;
static unsigned files;
static char *bytes;
static clockid_t daemon_clock = CLOCK_PROCESS_CPUTIME_ID; /* which is none: our own */

/* ---- time and results --------------------------------------------------------------------------------------------
 */

static double clock_s(clockid_t clock)
{
	struct timespec t = { 0 };

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double now(void)
{
	return clock_s(CLOCK_MONOTONIC);
}

static double cpu_now(void)
{
	double cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID);

	return daemon_clock == CLOCK_PROCESS_CPUTIME_ID ? cpu : cpu + clock_s(daemon_clock);
}

static void die(const char *what)
{
	fprintf(stderr, "fsbench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void daemon_watch(const char *pid)
{
	if ((errno = clock_getcpuclockid((pid_t)strtol(pid, NULL, 10), &daemon_clock)) != 0)
		die(pid);
}

static void timer_start(struct timer *timer)
{
	timer->cpu_start = cpu_now();
	timer->start = now();
}

static void timer_stop(struct timer *timer, uint64_t count)
{
	timer->spent += now() - timer->start;
	timer->cpu += cpu_now() - timer->cpu_start;
	timer->count += count;
}

static bool wanted(const char *phase)
{
	size_t len = strlen(phase);

	for (const char *at = chosen; at && (at = strstr(at, phase)); at += len)
		if ((at == chosen || at[-1] == ',') && (at[len] == ',' || !at[len]))
			return true;
	return !chosen;
}

static void result(const char *phase, const struct timer *timer, const char *unit)
{
	if (!wanted(phase))
		return;
	printf("%s %.1f %s %.2f\n", phase, (double)timer->count / timer->spent, unit,
		timer->cpu * 1e6 / (double)timer->count);
	fflush(stdout);
}

/* The pause: the kernel has queued a FORGET for each inode, and the daemon should not be timed while it works them
 * off. Nothing tells when it is through. */
static void drop_caches(void)
{
	struct timespec pause = { .tv_nsec = DROP_PAUSE_NS };
	int fd;

	sync();
	if ((fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC)) < 0 || write(fd, "3", 1) != 1)
		die("/proc/sys/vm/drop_caches");
	close(fd);
	nanosleep(&pause, NULL);
}

static uint64_t random_next(void)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* ---- small files -------------------------------------------------------------------------------------------------
 */

struct path {
	char text[32];
};

static struct path file_path(unsigned i, const char *suffix)
{
	struct path path;

	snprintf(path.text, sizeof(path.text), "d%02u/f%06u%s", i % DIRS, i, suffix);
	return path;
}

static void make_dirs(void)
{
	char path[16];

	for (unsigned i = 0; i < DIRS; i++) {
		snprintf(path, sizeof(path), "d%02u", i);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			die(path);
	}
}

static void remove_dirs(void)
{
	char path[16];

	for (unsigned i = 0; i < DIRS; i++) {
		snprintf(path, sizeof(path), "d%02u", i);
		if (rmdir(path) < 0)
			die(path);
	}
}

static void create_op(unsigned i)
{
	struct path path = file_path(i, "");
	int fd = open(path.text, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, bytes + i % 4096, FILE_BYTES) != FILE_BYTES || close(fd) < 0)
		die(path.text);
}

static void stat_op(unsigned i)
{
	struct path path = file_path(i, "");
	struct stat st;

	if (stat(path.text, &st) < 0 || st.st_size != FILE_BYTES)
		die(path.text);
}

static void read_op(unsigned i)
{
	struct path path = file_path(i, "");
	char content[FILE_BYTES];
	int fd = open(path.text, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, content, FILE_BYTES) != FILE_BYTES || close(fd) < 0)
		die(path.text);
}

static void rename_op(unsigned i)
{
	struct path from = file_path(i, ""), to = file_path(i, ".r");

	if (rename(from.text, to.text) < 0)
		die(to.text);
}

static void rename_back_op(unsigned i)
{
	struct path from = file_path(i, ".r"), to = file_path(i, "");

	if (rename(from.text, to.text) < 0)
		die(to.text);
}

static void unlink_op(unsigned i)
{
	struct path path = file_path(i, "");

	if (unlink(path.text) < 0)
		die(path.text);
}

static void pass(struct timer *timer, void (*op)(unsigned))
{
	timer_start(timer);
	for (unsigned i = 0; i < files; i++)
		op(i);
	timer_stop(timer, files);
}

static void passes(const char *phase, bool cold, void (*op)(unsigned), void (*back)(unsigned))
{
	struct timer timer = { 0 };

	while (wanted(phase) && timer.spent < seconds) {
		if (cold)
			drop_caches();
		pass(&timer, op);
		if (back)
			pass(&timer, back);
	}
	result(phase, &timer, "/s");
}

/* No more than FILES_MAX at a time, nor than are made in SECONDS. */
static void create_pass(struct timer *timer)
{
	double end = now() + seconds;

	timer_start(timer);
	for (files = 0; files < FILES_MAX && now() < end; files++)
		create_op(files);
	timer_stop(timer, files);
}

static bool lacks(const char *phase, const struct timer *timer)
{
	return wanted(phase) && timer->spent < seconds;
}

static void known_files(void)
{
	passes("cold_stat", true, stat_op, NULL);
	passes("cold_open_read", true, read_op, NULL);
	passes("hot_stat", false, stat_op, NULL);
	passes("rename", false, rename_op, rename_back_op);
}

static void small_files(void)
{
	struct timer created = { 0 }, seen = { 0 }, removed = { 0 };

	make_dirs();
	do {
		bool first = created.count == 0;
		create_pass(&created);
		pass(&seen, stat_op);
		if (first)
			known_files();
		pass(&removed, unlink_op);
	} while (created.spent < CREATE_TIMES * seconds &&
		 (lacks("create", &created) || lacks("first_stat", &seen) || lacks("unlink", &removed)));
	remove_dirs();
	result("create", &created, "/s");
	result("first_stat", &seen, "/s");
	result("unlink", &removed, "/s");
}

static void make_tree(unsigned count)
{
	char path[32];

	for (unsigned i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "t%05u", i / 100);
		if (i % 100 == 0 && mkdir(path, 0755) < 0)
			die(path);
		snprintf(path, sizeof(path), "t%05u/f%06u", i / 100, i);
		int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
		if (fd < 0 || write(fd, bytes + i % 4096, FILE_BYTES) != FILE_BYTES || close(fd) < 0)
			die(path);
	}
}

/* ---- durable small writes ----------------------------------------------------------------------------------------
 */

struct writer {
	pthread_t thread;
	unsigned number;
	double until;
	uint64_t count;
};

static void *writer_run(void *arg)
{
	struct writer *writer = arg;
	char path[16];
	int fd;

	snprintf(path, sizeof(path), "sync%u", writer->number);
	if ((fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644)) < 0)
		die(path);
	do {
		off_t off = (off_t)(writer->count % SYNC_PAGES) * FILE_BYTES;
		if (pwrite(fd, bytes + writer->count % 4096, FILE_BYTES, off) != FILE_BYTES || fsync(fd) < 0)
			die(path);
		writer->count++;
	} while (now() < writer->until);
	close(fd);
	if (unlink(path) < 0)
		die(path);
	return NULL;
}

static void durable_writes(const char *phase, unsigned count)
{
	struct writer writers[WRITERS_MAX] = { 0 };
	struct timer timer = { 0 };

	if (!wanted(phase))
		return;
	timer_start(&timer);
	for (unsigned i = 0; i < count; i++) {
		writers[i].number = i;
		writers[i].until = timer.start + seconds;
		if (pthread_create(&writers[i].thread, NULL, writer_run, &writers[i]) != 0)
			die("pthread_create");
	}
	for (unsigned i = 0; i < count; i++) {
		pthread_join(writers[i].thread, NULL);
		timer.count += writers[i].count;
	}
	timer_stop(&timer, 0);
	result(phase, &timer, "/s");
}

/* ---- a large file ------------------------------------------------------------------------------------------------
 */

static int big_open(int flags)
{
	int fd = open("big", flags | O_CLOEXEC, 0644);

	if (fd < 0)
		die("big");
	return fd;
}

/* Leaves a synced file behind. */
static void write_phases(void)
{
	struct timer written = { 0 }, synced = { 0 };
	int fd;

	do {
		if (unlink("big") < 0 && errno != ENOENT)
			die("big");
		fd = big_open(O_CREAT | O_EXCL | O_WRONLY);
		timer_start(&written);
		timer_start(&synced);
		for (uint32_t i = 0; i < big_mib; i++)
			if (write(fd, bytes, CHUNK_BYTES) != CHUNK_BYTES)
				die("big");
		timer_stop(&written, big_mib);
		if (fsync(fd) < 0)
			die("big");
		timer_stop(&synced, big_mib);
		close(fd);
	} while ((wanted("stream_write") || wanted("stream_write_fsync")) && written.spent < seconds);
	result("stream_write", &written, "MiB/s");
	result("stream_write_fsync", &synced, "MiB/s");
}

static void stream_read(const char *phase, bool cold)
{
	struct timer timer = { 0 };
	static char chunk[CHUNK_BYTES];

	while (wanted(phase) && timer.spent < seconds) {
		if (cold)
			drop_caches();
		int fd = big_open(O_RDONLY);
		timer_start(&timer);
		for (uint32_t i = 0; i < big_mib; i++)
			if (read(fd, chunk, CHUNK_BYTES) != CHUNK_BYTES)
				die("big");
		timer_stop(&timer, big_mib);
		close(fd);
	}
	result(phase, &timer, "MiB/s");
}

static off_t random_page(void)
{
	return (off_t)(random_next() % (big_mib * (uint64_t)(CHUNK_BYTES / FILE_BYTES))) * FILE_BYTES;
}

static void random_read(void)
{
	struct timer timer = { 0 };
	char page[FILE_BYTES];

	while (wanted("random_read") && timer.spent < seconds) {
		drop_caches();
		int fd = big_open(O_RDONLY);
		timer_start(&timer);
		for (unsigned i = 0; i < BURST_OPS; i++)
			if (pread(fd, page, FILE_BYTES, random_page()) != FILE_BYTES)
				die("big");
		timer_stop(&timer, BURST_OPS);
		close(fd);
	}
	result("random_read", &timer, "/s");
}

static void random_write(void)
{
	struct timer timer = { 0 };
	int fd = big_open(O_WRONLY);

	while (wanted("random_write_fsync") && timer.spent < seconds) {
		timer_start(&timer);
		for (unsigned i = 0; i < BURST_OPS; i++)
			if (pwrite(fd, bytes, FILE_BYTES, random_page()) != FILE_BYTES)
				die("big");
		if (fsync(fd) < 0)
			die("big");
		timer_stop(&timer, BURST_OPS);
	}
	close(fd);
	result("random_write_fsync", &timer, "/s");
}

static void large_file(void)
{
	write_phases();
	stream_read("stream_read_cold", true);
	stream_read("stream_read_hot", false);
	random_read();
	random_write();
	if (unlink("big") < 0)
		die("big");
}

/* ---- the whole ---------------------------------------------------------------------------------------------------
 */

static bool any_wanted(const char *const *phases)
{
	for (; *phases; phases++)
		if (wanted(*phases))
			return true;
	return false;
}

static void run(void)
{
	static const char *const small[] = { "create", "first_stat", "cold_stat", "cold_open_read", "hot_stat",
		"rename", "unlink", NULL };
	static const char *const large[] = { "stream_write", "stream_write_fsync", "stream_read_cold",
		"stream_read_hot", "random_read", "random_write_fsync", NULL };

	if (any_wanted(small))
		small_files();
	durable_writes("fsync_one", 1);
	durable_writes("fsync_eight", WRITERS_MAX);
	if (any_wanted(large))
		large_file();
}

static void usage(void)
{
	fputs("usage: fsbench [-t SECONDS] [-m MIB] [-c PID] [-p PHASE,...] DIR | -n FILES DIR | -d\n", stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	unsigned tree_files = 0;
	int option;

	while ((option = getopt(argc, argv, "t:m:c:p:n:d")) != -1) {
		if (option == 't')
			seconds = strtod(optarg, NULL);
		else if (option == 'm')
			big_mib = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'c')
			daemon_watch(optarg);
		else if (option == 'p')
			chosen = optarg;
		else if (option == 'n')
			tree_files = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 'd')
			return drop_caches(), 0;
		else
			usage();
	}
	if (optind + 1 != argc || seconds <= 0 || big_mib == 0)
		usage();
	if (chdir(argv[optind]) < 0)
		die(argv[optind]);
	if (!(bytes = malloc(CHUNK_BYTES + FILE_BYTES)))
		die("malloc");
	for (size_t i = 0; i < CHUNK_BYTES + FILE_BYTES; i++)
		bytes[i] = (char)random_next();
	if (tree_files)
		make_tree(tree_files);
	else
		run();
	return 0;
}
