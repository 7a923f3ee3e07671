/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

#define SLOW "slow"

const char *const step_names[STEPS] = { "write a", "write b", "tag a", "untag a", "tag /pub", "untag /pub",
	"mv /pub/a /hr/a", "mv /hr/a /pub/a", "mv /pub/b /pub/a", "ln /pub/a /hr/a", "rm /pub/a", "rm /hr/a",
	"create /pub/a", "cp a b", "cp b a", "reload", "copies", "agree 1", "agree 2", "agree 2 for a while", "refuse",
	"withdraw", "fsync a", "crash", "a moment", "a while", "far: all sent", "far: confirmed", "far: failed",
	"far: no answer, stored later", "near: confirmed", "near: failed" };

struct world w;
void (*world_report)(const char *what);

void wrong(const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	world_report(text);
}

const char *file_name(int i)
{
	return i == 0 ? "a" : "b";
}

int file_of(uint64_t ino)
{
	for (int i = 0; i < FILES; i++)
		if (w.now.files[i].exists && w.now.files[i].ino == ino)
			return i;
	return NOBODY;
}

void file_touched(struct file *file)
{
	file->touched_ns = w.racing ? w.began_ns : stage_now();
}

uint32_t file_flags(const struct file *file)
{
	struct inode *inode;
	uint32_t flags;

	assert_int_equal(meta_inode_get(core_meta(w.f.core), file->ino, &inode), 0);
	flags = inode->flags;
	meta_inode_put(core_meta(w.f.core), inode);
	return flags;
}

/* How each file's content begins: whose it is, and which. */
struct stamp {
	int content;
	unsigned version;
};

static bool stamp_read(const void *data, size_t len, struct stamp *out)
{
	char text[32] = "", name;

	memcpy(text, data, len < sizeof(text) ? len : sizeof(text) - 1);
	if (sscanf(text, "%c:%u", &name, &out->version) != 2)
		return false;
	out->content = name == 'b';
	return true;
}

bool file_is_content(int i, const void *data, size_t len)
{
	const struct file *file = &w.now.files[i];
	struct stamp stamp;

	return stamp_read(data, len, &stamp) && stamp.content == file->content && stamp.version == file->version;
}

unsigned file_version(int i)
{
	struct stamp stamp = { .content = w.now.files[i].content };
	char data[32] = "";

	assert_true(fixture_pread(&w.f, w.now.files[i].ino, data, sizeof(data), 0) >= 0);
	if (data[0] && !stamp_read(data, sizeof(data), &stamp))
		wrong("I6: %s has the content of no file", file_name(i));
	if (stamp.version && stamp.content != w.now.files[i].content)
		wrong("I6: %s has the content of %s", file_name(i), file_name(stamp.content));
	return stamp.version;
}

bool member_may_leave(const struct cloud_member *m, int64_t since_ns)
{
	int i = file_of(m->ino);
	struct stamp stamp;

	/* of a file that was deleted its rules say nothing any more */
	if (i == NOBODY || state_may_leave(&w.now, i))
		return true;
	/* what was agreed to may still be on its way when the next version is written, or when that ends */
	if (w.now.policy == APPROVE && !state_wants_home(&w.now, i) && stamp_read(m->plain, m->len, &stamp) &&
		state_approved(&w.now.files[i], stamp.content, stamp.version, since_ns))
		return true;
	for (int k = 0; k < FILES; k++)
		if (k != i && w.now.files[k].exists && state_may_leave(&w.now, k) &&
			file_is_content(k, m->plain, m->len))
			return true;
	return false;
}

/* ---- what is sent ---- */

struct same {
	const struct cloud_member *member;
	bool there;
};

static void look_same(void *ctx, const char *backend, const struct cloud_member *m)
{
	struct same *same = ctx;

	(void)backend;
	same->there |= m->ino == same->member->ino && m->len == same->member->len &&
		       memcmp(m->plain, same->member->plain, m->len) == 0;
}

/* A copy of what is there long since may be made at any time. */
static bool is_abroad(const struct cloud_member *m)
{
	struct same same = { m, false };

	cloud_each(FAR, look_same, &same);
	return same.there;
}

static void body_came(const struct cloud_put *put)
{
	if (put->side == NEAR)
		return;
	for (size_t k = 0; k < put->member_count; k++) {
		const struct cloud_member *m = &put->members[k];
		int i = file_of(m->ino);

		if (i == NOBODY)
			continue;
		if (!member_may_leave(m, put->began_ns))
			wrong("I1, I9: a byte of %s (%s%s) goes abroad", file_name(i),
				state_wants_home(&w.now, i) ? "placed at home" : "placed abroad",
				w.now.files[i].held ? ", held" : "");
		if (!w.racing && !put->sent && !is_abroad(m) && stage_now() - w.now.files[i].touched_ns < SETTLE_NS)
			wrong("%s goes abroad in its quiet period", file_name(i));
	}
}

/* ---- the store ---- */

void world_open(const struct scene *s)
{
	struct config *config;
	struct errmsg msg = { 0 };
	char *words;

	w.scene = s;
	cloud_begin(body_came);
	snprintf(w.f.dir, sizeof(w.f.dir), "%s/borderfs-placement-XXXXXX",
		getenv("TEST_TMP") ? getenv("TEST_TMP") : "/tmp");
	assert_non_null(mkdtemp(w.f.dir));
	snprintf(w.f.ini, sizeof(w.f.ini), "%s/test.ini", w.f.dir);
	store_write_rules(false, false);
	config = fixture_load(&w.f);
	if (core_create(config, &passphrase, 1, KDF_MINIMUM, 1000, 1000, &words, &msg) < 0)
		fail_msg("%s", errmsg_text(&msg, -1));
	secret_free_text(words);
	assert_int_equal(core_created(config, &msg), 0);
	config_put(config);
	store_open();
}

void world_close(void)
{
	cloud_dead(true);
	fixture_destroy(&w.f);
	cloud_dead(false);
}

/* ---- steps ---- */

static void fill(char *out, size_t len, int i, unsigned version)
{
	memset(out, 'a' + version % 26, len);
	snprintf(out, len, "%s:%u", file_name(i), version);
}

static void write_file(int i)
{
	struct file *file = &w.now.files[i];
	struct core_file *open;
	char data[FILE_BYTES];

	file->version = ++w.versions;
	file->content = i;
	fill(data, sizeof(data), i, file->version);
	assert_int_equal(core_file_open(w.f.core, file->ino, O_WRONLY, &open), 0);
	assert_int_equal(fixture_pwrite(&w.f, file->ino, data, sizeof(data), 0), sizeof(data));
	core_file_release(w.f.core, open);
	file_touched(file);
}

static void make_file(int i, int slot)
{
	struct core_file *open;
	struct stat st;

	assert_int_equal(
		core_file_create(w.f.core, &me, w.pub, slot == PUB_A ? "a" : "b", 0644, O_WRONLY, &open, &st), 0);
	w.now.files[i] = (struct file){ .ino = st.st_ino, .exists = true, .content = i };
	w.now.slots[slot] = i;
	state_inherit(&w.now, slot, stage_now());
	state_hold(&w.now);
	core_file_release(w.f.core, open);
	write_file(i);
}

static void set_tag(uint64_t ino, bool tag)
{
	if (tag)
		assert_int_equal(core_setxattr(w.f.core, ino, "user.xdg.tags", "personal", 8, 0), 0);
	else
		assert_int_equal(core_removexattr(w.f.core, ino, "user.xdg.tags"), 0);
}

static void tag_file(int i, bool tag)
{
	set_tag(w.now.files[i].ino, tag);
	w.now.files[i].tag = tag;
	file_touched(&w.now.files[i]);
}

static void move(int from, int to)
{
	static const struct {
		const uint64_t *dir;
		const char *name;
	} slots[] = { { &w.pub, "a" }, { &w.pub, "b" }, { &w.hr, "a" } };
	int file = w.now.slots[from], over = w.now.slots[to];

	assert_int_equal(
		core_rename(w.f.core, *slots[from].dir, slots[from].name, *slots[to].dir, slots[to].name, 0), 0);
	if (file == over)
		return;
	state_lose(&w.now, from, stage_now(), SETTLE_NS);
	w.now.slots[to] = file;
	if (over == NOBODY) {
		state_inherit(&w.now, to, stage_now());
	} else {
		state_give(&w.now.files[file], w.now.files[over].held, w.now.files[over].tag);
		w.now.lost[to].held = false;
	}
	if (over != NOBODY) {
		state_gone(&w.now, over);
		if (!w.now.files[over].exists)
			core_forget(w.f.core, w.now.files[over].ino);
	}
	file_touched(&w.now.files[file]);
}

static void unlink_slot(int slot)
{
	int i = w.now.slots[slot];

	assert_int_equal(core_unlink(w.f.core, slot == HR_A ? w.hr : w.pub, slot == PUB_B ? "b" : "a"), 0);
	state_lose(&w.now, slot, stage_now(), SETTLE_NS);
	state_gone(&w.now, i);
	if (!w.now.files[i].exists)
		core_forget(w.f.core, w.now.files[i].ino);
	else
		file_touched(&w.now.files[i]);
}

static void link_a(void)
{
	int i = w.now.slots[PUB_A];
	struct stat st;

	assert_int_equal(core_link(w.f.core, w.now.files[i].ino, w.hr, "a", &st), 0);
	w.now.slots[HR_A] = i;
	file_touched(&w.now.files[i]);
}

static void reload(bool closed, bool doubled)
{
	struct errmsg msg = { 0 };
	struct config *config;

	store_write_rules(closed, doubled);
	config = fixture_load(&w.f);
	if (core_reload(w.f.core, config, &msg) < 0)
		fail_msg("reload: %s", errmsg_text(&msg, -1));
	config_put(config);
	w.now.closed = closed;
	w.now.doubled = doubled;
}

static void copy(int from, int to)
{
	struct core_io io = { .kind = CORE_COPY, .ino = w.now.files[from].ino, .len = FILE_BYTES };
	struct file *file = &w.now.files[to];

	io.target_ino = file->ino;
	assert_int_equal(core_io_wait(w.f.core, &io), FILE_BYTES);
	file->content = w.now.files[from].content;
	file->version = w.now.files[from].version;
	file->synced = 0;
	state_give(file, w.now.files[from].held, false);
	file_touched(file);
}

/* What approvers of a are asked, or let it go by. */
static uint64_t request(void)
{
	struct inode *inode;
	struct where at;
	uint64_t id;

	if (w.now.policy != APPROVE || !w.now.files[0].exists)
		return 0;
	assert_int_equal(meta_inode_get(core_meta(w.f.core), w.now.files[0].ino, &inode), 0);
	assert_int_equal(transfer_where(core_transfer(w.f.core), inode, &at), 0);
	id = at.request;
	where_free(&at);
	meta_inode_put(core_meta(w.f.core), inode);
	return id;
}

/* As the daemon answers who votes. */
static void answer(const struct approval_result *result)
{
	if (!result->changed)
		return;
	transfer_revalidate(core_transfer(w.f.core), result->ino);
	transfer_judge(core_transfer(w.f.core), result->ino);
}

static const struct approver approvers[APPROVERS] = { { 1, NULL, 0, false, "one" }, { 3, NULL, 0, false, "three" } };

static void vote(int who, bool agree, int64_t for_ns)
{
	struct approval_vote v = { agree, "consent", INT64_MAX };
	struct file *file = &w.now.files[0];
	struct approval *a = &file->approval;
	struct approval_result result;
	struct errmsg msg = { 0 };
	int rc;

	if (for_ns != INT64_MAX)
		v.expires_ns = clock_real_ns() + for_ns;
	rc = approval_vote(core_place(w.f.core), request(), &approvers[who], &v, &result, &msg);
	/* the file is another than the one that was asked about, or was refused to go */
	if (rc < 0 && rc != -ERR_STALE && rc != -ERR_HELD)
		wrong("a vote is not taken: %s", errmsg_text(&msg, rc));
	errmsg_free(&msg);
	if (rc < 0)
		return;
	answer(&result);
	if (a->content != file->content || a->version != file->version)
		*a = (struct approval){ .content = file->content, .version = file->version };
	a->yes[who] = agree;
	a->until_ns[who] = for_ns == INT64_MAX ? INT64_MAX : stage_now() + for_ns;
	a->fresh |= 1u << who;
}

static void withdraw(void)
{
	struct approval_result result;
	struct errmsg msg = { 0 };
	int rc = approval_withdraw(core_place(w.f.core), request(), &approvers[0], "why", &result, &msg);

	if (rc < 0 && rc != -ERR_STALE)
		wrong("a withdrawal is not taken: %s", errmsg_text(&msg, rc));
	errmsg_free(&msg);
	if (rc < 0)
		return;
	answer(&result);
	w.now.files[0].approval = (struct approval){ 0 };
}

static void fsync_a(void)
{
	int i = w.now.slots[PUB_A] != NOBODY ? w.now.slots[PUB_A] : w.now.slots[HR_A];

	assert_int_equal(core_fsync(w.f.core, w.now.files[i].ino), 0);
	w.now.files[i].synced = w.now.files[i].version;
}

/* ---- a walk ---- */

void world_past(void)
{
	state_hold(&w.now);
	if (w.past_count == STATES_MAX)
		wrong("a walk of more than %d steps", STATES_MAX);
	w.past[w.past_count++] = w.now;
}

static void after_step(void)
{
	state_hold(&w.now);
	stage_settle();
	rest_see_exports();
	world_past();
	if (!store_saved())
		return;
	w.past_durable = w.past_count - 1;
	w.durable_hash = hash_seen();
}

void world_begin(enum begin how)
{
	w.now = (struct state){ .policy = w.scene->kind };
	for (int k = 0; k < SLOTS; k++)
		w.now.slots[k] = NOBODY;
	w.pub = fixture_mkdir(&w.f, META_ROOT_INO, "pub");
	w.hr = fixture_mkdir(&w.f, META_ROOT_INO, "hr");
	w.versions = w.crashes = 0;
	assert_int_equal(core_fsync(w.f.core, w.hr), 0);
	w.past_count = 0;
	after_step();
	make_file(0, PUB_A);
	make_file(1, PUB_B);
	after_step();
	if (how == WRITTEN)
		return;
	rest_wait();
	after_step();
	if (how == STORED)
		return;
	world_do(TAG_A);
	world_do(UNTAG_A);
	rest_wait();
	after_step();
}

static bool crossing(enum cloud_side side)
{
	return cloud_put_at(side) != NULL;
}

bool world_can(enum step step)
{
	const struct state *s = &w.now;

	switch (step) {
	case WRITE_A:
		return s->files[0].exists;
	case WRITE_B:
		return s->files[1].exists;
	case TAG_A:
		return s->files[0].exists && !s->files[0].tag;
	case UNTAG_A:
		return s->files[0].exists && s->files[0].tag;
	case TAG_DIR:
		return !s->dir_tag;
	case UNTAG_DIR:
		return s->dir_tag;
	case MOVE_HOME:
		return s->slots[PUB_A] != NOBODY && s->slots[HR_A] == NOBODY;
	case MOVE_OUT:
		return s->slots[HR_A] != NOBODY && s->slots[PUB_A] == NOBODY;
	case REPLACE:
		return s->slots[PUB_B] != NOBODY;
	case LINK:
		return s->slots[PUB_A] != NOBODY && s->slots[HR_A] == NOBODY;
	case UNLINK_PUB:
		return s->slots[PUB_A] != NOBODY;
	case UNLINK_HR:
		return s->slots[HR_A] != NOBODY;
	case CREATE:
		return s->slots[PUB_A] == NOBODY && (!s->files[0].exists || !s->files[1].exists);
	case COPY:
	case COPY_BACK:
		return w.scene->copies && s->files[0].exists && s->files[1].exists && s->files[0].version &&
		       s->files[1].version;
	case COPIES:
		return w.scene->copies;
	case AGREE_1:
	case AGREE_2:
	case AGREE_SOON:
	case REFUSE:
	case WITHDRAW:
		return request() != 0;
	case FSYNC:
		return s->slots[PUB_A] != NOBODY || s->slots[HR_A] != NOBODY;
	case FAR_SENT:
	case FAR_LATE:
		return crossing(FAR) && !cloud_put_at(FAR)->sent;
	case FAR_CONFIRMED:
	case FAR_FAILED:
		return crossing(FAR);
	case NEAR_CONFIRMED:
	case NEAR_FAILED:
		return crossing(NEAR);
	default:
		return true;
	}
}

static void do_step(enum step step)
{
	if (step < AGREE_1)
		w.now.files[0].approval.fresh = 0;
	switch (step) {
	case WRITE_A:
	case WRITE_B:
		write_file(step - WRITE_A);
		break;
	case TAG_A:
	case UNTAG_A:
		tag_file(0, step == TAG_A);
		break;
	case TAG_DIR:
	case UNTAG_DIR:
		set_tag(w.pub, step == TAG_DIR);
		w.now.dir_tag = step == TAG_DIR;
		break;
	case MOVE_HOME:
		move(PUB_A, HR_A);
		break;
	case MOVE_OUT:
		move(HR_A, PUB_A);
		break;
	case REPLACE:
		move(PUB_B, PUB_A);
		break;
	case LINK:
		link_a();
		break;
	case UNLINK_PUB:
	case UNLINK_HR:
		unlink_slot(step == UNLINK_PUB ? PUB_A : HR_A);
		break;
	case CREATE:
		make_file(w.now.files[0].exists, PUB_A);
		break;
	case RELOAD:
		reload(!w.now.closed, w.now.doubled);
		break;
	case COPIES:
		reload(w.now.closed, !w.now.doubled);
		break;
	case COPY:
	case COPY_BACK:
		copy(step == COPY_BACK, step == COPY);
		break;
	case AGREE_1:
	case REFUSE:
		vote(0, step == AGREE_1, INT64_MAX);
		break;
	case AGREE_2:
	case AGREE_SOON:
		vote(1, true, step == AGREE_2 ? INT64_MAX : SOON_NS);
		break;
	case WITHDRAW:
		withdraw();
		break;
	case FSYNC:
		fsync_a();
		break;
	case CRASH:
		store_crash();
		break;
	case TIME:
	case LONG:
		stage_advance(step == TIME ? MOMENT_NS : LONG_NS);
		cloud_come();
		break;
	case FAR_SENT:
		cloud_send(cloud_put_at(FAR));
		break;
	case FAR_CONFIRMED:
	case FAR_FAILED:
		cloud_say(cloud_put_at(FAR), step == FAR_CONFIRMED ? CLOUD_CONFIRM : CLOUD_FAIL);
		break;
	case FAR_LATE:
		cloud_say(cloud_put_at(FAR), CLOUD_LATE);
		break;
	case NEAR_CONFIRMED:
	case NEAR_FAILED:
		cloud_say(cloud_put_at(NEAR), step == NEAR_CONFIRMED ? CLOUD_CONFIRM : CLOUD_FAIL);
		break;
	default:
		abort();
	}
}

void world_do(enum step step)
{
	do_step(step);
	after_step();
}

bool world_do_in(enum step step, const char *thread, unsigned count, enum step other)
{
	bool stopped;

	w.racing = true;
	w.began_ns = stage_now();
	stage_interrupt(thread, count);
	do_step(step);
	stage_settle();
	if ((stopped = stage_interrupted()) && world_can(other)) {
		rest_see_exports();
		do_step(other);
	}
	stage_resume();
	stage_settle();
	w.racing = false;
	after_step();
	return stopped;
}

struct slow {
	enum step step;
	bool done;
};

static void *slow_main(void *arg)
{
	struct slow *slow = arg;

	pthread_setname_np(pthread_self(), SLOW);
	do_step(slow->step);
	slow->done = true;
	return NULL;
}

bool world_do_slowly(enum step step, unsigned count, enum step other)
{
	struct slow slow = { .step = step };
	pthread_t thread;
	bool stopped;

	w.racing = true;
	w.began_ns = stage_now();
	stage_interrupt(SLOW, count);
	assert_int_equal(pthread_create(&thread, NULL, slow_main, &slow), 0);
	stage_settle();
	if ((stopped = stage_interrupted()) && world_can(other))
		do_step(other);
	stage_resume();
	assert_int_equal(pthread_join(thread, NULL), 0);
	stage_settle();
	w.racing = false;
	after_step();
	return stopped;
}

static void clear(void)
{
	for (int k = 0; k < SLOTS; k++)
		if (w.now.slots[k] != NOBODY)
			unlink_slot(k);
	if (w.now.closed || w.now.doubled)
		reload(false, false);
	assert_int_equal(core_rmdir(w.f.core, META_ROOT_INO, "pub"), 0);
	assert_int_equal(core_rmdir(w.f.core, META_ROOT_INO, "hr"), 0);
	core_forget(w.f.core, w.pub);
	core_forget(w.f.core, w.hr);
}

void world_rest(void)
{
	rest_wait();
	rest_check();
	clear();
	rest_wait();
	if (cloud_objects(FAR) || cloud_objects(NEAR))
		wrong("objects are left of files that are gone");
}

void world_print(FILE *out)
{
	for (int i = 0; i < FILES; i++)
		fprintf(out, "  %s: %s%s%s, version %u\n", file_name(i), w.now.files[i].exists ? "there" : "gone",
			w.now.files[i].tag ? ", tagged" : "", w.now.files[i].held ? ", held" : "",
			w.now.files[i].version);
	fprintf(out, "  /pub/a %d, /pub/b %d, /hr/a %d (files); /pub %s, rules %s\n", w.now.slots[PUB_A],
		w.now.slots[PUB_B], w.now.slots[HR_A], w.now.dir_tag ? "tagged" : "plain",
		w.now.closed ? "closed" : "open");
}
