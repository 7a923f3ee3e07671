/* SPDX-License-Identifier: GPL-3.0-or-later */
/* place: in which zone a file may live (DESIGN §2 placement, I1, I9, I11).
 *
 * place_evaluate judges every name an inode has by the compiled rules, with its user tags (user.xdg.tags), the tags of
 * all directories above each name, and automatic tags; home if any name says home, and home if two names say two
 * different foreign zones. What cannot be judged (metadata unreadable, content type unknown where a rule asks for it
 * and the content is not at hand) is home. The export policy then decides whether a held file may follow its rules
 * abroad.
 *
 * Generations: inode.place_gen is raised (under the meta lock, in the operation that changes tags, names or links of
 * that inode) and the epoch by whatever changes many files at once (a directory's tags, name or parent; a reload). A
 * transfer carries both; place_still decides, immediately before each body, whether they still hold.
 *
 * Locks: place's own rwlock over the configuration pointer; no other lock is taken under it. */
#ifndef FS_PLACE_PLACE_H
#define FS_PLACE_PLACE_H

#include "config/config.h"
#include "config/rules.h"
#include "fs/cache/cache.h"
#include "fs/meta/meta.h"
#include "fs/place/policy.h"

struct place;

/* place_open: takes a reference to config; numbers its zones in the keyring; compares the policy baseline with the one
 * the store last accepted and refuses a looser one (-ERR_HELD, with a sentence): a domestic zone that became foreign or
 * disappeared while files are placed in it, an export policy that went from tight to loose. Keeps an equal or tighter
 * one; where the rules are not those last accepted every file is entered as pending. Blocks on the local disk. */
int place_open(struct place **, struct meta *, struct cache *, struct keyring *, struct config *, struct errmsg *);
/* place_start: the thread that seals old lines of the audit log. place_close ends it; accepts NULL. */
int place_start(struct place *);
void place_close(struct place *);
/* place_allows: what place_open checks, for a configuration that may come into force; changes nothing. place_check: the
 * same, and the zones it names are numbered; nothing else changes. place_reload: the same checks; then the new
 * configuration takes the old one's place and the epoch is raised. The caller then lets transfers revalidate. */
int place_allows(struct place *, const struct config *, struct errmsg *);
int place_check(struct place *, struct config *, struct errmsg *);
int place_reload(struct place *, struct config *, struct errmsg *);
/* place_config: a counted reference to the configuration in force; config_put it. */
struct config *place_config(struct place *);
/* place_zone_id, place_zone: between configuration and keyring numbers; 0, NULL for unknown ones (a zone that the
 * configuration no longer has). */
uint32_t place_zone_id(struct place *, const struct config_zone *);
struct config_zone *place_zone(struct place *, const struct config *, uint32_t zone_id);
/* place_zone_name: of any zone this store ever had; malloc'd, NULL for an unknown number. */
char *place_zone_name(struct place *, uint32_t zone_id);

struct placement {
	uint32_t zone_id;
	enum zone_kind kind;
	enum placement_state state;
	uint32_t wanted_zone_id; /* by the rules alone; differs from zone_id when kept by the export policy */
	bool mark_held;		 /* a rule (not the default) says domestic */
	bool export;		 /* it leaves a domestic zone by leave of the export policy: the audit gets a line */
	bool unmark;		 /* and is no longer held */
	/* what the export policy says of it (policy.h), and what that rests on */
	enum policy_reason reason;
	bool by_rule, approved, ask, note, counted;
	struct export_request asked; /* as it was then; rule is NULL. id 0: nobody was asked */
	uint32_t stays_zone_id;
	unsigned needed;   /* approvers who must agree */
	char *wanted_rule; /* malloc'd name of the rule that wants it there; NULL: the default */
	uint64_t version, size;
	bool pin;	   /* the rule wants its local copies to stay */
	bool want_content; /* a rule asks for the type of content that is not at hand: fetch 64 KiB, ask again */
	char *rule;	   /* malloc'd name, NULL for the default; placement_free */
	uint64_t rules_version;
	uint64_t gen, epoch; /* as of before the evaluation began */
	int64_t next_due_ns; /* real clock: when it may be another; INT64_MAX: never */
};
void placement_free(struct placement *);

/* place_evaluate: see above. Changes nothing. Takes inode->data_lock shared where content decides. -ENOENT for an inode
 * without a name (an orphan: its bytes go nowhere). Other errors do not happen: doubt is home. Blocks on the local
 * disk, never on the network. */
int place_evaluate(struct place *, struct inode *, struct placement *);
/* place_forecast: what a reload of this configuration (place_allows) would do to a file. Changes nothing. Zones are
 * those of config, from also of the one in force, and live as long as those; where it was never placed, from is the
 * home zone. -ENOENT for an orphan; other errors as they come. Blocks as place_evaluate. */
struct forecast {
	const struct config_zone *from, *to, *wanted; /* wanted: by the rules alone */
	const struct rule *rule;		      /* that decides; NULL: the default */
	enum policy_reason reason;		      /* why to is not wanted */
	uint64_t size;
	bool unsure; /* a rule asks for the type of content that is not at hand: at home, until it was fetched */
};
int place_forecast(struct place *, struct config *, struct inode *, struct forecast *);
/* place_name_marks: whether this one name of the file is enough to mark it held, were it placed now: a file with many
 * names that gets one more need not be judged by all of them. Blocks as place_evaluate. */
bool place_name_marks(struct place *, struct inode *, uint64_t parent, const char *name);
/* place_apply: makes the placement the inode's (zone_id, rule, rules_version, held mark, due_ns), with a line in the
 * audit log where it changed, and asks approvers where it has to be asked; -ERR_STALE, and nothing is changed, if
 * inode.place_gen or the epoch moved since it was evaluated, or what the export policy said rests on what is no longer
 * so. Takes the meta lock. */
int place_apply(struct place *, struct inode *, const struct placement *);
/* place_still: 0 while a file last judged at (gen, epoch) may still be sent to zone_id; evaluates again when only the
 * epoch moved, and then brings *gen and *epoch up to date; -ERR_REVOKED else. Blocks on the local disk. */
int place_still(struct place *, struct inode *, uint32_t zone_id, uint64_t *gen, uint64_t *epoch);
/* place_stays: of a file that changed since: 0 where its rules want it in zone_id all the same, by what it is now, as
 * of *gen and *epoch; -ENOENT: it has no name any more; -ERR_REVOKED. Blocks on the local disk. */
int place_stays(struct place *, struct inode *, uint32_t zone_id, uint64_t *gen, uint64_t *epoch);

/* place_changed: in the operation that changes tags, names, links or owner of an inode (under the meta lock, so that no
 * placement judged by what was before is applied after it), before transfer_revalidate. Raises its place_gen, and for a
 * directory the epoch. What may be stored elsewhere by what was before is entered as pending, durable with the
 * operation itself. */
void place_changed(struct place *, struct inode *);
uint64_t place_epoch(struct place *);

/* place_why: why it is not where its rules want it, as one sentence appended to out; nothing where it is. */
void place_why(struct place *, const struct placement *, struct buf *out);
/* place_keeper: what keeps it there, and where that is written, appended to out: "export = deny of zone home
 * (FILE:LINE)"; nothing where it is where its rules want it. */
void place_keeper(struct place *, const struct placement *, struct buf *out);

/* place_limits: what left in this month under each rule that has thresholds, in the order of the rules; fn's non-zero
 * result stops and is returned. Takes the meta lock, which is not held while fn runs. */
int place_limits(struct place *, int (*fn)(void *ctx, const struct rule *, const struct export_count *left), void *ctx);

/* What explain prints; the same program with a tracer. Text lines or JSON (an object) appended to out. Blocks as
 * place_evaluate. */
int place_explain(struct place *, struct inode *, bool json, struct buf *out);
/* place_all_tags: every tag that a file has by any of its names, each once: the user's, inherited ones and those of
 * [tag] sections; fn's non-zero result stops and is returned. -ENOENT for an orphan. Blocks as place_evaluate. */
int place_all_tags(struct place *, struct inode *, int (*fn)(void *ctx, const char *tag), void *ctx);
/* place_user_tags: the user's tags of an inode as set in user.xdg.tags, NULL-terminated, malloc'd in one piece. */
char **place_user_tags(struct meta *, struct inode *);

/* audit: one line of the hash-chained log (I10), in the batch of what it speaks of. kind is a short word, json the
 * facts (no names or content: inode numbers, zones, rules, objects), an object. Under the meta lock. audit_file: the
 * same, of one file, whose number comes first in the facts: {"ino":N,...}. */
void audit_append(struct place *, const char *kind, const char *json);
void audit_file(struct place *, const char *kind, uint64_t ino, const char *json);
/* place_audit_end: the log's last line and its mac, as of now; not the time. Takes the meta lock. */
struct audit_head;
void place_audit_end(struct place *, struct audit_head *);
/* tags_lost: which of its tags a held file or a directory loses when its list becomes value (NULL: none), as a JSON
 * array; malloc'd, NULL where it loses none or is neither. audit_tags: the line about that, once it is done; frees.
 * Under the meta lock, attributes loaded. */
char *tags_lost(struct inode *, const void *value, size_t len);
void audit_tags(struct place *, const struct inode *, char *lost);
/* crossing_add: counts what moved from one zone to another, for the report. Under the meta lock. */
void crossing_add(struct place *, uint32_t from_zone_id, uint32_t to_zone_id, uint64_t files, uint64_t bytes);

#endif
