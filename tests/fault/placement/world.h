/* SPDX-License-Identifier: GPL-3.0-or-later */
/* world: two files, the names and tags they may have, and what may become of them, beside the same in a real store.
 *
 * What a file may do is said here a second time, as plainly as it can be: I9 and the rules that store.c writes.
 * Each step is done to both; after each the store must not have sent what it must not (I1, I9), and at rest every file
 * must be where its rules say. */
#ifndef TESTS_FAULT_PLACEMENT_WORLD_H
#define TESTS_FAULT_PLACEMENT_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* What the configuration says of the zone at home; all the rest of it is the same. */
struct scene {
	const char *name, *policy, *pack;
	int kind;    /* enum policy */
	bool copies; /* how many copies there are to be abroad may change, and files may be copied */
};

/* A step of a walk, and what it is called in a report. world_can: whether it can be done now. */
enum step {
	WRITE_A,
	WRITE_B,
	TAG_A,
	UNTAG_A,
	TAG_DIR,
	UNTAG_DIR,
	MOVE_HOME,  /* /pub/a -> /hr/a */
	MOVE_OUT,   /* /hr/a -> /pub/a */
	REPLACE,    /* /pub/b -> /pub/a, over it if it is there */
	LINK,	    /* /pub/a = /hr/a */
	UNLINK_PUB, /* /pub/a */
	UNLINK_HR,  /* /hr/a */
	CREATE,	    /* /pub/a, anew */
	COPY,	    /* what a has to b, or the other way round: objects come to be shared */
	COPY_BACK,
	RELOAD,	 /* the other rules */
	COPIES,	 /* two copies abroad, or one again */
	AGREE_1, /* one approver to a, as it is */
	AGREE_2,
	AGREE_SOON, /* the other, for a while */
	REFUSE,
	WITHDRAW,
	FSYNC, /* of a, and the end of what it waits for */
	CRASH,
	TIME,	  /* a moment: the quiet period, or the time in which small blocks are gathered */
	LONG,	  /* all that time alone can bring */
	FAR_SENT, /* the whole body of the first upload under way is there */
	FAR_CONFIRMED,
	FAR_FAILED,
	FAR_LATE, /* no answer, and the object appears when the store believes it deleted */
	NEAR_CONFIRMED,
	NEAR_FAILED,
	STEPS
};
extern const char *const step_names[STEPS];

/* world_open: a store of its own; world_close: and its end. */
void world_open(const struct scene *);
void world_close(void);
/* How a walk begins: with two files in /pub, just written; all of it stored long ago; and one of them kept at home by
 * the policy, which asked approvers where it does. */
enum begin { WRITTEN, STORED, KEPT };
/* world_begin: nothing but that. world_rest: all that is under
 * way ends well, and all must be where it belongs; then nothing is left. */
void world_begin(enum begin);
void world_rest(void);
bool world_can(enum step);
void world_do(enum step);
/* world_do_in: a thread of that name stops in the middle of what the step brings, before it takes its count-th lock;
 * then the other step is done, and it goes on. world_do_slowly: the same of the step itself: the other step comes
 * before it takes its count-th lock. false: so many locks are not taken. */
bool world_do_in(enum step, const char *thread, unsigned count, enum step other);
bool world_do_slowly(enum step, unsigned count, enum step other);
/* world_hash: of all that what may come depends on. */
uint64_t world_hash(void);
/* world_report: told what is wrong; does not return. world_print: what there is. */
extern void (*world_report)(const char *what);
void world_print(FILE *);

#endif
