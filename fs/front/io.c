/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/front/ops.h"

#include <errno.h>
#include <stdlib.h>

#define SMALL_BYTES 16384 /* an answer that malloc may have: larger ones it gives back to the system each time */

/* One request on content, from its handler to its answer, which may come on another thread. */
struct request {
	struct core_io io;
	fuse_req_t req;
	unsigned set; /* setattr: what else is to be set */
	struct stat attr;
	char *large; /* read: the answer, from the spare ones; or it is: */
	char small[];
};

static void on_interrupt(fuse_req_t req, void *data)
{
	struct request *r = data;

	core_io_cancel(request_core(req), &r->io);
}

static struct spare *answers(fuse_req_t req)
{
	struct serving *serving = fuse_req_userdata(req);

	return &serving->answers;
}

static struct request *request_new(fuse_req_t req, enum core_io_kind kind, fuse_ino_t ino, size_t small_len)
{
	struct request *r = malloc(sizeof(*r) + small_len);

	if (!r) {
		fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	r->large = NULL;
	r->io = (struct core_io){ .kind = kind, .ino = ino };
	r->req = req;
	r->set = 0;
	return r;
}

static void request_start(struct request *r, void (*done)(struct core_io *, ssize_t))
{
	r->io.done = done;
	fuse_req_interrupt_func(r->req, on_interrupt, r);
	core_io_start(request_core(r->req), &r->io);
}

/* After this no interrupt handler runs, so that the request can be freed. */
static struct request *request_end(struct core_io *io)
{
	struct request *r = container_of(io, struct request, io);

	fuse_req_interrupt_func(r->req, NULL, NULL);
	return r;
}

static void done_read(struct core_io *io, ssize_t rc)
{
	struct request *r = request_end(io);
	struct spare *spare = answers(r->req);

	if (rc < 0)
		fuse_reply_err(r->req, err_errno((int)rc));
	else
		fuse_reply_buf(r->req, io->buf, (size_t)rc);
	spare_put(spare, r->large);
	free(r);
}

void front_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off, struct fuse_file_info *fi)
{
	bool large = len > SMALL_BYTES && len <= REQUEST_BYTES;
	struct request *r = request_new(req, CORE_READ, ino, large ? 0 : len);

	if (!r)
		return;
	if (large && !(r->large = spare_get(answers(req)))) {
		fuse_reply_err(req, ENOMEM);
		free(r);
		return;
	}
	r->io.file = (struct core_file *)(uintptr_t)fi->fh;
	r->io.off = (uint64_t)off;
	r->io.len = len;
	r->io.buf = large ? r->large : r->small;
	request_start(r, done_read);
}

static void done_count(struct core_io *io, ssize_t rc)
{
	struct request *r = request_end(io);

	if (rc < 0)
		fuse_reply_err(r->req, err_errno((int)rc));
	else
		fuse_reply_write(r->req, (size_t)rc);
	free(r);
}

void front_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t len, off_t off, struct fuse_file_info *fi)
{
	struct request *r = request_new(req, CORE_WRITE, ino, 0);

	if (!r)
		return;
	r->io.off = (uint64_t)off;
	r->io.len = len;
	r->io.buf = (void *)(uintptr_t)data;
	r->io.cached = fi->writepage;
	request_start(r, done_count);
}

void front_copy_file_range(fuse_req_t req, fuse_ino_t in, off_t in_off, struct fuse_file_info *in_fi, fuse_ino_t out,
	off_t out_off, struct fuse_file_info *out_fi, size_t len, int flags)
{
	struct request *r;

	(void)in_fi;
	(void)out_fi;
	if (flags != 0) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (!(r = request_new(req, CORE_COPY, in, 0)))
		return;
	r->io.off = (uint64_t)in_off;
	r->io.target_ino = out;
	r->io.target_off = (uint64_t)out_off;
	r->io.len = len;
	request_start(r, done_count);
}

static void done_rc(struct core_io *io, ssize_t rc)
{
	struct request *r = request_end(io);

	reply_rc(r->req, (int)rc);
	free(r);
}

void front_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct request *r = request_new(req, CORE_FSYNC, ino, 0);

	(void)datasync;
	(void)fi;
	if (r)
		request_start(r, done_rc);
}

void front_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi)
{
	struct request *r = request_new(req, CORE_FALLOCATE, ino, 0);

	(void)fi;
	if (!r)
		return;
	r->io.off = (uint64_t)off;
	r->io.len = (size_t)len;
	r->io.mode = mode;
	request_start(r, done_rc);
}

/* ---- setattr: the size first, which may have to wait, then the rest -----------------------------------------------
 */

static const struct {
	int fuse;
	unsigned core;
} set_bits[] = {
	{ FUSE_SET_ATTR_MODE, SET_MODE },
	{ FUSE_SET_ATTR_UID, SET_UID },
	{ FUSE_SET_ATTR_GID, SET_GID },
	{ FUSE_SET_ATTR_ATIME, SET_ATIME },
	{ FUSE_SET_ATTR_MTIME, SET_MTIME },
	{ FUSE_SET_ATTR_CTIME, SET_CTIME },
	{ FUSE_SET_ATTR_ATIME_NOW, SET_ATIME_NOW },
	{ FUSE_SET_ATTR_MTIME_NOW, SET_MTIME_NOW },
};

static unsigned map_set(int to_set)
{
	unsigned set = 0;

	for (size_t i = 0; i < sizeof(set_bits) / sizeof(set_bits[0]); i++)
		if (to_set & set_bits[i].fuse)
			set |= set_bits[i].core;
	/* the NOW bits come beside the plain ones */
	if (set & SET_ATIME_NOW)
		set &= ~(unsigned)SET_ATIME;
	if (set & SET_MTIME_NOW)
		set &= ~(unsigned)SET_MTIME;
	return set;
}

static void set_rest(fuse_req_t req, fuse_ino_t ino, unsigned set, const struct stat *attr)
{
	struct core *core = request_core(req);
	struct stat st;
	int rc = set ? core_setattr(core, ino, set, attr, &st) : core_getattr(core, ino, &st);

	if (rc < 0)
		fuse_reply_err(req, err_errno(rc));
	else
		fuse_reply_attr(req, &st, CACHE_SECONDS);
}

static void done_size(struct core_io *io, ssize_t rc)
{
	struct request *r = request_end(io);

	if (rc < 0)
		fuse_reply_err(r->req, err_errno((int)rc));
	else
		set_rest(r->req, io->ino, r->set, &r->attr);
	free(r);
}

void front_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	struct request *r;

	(void)fi;
	if (!(to_set & FUSE_SET_ATTR_SIZE)) {
		set_rest(req, ino, map_set(to_set), attr);
		return;
	}
	if (!(r = request_new(req, CORE_TRUNCATE, ino, 0)))
		return;
	r->io.off = (uint64_t)attr->st_size;
	r->set = map_set(to_set);
	r->attr = *attr;
	request_start(r, done_size);
}
