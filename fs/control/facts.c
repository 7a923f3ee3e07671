/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control/facts.h"

#include "base/clock.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BASE64 sodium_base64_VARIANT_ORIGINAL

const char *facts_kind(enum zone_kind kind)
{
	return kind == ZONE_FOREIGN ? "foreign" : "domestic";
}

const char *facts_export(enum export_policy policy)
{
	static const char *const names[] = {
		[EXPORT_DENY] = "deny", [EXPORT_APPROVE] = "approve", [EXPORT_ALLOW] = "allow"
	};

	return names[policy];
}

const char *facts_mode(enum backend_mode mode)
{
	static const char *const names[] = { [MODE_READWRITE] = "readwrite",
		[MODE_READONLY] = "readonly",
		[MODE_FROZEN] = "frozen",
		[MODE_DRAIN] = "drain" };

	return names[mode];
}

/* ---- bytes ---------------------------------------------------------------------------------------------------- */

static json_t *escaped(const char *data, size_t len)
{
	struct buf text = BUF_INIT;
	json_t *out = NULL;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)data[i];

		if (c < 0x80)
			buf_put(&text, &c, 1);
		else
			buf_printf(&text, "\\x%02x", c);
	}
	if (!text.err)
		out = json_stringn((const char *)text.data, text.len);
	buf_free(&text);
	return out;
}

static json_t *base64(const char *data, size_t len)
{
	size_t size = sodium_base64_encoded_len(len, BASE64);
	char *text = malloc(size);
	json_t *out = NULL;

	if (text)
		out = json_string(sodium_bin2base64(text, size, (const unsigned char *)data, len, BASE64));
	free(text);
	return out;
}

static int set_derived(json_t *object, const char *key, const char *suffix, json_t *value)
{
	char name[64];

	snprintf(name, sizeof name, "%s%s", key, suffix);
	return json_object_set_new(object, name, value) < 0 ? -ENOMEM : 0;
}

int facts_set_bytes(json_t *object, const char *key, const char *data, size_t len)
{
	json_t *plain = json_stringn(data, len);
	int rc;

	if (plain)
		return set_derived(object, key, "", plain);
	rc = set_derived(object, key, "", escaped(data, len));
	if (rc == 0)
		rc = set_derived(object, key, "_base64", base64(data, len));
	return rc;
}

static char *from_base64(const char *text, size_t *len)
{
	size_t size = strlen(text) + 1;
	char *out = malloc(size);

	if (!out)
		return NULL;
	if (sodium_base642bin((unsigned char *)out, size - 1, text, size - 1, NULL, len, NULL, BASE64) < 0) {
		free(out);
		return NULL;
	}
	out[*len] = 0;
	return out;
}

char *facts_get_bytes(const json_t *object, const char *key, size_t *len)
{
	const json_t *value = json_object_get(object, key);
	char name[64], *out;

	snprintf(name, sizeof name, "%s_base64", key);
	if (json_object_get(object, name)) {
		const char *text = json_string_value(json_object_get(object, name));

		return text ? from_base64(text, len) : NULL;
	}
	if (!json_is_string(value))
		return NULL;
	*len = json_string_length(value);
	out = malloc(*len + 1);
	if (out)
		memcpy(out, json_string_value(value), *len + 1);
	return out;
}

/* ---- where ---------------------------------------------------------------------------------------------------- */

static json_t *strings(char *const *v, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(v[i]));
	return list;
}

static json_t *zones_of_objects(const struct where *w, const char *(*zone_name)(void *ctx, uint32_t zone_id), void *ctx)
{
	json_t *list = json_array();

	for (size_t i = 0; i < w->object_count; i++) {
		const char *name = zone_name(ctx, w->object_zone_ids[i]);

		json_array_append_new(list, name ? json_string(name) : json_null());
	}
	return list;
}

static json_t *peers(const struct where *w)
{
	json_t *map = json_object();

	for (size_t i = 0; w->peers && i < w->backend_count; i++)
		if (w->peers[i] && *w->peers[i])
			json_object_set_new(map, w->backends[i], json_string(w->peers[i]));
	return map;
}

json_t *facts_where(const struct where *w, const char *(*zone_name)(void *ctx, uint32_t zone_id), void *ctx)
{
	json_t *facts = json_pack("{s:s?, s:s?, s:s, s:b, s:b, s:I, s:o, s:I, s:o, s:o, s:o, s:I, s:I, s:n, s:o}",
		"zone", w->zone, "rule", w->rule, "state", where_state_name(w->state), "held", w->held, "kept_back",
		w->kept_back, "size", (json_int_t)w->size, "backends", strings(w->backends, w->backend_count),
		"objects", (json_int_t)w->object_count, "object_names", strings(w->objects, w->object_count),
		"object_zones", zones_of_objects(w, zone_name, ctx), "peers", peers(w), "objects_short",
		(json_int_t)w->objects_short, "objects_lost", (json_int_t)w->objects_lost, "why", "request",
		w->request ? json_integer((json_int_t)w->request) : json_null());

	/* it may name a file */
	if (!facts || !w->why || facts_set_bytes(facts, "why", w->why, strlen(w->why)) == 0)
		return facts;
	json_decref(facts);
	return NULL;
}

/* ---- status --------------------------------------------------------------------------------------------------- */

/* seconds since a moment, null for never */
static json_t *age(int64_t then_ns, int64_t now_ns)
{
	if (!then_ns)
		return json_null();
	return json_real(now_ns > then_ns ? (double)(now_ns - then_ns) / NS_PER_S : 0);
}

static json_t *backend_facts(const struct transfer_backend_status *b, int64_t now_ns)
{
	const struct backend_status *s = &b->status;

	return json_pack("{s:s, s:s, s:s, s:b, s:b, s:f, s:o, s:o, s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:I}", "name",
		b->name, "type", b->type, "mode", facts_mode(b->mode), "closed", b->closed, "up", s->up, "latency_ms",
		(double)s->latency_ns / NS_PER_MS, "error",
		s->last_error ? json_string(err_name(s->last_error)) : json_null(), "message",
		s->last_error ? json_string(*s->last_message ? s->last_message : err_text(s->last_error)) : json_null(),
		"error_age_s", age(s->last_error_ns, now_ns), "ok_age_s", age(s->last_ok_ns, now_ns), "peer", s->peer,
		"requests", (json_int_t)s->requests, "failures", (json_int_t)s->failures, "bytes_sent",
		(json_int_t)s->bytes_sent, "bytes_received", (json_int_t)s->bytes_received, "deletions_waiting",
		(json_int_t)b->deletions_waiting);
}

static json_t *zone_facts(
	const struct config *c, const struct config_zone *z, const struct transfer_status *t, int64_t now_ns)
{
	const struct transfer_zone_status none = { 0 }, *at = &none;
	json_t *backends = json_array();

	for (size_t i = 0; i < t->zone_count; i++)
		at = strcmp(t->zones[i].name, z->name) == 0 ? &t->zones[i] : at;
	for (size_t i = 0; i < t->backend_count; i++)
		if (!strcmp(t->backends[i].zone, z->name))
			json_array_append_new(backends, backend_facts(&t->backends[i], now_ns));
	return json_pack("{s:s, s:s, s:b, s:i, s:i, s:I, s:I, s:o, s:o}", "name", z->name, "kind", facts_kind(z->kind),
		"home", z == c->home, "copies", (int)z->copies, "backends_taking", (int)at->backends_taking,
		"blocks_short", (json_int_t)at->blocks_short, "blocks_lost", (json_int_t)at->blocks_lost, "export",
		z->kind == ZONE_DOMESTIC ? json_string(facts_export(z->export)) : json_null(), "backends", backends);
}

static json_t *waiting_facts(const struct transfer_status *t, int64_t now_ns)
{
	json_t *left = json_null();

	if (t->bytes_waiting && t->upload_bytes_per_s)
		left = json_real((double)t->bytes_waiting / (double)t->upload_bytes_per_s);
	return json_pack("{s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:o}", "files", (json_int_t)t->files_waiting, "bytes",
		(json_int_t)t->bytes_waiting, "oldest_age_s", age(t->oldest_ns, now_ns), "uploads",
		(json_int_t)t->uploads, "fetches", (json_int_t)t->fetches, "upload_bytes_per_s",
		(json_int_t)t->upload_bytes_per_s, "download_bytes_per_s", (json_int_t)t->download_bytes_per_s,
		"seconds_left", left);
}

json_t *facts_cache(const struct cache_status *c)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "bytes_max", (json_int_t)c->bytes_max,
		"bytes_bound", (json_int_t)c->bytes_bound, "bytes", (json_int_t)c->bytes, "bytes_dirty",
		(json_int_t)c->bytes_dirty, "hits", (json_int_t)c->hits, "misses", (json_int_t)c->misses, "evicted",
		(json_int_t)c->evicted, "bytes_pinned", (json_int_t)c->bytes_pinned, "pins_max",
		(json_int_t)c->pins_max);
}

json_t *facts_status(const struct config *c, const struct transfer_status *t, int64_t now_ns)
{
	json_t *zones = json_array();

	for (size_t i = 0; i < c->zone_count; i++)
		json_array_append_new(zones, zone_facts(c, c->zones[i], t, now_ns));
	return json_pack("{s:s, s:s, s:o, s:o, s:o}", "name", c->name, "store", c->store, "zones", zones, "waiting",
		waiting_facts(t, now_ns), "cache", facts_cache(&t->cache));
}

static json_t *bound(uint64_t max)
{
	return max ? json_integer((json_int_t)max) : json_null();
}

json_t *facts_usage(const struct meta_usage *has, const struct meta_usage *max)
{
	return json_pack("{s:I, s:o, s:I, s:o}", "bytes", (json_int_t)has->bytes, "bytes_max", bound(max->bytes),
		"inodes", (json_int_t)has->inodes, "inodes_max", bound(max->inodes));
}

json_t *facts_quota(const struct config_quota *q, const struct meta_usage *has)
{
	const struct meta_usage max = { .inodes = q->inodes_max, .bytes = q->bytes_max };
	json_t *facts = facts_usage(has, &max);

	if (!facts)
		return NULL;
	json_object_set_new(facts, "name", json_string(q->name));
	json_object_set_new(facts, q->group ? "group" : "user", json_string(q->owner));
	json_object_set_new(facts, "id", json_integer(q->id));
	return facts;
}

json_t *facts_message(const struct config_message *m)
{
	json_t *object = json_pack("{s:s, s:i, s:s}", "file", m->file ? m->file : "", "line", m->line, "level",
		m->error ? "error" : "warning");

	if (object && facts_set_bytes(object, "text", m->text, strlen(m->text)) == 0)
		return object;
	json_decref(object);
	return NULL;
}

json_t *facts_utc(const struct timespec *t)
{
	char text[40], out[64];
	struct tm tm;

	if (!gmtime_r(&t->tv_sec, &tm) || !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm))
		return json_null();
	snprintf(out, sizeof out, "%s.%09ldZ", text, t->tv_nsec);
	return json_string(out);
}
