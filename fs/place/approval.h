/* SPDX-License-Identifier: GPL-3.0-or-later */
/* approval: those who may let held files leave, and what they say (I9). A request is decided by the approvers of the
 * zone that the file would leave; by as many different people as its `approvals`, each by one vote whatever groups they
 * are in. Nobody agrees to a file of their own. Whoever no longer is an approver no longer counts when the next one
 * votes.
 *
 * All calls block on the local disk, and are durable, with their lines in the audit log, when they return 0. */
#ifndef FS_PLACE_APPROVAL_H
#define FS_PLACE_APPROVAL_H

#include "fs/place/place.h"

#define APPROVAL_REASON_MAX 1000 /* bytes */

/* Somebody who asks, by the kernel's word. */
struct approver {
	uid_t uid;
	const gid_t *groups;
	size_t group_count;
	bool owner;	  /* the store's, or root */
	const char *name; /* for people who read the log: of the user, or its number */
};
/* approval_entitled: the word of `approvers` by which they may vote about what leaves that zone; NULL: they may not. It
 * belongs to the configuration. May ask the system's databases of names. */
const char *approval_entitled(const struct config *, const struct config_zone *, const struct approver *);
/* approval_any: whether they may vote about anything. */
bool approval_any(struct place *, const struct approver *);

struct approval_vote {
	bool agree;
	const char *reason; /* the legal basis, or why not */
	int64_t expires_ns; /* real clock; INT64_MAX: never */
};
/* What became of the request. */
struct approval_result {
	uint64_t ino;
	unsigned votes, needed;
	bool granted,
		changed; /* changed: the file's placement may be another now: it is to be revalidated and judged */
};
/* approval_vote: what is not synced of the file is synced first, so that what they agree to is what a crash leaves. A
 * later vote takes the place of an earlier one. -ENOENT: there is no such request; -ERR_STALE: the file, or what is
 * asked, is another by now; -ERR_HELD: they may not; with sentences. */
int approval_vote(struct place *, uint64_t request, const struct approver *, const struct approval_vote *,
	struct approval_result *, struct errmsg *);
/* approval_withdraw: the request is over, whatever was said to it: the data comes home, and is asked about anew. By an
 * approver, or the store's owner; what was denied by approvers only. As approval_vote. */
int approval_withdraw(struct place *, uint64_t request, const struct approver *, const char *reason,
	struct approval_result *, struct errmsg *);

/* A request, as it stands; strings and votes are valid in the callback. */
struct approval_said {
	uid_t uid;
	const char *approver, *reason;
	bool agree;
	int64_t voted_s, expires_s; /* 0: never */
};
struct approval_row {
	uint64_t id, ino, version, size;
	int64_t asked_s, turned_s, expires_s; /* 0: never */
	const char *state, *path, *rule;      /* path: any bytes; rule NULL: the default */
	size_t path_len;
	uint32_t from_zone_id, to_zone_id;
	uid_t owner;
	bool over;
	unsigned needed;
	const struct approval_said *said;
	size_t said_count;
};
/* approval_list: those that the asker may vote about (the store's owner: all), in order; over: also what is over. The
 * path is the present one. fn's non-zero result stops and is returned. */
int approval_list(struct place *, const struct approver *, bool over, int (*fn)(void *ctx, const struct approval_row *),
	void *ctx);
/* approval_waiting: how many requests are open. */
int64_t approval_waiting(struct place *);

#endif
