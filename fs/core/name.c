/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/core/acl.h"
#include "fs/core/internal.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

static int check_name(const char *name)
{
	size_t len = strlen(name);

	if (len > META_NAME_MAX)
		return -ENAMETOOLONG;
	if (len == 0)
		return -ENOENT;
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ? -EEXIST : 0;
}

void placement_changed(struct core *core, struct inode *inode)
{
	transfer_revalidate(core->transfer, inode->ino);
	transfer_touch(core->transfer, inode->ino);
}

void subtree_changed(struct core *core)
{
	transfer_revalidate(core->transfer, 0);
	transfer_subtree(core->transfer);
}

static int lookup_dot(struct core *core, uint64_t parent, const char *name, struct stat *st)
{
	uint64_t up = parent;
	int rc = 0;

	if (strcmp(name, "..") == 0 && (rc = meta_parent(core->meta, parent, &up)) < 0)
		return rc;
	return core_getattr(core, up ? up : META_ROOT_INO, st);
}

/* The inode a positive entry points at; -ENOENT for a negative one. References both. */
static int name_get(struct core *core, uint64_t parent, const char *name, struct dentry **d, struct inode **inode)
{
	uint64_t ino;
	int rc = meta_dentry_get(core->meta, parent, name, d);

	*inode = NULL;
	if (rc < 0) {
		*d = NULL;
		return rc;
	}
	meta_lock(core->meta);
	ino = (*d)->ino;
	meta_unlock(core->meta);
	return ino ? meta_inode_get(core->meta, ino, inode) : -ENOENT;
}

int core_lookup(struct core *core, uint64_t parent, const char *name, struct stat *st)
{
	struct inode *inode;
	struct dentry *d;
	int rc;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return lookup_dot(core, parent, name, st);
	rc = name_get(core, parent, name, &d, &inode);
	if (rc == 0) {
		meta_lock(core->meta);
		stat_fill(inode, st);
		meta_unlock(core->meta);
	}
	meta_inode_put(core->meta, inode);
	meta_dentry_put(core->meta, d);
	return rc;
}

/* ---- making names ------------------------------------------------------------------------------------------------ */

struct new_node {
	const struct core_caller *caller;
	mode_t mode;
	dev_t rdev;
	const char *target; /* of a symlink */
	bool open;	    /* referenced by the caller afterwards, and counted open */
	bool writer;
};

/* Under the meta lock. The directory's default list stands in the place of the umask. */
static int inherit_list(struct core *core, struct inode *dir, const struct new_node *what, struct inode *inode)
{
	const void *list;
	uint8_t *copy;
	size_t len;
	int rc = 0;

	if (S_ISLNK(what->mode))
		return 0;
	if (!(list = meta_xattr_find(dir, ACL_DEFAULT, &len))) {
		inode->mode &= ~what->caller->umask;
		return 0;
	}
	if (!(copy = malloc(len)))
		return -ENOMEM;
	memcpy(copy, list, len);
	if (acl_inherit(copy, len, &inode->mode))
		rc = meta_xattr_set(core->meta, inode, ACL_ACCESS, copy, len);
	if (rc == 0 && S_ISDIR(what->mode))
		rc = meta_xattr_set(core->meta, inode, ACL_DEFAULT, list, len);
	free(copy);
	return rc;
}

static int fill_new(struct core *core, struct inode *dir, const struct new_node *what, struct inode *inode)
{
	times_now(core, inode, SET_ATIME | SET_MTIME | SET_CTIME);
	inode->btime = inode->ctime;
	inode->open_count = what->open;
	inode->writer_count = what->writer;
	if (dir->mode & S_ISGID && S_ISDIR(what->mode))
		inode->mode |= S_ISGID;
	if (!what->target)
		return inherit_list(core, dir, what, inode);
	inode->size = inode->disk_size = strlen(what->target);
	return meta_xattr_set(core->meta, inode, TARGET_XATTR, what->target, inode->size);
}

/* Under the meta lock and the directory's data_lock; the directory's attributes are loaded. *out is set also where it
 * fails: the caller puts it. */
static int make_inode(struct core *core, struct inode *dir, const struct new_node *what, struct inode **out)
{
	uid_t uid = what->caller->uid;
	gid_t gid = dir->mode & S_ISGID ? dir->gid : what->caller->gid;
	int rc;

	if (dir->nlink == 0)
		return -ENOENT;
	if ((rc = meta_may_create(core->meta, what->mode, uid, gid)) < 0)
		return rc;
	if (!(*out = meta_inode_new(core->meta, what->mode, uid, gid, what->rdev)))
		return -ENOMEM;
	return fill_new(core, dir, what, *out);
}

static int attach_new(struct core *core, struct inode *dir, struct dentry *d, const struct new_node *what,
	const struct held_name *held, struct inode **out)
{
	int rc;

	if (dir->nlink > 0 && d->ino)
		return -EEXIST;
	if (S_ISDIR(what->mode) && dir->nlink == UINT32_MAX)
		return -EMLINK;
	if ((rc = make_inode(core, dir, what, out)) < 0)
		return rc;
	(*out)->nlink = S_ISDIR(what->mode) ? 2 : 1;
	meta_inode_changed(core->meta, *out);
	held_give(core, *out, held);
	meta_dentry_set(core->meta, d, (*out)->ino, IFTODT(what->mode));
	dir->nlink += S_ISDIR(what->mode);
	times_now(core, dir, SET_MTIME | SET_CTIME);
	meta_inode_changed(core->meta, dir);
	return 0;
}

static int make_node(struct core *core, uint64_t parent, const char *name, const struct new_node *what, struct stat *st,
	struct inode **out)
{
	struct inode *dir = NULL, *inode = NULL;
	struct held_name held = { 0 };
	struct dentry *d = NULL;
	int rc;

	if ((rc = check_name(name)) < 0 || (rc = meta_throttle(core->meta)) < 0 ||
		(rc = inode_get_dir(core, parent, &dir)) < 0)
		return rc;
	pthread_rwlock_wrlock(&dir->data_lock);
	if ((rc = meta_xattrs_load(core->meta, dir)) < 0 || (rc = meta_dentry_get(core->meta, parent, name, &d)) < 0)
		goto out;
	if (S_ISREG(what->mode))
		held_take(core, parent, name, &held);
	meta_lock(core->meta);
	rc = attach_new(core, dir, d, what, &held, &inode);
	if (rc == 0)
		stat_fill(inode, st);
	meta_unlock(core->meta);
	if (rc == 0 && S_ISDIR(what->mode))
		held_dir_made(core, parent, name, inode->ino);
out:
	pthread_rwlock_unlock(&dir->data_lock);
	free(held.tags);
	meta_dentry_put(core->meta, d);
	meta_inode_put(core->meta, dir);
	if (rc == 0 && out)
		*out = inode;
	else
		meta_inode_put(core->meta, inode);
	return rc;
}

int core_mknod(struct core *core, const struct core_caller *caller, uint64_t parent, const char *name, mode_t mode,
	dev_t rdev, struct stat *st)
{
	struct new_node what = { .caller = caller, .mode = mode, .rdev = rdev };
	int rc;

	if (!(mode & S_IFMT))
		what.mode |= S_IFREG;
	rc = make_node(core, parent, name, &what, st, NULL);
	if (rc == 0 && S_ISREG(what.mode))
		transfer_touch(core->transfer, st->st_ino);
	return rc;
}

int core_mkdir(struct core *core, const struct core_caller *caller, uint64_t parent, const char *name, mode_t mode,
	struct stat *st)
{
	struct new_node what = { .caller = caller, .mode = S_IFDIR | (mode & 07777) };

	return make_node(core, parent, name, &what, st, NULL);
}

int core_symlink(struct core *core, const struct core_caller *caller, uint64_t parent, const char *name,
	const char *target, struct stat *st)
{
	struct new_node what = { .caller = caller, .mode = S_IFLNK | 0777, .target = target };

	if (strlen(target) >= PATH_MAX)
		return -ENAMETOOLONG;
	return make_node(core, parent, name, &what, st, NULL);
}

/* core_file_create's part: the inode comes back referenced and open. */
int name_create(struct core *core, const struct core_caller *caller, uint64_t parent, const char *name, mode_t mode,
	bool writer, struct stat *st, struct inode **out)
{
	struct new_node what = { .caller = caller, .mode = S_IFREG | (mode & 07777), .open = true, .writer = writer };

	return make_node(core, parent, name, &what, st, out);
}

/* core_file_tmp's part: as name_create, but no name points at it yet. */
int name_none(struct core *core, const struct core_caller *caller, uint64_t parent, mode_t mode, int flags,
	struct stat *st, struct inode **out)
{
	struct new_node what = { .caller = caller, .mode = S_IFREG | (mode & 07777), .open = true, .writer = true };
	struct inode *dir, *inode = NULL;
	int rc = meta_throttle(core->meta);

	if (rc < 0 || (rc = inode_get_dir(core, parent, &dir)) < 0)
		return rc;
	if ((rc = meta_xattrs_load(core->meta, dir)) < 0)
		goto out;
	meta_lock(core->meta);
	if ((rc = make_inode(core, dir, &what, &inode)) == 0) {
		orphan_begin(inode);
		if (!(flags & O_EXCL))
			inode->lookups = ORPHAN_MAY_LINK;
		meta_inode_changed(core->meta, inode);
		stat_fill(inode, st);
		*out = inode;
	}
	meta_unlock(core->meta);
out:
	if (rc < 0)
		meta_inode_put(core->meta, inode);
	meta_inode_put(core->meta, dir);
	return rc;
}

int core_readlink(struct core *core, uint64_t ino, struct buf *out)
{
	struct inode *inode;
	const void *target;
	size_t len;
	int rc = meta_inode_get(core->meta, ino, &inode);

	if (rc < 0)
		return rc;
	if (!S_ISLNK(inode->mode))
		rc = -EINVAL;
	else
		rc = meta_xattrs_load(core->meta, inode);
	if (rc == 0) {
		meta_lock(core->meta);
		if ((target = meta_xattr_find(inode, TARGET_XATTR, &len)))
			buf_put(out, target, len);
		else
			rc = -ERR_CORRUPT;
		if (rc == 0)
			accessed(core, inode);
		meta_unlock(core->meta);
	}
	meta_inode_put(core->meta, inode);
	return rc < 0 ? rc : out->err;
}

/* Under the meta lock. */
static int check_link(const struct inode *inode, const struct inode *dir, const struct dentry *d)
{
	if (S_ISDIR(inode->mode))
		return -EPERM;
	if (dir->nlink == 0 || (inode->nlink == 0 && !(inode->lookups & ORPHAN_MAY_LINK)))
		return -ENOENT;
	if (d->ino)
		return -EEXIST;
	return inode->nlink >= LINK_MAX_NAMES ? -EMLINK : 0;
}

/* Under the meta lock. Whether it is the first name: the orphan's reference is the caller's then. */
static bool attach_link(
	struct core *core, struct inode *dir, struct dentry *d, struct inode *inode, const struct held_name *held)
{
	bool first = inode->nlink == 0;

	if (first)
		inode->core = NULL;
	meta_dentry_set(core->meta, d, inode->ino, IFTODT(inode->mode));
	inode->nlink++;
	place_changed(core->place, inode);
	times_now(core, inode, SET_CTIME);
	times_now(core, dir, SET_MTIME | SET_CTIME);
	meta_inode_changed(core->meta, inode);
	meta_inode_changed(core->meta, dir);
	if (first)
		held_give(core, inode, held);
	return first;
}

int core_link(struct core *core, uint64_t ino, uint64_t parent, const char *name, struct stat *st)
{
	struct inode *dir = NULL, *inode = NULL;
	struct held_name held = { 0 };
	struct dentry *d = NULL;
	bool first = false;
	int rc;

	if ((rc = check_name(name)) < 0 || (rc = meta_throttle(core->meta)) < 0 ||
		(rc = inode_get_dir(core, parent, &dir)) < 0)
		return rc;
	pthread_rwlock_wrlock(&dir->data_lock);
	if ((rc = meta_inode_get(core->meta, ino, &inode)) < 0 || (rc = meta_xattrs_load(core->meta, inode)) < 0 ||
		(rc = meta_dentry_get(core->meta, parent, name, &d)) < 0)
		goto out;
	if (inode->nlink == 0)
		held_take(core, parent, name, &held);
	meta_lock(core->meta);
	if ((rc = check_link(inode, dir, d)) == 0) {
		first = attach_link(core, dir, d, inode, &held);
		stat_fill(inode, st);
	}
	meta_unlock(core->meta);
	/* a second name can only tighten: what goes abroad now may not any more (I1) */
	if (rc == 0 && S_ISREG(inode->mode)) {
		placement_changed(core, inode);
		hold_named(core, inode, parent, name);
	}
out:
	pthread_rwlock_unlock(&dir->data_lock);
	free(held.tags);
	meta_dentry_put(core->meta, d);
	if (first)
		meta_inode_put(core->meta, inode);
	meta_inode_put(core->meta, inode);
	meta_inode_put(core->meta, dir);
	return rc;
}

/* ---- losing names ------------------------------------------------------------------------------------------------ */

/* An inode without a name lives until nobody has it open and the kernel forgot it. Its last name's loser leaves a
 * reference behind, which this gives back. */
void orphan_settle(struct core *core, struct inode *inode)
{
	bool gone;

	meta_lock(core->meta);
	gone = inode->nlink == 0 && inode->core && inode->lookups & ORPHAN_FORGOTTEN && inode->open_count == 0;
	if (gone)
		inode->core = NULL;
	if (gone && !S_ISREG(inode->mode))
		meta_inode_delete(core->meta, inode);
	meta_unlock(core->meta);
	if (!gone)
		return;
	if (S_ISREG(inode->mode))
		cache_inode_gone(core->cache, inode);
	meta_inode_put(core->meta, inode);
}

/* Under the meta lock, when nlink became 0: the orphan keeps a reference. */
void orphan_begin(struct inode *inode)
{
	if (inode->core)
		return;
	inode->core = inode;
	inode->lookups = 0;
	meta_inode_ref(inode);
}

void core_forget(struct core *core, uint64_t ino)
{
	struct inode *inode;

	meta_lock(core->meta);
	inode = meta_inode_peek(core->meta, ino);
	if (inode && inode->nlink == 0)
		inode->lookups |= ORPHAN_FORGOTTEN;
	meta_unlock(core->meta);
	if (!inode)
		return;
	orphan_settle(core, inode);
	meta_inode_put(core->meta, inode);
}

/* Under the meta lock. */
static void detach(struct core *core, struct inode *dir, struct dentry *d, struct inode *inode)
{
	meta_dentry_set(core->meta, d, 0, DT_UNKNOWN);
	if (S_ISDIR(inode->mode)) {
		inode->nlink = 0;
		dir->nlink--;
	} else {
		inode->nlink--;
	}
	place_changed(core->place, inode);
	times_now(core, inode, SET_CTIME);
	times_now(core, dir, SET_MTIME | SET_CTIME);
	meta_inode_changed(core->meta, inode);
	meta_inode_changed(core->meta, dir);
	if (inode->nlink == 0)
		orphan_begin(inode);
}

int core_unlink(struct core *core, uint64_t parent, const char *name)
{
	struct inode *dir = NULL, *inode = NULL;
	struct dentry *d = NULL;
	uint32_t left = 0;
	int rc;

	if ((rc = meta_throttle_freeing(core->meta)) < 0 || (rc = inode_get_dir(core, parent, &dir)) < 0)
		return rc;
	pthread_rwlock_wrlock(&dir->data_lock);
	if ((rc = name_get(core, parent, name, &d, &inode)) < 0)
		goto out;
	if (S_ISDIR(inode->mode)) {
		rc = -EISDIR;
		goto out;
	}
	hold_before_losing(core, inode, parent, name);
	held_lost(core, parent, name, inode);
	meta_lock(core->meta);
	if (d->ino != inode->ino)
		rc = -ENOENT;
	else
		detach(core, dir, d, inode);
	left = inode->nlink;
	meta_unlock(core->meta);
	if (rc == 0 && left > 0 && S_ISREG(inode->mode))
		placement_changed(core, inode);
	else if (rc == 0 && S_ISREG(inode->mode))
		transfer_revalidate(core->transfer, inode->ino);
out:
	pthread_rwlock_unlock(&dir->data_lock);
	meta_dentry_put(core->meta, d);
	meta_inode_put(core->meta, inode);
	meta_inode_put(core->meta, dir);
	return rc;
}

int core_rmdir(struct core *core, uint64_t parent, const char *name)
{
	struct inode *dir = NULL, *inode = NULL;
	struct dentry *d = NULL;
	int rc;

	if (strcmp(name, ".") == 0)
		return -EINVAL;
	if (strcmp(name, "..") == 0)
		return -ENOTEMPTY;
	if ((rc = meta_throttle_freeing(core->meta)) < 0 || (rc = inode_get_dir(core, parent, &dir)) < 0)
		return rc;
	pthread_mutex_lock(&core->rename_lock);
	pthread_rwlock_wrlock(&dir->data_lock);
	if ((rc = name_get(core, parent, name, &d, &inode)) < 0)
		goto out;
	if (!S_ISDIR(inode->mode)) {
		rc = -ENOTDIR;
		goto out;
	}
	pthread_rwlock_wrlock(&inode->data_lock);
	rc = meta_dir_empty(core->meta, inode->ino);
	rc = rc < 0 ? rc : rc == 0 ? -ENOTEMPTY : 0;
	if (rc == 0) {
		meta_lock(core->meta);
		detach(core, dir, d, inode);
		meta_unlock(core->meta);
		held_dir_lost(core, parent, name, inode->ino);
	}
	pthread_rwlock_unlock(&inode->data_lock);
out:
	pthread_rwlock_unlock(&dir->data_lock);
	pthread_mutex_unlock(&core->rename_lock);
	meta_dentry_put(core->meta, d);
	meta_inode_put(core->meta, inode);
	meta_inode_put(core->meta, dir);
	return rc;
}
