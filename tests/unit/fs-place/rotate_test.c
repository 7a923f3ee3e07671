/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The oldest lines of the audit log go to sealed files: stopped after each step, and changed in every way. */
#include "fs/place/internal.h"
#include "tests/unit/fs-place/fixture.h"

#include "tests/unit/fs-crypt/fixed_random.h"
#include "tests/unit/fs-crypt/vectors.h"

#define CONFIG                                                                                                         \
	"[filesystem]\nname = test\nstore = @/store\nhome = home\n"                                                    \
	"[zone home]\nkind = domestic\ncountries = CN\nbackends = near\n"                                              \
	"[backend near]\ntype = local\npath = @/near\n"

#define LINES_MAX 1200 /* so that a part has more than two pages */
#define PART	  (LINES_MAX / 2)

static void append(struct store *s, int count)
{
	meta_lock(s->meta);
	for (int i = 0; i < count; i++) {
		char facts[64];

		snprintf(facts, sizeof facts, "{\"n\":%d}", i);
		audit_append(s->place, "transfer", facts);
	}
	meta_unlock(s->meta);
}

static void again(struct store *s)
{
	store_close(s);
	store_open(s);
	s->place->audit.lines_max = LINES_MAX;
}

/* a log of so many lines, of which none is sealed */
static void make(struct store *s, int lines)
{
	memset(s, 0, sizeof *s);
	store_make(s, CONFIG);
	store_open(s);
	s->place->audit.lines_max = LINES_MAX;
	append(s, lines - (int)s->place->audit.seq);
}

static struct audit_log log_of(struct store *s)
{
	return (struct audit_log){ s->meta, s->keyring };
}

static char *file_path(struct store *s, uint64_t number)
{
	static char path[4][256];
	static unsigned turn;
	char name[AUDIT_FILE_NAME];

	turn = (turn + 1) % 4;
	audit_file_name(number, name);
	snprintf(path[turn], sizeof path[turn], "%s/audit/%s", s->path, name);
	return path[turn];
}

static int64_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? -1 : st.st_size;
}

static int take_count(void *ctx, struct meta_row *row)
{
	*(int64_t *)ctx = meta_row_i64(row, 0);
	return 0;
}

static int64_t rows(struct store *s)
{
	int64_t n = -1;

	assert_int_equal(meta_select(s->meta, "SELECT count(*) FROM audit", take_count, &n, ""), 0);
	return n;
}

/* ---- what is read --------------------------------------------------------------------------------------------- */

struct seen {
	uint64_t next; /* the line that must come now */
	struct store *store;
	uint64_t rotate_at;
	uint8_t digest[32]; /* over all of them */
};

static int see(void *ctx, const struct audit_line *l)
{
	struct seen *seen = ctx;
	crypto_generichash_state h;

	assert_int_equal(l->seq, seen->next++);
	crypto_generichash_init(&h, NULL, 0, 32);
	crypto_generichash_update(&h, seen->digest, 32);
	crypto_generichash_update(&h, (const uint8_t *)l->text, l->len);
	crypto_generichash_update(&h, l->mac, AUDIT_MAC_BYTES);
	crypto_generichash_final(&h, seen->digest, 32);
	if (seen->rotate_at == l->seq)
		while (audit_rotate(seen->store->place) > 0)
			;
	return 0;
}

/* every line once and in order, from `after` on */
static struct seen walk(struct store *s, uint64_t after, uint64_t last)
{
	const struct audit_log log = log_of(s);
	struct seen seen = { .next = after + 1, .store = s };

	assert_int_equal(audit_walk(&log, after, see, &seen), 0);
	assert_int_equal(seen.next, last + 1);
	return seen;
}

struct found {
	size_t len;
	char text[2048];
};

static int note(void *ctx, const struct audit_finding *f)
{
	struct found *out = ctx;

	out->len += (size_t)snprintf(out->text + out->len, sizeof out->text - out->len, "%s\n", f->text);
	return 0;
}

static uint64_t expect_found(struct store *s, const char *wanted)
{
	const struct audit_log log = log_of(s);
	struct audit_verdict v;
	struct found f = { 0 };

	assert_int_equal(audit_verify(&log, note, &f, &v), 0);
	assert_string_equal(f.text, wanted);
	return v.lines;
}

/* ---- rotating ------------------------------------------------------------------------------------------------- */

static void test_rotates(void **state)
{
	struct store s;
	struct seen before;

	(void)state;
	make(&s, LINES_MAX);
	before = walk(&s, 0, LINES_MAX);
	assert_int_equal(audit_rotate(s.place), 0);
	assert_int_equal(size_of(file_path(&s, 1)), -1);
	append(&s, 1);
	before = walk(&s, 0, LINES_MAX + 1);
	assert_int_equal(audit_rotate(s.place), 1);
	assert_int_equal(audit_rotate(s.place), 0);
	assert_int_equal(rows(&s), LINES_MAX + 1 - PART);
	assert_true(size_of(file_path(&s, 1)) > 100 * PART);
	assert_memory_equal(walk(&s, 0, LINES_MAX + 1).digest, before.digest, 32);
	assert_int_equal(expect_found(&s, ""), LINES_MAX + 1);
	append(&s, 2 * LINES_MAX);
	for (int i = 0; i < 4; i++)
		assert_int_equal(audit_rotate(s.place), 1);
	assert_int_equal(audit_rotate(s.place), 0);
	assert_int_equal(rows(&s), 3 * LINES_MAX + 1 - 5 * PART);
	again(&s);
	append(&s, 1);
	assert_int_equal(expect_found(&s, ""), 3 * LINES_MAX + 2);
	/* from the middle of a file, from an end of one, from among the rows */
	walk(&s, PART + PART / 2, 3 * LINES_MAX + 2);
	walk(&s, 2 * PART - 1, 3 * LINES_MAX + 2);
	walk(&s, 2 * PART, 3 * LINES_MAX + 2);
	walk(&s, 3 * LINES_MAX, 3 * LINES_MAX + 2);
	store_destroy(&s);
}

/* somebody reads while what he has not come to yet, or is just at, is moved */
static void test_read_meanwhile(void **state)
{
	static const uint64_t at[] = { 1, 255, 256, 257, PART - 1, PART, PART + 1, 2 * PART, 4 * PART, 6 * PART };
	struct seen before, seen;
	struct audit_log log;
	struct store s;

	(void)state;
	for (size_t i = 0; i < COUNT(at); i++) {
		make(&s, 6 * PART);
		before = walk(&s, 0, 6 * PART);
		log = log_of(&s);
		seen = (struct seen){ .next = 1, .store = &s, .rotate_at = at[i] };
		assert_int_equal(audit_walk(&log, 0, see, &seen), 0);
		assert_int_equal(seen.next, 6 * PART + 1);
		assert_memory_equal(seen.digest, before.digest, 32);
		assert_int_equal(rows(&s), 2 * PART);
		store_destroy(&s);
	}
}

/* ---- stopped after each step ---------------------------------------------------------------------------------- */

static struct audit_part next_part(struct store *s)
{
	const struct audit_sealed *sealed = &s->place->audit.sealed;
	struct audit_part part = { sealed->files + 1, sealed->last + 1, sealed->last + PART, { 0 }, { 0 } };
	struct buf page = BUF_INIT;
	const struct audit_log log = log_of(s);
	struct audit_line l;

	memcpy(part.before, sealed->mac, sizeof part.before);
	assert_int_equal(audit_rows(&log, part.last - 1, part.last, &page), 0);
	assert_int_equal(audit_line_get(&(struct reader){ page.data, page.data + page.len, 0 }, &l), 0);
	memcpy(part.end, l.mac, sizeof part.end);
	buf_free(&page);
	return part;
}

static void write_some(const char *path, size_t len)
{
	int fd;

	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
}

static void test_stopped(void **state)
{
	enum { NOTHING, HALF, SEALED, KNOWN, DONE };
	char path[256];

	(void)state;
	for (int step = NOTHING; step <= DONE; step++) {
		struct stat was, is;
		struct audit_part part;
		struct seen before;
		struct store s;

		make(&s, LINES_MAX + 1);
		before = walk(&s, 0, LINES_MAX + 1);
		part = next_part(&s);
		if (step == HALF) {
			snprintf(path, sizeof path, "%s/audit", s.path);
			assert_int_equal(mkdir(path, 0700), 0);
			snprintf(path, sizeof path, "%s/audit/new", s.path);
			write_some(path, 5000);
		}
		if (step >= SEALED)
			assert_int_equal(audit_seal(s.place, &part), 0);
		if (step >= KNOWN)
			assert_int_equal(audit_sealed_set(s.place, &part), 0);
		if (step >= DONE)
			assert_int_equal(audit_clear(s.place), 0);
		again(&s);
		assert_int_equal(expect_found(&s, ""), LINES_MAX + 1);
		assert_memory_equal(walk(&s, 0, LINES_MAX + 1).digest, before.digest, 32);
		append(&s, 1);
		assert_int_equal(expect_found(&s, ""), LINES_MAX + 2);
		stat(file_path(&s, 1), &was);
		assert_int_equal(audit_rotate(s.place), step < KNOWN);
		assert_int_equal(rows(&s), LINES_MAX + 2 - PART);
		assert_int_equal(stat(file_path(&s, 1), &is), 0);
		if (step >= SEALED) /* it is written once */
			assert_int_equal(is.st_ino, was.st_ino);
		snprintf(path, sizeof path, "%s/audit/new", s.path);
		assert_int_equal(size_of(path), -1);
		assert_int_equal(expect_found(&s, ""), LINES_MAX + 2);
		store_destroy(&s);
	}
}

/* ---- changed -------------------------------------------------------------------------------------------------- */

static void flip(const char *path, int64_t at)
{
	int fd = open(path, O_RDWR);
	uint8_t byte;

	assert_true(fd >= 0);
	at = at < 0 ? size_of(path) + at : at;
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static int64_t page_bytes(const char *path, int64_t at)
{
	uint8_t len[4];
	int fd = open(path, O_RDONLY);

	assert_int_equal(pread(fd, len, 4, at), 4);
	close(fd);
	return 4 + (int64_t)get_le32(len) + SEAL_OVERHEAD;
}

static int64_t second_page(const char *path)
{
	return AUDIT_FILE_HEAD + page_bytes(path, AUDIT_FILE_HEAD);
}

static int64_t last_page(const char *path)
{
	return second_page(path) + page_bytes(path, second_page(path));
}

static void do_remove(struct store *s)
{
	assert_int_equal(unlink(file_path(s, 2)), 0);
}

static void do_remove_all(struct store *s)
{
	for (int i = 1; i <= 3; i++)
		assert_int_equal(unlink(file_path(s, i)), 0);
	assert_int_equal(rmdir(strcat(strcpy((char[256]){ "" }, s->path), "/audit")), 0);
}

static void do_flip_magic(struct store *s)
{
	flip(file_path(s, 2), 0);
}

static void do_flip_version(struct store *s)
{
	flip(file_path(s, 2), 9);
}

static void do_flip_last(struct store *s)
{
	flip(file_path(s, 2), 45); /* by 256 */
}

static void do_flip_page(struct store *s)
{
	flip(file_path(s, 2), second_page(file_path(s, 2)) + 100);
}

static void do_flip_length(struct store *s)
{
	flip(file_path(s, 2), second_page(file_path(s, 2)) + 2);
}

static void do_flip_end(struct store *s)
{
	flip(file_path(s, 3), -1);
}

static void do_cut_page(struct store *s)
{
	assert_int_equal(truncate(file_path(s, 2), last_page(file_path(s, 2))), 0);
}

static void do_cut_byte(struct store *s)
{
	assert_int_equal(truncate(file_path(s, 2), size_of(file_path(s, 2)) - 1), 0);
}

static void do_cut_all(struct store *s)
{
	assert_int_equal(truncate(file_path(s, 2), AUDIT_FILE_HEAD - 1), 0);
}

static void do_grow(struct store *s)
{
	assert_int_equal(truncate(file_path(s, 2), size_of(file_path(s, 2)) + 1), 0);
}

static void do_swap(struct store *s)
{
	char other[256];

	snprintf(other, sizeof other, "%s/audit/other", s->path);
	assert_int_equal(rename(file_path(s, 1), other), 0);
	assert_int_equal(rename(file_path(s, 2), file_path(s, 1)), 0);
	assert_int_equal(rename(other, file_path(s, 2)), 0);
}

struct edit {
	struct meta_record record;
	const char *sql;
};

static void edit_apply(struct meta_txn *txn, struct meta_record *r)
{
	meta_txn_exec(txn, container_of(r, struct edit, record)->sql, "");
}

static void edit_free(struct meta_record *r)
{
	free(container_of(r, struct edit, record));
}

static void edit(struct store *s, const char *sql)
{
	struct edit *e = calloc(1, sizeof *e);

	e->record = (struct meta_record){ .apply = edit_apply, .free = edit_free };
	e->sql = sql;
	meta_lock(s->meta);
	meta_queue(s->meta, &e->record);
	meta_unlock(s->meta);
	assert_int_equal(meta_commit(s->meta), 0);
}

static void do_forget(struct store *s)
{
	edit(s, "DELETE FROM setting WHERE key = 'audit-sealed'");
}

static void do_forget_one(struct store *s)
{
	edit(s, "UPDATE setting SET value = CAST(X'02' || substr(value, 2) AS BLOB) WHERE key = 'audit-sealed'");
}

static void do_spoil(struct store *s)
{
	edit(s, "UPDATE setting SET value = zeroblob(47) WHERE key = 'audit-sealed'");
}

static void do_other_mac(struct store *s)
{
	edit(s, "UPDATE setting SET value = CAST(substr(value, 1, 16) || zeroblob(32) AS BLOB) WHERE key = "
		"'audit-sealed'");
}

/* the key's owner writes a file anew, without a line */
static void do_reseal(struct store *s)
{
	const struct audit_log log = log_of(s);
	struct buf page = BUF_INIT, less = BUF_INIT;
	struct audit_reader r;
	struct audit_writer w;
	bool more = true;

	assert_int_equal(audit_file_open(&r, &log, 2), 0);
	assert_int_equal(unlink(file_path(s, 2)), 0);
	assert_int_equal(audit_file_begin(&w, &log, &r.part), 0);
	while (more && audit_file_next(&r, &page) == 1) {
		struct reader at = { page.data, page.data + page.len, 0 };
		struct audit_line l;

		buf_reset(&less);
		while (at.p < at.end && audit_line_get(&at, &l) == 0)
			if (l.seq != PART + 300)
				audit_line_put(&less, &l);
		more = !r.ended;
		assert_int_equal(audit_file_put(&w, &less, r.ended), 0);
	}
	assert_int_equal(audit_file_finish(&w), 0);
	audit_file_end(&w);
	audit_file_close(&r);
	buf_free(&page);
	buf_free(&less);
}

#define BAD(file)     "sealed file 0000000" file " is not as it was written\n"
#define MISSING(a, b) "lines " a " to " b " are missing: the log goes on behind them\n"
#define UNKNOWN(file) "sealed file 0000000" file " is not one that the store knows of\n"

static const struct {
	const char *name;
	void (*change)(struct store *);
	const char *found;
	uint64_t lines; /* that are left */
} changes[] = {
	{ "remove", do_remove, "sealed file 00000002 is missing\n" MISSING("601", "1200"), 1801 },
	{ "remove all", do_remove_all,
		"sealed file 00000001 is missing\nsealed file 00000002 is missing\nsealed file 00000003 is missing\n" //
		MISSING("1", "1800"),
		601 },
	{ "magic", do_flip_magic, BAD("2") MISSING("601", "1200"), 1801 },
	{ "version", do_flip_version, "sealed file 00000002 was written by a newer borderfs\n" MISSING("601", "1200"),
		1801 },
	{ "last", do_flip_last, BAD("2") MISSING("601", "1200"), 1801 },
	{ "page", do_flip_page, BAD("2") MISSING("857", "1112"), 2145 },
	{ "length", do_flip_length, BAD("2") MISSING("857", "1200"), 2057 },
	{ "end", do_flip_end, BAD("3") MISSING("1713", "1800"), 2313 },
	{ "cut page", do_cut_page, BAD("2") MISSING("857", "1200"), 2057 },
	{ "cut byte", do_cut_byte, BAD("2") MISSING("1113", "1200"), 2313 },
	{ "cut all", do_cut_all, BAD("2") MISSING("601", "1200"), 1801 },
	{ "grow", do_grow, BAD("2") MISSING("1113", "1200"), 2313 },
	{ "swap", do_swap, BAD("1") BAD("2") MISSING("1", "1200"), 1201 },
	{ "forget", do_forget, MISSING("1", "1800") UNKNOWN("1"), 601 },
	{ "forget one", do_forget_one,
		"sealed file 00000002 is not the one that the store sealed\n" MISSING("1201", "1800") UNKNOWN("3"),
		1801 },
	{ "spoil", do_spoil, "what the store keeps of its sealed files cannot be read\n" MISSING("1", "1800"), 601 },
	{ "other mac", do_other_mac, "sealed file 00000003 is not the one that the store sealed\n", 2401 },
	{ "reseal", do_reseal, "line 900 is missing: the log goes on behind it\n", 2400 },
};

static void test_changed(void **state)
{
	struct store s;

	(void)state;
	for (size_t i = 0; i < COUNT(changes); i++) {
		make(&s, 2 * LINES_MAX + 1);
		for (int k = 0; k < 3; k++)
			assert_int_equal(audit_rotate(s.place), 1);
		assert_int_equal(expect_found(&s, ""), 2 * LINES_MAX + 1);
		changes[i].change(&s);
		if (getenv("VERBOSE"))
			fprintf(stderr, "%s\n", changes[i].name);
		if (changes[i].lines)
			assert_int_equal(expect_found(&s, changes[i].found), changes[i].lines);
		else
			expect_found(&s, changes[i].found);
		store_destroy(&s);
	}
}

/* The store was set back to before the file: it is evidence, and is neither used nor written over. */
static void test_set_back(void **state)
{
	struct store s;
	struct stat was, is;

	(void)state;
	make(&s, LINES_MAX + 1);
	edit(&s, "CREATE TABLE audit_was AS SELECT * FROM audit WHERE seq <= 500");
	assert_int_equal(audit_rotate(s.place), 1);
	edit(&s, "DELETE FROM audit");
	edit(&s, "INSERT INTO audit SELECT * FROM audit_was");
	do_forget(&s);
	expect_found(&s, "sealed file 00000001 is not one that the store knows of\n"
			 "lines 501 to 1201 are missing: the log ends before them\n");
	s.place->audit.sealed = (struct audit_sealed){ 0 };
	s.place->audit.lines_max = 400;
	assert_int_equal(stat(file_path(&s, 1), &was), 0);
	assert_int_equal(audit_rotate(s.place), -ERR_TAMPERED);
	assert_int_equal(stat(file_path(&s, 1), &is), 0);
	assert_int_equal(is.st_ino, was.st_ino);
	assert_int_equal(rows(&s), 500);
	store_destroy(&s);
}

/* file 1 written anew by the key's owner, with another mac before its first line, and of its last */
static void forge(struct store *s, int change)
{
	const struct audit_log log = log_of(s);
	struct buf page = BUF_INIT;
	struct audit_reader r;
	struct audit_writer w;
	bool more = true;

	assert_int_equal(audit_file_open(&r, &log, 1), 0);
	assert_int_equal(unlink(file_path(s, 1)), 0);
	r.part.before[0] ^= change == 0;
	assert_int_equal(audit_file_begin(&w, &log, &r.part), 0);
	while (more && audit_file_next(&r, &page) == 1) {
		page.data[36 + 5] ^= change == 1 && w.page == 0; /* the first line's mac */
		more = !r.ended;
		assert_int_equal(audit_file_put(&w, &page, r.ended), 0);
	}
	assert_int_equal(audit_file_finish(&w), 0);
	audit_file_end(&w);
	audit_file_close(&r);
	buf_free(&page);
}

/* What is in the place of the next part and is not it, in whatever, keeps the rows where they are. */
static void test_forged(void **state)
{
	struct audit_part part;
	struct store s;

	(void)state;
	for (int change = 0; change < 2; change++) {
		make(&s, LINES_MAX + 1);
		part = next_part(&s);
		assert_int_equal(audit_seal(s.place, &part), 0);
		forge(&s, change);
		assert_int_equal(audit_rotate(s.place), -ERR_TAMPERED);
		assert_int_equal(rows(&s), LINES_MAX + 1);
		assert_int_equal(audit_sealed_set(s.place, &part), 0);
		expect_found(&s, change ? "line 1 is not as it was written\nline 2 is not as it was written\n"
					: "sealed file 00000001 does not follow the one before it\n");
		/* rows of what was sealed do not count any more */
		assert_int_equal(unlink(file_path(&s, 1)), 0);
		assert_int_equal(expect_found(&s, "sealed file 00000001 is missing\n" MISSING("1", "600")), PART + 1);
		store_destroy(&s);
	}
}

/* ---- a store that lost the log's end -------------------------------------------------------------------------- */

static int open_again(struct store *s, struct errmsg *msg)
{
	int rc;

	place_close(s->place);
	rc = place_open(&s->place, s->meta, s->cache, s->keyring, s->config, msg);
	if (rc < 0)
		s->place = NULL;
	return rc;
}

static void test_lost_end(void **state)
{
	static const struct {
		const char *sql, *says;
	} rows[] = {
		{ "DELETE FROM setting WHERE key = 'audit'", "up to number 1201, and the store remembers 0" },
		{ "UPDATE setting SET value = CAST(substr(value, 1, 64) || X'0500000000000000' AS BLOB) WHERE key = "
		  "'audit'",
			"up to number 1201, and the store remembers 5" },
		{ "UPDATE setting SET value = zeroblob(3) WHERE key = 'audit-sealed'", "cannot be read: bring" },
	};
	struct errmsg msg = { 0 };
	struct store s;

	(void)state;
	make(&s, LINES_MAX + 1);
	assert_int_equal(audit_rotate(s.place), 1);
	edit(&s, "CREATE TABLE setting_was AS SELECT * FROM setting");
	for (size_t i = 0; i < COUNT(rows); i++) {
		edit(&s, rows[i].sql);
		assert_int_equal(open_again(&s, &msg), -ERR_CORRUPT);
		assert_non_null(strstr(errmsg_text(&msg, -ERR_CORRUPT), rows[i].says));
		errmsg_free(&msg);
		edit(&s, "INSERT OR REPLACE INTO setting SELECT * FROM setting_was");
	}
	assert_int_equal(open_again(&s, &msg), 0);
	store_destroy(&s);
}

/* all rows are in files, and the end is lost: the files tell */
static void test_lost_end_of_files(void **state)
{
	struct errmsg msg = { 0 };
	struct store s;

	(void)state;
	make(&s, LINES_MAX + 1);
	assert_int_equal(audit_rotate(s.place), 1);
	edit(&s, "DELETE FROM audit");
	edit(&s, "DELETE FROM setting WHERE key = 'audit'");
	assert_int_equal(open_again(&s, &msg), -ERR_CORRUPT);
	assert_non_null(strstr(errmsg_text(&msg, -ERR_CORRUPT), "up to number 600, and the store remembers 0"));
	errmsg_free(&msg);
	edit(&s, "INSERT INTO setting (key, value) VALUES ('audit', zeroblob(72))");
	assert_int_equal(open_again(&s, &msg), -ERR_CORRUPT);
	errmsg_free(&msg);
	edit(&s, "DELETE FROM setting WHERE key IN ('audit', 'audit-sealed')");
	assert_int_equal(open_again(&s, &msg), 0);
	store_destroy(&s);
}

/* ---- the thread ----------------------------------------------------------------------------------------------- */

static void test_thread(void **state)
{
	struct store s;

	(void)state;
	make(&s, 10);
	assert_int_equal(place_start(s.place), 0);
	for (int i = 0; i < 40; i++) {
		append(&s, 100);
		assert_int_equal(meta_commit(s.meta), 0);
		if (i % 10 == 0)
			walk(&s, 0, (uint64_t)(10 + 100 * (i + 1)));
	}
	/* 4010 lines: five parts make 1010 of them */
	for (int i = 0; i < 500 && rows(&s) != 4010 - 5 * PART; i++)
		usleep(10000);
	assert_int_equal(rows(&s), 4010 - 5 * PART);
	assert_int_equal(expect_found(&s, ""), 4010);
	store_destroy(&s);
}

/* ---- the format ----------------------------------------------------------------------------------------------- */

/* two lines in two pages, with the keys of the documented file */
static void test_vector(void **state)
{
	static const char text[] = "{\"seq\":1,\"time\":1800000000.000000005,\"kind\":\"key\",\"facts\":{}}";
	char dir[] = "/tmp/borderfs-unit-XXXXXX", path[160];
	struct audit_line l = { .seq = 1, .time = { 1800000000, 5 }, .kind = 10, .text = text, .len = strlen(text) };
	struct audit_part part = { 1, 1, 1, { 0 }, { 0 } };
	struct buf keys = BUF_INIT, page = BUF_INIT, out = BUF_INIT;
	struct audit_writer w;
	struct keyring *keyring;
	struct store s = { 0 };
	struct audit_log log;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/keys", dir);
	vector_load("keys", &keys);
	assert_int_equal(file_replace(AT_FDCWD, path, keys.data, keys.len, 0600), 0);
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(keyring_open(&keyring, fd, &store_secret, NULL), 0);
	close(fd);
	store_make(&s, CONFIG);
	store_open(&s);
	for (uint8_t i = 0; i < AUDIT_MAC_BYTES; i++)
		part.end[i] = 0x20 + i;
	l.mac = part.end;
	log = (struct audit_log){ s.meta, keyring };
	audit_line_put(&page, &l);
	fixed_random_start(0x40);
	assert_int_equal(audit_file_begin(&w, &log, &part), 0);
	assert_int_equal(audit_file_put(&w, &page, true), 0);
	assert_int_equal(audit_file_finish(&w), 0);
	fixed_random_stop();
	audit_file_end(&w);
	assert_int_equal(file_read_all(AT_FDCWD, file_path(&s, 1), 4096, &out), 0);
	vector_equal("audit-file", out.data, out.len);
	keyring_close(keyring);
	unlink(path);
	rmdir(dir);
	buf_free(&keys);
	buf_free(&page);
	buf_free(&out);
	store_destroy(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rotates),
		cmocka_unit_test(test_read_meanwhile),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_set_back),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_lost_end),
		cmocka_unit_test(test_lost_end_of_files),
		cmocka_unit_test(test_thread),
		cmocka_unit_test(test_vector),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
