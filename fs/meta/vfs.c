/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "fs/crypt/secret.h"
#include "fs/meta/vfs_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE    0600
#define PATH_BYTES   4096
#define KEY_BYTES    32
#define STORE_ID_LEN 16

static struct vfs *vfs_of(sqlite3_vfs *base)
{
	return (struct vfs *)base;
}

/* the directory of the store's files, for the names in it */
static int dir_sync(const struct vfs *v)
{
	char dir[PATH_BYTES];
	int fd, rc;

	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(v->db_path, '/') - v->db_path + 1), v->db_path);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = file_sync_dir(fd);
	close(fd);
	return rc;
}

/* the lock is held, and given up while the disk works */
static void disk_sync_once(struct vfs *v, struct vfs_disk *d)
{
	bool dir = d->dir_dirty;
	uint64_t number = ++d->sync_started;
	int rc;

	d->syncing = true;
	d->dir_dirty = false;
	pthread_mutex_unlock(&v->lock);
	rc = fdatasync(d->fd) < 0 ? -errno : 0;
	if (rc == 0 && dir)
		rc = dir_sync(v);
	pthread_mutex_lock(&v->lock);
	d->syncing = false;
	if (rc < 0) {
		v->sync_error = rc;
		log_error("metadata: sync: %s", err_text(rc));
	} else {
		d->sync_done = number;
	}
	pthread_cond_broadcast(&v->synced);
}

int vfs_disk_sync(struct vfs *v, struct vfs_disk *d)
{
	uint64_t wanted;
	int rc;

	pthread_mutex_lock(&v->lock);
	/* one that runs already may have begun before the caller's last write */
	wanted = d->sync_started + 1;
	while (d->sync_done < wanted && !v->sync_error) {
		if (d->syncing)
			pthread_cond_wait(&v->synced, &v->lock);
		else
			disk_sync_once(v, d);
	}
	rc = v->sync_error;
	pthread_mutex_unlock(&v->lock);
	return rc;
}

/* the lock is held */
static int disk_open(struct vfs_disk **slot, const char *path, bool create)
{
	struct vfs_disk *d = *slot;

	if (d) {
		d->refs++;
		return 0;
	}
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (d->fd < 0 && errno == ENOENT && create)
		d->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
	if (d->fd < 0) {
		int rc = -errno;

		free(d);
		return rc;
	}
	d->refs = 1;
	d->dir_dirty = true; /* one that is there already may be of a process killed before it synced the name */
	*slot = d;
	return 0;
}

void vfs_disk_release(struct vfs *v, struct vfs_disk *d)
{
	pthread_mutex_lock(&v->lock);
	if (--d->refs == 0) {
		if (v->db == d)
			v->db = NULL;
		if (v->wal == d)
			v->wal = NULL;
		close(d->fd);
		free(d);
	}
	pthread_mutex_unlock(&v->lock);
}

/* the lock is held; the first database opened is the store's, and no other is taken after it */
static int paths_pin(struct vfs *v, const char *path)
{
	if (v->db_path)
		return strcmp(v->db_path, path) == 0 ? 0 : -EINVAL;
	if (path[0] != '/' || strlen(path) >= PATH_BYTES - 8)
		return -EINVAL;
	v->db_path = strdup(path);
	if (!v->db_path || asprintf(&v->wal_path, "%s-wal", path) < 0) {
		free(v->db_path);
		v->db_path = v->wal_path = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int x_open(sqlite3_vfs *base, const char *path, sqlite3_file *file, int flags, int *out_flags)
{
	struct vfs *v = vfs_of(base);
	struct vfs_file *f = (struct vfs_file *)file;
	bool create = flags & SQLITE_OPEN_CREATE;
	int rc = -EINVAL;

	memset(f, 0, sizeof(*f));
	f->vfs = v;
	pthread_mutex_lock(&v->lock);
	if (path && (flags & SQLITE_OPEN_MAIN_DB)) {
		if ((rc = paths_pin(v, path)) == 0 && (rc = disk_open(&v->db, path, create)) == 0) {
			f->disk = v->db;
			f->base.pMethods = &vfs_db_methods;
		}
	} else if (path && (flags & SQLITE_OPEN_WAL) && v->wal_path && strcmp(path, v->wal_path) == 0) {
		if ((rc = disk_open(&v->wal, path, create)) == 0) {
			f->disk = v->wal;
			f->base.pMethods = &vfs_wal_methods;
		}
	}
	pthread_mutex_unlock(&v->lock);
	if (rc < 0) {
		errno = -rc;
		return vfs_fail(SQLITE_CANTOPEN, "opening a file");
	}
	if (out_flags)
		*out_flags = flags;
	return SQLITE_OK;
}

static int x_delete(sqlite3_vfs *base, const char *path, int sync_dir)
{
	struct vfs *v = vfs_of(base);
	bool known;

	pthread_mutex_lock(&v->lock);
	known = v->wal_path && strcmp(path, v->wal_path) == 0;
	/* a sync under way may hold the file; whoever opens the log next gets the new one all the same */
	if (known)
		v->wal = NULL;
	pthread_mutex_unlock(&v->lock);
	if (!known)
		return SQLITE_IOERR_DELETE_NOENT;
	if (unlink(path) < 0)
		return errno == ENOENT ? SQLITE_IOERR_DELETE_NOENT : vfs_fail(SQLITE_IOERR_DELETE, "removing the log");
	return sync_dir && dir_sync(v) < 0 ? SQLITE_IOERR_DIR_FSYNC : SQLITE_OK;
}

/* No file but these two ever exists for SQLite; an empty one, as its own VFS has it, does not either. */
static int x_access(sqlite3_vfs *base, const char *path, int flags, int *out)
{
	struct vfs *v = vfs_of(base);
	struct stat st;
	bool known;

	(void)flags;
	pthread_mutex_lock(&v->lock);
	known = v->db_path && (strcmp(path, v->db_path) == 0 || strcmp(path, v->wal_path) == 0);
	pthread_mutex_unlock(&v->lock);
	*out = known && stat(path, &st) == 0 && st.st_size > 0;
	return SQLITE_OK;
}

static int x_full_pathname(sqlite3_vfs *base, const char *path, int len, char *out)
{
	sqlite3_vfs *os = vfs_of(base)->os;

	return os->xFullPathname(os, path, len, out);
}

static void *x_dl_open(sqlite3_vfs *base, const char *path)
{
	(void)base;
	(void)path;
	return NULL;
}

static void x_dl_error(sqlite3_vfs *base, int len, char *out)
{
	(void)base;
	sqlite3_snprintf(len, out, "extensions are not loaded into a store");
}

static void (*x_dl_sym(sqlite3_vfs *base, void *handle, const char *symbol))(void)
{
	(void)base;
	(void)handle;
	(void)symbol;
	return NULL;
}

static void x_dl_close(sqlite3_vfs *base, void *handle)
{
	(void)base;
	(void)handle;
}

static int x_randomness(sqlite3_vfs *base, int len, char *out)
{
	sqlite3_vfs *os = vfs_of(base)->os;

	return os->xRandomness(os, len, out);
}

static int x_sleep(sqlite3_vfs *base, int us)
{
	sqlite3_vfs *os = vfs_of(base)->os;

	return os->xSleep(os, us);
}

static int x_current_time(sqlite3_vfs *base, double *day)
{
	sqlite3_vfs *os = vfs_of(base)->os;

	return os->xCurrentTime(os, day);
}

static int x_current_time_ms(sqlite3_vfs *base, sqlite3_int64 *ms)
{
	sqlite3_vfs *os = vfs_of(base)->os;

	return os->xCurrentTimeInt64(os, ms);
}

static int x_last_error(sqlite3_vfs *base, int len, char *out)
{
	(void)base;
	(void)len;
	(void)out;
	return vfs_last_errno();
}

static const sqlite3_vfs vfs_methods = {
	.iVersion = 2,
	.szOsFile = sizeof(struct vfs_file),
	.xOpen = x_open,
	.xDelete = x_delete,
	.xAccess = x_access,
	.xFullPathname = x_full_pathname,
	.xDlOpen = x_dl_open,
	.xDlError = x_dl_error,
	.xDlSym = x_dl_sym,
	.xDlClose = x_dl_close,
	.xRandomness = x_randomness,
	.xSleep = x_sleep,
	.xCurrentTime = x_current_time,
	.xGetLastError = x_last_error,
	.xCurrentTimeInt64 = x_current_time_ms,
};

int vfs_new(struct vfs **out, const uint8_t key[32], const uint8_t store_id[16])
{
	static atomic_uint count;
	struct vfs *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->synced, NULL);
	v->key = secret_alloc(KEY_BYTES);
	v->os = sqlite3_vfs_find(NULL);
	if (!v->key || !v->os)
		goto fail;
	memcpy(v->key, key, KEY_BYTES);
	memcpy(v->store_id, store_id, STORE_ID_LEN);
	snprintf(v->name, sizeof(v->name), "borderfs-%u", atomic_fetch_add(&count, 1));
	v->base = vfs_methods;
	v->base.mxPathname = v->os->mxPathname;
	v->base.zName = v->name;
	if (sqlite3_vfs_register(&v->base, 0) != SQLITE_OK)
		goto fail;
	*out = v;
	return 0;
fail:
	vfs_free(v);
	return -ENOMEM;
}

const char *vfs_name(const struct vfs *v)
{
	return v->name;
}

void vfs_free(struct vfs *v)
{
	if (!v)
		return;
	sqlite3_vfs_unregister(&v->base);
	secret_free(v->key);
	free(v->db_path);
	free(v->wal_path);
	pthread_cond_destroy(&v->synced);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

/* the WAL with a reference of the caller's, or NULL while there is none */
static struct vfs_disk *wal_hold(struct vfs *v)
{
	struct vfs_disk *d;

	pthread_mutex_lock(&v->lock);
	d = v->wal;
	if (d)
		d->refs++;
	pthread_mutex_unlock(&v->lock);
	return d;
}

int vfs_wal_sync(struct vfs *v)
{
	struct vfs_disk *d = wal_hold(v);
	int rc;

	if (!d) /* the last connection moved it all into the database, and synced that */
		return 0;
	rc = vfs_disk_sync(v, d);
	vfs_disk_release(v, d);
	return rc;
}

uint64_t vfs_wal_bytes(struct vfs *v)
{
	struct vfs_disk *d = wal_hold(v);
	struct stat st = { 0 };

	if (!d)
		return 0;
	if (fstat(d->fd, &st) < 0)
		log_error("metadata: reading the log's size: %s", err_text(-errno));
	vfs_disk_release(v, d);
	return (uint64_t)st.st_size;
}
