/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SEEK_DATA and SEEK_HOLE. Under the writeback cache the kernel asks where data is while it still holds some that it
 * has not written: to call that a hole would lose it in every copy. So where a file is open for writing its pages are
 * called in first. The kernel then waits for us to take them, so that is done by a thread of its own, which serves
 * nothing. */
#include "base/pool.h"
#include "fs/front/ops.h"

#include <errno.h>
#include <stdlib.h>

struct seek {
	struct pool_task task;
	struct serving *serving;
	fuse_req_t req;
	fuse_ino_t ino;
	off_t off;
	int whence;
};

static void answer(struct core *core, fuse_req_t req, fuse_ino_t ino, off_t off, int whence)
{
	uint64_t out;
	int rc = core_lseek(core, ino, (uint64_t)off, whence, &out);

	if (rc < 0)
		reply_rc(req, rc);
	else
		fuse_reply_lseek(req, (off_t)out);
}

static void run(struct pool_task *task)
{
	struct seek *s = container_of(task, struct seek, task);
	int rc = fuse_lowlevel_notify_inval_inode(s->serving->session, s->ino, 0, 0);

	/* -ENOENT: the kernel holds nothing of it */
	if (rc < 0 && rc != -ENOENT)
		fuse_reply_err(s->req, EIO);
	else
		answer(s->serving->core, s->req, s->ino, s->off, s->whence);
	free(s);
}

void front_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	struct serving *serving = fuse_req_userdata(req);
	struct seek *s;

	(void)fi;
	if (!core_is_written(serving->core, ino)) {
		answer(serving->core, req, ino, off, whence);
		return;
	}
	if (!(s = malloc(sizeof(*s)))) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	*s = (struct seek){ .task.run = run, .serving = serving, .req = req, .ino = ino, .off = off, .whence = whence };
	if (pool_submit(serving->flusher, &s->task) < 0) {
		fuse_reply_err(req, EIO);
		free(s);
	}
}
