/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/core/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE	 2
#define RENAME_WHITEOUT	 4
#endif

/* One rename under way. src and dst are the entries, from and to the directories, file what moves, over what is there.
 */
struct renaming {
	struct inode *from, *to, *file, *over;
	struct inode *whiteout; /* what takes the old name, with RENAME_WHITEOUT */
	struct dentry *src, *dst;
	unsigned flags;
	bool rename_locked, over_locked;
	struct held_name held;	    /* what file inherits from over, or from a held file that lost this name */
	struct held_name held_over; /* what over inherits from file, where they exchange their names */
};

static bool exchange(const struct renaming *r)
{
	return r->flags & RENAME_EXCHANGE;
}

static bool is_dir(const struct inode *inode)
{
	return inode && S_ISDIR(inode->mode);
}

static void lock_dirs(struct core *core, struct renaming *r)
{
	struct inode *first = r->from, *second = r->to;

	if (r->from != r->to) {
		pthread_mutex_lock(&core->rename_lock);
		r->rename_locked = true;
		if (first->ino > second->ino) {
			first = r->to;
			second = r->from;
		}
	}
	pthread_rwlock_wrlock(&first->data_lock);
	if (second != first)
		pthread_rwlock_wrlock(&second->data_lock);
}

static void unlock_dirs(struct core *core, struct renaming *r)
{
	if (r->over_locked)
		pthread_rwlock_unlock(&r->over->data_lock);
	pthread_rwlock_unlock(&r->from->data_lock);
	if (r->to != r->from)
		pthread_rwlock_unlock(&r->to->data_lock);
	if (r->rename_locked)
		pthread_mutex_unlock(&core->rename_lock);
	r->over_locked = r->rename_locked = false;
}

/* The rename lock comes before any directory's, so a rename inside one directory that turns out to replace a directory
 * starts again with it. */
static void relock_with_rename(struct core *core, struct renaming *r)
{
	unlock_dirs(core, r);
	pthread_mutex_lock(&core->rename_lock);
	r->rename_locked = true;
	pthread_rwlock_wrlock(&r->from->data_lock);
}

static int entry_inode(struct core *core, struct dentry *d, struct inode **out)
{
	uint64_t ino;

	meta_lock(core->meta);
	ino = d->ino;
	meta_unlock(core->meta);
	*out = NULL;
	return ino ? meta_inode_get(core->meta, ino, out) : 0;
}

static void put_files(struct core *core, struct renaming *r)
{
	meta_inode_put(core->meta, r->file);
	meta_inode_put(core->meta, r->over);
	r->file = r->over = NULL;
}

/* Both files, with the directories locked so that the entries cannot change any more. */
static int get_files(struct core *core, struct renaming *r)
{
	int rc;

	for (;;) {
		if ((rc = entry_inode(core, r->src, &r->file)) < 0 || (rc = entry_inode(core, r->dst, &r->over)) < 0)
			return rc;
		if (!is_dir(r->over) || exchange(r) || r->rename_locked)
			return r->file ? 0 : -ENOENT;
		put_files(core, r);
		relock_with_rename(core, r);
	}
}

/* Whether dir is inode or lies below it. */
static int lies_below(struct core *core, uint64_t dir, uint64_t inode)
{
	int rc;

	while (dir != 0) {
		if (dir == inode)
			return 1;
		if (dir == META_ROOT_INO)
			return 0;
		if ((rc = meta_parent(core->meta, dir, &dir)) < 0)
			return rc;
	}
	return 0;
}

static int check_loops(struct core *core, const struct renaming *r)
{
	int rc = 0;

	if (r->from == r->to)
		return 0;
	if (is_dir(r->file) && (rc = lies_below(core, r->to->ino, r->file->ino)) != 0)
		return rc < 0 ? rc : -EINVAL;
	if (r->over && r->flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (is_dir(r->over) && (rc = lies_below(core, r->from->ino, r->over->ino)) != 0)
		return rc < 0 ? rc : exchange(r) ? -EINVAL : -ENOTEMPTY;
	return 0;
}

static int check_replaced(struct core *core, struct renaming *r)
{
	int rc;

	if (exchange(r))
		return r->over ? 0 : -ENOENT;
	if (!r->over)
		return 0;
	if (r->flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (is_dir(r->file) != is_dir(r->over))
		return is_dir(r->over) ? -EISDIR : -ENOTDIR;
	if (!is_dir(r->over))
		return 0;
	pthread_rwlock_wrlock(&r->over->data_lock);
	r->over_locked = true;
	rc = meta_dir_empty(core->meta, r->over->ino);
	return rc < 0 ? rc : rc == 0 ? -ENOTEMPTY : 0;
}

/* A name that points at a file whose bytes are not synced yet, in place of one whose are, would lose both at a power
 * cut: the bytes go first, as ext4's auto_da_alloc has it. */
static int sync_before_replacing(struct core *core, const struct renaming *r)
{
	if (!r->over || exchange(r) || !S_ISREG(r->file->mode) || cache_is_synced(core->cache, r->file))
		return 0;
	return cache_sync(core->cache, r->file);
}

/* Whoever gets a held file's name gets its mark. */
static int inherit(struct core *core, struct renaming *r, const char *name, const char *new_name)
{
	bool files = S_ISREG(r->file->mode) && r->over && S_ISREG(r->over->mode);
	int rc = 0;

	hold_before_losing(core, r->file, r->from->ino, name);
	if (r->over)
		hold_before_losing(core, r->over, r->to->ino, new_name);
	if (files)
		held_from(core, r->over, &r->held);
	else if (S_ISREG(r->file->mode) && !r->over)
		held_take(core, r->to->ino, new_name, &r->held);
	if (files && exchange(r))
		held_from(core, r->file, &r->held_over);
	if (r->held.held)
		rc = meta_xattrs_load(core->meta, r->file);
	if (rc == 0 && r->held_over.held)
		rc = meta_xattrs_load(core->meta, r->over);
	return rc;
}

/* Under the meta lock: link counts of the directories when a directory changes places. */
static void count_dirs(struct renaming *r)
{
	if (exchange(r)) {
		r->from->nlink += is_dir(r->over) - is_dir(r->file);
		r->to->nlink += is_dir(r->file) - is_dir(r->over);
		return;
	}
	r->from->nlink -= is_dir(r->file);
	r->to->nlink += is_dir(r->file);
	r->to->nlink -= is_dir(r->over);
}

/* Under the meta lock. */
static void touch_moved(struct core *core, struct inode *inode)
{
	place_changed(core->place, inode);
	times_now(core, inode, SET_CTIME);
	meta_inode_changed(core->meta, inode);
}

/* Under the meta lock. */
static void lose_replaced(struct inode *over)
{
	over->nlink = S_ISDIR(over->mode) ? 0 : over->nlink - 1;
	if (over->nlink == 0)
		orphan_begin(over);
}

/* Under the meta lock: the device 0:0 that stands for a name overlay filesystems hide. */
static int make_whiteout(struct core *core, struct renaming *r)
{
	int rc = meta_may_create(core->meta, S_IFCHR, r->from->uid, r->from->gid);
	struct inode *inode;

	if (rc < 0)
		return rc;
	if (!(inode = meta_inode_new(core->meta, S_IFCHR, r->from->uid, r->from->gid, 0)))
		return -ENOMEM;
	times_now(core, inode, SET_ATIME | SET_MTIME | SET_CTIME);
	inode->btime = inode->ctime;
	inode->nlink = 1;
	meta_inode_changed(core->meta, inode);
	r->whiteout = inode;
	return 0;
}

/* Under the meta lock: the change itself, one operation. */
static void apply(struct core *core, struct renaming *r)
{
	const struct inode *left = exchange(r) ? r->over : r->whiteout;

	meta_dentry_set(core->meta, r->src, left ? left->ino : 0, left ? IFTODT(left->mode) : DT_UNKNOWN);
	meta_dentry_set(core->meta, r->dst, r->file->ino, IFTODT(r->file->mode));
	count_dirs(r);
	if (r->over && !exchange(r))
		lose_replaced(r->over);
	touch_moved(core, r->file);
	if (r->over)
		touch_moved(core, r->over);
	held_give(core, r->file, &r->held);
	if (r->over)
		held_give(core, r->over, &r->held_over);
	times_now(core, r->from, SET_MTIME | SET_CTIME);
	times_now(core, r->to, SET_MTIME | SET_CTIME);
	meta_inode_changed(core->meta, r->from);
	meta_inode_changed(core->meta, r->to);
}

static int rename_locked(struct core *core, struct renaming *r, const char *name, const char *new_name)
{
	int rc = get_files(core, r);

	if (rc < 0)
		return rc;
	if (r->file == r->over && !(r->flags & RENAME_NOREPLACE))
		return 0; /* two names of one file: POSIX says that nothing happens */
	/* loops first: what is replaced may be the directory the name comes from, which is locked already */
	if ((rc = check_loops(core, r)) < 0 || (rc = check_replaced(core, r)) < 0 ||
		(rc = sync_before_replacing(core, r)) < 0 || (rc = inherit(core, r, name, new_name)) < 0)
		return rc;
	if (r->to->nlink == 0)
		return -ENOENT;
	if (S_ISREG(r->file->mode) && !exchange(r))
		held_lost(core, r->from->ino, name, r->file);
	meta_lock(core->meta);
	rc = r->flags & RENAME_WHITEOUT ? make_whiteout(core, r) : 0;
	if (rc == 0)
		apply(core, r);
	meta_unlock(core->meta);
	return rc < 0 ? rc : 1;
}

/* A directory takes all that is below it along. */
static int before(struct core *core, const struct renaming *r)
{
	bool dirs;

	meta_lock(core->meta);
	dirs = r->src->type == DT_DIR || (exchange(r) && r->dst->type == DT_DIR);
	meta_unlock(core->meta);
	return dirs ? hold_all_before(core) : 0;
}

/* I1: what may not go abroad any more is cut before the rename replies. */
static void after(struct core *core, struct renaming *r, const char *name, const char *new_name)
{
	if (is_dir(r->file) || (exchange(r) && is_dir(r->over)))
		subtree_changed(core);
	if (S_ISREG(r->file->mode)) {
		placement_changed(core, r->file);
		hold_named(core, r->file, r->to->ino, new_name);
	}
	if (!r->over || !S_ISREG(r->over->mode))
		return;
	if (exchange(r)) {
		placement_changed(core, r->over);
		hold_named(core, r->over, r->from->ino, name);
	} else {
		transfer_revalidate(core->transfer, r->over->ino);
	}
}

static int check_rename(const char *name, const char *new_name, unsigned flags)
{
	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT) ||
		(flags & RENAME_EXCHANGE && flags != RENAME_EXCHANGE))
		return -EINVAL;
	if (strlen(name) > META_NAME_MAX || strlen(new_name) > META_NAME_MAX)
		return -ENAMETOOLONG;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(new_name, ".") == 0 ||
		strcmp(new_name, "..") == 0)
		return -EBUSY;
	return 0;
}

int core_rename(
	struct core *core, uint64_t parent, const char *name, uint64_t new_parent, const char *new_name, unsigned flags)
{
	struct renaming r = { .flags = flags };
	int rc = check_rename(name, new_name, flags);

	if (rc < 0 || (rc = meta_throttle(core->meta)) < 0 || (rc = inode_get_dir(core, parent, &r.from)) < 0)
		return rc;
	if ((rc = inode_get_dir(core, new_parent, &r.to)) < 0 ||
		(rc = meta_dentry_get(core->meta, parent, name, &r.src)) < 0 ||
		(rc = meta_dentry_get(core->meta, new_parent, new_name, &r.dst)) < 0)
		goto out;
	if ((rc = before(core, &r)) < 0)
		goto out;
	lock_dirs(core, &r);
	rc = rename_locked(core, &r, name, new_name);
	unlock_dirs(core, &r);
	if (rc == 1) {
		after(core, &r, name, new_name);
		rc = 0;
	}
out:
	free(r.held.tags);
	free(r.held_over.tags);
	put_files(core, &r);
	meta_inode_put(core->meta, r.whiteout);
	meta_dentry_put(core->meta, r.src);
	meta_dentry_put(core->meta, r.dst);
	meta_inode_put(core->meta, r.to);
	meta_inode_put(core->meta, r.from);
	return rc;
}
