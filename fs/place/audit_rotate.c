/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The oldest half of a log that has become too long goes to a sealed file, in steps of which each may be the last
 * before a crash: the file is written, synced, and read back; then the store is told of it, and reads those lines
 * there; then the rows go, some at a time, so that nobody waits for the writer. A file that the store does not know of
 * is taken for what a crash left if it is the part that is to be sealed next; any other is evidence, and stays. */
#include "fs/place/internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_AT_ONCE 1000
#define RETRY_NS     (600 * NS_PER_S)

static bool stops(const struct place *p)
{
	return atomic_load(&p->audit.rotator.stopping);
}

/* ---- which part ----------------------------------------------------------------------------------------------- */

struct row_end {
	uint64_t seq;
	uint8_t mac[AUDIT_MAC_BYTES];
};

static int take_end(void *ctx, struct meta_row *row)
{
	struct row_end *end = ctx;
	size_t len;
	const void *mac = meta_row_blob(row, 1, &len);

	end->seq = (uint64_t)meta_row_i64(row, 0);
	if (len != sizeof end->mac)
		return -ERR_TAMPERED;
	memcpy(end->mac, mac, len);
	return 0;
}

static int plan(struct place *p, const struct audit_sealed *sealed, uint64_t lines, struct audit_part *part)
{
	struct row_end end = { 0 };
	int rc = meta_select(p->meta, "SELECT seq, mac FROM audit WHERE seq > ?1 ORDER BY seq LIMIT 1 OFFSET ?2",
		take_end, &end, "ii", (int64_t)sealed->last, (int64_t)lines - 1);

	if (rc == 0 && !end.seq)
		rc = -ERR_TAMPERED; /* fewer rows than lines were written */
	*part = (struct audit_part){ sealed->files + 1, sealed->last + 1, end.seq, { 0 }, { 0 } };
	memcpy(part->before, sealed->mac, sizeof part->before);
	memcpy(part->end, end.mac, sizeof part->end);
	return rc;
}

/* ---- the file ------------------------------------------------------------------------------------------------- */

static int write_pages(struct place *p, struct audit_writer *w, const struct audit_log *log, struct audit_part *part)
{
	struct buf page = BUF_INIT;
	uint64_t after = part->first - 1;
	int rc;

	while ((rc = audit_rows(log, after, part->last, &page)) == 0 && page.len) {
		struct reader r = { page.data, page.data + page.len, 0 };
		struct audit_line l;

		while (r.p < r.end && (rc = audit_line_get(&r, &l)) == 0)
			after = l.seq;
		if (rc == 0)
			rc = stops(p) ? -ERR_STOPPED : audit_file_put(w, &page, after == part->last);
		if (rc < 0)
			break;
	}
	buf_free(&page);
	return rc;
}

static int write_file(struct place *p, const struct audit_log *log, struct audit_part *part)
{
	struct audit_writer w;
	int rc = audit_file_begin(&w, log, part);

	if (rc == 0)
		rc = write_pages(p, &w, log, part);
	if (rc == 0)
		rc = audit_file_finish(&w);
	audit_file_end(&w);
	return rc;
}

struct same {
	const struct audit_log *log;
	uint64_t after;
	struct buf rows;
	struct reader at;
};

/* The next row, byte for byte. */
static int is_row(struct same *s, const struct audit_line *l, uint64_t last)
{
	struct audit_line row;
	int rc = 0;

	if (s->at.p == s->at.end) {
		rc = audit_rows(s->log, s->after, last, &s->rows);
		s->at = (struct reader){ s->rows.data, s->rows.data + s->rows.len, 0 };
	}
	if (rc < 0 || (rc = audit_line_get(&s->at, &row)) < 0)
		return rc == -ERR_FORMAT ? -ERR_TAMPERED : rc;
	s->after = row.seq;
	return row.seq == l->seq && row.ino == l->ino && row.kind == l->kind && row.time.tv_sec == l->time.tv_sec &&
			       row.time.tv_nsec == l->time.tv_nsec && memcmp(row.mac, l->mac, AUDIT_MAC_BYTES) == 0 &&
			       row.len == l->len && memcmp(row.text, l->text, l->len) == 0
		       ? 0
		       : -ERR_TAMPERED;
}

/* Whether the file, as it is on disk, is the part's rows, all of them and no other. */
static int check_file(struct place *p, struct audit_reader *r, struct same *s)
{
	struct buf page = BUF_INIT;
	int rc;

	while ((rc = audit_file_next(r, &page)) > 0) {
		struct reader at = { page.data, page.data + page.len, 0 };
		struct audit_line l;

		rc = stops(p) ? -ERR_STOPPED : 0;
		while (rc == 0 && at.p < at.end && (rc = audit_line_get(&at, &l)) == 0)
			rc = is_row(s, &l, r->part.last);
		if (rc < 0)
			break;
	}
	buf_free(&page);
	return rc == 0 && s->after != r->part.last ? -ERR_TAMPERED : rc;
}

/* 0: there is a file, it is the part that follows, and part says which; -ENOENT. */
static int look_at_file(struct place *p, const struct audit_log *log, struct audit_part *part)
{
	struct same s = { .log = log, .after = part->first - 1 };
	struct audit_reader r;
	int rc = audit_file_open(&r, log, part->number);

	if (rc == 0 && (r.part.first != part->first || memcmp(r.part.before, part->before, sizeof part->before) != 0))
		rc = -ERR_TAMPERED;
	if (rc == 0 && (rc = check_file(p, &r, &s)) == 0)
		*part = r.part;
	buf_free(&s.rows);
	audit_file_close(&r);
	return rc;
}

int audit_seal(struct place *p, struct audit_part *part)
{
	const struct audit_log log = { p->meta, p->keyring };
	int rc = look_at_file(p, &log, part);

	if (rc == -ENOENT && (rc = write_file(p, &log, part)) == 0)
		rc = look_at_file(p, &log, part);
	return rc;
}

/* ---- the store ------------------------------------------------------------------------------------------------ */

struct sealed_record {
	struct meta_record record;
	uint8_t value[AUDIT_SEALED_BYTES];
};

static void sealed_apply(struct meta_txn *txn, struct meta_record *r)
{
	meta_txn_exec(txn, "INSERT OR REPLACE INTO setting (key, value) VALUES ('" AUDIT_SEALED "', ?1)", "b",
		container_of(r, struct sealed_record, record)->value, (size_t)AUDIT_SEALED_BYTES);
}

static void sealed_free(struct meta_record *r)
{
	free(container_of(r, struct sealed_record, record));
}

int audit_sealed_set(struct place *p, const struct audit_part *part)
{
	struct sealed_record *s = calloc(1, sizeof *s);
	struct audit_sealed *now = &p->audit.sealed;

	if (!s)
		return -ENOMEM;
	s->record = (struct meta_record){ .apply = sealed_apply, .free = sealed_free };
	put_le64(s->value, part->number);
	put_le64(s->value + 8, part->last);
	memcpy(s->value + 16, part->end, AUDIT_MAC_BYTES);
	meta_lock(p->meta);
	now->files = part->number;
	now->last = part->last;
	memcpy(now->mac, part->end, sizeof now->mac);
	meta_queue(p->meta, &s->record);
	meta_unlock(p->meta);
	return meta_commit(p->meta);
}

/* ---- the rows ------------------------------------------------------------------------------------------------- */

struct clear_record {
	struct meta_record record;
	uint64_t last;
};

static void clear_apply(struct meta_txn *txn, struct meta_record *r)
{
	meta_txn_exec(txn,
		"DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE seq BETWEEN 1 AND ?1 ORDER BY seq LIMIT "
		"?2)",
		"ii", (int64_t)container_of(r, struct clear_record, record)->last, (int64_t)ROWS_AT_ONCE);
}

static void clear_free(struct meta_record *r)
{
	free(container_of(r, struct clear_record, record));
}

static int any_row(void *ctx, struct meta_row *row)
{
	(void)ctx;
	(void)row;
	return 1;
}

int audit_clear(struct place *p)
{
	uint64_t last = p->audit.sealed.last;
	int rc;

	while ((rc = meta_select(p->meta, "SELECT 1 FROM audit WHERE seq BETWEEN 1 AND ?1 LIMIT 1", any_row, NULL, "i",
			(int64_t)last)) > 0) {
		struct clear_record *c = calloc(1, sizeof *c);

		if (!c || stops(p)) {
			free(c);
			return c ? -ERR_STOPPED : -ENOMEM;
		}
		c->record = (struct meta_record){ .apply = clear_apply, .free = clear_free };
		c->last = last;
		meta_lock(p->meta);
		meta_queue(p->meta, &c->record);
		meta_unlock(p->meta);
	}
	return rc;
}

/* ---- all of it ------------------------------------------------------------------------------------------------ */

int audit_rotate(struct place *p)
{
	struct audit_sealed sealed;
	struct audit_part part;
	uint64_t lines, lines_max;
	int rc = audit_clear(p);

	meta_lock(p->meta);
	sealed = p->audit.sealed;
	lines = p->audit.seq - sealed.last;
	lines_max = p->audit.lines_max;
	meta_unlock(p->meta);
	if (rc < 0 || lines <= lines_max)
		return rc;
	if ((rc = plan(p, &sealed, lines_max / 2, &part)) < 0 || (rc = audit_seal(p, &part)) < 0 ||
		(rc = audit_sealed_set(p, &part)) < 0 || (rc = audit_clear(p)) < 0)
		return rc;
	return 1;
}

void rotator_wake(struct rotator *r)
{
	pthread_mutex_lock(&r->lock);
	if (!r->wanted) {
		r->wanted = true;
		pthread_cond_signal(&r->wake);
	}
	pthread_mutex_unlock(&r->lock);
}

static void tell(int rc)
{
	if (rc == -ERR_TAMPERED || rc == -ERR_FORMAT || rc == -ERR_CORRUPT)
		log_error("audit: the oldest lines of the log are not sealed, since they, or the file that is in their "
			  "place, are not as they were written: see `borderfs audit verify`");
	else
		log_warn("audit: the oldest lines of the log could not be sealed, and stay where they are: %s",
			err_text(rc));
}

static void *rotator_main(void *arg)
{
	struct place *p = arg;
	struct rotator *r = &p->audit.rotator;
	int rc;

	pthread_mutex_lock(&r->lock);
	while (!stops(p)) {
		if (!r->wanted) {
			cond_wait_until(&r->wake, &r->lock, INT64_MAX);
			continue;
		}
		r->wanted = false;
		pthread_mutex_unlock(&r->lock);
		while ((rc = audit_rotate(p)) > 0)
			;
		if (rc < 0 && rc != -ERR_STOPPED)
			tell(rc);
		pthread_mutex_lock(&r->lock);
		r->wanted |= rc < 0;
		for (int64_t until = clock_mono_ns() + RETRY_NS; rc < 0 && !stops(p);)
			if (cond_wait_until(&r->wake, &r->lock, until) == -ETIMEDOUT)
				break;
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

void rotator_init(struct rotator *r)
{
	pthread_mutex_init(&r->lock, NULL);
	cond_init_mono(&r->wake);
	atomic_init(&r->stopping, false);
	r->wanted = true; /* a crash may have left rows */
}

/* Signals are the main thread's. */
int rotator_start(struct place *p)
{
	struct rotator *r = &p->audit.rotator;
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = -pthread_create(&r->thread, NULL, rotator_main, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	r->runs = rc == 0;
	if (r->runs)
		pthread_setname_np(r->thread, "bfs-audit");
	return rc;
}

void rotator_end(struct rotator *r)
{
	atomic_store(&r->stopping, true);
	if (r->runs) {
		pthread_mutex_lock(&r->lock);
		pthread_cond_signal(&r->wake);
		pthread_mutex_unlock(&r->lock);
		pthread_join(r->thread, NULL);
	}
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->lock);
}
