/* SPDX-License-Identifier: GPL-3.0-or-later */
/* clock: the two clocks, in nanoseconds. None blocks. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_S  1000000000LL
#define NS_PER_MS 1000000LL

/* clock_mono_ns: CLOCK_MONOTONIC, for intervals and deadlines. */
int64_t clock_mono_ns(void);
/* clock_real_ns: CLOCK_REALTIME since 1970, for timestamps. */
int64_t clock_real_ns(void);
/* clock_local_minute: how many minutes of the day have passed by clock_real_ns, in local time. */
unsigned clock_local_minute(void);
/* clock_shift_real: moves clock_real_ns by a number of ns, for tests of age and expiry. */
void clock_shift_real(int64_t ns);
/* clock_poll_ms: for poll: the time left until deadline_ns (monotonic; INT64_MAX: for ever), rounded up. */
int clock_poll_ms(int64_t deadline_ns);
/* cond_init_mono: a condition variable whose timed waits use CLOCK_MONOTONIC. */
void cond_init_mono(pthread_cond_t *c);
/* cond_wait_until: waits until signalled or until deadline_ns (monotonic; INT64_MAX: for ever). Returns 0, or
 * -ETIMEDOUT. The mutex is held on entry and return. */
int cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t deadline_ns);

#endif
