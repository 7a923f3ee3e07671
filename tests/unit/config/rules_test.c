/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"
#include "config/rules.h"
#include "tests/unit/config/scratch.h"

#define ZONES                                                                                                          \
	"[filesystem]\nstore = s\nhome = d\n[zone d]\nkind = domestic\nbackends = b\n[zone e]\nkind = domestic\n"      \
	"backends = c\n[zone f]\nkind = foreign\nbackends = v\n[backend b]\ntype = local\npath = /b\n[backend c]\n"    \
	"type = local\npath = /c\n[backend v]\ntype = local\npath = /v\n"

#define NOW (1000000 * NS_PER_S)

static struct config *load(const char *sections)
{
	struct buf b = BUF_INIT;
	struct config *c;
	char *text;

	buf_str(&b, ZONES);
	buf_str(&b, sections);
	scratch_write("test.ini", (char *)b.data);
	buf_free(&b);
	if (scratch_load(&c, &text) < 0)
		print_error("%s", text);
	assert_non_null(c);
	free(text);
	return c;
}

static const char *give(void *ctx)
{
	return ctx;
}

/* one fact and what rule it leads to; "-" is the default */
struct row {
	const char *path, *tags; /* one tag, or NULL */
	uint64_t size;
	int64_t age_s;
	uid_t uid;
	gid_t gid;
	enum file_type kind;
	const char *content; /* NULL: cannot be told */
	const char *rule, *zone;
};

static struct rule_facts facts_of(const struct row *r, struct rule_tag *tag)
{
	struct rule_facts f = { .path = r->path,
		.kind = r->kind,
		.size = r->size,
		.now_ns = NOW,
		.mtime_ns = NOW - r->age_s * NS_PER_S,
		.uid = r->uid,
		.gid = r->gid,
		.media_type = give,
		.ctx = (void *)r->content };

	*tag = (struct rule_tag){ r->tags, TAG_USER, NULL, NULL };
	f.tags = tag;
	f.tag_count = r->tags != NULL;
	return f;
}

static void check_rows(const char *sections, const struct row *rows, size_t count)
{
	struct config *c = load(sections);

	for (size_t i = 0; i < count; i++) {
		struct rule_decision d;
		struct rule_tag tag;
		struct rule_facts f = facts_of(&rows[i], &tag);

		assert_int_equal(rules_decide(c, &f, &d, NULL, NULL, NULL), 0);
		if (strcmp(d.rule ? rule_name(d.rule) : "-", rows[i].rule) != 0)
			print_error("row %zu\n", i);
		assert_string_equal(d.rule ? rule_name(d.rule) : "-", rows[i].rule);
		assert_string_equal(d.zone->name, rows[i].zone);
	}
	config_put(c);
}

static void test_first_match(void **state)
{
	static const struct row rows[] = {
		{ .path = "/hr/a", .rule = "hr", .zone = "e" },
		{ .path = "/hr/a.iso", .rule = "hr", .zone = "e" },
		{ .path = "/x/a.iso", .rule = "images", .zone = "f" },
		{ .path = "/x/keep/a.iso", .rule = "-", .zone = "d" },
		{ .path = "/x/a.txt", .rule = "-", .zone = "d" },
		{ .path = "/x/a.iso", .tags = "personal", .rule = "private", .zone = "d" },
		{ .path = "/x/a.iso", .tags = "Personal", .rule = "images", .zone = "f" },
		{ .path = "/hr/a.iso", .tags = "personal", .rule = "private", .zone = "d" },
		{ .path = "/", .rule = "-", .zone = "d" },
	};

	(void)state;
	check_rows("[rule private]\ntag = personal, my own\nzone = d\n"
		   "[rule hr]\npath = /hr/**\nzone = e\n"
		   "[rule images]\nname = *.iso, *.img\nnot-path = keep/, **/keep/**\nzone = f\n",
		rows, COUNT(rows));
}

static void test_size_and_owner(void **state)
{
	static const struct row rows[] = {
		{ .path = "/a", .size = 1048576, .uid = 9, .rule = "-", .zone = "d" },
		{ .path = "/a", .size = 1048577, .uid = 9, .rule = "big", .zone = "f" },
		{ .path = "/a", .size = UINT64_MAX, .uid = 9, .rule = "big", .zone = "f" },
		{ .path = "/a", .size = 0, .uid = 9, .rule = "tiny", .zone = "f" },
		{ .path = "/a", .size = 10, .uid = 9, .rule = "tiny", .zone = "f" },
		{ .path = "/a", .size = 11, .uid = 9, .rule = "-", .zone = "d" },
		{ .path = "/a", .size = 20, .uid = 9, .rule = "middle", .zone = "f" },
		{ .path = "/a", .size = 30, .uid = 9, .rule = "middle", .zone = "f" },
		{ .path = "/a", .size = 31, .uid = 9, .rule = "-", .zone = "d" },
		{ .path = "/a", .size = 20, .uid = 1234, .rule = "owned", .zone = "e" },
		{ .path = "/a", .size = 20, .gid = 77, .uid = 9, .rule = "owned", .zone = "e" },
		{ .path = "/a", .size = 20, .uid = 77, .rule = "middle", .zone = "f" },
		{ .path = "/a", .size = 20, .uid = 0, .rule = "owned", .zone = "e" },
		{ .path = "/a", .size = 99, .uid = 8, .rule = "not-nine", .zone = "e" },
	};

	(void)state;
	check_rows("[rule owned]\nowner = uid:1234, gid:77, root\nzone = e\n"
		   "[rule big]\nsize = >1M\nzone = f\n"
		   "[rule tiny]\nsize = <=10\nzone = f\n"
		   "[rule middle]\nsize = 20..30\nzone = f\n"
		   "[rule not-nine]\nnot-owner = uid:9\nsize = > 50\nzone = e\n",
		rows + 0, 9);
	check_rows("[rule owned]\nowner = uid:1234, gid:77, root\nzone = e\n"
		   "[rule big]\nsize = >1M\nzone = f\n"
		   "[rule middle]\nsize = 20..30\nzone = f\n"
		   "[rule not-nine]\nnot-owner = uid:9\nsize = > 50\nzone = e\n",
		rows + 9, COUNT(rows) - 9);
}

static void test_groups(void **state)
{
	static const struct row rows[] = {
		{ .path = "/a", .uid = 9, .gid = 0, .rule = "group", .zone = "e" },
		{ .path = "/a", .uid = 0, .gid = 9, .rule = "-", .zone = "d" },
	};

	(void)state;
	check_rows("[rule group]\nowner = group:root\nzone = e\n", rows, COUNT(rows));
}

/* age and when it will change the answer */
static void test_age(void **state)
{
	static const struct {
		const char *path;
		int64_t age_ns;
		const char *rule;
		int64_t due_age_ns; /* -1: never */
	} rows[] = {
		{ "/p/a", 0, "new", 3600 * NS_PER_S },
		{ "/p/a", -NS_PER_S, "new", 3600 * NS_PER_S },
		{ "/p/a", 3600 * NS_PER_S - 1, "new", 3600 * NS_PER_S },
		{ "/p/a", 3600 * NS_PER_S, "-", 86400 * NS_PER_S },
		{ "/p/a", 86400 * NS_PER_S, "between", 2 * 86400 * NS_PER_S + 1 },
		{ "/p/a", 2 * 86400 * NS_PER_S, "between", 2 * 86400 * NS_PER_S + 1 },
		{ "/p/a", 2 * 86400 * NS_PER_S + 1, "-", 30 * 86400 * NS_PER_S + 1 },
		{ "/p/a", 30 * 86400 * NS_PER_S, "-", 30 * 86400 * NS_PER_S + 1 },
		{ "/p/a", 30 * 86400 * NS_PER_S + 1, "old", -1 },
		{ "/q/a", 0, "-", 7200 * NS_PER_S + 1 },
		{ "/q/a", 7200 * NS_PER_S + 1, "stale-tag", -1 },
		{ "/r/a", 0, "-", -1 },
	};
	struct config *c = load("[tag stale]\npath = /q/**\nage = >2h\n"
				"[rule new]\nage = <1h\npath = /p/**\nzone = e\n"
				"[rule between]\nage = 1d..2d\npath = /p/**\nzone = e\n"
				"[rule stale-tag]\ntag = stale\nzone = e\n"
				"[rule old]\npath = /p/**\nage = >30d\nzone = f\n");

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct rule_facts f = { .path = rows[i].path, .now_ns = 9 * NOW };
		struct rule_decision d;

		f.mtime_ns = f.now_ns - rows[i].age_ns;
		assert_int_equal(rules_decide(c, &f, &d, NULL, NULL, NULL), 0);
		assert_string_equal(d.rule ? rule_name(d.rule) : "-", rows[i].rule);
		assert_int_equal(d.next_due_ns, rows[i].due_age_ns < 0 ? INT64_MAX : f.mtime_ns + rows[i].due_age_ns);
	}
	config_put(c);
}

static void test_extreme_times(void **state)
{
	static const int64_t times[][2] = { { INT64_MIN, INT64_MAX }, { INT64_MAX, INT64_MIN }, { INT64_MAX, 0 },
		{ INT64_MIN, 0 } };
	struct config *c = load("[rule old]\nage = >30d\nzone = f\n");
	static const char *const expected[] = { "old", "-", "-", "old" };

	(void)state;
	for (size_t i = 0; i < COUNT(times); i++) {
		struct rule_facts f = { .path = "/a", .mtime_ns = times[i][0], .now_ns = times[i][1] };
		struct rule_decision d;

		assert_int_equal(rules_decide(c, &f, &d, NULL, NULL, NULL), 0);
		assert_string_equal(d.rule ? rule_name(d.rule) : "-", expected[i]);
	}
	config_put(c);
}

/* extension first, content where it says nothing, and doubt is domestic */
static void test_type(void **state)
{
	static const struct row rows[] = {
		{ .path = "/a.png", .content = "text/plain", .rule = "pictures", .zone = "f" },
		{ .path = "/a.PNG", .rule = "pictures", .zone = "f" },
		{ .path = "/a.tar.gz", .content = "image/png", .rule = "archives", .zone = "e" },
		{ .path = "/noext", .content = "image/png", .rule = "pictures", .zone = "f" },
		{ .path = "/noext", .content = "Image/PNG; charset=binary", .rule = "pictures", .zone = "f" },
		{ .path = "/noext", .content = "application/pdf", .rule = "-", .zone = "d" },
		{ .path = "/noext", .rule = "archives", .zone = "e" },
		{ .path = "/x/noext", .rule = "-", .zone = "d" },
		{ .path = "/y/noext", .content = "text/plain", .rule = "-", .zone = "d" },
		{ .path = "/y/noext", .content = "video/mp4", .rule = "not-text", .zone = "f" },
		{ .path = "/y/noext", .rule = "-", .zone = "d" },
		{ .path = "/d.png", .kind = FILE_DIRECTORY, .content = "image/png", .rule = "-", .zone = "d" },
		{ .path = "/l", .kind = FILE_SYMLINK, .content = "image/png", .rule = "-", .zone = "d" },
	};

	(void)state;
	check_rows(
		"[rule pictures]\ntype = image/*, video/mp4\nnot-path = /x/**, /y/**\nzone = f\n"
		"[rule archives]\ntype = application/gzip, application/x-compressed-tar\nnot-path = /x/**, /y/**\nzone "
		"= e\n"
		"[rule abroad-in-doubt]\npath = /x/**\ntype = image/*\nzone = f\n"
		"[rule not-text]\npath = /y/**\nnot-type = text/*\nzone = f\n",
		rows, COUNT(rows));
}

/* a tag that may be there leads home where it is asked for and not abroad where it is asked for */
static void test_doubtful_tag(void **state)
{
	static const struct row rows[] = {
		{ .path = "/home/x", .rule = "stay", .zone = "e" },
		{ .path = "/home/x", .content = "text/plain", .rule = "go", .zone = "f" },
		{ .path = "/home/x", .content = "image/png", .rule = "stay", .zone = "e" },
		{ .path = "/out/x", .rule = "-", .zone = "d" },
		{ .path = "/out/x", .content = "image/png", .rule = "send", .zone = "f" },
		{ .path = "/out/x", .tags = "picture", .rule = "send", .zone = "f" },
		{ .path = "/not/x", .rule = "-", .zone = "d" },
		{ .path = "/not/x", .content = "text/plain", .rule = "send-others", .zone = "f" },
		{ .path = "/both/x", .rule = "send-both", .zone = "f" },
	};

	(void)state;
	check_rows("[tag picture]\ntype = image/*\n[tag also]\ntag = picture\n[tag picture]\npath = /both/**\n"
		   "[rule stay]\npath = /home/**\ntag = also\nzone = e\n[rule go]\npath = /home/**\nzone = f\n"
		   "[rule send]\npath = /out/**\ntag = picture\nzone = f\n"
		   "[rule send-others]\npath = /not/**\nnot-tag = picture\nzone = f\n"
		   "[rule send-both]\npath = /both/**\ntag = picture\nzone = f\n",
		rows, COUNT(rows));
}

static int times_asked;

static const char *count_asking(void *ctx)
{
	times_asked++;
	return ctx;
}

static void test_content_is_asked_once(void **state)
{
	struct config *c =
		load("[rule a]\nsize = <5\ntype = image/*\nzone = f\n[rule b]\ntype = video/*\nname = x*\nzone "
		     "= f\n[rule c]\ntype = audio/*\nzone = f\n");
	struct rule_facts f = { .path = "/y", .size = 9, .media_type = count_asking, .ctx = (void *)"text/plain" };
	struct rule_decision d;

	(void)state;
	assert_true(rules_need_content(c));
	assert_int_equal(rules_decide(c, &f, &d, NULL, NULL, NULL), 0);
	assert_null(d.rule);
	assert_int_equal(times_asked, 1);
	f.path = "/x.png";
	assert_int_equal(rules_decide(c, &f, &d, NULL, NULL, NULL), 0);
	assert_int_equal(times_asked, 1);
	config_put(c);
	c = load("[rule a]\nsize = <5\nzone = f\n");
	assert_false(rules_need_content(c));
	config_put(c);
}

static void test_time_is_needed(void **state)
{
	static const struct {
		const char *cond;
		bool timed;
	} rows[] = { { "size = >5", false }, { "age = >30d", true }, { "not-hours = 08:00-18:00", true },
		{ "days = sat-sun", true }, { "date = >=2026-12-01", true }, { "type = image/*", false } };
	char text[96];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct config *c;

		snprintf(text, sizeof text, "[rule a]\n%s\npath = /x/**\nzone = f\n", rows[i].cond);
		c = load(text);
		assert_int_equal(rules_need_time(c), rows[i].timed);
		config_put(c);
	}
}

struct story {
	struct buf text;
};

static void tell_tag(void *ctx, const char *section, const struct config_origin *o, bool set, const char *failed)
{
	struct story *s = ctx;

	buf_printf(&s->text, "tag %s:%d %d %s\n", section, o->line, set, failed ? failed : "-");
}

static void tell_rule(void *ctx, const struct rule *r, bool matched, const char *failed)
{
	struct story *s = ctx;

	buf_printf(&s->text, "rule %s %d %s\n", rule_name(r), matched, failed ? failed : "-");
}

static void tell_cond(void *ctx, const char *text, enum rule_verdict v, const char *value)
{
	struct story *s = ctx;

	buf_printf(&s->text, "  %s %d %s\n", text, v, value);
}

static void test_trace_and_tags(void **state)
{
	static const struct rule_tag given[] = { { "mine", TAG_USER, NULL, NULL },
		{ "dir", TAG_INHERITED, "/a", NULL } };
	struct story story = { BUF_INIT };
	const struct rule_trace trace = { .tag = tell_tag, .rule = tell_rule, .cond = tell_cond, .ctx = &story };
	struct rule_facts f = { .path = "/a/b.iso", .size = 2 << 20, .tags = given, .tag_count = 2 };
	struct config *c =
		load("[tag t1]\nname = *.iso\n[tag mine]\nname = *.iso\n[tag t2]\ntag = t1\nsize = >1M\n"
		     "[tag t3]\ntag = t4\n[tag t4]\ntag = t1\n"
		     "[rule r1]\ntag = t3\nzone = d\n[rule r2]\ntag = t2\nage = >30d\nsize = >1M\nzone = f\n"
		     "[rule r3]\nnot-tag = none, nothing\ntag = dir\nsize = <1K, >1M\nexport = allow\nzone = f\n"
		     "[rule r4]\npath = **\nzone = f\n");
	struct rule_decision d;
	struct rule_tag *tags;
	struct buf text = BUF_INIT;
	size_t count;

	(void)state;
	assert_int_equal(rules_decide(c, &f, &d, &trace, &tags, &count), 0);
	assert_string_equal((char *)story.text.data, "  name=*.iso 2 b.iso\n"
						     "tag t1:22 1 -\n"
						     "  name=*.iso 2 b.iso\n"
						     "tag mine:24 1 -\n"
						     "  tag=t1 2 mine, dir, t1\n"
						     "  size>1M 2 2.0 MiB (2097152 bytes)\n"
						     "tag t2:26 1 -\n"
						     "  tag=t4 0 mine, dir, t1, t2\n"
						     "tag t3:29 0 tag=t4\n"
						     "  tag=t1 2 mine, dir, t1, t2\n"
						     "tag t4:31 1 -\n"
						     "  tag=t3 0 mine, dir, t1, t2, t4\n"
						     "rule r1 0 tag=t3\n"
						     "  tag=t2 2 mine, dir, t1, t2, t4\n"
						     "  size>1M 2 2.0 MiB (2097152 bytes)\n"
						     "  age>30d 0 0ms\n"
						     "rule r2 0 age>30d\n"
						     "  not-tag=none,nothing 2 mine, dir, t1, t2, t4\n"
						     "  tag=dir 2 mine, dir, t1, t2, t4\n"
						     "  size=<1K,>1M 2 2.0 MiB (2097152 bytes)\n"
						     "rule r3 1 -\n");
	assert_int_equal(count, 5);
	assert_string_equal(tags[0].name, "mine");
	assert_int_equal(tags[0].origin, TAG_USER);
	assert_string_equal(tags[1].from, "/a");
	assert_string_equal(tags[2].name, "t1");
	assert_int_equal(tags[2].origin, TAG_RULE);
	assert_string_equal(tags[2].from, "t1");
	assert_int_equal(tags[2].section->line, 22);
	assert_null(tags[0].section);
	assert_null(tags[1].section);
	assert_string_equal(tags[3].name, "t2");
	assert_string_equal(tags[4].name, "t4");
	free(tags);
	rule_text(d.rule, &text);
	assert_string_equal((char *)text.data, "not-tag=none,nothing tag=dir size=<1K,>1M");
	assert_int_equal(rule_export(d.rule), EXPORT_ALLOW);
	assert_ptr_equal(rule_zone(d.rule), config_zone_find(c, "f"));
	assert_int_equal(rule_export(rules_at(c, 0)), -1);
	buf_reset(&text);
	rule_text(rules_at(c, 1), &text);
	assert_string_equal((char *)text.data, "tag=t2 size>1M age>30d");
	assert_int_equal(rules_count(c), 4);
	buf_free(&text);
	buf_free(&story.text);
	config_put(c);
}

/* what is looked at beside each condition, also behind the first that fails, which changes nothing */
static void test_trace_values(void **state)
{
	static const struct {
		const char *path;
		uint64_t size;
		int64_t mtime_s;
		enum file_type kind;
		const char *told;
		int64_t due_s;
	} rows[] = {
		{ "/a/b.png", 1023, 0, FILE_REGULAR,
			"  name=*.png 2 b.png\n  link-count=1 2 1\n  size<1K 2 1023 bytes\n  owner=uid:7 2 uid 7, gid "
			"8\n"
			"  age<1d 2 1m40s\n  hours=00:00-12:00 2 00:01\n  days=thu 2 Thu\n"
			"  date<1970-01-02 2 1970-01-01 00:01\n  type=image/* 2 image/png\nrule r 1 -\n",
			12 * 3600 },
		/* a file that is not there yet, of no known type */
		{ "/b.png", 1024, 200, FILE_OTHER,
			"  name=*.png 2 b.png\n  link-count=1 2 1\n  size<1K 0 1.0 KiB (1024 bytes)\n"
			"  owner=uid:7 2 uid 7, gid 8\n  age<1d 2 -1m40s\n  hours=00:00-12:00 2 00:01\n  days=thu 2 "
			"Thu\n"
			"  date<1970-01-02 2 1970-01-01 00:01\n  type=image/* 3 \nrule r 0 size<1K\n",
			INT64_MAX },
		{ "/b.png", 1, 0, FILE_SYMLINK,
			"  name=*.png 2 b.png\n  link-count=1 2 1\n  size<1K 2 1 bytes\n  owner=uid:7 2 uid 7, gid 8\n"
			"  age<1d 2 1m40s\n  hours=00:00-12:00 2 00:01\n  days=thu 2 Thu\n"
			"  date<1970-01-02 2 1970-01-01 00:01\n  type=image/* 0 inode/symlink\nrule r 0 type=image/*\n",
			12 * 3600 },
	};
	struct config *c =
		load("[rule r]\nname = *.png\nlink-count = 1\nage = <1d\ntype = image/*\nhours = 00:00-12:00\n"
		     "days = thu\ndate = <1970-01-02\nsize = <1K\nowner = uid:7\nzone = f\n");

	(void)state;
	assert_int_equal(setenv("TZ", "UTC", 1), 0);
	tzset();
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct story story = { BUF_INIT };
		const struct rule_trace trace = { .rule = tell_rule, .cond = tell_cond, .ctx = &story };
		struct rule_facts f = { .path = rows[i].path,
			.size = rows[i].size,
			.mtime_ns = rows[i].mtime_s * NS_PER_S,
			.now_ns = 100 * NS_PER_S,
			.kind = rows[i].kind,
			.link_count = 1,
			.uid = 7,
			.gid = 8 };
		struct rule_decision traced, plain;

		assert_int_equal(rules_decide(c, &f, &traced, &trace, NULL, NULL), 0);
		assert_string_equal((char *)story.text.data, rows[i].told);
		assert_int_equal(rules_decide(c, &f, &plain, NULL, NULL, NULL), 0);
		assert_ptr_equal(traced.rule, plain.rule);
		assert_int_equal(traced.next_due_ns, plain.next_due_ns);
		assert_int_equal(plain.next_due_ns, rows[i].due_s == INT64_MAX ? INT64_MAX : rows[i].due_s * NS_PER_S);
		buf_free(&story.text);
	}
	config_put(c);
}

static uint64_t version_of(const char *sections)
{
	struct config *c = load(sections);
	uint64_t v = rules_version(c);

	config_put(c);
	return v;
}

static void test_version(void **state)
{
	uint64_t v = version_of("[rule a]\npath = /a\nzone = f\n");
	static const char *const others[] = { "[rule b]\npath = /a\nzone = f\n", "[rule a]\npath = /b\nzone = f\n",
		"[rule a]\npath = /a\nzone = d\n", "[rule a]\npath = /a\nzone = f\nexport = deny\n",
		"[rule a]\nnot-path = /a\nzone = f\n", "[tag a]\npath = /a\n[rule a]\npath = /a\nzone = f\n", "" };

	(void)state;
	assert_true(v == version_of("; moved\n\n[rule a]\nzone   = f\npath=/a\n"));
	/* the same in every process: a store remembers it */
	assert_true(v == 0xfada7c12fbc5d9caULL);
	for (size_t i = 0; i < COUNT(others); i++)
		assert_true(v != version_of(others[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_match),
		cmocka_unit_test(test_size_and_owner),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_extreme_times),
		cmocka_unit_test(test_type),
		cmocka_unit_test(test_doubtful_tag),
		cmocka_unit_test(test_content_is_asked_once),
		cmocka_unit_test(test_time_is_needed),
		cmocka_unit_test(test_trace_and_tags),
		cmocka_unit_test(test_trace_values),
		cmocka_unit_test(test_version),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
