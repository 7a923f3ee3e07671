/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lines are copied out of SQLite a page at a time, so that no snapshot of the database is held while somebody slow
 * takes them. */
#include "fs/place/internal.h"

#define PAGE_LINES 256

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

static int read_page(const struct audit_log *log, uint64_t after, struct buf *page)
{
	return meta_select(log->meta,
		"SELECT seq, time_s, time_ns, kind, ifnull(ino, 0), line, mac FROM audit WHERE seq > ?1 "
		"ORDER BY seq LIMIT ?2",
		put_row, page, "ii", (int64_t)after, (int64_t)PAGE_LINES);
}

static int give_page(
	const struct buf *page, uint64_t *after, int (*fn)(void *ctx, const struct audit_line *), void *ctx)
{
	struct reader r = { page->data, page->data + page->len, 0 };
	struct audit_line l;
	int rc = 0;

	while (rc == 0 && r.p < r.end && (rc = audit_line_get(&r, &l)) == 0) {
		*after = l.seq;
		rc = fn(ctx, &l);
	}
	return rc;
}

int audit_walk(const struct audit_log *log, uint64_t after, int (*fn)(void *ctx, const struct audit_line *), void *ctx)
{
	struct buf page = BUF_INIT;
	int rc;

	do {
		buf_reset(&page);
		rc = read_page(log, after, &page);
		if (rc == 0 && page.len)
			rc = give_page(&page, &after, fn, ctx);
	} while (rc == 0 && page.len);
	buf_free(&page);
	return rc;
}
