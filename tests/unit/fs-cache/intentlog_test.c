/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cache/intentlog.h"

#include "base/buf.h"
#include "base/log.h"
#include "fs/crypt/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/fs-crypt/fixed_random.h"
#include "tests/unit/fs-crypt/vectors.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(a)   (sizeof(a) / sizeof *(a))
#define LOG_BYTES  (64u << 10)
#define SECTOR	   512
#define FIRST(run) (((uint64_t)(run) << 40) + 1)

static const uint8_t key[SEAL_KEY_BYTES] = { 1, 2, 3 }, store_id[16] = "a store";

struct fix {
	char dir[64], path[80];
	int dirfd;
	struct intentlog *log;
};

static void open_as(struct fix *f, const uint8_t *k, const uint8_t *id, uint64_t first)
{
	assert_int_equal(intentlog_new(&f->log, f->dirfd, k, id, first, LOG_BYTES), 0);
}

static void open_run(struct fix *f, unsigned run)
{
	open_as(f, key, store_id, FIRST(run));
}

static void close_log(struct fix *f)
{
	intentlog_free(f->log);
	f->log = NULL;
}

static void start(struct fix *f)
{
	memset(f, 0, sizeof *f);
	log_init(LOG_LEVEL_ERROR, 0);
	assert_int_equal(crypt_init(), 0);
	snprintf(f->dir, sizeof f->dir, "/tmp/intentlog.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof f->path, "%s/" INTENTLOG_NAME, f->dir);
	assert_true((f->dirfd = open(f->dir, O_RDONLY | O_DIRECTORY)) >= 0);
	open_run(f, 1);
}

static void end(struct fix *f)
{
	close_log(f);
	unlink(f->path);
	close(f->dirfd);
	assert_int_equal(rmdir(f->dir), 0);
}

struct waiter {
	struct intentlog_wait wait;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool over;
	int rc;
};

static void on_over(struct intentlog_wait *wait, int rc)
{
	struct waiter *w = (struct waiter *)wait;

	pthread_mutex_lock(&w->lock);
	assert_false(w->over);
	w->over = true;
	w->rc = rc;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static int wait_for(struct intentlog *l, uint64_t record)
{
	struct waiter w = {
		.wait = { .done = on_over }, .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER
	};

	intentlog_when(l, record, &w.wait);
	pthread_mutex_lock(&w.lock);
	while (!w.over)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	return w.rc;
}

/* One text as a record of its own. */
static uint64_t record(struct fix *f, const char *text)
{
	uint64_t number;
	bool due;

	assert_int_equal(intentlog_put(f->log, text, strlen(text), &number, &due), 0);
	assert_int_equal(wait_for(f->log, number), 0);
	return number;
}

static int take(void *ctx, const uint8_t *data, size_t len)
{
	struct buf *out = ctx;

	buf_put(out, data, len);
	buf_str(out, ";");
	return 0;
}

/* What a run after a crash reads, records separated by semicolons. */
static int read_as(struct fix *f, const uint8_t *k, const uint8_t *id, struct buf *out, struct errmsg *msg)
{
	struct fix later = *f;
	int rc;

	buf_reset(out);
	open_as(&later, k, id, FIRST(9));
	rc = intentlog_read(later.log, take, out, msg);
	buf_str(out, "");
	close_log(&later);
	return rc;
}

static void expect(struct fix *f, const char *records)
{
	struct buf out = BUF_INIT;

	assert_int_equal(read_as(f, key, store_id, &out, NULL), 0);
	assert_string_equal((char *)out.data ? (char *)out.data : "", records);
	buf_free(&out);
}

static uint8_t *file_bytes(struct fix *f)
{
	uint8_t *bytes = malloc(LOG_BYTES);
	int fd = open(f->path, O_RDONLY);

	assert_true(fd >= 0 && bytes);
	assert_int_equal(pread(fd, bytes, LOG_BYTES, 0), LOG_BYTES);
	close(fd);
	return bytes;
}

static void file_write(struct fix *f, const void *bytes, size_t len, size_t off)
{
	int fd = open(f->path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, (off_t)off), len);
	close(fd);
}

static void nothing_without_a_file(void **state)
{
	uint64_t number;
	struct stat st;
	struct fix f;
	bool due;

	(void)state;
	start(&f);
	expect(&f, "");
	assert_false(intentlog_ready(f.log));
	assert_int_equal(intentlog_put(f.log, "a", 1, &number, &due), -EAGAIN);
	assert_int_equal(intentlog_prepare(f.log), 0);
	assert_int_equal(intentlog_prepare(f.log), 0);
	assert_true(intentlog_ready(f.log));
	assert_int_equal(stat(f.path, &st), 0);
	assert_int_equal(st.st_size, LOG_BYTES);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(st.st_blocks * 512 >= LOG_BYTES);
	expect(&f, "");
	intentlog_remove(f.log);
	assert_int_equal(access(f.path, F_OK), -1);
	intentlog_remove(f.log);
	end(&f);
}

static void what_was_waited_for_is_read(void **state)
{
	uint64_t a, b;
	struct fix f;
	bool due;

	(void)state;
	start(&f);
	assert_int_equal(intentlog_prepare(f.log), 0);
	assert_int_equal(intentlog_last(f.log), FIRST(1) - 1);
	assert_int_equal(record(&f, "one"), FIRST(1));
	assert_int_equal(record(&f, "two"), FIRST(1) + 1);
	expect(&f, "one;two;");
	/* those that wait at the same time share one */
	assert_int_equal(intentlog_put(f.log, "three", 5, &a, &due), 0);
	assert_int_equal(intentlog_put(f.log, "four", 4, &b, &due), 0);
	assert_int_equal(a, FIRST(1) + 2);
	assert_int_equal(b, a);
	assert_int_equal(intentlog_last(f.log), a);
	expect(&f, "one;two;");
	assert_int_equal(wait_for(f.log, a), 0);
	assert_int_equal(wait_for(f.log, b), 0);
	expect(&f, "one;two;threefour;");
	/* what is waited for already is not written again */
	assert_int_equal(wait_for(f.log, FIRST(1)), 0);
	assert_int_equal(intentlog_last(f.log), b);
	end(&f);
}

/* Whatever byte of the last record is not as it was: the log ends before it. Of an earlier one: that is said. */
static void torn_and_damaged(void **state)
{
	static const size_t places[] = { 0, 7, 8, 15, 16, 23, 24, 27, 28, 31, 32, 55, 56, 57, 58, 59, 60, 74 };
	struct buf out = BUF_INIT;
	uint8_t *good;
	struct fix f;

	(void)state;
	start(&f);
	assert_int_equal(intentlog_prepare(f.log), 0);
	record(&f, "one");
	record(&f, "two");
	record(&f, "six");
	good = file_bytes(&f);
	for (size_t at = 0; at < 3 * SECTOR; at += SECTOR) {
		for (size_t i = 0; i < COUNT(places); i++) {
			uint8_t bad = good[at + places[i]] ^ 0x40;
			struct errmsg msg = { 0 };
			int rc;

			file_write(&f, &bad, 1, at + places[i]);
			rc = read_as(&f, key, store_id, &out, &msg);
			if (at == 2 * SECTOR && (places[i] < 28 || places[i] > 31)) {
				assert_int_equal(rc, 0);
				assert_string_equal((char *)out.data, "one;two;");
			} else if (places[i] < 28 || places[i] > 31) {
				assert_int_equal(rc, -ERR_TAMPERED);
				assert_non_null(strstr(msg.text, "is damaged"));
				assert_string_equal((char *)out.data, "");
			} else {
				assert_int_equal(rc, -ERR_NEWER);
			}
			errmsg_free(&msg);
			file_write(&f, good, LOG_BYTES, 0);
		}
	}
	expect(&f, "one;two;six;");
	/* the file ends within the last one */
	assert_int_equal(truncate(f.path, 2 * SECTOR + 100), 0);
	expect(&f, "one;two;");
	buf_free(&out);
	free(good);
	end(&f);
}

/* A large record, torn by sectors as a disk may leave it. */
static void torn_by_sectors(void **state)
{
	static char text[9000];
	uint8_t zeros[SECTOR] = { 0 }, *good;
	uint64_t number;
	struct fix f;
	bool due;

	(void)state;
	start(&f);
	memset(text, 'x', sizeof text);
	assert_int_equal(intentlog_prepare(f.log), 0);
	record(&f, "one");
	assert_int_equal(intentlog_put(f.log, text, sizeof text, &number, &due), 0);
	assert_int_equal(wait_for(f.log, number), 0);
	good = file_bytes(&f);
	for (size_t s = 1; s < 1 + (sizeof text + 72 + SECTOR - 1) / SECTOR; s++) {
		file_write(&f, zeros, SECTOR, s * SECTOR);
		expect(&f, "one;");
		file_write(&f, good, LOG_BYTES, 0);
	}
	free(good);
	end(&f);
}

static void foreign(void **state)
{
	uint8_t other_key[SEAL_KEY_BYTES] = { 9 }, other_id[16] = "another", *good;
	struct buf out = BUF_INIT;
	struct fix f;

	(void)state;
	start(&f);
	assert_int_equal(intentlog_prepare(f.log), 0);
	record(&f, "one");
	record(&f, "two");
	assert_int_equal(read_as(&f, other_key, store_id, &out, NULL), 0);
	assert_string_equal((char *)out.data, "");
	assert_int_equal(read_as(&f, key, other_id, &out, NULL), 0);
	assert_string_equal((char *)out.data, "");
	/* a record elsewhere in the file is none */
	good = file_bytes(&f);
	file_write(&f, good + SECTOR, SECTOR, 2 * SECTOR);
	expect(&f, "one;two;");
	file_write(&f, good + SECTOR, SECTOR, 0);
	assert_int_equal(read_as(&f, key, store_id, &out, NULL), -ERR_TAMPERED);
	free(good);
	buf_free(&out);
	end(&f);
}

/* Both halves full: nothing more until what they hold is settled; then only what is not counts. */
static void full_and_settled(void **state)
{
	static char text[7000];
	uint64_t number, last = 0;
	struct buf out = BUF_INIT;
	struct fix f;
	bool due;
	int n = 0;

	(void)state;
	start(&f);
	assert_int_equal(intentlog_prepare(f.log), 0);
	memset(text, 'a', sizeof text - 1);
	for (;; n++) {
		if (intentlog_put(f.log, text, sizeof text - 1, &number, &due) < 0)
			break;
		assert_int_equal(due, n == 4);
		assert_int_equal(wait_for(f.log, number), 0);
		last = number;
	}
	assert_int_equal(n, 8);
	assert_true(due);
	assert_int_equal(read_as(&f, key, store_id, &out, NULL), 0);
	assert_int_equal(out.len, 8 * sizeof text);
	/* less than a half settled gives no room */
	intentlog_settle(f.log, last - 5);
	assert_int_equal(intentlog_put(f.log, text, sizeof text - 1, &number, &due), -EAGAIN);
	intentlog_settle(f.log, last - 4);
	record(&f, "b");
	assert_int_equal(read_as(&f, key, store_id, &out, NULL), 0);
	assert_int_equal(out.len, 4 * sizeof text + 2);
	assert_string_equal((char *)out.data + 4 * sizeof text, "b;");
	intentlog_settle(f.log, last + 1);
	record(&f, "c");
	expect(&f, "c;");
	buf_free(&out);
	end(&f);
}

/* What would not fit beside what is gathered goes the long way, and the rest is written. */
static void group_that_does_not_fit(void **state)
{
	static char text[14000];
	uint64_t a, b;
	struct fix f;
	bool due;

	(void)state;
	start(&f);
	memset(text, 'x', sizeof text - 1);
	assert_int_equal(intentlog_prepare(f.log), 0);
	assert_int_equal(intentlog_put(f.log, text, sizeof text - 1, &a, &due), 0);
	assert_int_equal(intentlog_put(f.log, text, sizeof text - 1, &a, &due), 0);
	assert_false(due);
	assert_int_equal(intentlog_put(f.log, text, sizeof text - 1, &b, &due), -EAGAIN);
	assert_true(due);
	assert_int_equal(wait_for(f.log, a), 0);
	assert_int_equal(intentlog_put(f.log, text, sizeof text - 1, &b, &due), 0);
	assert_int_equal(b, a + 1);
	assert_int_equal(wait_for(f.log, b), 0);
	end(&f);
}

/* A later run writes over what an earlier one left, and what is left of it then does not count. */
static void runs(void **state)
{
	struct fix f;

	(void)state;
	start(&f);
	assert_int_equal(intentlog_prepare(f.log), 0);
	record(&f, "one");
	record(&f, "two");
	record(&f, "three");
	close_log(&f);
	open_run(&f, 2);
	assert_int_equal(intentlog_prepare(f.log), 0);
	expect(&f, "one;two;three;");
	assert_int_equal(record(&f, "four"), FIRST(2));
	expect(&f, "four;");
	record(&f, "five");
	expect(&f, "four;five;");
	/* another length: made anew */
	close_log(&f);
	assert_int_equal(truncate(f.path, 1000), 0);
	open_run(&f, 3);
	assert_int_equal(intentlog_prepare(f.log), 0);
	expect(&f, "");
	end(&f);
}

static void failure(void **state)
{
	uint64_t number;
	char fd_path[64];
	struct fix f;
	bool due;
	int full, fd = -1;

	(void)state;
	start(&f);
	assert_int_equal(intentlog_prepare(f.log), 0);
	record(&f, "one");
	/* the log's own descriptor becomes one of a full disk */
	for (int i = 3; i < 64 && fd < 0; i++) {
		char target[128];
		ssize_t n;

		snprintf(fd_path, sizeof fd_path, "/proc/self/fd/%d", i);
		if ((n = readlink(fd_path, target, sizeof target - 1)) > 0) {
			target[n] = 0;
			fd = strcmp(target, f.path) == 0 ? i : -1;
		}
	}
	assert_true(fd >= 0);
	assert_true((full = open("/dev/full", O_RDWR)) >= 0);
	assert_int_equal(dup2(full, fd), fd);
	close(full);
	assert_int_equal(intentlog_put(f.log, "two", 3, &number, &due), 0);
	assert_int_equal(wait_for(f.log, number), -ENOSPC);
	assert_int_equal(wait_for(f.log, number), -ENOSPC);
	assert_int_equal(wait_for(f.log, number - 1), 0);
	assert_false(intentlog_ready(f.log));
	assert_int_equal(intentlog_put(f.log, "three", 5, &number, &due), -EAGAIN);
	expect(&f, "one;");
	end(&f);
}

/* As docs/FORMAT.md has it. */
static void vector(void **state)
{
	uint8_t k[SEAL_KEY_BYTES], id[16], plain[100], *bytes;
	struct buf out = BUF_INIT;
	uint64_t number;
	struct fix f;
	bool due;

	(void)state;
	start(&f);
	close_log(&f);
	for (int i = 0; i < 32; i++)
		k[i] = (uint8_t)(0x80 + i);
	for (int i = 0; i < 16; i++)
		id[i] = (uint8_t)(0xa0 + i);
	for (int i = 0; i < 100; i++)
		plain[i] = (uint8_t)i;
	open_as(&f, k, id, 0x0102030405060708);
	assert_int_equal(intentlog_prepare(f.log), 0);
	assert_int_equal(intentlog_put(f.log, plain, sizeof plain, &number, &due), 0);
	fixed_random_start(0x40);
	assert_int_equal(wait_for(f.log, number), 0);
	fixed_random_stop();
	bytes = file_bytes(&f);
	vector_equal("intent-record", bytes, 172);
	for (size_t i = 172; i < SECTOR; i++)
		assert_int_equal(bytes[i], 0);
	assert_int_equal(read_as(&f, k, id, &out, NULL), 0);
	assert_memory_equal(out.data, plain, sizeof plain);
	free(bytes);
	buf_free(&out);
	end(&f);
}

/* ---- at once ---- */

/* What comes while the first record is being synced: libc's fdatasync is taken over. */
static struct {
	struct fix *f;
	struct waiter first, second[2];
	int rc, syncs, calls;
} meanwhile;

static void meanwhile_over(struct intentlog_wait *wait, int rc)
{
	struct waiter *w = (struct waiter *)wait;

	assert_false(w->over);
	w->over = true;
	w->rc = rc;
	meanwhile.calls++;
}

int fdatasync(int fd)
{
	uint64_t number;
	bool due;

	if (!meanwhile.f)
		return fsync(fd);
	if (meanwhile.syncs++ > 0) {
		assert_int_equal(meanwhile.calls, 1);
		return 0;
	}
	for (int i = 0; i < 2; i++) {
		meanwhile.second[i].wait.done = meanwhile_over;
		assert_int_equal(intentlog_put(meanwhile.f->log, "b", 1, &number, &due), 0);
		assert_int_equal(number, FIRST(1) + 1);
		intentlog_when(meanwhile.f->log, number, &meanwhile.second[i].wait);
	}
	assert_int_equal(meanwhile.calls, 0);
	errno = EIO;
	return meanwhile.rc;
}

/* Who writes a record goes on with the next, and nobody waits in a thread of his own. */
static void goes_on(void **state)
{
	static const struct {
		int sync_rc, rc, syncs;
		const char *records;
	} rows[] = { { 0, 0, 2, "a;bb;" }, { -1, -EIO, 1, NULL } };
	uint64_t number;
	struct fix f;
	bool due;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		start(&f);
		log_to(open("/dev/null", O_WRONLY));
		assert_int_equal(intentlog_prepare(f.log), 0);
		memset(&meanwhile, 0, sizeof meanwhile);
		meanwhile.rc = rows[i].sync_rc;
		meanwhile.first.wait.done = meanwhile_over;
		assert_int_equal(intentlog_put(f.log, "a", 1, &number, &due), 0);
		meanwhile.f = &f;
		intentlog_when(f.log, number, &meanwhile.first.wait);
		meanwhile.f = NULL;
		assert_int_equal(meanwhile.syncs, rows[i].syncs);
		assert_int_equal(meanwhile.calls, 3);
		assert_int_equal(meanwhile.first.rc, rows[i].rc);
		assert_int_equal(meanwhile.second[0].rc, rows[i].rc);
		assert_int_equal(meanwhile.second[1].rc, rows[i].rc);
		if (rows[i].records)
			expect(&f, rows[i].records);
		log_to(-1);
		end(&f);
	}
}

#define THREADS 8
#define ROUNDS	200

struct many {
	struct fix f;
	uint64_t records; /* atomic */
};

static void *many_main(void *arg)
{
	struct many *m = arg;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t number;
		bool due;

		if (intentlog_put(m->f.log, "x", 1, &number, &due) == 0 && wait_for(m->f.log, number) == 0)
			__atomic_add_fetch(&m->records, 1, __ATOMIC_RELAXED);
		if (due)
			intentlog_settle(m->f.log, number - 1);
	}
	return NULL;
}

static void many_at_once(void **state)
{
	pthread_t thread[THREADS];
	struct many m = { .records = 0 };
	uint64_t written;

	(void)state;
	start(&m.f);
	assert_int_equal(intentlog_prepare(m.f.log), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, many_main, &m), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	/* settled by those who need room: nobody is turned away but where a group reaches the end of a half */
	written = intentlog_last(m.f.log) - FIRST(1) + 1;
	assert_in_range(m.records, THREADS * ROUNDS * 9 / 10, THREADS * ROUNDS);
	assert_true(written <= m.records);
	print_message("%llu waited, %llu records\n", (unsigned long long)m.records, (unsigned long long)written);
	end(&m.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_without_a_file),
		cmocka_unit_test(what_was_waited_for_is_read),
		cmocka_unit_test(torn_and_damaged),
		cmocka_unit_test(torn_by_sectors),
		cmocka_unit_test(foreign),
		cmocka_unit_test(full_and_settled),
		cmocka_unit_test(group_that_does_not_fit),
		cmocka_unit_test(runs),
		cmocka_unit_test(failure),
		cmocka_unit_test(vector),
		cmocka_unit_test(goes_on),
		cmocka_unit_test(many_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
