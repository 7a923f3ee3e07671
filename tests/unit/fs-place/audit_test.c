/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/fs-place/fixture.h"

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
	assert_int_equal(c.lines, 1); /* the rule set */
	assert_non_null(strstr(c.last, "\"kind\":\"rules\""));
	for (int i = 0; i < 100; i++)
		append(&s, "placement", "{\"n\":1}");
	store_close(&s);
	store_open(&s);
	append(&s, "export", "{\"n\":2}");
	read_chain(&s, &c);
	assert_int_equal(c.lines, 102);
	assert_int_equal(c.bad, 0);
	assert_non_null(strstr(c.last, "{\"seq\":102,\"time\":"));
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

/* whoever changes, drops or reorders lines breaks the chain */
static void test_edits(void **state)
{
	static const char *const edits[] = {
		"UPDATE audit SET line = CAST(replace(CAST(line AS TEXT), 'abroad', 'xxxxxx') AS BLOB) WHERE seq = 5",
		"DELETE FROM audit WHERE seq = 7",
		"UPDATE audit SET seq = CASE seq WHEN 3 THEN -4 WHEN 4 THEN -3 END WHERE seq IN (3, 4)",
		"UPDATE audit SET mac = zeroblob(32) WHERE seq = 9",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(edits); i++) {
		struct edit *e = calloc(1, sizeof *e);
		struct store s = { 0 };
		struct chain c;

		store_make(&s, CONFIG);
		store_open(&s);
		for (int k = 0; k < 10; k++)
			append(&s, "transfer", "{\"to\":\"abroad\"}");
		e->record = (struct meta_record){ .apply = edit_apply, .free = edit_free };
		e->sql = edits[i];
		meta_lock(s.meta);
		meta_queue(s.meta, &e->record);
		meta_unlock(s.meta);
		read_chain(&s, &c);
		assert_true(c.bad > 0);
		store_destroy(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_edits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
