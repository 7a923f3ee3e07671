/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An operation on content for those who may block until it is done. */
#include "fs/core/internal.h"

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	ssize_t rc;
};

static void on_done(struct core_io *io, ssize_t rc)
{
	struct waiter *w = io->ctx;

	pthread_mutex_lock(&w->lock);
	w->done = true;
	w->rc = rc;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

ssize_t core_io_wait(struct core *core, struct core_io *io)
{
	struct waiter w = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

	io->done = on_done;
	io->ctx = &w;
	core_io_start(core, io);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	return w.rc;
}

int core_fsync(struct core *core, uint64_t ino)
{
	struct core_io io = { .kind = CORE_FSYNC, .ino = ino };

	return (int)core_io_wait(core, &io);
}
