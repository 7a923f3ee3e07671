/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where credentials come from, and what happens when they change. */
#include "tests/unit/backends/server.h"

#include "backends/s3_request.h"
#include "backends/secret.h"
#include "backends/secret_command.h"
#include "base/file.h"

#include <sys/resource.h>
#include <sys/stat.h>

static char dir[] = "/tmp/borderfs-secret.XXXXXX";

/* a path for every name, that stays */
static char *in_dir(const char *name)
{
	static const char *const names[] = { "answer", "none", "office", "program", "runs" };
	static char paths[COUNT(names)][256];
	size_t at = 0;
	char *path;

	while (strcmp(names[at], name))
		at++;
	path = paths[at];

	snprintf(path, sizeof paths[0], "%s/%s", dir, name);
	return path;
}

/* mode 0700: a program too */
static char *write_file(const char *name, const char *text)
{
	char *path = in_dir(name);

	assert_int_equal(file_replace(AT_FDCWD, path, text, strlen(text), 0700), 0);
	return path;
}

/* how often the program that counts has run */
static size_t runs(void)
{
	struct stat st;

	return stat(in_dir("runs"), &st) < 0 ? 0 : (size_t)st.st_size;
}

/* a program that prints the file "answer", and counts; in the configuration */
static void command_set(struct setting *s, char *argv[2], const char *answer)
{
	char text[1024];

	write_file("answer", answer);
	unlink(in_dir("runs"));
	snprintf(text, sizeof text, "#!/bin/sh\nprintf x >>%s/runs\ncat %s/answer\n", dir, dir);
	argv[0] = write_file("program", text);
	argv[1] = NULL;
	s->config.secret_command = argv;
}

static void assert_secret(struct secret *s, const char *expected)
{
	const char *text;
	struct asked a;
	int rc = secret_lock(s, ask(&a), &text);

	if (rc < 0)
		fail_msg("%s", errmsg_text(&a.msg, rc));
	assert_string_equal(text, expected);
	secret_unlock(s);
	asked_end(&a);
}

static void runs_a_program(void **state)
{
	static const struct {
		const char *script, *out;
	} rows[] = {
		{ "printf secret", "secret" },
		{ "echo secret", "secret" },
		{ "printf 'a\\n\\n'", "a\n" },
		{ "echo $# \"$1\" \"$2\"", "2 one $two;" }, /* nothing is a shell's */
		{ "/usr/bin/env | grep -vE '^(PWD|SHLVL|_|OLDPWD)='", "PATH=" SECRET_COMMAND_PATH },
		{ "cat; echo end", "end" },			   /* nothing to read */
		{ "ls /proc/self/fd | tr '\\n' ' '", "0 1 2 3 " }, /* the fourth is of ls itself */
		{ "echo said >&2; echo secret", "secret" },
	};
	struct asked a;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf out = BUF_INIT;
		char *argv[] = { NULL, STR("one"), STR("$two;"), NULL }, script[256];

		snprintf(script, sizeof script, "#!/bin/sh\n%s\n", rows[i].script);
		argv[0] = write_file("program", script);
		assert_int_equal(secret_command(argv, 256, 10 * NS_PER_S, ask(&a), &out, &a.msg), 0);
		assert_string_equal((char *)out.data, rows[i].out);
		buf_free(&out);
		asked_end(&a);
	}
}

static void says_how_a_program_failed(void **state)
{
	static const struct {
		const char *script, *says;
		int64_t most_ms;
	} rows[] = {
		{ NULL, "cannot be started: No such file", 200 },
		{ "exit 3", "failed with status 3; it said: nothing", 2000 },
		{ "echo no key for office >&2; echo '\tin here' >&2; exit 1",
			"failed with status 1; it said: no key for office  in here", 2000 },
		{ "kill -9 $$", "was ended by signal 9", 2000 },
		{ "head -c 100000 /dev/zero", "printed more than 256 bytes", 2000 },
		{ "head -c 1000000 /dev/zero >&2; exit 1", "failed with status 1", 2000 }, /* and is not stuck */
		{ "echo thinking >&2; sleep 20", "was not done in 0 s and was ended; it said: thinking", 2000 },
		{ "exec >&- 2>&-; sleep 20", "was not done in", 2000 },
		{ "sleep 20 & echo secret", "was not done in", 2000 }, /* who else could still print? */
	};
	struct asked a;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf out = BUF_INIT;
		char *argv[] = { in_dir("none"), NULL }, script[256];
		int64_t start = clock_mono_ns();

		snprintf(script, sizeof script, "#!/bin/sh\n%s\n", rows[i].script ? rows[i].script : "");
		if (rows[i].script)
			argv[0] = write_file("program", script);
		if (secret_command(argv, 256, 900 * NS_PER_MS, ask(&a), &out, &a.msg) != -ERR_SECRET)
			fail_msg("%s: %s", script, errmsg_text(&a.msg, 0));
		assert_says(&a.msg, rows[i].says);
		assert_says(&a.msg, argv[0]);
		assert_true(clock_mono_ns() - start < rows[i].most_ms * NS_PER_MS);
		buf_free(&out);
		asked_end(&a);
	}
}

static void *cut_soon(void *arg)
{
	struct timespec nap = { .tv_nsec = 200 * NS_PER_MS };

	nanosleep(&nap, NULL);
	call_cut(arg, -ERR_STOPPED);
	return NULL;
}

/* An unmount does not wait for a program. */
static void a_cut_ends_a_program(void **state)
{
	char *argv[] = { write_file("program", "#!/bin/sh\nsleep 20\n"), NULL };
	int64_t start = clock_mono_ns();
	struct setting setting;
	struct secret s;
	struct asked a;
	pthread_t cutter;
	const char *text;

	(void)state;
	setting_init(&setting, "s3");
	setting.config.secret_command = argv;
	assert_int_equal(secret_init(&s, &setting.config, "secret-key-file", NULL, 64, NULL), 0);
	ask(&a);
	assert_int_equal(pthread_create(&cutter, NULL, cut_soon, &a.call), 0);
	assert_int_equal(secret_lock(&s, &a.call, &text), -ERR_STOPPED);
	pthread_join(cutter, NULL);
	assert_true(clock_mono_ns() - start < 5 * NS_PER_S);
	assert_int_equal(s.again_ns, 0); /* the next one may run it at once */
	asked_end(&a);
	secret_destroy(&s);
}

/* Nor does it wait for what a program leaves behind, out of reach of a signal to its group. */
static void a_cut_ends_the_wait_for_what_a_program_left(void **state)
{
	char *argv[] = { write_file("program", "#!/bin/sh\nsetsid sleep 3 &\n"), NULL };
	int64_t start = clock_mono_ns();
	struct buf out = BUF_INIT;
	struct asked a;
	pthread_t cutter;

	(void)state;
	ask(&a);
	assert_int_equal(pthread_create(&cutter, NULL, cut_soon, &a.call), 0);
	assert_int_equal(secret_command(argv, 256, 60 * NS_PER_S, &a.call, &out, &a.msg), -ERR_STOPPED);
	pthread_join(cutter, NULL);
	assert_true(clock_mono_ns() - start < 2 * NS_PER_S);
	buf_free(&out);
	asked_end(&a);
}

static void a_deadline_ends_a_program(void **state)
{
	char *argv[] = { write_file("program", "#!/bin/sh\nsleep 20\n"), NULL };
	int64_t start = clock_mono_ns();
	struct buf out = BUF_INIT;
	struct asked a;

	(void)state;
	ask(&a)->deadline_ns = start + 300 * NS_PER_MS;
	assert_int_equal(secret_command(argv, 256, 60 * NS_PER_S, &a.call, &out, &a.msg), -ERR_TIMEOUT);
	assert_true(clock_mono_ns() - start >= 300 * NS_PER_MS);
	assert_true(clock_mono_ns() - start < 5 * NS_PER_S);
	buf_free(&out);
	asked_end(&a);
}

/* It is woken by what happens, and does not look whether something did. */
static void waits_asleep(void **state)
{
	static const char *const scripts[] = { "#!/bin/sh\nsleep 1\n", "#!/bin/sh\nexec >&- 2>&-; sleep 1\n" };

	(void)state;
	for (size_t i = 0; i < COUNT(scripts); i++) {
		char *argv[] = { write_file("program", scripts[i]), NULL };
		struct rusage before, after;
		struct buf out = BUF_INIT;
		struct asked a;

		getrusage(RUSAGE_THREAD, &before);
		assert_int_equal(secret_command(argv, 256, 10 * NS_PER_S, ask(&a), &out, &a.msg), 0);
		getrusage(RUSAGE_THREAD, &after);
		if (after.ru_nvcsw - before.ru_nvcsw > 10)
			fail_msg("%ld times awake", after.ru_nvcsw - before.ru_nvcsw);
		buf_free(&out);
		asked_end(&a);
	}
}

static void runs_when_it_is_needed(void **state)
{
	struct setting setting;
	char *argv[2];
	struct secret s;
	struct asked a;
	const char *text;

	(void)state;
	setting_init(&setting, "s3");
	command_set(&setting, argv, "first\n");
	assert_int_equal(secret_init(&s, &setting.config, "secret-key-file", NULL, 64, NULL), 0);
	assert_int_equal(runs(), 0);
	for (int i = 0; i < 3; i++)
		assert_secret(&s, "first");
	assert_int_equal(runs(), 1);
	/* refused: not at once again, and what is the same is no new one */
	secret_lock(&s, ask(&a), &text);
	secret_unlock(&s);
	write_file("answer", "second\n");
	assert_false(secret_renew(&s, &a.call));
	assert_int_equal(runs(), 1);
	s.again_ns = 0;
	write_file("answer", "first\n");
	assert_false(secret_renew(&s, &a.call));
	assert_int_equal(runs(), 2);
	s.again_ns = 0;
	write_file("answer", "second\n");
	assert_true(secret_renew(&s, &a.call));
	assert_int_equal(runs(), 3);
	assert_true(secret_renew(&s, &a.call)); /* another call that used the first: no run is needed */
	assert_int_equal(runs(), 3);
	assert_secret(&s, "second");
	/* a program that fails now: what was had stays */
	s.again_ns = 0;
	write_file("program", "#!/bin/sh\nexit 1\n");
	secret_lock(&s, &a.call, &text);
	secret_unlock(&s);
	assert_false(secret_renew(&s, &a.call));
	assert_secret(&s, "second");
	asked_end(&a);
	secret_destroy(&s);
}

/* Not every request waits for a program that fails. */
static void remembers_a_failure(void **state)
{
	struct setting setting;
	char *argv[2];
	struct secret s;
	struct asked a;
	const char *text;

	(void)state;
	setting_init(&setting, "s3");
	command_set(&setting, argv, "");
	assert_int_equal(secret_init(&s, &setting.config, "secret-key-file", NULL, 64, NULL), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(secret_lock(&s, ask(&a), &text), -ERR_SECRET);
		assert_says(&a.msg, "backend 'virginia': secret-command");
		assert_says(&a.msg, "is empty or not text");
		asked_end(&a);
	}
	assert_int_equal(runs(), 1);
	s.again_ns = 0;
	write_file("answer", "secret");
	assert_secret(&s, "secret");
	secret_destroy(&s);
}

static void takes_a_credential(void **state)
{
	static const struct {
		mode_t mode;
		int rc;
	} rows[] = { { 0400, 0 }, { 0440, 0 }, { 0600, 0 }, { 0444, -ERR_SECRET_FILE }, { 0460, -ERR_SECRET_FILE } };
	struct errmsg msg = { 0 };
	struct setting setting;
	struct secret s;

	(void)state;
	setting_init(&setting, "s3")->secret_credential = STR("office");
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_int_equal(secret_init(&s, &setting.config, "secret-key-file", NULL, 64, &msg), -ERR_SECRET_FILE);
	assert_says(&msg, "start borderfs by a unit with LoadCredential=office:FILE");
	errmsg_free(&msg);
	secret_destroy(&s);
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	for (size_t i = 0; i < COUNT(rows); i++) {
		chmod(write_file("office", "handed over\n"), rows[i].mode);
		assert_int_equal(secret_init(&s, &setting.config, "secret-key-file", NULL, 64, NULL), rows[i].rc);
		if (!rows[i].rc)
			assert_secret(&s, "handed over");
		if (i == 0) {
			write_file("office", "another\n");
			assert_secret(&s, "another");
		}
		secret_destroy(&s);
	}
	unsetenv("CREDENTIALS_DIRECTORY");
}

static void wants_one_of_three(void **state)
{
	struct errmsg msg = { 0 };
	struct setting setting;
	struct secret s;

	(void)state;
	setting_init(&setting, "s3");
	assert_int_equal(secret_init(&s, &setting.config, "key-file", NULL, 64, &msg), -ERR_CONFIG);
	assert_says(&msg, "one of key-file, secret-credential and secret-command is needed");
	errmsg_free(&msg);
	secret_destroy(&s);
}

static bool renews(struct backend *b, struct call *c)
{
	struct fake *f = container_of(b, struct fake, backend);

	(void)c;
	f->freed_upload = true; /* seen below */
	return true;
}

/* Once a call, however often it is refused. */
static void tries_again_with_new_credentials(void **state)
{
	static const struct {
		int script[4], rc;
		unsigned calls;
		bool renewed;
	} rows[] = {
		{ { -ERR_DENIED, 0 }, 0, 2, true },
		{ { -ERR_DENIED, -ERR_DENIED, 0 }, -ERR_DENIED, 2, true },
		{ { -ERR_DENIED, -ERR_SERVER, 0 }, 0, 3, true },
		{ { -ERR_QUOTA, 0 }, -ERR_QUOTA, 1, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct backend *b;
		struct setting s;
		struct asked a;
		struct fake f;
		uint64_t size;

		fake_init(&f, setting_init(&s, "fake"), rows[i].script, COUNT(rows[i].script));
		f.ops.renew = renews;
		assert_int_equal(limit_wrap(&b, &f.backend), 0);
		assert_int_equal(retry_wrap(&b, b), 0);
		assert_int_equal(backend_head(b, ask(&a), "k", &size), rows[i].rc);
		assert_int_equal(atomic_load(&f.calls), rows[i].calls);
		assert_int_equal(f.freed_upload, rows[i].renewed);
		asked_end(&a);
		backend_free(b);
	}
}

/* The whole of it, on a socket: a key that is refused, and a program that has another by now. */
static void asks_the_program_after_a_refusal(void **state)
{
	static const char deleted[] = "HTTP/1.1 204 OK\r\n\r\n",
			  refused[] = "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n";
	static const struct step script[] = { { ANSWER, deleted }, { ANSWER, refused }, { ANSWER, deleted },
		{ ANSWER, refused } };
	static const struct {
		const char *answer;
		int rc;
		size_t runs;
		unsigned requests;
	} rows[] = {
		{ "first", 0, 1, 1 }, { "second", 0, 2, 3 }, /* refused, asked for another, accepted */
		{ "second", -ERR_DENIED, 3, 4 },	     /* refused, and there is no other */
	};
	char endpoint[64], *argv[2];
	struct server server;
	struct backend *driver, *b;
	struct setting s;

	(void)state;
	server_start(&server, script, COUNT(script), 0);
	snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", server.port);
	setting_init(&s, "s3")->endpoint = endpoint;
	setting_allow(&s, "127.0.0.0/8");
	command_set(&s, argv, "first");
	assert_int_equal(s3_open(&driver, &s.config, NULL), 0);
	driver->zone_id = ZONE;
	assert_int_equal(retry_wrap(&b, driver), 0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct asked a;

		write_file("answer", rows[i].answer);
		container_of(driver, struct s3, backend)->secret.secret.again_ns = 0;
		assert_int_equal(backend_del(b, ask(&a), "k"), rows[i].rc);
		assert_int_equal(runs(), rows[i].runs);
		LOCKED(&server, assert_int_equal(server.requests, rows[i].requests));
		asked_end(&a);
	}
	backend_free(b);
	server_stop(&server);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_a_program),
		cmocka_unit_test(says_how_a_program_failed),
		cmocka_unit_test(a_cut_ends_a_program),
		cmocka_unit_test(a_cut_ends_the_wait_for_what_a_program_left),
		cmocka_unit_test(a_deadline_ends_a_program),
		cmocka_unit_test(waits_asleep),
		cmocka_unit_test(runs_when_it_is_needed),
		cmocka_unit_test(remembers_a_failure),
		cmocka_unit_test(takes_a_credential),
		cmocka_unit_test(wants_one_of_three),
		cmocka_unit_test(tries_again_with_new_credentials),
		cmocka_unit_test(asks_the_program_after_a_refusal),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
