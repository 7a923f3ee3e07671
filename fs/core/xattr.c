/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/core/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#define VIRTUAL_PREFIX "user.borderfs."

static bool is_virtual(const char *name)
{
	return strncmp(name, VIRTUAL_PREFIX, strlen(VIRTUAL_PREFIX)) == 0;
}

static int check_xattr(const char *name)
{
	if (strlen(name) > XATTR_NAME_MAX)
		return -ERANGE;
	/* ACLs that nobody enforces would be worse than none */
	if (strncmp(name, "user.", 5) != 0 && strncmp(name, "trusted.", 8) != 0 && strncmp(name, "security.", 9) != 0)
		return -EOPNOTSUPP;
	return is_virtual(name) ? -EPERM : 0;
}

static int before_tags(struct core *core, struct inode *inode)
{
	if (S_ISDIR(inode->mode))
		return hold_all_before(core);
	hold_before(core, inode);
	return 0;
}

static void tags_changed(struct core *core, struct inode *inode)
{
	if (S_ISDIR(inode->mode)) {
		subtree_changed(core);
		return;
	}
	placement_changed(core, inode);
}

/* value NULL: remove. */
static int change_xattr(struct core *core, uint64_t ino, const char *name, const void *value, size_t len, int flags)
{
	bool tags = strcmp(name, TAGS_XATTR) == 0, there;
	struct inode *inode;
	size_t old;
	int rc;

	if ((rc = check_xattr(name)) < 0 || (rc = meta_throttle(core->meta)) < 0 ||
		(rc = meta_inode_get(core->meta, ino, &inode)) < 0)
		return rc;
	if ((rc = meta_xattrs_load(core->meta, inode)) < 0 || (tags && (rc = before_tags(core, inode)) < 0))
		goto out;
	meta_lock(core->meta);
	there = meta_xattr_find(inode, name, &old) != NULL;
	if (there && flags & XATTR_CREATE)
		rc = -EEXIST;
	else if (!there && (flags & XATTR_REPLACE || !value))
		rc = -ENODATA;
	else
		rc = meta_xattr_set(core->meta, inode, name, value, len);
	if (rc == 0) {
		if (tags)
			place_changed(core->place, inode);
		times_now(inode, SET_CTIME);
		meta_inode_changed(core->meta, inode);
	}
	meta_unlock(core->meta);
	if (rc == 0 && tags)
		tags_changed(core, inode);
out:
	meta_inode_put(core->meta, inode);
	return rc;
}

int core_setxattr(struct core *core, uint64_t ino, const char *name, const void *value, size_t len, int flags)
{
	return change_xattr(core, ino, name, value ? value : "", len, flags);
}

int core_removexattr(struct core *core, uint64_t ino, const char *name)
{
	return change_xattr(core, ino, name, NULL, 0, 0);
}

static int get_virtual(struct core *core, struct inode *inode, const char *name, struct buf *out)
{
	const char *what = name + strlen(VIRTUAL_PREFIX), *text = NULL;
	struct where where;
	int rc;

	if (!S_ISREG(inode->mode))
		return -ENODATA;
	if ((rc = transfer_where(core->transfer, inode, &where)) < 0)
		return rc;
	if (strcmp(what, "zone") == 0)
		text = where.zone;
	else if (strcmp(what, "rule") == 0)
		text = where.rule;
	else if (strcmp(what, "state") == 0)
		text = where_state_name(where.state);
	if (text)
		buf_str(out, text);
	where_free(&where);
	return text ? out->err : -ENODATA;
}

int core_getxattr(struct core *core, uint64_t ino, const char *name, struct buf *out)
{
	struct inode *inode;
	const void *value;
	size_t len;
	int rc = meta_inode_get(core->meta, ino, &inode);

	if (rc < 0)
		return rc;
	if (is_virtual(name)) {
		rc = get_virtual(core, inode, name, out);
	} else if (strncmp(name, "system.", 7) == 0 || strcmp(name, TARGET_XATTR) == 0) {
		rc = -EOPNOTSUPP;
	} else if ((rc = meta_xattrs_load(core->meta, inode)) == 0) {
		meta_lock(core->meta);
		if ((value = meta_xattr_find(inode, name, &len)))
			buf_put(out, value, len);
		else
			rc = -ENODATA;
		meta_unlock(core->meta);
	}
	meta_inode_put(core->meta, inode);
	return rc < 0 ? rc : out->err;
}

/* Appends the names a program may see: not the target of a symlink. */
static void append_visible(struct buf *out, const struct buf *all)
{
	for (size_t i = 0; i < all->len; i += strlen((char *)all->data + i) + 1) {
		const char *name = (char *)all->data + i;

		if (strcmp(name, TARGET_XATTR) != 0)
			buf_put(out, name, strlen(name) + 1);
	}
}

int core_listxattr(struct core *core, uint64_t ino, struct buf *out)
{
	struct buf all = BUF_INIT;
	struct inode *inode;
	int rc = meta_inode_get(core->meta, ino, &inode);

	if (rc < 0)
		return rc;
	if ((rc = meta_xattrs_load(core->meta, inode)) == 0) {
		meta_lock(core->meta);
		meta_xattr_list(inode, &all);
		meta_unlock(core->meta);
		append_visible(out, &all);
		rc = all.err < 0 ? all.err : out->err;
	}
	buf_free(&all);
	meta_inode_put(core->meta, inode);
	return rc;
}
