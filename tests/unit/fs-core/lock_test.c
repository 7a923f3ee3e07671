/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who has the store: it is refused while it is mounted, and waited for while it ends. */
#include "fixture.h"

#include "base/err.h"

#include <pthread.h>

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_make(f, "", "");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_destroy(*state);
	free(*state);
	return 0;
}

/* another one of the same store */
static int open_second(struct fixture *f, struct core **out, struct errmsg *msg)
{
	struct config *config = fixture_load(f);
	struct keyring *keyring;
	int rc;

	assert_int_equal(core_unlock(config, &passphrase, &keyring, msg), 0);
	rc = core_open(out, config, keyring, msg);
	config_put(config);
	return rc;
}

static void test_in_use(void **state)
{
	struct fixture *f = *state;
	struct errmsg msg = { 0 };
	struct core *second;
	char wanted[64];

	assert_int_equal(open_second(f, &second, &msg), -ERR_LOCKED);
	assert_null(second);
	snprintf(wanted, sizeof(wanted), "in use by process %ld: unmount it there first", (long)getpid());
	assert_non_null(strstr(errmsg_text(&msg, -ERR_LOCKED), wanted));
	errmsg_free(&msg);
}

/* longer than a store is waited for that is in use */
static void *end_slowly(void *arg)
{
	struct fixture *f = arg;

	assert_int_equal(core_stop(f->core), 0);
	nanosleep(&(struct timespec){ .tv_sec = 4 }, NULL);
	core_close(f->core);
	f->core = NULL;
	return NULL;
}

static void test_waits_for_the_end(void **state)
{
	struct fixture *f = *state;
	struct errmsg msg = { 0 };
	struct core *second;
	pthread_t thread;

	fixture_write(f, META_ROOT_INO, "file", "text");
	assert_int_equal(pthread_create(&thread, NULL, end_slowly, f), 0);
	assert_int_equal(open_second(f, &second, &msg), 0);
	pthread_join(thread, NULL);
	assert_int_equal(core_start(second), 0);
	f->core = second;
	fixture_expect(f, fixture_ino(f, META_ROOT_INO, "file"), "text");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waits_for_the_end, setup, teardown),
	};

	if (crypt_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
