/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/swift_json.h"

#include "base/clock.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static json_t *parse(const void *text, size_t len)
{
	return len && len <= SWIFT_JSON_BYTES_MAX ? json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

/* "2026-11-30T20:22:50.123456", always UTC; -1 for anything else */
static int64_t parse_time(const char *s)
{
	struct tm tm = { 0 };

	return s && strptime(s, "%Y-%m-%dT%H:%M:%S", &tm) ? (int64_t)timegm(&tm) : -1;
}

static int add_object(const json_t *o, struct page *page)
{
	const char *name = json_string_value(json_object_get(o, "name"));
	const json_t *bytes = json_object_get(o, "bytes");
	int64_t s = parse_time(json_string_value(json_object_get(o, "last_modified")));
	struct page_object object = { 0 };

	if (!name || !*name || !json_is_integer(bytes) || json_integer_value(bytes) < 0)
		return -ERR_PROTOCOL;
	object.size = (uint64_t)json_integer_value(bytes);
	object.mtime_ns = s > 0 && s < INT64_MAX / NS_PER_S ? s * NS_PER_S : 0;
	object.key = strdup(name);
	return object.key ? page_add(page, &object) : -ENOMEM;
}

int swift_json_page(const void *text, size_t len, struct page *page)
{
	json_t *root = parse(text, len), *o;
	int rc = json_is_array(root) ? 0 : -ERR_PROTOCOL;
	size_t i;

	if (!rc)
		json_array_foreach(root, i, o) if ((rc = add_object(o, page)) < 0) break;
	json_decref(root);
	if (!rc && page->count) {
		page->truncated = true;
		page->token = strdup(page->objects[page->count - 1].key);
		rc = page->token ? 0 : -ENOMEM;
	}
	return rc;
}

/* adds REGION/INTERFACE */
static void offer(struct swift_catalogue *c, const char *region, const char *interface)
{
	size_t len = strlen(c->offered);
	int n = snprintf(c->offered + len, sizeof c->offered - len, "%s%s/%s", len ? ", " : "", region, interface);

	for (char *p = c->offered + len; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	if (n < 0 || len + (size_t)n >= sizeof c->offered)
		c->offered[sizeof c->offered - 1] = 0;
}

static const char *region_of(const json_t *endpoint)
{
	const char *region = json_string_value(json_object_get(endpoint, "region_id"));

	return region ? region : json_string_value(json_object_get(endpoint, "region"));
}

/* Two that fit, with different URLs, are as good as none: which was meant is not ours to guess (I1). */
static int consider(const json_t *endpoint, struct swift_catalogue *c, bool *ambiguous)
{
	const char *interface = json_string_value(json_object_get(endpoint, "interface"));
	const char *url = json_string_value(json_object_get(endpoint, "url"));
	const char *region = region_of(endpoint);

	if (!interface || !url || !region)
		return 0;
	offer(c, region, interface);
	if (strcmp(interface, c->interface) != 0 || (c->region && strcmp(region, c->region) != 0))
		return 0;
	if (c->url) {
		*ambiguous |= strcmp(c->url, url) != 0;
		return 0;
	}
	c->url = strdup(url);
	return c->url ? 0 : -ENOMEM;
}

static int read_services(const json_t *services, struct swift_catalogue *c)
{
	const json_t *service, *endpoint;
	bool ambiguous = false;
	int rc = 0;
	size_t i, n;

	json_array_foreach(services, i, service)
	{
		const char *type = json_string_value(json_object_get(service, "type"));

		if (!type || strcmp(type, "object-store") != 0)
			continue;
		json_array_foreach(json_object_get(service, "endpoints"), n, endpoint) if (!rc) rc =
			consider(endpoint, c, &ambiguous);
	}
	if (ambiguous) {
		free(c->url);
		c->url = NULL;
	}
	return rc;
}

/* Both ends of a token's life are the server's time, so our clock does not matter. */
static int64_t lifetime(const json_t *token)
{
	int64_t from = parse_time(json_string_value(json_object_get(token, "issued_at")));
	int64_t to = parse_time(json_string_value(json_object_get(token, "expires_at")));

	return from >= 0 && to >= from ? to - from : -1;
}

int swift_json_catalogue(const void *text, size_t len, struct swift_catalogue *c)
{
	json_t *root = parse(text, len), *token = json_object_get(root, "token");
	int rc = -ERR_PROTOCOL;

	c->url = NULL;
	c->offered[0] = 0;
	c->lifetime_s = -1;
	if (json_is_object(token)) {
		c->lifetime_s = lifetime(token);
		rc = read_services(json_object_get(token, "catalog"), c);
	}
	json_decref(root);
	return rc;
}

static json_t *named(const char *name)
{
	return json_pack("{s:s}", "name", name);
}

/* secret stays the caller's */
static json_t *identity(const struct config_backend *b, json_t *secret)
{
	if (b->application_credential)
		return json_pack("{s:[s], s:{s:s, s:O}}", "methods", "application_credential", "application_credential",
			"id", b->application_credential, "secret", secret);
	return json_pack("{s:[s], s:{s:{s:s, s:o, s:O}}}", "methods", "password", "password", "user", "name", b->user,
		"domain", named(b->domain), "password", secret);
}

/* An application credential is of one project, and a scope is an error beside it. */
static json_t *login(const struct config_backend *b, json_t *secret)
{
	if (b->application_credential)
		return json_pack("{s:{s:o}}", "auth", "identity", identity(b, secret));
	return json_pack("{s:{s:o, s:{s:{s:s, s:o}}}}", "auth", "identity", identity(b, secret), "scope", "project",
		"name", b->project, "domain", named(b->domain));
}

static int dump(const json_t *root, char **text, size_t *len)
{
	*len = json_dumpb(root, NULL, 0, JSON_COMPACT);
	if (!*len || !(*text = sodium_malloc(*len)))
		return -ENOMEM;
	json_dumpb(root, *text, *len, JSON_COMPACT);
	return 0;
}

int swift_json_login(const struct config_backend *b, const char *secret, char **text, size_t *len)
{
	json_t *own = json_string(secret), *root = NULL;
	int rc = own ? 0 : -ERR_SECRET_FILE;

	*text = NULL;
	if (!rc && !(root = login(b, own)))
		rc = -ENOMEM;
	if (!rc)
		rc = dump(root, text, len);
	json_decref(root);
	/* jansson keeps a copy of its own, which nobody else refers to any more */
	if (own)
		sodium_memzero((char *)(uintptr_t)json_string_value(own), strlen(secret));
	json_decref(own);
	return rc;
}
