/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The 1st, 2nd, 3rd ... request of a multipart upload fails, until none is left to fail, before it is made or after. */
#include "tests/unit/backends/support.h"

#include "tests/fault/backend_fault.h"

static int zeros(struct source *s, uint64_t off, void *buf, size_t len)
{
	(void)s;
	(void)off;
	memset(buf, 0, len);
	return 0;
}

/* begin, five parts, complete */
#define STEPS 7u

static int upload(struct backend *b, unsigned *checks)
{
	struct source source = { .length = MULTIPART_BYTES + 1, .read = zeros };
	struct asked a;
	int rc = guard_put(b, ask(&a), "k", &source);

	*checks = atomic_load(&a.checks);
	asked_end(&a);
	return rc;
}

static void every_upload_ends(void **state)
{
	static const enum fault_when when[] = { FAULT_BEFORE, FAULT_AFTER };

	(void)state;
	for (size_t w = 0; w < COUNT(when); w++) {
		int rc = -1;

		for (unsigned n = 1; rc < 0; n++) {
			struct setting s;
			struct fault *f = NULL;
			struct fake fake;
			unsigned checks;

			assert_in_range(n, 1, STEPS + 1);
			assert_int_equal(fault_wrap(&f, fake_init(&fake, setting_init(&s, "fake"), NULL, 0)), 0);
			fault_set(f, 0, n, 1, when[w], -ERR_SERVER);
			rc = upload(&f->wrap.backend, &checks);
			/* what was begun was completed or aborted, never both, never neither */
			assert_int_equal(fake.by_kind[OP_COMPLETE] + fake.by_kind[OP_ABORT], fake.by_kind[OP_BEGIN]);
			assert_int_equal(rc == 0, fake.by_kind[OP_COMPLETE] == 1);
			assert_true(checks >= fake.by_kind[OP_PART]);
			backend_free(&f->wrap.backend);
		}
	}
}

/* The same under the retry wrapper: one lost answer of any request is mended. */
static void one_fault_is_mended(void **state)
{
	unsigned kinds = 1u << OP_PART | 1u << OP_COMPLETE;

	(void)state;
	for (unsigned n = 1; n < STEPS; n++) {
		struct backend *b;
		struct setting s;
		struct fault *f = NULL;
		struct fake fake;
		unsigned checks;

		fake_init(&fake, setting_init(&s, "fake"), NULL, 0);
		assert_int_equal(fault_wrap(&f, &fake.backend), 0);
		fault_set(f, kinds, n, 1, FAULT_BEFORE, -ERR_UNREACHABLE);
		assert_int_equal(retry_wrap(&b, &f->wrap.backend), 0);
		assert_int_equal(upload(b, &checks), 0);
		assert_int_equal(fake.by_kind[OP_PART], 5);
		assert_int_equal(fake.by_kind[OP_COMPLETE], 1);
		assert_int_equal(fake.by_kind[OP_ABORT], 0);
		backend_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_upload_ends),
		cmocka_unit_test(one_fault_is_mended),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
