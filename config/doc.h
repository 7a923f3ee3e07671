/* SPDX-License-Identifier: GPL-3.0-or-later */
/* doc: an INI text as sections and entries with their lines, before anything is known about their meaning. Private to
 * config/. The format is inih's (https://github.com/benhoyt/inih): `[kind name]`, `key = value` or `key: value`, lines
 * that start with ; or # are comments, and so is what follows a blank and a ; after a value. A value is one line. */
#ifndef CONFIG_DOC_H
#define CONFIG_DOC_H

#include "config/config.h"

struct doc_entry {
	char *key, *value;
	struct config_origin origin;
};

struct doc_section {
	char *kind, *name; /* "[zone a]": "zone", "a"; name is NULL in "[keys]" */
	struct config_origin origin;
	bool refused; /* set by the reader of the doc: not to be looked at any more */
	bool policy;  /* the same: it stands in one of root's files */
	struct doc_entry *v;
	size_t count;
};

struct doc {
	struct doc_section *v;
	size_t count;
};

/* doc_read: appends the sections of one file; file must outlive the doc. Lines that are no INI become messages, and so
 * does what cannot be read or is no regular file: at the place of included where another file names it, else (NULL) at
 * the file. Blocks on the local disk, never on the other end of a FIFO. -ERR_CONFIG where lines were no INI, -errno
 * where the file cannot be read, -ENOMEM. */
int doc_read(struct doc *, const char *file, const struct config_origin *included, struct config_messages *);
void doc_free(struct doc *);
/* doc_entry_find: the first entry of that key, or NULL. */
const struct doc_entry *doc_entry_find(const struct doc_section *, const char *key);

#endif
