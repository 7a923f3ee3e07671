/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The files whose data was found missing or damaged on a backend. All blocks are gone through for it, in the order of
 * the files, so that they are counted without being remembered; and only where there is something to be found. */
#include "fs/control/facts.h"
#include "fs/control/report.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What is wrong with one file: blocks with no sound copy, and those with a bad one beside a sound one. */
struct damaged {
	uint64_t ino;
	uint64_t lost_blocks, lost_bytes, bad_blocks, bad_bytes;
	int64_t since_s; /* the first of it was found; 0: not written down */
	uint32_t backend_id;
	bool missing, changed; /* what was found; or both */
	bool backends;	       /* more than one */
};

struct damage {
	struct damaged now; /* the file being counted; ino 0: none yet */
	int64_t index;	    /* its last block */
	struct damaged *v;  /* the first of them */
	size_t count;
	uint64_t lost_files, lost_bytes, bad_files, bad_bytes;
};

/* ---- counting ------------------------------------------------------------------------------------------------- */

static void file_end(struct damage *d)
{
	const struct damaged *f = &d->now;

	if (!f->ino)
		return;
	d->lost_files += f->lost_blocks > 0;
	d->lost_bytes += f->lost_bytes;
	d->bad_files += f->bad_blocks > 0;
	d->bad_bytes += f->bad_bytes;
	if (d->count < REPORT_DAMAGED_MAX)
		d->v[d->count++] = *f;
}

static void count_block(struct damaged *f, bool sound, uint64_t bytes)
{
	f->lost_blocks += !sound;
	f->lost_bytes += sound ? 0 : bytes;
	f->bad_blocks += sound;
	f->bad_bytes += sound ? bytes : 0;
}

/* inode, index, bytes, backend, fault, since, whether another copy is sound: one bad copy of a block */
static int take_copy(void *ctx, struct meta_row *row)
{
	struct damage *d = ctx;
	struct damaged *f = &d->now;
	uint64_t ino = (uint64_t)meta_row_i64(row, 0);
	uint32_t backend_id = (uint32_t)meta_row_i64(row, 3);
	int64_t fault = meta_row_i64(row, 4), since_s = meta_row_i64(row, 5);
	bool first = f->ino != ino;

	if (first) {
		file_end(d);
		*f = (struct damaged){ .ino = ino, .backend_id = backend_id, .since_s = since_s };
	}
	if (first || meta_row_i64(row, 1) != d->index)
		count_block(f, meta_row_i64(row, 6), (uint64_t)meta_row_i64(row, 2));
	d->index = meta_row_i64(row, 1);
	f->backends |= backend_id != f->backend_id;
	f->missing |= fault != REPLICA_DAMAGED;
	f->changed |= fault != REPLICA_MISSING;
	f->since_s = since_s < f->since_s ? since_s : f->since_s;
	return 0;
}

static int take_any(void *ctx, struct meta_row *row)
{
	(void)row;
	*(bool *)ctx = true;
	return 1;
}

static int count(struct report *r, struct damage *d)
{
	bool any = false;
	int rc = meta_select(r->meta, "SELECT 1 FROM replica WHERE state = 3 LIMIT 1", take_any, &any, "");

	if (rc < 0 || !any)
		return rc < 0 ? rc : 0;
	if (!(d->v = calloc(REPORT_DAMAGED_MAX, sizeof *d->v)))
		return -ENOMEM;
	rc = meta_select(r->meta,
		"SELECT e.ino, e.idx, e.length, b.backend, b.fault, b.fault_s,"
		" EXISTS (SELECT 1 FROM replica s WHERE s.object = e.object AND s.state = 1)"
		" FROM extent e CROSS JOIN replica b ON b.object = e.object AND b.state = 3 ORDER BY e.ino, e.idx",
		take_copy, d, "");
	file_end(d);
	return rc;
}

/* ---- telling -------------------------------------------------------------------------------------------------- */

static const char *blocks_text(const struct damaged *f, char *out, size_t len)
{
	uint64_t n = f->lost_blocks ? f->lost_blocks : f->bad_blocks;

	snprintf(out, len, "%" PRIu64 " block%s %s", n, n == 1 ? "" : "s",
		f->lost_blocks ? "without any sound copy" : "with a bad copy and a sound one");
	return out;
}

static const char *since_text(const struct damaged *f, char *out, size_t len)
{
	time_t since = (time_t)f->since_s;
	struct tm tm;

	if (!since || !gmtime_r(&since, &tm) || !strftime(out, len, " since %Y-%m-%d %H:%M UTC", &tm))
		*out = 0;
	return out;
}

static json_t *file_row(struct report *r, const struct damaged *f)
{
	char *backend = meta_backend_name(r->meta, f->backend_id);
	char text[320], blocks[80], since[40];
	json_t *row;

	snprintf(text, sizeof text, "%s: %s on backend %.100s%s%s", blocks_text(f, blocks, sizeof blocks),
		!f->changed   ? "missing"
		: !f->missing ? "damaged"
			      : "missing or damaged",
		backend ? backend : "?", f->backends ? " and others" : "", since_text(f, since, sizeof since));
	free(backend);
	row = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "section", "exception", "name",
		f->lost_blocks ? "lost file" : "bad copy", "text", text, "files", (json_int_t)1, "bytes",
		(json_int_t)(f->lost_blocks ? f->lost_bytes : f->bad_bytes), "ino", (json_int_t)f->ino);
	return row;
}

/* One that was deleted meanwhile has no name any more. */
static int emit_file(struct report *r, const struct damaged *f)
{
	json_t *row = file_row(r, f);
	struct buf path = BUF_INIT;
	int rc = row ? meta_path(r->meta, f->ino, &path) : -ENOMEM;

	if (rc == 0)
		rc = facts_set_bytes(row, "path", (const char *)path.data, path.len);
	buf_free(&path);
	if (rc == 0)
		return report_emit(r, row);
	json_decref(row);
	return rc == -ENOENT ? 0 : rc;
}

static int emit_total(struct report *r, const char *name, const char *what, uint64_t files, uint64_t bytes)
{
	return files ? report_exception(r, name, what, (int64_t)files, (int64_t)bytes) : 0;
}

int report_damage(struct report *r)
{
	struct damage d = { 0 };
	int rc = count(r, &d);

	if (rc == 0)
		rc = emit_total(r, "lost", "no sound copy is left of a part: it was found missing or damaged",
			d.lost_files, d.lost_bytes);
	if (rc == 0)
		rc = emit_total(r, "damaged", "a copy of a part was found missing or damaged, and another is sound",
			d.bad_files, d.bad_bytes);
	for (size_t i = 0; rc == 0 && i < d.count; i++)
		rc = emit_file(r, &d.v[i]);
	free(d.v);
	return rc;
}
