/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/facts.h"

#include "base/clock.h"
#include "fs/control/outcome.h"
#include "tests/unit/base/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void assert_json(json_t *object, const char *expected)
{
	char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(6));

	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
	json_decref(object);
}

static void test_bytes(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		const char *json;
	} rows[] = {
		{ "", 0, "{\"k\":\"\"}" }, { "a/b", 3, "{\"k\":\"a/b\"}" },
		{ "gr\xc3\xbc\xc3\x9f", 6, "{\"k\":\"gr\xc3\xbc\xc3\x9f\"}" }, { "a\nb", 3, "{\"k\":\"a\\nb\"}" },
		{ "caf\xe9", 4, "{\"k\":\"caf\\\\xe9\",\"k_base64\":\"Y2Fm6Q==\"}" },
		{ "\xff\xfe", 2, "{\"k\":\"\\\\xff\\\\xfe\",\"k_base64\":\"//4=\"}" },
		{ "\xed\xa0\x80", 3, "{\"k\":\"\\\\xed\\\\xa0\\\\x80\",\"k_base64\":\"7aCA\"}" }, /* a surrogate */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		json_t *o = json_object();
		size_t len = 99;
		char *back;

		assert_int_equal(facts_set_bytes(o, "k", rows[i].data, rows[i].len), 0);
		back = facts_get_bytes(o, "k", &len);
		assert_int_equal(len, rows[i].len);
		assert_memory_equal(back, rows[i].data, len);
		assert_int_equal(back[len], 0);
		free(back);
		assert_json(o, rows[i].json);
	}
}

static void test_bytes_refused(void **state)
{
	static const char *const rows[] = { "{}", "{\"k\":7}", "{\"k\":null}", "{\"k\":\"a\",\"k_base64\":\"*\"}",
		"{\"k\":\"a\",\"k_base64\":7}", "{\"k\":\"a\",\"k_base64\":\"YQ\"}" };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		json_t *o = json_loads(rows[i], 0, NULL);
		size_t len;

		assert_non_null(o);
		assert_null(facts_get_bytes(o, "k", &len));
		json_decref(o);
	}
}

static const char *zone_name(void *ctx, uint32_t id)
{
	(void)ctx;
	return id == 1 ? "domestic" : id == 2 ? "foreign" : NULL;
}

static void test_where(void **state)
{
	char zone[] = "domestic", rule[] = "r", b1[] = "guizhou", b2[] = "nas", p1[] = "10.0.0.1:443", p2[] = "";
	char why[] = "request 7 was denied", o1[] = "3f/3f9a", o2[] = "aa/aabb", o3[] = "cc/cc00";
	char *backends[] = { b1, b2 }, *peers[] = { p1, p2 }, *objects[] = { o1, o2, o3 };
	uint32_t zones[] = { 1, 2, 9 };
	struct where w = { .state = WHERE_MOVING,
		.zone = zone,
		.rule = rule,
		.held = true,
		.kept_back = true,
		.backends = backends,
		.backend_count = 2,
		.objects = objects,
		.object_zone_ids = zones,
		.object_count = 3,
		.objects_short = 1,
		.objects_lost = 3,
		.peers = peers,
		.size = 5368709120,
		.why = why,
		.request = 7 };
	struct where nothing = { .zone = zone };

	(void)state;
	assert_json(facts_where(&w, zone_name, NULL),
		"{\"zone\":\"domestic\",\"rule\":\"r\",\"state\":\"moving\",\"held\":true,\"kept_back\":true,\"size\":"
		"5368709120,"
		"\"backends\":[\"guizhou\",\"nas\"],\"objects\":3,"
		"\"object_names\":[\"3f/3f9a\",\"aa/aabb\",\"cc/cc00\"],"
		"\"object_zones\":[\"domestic\",\"foreign\",null],\"peers\":{\"guizhou\":\"10.0.0.1:443\"},\"objects_"
		"short\":1,\"objects_lost\":3,\"why\":\"request 7 was denied\",\"request\":7}");
	assert_json(facts_where(&nothing, zone_name, NULL),
		"{\"zone\":\"domestic\",\"rule\":null,\"state\":\"local\",\"held\":false,\"kept_back\":false,\"size\":"
		"0,\"backends\":[],"
		"\"objects\":0,\"object_names\":[],\"object_zones\":[],\"peers\":{},\"objects_short\":0,\"objects_"
		"lost\":0,\"why\":null,"
		"\"request\":null}");
}

static char home_text[] = "home", abroad_text[] = "abroad", name_text[] = "office", store_text[] = "/s";
static struct config_zone home = { .name = home_text, .kind = ZONE_DOMESTIC, .copies = 2, .export = EXPORT_APPROVE };
static struct config_zone abroad = { .name = abroad_text, .kind = ZONE_FOREIGN, .copies = 1 };
static struct config_zone *zones[] = { &home, &abroad };
static struct config config = {
	.name = name_text, .store = store_text, .home = &home, .zones = zones, .zone_count = 2
};

static void test_status_idle(void **state)
{
	struct transfer_zone_status short_home = { home_text, 1, 7, 2 };
	struct transfer_status s = { .zones = &short_home,
		.zone_count = 1,
		.cache = { .bytes_max = 100,
			.bytes_bound = 90,
			.bytes = 50,
			.bytes_dirty = 20,
			.hits = 1,
			.bytes_pinned = 5,
			.pins_max = 50 } };

	(void)state;
	assert_json(facts_status(&config, &s, 0),
		"{\"name\":\"office\",\"store\":\"/s\",\"zones\":["
		"{\"name\":\"home\",\"kind\":\"domestic\",\"home\":true,\"copies\":2,\"backends_taking\":1,\"blocks_"
		"short\":7,\"blocks_lost\":2,\"export\":\"approve\","
		"\"backends\":[]},"
		"{\"name\":\"abroad\",\"kind\":\"foreign\",\"home\":false,\"copies\":1,\"backends_taking\":0,\"blocks_"
		"short\":0,\"blocks_lost\":0,\"export\":null,\"backends\":[]}"
		"],"
		"\"waiting\":{\"files\":0,\"bytes\":0,\"oldest_age_s\":null,\"uploads\":0,\"fetches\":0,"
		"\"upload_bytes_per_s\":0,\"download_bytes_per_s\":0,\"seconds_left\":null},"
		"\"cache\":{\"bytes_max\":100,\"bytes_bound\":90,\"bytes\":50,\"bytes_dirty\":20,\"hits\":1,\"misses\":"
		"0,\"evicted\":0,\"bytes_pinned\":5,\"pins_max\":50}}");
}

static void test_status_backend(void **state)
{
	char name[] = "virginia", type[] = "s3";
	struct transfer_backend_status b = { .name = name,
		.zone = abroad_text,
		.type = type,
		.kind = ZONE_FOREIGN,
		.mode = MODE_FROZEN,
		.closed = true,
		.deletions_waiting = 4,
		.status = { .last_error = -ERR_DENIED,
			.last_error_ns = 8 * NS_PER_S,
			.last_message = "backend 'virginia': no",
			.requests = 7,
			.failures = 3,
			.bytes_sent = 11,
			.bytes_received = 12,
			.latency_ns = 1500000 } };
	struct transfer_status s = { .backends = &b,
		.backend_count = 1,
		.files_waiting = 2,
		.bytes_waiting = 1000,
		.upload_bytes_per_s = 400,
		.oldest_ns = 9 * NS_PER_S };
	json_t *all, *zone;

	(void)state;
	all = facts_status(&config, &s, 10 * NS_PER_S);
	zone = json_array_get(json_object_get(all, "zones"), 1);
	assert_json(json_incref(json_object_get(zone, "backends")),
		"[{\"name\":\"virginia\",\"type\":\"s3\",\"mode\":\"frozen\",\"closed\":true,\"up\":false,\"latency_"
		"ms\":1.5,"
		"\"error\":\"DENIED\",\"message\":\"backend 'virginia': no\",\"error_age_s\":2.0,\"ok_age_s\":null,"
		"\"peer\":\"\",\"requests\":7,\"failures\":3,\"bytes_sent\":11,\"bytes_received\":12,"
		"\"deletions_waiting\":4}]");
	assert_json(json_incref(json_object_get(all, "waiting")),
		"{\"files\":2,\"bytes\":1000,\"oldest_age_s\":1.0,\"uploads\":0,\"fetches\":0,"
		"\"upload_bytes_per_s\":400,\"download_bytes_per_s\":0,\"seconds_left\":2.5}");
	json_decref(all);
}

static void test_usage(void **state)
{
	char q_name[] = "team", owner[] = "1000";
	struct config_quota q = { .name = q_name, .owner = owner, .id = 1000, .inodes_max = 5 };
	const struct meta_usage has = { .inodes = 3, .bytes = 8192 }, max = { .bytes = 5ULL << 40 };

	(void)state;
	assert_json(facts_usage(&has, &max),
		"{\"bytes\":8192,\"bytes_max\":5497558138880,\"inodes\":3,\"inodes_max\":null}");
	assert_json(facts_quota(&q, &has), "{\"bytes\":8192,\"bytes_max\":null,\"inodes\":3,\"inodes_max\":5,"
					   "\"name\":\"team\",\"user\":\"1000\",\"id\":1000}");
	q.group = true;
	assert_json(facts_quota(&q, &has), "{\"bytes\":8192,\"bytes_max\":null,\"inodes\":3,\"inodes_max\":5,"
					   "\"name\":\"team\",\"group\":\"1000\",\"id\":1000}");
}

static void test_message(void **state)
{
	char file[] = "/a.ini", text[] = "bad \xff";
	struct config_message m = { true, file, 7, text };

	(void)state;
	assert_json(facts_message(&m), "{\"file\":\"/a.ini\",\"line\":7,\"level\":\"error\",\"text\":\"bad \\\\xff\","
				       "\"text_base64\":\"YmFkIP8=\"}");
}

static void test_outcome(void **state)
{
	static const struct {
		int rc;
		enum outcome outcome;
	} rows[] = { { 0, OUTCOME_DONE }, { -EIO, OUTCOME_FAILED }, { -ERR_KEY, OUTCOME_FAILED },
		{ -ERR_LOCKED, OUTCOME_FAILED }, { -ERR_HELD, OUTCOME_REFUSED }, { -ERR_IDENTITY, OUTCOME_REFUSED },
		{ -ERR_BORDER, OUTCOME_REFUSED }, { -ERR_PEER_ABROAD, OUTCOME_REFUSED },
		{ -ERR_REDIRECT, OUTCOME_REFUSED }, { -ETIMEDOUT, OUTCOME_INCOMPLETE },
		{ -ECANCELED, OUTCOME_INCOMPLETE }, { -ERR_TIMEOUT, OUTCOME_FAILED } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(outcome_of(rows[i].rc), rows[i].outcome);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_bytes_refused),
		cmocka_unit_test(test_where),
		cmocka_unit_test(test_status_idle),
		cmocka_unit_test(test_status_backend),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_outcome),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
