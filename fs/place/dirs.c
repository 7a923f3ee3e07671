/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/place/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DIRS_MAX       4096
#define DIRS_BYTES_MAX (4u << 20)

int dirs_init(struct dirs *d)
{
	pthread_mutex_init(&d->lock, NULL);
	return hash_init(&d->table);
}

void dir_facts_put(struct dir_facts *f)
{
	if (f && atomic_fetch_sub(&f->refs, 1) == 1)
		free(f);
}

static void forget(void *ctx, struct hash_node *n)
{
	(void)ctx;
	dir_facts_put(container_of(n, struct dir_facts, node));
}

/* Under the lock. All at once: the directories in use come back at once, and nothing has to be ordered by use. */
static void forget_all(struct dirs *d)
{
	hash_drain(&d->table, forget, NULL);
	d->bytes = 0;
}

void dirs_free(struct dirs *d)
{
	forget_all(d);
	hash_free(&d->table);
	pthread_mutex_destroy(&d->lock);
}

static bool same_ino(const struct hash_node *node, const void *key)
{
	return container_of(node, struct dir_facts, node)->ino == *(const uint64_t *)key;
}

static struct dir_facts *find(struct dirs *d, uint64_t ino, uint64_t epoch)
{
	struct hash_node *node;
	struct dir_facts *f = NULL;

	pthread_mutex_lock(&d->lock);
	node = hash_find(&d->table, hash_u64(ino), same_ino, &ino);
	if (node) {
		f = container_of(node, struct dir_facts, node);
		if (f->epoch == epoch)
			atomic_fetch_add(&f->refs, 1);
		else
			f = NULL;
	}
	pthread_mutex_unlock(&d->lock);
	return f;
}

static void insert(struct dirs *d, struct dir_facts *f)
{
	struct hash_node *node;

	pthread_mutex_lock(&d->lock);
	if (d->table.count >= DIRS_MAX || d->bytes + f->bytes > DIRS_BYTES_MAX)
		forget_all(d);
	node = hash_find(&d->table, hash_u64(f->ino), same_ino, &f->ino);
	if (node) {
		struct dir_facts *old = container_of(node, struct dir_facts, node);

		hash_remove(&d->table, node);
		d->bytes -= old->bytes;
		dir_facts_put(old);
	}
	atomic_fetch_add(&f->refs, 1);
	hash_insert(&d->table, &f->node, hash_u64(f->ino));
	d->bytes += f->bytes;
	pthread_mutex_unlock(&d->lock);
}

static size_t text_bytes(const char *s)
{
	return strlen(s) + 1;
}

static const char *place_text(char **at, const char *s)
{
	char *to = *at;

	*at = stpcpy(to, s) + 1;
	return to;
}

/* One piece of memory: the struct, its tags, then all texts. A tag set nearer hides one of the same name above. */
static struct dir_facts *build(const struct dir_facts *up, const char *name, char *const *own)
{
	size_t own_count = 0, path_len = up ? strlen(up->path) + 1 + strlen(name) : 0, text = path_len + 3, bytes;
	struct dir_facts *f;
	char *at;

	for (; own[own_count]; own_count++)
		text += text_bytes(own[own_count]);
	for (size_t i = 0; up && i < up->tag_count; i++)
		text += text_bytes(up->tags[i].name) + text_bytes(up->tags[i].from);
	bytes = sizeof *f + (own_count + (up ? up->tag_count : 0)) * sizeof *f->tags + text;
	if (!(f = calloc(1, bytes)))
		return NULL;
	f->bytes = bytes;
	f->tags = (struct rule_tag *)(f + 1);
	at = (char *)(f->tags + own_count + (up ? up->tag_count : 0));
	f->path = at;
	at += up ? sprintf(at, "%s/%s", up->path, name) + 1 : 1;
	for (size_t i = 0; i < own_count; i++)
		f->tags[f->tag_count++] = (struct rule_tag){ place_text(&at, own[i]), TAG_INHERITED, f->path, NULL };
	for (size_t i = 0; up && i < up->tag_count; i++) {
		bool hidden = false;

		for (size_t k = 0; k < own_count; k++)
			hidden |= strcmp(own[k], up->tags[i].name) == 0;
		if (!hidden)
			f->tags[f->tag_count++] = (struct rule_tag){ place_text(&at, up->tags[i].name), TAG_INHERITED,
				place_text(&at, up->tags[i].from), NULL };
	}
	return f;
}

struct dir_name {
	uint64_t parent;
	char name[META_NAME_MAX + 1];
};

static int take_name(void *ctx, uint64_t parent, const char *name)
{
	struct dir_name *out = ctx;

	out->parent = parent;
	strncpy(out->name, name, META_NAME_MAX);
	return 1;
}

/* One directory's facts from its parent's (NULL for the root) and its own name and tags. */
static int make(struct place *p, uint64_t ino, const char *name, uint64_t epoch, const struct dir_facts *up,
	struct dir_facts **out)
{
	struct inode *inode = NULL;
	char **own = NULL;
	int rc = meta_inode_get(p->meta, ino, &inode);

	if (rc == 0)
		rc = tags_load(p->meta, inode, &own);
	if (rc == 0 && !(*out = build(up, name, own)))
		rc = -ENOMEM;
	if (rc == 0) {
		(*out)->ino = ino;
		(*out)->epoch = epoch;
		atomic_init(&(*out)->refs, 1);
		insert(&p->dirs, *out);
	}
	free(own);
	meta_inode_put(p->meta, inode);
	return rc;
}

struct climb {
	uint64_t ino;
	struct dir_name up;
};

/* The directories from `ino` up to, not including, one that is known or the root; *top is that one or NULL. */
static int climb(struct place *p, uint64_t ino, uint64_t epoch, struct buf *chain, struct dir_facts **top)
{
	struct climb step;
	int rc = 0;

	while (rc == 0 && !(*top = find(&p->dirs, ino, epoch)) && ino != META_ROOT_INO) {
		memset(&step, 0, sizeof step);
		step.ino = ino;
		rc = meta_names(p->meta, ino, take_name, &step.up);
		if (rc == 0)
			return -ENOENT;
		rc = rc < 0 ? rc : 0;
		buf_put(chain, &step, sizeof step);
		if (chain->err)
			rc = chain->err;
		ino = step.up.parent;
	}
	return rc;
}

int dir_facts_get(struct place *p, uint64_t ino, uint64_t epoch, struct dir_facts **out)
{
	struct buf chain = BUF_INIT;
	struct dir_facts *at = NULL;
	int rc = climb(p, ino, epoch, &chain, &at);

	if (rc == 0 && !at)
		rc = make(p, META_ROOT_INO, "", epoch, NULL, &at);
	for (size_t n = chain.len / sizeof(struct climb); rc == 0 && n > 0; n--) {
		struct climb step;
		struct dir_facts *below;

		memcpy(&step, chain.data + (n - 1) * sizeof step, sizeof step);
		rc = make(p, step.ino, step.up.name, epoch, at, &below);
		if (rc == 0) {
			dir_facts_put(at);
			at = below;
		}
	}
	buf_free(&chain);
	if (rc < 0) {
		dir_facts_put(at);
		at = NULL;
	}
	*out = at;
	return rc;
}
