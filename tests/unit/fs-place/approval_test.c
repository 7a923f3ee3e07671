/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests and votes in a real store: who may say what, what a request is bound to, and that it survives. */
#include "fs/place/approval.h"
#include "fs/place/internal.h"
#include "tests/unit/fs-place/fixture.h"

#define CONFIG(more)                                                                                                   \
	"[filesystem]\nname = test\nstore = @/store\nhome = home\n"                                                    \
	"[zone home]\nkind = domestic\ncountries = CN\nbackends = near\nexport = approve\n"                            \
	"approvers = uid:1, gid:20, group:daemon, nobody\napprovals = 2\n"                                             \
	"[zone abroad]\nkind = foreign\ncountries = US\nbackends = far\n"                                              \
	"[backend near]\ntype = local\npath = @/near\n[backend far]\ntype = local\npath = @/far\n"                     \
	"[rule stays]\ntag = personal\nzone = home\n"                                                                  \
	"[rule out]\npath = /public/**\nzone = abroad\n"                                                               \
	"[rule counts]\npath = /counted/**\nzone = abroad\n" more

struct test {
	struct store s;
	uint64_t public, counted, ino;
};

static void judge(struct test *t, struct placement *at)
{
	struct inode *inode = store_inode(&t->s, t->ino);

	assert_int_equal(place_evaluate(t->s.place, inode, at), 0);
	assert_int_equal(place_apply(t->s.place, inode, at), 0);
	placement_free(at);
	assert_int_equal(place_evaluate(t->s.place, inode, at), 0);
	store_put(&t->s, inode);
}

/* The placement, and the number of the request that stands. */
static uint64_t request(struct test *t, enum policy_reason reason, bool approved)
{
	struct placement at;
	uint64_t id;

	judge(t, &at);
	assert_int_equal(at.reason, reason);
	assert_int_equal(at.approved, approved);
	assert_int_equal(at.kind == ZONE_FOREIGN, reason == POLICY_NONE);
	assert_false(at.ask);
	id = at.asked.id;
	placement_free(&at);
	return id;
}

static void begin(struct test *t, const char *config)
{
	struct placement at;
	uint64_t dir;

	memset(t, 0, sizeof *t);
	store_make(&t->s, config);
	store_open(&t->s);
	dir = store_mkdir(&t->s, META_ROOT_INO, "home");
	t->public = store_mkdir(&t->s, META_ROOT_INO, "public");
	t->counted = store_mkdir(&t->s, META_ROOT_INO, "counted");
	store_tags(&t->s, dir, "personal");
	t->ino = store_write(&t->s, dir, "a", "text");
	judge(t, &at);
	placement_free(&at);
	store_name(&t->s, t->public, "a", t->ino);
	store_name(&t->s, dir, "a", 0);
}

/* The files are of user 1000. */
static const gid_t g1[] = { 1 }, g20[] = { 20 }, both[] = { 20, 1 };
static const struct approver by_uid = { 1, NULL, 0, false, "one" }, by_gid = { 7, g20, 1, false, "seven" };
static const struct approver by_group = { 8, g1, 1, false, "eight" }, in_two = { 9, both, 2, false, "nine" };
static const struct approver stranger = { 2, NULL, 0, false, "two" }, root = { 0, NULL, 0, true, "root" };
static const struct approver owner = { 1000, g20, 1, false, "thousand" };

static const struct approval_vote yes = { true, "consent", INT64_MAX }, no = { false, "why", INT64_MAX };

/* rc, and what was said of it where it was refused */
static void vote_by(struct test *t, uint64_t id, const struct approver *by, const struct approval_vote *v, int rc,
	const char *says, struct approval_result *out)
{
	struct errmsg msg = { 0 };

	assert_int_equal(approval_vote(t->s.place, id, by, v, out, &msg), rc);
	if (says && !strstr(errmsg_text(&msg, rc), says))
		fail_msg("%s", errmsg_text(&msg, rc));
	errmsg_free(&msg);
}

static void test_who(void **state)
{
	struct approval_result r;
	struct test t;
	uint64_t id;

	(void)state;
	begin(&t, CONFIG(""));
	id = request(&t, POLICY_AWAITING, false);
	assert_int_equal(id, 1);
	assert_true(approval_any(t.s.place, &by_group));
	assert_false(approval_any(t.s.place, &stranger));
	vote_by(&t, id, &stranger, &yes, -ERR_HELD, "only the approvers", &r);
	/* a stranger does not learn which requests there are */
	vote_by(&t, 99, &stranger, &yes, -ERR_HELD, "only the approvers", &r);
	vote_by(&t, 99, &by_uid, &yes, -ENOENT, "no request 99", &r);
	vote_by(&t, id, &root, &yes, -ERR_HELD, "you are not among the approvers of zone home", &r);
	vote_by(&t, id, &owner, &yes, -ERR_HELD, "your own file", &r);
	/* one who is in two of the groups, and changes their words, is one */
	vote_by(&t, id, &in_two, &yes, 0, NULL, &r);
	assert_int_equal(r.votes, 1);
	vote_by(&t, id, &in_two, &yes, 0, NULL, &r);
	assert_int_equal(r.votes, 1);
	assert_int_equal(r.needed, 2);
	assert_false(r.granted || r.changed);
	assert_int_equal(request(&t, POLICY_AWAITING, false), id);
	vote_by(&t, id, &by_group, &yes, 0, NULL, &r);
	assert_int_equal(r.votes, 2);
	assert_true(r.granted && r.changed);
	assert_int_equal(r.ino, t.ino);
	assert_int_equal(request(&t, POLICY_NONE, true), id);
	/* the owner of a file may bring it home, if an approver */
	vote_by(&t, id, &owner, &no, 0, NULL, &r);
	assert_true(r.changed);
	assert_int_equal(request(&t, POLICY_DENIED, false), id);
	vote_by(&t, id, &by_uid, &yes, -ERR_HELD, "was denied", &r);
	store_destroy(&t.s);
}

/* the file was another's when it was asked, or when it is voted on */
static void test_owner_changes(void **state)
{
	struct approval_result r;
	struct inode *inode;
	struct test t;
	uint64_t id;

	(void)state;
	begin(&t, CONFIG(""));
	id = request(&t, POLICY_AWAITING, false);
	vote_by(&t, id, &by_gid, &yes, 0, NULL, &r);
	inode = store_inode(&t.s, t.ino);
	meta_lock(t.s.meta);
	inode->uid = by_gid.uid;
	meta_inode_changed(t.s.meta, inode);
	meta_unlock(t.s.meta);
	store_put(&t.s, inode);
	vote_by(&t, id, &owner, &yes, -ERR_HELD, "your own file", &r);
	vote_by(&t, id, &by_uid, &yes, 0, NULL, &r);
	assert_int_equal(r.votes, 1);
	assert_false(r.granted);
	store_destroy(&t.s);
}

static uint64_t granted(struct test *t)
{
	struct approval_result r;
	uint64_t id = request(t, POLICY_AWAITING, false);

	vote_by(t, id, &by_uid, &yes, 0, NULL, &r);
	vote_by(t, id, &by_gid, &yes, 0, NULL, &r);
	assert_true(r.granted);
	return id;
}

/* every way in which content changes, before the file has left and after */
static void test_content(void **state)
{
	struct approval_result r;
	struct cache_need need;
	struct inode *inode;
	struct test t;
	uint64_t id, next;

	(void)state;
	begin(&t, CONFIG(""));
	id = granted(&t);
	assert_true(store_pwrite(&t.s, t.ino, "T", 1, 0) >= 0);
	/* refused before anybody has judged it again, and the request that was made for it is another one */
	vote_by(&t, id, &in_two, &yes, -ERR_STALE, "has changed since", &r);
	next = request(&t, POLICY_AWAITING, false);
	assert_int_equal(next, id + 1);
	vote_by(&t, id, &by_uid, &yes, -ERR_STALE, "has changed since", &r);
	id = granted(&t);
	assert_int_equal(id, next);
	assert_int_equal(request(&t, POLICY_NONE, true), id);
	inode = store_inode(&t.s, t.ino);
	pthread_rwlock_wrlock(&inode->data_lock);
	assert_int_equal(cache_truncate(t.s.cache, inode, 2, &need), 0);
	pthread_rwlock_unlock(&inode->data_lock);
	store_put(&t.s, inode);
	assert_int_equal(request(&t, POLICY_AWAITING, false), id + 1);
	id = granted(&t);
	/* nothing of the content */
	inode = store_inode(&t.s, t.ino);
	meta_lock(t.s.meta);
	inode->mtime.tv_sec += 5;
	meta_inode_changed(t.s.meta, inode);
	meta_unlock(t.s.meta);
	store_put(&t.s, inode);
	assert_int_equal(request(&t, POLICY_NONE, true), id);
	store_destroy(&t.s);
}

/* what is in the metadata, and in the file, is what was agreed to, also after the store was opened again */
static void test_survives(void **state)
{
	struct approval_result r;
	struct test t;
	uint64_t id;

	(void)state;
	begin(&t, CONFIG(""));
	id = request(&t, POLICY_AWAITING, false);
	vote_by(&t, id, &by_uid, &yes, 0, NULL, &r);
	store_close(&t.s);
	store_open(&t.s);
	assert_int_equal(request(&t, POLICY_AWAITING, false), id);
	vote_by(&t, id, &by_gid, &yes, 0, NULL, &r);
	assert_true(r.granted);
	store_close(&t.s);
	store_open(&t.s);
	assert_int_equal(request(&t, POLICY_NONE, true), id);
	/* numbers go on */
	assert_true(store_pwrite(&t.s, t.ino, "x", 1, 0) >= 0);
	assert_int_equal(request(&t, POLICY_AWAITING, false), id + 1);
	store_destroy(&t.s);
}

static void test_vote_syncs(void **state)
{
	struct approval_result r;
	struct inode *inode;
	struct test t;
	uint64_t id;

	(void)state;
	begin(&t, CONFIG(""));
	assert_true(store_pwrite(&t.s, t.ino, "more", 4, 100000) >= 0);
	inode = store_inode(&t.s, t.ino);
	id = request(&t, POLICY_AWAITING, false);
	assert_false(cache_is_synced(t.s.cache, inode));
	vote_by(&t, id, &by_uid, &yes, 0, NULL, &r);
	assert_true(cache_is_synced(t.s.cache, inode));
	assert_int_equal(inode->disk_size, 100004);
	store_put(&t.s, inode);
	store_destroy(&t.s);
}

static void test_expiry(void **state)
{
	const struct approval_vote soon = { true, "consent", clock_real_ns() + 50 * NS_PER_S },
				   later = { true, "contract", clock_real_ns() + 100 * NS_PER_S };
	struct approval_result r;
	struct placement at;
	struct test t;
	uint64_t id;

	(void)state;
	begin(&t, CONFIG(""));
	id = request(&t, POLICY_AWAITING, false);
	vote_by(&t, id, &by_uid, &later, 0, NULL, &r);
	vote_by(&t, id, &by_gid, &soon, 0, NULL, &r);
	judge(&t, &at);
	assert_true(at.approved);
	assert_int_equal(at.next_due_ns, soon.expires_ns);
	placement_free(&at);
	/* whoever extends it extends it for all */
	vote_by(&t, id, &by_gid, &later, 0, NULL, &r);
	clock_shift_real(60 * NS_PER_S);
	assert_int_equal(request(&t, POLICY_NONE, true), id);
	clock_shift_real(60 * NS_PER_S);
	assert_int_equal(request(&t, POLICY_AWAITING, false), id + 1);
	/* a vote that has expired before the next one came is none */
	vote_by(&t, id + 1, &by_uid, &(struct approval_vote){ true, "x", clock_real_ns() + NS_PER_S }, 0, NULL, &r);
	clock_shift_real(2 * NS_PER_S);
	vote_by(&t, id + 1, &by_gid, &yes, 0, NULL, &r);
	assert_int_equal(r.votes, 1);
	clock_shift_real(-122 * NS_PER_S);
	store_destroy(&t.s);
}

static void withdraw(struct test *t, uint64_t id, const struct approver *by, int rc, const char *says)
{
	struct approval_result r;
	struct errmsg msg = { 0 };

	assert_int_equal(approval_withdraw(t->s.place, id, by, "over", &r, &msg), rc);
	if (says && !strstr(errmsg_text(&msg, rc), says))
		fail_msg("%s", errmsg_text(&msg, rc));
	assert_int_equal(r.changed, rc == 0);
	errmsg_free(&msg);
}

static void test_withdraw(void **state)
{
	struct approval_result r;
	struct test t;
	uint64_t id;

	(void)state;
	begin(&t, CONFIG(""));
	id = granted(&t);
	assert_int_equal(request(&t, POLICY_NONE, true), id);
	withdraw(&t, id, &stranger, -ERR_HELD, "only the approvers");
	withdraw(&t, id, &root, 0, NULL);
	assert_int_equal(request(&t, POLICY_AWAITING, false), id + 1);
	withdraw(&t, id, &by_uid, -ERR_STALE, "is over");
	vote_by(&t, id + 1, &by_uid, &no, 0, NULL, &r);
	withdraw(&t, id + 1, &root, -ERR_HELD, "only an approver");
	withdraw(&t, id + 1, &by_gid, 0, NULL);
	/* what was said before does not count for the next */
	assert_int_equal(request(&t, POLICY_AWAITING, false), id + 2);
	vote_by(&t, id + 2, &by_gid, &yes, 0, NULL, &r);
	assert_int_equal(r.votes, 1);
	store_destroy(&t.s);
}

/* a body is checked again and again while the file has a request: its time may be over, its content another */
static void test_still(void **state)
{
	const struct approval_vote soon = { true, "consent", clock_real_ns() + 50 * NS_PER_S };
	struct approval_result r;
	struct placement at;
	struct inode *inode;
	struct test t;
	uint64_t id;

	(void)state;
	begin(&t, CONFIG(""));
	id = request(&t, POLICY_AWAITING, false);
	vote_by(&t, id, &by_uid, &soon, 0, NULL, &r);
	vote_by(&t, id, &by_gid, &soon, 0, NULL, &r);
	judge(&t, &at);
	inode = store_inode(&t.s, t.ino);
	assert_int_equal(place_still(t.s.place, inode, at.zone_id, &at.gen, &at.epoch), 0);
	clock_shift_real(50 * NS_PER_S);
	assert_int_equal(place_still(t.s.place, inode, at.zone_id, &at.gen, &at.epoch), -ERR_REVOKED);
	clock_shift_real(-50 * NS_PER_S);
	assert_int_equal(place_still(t.s.place, inode, at.zone_id, &at.gen, &at.epoch), 0);
	assert_true(store_pwrite(&t.s, t.ino, "x", 1, 0) >= 0);
	assert_int_equal(place_still(t.s.place, inode, at.zone_id, &at.gen, &at.epoch), -ERR_REVOKED);
	placement_free(&at);
	store_put(&t.s, inode);
	store_destroy(&t.s);
}

/* what it rests on changed between the judgement and its application */
static void test_stale(void **state)
{
	struct placement asks, goes;
	struct approval_result r;
	struct inode *inode;
	struct test t;

	(void)state;
	begin(&t, CONFIG(""));
	inode = store_inode(&t.s, t.ino);
	assert_int_equal(place_evaluate(t.s.place, inode, &asks), 0);
	assert_true(asks.ask);
	assert_int_equal(request(&t, POLICY_AWAITING, false), 1);
	assert_int_equal(place_apply(t.s.place, inode, &asks), -ERR_STALE);
	assert_int_equal(granted(&t), 1);
	assert_int_equal(place_evaluate(t.s.place, inode, &goes), 0);
	assert_true(goes.approved);
	assert_true(store_pwrite(&t.s, t.ino, "x", 1, 0) >= 0);
	assert_int_equal(place_apply(t.s.place, inode, &goes), -ERR_STALE);
	placement_free(&asks);
	placement_free(&goes);
	assert_int_equal(request(&t, POLICY_AWAITING, false), 2);
	vote_by(&t, 2, &by_uid, &yes, 0, NULL, &r);
	store_put(&t.s, inode);
	store_destroy(&t.s);
}

static int reload(struct test *t, const char *text)
{
	struct errmsg msg = { 0 };
	struct config *config;
	int rc;

	store_write_config(&t->s, text);
	config = store_load(&t->s);
	rc = place_reload(t->s.place, config, &msg);
	config_put(config);
	errmsg_free(&msg);
	return rc;
}

/* who is no longer named no longer counts, and more approvals bring the data home */
static void test_tightened(void **state)
{
	static const char first[] = "uid:1, gid:20, group:daemon, nobody\napprovals = 2",
			  second[] = "gid:20\napprovals = 2", third[] = "gid:20\napprovals = 3";
	char text[2048];
	struct approval_result r;
	struct test t;
	uint64_t id;

	(void)state;
	begin(&t, CONFIG(""));
	id = request(&t, POLICY_AWAITING, false);
	vote_by(&t, id, &by_uid, &yes, 0, NULL, &r);
	for (size_t i = 0; i < 2; i++) {
		const char *at = strstr(CONFIG(""), first);

		snprintf(text, sizeof text, "%.*s%s%s", (int)(at - CONFIG("")), CONFIG(""), i ? third : second,
			at + strlen(first));
		assert_int_equal(reload(&t, text), 0);
		if (i == 0) {
			vote_by(&t, id, &by_gid, &yes, 0, NULL, &r);
			assert_int_equal(r.votes, 1);
			vote_by(&t, id, &in_two, &yes, 0, NULL, &r);
			assert_true(r.granted);
			assert_int_equal(request(&t, POLICY_NONE, true), id);
		} else {
			assert_int_equal(request(&t, POLICY_AWAITING, false), id);
		}
	}
	store_destroy(&t.s);
}

struct seen {
	size_t count;
	char text[512];
};

static int see(void *ctx, const struct approval_row *row)
{
	struct seen *s = ctx;

	s->count++;
	snprintf(s->text + strlen(s->text), sizeof s->text - strlen(s->text), "%d %s %.*s %u/%u;", (int)row->id,
		row->state, (int)row->path_len, row->path, (unsigned)row->said_count, row->needed);
	return 0;
}

static const char *listed(struct test *t, const struct approver *by, bool over)
{
	static struct seen s;

	s = (struct seen){ 0 };
	assert_int_equal(approval_list(t->s.place, by, over, see, &s), 0);
	return s.text;
}

static void test_list(void **state)
{
	struct approval_result r;
	struct inode *inode;
	struct test t;

	(void)state;
	begin(&t, CONFIG(""));
	request(&t, POLICY_AWAITING, false);
	assert_string_equal(listed(&t, &by_uid, false), "1 open /public/a 0/2;");
	assert_string_equal(listed(&t, &root, false), "1 open /public/a 0/2;");
	assert_string_equal(listed(&t, &stranger, false), "");
	assert_int_equal(approval_waiting(t.s.place), 1);
	/* by the name it has now */
	store_name(&t.s, t.public, "b", t.ino);
	store_name(&t.s, t.public, "a", 0);
	vote_by(&t, 1, &by_uid, &yes, 0, NULL, &r);
	assert_string_equal(listed(&t, &by_uid, false), "1 open /public/b 1/2;");
	vote_by(&t, 1, &by_gid, &yes, 0, NULL, &r);
	assert_string_equal(listed(&t, &by_uid, false), "1 approved /public/b 2/2;");
	request(&t, POLICY_NONE, true);
	assert_string_equal(listed(&t, &by_uid, false), "1 used /public/b 2/2;");
	assert_int_equal(approval_waiting(t.s.place), 0);
	/* what nobody voted on is not kept when it is over */
	for (int i = 0; i < 3; i++) {
		assert_true(store_pwrite(&t.s, t.ino, "x", 1, 0) >= 0);
		request(&t, POLICY_AWAITING, false);
	}
	assert_string_equal(listed(&t, &by_uid, true), "1 superseded /public/a 2/2;4 open /public/b 0/2;");
	vote_by(&t, 4, &by_uid, &no, 0, NULL, &r);
	/* a file that is deleted ends what is asked about it */
	store_name(&t.s, t.public, "b", 0);
	inode = store_inode(&t.s, t.ino);
	meta_lock(t.s.meta);
	meta_inode_delete(t.s.meta, inode);
	meta_unlock(t.s.meta);
	store_put(&t.s, inode);
	assert_string_equal(listed(&t, &by_uid, false), "");
	assert_string_equal(listed(&t, &by_uid, true), "1 superseded /public/a 2/2;4 superseded /public/b 1/2;");
	vote_by(&t, 4, &by_uid, &yes, -ERR_STALE, "is over", &r);
	store_destroy(&t.s);
}

/* what its rules no longer want abroad is no longer asked about */
static void test_comes_home(void **state)
{
	struct placement at;
	struct test t;

	(void)state;
	begin(&t, CONFIG(""));
	assert_int_equal(granted(&t), 1);
	request(&t, POLICY_NONE, true);
	store_tags(&t.s, t.ino, "personal");
	judge(&t, &at);
	assert_int_equal(at.kind, ZONE_DOMESTIC);
	assert_int_equal(at.asked.id, 0);
	placement_free(&at);
	assert_string_equal(listed(&t, &root, true), "1 superseded /public/a 2/2;");
	store_tags(&t.s, t.ino, NULL);
	assert_int_equal(request(&t, POLICY_AWAITING, false), 2);
	store_destroy(&t.s);
}

/* ---- counts -------------------------------------------------------------------------------------------------------
 */

static int keep_count(void *ctx, const struct rule *rule, const struct export_count *left)
{
	assert_string_equal(rule_name(rule), "counts");
	*(struct export_count *)ctx = *left;
	return 0;
}

static void counted(struct test *t, uint64_t files, uint64_t bytes)
{
	struct export_count left = { 0 };

	assert_int_equal(place_limits(t->s.place, keep_count, &left), 0);
	assert_int_equal(left.files, files);
	assert_int_equal(left.bytes, bytes);
}

static void count_file(struct test *t, const char *name, enum policy_reason reason)
{
	struct placement at;

	t->ino = store_write(&t->s, t->counted, name, "12345");
	judge(t, &at);
	assert_int_equal(at.reason, reason);
	assert_int_equal(at.state, reason == POLICY_STOPPED ? PLACEMENT_HELD : PLACEMENT_FREE);
	if (reason == POLICY_STOPPED)
		assert_int_equal(at.next_due_ns, month_ends_ns(clock_real_ns()));
	placement_free(&at);
}

static void test_counts(void **state)
{
	struct buf why = BUF_INIT;
	struct placement at;
	int64_t shift;
	struct test t;

	(void)state;
	begin(&t, CONFIG("warn-after = 2 files\nstop-after = 3 files, 1K\n"));
	counted(&t, 0, 0);
	count_file(&t, "a", POLICY_NONE);
	count_file(&t, "b", POLICY_NONE);
	counted(&t, 2, 10);
	/* judged again it has left already; its next content has not */
	judge(&t, &at);
	assert_int_equal(at.kind, ZONE_FOREIGN);
	placement_free(&at);
	counted(&t, 2, 10);
	assert_true(store_pwrite(&t.s, t.ino, "67", 2, 5) >= 0);
	judge(&t, &at);
	assert_int_equal(at.kind, ZONE_FOREIGN);
	placement_free(&at);
	counted(&t, 3, 17);
	count_file(&t, "c", POLICY_STOPPED);
	/* it comes home with a content that may not leave */
	assert_true(store_pwrite(&t.s, t.ino, "67", 2, 5) >= 0);
	judge(&t, &at);
	assert_int_equal(at.kind, ZONE_DOMESTIC);
	place_why(t.s.place, &at, &why);
	buf_u8(&why, 0);
	assert_non_null(strstr((char *)why.data, "3 files, 17 B, have left under rule counts in this month"));
	buf_free(&why);
	placement_free(&at);
	store_close(&t.s);
	store_open(&t.s);
	counted(&t, 3, 17);
	/* what stayed goes when the month is over, and the next begins at nothing */
	shift = month_ends_ns(clock_real_ns()) - clock_real_ns();
	clock_shift_real(shift);
	counted(&t, 0, 0);
	judge(&t, &at);
	assert_int_equal(at.kind, ZONE_FOREIGN);
	placement_free(&at);
	counted(&t, 1, 7);
	clock_shift_real(-shift);
	store_destroy(&t.s);
}

/* two judged before either was applied do not both take the last place */
static void test_last_place(void **state)
{
	struct placement one, two;
	struct inode *a, *b;
	struct test t;

	(void)state;
	begin(&t, CONFIG("stop-after = 12\n"));
	a = store_inode(&t.s, store_write(&t.s, t.counted, "a", "1234567"));
	b = store_inode(&t.s, store_write(&t.s, t.counted, "b", "1234567"));
	assert_int_equal(place_evaluate(t.s.place, a, &one), 0);
	assert_int_equal(place_evaluate(t.s.place, b, &two), 0);
	assert_true(one.counted && two.counted);
	assert_int_equal(place_apply(t.s.place, a, &one), 0);
	assert_int_equal(place_apply(t.s.place, b, &two), -ERR_STALE);
	counted(&t, 1, 7);
	placement_free(&one);
	placement_free(&two);
	store_put(&t.s, a);
	store_put(&t.s, b);
	store_destroy(&t.s);
}

/* what was abroad before the rule began to count is not counted, until it changes */
static void test_begins_to_count(void **state)
{
	struct placement at;
	struct test t;

	(void)state;
	begin(&t, CONFIG(""));
	t.ino = store_write(&t.s, t.counted, "a", "12345");
	judge(&t, &at);
	placement_free(&at);
	assert_int_equal(reload(&t, CONFIG("stop-after = 1 files\n")), 0);
	counted(&t, 0, 0);
	judge(&t, &at);
	assert_int_equal(at.kind, ZONE_FOREIGN);
	placement_free(&at);
	counted(&t, 0, 0);
	assert_true(store_pwrite(&t.s, t.ino, "6", 1, 5) >= 0);
	judge(&t, &at);
	placement_free(&at);
	counted(&t, 1, 6);
	assert_int_equal(reload(&t, CONFIG("stop-after = 2 files\n")), -ERR_HELD);
	assert_int_equal(reload(&t, CONFIG("")), -ERR_HELD);
	store_destroy(&t.s);
}

static void test_months(void **state)
{
	static const struct {
		int64_t now_s, began, ends_s;
	} rows[] = { { 0, 0, 2678400 }, { 2678399, 0, 2678400 }, { 2678400, 31, 5097600 },
		{ 1709164800, 19754, 1709251200 }, /* 2024-02-29 */
		{ 1735689599, 20058, 1735689600 },
		/* 2024-12-31 23:59:59 */ };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(month_began(rows[i].now_s * NS_PER_S), rows[i].began);
		assert_int_equal(month_ends_ns(rows[i].now_s * NS_PER_S), rows[i].ends_s * NS_PER_S);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who),
		cmocka_unit_test(test_owner_changes),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_survives),
		cmocka_unit_test(test_vote_syncs),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_withdraw),
		cmocka_unit_test(test_still),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_tightened),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_comes_home),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_last_place),
		cmocka_unit_test(test_begins_to_count),
		cmocka_unit_test(test_months),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
