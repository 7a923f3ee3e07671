/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of the VFS share: vfs.c registers and opens, vfs_file.c reads and writes, vfs_lock.c locks and keeps
 * the wal-index, vfs_seal.c seals. */
#ifndef FS_META_VFS_PRIVATE_H
#define FS_META_VFS_PRIVATE_H

#include "fs/meta/vfs.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define VFS_NAME_BYTES	 24
#define VFS_PAGE_SIZE_AT 16 /* of page 1: the page size, big-endian */
#define VFS_RESERVED_AT	 20 /* and the reserved bytes a page */

/* A file on disk, open once however many connections use it. */
struct vfs_disk {
	int fd;
	unsigned refs;
	bool dir_dirty; /* its name not synced since it was opened */
	/* syncs are numbered: whoever asks is served by the next one to start, so that many who wait share one */
	uint64_t sync_started, sync_done;
	bool syncing;
};

/* The in-process locks of the database file (SQLite's xLock) and of the wal-index (xShmLock). */
struct vfs_locks {
	unsigned shared; /* connections at SHARED or above */
	const void *reserved, *pending, *exclusive;
	int shm[SQLITE_SHM_NLOCK]; /* readers, or -1 */
};

struct vfs {
	sqlite3_vfs base; /* first: SQLite hands it back */
	sqlite3_vfs *os;  /* the system's, for names, sleep, time and randomness */
	char name[VFS_NAME_BYTES];
	uint8_t *key; /* of secret_alloc */
	uint8_t store_id[16];
	/* Protects all below and what is in the disks, never held across a read, a write or a sync. Taken last. */
	pthread_mutex_t lock;
	pthread_cond_t synced;	  /* a sync ended */
	char *db_path, *wal_path; /* set by the first open, constant then */
	struct vfs_disk *db, *wal;
	int sync_error; /* a failed sync stays: the kernel may have dropped what it could not write */
	struct vfs_locks locks;
	void **regions; /* the wal-index */
	int region_count;
	unsigned region_users;
};

/* One open file of one connection, used by one thread at a time. */
struct vfs_file {
	sqlite3_file base; /* first */
	struct vfs *vfs;
	struct vfs_disk *disk;
	int level; /* SQLITE_LOCK_x */
	bool shm_mapped;
	unsigned shm_shared, shm_exclusive; /* bit masks of slots */
	/* of a WAL: the header of the frame whose page comes with the next write, and the frame last read whole */
	uint64_t pending_record, seen_record;
	uint8_t pending[VFS_FRAME_HEADER];
};

extern const sqlite3_io_methods vfs_db_methods, vfs_wal_methods;

/* vfs_fail: logs errno for the operation, keeps it for sqlite3_system_errno, returns SQLITE_FULL for a full disk and
 * code for all else. vfs_last_errno: that errno, of this thread. */
int vfs_fail(int code, const char *what);
int vfs_last_errno(void);

/* vfs_disk_sync: fdatasync, shared with all who ask at the same time, and once the directory's.
 * 0 or -errno; the first failure stays. vfs_disk_release: drops one reference and closes after the last. */
int vfs_disk_sync(struct vfs *, struct vfs_disk *);
void vfs_disk_release(struct vfs *, struct vfs_disk *);

/* vfs_lock.c: the entries of sqlite3_io_methods. */
int vfs_x_lock(sqlite3_file *, int level);
int vfs_x_unlock(sqlite3_file *, int level);
int vfs_x_check_reserved(sqlite3_file *, int *held);
int vfs_x_shm_map(sqlite3_file *, int region, int bytes, int extend, void volatile **);
int vfs_x_shm_lock(sqlite3_file *, int first, int count, int flags);
void vfs_x_shm_barrier(sqlite3_file *);
int vfs_x_shm_unmap(sqlite3_file *, int delete_flag);
/* vfs_recovering: whether a connection is rebuilding the wal-index from the WAL. */
bool vfs_recovering(struct vfs *);

#endif
