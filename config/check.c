/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What ties sections together: home, which zone has which backend, and what only the whole shows. */
#include "config/approvers.h"
#include "config/load.h"
#include "config/message.h"
#include "config/realdir.h"
#include "config/strv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct config_zone *zone_find(struct load *l, const struct config_origin *o, const char *name)
{
	struct config_zone *z = config_zone_find(l->c, name);
	struct suggest near = { .given = name };
	char hint[96];

	if (z)
		return z;
	for (size_t i = 0; i < l->c->zone_count; i++)
		suggest_offer(&near, l->c->zones[i]->name);
	load_error(l, o, "unknown zone \"%s\"%s", name,
		near.best ? suggest_text(&near, hint, sizeof hint) : "; expected the name of a [zone NAME]");
	return NULL;
}

static void link_home(struct load *l)
{
	const struct doc_section *s = load_section(l, "filesystem", NULL);
	const struct doc_entry *e = s ? doc_entry_find(s, "home") : NULL;

	if (!e || !(l->c->home = zone_find(l, &e->origin, e->value)))
		return;
	/* a zone without a readable kind counts as domestic here: its own message suffices */
	if (l->c->home->kind == ZONE_FOREIGN)
		load_error(l, &e->origin, "the home zone \"%s\" is foreign; expected one of kind domestic", e->value);
}

static void report_backend(struct load *l, const struct config_origin *o, const char *name)
{
	struct suggest near = { .given = name };
	char hint[96];

	for (size_t i = 0; i < l->c->backend_count; i++)
		suggest_offer(&near, l->c->backends[i]->name);
	load_error(l, o, "unknown backend \"%s\"%s", name,
		near.best ? suggest_text(&near, hint, sizeof hint) : "; expected the name of a [backend NAME]");
}

static void link_backend(struct load *l, struct config_zone *z, const struct config_origin *o, const char *name)
{
	struct config_backend *b = config_backend_find(l->c, name), **v;

	if (!b) {
		report_backend(l, o, name);
	} else if (b->zone == z) {
		load_error(l, o, "backend \"%s\" stands twice in this list; expected it once", name);
	} else if (b->zone) {
		load_error(l, o, "backend \"%s\" is in the zones \"%s\" and \"%s\"; expected it in one zone only", name,
			b->zone->name, z->name);
	} else if ((v = realloc(z->backends, (z->backend_count + 1) * sizeof *v))) {
		z->backends = v;
		v[z->backend_count++] = b;
		b->zone = z;
	} else {
		l->no_memory = true;
	}
}

static void link_zone(struct load *l, struct config_zone *z)
{
	const struct doc_section *s = load_section(l, "zone", z->name);
	const struct doc_entry *e = s ? doc_entry_find(s, "backends") : NULL;
	char **names = NULL;
	int rc = e ? strv_split(e->value, 0, &names) : 0;

	if (rc == -EINVAL)
		load_error(l, &e->origin, "bad value \"%s\" for \"backends\"; expected names with a comma between them",
			e->value);
	l->no_memory |= rc == -ENOMEM;
	for (size_t i = 0; names && names[i]; i++)
		link_backend(l, z, &e->origin, names[i]);
	strv_free(names);
}

void load_links(struct load *l)
{
	for (size_t i = 0; i < l->c->zone_count; i++)
		link_zone(l, l->c->zones[i]);
	for (size_t i = 0; i < l->c->backend_count; i++) {
		const struct config_backend *b = l->c->backends[i];

		if (!b->zone)
			load_error(l, &b->origin,
				"backend \"%s\" is in no zone; expected it in the \"backends\" of one", b->name);
	}
	link_home(l);
}

/* Whether the country database can be read shows at each connection: what cannot be told is refused then. */
static void check_addresses(struct load *l, const struct config_zone *z, const struct doc_section *s, bool remote)
{
	if (z->country_db && !strv_count(z->countries))
		load_error(l, section_origin(s, "country-db"),
			"\"country-db\" in zone \"%s\" without \"countries\"; expected those in which its servers may "
			"be",
			z->name);
	if (z->country_db && access(z->country_db_file, R_OK) < 0)
		load_warn(l, section_origin(s, "country-db"),
			"there is no readable file %s: no server of zone \"%s\" will be spoken to", z->country_db_file,
			z->name);
	if (!remote || z->network_count || z->country_db)
		return;
	if (strv_count(z->countries))
		load_warn(l, section_origin(s, "countries"),
			"zone \"%s\" has no \"country-db\" and no \"networks\": its servers' addresses are not checked",
			z->name);
	else
		load_warn(l, &z->origin, "zone \"%s\" has no \"networks\": its servers' addresses are not checked",
			z->name);
}

static void check_zone(struct load *l, const struct config_zone *z)
{
	static const char *const domestic_only[] = { "export", "approvers", "approvals" };
	const struct doc_section *s = load_section(l, "zone", z->name);
	bool remote = false;

	for (size_t i = 0; z->kind == ZONE_FOREIGN && i < sizeof domestic_only / sizeof *domestic_only; i++)
		if (doc_entry_find(s, domestic_only[i]))
			load_error(l, section_origin(s, domestic_only[i]),
				"\"%s\" has no meaning in the foreign zone \"%s\"; expected it in a domestic one",
				domestic_only[i], z->name);
	if (z->backend_count && z->copies > z->backend_count)
		load_error(l, section_origin(s, "copies"),
			"%u copies cannot be kept on the %zu backends of zone \"%s\"; expected at most %zu", z->copies,
			z->backend_count, z->name, z->backend_count);
	if (z->export == EXPORT_APPROVE && !strv_count(z->approvers) && !doc_entry_find(s, "approvers"))
		load_error(l, section_origin(s, "export"),
			"export = approve in zone \"%s\" without \"approvers\"; expected those who may approve",
			z->name);
	if (!l->policy.domestic.approvers)
		check_approvers(l, z->approvers, section_origin(s, "approvers"));
	check_approvals(l, z, s);
	for (size_t i = 0; i < z->backend_count; i++)
		remote |= z->backends[i]->endpoint != NULL;
	check_addresses(l, z, s, remote);
}

static bool is_complete(const struct config_backend *b)
{
	if (!b->type || !b->endpoint)
		return false;
	return strcmp(b->type, "webdav") == 0 ? b->user != NULL : b->bucket != NULL;
}

/* one of two absolute directories is the other, or lies in it */
static bool is_inside(const char *a, const char *b)
{
	size_t len = strlen(a) < strlen(b) ? strlen(a) : strlen(b);

	return strncmp(a, b, len) == 0 && (len == 1 || ((!a[len] || a[len] == '/') && (!b[len] || b[len] == '/')));
}

/* Places end in '/': one being the other's start means that it holds it. */
static bool same_place(struct load *l, const struct config_backend *a, const struct config_backend *b)
{
	char *one, *two;
	bool same;

	if (a->directory && b->directory && a->endpoint && b->endpoint && strcmp(a->endpoint, b->endpoint) == 0)
		return is_inside(a->directory, b->directory);
	if (!is_complete(a) || !is_complete(b))
		return false;
	one = config_backend_place(a);
	two = config_backend_place(b);
	l->no_memory |= !one || !two;
	same = one && two && (strncmp(one, two, strlen(one)) == 0 || strncmp(one, two, strlen(two)) == 0);
	free(one);
	free(two);
	return same;
}

/* dirs: the backends', and then the store's; empty for those that are no directory */
static void check_place(struct load *l, size_t at, const struct realdir *dirs)
{
	const struct config_backend *b = l->c->backends[at];
	const char *relation = realdir_relation(&dirs[at], &dirs[l->c->backend_count]);

	if (relation)
		load_error(l, section_origin(load_section(l, "backend", b->name), "path"),
			"the directory of backend \"%s\", %s, %s the store's, %s; expected one apart from it", b->name,
			b->path, relation, l->c->store);
	for (size_t i = 0; i < at; i++)
		if (same_place(l, l->c->backends[i], b) || realdir_relation(&dirs[i], &dirs[at]))
			load_error(l, &b->origin,
				"backends \"%s\" and \"%s\" are the same place, or one lies inside the other; expected "
				"two places",
				l->c->backends[i]->name, b->name);
}

static void check_places(struct load *l)
{
	size_t count = l->c->backend_count;
	struct realdir *dirs = calloc(count + 1, sizeof *dirs);

	l->no_memory |= !dirs || (l->c->store && realdir_init(&dirs[count], l->c->store) < 0);
	for (size_t i = 0; i < count && !l->no_memory; i++) {
		if (l->c->backends[i]->path && realdir_init(&dirs[i], l->c->backends[i]->path) < 0)
			l->no_memory = true;
		else
			check_place(l, i, dirs);
	}
	for (size_t i = 0; dirs && i <= count; i++)
		realdir_free(&dirs[i]);
	free(dirs);
}

static bool is_loopback(const char *url)
{
	static const char *const hosts[] = { "http://localhost", "http://127.", "http://[::1]" };

	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
		if (strncmp(url, hosts[i], strlen(hosts[i])) == 0)
			return true;
	return false;
}

/* Warnings only: the one who checks the rules may not be the one who may read the secrets. */
static void check_secret(struct load *l, const struct doc_section *s, const char *key, const char *file)
{
	struct stat st;
	int rc = file ? lstat(file, &st) : 1;

	if (rc < 0 && errno == ENOENT)
		load_warn(l, section_origin(s, key), "there is no file %s", file);
	else if (rc == 0 && (!S_ISREG(st.st_mode) || (st.st_mode & 077)))
		load_warn(l, section_origin(s, key), "%s is not a regular file of mode 0600 and will be refused", file);
}

static void check_client_cert(struct load *l, const struct config_backend *b, const struct doc_section *s)
{
	const char *has = b->client_cert_file ? "client-cert-file" : "client-key-file";

	if (!b->client_cert_file != !b->client_key_file)
		load_error(l, section_origin(s, has), "\"%s\" without \"%s\"; expected both", has,
			b->client_cert_file ? "client-key-file" : "client-cert-file");
	if (b->client_cert_file && access(b->client_cert_file, R_OK) < 0 && errno == ENOENT)
		load_warn(l, section_origin(s, has), "there is no file %s", b->client_cert_file);
	check_secret(l, s, "client-key-file", b->client_key_file);
}

static void check_tls(struct load *l, const struct config_backend *b, const struct doc_section *s)
{
	if (!b->endpoint || strncmp(b->endpoint, "http://", 7) != 0)
		return;
	if (doc_entry_find(s, "pin-sha256"))
		load_error(l, section_origin(s, "pin-sha256"), "\"pin-sha256\" needs an https endpoint");
	if (b->ca_file)
		load_error(l, section_origin(s, "ca-file"), "\"ca-file\" needs an https endpoint");
	if (b->client_cert_file)
		load_error(l, section_origin(s, "client-cert-file"), "\"client-cert-file\" needs an https endpoint");
	if (!is_loopback(b->endpoint))
		load_warn(l, section_origin(s, doc_entry_find(s, "auth-url") ? "auth-url" : "endpoint"),
			"%s is not https: nobody vouches for the server", b->endpoint);
}

static void check_files(struct load *l, const struct config_backend *b, const struct doc_section *s)
{
	check_secret(l, s, "secret-key-file", b->secret_key_file);
	check_secret(l, s, "password-file", b->password_file);
	check_secret(l, s, "key-file", b->key_file);
	if (b->known_hosts_file && access(b->known_hosts_file, R_OK) < 0 && errno == ENOENT)
		load_warn(l, section_origin(s, "known-hosts-file"), "there is no file %s", b->known_hosts_file);
	check_secret(l, s, "sas-file", b->sas_file);
	if (b->ca_file && access(b->ca_file, R_OK) < 0 && errno == ENOENT)
		load_warn(l, section_origin(s, "ca-file"), "there is no file %s", b->ca_file);
}

/* The key of the file with the secret, by type; azure's has two. */
static const struct {
	const char *type, *key, *other;
} secret_keys[] = {
	{ "s3", "secret-key-file", NULL },
	{ "swift", "password-file", NULL },
	{ "webdav", "password-file", NULL },
	{ "sftp", "key-file", NULL },
	{ "azure", "key-file", "sas-file" },
};

/* There is one way to the secret. */
static void check_source(struct load *l, const struct config_backend *b, const struct doc_section *s)
{
	const char *keys[4] = { NULL, "secret-credential", "secret-command", NULL }, *found = NULL;

	for (size_t i = 0; b->type && i < sizeof secret_keys / sizeof *secret_keys; i++)
		if (strcmp(b->type, secret_keys[i].type) == 0) {
			keys[0] = secret_keys[i].key;
			keys[3] = secret_keys[i].other;
		}
	for (size_t i = 0; keys[0] && i < sizeof keys / sizeof *keys; i++) {
		if (!keys[i] || !doc_entry_find(s, keys[i]))
			continue;
		if (found)
			load_error(l, section_origin(s, keys[i]), "\"%s\" stands beside \"%s\"; expected one of them",
				keys[i], found);
		found = keys[i];
	}
	if (keys[0] && !found)
		load_error(l, &s->origin,
			"[backend %s] has no \"%s\"; expected that, %s\"secret-credential\" or \"secret-command\"",
			b->name, keys[0], keys[3] ? "\"sas-file\", " : "");
	if (b->secret_command && access(b->secret_command[0], X_OK) < 0)
		load_warn(l, section_origin(s, "secret-command"), "there is no program %s", b->secret_command[0]);
}

static void check_hours(struct load *l, const struct config_backend *b, const struct doc_section *s)
{
	if (b->limit_hours_count && !b->upload_limit && !b->download_limit)
		load_error(l, section_origin(s, "limit-hours"),
			"\"limit-hours\" without \"upload-limit\" or \"download-limit\"; expected what they bound");
}

static bool is_account_user(const char *user)
{
	const char *colon = user ? strchr(user, ':') : NULL;

	return colon && colon != user && colon[1];
}

/* RFC 7617: a colon ends the name */
static void check_user(struct load *l, const struct config_backend *b, const struct doc_section *s)
{
	if (b->type && strcmp(b->type, "webdav") == 0 && b->user && strchr(b->user, ':'))
		load_error(l, section_origin(s, "user"), "expected \"user\" to be without a colon");
}

static void check_azure(struct load *l, const struct config_backend *b, const struct doc_section *s)
{
	if (!b->type || strcmp(b->type, "azure") != 0)
		return;
	if (b->key_file && !b->user)
		load_error(l, section_origin(s, "key-file"), "\"key-file\" needs \"account\"");
}

/* what a login of that version needs, and what means nothing to it */
static void check_login(struct load *l, const struct config_backend *b, const struct doc_section *s)
{
	static const char *const keystone_only[] = { "project", "domain", "application-credential", "region",
		"interface" };

	if (!b->type || strcmp(b->type, "swift") != 0)
		return;
	for (size_t i = 0; b->auth_version == SWIFT_AUTH_1 && i < sizeof keystone_only / sizeof *keystone_only; i++)
		if (doc_entry_find(s, keystone_only[i]))
			load_error(l, section_origin(s, keystone_only[i]), "\"%s\" needs auth-version = 3",
				keystone_only[i]);
	if (b->auth_version == SWIFT_AUTH_1 && !is_account_user(b->user))
		load_error(l, section_origin(s, "user"), "expected \"user\" to be ACCOUNT:USER");
	if (b->auth_version == SWIFT_AUTH_3 && !b->application_credential && (!b->user || !b->project))
		load_error(l, section_origin(s, "auth-version"),
			"auth-version = 3 without \"user\" and \"project\"; expected both, or "
			"\"application-credential\"");
	if (b->application_credential && (b->user || b->project))
		load_error(l, section_origin(s, "application-credential"),
			"\"application-credential\" stands beside \"user\" or \"project\"; expected it alone");
}

static void check_host_key(struct load *l, const struct config_backend *b, const struct doc_section *s)
{
	if (b->type && strcmp(b->type, "sftp") == 0 && !doc_entry_find(s, "host-key-sha256") &&
		!doc_entry_find(s, "known-hosts-file"))
		load_error(l, &s->origin,
			"[backend %s] has neither \"host-key-sha256\" nor \"known-hosts-file\"; expected one: without "
			"it "
			"anybody could be the server",
			b->name);
}

void load_check(struct load *l)
{
	const struct doc_section *s;

	for (size_t i = 0; i < l->c->zone_count; i++)
		check_zone(l, l->c->zones[i]);
	check_places(l);
	for (size_t i = 0; i < l->c->backend_count; i++) {
		const struct config_backend *b = l->c->backends[i];

		s = load_section(l, "backend", b->name);
		check_tls(l, b, s);
		check_client_cert(l, b, s);
		check_files(l, b, s);
		check_source(l, b, s);
		check_hours(l, b, s);
		check_user(l, b, s);
		check_azure(l, b, s);
		check_login(l, b, s);
		check_host_key(l, b, s);
	}
	if (l->c->max_delay_ns < l->c->settle_ns && (s = load_section(l, "filesystem", NULL)))
		load_error(l, section_origin(s, "max-delay"),
			"\"max-delay\" is shorter than \"settle\"; expected at least as long");
}
