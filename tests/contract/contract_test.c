/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every backend promises (backends/backend.h), asked of a real one, which the environment names: TYPE; for s3
 * ENDPOINT, REGION, ACCESS, SECRET, BUCKET, and for https CA and PIN; for swift AUTH_URL in place of ENDPOINT; for
 * local DIRECTORY; for webdav NOWHERE (an endpoint that is not there). Where there are READER (a user who may not
 * write, with the same secret or READER_SECRET), FULL (a bucket whose quota is used up) and SMALL (an endpoint that
 * takes no body of 200,000 bytes), these are tried too. SAS: SECRET is a shared access signature. CREATE_ONLY: the
 * server takes a key only once. LEFT_OUT: an odd key that this server takes for another, or hides. `contract_test
 * figures` measures instead, `contract_test large` moves one body of 5 GiB. */
#include "backends/backend.h"
#include "backends/guard.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define ZONE	7u
#define THREADS 8

/* One backend as a configuration would describe it. */
struct fixture {
	struct config_zone zone;
	struct cidr networks[2];
	struct config_backend config;
	char secret_file[256];
	char *host_keys[2];
	struct backend *backend;
};

static const char *need(const char *name)
{
	const char *v = getenv(name);

	if (!v) {
		fprintf(stderr, "contract_test: %s is not set\n", name);
		exit(2);
	}
	return v;
}

static bool is_type(const char *type)
{
	return !strcmp(need("TYPE"), type);
}

static bool is_local(void)
{
	return is_type("local");
}

/* objects are files in a directory, here or there */
static bool has_directory(void)
{
	return is_local() || is_type("sftp");
}

static void write_secret(struct fixture *f, const char *secret)
{
	const char *tmp = getenv("TMPDIR");
	int fd;

	snprintf(f->secret_file, sizeof f->secret_file, "%s/contract-secret-XXXXXX", tmp ? tmp : "/tmp");
	fd = mkstemp(f->secret_file);
	assert_true(fd >= 0);
	assert_int_equal(file_write_full(fd, secret, strlen(secret)), 0);
	close(fd);
}

/* strings of the configuration are borrowed: literals and the environment */
#define STR(s) ((char *)(uintptr_t)(s))

static void describe(struct fixture *f, const char *prefix)
{
	const char *ca = getenv("CA");

	memset(f, 0, sizeof *f);
	f->zone.name = STR("here");
	assert_int_equal(cidr_parse("127.0.0.0/8", &f->networks[0]), 0);
	assert_int_equal(cidr_parse("::1", &f->networks[1]), 0);
	f->zone.networks = f->networks;
	f->zone.network_count = 2;
	f->config = (struct config_backend){
		.name = STR("tested"),
		.type = STR(need("TYPE")),
		.prefix = STR(prefix),
		.connect_timeout_ns = 5 * NS_PER_S,
		.timeout_ns = 30 * NS_PER_S,
		.connections = THREADS,
		.zone = &f->zone,
	};
	if (is_local()) {
		f->config.path = STR(need("DIRECTORY"));
		return;
	}
	if (is_type("sftp")) {
		f->config.endpoint = STR(need("ENDPOINT"));
		f->config.user = STR(need("USER_NAME"));
		f->config.directory = STR(need("DIRECTORY"));
		f->config.key_file = STR(need("KEY_FILE"));
		f->host_keys[0] = STR(need("HOST_KEY"));
		f->config.host_keys = f->host_keys;
		return;
	}
	f->config.ca_file = ca && *ca ? STR(ca) : NULL;
	write_secret(f, need("SECRET"));
	if (is_type("webdav")) {
		f->config.endpoint = STR(need("ENDPOINT"));
		f->config.user = STR(need("ACCESS"));
		f->config.password_file = f->secret_file;
		return;
	}
	f->config.bucket = STR(need("BUCKET"));
	if (is_type("azure")) {
		f->config.endpoint = STR(need("ENDPOINT"));
		f->config.user = STR(need("ACCESS"));
		if (getenv("SAS"))
			f->config.sas_file = f->secret_file;
		else
			f->config.key_file = f->secret_file;
		return;
	}
	if (is_type("swift")) {
		f->config.endpoint = STR(need("AUTH_URL"));
		f->config.user = STR(need("ACCESS"));
		f->config.password_file = f->secret_file;
		return;
	}
	f->config.endpoint = STR(need("ENDPOINT"));
	f->config.region = STR(need("REGION"));
	f->config.access_key = STR(need("ACCESS"));
	f->config.secret_key_file = f->secret_file;
}

static void open_backend(struct fixture *f)
{
	struct errmsg msg = { 0 };
	int rc = backend_open(&f->backend, &f->config, ZONE, false, &msg);

	if (rc < 0)
		fail_msg("%s", errmsg_text(&msg, rc));
	errmsg_free(&msg);
}

static void close_backend(struct fixture *f)
{
	backend_free(f->backend);
	if (f->secret_file[0])
		unlink(f->secret_file);
}

static int setup(void **state)
{
	static struct fixture f;

	describe(&f, "contract/");
	open_backend(&f);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	close_backend(*state);
	return 0;
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
	memset(&a->msg, 0, sizeof a->msg);
	call_init(&a->call);
	a->call.zone_id = ZONE;
	a->call.check = allow;
	a->call.msg = &a->msg;
	return &a->call;
}

/* ends a call; a result that was not expected is shown with its sentence */
static int answered(struct asked *a, int rc, int expected)
{
	if (rc != expected)
		print_error("expected %s, got %s: %s\n", err_name(expected), err_name(rc), errmsg_text(&a->msg, rc));
	errmsg_free(&a->msg);
	call_destroy(&a->call);
	return rc;
}

static int put(struct backend *b, const char *key, const void *data, size_t len, int expected)
{
	struct source_memory m;
	struct asked a;

	return answered(&a, guard_put(b, ask(&a), key, source_memory(&m, data, len)), expected);
}

static int get(struct backend *b, const char *key, uint64_t off, void *to, size_t len, int expected)
{
	struct sink_memory m;
	struct asked a;
	int rc = answered(&a, backend_get(b, ask(&a), key, off, len, sink_memory(&m, to, len)), expected);

	return !rc && m.len != len ? -EBADMSG : rc;
}

static int head(struct backend *b, const char *key, uint64_t *size, int expected)
{
	struct asked a;

	return answered(&a, backend_head(b, ask(&a), key, size), expected);
}

static int del(struct backend *b, const char *key, int expected)
{
	struct asked a;

	return answered(&a, backend_del(b, ask(&a), key), expected);
}

#define OK(call)	assert_int_equal((call), 0)
#define FAILS(rc, call) assert_int_equal((call), (rc))

static void stores_and_returns(void **state)
{
	struct backend *b = ((struct fixture *)*state)->backend;
	static const char text[] = "sealed bytes";
	char back[sizeof text] = { 0 };
	uint64_t size = 0;

	OK(put(b, "3f/3f01", text, sizeof text, 0));
	OK(head(b, "3f/3f01", &size, 0));
	assert_int_equal(size, sizeof text);
	OK(get(b, "3f/3f01", 0, back, sizeof text, 0));
	assert_memory_equal(back, text, sizeof text);
	OK(del(b, "3f/3f01", 0));
	OK(del(b, "3f/3f01", 0));
	FAILS(-ERR_ABSENT, get(b, "3f/3f01", 0, back, 1, -ERR_ABSENT));
	FAILS(-ERR_ABSENT, get(b, "3f/3f01", 0, back, 0, -ERR_ABSENT));
	FAILS(-ERR_ABSENT, head(b, "3f/3f01", &size, -ERR_ABSENT));
	FAILS(-ERR_ABSENT, head(b, "never/was", &size, -ERR_ABSENT));
}

static void returns_exactly_the_range(void **state)
{
	struct backend *b = ((struct fixture *)*state)->backend;
	static const struct {
		uint64_t off;
		size_t len;
		int rc;
	} rows[] = {
		{ 0, 1, 0 },
		{ 0, 1000, 0 },
		{ 999, 1, 0 },
		{ 250, 500, 0 },
		{ 1000, 0, 0 },
		{ 1001, 0, -ERR_TAMPERED },
		{ 0, 1001, -ERR_TAMPERED },
		{ 999, 2, -ERR_TAMPERED },
		{ 1000, 1, -ERR_TAMPERED },
		{ 5000, 10, -ERR_TAMPERED },
	};
	uint8_t data[1000], back[2000];

	randombytes_buf(data, sizeof data);
	OK(put(b, "ranges", data, sizeof data, 0));
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		FAILS(rows[i].rc, get(b, "ranges", rows[i].off, back, rows[i].len, rows[i].rc));
		if (!rows[i].rc && rows[i].len)
			assert_memory_equal(back, data + rows[i].off, rows[i].len);
	}
	OK(del(b, "ranges", 0));
}

static void keeps_an_empty_body(void **state)
{
	struct backend *b = ((struct fixture *)*state)->backend;
	uint64_t size = 9;
	char none[1];

	OK(put(b, "empty", "", 0, 0));
	OK(head(b, "empty", &size, 0));
	assert_int_equal(size, 0);
	OK(get(b, "empty", 0, none, 0, 0));
	FAILS(-ERR_TAMPERED, get(b, "empty", 0, none, 1, -ERR_TAMPERED));
	OK(del(b, "empty", 0));
}

/* in the order of their bytes */
static const char *const odd_keys[] = { "odd/ blank", "odd/!$()*',;:@", "odd/%41%zz", "odd/&=?#", "odd/+plus",
	"odd/.dot", "odd/<\"&amp;>", "odd/[brackets]{braces}", "odd/back\\slash", "odd/deep/er/est", "odd/deep~",
	"odd/gr\xc3\xbc\xc3\x9f", "odd/\xe6\x96\x87\xe4\xbb\xb6", "odd/\xf0\x9f\x93\x81" };
#define ODD_COUNT (sizeof odd_keys / sizeof odd_keys[0])

struct seen {
	size_t count;
	bool ordered;
	char last[1100];
	const char *const *expected;
	const char *only; /* prefix */
};

static int see(void *ctx, const struct backend_object *o)
{
	struct seen *s = ctx;

	if (strncmp(o->key, s->only, strlen(s->only)))
		return 0;
	if (s->count && strcmp(o->key, s->last) <= 0)
		s->ordered = false;
	if (s->expected && (!s->expected[s->count] || strcmp(o->key, s->expected[s->count])))
		s->ordered = false;
	snprintf(s->last, sizeof s->last, "%s", o->key);
	s->count++;
	return 0;
}

static int list(struct backend *b, int (*fn)(void *, const struct backend_object *), void *ctx, int expected)
{
	struct asked a;

	return answered(&a, backend_list(b, ask(&a), fn, ctx), expected);
}

static void takes_odd_keys(void **state)
{
	struct backend *b = ((struct fixture *)*state)->backend;
	const char *left_out = getenv("LEFT_OUT"), *keys[ODD_COUNT + 1] = { NULL };
	struct seen seen = { .ordered = true, .expected = keys, .only = "odd/" };
	char back[64];
	size_t count = 0;

	for (size_t i = 0; i < ODD_COUNT; i++)
		if (!left_out || strcmp(odd_keys[i], left_out) != 0)
			keys[count++] = odd_keys[i];
	for (size_t i = 0; i < count; i++)
		OK(put(b, keys[i], keys[i], strlen(keys[i]), 0));
	for (size_t i = 0; i < count; i++) {
		OK(get(b, keys[i], 0, back, strlen(keys[i]), 0));
		assert_memory_equal(back, keys[i], strlen(keys[i]));
	}
	OK(list(b, see, &seen, 0));
	assert_int_equal(seen.count, count);
	assert_true(seen.ordered);
	for (size_t i = 0; i < count; i++)
		OK(del(b, keys[i], 0));
}

/* THREADS threads that share the numbers 0 to count - 1 */
struct crowd {
	struct backend *backend;
	atomic_uint next, failed;
	unsigned count;
	int (*work)(struct crowd *, unsigned n);
	size_t bytes;
};

static void *crowd_run(void *arg)
{
	struct crowd *c = arg;
	unsigned n;

	while ((n = atomic_fetch_add(&c->next, 1)) < c->count)
		if (c->work(c, n))
			atomic_fetch_add(&c->failed, 1);
	return NULL;
}

static unsigned crowd(struct backend *b, unsigned count, size_t bytes, int (*work)(struct crowd *, unsigned n))
{
	struct crowd c = { .backend = b, .count = count, .work = work, .bytes = bytes };
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, crowd_run, &c), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return atomic_load(&c.failed);
}

static void number_key(char out[32], unsigned n)
{
	snprintf(out, 32, "many/%02x/%06u", n % 7, n);
}

static int put_number(struct crowd *c, unsigned n)
{
	char key[32];

	number_key(key, n);
	return put(c->backend, key, key, strlen(key), 0);
}

static int del_number(struct crowd *c, unsigned n)
{
	char key[32];

	number_key(key, n);
	return del(c->backend, key, 0);
}

static int stop_at_three(void *ctx, const struct backend_object *o)
{
	(void)o;
	return ++*(int *)ctx == 3 ? 42 : 0;
}

static void lists_across_pages(void **state)
{
	struct backend *b = ((struct fixture *)*state)->backend;
	struct seen seen = { .ordered = true, .only = "many/" };
	unsigned count = 1013;
	int stopped = 0;

	assert_int_equal(crowd(b, count, 0, put_number), 0);
	OK(list(b, see, &seen, 0));
	assert_int_equal(seen.count, count);
	assert_true(seen.ordered);
	FAILS(42, list(b, stop_at_three, &stopped, 42));
	assert_int_equal(stopped, 3);
	assert_int_equal(crowd(b, count, 0, del_number), 0);
	seen.count = 0;
	OK(list(b, see, &seen, 0));
	assert_int_equal(seen.count, 0);
}

/* a body made up as it is read: big ones need no memory */
static uint8_t pattern_byte(uint64_t at)
{
	return (uint8_t)((at >> 20) * 131 + (at >> 8) * 17 + at);
}

static int pattern_read(struct source *s, uint64_t off, void *buf, size_t len)
{
	(void)s;
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = pattern_byte(off + i);
	return 0;
}

struct pattern_sink {
	struct sink sink;
	uint64_t at;
};

static int pattern_check(struct sink *s, const void *data, size_t len)
{
	struct pattern_sink *p = container_of(s, struct pattern_sink, sink);

	for (size_t i = 0; i < len; i++)
		if (((const uint8_t *)data)[i] != pattern_byte(p->at++))
			return -EBADMSG;
	return 0;
}

static void move_a_body(struct backend *b, uint64_t length)
{
	struct source source = { .length = length, .read = pattern_read };
	struct pattern_sink sink = { .sink = { pattern_check } };
	uint64_t size = 0;
	struct asked a;

	OK(answered(&a, guard_put(b, ask(&a), "large", &source), 0));
	if (b->ops->caps & BACKEND_MULTIPART)
		assert_true(a.call.body_sent >= source.length);
	OK(head(b, "large", &size, 0));
	assert_int_equal(size, source.length);
	OK(answered(&a, backend_get(b, ask(&a), "large", 0, source.length, &sink.sink), 0));
	assert_int_equal(sink.at, source.length);
	sink.at = source.length - 12345;
	OK(answered(&a, backend_get(b, ask(&a), "large", sink.at, 12345, &sink.sink), 0));
	OK(del(b, "large", 0));
}

static void takes_a_large_body(void **state)
{
	move_a_body(((struct fixture *)*state)->backend, (100u << 20) + 1);
}

static long memory_peak_kib(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_maxrss;
}

/* More than a single request may carry on S3, and than 32 bits hold; it is never in memory whole. */
static void takes_five_gib(void **state)
{
	int64_t start = clock_mono_ns();

	move_a_body(((struct fixture *)*state)->backend, (5ull << 30) + 1);
	printf("5 GiB there and back in %lld s, at most %ld KiB resident\n",
		(long long)((clock_mono_ns() - start) / NS_PER_S), memory_peak_kib());
	assert_in_range(memory_peak_kib(), 0, 128 << 10);
}

static int round_trip(struct crowd *c, unsigned n)
{
	size_t len = c->bytes + n;
	uint8_t *data = malloc(len), *back = calloc(1, len);
	char key[32];
	int rc;

	randombytes_buf(data, len);
	snprintf(key, sizeof key, "crowd/%u", n);
	rc = put(c->backend, key, data, len, 0);
	if (!rc)
		rc = get(c->backend, key, 0, back, len, 0);
	if (!rc)
		rc = memcmp(data, back, len);
	if (!rc)
		rc = del(c->backend, key, 0);
	free(data);
	free(back);
	return rc;
}

static void serves_many_at_once(void **state)
{
	struct backend *b = ((struct fixture *)*state)->backend;
	struct backend_status s;

	assert_int_equal(crowd(b, 96, 200000, round_trip), 0);
	backend_status(b, &s);
	assert_true(s.up);
	assert_true(s.bytes_received >= 96 * 200000);
	assert_true(s.bytes_sent >= 96 * 200000);
}

static void keeps_the_border(void **state)
{
	struct backend *b = ((struct fixture *)*state)->backend;
	struct source_memory m;
	uint64_t size;
	struct asked a;

	ask(&a)->zone_id = ZONE + 1;
	FAILS(-ERR_BORDER, answered(&a, guard_put(b, &a.call, "stray", source_memory(&m, "x", 1)), -ERR_BORDER));
	assert_int_equal(a.call.body_sent, 0);
	FAILS(-ERR_ABSENT, head(b, "stray", &size, -ERR_ABSENT));
}

/* cuts its own call when the body has been read as far as `at` for the last time */
struct cutting_source {
	struct source source;
	struct call *call;
	uint64_t at;
	unsigned times;
};

static int cutting_read(struct source *s, uint64_t off, void *buf, size_t len)
{
	struct cutting_source *c = container_of(s, struct cutting_source, source);

	if (off <= c->at && c->at < off + len && !--c->times)
		call_cut(c->call, -ERR_REVOKED);
	return pattern_read(s, off, buf, len);
}

static void leaves_nothing_of_a_cut_body(void **state)
{
	struct backend *b = ((struct fixture *)*state)->backend;
	uint64_t size;
	struct asked a;
	/* the bodies of s3, swift and azure are read twice: to be hashed, and to be sent */
	struct cutting_source source = { .source = { 8 << 20, cutting_read },
		.call = ask(&a),
		.at = 5 << 20,
		.times = has_directory() || is_type("webdav") ? 1 : 2 };

	FAILS(-ERR_REVOKED, answered(&a, guard_put(b, &a.call, "cut", &source.source), -ERR_REVOKED));
	assert_int_equal(source.times, 0);
	FAILS(-ERR_ABSENT, head(b, "cut", &size, -ERR_ABSENT));
}

static void separates_prefixes(void **state)
{
	struct backend *b = ((struct fixture *)*state)->backend;
	struct seen seen = { .ordered = true, .only = "" };
	struct fixture other;
	uint64_t size;

	describe(&other, "elsewhere/");
	open_backend(&other);
	OK(put(b, "mine", "1", 1, 0));
	FAILS(-ERR_ABSENT, head(other.backend, "mine", &size, -ERR_ABSENT));
	OK(list(other.backend, see, &seen, 0));
	assert_int_equal(seen.count, 0);
	OK(del(b, "mine", 0));
	close_backend(&other);
}

static void takes_a_key_only_once(void **state)
{
	struct backend *b = ((struct fixture *)*state)->backend;
	char back[2];

	if (!(b->ops->caps & BACKEND_CREATE_ONLY) && !getenv("CREATE_ONLY"))
		return;
	OK(put(b, "once", "1", 1, 0));
	FAILS(-ERR_EXISTS, put(b, "once", "2", 1, -ERR_EXISTS));
	FAILS(-ERR_EXISTS, put(b, "once", "12", 2, -ERR_EXISTS));
	OK(get(b, "once", 0, back, 1, 0));
	assert_int_equal(back[0], '1');
	OK(del(b, "once", 0));
}

static int probe(struct fixture *f, char *sentence, size_t len)
{
	struct asked a;
	int rc;

	open_backend(f);
	rc = backend_probe(f->backend, ask(&a));
	snprintf(sentence, len, "%s", errmsg_text(&a.msg, rc));
	answered(&a, rc, rc);
	close_backend(f);
	return rc;
}

/* the configuration's key that a sentence about a wrong secret names */
static const char *secret_key(void)
{
	if (is_type("azure"))
		return getenv("SAS") ? "sas-file" : "key-file";
	return is_type("s3") ? "secret-key-file" : "password-file";
}

static void says_what_is_wrong(void **state)
{
	char sentence[512];
	struct fixture f;

	(void)state;
	describe(&f, "contract/");
	OK(probe(&f, sentence, sizeof sentence));
	describe(&f, "contract/");
	f.config.bucket = STR("there-is-no-such-bucket");
	f.config.path = f.config.directory = STR("/nowhere/at/all");
	if (is_type("webdav"))
		f.config.endpoint = STR(need("NOWHERE"));
	FAILS(-ERR_NO_BUCKET, probe(&f, sentence, sizeof sentence));
	assert_non_null(strstr(sentence, has_directory() ? "/nowhere/at/all" : "there-is-no-such-bucket"));
	if (has_directory())
		return;
	describe(&f, "contract/");
	unlink(f.secret_file);
	write_secret(&f, "wrong");
	FAILS(-ERR_DENIED, probe(&f, sentence, sizeof sentence));
	assert_non_null(strstr(sentence, secret_key()));
	if (getenv("SAS"))
		return; /* it says itself whose it is */
	describe(&f, "contract/");
	f.config.access_key = f.config.user = STR("nobody:atall");
	FAILS(-ERR_DENIED, probe(&f, sentence, sizeof sentence));
}

static void refuses_who_may_not_write(void **state)
{
	struct backend *b = ((struct fixture *)*state)->backend;
	const char *reader = getenv(is_type("sftp") ? "READER_KEY_FILE" : "READER");
	struct fixture f;
	char back[3];

	if (!reader || !*reader)
		return;
	OK(put(b, "guarded", "abc", 3, 0));
	describe(&f, "contract/");
	if (is_type("sftp"))
		f.config.key_file = STR(reader);
	else
		f.config.access_key = f.config.user = STR(reader);
	if (getenv("READER_SECRET")) {
		unlink(f.secret_file);
		write_secret(&f, getenv("READER_SECRET"));
	}
	open_backend(&f);
	OK(get(f.backend, "guarded", 0, back, 3, 0));
	FAILS(-ERR_DENIED, put(f.backend, "intruded", "x", 1, -ERR_DENIED));
	FAILS(-ERR_DENIED, del(f.backend, "guarded", -ERR_DENIED));
	close_backend(&f);
	OK(get(b, "guarded", 0, back, 3, 0));
	OK(del(b, "guarded", 0));
}

static void says_when_it_is_full(void **state)
{
	const char *full = getenv("FULL");
	struct fixture f;
	uint64_t size;

	(void)state;
	if (!full || !*full)
		return;
	describe(&f, "contract/");
	f.config.bucket = STR(full);
	open_backend(&f);
	FAILS(-ERR_QUOTA, put(f.backend, "too-much", "0123456789", 10, -ERR_QUOTA));
	FAILS(-ERR_ABSENT, head(f.backend, "too-much", &size, -ERR_ABSENT));
	close_backend(&f);
}

static void says_when_a_body_is_too_large(void **state)
{
	const char *small = getenv("SMALL");
	static const uint8_t data[200000];
	struct fixture f;
	uint64_t size;

	(void)state;
	if (!small || !*small)
		return;
	describe(&f, "contract/");
	f.config.endpoint = STR(small);
	open_backend(&f);
	OK(put(f.backend, "small", data, 1000, 0));
	FAILS(-ERR_TOO_LARGE, put(f.backend, "large", data, sizeof data, -ERR_TOO_LARGE));
	FAILS(-ERR_ABSENT, head(f.backend, "large", &size, -ERR_ABSENT));
	OK(del(f.backend, "small", 0));
	close_backend(&f);
}

static void reads_a_new_secret(void **state)
{
	struct fixture f;
	uint64_t size;
	int fd;

	(void)state;
	if (has_directory())
		return;
	describe(&f, "contract/");
	unlink(f.secret_file);
	write_secret(&f, "wrong");
	open_backend(&f);
	FAILS(-ERR_DENIED, head(f.backend, "x", &size, -ERR_DENIED));
	fd = open(f.secret_file, O_WRONLY | O_TRUNC);
	OK(file_write_full(fd, need("SECRET"), strlen(need("SECRET"))));
	close(fd);
	FAILS(-ERR_ABSENT, head(f.backend, "x", &size, -ERR_ABSENT));
	close_backend(&f);
}

/* I2: whoever is not the server that the configuration means is told nothing. */
static void verifies_the_server(void **state)
{
	char sentence[512], other[256];
	static const char *const wrong_pin[] = { "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", NULL };
	const char *right_pin[] = { wrong_pin[0], getenv("PIN"), NULL };
	struct fixture f;

	(void)state;
	describe(&f, "contract/");
	if (!f.config.endpoint || strncmp(f.config.endpoint, "https://localhost:", 18) != 0) {
		unlink(f.secret_file);
		return;
	}
	f.config.ca_file = NULL; /* the distribution's authorities do not know it */
	FAILS(-ERR_PEER_TLS, probe(&f, sentence, sizeof sentence));
	assert_non_null(strstr(sentence, "ca-file"));
	describe(&f, "contract/");
	f.config.pins = (char **)(uintptr_t)wrong_pin;
	FAILS(-ERR_PEER_TLS, probe(&f, sentence, sizeof sentence));
	describe(&f, "contract/");
	f.config.pins = (char **)(uintptr_t)right_pin;
	OK(probe(&f, sentence, sizeof sentence));
	describe(&f, "contract/");
	snprintf(other, sizeof other, "https://other.localhost:%s", f.config.endpoint + 18);
	f.config.endpoint = other; /* not the name in the certificate */
	FAILS(-ERR_PEER_TLS, probe(&f, sentence, sizeof sentence));
}

static int put_figure(struct crowd *c, unsigned n)
{
	struct source source = { .length = c->bytes, .read = pattern_read };
	char key[32];
	struct asked a;

	snprintf(key, sizeof key, "figure/%u", n);
	return answered(&a, guard_put(c->backend, ask(&a), key, &source), 0);
}

static int drop(struct sink *s, const void *data, size_t len)
{
	(void)s;
	(void)data;
	(void)len;
	return 0;
}

static int get_figure(struct crowd *c, unsigned n)
{
	struct sink sink = { drop };
	char key[32];
	struct asked a;

	snprintf(key, sizeof key, "figure/%u", n);
	return answered(&a, backend_get(c->backend, ask(&a), key, 0, c->bytes, &sink), 0);
}

static int del_figure(struct crowd *c, unsigned n)
{
	char key[32];

	snprintf(key, sizeof key, "figure/%u", n);
	return del(c->backend, key, 0);
}

static void figure(
	struct backend *b, const char *what, unsigned count, size_t bytes, int (*work)(struct crowd *, unsigned n))
{
	int64_t start = clock_mono_ns();
	double s;

	assert_int_equal(crowd(b, count, bytes, work), 0);
	s = (double)(clock_mono_ns() - start) / NS_PER_S;
	printf("%-12s %5u of %8zu bytes by %d: %8.0f/s %8.1f MiB/s\n", what, count, bytes, THREADS, count / s,
		(double)bytes * count / s / (1 << 20));
}

static void figures(void **state)
{
	struct backend *b = ((struct fixture *)*state)->backend;
	struct backend_status s;
	char latency[24];

	figure(b, "put", 128, 4 << 20, put_figure);
	figure(b, "get", 128, 4 << 20, get_figure);
	figure(b, "delete", 128, 0, del_figure);
	figure(b, "put", 1000, 4096, put_figure);
	figure(b, "get", 1000, 4096, get_figure);
	figure(b, "delete", 1000, 0, del_figure);
	backend_status(b, &s);
	printf("latency %s, %" PRIu64 " requests, %" PRIu64 " failures, peer %s\n",
		text_duration(s.latency_ns, latency, sizeof latency), s.requests, s.failures, s.peer);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest measure[] = { cmocka_unit_test(figures) };
	const struct CMUnitTest large[] = { cmocka_unit_test(takes_five_gib) };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_is_wrong),
		cmocka_unit_test(stores_and_returns),
		cmocka_unit_test(returns_exactly_the_range),
		cmocka_unit_test(keeps_an_empty_body),
		cmocka_unit_test(takes_odd_keys),
		cmocka_unit_test(lists_across_pages),
		cmocka_unit_test(takes_a_large_body),
		cmocka_unit_test(serves_many_at_once),
		cmocka_unit_test(keeps_the_border),
		cmocka_unit_test(leaves_nothing_of_a_cut_body),
		cmocka_unit_test(separates_prefixes),
		cmocka_unit_test(takes_a_key_only_once),
		cmocka_unit_test(refuses_who_may_not_write),
		cmocka_unit_test(says_when_it_is_full),
		cmocka_unit_test(says_when_a_body_is_too_large),
		cmocka_unit_test(reads_a_new_secret),
		cmocka_unit_test(verifies_the_server),
	};

	if (sodium_init() < 0)
		return 1;
	if (argc > 1 && !strcmp(argv[1], "figures"))
		return cmocka_run_group_tests(measure, setup, teardown);
	if (argc > 1 && !strcmp(argv[1], "large"))
		return cmocka_run_group_tests(large, setup, teardown);
	return cmocka_run_group_tests(tests, setup, teardown);
}
