/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TLS as openssl(1) serves it: which servers are spoken to, what of them is told, and who we say that we are. */
#include "tests/unit/backends/support.h"

#include "backends/http.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char dir[] = "/tmp/borderfs-tls.XXXXXX";
static char pin[64];

/* a shell's command in the directory */
__attribute__((format(printf, 1, 2))) static void shell(const char *fmt, ...)
{
	char *command, *whole;
	va_list ap;

	va_start(ap, fmt);
	assert_true(vasprintf(&command, fmt, ap) > 0);
	va_end(ap);
	assert_true(asprintf(&whole, "cd %s && { %s; } >>log 2>&1", dir, command) > 0);
	if (system(whole))
		fail_msg("%s: see %s/log", command, dir);
	free(whole);
	free(command);
}

static char *in_dir(const char *name)
{
	static char paths[8][256];
	static unsigned at;
	char *path = paths[at++ % COUNT(paths)];

	snprintf(path, sizeof paths[0], "%s/%s", dir, name);
	return path;
}

struct tls_server {
	pid_t pid;
	int port;
	FILE *said;
};

/* openssl s_server with more arguments; it answers a GET with a page */
static void tls_start(struct tls_server *s, const char *arguments)
{
	char line[256], *command;
	int said[2];

	assert_int_equal(pipe(said), 0);
	assert_true(asprintf(&command,
			    "cd %s && exec openssl s_server -accept 127.0.0.1:0 -cert server.pem -key server.key -www "
			    "%s 2>>log",
			    dir, arguments) > 0);
	if (!(s->pid = fork())) {
		dup2(said[1], 1);
		close(said[0]);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	free(command);
	close(said[1]);
	s->said = fdopen(said[0], "r");
	s->port = 0;
	while (!s->port && fgets(line, sizeof line, s->said))
		sscanf(line, "ACCEPT 127.0.0.1:%d", &s->port);
	assert_true(s->port > 0);
}

static void tls_stop(struct tls_server *s)
{
	kill(s->pid, SIGTERM);
	assert_int_equal(waitpid(s->pid, NULL, 0), s->pid);
	fclose(s->said);
}

struct told {
	unsigned count;
	char address[64], network[64], key[64];
	bool pinned, has_country;
};

static void keep_told(void *ctx, const struct connection *made)
{
	struct told *t = ctx;

	t->count++;
	snprintf(t->address, sizeof t->address, "%s", made->address);
	snprintf(t->network, sizeof t->network, "%s", made->network ? made->network : "");
	snprintf(t->key, sizeof t->key, "%s", made->key ? made->key : "");
	t->pinned = made->pinned;
	t->has_country = made->country != NULL;
	assert_string_equal(made->backend, "virginia");
}

/* one GET, on a connection of its own */
static int visit(const struct tls_server *server, struct setting *s, struct asked *a, struct told *told)
{
	struct backend backend = { .config = &s->config, .zone_id = ZONE };
	char url[64];
	struct http_request q = { .method = "GET", .backend = &backend, .url = url };
	struct http_response r;
	struct http *http;
	int rc;

	memset(told, 0, sizeof *told);
	ask(a)->connected = keep_told;
	a->call.connected_ctx = told;
	snprintf(url, sizeof url, "https://127.0.0.1:%d/", server->port);
	s->config.endpoint = url;
	if ((rc = http_new(&http, &s->config, &a->msg)) < 0)
		return rc;
	rc = http_perform(http, &a->call, &q, &r);
	if (!rc)
		rc = r.status;
	http_response_free(&r);
	http_free(http);
	return rc;
}

static struct config_backend *setting_tls(struct setting *s)
{
	setting_init(s, "s3");
	setting_allow(s, "127.0.0.0/16");
	s->config.ca_file = in_dir("ca.pem");
	return &s->config;
}

static void tells_of_the_server(void **state)
{
	char *right[] = { STR("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="), pin, NULL };
	struct tls_server server;
	struct setting s;
	struct told told;
	struct asked a;
	char address[64];

	(void)state;
	tls_start(&server, "");
	snprintf(address, sizeof address, "127.0.0.1:%d", server.port);
	for (int pinned = 0; pinned < 2; pinned++) {
		setting_tls(&s)->pins = pinned ? right : NULL;
		assert_int_equal(visit(&server, &s, &a, &told), 200);
		assert_int_equal(told.count, 1);
		assert_string_equal(told.address, address);
		assert_string_equal(told.network, "127.0.0.0/16");
		assert_string_equal(told.key, pin);
		assert_int_equal(told.pinned, pinned);
		assert_false(told.has_country);
		asked_end(&a);
	}
	tls_stop(&server);
}

/* Nobody else is spoken to, and nothing is told of him. */
static void accepts_only_the_right_server(void **state)
{
	char *wrong[] = { STR("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="), NULL };
	const struct {
		const char *ca_file;
		char **pins;
		const char *says;
	} rows[] = {
		{ NULL, NULL, "the certificate of 127.0.0.1 was not accepted" }, /* the distribution's authorities */
		{ "other-ca.pem", NULL, "nothing was sent. Check ca-file and pin-sha256, or the server" },
		{ "ca.pem", wrong, "was not accepted" },
	};
	struct tls_server server;

	(void)state;
	tls_start(&server, "");
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct setting s;
		struct told told;
		struct asked a;

		setting_tls(&s)->ca_file = rows[i].ca_file ? in_dir(rows[i].ca_file) : NULL;
		s.config.pins = rows[i].pins;
		assert_int_equal(visit(&server, &s, &a, &told), -ERR_PEER_TLS);
		assert_says(&a.msg, rows[i].says);
		assert_int_equal(told.count, 0);
		asked_end(&a);
	}
	tls_stop(&server);
}

/* A server with nothing newer than TLS 1.1, and one with nothing newer than 1.2. */
static void wants_tls_1_2(void **state)
{
	struct tls_server server;
	struct setting s;
	struct told told;
	struct asked a;

	(void)state;
	tls_start(&server, "-tls1_1 -cipher ALL:@SECLEVEL=0");
	setting_tls(&s);
	assert_int_equal(visit(&server, &s, &a, &told), -ERR_PEER_TLS);
	assert_says(&a.msg, "127.0.0.1 offers no TLS of version 1.2 or newer");
	assert_says(&a.msg, "nothing was sent");
	assert_int_equal(told.count, 0);
	asked_end(&a);
	tls_stop(&server);
	tls_start(&server, "-tls1_2");
	setting_tls(&s);
	assert_int_equal(visit(&server, &s, &a, &told), 200);
	asked_end(&a);
	tls_stop(&server);
}

/* A server that asks who we are. */
static void shows_a_certificate(void **state)
{
	static const struct {
		const char *cert, *key;
		mode_t mode;
		int rc;
		const char *says[2]; /* the second by TLS 1.2, where that differs */
	} rows[] = {
		{ "client.pem", "client.key", 0600, 200, { NULL } },
		{ NULL, NULL, 0600, -ERR_DENIED,
			{ "wants a client's certificate (", "either it wants a client's certificate: check" } },
		{ "stranger.pem", "stranger.key", 0600, -ERR_DENIED, { "certificate other than this one (" } },
		{ "client.pem", "stranger.key", 0600, -ERR_CONFIG, { "private key" } },
		{ "client.pem", "client.key", 0640, -ERR_SECRET_FILE,
			{ "client.key can be read by others; chmod it to 0600" } },
		{ "client.pem", "none.key", 0600, -ENOENT, { "none.key: No such file" } },
		{ "none.pem", "client.key", 0600, -ERR_CONFIG, { "none.pem cannot be read: No such file" } },
		{ "client.pem", "locked.key", 0600, -ERR_CONFIG,
			{ "private key" } }, /* nobody is asked for its passphrase */
	};
	static const char *const versions[] = { "-tls1_3", "-tls1_2" };

	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct tls_server server;
		char arguments[128];

		snprintf(arguments, sizeof arguments, "-Verify 2 -verify_return_error -CAfile ca.pem %s", versions[v]);
		tls_start(&server, arguments);
		for (size_t i = 0; i < COUNT(rows); i++) {
			struct setting s;
			struct told told;
			struct asked a;
			int rc;

			setting_tls(&s)->client_cert_file = rows[i].cert ? in_dir(rows[i].cert) : NULL;
			s.config.client_key_file = rows[i].key ? in_dir(rows[i].key) : NULL;
			if (rows[i].key)
				chmod(s.config.client_key_file, rows[i].mode);
			if ((rc = visit(&server, &s, &a, &told)) != rows[i].rc)
				fail_msg("%s %s: %s: %s", versions[v], rows[i].cert, err_name(rc),
					errmsg_text(&a.msg, rc));
			if (rows[i].says[0])
				assert_says(&a.msg, rows[i].says[v] ? rows[i].says[v] : rows[i].says[0]);
			asked_end(&a);
		}
		tls_stop(&server);
	}
}

/* The same alert as of TLS 1.2's for a certificate that did not come. */
static void says_that_no_cipher_may_be_common(void **state)
{
	struct tls_server server;
	struct setting s;
	struct told told;
	struct asked a;

	(void)state;
	tls_start(&server, "-tls1_2 -cipher ADH-AES128-SHA256:@SECLEVEL=0");
	setting_tls(&s);
	assert_int_equal(visit(&server, &s, &a, &told), -ERR_DENIED);
	assert_says(&a.msg, "127.0.0.1 broke off the TLS handshake");
	assert_says(&a.msg, "or it has no cipher in common with us: check the server");
	asked_end(&a);
	tls_stop(&server);
}

static int make_keys(void **state)
{
	static const char key[] = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
	FILE *f;

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	for (int other = 0; other < 2; other++)
		shell("openssl req -x509 %s -days 30 -subj '/CN=authority %d' -keyout %sca.key -out %sca.pem", key,
			other, other ? "other-" : "", other ? "other-" : "");
	shell("openssl req %s -subj /CN=server -keyout server.key -out server.csr", key);
	shell("printf subjectAltName=IP:127.0.0.1 >names && openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key "
	      "-CAcreateserial -days 30 -extfile names -out server.pem");
	for (int other = 0; other < 2; other++) {
		const char *name = other ? "stranger" : "client", *ca = other ? "other-ca" : "ca";

		shell("openssl req %s -subj /CN=%s -keyout %s.key -out %s.csr", key, name, name, name);
		shell("openssl x509 -req -in %s.csr -CA %s.pem -CAkey %s.key -CAcreateserial -days 30 -out %s.pem",
			name, ca, ca, name);
	}
	shell("openssl pkey -in client.key -aes256 -passout pass:locked -out locked.key");
	shell("openssl x509 -in server.pem -pubkey -noout | openssl pkey -pubin -outform der | "
	      "openssl dgst -sha256 -binary | base64 >pin");
	f = fopen(in_dir("pin"), "r");
	assert_int_equal(fscanf(f, "%63s", pin), 1);
	return fclose(f);
}

static int remove_keys(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_of_the_server),
		cmocka_unit_test(accepts_only_the_right_server),
		cmocka_unit_test(wants_tls_1_2),
		cmocka_unit_test(shows_a_certificate),
		cmocka_unit_test(says_that_no_cipher_may_be_common),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, make_keys, remove_keys);
}
