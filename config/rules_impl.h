/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rules_impl: the compiled form of [tag] and [rule] sections, shared by the files that build it, index it and run it.
 * Private to config/. Immutable once load_rules has returned. */
#ifndef CONFIG_RULES_IMPL_H
#define CONFIG_RULES_IMPL_H

#include "config/glob.h"
#include "config/mime.h"
#include "config/rules.h"

enum cond_kind {
	COND_PATH,
	COND_NAME,
	COND_TAG,
	COND_SIZE,
	COND_AGE,
	COND_OWNER,
	COND_TYPE,
	COND_LINKS,
	COND_HOURS,
	COND_DAYS,
	COND_DATE
};

/* sizes in bytes, ages and dates in nanoseconds, minutes of the day, days from Monday; both ends included */
struct cond_range {
	int64_t low, high;
};

struct cond_owner {
	bool group;
	uint32_t id;
};

/* One condition: any of its alternatives, or, negated, none of them. */
struct cond {
	enum cond_kind kind;
	bool negated;
	struct config_origin origin;
	char *text;		   /* "tag=personal,confidential" */
	char **items;		   /* the alternatives as written */
	size_t count;		   /* of the array that the kind uses */
	struct glob **globs;	   /* PATH, NAME */
	char **words;		   /* TAG; TYPE: "image/png" or "image/" for image/ and anything */
	struct cond_range *ranges; /* SIZE, AGE, LINKS, HOURS, DAYS, DATE */
	struct cond_owner *owners; /* OWNER */
};

/* A [tag] or [rule] section. Its conditions are as written, but those on time and then type are last: what was refused
 * before needs no time to come and no look at the content. */
struct rule {
	char *name;
	struct config_origin origin;
	struct config_zone *zone; /* NULL for a tag */
	int export;		  /* enum export_policy, or -1 */
	struct rule_limit warn_after, stop_after;
	bool pin;
	struct cond *conds;
	size_t count;
};

/* The two programs: tags run first. */
enum phase { PHASE_TAGS, PHASE_RULES, PHASES };

struct program {
	struct rule **v;
	size_t count;
};

struct rules_index;

struct rules {
	struct program program[PHASES];
	struct rules_index *index;
	struct mime *mime; /* where there is a type condition, else NULL */
	bool timed;	   /* a condition is on time */
	char **users_tags; /* those that the configuration leaves to users; NULL: none */
	uint64_t version;
};

void rule_free(struct rule *);
/* rule_limit_parse: "1000 files, 10G", either or both; false where it is none. */
bool rule_limit_parse(const char *text, struct rule_limit *);

/* cond_value: what a condition looks at, as people read it, appended to out; not of tags and types, which the judging
 * knows (config/rules_value.c). */
void cond_value(const struct cond *, const struct rule_facts *, struct buf *out);

/* cond_window_parse: one item of hours ("22:00-06:00"), days ("sat-mon", "wed") or date (">=2026-12-01",
 * "2026-12-01..2026-12-31 18:00") as one or two ranges; false where it is none. cond_window_matches: whether the time
 * lies in one; *due_ns is lowered to when that may change. In the local time zone. */
bool cond_window_parse(enum cond_kind, const char *item, struct cond_range out[2], size_t *count);
bool cond_window_matches(const struct cond *, int64_t now_ns, int64_t *due_ns);

/* rules_index_build: the index over both programs, which must not change any more; -ENOMEM. */
int rules_index_build(struct rules_index **, const struct rules *);
void rules_index_free(struct rules_index *);

/* A query: which sections can match, in order, for the facts given to it. A section that it leaves out cannot match. */
struct query_cursor {
	const struct index_bucket *bucket;
	size_t at; /* in the bucket's list of the phase */
};
struct rules_query {
	const struct rules_index *index;
	enum phase phase;
	size_t count, cap;
	struct query_cursor *v; /* first, or malloc'd where that was too short */
	struct query_cursor first[32];
};

/* query_start: looks up the facts, whose path has neither empty components nor a slash at its end; -ENOMEM. query_end
 * frees in either case. */
int query_start(struct rules_query *, const struct rules_index *, const struct rule_facts *);
/* query_add_tag: the file has this tag too; -ENOMEM. */
int query_add_tag(struct rules_query *, const char *tag);
/* query_phase: starts the program from its beginning. */
void query_phase(struct rules_query *, enum phase);
/* query_next: the first candidate at from or after it, SIZE_MAX after the last; from never goes back. */
size_t query_next(struct rules_query *, size_t from);
void query_end(struct rules_query *);

#endif
