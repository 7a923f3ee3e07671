/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/backends/support.h"

#include "backends/call.h"
#include "backends/limit.h"

struct counted_hook {
	struct call_hook hook;
	unsigned runs;
};

static void count_cut(struct call_hook *hook)
{
	container_of(hook, struct counted_hook, hook)->runs++;
}

static void hooks_run_once(void **state)
{
	struct counted_hook attached = { .hook = { .cut = count_cut } }, detached = attached, late = attached;
	struct call c;

	(void)state;
	list_init(&late.hook.link);
	call_init(&c);
	assert_int_equal(call_attach(&c, &attached.hook), 0);
	assert_int_equal(call_attach(&c, &detached.hook), 0);
	call_detach(&c, &detached.hook);
	call_detach(&c, &detached.hook);
	call_cut(&c, -ERR_REVOKED);
	call_cut(&c, -ERR_STOPPED);
	assert_int_equal(attached.runs, 1);
	assert_int_equal(detached.runs, 0);
	assert_int_equal(call_attach(&c, &late.hook), -ERR_REVOKED); /* the first cause counts */
	call_detach(&c, &late.hook);
	assert_int_equal(late.runs, 0);
	assert_int_equal(call_state(&c), -ERR_REVOKED);
	call_detach(&c, &attached.hook);
	call_destroy(&c);
}

static void deadlines_end_calls(void **state)
{
	struct call c;

	(void)state;
	call_init(&c);
	assert_int_equal(call_state(&c), 0);
	assert_int_equal(call_pause(&c, clock_mono_ns() + 10 * NS_PER_MS), 0);
	c.deadline_ns = clock_mono_ns() + 20 * NS_PER_MS;
	assert_int_equal(call_state(&c), 0);
	assert_int_equal(call_pause(&c, clock_mono_ns() + 10 * NS_PER_S), -ERR_TIMEOUT);
	assert_int_equal(call_state(&c), -ERR_TIMEOUT);
	call_cut(&c, -ERR_STOPPED);
	assert_int_equal(call_state(&c), -ERR_STOPPED);
	call_destroy(&c);
}

static void *wake_soon(void *arg)
{
	struct timespec t = { 0, 50 * NS_PER_MS };

	nanosleep(&t, NULL);
	call_wake(arg);
	return NULL;
}

static void waiters_are_woken(void **state)
{
	struct call_waiter w;
	struct call c;
	pthread_t t;

	(void)state;
	call_init(&c);
	call_waiter_init(&w, &c);
	assert_int_equal(call_wait(&w, clock_mono_ns() + NS_PER_MS), -ETIMEDOUT);
	pthread_create(&t, NULL, wake_soon, &w);
	assert_int_equal(call_wait(&w, INT64_MAX), 0);
	pthread_join(t, NULL);
	assert_int_equal(call_wait(&w, INT64_MAX), 0); /* stays woken */
	call_waiter_destroy(&w);
	call_destroy(&c);
}

/* nanoseconds that so many bytes took, in pieces of at most so many */
static int64_t pass(uint64_t rate, size_t bytes, size_t piece_max)
{
	int64_t start = clock_mono_ns();
	struct limit l;
	struct call c;

	call_init(&c);
	limit_init(&l, rate, NULL);
	while (bytes) {
		ssize_t n = call_permit(&c, &l, bytes);

		assert_in_range(n, 1, piece_max);
		bytes -= (size_t)n;
	}
	limit_destroy(&l);
	call_destroy(&c);
	return clock_mono_ns() - start;
}

/* Never faster; slower only where the machine was busy, which it is not each time. */
static void limits_hold_on_average(void **state)
{
	static const struct {
		uint64_t rate;
		size_t bytes, piece_max;
	} rows[] = {
		{ 1 << 20, 256 << 10, (1 << 20) / 50 + 1 },
		{ 20 << 20, 8 << 20, 64 << 10 },
		{ 4096, 2048, 1024 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		/* the last piece is paid for after it was sent */
		int64_t due = (int64_t)((double)(rows[i].bytes - rows[i].piece_max) * NS_PER_S / (double)rows[i].rate);
		int64_t took = INT64_MAX;

		for (int tries = 0; tries < 10 && took > due * 3 / 2 + 300 * NS_PER_MS; tries++) {
			took = pass(rows[i].rate, rows[i].bytes, rows[i].piece_max);
			assert_true(took >= due - 25 * NS_PER_MS);
		}
		assert_true(took <= due * 3 / 2 + 300 * NS_PER_MS);
	}
}

static void no_limit_is_no_wait(void **state)
{
	struct limit l;
	struct call c;

	(void)state;
	call_init(&c);
	limit_init(&l, 0, NULL);
	assert_int_equal(call_permit(&c, &l, 123456789), 123456789);
	assert_int_equal(call_permit(&c, NULL, 5), 5);
	limit_destroy(&l);
	call_destroy(&c);
}

static void *cut_soon(void *arg)
{
	struct timespec t = { 0, 50 * NS_PER_MS };

	nanosleep(&t, NULL);
	call_cut(arg, -ERR_REVOKED);
	return NULL;
}

/* The clock is set to a minute of the day, and back. */
static void limits_hold_by_the_hour(void **state)
{
	static const struct {
		struct config_hours hours[2];
		size_t count;
		unsigned hour, minute;
		bool holds;
	} rows[] = {
		{ { { 0, 0 } }, 0, 3, 0, true }, /* none: always */
		{ { { 480, 1080 } }, 1, 7, 59, false },
		{ { { 480, 1080 } }, 1, 8, 0, true },
		{ { { 480, 1080 } }, 1, 17, 59, true },
		{ { { 480, 1080 } }, 1, 18, 0, false },
		{ { { 1350, 120 } }, 1, 22, 29, false }, /* over midnight */
		{ { { 1350, 120 } }, 1, 22, 30, true },
		{ { { 1350, 120 } }, 1, 0, 0, true },
		{ { { 1350, 120 } }, 1, 1, 59, true },
		{ { { 1350, 120 } }, 1, 2, 0, false },
		{ { { 480, 600 }, { 1200, 1440 } }, 2, 23, 59, true },
		{ { { 480, 600 }, { 1200, 1440 } }, 2, 10, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct config_hours hours[2] = { rows[i].hours[0], rows[i].hours[1] };
		struct config_backend config = { .limit_hours = hours, .limit_hours_count = rows[i].count };
		/* half a minute past it, so that none begins meanwhile */
		int64_t day_ns = 86400 * NS_PER_S,
			want = (rows[i].hour * 60 + rows[i].minute) * 60 * NS_PER_S + 30 * NS_PER_S;
		int64_t shift = want - clock_real_ns() % day_ns;
		size_t piece = 1 << 20;
		struct limit l;

		limit_init(&l, 1000, &config);
		clock_shift_real(shift);
		assert_int_equal(clock_local_minute(), rows[i].hour * 60 + rows[i].minute);
		limit_reserve(&l, &piece);
		clock_shift_real(-shift);
		if ((piece < 1 << 20) != rows[i].holds)
			fail_msg("row %zu: %zu bytes at once", i, piece);
		limit_destroy(&l);
	}
}

static void a_cut_ends_the_wait_for_the_limit(void **state)
{
	int64_t start = clock_mono_ns();
	struct limit l;
	struct call c;
	pthread_t t;

	(void)state;
	call_init(&c);
	limit_init(&l, 10, NULL); /* a piece in a hundred seconds */
	assert_int_equal(call_permit(&c, &l, 2000), 1024);
	pthread_create(&t, NULL, cut_soon, &c);
	assert_int_equal(call_permit(&c, &l, 2000), -ERR_REVOKED);
	pthread_join(t, NULL);
	assert_true(clock_mono_ns() - start < 10 * NS_PER_S);
	limit_destroy(&l);
	call_destroy(&c);
}

static void says_when_the_wait_was_ours(void **state)
{
	struct limit l;
	struct call c;

	(void)state;
	call_init(&c);
	limit_init(&l, 10, NULL);
	c.deadline_ns = clock_mono_ns() + 50 * NS_PER_MS;
	assert_int_equal(call_permit(&c, &l, 2000), 1024);
	assert_false(c.own_wait);
	assert_int_equal(call_permit(&c, &l, 2000), -ERR_TIMEOUT);
	assert_true(c.own_wait);
	limit_destroy(&l);
	call_destroy(&c);
}

static void memory_ends_where_it_ends(void **state)
{
	struct source_memory from;
	struct sink_memory to;
	char back[4];

	(void)state;
	source_memory(&from, "abcdef", 6);
	assert_int_equal(from.source.read(&from.source, 2, back, 4), 0);
	assert_memory_equal(back, "cdef", 4);
	assert_int_equal(from.source.read(&from.source, 3, back, 4), -ERANGE);
	assert_int_equal(from.source.read(&from.source, UINT64_MAX, back, 2), -ERANGE);
	sink_memory(&to, back, 4);
	assert_int_equal(to.sink.write(&to.sink, "xy", 2), 0);
	assert_int_equal(to.sink.write(&to.sink, "xyz", 3), -ERR_PROTOCOL);
	assert_int_equal(to.len, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hooks_run_once),
		cmocka_unit_test(deadlines_end_calls),
		cmocka_unit_test(waiters_are_woken),
		cmocka_unit_test(limits_hold_on_average),
		cmocka_unit_test(no_limit_is_no_wait),
		cmocka_unit_test(limits_hold_by_the_hour),
		cmocka_unit_test(a_cut_ends_the_wait_for_the_limit),
		cmocka_unit_test(says_when_the_wait_was_ours),
		cmocka_unit_test(memory_ends_where_it_ends),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
