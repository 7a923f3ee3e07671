/* SPDX-License-Identifier: GPL-3.0-or-later */
/* audit: the log for those who read and check it (I10, docs/FORMAT.md "The audit log"). It needs the metadata and the
 * keys only, so a store that nobody has mounted can be audited too. Nothing here changes anything.
 *
 * All calls block on the local disk, hold no lock while a callback runs, and keep a page of lines in memory. */
#ifndef FS_PLACE_AUDIT_H
#define FS_PLACE_AUDIT_H

#include "base/buf.h"
#include "base/err.h"
#include "fs/crypt/keyring.h"
#include "fs/meta/meta.h"

#include <stdint.h>
#include <time.h>

#define AUDIT_MAC_BYTES 32

/* Where a log is; borrowed. */
struct audit_log {
	struct meta *meta;
	struct keyring *keyring;
};

struct audit_line {
	uint64_t seq, ino; /* ino 0: it speaks of no file */
	struct timespec time;
	unsigned kind;
	const char *text; /* JSON, as it was written; not terminated */
	size_t len;
	const uint8_t *mac;
};

/* audit_kind_name: "placement"; NULL for a number that this version does not know. audit_kind: 0 for no such name. */
const char *audit_kind_name(unsigned kind);
unsigned audit_kind(const char *name);

/* audit_walk: the lines above `after`, in order, of sealed files and of rows; fn's non-zero result stops and is
 * returned. The line is valid in fn. -ERR_TAMPERED, after all lines that can be read, where a sealed file is missing or
 * not as it was written. */
int audit_walk(const struct audit_log *, uint64_t after, int (*fn)(void *ctx, const struct audit_line *), void *ctx);

enum audit_wrong {
	AUDIT_MISSING,	 /* lines first to last were removed */
	AUDIT_EDITED,	 /* line first is not what was written */
	AUDIT_MOVED,	 /* line first was written as another one */
	AUDIT_TRUNCATED, /* lines first to last, of which the store knows, are not there */
	AUDIT_HEAD,	 /* line first is not the one that a published head was made of */
	AUDIT_END,	 /* what the store keeps of the log's end does not fit the lines */
	AUDIT_FILE,	 /* sealed file first is missing or not as it was written, or it is not one of this log */
};
struct audit_finding {
	enum audit_wrong wrong;
	uint64_t first, last;
	char text[160]; /* a sentence without full stop */
};
const char *audit_wrong_name(enum audit_wrong); /* "missing" */

struct audit_verdict {
	uint64_t lines, last; /* how many there are; the number of the last */
	uint64_t findings;
	struct timespec time; /* of the last line */
	uint8_t mac[AUDIT_MAC_BYTES];
};
/* audit_verify: follows the chain from its start, tells found whatever does not hold, in order, and goes on behind it.
 * 0 also where there are findings; found's non-zero result stops and is returned. Lines written meanwhile are
 * checked or not. */
int audit_verify(const struct audit_log *, int (*found)(void *ctx, const struct audit_finding *), void *ctx,
	struct audit_verdict *);

/* ---- heads: what is published of the log, signed by the store (Ed25519), and says where it was at a time --------- */

#define AUDIT_HEAD_BYTES 172
struct audit_head {
	uint64_t seq; /* of the last line */
	int64_t time_s;
	uint8_t mac[AUDIT_MAC_BYTES]; /* of that line */
};
/* audit_head_sign: its bytes. audit_head_open: -ERR_FORMAT, -ERR_NEWER; -ERR_TAMPERED where it is not signed by this
 * store's key. -ENOMEM. */
int audit_head_sign(struct keyring *, const struct audit_head *, uint8_t out[AUDIT_HEAD_BYTES]);
int audit_head_open(struct keyring *, const uint8_t bytes[AUDIT_HEAD_BYTES], struct audit_head *);
/* audit_compare: whether a log that was verified leads to a head which was read before that; tells found if not. */
int audit_compare(const struct audit_log *, const struct audit_head *, struct audit_verdict *,
	int (*found)(void *ctx, const struct audit_finding *), void *ctx);

#endif
