/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Operations that wait: for what is fetched, or for room in the cache. Interrupts and deadlines are served by one
 * thread, so that done is never called from inside core_io_cancel.
 *
 * Who waits for room stands in a queue: room goes to the first until it has enough, then to the next, and writers that
 * come meanwhile stand behind, so that none starves beside smaller or luckier ones. Who needs a fetch gives up its
 * place, since that may take long (I8). */
#include "base/log.h"
#include "fs/core/file.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_WAIT_NS	 (60 * NS_PER_S)  /* a full cache that nothing empties is ENOSPC after this long */
#define ROOM_WAIT_MAX_NS (600 * NS_PER_S) /* and one that is emptied too slowly after this long */
#define FETCH_WAIT_NS	 (60 * NS_PER_S)
#define STARVED_EVERY_NS (60 * NS_PER_S) /* it is said that often, at most */

enum io_state { IO_RUNNING, IO_FETCHING, IO_ROOM };

static void io_run(struct core *, struct core_io *);

/* What is written is the caller's own again once core_io_start returned. */
static int keep_buffer(struct core_io *io)
{
	if (io->copy || io->kind != CORE_WRITE)
		return 0;
	if (!(io->copy = malloc(io->len ? io->len : 1)))
		return -ENOMEM;
	memcpy(io->copy, io->buf, io->len);
	io->buf = io->copy;
	return 0;
}

/* Enters a list unless the operation is to end; under io_lock. */
static int park(struct core *core, struct core_io *io, struct list *list, enum io_state state)
{
	if (core->io_stop)
		return -ERR_STOPPED;
	if (io->cancelled)
		return -EINTR;
	io->state = (int)state;
	list_append(list, &io->link);
	return 0;
}

static void leave_queue(struct core *core, struct core_io *io)
{
	io->queued = false;
	core->io_queue--;
	core->io_next = true;
	pthread_cond_signal(&core->io_wake);
}

/* It waits for room no longer: the next one's turn. */
void io_leave(struct core *core, struct core_io *io)
{
	if (!io->queued)
		return;
	pthread_mutex_lock(&core->io_lock);
	leave_queue(core, io);
	pthread_mutex_unlock(&core->io_lock);
}

/* A place in the queue: the first again for who had it, else the last. Under io_lock. */
static int park_for_room(struct core *core, struct core_io *io)
{
	int rc = park(core, io, &core->io_room, IO_ROOM);

	if (rc < 0)
		return rc;
	if (io->queued) {
		list_remove(&io->link);
		list_push(&core->io_room, &io->link);
	} else {
		io->queued = true;
		core->io_queue++;
	}
	pthread_cond_signal(&core->io_wake); /* a deadline that may be the nearest */
	return 1;
}

static void unpark(struct core *core, struct core_io *io)
{
	pthread_mutex_lock(&core->io_lock);
	list_remove(&io->link);
	io->state = IO_RUNNING;
	pthread_mutex_unlock(&core->io_lock);
}

/* What was fetched and not kept by a full cache: a read takes it as it is, up to the end of what it has; everything
 * else waits for room. */
static bool take_unkept(struct core *core, struct core_io *io, const struct fetch *f)
{
	uint64_t start = (uint64_t)f->need.index * meta_block_bytes(core->meta) + f->need.off;
	uint64_t from = io->off + io->progress, size = inode_size(core, io->inode);
	uint64_t end = io->off + io->len < size ? io->off + io->len : size;
	size_t n;

	if (io->kind != CORE_READ || !f->unkept)
		return false;
	if (start > from) {
		struct cache_need need;
		int rc;

		pthread_rwlock_rdlock(&io->inode->data_lock);
		rc = cache_read(
			core->cache, io->inode, from, (char *)io->buf + io->progress, (size_t)(start - from), &need);
		pthread_rwlock_unlock(&io->inode->data_lock);
		if (rc < 0)
			return false;
		io->progress = (size_t)(start - io->off);
		from = start;
	}
	if (start + f->need.len <= from || end <= from)
		return false;
	n = (size_t)((start + f->need.len < end ? start + f->need.len : end) - from);
	memcpy((char *)io->buf + io->progress, (const char *)f->unkept + (from - start), n);
	io->progress += n;
	return true;
}

static void on_fetched(struct fetch *f, int rc)
{
	struct core_io *io = container_of(f, struct core_io, fetch);
	struct core *core = io->core;

	unpark(core, io);
	if (rc == 0)
		take_unkept(core, io, f);
	if (rc < 0)
		io_finish(core, io, rc);
	else
		io_run(core, io);
}

static void wait_for_fetch(struct core *core, struct core_io *io, const struct cache_need *need, struct inode *inode)
{
	uint32_t ahead = 0;
	int rc;

	if (io->kind == CORE_COPY)
		ahead = COPY_CHUNK;
	else if (io->kind == CORE_READ && io->file)
		ahead = file_read_ahead(io->file, io->off + io->progress, io->len - io->progress);
	io_leave(core, io);
	pthread_mutex_lock(&core->io_lock);
	rc = park(core, io, &core->io_fetching, IO_FETCHING);
	io->fetch = (struct fetch){ .inode = inode, .need = *need, .ahead = ahead, .done = on_fetched };
	pthread_mutex_unlock(&core->io_lock);
	if (rc < 0)
		io_finish(core, io, rc);
	else
		transfer_fetch(core->transfer, &io->fetch);
}

/* seen: room_count before the attempt, so that room made meanwhile is not missed. */
static int wait_for_room(struct core *core, struct core_io *io, uint64_t seen)
{
	int64_t now = clock_mono_ns();
	bool tells;
	int rc = 0;

	pthread_mutex_lock(&core->io_lock);
	tells = !core->starved_ns && (!core->starved_told_ns || now - core->starved_told_ns >= STARVED_EVERY_NS);
	if (tells)
		core->starved_told_ns = now;
	if (!core->starved_ns)
		core->starved_ns = now;
	if (core->room_count == seen || (core->io_queue && !io->queued))
		rc = park_for_room(core, io);
	pthread_mutex_unlock(&core->io_lock);
	if (tells)
		log_warn("store: the cache is full of what is on no backend yet: writers wait for uploads; if its disk "
			 "is full make room there, else raise `cache` in [filesystem]");
	return rc;
}

/* Under io_lock. Whoever comes when nothing has emptied the cache for so long does not wait as long once more. */
static int64_t give_up_ns(const struct core *core, const struct core_io *io)
{
	int64_t starved = core->starved_ns ? core->starved_ns + ROOM_WAIT_NS : INT64_MAX;
	int64_t latest = io->began_ns + ROOM_WAIT_MAX_NS;

	return starved < latest ? starved : latest;
}

static bool gives_up(struct core *core, const struct core_io *io, ssize_t rc)
{
	int64_t when = io->began_ns + FETCH_WAIT_NS;

	if (rc == -ERR_CACHE_FULL) {
		pthread_mutex_lock(&core->io_lock);
		when = give_up_ns(core, io);
		pthread_mutex_unlock(&core->io_lock);
	}
	return clock_mono_ns() >= when;
}

static uint64_t room_seen(struct core *core)
{
	uint64_t n;

	pthread_mutex_lock(&core->io_lock);
	n = core->room_count;
	pthread_mutex_unlock(&core->io_lock);
	return n;
}

static void read_on(struct core *core, const struct core_io *io, size_t len)
{
	uint64_t from;
	uint32_t more = len ? file_read_on(io->file, io->off, len, &from) : 0;

	if (more)
		transfer_ahead(core->transfer, io->inode, from, more);
}

static void io_run(struct core *core, struct core_io *io)
{
	struct cache_need need = { 0 };
	struct inode *from;
	uint64_t seen;
	ssize_t rc;
	int parked;

	for (;;) {
		seen = room_seen(core);
		rc = io_attempt(core, io, &need, &from);
		if (rc != -ERR_NEED_FETCH && rc != -ERR_CACHE_FULL)
			break;
		if (gives_up(core, io, rc)) {
			rc = rc == -ERR_NEED_FETCH ? -ERR_TIMEOUT : rc;
			break;
		}
		if (keep_buffer(io) < 0) {
			rc = -ENOMEM;
			break;
		}
		if (rc == -ERR_NEED_FETCH) {
			wait_for_fetch(core, io, &need, from);
			return;
		}
		if ((parked = wait_for_room(core, io, seen)) > 0)
			return;
		if (parked < 0) {
			rc = parked;
			break;
		}
	}
	/* an error after a part was copied is told by the next call */
	if (rc < 0 && io->kind == CORE_COPY && io->progress > 0)
		rc = (ssize_t)io->progress;
	if (rc >= 0 && io->kind == CORE_READ && io->file)
		read_on(core, io, (size_t)rc);
	if (rc >= 0 && io->kind != CORE_READ)
		transfer_touch(core->transfer, io->kind == CORE_COPY ? io->target->ino : io->inode->ino);
	io_finish(core, io, rc);
}

/* Others wait for room that this would take: it stands behind them. */
static bool stands_behind(struct core *core, struct core_io *io)
{
	bool waiting;
	int rc;

	if (io->kind != CORE_WRITE && io->kind != CORE_COPY)
		return false;
	pthread_mutex_lock(&core->io_lock);
	waiting = core->io_queue > 0;
	pthread_mutex_unlock(&core->io_lock);
	rc = waiting ? keep_buffer(io) : 0;
	pthread_mutex_lock(&core->io_lock);
	if (waiting && rc == 0 && core->io_queue)
		rc = park_for_room(core, io);
	pthread_mutex_unlock(&core->io_lock);
	if (rc < 0)
		io_finish(core, io, rc);
	return rc != 0;
}

static void on_synced(struct cache_fsync *f, int rc)
{
	struct core_io *io = container_of(f, struct core_io, fsync);

	io_finish(io->core, io, rc);
}

/* It never waits for room: it is not attempted again. */
static void fsync_start(struct core *core, struct core_io *io)
{
	io->fsync.done = on_synced;
	if (S_ISREG(io->inode->mode))
		cache_fsync(core->cache, io->inode, &io->fsync);
	else
		io_finish(core, io, meta_sync(core->meta));
}

void core_io_start(struct core *core, struct core_io *io)
{
	int rc;

	io->core = core;
	io->inode = io->target = NULL;
	io->copy = NULL;
	io->progress = 0;
	io->state = IO_RUNNING;
	io->queued = false;
	io->began_ns = clock_mono_ns();
	list_init(&io->link);
	rc = meta_inode_get(core->meta, io->ino, &io->inode);
	if (rc == 0 && io->kind == CORE_COPY)
		rc = meta_inode_get(core->meta, io->target_ino, &io->target);
	if (rc < 0)
		io_finish(core, io, rc);
	else if (io->kind == CORE_FSYNC)
		fsync_start(core, io);
	else if (!stands_behind(core, io))
		io_run(core, io);
}

void core_io_cancel(struct core *core, struct core_io *io)
{
	pthread_mutex_lock(&core->io_lock);
	io->cancelled = true;
	core->io_cancels = true;
	pthread_cond_signal(&core->io_wake);
	pthread_mutex_unlock(&core->io_lock);
}

/* ---- the thread that wakes what is parked -------------------------------------------------------------------------
 */

void io_room(void *ctx)
{
	struct core *core = ctx;

	pthread_mutex_lock(&core->io_lock);
	core->room_count++;
	core->starved_ns = 0;
	pthread_cond_signal(&core->io_wake);
	pthread_mutex_unlock(&core->io_lock);
}

/* Under io_lock: moves what waits for room to out: the first when it is its turn, and those whose time is over, that
 * are cancelled, or all if everything stops. Returns the nearest deadline of the rest. */
static int64_t take_ready(struct core *core, struct list *out, bool turn)
{
	int64_t now = clock_mono_ns(), nearest = INT64_MAX;

	list_for_each_safe (it, &core->io_room) {
		struct core_io *io = list_entry(it, struct core_io, link);
		int64_t until = give_up_ns(core, io);

		if (turn || io->cancelled || core->io_stop || until <= now) {
			turn = false;
			list_remove(it);
			list_append(out, it);
			io->state = IO_RUNNING;
		} else if (until < nearest) {
			nearest = until;
		}
	}
	return nearest;
}

/* Under io_lock, which is what keeps the structs alive: on_fetched takes it before anything else. */
static void cancel_fetches(struct core *core)
{
	list_for_each (it, &core->io_fetching) {
		struct core_io *io = list_entry(it, struct core_io, link);

		if (io->cancelled || core->io_stop)
			transfer_fetch_cancel(core->transfer, &io->fetch);
	}
}

static void run_ready(struct core *core, struct list *ready)
{
	list_for_each_safe (it, ready) {
		struct core_io *io = list_entry(it, struct core_io, link);

		list_remove(it);
		if (io->cancelled)
			io_finish(core, io, -EINTR);
		else
			io_run(core, io);
	}
}

static void *io_main(void *arg)
{
	struct core *core = arg;
	struct list ready = LIST_INIT(ready);
	uint64_t seen = 0;
	int64_t nearest;

	pthread_mutex_lock(&core->io_lock);
	while (!core->io_stop || !list_empty(&core->io_room)) {
		bool turn = core->room_count != seen || core->io_next;

		seen = core->room_count;
		core->io_next = false;
		nearest = take_ready(core, &ready, turn);
		if (core->io_cancels || core->io_stop)
			cancel_fetches(core);
		core->io_cancels = false;
		if (list_empty(&ready)) {
			cond_wait_until(&core->io_wake, &core->io_lock, nearest);
			continue;
		}
		pthread_mutex_unlock(&core->io_lock);
		run_ready(core, &ready);
		pthread_mutex_lock(&core->io_lock);
	}
	pthread_mutex_unlock(&core->io_lock);
	return NULL;
}

int io_init(struct core *core)
{
	int rc;

	pthread_mutex_init(&core->io_lock, NULL);
	cond_init_mono(&core->io_wake);
	list_init(&core->io_fetching);
	list_init(&core->io_room);
	if ((rc = pthread_create(&core->io_thread, NULL, io_main, core)) != 0)
		return -rc;
	core->io_thread_runs = true;
	return 0;
}

void io_stop(struct core *core)
{
	if (!core->io_thread_runs)
		return;
	pthread_mutex_lock(&core->io_lock);
	core->io_stop = true;
	pthread_cond_signal(&core->io_wake);
	pthread_mutex_unlock(&core->io_lock);
	pthread_join(core->io_thread, NULL);
	core->io_thread_runs = false;
}

void io_free(struct core *core)
{
	if (!core->io_fetching.next)
		return;
	io_stop(core);
	pthread_cond_destroy(&core->io_wake);
	pthread_mutex_destroy(&core->io_lock);
}
