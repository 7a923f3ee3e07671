/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/plan.h"

#include "base/hash.h"
#include "fs/control/facts.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define PAGE	   4096
#define ALIVE_EACH 256

enum section { SECTION_MOVE, SECTION_STAY, SECTION_UNSURE };

struct key {
	enum section section;
	const struct config_zone *from, *to;
	const struct rule *rule;
	enum policy_reason reason;
};

struct group {
	struct hash_node node;
	struct key key;
	bool others; /* of its section: the key says no more */
	uint64_t files, bytes;
};

struct file {
	uint64_t ino, bytes;
	struct key key;
};

struct plan {
	const struct plan_ask *ask;
	struct meta *meta;
	struct hash groups;
	struct group others[SECTION_UNSURE + 1];
	struct file largest[PLAN_FILES], sample[PLAN_FILES]; /* largest: a heap, the least first */
	size_t largest_count;
	uint64_t seen, files, bytes, moving_files, moving_bytes;
	uint64_t page[PAGE];
	size_t page_count;
};

/* ---- counting ------------------------------------------------------------------------------------------------- */

static bool is_group(const struct hash_node *n, const void *key)
{
	const struct key *a = &container_of(n, struct group, node)->key, *b = key;

	return a->section == b->section && a->from == b->from && a->to == b->to && a->rule == b->rule &&
	       a->reason == b->reason;
}

static uint64_t key_hash(const struct key *k)
{
	const uint64_t parts[] = { (uint64_t)k->section, (uintptr_t)k->from, (uintptr_t)k->to, (uintptr_t)k->rule,
		(uint64_t)k->reason };

	return hash_bytes(parts, sizeof parts, 0);
}

static int count(struct plan *p, const struct key *key, uint64_t bytes)
{
	uint64_t h = key_hash(key);
	struct hash_node *n = hash_find(&p->groups, h, is_group, key);
	struct group *g = n ? container_of(n, struct group, node) : NULL;

	if (!g && p->groups.count >= PLAN_GROUPS_MAX) {
		g = &p->others[key->section];
		g->others = true;
		g->key = *key;
	} else if (!g) {
		if (!(g = calloc(1, sizeof *g)))
			return -ENOMEM;
		g->key = *key;
		hash_insert(&p->groups, &g->node, h);
	}
	g->files++;
	g->bytes += bytes;
	return 0;
}

static void sift_down(struct file *v, size_t count)
{
	for (size_t i = 0, least; 2 * i + 1 < count; i = least) {
		struct file t = v[i];

		least = 2 * i + 1;
		if (least + 1 < count && v[least + 1].bytes < v[least].bytes)
			least++;
		if (v[least].bytes >= t.bytes)
			return;
		v[i] = v[least];
		v[least] = t;
	}
}

static void keep_largest(struct plan *p, const struct file *f)
{
	struct file *v = p->largest;
	size_t i = p->largest_count;

	if (i == PLAN_FILES) {
		if (f->bytes > v[0].bytes) {
			v[0] = *f;
			sift_down(v, PLAN_FILES);
		}
		return;
	}
	for (p->largest_count++; i && v[(i - 1) / 2].bytes > f->bytes; i = (i - 1) / 2)
		v[i] = v[(i - 1) / 2];
	v[i] = *f;
}

/* Each that moves is as likely to be among them. */
static void keep_sample(struct plan *p, const struct file *f)
{
	uint64_t at = p->moving_files - 1;

	if (at >= PLAN_FILES && (at = randombytes_uniform((uint32_t)p->moving_files)) >= PLAN_FILES)
		return;
	p->sample[at] = *f;
}

static int count_move(struct plan *p, uint64_t ino, const struct forecast *at)
{
	struct file f = { ino, at->size, { SECTION_MOVE, at->from, at->to, at->rule, POLICY_NONE } };

	p->moving_files++;
	p->moving_bytes += at->size;
	keep_largest(p, &f);
	keep_sample(p, &f);
	return count(p, &f.key, at->size);
}

static int judge(struct plan *p, uint64_t ino, struct inode *inode)
{
	struct forecast at;
	int rc = place_forecast(core_place(p->ask->core), p->ask->config, inode, &at);

	if (rc < 0)
		return rc;
	p->files++;
	p->bytes += at.size;
	if (at.unsure)
		rc = count(p, &(struct key){ SECTION_UNSURE, at.from, at.to, NULL, POLICY_NONE }, at.size);
	if (rc == 0 && at.from != at.to)
		rc = count_move(p, ino, &at);
	if (rc == 0 && at.to != at.wanted)
		rc = count(p, &(struct key){ SECTION_STAY, at.to, at.wanted, at.rule, at.reason }, at.size);
	return rc;
}

/* What was deleted meanwhile does not move. */
static int judge_ino(struct plan *p, uint64_t ino)
{
	struct inode *inode;
	int rc = ++p->seen % ALIVE_EACH ? 0 : p->ask->alive(p->ask->ctx);

	if (rc == 0 && (rc = meta_inode_get(p->meta, ino, &inode)) == 0) {
		rc = judge(p, ino, inode);
		meta_inode_put(p->meta, inode);
	}
	return rc == -ENOENT ? 0 : rc;
}

static int take_ino(void *ctx, struct meta_row *row)
{
	struct plan *p = ctx;

	p->page[p->page_count++] = (uint64_t)meta_row_i64(row, 0);
	return 0;
}

static int judge_all(struct plan *p)
{
	uint64_t after = 0;
	int rc;

	do {
		p->page_count = 0;
		rc = meta_select(p->meta,
			"SELECT ino FROM inode WHERE ino > ?1 AND (mode & 61440) = 32768 AND nlink > 0 ORDER BY ino "
			"LIMIT ?2",
			take_ino, p, "ii", (int64_t)after, (int64_t)PAGE);
		for (size_t i = 0; rc == 0 && i < p->page_count; i++)
			rc = judge_ino(p, after = p->page[i]);
	} while (rc == 0 && p->page_count == PAGE);
	return rc;
}

/* ---- rows ----------------------------------------------------------------------------------------------------- */

static const char *direction(const struct key *k)
{
	if (k->from->kind == k->to->kind)
		return "within";
	return k->to->kind == ZONE_FOREIGN ? "abroad" : "home";
}

static const char *reason_name(enum policy_reason reason)
{
	static const char *const names[] = { [POLICY_NONE] = "",
		[POLICY_DENY] = "deny",
		[POLICY_AWAITING] = "approval",
		[POLICY_DENIED] = "denied",
		[POLICY_STOPPED] = "stop-after" };

	return names[reason];
}

static json_t *row_new(const char *section, const struct key *k, uint64_t bytes)
{
	json_t *row = json_pack("{s:s, s:s, s:s, s:s?, s:I}", "section", section, "from", k->from->name, "to",
		k->to->name, "rule", k->rule ? rule_name(k->rule) : NULL, "bytes", (json_int_t)bytes);

	if (row && k->section == SECTION_MOVE)
		json_object_set_new(row, "direction", json_string(direction(k)));
	if (row && k->section == SECTION_STAY)
		json_object_set_new(row, "reason", json_string(reason_name(k->reason)));
	return row;
}

static json_t *others_new(const char *section, uint64_t bytes)
{
	return json_pack("{s:s, s:b, s:I}", "section", section, "others", 1, "bytes", (json_int_t)bytes);
}

static int emit_group(struct plan *p, const struct group *g)
{
	static const char *const sections[] = { "move", "stay", "unsure" };
	const char *section = sections[g->key.section];
	json_t *row = g->others ? others_new(section, g->bytes) : row_new(section, &g->key, g->bytes);

	if (!row || json_object_set_new(row, "files", json_integer((json_int_t)g->files)) < 0) {
		json_decref(row);
		return -ENOMEM;
	}
	return p->ask->emit(p->ask->ctx, row);
}

/* The largest of each section first; then in any order that is always the same. */
static int by_bytes(const void *a, const void *b)
{
	const struct group *x = *(struct group *const *)a, *y = *(struct group *const *)b;
	int rc;

	if (x->key.section != y->key.section)
		return x->key.section < y->key.section ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	if ((rc = strcmp(x->key.from->name, y->key.from->name)) || (rc = strcmp(x->key.to->name, y->key.to->name)))
		return rc;
	return strcmp(x->key.rule ? rule_name(x->key.rule) : "", y->key.rule ? rule_name(y->key.rule) : "");
}

static int emit_groups(struct plan *p)
{
	struct group **v = calloc(p->groups.count + 1, sizeof *v);
	size_t n = 0;
	int rc = v ? 0 : -ENOMEM;

	if (!v)
		return rc;
	hash_for_each (it, &p->groups)
		v[n++] = container_of(it, struct group, node);
	qsort(v, n, sizeof *v, by_bytes);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = emit_group(p, v[i]);
	free(v);
	for (size_t i = 0; i <= SECTION_UNSURE && rc == 0; i++)
		if (p->others[i].others)
			rc = emit_group(p, &p->others[i]);
	return rc;
}

static int emit_file(struct plan *p, const char *section, const struct file *f)
{
	struct buf path = BUF_INIT;
	json_t *row = NULL;
	int rc = meta_path(p->meta, f->ino, &path);

	if (rc == 0 && path.err)
		rc = path.err;
	if (rc == 0) {
		row = row_new(section, &f->key, f->bytes);
		rc = row ? facts_set_bytes(row, "path", (const char *)path.data, strlen((const char *)path.data))
			 : -ENOMEM;
	}
	buf_free(&path);
	if (rc == 0)
		return p->ask->emit(p->ask->ctx, row);
	json_decref(row);
	return rc == -ENOENT ? 0 : rc;
}

static int larger_first(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static int emit_files(struct plan *p)
{
	size_t sampled = p->moving_files < PLAN_FILES ? p->moving_files : PLAN_FILES;
	int rc = 0;

	qsort(p->largest, p->largest_count, sizeof *p->largest, larger_first);
	for (size_t i = 0; i < p->largest_count && rc == 0; i++)
		rc = emit_file(p, "largest", &p->largest[i]);
	for (size_t i = 0; i < sampled && rc == 0; i++)
		rc = emit_file(p, "sample", &p->sample[i]);
	return rc;
}

static int set_totals(struct plan *p, json_t *to)
{
	struct transfer_status status = { 0 };
	int rc = transfer_status(core_transfer(p->ask->core), &status);
	uint64_t speed = status.upload_bytes_per_s;
	json_t *facts;

	transfer_status_free(&status);
	if (rc < 0)
		return rc;
	facts = json_pack("{s:I, s:I, s:I, s:I, s:o, s:o}", "files", (json_int_t)p->files, "bytes",
		(json_int_t)p->bytes, "moving_files", (json_int_t)p->moving_files, "moving_bytes",
		(json_int_t)p->moving_bytes, "bytes_per_s", speed ? json_integer((json_int_t)speed) : json_null(),
		"seconds", speed ? json_integer((json_int_t)(p->moving_bytes / speed)) : json_null());
	rc = facts && json_object_update(to, facts) == 0 ? 0 : -ENOMEM;
	json_decref(facts);
	return rc;
}

static void group_free(void *ctx, struct hash_node *n)
{
	(void)ctx;
	free(container_of(n, struct group, node));
}

/* By one configuration in force from the first file to the last: its zones are what rows name. */
static int plan_run(struct plan *p, json_t *totals)
{
	struct config *now = core_config(p->ask->core), *then;
	int rc = judge_all(p);

	then = core_config(p->ask->core);
	if (rc == 0 && then != now)
		rc = -EAGAIN;
	if (rc == 0 && (rc = emit_groups(p)) == 0 && (rc = emit_files(p)) == 0)
		rc = set_totals(p, totals);
	config_put(then);
	config_put(now);
	return rc;
}

int plan_make(const struct plan_ask *ask, json_t *totals)
{
	struct plan *p = calloc(1, sizeof *p);
	int rc = p ? hash_init(&p->groups) : -ENOMEM;

	if (rc == 0) {
		p->ask = ask;
		p->meta = core_meta(ask->core);
		rc = plan_run(p, totals);
		hash_drain(&p->groups, group_free, NULL);
		hash_free(&p->groups);
	}
	free(p);
	return rc;
}
