/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What stays in the cache: one file, or all there are below a directory now. */
#include "base/text.h"
#include "fs/control/facts.h"
#include "fs/control/ops.h"

#include <errno.h>
#include <sys/stat.h>

/* The files named, counted first and changed then. */
struct pinning {
	struct core *core;
	bool pin, change;
	uint64_t files, bytes; /* that are not as wanted yet */
};

static int visit(void *ctx, uint64_t ino, const char *path, size_t len)
{
	struct pinning *p = ctx;
	struct meta *meta = core_meta(p->core);
	struct inode *inode;
	uint64_t bytes;
	int rc = meta_inode_get(meta, ino, &inode);

	(void)path;
	(void)len;
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc; /* removed since it was listed */
	if (cache_is_pinned(core_cache(p->core), inode, &bytes) != p->pin) {
		p->files++;
		p->bytes += bytes;
		if (p->change)
			cache_pin(core_cache(p->core), inode, p->pin);
	}
	meta_inode_put(meta, inode);
	return 0;
}

static int visit_all(struct pinning *p, uint64_t ino)
{
	struct meta *meta = core_meta(p->core);
	struct inode *inode;
	int rc = meta_inode_get(meta, ino, &inode);
	mode_t mode;

	if (rc < 0)
		return rc;
	mode = inode->mode;
	meta_inode_put(meta, inode);
	p->files = p->bytes = 0;
	if (S_ISDIR(mode))
		return walk(meta, ino, visit, p);
	return S_ISREG(mode) ? visit(p, ino, "", 0) : 0;
}

/* What stays whatever happens takes the room of what does not. */
static int check_room(struct request *r, const struct pinning *p)
{
	struct cache_status s;
	char more[32], have[32], max[32];

	cache_status(core_cache(p->core), &s);
	if (!p->pin || p->bytes + s.bytes_pinned <= s.pins_max)
		return 0;
	return errmsg_set(r->msg, -ENOSPC,
		"nothing was pinned: these files have %s and those pinned before %s, and half of the cache, %s, is for "
		"both: unpin others, or set a larger \"cache\"",
		text_size(p->bytes, more, sizeof more), text_size(s.bytes_pinned, have, sizeof have),
		text_size(s.pins_max, max, sizeof max));
}

int op_cache_pin(struct request *r)
{
	struct control *c = r->ctx;
	struct pinning p = { .core = c->options.core, .pin = json_is_true(json_object_get(r->body, "pin")) };
	uint64_t ino;
	int rc = path_ino(r, &ino);

	if (rc == 0 && (rc = visit_all(&p, ino)) == 0)
		rc = check_room(r, &p);
	p.change = true;
	if (rc == 0 && (rc = visit_all(&p, ino)) == 0)
		rc = meta_sync(core_meta(p.core));
	if (rc == 0)
		rc = request_send(
			r, json_pack("{s:I, s:I}", "files", (json_int_t)p.files, "bytes", (json_int_t)p.bytes));
	return rc;
}

int op_cache_show(struct request *r)
{
	struct control *c = r->ctx;
	struct cache_status s;

	cache_status(core_cache(c->options.core), &s);
	return request_send(r, facts_cache(&s));
}
