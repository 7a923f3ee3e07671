/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "tests/unit/base/unit.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

static void test_clocks(void **state)
{
	int64_t mono = clock_mono_ns(), real = clock_real_ns(), now = (int64_t)time(NULL) * NS_PER_S;

	(void)state;
	assert_true(clock_mono_ns() >= mono);
	assert_true(real > now - 2 * NS_PER_S && real < now + 2 * NS_PER_S);
	clock_shift_real(3600 * NS_PER_S);
	clock_shift_real(60 * NS_PER_S);
	assert_true(clock_real_ns() - real >= 3660 * NS_PER_S);
	assert_true(clock_mono_ns() - mono < 60 * NS_PER_S);
	clock_shift_real(-3660 * NS_PER_S);
	assert_true(clock_real_ns() - real < 60 * NS_PER_S);
}

static void test_local_minute(void **state)
{
	int64_t shift = 86400 * NS_PER_S - clock_real_ns() % (86400 * NS_PER_S) + 90 * NS_PER_S;

	(void)state;
	clock_shift_real(shift); /* 00:01:30 UTC */
	setenv("TZ", "UTC", 1);
	tzset();
	assert_int_equal(clock_local_minute(), 1);
	setenv("TZ", "CST-8", 1);
	tzset();
	assert_int_equal(clock_local_minute(), 8 * 60 + 1);
	clock_shift_real(-shift);
}

static void test_poll_ms(void **state)
{
	int64_t now = clock_mono_ns();
	int ms = clock_poll_ms(now + 60 * NS_PER_S + 1);

	(void)state;
	assert_true(ms > 59000 && ms <= 60001);
	assert_int_equal(clock_poll_ms(INT64_MAX), -1);
	assert_int_equal(clock_poll_ms(INT64_MAX - 1), INT_MAX);
	assert_int_equal(clock_poll_ms(now), 0);
	assert_int_equal(clock_poll_ms(INT64_MIN), 0);
	/* never too soon: who looks at the clock after a poll finds that it is time */
	assert_int_equal(clock_poll_ms(clock_mono_ns() + NS_PER_MS / 2), 1);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond;
static int signalled;

static void *signaller(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	signalled = 1;
	pthread_cond_signal(&cond);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void test_wait(void **state)
{
	int64_t start = clock_mono_ns();
	pthread_t thread;

	(void)state;
	cond_init_mono(&cond);
	pthread_mutex_lock(&lock);
	assert_int_equal(cond_wait_until(&cond, &lock, start + 20 * NS_PER_MS), -ETIMEDOUT);
	assert_true(clock_mono_ns() - start >= 20 * NS_PER_MS);
	assert_int_equal(cond_wait_until(&cond, &lock, 0), -ETIMEDOUT);
	assert_int_equal(cond_wait_until(&cond, &lock, INT64_MIN), -ETIMEDOUT);
	assert_int_equal(pthread_create(&thread, NULL, signaller, NULL), 0);
	while (!signalled)
		assert_int_equal(cond_wait_until(&cond, &lock, INT64_MAX), 0);
	pthread_mutex_unlock(&lock);
	pthread_join(thread, NULL);
	pthread_cond_destroy(&cond);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_clocks), cmocka_unit_test(test_local_minute),
		cmocka_unit_test(test_poll_ms), cmocka_unit_test(test_wait) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
