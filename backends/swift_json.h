/* SPDX-License-Identifier: GPL-3.0-or-later */
/* swift_json: the JSON documents of OpenStack (Object Storage API v1, Identity API v3), read and written with jansson.
 * The text is a stranger's. Nothing here blocks. */
#ifndef BACKENDS_SWIFT_JSON_H
#define BACKENDS_SWIFT_JSON_H

#include "backends/page.h"

#define SWIFT_JSON_BYTES_MAX (8u << 20) /* more than a page of 1,000 names of 1,024 bytes, escaped */

/* swift_json_page: a listing of a container. The page is truncated, and its token the last name, unless it is empty:
 * only that ends a list for certain. -ERR_PROTOCOL, -ENOMEM. */
int swift_json_page(const void *text, size_t len, struct page *);

/* What a Keystone token's document says of the object store. */
struct swift_catalogue {
	const char *region, *interface; /* wanted; region NULL: whichever it is, if there is only one */
	char *url;			/* the storage URL, or NULL: the catalogue has no such one */
	int64_t lifetime_s;		/* from the token's making on; -1: not said */
	char offered[256];		/* "RegionOne/public, RegionOne/internal", printable, cut to fit */
};
/* swift_json_catalogue: fills url, lifetime_s and offered; the caller frees url, also after an error. -ERR_PROTOCOL,
 * -ENOMEM. */
int swift_json_catalogue(const void *text, size_t len, struct swift_catalogue *);

/* swift_json_login: the request for a token by what config says and the secret, in memory to be freed with
 * sodium_free. -ENOMEM, -ERR_SECRET_FILE where the secret is not UTF-8. */
int swift_json_login(const struct config_backend *, const char *secret, char **text, size_t *len);

#endif
