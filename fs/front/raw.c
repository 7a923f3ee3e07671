/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Below libfuse: what it does not know of the kernel's protocol. Requests are looked at as they are read from the
 * device, and those in the table are answered here, by the reader's thread: none of them waits for more than the local
 * disk. libfuse never sees them. */
#include "base/log.h"
#include "fs/front/ops.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/fuse.h>
#include <linux/xattr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

/* FUSE_STATX, of protocol 7.39, which older headers lack */
#define RAW_STATX 52
struct raw_statx_in {
	uint32_t getattr_flags, reserved;
	uint64_t fh;
	uint32_t sx_flags, sx_mask;
};
struct raw_sx_time {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t reserved;
};
struct raw_statx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, spare0;
	uint64_t ino, size, blocks, attributes_mask;
	struct raw_sx_time atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t spare2[14];
};
struct raw_statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec, flags;
	uint64_t spare[2];
	struct raw_statx stat;
};

/* One request: body is NUL-terminated where it ends with a name. */
struct raw {
	struct serving *serving;
	int fd;
	const struct fuse_in_header *in;
	const char *body;
	size_t len; /* of body */
};

/* ---- replies ----------------------------------------------------------------------------------------------------- */

/* -errno where the kernel did not take it: -ENOENT where the request was interrupted. */
static int reply(const struct raw *r, int rc, const void *data, size_t len)
{
	struct fuse_out_header out = { .len = (uint32_t)sizeof(out), .unique = r->in->unique };
	struct iovec iov[2] = { { &out, sizeof(out) }, { (void *)(uintptr_t)data, len } };

	if (rc < 0)
		out.error = -err_errno(rc);
	else
		out.len += (uint32_t)len;
	return writev(r->fd, iov, rc < 0 || len == 0 ? 1 : 2) < 0 ? -errno : 0;
}

static void attr_fill(struct fuse_attr *attr, const struct stat *st)
{
	*attr = (struct fuse_attr){
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.blocks = (uint64_t)st->st_blocks,
		.atime = (uint64_t)st->st_atim.tv_sec,
		.mtime = (uint64_t)st->st_mtim.tv_sec,
		.ctime = (uint64_t)st->st_ctim.tv_sec,
		.atimensec = (uint32_t)st->st_atim.tv_nsec,
		.mtimensec = (uint32_t)st->st_mtim.tv_nsec,
		.ctimensec = (uint32_t)st->st_ctim.tv_nsec,
		.mode = st->st_mode,
		.nlink = (uint32_t)st->st_nlink,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.rdev = (uint32_t)st->st_rdev,
		.blksize = (uint32_t)st->st_blksize,
	};
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void raw_tmpfile(struct raw *r)
{
	const struct fuse_create_in *in = (const void *)r->body;
	struct core_caller caller = { .uid = r->in->uid, .gid = r->in->gid, .umask = in->umask };
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out = { 0 };
	struct core_file *file;
	struct stat st;
	int rc = core_file_tmp(r->serving->core, &caller, r->in->nodeid, in->mode, (int)in->flags, &file, &st);

	if (rc < 0) {
		reply(r, rc, NULL, 0);
		return;
	}
	out.entry.nodeid = st.st_ino;
	out.entry.generation = 1;
	out.entry.entry_valid = out.entry.attr_valid = (uint64_t)CACHE_SECONDS;
	attr_fill(&out.entry.attr, &st);
	out.open.fh = (uintptr_t)file;
	out.open.open_flags = FOPEN_KEEP_CACHE;
	if (reply(r, 0, &out, sizeof(out)) == -ENOENT) /* interrupted: no release will come */
		core_file_release(r->serving->core, file);
}

static struct raw_sx_time sx_time(struct timespec t)
{
	return (struct raw_sx_time){ .tv_sec = t.tv_sec, .tv_nsec = (uint32_t)t.tv_nsec };
}

static void raw_statx(struct raw *r)
{
	struct raw_statx_out out = { .attr_valid = (uint64_t)CACHE_SECONDS };
	struct raw_statx *sx = &out.stat;
	struct timespec birth;
	struct stat st;
	int rc = core_getattr_birth(r->serving->core, r->in->nodeid, &st, &birth);

	if (rc == 0)
		*sx = (struct raw_statx){
			.mask = STATX_BASIC_STATS | STATX_BTIME,
			.blksize = (uint32_t)st.st_blksize,
			.nlink = (uint32_t)st.st_nlink,
			.uid = st.st_uid,
			.gid = st.st_gid,
			.mode = (uint16_t)st.st_mode,
			.ino = st.st_ino,
			.size = (uint64_t)st.st_size,
			.blocks = (uint64_t)st.st_blocks,
			.atime = sx_time(st.st_atim),
			.btime = sx_time(birth),
			.ctime = sx_time(st.st_ctim),
			.mtime = sx_time(st.st_mtim),
			.rdev_major = major(st.st_rdev),
			.rdev_minor = minor(st.st_rdev),
		};
	reply(r, rc, &out, sizeof(out));
}

/* The longer form of SETXATTR says whether a new access list costs the file its set-group-id bit. */
static void raw_setxattr(struct raw *r)
{
	const struct fuse_setxattr_in *in = (const void *)r->body;
	const char *name = r->body + sizeof(*in), *value = name + strlen(name) + 1;
	int flags = (int)in->flags, rc;

	if (value + in->size > r->body + r->len) {
		reply(r, -EIO, NULL, 0);
		return;
	}
	if (in->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID)
		flags |= CORE_XATTR_KILL_SGID;
	rc = core_setxattr(r->serving->core, r->in->nodeid, name, value, in->size, flags);
	if (rc == 0)
		list_was_set(r->serving, r->in->nodeid, name);
	reply(r, rc, NULL, 0);
}

/* ---- set-id bits ------------------------------------------------------------------------------------------------- */

/* With FUSE_HANDLE_KILLPRIV_V2 the kernel neither asks for security.capability before each write nor sends an attribute
 * change: it says in the request that what the request changes costs the file its bits. It says so nowhere for
 * fallocate and copy_file_range, which then cost them for everybody but root. 0: this one costs nothing. */
static uint64_t costs_set_ids(const struct raw *r)
{
	const void *body = r->body;
	bool told = false;

	switch (r->in->opcode) {
	case FUSE_WRITE:
		told = r->len >= sizeof(struct fuse_write_in) &&
		       ((const struct fuse_write_in *)body)->write_flags & FUSE_WRITE_KILL_SUIDGID;
		break;
	case FUSE_SETATTR:
		told = r->len >= sizeof(struct fuse_setattr_in) &&
		       ((const struct fuse_setattr_in *)body)->valid & FATTR_KILL_SUIDGID;
		break;
	case FUSE_OPEN:
		told = r->len >= sizeof(struct fuse_open_in) &&
		       ((const struct fuse_open_in *)body)->open_flags & FUSE_OPEN_KILL_SUIDGID;
		break;
	case FUSE_FALLOCATE:
		told = r->in->uid != 0;
		break;
	case FUSE_COPY_FILE_RANGE:
		if (r->in->uid != 0 && r->len >= sizeof(struct fuse_copy_file_range_in))
			return ((const struct fuse_copy_file_range_in *)body)->nodeid_out;
		break;
	}
	return told ? r->in->nodeid : 0;
}

/* Whether a line of /proc/PID/status has the number. */
static bool names_group(const char *line, gid_t gid)
{
	char *end;

	for (const char *at = line + strlen("Groups:");; at = end) {
		unsigned long group = strtoul(at, &end, 10);

		if (end == at)
			return false;
		if (group == gid)
			return true;
	}
}

/* A request has only the first group of who sent it. Whose groups cannot be told is in no other. A change of owner is
 * said to cost the bits whoever makes it, but root keeps them. */
static bool in_group(const struct raw *r, gid_t gid)
{
	char path[64], *line = NULL;
	bool found = false;
	size_t room = 0;
	FILE *status;

	if (r->in->uid == 0 || r->in->gid == gid)
		return true;
	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/status", r->in->pid);
	if (!(status = fopen(path, "re")))
		return false;
	while (!found && getline(&line, &room, status) > 0)
		found = !strncmp(line, "Groups:", strlen("Groups:")) && names_group(line, gid);
	free(line);
	fclose(status);
	return found;
}

/* Set-group-id is seldom set where the group may not execute: only then it matters whose group it is. */
static bool may_keep_group(const struct raw *r, uint64_t ino)
{
	struct stat st;

	if (core_getattr(r->serving->core, ino, &st) < 0 || (st.st_mode & (S_ISGID | S_IXGRP)) != S_ISGID)
		return true;
	return in_group(r, st.st_gid);
}

/* The kernel's copy of the mode goes with them. */
static void kill_set_ids(const struct raw *r)
{
	uint64_t ino = costs_set_ids(r);

	if (ino && core_kill_set_ids(r->serving->core, ino, may_keep_group(r, ino)))
		fuse_lowlevel_notify_inval_inode(r->serving->session, ino, -1, 0);
}

/* ---- between the device and libfuse ------------------------------------------------------------------------------ */

static const struct {
	uint32_t opcode, needs; /* of what was agreed on; 0: the kernel asks, and an ENOSYS would end it */
	size_t least;
	void (*fn)(struct raw *);
} requests[] = {
	{ FUSE_TMPFILE, 0, sizeof(struct fuse_create_in), raw_tmpfile },
	{ RAW_STATX, 0, sizeof(struct raw_statx_in), raw_statx },
	{ FUSE_SETXATTR, FUSE_SETXATTR_EXT, sizeof(struct fuse_setxattr_in), raw_setxattr },
};

/* true: answered */
static bool take(struct serving *serving, int fd, const struct fuse_in_header *in, size_t len)
{
	struct raw r = { serving, fd, in, (const char *)(in + 1), len - sizeof(*in) };

	if (in->opcode == FUSE_INIT && r.len >= sizeof(uint32_t) * 4) {
		serving->init_unique = in->unique;
		serving->init_flags = ((const struct fuse_init_in *)(const void *)r.body)->flags;
	}
	if (serving->init_flags & FUSE_HANDLE_KILLPRIV_V2)
		kill_set_ids(&r);
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		if (requests[i].opcode != in->opcode || (requests[i].needs & ~serving->init_flags))
			continue;
		if (r.len >= requests[i].least)
			requests[i].fn(&r);
		else
			reply(&r, -EIO, NULL, 0);
		return true;
	}
	return false;
}

static ssize_t raw_read(int fd, void *buf, size_t len, void *userdata)
{
	ssize_t n;

	do
		n = read(fd, buf, len);
	while (n >= (ssize_t)sizeof(struct fuse_in_header) && take(userdata, fd, buf, (size_t)n));
	return n;
}

/* The answer to INIT is the first one, before anything is served: what we do is agreed on in it. */
static ssize_t raw_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct serving *serving = userdata;
	struct fuse_out_header *out = iov[0].iov_base;

	if (serving->init_unique && out->unique == serving->init_unique) {
		serving->init_unique = 0;
		if (out->error == 0 && count > 1 && iov[1].iov_len >= sizeof(uint32_t) * 4)
			((struct fuse_init_out *)iov[1].iov_base)->flags |=
				serving->init_flags & (FUSE_SETXATTR_EXT | FUSE_HANDLE_KILLPRIV_V2);
	}
	return writev(fd, iov, count);
}

int raw_attach(struct serving *serving)
{
	static const struct fuse_custom_io io = { .read = raw_read, .writev = raw_writev };

	return fuse_session_custom_io(serving->session, &io, fuse_session_fd(serving->session));
}
