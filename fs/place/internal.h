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
/* audit_rows: a page of the lines above `after` and up to last that are in rows, in that form; empty: there are none.
 */
#define AUDIT_PAGE_LINES 256
int audit_rows(const struct audit_log *, uint64_t after, uint64_t last, struct buf *page);
/* audit_walk_all: as audit_walk, and tells of each sealed file that cannot be read as it was written (bad may be NULL);
 * the walk goes on behind what is lost by that, and is -ERR_TAMPERED in the end. */
struct audit_taker {
	int (*line)(void *ctx, const struct audit_line *);
	int (*bad)(void *ctx, uint64_t file, const char *text);
	void *ctx;
};
int audit_walk_all(const struct audit_log *, uint64_t after, const struct audit_taker *);

/* What the store knows of its sealed files: how many, the last line that is in one, and its mac. sealed_load: zeros
 * where there are none; -ERR_CORRUPT. */
#define AUDIT_SEALED	   "audit-sealed" /* the setting */
#define AUDIT_SEALED_BYTES 48
struct audit_sealed {
	uint64_t files, last;
	uint8_t mac[AUDIT_MAC_BYTES];
};
int sealed_load(struct meta *, struct audit_sealed *);

/* ---- sealed files: audit/N in the store, N counting from 1 */

#define AUDIT_FILE_HEAD 116
#define AUDIT_FILE_FORM "%08" PRIu64
#define AUDIT_FILE_NAME 24
void audit_file_name(uint64_t number, char out[AUDIT_FILE_NAME]);

/* What is in one: the macs are of the line before the first one (zeros where there is none), and of the last one. */
struct audit_part {
	uint64_t number, first, last;
	uint8_t before[AUDIT_MAC_BYTES], end[AUDIT_MAC_BYTES];
};
/* Writing: begin, put each page, finish: it has its name, durably, and -EEXIST where there is such a file; end in any
 * case. They block on the local disk. */
struct audit_writer {
	int dir, fd;
	uint64_t number, page;
	uint8_t *key;
	uint8_t head[AUDIT_FILE_HEAD];
};
int audit_file_begin(struct audit_writer *, const struct audit_log *, const struct audit_part *);
int audit_file_put(struct audit_writer *, const struct buf *page, bool last);
int audit_file_finish(struct audit_writer *);
void audit_file_end(struct audit_writer *);
/* Reading: open: -ENOENT, -ERR_FORMAT, -ERR_NEWER, -ERR_TAMPERED (of another store, under another number). What its
 * head says is authentic as soon as a page of it is. next: 1: a page; 0: the end; -ERR_TAMPERED: this page is not
 * authentic, the next may be; -ERR_CORRUPT: nor can anything behind it be found. close in any case. */
struct audit_reader {
	int fd;
	uint64_t at, size, page;
	bool ended;
	uint8_t *key;
	struct audit_part part;
	uint8_t head[AUDIT_FILE_HEAD];
};
int audit_file_open(struct audit_reader *, const struct audit_log *, uint64_t number);
int audit_file_next(struct audit_reader *, struct buf *page);
void audit_file_close(struct audit_reader *);

/* rotator: the thread that seals what is old. The lock protects wanted; it is a leaf, also taken under the meta lock.
 */
struct rotator {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	bool runs, wanted;
	atomic_bool stopping;
};
void rotator_init(struct rotator *);
int rotator_start(struct place *);
void rotator_wake(struct rotator *);
void rotator_end(struct rotator *);

/* audit: the log's end. Under the meta lock; sealed is changed by the rotator only. */
struct audit {
	struct chain *chain;
	uint64_t seq; /* of the last line */
	uint64_t lines_max;
	struct audit_sealed sealed;
	struct rotator rotator;
};
int audit_open(struct place *, struct errmsg *);
void audit_close(struct place *);
/* audit_rotate: seals the oldest half of a log of more lines than lines_max: 1: that was done; 0: there is nothing to
 * do; an error: all is as it was, or goes on from where it was the next time. Its steps: audit_seal: the part's file is
 * there, durable, and holds what the rows hold; -ERR_TAMPERED where there is another of that number. audit_sealed_set:
 * the store knows of it. audit_clear: no rows are left of what is in files. All block on the local disk. */
int audit_rotate(struct place *);
int audit_seal(struct place *, struct audit_part *);
int audit_sealed_set(struct place *, const struct audit_part *);
int audit_clear(struct place *);

/* counts: what left under rules that count, in this month; by rule. Under the meta lock. */
struct counts {
	struct hash table;
	int64_t month; /* the day on which it began, from 1970 */
};
int counts_open(struct place *, struct errmsg *);
void counts_close(struct place *);
/* counts_left: of one rule (NULL: none) as of now. counts_add: one file more; warns where that reaches warn. */
struct export_count counts_left(struct place *, const char *rule);
int counts_add(struct place *, const char *rule, uint64_t bytes); /* -ENOMEM: it may not leave */
/* month_began: the day on which the month of that moment (UTC) began, from 1970; month_ends_ns: when it is over. */
int64_t month_began(int64_t now_ns);
int64_t month_ends_ns(int64_t now_ns);

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
	struct counts counts;
	uint64_t request_last; /* number of the last request; under the meta lock */
	pthread_mutex_t votes; /* one vote at a time: who agreed is read and counted; before the meta lock */
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
	uint64_t version;
	struct export_request asked; /* id 0 and not left: nothing */
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
	struct rule_trace trace; /* ctx NULL: nothing is traced, which is quicker */
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
/* subject_place: what the rules of the subject's configuration, and the export policy, say of all its names (NULL: they
 * could not be read: home). */
int subject_place(struct subject *, const struct buf *names, struct judged *wanted, struct placement *);
/* policy_apply: lets the export policy decide about a wanted placement; fills the rest of it. */
int policy_apply(const struct subject *, const struct judged *wanted, struct placement *);

/* audit_key_pair: the store's signing keys (Ed25519), made of its audit key whenever they are needed; the secret one is
 * locked memory, to be sodium_free'd. -ENOMEM. */
int audit_key_pair(struct keyring *, uint8_t public[32], uint8_t **secret);

/* explain_print: what explain found, as text. */
void explain_print(const json_t *, int64_t now_ns, struct buf *out);
/* requests: what approvers were asked, kept with the inode as an attribute that no program can name.
 * requests_open: where numbers go on. request_get: under the meta lock, attributes loaded: what is kept, empty where
 * there is nothing; request_clear frees. -ENOMEM; what cannot be read is as nothing (asked anew). request_set: keeps
 * it, or, empty, takes it away; with the inode's flag. Under the meta lock; -ENOMEM, -ENOSPC. */
int requests_open(struct place *);
int request_get(struct inode *, struct export_request *);
void request_clear(struct export_request *);
int request_set(struct place *, struct inode *, const struct export_request *);
/* What became of it, as the table approval has it. */
enum request_state {
	REQUEST_OPEN,
	REQUEST_APPROVED,
	REQUEST_DENIED,
	REQUEST_USED, /* and the file is abroad */
	REQUEST_EXPIRED,
	REQUEST_SUPERSEDED, /* the file, or what was asked, changed */
	REQUEST_WITHDRAWN,
};
/* request_turn: its row says so from now on, and, where what is not NULL, the audit log. Under the meta lock. */
void request_turn(struct place *, uint64_t id, uint64_t ino, enum request_state, int64_t expires_ns, const char *what);
/* request_apply: what a placement means for the inode's request, before it is adopted: a new one is made, an old one
 * ends, leaving is noted and counted. path is the file's. -ERR_STALE where another answer is to be had by now. Under
 * the meta lock. */
int request_apply(struct place *, struct inode *, const struct placement *, const struct buf *path);
/* json_bytes: a string of any bytes; what is no UTF-8 shows as U+FFFD. */
json_t *json_bytes(const char *);

#endif
