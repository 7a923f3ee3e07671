/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/report.h"

#include "base/clock.h"
#include "fs/control/facts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- groups --------------------------------------------------------------------------------------------------- */

struct group_key {
	enum report_section section;
	const char *key;
};

static bool is_group(const struct hash_node *n, const void *key)
{
	const struct report_group *g = container_of(n, struct report_group, node);
	const struct group_key *k = key;

	return g->section == k->section && strcmp(g->key, k->key) == 0;
}

static struct report_group *group_new(enum report_section section, const char *key)
{
	struct report_group *g = calloc(1, sizeof *g + strlen(key) + 1);

	if (g) {
		g->section = section;
		strcpy(g->key, key);
	}
	return g;
}

struct report_group *report_group(struct report_groups *groups, enum report_section section, const char *key)
{
	const struct group_key k = { section, key };
	uint64_t h = hash_bytes(key, strlen(key), section);
	struct hash_node *n = hash_find(&groups->hash, h, is_group, &k);
	struct report_group *g;

	if (n)
		return container_of(n, struct report_group, node);
	if (groups->hash.count >= REPORT_GROUPS_MAX) {
		if (!groups->others[section])
			groups->others[section] = group_new(section, "");
		return groups->others[section];
	}
	if ((g = group_new(section, key)))
		hash_insert(&groups->hash, &g->node, h);
	return g;
}

int report_count(struct report_groups *groups, enum report_section section, const char *key, uint64_t bytes)
{
	struct report_group *g = report_group(groups, section, key);

	if (!g)
		return -ENOMEM;
	g->files++;
	g->bytes += bytes;
	return 0;
}

static void group_free(void *ctx, struct hash_node *n)
{
	(void)ctx;
	free(container_of(n, struct report_group, node));
}

static void groups_free(struct report_groups *groups)
{
	hash_drain(&groups->hash, group_free, NULL);
	for (int i = 0; i < REPORT_SECTIONS; i++)
		free(groups->others[i]);
	hash_free(&groups->hash);
}

/* ---- counting ------------------------------------------------------------------------------------------------- */

const char *report_month(int64_t seconds, char out[32])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(out, 32, "%Y-%m", &tm))
		snprintf(out, 32, "-");
	return out;
}

static const char *as_text(int64_t number, char out[32])
{
	snprintf(out, 32, "%lld", (long long)number);
	return out;
}

/* "US, SG"; "" where the zone names none, or is gone */
static void country_names(const struct config_zone *zone, struct buf *out)
{
	buf_str(out, "");
	for (size_t i = 0; zone && zone->countries && zone->countries[i]; i++)
		buf_printf(out, "%s%s", i ? ", " : "", zone->countries[i]);
}

static int count_country(struct report *r, uint32_t zone_id, uint64_t bytes)
{
	struct buf names = BUF_INIT;
	int rc;

	country_names(place_zone(core_place(r->core), r->config, zone_id), &names);
	rc = names.err ? names.err : report_count(&r->groups, REPORT_COUNTRY, (char *)names.data, bytes);
	buf_free(&names);
	return rc;
}

/* size, zone, rule, uid, modified */
static int count_file(void *ctx, struct meta_row *row)
{
	struct report *r = ctx;
	uint64_t bytes = (uint64_t)meta_row_i64(row, 0);
	const char *rule = meta_row_text(row, 2);
	char text[32];
	int rc;

	if ((rc = report_count(&r->groups, REPORT_TOTAL, "", bytes)) < 0 ||
		(rc = report_count(&r->groups, REPORT_ZONE, as_text(meta_row_i64(row, 1), text), bytes)) < 0 ||
		(rc = count_country(r, (uint32_t)meta_row_i64(row, 1), bytes)) < 0 ||
		(rc = report_count(&r->groups, REPORT_RULE, rule ? rule : "", bytes)) < 0 ||
		(rc = report_count(&r->groups, REPORT_OWNER, as_text(meta_row_i64(row, 3), text), bytes)) < 0)
		return rc;
	return report_count(&r->groups, REPORT_MONTH, report_month(meta_row_i64(row, 4), text), bytes);
}

/* inode, backend, bytes: in order of the inodes */
static int count_extent(void *ctx, struct meta_row *row)
{
	struct report *r = ctx;
	uint64_t ino = (uint64_t)meta_row_i64(row, 0);
	char text[32];
	struct report_group *g = report_group(&r->groups, REPORT_BACKEND, as_text(meta_row_i64(row, 1), text));

	if (!g)
		return -ENOMEM;
	g->files += g->last_ino != ino;
	g->last_ino = ino;
	g->bytes += (uint64_t)meta_row_i64(row, 2);
	return 0;
}

static int count_all(struct report *r)
{
	int rc = meta_select(r->meta,
		"SELECT size, zone, rule, uid, mtime_s FROM inode WHERE (mode & 61440) = 32768 AND nlink > 0",
		count_file, r, "");

	if (rc == 0)
		rc = meta_select(r->meta,
			"SELECT e.ino, r.backend, e.length FROM extent e CROSS JOIN replica r ON r.object = e.object "
			"AND r.state = 1 ORDER BY e.ino, e.idx",
			count_extent, r, "");
	if (rc == 0)
		rc = report_tags(r);
	return rc == 0 ? report_kept(r) : rc;
}

/* ---- file by file, with its placement --------------------------------------------------------------------------- */

#define PAGE 256

struct page {
	uint64_t ino[PAGE], bytes[PAGE];
	size_t count;
};

static int take_file(void *ctx, struct meta_row *row)
{
	struct page *p = ctx;

	p->ino[p->count] = (uint64_t)meta_row_i64(row, 0);
	p->bytes[p->count++] = (uint64_t)meta_row_i64(row, 1);
	return 0;
}

static int visit(struct report *r, int (*fn)(struct report *, struct inode *, uint64_t), uint64_t ino, uint64_t bytes)
{
	struct inode *inode = NULL;
	int rc = meta_inode_get(r->meta, ino, &inode);

	if (rc == 0)
		rc = fn(r, inode, bytes);
	meta_inode_put(r->meta, inode);
	return rc == -ENOENT ? 0 : rc; /* deleted meanwhile */
}

int report_files(struct report *r, uint32_t flags, int (*fn)(struct report *, struct inode *, uint64_t bytes))
{
	struct page *p = calloc(1, sizeof *p);
	uint64_t after = 0;
	int rc = p ? 0 : -ENOMEM;

	while (rc == 0) {
		p->count = 0;
		rc = meta_select(r->meta,
			"SELECT ino, size FROM inode WHERE ino > ?1 AND flags & ?2 = ?2 AND (mode & 61440) = 32768"
			" AND nlink > 0 ORDER BY ino LIMIT ?3",
			take_file, p, "iii", (int64_t)after, (int64_t)flags, (int64_t)PAGE);
		for (size_t i = 0; i < p->count && rc == 0; i++)
			rc = visit(r, fn, p->ino[i], p->bytes[i]);
		if (p->count < PAGE)
			break;
		after = p->ino[PAGE - 1];
	}
	free(p);
	return rc;
}

/* ---- rows of groups ------------------------------------------------------------------------------------------- */

int report_emit(struct report *r, json_t *row)
{
	return row ? r->emit(r->ctx, row) : -ENOMEM;
}

static json_t *row_new(const char *section, const struct report_group *g)
{
	return json_pack("{s:s, s:n, s:I, s:I}", "section", section, "name", "files", (json_int_t)g->files, "bytes",
		(json_int_t)g->bytes);
}

static void name_zone(struct report *r, const struct report_group *g, json_t *row)
{
	uint32_t id = (uint32_t)strtoul(g->key, NULL, 10);
	char *name = place_zone_name(core_place(r->core), id);
	const struct config_zone *zone = place_zone(core_place(r->core), r->config, id);

	json_object_set_new(row, "name", name ? json_string(name) : json_string("(not placed yet)"));
	json_object_set_new(row, "kind", zone ? json_string(facts_kind(zone->kind)) : json_null());
	json_object_set_new(row, "home", json_boolean(zone == r->config->home));
	free(name);
}

static void name_backend(struct report *r, const struct report_group *g, json_t *row)
{
	char *name = meta_backend_name(r->meta, (uint32_t)strtoul(g->key, NULL, 10));

	json_object_set_new(row, "name", json_string(name ? name : g->key));
	for (size_t i = 0; name && i < r->config->backend_count; i++)
		if (!strcmp(r->config->backends[i]->name, name))
			json_object_set_new(row, "zone", json_string(r->config->backends[i]->zone->name));
	free(name);
}

static void name_text(struct report *r, const struct report_group *g, json_t *row)
{
	(void)r;
	facts_set_bytes(row, "name", g->key, strlen(g->key));
}

static void name_rule(struct report *r, const struct report_group *g, json_t *row)
{
	(void)r;
	json_object_set_new(row, "name", json_string(*g->key ? g->key : "(default)"));
}

/* of which kind the zones are that lie in these countries */
static void name_country(struct report *r, const struct report_group *g, json_t *row)
{
	struct buf names = BUF_INIT;

	json_object_set_new(row, "name", json_string(*g->key ? g->key : "(none named)"));
	for (size_t i = 0; *g->key && i < r->config->zone_count; i++) {
		buf_reset(&names);
		country_names(r->config->zones[i], &names);
		if (!names.err && !strcmp((char *)names.data, g->key))
			json_object_set_new(row, "kind", json_string(facts_kind(r->config->zones[i]->kind)));
	}
	buf_free(&names);
}

static const struct {
	const char *section;
	void (*name)(struct report *, const struct report_group *, json_t *);
} sections[REPORT_SECTIONS] = {
	[REPORT_TOTAL] = { "total", name_text },
	[REPORT_ZONE] = { "zone", name_zone },
	[REPORT_COUNTRY] = { "country", name_country },
	[REPORT_BACKEND] = { "backend", name_backend },
	[REPORT_RULE] = { "rule", name_rule },
	[REPORT_TAG] = { "tag", name_text },
	[REPORT_OWNER] = { "owner", name_text },
	[REPORT_MONTH] = { "month", name_text },
	[REPORT_KEPT] = { "exception", report_name_kept },
};

static int by_size(const void *a, const void *b)
{
	const struct report_group *x = *(struct report_group *const *)a, *y = *(struct report_group *const *)b;

	if (x->section != y->section)
		return x->section < y->section ? -1 : 1;
	if (x->section != REPORT_MONTH && x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	if (x->section != REPORT_MONTH && x->files != y->files)
		return x->files > y->files ? -1 : 1;
	return strcmp(x->key, y->key);
}

static int emit_others(struct report *r, enum report_section section)
{
	const struct report_group *g = r->groups.others[section];

	return g ? report_emit(r, row_new(sections[section].section, g)) : 0;
}

static int emit_sorted(struct report *r, struct report_group **v, size_t count)
{
	int rc = 0;

	for (size_t i = 0; i < count && rc == 0; i++) {
		json_t *row = row_new(sections[v[i]->section].section, v[i]);

		if (row)
			sections[v[i]->section].name(r, v[i], row);
		rc = report_emit(r, row);
		if (rc == 0 && (i + 1 == count || v[i + 1]->section != v[i]->section))
			rc = emit_others(r, v[i]->section);
	}
	return rc;
}

static int emit_groups(struct report *r)
{
	struct report_group **v = calloc(r->groups.hash.count + 1, sizeof *v);
	size_t n = 0;
	int rc;

	if (!v)
		return -ENOMEM;
	hash_for_each (it, &r->groups.hash)
		v[n++] = container_of(it, struct report_group, node);
	qsort(v, n, sizeof *v, by_size);
	rc = emit_sorted(r, v, n);
	free(v);
	return rc;
}

int report_make(struct core *core, int (*emit)(void *ctx, json_t *), void *ctx)
{
	struct report r = { .core = core, .meta = core_meta(core), .emit = emit, .ctx = ctx };
	int rc = hash_init(&r.groups.hash);

	if (rc < 0)
		return rc;
	r.config = core_config(core);
	if ((rc = count_all(&r)) == 0 && (rc = emit_groups(&r)) == 0 && (rc = report_exceptions(&r)) == 0 &&
		(rc = report_crossings(&r)) == 0)
		rc = report_evidence(&r);
	config_put(r.config);
	groups_free(&r.groups);
	return rc;
}
