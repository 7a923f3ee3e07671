/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The system calls of the driver that can fail are defined here, so that each can be made to, one after the other. */
#undef _FORTIFY_SOURCE
#include "tests/unit/backends/support.h"

#include <dirent.h>
#include <ftw.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static int fail_at; /* the number of the call that fails; 0: none */
static int fail_errno;
static int calls_seen;
static char order[64]; /* of what makes a put durable: w(rite), s(ync), r(ename) */

static void note(char what)
{
	size_t len = strlen(order);

	if (len + 1 < sizeof order && (!len || order[len - 1] != what))
		order[len] = what;
}

static bool fails(void)
{
	if (!fail_at || ++calls_seen != fail_at)
		return false;
	errno = fail_errno;
	return true;
}

int fsync(int fd)
{
	note('s');
	return fails() ? -1 : (int)syscall(SYS_fsync, fd);
}

int openat(int dir, const char *path, int flags, ...)
{
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, int) : 0;
	va_end(ap);
	return fails() ? -1 : (int)syscall(SYS_openat, dir, path, flags, mode);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
	return fails() ? -1 : (int)syscall(SYS_mkdirat, dir, path, mode);
}

int renameat2(int from, const char *a, int to, const char *b, unsigned flags)
{
	note('r');
	return fails() ? -1 : (int)syscall(SYS_renameat2, from, a, to, b, flags);
}

int linkat(int from, const char *a, int to, const char *b, int flags)
{
	return fails() ? -1 : (int)syscall(SYS_linkat, from, a, to, b, flags);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t off)
{
	note('w');
	return fails() ? -1 : syscall(SYS_pwrite64, fd, data, len, off);
}

ssize_t pread(int fd, void *data, size_t len, off_t off)
{
	return fails() ? -1 : syscall(SYS_pread64, fd, data, len, off);
}

/* the next file that is locked is robbed first: by one who looks for orphans, and is quicker than its maker */
static struct {
	bool next;
	int fd;
	char path[128];
	pthread_t thread;
} robber;

static void *rob(void *arg)
{
	struct timespec moment = { 0, 30 * NS_PER_MS };

	(void)arg;
	nanosleep(&moment, NULL);
	unlink(robber.path);
	close(robber.fd);
	return NULL;
}

static void robber_enter(int fd)
{
	char link[32];
	ssize_t len;

	robber.next = false;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	len = readlink(link, robber.path, sizeof robber.path - 1);
	assert_true(len > 0);
	robber.path[len] = 0;
	robber.fd = open(robber.path, O_RDONLY);
	assert_int_equal(syscall(SYS_flock, robber.fd, LOCK_EX), 0);
	pthread_create(&robber.thread, NULL, rob, NULL);
}

int flock(int fd, int op)
{
	if (robber.next)
		robber_enter(fd);
	return fails() ? -1 : (int)syscall(SYS_flock, fd, op);
}

int unlinkat(int dir, const char *path, int flags)
{
	return fails() ? -1 : (int)syscall(SYS_unlinkat, dir, path, flags);
}

struct place {
	char path[64];
	struct setting setting;
	struct backend *backend;
};

static struct backend *reopen(struct place *p)
{
	if (p->backend)
		backend_free(p->backend);
	p->backend = NULL;
	assert_int_equal(local_open(&p->backend, &p->setting.config, NULL), 0);
	p->backend->zone_id = ZONE;
	return p->backend;
}

static int setup(void **state)
{
	static struct place p;

	memset(&p, 0, sizeof p);
	strcpy(p.path, "/tmp/local-test-XXXXXX");
	assert_non_null(mkdtemp(p.path));
	setting_init(&p.setting, "local")->path = p.path;
	reopen(&p);
	*state = &p;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct place *p = *state;

	fail_at = 0;
	backend_free(p->backend);
	nftw(p->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

static int put(struct backend *b, const char *key, const char *text)
{
	struct source_memory m;
	struct asked a;
	int rc = guard_put(b, ask(&a), key, source_memory(&m, text, strlen(text)));

	asked_end(&a);
	return rc;
}

static int get(struct backend *b, const char *key, char *to, size_t len)
{
	struct sink_memory m;
	struct asked a;
	int rc = backend_get(b, ask(&a), key, 0, len, sink_memory(&m, to, len));

	asked_end(&a);
	return rc;
}

static int head(struct backend *b, const char *key)
{
	struct asked a;
	uint64_t size;
	int rc = backend_head(b, ask(&a), key, &size);

	asked_end(&a);
	return rc;
}

static int del(struct backend *b, const char *key)
{
	struct asked a;
	int rc = backend_del(b, ask(&a), key);

	asked_end(&a);
	return rc;
}

static int probe(struct backend *b, const char *says)
{
	struct asked a;
	int rc = backend_probe(b, ask(&a));

	if (says)
		assert_says(&a.msg, says);
	asked_end(&a);
	return rc;
}

static int count_objects(void *ctx, const struct backend_object *o)
{
	assert_true(o->mtime_ns > 0);
	++*(int *)ctx;
	return 0;
}

static int list(struct backend *b, int *count)
{
	struct asked a;
	int rc;

	*count = 0;
	rc = backend_list(b, ask(&a), count_objects, count);
	asked_end(&a);
	return rc;
}

static void path_of(const struct place *p, const char *name, char out[128])
{
	snprintf(out, 128, "%s/%s", p->path, name);
}

/* names in a directory below the place, without . and .. */
static int names_in(const struct place *p, const char *name)
{
	char path[128];
	struct dirent *e;
	int count = 0;
	DIR *d;

	path_of(p, name, path);
	if (!(d = opendir(path)))
		return -1;
	while ((e = readdir(d)))
		count += e->d_name[0] != '.';
	closedir(d);
	return count;
}

static void refuses_bad_keys(void **state)
{
	static const char *const keys[] = { "", "/a", "a//b", "../x", "a/../b", ".", "..", "a/.", "a/", ".borderfs",
		".borderfs/new-1", NULL };
	struct backend *b = ((struct place *)*state)->backend;
	char long_key[300];

	memset(long_key, 'k', sizeof long_key);
	long_key[256] = 0;
	for (int i = 0; keys[i]; i++) {
		assert_int_equal(put(b, keys[i], "x"), -EINVAL);
		assert_int_equal(head(b, keys[i]), -EINVAL);
		assert_int_equal(del(b, keys[i]), -EINVAL);
	}
	assert_int_equal(put(b, long_key, "x"), -EINVAL);
	long_key[255] = 0;
	assert_int_equal(put(b, long_key, "x"), 0);
	assert_int_equal(put(b, "a/.borderfs", "x"), 0);
	assert_int_equal(put(b, "...", "x"), 0);
}

static void needs_its_directory(void **state)
{
	struct place *p = *state;
	char gone[128], file[128];
	int count, fd;

	path_of(p, "gone", gone);
	p->setting.config.path = gone;
	assert_int_equal(probe(p->backend, "gone is not a directory"), -ERR_NO_BUCKET);
	assert_int_equal(put(p->backend, "k", "x"), -ERR_NO_BUCKET);
	assert_int_equal(head(p->backend, "k"), -ERR_NO_BUCKET);
	assert_int_equal(del(p->backend, "k"), -ERR_NO_BUCKET);
	assert_int_equal(list(p->backend, &count), -ERR_NO_BUCKET);
	assert_int_equal(access(gone, F_OK), -1); /* never made */
	path_of(p, "file", file);
	fd = creat(file, 0600);
	close(fd);
	p->setting.config.path = file;
	assert_int_equal(probe(p->backend, "file is not a directory"), -ERR_NO_BUCKET);
}

/* A disk that is not mounted shows an empty directory: nothing was deleted (I7). */
static void an_unmounted_disk_has_lost_nothing(void **state)
{
	struct place *p = *state;
	char text[8], state_dir[128], away[128];
	int count;

	assert_int_equal(probe(p->backend, NULL), 0); /* fresh and empty */
	assert_int_equal(list(p->backend, &count), 0);
	assert_int_equal(head(p->backend, "k"), -ERR_NO_BUCKET);
	assert_int_equal(put(p->backend, "k", "x"), 0);
	assert_int_equal(head(p->backend, "other"), -ERR_ABSENT);
	path_of(p, ".borderfs", state_dir);
	path_of(p, "away", away);
	assert_int_equal(rename(state_dir, away), 0);
	/* this process knows better */
	assert_int_equal(probe(p->backend, "mounted?"), -ERR_NO_BUCKET);
	assert_int_equal(put(p->backend, "k2", "x"), -ERR_NO_BUCKET);
	assert_int_equal(head(p->backend, "other"), -ERR_NO_BUCKET);
	assert_int_equal(get(p->backend, "d/other", text, 1), -ERR_NO_BUCKET);
	assert_int_equal(del(p->backend, "other"), -ERR_NO_BUCKET);
	assert_int_equal(del(p->backend, "d/other"), -ERR_NO_BUCKET);
	assert_int_equal(list(p->backend, &count), -ERR_NO_BUCKET);
	/* a new one does not know, and still takes nothing for deleted */
	reopen(p);
	assert_int_equal(head(p->backend, "other"), -ERR_NO_BUCKET);
	assert_int_equal(del(p->backend, "other"), -ERR_NO_BUCKET);
	/* but for the store, which remembers objects there: the directory is not taken over */
	p->backend->known = true;
	assert_int_equal(probe(p->backend, "mounted?"), -ERR_NO_BUCKET);
	assert_int_equal(put(p->backend, "k2", "x"), -ERR_NO_BUCKET);
	assert_int_equal(access(state_dir, F_OK), -1);
	assert_int_equal(rename(away, state_dir), 0);
	assert_int_equal(head(p->backend, "other"), -ERR_ABSENT);
	assert_int_equal(get(p->backend, "k", text, 1), 0);
}

static void follows_no_links(void **state)
{
	struct place *p = *state;
	char path[128], text[8];
	int count;

	assert_int_equal(put(p->backend, "k", "x"), 0);
	path_of(p, "out", path);
	assert_int_equal(symlink("/tmp", path), 0);
	path_of(p, "link", path);
	assert_int_equal(symlink("k", path), 0);
	assert_int_equal(put(p->backend, "out/k", "x"), -ERR_PROTOCOL);
	assert_int_equal(get(p->backend, "out/k", text, 1), -ERR_TAMPERED);
	assert_int_equal(get(p->backend, "link", text, 1), -ERR_TAMPERED);
	assert_int_equal(put(p->backend, "link", "y"), -ERR_EXISTS);
	assert_int_equal(put(p->backend, "k/below", "x"), -ERR_PROTOCOL);
	assert_int_equal(list(p->backend, &count), 0);
	assert_int_equal(count, 1);
	path_of(p, "dir", path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(get(p->backend, "dir", text, 1), -ERR_TAMPERED);
	assert_int_equal(put(p->backend, "dir", "x"), -ERR_EXISTS);
	assert_int_equal(del(p->backend, "dir"), -ERR_PROTOCOL);
}

/* I6: what is not what was put there is damage, with a sentence that says what it is; and no failure of the backend. */
static void tells_damage_from_failure(void **state)
{
	static const struct {
		const char *key, *says;
	} rows[] = {
		{ "short", "cut short: it has 3 bytes, and was to be read up to 5" },
		{ "link", "not a file" },
		{ "dir", "not a file" },
		{ "fifo", "not a file" },
		{ "socket", "not a file" },
		{ "short/below", "Not a directory" },
	};
	struct place *p = *state;
	struct backend_status status;
	struct backend *b;
	char path[128], text[8];

	assert_int_equal(put(p->backend, "short", "abc"), 0);
	assert_int_equal(symlink("short", (path_of(p, "link", path), path)), 0);
	assert_int_equal(mkdir((path_of(p, "dir", path), path), 0700), 0);
	assert_int_equal(mkfifo((path_of(p, "fifo", path), path), 0600), 0);
	assert_int_equal(mknod((path_of(p, "socket", path), path), S_IFSOCK | 0600, 0), 0);
	assert_int_equal(backend_open(&b, &p->setting.config, ZONE, false, NULL), 0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct sink_memory m;
		struct asked a;

		assert_int_equal(backend_get(b, ask(&a), rows[i].key, 0, 5, sink_memory(&m, text, 5)), -ERR_TAMPERED);
		assert_says(&a.msg, rows[i].says);
		asked_end(&a);
	}
	backend_status(b, &status);
	assert_int_equal(status.failures, 0);
	assert_int_equal(status.last_error, 0);
	assert_true(status.last_ok_ns > 0);
	assert_true(status.up);
	backend_free(b);
}

static void removes_orphans_of_the_dead(void **state)
{
	struct place *p = *state;
	char dead[128], alive[128];
	int fd;

	assert_int_equal(put(p->backend, "k", "x"), 0);
	path_of(p, ".borderfs/new-dead", dead);
	close(creat(dead, 0600));
	path_of(p, ".borderfs/new-alive", alive);
	fd = creat(alive, 0600);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	reopen(p);
	assert_int_equal(put(p->backend, "k2", "x"), 0);
	assert_int_equal(access(dead, F_OK), -1);
	assert_int_equal(access(alive, F_OK), 0);
	close(fd);
}

/* Several puts are the first ones of their process: one of them looks for orphans, and the others' files are none. */
static void survives_who_looks_for_orphans(void **state)
{
	struct place *p = *state;
	char text[8] = "";
	int rc;

	assert_int_equal(put(p->backend, "first", "x"), 0);
	robber.next = true;
	rc = put(p->backend, "k", "whole");
	pthread_join(robber.thread, NULL);
	assert_int_equal(rc, 0);
	assert_int_equal(get(p->backend, "k", text, 5), 0);
	assert_string_equal(text, "whole");
	assert_int_equal(names_in(p, ".borderfs"), 0);
}

static int open_descriptors(void)
{
	struct dirent *e;
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while ((e = readdir(d)))
		n++;
	closedir(d);
	return n;
}

/* Every call of a put fails once: the object is whole or not there, and nothing else stays. */
static void survives_every_failure_of_a_put(void **state)
{
	static const int errors[] = { EIO, ENOSPC, EACCES };
	struct place *p = *state;
	char key[32], text[8] = "";
	int before, failed = 0;

	assert_int_equal(put(p->backend, "3f/first", "x"), 0);
	before = open_descriptors();
	for (size_t e = 0; e < COUNT(errors); e++) {
		int rc = -1;

		for (int n = 1; rc < 0 || fail_at <= calls_seen; n++) {
			snprintf(key, sizeof key, "%d%d/object", (int)e, n);
			fail_at = n;
			fail_errno = errors[e];
			calls_seen = 0;
			rc = put(p->backend, key, "whole");
			if (calls_seen < n)
				break;
			fail_at = 0;
			failed += rc < 0;
			if (rc < 0 && rc != -ERR_SERVER && rc != -ERR_QUOTA && rc != -ERR_DENIED)
				fail_msg("call %d: %s", n, err_name(rc));
			if (head(p->backend, key) == 0) {
				assert_int_equal(get(p->backend, key, text, 5), 0);
				assert_string_equal(text, "whole");
			} else {
				assert_true(rc < 0);
			}
			assert_int_equal(names_in(p, ".borderfs"), 0);
			assert_int_equal(open_descriptors(), before);
		}
		fail_at = 0;
	}
	assert_true(failed >= 3 * 9);
}

/* Body before name, name before answer. */
static void syncs_in_order(void **state)
{
	struct place *p = *state;

	assert_int_equal(put(p->backend, "first", "x"), 0);
	memset(order, 0, sizeof order);
	assert_int_equal(put(p->backend, "second", "x"), 0);
	assert_string_equal(order, "wsrs");
	memset(order, 0, sizeof order);
	assert_int_equal(put(p->backend, "3f/third", "x"), 0); /* the new directory's name too */
	assert_string_equal(order, "wsrs");
	memset(order, 0, sizeof order);
	assert_int_equal(del(p->backend, "second"), 0);
	assert_string_equal(order, "s");
}

/* A filesystem without RENAME_NOREPLACE: links do it. */
static void names_by_link_where_it_must(void **state)
{
	struct place *p = *state;
	char text[8] = "";
	int rename_call = 0;

	assert_int_equal(put(p->backend, "a", "1"), 0);
	for (int n = 1; n < 20 && !rename_call; n++) {
		char key[16];

		snprintf(key, sizeof key, "k%d", n);
		fail_at = n;
		fail_errno = EINVAL;
		calls_seen = 0;
		if (put(p->backend, key, "linked") == 0 && calls_seen >= n + 2)
			rename_call = n;
	}
	assert_true(rename_call > 0);
	assert_int_equal(names_in(p, ".borderfs"), 0);
	fail_at = rename_call;
	calls_seen = 0;
	assert_int_equal(put(p->backend, "a", "2"), -ERR_EXISTS);
	fail_at = 0;
	assert_int_equal(get(p->backend, "a", text, 1), 0);
	assert_string_equal(text, "1");
	assert_int_equal(names_in(p, ".borderfs"), 0);
}

static void reports_failed_reads_and_deletions(void **state)
{
	struct place *p = *state;
	char text[8];

	assert_int_equal(put(p->backend, "k", "x"), 0);
	for (int n = 1; n <= 2; n++) {
		fail_at = n;
		fail_errno = EIO;
		calls_seen = 0;
		assert_int_equal(get(p->backend, "k", text, 1), -ERR_SERVER);
	}
	fail_errno = ESTALE;
	fail_at = 1;
	calls_seen = 0;
	assert_int_equal(get(p->backend, "k", text, 1), -ERR_UNREACHABLE);
	fail_errno = EIO;
	for (int n = 1; n <= 2; n++) { /* the unlink, the sync */
		fail_at = n;
		calls_seen = 0;
		assert_int_equal(del(p->backend, "k"), -ERR_SERVER);
	}
	fail_at = 0;
	assert_int_equal(del(p->backend, "k"), 0);
}

static int zeros(struct source *s, uint64_t off, void *buf, size_t len)
{
	(void)s;
	(void)off;
	memset(buf, 0, len);
	return 0;
}

struct writer {
	struct backend *backend;
	struct asked asked;
	int rc;
};

static void *write_slowly(void *arg)
{
	struct source source = { .length = 64 << 20, .read = zeros };
	struct writer *w = arg;

	w->rc = guard_put(w->backend, &w->asked.call, "big", &source);
	return NULL;
}

static uint64_t sent(struct call *c)
{
	uint64_t n;

	pthread_mutex_lock(&c->lock);
	n = c->body_sent;
	pthread_mutex_unlock(&c->lock);
	return n;
}

/* I1: when call_cut has returned, no further byte is written. */
static void writes_nothing_after_a_cut(void **state)
{
	struct timespec soon = { 0, 100 * NS_PER_MS };
	struct place *p = *state;
	struct writer w = { 0 };
	pthread_t thread;
	uint64_t at_cut;

	p->setting.config.upload_limit = 4 << 20;
	assert_int_equal(limit_wrap(&w.backend, p->backend), 0);
	p->backend = w.backend;
	ask(&w.asked);
	pthread_create(&thread, NULL, write_slowly, &w);
	while (!sent(&w.asked.call))
		nanosleep(&soon, NULL);
	call_cut(&w.asked.call, -ERR_REVOKED);
	at_cut = sent(&w.asked.call);
	pthread_join(thread, NULL);
	assert_int_equal(w.rc, -ERR_REVOKED);
	assert_int_equal(sent(&w.asked.call), at_cut);
	assert_in_range(at_cut, 1, 8 << 20);
	assert_int_equal(names_in(p, ".borderfs"), 0);
	assert_int_equal(head(p->backend, "big"), -ERR_ABSENT);
	asked_end(&w.asked);
}

/* cuts its call while a chunk is being made, after it was permitted */
struct cutting_source {
	struct source source;
	struct call *call;
};

static int cutting_read(struct source *s, uint64_t off, void *buf, size_t len)
{
	struct cutting_source *c = container_of(s, struct cutting_source, source);

	if (off >= 1 << 20)
		call_cut(c->call, -ERR_REVOKED);
	return zeros(s, off, buf, len);
}

static void does_not_write_the_chunk_in_hand(void **state)
{
	struct place *p = *state;
	struct asked a;
	struct cutting_source source = { { .length = 4 << 20, .read = cutting_read }, ask(&a) };

	assert_int_equal(guard_put(p->backend, &a.call, "k", &source.source), -ERR_REVOKED);
	assert_int_equal(a.call.body_sent, 1 << 20);
	asked_end(&a);
}

static void checks_its_configuration(void **state)
{
	static const char *const paths[] = { NULL, "relative/path", "" };
	struct errmsg msg = { 0 };
	struct backend *b = NULL;
	struct setting s;

	(void)state;
	for (size_t i = 0; i < COUNT(paths); i++) {
		setting_init(&s, "local")->path = STR(paths[i]);
		assert_int_equal(local_open(&b, &s.config, &msg), -ERR_CONFIG);
		assert_says(&msg, "absolute");
		errmsg_free(&msg);
	}
	assert_null(b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(refuses_bad_keys),
		TEST(needs_its_directory),
		TEST(an_unmounted_disk_has_lost_nothing),
		TEST(follows_no_links),
		TEST(tells_damage_from_failure),
		TEST(removes_orphans_of_the_dead),
		TEST(survives_who_looks_for_orphans),
		TEST(survives_every_failure_of_a_put),
		TEST(syncs_in_order),
		TEST(names_by_link_where_it_must),
		TEST(reports_failed_reads_and_deletions),
		TEST(writes_nothing_after_a_cut),
		TEST(does_not_write_the_chunk_in_hand),
		cmocka_unit_test(checks_its_configuration),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
