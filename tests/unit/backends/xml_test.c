/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/backends/support.h"

#include "backends/xml.h"

static int note(void *ctx, const char *parent, const char *name, const char *value)
{
	buf_printf(ctx, "%s/%s=%s;", parent, name, value);
	return strcmp(value, "refuse") ? 0 : -ERR_STALE;
}

static int join(const char *space, const char *text, struct buf *out)
{
	const struct xml_format format = { .root = "r", .space = space, .leaf = note, .ctx = out };

	buf_str(out, "");
	return xml_read(&format, text, strlen(text));
}

static void reads_by_namespace(void **state)
{
	static const struct {
		const char *space, *text, *leaves;
		int rc;
	} rows[] = {
		{ NULL, "<r><a>1</a><b><c>&lt;2</c> x</b></r>", "r/a=1;b/c=<2;r/b= x;", 0 },
		{ NULL, "<r xmlns='u'><a xmlns='v'>1</a></r>", "r/a=1;", 0 },
		{ "DAV:", "<D:r xmlns:D='DAV:'><D:a>1</D:a></D:r>", "r/a=1;", 0 },
		{ "DAV:", "<r xmlns='DAV:'><a>1</a></r>", "r/a=1;", 0 },
		{ "DAV:", "<r xmlns='DAV:' xmlns:o='other'><o:a>1</o:a><b><o:c/></b></r>", "r/=1;b/=;r/b=;", 0 },
		{ "DAV:", "<r xmlns='DAV:x'/>", "", -ERR_PROTOCOL },
		{ "DAV:", "<r><a>1</a></r>", "", -ERR_PROTOCOL },
		{ "DAV:", "<p:r xmlns:p='DA'/>", "", -ERR_PROTOCOL },
		{ NULL, "<other/>", "", -ERR_PROTOCOL },
		{ NULL, "<q:r/>", "", -ERR_PROTOCOL }, /* a prefix of nothing */
		{ NULL, "<r><a>refuse</a><a>2</a></r>", "r/a=refuse;", -ERR_STALE },
		{ NULL, "<r><a>1</a>", "r/a=1;", -ERR_PROTOCOL },
		{ NULL, "<!DOCTYPE r [<!ENTITY e '1'>]><r><a>&e;</a></r>", "", -ERR_PROTOCOL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf leaves = BUF_INIT;
		int rc = join(rows[i].space, rows[i].text, &leaves);

		if (rc != rows[i].rc || strcmp((char *)leaves.data, rows[i].leaves))
			fail_msg("row %zu: %s, %s", i, err_name(rc), (char *)leaves.data);
		buf_free(&leaves);
	}
}

static void put_run(struct buf *out, char c, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		buf_put(out, &c, 1);
}

/* depth, names and values, each at its bound and one past it */
static void bounds_what_a_stranger_sends(void **state)
{
	static const struct {
		unsigned depth, name, value;
		int rc;
	} rows[] = {
		{ 7, 1, 1, 0 },
		{ 8, 1, 1, -ERR_PROTOCOL },
		{ 1, 63, 1, 0 },
		{ 1, 64, 1, -ERR_PROTOCOL },
		{ 1, 1, 8192, 0 },
		{ 1, 1, 8193, -ERR_PROTOCOL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf text = BUF_INIT, leaves = BUF_INIT;

		buf_str(&text, "<r>");
		for (unsigned d = 0; d < rows[i].depth; d++) {
			buf_str(&text, "<");
			put_run(&text, 'n', rows[i].name);
			buf_str(&text, ">");
		}
		put_run(&text, 'v', rows[i].value);
		for (unsigned d = 0; d < rows[i].depth; d++) {
			buf_str(&text, "</");
			put_run(&text, 'n', rows[i].name);
			buf_str(&text, ">");
		}
		buf_str(&text, "</r>");
		if (join(NULL, (char *)text.data, &leaves) != rows[i].rc)
			fail_msg("row %zu", i);
		buf_free(&text);
		buf_free(&leaves);
	}
}

static void reads_in_pieces(void **state)
{
	static const char text[] = "<r xmlns='DAV:'><a>1&amp;2</a><b/></r>";
	struct buf leaves = BUF_INIT;
	const struct xml_format format = { .root = "r", .space = "DAV:", .leaf = note, .ctx = &leaves };
	struct xml *x;

	(void)state;
	assert_int_equal(xml_new(&x, &format), 0);
	for (size_t i = 0; i < sizeof text - 1; i++)
		assert_int_equal(xml_feed(x, text + i, 1), 0);
	assert_int_equal(xml_end(x), 0);
	assert_string_equal((char *)leaves.data, "r/a=1&2;r/b=;");
	xml_free(x);
	assert_int_equal(xml_new(&x, &format), 0);
	assert_int_equal(xml_feed(x, "<r>", 3), -ERR_PROTOCOL);
	assert_int_equal(xml_feed(x, "</r>", 4), -ERR_PROTOCOL); /* and stays so */
	assert_int_equal(xml_end(x), -ERR_PROTOCOL);
	xml_free(x);
	xml_free(NULL);
	buf_free(&leaves);
}

static void keeps_values(void **state)
{
	char text[4], *kept = NULL;
	uint64_t n;

	(void)state;
	assert_int_equal(xml_keep(&kept, "one"), 0);
	assert_int_equal(xml_keep(&kept, "two"), 0);
	assert_string_equal(kept, "two");
	free(kept);
	xml_keep_printable(text, sizeof text, "a\x1b\xc3long");
	assert_string_equal(text, "a??");
	assert_int_equal(xml_size("9223372036854775807", &n), 0);
	assert_int_equal(n, INT64_MAX);
	assert_int_equal(xml_size("9223372036854775808", &n), -ERR_PROTOCOL);
	assert_int_equal(xml_size("18446744073709551616", &n), -ERR_PROTOCOL);
	assert_int_equal(xml_size("", &n), -ERR_PROTOCOL);
	assert_int_equal(xml_size(" 1", &n), -ERR_PROTOCOL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_by_namespace),
		cmocka_unit_test(bounds_what_a_stranger_sends),
		cmocka_unit_test(reads_in_pieces),
		cmocka_unit_test(keeps_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
