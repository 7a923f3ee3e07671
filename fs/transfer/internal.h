/* SPDX-License-Identifier: GPL-3.0-or-later */
/* internal: what the files of this room share.
 *
 * One mutex, transfer.lock, protects every struct below unless it says otherwise; it is held for short steps only,
 * never over I/O. The meta lock may be taken under it, never the other way round. */
#ifndef FS_TRANSFER_INTERNAL_H
#define FS_TRANSFER_INTERNAL_H

#include "backends/guard.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "fs/transfer/transfer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define UNIT		  4096u
#define PAGE_BLOCKS	  64u
#define PACK_BYTES	  (4u << 20) /* a pack is full when it has so much, or so many */
#define PACK_MEMBERS	  1024u
#define PASSES_MAX	  (2 * PACK_MEMBERS) /* of one zone, with a reference to their inode: one pack holds up none */
#define PACK_WINDOW_NS	  (250 * NS_PER_MS)  /* small blocks wait so long for others */
#define ENTRIES_MAX	  100000u
#define RETRY_MAX_NS	  (60 * NS_PER_S)
#define FETCH_CHUNK	  (1u << 20)
#define FETCH_SEQUENTIAL  (128u << 10)
#define FETCH_DEADLINE_NS (120 * NS_PER_S)

/* ---- backends: endpoint.c
 * -------------------------------------------------------------------------------------------- */

/* The deletions of one backend. Pages are read from the journal as of `after`; the cursor goes back when something
 * failed. */
struct deleter {
	bool wanted, loading, failed;
	int64_t after, wait_until_ns;
	int64_t pass_ns;  /* real clock: when this pass through the journal began, which ends with an empty page */
	int64_t later_ns; /* when one will be due that is not yet; 0: there is none */
	struct deletion page[PAGE_BLOCKS];
	unsigned at, count, busy, failures;
	uint64_t load_ticket; /* transfer.ticket when the last empty page was asked for */
	uint64_t drained;     /* everything journalled before this ticket is confirmed */
};

/* How soon a backend answers reads: smoothed, with how far answers scatter, and when that was measured last. */
#define PACE_FAILING_NS (5 * NS_PER_S)
struct pace {
	int64_t mean_ns, spread_ns, noted_ns;
	int64_t failing_until_ns; /* its last read failed: others are asked first */
};

/* A backend of the configuration in force, or a retired one with calls under way. */
struct endpoint {
	struct backend *backend;
	struct config *config; /* referenced: the backend points into it */
	uint32_t id, zone_id;
	unsigned refs; /* the table's and each call's */
	bool retired;
	bool closed;	   /* it is being emptied, or was: it takes no new objects */
	unsigned failures; /* of uploads in a row, whatever the breaker thinks of them */
	int64_t avoid_until_ns;
	struct pace pace;
	struct deleter deleter;
};
/* endpoints_open: one for each backend of the configuration, those of `old` that are unchanged kept. Without the lock.
 */
struct endpoints {
	struct endpoint **v;
	size_t count;
};
int endpoints_open(
	struct transfer *, struct config *, const struct endpoints *old, struct endpoints *out, struct errmsg *);
void endpoints_close(struct transfer *, struct endpoints *); /* drops the table's references; without the lock */
struct endpoint *endpoint_ref(struct endpoint *);
void endpoint_put(struct transfer *, struct endpoint *);	 /* accepts NULL; without the lock */
struct endpoint *endpoint_by_id(struct transfer *, uint32_t id); /* NULL; not referenced */
/* endpoint_failed, endpoint_worked: what an upload's call ended with. */
void endpoint_failed(struct endpoint *, int rc);
void endpoint_worked(struct endpoint *);
/* backend_says: a sentence of its driver, which may begin with the backend's name or not, with it once. */
const char *backend_says(const struct backend *, const char *message, char *out, size_t len);
/* targets_pick: `copies` backends of a zone that take new objects and are up; referenced. Fewer than that: none, and
 * *until is when it is worth asking again. */
struct targets {
	struct endpoint **v; /* malloc'd once, grows */
	size_t count, cap;
};
int targets_pick(struct transfer *, uint32_t zone_id, struct targets *, int64_t *until);
void targets_drop(struct transfer *, struct targets *); /* puts; without the lock */
/* endpoint_takes: whether it takes new objects of the zone now; if only later, *until moves there. zone_copies: how
 * many backends of a zone are to hold each object. Under the lock. */
bool endpoint_takes(const struct endpoint *, uint32_t zone_id, int64_t now, int64_t *until);
unsigned zone_copies(const struct transfer *, uint32_t zone_id);

/* ---- calls under way: flight.c -------------------------------------------------------------------------------------
 */

struct pass;

struct flight {
	struct list link; /* transfer.flights */
	struct call call;
	struct errmsg msg;
	struct transfer *t;
	struct endpoint *endpoint;
	unsigned watchers; /* threads that look at it without the lock: it must not go away */
	/* of a body: what is in it; those with an rc are not. The worker's own, but for what is constant meanwhile */
	bool body, foreign;
	struct item *items;
	size_t item_count;
	/* of a copy that is made again: the files whose bytes it has; constant but for the checks' own numbers */
	struct flight_member *members;
	size_t member_count;
	uint32_t zone_id;
};
struct flight_member {
	struct inode *inode; /* referenced */
	uint64_t gen, epoch; /* gen is constant, epoch the worker's */
};
/* flight_begin: entered in the list before anything is checked (I1); a transfer that stops cuts it at once. */
void flight_init(struct flight *, struct transfer *);
void flight_begin(struct flight *, struct endpoint *);
/* flight_end: out of the list; waits for watchers, which look at local data only. */
void flight_end(struct flight *);
void flight_free(struct flight *);

/* ---- what is to be done: entry.c, sched.c ---------------------------------------------------------------------------
 */

enum entry_state {
	ENTRY_WAITING,	 /* in the heap */
	ENTRY_PREPARING, /* with the scheduler */
	ENTRY_PARKED,	 /* its zone has enough passes */
	ENTRY_ACTIVE,	 /* has a pass */
};

/* An inode that has, or may have, something to do. */
struct entry {
	struct hash_node node;
	struct list link; /* parked: the zone queue's */
	uint64_t ino;
	size_t heap_at;			      /* index + 1; 0: not in the heap */
	int64_t due_ns, touched_ns, first_ns; /* monotonic; first: since when something waits */
	uint64_t born, stored;		      /* tickets: when it became due; up to which everything of it is stored */
	enum entry_state state;
	bool early;  /* to be judged before its quiet period ends */
	bool urgent; /* somebody waits: not put off because it is open */
	struct {
		int64_t touched_ns, first_ns;
		bool urgent;
	} seen;		   /* the same as of the start of the judgement under way: the scheduler's, without the lock */
	bool touched;	   /* again, while it was not in the heap */
	bool quiet_needed; /* judged foreign: pressure does not help it */
	uint8_t failures;
	int rc; /* of the last pass */
	struct pass *pass;
};

struct heap {
	struct entry **v;
	size_t count, cap;
};

enum touch { TOUCH_CHANGE, TOUCH_PENDING, TOUCH_URGENT };
int entries_init(struct transfer *);
void entries_free(struct transfer *);
struct entry *entry_find(struct transfer *, uint64_t ino);
/* entry_touch: finds or makes the entry. NULL when there is no room or memory: what is durable is found later. */
struct entry *entry_touch(struct transfer *, uint64_t ino, enum touch);
/* entry_wait: back to, or to another place in, the heap. entry_take: out of it. entry_drop: forgets it. */
void entry_wait(struct transfer *, struct entry *, int64_t due_ns);
void entry_take(struct transfer *, struct entry *);
void entry_drop(struct transfer *, struct entry *);
/* entry_settled: everything up to the ticket is stored: those who wait for it are told. */
void entry_settled(struct transfer *, struct entry *, uint64_t ticket);
void heap_fix(struct transfer *); /* after due times changed anywhere */

void *sched_main(void *transfer);
void sched_refill(struct transfer *); /* everything durably due is looked through again */
int64_t retry_after_ns(unsigned failures);
/* due_again: due_ns, or sooner where the entry was touched meanwhile. */
int64_t due_again(const struct transfer *, const struct entry *, int64_t due_ns);

/* ---- what falls due by the clock: due.c
 * --------------------------------------------------------------------------------------------- */

/* due_note: a file was placed whose placement falls due then; INT64_MAX: never. due_is_now: there is something due.
 * due_step: the scheduler's: enters a page of what is, without the lock meanwhile; false: nothing, or there is no room
 * for it; what found none is the first of the next. due_until: monotonic, when to step again. due_afresh: what was
 * given out was lost: from the beginning. due_clock: every file becomes pending where the clock was set back since the
 * last call and rules look at it; takes the meta lock. With the lock. */
void due_note(struct transfer *, int64_t due_real_ns);
bool due_is_now(const struct transfer *);
bool due_step(struct transfer *);
int64_t due_until(const struct transfer *);
void due_afresh(struct transfer *);
void due_clock(struct transfer *);

/* A block that an upload worker has to send. */
struct content {
	uint8_t *plain; /* room for a block and two segments: where its bytes go */
	uint32_t len;
	uint64_t version;
	bool clean;	      /* it is as its extent is */
	struct extent extent; /* that it had when its content was taken */
};
struct item {
	struct pass *pass;
	uint32_t index;
	struct block *block; /* referenced; NULL: it cannot be read, which rc says */
	uint32_t at;	     /* in the job, as it was given out */
	struct extent was;   /* then */
	struct content content;
	uint64_t offset;     /* of its bytes in the object */
	uint64_t gen, epoch; /* it was judged by; gen is constant, epoch the worker's */
	unsigned failures;   /* of the file's passes before */
	bool sent;	     /* it is in the object */
	bool refused;	     /* by a backend: the file is not to blame */
	bool done;	     /* it has ended, with: */
	int rc;
	int64_t retry_ns;
};
/* What a worker was given: one block, or small ones of one zone that share an object. */
struct job {
	struct item *v; /* malloc'd once, grows */
	size_t count, cap;
	struct zone_queue *queue;
	bool foreign;
};

/* ---- a pass over one inode's blocks: pass.c -----------------------------------------------------------------------
 */

/* The repairs of one zone's copies. */
struct repairer {
	bool wanted, busy;
	int failed; /* of the pass under way: the error that says when to look again */
	int64_t after, due_ns;
	int64_t asked_ns;  /* when it is to be looked at again at the latest, as was said while it was busy */
	int64_t rest_ns;   /* until when not even who waits has it looked at again: what is lost is read whole */
	unsigned failures; /* passes in a row */
	unsigned made;	   /* copies, until all are there */
};

struct zone_queue {
	struct list link; /* transfer.zones */
	uint32_t zone_id;
	struct list passes; /* with blocks to give out, in turn */
	struct list small;  /* those of which the next block is a small one: gathered for a while */
	size_t small_count;
	uint64_t small_bytes; /* of those that came since it was empty: at least what is in it */
	int64_t small_since_ns;
	bool small_urgent, small_last; /* somebody waits; a pack was given out last */
	struct list parked;	       /* entries */
	unsigned pass_count, uploading;
	int64_t blocked_until_ns;  /* too few backends are up */
	struct list demand, ahead; /* ranges to fetch */
	unsigned fetching, fetching_ahead, ahead_count;
	struct repairer repairer;
};
struct zone_queue *zone_queue(struct transfer *, uint32_t zone_id); /* made if missing; NULL: no memory */
/* zone_share: how many of n workers one zone may keep busy, so that no other waits behind it (I8). */
unsigned zone_share(const struct transfer *, unsigned workers);

struct pass {
	struct list link; /* the queue's, while it has blocks to give out */
	struct entry *entry;
	struct inode *inode; /* referenced */
	struct zone_queue *queue;
	uint32_t zone_id;
	bool foreign;
	uint64_t gen, epoch, version, ticket;
	uint64_t size;	      /* of the inode, when it was judged */
	int64_t next_due_ns;  /* real clock */
	uint32_t next, count; /* blocks looked at; blocks there are */
	uint32_t page[PAGE_BLOCKS];
	unsigned page_at, page_len, working;
	bool scanning, incomplete, cancelled, failed; /* failed: and not for its backends */
	int64_t retry_ns;
	int rc;
};
/* pass_scan: the next blocks that need an upload into the page; page_len 0: there are no more. Without the lock. */
int pass_scan(struct transfer *, struct pass *);
/* pass_start: into its zone's queue. pass_take: the next block of any pass whose turn it is; NULL and *until if there
 * is none, or, of small ones, as many as may share an object; drops the lock for a moment where it has to look for
 * blocks. pass_done: a block ended. pass_cancel: ends a pass of which no block is in work. passes_idle: nothing
 * more is about to be judged: small blocks that somebody waits for need not be gathered any longer. */
void pass_start(struct transfer *, struct pass *);
bool pass_take(struct transfer *, struct job *, struct targets *, int64_t *until);
void passes_idle(struct transfer *);
void pass_done(struct transfer *, const struct item *);
void pass_cancel(struct transfer *, struct pass *);
/* pass_finish: everything of the inode is where it belongs, or the rest is tried again. Called with the lock, drops it
 * for a moment. */
void pass_finish(struct transfer *, struct pass *);
void pass_free(struct transfer *, struct pass *); /* without the lock */

/* ---- uploads: upload.c, send.c, content.c
 * -----------------------------------------------------------------------------------
 */

struct worker {
	struct transfer *t;
	pthread_t thread;
	uint8_t *plain; /* of an object; freed when idle, like sealed and old */
	struct buf sealed;
	struct targets targets;
	struct job job;
	struct {
		uint8_t object[OBJECT_ID_BYTES];
		uint64_t off, len;
		uint8_t *data;	/* NULL: it was not read yet */
		uint8_t *sound; /* a byte a segment */
		int rc;		/* of what is not */
	} old;			/* a part of a pack that is rewritten */
};
void *upload_main(void *worker);

/* send_body: one sealed body to all targets at the same time. 0: each has confirmed it; else what the first that failed
 * by itself ended with, the others being cut: -ERR_REVOKED where it may no longer go. Blocks on the network. */
struct copy_send;
struct sending {
	struct item *items; /* in it: those that are not done; constant meanwhile */
	size_t item_count;
	struct zone_queue *queue;
	bool foreign;
	const uint8_t *id;
	const struct buf *body;
	/* what became of it */
	uint64_t body_sent;
	bool unsure; /* a backend may have all of it without having said so */
	struct copy_send *copies;
	size_t copy_count;
};
int send_body(struct transfer *, struct sending *, const struct targets *);

/* content_take: the block's bytes into content->plain. -ENOENT: it has none (any more). Blocks on the disk and, where a
 * part is on a backend only, on the network. content_hint: the next ones lie together in one object: one request brings
 * them all, or a few where some of it is damaged. content_forget: what it brought. */
int content_take(struct worker *, struct inode *, struct block *, struct content *);
void content_hint(struct worker *, const uint8_t object[OBJECT_ID_BYTES], uint64_t off, uint64_t end);
void content_forget(struct worker *);
bool extent_none(const struct extent *);
bool extent_same(const struct extent *, const struct extent *);

/* replica_read: [off, off+len) of an object's plaintext into out (len rounded up to segments, and one more), from the
 * first of its copies that gives it untampered. Copies that were asked and are missing or damaged are marked, and what
 * refutes such a mark takes it away. *skip: where in out the range begins. Blocks on the network. */
struct object_read {
	const uint8_t *id;
	uint64_t off;
	uint32_t len;
	void *out;
	bool quick; /* a person waits */
	uint32_t skip;
};
int replica_read(struct transfer *, struct object_read *);
size_t object_read_room(uint32_t len);

/* ---- copies of one object, and who answers first: replica.c, hedge.c
 * --------------------------------------------------- */

/* The copies of an object on backends of the configuration, those first that are expected to answer first: then those
 * whose last read failed, those that are down, and those that were found to be bad. */
struct copy {
	struct endpoint *endpoint; /* referenced */
	bool bad, missing;	   /* missing: that is how it is bad */
	bool gave;		   /* what was wanted */
	int64_t rank;
	int rc; /* what asking it ended with; 0: it was not asked, or gave it */
};
struct copies {
	struct copy *v;
	size_t count, next; /* to be asked */
};
int copies_order(struct transfer *, const struct object_info *, struct copies *);
void copies_free(struct transfer *, struct copies *);
/* copy_worse: what to report of two errors when no copy could be read: one that may come back leaves hope; else what is
 * wrong with the data. have 0: none yet. */
int copy_worse(int have, int rc);
/* copy_bad: a confirmed copy is missing (-ERR_ABSENT, I7) or damaged (-ERR_TAMPERED, I6): that is remembered, is one
 * line of the audit log, and has it made again, or looked at again. copy_sound: one that was bad is there, as it was.
 * Both do nothing where that is known. Without the lock. copy_log: what is wrong with it. */
void copy_bad(struct transfer *, const uint8_t id[OBJECT_ID_BYTES], const struct endpoint *, int rc);
void copy_sound(struct transfer *, const uint8_t id[OBJECT_ID_BYTES], const struct endpoint *);
void copy_log(const struct endpoint *, const char *name, const struct object_range *, const struct errmsg *, int rc);

/* One copy being asked by one thread, whose own it is but for what others look at. */
struct reading;
struct attempt {
	struct reading *reading;
	struct copy *copy;
	struct flight flight;
	struct sink sink; /* passes on to `body` */
	struct sink_memory body;
	void *out;
	unsigned hopes;	  /* copies that may answer, this one among them: the time that is left is shared */
	int64_t first_ns; /* when its first byte came */
	_Atomic uint64_t got;
	/* under the lock */
	int64_t start_ns;
	bool running, overtaken; /* overtaken: cut, since another has answered */
};
/* A read of a range from whichever copy gives it: by the thread that wants it, and by one beside it. Counted: who is
 * overtaken may end later. */
struct reading {
	struct list link; /* transfer.readings, while it waits for `due_ns` */
	struct transfer *t;
	struct object_info info;
	struct object_range range;
	bool quick;
	_Atomic int64_t heard_ns; /* when a byte came last */
	int64_t end_ns;
	struct attempt own, beside;
	/* under the lock */
	unsigned refs;
	struct copies copies;
	int64_t due_ns; /* when the next copy is asked */
	uint64_t seen;	/* bytes of `own` at the last look */
	bool hedging;	/* `beside` is being asked, or about to be */
	bool won;	/* and has answered: into hedge_out */
	bool over;	/* nobody waits for it any more */
	void *hedge_out;
};
/* reading_ask: asks the next copy: 1: there is none, 0, or its error. With the lock, which it drops meanwhile. */
int reading_ask(struct reading *, struct attempt *, void *out);
void reading_put(struct reading *); /* accepts NULL; without the lock */
/* hedge_arm: an attempt begins: where it takes long, another is to begin beside it. hedge_end: the reader's own ended
 * with rc; what the other one does is waited for where that may help, or cut. With the lock. */
void hedge_arm(struct reading *, const struct attempt *);
int hedge_end(struct reading *, int rc, void *out);
void *hedge_main(void *worker);
/* pace_note: an answer began after took_ns. pace_slow: there was none for so long. pace_expected_ns: as of now; what is
 * not known, or was measured long ago, is expected at once, so that it is measured again. With the lock. */
void pace_note(struct pace *, int64_t took_ns, int64_t now);
void pace_slow(struct pace *, int64_t waited_ns, int64_t now);
int64_t pace_expected_ns(const struct pace *, int64_t now);

/* ---- copies that are short: mirror.c, repair.c
 * ------------------------------------------------------------------------- */

/* mirrors_changed: the configuration did, or may have since the last mount: what is short now is looked for.
 * repair_hurry: every zone is looked at now; repair_wake: something of this one came to be
 * short, or is there again: at once, or where it waits after failures within that time. repair_yield: an
 * object is to be deleted: its repair ends; waits for that. The lock is held by the callers of all but repair_wake;
 * repair_yield drops it. */
void *repair_main(void *worker);
void mirrors_changed(struct transfer *);
void repair_hurry(struct transfer *);
void repair_wake(struct transfer *, uint32_t zone_id, int64_t within_ns);
void repair_yield(struct transfer *, const uint8_t id[OBJECT_ID_BYTES]);
/* repair_object: 0: it has the copies it needs, or is gone. *made grows by those that were made. Blocks on the network.
 */
int repair_object(struct worker *, uint32_t zone_id, const struct shortage *, unsigned *made);
/* repair_leave: an object gets all its copies on other backends than `from` (on `to` first, where that is not 0), they
 * are read back, and the one on `from` is let go. 0 also where it is gone. Blocks on the network. */
struct leaving {
	int64_t order;
	uint32_t zone_id, from, to;
};
int repair_leave(struct worker *, const struct leaving *, const uint8_t id[OBJECT_ID_BYTES]);

/* ---- a backend is emptied: move.c, drain.c, proof.c
 * ------------------------------------------------------------------------ */

#define DRAIN_WORKERS 4
#define DRAIN_PAGE    64u
#define TROUBLE_BYTES 256u

/* The order under way; with transfer.lock. */
struct drain {
	struct move_order order; /* id 0: there is none */
	uint32_t zone_id;	 /* of its source */
	bool across;		 /* to another zone: what moves is moved by its rules */
	struct shortage page[DRAIN_PAGE];
	unsigned at, count, busy;
	int64_t after;	   /* where the next page begins; 0: at the beginning */
	bool looking;	   /* a worker reads a page, counts or proves */
	bool proving;	   /* it deletes what it finds there: who cancels the order waits for that, */
	bool cancelled;	   /* having said so */
	bool failed;	   /* something since the beginning */
	unsigned failures; /* times through all of it in a row */
	int64_t due_ns;	   /* when to go on */
	struct move_count left;
	uint64_t deletions;
	uint64_t moved_bytes; /* since this mount */
	int64_t counted_ns, count_again_ns;
	struct rate_mark {
		int64_t at_ns;
		uint64_t bytes; /* left */
	} old, young;
	double bytes_per_s;
	bool late;
	char trouble[TROUBLE_BYTES]; /* what holds it up; "": nothing */
};
void *drain_main(void *worker);
/* drain_load: the order that the last mount left. Without the lock. drain_mark: endpoints that take nothing are marked,
 * after they were opened: of a table that is not in force yet. drain_wake: with the lock. */
int drain_load(struct transfer *);
int drain_mark(struct transfer *, struct endpoints *);
void drain_begin(struct transfer *, const struct move_order *); /* with the lock */
void drain_over(struct transfer *);				/* the same */
int64_t drain_seconds_left(const struct drain *);		/* -1: not known */
/* drain_prove: nothing of the store is known on the source any more: whatever lies there is deleted, and it is listed
 * until a list has nothing of ours; then the receipt is written. 0: the order is done; -ERR_STALE: not yet. Blocks on
 * the network, without locks. */
int drain_prove(struct transfer *, const struct move_order *, struct endpoint *, char *trouble);

/* ---- fetches: fetch.c, fetcher.c
 * ------------------------------------------------------------------------------------- */

/* One request: whole segments of one object, as a part of one block. */
struct range {
	struct hash_node node;
	struct list link;    /* the zone queue's, while it waits */
	struct list waiters; /* struct fetch */
	struct inode *inode; /* referenced */
	struct extent extent;
	struct zone_queue *queue;
	uint32_t index, off, len;
	uint32_t ahead; /* bytes after it to plan when it runs */
	bool demand;	/* somebody waits for it */
	bool exact;	/* exactly what one waiter needs: not joined */
	bool pack;	/* of a pack, from extent.offset on, for whichever files have it: pack_ahead.c */
};
void *fetch_main(void *worker);
void *complete_main(void *transfer);
/* fetch_plan: ranges for [off, off+len) of a block, but for what is under way already. With demand, the one that holds
 * off comes first and is returned; NULL: no memory. Under the lock. */
struct fetch_part {
	struct inode *inode;
	struct extent extent;
	uint32_t index, off, len;
};
struct range *fetch_plan(struct transfer *, const struct fetch_part *, bool demand);
/* fetch_exact: one range of exactly this part, which nobody joins. Under the lock. */
struct range *fetch_exact(struct transfer *, const struct fetch_part *);
/* fetch_pack: part->len bytes of the object from part->extent.offset on, in the background. Under the lock. */
void fetch_pack(struct transfer *, const struct fetch_part *);
void range_unlink(struct transfer *, struct range *);		 /* out of the tables; under the lock */
void range_free(struct transfer *, struct range *);		 /* without the lock */
void fetch_end(struct transfer *, struct list *waiters, int rc); /* without the lock */

/* pack_ahead: a range was asked for: what follows it in a pack may be wanted next. pack_window: fetches that. Without
 * the lock. */
#define PACK_READS 8
struct pack_reads {
	uint8_t object[OBJECT_ID_BYTES];
	unsigned count; /* fetches of members in a short time */
	int64_t last_ns;
	uint64_t from, end; /* the last window */
};
void pack_ahead(struct transfer *, const struct range *);
void pack_window(struct transfer *, const struct range *);

/* ---- deletions: delete.c
 * ----------------------------------------------------------------------------------------------- */

void *delete_main(void *worker);
void delete_wake(struct transfer *); /* under the lock */
/* delete_hurry: the journal is looked into now. Under the lock. */
void delete_hurry(struct transfer *);

/* ---- packs that are rewritten: repack.c
 * --------------------------------------------------------------------------------- */

/* A pack that is to go: what still points at it is uploaded anew. */
struct doomed {
	struct hash_node node;
	uint8_t id[OBJECT_ID_BYTES];
	bool leaving;	  /* it holds what belongs to another zone: a sync waits for it */
	bool told;	  /* every file in it was entered */
	bool seen;	  /* by the look under way */
	bool aside;	  /* it could not be rewritten, and others wait: left alone until then */
	unsigned tries;	  /* how often it stepped aside */
	uint64_t live;	  /* bytes in use, when it was last looked at */
	int64_t since_ns; /* monotonic: when those last became fewer */
	int64_t until_ns; /* monotonic, of one that stepped aside */
};
int repacks_init(struct transfer *);
void repacks_free(struct transfer *);
/* repack_look: asks for a look at what is due. repack_step: the scheduler's, with the lock, which it drops: false when
 * there was nothing to look at. repack_due_ns: when there will be. repack_doomed: whether the object of an extent is to
 * go. Without the lock. */
void repack_look(struct transfer *);
void repack_hurry(struct transfer *); /* the same, and nothing that leaves is put off */
bool repack_step(struct transfer *);
int64_t repack_due_ns(const struct transfer *);
bool repack_doomed(struct transfer *, const struct extent *);

/* ---- who waits: sync.c
 * --------------------------------------------------------------------------------------------------- */

/* A wait for everything: how many entries that were there at the ticket are still to be stored. */
struct sync_wait {
	struct list link;
	uint64_t ticket;
	size_t left;
};

/* ---- heads of the audit log: heads.c, heads_look.c -------------------------------------------------------------- */

#define HEADS_SETTING	  "audit-heads"
#define HEADS_CALL_NS	  (30 * NS_PER_S)
#define HEAD_NAME	  32
#define HEAD_BACKENDS_MAX 16 /* of the home zone, that get one */
struct heads {
	pthread_mutex_t lock; /* held by who publishes, over the network; transfer.lock and the meta lock under it */
	pthread_cond_t wake;  /* with transfer.lock: it stops */
	bool runs;
};
void heads_init(struct heads *);
void heads_destroy(struct heads *);
void *heads_main(void *worker);
void head_name(uint64_t number, char out[HEAD_NAME]);
/* heads_known: the number of the last head that the store knows to be published, and the line it is of. */
uint64_t heads_known(struct meta *, uint64_t *seq);
/* What one backend has. t and e are NULL where nobody has the store mounted. */
struct head_look {
	struct transfer *t;
	struct endpoint *e;
	struct meta *meta;
	struct keyring *keyring;
	struct backend *backend;
	int64_t deadline_ns;
	/* found */
	uint64_t newest; /* number; 0: there is none */
	uint64_t taken;	 /* the highest number in whose place there is something else */
	struct audit_head head;
	unsigned bad; /* that are no heads of this store */
	char why[200];
};
/* head_try: 1: there is a head of that number, which is the newest seen; 0: there is none; or an error.
 * head_look_beyond: from a number that is there, or 0, to the highest that can be found. head_look_newest: that, added
 * to what was seen on other backends. Block on the network. */
int head_try(struct head_look *, uint64_t number);
int head_look_beyond(struct head_look *, uint64_t from);
void heads_seen_init(struct meta *, struct audit_heads *, struct audit_head *);
void head_look_newest(struct head_look *, struct audit_heads *, struct audit_head *);

/* ---- the whole
 * ------------------------------------------------------------------------------------------------------------ */

struct rate {
	int64_t at_ns;
	uint64_t total;
	double per_s;
};

/* ---- connections in the audit log: peers.c --------------------------------------------------------------------------
 */

#define PEERS_MAX	 64u
#define PEER_FACTS_BYTES 512u
#define PEER_LINES_MAX	 32u

/* Connections of which all that was checked is the same. */
struct peer {
	char facts[PEER_FACTS_BYTES]; /* as JSON, without the braces */
	int64_t since_ns;	      /* monotonic: when the hour began in which there were so many lines */
	unsigned lines;
	uint64_t connections; /* in no line yet */
};

struct peers {
	pthread_mutex_t lock; /* of the rest; before the meta lock */
	struct peer v[PEERS_MAX];
	size_t count, next;
};
void peers_init(struct peers *);
void peers_destroy(struct peers *);
/* peers_connected: call.connected; the context is the transfer. */
void peers_connected(void *transfer, const struct connection *);
/* peers_flush: writes the lines of what was only counted. */
void peers_flush(struct transfer *);

struct transfer {
	struct meta *meta;
	struct cache *cache;
	struct place *place;
	struct keyring *keyring;
	struct transfer_options options;
	uint64_t block_bytes;

	pthread_mutex_t lock;
	pthread_cond_t sched, upload, fetch, complete, del; /* the threads' */
	pthread_cond_t changed;				    /* something ended: waits of sync and of flights */
	pthread_cond_t hedge, raced;			    /* of those who ask a second copy, and who wait for them */
	bool stopping;

	struct config *config; /* that the endpoints are made of; referenced */
	struct endpoints endpoints;
	struct list flights;
	struct list zones;
	unsigned zone_count;
	struct list *zone_turn, *fetch_turn; /* whose turn it is among the queues */
	size_t delete_turn;
	int64_t deletions_due; /* meta_deletions_due when the deleters were last woken for it */

	struct hash entries;
	size_t entries_max; /* beyond it the scheduler pages through what is durably due */
	struct heap heap;
	uint64_t ticket;
	struct list syncs;
	struct list dead_passes; /* cancelled where the lock had to be kept; the scheduler frees them */
	/* the pass through what is durably due */
	bool refill, refill_again;
	uint64_t refill_after, refill_ticket, refilled; /* tickets: of the pass under way; of the last finished */
	/* what falls due by the clock: up to where it was given out since the start, and when there is more. Real clock
	 */
	struct meta_due due_given;
	int64_t due_next_ns;
	int64_t clock_ahead_ns; /* of the monotonic clock, when that was last looked at */
	int64_t subtree_ns;	/* monotonic: when a directory changed last */
	bool pressed;
	int64_t pressed_ns;
	size_t uploading;
	bool judging; /* the scheduler has an entry in hand */
	int64_t pack_window_ns;

	struct hash doomed;
	atomic_uint doomed_count, doomed_leaving;
	bool repack_wanted;	    /* to be looked at now */
	unsigned repack_waits;	    /* of syncs, for what leaves */
	int64_t repack_patience_ns; /* with a pack of which nothing goes, while others wait */
	int64_t repack_looked_ns;   /* of the last look */
	int64_t repack_next_ns;	    /* monotonic: when something is due that was not yet */
	uint64_t repack_changes;    /* meta_repack_changes when it was last looked at */
	uint64_t repack_looked;	    /* ticket of the last look */
	uint64_t repack_hurries;    /* grows with each */
	uint64_t gone;		    /* grows with each deletion that is confirmed, and each look at packs */

	struct pack_reads pack_reads[PACK_READS]; /* the last ones read from */
	struct hash ranges;
	struct list finished; /* fetches to be told -EINTR */
	struct list repairs;  /* objects whose copies are being made */
	struct list shares;   /* struct transfer_share: objects that are about to have one more file */
	struct list verdicts; /* on copies, being written down */
	pthread_cond_t repair;
	bool mirrors_changed, mirrors_looking;
	int64_t mirrors_look_ns; /* monotonic: when to look through all objects, if the configuration changed */
	struct list readings;	 /* with another copy to ask if the first takes long */
	size_t fetching;

	struct peers peers;
	struct heads heads;
	struct drain drain;
	pthread_cond_t draining; /* its workers' */
	pthread_mutex_t moves; /* orders begin and end one after the other; before the lock, held over the local disk */

	struct rate sent, received;
	struct worker *workers; /* uploads, fetches, hedges, repairs, deletions in this order */
	size_t worker_count;
	pthread_t sched_thread, complete_thread;
	bool sched_runs, complete_runs;
};

#endif
