/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sync: of the whole store, of one file, or of all below a directory: there all files are asked for first, so that they
 * are under way together, and those that are not stored yet are awaited one after the other. */
#include "fs/control/facts.h"
#include "fs/control/ops.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PROGRESS_NS (500 * NS_PER_MS)
#define AWAITED_MAX (1u << 20) /* files that are remembered; what comes beyond is found by a second walk */

struct awaited {
	uint64_t ino, bytes;
};

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
	/* the thread's */
	struct awaited *v; /* of a path: what was not stored when it was asked for */
	size_t count, cap;
	bool more;
	/* of a path, for who watches: what is left, but for the bytes of the file that is awaited now */
	_Atomic uint64_t files, bytes, now_ino;
};

/* ---- the thread ----------------------------------------------------------------------------------------------- */

static int sync_one(struct sync *s, uint64_t ino)
{
	return transfer_sync(core_transfer(s->control->options.core), ino, s->deadline_ns, &s->cancel, &s->msg);
}

static int await(struct sync *s, uint64_t ino)
{
	int64_t bytes = meta_dirty_bytes(core_meta(s->control->options.core), ino);
	size_t cap = s->cap ? 2 * s->cap : 64;
	struct awaited *v;

	if (bytes < 0)
		return (int)bytes;
	if (s->count == AWAITED_MAX) {
		s->more = true;
		return 0;
	}
	if (s->count == s->cap) {
		if (!(v = realloc(s->v, cap * sizeof *v)))
			return -ENOMEM;
		s->v = v;
		s->cap = cap;
	}
	s->v[s->count++] = (struct awaited){ ino, (uint64_t)bytes };
	atomic_fetch_add(&s->files, 1);
	atomic_fetch_add(&s->bytes, (uint64_t)bytes);
	return 0;
}

/* An error is told when the file is awaited. */
static int sync_hurry(void *ctx, uint64_t ino, const char *path, size_t len)
{
	struct sync *s = ctx;
	struct errmsg unused = { 0 };
	int rc = transfer_sync(core_transfer(s->control->options.core), ino, 0, &s->cancel, &unused);

	(void)path, (void)len;
	errmsg_free(&unused);
	if (rc == 0 || rc == -ENOENT)
		return 0;
	return rc == -ECANCELED ? rc : await(s, ino);
}

static int sync_visit(void *ctx, uint64_t ino, const char *path, size_t len)
{
	int rc = sync_one(ctx, ino);

	(void)path, (void)len;
	return rc == -ENOENT ? 0 : rc;
}

static int sync_awaited(struct sync *s)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < s->count; i++) {
		atomic_store(&s->now_ino, s->v[i].ino);
		atomic_fetch_sub(&s->bytes, s->v[i].bytes);
		rc = sync_visit(s, s->v[i].ino, NULL, 0);
		atomic_fetch_sub(&s->files, 1);
	}
	return rc;
}

static int sync_below(struct sync *s)
{
	struct meta *meta = core_meta(s->control->options.core);
	int rc = walk(meta, s->ino, sync_hurry, s);

	if (rc == 0)
		rc = sync_awaited(s);
	return rc == 0 && s->more ? walk(meta, s->ino, sync_visit, s) : rc;
}

static int sync_run(struct sync *s)
{
	struct meta *meta = core_meta(s->control->options.core);
	struct inode *inode = NULL;
	bool directory;
	int rc;

	if (s->whole)
		return sync_one(s, 0);
	if ((rc = meta_inode_get(meta, s->ino, &inode)) < 0)
		return rc;
	directory = S_ISDIR(inode->mode);
	meta_inode_put(meta, inode);
	if (directory)
		return sync_below(s);
	return (rc = sync_hurry(s, s->ino, NULL, 0)) < 0 ? rc : sync_awaited(s);
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

/* ---- who watches ---------------------------------------------------------------------------------------------- */

static bool ended(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof n) == sizeof n;
}

/* The shape of a status, so that one bar shows both: what waits of the path alone. */
static int add_path_status(struct sync *s, json_t *line)
{
	int64_t now = meta_dirty_bytes(core_meta(s->control->options.core), atomic_load(&s->now_ino));
	uint64_t bytes = atomic_load(&s->bytes) + (now > 0 ? (uint64_t)now : 0);
	struct transfer_status status = { 0 };
	json_t *left = json_null(), *waiting;
	int rc = now < 0 ? (int)now : transfer_status(core_transfer(s->control->options.core), &status);

	if (rc < 0)
		return rc;
	if (bytes && status.upload_bytes_per_s)
		left = json_real((double)bytes / (double)status.upload_bytes_per_s);
	waiting = json_pack("{s:I, s:I, s:I, s:o}", "files", (json_int_t)atomic_load(&s->files), "bytes",
		(json_int_t)bytes, "upload_bytes_per_s", (json_int_t)status.upload_bytes_per_s, "seconds_left", left);
	transfer_status_free(&status);
	return json_object_set_new(line, "waiting", waiting) < 0 ? -ENOMEM : 0;
}

static int send_progress(struct request *r, struct sync *s)
{
	json_t *line = json_object();
	int rc;

	if (!line)
		return -ENOMEM;
	if ((rc = s->whole ? add_status(r, line) : add_path_status(s, line)) == 0)
		return request_send(r, line);
	json_decref(line);
	return rc;
}

/* Until the thread ends: a line of progress now and then, for a bar. Whatever ends this wait early ends the sync. */
static int sync_watch(struct request *r, struct sync *s)
{
	bool progress = json_is_true(json_object_get(r->body, "progress"));
	int rc;

	do {
		rc = request_wait(r, s->done_fd, progress ? clock_mono_ns() + PROGRESS_NS : INT64_MAX);
		if (rc < 0 || ended(s->done_fd))
			return rc;
	} while ((rc = send_progress(r, s)) == 0);
	return rc;
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
	s.whole |= s.ino == META_ROOT_INO;
	s.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s.done_fd < 0)
		return -errno;
	rc = sync_start(r, &s);
	close(s.done_fd);
	free(s.v);
	errmsg_free(&s.msg);
	return rc;
}
