/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Quotas and what is counted for them, by the operations that programs call. */
#include "fixture.h"

#include <errno.h>
#include <sys/stat.h>

#define ROOT  META_ROOT_INO
#define UNIT  4096u
#define KIB   1024u
#define FILES 24

static const struct core_caller other = { .uid = 1001, .gid = 1001, .umask = 022 };

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_make(f, "settle = 200ms\ncache = 64M\nblock-size = 64K", "");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_destroy(*state);
	free(*state);
	return 0;
}

/* New bounds by a reload, as an administrator sets them. */
static void reload(struct fixture *f, const char *filesystem, const char *sections)
{
	struct errmsg msg = { 0 };
	struct config *config;
	char extra[256];

	snprintf(extra, sizeof(extra), "settle = 200ms\ncache = 64M\nblock-size = 64K\n%s", filesystem);
	fixture_config(f, extra, sections);
	config = fixture_load(f);
	assert_int_equal(core_reload(f->core, config, &msg), 0);
	config_put(config);
}

static int create_as(struct fixture *f, const struct core_caller *caller, const char *name, uint64_t *ino)
{
	struct core_file *file;
	struct stat st;
	int rc = core_file_create(f->core, caller, ROOT, name, 0644, O_WRONLY, &file, &st);

	if (rc < 0)
		return rc;
	core_file_release(f->core, file);
	if (ino)
		*ino = st.st_ino;
	return 0;
}

static ssize_t put(struct fixture *f, uint64_t ino, uint64_t off, size_t len)
{
	static const char bytes[1 << 20] = "x";

	return fixture_pwrite(f, ino, bytes, len, off);
}

static ssize_t change(struct fixture *f, enum core_io_kind kind, uint64_t ino, uint64_t off, size_t len, int mode)
{
	struct core_io io = { .kind = kind, .ino = ino, .off = off, .len = len, .mode = mode };

	return core_io_wait(f->core, &io);
}

static void used(struct fixture *f, uid_t uid, uint64_t inodes, uint64_t bytes)
{
	struct meta_usage has;

	meta_usage(core_meta(f->core), OWNER_USER, uid, &has);
	assert_int_equal(has.inodes, inodes);
	assert_int_equal(has.bytes, bytes);
}

static int chown_to(struct fixture *f, uint64_t ino, uid_t uid)
{
	struct stat in = { .st_uid = uid }, st;

	return core_setattr(f->core, ino, SET_UID, &in, &st);
}

/* ---- bounds ---- */

static void test_bytes(void **state)
{
	struct fixture *f = *state;
	struct meta_usage before;
	uint64_t a = 0, b = 0;

	meta_usage(core_meta(f->core), OWNER_USER, 1000, &before); /* the root directory */
	assert_int_equal(before.bytes, META_DIR_BYTES);
	reload(f, "", "[quota a]\nowner = 1001\nbytes = 128K\n");
	assert_int_equal(create_as(f, &other, "a", &a), 0);
	assert_int_equal(create_as(f, &other, "b", &b), 0);
	assert_int_equal(put(f, a, 0, 124 * KIB), 124 * KIB);
	used(f, 1001, 2, 124 * KIB);
	assert_int_equal(put(f, b, 0, 5000), -EDQUOT);
	used(f, 1001, 2, 124 * KIB);
	assert_int_equal(put(f, b, 0, 4096), 4096);
	used(f, 1001, 2, 128 * KIB);
	/* one row more, one unit more, one block more */
	assert_int_equal(put(f, b, 4096, 1), -EDQUOT);
	assert_int_equal(put(f, a, 124 * KIB, 1), -EDQUOT);
	assert_int_equal(put(f, a, 1 << 20, 100 * KIB), -EDQUOT);
	assert_int_equal(change(f, CORE_FALLOCATE, a, 0, 130 * KIB, 0), -EDQUOT);
	used(f, 1001, 2, 128 * KIB);
	/* what is set aside is used, and is there for who has it */
	assert_int_equal(change(f, CORE_TRUNCATE, a, 120 * KIB, 0, 0), 0);
	assert_int_equal(change(f, CORE_FALLOCATE, a, 1 << 20, 4096, FALLOC_FL_KEEP_SIZE), 0);
	used(f, 1001, 2, 128 * KIB);
	assert_int_equal(put(f, b, 4096, 1), -EDQUOT);
	assert_int_equal(change(f, CORE_TRUNCATE, a, 120 * KIB, 0, 0), 0);
	used(f, 1001, 2, 124 * KIB);
	assert_int_equal(change(f, CORE_FALLOCATE, a, 120 * KIB, 4096, 0), 0);
	used(f, 1001, 2, 128 * KIB);
	assert_int_equal(put(f, a, 120 * KIB, 4096), 4096);
	used(f, 1001, 2, 128 * KIB);
	/* what is there may be written again */
	assert_int_equal(put(f, a, 100, 120 * KIB), 120 * KIB);
	assert_int_equal(put(f, b, 5, 4000), 4000);
	assert_int_equal(core_fsync(f->core, a), 0);
	/* what is given back is there for others */
	assert_int_equal(change(f, CORE_FALLOCATE, a, 4096, 8192, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE), 0);
	used(f, 1001, 2, 120 * KIB);
	assert_int_equal(put(f, b, 4096, 4096), 4096);
	assert_int_equal(change(f, CORE_TRUNCATE, a, 64 * KIB, 0, 0), 0);
	used(f, 1001, 2, 64 * KIB);
	/* a hole takes none */
	assert_int_equal(change(f, CORE_TRUNCATE, a, 1 << 30, 0, 0), 0);
	used(f, 1001, 2, 64 * KIB);
	assert_int_equal(core_unlink(f->core, ROOT, "a"), 0);
	core_forget(f->core, a);
	used(f, 1001, 1, 8 * KIB);
	fixture_close(f);
	fixture_open(f);
	used(f, 1001, 1, 8 * KIB);
	assert_int_equal(put(f, b, 0, 128 * KIB), 128 * KIB);
	assert_int_equal(put(f, b, 128 * KIB, 1), -EDQUOT);
}

static void test_inodes(void **state)
{
	struct fixture *f = *state;
	struct core_file *file;
	struct stat st;
	uint64_t a = 0;

	reload(f, "", "[quota a]\nowner = 1001\ninodes = 3\n");
	assert_int_equal(create_as(f, &other, "a", &a), 0);
	assert_int_equal(core_mkdir(f->core, &other, ROOT, "d", 0755, &st), 0);
	assert_int_equal(core_symlink(f->core, &other, ROOT, "s", "a", &st), 0);
	assert_int_equal(create_as(f, &other, "b", NULL), -EDQUOT);
	assert_int_equal(fixture_ino(f, ROOT, "b"), 0);
	assert_int_equal(core_mkdir(f->core, &other, ROOT, "b", 0755, &st), -EDQUOT);
	assert_int_equal(core_symlink(f->core, &other, ROOT, "b", "a", &st), -EDQUOT);
	assert_int_equal(core_mknod(f->core, &other, ROOT, "b", S_IFIFO | 0600, 0, &st), -EDQUOT);
	assert_int_equal(core_file_tmp(f->core, &other, ROOT, 0600, O_RDWR, &file, &st), -EDQUOT);
	/* a second name is no second inode, and a new name in its place neither */
	assert_int_equal(core_link(f->core, a, ROOT, "b", &st), 0);
	assert_int_equal(core_rename(f->core, ROOT, "b", ROOT, "c", 0), 0);
	assert_int_equal(core_unlink(f->core, ROOT, "c"), 0);
	used(f, 1001, 3, META_DIR_BYTES);
	/* one without a name counts until it is gone */
	assert_int_equal(core_file_open(f->core, a, O_RDWR, &file), 0);
	assert_int_equal(core_unlink(f->core, ROOT, "a"), 0);
	core_forget(f->core, a);
	assert_int_equal(create_as(f, &other, "b", NULL), -EDQUOT);
	core_file_release(f->core, file);
	used(f, 1001, 2, META_DIR_BYTES);
	assert_int_equal(create_as(f, &other, "b", NULL), 0);
	/* who has no quota has no bound */
	assert_int_equal(create_as(f, &me, "m", NULL), 0);
}

static void test_whiteout_takes_an_inode(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(create_as(f, &me, "a", NULL), 0);
	reload(f, "", "[quota a]\nowner = 1000\ninodes = 2\n");
	assert_int_equal(core_rename(f->core, ROOT, "a", ROOT, "b", 4 /* RENAME_WHITEOUT */), -EDQUOT);
	assert_int_not_equal(fixture_ino(f, ROOT, "a"), 0);
	assert_int_equal(fixture_ino(f, ROOT, "b"), 0);
}

static void test_chown_moves_the_charge(void **state)
{
	struct fixture *f = *state;
	uint64_t a = 0, b = 0;

	assert_int_equal(create_as(f, &me, "a", &a), 0);
	assert_int_equal(create_as(f, &me, "b", &b), 0);
	assert_int_equal(put(f, a, 0, 40 * KIB), 40 * KIB);
	assert_int_equal(put(f, b, 0, 40 * KIB), 40 * KIB);
	reload(f, "", "[quota a]\nowner = 1001\nbytes = 64K\n");
	assert_int_equal(chown_to(f, a, 1001), 0);
	used(f, 1001, 1, 40 * KIB);
	used(f, 1000, 2, 40 * KIB + META_DIR_BYTES);
	assert_int_equal(chown_to(f, b, 1001), -EDQUOT);
	used(f, 1001, 1, 40 * KIB);
	assert_int_equal(chown_to(f, a, 1001), 0);
	assert_int_equal(chown_to(f, a, 1002), 0);
	assert_int_equal(chown_to(f, b, 1001), 0);
	used(f, 1002, 1, 40 * KIB);
	used(f, 1000, 1, META_DIR_BYTES);
}

static void test_directories_charge_the_group_they_give(void **state)
{
	struct fixture *f = *state;
	struct stat in = { .st_mode = 02775, .st_gid = 77 }, st;
	uint64_t dir = fixture_mkdir(f, ROOT, "shared");

	assert_int_equal(core_setattr(f->core, dir, SET_GID, &in, &st), 0);
	assert_int_equal(core_setattr(f->core, dir, SET_MODE, &in, &st), 0);
	reload(f, "", "[quota g]\ngroup = 77\ninodes = 2\n");
	assert_int_equal(core_mknod(f->core, &other, dir, "a", S_IFREG | 0600, 0, &st), 0);
	assert_int_equal(st.st_gid, 77);
	assert_int_equal(core_mknod(f->core, &other, dir, "b", S_IFREG | 0600, 0, &st), -EDQUOT);
}

static void test_the_store(void **state)
{
	struct fixture *f = *state;
	struct statvfs fs;
	uint64_t a = 0;

	reload(f, "size = 100M\ninodes = 4", "");
	assert_int_equal(create_as(f, &other, "a", &a), 0);
	assert_int_equal(put(f, a, 0, 1 << 20), 1 << 20);
	assert_int_equal(core_statfs(f->core, &fs), 0);
	assert_int_equal(fs.f_frsize, 4096);
	assert_int_equal(fs.f_blocks, 25600);
	assert_int_equal(fs.f_bfree, 25600 - 256 - 1);
	assert_int_equal(fs.f_bavail, 25600 - 256 - 1);
	assert_int_equal(fs.f_files, 4);
	assert_int_equal(fs.f_ffree, 2);
	reload(f, "size = 1028K\ninodes = 2", "");
	assert_int_equal(put(f, a, 1 << 20, 1), -ENOSPC);
	assert_int_equal(change(f, CORE_FALLOCATE, a, 0, (1 << 20) + 1, 0), -ENOSPC);
	assert_int_equal(create_as(f, &other, "b", NULL), -ENOSPC);
	assert_int_equal(core_statfs(f->core, &fs), 0);
	assert_int_equal(fs.f_bfree, 0);
	assert_int_equal(fs.f_ffree, 0);
	/* lower than what is there: all of it can be read, written again, renamed and deleted */
	reload(f, "size = 1K\ninodes = 1", "");
	assert_int_equal(put(f, a, 0, 1 << 20), 1 << 20);
	assert_int_equal(core_fsync(f->core, a), 0);
	assert_int_equal(core_rename(f->core, ROOT, "a", ROOT, "b", 0), 0);
	assert_int_equal(core_unlink(f->core, ROOT, "b"), 0);
	core_forget(f->core, a);
	assert_int_equal(meta_sync(core_meta(f->core)), 0);
	used(f, 1001, 0, 0);
}

/* Pages that the kernel took from a program: refused, they are counted, and the end of the mount says so. */
static void test_refused_pages_are_counted(void **state)
{
	struct fixture *f = *state;
	char page[UNIT] = "";
	struct core_io io = { .kind = CORE_WRITE, .len = sizeof(page), .buf = page, .cached = true };

	reload(f, "", "[quota a]\nowner = 1001\nbytes = 2K\n");
	assert_int_equal(create_as(f, &other, "a", &io.ino), 0);
	assert_int_equal(core_refused(f->core), 0);
	assert_int_equal(core_io_wait(f->core, &io), -ENOSPC);
	assert_int_equal(core_refused(f->core), 1);
}

/* ---- every operation against a recount ---- */

static void recount(struct fixture *f, const uint64_t *ino, uid_t uid, struct meta_usage *out)
{
	struct stat st;

	*out = (struct meta_usage){ 0 };
	assert_int_equal(core_getattr(f->core, ROOT, &st), 0);
	if (st.st_uid == uid)
		*out = (struct meta_usage){ 1, (uint64_t)st.st_blocks * 512 };
	for (int i = 0; i < FILES; i++) {
		if (!ino[i])
			continue;
		assert_int_equal(core_getattr(f->core, ino[i], &st), 0);
		if (st.st_uid != uid)
			continue;
		out->inodes++;
		out->bytes += (uint64_t)st.st_blocks * 512;
	}
}

static void expect_recount(struct fixture *f, const uint64_t *ino)
{
	struct meta_usage all = { 0 }, totals;

	for (uid_t uid = 1000; uid < 1004; uid++) {
		struct meta_usage has;

		recount(f, ino, uid, &has);
		used(f, uid, has.inodes, has.bytes);
		all.inodes += has.inodes;
		all.bytes += has.bytes;
	}
	meta_totals(core_meta(f->core), &totals);
	assert_int_equal(totals.inodes, all.inodes);
	assert_int_equal(totals.bytes, all.bytes);
}

static void random_step(struct fixture *f, uint64_t *ino, unsigned *seed)
{
	int i = rand_r(seed) % FILES;
	uint64_t off = (uint64_t)rand_r(seed) % (rand_r(seed) % 3 ? 300000 : 9000);
	size_t len = (size_t)rand_r(seed) % (rand_r(seed) % 3 ? 9000 : 200000) + 1;
	struct core_caller who = { .uid = 1000 + (uid_t)rand_r(seed) % 4, .gid = 5 };
	char name[16];
	ssize_t rc = 0;

	snprintf(name, sizeof(name), "f%d", i);
	if (!ino[i]) {
		rc = create_as(f, &who, name, &ino[i]);
	} else {
		switch (rand_r(seed) % 11) {
		case 0:
			rc = core_unlink(f->core, ROOT, name);
			core_forget(f->core, ino[i]);
			ino[i] = 0;
			break;
		case 1:
			rc = change(f, CORE_TRUNCATE, ino[i], off, 0, 0);
			break;
		case 2:
			rc = change(f, CORE_FALLOCATE, ino[i], off, len, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
			break;
		case 3:
			rc = change(f, CORE_FALLOCATE, ino[i], off, len, FALLOC_FL_ZERO_RANGE);
			break;
		case 9:
			rc = change(f, CORE_FALLOCATE, ino[i], off, len, FALLOC_FL_KEEP_SIZE);
			break;
		case 10:
			rc = change(f, CORE_FALLOCATE, ino[i], off, len, 0);
			break;
		case 4:
			rc = chown_to(f, ino[i], who.uid);
			break;
		case 5:
			rc = core_fsync(f->core, ino[i]);
			break;
		default:
			rc = put(f, ino[i], off, len);
		}
	}
	assert_true(rc >= 0 || rc == -EDQUOT || rc == -ENOSPC);
}

static void test_random_changes(void **state)
{
	struct fixture *f = *state;
	uint64_t ino[FILES] = { 0 };
	unsigned seed = 11;

	reload(f, "size = 2500K\ninodes = 20",
		"[quota a]\nowner = 1001\nbytes = 400K\n[quota b]\nowner = 1002\ninodes = 4\n[quota g]\ngroup = "
		"5\nbytes = "
		"2M\n");
	for (int i = 0; i < 1500; i++) {
		struct meta_usage has;

		random_step(f, ino, &seed);
		if (i % 50 == 0)
			expect_recount(f, ino);
		meta_usage(core_meta(f->core), OWNER_USER, 1001, &has);
		assert_in_range(has.bytes, 0, 400 * KIB);
		if (i % 700 == 699)
			fixture_sync(f);
		if (i % 500 == 499) {
			fixture_close(f);
			fixture_open(f);
		}
	}
	expect_recount(f, ino);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inodes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whiteout_takes_an_inode, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chown_moves_the_charge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directories_charge_the_group_they_give, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_store, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_pages_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_changes, setup, teardown),
	};

	if (crypt_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
