/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "base/err.h"
#include "base/pool.h"
#include "tests/unit/base/unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_int ran;

static void count(struct pool_task *t)
{
	atomic_fetch_add(&ran, 1);
	free(t);
}

static void test_all_run(void **state)
{
	struct pool_task late = { .run = count };
	struct pool *p;

	(void)state;
	atomic_store(&ran, 0);
	assert_int_equal(pool_new(&p, "test", 4, 3), 0);
	for (int i = 0; i < 1000; i++) {
		struct pool_task *t = calloc(1, sizeof *t);

		t->run = count;
		assert_int_equal(pool_submit(p, t), 0);
	}
	pool_stop(p);
	assert_int_equal(atomic_load(&ran), 1000);
	assert_int_equal(pool_submit(p, &late), -ERR_STOPPED);
	pool_stop(p);
	pool_free(p);
	pool_free(NULL);
	assert_int_equal(atomic_load(&ran), 1000);
}

static char order[16];
static size_t order_len;

struct named_task {
	struct pool_task task;
	char name;
};

static void note(struct pool_task *t)
{
	order[order_len++] = container_of(t, struct named_task, task)->name;
}

static void test_order(void **state)
{
	struct named_task tasks[5];
	struct pool *p;

	(void)state;
	assert_int_equal(pool_new(&p, "one", 1, 0), 0);
	for (int i = 0; i < 5; i++) {
		tasks[i] = (struct named_task){ .task.run = note, .name = (char)('a' + i) };
		assert_int_equal(pool_submit(p, &tasks[i].task), 0);
	}
	pool_free(p);
	assert_int_equal(order_len, 5);
	assert_memory_equal(order, "abcde", 5);
}

/* a gate that holds the only worker, so that the queue is seen to be full */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static int is_open, entered;
static char worker_name[16];
static int worker_takes_signals;

static void wait_at_gate(struct pool_task *t)
{
	sigset_t blocked;

	(void)t;
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	pthread_mutex_lock(&lock);
	pthread_getname_np(pthread_self(), worker_name, sizeof worker_name);
	worker_takes_signals = !sigismember(&blocked, SIGTERM);
	entered++;
	pthread_cond_broadcast(&opened);
	while (!is_open)
		pthread_cond_wait(&opened, &lock);
	pthread_mutex_unlock(&lock);
}

struct submitter {
	struct pool *pool;
	struct pool_task task;
	atomic_int rc;
};

static void *submit(void *arg)
{
	struct submitter *s = arg;

	atomic_store(&s->rc, pool_submit(s->pool, &s->task));
	return NULL;
}

static void open_gate(void)
{
	pthread_mutex_lock(&lock);
	is_open = 1;
	pthread_cond_broadcast(&opened);
	pthread_mutex_unlock(&lock);
}

static void test_full_queue_waits(void **state)
{
	struct pool_task first = { .run = wait_at_gate }, second = { .run = wait_at_gate };
	struct submitter s = { .task.run = wait_at_gate, .rc = 1 };
	struct timespec pause = { 0, 20 * NS_PER_MS };
	pthread_t thread;

	(void)state;
	assert_int_equal(pool_new(&s.pool, "gate", 1, 1), 0);
	assert_int_equal(pool_submit(s.pool, &first), 0);
	pthread_mutex_lock(&lock);
	while (!entered)
		pthread_cond_wait(&opened, &lock);
	pthread_mutex_unlock(&lock);
	assert_int_equal(pool_submit(s.pool, &second), 0);
	assert_int_equal(pthread_create(&thread, NULL, submit, &s), 0);
	nanosleep(&pause, NULL); /* nothing tells that a thread waits */
	assert_int_equal(atomic_load(&s.rc), 1);
	open_gate();
	pthread_join(thread, NULL);
	assert_int_equal(atomic_load(&s.rc), 0);
	pool_free(s.pool);
	assert_int_equal(entered, 3);
	assert_string_equal(worker_name, "gate");
	assert_false(worker_takes_signals);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_run),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_full_queue_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
