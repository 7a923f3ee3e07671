/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/place/internal.h"
#include "tests/unit/fs-place/fixture.h"

static int occupied(void *ctx, const char *zone)
{
	return ctx && strcmp(ctx, zone) == 0;
}

static void check(const char *before, const char *now, const char *full, const char *says)
{
	struct errmsg msg = { 0 };
	int rc = baseline_looser(before, now, occupied, (void *)(uintptr_t)full, &msg);

	if (rc != (says ? -ERR_HELD : 0) || (says && !strstr(msg.text, says)))
		fail_msg("%s: %d, %s", now, rc, errmsg_text(&msg, rc));
	errmsg_free(&msg);
}

static void test_looser(void **state)
{
	static const char before[] = "home a\nzone a domestic export=deny\nzone b domestic export=approve approvals=2 "
				     "approvers=group:x,y\nzone f foreign\nrule r zone=f export=deny\nrule s zone=f "
				     "export=allow\n";
	static const struct {
		const char *now, *full, *says; /* says NULL: as tight or tighter */
	} rows[] = {
		{ before, "a", NULL },
		{ "home b\nzone a domestic export=deny\nzone b domestic export=deny\nzone f foreign\n"
		  "rule r zone=f export=deny\n",
			"a", NULL },
		{ "home a\nzone a domestic export=allow\nzone b domestic export=deny\nrule r zone=f export=deny\n",
			NULL, "zone a: export = allow is looser than deny" },
		{ "home a\nzone a domestic export=approve approvals=1 approvers=z\nzone b domestic export=deny\nrule r "
		  "zone=f export=deny\n",
			NULL, "zone a: export = approve is looser than deny" },
		{ "home b\nzone b domestic export=deny\nrule r zone=f export=deny\n", NULL, NULL },
		{ "home b\nzone b domestic export=deny\nrule r zone=f export=deny\n", "b", NULL },
		{ "home b\nzone b domestic export=deny\nrule r zone=f export=deny\n", "a", "zone a is gone" },
		{ "home b\nzone a foreign\nzone b domestic export=deny\nrule r zone=f export=deny\n", "a",
			"zone a became foreign" },
		{ "home b\nzone a foreign\nzone b domestic export=deny\nrule r zone=f export=deny\n", NULL, NULL },
		{ "home a\nzone a domestic export=deny\nzone b domestic export=approve approvals=1 "
		  "approvers=group:x,y\nrule r zone=f export=deny\n",
			NULL, "zone b: approvals = 1 is fewer than 2" },
		{ "home a\nzone a domestic export=deny\nzone b domestic export=approve approvals=2 "
		  "approvers=group:x,z\nrule r zone=f export=deny\n",
			NULL, "zone b: approvers" },
		{ "home a\nzone a domestic export=deny\nzone b domestic export=approve approvals=3 approvers=y\n"
		  "rule r zone=f export=deny\n",
			NULL, NULL },
		{ "home a\nzone a domestic export=deny\nzone b domestic export=deny\nrule r zone=f export=allow\n",
			NULL, "rule r: its export = deny" },
		{ "home a\nzone a domestic export=deny\nzone b domestic export=deny\n", NULL,
			"rule r: its export = deny" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		check(before, rows[i].now, rows[i].full, rows[i].says);
}

/* a rule asks for approvers where the zone does not, and counts */
static void test_rule_looser(void **state)
{
#define STOPS "stop-files=5 stop-bytes=100\n"
	static const char before[] = "home a\nzone a domestic export=allow approvals=2 approvers=x,y\nrule r zone=f "
				     "export=approve " STOPS;
	static const struct {
		const char *now, *says;
	} rows[] = {
		{ before, NULL },
		{ "zone a domestic export=allow approvals=1 approvers=x,y\nrule r zone=f export=approve " STOPS,
			"zone a: approvals = 1 is fewer than 2" },
		{ "zone a domestic export=allow approvals=2 approvers=x,z\nrule r zone=f export=approve " STOPS,
			"zone a: approvers names someone" },
		{ "zone a domestic export=allow\nrule r zone=f export=approve " STOPS,
			"zone a: approvals = 0 is fewer than 2" },
		{ "zone a domestic export=deny\nrule r zone=f export=approve " STOPS, NULL },
		{ "zone a domestic export=deny\nrule r zone=f export=deny stop-files=4 stop-bytes=99\n", NULL },
		{ "zone a domestic export=deny\nrule r zone=f export=deny stop-files=6 stop-bytes=100\n",
			"rule r: its stop-after is gone or higher" },
		{ "zone a domestic export=deny\nrule r zone=f export=deny stop-files=5\n",
			"rule r: its stop-after is gone or higher" },
		{ "zone a domestic export=deny\nrule r zone=f " STOPS,
			"rule r: its export = approve is gone or looser" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		check(before, rows[i].now, NULL, rows[i].says);
}

#define CONFIG(kind, policy)                                                                                           \
	"[filesystem]\nname = test\nstore = @/store\nhome = home\n"                                                    \
	"[zone home]\nkind = domestic\ncountries = CN\nbackends = near\n" policy "[zone other]\nkind = " kind          \
	"\ncountries = US\nbackends = far\n"                                                                           \
	"[backend near]\ntype = local\npath = @/near\n[backend far]\ntype = local\npath = @/far\n"                     \
	"[rule x]\npath = /x/**\nzone = other\n"

static int reload(struct store *s, const char *text, struct errmsg *msg)
{
	struct config *config;
	int rc;

	store_write_config(s, text);
	config = store_load(s);
	rc = place_reload(s->place, config, msg);
	config_put(config);
	return rc;
}

/* the store remembers; a refused configuration changes nothing */
static void test_store(void **state)
{
	struct errmsg msg = { 0 };
	struct store s = { 0 };
	struct placement at;
	struct inode *inode;
	uint64_t dir, epoch;

	(void)state;
	store_make(&s, CONFIG("domestic", "export = deny\n"));
	store_open(&s);
	epoch = place_epoch(s.place);
	assert_int_equal(reload(&s, CONFIG("domestic", "export = allow\n"), &msg), -ERR_HELD);
	assert_non_null(strstr(msg.text, "zone home"));
	errmsg_free(&msg);
	assert_int_equal(place_epoch(s.place), epoch);
	/* nothing is in it: it may become foreign; and back */
	assert_int_equal(reload(&s, CONFIG("foreign", "export = deny\n"), &msg), 0);
	assert_int_equal(place_epoch(s.place), epoch + 1);
	assert_int_equal(reload(&s, CONFIG("domestic", "export = deny\n"), &msg), 0);
	dir = store_mkdir(&s, META_ROOT_INO, "x");
	inode = store_inode(&s, store_write(&s, dir, "a", "text"));
	assert_int_equal(place_evaluate(s.place, inode, &at), 0);
	assert_int_equal(place_apply(s.place, inode, &at), 0);
	placement_free(&at);
	store_put(&s, inode);
	assert_int_equal(reload(&s, CONFIG("foreign", "export = deny\n"), &msg), -ERR_HELD);
	errmsg_free(&msg);
	store_write_config(&s, CONFIG("domestic", "export = deny\n"));
	store_close(&s);
	store_open(&s);
	assert_int_equal(reload(&s, CONFIG("foreign", "export = deny\n"), &msg), -ERR_HELD);
	assert_non_null(strstr(msg.text, "zone other became foreign"));
	errmsg_free(&msg);
	store_destroy(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_looser),
		cmocka_unit_test(test_rule_looser),
		cmocka_unit_test(test_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
