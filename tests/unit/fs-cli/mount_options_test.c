/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cli/mount_options.h"

#include "tests/unit/base/unit.h"

#include <string.h>
#include <sys/mount.h>

static void test_parse(void **state)
{
	static const struct {
		const char *text, *extra, *log, *passphrase_file;
		bool allow_other, read_only, foreground, debug;
	} rows[] = {
		{ NULL, "", "-", "-", false, false, false, false },
		{ "", "", "-", "-", false, false, false, false },
		{ ",,", "", "-", "-", false, false, false, false },
		{ "rw,noauto,user,nofail,_netdev,x-systemd.automount,comment=a", "", "-", "-", false, false, false,
			false },
		{ "allow_other,ro,noexec", "noexec", "-", "-", true, true, false, false },
		{ "noexec,max_read=4096,nosuid", "noexec,max_read=4096,nosuid", "-", "-", false, false, false, false },
		{ "log=/var/log/b.log,debug,foreground", "", "/var/log/b.log", "-", false, false, true, true },
		{ "log=/a,log=/b", "", "/b", "-", false, false, false, false },
		{ "passphrase-file=/run/p\\,q,noatime", "noatime", "-", "/run/p,q", false, false, false, false },
		{ "roo,logs=1,user=root,xattr", "roo,logs=1,xattr", "-", "-", false, false, false, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct mount_options m = { 0 };

		assert_int_equal(mount_options_parse(&m, rows[i].text), 0);
		assert_string_equal(m.extra, rows[i].extra);
		assert_string_equal(m.log ? m.log : "-", rows[i].log);
		assert_string_equal(m.passphrase_file ? m.passphrase_file : "-", rows[i].passphrase_file);
		assert_int_equal(m.allow_other, rows[i].allow_other);
		assert_int_equal(m.read_only, rows[i].read_only);
		assert_int_equal(m.foreground, rows[i].foreground);
		assert_int_equal(m.debug, rows[i].debug);
		mount_options_free(&m);
		assert_null(m.extra);
	}
}

static void test_permissions(void **state)
{
	static const struct {
		const char *text, *extra;
		bool checked;
	} rows[] = {
		{ NULL, "", false },
		{ "allow_other,noexec", "noexec", false },
		{ "default_permissions,noexec", "noexec", true },
		{ "noexec,allow_root", "noexec,allow_root", true },
		{ "allow_roots", "allow_roots", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct mount_options m = { 0 };

		assert_int_equal(mount_options_parse(&m, rows[i].text), 0);
		assert_string_equal(m.extra, rows[i].extra);
		assert_int_equal(m.check_permissions, rows[i].checked);
		mount_options_free(&m);
	}
}

static void test_atime(void **state)
{
	static const struct {
		const char *text, *extra;
		enum core_atime atime;
		bool nodiratime;
	} rows[] = {
		{ "noexec", "noexec", CORE_ATIME_RELATIVE, false },
		{ "relatime,acl,user_xattr", "", CORE_ATIME_RELATIVE, false },
		{ "noatime,noexec", "noexec,noatime", CORE_ATIME_NONE, false },
		{ "noatime,atime", "", CORE_ATIME_RELATIVE, false },
		{ "noatime,strictatime", "", CORE_ATIME_STRICT, false },
		{ "strictatime,noatime,nodiratime", "noatime", CORE_ATIME_NONE, true },
		{ "nodiratime,diratime", "", CORE_ATIME_RELATIVE, false },
		{ "norelatime", "norelatime", CORE_ATIME_RELATIVE, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct mount_options m = { 0 };

		assert_int_equal(mount_options_parse(&m, rows[i].text), 0);
		assert_string_equal(m.extra, rows[i].extra);
		assert_int_equal(m.atime, rows[i].atime);
		assert_int_equal(m.nodiratime, rows[i].nodiratime);
		mount_options_free(&m);
	}
}

static void test_remount(void **state)
{
	static const struct {
		const char *text;
		bool remount;
		unsigned long flags;
	} rows[] = {
		{ "", false, 0 },
		{ "ro,noexec", false, MS_RDONLY | MS_NOEXEC },
		{ "remount", true, MS_REMOUNT },
		{ "rw,remount,ro,nodev", true, MS_REMOUNT | MS_RDONLY | MS_NODEV },
		{ "remount,ro,nosuid,suid,rw", true, MS_REMOUNT },
		{ "remount,noatime,allow_other,log=/ro\\,sync", true, MS_REMOUNT },
	};
	unsigned long flags;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(mount_options_remount(rows[i].text, &flags), rows[i].remount);
		assert_int_equal(flags, rows[i].flags);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_permissions),
		cmocka_unit_test(test_atime),
		cmocka_unit_test(test_remount),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
