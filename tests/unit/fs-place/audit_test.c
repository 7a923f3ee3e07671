/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/place/audit.h"
#include "tests/unit/fs-place/fixture.h"

#include "tests/unit/fs-crypt/vectors.h"

#include <sodium.h>

#define CONFIG                                                                                                         \
	"[filesystem]\nname = test\nstore = @/store\nhome = home\n"                                                    \
	"[zone home]\nkind = domestic\ncountries = CN\nbackends = near\n"                                              \
	"[zone abroad]\nkind = foreign\ncountries = US\nbackends = far\n"                                              \
	"[backend near]\ntype = local\npath = @/near\n[backend far]\ntype = local\npath = @/far\n"

/* the chain as docs say it is made, followed from its start by somebody who has the key */
struct chain {
	uint8_t key[32], mac[32];
	int64_t seq;
	size_t lines, bad;
	char last[512];
};

static int follow(void *ctx, struct meta_row *row)
{
	struct chain *c = ctx;
	crypto_generichash_state h;
	uint8_t next[32];
	size_t line_len, mac_len;
	const void *line = meta_row_blob(row, 1, &line_len), *mac = meta_row_blob(row, 2, &mac_len);

	c->bad += meta_row_i64(row, 0) != ++c->seq;
	crypto_generichash_init(&h, c->key, 32, 32);
	crypto_generichash_update(&h, c->mac, 32);
	crypto_generichash_update(&h, line, line_len);
	crypto_generichash_final(&h, c->mac, 32);
	crypto_generichash(next, 32, (const uint8_t *)"borderfs audit ratchet", 22, c->key, 32);
	memcpy(c->key, next, 32);
	c->bad += mac_len != 32 || memcmp(mac, c->mac, 32) != 0;
	snprintf(c->last, sizeof c->last, "%.*s", (int)line_len, (const char *)line);
	c->lines++;
	return 0;
}

static void read_chain(struct store *s, struct chain *c)
{
	memset(c, 0, sizeof *c);
	memcpy(c->key, keyring_store_key(s->keyring, STORE_KEY_AUDIT), 32);
	assert_int_equal(meta_select(s->meta, "SELECT seq, line, mac FROM audit ORDER BY seq", follow, c, ""), 0);
}

static void append(struct store *s, const char *kind, const char *json)
{
	meta_lock(s->meta);
	audit_append(s->place, kind, json);
	meta_unlock(s->meta);
}

static void test_chain(void **state)
{
	struct chain c;
	struct store s = { 0 };

	(void)state;
	store_make(&s, CONFIG);
	store_open(&s);
	read_chain(&s, &c);
	assert_int_equal(c.lines, 3); /* a key for each zone, and the rule set */
	assert_non_null(strstr(c.last, "\"kind\":\"rules\",\"facts\":{\"version\":"));
	assert_non_null(strstr(c.last, "\",\"rules\":0,\"zones\":2}}"));
	for (int i = 0; i < 100; i++)
		append(&s, "placement", "{\"n\":1}");
	store_close(&s);
	store_open(&s);
	append(&s, "export", "{\"n\":2}");
	read_chain(&s, &c);
	assert_int_equal(c.lines, 104);
	assert_int_equal(c.bad, 0);
	assert_non_null(strstr(c.last, "{\"seq\":104,\"time\":"));
	assert_non_null(strstr(c.last, "\"kind\":\"export\",\"facts\":{\"n\":2}}"));
	store_destroy(&s);
}

struct edit {
	struct meta_record record;
	const char *sql;
};

static void edit_apply(struct meta_txn *txn, struct meta_record *r)
{
	meta_txn_exec(txn, container_of(r, struct edit, record)->sql, "");
}

static void edit_free(struct meta_record *r)
{
	free(container_of(r, struct edit, record));
}

static void edit(struct store *s, const char *sql)
{
	struct edit *e = calloc(1, sizeof *e);

	assert_non_null(e);
	e->record = (struct meta_record){ .apply = edit_apply, .free = edit_free };
	e->sql = sql;
	meta_lock(s->meta);
	meta_queue(s->meta, &e->record);
	meta_unlock(s->meta);
	assert_int_equal(meta_commit(s->meta), 0);
}

/* ---- verifying ------------------------------------------------------------------------------------------------ */

struct findings {
	size_t count;
	char text[1024];
};

static int found(void *ctx, const struct audit_finding *f)
{
	struct findings *out = ctx;
	size_t len = strlen(out->text);

	snprintf(out->text + len, sizeof out->text - len, "%s%s %llu-%llu", len ? ", " : "", audit_wrong_name(f->wrong),
		(unsigned long long)f->first, (unsigned long long)f->last);
	out->count++;
	return 0;
}

static void verify(struct store *s, struct findings *out, struct audit_verdict *v)
{
	const struct audit_log log = { s->meta, s->keyring };

	memset(out, 0, sizeof *out);
	assert_int_equal(audit_verify(&log, found, out, v), 0);
	assert_int_equal(out->count, v->findings);
}

static void ten_lines(struct store *s)
{
	store_make(s, CONFIG);
	store_open(s);
	for (int k = 3; k < 9; k++)
		append(s, "transfer", "{\"to\":\"abroad\"}");
	meta_lock(s->meta);
	audit_file(s->place, "placement", 12, "{\"ino\":12,\"to\":1}");
	meta_unlock(s->meta);
}

/* whoever changes, drops or reorders lines, or cuts the end off, is found, and where */
static void test_edits(void **state)
{
	static const struct {
		const char *sql, *found;
	} rows[] = {
		{ "UPDATE audit SET line = CAST(replace(CAST(line AS TEXT), 'abroad', 'xxxxxx') AS BLOB) WHERE seq = 5",
			"edited 5-5" },
		{ "UPDATE audit SET time_s = time_s + 1 WHERE seq = 6", "edited 6-6" },
		{ "UPDATE audit SET time_ns = (time_ns + 1) % 1000000000 WHERE seq = 6", "edited 6-6" },
		{ "UPDATE audit SET kind = 2 WHERE seq = 4", "edited 4-4" },
		{ "UPDATE audit SET kind = 0 WHERE seq = 4", "" },
		{ "UPDATE audit SET ino = 1 WHERE seq = 10", "edited 10-10" },
		{ "UPDATE audit SET ino = NULL WHERE seq = 10", "edited 10-10" },
		{ "UPDATE audit SET ino = 12 WHERE seq = 9", "edited 9-9" },
		{ "UPDATE audit SET line = zeroblob(0) WHERE seq = 1", "edited 1-1" },
		{ "UPDATE audit SET mac = zeroblob(32) WHERE seq = 9", "edited 9-9, edited 10-10" },
		{ "UPDATE audit SET mac = zeroblob(31) WHERE seq = 9", "edited 9-9, edited 10-10" },
		{ "DELETE FROM audit WHERE seq = 7", "missing 7-7" },
		{ "DELETE FROM audit WHERE seq = 1", "missing 1-1" },
		{ "DELETE FROM audit WHERE seq BETWEEN 3 AND 5", "missing 3-5" },
		{ "DELETE FROM audit WHERE seq IN (2, 4)", "missing 2-2, missing 4-4" },
		{ "UPDATE audit SET seq = CASE seq WHEN 3 THEN -4 WHEN 4 THEN -3 END WHERE seq IN (3, 4)",
			"missing 3-4" },
		{ "UPDATE audit SET (line, mac) = (SELECT line, mac FROM audit_was w WHERE w.seq = 7 - audit.seq) "
		  "WHERE seq IN (3, 4)",
			"moved 3-3, moved 4-4, edited 5-5" },
		{ "DELETE FROM audit WHERE seq = 10", "truncated 10-10" },
		{ "DELETE FROM audit WHERE seq > 3", "truncated 4-10" },
		{ "DELETE FROM audit", "truncated 1-10" },
		{ "INSERT INTO audit (seq, time_s, time_ns, kind, line, mac) SELECT 11, time_s, time_ns, kind, line, "
		  "mac "
		  "FROM audit WHERE seq = 10",
			"moved 11-11, end 11-11" },
		{ "UPDATE audit SET seq = 9000000000000000000 WHERE seq = 10",
			"moved 9000000000000000000-9000000000000000000, truncated 10-10" },
		{ "DELETE FROM setting WHERE key = 'audit'", "end 1-10" },
		{ "UPDATE setting SET value = zeroblob(72) WHERE key = 'audit'", "end 1-10" },
		{ "UPDATE setting SET value = zeroblob(71) WHERE key = 'audit'", "end 0-0, end 0-0, end 1-10" },
		{ "UPDATE setting SET value = CAST(zeroblob(64) || substr(value, 65) AS BLOB) WHERE key = 'audit'",
			"end 10-10" },
	};

	struct audit_verdict v;
	struct findings f;
	struct store s = { 0 };

	(void)state;
	ten_lines(&s);
	edit(&s, "CREATE TABLE audit_was AS SELECT * FROM audit");
	edit(&s, "CREATE TABLE setting_was AS SELECT * FROM setting");
	for (size_t i = 0; i < COUNT(rows); i++) {
		verify(&s, &f, &v);
		assert_string_equal(f.text, "");
		assert_int_equal(v.lines, 10);
		assert_int_equal(v.last, 10);
		edit(&s, rows[i].sql);
		verify(&s, &f, &v);
		assert_string_equal(f.text, rows[i].found);
		edit(&s, "DELETE FROM audit");
		edit(&s, "INSERT INTO audit SELECT * FROM audit_was");
		edit(&s, "INSERT OR REPLACE INTO setting SELECT * FROM setting_was");
	}
	store_destroy(&s);
}

static int keep_rules(void *ctx, const struct audit_line *l)
{
	if (l->kind == audit_kind("rules"))
		snprintf(ctx, 512, "%.*s", (int)l->len, l->text);
	return 0;
}

/* whoever has the row of the rule set can make its digest */
static int digest_row(void *ctx, struct meta_row *row)
{
	const char *parts[] = { meta_row_text(row, 0), meta_row_text(row, 1) };
	crypto_generichash_state h;
	uint8_t digest[32];

	crypto_generichash_init(&h, NULL, 0, sizeof digest);
	crypto_generichash_update(&h, (const uint8_t *)parts[0], strlen(parts[0]) + 1);
	crypto_generichash_update(&h, (const uint8_t *)parts[1], strlen(parts[1]));
	crypto_generichash_final(&h, digest, sizeof digest);
	text_hex(digest, sizeof digest, ctx);
	return 0;
}

static void test_rules_digest(void **state)
{
	char line[512] = "", hex[65] = "", wanted[96];
	struct store s = { 0 };
	struct audit_log log;

	(void)state;
	store_make(&s, CONFIG);
	store_open(&s);
	log = (struct audit_log){ s.meta, s.keyring };
	assert_int_equal(audit_walk(&log, 0, keep_rules, line), 0);
	assert_int_equal(meta_select(s.meta, "SELECT baseline, text FROM rule_set", digest_row, hex, ""), 0);
	snprintf(wanted, sizeof wanted, "\"digest\":\"%s\"", hex);
	assert_non_null(strstr(line, wanted));
	store_destroy(&s);
}

/* more than a page of lines; the mac is the last one's */
static void test_many(void **state)
{
	struct audit_verdict v;
	struct findings f;
	struct chain c;
	struct store s = { 0 };

	(void)state;
	store_make(&s, CONFIG);
	store_open(&s);
	for (int i = 3; i < 1000; i++)
		append(&s, "deleted", "{}");
	verify(&s, &f, &v);
	assert_string_equal(f.text, "");
	assert_int_equal(v.lines, 1000);
	read_chain(&s, &c);
	assert_memory_equal(v.mac, c.mac, 32);
	edit(&s, "DELETE FROM audit WHERE seq IN (256, 257, 900)");
	verify(&s, &f, &v);
	assert_string_equal(f.text, "missing 256-257, missing 900-900");
	assert_int_equal(v.lines, 997);
	store_destroy(&s);
}

static int stop_at_third(void *ctx, const struct audit_line *l)
{
	size_t *n = ctx;

	assert_int_equal(l->seq, 5 + ++*n);
	return *n == 3 ? -ECANCELED : 0;
}

static void test_walk(void **state)
{
	struct store s = { 0 };
	struct audit_log log;
	size_t n = 0;

	(void)state;
	ten_lines(&s);
	log = (struct audit_log){ s.meta, s.keyring };
	assert_int_equal(audit_walk(&log, 5, stop_at_third, &n), -ECANCELED);
	assert_int_equal(n, 3);
	assert_int_equal(audit_kind("export"), 2);
	assert_int_equal(audit_kind("no such"), 0);
	assert_string_equal(audit_kind_name(8), "tampered");
	assert_null(audit_kind_name(0));
	store_destroy(&s);
}

/* ---- heads ---------------------------------------------------------------------------------------------------- */

/* with the keys of the documented file */
static void test_head_vector(void **state)
{
	char dir[] = "/tmp/borderfs-unit-XXXXXX", path[64];
	struct audit_head head = { .seq = 0x0102030405060708, .time_s = 1800000000 }, again;
	uint8_t bytes[AUDIT_HEAD_BYTES];
	struct buf keys = BUF_INIT;
	struct keyring *keyring;
	int fd;

	(void)state;
	for (uint8_t i = 0; i < AUDIT_MAC_BYTES; i++)
		head.mac[i] = 0x20 + i;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/keys", dir);
	vector_load("keys", &keys);
	assert_int_equal(file_replace(AT_FDCWD, path, keys.data, keys.len, 0600), 0);
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(keyring_open(&keyring, fd, &store_secret, NULL), 0);
	assert_int_equal(audit_head_sign(keyring, &head, bytes), 0);
	vector_equal("audit-head", bytes, sizeof bytes);
	assert_int_equal(audit_head_open(keyring, bytes, &again), 0);
	assert_int_equal(again.seq, head.seq);
	assert_int_equal(again.time_s, head.time_s);
	assert_memory_equal(again.mac, head.mac, AUDIT_MAC_BYTES);
	keyring_close(keyring);
	close(fd);
	unlink(path);
	rmdir(dir);
	buf_free(&keys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_edits),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_rules_digest),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_head_vector),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
