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
	char content[128];    /* the content's media type, "" where unknown */
	char *const *by_name; /* types that the name gave the last time a type was asked for; NULL: the content did */
	int64_t next_due_ns;
};

static enum rule_verdict negate_if(bool negated, enum rule_verdict v)
{
	return negated ? RULE_YES - v : v;
}

static enum rule_verdict path_matches(const struct judge *j, const struct cond *c)
{
	for (size_t i = 0; i < c->count; i++)
		if (glob_match(c->globs[i], j->facts->path))
			return RULE_YES;
	return RULE_NO;
}

static enum rule_verdict name_matches(const struct judge *j, const struct cond *c)
{
	for (size_t i = 0; j->name_len && i < c->count; i++)
		if (glob_match_name(c->globs[i], j->name, j->name_len))
			return RULE_YES;
	return RULE_NO;
}

static enum rule_verdict has_tag(const struct judge *j, const char *name)
{
	for (size_t i = 0; i < j->facts->tag_count; i++)
		if (strcmp(j->facts->tags[i].name, name) == 0)
			return RULE_YES;
	for (size_t i = 0; i < j->added_count; i++)
		if (strcmp(j->added[i].tag.name, name) == 0)
			return j->added[i].doubtful ? RULE_MAYBE : RULE_YES;
	return RULE_NO;
}

static enum rule_verdict tag_matches(const struct judge *j, const struct cond *c)
{
	enum rule_verdict best = RULE_NO;

	for (size_t i = 0; best != RULE_YES && i < c->count; i++) {
		enum rule_verdict v = has_tag(j, c->words[i]);

		best = v > best ? v : best;
	}
	return best;
}

static enum rule_verdict in_ranges(const struct cond *c, int64_t v)
{
	for (size_t i = 0; i < c->count; i++)
		if (v >= c->ranges[i].low && v <= c->ranges[i].high)
			return RULE_YES;
	return RULE_NO;
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

static enum rule_verdict age_matches(struct judge *j, const struct cond *c)
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

static enum rule_verdict size_matches(const struct judge *j, const struct cond *c)
{
	return in_ranges(c, j->facts->size > INT64_MAX ? INT64_MAX : (int64_t)j->facts->size);
}

static enum rule_verdict owner_matches(const struct judge *j, const struct cond *c)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->owners[i].id == (c->owners[i].group ? j->facts->gid : j->facts->uid))
			return RULE_YES;
	return RULE_NO;
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

static enum rule_verdict content_matches(struct judge *j, const struct cond *c)
{
	if (!j->content_asked)
		ask_content(j);
	if (!*j->content)
		return RULE_MAYBE;
	return type_is(c, j->content) ? RULE_YES : RULE_NO;
}

/* those that need no look at the content */
static char *const *types_given(const struct judge *j)
{
	static char directory[] = "inode/directory", symlink[] = "inode/symlink", other[] = "inode/special";
	static char *const special[][2] = {
		[FILE_DIRECTORY] = { directory }, [FILE_SYMLINK] = { symlink }, [FILE_OTHER] = { other }
	};

	if (j->facts->kind != FILE_REGULAR)
		return special[j->facts->kind];
	return mime_lookup(j->rules->mime, j->name, j->name_len);
}

static enum rule_verdict type_matches(struct judge *j, const struct cond *c)
{
	char *const *types = types_given(j);
	size_t yes = 0, n = strv_count(types);

	for (size_t i = 0; i < n; i++)
		yes += type_is(c, types[i]);
	j->by_name = types;
	/* an extension of several types decides only where all of them agree */
	if (n && (yes == 0 || yes == n))
		return yes ? RULE_YES : RULE_NO;
	j->by_name = NULL;
	return content_matches(j, c);
}

static enum rule_verdict cond_matches(struct judge *j, const struct cond *c)
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
		return cond_window_matches(c, j->facts->now_ns, &j->next_due_ns) ? RULE_YES : RULE_NO;
	}
	return RULE_MAYBE;
}

/* ---- what a tracer is told ----------------------------------------------------------------------------------------
 */

static void put_word(struct buf *out, const char *word)
{
	buf_printf(out, "%s%s", out->len ? ", " : "", word);
}

static void tags_value(const struct judge *j, struct buf *out)
{
	for (size_t i = 0; i < j->facts->tag_count; i++)
		put_word(out, j->facts->tags[i].name);
	for (size_t i = 0; i < j->added_count; i++)
		put_word(out, j->added[i].tag.name);
	if (!out->len)
		buf_str(out, "no tags");
}

static void type_value(const struct judge *j, struct buf *out)
{
	for (size_t i = 0; j->by_name && j->by_name[i]; i++)
		put_word(out, j->by_name[i]);
	if (!j->by_name)
		buf_str(out, *j->content ? j->content : "unknown");
}

static void tell(const struct judge *j, const struct cond *c, enum rule_verdict v)
{
	struct buf value = BUF_INIT;

	if (!j->trace || !j->trace->cond)
		return;
	if (v == RULE_UNSEEN)
		buf_str(&value, "");
	else if (c->kind == COND_TAG)
		tags_value(j, &value);
	else if (c->kind == COND_TYPE)
		type_value(j, &value);
	else
		cond_value(c, j->facts, &value);
	j->trace->cond(j->trace->ctx, c->text, v, value.err ? "" : (const char *)value.data);
	buf_free(&value);
}

static enum rule_verdict judge_cond(struct judge *j, const struct cond *c)
{
	enum rule_verdict v = negate_if(c->negated, cond_matches(j, c));

	tell(j, c, v);
	return v;
}

/* The conditions behind one that failed decide nothing: they are looked at for who reads, and only as far as that
 * changes neither when the file is due nor what is known of its content. */
static void tell_rest(struct judge *j, const struct rule *r, size_t from)
{
	int64_t due_ns = j->next_due_ns;

	if (!j->trace || !j->trace->cond)
		return;
	for (size_t i = from; i < r->count; i++) {
		if (r->conds[i].kind == COND_TYPE)
			tell(j, &r->conds[i], RULE_UNSEEN);
		else
			judge_cond(j, &r->conds[i]);
	}
	j->next_due_ns = due_ns;
}

/* ---- sections ------------------------------------------------------------------------------------------------------
 */

/* all conditions of a section; *failed is the first that does not hold, or else one that is unknown, or NULL */
static enum rule_verdict section_matches(struct judge *j, const struct rule *r, const char **failed)
{
	enum rule_verdict all = RULE_YES;

	*failed = NULL;
	for (size_t i = 0; i < r->count; i++) {
		enum rule_verdict v = judge_cond(j, &r->conds[i]);

		if (v == RULE_YES)
			continue;
		if (v == RULE_NO || all == RULE_YES)
			*failed = r->conds[i].text;
		all = v;
		if (v == RULE_NO) {
			tell_rest(j, r, i + 1);
			break;
		}
	}
	return all;
}

static int add_tag(struct judge *j, const struct rule *section, bool doubtful)
{
	enum rule_verdict has = has_tag(j, section->name);
	struct judged_tag *v;

	if (has == RULE_YES || (has == RULE_MAYBE && doubtful))
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
		enum rule_verdict v = section_matches(j, r, &failed);

		if (j->trace && j->trace->tag)
			j->trace->tag(j->trace->ctx, r->name, &r->origin, v == RULE_YES, failed);
		if (v != RULE_NO)
			rc = add_tag(j, r, v == RULE_MAYBE);
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
		enum rule_verdict v = section_matches(j, r, &failed);
		bool takes = v == RULE_YES || (v == RULE_MAYBE && r->zone->kind == ZONE_DOMESTIC);

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

const struct rule_limit *rule_warn_after(const struct rule *r)
{
	return &r->warn_after;
}

const struct rule_limit *rule_stop_after(const struct rule *r)
{
	return &r->stop_after;
}

bool rule_pin(const struct rule *r)
{
	return r->pin;
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

bool rules_need_time(const struct config *c)
{
	return c->rules->timed;
}
