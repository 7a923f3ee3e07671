/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/cache/slotfile.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define INO	 0x1234

struct fix {
	char dir[64];
	int dirfd;
	struct fds fds;
	struct slotfile *file;
};

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof *f);

	strcpy(f->dir, "/tmp/slotfile.XXXXXX");
	if (!mkdtemp(f->dir) || (f->dirfd = open(f->dir, O_RDONLY | O_DIRECTORY)) < 0)
		return -1;
	*state = f;
	return fds_init(&f->fds, f->dirfd, 2) < 0 || slotfile_new(&f->file, &f->fds, INO, 5, 0x77) < 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;
	char command[128];

	slotfile_free(f->file);
	fds_destroy(&f->fds);
	close(f->dirfd);
	snprintf(command, sizeof command, "rm -rf %s", f->dir);
	free(f);
	return system(command);
}

static uint32_t alloc(struct slotfile *f, uint32_t want, uint32_t expected)
{
	uint32_t start;

	assert_int_equal(slotfile_alloc(f, want, &start), expected);
	return start;
}

static void put(struct slotfile *f, uint32_t start, uint32_t n, int fill)
{
	uint8_t *data = malloc((size_t)n * SLOT_BYTES);

	memset(data, fill, (size_t)n * SLOT_BYTES);
	assert_int_equal(slotfile_write(f, start, n, data), 0);
	free(data);
}

static struct stat file_stat(struct fix *f)
{
	struct stat st;

	assert_int_equal(fstatat(f->dirfd, "34/1234.5.77", &st, 0), 0);
	return st;
}

static void names(void **state)
{
	static const struct {
		const char *name;
		bool good;
	} rows[] = {
		{ "1234.5.77", true },
		{ "ffffffffffffffff.ffffffff.ffffffffffffffff", true },
		{ "1234.5", false },
		{ "1234.5.77x", false },
		{ "1234.5.077", false },
		{ "1234.5.7A", false },
		{ " 1234.5.77", false },
		{ "-1.5.77", false },
		{ "1234.100000000.77", false },
		{ "", false },
		{ "1111111111111111111111111111111111111111111111111111111111111111111.5.7", false },
	};
	uint64_t ino, number;
	uint32_t index;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (slotfile_parse(rows[i].name, &ino, &index, &number) != rows[i].good)
			fail_msg("%s", rows[i].name);
	assert_true(slotfile_parse("1234.5.77", &ino, &index, &number));
	assert_int_equal(ino, 0x1234);
	assert_int_equal(index, 5);
	assert_int_equal(number, 0x77);
}

/* Free slots inside the file first where they are in one run, or too many; the end otherwise. */
static void allocation(void **state)
{
	struct slotfile *f = ((struct fix *)*state)->file;

	assert_int_equal(alloc(f, 100, 100), 0);
	assert_int_equal(alloc(f, 10, 10), 100);
	slotfile_unref(f, 20, 5);
	assert_int_equal(alloc(f, 5, 5), 20);
	slotfile_unref(f, 20, 5);
	slotfile_unref(f, 40, 3);
	assert_int_equal(alloc(f, 6, 6), 110);
	assert_int_equal(alloc(f, 3, 3), 20);
	slotfile_unref(f, 20, 3);
	/* a third is free: the lowest run, though it is shorter */
	slotfile_unref(f, 60, 35);
	assert_int_equal(alloc(f, 36, 5), 20);
	/* free slots at the end are part of the end */
	slotfile_unref(f, 110, 6);
	assert_int_equal(slotfile_ref(f, 63, 30), 0);
	assert_int_equal(alloc(f, 20, 20), 110);
	assert_int_equal(f->end, 130);
	/* two holders: free when both let go */
	assert_int_equal(slotfile_ref(f, 0, 1), 0);
	slotfile_unref(f, 0, 1);
	assert_int_equal(alloc(f, 1, 1), 40);
	slotfile_unref(f, 0, 1);
	assert_int_equal(alloc(f, 1, 1), 0);
}

static void bounds(void **state)
{
	struct slotfile *f = ((struct fix *)*state)->file;
	uint32_t start;

	assert_int_equal(slotfile_alloc(f, MAP_SLOTS_MAX + 1, &start), -EFBIG);
	assert_int_equal(slotfile_ref(f, MAP_SLOTS_MAX, 1), -EFBIG);
	assert_int_equal(f->end, 0);
	assert_int_equal(alloc(f, 1, 1), 0);
}

static void maps(void **state)
{
	struct slotfile *f = ((struct fix *)*state)->file;
	struct map m = MAP_INIT;

	assert_int_equal(map_reserve(&m, 10), 0);
	for (uint32_t u = 0; u < 10; u++)
		map_set(&m, u, (struct map_unit){ .slot = u == 4 ? MAP_ZERO : u == 5 ? MAP_ABSENT : 20 - u, .seq = 1 });
	assert_int_equal(slotfile_ref_map(f, &m), 0);
	assert_int_equal(f->end, 21);
	assert_int_equal(f->used, 8);
	assert_int_equal(alloc(f, 11, 11), 0);
	slotfile_unref_map(f, &m);
	assert_int_equal(f->used, 11);
	/* one that does not fit lets go of what it took */
	map_set(&m, 9, (struct map_unit){ .slot = MAP_SLOTS_MAX, .seq = 1 });
	assert_int_equal(slotfile_ref_map(f, &m), -EFBIG);
	assert_int_equal(f->used, 11);
	map_free(&m);
}

static void reading(void **state)
{
	struct fix *f = *state;
	uint8_t buf[2 * SLOT_BYTES];

	assert_int_equal(slotfile_read(f->file, 0, 1, buf), -ENOENT);
	assert_int_equal(slotfile_sync(f->file), -ENOENT);
	put(f->file, 3, 1, 7);
	assert_false(slotfile_named(f->file));
	assert_int_equal(fds_sync_dir(&f->fds, INO), 0);
	slotfile_set_named(f->file);
	assert_true(slotfile_named(f->file));
	assert_int_equal(slotfile_sync(f->file), 0);
	assert_int_equal(slotfile_read(f->file, 3, 1, buf), 0);
	assert_int_equal(buf[0], 7);
	assert_int_equal(slotfile_read(f->file, 2, 1, buf), 0);
	assert_int_equal(buf[0], 0);
	assert_int_equal(slotfile_read(f->file, 3, 2, buf), -ERR_CORRUPT);
	assert_int_equal(file_stat(f).st_mode & 07777, 0600);
	assert_int_equal(fds_unlink(&f->fds, INO, 5, 0x77), 0);
	assert_int_equal(fds_unlink(&f->fds, INO, 5, 0x77), 0);
}

static void measuring(void **state)
{
	struct fix *f = *state;
	struct slotfile *again;

	assert_int_equal(slotfile_new(&again, &f->fds, INO, 5, 0x77), 0);
	assert_int_equal(slotfile_measure(again), 0);
	assert_int_equal(again->end, 0);
	put(f->file, 0, 9, 1);
	assert_int_equal(slotfile_measure(again), 0);
	assert_int_equal(again->end, 9);
	assert_int_equal(slotfile_disk_slots(again), 9);
	assert_int_equal(alloc(again, 4, 4), 0);
	slotfile_free(again);
}

/* Room on the disk goes back: the end is cut, longer runs become holes, and are allocated again later. */
static void trimming(void **state)
{
	struct fix *f = *state;
	blkcnt_t blocks;

	slotfile_set_counted(f->file, true);
	alloc(f->file, 1000, 1000);
	put(f->file, 0, 1000, 3);
	assert_int_equal(slotfile_sync(f->file), 0);
	slotfile_unref(f->file, 900, 100);
	slotfile_trim(f->file);
	/* a tenth is not worth it */
	assert_int_equal(slotfile_disk_slots(f->file), 1000);
	/* nor may it be, while the maps that name slots are out of memory */
	slotfile_set_counted(f->file, false);
	slotfile_unref(f->file, 100, 800);
	slotfile_trim(f->file);
	assert_int_equal(slotfile_disk_slots(f->file), 1000);
	assert_int_equal(slotfile_ref(f->file, 100, 800), 0);
	slotfile_set_counted(f->file, true);
	blocks = file_stat(f).st_blocks;
	slotfile_unref(f->file, 100, 300);
	slotfile_trim(f->file);
	assert_int_equal(slotfile_disk_slots(f->file), 600);
	assert_int_equal(file_stat(f).st_size, 1000 * SLOT_BYTES);
	assert_true(file_stat(f).st_blocks < blocks - 350 * 8);
	slotfile_unref(f->file, 450, 450);
	slotfile_trim(f->file);
	assert_int_equal(f->file->end, 450);
	assert_int_equal(file_stat(f).st_size, 450 * SLOT_BYTES);
	assert_int_equal(slotfile_disk_slots(f->file), 150);
	assert_int_equal(alloc(f->file, 10, 10), 100);
	assert_int_equal(slotfile_disk_slots(f->file), 160);
	slotfile_unref(f->file, 0, 110);
	slotfile_unref(f->file, 400, 50);
	slotfile_trim(f->file);
	assert_int_equal(slotfile_disk_slots(f->file), 0);
	assert_int_equal(file_stat(f).st_size, 0);
}

/* What is to be read ahead: libc's posix_fadvise is taken over. */
static struct {
	off64_t off[8], len[8];
	unsigned count;
} advised;

int posix_fadvise64(int fd, off64_t off, off64_t len, int advice)
{
	(void)fd;
	assert_int_equal(advice, POSIX_FADV_WILLNEED);
	assert_true(advised.count < COUNT(advised.off));
	advised.off[advised.count] = off / SLOT_BYTES;
	advised.len[advised.count++] = len / SLOT_BYTES;
	return 0;
}

static void ahead(void **state)
{
	struct slotfile *f = ((struct fix *)*state)->file;
	uint32_t start;

	/* without a file there is nothing to read, nor where all goes to the end */
	assert_int_equal(alloc(f, 16, 16), 0);
	slotfile_ahead(f, 3);
	put(f, 0, 16, 1);
	slotfile_unref(f, 2, 1);
	slotfile_unref(f, 5, 2);
	slotfile_ahead(f, 4);
	assert_int_equal(advised.count, 0);
	/* the gaps that the slots go to, lowest first, as long as they are needed */
	slotfile_unref(f, 9, 4);
	slotfile_ahead(f, 5);
	assert_int_equal(advised.count, 3);
	assert_int_equal(advised.off[0], 2);
	assert_int_equal(advised.len[0], 1);
	assert_int_equal(advised.off[1], 5);
	assert_int_equal(advised.len[1], 2);
	assert_int_equal(advised.off[2], 9);
	assert_int_equal(advised.len[2], 2);
	/* only a hint: nothing is taken */
	assert_int_equal(slotfile_alloc(f, 5, &start), 1);
	assert_int_equal(start, 2);
}

static void descriptors(void **state)
{
	struct fix *f = *state;
	struct slotfile *many[10];
	uint8_t buf[SLOT_BYTES];

	for (uint32_t i = 0; i < COUNT(many); i++) {
		assert_int_equal(slotfile_new(&many[i], &f->fds, INO + i, i, 1), 0);
		put(many[i], 0, 1, (int)i);
		assert_in_range(f->fds.open, 1, 2);
	}
	for (uint32_t i = 0; i < COUNT(many); i++) {
		assert_int_equal(slotfile_read(many[i], 0, 1, buf), 0);
		assert_int_equal(buf[9], i);
		assert_int_equal(slotfile_sync(many[i]), 0);
		assert_in_range(f->fds.open, 1, 2);
	}
	for (uint32_t i = 0; i < COUNT(many); i++)
		slotfile_free(many[i]);
	assert_int_equal(f->fds.open, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test_setup_teardown(allocation, setup, teardown),
		cmocka_unit_test_setup_teardown(bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(maps, setup, teardown),
		cmocka_unit_test_setup_teardown(reading, setup, teardown),
		cmocka_unit_test_setup_teardown(measuring, setup, teardown),
		cmocka_unit_test_setup_teardown(trimming, setup, teardown),
		cmocka_unit_test_setup_teardown(ahead, setup, teardown),
		cmocka_unit_test_setup_teardown(descriptors, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
