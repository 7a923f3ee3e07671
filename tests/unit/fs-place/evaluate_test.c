/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/fs-place/fixture.h"

#include <jansson.h>

#define ZONES                                                                                                          \
	"[filesystem]\nname = test\nstore = @/store\nhome = home\n"                                                    \
	"[zone home]\nkind = domestic\ncountries = CN\nbackends = near\nexport = %s\n%s"                               \
	"[zone second]\nkind = domestic\ncountries = CN\nbackends = second\n"                                          \
	"[zone abroad]\nkind = foreign\ncountries = US\nbackends = far\n"                                              \
	"[zone islands]\nkind = foreign\ncountries = SG\nbackends = isle\n"                                            \
	"[backend near]\ntype = local\npath = @/near\n[backend second]\ntype = local\npath = @/second\n"               \
	"[backend far]\ntype = local\npath = @/far\n[backend isle]\ntype = local\npath = @/isle\n"

#define RULES                                                                                                          \
	"[tag secret]\nname = *.key\n"                                                                                 \
	"[rule stays]\ntag = personal, secret\nzone = home\n"                                                          \
	"[rule second]\npath = /second/**\nzone = second\n"                                                            \
	"[rule out]\npath = /public/**\nzone = abroad\n"                                                               \
	"[rule isle]\npath = /isle/**\nzone = islands\n"                                                               \
	"[rule careful]\npath = /careful/**\nzone = abroad\nexport = deny\n"                                           \
	"[rule pictures]\npath = /pictures/**\ntype = image/*\nzone = abroad\n"

static char config_text[4096];

static const char *config(const char *policy, const char *rules)
{
	int n = snprintf(config_text, sizeof config_text, ZONES, policy,
		strcmp(policy, "approve") == 0 ? "approvers = root\n" : "");

	snprintf(config_text + n, sizeof config_text - (size_t)n, "%s", rules);
	return config_text;
}

static void begin(struct store *s, const char *policy, const char *rules)
{
	memset(s, 0, sizeof *s);
	store_make(s, config(policy, rules));
	store_open(s);
}

struct expected {
	const char *zone, *wanted, *rule;
	enum placement_state state;
	bool mark, export;
};

static void expect(struct store *s, uint64_t ino, const struct expected *e)
{
	struct inode *inode = store_inode(s, ino);
	struct placement at;
	char *zone, *wanted;

	assert_int_equal(place_evaluate(s->place, inode, &at), 0);
	zone = place_zone_name(s->place, at.zone_id);
	wanted = place_zone_name(s->place, at.wanted_zone_id);
	assert_string_equal(zone, e->zone);
	assert_string_equal(wanted, e->wanted ? e->wanted : e->zone);
	assert_string_equal(at.rule ? at.rule : "-", e->rule ? e->rule : "-");
	assert_int_equal(at.state, e->state);
	assert_int_equal(at.mark_held, e->mark);
	assert_int_equal(at.export, e->export);
	free(zone);
	free(wanted);
	placement_free(&at);
	store_put(s, inode);
}

static void apply(struct store *s, uint64_t ino)
{
	struct inode *inode = store_inode(s, ino);
	struct placement at;

	assert_int_equal(place_evaluate(s->place, inode, &at), 0);
	assert_int_equal(place_apply(s->place, inode, &at), 0);
	placement_free(&at);
	store_put(s, inode);
}

/* where: up to three names below these directories; tags: of the file, of the first directory */
static void test_names_and_tags(void **state)
{
	static const struct {
		const char *dirs[3], *name, *tags, *dir_tags;
		struct expected e;
	} rows[] = {
		{ { "other" }, "a", NULL, NULL, { "home", NULL, NULL, 0, false, false } },
		{ { "public" }, "a", NULL, NULL, { "abroad", NULL, "out", 0, false, false } },
		{ { "public" }, "a", "holiday, personal", NULL, { "home", NULL, "stays", 0, true, false } },
		{ { "public" }, "a", "holiday,personally", NULL, { "abroad", NULL, "out", 0, false, false } },
		{ { "public" }, "a", NULL, " ,personal", { "home", NULL, "stays", 0, true, false } },
		{ { "public" }, "a.key", NULL, NULL, { "home", NULL, "stays", 0, true, false } },
		{ { "second" }, "a", NULL, NULL, { "second", NULL, "second", 0, true, false } },
		{ { "public", "other" }, "a", NULL, NULL, { "home", NULL, NULL, 0, false, false } },
		{ { "other", "public" }, "a", NULL, NULL, { "home", NULL, NULL, 0, false, false } },
		{ { "public", "isle" }, "a", NULL, NULL, { "home", NULL, NULL, 0, false, false } },
		{ { "isle", "isle2" }, "a", NULL, NULL, { "home", NULL, NULL, 0, false, false } },
		{ { "public", "second" }, "a", NULL, NULL, { "second", NULL, "second", 0, true, false } },
		{ { "public", "isle", "second" }, "a", NULL, NULL, { "second", NULL, "second", 0, true, false } },
		{ { "public", "second", "other" }, "a", NULL, NULL, { "home", NULL, NULL, 0, true, false } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t ino = 0, dir;
		struct store s;

		begin(&s, "deny", RULES);
		for (size_t k = 0; k < COUNT(rows[i].dirs) && rows[i].dirs[k]; k++) {
			dir = store_mkdir(&s, META_ROOT_INO, rows[i].dirs[k]);
			if (k == 0 && rows[i].dir_tags)
				store_tags(&s, dir, rows[i].dir_tags);
			if (k == 0)
				ino = store_write(&s, dir, rows[i].name, "text");
			else
				store_name(&s, dir, rows[i].name, ino);
		}
		if (rows[i].tags)
			store_tags(&s, ino, rows[i].tags);
		expect(&s, ino, &rows[i].e);
		apply(&s, ino);
		expect(&s, ino, &rows[i].e);
		store_destroy(&s);
	}
}

/* tags of directories far above, and of a directory moved elsewhere; nothing stale is believed */
static void test_directories(void **state)
{
	static const struct expected out = { "abroad", NULL, "out", 0, false, false };
	static const struct expected stays = { "home", NULL, "stays", 0, true, false };
	static const struct expected dflt = { "home", NULL, NULL, 0, false, false };
	uint64_t public, other, dir[40], ino;
	struct store s;

	(void)state;
	begin(&s, "deny", RULES);
	public = store_mkdir(&s, META_ROOT_INO, "public");
	other = store_mkdir(&s, META_ROOT_INO, "other");
	dir[0] = store_mkdir(&s, public, "deep");
	for (size_t i = 1; i < COUNT(dir); i++)
		dir[i] = store_mkdir(&s, dir[i - 1], "deeper");
	ino = store_write(&s, dir[COUNT(dir) - 1], "a", "text");
	expect(&s, ino, &out);
	store_tags(&s, dir[3], "personal");
	expect(&s, ino, &stays);
	store_tags(&s, dir[3], "");
	expect(&s, ino, &out);
	store_name(&s, public, "deep", 0);
	store_name(&s, other, "deep", dir[0]);
	expect(&s, ino, &dflt);
	store_tags(&s, META_ROOT_INO, "personal");
	expect(&s, ino, &stays);
	store_destroy(&s);
}

static void test_orphan(void **state)
{
	struct placement at;
	struct inode *inode;
	struct store s;
	uint64_t ino;

	(void)state;
	begin(&s, "deny", RULES);
	ino = store_write(&s, META_ROOT_INO, "a", "text");
	inode = store_inode(&s, ino);
	store_name(&s, META_ROOT_INO, "a", 0);
	assert_int_equal(place_evaluate(s.place, inode, &at), -ENOENT);
	placement_free(&at);
	store_put(&s, inode);
	store_destroy(&s);
}

/* I9: what was held by a rule leaves as the export policy says; what was home by default as the rule says */
static void test_policy(void **state)
{
	static const struct {
		const char *policy, *from, *to;
		struct expected e;
		bool held_after;
	} rows[] = {
		{ "deny", "second", "other", { "home", NULL, NULL, 0, false, false }, true },
		{ "deny", "tagged", "public", { "home", "abroad", "stays", PLACEMENT_HELD, false, false }, true },
		{ "approve", "tagged", "public", { "home", "abroad", "stays", PLACEMENT_AWAITING, false, false },
			true },
		{ "allow", "tagged", "public", { "abroad", NULL, "out", 0, false, true }, false },
		{ "allow", "tagged", "careful", { "home", "abroad", "stays", PLACEMENT_HELD, false, false }, true },
		{ "deny", "second", "public", { "second", "abroad", "second", PLACEMENT_HELD, false, false }, true },
		{ "allow", "second", "public", { "second", "abroad", "second", PLACEMENT_HELD, false, false }, true },
		{ "deny", "other", "public", { "abroad", NULL, "out", 0, false, false }, false },
		{ "allow", "other", "careful", { "home", "abroad", NULL, PLACEMENT_HELD, false, false }, false },
		{ "deny", "public", "isle", { "islands", NULL, "isle", 0, false, false }, false },
		{ "deny", "public", "careful", { "abroad", NULL, "careful", 0, false, false }, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t from, to, ino;
		struct inode *inode;
		struct store s;

		begin(&s, rows[i].policy, RULES);
		from = store_mkdir(&s, META_ROOT_INO, rows[i].from);
		to = store_mkdir(&s, META_ROOT_INO, rows[i].to);
		if (strcmp(rows[i].from, "tagged") == 0)
			store_tags(&s, from, "personal");
		ino = store_write(&s, from, "a", "text");
		apply(&s, ino);
		store_name(&s, to, "a", ino);
		store_name(&s, from, "a", 0);
		expect(&s, ino, &rows[i].e);
		apply(&s, ino);
		inode = store_inode(&s, ino);
		assert_int_equal(!!(inode->flags & INODE_HELD), rows[i].held_after);
		assert_int_equal(!!(inode->flags & INODE_AWAITING), rows[i].e.state != PLACEMENT_FREE);
		store_put(&s, inode);
		store_destroy(&s);
	}
}

/* a new file that took over a mark, and was never placed, counts as being at home */
static void test_inherited_mark(void **state)
{
	struct store s;
	struct inode *inode;
	uint64_t dir, ino;

	(void)state;
	begin(&s, "deny", RULES);
	dir = store_mkdir(&s, META_ROOT_INO, "public");
	ino = store_write(&s, dir, "a", "text");
	inode = store_inode(&s, ino);
	meta_lock(s.meta);
	inode->flags |= INODE_HELD;
	meta_inode_changed(s.meta, inode);
	meta_unlock(s.meta);
	expect(&s, ino, &(struct expected){ "home", "abroad", NULL, PLACEMENT_HELD, false, false });
	store_put(&s, inode);
	store_destroy(&s);
}

static const uint8_t png[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0, 0, 13, 'I', 'H', 'D', 'R', 0, 0, 0, 1,
	0, 0, 0, 1, 8, 2, 0, 0, 0, 0x90, 0x77, 0x53, 0xde };

static void test_type(void **state)
{
	uint64_t dir, picture, text, empty;
	struct store s;

	(void)state;
	begin(&s, "deny", RULES);
	dir = store_mkdir(&s, META_ROOT_INO, "pictures");
	picture = store_file(&s, dir, "photograph");
	assert_true(store_pwrite(&s, picture, png, sizeof png, 0) >= 0);
	text = store_write(&s, dir, "letter", "Dear Sir or Madam");
	empty = store_file(&s, dir, "nothing");
	expect(&s, picture, &(struct expected){ "abroad", NULL, "pictures", 0, false, false });
	expect(&s, text, &(struct expected){ "home", NULL, NULL, 0, false, false });
	expect(&s, empty, &(struct expected){ "home", NULL, NULL, 0, false, false });
	store_destroy(&s);
}

/* place_apply and place_still see every change since the evaluation */
static void test_generations(void **state)
{
	struct placement at;
	uint64_t dir, ino, gen, epoch;
	struct inode *inode;
	struct store s;

	(void)state;
	begin(&s, "deny", RULES);
	dir = store_mkdir(&s, META_ROOT_INO, "public");
	ino = store_write(&s, dir, "a", "text");
	inode = store_inode(&s, ino);
	assert_int_equal(place_evaluate(s.place, inode, &at), 0);
	gen = at.gen;
	epoch = at.epoch;
	assert_int_equal(place_still(s.place, inode, at.zone_id, &gen, &epoch), 0);
	/* an epoch that changes nothing brings the pair up to date */
	store_tags(&s, store_mkdir(&s, META_ROOT_INO, "elsewhere"), "");
	assert_int_equal(place_apply(s.place, inode, &at), -ERR_STALE);
	assert_int_equal(inode->zone_id, 0);
	assert_int_equal(place_still(s.place, inode, at.zone_id, &gen, &epoch), 0);
	assert_int_equal(epoch, at.epoch + 1);
	/* another zone is not this one */
	epoch--;
	assert_int_equal(place_still(s.place, inode, at.zone_id + 1, &gen, &epoch), -ERR_REVOKED);
	/* a directory's tag */
	epoch = at.epoch + 1;
	store_tags(&s, dir, "personal");
	assert_int_equal(place_still(s.place, inode, at.zone_id, &gen, &epoch), -ERR_REVOKED);
	store_tags(&s, dir, "");
	assert_int_equal(place_still(s.place, inode, at.zone_id, &gen, &epoch), 0);
	/* the file's own: whatever it is, it is judged anew */
	store_tags(&s, ino, "holiday");
	assert_int_equal(place_still(s.place, inode, at.zone_id, &gen, &epoch), -ERR_REVOKED);
	assert_int_equal(place_apply(s.place, inode, &at), -ERR_STALE);
	placement_free(&at);
	assert_int_equal(place_evaluate(s.place, inode, &at), 0);
	assert_int_equal(place_apply(s.place, inode, &at), 0);
	assert_int_equal(inode->zone_id, at.zone_id);
	assert_string_equal(inode->rule, "out");
	gen = at.gen;
	epoch = at.epoch;
	/* an evaluation that a tag overtook is not applied */
	store_tags(&s, ino, "personal");
	assert_int_equal(place_apply(s.place, inode, &at), -ERR_STALE);
	store_tags(&s, ino, "");
	placement_free(&at);
	assert_int_equal(place_evaluate(s.place, inode, &at), 0);
	gen = at.gen;
	store_name(&s, dir, "a", 0);
	assert_int_equal(place_still(s.place, inode, at.zone_id, &gen, &epoch), -ERR_REVOKED);
	placement_free(&at);
	store_put(&s, inode);
	store_destroy(&s);
}

static uint32_t flags_of(struct store *s, uint64_t ino)
{
	struct inode *inode = store_inode(s, ino);
	uint32_t flags = inode->flags;

	store_put(s, inode);
	return flags;
}

/* A rule's pin comes and goes with the rule. */
static void test_pin(void **state)
{
	struct store s;
	uint64_t dir, ino;

	(void)state;
	begin(&s, "deny",
		"[rule out]\npath = /public/**\nzone = abroad\npin = yes\n"
		"[rule here]\npath = /here/**\nzone = home\npin = no\n");
	dir = store_mkdir(&s, META_ROOT_INO, "public");
	ino = store_write(&s, dir, "a", "text");
	apply(&s, ino);
	assert_int_equal(flags_of(&s, ino), INODE_PINNED_RULE);
	store_name(&s, store_mkdir(&s, META_ROOT_INO, "other"), "a", ino);
	apply(&s, ino);
	assert_int_equal(flags_of(&s, ino), 0);
	ino = store_write(&s, store_mkdir(&s, META_ROOT_INO, "here"), "a", "text");
	apply(&s, ino);
	assert_int_equal(flags_of(&s, ino), INODE_HELD);
	store_destroy(&s);
}

/* I11: explain says what evaluate does, and why */
static void test_explain(void **state)
{
	struct buf out = BUF_INIT;
	struct inode *inode;
	json_t *all, *name, *section;
	struct store s;
	uint64_t dir, ino;

	(void)state;
	begin(&s, "deny", RULES);
	dir = store_mkdir(&s, META_ROOT_INO, "public");
	store_tags(&s, dir, "personal");
	ino = store_write(&s, dir, "odd\xff.key", "text");
	inode = store_inode(&s, ino);
	assert_int_equal(place_explain(s.place, inode, true, &out), 0);
	all = json_loadb((char *)out.data, out.len, 0, NULL);
	assert_non_null(all);
	assert_string_equal(json_string_value(json_object_get(all, "zone")), "home");
	assert_string_equal(json_string_value(json_object_get(all, "rule")), "stays");
	assert_string_equal(json_string_value(json_object_get(all, "state")), "free");
	name = json_array_get(json_object_get(all, "names"), 0);
	assert_string_equal(json_string_value(json_object_get(name, "path")), "/public/odd\xef\xbf\xbd.key");
	assert_int_equal(json_array_size(json_object_get(name, "tags")), 2);
	assert_int_equal(json_array_size(json_object_get(name, "rules")), 1);
	section = json_object_get(json_array_get(json_object_get(name, "tags"), 1), "section");
	assert_int_equal(json_integer_value(json_object_get(section, "line")), 34);
	json_decref(all);
	buf_free(&out);
	store_put(&s, inode);
	store_destroy(&s);
}

/* the text, with the store's directory as "@" */
static char *explained(struct store *s, uint64_t ino)
{
	struct inode *inode = store_inode(s, ino);
	struct buf out = BUF_INIT, text = BUF_INIT;
	size_t len = strlen(s->dir);

	assert_int_equal(place_explain(s->place, inode, false, &out), 0);
	for (const char *at = (char *)out.data; *at;) {
		bool dir = strncmp(at, s->dir, len) == 0;

		buf_put(&text, dir ? "@" : at, 1);
		at += dir ? len : 1;
	}
	buf_free(&out);
	store_put(s, inode);
	return buf_steal(&text);
}

static void expect_explained(struct store *s, uint64_t ino, const char *expected)
{
	char *text = explained(s, ino);

	assert_string_equal(text, expected);
	free(text);
}

static const char ONE_NAME[] = "zone home by rule stays\n"
			       "  held: leaving needs what zone home says, export = deny\n"
			       "  /public/a.key: zone home by rule stays\n"
			       "    tag mine: user\n"
			       "    tag draft: inherited from /public\n"
			       "    tag secret: rule from @/test.ini:34\n"
			       "    [tag secret] @/test.ini:34: sets the tag\n"
			       "      yes      name=*.key  a.key\n"
			       "    [rule stays] @/test.ini:36: decides for zone home\n"
			       "      yes      tag=personal,secret  mine, draft, secret\n";
static const char TWO_NAMES[] = "zone home by default\n"
				"  held: leaving needs what zone home says, export = deny\n"
				"  of 2 names: one of them says the home zone, and that decides\n"
				"  /isle/b: zone home (no rule matches)\n"
				"    tag mine: user\n"
				"    [tag secret] @/test.ini:34: does not set it\n"
				"      no       name=*.key  b\n"
				"    [rule stays] @/test.ini:36: does not match\n"
				"      no       tag=personal,secret  mine\n"
				"    [rule old] @/test.ini:39: does not match\n"
				"      no       path=/public/**  /isle/b\n"
				"      no       size>1M          4 bytes\n"
				"    [rule out] @/test.ini:43: does not match\n"
				"      no       path=/public/**  /isle/b\n"
				"      yes      not-name=*.tmp   b\n"
				"    [rule isle] @/test.ini:48: does not match\n"
				"      yes      path=/isle/**  /isle/b\n"
				"      no       type=image/*   text/plain\n"
				"    default: zone home\n"
				"  /public/a: zone abroad by rule out\n"
				"    tag mine: user\n"
				"    tag draft: inherited from /public\n"
				"    [tag secret] @/test.ini:34: does not set it\n"
				"      no       name=*.key  a\n"
				"    [rule stays] @/test.ini:36: does not match\n"
				"      no       tag=personal,secret  mine, draft\n"
				"    [rule old] @/test.ini:39: does not match\n"
				"      yes      path=/public/**  /public/a\n"
				"      no       size>1M          4 bytes\n"
				"    [rule out] @/test.ini:43: decides for zone abroad\n"
				"      yes      path=/public/**  /public/a\n"
				"      yes      not-name=*.tmp   a\n";
static const char KEPT[] =
	"zone home by rule stays\n"
	"  its rules want zone abroad; the export policy keeps it (kept-back): export = deny of zone home "
	"(@/test.ini:9)\n"
	"  held: leaving needs what zone home says, export = deny\n"
	"  the rule that wants zone abroad says export = deny\n"
	"  /public/a: zone abroad by rule out\n"
	"    tag mine: user\n"
	"    tag draft: inherited from /public\n"
	"    [tag secret] @/test.ini:34: does not set it\n"
	"      no       name=*.key  a\n"
	"    [rule stays] @/test.ini:36: does not match\n"
	"      no       tag=personal,secret  mine, draft\n"
	"    [rule old] @/test.ini:39: does not match\n"
	"      yes      path=/public/**  /public/a\n"
	"      no       size>1M          4 bytes\n"
	"    [rule out] @/test.ini:43: decides for zone abroad\n"
	"      yes      path=/public/**  /public/a\n"
	"      yes      not-name=*.tmp   a\n";

/* Where several names come to one placement, and what is kept at home. */
static void test_explain_text(void **state)
{
	static const char rules[] = "[tag secret]\nname = *.key\n"
				    "[rule stays]\ntag = personal, secret\nzone = home\n"
				    "[rule old]\npath = /public/**\nsize = >1M\nzone = second\n"
				    "[rule out]\npath = /public/**\nnot-name = *.tmp\nzone = abroad\nexport = deny\n"
				    "[rule isle]\npath = /isle/**\ntype = image/*\nzone = islands\n";
	struct store s;
	uint64_t public, isle, ino;

	(void)state;
	begin(&s, "deny", rules);
	public = store_mkdir(&s, META_ROOT_INO, "public");
	isle = store_mkdir(&s, META_ROOT_INO, "isle");
	store_tags(&s, public, "draft");
	ino = store_write(&s, public, "a.key", "text");
	store_tags(&s, ino, "mine");
	expect_explained(&s, ino, ONE_NAME);
	apply(&s, ino);
	store_name(&s, public, "a", ino);
	store_name(&s, public, "a.key", 0);
	store_name(&s, isle, "b", ino);
	expect_explained(&s, ino, TWO_NAMES);
	/* one name left, and what was at home by a rule is kept there */
	store_name(&s, isle, "b", 0);
	expect_explained(&s, ino, KEPT);
	store_destroy(&s);
}

/* when time may change the placement is said for the file, not for those rules that another one hides */
static void test_explain_due(void **state)
{
	static const char rules[] = "[rule old]\npath = /public/**\nage = >30d\nzone = abroad\n";
	struct store s;
	uint64_t dir, ino;
	char *text;

	(void)state;
	begin(&s, "deny", rules);
	dir = store_mkdir(&s, META_ROOT_INO, "public");
	ino = store_write(&s, dir, "a", "text");
	text = explained(&s, ino);
	assert_non_null(strstr(text, "zone home by default\n  time may change this next at 20"));
	assert_non_null(strstr(text, ", in 29d23h\n  /public/a: zone home (no rule matches)\n"));
	free(text);
	store_destroy(&s);
}

/* a directory of many files is walked once an epoch */
static void test_many(void **state)
{
	struct placement at;
	struct store s;
	uint64_t dir, *ino = calloc(20000, sizeof *ino);
	int64_t began;
	char name[16];

	(void)state;
	begin(&s, "deny", RULES);
	dir = store_mkdir(&s, META_ROOT_INO, "public");
	for (int i = 0; i < 20; i++)
		dir = store_mkdir(&s, dir, "below");
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof name, "%d", i);
		ino[i] = store_file(&s, dir, name);
	}
	assert_int_equal(meta_sync(s.meta), 0);
	began = clock_mono_ns();
	for (int i = 0; i < 20000; i++) {
		struct inode *inode = store_inode(&s, ino[i]);

		assert_int_equal(place_evaluate(s.place, inode, &at), 0);
		placement_free(&at);
		store_put(&s, inode);
	}
	print_message("%.1f us an evaluation\n", (double)(clock_mono_ns() - began) / 20000 / 1000);
	free(ino);
	store_destroy(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_and_tags),
		cmocka_unit_test(test_directories),
		cmocka_unit_test(test_orphan),
		cmocka_unit_test(test_policy),
		cmocka_unit_test(test_inherited_mark),
		cmocka_unit_test(test_type),
		cmocka_unit_test(test_generations),
		cmocka_unit_test(test_pin),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_explain_text),
		cmocka_unit_test(test_explain_due),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
