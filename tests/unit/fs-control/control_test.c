/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The operations against a fake store: everything of the lower rooms that they call is defined here. */
#include "fs/control/control.h"
#include "fs/control/plan.h"
#include "fs/control/report.h"
#include "fs/place/receipt.h"

#include "base/clock.h"
#include "fs/place/approval.h"
#include "tests/unit/base/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the fake store ------------------------------------------------------------------------------------------- */

#define ROOT  1
#define FILES 200 /* more than the walk's page, in one directory */

static char store[64], config_file[80];
static char zone_text[] = "domestic", name_text[] = "office", file_text[] = "/c.ini";
static struct config_zone zone = { .name = zone_text };
static struct config_zone *zone_list[] = { &zone };
static struct config_quota quota = { .name = name_text, .owner = zone_text, .group = true, .id = 9, .bytes_max = 50 };
static struct config_quota *quota_list[] = { &quota };
static struct config config = { .file = file_text,
	.name = name_text,
	.store = store,
	.home = &zone,
	.zones = zone_list,
	.zone_count = 1,
	.quotas = quota_list,
	.quota_count = 1 };

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	dev_t device;
	int syncs, sync_rc; /* transfer_sync: how often called, with what it ends; 1: only by being cancelled */
	uint64_t sync_ino;
	int64_t sync_deadline;
	bool cancelled, umounting;
	int plans, plan_rc;
	int reloads, reload_rc, mountpoint_rc;
	bool load_stuck; /* config_load does not come back */
	int loads, loaded;
	int findings;		/* of audit_verify */
	int moves;		/* how often the status of an order is still asked; 0: there is none */
	uint64_t head;		/* the newest one published */
	uint64_t where_missing; /* an inode that went away meanwhile */
} fake = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct core *const the_core = (struct core *)&fake;

struct config *core_config(struct core *c)
{
	(void)c;
	return &config;
}
void config_put(struct config *c)
{
	(void)c;
}
struct meta *core_meta(struct core *c)
{
	return (struct meta *)c;
}
struct cache *core_cache(struct core *c)
{
	return (struct cache *)c;
}
struct place *core_place(struct core *c)
{
	return (struct place *)c;
}
struct transfer *core_transfer(struct core *c)
{
	return (struct transfer *)c;
}
int core_failed(struct core *c)
{
	(void)c;
	return 0;
}
dev_t front_device(struct front *f)
{
	(void)f;
	return fake.device;
}
int meta_sync(struct meta *m)
{
	(void)m;
	return 0;
}
void meta_totals(struct meta *m, struct meta_usage *out)
{
	(void)m;
	*out = (struct meta_usage){ .inodes = 12, .bytes = 4096 };
}
void meta_quota_whole(struct meta *m, struct meta_usage *out)
{
	(void)m;
	*out = (struct meta_usage){ .inodes = 100 };
}
void meta_usage(struct meta *m, enum owner_kind kind, uint32_t id, struct meta_usage *out)
{
	(void)m;
	*out = (struct meta_usage){ .inodes = kind == OWNER_GROUP ? 7 : 0, .bytes = id };
}
uint64_t cache_evict(struct cache *c, uint64_t bytes)
{
	(void)c;
	return bytes == UINT64_MAX ? 4096 : 0;
}
void cache_status(struct cache *c, struct cache_status *s)
{
	(void)c;
	*s = (struct cache_status){ .bytes = 10, .bytes_dirty = 7, .pins_max = 50 };
}

void cache_pin(struct cache *c, struct inode *inode, bool pin)
{
	(void)c;
	inode->flags = pin ? INODE_PINNED : 0;
}

/* half of the cache has room for 50 */
bool cache_is_pinned(struct cache *c, struct inode *inode, uint64_t *bytes)
{
	(void)c;
	*bytes = inode->bytes;
	return inode->flags & INODE_PINNED;
}
struct config_zone *place_zone(struct place *p, const struct config *c, uint32_t id)
{
	(void)p, (void)c;
	return id == 1 ? &zone : NULL;
}
int place_explain(struct place *p, struct inode *i, bool json, struct buf *out)
{
	(void)p, (void)i;
	buf_str(out, json ? "{\"zone\":\"domestic\"}" : "zone domestic\n\xff");
	return 0;
}

static struct inode nodes[1000];

int64_t meta_dirty_bytes(struct meta *m, uint64_t ino)
{
	(void)m;
	return (int64_t)nodes[ino].bytes;
}

int meta_inode_get(struct meta *m, uint64_t ino, struct inode **out)
{
	(void)m;
	*out = NULL;
	if (ino >= COUNT(nodes) || ino == fake.where_missing)
		return -ENOENT;
	nodes[ino].ino = ino;
	nodes[ino].mode = ino == ROOT || ino == 2 || ino == 3 ? S_IFDIR : S_IFREG;
	*out = &nodes[ino];
	return 0;
}
void meta_inode_put(struct meta *m, struct inode *i)
{
	(void)m, (void)i;
}

static size_t put_entry(struct dirent_out *out, uint64_t id, uint64_t ino, uint8_t type, const char *name)
{
	*out = (struct dirent_out){ .id = id, .ino = ino, .type = type };
	snprintf(out->name, sizeof out->name, "%s", name);
	return 1;
}

/* 1: a (2), f (10), link (11), b (3), z (12); 2: FILES files from 100 on; 3: empty */
int meta_readdir(struct meta *m, uint64_t dir, uint64_t after, struct dirent_out *out, size_t max)
{
	static const struct {
		uint64_t ino;
		uint8_t type;
		const char *name;
	} root[] = { { 2, DT_DIR, "a" }, { 10, DT_REG, "f" }, { 11, DT_LNK, "link" }, { 3, DT_DIR, "b" },
		{ 12, DT_REG, "z\xff" } };
	size_t n = 0;
	char name[32];

	(void)m;
	for (uint64_t i = after; dir == ROOT && i < COUNT(root) && n < max; i++)
		n += put_entry(&out[n], i + 1, root[i].ino, root[i].type, root[i].name);
	for (uint64_t i = after; dir == 2 && i < FILES && n < max; i++) {
		snprintf(name, sizeof name, "g%d", (int)i);
		n += put_entry(&out[n], i + 1, 100 + i, DT_REG, name);
	}
	return dir == 3 ? -ENOENT : (int)n;
}

int transfer_where(struct transfer *t, struct inode *inode, struct where *w)
{
	(void)t;
	*w = (struct where){ .zone = zone_text, .size = inode->ino };
	return 0;
}
void where_free(struct where *w)
{
	(void)w;
}
const char *where_state_name(enum where_state s)
{
	(void)s;
	return "stored";
}
int transfer_status(struct transfer *t, struct transfer_status *s)
{
	(void)t;
	*s = (struct transfer_status){ .files_waiting = 3 };
	return 0;
}
void transfer_status_free(struct transfer_status *s)
{
	(void)s;
}
void transfer_wake(struct transfer *t)
{
	(void)t;
	pthread_mutex_lock(&fake.lock);
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
}
int transfer_sync(struct transfer *t, uint64_t ino, int64_t deadline, const volatile bool *cancel, struct errmsg *msg)
{
	int rc;

	(void)t;
	pthread_mutex_lock(&fake.lock);
	fake.syncs++;
	fake.sync_ino = ino;
	fake.sync_deadline = deadline;
	pthread_cond_broadcast(&fake.changed);
	while (fake.sync_rc == 1 && deadline && !__atomic_load_n(cancel, __ATOMIC_SEQ_CST))
		pthread_cond_wait(&fake.changed, &fake.lock);
	rc = fake.sync_rc == 1 ? deadline ? -ECANCELED : -ETIMEDOUT : fake.sync_rc;
	fake.cancelled |= rc == -ECANCELED;
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
	return rc < 0 ? errmsg_set(msg, rc, "2 files are missing") : 0;
}
int config_load(struct config **out, const char *file, struct config_messages *msgs)
{
	(void)msgs;
	assert_string_equal(file, "/c.ini");
	pthread_mutex_lock(&fake.lock);
	fake.loads++;
	pthread_cond_broadcast(&fake.changed);
	while (fake.load_stuck)
		pthread_cond_wait(&fake.changed, &fake.lock);
	fake.loaded++;
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
	*out = &config;
	return 0;
}
int config_check_mountpoint(const struct config *c, const char *directory, struct errmsg *msg)
{
	assert_ptr_equal(c, &config);
	assert_string_equal(directory, "/mnt");
	return fake.mountpoint_rc < 0 ? errmsg_set(msg, fake.mountpoint_rc, "stored in itself") : 0;
}
void config_messages_free(struct config_messages *m)
{
	(void)m;
}
int core_reload(struct core *c, struct config *new, struct errmsg *msg)
{
	(void)c;
	assert_ptr_equal(new, &config);
	fake.reloads++;
	return fake.reload_rc < 0 ? errmsg_set(msg, fake.reload_rc, "looser than before") : 0;
}

/* the audit log: three lines, of which 2 speaks of the root, and 3 is no JSON */
void core_audit(struct core *c, struct audit_log *log)
{
	(void)c;
	*log = (struct audit_log){ 0 };
}
const char *audit_kind_name(unsigned kind)
{
	return kind == 1 ? "placement" : kind == 2 ? "export" : NULL;
}
unsigned audit_kind(const char *name)
{
	return !strcmp(name, "placement") ? 1 : !strcmp(name, "export") ? 2 : 0;
}
int audit_walk(const struct audit_log *log, uint64_t after, int (*fn)(void *, const struct audit_line *), void *ctx)
{
	static const char *const texts[] = { "{\"seq\":1,\"facts\":{\"from\":1,\"to\":9,\"backend\":4}}",
		"{\"seq\":2,\"facts\":{\"ino\":1}}", "{\"seq\":3,\"fa\xff" };
	int rc = 0;

	(void)log;
	assert_int_equal(after, 0);
	for (unsigned i = 0; i < 3 && rc == 0; i++) {
		struct audit_line l = { .seq = i + 1, .ino = i == 1 ? ROOT : 0, .kind = i + 1 };

		l.time.tv_sec = 1000000000 + 100 * (time_t)i;
		l.time.tv_nsec = 5;
		l.text = texts[i];
		l.len = strlen(texts[i]);
		rc = fn(ctx, &l);
	}
	return rc;
}
const char *audit_wrong_name(enum audit_wrong w)
{
	return w == AUDIT_MISSING ? "missing" : "truncated";
}
int audit_verify(const struct audit_log *log, int (*found)(void *, const struct audit_finding *), void *ctx,
	struct audit_verdict *v)
{
	struct audit_finding f = { AUDIT_MISSING, 4, 5, "lines 4 to 5 are missing" };

	(void)log;
	*v = (struct audit_verdict){ .lines = 7, .last = 9, .findings = (uint64_t)fake.findings, .mac = { 0xab } };
	for (int i = 0; i < fake.findings; i++)
		assert_int_equal(found(ctx, &f), 0);
	return 0;
}
int transfer_newest_head(struct transfer *t, struct audit_head *head, struct audit_heads *seen)
{
	(void)t;
	*head = (struct audit_head){ .seq = fake.head, .time_s = 1000000000 };
	*seen = (struct audit_heads){ .asked = 2, .bad = 1, .newest = 5 };
	return fake.head ? 0 : -ERR_UNREACHABLE;
}
int audit_compare(const struct audit_log *log, const struct audit_head *head, struct audit_verdict *v,
	int (*found)(void *, const struct audit_finding *), void *ctx)
{
	struct audit_finding f = { AUDIT_TRUNCATED, 10, head->seq, "lines 10 to 12 are missing" };

	(void)log;
	v->findings++;
	return found(ctx, &f);
}
static struct config_backend old_cloud = { .zone = &zone }, new_cloud = { .zone = &zone };
int transfer_move_plan(
	struct transfer *t, const char *from, const char *to, struct transfer_move_plan *p, struct errmsg *msg)
{
	(void)t;
	if (strcmp(from, "old") != 0)
		return errmsg_set(msg, -ERR_HELD, "rule 'hr' places files there");
	old_cloud.name = zone_text;
	new_cloud.name = name_text;
	*p = (struct transfer_move_plan){ .config = &config,
		.from = &old_cloud,
		.to = to ? &new_cloud : NULL,
		.there = { 3, 2, 4096 },
		.limit_bytes_per_s = 7,
		.others = strdup("new") };
	return 0;
}
void transfer_move_plan_free(struct transfer_move_plan *p)
{
	free(p->others);
}
int transfer_move_begin(
	struct transfer *t, const char *from, const char *to, uint32_t uid, int64_t deadline_s, struct errmsg *msg)
{
	(void)t, (void)msg;
	assert_string_equal(from, "old");
	assert_null(to);
	assert_int_equal(uid, geteuid());
	assert_int_equal(deadline_s, 1000000000000);
	fake.moves = 3;
	return 0;
}
int transfer_move_cancel(struct transfer *t, const char *from, struct errmsg *msg)
{
	(void)t;
	return errmsg_set(msg, -ENOENT, "no order of %s", from ? from : "any");
}
/* under way so many times that it is asked */
int transfer_move_status(struct transfer *t, struct transfer_move *out)
{
	(void)t;
	*out = (struct transfer_move){
		.order = { .id = 4, .from = 1, .deadline_s = 1000000000000 }, .left = { 0, 2, 300 }, .seconds_left = -1
	};
	if (!fake.moves)
		return -ENOENT;
	out->order.state = --fake.moves > 1 ? MOVE_UNDER_WAY : MOVE_DONE;
	out->from = strdup("old");
	if (out->order.state == MOVE_DONE)
		out->order.receipt = strdup("borderfs receipt 1");
	return 0;
}
void transfer_move_free(struct transfer_move *m)
{
	free(m->from);
	free(m->order.receipt);
}
int receipt_key(struct keyring *keyring, char out[RECEIPT_KEY_TEXT])
{
	(void)keyring;
	strcpy(out, "KEY=");
	return 0;
}
int report_make(struct core *core, int (*emit)(void *ctx, json_t *), void *ctx)
{
	assert_ptr_equal(core, the_core);
	return emit(ctx, json_pack("{s:s}", "section", "total"));
}
int core_allows(struct core *c, const struct config *new, struct errmsg *msg)
{
	assert_ptr_equal(c, the_core);
	assert_ptr_equal(new, &config);
	return fake.reload_rc < 0 ? errmsg_set(msg, fake.reload_rc, "looser than before") : 0;
}
int plan_make(const struct plan_ask *a, json_t *totals)
{
	int rc;

	assert_ptr_equal(a->core, the_core);
	assert_ptr_equal(a->config, &config);
	fake.plans++;
	json_object_set_new(totals, "files", json_integer(7));
	if (fake.plan_rc == 0 && (rc = a->alive(a->ctx)) < 0)
		return rc;
	return fake.plan_rc < 0 ? fake.plan_rc : a->emit(a->ctx, json_pack("{s:s}", "section", "move"));
}
int meta_path(struct meta *m, uint64_t ino, struct buf *out)
{
	(void)m;
	assert_int_equal(ino, ROOT);
	buf_str(out, "/");
	return 0;
}
struct meta_row {
	int64_t id;
	const char *name;
};
int64_t meta_row_i64(struct meta_row *row, int column)
{
	assert_int_equal(column, 0);
	return row->id;
}
const char *meta_row_text(struct meta_row *row, int column)
{
	assert_int_equal(column, 1);
	return row->name;
}
int meta_select(struct meta *m, const char *sql, int (*fn)(void *, struct meta_row *), void *ctx, const char *f, ...)
{
	struct meta_row row = { strstr(sql, "zone") ? 1 : 4, strstr(sql, "zone") ? "domestic" : "near" };

	(void)m, (void)f;
	return fn(ctx, &row);
}

/* ---- exports: what was said to which request; 13 is refused, 14 has changed ---- */

int64_t approval_waiting(struct place *p)
{
	(void)p;
	return 3;
}
int place_limits(struct place *p, int (*fn)(void *, const struct rule *, const struct export_count *), void *ctx)
{
	(void)p;
	return fn(ctx, NULL, &(struct export_count){ 7, 4096 });
}
const char *rule_name(const struct rule *r)
{
	(void)r;
	return "out";
}
static const struct rule_limit warn_after = { 5, 0 }, stop_after = { 10, 8192 };
const struct rule_limit *rule_warn_after(const struct rule *r)
{
	(void)r;
	return &warn_after;
}
const struct rule_limit *rule_stop_after(const struct rule *r)
{
	(void)r;
	return &stop_after;
}
char *place_zone_name(struct place *p, uint32_t id)
{
	(void)p;
	return id == 1 ? strdup("domestic") : NULL;
}
bool approval_any(struct place *p, const struct approver *a)
{
	(void)p, (void)a;
	return false;
}
int approval_list(struct place *p, const struct approver *by, bool over, int (*fn)(void *, const struct approval_row *),
	void *ctx)
{
	static const struct approval_said said[] = { { 7, "ann", "contract", true, 5, 0 },
		{ 8, "bob", "no", false, 6, 9 } };
	struct approval_row row = { .id = 12,
		.version = 3,
		.size = 99,
		.state = over ? "expired" : "open",
		.path = "/a\xff",
		.path_len = 3,
		.from_zone_id = 1,
		.to_zone_id = 2,
		.owner = 4000000000,
		.asked_s = 1,
		.turned_s = 2,
		.needed = 2,
		.said = said,
		.said_count = 2 };

	(void)p;
	assert_int_equal(by->uid, getuid());
	assert_true(by->owner);
	assert_true(by->group_count > 0 && by->groups[by->group_count - 1] == getgid());
	return fn(ctx, &row);
}
static struct {
	char reason[32];
	bool agree, withdrawn;
	int64_t expires_ns;
	uint64_t revalidated, judged;
} said;
static int said_about(uint64_t id, struct approval_result *out, struct errmsg *msg)
{
	*out = (struct approval_result){
		.ino = 100 + id, .votes = 1, .needed = 2, .granted = id == 12, .changed = id == 12
	};
	if (id == 13)
		return errmsg_set(msg, -ERR_HELD, "not yours");
	return id == 14 ? -ERR_STALE : 0;
}
int approval_vote(struct place *p, uint64_t id, const struct approver *by, const struct approval_vote *v,
	struct approval_result *out, struct errmsg *msg)
{
	(void)p, (void)by;
	snprintf(said.reason, sizeof said.reason, "%s", v->reason);
	said.agree = v->agree;
	said.expires_ns = v->expires_ns;
	said.withdrawn = false;
	return said_about(id, out, msg);
}
int approval_withdraw(struct place *p, uint64_t id, const struct approver *by, const char *reason,
	struct approval_result *out, struct errmsg *msg)
{
	(void)p, (void)by;
	snprintf(said.reason, sizeof said.reason, "%s", reason);
	said.withdrawn = true;
	return said_about(id, out, msg);
}
void transfer_revalidate(struct transfer *t, uint64_t ino)
{
	(void)t;
	assert_int_equal(said.judged, 0); /* cut first */
	said.revalidated = ino;
}
void transfer_judge(struct transfer *t, uint64_t ino)
{
	(void)t;
	said.judged = ino;
}

/* ---- asking --------------------------------------------------------------------------------------------------- */

static struct control *control;
static struct json_t *lines;

static int setup(void **state)
{
	struct control_options o = { .core = the_core, .mountpoint = "/mnt" };

	(void)state;
	snprintf(store, sizeof store, "/tmp/borderfs-control-XXXXXX");
	assert_non_null(mkdtemp(store));
	snprintf(config_file, sizeof config_file, "/c.ini");
	cond_init_mono(&fake.changed);
	assert_int_equal(control_start(&control, &o, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	control_stop(control, 0, NULL);
	assert_int_equal(rmdir(store), 0);
	pthread_cond_destroy(&fake.changed);
	return 0;
}

static int keep_line(void *ctx, json_t *line)
{
	(void)ctx;
	json_array_append(lines, line);
	return 0;
}

/* the last line; the others are in lines */
static json_t *ask(const char *op, json_t *args, int fd)
{
	const struct control_at at = { config_file, store, NULL };
	struct errmsg msg = { 0 };
	json_t *last;

	json_decref(lines);
	lines = json_array();
	assert_int_equal(control_ask(&at, op, args, fd, keep_line, NULL, &last, &msg), 0);
	assert_null(msg.text);
	return last;
}

static int status_of(json_t *last)
{
	int status = (int)json_integer_value(json_object_get(last, "status"));

	json_decref(last);
	return status;
}

/* A descriptor on our root: proc's has the inode number 1 too, and its device becomes ours. */
static int own_fd(void)
{
	int fd = open("/proc", O_PATH | O_CLOEXEC); /* the root of proc is inode 1 */
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_ino, ROOT);
	fake.device = st.st_dev;
	return fd;
}

static void test_status(void **state)
{
	json_t *last = ask("status", NULL, -1), *usage = json_object_get(last, "usage");
	json_t *quotas = json_object_get(last, "quotas");

	(void)state;
	assert_int_equal(json_integer_value(json_object_get(usage, "inodes")), 12);
	assert_int_equal(json_integer_value(json_object_get(usage, "inodes_max")), 100);
	assert_int_equal(json_array_size(quotas), 1);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(quotas, 0), "inodes")), 7);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(quotas, 0), "bytes")), 9);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(quotas, 0), "bytes_max")), 50);
	assert_string_equal(json_string_value(json_object_get(last, "name")), "office");
	assert_int_equal(json_integer_value(json_object_get(last, "pid")), getpid());
	assert_true(json_is_null(json_object_get(last, "failed")));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(last, "waiting"), "files")), 3);
	assert_int_equal(status_of(last), 0);
}

static void test_cache_drop(void **state)
{
	json_t *last = ask("cache-drop", NULL, -1);

	(void)state;
	assert_int_equal(json_integer_value(json_object_get(last, "bytes_dropped")), 4096);
	assert_int_equal(json_integer_value(json_object_get(last, "bytes_dirty")), 7);
	assert_int_equal(status_of(last), 0);
}

/* of a directory all below, or, where that is too much, nothing */
static void test_cache_pin(void **state)
{
	int fd = own_fd();
	json_t *last;

	(void)state;
	nodes[10].bytes = 51;
	last = ask("cache-pin", json_pack("{s:b}", "pin", 1), fd);
	assert_non_null(strstr(json_string_value(json_object_get(last, "message")),
		"nothing was pinned: these files have 51 B and those pinned before 0 B, and half of the cache, 50 B,"));
	assert_int_equal(status_of(last), 1);
	assert_int_equal(nodes[11].flags, 0);
	nodes[10].bytes = 50;
	for (int pin = 1; pin >= 0; pin--) {
		assert_int_equal(status_of(ask("cache-pin", json_pack("{s:b}", "pin", pin), fd)), 0);
		assert_int_equal(json_integer_value(json_object_get(json_array_get(lines, 0), "files")), FILES + 2);
		assert_int_equal(json_integer_value(json_object_get(json_array_get(lines, 0), "bytes")), 50);
		assert_int_equal(nodes[10].flags, pin ? INODE_PINNED : 0);
		assert_int_equal(nodes[FILES + 99].flags, pin ? INODE_PINNED : 0);
		assert_int_equal(nodes[2].flags, 0);
	}
	assert_int_equal(status_of(ask("cache-pin", json_pack("{s:b}", "pin", 0), fd)), 0);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(lines, 0), "files")), 0);
	nodes[10].bytes = 0;
	close(fd);
}

static void test_cache_show(void **state)
{
	(void)state;
	assert_int_equal(status_of(ask("cache-show", NULL, -1)), 0);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(lines, 0), "bytes")), 10);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(lines, 0), "pins_max")), 50);
}

static void test_other_mount(void **state)
{
	int fd = own_fd();
	json_t *last;

	(void)state;
	fake.device = 0;
	last = ask("where", NULL, fd);
	assert_string_equal(
		json_string_value(json_object_get(last, "message")), "the path does not lie in the mount at /mnt");
	assert_int_equal(status_of(last), 1);
	assert_int_equal(json_array_size(lines), 0);
	close(fd);
}

static void test_where(void **state)
{
	int fd = own_fd();

	(void)state;
	assert_int_equal(status_of(ask("where", NULL, fd)), 0);
	assert_int_equal(json_array_size(lines), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(lines, 0), "path")), "");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(lines, 0), "size")), ROOT);
	close(fd);
}

static const char *path_at(size_t i)
{
	return json_string_value(json_object_get(json_array_get(lines, i), "path"));
}

static void test_where_below(void **state)
{
	int fd = own_fd();

	(void)state;
	assert_int_equal(status_of(ask("where", json_pack("{s:b}", "recursive", 1), fd)), 0);
	assert_int_equal(json_array_size(lines), FILES + 2);
	assert_string_equal(path_at(0), "a/g0");
	assert_string_equal(path_at(FILES - 1), "a/g199");
	assert_string_equal(path_at(FILES), "f");
	assert_string_equal(path_at(FILES + 1), "z\\xff");
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(lines, FILES + 1), "path_base64")), "ev8=");
	fake.where_missing = 150;
	assert_int_equal(status_of(ask("where", json_pack("{s:b}", "recursive", 1), fd)), 0);
	assert_int_equal(json_array_size(lines), FILES + 1);
	fake.where_missing = 0;
	close(fd);
}

static void test_explain(void **state)
{
	int fd = own_fd();

	(void)state;
	assert_int_equal(status_of(ask("explain", json_pack("{s:b}", "json", 1), fd)), 0);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(json_array_get(lines, 0), "explain"), "zone")),
		"domestic");
	assert_int_equal(status_of(ask("explain", NULL, fd)), 0);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(lines, 0), "text")), "zone domestic\n\\xff");
	close(fd);
}

static void test_sync(void **state)
{
	int64_t before = clock_mono_ns();
	int fd = own_fd();
	json_t *last;

	(void)state;
	fake.sync_rc = 0;
	assert_int_equal(status_of(ask("sync", NULL, -1)), 0);
	assert_int_equal(fake.sync_ino, 0);
	assert_true(fake.sync_deadline == INT64_MAX);
	assert_int_equal(status_of(ask("sync-path", NULL, fd)), 0);
	assert_int_equal(fake.sync_ino, 0); /* the root is everything */
	fake.sync_rc = -ETIMEDOUT;
	last = ask("sync", json_pack("{s:I}", "timeout_ns", (json_int_t)NS_PER_S), -1);
	assert_string_equal(json_string_value(json_object_get(last, "message")), "2 files are missing");
	assert_int_equal(status_of(last), 4);
	assert_true(fake.sync_deadline >= before + NS_PER_S && fake.sync_deadline < before + 60 * NS_PER_S);
	fake.sync_rc = -EIO;
	assert_int_equal(status_of(ask("sync", NULL, -1)), 1);
	fake.sync_rc = 0;
	close(fd);
}

static int interrupt(void *ctx, json_t *line)
{
	(void)ctx;
	assert_int_equal(json_integer_value(json_object_get(json_object_get(line, "waiting"), "files")), 3);
	return -EINTR;
}

/* the asker hangs up while it waits: after the first line of progress */
static void test_sync_hangup(void **state)
{
	const struct control_at at = { config_file, store, NULL };
	int64_t deadline = clock_mono_ns() + 20 * NS_PER_S;
	json_t *last;

	(void)state;
	fake.cancelled = false;
	fake.sync_rc = 1;
	assert_int_equal(
		control_ask(&at, "sync", json_pack("{s:b}", "progress", 1), -1, interrupt, NULL, &last, NULL), -EINTR);
	assert_null(last);
	pthread_mutex_lock(&fake.lock);
	while (!fake.cancelled)
		assert_int_equal(cond_wait_until(&fake.changed, &fake.lock, deadline), 0);
	fake.sync_rc = 0;
	pthread_mutex_unlock(&fake.lock);
}

static void test_reload(void **state)
{
	json_t *last;

	(void)state;
	assert_int_equal(status_of(ask("reload", NULL, -1)), 0);
	fake.reload_rc = -ERR_HELD;
	last = ask("reload", NULL, -1);
	assert_string_equal(json_string_value(json_object_get(last, "message")), "looser than before");
	assert_int_equal(status_of(last), 3);
	assert_int_equal(fake.reloads, 2);
	fake.reload_rc = 0;
	fake.mountpoint_rc = -ERR_CONFIG;
	last = ask("reload", NULL, -1);
	assert_string_equal(json_string_value(json_object_get(last, "message")), "stored in itself");
	assert_int_equal(status_of(last), 1);
	assert_int_equal(fake.reloads, 2);
	fake.mountpoint_rc = 0;
}

static void wait_for(const int *what, int count)
{
	int64_t deadline = clock_mono_ns() + 20 * NS_PER_S;

	pthread_mutex_lock(&fake.lock);
	while (*what < count)
		assert_int_equal(cond_wait_until(&fake.changed, &fake.lock, deadline), 0);
	pthread_mutex_unlock(&fake.lock);
}

static void set_stuck(bool stuck)
{
	pthread_mutex_lock(&fake.lock);
	fake.load_stuck = stuck;
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
}

static struct control_reload *begin_stuck(void)
{
	int before = fake.loads;
	struct control_reload *r;

	set_stuck(true);
	assert_int_equal(control_reload_begin(&r, the_core, "/mnt"), 0);
	wait_for(&fake.loads, before + 1);
	return r;
}

static void wait_read(const struct control_reload *r)
{
	struct pollfd p = { .fd = control_reload_fd(r), .events = POLLIN };

	assert_int_equal(poll(&p, 1, 20000), 1);
}

/* what was read earlier never comes after what was read later */
static void test_reload_order(void **state)
{
	struct control_reload *first = begin_stuck(), *second;
	struct config_messages msgs = { 0 };
	int before = fake.reloads;

	(void)state;
	set_stuck(false);
	wait_read(first);
	assert_int_equal(control_reload_begin(&second, the_core, "/mnt"), 0);
	wait_read(second);
	assert_int_equal(control_reload_end(second, &msgs, NULL), 0);
	assert_int_equal(fake.reloads, before + 1);
	assert_int_equal(control_reload_end(first, &msgs, NULL), 0);
	assert_int_equal(fake.reloads, before + 1);
	/* one that was refused is in nobody's way */
	assert_int_equal(control_reload_begin(&first, the_core, "/mnt"), 0);
	wait_read(first);
	assert_int_equal(control_reload_begin(&second, the_core, "/mnt"), 0);
	wait_read(second);
	fake.reload_rc = -ERR_HELD;
	assert_int_equal(control_reload_end(second, &msgs, NULL), -ERR_HELD);
	fake.reload_rc = 0;
	assert_int_equal(control_reload_end(first, &msgs, NULL), 0);
	assert_int_equal(fake.reloads, before + 3);
}

static void test_reload_given_up(void **state)
{
	struct control_reload *r = begin_stuck();
	struct config_messages msgs = { 0 };
	int before = fake.reloads, loaded = fake.loaded;

	(void)state;
	assert_int_equal(control_reload_end(r, &msgs, NULL), -ERR_STOPPED);
	set_stuck(false);
	wait_for(&fake.loaded, loaded + 1);
	assert_int_equal(fake.reloads, before);
}

static void *ask_reload(void *arg)
{
	const struct control_at at = { config_file, store, NULL };

	assert_int_equal(control_ask(&at, "reload", NULL, -1, NULL, NULL, arg, NULL), 0);
	return NULL;
}

/* a configuration on a disk that does not answer holds up nobody but who asked for it */
static void test_reload_stuck(void **state)
{
	struct control_options o = { .core = the_core, .mountpoint = "/mnt" };
	int loads = fake.loads, loaded = fake.loaded;
	json_t *last = NULL;
	pthread_t asker;

	(void)state;
	set_stuck(true);
	assert_int_equal(pthread_create(&asker, NULL, ask_reload, &last), 0);
	wait_for(&fake.loads, loads + 1);
	assert_int_equal(status_of(ask("status", NULL, -1)), 0);
	control_stop(control, 0, NULL);
	pthread_join(asker, NULL);
	assert_string_equal(json_string_value(json_object_get(last, "error")), "STOPPED");
	json_decref(last);
	set_stuck(false);
	wait_for(&fake.loaded, loaded + 1);
	assert_int_equal(control_start(&control, &o, NULL), 0);
}

struct umounter {
	pthread_t thread;
	json_t *last;
};

static int note_umount(void *ctx, json_t *line)
{
	(void)ctx;
	assert_int_equal(json_integer_value(json_object_get(line, "pid")), getpid());
	pthread_mutex_lock(&fake.lock);
	fake.umounting = true;
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
	return 0;
}

static void *ask_umount(void *arg)
{
	struct umounter *u = arg;
	const struct control_at at = { config_file, store, NULL };

	control_ask(&at, "umount", NULL, -1, note_umount, NULL, &u->last, NULL);
	return NULL;
}

/* the control room ends as in the daemon */
static void test_umount(void **state)
{
	int64_t deadline = clock_mono_ns() + 20 * NS_PER_S;
	struct control_options o = { .core = the_core, .mountpoint = "/mnt" };
	struct umounter u = { 0 };

	(void)state;
	assert_int_equal(pthread_create(&u.thread, NULL, ask_umount, &u), 0);
	pthread_mutex_lock(&fake.lock);
	while (!fake.umounting)
		assert_int_equal(cond_wait_until(&fake.changed, &fake.lock, deadline), 0);
	pthread_mutex_unlock(&fake.lock);
	control_drain(control);
	control_stop(control, -EIO, "the disk is gone");
	pthread_join(u.thread, NULL);
	assert_string_equal(json_string_value(json_object_get(u.last, "message")), "the disk is gone");
	json_decref(u.last);
	assert_int_equal(control_start(&control, &o, NULL), 0);
}

/* the numbers of the lines in the answer */
static const char *shown(json_t *query, int fd)
{
	static char out[64];
	json_t *line;
	size_t i;

	*out = 0;
	assert_int_equal(status_of(ask(fd < 0 ? "audit-show" : "audit-show-path", query, fd)), 0);
	json_array_foreach(lines, i, line) snprintf(out + strlen(out), sizeof out - strlen(out), "%lld ",
		(long long)json_integer_value(json_object_get(line, "seq")));
	return out;
}

static void line_is(size_t i, const char *wanted)
{
	char *text = json_dumps(json_array_get(lines, i), JSON_COMPACT);

	assert_string_equal(text, wanted);
	free(text);
}

static void test_audit_show(void **state)
{
	int fd = own_fd();

	(void)state;
	assert_string_equal(shown(NULL, -1), "1 2 3 ");
	line_is(0,
		"{\"seq\":1,\"time\":\"2001-09-09T01:46:40.000000005Z\",\"kind\":\"placement\",\"facts\":{\"from\":1,"
		"\"to\":9,\"backend\":4},\"names\":{\"from\":\"domestic\",\"backend\":\"near\"}}");
	line_is(1,
		"{\"seq\":2,\"time\":\"2001-09-09T01:48:20.000000005Z\",\"kind\":\"export\",\"path\":\"/\",\"facts\":{"
		"\"ino\":1},\"names\":{}}");
	line_is(2, "{\"seq\":3,\"time\":\"2001-09-09T01:50:00.000000005Z\",\"kind\":null,\"facts\":null,\"text\":"
		   "\"{\\\"seq\\\":3,\\\"fa\\\\xff\",\"text_base64\":\"eyJzZXEiOjMsImZh/w==\",\"names\":{}}");
	assert_string_equal(shown(json_pack("{s:s}", "kind", "export"), -1), "2 ");
	assert_string_equal(shown(json_pack("{s:I}", "since_ns", (json_int_t)1000000100000000005), -1), "2 3 ");
	assert_string_equal(shown(json_pack("{s:I}", "until_ns", (json_int_t)1000000100000000004), -1), "1 ");
	assert_string_equal(shown(NULL, fd), "2 ");
	assert_int_equal(status_of(ask("audit-show", json_pack("{s:s}", "kind", "nonsense"), -1)), 1);
	close(fd);
}

static void test_audit_verify(void **state)
{
	json_t *last;

	(void)state;
	last = ask("audit-verify", NULL, -1);
	assert_int_equal(json_array_size(lines), 0);
	assert_int_equal(json_integer_value(json_object_get(last, "lines")), 7);
	assert_int_equal(json_integer_value(json_object_get(last, "last")), 9);
	assert_memory_equal(json_string_value(json_object_get(last, "mac")), "ab00", 4);
	assert_int_equal(status_of(last), 0);
	fake.findings = 2;
	last = ask("audit-verify", NULL, -1);
	assert_non_null(strstr(json_string_value(json_object_get(last, "message")), "(findings: 2)"));
	assert_int_equal(json_integer_value(json_object_get(last, "lines")), 7);
	assert_int_equal(status_of(last), 1);
	assert_int_equal(json_array_size(lines), 2);
	line_is(1, "{\"finding\":\"missing\",\"first\":4,\"last\":5,\"text\":\"lines 4 to 5 are missing\"}");
	fake.findings = 0;
	fake.head = 12;
	last = ask("audit-verify", NULL, -1);
	assert_int_equal(json_array_size(lines), 1);
	assert_int_equal(json_integer_value(json_object_get(last, "asked")), 2);
	assert_int_equal(json_integer_value(json_object_get(last, "bad_heads")), 1);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(last, "head"), "line")), 12);
	assert_int_equal(status_of(last), 1);
	fake.head = 0;
}

static void test_move(void **state)
{
	json_t *last = ask("move-plan", json_pack("{s:s, s:I}", "from", "old", "deadline_s", (json_int_t)1), -1);

	(void)state;
	assert_string_equal(json_string_value(json_object_get(last, "into")), "new");
	assert_int_equal(json_integer_value(json_object_get(last, "bytes")), 4096);
	assert_true(json_is_null(json_object_get(last, "needed_bytes_per_s"))); /* it has passed */
	assert_int_equal(status_of(last), 0);
	last = ask("move-plan", json_pack("{s:s}", "from", "hr"), -1);
	assert_string_equal(json_string_value(json_object_get(last, "message")), "rule 'hr' places files there");
	assert_int_equal(status_of(last), 3);
	assert_int_equal(status_of(ask("move-plan", NULL, -1)), 1);
	assert_int_equal(status_of(ask("move", json_pack("{s:s, s:s}", "from", "old", "deadline_s", "x"), -1)), 1);
	assert_int_equal(status_of(ask("move-status", NULL, -1)), 1);
	assert_int_equal(status_of(ask("move-cancel", NULL, -1)), 1);
	last = ask("move", json_pack("{s:s, s:I}", "from", "old", "deadline_s", (json_int_t)1000000000000), -1);
	assert_int_equal(status_of(last), 0);
	last = ask("move-status", json_pack("{s:b}", "follow", 1), -1);
	assert_string_equal(json_string_value(json_object_get(last, "state")), "done");
	assert_string_equal(json_string_value(json_object_get(last, "receipt")), "borderfs receipt 1");
	assert_int_equal(status_of(last), 0);
	last = ask("audit-key", NULL, -1);
	assert_string_equal(json_string_value(json_object_get(last, "key")), "KEY=");
	assert_int_equal(status_of(last), 0);
	fake.moves = 0;
}

static void test_report(void **state)
{
	json_t *last = ask("report", NULL, -1);

	(void)state;
	assert_string_equal(json_string_value(json_object_get(last, "store")), "office");
	assert_int_equal(status_of(last), 0);
	line_is(0, "{\"section\":\"total\"}");
}

static void test_plan(void **state)
{
	json_t *last = ask("rules-plan", NULL, -1);
	int before = fake.reloads;

	(void)state;
	assert_int_equal(json_integer_value(json_object_get(last, "files")), 7);
	assert_int_equal(status_of(last), 0);
	line_is(0, "{\"section\":\"move\"}");
	assert_int_equal(fake.plans, 1);
	/* what a reload would refuse, and what is no file's whole name */
	fake.reload_rc = -ERR_HELD;
	last = ask("rules-plan", NULL, -1);
	assert_string_equal(json_string_value(json_object_get(last, "message")), "looser than before");
	assert_int_equal(status_of(last), 3);
	fake.reload_rc = 0;
	assert_int_equal(status_of(ask("rules-plan", json_pack("{s:s}", "file", "office.ini"), -1)), 1);
	assert_int_equal(fake.plans, 1);
	fake.plan_rc = -EAGAIN;
	last = ask("rules-plan", NULL, -1);
	assert_string_equal(json_string_value(json_object_get(last, "message")), "a reload came meanwhile: ask again");
	assert_int_equal(status_of(last), 1);
	fake.plan_rc = 0;
	assert_int_equal(fake.reloads, before);
}

static void test_status_exports(void **state)
{
	json_t *last = ask("status", NULL, -1), *exports = json_object_get(last, "exports");
	char *text = json_dumps(exports, JSON_COMPACT);

	(void)state;
	assert_string_equal(text,
		"{\"waiting\":3,\"limits\":[{\"rule\":\"out\",\"files\":7,\"bytes\":4096,\"warn\":true,\"stop\":false,"
		"\"warn_after\":{\"files\":5,\"bytes\":null},\"stop_after\":{\"files\":10,\"bytes\":8192}}]}");
	free(text);
	status_of(last);
}

static void test_export_list(void **state)
{
	json_t *last = ask("export-list", NULL, -1);

	(void)state;
	assert_string_equal(json_string_value(json_object_get(last, "mountpoint")), "/mnt");
	assert_int_equal(status_of(last), 0);
	assert_int_equal(json_array_size(lines), 1);
	line_is(0,
		"{\"request\":12,\"state\":\"open\",\"size\":99,\"content\":3,\"rule\":null,\"countries\":[],"
		"\"owner\":\"uid:4000000000\",\"asked\":1,\"since\":2,\"expires\":null,\"needed\":2,\"votes\":["
		"{\"approver\":\"ann\",\"uid\":7,\"agrees\":true,\"reason\":\"contract\",\"time\":5,\"expires\":null},"
		"{\"approver\":\"bob\",\"uid\":8,\"agrees\":false,\"reason\":\"no\",\"time\":6,\"expires\":9}],"
		"\"path\":\"/a\\\\xff\",\"path_base64\":\"L2H/\",\"from\":\"domestic\",\"to\":null}");
	last = ask("export-list", json_pack("{s:b}", "all", 1), -1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(lines, 0), "state")), "expired");
	status_of(last);
}

static json_t *votes(const char *reason, bool agree, json_t *expires)
{
	return json_pack("{s:[i,i,i,s], s:b, s:s, s:o}", "requests", 12, 11, 13, "x", "agree", agree, "reason", reason,
		"expires", expires);
}

static void test_export_vote(void **state)
{
	json_t *last;

	(void)state;
	last = ask("export-vote", votes("contract", true, json_integer(4000000000)), -1);
	assert_string_equal(json_string_value(json_object_get(last, "message")), "2 of 4 requests stay as they were");
	assert_int_equal(status_of(last), 3);
	line_is(0, "{\"request\":12,\"outcome\":\"granted\",\"votes\":1,\"needed\":2}");
	line_is(1, "{\"request\":11,\"outcome\":\"counted\",\"votes\":1,\"needed\":2}");
	line_is(2, "{\"request\":13,\"outcome\":\"HELD\",\"votes\":1,\"needed\":2,\"message\":\"not yours\"}");
	line_is(3, "{\"request\":\"x\",\"outcome\":\"EINVAL\",\"votes\":0,\"needed\":0,\"message\":\"a request is a "
		   "number\"}");
	assert_string_equal(said.reason, "contract");
	assert_true(said.agree);
	assert_int_equal(said.expires_ns, 4000000000 * NS_PER_S);
	assert_int_equal(said.revalidated, 112);
	assert_int_equal(said.judged, 112);
	said.judged = 0;
	last = ask("export-vote", json_pack("{s:[i], s:b, s:s}", "requests", 11, "agree", 0, "reason", "no"), -1);
	assert_int_equal(status_of(last), 0);
	line_is(0, "{\"request\":11,\"outcome\":\"denied\",\"votes\":1,\"needed\":2}");
	assert_int_equal(said.expires_ns, INT64_MAX);
	assert_int_equal(said.judged, 0);
	last = ask("export-withdraw", json_pack("{s:[i,i], s:s}", "requests", 11, 14, "reason", "over"), -1);
	assert_int_equal(status_of(last), 1);
	line_is(0, "{\"request\":11,\"outcome\":\"withdrawn\",\"votes\":1,\"needed\":2}");
	line_is(1, "{\"request\":14,\"outcome\":\"STALE\",\"votes\":1,\"needed\":2,\"message\":\"changed meanwhile\"}");
	assert_true(said.withdrawn);
	assert_string_equal(said.reason, "over");
}

/* nothing of it is said to any request */
static void test_export_bad(void **state)
{
	static const struct {
		const char *body, *message;
	} rows[] = {
		{ "{\"requests\":[12],\"agree\":true}",
			"a legal basis, or a reason, of 1 to 1000 bytes is to be stated" },
		{ "{\"requests\":[12],\"reason\":\"\"}",
			"a legal basis, or a reason, of 1 to 1000 bytes is to be stated" },
		{ "{\"requests\":[],\"reason\":\"x\"}", "no request is named" },
		{ "{\"requests\":12,\"reason\":\"x\"}", "no request is named" },
		{ "{\"requests\":[12],\"reason\":\"x\",\"expires\":1}",
			"the time at which the approval expires has passed" },
		{ "{\"requests\":[12],\"reason\":\"x\",\"expires\":\"soon\"}",
			"the time at which the approval expires is none" },
		{ "{\"requests\":[12],\"reason\":\"x\",\"expires\":9223372036854775807}",
			"the time at which the approval expires is none" },
	};

	(void)state;
	said.reason[0] = 0;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		json_t *last = ask("export-vote", json_loads(rows[i].body, 0, NULL), -1);

		assert_string_equal(json_string_value(json_object_get(last, "message")), rows[i].message);
		assert_int_equal(status_of(last), 1);
		assert_int_equal(json_array_size(lines), 0);
	}
	assert_string_equal(said.reason, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_cache_drop),
		cmocka_unit_test(test_cache_pin),
		cmocka_unit_test(test_cache_show),
		cmocka_unit_test(test_other_mount),
		cmocka_unit_test(test_where),
		cmocka_unit_test(test_where_below),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_sync),
		cmocka_unit_test(test_sync_hangup),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_reload_order),
		cmocka_unit_test(test_reload_given_up),
		cmocka_unit_test(test_reload_stuck),
		cmocka_unit_test(test_umount),
		cmocka_unit_test(test_audit_show),
		cmocka_unit_test(test_audit_verify),
		cmocka_unit_test(test_move),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_status_exports),
		cmocka_unit_test(test_export_list),
		cmocka_unit_test(test_export_vote),
		cmocka_unit_test(test_export_bad),
	};
	int rc = cmocka_run_group_tests(tests, setup, teardown);

	json_decref(lines);
	return rc;
}
