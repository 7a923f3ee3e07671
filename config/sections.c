/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tables of keys of [filesystem], [keys], [zone] and [backend], and the readers of the values that only they have.
 */
#include "base/clock.h"
#include "base/text.h"
#include "config/load.h"
#include "config/message.h"
#include "config/strv.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (1024 * 1024ULL)

const char *name_fault(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	if (name[strspn(name, allowed)])
		return "expected letters, digits, '.', '_' and '-' only";
	return isalnum((unsigned char)*name) ? NULL : "expected a letter or a digit first";
}

static bool key_name(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	return !name_fault(e->value) && key_text(l, k, e, target);
}

static bool key_block_size(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	uint64_t v;

	return key_size(l, k, e, &v) && (v & (v - 1)) == 0 && key_size(l, k, e, target);
}

static const struct key filesystem_keys[] = {
	{ .name = "name",
		.parse = key_name,
		.offset = offsetof(struct config, name),
		.expected = "a word of letters, digits, '.', '_' and '-'" },
	{ .name = "store",
		.parse = key_path,
		.offset = offsetof(struct config, store),
		.flags = KEY_REQUIRED,
		.expected = "a directory for metadata and cache" },
	{ .name = "home", .flags = KEY_REQUIRED, .expected = "the name of a domestic zone" },
	{ .name = "cache",
		.parse = key_size,
		.offset = offsetof(struct config, cache_bytes),
		.min = 16 * MIB,
		.expected = "a size of at least 16M, such as 20G" },
	{ .name = "settle",
		.parse = key_duration,
		.offset = offsetof(struct config, settle_ns),
		.max = 86400 * NS_PER_S,
		.expected = "a duration of at most 1d, such as 5s" },
	{ .name = "max-delay",
		.parse = key_duration,
		.offset = offsetof(struct config, max_delay_ns),
		.expected = "a duration, such as 1h" },
	{ .name = "block-size",
		.parse = key_block_size,
		.offset = offsetof(struct config, block_bytes),
		.min = 64 * 1024,
		.max = 4 * MIB,
		.expected = "a power of two from 64K to 4M" },
	{ .name = "include" },
	{ 0 },
};

static const struct key keys_keys[] = {
	{ .name = "passphrase-file", .parse = key_path, .offset = offsetof(struct config, passphrase_file) },
	{ .name = "key-file", .parse = key_path, .offset = offsetof(struct config, key_file) },
	{ 0 },
};

void load_filesystem(struct load *l)
{
	const struct doc_section *s = load_section(l, "filesystem", NULL);

	l->c->cache_bytes = 20480 * MIB;
	l->c->settle_ns = 5 * NS_PER_S;
	l->c->max_delay_ns = 3600 * NS_PER_S;
	l->c->block_bytes = 4 * MIB;
	if (s)
		keys_apply(l, s, filesystem_keys, l->c, 0, NULL);
	else
		load_error(l, &(struct config_origin){ l->c->file, 1 },
			"there is no section [filesystem]; expected one with \"store\" and \"home\"");
	if ((s = load_section(l, "keys", NULL)))
		keys_apply(l, s, keys_keys, l->c, 0, NULL);
}

static bool key_countries(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	char ***to = target;
	bool ok = key_list(l, k, e, target);

	for (size_t i = 0; ok && *to && (*to)[i]; i++) {
		char *code = (*to)[i];

		for (char *p = code; *p; p++)
			*p = (char)toupper((unsigned char)*p);
		ok = country_known(code);
	}
	return ok;
}

static bool key_networks(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	struct config_zone *z = target;
	char **items = NULL;
	bool ok = key_list(l, k, e, &items);
	size_t n = strv_count(items);

	z->networks = ok && n ? calloc(n, sizeof *z->networks) : NULL;
	if (ok && !z->networks)
		l->no_memory = true;
	for (size_t i = 0; ok && z->networks && i < n; i++)
		ok = cidr_parse(items[i], &z->networks[z->network_count++]) == 0;
	strv_free(items);
	return ok;
}

static bool key_approvers(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	char ***to = target;
	bool ok = key_list(l, k, e, target);

	for (size_t i = 0; ok && *to && (*to)[i]; i++) {
		const char *who = (*to)[i];

		if (strncmp(who, "group:", 6) == 0)
			who += 6;
		ok = *who && !strpbrk(who, ": \t/");
	}
	return ok;
}

static bool key_padding(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	int padding = 0;
	bool ok = key_word(l, k, e, &padding);

	*(bool *)target = padding == 1;
	return ok;
}

static const char *const kind_words[] = { "domestic", "foreign", NULL };
static const char *const export_words[] = { "deny", "approve", "allow", NULL };
static const char *const padding_words[] = { "none", "padme", NULL };

static const struct key zone_keys[] = {
	{ .name = "kind",
		.parse = key_word,
		.offset = offsetof(struct config_zone, kind),
		.words = kind_words,
		.flags = KEY_REQUIRED,
		.expected = "domestic or foreign" },
	{ .name = "countries",
		.parse = key_countries,
		.offset = offsetof(struct config_zone, countries),
		.expected = "ISO 3166 codes of two letters, such as CN, HK" },
	{ .name = "networks",
		.parse = key_networks,
		.expected = "address blocks, such as 10.20.0.0/16, 2001:db8::/32" },
	{ .name = "backends", .flags = KEY_REQUIRED, .expected = "the names of the zone's backends" },
	{ .name = "copies",
		.parse = key_count,
		.offset = offsetof(struct config_zone, copies),
		.min = 1,
		.max = 16,
		.expected = "a number from 1 to 16" },
	{ .name = "export",
		.parse = key_word,
		.offset = offsetof(struct config_zone, export),
		.words = export_words,
		.expected = "deny, approve or allow" },
	{ .name = "approvers",
		.parse = key_approvers,
		.offset = offsetof(struct config_zone, approvers),
		.expected = "users and groups, such as alice, group:compliance" },
	{ .name = "approvals",
		.parse = key_count,
		.offset = offsetof(struct config_zone, approvals),
		.min = 1,
		.max = 100,
		.expected = "a number from 1 to 100" },
	{ .name = "padding",
		.parse = key_padding,
		.offset = offsetof(struct config_zone, padme),
		.words = padding_words,
		.expected = "none or padme" },
	{ 0 },
};

void load_zones(struct load *l)
{
	const struct doc_section *s;
	size_t i = 0;

	while ((s = load_next(l, "zone", &i))) {
		struct config_zone *z, **v;

		z = calloc(1, sizeof *z);
		v = z ? realloc(l->c->zones, (l->c->zone_count + 1) * sizeof *v) : NULL;
		if (!v) {
			free(z);
			l->no_memory = true;
			return;
		}
		l->c->zones = v;
		v[l->c->zone_count++] = z;
		z->origin = s->origin;
		z->copies = z->approvals = 1;
		z->name = strdup(s->name);
		l->no_memory |= !z->name;
		keys_apply(l, s, zone_keys, z, 0, NULL);
	}
}

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

enum { TYPE_LOCAL = 1, TYPE_S3 = 2 };
static const char *const type_words[] = { "local", "s3", NULL };
static const char *const addressing_words[] = { "path", "virtual-host", NULL };
static const char *const mode_words[] = { "readwrite", "readonly", "frozen", "drain", NULL };

static const struct key backend_keys[] = {
	{ .name = "type",
		.parse = key_text,
		.offset = offsetof(struct config_backend, type),
		.flags = KEY_REQUIRED,
		.expected = "local or s3" },
	{ .name = "path",
		.parse = key_path,
		.offset = offsetof(struct config_backend, path),
		.types = TYPE_LOCAL,
		.flags = KEY_REQUIRED,
		.expected = "a directory" },
	{ .name = "endpoint",
		.parse = key_endpoint,
		.offset = offsetof(struct config_backend, endpoint),
		.types = TYPE_S3,
		.flags = KEY_REQUIRED,
		.expected = "an http or https URL of a host, without user, query or fragment" },
	{ .name = "region", .parse = key_text, .offset = offsetof(struct config_backend, region), .types = TYPE_S3 },
	{ .name = "bucket",
		.parse = key_bucket,
		.offset = offsetof(struct config_backend, bucket),
		.types = TYPE_S3,
		.flags = KEY_REQUIRED,
		.expected = "the bucket's name" },
	{ .name = "prefix",
		.parse = key_prefix,
		.offset = offsetof(struct config_backend, prefix),
		.types = TYPE_S3,
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
		.flags = KEY_REQUIRED,
		.expected = "a file of mode 0600 with the secret half of the credentials" },
	{ .name = "pin-sha256",
		.parse = key_pins,
		.offset = offsetof(struct config_backend, pins),
		.types = TYPE_S3,
		.flags = KEY_REPEATS,
		.expected = "44 characters of base64: the SHA-256 of the server's public key" },
	{ .name = "ca-file", .parse = key_path, .offset = offsetof(struct config_backend, ca_file), .types = TYPE_S3 },
	{ .name = "mode",
		.parse = key_word,
		.offset = offsetof(struct config_backend, mode),
		.words = mode_words,
		.expected = "readwrite, readonly, frozen or drain" },
	{ .name = "connect-timeout",
		.parse = key_duration,
		.offset = offsetof(struct config_backend, connect_timeout_ns),
		.types = TYPE_S3,
		.min = 100 * NS_PER_MS,
		.max = 3600 * NS_PER_S,
		.expected = "a duration from 100ms to 1h, such as 10s" },
	{ .name = "timeout",
		.parse = key_duration,
		.offset = offsetof(struct config_backend, timeout_ns),
		.types = TYPE_S3,
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
		load_error(l, &e->origin, "unknown backend type \"%s\"; expected local or s3", e->value);
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
	l->no_memory |= !b->name || !b->pins;
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

bool country_known(const char *code)
{
	/* ISO 3166-1 alpha-2 as assigned, and XK, which address databases use for Kosovo */
	static const char known[] =
		"AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV "
		"BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES "
		"ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE "
		"IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY "
		"MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU "
		"NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM "
		"SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE "
		"VG VI VN VU WF WS XK YE YT ZA ZM ZW";

	return strlen(code) == 2 && isupper((unsigned char)code[0]) && isupper((unsigned char)code[1]) &&
	       strstr(known, code) != NULL;
}
