/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ten thousand random files under random rules: the compiled program decides as a slow reference does, which is written
 * here from the documentation alone, and the tracer ends at the same rule. */
#include "base/clock.h"
#include "tests/unit/config/scratch.h"

#include <fnmatch.h>

#define ZONES                                                                                                          \
	"[filesystem]\nstore = s\nhome = d\n[zone d]\nkind = domestic\nbackends = b\n[zone f]\nkind = foreign\n"       \
	"backends = v\n[backend b]\ntype = local\npath = /b\n[backend v]\ntype = local\npath = /v\n"

static unsigned seed = 11;

static unsigned roll(unsigned n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

enum key { PATH, NAME, TAG, SIZE, AGE, OWNER, LINKS, KEYS };
static const char *const key_names[] = { "path", "name", "tag", "size", "age", "owner", "link-count" };
#define VALUES 6
static const char *const values[KEYS][VALUES] = {
	[PATH] = { "/a/**", "/a/b/", "*.x", "/b/**/*.y", "**/c/**", "/[ab]/?*" },
	[NAME] = { "*.x", "?.y", "a", "[!a]*", "c*x", "*b*" },
	[TAG] = { "t0", "t1", "t2", "t3", "t4", "t5" },
	[SIZE] = { ">10", "<=5", "3..20", "<1", ">=20", "11..12" },
	[AGE] = { ">10s", "<=5s", "3s..20s", "<1s", ">=20s", "11s..12s" },
	[OWNER] = { "uid:1", "uid:2", "gid:1", "gid:2", "uid:3", "gid:3" },
	[LINKS] = { ">1", "<=1", "2..3", "<3", ">=3", "1..2" },
};

struct one {
	enum key key;
	bool negated;
	int alternatives[2];
};
struct section {
	char name[8];
	bool foreign;
	struct one conds[3];
	int count;
};
struct file {
	char path[96];
	unsigned size, age, uid, gid, links;
	bool tags[VALUES]; /* t0 to t5 */
};

/* ---- the reference ------------------------------------------------------------------------------------------------
 */

/* what is left of a pattern against what is left of a path, neither with a slash in front */
static bool ref_match(const char *pattern, const char *path)
{
	size_t len = strcspn(pattern, "/"), component = strcspn(path, "/");
	const char *next = path + component + (path[component] == '/');
	char one[32], other[32];

	if (!*pattern)
		return !*path;
	if (strcmp(pattern, "**") == 0 || strcmp(pattern, "/") == 0)
		return *path != 0;
	if (strncmp(pattern, "**/", 3) == 0)
		return ref_match(pattern + 3, path) || (*path && ref_match(pattern, next));
	if (!*path)
		return false;
	snprintf(one, sizeof one, "%.*s", (int)len, pattern);
	snprintf(other, sizeof other, "%.*s", (int)component, path);
	if (fnmatch(one, other, 0) != 0)
		return false;
	if (pattern[len] && !pattern[len + 1])
		return *next != 0; /* a trailing slash: what is below */
	return ref_match(pattern + len + (pattern[len] == '/'), next);
}

static bool ref_path(const char *pattern, const char *path)
{
	char any[40];

	snprintf(any, sizeof any, "%s%s", strchr(pattern, '/') ? "" : "**/", pattern);
	return ref_match(*any == '/' ? any + 1 : any, path + 1);
}

static bool ref_number(const char *text, unsigned v)
{
	unsigned a, b;

	if (sscanf(text, "%u..%u", &a, &b) == 2 || sscanf(text, "%us..%us", &a, &b) == 2)
		return v >= a && v <= b;
	if (sscanf(text, ">=%u", &a) == 1)
		return v >= a;
	if (sscanf(text, "<=%u", &a) == 1)
		return v <= a;
	return sscanf(text, ">%u", &a) == 1 ? v > a : sscanf(text, "<%u", &a) == 1 && v < a;
}

static bool ref_value(const struct file *f, enum key key, int i)
{
	const char *text = values[key][i];

	switch (key) {
	case PATH:
		return ref_path(text, f->path);
	case NAME:
		return fnmatch(text, strrchr(f->path, '/') + 1, 0) == 0;
	case TAG:
		return f->tags[i];
	case SIZE:
		return ref_number(text, f->size);
	case AGE:
		return ref_number(text, f->age);
	case LINKS:
		return ref_number(text, f->links);
	default:
		return (unsigned)(text[4] - '0') == (text[0] == 'u' ? f->uid : f->gid);
	}
}

static bool ref_section(const struct file *f, const struct section *s)
{
	for (int i = 0; i < s->count; i++) {
		const struct one *c = &s->conds[i];
		bool any = ref_value(f, c->key, c->alternatives[0]) || ref_value(f, c->key, c->alternatives[1]);

		if (any == c->negated)
			return false;
	}
	return true;
}

/* the tags are set one after the other, then the first rule decides; NULL: none */
static const struct section *ref_decide(
	struct file f, const struct section *tags, int tag_count, const struct section *rules, int rule_count)
{
	for (int i = 0; i < tag_count; i++)
		if (ref_section(&f, &tags[i]))
			f.tags[tags[i].name[1] - '0'] = true;
	for (int i = 0; i < rule_count; i++)
		if (ref_section(&f, &rules[i]))
			return &rules[i];
	return NULL;
}

/* ---- chance -------------------------------------------------------------------------------------------------------
 */

static void random_section(struct section *s, struct buf *text, const char *kind, unsigned number)
{
	bool rule = strcmp(kind, "rule") == 0;
	unsigned used = 0;

	*s = (struct section){ .foreign = roll(2) };
	snprintf(s->name, sizeof s->name, "%c%u", rule ? 'r' : 't', rule ? number : roll(VALUES));
	buf_printf(text, "[%s %s]\n", kind, s->name);
	if (rule)
		buf_printf(text, "zone = %c\n", s->foreign ? 'f' : 'd');
	for (unsigned n = 1 + roll(3); n; n--) {
		struct one c = { roll(KEYS), roll(4) == 0, { (int)roll(VALUES), (int)roll(VALUES) } };

		if (used & 1U << c.key)
			continue;
		used |= 1U << c.key;
		s->conds[s->count++] = c;
		buf_printf(text, "%s%s = %s, %s\n", c.negated ? "not-" : "", key_names[c.key],
			values[c.key][c.alternatives[0]], values[c.key][c.alternatives[1]]);
	}
}

static void random_file(struct file *f)
{
	static const char *const components[] = { "a", "b", "c", "a.x", "b.y", "x", "cax", "aby", ".z" };

	*f = (struct file){ "", roll(30), roll(30), 1 + roll(4), 1 + roll(4), 1 + roll(4), { false } };
	for (unsigned n = 1 + roll(4); n; n--)
		sprintf(f->path + strlen(f->path), "/%s", components[roll(COUNT(components))]);
	for (int i = 0; i < VALUES; i++)
		f->tags[i] = roll(8) == 0;
}

static void trace_rule(void *ctx, const struct rule *r, bool matched, const char *failed)
{
	assert_int_equal(matched, failed == NULL);
	if (matched)
		*(const struct rule **)ctx = r;
}

static void check_file(const struct config *c, const struct file *file, const struct section *expected)
{
	struct rule_facts f = { .path = file->path,
		.size = file->size,
		.now_ns = 1000 * NS_PER_S,
		.mtime_ns = (1000 - (int64_t)file->age) * NS_PER_S,
		.uid = file->uid,
		.gid = file->gid,
		.link_count = file->links };
	const struct rule *explained = NULL;
	const struct rule_trace trace = { .rule = trace_rule, .ctx = &explained };
	struct rule_tag tags[VALUES];
	struct rule_decision d;

	for (int i = 0; i < VALUES; i++)
		if (file->tags[i])
			tags[f.tag_count++] = (struct rule_tag){ values[TAG][i], TAG_USER, NULL, NULL };
	f.tags = tags;
	assert_int_equal(rules_decide(c, &f, &d, NULL, NULL, NULL), 0);
	assert_string_equal(d.rule ? rule_name(d.rule) : "-", expected ? expected->name : "-");
	assert_string_equal(d.zone->name, expected && expected->foreign ? "f" : "d");
	assert_int_equal(rules_decide(c, &f, &d, &trace, NULL, NULL), 0);
	assert_ptr_equal(explained, d.rule);
	assert_string_equal(explained ? rule_name(explained) : "-", expected ? expected->name : "-");
}

#define TAGS  8
#define RULES 12

static void test_reference(void **state)
{
	unsigned decided = 0;

	(void)state;
	for (int round = 0; round < 500; round++) {
		struct section tags[TAGS], rules[RULES];
		struct buf text = BUF_INIT;
		struct config *c;
		char *said;

		buf_str(&text, ZONES);
		for (unsigned i = 0; i < TAGS; i++)
			random_section(&tags[i], &text, "tag", i);
		for (unsigned i = 0; i < RULES; i++)
			random_section(&rules[i], &text, "rule", i);
		scratch_write("test.ini", (char *)text.data);
		scratch_load(&c, &said);
		assert_string_equal(said, "");
		for (int i = 0; i < 20; i++) {
			const struct section *expected;
			struct file f;

			random_file(&f);
			expected = ref_decide(f, tags, TAGS, rules, RULES);
			decided += expected != NULL;
			check_file(c, &f, expected);
		}
		free(said);
		buf_free(&text);
		config_put(c);
	}
	assert_in_range(decided, 2000, 9900);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reference),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
