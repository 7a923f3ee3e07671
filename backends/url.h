/* SPDX-License-Identifier: GPL-3.0-or-later */
/* url: percent-encoding (RFC 3986) and the parts of an endpoint. Nothing here blocks. */
#ifndef BACKENDS_URL_H
#define BACKENDS_URL_H

#include "base/buf.h"

/* url_encode: appends s percent-encoded: all but A-Z a-z 0-9 - . _ ~ and, in a path, '/'. */
void url_encode(struct buf *out, const char *s, int in_path);
/* url_decode: in place. -ERR_PROTOCOL for what is no encoding, and for a NUL, which no key of ours has. */
int url_decode(char *s);

/* The parts of an endpoint; path is as written, "/" for none. */
struct url {
	char *origin;	 /* "https://host:port" */
	char *scheme;	 /* "https" */
	char *authority; /* "host:port", the port only where it is not the scheme's own */
	char *path;
};
/* url_parse: the caller frees it with url_free, also after an error. -ERR_CONFIG, -ENOMEM. */
int url_parse(const char *text, struct url *);
void url_free(struct url *);

#endif
