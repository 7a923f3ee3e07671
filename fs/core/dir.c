/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/core/internal.h"

#include <stdlib.h>

#define DOT_IDS 2 /* ids 1 and 2 are "." and ".."; a dentry's own are moved up by as much */
#define BATCH	64

static int list_dots(struct core *core, uint64_t dir, uint64_t after,
	int (*fn)(void *ctx, const char *name, uint64_t id, const struct stat *st), void *ctx)
{
	struct stat st = { .st_ino = dir, .st_mode = S_IFDIR };
	uint64_t up;
	int rc = 0;

	if (after < 1)
		rc = fn(ctx, ".", 1, &st);
	if (rc != 0 || after >= 2)
		return rc;
	/* a removed directory has no parent any more */
	if ((rc = meta_parent(core->meta, dir, &up)) < 0 && rc != -ENOENT)
		return rc;
	if (rc == 0 && up)
		st.st_ino = up;
	return fn(ctx, "..", 2, &st);
}

/* -ENOENT: deleted since the directory was read, so no longer an entry. */
static int fill_stat(struct core *core, const struct dirent_out *entry, bool plus, struct stat *st)
{
	if (plus)
		return core_getattr(core, entry->ino, st);
	*st = (struct stat){ .st_ino = entry->ino, .st_mode = DTTOIF(entry->type) };
	return 0;
}

static void dir_accessed(struct core *core, uint64_t dir)
{
	struct inode *inode;

	if (meta_inode_get(core->meta, dir, &inode) < 0)
		return;
	meta_lock(core->meta);
	accessed(core, inode);
	meta_unlock(core->meta);
	meta_inode_put(core->meta, inode);
}

int core_readdir(struct core *core, uint64_t dir, uint64_t after, bool plus,
	int (*fn)(void *ctx, const char *name, uint64_t id, const struct stat *st), void *ctx)
{
	struct dirent_out *entries;
	struct stat st;
	int n, rc = list_dots(core, dir, after, fn, ctx);

	if (rc != 0)
		return rc;
	dir_accessed(core, dir);
	if (!(entries = malloc(BATCH * sizeof(*entries))))
		return -ENOMEM;
	after = after > DOT_IDS ? after - DOT_IDS : 0;
	do {
		n = rc = meta_readdir(core->meta, dir, after, entries, BATCH);
		for (int i = 0; i < n && rc >= 0; i++) {
			rc = fill_stat(core, &entries[i], plus, &st);
			if (rc == 0 && (rc = fn(ctx, entries[i].name, entries[i].id + DOT_IDS, &st)) != 0)
				goto out;
			if (rc == -ENOENT)
				rc = 0;
			after = entries[i].id;
		}
	} while (n == BATCH && rc >= 0);
	rc = rc < 0 ? rc : 0;
out:
	free(entries);
	return rc;
}
