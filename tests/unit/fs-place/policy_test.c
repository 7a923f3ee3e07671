/* SPDX-License-Identifier: GPL-3.0-or-later */
/* I9 as a function: each fact alone. */
#include "fs/place/policy.h"
#include "tests/unit/base/unit.h"

static char who[] = "root", *nobody[] = { NULL }, *approvers[] = { who, NULL };
static struct config_zone home = { .approvals = 2, .approvers = approvers };
static struct config_zone second = { .approvals = 1, .approvers = nobody };
static struct config_zone abroad = { .kind = ZONE_FOREIGN }, islands = { .kind = ZONE_FOREIGN };
static char out[] = "out", other[] = "other";

enum { NOW = 1000, MONTH_END = 5000 };

/* A request of version 3 from home to abroad by the rule out, so many votes. */
#define REQUEST(n, until)                                                                                              \
	.id = 7, .version = 3, .from_zone_id = 1, .to_zone_id = 3, .votes = (n), .expires_ns = (until), .rule = out

static struct policy_facts facts(enum export_policy policy, const struct export_request *asked)
{
	home.export = second.export = policy;
	return (struct policy_facts){ .home = &home,
		.in = &home,
		.wanted = &abroad,
		.rule = out,
		.rule_export = -1,
		.held = true,
		.version = 3,
		.size = 10,
		.now_ns = NOW,
		.month_end_ns = MONTH_END,
		.asked = asked,
		.asked_from = asked ? &home : NULL,
		.asked_to = asked ? &abroad : NULL };
}

static void test_export(void **state)
{
	static const struct {
		enum export_policy zone;
		int rule;
		bool held;
		const struct config_zone *in, *wanted, *zone_after;
		enum placement_state state;
		enum policy_reason reason;
		bool export, unmark, ask;
	} rows[] = {
		{ EXPORT_DENY, -1, true, &home, &abroad, &home, PLACEMENT_HELD, POLICY_DENY, false, false, false },
		{ EXPORT_ALLOW, -1, true, &home, &abroad, &abroad, PLACEMENT_FREE, POLICY_NONE, true, true, false },
		{ EXPORT_APPROVE, -1, true, &home, &abroad, &home, PLACEMENT_AWAITING, POLICY_AWAITING, false, false,
			true },
		{ EXPORT_APPROVE, -1, true, NULL, &abroad, &home, PLACEMENT_AWAITING, POLICY_AWAITING, false, false,
			true },
		{ EXPORT_APPROVE, -1, true, &second, &abroad, &second, PLACEMENT_AWAITING, POLICY_AWAITING, false,
			false, true },
		{ EXPORT_DENY, -1, true, &home, &second, &second, PLACEMENT_FREE, POLICY_NONE, false, false, false },
		/* what nobody held is bound by the rule's own word only, wherever it is at home */
		{ EXPORT_DENY, -1, false, &home, &abroad, &abroad, PLACEMENT_FREE, POLICY_NONE, false, false, false },
		{ EXPORT_DENY, -1, false, NULL, &abroad, &abroad, PLACEMENT_FREE, POLICY_NONE, false, false, false },
		{ EXPORT_ALLOW, EXPORT_DENY, false, &home, &abroad, &home, PLACEMENT_HELD, POLICY_DENY, false, false,
			false },
		{ EXPORT_ALLOW, EXPORT_DENY, false, NULL, &abroad, &home, PLACEMENT_HELD, POLICY_DENY, false, false,
			false },
		{ EXPORT_ALLOW, EXPORT_APPROVE, false, NULL, &abroad, &home, PLACEMENT_AWAITING, POLICY_AWAITING, false,
			false, true },
		/* but not what is abroad already */
		{ EXPORT_ALLOW, EXPORT_DENY, false, &islands, &abroad, &abroad, PLACEMENT_FREE, POLICY_NONE, false,
			false, false },
		/* the tighter one holds */
		{ EXPORT_DENY, EXPORT_ALLOW, true, &home, &abroad, &home, PLACEMENT_HELD, POLICY_DENY, false, false,
			false },
		{ EXPORT_ALLOW, EXPORT_APPROVE, true, &home, &abroad, &home, PLACEMENT_AWAITING, POLICY_AWAITING, false,
			false, true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct policy_facts f = facts(rows[i].zone, NULL);
		struct policy_verdict v;

		f.rule_export = rows[i].rule;
		f.held = rows[i].held;
		f.in = rows[i].in;
		f.wanted = rows[i].wanted;
		policy_decide(&f, &v);
		assert_ptr_equal(v.zone, rows[i].zone_after);
		assert_int_equal(v.state, rows[i].state);
		assert_int_equal(v.reason, rows[i].reason);
		assert_int_equal(v.export, rows[i].export);
		assert_int_equal(v.unmark, rows[i].unmark);
		assert_int_equal(v.ask, rows[i].ask);
		assert_false(v.approved || v.note || v.counted);
		assert_int_equal(v.due_ns, INT64_MAX);
	}
}

static void test_request(void **state)
{
	static const struct {
		const char *what;
		struct export_request asked;
		const struct config_zone *in, *from, *to, *wanted;
		const char *rule;
		uint64_t version;
		bool approved, ask, export;
		enum policy_reason reason;
		const struct config_zone *zone_after;
		int64_t due_ns;
	} rows[] = {
		{ "agreed", { REQUEST(2, INT64_MAX) }, &home, &home, &abroad, &abroad, out, 3, true, false, true,
			POLICY_NONE, &abroad, INT64_MAX },
		{ "one vote too few", { REQUEST(1, INT64_MAX) }, &home, &home, &abroad, &abroad, out, 3, false, false,
			false, POLICY_AWAITING, &home, INT64_MAX },
		{ "more than needed", { REQUEST(9, INT64_MAX) }, &home, &home, &abroad, &abroad, out, 3, true, false,
			true, POLICY_NONE, &abroad, INT64_MAX },
		{ "written since", { REQUEST(2, INT64_MAX) }, &home, &home, &abroad, &abroad, out, 4, false, true,
			false, POLICY_AWAITING, &home, INT64_MAX },
		{ "of an older content", { REQUEST(2, INT64_MAX) }, &home, &home, &abroad, &abroad, out, 2, false, true,
			false, POLICY_AWAITING, &home, INT64_MAX },
		{ "another rule", { REQUEST(2, INT64_MAX) }, &home, &home, &abroad, &abroad, other, 3, false, true,
			false, POLICY_AWAITING, &home, INT64_MAX },
		{ "no rule", { REQUEST(2, INT64_MAX) }, &home, &home, &abroad, &abroad, NULL, 3, false, true, false,
			POLICY_AWAITING, &home, INT64_MAX },
		{ "another target", { REQUEST(2, INT64_MAX) }, &home, &home, &abroad, &islands, out, 3, false, true,
			false, POLICY_AWAITING, &home, INT64_MAX },
		{ "target gone", { REQUEST(2, INT64_MAX) }, &home, &home, NULL, &abroad, out, 3, false, true, false,
			POLICY_AWAITING, &home, INT64_MAX },
		{ "from another zone", { REQUEST(2, INT64_MAX) }, &second, &home, &abroad, &abroad, out, 3, false, true,
			false, POLICY_AWAITING, &second, INT64_MAX },
		{ "denied", { REQUEST(2, INT64_MAX), .denied = true }, &home, &home, &abroad, &abroad, out, 3, false,
			false, false, POLICY_DENIED, &home, INT64_MAX },
		{ "denied, written since", { REQUEST(2, INT64_MAX), .denied = true }, &home, &home, &abroad, &abroad,
			out, 4, false, true, false, POLICY_AWAITING, &home, INT64_MAX },
		{ "expires later", { REQUEST(2, NOW + 1) }, &home, &home, &abroad, &abroad, out, 3, true, false, true,
			POLICY_NONE, &abroad, NOW + 1 },
		{ "expires now", { REQUEST(2, NOW) }, &home, &home, &abroad, &abroad, out, 3, false, true, false,
			POLICY_AWAITING, &home, INT64_MAX },
		{ "abroad by it", { REQUEST(2, INT64_MAX), .left = true }, &abroad, &home, &abroad, &abroad, out, 3,
			true, false, false, POLICY_NONE, &abroad, INT64_MAX },
		{ "abroad, written since", { REQUEST(2, INT64_MAX), .left = true }, &abroad, &home, &abroad, &abroad,
			out, 4, false, true, false, POLICY_AWAITING, &home, INT64_MAX },
		{ "abroad, expired", { REQUEST(2, 1), .left = true }, &abroad, &home, &abroad, &abroad, out, 3, false,
			true, false, POLICY_AWAITING, &home, INT64_MAX },
		{ "abroad, denied", { REQUEST(2, INT64_MAX), .left = true, .denied = true }, &abroad, &second, &abroad,
			&abroad, out, 3, false, false, false, POLICY_DENIED, &second, INT64_MAX },
		{ "abroad, wanted elsewhere", { REQUEST(2, INT64_MAX), .left = true }, &abroad, &home, &abroad,
			&islands, out, 3, false, true, false, POLICY_AWAITING, &home, INT64_MAX },
		{ "abroad, its zone gone", { REQUEST(2, INT64_MAX), .left = true }, &abroad, NULL, &abroad, &abroad,
			out, 3, false, true, false, POLICY_AWAITING, &home, INT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct policy_facts f = facts(EXPORT_APPROVE, &rows[i].asked);
		struct policy_verdict v;

		f.in = rows[i].in;
		f.asked_from = rows[i].from;
		f.asked_to = rows[i].to;
		f.wanted = rows[i].wanted;
		f.rule = rows[i].rule;
		f.version = rows[i].version;
		policy_decide(&f, &v);
		if (v.approved != rows[i].approved || v.ask != rows[i].ask || v.export != rows[i].export ||
			v.reason != rows[i].reason || v.zone != rows[i].zone_after || v.due_ns != rows[i].due_ns)
			fail_msg("%s: approved %d, ask %d, export %d, reason %d, due %lld", rows[i].what, v.approved,
				v.ask, v.export, (int)v.reason, (long long)v.due_ns);
		assert_false(v.unmark); /* only with the mark does it come home again */
		assert_int_equal(v.note, rows[i].approved && !rows[i].asked.left);
		assert_int_equal(v.state == PLACEMENT_FREE, rows[i].approved);
	}
}

/* a held file that is abroad for no request comes home; one that nobody held stays */
static void test_abroad(void **state)
{
	static const struct export_request asked = { REQUEST(2, INT64_MAX) };
	struct policy_verdict v;
	struct policy_facts f;

	(void)state;
	f = facts(EXPORT_APPROVE, NULL);
	f.in = &abroad;
	policy_decide(&f, &v);
	assert_ptr_equal(v.zone, &home);
	assert_true(v.ask);
	f = facts(EXPORT_DENY, &asked);
	f.in = &abroad;
	policy_decide(&f, &v);
	assert_ptr_equal(v.zone, &home);
	assert_int_equal(v.reason, POLICY_DENY);
}

static void test_counts(void **state)
{
	static const struct export_request noted = { .version = 3, .left = true, .expires_ns = INT64_MAX, .rule = out };
	static const struct export_request agreed = { REQUEST(2, INT64_MAX) };
	static const struct {
		const char *what;
		struct export_count left;
		struct rule_limit stop;
		const struct export_request *asked;
		const struct config_zone *in;
		uint64_t version;
		enum policy_reason reason;
		bool note, counted;
	} rows[] = {
		{ "warns only", { 1000, 1000 }, { 0, 0 }, NULL, &home, 3, POLICY_NONE, true, true },
		{ "the last file", { 9, 0 }, { 10, 0 }, NULL, &home, 3, POLICY_NONE, true, true },
		{ "one more", { 10, 0 }, { 10, 0 }, NULL, &home, 3, POLICY_STOPPED, false, false },
		{ "the last byte", { 0, 90 }, { 0, 100 }, NULL, NULL, 3, POLICY_NONE, true, true },
		{ "a byte more", { 0, 91 }, { 0, 100 }, NULL, NULL, 3, POLICY_STOPPED, false, false },
		{ "it has left", { 10, 0 }, { 10, 0 }, &noted, &abroad, 3, POLICY_NONE, false, false },
		{ "its next content", { 10, 0 }, { 10, 0 }, &noted, &abroad, 4, POLICY_STOPPED, false, false },
		{ "its next content, with room", { 9, 0 }, { 10, 0 }, &noted, &abroad, 4, POLICY_NONE, true, true },
		{ "abroad since before it counted", { 10, 0 }, { 10, 0 }, NULL, &abroad, 3, POLICY_NONE, true, false },
		{ "approved, and stopped", { 10, 0 }, { 10, 0 }, &agreed, &home, 3, POLICY_STOPPED, false, false },
		{ "approved, with room", { 9, 0 }, { 10, 0 }, &agreed, &home, 3, POLICY_NONE, true, true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct policy_facts f = facts(rows[i].asked == &agreed ? EXPORT_APPROVE : EXPORT_ALLOW, rows[i].asked);
		struct policy_verdict v;

		f.held = rows[i].in != &abroad;
		f.in = rows[i].in;
		f.version = rows[i].version;
		f.counts = true;
		f.left = rows[i].left;
		f.stop = rows[i].stop;
		policy_decide(&f, &v);
		if (v.reason != rows[i].reason || v.note != rows[i].note || v.counted != rows[i].counted)
			fail_msg("%s: reason %d, note %d, counted %d", rows[i].what, (int)v.reason, v.note, v.counted);
		assert_ptr_equal(v.zone, rows[i].reason == POLICY_STOPPED ? &home : &abroad);
		assert_int_equal(v.due_ns, rows[i].reason == POLICY_STOPPED ? (int64_t)MONTH_END : INT64_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_export),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_abroad),
		cmocka_unit_test(test_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
