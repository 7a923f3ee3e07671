/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "tests/unit/config/scratch.h"

#include <errno.h>
#include <sys/stat.h>

/* nine lines that stand on their own */
#define GOOD                                                                                                           \
	"[filesystem]\n"                                                                                               \
	"store = s\n"                                                                                                  \
	"home = d\n"                                                                                                   \
	"[zone d]\n"                                                                                                   \
	"kind = domestic\n"                                                                                            \
	"backends = b\n"                                                                                               \
	"[backend b]\n"                                                                                                \
	"type = local\n"                                                                                               \
	"path = p\n"

/* eight more: a foreign zone on a server */
#define FOREIGN                                                                                                        \
	"[zone f]\n"                                                                                                   \
	"kind = foreign\n"                                                                                             \
	"networks = 127.0.0.0/8\n"                                                                                     \
	"backends = v\n"                                                                                               \
	"[backend v]\n"                                                                                                \
	"type = s3\n"                                                                                                  \
	"endpoint = https://v.example\n"                                                                               \
	"bucket = office\n"                                                                                            \
	"access-key = A\n"                                                                                             \
	"secret-key-file = /dev/null/key\n"

struct row {
	const char *text, *expected;
};

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct config *c;
		char *text;
		int rc;

		scratch_write("test.ini", rows[i].text);
		rc = scratch_load(&c, &text);
		if (strcmp(text, rows[i].expected) != 0)
			print_error("row %zu\n", i);
		assert_string_equal(text, rows[i].expected);
		assert_int_equal(rc, strstr(text, ": error: ") ? -ERR_CONFIG : 0);
		assert_int_equal(c != NULL, rc == 0);
		free(text);
		config_put(c);
	}
}

static void test_syntax(void **state)
{
	static char long_line[66000] = "[filesystem]\nstore = ", nul_free[] = GOOD "[keys]\nkey-file = a\tb\n";
	const struct row rows[] = {
		{ GOOD, "" },
		{ "\xef\xbb\xbf" GOOD, "" },
		{ GOOD "# a comment\n  ; another = [x\n\n \t\n", "" },
		{ GOOD "[ tag   x ] ; why\r\npath : /a ; and why\r\n", "" },
		{ nul_free, "" },
		{ "[filesystem]\n  store = s;t\n  home = d\n[zone d]\nkind=domestic\nbackends=b\n[backend "
		  "b]\ntype=local"
		  "\npath=p",
			"" },
		{ "", "test.ini: error: holds no section; expected [filesystem]\n" },
		{ "; nothing\n", "test.ini: error: holds no section; expected [filesystem]\n" },
		{ "home = d\n" GOOD, "test.ini:1: error: \"home\" stands before the first [section]\n" },
		{ GOOD "hello\n", "test.ini:10: error: expected [section] or key = value\n" },
		{ GOOD "hello", "test.ini:10: error: expected [section] or key = value\n" },
		{ GOOD "mode =\n", "test.ini:10: error: \"mode\" has no value\n" },
		{ GOOD "mode = ; drain\n", "test.ini:10: error: \"mode\" has no value\n" },
		{ GOOD "= x\n", "test.ini:10: error: expected a key before the '='\n" },
		{ GOOD "[tag x\npath = /a\n[tag y]\npath = /a\n",
			"test.ini:10: error: a section's header must end with ']'\n" },
		{ GOOD "[tag x ; y]\n", "test.ini:10: error: a section's header must end with ']'\n" },
		{ GOOD "[tag x] path = /a\n",
			"test.ini:10: error: nothing may follow the ']' of a section's header\n" },
		{ GOOD "[rule 34567890123456789012345678901234567890123456789]\n",
			"test.ini:10: error: a section's header can hold at most 48 bytes\n" },
		{ GOOD "[]\n", "test.ini:10: error: unknown section []; expected filesystem, keys, zone NAME, backend "
			       "NAME, quota NAME, tag NAME or rule NAME\n" },
		{ GOOD "mode = dr\033ain\n", "test.ini:10: error: byte 10 of the line is a control character "
					     "(1b): is this a text file?\n" },
		{ GOOD "# a comment\177\n", "test.ini:10: error: byte 12 of the line is a control character (7f): is "
					    "this a text file?\n" },
		{ GOOD "upload-limit = 2M/s # slow\n",
			"test.ini:10: warning: the '#' is part of the value: after a value only ';' begins a comment\n"
			"test.ini:10: error: bad value \"2M/s # slow\" for \"upload-limit\"; expected a rate, such as "
			"20M/s\n" },
		{ long_line, "test.ini:1: error: [filesystem] has no \"store\"; expected a directory for metadata and "
			     "cache\n"
			     "test.ini:1: error: [filesystem] has no \"home\"; expected the name of a domestic zone\n"
			     "test.ini:2: error: the line is longer than 65000 bytes\n" },
	};

	(void)state;
	memset(long_line + strlen(long_line), 'x', sizeof long_line - 100);
	check_rows(rows, COUNT(rows));
}

/* A NUL is no blank and no end: neither alone in a line nor in a comment. */
static void test_nul(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		int line, byte;
	} rows[] = {
		{ "\0\n" GOOD, sizeof "\0\n" GOOD - 1, 1, 1 },
		{ GOOD "; a comment\0\n", sizeof GOOD "; a comment\0\n" - 1, 10, 12 },
		{ GOOD " \t\0", sizeof GOOD " \t\0" - 1, 10, 3 },
		{ GOOD "mode = \0drain\n", sizeof GOOD "mode = \0drain\n" - 1, 10, 8 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char expected[128], *text;
		struct config *c;

		assert_int_equal(file_replace(AT_FDCWD, "test.ini", rows[i].text, rows[i].len, 0600), 0);
		assert_int_equal(scratch_load(&c, &text), -ERR_CONFIG);
		snprintf(expected, sizeof expected,
			"test.ini:%d: error: byte %d of the line is a control character (00): is this a text file?\n",
			rows[i].line, rows[i].byte);
		assert_string_equal(text, expected);
		assert_null(c);
		free(text);
	}
}

static void test_sections(void **state)
{
	static const struct row rows[] = {
		{ GOOD "[zon e]\nkind = domestic\n",
			"test.ini:10: error: unknown section [zon e]; did you mean \"zone\"?\n" },
		{ GOOD "[cache]\nsize = 1G\n", "test.ini:10: error: unknown section [cache]; expected filesystem, "
					       "keys, zone NAME, backend NAME, quota NAME, tag "
					       "NAME or rule NAME\n" },
		{ GOOD "[zone]\n", "test.ini:10: error: [zone]: expected [zone NAME]\n" },
		{ GOOD "[keys mine]\n", "test.ini:10: error: [keys mine]: expected [keys]\n" },
		{ GOOD "[zone a b]\n", "test.ini:10: error: bad name \"a b\" of a zone; expected letters, digits, '.', "
				       "'_' and '-' only\n" },
		{ GOOD "[backend .a]\n",
			"test.ini:10: error: bad name \".a\" of a backend; expected a letter or a digit first\n" },
		{ GOOD "[tag a b]\n", "test.ini:10: error: bad name \"a b\" of a tag; expected one word without "
				      "blanks, commas and quotes\n" },
		{ GOOD "[tag a,b]\n", "test.ini:10: error: bad name \"a,b\" of a tag; expected one word without "
				      "blanks, commas and quotes\n" },
		{ GOOD "[rule a b]\n", "test.ini:10: error: bad name \"a b\" of a rule; expected one word without "
				       "blanks, commas and quotes\n" },
		{ GOOD "[tag \xe7\xa7\x81]\npath = /a\n", "" },
		{ GOOD "[filesystem]\nname = x\n",
			"test.ini:10: error: [filesystem] stands twice, first at test.ini:1; expected it once\n" },
		{ GOOD "[zone d]\n",
			"test.ini:10: error: [zone d] stands twice, first at test.ini:4; expected it once\n" },
		{ GOOD "[rule r]\npath = /a\nzone = d\n[rule r]\nzone = d\n",
			"test.ini:13: error: [rule r] stands twice, first at test.ini:10; expected it once\n" },
		{ GOOD "[tag t]\npath = /a\n[tag t]\nname = b\n", "" },
		{ "[keys]\n", "test.ini:1: error: there is no section [filesystem]; expected one with \"store\" and "
			      "\"home\"\n" },
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void test_filesystem(void **state)
{
	static const struct row rows[] = {
		{ "[filesystem]\n",
			"test.ini:1: error: [filesystem] has no \"store\"; expected a directory for metadata and "
			"cache\n"
			"test.ini:1: error: [filesystem] has no \"home\"; expected the name of a domestic zone\n" },
		{ "[filesystem]\nstore = s\nhome = nowhere\n",
			"test.ini:3: error: unknown zone \"nowhere\"; expected the name of a [zone NAME]\n" },
		{ "[filesystem]\nstore = s\nhome = homme\n[zone home]\nkind = domestic\nbackends = b\n[backend "
		  "b]\ntype = "
		  "local\npath = /p\n",
			"test.ini:3: error: unknown zone \"homme\"; did you mean \"home\"?\n" },
		{ "[filesystem]\nstore = s\nhome = d\n[zone d]\nkind = foreign\nbackends = b\n[backend b]\ntype = "
		  "local\npath "
		  "= /p\n",
			"test.ini:3: error: the home zone \"d\" is foreign; expected one of kind domestic\n" },
		{ "[filesystem]\nname = a b\ncache = 1M\nsettle = 2d\nmax-delay = soon\nblock-size = 3M\nstor = "
		  "s\n" GOOD,
			"test.ini:1: error: [filesystem] has no \"store\"; expected a directory for metadata and "
			"cache\n"
			"test.ini:1: error: [filesystem] has no \"home\"; expected the name of a domestic zone\n"
			"test.ini:2: error: bad value \"a b\" for \"name\"; expected a word of letters, digits, '.', "
			"'_' and '-'\n"
			"test.ini:3: error: bad value \"1M\" for \"cache\"; expected a size of at least 16M, such as "
			"20G\n"
			"test.ini:4: error: bad value \"2d\" for \"settle\"; expected a duration of at most 1d, such "
			"as 5s\n"
			"test.ini:5: error: bad value \"soon\" for \"max-delay\"; expected a duration, such as 1h\n"
			"test.ini:6: error: bad value \"3M\" for \"block-size\"; expected a power of two from 64K to "
			"4M\n"
			"test.ini:7: error: unknown key \"stor\" in [filesystem]; did you mean \"store\"?\n"
			"test.ini:8: error: [filesystem] stands twice, first at test.ini:1; expected it once\n" },
		{ "[filesystem]\nsettle = 2h\nmax-delay = 1h\nstore = s\nstore = t\nhome = d\n[zone d]\nkind = "
		  "domestic\n"
		  "backends = b\n[backend b]\ntype = local\npath = /p\n",
			"test.ini:3: error: \"max-delay\" is shorter than \"settle\"; expected at least as long\n"
			"test.ini:5: error: \"store\" stands twice in [filesystem], first in line 4; expected it "
			"once\n" },
		{ GOOD "[keys]\nkeyfile = x\n", "test.ini:11: error: unknown key \"keyfile\" in [keys]; did you mean "
						"\"key-file\"?\n" },
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void test_zones(void **state)
{
	static const struct row rows[] = {
		{ GOOD FOREIGN, "" },
		{ GOOD "[zone x]\n", "test.ini:10: error: [zone x] has no \"kind\"; expected domestic or foreign\n"
				     "test.ini:10: error: [zone x] has no \"backends\"; expected the names of the "
				     "zone's backends\n" },
		{ GOOD "[zone x]\nkind = home\ncountries = CN, UK\nnetworks = 10.0.0.0/33\ncopies = 0\nexport = yes\n"
		       "approvers = a b\napprovals = two\npadding = yes\npack = 2M\nbackends = b\nwhere = "
		       "there\n",
			"test.ini:11: error: bad value \"home\" for \"kind\"; expected domestic or foreign\n"
			"test.ini:12: error: bad value \"CN, UK\" for \"countries\"; expected ISO 3166 codes of two "
			"letters, such "
			"as CN, HK\n"
			"test.ini:13: error: bad value \"10.0.0.0/33\" for \"networks\"; expected address blocks, such "
			"as "
			"10.20.0.0/16, 2001:db8::/32\n"
			"test.ini:14: error: bad value \"0\" for \"copies\"; expected a number from 1 to 16\n"
			"test.ini:15: error: bad value \"yes\" for \"export\"; expected deny, approve or allow\n"
			"test.ini:16: error: bad value \"a b\" for \"approvers\"; expected users and groups, such as "
			"alice, uid:1000, group:compliance or gid:1000\n"
			"test.ini:17: error: bad value \"two\" for \"approvals\"; expected a number from 1 to 100\n"
			"test.ini:18: error: bad value \"yes\" for \"padding\"; expected none or padme\n"
			"test.ini:19: error: bad value \"2M\" for \"pack\"; expected a size of 1M at most; 0: every "
			"block has an object of its own\n"
			"test.ini:20: error: backend \"b\" is in the zones \"d\" and \"x\"; expected it in one zone "
			"only\n"
			"test.ini:21: error: unknown key \"where\" in [zone x]; expected one of kind, countries, "
			"country-db, networks, "
			"backends, copies, export, approvers, approvals, padding, pack\n" },
		{ GOOD FOREIGN "[zone x]\nkind = domestic\nbackends = b, v, w, vv\n",
			"test.ini:22: error: backend \"b\" is in the zones \"d\" and \"x\"; expected it in one zone "
			"only\n"
			"test.ini:22: error: backend \"v\" is in the zones \"f\" and \"x\"; expected it in one zone "
			"only\n"
			"test.ini:22: error: unknown backend \"w\"; did you mean \"b\"?\n"
			"test.ini:22: error: unknown backend \"vv\"; did you mean \"v\"?\n" },
		{ GOOD "[backend c]\ntype = local\npath = /c\n",
			"test.ini:10: error: backend \"c\" is in no zone; expected it in the \"backends\" of one\n" },
		{ "[filesystem]\nstore = s\nhome = d\n[zone d]\nkind = domestic\nbackends = b, b,\ncopies = 2\nexport "
		  "= "
		  "approve\n[backend b]\ntype = local\npath = p\n",
			"test.ini:6: error: bad value \"b, b,\" for \"backends\"; expected names with a comma between "
			"them\n"
			"test.ini:8: error: export = approve in zone \"d\" without \"approvers\"; expected those who "
			"may approve\n"
			"test.ini:9: error: backend \"b\" is in no zone; expected it in the \"backends\" of one\n" },
		{ "[filesystem]\nstore = s\nhome = d\n[zone d]\nkind = domestic\nbackends = b, b\ncopies = 2\n[backend "
		  "b]\n"
		  "type = local\npath = p\n",
			"test.ini:6: error: backend \"b\" stands twice in this list; expected it once\n"
			"test.ini:7: error: 2 copies cannot be kept on the 1 backends of zone \"d\"; expected at most "
			"1\n" },
		{ GOOD "[zone x]\nkind = foreign\nexport = allow\napprovals = 1\nbackends = c\n[backend c]\ntype = "
		       "local\npath = /c\n",
			"test.ini:12: error: \"export\" has no meaning in the foreign zone \"x\"; expected it in a "
			"domestic one\n"
			"test.ini:13: error: \"approvals\" has no meaning in the foreign zone \"x\"; expected it in a "
			"domestic "
			"one\n" },
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

#define VOTERS(lines) GOOD "[zone e]\nkind = domestic\nbackends = c\n" lines "[backend c]\ntype = local\npath = /c\n"

/* Those who may approve: whether they are there, and enough. */
static void test_approvers(void **state)
{
	static const struct row rows[] = {
		{ VOTERS("approvers = root, uid:4711, group:root, gid:4711\napprovals = 100\n"), "" },
		{ VOTERS("approvers = no-body, group:no-group, uid:4711\n"),
			"test.ini:13: warning: \"approvers\" names the user \"no-body\", which this machine does not "
			"know: correct the name, or make the account before anybody has to approve\n"
			"test.ini:13: warning: \"approvers\" names the group \"no-group\", which this machine does not "
			"know: correct the name, or make the group before anybody has to approve\n" },
		{ VOTERS("export = approve\napprovers = a b\n"),
			"test.ini:14: error: bad value \"a b\" for \"approvers\"; expected users and groups, such as "
			"alice, uid:1000, group:compliance or gid:1000\n" },
		{ VOTERS("approvers = root, uid:5\napprovals = 3\n"), "test.ini:14: error: 3 must agree to what leaves "
								      "zone \"e\", and \"approvers\" names 2; expected "
								      "3 approvers or more, or fewer \"approvals\"\n" },
		{ VOTERS("approvers = root, uid:0\napprovals = 2\n"),
			"test.ini:14: warning: 2 must agree to what leaves zone \"e\", and of its approvers this "
			"machine "
			"knows 1: nothing can be approved until there are more\n" },
		{ VOTERS("approvers = root, group:no-group\napprovals = 2\n"),
			"test.ini:13: warning: \"approvers\" names the group \"no-group\", which this machine does not "
			"know: correct the name, or make the group before anybody has to approve\n"
			"test.ini:14: warning: 2 must agree to what leaves zone \"e\", and of its approvers this "
			"machine "
			"knows 1: nothing can be approved until there are more\n" },
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

#define FOREIGN_S3(lines)                                                                                              \
	"[zone x]\nkind = foreign\nnetworks = 10.0.0.0/8\nbackends = c\n[backend c]\ntype = s3\nendpoint = "           \
	"https://h\n" S3_REST lines
#define HOURS(given)                                                                                                   \
	"test.ini:20: error: bad value \"" given                                                                       \
	"\" for \"limit-hours\"; expected times of the day, such as 08:00-18:00, 22:30-02:00\n"
#define ABROAD(lines)                                                                                                  \
	GOOD "[zone x]\nkind = foreign\n" lines "backends = c\n[backend c]\ntype = s3\nendpoint = https://h\n" S3_REST
#define S3(lines) GOOD "[zone x]\nkind = foreign\nnetworks = 10.0.0.0/8\nbackends = c\n[backend c]\ntype = s3\n" lines
#define S3_REST	  "bucket = o\naccess-key = A\nsecret-key-file = /dev/null/k\n"

static void test_backends(void **state)
{
	static const struct row rows[] = {
		{ S3(""), "test.ini:14: error: [backend c] has no \"endpoint\"; expected an http or https URL of a "
			  "host, without "
			  "user, query or fragment\n"
			  "test.ini:14: error: [backend c] has no \"bucket\"; expected the bucket's name\n"
			  "test.ini:14: error: [backend c] has no \"access-key\"; expected the public half of the "
			  "credentials\n"
			  "test.ini:14: error: [backend c] has no \"secret-key-file\"; expected that, "
			  "\"secret-credential\" or \"secret-command\"\n" },
		{ S3("endpoint = ftp://h\nbucket = a/b\naccess-key = A\nsecret-key-file = /dev/null/k\nprefix = a//b\n"
		     "addressing = dns\nmode = off\nconnect-timeout = 0\ntimeout = 2h\nconnections = 65\n"
		     "upload-limit = 20M\npin-sha256 = abc\npath = /x\nendpont = x\n"),
			"test.ini:16: error: bad value \"ftp://h\" for \"endpoint\"; expected an http or https URL of "
			"a host, "
			"without user, query or fragment\n"
			"test.ini:17: error: bad value \"a/b\" for \"bucket\"; expected the bucket's name\n"
			"test.ini:20: error: bad value \"a//b\" for \"prefix\"; expected a path inside the bucket, "
			"such as "
			"office/data\n"
			"test.ini:21: error: bad value \"dns\" for \"addressing\"; expected path or virtual-host\n"
			"test.ini:22: error: bad value \"off\" for \"mode\"; expected readwrite, readonly, frozen or "
			"drain\n"
			"test.ini:23: error: bad value \"0\" for \"connect-timeout\"; expected a duration from 100ms "
			"to 1h, such as "
			"10s\n"
			"test.ini:24: error: bad value \"2h\" for \"timeout\"; expected a duration from 100ms to 1h, "
			"such as 30s\n"
			"test.ini:25: error: bad value \"65\" for \"connections\"; expected a number from 1 to 64\n"
			"test.ini:26: error: bad value \"20M\" for \"upload-limit\"; expected a rate, such as 20M/s\n"
			"test.ini:27: error: bad value \"abc\" for \"pin-sha256\"; expected 44 characters of base64: "
			"the SHA-256 of "
			"the server's public key\n"
			"test.ini:28: error: \"path\" has no meaning for a backend of type s3\n"
			"test.ini:29: error: unknown key \"endpont\" in [backend c]; did you mean \"endpoint\"?\n" },
		{ S3("endpoint = https://u:p@h\n" S3_REST), "test.ini:16: error: bad value \"https://u:p@h\" for "
							    "\"endpoint\"; expected an http or https URL of a host, "
							    "without user, query or fragment\n" },
		{ S3("endpoint = https://h/?x=1\n" S3_REST), "test.ini:16: error: bad value \"https://h/?x=1\" for "
							     "\"endpoint\"; expected an http or https URL of a "
							     "host, without user, query or fragment\n" },
		{ S3("endpoint = https://\n" S3_REST), "test.ini:16: error: bad value \"https://\" for \"endpoint\"; "
						       "expected an http or https URL of a host, "
						       "without user, query or fragment\n" },
		{ S3("endpoint = http://127.0.0.1:1\n" S3_REST), "" },
		{ S3("endpoint = http://h\nca-file = /etc/passwd\npin-sha256 = "
		     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\npin-sha256 = "
		     "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n" S3_REST),
			"test.ini:16: warning: http://h is not https: nobody vouches for the server\n"
			"test.ini:17: error: \"ca-file\" needs an https endpoint\n"
			"test.ini:18: error: \"pin-sha256\" needs an https endpoint\n" },
		{ S3("endpoint = https://h\nca-file = none.pem\nbucket = o\naccess-key = A\nsecret-key-file = "
		     "open.key\n"),
			"test.ini:17: warning: there is no file none.pem\n"
			"test.ini:20: warning: open.key is not a regular file of mode 0600 and will be refused\n" },
		{ S3("endpoint = https://h\nbucket = o\naccess-key = A\nsecret-key-file = no.key\n"),
			"test.ini:19: warning: there is no file no.key\n" },
		{ GOOD "[zone x]\nkind = foreign\nbackends = c, e\n[backend c]\ntype = ftp\nbucket = a/b\n[backend "
		       "e]\npath = "
		       "/e\n",
			"test.ini:14: error: unknown backend type \"ftp\"; expected local, s3, swift, sftp, webdav or "
			"azure\n"
			"test.ini:16: error: [backend e] has no \"type\"; expected local, s3, swift, sftp, webdav or "
			"azure\n" },
		{ GOOD "[zone x]\nkind = foreign\nbackends = c, e\n[backend c]\ntype = local\npath = p/q/\n[backend "
		       "e]\n"
		       "type = local\npath = pp\nendpoint = https://h\n",
			"test.ini:13: error: backends \"b\" and \"c\" are the same place, or one lies inside the "
			"other; expected "
			"two places\n"
			"test.ini:19: error: \"endpoint\" has no meaning for a backend of type local\n" },
		{ S3("endpoint = https://H:443/\nprefix = a\n" S3_REST) "[zone y]\nkind = foreign\nbackends = g, h\n"
									"networks = 10.0.0.0/8\n"
									"[backend g]\ntype = s3\nendpoint = https://h\n"
									"prefix = a/b\n" S3_REST
									"[backend h]\ntype = s3\nendpoint = https://h\n"
									"prefix = ab\n" S3_REST,
			"test.ini:25: error: backends \"c\" and \"g\" are the same place, or one lies inside the "
			"other; expected "
			"two places\n" },
		{ GOOD "[zone x]\nkind = foreign\nbackends = c\n[backend c]\ntype = s3\nendpoint = https://h\n" S3_REST,
			"test.ini:10: warning: zone \"x\" has no \"networks\": its servers' addresses are not "
			"checked\n" },
		{ GOOD FOREIGN_S3("client-key-file = /dev/null/k\n"),
			"test.ini:20: error: \"client-key-file\" without \"client-cert-file\"; expected both\n" },
		{ GOOD FOREIGN_S3("client-cert-file = open.key\n"),
			"test.ini:20: error: \"client-cert-file\" without \"client-key-file\"; expected both\n" },
		{ GOOD FOREIGN_S3("client-cert-file = none.pem\nclient-key-file = open.key\n"),
			"test.ini:20: warning: there is no file none.pem\n"
			"test.ini:21: warning: open.key is not a regular file of mode 0600 and will be refused\n" },
		{ GOOD FOREIGN_S3("upload-limit = 1M/s\nlimit-hours = 08:00-18:00, 22:30-02:00, 00:00-24:00\n"), "" },
		{ GOOD FOREIGN_S3("limit-hours = 08:00-18:00\n"),
			"test.ini:20: error: \"limit-hours\" without \"upload-limit\" or \"download-limit\"; expected "
			"what "
			"they bound\n" },
		{ GOOD FOREIGN_S3("limit-hours = 8-18\nupload-limit = 1M/s\n"), HOURS("8-18") },
		{ GOOD FOREIGN_S3("limit-hours = 08:00\nupload-limit = 1M/s\n"), HOURS("08:00") },
		{ GOOD FOREIGN_S3("limit-hours = 08:00-08:00\nupload-limit = 1M/s\n"), HOURS("08:00-08:00") },
		{ GOOD FOREIGN_S3("limit-hours = 08:00-24:01\nupload-limit = 1M/s\n"), HOURS("08:00-24:01") },
		{ GOOD FOREIGN_S3("limit-hours = 08:60-09:00\nupload-limit = 1M/s\n"), HOURS("08:60-09:00") },
		{ GOOD FOREIGN_S3("limit-hours = 08:00-18:00x\nupload-limit = 1M/s\n"), HOURS("08:00-18:00x") },
		{ ABROAD("countries = CN\n"),
			"test.ini:12: warning: zone \"x\" has no \"country-db\" and no \"networks\": its servers' "
			"addresses are not checked\n" },
		{ ABROAD("countries = CN\ncountry-db = open.key\n"), "" },
		{ ABROAD("countries = CN\nnetworks = 10.0.0.0/8\n"), "" },
		{ ABROAD("country-db = open.key\n"),
			"test.ini:12: error: \"country-db\" in zone \"x\" without \"countries\"; expected those in "
			"which its servers may be\n" },
		{ ABROAD("countries = CN\ncountry-db = none.mmdb\n"),
			"test.ini:13: warning: there is no readable file none.mmdb: no server of zone \"x\" will be "
			"spoken to\n" },
	};

	(void)state;
	scratch_write("open.key", "x");
	chmod("open.key", 0644);
	check_rows(rows, COUNT(rows));
}

#define SWIFT(rest)                                                                                                    \
	GOOD "[zone x]\nkind = foreign\nnetworks = 10.0.0.0/8\nbackends = c\n[backend c]\ntype = swift\n"              \
	     "password-file = /dev/null/key\ncontainer = office\n" rest

static void test_swift(void **state)
{
	static const struct row rows[] = {
		{ SWIFT("auth-url = https://h/auth/v1.0\nuser = a:u\nprefix = p\n"), "" },
		{ SWIFT("auth-url = https://h/auth/v1.0\nuser = a:u\nsecret-credential = office\n"),
			"test.ini:20: error: \"secret-credential\" stands beside \"password-file\"; expected one of "
			"them\n" },
		{ SWIFT("auth-url = https://h/auth/v1.0\nuser = a:u\nsecret-command = pass show\n"
			"secret-credential = ../office\n"),
			"test.ini:20: error: bad value \"pass show\" for \"secret-command\"; expected the absolute "
			"path of a "
			"program and its arguments, with blanks between them\n"
			"test.ini:20: error: \"secret-command\" stands beside \"secret-credential\"; expected one of "
			"them\n"
			"test.ini:21: error: bad value \"../office\" for \"secret-credential\"; expected the name of a "
			"credential, as LoadCredential= in a unit of systemd has it\n"
			"test.ini:21: error: \"secret-credential\" stands beside \"password-file\"; expected one of "
			"them\n" },
		{ SWIFT("auth-url = https://h:5000/v3\nauth-version = 3\nuser = u\nproject = p\ndomain = d\n"
			"region = R\ninterface = internal\n"),
			"" },
		{ SWIFT("auth-url = https://h:5000/v3\nauth-version = 3\napplication-credential = "
			"21dced0fd20347869b93710"
			"d2b98aae0\nstorage-url = https://s/v1/AUTH_a\n"),
			"" },
		{ SWIFT("user = a:u\n"),
			"test.ini:14: error: [backend c] has no \"auth-url\"; expected the http or https URL of the "
			"login service, without user, query or fragment\n" },
		{ SWIFT("auth-url = https://h\nuser = nobody\nproject = p\nregion = r\n"),
			"test.ini:19: error: expected \"user\" to be ACCOUNT:USER\n"
			"test.ini:20: error: \"project\" needs auth-version = 3\n"
			"test.ini:21: error: \"region\" needs auth-version = 3\n" },
		{ SWIFT("auth-url = https://h\nauth-version = 3\nuser = u\n"),
			"test.ini:19: error: auth-version = 3 without \"user\" and \"project\"; expected both, or "
			"\"application-credential\"\n" },
		{ SWIFT("auth-url = https://h\nauth-version = 3\nuser = u\napplication-credential = i\n"),
			"test.ini:21: error: \"application-credential\" stands beside \"user\" or \"project\"; "
			"expected it alone\n" },
		{ SWIFT("auth-url = https://h?a\nuser = a:u\nauth-version = 2\ninterface = inner\nbucket = b\n"
			"storage-url = ftp://h\n"),
			"test.ini:18: error: bad value \"https://h?a\" for \"auth-url\"; expected the http or https "
			"URL of the login service, without user, query or fragment\n"
			"test.ini:20: error: bad value \"2\" for \"auth-version\"; expected 1 (tempauth) or 3 "
			"(Keystone)\n"
			"test.ini:21: error: bad value \"inner\" for \"interface\"; expected public, internal or "
			"admin\n"
			"test.ini:21: error: \"interface\" needs auth-version = 3\n"
			"test.ini:22: error: \"bucket\" has no meaning for a backend of type swift\n"
			"test.ini:23: error: bad value \"ftp://h\" for \"storage-url\"; expected the http or https URL "
			"of "
			"the account's storage, without user, query or fragment\n" },
		{ SWIFT("auth-url = http://h\nuser = a:u\nca-file = /etc/passwd\n"),
			"test.ini:18: warning: http://h is not https: nobody vouches for the server\n"
			"test.ini:20: error: \"ca-file\" needs an https endpoint\n" },
		{ SWIFT("auth-url = https://h\nuser = a:u\npassword-file = open.key\n"),
			"test.ini:20: error: \"password-file\" stands twice in [backend c], first in line 16; expected "
			"it "
			"once\n" },
		/* another account is another place */
		{ SWIFT("auth-url = https://h\nuser = a:u\n") "[zone y]\nkind = foreign\nnetworks = 10.0.0.0/8\n"
							      "backends = e, f\n[backend e]\ntype = swift\nauth-url = "
							      "https://h\nuser = b:u\ncontainer = office\n"
							      "password-file = open.key\n[backend f]\ntype = swift\n"
							      "auth-url = https://h\nuser = a:v\ncontainer = office\n"
							      "password-file = /dev/null/key\n",
			"test.ini:29: warning: open.key is not a regular file of mode 0600 and will be refused\n"
			"test.ini:30: error: backends \"c\" and \"f\" are the same place, or one lies inside the "
			"other; "
			"expected two places\n" },
	};

	(void)state;
	scratch_write("open.key", "x");
	chmod("open.key", 0644);
	check_rows(rows, COUNT(rows));
}

#define WEBDAV(name) "[backend " name "]\ntype = webdav\n"
#define DAV(rest)                                                                                                      \
	GOOD "[zone x]\nkind = foreign\nnetworks = 10.0.0.0/8\nbackends = c\n" WEBDAV(                                 \
		"c") "password-file = dav.key\n" rest
#define TWO(first, second)                                                                                             \
	GOOD "[zone x]\nkind = foreign\nnetworks = 10.0.0.0/8\nbackends = c, d\n" WEBDAV(                              \
		"c") "password-file = dav.key\n" first WEBDAV("d") "password-file = dav.key\n" second

static void test_webdav(void **state)
{
	static const char same[] =
		"test.ini:19: error: backends \"c\" and \"d\" are the same place, or one lies inside "
		"the other; expected two places\n";
	static const struct row rows[] = {
		{ DAV("endpoint = https://h/dav\nuser = u\nprefix = a/b\npin-sha256 = "
		      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"),
			"" },
		{ DAV("endpoint = https://h/dav\n"),
			"test.ini:14: error: [backend c] has no \"user\"; expected the name to log in with\n" },
		{ DAV("endpoint = https://h/dav\nuser = a:b\n"),
			"test.ini:18: error: expected \"user\" to be without a colon\n" },
		{ DAV("user = u\n"),
			"test.ini:14: error: [backend c] has no \"endpoint\"; expected an http or https URL "
			"of a host, without user, query or fragment\n" },
		{ DAV("endpoint = https://u@h/\nuser = u\nbucket = b\naccess-key = k\n"),
			"test.ini:17: error: bad value \"https://u@h/\" for \"endpoint\"; expected an http or https "
			"URL of "
			"a host, without user, query or fragment\n"
			"test.ini:19: error: \"bucket\" has no meaning for a backend of type webdav\n"
			"test.ini:20: error: \"access-key\" has no meaning for a backend of type webdav\n" },
		{ TWO("endpoint = https://h/dav\nuser = u\n", "endpoint = https://h/dav/\nuser = u\n"), same },
		{ TWO("endpoint = https://h/dav\nuser = u\n", "endpoint = https://h/dav/a\nuser = u\n"), same },
		{ TWO("endpoint = https://h/dav/a\nuser = u\n", "endpoint = https://h/dav\nuser = u\n"), same },
		{ TWO("endpoint = https://h/dav\nuser = u\n", "endpoint = https://h/davy\nuser = u\n"), "" },
		{ TWO("endpoint = https://h/dav\nuser = u\n", "endpoint = https://h/dav\nuser = v\n"), "" },
	};

	(void)state;
	scratch_write("dav.key", "x");
	chmod("dav.key", 0600);
	check_rows(rows, COUNT(rows));
}

#define AZURE(rest)                                                                                                    \
	GOOD "[zone x]\nkind = foreign\nnetworks = 10.0.0.0/8\nbackends = c\n[backend c]\ntype = azure\n"              \
	     "endpoint = https://a.blob.example\n" rest

static void test_azure(void **state)
{
	static const struct row rows[] = {
		{ AZURE("account = a\ncontainer = office\nkey-file = azure.key\nprefix = p\n"), "" },
		{ AZURE("container = office\nsas-file = azure.key\n"), "" },
		{ AZURE("container = office\n"),
			"test.ini:14: error: [backend c] has no \"key-file\"; "
			"expected that, \"sas-file\", \"secret-credential\" or \"secret-command\"\n" },
		{ AZURE("container = office\naccount = a\nsecret-command = /bin/echo a  b\n"), "" },
		{ AZURE("account = a\ncontainer = office\nkey-file = azure.key\nsas-file = azure.key\n"),
			"test.ini:20: error: \"sas-file\" stands beside \"key-file\"; expected one of them\n" },
		{ AZURE("container = office\nkey-file = azure.key\n"),
			"test.ini:18: error: \"key-file\" needs \"account\"\n" },
		{ AZURE("sas-file = azure.key\npassword-file = azure.key\n"),
			"test.ini:14: error: [backend c] has no \"container\"; expected the container's name\n"
			"test.ini:18: error: \"password-file\" has no meaning for a backend of type azure\n" },
		{ AZURE("container = office\nsas-file = azure.open\n"),
			"test.ini:18: warning: azure.open is not a regular file of mode 0600 and will be refused\n" },
	};

	(void)state;
	scratch_write("azure.key", "x");
	chmod("azure.key", 0600);
	scratch_write("azure.open", "x");
	chmod("azure.open", 0644);
	check_rows(rows, COUNT(rows));
}

static void test_webdav_identity(void **state)
{
	struct config *c;
	char *text;

	(void)state;
	scratch_write("test.ini", DAV("endpoint = https://H:443/dav/\nuser = u\nprefix = p\n"));
	assert_int_equal(scratch_load(&c, &text), 0);
	free(text);
	text = config_backend_identity(c->backends[1]);
	assert_string_equal(text, "webdav u https://h/dav/p/ x");
	free(text);
	config_put(c);
}

#define SFTP(rest)                                                                                                     \
	GOOD "[zone x]\nkind = foreign\nnetworks = 10.0.0.0/8\nbackends = c\n[backend c]\ntype = sftp\n"               \
	     "key-file = /dev/null/key\n" rest
#define SFTP_PIN "host-key-sha256 = SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"

static void test_server_identity(void **state)
{
	static const struct {
		const char *text, *identity;
	} rows[] = {
		{ SWIFT("auth-url = https://H:443/auth/v1.0/\nuser = a:u\nprefix = p\n"),
			"swift https://h/auth/v1.0 a office /p/ x" },
		{ SWIFT("auth-url = https://h/v3\nauth-version = 3\nuser = u\nproject = p\nregion = R\n"),
			"swift https://h/v3 Default/p R office / x" },
		{ SWIFT("auth-url = https://h/v3\nauth-version = 3\napplication-credential = i\nstorage-url = "
			"https://s/1\n"),
			"swift https://h/v3 - - https://s/1 office / x" },
		{ SFTP("endpoint = sftp://H:22\nuser = u\ndirectory = /srv/a/\n" SFTP_PIN), "sftp sftp://h /srv/a x" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct config *c;
		char *text;

		scratch_write("test.ini", rows[i].text);
		assert_int_equal(scratch_load(&c, &text), 0);
		free(text);
		text = config_backend_identity(c->backends[1]);
		assert_string_equal(text, rows[i].identity);
		free(text);
		config_put(c);
	}
}

static void test_sftp(void **state)
{
	static const struct row rows[] = {
		{ SFTP("endpoint = sftp://h\nuser = u\ndirectory = /srv/\n" SFTP_PIN SFTP_PIN), "" },
		{ SFTP("endpoint = sftp://[2001:db8::1]:2022\nuser = u\ndirectory = /srv\nknown-hosts-file = "
		       "/etc/passwd\ntimeout = 5s\n"),
			"" },
		{ SFTP("directory = /srv\n"),
			"test.ini:14: error: [backend c] has no \"endpoint\"; expected sftp://HOST or "
			"sftp://HOST:PORT\n"
			"test.ini:14: error: [backend c] has no \"user\"; expected the name to log in with\n"
			"test.ini:14: error: [backend c] has neither \"host-key-sha256\" nor \"known-hosts-file\"; "
			"expected "
			"one: without it anybody could be the server\n" },
		{ SFTP("endpoint = https://h\nuser = u\ndirectory = srv\nhost-key-sha256 = AAAA\nbucket = b\n"
		       "known-hosts-file = none\npin-sha256 = x\n"),
			"test.ini:17: error: bad value \"https://h\" for \"endpoint\"; expected sftp://HOST or "
			"sftp://HOST:PORT\n"
			"test.ini:19: error: bad value \"srv\" for \"directory\"; expected an absolute directory on "
			"the "
			"server\n"
			"test.ini:20: error: bad value \"AAAA\" for \"host-key-sha256\"; expected SHA256: and 43 "
			"characters of base64, as ssh-keygen -l prints it\n"
			"test.ini:21: error: \"bucket\" has no meaning for a backend of type sftp\n"
			"test.ini:22: warning: there is no file none\n"
			"test.ini:23: error: \"pin-sha256\" has no meaning for a backend of type sftp\n" },
		{ SFTP("endpoint = sftp://u@h\nuser = u\ndirectory = /srv/../etc\n" SFTP_PIN),
			"test.ini:17: error: bad value \"sftp://u@h\" for \"endpoint\"; expected sftp://HOST or "
			"sftp://HOST:PORT\n"
			"test.ini:19: error: bad value \"/srv/../etc\" for \"directory\"; expected an absolute "
			"directory "
			"on the server\n" },
		{ SFTP("endpoint = sftp://h/srv\nuser = u\ndirectory = /\n" SFTP_PIN),
			"test.ini:17: error: bad value \"sftp://h/srv\" for \"endpoint\"; expected sftp://HOST or "
			"sftp://HOST:PORT\n"
			"test.ini:19: error: bad value \"/\" for \"directory\"; expected an absolute directory on the "
			"server\n" },
		{ SFTP("endpoint = sftp://h\nuser = u\ndirectory = /srv/a\n" SFTP_PIN) "[zone y]\nkind = foreign\n"
										       "networks = "
										       "10.0.0.0/8\nbackends = e, "
										       "f\n[backend e]\ntype = "
										       "sftp\nkey-file = open.key\n"
										       "endpoint = sftp://H:22\nuser = "
										       "v\ndirectory = "
										       "/srv/a/b\n" SFTP_PIN
										       "[backend f]\ntype = "
										       "sftp\nkey-file = "
										       "/dev/null/key\nendpoint = "
										       "sftp://h\nuser = u\n"
										       "directory = /srv/ab\n" SFTP_PIN,
			"test.ini:25: error: backends \"c\" and \"e\" are the same place, or one lies inside the "
			"other; "
			"expected two places\n"
			"test.ini:27: warning: open.key is not a regular file of mode 0600 and will be refused\n" },
	};

	(void)state;
	scratch_write("open.key", "x");
	chmod("open.key", 0644);
	check_rows(rows, COUNT(rows));
}

static void test_rules(void **state)
{
	static const struct row rows[] = {
		{ GOOD FOREIGN "[rule r]\nzone = f\n", "test.ini:20: error: [rule r] has no condition; expected one at "
						       "least (path = ** is every file's)\n" },
		{ GOOD "[tag t]\n", "test.ini:10: error: [tag t] has no condition; expected one at least (path = ** is "
				    "every file's)\n" },
		{ GOOD "[rule r]\npath = /a\n",
			"test.ini:10: error: [rule r] has no \"zone\"; expected the zone of what matches\n" },
		{ GOOD "[rule r]\npath = /a\nzone = dd\n",
			"test.ini:12: error: unknown zone \"dd\"; did you mean \"d\"?\n" },
		{ GOOD "[rule r]\nzone = d\npathh = /a\npath = /a\n",
			"test.ini:12: error: unknown key \"pathh\" in [rule r]; did you mean \"path\"?\n" },
		{ GOOD "[rule r]\nzone = d\nnot_path = /a\npath = /a\n",
			"test.ini:12: error: unknown key \"not_path\" in [rule r]; did you mean \"not-path\"?\n" },
		{ GOOD "[rule r]\nzone = d\ncountry = CN\npath = /a\n",
			"test.ini:12: error: unknown key \"country\" in [rule r]; expected zone, export, pin, "
			"warn-after, "
			"stop-after, path, name, "
			"tag, size, "
			"age, owner, type, link-count, hours, days, date or not- before one of these\n" },
		{ GOOD "[tag t]\nzone = d\npath = /a\n",
			"test.ini:11: error: unknown key \"zone\" in [tag t]; "
			"expected set-by, path, name, tag, size, age, owner, type, link-count, hours, days, date or "
			"not- before one of these\n" },
		{ GOOD "[rule r]\nzone = d\npath = /a\npath = /b\nnot-path = /c\n",
			"test.ini:13: error: \"path\" stands twice in [rule r], first in line 12; expected it once\n" },
		{ GOOD "[rule r]\nzone = d\npath = /a, !/b\nname = a/b, x\ntag = a,,b\n",
			"test.ini:12: error: bad value for \"path\": the pattern \"!/b\" holds a leading !, which has "
			"no meaning "
			"here (use a not- key, or \\! for the character)\n"
			"test.ini:13: error: bad value for \"name\": the pattern \"a/b\" holds a /, which no name has "
			"(use the key "
			"path)\n"
			"test.ini:14: error: \"tag\" holds an empty item; expected values with a comma between "
			"them\n" },
		{ GOOD "[rule r]\nzone = d\nsize = 1M\nage = >30x\nowner = no-such-user\ntype = image\nexport = "
		       "maybe\npin = true\n",
			"test.ini:12: error: bad value \"1M\" for \"size\"; expected a size, such as >1M, <=4K or "
			"1K..1M\n"
			"test.ini:13: error: bad value \">30x\" for \"age\"; expected an age, such as >30d, <=1h or "
			"1d..7d\n"
			"test.ini:14: error: bad value \"no-such-user\" for \"owner\"; expected a user that exists "
			"here, group:NAME, "
			"uid:NUMBER or gid:NUMBER\n"
			"test.ini:15: error: bad value \"image\" for \"type\"; expected a media type, such as "
			"image/png or "
			"image/*\n"
			"test.ini:16: error: bad value \"maybe\" for \"export\"; expected deny, approve or allow\n"
			"test.ini:17: error: bad value \"true\" for \"pin\"; expected yes or no\n" },
		{ GOOD "[rule r]\nzone = d\nsize = <0\nnot-size = 4K..1K\nnot-owner = group:no-such-group, root\nowner "
		       "= "
		       "uid:4294967295\ntype = */png\n",
			"test.ini:12: error: bad value \"<0\" for \"size\"; expected a size, such as >1M, <=4K or "
			"1K..1M\n"
			"test.ini:13: error: bad value \"4K..1K\" for \"not-size\"; expected a size, such as >1M, <=4K "
			"or 1K..1M\n"
			"test.ini:14: error: bad value \"group:no-such-group\" for \"not-owner\"; expected a group "
			"that exists here, "
			"or gid:NUMBER\n"
			"test.ini:15: error: bad value \"uid:4294967295\" for \"owner\"; expected a number after the "
			"colon, such as "
			"uid:1000\n"
			"test.ini:16: error: bad value \"*/png\" for \"type\"; expected a media type, such as "
			"image/png or "
			"image/*\n" },
		{ GOOD "[rule r]\nzone = d\npath = /a\nexport = approve\n",
			"test.ini:13: error: export = approve while the home zone \"d\" has no \"approvers\"; expected "
			"those who may "
			"approve\n" },
		{ GOOD "[rule r]\nzone = d\npath = /a\nstop-after = 1000 file s\n",
			"test.ini:13: error: bad value \"1000 file s\" for \"stop-after\"; expected files, bytes or "
			"both in a month, "
			"such as 1000 files, 10G\n" },
		{ GOOD "[rule r]\nzone = d\npath = /a\nwarn-after = 1 files, 2 files\n",
			"test.ini:13: error: bad value \"1 files, 2 files\" for \"warn-after\"; expected files, bytes "
			"or both in a month, "
			"such as 1000 files, 10G\n" },
		{ GOOD "[rule r]\nzone = d\npath = /a\nstop-after = 10G, 1K\n",
			"test.ini:13: error: bad value \"10G, 1K\" for \"stop-after\"; expected files, bytes or both "
			"in a month, "
			"such as 1000 files, 10G\n" },
		{ GOOD "[rule r]\nzone = d\npath = /a\nstop-after = 0 files\n",
			"test.ini:13: error: bad value \"0 files\" for \"stop-after\"; expected files, bytes or both "
			"in a month, "
			"such as 1000 files, 10G\n" },
		{ GOOD "[rule r]\nzone = d\npath = /a\nwarn-after = files\n",
			"test.ini:13: error: bad value \"files\" for \"warn-after\"; expected files, bytes or both in "
			"a month, "
			"such as 1000 files, 10G\n" },
		{ GOOD "[rule r]\nzone = d\npath = /a\nstop-after = 10 bytes\n",
			"test.ini:13: error: bad value \"10 bytes\" for \"stop-after\"; expected files, bytes or both "
			"in a month, "
			"such as 1000 files, 10G\n" },
		{ GOOD "[rule r]\nzone = d\npath = /a\nstop-after = 1 file,\n",
			"test.ini:13: error: bad value \"1 file,\" for \"stop-after\"; expected files, bytes or both "
			"in a month, "
			"such as 1000 files, 10G\n" },
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

#define INCLUDE(what)                                                                                                  \
	"[filesystem]\nstore = s\nhome = d\ninclude = " what                                                           \
	"\n[zone d]\nkind = domestic\nbackends = b\n[backend b]\ntype = local\npath = p\n[rule main]\npath = "         \
	"/m\nzone = d\n"

#define INCLUDE_ERROR(what) "test.ini:4: error: \"include\": " what "\n"
#define NOTHING_MATCHES(what)                                                                                          \
	"test.ini:4: warning: \"include\": nothing matches " what ": no tag and no rule comes from there\n"

static void test_include_faults(void **state)
{
	static const struct row rows[] = {
		{ INCLUDE("rules.d/none*.ini"), NOTHING_MATCHES("rules.d/none*.ini") },
		{ INCLUDE("rules.d/none.ini"), INCLUDE_ERROR("there is no file rules.d/none.ini") },
		{ INCLUDE("away.d/*.ini"), INCLUDE_ERROR("there is no directory away.d") },
		{ INCLUDE("away.d/deep/*.ini"), INCLUDE_ERROR("there is no directory away.d") },
		{ INCLUDE("away.d/x.ini"), INCLUDE_ERROR("there is no directory away.d") },
		{ INCLUDE("/no/[a-z]*/x.ini"), INCLUDE_ERROR("there is no directory /no") },
		{ INCLUDE("loop/*.ini"), INCLUDE_ERROR("loop cannot be read: Too many levels of symbolic links") },
		{ INCLUDE("l*p/*.ini"), INCLUDE_ERROR("loop cannot be read: Too many levels of symbolic links") },
		{ INCLUDE("loop/x.ini"), INCLUDE_ERROR("loop cannot be read: Too many levels of symbolic links") },
		{ INCLUDE("rules.d/loop.ini"),
			INCLUDE_ERROR("rules.d/loop.ini cannot be read: Too many levels of symbolic links") },
		{ INCLUDE("gon?/*.ini"), INCLUDE_ERROR("gone cannot be read: No such file or directory") },
		{ INCLUDE("test.ini/*.ini"), INCLUDE_ERROR("test.ini cannot be read: Not a directory") },
		{ INCLUDE("*.ini/*.ini"), NOTHING_MATCHES("*.ini/*.ini") },
		{ INCLUDE("sites/*/rules.d/*.ini"), INCLUDE_ERROR("there is no directory sites/b/rules.d") },
		{ INCLUDE("sites/*/x.ini"), NOTHING_MATCHES("sites/*/x.ini") },
		{ INCLUDE("sites/*/x*.ini"), NOTHING_MATCHES("sites/*/x*.ini") },
		{ INCLUDE("sites/a/rules.d/*.ini"), "" },
		{ INCLUDE("sites//*/rules.d/../rules.d/*.ini"),
			INCLUDE_ERROR("there is no directory sites/b/rules.d") },
		{ INCLUDE("sites/"), NOTHING_MATCHES("sites/") },
		{ INCLUDE("rules.d/.*"), NOTHING_MATCHES("rules.d/.*") },
		{ INCLUDE("rules.d/[q-"), NOTHING_MATCHES("rules.d/[q-") },
		{ INCLUDE("/"), NOTHING_MATCHES("/") },
		{ INCLUDE("a,,b"), "test.ini:4: error: bad value \"a,,b\" for \"include\"; expected files, such as "
				   "rules.d/*.ini\n" },
		{ INCLUDE("rules.d/*.bad"),
			"rules.d/1.bad:1: error: [zone z] may not stand in an included file; expected [tag NAME] or "
			"[rule NAME]\n"
			"rules.d/1.bad:3: error: [rule main] stands twice, first at test.ini:11; expected it "
			"once\n" INCLUDE_ERROR("rules.d/2.bad is not a regular file")
				INCLUDE_ERROR("rules.d/3.bad cannot be read: No such file or directory")
					INCLUDE_ERROR("rules.d/4.bad is not a regular file") },
	};

	(void)state;
	assert_int_equal(file_mkdirs("rules.d", 0700), 0);
	assert_int_equal(file_mkdirs("sites/a/rules.d", 0700), 0);
	assert_int_equal(file_mkdirs("sites/b", 0700), 0);
	assert_int_equal(symlink("loop", "loop"), 0);
	assert_int_equal(symlink("loop.ini", "rules.d/loop.ini"), 0);
	assert_int_equal(symlink("nothing", "gone"), 0);
	scratch_write("sites/README", "no directory");
	scratch_write("sites/a/rules.d/x.ini", "[rule x]\npath = /x\nzone = d\n");
	scratch_write("rules.d/1.bad", "[zone z]\nkind = domestic\n[rule main]\npath = /x\nzone = d\n");
	assert_int_equal(mkfifo("rules.d/2.bad", 0600), 0);
	assert_int_equal(symlink("nothing", "rules.d/3.bad"), 0);
	assert_int_equal(symlink("/dev/null", "rules.d/4.bad"), 0);
	check_rows(rows, COUNT(rows));
	assert_int_equal(unlink("rules.d/loop.ini"), 0);
}

/* a directory is the *.ini in it, and nothing else */
static void test_include_directory(void **state)
{
	static const char *const order[] = { "main", "one", "two" };
	struct config *c;
	char *text;

	(void)state;
	assert_int_equal(file_mkdirs("whole.d/sub.d", 0700), 0);
	scratch_write("whole.d/2.ini", "[rule two]\npath = /x\nzone = d\n");
	scratch_write("whole.d/1.ini", "[rule one]\npath = /x\nzone = d\n");
	scratch_write("whole.d/3.ini.off", "[rule off]\npath = /x\nzone = d\n");
	scratch_write("whole.d/sub.d/4.ini", "[rule below]\npath = /x\nzone = d\n");
	scratch_write("test.ini", INCLUDE("whole.d"));
	assert_int_equal(scratch_load(&c, &text), 0);
	assert_string_equal(text, "");
	free(text);
	assert_int_equal(rules_count(c), COUNT(order));
	for (size_t i = 0; i < COUNT(order); i++)
		assert_string_equal(rule_name(rules_at(c, i)), order[i]);
	config_put(c);
}

static void test_includes(void **state)
{
	static const char *const order[] = { "main", "late", "first", "second" };
	struct config *c;
	char *text;

	(void)state;
	assert_int_equal(file_mkdirs("rules.d", 0700), 0);
	scratch_write("rules.d/b.ini", "[rule second]\npath = /x\nzone = d\n");
	scratch_write("rules.d/B.ini", "[rule first]\npath = /x\nzone = d\n");
	scratch_write("rules.d/.hidden.ini", "[rule hidden]\npath = /x\nzone = d\n");
	scratch_write("z.ini", "[rule late]\npath = /x\nzone = d\n");
	scratch_write("test.ini", INCLUDE("z.ini, rule?.d/[bB]*.ini"));
	assert_int_equal(scratch_load(&c, &text), 0);
	assert_string_equal(text, "");
	free(text);
	assert_int_equal(rules_count(c), COUNT(order));
	for (size_t i = 0; i < COUNT(order); i++)
		assert_string_equal(rule_name(rules_at(c, i)), order[i]);
	assert_int_equal(rule_origin(rules_at(c, 2))->line, 1);
	assert_string_equal(strrchr(rule_origin(rules_at(c, 2))->file, '/'), "/B.ini");
	config_put(c);
}

static void expect_one_rule(const char *file)
{
	struct config_messages msgs = { 0 };
	struct config *c;

	assert_int_equal(config_load(&c, file, &msgs), 0);
	assert_int_equal(msgs.count, 0);
	assert_int_equal(rules_count(c), 1);
	config_put(c);
	config_messages_free(&msgs);
}

/* where the file stands is no part of its patterns */
static void test_include_places(void **state)
{
	char home[128];

	(void)state;
	assert_int_equal(file_mkdirs("[odd]/rules.d", 0700), 0);
	scratch_write("[odd]/rules.d/a.ini", "[rule a]\npath = /x\nzone = d\n");
	scratch_write("[odd]/test.ini", "[filesystem]\nstore = s\nhome = d\ninclude = rules.d/*.ini\n[zone d]\nkind = "
					"domestic\nbackends = b\n[backend b]\ntype = local\npath = p\n");
	expect_one_rule("[odd]/test.ini");
	scratch_write("[odd]/test.ini", "[filesystem]\nstore = s\nhome = d\ninclude = ~/rules.d/?.ini\n[zone d]\nkind "
					"= domestic\nbackends = b\n[backend b]\ntype = local\npath = p\n");
	snprintf(home, sizeof home, "%s/[odd]", scratch);
	setenv("HOME", home, 1);
	expect_one_rule("[odd]/test.ini");
}

/* what is no file would hang whoever opens it, or is none of ours to open */
static void test_no_file(void **state)
{
	struct config_messages msgs = { 0 };
	struct config *c;
	char *store;

	(void)state;
	assert_int_equal(mkfifo("fifo.ini", 0600), 0);
	assert_int_equal(config_load(&c, "fifo.ini", &msgs), -ERR_CONFIG);
	assert_null(c);
	assert_int_equal(msgs.count, 1);
	assert_int_equal(msgs.v[0].line, 0);
	assert_string_equal(msgs.v[0].text, "is not a regular file");
	config_messages_free(&msgs);
	assert_int_equal(config_load(&c, "/dev/zero", &msgs), -ERR_CONFIG);
	config_messages_free(&msgs);
	assert_int_equal(config_locate("fifo.ini", &store), -ENOTSUP);
	assert_null(store);
}

static void test_files(void **state)
{
	struct config_messages msgs = { 0 };
	struct config *c;
	char *text;

	(void)state;
	assert_int_equal(config_load(&c, "absent.ini", &msgs), -ENOENT);
	assert_null(c);
	assert_int_equal(msgs.count, 1);
	assert_string_equal(msgs.v[0].text, "cannot be read: No such file or directory");
	config_messages_free(&msgs);
	assert_int_equal(config_load(&c, scratch, &msgs), -EISDIR);
	config_messages_free(&msgs);
	scratch_write("test.ini", GOOD);
	assert_int_equal(chmod("test.ini", 0666), 0);
	assert_int_equal(scratch_load(&c, &text), 0);
	assert_string_equal(text, "test.ini: warning: can be written by every user; chmod it to 0644\n");
	free(text);
	config_put(c);
	config_put(NULL);
}

static char *in_scratch(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", scratch, name);
	return path;
}

static void test_quota_faults(void **state)
{
	static const struct row rows[] = {
		{ GOOD "[quota a]\nowner = root\nbytes = 1G\n[quota b]\ngroup = root\ninodes = 5\n"
		       "[quota c]\nowner = 54321\ninodes = 1K\nbytes = 1\n",
			"" },
		{ GOOD "[quota a]\nowner = no-such-user\nbytes = 1G\n",
			"test.ini:11: error: bad value \"no-such-user\" for \"owner\"; expected a user that exists "
			"here, or "
			"a user's number\n" },
		{ GOOD "[quota a]\ngroup = 4294967295\nbytes = 1G\n",
			"test.ini:11: error: bad value \"4294967295\" for \"group\"; expected a group that exists "
			"here, or a "
			"group's number\n" },
		{ GOOD "[quota a]\nbytes = 0\ninodes = many\n",
			"test.ini:10: error: [quota a] has neither \"owner\" nor \"group\"; expected one of them\n"
			"test.ini:11: error: bad value \"0\" for \"bytes\"; expected a size, such as 10G\n"
			"test.ini:12: error: bad value \"many\" for \"inodes\"; expected a number, such as 100K\n" },
		{ GOOD "[quota a]\nowner = root\ngroup = root\nbytes = 1\n",
			"test.ini:12: error: [quota a] has both \"owner\" and \"group\"; expected one\n" },
		{ GOOD "[quota a]\nowner = root\n",
			"test.ini:10: error: [quota a] bounds nothing; expected \"bytes\", \"inodes\" or both\n" },
		{ GOOD "[quota a]\nowner = root\nbytes = 1\n[quota b]\nbytes = 2\nowner = 0\n",
			"test.ini:15: error: user 0 has a quota already, [quota a] at test.ini:10; expected one "
			"section "
			"for each\n" },
		{ GOOD "[quota a]\nowner = root\nbytes = 1\nsoft = 2\n",
			"test.ini:13: error: unknown key \"soft\" in [quota a]; expected one of owner, group, bytes, "
			"inodes\n" },
		{ GOOD "[quota]\nowner = root\n", "test.ini:10: error: [quota]: expected [quota NAME]\n" },
		{ "[filesystem]\nsize = 0\naudit-lines = 999\ninodes = x\nstore = s\nhome = d\n[zone d]\nkind = "
		  "domestic\nbackends = b\n"
		  "[backend b]\ntype = local\npath = p\n",
			"test.ini:2: error: bad value \"0\" for \"size\"; expected a size, such as 500G\n"
			"test.ini:3: error: bad value \"999\" for \"audit-lines\"; expected a number of at least 1000, "
			"such "
			"as 64K\n"
			"test.ini:4: error: bad value \"x\" for \"inodes\"; expected a number, such as 1M\n" },
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void test_values(void **state)
{
	struct config *c;
	struct config_backend *b;
	struct config_zone *z;
	char *text;

	(void)state;
	setenv("HOME", "/home/u", 1);
	scratch_write("test.ini",
		"[filesystem]\nname = office\nstore = ~/st\nhome = d\ncache = 64M\nsize = 500G\ninodes = "
		"1M\naudit-lines = 2K\nsettle = "
		"500ms\nmax-delay = 2h\n"
		"block-size = 1M\n[keys]\npassphrase-file = pass\nkey-file = /k\n"
		"[zone d]\nkind = domestic\ncountries = cn, HK\nnetworks = 10.20.0.0/16, 2001:db8::/32\nbackends = c, "
		"b\n"
		"copies = 2\nexport = approve\napprovers = root, group:daemon\napprovals = 2\npadding = "
		"padme\npack = 64K\n"
		"[backend b]\ntype = local\npath = /nas//\nmode = frozen\n"
		"[backend c]\ntype = s3\nendpoint = HTTPS://Oss.Example.CN:443/\nregion = r\nbucket = o\nprefix = "
		"/a/b/\n"
		"addressing = virtual-host\naccess-key = AK\nsecret-key-file = sec.key\n"
		"pin-sha256 = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
		"pin-sha256 = BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nca-file = /etc/passwd\n"
		"connect-timeout = 3s\ntimeout = 4s\nconnections = 5\nupload-limit = 6K/s\ndownload-limit = 7K/s\n"
		"mode = drain\n[quota q]\ngroup = 77\nbytes = 2G\n[quota root]\nowner = root\ninodes = 10\n");
	scratch_write("sec.key", "s");
	assert_int_equal(scratch_load(&c, &text), 0);
	assert_string_equal(text, "");
	free(text);
	assert_string_equal(c->file, in_scratch("test.ini"));
	assert_string_equal(c->name, "office");
	assert_string_equal(c->store, "/home/u/st");
	assert_int_equal(c->cache_bytes, 64 << 20);
	assert_int_equal(c->bytes_max, 500ULL << 30);
	assert_int_equal(c->inodes_max, 1 << 20);
	assert_int_equal(c->audit_lines, 2048);
	assert_int_equal(c->quota_count, 2);
	assert_string_equal(c->quotas[0]->name, "q");
	assert_true(c->quotas[0]->group);
	assert_int_equal(c->quotas[0]->id, 77);
	assert_int_equal(c->quotas[0]->bytes_max, 2ULL << 30);
	assert_int_equal(c->quotas[0]->inodes_max, 0);
	assert_string_equal(c->quotas[1]->owner, "root");
	assert_false(c->quotas[1]->group);
	assert_int_equal(c->quotas[1]->id, 0);
	assert_int_equal(c->quotas[1]->bytes_max, 0);
	assert_int_equal(c->quotas[1]->inodes_max, 10);
	assert_int_equal(c->settle_ns, 500 * NS_PER_MS);
	assert_int_equal(c->max_delay_ns, 7200 * NS_PER_S);
	assert_int_equal(c->block_bytes, 1 << 20);
	assert_string_equal(c->passphrase_file, in_scratch("pass"));
	assert_string_equal(c->key_file, "/k");
	z = c->home;
	assert_ptr_equal(z, config_zone_find(c, "d"));
	assert_null(config_zone_find(c, "e"));
	assert_string_equal(z->countries[0], "CN");
	assert_string_equal(z->countries[1], "HK");
	assert_null(z->countries[2]);
	assert_int_equal(z->network_count, 2);
	assert_int_equal(z->networks[0].bits, 112);
	assert_int_equal(z->networks[1].bits, 32);
	assert_int_equal(z->copies, 2);
	assert_int_equal(z->export, EXPORT_APPROVE);
	assert_string_equal(z->approvers[1], "group:daemon");
	assert_int_equal(z->approvals, 2);
	assert_true(z->padme);
	assert_int_equal(z->pack_bytes, 64 << 10);
	assert_int_equal(z->backend_count, 2);
	b = z->backends[1];
	assert_ptr_equal(b, config_backend_find(c, "b"));
	assert_null(config_backend_find(c, "d"));
	assert_ptr_equal(b->zone, z);
	assert_string_equal(b->type, "local");
	assert_string_equal(b->path, "/nas");
	assert_int_equal(b->mode, MODE_FROZEN);
	assert_null(b->endpoint);
	assert_string_equal(b->prefix, "");
	assert_null(b->pins[0]);
	b = z->backends[0];
	assert_string_equal(b->endpoint, "https://oss.example.cn");
	assert_string_equal(b->region, "r");
	assert_string_equal(b->bucket, "o");
	assert_string_equal(b->prefix, "a/b/");
	assert_int_equal(b->addressing, ADDRESSING_VIRTUAL_HOST);
	assert_string_equal(b->access_key, "AK");
	assert_string_equal(b->secret_key_file, in_scratch("sec.key"));
	assert_string_equal(b->ca_file, "/etc/passwd");
	assert_string_equal(b->pins[1], "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	assert_null(b->pins[2]);
	assert_int_equal(b->connect_timeout_ns, 3 * NS_PER_S);
	assert_int_equal(b->timeout_ns, 4 * NS_PER_S);
	assert_int_equal(b->connections, 5);
	assert_int_equal(b->upload_limit, 6144);
	assert_int_equal(b->download_limit, 7168);
	assert_int_equal(b->mode, MODE_DRAIN);
	assert_int_equal(b->origin.line, 30);
	config_put(c);
}

static void test_defaults(void **state)
{
	struct config *c, *again;
	char *text;

	(void)state;
	scratch_write("test.ini", GOOD FOREIGN);
	assert_int_equal(scratch_load(&c, &text), 0);
	free(text);
	assert_string_equal(c->name, "test");
	assert_int_equal(c->cache_bytes, 20ULL << 30);
	assert_int_equal(c->settle_ns, 5 * NS_PER_S);
	assert_int_equal(c->max_delay_ns, 3600 * NS_PER_S);
	assert_int_equal(c->block_bytes, 4 << 20);
	assert_int_equal(c->audit_lines, 64 << 10);
	assert_null(c->passphrase_file);
	assert_int_equal(c->home->export, EXPORT_DENY);
	assert_int_equal(c->home->copies, 1);
	assert_int_equal(c->home->approvals, 1);
	assert_int_equal(c->home->network_count, 0);
	assert_int_equal(c->backends[1]->connections, 8);
	assert_string_equal(c->backends[1]->region, "us-east-1");
	assert_int_equal(c->backends[1]->addressing, ADDRESSING_PATH);
	assert_int_equal(c->backends[1]->connect_timeout_ns, 10 * NS_PER_S);
	assert_int_equal(c->backends[1]->timeout_ns, 30 * NS_PER_S);
	again = config_get(c);
	config_put(c);
	assert_string_equal(again->name, "test");
	config_put(again);
}

static void test_identity(void **state)
{
	struct buf baseline = BUF_INIT;
	struct config *c;
	char *text;

	(void)state;
	scratch_write("test.ini",
		GOOD FOREIGN "[zone a]\nkind = domestic\nexport = approve\napprovers = x, group:y\n"
			     "approvals = 2\nbackends = e\n[backend e]\ntype = local\npath = /e\n"
			     "[rule z]\npath = /z\nzone = f\nexport = allow\n[rule m]\npath = /m\n"
			     "zone = f\n[rule b]\npath = /b\nzone = f\nexport = deny\nstop-after = 1K files\n"
			     "[rule s]\npath = /s\nzone = f\nwarn-after = 1 file\nstop-after = 2G, 5 files\n"
			     "[rule w]\npath = /w\nzone = f\nwarn-after = 1G\n"
			     "[zone b]\nkind = domestic\nexport = allow\napprovers = uid:7, gid:8\nbackends = g\n"
			     "[backend g]\ntype = local\npath = /g\n");
	assert_int_equal(scratch_load(&c, &text), 0);
	free(text);
	config_baseline(c, &baseline);
	assert_string_equal((char *)baseline.data, "home d\n"
						   "zone a domestic export=approve approvals=2 approvers=x,group:y\n"
						   "zone b domestic export=allow approvals=1 approvers=uid:7,gid:8\n"
						   "zone d domestic export=deny\n"
						   "zone f foreign\n"
						   "rule b zone=f export=deny stop-files=1024\n"
						   "rule s zone=f stop-files=5 stop-bytes=2147483648\n"
						   "rule z zone=f export=allow\n");
	buf_free(&baseline);
	text = config_backend_identity(c->backends[1]);
	assert_string_equal(text, "s3 https://v.example office / f");
	free(text);
	text = config_backend_identity(c->backends[2]);
	assert_string_equal(text, "local /e a");
	free(text);
	config_put(c);
}

static void expect_found(const char *name, const char *path, const char *error)
{
	struct errmsg msg = { 0 };
	char *got = config_find(name, &msg);

	if (path) {
		assert_non_null(got);
		assert_string_equal(got, path);
	} else {
		assert_null(got);
		assert_string_equal(msg.text, error);
	}
	errmsg_free(&msg);
	free(got);
}

#define LOCAL(store, path)                                                                                             \
	"[filesystem]\nstore = " store "\nhome = d\n[zone d]\nkind = domestic\nbackends = b\n[backend b]\ntype = "     \
	"local\npath = " path "\n"
#define STORED_IN_ITSELF(path, relation, store)                                                                        \
	"test.ini:9: error: the directory of backend \"b\", " path ", " relation " the store's, " store                \
	"; expected one apart from it\n"

static void test_store_and_backend(void **state)
{
	static const struct row rows[] = {
		{ LOCAL("st", "p"), "" },
		{ LOCAL("st", "stp"), "" },
		{ LOCAL("st", "st"), STORED_IN_ITSELF("st", "is", "st") },
		{ LOCAL("st", "st/objects"), STORED_IN_ITSELF("st/objects", "lies in", "st") },
		{ LOCAL("none/st", "none"), STORED_IN_ITSELF("none", "holds", "none/st") },
		{ LOCAL("none/st", "none/stp"), "" },
		{ LOCAL("none/st", "none/./st//x/"), STORED_IN_ITSELF("none/./st//x", "lies in", "none/st") },
		{ LOCAL("st", "link"), STORED_IN_ITSELF("link", "is", "st") },
		{ LOCAL("st", "link/new"), STORED_IN_ITSELF("link/new", "lies in", "st") },
		{ LOCAL("link/new", "st/new/deep"), STORED_IN_ITSELF("st/new/deep", "lies in", "link/new") },
		{ LOCAL("link/new", "st/newer"), "" },
		{ LOCAL("st", "/"), STORED_IN_ITSELF("/", "holds", "st") },
		{ LOCAL("st",
			  "p") "[zone e]\nkind = domestic\nbackends = c\n[backend c]\ntype = local\npath = plink/x\n",
			"test.ini:13: error: backends \"b\" and \"c\" are the same place, or one lies inside the "
			"other; expected two places\n" },
	};

	(void)state;
	assert_int_equal(file_mkdirs("st", 0700), 0);
	assert_int_equal(file_mkdirs("p", 0700), 0);
	assert_int_equal(symlink("st", "link"), 0);
	assert_int_equal(symlink("p", "plink"), 0);
	check_rows(rows, COUNT(rows));
}

static void expect_mountpoint(const struct config *c, const char *directory, const char *refused)
{
	char path[128], expected[400];
	struct errmsg msg = { 0 };
	int rc;

	snprintf(path, sizeof path, "%s/%s", scratch, directory);
	snprintf(expected, sizeof expected,
		"the mount point %s %s, %s/%s: what is mounted would be stored in itself; choose a directory apart "
		"from it",
		path, refused, scratch, *refused && strstr(refused, "store") ? "home/share/st" : "clouds/p");
	rc = config_check_mountpoint(c, path, &msg);
	assert_int_equal(rc, *refused ? -ERR_CONFIG : 0);
	if (*refused)
		assert_string_equal(msg.text, expected);
	errmsg_free(&msg);
}

static void test_mountpoint(void **state)
{
	struct config *c;
	char *text;

	(void)state;
	scratch_write("test.ini", LOCAL("home/share/st", "clouds/p"));
	assert_int_equal(file_mkdirs("home/share/st/cache", 0700), 0);
	assert_int_equal(file_mkdirs("home/office", 0700), 0);
	assert_int_equal(file_mkdirs("clouds", 0700), 0);
	assert_int_equal(symlink("home/share", "away"), 0);
	assert_int_equal(scratch_load(&c, &text), 0);
	free(text);
	expect_mountpoint(c, "home/office", "");
	expect_mountpoint(c, "home/share/stopped", "");
	expect_mountpoint(c, "elsewhere", "");
	expect_mountpoint(c, "home", "holds the store's directory");
	expect_mountpoint(c, "home/share/st", "is the store's directory");
	expect_mountpoint(c, "away/st/cache", "lies in the store's directory");
	expect_mountpoint(c, "away", "holds the store's directory");
	expect_mountpoint(c, "clouds", "holds the directory of backend 'b'");
	expect_mountpoint(c, "clouds/p", "is the directory of backend 'b'");
	expect_mountpoint(c, "clouds/p/mnt", "lies in the directory of backend 'b'");
	config_put(c);
}

static void test_find(void **state)
{
	char expected[128];

	(void)state;
	setenv("HOME", scratch, 1);
	expect_found("./x", "./x", NULL);
	expect_found("x.ini", "x.ini", NULL);
	expect_found("no-such-name", NULL,
		"there is no configuration no-such-name.ini in ~/.config/borderfs or /etc/borderfs; write one, or name "
		"it "
		"with -c FILE");
	assert_int_equal(file_mkdirs(".config/borderfs", 0700), 0);
	scratch_write(".config/borderfs/x.y.ini", GOOD);
	snprintf(expected, sizeof expected, "%s/.config/borderfs/x.y.ini", scratch);
	expect_found("x.y", expected, NULL);
	expect_found(NULL, expected, NULL);
	scratch_write(".config/borderfs/b.ini", GOOD);
	expect_found(NULL, NULL, "there are 2 configurations in ~/.config/borderfs; choose one with -c FILE");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_approvers),
		cmocka_unit_test(test_sections),
		cmocka_unit_test(test_filesystem),
		cmocka_unit_test(test_zones),
		cmocka_unit_test(test_backends),
		cmocka_unit_test(test_swift),
		cmocka_unit_test(test_sftp),
		cmocka_unit_test(test_server_identity),
		cmocka_unit_test(test_webdav),
		cmocka_unit_test(test_azure),
		cmocka_unit_test(test_webdav_identity),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_include_faults),
		cmocka_unit_test(test_include_directory),
		cmocka_unit_test(test_includes),
		cmocka_unit_test(test_include_places),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_quota_faults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_store_and_backend),
		cmocka_unit_test(test_mountpoint),
		cmocka_unit_test(test_find),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
