/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every call that takes a path says of a bad one: a table of calls by a table of paths. */
#include "tests/posix/posix.h"

#include <sys/statvfs.h>
#include <sys/xattr.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

enum wants {
	MAKES = 1,     /* the name must not be there */
	DIRECTORY = 2, /* a directory, not a file */
	NO_FOLLOW = 4, /* a symlink as the last component is taken as it is */
	CHANGES = 8,   /* writes into the directory */
};

struct call {
	const char *name;
	long (*fn)(const char *path);
	unsigned wants;
};

static long done(long fd)
{
	return fd < 0 ? -1 : close((int)fd);
}

static long c_open(const char *p)
{
	return done(open(p, O_RDONLY));
}

static long c_create(const char *p)
{
	return done(open(p, O_WRONLY | O_CREAT | O_EXCL, 0644));
}

static long c_mkdir(const char *p)
{
	return mkdir(p, 0755);
}

static long c_mkfifo(const char *p)
{
	return mkfifo(p, 0644);
}

static long c_mknod(const char *p)
{
	return mknod(p, S_IFREG | 0644, 0);
}

static long c_symlink(const char *p)
{
	return symlink("target", p);
}

static long c_link_from(const char *p)
{
	return link(p, "linked");
}

static long c_link_to(const char *p)
{
	return link("file", p);
}

static long c_rename_from(const char *p)
{
	return rename(p, "renamed");
}

static long c_rename_to(const char *p)
{
	return rename("source", p);
}

static long c_unlink(const char *p)
{
	return unlink(p);
}

static long c_rmdir(const char *p)
{
	return rmdir(p);
}

static long c_chdir(const char *p)
{
	int here = open(".", O_RDONLY | O_DIRECTORY);
	long rc = chdir(p);
	int error = errno;

	if (rc == 0 && fchdir(here) < 0)
		give_up("back");
	close(here);
	errno = error;
	return rc;
}

static long c_chmod(const char *p)
{
	return chmod(p, 0644);
}

static long c_chown(const char *p)
{
	return chown(p, (uid_t)-1, (gid_t)-1);
}

static long c_lchown(const char *p)
{
	return lchown(p, (uid_t)-1, (gid_t)-1);
}

static long c_truncate(const char *p)
{
	return truncate(p, 0);
}

static long c_utimes(const char *p)
{
	return utimensat(AT_FDCWD, p, NULL, 0);
}

static long c_lutimes(const char *p)
{
	return utimensat(AT_FDCWD, p, NULL, AT_SYMLINK_NOFOLLOW);
}

static long c_access(const char *p)
{
	return faccessat(AT_FDCWD, p, R_OK, AT_EACCESS);
}

static long c_stat(const char *p)
{
	struct stat st;

	return stat(p, &st);
}

static long c_lstat(const char *p)
{
	struct stat st;

	return lstat(p, &st);
}

static long c_opendir(const char *p)
{
	return done(open(p, O_RDONLY | O_DIRECTORY));
}

static long c_statvfs(const char *p)
{
	struct statvfs st;

	return statvfs(p, &st);
}

static long c_setxattr(const char *p)
{
	return setxattr(p, "user.a", "b", 1, 0);
}

static long c_getxattr(const char *p)
{
	return getxattr(p, "user.b", NULL, 0) < 0 && errno != ENODATA ? -1 : 0;
}

static long c_listxattr(const char *p)
{
	return listxattr(p, NULL, 0);
}

static const struct call calls[] = {
	{ "open", c_open, 0 },
	{ "open O_CREAT|O_EXCL", c_create, MAKES },
	{ "mkdir", c_mkdir, MAKES },
	{ "mkfifo", c_mkfifo, MAKES },
	{ "mknod", c_mknod, MAKES },
	{ "symlink", c_symlink, MAKES },
	{ "link from", c_link_from, NO_FOLLOW | CHANGES },
	{ "link to", c_link_to, MAKES },
	{ "rename from", c_rename_from, NO_FOLLOW | CHANGES },
	{ "rename to", c_rename_to, NO_FOLLOW | CHANGES },
	{ "unlink", c_unlink, NO_FOLLOW | CHANGES },
	{ "rmdir", c_rmdir, NO_FOLLOW | CHANGES | DIRECTORY },
	{ "chdir", c_chdir, DIRECTORY },
	{ "chmod", c_chmod, 0 },
	{ "chown", c_chown, 0 },
	{ "lchown", c_lchown, NO_FOLLOW },
	{ "truncate", c_truncate, 0 },
	{ "utimensat", c_utimes, 0 },
	{ "utimensat nofollow", c_lutimes, NO_FOLLOW },
	{ "faccessat", c_access, 0 },
	{ "stat", c_stat, 0 },
	{ "lstat", c_lstat, NO_FOLLOW },
	{ "open O_DIRECTORY", c_opendir, DIRECTORY },
	{ "statvfs", c_statvfs, 0 },
	{ "setxattr", c_setxattr, 0 },
	{ "getxattr", c_getxattr, 0 },
	{ "listxattr", c_listxattr, 0 },
};

/* ---- paths that are bad in themselves ------------------------------------------------------------------------------
 */

static char name_256[257], path_256[300], path_4096[4097];

static const struct bad_path {
	const char *path;
	int error;
} bad_paths[] = {
	{ "file/x", ENOTDIR },
	{ "file/", ENOTDIR },
	{ "file/.", ENOTDIR },
	{ "none/x", ENOENT },
	{ "", ENOENT },
	{ "loop/x", ELOOP },
	{ "pipe/x", ENOTDIR },
	{ "dangling/x", ENOENT },
	{ name_256, ENAMETOOLONG },
	{ path_256, ENAMETOOLONG },
	{ path_4096, ENAMETOOLONG },
};

static void prepare(void)
{
	make_kind("file", 'f');
	make_kind("source", 'f');
	make_kind("pipe", 'p');
	make_kind("dangling", 'l');
	make_kind("dir", 'd');
	if (symlink("loop", "loop") < 0)
		give_up("symlink");
	memset(name_256, 'n', 256);
	snprintf(path_256, sizeof(path_256), "dir/%s", name_256);
	for (size_t i = 0; i < 4096; i++)
		path_4096[i] = i % 2 ? '/' : '.';
	path_4096[4095] = 'x';
}

/* A name to be made with a slash behind it is a matter of the call: the rest of this row is tested in other cases. */
static bool applies(const struct call *c, const char *path)
{
	bool slash = strcmp(path, "file/") == 0 || strcmp(path, "file/.") == 0;

	return !slash || !(c->wants & MAKES);
}

static void bad(void)
{
	prepare();
	for (size_t c = 0; c < COUNT(calls); c++) {
		for (size_t i = 0; i < COUNT(bad_paths); i++) {
			context("%s, path %.12s", calls[c].name, bad_paths[i].path);
			if (applies(&calls[c], bad_paths[i].path))
				FAILS(bad_paths[i].error, calls[c].fn(bad_paths[i].path));
		}
		context("%s, bad address", calls[c].name);
		if (!SANITIZED) /* which reads the path before the kernel can refuse it */
			FAILS(EFAULT, calls[c].fn((const char *)(uintptr_t)(4096 * 3 + 1)));
	}
}

static void missing(void)
{
	prepare();
	for (size_t c = 0; c < COUNT(calls); c++) {
		context("%s", calls[c].name);
		if (calls[c].wants & MAKES || calls[c].fn == c_rename_to)
			continue;
		FAILS(ENOENT, calls[c].fn("none"));
		if (!(calls[c].wants & NO_FOLLOW)) {
			FAILS(ENOENT, calls[c].fn("dangling"));
			FAILS(ELOOP, calls[c].fn("loop"));
		}
		if (calls[c].wants & DIRECTORY) {
			FAILS(ENOTDIR, calls[c].fn("file"));
			FAILS(ENOTDIR, calls[c].fn("pipe"));
		}
	}
}

static void existing(void)
{
	static const char *const names[] = { "file", "dir", "pipe", "dangling", "loop" };

	prepare();
	for (size_t c = 0; c < COUNT(calls); c++) {
		for (size_t i = 0; i < COUNT(names); i++) {
			context("%s over %s", calls[c].name, names[i]);
			if (calls[c].wants & MAKES)
				FAILS(EEXIST, calls[c].fn(names[i]));
		}
	}
	context(NULL);
	FAILS(EEXIST, mkdir(".", 0755));
	FAILS(EEXIST, mkdir("..", 0755));
	FAILS(EEXIST, mkdir("dir/", 0755));
	FAILS(EEXIST, mkdir("/", 0755));
}

/* A path at the very limits is none too long. */
static void longest(void)
{
	char name[256] = { 0 }, path[4096];

	memset(name, 'n', 255);
	OK(mkdir(name, 0755));
	CHECK(there(name));
	OK(rmdir(name));
	for (size_t i = 0; i < 4095; i++)
		path[i] = i % 2 ? '/' : '.';
	path[4094] = 'x';
	path[4095] = 0;
	OK(c_create(path));
	CHECK(there("x"));
	OK(rename(path, "y"));
	OK(unlink("y"));
}

/* ---- rights --------------------------------------------------------------------------------------------------------
 */

static void reset(const struct call *c)
{
	be(ROOT);
	remove_kind("open/linked");
	remove_kind("open/renamed");
	remove_kind("open/target");
	remove_kind("open/source");
	if (!(c->wants & MAKES))
		make_kind("open/target", c->wants & DIRECTORY ? 'd' : 'f');
	if (!there("open/file"))
		make_kind("open/file", 'f');
	make_kind("open/source", 'f');
	OK(chown("open/target", ANN_ID, ANN_ID) < 0 && !(c->wants & MAKES) ? -1 : 0);
	OK(chown("open/source", ANN_ID, ANN_ID));
	OK(chown("open/file", ANN_ID, ANN_ID));
}

/* Without search permission on the way nothing goes; without write permission on the directory nothing that changes it.
 */
static void denied(void)
{
	make_dir("open", 0755);
	OK(chown("open", BOB_ID, BOB_ID));
	for (size_t c = 0; c < COUNT(calls); c++) {
		context("%s", calls[c].name);
		reset(&calls[c]);
		OK(chdir("open"));
		be(ANN);
		if (calls[c].wants & (MAKES | CHANGES))
			FAILS(EACCES, calls[c].fn("../open/target"));
		else
			OK(calls[c].fn("../open/target"));
		be(ROOT);
		OK(chmod(".", 0676));
		be(ANN);
		FAILS(EACCES, calls[c].fn("../open/target"));
		be(ROOT);
		OK(chmod(".", 0757));
		be(ANN);
		OK(calls[c].fn("../open/target"));
		be(ROOT);
		OK(chmod(".", 0755));
		OK(chdir(".."));
	}
}

/* ---- calls on descriptors ------------------------------------------------------------------------------------------
 */

static void descriptors(void)
{
	char byte = 0;
	int r, w, p;

	prepare();
	r = (int)OK(open("file", O_RDONLY));
	w = (int)OK(open("file", O_WRONLY));
	p = (int)OK(open("file", O_PATH));
	FAILS(EBADF, write(r, &byte, 1));
	FAILS(EBADF, read(w, &byte, 1));
	FAILS(EINVAL, ftruncate(r, 0));
	FAILS(EBADF, fallocate(r, 0, 0, 1));
	FAILS(EBADF, read(p, &byte, 1));
	FAILS(EBADF, fchmod(p, 0600));
	FAILS(EBADF, ftruncate(p, 0));
	FAILS(EINVAL, pread(r, &byte, 1, -1));
	FAILS(EINVAL, pwrite(w, &byte, 1, -1));
	FAILS(EINVAL, lseek(r, -1, SEEK_SET));
	FAILS(EINVAL, lseek(r, 0, p + 99));
	FAILS(EFAULT, read(r, (void *)(uintptr_t)12289, 1));
	FAILS(EFAULT, write(w, (void *)(uintptr_t)12289, 1));
	FAILS(ENOTDIR, openat(r, "x", O_RDONLY));
	close(r);
	close(w);
	close(p);
	r = (int)OK(open("dir", O_RDONLY));
	FAILS(EISDIR, read(r, &byte, 1));
	FAILS(EINVAL, ftruncate(r, 0));
	OK(fsync(r));
	close(r);
}

static void other_filesystem(void)
{
	char away[64];

	snprintf(away, sizeof(away), "/dev/shm/borderfs-posix-%ld", (long)getpid());
	if (stat_of(".").st_dev == stat_of("/dev/shm").st_dev)
		return;
	make_file("file", 0644, "");
	FAILS(EXDEV, link("file", away));
	FAILS(EXDEV, rename("file", away));
	CHECK(!there(away));
}

const struct posix_case cases_errors[] = {
	{ "errors: bad paths", bad, 0 },
	{ "errors: missing names", missing, 0 },
	{ "errors: names that are there", existing, 0 },
	{ "errors: longest names", longest, 0 },
	{ "errors: denied", denied, NEEDS_ROOT },
	{ "errors: descriptors", descriptors, 0 },
	{ "errors: another filesystem", other_filesystem, 0 },
	{ 0 },
};
