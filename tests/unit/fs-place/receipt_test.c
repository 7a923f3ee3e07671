/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Receipts: both forms check, and nothing of one can be changed. */
#include "fs/place/receipt.h"

#include "tests/unit/base/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const facts[] = { "filesystem", "order", "source", "source-is", "source-zone", "target",
	"target-zone", "asked", "asked-by", "deadline", "finished", "files", "objects", "bytes", "moved-objects",
	"moved-bytes", "deleted-objects", "erased-leftovers", "listed", "left", "not-of-this-store", "audit-line" };

struct pen {
	char dir[32];
	struct keyring *keyring;
	struct buf text;
	uint8_t key[RECEIPT_KEY_BYTES];
};

static void begin(struct pen *p)
{
	static const char secret[] = "secret";
	const struct unlock unlock = { .kind = UNLOCK_PASSPHRASE, .data = secret, .len = sizeof secret - 1 };
	char key[RECEIPT_KEY_TEXT], *words;
	int fd;

	*p = (struct pen){ .text = BUF_INIT };
	strcpy(p->dir, "/tmp/receipt-test-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	fd = open(p->dir, O_DIRECTORY | O_RDONLY);
	assert_int_equal(keyring_create(&p->keyring, fd, &unlock, 1, KDF_MINIMUM, &words, NULL), 0);
	secret_free_text(words);
	close(fd);
	receipt_begin(&p->text, p->keyring);
	for (size_t i = 0; i < COUNT(facts); i++)
		receipt_line(&p->text, facts[i], "%s%zu", i == 2 ? "a\nb" : "v", i);
	assert_int_equal(receipt_sign(&p->text, p->keyring), 0);
	assert_int_equal(receipt_key(p->keyring, key), 0);
	assert_int_equal(receipt_key_read(key, p->key), 0);
}

static void end(struct pen *p)
{
	char path[64];

	snprintf(path, sizeof path, "%s/keys", p->dir);
	unlink(path);
	rmdir(p->dir);
	keyring_close(p->keyring);
	buf_free(&p->text);
}

static int check(const struct pen *p, const void *text, size_t len)
{
	return receipt_check(text, len, p->key, NULL);
}

static void test_holds(void **state)
{
	json_t *object;
	struct buf text = BUF_INIT;
	struct pen p;
	char *json;

	(void)state;
	begin(&p);
	assert_int_equal(check(&p, p.text.data, p.text.len), 0);
	object = receipt_json((const char *)p.text.data, p.text.len);
	assert_string_equal(json_string_value(json_object_get(object, "source")), "a?b2");
	/* in whatever order a program put the members */
	json = json_dumps(object, JSON_SORT_KEYS | JSON_INDENT(2));
	assert_int_equal(receipt_text(json, strlen(json), &text), 0);
	assert_int_equal(text.len, p.text.len);
	assert_memory_equal(text.data, p.text.data, text.len);
	free(json);
	json_decref(object);
	buf_free(&text);
	end(&p);
}

/* Each byte in turn, and each one left out. */
static void test_edited(void **state)
{
	struct pen p;
	char *copy;

	(void)state;
	begin(&p);
	copy = malloc(p.text.len);
	for (size_t i = 0; i < p.text.len; i++) {
		memcpy(copy, p.text.data, p.text.len);
		copy[i] ^= 1;
		assert_true(check(&p, copy, p.text.len) < 0);
		memmove(copy + i, copy + i + 1, p.text.len - i - 1);
		assert_true(check(&p, copy, p.text.len - 1) < 0);
	}
	memcpy(copy, p.text.data, p.text.len);
	*strstr(copy, "files: v11") = 'F';
	assert_int_equal(check(&p, copy, p.text.len), -ERR_FORMAT);
	*strstr(copy, "Files: v11") = 'f';
	*strstr(copy, "v11") = 'w';
	assert_int_equal(check(&p, copy, p.text.len), -ERR_TAMPERED);
	free(copy);
	end(&p);
}

static void test_other_key(void **state)
{
	struct pen p, other;

	(void)state;
	begin(&p);
	begin(&other);
	assert_int_equal(check(&other, p.text.data, p.text.len), -ERR_KEY);
	end(&other);
	end(&p);
}

static void test_no_receipt(void **state)
{
	static const struct {
		const char *text;
		int rc;
	} rows[] = {
		{ "", -ERR_FORMAT },
		{ "borderfs receipt 1\n", 0 },
		{ "borderfs receipt 2\n", -ERR_NEWER },
		{ "borderfs receipt 12\n", -ERR_NEWER },
		{ "hello", -ERR_FORMAT },
		{ "{}", -ERR_FORMAT },
		{ "[]", -ERR_FORMAT },
		{ "{\"borderfs-receipt\":\"1\"}", -ERR_FORMAT },
		{ "{\"borderfs-receipt\":1}", -ERR_FORMAT },
	};
	struct pen p;

	(void)state;
	begin(&p);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf text = BUF_INIT;
		int rc = receipt_text(rows[i].text, strlen(rows[i].text), &text);

		if (rc != rows[i].rc)
			fail_msg("row %zu: %s", i, err_name(rc));
		assert_true(check(&p, rows[i].text, strlen(rows[i].text)) < 0);
		buf_free(&text);
	}
	assert_int_equal(receipt_key_read("short", p.key), -EINVAL);
	end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_holds),
		cmocka_unit_test(test_edited),
		cmocka_unit_test(test_other_key),
		cmocka_unit_test(test_no_receipt),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
