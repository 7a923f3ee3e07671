/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Heads of the audit log: where they go, which one is found, and what they tell of a log that was cut off. */
#include "tests/unit/fs-transfer/fault.h"

#define CONFIG CLOUD_CONFIG("", "", CLOUD_RULES)

static void add_line(struct cloud *c, const char *facts)
{
	meta_lock(c->s.meta);
	audit_append(c->s.place, "rules", facts);
	meta_unlock(c->s.meta);
}

static int publish(struct cloud *c)
{
	return transfer_publish_head(c->t, clock_mono_ns() + 10 * NS_PER_S);
}

static void newest(struct cloud *c, uint64_t number, uint64_t seq)
{
	struct audit_heads seen;
	struct audit_head head;

	assert_int_equal(transfer_newest_head(c->t, &head, &seen), 0);
	assert_int_equal(seen.asked, 1);
	assert_int_equal(seen.newest, number);
	assert_int_equal(head.seq, seq);
	/* as of a store that nobody has mounted */
	assert_int_equal(transfer_look_head(c->s.meta, c->s.keyring, c->s.config, &head, &seen), 0);
	assert_int_equal(seen.asked, 1);
	assert_int_equal(seen.newest, number);
	assert_int_equal(head.seq, seq);
	assert_string_equal(seen.why, "");
}

/* -1: there is none */
static long head_size(struct cloud *c, const char *cloud, int number)
{
	char path[300];
	struct stat st;

	snprintf(path, sizeof path, "%s/%s/audit/%08d", c->s.dir, cloud, number);
	return stat(path, &st) < 0 ? -1 : (long)st.st_size;
}

static uint64_t last_line(struct cloud *c)
{
	struct audit_head end;

	place_audit_end(c->s.place, &end);
	return end.seq;
}

static void test_publish(void **state)
{
	struct cloud c;
	uint64_t first;

	(void)state;
	cloud_make(&c, CONFIG);
	newest(&c, 0, 0);
	assert_int_equal(publish(&c), 0);
	first = last_line(&c);
	newest(&c, 1, first);
	assert_int_equal(head_size(&c, "near", 1), AUDIT_HEAD_BYTES);
	assert_int_equal(publish(&c), 0); /* nothing was added */
	newest(&c, 1, first);
	add_line(&c, "{}");
	assert_int_equal(publish(&c), 0);
	newest(&c, 2, first + 1);
	for (int i = 0; i < 12; i++) {
		add_line(&c, "{}");
		assert_int_equal(publish(&c), 0);
	}
	newest(&c, 14, first + 13);
	for (int i = 0; i < 20; i++)
		assert_int_equal(head_size(&c, "far", i), -1); /* I1 */
	cloud_close(&c);
	cloud_open(&c, false); /* transfers were not started: nothing is sent */
	add_line(&c, "{}");
	assert_int_equal(publish(&c), 0);
	newest(&c, 14, first + 13);
	cloud_destroy(&c);
}

static void retire(void *ctx)
{
	struct cloud *c = ctx;

	pthread_mutex_lock(&c->t->lock);
	for (size_t i = 0; i < c->t->endpoints.count; i++)
		c->t->endpoints.v[i]->retired = true;
	pthread_mutex_unlock(&c->t->lock);
}

/* A backend that the configuration loses just before the bytes would leave gets none (I1). */
static void test_retired(void **state)
{
	struct fault *near;
	struct cloud c;

	(void)state;
	cloud_make(&c, CONFIG);
	near = fault_wrap(&c, "near");
	near->ctx = &c;
	near->before_put = retire;
	assert_int_equal(publish(&c), -ERR_UNREACHABLE);
	assert_int_equal(near->put_rc, -ERR_REVOKED);
	assert_int_equal(head_size(&c, "near", 1), -1);
	cloud_destroy(&c);
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

static void edit(struct cloud *c, const char *sql)
{
	struct edit *e = calloc(1, sizeof *e);

	assert_non_null(e);
	e->record = (struct meta_record){ .apply = edit_apply, .free = edit_free };
	e->sql = sql;
	meta_lock(c->s.meta);
	meta_queue(c->s.meta, &e->record);
	meta_unlock(c->s.meta);
	assert_int_equal(meta_commit(c->s.meta), 0);
}

/* The store forgot what it published: the next head takes no number that is taken. */
static void test_forgotten(void **state)
{
	struct cloud c;

	(void)state;
	cloud_make(&c, CONFIG);
	for (int i = 0; i < 11; i++) {
		add_line(&c, "{}");
		assert_int_equal(publish(&c), 0);
	}
	edit(&c, "DELETE FROM setting WHERE key = 'audit-heads'");
	newest(&c, 11, last_line(&c));
	add_line(&c, "{}");
	assert_int_equal(publish(&c), 0);
	newest(&c, 12, last_line(&c));
	cloud_destroy(&c);
}

static int found(void *ctx, const struct audit_finding *f)
{
	snprintf(ctx, 64, "%s %d-%d", audit_wrong_name(f->wrong), (int)f->first, (int)f->last);
	return 0;
}

static void verify(struct cloud *c, const char *by_lines, const char *by_head)
{
	const struct audit_log log = { c->s.meta, c->s.keyring };
	char lines[64] = "", head_says[64] = "";
	struct audit_verdict verdict;
	struct audit_heads seen;
	struct audit_head head;

	assert_int_equal(transfer_newest_head(c->t, &head, &seen), 0);
	assert_int_equal(audit_verify(&log, found, lines, &verdict), 0);
	assert_string_equal(lines, by_lines);
	assert_int_equal(audit_compare(&log, &head, &verdict, found, head_says), 0);
	assert_string_equal(head_says, by_head);
	assert_int_equal(verdict.findings, (*lines != 0) + (*head_says != 0));
}

/* Whoever sets the whole log back leaves one that holds by itself. */
static void test_set_back(void **state)
{
	struct cloud c;
	uint64_t at, end;
	char says[64];

	(void)state;
	cloud_make(&c, CONFIG);
	add_line(&c, "{}");
	at = last_line(&c);
	edit(&c, "CREATE TABLE setting_was AS SELECT * FROM setting");
	edit(&c, "CREATE TABLE audit_was AS SELECT * FROM audit");
	for (int i = 0; i < 5; i++)
		add_line(&c, "{\"what\":\"happened\"}");
	assert_int_equal(publish(&c), 0);
	end = last_line(&c);
	verify(&c, "", "");
	edit(&c, "DELETE FROM audit WHERE seq NOT IN (SELECT seq FROM audit_was)");
	edit(&c, "INSERT OR REPLACE INTO setting SELECT * FROM setting_was");
	edit(&c, "DELETE FROM setting WHERE key = 'audit-heads'");
	snprintf(says, sizeof says, "truncated %d-%d", (int)at + 1, (int)end);
	verify(&c, "", says);

	cloud_close(&c);
	cloud_open(&c, true);
	assert_int_equal(last_line(&c), at);
	for (int i = 0; i < 9; i++)
		add_line(&c, "{\"nothing\":\"happened\"}");
	log_init(LOG_LEVEL_ERROR + 1, 0);
	assert_int_equal(publish(&c), -ERR_TAMPERED); /* the one that tells stays the newest */
	snprintf(says, sizeof says, "head %d-%d", (int)end, (int)end);
	verify(&c, "", says);
	cloud_destroy(&c);
}

static void write_head(struct cloud *c, int number, const void *data, size_t len)
{
	char path[300];

	snprintf(path, sizeof path, "%s/near/audit/%08d", c->s.dir, number);
	assert_int_equal(file_replace(AT_FDCWD, path, data, len, 0600), 0);
}

static void read_head(struct cloud *c, int number, uint8_t bytes[AUDIT_HEAD_BYTES])
{
	char path[300];
	int fd;

	snprintf(path, sizeof path, "%s/near/audit/%08d", c->s.dir, number);
	fd = open(path, O_RDONLY);
	assert_int_equal(file_pread_full(fd, bytes, AUDIT_HEAD_BYTES, 0), 0);
	close(fd);
}

/* what lies in the place of heads and is none, or another store's, is counted and passed by */
static void test_forged(void **state)
{
	uint8_t bytes[AUDIT_HEAD_BYTES];
	struct audit_heads seen;
	struct audit_head head;
	struct cloud c;

	(void)state;
	cloud_make(&c, CONFIG);
	assert_int_equal(publish(&c), 0);
	read_head(&c, 1, bytes);
	for (size_t i = 0; i < sizeof bytes; i++) {
		bytes[i] ^= 1;
		/* the key in it is for others: ours is made of the store's */
		assert_int_not_equal(audit_head_open(c.s.keyring, bytes, &head), 0);
		bytes[i] ^= 1;
	}
	assert_int_equal(audit_head_open(c.s.keyring, bytes, &head), 0);
	assert_int_equal(head.seq, last_line(&c));
	bytes[8] = 2;
	assert_int_equal(audit_head_open(c.s.keyring, bytes, &head), -ERR_NEWER);
	bytes[8] = 1;
	bytes[28] ^= 1;
	write_head(&c, 2, bytes, sizeof bytes);
	write_head(&c, 3, "junk", 4);
	assert_int_equal(transfer_newest_head(c.t, &head, &seen), 0);
	assert_int_equal(seen.newest, 1);
	assert_int_equal(seen.bad, 2);
	assert_int_equal(transfer_look_head(c.s.meta, c.s.keyring, c.s.config, &head, &seen), 0);
	assert_int_equal(seen.newest, 1);
	assert_int_equal(seen.bad, 2);
	add_line(&c, "{}");
	assert_int_equal(publish(&c), 0);
	newest(&c, 4, last_line(&c));
	cloud_destroy(&c);
}

static void test_down(void **state)
{
	struct audit_heads seen;
	struct audit_head head;
	char from[300], to[300];
	struct cloud c;

	(void)state;
	cloud_make(&c, CONFIG);
	assert_int_equal(publish(&c), 0);
	add_line(&c, "{}");
	snprintf(from, sizeof from, "%s/near", c.s.dir);
	snprintf(to, sizeof to, "%s/away", c.s.dir);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(publish(&c), -ERR_UNREACHABLE);
	assert_int_equal(transfer_newest_head(c.t, &head, &seen), -ERR_UNREACHABLE);
	assert_int_equal(head.seq, 0);
	assert_non_null(strstr(seen.why, "backend 'near'"));
	assert_int_equal(transfer_look_head(c.s.meta, c.s.keyring, c.s.config, &head, &seen), -ERR_UNREACHABLE);
	assert_int_equal(seen.asked, 0);
	assert_int_equal(head.seq, 0);
	assert_non_null(strstr(seen.why, "backend 'near'"));
	assert_int_equal(rename(to, from), 0);
	newest(&c, 1, last_line(&c) - 1);
	cloud_destroy(&c);
}

/* Another place under the name of the backend that has the heads would hide them. */
static void test_other_place(void **state)
{
	struct audit_heads seen;
	struct audit_head head;
	struct config_backend *near;
	struct cloud c;
	char *path;

	(void)state;
	cloud_make(&c, CONFIG);
	assert_int_equal(publish(&c), 0);
	near = config_backend_find(c.s.config, "near");
	path = near->path;
	near->path = c.s.dir;
	assert_int_equal(transfer_look_head(c.s.meta, c.s.keyring, c.s.config, &head, &seen), -ERR_UNREACHABLE);
	assert_string_equal(seen.why, "backend 'near' is another one than the store knows");
	near->path = path;
	edit(&c, "UPDATE backend SET name = 'near-then' WHERE name = 'near'"); /* never mounted with this one */
	assert_int_equal(transfer_look_head(c.s.meta, c.s.keyring, c.s.config, &head, &seen), -ERR_UNREACHABLE);
	assert_string_equal(seen.why, "");
	edit(&c, "UPDATE backend SET name = 'near' WHERE name = 'near-then'");
	newest(&c, 1, last_line(&c));
	cloud_destroy(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_publish),
		cmocka_unit_test(test_retired),
		cmocka_unit_test(test_forgotten),
		cmocka_unit_test(test_set_back),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_down),
		cmocka_unit_test(test_other_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
