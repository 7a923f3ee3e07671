/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tags are inherited, so first every directory below a tagged one is found; then the files of those, and the tagged
 * files elsewhere. In memory are such directories only. */
#include "base/hash.h"
#include "base/list.h"
#include "fs/control/report.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TAGS "CAST('user.xdg.tags' AS BLOB)"

struct tagged {
	struct hash_node node;
	struct list link; /* to be looked below */
	uint64_t ino;
	bool queued;
	char *tags; /* separated by commas, each once */
};
struct walk {
	struct hash dirs;
	struct list queue;
	struct report_groups *groups;
	struct tagged *at; /* whose names are read */
};

static bool is_ino(const struct hash_node *n, const void *ino)
{
	return container_of(n, struct tagged, node)->ino == *(const uint64_t *)ino;
}

static struct tagged *find(const struct walk *w, uint64_t ino)
{
	struct hash_node *n = hash_find(&w->dirs, hash_u64(ino), is_ino, &ino);

	return n ? container_of(n, struct tagged, node) : NULL;
}

static bool has_tag(const char *tags, const char *tag, size_t len)
{
	for (const char *p = tags; *p; p += strspn(p, ",")) {
		size_t n = strcspn(p, ",");

		if (n == len && memcmp(p, tag, len) == 0)
			return true;
		p += n;
	}
	return false;
}

/* the tags of a list that the other lacks are added to it; 1: there were some */
static int add_tags(char **tags, const char *list, size_t list_len)
{
	struct buf out = BUF_INIT;
	int added = 0;

	buf_str(&out, *tags);
	for (size_t i = 0, n, next; i < list_len; i = next) {
		const char *comma = memchr(list + i, ',', list_len - i);
		const char *tag = list + i;

		n = comma ? (size_t)(comma - tag) : list_len - i;
		next = i + n + 1;
		for (; n && isspace((unsigned char)*tag); n--)
			tag++;
		while (n && isspace((unsigned char)tag[n - 1]))
			n--;
		if (!n || memchr(tag, 0, n) || has_tag(out.data ? (char *)out.data : "", tag, n))
			continue;
		if (out.len)
			buf_str(&out, ",");
		buf_put(&out, tag, n);
		added = 1;
	}
	if (out.err) {
		buf_free(&out);
		return -ENOMEM;
	}
	free(*tags);
	*tags = buf_steal(&out);
	return added;
}

static int dir_add(struct walk *w, uint64_t ino, const char *list, size_t len)
{
	struct tagged *d = find(w, ino);
	int rc;

	if (!d) {
		if (!(d = calloc(1, sizeof *d)) || !(d->tags = strdup(""))) {
			free(d);
			return -ENOMEM;
		}
		d->ino = ino;
		hash_insert(&w->dirs, &d->node, hash_u64(ino));
	}
	rc = add_tags(&d->tags, list, len);
	if (rc > 0 && !d->queued) {
		list_push(&w->queue, &d->link);
		d->queued = true;
	}
	return rc < 0 ? rc : 0;
}

static int take_dir(void *ctx, struct meta_row *row)
{
	size_t len;
	const char *list = meta_row_blob(row, 1, &len);

	return dir_add(ctx, (uint64_t)meta_row_i64(row, 0), list, len);
}

static int take_below(void *ctx, struct meta_row *row)
{
	struct walk *w = ctx;

	return dir_add(w, (uint64_t)meta_row_i64(row, 0), w->at->tags, strlen(w->at->tags));
}

static int spread(struct walk *w, struct meta *meta)
{
	int rc = 0;

	while (rc == 0 && !list_empty(&w->queue)) {
		w->at = list_first(&w->queue, struct tagged, link);
		list_remove(&w->at->link);
		w->at->queued = false;
		rc = meta_select(meta, "SELECT ino FROM dentry WHERE parent = ?1 AND type = 4", take_below, w, "i",
			(int64_t)w->at->ino);
	}
	return rc;
}

static int count_tags(struct walk *w, const char *inherited, struct meta_row *row)
{
	uint64_t bytes = (uint64_t)meta_row_i64(row, 0);
	size_t len;
	const char *own = meta_row_blob(row, 1, &len);
	char *tags = strdup(inherited), *rest = NULL;
	int rc = tags ? add_tags(&tags, own, len) : -ENOMEM;

	for (char *t = rc < 0 ? NULL : strtok_r(tags, ",", &rest); t && rc >= 0; t = strtok_r(NULL, ",", &rest))
		rc = report_count(w->groups, REPORT_TAG, t, bytes);
	free(tags);
	return rc < 0 ? rc : 0;
}

static int take_file(void *ctx, struct meta_row *row)
{
	struct walk *w = ctx;

	return count_tags(w, w->at->tags, row);
}

static int take_other(void *ctx, struct meta_row *row)
{
	struct walk *w = ctx;

	return find(w, (uint64_t)meta_row_i64(row, 2)) ? 0 : count_tags(w, "", row);
}

/* A file with several names is counted by one of them. */
static int count_files(struct walk *w, struct meta *meta)
{
	int rc = 0;

	hash_for_each (it, &w->dirs) {
		w->at = container_of(it, struct tagged, node);
		rc = meta_select(meta,
			"SELECT i.size, x.value FROM dentry d JOIN inode i ON i.ino = d.ino "
			"LEFT JOIN xattr x ON x.ino = d.ino AND x.name = " TAGS
			" WHERE d.parent = ?1 AND d.type = 8 AND (i.nlink = 1 OR d.parent = (SELECT parent FROM dentry "
			"WHERE ino = d.ino LIMIT 1))",
			take_file, w, "i", (int64_t)w->at->ino);
		if (rc < 0)
			return rc;
	}
	return meta_select(meta,
		"SELECT i.size, x.value, (SELECT parent FROM dentry WHERE ino = x.ino LIMIT 1) FROM xattr x "
		"JOIN inode i ON i.ino = x.ino WHERE x.name = " TAGS " AND (i.mode & 61440) = 32768 AND i.nlink > 0",
		take_other, w, "");
}

static void tagged_free(void *ctx, struct hash_node *n)
{
	struct tagged *d = container_of(n, struct tagged, node);

	(void)ctx;
	free(d->tags);
	free(d);
}

int report_tags(struct meta *meta, struct report_groups *groups)
{
	struct walk w = { .groups = groups };
	int rc = hash_init(&w.dirs);

	if (rc < 0)
		return rc;
	list_init(&w.queue);
	rc = meta_select(meta,
		"SELECT x.ino, x.value FROM xattr x JOIN inode i ON i.ino = x.ino WHERE x.name = " TAGS
		" AND (i.mode & 61440) = 16384",
		take_dir, &w, "");
	if (rc == 0 && (rc = spread(&w, meta)) == 0)
		rc = count_files(&w, meta);
	hash_drain(&w.dirs, tagged_free, NULL);
	hash_free(&w.dirs);
	return rc;
}
