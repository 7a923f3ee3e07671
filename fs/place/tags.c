/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/place/internal.h"

#include "base/log.h"
#include "config/strv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TAGS_XATTR "user.xdg.tags"

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The next word of a comma list, blanks around it cut; empty ones are skipped. */
static const char *next_word(const char **p, const char *end, size_t *len)
{
	while (*p < end) {
		const char *start = *p, *stop = start;

		while (stop < end && *stop != ',' && *stop)
			stop++;
		*p = stop < end ? stop + 1 : stop;
		while (start < stop && blank(*start))
			start++;
		while (stop > start && blank(stop[-1]))
			stop--;
		if ((*len = (size_t)(stop - start)))
			return start;
	}
	return NULL;
}

/* One piece of memory: the pointers, then the words. */
static char **split(const char *value, size_t value_len)
{
	const char *p = value, *end = value + value_len, *word;
	size_t n = 0, len;
	char **out, *text;

	while (next_word(&p, end, &len))
		n++;
	out = malloc((n + 1) * sizeof *out + value_len + n);
	if (!out)
		return NULL;
	text = (char *)(out + n + 1);
	p = value;
	for (n = 0; (word = next_word(&p, end, &len)); n++) {
		out[n] = memcpy(text, word, len);
		text[len] = 0;
		text += len + 1;
	}
	out[n] = NULL;
	return out;
}

int tags_load(struct meta *meta, struct inode *inode, char ***out)
{
	const void *value;
	size_t len = 0;
	int rc;

	*out = NULL;
	if ((rc = meta_xattrs_load(meta, inode)) < 0)
		return rc;
	meta_lock(meta);
	value = meta_xattr_find(inode, TAGS_XATTR, &len);
	*out = split(value ? value : "", value ? len : 0);
	meta_unlock(meta);
	return *out ? 0 : -ENOMEM;
}

char **place_user_tags(struct meta *meta, struct inode *inode)
{
	char **tags;

	tags_load(meta, inode, &tags);
	return tags;
}

static bool has_word(const char *list, size_t list_len, const char *word, size_t len)
{
	const char *p = list, *end = list + list_len, *w;
	size_t n;

	while ((w = next_word(&p, end, &n)))
		if (n == len && memcmp(w, word, len) == 0)
			return true;
	return false;
}

char *tags_lost(struct inode *inode, const void *value, size_t len)
{
	size_t had_len, n;
	const char *had = meta_xattr_find(inode, TAGS_XATTR, &had_len), *p = had, *word;
	json_t *lost = json_array();
	char *out = NULL, *copy;

	while (had && (inode->flags & INODE_HELD || S_ISDIR(inode->mode)) &&
		(word = next_word(&p, had + had_len, &n))) {
		if (has_word(value ? value : "", value ? len : 0, word, n) || !(copy = strndup(word, n)))
			continue;
		json_array_append_new(lost, json_bytes(copy));
		free(copy);
	}
	if (json_array_size(lost))
		out = json_dumps(lost, JSON_COMPACT);
	json_decref(lost);
	return out;
}

void audit_tags(struct place *p, const struct inode *inode, char *lost)
{
	struct buf facts = BUF_INIT;

	buf_printf(&facts, "{\"ino\":%" PRIu64 ",\"lost\":%s}", inode->ino, lost);
	if (facts.err)
		log_error("audit: out of memory: a line of kind tags is missing");
	else
		audit_file(p, "tags", inode->ino, (const char *)facts.data);
	buf_free(&facts);
	free(lost);
}

/* ---- all tags ---------------------------------------------------------------------------------------------------- */

static int add_new(char ***to, const struct judge_detail *detail)
{
	int rc = 0;

	for (size_t i = 0; i < detail->tag_count && rc == 0; i++)
		if (!strv_has(*to, detail->tags[i].name))
			rc = strv_append(to, strdup(detail->tags[i].name));
	return rc;
}

static int of_names(struct subject *s, const struct buf *names, char ***out)
{
	const char *name;
	uint64_t parent;
	size_t pos = 0;
	int rc = 0;

	while (rc == 0 && names_next(names, &pos, &parent, &name)) {
		struct judge_detail detail = { 0 };
		struct judged unused;

		judge_name(s, parent, name, &unused, &detail);
		rc = add_new(out, &detail);
		judge_detail_free(&detail);
	}
	return rc;
}

int place_all_tags(struct place *p, struct inode *inode, int (*fn)(void *ctx, const char *tag), void *ctx)
{
	struct buf names = BUF_INIT;
	char **tags = NULL;
	struct subject s;
	int rc = subject_init(&s, p, inode);

	if (rc == 0)
		rc = names_collect(p->meta, inode->ino, &names);
	if (rc == 0)
		rc = of_names(&s, &names, &tags);
	for (char **tag = tags; rc == 0 && tag && *tag; tag++)
		rc = fn(ctx, *tag);
	strv_free(tags);
	subject_free(&s);
	buf_free(&names);
	return rc;
}
