/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/core/acl.h"
#include "fs/core/internal.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK	    4096
#define DAY_S	    86400
#define TICK_NS_MAX (20 * NS_PER_MS) /* further ahead: the clock was set back */

void stat_fill(const struct inode *inode, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = inode->ino;
	st->st_mode = inode->mode;
	st->st_nlink = inode->nlink;
	st->st_uid = inode->uid;
	st->st_gid = inode->gid;
	st->st_rdev = inode->rdev;
	st->st_size = S_ISDIR(inode->mode) ? 4096 : (off_t)inode->size;
	st->st_blksize = 4096;
	st->st_blocks = S_ISDIR(inode->mode) ? 8 : (blkcnt_t)((inode->bytes + 511) / 512);
	st->st_atim = inode->atime;
	st->st_mtim = inode->mtime;
	st->st_ctim = inode->ctime;
}

/* The kernel stamps what it writes by the coarse clock, or by a finer one that it has shown to somebody since that
 * clock's last tick. Times made here are neither younger than those it gives afterwards nor older than those it gave
 * before: programs compare them. */
static struct timespec stamp(const struct core *core)
{
	struct timespec now;
	int64_t ahead;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	ahead = core->stamp_ns - (now.tv_sec * NS_PER_S + now.tv_nsec);
	if (ahead <= 0 || ahead > TICK_NS_MAX)
		return now;
	return (struct timespec){ .tv_sec = core->stamp_ns / NS_PER_S, .tv_nsec = core->stamp_ns % NS_PER_S };
}

/* Under the meta lock. One from the future is no clock's. */
static void stamp_seen(struct core *core, const struct timespec *t)
{
	int64_t ns = t->tv_sec > 0 && t->tv_sec < INT64_MAX / NS_PER_S ? t->tv_sec * NS_PER_S + t->tv_nsec : 0;

	if (ns > core->stamp_ns && ns <= clock_real_ns())
		core->stamp_ns = ns;
}

void times_now(struct core *core, struct inode *inode, unsigned set)
{
	struct timespec now = stamp(core);

	if (set & SET_ATIME)
		inode->atime = now;
	if (set & SET_MTIME)
		inode->mtime = now;
	if (set & SET_CTIME)
		inode->ctime = now;
}

/* ---- the time of access ------------------------------------------------------------------------------------------
 */

void core_set_atime(struct core *core, enum core_atime atime, bool directories)
{
	core->atime = atime;
	core->atime_of_files_only = !directories;
}

static bool not_after(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec <= b->tv_nsec);
}

/* So long as it is older than the last change, a reader is somebody's sign that it was read; once a day is enough to
 * tell what is still in use. */
static bool is_stale(const struct inode *inode)
{
	struct timespec now;

	if (not_after(&inode->atime, &inode->mtime) || not_after(&inode->atime, &inode->ctime))
		return true;
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now.tv_sec - inode->atime.tv_sec >= DAY_S;
}

/* Left out rather than waited for: the next read does it. */
bool accessed(struct core *core, struct inode *inode)
{
	if (core->atime == CORE_ATIME_NONE || (core->atime_of_files_only && S_ISDIR(inode->mode)) ||
		(core->atime == CORE_ATIME_RELATIVE && !is_stale(inode)) || !meta_has_room(core->meta))
		return false;
	times_now(core, inode, SET_ATIME);
	meta_inode_written(core->meta, inode);
	return true;
}

int inode_get_dir(struct core *core, uint64_t ino, struct inode **out)
{
	int rc = meta_inode_get(core->meta, ino, out);

	if (rc < 0)
		return rc;
	if (!S_ISDIR((*out)->mode)) {
		meta_inode_put(core->meta, *out);
		*out = NULL;
		return -ENOTDIR;
	}
	return 0;
}

int core_getattr(struct core *core, uint64_t ino, struct stat *st)
{
	struct timespec birth;

	return core_getattr_birth(core, ino, st, &birth);
}

int core_getattr_birth(struct core *core, uint64_t ino, struct stat *st, struct timespec *birth)
{
	struct inode *inode;
	int rc = meta_inode_get(core->meta, ino, &inode);

	if (rc < 0)
		return rc;
	meta_lock(core->meta);
	stat_fill(inode, st);
	*birth = inode->btime;
	meta_unlock(core->meta);
	meta_inode_put(core->meta, inode);
	return 0;
}

static void set_times(struct core *core, struct inode *inode, unsigned set, const struct stat *in)
{
	if (set & SET_ATIME)
		inode->atime = in->st_atim;
	if (set & SET_MTIME)
		inode->mtime = in->st_mtim;
	times_now(
		core, inode, (set & SET_ATIME_NOW ? SET_ATIME : 0) | (set & SET_MTIME_NOW ? SET_MTIME : 0) | SET_CTIME);
	if (set & SET_CTIME) {
		inode->ctime = in->st_ctim;
		stamp_seen(core, &in->st_ctim);
	}
}

/* Under the meta lock; attributes loaded. */
static int set_mode(struct core *core, struct inode *inode, mode_t mode)
{
	const void *list;
	void *copy;
	size_t len;
	int rc;

	mode = (inode->mode & S_IFMT) | (mode & ALLPERMS);
	if ((list = meta_xattr_find(inode, ACL_ACCESS, &len))) {
		if (!(copy = malloc(len)))
			return -ENOMEM;
		memcpy(copy, list, len);
		acl_chmod(copy, len, mode);
		rc = meta_xattr_set(core->meta, inode, ACL_ACCESS, copy, len);
		free(copy);
		if (rc < 0)
			return rc;
	}
	inode->mode = mode;
	return 0;
}

/* As the kernel's own filesystems do; a directory's bits mean something else. */
static mode_t without_set_ids(mode_t mode, bool in_group)
{
	if (S_ISDIR(mode))
		return mode;
	return mode & ~(mode_t)(S_ISUID | (mode & S_IXGRP || !in_group ? S_ISGID : 0));
}

bool core_kill_set_ids(struct core *core, uint64_t ino, bool in_group)
{
	struct inode *inode;
	bool changes;
	mode_t mode;

	if (meta_inode_get(core->meta, ino, &inode) < 0)
		return false;
	meta_lock(core->meta);
	mode = without_set_ids(inode->mode, in_group);
	changes = mode != inode->mode;
	if (changes) {
		inode->mode = mode;
		times_now(core, inode, SET_CTIME);
		meta_inode_changed(core->meta, inode);
	}
	meta_unlock(core->meta);
	meta_inode_put(core->meta, inode);
	return changes;
}

/* Under the meta lock. Owner and age are conditions of rules. The kernel sends times that it holds with every flush of
 * them: mostly those we have. */
static bool concerns_rules(const struct inode *inode, unsigned set, const struct stat *in)
{
	const struct timespec *now = &inode->mtime, *then = &in->st_mtim;

	if (!S_ISREG(inode->mode))
		return false;
	return (set & SET_UID && inode->uid != in->st_uid) || (set & SET_GID && inode->gid != in->st_gid) ||
	       set & SET_MTIME_NOW ||
	       (set & SET_MTIME && (now->tv_sec != then->tv_sec || now->tv_nsec != then->tv_nsec));
}

/* Under the meta lock. */
static int check_owners(struct core *core, const struct inode *inode, unsigned set, const struct stat *in)
{
	return meta_may_chown(
		core->meta, inode, set & SET_UID ? in->st_uid : inode->uid, set & SET_GID ? in->st_gid : inode->gid);
}

int core_setattr(struct core *core, uint64_t ino, unsigned set, const struct stat *in, struct stat *st)
{
	struct inode *inode;
	bool matters;
	int rc = meta_throttle(core->meta);

	if (rc < 0 || (rc = meta_inode_get(core->meta, ino, &inode)) < 0)
		return rc;
	meta_lock(core->meta);
	matters = concerns_rules(inode, set, in);
	meta_unlock(core->meta);
	if (matters)
		hold_before(core, inode);
	if (set & SET_MODE && (rc = meta_xattrs_load(core->meta, inode)) < 0)
		goto out;
	meta_lock(core->meta);
	matters = concerns_rules(inode, set, in); /* others may have changed it since */
	if ((rc = check_owners(core, inode, set, in)) < 0)
		goto out_locked;
	if (set & SET_MODE && (rc = set_mode(core, inode, in->st_mode)) < 0)
		goto out_locked;
	else if (set & (SET_UID | SET_GID))
		inode->mode = without_set_ids(inode->mode, true);
	if (set & SET_UID)
		inode->uid = in->st_uid;
	if (set & SET_GID)
		inode->gid = in->st_gid;
	set_times(core, inode, set, in);
	if (matters)
		place_changed(core->place, inode);
	if (set & (SET_MODE | SET_UID | SET_GID))
		meta_inode_changed(core->meta, inode);
	else
		meta_inode_written(core->meta, inode);
	stat_fill(inode, st);
out_locked:
	meta_unlock(core->meta);
	if (rc == 0 && matters) {
		placement_changed(core, inode);
		hold_at_once(core, inode);
	}
out:
	meta_inode_put(core->meta, inode);
	return rc;
}

static uint64_t left_of(uint64_t max, uint64_t has)
{
	return max > has ? max - has : 0;
}

/* Used is what the files hold wherever it lies; available is what can be written at once, since what a cloud still has
 * room for nobody tells. */
int core_statfs(struct core *core, struct statvfs *out)
{
	struct meta_usage has, max;
	struct statvfs store;
	uint64_t left;

	if (statvfs(core->store, &store) < 0)
		return -errno;
	meta_totals(core->meta, &has);
	meta_quota_whole(core->meta, &max);
	memset(out, 0, sizeof(*out));
	left = (uint64_t)store.f_bavail * store.f_frsize;
	if (max.bytes)
		left = left_of(max.bytes, has.bytes);
	out->f_bsize = out->f_frsize = BLOCK;
	out->f_bfree = out->f_bavail = (fsblkcnt_t)(left / BLOCK);
	out->f_blocks = out->f_bfree + (fsblkcnt_t)((has.bytes + BLOCK - 1) / BLOCK);
	if (max.bytes && store.f_bavail * store.f_frsize < left)
		out->f_bavail = (fsblkcnt_t)(store.f_bavail * store.f_frsize / BLOCK);
	out->f_ffree = out->f_favail = (fsfilcnt_t)(max.inodes ? left_of(max.inodes, has.inodes) : UINT32_MAX);
	out->f_files = has.inodes + out->f_ffree;
	out->f_namemax = META_NAME_MAX;
	return 0;
}
