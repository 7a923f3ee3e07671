/* SPDX-License-Identifier: GPL-3.0-or-later */
/* outcome: how a command ended, as its exit status (DESIGN §8) and as "status" in the daemon's last line. */
#ifndef FS_CONTROL_OUTCOME_H
#define FS_CONTROL_OUTCOME_H

enum outcome {
	OUTCOME_DONE = 0,
	OUTCOME_FAILED = 1,
	OUTCOME_USAGE = 2,
	OUTCOME_REFUSED = 3,	/* by policy: the border, the export rules, an identity, a peer */
	OUTCOME_INCOMPLETE = 4, /* not yet: the rest goes on */
};

/* outcome_of: for 0 or a negative error. */
enum outcome outcome_of(int rc);

#endif
