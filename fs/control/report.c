/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/report.h"

#include "base/clock.h"
#include "fs/control/auditor.h"
#include "fs/control/facts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct report {
	struct core *core;
	struct meta *meta;
	struct config *config;
	struct report_groups groups;
	int (*emit)(void *ctx, json_t *);
	void *ctx;
};

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

static const char *month_of(int64_t seconds, char out[32])
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

static int count_country(struct report *r, uint32_t zone_id, uint64_t bytes)
{
	const struct config_zone *zone = place_zone(core_place(r->core), r->config, zone_id);
	struct buf names = BUF_INIT;
	int rc;

	buf_str(&names, "");
	for (size_t i = 0; zone && zone->countries && zone->countries[i]; i++)
		buf_printf(&names, "%s%s", i ? ", " : "", zone->countries[i]);
	rc = names.err ? names.err : report_count(&r->groups, REPORT_COUNTRY, (char *)names.data, bytes);
	buf_free(&names);
	return rc;
}

/* size, zone, rule, uid, modified, flags */
static int count_file(void *ctx, struct meta_row *row)
{
	struct report *r = ctx;
	uint64_t bytes = (uint64_t)meta_row_i64(row, 0);
	const char *rule = meta_row_text(row, 2);
	bool awaits = meta_row_i64(row, 5) & INODE_AWAITING;
	char text[32];
	int rc;

	if ((rc = report_count(&r->groups, REPORT_TOTAL, "", bytes)) < 0 ||
		(rc = report_count(&r->groups, REPORT_ZONE, as_text(meta_row_i64(row, 1), text), bytes)) < 0 ||
		(rc = count_country(r, (uint32_t)meta_row_i64(row, 1), bytes)) < 0 ||
		(rc = report_count(&r->groups, REPORT_RULE, rule ? rule : "", bytes)) < 0 ||
		(rc = report_count(&r->groups, REPORT_OWNER, as_text(meta_row_i64(row, 3), text), bytes)) < 0 ||
		(rc = report_count(&r->groups, REPORT_MONTH, month_of(meta_row_i64(row, 4), text), bytes)) < 0)
		return rc;
	return awaits ? report_count(&r->groups, REPORT_HELD, rule ? rule : "", bytes) : 0;
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
		"SELECT size, zone, rule, uid, mtime_s, flags FROM inode WHERE (mode & 61440) = 32768 AND nlink > 0",
		count_file, r, "");

	if (rc == 0)
		rc = meta_select(r->meta,
			"SELECT e.ino, r.backend, e.length FROM extent e CROSS JOIN replica r ON r.object = e.object "
			"AND r.state = 1 ORDER BY e.ino, e.idx",
			count_extent, r, "");
	return rc == 0 ? report_tags(r->meta, &r->groups) : rc;
}

/* ---- rows of groups ------------------------------------------------------------------------------------------- */

static int emit_row(struct report *r, json_t *row)
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

static void name_country(struct report *r, const struct report_group *g, json_t *row)
{
	(void)r;
	json_object_set_new(row, "name", json_string(*g->key ? g->key : "(none named)"));
}

static void name_held(struct report *r, const struct report_group *g, json_t *row)
{
	char text[256];

	(void)r;
	snprintf(text, sizeof text, "rule %.120s wants them abroad, the export policy keeps them at home",
		*g->key ? g->key : "(default)");
	json_object_set_new(row, "name", json_string("held back"));
	json_object_set_new(row, "text", json_string(text));
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
	[REPORT_HELD] = { "exception", name_held },
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

	return g ? emit_row(r, row_new(sections[section].section, g)) : 0;
}

static int emit_sorted(struct report *r, struct report_group **v, size_t count)
{
	int rc = 0;

	for (size_t i = 0; i < count && rc == 0; i++) {
		json_t *row = row_new(sections[v[i]->section].section, v[i]);

		if (row)
			sections[v[i]->section].name(r, v[i], row);
		rc = emit_row(r, row);
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

/* ---- what is not as it should be ------------------------------------------------------------------------------ */

static int emit_exception(struct report *r, const char *name, const char *text, int64_t files, int64_t bytes)
{
	return emit_row(r, json_pack("{s:s, s:s, s:s, s:I, s:I}", "section", "exception", "name", name, "text", text,
				   "files", (json_int_t)files, "bytes", (json_int_t)bytes));
}

static int emit_backend(struct report *r, const struct transfer_backend_status *b)
{
	char text[400];
	int rc = 0;

	if (!b->status.up || b->status.last_error) {
		snprintf(text, sizeof text, "backend %.100s: %.256s", b->name,
			*b->status.last_message ? b->status.last_message : err_text(b->status.last_error));
		rc = emit_exception(r, b->status.up ? "failing" : "unreachable", text, 0, 0);
	}
	if (rc == 0 && b->deletions_waiting) {
		snprintf(text, sizeof text, "backend %.100s: %llu objects are to be deleted and are not yet", b->name,
			(unsigned long long)b->deletions_waiting);
		rc = emit_exception(r, "to delete", text, 0, 0);
	}
	return rc;
}

static int take_number(void *ctx, struct meta_row *row)
{
	*(int64_t *)ctx = meta_row_i64(row, 0);
	return 0;
}

static int emit_exceptions(struct report *r)
{
	struct transfer_status status;
	int64_t pending = 0;
	int rc = transfer_status(core_transfer(r->core), &status);

	if (rc < 0)
		return rc;
	if (status.files_waiting || status.bytes_waiting)
		rc = emit_exception(r, "waiting", "not yet on the backends of their zone",
			(int64_t)status.files_waiting, (int64_t)status.bytes_waiting);
	for (size_t i = 0; i < status.backend_count && rc == 0; i++)
		rc = emit_backend(r, &status.backends[i]);
	transfer_status_free(&status);
	if (rc == 0)
		rc = meta_select(r->meta, "SELECT count(*) FROM pending", take_number, &pending, "");
	if (rc == 0 && pending)
		rc = emit_exception(r, "unsettled", "to be judged by their rules again", pending, 0);
	return rc;
}

/* ---- what crossed a border ------------------------------------------------------------------------------------ */

static int emit_flow(void *ctx, struct meta_row *row)
{
	struct report *r = ctx;
	char *from = place_zone_name(core_place(r->core), (uint32_t)meta_row_i64(row, 0));
	char *to = place_zone_name(core_place(r->core), (uint32_t)meta_row_i64(row, 1)), month[32];
	json_t *line = json_pack("{s:s, s:s, s:s?, s:s?, s:I, s:I}", "section", "flow", "name",
		month_of(meta_row_i64(row, 2) * 86400, month), "from", from, "to", to, "files",
		(json_int_t)meta_row_i64(row, 3), "bytes", (json_int_t)meta_row_i64(row, 4));

	free(from);
	free(to);
	return emit_row(r, line);
}

static int add_approver(void *ctx, struct meta_row *row)
{
	json_t *one = json_pack("{s:s?, s:s?}", "approver", meta_row_text(row, 0), "reason", meta_row_text(row, 1));

	return json_array_append_new(ctx, one) < 0 ? -ENOMEM : 0;
}

/* A line of the log, as auditor_show gives it, about a file that had a zone before and got another one. */
static int emit_crossing(void *ctx, json_t *line)
{
	struct report *r = ctx;
	const json_t *facts = json_object_get(line, "facts"), *names = json_object_get(line, "names");
	json_int_t from = json_integer_value(json_object_get(facts, "from"));
	json_t *row, *approvals;
	int rc;

	if (!from || from == json_integer_value(json_object_get(facts, "to"))) {
		json_decref(line);
		return 0;
	}
	approvals = json_array();
	rc = meta_select(r->meta,
		"SELECT v.approver, v.reason FROM approval a JOIN approval_vote v ON v.approval = a.id "
		"WHERE a.ino = ?1 AND a.state IN (1, 3) AND v.agree = 1 ORDER BY v.voted_s",
		add_approver, approvals, "i", (int64_t)json_integer_value(json_object_get(facts, "ino")));
	row = json_pack("{s:s, s:O, s:O, s:O, s:O?, s:O?, s:O?, s:o}", "section", "crossing", "seq",
		json_object_get(line, "seq"), "time", json_object_get(line, "time"), "kind",
		json_object_get(line, "kind"), "from", json_object_get(names, "from"), "to",
		json_object_get(names, "to"), "rule", json_object_get(facts, "rule"), "approvals", approvals);
	if (row && json_object_get(line, "path"))
		json_object_set(row, "name", json_object_get(line, "path"));
	if (row && json_object_get(line, "path_base64"))
		json_object_set(row, "name_base64", json_object_get(line, "path_base64"));
	json_decref(line);
	if (rc < 0) {
		json_decref(row);
		return rc;
	}
	return emit_row(r, row);
}

static int emit_crossings(struct report *r)
{
	struct audit_log log;
	json_t *query;
	int rc = meta_select(r->meta,
		"SELECT from_zone, to_zone, month, files, bytes FROM crossing ORDER BY month, from_zone, to_zone",
		emit_flow, r, "");

	if (rc < 0 || !(query = json_pack("{s:b}", "moved", 1)))
		return rc < 0 ? rc : -ENOMEM;
	core_audit(r->core, &log);
	rc = auditor_show(&log, query, emit_crossing, r, NULL);
	json_decref(query);
	if (rc == -ERR_TAMPERED)
		rc = emit_exception(r, "audit log", "lines are missing: see `borderfs audit verify`", 0, 0);
	return rc;
}

int report_make(struct core *core, int (*emit)(void *ctx, json_t *), void *ctx)
{
	struct report r = { .core = core, .meta = core_meta(core), .emit = emit, .ctx = ctx };
	int rc = hash_init(&r.groups.hash);

	if (rc < 0)
		return rc;
	r.config = core_config(core);
	if ((rc = count_all(&r)) == 0 && (rc = emit_groups(&r)) == 0 && (rc = emit_exceptions(&r)) == 0)
		rc = emit_crossings(&r);
	config_put(r.config);
	groups_free(&r.groups);
	return rc;
}
