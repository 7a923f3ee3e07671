/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/core/acl.h"

#include "tests/unit/fs-core/fixture.h"

#include <endian.h>
#include <errno.h>

#define LIST_MAX 80

/* From text, "u7 U5 g5 m7 o0": letters for owner, a user, the group, a group, the mask and others, in the order that
 * the kernel has them; the length. */
static size_t list_of(uint8_t *out, const char *text)
{
	static const char letters[] = "uUgGmo";
	uint32_t version = htole32(2), id = htole32(UINT32_MAX);
	size_t len = 4;

	memcpy(out, &version, 4);
	for (; *text; text += text[2] ? 3 : 2) {
		uint16_t tag = htole16((uint16_t)(1u << (strchr(letters, *text) - letters)));
		uint16_t perm = htole16((uint16_t)(text[1] - '0'));

		memcpy(out + len, &tag, 2);
		memcpy(out + len + 2, &perm, 2);
		memcpy(out + len + 4, &id, 4);
		len += 8;
	}
	return len;
}

static void test_check(void **state)
{
	uint8_t list[LIST_MAX];
	size_t len = list_of(list, "u7 g5 o0");

	(void)state;
	assert_int_equal(acl_check(list, len), 0);
	for (size_t shorter = 0; shorter < len; shorter++)
		assert_int_equal(acl_check(list, shorter), -EINVAL);
	list[0] = 3;
	assert_int_equal(acl_check(list, len), -EINVAL);
	len = list_of(list, "u7 U6 g5 m7 o0");
	assert_int_equal(acl_check(list, len), 0);
	len = list_of(list, "u7 U6 m5 o0");
	assert_int_equal(acl_check(list, len), -EINVAL);
}

static void test_mode(void **state)
{
	static const struct {
		const char *list;
		mode_t mode;
		bool plain;
	} rows[] = { { "u7 g5 o1", 0751, true }, { "u6 U7 g4 m5 o0", 0650, false }, { "u6 g4 G7 m2 o0", 0620, false },
		{ "u6 g4 m4 o4", 0644, false } };
	uint8_t list[LIST_MAX];
	bool plain;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = list_of(list, rows[i].list);

		assert_int_equal(acl_mode(list, len, &plain), rows[i].mode);
		assert_int_equal(plain, rows[i].plain);
	}
}

static void test_changes(void **state)
{
	static const struct {
		const char *before;
		mode_t mode; /* for a new file, or by chmod */
		bool inherit;
		const char *after;
		mode_t becomes;
	} rows[] = {
		{ "u6 U7 g4 m5 o1", 0473, false, "u4 U7 g4 m7 o3", 0 },
		{ "u6 g4 o1", 0473, false, "u4 g7 o3", 0 },
		{ "u7 U7 g5 m7 o1", 0666, true, "u6 U7 g5 m6 o0", 0660 },
		{ "u7 g5 o0", 0666, true, "u6 g4 o0", 0640 },
		{ "u7 g5 o0", 04777, true, "u7 g5 o0", 04750 },
	};
	uint8_t list[LIST_MAX], wanted[LIST_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = list_of(list, rows[i].before);
		mode_t mode = rows[i].mode;

		list_of(wanted, rows[i].after);
		if (!rows[i].inherit)
			acl_chmod(list, len, mode);
		else
			assert_int_equal(acl_inherit(list, len, &mode), strchr(rows[i].before, 'm') != NULL);
		assert_memory_equal(list, wanted, len);
		if (rows[i].inherit)
			assert_int_equal(mode, rows[i].becomes);
	}
}

/* Lists and modes are kept over the store's end, and handed down. */
static void test_kept(void **state)
{
	struct fixture *f = *state;
	uint64_t dir = fixture_mkdir(f, META_ROOT_INO, "d"), ino = fixture_write(f, META_ROOT_INO, "f", "x");
	uint8_t list[LIST_MAX], wanted[LIST_MAX];
	size_t len = list_of(list, "u7 U7 g5 m7 o1");
	struct stat in = { .st_mode = 02700 }, st;
	struct buf got = BUF_INIT;

	assert_int_equal(core_setxattr(f->core, ino, ACL_DEFAULT, list, len, 0), -EACCES);
	assert_int_equal(core_setxattr(f->core, ino, ACL_ACCESS, list, len, 0), 0);
	assert_int_equal(core_setattr(f->core, ino, SET_MODE, &in, &st), 0);
	assert_int_equal(core_setxattr(f->core, dir, ACL_DEFAULT, list, len, 0), 0);
	fixture_close(f);
	fixture_open(f);
	list_of(wanted, "u7 U7 g5 m0 o0");
	assert_int_equal(core_getxattr(f->core, ino, ACL_ACCESS, &got), 0);
	assert_int_equal(got.len, len);
	assert_memory_equal(got.data, wanted, len);
	assert_int_equal(core_setxattr(f->core, ino, ACL_ACCESS, list, len, CORE_XATTR_KILL_SGID), 0);
	assert_int_equal(core_getattr(f->core, ino, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0771);
	ino = fixture_write(f, dir, "made", "x");
	assert_int_equal(core_getattr(f->core, ino, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	buf_free(&got);
}

static int setup(void **state)
{
	static struct fixture f;

	fixture_make(&f, "", "");
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	fixture_destroy(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_mode),
		cmocka_unit_test(test_changes),
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
	};

	if (crypt_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
