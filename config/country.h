/* SPDX-License-Identifier: GPL-3.0-or-later */
/* country: in which country an address lies, by a database file in the format of MaxMind (.mmdb), of whatever publisher
 * keeps the code at country.iso_code.
 *
 * The file is looked at with every question and read again when it changed. What is asked is a copy in memory: the file
 * may be overwritten, cut or removed at any time. Doubt is an error, never the answer of a file that was there before.
 */
#ifndef CONFIG_COUNTRY_H
#define CONFIG_COUNTRY_H

#include "base/err.h"

#include <netinet/in.h>

#define COUNTRY_DB_BYTES_MAX (256u << 20)
#define COUNTRY_CODE_BYTES   3

struct country_db;

/* country_db_new: touches no file. path is copied. NULL: no memory. */
struct country_db *country_db_new(const char *path);
void country_db_free(struct country_db *); /* accepts NULL */
/* country_of: the ISO 3166 code of an address (IPv4 as mapped IPv6), for any thread. -ENOENT: the database does not
 * know the address; -ENOMEM, -errno, -ERR_FORMAT: it cannot be asked. Each with a sentence that begins with the file's
 * path and says what to do. Blocks on the local disk where the file changed. */
int country_of(struct country_db *, const struct in6_addr *, char out[COUNTRY_CODE_BYTES], struct errmsg *);

#endif
