/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/place/internal.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static enum file_type file_type(mode_t mode)
{
	if (S_ISREG(mode))
		return FILE_REGULAR;
	if (S_ISDIR(mode))
		return FILE_DIRECTORY;
	return S_ISLNK(mode) ? FILE_SYMLINK : FILE_OTHER;
}

/* The generations are read before anything else: whatever changes later moves them past what is kept here. */
/* Any program may set a time that nanoseconds do not reach, 2446 for one: it stays the future. */
static int64_t time_ns(struct timespec t)
{
	if (t.tv_sec >= INT64_MAX / NS_PER_S)
		return INT64_MAX;
	return t.tv_sec <= INT64_MIN / NS_PER_S ? INT64_MIN : t.tv_sec * NS_PER_S + t.tv_nsec;
}

int subject_init(struct subject *s, struct place *p, struct inode *inode)
{
	bool rule;
	int rc;

	memset(s, 0, sizeof *s);
	s->place = p;
	s->inode = inode;
	s->now_ns = clock_real_ns();
	meta_lock(p->meta);
	s->epoch = atomic_load(&p->epoch);
	s->gen = inode->place_gen;
	s->kind = file_type(inode->mode);
	s->size = inode->size;
	s->version = inode->version;
	s->mtime_ns = time_ns(inode->mtime);
	s->uid = inode->uid;
	s->gid = inode->gid;
	s->link_count = inode->nlink;
	s->flags = inode->flags;
	s->zone_id = inode->zone_id;
	rule = inode->rule;
	s->rule = rule ? strdup(inode->rule) : NULL;
	meta_unlock(p->meta);
	s->config = place_config(p);
	if (rule && !s->rule)
		return -ENOMEM;
	if ((rc = tags_load(p->meta, inode, &s->tags)) < 0 || !(s->flags & INODE_ASKED))
		return rc;
	meta_lock(p->meta);
	rc = request_get(inode, &s->asked);
	meta_unlock(p->meta);
	return rc;
}

void subject_free(struct subject *s)
{
	free(s->rule);
	free(s->tags);
	request_clear(&s->asked);
	config_put(s->config);
	s->config = NULL;
}

static int collect(void *ctx, uint64_t parent, const char *name)
{
	struct buf *out = ctx;

	buf_u64(out, parent);
	buf_put(out, name, strlen(name) + 1);
	return out->err;
}

int names_collect(struct meta *meta, uint64_t ino, struct buf *out)
{
	int rc = meta_names(meta, ino, collect, out);

	if (rc == 0 && out->err)
		rc = out->err;
	return rc == 0 && out->len == 0 ? -ENOENT : rc;
}

bool names_next(const struct buf *names, size_t *pos, uint64_t *parent, const char **name)
{
	if (*pos >= names->len)
		return false;
	*parent = get_le64(names->data + *pos);
	*name = (const char *)names->data + *pos + 8;
	*pos += 8 + strlen(*name) + 1;
	return true;
}

static const char *ask_type(void *ctx)
{
	struct subject *s = ctx;
	int rc;

	if (!s->type_asked) {
		s->type_asked = true;
		rc = media_type(s->place, s->inode, s->type, sizeof s->type);
		s->type_unknown = rc < 0;
		s->content_missing = rc == -ERR_NEED_FETCH;
	}
	return s->type_unknown ? NULL : s->type;
}

/* The user's own tags, then the inherited ones they do not repeat. */
static struct rule_tag *all_tags(const struct subject *s, const struct dir_facts *dir, size_t *count)
{
	struct rule_tag *tags;
	size_t own = 0, n = 0;

	while (s->tags[own])
		own++;
	if (!(tags = malloc((own + dir->tag_count + 1) * sizeof *tags)))
		return NULL;
	for (; n < own; n++)
		tags[n] = (struct rule_tag){ s->tags[n], TAG_USER, NULL, NULL };
	for (size_t i = 0; i < dir->tag_count; i++) {
		bool repeated = false;

		for (size_t k = 0; k < own; k++)
			repeated |= strcmp(tags[k].name, dir->tags[i].name) == 0;
		if (!repeated)
			tags[n++] = dir->tags[i];
	}
	*count = n;
	return tags;
}

static int decide(struct subject *s, const struct dir_facts *dir, const char *path, struct rule_decision *out,
	struct judge_detail *detail)
{
	struct rule_facts facts = {
		.path = path,
		.kind = s->kind,
		.size = s->size,
		.mtime_ns = s->mtime_ns,
		.now_ns = s->now_ns,
		.uid = s->uid,
		.gid = s->gid,
		.link_count = s->link_count,
		.media_type = s->kind == FILE_REGULAR ? ask_type : NULL,
		.ctx = s,
	};
	struct rule_tag *tags = all_tags(s, dir, &facts.tag_count);
	int rc;

	if (!tags)
		return -ENOMEM;
	facts.tags = tags;
	rc = rules_decide(s->config, &facts, out, detail && detail->trace.ctx ? &detail->trace : NULL,
		detail ? &detail->tags : NULL, detail ? &detail->tag_count : NULL);
	free(tags);
	return rc;
}

static char *join(const char *dir, const char *name)
{
	struct buf out = BUF_INIT;

	buf_printf(&out, "%s/%s", dir, name);
	return buf_steal(&out);
}

void judge_name(struct subject *s, uint64_t parent, const char *name, struct judged *out, struct judge_detail *detail)
{
	struct rule_decision decision;
	struct dir_facts *dir = NULL;
	char *path = NULL;
	int rc = dir_facts_get(s->place, parent, s->epoch, &dir);

	*out = (struct judged){ .zone = s->config->home, .due_ns = INT64_MAX, .doubt = true };
	if (rc == 0 && (path = join(dir->path, name)) && decide(s, dir, path, &decision, detail) == 0)
		*out = (struct judged){ decision.zone, decision.rule, decision.next_due_ns, false };
	if (detail) {
		detail->dir = dir;
		detail->path = path;
		return;
	}
	free(path);
	dir_facts_put(dir);
}

void judge_detail_free(struct judge_detail *d)
{
	dir_facts_put(d->dir);
	free(d->path);
	free(d->tags);
}

void judgement_add(struct judgement *j, const struct subject *s, const struct judged *one)
{
	struct judged *slot = &j->of[JUDGED_FOREIGN];
	enum judged_side side = JUDGED_FOREIGN;

	if (one->zone == s->config->home)
		side = JUDGED_HOME;
	else if (one->zone->kind == ZONE_DOMESTIC)
		side = JUDGED_DOMESTIC;
	slot = &j->of[side];
	j->due_ns = one->due_ns < j->due_ns ? one->due_ns : j->due_ns;
	j->mark |= one->rule && one->zone->kind == ZONE_DOMESTIC;
	if (!slot->zone || (slot->zone == one->zone && !slot->rule))
		*slot = *one;
	else if (slot->zone != one->zone)
		j->conflict[side] = true;
}

/* Home if any name says home; else the one domestic zone, whatever foreign ones other names say; two that differ are
 * doubt. */
void judgement_result(const struct judgement *j, const struct subject *s, struct judged *out)
{
	*out = (struct judged){ .zone = s->config->home, .due_ns = j->due_ns, .doubt = true };
	for (size_t side = 0; side < JUDGED_SIDES; side++) {
		if (!j->of[side].zone)
			continue;
		if (!j->conflict[side])
			*out = j->of[side];
		break;
	}
	out->due_ns = j->due_ns;
}

/* What could not be read at all is home, and says so by having no rule. */
static void judge_all(struct subject *s, const struct buf *names, struct judgement *j)
{
	struct judged one = { .zone = s->config->home, .due_ns = INT64_MAX, .doubt = true };
	const char *name;
	uint64_t parent;
	size_t pos = 0;

	*j = (struct judgement){ .due_ns = INT64_MAX };
	if (!names) {
		judgement_add(j, s, &one);
		return;
	}
	while (names_next(names, &pos, &parent, &name)) {
		judge_name(s, parent, name, &one, NULL);
		judgement_add(j, s, &one);
	}
}

int subject_place(struct subject *s, const struct buf *names, struct judged *wanted, struct placement *out)
{
	struct judgement all;

	memset(out, 0, sizeof *out);
	judge_all(s, names, &all);
	judgement_result(&all, s, wanted);
	out->mark_held = all.mark;
	out->want_content = s->content_missing;
	out->pin = wanted->rule && rule_pin(wanted->rule);
	return policy_apply(s, wanted, out);
}

int place_evaluate(struct place *p, struct inode *inode, struct placement *out)
{
	struct buf names = BUF_INIT;
	struct judged wanted;
	struct subject s;
	int rc;

	memset(out, 0, sizeof *out);
	rc = subject_init(&s, p, inode);
	if (rc == 0)
		rc = names_collect(p->meta, inode->ino, &names);
	if (rc != -ENOENT)
		rc = subject_place(&s, rc == 0 ? &names : NULL, &wanted, out);
	subject_free(&s);
	buf_free(&names);
	return rc;
}

bool place_name_marks(struct place *p, struct inode *inode, uint64_t parent, const char *name)
{
	struct judgement all = { .due_ns = INT64_MAX };
	struct judged one;
	struct subject s;
	int rc = subject_init(&s, p, inode);

	if (rc == 0) {
		judge_name(&s, parent, name, &one, NULL);
		judgement_add(&all, &s, &one);
	}
	subject_free(&s);
	return rc == 0 && all.mark && !s.content_missing;
}
