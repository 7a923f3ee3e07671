/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/front/ops.h"

#include <errno.h>
#include <linux/xattr.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct core *request_core(fuse_req_t req)
{
	const struct serving *serving = fuse_req_userdata(req);

	return serving->core;
}

static struct fuse_session *request_session(fuse_req_t req)
{
	const struct serving *serving = fuse_req_userdata(req);

	return serving->session;
}

struct core_caller request_caller(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct core_caller){ .uid = ctx->uid, .gid = ctx->gid, .umask = ctx->umask };
}

void reply_rc(fuse_req_t req, int rc)
{
	fuse_reply_err(req, err_errno(rc));
}

void entry_fill(struct fuse_entry_param *entry, const struct stat *st)
{
	memset(entry, 0, sizeof(*entry));
	entry->ino = st->st_ino;
	entry->generation = 1; /* numbers are never used again */
	entry->attr = *st;
	entry->attr_timeout = entry->entry_timeout = CACHE_SECONDS;
}

void reply_entry(fuse_req_t req, int rc, const struct stat *st)
{
	struct fuse_entry_param entry;

	if (rc < 0) {
		fuse_reply_err(req, err_errno(rc));
		return;
	}
	entry_fill(&entry, st);
	fuse_reply_entry(req, &entry);
}

static void want(struct fuse_conn_info *conn, unsigned caps)
{
	conn->want |= conn->capable & caps;
}

static void front_init(void *userdata, struct fuse_conn_info *conn)
{
	const struct serving *serving = userdata;

	want(conn, FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
			   FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_READ | FUSE_CAP_CACHE_SYMLINKS |
			   FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_DONT_MASK | FUSE_CAP_EXPORT_SUPPORT);
	/* with it the kernel checks permissions, by lists too; without it lists are attributes like others */
	if (!serving->roots_own)
		want(conn, FUSE_CAP_POSIX_ACL);
	/* libfuse wants an open to truncate, unless told otherwise: the kernel's setattr before it does. And direct
	 * I/O that ends later: after such a write the kernel leaves what readers meanwhile put into its cache, and old
	 * bytes are read. */
	conn->want &= ~(unsigned)(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_SPLICE_READ |
				  FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_ASYNC_DIO);
	conn->max_write = REQUEST_BYTES;
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	conn->time_gran = 1;
}

static void front_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param none = { .entry_timeout = CACHE_SECONDS };
	struct stat st;
	int rc = core_lookup(request_core(req), parent, name, &st);

	if (rc == -ENOENT)
		fuse_reply_entry(req, &none);
	else
		reply_entry(req, rc, &st);
}

static void front_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	(void)count; /* the kernel forgets a number whole, when it drops the inode */
	core_forget(request_core(req), ino);
	fuse_reply_none(req);
}

static void front_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		core_forget(request_core(req), forgets[i].ino);
	fuse_reply_none(req);
}

static void front_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	int rc = core_getattr(request_core(req), ino, &st);

	(void)fi;
	if (rc < 0)
		reply_rc(req, rc);
	else
		fuse_reply_attr(req, &st, CACHE_SECONDS);
}

/* Asked only where the kernel checks nothing itself. */
static void front_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
	struct stat st;
	int rc = core_getattr(request_core(req), ino, &st);

	if (rc == 0 && mask & X_OK && !S_ISDIR(st.st_mode) && !(st.st_mode & 0111))
		rc = -EACCES; /* which root may not either */
	reply_rc(req, rc);
}

static void front_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct buf target = BUF_INIT;
	int rc = core_readlink(request_core(req), ino, &target);

	if (rc < 0)
		reply_rc(req, rc);
	else
		fuse_reply_readlink(req, (char *)target.data);
	buf_free(&target);
}

static void front_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct core_caller caller = request_caller(req);
	struct stat st;
	int rc = core_mknod(request_core(req), &caller, parent, name, mode, rdev, &st);

	reply_entry(req, rc, &st);
}

static void front_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct core_caller caller = request_caller(req);
	struct stat st;
	int rc = core_mkdir(request_core(req), &caller, parent, name, mode, &st);

	reply_entry(req, rc, &st);
}

static void front_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct core_caller caller = request_caller(req);
	struct stat st;
	int rc = core_symlink(request_core(req), &caller, parent, name, target, &st);

	reply_entry(req, rc, &st);
}

static void front_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	reply_rc(req, core_unlink(request_core(req), parent, name));
}

static void front_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	reply_rc(req, core_rmdir(request_core(req), parent, name));
}

static void front_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	const char *new_name, unsigned flags)
{
	reply_rc(req, core_rename(request_core(req), parent, name, new_parent, new_name, flags));
}

static void front_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct stat st;
	int rc = core_link(request_core(req), ino, parent, name, &st);

	reply_entry(req, rc, &st);
}

/* ---- open files ---------------------------------------------------------------------------------------------------
 */

static struct core_file *file_of(struct fuse_file_info *fi)
{
	return (struct core_file *)(uintptr_t)fi->fh;
}

static void file_opened(struct fuse_file_info *fi, struct core_file *file)
{
	fi->fh = (uintptr_t)file;
	fi->keep_cache = 1; /* content changes only through this kernel */
}

static void front_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct core_caller caller = request_caller(req);
	struct core *core = request_core(req);
	struct fuse_entry_param entry;
	struct core_file *file;
	struct stat st;
	int rc = core_file_create(core, &caller, parent, name, mode, fi->flags, &file, &st);

	if (rc < 0) {
		reply_rc(req, rc);
		return;
	}
	file_opened(fi, file);
	entry_fill(&entry, &st);
	if (fuse_reply_create(req, &entry, fi) == -ENOENT) /* interrupted: no release will come */
		core_file_release(core, file);
}

static void front_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct core *core = request_core(req);
	struct core_file *file;
	int rc = core_file_open(core, ino, fi->flags, &file);

	if (rc < 0) {
		reply_rc(req, rc);
		return;
	}
	file_opened(fi, file);
	if (core_file_accessed(file))
		fuse_lowlevel_notify_inval_inode(request_session(req), (fuse_ino_t)core_file_ino(file), -1, 0);
	if (fuse_reply_open(req, fi) == -ENOENT)
		core_file_release(core, file);
}

static void front_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	core_file_release(request_core(req), file_of(fi));
	fuse_reply_err(req, 0);
}

static void front_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;
	int rc = core_statfs(request_core(req), &st);

	(void)ino;
	if (rc < 0)
		reply_rc(req, rc);
	else
		fuse_reply_statfs(req, &st);
}

/* ---- extended attributes ------------------------------------------------------------------------------------------
 */

/* The reply to a question that may ask for the size only. */
static void reply_sized(fuse_req_t req, int rc, const struct buf *value, size_t size)
{
	if (rc < 0)
		reply_rc(req, rc);
	else if (size == 0)
		fuse_reply_xattr(req, value->len);
	else if (value->len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, (char *)value->data, value->len);
}

static void front_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct buf value = BUF_INIT;
	int rc = core_getxattr(request_core(req), ino, name, &value);

	reply_sized(req, rc, &value, size);
	buf_free(&value);
}

static void front_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct buf names = BUF_INIT;
	int rc = core_listxattr(request_core(req), ino, fuse_req_ctx(req)->uid == 0, &names);

	reply_sized(req, rc, &names, size);
	buf_free(&names);
}

void list_was_set(const struct serving *serving, fuse_ino_t ino, const char *name)
{
	if (serving->roots_own && strcmp(name, XATTR_NAME_POSIX_ACL_ACCESS) == 0)
		fuse_lowlevel_notify_inval_inode(serving->session, ino, -1, 0);
}

static void front_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	int rc = core_setxattr(request_core(req), ino, name, value, size, flags);

	if (rc == 0)
		list_was_set(fuse_req_userdata(req), ino, name);
	reply_rc(req, rc);
}

static void front_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	reply_rc(req, core_removexattr(request_core(req), ino, name));
}

/* ---- directories --------------------------------------------------------------------------------------------------
 */

struct listing {
	fuse_req_t req;
	char *buf;
	size_t len, max;
	bool plus;
};

/* 1: the buffer is full. */
static int list_entry_into(void *ctx, const char *name, uint64_t id, const struct stat *st)
{
	struct listing *l = ctx;
	struct fuse_entry_param entry = { 0 };
	size_t n;

	if (l->plus) {
		/* "." and ".." are no lookups */
		if (id > 2)
			entry_fill(&entry, st);
		else
			entry.attr = *st;
		n = fuse_add_direntry_plus(l->req, l->buf + l->len, l->max - l->len, name, &entry, (off_t)id);
	} else {
		n = fuse_add_direntry(l->req, l->buf + l->len, l->max - l->len, name, st, (off_t)id);
	}
	if (n > l->max - l->len)
		return 1;
	l->len += n;
	return 0;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
	struct listing l = { .req = req, .buf = malloc(size), .max = size, .plus = plus };
	int rc;

	if (!l.buf) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	rc = core_readdir(request_core(req), ino, (uint64_t)off, plus, list_entry_into, &l);
	/* an error after some entries is told by the next call */
	if (rc < 0 && l.len == 0)
		reply_rc(req, rc);
	else
		fuse_reply_buf(req, l.buf, l.len);
	free(l.buf);
}

static void front_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, false);
}

static void front_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, true);
}

static void front_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->cache_readdir = 1;
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

static void front_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

/* No flush: the kernel writes what it holds before it would ask, and tells the program what came of it; being refused
 * once it does not ask again. */
const struct fuse_lowlevel_ops front_ops = {
	.init = front_init,
	.lookup = front_lookup,
	.forget = front_forget,
	.forget_multi = front_forget_multi,
	.getattr = front_getattr,
	.setattr = front_setattr,
	.access = front_access,
	.readlink = front_readlink,
	.mknod = front_mknod,
	.mkdir = front_mkdir,
	.unlink = front_unlink,
	.rmdir = front_rmdir,
	.symlink = front_symlink,
	.rename = front_rename,
	.link = front_link,
	.open = front_open,
	.create = front_create,
	.read = front_read,
	.write = front_write,
	.release = front_release,
	.fsync = front_fsync,
	.opendir = front_opendir,
	.readdir = front_readdir,
	.readdirplus = front_readdirplus,
	.releasedir = front_releasedir,
	.fsyncdir = front_fsync,
	.statfs = front_statfs,
	.setxattr = front_setxattr,
	.getxattr = front_getxattr,
	.listxattr = front_listxattr,
	.removexattr = front_removexattr,
	.fallocate = front_fallocate,
	.lseek = front_lseek,
	.copy_file_range = front_copy_file_range,
};
