/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/backends/support.h"

#include <arpa/inet.h>
#include <sys/un.h>

static int judge(const struct config_backend *config, const char *address, struct errmsg *msg)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
		return guard_peer(config, (struct sockaddr *)&v4, NULL, msg);
	assert_int_equal(inet_pton(AF_INET6, address, &v6.sin6_addr), 1);
	return guard_peer(config, (struct sockaddr *)&v6, NULL, msg);
}

static void judges_peers(void **state)
{
	static const struct {
		const char *networks[3], *address;
		int rc;
	} rows[] = {
		{ { "10.20.0.0/16" }, "10.20.255.255", 0 }, { { "10.20.0.0/16" }, "10.21.0.0", -ERR_PEER_ABROAD },
		{ { "10.20.0.0/16" }, "10.19.255.255", -ERR_PEER_ABROAD },
		{ { "10.20.0.0/16" }, "::ffff:10.20.0.1", 0 },
		{ { "10.20.0.0/16" }, "::ffff:10.21.0.1", -ERR_PEER_ABROAD },
		{ { "10.20.0.0/16" }, "::10.20.0.1", -ERR_PEER_ABROAD },
		{ { "10.20.0.0/16" }, "2001:db8::a14:1", -ERR_PEER_ABROAD },
		{ { "10.20.0.0/16", "2001:db8::/32" }, "2001:db8:ffff::1", 0 },
		{ { "10.20.0.0/16", "2001:db8::/32" }, "2001:db9::1", -ERR_PEER_ABROAD },
		{ { "0.0.0.0/0" }, "203.0.113.9", 0 }, { { "0.0.0.0/0" }, "2001:db8::1", -ERR_PEER_ABROAD },
		{ { "127.0.0.1" }, "127.0.0.1", 0 }, { { "127.0.0.1" }, "127.0.0.2", -ERR_PEER_ABROAD },
		{ { NULL }, "203.0.113.9", 0 }, /* no networks: no restriction */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct errmsg msg = { 0 };
		struct setting s;

		setting_init(&s, "s3");
		for (int n = 0; n < 3 && rows[i].networks[n]; n++)
			setting_allow(&s, rows[i].networks[n]);
		if (judge(&s.config, rows[i].address, &msg) != rows[i].rc)
			fail_msg("%s in %s", rows[i].address, rows[i].networks[0]);
		errmsg_free(&msg);
	}
}

static void names_backend_address_and_zone(void **state)
{
	struct errmsg msg = { 0 };
	struct setting s;

	(void)state;
	setting_init(&s, "s3");
	setting_allow(&s, "10.0.0.0/8");
	assert_int_equal(judge(&s.config, "::ffff:192.0.2.1", &msg), -ERR_PEER_ABROAD);
	assert_says(&msg, "'virginia'");
	assert_says(&msg, " 192.0.2.1 ");
	assert_says(&msg, "'foreign'");
	errmsg_free(&msg);
}

static void refuses_unknown_families(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct setting s;

	(void)state;
	setting_init(&s, "s3");
	setting_allow(&s, "0.0.0.0/0");
	setting_allow(&s, "::/0");
	assert_int_equal(guard_peer(&s.config, (struct sockaddr *)&un, NULL, NULL), -ERR_PEER_ABROAD);
}

static int never(struct call *c)
{
	(void)c;
	return -ERR_REVOKED;
}

static void refuses_at_the_border(void **state)
{
	static const struct {
		uint32_t zone;
		int (*check)(struct call *);
		enum backend_mode mode;
		int cut, rc;
		const char *says;
	} rows[] = {
		{ ZONE, asked_check, MODE_READWRITE, 0, 0, NULL },
		{ ZONE + 1, asked_check, MODE_READWRITE, 0, -ERR_BORDER, "another zone" },
		{ 0, asked_check, MODE_READWRITE, 0, -ERR_BORDER, "another zone" },
		{ ZONE, NULL, MODE_READWRITE, 0, -ERR_BORDER, NULL },
		{ ZONE, never, MODE_READWRITE, 0, -ERR_REVOKED, NULL },
		{ ZONE, asked_check, MODE_READWRITE, -ERR_STOPPED, -ERR_STOPPED, NULL },
		{ ZONE, asked_check, MODE_FROZEN, 0, -ERR_FROZEN, "mode is frozen" },
		{ ZONE, asked_check, MODE_READONLY, 0, -ERR_FROZEN, "mode is readonly" },
		{ ZONE, asked_check, MODE_DRAIN, 0, -ERR_FROZEN, "mode is drain" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct source_memory m;
		struct setting s;
		struct asked a;
		struct fake f;

		fake_init(&f, setting_init(&s, "fake"), NULL, 0);
		s.config.mode = rows[i].mode;
		ask(&a)->zone_id = rows[i].zone;
		a.call.check = rows[i].check;
		if (rows[i].cut)
			call_cut(&a.call, rows[i].cut);
		assert_int_equal(guard_put(&f.backend, &a.call, "k", source_memory(&m, "abc", 3)), rows[i].rc);
		assert_int_equal(f.body_bytes, rows[i].rc ? 0 : 3);
		assert_int_equal(atomic_load(&f.calls), rows[i].rc ? 0 : 1);
		if (rows[i].says)
			assert_says(&a.msg, rows[i].says);
		asked_end(&a);
	}
}

static int no_bytes(struct source *s, uint64_t off, void *buf, size_t len)
{
	(void)s;
	(void)off;
	memset(buf, 0, len);
	return 0;
}

/* begin, two parts of 64 MiB + 1 ... and what ends it */
static void sends_large_bodies_in_parts(void **state)
{
	static const struct {
		uint64_t length;
		int script[8];
		unsigned refuse_at; /* the check refused */
		int rc;
		unsigned parts, completes, aborts;
	} rows[] = {
		{ MULTIPART_BYTES + 1, { 0 }, 0, 0, 5, 1, 0 },
		{ 5 * (uint64_t)MULTIPART_PART_BYTES, { 0 }, 0, 0, 5, 1, 0 },
		{ MULTIPART_BYTES + 1, { -ERR_SERVER }, 0, -ERR_SERVER, 0, 0, 0 },
		{ MULTIPART_BYTES + 1, { 0, 0, -ERR_QUOTA, 0 }, 0, -ERR_QUOTA, 2, 0, 1 },
		{ MULTIPART_BYTES + 1, { 0, 0, 0, 0, 0, 0, -ERR_SERVER, 0 }, 0, -ERR_SERVER, 5, 1, 1 },
		{ MULTIPART_BYTES + 1, { 0 }, 4, -ERR_REVOKED, 2, 0, 1 }, /* the third part */
		{ MULTIPART_BYTES + 1, { 0 }, 7, -ERR_REVOKED, 5, 0, 1 }, /* the completion */
		/* more than 10,000 parts of the usual size: larger parts */
		{ 10001 * (uint64_t)MULTIPART_PART_BYTES, { 0 }, 0, 0, 10000, 1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct source source = { .length = rows[i].length, .read = no_bytes };
		struct setting s;
		struct asked a;
		struct fake f;

		fake_init(&f, setting_init(&s, "fake"), rows[i].script, COUNT(rows[i].script));
		ask(&a);
		a.refuse_at = rows[i].refuse_at;
		assert_int_equal(guard_put(&f.backend, &a.call, "k", &source), rows[i].rc);
		assert_int_equal(f.by_kind[OP_PUT], 0);
		assert_int_equal(f.by_kind[OP_PART], rows[i].parts);
		assert_int_equal(f.by_kind[OP_COMPLETE], rows[i].completes);
		assert_int_equal(f.by_kind[OP_ABORT], rows[i].aborts);
		if (!rows[i].rc) {
			assert_int_equal(f.body_bytes, rows[i].length);
			/* once at the door, before each part, and before the completion */
			assert_int_equal(atomic_load(&a.checks), 2 + rows[i].parts);
		}
		asked_end(&a);
	}
}

static void cut_during(struct fake *f, struct call *c)
{
	if (f->by_kind[OP_PART] == 2)
		call_cut(c, -ERR_REVOKED);
}

static void aborts_what_was_cut(void **state)
{
	struct source source = { .length = MULTIPART_BYTES + 1, .read = no_bytes };
	struct setting s;
	struct asked a;
	struct fake f;

	(void)state;
	fake_init(&f, setting_init(&s, "fake"), NULL, 0);
	f.during = cut_during;
	assert_int_equal(guard_put(&f.backend, ask(&a), "k", &source), -ERR_REVOKED);
	assert_int_equal(f.by_kind[OP_PART], 2);
	assert_true(f.freed_upload);
	asked_end(&a);
}

static void cut_always(struct fake *f, struct call *c)
{
	(void)f;
	call_cut(c, -ERR_REVOKED);
}

/* The driver was quicker than the cut: it fails all the same. */
static void never_confirms_a_cut_call(void **state)
{
	struct source_memory m;
	struct setting s;
	struct asked a;
	struct fake f;

	(void)state;
	fake_init(&f, setting_init(&s, "fake"), NULL, 0);
	f.during = cut_always;
	assert_int_equal(guard_put(&f.backend, ask(&a), "k", source_memory(&m, "abc", 3)), -ERR_REVOKED);
	asked_end(&a);
}

static void asks_before_every_try(void **state)
{
	static const int script[] = { -ERR_SERVER, -ERR_SERVER, 0 };
	struct backend *b;
	struct source_memory m;
	struct setting s;
	struct asked a;
	struct fake f;

	(void)state;
	assert_int_equal(retry_wrap(&b, fake_init(&f, setting_init(&s, "fake"), script, COUNT(script))), 0);
	ask(&a)->retry_quick = false;
	assert_int_equal(guard_put(b, &a.call, "k", source_memory(&m, "abc", 3)), 0);
	assert_int_equal(atomic_load(&a.checks), 1 + 3);
	asked_end(&a);
	/* the placement changes between the first try and the second: no second */
	atomic_store(&f.calls, 0);
	f.body_bytes = 0;
	ask(&a);
	a.refuse_at = 3;
	assert_int_equal(guard_put(b, &a.call, "k", source_memory(&m, "abc", 3)), -ERR_REVOKED);
	assert_int_equal(f.body_bytes, 3);
	asked_end(&a);
	backend_free(b);
}

static void deletes_nothing_readonly(void **state)
{
	struct setting s;
	struct asked a;
	struct fake f;

	(void)state;
	fake_init(&f, setting_init(&s, "fake"), NULL, 0);
	assert_int_equal(backend_del(&f.backend, ask(&a), "k"), 0);
	s.config.mode = MODE_READONLY;
	assert_int_equal(backend_del(&f.backend, &a.call, "k"), -ERR_FROZEN);
	assert_says(&a.msg, "readonly");
	assert_int_equal(f.by_kind[OP_DEL], 1);
	asked_end(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judges_peers),
		cmocka_unit_test(names_backend_address_and_zone),
		cmocka_unit_test(refuses_unknown_families),
		cmocka_unit_test(refuses_at_the_border),
		cmocka_unit_test(sends_large_bodies_in_parts),
		cmocka_unit_test(aborts_what_was_cut),
		cmocka_unit_test(never_confirms_a_cut_call),
		cmocka_unit_test(asks_before_every_try),
		cmocka_unit_test(deletes_nothing_readonly),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
