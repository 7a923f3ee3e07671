/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/internal.h"

#include <errno.h>

/* In frames of one page. PASSIVE copies what no reader needs and never makes a commit wait; TRUNCATE, which does, is
 * only for a log that readers kept from being reused for very long, and for a disk that got full. */
#define PASSIVE_FRAMES	((8U << 20) / VFS_PAGE)
#define TRUNCATE_FRAMES ((256U << 20) / VFS_PAGE)
/* What is committed during one pass is left to the next, which is the shorter: the log starts anew only when all of it
 * was copied. */
#define PASSES_MAX 8

static int checkpoint_run(struct conn *c, int mode)
{
	int frames = 1, copied = 0, rc = SQLITE_OK;

	for (int i = 0; i < PASSES_MAX && rc == SQLITE_OK && copied < frames; i++)
		rc = sqlite3_wal_checkpoint_v2(c->db, "main", mode, &frames, &copied);
	return rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY ? 0 : conn_error(c, rc);
}

void checkpoint_now(struct meta *m)
{
	checkpoint_run(m->writer, SQLITE_CHECKPOINT_PASSIVE);
}

static bool checkpoint_due(const struct meta *m)
{
	return m->wal_frames >= m->checkpoint_frames || m->truncate_wanted;
}

/* The frames count from 1 again when the log starts anew. */
void checkpoint_hint(struct meta *m)
{
	if (m->wal_frames < m->checkpoint_frames - PASSIVE_FRAMES)
		m->checkpoint_frames = PASSIVE_FRAMES;
	if (checkpoint_due(m))
		pthread_cond_signal(&m->checkpoint);
}

/* The lock is held, but while it copies. */
static int checkpoint_step(struct meta *m, struct conn *c)
{
	bool truncate = m->truncate_wanted || m->wal_frames > TRUNCATE_FRAMES, gone;
	int rc;

	m->truncate_wanted = false;
	m->checkpoint_frames = m->wal_frames + PASSIVE_FRAMES;
	m->checkpoint_busy = true;
	pthread_mutex_unlock(&m->lock);
	rc = checkpoint_run(c, truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE);
	/* the log keeps everything; tried again when it has grown */
	if (rc == -ENOSPC || rc == -ENOMEM) {
		log_warn("metadata: checkpoint: %s", err_text(rc));
		rc = 0;
	}
	gone = vfs_wal_bytes(m->vfs) == 0;
	pthread_mutex_lock(&m->lock);
	if (gone)
		m->wal_frames = 0;
	m->checkpoint_busy = false;
	return rc;
}

static void *checkpoint_main(void *arg)
{
	struct meta *m = arg;
	struct conn *c = NULL;
	int rc = conn_open(&c, m->vfs, m->path, false, NULL);

	pthread_mutex_lock(&m->lock);
	while (rc == 0 && !m->checkpoint_stopping) {
		if (checkpoint_due(m))
			rc = checkpoint_step(m, c);
		else
			pthread_cond_wait(&m->checkpoint, &m->lock);
	}
	if (rc < 0)
		meta_poison(m, rc);
	pthread_mutex_unlock(&m->lock);
	conn_close(c);
	return NULL;
}

/* Called inside a commit, on the writer thread. */
static int wal_hook(void *arg, sqlite3 *db, const char *name, int frames)
{
	struct meta *m = arg;

	(void)db;
	(void)name;
	pthread_mutex_lock(&m->lock);
	m->wal_frames = (uint64_t)frames;
	pthread_mutex_unlock(&m->lock);
	return SQLITE_OK;
}

int checkpoint_start(struct meta *m)
{
	int rc;

	m->checkpoint_frames = PASSIVE_FRAMES;
	sqlite3_wal_hook(m->writer->db, wal_hook, m);
	rc = pthread_create(&m->checkpoint_thread, NULL, checkpoint_main, m);
	m->checkpoint_running = rc == 0;
	return -rc;
}

void checkpoint_stop(struct meta *m)
{
	if (!m->checkpoint_running)
		return;
	pthread_mutex_lock(&m->lock);
	m->checkpoint_stopping = true;
	pthread_cond_signal(&m->checkpoint);
	pthread_mutex_unlock(&m->lock);
	pthread_join(m->checkpoint_thread, NULL);
	m->checkpoint_running = false;
}
