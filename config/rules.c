/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The program that decides, and, with a tracer, explains (I11).
 *
 * A condition can be unknown: a type that neither the name nor the content gives. An unknown tag is carried as one that
 * may be there, and in the end doubt is domestic (I1): a rule of a domestic zone takes the file, one of a foreign zone
 * does not. */
#include "config/rules.h"

#include "config/rules_impl.h"
#include "config/strv.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum verdict { NO, MAYBE, YES };

struct judged_tag {
	struct rule_tag tag;
	bool doubtful;
};

struct judge {
	const struct rules *rules;
	const struct rule_facts *facts;
	const struct rule_trace *trace; /* or NULL */
	bool every;			/* look at every section, not only at the index's candidates */
	struct rules_query query;
	struct judged_tag *added; /* by [tag] sections */
	size_t added_count;
	const char *name; /* the path's last component */
	size_t name_len;
	bool content_asked;
	char content[128]; /* the content's media type, "" where unknown */
	int64_t next_due_ns;
};

static enum verdict negate_if(bool negated, enum verdict v)
{
	return negated ? YES - v : v;
}

static enum verdict path_matches(const struct judge *j, const struct cond *c)
{
	for (size_t i = 0; i < c->count; i++)
		if (glob_match(c->globs[i], j->facts->path))
			return YES;
	return NO;
}

static enum verdict name_matches(const struct judge *j, const struct cond *c)
{
	for (size_t i = 0; j->name_len && i < c->count; i++)
		if (glob_match_name(c->globs[i], j->name, j->name_len))
			return YES;
	return NO;
}

static enum verdict has_tag(const struct judge *j, const char *name)
{
	for (size_t i = 0; i < j->facts->tag_count; i++)
		if (strcmp(j->facts->tags[i].name, name) == 0)
			return YES;
	for (size_t i = 0; i < j->added_count; i++)
		if (strcmp(j->added[i].tag.name, name) == 0)
			return j->added[i].doubtful ? MAYBE : YES;
	return NO;
}

static enum verdict tag_matches(const struct judge *j, const struct cond *c)
{
	enum verdict best = NO;

	for (size_t i = 0; best != YES && i < c->count; i++) {
		enum verdict v = has_tag(j, c->words[i]);

		best = v > best ? v : best;
	}
	return best;
}

static enum verdict in_ranges(const struct cond *c, int64_t v)
{
	for (size_t i = 0; i < c->count; i++)
		if (v >= c->ranges[i].low && v <= c->ranges[i].high)
			return YES;
	return NO;
}

static int64_t saturating_add(int64_t a, int64_t b)
{
	int64_t sum;

	if (!__builtin_add_overflow(a, b, &sum))
		return sum;
	return a < 0 ? INT64_MIN : INT64_MAX;
}

static void note_due(struct judge *j, int64_t age, int64_t at_age)
{
	int64_t due;

	if (at_age <= age)
		return;
	due = saturating_add(j->facts->mtime_ns, at_age);
	if (due < j->next_due_ns)
		j->next_due_ns = due;
}

static enum verdict age_matches(struct judge *j, const struct cond *c)
{
	int64_t age;

	if (__builtin_sub_overflow(j->facts->now_ns, j->facts->mtime_ns, &age))
		age = j->facts->mtime_ns < 0 ? INT64_MAX : INT64_MIN;
	for (size_t i = 0; i < c->count; i++) {
		note_due(j, age, c->ranges[i].low);
		if (c->ranges[i].high < INT64_MAX)
			note_due(j, age, c->ranges[i].high + 1);
	}
	return in_ranges(c, age);
}

static enum verdict size_matches(const struct judge *j, const struct cond *c)
{
	return in_ranges(c, j->facts->size > INT64_MAX ? INT64_MAX : (int64_t)j->facts->size);
}

static enum verdict owner_matches(const struct judge *j, const struct cond *c)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->owners[i].id == (c->owners[i].group ? j->facts->gid : j->facts->uid))
			return YES;
	return NO;
}

/* "image/" stands for all that start so */
static bool type_is(const struct cond *c, const char *type)
{
	for (size_t i = 0; i < c->count; i++) {
		size_t len = strlen(c->words[i]);

		if (strncmp(type, c->words[i], len) == 0 && (c->words[i][len - 1] == '/' || !type[len]))
			return true;
	}
	return false;
}

/* libmagic's answer, without parameters ("; charset=...") and in lower case */
static void ask_content(struct judge *j)
{
	const char *type = j->facts->media_type ? j->facts->media_type(j->facts->ctx) : NULL;
	size_t len = type ? strcspn(type, "; \t") : 0;

	j->content_asked = true;
	if (len >= sizeof j->content)
		len = 0;
	for (size_t i = 0; i < len; i++)
		j->content[i] = (char)tolower((unsigned char)type[i]);
	j->content[len] = 0;
}

static enum verdict content_matches(struct judge *j, const struct cond *c)
{
	if (!j->content_asked)
		ask_content(j);
	if (!*j->content)
		return MAYBE;
	return type_is(c, j->content) ? YES : NO;
}

static enum verdict type_matches(struct judge *j, const struct cond *c)
{
	static const char *const special[] = {
		[FILE_DIRECTORY] = "inode/directory", [FILE_SYMLINK] = "inode/symlink", [FILE_OTHER] = "inode/special"
	};
	char *const *types;
	size_t yes = 0, n;

	if (j->facts->kind != FILE_REGULAR)
		return type_is(c, special[j->facts->kind]) ? YES : NO;
	types = mime_lookup(j->rules->mime, j->name, j->name_len);
	n = strv_count(types);
	for (size_t i = 0; i < n; i++)
		yes += type_is(c, types[i]);
	/* an extension of several types decides only where all of them agree */
	if (n && (yes == 0 || yes == n))
		return yes ? YES : NO;
	return content_matches(j, c);
}

static enum verdict cond_matches(struct judge *j, const struct cond *c)
{
	switch (c->kind) {
	case COND_PATH:
		return path_matches(j, c);
	case COND_NAME:
		return name_matches(j, c);
	case COND_TAG:
		return tag_matches(j, c);
	case COND_SIZE:
		return size_matches(j, c);
	case COND_AGE:
		return age_matches(j, c);
	case COND_OWNER:
		return owner_matches(j, c);
	case COND_TYPE:
		return type_matches(j, c);
	case COND_LINKS:
		return in_ranges(c, j->facts->link_count);
	case COND_HOURS:
	case COND_DAYS:
	case COND_DATE:
		return cond_window_matches(c, j->facts->now_ns, &j->next_due_ns) ? YES : NO;
	}
	return MAYBE;
}

/* all conditions of a section; *failed is the first that does not hold, or else one that is unknown, or NULL */
static enum verdict section_matches(struct judge *j, const struct rule *r, const char **failed)
{
	enum verdict all = YES;

	*failed = NULL;
	for (size_t i = 0; i < r->count; i++) {
		enum verdict v = negate_if(r->conds[i].negated, cond_matches(j, &r->conds[i]));

		if (v == YES)
			continue;
		if (v == NO || all == YES)
			*failed = r->conds[i].text;
		all = v;
		if (v == NO)
			break;
	}
	return all;
}

static int add_tag(struct judge *j, const struct rule *section, bool doubtful)
{
	enum verdict has = has_tag(j, section->name);
	struct judged_tag *v;

	if (has == YES || (has == MAYBE && doubtful))
		return 0;
	for (size_t i = 0; i < j->added_count; i++) {
		if (strcmp(j->added[i].tag.name, section->name) != 0)
			continue;
		j->added[i].doubtful = false;
		return 0;
	}
	v = realloc(j->added, (j->added_count + 1) * sizeof *v);
	if (!v)
		return -ENOMEM;
	j->added = v;
	v[j->added_count++] =
		(struct judged_tag){ { section->name, TAG_RULE, section->name, &section->origin }, doubtful };
	return query_add_tag(&j->query, section->name);
}

/* The index leaves out only what cannot match: who traces wants to see that too, and a path that is not written the one
 * way cannot be looked up. */
static bool every_section(const struct judge *j)
{
	const char *path = j->facts->path;

	return j->trace || *path != '/' || strstr(path, "//") || (path[1] && path[strlen(path) - 1] == '/');
}

static size_t next_section(struct judge *j, enum phase phase, size_t from)
{
	if (!j->every)
		return query_next(&j->query, from);
	return from < j->rules->program[phase].count ? from : SIZE_MAX;
}

static int run_tags(struct judge *j)
{
	const struct program *p = &j->rules->program[PHASE_TAGS];
	const char *failed;
	int rc = 0;

	query_phase(&j->query, PHASE_TAGS);
	for (size_t i = 0; rc == 0 && (i = next_section(j, PHASE_TAGS, i)) < p->count; i++) {
		const struct rule *r = p->v[i];
		enum verdict v = section_matches(j, r, &failed);

		if (j->trace && j->trace->tag)
			j->trace->tag(j->trace->ctx, r->name, &r->origin, v == YES, failed);
		if (v != NO)
			rc = add_tag(j, r, v == MAYBE);
	}
	return rc;
}

static const struct rule *run_rules(struct judge *j)
{
	const struct program *p = &j->rules->program[PHASE_RULES];
	const char *failed;

	query_phase(&j->query, PHASE_RULES);
	for (size_t i = 0; (i = next_section(j, PHASE_RULES, i)) < p->count; i++) {
		const struct rule *r = p->v[i];
		enum verdict v = section_matches(j, r, &failed);
		bool takes = v == YES || (v == MAYBE && r->zone->kind == ZONE_DOMESTIC);

		if (j->trace && j->trace->rule)
			j->trace->rule(j->trace->ctx, r, takes, takes ? NULL : failed);
		if (takes)
			return r;
	}
	return NULL;
}

static int copy_tags(const struct judge *j, struct rule_tag **out, size_t *count)
{
	size_t n = 0;

	*out = malloc((j->facts->tag_count + j->added_count + 1) * sizeof **out);
	if (!*out)
		return -ENOMEM;
	for (size_t i = 0; i < j->facts->tag_count; i++)
		(*out)[n++] = j->facts->tags[i];
	for (size_t i = 0; i < j->added_count; i++)
		if (!j->added[i].doubtful)
			(*out)[n++] = j->added[i].tag;
	*count = n;
	return 0;
}

static int decide(struct judge *j, struct rule_decision *out, struct rule_tag **tags_out, size_t *tag_count)
{
	const struct rule *r;
	int rc = query_start(&j->query, j->rules->index, j->facts);

	if (rc == 0)
		rc = run_tags(j);
	if (rc < 0)
		return rc;
	r = run_rules(j);
	if (tags_out && (rc = copy_tags(j, tags_out, tag_count)) < 0)
		return rc;
	if (r)
		out->zone = r->zone;
	out->rule = r;
	out->next_due_ns = j->next_due_ns;
	return 0;
}

int rules_decide(const struct config *c, const struct rule_facts *f, struct rule_decision *out,
	const struct rule_trace *trace, struct rule_tag **tags_out, size_t *tag_count)
{
	struct judge j = { .rules = c->rules, .facts = f, .trace = trace, .next_due_ns = INT64_MAX };
	const char *slash = strrchr(f->path, '/');
	int rc;

	*out = (struct rule_decision){ .zone = c->home, .next_due_ns = INT64_MAX };
	if (tags_out)
		*tags_out = NULL;
	j.name = slash ? slash + 1 : f->path;
	j.name_len = strlen(j.name);
	j.every = every_section(&j);
	rc = decide(&j, out, tags_out, tag_count);
	query_end(&j.query);
	free(j.added);
	return rc;
}

const char *rule_name(const struct rule *r)
{
	return r->name;
}

const struct config_origin *rule_origin(const struct rule *r)
{
	return &r->origin;
}

struct config_zone *rule_zone(const struct rule *r)
{
	return r->zone;
}

int rule_export(const struct rule *r)
{
	return r->export;
}

void rule_text(const struct rule *r, struct buf *out)
{
	for (size_t i = 0; i < r->count; i++)
		buf_printf(out, "%s%s", i ? " " : "", r->conds[i].text);
}

size_t rules_count(const struct config *c)
{
	return c->rules->program[PHASE_RULES].count;
}

const struct rule *rules_at(const struct config *c, size_t i)
{
	return c->rules->program[PHASE_RULES].v[i];
}

uint64_t rules_version(const struct config *c)
{
	return c->rules->version;
}

bool rules_need_content(const struct config *c)
{
	return c->rules->mime != NULL;
}
