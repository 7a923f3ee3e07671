/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/meta/vfs_private.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define RECOVER_SLOT 2 /* WAL_RECOVER_LOCK of SQLite's WAL format */

static int lock_take(struct vfs_locks *l, struct vfs_file *f, int level)
{
	if (level == SQLITE_LOCK_SHARED) {
		if (l->pending || l->exclusive)
			return SQLITE_BUSY;
		l->shared++;
		f->level = SQLITE_LOCK_SHARED;
		return SQLITE_OK;
	}
	if (l->reserved && l->reserved != f)
		return SQLITE_BUSY;
	if (level == SQLITE_LOCK_RESERVED) {
		l->reserved = f;
		f->level = SQLITE_LOCK_RESERVED;
		return SQLITE_OK;
	}
	/* exclusive: no new readers from here on, and none left but this one */
	if (l->pending && l->pending != f)
		return SQLITE_BUSY;
	l->pending = f;
	f->level = SQLITE_LOCK_PENDING;
	if (l->shared > 1)
		return SQLITE_BUSY;
	l->exclusive = f;
	f->level = SQLITE_LOCK_EXCLUSIVE;
	return SQLITE_OK;
}

int vfs_x_lock(sqlite3_file *file, int level)
{
	struct vfs_file *f = (struct vfs_file *)file;
	int rc = SQLITE_OK;

	pthread_mutex_lock(&f->vfs->lock);
	if (f->level < level)
		rc = lock_take(&f->vfs->locks, f, level);
	pthread_mutex_unlock(&f->vfs->lock);
	return rc;
}

int vfs_x_unlock(sqlite3_file *file, int level)
{
	struct vfs_file *f = (struct vfs_file *)file;
	struct vfs_locks *l = &f->vfs->locks;

	pthread_mutex_lock(&f->vfs->lock);
	if (f->level > level) {
		if (l->exclusive == f)
			l->exclusive = NULL;
		if (l->pending == f)
			l->pending = NULL;
		if (l->reserved == f)
			l->reserved = NULL;
		if (level == SQLITE_LOCK_NONE)
			l->shared--;
		f->level = level;
	}
	pthread_mutex_unlock(&f->vfs->lock);
	return SQLITE_OK;
}

int vfs_x_check_reserved(sqlite3_file *file, int *held)
{
	struct vfs_file *f = (struct vfs_file *)file;

	pthread_mutex_lock(&f->vfs->lock);
	*held = f->vfs->locks.reserved != NULL;
	pthread_mutex_unlock(&f->vfs->lock);
	return SQLITE_OK;
}

/* the lock is held; SQLite maps regions in order, one at a time */
static int region_add(struct vfs *v, int bytes)
{
	void **regions = reallocarray(v->regions, (size_t)v->region_count + 1, sizeof(*regions));

	if (!regions)
		return SQLITE_IOERR_NOMEM;
	v->regions = regions;
	regions[v->region_count] = calloc(1, (size_t)bytes);
	if (!regions[v->region_count])
		return SQLITE_IOERR_NOMEM;
	v->region_count++;
	return SQLITE_OK;
}

int vfs_x_shm_map(sqlite3_file *file, int region, int bytes, int extend, void volatile **out)
{
	struct vfs_file *f = (struct vfs_file *)file;
	struct vfs *v = f->vfs;
	int rc = SQLITE_OK;

	pthread_mutex_lock(&v->lock);
	if (!f->shm_mapped)
		v->region_users++;
	f->shm_mapped = true;
	while (extend && rc == SQLITE_OK && v->region_count <= region)
		rc = region_add(v, bytes);
	*out = region < v->region_count ? v->regions[region] : NULL;
	pthread_mutex_unlock(&v->lock);
	return rc;
}

/* the lock is held */
static void shm_release(struct vfs_file *f, unsigned mask)
{
	int *slot = f->vfs->locks.shm;

	for (int i = 0; i < SQLITE_SHM_NLOCK; i++) {
		if (f->shm_exclusive & mask & 1U << i)
			slot[i] = 0;
		else if (f->shm_shared & mask & 1U << i)
			slot[i]--;
	}
	f->shm_exclusive &= ~mask;
	f->shm_shared &= ~mask;
}

static int shm_take(struct vfs_file *f, unsigned mask, bool exclusive)
{
	int *slot = f->vfs->locks.shm;

	if (!exclusive && (f->shm_shared & mask))
		return SQLITE_OK;
	for (int i = 0; i < SQLITE_SHM_NLOCK; i++)
		if ((mask & 1U << i) && (exclusive ? slot[i] != 0 : slot[i] < 0))
			return SQLITE_BUSY;
	for (int i = 0; i < SQLITE_SHM_NLOCK; i++)
		if (mask & 1U << i)
			slot[i] = exclusive ? -1 : slot[i] + 1;
	if (exclusive)
		f->shm_exclusive |= mask;
	else
		f->shm_shared |= mask;
	return SQLITE_OK;
}

int vfs_x_shm_lock(sqlite3_file *file, int first, int count, int flags)
{
	struct vfs_file *f = (struct vfs_file *)file;
	unsigned mask = (1U << (first + count)) - (1U << first);
	int rc = SQLITE_OK;

	pthread_mutex_lock(&f->vfs->lock);
	if (flags & SQLITE_SHM_UNLOCK)
		shm_release(f, mask);
	else
		rc = shm_take(f, mask, flags & SQLITE_SHM_EXCLUSIVE);
	pthread_mutex_unlock(&f->vfs->lock);
	return rc;
}

void vfs_x_shm_barrier(sqlite3_file *file)
{
	struct vfs_file *f = (struct vfs_file *)file;

	/* the fence orders this thread's memory; the lock makes others' earlier stores visible to checkers too */
	atomic_thread_fence(memory_order_seq_cst);
	pthread_mutex_lock(&f->vfs->lock);
	pthread_mutex_unlock(&f->vfs->lock);
}

int vfs_x_shm_unmap(sqlite3_file *file, int delete_flag)
{
	struct vfs_file *f = (struct vfs_file *)file;
	struct vfs *v = f->vfs;

	(void)delete_flag; /* there is no file to delete: the index goes with its last user */
	pthread_mutex_lock(&v->lock);
	if (f->shm_mapped) {
		shm_release(f, ~0U);
		f->shm_mapped = false;
		v->region_users--;
	}
	if (v->region_users == 0) {
		while (v->region_count)
			free(v->regions[--v->region_count]);
		free(v->regions);
		v->regions = NULL;
	}
	pthread_mutex_unlock(&v->lock);
	return SQLITE_OK;
}

bool vfs_recovering(struct vfs *v)
{
	bool yes;

	pthread_mutex_lock(&v->lock);
	yes = v->locks.shm[RECOVER_SLOT] < 0;
	pthread_mutex_unlock(&v->lock);
	return yes;
}
