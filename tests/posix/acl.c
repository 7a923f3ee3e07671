/* SPDX-License-Identifier: GPL-3.0-or-later */
/* POSIX access control lists, as the kernel takes them: attributes of version 2, little-endian. */
#include "tests/posix/posix.h"

#include <endian.h>
#include <sys/xattr.h>

#define ACCESS	"system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

enum tag { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 16, OTHER = 32 };

struct entry {
	uint16_t tag, perm;
	uint32_t id;
};

struct acl {
	uint32_t version;
	struct entry e[8];
};

static struct acl acl_of(const char *text, size_t *len);

/* From text, "u7 U65501:5 g5 G65510:6 m7 o0". */
static struct acl acl_of(const char *text, size_t *len)
{
	static const struct {
		char letter;
		enum tag tag;
	} tags[] = { { 'u', USER_OBJ }, { 'U', USER }, { 'g', GROUP_OBJ }, { 'G', GROUP }, { 'm', MASK },
		{ 'o', OTHER } };
	struct acl acl = { .version = htole32(2) };
	size_t n = 0;

	for (const char *s = text; *s && n < COUNT(acl.e); n++) {
		struct entry *e = &acl.e[n];

		for (size_t i = 0; i < COUNT(tags); i++)
			if (tags[i].letter == *s)
				e->tag = htole16(tags[i].tag);
		s++;
		e->id = htole32(UINT32_MAX);
		if (strchr(s, ':') && e->tag & htole16(USER | GROUP)) {
			e->id = htole32((uint32_t)strtoul(s, NULL, 10));
			s = strchr(s, ':') + 1;
		}
		e->perm = htole16((uint16_t)(*s++ - '0'));
		while (*s == ' ')
			s++;
	}
	*len = 4 + n * sizeof(struct entry);
	return acl;
}

static int set_acl(const char *path, const char *name, const char *text)
{
	size_t len;
	struct acl acl = acl_of(text, &len);

	return setxattr(path, name, &acl, len, 0);
}

static void acl_is(int line, const char *path, const char *name, const char *text)
{
	size_t len;
	struct acl wanted = acl_of(text, &len), got = { 0 };
	ssize_t n = getxattr(path, name, &got, sizeof(got));
	char found[160] = "";

	for (ssize_t i = 0; n > 4 && i < (n - 4) / 8; i++)
		snprintf(found + strlen(found), sizeof(found) - strlen(found), "%u/%d:%u ", le16toh(got.e[i].tag),
			(int)le32toh(got.e[i].id), le16toh(got.e[i].perm));
	expect_text(__FILE__, line, found[0] ? found : "no list",
		n == (ssize_t)len && memcmp(&wanted, &got, len) == 0 ? text : "", text);
}
#define ACL_IS(path, name, text) acl_is(__LINE__, path, name, text)

static void mode_follows(void)
{
	make_file("file", 0640, "");
	FAILS(ENODATA, getxattr("file", ACCESS, NULL, 0));
	OK(set_acl("file", ACCESS, "u6 U65501:7 g4 m5 o1"));
	EQUAL(stat_of("file").st_mode, S_IFREG | 0651);
	ACL_IS("file", ACCESS, "u6 U65501:7 g4 m5 o1");
	OK(set_acl("file", ACCESS, "u7 g5 o4")); /* no more than a mode: kept as one */
	EQUAL(stat_of("file").st_mode, S_IFREG | 0754);
	FAILS(ENODATA, getxattr("file", ACCESS, NULL, 0));
	OK(set_acl("file", ACCESS, "u6 U65501:7 g4 m5 o1"));
	OK(removexattr("file", ACCESS));
	FAILS(ENODATA, getxattr("file", ACCESS, NULL, 0));
	OK(removexattr("file", ACCESS));
}

static void acl_follows(void)
{
	make_file("file", 0640, "");
	OK(set_acl("file", ACCESS, "u6 U65501:7 g4 m5 o1"));
	OK(chmod("file", 0473));
	ACL_IS("file", ACCESS, "u4 U65501:7 g4 m7 o3");
	OK(chmod("file", 0700));
	ACL_IS("file", ACCESS, "u7 U65501:7 g4 m0 o0");
	EQUAL(stat_of("file").st_mode, S_IFREG | 0700);
}

static void bad_lists(void)
{
	static const char *const rows[] = { "u7 g5", "u7 g5 o9", "g5 u7 o0", "u7 U65501:7 g5 o0", "u7 u6 g5 o0", "u7" };
	uint8_t rubbish[20] = { 9 };

	make_file("file", 0640, "");
	make_dir("dir", 0755);
	for (size_t i = 0; i < COUNT(rows); i++) {
		context("%s", rows[i]);
		FAILS(EINVAL, set_acl("file", ACCESS, rows[i]));
	}
	context(NULL);
	FAILS(EOPNOTSUPP, setxattr("file", ACCESS, rubbish, sizeof(rubbish), 0));
	FAILS(EACCES, set_acl("file", DEFAULT, "u7 g5 o0"));
	EQUAL(stat_of("file").st_mode, S_IFREG | 0640);
	OK(set_acl("dir", DEFAULT, "u7 g5 o0"));
	OK(removexattr("dir", DEFAULT));
	FAILS(ENODATA, getxattr("dir", DEFAULT, NULL, 0));
}

/* ---- rights --------------------------------------------------------------------------------------------------------
 */

static void expect_open(enum who who, int flags, bool may)
{
	int fd;

	context("user %d, flags %d", who, flags);
	be(who);
	fd = open("file", flags);
	EQUAL(fd < 0 ? errno : 0, may ? 0 : EACCES);
	if (fd >= 0)
		close(fd);
	be(ROOT);
	context(NULL);
}

static void grants(void)
{
	make_owned("file", 0600, 0, 0);
	OK(set_acl("file", ACCESS, "u6 U65501:6 g0 G65510:4 m6 o0"));
	expect_open(ANN, O_RDWR, true);
	expect_open(BOB, O_RDONLY, true);
	expect_open(BOB, O_WRONLY, false);
	expect_open(CLEO, O_RDONLY, true);
	OK(chmod("file", 0640)); /* the mask */
	expect_open(ANN, O_RDONLY, true);
	expect_open(ANN, O_RDWR, false);
	OK(chmod("file", 0600));
	expect_open(ANN, O_RDONLY, false);
	OK(set_acl("file", ACCESS, "u6 U65501:0 g4 m7 o7"));
	expect_open(ANN, O_RDONLY, false);
	expect_open(BOB, O_RDWR, true);
	OK(removexattr("file", ACCESS));
	expect_open(BOB, O_RDONLY, true);
}

static void by_whom(void)
{
	make_owned("file", 0666, BOB_ID, BOB_ID);
	be(ANN);
	FAILS(EPERM, set_acl("file", ACCESS, "u6 U65501:6 g4 m6 o0"));
	FAILS(EPERM, removexattr("file", ACCESS));
	be(BOB);
	OK(set_acl("file", ACCESS, "u6 U65501:6 g4 m6 o0"));
	be(ROOT);
	OK(chown("file", BOB_ID, ANN_ID));
	OK(chmod("file", 02770));
	be(BOB); /* not of the group: the set-group-id bit goes */
	OK(set_acl("file", ACCESS, "u7 U65501:6 g7 m7 o0"));
	EQUAL(stat_of("file").st_mode, S_IFREG | 0770);
	be(ROOT);
	OK(chown("file", BOB_ID, SHARED_GID));
	OK(chmod("file", 02770));
	be(BOB);
	OK(set_acl("file", ACCESS, "u7 U65501:6 g7 m7 o0"));
	EQUAL(stat_of("file").st_mode, S_IFREG | 02770);
}

/* ---- inheritance ---------------------------------------------------------------------------------------------------
 */

static void inherited(void)
{
	int fd;

	make_dir("dir", 0755);
	OK(set_acl("dir", DEFAULT, "u7 U65501:7 g5 m7 o1"));
	EQUAL(stat_of("dir").st_mode, S_IFDIR | 0755);
	umask(077); /* the list stands in its place */
	fd = (int)OK(open("dir/file", O_CREAT | O_WRONLY, 0666));
	close(fd);
	OK(mkdir("dir/sub", 0777));
	OK(mkfifo("dir/pipe", 0640));
	OK(symlink("x", "dir/link"));
	umask(0);
	EQUAL(stat_of("dir/file").st_mode, S_IFREG | 0660);
	ACL_IS("dir/file", ACCESS, "u6 U65501:7 g5 m6 o0");
	EQUAL(stat_of("dir/sub").st_mode, S_IFDIR | 0771);
	ACL_IS("dir/sub", ACCESS, "u7 U65501:7 g5 m7 o1");
	ACL_IS("dir/sub", DEFAULT, "u7 U65501:7 g5 m7 o1");
	ACL_IS("dir/pipe", ACCESS, "u6 U65501:7 g5 m4 o0");
	EQUAL(stat_of("dir/link").st_mode, S_IFLNK | 0777);
	fd = (int)OK(open("dir", O_TMPFILE | O_RDWR, 0666));
	EQUAL(stat_fd(fd).st_mode, S_IFREG | 0660);
	close(fd);
}

static void inherited_mode_only(void)
{
	int fd;

	make_dir("dir", 0755);
	OK(set_acl("dir", DEFAULT, "u7 g5 o0"));
	umask(022);
	fd = (int)OK(open("dir/file", O_CREAT | O_WRONLY, 0666));
	close(fd);
	OK(mkdir("dir/sub", 0777));
	umask(0);
	EQUAL(stat_of("dir/file").st_mode, S_IFREG | 0640);
	FAILS(ENODATA, getxattr("dir/file", ACCESS, NULL, 0));
	EQUAL(stat_of("dir/sub").st_mode, S_IFDIR | 0750);
	FAILS(ENODATA, getxattr("dir/sub", ACCESS, NULL, 0));
	ACL_IS("dir/sub", DEFAULT, "u7 g5 o0");
}

static void listed(void)
{
	char names[128];

	make_dir("dir", 0755);
	OK(set_acl("dir", ACCESS, "u7 U65501:7 g5 m7 o1"));
	OK(set_acl("dir", DEFAULT, "u7 U65501:7 g5 m7 o1"));
	EQUAL(listxattr("dir", names, sizeof(names)), strlen(ACCESS) + strlen(DEFAULT) + 2);
	make_kind("link", 'l');
	FAILS(EOPNOTSUPP, lsetxattr("link", ACCESS, names, 28, 0));
}

const struct posix_case cases_acl[] = {
	{ "acl: the mode follows", mode_follows, 0 },
	{ "acl: the list follows the mode", acl_follows, 0 },
	{ "acl: bad lists", bad_lists, 0 },
	{ "acl: grants", grants, NEEDS_ROOT },
	{ "acl: by whom", by_whom, NEEDS_ROOT },
	{ "acl: inherited", inherited, 0 },
	{ "acl: inherited, no more than a mode", inherited_mode_only, 0 },
	{ "acl: listed", listed, 0 },
	{ 0 },
};
