/* SPDX-License-Identifier: GPL-3.0-or-later */
/* state: what there is, as programs see it, and what is held: what a file may do is said here a second time, as plainly
 * as it can be (I9, and the rules that the scene has). */
#ifndef TESTS_FAULT_PLACEMENT_STATE_H
#define TESTS_FAULT_PLACEMENT_STATE_H

#include <stdbool.h>
#include <stdint.h>

#define FILES  2
#define NOBODY (-1)
enum slot { PUB_A, PUB_B, HR_A, SLOTS }; /* the names there may be */

/* What two approvers said about one version of a content. */
#define APPROVERS 2
struct approval {
	int content;
	unsigned version;
	bool yes[APPROVERS];
	int64_t until_ns[APPROVERS];
	unsigned fresh; /* by approver: since the vote nothing else happened to the file, that would have it asked anew
			 */
};

/* deny, approve, allow: what happens to a held file whose rules want it abroad */
enum policy { DENY, APPROVE, ALLOW };

struct file {
	uint64_t ino;
	int content; /* of which file its bytes were written, for one may be copied to the other */
	unsigned version, synced;
	bool tag, held, exists;
	int64_t touched_ns;
	struct approval approval;
};

/* A name that a held file lost a moment ago. */
struct lost {
	bool held, tag;
	int64_t until_ns;
};

struct state {
	struct file files[FILES];
	int slots[SLOTS]; /* whose name it is */
	struct lost lost[SLOTS];
	bool dir_tag; /* of /pub */
	bool doubled; /* there are to be two copies abroad */
	bool closed;  /* the rules by which /pub stays at home too */
	enum policy policy;
};

bool state_has_name(const struct state *, int file);
/* state_wants_home: its rules do: any of its names says so, for every file has a rule. state_may_leave: I9. */
bool state_wants_home(const struct state *, int file);
bool state_may_leave(const struct state *, int file);
/* state_approved: both agreed to this very version, and that held then. */
bool state_approved(const struct file *, int content, unsigned version, int64_t at_ns);
/* state_hold: after every change: what a rule keeps at home is held. */
void state_hold(struct state *);
/* state_lose: the name goes; for quiet_ns whoever gets it gets the mark and the tag, which is state_inherit.
 * state_give: the mark of a file that is replaced, and its tag. state_gone: a file without a name is no more. */
void state_lose(struct state *, int slot, int64_t now_ns, int64_t quiet_ns);
void state_inherit(struct state *, int slot, int64_t now_ns);
void state_give(struct file *, bool held, bool tag);
void state_gone(struct state *, int file);

#endif
