/* SPDX-License-Identifier: GPL-3.0-or-later */
/* load: the steps from the INI's sections to a checked configuration. Private to config/. All may read the local disk;
 * what they find is recorded, and the loading goes on, so that a person sees every fault at once. */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include "base/hash.h"
#include "config/config.h"
#include "config/doc.h"

#include <stdatomic.h>

/* the memory behind a struct config */
struct config_whole {
	struct config c;
	atomic_uint references;
	char **files; /* the names that origins point to */
};

/* [policy], as config/policy.h has it: the bounds of every domestic zone, and whether there may be foreign ones. */
enum policy_foreign { POLICY_FOREIGN_ALLOW, POLICY_FOREIGN_DENY };
struct policy {
	struct config_zone domestic; /* countries, networks, export, approvers, approvals */
	enum policy_foreign foreign;
};

struct load {
	struct config *c;
	struct config_messages *msgs;
	char *dir; /* of the main file; relative names are relative to it */
	struct doc doc;
	struct policy policy;
	struct hash seen; /* sections, so that ten thousand of them are not compared pairwise */
	bool failed;	  /* an error was recorded */
	bool no_memory;
	int unreadable; /* -errno where the main file could not be read */
};

void load_error(struct load *, const struct config_origin *, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void load_warn(struct load *, const struct config_origin *, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* load_next: the section of that kind at *i or after it, and *i past it; NULL after the last. Start with *i = 0. */
const struct doc_section *load_next(const struct load *, const char *kind, size_t *i);
/* load_section: the section [kind name], or NULL. */
const struct doc_section *load_section(const struct load *, const char *kind, const char *name);
/* section_origin: where the key stands, or the section itself where it does not. */
const struct config_origin *section_origin(const struct doc_section *, const char *key);

/* A key of a section: how its value is read and where it goes. */
struct key {
	const char *name;
	/* stores the value at target; false: it is not what expected says (the caller reports it); NULL: another step
	 * reads the key */
	bool (*parse)(struct load *, const struct key *, const struct doc_entry *, void *target);
	size_t offset; /* of the target in the section's object */
	const char *expected;
	unsigned flags;
	unsigned types;		  /* backends: for which types; 0: for all */
	uint64_t min, max;	  /* numbers; max 0: no bound */
	const char *const *words; /* KEY words: NULL-terminated, in the order of the enum */
};
enum { KEY_REQUIRED = 1, KEY_REPEATS = 2 };

bool key_text(struct load *, const struct key *, const struct doc_entry *, void *);
bool key_path(struct load *, const struct key *, const struct doc_entry *, void *);
bool key_list(struct load *, const struct key *, const struct doc_entry *, void *);
bool key_size(struct load *, const struct key *, const struct doc_entry *, void *);
bool key_duration(struct load *, const struct key *, const struct doc_entry *, void *);
bool key_rate(struct load *, const struct key *, const struct doc_entry *, void *);
bool key_count(struct load *, const struct key *, const struct doc_entry *, void *);
bool key_word(struct load *, const struct key *, const struct doc_entry *, void *);

extern const struct key policy_keys[]; /* of [policy]; config/sections.c */

/* keys_apply: reads a section by its table (ended by a NULL name) into object; type is the bit of the backend's type,
 * or 0. type_name is for messages. */
void keys_apply(struct load *, const struct doc_section *, const struct key *, void *object, unsigned type,
	const char *type_name);

/* The steps, in their order. */
void load_filesystem(struct load *);
void load_zones(struct load *);
void load_backends(struct load *);
void load_quotas(struct load *);
void load_links(struct load *); /* home; which zone has which backend */
void load_check(struct load *); /* what only the whole shows */
void load_rules(struct load *); /* config/rules_load.c */

/* zone_find: the zone of that name; where there is none an error at the origin, and NULL. */
struct config_zone *zone_find(struct load *, const struct config_origin *, const char *name);
/* name_fault: why a word cannot name a zone, backend or store, or NULL. */
const char *name_fault(const char *name);
/* country_known: whether it is an ISO 3166-1 alpha-2 code in capitals. */
bool country_known(const char *code);

#endif
