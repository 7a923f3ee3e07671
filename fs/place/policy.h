/* SPDX-License-Identifier: GPL-3.0-or-later */
/* policy: whether what its rules want abroad may leave (I9): one function of its facts, without locks, clock or store.
 *
 * A file that a rule or a tag held leaves a domestic zone as the zone's `export` says; a rule's own `export` tightens
 * that, and binds files that nobody held too, but for those that are abroad already. With `approve` it leaves under a
 * request: one content of one file, from one zone to another, by one rule. Whatever of these changes is another
 * request. It stays abroad only as long as that request holds: the mark is kept, and with it the data comes home when
 * the approval expires, is withdrawn, or the content changes. */
#ifndef FS_PLACE_POLICY_H
#define FS_PLACE_POLICY_H

#include "config/config.h"
#include "config/rules.h"

enum placement_state {
	PLACEMENT_FREE, /* where its rules want it */
	PLACEMENT_HELD, /* its rules want it abroad, and it stays: export = deny, approvers said no, a rule's stop-after
			 */
	PLACEMENT_AWAITING, /* the same, until approvers agree */
};

/* What approvers were asked for a file last, or, id 0, what left of it under a rule that counts. Kept with the inode.
 */
struct export_request {
	uint64_t id;	  /* never used again */
	uint64_t version; /* of the content: inode.version */
	uint32_t from_zone_id, to_zone_id;
	uint32_t votes; /* distinct approvers who agree, as of the last vote */
	bool denied, left;
	int64_t expires_ns; /* real clock; INT64_MAX: never */
	char *rule;	    /* malloc'd name; NULL: the default */
};

struct export_count {
	uint64_t files, bytes;
};

struct policy_facts {
	const struct config_zone *home, *wanted; /* wanted: by the rules alone */
	const struct config_zone *in; /* where it was placed last; NULL: nowhere, or in a zone that is gone */
	const char *rule;	      /* that wants it there; NULL: the default */
	int rule_export;	      /* its own enum export_policy; -1: none */
	bool held;
	uint64_t version, size;
	int64_t now_ns, month_end_ns;			 /* real clock */
	const struct export_request *asked;		 /* NULL: nothing */
	const struct config_zone *asked_from, *asked_to; /* its zones; NULL: gone from the configuration */
	bool counts;					 /* the rule has thresholds */
	struct export_count left;			 /* under the rule in this month */
	struct rule_limit stop;
};

enum policy_reason {
	POLICY_NONE,	 /* it is where its rules want it */
	POLICY_DENY,	 /* export = deny */
	POLICY_AWAITING, /* too few approvers have agreed yet */
	POLICY_DENIED,	 /* one of them said no */
	POLICY_STOPPED,	 /* so much has left under its rule in this month */
};

struct policy_verdict {
	const struct config_zone *zone;
	const struct config_zone *stays; /* the domestic zone that it stays in, or comes back to */
	enum placement_state state;
	enum policy_reason reason;
	bool by_rule;	/* reason is of the rule's own `export`, not the zone's */
	bool approved;	/* it is abroad, or goes there, under the request */
	bool ask;	/* there is no such request yet: one is to be made */
	bool export;	/* it leaves a domestic zone by leave of the policy */
	bool unmark;	/* and is no longer held */
	bool note;	/* that it left is to be kept with it, */
	bool counted;	/* and to be counted */
	int64_t due_ns; /* when the verdict may change by itself; INT64_MAX: never */
};

void policy_decide(const struct policy_facts *, struct policy_verdict *);
/* policy_approving: the zone whose approvers decide about what leaves a zone: the zone itself, or home where it names
 * none. */
const struct config_zone *policy_approving(const struct config_zone *zone, const struct config_zone *home);
const char *policy_name(enum export_policy);

#endif
