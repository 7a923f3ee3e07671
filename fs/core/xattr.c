/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/core/acl.h"
#include "fs/core/internal.h"

#include <linux/xattr.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#define VIRTUAL_PREFIX "user.borderfs."

static bool is_virtual(const char *name)
{
	return strncmp(name, VIRTUAL_PREFIX, strlen(VIRTUAL_PREFIX)) == 0;
}

static bool is_trusted(const char *name)
{
	return strncmp(name, XATTR_TRUSTED_PREFIX, XATTR_TRUSTED_PREFIX_LEN) == 0;
}

static int check_name(const char *name)
{
	static const char *const prefixes[] = { XATTR_USER_PREFIX, XATTR_TRUSTED_PREFIX, XATTR_SECURITY_PREFIX };

	if (strlen(name) > XATTR_NAME_MAX)
		return -ERANGE;
	if (acl_is_name(name))
		return 0;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return name[strlen(prefixes[i])] ? 0 : -EINVAL;
	return -EOPNOTSUPP;
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
	hold_at_once(core, inode);
}

static int check_list(const struct inode *inode, const char *name, const void *value, size_t len)
{
	if (S_ISLNK(inode->mode))
		return -EOPNOTSUPP;
	if (value && strcmp(name, ACL_DEFAULT) == 0 && !S_ISDIR(inode->mode))
		return -EACCES;
	return value ? acl_check(value, len) : 0;
}

/* Under the meta lock. What says no more than the mode is kept as the mode alone. To remove a list that is not there is
 * no error. */
static int set_list(struct core *core, struct inode *inode, const char *name, const void *value, size_t len, int flags)
{
	bool plain = false, access = value && strcmp(name, ACL_ACCESS) == 0;
	mode_t mode = inode->mode;
	size_t old;
	int rc = 0;

	if (access)
		mode = (mode & ~(mode_t)ACCESSPERMS) | acl_mode(value, len, &plain);
	if (access && flags & CORE_XATTR_KILL_SGID)
		mode &= ~(mode_t)S_ISGID;
	if (value && !plain)
		rc = meta_xattr_set(core->meta, inode, name, value, len);
	else if (meta_xattr_find(inode, name, &old))
		rc = meta_xattr_set(core->meta, inode, name, NULL, 0);
	if (rc == 0)
		inode->mode = mode;
	return rc;
}

/* value NULL: remove. */
static int change_xattr(struct core *core, uint64_t ino, const char *name, const void *value, size_t len, int flags)
{
	bool tags = strcmp(name, TAGS_XATTR) == 0, list = acl_is_name(name), there;
	struct inode *inode;
	char *lost = NULL;
	size_t old;
	int rc;

	if ((rc = check_name(name)) < 0 || (rc = is_virtual(name) ? -EPERM : meta_throttle(core->meta)) < 0 ||
		(rc = meta_inode_get(core->meta, ino, &inode)) < 0)
		return rc;
	if ((rc = list ? check_list(inode, name, value, len) : 0) < 0 ||
		(rc = meta_xattrs_load(core->meta, inode)) < 0 || (tags && (rc = before_tags(core, inode)) < 0))
		goto out;
	meta_lock(core->meta);
	there = meta_xattr_find(inode, name, &old) != NULL;
	if (tags)
		lost = tags_lost(inode, value, len);
	if (there && flags & XATTR_CREATE)
		rc = -EEXIST;
	else if (!there && (flags & XATTR_REPLACE || (!value && !list)))
		rc = -ENODATA;
	else if (list)
		rc = set_list(core, inode, name, value, len, flags);
	else
		rc = meta_xattr_set(core->meta, inode, name, value, len);
	if (rc == 0) {
		if (tags)
			place_changed(core->place, inode);
		if (lost)
			audit_tags(core->place, inode, lost);
		lost = NULL;
		times_now(core, inode, SET_CTIME);
		meta_inode_changed(core->meta, inode);
	}
	meta_unlock(core->meta);
	free(lost);
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
	int rc = check_name(name);

	if (rc < 0 || (rc = meta_inode_get(core->meta, ino, &inode)) < 0)
		return rc;
	if (is_virtual(name)) {
		rc = get_virtual(core, inode, name, out);
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

/* Appends the names a program may see: not what is kept with a file in names of our own, and without privilege nothing
 * trusted. */
static void append_visible(struct buf *out, const struct buf *all, bool privileged)
{
	for (size_t i = 0; i < all->len; i += strlen((char *)all->data + i) + 1) {
		const char *name = (char *)all->data + i;

		if (strncmp(name, OWN_PREFIX, strlen(OWN_PREFIX)) != 0 && (privileged || !is_trusted(name)))
			buf_put(out, name, strlen(name) + 1);
	}
}

int core_listxattr(struct core *core, uint64_t ino, bool privileged, struct buf *out)
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
		append_visible(out, &all, privileged);
		rc = all.err < 0 ? all.err : out->err;
	}
	buf_free(&all);
	meta_inode_put(core->meta, inode);
	return rc;
}
