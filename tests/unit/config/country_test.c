/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/country.h"

#include "tests/servers/mmdb.h"
#include "tests/unit/config/scratch.h"

#include <errno.h>
#include <sys/stat.h>

#define FILE_NAME "countries.mmdb"

static void make(const char *const (*blocks)[2], bool text_only)
{
	static struct mmdb m;

	mmdb_init(&m);
	m.text_only = text_only;
	for (; *blocks && (*blocks)[0]; blocks++)
		assert_true(mmdb_add(&m, (*blocks)[0], (*blocks)[1]));
	assert_true(mmdb_write(&m, FILE_NAME));
}

/* of an address as it is asked for: IPv4 mapped */
static int lookup(struct country_db *db, const char *address, char out[COUNTRY_CODE_BYTES], struct errmsg *msg)
{
	struct cidr c;

	assert_int_equal(cidr_parse(address, &c), 0);
	return country_of(db, &c.addr, out, msg);
}

static void assert_country(struct country_db *db, const char *address, const char *code)
{
	char got[COUNTRY_CODE_BYTES] = "";
	struct errmsg msg = { 0 };
	int rc = lookup(db, address, got, &msg);

	if (rc || strcmp(got, code))
		fail_msg("%s: %s, %s", address, got, errmsg_text(&msg, rc));
}

static void assert_refused(struct country_db *db, const char *address, int expected, const char *says)
{
	char got[COUNTRY_CODE_BYTES];
	struct errmsg msg = { 0 };
	int rc = lookup(db, address, got, &msg);

	if (rc != expected || !msg.text || !strstr(msg.text, says) || strncmp(msg.text, FILE_NAME, 14))
		fail_msg("%s: %s, %s", address, err_name(rc), errmsg_text(&msg, rc));
	errmsg_free(&msg);
}

static const char *const usual[][2] = { { "10.0.0.0/8", "CN" }, { "10.1.0.0/16", "us" }, { "10.1.2.3/32", "SG" },
	{ "2001:db8::/32", "CN" }, { "2001:db8:1::/48", "US" }, { "192.0.2.0/24", "Europe" }, { NULL, NULL } };

static void test_tells_the_country(void **state)
{
	struct country_db *db = country_db_new(FILE_NAME);

	(void)state;
	make(usual, false);
	assert_country(db, "10.0.0.1", "CN");
	assert_country(db, "::ffff:10.255.255.255", "CN");
	assert_country(db, "10.1.0.0", "US"); /* in capitals */
	assert_country(db, "10.1.2.3", "SG");
	assert_country(db, "2001:db8::1", "CN");
	assert_country(db, "2001:db8:1::", "US");
	assert_refused(db, "11.0.0.0", -ENOENT, "does not know");
	assert_refused(db, "2001:db9::", -ENOENT, "does not know");
	assert_refused(db, "192.0.2.1", -ENOENT, "does not know"); /* what is no code tells nothing */
	country_db_free(db);
}

/* The leaves are there, but hold something else. */
static void test_other_databases(void **state)
{
	struct country_db *db = country_db_new(FILE_NAME);

	(void)state;
	make(usual, true);
	assert_refused(db, "10.0.0.1", -ENOENT, "does not know");
	country_db_free(db);
}

static void test_what_cannot_be_read(void **state)
{
	struct country_db *db = country_db_new(FILE_NAME);

	(void)state;
	unlink(FILE_NAME);
	assert_refused(db, "10.0.0.1", -ENOENT, "cannot be read: No such file");
	scratch_write(FILE_NAME, "");
	assert_refused(db, "10.0.0.1", -ERR_FORMAT, "damaged");
	scratch_write(FILE_NAME, "no database, but long enough to hold the metadata of one");
	assert_refused(db, "10.0.0.1", -ERR_FORMAT, "download it again");
	unlink(FILE_NAME);
	assert_int_equal(mkdir(FILE_NAME, 0700), 0);
	assert_refused(db, "10.0.0.1", -EISDIR, "cannot be read: Is a directory");
	rmdir(FILE_NAME);
	make(usual, false);
	assert_country(db, "10.0.0.1", "CN"); /* there now, without being told */
	country_db_free(db);
}

static void test_too_large(void **state)
{
	struct country_db *db = country_db_new(FILE_NAME);

	(void)state;
	scratch_write(FILE_NAME, "");
	assert_int_equal(truncate(FILE_NAME, (off_t)COUNTRY_DB_BYTES_MAX + 1), 0);
	assert_refused(db, "10.0.0.1", -EFBIG, "cannot be read: File too large");
	unlink(FILE_NAME);
	country_db_free(db);
}

/* Nothing of the file of before answers once it is another one. */
static void test_follows_the_file(void **state)
{
	static const char *const moved[][2] = { { "10.0.0.0/8", "US" }, { NULL, NULL } };
	struct country_db *db = country_db_new(FILE_NAME);

	(void)state;
	make(usual, false);
	assert_country(db, "10.0.0.1", "CN");
	make(moved, false);
	assert_country(db, "10.0.0.1", "US");
	assert_refused(db, "2001:db8::1", -ENOENT, "does not know");
	assert_int_equal(truncate(FILE_NAME, 100), 0);
	assert_refused(db, "10.0.0.1", -ERR_FORMAT, "damaged");
	unlink(FILE_NAME);
	assert_refused(db, "10.0.0.1", -ENOENT, "cannot be read");
	make(usual, false);
	assert_country(db, "10.0.0.1", "CN");
	country_db_free(db);
}

/* Wherever a byte is wrong, the answer is an error or a code of two letters. */
static void test_survives_damage(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	make(usual, false);
	assert_int_equal(file_read_all(AT_FDCWD, FILE_NAME, 1 << 20, &b), 0);
	for (size_t at = 0; at < b.len; at += at < b.len - 400 ? 41 : 1) {
		struct country_db *db = country_db_new(FILE_NAME);
		char got[COUNTRY_CODE_BYTES] = "";
		uint8_t was = b.data[at];
		int fd = open(FILE_NAME, O_WRONLY | O_TRUNC | O_CLOEXEC);

		b.data[at] ^= 0xff;
		assert_int_equal(file_write_full(fd, b.data, b.len), 0);
		close(fd);
		b.data[at] = was;
		if (lookup(db, "10.1.2.3", got, NULL) == 0)
			assert_int_equal(strlen(got), 2);
		country_db_free(db);
	}
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tells_the_country),
		cmocka_unit_test(test_other_databases),
		cmocka_unit_test(test_what_cannot_be_read),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_follows_the_file),
		cmocka_unit_test(test_survives_damage),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
