/* SPDX-License-Identifier: GPL-3.0-or-later */
/* retry, breaker and meter around a scripted driver. */
#include "tests/unit/backends/support.h"

#define U (-ERR_UNREACHABLE)
#define T (-ERR_TIMEOUT)

static int head(struct backend *b, struct asked *a, bool quick)
{
	uint64_t size = 0;

	ask(a)->retry_quick = quick;
	return backend_head(b, &a->call, "k", &size);
}

static void retries_what_may_mend(void **state)
{
	static const struct {
		int script[6];
		bool quick;
		int rc;
		unsigned calls;
	} rows[] = {
		{ { 0 }, false, 0, 1 },
		{ { U, 0 }, false, 0, 2 },
		{ { U, T, -ERR_BUSY, -ERR_SERVER, 0 }, false, 0, 5 },
		{ { U, U, U, U, U, U }, false, U, 5 },
		{ { U, 0 }, true, 0, 2 },
		{ { U, U, U }, true, U, 2 },
		{ { T, 0 }, true, T, 1 }, /* somebody has waited long enough */
		{ { -ERR_ABSENT }, false, -ERR_ABSENT, 1 },
		{ { -ERR_DENIED }, false, -ERR_DENIED, 1 },
		{ { -ERR_PROTOCOL }, false, -ERR_PROTOCOL, 1 },
		{ { -ERR_REDIRECT }, false, -ERR_REDIRECT, 1 },
		{ { -ERR_PEER_ABROAD }, false, -ERR_PEER_ABROAD, 1 },
		{ { -ERR_PEER_TLS }, false, -ERR_PEER_TLS, 1 },
		{ { -ERR_REVOKED }, false, -ERR_REVOKED, 1 },
		{ { -ENOMEM }, false, -ENOMEM, 1 },
		{ { U, -ERR_DENIED }, false, -ERR_DENIED, 2 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct backend *b;
		struct setting s;
		struct asked a;
		struct fake f;

		assert_int_equal(
			retry_wrap(&b, fake_init(&f, setting_init(&s, "fake"), rows[i].script, COUNT(rows[i].script))),
			0);
		f.text = "try";
		assert_int_equal(head(b, &a, rows[i].quick), rows[i].rc);
		assert_int_equal(atomic_load(&f.calls), rows[i].calls);
		if (rows[i].rc < 0) { /* the sentence is of the last try */
			char last[16];

			snprintf(last, sizeof last, "try %u", rows[i].calls);
			assert_string_equal(a.msg.text, last);
		} else {
			assert_null(a.msg.text);
		}
		asked_end(&a);
		backend_free(b);
	}
}

static void goes_on_where_a_get_broke(void **state)
{
	static const int script[] = { U, U, 0 };
	struct sink_memory m;
	struct backend *b;
	struct setting s;
	uint8_t back[10];
	struct asked a;
	struct fake f;

	(void)state;
	assert_int_equal(retry_wrap(&b, fake_init(&f, setting_init(&s, "fake"), script, COUNT(script))), 0);
	f.deliver = 3;
	assert_int_equal(backend_get(b, ask(&a), "k", 100, 10, sink_memory(&m, back, sizeof back)), 0);
	assert_int_equal(m.len, 10);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(back[i], 100 + i);
	assert_int_equal(f.get_off[0], 100);
	assert_int_equal(f.get_off[1], 103);
	assert_int_equal(f.get_off[2], 106);
	asked_end(&a);
	backend_free(b);
}

/* What the sink refuses is no failure of the backend, whatever its number. */
static int refusing_write(struct sink *s, const void *data, size_t len)
{
	(void)s;
	(void)data;
	(void)len;
	return U;
}

static void does_not_retry_for_the_sink(void **state)
{
	struct sink sink = { refusing_write };
	struct backend *b;
	struct setting s;
	struct asked a;
	struct fake f;

	(void)state;
	assert_int_equal(retry_wrap(&b, fake_init(&f, setting_init(&s, "fake"), NULL, 0)), 0);
	assert_int_equal(backend_get(b, ask(&a), "k", 0, 10, &sink), U);
	assert_int_equal(atomic_load(&f.calls), 1);
	asked_end(&a);
	backend_free(b);
}

static int join_keys(void *ctx, const struct backend_object *o)
{
	strcat(ctx, o->key);
	return 0;
}

static int stop_at_once(void *ctx, const struct backend_object *o)
{
	(void)ctx;
	(void)o;
	return U;
}

static void lists_every_key_once(void **state)
{
	static const int script[] = { U, -ERR_SERVER, 0 };
	char keys[32] = "";
	struct backend *b;
	struct setting s;
	struct asked a;
	struct fake f;

	(void)state;
	assert_int_equal(retry_wrap(&b, fake_init(&f, setting_init(&s, "fake"), script, COUNT(script))), 0);
	f.deliver = 2;
	assert_int_equal(backend_list(b, ask(&a), join_keys, keys), 0);
	assert_string_equal(keys, "abcd");
	asked_end(&a);
	atomic_store(&f.calls, 0);
	assert_int_equal(backend_list(b, ask(&a), stop_at_once, NULL), U);
	assert_int_equal(atomic_load(&f.calls), 1);
	asked_end(&a);
	backend_free(b);
}

static void keeps_within_the_deadline(void **state)
{
	static const int script[] = { -ERR_BUSY };
	struct backend *b;
	struct setting s;
	struct asked a;
	struct fake f;
	uint64_t size;
	int64_t start = clock_mono_ns();

	(void)state;
	assert_int_equal(retry_wrap(&b, fake_init(&f, setting_init(&s, "fake"), script, 1)), 0);
	f.retry_after_ns = 20 * NS_PER_S;
	ask(&a)->deadline_ns = start + NS_PER_S;
	assert_int_equal(backend_head(b, &a.call, "k", &size), -ERR_BUSY);
	assert_int_equal(atomic_load(&f.calls), 1); /* the server asked for more time than there is */
	assert_true(clock_mono_ns() - start < NS_PER_S / 2);
	asked_end(&a);
	backend_free(b);
}

static void *cut_soon(void *arg)
{
	struct timespec t = { 0, 100 * NS_PER_MS };

	nanosleep(&t, NULL);
	call_cut(arg, -ERR_STOPPED);
	return NULL;
}

static void wakes_when_cut(void **state)
{
	static const int script[] = { -ERR_BUSY };
	struct backend *b;
	struct setting s;
	struct asked a;
	struct fake f;
	uint64_t size;
	pthread_t cutter;
	int64_t start = clock_mono_ns();

	(void)state;
	assert_int_equal(retry_wrap(&b, fake_init(&f, setting_init(&s, "fake"), script, 1)), 0);
	f.retry_after_ns = 20 * NS_PER_S;
	pthread_create(&cutter, NULL, cut_soon, ask(&a));
	assert_int_equal(backend_head(b, &a.call, "k", &size), -ERR_STOPPED);
	pthread_join(cutter, NULL);
	assert_true(clock_mono_ns() - start < 5 * NS_PER_S);
	assert_int_equal(atomic_load(&f.calls), 1);
	asked_end(&a);
	backend_free(b);
}

/* what the breaker lets through: the driver's calls after each call of ours */
static void opens_after_failures(void **state)
{
	static const struct {
		int script[6];
		unsigned ours, through;
		bool down;
	} rows[] = {
		{ { U, U, U, 0 }, 5, 3, true },
		{ { U, U, 0, U, U, 0 }, 6, 6, false },	   /* not in a row */
		{ { U, U, -ERR_ABSENT, U }, 4, 4, false }, /* an answer is an answer */
		{ { T, 0 }, 3, 1, true },		   /* nobody waits a timeout twice */
		{ { -ERR_SERVER, -ERR_BUSY, -ERR_DENIED, -ERR_SERVER }, 4, 4, false },
		{ { U, U, -ERR_REVOKED, U, 0 }, 6, 4, true }, /* says nothing of the backend */
		{ { U, U, -ENOMEM, U, 0 }, 6, 4, true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct backend_status status;
		struct backend *b;
		struct setting s;
		struct asked a;
		struct fake f;
		int64_t at;

		fake_init(&f, setting_init(&s, "fake"), rows[i].script, COUNT(rows[i].script));
		assert_int_equal(breaker_wrap(&b, &f.backend), 0);
		for (unsigned n = 0; n < rows[i].ours; n++) {
			head(b, &a, false);
			asked_end(&a);
		}
		assert_int_equal(atomic_load(&f.calls), rows[i].through);
		assert_int_equal(backend_is_down(b, &at), rows[i].down);
		assert_int_equal(at != 0, rows[i].down);
		backend_status(b, &status);
		assert_int_equal(status.up, !rows[i].down);
		backend_free(b);
	}
}

static void wait_until(int64_t when)
{
	struct timespec t = { when / NS_PER_S, when % NS_PER_S };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void answers_with_the_last_error_and_closes(void **state)
{
	static const int script[] = { T, T, 0 };
	struct backend *b;
	struct setting s;
	struct asked a;
	struct fake f;
	int64_t first, second;

	(void)state;
	assert_int_equal(breaker_wrap(&b, fake_init(&f, setting_init(&s, "fake"), script, COUNT(script))), 0);
	f.text = "no answer, try";
	assert_int_equal(head(b, &a, false), T);
	asked_end(&a);
	assert_int_equal(head(b, &a, false), T);
	assert_says(&a.msg, "no answer, try 1 (not tried again now");
	asked_end(&a);
	assert_true(backend_is_down(b, &first));
	wait_until(first);
	assert_false(backend_is_down(b, &first)); /* one may try */
	assert_int_equal(head(b, &a, false), T);
	asked_end(&a);
	assert_int_equal(atomic_load(&f.calls), 2);
	assert_true(backend_is_down(b, &second));
	assert_in_range((second - clock_mono_ns()) / NS_PER_MS, 1500, 2000); /* twice as long */
	/* a probe is let through, and its answer closes */
	assert_int_equal(backend_probe(b, ask(&a)), 0);
	asked_end(&a);
	assert_false(backend_is_down(b, NULL));
	assert_int_equal(head(b, &a, false), 0);
	asked_end(&a);
	backend_free(b);
}

static struct {
	struct backend *b;
	int rc;
} nested;

static void call_again(struct fake *f, struct call *c)
{
	struct asked a;

	(void)c;
	if (atomic_load(&f->calls) != 2)
		return;
	nested.rc = head(nested.b, &a, false);
	asked_end(&a);
}

static void lets_only_one_through(void **state)
{
	static const int script[] = { T, 0 };
	struct setting s;
	struct asked a;
	struct fake f;
	int64_t at;

	(void)state;
	assert_int_equal(breaker_wrap(&nested.b, fake_init(&f, setting_init(&s, "fake"), script, COUNT(script))), 0);
	f.during = call_again;
	assert_int_equal(head(nested.b, &a, false), T);
	asked_end(&a);
	assert_true(backend_is_down(nested.b, &at));
	wait_until(at);
	assert_int_equal(head(nested.b, &a, false), 0);
	asked_end(&a);
	assert_int_equal(nested.rc, T); /* the second, while the first was under way */
	assert_int_equal(atomic_load(&f.calls), 2);
	backend_free(nested.b);
}

static void waits_of_our_own_open_nothing(void **state)
{
	static const int script[] = { T };
	struct backend *b;
	struct setting s;
	struct asked a;
	struct fake f;

	(void)state;
	assert_int_equal(breaker_wrap(&b, fake_init(&f, setting_init(&s, "fake"), script, 1)), 0);
	f.own_wait = true;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(head(b, &a, false), T);
		asked_end(&a);
	}
	assert_int_equal(atomic_load(&f.calls), 5);
	assert_false(backend_is_down(b, NULL));
	backend_free(b);
}

static void counts(void **state)
{
	static const int script[] = { 0, 0, -ERR_ABSENT, -ERR_REVOKED, -ERR_DENIED, U };
	struct backend_status status;
	struct sink_memory m;
	struct backend *b;
	struct setting s;
	uint8_t back[100];
	struct asked a;
	struct fake f;

	(void)state;
	assert_int_equal(meter_wrap(&b, fake_init(&f, setting_init(&s, "fake"), script, COUNT(script))), 0);
	f.text = "fault";
	backend_status(b, &status);
	assert_int_equal(status.requests, 0);
	assert_int_equal(status.last_ok_ns, 0);
	assert_true(status.up);
	assert_int_equal(backend_get(b, ask(&a), "k", 0, 100, sink_memory(&m, back, sizeof back)), 0);
	asked_end(&a);
	for (int i = 0; i < 5; i++) {
		uint64_t size;

		ask(&a);
		if (i == 4)
			a.call.msg = NULL; /* the status has the sentence all the same */
		backend_head(b, &a.call, "k", &size);
		asked_end(&a);
	}
	backend_status(b, &status);
	assert_int_equal(status.requests, 6);
	assert_int_equal(status.failures, 2);
	assert_int_equal(status.bytes_received, 100);
	assert_int_equal(status.last_error, U);
	assert_string_equal(status.last_message, "fault 6");
	assert_true(status.last_ok_ns > 0);
	assert_true(status.last_error_ns >= status.last_ok_ns);
	assert_true(status.latency_ns > 0);
	backend_free(b);
}

/* last_error is of now: what answers again is not failing. */
static void an_answer_ends_an_error(void **state)
{
	static const struct {
		int put, get; /* one after the other */
		int want;
	} rows[] = {
		{ U, 0, 0 },
		{ -ERR_SERVER, 0, 0 },
		{ -ERR_NO_BUCKET, -ERR_ABSENT, 0 },
		{ T, -ERR_TAMPERED, 0 }, /* the object is damaged, but it answered */
		{ T, -ERR_REVOKED, T },
		{ 0, U, U },
		{ -ERR_QUOTA, 0, -ERR_QUOTA }, /* it may be read, and still takes nothing */
		{ -ERR_DENIED, 0, -ERR_DENIED },
		{ -ERR_QUOTA, U, U },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const int script[] = { rows[i].put, rows[i].get, 0 };
		struct backend_status status;
		struct source_memory body;
		struct backend *b;
		struct setting s;
		struct asked a;
		struct fake f;

		assert_int_equal(meter_wrap(&b, fake_init(&f, setting_init(&s, "fake"), script, COUNT(script))), 0);
		assert_int_equal(guard_put(b, ask(&a), "k", source_memory(&body, "x", 1)), rows[i].put);
		asked_end(&a);
		assert_int_equal(head(b, &a, false), rows[i].get);
		asked_end(&a);
		backend_status(b, &status);
		assert_int_equal(status.last_error, rows[i].want);
		assert_int_equal(guard_put(b, ask(&a), "k", source_memory(&body, "x", 1)), 0);
		asked_end(&a);
		backend_status(b, &status);
		assert_int_equal(status.last_error, 0);
		backend_free(b);
	}
}

static void opens_only_known_types(void **state)
{
	struct errmsg msg = { 0 };
	struct backend *b = NULL;
	struct setting s;

	(void)state;
	setting_init(&s, "gopher");
	assert_int_equal(backend_open(&b, &s.config, ZONE, false, &msg), -ERR_CONFIG);
	assert_null(b);
	assert_says(&msg, "unknown type 'gopher'; known are local, s3, swift, sftp, webdav, azure");
	errmsg_free(&msg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(retries_what_may_mend),
		cmocka_unit_test(goes_on_where_a_get_broke),
		cmocka_unit_test(does_not_retry_for_the_sink),
		cmocka_unit_test(lists_every_key_once),
		cmocka_unit_test(keeps_within_the_deadline),
		cmocka_unit_test(wakes_when_cut),
		cmocka_unit_test(opens_after_failures),
		cmocka_unit_test(answers_with_the_last_error_and_closes),
		cmocka_unit_test(lets_only_one_through),
		cmocka_unit_test(waits_of_our_own_open_nothing),
		cmocka_unit_test(counts),
		cmocka_unit_test(an_answer_ends_an_error),
		cmocka_unit_test(opens_only_known_types),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
