/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/facts.h"
#include "fs/control/ops.h"
#include "fs/place/approval.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PROGRESS_NS (500 * NS_PER_MS)

/* ---- status --------------------------------------------------------------------------------------------------- */

static int add_usage(struct meta *meta, const struct config *config, json_t *to)
{
	struct meta_usage has, max;
	json_t *quotas = json_array();
	int rc = quotas ? 0 : -ENOMEM;

	meta_totals(meta, &has);
	meta_quota_whole(meta, &max);
	for (size_t i = 0; i < config->quota_count && rc == 0; i++) {
		const struct config_quota *q = config->quotas[i];
		struct meta_usage used;

		meta_usage(meta, q->group ? OWNER_GROUP : OWNER_USER, q->id, &used);
		if (json_array_append_new(quotas, facts_quota(q, &used)) < 0)
			rc = -ENOMEM;
	}
	if (json_object_set_new(to, "usage", facts_usage(&has, &max)) < 0 ||
		json_object_set_new(to, "quotas", quotas) < 0)
		rc = -ENOMEM;
	return rc;
}

static json_t *limit_facts(const struct rule_limit *l)
{
	return json_pack("{s:o, s:o}", "files", l->files ? json_integer((json_int_t)l->files) : json_null(), "bytes",
		l->bytes ? json_integer((json_int_t)l->bytes) : json_null());
}

static int add_limit(void *ctx, const struct rule *rule, const struct export_count *left)
{
	const struct rule_limit *warn = rule_warn_after(rule), *stop = rule_stop_after(rule);
	json_t *one = json_pack("{s:s, s:I, s:I, s:b, s:b, s:o, s:o}", "rule", rule_name(rule), "files",
		(json_int_t)left->files, "bytes", (json_int_t)left->bytes, "warn",
		rule_limit_reached(warn, left->files, left->bytes), "stop",
		rule_limit_reached(stop, left->files, left->bytes), "warn_after", limit_facts(warn), "stop_after",
		limit_facts(stop));

	return json_array_append_new(ctx, one) < 0 ? -ENOMEM : 0;
}

/* What waits for approvers, and what left in this month under rules that count. */
static int add_exports(struct place *place, json_t *to)
{
	int64_t waiting = approval_waiting(place);
	json_t *limits = json_array();
	int rc = limits ? place_limits(place, add_limit, limits) : -ENOMEM;

	if (waiting < 0 || rc < 0) {
		json_decref(limits);
		return rc < 0 ? rc : (int)waiting;
	}
	return json_object_set_new(
		       to, "exports", json_pack("{s:I, s:o}", "waiting", (json_int_t)waiting, "limits", limits)) < 0
		       ? -ENOMEM
		       : 0;
}

/* The order that is under way; null: there is none. */
static int add_move(struct transfer *transfer, json_t *to)
{
	struct transfer_move m;
	int rc = transfer_move_status(transfer, &m);
	json_t *facts = json_null();

	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (rc == 0 && m.order.state == MOVE_UNDER_WAY)
		facts = facts_move(&m, clock_real_ns() / NS_PER_S);
	if (rc == 0)
		transfer_move_free(&m);
	return json_object_set_new(to, "move", facts) < 0 ? -ENOMEM : 0;
}

static int add_status(struct request *r, json_t *to)
{
	struct control *c = r->ctx;
	struct config *config = core_config(c->options.core);
	struct transfer_status status = { 0 };
	int rc = transfer_status(core_transfer(c->options.core), &status), failed = core_failed(c->options.core);
	json_t *facts = rc == 0 ? facts_status(config, &status, clock_real_ns()) : NULL;

	if (rc == 0 && (!facts || json_object_update(to, facts) < 0))
		rc = -ENOMEM;
	if (rc == 0)
		rc = add_usage(core_meta(c->options.core), config, to);
	if (rc == 0)
		rc = add_exports(core_place(c->options.core), to);
	if (rc == 0)
		rc = add_move(core_transfer(c->options.core), to);
	json_object_set_new(to, "pid", json_integer(getpid()));
	/* what made the store read-only */
	json_object_set_new(to, "failed", failed ? json_string(err_text(failed)) : json_null());
	json_decref(facts);
	transfer_status_free(&status);
	config_put(config);
	return rc;
}

int op_status(struct request *r)
{
	return add_status(r, r->last);
}

/* ---- sync ----------------------------------------------------------------------------------------------------- */

/* transfer_sync blocks, and somebody has to watch the asker meanwhile: it runs on a thread of its own. */
struct sync {
	struct control *control;
	bool whole;
	uint64_t ino; /* what a path named, if not whole */
	int64_t deadline_ns;
	volatile bool cancel;
	int done_fd; /* readable when the thread has ended */
	int rc;
	struct errmsg msg;
};

static int sync_one(struct sync *s, uint64_t ino, int64_t deadline_ns)
{
	return transfer_sync(core_transfer(s->control->options.core), ino, deadline_ns, &s->cancel, &s->msg);
}

static int sync_hurry(void *ctx, uint64_t ino, const char *path, size_t len)
{
	struct sync *s = ctx;
	struct errmsg unused = { 0 };
	int rc = transfer_sync(core_transfer(s->control->options.core), ino, 0, &s->cancel, &unused);

	(void)path, (void)len;
	errmsg_free(&unused);
	return rc == -ECANCELED ? rc : 0;
}

static int sync_visit(void *ctx, uint64_t ino, const char *path, size_t len)
{
	struct sync *s = ctx;
	int rc = sync_one(s, ino, s->deadline_ns);

	(void)path, (void)len;
	return rc == -ENOENT ? 0 : rc;
}

/* A whole directory: first all of it is asked for, so that its files are under way together, then each awaited. */
static int sync_below(struct sync *s)
{
	struct meta *meta = core_meta(s->control->options.core);
	int rc = walk(meta, s->ino, sync_hurry, s);

	return rc < 0 ? rc : walk(meta, s->ino, sync_visit, s);
}

static int sync_run(struct sync *s)
{
	struct meta *meta = core_meta(s->control->options.core);
	struct inode *inode = NULL;
	bool directory;
	int rc;

	if (s->whole || s->ino == META_ROOT_INO)
		return sync_one(s, 0, s->deadline_ns);
	if ((rc = meta_inode_get(meta, s->ino, &inode)) < 0)
		return rc;
	directory = S_ISDIR(inode->mode);
	meta_inode_put(meta, inode);
	return directory ? sync_below(s) : sync_one(s, s->ino, s->deadline_ns);
}

static void *sync_main(void *arg)
{
	struct sync *s = arg;
	uint64_t one = 1;

	s->rc = sync_run(s);
	if (write(s->done_fd, &one, sizeof one) < 0) /* an eventfd at 0 takes 1 */
		s->rc = -errno;
	return NULL;
}

static bool ended(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof n) == sizeof n;
}

/* Until the thread ends: a line of progress now and then, for a bar. Whatever ends this wait early ends the sync. */
static int sync_watch(struct request *r, struct sync *s)
{
	bool progress = json_is_true(json_object_get(r->body, "progress"));

	for (;;) {
		json_t *line;
		int rc = request_wait(r, s->done_fd, progress ? clock_mono_ns() + PROGRESS_NS : INT64_MAX);

		if (rc < 0 || ended(s->done_fd))
			return rc;
		if (!(line = json_object()))
			return -ENOMEM;
		if ((rc = add_status(r, line)) < 0) {
			json_decref(line);
			return rc;
		}
		if ((rc = request_send(r, line)) < 0)
			return rc;
	}
}

static int sync_start(struct request *r, struct sync *s)
{
	pthread_t thread;
	int rc = -pthread_create(&thread, NULL, sync_main, s);

	if (rc < 0)
		return rc;
	rc = sync_watch(r, s);
	if (rc < 0) {
		__atomic_store_n(&s->cancel, true, __ATOMIC_SEQ_CST);
		transfer_wake(core_transfer(s->control->options.core));
	}
	pthread_join(thread, NULL);
	if (rc == 0 && s->rc < 0)
		rc = errmsg_set(r->msg, s->rc, "%s", errmsg_text(&s->msg, s->rc));
	return rc;
}

static int64_t timeout_ns(const json_t *body)
{
	const json_t *timeout = json_object_get(body, "timeout_ns");
	json_int_t ns = json_integer_value(timeout);
	int64_t now = clock_mono_ns();

	if (!json_is_integer(timeout))
		return INT64_MAX;
	return ns < 0 ? now : ns > INT64_MAX - now ? INT64_MAX : now + ns;
}

int op_sync(struct request *r)
{
	struct sync s = { .control = r->ctx, .whole = r->fd < 0, .deadline_ns = timeout_ns(r->body) };
	int rc = s.whole ? 0 : path_ino(r, &s.ino);

	if (rc < 0)
		return rc;
	s.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s.done_fd < 0)
		return -errno;
	rc = sync_start(r, &s);
	close(s.done_fd);
	errmsg_free(&s.msg);
	return rc;
}

/* ---- reload --------------------------------------------------------------------------------------------------- */

/* An asker that has gone does not end it, but the daemon's end does. */
int op_reload(struct request *r)
{
	struct control *c = r->ctx;
	struct config_messages msgs = { 0 };
	struct control_reload *reload;
	int rc = control_reload_begin(&reload, c->options.core, c->options.mountpoint), rc2 = 0;

	if (rc < 0)
		return rc;
	request_outlast(r, control_reload_fd(reload));
	rc = control_reload_end(reload, &msgs, r->msg);
	for (size_t i = 0; i < msgs.count && rc2 == 0; i++)
		rc2 = request_send(r, facts_message(&msgs.v[i]));
	config_messages_free(&msgs);
	return rc < 0 ? rc : rc2;
}

/* ---- cache ---------------------------------------------------------------------------------------------------- */

int control_cache_drop(struct core *core, json_t *facts)
{
	struct cache_status after;
	uint64_t freed;
	/* only what is durably known to be on a backend may be dropped */
	int rc = meta_sync(core_meta(core));

	if (rc < 0)
		return rc;
	freed = cache_evict(core_cache(core), UINT64_MAX);
	cache_status(core_cache(core), &after);
	json_object_set_new(facts, "bytes_dropped", json_integer((json_int_t)freed));
	json_object_set_new(facts, "bytes_left", json_integer((json_int_t)after.bytes));
	json_object_set_new(facts, "bytes_dirty", json_integer((json_int_t)after.bytes_dirty));
	json_object_set_new(facts, "bytes_pinned", json_integer((json_int_t)after.bytes_pinned));
	return 0;
}

int op_cache_drop(struct request *r)
{
	struct control *c = r->ctx;

	return control_cache_drop(c->options.core, r->last);
}

/* ---- umount --------------------------------------------------------------------------------------------------- */

/* Answers when the daemon has ended its work. The asker unmounts by itself when it has the first line, as any umount
 * does, so that a busy mount is left alone. */
int op_umount(struct request *r)
{
	int rc = request_send(r, json_pack("{s:i}", "pid", (int)getpid()));

	return rc < 0 ? rc : request_park(r);
}
