/* SPDX-License-Identifier: GPL-3.0-or-later */
/* internal: what the files of this room share. */
#ifndef FS_PLACE_INTERNAL_H
#define FS_PLACE_INTERNAL_H

#include "base/hash.h"
#include "fs/place/audit.h"
#include "fs/place/place.h"

#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

/* A path and the tags that what lies below it inherits, as of one epoch. Immutable once shared; counted. */
struct dir_facts {
	struct hash_node node;
	atomic_uint refs;
	uint64_t ino, epoch;
	size_t bytes;
	char *path; /* "" for the root, else "/a/b" */
	struct rule_tag *tags;
	size_t tag_count;
};

/* The directories judged lately. The lock protects the table; a leaf. */
struct dirs {
	pthread_mutex_t lock;
	struct hash table;
	size_t bytes;
};
int dirs_init(struct dirs *);
void dirs_free(struct dirs *);
/* dir_facts_get: of a directory as of the epoch; walks up to the root or to a directory that is known. -ENOENT where it
 * is not in the tree (any more). dir_facts_put accepts NULL. Blocks on the local disk. */
int dir_facts_get(struct place *, uint64_t ino, uint64_t epoch, struct dir_facts **);
void dir_facts_put(struct dir_facts *);

/* tags_load: the user's tags of an inode, as place_user_tags; an inode without has an empty list. */
int tags_load(struct meta *, struct inode *, char ***out);

/* media: libmagic, which serves one caller at a time. The lock protects it; a leaf. */
struct media {
	pthread_mutex_t lock;
	void *magic; /* loaded when first asked */
	bool failed;
};
void media_init(struct media *);
void media_free(struct media *);
/* media_type: of the content's first 64 KiB into out; -ERR_NEED_FETCH where that is not at hand, or an error. Takes
 * inode->data_lock shared. Blocks on the local disk. */
int media_type(struct place *, struct inode *, char *out, size_t len);

/* chain: what the log's next line is made with: its key, and the mac of the line before it. In locked memory. */
struct chain {
	uint8_t key[32], mac[AUDIT_MAC_BYTES];
};
void chain_begin(struct chain *, struct keyring *); /* before the first line */
/* chain_mac: of the next line. chain_ratchet: to the key of the one after it. */
void chain_mac(const struct chain *, const char *text, size_t len, uint8_t mac[AUDIT_MAC_BYTES]);
void chain_ratchet(struct chain *);
/* chain_load: as the store keeps it, and the number of the last line. -ENOENT where there never was one, -ERR_CORRUPT.
 */
int chain_load(struct meta *, struct chain *, uint64_t *seq);

/* A line begins so; the facts, and a brace, follow. */
#define AUDIT_LINE_HEAD "{\"seq\":%" PRIu64 ",\"time\":%" PRId64 ".%09" PRIu32 ",\"kind\":\""
#define AUDIT_LINE_KIND "%s\",\"facts\":"

/* The form in which lines are kept in memory and in sealed files; what is got points into the reader's bytes. */
void audit_line_put(struct buf *, const struct audit_line *);
int audit_line_get(struct reader *, struct audit_line *);

/* audit: the log's end. Under the meta lock. */
struct audit {
	struct chain *chain;
	uint64_t seq; /* of the last line */
};
int audit_open(struct place *, struct errmsg *);
void audit_close(struct place *);

struct zone_number {
	uint32_t id;
	char *name;
};

struct place {
	struct meta *meta;
	struct cache *cache;
	struct keyring *keyring;
	pthread_rwlock_t lock; /* config and zones; nothing is taken under it */
	struct config *config;
	struct zone_number *zones; /* every zone there ever was; grows only */
	size_t zone_count;
	atomic_uint_least64_t epoch;
	struct dirs dirs;
	struct media media;
	struct audit audit;
};

/* zones_load: the names that the store remembers. zones_number: numbers those of the configuration. */
int zones_load(struct place *);
int zones_number(struct place *, struct config *, struct errmsg *);

/* baseline_check: -ERR_HELD if the configuration is looser than the one last accepted. baseline_keep: makes it the one
 * last accepted, durably, with a line in the audit log, if it is another. Block on the local disk. */
int baseline_check(struct place *, const struct config *, struct errmsg *);
int baseline_keep(struct place *, const struct config *);
/* baseline_looser: whether `now` (config_baseline's text) allows what `before` did not; the sentence goes to msg.
 * occupied tells whether files lie in a zone. 0, -ERR_HELD or what occupied failed with. */
int baseline_looser(const char *before, const char *now, int (*occupied)(void *ctx, const char *zone), void *ctx,
	struct errmsg *msg);

/* What is known of an inode as the evaluation begins. */
struct subject {
	struct inode *inode;
	struct config *config; /* referenced */
	uint64_t gen, epoch;
	enum file_type kind;
	uint64_t size;
	int64_t mtime_ns, now_ns;
	uid_t uid;
	gid_t gid;
	uint32_t link_count;
	uint32_t flags, zone_id; /* zone_id: where it was last placed */
	char *rule;		 /* by which rule; malloc'd or NULL */
	char **tags;
	/* the content's media type, once asked */
	struct place *place;
	bool type_asked, type_unknown, content_missing;
	char type[128];
};
int subject_init(struct subject *, struct place *, struct inode *);
void subject_free(struct subject *);

/* One name, judged. */
struct judged {
	struct config_zone *zone;
	const struct rule *rule;
	int64_t due_ns;
	bool doubt; /* could not be judged: home */
};
/* judge_name: trace and the rest may be NULL. Doubt is no error. path and tags (with a malloc'd array in tags, whose
 * strings live as long as *dir, which the caller puts, and the subject) are for who explains. */
struct judge_detail {
	struct rule_trace trace;
	struct dir_facts *dir;
	char *path;
	struct rule_tag *tags;
	size_t tag_count;
};
void judge_name(struct subject *, uint64_t parent, const char *name, struct judged *, struct judge_detail *);
void judge_detail_free(struct judge_detail *);
/* names_collect: (parent 8 bytes, name, NUL) for each name into out; -ENOENT if there is none. */
int names_collect(struct meta *, uint64_t ino, struct buf *out);
/* names_next: walks that; false at the end. */
bool names_next(const struct buf *, size_t *pos, uint64_t *parent, const char **name);

/* The verdicts about all names of an inode. */
enum judged_side { JUDGED_HOME, JUDGED_DOMESTIC, JUDGED_FOREIGN, JUDGED_SIDES };
struct judgement {
	struct judged of[JUDGED_SIDES]; /* zone NULL: no name says so */
	bool conflict[JUDGED_SIDES];	/* two names say different zones */
	bool mark;			/* a rule said domestic */
	int64_t due_ns;
};
void judgement_add(struct judgement *, const struct subject *, const struct judged *);
void judgement_result(const struct judgement *, const struct subject *, struct judged *);
/* policy_apply: lets the export policy decide about a wanted placement; fills the rest of it. */
int policy_apply(const struct subject *, const struct judged *wanted, struct placement *);

const char *policy_name(enum export_policy);
/* json_bytes: a string of any bytes; what is no UTF-8 shows as U+FFFD. */
json_t *json_bytes(const char *);

#endif
