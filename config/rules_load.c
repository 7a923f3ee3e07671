/* SPDX-License-Identifier: GPL-3.0-or-later */
/* [tag] and [rule] sections -> the compiled form. */
#include "base/text.h"
#include "config/load.h"
#include "config/message.h"
#include "config/owner.h"
#include "config/rules_impl.h"
#include "config/strv.h"

#include <ctype.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One alternative of a condition being read. */
struct reading {
	struct load *l;
	struct cond *c;
	const struct doc_entry *e;
};

static void *grow(struct reading *r, void *v, size_t size)
{
	void *grown = realloc(v, (r->c->count + 1) * size);

	if (!grown)
		r->l->no_memory = true;
	return grown;
}

static bool bad_item(struct reading *r, const char *item, const char *expected)
{
	load_error(r->l, &r->e->origin, "bad value \"%s\" for \"%s\"; expected %s", item, r->e->key, expected);
	return false;
}

static bool read_glob(struct reading *r, const char *item)
{
	struct glob **v = grow(r, r->c->globs, sizeof *v);
	struct errmsg msg = { 0 };
	int rc;

	if (!v)
		return false;
	r->c->globs = v;
	rc = r->c->kind == COND_NAME ? glob_compile_name(&v[r->c->count], item, &msg)
				     : glob_compile(&v[r->c->count], item, &msg);
	if (rc == 0)
		r->c->count++;
	else if (rc == -EINVAL)
		load_error(r->l, &r->e->origin, "bad value for \"%s\": %s", r->e->key, errmsg_text(&msg, rc));
	else
		r->l->no_memory = true;
	errmsg_free(&msg);
	return rc == 0;
}

static bool add_word(struct reading *r, char *word)
{
	if (strv_append(&r->c->words, word) < 0) {
		r->l->no_memory = true;
		return false;
	}
	r->c->count++;
	return true;
}

static bool read_tag(struct reading *r, const char *item)
{
	return add_word(r, strdup(item));
}

static bool need_mime(struct reading *r)
{
	struct rules *rules = r->l->c->rules;
	int rc = rules->mime ? 0 : mime_load(&rules->mime, MIME_GLOBS2, MIME_TYPES);

	if (rc == -ENOENT)
		load_error(r->l, &r->e->origin,
			"\"%s\" needs the distribution's list of media types; install the package shared-mime-info "
			"(" MIME_GLOBS2 ") or media-types (" MIME_TYPES ")",
			r->e->key);
	else if (rc < 0)
		load_error(r->l, &r->e->origin, "the list of media types cannot be read: %s", err_text(rc));
	return rc == 0;
}

static bool read_type(struct reading *r, const char *item)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789!#$&-^_.+";
	char *word = strdup(item), *slash;
	size_t type, subtype;

	if (!word) {
		r->l->no_memory = true;
		return false;
	}
	for (char *p = word; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	type = strspn(word, allowed);
	slash = word[type] == '/' ? word + type : NULL;
	subtype = slash ? strspn(slash + 1, allowed) : 0;
	if (slash && strcmp(slash, "/*") == 0)
		slash[1] = 0;
	else if (!type || !subtype || slash[1 + subtype])
		slash = NULL;
	if (!slash || !type) {
		free(word);
		return bad_item(r, item, "a media type, such as image/png or image/*");
	}
	return need_mime(r) ? add_word(r, word) : (free(word), false);
}

/* a number as the kind of condition writes it, in bytes or nanoseconds */
static bool read_number(const struct reading *r, const char *text, int64_t *v)
{
	uint64_t bytes;

	if (r->c->kind == COND_AGE)
		return text_parse_duration(text, v) == 0;
	if (text_parse_size(text, &bytes) < 0 || bytes > INT64_MAX)
		return false;
	*v = (int64_t)bytes;
	return true;
}

/* ">1M", "<=4K", "1K..1M" */
static bool parse_range(const struct reading *r, const char *item, struct cond_range *out)
{
	const char *number = item + 1 + (item[1] == '='), *dots = strstr(item, "..");
	bool equal = item[1] == '=', ok;
	char *first;
	int64_t v;

	*out = (struct cond_range){ INT64_MIN, INT64_MAX };
	if (dots) {
		first = strndup(item, (size_t)(dots - item));
		ok = first && read_number(r, first, &out->low) && read_number(r, dots + 2, &out->high);
		free(first);
		return ok && out->low <= out->high;
	}
	if (*item != '<' && *item != '>')
		return false;
	number += strspn(number, " \t");
	if (!read_number(r, number, &v) || (*item == '<' && !equal && v == 0) || v == INT64_MAX)
		return false;
	if (*item == '<')
		out->high = equal ? v : v - 1;
	else
		out->low = equal ? v : v + 1;
	return true;
}

static bool read_range(struct reading *r, const char *item)
{
	struct cond_range *v = grow(r, r->c->ranges, sizeof *v);

	if (!v)
		return false;
	r->c->ranges = v;
	if (!parse_range(r, item, &v[r->c->count]))
		return bad_item(r, item,
			r->c->kind == COND_AGE	   ? "an age, such as >30d, <=1h or 1d..7d"
			: r->c->kind == COND_LINKS ? "a number of names, such as 1, >1 or 2..5"
						   : "a size, such as >1M, <=4K or 1K..1M");
	r->c->count++;
	return true;
}

static bool read_links(struct reading *r, const char *item)
{
	struct cond_range *v;
	uint64_t n;

	if (item[strspn(item, "0123456789")])
		return read_range(r, item);
	if (!(v = grow(r, r->c->ranges, sizeof *v)))
		return false;
	r->c->ranges = v;
	if (text_parse_size(item, &n) < 0 || n > INT64_MAX)
		return bad_item(r, item, "a number of names, such as 1, >1 or 2..5");
	v[r->c->count++] = (struct cond_range){ (int64_t)n, (int64_t)n };
	return true;
}

static bool read_window(struct reading *r, const char *item)
{
	static const char *const expected[] = {
		[COND_HOURS] = "a time of the day, such as 08:00-18:00",
		[COND_DAYS] = "days of the week, such as mon-fri or sun",
		[COND_DATE] = "a date, such as >=2026-12-01, 2026-12-24 or 2026-12-01..2026-12-31 18:00",
	};
	struct cond_range found[2], *v;
	size_t count;

	if (!cond_window_parse(r->c->kind, item, found, &count))
		return bad_item(r, item, expected[r->c->kind]);
	for (size_t i = 0; i < count; i++) {
		if (!(v = grow(r, r->c->ranges, sizeof *v)))
			return false;
		r->c->ranges = v;
		v[r->c->count++] = found[i];
	}
	return true;
}

static bool read_owner(struct reading *r, const char *item)
{
	struct cond_owner *v = grow(r, r->c->owners, sizeof *v), *o;
	const char *colon = strchr(item, ':'), *name = colon ? colon + 1 : item;

	if (!v)
		return false;
	r->c->owners = v;
	o = &v[r->c->count];
	o->group = strncmp(item, "group:", 6) == 0 || strncmp(item, "gid:", 4) == 0;
	if (strncmp(item, "uid:", 4) == 0 || strncmp(item, "gid:", 4) == 0) {
		if (!owner_number(name, &o->id))
			return bad_item(r, item, "a number after the colon, such as uid:1000");
	} else if (o->group) {
		if (!owner_group(name, &o->id))
			return bad_item(r, item, "a group that exists here, or gid:NUMBER");
	} else if (colon || !owner_user(item, &o->id)) {
		return bad_item(r, item, "a user that exists here, group:NAME, uid:NUMBER or gid:NUMBER");
	}
	r->c->count++;
	return true;
}

static const struct cond_key {
	const char *name;
	enum cond_kind kind;
	bool quoted; /* a backslash before a comma keeps the item whole */
	bool (*read)(struct reading *, const char *item);
} cond_keys[] = {
	{ "path", COND_PATH, true, read_glob },
	{ "name", COND_NAME, true, read_glob },
	{ "tag", COND_TAG, false, read_tag },
	{ "size", COND_SIZE, false, read_range },
	{ "age", COND_AGE, false, read_range },
	{ "owner", COND_OWNER, false, read_owner },
	{ "type", COND_TYPE, false, read_type },
	{ "link-count", COND_LINKS, false, read_links },
	{ "hours", COND_HOURS, false, read_window },
	{ "days", COND_DAYS, false, read_window },
	{ "date", COND_DATE, false, read_window },
};
#define COND_KEYS (sizeof cond_keys / sizeof *cond_keys)

static const struct cond_key *find_cond_key(const char *key, bool *negated)
{
	*negated = strncmp(key, "not-", 4) == 0;
	for (size_t i = 0; i < COND_KEYS; i++)
		if (strcmp(cond_keys[i].name, key + (*negated ? 4 : 0)) == 0)
			return &cond_keys[i];
	return NULL;
}

static void cond_free(struct cond *c)
{
	for (size_t i = 0; c->globs && i < c->count; i++)
		glob_free(c->globs[i]);
	free(c->globs);
	strv_free(c->words);
	free(c->ranges);
	free(c->owners);
	strv_free(c->items);
	free(c->text);
}

void rule_free(struct rule *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++)
		cond_free(&r->conds[i]);
	free(r->conds);
	free(r->name);
	free(r);
}

/* "not-name=*.vcf,*.pst", "size>1M" */
static char *cond_text(const struct doc_entry *e, char *const *items)
{
	struct buf out = BUF_INIT;

	buf_str(&out, e->key);
	if (items[1] || (*items[0] != '<' && *items[0] != '>'))
		buf_str(&out, "=");
	for (size_t i = 0; items[i]; i++)
		buf_printf(&out, "%s%s", i ? "," : "", items[i]);
	return buf_steal(&out);
}

static bool read_cond(struct load *l, const struct cond_key *k, const struct doc_entry *e, struct cond *c)
{
	struct reading r = { l, c, e };
	int rc = strv_split(e->value, k->quoted, &c->items);
	bool ok = rc == 0;

	if (rc == -EINVAL)
		load_error(
			l, &e->origin, "\"%s\" holds an empty item; expected values with a comma between them", e->key);
	l->no_memory |= rc == -ENOMEM;
	for (size_t i = 0; ok && c->items[i]; i++)
		ok = k->read(&r, c->items[i]);
	if (ok && !(c->text = cond_text(e, c->items)))
		l->no_memory = true;
	return ok && c->text;
}

/* what time changes after the others, type last */
static int cond_rank(const struct cond *c)
{
	if (c->kind == COND_TYPE)
		return 2;
	return c->kind == COND_AGE || c->kind == COND_HOURS || c->kind == COND_DAYS || c->kind == COND_DATE;
}

static void add_cond(struct load *l, struct rule *r, const struct cond_key *k, bool negated, const struct doc_entry *e)
{
	struct cond c = { .kind = k->kind, .negated = negated, .origin = e->origin };
	struct cond *v;
	size_t at;

	if (!read_cond(l, k, e, &c)) {
		cond_free(&c);
		return;
	}
	v = realloc(r->conds, (r->count + 1) * sizeof *v);
	if (!v) {
		cond_free(&c);
		l->no_memory = true;
		return;
	}
	r->conds = v;
	l->c->rules->timed |= cond_rank(&c) == 1;
	for (at = r->count++; at && cond_rank(&v[at - 1]) > cond_rank(&c); at--)
		v[at] = v[at - 1];
	v[at] = c;
}

static void read_zone(struct load *l, struct rule *r, const struct doc_entry *e)
{
	r->zone = zone_find(l, &e->origin, e->value);
}

static void read_export(struct load *l, struct rule *r, const struct doc_entry *e)
{
	static const char *const words[] = { "deny", "approve", "allow" };

	for (int i = 0; i < 3; i++)
		if (strcmp(e->value, words[i]) == 0)
			r->export = i;
	if (r->export < 0)
		load_error(l, &e->origin, "bad value \"%s\" for \"export\"; expected deny, approve or allow", e->value);
}

static void read_limit(struct load *l, const struct doc_entry *e, struct rule_limit *out)
{
	if (!rule_limit_parse(e->value, out))
		load_error(l, &e->origin,
			"bad value \"%s\" for \"%s\"; expected files, bytes or both in a month, such as "
			"1000 files, 10G",
			e->value, e->key);
}

static void read_pin(struct load *l, struct rule *r, const struct doc_entry *e)
{
	r->pin = strcmp(e->value, "yes") == 0;
	if (!r->pin && strcmp(e->value, "no") != 0)
		load_error(l, &e->origin, "bad value \"%s\" for \"pin\"; expected yes or no", e->value);
}

static void read_warn(struct load *l, struct rule *r, const struct doc_entry *e)
{
	read_limit(l, e, &r->warn_after);
}

static void read_stop(struct load *l, struct rule *r, const struct doc_entry *e)
{
	read_limit(l, e, &r->stop_after);
}

/* What a [rule] may have beside conditions. */
static const struct rule_key {
	const char *name;
	void (*read)(struct load *, struct rule *, const struct doc_entry *);
} rule_keys[] = {
	{ "zone", read_zone },
	{ "export", read_export },
	{ "pin", read_pin },
	{ "warn-after", read_warn },
	{ "stop-after", read_stop },
};
#define RULE_KEYS (sizeof rule_keys / sizeof *rule_keys)

static const struct rule_key *find_rule_key(const char *key)
{
	for (size_t i = 0; i < RULE_KEYS; i++)
		if (strcmp(rule_keys[i].name, key) == 0)
			return &rule_keys[i];
	return NULL;
}

static void report_key(struct load *l, const struct doc_section *s, const struct doc_entry *e)
{
	struct suggest near = { .given = e->key };
	char negated[COND_KEYS][16];
	bool is_rule = strcmp(s->kind, "rule") == 0;
	char hint[96];

	for (size_t i = 0; i < COND_KEYS; i++) {
		snprintf(negated[i], sizeof negated[i], "not-%s", cond_keys[i].name);
		suggest_offer(&near, cond_keys[i].name);
		suggest_offer(&near, negated[i]);
	}
	if (!is_rule)
		suggest_offer(&near, "set-by");
	for (size_t i = 0; is_rule && i < RULE_KEYS; i++)
		suggest_offer(&near, rule_keys[i].name);
	load_error(l, &e->origin, "unknown key \"%s\" in [%s %s]%s", e->key, s->kind, s->name,
		near.best ? suggest_text(&near, hint, sizeof hint)
		: is_rule ? "; expected zone, export, pin, warn-after, stop-after, path, name, tag, size, age, owner, "
			    "type, "
			    "link-count, hours, days, date or not- before one of these"
			  : "; expected set-by, path, name, tag, size, age, owner, type, link-count, hours, days, date "
			    "or not- before one of these");
}

static void read_entry(struct load *l, struct rule *r, const struct doc_section *s, const struct doc_entry *e)
{
	bool negated, is_rule = strcmp(s->kind, "rule") == 0;
	const struct cond_key *k = find_cond_key(e->key, &negated);
	const struct rule_key *own = is_rule ? find_rule_key(e->key) : NULL;
	const struct doc_entry *first = doc_entry_find(s, e->key);

	if (first != e)
		load_error(l, &e->origin, "\"%s\" stands twice in [%s %s], first in line %d; expected it once", e->key,
			s->kind, s->name, first->origin.line);
	else if (k)
		add_cond(l, r, k, negated, e);
	else if (own)
		own->read(l, r, e);
	else
		report_key(l, s, e);
}

/* [tag NAME] with set-by = users and nothing else says that the tag is no mistake: what asks for it is fulfilled by
 * users. */
static bool left_to_users(struct load *l, const struct doc_section *s)
{
	const struct doc_entry *e = doc_entry_find(s, "set-by");

	if (strcmp(s->kind, "tag") != 0 || !e)
		return false;
	if (strcmp(e->value, "users") != 0)
		load_error(l, &e->origin, "bad value \"%s\" for \"set-by\"; expected users", e->value);
	else if (s->count > 1)
		load_error(
			l, &e->origin, "\"set-by\" stands beside other keys in [tag %s]; expected it alone", s->name);
	else if (strv_append(&l->c->rules->users_tags, strdup(s->name)) < 0)
		l->no_memory = true;
	return true;
}

static bool has_condition(const struct doc_section *s)
{
	bool negated;

	for (size_t i = 0; i < s->count; i++)
		if (find_cond_key(s->v[i].key, &negated))
			return true;
	return false;
}

static void check_section(struct load *l, const struct doc_section *s)
{
	/* what is left of a rule whose conditions were commented out must not send everything abroad */
	if (!has_condition(s))
		load_error(l, &s->origin, "[%s %s] has no condition; expected one at least (path = ** is every file's)",
			s->kind, s->name);
	if (strcmp(s->kind, "rule") == 0 && !s->policy && !doc_entry_find(s, "zone"))
		load_error(l, &s->origin, "[rule %s] has no \"zone\"; expected the zone of what matches", s->name);
}

/* A policy keeps files, and sends none abroad. It cannot know what a store's home zone is called. */
static void check_policy_rule(struct load *l, struct rule *r, const struct doc_section *s)
{
	if (!doc_entry_find(s, "zone"))
		r->zone = l->c->home;
	if (r->zone && r->zone->kind == ZONE_FOREIGN)
		load_error(l, section_origin(s, "zone"),
			"the zone \"%s\" is foreign; expected a domestic one in a policy's rule, or none for home",
			r->zone->name);
}

static void load_one(struct load *l, struct program *p, const struct doc_section *s)
{
	struct rule *r = calloc(1, sizeof *r), **v;

	v = r ? realloc(p->v, (p->count + 1) * sizeof *v) : NULL;
	if (!v) {
		free(r);
		l->no_memory = true;
		return;
	}
	p->v = v;
	v[p->count++] = r;
	r->origin = s->origin;
	r->export = -1;
	r->name = strdup(s->name);
	l->no_memory |= !r->name;
	for (size_t i = 0; i < s->count; i++)
		read_entry(l, r, s, &s->v[i]);
	check_section(l, s);
	if (s->policy && strcmp(s->kind, "rule") == 0)
		check_policy_rule(l, r, s);
	if (r->export == EXPORT_APPROVE && l->c->home && !strv_count(l->c->home->approvers))
		load_error(l, section_origin(s, "export"),
			"export = approve while the home zone \"%s\" has no \"approvers\"; expected those who may "
			"approve",
			l->c->home->name);
}

/* equal texts, equal versions: not hash_bytes, whose seed differs in every process */
static uint64_t make_version(const struct buf *text)
{
	unsigned char hash[crypto_generichash_BYTES_MIN];

	crypto_generichash(hash, sizeof hash, text->data, text->len, NULL, 0);
	return get_le64(hash);
}

static void set_version(struct load *l)
{
	const struct rules *rules = l->c->rules;
	struct buf text = BUF_INIT;

	config_baseline(l->c, &text);
	for (int phase = 0; phase < PHASES; phase++) {
		for (size_t i = 0; i < rules->program[phase].count; i++) {
			const struct rule *r = rules->program[phase].v[i];

			buf_printf(&text, "%s %s %s %d %s", phase == PHASE_TAGS ? "tag" : "rule", r->name,
				r->zone ? r->zone->name : "", r->export, r->pin ? "pin " : "");
			rule_text(r, &text);
			buf_str(&text, "\n");
		}
	}
	if (text.err)
		l->no_memory = true;
	else
		l->c->rules->version = make_version(&text);
	buf_free(&text);
}

void load_rules(struct load *l)
{
	static const char *const kinds[] = { [PHASE_TAGS] = "tag", [PHASE_RULES] = "rule" };
	struct rules *rules = l->c->rules;
	const struct doc_section *s;

	for (int phase = 0; phase < PHASES; phase++)
		for (size_t i = 0; (s = load_next(l, kinds[phase], &i));)
			if (!left_to_users(l, s))
				load_one(l, &rules->program[phase], s);
	if (l->failed || l->no_memory)
		return;
	set_version(l);
	if (rules_index_build(&rules->index, rules) < 0)
		l->no_memory = true;
}

struct rules *rules_new(void)
{
	return calloc(1, sizeof(struct rules));
}

void rules_free(struct rules *rules)
{
	if (!rules)
		return;
	for (int phase = 0; phase < PHASES; phase++) {
		for (size_t i = 0; i < rules->program[phase].count; i++)
			rule_free(rules->program[phase].v[i]);
		free(rules->program[phase].v);
	}
	rules_index_free(rules->index);
	mime_free(rules->mime);
	strv_free(rules->users_tags);
	free(rules);
}
