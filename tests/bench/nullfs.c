/* SPDX-License-Identifier: GPL-3.0-or-later */
/* nullfs DIR: a FUSE filesystem that does as little as one can: names and attributes are in memory, what is written is
 * dropped, and what is read is zeros. It shows what the kernel's side of FUSE costs, in the same settings as borderfs.
 * Serves until it is unmounted. */
#include "tests/bench/serve.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BUCKETS (1u << 18)

struct node {
	struct node *next; /* in its bucket */
	fuse_ino_t parent;
	struct stat st; /* st_ino: its own address, which is its number */
	char name[NAME_MAX + 1];
};

static struct node *buckets[BUCKETS];
static struct node root = { .st = { .st_mode = S_IFDIR | 0755, .st_nlink = 2, .st_ino = FUSE_ROOT_ID } };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char zeros[REQUEST_BYTES];

static struct node *node_of(fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? &root : (struct node *)(uintptr_t)ino;
}

/* The link that points to the entry, or to where it would be. */
static struct node **find(fuse_ino_t parent, const char *name)
{
	uint64_t hash = parent * 0x9e3779b97f4a7c15u;
	struct node **at;

	for (const char *c = name; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
	at = &buckets[(hash >> 20) % BUCKETS];
	while (*at && ((*at)->parent != parent || strcmp((*at)->name, name) != 0))
		at = &(*at)->next;
	return at;
}

static struct fuse_entry_param entry_of(const struct node *node)
{
	return (struct fuse_entry_param){
		.ino = node->st.st_ino,
		.attr = node->st,
		.attr_timeout = CACHE_SECONDS,
		.entry_timeout = CACHE_SECONDS,
	};
}

static void null_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { .entry_timeout = CACHE_SECONDS };
	struct node *node;

	pthread_mutex_lock(&lock);
	if ((node = *find(parent, name)))
		entry = entry_of(node);
	pthread_mutex_unlock(&lock);
	fuse_reply_entry(req, &entry);
}

static void null_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	fuse_reply_attr(req, &node_of(ino)->st, CACHE_SECONDS);
}

static void null_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi)
{
	struct stat *own = &node_of(ino)->st;

	pthread_mutex_lock(&lock);
	if (to_set & FUSE_SET_ATTR_SIZE)
		own->st_size = st->st_size;
	if (to_set & FUSE_SET_ATTR_MODE)
		own->st_mode = st->st_mode;
	if (to_set & FUSE_SET_ATTR_MTIME)
		own->st_mtim = st->st_mtim;
	pthread_mutex_unlock(&lock);
	null_getattr(req, ino, fi);
}

static struct node *node_make(fuse_ino_t parent, const char *name, mode_t mode)
{
	struct node *node = calloc(1, sizeof(*node));
	struct node **at;

	if (!node)
		return NULL;
	snprintf(node->name, sizeof(node->name), "%s", name);
	node->parent = parent;
	node->st = (struct stat){ .st_ino = (uintptr_t)node, .st_mode = mode, .st_nlink = S_ISDIR(mode) ? 2 : 1 };
	pthread_mutex_lock(&lock);
	at = find(parent, name);
	node->next = *at;
	*at = node;
	pthread_mutex_unlock(&lock);
	return node;
}

static void null_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct node *node = node_make(parent, name, S_IFDIR | mode);
	struct fuse_entry_param entry;

	if (!node) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	entry = entry_of(node);
	fuse_reply_entry(req, &entry);
}

static void null_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct node *node = node_make(parent, name, S_IFREG | mode);
	struct fuse_entry_param entry;

	if (!node) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	entry = entry_of(node);
	fi->keep_cache = 1;
	fuse_reply_create(req, &entry, fi);
}

/* The kernel may still know the node; it lives as long as the program, which is not long. */
static void null_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct node **at, *node;

	pthread_mutex_lock(&lock);
	at = find(parent, name);
	if ((node = *at))
		*at = node->next;
	pthread_mutex_unlock(&lock);
	fuse_reply_err(req, node ? 0 : ENOENT);
}

/* Onto a name that is free: no more is asked of it. */
static void null_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	const char *new_name, unsigned flags)
{
	struct node **at, *node;

	(void)flags;
	pthread_mutex_lock(&lock);
	at = find(parent, name);
	if ((node = *at)) {
		*at = node->next;
		node->parent = new_parent;
		snprintf(node->name, sizeof(node->name), "%s", new_name);
		at = find(new_parent, new_name);
		node->next = *at;
		*at = node;
	}
	pthread_mutex_unlock(&lock);
	fuse_reply_err(req, node ? 0 : ENOENT);
}

static void null_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

static void null_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)ino, (void)off, (void)fi;
	fuse_reply_buf(req, zeros, size < sizeof(zeros) ? size : sizeof(zeros));
}

static void null_write(
	fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct stat *st = &node_of(ino)->st;

	(void)data, (void)fi;
	pthread_mutex_lock(&lock);
	if (off + (off_t)size > st->st_size)
		st->st_size = off + (off_t)size;
	pthread_mutex_unlock(&lock);
	fuse_reply_write(req, size);
}

static void null_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino, (void)datasync, (void)fi;
	fuse_reply_err(req, 0);
}

static const struct fuse_lowlevel_ops ops = {
	.init = serve_init,
	.lookup = null_lookup,
	.getattr = null_getattr,
	.setattr = null_setattr,
	.mkdir = null_mkdir,
	.create = null_create,
	.unlink = null_unlink,
	.rmdir = null_unlink,
	.rename = null_rename,
	.open = null_open,
	.read = null_read,
	.write = null_write,
	.fsync = null_fsync,
};

int main(int argc, char **argv)
{
	char options[] = "fsname=null,subtype=nullfs";

	if (argc != 2) {
		fprintf(stderr, "usage: nullfs DIR\n");
		return 2;
	}
	return serve(&ops, options, argv[1]);
}
