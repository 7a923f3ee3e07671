/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/fs-transfer/fixture.h"

#include "fs/transfer/internal.h"

static struct connection usual(const char *address)
{
	return (struct connection){
		.backend = "far",
		.address = address,
		.network = "127.0.0.0/8",
		.key = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
		.pinned = true,
	};
}

/* as a driver tells it */
static void connect_to(struct cloud *c, const struct connection *made)
{
	struct flight f;

	flight_init(&f, c->t);
	f.call.connected(f.call.connected_ctx, made);
	flight_free(&f);
}

struct lines {
	size_t count;
	char last[1024];
};

static int keep_line(void *ctx, struct meta_row *row)
{
	struct lines *l = ctx;
	size_t len;
	const char *text = meta_row_blob(row, 0, &len);

	l->count++;
	snprintf(l->last, sizeof l->last, "%.*s", (int)len, text);
	return 0;
}

static void read_lines(struct cloud *c, struct lines *l)
{
	memset(l, 0, sizeof *l);
	assert_int_equal(meta_sync(c->s.meta), 0);
	assert_int_equal(
		meta_select(c->s.meta, "SELECT line FROM audit WHERE kind = 9 ORDER BY seq", keep_line, l, ""), 0);
}

static void assert_last(struct cloud *c, size_t count, const char *facts)
{
	struct lines l;

	read_lines(c, &l);
	assert_int_equal(l.count, count);
	if (!strstr(l.last, facts))
		fail_msg("%s is not in %s", facts, l.last);
}

static void test_a_line_for_each(void **state)
{
	struct connection made = usual("127.0.0.1:443");
	struct cloud c;

	(void)state;
	cloud_make(&c, CLOUD_CONFIG("", "", CLOUD_RULES));
	connect_to(&c, &made);
	assert_last(&c, 1,
		"\"kind\":\"connection\",\"facts\":{\"backend\":\"far\",\"address\":\"127.0.0.1:443\","
		"\"network\":\"127.0.0.0/8\",\"country\":null,"
		"\"key\":\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\",\"pinned\":true,\"connections\":1}}");
	connect_to(&c, &made);
	assert_last(&c, 2, "\"connections\":1}}");
	made = (struct connection){ .backend = "near", .address = "[2001:db8::1]:80", .country = "CN" };
	connect_to(&c, &made);
	assert_last(&c, 3,
		"{\"backend\":\"near\",\"address\":\"[2001:db8::1]:80\",\"network\":null,\"country\":\"CN\",\"key\":"
		"null,"
		"\"pinned\":false,\"connections\":1}}");
	cloud_destroy(&c);
}

/* A server that closes each connection does not fill the log; nor is anything lost of what is counted. */
static void test_bounded(void **state)
{
	struct connection one = usual("127.0.0.1:443"), other = usual("127.0.0.2:443");
	struct cloud c;

	(void)state;
	cloud_make(&c, CLOUD_CONFIG("", "", CLOUD_RULES));
	for (unsigned i = 0; i < PEER_LINES_MAX + 10; i++)
		connect_to(&c, &one);
	assert_last(&c, PEER_LINES_MAX, "\"connections\":1}}");
	connect_to(&c, &other);
	assert_last(&c, PEER_LINES_MAX + 1, "\"address\":\"127.0.0.2:443\"");
	c.t->peers.v[0].since_ns -= 3600 * NS_PER_S;
	connect_to(&c, &one);
	assert_last(&c, PEER_LINES_MAX + 2, "\"connections\":11}}");
	for (unsigned i = 0; i < PEER_LINES_MAX + 4; i++)
		connect_to(&c, &one);
	assert_last(&c, 2 * PEER_LINES_MAX + 1, "\"connections\":1}}");
	transfer_stop(c.t);
	assert_last(&c, 2 * PEER_LINES_MAX + 2, "\"connections\":5}}");
	cloud_destroy(&c);
}

/* So many different ones that the first are forgotten. */
static void test_forgets(void **state)
{
	struct connection made = usual("127.0.0.1:443");
	char address[32];
	struct cloud c;

	(void)state;
	cloud_make(&c, CLOUD_CONFIG("", "", CLOUD_RULES));
	for (unsigned i = 0; i < PEER_LINES_MAX + 7; i++)
		connect_to(&c, &made);
	for (unsigned i = 0; i < PEERS_MAX; i++) {
		snprintf(address, sizeof address, "127.0.1.%u:443", i);
		made = usual(address);
		connect_to(&c, &made);
	}
	assert_last(&c, PEER_LINES_MAX + 1 + PEERS_MAX, "\"address\":\"127.0.1.63:443\"");
	assert_int_equal(c.t->peers.count, PEERS_MAX);
	cloud_destroy(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_line_for_each),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_forgets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
