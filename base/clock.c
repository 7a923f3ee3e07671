/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>

static atomic_llong real_shift_ns;

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

int64_t clock_real_ns(void)
{
	return clock_ns(CLOCK_REALTIME) + atomic_load(&real_shift_ns);
}

unsigned clock_local_minute(void)
{
	time_t now = (time_t)(clock_real_ns() / NS_PER_S);
	struct tm tm;

	localtime_r(&now, &tm);
	return (unsigned)(tm.tm_hour * 60 + tm.tm_min);
}

void clock_shift_real(int64_t ns)
{
	atomic_fetch_add(&real_shift_ns, ns);
}

int clock_poll_ms(int64_t deadline_ns)
{
	int64_t now = clock_mono_ns(), left;

	if (deadline_ns == INT64_MAX)
		return -1;
	if (deadline_ns <= now)
		return 0;
	left = (deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS;
	return left > INT_MAX ? INT_MAX : (int)left;
}

void cond_init_mono(pthread_cond_t *c)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(c, &attr);
	pthread_condattr_destroy(&attr);
}

int cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t deadline_ns)
{
	struct timespec ts;

	if (deadline_ns == INT64_MAX)
		return -pthread_cond_wait(c, m);
	if (deadline_ns < 0)
		deadline_ns = 0;
	ts.tv_sec = deadline_ns / NS_PER_S;
	ts.tv_nsec = deadline_ns % NS_PER_S;
	return -pthread_cond_timedwait(c, m, &ts);
}
