/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/auditor.h"

#include "base/clock.h"
#include "base/text.h"
#include "fs/control/facts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct show {
	const struct audit_log *log;
	uint64_t ino; /* 0: of any file and of none */
	int64_t since_ns, until_ns;
	unsigned kind;		  /* 0: any */
	bool moved;		  /* only of what had a zone before */
	json_t *zones, *backends; /* names by number, written as text */
	int (*emit)(void *ctx, json_t *);
	void *ctx;
};

static int add_path(json_t *line, const struct show *s, uint64_t ino)
{
	struct buf path = BUF_INIT;
	int rc = meta_path(s->log->meta, ino, &path);

	if (rc == 0)
		rc = facts_set_bytes(line, "path", (const char *)path.data, path.len);
	buf_free(&path);
	return rc == -ENOENT ? 0 : rc;
}

static int add_name(void *ctx, struct meta_row *row)
{
	char number[24];
	const char *name = meta_row_text(row, 1);

	snprintf(number, sizeof number, "%lld", (long long)meta_row_i64(row, 0));
	return json_object_set_new(ctx, number, json_string(name)) < 0 ? -ENOMEM : 0;
}

static int load_names(struct show *s)
{
	int rc;

	s->zones = json_object();
	s->backends = json_object();
	if (!s->zones || !s->backends)
		return -ENOMEM;
	rc = meta_select(s->log->meta, "SELECT id, name FROM zone", add_name, s->zones, "");
	return rc < 0 ? rc : meta_select(s->log->meta, "SELECT id, name FROM backend", add_name, s->backends, "");
}

/* What the numbers of zones and backends in the facts stand for. */
static int add_names(json_t *line, const struct show *s)
{
	static const char *const of_zones[] = { "from", "to", "wanted", "zone" };
	const json_t *facts = json_object_get(line, "facts");
	json_t *names = json_object();
	char number[24];
	int rc = names ? 0 : -ENOMEM;

	for (size_t i = 0; i <= sizeof of_zones / sizeof *of_zones && rc == 0; i++) {
		bool backend = i == sizeof of_zones / sizeof *of_zones;
		const char *key = backend ? "backend" : of_zones[i];
		const json_t *value = json_object_get(facts, key);
		json_t *name;

		snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
		name = json_is_integer(value) ? json_object_get(backend ? s->backends : s->zones, number) : NULL;
		if (name && json_object_set(names, key, name) < 0)
			rc = -ENOMEM;
	}
	if (json_object_set_new(line, "names", names) < 0)
		rc = -ENOMEM;
	return rc;
}

static int add_facts(json_t *line, const struct audit_line *l)
{
	json_t *written = json_loadb(l->text, l->len, 0, NULL), *facts = json_object_get(written, "facts");
	int rc = json_object_set(line, "facts", facts ? facts : json_null());

	if (rc == 0 && !facts)
		rc = facts_set_bytes(line, "text", l->text, l->len);
	json_decref(written);
	return rc < 0 ? -ENOMEM : 0;
}

/* Of most lines it can be said without reading them. */
static bool has_moved(const struct audit_line *l)
{
	return (l->kind == audit_kind("placement") || l->kind == audit_kind("export")) &&
	       !memmem(l->text, l->len, "\"from\":0,", strlen("\"from\":0,"));
}

static int show_line(void *ctx, const struct audit_line *l)
{
	const struct show *s = ctx;
	int64_t at_ns = (int64_t)l->time.tv_sec * NS_PER_S + l->time.tv_nsec;
	const char *kind = audit_kind_name(l->kind);
	json_t *line;
	int rc;

	if ((s->ino && l->ino != s->ino) || (s->kind && l->kind != s->kind) || at_ns < s->since_ns ||
		at_ns > s->until_ns || (s->moved && !has_moved(l)))
		return 0;
	line = json_pack("{s:I, s:o, s:s?}", "seq", (json_int_t)l->seq, "time", facts_utc(&l->time), "kind", kind);
	if (!line)
		return -ENOMEM;
	if ((l->ino && (rc = add_path(line, s, l->ino)) < 0) || (rc = add_facts(line, l)) < 0 ||
		(rc = add_names(line, s)) < 0) {
		json_decref(line);
		return rc;
	}
	return s->emit(s->ctx, line);
}

static int64_t number(const json_t *query, const char *key, int64_t missing)
{
	const json_t *v = json_object_get(query, key);

	return json_is_integer(v) ? json_integer_value(v) : missing;
}

int auditor_show(const struct audit_log *log, const json_t *query, int (*emit)(void *ctx, json_t *), void *ctx,
	struct errmsg *msg)
{
	const char *kind = json_string_value(json_object_get(query, "kind"));
	struct show s = { .log = log, .emit = emit, .ctx = ctx };
	int rc;

	s.ino = (uint64_t)number(query, "ino", 0);
	s.since_ns = number(query, "since_ns", INT64_MIN);
	s.moved = json_is_true(json_object_get(query, "moved"));
	s.until_ns = number(query, "until_ns", INT64_MAX);
	if (kind && !(s.kind = audit_kind(kind)))
		return errmsg_set(msg, -EINVAL,
			"the audit log has no lines of kind \"%s\": see `borderfs audit show --help`", kind);
	if ((rc = load_names(&s)) == 0)
		rc = audit_walk(log, 0, show_line, &s);
	if (rc == -ERR_TAMPERED)
		errmsg_set(msg, rc,
			"a sealed file of the audit log is missing or not as it was written, so lines are missing: "
			"`borderfs audit verify` says which");
	json_decref(s.zones);
	json_decref(s.backends);
	return rc;
}

struct verify {
	int (*emit)(void *ctx, json_t *);
	void *ctx;
};

static int show_finding(void *ctx, const struct audit_finding *f)
{
	const struct verify *v = ctx;
	json_t *line = json_pack("{s:s, s:I, s:I, s:s}", "finding", audit_wrong_name(f->wrong), "first",
		(json_int_t)f->first, "last", (json_int_t)f->last, "text", f->text);

	return line ? v->emit(v->ctx, line) : -ENOMEM;
}

static json_t *head_facts(const struct audit_head *head)
{
	struct timespec time = { 0 };

	if (!head->seq)
		return json_null();
	time.tv_sec = (time_t)head->time_s;
	return json_pack("{s:I, s:o}", "line", (json_int_t)head->seq, "time", facts_utc(&time));
}

static int add_seen(json_t *verdict, const struct audit_heads *seen)
{
	return json_object_set_new(verdict, "asked", json_integer(seen->asked)) < 0 ||
			       json_object_set_new(verdict, "bad_heads", json_integer(seen->bad)) < 0 ||
			       json_object_set_new(verdict, "published", json_integer((json_int_t)seen->published)) <
				       0 ||
			       (*seen->why && json_object_set_new(verdict, "unasked", json_string(seen->why)) < 0)
		       ? -ENOMEM
		       : 0;
}

int auditor_verify(const struct audit_log *log, const struct audit_head *head, const struct audit_heads *seen,
	int (*emit)(void *ctx, json_t *), void *ctx, json_t *verdict, struct errmsg *msg)
{
	struct verify v = { emit, ctx };
	struct audit_verdict found;
	char mac[2 * AUDIT_MAC_BYTES + 1];
	json_t *facts;
	int rc = audit_verify(log, show_finding, &v, &found);

	if (rc == 0 && head->seq)
		rc = audit_compare(log, head, &found, show_finding, &v);

	if (rc < 0)
		return rc;
	facts = json_pack("{s:I, s:I, s:o, s:s, s:I, s:o}", "lines", (json_int_t)found.lines, "last",
		(json_int_t)found.last, "time", facts_utc(&found.time), "mac",
		text_hex(found.mac, sizeof found.mac, mac), "findings", (json_int_t)found.findings, "head",
		head_facts(head));
	if (!facts || json_object_update(verdict, facts) < 0 || add_seen(verdict, seen) < 0)
		rc = -ENOMEM;
	json_decref(facts);
	if (rc == 0 && found.findings)
		rc = errmsg_set(msg, -ERR_TAMPERED,
			"the audit log is not as it was written (findings: %llu): keep the store as it is, and compare "
			"it with a backup",
			(unsigned long long)found.findings);
	return rc;
}
