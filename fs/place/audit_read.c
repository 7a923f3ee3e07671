/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files and rows as one log. Lines are copied out of SQLite a page at a time, so that no snapshot of the database is
 * held while somebody slow takes them; what is moved from rows to a file meanwhile is read there. */
#include "fs/place/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void audit_line_put(struct buf *out, const struct audit_line *l)
{
	buf_u64(out, l->seq);
	buf_u64(out, (uint64_t)l->time.tv_sec);
	buf_u32(out, (uint32_t)l->time.tv_nsec);
	buf_u32(out, l->kind);
	buf_u64(out, l->ino);
	buf_put(out, l->mac, AUDIT_MAC_BYTES);
	buf_u32(out, (uint32_t)l->len);
	buf_put(out, l->text, l->len);
}

int audit_line_get(struct reader *r, struct audit_line *l)
{
	l->seq = reader_u64(r);
	l->time.tv_sec = (time_t)reader_u64(r);
	l->time.tv_nsec = (long)reader_u32(r);
	l->kind = reader_u32(r);
	l->ino = reader_u64(r);
	l->mac = reader_bytes(r, AUDIT_MAC_BYTES);
	l->len = reader_u32(r);
	l->text = (const char *)reader_bytes(r, l->len);
	return r->err;
}

/* A row whose mac has another length was never ours: it reads as one that cannot be right. */
static int put_row(void *ctx, struct meta_row *row)
{
	static const uint8_t none[AUDIT_MAC_BYTES];
	size_t mac_len;
	struct audit_line l = {
		.seq = (uint64_t)meta_row_i64(row, 0),
		.time = { .tv_sec = meta_row_i64(row, 1), .tv_nsec = meta_row_i64(row, 2) },
		.kind = (unsigned)meta_row_i64(row, 3),
		.ino = (uint64_t)meta_row_i64(row, 4),
	};

	l.text = meta_row_blob(row, 5, &l.len);
	l.mac = meta_row_blob(row, 6, &mac_len);
	if (mac_len != AUDIT_MAC_BYTES)
		l.mac = none;
	audit_line_put(ctx, &l);
	return ((struct buf *)ctx)->err;
}

int audit_rows(const struct audit_log *log, uint64_t after, uint64_t last, struct buf *page)
{
	buf_reset(page);
	return meta_select(log->meta,
		"SELECT seq, time_s, time_ns, kind, ifnull(ino, 0), line, mac FROM audit "
		"WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
		put_row, page, "iii", (int64_t)after, (int64_t)last, (int64_t)AUDIT_PAGE_LINES);
}

int sealed_load(struct meta *meta, struct audit_sealed *out)
{
	struct buf kept = BUF_INIT;
	int rc = meta_setting_get(meta, AUDIT_SEALED, &kept);

	*out = (struct audit_sealed){ 0 };
	if (rc == 0 && kept.len != AUDIT_SEALED_BYTES)
		rc = -ERR_CORRUPT;
	if (rc == 0) {
		out->files = get_le64(kept.data);
		out->last = get_le64(kept.data + 8);
		memcpy(out->mac, kept.data + 16, AUDIT_MAC_BYTES);
	}
	buf_free(&kept);
	return rc == -ENOENT ? 0 : rc;
}

/* ---- the walk ------------------------------------------------------------------------------------------------- */

struct walk {
	const struct audit_log *log;
	const struct audit_taker *to;
	uint64_t after;		      /* the last line that was given */
	uint8_t mac[AUDIT_MAC_BYTES]; /* of that line */
	uint64_t file;		      /* the last sealed file that was read */
	uint8_t end[AUDIT_MAC_BYTES]; /* what the next one follows; known unless that file is bad */
	bool end_known, bad;
};

static int tell(struct walk *w, uint64_t file, const char *text)
{
	w->bad = true;
	return w->to->bad ? w->to->bad(w->to->ctx, file, text) : 0;
}

static int tell_bad(struct walk *w, uint64_t file, const char *what)
{
	char text[160];

	snprintf(text, sizeof text, "sealed file " AUDIT_FILE_FORM " %s", file, what);
	return tell(w, file, text);
}

static int give_page(struct walk *w, const struct buf *page)
{
	struct reader r = { page->data, page->data + page->len, 0 };
	struct audit_line l;
	int rc = 0;

	while (rc == 0 && r.p < r.end && (rc = audit_line_get(&r, &l)) == 0) {
		if (l.seq <= w->after)
			continue;
		w->after = l.seq;
		memcpy(w->mac, l.mac, sizeof w->mac);
		rc = w->to->line(w->to->ctx, &l);
	}
	return rc;
}

static const char *why_bad(int rc)
{
	return rc == -ENOENT	  ? "is missing"
	       : rc == -ERR_NEWER ? "was written by a newer borderfs"
				  : "is not as it was written";
}

/* A page that does not authenticate costs its own lines, and not those behind it. Of a file that is all there the last
 * line is the one that it says. */
static int give_pages(struct walk *w, struct audit_reader *r)
{
	struct buf page = BUF_INIT;
	bool damaged = false, cut = false;
	int rc;

	while (!cut && (rc = audit_file_next(r, &page)) != 0) {
		cut = rc == -ERR_CORRUPT;
		if (rc == -ERR_TAMPERED || cut) {
			rc = damaged ? 0 : tell_bad(w, r->part.number, why_bad(rc));
			damaged = true;
		} else if (rc > 0) {
			rc = give_page(w, &page);
		}
		if (rc)
			break;
	}
	buf_free(&page);
	if (rc || damaged || (w->after == r->part.last && memcmp(w->mac, r->part.end, sizeof w->mac) == 0))
		return rc;
	return tell_bad(w, r->part.number, "does not end with the line that it should");
}

/* had: the last line that was given before files were turned to. */
static int give_file(struct walk *w, uint64_t number, uint64_t had)
{
	struct audit_reader r;
	int rc = audit_file_open(&r, w->log, number);
	bool good = rc == 0;

	if (rc < 0 && rc != -ENOMEM)
		rc = tell_bad(w, number, why_bad(rc));
	else if (good && w->end_known && memcmp(w->end, r.part.before, sizeof w->end) != 0)
		rc = tell_bad(w, number, "does not follow the one before it");
	if (rc == 0 && good && r.part.last > had)
		rc = give_pages(w, &r);
	w->end_known = good;
	memcpy(w->end, r.part.end, sizeof w->end);
	audit_file_close(&r);
	return rc;
}

/* The sealed files that were not read yet. */
static int give_files(struct walk *w)
{
	struct audit_sealed sealed;
	uint64_t had = w->after;
	int rc = sealed_load(w->log->meta, &sealed);

	if (rc == -ERR_CORRUPT)
		return w->bad ? 0 : tell(w, 0, "what the store keeps of its sealed files cannot be read");
	if (rc < 0 || w->file >= sealed.files)
		return rc;
	while (rc == 0 && w->file < sealed.files)
		rc = give_file(w, ++w->file, had);
	if (rc == 0 && w->end_known && memcmp(w->end, sealed.mac, sizeof w->end) != 0)
		rc = tell_bad(w, sealed.files, "is not the one that the store sealed");
	if (w->after < sealed.last)
		w->after = sealed.last;
	return rc;
}

static int give_rows(struct walk *w)
{
	struct buf page = BUF_INIT;
	uint64_t after;
	int rc;

	do {
		after = w->after;
		rc = audit_rows(w->log, w->after, INT64_MAX, &page);
		/* lines that are not there may have gone to a file since */
		if (rc == 0 && (!page.len || get_le64(page.data) != after + 1))
			rc = give_files(w);
		if (rc == 0 && w->after == after && page.len)
			rc = give_page(w, &page);
	} while (rc == 0 && w->after != after);
	buf_free(&page);
	return rc;
}

int audit_walk_all(const struct audit_log *log, uint64_t after, const struct audit_taker *to)
{
	struct walk w = { .log = log, .to = to, .after = after, .end_known = true };
	int rc = give_files(&w);

	if (rc == 0)
		rc = give_rows(&w);
	return rc ? rc : w.bad ? -ERR_TAMPERED : 0;
}

int audit_walk(const struct audit_log *log, uint64_t after, int (*fn)(void *ctx, const struct audit_line *), void *ctx)
{
	const struct audit_taker to = { fn, NULL, ctx };

	return audit_walk_all(log, after, &to);
}
