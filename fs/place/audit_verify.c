/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The key of a line depends on its number only, so that a line can be checked behind a gap or an edit: what is found is
 * where it was done, not all that follows. */
#include "fs/place/internal.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* Numbers further apart than any log is long: the keys between are not made. */
#define GAP_MAX (1u << 27)

struct verifier {
	struct chain *chain;	/* the key of line `next`, and the mac of the one before it */
	struct chain *end;	/* as the store says it is */
	uint64_t next, end_seq; /* end_seq 0: the store knows of no line */
	bool gap;		/* the mac before `next` is not known */
	uint64_t lines, findings;
	struct timespec time;
	int (*found)(void *ctx, const struct audit_finding *);
	void *ctx;
};

const char *audit_wrong_name(enum audit_wrong wrong)
{
	static const char *const names[] = { [AUDIT_MISSING] = "missing",
		[AUDIT_EDITED] = "edited",
		[AUDIT_MOVED] = "moved",
		[AUDIT_TRUNCATED] = "truncated",
		[AUDIT_HEAD] = "head",
		[AUDIT_END] = "end",
		[AUDIT_FILE] = "file" };

	return names[wrong];
}

static int tell(struct verifier *v, enum audit_wrong wrong, uint64_t first, uint64_t last, const char *text)
{
	struct audit_finding f = { .wrong = wrong, .first = first, .last = last };

	snprintf(f.text, sizeof f.text, "%s", text);
	v->findings++;
	return v->found(v->ctx, &f);
}

static int tell_gap(struct verifier *v, enum audit_wrong wrong, uint64_t first, uint64_t last)
{
	char text[160];
	const char *why = wrong == AUDIT_TRUNCATED ? "the log ends before" : "the log goes on behind";

	if (first == last)
		snprintf(text, sizeof text, "line %" PRIu64 " is missing: %s it", first, why);
	else
		snprintf(text, sizeof text, "lines %" PRIu64 " to %" PRIu64 " are missing: %s them", first, last, why);
	return tell(v, wrong, first, last, text);
}

/* What stands before the facts is made of the row's own columns, and a line of a file has its number first in the
 * facts. */
static bool fits_row(const struct audit_line *l)
{
	const char *kind = audit_kind_name(l->kind), *rest;
	struct buf head = BUF_INIT;
	bool fits;

	buf_printf(&head, AUDIT_LINE_HEAD, l->seq, (int64_t)l->time.tv_sec, (uint32_t)l->time.tv_nsec);
	if (kind)
		buf_printf(&head, AUDIT_LINE_KIND "{", kind);
	if (kind && l->ino)
		buf_printf(&head, "\"ino\":%" PRIu64, l->ino);
	fits = head.data && l->len > head.len && memcmp(l->text, head.data, head.len) == 0;
	rest = l->text + head.len;
	if (fits && kind && l->ino)
		fits = *rest == ',' || *rest == '}';
	else if (fits && kind)
		fits = l->len - head.len < 6 || memcmp(rest, "\"ino\":", 6) != 0;
	buf_free(&head);
	return fits;
}

/* the number that a line says it has; 0 where it says none */
static uint64_t own_number(const struct audit_line *l)
{
	char head[40] = "";
	uint64_t seq;

	memcpy(head, l->text, l->len < sizeof head ? l->len : sizeof head - 1);
	return sscanf(head, "{\"seq\":%" SCNu64 ",", &seq) == 1 ? seq : 0;
}

static int tell_line(struct verifier *v, const struct audit_line *l)
{
	uint64_t own = own_number(l);
	char text[160];

	if (own && own != l->seq) {
		snprintf(text, sizeof text, "line %" PRIu64 " was written as line %" PRIu64, l->seq, own);
		return tell(v, AUDIT_MOVED, l->seq, l->seq, text);
	}
	snprintf(text, sizeof text, "line %" PRIu64 " is not as it was written", l->seq);
	return tell(v, AUDIT_EDITED, l->seq, l->seq, text);
}

static int skip_to(struct verifier *v, uint64_t seq)
{
	uint64_t first = v->next;

	if (seq - first > GAP_MAX)
		return tell(v, AUDIT_MOVED, seq, seq, "a line has a number that no line has come to");
	for (; v->next < seq; v->next++)
		chain_ratchet(v->chain);
	v->gap = true;
	return tell_gap(v, AUDIT_MISSING, first, seq - 1);
}

static int check_end(struct verifier *v)
{
	if (v->gap || (memcmp(v->chain->mac, v->end->mac, sizeof v->end->mac) == 0 &&
			      sodium_memcmp(v->chain->key, v->end->key, sizeof v->end->key) == 0))
		return 0;
	return tell(v, AUDIT_END, v->end_seq, v->end_seq,
		"what the store keeps of the log's end does not fit its last line");
}

static int check_line(void *ctx, const struct audit_line *l)
{
	struct verifier *v = ctx;
	uint8_t mac[AUDIT_MAC_BYTES];
	bool good;
	int rc = l->seq > v->next ? skip_to(v, l->seq) : 0;

	if (rc)
		return rc;
	if (l->seq != v->next)
		return 0; /* too far to follow, and told */
	chain_mac(v->chain, l->text, l->len, mac);
	good = fits_row(l) && (v->gap || memcmp(mac, l->mac, sizeof mac) == 0);
	if (!good && (rc = tell_line(v, l)))
		return rc;
	memcpy(v->chain->mac, l->mac, sizeof v->chain->mac);
	chain_ratchet(v->chain);
	v->gap = false;
	v->lines++;
	v->next++;
	v->time = l->time;
	return l->seq == v->end_seq ? check_end(v) : 0;
}

static int load_end(const struct audit_log *log, struct verifier *v)
{
	int rc = chain_load(log->meta, v->end, &v->end_seq);

	if (rc == -ERR_CORRUPT)
		rc = tell(v, AUDIT_END, 0, 0, "what the store keeps of the log's end cannot be read");
	return rc == -ENOENT ? 0 : rc;
}

static int check_rest(const struct audit_log *log, struct verifier *v)
{
	uint64_t last = v->next - 1;
	int rc;

	if (last < v->end_seq)
		return tell_gap(v, AUDIT_TRUNCATED, v->next, v->end_seq);
	/* what was written since it was read is known to the store by now */
	if ((rc = load_end(log, v)) || last <= v->end_seq)
		return rc;
	return tell(v, AUDIT_END, v->end_seq + 1, last, "the log has lines of which the store does not know");
}

/* ---- sealed files --------------------------------------------------------------------------------------------- */

static int check_bad(void *ctx, uint64_t file, const char *text)
{
	return tell(ctx, AUDIT_FILE, file, file, text);
}

static int take_mac(void *ctx, const struct audit_line *l)
{
	memcpy(ctx, l->mac, AUDIT_MAC_BYTES);
	return 1;
}

/* A file beyond those that the store knows is what a crash left, or what is being sealed now, if it holds what the rows
 * hold that are next; else it is of a later log than the store's: somebody set the store back. */
static int check_beyond(const struct audit_log *log, struct verifier *v)
{
	uint8_t mac[AUDIT_MAC_BYTES] = { 0 };
	struct audit_sealed sealed;
	struct audit_reader r;
	struct audit_part part;
	char text[160];
	int rc = sealed_load(log->meta, &sealed), opened;

	if (rc < 0)
		return rc == -ERR_CORRUPT ? 0 : rc; /* told */
	opened = audit_file_open(&r, log, sealed.files + 1);
	part = r.part;
	audit_file_close(&r);
	if (opened == -ENOENT || opened == -ENOMEM)
		return opened == -ENOENT ? 0 : opened;
	if (opened == 0 && part.first == sealed.last + 1)
		rc = audit_walk(log, part.last - 1, take_mac, mac);
	if (rc < 0 && rc != -ERR_TAMPERED)
		return rc;
	if (rc == 1 && memcmp(mac, part.end, sizeof mac) == 0)
		return 0;
	snprintf(text, sizeof text, "sealed file " AUDIT_FILE_FORM " is not one that the store knows of",
		sealed.files + 1);
	return tell(v, AUDIT_FILE, sealed.files + 1, sealed.files + 1, text);
}

/* Lines, and the files that hold them; the verdict of a walk over damaged files is in what was found. */
static int check_lines(const struct audit_log *log, struct verifier *v)
{
	const struct audit_taker taker = { check_line, check_bad, v };
	int rc = audit_walk_all(log, 0, &taker);

	if (rc == -ERR_TAMPERED)
		rc = 0;
	return rc ? rc : check_beyond(log, v);
}

int audit_verify(const struct audit_log *log, int (*found)(void *ctx, const struct audit_finding *), void *ctx,
	struct audit_verdict *verdict)
{
	struct verifier v = { .next = 1, .found = found, .ctx = ctx };
	int rc = -ENOMEM;

	v.chain = sodium_malloc(sizeof *v.chain);
	v.end = sodium_malloc(sizeof *v.end);
	if (!v.chain || !v.end)
		goto out;
	chain_begin(v.chain, log->keyring);
	if ((rc = load_end(log, &v)) || (rc = check_lines(log, &v)) || (rc = check_rest(log, &v)))
		goto out;
	*verdict = (struct audit_verdict){ v.lines, v.next - 1, v.findings, v.time, { 0 } };
	memcpy(verdict->mac, v.chain->mac, sizeof verdict->mac);
out:
	sodium_free(v.end);
	sodium_free(v.chain);
	return rc;
}
