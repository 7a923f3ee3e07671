/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of keys of [backend], by the type of the backend, and the readers of the values that only it has. */
#include "base/clock.h"
#include "base/text.h"
#include "config/load.h"
#include "config/strv.h"

#include <ctype.h>
#include <curl/curl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The URL as libcurl understands it, so that no second parser can disagree; the host in lower case and without a
 * default port, so that one place is written one way. */
static char *clean_url(const char *text)
{
	static const CURLUPart forbidden[] = { CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_QUERY,
		CURLUPART_FRAGMENT };
	char *host = NULL, *url = NULL, *out = NULL, *part;
	CURLU *u = curl_url();
	bool ok = u && !curl_url_set(u, CURLUPART_URL, text, CURLU_DISALLOW_USER);

	for (size_t i = 0; ok && i < sizeof forbidden / sizeof *forbidden; i++) {
		ok = curl_url_get(u, forbidden[i], &part, 0) != CURLUE_OK;
		if (!ok)
			curl_free(part);
	}
	if (!ok || curl_url_get(u, CURLUPART_HOST, &host, 0))
		goto out;
	for (char *p = host; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	if (curl_url_set(u, CURLUPART_HOST, host, 0) || curl_url_get(u, CURLUPART_URL, &url, CURLU_NO_DEFAULT_PORT))
		goto out;
	for (size_t len = strlen(url); len && url[len - 1] == '/'; len--)
		url[len - 1] = 0;
	out = strdup(url);
out:
	curl_free(url);
	curl_free(host);
	curl_url_cleanup(u);
	return out;
}

static bool key_endpoint(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	(void)l;
	(void)k;
	if (strncasecmp(e->value, "http://", 7) != 0 && strncasecmp(e->value, "https://", 8) != 0)
		return false;
	free(*(char **)target);
	*(char **)target = clean_url(e->value);
	return *(char **)target != NULL;
}

/* a host and a port, and nothing else */
static bool key_sftp(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	char *url = strncasecmp(e->value, "sftp://", 7) == 0 ? clean_url(e->value) : NULL;

	(void)l;
	(void)k;
	if (!url || strchr(url + 7, '/')) {
		free(url);
		return false;
	}
	free(*(char **)target);
	*(char **)target = url;
	return true;
}

static bool key_directory(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	size_t len = strlen(e->value);
	char *copy;

	(void)k;
	while (len > 1 && e->value[len - 1] == '/')
		len--;
	if (e->value[0] != '/' || len < 2 || strstr(e->value, "/../") || strstr(e->value, "//"))
		return false;
	if (!(copy = strndup(e->value, len))) {
		l->no_memory = true;
		return true;
	}
	free(*(char **)target);
	*(char **)target = copy;
	return true;
}

static bool key_host_keys(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	char ***to = target;
	bool ok = key_list(l, k, e, target);
	unsigned char raw[64];
	size_t len;

	for (size_t i = 0; ok && *to && (*to)[i]; i++) {
		char *pin = (*to)[i];

		pin[strcspn(pin, "=")] = 0; /* ssh-keygen prints none */
		ok = strncmp(pin, "SHA256:", 7) == 0 &&
		     sodium_base642bin(raw, sizeof raw, pin + 7, strlen(pin + 7), NULL, &len, NULL,
			     sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0 &&
		     len == 32;
	}
	return ok;
}

/* "a/b", "/a/b/" -> "a/b/" */
static bool key_prefix(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	const char *s = e->value + strspn(e->value, "/");
	size_t len = strlen(s);
	char *out;

	(void)k;
	while (len && s[len - 1] == '/')
		len--;
	if (strstr(s, "//") || strpbrk(s, " ?#"))
		return false;
	if (asprintf(&out, "%.*s%s", (int)len, s, len ? "/" : "") < 0) {
		l->no_memory = true;
		return true;
	}
	free(*(char **)target);
	*(char **)target = out;
	return true;
}

static bool key_bucket(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	return !strpbrk(e->value, "/ ?#") && key_text(l, k, e, target);
}

static bool key_interface(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	int which;

	return key_word(l, k, e, &which) && key_text(l, k, e, target);
}

static bool key_pins(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	char ***to = target;
	bool ok = key_list(l, k, e, target);
	unsigned char raw[64];
	size_t len;

	for (size_t i = 0; ok && *to && (*to)[i]; i++)
		ok = sodium_base642bin(raw, sizeof raw, (*to)[i], strlen((*to)[i]), NULL, &len, NULL,
			     sodium_base64_VARIANT_ORIGINAL) == 0 &&
		     len == 32;
	return ok;
}

static bool key_credential(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	return !name_fault(e->value) && key_text(l, k, e, target);
}

/* No shell reads it: blanks separate, and nothing else means anything. */
static bool key_command(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	char ***argv = target;

	(void)k;
	if (e->value[0] != '/')
		return false;
	for (const char *at = e->value; *at; at += strspn(at, " \t")) {
		size_t len = strcspn(at, " \t");

		if (strv_append(argv, strndup(at, len)) < 0)
			l->no_memory = true;
		at += len;
	}
	return true;
}

static bool key_hours(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	struct config_backend *b = target;
	char **items = NULL;
	bool ok = key_list(l, k, e, &items);
	size_t n = strv_count(items);

	b->limit_hours = ok && n ? calloc(n, sizeof *b->limit_hours) : NULL;
	if (ok && n && !b->limit_hours)
		l->no_memory = true;
	for (size_t i = 0; ok && b->limit_hours && i < n; i++) {
		struct config_hours *h = &b->limit_hours[b->limit_hours_count++];

		ok = text_parse_hours(items[i], &h->from, &h->to) == 0;
	}
	strv_free(items);
	return ok;
}

enum { TYPE_LOCAL = 1, TYPE_S3 = 2, TYPE_SWIFT = 4, TYPE_SFTP = 8, TYPE_WEBDAV = 16, TYPE_AZURE = 32 };
enum { TYPE_BUCKET = TYPE_S3 | TYPE_SWIFT, TYPE_LOGIN = TYPE_SWIFT | TYPE_WEBDAV };
enum { TYPE_HTTP = TYPE_S3 | TYPE_SWIFT | TYPE_WEBDAV | TYPE_AZURE, TYPE_NET = TYPE_HTTP | TYPE_SFTP };
static const char *const type_words[] = { "local", "s3", "swift", "sftp", "webdav", "azure", NULL };
#define TYPES_EXPECTED "local, s3, swift, sftp, webdav or azure"
static const char *const auth_version_words[] = { "1", "3", NULL };
static const char *const interface_words[] = { "public", "internal", "admin", NULL };
static const char *const addressing_words[] = { "path", "virtual-host", NULL };
static const char *const mode_words[] = { "readwrite", "readonly", "frozen", "drain", NULL };

static const struct key backend_keys[] = {
	{ .name = "type",
		.parse = key_text,
		.offset = offsetof(struct config_backend, type),
		.flags = KEY_REQUIRED,
		.expected = TYPES_EXPECTED },
	{ .name = "path",
		.parse = key_path,
		.offset = offsetof(struct config_backend, path),
		.types = TYPE_LOCAL,
		.flags = KEY_REQUIRED,
		.expected = "a directory" },
	{ .name = "endpoint",
		.parse = key_endpoint,
		.offset = offsetof(struct config_backend, endpoint),
		.types = TYPE_S3 | TYPE_WEBDAV | TYPE_AZURE,
		.flags = KEY_REQUIRED,
		.expected = "an http or https URL of a host, without user, query or fragment" },
	{ .name = "auth-url",
		.parse = key_endpoint,
		.offset = offsetof(struct config_backend, endpoint),
		.types = TYPE_SWIFT,
		.flags = KEY_REQUIRED,
		.expected = "the http or https URL of the login service, without user, query or fragment" },
	{ .name = "endpoint",
		.parse = key_sftp,
		.offset = offsetof(struct config_backend, endpoint),
		.types = TYPE_SFTP,
		.flags = KEY_REQUIRED,
		.expected = "sftp://HOST or sftp://HOST:PORT" },
	{ .name = "directory",
		.parse = key_directory,
		.offset = offsetof(struct config_backend, directory),
		.types = TYPE_SFTP,
		.flags = KEY_REQUIRED,
		.expected = "an absolute directory on the server" },
	{ .name = "key-file",
		.parse = key_path,
		.offset = offsetof(struct config_backend, key_file),
		.types = TYPE_SFTP,
		.expected = "a file of mode 0600 with the private key" },
	{ .name = "host-key-sha256",
		.parse = key_host_keys,
		.offset = offsetof(struct config_backend, host_keys),
		.types = TYPE_SFTP,
		.flags = KEY_REPEATS,
		.expected = "SHA256: and 43 characters of base64, as ssh-keygen -l prints it" },
	{ .name = "known-hosts-file",
		.parse = key_path,
		.offset = offsetof(struct config_backend, known_hosts_file),
		.types = TYPE_SFTP },
	{ .name = "storage-url",
		.parse = key_endpoint,
		.offset = offsetof(struct config_backend, storage_url),
		.types = TYPE_SWIFT,
		.expected = "the http or https URL of the account's storage, without user, query or fragment" },
	{ .name = "auth-version",
		.parse = key_word,
		.offset = offsetof(struct config_backend, auth_version),
		.types = TYPE_SWIFT,
		.words = auth_version_words,
		.expected = "1 (tempauth) or 3 (Keystone)" },
	{ .name = "user",
		.parse = key_text,
		.offset = offsetof(struct config_backend, user),
		.types = TYPE_SWIFT,
		.expected = "the name to log in with" },
	{ .name = "user",
		.parse = key_text,
		.offset = offsetof(struct config_backend, user),
		.types = TYPE_SFTP | TYPE_WEBDAV,
		.flags = KEY_REQUIRED,
		.expected = "the name to log in with" },
	{ .name = "password-file",
		.parse = key_path,
		.offset = offsetof(struct config_backend, password_file),
		.types = TYPE_LOGIN,
		.expected = "a file of mode 0600 with the password or key" },
	{ .name = "secret-credential",
		.parse = key_credential,
		.offset = offsetof(struct config_backend, secret_credential),
		.types = TYPE_NET,
		.expected = "the name of a credential, as LoadCredential= in a unit of systemd has it" },
	{ .name = "secret-command",
		.parse = key_command,
		.offset = offsetof(struct config_backend, secret_command),
		.types = TYPE_NET,
		.expected = "the absolute path of a program and its arguments, with blanks between them" },
	{ .name = "account",
		.parse = key_text,
		.offset = offsetof(struct config_backend, user),
		.types = TYPE_AZURE,
		.expected = "the storage account's name" },
	{ .name = "key-file",
		.parse = key_path,
		.offset = offsetof(struct config_backend, key_file),
		.types = TYPE_AZURE,
		.expected = "a file of mode 0600 with the account's key" },
	{ .name = "sas-file",
		.parse = key_path,
		.offset = offsetof(struct config_backend, sas_file),
		.types = TYPE_AZURE,
		.expected = "a file of mode 0600 with a shared access signature" },
	{ .name = "project",
		.parse = key_text,
		.offset = offsetof(struct config_backend, project),
		.types = TYPE_SWIFT },
	{ .name = "domain", .parse = key_text, .offset = offsetof(struct config_backend, domain), .types = TYPE_SWIFT },
	{ .name = "application-credential",
		.parse = key_text,
		.offset = offsetof(struct config_backend, application_credential),
		.types = TYPE_SWIFT },
	{ .name = "interface",
		.parse = key_interface,
		.offset = offsetof(struct config_backend, interface),
		.types = TYPE_SWIFT,
		.words = interface_words,
		.expected = "public, internal or admin" },
	{ .name = "container",
		.parse = key_bucket,
		.offset = offsetof(struct config_backend, bucket),
		.types = TYPE_SWIFT | TYPE_AZURE,
		.flags = KEY_REQUIRED,
		.expected = "the container's name" },
	{ .name = "region",
		.parse = key_text,
		.offset = offsetof(struct config_backend, region),
		.types = TYPE_BUCKET },
	{ .name = "bucket",
		.parse = key_bucket,
		.offset = offsetof(struct config_backend, bucket),
		.types = TYPE_S3,
		.flags = KEY_REQUIRED,
		.expected = "the bucket's name" },
	{ .name = "prefix",
		.parse = key_prefix,
		.offset = offsetof(struct config_backend, prefix),
		.types = TYPE_HTTP,
		.expected = "a path inside the bucket, such as office/data" },
	{ .name = "addressing",
		.parse = key_word,
		.offset = offsetof(struct config_backend, addressing),
		.types = TYPE_S3,
		.words = addressing_words,
		.expected = "path or virtual-host" },
	{ .name = "access-key",
		.parse = key_text,
		.offset = offsetof(struct config_backend, access_key),
		.types = TYPE_S3,
		.flags = KEY_REQUIRED,
		.expected = "the public half of the credentials" },
	{ .name = "secret-key-file",
		.parse = key_path,
		.offset = offsetof(struct config_backend, secret_key_file),
		.types = TYPE_S3,
		.expected = "a file of mode 0600 with the secret half of the credentials" },
	{ .name = "pin-sha256",
		.parse = key_pins,
		.offset = offsetof(struct config_backend, pins),
		.types = TYPE_HTTP,
		.flags = KEY_REPEATS,
		.expected = "44 characters of base64: the SHA-256 of the server's public key" },
	{ .name = "ca-file",
		.parse = key_path,
		.offset = offsetof(struct config_backend, ca_file),
		.types = TYPE_HTTP },
	{ .name = "client-cert-file",
		.parse = key_path,
		.offset = offsetof(struct config_backend, client_cert_file),
		.types = TYPE_HTTP },
	{ .name = "client-key-file",
		.parse = key_path,
		.offset = offsetof(struct config_backend, client_key_file),
		.types = TYPE_HTTP },
	{ .name = "mode",
		.parse = key_word,
		.offset = offsetof(struct config_backend, mode),
		.words = mode_words,
		.expected = "readwrite, readonly, frozen or drain" },
	{ .name = "connect-timeout",
		.parse = key_duration,
		.offset = offsetof(struct config_backend, connect_timeout_ns),
		.types = TYPE_NET,
		.min = 100 * NS_PER_MS,
		.max = 3600 * NS_PER_S,
		.expected = "a duration from 100ms to 1h, such as 10s" },
	{ .name = "timeout",
		.parse = key_duration,
		.offset = offsetof(struct config_backend, timeout_ns),
		.types = TYPE_NET,
		.min = 100 * NS_PER_MS,
		.max = 3600 * NS_PER_S,
		.expected = "a duration from 100ms to 1h, such as 30s" },
	{ .name = "connections",
		.parse = key_count,
		.offset = offsetof(struct config_backend, connections),
		.min = 1,
		.max = 64,
		.expected = "a number from 1 to 64" },
	{ .name = "upload-limit",
		.parse = key_rate,
		.offset = offsetof(struct config_backend, upload_limit),
		.expected = "a rate, such as 20M/s" },
	{ .name = "download-limit",
		.parse = key_rate,
		.offset = offsetof(struct config_backend, download_limit),
		.expected = "a rate, such as 20M/s" },
	{ .name = "limit-hours", .parse = key_hours, .expected = "times of the day, such as 08:00-18:00, 22:30-02:00" },
	{ 0 },
};

/* the bit of the section's type, 0 (and a message) where there is none */
static unsigned backend_type(struct load *l, const struct doc_section *s)
{
	const struct doc_entry *e = doc_entry_find(s, "type");

	for (unsigned i = 0; e && type_words[i]; i++)
		if (strcmp(e->value, type_words[i]) == 0)
			return 1U << i;
	if (e)
		load_error(l, &e->origin, "unknown backend type \"%s\"; expected " TYPES_EXPECTED, e->value);
	return 0;
}

static void default_text(struct load *l, char **to, const char *text)
{
	if (!*to && !(*to = strdup(text)))
		l->no_memory = true;
}

static void load_backend(struct load *l, const struct doc_section *s, struct config_backend *b)
{
	unsigned type = backend_type(l, s);

	b->origin = s->origin;
	b->connect_timeout_ns = 10 * NS_PER_S;
	b->timeout_ns = 30 * NS_PER_S;
	b->connections = 8;
	b->name = strdup(s->name);
	b->pins = calloc(1, sizeof *b->pins);
	keys_apply(l, s, backend_keys, b, type, type ? doc_entry_find(s, "type")->value : NULL);
	default_text(l, &b->prefix, "");
	if (type == TYPE_S3)
		default_text(l, &b->region, "us-east-1");
	if (type == TYPE_SWIFT) {
		default_text(l, &b->interface, "public");
		default_text(l, &b->domain, "Default");
	}
	b->host_keys = b->host_keys ? b->host_keys : calloc(1, sizeof *b->host_keys);
	l->no_memory |= !b->name || !b->pins || !b->host_keys;
}

void load_backends(struct load *l)
{
	const struct doc_section *s;
	size_t i = 0;

	while ((s = load_next(l, "backend", &i))) {
		struct config_backend *b, **v;

		b = calloc(1, sizeof *b);
		v = b ? realloc(l->c->backends, (l->c->backend_count + 1) * sizeof *v) : NULL;
		if (!v) {
			free(b);
			l->no_memory = true;
			return;
		}
		l->c->backends = v;
		v[l->c->backend_count++] = b;
		load_backend(l, s, b);
	}
}
