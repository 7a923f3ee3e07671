/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What only a real SSH server can show of the SFTP driver: which servers and logins it accepts, and what it finds on
 * the server. The environment is contract_test's, and OTHER_HOST_KEY, TRAP_KEY_FILE, TRAP (tests/servers/sftptrap.py).
 */
#include "backends/backend.h"
#include "backends/guard.h"
#include "backends/wrap.h"
#include "base/clock.h"
#include "base/file.h"
#include "config/country.h"
#include "tests/servers/mmdb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

#define ZONE   7u
#define STR(s) ((char *)(uintptr_t)(s)) /* configuration that is a literal or the environment's */

static const char *need(const char *name)
{
	const char *v = getenv(name);

	if (!v) {
		fprintf(stderr, "sftp_test: %s is not set\n", name);
		exit(2);
	}
	return v;
}

struct fixture {
	struct config_zone zone;
	struct cidr network;
	struct config_backend config;
	char *host_keys[2];
	char directory[256];
	struct backend *backend; /* the bare driver */
};

/* name: of a directory of its own below the server's */
static void describe(struct fixture *f, const char *name)
{
	memset(f, 0, sizeof *f);
	snprintf(f->directory, sizeof f->directory, "%s/%s", need("DIRECTORY"), name);
	mkdir(f->directory, 0700);
	f->zone.name = STR("here");
	assert_int_equal(cidr_parse("127.0.0.0/8", &f->network), 0);
	f->zone.networks = &f->network;
	f->zone.network_count = 1;
	f->host_keys[0] = STR(need("HOST_KEY"));
	f->config = (struct config_backend){
		.name = STR("tested"),
		.type = STR("sftp"),
		.prefix = STR(""),
		.endpoint = STR(need("ENDPOINT")),
		.user = STR(need("USER_NAME")),
		.directory = f->directory,
		.key_file = STR(need("KEY_FILE")),
		.host_keys = f->host_keys,
		.connect_timeout_ns = 5 * NS_PER_S,
		.timeout_ns = 10 * NS_PER_S,
		.connections = 2,
		.zone = &f->zone,
	};
}

static void open_backend(struct fixture *f, bool known)
{
	assert_int_equal(sftp_open(&f->backend, &f->config, NULL), 0);
	f->backend->zone_id = ZONE;
	f->backend->known = known;
}

static int allow(struct call *c)
{
	(void)c;
	return 0;
}

struct asked {
	struct call call;
	struct errmsg msg;
};

static struct call *ask(struct asked *a)
{
	memset(a, 0, sizeof *a);
	call_init(&a->call);
	a->call.zone_id = ZONE;
	a->call.check = allow;
	a->call.msg = &a->msg;
	return &a->call;
}

static void asked_end(struct asked *a)
{
	errmsg_free(&a->msg);
	call_destroy(&a->call);
}

static void expect(struct asked *a, int rc, int expected, const char *const says[])
{
	if (rc != expected)
		fail_msg("%s, not %s: %s", err_name(rc), err_name(expected), errmsg_text(&a->msg, rc));
	for (; says && *says; says++)
		if (!a->msg.text || !strstr(a->msg.text, *says))
			fail_msg("\"%s\" does not say \"%s\"", errmsg_text(&a->msg, rc), *says);
	asked_end(a);
}

static unsigned told; /* of new connections */

static void count_told(void *ctx, const struct connection *made)
{
	(void)ctx;
	told++;
	assert_string_equal(made->backend, "tested");
	assert_memory_equal(made->address, "127.0.0.1:", 10);
	assert_string_equal(made->key, need("HOST_KEY"));
	assert_true(made->pinned);
}

static void probe_again(struct fixture *f, int expected, const char *const says[])
{
	struct asked a;
	int rc;

	ask(&a)->connected = count_told;
	rc = backend_probe(f->backend, &a.call);
	expect(&a, rc, expected, says);
}

static void expect_probe(struct fixture *f, int expected, const char *const says[])
{
	open_backend(f, false);
	probe_again(f, expected, says);
	backend_free(f->backend);
}

static int put(struct fixture *f, struct asked *a, const char *key)
{
	struct source_memory m;

	return guard_put(f->backend, ask(a), key, source_memory(&m, "body", 4));
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(file_write_full(fd, text, strlen(text)), 0);
	close(fd);
}

__attribute__((format(printf, 1, 2))) static void shell(const char *fmt, ...)
{
	char *command;
	va_list ap;

	va_start(ap, fmt);
	assert_true(vasprintf(&command, fmt, ap) > 0);
	va_end(ap);
	assert_int_equal(system(command), 0);
	free(command);
}

static void accepts_only_the_pinned_server(void **state)
{
	static const char wrong[] = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	const char *const both[] = { need("HOST_KEY"), wrong, "nothing was sent", NULL };
	struct fixture f;

	(void)state;
	describe(&f, "pins");
	expect_probe(&f, 0, NULL);
	f.host_keys[0] = STR(wrong);
	expect_probe(&f, -ERR_PEER_TLS, both);
	/* the server's other key is not the one that is asked for */
	f.host_keys[0] = STR(need("OTHER_HOST_KEY"));
	expect_probe(&f, -ERR_PEER_TLS, NULL);
}

static void accepts_only_the_known_server(void **state)
{
	static const char other[] = "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	/* of that key, which is 32 zero bytes */
	const char *const both[] = { need("HOST_KEY"), "SHA256:", "known-hosts-file", NULL };
	const char *const line[] = { "line 2 of known-hosts-file", NULL };
	const char *const unknown[] = { "one that known-hosts-file has", need("HOST_KEY"), NULL };
	char path[512], text[512];
	struct fixture f;

	(void)state;
	describe(&f, "known");
	snprintf(path, sizeof path, "%s/known_hosts", f.directory);
	f.config.host_keys = NULL;
	f.config.known_hosts_file = STR(need("KNOWN_HOSTS"));
	expect_probe(&f, 0, NULL);
	f.config.known_hosts_file = path;
	snprintf(text, sizeof text, "[127.0.0.1]:%s ssh-ed25519 %s\n", need("PORT"), other);
	write_file(path, text);
	expect_probe(&f, -ERR_PEER_TLS, both);
	write_file(path, "# nobody\nelsewhere.example ssh-ed25519 "
			 "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
	expect_probe(&f, -ERR_PEER_TLS, unknown);
	write_file(path, "");
	expect_probe(&f, -ERR_PEER_TLS, unknown);
	/* markers would have to be understood */
	write_file(path, "\n@revoked * ssh-ed25519 AAAA\n");
	expect_probe(&f, -ERR_CONFIG, line);
	unlink(path);
	expect_probe(&f, -ERR_CONFIG, (const char *const[]){ "cannot be read", NULL });
}

static void says_what_is_wrong_with_the_login(void **state)
{
	const char *const hint[] = { "the login failed", "check user and key-file", "127.0.0.1", NULL };
	const char *const useless[] = { "holds no private key that can be used", NULL };
	char path[300];
	struct fixture f;

	(void)state;
	describe(&f, "login");
	snprintf(path, sizeof path, "%s/stranger", f.directory);
	shell("ssh-keygen -q -t ed25519 -N '' -f %s", path);
	f.config.key_file = path;
	expect_probe(&f, -ERR_DENIED, hint);
	unlink(path);
	shell("ssh-keygen -q -t ed25519 -N secret -f %s", path);
	expect_probe(&f, -ERR_SECRET_FILE, useless);
	write_file(path, "not a key\n");
	expect_probe(&f, -ERR_SECRET_FILE, useless);
	f.config.key_file = STR(need("KEY_FILE"));
	f.config.user = STR("nobody-of-that-name");
	expect_probe(&f, -ERR_DENIED, hint);
}

/* an agent that has the key, in the environment; its process id */
static int agent_start(const char *directory)
{
	struct buf text = BUF_INIT;
	char path[300], *pid;
	int number;

	snprintf(path, sizeof path, "%s/agent", directory);
	shell("eval $(ssh-agent) >/dev/null && ssh-add -q '%s' && echo $SSH_AUTH_SOCK $SSH_AGENT_PID >%s",
		need("KEY_FILE"), path);
	assert_int_equal(file_read_all(AT_FDCWD, path, 4096, &text), 0);
	pid = strchr((char *)text.data, ' ');
	*pid++ = 0;
	number = atoi(pid);
	setenv("SSH_AUTH_SOCK", (char *)text.data, 1);
	buf_free(&text);
	return number;
}

/* Neither ~/.ssh nor an agent helps who has the wrong key, or misleads who has the right one; no proxy is used. */
static void ignores_the_environment(void **state)
{
	char stranger[300];
	struct fixture f;
	int agent;

	(void)state;
	describe(&f, "environment");
	snprintf(stranger, sizeof stranger, "%s/stranger", f.directory);
	shell("ssh-keygen -q -t ed25519 -N '' -f %s && mkdir -m 700 -p %s/.ssh && cp '%s' %s/.ssh/id_ed25519", stranger,
		f.directory, need("KEY_FILE"), f.directory);
	shell("cd %s/.ssh && echo '* ssh-ed25519 AAAA' >known_hosts && "
	      "printf 'Host *\\nUser nobody\\nPort 1\\nProxyCommand false\\nHostName 192.0.2.1\\n' >config",
		f.directory);
	agent = agent_start(f.directory);
	setenv("HOME", f.directory, 1);
	setenv("all_proxy", "http://192.0.2.1:1", 1);
	setenv("http_proxy", "http://192.0.2.1:1", 1);
	expect_probe(&f, 0, NULL);
	f.config.key_file = stranger;
	expect_probe(&f, -ERR_DENIED, NULL);
	unsetenv("SSH_AUTH_SOCK");
	unsetenv("all_proxy");
	unsetenv("http_proxy");
	shell("kill %d", agent);
}

/* I7: a disk that is not mounted leaves an empty directory, in which nothing was deleted. */
/* I2: the address is judged anew whenever a connection serves another call, by the country database as it is then. */
static void judges_reused_connections(void **state)
{
	static char *countries[] = { STR("CN"), NULL };
	static const char *const abroad[] = { "127.0.0.1 is in the country US", "nothing was sent", NULL };
	static struct mmdb m;
	char file[512];
	struct fixture f;

	(void)state;
	describe(&f, "reused");
	snprintf(file, sizeof file, "%s.mmdb", f.directory);
	f.zone.network_count = 0;
	f.zone.countries = countries;
	assert_non_null(f.zone.country_db = country_db_new(file));
	f.config.connections = 1;
	open_backend(&f, false);
	told = 0;
	for (int i = 0; i < 3; i++) {
		mmdb_init(&m);
		assert_true(mmdb_add(&m, "127.0.0.0/8", i == 1 ? "US" : "CN"));
		assert_true(mmdb_write(&m, file));
		probe_again(&f, i == 1 ? -ERR_PEER_ABROAD : 0, i == 1 ? abroad : NULL);
		assert_int_equal(told, i == 2 ? 2 : 1); /* the one that was refused is given up */
	}
	backend_free(f.backend);
	country_db_free(f.zone.country_db);
}

static void knows_its_directory(void **state)
{
	const char *const mounted[] = { "has no .borderfs", "is its disk mounted there?", NULL };
	char mark[600], aside[600];
	struct fixture f;
	struct asked a;
	uint64_t size;
	int rc;

	(void)state;
	describe(&f, "mark");
	snprintf(mark, sizeof mark, "%s/.borderfs", f.directory);
	snprintf(aside, sizeof aside, "%s/aside", f.directory);
	open_backend(&f, true);
	expect(&a, put(&f, &a, "k"), -ERR_NO_BUCKET, mounted);
	backend_free(f.backend);
	open_backend(&f, false);
	expect(&a, put(&f, &a, "k"), 0, NULL);
	assert_int_equal(rename(mark, aside), 0);
	rc = backend_head(f.backend, ask(&a), "other", &size);
	expect(&a, rc, -ERR_NO_BUCKET, mounted);
	rc = backend_del(f.backend, ask(&a), "other");
	expect(&a, rc, -ERR_NO_BUCKET, mounted);
	rc = backend_probe(f.backend, ask(&a));
	expect(&a, rc, -ERR_NO_BUCKET, mounted);
	assert_int_equal(rename(aside, mark), 0);
	rc = backend_head(f.backend, ask(&a), "other", &size);
	expect(&a, rc, -ERR_ABSENT, NULL);
	backend_free(f.backend);
}

static int count(void *ctx, const struct backend_object *o)
{
	assert_string_equal(o->key, "ab/object");
	++*(int *)ctx;
	return 0;
}

static void takes_only_files_for_objects(void **state)
{
	char path[600];
	struct fixture f;
	struct asked a;
	uint64_t size;
	int rc, objects = 0;

	(void)state;
	describe(&f, "files");
	open_backend(&f, false);
	expect(&a, put(&f, &a, "ab/object"), 0, NULL);
	snprintf(path, sizeof path, "%s/ab/link", f.directory);
	assert_int_equal(symlink("object", path), 0);
	snprintf(path, sizeof path, "%s/ab/directory", f.directory);
	assert_int_equal(mkdir(path, 0700), 0);
	rc = backend_head(f.backend, ask(&a), "ab/link", &size);
	expect(&a, rc, -ERR_TAMPERED, (const char *const[]){ "not a file", NULL });
	rc = backend_head(f.backend, ask(&a), "ab/directory", &size);
	expect(&a, rc, -ERR_TAMPERED, NULL);
	expect(&a, put(&f, &a, "ab/directory"), -ERR_EXISTS, NULL);
	expect(&a, put(&f, &a, "ab/object/below"), -ERR_SERVER, NULL);
	expect(&a, put(&f, &a, "../object"), -EINVAL, NULL);
	expect(&a, put(&f, &a, ".borderfs/object"), -EINVAL, NULL);
	rc = backend_list(f.backend, ask(&a), count, &objects);
	expect(&a, rc, 0, NULL);
	assert_int_equal(objects, 1);
	backend_free(f.backend);
}

/* Uploads that were cut leave a file that nobody removes: not the young ones, whose writers may live. */
static void removes_old_orphans(void **state)
{
	struct utimbuf old = { time(NULL) - 2 * 86400, time(NULL) - 2 * 86400 };
	char orphan[600], young[600], other[600];
	struct fixture f;
	struct asked a;

	(void)state;
	describe(&f, "orphans");
	open_backend(&f, false);
	expect(&a, put(&f, &a, "first"), 0, NULL);
	backend_free(f.backend);
	snprintf(orphan, sizeof orphan, "%s/.borderfs/new-orphan", f.directory);
	snprintf(young, sizeof young, "%s/.borderfs/new-young", f.directory);
	snprintf(other, sizeof other, "%s/.borderfs/other", f.directory);
	write_file(orphan, "");
	write_file(young, "");
	write_file(other, "");
	utime(orphan, &old);
	utime(other, &old);
	open_backend(&f, true);
	expect(&a, put(&f, &a, "second"), 0, NULL);
	backend_free(f.backend);
	assert_int_equal(access(orphan, F_OK), -1);
	assert_int_equal(access(young, F_OK), 0);
	assert_int_equal(access(other, F_OK), 0);
}

static int trap_get(struct fixture *f, struct asked *a)
{
	struct sink_memory m;
	char back[100];

	return backend_get(f->backend, &a->call, "object", 0, sizeof back, sink_memory(&m, back, sizeof back));
}

/* Of so much that a byte now and then takes until the call's deadline. */
static int trap_get_much(struct fixture *f, struct asked *a)
{
	struct sink_memory m;
	static char back[1 << 20];
	int64_t start = clock_mono_ns();
	int rc;

	a->call.deadline_ns = start + 60 * NS_PER_S;
	rc = backend_get(f->backend, &a->call, "object", 0, sizeof back, sink_memory(&m, back, sizeof back));
	assert_true(clock_mono_ns() - start < 20 * NS_PER_S);
	return rc;
}

static int trap_head(struct fixture *f, struct asked *a)
{
	uint64_t size;

	return backend_head(f->backend, &a->call, "object", &size);
}

static int trap_del(struct fixture *f, struct asked *a)
{
	return backend_del(f->backend, &a->call, "object");
}

static int trap_put(struct fixture *f, struct asked *a)
{
	struct source_memory m;

	return guard_put(f->backend, &a->call, "object", source_memory(&m, "body", 4));
}

static int is_object(void *ctx, const struct backend_object *o)
{
	(void)ctx;
	return strcmp(o->key, "object") == 0 ? 0 : -EBADMSG;
}

static int trap_list(struct fixture *f, struct asked *a)
{
	return backend_list(f->backend, &a->call, is_object, NULL);
}

static int trap_probe(struct fixture *f, struct asked *a)
{
	return backend_probe(f->backend, &a->call);
}

/* No answer of a server, however false, is taken for the confirmation that an object is not there (I7), crashes the
 * driver or keeps it waiting. */
static void believes_no_liar(void **state)
{
	static const struct {
		const char *lie;
		int (*run)(struct fixture *, struct asked *);
		int rc;
	} rows[] = {
		{ "honest", trap_get, 0 },
		{ "more", trap_get, -ERR_PROTOCOL },
		{ "none", trap_get, -ERR_PROTOCOL },
		{ "eof", trap_get, -ERR_TAMPERED },
		{ "false-length", trap_get, -ERR_PROTOCOL },
		{ "other-type", trap_get, -ERR_TIMEOUT },
		{ "empty", trap_get, -ERR_PROTOCOL },
		{ "empty-handle", trap_get, -ERR_PROTOCOL },
		{ "silent", trap_get, -ERR_TIMEOUT },
		{ "trickle", trap_get_much, -ERR_TIMEOUT },
		{ "honest", trap_get_much, 0 },
		{ "honest", trap_head, 0 },
		{ "no-kind", trap_head, -ERR_TAMPERED },
		{ "directory", trap_head, -ERR_TAMPERED },
		{ "empty", trap_head, -ERR_PROTOCOL },
		{ "other-type", trap_head, -ERR_TIMEOUT },
		{ "honest", trap_del, 0 },
		{ "empty", trap_del, -ERR_PROTOCOL },
		{ "honest", trap_put, 0 },
		{ "no-sync", trap_put, 0 },
		{ "sync", trap_put, -ERR_SERVER },
		{ "taken", trap_put, -ERR_EXISTS },
		{ "full", trap_put, -ERR_QUOTA },
		{ "broken", trap_put, -ERR_SERVER },
		{ "honest", trap_list, 0 },
		{ "names", trap_list, 0 },
		{ "no-kind", trap_list, -ERR_PROTOCOL },
		{ "false-count", trap_list, -ERR_PROTOCOL },
		{ "endless", trap_list, -ERR_TIMEOUT },
		{ "honest", trap_probe, 0 },
		{ "silent", trap_probe, -ERR_TIMEOUT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fixture f;
		struct asked a;
		int rc;

		describe(&f, "trap");
		write_file(need("TRAP"), rows[i].lie);
		f.config.key_file = STR(need("TRAP_KEY_FILE"));
		/* the server is a while in starting; what ends by a timeout is to end soon */
		f.config.timeout_ns = (rows[i].rc == -ERR_TIMEOUT ? 2 : 30) * NS_PER_S;
		f.config.connections = 1;
		open_backend(&f, true);
		ask(&a)->deadline_ns = clock_mono_ns() + (rows[i].rc == -ERR_TIMEOUT ? 3 : 60) * NS_PER_S;
		rc = rows[i].run(&f, &a);
		if (rc != rows[i].rc)
			fail_msg("row %zu, %s: %s, not %s: %s", i, rows[i].lie, err_name(rc), err_name(rows[i].rc),
				errmsg_text(&a.msg, rc));
		asked_end(&a);
		backend_free(f.backend);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_only_the_pinned_server),
		cmocka_unit_test(accepts_only_the_known_server),
		cmocka_unit_test(says_what_is_wrong_with_the_login),
		cmocka_unit_test(ignores_the_environment),
		cmocka_unit_test(judges_reused_connections),
		cmocka_unit_test(knows_its_directory),
		cmocka_unit_test(takes_only_files_for_objects),
		cmocka_unit_test(removes_old_orphans),
		cmocka_unit_test(believes_no_liar),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
