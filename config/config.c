/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/config.h"

#include "base/file.h"
#include "config/country.h"
#include "config/load.h"
#include "config/rules.h"
#include "config/strv.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void backend_free(struct config_backend *b)
{
	free(b->name);
	free(b->type);
	free(b->endpoint);
	free(b->path);
	free(b->region);
	free(b->bucket);
	free(b->prefix);
	free(b->access_key);
	free(b->secret_key_file);
	free(b->user);
	free(b->password_file);
	free(b->directory);
	free(b->key_file);
	free(b->known_hosts_file);
	strv_free(b->host_keys);
	free(b->sas_file);
	free(b->secret_credential);
	strv_free(b->secret_command);
	free(b->project);
	free(b->domain);
	free(b->application_credential);
	free(b->interface);
	free(b->storage_url);
	free(b->ca_file);
	free(b->client_cert_file);
	free(b->client_key_file);
	strv_free(b->pins);
	free(b->limit_hours);
	free(b);
}

static void zone_free(struct config_zone *z)
{
	free(z->name);
	strv_free(z->countries);
	free(z->country_db_file);
	country_db_free(z->country_db);
	free(z->networks);
	free(z->backends);
	strv_free(z->approvers);
	free(z);
}

static void quota_free(struct config_quota *q)
{
	free(q->name);
	free(q->owner);
	free(q);
}

static void config_free(struct config_whole *whole)
{
	struct config *c = &whole->c;

	for (size_t i = 0; i < c->backend_count; i++)
		backend_free(c->backends[i]);
	for (size_t i = 0; i < c->zone_count; i++)
		zone_free(c->zones[i]);
	for (size_t i = 0; i < c->quota_count; i++)
		quota_free(c->quotas[i]);
	rules_free(c->rules);
	free(c->backends);
	free(c->zones);
	free(c->quotas);
	free(c->file);
	free(c->name);
	free(c->store);
	free(c->passphrase_file);
	free(c->approvers_socket);
	free(c->key_file);
	strv_free(whole->files);
	free(whole);
}

struct config *config_get(struct config *c)
{
	struct config_whole *whole = (struct config_whole *)c;

	atomic_fetch_add(&whole->references, 1);
	return c;
}

void config_put(struct config *c)
{
	struct config_whole *whole = (struct config_whole *)c;

	if (whole && atomic_fetch_sub(&whole->references, 1) == 1)
		config_free(whole);
}

struct config_zone *config_zone_find(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->zone_count; i++)
		if (strcmp(c->zones[i]->name, name) == 0)
			return c->zones[i];
	return NULL;
}

struct config_backend *config_backend_find(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->backend_count; i++)
		if (strcmp(c->backends[i]->name, name) == 0)
			return c->backends[i];
	return NULL;
}

static const char *const directories[] = { "~/.config/borderfs", "/etc/borderfs" };

/* DIRECTORY/NAME.ini, malloc'd */
static char *path_in(const char *directory, const char *name)
{
	char *dir = file_expand(directory, NULL), *path = NULL;

	if (dir && asprintf(&path, "%s/%s.ini", dir, name) < 0)
		path = NULL;
	free(dir);
	return path;
}

static char *find_named(const char *name, struct errmsg *msg)
{
	for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
		char *path = path_in(directories[i], name);

		if (path && access(path, F_OK) == 0)
			return path;
		free(path);
	}
	errmsg_set(msg, 0, "there is no configuration %s.ini in %s or %s; write one, or name it with -c FILE", name,
		directories[0], directories[1]);
	return NULL;
}

/* the only *.ini of a directory; *count says how many there are */
static char *find_only(const char *directory, size_t *count)
{
	char *pattern = path_in(directory, "*"), *path = NULL;
	glob_t found = { 0 };

	*count = 0;
	if (pattern && glob(pattern, 0, NULL, &found) == 0)
		*count = found.gl_pathc;
	if (*count == 1)
		path = strdup(found.gl_pathv[0]);
	globfree(&found);
	free(pattern);
	return path;
}

static char *find_any(struct errmsg *msg)
{
	for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
		size_t count;
		char *path = find_only(directories[i], &count);

		if (path)
			return path;
		if (count > 1)
			errmsg_set(msg, 0, "there are %zu configurations in %s; choose one with -c FILE", count,
				directories[i]);
		if (count)
			return NULL;
	}
	errmsg_set(msg, 0, "there is no configuration in %s or %s; write one, or name it with -c FILE", directories[0],
		directories[1]);
	return NULL;
}

char *config_find(const char *name, struct errmsg *msg)
{
	const char *dot = name ? strrchr(name, '.') : NULL;

	if (!name)
		return find_any(msg);
	if (strchr(name, '/') || (dot && strcmp(dot, ".ini") == 0))
		return strdup(name);
	return find_named(name, msg);
}
