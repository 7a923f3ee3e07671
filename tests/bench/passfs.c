/* SPDX-License-Identifier: GPL-3.0-or-later */
/* passfs SOURCE DIR: a FUSE filesystem that hands everything on to the directory SOURCE, neither sealed nor changed:
 * what FUSE costs when the data must really be kept. An inode is an O_PATH descriptor; its number is its address. Like
 * libfuse's passthrough_ll it leaves permissions to SOURCE, so that the kernel asks for no attributes to check them.
 * Serves until it is unmounted. */
#include "tests/bench/serve.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define BUCKETS (1u << 18)

struct inode {
	struct inode *next; /* in its bucket */
	int fd;
	dev_t dev;
	ino_t ino;
	uint64_t known; /* by the kernel, so often */
};

static struct inode root;
static struct inode *buckets[BUCKETS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct link {
	char path[32];
};

static struct inode *inode_of(fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? &root : (struct inode *)(uintptr_t)ino;
}

static int fd_of(fuse_ino_t ino)
{
	return inode_of(ino)->fd;
}

/* A path to the inode for calls that take no O_PATH descriptor. */
static struct link link_of(fuse_ino_t ino)
{
	struct link link;

	snprintf(link.path, sizeof(link.path), "/proc/self/fd/%d", fd_of(ino));
	return link;
}

static void reply_rc(fuse_req_t req, int rc)
{
	fuse_reply_err(req, rc < 0 ? errno : 0);
}

static struct inode **find(dev_t dev, ino_t ino)
{
	struct inode **at = &buckets[ino % BUCKETS];

	while (*at && ((*at)->ino != ino || (*at)->dev != dev))
		at = &(*at)->next;
	return at;
}

/* Takes the descriptor. */
static struct inode *inode_get(int fd, const struct stat *st)
{
	struct inode **at, *inode;

	pthread_mutex_lock(&lock);
	at = find(st->st_dev, st->st_ino);
	if ((inode = *at)) {
		close(fd);
	} else if ((inode = calloc(1, sizeof(*inode)))) {
		*inode = (struct inode){ .fd = fd, .dev = st->st_dev, .ino = st->st_ino };
		*at = inode;
	}
	if (inode)
		inode->known++;
	pthread_mutex_unlock(&lock);
	return inode;
}

static void inode_put(fuse_ino_t ino, uint64_t count)
{
	struct inode *inode = inode_of(ino);

	if (inode == &root)
		return;
	pthread_mutex_lock(&lock);
	if ((inode->known -= count) == 0) {
		*find(inode->dev, inode->ino) = inode->next;
		close(inode->fd);
		free(inode);
	}
	pthread_mutex_unlock(&lock);
}

/* Returns 0 or -1 with errno. */
static int entry_get(fuse_ino_t parent, const char *name, struct fuse_entry_param *entry)
{
	int fd = openat(fd_of(parent), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	*entry = (struct fuse_entry_param){ .attr_timeout = CACHE_SECONDS, .entry_timeout = CACHE_SECONDS };
	if (fd < 0)
		return -1;
	if (fstatat(fd, "", &entry->attr, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0) {
		close(fd);
		return -1;
	}
	entry->ino = (uintptr_t)inode_get(fd, &entry->attr);
	return entry->ino ? 0 : -1;
}

static void reply_entry(fuse_req_t req, fuse_ino_t parent, const char *name, int rc)
{
	struct fuse_entry_param entry;

	if (rc < 0 || entry_get(parent, name, &entry) < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_entry(req, &entry);
}

static void pass_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry;

	if (entry_get(parent, name, &entry) < 0 && errno != ENOENT)
		fuse_reply_err(req, errno);
	else
		fuse_reply_entry(req, &entry);
}

static void pass_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	inode_put(ino, count);
	fuse_reply_none(req);
}

static void pass_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		inode_put(forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void pass_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	if (fstatat(fd_of(ino), "", &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_attr(req, &st, CACHE_SECONDS);
}

static int set_times(fuse_ino_t ino, const struct stat *st, int to_set)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };

	if (to_set & FUSE_SET_ATTR_ATIME_NOW)
		times[0].tv_nsec = UTIME_NOW;
	else if (to_set & FUSE_SET_ATTR_ATIME)
		times[0] = st->st_atim;
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		times[1].tv_nsec = UTIME_NOW;
	else if (to_set & FUSE_SET_ATTR_MTIME)
		times[1] = st->st_mtim;
	return utimensat(fd_of(ino), "", times, AT_EMPTY_PATH);
}

static int set_attr(fuse_ino_t ino, const struct stat *st, int to_set)
{
	uid_t uid = to_set & FUSE_SET_ATTR_UID ? st->st_uid : (uid_t)-1;
	gid_t gid = to_set & FUSE_SET_ATTR_GID ? st->st_gid : (gid_t)-1;

	if (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID) &&
		fchownat(fd_of(ino), "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (to_set & FUSE_SET_ATTR_MODE && chmod(link_of(ino).path, st->st_mode) < 0)
		return -1;
	if (to_set & FUSE_SET_ATTR_SIZE && truncate(link_of(ino).path, st->st_size) < 0)
		return -1;
	if (to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW))
		return set_times(ino, st, to_set);
	return 0;
}

static void pass_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi)
{
	if (set_attr(ino, st, to_set) < 0)
		fuse_reply_err(req, errno);
	else
		pass_getattr(req, ino, fi);
}

static void pass_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(fd_of(ino), "", target, sizeof(target) - 1);

	if (len < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	target[len] = '\0';
	fuse_reply_readlink(req, target);
}

static void pass_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	reply_entry(req, parent, name, mknodat(fd_of(parent), name, mode, rdev));
}

static void pass_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	reply_entry(req, parent, name, mkdirat(fd_of(parent), name, mode));
}

static void pass_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	reply_entry(req, parent, name, symlinkat(target, fd_of(parent), name));
}

static void pass_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	int rc = linkat(AT_FDCWD, link_of(ino).path, fd_of(parent), name, AT_SYMLINK_FOLLOW);

	reply_entry(req, parent, name, rc);
}

static void pass_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	reply_rc(req, unlinkat(fd_of(parent), name, 0));
}

static void pass_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	reply_rc(req, unlinkat(fd_of(parent), name, AT_REMOVEDIR));
}

static void pass_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	const char *new_name, unsigned flags)
{
	reply_rc(req, renameat2(fd_of(parent), name, fd_of(new_parent), new_name, flags));
}

/* ---- files -------------------------------------------------------------------------------------------------------
 */

/* With the writeback cache the kernel reads where it was opened for writing, and adds at the end itself. */
static int open_flags(int flags)
{
	if ((flags & O_ACCMODE) == O_WRONLY)
		flags = (flags & ~O_ACCMODE) | O_RDWR;
	return (flags & ~(O_APPEND | O_NOFOLLOW)) | O_CLOEXEC;
}

static void pass_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	int fd = openat(fd_of(parent), name, open_flags(fi->flags) | O_CREAT, mode);
	struct fuse_entry_param entry;

	if (fd < 0 || entry_get(parent, name, &entry) < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	fi->fh = (uint64_t)fd;
	fi->keep_cache = 1;
	fuse_reply_create(req, &entry, fi);
}

static void pass_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	int fd = open(link_of(ino).path, open_flags(fi->flags));

	if (fd < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	fi->fh = (uint64_t)fd;
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

static void pass_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	reply_rc(req, close((int)fi->fh));
}

/* As an error of writing shows only when the descriptor is closed, on some filesystems. */
static void pass_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	reply_rc(req, close(dup((int)fi->fh)));
}

static void pass_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fuse_bufvec content = FUSE_BUFVEC_INIT(size);

	(void)ino;
	content.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	content.buf[0].fd = (int)fi->fh;
	content.buf[0].pos = off;
	fuse_reply_data(req, &content, FUSE_BUF_SPLICE_MOVE);
}

static void pass_write(
	fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *content, off_t off, struct fuse_file_info *fi)
{
	struct fuse_bufvec out = FUSE_BUFVEC_INIT(fuse_buf_size(content));
	ssize_t done;

	(void)ino;
	out.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	out.buf[0].fd = (int)fi->fh;
	out.buf[0].pos = off;
	done = fuse_buf_copy(&out, content, 0);
	if (done < 0)
		fuse_reply_err(req, (int)-done);
	else
		fuse_reply_write(req, (size_t)done);
}

static void pass_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	reply_rc(req, datasync ? fdatasync((int)fi->fh) : fsync((int)fi->fh));
}

/* ---- directories -------------------------------------------------------------------------------------------------
 */

static void pass_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	int fd = openat(fd_of(ino), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		fuse_reply_err(req, errno);
		return;
	}
	fi->fh = (uintptr_t)dir;
	fuse_reply_open(req, fi);
}

static void pass_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	reply_rc(req, closedir((DIR *)(uintptr_t)fi->fh));
}

static size_t add_entry(
	fuse_req_t req, fuse_ino_t parent, char *at, size_t room, const struct dirent *dirent, bool plus)
{
	struct fuse_entry_param entry = { .attr = {
						  .st_ino = dirent->d_ino, .st_mode = (mode_t)dirent->d_type << 12 } };
	bool dots = strcmp(dirent->d_name, ".") == 0 || strcmp(dirent->d_name, "..") == 0;
	size_t len;

	if (!plus)
		return fuse_add_direntry(req, at, room, dirent->d_name, &entry.attr, dirent->d_off);
	if (!dots && entry_get(parent, dirent->d_name, &entry) < 0)
		return 0;
	len = fuse_add_direntry_plus(req, at, room, dirent->d_name, &entry, dirent->d_off);
	if (len > room && entry.ino)
		inode_put(entry.ino, 1);
	return len;
}

static void read_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi, bool plus)
{
	DIR *dir = (DIR *)(uintptr_t)fi->fh;
	char *out = malloc(size);
	struct dirent *dirent;
	size_t done = 0, len;

	if (!out) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (off != telldir(dir))
		seekdir(dir, off);
	while ((dirent = readdir(dir))) {
		len = add_entry(req, ino, out + done, size - done, dirent, plus);
		if (len > size - done)
			break;
		done += len;
	}
	fuse_reply_buf(req, out, done);
	free(out);
}

static void pass_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	read_dir(req, ino, size, off, fi, false);
}

static void pass_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	read_dir(req, ino, size, off, fi, true);
}

static void pass_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;

	if (fstatvfs(fd_of(ino), &st) < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_statfs(req, &st);
}

/* ---- attributes --------------------------------------------------------------------------------------------------
 */

static void pass_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	char value[XATTR_SIZE_MAX];
	ssize_t len = getxattr(link_of(ino).path, name, value, size < sizeof(value) ? size : sizeof(value));

	if (len < 0)
		fuse_reply_err(req, errno);
	else if (size == 0)
		fuse_reply_xattr(req, (size_t)len);
	else
		fuse_reply_buf(req, value, (size_t)len);
}

static void pass_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	char names[XATTR_LIST_MAX];
	ssize_t len = listxattr(link_of(ino).path, names, size < sizeof(names) ? size : sizeof(names));

	if (len < 0)
		fuse_reply_err(req, errno);
	else if (size == 0)
		fuse_reply_xattr(req, (size_t)len);
	else
		fuse_reply_buf(req, names, (size_t)len);
}

static void pass_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	reply_rc(req, setxattr(link_of(ino).path, name, value, size, flags));
}

static void pass_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	reply_rc(req, removexattr(link_of(ino).path, name));
}

static const struct fuse_lowlevel_ops ops = {
	.init = serve_init,
	.lookup = pass_lookup,
	.forget = pass_forget,
	.forget_multi = pass_forget_multi,
	.getattr = pass_getattr,
	.setattr = pass_setattr,
	.readlink = pass_readlink,
	.mknod = pass_mknod,
	.mkdir = pass_mkdir,
	.symlink = pass_symlink,
	.link = pass_link,
	.unlink = pass_unlink,
	.rmdir = pass_rmdir,
	.rename = pass_rename,
	.create = pass_create,
	.open = pass_open,
	.release = pass_release,
	.flush = pass_flush,
	.read = pass_read,
	.write_buf = pass_write,
	.fsync = pass_fsync,
	.opendir = pass_opendir,
	.releasedir = pass_releasedir,
	.readdir = pass_readdir,
	.readdirplus = pass_readdirplus,
	.statfs = pass_statfs,
	.getxattr = pass_getxattr,
	.listxattr = pass_listxattr,
	.setxattr = pass_setxattr,
	.removexattr = pass_removexattr,
};

int main(int argc, char **argv)
{
	char options[] = "fsname=pass,subtype=passfs";
	struct rlimit descriptors;

	if (argc != 3) {
		fprintf(stderr, "usage: passfs SOURCE DIR\n");
		return 2;
	}
	if ((root.fd = open(argv[1], O_PATH | O_CLOEXEC)) < 0) {
		perror(argv[1]);
		return 1;
	}
	getrlimit(RLIMIT_NOFILE, &descriptors);
	descriptors.rlim_cur = descriptors.rlim_max;
	setrlimit(RLIMIT_NOFILE, &descriptors);
	umask(0);
	return serve(&ops, options, argv[2]);
}
