/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The countries of a zone, asked of a database, by the guard alone and by the transport on real sockets. */
#include "tests/unit/backends/server.h"

#include "backends/http.h"
#include "config/country.h"
#include "tests/servers/mmdb.h"

#define OK_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

static char *countries[] = { STR("CN"), STR("HK"), NULL };
static char db_file[] = "/tmp/borderfs-country.XXXXXX";

/* the file anew; IPv4 and IPv6 of this machine are in the country, unless it is NULL */
static void db_write(const char *country)
{
	static struct mmdb m;

	mmdb_init(&m);
	assert_true(mmdb_add(&m, "203.0.113.0/24", "CN"));
	assert_true(mmdb_add(&m, "2001:db8::/32", "HK"));
	assert_true(mmdb_add(&m, "198.51.100.0/24", "US"));
	assert_true(mmdb_add(&m, "2001:db8:5::/48", "US"));
	if (country) {
		assert_true(mmdb_add(&m, "127.0.0.0/8", country));
		assert_true(mmdb_add(&m, "::1/128", country));
	}
	assert_true(mmdb_write(&m, db_file));
}

static void setting_countries(struct setting *s)
{
	s->zone.countries = countries;
	s->zone.country_db_file = db_file;
	assert_non_null(s->zone.country_db = country_db_new(db_file));
}

static int judge(const struct setting *s, const char *address, struct errmsg *msg)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
		return guard_peer(&s->config, (struct sockaddr *)&v4, NULL, msg);
	assert_int_equal(inet_pton(AF_INET6, address, &v6.sin6_addr), 1);
	return guard_peer(&s->config, (struct sockaddr *)&v6, NULL, msg);
}

static void judges_by_country(void **state)
{
	static const struct {
		const char *network, *address;
		int rc;
		const char *says[3];
	} rows[] = {
		{ NULL, "203.0.113.9", 0, { NULL } },
		{ NULL, "::ffff:203.0.113.9", 0, { NULL } },
		{ NULL, "2001:db8::9", 0, { NULL } },
		{ NULL, "198.51.100.1", -ERR_PEER_ABROAD,
			{ " 198.51.100.1 is in the country US,", "'virginia'", "networks in [zone foreign]" } },
		{ NULL, "::ffff:198.51.100.1", -ERR_PEER_ABROAD, { " 198.51.100.1 is in the country US," } },
		{ NULL, "2001:db8:5::1", -ERR_PEER_ABROAD, { " 2001:db8:5::1 is in the country US," } },
		{ NULL, "192.0.2.1", -ERR_PEER_ABROAD,
			{ "the server's address 192.0.2.1 is cannot be told; nothing was sent. ",
				"does not know the country of that address; get a newer one" } },
		{ NULL, "2001:db9::1", -ERR_PEER_ABROAD, { "cannot be told" } },
		/* an address in the networks needs no country */
		{ "192.0.2.0/24", "192.0.2.1", 0, { NULL } },
		{ "192.0.2.0/24", "203.0.113.9", 0, { NULL } },
		{ "192.0.2.0/24", "198.51.100.1", -ERR_PEER_ABROAD, { "country US" } },
	};

	(void)state;
	db_write(NULL);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct errmsg msg = { 0 };
		struct setting s;

		setting_init(&s, "s3");
		setting_countries(&s);
		if (rows[i].network)
			setting_allow(&s, rows[i].network);
		assert_true(guard_restricts(&s.config));
		if (judge(&s, rows[i].address, &msg) != rows[i].rc)
			fail_msg("%s: %s", rows[i].address, errmsg_text(&msg, 0));
		for (size_t n = 0; n < COUNT(rows[i].says) && rows[i].says[n]; n++)
			assert_says(&msg, rows[i].says[n]);
		errmsg_free(&msg);
		country_db_free(s.zone.country_db);
	}
}

/* one GET at a server of this machine */
static int ask_server(struct http *http, struct server *server, struct setting *s, bool v6, struct asked *a)
{
	struct backend backend = { .config = &s->config, .zone_id = ZONE };
	struct http_request q = { .method = "GET", .backend = &backend };
	struct http_response r;
	char url[64];
	int rc;

	snprintf(url, sizeof url, v6 ? "http://[::1]:%d/o/k" : "http://127.0.0.1:%d/o/k", server->port);
	q.url = url;
	rc = http_perform(http, ask(a), &q, &r);
	if (!rc)
		rc = r.status;
	http_response_free(&r);
	return rc;
}

/* The database says one thing, then another: of new connections and of the one that is there. */
static void follows_the_database(void **state)
{
	static const struct step script[] = { { ANSWER, OK_EMPTY } };

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct server server;
		struct setting s;
		struct asked a;
		struct http *http;
		char endpoint[64];
		uint64_t bytes;

		server_start_at(&server, v6, script, 1, 0);
		snprintf(endpoint, sizeof endpoint, v6 ? "http://[::1]:%d" : "http://127.0.0.1:%d", server.port);
		setting_init(&s, "s3")->endpoint = endpoint;
		s.config.connections = 1;
		setting_countries(&s);
		assert_int_equal(http_new(&http, &s.config, NULL), 0);

		db_write("US");
		assert_int_equal(ask_server(http, &server, &s, v6, &a), -ERR_PEER_ABROAD);
		assert_says(&a.msg, "is in the country US");
		asked_end(&a);
		LOCKED(&server, assert_int_equal(server.connections, 0));
		db_write("CN");
		assert_int_equal(ask_server(http, &server, &s, v6, &a), 200);
		asked_end(&a);
		LOCKED(&server, assert_int_equal(server.connections, 1); bytes = server.bytes);
		db_write(NULL);
		assert_int_equal(ask_server(http, &server, &s, v6, &a), -ERR_PEER_ABROAD);
		assert_says(&a.msg, "does not know the country");
		asked_end(&a);
		LOCKED(&server, assert_int_equal(server.bytes, bytes));
		assert_int_equal(unlink(db_file), 0);
		assert_int_equal(ask_server(http, &server, &s, v6, &a), -ERR_PEER_ABROAD);
		assert_says(&a.msg, "put a country database there");
		asked_end(&a);
		db_write("HK");
		assert_int_equal(ask_server(http, &server, &s, v6, &a), 200);
		asked_end(&a);
		http_free(http);
		server_stop(&server);
		country_db_free(s.zone.country_db);
	}
}

static int make_file(void **state)
{
	int fd = mkstemp(db_file);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(db_file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judges_by_country),
		cmocka_unit_test(follows_the_database),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, make_file, remove_file);
}
