/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tables of keys of [filesystem], [keys] and [zone], and the readers of the values that only they have. */
#include "base/clock.h"
#include "config/country.h"
#include "config/load.h"
#include "config/owner.h"
#include "config/strv.h"

#include <ctype.h>
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
	{ .name = "approvers-socket",
		.parse = key_path,
		.offset = offsetof(struct config, approvers_socket),
		.expected = "the path of a socket that approvers can reach" },
	{ .name = "home", .flags = KEY_REQUIRED, .expected = "the name of a domestic zone" },
	{ .name = "cache",
		.parse = key_size,
		.offset = offsetof(struct config, cache_bytes),
		.min = 16 * MIB,
		.expected = "a size of at least 16M, such as 20G" },
	{ .name = "size",
		.parse = key_size,
		.offset = offsetof(struct config, bytes_max),
		.min = 1,
		.expected = "a size, such as 500G" },
	{ .name = "inodes",
		.parse = key_size,
		.offset = offsetof(struct config, inodes_max),
		.min = 1,
		.expected = "a number, such as 1M" },
	{ .name = "audit-lines",
		.parse = key_size,
		.offset = offsetof(struct config, audit_lines),
		.min = 1000,
		.max = 1024 * MIB,
		.expected = "a number of at least 1000, such as 64K" },
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
	l->c->audit_lines = 64 * 1024;
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

/* Who they are shows when somebody asks: an approver may be entered in the directory later. */
static bool approver_valid(const char *who)
{
	const char *colon = strchr(who, ':');
	uint32_t id;

	if (strncmp(who, "uid:", 4) == 0 || strncmp(who, "gid:", 4) == 0)
		return owner_number(who + 4, &id);
	if (strncmp(who, "group:", 6) == 0)
		who += 6;
	else if (colon)
		return false;
	return *who && !strpbrk(who, ": \t/");
}

static bool key_approvers(struct load *l, const struct key *k, const struct doc_entry *e, void *target)
{
	char ***to = target;
	bool ok = key_list(l, k, e, target);

	for (size_t i = 0; ok && *to && (*to)[i]; i++)
		ok = approver_valid((*to)[i]);
	if (!ok) { /* nothing more is to be said about them */
		strv_free(*to);
		*to = NULL;
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
	{ .name = "country-db", .parse = key_path, .offset = offsetof(struct config_zone, country_db_file) },
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
		.expected = "users and groups, such as alice, uid:1000, group:compliance or gid:1000" },
	{ .name = "approvals",
		.parse = key_count,
		.offset = offsetof(struct config_zone, approvals),
		.min = 1,
		.max = CONFIG_APPROVALS_MAX,
		.expected = "a number from 1 to 100" },
	{ .name = "padding",
		.parse = key_padding,
		.offset = offsetof(struct config_zone, padme),
		.words = padding_words,
		.expected = "none or padme" },
	{ .name = "pack",
		.parse = key_size,
		.offset = offsetof(struct config_zone, pack_bytes),
		.max = CONFIG_PACK_MAX,
		.expected = "a size of 1M at most; 0: every block has an object of its own" },
	{ 0 },
};

static const char *const foreign_words[] = { "allow", "deny", NULL };

const struct key policy_keys[] = {
	{ .name = "foreign",
		.parse = key_word,
		.offset = offsetof(struct policy, foreign),
		.words = foreign_words,
		.expected = "allow or deny" },
	{ .name = "domestic-countries",
		.parse = key_countries,
		.offset = offsetof(struct policy, domestic.countries),
		.expected = "ISO 3166 codes of two letters, such as CN, HK" },
	{ .name = "domestic-networks",
		.parse = key_networks,
		.offset = offsetof(struct policy, domestic),
		.expected = "address blocks, such as 10.20.0.0/16, 2001:db8::/32" },
	{ .name = "export",
		.parse = key_word,
		.offset = offsetof(struct policy, domestic.export),
		.words = export_words,
		.expected = "deny, approve or allow" },
	{ .name = "approvers",
		.parse = key_approvers,
		.offset = offsetof(struct policy, domestic.approvers),
		.expected = "users and groups, such as alice, group:compliance" },
	{ .name = "approvals",
		.parse = key_count,
		.offset = offsetof(struct policy, domestic.approvals),
		.min = 1,
		.max = CONFIG_APPROVALS_MAX,
		.expected = "a number from 1 to 100" },
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
		z->pack_bytes = CONFIG_PACK_MAX;
		z->name = strdup(s->name);
		l->no_memory |= !z->name;
		keys_apply(l, s, zone_keys, z, 0, NULL);
		z->export_origin = *section_origin(s, "export");
		if (z->country_db_file)
			l->no_memory |= !(z->country_db = country_db_new(z->country_db_file));
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
