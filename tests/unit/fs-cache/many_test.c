/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A sync of many files waits for these files, and not for whatever else is dirty on the disk. */
#include "tests/unit/fs-cache/fixture.h"

#define BLOCK (256u << 10)
#define FILES 100

static int disks;

/* In the place of libc's. */
int syncfs(int fd)
{
	(void)fd;
	disks++;
	return 0;
}

static void none_but_these(void **state)
{
	static uint8_t bytes[5 * UNIT];
	struct inode *ip[FILES];
	struct fix f, copy;
	uint64_t ino[FILES];

	(void)state;
	memset(bytes, 7, sizeof bytes);
	fix_start(&f, BLOCK, 64u << 20);
	for (int i = 0; i < FILES; i++) {
		ip[i] = fix_file(&f);
		ino[i] = ip[i]->ino;
		assert_int_equal(fix_write(&f, ip[i], 0, bytes, sizeof bytes), 0);
	}
	assert_int_equal(cache_sync_all(f.c), 0);
	assert_int_equal(meta_sync(f.m), 0);
	assert_int_equal(disks, 0);
	fix_crash_meta(&f, &copy);
	fix_crash_files(&f, &copy);
	fix_open(&copy);
	for (int i = 0; i < FILES; i++) {
		struct inode *left = fix_inode(&copy, ino[i]);

		fix_check(&copy, left, bytes, sizeof bytes);
		meta_inode_put(copy.m, left);
		meta_inode_put(f.m, ip[i]);
	}
	fix_crash_end(&copy);
	fix_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(none_but_these) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
