/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/facts.h"
#include "fs/control/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int path_ino(struct request *r, uint64_t *ino)
{
	struct control *c = r->ctx;
	struct statx st;

	/* without DONT_SYNC the kernel might ask this very daemon, and this thread would wait for another of it */
	if (statx(r->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st) < 0)
		return -errno;
	if (makedev(st.stx_dev_major, st.stx_dev_minor) != front_device(c->options.front))
		return errmsg_set(r->msg, -EXDEV, "the path does not lie in the mount at %s", c->options.mountpoint);
	*ino = st.stx_ino;
	/* a descriptor of our own mount would keep it busy */
	close(r->fd);
	r->fd = -1;
	return 0;
}

/* the operation of a request on one path: the inode it speaks of, referenced */
static int path_inode(struct request *r, struct inode **inode)
{
	struct control *c = r->ctx;
	uint64_t ino;
	int rc = path_ino(r, &ino);

	return rc < 0 ? rc : meta_inode_get(core_meta(c->options.core), ino, inode);
}

/* ---- where ---------------------------------------------------------------------------------------------------- */

struct where_walk {
	struct request *request;
	struct control *control;
	struct config *config;
};

static const char *zone_name(void *ctx, uint32_t zone_id)
{
	struct where_walk *w = ctx;
	struct config_zone *z = place_zone(core_place(w->control->options.core), w->config, zone_id);

	return z ? z->name : NULL;
}

static int send_where(struct where_walk *w, struct inode *inode, const char *path, size_t len)
{
	struct where facts = { 0 };
	int rc = transfer_where(core_transfer(w->control->options.core), inode, &facts);
	json_t *line;

	if (rc < 0)
		return rc;
	line = facts_where(&facts, zone_name, w);
	if (line && facts_set_bytes(line, "path", path, len) < 0) {
		json_decref(line);
		line = NULL;
	}
	where_free(&facts);
	return request_send(w->request, line);
}

static int where_visit(void *ctx, uint64_t ino, const char *path, size_t len)
{
	struct where_walk *w = ctx;
	struct meta *meta = core_meta(w->control->options.core);
	struct inode *inode = NULL;
	int rc = meta_inode_get(meta, ino, &inode);

	if (rc == 0)
		rc = send_where(w, inode, path, len);
	meta_inode_put(meta, inode);
	return rc == -ENOENT ? 0 : rc; /* removed since it was listed */
}

static int where_below(struct where_walk *w)
{
	uint64_t ino;
	int rc = path_ino(w->request, &ino);

	if (rc < 0)
		return rc;
	/* the walk sees what this descriptor alone does not entitle to */
	if (!w->request->owner)
		return errmsg_set(w->request->msg, -EACCES,
			"only the user who mounted the store, or root, may ask for a whole directory: name its files");
	return walk(core_meta(w->control->options.core), ino, where_visit, w);
}

static int where_one(struct where_walk *w)
{
	struct inode *inode = NULL;
	int rc = path_inode(w->request, &inode);

	if (rc == 0)
		rc = send_where(w, inode, "", 0);
	meta_inode_put(core_meta(w->control->options.core), inode);
	return rc;
}

int op_where(struct request *r)
{
	struct where_walk w = { .request = r, .control = r->ctx };
	int rc;

	w.config = core_config(w.control->options.core);
	rc = json_is_true(json_object_get(r->body, "recursive")) ? where_below(&w) : where_one(&w);
	config_put(w.config);
	return rc;
}

/* ---- explain -------------------------------------------------------------------------------------------------- */

static json_t *explain_line(const struct buf *text, bool json)
{
	json_t *line;

	if (json)
		return json_pack("{s:o}", "explain", json_loadb((const char *)text->data, text->len, 0, NULL));
	line = json_object();
	if (line && facts_set_bytes(line, "text", (const char *)text->data, text->len) == 0)
		return line;
	json_decref(line);
	return NULL;
}

int op_explain(struct request *r)
{
	struct control *c = r->ctx;
	bool json = json_is_true(json_object_get(r->body, "json"));
	struct inode *inode = NULL;
	struct buf text = BUF_INIT;
	int rc = path_inode(r, &inode);

	if (rc == 0)
		rc = place_explain(core_place(c->options.core), inode, json, &text);
	if (rc == 0)
		rc = request_send(r, explain_line(&text, json));
	buf_free(&text);
	meta_inode_put(core_meta(c->options.core), inode);
	return rc;
}
