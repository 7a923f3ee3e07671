/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rules: tag and placement rules compiled once, matched often.
 *
 * A file is judged by the facts of one of its names. [tag] sections run first, in file order, and add automatic tags
 * (a [tag] section may ask for a tag that an earlier one, a user or a directory set); then the [rule] sections, in
 * file order, the first whose conditions all hold decides. Where none does the answer is the home zone with rule NULL.
 * Immutable after compilation: any thread may match without a lock. */
#ifndef CONFIG_RULES_H
#define CONFIG_RULES_H

#include "config/config.h"

#include <sys/types.h>

enum tag_origin { TAG_USER, TAG_INHERITED, TAG_RULE };

struct rule_tag {
	const char *name;
	enum tag_origin origin;
	const char *from; /* TAG_INHERITED: the directory's path; TAG_RULE: the section's name; else NULL */
	const struct config_origin *section; /* TAG_RULE: where that stands; else NULL */
};

enum file_type { FILE_REGULAR, FILE_DIRECTORY, FILE_SYMLINK, FILE_OTHER };

/* The facts of one name. Strings stay the caller's. */
struct rule_facts {
	const char *path; /* from the mount's root, "/hr/a.doc"; any bytes but NUL */
	enum file_type kind;
	uint64_t size;
	int64_t mtime_ns; /* real clock */
	int64_t now_ns;
	uid_t uid;
	gid_t gid;
	uint32_t link_count;	     /* names of the inode */
	const struct rule_tag *tags; /* user's and inherited */
	size_t tag_count;
	/* media type of the content ("image/png"), asked for only if a `type` condition cannot be decided by extension;
	 * returns NULL if unknown. May be NULL. Must not block on the network. */
	const char *(*media_type)(void *ctx);
	void *ctx;
};

struct rule; /* one [rule] section */

struct rule_decision {
	struct config_zone *zone; /* never NULL; home where rule is NULL */
	const struct rule *rule;  /* or NULL: the default */
	int64_t next_due_ns;	  /* real clock: when a condition on time may change the answer; INT64_MAX: never */
};

/* What is found of a condition. MAYBE: it cannot be told. UNSEEN: its section had failed before, and it would have had
 * to look at the content. */
enum rule_verdict { RULE_NO, RULE_MAYBE, RULE_YES, RULE_UNSEEN };

/* The tracer sees every step of the same program that decides (I11); any of these may be NULL. cond is called for each
 * condition of a section, and then tag or rule for the section; value is what was looked at, for people ("24.0 KiB"),
 * "" where nothing was. Conditions behind the first that fails are told too. */
struct rule_trace {
	void (*tag)(
		void *ctx, const char *section, const struct config_origin *, bool set, const char *failed_condition);
	void (*rule)(void *ctx, const struct rule *, bool matched, const char *failed_condition);
	void (*cond)(void *ctx, const char *text, enum rule_verdict, const char *value);
	void *ctx;
};

/* rules_decide: trace and tags_out may be NULL; tags_out receives all tags with their origins (a malloc'd array whose
 * strings belong to the facts and the rules; the caller frees the array). 0 or -ENOMEM: after an error the decision is
 * home (doubt is domestic). Blocks only if facts->media_type does, and on getpwnam's database never: owners are
 * resolved at load. */
int rules_decide(const struct config *, const struct rule_facts *, struct rule_decision *out, const struct rule_trace *,
	struct rule_tag **tags_out, size_t *tag_count);

const char *rule_name(const struct rule *);
const struct config_origin *rule_origin(const struct rule *);
struct config_zone *rule_zone(const struct rule *);
/* rule_export: the rule's own export policy, or -1 where it has none. */
int rule_export(const struct rule *);
/* What leaves under a rule is counted by month where it has thresholds: of files, of bytes; 0: no bound. */
struct rule_limit {
	uint64_t files, bytes;
};
const struct rule_limit *rule_warn_after(const struct rule *);
const struct rule_limit *rule_stop_after(const struct rule *);
bool rule_limit_any(const struct rule_limit *);
/* rule_limit_over: whether so much is more than it allows. rule_limit_reached: or all that it allows. */
bool rule_limit_over(const struct rule_limit *, uint64_t files, uint64_t bytes);
bool rule_limit_reached(const struct rule_limit *, uint64_t files, uint64_t bytes);
/* rule_pin: whether local copies of what it places stay in the cache. */
bool rule_pin(const struct rule *);
/* rule_text: the conditions in one line, appended to out: "tag=personal,confidential size>1M". */
void rule_text(const struct rule *, struct buf *out);
/* rules_count, rules_at: in file order, for `rules list`. */
size_t rules_count(const struct config *);
const struct rule *rules_at(const struct config *, size_t i);
/* rules_version: a hash of the compiled rules and zones: equal texts, equal versions. */
uint64_t rules_version(const struct config *);
/* rules_need_content: whether any `type` condition may need to see content. */
bool rules_need_content(const struct config *);

/* rules_need_time: whether any condition looks at the time, so that files come due by themselves. */
bool rules_need_time(const struct config *);

/* Used by config_load (same room). */
struct rules *rules_new(void);
void rules_free(struct rules *);

/* glob: gitignore's pattern language compiled (gitignore(5)): `*` and `?` stop at '/', `**` does not, [a-z] classes,
 * backslash quotes; a pattern without a leading or inner '/' matches the last component at any depth; a trailing "/"
 * or "/" + "**" matches what is below. Case matters. Linear in practice: no exponential backtracking. */
struct glob;
int glob_compile(struct glob **, const char *pattern, struct errmsg *); /* -EINVAL, -ENOMEM */
bool glob_match(const struct glob *, const char *path);
void glob_free(struct glob *);

#endif
